//! What is kept, to compare before and after.

use std::{collections::BTreeMap, path::Path};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, sqlite::SqliteConnectOptions};

/// All rows of all tables in SQL's own spelling. Without what changes by looking: when a session was last used, and
/// the counters of failures and of news.
#[derive(Debug)]
pub struct Dump(pub BTreeMap<String, Vec<String>>);

/// It tells who looked.
const LOG: [&str; 2] = ["audit", "audit_head"];

/// But for the log of who looked.
impl PartialEq for Dump {
    fn eq(&self, other: &Self) -> bool {
        self.changeable().eq(other.changeable())
    }
}

impl Dump {
    fn changeable(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.0.iter().filter(|(table, _)| !LOG.contains(&table.as_str()))
    }

    /// All but one table.
    pub fn without(mut self, table: &str) -> Self {
        self.0.remove(table);
        self
    }

    pub fn rows(&self, table: &str) -> usize {
        self.0[table].len()
    }
}

/// Asserts that nothing changed, and says what did.
#[track_caller]
pub fn assert_same(before: &Dump, after: &Dump, what: &str) {
    for (table, rows) in before.changeable() {
        assert_eq!(rows, &after.0[table], "{what} changed {table}");
    }
}

pub async fn dump(file: &Path) -> Dump {
    let mut connection = SqliteConnectOptions::new().filename(file).read_only(true).connect().await.unwrap();
    let tables: Vec<String> = sqlx::query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         AND name NOT IN ('counters', 'news')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
    .iter()
    .map(|row| row.get(0))
    .collect();
    let mut dump = BTreeMap::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query("SELECT name FROM pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut connection)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get::<String, _>(0))
            .filter(|column| column != "seen_at")
            .map(|column| format!("quote({column})"))
            .collect();
        let statement =
            format!("SELECT {} AS whole FROM {table} ORDER BY whole", columns.join(" || ' | ' || "));
        let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut connection).await.unwrap();
        dump.insert(table, rows.iter().map(|row| row.get(0)).collect());
    }
    connection.close().await.unwrap();
    Dump(dump)
}

/// One column of the first row.
pub async fn ask<T>(file: &Path, question: &'static str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    let mut connection = SqliteConnectOptions::new().filename(file).read_only(true).connect().await.unwrap();
    let row = sqlx::query(question).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

/// Changes what is kept, behind the server's back.
pub async fn change(file: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
