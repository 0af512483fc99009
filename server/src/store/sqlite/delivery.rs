//! Where notices go, and how each delivery went.

use async_trait::async_trait;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    Doing, SqliteStore,
    notice::next_event,
    row::{Columns, json, number},
};
use crate::{
    clock::Timestamp,
    deliver::{
        AccountTarget, DeliveryId, Job, LOG_KEPT, LONGEST_DELAY, LONGEST_LEASE, LONGEST_STAY, LogEntry,
        MailMode, MailSettings, Means, NewWebhook, Notice, Outcome, Progress, Subject, To, Way, Webhook,
        WebhookFormat, next_hour,
    },
    id::{AccountId, UserId},
    notice::EventId,
    seal::Sealed,
    secret::Fingerprint,
    store::{DeliveryStore, StoreError},
};

/// The first of each lane that is due, by a process that has mail (`$3`) and these lanes of accounts (`$4`); none of a
/// lane that something is under way on. What finds nobody any more is for everybody.
pub(super) const HEADS: &str = "SELECT d.id, d.user_id, d.way, d.target FROM deliveries d WHERE d.due_at <= $1
     AND (d.way NOT IN ('mail', 'digest') OR $3 = 1)
     AND (d.way NOT IN ('account', 'account_mail') OR d.lane IN (SELECT value FROM json_each($4)) OR NOT EXISTS (
         SELECT 1 FROM account_targets h
         WHERE h.way = d.way AND d.target = h.account_id || '/' || h.name AND h.gone_at IS NULL))
     AND NOT EXISTS (
         SELECT 1 FROM deliveries b WHERE b.lane = d.lane AND b.leased_until > $1 AND b.leased_until <= $2)
     AND NOT EXISTS (
         SELECT 1 FROM deliveries b WHERE b.lane = d.lane AND b.due_at IS NOT NULL
         AND (b.due_at, b.id) < (d.due_at, d.id))
     ORDER BY d.due_at, d.id LIMIT $5";
/// Put off before the clock was set back.
pub(super) const TOO_FAR: &str = "SELECT 1 FROM deliveries WHERE due_at > $1 LIMIT 1";

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

/// What [`read_notice`] reads.
macro_rules! notice_columns {
    () => {
        "e.id, e.user_id, e.runtime_id, e.host, e.kind, e.detail, e.at, e.is_notice, e.read_at,
         r.id, r.name, a.id, a.name, r.provider_id"
    };
}

