//! A runtime asks for the credential of one of its users. This is the one place where a token leaves: only to that
//! user's own runtime, only for its own provider, never one that is known not to work, and never before it is written
//! down that it leaves.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use zeroize::Zeroizing;

use crate::{
    audit::{Action, Actor, Audit, Entry},
    catalogue::Runtime,
    check::{CheckError, Checker},
    clock::{Clock, Timestamp},
    credential::{Access, Credential, Method, Tokens, Trouble},
    git_url::{self, NotOurs},
    health::health,
    herald::{self, What},
    holding::Holdings,
    id::{CredentialId, RuntimeId},
    person::Name,
    provider::{Auth, Provider, Registry},
    renew::{Handed, Renewer, TokensError, Why, rests},
    store::{
        Store, StoreError,
        runtime::{Fetched, RuntimeUser},
    },
    wire::{
        ApiHeader, Changes, CredentialAnswer, CredentialRequest, GitCredential, Health, Held, Outcome,
        Released, Report, ReportAnswer, Scheme, User, Users,
    },
};

/// What is handed out lives at least so long.
pub const LEAST_LIFE: Duration = Duration::from_secs(60);
/// A grant that has ended and could not be renewed is not tried again by the next that asks, for so long.
const REST: Duration = Duration::from_secs(15);
/// Reports that a provider refused a credential have it asked so many times per window at most.
const REPORTS: u32 = 6;
const REPORTS_WINDOW_SECONDS: u32 = 60;
/// How often those who wait for news look.
const LOOK_EVERY: Duration = Duration::from_millis(200);

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
    /// Ends within [`LEAST_LIFE`].
    #[error("the token ends within a minute")]
    EndsSoon,
    /// It must be renewed; no answer.
    #[error("the token could not be renewed: no answer")]
    ProviderDown,
    /// It must be renewed; too many requests.
    #[error("the token could not be renewed: too many requests")]
    ProviderLimiting {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
    },
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
    /// The word in the audit log: that of the wire.
    fn word(&self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown_user",
            Self::UrlRefused => "url_refused",
            Self::OtherHost => "other_host",
            Self::NoToken => "no_token",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::EndsSoon => "ends_soon",
            Self::ProviderDown => "provider_down",
            Self::ProviderLimiting { .. } => "provider_limiting",
            Self::NotRecorded => "not_recorded",
            Self::NoProvider => "runtime_disabled",
            Self::Store(_) => "unavailable",
            Self::Tokens(_) => "internal",
        }
    }
}

/// Hands out credentials.
pub struct Releases {
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
    /// Grants that have ended and could not be renewed lately, until when to leave them alone.
    pub resting: Mutex<HashMap<CredentialId, Timestamp>>,
    /// The number of the last news, and when it was looked for.
    pub news: tokio::sync::Mutex<Option<(tokio::time::Instant, i64)>>,
    /// The process is about to end: nobody waits any longer.
    pub stopping: CancellationToken,
}

/// Names a secret of a credential to a runtime, and says nothing about it.
pub fn version(runtime: &RuntimeId, credential: &Credential) -> String {
    let mut hash = Sha256::new();
    for part in [runtime.as_str(), credential.id.as_str()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(credential.generation.to_le_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..12])
}

/// When the secret itself ends; its renewal is Gitward's business.
fn secret_ends_at(credential: &Credential) -> Option<Timestamp> {
    match credential.method {
        Method::Token => credential.expires_at,
        // Grants from before their end was kept: not later than that.
        Method::Oauth2 => credential.access_ends_at.or(credential.renew_at).or(credential.expires_at),
    }
}

/// Whether a secret has at least [`LEAST_LIFE`], by the clock of the provider that ends it.
fn lives(ends_at: Option<Timestamp>, provider: &dyn Provider, now: Timestamp) -> bool {
    ends_at.is_none_or(|at| at >= provider.place().there(now).plus(LEAST_LIFE))
}

