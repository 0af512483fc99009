//! Gitea and Forgejo: one API, two names.
//!
//! What they answer, and what that means, is in [`answer`]; scopes in [`scopes`].
//!
//! What a grant of OAuth2 may do is not in the answer of the token endpoint. By RFC 6749 §5.1 that would mean "as asked",
//! but a grant that exists keeps the scopes of its first time in versions up to 1.25, whatever is asked later. So the
//! provider is asked once, right after the code was exchanged (`/login/oauth/introspect`), and shown is what it says;
//! where it says nothing, nothing is shown. Gitea before 1.22, and Forgejo unless its operator switched
//! `ENABLE_ADDITIONAL_GRANT_SCOPES` on, let a grant do everything: then what is shown is the least that it may do, which
//! never makes a scope missing that is there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, Method as Verb, StatusCode, header::CONTENT_TYPE};
use oauth2::AuthType;
use url::{Url, form_urlencoded};

use self::answer::{About, Account, Introspection, Itself};
use super::{
    Age, Auth, Doors, Grant, GrantError, Guide, Identity, OauthApp, OauthEndpoints, Presented, Provider,
    ProviderError, Settings, Shape, TokenExpiry,
    address::{self, below},
    git::{self, Advertisement},
    grant::{self, Dialect},
    http::{Fault, Gate, OriginError, Question, Reply},
    shape::Family,
};
use crate::{
    clock::Clock,
    credential::{Evidence, Method, ProviderAccount, Push},
    id::ProviderId,
    scope::ScopeSet,
    secret::Secret,
};

mod answer;
mod scopes;
#[cfg(test)]
mod tests;

/// Access tokens are 40 hexadecimal digits, like the oldest tokens of others: nothing to tell them by. Only the secrets
/// of OAuth2 applications and their codes begin with something
/// (<https://github.com/go-gitea/gitea/blob/main/models/auth/oauth2.go>).
pub const FAMILY: Family = Family { label: "Gitea", user: &[], other: &["gta_", "gto_"] };

/// What the API needs before it tells whose a token is.
const TELLS_WHOSE: &str = "read:user";

/// Where there is no page about tokens in the API, it is looked for again after that long: versions change.
const LOOKED_FOR_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Its token endpoint, for codes. A wrong secret, a redirect URI that is not registered, and a wrong verifier are
/// `unauthorized_client` there (`handleAuthorizationCode` in
/// <https://github.com/go-gitea/gitea/blob/main/routers/web/auth/oauth2_provider.go>): the operator's to mend.
const CODES: Dialect = Dialect {
    label: "POST /login/oauth/access_token",
    client_auth: AuthType::RequestBody,
    // ACCESS_TOKEN_EXPIRATION_TIME in https://docs.gitea.com/administration/config-cheat-sheet#oauth2-oauth2
    documented_life: Duration::from_secs(60 * 60),
    refused: &[],
    app_refused: &[],
    limit: answer::limit,
};

/// The same for refresh tokens, where the same word means something else: the refresh token is too old, or was already
/// used (`handleRefreshToken` there). A wrong secret is `invalid_client`. So the user has to authorize again.
const RENEWALS: Dialect = Dialect { refused: &["unauthorized_client"], ..CODES };

/// Which of the two it is: they differ in what people call them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Brand {
    /// <https://about.gitea.com>
    Gitea,
    /// <https://forgejo.org>
    Forgejo,
}

impl Brand {
    const fn name(self) -> &'static str {
        match self {
            Self::Gitea => "Gitea",
            Self::Forgejo => "Forgejo",
        }
    }
}

/// Gitea or Forgejo at one address.
pub struct Gitea {
    id: ProviderId,
    name: String,
    base: Url,
    api: Url,
    web_gate: Gate,
    api_gate: Gate,
    clock: Arc<dyn Clock>,
    /// Until that second the API is taken to have no page about tokens.
    tells_nothing_until: AtomicI64,
    /// It has told a token about itself before, so there is such a page.
    has_told: AtomicBool,
}

