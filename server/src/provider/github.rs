//! GitHub: github.com, its data residency (`ghe.com`), and Enterprise Server.
//!
//! What it answers, and what that means, is in [`answer`]; scopes in [`scopes`].

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, Method as Verb, StatusCode, header::ACCEPT};
use oauth2::AuthType;
use serde_json::json;
use url::Url;

use self::answer::Sso;
use super::{
    Age, Auth, Doors, Guide, Identity, OauthApp, OauthEndpoints, Presented, Provider, ProviderError,
    Settings,
    address::below,
    git::Advertisement,
    grant::Dialect,
    http::{OriginError, Reply},
    place::Place,
    repository::RepositoryForm,
    revoke::{Revoke, RevokeError, Revoked},
    shape::Family,
};
use crate::{
    credential::{Evidence, Method, Push},
    scope::ScopeSet,
    secret::Secret,
};

mod answer;
mod scopes;
#[cfg(test)]
mod tests;

/// What its tokens begin with
/// (<https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>).
/// The oldest have 40 hexadecimal digits and no prefix.
pub const FAMILY: Family =
    Family { label: "GitHub", user: &["ghp_", "github_pat_", "gho_", "ghu_"], other: &["ghs_", "ghr_"] };

/// The owner and the name (<https://docs.github.com/en/repositories>).
pub const REPOSITORY: RepositoryForm = RepositoryForm::OWNER_AND_NAME;

/// Understood by every supported release of Enterprise Server; the next one changes nothing that is asked here
/// (<https://docs.github.com/en/rest/about-the-rest-api/breaking-changes>).
const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));
const API_MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.github+json");

/// A token that was issued a moment ago may be unknown to some of GitHub's machines for that long:
/// <https://github.com/coder/coder/blob/001fb09/coderd/externalauth/externalauth.go>.
const FRESH_TOKEN_PAUSES: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(150),
    Duration::from_millis(200),
    Duration::from_millis(200),
    Duration::from_millis(200),
];

/// The question whose a token is, as evidence names it.
const USER: &str = "GET /user";

/// The longest name that the page for fine-grained tokens takes.
const FINE_GRAINED_NAME: usize = 40;

/// Its token endpoint
/// (<https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors>).
const DIALECT: Dialect = Dialect {
    label: "POST /login/oauth/access_token",
    path: &["login", "oauth", "access_token"],
    client_auth: AuthType::RequestBody,
    // https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
    documented_life: Duration::from_secs(8 * 60 * 60),
    refused: &["bad_refresh_token", "bad_verification_code", "unverified_user_email"],
    app_refused: &["application_suspended", "incorrect_client_credentials", "redirect_uri_mismatch"],
    repeats_redirect: false,
    limit: answer::limit,
};

/// GitHub at one address.
pub struct GitHub {
    place: Place,
    /// Not Enterprise Server: its page for fine-grained tokens takes what is needed from the address, and it takes
    /// tokens back from whoever has them.
    is_dot_com: bool,
    fresh_token_pauses: &'static [Duration],
}

/// Which one.
enum Edition {
    DotCom,
    /// `SUBDOMAIN.ghe.com`.
    DataResidency,
    EnterpriseServer,
}

impl Edition {
    fn of(base: &Url) -> Self {
        match base.host_str() {
            Some("github.com") => Self::DotCom,
            Some(host) if host.strip_suffix(".ghe.com").is_some_and(|sub| !sub.contains('.')) => {
                Self::DataResidency
            }
            _ => Self::EnterpriseServer,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::DotCom | Self::DataResidency => "GitHub",
            Self::EnterpriseServer => "GitHub Enterprise",
        }
    }

    /// Where the API is: <https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency> and
    /// <https://docs.github.com/en/enterprise-server@latest/rest/quickstart>.
    fn api(&self, base: &Url) -> Url {
        match self {
            Self::DotCom | Self::DataResidency => {
                let mut api = base.clone();
                if let Some(host) = base.host_str() {
                    // Cannot fail: a domain with one more label.
                    let _ = api.set_host(Some(&format!("api.{host}")));
                }
                api.set_path("");
                api
            }
            Self::EnterpriseServer => below(base, ["api", "v3"]),
        }
    }
}