/// Why a credential would not be handed out, as far as can be told without asking anybody.
fn known_not_to_work(credential: &Credential, provider: &dyn Provider, now: Timestamp) -> Option<Withheld> {
    if credential.expires_at.is_some_and(|at| provider.place().is_over(at, now)) {
        return Some(Withheld::Expired);
    }
    if credential.standing.invalid {
        return Some(Withheld::Revoked);
    }
    // A grant that is renewed gets a new secret before that; what can't be renewed ends.
    let ends_at =
        if credential.renew_at.is_some() { credential.expires_at } else { secret_ends_at(credential) };
    (!lives(ends_at, provider, now)).then_some(Withheld::EndsSoon)
}

impl Releases {
    /// The credential of one user for one runtime. `None`: the runtime holds it already.
    ///
    /// # Errors
    /// As [`Withheld`] says; then no secret was opened that left.
    pub async fn credential(
        &self,
        caller: &Caller,
        request: &CredentialRequest,
    ) -> Result<Option<CredentialAnswer>, Withheld> {
        let mut user = None;
        let released = self.release(caller, request, &mut user).await;
        if let Err(withheld) = &released
            && !matches!(withheld, Withheld::NotRecorded)
        {
            let entry = self.entry(caller, Action::SecretReleased, user.as_ref());
            self.audit.note(entry.refused(withheld.word())).await;
        }
        released
    }

