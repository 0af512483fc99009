//! What is asked about in the background, and how the hosts are.

use async_trait::async_trait;

use super::{
    Doing, SqliteStore,
    access::visible,
    notice::read_incident,
    row::{Columns, json, micros},
};
use crate::{
    clock::Timestamp,
    id::{CredentialId, ProviderId, RuntimeId},
    store::{FAIR_AMONG, LONGEST_CHECK, StoreError, WatchStore, Watched},
    watch::{
        due,
        host::{Host, Incident},
    },
};

/// At provider `$1`, due at `$2`, and nobody asks about it; a lease beyond `$3` is none.
macro_rules! due {
    () => {
        " provider_id = $1 AND due_at <= $2
          AND (checking_until IS NULL OR checking_until <= $2 OR checking_until > $3) "
    };
}

#[async_trait]
impl WatchStore for SqliteStore {
    async fn due(&self, provider: &ProviderId, now: Timestamp, most: u32) -> Result<u32, StoreError> {
        sqlx::query_scalar(concat!(
            "SELECT count(*) FROM (SELECT 1 FROM credentials WHERE",
            due!(),
            "LIMIT $4)"
        ))
        .bind(provider.as_str())
        .bind(now.micros())
        .bind(now.plus(LONGEST_CHECK).micros())
        .bind(most)
        .fetch_one(&self.readers)
        .await
        .doing("count what is due")
    }

