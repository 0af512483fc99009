use super::*;
use crate::{random::TestEntropy, store::contract::NOW};

const MINUTE: Duration = Duration::from_secs(60);
const PACE: Pace = Pace { per_second: 10, burst: 5 };

struct Scene {
    host: Host,
    now: Timestamp,
    entropy: TestEntropy,
}

impl Scene {
    fn new() -> Self {
        Self { host: Host::default(), now: NOW, entropy: TestEntropy::new(1) }
    }

    fn said(&mut self, who: u32, signal: Signal) -> Option<Turn> {
        self.host.weigh(&CredentialId(who.to_string()), signal, self.now, self.now, &self.entropy)
    }

    /// One after the other, each another credential's.
    fn each_said(&mut self, count: u32, signal: Signal) -> Vec<Turn> {
        (0..count).filter_map(|who| self.said(who, signal)).collect()
    }

    fn take(&mut self, want: u32) -> u32 {
        self.host.take(self.now, want, PACE)
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    /// Minute by minute, until a question is allowed; how many minutes that took.
    fn until_allowed(&mut self) -> u32 {
        for minutes in 0..24 * 60 {
            if self.take(100) > 0 {
                return minutes;
            }
            self.pass(MINUTE);
        }
        panic!("nothing is ever allowed");
    }
}

const REFUSED: Signal = Signal::Refused { first: true };

#[test]
fn a_host_is_asked_at_its_pace_and_no_more() {
    let mut scene = Scene::new();
    assert_eq!(scene.take(100), 5, "the reserve");
    assert_eq!(scene.take(100), 0);
    scene.pass(Duration::from_millis(99));
    assert_eq!(scene.take(100), 0);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.take(100), 1);
    let mut taken = 0;
    for _ in 0..100 {
        scene.pass(Duration::from_millis(100));
        taken += scene.take(1);
    }
    assert_eq!(taken, 100);
    scene.pass(MINUTE * 60);
    assert_eq!(scene.take(100), 5, "what was not used is not kept");
}

#[test]
fn what_did_not_wait_is_waited_for_later() {
    let mut scene = Scene::new();
    scene.host.spend(scene.now, 15, PACE);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.take(1), 0);
    scene.pass(Duration::from_millis(100));
    assert_eq!(scene.take(9), 1);
}

#[test]
fn a_clock_that_jumps_neither_stops_a_host_nor_floods_it() {
    for (jump, back) in [(600, false), (600, true), (3600, true), (31_536_000, false), (31_536_000, true)] {
        let mut scene = Scene::new();
        scene.take(100);
        let span = Duration::from_secs(jump);
        scene.now = if back { scene.now.minus(span) } else { scene.now.plus(span) };
        let at_once = scene.take(100);
        assert!(at_once <= PACE.burst, "{jump} {back}: {at_once}");
        let mut taken = 0;
        for _ in 0..20 {
            scene.pass(Duration::from_millis(100));
            taken += scene.take(1);
        }
        assert!(taken >= 15, "{jump} {back}: {taken} in two seconds");
    }
}

#[test]
fn two_that_fail_are_two_and_three_in_a_row_are_one_incident() {
    let mut scene = Scene::new();
    assert_eq!(scene.each_said(2, Signal::Unreachable), []);
    assert_eq!(scene.host.gate(scene.now), Gate::Open);
    scene.said(9, Signal::Passed);
    assert_eq!(scene.each_said(2, Signal::Unreachable), [], "not in a row");
    assert_eq!(scene.said(2, Signal::Unreachable), Some(Turn::Began));
    assert_eq!(scene.each_said(50, Signal::Unreachable), [], "no second one");
    assert_eq!(scene.host.gate(scene.now), Gate::Shut);
}

#[test]
fn one_token_that_fails_for_long_is_an_incident_where_there_is_no_other() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        assert_eq!(scene.said(1, Signal::Unreachable), None);
        scene.pass(MINUTE * 5);
    }
    assert_eq!(scene.said(1, Signal::Unreachable), Some(Turn::Began));
}

