//! Bitbucket Cloud.
//!
//! What it answers, and what that means, is in [`answer`]; its two vocabularies of scopes in [`scopes`].

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use oauth2::AuthType;
use url::Url;

use self::answer::{Account, No, Repository};
use super::{
    Age, Auth, Doors, Guide, Identity, OauthEndpoints, Presented, Provider, ProviderError, Settings, Shape,
    TokenExpiry, UserNameField,
    address::below,
    git::Advertisement,
    grant::Dialect,
    http::{OriginError, Reply},
    place::Place,
    repository::RepositoryForm,
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

/// What its tokens begin with, if they do: nothing about it is documented. OAuth2's are opaque.
pub const FAMILY: Family =
    Family { label: "Bitbucket", user: &[API_TOKEN, ACCESS_TOKEN], other: &[APP_PASSWORD] };
const API_TOKEN: &str = "ATATT3";
const ACCESS_TOKEN: &str = "ATCTT3";
const APP_PASSWORD: &str = "ATBB";

/// The workspace and the slug.
pub const REPOSITORY: RepositoryForm = RepositoryForm::OWNER_AND_NAME;

/// <https://www.atlassian.com/blog/bitbucket/bitbucket-cloud-transitions-to-api-tokens-enhancing-security-with-app-password-deprecation>
const ENDED: &str = "This is an app password, and Bitbucket ended app passwords on 28 July 2026.";

/// The question whose a token is, as evidence names it.
const USER: &str = "GET /user";

/// The page that makes API tokens is part of Atlassian's, not of Bitbucket.
const PUBLIC_HOST: &str = "bitbucket.org";
const PUBLIC_API_HOST: &str = "api.bitbucket.org";
const PUBLIC_ACCOUNT_HOST: &str = "id.atlassian.com";

/// The user names of Git that stand for a kind of token. The e-mail address that the API wants never works for Git
/// (<https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/>,
/// <https://support.atlassian.com/bitbucket-cloud/docs/using-access-tokens/>).
const GIT_NAME_OF_API_TOKENS: &str = "x-bitbucket-api-token-auth";
const GIT_NAME_OF_OTHERS: &str = "x-token-auth";

/// Its token endpoint (<https://developer.atlassian.com/cloud/bitbucket/oauth-2>). A refresh token works once.
const DIALECT: Dialect = Dialect {
    label: "POST /site/oauth2/access_token",
    path: &["site", "oauth2", "access_token"],
    client_auth: AuthType::BasicAuth,
    documented_life: Duration::from_secs(2 * 60 * 60),
    refused: &[],
    app_refused: &["redirect_uri_mismatch"],
    repeats_redirect: false,
    limit: answer::limit,
};

/// Bitbucket Cloud at one address.
pub struct Bitbucket {
    place: Place,
    /// Where people look after their Atlassian account.
    account: Url,
}

impl Bitbucket {
    /// Prepares for the addresses; asks nothing.
    ///
    /// # Errors
    /// If credentials must not go to one of the addresses.
    pub fn new(settings: Settings) -> Result<Self, OriginError> {
        let base = &settings.base_url;
        let is_public = base.host_str() == Some(PUBLIC_HOST) && base.port().is_none();
        let (api, account) = if is_public {
            (at_host(base, PUBLIC_API_HOST), at_host(base, PUBLIC_ACCOUNT_HOST))
        } else {
            (base.clone(), base.clone())
        };
        Ok(Self { place: Place::new(settings, FAMILY.label, below(&api, ["2.0"]))?, account })
    }

    async fn identify_by(&self, auth: &Auth, presented: &Presented<'_>) -> Result<Identity, ProviderError> {
        let question = self.place.question(["user"], USER);
        let reply = self.place.ask(question, auth, presented.token).await?;
        let scopes = answer::scopes(&reply.headers);
        let kind = Kind::of(&reply.headers, auth, presented, scopes.as_ref());
        let status = reply.status;
        let owner = if status == StatusCode::OK {
            let account = reply.json::<Account>();
            account.and_then(Account::owner).ok_or_else(|| ProviderError::senseless(USER))?
        } else {
            match answer::refusal(USER, &reply, kind.is_access_token(), self.place.now()) {
                No::NotAUser if kind.is_access_token() => bot(kind, presented.token),
                No::NotAUser => {
                    let answer = "the API is not open to such tokens, shown like this";
                    return Err(ProviderError::Unreachable(Evidence::new(USER, answer)));
                }
                No::Error(error) => return Err(error),
            }
        };
        Ok(Identity {
            owner,
            kind: kind.word().to_owned(),
            scopes,
            // No answer tells it; the user may.
            expiry: TokenExpiry::Unknown,
            evidence: Evidence::new(USER, status.as_str()),
        })
    }

    /// What the API tells about a repository that Git does not let the token push to.
    async fn why_not(&self, auth: &Auth, token: &Secret, path: (&str, &str), git: &Reply) -> Push {
        let question = self.place.question(["repositories", path.0, path.1], "GET /repositories");
        let Ok(reply) = self.place.ask(question, auth, token).await else { return Push::Unknown };
        if answer::limit(&reply, self.place.now()).is_some() {
            return Push::Unknown;
        }
        let git_forbids = git.status == StatusCode::FORBIDDEN;
        let by_a_page = git.content_type().as_deref() == Some("text/html");
        match reply.status {
            // It sees the repository. A page for people is somebody else's refusal: a gateway's, for instance.
            StatusCode::OK if git_forbids && !by_a_page && reply.json::<Repository>().is_some() => {
                Push::Denied
            }
            StatusCode::FORBIDDEN if answer::is_problem(&reply) => {
                if git_forbids {
                    Push::Denied
                } else {
                    Push::Hidden
                }
            }
            StatusCode::NOT_FOUND if answer::is_problem(&reply) => Push::Hidden,
            _ => Push::Unknown,
        }
    }

    /// The page that makes access tokens of one repository.
    fn repository_tokens(&self, repository: Option<&str>) -> Option<Url> {
        let (workspace, slug) = REPOSITORY.pair(repository?)?;
        Some(below(&self.place.base, [workspace, slug, "admin", "access-tokens"]))
    }
}

#[async_trait]
impl Provider for Bitbucket {
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
        "bitbucket"
    }

    fn shape(&self, token: &Secret) -> Shape {
        if token.expose().trim().starts_with(APP_PASSWORD) {
            return Shape::Refused(ENDED);
        }
        FAMILY.shape(token)
    }

    fn kind_label(&self, kind: &str) -> &'static str {
        Kind::parse(kind).map_or("Token", Kind::label)
    }

    /// In the words of API tokens: whose it is, and reading and pushing commits. Writing does not include reading
    /// (<https://support.atlassian.com/bitbucket-cloud/docs/api-token-permissions>).
    fn default_scopes(&self) -> ScopeSet {
        ScopeSet::from_iter([
            "read:user:bitbucket",
            "read:repository:bitbucket",
            "write:repository:bitbucket",
        ])
    }

    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
        scopes::missing(granted, needed)
    }

    /// <https://support.atlassian.com/bitbucket-cloud/docs/create-an-api-token/>. That the page takes scopes from its
    /// address is known of `all` alone, so the steps do not rely on it.
    fn guide(&self, needed: &ScopeSet, repository: Option<&str>, _note: &str) -> Guide {
        let needed = scopes::of_api_tokens(needed);
        let mut link = below(&self.account, ["manage-profile", "security", "api-tokens"]);
        link.query_pairs_mut()
            .append_pair("autofillToken", "")
            .append_pair("appId", "bitbucket")
            .append_pair("selectedScopes", &needed.join(","));
        Guide {
            token_word: "API token",
            link,
            prefilled: true,
            limited_link: self.repository_tokens(repository),
            steps: vec![
                "Choose “Create API token with scopes”. Bitbucket refuses tokens without scopes, which the other \
                 button makes."
                    .to_owned(),
                "Give it a name, choose when it shall end, then “Next”. Choose “Bitbucket”, then “Next”.".to_owned(),
                format!(
                    "See that each of these is ticked: {}. Writing does not include reading. Choose “Next”, then \
                     “Create token”.",
                    needed.join(", ")
                ),
                "Copy the token, which is shown only once, and paste it here with the e-mail address of your \
                 Atlassian account."
                    .to_owned(),
                format!(
                    "Who administers a repository can make an access token for it instead: “Repository settings”, \
                     “Access tokens”, with {}. It needs no e-mail address.",
                    scopes::of_access_tokens(&needed).join(", ")
                ),
            ],
            user_name: Some(UserNameField {
                label: "E-mail address of your Atlassian account",
                hint: "The one you sign in to Bitbucket with, not your Bitbucket user name. Access tokens of a \
                       repository, project or workspace need none.",
                email: true,
                optional: true,
            }),
            asks_end: true,
        }
    }

    fn doors(&self, presented: &Presented<'_>) -> Doors {
        let kind = presented.kind.and_then(Kind::parse).unwrap_or_else(|| Kind::guess(presented));
        let api = match (kind, presented.user_name) {
            (Kind::ApiToken, Some(email)) => Auth::Basic { user_name: email.to_owned() },
            _ => Auth::Bearer,
        };
        let git_name = if kind.is_api_token() { GIT_NAME_OF_API_TOKENS } else { GIT_NAME_OF_OTHERS };
        Doors { api, git: Auth::Basic { user_name: git_name.to_owned() } }
    }

    /// API tokens have always been taken with the e-mail address; whether without it as well is told differently at
    /// different times (<https://github.com/backstage/backstage/issues/35566>). So one that is refused while it is being
    /// added is shown once more without: the address may be wrong, or an access token's user may have left one there.
    /// Never later: what works then is known, and who keeps coming with what is refused may be shut out.
    async fn identify(&self, presented: &Presented<'_>, _age: Age) -> Result<Identity, ProviderError> {
        let auth = self.doors(presented).api;
        let refused = match self.identify_by(&auth, presented).await {
            Err(refused @ ProviderError::Rejected(_)) => refused,
            answer => return answer,
        };
        if presented.kind.is_some() || auth == Auth::Bearer {
            return Err(refused);
        }
        match self.identify_by(&Auth::Bearer, presented).await {
            known @ (Ok(_) | Err(ProviderError::Insufficient { .. })) => known,
            // The first answer was plain enough.
            Err(_) => Err(refused),
        }
    }

    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push {
        let Some(path) = REPOSITORY.pair(repository) else { return Push::Unknown };
        let doors = self.doors(presented);
        let reply = match self.place.ask_git(&[path.0, path.1], &doors.git, presented.token).await {
            Advertisement::MayPush => return Push::Allowed,
            Advertisement::Nothing(_) => return Push::Unknown,
            Advertisement::Other(reply) => reply,
        };
        if !matches!(reply.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
            || answer::limit(&reply, self.place.now()).is_some()
        {
            return Push::Unknown;
        }
        self.why_not(&doors.api, presented.token, path, &reply).await
    }

    /// It sends no issuer; should it ever, then its own address.
    fn oauth_endpoints(&self) -> OauthEndpoints {
        OauthEndpoints {
            authorize: below(&self.place.base, ["site", "oauth2", "authorize"]),
            token: self.place.token_url(&DIALECT),
            issuer: self.place.own_issuer(),
        }
    }

    /// What is granted is what the consumer was registered with; the parameter is for people to read.
    fn oauth_scopes(&self, needed: &ScopeSet) -> ScopeSet {
        scopes::of_apps(needed)
    }

    /// It has no way to end a token from outside (<https://jira.atlassian.com/browse/BCLOUD-23192>). Access tokens of
    /// repositories, projects and workspaces end on a page of those, which is not known here.
    fn revocation_page(&self, method: Method, kind: &str) -> Url {
        let api_token = Kind::parse(kind).is_some_and(Kind::is_api_token);
        match method {
            Method::Oauth2 => below(&self.place.base, ["account", "settings", "app-authorizations"]),
            Method::Token if api_token => below(&self.account, ["manage-profile", "security", "api-tokens"]),
            Method::Token => self.place.base.clone(),
        }
    }
}

