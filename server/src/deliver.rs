//! Notices on their way out: by mail and by webhook.
//!
//! Which deliveries a notice makes is decided in the step that makes the notice, so none is forgotten. They are taken by
//! leases that end by themselves, so none is lost with a process, and several processes share them. What fails is tried
//! again, ever more rarely, and given up in the end: the delivery log on the settings page says so. A message keeps its
//! id through all attempts, because one that was sent may have to be sent again when its answer is lost.
//!
//! Nothing that leaves here holds a secret, or a word that came from a provider's answer but account names.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;
use url::Url;

use self::{
    courier::{Courier, DeclaredWebhook},
    mail::Mailer,
    settings::Settings,
    webhook::Webhooks,
};
use crate::{
    clock::{Clock, Timestamp},
    id::{AccountId, ProviderId, RuntimeId, UserId},
    notice::Event,
    person::Name,
    provider::Registry,
    random::Entropy,
    seal::{KeyRing, Sealed},
    secret::Secret,
    store::{Store, StoreError},
};

pub mod backoff;
pub mod courier;
pub mod mail;
pub mod message;
pub mod settings;
pub mod webhook;

#[cfg(test)]
mod tests;

/// What deliveries are made with.
pub struct Parts {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// What seals.
    pub keys: Arc<KeyRing>,
    /// The way to the mail server, if there is one.
    pub mailer: Option<Arc<Mailer>>,
    /// The way to webhooks.
    pub webhooks: Arc<Webhooks>,
    /// Those of accounts, by account and name.
    pub declared: HashMap<(AccountId, String), DeclaredWebhook>,
    /// The addresses of accounts' mailboxes, likewise.
    pub mailboxes: HashMap<(AccountId, String), String>,
    /// How providers are called.
    pub registry: Arc<Registry>,
    /// Where people find Gitward.
    pub public_url: Url,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// What must be waited for before the process ends.
    pub under_way: TaskTracker,
}

/// Tells the store which webhooks and mailboxes of accounts there are, and puts together what users decide and what
/// sends.
///
/// # Errors
/// [`StoreError`].
pub async fn put_together(parts: Parts) -> Result<(Settings, Arc<Courier>), StoreError> {
    let target = |way, (account, name): &(AccountId, String), target| AccountTarget {
        way,
        account: account.clone(),
        name: name.clone(),
        target,
    };
    let webhooks = parts.declared.iter().map(|(of, webhook)| target(Way::Account, of, webhook.fingerprint()));
    let mailboxes = parts
        .mailboxes
        .iter()
        .map(|(of, address)| target(Way::AccountMail, of, Secret::new(address.as_str()).fingerprint().0));
    let declared: Vec<AccountTarget> = webhooks.chain(mailboxes).collect();
    parts.store.declare_targets(&declared).await?;
    Ok((Settings::new(&parts), Arc::new(Courier::new(&parts))))
}

/// What a process can send. Another one may run with another configuration, and leaves the rest to it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Means {
    /// Mail.
    pub mail: bool,
    /// To these webhooks and mailboxes of accounts, by their lanes.
    pub accounts: Vec<String>,
}

/// A delivery's number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

/// How often a user wants mail.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MailMode {
    /// Never.
    #[default]
    Off,
    /// For each notice.
    Each,
    /// Once a day, if there was anything.
    Daily,
}

impl MailMode {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Off, Self::Each, Self::Daily];

    /// For the database and for forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Each => "each",
            Self::Daily => "daily",
        }
    }

    /// From the database or a form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// How a user wants mail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailSettings {
    /// How often.
    pub mode: MailMode,
    /// The hour of the one mail a day: 0 to 23, UTC.
    pub hour: u8,
    /// Where it goes; `None`: nowhere yet.
    pub address: Option<String>,
    /// Waits for its confirmation, which is asked for by mail.
    pub unconfirmed: Option<String>,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self { mode: MailMode::Off, hour: 8, address: None, unconfirmed: None }
    }
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WebhookFormat {
    /// Signed JSON (<https://www.standardwebhooks.com>).
    #[default]
    Standard,
    /// One text, as Slack and those compatible with it take it.
    Slack,
}

impl WebhookFormat {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Standard, Self::Slack];

    /// For the database, the configuration and forms.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Slack => "slack",
        }
    }

    /// From there.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }
}

/// A user's webhook. Address and secret are sealed together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// Random.
    pub id: String,
    /// Whose.
    pub user: UserId,
    /// What it is sent.
    pub format: WebhookFormat,
    /// Scheme and host of its address: all of it that may be shown.
    pub shown: String,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// Its target said that it is gone for good, then; nothing is sent there any more.
    pub gone_at: Option<Timestamp>,
}

/// A user's webhook, about to be kept.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// All but address and secret.
    pub webhook: Webhook,
    /// Those, sealed to exactly that row.
    pub sealed: Sealed,
}

