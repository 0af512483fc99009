//! What the visitor was told, and where else they want to be told it, in the words of the pages.

use app::{
    api::notice::{
        Course, Delivery, DeliveryTrouble, HostTrouble, MailMode, MailSettings, Notice, NoticePage,
        NoticeSettings, Progress, TroubleKind, WebhookFormat, WebhookSettings,
    },
    error::{ApiError, WebhookProblem},
};

use super::{Visit, broken, internal, label};
use crate::{
    audit::Action,
    clock::Timestamp,
    credential::Access,
    deliver::{
        self, LogEntry, Way,
        settings::{SettingsError, Trouble, View},
        webhook::Unfit,
    },
    happening::{happening, timeline},
    herald::What,
    id::RuntimeId,
    moment::moment,
    notice::{DAY, Event, EventId, Hide},
    provider::Provider,
    secret::Secret,
    watch::host,
};

/// Notices on a page.
const NOTICES_PER_PAGE: u32 = 50;
/// Lines of a runtime's timeline.
const HAPPENINGS: u32 = 50;

impl Visit {
    /// How the provider is called that an event is about: the runtime's, or the host's.
    fn provider_of(&self, event: &Event, accesses: &[Access]) -> String {
        let registry = &self.site.registry;
        let of_runtime = event.runtime.as_ref().and_then(|runtime| {
            let access = accesses.iter().find(|access| access.runtime.id == *runtime)?;
            registry.provider(&access.runtime.provider)
        });
        match (of_runtime, &event.host) {
            (Some(provider), _) => provider.name().to_owned(),
            (None, Some(host)) => registry.name_at(host),
            (None, None) => "The provider".to_owned(),
        }
    }

    /// An event that the visitor is told, in words. Not about a runtime that is no longer theirs.
    fn told(&self, event: &Event, accesses: &[Access], now: Timestamp) -> Option<Notice> {
        let runtime = match &event.runtime {
            Some(runtime) => {
                let access = accesses.iter().find(|access| access.runtime.id == *runtime)?;
                Some((runtime.to_string(), access.runtime.name.clone()))
            }
            None => None,
        };
        Some(Notice {
            id: event.id.0,
            runtime,
            host: event.host.clone(),
            happening: happening(event, &self.provider_of(event, accesses), now),
            read: event.read_at.is_some(),
        })
    }

    pub(super) async fn unread(&self) -> Result<u32, ApiError> {
        let signed = self.signed()?;
        self.site.store.unread(&signed.user.id).await.map_err(broken("count notices"))
    }

    pub(super) async fn notice_page(&self, before: Option<i64>) -> Result<NoticePage, ApiError> {
        let signed = self.signed()?;
        let (store, now) = (&self.site.store, self.now());
        let user = &signed.user.id;
        let before = before.map(EventId);
        // One more, to know whether there is more.
        let mut events =
            store.notices(user, before, NOTICES_PER_PAGE + 1).await.map_err(broken("read notices"))?;
        let more = events.len() > NOTICES_PER_PAGE as usize;
        events.truncate(NOTICES_PER_PAGE as usize);
        let accesses = self.accesses().await?;
        Ok(NoticePage {
            earlier: events.last().filter(|_| more).map(|event| event.id.0),
            notices: events.iter().filter_map(|event| self.told(event, &accesses, now)).collect(),
            unread: self.unread().await?,
            later: before.is_some(),
            off: !store.wants_notices(user).await.map_err(broken("read a setting"))?,
        })
    }

