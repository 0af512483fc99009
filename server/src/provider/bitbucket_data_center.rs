//! Bitbucket Data Center, and Bitbucket Server before it, at an address of the operator's own.
//!
//! What it answers, and what that means, is in [`answer`]; scopes in [`scopes`].

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Method as Verb, StatusCode, header::ACCEPT};
use oauth2::AuthType;
use url::Url;

use self::answer::{Told, User, WhoAmI};
use super::{
    Age, Auth, Doors, Guide, Identity, OauthEndpoints, Presented, Provider, ProviderError, Settings,
    TokenExpiry,
    address::below,
    git::Advertisement,
    grant::Dialect,
    http::{OriginError, Question, Reply},
    place::Place,
    repository::RepositoryForm,
    shape::Family,
};
use crate::{
    credential::{Evidence, Method, ProviderAccount, Push},
    scope::ScopeSet,
};

mod answer;
mod scopes;
#[cfg(test)]
mod tests;

const LABEL: &str = "Bitbucket Data Center";

/// HTTP access tokens; those of a project or a repository look the same. Before release 8 they had no prefix.
pub const FAMILY: Family = Family { label: LABEL, user: &["BBDC-"], other: &[] };

/// The project's key, or `~` and a user's name, and the repository's name in addresses
/// (<https://confluence.atlassian.com/bitbucketserver/clone-a-repository-790632786.html>).
pub const REPOSITORY: RepositoryForm = RepositoryForm {
    written: "`KEY/name`, with the project's key, or `~user/name`",
    parts: 2..=2,
    longest_part: 255,
    marks: b"._-~",
};

/// Readable for everybody: what counts is whom it takes the sender for, which is in the headers.
const PROPERTIES: &str = "GET /rest/api/latest/application-properties";
const WHO_AM_I: &str = "GET /plugins/servlet/applinks/whoami";
const USERS: &str = "GET /rest/api/latest/users";

/// Its token endpoint
/// (<https://confluence.atlassian.com/bitbucketserver/bitbucket-oauth-2-0-provider-api-1108483661.html>).
///
/// How long a refresh token lives is not told. It is 90 days unless an administrator chose otherwise
/// (<https://confluence.atlassian.com/bitbucketserver101/oauth-2-0-provider-system-properties-1721011884.html>), so
/// nothing is assumed about its end.
const DIALECT: Dialect = Dialect {
    label: "POST /rest/oauth2/latest/token",
    path: &["rest", "oauth2", "latest", "token"],
    client_auth: AuthType::RequestBody,
    documented_life: Duration::from_secs(60 * 60),
    refused: &[],
    app_refused: &[],
    // Without it a good refresh token is an `invalid_grant`
    // (https://mrrefactoring.github.io/jira.js/api/functions/index.refreshServerOAuth2Token.html, of the OAuth provider
    // that Atlassian's products share).
    repeats_redirect: true,
    limit: answer::limit,
};

/// The kinds of tokens. Nothing in an answer tells a user's token from a project's or a repository's, but for the
/// account that it shows.
const HTTP_ACCESS_TOKEN: &str = "http-access-token";
const OAUTH2: &str = "oauth2";

/// Bitbucket Data Center at one address.
pub struct BitbucketDataCenter {
    place: Place,
}

impl BitbucketDataCenter {
    /// Prepares for the addresses; asks nothing.
    ///
    /// # Errors
    /// If credentials must not go to one of the addresses.
    pub fn new(settings: Settings) -> Result<Self, OriginError> {
        let api = below(&settings.base_url, ["rest", "api", "latest"]);
        Ok(Self { place: Place::new(settings, FAMILY.label, api)? })
    }

    async fn ask_api<const N: usize>(
        &self,
        label: &'static str,
        path: [&str; N],
        presented: &Presented<'_>,
    ) -> Result<Reply, ProviderError> {
        let question = self.place.question(path, label);
        self.place.ask(question, &self.doors(presented).api, presented.token).await
    }

    /// What the answer to the first question does not tell, where a proxy in between may have taken the header out:
    /// a second way to ask. `taken` is what the first one comes to if this one brings nothing.
    async fn who_am_i(&self, presented: &Presented<'_>, taken: ProviderError) -> Result<User, ProviderError> {
        let url = below(&self.place.base, ["plugins", "servlet", "applinks", "whoami"]);
        let question =
            Question::new(Verb::GET, url, WHO_AM_I).header(ACCEPT, HeaderValue::from_static("text/plain"));
        let reply = self.place.ask(question, &self.doors(presented).api, presented.token).await?;
        match answer::who_am_i(WHO_AM_I, &reply, self.place.now())? {
            WhoAmI::User(name) => Ok(User { name, id: None }),
            WhoAmI::Nobody => {
                let evidence = Evidence::new(WHO_AM_I, "200, as to a visitor without a token");
                Err(ProviderError::Rejected(evidence))
            }
            WhoAmI::Untold => Err(taken),
        }
    }

    /// The number that stays with an account when its name changes, where the headers do not tell it.
    async fn id_of(&self, name: &str, presented: &Presented<'_>) -> Result<String, ProviderError> {
        let reply = self.ask_api(USERS, ["users", &answer::slug(name)], presented).await?;
        answer::id_of(USERS, &reply, name, self.place.now())
    }

