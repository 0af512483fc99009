//! SQLite: one file, for one server and the command line next to it.
//!
//! One connection writes, a few read. SQLite has one writer at a time anyway: waiting for it in our own queue is fair
//! and short, waiting for the file lock is neither. Another process may use the same file; it waits up to five seconds.
//!
//! Whoever only looks opens the file to be read alone: SQLite then writes neither to it nor from the log into it.
//!
//! A step of several statements is a transaction that takes the write lock first (`BEGIN IMMEDIATE`): one that reads
//! first and wants to write later can fail in between, and no waiting helps it.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use tokio::sync::Notify;

use crate::store::{Store, StoreError};

mod access;
mod credential;
mod declaration;
mod delivery;
mod key;
mod login;
mod notice;
mod person;
mod refusal;
mod revocation;
mod row;
#[cfg(test)]
mod tests;
mod watch;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait where SQLite does not.
const AGAIN: Duration = Duration::from_millis(20);
/// What opening is called when it fails.
const OPEN: &str = "open the database";
/// How long a step waits for its turn in this process.
const TURN: Duration = Duration::from_secs(10);
/// Enough for two cores; each costs a thread and a cache.
const READERS: u32 = 4;
/// Pages of 4 KiB in memory per connection, at most 1 MiB. The operating system caches the file as well.
const CACHE: &str = "-1024";
/// All statements there are fit; sqlx keeps that many prepared.
const STATEMENTS: usize = 64;
/// So many rows that can't be read are named in the log; that is enough to know.
const UNREADABLE: usize = 1000;
/// Rows in flight between SQLite's thread and ours: a page of runtimes without a pause.
const ROWS_IN_FLIGHT: usize = 128;

/// The store in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    /// One connection that only sees whether others changed anything.
    witness: SqlitePool,
    /// Something was marked, or has happened.
    stirred: Arc<Notify>,
    /// Rows that can't be read, and that was said: by table and number.
    unreadable: Arc<Mutex<HashSet<(&'static str, i64)>>>,
}

impl SqliteStore {
    /// Opens the database, or creates it for its owner alone, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Engine`] if the file cannot be opened or created, does not keep what is written to it as safely as
    /// was asked, or was written by a newer Gitward.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).doing(OPEN)?;
        create(&path).await.doing(OPEN)?;
        let writer = writer(&path).await.doing(OPEN)?;
        migrate(&writer).await?;
        let readers = readers(&path).await.doing(OPEN)?;
        let witness = witness(&path);
        Ok(Self { path, writer, readers, witness, stirred: Arc::default(), unreadable: Arc::default() })
    }

    /// Opens a database that is there and up to date, next to a server or without one.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; [`StoreError::Outdated`], [`StoreError::Newer`].
    pub async fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let path = std::path::absolute(path).doing(OPEN)?;
        let writer = writer(&path).await.doing(OPEN)?;
        match schema(&writer).await? {
            Schema::Current => {}
            Schema::None | Schema::Older => {
                writer.close().await;
                return Err(StoreError::Outdated);
            }
        }
        let readers = readers(&path).await.doing(OPEN)?;
        let witness = witness(&path);
        Ok(Self { path, writer, readers, witness, stirred: Arc::default(), unreadable: Arc::default() })
    }

    /// Opens a database that is there, to look at it: not a byte of it changes, whatever is asked for. Only what
    /// fits its schema can be asked for.
    ///
    /// # Errors
    /// [`StoreError::Engine`] if it cannot be opened, [`StoreError::Newer`].
    pub async fn look(path: &Path) -> Result<(Self, Schema), StoreError> {
        let path = std::path::absolute(path).doing(OPEN)?;
        let looking = options(&path).read_only(true).pragma("query_only", "ON");
        let readers = pool()
            .max_connections(READERS)
            .after_connect(|connection, _| Box::pin(prove(connection, LOOKER)))
            .connect_with(looking.clone())
            .await
            .doing(OPEN)?;
        let schema = match schema(&readers).await {
            Ok(schema) => schema,
            Err(error) => {
                readers.close().await;
                return Err(error);
            }
        };
        let writer = pool().max_connections(1).connect_lazy_with(looking);
        let witness = witness(&path);
        Ok((
            Self { path, writer, readers, witness, stirred: Arc::default(), unreadable: Arc::default() },
            schema,
        ))
    }

    /// Whether there is a database at `path`.
    pub fn exists(path: &Path) -> bool {
        path.metadata().is_ok_and(|file| file.is_file() && file.len() > 0)
    }

    /// Reads rows whose first column is their number. Those that can't be read must not keep all others: they are left
    /// out, and named in the log once.
    fn readable<T>(
        &self,
        table: &'static str,
        rows: &[SqliteRow],
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            match read(row) {
                Ok(one) => all.push(one),
                Err(error @ StoreError::Unreadable { .. }) => {
                    self.say_unreadable(table, row::number(row)?, &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Names a row that can't be read in the log, once.
    fn say_unreadable(&self, table: &'static str, number: i64, error: &StoreError) {
        let mut said = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < UNREADABLE && said.insert((table, number)) {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, table, number, "A row can't be read, and is left out");
        }
    }

    /// From now on every write fails, as with a full disk; or no longer.
    #[cfg(test)]
    pub(crate) async fn refuse_writes(&self, refuse: bool) {
        let statement = if refuse { "PRAGMA query_only = ON" } else { "PRAGMA query_only = OFF" };
        sqlx::query(statement).execute(&self.writer).await.expect("the only connection that writes");
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
            let answer = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
            let patient = AssertSqlSafe(format!("PRAGMA busy_timeout = {}", BUSY.as_millis()));
            sqlx::query(patient).execute(&mut *connection).await?;
            answer?.try_get::<i64, _>(0)
        });
        match emptied.await {
            Ok(Ok(0)) => {}
            Ok(Ok(_)) => tracing::debug!("the write-ahead log is being read; the next sweep empties it"),
            Ok(Err(error)) => tracing::warn!(%error, "the write-ahead log could not be emptied"),
            Err(error) => tracing::warn!(%error, "emptying the write-ahead log was broken off"),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn version(&self) -> Result<Option<i64>, StoreError> {
        // The number is the connection's own view of what others committed, so it must be asked of one that never
        // commits, and always of the same.
        let version =
            sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.witness).await.doing("see changes")?;
        Ok(Some(version))
    }

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
            let mut connection = options(&self.path).read_only(true).connect().await.doing(DOING)?;
            sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection).await.doing(DOING)?;
            connection.close().await.doing(DOING)?;
            synchronise(&to).await.doing(DOING)
        };
        let copied = copied.await;
        if copied.is_err() {
            // Half a backup is worse than none. Why there is none matters more than whether this works.
            let _ = tokio::fs::remove_file(&to).await;
        }
        copied
    }

    async fn close(&self) {
        // The last connection to go copies the log into the database and removes it. It has to be one that may write.
        self.witness.close().await;
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// What is known about a database before it is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Schema {
    /// There is none: whoever began to make the database did not come far.
    None,
    /// An older version's.
    Older,
    /// This version's.
    Current,
}

