//! Too many requests, and when to ask again.

use http::StatusCode;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::{ProviderError, http::Reply};
use crate::{clock::Timestamp, credential::Evidence};

/// Providers count in windows of one hour or less; what claims to last longer than two is not believed.
const LONGEST_LIMIT_SECONDS: i64 = 2 * 60 * 60;

/// What an answer says about the number of requests, and nothing about a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// Until when, where the answer says so: never in the past, nor too far away.
    pub until: Option<Timestamp>,
}

impl Limit {
    /// 429 is about a limit, and so is what the provider itself has as a sign of one, `is_limit`. Until when is in
    /// `Retry-After`, or in a header that holds seconds since 1970.
    pub fn of(reply: &Reply, now: Timestamp, is_limit: bool, reset_header: Option<&str>) -> Option<Self> {
        if !is_limit && reply.status != StatusCode::TOO_MANY_REQUESTS {
            return None;
        }
        let until = retry_after(reply, now).or_else(|| reset(reply, reset_header?));
        Some(Self { until: until.and_then(|until| believed(until, now)) })
    }

    /// As the answer to a question.
    pub fn error(self, label: &str, reply: &Reply) -> ProviderError {
        let evidence = Evidence::new(label, reply.status.as_str());
        ProviderError::RateLimited { until: self.until, evidence }
    }
}

/// The value of `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub fn retry_after(reply: &Reply, now: Timestamp) -> Option<Timestamp> {
    let value = reply.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Timestamp::from_seconds(now.seconds().saturating_add(i64::from(seconds))));
    }
    OffsetDateTime::parse(value, &Rfc2822).ok().map(Timestamp::from)
}

fn reset(reply: &Reply, header: &str) -> Option<Timestamp> {
    reply.header(header)?.trim().parse().ok().map(Timestamp::from_seconds)
}

fn believed(until: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let longest = Timestamp::from_seconds(now.seconds().saturating_add(LONGEST_LIMIT_SECONDS));
    (until > now).then(|| until.min(longest))
}
