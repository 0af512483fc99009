//! What became of credentials that nothing uses any more, and which of them are still to be ended at their providers.

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    Doing, SqliteStore,
    credential::method,
    notice,
    row::{Columns, micros},
};
use crate::{
    clock::Timestamp,
    credential::ProviderAccount,
    id::{CredentialId, OauthAppId, RuntimeId, UserId},
    notice::Kind,
    revocation::{Doubt, Outcome, Pending, Revocation},
    seal::Sealed,
    store::{
        Ending, LONGEST_RENEWAL, LONGEST_REVOCATION, LONGEST_WAIT, NewCredential, RevocationStore, StoreError,
    },
};

/// What [`read`] reads.
macro_rules! revocation_columns {
    () => {
        "id, user_id, runtime_id, provider_id, method, kind, oauth_app, generation, owner_id, owner_login, user_name, \
         asked_at, give_up_at, unknown_since, unknown_times, twin_id, outcome, ended_at, due_at,
         (SELECT json_group_array(w.runtime_id) FROM revocation_waits w WHERE w.credential_id = revocations.id) AS held_by"
    };
}

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn take_revocations(
        &self,
        only: Option<&CredentialId>,
        now: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<Pending>, StoreError> {
        let statement = concat!(
            "UPDATE revocations SET lease_until = $3, tries = tries + 1 WHERE id IN (
                 SELECT id FROM revocations WHERE (due_at <= $2 OR due_at > $6) AND (id = $1 OR $1 IS NULL)
                 AND (lease_until IS NULL OR lease_until <= $2 OR lease_until > $4)
                 ORDER BY due_at LIMIT $5)
             RETURNING ",
            revocation_columns!(),
            ", tries, sealed"
        );
        let rows = sqlx::query(statement)
            .bind(only.map(CredentialId::as_str))
            .bind(now.micros())
            .bind(until.micros())
            .bind(now.plus(LONGEST_REVOCATION).micros())
            .bind(most)
            .bind(now.plus(LONGEST_WAIT).micros())
            .fetch_all(&self.writer)
            .await
            .doing("take what is to be revoked")?;
        rows.iter().map(read_pending).collect()
    }

    async fn postpone_revocation(
        &self,
        id: &CredentialId,
        lease: Timestamp,
        due_at: Timestamp,
        doubt: Option<Doubt>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE revocations SET due_at = $3, unknown_since = $4, unknown_times = $5, lease_until = NULL
             WHERE id = $1 AND lease_until = $2 AND outcome IS NULL",
        )
        .bind(id.as_str())
        .bind(lease.micros())
        .bind(due_at.micros())
        .bind(micros(doubt.map(|doubt| doubt.since)))
        .bind(doubt.map_or(0, |doubt| doubt.times))
        .execute(&self.writer)
        .await
        .doing("put a revocation off")?;
        Ok(())
    }

    async fn end_revocation(
        &self,
        id: &CredentialId,
        lease: Timestamp,
        outcome: Outcome,
        twin: Option<&CredentialId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "note how a revocation ended";
        let mut step = self.step(DOING).await?;
        let ended = sqlx::query(
            "UPDATE revocations SET outcome = $3, ended_at = $4, twin_id = $5, due_at = NULL, lease_until = NULL,
                 sealed = NULL
             WHERE id = $1 AND lease_until = $2 AND outcome IS NULL
             RETURNING user_id, runtime_id, owner_login",
        )
        .bind(id.as_str())
        .bind(lease.micros())
        .bind(outcome.as_str())
        .bind(now.micros())
        .bind(twin.map(CredentialId::as_str))
        .fetch_optional(&mut *step)
        .await
        .doing(DOING)?;
        let Some(row) = ended else { return Ok(false) };
        let kind = match outcome {
            Outcome::Revoked => Some(Kind::EndedThere),
            Outcome::HandedOver => Some(Kind::HandedOver),
            Outcome::InUse | Outcome::ByHand | Outcome::GivenUp => None,
        };
        if let Some(kind) = kind {
            let mut columns = Columns::new(&row);
            let user = columns.id("revocations.user_id")?;
            let runtime = columns.id("revocations.runtime_id")?;
            let login = columns.read("revocations.owner_login")?;
            notice::remember(&mut step, &user, &runtime, kind, login, now, DOING).await?;
        }
        step.commit().await.doing(DOING)?;
        self.empty_log().await;
        Ok(true)
    }

    async fn end_holding(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        uses: &CredentialId,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "note that a runtime has let go of a token";
        let mut step = self.step(DOING).await?;
        let let_go = sqlx::query(
            "DELETE FROM revocation_waits WHERE runtime_id = $2
             AND credential_id IN (SELECT id FROM revocations WHERE user_id = $1 AND id <> $3 AND asked_at <= $4)
             RETURNING credential_id",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .bind(uses.as_str())
        .bind(now.micros())
        .fetch_all(&mut *step)
        .await
        .doing(DOING)?;
        let mut due = 0;
        for row in &let_go {
            let id: CredentialId = Columns::new(row).id("revocation_waits.credential_id")?;
            due += let_go_of(&mut step, &id, now).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        Ok(due)
    }

    async fn only_held_by(
        &self,
        credential: &CredentialId,
        runtimes: &[RuntimeId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const DOING: &str = "note which runtimes hold a token";
        let mut step = self.step(DOING).await?;
        let waits = sqlx::query("SELECT runtime_id FROM revocation_waits WHERE credential_id = $1")
            .bind(credential.as_str())
            .fetch_all(&mut *step)
            .await
            .doing(DOING)?;
        for row in &waits {
            let runtime: RuntimeId = Columns::new(row).id("revocation_waits.runtime_id")?;
            if !runtimes.contains(&runtime) {
                sqlx::query("DELETE FROM revocation_waits WHERE credential_id = $1 AND runtime_id = $2")
                    .bind(credential.as_str())
                    .bind(runtime.as_str())
                    .execute(&mut *step)
                    .await
                    .doing(DOING)?;
            }
        }
        if !waits.is_empty() {
            let_go_of(&mut step, credential, now).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)
    }

    async fn revocations(&self, user: &UserId, since: Timestamp) -> Result<Vec<Revocation>, StoreError> {
        let statement = concat!(
            "SELECT ",
            revocation_columns!(),
            " FROM revocations WHERE user_id = $1 AND (outcome IS NULL OR ended_at >= $2)
              ORDER BY asked_at DESC, id"
        );
        let rows = sqlx::query(statement)
            .bind(user.as_str())
            .bind(since.micros())
            .fetch_all(&self.readers)
            .await
            .doing("read what became of tokens")?;
        rows.iter().map(|row| read(&mut Columns::new(row))).collect()
    }

    async fn all_revocations(&self) -> Result<Vec<Pending>, StoreError> {
        let statement = concat!(
            "SELECT ",
            revocation_columns!(),
            ", tries, sealed FROM revocations WHERE sealed IS NOT NULL ORDER BY id"
        );
        let rows =
            sqlx::query(statement).fetch_all(&self.readers).await.doing("read all that is to be revoked")?;
        rows.iter().map(read_pending).collect()
    }

    async fn authorizing(&self, app: &OauthAppId, since: Timestamp) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM login_attempts WHERE oauth_app = $1 AND begun_at > $2
             UNION ALL SELECT 1 FROM attempts_taken WHERE oauth_app = $1 AND begun_at > $2 LIMIT 1",
        )
        .bind(app.as_str())
        .bind(since.micros())
        .fetch_optional(&self.readers)
        .await
        .doing("look for authorizations under way")?;
        Ok(row.is_some())
    }
}

