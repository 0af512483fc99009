//! The way to webhooks, which users name themselves: only to public addresses, by the guarded way out. What comes back
//! is a status; nothing of an answer's body is read.
//!
//! Signed as Standard Webhooks says
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use url::Url;
use zeroize::Zeroizing;

use super::{Webhook, WebhookFormat};
use crate::{
    clock::Timestamp,
    provider::{
        http::{Fault, HttpError, HttpSettings, OriginError, Outgoing, Question, check_base},
        limit::retry_after,
    },
    random::{Entropy, NoEntropy},
    seal::{KeyRing, Place, Purpose, SealError, Sealed},
    secret::Secret,
};

/// Until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Until there is an answer: what the specification recommends.
const ANSWER: Duration = Duration::from_secs(15);
/// Of an address: longer ones break on the way.
const LONGEST_URL: usize = 2000;
/// What a signing secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a signing secret: as many as the hash has, and within the 24 to 64 that the specification allows.
const SECRET_BYTES: usize = 32;
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Why an address is not one for a webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// Not an address at all, or too long.
    NotAUrl,
    /// Not `https`.
    NotHttps,
    /// With a name or a password in it.
    Userinfo,
    /// On this machine or in a private network, and the operator has not allowed that.
    Private,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "it is not a web address",
            Self::NotHttps => "it must begin with https://",
            Self::Userinfo => "it must not hold a name or a password",
            Self::Private => "it is in a private network",
        })
    }
}

/// Why a message did not arrive. In Gitward's own words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WebhookFault {
    /// No answer.
    Fault(Fault),
    /// An answer that is no success.
    Status(StatusCode),
    /// The address is not fit any more: the operator has changed the rules.
    Unfit(Unfit),
    /// The secret is none.
    Secret,
}

impl fmt::Display for WebhookFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(Fault::Address) => {
                f.write_str("not sent: it is at an address that Gitward may not connect to")
            }
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Status(StatusCode::GONE) => f.write_str("answered 410: gone for good"),
            Self::Status(status) if status.is_redirection() => {
                write!(f, "answered {}: redirects are not followed", status.as_u16())
            }
            Self::Status(status) => write!(f, "answered {}", status.as_u16()),
            Self::Unfit(unfit) => write!(f, "not sent: {unfit}"),
            Self::Secret => f.write_str("not sent: its secret can't be read"),
        }
    }
}

/// Where a webhook is, and what its messages are signed with. Both are secrets.
#[derive(Clone)]
pub struct Target {
    /// The address.
    pub url: Secret,
    /// `whsec_…`; `None` where nothing is signed.
    pub secret: Option<Secret>,
}

#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    url: &'a str,
    secret: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    v: u8,
    url: String,
    secret: Option<String>,
}

/// The version of the document in the envelope.
const VERSION: u8 = 1;

impl Target {
    /// Seals it to its webhook's row.
    ///
    /// # Errors
    /// As [`KeyRing::seal`].
    pub fn seal(
        &self,
        keys: &KeyRing,
        webhook: &Webhook,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealError> {
        let (url, secret) = (self.url.expose(), self.secret.as_ref().map(Secret::expose));
        // Room for the worst case of escapes, so that the buffer never moves and leaves a copy behind.
        let longest = 64 + 6 * (url.len() + secret.map_or(0, str::len));
        let mut document = Zeroizing::new(Vec::with_capacity(longest));
        serde_json::to_writer(&mut *document, &Written { v: VERSION, url, secret })
            .map_err(|_| SealError::Malformed)?;
        keys.seal(Purpose::Webhooks, &place(webhook), &document, entropy)
    }

    /// Opens what was sealed to a webhook's row.
    ///
    /// # Errors
    /// As [`KeyRing::unseal`].
    pub fn unseal(keys: &KeyRing, webhook: &Webhook, sealed: &Sealed) -> Result<Self, SealError> {
        let document = keys.unseal(Purpose::Webhooks, &place(webhook), sealed)?;
        let read: Read = serde_json::from_slice(&document).map_err(|_| SealError::Malformed)?;
        if read.v != VERSION {
            return Err(SealError::Malformed);
        }
        Ok(Self { url: Secret::new(read.url), secret: read.secret.map(Secret::new) })
    }
}

fn place(webhook: &Webhook) -> Place<'_> {
    Place {
        table: "webhooks",
        column: "sealed",
        row: &webhook.id,
        owner: webhook.user.as_str(),
        provider: "",
        origin: &webhook.shown,
        kind: webhook.format.as_str(),
        generation: 0,
    }
}

