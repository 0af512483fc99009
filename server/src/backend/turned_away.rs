//! Who was turned away before anything was looked at.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Timestamp, person::address_bucket};

/// One entry for each reason and address in so long.
const WINDOW: Duration = Duration::from_secs(60);
/// So many entries in all in that time: the addresses that somebody has may be as many as they like.
const MOST: usize = 100;

/// Remembers for whom there is an entry in the audit log already. In memory: who is turned away must not cost a write
/// to the disk each time.
#[derive(Default)]
pub struct TurnedAway(Mutex<HashMap<(String, &'static str), Timestamp>>);

impl TurnedAway {
    /// Whether it should be written down.
    pub(super) fn is_first(&self, address: IpAddr, reason: &'static str, now: Timestamp) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of a time to come were noted before the clock was set back.
        noted.retain(|_, at| *at <= now && now < at.plus(WINDOW));
        if noted.len() >= MOST {
            return false;
        }
        noted.insert((address_bucket(address), reason), now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_348_800);

    #[test]
    fn a_reason_is_written_down_once_a_minute_for_each_network() {
        let turned_away = TurnedAway::default();
        let [here, there, near] = ["2001:db8::1", "2001:db8:0:1::1", "2001:db8::ffff"]
            .map(|text| text.parse::<Ipv6Addr>().unwrap());
        assert!(turned_away.is_first(here.into(), "busy", NOW));
        assert!(!turned_away.is_first(near.into(), "busy", NOW.plus(WINDOW / 2)));
        assert!(turned_away.is_first(there.into(), "busy", NOW));
        assert!(turned_away.is_first(here.into(), "link_spent", NOW));
        assert!(turned_away.is_first(near.into(), "busy", NOW.plus(WINDOW)));
    }

    #[test]
    fn however_many_addresses_somebody_has_the_log_grows_slowly() {
        let turned_away = TurnedAway::default();
        let addresses = (0..1000).map(|number| IpAddr::from(Ipv4Addr::from_bits(number)));
        let noted = addresses.filter(|address| turned_away.is_first(*address, "busy", NOW)).count();
        assert_eq!(noted, MOST);
        let later = NOW.plus(WINDOW);
        assert!(
            turned_away.is_first(Ipv4Addr::LOCALHOST.into(), "busy", later),
            "and goes on a minute later"
        );
    }
}