/// Deliveries `d` with what they tell.
macro_rules! deliveries {
    () => {
        " FROM deliveries d JOIN events e ON e.id = d.event_id JOIN users u ON u.id = d.user_id
          LEFT JOIN runtimes r ON r.id = e.runtime_id LEFT JOIN accounts a ON a.id = r.account_id "
    };
}

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn mail_settings(&self, user: &UserId) -> Result<MailSettings, StoreError> {
        let row =
            sqlx::query("SELECT mode, hour, address, unconfirmed FROM mail_settings WHERE user_id = $1")
                .bind(user.as_str())
                .fetch_optional(&self.readers)
                .await
                .doing("read how a user wants mail")?;
        let Some(row) = row else { return Ok(MailSettings::default()) };
        let mut columns = Columns::new(&row);
        Ok(MailSettings {
            mode: mode(columns.read("mail_settings.mode")?)?,
            hour: columns.read("mail_settings.hour")?,
            address: columns.read("mail_settings.address")?,
            unconfirmed: columns.read("mail_settings.unconfirmed")?,
        })
    }

    async fn set_mail(
        &self,
        user: &UserId,
        mode: MailMode,
        hour: u8,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const DOING: &str = "note how a user wants mail";
        let mut step = self.step(DOING).await?;
        sqlx::query(
            "INSERT INTO mail_settings (user_id, mode, hour) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET mode = excluded.mode, hour = excluded.hour",
        )
        .bind(user.as_str())
        .bind(mode.as_str())
        .bind(hour)
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        let at = next_hour(now, hour).micros();
        // What was tried already is a mail of its own by now.
        sqlx::query(
            "UPDATE deliveries SET target = $2, due_at = $3
             WHERE user_id = $1 AND way = 'digest' AND state = 'waiting' AND attempts = 0",
        )
        .bind(user.as_str())
        .bind(at.to_string())
        .bind(at)
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        step.commit().await.doing(DOING)
    }

    async fn propose_address(
        &self,
        user: &UserId,
        address: &str,
        secret: &Fingerprint,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let MailSettings { mode, hour, .. } = MailSettings::default();
        sqlx::query(
            "INSERT INTO mail_settings (user_id, mode, hour, unconfirmed, secret, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id) DO UPDATE SET unconfirmed = excluded.unconfirmed, secret = excluded.secret,
                 expires_at = excluded.expires_at",
        )
        .bind(user.as_str())
        .bind(mode.as_str())
        .bind(hour)
        .bind(address)
        .bind(secret.0.as_slice())
        .bind(until.micros())
        .execute(&self.writer)
        .await
        .doing("keep an address to be confirmed")?;
        Ok(())
    }

    async fn withdraw_address(&self, user: &UserId, secret: &Fingerprint) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE mail_settings SET unconfirmed = NULL, secret = NULL, expires_at = NULL
             WHERE user_id = $1 AND secret = $2",
        )
        .bind(user.as_str())
        .bind(secret.0.as_slice())
        .execute(&self.writer)
        .await
        .doing("take back an address to be confirmed")?;
        Ok(())
    }

    async fn confirm_address(
        &self,
        user: &UserId,
        secret: &Fingerprint,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let rows = sqlx::query(
            "UPDATE mail_settings SET address = unconfirmed, unconfirmed = NULL, secret = NULL, expires_at = NULL,
                 mode = CASE WHEN address IS NULL AND mode = 'off' THEN 'each' ELSE mode END
             WHERE user_id = $1 AND secret = $2 AND expires_at > $3 AND unconfirmed IS NOT NULL
             RETURNING address",
        )
        .bind(user.as_str())
        .bind(secret.0.as_slice())
        .bind(now.micros())
        .fetch_all(&self.writer)
        .await
        .doing("confirm an address")?;
        rows.first().map(|row| Columns::new(row).read("mail_settings.address")).transpose()
    }

    async fn forget_address(&self, user: &UserId) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE mail_settings SET address = NULL, unconfirmed = NULL, secret = NULL, expires_at = NULL
             WHERE user_id = $1",
        )
        .bind(user.as_str())
        .execute(&self.writer)
        .await
        .doing("forget an address")?;
        Ok(())
    }

    async fn all_webhooks(&self) -> Result<Vec<NewWebhook>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, user_id, format, shown, created_at, gone_at, sealed FROM webhooks ORDER BY id",
        )
        .fetch_all(&self.readers)
        .await
        .doing("read all webhooks")?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::new(row);
                let webhook = read_webhook(&mut columns)?;
                Ok(NewWebhook { webhook, sealed: Sealed(columns.read("webhooks.sealed")?) })
            })
            .collect()
    }

    async fn webhook(&self, user: &UserId) -> Result<Option<Webhook>, StoreError> {
        let row = sqlx::query(
            "SELECT id, user_id, format, shown, created_at, gone_at FROM webhooks WHERE user_id = $1",
        )
        .bind(user.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("read a user's webhook")?;
        row.map(|row| read_webhook(&mut Columns::new(&row))).transpose()
    }

    async fn sealed_webhook(&self, user: &UserId) -> Result<Option<NewWebhook>, StoreError> {
        let row = sqlx::query(
            "SELECT id, user_id, format, shown, created_at, gone_at, sealed FROM webhooks WHERE user_id = $1",
        )
        .bind(user.as_str())
        .fetch_optional(&self.readers)
        .await
        .doing("read a user's webhook")?;
        row.map(|row| {
            let mut columns = Columns::new(&row);
            let webhook = read_webhook(&mut columns)?;
            Ok(NewWebhook { webhook, sealed: Sealed(columns.read("webhooks.sealed")?) })
        })
        .transpose()
    }

    async fn keep_webhook(&self, new: &NewWebhook) -> Result<(), StoreError> {
        const DOING: &str = "keep a user's webhook";
        let Webhook { id, user, format, shown, created_at, gone_at } = &new.webhook;
        let mut step = self.step(DOING).await?;
        sqlx::query("DELETE FROM webhooks WHERE user_id = $1")
            .bind(user.as_str())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        sqlx::query(
            "INSERT INTO webhooks (id, user_id, format, shown, created_at, gone_at, sealed)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(user.as_str())
        .bind(format.as_str())
        .bind(shown)
        .bind(created_at.micros())
        .bind(gone_at.map(Timestamp::micros))
        .bind(&new.sealed.0)
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        step.commit().await.doing(DOING)
    }

    async fn forget_webhook(&self, user: &UserId) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM webhooks WHERE user_id = $1")
            .bind(user.as_str())
            .execute(&self.writer)
            .await
            .doing("forget a user's webhook")?;
        Ok(gone.rows_affected() > 0)
    }

    async fn declare_targets(&self, declared: &[AccountTarget]) -> Result<(), StoreError> {
        const DOING: &str = "note the webhooks and mailboxes of accounts";
        let mut step = self.step(DOING).await?;
        let lanes: Vec<String> = declared.iter().map(AccountTarget::lane).collect();
        sqlx::query(
            "DELETE FROM account_targets
             WHERE way || '/' || account_id || '/' || name NOT IN (SELECT value FROM json_each($1))",
        )
        .bind(json("account_targets", &lanes)?)
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        for AccountTarget { way, account, name, target } in declared {
            sqlx::query(
                "INSERT INTO account_targets (account_id, way, name, target) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (account_id, way, name) DO UPDATE SET target = excluded.target, gone_at = NULL
                 WHERE account_targets.target <> excluded.target",
            )
            .bind(account.as_str())
            .bind(way.as_str())
            .bind(name)
            .bind(target.as_slice())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        }
        step.commit().await.doing(DOING)
    }

    async fn take_deliveries(
        &self,
        means: &Means,
        now: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<Job>, StoreError> {
        const DOING: &str = "take what is to be delivered";
        let accounts = json("account_targets", &means.accounts)?;
        let heads = || {
            sqlx::query(HEADS)
                .bind(now.micros())
                .bind(now.plus(LONGEST_LEASE).micros())
                .bind(i64::from(means.mail))
                .bind(accounts.as_str())
                .bind(most)
        };
        // Nothing is due most of the time, and looking takes no lock.
        let far = sqlx::query(TOO_FAR)
            .bind(now.plus(LONGEST_DELAY).micros())
            .fetch_optional(&self.readers)
            .await
            .doing(DOING)?;
        if far.is_none() && heads().fetch_optional(&self.readers).await.doing(DOING)?.is_none() {
            return Ok(Vec::new());
        }
        let mut step = self.step(DOING).await?;
        sqlx::query("UPDATE deliveries SET due_at = $1 WHERE due_at > $2")
            .bind(now.micros())
            .bind(now.plus(LONGEST_DELAY).micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        let heads = heads().fetch_all(&mut *step).await.doing(DOING)?;
        let mut jobs = Vec::with_capacity(heads.len());
        for head in &heads {
            let mut columns = Columns::new(head);
            let id: i64 = columns.read("deliveries.id")?;
            let user: &str = columns.read("deliveries.user_id")?;
            let is_digest = columns.read::<&str>("deliveries.way")? == Way::Digest.as_str();
            let digest = is_digest.then(|| columns.read("deliveries.target")).transpose()?;
            jobs.extend(self.take(&mut step, id, digest.map(|moment| (user, moment)), now, until).await?);
        }
        step.commit().await.doing(DOING)?;
        Ok(jobs)
    }

    async fn note_delivery(
        &self,
        deliveries: &[DeliveryId],
        until: Timestamp,
        outcome: Outcome,
        answer: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "note how a delivery went";
        let (state, due_at) = match outcome {
            Outcome::Delivered => ("delivered", None),
            Outcome::Again(at) => ("waiting", Some(at.micros())),
            Outcome::GivenUp | Outcome::Gone => ("given_up", None),
            Outcome::Dropped => ("dropped", None),
        };
        let ids = json("deliveries.id", &deliveries)?;
        let mut step = self.step(DOING).await?;
        let noted = sqlx::query(
            "UPDATE deliveries SET state = $3, due_at = $4, leased_until = NULL, answer = $5, tried_at = $6
             WHERE id IN (SELECT value FROM json_each($1)) AND leased_until = $2",
        )
        .bind(&ids)
        .bind(until.micros())
        .bind(state)
        .bind(due_at)
        .bind(answer)
        .bind(now.micros())
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        if noted.rows_affected() == 0 {
            return Ok(false);
        }
        if outcome == Outcome::Gone {
            let gone = [
                "UPDATE webhooks SET gone_at = $2 WHERE gone_at IS NULL AND id IN (
                     SELECT target FROM deliveries WHERE way = 'webhook' AND id IN (SELECT value FROM json_each($1)))",
                "UPDATE account_targets SET gone_at = $2
                 WHERE way = 'account' AND gone_at IS NULL AND account_id || '/' || name IN (
                     SELECT target FROM deliveries WHERE way = 'account' AND id IN (SELECT value FROM json_each($1)))",
            ];
            for statement in gone {
                sqlx::query(statement)
                    .bind(&ids)
                    .bind(now.micros())
                    .execute(&mut *step)
                    .await
                    .doing(DOING)?;
            }
        }
        step.commit().await.doing(DOING)?;
        Ok(true)
    }

    async fn delivery_log(&self, user: &UserId, most: u32) -> Result<Vec<LogEntry>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT d.id, ",
            notice_columns!(),
            ", u.name, d.way, d.target, d.state, d.due_at, d.attempts, d.answer, d.tried_at, d.made_at",
            deliveries!(),
            "WHERE d.id IN (
                 SELECT id FROM deliveries WHERE user_id = $1 AND way NOT IN ('account', 'account_mail')
                 UNION ALL
                 SELECT x.id FROM deliveries x
                 JOIN account_targets h ON h.way = x.way AND x.target = h.account_id || '/' || h.name
                 JOIN members m ON m.account_id = h.account_id AND m.role = 'admin' AND m.disabled_at IS NULL
                 JOIN users i ON i.name = m.user_name
                 WHERE x.way IN ('account', 'account_mail') AND i.id = $1)
             ORDER BY d.id DESC LIMIT $2"
        ))
        .bind(user.as_str())
        .bind(most)
        .fetch_all(&self.readers)
        .await
        .doing("read the delivery log")?;
        self.readable("deliveries", &rows, read_entry)
    }

    async fn sweep_deliveries(&self, now: Timestamp) -> Result<(), StoreError> {
        const DOING: &str = "forget old deliveries";
        let mut step = self.step(DOING).await?;
        sqlx::query("DELETE FROM deliveries WHERE due_at IS NULL AND tried_at <= $1")
            .bind(now.minus(LOG_KEPT).micros())
            .execute(&mut *step)
            .await
            .doing(DOING)?;
        sqlx::query(
            "UPDATE deliveries SET state = 'dropped', due_at = NULL, leased_until = NULL, tried_at = $1,
                 answer = 'not sent: no server here could send it for two weeks'
             WHERE due_at IS NOT NULL AND made_at <= $2 AND (leased_until IS NULL OR leased_until <= $1)",
        )
        .bind(now.micros())
        .bind(now.minus(LONGEST_STAY).micros())
        .execute(&mut *step)
        .await
        .doing(DOING)?;
        step.commit().await.doing(DOING)
    }
}

