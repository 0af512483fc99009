//! A runtime asks for the credential of one of its users. This is the one place where a token leaves: only to that
//! user's own runtime, only for its own provider, never one that is known not to work, and never before it is written
//! down that it leaves.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::Engine;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use self::changes::Waiting;
use crate::{
    audit::{Action, Actor, Audit, Entry},
    catalogue::Runtime,
    check::Checker,
    clock::{Clock, Timestamp},
    credential::{Access, Credential, Method, Tokens, Trouble},
    git_url::{self, NotOurs},
    health::health,
    herald,
    holding::{Holdings, version},
    id::CredentialId,
    person::Name,
    provider::{Auth, Provider, Registry},
    renew::{Handed, Renewer, SOON, TokensError, Why, rests},
    store::{
        Store, StoreError,
        runtime::{RuntimeUser, VersionAt},
    },
    wire::{
        ApiHeader, Code, CredentialAnswer, CredentialRequest, GitCredential, Health, Released, Scheme, User,
        Users,
    },
};

mod changes;
mod report;

/// A grant that has ended and could not be renewed is not tried again by the next that asks, for so long.
const REST: Duration = Duration::from_secs(15);
/// Which runtime asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// It.
    pub runtime: Runtime,
    /// The public part of its key.
    pub public_id: String,
    /// The request's id.
    pub request: Option<String>,
    /// Where it comes from.
    pub address: IpAddr,
}

/// Why a credential is not handed out.
#[derive(Debug, thiserror::Error)]
pub enum Withheld {
    /// No such user of this runtime.
    #[error("the runtime has no such user")]
    UnknownUser,
    /// An address that could be read in two ways.
    #[error("the address is unusable")]
    UrlRefused,
    /// The host of the runtime's provider, which is below a path there.
    #[error("the address lacks the provider's path")]
    PathNeeded,
    /// Not at the runtime's provider.
    #[error("the address is not at the runtime's provider")]
    OtherHost,
    /// None there.
    #[error("there is no token")]
    NoToken,
    /// Ended.
    #[error("the token has ended")]
    Expired,
    /// The provider does not know it.
    #[error("the provider does not know the token any more")]
    Revoked,
    /// Ends [`SOON`].
    #[error("the token ends within a minute")]
    EndsSoon,
    /// It must be renewed; its OAuth app is no longer declared.
    #[error("the OAuth app of the token is not declared")]
    NoApp,
    /// It must be renewed; no answer.
    #[error("the token could not be renewed: no answer")]
    ProviderDown,
    /// It must be renewed; too many requests.
    #[error("the token could not be renewed: too many requests")]
    ProviderLimiting {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
    },
    /// Taken away or replaced while it was about to leave.
    #[error("the token was changed at this very moment")]
    Overtaken,
    /// So many wait for changes with this key.
    #[error("too many wait with this key")]
    TooManyWaiting,
    /// Not written down.
    #[error("the release could not be recorded")]
    NotRecorded,
    /// The provider is no longer declared.
    #[error("the provider is not declared")]
    NoProvider,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secret does not open, or renewing was stopped.
    #[error("the token could not be had")]
    Tokens(#[source] TokensError),
}

impl Withheld {
    /// The same on the wire. Its word is the reason in the audit log.
    pub const fn code(&self) -> Code {
        match self {
            Self::UnknownUser => Code::UnknownUser,
            Self::UrlRefused => Code::UrlRefused,
            Self::PathNeeded => Code::PathNeeded,
            Self::OtherHost => Code::OtherHost,
            Self::NoToken => Code::NoToken,
            Self::Expired => Code::Expired,
            Self::Revoked => Code::Revoked,
            Self::EndsSoon => Code::EndsSoon,
            Self::NoApp => Code::AppNotDeclared,
            Self::ProviderDown => Code::ProviderDown,
            Self::ProviderLimiting { .. } => Code::ProviderLimiting,
            Self::Overtaken => Code::Overtaken,
            Self::TooManyWaiting => Code::TooManyWaiting,
            Self::NotRecorded => Code::NotRecorded,
            Self::NoProvider => Code::RuntimeDisabled,
            Self::Store(_) => Code::Unavailable,
            Self::Tokens(_) => Code::Internal,
        }
    }
}

/// What [`Releases`] needs.
pub struct Parts {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Whom to ask.
    pub registry: Arc<Registry>,
    /// Opens, and renews where needed.
    pub renewer: Arc<Renewer>,
    /// Asks after a report.
    pub checker: Arc<Checker>,
    /// Writes it down.
    pub audit: Audit,
    /// What runtimes hold.
    pub holdings: Arc<Holdings>,
    /// What open pages hear of.
    pub changes: Arc<herald::Changes>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Checks after reports.
    pub under_way: TaskTracker,
}

/// Hands out credentials.
pub struct Releases {
    parts: Parts,
    /// Grants that have ended and could not be renewed lately, until when to leave them alone.
    resting: Mutex<HashMap<CredentialId, Timestamp>>,
    waiting: Waiting,
}

/// Whether a secret lives longer than [`SOON`], by the clock of the provider that ends it.
fn lives(ends_at: Option<Timestamp>, provider: &dyn Provider, now: Timestamp) -> bool {
    ends_at.is_none_or(|at| at >= provider.place().there(now).plus(SOON))
}

/// Whether a secret that was had may be handed out.
fn works(credential: &Credential, provider: &dyn Provider, now: Timestamp) -> Result<(), Withheld> {
    if let Some(withheld) = known_not_to_work(credential, provider, now) {
        return Err(withheld);
    }
    lives(credential.secret_ends_at(), provider, now).then_some(()).ok_or(Withheld::EndsSoon)
}

/// Why a credential would not be handed out, as far as can be told without asking anybody.
fn known_not_to_work(credential: &Credential, provider: &dyn Provider, now: Timestamp) -> Option<Withheld> {
    let over = |at: Option<Timestamp>| at.is_some_and(|at| provider.place().is_over(at, now));
    // A grant gets a new secret before the old one ends, as long as what renews it lives. Then it has the one it has.
    let renewed = credential.renew_at.is_some() && !over(credential.expires_at);
    let ends_at = if renewed { None } else { credential.secret_ends_at() };
    if over(ends_at) {
        return Some(Withheld::Expired);
    }
    if credential.standing.invalid {
        return Some(Withheld::Revoked);
    }
    (!lives(ends_at, provider, now)).then_some(Withheld::EndsSoon)
}

impl Releases {
    /// Of these.
    pub fn new(parts: Parts) -> Self {
        Self { parts, resting: Mutex::default(), waiting: Waiting::default() }
    }

