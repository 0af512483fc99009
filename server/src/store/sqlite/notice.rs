//! What happens to users' access, and what of it they are told.

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    Doing, SqliteStore,
    access::visible,
    delivery,
    row::{Columns, json, micros, number, parse},
};
use crate::{
    clock::Timestamp,
    id::{CredentialId, ProviderId, RuntimeId, UserId},
    notice::{
        Before, Detail, Event, EventId, Found, Hide, INCIDENT_IS_NEWS_AFTER, KEPT_PER_RUNTIME, Kind, Look,
        Marked, Seen, Sight, Telling,
    },
    store::{NoticeStore, StoreError},
    watch::host::{Incident, Trouble},
};

/// What [`read_event`] reads.
macro_rules! event_columns {
    () => {
        "e.id, e.user_id, e.runtime_id, e.host, e.kind, e.detail, e.at, e.is_notice, e.read_at"
    };
}

/// Whether the user `u` is not told of the runtime `r` at `$now`, of `mutes q`.
macro_rules! hidden {
    ($now:literal) => {
        concat!("(q.user_id IS NOT NULL AND (q.until IS NULL OR q.until > ", $now, "))")
    };
}
pub(super) use hidden;

/// Of `events e`, those that the user `$1` is told and may see: also what was told of a runtime is not shown to whoever
/// is no longer a member of its account.
macro_rules! notices_of {
    () => {
        concat!(
            " FROM events e WHERE e.user_id = $1 AND e.is_notice = 1
              AND (e.runtime_id IS NULL OR EXISTS (SELECT 1",
            visible!(),
            "WHERE u.id = $1 AND r.id = e.runtime_id))"
        )
    };
}

pub(super) const UNREAD: &str = concat!("SELECT count(*)", notices_of!(), " AND e.read_at IS NULL");
pub(super) const NOTICES: &str =
    concat!("SELECT ", event_columns!(), notices_of!(), " AND e.id < $2 ORDER BY e.id DESC LIMIT $3");
pub(super) const NEWS_OF: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e WHERE e.user_id = $1 AND e.id > $2 ORDER BY e.id LIMIT $3"
);
pub(super) const LAST_OF: &str = "SELECT coalesce(max(id), 0) FROM events WHERE user_id = $1";
pub(super) const TIMELINE: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e WHERE e.id IN (
         SELECT id FROM events WHERE user_id = $1 AND runtime_id = $2 UNION ALL
         SELECT id FROM events WHERE user_id = $1 AND host = $3)
     ORDER BY e.id DESC LIMIT $4"
);

