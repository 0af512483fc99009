//! When to ask again after too many requests.

use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::http::Reply;
use crate::clock::Timestamp;

/// Providers count in windows of one hour or less; what claims to last longer than two is not believed.
const LONGEST_LIMIT_SECONDS: i64 = 2 * 60 * 60;

/// The value of `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub fn retry_after(reply: &Reply, now: Timestamp) -> Option<Timestamp> {
    let value = reply.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Timestamp::from_seconds(now.seconds().saturating_add(i64::from(seconds))));
    }
    OffsetDateTime::parse(value, &Rfc2822).ok().map(Timestamp::from)
}

/// A header that holds seconds since 1970.
pub fn reset(reply: &Reply, header: &str) -> Option<Timestamp> {
    reply.header(header)?.trim().parse().ok().map(Timestamp::from_seconds)
}

/// A moment to wait for: none in the past, none too far away.
pub fn believed(until: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let longest = Timestamp::from_seconds(now.seconds().saturating_add(LONGEST_LIMIT_SECONDS));
    (until > now).then(|| until.min(longest))
}
