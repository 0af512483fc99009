//! Reads sections and keys, notes what is wrong with them, and goes on.

use std::{
    borrow::Cow,
    cell::RefCell,
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
};

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// The file being read, and all that was found wrong so far.
pub(super) struct File<'a> {
    path: &'a Path,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'a> File<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        Self { path, text, problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        Place::of(self.path, self.text.as_bytes(), offset)
    }

    /// The folder that relative paths in the file start from.
    pub(super) fn folder(&self) -> PathBuf {
        self.path.parent().map(Path::to_owned).unwrap_or_default()
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    pub(super) fn reject(&self, place: Place, key: impl Into<String>, message: impl Into<String>) {
        let problem = Problem { place, key: key.into(), message: message.into() };
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warn(&self, place: Place, key: impl Into<String>, message: impl Into<String>) {
        let problem = Problem { place, key: key.into(), message: message.into() };
        self.warnings.borrow_mut().push(problem);
    }

    /// Problems and warnings.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }
}

/// A table of the file.
pub(super) struct Section<'a> {
    pub(super) file: &'a File<'a>,
    /// With the sections around it: `account.runtime`. Empty for the file itself.
    name: String,
    table: &'a DeTable<'a>,
    start: usize,
    /// Keys that unknown ones were probably meant to be: nobody is told that those are missing.
    meant: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file. Keys not in `known` are rejected, here and in all sections below.
    pub(super) fn root(file: &'a File<'a>, table: &'a DeTable<'a>, known: &[&'static str]) -> Self {
        Self::new(file, String::new(), table, 0, known)
    }

    fn new(
        file: &'a File<'a>,
        name: String,
        table: &'a DeTable<'a>,
        start: usize,
        known: &[&'static str],
    ) -> Self {
        let mut section = Self { file, name, table, start, meant: Vec::new() };
        for key in table.keys() {
            let typed = key.get_ref().as_ref();
            if !known.contains(&typed) {
                let choice = choice(typed, known.iter().copied());
                let place = file.place(key.span().start);
                file.reject(
                    place,
                    section.key(&typed.escape_debug().to_string()),
                    format!("there is no such key; {choice}"),
                );
                section.meant.extend(nearest(typed, known.iter().copied()));
            }
        }
        section
    }

    /// A key with its sections.
    pub(super) fn key(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// With the sections around it: `account.runtime`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key is there, whatever its value, or one that was meant to be it. If it can't be read then, that
    /// has been noted.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.meant.contains(&key)
    }

    /// Where the section begins.
    pub(super) fn start(&self) -> Place {
        self.file.place(self.start)
    }

    /// A text. `None` if it is not there, or is no text (which is noted).
    pub(super) fn text(&self, key: &str) -> Option<Field<'a>> {
        let value = self.table.get(key)?;
        self.field(key, value)
    }

    /// The same, and its absence is noted with what to write.
    pub(super) fn required(&self, key: &str, hint: &str) -> Option<Field<'a>> {
        if !self.has(key) {
            self.file.reject(self.start(), self.key(key), format!("is missing; {hint}"));
        }
        self.text(key)
    }

    /// The environment's value where it has one, else the file's. An empty variable counts as none.
    pub(super) fn text_or_variable(
        &self,
        key: &str,
        variable: &'static str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Field<'a>> {
        self.variable(variable, env).or_else(|| self.text(key))
    }

    /// The environment's value. An empty variable counts as none.
    pub(super) fn variable(
        &self,
        variable: &'static str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Field<'a>> {
        let value = env(variable).filter(|value| !value.is_empty())?;
        Some(Field {
            file: self.file,
            at: At::Variable(variable),
            key: String::new(),
            value: Cow::Owned(value),
        })
    }

    /// `true` or `false`, with its place; `Some(None)` if it is not there, `None` if it is neither (which is noted).
    pub(super) fn flag(&self, key: &str) -> Option<Option<bool>> {
        let Some(value) = self.table.get(key) else { return Some(None) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(Some(*flag)),
            _ => {
                self.wrong_type(key, value, "`true` or `false`, without quotes");
                None
            }
        }
    }

    /// A port; `Some(None)` if it is not there, `None` if it is none (which is noted).
    pub(super) fn port(&self, key: &str) -> Option<Option<u16>> {
        let Some(value) = self.table.get(key) else { return Some(None) };
        let port = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', "").parse().ok(),
            _ => None,
        };
        match port.filter(|port| *port > 0) {
            Some(port) => Some(Some(port)),
            None => {
                self.wrong_type(key, value, "a port: a number from 1 to 65535, without quotes");
                None
            }
        }
    }

    /// A list of texts. `None` if it is not there, or is no list (which is noted).
    pub(super) fn texts(&self, key: &str) -> Option<Vec<Field<'a>>> {
        let value = self.table.get(key)?;
        let DeValue::Array(values) = value.get_ref() else {
            self.wrong_type(key, value, "a list, such as `[\"one\", \"two\"]`");
            return None;
        };
        Some(values.iter().filter_map(|value| self.field(key, value)).collect())
    }

    /// A whole number that may be left out: `Some(None)` if it is, `None` if it is no such number (which is noted).
    pub(super) fn number(&self, key: &str, range: RangeInclusive<u32>) -> Option<Option<u32>> {
        let Some(value) = self.table.get(key) else { return Some(None) };
        let number = match value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.wrong_type(key, value, &format!("a whole number from {least} to {most}"));
        }
        number.map(Some)
    }

    /// `[key]`
    pub(super) fn section(&self, key: &str, known: &[&'static str]) -> Option<Section<'a>> {
        let value = self.table.get(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, value, &format!("a section: write `[{}]`", self.key(key)));
            return None;
        };
        Some(Section::new(self.file, self.key(key), table, value.span().start, known))
    }

    /// `[[key]]`, or a list of `{ … }`.
    pub(super) fn sections(&self, key: &str, known: &[&'static str]) -> Vec<Section<'a>> {
        let name = self.key(key);
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let DeValue::Array(values) = value.get_ref() else {
            let wanted = format!("a list: write `[[{name}]]` with double brackets");
            self.wrong_type(key, value, &wanted);
            return Vec::new();
        };
        let mut sections = Vec::new();
        for value in values {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let start = value.span().start;
                    sections.push(Section::new(self.file, name.clone(), table, start, known));
                }
                _ => self.wrong_type(key, value, "a section: write `{ … }` with keys inside"),
            }
        }
        sections
    }

    fn field(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Field<'a>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Field {
                file: self.file,
                at: At::Byte(value.span().start),
                key: self.key(key),
                value: Cow::Borrowed(text.as_ref()),
            }),
            _ => {
                self.wrong_type(key, value, "a text in quotes");
                None
            }
        }
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let Range { start, .. } = value.span();
        self.file.reject(self.file.place(start), self.key(key), format!("must be {wanted}"));
    }
}

