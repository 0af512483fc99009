//! Where notices go, and how each delivery went.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    clock::Timestamp,
    deliver::{
        AccountTarget, DeliveryId, Job, LogEntry, MailMode, MailSettings, Means, NewWebhook, Outcome, Webhook,
    },
    id::UserId,
    secret::Fingerprint,
};

/// Deliveries. Which ones a notice makes is decided in the step that makes the notice. Several processes on one
/// database share the work.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// How a user wants mail; the default of those who never said.
    async fn mail_settings(&self, user: &UserId) -> Result<MailSettings, StoreError>;
    /// When a user wants mail, and at which hour of the day (UTC, 0 to 23) the one mail a day. What waits for the old
    /// hour waits for the new one.
    async fn set_mail(
        &self,
        user: &UserId,
        mode: MailMode,
        hour: u8,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// Keeps an address until its secret comes back, at latest before `until`; one that is in use stays so meanwhile.
    async fn propose_address(
        &self,
        user: &UserId,
        address: &str,
        secret: &Fingerprint,
        until: Timestamp,
    ) -> Result<(), StoreError>;
    /// Takes back that an address waits for this secret, if it still does.
    async fn withdraw_address(&self, user: &UserId, secret: &Fingerprint) -> Result<(), StoreError>;
    /// Takes the address whose secret this is into use, once. `None` if it is another user's, spent or too old. Whoever
    /// had none, and no mail, gets each notice there from now on: that is what an address is given for.
    async fn confirm_address(
        &self,
        user: &UserId,
        secret: &Fingerprint,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError>;
    /// Forgets a user's addresses, confirmed or not.
    async fn forget_address(&self, user: &UserId) -> Result<(), StoreError>;

    /// Every user's webhook, to verify them all.
    async fn all_webhooks(&self) -> Result<Vec<NewWebhook>, StoreError>;
    /// A user's webhook.
    async fn webhook(&self, user: &UserId) -> Result<Option<Webhook>, StoreError>;
    /// The same with its address and secret, sealed.
    async fn sealed_webhook(&self, user: &UserId) -> Result<Option<NewWebhook>, StoreError>;
    /// Keeps a user's webhook in place of the one before.
    async fn keep_webhook(&self, new: &NewWebhook) -> Result<(), StoreError>;
    /// Forgets it. `false` if there is none.
    async fn forget_webhook(&self, user: &UserId) -> Result<bool, StoreError>;
    /// The webhooks and mailboxes of accounts that there are, and no others. One whose target has changed is no longer
    /// gone.
    async fn declare_targets(&self, declared: &[AccountTarget]) -> Result<(), StoreError>;

    /// Takes up to `most` messages that are due and that can be sent with these means, each from another lane and none
    /// from a lane that something is under way on, until `until`: nobody else gets them before that. Counts as an
    /// attempt. One that can't be read is given up.
    async fn take_deliveries(
        &self,
        means: &Means,
        now: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<Job>, StoreError>;
    /// Notes what came of a message that was taken until `until`, and `answer`, Gitward's own words for it. `false`,
    /// and nothing has changed, if somebody else took it after that time had passed.
    async fn note_delivery(
        &self,
        deliveries: &[DeliveryId],
        until: Timestamp,
        outcome: Outcome,
        answer: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// A user's deliveries, and those to the webhooks and mailboxes of accounts that the user is an admin of; the
    /// latest first.
    async fn delivery_log(&self, user: &UserId, most: u32) -> Result<Vec<LogEntry>, StoreError>;
    /// Forgets deliveries that were done [`LOG_KEPT`](crate::deliver::LOG_KEPT) ago or earlier, and drops those that
    /// have waited for [`LONGEST_STAY`](crate::deliver::LONGEST_STAY).
    async fn sweep_deliveries(&self, now: Timestamp) -> Result<(), StoreError>;
}
