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
    store::StoreError,
    web::session::address_of,
    wire::Code,
};

/// So many wrong keys from one address …
const WRONG_KEYS: u32 = 20;
/// … in so long. Nobody can guess one; this keeps the noise down. A right key is let in all the same: behind one
/// address there may be many runtimes.
const WINDOW: Duration = Duration::from_secs(60);
/// Of more than that none is remembered.
const REMEMBERED: usize = 10_000;
/// So many entries about wrong keys fit into the log in a window, whoever shows them and from wherever.
const NOTED: u32 = 30;

/// Ours have 36 letters.
const LONGEST_REQUEST_ID: usize = 64;

/// What is counted.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Counted {
    /// Wrong keys from there.
    From(IpAddr),
    /// Uses of a key that was right once.
    Ended(String),
    /// Entries in the log about keys that never were.
    Noted,
}

/// Counts wrong keys. In memory: a wrong key must not cost a write to the disk.
#[derive(Default)]
pub struct WrongKeys(Mutex<HashMap<Counted, (u32, Timestamp)>>);

impl WrongKeys {
    /// Counts one more; how many there are in its window, and when that ends.
    fn count(&self, what: Counted, now: Timestamp) -> (u32, Timestamp) {
        let what = match what {
            Counted::From(address) => Counted::From(network(address)),
            what => what,
        };
        let goes_on = |ends_at: Timestamp| ends_at > now && ends_at <= now.plus(WINDOW);
        let fresh = (1, now.plus(WINDOW));
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= REMEMBERED && !counts.contains_key(&what) {
            counts.retain(|_, (_, ends_at)| goes_on(*ends_at));
            // Whoever has so many addresses is not counted any more, but those before are.
            if counts.len() >= REMEMBERED {
                return fresh;
            }
        }
        let counted = counts.entry(what).or_insert((0, fresh.1));
        *counted = if goes_on(counted.1) { (counted.0.saturating_add(1), counted.1) } else { fresh };
        *counted
    }

    /// Whether this is worth an entry in the log: the first use of an ended key in its window, whatever else came from
    /// there; the first of a key that never was from an address, as long as not the whole world does it.
    fn is_news(&self, refused: &NotRecognised, from_there: u32, now: Timestamp) -> bool {
        match refused {
            NotRecognised::Unknown => from_there == 1 && self.count(Counted::Noted, now).0 <= NOTED,
            NotRecognised::Revoked(key) | NotRecognised::Disabled(key) => {
                self.count(Counted::Ended(key.public_id.clone()), now).0 == 1
            }
        }
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
    let (count, ends_at) = site.wrong_keys.count(Counted::From(address), now);
    if site.wrong_keys.is_news(&refused, count, now) {
        let entry = match refusal(&site, &refused).await {
            Ok(entry) => entry,
            Err(error) => return unavailable(&site, &error),
        };
        site.audit.note(entry.by_request(request_id, address)).await;
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

/// What stands in the log. Of a key that was right once, its account's admins find it.
async fn refusal(site: &Site, refused: &NotRecognised) -> Result<Entry, StoreError> {
    let (key, code) = match refused {
        NotRecognised::Unknown => {
            let entry = Entry::new(Actor::Stranger, Action::RuntimeKeyRefused);
            return Ok(entry.refused(Code::KeyUnknown.word()));
        }
        NotRecognised::Revoked(key) => (key, Code::KeyRevoked),
        NotRecognised::Disabled(key) => (key, Code::RuntimeDisabled),
    };
    let actor = Actor::RuntimeKey { public_id: key.public_id.clone() };
    let entry = Entry::new(actor, Action::RuntimeKeyRefused).refused(code.word());
    let account = site.store.account_of(&key.runtime).await?;
    Ok(Entry { account, runtime: Some(key.runtime.clone()), ..entry })
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

    fn from(address: &str) -> Counted {
        Counted::From(address.parse().unwrap())
    }

    #[test]
    fn wrong_keys_are_counted_by_address_and_window() {
        let wrong = WrongKeys::default();
        let now = Timestamp::from_seconds(1_000_000);
        let (one, other) = (|| from("192.0.2.1"), || from("192.0.2.2"));
        assert_eq!(wrong.count(one(), now), (1, now.plus(WINDOW)));
        assert_eq!(wrong.count(one(), now.plus(WINDOW / 2)), (2, now.plus(WINDOW)));
        assert_eq!(wrong.count(other(), now).0, 1);
        assert_eq!(wrong.count(one(), now.plus(WINDOW)).0, 1, "a new window");
        assert_eq!(wrong.count(one(), now.minus(WINDOW * 100)).0, 1, "the clock was set back");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        let wrong = WrongKeys::default();
        let now = Timestamp::from_seconds(1_000_000);
        assert_eq!(wrong.count(from("2001:db8::1"), now).0, 1);
        assert_eq!(wrong.count(from("2001:db8::2"), now).0, 2);
        assert_eq!(wrong.count(from("2001:db8:0:1::2"), now).0, 1);
    }

    #[test]
    fn who_comes_from_everywhere_fills_neither_the_memory_nor_the_log() {
        let wrong = WrongKeys::default();
        let now = Timestamp::from_seconds(1_000_000);
        wrong.count(from("192.0.2.1"), now);
        let news = (0..2 * REMEMBERED as u128)
            .filter(|at| {
                let address = Ipv6Addr::from((0x2001_0db8_u128 << 96) | (at << 64));
                let (count, _) = wrong.count(Counted::From(address.into()), now);
                wrong.is_news(&NotRecognised::Unknown, count, now)
            })
            .count();
        assert_eq!(news, NOTED as usize);
        assert!(wrong.0.lock().unwrap().len() <= REMEMBERED);
        assert_eq!(wrong.count(from("192.0.2.1"), now).0, 2, "those before are still known");
        let later = now.plus(WINDOW);
        assert_eq!(wrong.count(from("192.0.2.9"), later), (1, later.plus(WINDOW)));
        assert!(wrong.is_news(&NotRecognised::Unknown, 1, later), "in the next window");
        assert!(wrong.0.lock().unwrap().len() < 10, "what is over is forgotten");
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