impl GitHub {
    /// Prepares for the addresses; asks nothing.
    ///
    /// # Errors
    /// If credentials must not go to one of the addresses.
    pub fn new(settings: Settings) -> Result<Self, OriginError> {
        let edition = Edition::of(&settings.base_url);
        let api = edition.api(&settings.base_url);
        let place = Place::new(settings, edition.name(), api)?;
        Ok(Self {
            // A host that has its API somewhere else than Enterprise Server is like github.com.
            is_dot_com: !place.api.path().trim_end_matches('/').ends_with("/api/v3"),
            place,
            fresh_token_pauses: &FRESH_TOKEN_PAUSES,
        })
    }

    async fn ask_api<const N: usize>(
        &self,
        path: [&str; N],
        label: &'static str,
        presented: &Presented<'_>,
    ) -> Result<Reply, ProviderError> {
        let headers = HeaderMap::from_iter([(ACCEPT, API_MEDIA_TYPE), API_VERSION]);
        let question = self.place.question(path, label).headers(headers);
        self.place.ask(question, &self.doors(presented).api, presented.token).await
    }

    async fn identify_once(&self, presented: &Presented<'_>) -> Result<Identity, ProviderError> {
        let reply = self.ask_api(["user"], USER, presented).await?;
        if reply.status != StatusCode::OK {
            return Err(answer::refusal(USER, &reply, self.place.now()));
        }
        let owner = answer::owner(&reply).ok_or_else(|| ProviderError::senseless(USER))?;
        let shown = answer::scopes(&reply.headers);
        let kind = Kind::of(presented.token, presented.method, shown.as_ref());
        Ok(Identity {
            owner,
            kind: kind.word().to_owned(),
            scopes: shown.filter(|scopes| !scopes.is_empty() || kind.has_scopes()),
            expiry: answer::expiry(&reply.headers),
            evidence: Evidence::new(USER, "200"),
        })
    }

    /// What the API tells about a repository that Git does not let the token push to.
    async fn why_not(&self, presented: &Presented<'_>, owner: &str, name: &str, git: StatusCode) -> Push {
        let reply = self.ask_api(["repos", owner, name], "GET /repos", presented).await;
        let Ok(reply) = reply else { return Push::Unknown };
        if let Some(push) = self.sso(&reply) {
            return push;
        }
        if answer::limit(&reply, self.place.now()).is_some() {
            return Push::Unknown;
        }
        match (git, reply.status) {
            (StatusCode::FORBIDDEN, StatusCode::OK | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                Push::Denied
            }
            (StatusCode::NOT_FOUND, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => Push::Hidden,
            _ => Push::Unknown,
        }
    }

    /// Whether the organisation wants single sign-on. The link lives for an hour.
    fn sso(&self, reply: &Reply) -> Option<Push> {
        if !matches!(reply.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            return None;
        }
        let Sso { link } = answer::sso(&reply.headers, &self.place.base)?;
        Some(Push::NeedsSso { link: link.map(Into::into) })
    }
}

#[async_trait]
impl Provider for GitHub {
    fn place(&self) -> &Place {
        &self.place
    }