impl Gitea {
    /// Prepares for the addresses; asks nothing.
    ///
    /// # Errors
    /// If credentials must not go to one of the addresses.
    pub fn new(settings: Settings, brand: Brand) -> Result<Self, OriginError> {
        let base = settings.base_url;
        let api = settings.api_url.unwrap_or_else(|| below(&base, ["api", "v1"]));
        Ok(Self {
            id: settings.id,
            name: settings.name.unwrap_or_else(|| brand.name().to_owned()),
            web_gate: settings.http.gate(&base)?,
            api_gate: settings.http.gate(&api)?,
            base,
            api,
            clock: settings.clock,
            tells_nothing_until: AtomicI64::new(0),
            has_told: AtomicBool::new(false),
        })
    }

    async fn ask_api<const N: usize>(
        &self,
        path: [&str; N],
        token: &Secret,
    ) -> (String, Result<Reply, Fault>) {
        let label = format!("GET /api/v1/{}", path.join("/"));
        let question = Question::new(Verb::GET, below(&self.api, path), &label).bearer(token);
        (label, self.api_gate.send(question).await)
    }

    /// Whose the token is. Decides whether it is known at all.
    async fn whose(&self, token: &Secret) -> Result<(ProviderAccount, Evidence), ProviderError> {
        let (label, reply) = self.ask_api(["user"], token).await;
        let reply = reply.map_err(|fault| ProviderError::Unreachable(fault.evidence(&label)))?;
        if reply.status != StatusCode::OK {
            return Err(answer::refusal(&label, &reply, self.clock.now()));
        }
        let evidence = |answer: &str| Evidence { request: label.clone(), answer: answer.to_owned() };
        match reply.json::<Account>().and_then(Account::owner) {
            Some(owner) => Ok((owner, evidence("200"))),
            None => Err(ProviderError::Unreachable(evidence("a page that is no JSON, or tells no user"))),
        }
    }

    /// What newer versions tell a token about itself (<https://github.com/go-gitea/gitea/pull/37995>). Where the host says
    /// that it has no such page, what the token may do is not visible. Where it says nothing of the kind, nothing is known:
    /// what is known already must not be forgotten over it, and no token be taken without a look at its scopes.
    async fn about(&self, token: &Secret) -> Result<About, ProviderError> {
        let now = self.clock.now();
        if now.seconds() < self.tells_nothing_until.load(Ordering::Relaxed) {
            return Ok(About::Nothing);
        }
        let (label, reply) = self.ask_api(["token"], token).await;
        let reply = reply.map_err(|fault| ProviderError::Unreachable(fault.evidence(&label)))?;
        let evidence = |answer: &str| Evidence { request: label.clone(), answer: answer.to_owned() };
        if let Some(until) = answer::limit(&reply, now) {
            return Err(ProviderError::RateLimited { until, evidence: evidence(reply.status.as_str()) });
        }
        match answer::about(&reply) {
            Some(Itself::Told(about)) => {
                self.has_told.store(true, Ordering::Relaxed);
                Ok(about)
            }
            Some(Itself::NoPage) => {
                self.tells_nothing_until.store(now.plus(LOOKED_FOR_AGAIN).seconds(), Ordering::Relaxed);
                Ok(About::Nothing)
            }
            Some(Itself::MayNotAsk) => Ok(About::Nothing),
            // Others on the way use these words as well, so they are believed for this once, and not of a host whose
            // page was seen: versions only ever go up.
            Some(Itself::NoRoute) if !self.has_told.load(Ordering::Relaxed) => Ok(About::Nothing),
            Some(Itself::NoRoute) => {
                Err(ProviderError::Unreachable(evidence("404, where a page was before")))
            }
            None if reply.status == StatusCode::OK => {
                Err(ProviderError::Unreachable(evidence("a page that is no JSON, or tells of no token")))
            }
            None => Err(ProviderError::Unreachable(evidence(reply.status.as_str()))),
        }
    }

