//! What GitLab's answers mean. Only what is written here as a refusal is one.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value};
use time::{
    Date, OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use url::Url;

use crate::{
    clock::Timestamp,
    credential::{Evidence, ProviderAccount, Push},
    provider::{
        TokenExpiry,
        address::shown_link,
        grant::LONGEST_LIFE,
        http::Reply,
        limit::Limit,
        revoke::{RevokeError, Revoked},
    },
    scope::{ScopeSet, is_scope},
};

/// What an answer that is no success says. The forms are those of `lib/api/api_guard.rb` and `lib/api/helpers.rb` in
/// <https://gitlab.com/gitlab-org/gitlab>.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// Too many requests, or the address is banned.
    Later {
        /// Until when, where it says so.
        until: Option<Timestamp>,
        /// As evidence.
        answer: String,
    },
    /// It does not know the token, or takes it no more. As evidence.
    Refused(&'static str),
    /// It knows the token, whose time is over.
    Ended,
    /// It knows the token, which may not ask this.
    Narrow {
        /// It has permissions for single resources instead of scopes.
        fine_grained: bool,
    },
    /// It knows the token, which is not of the kind that can be asked here: it came by OAuth2.
    OfOauth,
    /// There is nothing at this address.
    NoDoor,
    /// Nothing that tells anything about the token. As evidence.
    Nothing(String),
    /// It is known, but nobody gets in with it.
    Blocked {
        /// Goes on after "but".
        why: &'static str,
        /// For evidence.
        answer: String,
    },
}

/// Evidence for the end of a token.
pub(super) const ENDED: &str = "401 expired";

/// What an answer other than 200 says.
///
/// Refused is only what GitLab itself says, in its own form, about a token that it does not know or has revoked. A page
/// from a proxy is not that. Nor is a token that it knows, but does not serve: for want of proof of possession, because
/// impersonation is switched off, because the account is blocked.
pub(super) fn said(reply: &Reply, now: Timestamp) -> Said {
    if let Some(Limit { until }) = limit(reply, now) {
        return Said::Later { until, answer: reply.status.as_str().to_owned() };
    }
    let status = reply.status.as_str();
    let Some(body) = reply.json::<Map<String, Value>>() else {
        return Said::Nothing(format!("{status}, a page that is no JSON"));
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (error, message) = (text("error"), text("message"));
    let blocked = |why: &'static str| Said::Blocked { why, answer: format!("{status}, {why}") };
    let nothing = |why: &str| Said::Nothing(format!("{status}, {why}"));
    match (reply.status, error) {
        (StatusCode::UNAUTHORIZED, "invalid_token") => {
            let description = text("error_description");
            if description.starts_with("Token is expired") {
                Said::Ended
            } else if description.starts_with("Token was revoked") {
                Said::Refused("401 revoked")
            } else if description.contains("impersonation") {
                blocked("impersonation is switched off there")
            } else {
                Said::Refused("401")
            }
        }
        (StatusCode::UNAUTHORIZED, "dpop_error") => {
            blocked("its account wants proof of possession (DPoP), which Gitward cannot give")
        }
        (StatusCode::UNAUTHORIZED, "") if message.starts_with("401 Unauthorized") => Said::Refused("401"),
        (StatusCode::FORBIDDEN, "insufficient_scope") => Said::Narrow { fine_grained: false },
        (StatusCode::FORBIDDEN, "insufficient_granular_scope") => Said::Narrow { fine_grained: true },
        (StatusCode::FORBIDDEN, "") => {
            account_trouble(message).map_or_else(|| nothing("for no known reason"), blocked)
        }
        // "… This endpoint requires token type to be a personal access token"
        (StatusCode::BAD_REQUEST, "") if message.starts_with("400") => Said::OfOauth,
        (StatusCode::NOT_FOUND, _) if error.starts_with("404") || message.starts_with("404") => Said::NoDoor,
        _ => Said::Nothing(status.to_owned()),
    }
}

/// Why GitLab serves nobody with this account, which is no fault of the token
/// (`lib/gitlab/auth/user_access_denied_reason.rb`).
fn account_trouble(message: &str) -> Option<&'static str> {
    [
        ("pending approval", "the account waits for approval"),
        ("blocked", "the account is blocked"),
        ("deactivated", "the account is deactivated"),
        ("Terms of Service", "the account has not accepted the terms of service"),
        ("not confirmed", "the account's e-mail address is not confirmed"),
        ("password expired", "the account's password has expired"),
    ]
    .into_iter()
    .find_map(|(words, trouble)| message.contains(words).then_some(trouble))
}

/// What the token endpoint of OAuth2 says of a token that it takes for none of its own: 401 as the documentation has it,
/// or 400 as the source (`app/controllers/oauth/token_info_controller.rb`).
pub(super) fn is_none_of_oauth(reply: &Reply, said: &Said) -> bool {
    match said {
        Said::Refused(_) | Said::Ended | Said::Narrow { .. } => true,
        Said::Nothing(_) => {
            reply.status == StatusCode::BAD_REQUEST
                && reply
                    .json::<Map<String, Value>>()
                    .is_some_and(|body| body.get("error").and_then(Value::as_str) == Some("invalid_request"))
        }
        _ => false,
    }
}

/// Whether an answer is about the number of requests, and if so until when: 429 with a line of text
/// (<https://docs.gitlab.com/security/rate_limits/>), 403 with `Retry-After` where one account comes from too many
/// addresses, and 403 for an hour where too many tokens were refused (<https://docs.gitlab.com/rate_limits/abuse_bans/>).
pub(super) fn limit(reply: &Reply, now: Timestamp) -> Option<Limit> {
    let is_limit = reply.status == StatusCode::FORBIDDEN
        && (reply.headers.contains_key("retry-after") || is_ban(&reply.body));
    Limit::of(reply, now, is_limit, Some("ratelimit-reset"))
}

fn is_ban(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    text == b"Forbidden" || text.starts_with(b"Too many failed authentication attempts")
}

/// What the answer to an app means that ends a grant: 200 with an empty object. What is no such thing is somebody
/// else's page. A refusal is about the app (403 `unauthorized_client`), which may be mended.
pub(super) fn ended(label: &str, reply: &Reply, now: Timestamp) -> Result<Revoked, RevokeError> {
    if let Some(limit) = limit(reply, now) {
        return Err(limit.error(label, reply).into());
    }
    match (reply.status, reply.json::<Map<String, Value>>()) {
        (StatusCode::OK, Some(body)) if body.is_empty() => Ok(Revoked::Now),
        _ => Err(RevokeError::Unreachable(Evidence::new(label, reply.status.as_str()))),
    }
}

/// What Git's door says about pushing: a line of text, as `lib/gitlab/git_access.rb` has it. `base` is where people
/// find this GitLab.
pub(super) fn push(reply: &Reply, base: &Url, now: Timestamp) -> Push {
    // Others on the way have their own words, and other sorts of pages.
    if limit(reply, now).is_some() || reply.content_type().as_deref() != Some("text/plain") {
        return Push::Unknown;
    }
    let text = String::from_utf8_lossy(&reply.body);
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    match reply.status {
        StatusCode::FORBIDDEN if says(&["Cannot find valid SSO session"]) => {
            Push::NeedsSso { link: sso_link(&text, base) }
        }
        // Over soon, or not about this token.
        StatusCode::FORBIDDEN if says(&["read-only", "maintenance", "Your account", "Terms of Service"]) => {
            Push::Unknown
        }
        StatusCode::FORBIDDEN
            if says(&["not allowed", "push", "upload", "write access", "permission", "fine-grained"]) =>
        {
            Push::Denied
        }
        StatusCode::NOT_FOUND if says(&["could not be found", "was moved to"]) => Push::Hidden,
        _ => Push::Unknown,
    }
}

/// The group's page for single sign-on, which ends the sentence.
fn sso_link(text: &str, base: &Url) -> Option<String> {
    let (_, rest) = text.split_once("SSO at ")?;
    shown_link(rest.split_whitespace().next()?, base).map(Into::into)
}

/// `GET /personal_access_tokens/self`:
/// <https://docs.gitlab.com/api/personal_access_tokens/#retrieve-details-on-a-personal-access-token>.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct TokenInfo {
    pub user: u64,
    /// `None` where they are not of the kind that can be listed.
    pub scopes: Option<ScopeSet>,
    pub fine_grained: bool,
    pub expiry: TokenExpiry,
    pub revoked: bool,
    pub active: bool,
}