    fn family(&self) -> &'static Family {
        &FAMILY
    }

    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn icon(&self) -> &'static str {
        "github"
    }

    fn kind_label(&self, kind: &str) -> &'static str {
        Kind::ALL.into_iter().find(|known| known.word() == kind).map_or("Token", Kind::label)
    }

    /// `repo`: reading and pushing commits, and webhooks. Not `workflow`, which only pushes to `.github/workflows`
    /// need: a runtime that does so declares it.
    fn default_scopes(&self) -> ScopeSet {
        ScopeSet::from_iter(["repo"])
    }

    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
        needed.without(&granted.closure(scopes::implied))
    }

    /// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens>
    fn guide(&self, needed: &ScopeSet, repository: Option<&str>, note: &str) -> Guide {
        let mut link = below(&self.place.base, ["settings", "tokens", "new"]);
        link.query_pairs_mut().append_pair("description", note).append_pair("scopes", &needed.join(","));
        Guide {
            token_word: "personal access token",
            link,
            prefilled: true,
            limited_link: self.fine_grained_link(repository, note),
            steps: vec![
                "The page has name and scopes filled in. Choose under “Expiration” how long the token may live."
                    .to_owned(),
                "“Generate token” at the end of the page shows it. Copy it and paste it here.".to_owned(),
                "If your organization uses single sign-on, choose “Configure SSO” beside the new token, \
                 and authorize it."
                    .to_owned(),
            ],
            user_name: None,
            asks_end: false,
        }
    }

    /// Any user name does for Git, as long as there is one.
    fn doors(&self, _: &Presented<'_>) -> Doors {
        Doors { api: Auth::Bearer, git: Auth::Basic { user_name: "x-access-token".to_owned() } }
    }

    async fn identify(&self, presented: &Presented<'_>, age: Age) -> Result<Identity, ProviderError> {
        let mut pauses = match age {
            Age::Fresh => self.fresh_token_pauses.iter(),
            Age::Settled => [].iter(),
        };
        loop {
            let answer = self.identify_once(presented).await;
            match (&answer, pauses.next()) {
                (Err(ProviderError::Rejected(_)), Some(pause)) => tokio::time::sleep(*pause).await,
                _ => return answer,
            }
        }
    }

    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push {
        let Some((owner, name)) = REPOSITORY.pair(repository) else { return Push::Unknown };
        let auth = self.doors(presented).git;
        let reply = match self.place.ask_git(&[owner, name], &auth, presented.token).await {
            Advertisement::MayPush => return Push::Allowed,
            Advertisement::Nothing(_) => return Push::Unknown,
            Advertisement::Other(reply) => reply,
        };
        if !matches!(reply.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            return Push::Unknown;
        }
        if let Some(push) = self.sso(&reply) {
            return push;
        }
        // A page for people is somebody else's: a gateway's, for instance.
        if reply.content_type().as_deref() == Some("text/html")
            || answer::limit(&reply, self.place.now()).is_some()
        {
            return Push::Unknown;
        }
        self.why_not(presented, owner, name, reply.status).await
    }

    /// The issuer is GitHub's own word for itself since 2026:
    /// <https://docs.github.com/en/apps/github-authentication-discovery-endpoints>.
    fn oauth_endpoints(&self) -> OauthEndpoints {
        OauthEndpoints {
            authorize: below(&self.place.base, ["login", "oauth", "authorize"]),
            token: self.place.token_url(&DIALECT),
            issuer: below(&self.place.base, ["login", "oauth"]).into(),
        }
    }

    fn can_revoke(&self, method: Method, kind: &str) -> bool {
        let leaked = Kind::ALL.into_iter().any(|known| known.word() == kind && known.is_taken_back());
        method == Method::Oauth2 || (self.is_dot_com && leaked)
    }

    fn revocation_page(&self, method: Method, kind: &str) -> Url {
        let path: &[&str] = match method {
            Method::Oauth2 if kind == Kind::GithubApp.word() => &["settings", "apps", "authorizations"],
            Method::Oauth2 => &["settings", "applications"],
            Method::Token if kind == Kind::FineGrained.word() => &["settings", "personal-access-tokens"],
            Method::Token => &["settings", "tokens"],
        };
        below(&self.place.base, path.iter().copied())
    }

    /// A grant ends by the app's own word, a pasted token as one that has leaked: whoever has it may give it back, on
    /// github.com, and its owner gets a mail
    /// (<https://docs.github.com/en/rest/apps/oauth-applications>, <https://docs.github.com/en/rest/credentials/revoke>).
    async fn revoke(&self, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        match (what.presented.method, what.app) {
            (Method::Oauth2, Some(app)) => match self.end_grant(app, what).await {
                // That access token is over; what renews it may not be.
                Ok(Revoked::Before) if what.refresh.is_some() => self.give_back(what).await,
                ended => ended,
            },
            (Method::Oauth2, None) if !self.is_dot_com => Err(RevokeError::no_app()),
            _ => self.give_back(what).await,
        }
    }
}