    async fn release(
        &self,
        caller: &Caller,
        request: &CredentialRequest,
        found: &mut Option<RuntimeUser>,
    ) -> Result<Option<CredentialAnswer>, Withheld> {
        let provider = self.registry.provider(&caller.runtime.provider).ok_or(Withheld::NoProvider)?.as_ref();
        git_url::is_at(&provider.place().base, &request.git_url).map_err(|problem| match problem {
            NotOurs::Refused => Withheld::UrlRefused,
            NotOurs::Elsewhere => Withheld::OtherHost,
        })?;
        let user = found.insert(self.user(caller, &request.user).await?);
        let access = &user.access;
        let known = access.credential.as_ref().ok_or(Withheld::NoToken)?;
        let now = self.clock.now();
        if let Some(withheld) = known_not_to_work(known, provider, now) {
            return Err(withheld);
        }
        let (credential, tokens) = self.tokens(known, provider).await?;
        // Renewing may have taken its time, and have brought a verdict.
        let now = self.clock.now();
        if let Some(withheld) = known_not_to_work(&credential, provider, now) {
            return Err(withheld);
        }
        if !lives(secret_ends_at(&credential), provider, now) {
            return Err(Withheld::EndsSoon);
        }
        let version = version(&caller.runtime.id, &credential);
        let fetched = Fetched {
            user: user.id.clone(),
            runtime: caller.runtime.id.clone(),
            version: version.clone(),
            at: now,
        };
        if request.version.as_deref() == Some(version.as_str()) {
            self.holdings.fetched(fetched);
            return Ok(None);
        }
        let entry = self.entry(caller, Action::SecretReleased, Some(user)).object(credential.id.as_str());
        if let Err(error) = self.audit.record(entry).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "A credential was not released, because that could not be recorded");
            return Err(Withheld::NotRecorded);
        }
        self.holdings.fetched(fetched);
        let access = Access { credential: Some(credential.clone()), ..access.clone() };
        Ok(Some(answer(&access, provider, &credential, &tokens, version, now)))
    }

    /// Takes down what a runtime says about a credential, and has the provider asked if it was refused.
    ///
    /// # Errors
    /// [`Withheld::UnknownUser`], [`Withheld::Store`].
    pub async fn report(
        self: &Arc<Self>,
        caller: &Caller,
        report: &Report,
    ) -> Result<ReportAnswer, Withheld> {
        let user = self.user(caller, &report.user).await?;
        let runtime = &caller.runtime.id;
        let now = self.clock.now();
        let current = user.access.credential.as_ref().map(|credential| version(runtime, credential));
        let named = match report.version.clone() {
            Some(named) => Some(named),
            None => {
                let mut holdings = self.holdings.of(&user.id).await?;
                holdings.remove(runtime).and_then(|holding| holding.fetched_version)
            }
        };
        let word = match report.outcome {
            Outcome::Used => "used",
            Outcome::Rejected => "rejected",
        };
        let entry = self.entry(caller, Action::SecretReported, Some(&user)).detail(word);
        self.audit.note(entry).await;
        match (report.outcome, named) {
            (Outcome::Used, Some(named)) if is_version(&named) => {
                let is_current = current.as_ref() == Some(&named);
                let (user, runtime) = (user.id.clone(), runtime.clone());
                let used = Fetched { user, runtime, version: named, at: now };
                self.store.note_used(&used).await?;
                if is_current {
                    // What was replaced may be revoked now; whoever revokes looks for it every few seconds.
                    self.store.end_holding(&used.user, &used.runtime, now).await?;
                }
                self.changes.say(&used.user, What::Row(used.runtime));
            }
            // Of an older one it is no news that it was refused.
            (Outcome::Rejected, named) if named == current && current.is_some() => {
                self.ask_about(&user, runtime, now).await?;
            }
            _ => {}
        }
        Ok(ReportAnswer { version: current })
    }

    /// Has the provider asked, on a task of its own: the runtime need not wait for it.
    async fn ask_about(
        self: &Arc<Self>,
        user: &RuntimeUser,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let bucket = format!("reported {} {runtime}", user.id);
        if self.store.count_failure(&bucket, now, REPORTS_WINDOW_SECONDS).await? > REPORTS {
            return Ok(());
        }
        let (releases, user, runtime) = (Arc::clone(self), user.id.clone(), runtime.clone());
        self.under_way.spawn(async move {
            match releases.checker.check(&user, &runtime).await {
                Ok(()) | Err(CheckError::NothingThere | CheckError::Tokens(TokensError::Gone)) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, %runtime, "A check after a runtime's report failed");
                }
            }
        });
        Ok(())
    }

    /// All users of a runtime, with how they are and without their secrets.
    ///
    /// # Errors
    /// [`Withheld::NoProvider`], [`Withheld::Store`].
    pub async fn users(&self, caller: &Caller) -> Result<Users, Withheld> {
        let runtime = &caller.runtime.id;
        let provider = self.registry.provider(&caller.runtime.provider).ok_or(Withheld::NoProvider)?.as_ref();
        self.holdings.write().await?;
        let now = self.clock.now();
        let users = self.store.runtime_users(runtime, now).await?;
        let users = users
            .into_iter()
            .map(|user| {
                let credential = user.access.credential.as_ref();
                User {
                    user: user.name.to_string(),
                    health: word(&user.access, provider, now),
                    version: credential.map(|credential| version(runtime, credential)),
                    login: credential.map(|credential| credential.owner.login.clone()),
                    expires_at: credential.and_then(|credential| credential.expires_at).and_then(written),
                    fetched_at: user.holding.fetched_at.and_then(written),
                    used_version: user.holding.used_version.clone(),
                }
            })
            .collect();
        Ok(Users { users })
    }

    /// What a runtime may hold now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self, runtime: &RuntimeId) -> Result<Changes, StoreError> {
        let now = self.clock.now();
        let mut hash = Sha256::new();
        let mut held = Vec::new();
        for user in self.store.runtime_users(runtime, now).await? {
            let provider = self.registry.provider(&user.access.runtime.provider);
            let works = user.access.credential.filter(|known| {
                provider.is_some_and(|provider| known_not_to_work(known, provider.as_ref(), now).is_none())
            });
            let version = works.map(|credential| version(runtime, &credential));
            let name = user.name.to_string();
            for part in [name.as_str(), version.as_deref().unwrap_or_default()] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            held.push(Held { user: name, version });
        }
        Ok(Changes { cursor: URL_SAFE_NO_PAD.encode(&hash.finalize()[..12]), users: held })
    }

    /// The same as soon as it is something else than `after`. `None` if it is not, `wait` later, or when the server
    /// stops.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes_after(
        &self,
        runtime: &RuntimeId,
        after: &str,
        wait: Duration,
    ) -> Result<Option<Changes>, StoreError> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            // Asked for before looking, so that what happens in between is seen the next time.
            let number = self.latest_news().await?;
            let changes = self.changes(runtime).await?;
            if changes.cursor != after {
                return Ok(Some(changes));
            }
            while self.latest_news().await? == number {
                if tokio::time::Instant::now() >= until || self.stopping.is_cancelled() {
                    // What ends by itself is no news.
                    let changes = self.changes(runtime).await?;
                    return Ok(Some(changes).filter(|changes| changes.cursor != after));
                }
                let next = until.min(tokio::time::Instant::now() + LOOK_EVERY);
                self.stopping.run_until_cancelled(tokio::time::sleep_until(next)).await;
            }
        }
    }

    /// Looked for once for all who wait.
    async fn latest_news(&self) -> Result<i64, StoreError> {
        let mut news = self.news.lock().await;
        if let Some((at, number)) = *news
            && at.elapsed() < LOOK_EVERY
        {
            return Ok(number);
        }
        let number = self.store.runtime_news().await?;
        *news = Some((tokio::time::Instant::now(), number));
        Ok(number)
    }

    /// Exactly as it is kept: a name in another spelling is none.
    async fn user(&self, caller: &Caller, name: &str) -> Result<RuntimeUser, Withheld> {
        let name = Name::parse(name).filter(|parsed| parsed.as_str() == name).ok_or(Withheld::UnknownUser)?;
        let user = self.store.runtime_user(&caller.runtime.id, &name, self.clock.now()).await?;
        user.ok_or(Withheld::UnknownUser)
    }

    /// Tokens with at least [`LEAST_LIFE`], renewed where needed; those that are due and could not be renewed, while
    /// they live.
    async fn tokens(
        &self,
        known: &Credential,
        provider: &dyn Provider,
    ) -> Result<(Credential, Tokens), Withheld> {
        let id = &known.id;
        // Then nobody is asked now.
        let rested = rests(known, self.clock.now()).is_some();
        // Those that could not be renewed are handed out to the last second, which is too late for a runtime.
        if let Some((credential, tokens)) = self.renewed(id, Why::Use).await?
            && (!credential.standing.not_renewed
                || lives(secret_ends_at(&credential), provider, self.clock.now()))
        {
            return Ok((credential, tokens));
        }
        let (credential, tokens) = self.renewer.as_kept(id).await.map_err(withheld)?;
        let now = self.clock.now();
        if credential.standing.invalid {
            return Err(Withheld::Revoked);
        }
        // From here on it is not the user's fault.
        if lives(secret_ends_at(&credential), provider, now) {
            return Ok((credential, tokens));
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
        match self.renewer.tokens(id, why).await {
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
            Some(user) => entry.about(&user.id),
            None => entry,
        }
    }
}

fn withheld(error: TokensError) -> Withheld {
    match error {
        TokensError::Gone => Withheld::NoToken,
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
    let ends_at = secret_ends_at(credential);
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

/// The shape of what [`version`] makes: nothing else is kept.
fn is_version(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
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

    #[test]
    fn only_the_shape_of_a_version_is_one() {
        assert!(is_version("AAAAaaaa0000-_Zz"));
        for wrong in ["", "AAAAaaaa0000-_Z", "AAAAaaaa0000-_Zzz", "AAAAaaaa0000-_Z\n", "AAAAaaaa0000-_Zé"] {
            assert!(!is_version(wrong), "{wrong:?}");
        }
    }
}
