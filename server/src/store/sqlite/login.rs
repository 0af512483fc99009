//! Authorizations on their way through a provider's sign-in.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{
    Doing, SqliteStore,
    row::{Columns, json},
};
use crate::{
    clock::Timestamp,
    id::{RuntimeId, UserId},
    login::LoginAttempt,
    seal::Sealed,
    secret::Fingerprint,
    store::{LoginStore, OPEN_ATTEMPTS, StoreError},
};

#[async_trait]
impl LoginStore for SqliteStore {
    async fn begin(&self, attempt: &LoginAttempt) -> Result<(), StoreError> {
        const DOING: &str = "begin an authorization";
        let also = json("login_attempts.also", &attempt.also)?;
        let mut step = self.step(DOING).await?;
        forget(&mut step, &attempt.user, &attempt.runtime).await.doing(DOING)?;
        sqlx::query(
            "INSERT INTO login_attempts (state, user_id, session_id, provider_id, oauth_app, runtime_id, also,
                 revoke, verifier, begun_at, pending)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)",
        )
        .bind(attempt.state.0.as_slice())
        .bind(attempt.user.as_str())
        .bind(attempt.session.0.as_slice())
        .bind(attempt.provider.as_str())
        .bind(attempt.oauth_app.as_str())
        .bind(attempt.runtime.as_str())
        .bind(also)
        .bind(i64::from(attempt.revoke))
        .bind(&attempt.verifier.0)
        .bind(attempt.begun_at.micros())
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        // Whatever the clock says: never the one that was just begun.
        sqlx::query(
            "DELETE FROM login_attempts WHERE session_id = $1 AND state IN (
                 SELECT state FROM login_attempts WHERE session_id = $1 AND state <> $2
                 ORDER BY begun_at DESC, rowid DESC LIMIT -1 OFFSET $3)",
        )
        .bind(attempt.session.0.as_slice())
        .bind(attempt.state.0.as_slice())
        .bind(OPEN_ATTEMPTS - 1)
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        step.commit().await.doing(DOING)
    }

    async fn take(&self, state: &Fingerprint) -> Result<Option<LoginAttempt>, StoreError> {
        const DOING: &str = "take an authorization up again";
        let mut step = self.step(DOING).await?;
        let row = sqlx::query(
            "DELETE FROM login_attempts WHERE state = $1
             RETURNING state, user_id, session_id, provider_id, oauth_app, runtime_id, also, revoke, verifier,
                 begun_at",
        )
        .bind(state.0.as_slice())
        .fetch_optional(&mut *step)
        .await
        .doing(DOING)?;
        let Some(row) = row else { return Ok(None) };
        let mut columns = Columns::new(&row);
        let attempt = LoginAttempt {
            state: columns.fingerprint("login_attempts.state")?,
            user: columns.id("login_attempts.user_id")?,
            session: columns.fingerprint("login_attempts.session_id")?,
            provider: columns.id("login_attempts.provider_id")?,
            oauth_app: columns.id("login_attempts.oauth_app")?,
            runtime: columns.id("login_attempts.runtime_id")?,
            also: columns.json("login_attempts.also")?,
            revoke: columns.read::<i64>("login_attempts.revoke")? != 0,
            verifier: Sealed(columns.read("login_attempts.verifier")?),
            begun_at: columns.time("login_attempts.begun_at")?,
        };
        sqlx::query("INSERT INTO attempts_taken (state, oauth_app, begun_at) VALUES ($1, $2, $3)")
            .bind(state.0.as_slice())
            .bind(attempt.oauth_app.as_str())
            .bind(attempt.begun_at.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        step.commit().await.doing(DOING)?;
        Ok(Some(attempt))
    }

    async fn finished(&self, state: &Fingerprint) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM attempts_taken WHERE state = $1")
            .bind(state.0.as_slice())
            .execute(&self.writer)
            .await
            .doing("note that an authorization is over")?;
        Ok(())
    }

    async fn denied(&self, user: &UserId, runtime: &RuntimeId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO denials (user_id, runtime_id, denied_at) VALUES ($1, $2, $3)
             ON CONFLICT (user_id, runtime_id) DO UPDATE SET denied_at = excluded.denied_at",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .bind(now.micros())
        .execute(&self.writer)
        .await
        .doing("note a denied authorization")?;
        Ok(())
    }
}

/// How earlier attempts for a runtime went no longer matters. Those still under way are only out of sight.
pub(super) async fn forget(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE login_attempts SET pending = 0 WHERE user_id = $1 AND runtime_id = $2 AND pending = 1",
    )
    .bind(user.as_str())
    .bind(runtime.as_str())
    .execute(&mut *step)
    .await?;
    sqlx::query("DELETE FROM denials WHERE user_id = $1 AND runtime_id = $2")
        .bind(user.as_str())
        .bind(runtime.as_str())
        .execute(&mut *step)
        .await?;
    Ok(())
}
