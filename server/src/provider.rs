//! Git providers: what Gitward asks of any of them. One file per kind; the registry is built by the composition root.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use url::Url;

use self::{
    grant::Dialect,
    http::Outgoing,
    place::Place,
    revoke::{Revoke, RevokeError, Revoked},
    shape::Family,
};
use crate::{
    clock::{Clock, Timestamp},
    credential::{Evidence, Method, ProviderAccount, Push},
    id::{OauthAppId, ProviderId},
    scope::ScopeSet,
    secret::Secret,
};

pub mod address;
pub mod bitbucket;
pub mod bitbucket_data_center;
pub mod git;
pub mod gitea;
pub mod github;
pub mod gitlab;
pub mod grant;
pub mod http;
pub mod limit;
pub mod place;
pub mod repository;
pub mod revoke;
pub mod shape;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;

/// Why the provider gave no verdict, or a bad one. The distinction is the point: a fault is never a refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProviderError {
    /// It was asked and knows no such credential: definitive, though providers have bad moments.
    Rejected(Evidence),
    /// Too many requests: ask again later. Says nothing about the credential.
    RateLimited {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
        /// What came back.
        evidence: Evidence,
    },
    /// It is a good credential, but may not even tell whose it is.
    Insufficient {
        /// What it may do, where the answer says so.
        granted: Option<ScopeSet>,
        /// What it would have needed to answer.
        missing: ScopeSet,
        /// What came back.
        evidence: Evidence,
    },
    /// It is a good credential, but the provider lets nobody in with it: for a reason that only its owner or an
    /// administrator there can mend.
    Blocked {
        /// Goes on after "but": `the account is blocked`.
        why: &'static str,
        /// What came back.
        evidence: Evidence,
    },
    /// No answer, or none that makes sense. Says nothing about the credential.
    Unreachable(Evidence),
}

impl ProviderError {
    /// A good status, and yet no answer to the question whose a token is.
    pub fn senseless(label: &str) -> Self {
        Self::Unreachable(Evidence::new(label, "a page that is no JSON, or tells no user"))
    }
}

/// Why a grant could not be had or renewed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GrantError {
    /// The code or the refresh token is wrong, used or too old: the user must authorize again.
    Refused(Evidence),
    /// The provider does not accept this client: only the operator can mend it.
    AppRefused(Evidence),
    /// As [`ProviderError::RateLimited`].
    RateLimited {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
        /// What came back.
        evidence: Evidence,
    },
    /// As [`ProviderError::Unreachable`], and it certainly was not done.
    Unreachable(Evidence),
    /// It was asked, and the answer was lost, or makes no sense: it may have been done, and used up what it takes.
    Lost(Evidence),
}

/// Who a token belongs to, what it may do and when it ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Whose.
    pub owner: ProviderAccount,
    /// The provider's own word for the kind; see [`Provider::kind_label`].
    pub kind: String,
    /// `None` where the provider does not show them.
    pub scopes: Option<ScopeSet>,
    /// When it ends.
    pub expiry: TokenExpiry,
    /// What was asked and answered.
    pub evidence: Evidence,
}

/// When a token ends, as far as the provider says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenExpiry {
    /// It has no end.
    Never,
    /// Then.
    At(Timestamp),
    /// It says something that could not be read.
    Unknown,
}

/// How long ago a token was issued: not every part of a provider knows a new one at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Age {
    /// A moment ago: a refusal may only mean that the news has not spread.
    Fresh,
    /// Long enough ago.
    Settled,
}

/// A token, with what a provider has to know to take it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The secret.
    pub token: &'a Secret,
    /// How the user gave it.
    pub method: Method,
    /// What it turned out to be before; `None` while it is being added. See [`Identity::kind`].
    pub kind: Option<&'a str>,
    /// The user name that goes with it, where the provider wants one that only the user knows; see
    /// [`Guide::user_name`].
    pub user_name: Option<&'a str>,
}

/// How a token is shown: the header of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Auth {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: Basic` (RFC 7617), the token in the place of the password.
    Basic {
        /// The user name.
        user_name: String,
    },
}

/// How a token of one kind opens the provider's doors.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Doors {
    /// The REST API.
    pub api: Auth,
    /// Git over HTTP.
    pub git: Auth,
}

