//! The audit log.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, QueryBuilder, Sqlite, sqlite::SqliteRow};

use super::{
    Doing, SqliteStore,
    row::{Columns, micros},
};
use crate::{
    audit::{
        Action, Actor, REFUSED, Record,
        chain::{Hash, Head},
        verify::Point,
    },
    catalogue::Role,
    clock::Timestamp,
    id::{AccountId, UserId},
    seal::Sealed,
    store::{AuditFilter, AuditStore, StoreError},
};

const COLUMNS: &str = "sequence, at, actor, actor_id, actor_name, action, outcome, reason, user_id, account_id, \
                       runtime_id, object, detail, request_id, address, hash";

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        let row = sqlx::query("SELECT sequence, hash, sealed FROM audit_head WHERE one = 1")
            .fetch_optional(&self.readers)
            .await
            .doing("read where the audit log ends")?;
        row.map(|row| {
            let mut columns = Columns::new(&row);
            Ok(Head {
                sequence: columns.read("audit_head.sequence")?,
                hash: columns.bytes("audit_head.hash")?,
                sealed: Sealed(columns.read("audit_head.sealed")?),
            })
        })
        .transpose()
    }

    async fn append_audit(
        &self,
        after: i64,
        hash: &Hash,
        records: &[Record],
        head: &Head,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "write the audit log";
        let mut step = self.step(DOING).await?;
        let moved = sqlx::query(
            "INSERT INTO audit_head (one, sequence, hash, sealed)
             SELECT 1, $1, $2, $3 WHERE $4 = 0 OR EXISTS (SELECT 1 FROM audit_head)
             ON CONFLICT (one) DO UPDATE
             SET sequence = excluded.sequence, hash = excluded.hash, sealed = excluded.sealed
             WHERE audit_head.sequence = $4 AND audit_head.hash = $5",
        )
        .bind(head.sequence)
        .bind(head.hash.as_slice())
        .bind(&head.sealed.0)
        .bind(after)
        .bind(hash.as_slice())
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
        let mut insert = QueryBuilder::<Sqlite>::new(format!("INSERT INTO audit ({COLUMNS}) "));
        insert.push_values(records, |mut row, record| {
            row.push_bind(record.sequence)
                .push_bind(record.at.micros())
                .push_bind(&record.actor)
                .push_bind(&record.actor_id)
                .push_bind(&record.actor_name)
                .push_bind(&record.action)
                .push_bind(&record.outcome)
                .push_bind(&record.reason)
                .push_bind(record.user.as_ref().map(|id| id.as_str()))
                .push_bind(record.account.as_ref().map(|id| id.as_str()))
                .push_bind(record.runtime.as_ref().map(|id| id.as_str()))
                .push_bind(&record.object)
                .push_bind(&record.detail)
                .push_bind(&record.request)
                .push_bind(&record.address)
                .push_bind(record.hash.as_slice());
        });
        // As many statements as there are sizes of a batch: not worth keeping prepared.
        insert.build().persistent(false).execute(&mut *step).await.doing(DOING)?;
        step.commit().await.doing(DOING)?;
        Ok(true)
    }

    async fn audit_after(&self, sequence: i64, most: u32) -> Result<Vec<Record>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(sequence)
            .bind(most)
            .fetch_all(&self.readers)
            .await
            .doing("read the audit log")?;
        rows.iter().map(record).collect()
    }

    async fn audit_records(&self, filter: &AuditFilter, most: u32) -> Result<Vec<Record>, StoreError> {
        let mut select =
            QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS} FROM audit WHERE sequence > 0"));
        if let Some(user) = &filter.user {
            select.push(" AND user_id = ").push_bind(user.as_str());
        }
        if let Some(name) = &filter.name {
            select.push(" AND EXISTS (SELECT 1 FROM users WHERE users.name = ").push_bind(name);
            select.push(" AND users.id IN (audit.user_id, CASE audit.actor WHEN ").push_bind(Actor::USER);
            select.push(" THEN audit.actor_id END))");
        }
        if let Some(account) = &filter.account {
            select.push(" AND (account_id = ").push_bind(account.as_str());
            select.push(" OR (account_id IS NULL AND runtime_id IS NULL AND action IN (");
            let mut actions = select.separated(", ");
            for action in Action::OF_MEMBERS {
                actions.push_bind(action.as_str());
            }
            // Of those who are members now: whoever has left does what is no longer the account's business.
            select.push(
                ") AND user_id IN (SELECT users.id FROM users
                                   JOIN members ON members.user_name = users.name AND members.disabled_at IS NULL
                                   WHERE members.account_id = ",
            );
            select.push_bind(account.as_str()).push(")))");
        }
        if let Some(runtime) = &filter.runtime {
            select.push(" AND runtime_id = ").push_bind(runtime.as_str());
        }
        if let Some(action) = &filter.action {
            select.push(" AND (action = ").push_bind(action);
            // Not LIKE, which would read `_` and `%` as something else.
            select.push(" OR substr(action, 1, length(").push_bind(action).push(") + 1) = ");
            select.push_bind(format!("{action}.")).push(")");
        }
        if let Some(since) = micros(filter.since) {
            select.push(" AND at >= ").push_bind(since);
        }
        if let Some(until) = micros(filter.until) {
            select.push(" AND at < ").push_bind(until);
        }
        if filter.refused {
            select.push(" AND outcome = ").push_bind(REFUSED);
        }
        if let Some(before) = filter.before {
            select.push(" AND sequence < ").push_bind(before);
        }
        select.push(" ORDER BY sequence DESC LIMIT ").push_bind(most);
        let rows = select.build().fetch_all(&self.readers).await.doing("read the audit log")?;
        rows.iter().map(record).collect()
    }

    async fn old_audit(&self, before: Timestamp, most: u32) -> Result<Option<Point>, StoreError> {
        let row = sqlx::query(
            "WITH oldest AS (SELECT sequence, at FROM audit ORDER BY sequence LIMIT $2),
                  kept AS (SELECT coalesce(
                      (SELECT min(sequence) FROM oldest WHERE at >= $1),
                      (SELECT max(sequence) FROM oldest) + 1) AS first)
             SELECT sequence, hash FROM audit
             WHERE sequence < (SELECT first FROM kept) AND sequence < (SELECT max(sequence) FROM audit)
             ORDER BY sequence DESC LIMIT 1",
        )
        .bind(before.micros())
        .bind(most)
        .fetch_optional(&self.readers)
        .await
        .doing("look for old records of the audit log")?;
        row.map(|row| {
            let mut columns = Columns::new(&row);
            Ok(Point { sequence: columns.read("audit.sequence")?, hash: columns.bytes("audit.hash")? })
        })
        .transpose()
    }

    async fn prune_audit(&self, last: &Point) -> Result<u64, StoreError> {
        const DOING: &str = "remove old records of the audit log";
        let mut step = self.step(DOING).await?;
        let there: Option<i64> =
            sqlx::query_scalar("SELECT sequence FROM audit WHERE sequence = $1 AND hash = $2")
                .bind(last.sequence)
                .bind(last.hash.as_slice())
                .fetch_optional(&mut *step)
                .await
                .doing(DOING)?;
        if there.is_none() {
            return Ok(0);
        }
        let removed = sqlx::query("DELETE FROM audit WHERE sequence <= $1")
            .bind(last.sequence)
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        step.commit().await.doing(DOING)?;
        Ok(removed.rows_affected())
    }

    async fn names_of(&self, users: &[&UserId]) -> Result<HashMap<UserId, String>, StoreError> {
        if users.is_empty() {
            return Ok(HashMap::new());
        }
        let mut select = QueryBuilder::<Sqlite>::new("SELECT id, name FROM users WHERE id IN (");
        let mut ids = select.separated(", ");
        for user in users {
            ids.push_bind(user.as_str());
        }
        select.push(")");
        // As many statements as there are numbers of users: not worth keeping prepared.
        let rows = select.build().persistent(false).fetch_all(&self.readers).await;
        rows.doing("read the names of users")?
            .iter()
            .map(|row| {
                let mut columns = Columns::new(row);
                Ok((UserId(columns.read("users.id")?), columns.read("users.name")?))
            })
            .collect()
    }

    async fn administers(&self, user: &UserId, account: &AccountId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT accounts.name FROM accounts
             JOIN members ON members.account_id = accounts.id AND members.disabled_at IS NULL
                  AND members.role = $3
             JOIN users ON users.name = members.user_name AND users.disabled_at IS NULL
             WHERE accounts.id = $1 AND accounts.disabled_at IS NULL AND users.id = $2",
        )
        .bind(account.as_str())
        .bind(user.as_str())
        .bind(Role::Admin.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("read who administers an account")
    }

    async fn administered_accounts(&self, user: &UserId) -> Result<Vec<(AccountId, String)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT accounts.id, accounts.name FROM accounts
             JOIN members ON members.account_id = accounts.id AND members.disabled_at IS NULL
                  AND members.role = $2
             JOIN users ON users.name = members.user_name AND users.disabled_at IS NULL
             WHERE accounts.disabled_at IS NULL AND users.id = $1
             ORDER BY accounts.name, accounts.id",
        )
        .bind(user.as_str())
        .bind(Role::Admin.as_str())
        .fetch_all(&self.readers)
        .await
        .doing("read which accounts a user administers")?;
        Ok(rows.into_iter().map(|(id, name)| (AccountId(id), name)).collect())
    }
}

fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let mut columns = Columns::new(row);
    Ok(Record {
        sequence: columns.read("audit.sequence")?,
        at: columns.time("audit.at")?,
        actor: columns.read("audit.actor")?,
        actor_id: columns.read("audit.actor_id")?,
        actor_name: columns.read("audit.actor_name")?,
        action: columns.read("audit.action")?,
        outcome: columns.read("audit.outcome")?,
        reason: columns.read("audit.reason")?,
        user: columns.optional_id("audit.user_id")?,
        account: columns.optional_id("audit.account_id")?,
        runtime: columns.optional_id("audit.runtime_id")?,
        object: columns.read("audit.object")?,
        detail: columns.read("audit.detail")?,
        request: columns.read("audit.request_id")?,
        address: columns.read("audit.address")?,
        hash: columns.bytes("audit.hash")?,
    })
}
