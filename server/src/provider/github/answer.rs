//! What GitHub's answers mean. Only what is written here as a refusal is one.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description,
};
use url::Url;

use crate::{
    clock::Timestamp,
    credential::{Evidence, ProviderAccount},
    provider::{
        ProviderError, TokenExpiry, address,
        http::{Reply, scopes_in},
        limit::Limit,
        revoke::{RevokeError, Revoked},
    },
    scope::ScopeSet,
};

/// `GET /user`: <https://docs.github.com/en/rest/users/users#get-the-authenticated-user>.
#[derive(Deserialize)]
struct Account {
    id: u64,
    login: String,
}

/// Whose a token is.
pub(super) fn owner(reply: &Reply) -> Option<ProviderAccount> {
    let account = reply.json::<Account>().filter(|account| account.id != 0)?;
    ProviderAccount::new(account.id.to_string(), &account.login)
}

/// What the API says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// What an answer other than 200 from the API means.
///
/// Rejected is only what GitHub itself answers to a token that it does not know: 401 with a message as JSON. A page
/// from a proxy is not that, nor is 401 to a question whose token was lost on the way.
pub(super) fn refusal(label: &str, reply: &Reply, now: Timestamp) -> ProviderError {
    if let Some(limit) = limit(reply, now) {
        return limit.error(label, reply);
    }
    let evidence = |answer: &str| Evidence::new(label, answer);
    let message = reply.json::<Refusal>().map(|refusal| refusal.message);
    match (reply.status, message.as_deref()) {
        (StatusCode::UNAUTHORIZED, Some("Requires authentication")) => {
            ProviderError::Unreachable(evidence("401, as if no token had been sent"))
        }
        (StatusCode::UNAUTHORIZED, Some(_)) => ProviderError::Rejected(evidence("401")),
        (StatusCode::UNAUTHORIZED, None) => {
            ProviderError::Unreachable(evidence("401, a page that is no JSON"))
        }
        _ => ProviderError::Unreachable(evidence(reply.status.as_str())),
    }
}

/// Whether an answer is about the number of requests, and if so until when
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
pub(super) fn limit(reply: &Reply, now: Timestamp) -> Option<Limit> {
    let spent = reply.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let says_so = |refusal: Refusal| {
        let message = refusal.message.to_ascii_lowercase();
        ["rate limit", "abuse detection", "maximum number of login attempts"]
            .iter()
            .any(|words| message.contains(words))
    };
    let is_limit = reply.status == StatusCode::FORBIDDEN
        && (spent
            || reply.headers.contains_key("retry-after")
            || reply.json::<Refusal>().is_some_and(says_so));
    Limit::of(reply, now, is_limit, spent.then_some("x-ratelimit-reset"))
}

/// `X-OAuth-Scopes`: `None` if the answer has no such header, or one that is no text.
pub(super) fn scopes(headers: &HeaderMap) -> Option<ScopeSet> {
    scopes_in(headers, "x-oauth-scopes")
}

/// What the answer to an app means that ends a token: 204, or that there is no such token (404 where it is none of
/// the app's or over, 422 where it is none at all).
pub(super) fn ended(label: &str, reply: &Reply, now: Timestamp) -> Result<Revoked, RevokeError> {
    match (reply.status, speaks(reply)) {
        (StatusCode::NO_CONTENT, _) => Ok(Revoked::Now),
        (StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY, true) => Ok(Revoked::Before),
        _ => Err(not_ended(label, reply, now)),
    }
}

/// What the answer to a token that was given back means: it says 202 to any, known or not, and goes to work.
pub(super) fn given_back(label: &str, reply: &Reply, now: Timestamp) -> Result<Revoked, RevokeError> {
    match (reply.status, speaks(reply)) {
        (StatusCode::ACCEPTED, _) => Ok(Revoked::HandedOver),
        (StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY, true) => {
            Err(RevokeError::Cannot(Evidence::new(label, reply.status.as_str())))
        }
        _ => Err(not_ended(label, reply, now)),
    }
}

/// Whether it is the API that answers, and nobody on the way.
fn speaks(reply: &Reply) -> bool {
    reply.json::<Refusal>().is_some()
}

fn not_ended(label: &str, reply: &Reply, now: Timestamp) -> RevokeError {
    if let Some(limit) = limit(reply, now) {
        // An app has a budget of its own, and so have questions without credentials, a small one.
        return match limit.error(label, reply).into() {
            RevokeError::RateLimited { until, evidence, .. } => {
                RevokeError::RateLimited { until, apart: true, evidence }
            }
            other => other,
        };
    }
    // Also where it does not accept the app: that may be mended, and was no word about the token.
    RevokeError::Unreachable(Evidence::new(label, reply.status.as_str()))
}

const IN_UTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
const WITH_OFFSET: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

/// `github-authentication-token-expiration`. Both `2027-10-12 09:00:00 UTC` and `2027-10-12 09:00:00 +0900` occur.
pub(super) fn expiry(headers: &HeaderMap) -> TokenExpiry {
    let mut values = headers.get_all("github-authentication-token-expiration").iter();
    let Some(first) = values.next() else { return TokenExpiry::Never };
    if values.next().is_some() {
        return TokenExpiry::Unknown;
    }
    let Ok(text) = first.to_str().map(str::trim) else { return TokenExpiry::Unknown };
    PrimitiveDateTime::parse(text, IN_UTC)
        .map(PrimitiveDateTime::assume_utc)
        .or_else(|_| OffsetDateTime::parse(text, WITH_OFFSET))
        .map_or(TokenExpiry::Unknown, |end| TokenExpiry::At(end.into()))
}

/// An organisation wants single sign-on.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Sso {
    /// The page for it.
    pub link: Option<Url>,
}

/// `X-GitHub-SSO: required; url=…`
/// (<https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>). The other form,
/// `partial-results`, is no refusal.
pub(super) fn sso(headers: &HeaderMap, base: &Url) -> Option<Sso> {
    let value = headers.get("x-github-sso")?.to_str().ok()?;
    let (word, rest) = value.split_once(';').unwrap_or((value, ""));
    if !word.trim().eq_ignore_ascii_case("required") {
        return None;
    }
    let link = rest.trim().strip_prefix("url=");
    Some(Sso { link: link.and_then(|link| address::shown_link(link, base)) })
}