/// Makes the deliveries of all notices after `after`, in the step that made the notices.
pub(super) async fn make(
    step: &mut SqliteConnection,
    after: EventId,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    // Mail to a confirmed address: now, or at the next hour that the user chose.
    sqlx::query(
        "INSERT INTO deliveries (event_id, user_id, way, target, lane, made_at, due_at, attempts, state)
         SELECT e.id, e.user_id,
             CASE m.mode WHEN 'daily' THEN 'digest' ELSE 'mail' END,
             CASE m.mode WHEN 'daily' THEN CAST(m.digest_at AS TEXT) ELSE '' END,
             'mail/' || e.user_id, $2,
             CASE m.mode WHEN 'daily' THEN m.digest_at ELSE $2 END, 0, 'waiting'
         FROM events e JOIN (
             SELECT user_id, mode, address,
                 $3 + hour * $4 + CASE WHEN $3 + hour * $4 <= $2 THEN $5 ELSE 0 END AS digest_at
             FROM mail_settings) m ON m.user_id = e.user_id
         WHERE e.id > $1 AND e.is_notice = 1 AND m.mode <> 'off' AND m.address IS NOT NULL",
    )
    .bind(after.0)
    .bind(now.micros())
    .bind(now.micros().div_euclid(DAY) * DAY)
    .bind(HOUR)
    .bind(DAY)
    .execute(&mut *step)
    .await?;
    sqlx::query(
        "INSERT INTO deliveries (event_id, user_id, way, target, lane, made_at, due_at, attempts, state)
         SELECT e.id, e.user_id, 'webhook', w.id, 'webhook/' || w.id, $2, $2, 0, 'waiting'
         FROM events e JOIN webhooks w ON w.user_id = e.user_id AND w.gone_at IS NULL
         WHERE e.id > $1 AND e.is_notice = 1",
    )
    .bind(after.0)
    .bind(now.micros())
    .execute(&mut *step)
    .await?;
    sqlx::query(
        "INSERT INTO deliveries (event_id, user_id, way, target, lane, made_at, due_at, attempts, state)
         SELECT e.id, e.user_id, h.way, h.account_id || '/' || h.name,
             h.way || '/' || h.account_id || '/' || h.name, $2, $2, 0, 'waiting'
         FROM events e JOIN runtimes r ON r.id = e.runtime_id
         JOIN account_targets h ON h.account_id = r.account_id AND h.gone_at IS NULL
         WHERE e.id > $1 AND e.is_notice = 1",
    )
    .bind(after.0)
    .bind(now.micros())
    .execute(step)
    .await?;
    Ok(())
}

