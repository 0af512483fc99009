//! SQLite: one file, for one server and the command line next to it.
//!
//! One connection writes, a few read. SQLite has one writer at a time anyway: waiting for it in our own queue is fair
//! and short, waiting for the file lock is neither. Another process may use the same file; it waits up to five seconds.
//!
//! A step of several statements is a transaction that takes the write lock first (`BEGIN IMMEDIATE`): one that reads
//! first and wants to write later can fail in between, and no waiting helps it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::store::{Store, StoreError};

mod access;
mod credential;
mod declaration;
mod key;
mod login;
mod person;
mod refusal;
mod row;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// How long a step waits for its turn in this process.
const TURN: Duration = Duration::from_secs(10);
/// Enough for two cores; each costs a thread and a cache.
const READERS: u32 = 4;
/// Pages of 4 KiB in memory per connection, at most 1 MiB. The operating system caches the file as well.
const CACHE: &str = "-1024";
/// All statements there are fit; sqlx keeps that many prepared.
const STATEMENTS: usize = 64;
/// Rows in flight between SQLite's thread and ours: a page of runtimes without a pause.
const ROWS_IN_FLIGHT: usize = 128;

/// The store in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database, or creates it for its owner alone, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Engine`] if the file cannot be opened or created, does not keep what is written to it as safely as
    /// was asked, or was written by a newer Gitward.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        const DOING: &str = "open the database";
        let path = std::path::absolute(path).doing(DOING)?;
        create(&path).await.doing(DOING)?;

        // WAL lets readers go on while somebody writes. With synchronous=FULL a commit is on the disk before it is
        // reported: with NORMAL a power cut takes the last ones back, and among them may be a refresh token that
        // replaced one which the provider no longer takes.
        let writing = options(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON");
        let writer = pool()
            .max_connections(1)
            .after_connect(|connection, _| Box::pin(prove(connection, WRITER)))
            .connect_with(writing)
            .await
            .doing(DOING)?;
        migrate(&writer).await?;

        let readers = pool()
            .min_connections(1)
            .max_connections(READERS)
            .after_connect(|connection, _| Box::pin(prove(connection, READER)))
            .connect_with(options(&path).pragma("query_only", "ON"))
            .await
            .doing(DOING)?;
        Ok(Self { path, writer, readers })
    }

    /// Whether there is a database at `path`.
    pub fn exists(path: &Path) -> bool {
        path.metadata().is_ok_and(|file| file.is_file() && file.len() > 0)
    }

    /// Closes the file once everything that is under way has ended. Not needed for safety, only to be tidy.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock from the start. Dropped without a commit, it leaves nothing behind.
    async fn step(&self, doing: &'static str) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.doing(doing)
    }

    /// Copies the write-ahead log into the database and empties it, so that ciphertext which was deleted (and by
    /// `secure_delete` overwritten) in the database does not live on in the log.
    ///
    /// At best: while somebody reads an older moment, such as a backup, the log has to stay. Hence the short wait; the
    /// next sweep tries again. A task of its own, because a visitor who hangs up must not leave the writer impatient.
    async fn empty_log(&self) {
        let writer = self.writer.clone();
        let emptied = tokio::spawn(async move {
            let mut connection = writer.acquire().await?;
            sqlx::query("PRAGMA busy_timeout = 100").execute(&mut *connection).await?;
            let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await;
            let patient = AssertSqlSafe(format!("PRAGMA busy_timeout = {}", BUSY.as_millis()));
            sqlx::query(patient).execute(&mut *connection).await?;
            emptied
        });
        if let Ok(Err(error)) = emptied.await {
            tracing::debug!(%error, "the write-ahead log was not emptied; the next sweep tries again");
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ready(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM data_keys LIMIT 1").fetch_optional(&self.readers).await.doing("answer")?;
        Ok(())
    }

    async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        const DOING: &str = "write a backup";
        let to = std::path::absolute(to).doing(DOING)?;
        let name = to.to_str().ok_or("the path is not UTF-8").doing(DOING)?;
        // Creating it here refuses to overwrite anything, and nobody else can read it at any moment. SQLite takes an
        // empty file for its copy.
        tokio::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&to)
            .await
            .doing(DOING)?;
        // A connection of its own: the copy is a long read, which must not keep the writer, and SQLite refuses it to
        // those that may only read.
        let copied = async {
            let mut connection = options(&self.path).connect().await?;
            let copied = sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection).await;
            connection.close().await?;
            copied
        };
        if let Err(error) = copied.await {
            // Half a backup is worse than none. The reason why there is none comes first, whatever else fails.
            let _ = tokio::fs::remove_file(&to).await;
            return Err(error).doing(DOING);
        }
        synchronise(&to).await.doing(DOING)
    }
}

/// What every connection has in common.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("cache_size", CACHE)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(ROWS_IN_FLIGHT)
        .disable_statement_logging()
}

/// Connections stay: there is no network that could lose them, so none is tested before use or replaced with age.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(TURN)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// A pragma and what it must say.
type Promise = (&'static str, &'static str);

const WRITER: &[Promise] = &[
    ("PRAGMA journal_mode", "wal"),
    ("PRAGMA synchronous", "2"),
    ("PRAGMA secure_delete", "1"),
    ("PRAGMA foreign_keys", "1"),
    ("PRAGMA busy_timeout", "5000"),
];
const READER: &[Promise] =
    &[("PRAGMA journal_mode", "wal"), ("PRAGMA query_only", "1"), ("PRAGMA busy_timeout", "5000")];

/// Asks back: SQLite passes over what it does not understand, and a file system without shared memory gets no WAL.
async fn prove(connection: &mut SqliteConnection, promises: &'static [Promise]) -> Result<(), sqlx::Error> {
    for (pragma, promised) in promises {
        let row = sqlx::query(*pragma).fetch_one(&mut *connection).await?;
        let found = row::pragma(&row)?;
        if found != *promised {
            return Err(sqlx::Error::Configuration(
                format!("{pragma} is {found} instead of {promised}").into(),
            ));
        }
    }
    Ok(())
}

/// Creates an empty file that only its owner can read, with the directory around it; one that exists stays as it is.
/// SQLite gives the files it puts next to it the same mode.
async fn create(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).await?;
    }
    match tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        created => created.map(drop),
    }
}

/// All of it or nothing, and one process at a time.
async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    const DOING: &str = "bring its schema up to date";
    let mut step = writer.begin_with("BEGIN IMMEDIATE").await.doing(DOING)?;
    MIGRATIONS.run_direct(None, &mut *step, false).await.doing(DOING)?;
    step.commit().await.doing(DOING)
}

/// Waits until the file and its name are on the disk.
async fn synchronise(path: &Path) -> std::io::Result<()> {
    tokio::fs::File::open(path).await?.sync_all().await?;
    match path.parent() {
        Some(directory) => tokio::fs::File::open(directory).await?.sync_all().await,
        None => Ok(()),
    }
}

/// Says what was being done when the engine failed.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::Engine { doing, source: error.into() })
    }
}
