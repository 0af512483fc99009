//! `[log]`: how much is said, and in which form.

use super::file::{Section, choice};

pub(super) const LOG_KEYS: &[&str] = &["level", "format"];

/// `[log]`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogSettings {
    /// `level`, or `GITWARD_LOG`: `"off"`, `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`. It holds for
    /// Gitward; the libraries it uses never say more than warnings, as what they say might hold a secret.
    pub level: LogLevel,
    /// `format`, or `GITWARD_LOG_FORMAT`: `"text"` or `"json"`. Left out: text on a terminal, else JSON.
    pub format: Option<LogFormat>,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed and needs somebody.
    Error,
    /// Also what may need somebody.
    Warn,
    /// Also what happened.
    #[default]
    Info,
    /// Also how.
    Debug,
    /// Everything.
    Trace,
}

/// In which form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(super) fn log(root: &Section<'_>, env: &dyn Fn(&str) -> Option<String>) -> Option<LogSettings> {
    let section = root.section("log", LOG_KEYS);
    let field = |key, variable| match &section {
        Some(section) => section.text_or_variable(key, variable, env),
        None => root.variable(variable, env),
    };
    let level = match field("level", "GITWARD_LOG") {
        Some(field) => field.parse(parse_level),
        None => Some(LogLevel::default()),
    };
    let format = match field("format", "GITWARD_LOG_FORMAT") {
        Some(field) => field.parse(parse_format).map(Some),
        None => Some(None),
    };
    Some(LogSettings { level: level?, format: format? })
}

fn parse_level(text: &str) -> Result<LogLevel, String> {
    Ok(match text {
        "off" => LogLevel::Off,
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => {
            let levels = ["off", "error", "warn", "info", "debug", "trace"];
            return Err(format!("`{}` is no level; {}", text.escape_debug(), choice(text, levels)));
        }
    })
}

fn parse_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("`{}` is no format; {}", text.escape_debug(), choice(text, ["text", "json"]))),
    }
}