#[test]
fn a_host_in_trouble_is_probed_ever_more_rarely_and_one_at_a_time() {
    let mut scene = Scene::new();
    scene.each_said(3, Signal::Unreachable);
    let mut waits = Vec::new();
    for who in 0..8 {
        let waited = scene.until_allowed();
        assert_eq!(scene.take(100), 0, "one probe at a time");
        scene.said(who, Signal::Unreachable);
        waits.push(waited);
    }
    assert_eq!(waits[0], 1);
    for (before, after) in waits.iter().zip(&waits[1..]) {
        assert!(after >= before && *after <= 17, "{waits:?}");
    }
    assert!(waits[7] >= 15, "{waits:?}");
}

#[test]
fn what_was_under_way_when_trouble_began_is_no_probe() {
    let mut scene = Scene::new();
    scene.each_said(3, Signal::Unreachable);
    let before = scene.now;
    scene.pass(Duration::from_secs(10));
    for who in 3..16 {
        let who = CredentialId(who.to_string());
        scene.host.weigh(&who, Signal::Unreachable, before, scene.now, &scene.entropy);
    }
    assert_eq!(scene.until_allowed(), 1, "not a quarter of an hour");
}

#[test]
fn one_that_passes_ends_the_incident_and_soon_after_it_is_still_the_same() {
    let mut scene = Scene::new();
    scene.each_said(3, Signal::Unreachable);
    let began_at = scene.now;
    scene.pass(MINUTE);
    assert_eq!(scene.take(9), 1);
    assert_eq!(scene.said(9, Signal::Passed), Some(Turn::Ended));
    assert_eq!(scene.host.well_since(), Some(scene.now));
    assert_eq!(scene.host.gate(scene.now), Gate::Open);
    scene.pass(MINUTE);
    assert_eq!(scene.each_said(3, Signal::Unreachable), [Turn::GoesOn]);
    let incident = scene.host.incident("h").unwrap();
    assert_eq!((incident.began_at, incident.ended_at), (began_at, None));
    scene.said(9, Signal::Passed);
    scene.pass(MINUTE * 11);
    assert_eq!(scene.each_said(3, Signal::Unreachable), [Turn::Began], "another one");
}

#[test]
fn many_good_ones_refused_in_a_row_are_an_incident_and_dead_ones_are_not() {
    let mut scene = Scene::new();
    assert_eq!(scene.each_said(9, Signal::Refused { first: false }), []);
    assert_eq!(scene.each_said(4, REFUSED), []);
    scene.said(9, Signal::Passed);
    assert_eq!(scene.each_said(4, REFUSED), []);
    assert!(scene.host.doubted() && !scene.host.in_trouble());
    assert_eq!(scene.said(4, REFUSED), Some(Turn::Began));
    assert!(scene.host.in_trouble());
    assert_eq!(scene.host.incident("h").unwrap().trouble, Trouble::Refusing);
}

#[test]
fn a_host_that_refuses_for_longer_than_any_brown_out_is_believed_until_one_passes() {
    let mut scene = Scene::new();
    scene.each_said(5, REFUSED);
    let began_at = scene.now;
    let mut turns = Vec::new();
    for who in 5..100 {
        scene.until_allowed();
        turns.extend(scene.said(who, REFUSED));
        if !turns.is_empty() {
            break;
        }
    }
    assert_eq!(turns, [Turn::Ended]);
    let lasted = scene.now.since(began_at);
    assert!(lasted > MINUTE * 6 * 60 && lasted < MINUTE * 9 * 60, "{lasted:?}");
    scene.pass(MINUTE * 3);
    assert_eq!(scene.each_said(9, REFUSED), [], "they are dead, which is no incident");
    scene.said(1, Signal::Passed);
    scene.pass(MINUTE * 11);
    assert_eq!(scene.each_said(5, REFUSED), [Turn::Began]);
}

