//! Who comes in: the key in `Authorization`, and nothing else.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};

use super::{problem, unavailable};
use crate::{
    audit::{Action, Actor, Entry},
    clock::Timestamp,
    release::Caller,
    runtime_key::NotRecognised,
    site::Site,
    store::runtime::RuntimeKey,
    web::session::address_of,
    wire::Code,
};

/// So many wrong keys from one address …
const WRONG_KEYS: u32 = 20;
/// … in so long. Nobody can guess one; this keeps the noise down. A right key is let in all the same: behind one address
/// there may be many runtimes.
const WINDOW: Duration = Duration::from_secs(60);
/// Of more addresses than that none is remembered.
const ADDRESSES: usize = 10_000;

/// Ours have 36 letters.
const LONGEST_REQUEST_ID: usize = 64;

/// Counts wrong keys by address. In memory: a wrong key must not cost a write to the disk.
#[derive(Default)]
pub struct WrongKeys(Mutex<HashMap<IpAddr, (u32, Timestamp)>>);

impl WrongKeys {
    /// Counts one more; how many there are in its window, and when that ends.
    fn count(&self, address: IpAddr, now: Timestamp) -> (u32, Timestamp) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES {
            counts.clear();
        }
        let (count, ends_at) = counts.entry(network(address)).or_insert((0, now.plus(WINDOW)));
        if *ends_at <= now || *ends_at > now.plus(WINDOW) {
            (*count, *ends_at) = (0, now.plus(WINDOW));
        }
        *count = count.saturating_add(1);
        (*count, *ends_at)
    }
}

/// Whoever has one address of IPv6 has a whole network of them (RFC 4291 §2.5.1).
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Lets in who shows a key that is valid; everything after it finds out by [`Caller`] whose it is.
pub async fn let_in(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let address = address_of(&site, &request);
    let recognised = match key(request.headers()) {
        Some(key) => site.runtime_keys.recognise(key).await,
        None => Ok(Err(NotRecognised::Unknown)),
    };
    let request_id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    // Whoever asks may have chosen it.
    let request_id = request_id.filter(|id| id.len() <= LONGEST_REQUEST_ID).map(str::to_owned);
    let refused = match recognised {
        Ok(Ok((key, runtime))) => {
            site.holdings.key_used(&key.public_id, site.clock.now());
            let caller = Caller { runtime, public_id: key.public_id, request: request_id, address };
            request.extensions_mut().insert(caller);
            return next.run(request).await;
        }
        Ok(Err(refused)) => refused,
        Err(error) => return unavailable(&site, &error),
    };
    let now = site.clock.now();
    let (count, ends_at) = site.wrong_keys.count(address, now);
    if count == 1 {
        site.audit.note(refusal(&refused).by_request(request_id, address)).await;
    }
    if count > WRONG_KEYS {
        return problem(&site, Code::TooManyWrongKeys, Some(ends_at.since(now)));
    }
    let code = match refused {
        NotRecognised::Unknown => Code::KeyUnknown,
        NotRecognised::Revoked(_) => Code::KeyRevoked,
        NotRecognised::Disabled(_) => Code::RuntimeDisabled,
    };
    problem(&site, code, None)
}

/// Once per address and window, so that nobody fills the log.
fn refusal(refused: &NotRecognised) -> Entry {
    let with = |key: &RuntimeKey, reason| {
        let actor = Actor::RuntimeKey { public_id: key.public_id.clone() };
        let entry = Entry::new(actor, Action::RuntimeKeyRefused).refused(reason);
        Entry { runtime: Some(key.runtime.clone()), ..entry }
    };
    match refused {
        NotRecognised::Unknown => {
            Entry::new(Actor::Stranger, Action::RuntimeKeyRefused).refused("key_unknown")
        }
        NotRecognised::Revoked(key) => with(key, "key_revoked"),
        NotRecognised::Disabled(key) => with(key, "runtime_disabled"),
    }
}

/// What stands after `Bearer` (RFC 6750 §2.1), in the one such header.
fn key(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_counted_by_address_and_window() {
        let wrong = WrongKeys::default();
        let now = Timestamp::from_seconds(1_000_000);
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!(wrong.count(one, now), (1, now.plus(WINDOW)));
        assert_eq!(wrong.count(one, now.plus(WINDOW / 2)), (2, now.plus(WINDOW)));
        assert_eq!(wrong.count(other, now).0, 1);
        assert_eq!(wrong.count(one, now.plus(WINDOW)).0, 1, "a new window");
        assert_eq!(wrong.count(one, now.minus(WINDOW * 100)).0, 1, "the clock was set back");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let wrong = WrongKeys::default();
        let now = Timestamp::from_seconds(1_000_000);
        assert_eq!(wrong.count("2001:db8::1".parse().unwrap(), now).0, 1);
        assert_eq!(wrong.count("2001:db8::2".parse().unwrap(), now).0, 2);
        assert_eq!(wrong.count("2001:db8:0:1::2".parse().unwrap(), now).0, 1);
    }

    #[test]
    fn only_one_bearer_header_counts() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(key(&headers(&["Bearer gwr_a"])), Some("gwr_a"));
        assert_eq!(key(&headers(&["bearer gwr_a"])), Some("gwr_a"));
        for wrong in [&[][..], &["gwr_a"], &["Basic gwr_a"], &["Bearer"], &["Bearer a", "Bearer b"]] {
            assert_eq!(key(&headers(wrong)), None, "{wrong:?}");
        }
    }
}
