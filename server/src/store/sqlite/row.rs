//! Rows into words and back. Columns are read in the order of the `SELECT`, which is the cheapest way and shows in the
//! code that both belong together.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Decode, Row, Sqlite, Type, sqlite::SqliteRow};

use crate::{clock::Timestamp, person::Name, secret::Fingerprint, store::StoreError};

/// Reads a row from left to right.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    /// Before the first column.
    pub fn new(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    /// The next column; `column` names it if it is unreadable.
    pub fn read<T: Decode<'r, Sqlite> + Type<Sqlite>>(
        &mut self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(|error| {
            // The engine's words name types, not values.
            let problem = match error {
                sqlx::Error::ColumnDecode { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            StoreError::Unreadable { column, problem }
        })
    }

    /// A word of its own type: an id.
    pub fn id<T: From<&'r str>>(&mut self, column: &'static str) -> Result<T, StoreError> {
        self.read::<&str>(column).map(T::from)
    }

    /// An id, or none.
    pub fn optional_id<T: From<&'r str>>(&mut self, column: &'static str) -> Result<Option<T>, StoreError> {
        Ok(self.read::<Option<&str>>(column)?.map(T::from))
    }

    /// A moment.
    pub fn time(&mut self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.read(column).map(Timestamp::from_micros)
    }

    /// A moment, or never.
    pub fn optional_time(&mut self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read::<Option<i64>>(column)?.map(Timestamp::from_micros))
    }

    /// A document.
    pub fn json<T: DeserializeOwned>(&mut self, column: &'static str) -> Result<T, StoreError> {
        parse(column, self.read(column)?)
    }

    /// A document, or none.
    pub fn optional_json<T: DeserializeOwned>(
        &mut self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.read::<Option<&str>>(column)?.map(|text| parse(column, text)).transpose()
    }

    /// A name to sign in with.
    pub fn name(&mut self, column: &'static str) -> Result<Name, StoreError> {
        Name::parse(self.read(column)?)
            .ok_or_else(|| StoreError::Unreadable { column, problem: "not a name".to_owned() })
    }

    /// A fingerprint.
    pub fn fingerprint(&mut self, column: &'static str) -> Result<Fingerprint, StoreError> {
        self.bytes(column).map(Fingerprint)
    }

    /// So many bytes.
    pub fn bytes<const N: usize>(&mut self, column: &'static str) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = self.read(column)?;
        bytes.try_into().map_err(|_| StoreError::Unreadable {
            column,
            problem: format!("{} bytes instead of {N}", bytes.len()),
        })
    }
}

/// The number of a row, which is its first column.
pub(super) fn number(row: &SqliteRow) -> Result<i64, StoreError> {
    Columns::new(row).read("id")
}

/// What serde says about a document may quote it, so only the place is told.
pub(super) fn parse<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Unreadable {
        column,
        problem: format!("{:?} error in JSON at character {}", error.classify(), error.column()),
    })
}

/// A document as text.
pub(super) fn json<T: Serialize>(column: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Unreadable { column, problem: error.to_string() })
}

/// A document as text, or none.
pub(super) fn optional_json<T: Serialize>(
    column: &'static str,
    value: Option<&T>,
) -> Result<Option<String>, StoreError> {
    value.map(|value| json(column, value)).transpose()
}

/// A moment as the database keeps it, or never.
pub(super) fn micros(moment: Option<Timestamp>) -> Option<i64> {
    moment.map(Timestamp::micros)
}

/// What a pragma says, which is a number for some and a word for others.
pub(super) fn pragma(row: &SqliteRow) -> Result<String, sqlx::Error> {
    row.try_get::<i64, _>(0).map(|number| number.to_string()).or_else(|_| row.try_get(0))
}
