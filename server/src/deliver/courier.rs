//! Takes what is due, sends it, and notes what came of it.

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    Job, LONGEST_LEASE, Means, NewWebhook, Notice, Outcome, Parts, To, Way, WebhookFormat, backoff, lane,
    mail::{self, Mailer},
    message::Composer,
    webhook::{Target, WebhookFault, Webhooks},
};
use crate::{
    clock::{APART, Clock, Leaps, Timestamp},
    id::AccountId,
    provider::Registry,
    random::Entropy,
    seal::KeyRing,
    secret::Secret,
    store::{Store, StoreError},
};

/// Messages under way at once. Each lane has one, so that one place that never answers holds up nothing but itself.
const AT_ONCE: usize = 24;
/// A lease outlasts the longest try by far; should its holder die, somebody else tries that much later.
const LEASE: Duration = Duration::from_mins(2);
const _: () = assert!(LEASE.as_secs() + APART.as_secs() <= LONGEST_LEASE.as_secs());
/// How soon to look again while there is work …
const BUSY: Duration = Duration::from_millis(100);
/// … when there was none …
const IDLE: Duration = Duration::from_secs(1);
/// … and when the database failed.
const FAILED: Duration = Duration::from_secs(10);
/// How often old lines of the log are forgotten.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// A webhook that the configuration declares.
#[derive(Clone)]
pub struct DeclaredWebhook {
    /// Where it is and what its messages are signed with.
    pub target: Target,
    /// What it is sent.
    pub format: WebhookFormat,
}

impl DeclaredWebhook {
    /// Tells another target from this one, without showing it.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        Secret::new(format!("{} {}", self.format.as_str(), self.target.url.expose())).fingerprint().0
    }
}

/// Delivers.
pub struct Courier {
    store: Arc<dyn Store>,
    keys: Arc<KeyRing>,
    mailer: Option<Arc<Mailer>>,
    webhooks: Arc<Webhooks>,
    declared: HashMap<(AccountId, String), DeclaredWebhook>,
    mailboxes: HashMap<(AccountId, String), String>,
    means: Means,
    registry: Arc<Registry>,
    public_url: Url,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    under_way: TaskTracker,
    at_once: Arc<Semaphore>,
    stopped: CancellationToken,
    /// The mail server is in trouble, and the log says so.
    mail_fails: AtomicBool,
}

impl Courier {
    /// With these parts.
    pub(super) fn new(parts: &Parts) -> Self {
        let mail = parts.mailer.is_some();
        let webhooks = parts.declared.keys().map(|(account, name)| lane(Way::Account, account, name));
        let mailboxes = parts.mailboxes.keys().filter(|_| mail);
        let mailboxes = mailboxes.map(|(account, name)| lane(Way::AccountMail, account, name));
        Self {
            store: Arc::clone(&parts.store),
            keys: Arc::clone(&parts.keys),
            mailer: parts.mailer.clone(),
            webhooks: Arc::clone(&parts.webhooks),
            declared: parts.declared.clone(),
            mailboxes: parts.mailboxes.clone(),
            means: Means { mail, accounts: webhooks.chain(mailboxes).collect() },
            registry: Arc::clone(&parts.registry),
            public_url: parts.public_url.clone(),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            under_way: parts.under_way.clone(),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            stopped: CancellationToken::new(),
            mail_fails: AtomicBool::new(false),
        }
    }

    /// Goes on until it is stopped.
    pub async fn run(self: Arc<Self>) {
        let mut works = true;
        let mut sweep = (self.clock.now(), Leaps::new(self.clock.as_ref()));
        while !self.stopped.is_cancelled() {
            let pause = match self.turn(&mut sweep).await {
                Ok(begun) => {
                    works = true;
                    if begun.is_empty() { IDLE } else { BUSY }
                }
                Err(error) => {
                    if works {
                        let error = &error as &dyn Error;
                        tracing::error!(error, "What is to be delivered could not be looked up; trying on");
                    }
                    works = false;
                    FAILED
                }
            };
            tokio::select! {
                () = self.stopped.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Nothing more is begun. What is under way ends, and is noted.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    async fn turn(
        self: &Arc<Self>,
        (swept, leaps): &mut (Timestamp, Leaps),
    ) -> Result<Vec<JoinHandle<()>>, StoreError> {
        let now = self.clock.now();
        if now >= swept.plus(SWEEP_EVERY) || now < *swept {
            // A clock that was wrong for a while must not have thrown anything away.
            if !leaps.was_set(self.clock.as_ref()) {
                self.store.sweep_deliveries(now).await?;
            }
            *swept = now;
        }
        self.round().await
    }

    /// Begins to send what is due, as much as there is room for at the moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn round(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, StoreError> {
        let room = u32::try_from(self.at_once.available_permits()).unwrap_or(u32::MAX);
        if room == 0 {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let mut begun = Vec::new();
        for job in self.store.take_deliveries(&self.means, now, now.plus(LEASE), room).await? {
            // Only this loop takes permits, and no more than it saw.
            let Ok(permit) = Arc::clone(&self.at_once).try_acquire_owned() else { break };
            let courier = Arc::clone(self);
            begun.push(self.under_way.spawn(async move {
                courier.deliver(&job).await;
                drop(permit);
            }));
        }
        Ok(begun)
    }

    async fn deliver(&self, job: &Job) {
        let (outcome, answer) = self.send(job).await;
        self.log(job, outcome, &answer);
        let noted =
            self.store.note_delivery(&job.deliveries, job.until, outcome, &answer, self.clock.now()).await;
        match noted {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("A delivery took longer than its lease; another process may have sent it, too")
            }
            // The lease runs out, and it is sent again under the same id.
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "How a delivery went could not be noted");
            }
        }
    }

