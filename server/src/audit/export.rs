//! Records for other programs: JSON Lines, with all that the hash is made of, and CSV for spreadsheets. What people
//! export for themselves, and spreadsheets, have the user's name as well, which is no part of the log: it is looked up.

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::{
    Record,
    verify::{hex, unhex},
};
use crate::clock::Timestamp;

/// How records are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// A JSON document per line, with all that the hashes are made of (see jsonlines.org)
    #[value(name = "jsonl")]
    JsonLines,
    /// For spreadsheets (RFC 4180), each field in quotes
    Csv,
}

impl Format {
    /// By its word.
    pub fn parse(text: &str) -> Option<Self> {
        clap::ValueEnum::from_str(text, false).ok()
    }

    /// How a file of it ends.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::JsonLines => "application/jsonl; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What stands before the first record.
    pub fn head(self) -> String {
        match self {
            Self::JsonLines => String::new(),
            Self::Csv => [&COLUMNS.join(","), "\r\n"].concat(),
        }
    }

    /// One record as the log has it, so that it can be verified; for spreadsheets with the name of its user.
    ///
    /// # Errors
    /// Texts and numbers always make JSON; if they ever don't, no line is left out silently.
    pub fn line(self, record: &Record, user_name: Option<&str>) -> Result<String, serde_json::Error> {
        let line = Line::from(record);
        match self {
            Self::JsonLines => Ok(serde_json::to_string(&line)? + "\n"),
            Self::Csv => Ok(line.csv(user_name)),
        }
    }

    /// One record for people, with the name of its user.
    ///
    /// # Errors
    /// As [`Format::line`].
    pub fn named_line(self, record: &Record, user_name: Option<&str>) -> Result<String, serde_json::Error> {
        let line = Line::from(record);
        match self {
            Self::JsonLines => Ok(serde_json::to_string(&NamedLine { line, user_name })? + "\n"),
            Self::Csv => Ok(line.csv(user_name)),
        }
    }
}

const COLUMNS: [&str; 17] = [
    "sequence",
    "at",
    "actor",
    "actor_id",
    "actor_name",
    "action",
    "outcome",
    "reason",
    "user",
    "user_name",
    "account",
    "runtime",
    "object",
    "detail",
    "request",
    "address",
    "hash",
];

/// A record as a document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sequence: i64,
    /// RFC 3339 in UTC, with microseconds; these alone, since 1970, of a moment that no calendar has.
    at: String,
    actor: String,
    actor_id: Option<String>,
    actor_name: Option<String>,
    action: String,
    outcome: String,
    reason: Option<String>,
    user: Option<String>,
    account: Option<String>,
    runtime: Option<String>,
    object: Option<String>,
    detail: Option<String>,
    request: Option<String>,
    address: Option<String>,
    hash: String,
}

/// A record as a document for people. Nothing that [`read`] takes: nobody vouches for the name.
#[derive(Serialize)]
struct NamedLine<'a> {
    #[serde(flatten)]
    line: Line,
    user_name: Option<&'a str>,
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        Self {
            sequence: record.sequence,
            at: moment(record.at),
            actor: record.actor.clone(),
            actor_id: record.actor_id.clone(),
            actor_name: record.actor_name.clone(),
            action: record.action.clone(),
            outcome: record.outcome.clone(),
            reason: record.reason.clone(),
            user: record.user.as_ref().map(ToString::to_string),
            account: record.account.as_ref().map(ToString::to_string),
            runtime: record.runtime.as_ref().map(ToString::to_string),
            object: record.object.clone(),
            detail: record.detail.clone(),
            request: record.request.clone(),
            address: record.address.clone(),
            hash: hex(&record.hash),
        }
    }
}

impl Line {
    fn csv(&self, user_name: Option<&str>) -> String {
        fn known(text: Option<&String>) -> &str {
            text.map(String::as_str).unwrap_or_default()
        }
        let fields: [String; 17] = [
            id(&self.sequence.to_string()),
            id(&self.at),
            id(&self.actor),
            id(known(self.actor_id.as_ref())),
            text(known(self.actor_name.as_ref())),
            id(&self.action),
            id(&self.outcome),
            id(known(self.reason.as_ref())),
            id(known(self.user.as_ref())),
            text(user_name.unwrap_or_default()),
            id(known(self.account.as_ref())),
            id(known(self.runtime.as_ref())),
            id(known(self.object.as_ref())),
            text(known(self.detail.as_ref())),
            // Whoever asks may have chosen it.
            text(known(self.request.as_ref())),
            id(known(self.address.as_ref())),
            id(&self.hash),
        ];
        [&fields.join(","), "\r\n"].concat()
    }
}

/// What other programs compare, letter by letter as it is. No formula calls anything without other signs than these.
fn id(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)) {
        return ["\"", word, "\""].concat();
    }
    text(word)
}

/// In quotes, and never a formula: a spreadsheet takes what begins with one of these letters for one
/// (<https://owasp.org/www-community/attacks/CSV_Injection>). Line ends and tabs become blanks, for those that look at
/// each line by itself.
fn text(text: &str) -> String {
    let quoted = text.replace('"', "\"\"").replace(['\r', '\n', '\t'], " ");
    let formula =
        quoted.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let guard = if formula { "'" } else { "" };
    ["\"", guard, &quoted, "\""].concat()
}

fn moment(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    at.calendar().and_then(|at| at.format(format).ok()).unwrap_or_else(|| at.micros().to_string())
}

fn read_moment(text: &str) -> Option<Timestamp> {
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(at) => Some(at.into()),
        Err(_) => text.parse().ok().map(Timestamp::from_micros),
    }
}

/// A line of an export in JSON Lines, read back. `None` if it is none.
pub fn read(line: &str) -> Option<Record> {
    let line: Line = serde_json::from_str(line).ok()?;
    Some(Record {
        sequence: line.sequence,
        at: read_moment(&line.at)?,
        actor: line.actor,
        actor_id: line.actor_id,
        actor_name: line.actor_name,
        action: line.action,
        outcome: line.outcome,
        reason: line.reason,
        user: line.user.as_deref().map(Into::into),
        account: line.account.as_deref().map(Into::into),
        runtime: line.runtime.as_deref().map(Into::into),
        object: line.object,
        detail: line.detail,
        request: line.request,
        address: line.address,
        hash: unhex(&line.hash)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_no_calendar_has_is_read_back() {
        for micros in [i64::MIN, -1, 0, 1_795_348_800_000_001, i64::MAX] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(read_moment(&moment(at)), Some(at), "{}", moment(at));
        }
        assert_eq!(read_moment(""), None);
    }

    #[test]
    fn no_field_of_a_spreadsheet_is_a_formula() {
        for word in ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "＝1", "=cmd|' /C calc'!A0"]
        {
            for field in [text(word), id(word)] {
                assert!(field.starts_with("\"'"), "{field}");
                assert!(!field.contains(['\r', '\n', '\t']), "{field}");
            }
        }
        assert_eq!(text("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!((text(""), id("")), ("\"\"".to_owned(), "\"\"".to_owned()));
    }

    #[test]
    fn an_id_that_begins_with_a_dash_is_the_same_id_in_a_spreadsheet() {
        for word in
            ["-PAA18JmIuI5mX4jvYxkhA", "acme.production", "2001:db8::1", "2026-11-22T12:00:00.000000Z"]
        {
            assert_eq!(id(word), format!("\"{word}\""));
        }
        assert_eq!(text("-1"), "\"'-1\"", "somebody's own words");
    }
}
