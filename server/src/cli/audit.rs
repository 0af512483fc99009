//! `gitward audit`: whether the log is whole, and all of it for other programs.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{Failure, answer, load_quietly, tell};
use crate::{
    audit::{
        export::{self, Format},
        verify::{Follower, Point, Verified},
    },
    random::SystemEntropy,
    site::records,
};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Say whether somebody changed, moved or removed a record
    ///
    /// Prints the last record's number and hash: note them elsewhere, and a later `--noted` tells whether the log still
    /// goes on from there. The server's own log has them too, at every start and stop. Nothing else can notice that the
    /// log was put back to an earlier end, as in a backup. Old records that were removed as `[audit] keep_days` says are
    /// not missed; that is recorded in the log itself. Exits with 1 if something is wrong, also while a server
    /// runs.
    #[command(after_help = "\
Examples:
  gitward audit verify
  gitward audit verify --noted 1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  gitward audit verify --file audit.jsonl")]
    Verify {
        /// A last record as this command printed it at an earlier time
        #[arg(long, value_name = "NUMBER:HASH")]
        noted: Option<Point>,
        /// An export in JSON Lines, instead of the database; needs no key, and can't tell whether its end is the log's.
        /// Not what pages export: that is what fits a filter
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The record before the first one of the file, as this command printed it when the export before was verified
        #[arg(long, value_name = "NUMBER:HASH", requires = "file")]
        after: Option<Point>,
    },
    /// Print all records, the oldest first
    #[command(after_help = "\
Example:
  gitward audit export --format csv > audit.csv")]
    Export {
        /// How
        #[arg(long, value_enum, default_value_t = Format::JsonLines)]
        format: Format,
        /// Only those after the record with this number; to verify that file, `verify` needs that record as well
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
}

impl AuditCommand {
    pub(super) async fn run(self, path: &Path) -> Result<(), Failure> {
        match self {
            Self::Verify { noted, file: Some(file), after } => report(&read_file(&file, noted, after)?),
            Self::Verify { noted, file: None, .. } => {
                let config = load_quietly(path)?;
                report(&records::verify_audit(&config, noted, &SystemEntropy).await?)
            }
            Self::Export { format, after } => {
                let config = load_quietly(path)?;
                let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
                records::export_audit(&config, format, after, &mut stdout, &SystemEntropy)
                    .await?
                    .map_err(|error| Failure::because(format!("stdout is closed: {error}")))
            }
        }
    }
}

fn report(verified: &Verified) -> Result<(), Failure> {
    if verified.flaws.is_empty() {
        tell(&whole(verified.end.sequence, verified.removed));
        return answer(&verified.end.to_string());
    }
    for flaw in &verified.flaws {
        answer(&flaw.to_string())?;
    }
    Err(Failure::because("The audit log is not as it was written; stdout says where."))
}

/// Nothing is wrong with the records up to this one.
fn whole(end: i64, removed: Option<Point>) -> String {
    let whole = match end.saturating_sub(removed.map_or(0, |removed| removed.sequence)) {
        1 => return "The one record is as it was written:".to_owned(),
        records => format!("All {records} records are as they were written."),
    };
    match removed {
        None => format!("{whole} The last one:"),
        Some(Point { sequence, .. }) => {
            format!("{whole} Older ones, up to record {sequence}, were removed as configured. The last one:")
        }
    }
}

fn read_file(path: &Path, noted: Option<Point>, after: Option<Point>) -> Result<Verified, Failure> {
    let unreadable = |error| Failure::because(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut began = None;
    let mut follower = after.map_or_else(|| Follower::new(noted), |after| Follower::after(after, noted));
    let first = after.map_or(1, |after| after.sequence.saturating_add(1));
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        let record = export::read(&line).ok_or_else(|| {
            Failure::because(format!("{}: line {} is no record of an audit log", path.display(), at + 1))
        })?;
        if at == 0 && record.sequence != first {
            began = Some(record.sequence);
        }
        follower.follow(&record);
    }
    let verified = follower.finish();
    // Unless the log itself begins there, for older ones were removed as configured.
    if let Some(began) = began
        && (after.is_some()
            || verified.removed.is_none_or(|removed| removed.sequence.checked_add(1) != Some(began)))
    {
        return Err(Failure::because(format!(
            "{} begins with record {began}, not with record {first}: a part of the log can't be verified by itself. \
             Verify all that `gitward audit export` prints, or say with --after which record came before.",
            path.display(),
        )));
    }
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted() {
        assert_eq!(whole(1, None), "The one record is as it was written:");
        assert_eq!(whole(2, None), "All 2 records are as they were written. The last one:");
        let removed = Some(Point { sequence: 40, hash: [0; 32] });
        assert_eq!(
            whole(42, removed),
            "All 2 records are as they were written. Older ones, up to record 40, were removed as configured. \
             The last one:"
        );
    }
}