/// What a token is, and how it is shown: what once was found out is not tried again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// With the e-mail address.
    ApiToken,
    /// Without it.
    ApiTokenAlone,
    OfRepository,
    OfProject,
    OfWorkspace,
    /// Of one of the three, nobody knows which.
    AccessToken,
    Oauth,
    /// Nothing to tell it by.
    Other,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::ApiToken,
        Self::ApiTokenAlone,
        Self::OfRepository,
        Self::OfProject,
        Self::OfWorkspace,
        Self::AccessToken,
        Self::Oauth,
        Self::Other,
    ];

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What to take a token for that nobody has asked about yet.
    fn guess(presented: &Presented<'_>) -> Self {
        let begins = |prefix| presented.token.expose().starts_with(prefix);
        // Nothing but an e-mail address goes with an API token, so nothing else is tried.
        let email = presented.user_name.is_some_and(|name| name.contains('@'));
        match presented.method {
            Method::Oauth2 => Self::Oauth,
            Method::Token if begins(ACCESS_TOKEN) => Self::AccessToken,
            Method::Token if email => Self::ApiToken,
            Method::Token if begins(API_TOKEN) => Self::ApiTokenAlone,
            Method::Token => Self::Other,
        }
    }

    /// By what the answer tells; where that is nothing, by how it was shown, how it looks, and its scopes.
    fn of(headers: &HeaderMap, auth: &Auth, presented: &Presented<'_>, scopes: Option<&ScopeSet>) -> Self {
        if presented.method == Method::Oauth2 {
            return Self::Oauth;
        }
        // Since app passwords have ended, nothing else is shown with a name, whatever the answer calls it.
        if *auth != Auth::Bearer {
            return Self::ApiToken;
        }
        match answer::credential_type(headers) {
            Some("api_token") => Self::ApiTokenAlone,
            Some("repo_access_token") => Self::OfRepository,
            Some("project_access_token") => Self::OfProject,
            Some("workspace_access_token") => Self::OfWorkspace,
            Some(other) if other.contains("oauth") => Self::Oauth,
            _ if scopes.is_some_and(scopes::are_of_api_tokens) => Self::ApiTokenAlone,
            _ => Self::guess(&Presented { user_name: None, ..*presented }),
        }
    }

    fn is_api_token(self) -> bool {
        matches!(self, Self::ApiToken | Self::ApiTokenAlone)
    }

    /// Whether it may be one of those that stand for no person.
    fn is_access_token(self) -> bool {
        !self.is_api_token() && self != Self::Oauth
    }

    fn word(self) -> &'static str {
        match self {
            Self::ApiToken => "api-token",
            Self::ApiTokenAlone => "api-token-alone",
            Self::OfRepository => "repository-access-token",
            Self::OfProject => "project-access-token",
            Self::OfWorkspace => "workspace-access-token",
            Self::AccessToken => "access-token",
            Self::Oauth => "oauth",
            Self::Other => "other",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::ApiToken | Self::ApiTokenAlone => "API token",
            Self::OfRepository => "Repository access token",
            Self::OfProject => "Project access token",
            Self::OfWorkspace => "Workspace access token",
            Self::AccessToken => "Access token",
            Self::Oauth => "OAuth2 token",
            Self::Other => "Token",
        }
    }
}

/// Bitbucket treats each access token as a user of its own, under whose name its commits appear, and never tells which
/// (<https://support.atlassian.com/bitbucket-cloud/docs/access-tokens/>). So the token itself is what tells that user
/// from others: by eight bytes that come of it and lead nowhere back.
fn bot(kind: Kind, token: &Secret) -> ProviderAccount {
    let marked = Secret::new(["bot of ", token.expose()].concat());
    let mark: String = marked.fingerprint().0.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let whose = match kind {
        Kind::OfRepository => "repository bot",
        Kind::OfProject => "project bot",
        Kind::OfWorkspace => "workspace bot",
        _ => "bot",
    };
    let short: String = mark.chars().take(6).collect();
    ProviderAccount { id: format!("bot:{mark}"), login: format!("{whose} {short}") }
}

/// The root of another host, reached the same way.
fn at_host(base: &Url, host: &str) -> Url {
    let mut url = base.clone();
    // Cannot fail: the name of a host is replaced by another.
    let _ = url.set_host(Some(host));
    url.set_path("");
    url
}
