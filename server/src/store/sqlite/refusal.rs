//! Why the last attempt for a runtime did not end well.

use std::time::Duration;

use super::{Doing, SqliteStore, row::Columns};
use crate::{clock::Timestamp, id::RuntimeId, secret::Fingerprint, store::StoreError};

/// Longer than any page asks for.
pub(super) const REMEMBERED: Duration = Duration::from_hours(24);

impl SqliteStore {
    pub(super) async fn keep_refusal(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
        refusal: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // Nobody is left to tell once the session is over.
        sqlx::query(
            "INSERT INTO refusals (session_id, runtime_id, refusal, refused_at)
             SELECT id, $2, $3, $4 FROM sessions WHERE id = $1
             ON CONFLICT (session_id, runtime_id)
             DO UPDATE SET refusal = excluded.refusal, refused_at = excluded.refused_at",
        )
        .bind(session.0.as_slice())
        .bind(runtime.as_str())
        .bind(refusal)
        .bind(now.micros())
        .execute(&self.writer)
        .await
        .doing("keep a refusal")?;
        Ok(())
    }

    pub(super) async fn find_refusal(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
        since: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT refusal FROM refusals WHERE session_id = $1 AND runtime_id = $2 AND refused_at > $3",
        )
        .bind(session.0.as_slice())
        .bind(runtime.as_str())
        .bind(since.micros())
        .fetch_optional(&self.readers)
        .await
        .doing("read a refusal")?;
        row.map(|row| Columns::new(&row).read("refusals.refusal")).transpose()
    }

    pub(super) async fn drop_refusal(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM refusals WHERE session_id = $1 AND runtime_id = $2")
            .bind(session.0.as_slice())
            .bind(runtime.as_str())
            .execute(&self.writer)
            .await
            .doing("forget a refusal")?;
        Ok(())
    }
}