/// A runtime less holds what is to be revoked; if that was the last one, it is due.
async fn let_go_of(
    step: &mut SqliteConnection,
    id: &CredentialId,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE revocations SET due_at = $2 WHERE id = $1 AND outcome IS NULL AND tries = 0 AND due_at > $2
         AND NOT EXISTS (SELECT 1 FROM revocation_waits w WHERE w.credential_id = revocations.id)",
    )
    .bind(id.as_str())
    .bind(now.micros())
    .execute(step)
    .await?;
    Ok(changed.rows_affected())
}

/// Before a credential goes that nothing uses any more: notes what is to become of it. While something uses it, only
/// that is noted, and it stays.
pub(super) async fn begin(
    step: &mut SqliteConnection,
    user: &UserId,
    ending: &Ending,
) -> Result<(), sqlx::Error> {
    let statement = "
        INSERT INTO revocations (id, user_id, runtime_id, provider_id, method, kind, oauth_app, generation, owner_id,
            owner_login, user_name, asked_at, give_up_at, due_at, tries, outcome, ended_at, sealed)
        SELECT id, user_id, $3, provider_id, method, kind, oauth_app, generation, owner_id, owner_login, user_name,
            $4, coalesce($5, $4),
            -- Somebody renews it: what comes of that is to be revoked as well.
            CASE WHEN outcome IS NULL THEN
                CASE WHEN lease_until > $4 AND lease_until <= $6 THEN lease_until ELSE $4 END END,
            0, outcome, CASE WHEN outcome IS NOT NULL THEN $4 END, CASE WHEN outcome IS NULL THEN sealed END
        FROM (
            SELECT c.*, CASE
                WHEN EXISTS (SELECT 1 FROM assignments a WHERE a.credential_id = c.id)
                    OR EXISTS (SELECT 1 FROM assignments a WHERE a.proposed_id = c.id) THEN 'in-use'
                WHEN $5 IS NULL THEN 'by-hand' END AS outcome
            FROM credentials c WHERE c.id = $1 AND c.user_id = $2)
        -- That it still serves others is worth a word to those who wanted it to end, and to nobody else.
        WHERE outcome IS DISTINCT FROM 'in-use' OR $5 IS NOT NULL
        ON CONFLICT (id) DO UPDATE SET
            runtime_id = excluded.runtime_id, kind = excluded.kind, oauth_app = excluded.oauth_app,
            generation = excluded.generation, owner_id = excluded.owner_id, owner_login = excluded.owner_login,
            user_name = excluded.user_name, asked_at = excluded.asked_at, give_up_at = excluded.give_up_at,
            due_at = excluded.due_at, tries = 0, unknown_since = NULL, unknown_times = 0, twin_id = NULL,
            outcome = excluded.outcome, ended_at = excluded.ended_at, sealed = excluded.sealed";
    sqlx::query(statement)
        .bind(ending.credential.as_str())
        .bind(user.as_str())
        .bind(ending.runtime.as_str())
        .bind(ending.at.micros())
        .bind(micros(ending.revoke_until))
        .bind(ending.at.plus(LONGEST_RENEWAL).micros())
        .execute(&mut *step)
        .await?;
    sqlx::query("DELETE FROM revocation_waits WHERE credential_id = $1")
        .bind(ending.credential.as_str())
        .execute(&mut *step)
        .await?;
    for runtime in &ending.held_by {
        sqlx::query(
            "INSERT INTO revocation_waits (credential_id, runtime_id)
             SELECT v.id, r.id FROM revocations v, runtimes r
             WHERE v.id = $1 AND v.user_id = $2 AND v.outcome IS NULL AND r.id = $3",
        )
        .bind(ending.credential.as_str())
        .bind(user.as_str())
        .bind(runtime.as_str())
        .execute(&mut *step)
        .await?;
    }
    sqlx::query(
        "UPDATE revocations SET due_at = CASE WHEN due_at > $2 THEN due_at ELSE $2 END WHERE id = $1
         AND EXISTS (SELECT 1 FROM revocation_waits w WHERE w.credential_id = revocations.id)",
    )
    .bind(ending.credential.as_str())
    .bind(ending.held_until.micros())
    .execute(step)
    .await?;
    Ok(())
}