    /// What a grant may do, by the provider's word (RFC 7662): `None` where it has none.
    async fn granted(&self, app: &OauthApp, access: &Secret) -> Option<ScopeSet> {
        let url = below(&self.base, ["login", "oauth", "introspect"]);
        let body =
            form_urlencoded::Serializer::new(String::new()).append_pair("token", access.expose()).finish();
        let question = Question::new(Verb::POST, url, "POST /login/oauth/introspect")
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .basic(&app.client_id, &app.client_secret)
            .body(body.into_bytes());
        let reply = self.web_gate.send(question).await.ok()?;
        (reply.status == StatusCode::OK).then(|| reply.json::<Introspection>()).flatten()?.scopes()
    }

    fn token_door(&self, dialect: &'static Dialect) -> grant::TokenDoor<'_> {
        grant::TokenDoor {
            gate: &self.web_gate,
            url: self.oauth_endpoints().token,
            clock: &*self.clock,
            dialect,
        }
    }
}

#[async_trait]
impl Provider for Gitea {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn icon(&self) -> &'static str {
        "gitea"
    }

    fn host(&self) -> String {
        address::host(&self.base)
    }

    fn origin(&self) -> String {
        address::origin([&self.api_gate, &self.web_gate])
    }

    fn shape(&self, token: &Secret) -> Shape {
        FAMILY.shape(token)
    }

    fn foreign_shapes(&self) -> Vec<(&'static str, &'static str)> {
        FAMILY.foreign()
    }

    fn kind_label(&self, kind: &str) -> &'static str {
        Kind::ALL.into_iter().find(|known| known.word() == kind).map_or("Token", Kind::label)
    }

    /// Telling whose it is, and pushing commits.
    fn default_scopes(&self) -> ScopeSet {
        ScopeSet::from_iter([TELLS_WHOSE, "write:repository"])
    }

    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
        scopes::missing(granted, needed)
    }

    /// The page takes nothing from its address (<https://docs.codeberg.org/advanced/access-token/>).
    fn guide(&self, needed: &ScopeSet, _: Option<&str>, note: &str) -> Guide {
        Guide {
            token_word: "access token",
            link: below(&self.base, ["user", "settings", "applications"]),
            prefilled: false,
            limited_link: None,
            steps: vec![
                format!(
                    "Under “Generate New Token”, enter “{note}” as “Token Name”. \
                     Leave the access at “All (public, private, and limited)”."
                ),
                format!("Open “Select permissions” and choose {}.", scopes::choices(&self.oauth_scopes(needed))),
                "“Generate Token” shows the token at the top of the page, this once. Copy it and paste it here."
                    .to_owned(),
            ],
            user_name: None,
            asks_end: false,
        }
    }

    /// Any user name does for Git, as long as there is one
    /// (<https://docs.gitea.com/development/api-usage#authentication>).
    fn doors(&self, _: &Presented<'_>) -> Doors {
        Doors { api: Auth::Bearer, git: Auth::Basic { user_name: "git".to_owned() } }
    }

    async fn identify(&self, presented: &Presented<'_>, _: Age) -> Result<Identity, ProviderError> {
        let whose = match self.whose(presented.token).await {
            whose @ (Ok(_) | Err(ProviderError::Insufficient { .. })) => whose,
            Err(error) => return Err(error),
        };
        let about = match presented.method {
            Method::Token => self.about(presented.token).await?,
            // Told about tokens of people only.
            Method::Oauth2 => About::Nothing,
        };
        let kind = Kind::of(presented, &about);
        let (itself, scopes) = match about {
            About::Token { owner, scopes } => (Some(owner), scopes),
            About::NoAccessToken | About::Nothing => (None, None),
        };
        let (owner, scopes, evidence) = match (whose, itself) {
            (Ok((owner, evidence)), _) => (owner, scopes, evidence),
            // It may not ask about its owner, but about itself it may.
            (Err(ProviderError::Insufficient { granted, .. }), Some(owner)) => {
                let evidence = Evidence { request: "GET /api/v1/token".to_owned(), answer: "200".to_owned() };
                (owner, scopes.or(granted), evidence)
            }
            (Err(error), _) => return Err(error),
        };
        Ok(Identity { owner, kind: kind.word().to_owned(), scopes, expiry: kind.expiry(), evidence })
    }

    /// Since pushes for review exist (<https://docs.gitea.com/usage/agit>), Git lets everybody begin a push who may
    /// read, and tells only whether the token's scopes allow pushing; the API tells what its owner's role allows. Both
    /// have to say yes.
    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push {
        let Some((owner, name)) = split_repository(repository) else { return Push::Unknown };
        let (_, reply) = self.ask_api(["repos", owner, name], presented.token).await;
        let Ok(reply) = reply else { return Push::Unknown };
        let role = answer::role(&reply, self.clock.now());
        if role != Push::Allowed {
            return role;
        }
        let clone_url = below(&self.base, [owner, &format!("{name}.git")]);
        let auth = self.doors(presented).git;
        match git::ask(&self.web_gate, &clone_url, &auth, presented.token).await {
            Advertisement::MayPush => Push::Allowed,
            // Scopes, an archive, a mirror: as text. A page for people is somebody else's.
            Advertisement::Other(reply)
                if reply.status == StatusCode::FORBIDDEN
                    && reply.content_type().as_deref() == Some("text/plain")
                    && answer::limit(&reply, self.clock.now()).is_none() =>
            {
                Push::Denied
            }
            Advertisement::Other(_) | Advertisement::Nothing(_) => Push::Unknown,
        }
    }

    /// Its own word for itself, as `/.well-known/openid-configuration` has it: without the slash.
    fn oauth_endpoints(&self) -> OauthEndpoints {
        OauthEndpoints {
            authorize: below(&self.base, ["login", "oauth", "authorize"]),
            token: below(&self.base, ["login", "oauth", "access_token"]),
            issuer: self.base.as_str().trim_end_matches('/').to_owned(),
        }
    }

    /// Never none: a grant that was asked for without scopes may do everything
    /// (<https://docs.gitea.com/development/oauth2-provider#scopes>).
    fn oauth_scopes(&self, needed: &ScopeSet) -> ScopeSet {
        let mut scopes = needed.clone();
        if !scopes::missing(needed, &ScopeSet::from_iter([TELLS_WHOSE])).is_empty() {
            scopes.insert(TELLS_WHOSE);
        }
        scopes
    }

    async fn exchange(
        &self,
        app: &OauthApp,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &Url,
    ) -> Result<Grant, GrantError> {
        let grant = grant::exchange(&self.token_door(&CODES), app, code, verifier, redirect_uri).await?;
        let scopes = match grant.scopes {
            Some(scopes) => Some(scopes),
            None => self.granted(app, &grant.access).await,
        };
        Ok(Grant { scopes, ..grant })
    }

    /// Asks nothing else: what came back must be kept first. A grant's scopes do not change by being renewed.
    async fn refresh(&self, app: &OauthApp, refresh: &Secret, _: &Url) -> Result<Grant, GrantError> {
        grant::refresh(&self.token_door(&RENEWALS), app, refresh, None).await
    }
}