/// A new secret to sign with.
///
/// # Errors
/// [`NoEntropy`].
pub fn new_signing_secret(entropy: &dyn Entropy) -> Result<Secret, NoEntropy> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    entropy.fill(&mut *bytes)?;
    Ok(Secret::new(format!("{PREFIX}{}", BASE64_STANDARD.encode(*bytes))))
}

/// The bytes of a signing secret. `None` if it is none.
fn key(secret: &Secret) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = BASE64_STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok()?;
    let bytes = Zeroizing::new(bytes);
    SECRET_LENGTHS.contains(&bytes.len()).then_some(bytes)
}

/// Whether a text is a signing secret: `whsec_` and 24 to 64 bytes in base64.
pub fn is_signing_secret(secret: &Secret) -> bool {
    key(secret).is_some()
}

/// The header `webhook-signature`. `None` if the secret is none.
pub fn signature(secret: &Secret, id: &str, at: Timestamp, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    mac.update(format!("{id}.{}.", at.seconds()).as_bytes());
    mac.update(body);
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

/// An address that may be a webhook's. `private`: also one on this machine or in a private network, on this machine
/// without encryption, too. Where a name leads to is seen only when something is sent there.
///
/// # Errors
/// [`Unfit`].
pub fn fit(text: &str, private: bool) -> Result<Url, Unfit> {
    let text = text.trim();
    if text.len() > LONGEST_URL {
        return Err(Unfit::NotAUrl);
    }
    let mut url = Url::parse(text).map_err(|_| Unfit::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Unfit::NotAUrl);
    }
    // It is never sent.
    url.set_fragment(None);
    match check_base(&origin(&url), !private) {
        Ok(()) => Ok(url),
        Err(OriginError::Scheme) => Err(Unfit::NotHttps),
        Err(OriginError::Forbidden) => Err(Unfit::Private),
        Err(OriginError::Userinfo) => Err(Unfit::Userinfo),
        Err(OriginError::Query | OriginError::Host) => Err(Unfit::NotAUrl),
    }
}

/// The way to webhooks.
pub struct Webhooks {
    outgoing: Outgoing,
    private: bool,
}

impl Webhooks {
    /// `private`: the operator allows webhooks on this machine and in private networks, for all users.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn new(private: bool) -> Result<Self, HttpError> {
        Ok(Self::over(Outgoing::new(&Self::settings(private))?, private))
    }

    pub(super) fn settings(private: bool) -> HttpSettings {
        HttpSettings {
            public_only: !private,
            connect_timeout: CONNECT,
            timeout: ANSWER,
            ..HttpSettings::default()
        }
    }

    pub(super) fn over(outgoing: Outgoing, private: bool) -> Self {
        Self { outgoing, private }
    }

    /// An address that may be a webhook's; see [`fit`].
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn fit(&self, text: &str) -> Result<Url, Unfit> {
        fit(text, self.private)
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// [`WebhookFault`]; also how long to wait, where the other side says it.
    pub async fn send(
        &self,
        target: &Target,
        format: WebhookFormat,
        id: &str,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<StatusCode, (WebhookFault, Option<Duration>)> {
        let unfit = |unfit| (WebhookFault::Unfit(unfit), None);
        let url = self.fit(target.url.expose()).map_err(unfit)?;
        let gate = self.outgoing.gate(&origin(&url)).map_err(|_| unfit(Unfit::Private))?;
        let mut question = Question::new(Method::POST, url, "webhook")
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .status_only();
        if format == WebhookFormat::Standard {
            let secret = target.secret.as_ref().ok_or((WebhookFault::Secret, None))?;
            let signature = signature(secret, id, now, &body).ok_or((WebhookFault::Secret, None))?;
            let headers = [
                ("webhook-id", id.to_owned()),
                ("webhook-timestamp", now.seconds().to_string()),
                ("webhook-signature", signature),
            ];
            for (name, value) in headers {
                let value = HeaderValue::from_str(&value).map_err(|_| (WebhookFault::Secret, None))?;
                question = question.header(HeaderName::from_static(name), value);
            }
        }
        let reply =
            gate.send(question.body(body)).await.map_err(|fault| (WebhookFault::Fault(fault), None))?;
        if reply.status.is_success() {
            return Ok(reply.status);
        }
        let wait = retry_after(&reply, now).map(|at| at.since(now));
        Err((WebhookFault::Status(reply.status), wait))
    }
}

/// Scheme, host and port, with the user name if there is one.
fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}