#[test]
fn a_host_that_comes_back_and_refuses_everybody_is_still_in_trouble() {
    let mut scene = Scene::new();
    scene.each_said(3, Signal::Unreachable);
    scene.pass(MINUTE);
    assert_eq!(scene.said(1, REFUSED), Some(Turn::GoesOn));
    assert!(scene.host.in_trouble());
    assert_eq!(scene.host.incident("h").unwrap().trouble, Trouble::Refusing);
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_and_then_one_goes_first() {
    let mut scene = Scene::new();
    let until = scene.now.plus(MINUTE * 20);
    assert_eq!(scene.said(1, Signal::Limited { until: Some(until), own: false }), None);
    assert_eq!(scene.host.limited(scene.now), Some(until));
    // A later answer to an earlier question does not shorten it, and a pass does not lift it.
    scene.said(2, Signal::Limited { until: Some(scene.now.plus(MINUTE)), own: false });
    scene.said(3, Signal::Passed);
    assert_eq!(scene.until_allowed(), 20);
    assert_eq!(scene.take(100), 0, "one first");
    scene.said(3, Signal::Passed);
    assert_eq!(scene.take(100), 4, "then as usual");
}

#[test]
fn the_limit_of_one_account_is_not_the_hosts() {
    let mut scene = Scene::new();
    let until = Some(scene.now.plus(MINUTE * 20));
    for _ in 0..9 {
        assert_eq!(scene.said(1, Signal::Limited { until, own: true }), None);
    }
    assert_eq!(scene.take(3), 3);
}

#[test]
fn a_moment_that_a_clock_set_back_left_behind_stops_nobody() {
    let mut scene = Scene::new();
    scene.pass(MINUTE * 60 * 24 * 365);
    scene.each_said(3, Signal::Limited { until: Some(scene.now.plus(MINUTE * 60)), own: false });
    scene.each_said(20, Signal::Refused { first: false });
    scene.now = NOW;
    assert_eq!(scene.host.limited(scene.now), None);
    assert_eq!(scene.host.gate(scene.now), Gate::Probe);
}

#[test]
fn who_looked_at_the_clock_before_somebody_else_wrote_takes_nothing_back() {
    let mut scene = Scene::new();
    scene.pass(Duration::from_secs(1));
    scene.said(1, Signal::Refused { first: false });
    scene.now = NOW;
    scene.each_said(9, Signal::Refused { first: false });
    assert_eq!(scene.host.gate(NOW), Gate::Shut, "ten in three minutes");

    let mut scene = Scene::new();
    scene.each_said(3, Signal::Unreachable);
    scene.pass(MINUTE);
    assert_eq!(scene.host.gate(scene.now), Gate::Probe);
    let earlier = scene.now;
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.take(1), 1);
    assert_eq!(scene.host.gate(earlier), Gate::Shut, "one probe at a time");
}

#[test]
fn a_host_is_never_shown_so_many_bad_tokens_that_it_bans_this_address() {
    let mut scene = Scene::new();
    let mut refused = Vec::new();
    for _ in 0..3600 {
        scene.pass(Duration::from_secs(1));
        for _ in 0..scene.take(16) {
            refused.push(scene.now);
            scene.said(1, Signal::Refused { first: false });
        }
    }
    let in_three_minutes =
        |from: &Timestamp| refused.iter().filter(|at| *at >= from && **at < from.plus(MINUTE * 3)).count();
    let most = refused.iter().map(in_three_minutes).max().unwrap();
    assert!(most < 30, "{most}");
    assert!(refused.len() >= 100, "and it goes on: {}", refused.len());
}

#[test]
fn what_is_known_of_a_host_survives_being_written_down() {
    let mut scene = Scene::new();
    scene.take(3);
    scene.each_said(5, REFUSED);
    scene.said(1, Signal::Limited { until: Some(scene.now.plus(MINUTE)), own: false });
    let text = serde_json::to_string(&scene.host).unwrap();
    assert_eq!(serde_json::from_str::<Host>(&text).unwrap(), scene.host);
    assert_eq!(serde_json::from_str::<Host>("{}").unwrap(), Host::default());
}