    /// The credential of one user for one runtime. `None`: the runtime holds it already.
    ///
    /// # Errors
    /// As [`Withheld`] says; then no secret was opened that left.
    pub async fn credential(
        &self,
        caller: &Caller,
        request: &CredentialRequest,
    ) -> Result<Option<CredentialAnswer>, Withheld> {
        let mut released = self.release(caller, request).await;
        if matches!(released, Err(Withheld::Overtaken)) {
            // Once: what there is now may be had as well.
            released = self.release(caller, request).await;
        }
        released
    }

    /// The same, and writes down that it did not happen.
    async fn release(
        &self,
        caller: &Caller,
        request: &CredentialRequest,
    ) -> Result<Option<CredentialAnswer>, Withheld> {
        let mut user = None;
        let released = self.try_release(caller, request, &mut user).await;
        if let Err(withheld) = &released
            && !matches!(withheld, Withheld::NotRecorded)
        {
            let entry = self.entry(caller, Action::SecretReleased, user.as_ref());
            self.parts.audit.note(entry.refused(withheld.code().word())).await;
        }
        released
    }

    async fn try_release(
        &self,
        caller: &Caller,
        request: &CredentialRequest,
        found: &mut Option<RuntimeUser>,
    ) -> Result<Option<CredentialAnswer>, Withheld> {
        let Parts { registry, clock, holdings, audit, store, .. } = &self.parts;
        let runtime = &caller.runtime.id;
        let provider = registry.provider(&caller.runtime.provider).ok_or(Withheld::NoProvider)?.as_ref();
        git_url::is_at(&provider.place().base, &request.git_url).map_err(|problem| match problem {
            NotOurs::Refused => Withheld::UrlRefused,
            NotOurs::Elsewhere => Withheld::OtherHost,
            NotOurs::HostAlone => Withheld::PathNeeded,
        })?;
        let user = found.insert(self.user(caller, &request.user).await?);
        let access = &user.access;
        let known = access.credential.as_ref().ok_or(Withheld::NoToken)?;
        if let Some(withheld) = known_not_to_work(known, provider, clock.now()) {
            return Err(withheld);
        }
        let (credential, tokens) = self.tokens(known, provider).await?;
        // Renewing may have taken its time, and have brought a verdict.
        let now = clock.now();
        works(&credential, provider, now)?;
        let version = version(runtime, &credential.id, credential.generation);
        let (of, at) = (runtime.clone(), now);
        let leaving =
            holdings.leaving(VersionAt { user: user.id.clone(), runtime: of, version: version.clone(), at });
        if request.version.as_deref() == Some(version.as_str()) {
            leaving.done();
            return Ok(None);
        }
        let entry = self.entry(caller, Action::SecretReleased, Some(user)).object(credential.id.as_str());
        if let Err(error) = audit.record(entry).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "A credential was not released, because that could not be recorded");
            return Err(Withheld::NotRecorded);
        }
        // All of that took its time, and whoever deletes, replaces or disables is told that it is done. The last look
        // is after everything that can take long; whoever comes after it finds this among what is on its way.
        if !store.gets(&caller.public_id, runtime, &user.id, &credential.id, credential.generation).await? {
            return Err(Withheld::Overtaken);
        }
        let now = clock.now();
        works(&credential, provider, now)?;
        leaving.done();
        let access = Access { credential: Some(credential.clone()), ..access.clone() };
        Ok(Some(answer(&access, provider, &credential, &tokens, version, now)))
    }

    /// All users of a runtime, with how they are and without their secrets.
    ///
    /// # Errors
    /// [`Withheld::NoProvider`], [`Withheld::Store`].
    pub async fn users(&self, caller: &Caller) -> Result<Users, Withheld> {
        let runtime = &caller.runtime.id;
        let provider =
            self.parts.registry.provider(&caller.runtime.provider).ok_or(Withheld::NoProvider)?.as_ref();
        let now = self.parts.clock.now();
        let users = self.parts.store.runtime_users(runtime, now).await?;
        let users = users
            .into_iter()
            .map(|mut user| {
                self.parts.holdings.take_in(&user.id, runtime, &mut user.holding);
                let credential = user.access.credential.as_ref();
                User {
                    user: user.name.to_string(),
                    health: word(&user.access, provider, now),
                    version: credential
                        .map(|credential| version(runtime, &credential.id, credential.generation)),
                    login: credential.map(|credential| credential.owner.login.clone()),
                    expires_at: credential.and_then(|credential| credential.expires_at).and_then(written),
                    fetched_at: user.holding.fetched_at.and_then(written),
                    used_version: user.holding.used_version.clone(),
                }
            })
            .collect();
        Ok(Users { users })
    }

    /// Exactly as it is kept: a name in another spelling is none.
    async fn user(&self, caller: &Caller, name: &str) -> Result<RuntimeUser, Withheld> {
        let name = Name::parse(name).filter(|parsed| parsed.as_str() == name).ok_or(Withheld::UnknownUser)?;
        let user = self.parts.store.runtime_user(&caller.runtime.id, &name, self.parts.clock.now()).await?;
        user.ok_or(Withheld::UnknownUser)
    }

    /// Tokens that do not end [`SOON`], renewed where needed; those that are due and could not be renewed, while
    /// they live.
    async fn tokens(
        &self,
        known: &Credential,
        provider: &dyn Provider,
    ) -> Result<(Credential, Tokens), Withheld> {
        let id = &known.id;
        let Parts { renewer, registry, clock, .. } = &self.parts;
        // Then nobody is asked now.
        let rested = rests(known, clock.now()).is_some();
        // Those that could not be renewed are handed out to the last second, which is too late for a runtime.
        if let Some((credential, tokens)) = self.renewed(id, Why::Use).await?
            && (!credential.standing.not_renewed || lives(credential.secret_ends_at(), provider, clock.now()))
        {
            return Ok((credential, tokens));
        }
        let (credential, tokens) = renewer.open(id).await.map_err(withheld)?;
        let now = clock.now();
        if credential.standing.invalid {
            return Err(Withheld::Revoked);
        }
        // From here on it is not the user's fault.
        if lives(credential.secret_ends_at(), provider, now) {
            return Ok((credential, tokens));
        }
        let declared = |app| registry.app(app).is_some();
        if credential.method == Method::Oauth2 && !credential.oauth_app.as_ref().is_some_and(declared) {
            return Err(Withheld::NoApp);
        }
        if let Some((Trouble::RateLimited { until }, _)) = credential.standing.trouble
            && until.is_none_or(|until| until > now)
        {
            return Err(Withheld::ProviderLimiting { until });
        }
        // Whoever waits for it waits for the provider: it is asked before it is due, but not once for each that asks.
        if self.rest(id, now)
            && rested
            && let Some(had) = self.renewed(id, Why::Check).await?
        {
            return Ok(had);
        }
        Err(Withheld::ProviderDown)
    }

    /// `None` if it is due and could not be renewed.
    async fn renewed(&self, id: &CredentialId, why: Why) -> Result<Option<(Credential, Tokens)>, Withheld> {
        match self.parts.renewer.tokens(id, why).await {
            Ok(Handed { credential, tokens, .. }) => Ok(Some((credential, tokens))),
            Err(TokensError::NotRenewed(_)) => Ok(None),
            Err(error) => Err(withheld(error)),
        }
    }

    /// From now on it rests. `false` if it already does.
    fn rest(&self, id: &CredentialId, now: Timestamp) -> bool {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        // Not for ever, where the clock was set back.
        resting.retain(|_, until| *until > now && *until <= now.plus(REST));
        if resting.contains_key(id) {
            return false;
        }
        resting.insert(id.clone(), now.plus(REST));
        true
    }

    fn entry(&self, caller: &Caller, action: Action, user: Option<&RuntimeUser>) -> Entry {
        let actor = Actor::RuntimeKey { public_id: caller.public_id.clone() };
        let entry = Entry::new(actor, action)
            .at(&caller.runtime.account, &caller.runtime.id)
            .by_request(caller.request.clone(), caller.address);
        match user {
            Some(user) => entry.about(&user.id).detail(format!("of {}", user.name)),
            None => entry,
        }
    }
}

