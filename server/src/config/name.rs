//! Ids, references to them, and names for people.

use super::{
    file::{Field, Section},
    provider::Known,
};

/// Text that people read: one line, not endless.
const TITLE_LIMIT: usize = 100;

/// An id in addresses and in the database: `[a-z0-9][a-z0-9._-]{0,62}`.
fn parse_id(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = text.bytes().next().is_some_and(plain)
        && text.len() <= 63
        && text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte));
    if fits {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{}` can't be used: take up to 63 of `a-z`, `0-9`, `.`, `_`, `-`, and begin with a letter or a digit",
        text.escape_debug()
    ))
}

/// A required id, handed to `add`, which may say that it is taken.
pub(super) fn id(
    section: &Section<'_>,
    key: &str,
    hint: &str,
    add: impl FnOnce(&str, &Field<'_>) -> Result<(), String>,
) -> Option<String> {
    let field = section.required(key, hint)?;
    let id = field.parse(parse_id)?;
    field.parse(|_| add(&id, &field))?;
    Some(id)
}

/// A required id of something that is declared elsewhere.
pub(super) fn reference<T>(section: &Section<'_>, key: &str, what: &str, known: &Known<T>) -> Option<String> {
    let field = section.required(key, &format!("write the id of the {what}"))?;
    field.parse(|text| match known.get(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("no {what} has the id `{}`; {}", text.escape_debug(), known.choice(text))),
    })
}

/// A text that may be left out: `Some(None)` if it is, `None` if something is wrong with it.
pub(super) fn optional<T>(
    section: &Section<'_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<Option<T>> {
    if !section.has(key) {
        return Some(None);
    }
    section.text(key)?.parse(parse).map(Some)
}

/// A name for people that may be left out.
pub(super) fn optional_title(section: &Section<'_>, key: &str) -> Option<Option<String>> {
    optional(section, key, parse_title)
}

/// A name for people.
pub(super) fn title(section: &Section<'_>, key: &str, hint: &str) -> Option<String> {
    section.required(key, hint)?.parse(parse_title)
}

fn parse_title(text: &str) -> Result<String, String> {
    let text = text.trim();
    // U+202A..U+202E and U+2066..U+2069 turn the direction of what follows them, on every page that shows the name.
    let odd = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.is_empty() || text.chars().count() > TITLE_LIMIT || text.contains(odd) {
        return Err(format!("must be one line of 1 to {TITLE_LIMIT} characters"));
    }
    Ok(text.to_owned())
}