    /// Sends a message once.
    pub(super) async fn send(&self, job: &Job) -> (Outcome, String) {
        match &job.to {
            To::Nobody => (Outcome::Dropped, "not sent: switched off or removed meanwhile".to_owned()),
            To::Address(address) => self.mail(job, address).await,
            To::Webhook(webhook) => self.users_webhook(job, webhook).await,
            To::Account(account, name) if job.way == Way::AccountMail => {
                match self.mailboxes.get(&(account.clone(), name.clone())) {
                    Some(address) => self.mail(job, address).await,
                    None => self.left_to_others(),
                }
            }
            To::Account(account, name) => match self.declared.get(&(account.clone(), name.clone())) {
                Some(DeclaredWebhook { target, format }) => self.webhook(job, target, *format).await,
                None => self.left_to_others(),
            },
        }
    }

    /// Only what there are means for is taken; should it be something else all the same, another process may have them.
    fn left_to_others(&self) -> (Outcome, String) {
        (Outcome::Again(self.clock.now().plus(SWEEP_EVERY)), "not sent: not set up here".to_owned())
    }

    fn composer(&self) -> Composer<'_> {
        Composer { public_url: &self.public_url, registry: &self.registry, now: self.clock.now() }
    }

    async fn mail(&self, job: &Job, address: &str) -> (Outcome, String) {
        let Some(mailer) = &self.mailer else {
            return self.left_to_others();
        };
        let Some(address) = mail::address(address) else {
            return (Outcome::GivenUp, mail::MailFault::Unfit.to_string());
        };
        let mail = self.composer().mail(job);
        match mailer.send(&address, &message_id(job), &mail, self.clock.now()).await {
            Ok(()) => {
                self.mail_fails.store(false, Ordering::Relaxed);
                (Outcome::Delivered, "taken by the mail server".to_owned())
            }
            Err(fault) if fault.is_final() => (Outcome::GivenUp, fault.to_string()),
            Err(fault) => {
                if !self.mail_fails.swap(true, Ordering::Relaxed) {
                    tracing::error!(problem = %fault, "Mail can't be sent; it will be tried again");
                }
                (self.again(backoff::mail(job.attempt, self.entropy.as_ref())), fault.to_string())
            }
        }
    }

    async fn users_webhook(
        &self,
        job: &Job,
        NewWebhook { webhook, sealed }: &NewWebhook,
    ) -> (Outcome, String) {
        match Target::unseal(&self.keys, webhook, sealed) {
            Ok(target) => self.webhook(job, &target, webhook.format).await,
            Err(error) => {
                tracing::error!(
                    webhook = webhook.id,
                    error = &error as &dyn Error,
                    "A webhook can't be opened"
                );
                (Outcome::GivenUp, WebhookFault::Secret.to_string())
            }
        }
    }

    async fn webhook(&self, job: &Job, target: &Target, format: WebhookFormat) -> (Outcome, String) {
        let Some(notice) = job.notices.first() else {
            return (Outcome::Dropped, "not sent: there is nothing to tell".to_owned());
        };
        let composer = self.composer();
        let body = match format {
            WebhookFormat::Standard => composer.standard(job, notice),
            WebhookFormat::Slack => composer.slack(job, notice),
        };
        let body = body.to_string().into_bytes();
        match self.webhooks.send(target, format, &message_id(job), body, self.clock.now()).await {
            Ok(status) => (Outcome::Delivered, format!("answered {}", status.as_u16())),
            Err((fault @ WebhookFault::Status(StatusCode::GONE), _)) => (Outcome::Gone, fault.to_string()),
            Err((fault @ WebhookFault::Secret, _)) => (Outcome::GivenUp, fault.to_string()),
            Err((fault, wait)) => {
                let delay = backoff::webhook(job.attempt, wait, self.entropy.as_ref());
                (self.again(delay), fault.to_string())
            }
        }
    }

    fn again(&self, delay: Option<Duration>) -> Outcome {
        delay.map_or(Outcome::GivenUp, |delay| Outcome::Again(self.clock.now().plus(delay)))
    }

    /// What the operator must know: users see their own deliveries in their settings.
    fn log(&self, job: &Job, outcome: Outcome, answer: &str) {
        let (To::Account(account, name), Outcome::GivenUp | Outcome::Gone) = (&job.to, outcome) else {
            return;
        };
        let gone = outcome == Outcome::Gone;
        let mail = job.way == Way::AccountMail;
        tracing::warn!(%account, name, mail, answer, gone, "A message to an account was given up");
    }
}

/// The same at every attempt, and never again for anything else: also when the database was put back to an earlier moment
/// and gives numbers a second time.
pub(super) fn message_id(job: &Job) -> String {
    let event = |notice: &Notice| format!("{}_{}", notice.event.id.0, notice.event.at.micros());
    let first = job.notices.first().map(event).unwrap_or_default();
    match job.digest_at {
        Some(at) => format!("digest_{}_{first}", at.seconds()),
        // Whoever gets both has two mails, which do not say the same.
        None if job.way == Way::AccountMail => format!("account_{first}"),
        None => format!("notice_{first}"),
    }
}