    async fn take_due(
        &self,
        provider: &ProviderId,
        wanted: &[CredentialId],
        now: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<CredentialId>, StoreError> {
        // What is wanted may be younger than all that users take turns among; if it is among them, it is there twice, and
        // the earlier place counts. SQLite takes a CROSS JOIN in the order in which it is written: the other way round it
        // would go through all that is due.
        let statement = concat!(
            "WITH wanted AS (SELECT value AS id FROM json_each($6)),
             waiting AS (
                 SELECT * FROM (
                     SELECT id, user_id, due_at, 0 AS is_wanted FROM credentials WHERE",
            due!(),
            "ORDER BY due_at LIMIT $7)
                 UNION ALL
                 SELECT c.id, c.user_id, c.due_at, 1 FROM wanted CROSS JOIN credentials c
                 WHERE c.id = wanted.id AND",
            due!(),
            "),
             ranked AS (
                 SELECT id, due_at, is_wanted,
                     row_number() OVER (PARTITION BY user_id ORDER BY is_wanted DESC, due_at) AS turn
                 FROM waiting)
             UPDATE credentials SET checking_until = $4
             WHERE id IN (SELECT id FROM ranked ORDER BY turn, is_wanted DESC, due_at LIMIT $5)
             RETURNING id"
        );
        let rows = sqlx::query(statement)
            .bind(provider.as_str())
            .bind(now.micros())
            .bind(now.plus(LONGEST_CHECK).micros())
            .bind(until.micros())
            .bind(most)
            .bind(json("wanted", &wanted)?)
            .bind(FAIR_AMONG)
            .fetch_all(&self.writer)
            .await
            .doing("take what is due")?;
        rows.iter().map(|row| Columns::new(row).id("credentials.id")).collect()
    }

    async fn watched(&self, id: &CredentialId) -> Result<Option<Watched>, StoreError> {
        let Some(credential) = self.find_any_credential(id).await? else { return Ok(None) };
        // The runtimes of one credential are few, those of its user may be many: hence the inner question.
        let statement = concat!(
            "SELECT r.id, CASE WHEN s.credential_id = $1 THEN r.repository END",
            visible!(),
            "JOIN assignments s ON s.user_id = u.id AND s.runtime_id = r.id
             WHERE u.id = $2 AND r.provider_id = $3 AND r.id IN (
                 SELECT runtime_id FROM assignments WHERE credential_id = $1 AND user_id = $2 UNION ALL
                 SELECT runtime_id FROM assignments WHERE proposed_id = $1 AND user_id = $2)
             ORDER BY r.id"
        );
        let rows = sqlx::query(statement)
            .bind(id.as_str())
            .bind(credential.user.as_str())
            .bind(credential.provider.as_str())
            .fetch_all(&self.readers)
            .await
            .doing("read what a credential is used for")?;
        let mut repositories: Vec<(RuntimeId, String)> = Vec::new();
        for row in &rows {
            let mut columns = Columns::new(row);
            let runtime = columns.id("runtimes.id")?;
            if let Some(repository) = columns.read("runtimes.repository")? {
                repositories.push((runtime, repository));
            }
        }
        Ok(Some(Watched { credential, in_use: !rows.is_empty(), repositories }))
    }

    async fn postpone(
        &self,
        id: &CredentialId,
        generation: i64,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE credentials SET due_at = $3, checking_until = NULL WHERE id = $1 AND generation = $2",
        )
        .bind(id.as_str())
        .bind(generation)
        .bind(due_at.micros())
        .execute(&self.writer)
        .await
        .doing("put a check off")?;
        Ok(())
    }

    async fn straighten(&self, provider: &ProviderId, now: Timestamp) -> Result<u64, StoreError> {
        // Further ahead than any rule, or passed in what is the future now. What they lie beyond the hour by keeps them
        // apart.
        let straightened = sqlx::query(
            "UPDATE credentials SET due_at = $2 + due_at % $4
             WHERE provider_id = $1 AND due_at > $2 + $4 AND (due_at > $3 OR last_good_at > $2)",
        )
        .bind(provider.as_str())
        .bind(now.micros())
        .bind(now.plus(due::LONGEST).micros())
        .bind(i64::try_from(due::HOUR.as_micros()).unwrap_or(i64::MAX))
        .execute(&self.writer)
        .await
        .doing("bring due times back")?;
        Ok(straightened.rows_affected())
    }

    async fn host(&self, host: &str) -> Result<(Host, i64), StoreError> {
        let row = sqlx::query("SELECT state, version FROM hosts WHERE host = $1")
            .bind(host)
            .fetch_optional(&self.readers)
            .await
            .doing("read how a host is")?;
        let Some(row) = row else { return Ok((Host::default(), 0)) };
        let mut columns = Columns::new(&row);
        Ok((columns.json("hosts.state")?, columns.read("hosts.version")?))
    }

    async fn keep_host(
        &self,
        host: &str,
        version: i64,
        state: &Host,
        incident: Option<&Incident>,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "note how a host is";
        let mut step = self.step(DOING).await?;
        let kept = sqlx::query(
            "INSERT INTO hosts (host, state, version) SELECT $1, $2, 1 WHERE $3 = 0
             ON CONFLICT (host) DO NOTHING",
        )
        .bind(host)
        .bind(json("hosts.state", state)?)
        .bind(version)
        .execute(&mut *step)
        .await
        .doing(DOING)?
        .rows_affected()
            + sqlx::query(
                "UPDATE hosts SET state = $2, version = version + 1 WHERE host = $1 AND version = $3 AND $3 > 0",
            )
            .bind(host)
            .bind(json("hosts.state", state)?)
            .bind(version)
            .execute(&mut *step)
            .await
            .doing(DOING)?
            .rows_affected();
        if kept == 0 {
            return Ok(false);
        }
        if let Some(incident) = incident {
            sqlx::query(
                "INSERT INTO incidents (host, began_at, kind, ended_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (host, began_at) DO UPDATE SET kind = excluded.kind, ended_at = excluded.ended_at",
            )
            .bind(&incident.host)
            .bind(incident.began_at.micros())
            .bind(incident.trouble.as_str())
            .bind(micros(incident.ended_at))
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        Ok(true)
    }

    async fn incidents(&self, since: Timestamp) -> Result<Vec<Incident>, StoreError> {
        let rows = sqlx::query(
            "SELECT host, began_at, kind, ended_at FROM incidents WHERE ended_at IS NULL OR ended_at >= $1
             ORDER BY began_at DESC, host",
        )
        .bind(since.micros())
        .fetch_all(&self.readers)
        .await
        .doing("read incidents")?;
        rows.iter().map(read_incident).collect()
    }
}
