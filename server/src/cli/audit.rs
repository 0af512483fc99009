//! `gitward audit`: whether the log is whole, and all of it for other programs.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::{Subcommand, ValueEnum};

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
    /// goes on from there. Nothing else can notice that the whole database was put back to an earlier moment. Exits with
    /// 1 if something is wrong, also while a server runs.
    #[command(after_help = "\
Examples:
  gitward audit verify
  gitward audit verify --noted 1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  gitward audit verify --file audit.jsonl")]
    Verify {
        /// A last record as this command printed it at an earlier time
        #[arg(long, value_name = "NUMBER:HASH")]
        noted: Option<Point>,
        /// An export in JSON Lines, instead of the database; needs no key, and can't tell whether its end is the log's
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print all records, the oldest first
    #[command(after_help = "\
Example:
  gitward audit export --format csv > audit.csv")]
    Export {
        /// How
        #[arg(long, value_enum, default_value_t = Written::Jsonl)]
        format: Written,
        /// Only those after the record with this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Written {
    /// A JSON document per line, with all that the hashes are made of
    Jsonl,
    /// For spreadsheets
    Csv,
}

impl AuditCommand {
    pub(super) async fn run(self, path: &Path) -> Result<(), Failure> {
        match self {
            Self::Verify { noted, file: Some(file) } => report(&read_file(&file, noted)?),
            Self::Verify { noted, file: None } => {
                let config = load_quietly(path)?;
                report(&records::verify_audit(&config, noted, &SystemEntropy).await?)
            }
            Self::Export { format, after } => {
                let config = load_quietly(path)?;
                let format = match format {
                    Written::Jsonl => Format::JsonLines,
                    Written::Csv => Format::Csv,
                };
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
        tell(&format!("All {} records are as they were written. The last one:", verified.end.sequence));
        return answer(&verified.end.to_string());
    }
    for flaw in &verified.flaws {
        answer(&flaw.to_string())?;
    }
    Err(Failure::because("The audit log is not as it was written; stdout says where."))
}

fn read_file(path: &Path, noted: Option<Point>) -> Result<Verified, Failure> {
    let unreadable = |error| Failure::because(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut follower = Follower::new(noted);
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(unreadable)?;
        let record = export::read(&line).ok_or_else(|| {
            Failure::because(format!("{}: line {} is no record of an audit log", path.display(), at + 1))
        })?;
        follower.follow(&record);
    }
    Ok(follower.finish())
}
