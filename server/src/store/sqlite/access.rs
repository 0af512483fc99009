//! What users authorized: which credential serves which runtime.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use serde::Deserialize;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    Doing, SqliteStore,
    credential::{self, credential_columns},
    declaration, login,
    notice::{self, hidden},
    row::{Columns, json, optional_json, parse},
};
use crate::{
    catalogue::{Account, Declaration, Runtime},
    clock::Timestamp,
    credential::{Access, Attempt, Credential, Push, Standing},
    failpoint,
    id::{AccountId, CredentialId, OauthAppId, ProviderId, RuntimeId, UserId},
    notice::Kind,
    secret::Fingerprint,
    store::{AccessStore, Applied, Deleted, Ending, Lease, NewCredential, StoreError, Undecided},
};

/// How long an attempt lives.
pub(super) const PENDING: Duration = Duration::from_mins(10);
/// How long the page says that one was denied.
pub(super) const DENIED: Duration = Duration::from_hours(24);

/// The runtimes `r` that a user `u` may see: by name, in accounts `a`, all of it enabled. Whatever concerns a
/// runtime of a user asks this, so that there is one rule.
macro_rules! visible {
    () => {
        " FROM users u
         JOIN members m ON m.user_name = u.name AND m.disabled_at IS NULL AND u.disabled_at IS NULL
         JOIN accounts a ON a.id = m.account_id AND a.disabled_at IS NULL
         JOIN runtimes r ON r.account_id = a.id AND r.disabled_at IS NULL
         JOIN providers p ON p.id = r.provider_id AND p.disabled_at IS NULL "
    };
}

pub(super) use visible;

