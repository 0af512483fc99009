//! People and what they sign in with.

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    Doing, SqliteStore,
    row::{Columns, micros},
};
use crate::{
    clock::Timestamp,
    id::UserId,
    notice,
    person::{Name, OneTimeLink, Session, User},
    secret::Fingerprint,
    store::{
        ATTEMPT_REMEMBERED, INCIDENTS_KEPT, PersonStore, REVOCATIONS_KEPT, Redeemed, StoreError, UNDECIDED,
        Undecided,
    },
};

/// Good: not too old, for a person who is not disabled, or for the first person while there is nobody.
macro_rules! good_link {
    () => {
        "secret = $1 AND expires_at > $2
         AND CASE WHEN user_id IS NULL
             THEN NOT EXISTS (SELECT 1 FROM users)
             ELSE EXISTS (SELECT 1 FROM users WHERE users.id = one_time_links.user_id
                          AND users.disabled_at IS NULL)
             END"
    };
}

pub(super) const SESSION: &str =
    "SELECT s.started_at, s.seen_at, u.id, u.name, u.password, u.disabled_at, u.created_at
     FROM sessions s JOIN users u ON u.id = s.user_id
     WHERE s.id = $1 AND s.seen_at > $2 AND s.started_at > $3 AND u.disabled_at IS NULL";