/// A webhook or a mailbox that the configuration declares, as far as the store knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccountTarget {
    /// [`Way::Account`] or [`Way::AccountMail`].
    pub way: Way,
    /// Whose runtimes it is told about.
    pub account: AccountId,
    /// Which of the account's.
    pub name: String,
    /// SHA-256 of where it is and what it is sent.
    pub target: [u8; 32],
}

impl AccountTarget {
    /// What goes there goes one after the other.
    pub fn lane(&self) -> String {
        lane(self.way, &self.account, &self.name)
    }
}

/// `way/account/name`: no account's id holds a stroke.
fn lane(way: Way, account: &AccountId, name: &str) -> String {
    format!("{}/{account}/{name}", way.as_str())
}

/// How a notice leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// As a mail.
    Mail,
    /// With others, as the one mail of a day.
    Digest,
    /// To the user's webhook.
    Webhook,
    /// To a webhook of the runtime's account.
    Account,
    /// As a mail to a mailbox of the runtime's account.
    AccountMail,
}

impl Way {
    const ALL: [Self; 5] = [Self::Mail, Self::Digest, Self::Webhook, Self::Account, Self::AccountMail];

    /// For the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Digest => "digest",
            Self::Webhook => "webhook",
            Self::Account => "account",
            Self::AccountMail => "account_mail",
        }
    }

    /// From the database.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == text)
    }

    /// By mail to the user, alone or with others.
    pub fn is_mail(self) -> bool {
        matches!(self, Self::Mail | Self::Digest)
    }
}

/// A runtime as a message names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subject {
    /// Which.
    pub id: RuntimeId,
    /// How it is called.
    pub name: String,
    /// Whose.
    pub account: AccountId,
    /// How that is called.
    pub account_name: String,
    /// Where its repositories are.
    pub provider: ProviderId,
}

/// A notice to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// To which runtime; `None` if to a host.
    pub subject: Option<Subject>,
}

/// Where a message goes, as it is now.
#[derive(Clone, Debug)]
pub enum To {
    /// To a confirmed address.
    Address(String),
    /// To a user's webhook.
    Webhook(NewWebhook),
    /// To a webhook or, by [`Way::AccountMail`], a mailbox of an account, by its name there.
    Account(AccountId, String),
    /// It was switched off, taken away or replaced, or its user is disabled.
    Nobody,
}

/// One message on its way.
#[derive(Clone, Debug)]
pub struct Job {
    /// One; of a digest, all that are in it.
    pub deliveries: Vec<DeliveryId>,
    /// How.
    pub way: Way,
    /// Of a digest: its moment.
    pub digest_at: Option<Timestamp>,
    /// Where to.
    pub to: To,
    /// Whose notices.
    pub user: UserId,
    /// How they are called.
    pub user_name: Name,
    /// The first is 1.
    pub attempt: u32,
    /// Taken until then.
    pub until: Timestamp,
    /// One; of a digest, at least one, the oldest first.
    pub notices: Vec<Notice>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The other side took it.
    Delivered,
    /// Once more, then.
    Again(Timestamp),
    /// Never.
    GivenUp,
    /// There is nobody to send it to any more.
    Dropped,
    /// Never, and nothing else to this webhook either.
    Gone,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It will be tried, or tried again, then.
    Waiting(Timestamp),
    /// The other side took it.
    Delivered,
    /// It was tried in vain and will not be again.
    GivenUp,
    /// There was nobody to send it to any more.
    Dropped,
}

/// A line of the delivery log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogEntry {
    /// Which delivery.
    pub id: DeliveryId,
    /// What it tells.
    pub notice: Notice,
    /// Whose notice; maybe another person's where it goes to an account.
    pub user_name: Name,
    /// How it leaves.
    pub way: Way,
    /// Of an account's webhook or mailbox: `account/name`.
    pub account_target: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of the last attempt, in Gitward's own words.
    pub answer: Option<String>,
    /// When that was.
    pub tried_at: Option<Timestamp>,
    /// When it was made.
    pub made_at: Timestamp,
}

/// A lease lasts no longer; one that claims to was taken before the clock was set back, and is none.
pub const LONGEST_LEASE: Duration = Duration::from_mins(5);
/// No delivery waits longer for its next attempt; one that claims to was made before the clock was set back, and is due.
pub const LONGEST_DELAY: Duration = Duration::from_hours(30);
/// No delivery waits longer to be sent, or sent again: it is dropped, as when no process has the means for it any more.
/// More than all attempts take, however long a webhook asked to be left alone between them.
pub const LONGEST_STAY: Duration = Duration::from_hours(14 * 24);
/// Deliveries that are done are kept in the log for so long.
pub const LOG_KEPT: Duration = Duration::from_hours(30 * 24);

const HOUR: Duration = Duration::from_hours(1);
const DAY: i64 = 24 * 60 * 60;

/// The next time that it is this hour of the day in UTC.
pub fn next_hour(now: Timestamp, hour: u8) -> Timestamp {
    let midnight = Timestamp::from_seconds(now.seconds().div_euclid(DAY) * DAY);
    let today = midnight.plus(HOUR * u32::from(hour.min(23)));
    if today > now { today } else { today.plus(HOUR * 24) }
}
