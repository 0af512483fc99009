//! The way through the provider's sign-in and back (OAuth2 authorization code with PKCE, RFC 6749 §4.1, RFC 7636).
//!
//! An attempt is bound to user, session, provider and runtime, is used up by the first callback that names it, and
//! lives ten minutes. So a victim can't be made to finish what an attacker began, nor the other way round
//! (RFC 9700 §2.1, §4.7).

use std::{collections::HashSet, sync::Arc, time::Duration};

use app::api::token::{OauthProblem, Refusal};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, basic::BasicClient,
};
use url::Url;

use crate::{
    access::{AccessError, Also, Authorizer, another_account, taking},
    audit::By,
    clock::Timestamp,
    credential::{Access, Credential, Method, Push, Standing, Tokens},
    health::needed,
    id::{CredentialId, OauthAppId, ProviderId, RuntimeId, UserId},
    provider::{Age, Grant, GrantError, Identity, OauthApp, Presented, Provider, ProviderError},
    random::{NoEntropy, new_id, new_secret},
    renew::{Dates, dates},
    scope::ScopeSet,
    seal::{Place, Purpose, SealError, Sealed},
    secret::{Fingerprint, Secret},
    store::StoreError,
    watch::due,
};

/// An authorization must come back within this time.
const ATTEMPT_LIVES: Duration = Duration::from_secs(10 * 60);
/// A grant that changes under our hands is tried again so often.
const TRIES: u32 = 3;

/// An authorization on its way.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// Of the random `state`.
    pub state: Fingerprint,
    /// Who began it.
    pub user: UserId,
    /// In which session.
    pub session: Fingerprint,
    /// At which provider.
    pub provider: ProviderId,
    /// With which app.
    pub oauth_app: OauthAppId,
    /// For which runtime.
    pub runtime: RuntimeId,
    /// Further runtimes to authorize in the same step.
    pub also: Vec<RuntimeId>,
    /// The token in use so far is to be revoked at the provider, should it be another one.
    pub revoke: bool,
    /// The PKCE verifier (RFC 7636), sealed.
    pub verifier: Sealed,
    /// When it began.
    pub begun_at: Timestamp,
}

/// Where the browser goes next.
pub struct Started {
    /// The provider's page.
    pub url: Url,
    /// How people call the provider.
    pub provider: String,
}

/// Why an authorization could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No such runtime of this user.
    #[error("there is no such runtime")]
    NotFound,
    /// OAuth2 is not set up for it.
    #[error("OAuth2 is not set up for this runtime")]
    NotOffered,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing could be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// What the provider's redirect brought, untrusted.
pub struct Callback {
    /// Ours, if it is ours.
    pub state: Option<Secret>,
    /// To exchange.
    pub code: Option<Secret>,
    /// `access_denied` and the like (RFC 6749 §4.1.2.1). Its description is nobody's business here.
    pub error: Option<String>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
}

/// How an authorization ended well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finished {
    /// For which runtime.
    pub runtime: RuntimeId,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an authorization that the provider granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// In use.
    InUse {
        /// So many of the ticked runtimes could not use it.
        left_out: usize,
    },
    /// In use for want of a better one, though it may do too little: the row says what it lacks.
    Lacking,
    /// It is somebody else's account than before: kept aside until the user decides.
    AnotherAccount,
}

/// How an authorization did not end well.
#[derive(Debug)]
pub struct Failed {
    /// For the visitor.
    pub problem: OauthProblem,
    /// For which runtime, as far as that is known and the visitor's own.
    pub runtime: Option<RuntimeId>,
}

/// Leads users through the provider's sign-in.
pub struct Logins {
    /// Keeps what comes of it, and has what is needed on the way.
    pub authorizer: Arc<Authorizer>,
}

