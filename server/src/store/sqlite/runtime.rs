//! Runtimes as machines: the keys they show, and what they hold.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;

use super::{
    Doing, SqliteStore,
    access::{self, DENIED, PENDING, access_joins, access_row, merge, visible},
    credential::credential_columns,
    notice::hidden,
    row::{Columns, micros, parse},
};
use crate::{
    catalogue::Runtime,
    clock::Timestamp,
    id::{AccountId, CredentialId, RuntimeId, UserId},
    person::Name,
    secret::Fingerprint,
    store::{
        StoreError,
        runtime::{Holding, RuntimeKey, RuntimeStore, RuntimeUser, VersionAt},
    },
};

/// What [`read_key`] reads.
macro_rules! key_columns {
    () => {
        "public_id, runtime_id, secret, created_at, used_at, revoked_at"
    };
}

/// What [`read_runtime`] reads, of `runtimes r`.
macro_rules! runtime_columns {
    () => {
        "r.id, r.account_id, r.name, r.provider_id, r.oauth_app, r.repository, r.scopes"
    };
}

macro_rules! users {
    () => {
        concat!(
            "SELECT json_group_array(json_array(
                 u.id, u.name, y.fetched_at, y.fetched_version, y.used_at, y.used_version, ",
            access_row!(),
            "))",
            visible!(),
            access_joins!(),
            "LEFT JOIN holdings y ON y.user_id = u.id AND y.runtime_id = r.id
             WHERE r.id = $1"
        )
    };
}