impl GitHub {
    /// `DELETE …/grant` ends all that the account ever granted to the app, `DELETE …/token` one token.
    async fn end_grant(&self, app: &OauthApp, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        let (door, label) = if what.whole_grant {
            ("grant", "DELETE /applications/{client_id}/grant")
        } else {
            ("token", "DELETE /applications/{client_id}/token")
        };
        let question = self
            .place
            .request(Verb::DELETE, ["applications", &app.client_id, door], label)
            .headers(HeaderMap::from_iter([(ACCEPT, API_MEDIA_TYPE), API_VERSION]))
            .json(&json!({ "access_token": what.presented.token.expose() }));
        let auth = Auth::Basic { user_name: app.client_id.clone() };
        let reply = self.place.ask(question, &auth, &app.client_secret).await?;
        answer::ended(label, &reply, self.place.now())
    }

    /// Sent without credentials: with them it is refused.
    async fn give_back(&self, what: &Revoke<'_>) -> Result<Revoked, RevokeError> {
        const LABEL: &str = "POST /credentials/revoke";
        if !self.is_dot_com {
            return Err(RevokeError::no_way());
        }
        let secrets: Vec<&str> =
            [Some(what.presented.token), what.refresh].into_iter().flatten().map(Secret::expose).collect();
        let question = self
            .place
            .request(Verb::POST, ["credentials", "revoke"], LABEL)
            .headers(HeaderMap::from_iter([(ACCEPT, API_MEDIA_TYPE), API_VERSION]))
            .json(&json!({ "credentials": secrets }));
        let reply = self.place.ask_openly(question).await?;
        answer::given_back(LABEL, &reply, self.place.now())
    }
}

impl GitHub {
    /// Contents: read and write. The repositories cannot be filled in, only their owner.
    fn fine_grained_link(&self, repository: Option<&str>, note: &str) -> Option<Url> {
        if !self.is_dot_com {
            return None;
        }
        let name: String = note.chars().take(FINE_GRAINED_NAME).collect();
        let mut page = below(&self.place.base, ["settings", "personal-access-tokens", "new"]);
        page.query_pairs_mut().append_pair("name", name.trim_end());
        if let Some((owner, _)) = repository.and_then(|repository| REPOSITORY.pair(repository)) {
            page.query_pairs_mut().append_pair("target_name", owner);
        }
        page.query_pairs_mut().append_pair("contents", "write").append_pair("metadata", "read");
        Some(page)
    }
}

/// Kinds of tokens that stand for a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Classic,
    FineGrained,
    OauthApp,
    GithubApp,
    /// From before April 2021.
    Legacy,
    /// None of the known prefixes.
    Other,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Classic, Self::FineGrained, Self::OauthApp, Self::GithubApp, Self::Legacy, Self::Other];

    /// By prefix; where that says nothing, by the scopes that only some kinds have.
    fn of(token: &Secret, method: Method, scopes: Option<&ScopeSet>) -> Self {
        let text = token.expose();
        let prefixes = [
            ("ghp_", Self::Classic),
            ("github_pat_", Self::FineGrained),
            ("gho_", Self::OauthApp),
            ("ghu_", Self::GithubApp),
        ];
        if let Some((_, kind)) = prefixes.into_iter().find(|(prefix, _)| text.starts_with(prefix)) {
            return kind;
        }
        match method {
            Method::Token if text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Self::Legacy
            }
            _ if scopes.is_none_or(ScopeSet::is_empty) => Self::Other,
            Method::Token => Self::Classic,
            Method::Oauth2 => Self::OauthApp,
        }
    }

    /// Whether an empty list of scopes means that it has none. Of other kinds it means that they are not shown.
    fn has_scopes(self) -> bool {
        matches!(self, Self::Classic | Self::OauthApp | Self::Legacy)
    }

    /// Whether GitHub takes such tokens back from whoever has them. It tells them by their prefix.
    fn is_taken_back(self) -> bool {
        !matches!(self, Self::Legacy | Self::Other)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::FineGrained => "fine-grained",
            Self::OauthApp => "oauth-app",
            Self::GithubApp => "github-app",
            Self::Legacy => "legacy",
            Self::Other => "other",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Classic => "Personal access token (classic)",
            Self::FineGrained => "Fine-grained personal access token",
            Self::OauthApp => "OAuth app token",
            Self::GithubApp => "GitHub App user token",
            Self::Legacy => "Personal access token (old format)",
            Self::Other => "Token",
        }
    }
}