impl Logins {
    /// Begins an authorization.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub async fn start(
        &self,
        user: &UserId,
        session: &Fingerprint,
        runtime: &RuntimeId,
        also: Vec<RuntimeId>,
        revoke: bool,
    ) -> Result<Started, StartError> {
        let Authorizer { store, registry, keys, clock, entropy, .. } = self.authorizer.as_ref();
        let now = clock.now();
        let accesses = store.accesses(user, now).await?;
        let access =
            accesses.iter().find(|access| access.runtime.id == *runtime).ok_or(StartError::NotFound)?;
        let app_id = access.runtime.oauth_app.as_ref().ok_or(StartError::NotOffered)?;
        let app = registry.app(app_id).ok_or(StartError::NotOffered)?;
        let provider = registry.provider(&app.provider).ok_or(StartError::NotOffered)?;

        // What was ticked, as far as it is the user's and this app may serve it.
        let same_app = |other: &&Access| {
            other.runtime.provider == access.runtime.provider
                && other.runtime.oauth_app == access.runtime.oauth_app
        };
        let wanted: HashSet<RuntimeId> = also.into_iter().collect();
        let also: Vec<RuntimeId> = accesses
            .iter()
            .filter(same_app)
            .map(|other| other.runtime.id.clone())
            .filter(|id| id != runtime && wanted.contains(id))
            .collect();
        // The answer replaces the grant that other runtimes may use already, so it must be enough for those as well.
        let uses_it = |other: &Access| {
            let credentials = [&other.credential, &other.proposed];
            credentials.into_iter().flatten().any(|credential| credential.oauth_app.as_ref() == Some(app_id))
        };
        let scopes: ScopeSet = accesses
            .iter()
            .filter(same_app)
            .filter(|other| {
                other.runtime.id == *runtime || also.contains(&other.runtime.id) || uses_it(other)
            })
            .flat_map(|other| needed(other, provider.as_ref()).to_vec())
            .collect();
        let state = new_secret(entropy.as_ref())?;
        let verifier = new_secret(entropy.as_ref())?;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose().to_owned(),
        ));
        let mut attempt = LoginAttempt {
            state: state.fingerprint(),
            user: user.clone(),
            session: *session,
            provider: app.provider.clone(),
            oauth_app: app.id.clone(),
            runtime: runtime.clone(),
            also,
            revoke,
            verifier: Sealed(Vec::new()),
            begun_at: now,
        };
        attempt.verifier = in_place(&attempt, &provider.origin(), |place| {
            keys.seal(Purpose::Logins, place, verifier.expose().as_bytes(), entropy.as_ref())
        })?;
        store.begin(&attempt).await?;

        let (url, _) = BasicClient::new(ClientId::new(app.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(provider.oauth_endpoints().authorize))
            .set_redirect_uri(RedirectUrl::from_url(provider.place().redirect_uri.clone()))
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .add_scopes(provider.oauth_scopes(&scopes).iter().map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        Ok(Started { url, provider: provider.name().to_owned() })
    }

    /// Finishes an authorization: for the user and session that are here now. `by`: whose request that is.
    ///
    /// # Errors
    /// As [`Failed`] says; the token in use, if any, is untouched.
    pub async fn finish(
        &self,
        user: &UserId,
        session: &Fingerprint,
        provider: &ProviderId,
        callback: Callback,
        by: &By,
    ) -> Result<Finished, Failed> {
        let nobodys = |problem| Failed { problem, runtime: None };
        let state = callback.state.as_ref().ok_or_else(|| nobodys(OauthProblem::NotYours))?;
        let taken = self.authorizer.store.take(&state.fingerprint()).await;
        let attempt = taken
            .map_err(|error| nobodys(internal("use up a login attempt", &error)))?
            .ok_or_else(|| nobodys(OauthProblem::NotYours))?;
        let is_theirs = attempt.user == *user && attempt.session == *session && attempt.provider == *provider;
        let finished = if is_theirs { Some(self.finish_attempt(&attempt, callback, by).await) } else { None };
        // What it brought is kept by now, so nothing has to be spared for it any more.
        if let Err(error) = self.authorizer.store.finished(&attempt.state).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "That an authorization is over could not be noted; it ends by itself");
        }
        let Some(finished) = finished else { return Err(nobodys(OauthProblem::NotYours)) };
        if let Err(problem) = finished
            && problem == OauthProblem::Denied
            && let Err(error) =
                self.authorizer.store.denied(user, &attempt.runtime, self.authorizer.clock.now()).await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "A denial could not be noted");
        }
        finished
            .map(|outcome| Finished { runtime: attempt.runtime.clone(), outcome })
            .map_err(|problem| Failed { problem, runtime: Some(attempt.runtime) })
    }

    async fn finish_attempt(
        &self,
        attempt: &LoginAttempt,
        callback: Callback,
        by: &By,
    ) -> Result<Outcome, OauthProblem> {
        let Authorizer { registry, keys, clock, .. } = self.authorizer.as_ref();
        if clock.now().since(attempt.begun_at) >= ATTEMPT_LIVES {
            return Err(OauthProblem::TooLate);
        }
        let provider = registry.provider(&attempt.provider).ok_or(OauthProblem::AppRefused)?;
        let app = registry.app(&attempt.oauth_app).ok_or(OauthProblem::AppRefused)?;
        if callback.iss.is_some_and(|iss| iss != provider.oauth_endpoints().issuer) {
            return Err(OauthProblem::WrongIssuer);
        }
        match callback.error.as_deref() {
            Some("access_denied") => return Err(OauthProblem::Denied),
            Some("temporarily_unavailable" | "server_error") => return Err(OauthProblem::Unreachable),
            Some(_) => return Err(OauthProblem::AppRefused),
            None => {}
        }
        let code = callback.code.ok_or(OauthProblem::CodeRefused)?;
        let verifier = in_place(attempt, &provider.origin(), |place| {
            keys.unseal(Purpose::Logins, place, &attempt.verifier)
        })
        .map_err(|error| internal("open a login attempt", &error))?;
        let verifier =
            std::str::from_utf8(&verifier).map_err(|error| internal("open a login attempt", &error))?;

        let sent_at = clock.now();
        let grant = provider.exchange(app, &code, &Secret::new(verifier)).await.map_err(|error| {
            let problem = match &error {
                GrantError::Refused(_) => OauthProblem::CodeRefused,
                GrantError::AppRefused(_) => OauthProblem::AppRefused,
                GrantError::RateLimited { .. } | GrantError::Unreachable(_) | GrantError::Lost(_) => {
                    OauthProblem::Unreachable
                }
            };
            tracing::warn!(provider = %attempt.provider, ?error, "A code could not be exchanged");
            problem
        })?;
        let identity =
            provider.identify(&presented(&grant.access, None), Age::Fresh).await.map_err(|error| {
                tracing::warn!(provider = %attempt.provider, ?error, "A fresh grant could not be checked");
                match error {
                    ProviderError::Insufficient { .. } => OauthProblem::TooLittle,
                    ProviderError::Blocked { .. } => OauthProblem::Blocked,
                    _ => OauthProblem::Unreachable,
                }
            })?;
        // RFC 6749 §5.1: what the token endpoint says, where the provider shows nothing later.
        let identity = Identity { scopes: identity.scopes.or_else(|| grant.scopes.clone()), ..identity };
        for _ in 0..TRIES {
            match self.keep(attempt, app, provider.as_ref(), &grant, &identity, sent_at, by).await {
                Err(AccessError::Conflict) => {}
                Err(AccessError::NotFound) => return Err(OauthProblem::NotYours),
                Err(AccessError::Refused(_)) => return Err(OauthProblem::TooLittle),
                other => return other.map_err(|error| internal("keep a grant", &error)),
            }
        }
        Err(internal("keep a grant", &AccessError::Conflict))
    }

    /// Keeps a grant: one per user, app and account at the provider, so a grant that is there is replaced in its row.
    ///
    /// A grant that may do too little is kept only where nothing better would be lost: a token that works goes on
    /// working, for this runtime and for those that share the grant.
    #[expect(clippy::too_many_arguments, reason = "called once, with all that came of one authorization")]
    async fn keep(
        &self,
        attempt: &LoginAttempt,
        app: &OauthApp,
        provider: &dyn Provider,
        grant: &Grant,
        identity: &Identity,
        sent_at: Timestamp,
        by: &By,
    ) -> Result<Outcome, AccessError> {
        let Authorizer { store, clock, entropy, .. } = self.authorizer.as_ref();
        let now = clock.now();
        // The runtime may have vanished while the user was away.
        let access =
            store.access(&attempt.user, &attempt.runtime, now).await?.ok_or(AccessError::NotFound)?;
        let before = store.grant(&attempt.user, &app.id, &identity.owner.id).await?;
        let shown = presented(&grant.access, Some(&identity.kind));
        let passes = self.authorizer.passes(&access, provider, identity, &shown).await;
        let works = access.credential.as_ref().is_some_and(|credential| alive(credential, now));
        if let (Err(refusal), true) = (&passes, works) {
            return Err(AccessError::Refused(refusal.clone()));
        }
        if let Some(before) = before.as_ref().filter(|before| alive(before, now))
            && let (Some(had), Some(has)) = (&before.scopes, &identity.scopes)
        {
            let missing = provider.missing(has, had);
            if !missing.is_empty() {
                let login = identity.owner.login.clone();
                let refusal =
                    Refusal::ScopesMissing { login, granted: has.to_vec(), missing: missing.to_vec() };
                return Err(AccessError::Refused(refusal));
            }
        }
        let (id, generation, created_at) = match before {
            Some(before) => (before.id, before.generation + 1, before.created_at),
            None => (CredentialId(new_id(entropy.as_ref())?), 1, now),
        };
        let Dates { renew_at, access_ends_at, user_acts_at } = dates(grant, provider.place().there(sent_at));
        let mut credential = Credential {
            id,
            user: attempt.user.clone(),
            provider: attempt.provider.clone(),
            method: Method::Oauth2,
            kind: identity.kind.clone(),
            oauth_app: Some(app.id.clone()),
            generation,
            owner: identity.owner.clone(),
            user_name: None,
            scopes: identity.scopes.clone(),
            expires_at: user_acts_at,
            expiry_unknown: false,
            noted_end: None,
            renew_at,
            access_ends_at,
            renewal_lost_at: None,
            standing: Standing::good(now, identity.evidence.clone()),
            due_at: None,
            created_at,
        };
        credential.due_at = due::next(&credential, now, entropy.as_ref());
        let tokens = Tokens { access: grant.access.clone(), refresh: grant.refresh.clone() };
        let new = self.authorizer.seal(credential, provider, &tokens)?;
        if another_account(&access, identity).is_some() {
            self.authorizer.propose(&access, &new, by, "oauth2", now).await?;
            return Ok(Outcome::AnotherAccount);
        }
        let (lacking, push) = match passes {
            Ok(push) => (false, push),
            Err(Refusal::CannotPush { .. }) => (true, Some(Push::Denied)),
            Err(Refusal::RepositoryHidden { .. }) => (true, Some(Push::Hidden)),
            Err(_) => (true, None),
        };
        let first = (attempt.runtime.clone(), push);
        let ending = self
            .authorizer
            .before(&access, &new.credential, &tokens.access, Some(attempt.revoke), now)
            .await?;
        let entry = taking(by, &access, &new.credential, "oauth2");
        let kept = store.keep(&new, std::slice::from_ref(&first), ending.as_ref(), now);
        let Some(_) = self.authorizer.audit.before::<_, _, AccessError>(entry, kept).await? else {
            return Err(AccessError::Conflict);
        };
        let also = Also { runtimes: if lacking { &[] } else { &attempt.also }, by, how: "oauth2" };
        let further =
            self.authorizer.further(&access, &new.credential, identity, &tokens, also, ending.as_ref());
        let authorized = further.await?;
        if lacking {
            return Ok(Outcome::Lacking);
        }
        Ok(Outcome::InUse { left_out: authorized.left_out.len() })
    }
}

