//! What Gitea's and Forgejo's answers mean. Only what is written here as a refusal is one.

use http::StatusCode;
use serde::Deserialize;

use super::{TELLS_WHOSE, scopes};
use crate::{
    clock::Timestamp,
    credential::{Evidence, ProviderAccount, Push},
    provider::{
        ProviderError,
        http::Reply,
        limit::Limit,
        revoke::{RevokeError, Revoked},
    },
    scope::{ScopeSet, is_scope},
};

/// `GET /user`, and `user` in `GET /token`.
#[derive(Deserialize)]
pub(super) struct Account {
    id: u64,
    login: String,
}

impl Account {
    /// Whose it is, if it can be told from others and shown. Bots of the host have ids below zero.
    pub fn owner(self) -> Option<ProviderAccount> {
        if self.id == 0 {
            return None;
        }
        ProviderAccount::new(self.id.to_string(), &self.login)
    }
}

/// What the API says when it refuses, and its own address for more. Both, or it is not the API that speaks.
#[derive(Deserialize)]
struct Told {
    message: String,
    url: String,
}

impl Told {
    fn by(reply: &Reply) -> Option<Self> {
        reply.json::<Self>().filter(|told| told.url.ends_with("/api/swagger"))
    }
}

/// What an answer other than 200 to the question whose a token is means.
///
/// Rejected is only 401 in the API's own form. Its words are no help: versions differ, and older ones say "token is
/// required" for a token that they do not know.
pub(super) fn refusal(label: &str, reply: &Reply, now: Timestamp) -> ProviderError {
    if let Some(limit) = limit(reply, now) {
        return limit.error(label, reply);
    }
    let status = reply.status.as_str();
    let evidence = |answer: &str| Evidence::new(label, answer);
    match (reply.status, Told::by(reply)) {
        (StatusCode::UNAUTHORIZED, Some(_)) => ProviderError::Rejected(evidence(status)),
        (StatusCode::UNAUTHORIZED, None) => {
            ProviderError::Unreachable(evidence("401, a page that is not of its API"))
        }
        (StatusCode::FORBIDDEN, Some(Told { message, .. })) if message.starts_with(LACKS_SCOPE) => {
            ProviderError::Insufficient {
                granted: own_scopes(&message),
                missing: ScopeSet::from_iter([TELLS_WHOSE]),
                evidence: evidence("403, it may not tell whose it is"),
            }
        }
        _ => ProviderError::Unreachable(evidence(status)),
    }
}

/// How a refusal begins that is about scopes, so of a token that is known.
const LACKS_SCOPE: &str = "token does not have at least one of required scope(s)";

/// The token's own scopes, which newer versions add: `…, required=[read:user], token scope=read:issue,write:package`.
/// Nothing is taken from a text that says anything else.
fn own_scopes(message: &str) -> Option<ScopeSet> {
    let (required, own) =
        message.strip_prefix(LACKS_SCOPE)?.strip_prefix(", required=[")?.split_once("], token scope=")?;
    let all = |list: &str, by: char| list.split(by).all(scopes::is_known_form);
    (all(required, ' ') && (own.is_empty() || all(own, ','))).then(|| ScopeSet::parse(own))
}

/// Whether an answer is about the number of requests, and if so until when. Neither counts by itself; proxies in front
/// of them do.
pub(super) fn limit(reply: &Reply, now: Timestamp) -> Option<Limit> {
    let is_limit = reply.status == StatusCode::FORBIDDEN && reply.headers.contains_key("retry-after");
    Limit::of(reply, now, is_limit, None)
}

/// What is known of a token by the page about itself.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum About {
    /// It is an access token.
    Token {
        /// Whose.
        owner: ProviderAccount,
        /// What it may do, where that can be read.
        scopes: Option<ScopeSet>,
    },
    /// It is something else: a token of OAuth2.
    NoAccessToken,
    /// Nothing.
    Nothing,
}

/// What the host says where a token asks about itself.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Itself {
    /// This.
    Told(About),
    /// The API: there is no such page.
    NoPage,
    /// The API: the token has not the scope to ask.
    MayNotAsk,
    /// What Go's own router says where nothing was made for an address: the host in versions without the page
    /// (`NormalRoutes` in <https://github.com/go-gitea/gitea/blob/main/routers/init.go>), or a proxy written in Go.
    NoRoute,
}

/// As `net/http` has it (<https://pkg.go.dev/net/http#NotFound>).
const NO_ROUTE: &[u8] = b"404 page not found";