#[async_trait]
impl NoticeStore for SqliteStore {
    async fn marked(&self, now: Timestamp, most: u32) -> Result<Vec<Marked>, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, runtime_id, version, own, sight FROM told WHERE look_at <= $1
             ORDER BY look_at LIMIT $2",
        )
        .bind(now.micros())
        .bind(most)
        .fetch_all(&self.readers)
        .await
        .doing("find what is to be looked at")?;
        rows.iter().map(read_marked).collect()
    }

    async fn tell(&self, looks: &[Look], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        const DOING: &str = "tell what happened";
        let mut step = self.step(DOING).await?;
        let before = delivery::last_event(&mut step).await.doing(DOING)?;
        let mut told = Vec::with_capacity(looks.len());
        let mut any = false;
        for look in looks {
            let (written, happened) = tell_one(&mut step, look, now, DOING).await?;
            told.push(written);
            any |= happened;
        }
        if any {
            delivery::make(&mut step, before, now).await.doing(DOING)?;
        }
        step.commit().await.doing(DOING)?;
        if any {
            self.stirred.notify_one();
        }
        Ok(told)
    }

    async fn look_again(&self, beyond: Timestamp) -> Result<u64, StoreError> {
        let marked = sqlx::query("UPDATE told SET look_at = 0, version = version + 1 WHERE look_at > $1")
            .bind(beyond.micros())
            .execute(&self.writer)
            .await
            .doing("look again after the clock was set back")?;
        Ok(marked.rows_affected())
    }

    async fn stirred(&self) {
        self.stirred.notified().await;
    }

    async fn untold_incidents(&self, now: Timestamp) -> Result<Vec<Incident>, StoreError> {
        let rows = sqlx::query(
            "SELECT host, began_at, kind, ended_at FROM incidents
             WHERE (told_began_at IS NULL OR told_ended_at IS NULL)
             AND CASE WHEN told_began_at IS NULL
                 THEN ended_at IS NULL AND began_at <= $1
                 ELSE ended_at <= $1 END
             ORDER BY began_at, host",
        )
        .bind(now.minus(INCIDENT_IS_NEWS_AFTER).micros())
        .fetch_all(&self.readers)
        .await
        .doing("look for incidents to tell of")?;
        rows.iter().map(read_incident).collect()
    }

    async fn tell_incident(
        &self,
        incident: &Incident,
        providers: &[ProviderId],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "tell of an incident";
        let mut step = self.step(DOING).await?;
        let before = delivery::last_event(&mut step).await.doing(DOING)?;
        let (kind, once) = match incident.ended_at {
            None => (
                Kind::IncidentBegan,
                "UPDATE incidents SET told_began_at = $3 WHERE host = $1 AND began_at = $2
                 AND told_began_at IS NULL AND ended_at IS NULL",
            ),
            Some(_) => (
                Kind::IncidentEnded,
                "UPDATE incidents SET told_ended_at = $3 WHERE host = $1 AND began_at = $2
                 AND told_began_at IS NOT NULL AND told_ended_at IS NULL AND ended_at IS NOT NULL",
            ),
        };
        let first = sqlx::query(once)
            .bind(&incident.host)
            .bind(incident.began_at.micros())
            .bind(now.micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        if first.rows_affected() == 0 {
            return Ok(0);
        }
        // Quiet as soon as all of a user's runtimes there are hidden. The event is there all the same, so that whoever
        // heard nothing of the beginning hears nothing of the end.
        let statement = concat!(
            "INSERT INTO events (user_id, host, incident_at, kind, detail, at, is_notice)
             SELECT u.id, $1, $2, $3, $4, $5,
                 CASE WHEN min(coalesce(n.enabled, 1)) = 1 AND min(CASE WHEN ",
            hidden!("$5"),
            " THEN 1 ELSE 0 END) = 0 THEN 1 ELSE 0 END",
            visible!(),
            "JOIN assignments s ON s.user_id = u.id AND s.runtime_id = r.id
             JOIN credentials c ON c.id = s.credential_id AND c.provider_id = r.provider_id
             LEFT JOIN mutes q ON q.user_id = u.id AND q.runtime_id = r.id
             LEFT JOIN notice_settings n ON n.user_id = u.id
             WHERE r.provider_id IN (SELECT value FROM json_each($6))
             AND ($3 <> 'incident_ended' OR EXISTS (
                 SELECT 1 FROM events b WHERE b.host = $1 AND b.incident_at = $2 AND b.user_id = u.id
                 AND b.kind = 'incident_began' AND b.is_notice = 1))
             GROUP BY u.id"
        );
        let detail = Detail {
            trouble: Some(incident.trouble.as_str().to_owned()),
            began_at: Some(incident.began_at),
            ended_at: incident.ended_at,
            ..Detail::default()
        };
        let written = sqlx::query(statement)
            .bind(&incident.host)
            .bind(incident.began_at.micros())
            .bind(kind.as_str())
            .bind(json("events.detail", &detail)?)
            .bind(now.micros())
            .bind(json("providers", &providers)?)
            .execute(&mut *step)
            .await
            .doing(DOING)?
            .rows_affected();
        delivery::make(&mut step, before, now).await.doing(DOING)?;
        let providers = json("providers", &providers)?;
        delivery::make_for_host(&mut step, before, &providers, now).await.doing(DOING)?;
        step.commit().await.doing(DOING)?;
        self.stirred.notify_one();
        Ok(written)
    }

    async fn timeline(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        host: Option<&str>,
        most: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(TIMELINE)
            .bind(user.as_str())
            .bind(runtime.as_str())
            .bind(host)
            .bind(most)
            .fetch_all(&self.readers)
            .await
            .doing("read what happened to a runtime")?;
        self.readable("events", &rows, read_event)
    }

    async fn notices(
        &self,
        user: &UserId,
        before: Option<EventId>,
        most: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut before = before.map_or(i64::MAX, |before| before.0);
        let mut read = Vec::new();
        loop {
            let wanted = most.saturating_sub(u32::try_from(read.len()).unwrap_or(u32::MAX));
            let rows = sqlx::query(NOTICES)
                .bind(user.as_str())
                .bind(before)
                .bind(wanted)
                .fetch_all(&self.readers)
                .await
                .doing("read a user's notices")?;
            let all = self.readable("events", &rows, read_event)?;
            let is_short = all.len() < rows.len();
            read.extend(all);
            // Those that can't be read leave room for earlier ones.
            let Some(last) = rows.last().filter(|_| is_short) else { return Ok(read) };
            before = number(last)?;
        }
    }

    async fn notice(&self, user: &UserId, id: EventId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", event_columns!(), notices_of!(), " AND e.id = $2"))
            .bind(user.as_str())
            .bind(id.0)
            .fetch_optional(&self.readers)
            .await
            .doing("read a notice")?;
        row.as_ref().map(read_event).transpose()
    }

    async fn unread(&self, user: &UserId) -> Result<u32, StoreError> {
        sqlx::query_scalar(UNREAD)
            .bind(user.as_str())
            .fetch_one(&self.readers)
            .await
            .doing("count unread notices")
    }

    async fn read(&self, user: &UserId, id: EventId, now: Timestamp) -> Result<bool, StoreError> {
        let read = sqlx::query(
            "UPDATE events SET read_at = $3
             WHERE id = $2 AND user_id = $1 AND is_notice = 1 AND read_at IS NULL",
        )
        .bind(user.as_str())
        .bind(id.0)
        .bind(now.micros())
        .execute(&self.writer)
        .await
        .doing("mark a notice as read")?;
        Ok(read.rows_affected() > 0)
    }

    async fn read_all(&self, user: &UserId, up_to: EventId, now: Timestamp) -> Result<u64, StoreError> {
        let read = sqlx::query(
            "UPDATE events SET read_at = $3
             WHERE user_id = $1 AND is_notice = 1 AND read_at IS NULL AND id <= $2",
        )
        .bind(user.as_str())
        .bind(up_to.0)
        .bind(now.micros())
        .execute(&self.writer)
        .await
        .doing("mark notices as read")?;
        Ok(read.rows_affected())
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM events")
            .fetch_one(&self.readers)
            .await
            .map(EventId)
            .doing("find the last event")
    }

    async fn last_event_of(&self, user: &UserId) -> Result<EventId, StoreError> {
        sqlx::query_scalar(LAST_OF)
            .bind(user.as_str())
            .fetch_one(&self.readers)
            .await
            .map(EventId)
            .doing("find a user's last event")
    }

    async fn news(&self, after: EventId, most: u32) -> Result<Vec<Event>, StoreError> {
        let mut after = after.0;
        loop {
            let rows = sqlx::query(concat!(
                "SELECT ",
                event_columns!(),
                " FROM events e WHERE e.id > $1 ORDER BY e.id LIMIT $2"
            ))
            .bind(after)
            .bind(most)
            .fetch_all(&self.readers)
            .await
            .doing("read what happened")?;
            let read = self.readable("events", &rows, read_event)?;
            let Some(last) = rows.last().filter(|_| read.is_empty()) else { return Ok(read) };
            // Whoever goes on after the last one that they got must get beyond those that can't be read.
            after = number(last)?;
        }
    }

    async fn news_of(&self, user: &UserId, after: EventId, most: u32) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query(NEWS_OF)
            .bind(user.as_str())
            .bind(after.0)
            .bind(most)
            .fetch_all(&self.readers)
            .await
            .doing("read what happened to a user")?;
        self.readable("events", &rows, read_event)
    }

    async fn wants_notices(&self, user: &UserId) -> Result<bool, StoreError> {
        let enabled: Option<i64> =
            sqlx::query_scalar("SELECT enabled FROM notice_settings WHERE user_id = $1")
                .bind(user.as_str())
                .fetch_optional(&self.readers)
                .await
                .doing("read whether a user wants notices")?;
        Ok(enabled != Some(0))
    }

    async fn set_wants_notices(&self, user: &UserId, wants: bool) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO notice_settings (user_id, enabled) VALUES ($1, $2)
             ON CONFLICT (user_id) DO UPDATE SET enabled = excluded.enabled",
        )
        .bind(user.as_str())
        .bind(i64::from(wants))
        .execute(&self.writer)
        .await
        .doing("note whether a user wants notices")?;
        Ok(())
    }

    async fn hide(&self, user: &UserId, runtime: &RuntimeId, hide: Hide) -> Result<(), StoreError> {
        const DOING: &str = "hide or show notifications";
        let until = match hide {
            Hide::No => {
                sqlx::query("DELETE FROM mutes WHERE user_id = $1 AND runtime_id = $2")
                    .bind(user.as_str())
                    .bind(runtime.as_str())
                    .execute(&self.writer)
                    .await
                    .doing(DOING)?;
                return Ok(());
            }
            Hide::Until(until) => Some(until),
            Hide::Always => None,
        };
        sqlx::query(concat!(
            "INSERT INTO mutes (user_id, runtime_id, until) SELECT u.id, r.id, $3",
            visible!(),
            "WHERE u.id = $1 AND r.id = $2
             ON CONFLICT (user_id, runtime_id) DO UPDATE SET until = excluded.until"
        ))
        .bind(user.as_str())
        .bind(runtime.as_str())
        .bind(micros(until))
        .execute(&self.writer)
        .await
        .doing(DOING)?;
        Ok(())
    }

    async fn runtimes_of(&self, credential: &CredentialId) -> Result<Vec<RuntimeId>, StoreError> {
        let rows =
            sqlx::query("SELECT runtime_id FROM assignments WHERE credential_id = $1 ORDER BY runtime_id")
                .bind(credential.as_str())
                .fetch_all(&self.readers)
                .await
                .doing("read what uses a credential")?;
        rows.iter().map(|row| Columns::new(row).id("assignments.runtime_id")).collect()
    }
}