/// A grant's access token as the provider is to see it.
fn presented<'a>(access: &'a Secret, kind: Option<&'a str>) -> Presented<'a> {
    Presented { token: access, method: Method::Oauth2, kind, user_name: None }
}

/// Whether a credential is good, as far as is known without asking.
fn alive(credential: &Credential, now: Timestamp) -> bool {
    !credential.standing.invalid && credential.expires_at.is_none_or(|at| at > now)
}

/// Where an attempt's verifier is sealed to: everything that the attempt is bound to.
fn in_place<T>(attempt: &LoginAttempt, origin: &str, act: impl FnOnce(&Place<'_>) -> T) -> T {
    let row = URL_SAFE_NO_PAD.encode(attempt.state.0);
    let session = URL_SAFE_NO_PAD.encode(attempt.session.0);
    let bound = format!("{session} {} {}", attempt.oauth_app, attempt.runtime);
    act(&Place {
        table: "login_attempts",
        column: "verifier",
        row: &row,
        owner: attempt.user.as_str(),
        provider: attempt.provider.as_str(),
        origin,
        kind: &bound,
        generation: 0,
    })
}

/// Logs a fault of ours, once, and tells the visitor no more than that.
fn internal(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> OauthProblem {
    tracing::error!(error, doing, "An authorization failed on our side");
    OauthProblem::Internal
}