#[async_trait]
impl RuntimeStore for SqliteStore {
    async fn runtime(&self, id: &RuntimeId) -> Result<Option<Runtime>, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT ",
            runtime_columns!(),
            " FROM runtimes r
             JOIN accounts a ON a.id = r.account_id AND a.disabled_at IS NULL
             JOIN providers p ON p.id = r.provider_id AND p.disabled_at IS NULL
             WHERE r.id = $1 AND r.disabled_at IS NULL"
        ))
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("find a runtime")?;
        row.as_ref().map(read_runtime).transpose()
    }

    async fn account_of(&self, id: &RuntimeId) -> Result<Option<AccountId>, StoreError> {
        let row = sqlx::query("SELECT account_id FROM runtimes WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing("find the account of a runtime")?;
        row.as_ref().map(|row| Columns::new(row).id("runtimes.account_id")).transpose()
    }

    async fn administered(&self, user: &UserId) -> Result<Vec<Runtime>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            runtime_columns!(),
            visible!(),
            "WHERE u.id = $1 AND m.role = 'admin' ORDER BY r.id"
        ))
        .bind(user.as_str())
        .fetch_all(&self.readers)
        .await
        .doing("read the runtimes that a user administers")?;
        rows.iter().map(read_runtime).collect()
    }

    async fn runtime_key(&self, public_id: &str) -> Result<Option<RuntimeKey>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", key_columns!(), " FROM runtime_keys WHERE public_id = $1"))
            .bind(public_id)
            .fetch_optional(&self.readers)
            .await
            .doing("find a runtime key")?;
        row.as_ref().map(read_key).transpose()
    }

    async fn runtime_keys(&self, runtime: &RuntimeId) -> Result<Vec<RuntimeKey>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            key_columns!(),
            " FROM runtime_keys WHERE runtime_id = $1 ORDER BY number DESC"
        ))
        .bind(runtime.as_str())
        .fetch_all(&self.readers)
        .await
        .doing("read the keys of a runtime")?;
        rows.iter().map(read_key).collect()
    }

    async fn add_runtime_key(
        &self,
        key: &RuntimeKey,
        after: Option<&str>,
    ) -> Result<Option<Vec<String>>, StoreError> {
        const DOING: &str = "add a runtime key";
        let mut step = self.step(DOING).await?;
        let valid: Vec<String> = sqlx::query_scalar(
            "SELECT public_id FROM runtime_keys WHERE runtime_id = $1 AND revoked_at IS NULL ORDER BY number DESC",
        )
        .bind(key.runtime.as_str())
        .fetch_all(&mut *step)
        .await
        .doing(DOING)?;
        let there = sqlx::query("SELECT 1 FROM runtimes WHERE id = $1 AND disabled_at IS NULL")
            .bind(key.runtime.as_str())
            .fetch_optional(&mut *step)
            .await
            .doing(DOING)?;
        if valid.first().map(String::as_str) != after || there.is_none() {
            return Ok(None);
        }
        let revoked: Vec<String> = valid.into_iter().skip(1).collect();
        for public_id in &revoked {
            sqlx::query("UPDATE runtime_keys SET revoked_at = $2 WHERE public_id = $1")
                .bind(public_id)
                .bind(key.created_at.micros())
                .execute(&mut *step)
                .await
                .doing(DOING)?;
        }
        sqlx::query(
            "INSERT INTO runtime_keys (public_id, runtime_id, number, secret, created_at, used_at, revoked_at)
             SELECT $1, $2, coalesce(max(number), 0) + 1, $3, $4, $5, $6
             FROM runtime_keys WHERE runtime_id = $2",
        )
        .bind(&key.public_id)
        .bind(key.runtime.as_str())
        .bind(key.secret.0.as_slice())
        .bind(key.created_at.micros())
        .bind(micros(key.used_at))
        .bind(micros(key.revoked_at))
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        step.commit().await.doing(DOING)?;
        Ok(Some(revoked))
    }

    async fn revoke_runtime_key(
        &self,
        runtime: &RuntimeId,
        public_id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let revoked = sqlx::query(
            "UPDATE runtime_keys SET revoked_at = $3
             WHERE public_id = $1 AND runtime_id = $2 AND revoked_at IS NULL",
        )
        .bind(public_id)
        .bind(runtime.as_str())
        .bind(now.micros())
        .execute(&self.writer)
        .await
        .doing("revoke a runtime key")?;
        Ok(revoked.rows_affected() > 0)
    }

    async fn runtime_users(
        &self,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<Vec<RuntimeUser>, StoreError> {
        let row = sqlx::query(users!())
            .bind(runtime.as_str())
            .bind(now.minus(PENDING).micros())
            .bind(now.minus(DENIED).micros())
            .bind(now.micros())
            .fetch_one(&self.readers)
            .await
            .doing("read the users of a runtime")?;
        collect(&row)
    }

    async fn runtime_user(
        &self,
        runtime: &RuntimeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<Option<RuntimeUser>, StoreError> {
        let row = sqlx::query(concat!(users!(), " AND u.name = $5"))
            .bind(runtime.as_str())
            .bind(now.minus(PENDING).micros())
            .bind(now.minus(DENIED).micros())
            .bind(now.micros())
            .bind(name.as_str())
            .fetch_one(&self.readers)
            .await
            .doing("read a user of a runtime")?;
        collect(&row).map(|mut users| users.pop())
    }

    async fn gets(
        &self,
        public_id: &str,
        runtime: &RuntimeId,
        user: &UserId,
        credential: &CredentialId,
        generation: i64,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(concat!(
            "SELECT 1",
            visible!(),
            "JOIN runtime_keys k ON k.runtime_id = r.id AND k.revoked_at IS NULL
             JOIN assignments s ON s.user_id = u.id AND s.runtime_id = r.id
             JOIN credentials c ON c.id = s.credential_id AND c.user_id = u.id AND c.provider_id = r.provider_id
             WHERE k.public_id = $1 AND r.id = $2 AND u.id = $3 AND c.id = $4 AND c.generation = $5
             AND json_extract(c.standing, '$.invalid') IS NOT TRUE"
        ))
        .bind(public_id)
        .bind(runtime.as_str())
        .bind(user.as_str())
        .bind(credential.as_str())
        .bind(generation)
        .fetch_optional(&self.readers)
        .await
        .doing("look whether a runtime still gets a credential")?;
        Ok(row.is_some())
    }

    async fn note_fetched(
        &self,
        fetched: &[VersionAt],
        used: &[(String, Timestamp)],
    ) -> Result<(), StoreError> {
        const DOING: &str = "note what was fetched";
        let mut step = self.step(DOING).await?;
        for one in fetched {
            sqlx::query(
                "INSERT INTO holdings (user_id, runtime_id, fetched_at, fetched_version)
                 SELECT u.id, r.id, $3, $4 FROM users u, runtimes r WHERE u.id = $1 AND r.id = $2
                 ON CONFLICT (user_id, runtime_id) DO UPDATE SET
                     fetched_at = excluded.fetched_at, fetched_version = excluded.fetched_version
                 WHERE holdings.fetched_at IS NULL OR holdings.fetched_at <= excluded.fetched_at",
            )
            .bind(one.user.as_str())
            .bind(one.runtime.as_str())
            .bind(one.at.micros())
            .bind(&one.version)
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        }
        for (public_id, at) in used {
            sqlx::query(
                "UPDATE runtime_keys SET used_at = $2
                 WHERE public_id = $1 AND (used_at IS NULL OR used_at < $2)",
            )
            .bind(public_id)
            .bind(at.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        }
        step.commit().await.doing(DOING)
    }

    async fn note_used(&self, used: &VersionAt) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO holdings (user_id, runtime_id, used_at, used_version)
             SELECT u.id, r.id, $3, $4 FROM users u, runtimes r WHERE u.id = $1 AND r.id = $2
             ON CONFLICT (user_id, runtime_id) DO UPDATE SET
                 used_at = excluded.used_at, used_version = excluded.used_version
             WHERE holdings.used_at IS NULL OR holdings.used_at <= excluded.used_at",
        )
        .bind(used.user.as_str())
        .bind(used.runtime.as_str())
        .bind(used.at.micros())
        .bind(&used.version)
        .execute(&self.writer)
        .await
        .doing("note what is used")?;
        Ok(())
    }

    async fn holdings(&self, user: &UserId) -> Result<HashMap<RuntimeId, Holding>, StoreError> {
        let rows = sqlx::query(
            "SELECT runtime_id, fetched_at, fetched_version, used_at, used_version
             FROM holdings WHERE user_id = $1",
        )
        .bind(user.as_str())
        .fetch_all(&self.readers)
        .await
        .doing("read what runtimes hold")?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::new(row);
                let runtime = columns.id("holdings.runtime_id")?;
                let holding = Holding {
                    fetched_at: columns.optional_time("holdings.fetched_at")?,
                    fetched_version: columns.read("holdings.fetched_version")?,
                    used_at: columns.optional_time("holdings.used_at")?,
                    used_version: columns.read("holdings.used_version")?,
                };
                Ok((runtime, holding))
            })
            .collect()
    }

    async fn runtime_news(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("SELECT number FROM news").fetch_one(&self.readers).await.doing("look for news")
    }
}

