//! What a user decides about mail and webhooks, for the settings page.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

use super::{
    LogEntry, MailMode, MailSettings, NewWebhook, Parts, Progress, Way, Webhook, WebhookFormat,
    mail::{self, MailFault, Mailer},
    message,
    webhook::{self, Target, Webhooks},
};
use crate::{
    clock::{Clock, Timestamp},
    id::UserId,
    random::{Entropy, NoEntropy, new_id, new_secret},
    seal::{KeyRing, SealError},
    secret::Secret,
    store::{Store, StoreError},
};

/// A link to confirm an address is good for so long.
pub const CONFIRM_WITHIN: Duration = Duration::from_hours(24);
/// The secret of a new webhook is shown for so long, and then never again.
pub const SECRET_SHOWN: Duration = Duration::from_mins(10);
/// So many confirmations a day are sent for one user, and to one address: nobody's mailbox is filled from here.
const CONFIRMATIONS: u32 = 5;
const DAY_SECONDS: u32 = 24 * 60 * 60;
/// Lines of the delivery log.
const LOG_LINES: u32 = 50;

/// All that the settings page shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// The operator has set up mail: without it, the page offers none.
    pub mail_offered: bool,
    /// How the user wants it.
    pub mail: MailSettings,
    /// The last mail could not be delivered.
    pub mail_trouble: Option<Trouble>,
    /// The user's webhook.
    pub webhook: Option<Webhook>,
    /// The last message to it could not be delivered.
    pub webhook_trouble: Option<Trouble>,
    /// The latest first.
    pub log: Vec<LogEntry>,
}

/// Why something does not arrive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// What came of the last attempt, in Gitward's own words: `no connection to the mail server`.
    pub answer: String,
    /// When that was.
    pub at: Timestamp,
    /// It will be tried again then; `None`: it was given up.
    pub again_at: Option<Timestamp>,
}

/// What came of giving an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressGiven {
    /// It is in use already.
    InUse,
    /// A mail with a link is on its way to it; nothing else goes there before the link is followed.
    ConfirmationSent,
}

/// Why what the user wants is not so.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The operator has not set up mail.
    #[error("mail is not set up here")]
    NoMail,
    /// That is no address of a mailbox.
    #[error("not the address of a mailbox")]
    NotAnAddress,
    /// Too many confirmations were asked for today.
    #[error("too many confirmations were asked for")]
    TooMany {
        /// When the next one is sent.
        until: Timestamp,
    },
    /// The confirmation could not be sent; nothing waits for it.
    #[error("the confirmation could not be sent: {0}")]
    NotSent(MailFault),
    /// That is no address of a webhook, and why.
    #[error("not a webhook's address: {0}")]
    NotAWebhook(webhook::Unfit),
    /// What is kept could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No chance.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// Address and secret could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// What users decide about mail and webhooks.