/// Marks the user's access to a runtime: something may have changed.
pub(super) async fn mark(step: &mut SqliteConnection, user: &str, runtime: &str) -> Result<(), sqlx::Error> {
    mark_as(step, user, runtime, false).await
}

/// The user has given, replaced or deleted the token of a runtime: marks it so that what they know is not told, and
/// writes it into the timeline.
pub(super) async fn own(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
    kind: Kind,
    login: Option<String>,
    now: Timestamp,
    doing: &'static str,
) -> Result<(), StoreError> {
    mark_as(step, user.as_str(), runtime.as_str(), true).await.doing(doing)?;
    remember(step, user, runtime, kind, login, now, doing).await
}

/// Writes what has become of an old token into the timeline of the runtime that used it: nothing to tell anybody, and
/// nothing that changes the access.
pub(super) async fn remember(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
    kind: Kind,
    login: Option<String>,
    now: Timestamp,
    doing: &'static str,
) -> Result<(), StoreError> {
    let detail = Detail { login, ..Detail::default() };
    write_event(step, user, runtime, kind, &detail, now, false, doing).await
}

async fn mark_as(
    step: &mut SqliteConnection,
    user: &str,
    runtime: &str,
    own: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO told (user_id, runtime_id, version, look_at, own, bad_told) VALUES ($1, $2, 1, 0, $3, 0)
         ON CONFLICT (user_id, runtime_id) DO UPDATE SET
             version = told.version + 1, look_at = 0,
             own = CASE WHEN excluded.own = 1 THEN 1 ELSE told.own END",
    )
    .bind(user)
    .bind(runtime)
    .bind(i64::from(own))
    .execute(step)
    .await?;
    Ok(())
}