/// Everything that a row of the page shows, in one statement: two rows for a runtime whose credential in use has a
/// proposed one next to it. A credential of another provider than the runtime's is none: the declaration may have moved
/// the runtime, and a token never follows it to another host.
///
/// Packed into one JSON array, because every page asks it: handing 50 rows of 29 columns from thread to thread took more
/// than half of the time.
macro_rules! access_row {
    () => {
        concat!(
            "json_array(
                 r.id, r.account_id, r.name, r.provider_id, r.oauth_app, r.repository, r.scopes, a.name,
                 s.push, ",
            hidden!("$4"),
            ", q.until, d.denied_at, l.begun_at, c.checking_until,
                 c.id IS s.credential_id, c.id IS s.proposed_id,
                 CASE WHEN c.id IS NOT NULL THEN json_array(",
            credential_columns!(),
            ") END)"
        )
    };
}
pub(super) use access_row;

/// From [`visible`] runtimes to that row. `$2`: attempts begun later are pending; `$3`: denials later than this show;
/// `$4`: now.
macro_rules! access_joins {
    () => {
        "LEFT JOIN assignments s ON s.user_id = u.id AND s.runtime_id = r.id
         LEFT JOIN credentials c ON c.id IN (s.credential_id, s.proposed_id)
             AND c.user_id = u.id AND c.provider_id = r.provider_id
         LEFT JOIN mutes q ON q.user_id = u.id AND q.runtime_id = r.id
         LEFT JOIN denials d ON d.user_id = u.id AND d.runtime_id = r.id AND d.denied_at > $3
         LEFT JOIN login_attempts l ON l.user_id = u.id AND l.runtime_id = r.id AND l.pending = 1
             AND l.begun_at > $2 "
    };
}
pub(super) use access_joins;

macro_rules! accesses {
    () => {
        concat!(
            "SELECT json_group_array(",
            access_row!(),
            ")",
            visible!(),
            access_joins!(),
            "WHERE u.id = $1"
        )
    };
}
pub(super) const ACCESSES: &str = accesses!();
const ACCESS: &str = concat!(accesses!(), " AND r.id = $5");

#[async_trait]
impl AccessStore for SqliteStore {
    async fn apply(&self, declaration: &Declaration, now: Timestamp) -> Result<Applied, StoreError> {
        const DOING: &str = "apply the declaration";
        let mut step = self.step(DOING).await?;
        let plan = declaration::plan(&mut step, declaration, DOING).await?;
        let applied = plan.carry_out(&mut step, now, DOING).await?;
        if !applied.enabled.is_empty() || !applied.changed.is_empty() {
            notice::mark_all(&mut step).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        self.stirred.notify_one();
        Ok(applied)
    }

    async fn would_apply(&self, declaration: &Declaration) -> Result<Applied, StoreError> {
        const DOING: &str = "compare the declaration";
        // One moment, in which nothing is written.
        let mut moment = self.readers.begin().await.doing(DOING)?;
        let plan = declaration::plan(&mut moment, declaration, DOING).await?;
        moment.rollback().await.doing(DOING)?;
        Ok(plan.applied)
    }

    async fn accesses(&self, user: &UserId, now: Timestamp) -> Result<Vec<Access>, StoreError> {
        let row = sqlx::query(ACCESSES)
            .bind(user.as_str())
            .bind(now.minus(PENDING).micros())
            .bind(now.minus(DENIED).micros())
            .bind(now.micros())
            .fetch_one(&self.readers)
            .await
            .doing("read the runtimes of a user")?;
        collect(&row)
    }

    async fn access(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<Option<Access>, StoreError> {
        let row = sqlx::query(ACCESS)
            .bind(user.as_str())
            .bind(now.minus(PENDING).micros())
            .bind(now.minus(DENIED).micros())
            .bind(now.micros())
            .bind(runtime.as_str())
            .fetch_one(&self.readers)
            .await
            .doing("read one runtime of a user")?;
        collect(&row).map(|mut accesses| accesses.pop())
    }

    async fn credential(&self, user: &UserId, id: &CredentialId) -> Result<Option<Credential>, StoreError> {
        self.find_credential(user, id).await
    }

    async fn sealed(&self, id: &CredentialId) -> Result<Option<NewCredential>, StoreError> {
        self.find_sealed(id).await
    }

    async fn all_sealed(&self) -> Result<Vec<NewCredential>, StoreError> {
        self.find_all_sealed().await
    }

    async fn sealed_of(
        &self,
        provider: &ProviderId,
        owner_id: &str,
    ) -> Result<Vec<NewCredential>, StoreError> {
        self.find_sealed_of(provider, owner_id).await
    }

    async fn origins(&self) -> Result<HashMap<ProviderId, String>, StoreError> {
        let rows = sqlx::query("SELECT id, origin FROM providers")
            .fetch_all(&self.readers)
            .await
            .doing("read the origins of providers")?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::new(row);
                Ok((columns.id("providers.id")?, columns.read("providers.origin")?))
            })
            .collect()
    }

    async fn grant(
        &self,
        user: &UserId,
        app: &OauthAppId,
        owner_id: &str,
    ) -> Result<Option<Credential>, StoreError> {
        self.find_grant(user, app, owner_id).await
    }

    async fn keep(
        &self,
        new: &NewCredential,
        runtimes: &[(RuntimeId, Option<Push>)],
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError> {
        const DOING: &str = "keep a credential";
        let Credential { id, user, provider, .. } = &new.credential;
        let mut step = self.step(DOING).await?;
        failpoint::reached("keep.begun");
        if !credential::write(&mut step, new, DOING).await? {
            return Ok(None);
        }
        failpoint::reached("keep.written");
        // Those that use it already have a new secret from here on, whether they are named or not.
        let mut with_it = users_of(&mut step, id).await.doing(DOING)?;
        let served = use_for(&mut step, user, provider, id, runtimes, Take::FIRST, now, DOING).await?;
        failpoint::reached("keep.assigned");
        if let Some(served) = &served {
            with_it.retain(|runtime| !served.contains(runtime));
            for runtime in &with_it {
                let login = Some(new.credential.owner.login.clone());
                notice::own(&mut step, user, runtime, Kind::Replaced, login, now, DOING).await?;
            }
            credential::forget_unused(&mut step, user, before).await.doing(DOING)?;
            failpoint::reached("keep.forgotten");
            step.commit().await.doing(DOING)?;
            failpoint::reached("keep.committed");
            self.stirred.notify_one();
        }
        Ok(served)
    }

    async fn assign(
        &self,
        user: &UserId,
        credential: &CredentialId,
        runtimes: &[(RuntimeId, Option<Push>)],
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError> {
        self.use_known(user, credential, runtimes, Take::FIRST, before, now).await
    }

    async fn share(
        &self,
        user: &UserId,
        credential: &CredentialId,
        runtimes: &[(RuntimeId, Option<Push>)],
        instead: Option<&CredentialId>,
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError> {
        self.use_known(user, credential, runtimes, Take { first: false, instead }, before, now).await
    }

    async fn propose(
        &self,
        new: &NewCredential,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "keep a credential aside";
        let Credential { id, user, provider, .. } = &new.credential;
        let mut step = self.step(DOING).await?;
        if !credential::write(&mut step, new, DOING).await?
            || !may_use(&mut step, user, provider, runtime).await.doing(DOING)?
        {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO assignments (user_id, runtime_id, proposed_id, proposed_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, runtime_id) DO UPDATE SET
                 proposed_id = excluded.proposed_id, proposed_at = excluded.proposed_at",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .bind(id.as_str())
        .bind(now.micros())
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        forget_attempts(&mut step, user, runtime).await.doing(DOING)?;
        credential::forget_unused(&mut step, user, None).await.doing(DOING)?;
        notice::mark(&mut step, user.as_str(), runtime.as_str()).await.doing(DOING)?;
        step.commit().await.doing(DOING)?;
        self.stirred.notify_one();
        Ok(true)
    }

    async fn settle(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        take: bool,
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "settle a proposed credential";
        let mut step = self.step(DOING).await?;
        let settled = if take {
            // Not if the runtime has moved to another provider meanwhile.
            sqlx::query(
                "UPDATE assignments SET credential_id = proposed_id, proposed_id = NULL, push = NULL
                 WHERE user_id = $1 AND runtime_id = $2 AND proposed_id IS NOT NULL
                 AND EXISTS (SELECT 1 FROM credentials c JOIN runtimes r ON r.provider_id = c.provider_id
                             WHERE c.id = assignments.proposed_id AND r.id = assignments.runtime_id)",
            )
            .bind(user.as_str())
            .bind(runtime.as_str())
            .execute(&mut *step)
            .await
            .doing(DOING)?
            .rows_affected()
        } else {
            let mut dropped = 0;
            for statement in [
                "DELETE FROM assignments WHERE user_id = $1 AND runtime_id = $2
                 AND proposed_id IS NOT NULL AND credential_id IS NULL",
                "UPDATE assignments SET proposed_id = NULL WHERE user_id = $1 AND runtime_id = $2
                 AND proposed_id IS NOT NULL",
            ] {
                dropped += sqlx::query(statement)
                    .bind(user.as_str())
                    .bind(runtime.as_str())
                    .execute(&mut *step)
                    .await
                    .doing(DOING)?
                    .rows_affected();
            }
            dropped
        };
        if settled == 0 {
            return Ok(false);
        }
        if take {
            let login = login_in_use(&mut step, user, runtime).await.doing(DOING)?;
            notice::own(&mut step, user, runtime, Kind::Replaced, login, now, DOING).await?;
        } else {
            notice::mark(&mut step, user.as_str(), runtime.as_str()).await.doing(DOING)?;
        }
        credential::forget_unused(&mut step, user, before).await.doing(DOING)?;
        step.commit().await.doing(DOING)?;
        self.stirred.notify_one();
        Ok(true)
    }

    async fn delete(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        ending: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Deleted>, StoreError> {
        const DOING: &str = "delete a token";
        let mut step = self.step(DOING).await?;
        let login = login_in_use(&mut step, user, runtime).await.doing(DOING)?;
        let deleted = sqlx::query(
            "DELETE FROM assignments WHERE user_id = $1 AND runtime_id = $2 AND credential_id IS NOT NULL
             RETURNING credential_id",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .fetch_all(&mut *step)
        .await
        .doing(DOING)?;
        let Some(row) = deleted.first() else { return Ok(None) };
        failpoint::reached("delete.unassigned");
        let credential: CredentialId = Columns::new(row).id("assignments.credential_id")?;
        credential::forget_unused(&mut step, user, ending).await.doing(DOING)?;
        failpoint::reached("delete.forgotten");
        let left = sqlx::query("SELECT 1 FROM credentials WHERE id = $1")
            .bind(credential.as_str())
            .fetch_optional(&mut *step)
            .await
            .doing(DOING)?;
        // An authorization that is still under way would bring a token back that the user has just deleted.
        sqlx::query("DELETE FROM login_attempts WHERE user_id = $1 AND runtime_id = $2")
            .bind(user.as_str())
            .bind(runtime.as_str())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        forget_attempts(&mut step, user, runtime).await.doing(DOING)?;
        notice::own(&mut step, user, runtime, Kind::Deleted, login, now, DOING).await?;
        failpoint::reached("delete.done");
        step.commit().await.doing(DOING)?;
        failpoint::reached("delete.committed");
        self.stirred.notify_one();
        let credential_gone = left.is_none();
        if credential_gone {
            self.empty_log().await;
            failpoint::reached("delete.emptied");
        }
        Ok(Some(Deleted { credential_gone }))
    }

    async fn user_name(&self, user: &UserId, provider: &ProviderId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT user_name FROM user_names WHERE user_id = $1 AND provider_id = $2")
            .bind(user.as_str())
            .bind(provider.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing("read a user name")
    }

    async fn record(&self, credential: &Credential, seen: &Standing) -> Result<bool, StoreError> {
        self.write_verdict(credential, seen).await
    }

    async fn record_push(
        &self,
        credential: &CredentialId,
        runtime: &RuntimeId,
        push: &Push,
    ) -> Result<(), StoreError> {
        const DOING: &str = "note what the provider said about a repository";
        let mut step = self.step(DOING).await?;
        let changed = sqlx::query(
            "UPDATE assignments SET push = $3
             WHERE credential_id = $1 AND runtime_id = $2 AND push IS DISTINCT FROM $3 RETURNING user_id",
        )
        .bind(credential.as_str())
        .bind(runtime.as_str())
        .bind(json("assignments.push", push)?)
        .fetch_all(&mut *step)
        .await
        .doing(DOING)?;
        if changed.is_empty() {
            // As it is nearly always: nothing to wait for the disk for.
            return step.rollback().await.doing(DOING);
        }
        for row in &changed {
            let user = Columns::new(row).read("assignments.user_id")?;
            notice::mark(&mut step, user, runtime.as_str()).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        self.stirred.notify_one();
        Ok(())
    }

    async fn another_passed(
        &self,
        provider: &ProviderId,
        but: &CredentialId,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        self.find_another_that_passed(provider, but, since).await
    }

    async fn lease_refresh(
        &self,
        id: &CredentialId,
        generation: i64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, StoreError> {
        self.take_lease(id, generation, now, until).await
    }

    async fn renew(&self, new: &NewCredential, lease: Timestamp) -> Result<bool, StoreError> {
        self.write_renewed(new, lease).await
    }

    async fn release_refresh(
        &self,
        id: &CredentialId,
        generation: i64,
        until: Timestamp,
        lost_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.end_lease(id, generation, until, lost_at).await
    }

    async fn refuse(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
        refusal: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.keep_refusal(session, runtime, refusal, now).await
    }

    async fn refusal(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
        since: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        self.find_refusal(session, runtime, since).await
    }

    async fn forget_refusal(&self, session: &Fingerprint, runtime: &RuntimeId) -> Result<(), StoreError> {
        self.drop_refusal(session, runtime).await
    }
}

impl SqliteStore {
    /// Uses a credential that is there.
    async fn use_known(
        &self,
        user: &UserId,
        credential: &CredentialId,
        runtimes: &[(RuntimeId, Option<Push>)],
        take: Take<'_>,
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError> {
        const DOING: &str = "use a credential for further runtimes";
        let mut step = self.step(DOING).await?;
        let row = sqlx::query("SELECT provider_id FROM credentials WHERE id = $1 AND user_id = $2")
            .bind(credential.as_str())
            .bind(user.as_str())
            .fetch_optional(&mut *step)
            .await
            .doing(DOING)?;
        let Some(row) = row else { return Ok(None) };
        let provider = Columns::new(&row).id("credentials.provider_id")?;
        let served = use_for(&mut step, user, &provider, credential, runtimes, take, now, DOING).await?;
        if served.is_some() {
            credential::forget_unused(&mut step, user, before).await.doing(DOING)?;
            step.commit().await.doing(DOING)?;
            self.stirred.notify_one();
        }
        Ok(served)
    }
}

/// What a credential may replace.
#[derive(Clone, Copy)]
struct Take<'a> {
    /// Whatever the first runtime used before.
    first: bool,
    /// This one, at any of them.
    instead: Option<&'a CredentialId>,
}

impl Take<'_> {
    const FIRST: Self = Self { first: true, instead: None };
}

/// Uses a credential for runtimes in place of what it may replace, and answers which. `None` if one of them is not
/// the user's, or not at that provider. The question about the further ones is part of the statement that takes them:
/// they were chosen a moment ago, and another tab may have given one a token since.
#[expect(clippy::too_many_arguments, reason = "a step of the business, and who takes it when")]
async fn use_for(
    step: &mut SqliteConnection,
    user: &UserId,
    provider: &ProviderId,
    credential: &CredentialId,
    runtimes: &[(RuntimeId, Option<Push>)],
    take: Take<'_>,
    now: Timestamp,
    doing: &'static str,
) -> Result<Option<Vec<RuntimeId>>, StoreError> {
    let mut served = Vec::with_capacity(runtimes.len());
    for (place, (runtime, push)) in runtimes.iter().enumerate() {
        if !may_use(step, user, provider, runtime).await.doing(doing)? {
            return Ok(None);
        }
        let had_one = login_in_use(step, user, runtime).await.doing(doing)?.is_some();
        let taken = sqlx::query(
            "INSERT INTO assignments (user_id, runtime_id, credential_id, push) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, runtime_id) DO UPDATE SET
                 credential_id = excluded.credential_id, proposed_id = NULL, push = excluded.push
             WHERE $5 OR NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = assignments.credential_id
                                     AND c.provider_id = $6 AND c.id <> excluded.credential_id AND c.id IS NOT $7)",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .bind(credential.as_str())
        .bind(optional_json("assignments.push", push.as_ref())?)
        .bind(take.first && place == 0)
        .bind(provider.as_str())
        .bind(take.instead.map(CredentialId::as_str))
        .execute(&mut *step)
        .await
        .doing(doing)?;
        if taken.rows_affected() > 0 {
            forget_attempts(step, user, runtime).await.doing(doing)?;
            let kind = if had_one { Kind::Replaced } else { Kind::Added };
            let login = login_in_use(step, user, runtime).await.doing(doing)?;
            notice::own(step, user, runtime, kind, login, now, doing).await?;
            served.push(runtime.clone());
        }
    }
    Ok(Some(served))
}

/// Drops what was proposed at `since` or before, as if its user had. Answers what that was.
pub(super) async fn drop_undecided(
    step: &mut SqliteConnection,
    since: Timestamp,
    doing: &'static str,
) -> Result<Vec<Undecided>, StoreError> {
    let rows = sqlx::query(
        "SELECT s.user_id, s.runtime_id, r.account_id, s.proposed_id FROM assignments s
         JOIN runtimes r ON r.id = s.runtime_id WHERE s.proposed_id IS NOT NULL AND s.proposed_at <= $1",
    )
    .bind(since.micros())
    .fetch_all(&mut *step)
    .await
    .doing(doing)?;
    let undecided = |row| {
        let mut columns = Columns::new(row);
        Ok::<_, StoreError>(Undecided {
            user: columns.id("assignments.user_id")?,
            runtime: columns.id("assignments.runtime_id")?,
            account: columns.id("runtimes.account_id")?,
            credential: columns.id("assignments.proposed_id")?,
        })
    };
    let dropped = rows.iter().map(undecided).collect::<Result<Vec<_>, _>>()?;
    if dropped.is_empty() {
        return Ok(dropped);
    }
    for statement in [
        "DELETE FROM assignments WHERE proposed_id IS NOT NULL AND proposed_at <= $1 AND credential_id IS NULL",
        "UPDATE assignments SET proposed_id = NULL WHERE proposed_id IS NOT NULL AND proposed_at <= $1",
    ] {
        sqlx::query(statement).bind(since.micros()).execute(&mut *step).await.doing(doing)?;
    }
    let mut users = BTreeSet::new();
    for Undecided { user, runtime, .. } in &dropped {
        notice::mark(step, user.as_str(), runtime.as_str()).await.doing(doing)?;
        users.insert(user);
    }
    for user in users {
        credential::forget_unused(step, user, None).await.doing(doing)?;
    }
    Ok(dropped)
}

/// Whether it is a runtime of the user, at that provider.
async fn may_use(
    step: &mut SqliteConnection,
    user: &UserId,
    provider: &ProviderId,
    runtime: &RuntimeId,
) -> Result<bool, sqlx::Error> {
    let row =
        sqlx::query(concat!("SELECT 1", visible!(), "WHERE u.id = $1 AND r.id = $2 AND r.provider_id = $3"))
            .bind(user.as_str())
            .bind(runtime.as_str())
            .bind(provider.as_str())
            .fetch_optional(step)
            .await?;
    Ok(row.is_some())
}

/// Whose token a runtime of the user uses, at the provider.
async fn login_in_use(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT c.owner_login FROM assignments s JOIN credentials c ON c.id = s.credential_id
         WHERE s.user_id = $1 AND s.runtime_id = $2",
    )
    .bind(user.as_str())
    .bind(runtime.as_str())
    .fetch_optional(step)
    .await
}

/// The runtimes that use a credential.
async fn users_of(
    step: &mut SqliteConnection,
    credential: &CredentialId,
) -> Result<Vec<RuntimeId>, sqlx::Error> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT runtime_id FROM assignments WHERE credential_id = $1")
        .bind(credential.as_str())
        .fetch_all(step)
        .await?;
    Ok(ids.into_iter().map(RuntimeId).collect())
}

/// How earlier attempts for a runtime went no longer matters, in any of the user's browsers.
async fn forget_attempts(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
) -> Result<(), sqlx::Error> {
    login::forget(step, user, runtime).await?;
    sqlx::query(
        "DELETE FROM refusals WHERE runtime_id = $2
         AND session_id IN (SELECT id FROM sessions WHERE user_id = $1)",
    )
    .bind(user.as_str())
    .bind(runtime.as_str())
    .execute(step)
    .await?;
    Ok(())
}

/// Sorted here: engines disagree on the order of letters.
fn collect(row: &SqliteRow) -> Result<Vec<Access>, StoreError> {
    let packed: Vec<Packed> = Columns::new(row).json("accesses")?;
    let mut accesses = packed.into_iter().map(Packed::unpack).collect::<Result<Vec<_>, _>>()?;
    merge(&mut accesses);
    Ok(accesses)
}

/// Rows of one user into what they say: two for a runtime with a proposed credential become one.
pub(super) fn merge(accesses: &mut Vec<Access>) {
    accesses.sort_by(|one, other| key(one).cmp(&key(other)));
    accesses.dedup_by(|later, first| {
        let same = later.runtime.id == first.runtime.id;
        if same {
            first.credential = first.credential.take().or(later.credential.take());
            first.proposed = first.proposed.take().or(later.proposed.take());
            first.asked_until = first.asked_until.or(later.asked_until);
        }
        same
    });
    for access in accesses {
        // Said to a credential that is not in use here, or no longer.
        access.push = access.push.take().filter(|_| access.credential.is_some());
    }
}

fn key(access: &Access) -> [&str; 4] {
    [&access.account.name, access.account.id.as_str(), &access.runtime.name, access.runtime.id.as_str()]
}

/// `access_row!`, in its order.
#[derive(Deserialize)]
pub(super) struct Packed {
    runtime: RuntimeId,
    account: AccountId,
    name: String,
    provider: ProviderId,
    oauth_app: Option<OauthAppId>,
    repository: Option<String>,
    scopes: Option<String>,
    account_name: String,
    push: Option<String>,
    muted: i64,
    muted_until: Option<Timestamp>,
    denied_at: Option<Timestamp>,
    begun_at: Option<Timestamp>,
    asked_until: Option<Timestamp>,
    in_use: i64,
    proposed: i64,
    credential: Option<credential::Packed>,
}

impl Packed {
    pub(super) fn unpack(self) -> Result<Access, StoreError> {
        let credential = self.credential.map(credential::Packed::unpack).transpose()?;
        Ok(Access {
            account: Account { id: self.account.clone(), name: self.account_name },
            runtime: Runtime {
                id: self.runtime,
                account: self.account,
                name: self.name,
                provider: self.provider,
                oauth_app: self.oauth_app,
                repository: self.repository,
                scopes: self.scopes.map(|text| parse("runtimes.scopes", &text)).transpose()?,
            },
            proposed: if self.proposed != 0 { credential.clone() } else { None },
            credential: credential.filter(|_| self.in_use != 0),
            push: self.push.map(|text| parse("assignments.push", &text)).transpose()?,
            muted: self.muted != 0,
            muted_until: self.muted_until.filter(|_| self.muted != 0),
            asked_until: self.asked_until.filter(|_| self.in_use != 0),
            // Beginning anew forgets the denial before it, so a denial is always the later of the two.
            attempt: self.denied_at.map(Attempt::Denied).or(self.begun_at.map(Attempt::Pending)),
        })
    }
}