/// What helps a person to get a token at the provider, in the provider's own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guide {
    /// How the provider calls such a token, to go on after "a" or "an": `personal access token`.
    pub token_word: &'static str,
    /// The provider's page that makes one, with what is needed filled in as far as it takes that.
    pub link: Url,
    /// It takes something of that.
    pub prefilled: bool,
    /// The same for a token limited to some repositories, where the provider has such a page.
    pub limited_link: Option<Url>,
    /// What to do there, step by step; names of buttons and fields in “quotation marks”.
    pub steps: Vec<String>,
    /// What must be told besides the token.
    pub user_name: Option<UserNameField>,
    /// The provider does not tell when such a token ends, so the user may.
    pub asks_end: bool,
}

/// A field for the user name that goes with a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UserNameField {
    /// `E-mail address of your Atlassian account`
    pub label: &'static str,
    /// Where to find it, and what it is not.
    pub hint: &'static str,
    /// It is an e-mail address.
    pub email: bool,
    /// Tokens of some kinds do without.
    pub optional: bool,
}

/// What an authorization or a refresh brought.
#[derive(Clone)]
pub struct Grant {
    /// What opens the door.
    pub access: Secret,
    /// What renews it; none if it need not be renewed.
    pub refresh: Option<Secret>,
    /// How long the access token lives, counted from when the request was sent; `None` if it has no end.
    pub expires_in: Option<Duration>,
    /// How long the refresh token lives, likewise.
    pub refresh_expires_in: Option<Duration>,
    /// What was granted, where the answer says so (RFC 6749 §5.1).
    pub scopes: Option<ScopeSet>,
}

/// What it takes to speak to a provider of any kind.
pub struct Settings {
    /// The key in the configuration.
    pub id: ProviderId,
    /// Instead of what people usually call it.
    pub name: Option<String>,
    /// What people see: `https://github.com`.
    pub base_url: Url,
    /// Where the API is, unless it follows from `base_url`.
    pub api_url: Option<Url>,
    /// Where it sends people back to after they have authorized.
    pub redirect_uri: Url,
    /// For limits that end at a moment.
    pub clock: Arc<dyn Clock>,
    /// The way out.
    pub http: Outgoing,
}

/// A client registered at a provider.
#[derive(Clone)]
pub struct OauthApp {
    /// The key in the configuration.
    pub id: OauthAppId,
    /// Where it is registered.
    pub provider: ProviderId,
    /// Public.
    pub client_id: String,
    /// Not public.
    pub client_secret: Secret,
}

