//! What Bitbucket's answers mean. Only what is written here as a refusal is one.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::scopes;
use crate::{
    clock::Timestamp,
    credential::{Evidence, ProviderAccount},
    provider::{
        ProviderError,
        http::{Reply, scopes_in},
        limit::Limit,
    },
    scope::{ScopeSet, is_scope},
};

/// `GET /user`: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-users/#api-user-get>.
#[derive(Deserialize)]
pub(super) struct Account {
    uuid: Option<String>,
    account_id: Option<String>,
    username: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

impl Account {
    /// Who it is, if it can be told from others. The user name may change, the number never does.
    pub fn owner(self) -> Option<ProviderAccount> {
        let names = [self.username, self.nickname, self.display_name];
        [self.uuid, self.account_id].into_iter().flatten().find_map(|id| {
            let mut named = names.iter().flatten().filter_map(|name| ProviderAccount::new(&*id, name));
            named.next().or_else(|| ProviderAccount::new(&*id, &id))
        })
    }
}

/// `GET /repositories/{workspace}/{slug}`; that there is one is all that is of interest.
#[derive(Deserialize)]
pub(super) struct Repository {
    #[expect(dead_code, reason = "its being there tells a repository from any other page")]
    full_name: String,
}

/// What the API says when it refuses: <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#standardized-error-responses>.
#[derive(Deserialize)]
struct Problem {
    r#type: String,
    error: Details,
}

#[derive(Deserialize)]
struct Details {
    message: String,
    #[serde(default)]
    detail: Value,
}

fn problem(reply: &Reply) -> Option<Details> {
    reply.json::<Problem>().filter(|problem| problem.r#type == "error").map(|problem| problem.error)
}

/// Whether it is Bitbucket that refuses, and not somebody in front of it.
pub(super) fn is_problem(reply: &Reply) -> bool {
    problem(reply).is_some()
}

impl Details {
    /// Lists of scopes come with the refusal of a token that lacks some.
    fn scopes(&self, name: &str) -> Option<ScopeSet> {
        let list = self.detail.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).filter(|scope| is_scope(scope)).collect())
    }

    fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(words)
    }
}

/// What an answer other than 200 means.
pub(super) enum No {
    /// The token is good, but stands for no user.
    NotAUser,
    /// All else.
    Error(ProviderError),
}

/// Reads an answer other than 200 to the question whose a token is. `may_be_a_bot`: nothing speaks against its being an
/// access token.
///
/// Rejected is only what Bitbucket itself answers to a token that it does not know: 401 in the form of its own errors. A
/// page from a proxy is not that.
pub(super) fn refusal(label: &str, reply: &Reply, may_be_a_bot: bool, now: Timestamp) -> No {
    if let Some(limit) = limit(reply, now) {
        return No::Error(limit.error(label, reply));
    }
    let evidence = |answer: &str| Evidence::new(label, answer);
    let unreachable = |answer: &str| No::Error(ProviderError::Unreachable(evidence(answer)));
    match (reply.status, problem(reply)) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(details))
            if details.says("not accessible by this authentication mechanism") =>
        {
            No::NotAUser
        }
        (StatusCode::FORBIDDEN, Some(details)) => {
            let required = details.scopes("required").filter(|required| !required.is_empty());
            if required.is_some() || details.says("privilege scopes") {
                return No::Error(lacks(&details, required, &reply.headers, evidence("403")));
            }
            // A token that the answer calls by its kind is one that Bitbucket knows, whatever the words around it.
            if may_be_a_bot && is_access_token(&reply.headers) {
                return No::NotAUser;
            }
            unreachable("403")
        }
        (StatusCode::UNAUTHORIZED, Some(_)) => No::Error(ProviderError::Rejected(evidence("401"))),
        (StatusCode::UNAUTHORIZED, None) => unreachable("401, a page that is not Bitbucket's"),
        // https://developer.atlassian.com/cloud/bitbucket/changelog/#CHANGE-2770
        (StatusCode::GONE, _) => {
            tracing::error!(request = label, "Bitbucket has removed what Gitward asks for");
            unreachable("410, Bitbucket has removed what was asked for")
        }
        _ => unreachable(reply.status.as_str()),
    }
}

/// The token is good, but lacks scopes: the answer tells which it has, and which it would have needed.
fn lacks(
    details: &Details,
    required: Option<ScopeSet>,
    headers: &HeaderMap,
    evidence: Evidence,
) -> ProviderError {
    let granted = details.scopes("granted").or_else(|| scopes(headers));
    let required = required
        .or_else(|| scopes_in(headers, "x-accepted-oauth-scopes").filter(|accepted| !accepted.is_empty()))
        .unwrap_or_else(|| scopes::to_identify(granted.as_ref()));
    let missing = granted.as_ref().map_or_else(|| required.clone(), |granted| required.without(granted));
    let missing = if missing.is_empty() { required } else { missing };
    ProviderError::Insufficient { granted, missing, evidence }
}

/// Whether an answer is about the number of requests, and if so until when
/// (<https://support.atlassian.com/bitbucket-cloud/docs/api-request-limits/>).
pub(super) fn limit(reply: &Reply, now: Timestamp) -> Option<Limit> {
    let is_limit = reply.status == StatusCode::FORBIDDEN
        && (reply.headers.contains_key("retry-after")
            || problem(reply).is_some_and(|details| details.says("rate limit")));
    Limit::of(reply, now, is_limit, Some("x-ratelimit-reset"))
}

/// What a token may do: API tokens, access tokens and those of OAuth2 have it in every answer of the API
/// (<https://support.atlassian.com/bitbucket-cloud/kb/how-to-fetch-the-scope-of-a-token-via-command-line>).
pub(super) fn scopes(headers: &HeaderMap) -> Option<ScopeSet> {
    scopes_in(headers, "x-oauth-scopes")
}

/// What sort of token Bitbucket took it for.
pub(super) fn credential_type(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-credential-type")?.to_str().ok().map(str::trim)
}

fn is_access_token(headers: &HeaderMap) -> bool {
    credential_type(headers).is_some_and(|kind| kind.ends_with("_access_token"))
}