#[async_trait]
impl PersonStore for SqliteStore {
    async fn has_users(&self) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM users LIMIT 1")
            .fetch_optional(&self.readers)
            .await
            .doing("look for people")?;
        Ok(row.is_some())
    }

    async fn user_by_name(&self, name: &Name) -> Result<Option<User>, StoreError> {
        let row =
            sqlx::query("SELECT id, name, password, disabled_at, created_at FROM users WHERE name = $1")
                .bind(name.as_str())
                .fetch_optional(&self.readers)
                .await
                .doing("find a person by name")?;
        row.as_ref().map(user).transpose()
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let row = sqlx::query("SELECT id, name, password, disabled_at, created_at FROM users WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing("find a person by id")?;
        row.as_ref().map(user).transpose()
    }

    async fn add_user(&self, user: &User) -> Result<bool, StoreError> {
        const DOING: &str = "add a person";
        let mut connection = self.writer.acquire().await.doing(DOING)?;
        insert_user(&mut connection, user).await.doing(DOING)
    }

    async fn set_password(
        &self,
        user: &UserId,
        hash: &str,
        keep: Option<&Fingerprint>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "set a password";
        let mut step = self.step(DOING).await?;
        write_password(&mut step, user, hash).await.doing(DOING)?;
        end_sessions(&mut step, user, keep).await.doing(DOING)?;
        step.commit().await.doing(DOING)
    }

    async fn rehash_password(&self, user: &UserId, old: &str, new: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET password = $3 WHERE id = $1 AND password = $2")
            .bind(user.as_str())
            .bind(old)
            .bind(new)
            .execute(&self.writer)
            .await
            .doing("renew the hash of a password")?;
        Ok(())
    }

    async fn disable_user(&self, user: &UserId, now: Timestamp) -> Result<bool, StoreError> {
        const DOING: &str = "disable a person";
        let mut step = self.step(DOING).await?;
        let found = sqlx::query("UPDATE users SET disabled_at = coalesce(disabled_at, $2) WHERE id = $1")
            .bind(user.as_str())
            .bind(now.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        end_sessions(&mut step, user, None).await.doing(DOING)?;
        forget_links(&mut step, Some(user)).await.doing(DOING)?;
        step.commit().await.doing(DOING)?;
        Ok(found.rows_affected() > 0)
    }

    async fn add_link(&self, link: &OneTimeLink) -> Result<(), StoreError> {
        const DOING: &str = "keep a one-time link";
        let mut step = self.step(DOING).await?;
        forget_links(&mut step, link.user.as_ref()).await.doing(DOING)?;
        sqlx::query("INSERT INTO one_time_links (secret, user_id, expires_at) VALUES ($1, $2, $3)")
            .bind(link.secret.0.as_slice())
            .bind(link.user.as_ref().map(UserId::as_str))
            .bind(link.expires_at.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        step.commit().await.doing(DOING)
    }

    async fn link(&self, secret: &Fingerprint, now: Timestamp) -> Result<Option<OneTimeLink>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT secret, user_id, expires_at FROM one_time_links WHERE ",
            good_link!()
        ))
        .bind(secret.0.as_slice())
        .bind(now.micros())
        .fetch_optional(&self.readers)
        .await
        .doing("find a one-time link")?;
        row.map(|row| {
            let mut columns = Columns::new(&row);
            Ok(OneTimeLink {
                secret: columns.fingerprint("one_time_links.secret")?,
                user: columns.optional_id("one_time_links.user_id")?,
                expires_at: columns.time("one_time_links.expires_at")?,
            })
        })
        .transpose()
    }

    async fn redeem_setup(
        &self,
        secret: &Fingerprint,
        user: &User,
        now: Timestamp,
    ) -> Result<Redeemed, StoreError> {
        const DOING: &str = "set up the first person";
        let mut step = self.step(DOING).await?;
        let used =
            sqlx::query(concat!("DELETE FROM one_time_links WHERE user_id IS NULL AND ", good_link!()))
                .bind(secret.0.as_slice())
                .bind(now.micros())
                .execute(&mut *step)
                .await
                .doing(DOING)?;
        if used.rows_affected() == 0 {
            return Ok(Redeemed::Spent);
        }
        if !insert_user(&mut step, user).await.doing(DOING)? {
            return Ok(Redeemed::NameTaken);
        }
        step.commit().await.doing(DOING)?;
        Ok(Redeemed::Yes)
    }

    async fn redeem_password(
        &self,
        secret: &Fingerprint,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        const DOING: &str = "set a password by a one-time link";
        let mut step = self.step(DOING).await?;
        let used = sqlx::query(concat!(
            "DELETE FROM one_time_links WHERE user_id IS NOT NULL AND ",
            good_link!(),
            " RETURNING user_id"
        ))
        .bind(secret.0.as_slice())
        .bind(now.micros())
        .fetch_all(&mut *step)
        .await
        .doing(DOING)?;
        let Some(row) = used.first() else { return Ok(None) };
        let user: UserId = Columns::new(row).id("one_time_links.user_id")?;
        write_password(&mut step, &user, hash).await.doing(DOING)?;
        end_sessions(&mut step, &user, None).await.doing(DOING)?;
        step.commit().await.doing(DOING)?;
        Ok(Some(user))
    }

    async fn count_failure(
        &self,
        bucket: &str,
        now: Timestamp,
        window_seconds: u32,
    ) -> Result<u32, StoreError> {
        let window = std::time::Duration::from_secs(window_seconds.into());
        // One statement, so no two can count from the same number.
        let rows = sqlx::query(
            "INSERT INTO counters (bucket, failures, ends_at) VALUES ($1, 1, $3)
             ON CONFLICT (bucket) DO UPDATE SET
                 failures = CASE WHEN counters.ends_at > $2 THEN counters.failures + 1 ELSE 1 END,
                 ends_at = CASE WHEN counters.ends_at > $2 THEN counters.ends_at ELSE excluded.ends_at END
             RETURNING failures",
        )
        .bind(bucket)
        .bind(now.micros())
        .bind(now.plus(window).micros())
        .fetch_all(&self.writer)
        .await
        .doing("count a failure")?;
        // There always is one. Without it, the answer that lets nobody guess is the highest.
        rows.first().map_or(Ok(u32::MAX), |row| Columns::new(row).read("counters.failures"))
    }

    async fn failures(&self, bucket: &str, now: Timestamp) -> Result<Option<(u32, Timestamp)>, StoreError> {
        let row = sqlx::query("SELECT failures, ends_at FROM counters WHERE bucket = $1 AND ends_at > $2")
            .bind(bucket)
            .bind(now.micros())
            .fetch_optional(&self.readers)
            .await
            .doing("read a count of failures")?;
        row.map(|row| {
            let mut columns = Columns::new(&row);
            Ok((columns.read("counters.failures")?, columns.time("counters.ends_at")?))
        })
        .transpose()
    }

    async fn take_back_failure(&self, bucket: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE counters SET failures = failures - 1 WHERE bucket = $1 AND ends_at > $2 AND failures > 0",
        )
        .bind(bucket)
        .bind(now.micros())
        .execute(&self.writer)
        .await
        .doing("take back a failure")?;
        Ok(())
    }

    async fn forgive(&self, bucket: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM counters WHERE bucket = $1")
            .bind(bucket)
            .execute(&self.writer)
            .await
            .doing("forgive failures")?;
        Ok(())
    }

    async fn start_session(&self, session: &Session) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO sessions (id, user_id, started_at, seen_at) VALUES ($1, $2, $3, $4)")
            .bind(session.id.0.as_slice())
            .bind(session.user.as_str())
            .bind(session.started_at.micros())
            .bind(session.seen_at.micros())
            .execute(&self.writer)
            .await
            .doing("start a session")?;
        Ok(())
    }

    async fn session(
        &self,
        id: &Fingerprint,
        idle_since: Timestamp,
        started_since: Timestamp,
    ) -> Result<Option<(Session, User)>, StoreError> {
        let row = sqlx::query(SESSION)
            .bind(id.0.as_slice())
            .bind(idle_since.micros())
            .bind(started_since.micros())
            .fetch_optional(&self.readers)
            .await
            .doing("find a session")?;
        row.map(|row| {
            let mut columns = Columns::new(&row);
            let started_at = columns.time("sessions.started_at")?;
            let seen_at = columns.time("sessions.seen_at")?;
            let user = read_user(&mut columns)?;
            Ok((Session { id: *id, user: user.id.clone(), started_at, seen_at }, user))
        })
        .transpose()
    }

    async fn touch_session(&self, id: &Fingerprint, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2")
            .bind(id.0.as_slice())
            .bind(now.micros())
            .execute(&self.writer)
            .await
            .doing("note that a session was used")?;
        Ok(())
    }

    async fn end_session(&self, id: &Fingerprint) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(id.0.as_slice())
            .execute(&self.writer)
            .await
            .doing("end a session")?;
        Ok(())
    }

    async fn sweep(
        &self,
        now: Timestamp,
        idle_since: Timestamp,
        started_since: Timestamp,
    ) -> Result<Vec<Undecided>, StoreError> {
        const DOING: &str = "forget what is over";
        let mut step = self.step(DOING).await?;
        sqlx::query("DELETE FROM sessions WHERE seen_at <= $1 OR started_at <= $2")
            .bind(idle_since.micros())
            .bind(started_since.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        for (statement, over) in [
            ("DELETE FROM one_time_links WHERE expires_at <= $1", now),
            ("DELETE FROM counters WHERE ends_at <= $1", now),
            ("DELETE FROM login_attempts WHERE begun_at <= $1", now.minus(super::access::PENDING)),
            ("DELETE FROM attempts_taken WHERE begun_at <= $1", now.minus(ATTEMPT_REMEMBERED)),
            ("DELETE FROM denials WHERE denied_at <= $1", now.minus(super::access::DENIED)),
            ("DELETE FROM incidents WHERE ended_at <= $1", now.minus(INCIDENTS_KEPT)),
            ("DELETE FROM revocations WHERE ended_at <= $1", now.minus(REVOCATIONS_KEPT)),
            // What waits to be delivered is.
            (
                "DELETE FROM events WHERE at <= $1 AND NOT EXISTS (
                     SELECT 1 FROM deliveries d WHERE d.event_id = events.id AND d.due_at IS NOT NULL)",
                now.minus(notice::KEPT),
            ),
            ("DELETE FROM refusals WHERE refused_at <= $1", now.minus(super::refusal::REMEMBERED)),
        ] {
            sqlx::query(statement).bind(over.micros()).execute(&mut *step).await.doing(DOING)?;
        }
        let undecided = super::access::drop_undecided(&mut step, now.minus(UNDECIDED), DOING).await?;
        step.commit().await.doing(DOING)?;
        self.empty_log().await;
        Ok(undecided)
    }
}

