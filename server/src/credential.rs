//! What the user gave, and what the provider last said about it.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Account, Runtime},
    clock::Timestamp,
    id::{CredentialId, OauthAppId, ProviderId, UserId},
    provider::Presented,
    scope::ScopeSet,
};

/// How the user gave it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Pasted: a personal access token.
    Token,
    /// By the provider's sign-in: an OAuth2 grant.
    Oauth2,
}

/// Whose it is at the provider.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ProviderAccount {
    /// Never changes, unlike the login.
    pub id: String,
    /// The name people know.
    pub login: String,
}

/// Longer than the longest id that was ever seen.
const LONGEST_ID: usize = 200;
/// Letters of a name: of GitLab's, the longest
/// (<https://docs.gitlab.com/user/reserved_names/>).
const LONGEST_NAME: usize = 255;

impl ProviderAccount {
    /// As an answer has it, unless it could not be told from others or shown.
    pub fn new(id: impl Into<String>, login: &str) -> Option<Self> {
        let id: String = id.into();
        let fits = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        let login = shown_name(login).filter(|_| fits)?.to_owned();
        Some(Self { id, login })
    }
}

/// A name without blanks around it, if it can be shown: letters of any script, but nothing that turns a line around or
/// hides.
pub fn shown_name(name: &str) -> Option<&str> {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    let name = name.trim();
    let fits = (1..=LONGEST_NAME).contains(&name.chars().count()) && !name.contains(hides);
    fits.then_some(name)
}

/// A PAT or an OAuth2 grant of one user at one provider, without its secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// The row.
    pub id: CredentialId,
    /// Whose here.
    pub user: UserId,
    /// Where.
    pub provider: ProviderId,
    /// How it was given.
    pub method: Method,
    /// The provider's own word for its kind (`classic`, `fine-grained`, …); only the provider's file reads it.
    pub kind: String,
    /// The app of a grant.
    pub oauth_app: Option<OauthAppId>,
    /// Counts up with each new secret; part of what the secret is sealed to.
    pub generation: i64,
    /// Whose there.
    pub owner: ProviderAccount,
    /// The user name that goes with it, where the provider wants one that only the user knows.
    pub user_name: Option<String>,
    /// What it may do; `None` where the provider does not show it.
    pub scopes: Option<ScopeSet>,
    /// When the user must act; `None` if never, or unknown.
    pub expires_at: Option<Timestamp>,
    /// The end could not be read, so `expires_at` says nothing.
    pub expiry_unknown: bool,
    /// When it ends, by the user's own word: a reminder, never a verdict.
    pub noted_end: Option<Timestamp>,
    /// When the access token of a grant must be renewed; `None` if never.
    pub renew_at: Option<Timestamp>,
    /// When that access token ends, by the provider's clock; `None` if never, or unknown. Until then it works, renewed or
    /// not.
    pub access_ends_at: Option<Timestamp>,
    /// Since when it is known that the answer to the last renewal was lost: whether the provider has renewed it is
    /// unknown, so that what renews it may be used up. Ends with the next generation.
    pub renewal_lost_at: Option<Timestamp>,
    /// What the provider last said.
    pub standing: Standing,
    /// When it is asked about again by itself; `None` if only when its user does something.
    pub due_at: Option<Timestamp>,
    /// When it was given first.
    pub created_at: Timestamp,
}

impl Credential {
    /// When the secret itself ends, by the provider's clock; that a grant may be renewed before does not matter.
    /// `None`: never, or unknown.
    pub fn secret_ends_at(&self) -> Option<Timestamp> {
        match self.method {
            Method::Token => self.expires_at,
            // Grants from before their end was kept: not later than that.
            Method::Oauth2 => self.access_ends_at.or(self.renew_at).or(self.expires_at),
        }
    }

    /// As the provider is to see it.
    pub fn presented<'a>(&'a self, tokens: &'a Tokens) -> Presented<'a> {
        Presented {
            token: &tokens.access,
            method: self.method,
            kind: Some(&self.kind),
            user_name: self.user_name.as_deref(),
        }
    }
}

/// The secrets of a credential, sealed as one document.
#[derive(Clone)]
pub struct Tokens {
    /// What opens the door.
    pub access: crate::secret::Secret,
    /// What renews it.
    pub refresh: Option<crate::secret::Secret>,
}

/// What was asked and what came back: the evidence for a verdict. No provider's free text.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// `GET /user`.
    pub request: String,
    /// `200`, `401`, `no answer in 10 s`.
    pub answer: String,
}

impl Evidence {
    /// What was asked, and what came back.
    pub fn new(request: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { request: request.into(), answer: answer.into() }
    }
}

/// Why there is no verdict at the moment; the last one stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Trouble {
    /// No answer, 5xx, HTML instead of JSON, too much of it.
    Unreachable,
    /// 403 or 429 with rate-limit headers.
    RateLimited {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
    },
}

/// What the provider last said about a credential, with evidence and time.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The last verdict.
    pub invalid: bool,
    /// The last answer of any kind.
    pub checked_at: Timestamp,
    /// What it was.
    pub evidence: Evidence,
    /// The last time that it passed.
    pub last_good_at: Option<Timestamp>,
    /// The first of the definitive refusals since it last passed.
    pub rejected_since: Option<Timestamp>,
    /// How many of those there were.
    #[serde(default)]
    pub refusals: u32,
    /// How often it was asked about in vain since it is invalid.
    #[serde(default)]
    pub in_vain: u32,
    /// Why the last check brought no verdict, and since when.
    pub trouble: Option<(Trouble, Timestamp)>,
    /// The trouble is that of a renewal: it is that which was tried in vain.
    #[serde(default)]
    pub not_renewed: bool,
}

impl Standing {
    /// It passed.
    pub fn good(now: Timestamp, evidence: Evidence) -> Self {
        Self {
            invalid: false,
            checked_at: now,
            evidence,
            last_good_at: Some(now),
            rejected_since: None,
            refusals: 0,
            in_vain: 0,
            trouble: None,
            not_renewed: false,
        }
    }
}

/// What the provider said about one runtime's repository.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Push {
    /// It may push.
    Allowed,
    /// It may not.
    Denied,
    /// It does not see the repository, or there is none.
    Hidden,
    /// The organisation wants single sign-on first, at this address of the provider.
    NeedsSso {
        /// Only ever on the provider's own host.
        link: Option<String>,
    },
    /// No answer that would tell.
    Unknown,
}

/// How the last authorization at the provider went, while that matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attempt {
    /// The user is there, since then.
    Pending(Timestamp),
    /// Denied, then.
    Denied(Timestamp),
}

/// One runtime as one of its users sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// Which.
    pub runtime: Runtime,
    /// Whose.
    pub account: Account,
    /// The credential in use.
    pub credential: Option<Credential>,
    /// Another person's credential, kept aside until the user decides.
    pub proposed: Option<Credential>,
    /// What the provider said about the runtime's repository.
    pub push: Option<Push>,
    /// Notifications are hidden.
    pub muted: bool,
    /// Until then; `None` while they are hidden: until its user shows them again.
    pub muted_until: Option<Timestamp>,
    /// Somebody asks about the credential in use, until then at most; over if that is past.
    pub asked_until: Option<Timestamp>,
    /// How the last authorization went.
    pub attempt: Option<Attempt>,
}

impl Access {
    /// Whether the runtime uses this credential.
    pub fn uses(&self, credential: &Credential) -> bool {
        self.credential.as_ref().is_some_and(|used| used.id == credential.id)
    }
}