/// A renewal that was under way when its credential was deleted has brought new secrets. The credential stays deleted,
/// but where it was to be revoked it is those that must be: at once, and again if the old ones have been.
pub(super) async fn renewed(step: &mut SqliteConnection, new: &NewCredential) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE revocations SET generation = $4, sealed = $5, lease_until = NULL,
             due_at = CASE WHEN EXISTS (SELECT 1 FROM revocation_waits w WHERE w.credential_id = revocations.id)
                 THEN coalesce(due_at, asked_at) ELSE asked_at END,
             unknown_since = NULL, unknown_times = 0, outcome = NULL, ended_at = NULL
         WHERE id = $1 AND user_id = $2 AND provider_id = $3 AND generation = $4 - 1
         AND (outcome IS NULL OR outcome IN ('revoked', 'handed-over', 'given-up'))",
    )
    .bind(new.credential.id.as_str())
    .bind(new.credential.user.as_str())
    .bind(new.credential.provider.as_str())
    .bind(new.credential.generation)
    .bind(&new.sealed.0)
    .execute(step)
    .await?;
    Ok(())
}

/// A renewal that was under way has brought nothing: there is nothing to wait for any more.
pub(super) async fn not_renewed(
    step: &mut SqliteConnection,
    id: &CredentialId,
    generation: i64,
    until: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE revocations SET due_at = asked_at WHERE id = $1 AND generation = $2 AND due_at = $3 AND tries = 0",
    )
    .bind(id.as_str())
    .bind(generation)
    .bind(until.micros())
    .execute(step)
    .await?;
    Ok(())
}