/// Marks every runtime that uses a credential.
pub(super) async fn mark_users_of(
    step: &mut SqliteConnection,
    credential: &CredentialId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE told SET version = version + 1, look_at = 0
         WHERE (user_id, runtime_id) IN
             (SELECT a.user_id, a.runtime_id FROM assignments a WHERE a.credential_id = $1)",
    )
    .bind(credential.as_str())
    .execute(step)
    .await?;
    Ok(())
}

/// Marks all there is: what runtimes need of a token may be something else now.
pub(super) async fn mark_all(step: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE told SET version = version + 1, look_at = 0").execute(step).await?;
    Ok(())
}

/// Whether it was written, and whether anything happened.
async fn tell_one(
    step: &mut SqliteConnection,
    Look { marked, seen }: &Look,
    now: Timestamp,
    doing: &'static str,
) -> Result<(bool, bool), StoreError> {
    let Marked { user, runtime, version, .. } = marked;
    let later = match seen {
        Seen::Found(_) | Seen::Nothing => None,
        Seen::Later(at) => Some(*at),
    };
    let Seen::Found(Found { sight, events, look_at }) = seen else {
        let written = sqlx::query(
            "UPDATE told SET look_at = $4, version = version + 1
             WHERE user_id = $1 AND runtime_id = $2 AND version = $3",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .bind(version)
        .bind(micros(later))
        .execute(&mut *step)
        .await
        .doing(doing)?;
        return Ok((written.rows_affected() > 0, false));
    };
    let row = sqlx::query(
        "UPDATE told SET sight = $4, look_at = $5, version = version + 1,
             bad_told = CASE WHEN own = 1 THEN 0 ELSE bad_told END, own = 0
         WHERE user_id = $1 AND runtime_id = $2 AND version = $3 RETURNING bad_told",
    )
    .bind(user.as_str())
    .bind(runtime.as_str())
    .bind(version)
    .bind(json("told.sight", sight)?)
    .bind(look_at.micros())
    .fetch_optional(&mut *step)
    .await
    .doing(doing)?;
    let Some(row) = row else { return Ok((false, false)) };
    if events.is_empty() {
        return Ok((true, false));
    }
    let bad_told = Columns::new(&row).read::<i64>("told.bad_told")? != 0;
    let wanted = wanted(step, user, runtime, now).await.doing(doing)?;
    let mut now_told = bad_told;
    for (kind, detail, telling) in events {
        let is_notice = match telling {
            Telling::Never => false,
            Telling::Bad | Telling::Warning => wanted,
            Telling::Good => wanted && bad_told,
        };
        match telling {
            Telling::Bad => now_told |= is_notice,
            Telling::Good => now_told = false,
            Telling::Never | Telling::Warning => {}
        }
        write_event(step, user, runtime, *kind, detail, now, is_notice, doing).await?;
    }
    if now_told != bad_told {
        sqlx::query("UPDATE told SET bad_told = $3 WHERE user_id = $1 AND runtime_id = $2")
            .bind(user.as_str())
            .bind(runtime.as_str())
            .bind(i64::from(now_told))
            .execute(step)
            .await
            .doing(doing)?;
    }
    Ok((true, true))
}

/// Whether the user wants notices of a runtime at this moment.
async fn wanted(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let against = sqlx::query(concat!(
        "SELECT 1 FROM mutes q WHERE q.user_id = $1 AND q.runtime_id = $2 AND ",
        hidden!("$3"),
        " UNION ALL SELECT 1 FROM notice_settings WHERE user_id = $1 AND enabled = 0"
    ))
    .bind(user.as_str())
    .bind(runtime.as_str())
    .bind(now.micros())
    .fetch_optional(step)
    .await?;
    Ok(against.is_none())
}

#[expect(clippy::too_many_arguments, reason = "a row's columns")]
async fn write_event(
    step: &mut SqliteConnection,
    user: &UserId,
    runtime: &RuntimeId,
    kind: Kind,
    detail: &Detail,
    now: Timestamp,
    is_notice: bool,
    doing: &'static str,
) -> Result<(), StoreError> {
    // A grant is renewed every few hours: of several renewals in a row only the last is worth a line.
    if kind == Kind::Renewed {
        sqlx::query(
            "DELETE FROM events WHERE kind = 'renewed' AND id = (
                 SELECT max(id) FROM events WHERE user_id = $1 AND runtime_id = $2)",
        )
        .bind(user.as_str())
        .bind(runtime.as_str())
        .execute(&mut *step)
        .await
        .doing(doing)?;
    }
    sqlx::query(
        "INSERT INTO events (user_id, runtime_id, kind, detail, at, is_notice) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(user.as_str())
    .bind(runtime.as_str())
    .bind(kind.as_str())
    .bind(json("events.detail", detail)?)
    .bind(now.micros())
    .bind(i64::from(is_notice))
    .execute(&mut *step)
    .await
    .doing(doing)?;
    sqlx::query(
        "DELETE FROM events WHERE user_id = $1 AND runtime_id = $2 AND id <= (
             SELECT id FROM events WHERE user_id = $1 AND runtime_id = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = events.id AND d.due_at IS NOT NULL)",
    )
    .bind(user.as_str())
    .bind(runtime.as_str())
    .bind(KEPT_PER_RUNTIME)
    .execute(step)
    .await
    .doing(doing)?;
    Ok(())
}