    /// What the API tells about a repository that Git does not let the token push to.
    async fn why_not(&self, presented: &Presented<'_>, project: &str, slug: &str, git: StatusCode) -> Push {
        let path = ["projects", project, "repos", slug];
        let Ok(reply) = self.ask_api("GET /rest/api/latest/projects", path, presented).await else {
            return Push::Unknown;
        };
        match (answer::sees(&reply, self.place.now()), git) {
            (Some(true), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Push::Denied,
            (Some(false), _) => Push::Hidden,
            _ => Push::Unknown,
        }
    }
}

#[async_trait]
impl Provider for BitbucketDataCenter {
    fn place(&self) -> &Place {
        &self.place
    }

    fn family(&self) -> &'static Family {
        &FAMILY
    }

    /// Its codes live for ten seconds unless an administrator chose otherwise.
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn icon(&self) -> &'static str {
        "bitbucket-data-center"
    }

    fn kind_label(&self, kind: &str) -> &'static str {
        match kind {
            HTTP_ACCESS_TOKEN => "HTTP access token",
            OAUTH2 => "OAuth2 token",
            _ => "Token",
        }
    }

    /// Reading and pushing.
    fn default_scopes(&self) -> ScopeSet {
        ScopeSet::from_iter([scopes::REPO_WRITE])
    }

    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
        scopes::missing(granted, needed)
    }

    /// <https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html>. The page takes nothing from
    /// its address.
    fn guide(&self, needed: &ScopeSet, _: Option<&str>, note: &str) -> Guide {
        let (project, repository) = scopes::levels(needed);
        Guide {
            token_word: "personal HTTP access token",
            link: below(&self.place.base, ["plugins", "servlet", "access-tokens", "manage"]),
            prefilled: false,
            limited_link: None,
            steps: vec![
                "Choose “Create token”. If the page is not there, click your picture and choose “Manage account”, \
                 then “HTTP access tokens”."
                    .to_owned(),
                format!("As the token’s name, take “{note}”."),
                format!("Under permissions, choose “Project {project}” and “Repository {repository}”."),
                "If you let it expire, write the day under “Last day” as well: Bitbucket does not tell it later."
                    .to_owned(),
                "“Create” shows the token once. Copy it and paste it here.".to_owned(),
            ],
            user_name: None,
            asks_end: true,
        }
    }

    /// `Authorization: Bearer` everywhere (<https://confluence.atlassian.com/bitbucketserver086/http-access-tokens-1188782454.html>).
    /// Tokens of projects and repositories are taken in no other way. Those of users would also do as the password of their
    /// name, and grants as that of any name, but that is refused where an administrator switched Basic off, and counts
    /// as a wrong password, up to the lock of the account, once the token is dead. Should Git not take a grant as a
    /// bearer somewhere, its 401 without a user is no verdict.
    fn doors(&self, _: &Presented<'_>) -> Doors {
        Doors { api: Auth::Bearer, git: Auth::Bearer }
    }

    async fn identify(&self, presented: &Presented<'_>, _: Age) -> Result<Identity, ProviderError> {
        let reply = self.ask_api(PROPERTIES, ["application-properties"], presented).await?;
        let (user, evidence) = match answer::told(PROPERTIES, &reply, self.place.now())? {
            Told::User(user) => (user, Evidence::new(PROPERTIES, reply.status.as_str())),
            Told::Nobody(taken) => (self.who_am_i(presented, taken).await?, Evidence::new(WHO_AM_I, "200")),
        };
        let id = match user.id {
            Some(id) => id,
            None => self.id_of(&user.name, presented).await?,
        };
        let owner =
            ProviderAccount::new(id, &user.name).ok_or_else(|| ProviderError::senseless(PROPERTIES))?;
        let kind = match presented.method {
            Method::Token => HTTP_ACCESS_TOKEN,
            Method::Oauth2 => OAUTH2,
        };
        Ok(Identity {
            owner,
            kind: kind.to_owned(),
            // Of a grant, the answer with its tokens tells them; of other tokens, nothing does.
            scopes: None,
            expiry: TokenExpiry::Unknown,
            evidence,
        })
    }

    async fn may_push(&self, presented: &Presented<'_>, repository: &str) -> Push {
        let Some((project, slug)) = REPOSITORY.pair(repository) else { return Push::Unknown };
        let auth = self.doors(presented).git;
        let reply = match self.place.ask_git(&["scm", project, slug], &auth, presented.token).await {
            Advertisement::MayPush => return Push::Allowed,
            Advertisement::Nothing(_) => return Push::Unknown,
            Advertisement::Other(reply) => reply,
        };
        if !answer::refuses_push(&reply, self.place.now()) {
            return Push::Unknown;
        }
        self.why_not(presented, project, slug, reply.status).await
    }

    /// It has no word for itself as an issuer, and sends none; should it begin to, it will hardly be another than its
    /// address.
    fn oauth_endpoints(&self) -> OauthEndpoints {
        OauthEndpoints {
            authorize: below(&self.place.base, ["rest", "oauth2", "latest", "authorize"]),
            token: self.place.token_url(&DIALECT),
            issuer: self.place.own_issuer(),
        }
    }

    fn oauth_scopes(&self, needed: &ScopeSet) -> ScopeSet {
        scopes::to_ask_for(needed)
    }

    /// No way to end a token by itself is documented: the list of a user's tokens, which tells the number that it takes,
    /// is open to people who signed in.
    fn revocation_page(&self, method: Method, _: &str) -> Url {
        let path: &[&str] = match method {
            Method::Token => &["plugins", "servlet", "access-tokens", "manage"],
            Method::Oauth2 => &["plugins", "servlet", "oauth", "users", "access-tokens"],
        };
        below(&self.place.base, path.iter().copied())
    }
}