    pub(super) async fn read(&self, id: i64) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        let read = self.site.store.read(user, EventId(id), self.now()).await;
        if read.map_err(broken("mark a notice read"))? {
            self.site.changes.say(user, What::Read);
        }
        Ok(())
    }

    pub(super) async fn read_up_to(&self, up_to: i64) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        let read = self.site.store.read_all(user, EventId(up_to), self.now()).await;
        if read.map_err(broken("mark notices read"))? > 0 {
            self.site.changes.say(user, What::Read);
        }
        Ok(())
    }

    pub(super) async fn course_of(&self, runtime: String) -> Result<Course, ApiError> {
        let user = &self.signed()?.user.id;
        let (store, now) = (&self.site.store, self.now());
        let runtime = RuntimeId(runtime);
        let access = store.access(user, &runtime, now).await.map_err(broken("read a runtime"))?;
        let access = access.ok_or(ApiError::NotFound)?;
        let provider = self.provider(&access)?;
        let host = access.credential.is_some().then(|| provider.host());
        let events = store.timeline(user, &runtime, host.as_deref(), HAPPENINGS).await;
        let events = events.map_err(broken("read what happened"))?;
        let credential = access.credential.as_ref();
        Ok(Course {
            last_good: credential
                .and_then(|credential| credential.standing.last_good_at)
                .map(|at| moment(at, now)),
            next_check: credential
                .and_then(|credential| credential.due_at)
                .map(|at| moment(at.max(now), now)),
            happenings: timeline(&events, &access, provider.as_ref(), now),
        })
    }

    pub(super) async fn hide(&self, runtime: String, hide: bool, days: u32) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        let (store, now) = (&self.site.store, self.now());
        let runtime = RuntimeId(runtime);
        if !matches!(days, 0 | 1 | 7) {
            return Err(ApiError::BadRequest);
        }
        let access = store.access(user, &runtime, now).await.map_err(broken("read a runtime"))?;
        let access = access.ok_or(ApiError::NotFound)?;
        let how = match (hide, days) {
            (true, 0) => Hide::Always,
            (true, days) => Hide::Until(now.plus(DAY * days)),
            (false, _) => Hide::No,
        };
        store.hide(user, &runtime, how).await.map_err(broken("hide notifications"))?;
        self.site.changes.say(user, What::Row(runtime));
        let what = match (hide, days) {
            (false, _) => "shown",
            (true, 0) => "hidden",
            (true, 1) => "hidden for a day",
            (true, _) => "hidden for a week",
        };
        self.note_hidden(&access, what).await
    }

    /// The hosts of the visitor's tokens that are in trouble as a whole.
    pub(super) async fn in_trouble(
        &self,
        accesses: &[Access],
        now: Timestamp,
    ) -> Result<Vec<HostTrouble>, ApiError> {
        let incidents = self.site.store.incidents(now).await.map_err(broken("read how the hosts are"))?;
        let mut found: Vec<HostTrouble> = Vec::new();
        for incident in incidents.iter().filter(|incident| incident.ended_at.is_none()) {
            let there = |provider: &dyn Provider| provider.host() == incident.host;
            let provider = accesses.iter().filter(|access| access.credential.is_some()).find_map(|access| {
                self.site.registry.provider(&access.runtime.provider).filter(|one| there(one.as_ref()))
            });
            let Some(provider) = provider else { continue };
            found.push(HostTrouble {
                provider: label(provider.as_ref()),
                kind: match incident.trouble {
                    host::Trouble::Unreachable => TroubleKind::Silent,
                    host::Trouble::Limiting => TroubleKind::Limiting,
                    host::Trouble::Refusing => TroubleKind::Refusing,
                },
                since: moment(incident.began_at, now),
            });
        }
        Ok(found)
    }

    pub(super) async fn settings(&self) -> Result<NoticeSettings, ApiError> {
        let signed = self.signed()?;
        let user = &signed.user.id;
        let now = self.now();
        let told = self.site.store.wants_notices(user).await.map_err(broken("read a setting"))?;
        let View { mail_offered, mail, mail_trouble, webhook, webhook_trouble, log } =
            self.site.delivery.view(user).await.map_err(broken("read where notices go"))?;
        let webhook_secret =
            self.site.delivery.new_secret(user).await.map_err(|error| self.setting(error))?;
        let accesses = self.accesses().await?;
        Ok(NoticeSettings {
            told,
            mail: mail_offered.then(|| MailSettings {
                mode: match mail.mode {
                    deliver::MailMode::Off => MailMode::Off,
                    deliver::MailMode::Each => MailMode::Each,
                    deliver::MailMode::Daily => MailMode::Daily,
                },
                hour: mail.hour,
                address: mail.address,
                unconfirmed: mail.unconfirmed,
                trouble: mail_trouble.map(|trouble| in_vain(trouble, now)),
            }),
            webhook_secret: webhook_secret.map(|secret| secret.expose().to_owned()),
            webhook: webhook.map(|webhook| WebhookSettings {
                shown: webhook.shown,
                format: match webhook.format {
                    deliver::WebhookFormat::Standard => WebhookFormat::Standard,
                    deliver::WebhookFormat::Slack => WebhookFormat::Slack,
                },
                since: moment(webhook.created_at, now),
                gone: webhook.gone_at.map(|at| moment(at, now)),
                trouble: webhook_trouble.map(|trouble| in_vain(trouble, now)),
            }),
            log: log.iter().map(|entry| self.delivery(entry, &accesses, now)).collect(),
        })
    }

    fn delivery(&self, entry: &LogEntry, accesses: &[Access], now: Timestamp) -> Delivery {
        let event = &entry.notice.event;
        let provider = match &entry.notice.subject {
            // Maybe another person's runtime.
            Some(subject) => self
                .site
                .registry
                .provider(&subject.provider)
                .map_or_else(|| subject.provider.to_string(), |provider| provider.name().to_owned()),
            None => self.provider_of(event, accesses),
        };
        let title = happening(event, &provider, now).title;
        let what = match &entry.notice.subject {
            Some(subject) => format!("{}: {title}", subject.name),
            None => title,
        };
        let way = match (entry.way, &entry.account_target) {
            (Way::Mail, _) => "Mail".to_owned(),
            (Way::Digest, _) => "Daily mail".to_owned(),
            (Way::Account, Some(name)) if entry.notice.subject.is_some() => {
                format!("Webhook {name}, about {}'s token", entry.user_name)
            }
            (Way::Account, Some(name)) => format!("Webhook {name}"),
            (Way::AccountMail, Some(name)) if entry.notice.subject.is_some() => {
                format!("Mail to {name}, about {}'s token", entry.user_name)
            }
            (Way::AccountMail, Some(name)) => format!("Mail to {name}"),
            (Way::AccountMail, None) => "Mail".to_owned(),
            (Way::Account | Way::Webhook, _) => "Webhook".to_owned(),
        };
        let progress = match entry.progress {
            deliver::Progress::Waiting(at) => Progress::Waiting(moment(at.max(now), now)),
            deliver::Progress::Delivered => Progress::Delivered,
            deliver::Progress::GivenUp => Progress::GivenUp,
            deliver::Progress::Dropped => Progress::Dropped,
        };
        let answer = entry.answer.clone().filter(|_| progress != Progress::Delivered);
        let at = moment(entry.tried_at.unwrap_or(entry.made_at), now);
        Delivery { what, way, progress, answer, attempts: entry.attempts, at }
    }

    pub(super) async fn mail_mode(&self, mode: MailMode, hour: u8) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        if hour > 23 {
            return Err(ApiError::BadRequest);
        }
        let (mode, what) = match mode {
            MailMode::Off => (deliver::MailMode::Off, "no mail"),
            MailMode::Each => (deliver::MailMode::Each, "a mail for each"),
            MailMode::Daily => (deliver::MailMode::Daily, "one mail a day"),
        };
        self.site.delivery.set_mail(user, mode, hour).await.map_err(broken("set when mail is sent"))?;
        self.note_notices(what).await
    }

    pub(super) async fn mail_to(&self, address: &str) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        let given = self.site.delivery.give_address(user, address).await;
        given.map_err(|error| self.setting(error))?;
        self.note_notices("mail address given").await
    }

    pub(super) async fn confirm(&self, secret: String) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        let confirmed = self.site.delivery.confirm(user, &Secret::new(secret)).await;
        confirmed.map_err(broken("confirm an address"))?.ok_or(ApiError::AddressLinkSpent)?;
        self.note_notices("mail address confirmed").await
    }

    pub(super) async fn mail_nowhere(&self) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        self.site.delivery.forget_address(user).await.map_err(broken("forget an address"))?;
        self.note_notices("mail address forgotten").await
    }

    pub(super) async fn webhook_to(&self, url: &str, format: WebhookFormat) -> Result<(), ApiError> {
        let signed = self.signed()?;
        let format = match format {
            WebhookFormat::Standard => deliver::WebhookFormat::Standard,
            WebhookFormat::Slack => deliver::WebhookFormat::Slack,
        };
        self.site.delivery.webhook_fits(url).map_err(|error| self.setting(error))?;
        // The page shows its secret for a while, as soon as it is kept.
        self.record_notices("webhook set").await?;
        let set = self.site.delivery.set_webhook(&signed.user.id, url, format).await;
        if set.is_err() {
            self.note_refused(&signed.user, Action::NoticesChanged, "failed").await;
        }
        set.map(drop).map_err(|error| self.setting(error))
    }

    pub(super) async fn webhook_nowhere(&self) -> Result<(), ApiError> {
        let signed = self.signed()?;
        let removed = self.site.delivery.remove_webhook(&signed.user.id).await;
        removed.map_err(broken("take a webhook away"))?;
        self.note_notices("webhook removed").await
    }

    /// Why a setting was not taken, in the pages' words.
    fn setting(&self, error: SettingsError) -> ApiError {
        match error {
            SettingsError::NoMail => ApiError::NoMail,
            SettingsError::NotAnAddress => ApiError::AddressUnusable,
            SettingsError::TooMany { until } => {
                let seconds = until.since(self.now()).as_secs().max(1);
                ApiError::TooManyAttempts { retry_after_seconds: u32::try_from(seconds).unwrap_or(u32::MAX) }
            }
            SettingsError::NotSent(fault) => {
                tracing::warn!(%fault, "A mail to confirm an address could not be sent");
                ApiError::MailNotSent
            }
            SettingsError::NotAWebhook(unfit) => ApiError::WebhookUnusable(match unfit {
                Unfit::NotAUrl => WebhookProblem::NotAnAddress,
                Unfit::NotHttps => WebhookProblem::NotHttps,
                Unfit::Userinfo => WebhookProblem::Password,
                Unfit::Private => WebhookProblem::Private,
            }),
            error => internal("change where notices go", &error),
        }
    }
}

fn in_vain(trouble: Trouble, now: Timestamp) -> DeliveryTrouble {
    DeliveryTrouble {
        answer: trouble.answer,
        at: moment(trouble.at, now),
        again: trouble.again_at.map(|at| moment(at.max(now), now)),
    }
}
