//! What happened to the visitor's access, what they are told of it, and whether they want to be told.

#![expect(missing_docs, reason = "the fields of the structs that #[server] makes from arguments")]

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Moment,
    token::{ProviderLabel, Tone},
};
use crate::error::ApiError;

/// Something that happened, in words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Happening {
    /// How it looks.
    pub tone: Tone,
    /// In a few words: `Not accepted any more`.
    pub title: String,
    /// What it means and what to do; may be empty.
    pub text: String,
    /// When.
    pub at: Moment,
}

/// Something that happened and that the visitor is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// For the form that marks it read.
    pub id: i64,
    /// The runtime it is about, as id and name; none where it is about a host.
    pub runtime: Option<(String, String)>,
    /// The host it is about, where it is about one.
    pub host: Option<String>,
    /// What happened.
    pub happening: Happening,
    /// The visitor has seen it.
    pub read: bool,
}

/// One page of what the visitor was told, the latest first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoticePage {
    /// Those of this page.
    pub notices: Vec<Notice>,
    /// How many are unread, over all pages.
    pub unread: u32,
    /// It is not the first page.
    pub later: bool,
    /// There are earlier ones: those before this one.
    pub earlier: Option<i64>,
    /// Nothing new is told to this visitor.
    pub off: bool,
}

/// Whether, and where else, the visitor is told what happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoticeSettings {
    /// In Gitward.
    pub told: bool,
    /// By mail; `None` where the operator has not set it up.
    pub mail: Option<MailSettings>,
    /// By webhook.
    pub webhook: Option<WebhookSettings>,
    /// The secret of a webhook that was set just now. It is shown for a few minutes, and never again.
    pub webhook_secret: Option<String>,
    /// What left, the latest first.
    pub log: Vec<Delivery>,
}

/// How the visitor is told by mail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailSettings {
    /// How often.
    pub mode: MailMode,
    /// The hour of the one mail a day: 0 to 23, UTC.
    pub hour: u8,
    /// Where it goes; `None`: nowhere yet.
    pub address: Option<String>,
    /// Waits for its confirmation, which was asked for by mail.
    pub unconfirmed: Option<String>,
    /// The last mail could not be delivered.
    pub trouble: Option<DeliveryTrouble>,
}

/// How often the visitor wants mail.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum MailMode {
    /// Never.
    #[default]
    Off,
    /// For each notice.
    Each,
    /// Once a day, if there was anything.
    Daily,
}

/// The visitor's webhook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookSettings {
    /// Scheme and host of its address: all of it that is shown.
    pub shown: String,
    /// What it is sent.
    pub format: WebhookFormat,
    /// Since when it is there.
    pub since: Moment,
    /// Its target said that it is gone for good, then.
    pub gone: Option<Moment>,
    /// The last message could not be delivered.
    pub trouble: Option<DeliveryTrouble>,
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum WebhookFormat {
    /// Signed JSON.
    #[default]
    Standard,
    /// One text, as Slack and those compatible with it take it.
    Slack,
}

/// Why something does not arrive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryTrouble {
    /// What came of the last attempt: `no connection to the mail server`.
    pub answer: String,
    /// When that was.
    pub at: Moment,
    /// It is tried again then; `None`: it was given up.
    pub again: Option<Moment>,
}

/// A line of the delivery log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// What it tells: `production: Expired`.
    pub what: String,
    /// Where it goes: `Mail`, `Webhook`, `Webhook acme/chat, of jonas`.
    pub way: String,
    /// How far it is.
    pub progress: Progress,
    /// What came of the last attempt, where that is worth a word.
    pub answer: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// The last attempt, or when it was made.
    pub at: Moment,
}

/// How far a delivery is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It is tried, or tried again, then.
    Waiting(Moment),
    /// It arrived.
    Delivered,
    /// It was tried in vain and is not any more.
    GivenUp,
    /// There was nobody to send it to any more.
    Dropped,
}

/// How one runtime's access came to where it is, and how it goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Course {
    /// When the provider last said that the token is good.
    pub last_good: Option<Moment>,
    /// When it is asked again by itself; `None` if only when its user does something.
    pub next_check: Option<Moment>,
    /// What happened, the latest first, with what the last check found.
    pub happenings: Vec<Happening>,
}

/// A host that is in trouble as a whole.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HostTrouble {
    /// The provider there.
    pub provider: ProviderLabel,
    /// What kind.
    pub kind: TroubleKind,
    /// Since when.
    pub since: Moment,
}

/// What kind of trouble a host is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum TroubleKind {
    /// It does not answer, or not sensibly.
    Silent,
    /// It wants to be asked less.
    Limiting,
    /// It refuses everybody.
    Refusing,
}

/// Marks one notice read.
#[server(prefix = "/api", endpoint = "notice/read")]
pub async fn mark_read(id: i64) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.mark_read(id).await)?;
    super::then_go(&backend, &[crate::path::NOTICES, "?did=read"].concat());
    Ok(())
}

/// Marks all of them read up to this one: what came later, nobody has seen.
#[server(prefix = "/api", endpoint = "notice/read-all")]
pub async fn mark_all_read(up_to: i64) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.mark_all_read(up_to).await)?;
    super::then_go(&backend, &[crate::path::NOTICES, "?did=all-read"].concat());
    Ok(())
}

/// Tells the visitor what happens, or nothing any more.
#[server(prefix = "/api", endpoint = "notice/tell-me")]
pub async fn tell_me(on: bool) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.tell_me(on).await)?;
    super::then_go(&backend, &settings_after(if on { "told" } else { "untold" }));
    Ok(())
}

/// How often the visitor wants mail; `hour` (0 to 23, UTC) is that of the one mail a day.
#[server(prefix = "/api", endpoint = "notice/mail")]
pub async fn set_mail(mode: MailMode, #[server(default)] hour: u8) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.set_mail(mode, hour).await)?;
    super::then_go(&backend, &settings_after("mail-set"));
    Ok(())
}

/// Gives an address. It is used once a link that is sent there was followed.
#[server(prefix = "/api", endpoint = "notice/address")]
pub async fn give_address(address: String) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.give_address(address).await)?;
    super::then_go(&backend, &settings_after("address-given"));
    Ok(())
}

/// Says that an address is the visitor's, by the secret that was mailed there.
#[server(prefix = "/api", endpoint = "notice/confirm-address")]
pub async fn confirm_address(secret: String) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.confirm_address(secret).await)?;
    leptos_axum::redirect(&settings_after("address-confirmed"));
    Ok(())
}

/// Forgets the visitor's addresses.
#[server(prefix = "/api", endpoint = "notice/forget-address")]
pub async fn forget_address() -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.forget_address().await)?;
    super::then_go(&backend, &settings_after("address-forgotten"));
    Ok(())
}

/// Sets the visitor's webhook, in place of the one before.
#[server(prefix = "/api", endpoint = "notice/webhook")]
pub async fn set_webhook(url: String, #[server(default)] format: WebhookFormat) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.set_webhook(url, format).await)?;
    super::then_go(&backend, &settings_after("webhook-set"));
    Ok(())
}

/// Takes it away.
#[server(prefix = "/api", endpoint = "notice/remove-webhook")]
pub async fn remove_webhook() -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.remove_webhook().await)?;
    super::then_go(&backend, &settings_after("webhook-removed"));
    Ok(())
}

#[cfg(feature = "ssr")]
fn settings_after(did: &str) -> String {
    [crate::path::NOTICE_SETTINGS, "?did=", did].concat()
}