/// What `revocation_columns!` selects, then `tries, sealed`.
fn read_pending(row: &SqliteRow) -> Result<Pending, StoreError> {
    let mut columns = Columns::new(row);
    Ok(Pending {
        revocation: read(&mut columns)?,
        tries: columns.read("revocations.tries")?,
        sealed: Sealed(columns.read("revocations.sealed")?),
    })
}

/// What `revocation_columns!` selects.
fn read(columns: &mut Columns<'_>) -> Result<Revocation, StoreError> {
    Ok(Revocation {
        credential: columns.id("revocations.id")?,
        user: columns.id("revocations.user_id")?,
        runtime: columns.id("revocations.runtime_id")?,
        provider: columns.id("revocations.provider_id")?,
        method: method(columns.read("revocations.method")?)?,
        kind: columns.read("revocations.kind")?,
        oauth_app: columns.optional_id("revocations.oauth_app")?,
        generation: columns.read("revocations.generation")?,
        owner: ProviderAccount {
            id: columns.read("revocations.owner_id")?,
            login: columns.read("revocations.owner_login")?,
        },
        user_name: columns.read("revocations.user_name")?,
        asked_at: columns.time("revocations.asked_at")?,
        give_up_at: columns.time("revocations.give_up_at")?,
        doubt: {
            let since = columns.optional_time("revocations.unknown_since")?;
            let times = columns.read("revocations.unknown_times")?;
            since.map(|since| Doubt { since, times })
        },
        twin: columns.optional_id("revocations.twin_id")?,
        ended: match columns.read::<Option<&str>>("revocations.outcome")? {
            None => {
                columns.optional_time("revocations.ended_at")?;
                None
            }
            Some(outcome) => {
                let outcome = Outcome::parse(outcome).ok_or_else(|| StoreError::Unreadable {
                    column: "revocations.outcome",
                    problem: "not a known outcome".to_owned(),
                })?;
                Some((outcome, columns.time("revocations.ended_at")?))
            }
        },
        due_at: columns.optional_time("revocations.due_at")?,
        held_by: columns.json("revocation_waits.runtime_id")?,
    })
}