/// Where a text stands. Lines are counted only for what must be reported.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// In the file, from this byte.
    Byte(usize),
    Variable(&'static str),
}

/// A text from the file or the environment, and where it stands.
pub(super) struct Field<'a> {
    file: &'a File<'a>,
    at: At,
    key: String,
    value: Cow<'a, str>,
}

impl Field<'_> {
    pub(super) fn at(&self) -> At {
        self.at
    }

    /// The place of this or another text of the same reading.
    pub(super) fn place(&self, at: At) -> Place {
        match at {
            At::Byte(offset) => self.file.place(offset),
            At::Variable(name) => Place::Variable(name),
        }
    }

    pub(super) fn reject(&self, message: impl Into<String>) {
        self.file.reject(self.place(self.at), self.key.clone(), message);
    }

    pub(super) fn warn(&self, message: impl Into<String>) {
        self.file.warn(self.place(self.at), self.key.clone(), message);
    }

    /// What `parse` makes of it. Its refusal, a sentence, is noted.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(&self.value).map_err(|message| self.reject(message)).ok()
    }

    /// A path: in the file relative to the file's folder, in the environment relative to the working directory.
    pub(super) fn path(&self) -> Option<PathBuf> {
        if self.value.is_empty() || self.value.contains('\0') {
            self.reject("is not a path");
            return None;
        }
        Some(match self.at {
            At::Variable(_) => PathBuf::from(self.value.as_ref()),
            At::Byte(_) => self.file.folder().join(self.value.as_ref()),
        })
    }
}

/// What was probably meant.
fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Likeness takes the square of the length: nobody mistypes a key of a thousand letters.
    if typed.len() > 100 {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(typed, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// "did you mean", or all there is.
pub(super) fn choice<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(typed, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "none is declared".to_owned(),
        None => {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            format!("the choice is {}", names.join(", "))
        }
    }
}