fn user(row: &SqliteRow) -> Result<User, StoreError> {
    read_user(&mut Columns::new(row))
}

/// `id, name, password, disabled_at, created_at`.
fn read_user(columns: &mut Columns<'_>) -> Result<User, StoreError> {
    Ok(User {
        id: columns.id("users.id")?,
        name: columns.name("users.name")?,
        password: columns.read("users.password")?,
        disabled_at: columns.optional_time("users.disabled_at")?,
        created_at: columns.time("users.created_at")?,
    })
}

/// `false` if the name is taken.
async fn insert_user(connection: &mut SqliteConnection, user: &User) -> Result<bool, sqlx::Error> {
    let added = sqlx::query(
        "INSERT INTO users (id, name, password, disabled_at, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(user.id.as_str())
    .bind(user.name.as_str())
    .bind(&user.password)
    .bind(micros(user.disabled_at))
    .bind(user.created_at.micros())
    .execute(connection)
    .await?;
    Ok(added.rows_affected() > 0)
}

async fn write_password(step: &mut SqliteConnection, user: &UserId, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE users SET password = $2 WHERE id = $1")
        .bind(user.as_str())
        .bind(hash)
        .execute(step)
        .await?;
    Ok(())
}

async fn end_sessions(
    step: &mut SqliteConnection,
    user: &UserId,
    keep: Option<&Fingerprint>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2")
        .bind(user.as_str())
        .bind(keep.map(|id| id.0.as_slice()))
        .execute(step)
        .await?;
    Ok(())
}

/// Of this person, or those that make the first one.
async fn forget_links(step: &mut SqliteConnection, user: Option<&UserId>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM one_time_links WHERE user_id IS NOT DISTINCT FROM $1")
        .bind(user.map(UserId::as_str))
        .execute(step)
        .await?;
    Ok(())
}