/// Kinds of tokens that stand for a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    AccessToken,
    Oauth2,
}

impl Kind {
    const ALL: [Self; 2] = [Self::AccessToken, Self::Oauth2];

    /// By how it was given and what the provider says of it; where it says nothing, by the dots of a JSON web token.
    fn of(presented: &Presented<'_>, about: &About) -> Self {
        match (presented.method, about) {
            (Method::Oauth2, _) | (Method::Token, About::NoAccessToken) => Self::Oauth2,
            (Method::Token, About::Token { .. }) => Self::AccessToken,
            (Method::Token, About::Nothing) if presented.token.expose().matches('.').count() == 2 => {
                Self::Oauth2
            }
            (Method::Token, About::Nothing) => Self::AccessToken,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::Oauth2 => "oauth2",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::AccessToken => "Access token",
            Self::Oauth2 => "OAuth2 token",
        }
    }

    /// Access tokens have no end (<https://github.com/go-gitea/gitea/blob/main/models/auth/access_token.go>).
    fn expiry(self) -> TokenExpiry {
        match self {
            Self::AccessToken => TokenExpiry::Never,
            Self::Oauth2 => TokenExpiry::Unknown,
        }
    }
}

/// The owner and the name.
fn split_repository(repository: &str) -> Option<(&str, &str)> {
    match address::repository_parts(repository)?.as_slice() {
        [owner, name] => Some((owner, name)),
        _ => None,
    }
}