fn withheld(error: TokensError) -> Withheld {
    match error {
        // It was there when it was looked for.
        TokensError::Gone => Withheld::Overtaken,
        TokensError::Store(error) => error.into(),
        error => Withheld::Tokens(error),
    }
}

fn answer(
    access: &Access,
    provider: &dyn Provider,
    credential: &Credential,
    tokens: &Tokens,
    version: String,
    now: Timestamp,
) -> CredentialAnswer {
    let doors = provider.doors(&credential.presented(tokens));
    let token = tokens.access.expose();
    let (username, scheme) = match doors.git {
        Auth::Basic { user_name } => (user_name, Scheme::Basic),
        // Shown as a password it goes with the name of its owner.
        Auth::Bearer => (credential.owner.login.clone(), Scheme::Bearer),
    };
    let ends_at = credential.secret_ends_at();
    CredentialAnswer {
        version,
        git: GitCredential { username, password: Released::new(token), scheme },
        api: ApiHeader { name: "Authorization".to_owned(), value: header(&doors.api, token) },
        login: credential.owner.login.clone(),
        scopes: credential.scopes.as_ref().map(crate::scope::ScopeSet::to_vec),
        expires_at: ends_at.and_then(written),
        expires_in: ends_at.map(|at| at.since(provider.place().there(now)).as_secs()),
        health: word(access, provider, now),
    }
}