pub struct Settings {
    store: Arc<dyn Store>,
    keys: Arc<KeyRing>,
    mailer: Option<Arc<Mailer>>,
    webhooks: Arc<Webhooks>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Settings {
    /// With these parts.
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            store: Arc::clone(&parts.store),
            keys: Arc::clone(&parts.keys),
            mailer: parts.mailer.clone(),
            webhooks: Arc::clone(&parts.webhooks),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
        }
    }

    /// All that the page shows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn view(&self, user: &UserId) -> Result<View, StoreError> {
        let log = self.store.delivery_log(user, LOG_LINES).await?;
        let webhook = self.store.webhook(user).await?;
        Ok(View {
            mail_offered: self.mailer.is_some(),
            mail: self.store.mail_settings(user).await?,
            mail_trouble: trouble(&log, |entry| entry.way.is_mail()),
            webhook_trouble: webhook.as_ref().and_then(|webhook| {
                trouble(&log, |entry| entry.way == Way::Webhook && entry.made_at >= webhook.created_at)
            }),
            webhook,
            log,
        })
    }

    /// When the user wants mail; `hour` (UTC) is that of the one mail a day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_mail(&self, user: &UserId, mode: MailMode, hour: u8) -> Result<(), StoreError> {
        self.store.set_mail(user, mode, hour.min(23), self.clock.now()).await
    }

    /// Gives an address, and sends the question whether it is the user's there, which takes as long as the mail server.
    /// Also to ask once more. An address that is in use stays so until the new one is confirmed.
    ///
    /// # Errors
    /// All but those of webhooks. [`SettingsError::NotSent`] is not retried: the user is there and can.
    pub async fn give_address(&self, user: &UserId, address: &str) -> Result<AddressGiven, SettingsError> {
        let mailer = self.mailer.as_ref().ok_or(SettingsError::NoMail)?;
        let address = mail::address(address).ok_or(SettingsError::NotAnAddress)?;
        let settings = self.store.mail_settings(user).await?;
        if settings.address.as_deref() == Some(address.as_ref()) {
            return Ok(AddressGiven::InUse);
        }
        let now = self.clock.now();
        let to: &str = address.as_ref();
        let digest = Sha256::digest(to.to_lowercase().as_bytes());
        let buckets =
            [format!("confirm-mail/{user}"), format!("confirm-mail-to/{}", BASE64_STANDARD.encode(digest))];
        for bucket in &buckets {
            if self.store.count_failure(bucket, now, DAY_SECONDS).await? > CONFIRMATIONS {
                let until = self.store.failures(bucket, now).await?.map_or(now, |(_, until)| until);
                return Err(SettingsError::TooMany { until });
            }
        }
        let secret = new_secret(self.entropy.as_ref())?;
        let id = new_id(self.entropy.as_ref())?;
        self.store.propose_address(user, to, &secret.fingerprint(), now.plus(CONFIRM_WITHIN)).await?;
        let mail = message::confirmation(mailer.public_url(), &secret);
        if let Err(fault) = mailer.send(&address, &format!("confirm_{id}"), &mail, now).await {
            self.store.withdraw_address(user, &secret.fingerprint()).await?;
            return Err(SettingsError::NotSent(fault));
        }
        Ok(AddressGiven::ConfirmationSent)
    }

    /// Follows the link of a confirmation: the user says that the address is theirs. Once. `None` if the link is
    /// another user's, spent or too old; else the address.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn confirm(&self, user: &UserId, secret: &Secret) -> Result<Option<String>, StoreError> {
        self.store.confirm_address(user, &secret.fingerprint(), self.clock.now()).await
    }

    /// Forgets the user's addresses.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_address(&self, user: &UserId) -> Result<(), StoreError> {
        self.store.forget_address(user).await
    }

    /// Whether that may be a webhook's address.
    ///
    /// # Errors
    /// [`SettingsError::NotAWebhook`].
    pub fn webhook_fits(&self, url: &str) -> Result<(), SettingsError> {
        self.webhooks.fit(url).map(drop).map_err(SettingsError::NotAWebhook)
    }

    /// Sets the user's webhook, in place of the one before. Answers the secret that its messages are signed with, which
    /// [`Self::new_secret`] shows for a while and nothing after that; `None` for Slack, which wants none.
    ///
    /// # Errors
    /// [`SettingsError::NotAWebhook`] and those of the store, the keys and chance.
    pub async fn set_webhook(
        &self,
        user: &UserId,
        url: &str,
        format: WebhookFormat,
    ) -> Result<Option<Secret>, SettingsError> {
        let url = self.webhooks.fit(url).map_err(SettingsError::NotAWebhook)?;
        let secret = match format {
            WebhookFormat::Standard => Some(webhook::new_signing_secret(self.entropy.as_ref())?),
            WebhookFormat::Slack => None,
        };
        let shown = url.origin().ascii_serialization();
        let target = Target { url: Secret::new(url.as_str()), secret: secret.clone() };
        let webhook = Webhook {
            id: new_id(self.entropy.as_ref())?,
            user: user.clone(),
            format,
            shown,
            created_at: self.clock.now(),
            gone_at: None,
        };
        let sealed = target.seal(&self.keys, &webhook, self.entropy.as_ref())?;
        self.store.keep_webhook(&NewWebhook { webhook, sealed }).await?;
        Ok(secret)
    }

    /// The secret of the user's webhook, if that was set no longer than [`SECRET_SHOWN`] ago: in any process, and kept
    /// nowhere but where it is sealed.
    ///
    /// # Errors
    /// Those of the store and the keys.
    pub async fn new_secret(&self, user: &UserId) -> Result<Option<Secret>, SettingsError> {
        let Some(NewWebhook { webhook, sealed }) = self.store.sealed_webhook(user).await? else {
            return Ok(None);
        };
        let now = self.clock.now();
        if now < webhook.created_at || now.since(webhook.created_at) >= SECRET_SHOWN {
            return Ok(None);
        }
        Ok(Target::unseal(&self.keys, &webhook, &sealed)?.secret)
    }

    /// Takes the user's webhook away. `false` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_webhook(&self, user: &UserId) -> Result<bool, StoreError> {
        self.store.forget_webhook(user).await
    }
}

/// Whether the last attempt there was in vain.
fn trouble(log: &[LogEntry], of: impl Fn(&LogEntry) -> bool) -> Option<Trouble> {
    // Of several at one moment the latest one counts, which comes first.
    let last = log.iter().rev().filter(|entry| of(entry)).max_by_key(|entry| entry.tried_at)?;
    let again_at = match last.progress {
        Progress::Waiting(at) => Some(at),
        Progress::GivenUp => None,
        Progress::Delivered | Progress::Dropped => return None,
    };
    Some(Trouble { answer: last.answer.clone()?, at: last.tried_at?, again_at })
}
