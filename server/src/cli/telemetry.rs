//! What the server says about itself, to stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    Layer, filter::LevelFilter, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogFormat, LogLevel, LogSettings};

/// The crates that are Gitward.
const OURS: [&str; 3] = ["gitward", "server", "app"];

/// Starts saying it. A second start changes nothing.
pub(super) fn start(settings: LogSettings) {
    let terminal = io::stderr().is_terminal();
    let default = if terminal { LogFormat::Text } else { LogFormat::Json };
    let layer = match settings.format.unwrap_or(default) {
        LogFormat::Text => fmt::layer().with_ansi(terminal).with_writer(io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(settings.level))).try_init().ok();
}

/// For commands that speak for themselves: warnings at most.
pub(super) fn quiet(settings: LogSettings) -> LogSettings {
    LogSettings { level: settings.level.min(LogLevel::Warn), ..settings }
}

/// Gitward as loud as asked for; libraries warn at most, because HTTP libraries trace headers and bodies, which hold
/// tokens.
fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_targets(OURS.map(|name| (name, ours))).with_default(ours.min(LevelFilter::WARN))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_never_trace() {
        let filter = filter(LogLevel::Trace);
        assert!(filter.would_enable("server::check", &Level::TRACE));
        assert!(filter.would_enable("reqwest::connect", &Level::WARN));
        for library in
            ["reqwest::connect", "hyper_util::client", "h2::codec", "sqlx::query", "tower_http::trace"]
        {
            assert!(!filter.would_enable(library, &Level::INFO), "{library}");
        }
    }

    #[test]
    fn off_is_off() {
        let filter = filter(LogLevel::Off);
        assert!(!filter.would_enable("server", &Level::ERROR));
        assert!(!filter.would_enable("reqwest", &Level::ERROR));
    }

    #[test]
    fn commands_speak_for_themselves() {
        let loud = LogSettings { level: LogLevel::Trace, format: Some(LogFormat::Json) };
        assert_eq!(quiet(loud), LogSettings { level: LogLevel::Warn, format: Some(LogFormat::Json) });
        let silent = LogSettings { level: LogLevel::Off, format: None };
        assert_eq!(quiet(silent), silent);
    }
}
