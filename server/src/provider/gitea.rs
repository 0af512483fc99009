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
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, Method as Verb, StatusCode, header::CONTENT_TYPE};
use oauth2::AuthType;
use url::{Url, form_urlencoded};

use self::answer::{About, Account, Introspection, Itself};
use super::{
    Age, Auth, Doors, Grant, GrantError, Guide, Identity, OauthApp, OauthEndpoints, Presented, Provider,
    ProviderError, Settings, TokenExpiry,
    address::below,
    git::Advertisement,
    grant::{self, Dialect},
    http::{OriginError, Question, Reply},
    place::Place,
    repository::RepositoryForm,
    revoke::{Revoke, RevokeError, Revoked},
    shape::Family,
};
use crate::{
    credential::{Evidence, Method, ProviderAccount, Push},
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

/// The owner and the name.
pub const REPOSITORY: RepositoryForm = RepositoryForm::OWNER_AND_NAME;

/// Two questions, as evidence names them.
const USER: &str = "GET /api/v1/user";
const TOKEN: &str = "GET /api/v1/token";

/// What the API needs before it tells whose a token is.
const TELLS_WHOSE: &str = "read:user";

/// Where there is no page about tokens in the API, it is looked for again after that long: versions change.
const LOOKED_FOR_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Its token endpoint, for codes. A wrong secret, a redirect URI that is not registered, and a wrong verifier are
/// `unauthorized_client` there (`handleAuthorizationCode` in
/// <https://github.com/go-gitea/gitea/blob/main/routers/web/auth/oauth2_provider.go>): the operator's to mend.
const CODES: Dialect = Dialect {
    label: "POST /login/oauth/access_token",
    path: &["login", "oauth", "access_token"],
    client_auth: AuthType::RequestBody,
    // ACCESS_TOKEN_EXPIRATION_TIME in https://docs.gitea.com/administration/config-cheat-sheet#oauth2-oauth2
    documented_life: Duration::from_secs(60 * 60),
    refused: &[],
    app_refused: &[],
    repeats_redirect: false,
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
    place: Place,
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
        let api = below(&settings.base_url, ["api", "v1"]);
        Ok(Self {
            place: Place::new(settings, brand.name(), api)?,
            tells_nothing_until: AtomicI64::new(0),
            has_told: AtomicBool::new(false),
        })
    }

    async fn ask_api<const N: usize>(
        &self,
        path: [&str; N],
        label: &'static str,
        presented: &Presented<'_>,
    ) -> Result<Reply, ProviderError> {
        let question = self.place.question(path, label);
        self.place.ask(question, &self.doors(presented).api, presented.token).await
    }

    /// Whose the token is. Decides whether it is known at all.
    async fn whose(&self, presented: &Presented<'_>) -> Result<(ProviderAccount, Evidence), ProviderError> {
        let reply = self.ask_api(["user"], USER, presented).await?;
        if reply.status != StatusCode::OK {
            return Err(answer::refusal(USER, &reply, self.place.now()));
        }
        let owner = reply.json::<Account>().and_then(Account::owner);
        Ok((owner.ok_or_else(|| ProviderError::senseless(USER))?, Evidence::new(USER, "200")))
    }

    /// What newer versions tell a token about itself (<https://github.com/go-gitea/gitea/pull/37995>). Where the host says
    /// that it has no such page, what the token may do is not visible. Where it says nothing of the kind, nothing is known:
    /// what is known already must not be forgotten over it, and no token be taken without a look at its scopes.
    async fn about(&self, presented: &Presented<'_>) -> Result<About, ProviderError> {
        let now = self.place.now();
        if now.seconds() < self.tells_nothing_until.load(Ordering::Relaxed) {
            return Ok(About::Nothing);
        }
        let reply = self.ask_api(["token"], TOKEN, presented).await?;
        let evidence = |answer: &str| Evidence::new(TOKEN, answer);
        if let Some(limit) = answer::limit(&reply, now) {
            return Err(limit.error(TOKEN, &reply));
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
        let url = below(&self.place.base, ["login", "oauth", "introspect"]);
        let body =
            form_urlencoded::Serializer::new(String::new()).append_pair("token", access.expose()).finish();
        let question = Question::new(Verb::POST, url, "POST /login/oauth/introspect")
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .body(body.into_bytes());
        let client = Auth::Basic { user_name: app.client_id.clone() };
        let reply = self.place.ask(question, &client, &app.client_secret).await.ok()?;
        (reply.status == StatusCode::OK).then(|| reply.json::<Introspection>()).flatten()?.scopes()
    }
}

#[async_trait]
impl Provider for Gitea {
    fn place(&self) -> &Place {
        &self.place
    }

    fn family(&self) -> &'static Family {
        &FAMILY
    }

    /// For renewals, which ask nothing else: what came back must be kept first, and a grant's scopes do not change by being
    /// renewed. See [`Self::exchange`] for codes.
    fn dialect(&self) -> &'static Dialect {
        &RENEWALS
    }

    fn icon(&self) -> &'static str {
        "gitea"
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
            link: below(&self.place.base, ["user", "settings", "applications"]),
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
        let whose = match self.whose(presented).await {
            whose @ (Ok(_) | Err(ProviderError::Insufficient { .. })) => whose,
            Err(error) => return Err(error),
        };
        let about = match presented.method {
            Method::Token => self.about(presented).await?,
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
                (owner, scopes.or(granted), Evidence::new(TOKEN, "200"))
            }
            (Err(error), _) => return Err(error),
        };
        Ok(Identity { owner, kind: kind.word().to_owned(), scopes, expiry: kind.expiry(), evidence })
    }

    /// Since pushes for review exist (<https://docs.gitea.com/usage/agit>), Git lets everybody begin a push who may
    /// read, and tells only whether the token's scopes allow pushing; the API tells what its owner's role allows. Both
    /// have to say yes.
    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push {
        let Some((owner, name)) = REPOSITORY.pair(repository) else { return Push::Unknown };
        let reply = self.ask_api(["repos", owner, name], "GET /api/v1/repos", presented).await;
        let Ok(reply) = reply else { return Push::Unknown };
        let role = answer::role(&reply, self.place.now());
        if role != Push::Allowed {
            return role;
        }
        let auth = self.doors(presented).git;
        match self.place.ask_git(&[owner, name], &auth, presented.token).await {
            Advertisement::MayPush => Push::Allowed,
            // Scopes, an archive, a mirror: as text. A page for people is somebody else's.
            Advertisement::Other(reply)
                if reply.status == StatusCode::FORBIDDEN
                    && reply.content_type().as_deref() == Some("text/plain")
                    && answer::limit(&reply, self.place.now()).is_none() =>
            {
                Push::Denied
            }
            Advertisement::Other(_) | Advertisement::Nothing(_) => Push::Unknown,
        }
    }

    /// Its own word for itself, as `/.well-known/openid-configuration` has it: without the slash.
    fn oauth_endpoints(&self) -> OauthEndpoints {
        OauthEndpoints {
            authorize: below(&self.place.base, ["login", "oauth", "authorize"]),
            token: self.place.token_url(&CODES),
            issuer: self.place.own_issuer(),
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

    async fn exchange(&self, app: &OauthApp, code: &Secret, verifier: &Secret) -> Result<Grant, GrantError> {
        let grant = grant::exchange(&self.place.token_endpoint(&CODES), app, code, verifier).await?;
        let scopes = match grant.scopes {
            Some(scopes) => Some(scopes),
            None => self.granted(app, &grant.access).await,
        };
        Ok(Grant { scopes, ..grant })
    }

    /// Access tokens, where the version has a page for it; grants in none.
    fn can_revoke(&self, _: Method, kind: &str) -> bool {
        kind == Kind::AccessToken.word()
            && self.place.now().seconds() >= self.tells_nothing_until.load(Ordering::Relaxed)
    }

    /// Tokens and apps are on one page.
    fn revocation_page(&self, _: Method, _: &str) -> Url {
        below(&self.place.base, ["user", "settings", "applications"])
    }

    /// A token may end itself in newer versions (<https://github.com/go-gitea/gitea/pull/37995>).
    async fn revoke(&self, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        const LABEL: &str = "DELETE /api/v1/token";
        if what.presented.method == Method::Oauth2 {
            return Err(RevokeError::no_way());
        }
        let question = self.place.request(Verb::DELETE, ["token"], LABEL);
        let auth = self.doors(&what.presented).api;
        let reply = self.place.ask(question, &auth, what.presented.token).await?;
        answer::ended(LABEL, &reply, self.has_told.load(Ordering::Relaxed), self.place.now())
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