/// Makes those deliveries to accounts that tell of a host, which is that of these providers: one each, for
/// the first of the account's people who are told after `after`, because it is the same to all of them.
pub(super) async fn make_for_host(
    step: &mut SqliteConnection,
    after: EventId,
    providers: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO deliveries (event_id, user_id, way, target, lane, made_at, due_at, attempts, state)
         SELECT e.id, e.user_id, h.way, h.account_id || '/' || h.name,
             h.way || '/' || h.account_id || '/' || h.name, $2, $2, 0, 'waiting'
         FROM account_targets h JOIN events e ON e.id = (
             SELECT min(x.id) FROM events x JOIN assignments s ON s.user_id = x.user_id
             JOIN runtimes r ON r.id = s.runtime_id AND r.account_id = h.account_id
                 AND r.provider_id IN (SELECT value FROM json_each($3))
             WHERE x.id > $1 AND x.is_notice = 1 AND x.host IS NOT NULL)
         WHERE h.gone_at IS NULL",
    )
    .bind(after.0)
    .bind(now.micros())
    .bind(providers)
    .execute(step)
    .await?;
    Ok(())
}

/// The number of the last event before a step makes further ones.
pub(super) async fn last_event(step: &mut SqliteConnection) -> Result<EventId, sqlx::Error> {
    sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM events").fetch_one(step).await.map(EventId)
}

