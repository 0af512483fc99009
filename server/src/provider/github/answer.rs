//! What GitHub's answers mean. Only what is written here as a refusal is one.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use time::{
    OffsetDateTime, PrimitiveDateTime, format_description::BorrowedFormatItem, macros::format_description,
};
use url::Url;

use crate::{
    clock::Timestamp,
    credential::Evidence,
    provider::{
        ProviderError, TokenExpiry,
        http::{Reply, scopes_in},
        limit,
    },
    scope::ScopeSet,
};

/// `GET /user`: <https://docs.github.com/en/rest/users/users#get-the-authenticated-user>.
#[derive(Deserialize)]
pub(super) struct Account {
    pub id: u64,
    pub login: String,
}

impl Account {
    /// Whether it can be told from others and shown.
    pub fn is_usable(&self) -> bool {
        self.id != 0
            && !self.login.is_empty()
            && self.login.len() <= 100
            && self.login.chars().all(|c| c.is_ascii_graphic())
    }
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
    let status = reply.status.as_u16();
    let evidence = |answer: String| Evidence { request: label.to_owned(), answer };
    if let Some(until) = limit(reply, now) {
        return ProviderError::RateLimited { until, evidence: evidence(status.to_string()) };
    }
    let message = reply.json::<Refusal>().map(|refusal| refusal.message);
    match (reply.status, message.as_deref()) {
        (StatusCode::UNAUTHORIZED, Some("Requires authentication")) => {
            ProviderError::Unreachable(evidence("401, as if no token had been sent".to_owned()))
        }
        (StatusCode::UNAUTHORIZED, Some(_)) => ProviderError::Rejected(evidence("401".to_owned())),
        (StatusCode::UNAUTHORIZED, None) => {
            ProviderError::Unreachable(evidence("401, a page that is no JSON".to_owned()))
        }
        _ => ProviderError::Unreachable(evidence(status.to_string())),
    }
}

/// Whether an answer is about the number of requests, and if so until when
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>).
pub(super) fn limit(reply: &Reply, now: Timestamp) -> Option<Option<Timestamp>> {
    let spent = reply.header("x-ratelimit-remaining").is_some_and(|left| left.trim() == "0");
    let limited = match reply.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            spent
                || reply.headers.contains_key("retry-after")
                || reply.json::<Refusal>().is_some_and(|refusal| {
                    let message = refusal.message.to_ascii_lowercase();
                    message.contains("rate limit")
                        || message.contains("abuse detection")
                        || message.contains("maximum number of login attempts")
                })
        }
        _ => false,
    };
    limited.then(|| {
        let reset = || limit::reset(reply, "x-ratelimit-reset").filter(|_| spent);
        limit::believed(limit::retry_after(reply, now).or_else(reset)?, now)
    })
}

/// `X-OAuth-Scopes`: `None` if the answer has no such header, or one that is no text.
pub(super) fn scopes(headers: &HeaderMap) -> Option<ScopeSet> {
    scopes_in(headers, "x-oauth-scopes")
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
    /// From the answer, so not to be trusted.
    pub link: Option<Url>,
}

/// `X-GitHub-SSO: required; url=…`
/// (<https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api>). The other form,
/// `partial-results`, is no refusal.
pub(super) fn sso(headers: &HeaderMap) -> Option<Sso> {
    let value = headers.get("x-github-sso")?.to_str().ok()?;
    let (word, rest) = value.split_once(';').unwrap_or((value, ""));
    if !word.trim().eq_ignore_ascii_case("required") {
        return None;
    }
    let link = rest.trim().strip_prefix("url=").filter(|url| url.len() <= 2048);
    Some(Sso { link: link.and_then(|url| Url::parse(url).ok()) })
}