/// `GET /token`.
#[derive(Deserialize)]
struct CurrentToken {
    /// `null` for none.
    scopes: Option<Vec<String>>,
    user: Account,
}

/// What an answer to `GET /token` means; `None` if it is none.
pub(super) fn about(reply: &Reply) -> Option<Itself> {
    match (reply.status, Told::by(reply)) {
        (StatusCode::OK, _) => {
            let token = reply.json::<CurrentToken>()?;
            let owner = token.user.owner()?;
            Some(Itself::Told(About::Token { owner, scopes: listed(token.scopes.unwrap_or_default()) }))
        }
        (StatusCode::NOT_FOUND, Some(Told { message, .. })) => {
            let of_oauth2 = matches!(message.as_str(), "token not found" | "invalid personal token");
            Some(if of_oauth2 { Itself::Told(About::NoAccessToken) } else { Itself::NoPage })
        }
        (StatusCode::NOT_FOUND, None) => {
            let by_router =
                reply.content_type().as_deref() == Some("text/plain") && reply.body.trim_ascii() == NO_ROUTE;
            by_router.then_some(Itself::NoRoute)
        }
        (StatusCode::FORBIDDEN, Some(Told { message, .. })) if message.starts_with(LACKS_SCOPE) => {
            Some(Itself::MayNotAsk)
        }
        _ => None,
    }
}

/// Scopes as they were listed; none of them if one can't be.
fn listed(scopes: Vec<String>) -> Option<ScopeSet> {
    scopes.iter().all(|scope| is_scope(scope)).then(|| scopes.into_iter().collect())
}

/// What the answer to a token that ends itself means. `has_page`: there was a page about tokens before, so if there is
/// none now, somebody on the way says so.
pub(super) fn ended(
    label: &str,
    reply: &Reply,
    has_page: bool,
    now: Timestamp,
) -> Result<Revoked, RevokeError> {
    let evidence = Evidence::new(label, reply.status.as_str());
    if let Some(limit) = limit(reply, now) {
        return Err(limit.error(label, reply).into());
    }
    match (reply.status, Told::by(reply).is_some()) {
        (StatusCode::NO_CONTENT, _) => Ok(Revoked::Now),
        (StatusCode::UNAUTHORIZED, true) => Ok(Revoked::Before),
        // It may not, or it is a token of OAuth2, or there is no such page.
        (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, true) => {
            Err(RevokeError::Cannot(evidence))
        }
        _ if about(reply) == Some(Itself::NoRoute) && !has_page => Err(RevokeError::Cannot(evidence)),
        _ => Err(RevokeError::Unreachable(evidence)),
    }
}

/// `POST /login/oauth/introspect`.
#[derive(Deserialize)]
pub(super) struct Introspection {
    active: bool,
    scope: Option<String>,
}

impl Introspection {
    /// What a grant may do. Those of OpenID Connect open nothing.
    pub fn scopes(self) -> Option<ScopeSet> {
        let text = self.scope.filter(|_| self.active)?;
        let identity = ["openid", "profile", "email", "groups"];
        let scopes: Vec<String> =
            text.split_whitespace().filter(|scope| !identity.contains(scope)).map(str::to_owned).collect();
        // A grant without scopes may do everything; that none are shown may have other reasons as well.
        if scopes.is_empty() { None } else { listed(scopes) }
    }
}

/// `GET /repos/{owner}/{repo}`.
#[derive(Deserialize)]
struct Repository {
    permissions: Option<Permissions>,
}

/// What its owner's role allows, whatever the token may.
#[derive(Deserialize)]
struct Permissions {
    push: bool,
}

/// What the answer about a repository says of pushing there: allowed, as far as the role goes.
pub(super) fn role(reply: &Reply, now: Timestamp) -> Push {
    if limit(reply, now).is_some() {
        return Push::Unknown;
    }
    match reply.status {
        StatusCode::OK => match reply.json::<Repository>().and_then(|repository| repository.permissions) {
            Some(Permissions { push: true }) => Push::Allowed,
            Some(Permissions { push: false }) => Push::Denied,
            None => Push::Unknown,
        },
        // Its scopes do not even let it read, or let it read what is public only.
        StatusCode::FORBIDDEN if Told::by(reply).is_some() => Push::Denied,
        StatusCode::NOT_FOUND if Told::by(reply).is_some() => Push::Hidden,
        _ => Push::Unknown,
    }
}