impl TokenInfo {
    pub fn read(reply: &Reply) -> Option<Self> {
        let fields: Map<String, Value> = reply.json()?;
        let scopes = scopes(fields.get("scopes"));
        let is = |name: &str| fields.get(name).and_then(Value::as_bool);
        // Beta, and its answers have changed: any of the signs will do
        // (https://docs.gitlab.com/auth/tokens/fine_grained_access_tokens/).
        let fine_grained = is("granular").unwrap_or_default()
            || fields.get("granular_scopes").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
            || scopes.as_ref().is_some_and(|scopes| scopes.contains("granular"));
        Some(Self {
            user: id(fields.get("user_id"))?,
            scopes: scopes.filter(|_| !fine_grained),
            fine_grained,
            expiry: end(fields.get("expires_at")),
            revoked: is("revoked").unwrap_or_default(),
            active: is("active").unwrap_or(true),
        })
    }
}

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// A day, at whose beginning in UTC the token ends; `null` if it has no end
/// (<https://docs.gitlab.com/user/profile/personal_access_tokens/#access-token-expiration>).
fn end(value: Option<&Value>) -> TokenExpiry {
    match value {
        Some(Value::Null) => TokenExpiry::Never,
        Some(Value::String(text)) => Date::parse(text, DAY)
            .map(|day| day.midnight().assume_utc())
            .or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
            .map_or(TokenExpiry::Unknown, |end| TokenExpiry::At(end.into())),
        _ => TokenExpiry::Unknown,
    }
}