fn read_marked(row: &SqliteRow) -> Result<Marked, StoreError> {
    let mut columns = Columns::new(row);
    let user = columns.id("told.user_id")?;
    let runtime = columns.id("told.runtime_id")?;
    let version = columns.read("told.version")?;
    let own = columns.read::<i64>("told.own")? != 0;
    let sight: Option<&str> = columns.read("told.sight")?;
    // What another version wrote and this one can't read is as good as nothing: nobody is told of an upgrade.
    let last = sight.and_then(|text| parse::<Sight>("told.sight", text).ok());
    let before = match (own, last) {
        (true, last) => Before::Own(last),
        (false, Some(last)) => Before::Seen(last),
        (false, None) => Before::Nothing,
    };
    Ok(Marked { user, runtime, version, before })
}

fn read_event(row: &SqliteRow) -> Result<Event, StoreError> {
    next_event(&mut Columns::new(row))
}

/// The next columns are an event's.
pub(super) fn next_event(columns: &mut Columns<'_>) -> Result<Event, StoreError> {
    Ok(Event {
        id: EventId(columns.read("events.id")?),
        user: columns.id("events.user_id")?,
        runtime: columns.optional_id("events.runtime_id")?,
        host: columns.read("events.host")?,
        kind: Kind::parse(columns.read("events.kind")?).ok_or_else(|| StoreError::Unreadable {
            column: "events.kind",
            problem: "not a kind of event".to_owned(),
        })?,
        detail: columns.json("events.detail")?,
        at: columns.time("events.at")?,
        is_notice: columns.read::<i64>("events.is_notice")? != 0,
        read_at: columns.optional_time("events.read_at")?,
    })
}

/// `host, began_at, kind, ended_at`.
pub(super) fn read_incident(row: &SqliteRow) -> Result<Incident, StoreError> {
    let mut columns = Columns::new(row);
    Ok(Incident {
        host: columns.read("incidents.host")?,
        began_at: columns.time("incidents.began_at")?,
        trouble: Trouble::parse(columns.read("incidents.kind")?).ok_or_else(|| StoreError::Unreadable {
            column: "incidents.kind",
            problem: "not a kind of trouble".to_owned(),
        })?,
        ended_at: columns.optional_time("incidents.ended_at")?,
    })
}