/// What `key_columns!` selects.
fn read_key(row: &SqliteRow) -> Result<RuntimeKey, StoreError> {
    let mut columns = Columns::new(row);
    Ok(RuntimeKey {
        public_id: columns.read("runtime_keys.public_id")?,
        runtime: columns.id("runtime_keys.runtime_id")?,
        secret: Fingerprint(columns.bytes("runtime_keys.secret")?),
        created_at: columns.time("runtime_keys.created_at")?,
        used_at: columns.optional_time("runtime_keys.used_at")?,
        revoked_at: columns.optional_time("runtime_keys.revoked_at")?,
    })
}

/// What `runtime_columns!` selects.
fn read_runtime(row: &SqliteRow) -> Result<Runtime, StoreError> {
    let mut columns = Columns::new(row);
    Ok(Runtime {
        id: columns.id("runtimes.id")?,
        account: columns.id("runtimes.account_id")?,
        name: columns.read("runtimes.name")?,
        provider: columns.id("runtimes.provider_id")?,
        oauth_app: columns.optional_id("runtimes.oauth_app")?,
        repository: columns.read("runtimes.repository")?,
        scopes: columns
            .read::<Option<&str>>("runtimes.scopes")?
            .map(|text| parse("runtimes.scopes", text))
            .transpose()?,
    })
}

/// A row of `users!`, in its order.
#[derive(Deserialize)]
struct Packed {
    id: UserId,
    name: String,
    fetched_at: Option<Timestamp>,
    fetched_version: Option<String>,
    used_at: Option<Timestamp>,
    used_version: Option<String>,
    access: access::Packed,
}

/// By name. Sorted here: engines disagree on the order of letters.
fn collect(row: &SqliteRow) -> Result<Vec<RuntimeUser>, StoreError> {
    let packed: Vec<Packed> = Columns::new(row).json("users of a runtime")?;
    let mut users = HashMap::new();
    for one in packed {
        let holding = Holding {
            fetched_at: one.fetched_at,
            fetched_version: one.fetched_version,
            used_at: one.used_at,
            used_version: one.used_version,
        };
        let (_, _, accesses) = users.entry(one.id).or_insert_with(|| (one.name, holding, Vec::new()));
        accesses.push(one.access.unpack()?);
    }
    let mut collected = Vec::with_capacity(users.len());
    for (id, (name, holding, mut accesses)) in users {
        merge(&mut accesses);
        let name = Name::parse(&name).ok_or_else(|| StoreError::Unreadable {
            column: "users.name",
            problem: "not a name".to_owned(),
        })?;
        collected.extend(accesses.pop().map(|access| RuntimeUser { id, name, access, holding }));
    }
    collected.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(collected)
}