impl SqliteStore {
    /// Takes a delivery, and with one of a `digest` (whose, and its moment) all of that digest.
    async fn take(
        &self,
        step: &mut SqliteConnection,
        id: i64,
        digest: Option<(&str, &str)>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Job>, StoreError> {
        const DOING: &str = "take what is to be delivered";
        let (user, moment) = digest.unzip();
        let statement = match digest {
            None => {
                "UPDATE deliveries SET leased_until = $2, attempts = attempts + 1
                 WHERE id = $1 AND $3 IS NULL AND $4 IS NULL RETURNING id"
            }
            Some(_) => {
                "UPDATE deliveries SET leased_until = $2, attempts = attempts + 1
                 WHERE (id = $1 OR way = 'digest') AND user_id = $3 AND target = $4 AND state = 'waiting'
                 RETURNING id"
            }
        };
        let taken = sqlx::query(statement)
            .bind(id)
            .bind(until.micros())
            .bind(user)
            .bind(moment)
            .fetch_all(&mut *step)
            .await
            .doing(DOING)?;
        let taken: Vec<i64> =
            taken.iter().map(|row| Columns::new(row).read("deliveries.id")).collect::<Result<_, _>>()?;
        let rows = sqlx::query(concat!(
            "SELECT d.id, ",
            notice_columns!(),
            ", d.way, d.target, d.attempts, d.user_id, u.name, u.disabled_at, m.mode, m.address,
               EXISTS (SELECT 1 FROM account_targets h
                   WHERE h.way = d.way AND d.target = h.account_id || '/' || h.name AND h.gone_at IS NULL),
               w.id IS NOT NULL, w.id, w.user_id, w.format, w.shown, w.created_at, w.gone_at, w.sealed",
            deliveries!(),
            "LEFT JOIN mail_settings m ON m.user_id = d.user_id
             LEFT JOIN webhooks w ON d.way = 'webhook' AND w.id = d.target AND w.gone_at IS NULL
             WHERE d.id IN (SELECT value FROM json_each($1)) ORDER BY e.id"
        ))
        .bind(json("deliveries.id", &taken)?)
        .fetch_all(&mut *step)
        .await
        .doing(DOING)?;
        let mut job: Option<Job> = None;
        for row in &rows {
            let one = match read_job(row, until) {
                Ok(one) => one,
                Err(error @ StoreError::Unreadable { .. }) => {
                    let id = number(row)?;
                    self.say_unreadable("deliveries", id, &error);
                    give_up(step, id, now).await.doing(DOING)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match &mut job {
                None => job = Some(one),
                Some(job) => {
                    job.attempt = job.attempt.max(one.attempt);
                    job.deliveries.extend(one.deliveries);
                    job.notices.extend(one.notices);
                }
            }
        }
        Ok(job)
    }
}

/// What can't be read is sent to nobody, and holds up nothing else.
async fn give_up(step: &mut SqliteConnection, id: i64, now: Timestamp) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE deliveries SET state = 'given_up', due_at = NULL, leased_until = NULL, tried_at = $2,
             answer = 'not sent: what it tells can not be read'
         WHERE id = $1",
    )
    .bind(id)
    .bind(now.micros())
    .execute(step)
    .await?;
    Ok(())
}

fn read_job(row: &SqliteRow, until: Timestamp) -> Result<Job, StoreError> {
    let mut columns = Columns::new(row);
    let id = DeliveryId(columns.read("deliveries.id")?);
    let notice = read_notice(&mut columns)?;
    let way = way(columns.read("deliveries.way")?)?;
    let target: &str = columns.read("deliveries.target")?;
    let attempt = columns.read("deliveries.attempts")?;
    let user = columns.id("deliveries.user_id")?;
    let user_name = columns.name("users.name")?;
    let disabled = columns.optional_time("users.disabled_at")?.is_some();
    let wants_mail = match columns.read::<Option<&str>>("mail_settings.mode")? {
        Some(text) => mode(text)? != MailMode::Off,
        None => false,
    };
    let address: Option<String> = columns.read("mail_settings.address")?;
    let declared = columns.read::<i64>("account_targets")? != 0;
    let webhook_there = columns.read::<i64>("webhooks.id")? != 0;
    let to = match way {
        _ if disabled => To::Nobody,
        Way::Mail | Way::Digest => address.filter(|_| wants_mail).map_or(To::Nobody, To::Address),
        Way::Account | Way::AccountMail => match target.split_once('/') {
            Some((account, name)) if declared => To::Account(AccountId::from(account), name.to_owned()),
            _ => To::Nobody,
        },
        Way::Webhook if webhook_there => To::Webhook(NewWebhook {
            webhook: read_webhook(&mut columns)?,
            sealed: Sealed(columns.read("webhooks.sealed")?),
        }),
        Way::Webhook => To::Nobody,
    };
    Ok(Job {
        deliveries: vec![id],
        way,
        digest_at: match way {
            Way::Digest => Some(target.parse().map(Timestamp::from_micros).map_err(|_| {
                StoreError::Unreadable { column: "deliveries.target", problem: "not a moment".to_owned() }
            })?),
            _ => None,
        },
        to,
        user,
        user_name,
        attempt,
        until,
        notices: vec![notice],
    })
}

fn read_entry(row: &SqliteRow) -> Result<LogEntry, StoreError> {
    let mut columns = Columns::new(row);
    let id = DeliveryId(columns.read("deliveries.id")?);
    let notice = read_notice(&mut columns)?;
    let user_name = columns.name("users.name")?;
    let way = way(columns.read("deliveries.way")?)?;
    let target: String = columns.read("deliveries.target")?;
    let state: &str = columns.read("deliveries.state")?;
    let due_at = columns.optional_time("deliveries.due_at")?;
    let progress = match (state, due_at) {
        ("waiting", Some(at)) => Progress::Waiting(at),
        ("delivered", _) => Progress::Delivered,
        ("given_up", _) => Progress::GivenUp,
        ("dropped", _) => Progress::Dropped,
        _ => {
            return Err(StoreError::Unreadable {
                column: "deliveries.state",
                problem: "not a state of a delivery".to_owned(),
            });
        }
    };
    Ok(LogEntry {
        id,
        notice,
        user_name,
        way,
        account_target: matches!(way, Way::Account | Way::AccountMail).then_some(target),
        progress,
        attempts: columns.read("deliveries.attempts")?,
        answer: columns.read("deliveries.answer")?,
        tried_at: columns.optional_time("deliveries.tried_at")?,
        made_at: columns.time("deliveries.made_at")?,
    })
}

fn read_notice(columns: &mut Columns<'_>) -> Result<Notice, StoreError> {
    let event = next_event(columns)?;
    let id: Option<&str> = columns.read("runtimes.id")?;
    let name: Option<String> = columns.read("runtimes.name")?;
    let account = columns.optional_id("accounts.id")?;
    let account_name: Option<String> = columns.read("accounts.name")?;
    let provider = columns.optional_id("runtimes.provider_id")?;
    let subject = match (id, name, account, account_name, provider) {
        (Some(id), Some(name), Some(account), Some(account_name), Some(provider)) => {
            Some(Subject { id: id.into(), name, account, account_name, provider })
        }
        _ => None,
    };
    Ok(Notice { event, subject })
}

fn read_webhook(columns: &mut Columns<'_>) -> Result<Webhook, StoreError> {
    Ok(Webhook {
        id: columns.read("webhooks.id")?,
        user: columns.id("webhooks.user_id")?,
        format: WebhookFormat::parse(columns.read("webhooks.format")?).ok_or_else(|| {
            StoreError::Unreadable { column: "webhooks.format", problem: "not a format".to_owned() }
        })?,
        shown: columns.read("webhooks.shown")?,
        created_at: columns.time("webhooks.created_at")?,
        gone_at: columns.optional_time("webhooks.gone_at")?,
    })
}

fn mode(text: &str) -> Result<MailMode, StoreError> {
    MailMode::parse(text).ok_or_else(|| StoreError::Unreadable {
        column: "mail_settings.mode",
        problem: "not a way to want mail".to_owned(),
    })
}

fn way(text: &str) -> Result<Way, StoreError> {
    Way::parse(text).ok_or_else(|| StoreError::Unreadable {
        column: "deliveries.way",
        problem: "not a way to deliver".to_owned(),
    })
}