fn header(auth: &Auth, token: &str) -> Released {
    match auth {
        Auth::Bearer => Released::new(["Bearer ", token].concat()),
        Auth::Basic { user_name } => {
            let pair = Zeroizing::new([user_name, ":", token].concat());
            let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
            Released::new(["Basic ", encoded.as_str()].concat())
        }
    }
}

/// RFC 3339, to the second.
fn written(at: Timestamp) -> Option<String> {
    let at = Timestamp::from_seconds(at.seconds()).calendar()?;
    at.format(&time::format_description::well_known::Rfc3339).ok()
}

/// What the page says, for machines.
fn word(access: &Access, provider: &dyn Provider, now: Timestamp) -> Health {
    use app::api::token::Health as Page;
    match health(access, provider, now).health {
        Page::Valid { .. } => Health::Valid,
        Page::Expiring { .. } => Health::Expiring,
        Page::NoToken | Page::AuthorizationPending { .. } | Page::AuthorizationDenied { .. } => {
            Health::NoToken
        }
        Page::Expired { .. } => Health::Expired,
        Page::Revoked { .. } | Page::RenewalLost { refused: true, .. } => Health::Revoked,
        Page::Checking { .. } => Health::Checking,
        Page::ScopesMissing { .. } => Health::ScopesMissing,
        Page::CannotPush { .. } => Health::CannotPush,
        Page::RepositoryHidden { .. } => Health::RepositoryHidden,
        Page::NeedsSso { .. } => Health::NeedsSso,
        Page::AnotherAccount { .. } => Health::AnotherAccount,
        Page::Unreachable { .. } | Page::RenewalLost { refused: false, .. } => Health::ProviderUnreachable,
        Page::RateLimited { .. } => Health::ProviderLimiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_header_is_what_rfc_7617_says() {
        let auth = Auth::Basic { user_name: "Aladdin".to_owned() };
        assert_eq!(header(&auth, "open sesame").expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(header(&Auth::Bearer, "gho_a").expose(), "Bearer gho_a");
    }

    #[test]
    fn a_moment_is_written_to_the_second() {
        assert_eq!(
            written(Timestamp::from_micros(1_795_348_800_999_999)).as_deref(),
            Some("2026-11-22T12:00:00Z")
        );
    }
}