/// What a pasted text looks like. What seems to be another provider's is a reason to ask back, no more: prefixes can be
/// configured, and shapes collide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Like one of this provider's tokens, or like nothing in particular.
    Plausible,
    /// Like a token of an app, or one that only renews others: not a user's.
    NotAUserToken,
    /// Like one that this provider refuses whoever shows it; why, as a sentence for the user.
    Refused(&'static str),
    /// Like a token of the provider called so.
    Foreign(&'static str),
}

/// A Git provider at one address. Knows its own dialect; holds no credentials.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Where it is.
    fn place(&self) -> &Place;
    /// What its tokens look like.
    fn family(&self) -> &'static Family;
    /// How its token endpoint speaks.
    fn dialect(&self) -> &'static Dialect;
    /// The word of the picture of its kind in `style/component/provider.css`.
    fn icon(&self) -> &'static str;

    /// The key in the configuration.
    fn id(&self) -> &ProviderId {
        &self.place().id
    }
    /// How people call it: `GitHub`, `GitHub Enterprise`, or as the operator named it.
    fn name(&self) -> &str {
        &self.place().name
    }
    /// Host, with the port where it is not the usual one, of what people see.
    fn host(&self) -> String {
        address::host(&self.place().base)
    }
    /// All origins that get to see credentials, sorted and joined by a blank: credentials are sealed to it.
    fn origin(&self) -> String {
        address::origin(self.place().origins())
    }

    /// What a pasted text looks like.
    fn shape(&self, token: &Secret) -> Shape {
        self.family().shape(token)
    }
    /// What tokens of other kinds of providers begin with, and how those are called: for a hint while typing.
    fn foreign_shapes(&self) -> Vec<(&'static str, &'static str)> {
        self.family().foreign()
    }
    /// How a kind of token is called on the page.
    fn kind_label(&self, kind: &str) -> &'static str;
    /// The scopes that a runtime needs unless it says otherwise.
    fn default_scopes(&self) -> ScopeSet;
    /// Which of `needed` are not covered by `granted`, implied scopes counted as granted.
    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet;
    /// Helps a person to get a token that may do what is `needed`; `repository` and `note` fill in the provider's page.
    fn guide(&self, needed: &ScopeSet, repository: Option<&str>, note: &str) -> Guide;
    /// How a token opens the doors: its user name for Git, its header for the API. The one place that knows.
    fn doors(&self, presented: &Presented<'_>) -> Doors;

    /// Who, what, until when.
    ///
    /// # Errors
    /// As [`ProviderError`] says.
    async fn identify(&self, presented: &Presented<'_>, age: Age) -> Result<Identity, ProviderError>;
    /// Whether it may push to a repository, without pushing. It is written as the configuration writes it for this kind
    /// of provider: `owner/name`, or longer. `Push::Unknown` where the answer tells nothing.
    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push;

    /// Where users are sent to authorize, and where codes are exchanged.
    fn oauth_endpoints(&self) -> OauthEndpoints;
    /// What to ask for there, so that a grant may do what is `needed`.
    fn oauth_scopes(&self, needed: &ScopeSet) -> ScopeSet {
        needed.clone()
    }
    /// Exchanges a code for a grant.
    ///
    /// # Errors
    /// As [`GrantError`] says.
    async fn exchange(&self, app: &OauthApp, code: &Secret, verifier: &Secret) -> Result<Grant, GrantError> {
        grant::exchange(&self.place().token_endpoint(self.dialect()), app, code, verifier).await
    }
    /// Renews a grant. The old refresh token may be dead afterwards, whatever comes back: keep the answer first.
    ///
    /// # Errors
    /// As [`GrantError`] says.
    async fn refresh(&self, app: &OauthApp, refresh: &Secret) -> Result<Grant, GrantError> {
        grant::refresh(&self.place().token_endpoint(self.dialect()), app, refresh).await
    }

    /// Whether it can be asked to end such a token. Where nobody knows before it was asked: yes.
    fn can_revoke(&self, _method: Method, _kind: &str) -> bool {
        false
    }
    /// Its page on which the owner of such a token can end it.
    fn revocation_page(&self, method: Method, kind: &str) -> Url;
    /// Ends a token there, for good. Asking again does no harm.
    ///
    /// # Errors
    /// As [`RevokeError`] says.
    async fn revoke(&self, _what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        Err(RevokeError::no_way())
    }
}

/// Where OAuth2 happens at a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OauthEndpoints {
    /// Users go there.
    pub authorize: Url,
    /// Codes go there.
    pub token: Url,
    /// What a callback's `iss` must be, if it has one (RFC 9207).
    pub issuer: String,
}

/// All declared providers and apps.
#[derive(Clone, Default)]
pub struct Registry {
    providers: HashMap<ProviderId, Arc<dyn Provider>>,
    apps: HashMap<OauthAppId, Arc<OauthApp>>,
}

impl Registry {
    /// Collects them.
    pub fn new(
        providers: impl IntoIterator<Item = Arc<dyn Provider>>,
        apps: impl IntoIterator<Item = OauthApp>,
    ) -> Self {
        Self {
            providers: providers.into_iter().map(|provider| (provider.id().clone(), provider)).collect(),
            apps: apps.into_iter().map(|app| (app.id.clone(), Arc::new(app))).collect(),
        }
    }

    /// All providers that are declared.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.values()
    }

    /// A provider that is declared.
    pub fn provider(&self, id: &ProviderId) -> Option<&Arc<dyn Provider>> {
        self.providers.get(id)
    }

    /// All apps that are declared.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<OauthApp>> {
        self.apps.values()
    }

    /// How the provider at a host is called; the host itself where there is none or are several.
    pub fn name_at(&self, host: &str) -> String {
        let mut there = self.providers().filter(|provider| provider.host() == host);
        match (there.next(), there.next()) {
            (Some(only), None) => only.name().to_owned(),
            _ => host.to_owned(),
        }
    }

    /// An app that is declared.
    pub fn app(&self, id: &OauthAppId) -> Option<&Arc<OauthApp>> {
        self.apps.get(id)
    }
}