/// Which schema the database has.
async fn schema(pool: &SqlitePool) -> Result<Schema, StoreError> {
    const DOING: &str = "read which schema it has";
    let there = sqlx::query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'")
        .fetch_optional(pool)
        .await
        .doing(DOING)?;
    if there.is_none() {
        return Ok(Schema::None);
    }
    let rows = sqlx::query("SELECT version FROM _sqlx_migrations").fetch_all(pool).await.doing(DOING)?;
    let applied: Vec<i64> =
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, sqlx::Error>>().doing(DOING)?;
    if applied.iter().any(|version| !MIGRATIONS.version_exists(*version)) {
        return Err(StoreError::Newer);
    }
    let all = MIGRATIONS.iter().all(|migration| applied.contains(&migration.version));
    Ok(match applied.is_empty() {
        true => Schema::None,
        false if all => Schema::Current,
        false => Schema::Older,
    })
}

/// The connection that writes.
async fn writer(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    // WAL lets readers go on while somebody writes. With synchronous=FULL a commit is on the disk before it is
    // reported: with NORMAL a power cut takes the last ones back, and among them may be a refresh token that
    // replaced one which the provider no longer takes.
    let writing = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON");
    let mut waited = Duration::ZERO;
    loop {
        let opened = pool()
            .max_connections(1)
            .after_connect(|connection, _| Box::pin(prove(connection, WRITER)))
            .before_acquire(|connection, _| Box::pin(is_free(connection)))
            .connect_with(writing.clone())
            .await;
        match opened {
            // Two that make a new database a WAL one at once: SQLite lets neither wait, because both might.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("5") && waited < BUSY => {
                tokio::time::sleep(AGAIN).await;
                waited += AGAIN;
            }
            opened => return opened,
        }
    }
}

/// The connections that read.
async fn readers(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    pool()
        .min_connections(1)
        .max_connections(READERS)
        .after_connect(|connection, _| Box::pin(prove(connection, READER)))
        .connect_with(options(path).pragma("query_only", "ON"))
        .await
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
/// The one connection that sees changes; it is opened when somebody wants to see them.
fn witness(path: &Path) -> SqlitePool {
    pool()
        .max_connections(1)
        .after_connect(|connection, _| Box::pin(prove(connection, READER)))
        .connect_lazy_with(options(path).pragma("query_only", "ON"))
}

/// Whether a connection may be used for the next step. After a step that was dropped it first has to roll back; where
/// the engine did that by itself, as it may with a full disk, the connection never learns of it, and another one has to
/// take its place.
async fn is_free(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Until what was asked of it before is done.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

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
/// A copy that was put back is no WAL database yet; whoever looks leaves it so.
const LOOKER: &[Promise] = &[("PRAGMA query_only", "1"), ("PRAGMA busy_timeout", "5000")];

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