/// `GET /oauth/token/info`: <https://docs.gitlab.com/api/oauth2/#retrieve-the-token-information>.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct GrantInfo {
    pub user: u64,
    pub scopes: Option<ScopeSet>,
    pub expiry: TokenExpiry,
}

impl GrantInfo {
    /// Lives are counted from `asked_at`: rather too short than too long.
    pub fn read(reply: &Reply, asked_at: Timestamp) -> Option<Self> {
        let fields: Map<String, Value> = reply.json()?;
        // Each has an older name.
        let either = |new: &str, old: &str| fields.get(new).or_else(|| fields.get(old));
        Some(Self {
            user: id(fields.get("resource_owner_id"))?,
            scopes: scopes(either("scope", "scopes")),
            expiry: match either("expires_in", "expires_in_seconds") {
                Some(Value::Null) => TokenExpiry::Never,
                life => life
                    .and_then(Value::as_u64)
                    .filter(|seconds| *seconds <= LONGEST_LIFE)
                    .map_or(TokenExpiry::Unknown, |seconds| {
                        TokenExpiry::At(asked_at.plus(Duration::from_secs(seconds)))
                    }),
            },
        })
    }
}

/// `GET /user`: <https://docs.gitlab.com/api/users/#retrieve-the-current-user>.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct User {
    pub owner: ProviderAccount,
    /// Not a person: it belongs to a project or a group, or is a service account.
    pub bot: bool,
}

impl User {
    /// None that could not be told from others or shown.
    pub fn read(reply: &Reply) -> Option<Self> {
        let fields: Map<String, Value> = reply.json()?;
        let name = fields.get("username")?.as_str()?;
        Some(Self {
            owner: ProviderAccount::new(id(fields.get("id"))?.to_string(), name)?,
            bot: fields.get("bot").and_then(Value::as_bool).unwrap_or_default(),
        })
    }
}

fn id(value: Option<&Value>) -> Option<u64> {
    value?.as_u64().filter(|id| *id != 0)
}

/// A list, or words with blanks between. `None` unless all of them are scopes.
fn scopes(value: Option<&Value>) -> Option<ScopeSet> {
    match value? {
        Value::String(text) => Some(ScopeSet::parse(text)).filter(|scopes| scopes.iter().all(is_scope)),
        Value::Array(all) => all.iter().map(|scope| scope.as_str().filter(|scope| is_scope(scope))).collect(),
        _ => None,
    }
}
