//! What users are told over whole days, on a clock that is moved, by one herald or many.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::future::join_all;

use super::*;
use crate::{
    credential::{Credential, Method, Push},
    id::{CredentialId, RuntimeId},
    notice::{Before, Event, Hide, Kind, Lack},
    provider::Provider,
    random::{Entropy, TestEntropy},
    scope::ScopeSet,
    store::{AccessStore, NewCredential, NoticeStore, WatchStore, contract, sqlite::SqliteStore},
    watch::tests::{Mood, World, spent, token},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const START: EventId = EventId(0);

/// Another server process's, if `store` is.
fn herald_over(world: &World, store: &Arc<SqliteStore>) -> Arc<Herald> {
    let provider: Arc<dyn Provider> = Arc::<crate::watch::tests::Simulated>::clone(&world.host);
    let registry = Arc::new(Registry::new([provider], []));
    let (store, clock) = (Arc::<SqliteStore>::clone(store), Arc::new(world.clock.clone()));
    Arc::new(Herald::new(store, registry, clock, Arc::clone(&world.watch.checker.changes)))
}

fn herald(world: &World) -> Arc<Herald> {
    herald_over(world, &world.store)
}

/// Opens the world's database once more, as another process does.
async fn another(world: &World) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(&world.folder.path().join("gitward.db")).await.unwrap())
}

/// Time passes, with checks in the background.
async fn pass(world: &World, herald: &Herald, span: Duration, step: Duration) {
    let end = world.clock.now().plus(span);
    while world.clock.now() < end {
        world.clock.advance(step);
        world.round().await;
        herald.round().await.unwrap();
    }
}

fn user(number: usize) -> UserId {
    UserId(format!("u{number}"))
}

fn runtime(user: usize, number: usize) -> RuntimeId {
    RuntimeId(format!("a{user}.r{number}"))
}

async fn events(world: &World) -> Vec<Event> {
    world.store.news(START, 1_000_000).await.unwrap()
}

/// What users were told, and of which runtime or host.
async fn told(world: &World) -> Vec<(String, String, Kind)> {
    let told = events(world).await.into_iter().filter(|event| event.is_notice);
    let about = |event: &Event| event.runtime.as_ref().map(ToString::to_string).or(event.host.clone());
    told.map(|event| (event.user.to_string(), about(&event).unwrap(), event.kind)).collect()
}

fn one(user: &str, about: &str, kind: Kind) -> (String, String, Kind) {
    (user.to_owned(), about.to_owned(), kind)
}

async fn kinds(world: &World, user: usize, number: usize) -> Vec<Kind> {
    let runtime = runtime(user, number);
    let all = events(world).await;
    all.into_iter().filter(|event| event.runtime.as_ref() == Some(&runtime)).map(|event| event.kind).collect()
}

/// As the provider's answers would have it.
async fn record(world: &World, user: usize, number: usize, change: impl FnOnce(&mut Credential)) {
    let mut credential = world.credential(user, number).await;
    let seen = credential.standing.clone();
    change(&mut credential);
    assert!(world.store.record(&credential, &seen).await.unwrap());
}

async fn set_invalid(store: &SqliteStore, credential: &mut Credential, invalid: bool, now: Timestamp) {
    let seen = credential.standing.clone();
    credential.standing.invalid = invalid;
    credential.standing.rejected_since = invalid.then_some(now);
    assert!(store.record(credential, &seen).await.unwrap());
}

/// Everything is looked at, and nothing of it is news.
async fn settle(world: &World) -> Arc<Herald> {
    let herald = herald(world);
    herald.round().await.unwrap();
    assert_eq!(told(world).await, []);
    herald
}

#[tokio::test]
async fn a_token_that_dies_is_told_once_and_so_is_its_recovery() {
    let world = World::of(&[3, 3]).await;
    let herald = settle(&world).await;
    pass(&world, &herald, HOUR * 2, MINUTE).await;
    world.host.kill(&token(0, 1));
    pass(&world, &herald, HOUR * 30, MINUTE * 5).await;
    let dead = one("u0", "a0.r1", Kind::Invalid);
    assert_eq!(told(&world).await, std::slice::from_ref(&dead));
    world.host.revive(&token(0, 1));
    pass(&world, &herald, DAY, MINUTE * 5).await;
    assert_eq!(told(&world).await, [dead, one("u0", "a0.r1", Kind::Recovered)]);
    assert_eq!(kinds(&world, 0, 1).await, [Kind::Added, Kind::Refused, Kind::Invalid, Kind::Recovered]);
    assert_eq!(kinds(&world, 0, 0).await, [Kind::Added]);
    let timeline = world.store.timeline(&user(0), &runtime(0, 1), None, 9).await.unwrap();
    let answers: Vec<_> = timeline.iter().map(|event| event.detail.evidence.as_ref()).collect();
    let said = |place: usize| answers[place].map(|evidence| evidence.answer.as_str());
    assert_eq!([said(0), said(1), said(2), said(3)], [Some("200"), Some("401"), Some("401"), None]);
}

#[tokio::test]
async fn a_day_without_the_host_is_one_notice_for_each_user_and_none_about_a_token() {
    let world = World::of(&[4, 2, 2, 2]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    // The third has hidden all runtimes, one of them for a while; the fourth wants no notices.
    store.hide(&user(2), &runtime(2, 0), Hide::Always).await.unwrap();
    let long = world.clock.now().plus(DAY * 7);
    store.hide(&user(2), &runtime(2, 1), Hide::Until(long)).await.unwrap();
    store.set_wants_notices(&user(3), false).await.unwrap();
    // One hidden runtime of several is not the host.
    store.hide(&user(0), &runtime(0, 0), Hide::Always).await.unwrap();
    pass(&world, &herald, HOUR * 2, MINUTE).await;
    world.host.set(Mood::Down);
    pass(&world, &herald, DAY, MINUTE).await;
    let began = |user| one(user, "sim.example", Kind::IncidentBegan);
    assert_eq!(told(&world).await, [began("u0"), began("u1")]);
    world.host.set(Mood::Well);
    // What was hidden is shown again: that tells nothing late.
    store.hide(&user(2), &runtime(2, 0), Hide::No).await.unwrap();
    store.set_wants_notices(&user(3), true).await.unwrap();
    pass(&world, &herald, HOUR * 2, MINUTE).await;
    let ended = |user| one(user, "sim.example", Kind::IncidentEnded);
    assert_eq!(told(&world).await, [began("u0"), began("u1"), ended("u0"), ended("u1")]);
    let of_tokens = events(&world).await.into_iter().filter(|event| event.runtime.is_some());
    let bad =
        of_tokens.filter(|event| matches!(event.kind, Kind::Invalid | Kind::Expired | Kind::ScopesLost));
    assert_eq!(bad.count(), 0);
}

#[tokio::test]
async fn an_hour_in_which_the_host_refuses_everybody_is_one_notice_for_each_user() {
    let world = World::of(&[40, 20]).await;
    let herald = settle(&world).await;
    pass(&world, &herald, HOUR * 2, MINUTE).await;
    world.host.set(Mood::RefusesAll);
    pass(&world, &herald, HOUR, SECOND * 30).await;
    world.host.set(Mood::Well);
    pass(&world, &herald, HOUR * 4, MINUTE).await;
    let both = |kind| [one("u0", "sim.example", kind), one("u1", "sim.example", kind)];
    let all = [both(Kind::IncidentBegan), both(Kind::IncidentEnded)].concat();
    assert_eq!(told(&world).await, all);
}

#[tokio::test]
async fn trouble_of_a_few_minutes_is_nobodys_business() {
    let world = World::of(&[30]).await;
    let herald = settle(&world).await;
    pass(&world, &herald, HOUR, MINUTE).await;
    world.host.set(Mood::Down);
    while world.store.incidents(world.clock.now()).await.unwrap().is_empty() {
        pass(&world, &herald, MINUTE, SECOND * 30).await;
    }
    world.host.set(Mood::Well);
    pass(&world, &herald, HOUR * 3, SECOND * 30).await;
    assert!(world.store.incidents(world.clock.now()).await.unwrap().is_empty());
    assert_eq!(told(&world).await, []);
}

#[tokio::test]
async fn who_hides_a_runtime_hears_nothing_of_it_then_nor_later() {
    let world = World::of(&[3, 1]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    let until = world.clock.now().plus(HOUR);
    store.hide(&user(0), &runtime(0, 0), Hide::Always).await.unwrap();
    store.hide(&user(0), &runtime(0, 1), Hide::Until(until)).await.unwrap();
    store.set_wants_notices(&user(1), false).await.unwrap();
    let flip = async |invalid: bool| {
        for (user, number) in [(0, 0), (0, 1), (0, 2), (1, 0)] {
            let now = world.clock.now();
            let mut credential = world.credential(user, number).await;
            set_invalid(store, &mut credential, invalid, now).await;
        }
        herald.round().await.unwrap();
    };
    flip(true).await;
    let third = |kind| one("u0", "a0.r2", kind);
    assert_eq!(told(&world).await, [third(Kind::Invalid)]);
    assert_eq!(kinds(&world, 0, 0).await, [Kind::Added, Kind::Invalid], "the timeline has it");
    // Shown again, by hand, by time and for all: nothing comes late, not even that it is over.
    store.hide(&user(0), &runtime(0, 0), Hide::No).await.unwrap();
    store.set_wants_notices(&user(1), true).await.unwrap();
    world.clock.set(until);
    herald.round().await.unwrap();
    flip(false).await;
    assert_eq!(told(&world).await, [third(Kind::Invalid), third(Kind::Recovered)]);
    // And from then on all of it again.
    flip(true).await;
    assert_eq!(told(&world).await.len(), 2 + 4);
}

/// The host says what time it is, which is what the clock shows at the moment.
fn says_the_time(world: &World) {
    world.host.place().heard(world.clock.now());
}

/// Time passes, for everybody, with nothing else.
fn until(world: &World, moment: Timestamp) {
    world.clock.advance(moment.since(world.clock.now()));
}

#[tokio::test]
async fn a_known_end_is_told_at_its_moments_and_each_once() {
    let world = World::of(&[2]).await;
    says_the_time(&world);
    let end = world.clock.now().plus(DAY * 20);
    record(&world, 0, 0, |credential| credential.expires_at = Some(end)).await;
    let herald = settle(&world).await;
    let mut expected = Vec::new();
    for (days, kind) in [(14, Kind::Expiring), (7, Kind::Expiring), (1, Kind::Expiring), (0, Kind::Expired)] {
        let moment = end.minus(DAY * days);
        until(&world, moment.minus(SECOND));
        herald.round().await.unwrap();
        assert_eq!(told(&world).await, expected, "a second before {days}");
        until(&world, moment);
        herald.round().await.unwrap();
        expected.push(one("u0", "a0.r0", kind));
        assert_eq!(told(&world).await, expected, "at {days}");
        let event = world.store.notices(&user(0), None, 1).await.unwrap().remove(0);
        assert_eq!((event.at, event.detail.ends_at), (moment, Some(end)));
        assert_eq!(event.detail.days.map_or(0, u32::from), days);
        herald.round().await.unwrap();
        assert_eq!(told(&world).await, expected, "once");
    }
    assert!(PAUSE < SECOND / 2, "how late a moment is noticed at worst");
}

#[tokio::test]
async fn a_clock_that_jumps_tells_nothing_twice_and_nothing_that_is_not_so() {
    let year = DAY * 365;
    for (span, back) in [(MINUTE * 10, false), (MINUTE * 10, true), (HOUR, true), (year, false), (year, true)]
    {
        let world = World::of(&[2]).await;
        says_the_time(&world);
        let end = world.clock.now().plus(DAY * 20);
        record(&world, 0, 0, |credential| credential.expires_at = Some(end)).await;
        let herald = settle(&world).await;
        let mut expected = Vec::new();
        for days in [14, 7, 1, 0] {
            let moment = end.minus(DAY * days);
            until(&world, moment.minus(SECOND));
            // Wrong just before it, and just after it.
            for (passes, wrong) in [(Duration::ZERO, true), (SECOND, true), (Duration::ZERO, false)] {
                world.clock.advance(passes);
                let now = world.clock.now();
                if wrong {
                    world.clock.set(if back { now.minus(span) } else { now.plus(span) });
                }
                herald.round().await.unwrap();
                herald.round().await.unwrap();
                if passes.is_zero() && wrong {
                    assert_eq!(told(&world).await, expected, "{span:?} {back}: {days} days are not yet");
                }
                world.clock.set(now);
            }
            expected.push(one("u0", "a0.r0", if days == 0 { Kind::Expired } else { Kind::Expiring }));
            assert_eq!(told(&world).await, expected, "{span:?} {back}: {days} days");
        }
        // News after it are news: nothing waits for a moment that a wrong clock named.
        record(&world, 0, 1, |credential| credential.standing.invalid = true).await;
        herald.round().await.unwrap();
        assert_eq!(told(&world).await[expected.len()..], [one("u0", "a0.r1", Kind::Invalid)]);
    }
}

#[tokio::test]
async fn a_clock_that_is_days_ahead_at_the_start_ends_no_token() {
    let world = World::of(&[3]).await;
    let start = world.clock.now();
    let (soon, late) = (start.plus(DAY * 20), start.plus(DAY * 100));
    says_the_time(&world);
    for (number, end) in [(0, soon), (1, late)] {
        record(&world, 0, number, |credential| credential.expires_at = Some(end)).await;
    }
    settle(&world).await;
    let before = events(&world).await;

    // The machine begins anew, with a clock that is ahead, and another process that knows nothing yet.
    world.clock.set(start.plus(DAY * 30));
    let provider: Arc<dyn Provider> = Arc::new(crate::watch::tests::Simulated::new(&world.clock));
    let registry = Arc::new(Registry::new([Arc::clone(&provider)], []));
    let store = Arc::<SqliteStore>::clone(&world.store);
    let changes = Arc::clone(&world.watch.checker.changes);
    let herald = Herald::new(store, registry, Arc::new(world.clock.clone()), changes);
    for _ in 0..5 {
        herald.round().await.unwrap();
        world.clock.advance(MINUTE);
    }
    assert_eq!(events(&world).await, before, "nobody has said what time it is");
    // What needs no clock is told meanwhile.
    record(&world, 0, 2, |credential| credential.standing.invalid = true).await;
    herald.round().await.unwrap();
    let dead = one("u0", "a0.r2", Kind::Invalid);
    assert_eq!(told(&world).await, std::slice::from_ref(&dead));

    // The first answer says it, and then the clock is put right.
    provider.place().heard(start.plus(MINUTE * 5));
    herald.round().await.unwrap();
    world.clock.set(start.plus(MINUTE * 5));
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, std::slice::from_ref(&dead));
    until(&world, soon.minus(DAY * 14));
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [dead, one("u0", "a0.r0", Kind::Expiring)], "at its moment all the same");
}

#[tokio::test]
async fn what_has_ended_is_told_once_its_host_has_said_what_time_it_is() {
    let world = World::of(&[1]).await;
    let end = world.clock.now().plus(DAY * 20);
    record(&world, 0, 0, |credential| credential.expires_at = Some(end)).await;
    let herald = settle(&world).await;
    until(&world, end.plus(HOUR));
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, []);
    says_the_time(&world);
    world.clock.advance(MINUTE);
    herald.round().await.unwrap();
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::Expired)]);
}

#[tokio::test]
async fn a_moment_that_was_named_by_a_clock_that_was_ahead_is_not_waited_for() {
    let world = World::of(&[1]).await;
    let start = world.clock.now();
    says_the_time(&world);
    world.clock.set(start.plus(DAY * 365));
    let herald = settle(&world).await;
    let end = start.plus(DAY * 14).plus(HOUR);
    record(&world, 0, 0, |credential| credential.expires_at = Some(end)).await;
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [], "it ends in a year that has not come");
    world.clock.set(start);
    herald.round().await.unwrap();
    until(&world, end.minus(DAY * 14));
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::Expiring)]);
}

#[tokio::test]
async fn what_this_process_does_not_know_is_looked_at_by_one_that_does() {
    let world = World::of(&[4]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    let ignorant = Herald::new(
        Arc::<SqliteStore>::clone(store),
        Arc::new(Registry::new([], [])),
        Arc::new(world.clock.clone()),
        Arc::clone(&world.watch.checker.changes),
    );
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    ignorant.round().await.unwrap();
    assert_eq!(told(&world).await, []);
    assert_eq!(store.marked(world.clock.now(), 9).await.unwrap(), []);
    world.clock.advance(HOUR);
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::Invalid)]);

    // Nor is an incident told to nobody, and so to nobody ever.
    pass(&world, &herald, HOUR * 2, MINUTE).await;
    world.host.set(Mood::Down);
    for _ in 0..60 * 4 {
        world.clock.advance(MINUTE);
        world.round().await;
        ignorant.tell_incidents().await.unwrap();
    }
    assert_eq!(store.untold_incidents(world.clock.now()).await.unwrap().len(), 1);
    herald.round().await.unwrap();
    assert_eq!(told(&world).await.last(), Some(&one("u0", "sim.example", Kind::IncidentBegan)));
}

/// Credentials, each for so many runtimes.
const EACH: usize = 25;
/// So many of them.
const CREDENTIALS: usize = 8;

async fn shared() -> (World, Vec<Credential>) {
    let world = World::of(&[EACH * CREDENTIALS]).await;
    let mut credentials = Vec::new();
    for first in (0..CREDENTIALS).map(|number| number * EACH) {
        let of = |other: usize| (runtime(0, other), None);
        let all: Vec<(RuntimeId, Option<Push>)> = (first..first + EACH).map(of).collect();
        let credential = world.credential(0, first).await;
        let served = world.store.assign(&user(0), &credential.id, &all, None, world.clock.now()).await;
        // Those that have one of their own are asked about first.
        assert_eq!(served.unwrap().unwrap().len(), 1);
        for one in &all[1..] {
            let one = std::slice::from_ref(one);
            let taken = world.store.assign(&user(0), &credential.id, one, None, world.clock.now()).await;
            assert_eq!(taken.unwrap().unwrap().len(), 1);
        }
        credentials.push(credential);
    }
    (world, credentials)
}

/// Heralds of two processes, several tasks each, that look without a pause until they are told to stop.
fn many_heralds(
    world: &World,
    other: &Arc<SqliteStore>,
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<()>> {
    [&world.store, other, &world.store, other]
        .into_iter()
        .map(|store| {
            let (herald, stop) = (herald_over(world, store), Arc::clone(stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    herald.round().await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect()
}

async fn until_all_is_told(world: &World) {
    while !world.store.marked(world.clock.now(), 1).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Of each runtime, in their order.
async fn by_runtime(world: &World) -> HashMap<RuntimeId, Vec<(Kind, bool)>> {
    let mut all: HashMap<RuntimeId, Vec<(Kind, bool)>> = HashMap::new();
    for event in events(world).await {
        if !matches!(event.kind, Kind::Added | Kind::Replaced) {
            all.entry(event.runtime.unwrap()).or_default().push((event.kind, event.is_notice));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_flips_under_many_heralds_lose_nothing_and_tell_nothing_twice() {
    let (world, mut credentials) = shared().await;
    settle(&world).await;
    let other = another(&world).await;
    let stop = Arc::new(AtomicBool::new(false));
    let heralds = many_heralds(&world, &other, &stop);
    for flip in 0..50 {
        for (number, credential) in credentials.iter_mut().enumerate() {
            let store = if number % 2 == 0 { &world.store } else { &other };
            set_invalid(store, credential, flip % 2 == 0, world.clock.now()).await;
        }
        until_all_is_told(&world).await;
    }
    stop.store(true, Ordering::SeqCst);
    for herald in heralds {
        herald.await.unwrap();
    }
    let told = by_runtime(&world).await;
    let turns = [(Kind::Invalid, true), (Kind::Recovered, true)];
    let expected: Vec<_> = turns.into_iter().cycle().take(50).collect();
    assert_eq!(told.len() * 50, 10_000);
    for (runtime, told) in told {
        assert_eq!(told, expected, "{runtime}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flips_that_nobody_waits_for_are_told_in_turns_and_the_last_word_is_true() {
    let (world, mut credentials) = shared().await;
    settle(&world).await;
    let other = another(&world).await;
    let stop = Arc::new(AtomicBool::new(false));
    let heralds = many_heralds(&world, &other, &stop);
    let entropy = TestEntropy::new(5);
    for _ in 0..40 {
        for credential in &mut credentials {
            let mut dice = [0; 1];
            entropy.fill(&mut dice).unwrap();
            set_invalid(&world.store, credential, dice[0] % 2 == 0, world.clock.now()).await;
        }
    }
    until_all_is_told(&world).await;
    stop.store(true, Ordering::SeqCst);
    for herald in heralds {
        herald.await.unwrap();
    }
    let told = by_runtime(&world).await;
    for number in 0..EACH * CREDENTIALS {
        let told = told.get(&runtime(0, number)).map(Vec::as_slice).unwrap_or_default();
        for (place, event) in told.iter().enumerate() {
            let kind = if place % 2 == 0 { Kind::Invalid } else { Kind::Recovered };
            assert_eq!(*event, (kind, true), "{number} at {place}");
        }
        let invalid = credentials[number / EACH].standing.invalid;
        assert_eq!(told.len() % 2 == 1, invalid, "{number}: what was told last is so");
    }
}

#[tokio::test]
async fn what_happened_before_the_process_ended_is_told_by_the_next_one_once() {
    let mut world = World::of(&[2]).await;
    settle(&world).await;
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    world.store.close().await;
    world.store = another(&world).await;
    let (first, second) = (herald(&world), herald_over(&world, &another(&world).await));
    for round in join_all([first.round(), second.round(), first.round()]).await {
        round.unwrap();
    }
    herald(&world).round().await.unwrap();
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::Invalid)]);
}

#[tokio::test]
async fn what_is_replaced_while_it_is_looked_at_is_looked_at_again() {
    let world = World::of(&[1]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    let now = world.clock.now();
    let marked = store.marked(now, 9).await.unwrap();
    let looks = herald.look_at(marked, now).await.unwrap();
    let Seen::Found(found) = &looks[0].seen else { panic!("found") };
    assert_eq!(found.events[0].0, Kind::Invalid);

    let old = store.sealed(&CredentialId(token(0, 0))).await.unwrap().unwrap();
    let mut new = NewCredential { credential: old.credential, sealed: old.sealed };
    new.credential.id = "new".into();
    new.credential.standing.invalid = false;
    assert!(store.keep(&new, &[(runtime(0, 0), None)], None, now).await.unwrap().is_some());
    assert_eq!(store.tell(&looks, now).await.unwrap(), [false]);
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [], "its user has replaced it already");
    assert_eq!(kinds(&world, 0, 0).await, [Kind::Added, Kind::Replaced]);
}

#[tokio::test]
async fn two_runtimes_of_one_token_are_two_notices() {
    let world = World::of(&[2]).await;
    let store = &world.store;
    let (first, now) = (world.credential(0, 0).await.id, world.clock.now());
    assert!(store.assign(&user(0), &first, &[(runtime(0, 1), None)], None, now).await.unwrap().is_some());
    let herald = settle(&world).await;
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    herald.round().await.unwrap();
    herald.round().await.unwrap();
    let both = [one("u0", "a0.r0", Kind::Invalid), one("u0", "a0.r1", Kind::Invalid)];
    assert_eq!(told(&world).await, both);
}

#[tokio::test]
async fn a_check_that_finds_everything_as_it_was_marks_nothing() {
    let world = World::of(&[20]).await;
    let herald = settle(&world).await;
    let before = events(&world).await.len();
    for _ in 0..150 {
        world.clock.advance(MINUTE);
        world.round().await;
        assert_eq!(world.store.marked(world.clock.now(), 9).await.unwrap(), []);
    }
    herald.round().await.unwrap();
    assert_eq!(events(&world).await.len(), before);
}

#[tokio::test]
async fn whatever_the_user_does_is_in_the_timeline_and_no_notice() {
    let world = World::of(&[2]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    let now = world.clock.now();
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    herald.round().await.unwrap();
    let told_before = told(&world).await;
    assert_eq!(told_before.len(), 1);
    // A new one in place of the dead one, another runtime's, and none.
    let old = store.sealed(&CredentialId(token(0, 1))).await.unwrap().unwrap();
    let mut new = NewCredential { credential: old.credential, sealed: old.sealed };
    new.credential.id = "new".into();
    assert!(store.keep(&new, &[(runtime(0, 0), Some(Push::Denied))], None, now).await.unwrap().is_some());
    herald.round().await.unwrap();
    assert!(
        store.assign(&user(0), &"new".into(), &[(runtime(0, 1), None)], None, now).await.unwrap().is_some()
    );
    herald.round().await.unwrap();
    for number in [0, 1] {
        store.delete(&user(0), &runtime(0, number), None, now).await.unwrap().unwrap();
        herald.round().await.unwrap();
    }
    assert_eq!(told(&world).await, told_before);
    assert_eq!(kinds(&world, 0, 0).await, [Kind::Added, Kind::Invalid, Kind::Replaced, Kind::Deleted]);
    assert_eq!(kinds(&world, 0, 1).await, [Kind::Added, Kind::Replaced, Kind::Deleted]);
}

#[tokio::test]
async fn everything_that_happens_is_in_the_timeline_with_its_evidence_and_no_secret() {
    let world = World::of(&[4]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    let now = world.clock.now();
    let step = async |change: &dyn Fn(&mut Credential)| {
        record(&world, 0, 0, |credential| change(credential)).await;
        herald.round().await.unwrap();
    };
    let answered = |credential: &mut Credential, answer: &str| {
        credential.standing.evidence = contract::evidence(answer);
        (credential.standing.rejected_since, credential.standing.trouble) = (None, None);
        credential.standing.invalid = false;
    };
    step(&|credential| {
        answered(credential, "401");
        credential.standing.rejected_since = Some(now);
    })
    .await;
    step(&|credential| answered(credential, "200")).await;
    step(&|credential| {
        answered(credential, "no answer in 10 s");
        credential.standing.trouble = Some((crate::credential::Trouble::Unreachable, now));
    })
    .await;
    step(&|credential| answered(credential, "200")).await;
    step(&|credential| credential.scopes = Some(ScopeSet::parse("repo"))).await;
    store.record_push(&CredentialId(token(0, 0)), &runtime(0, 0), &Push::Denied).await.unwrap();
    herald.round().await.unwrap();
    let mut other = store.sealed(&CredentialId(token(0, 1))).await.unwrap().unwrap();
    other.credential.id = "other".into();
    other.credential.owner.id = "2".into();
    other.credential.owner.login = "monalisa".into();
    assert!(store.propose(&other, &runtime(0, 0), now).await.unwrap());
    herald.round().await.unwrap();
    assert!(store.settle(&user(0), &runtime(0, 0), true, None, now).await.unwrap());
    herald.round().await.unwrap();
    let mut renewed = other.clone();
    for _ in 0..3 {
        renewed.credential.generation += 1;
        assert!(store.renew(&renewed, now).await.unwrap());
        herald.round().await.unwrap();
    }
    assert!(store.delete(&user(0), &runtime(0, 0), None, now).await.unwrap().is_some());
    let timeline = store.timeline(&user(0), &runtime(0, 0), None, 99).await.unwrap();
    let kinds: Vec<Kind> = timeline.iter().rev().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Added,
            Kind::Refused,
            Kind::Passed,
            Kind::Unreachable,
            Kind::Passed,
            Kind::AccountChanged,
            Kind::Replaced,
            Kind::Renewed,
            Kind::Deleted
        ],
        "a runtime without a repository lacks no right to push; renewals in a row are one"
    );
    let of = |kind: Kind| timeline.iter().find(|event| event.kind == kind).unwrap().detail.clone();
    assert_eq!(of(Kind::Refused).evidence, Some(contract::evidence("401")));
    assert_eq!(of(Kind::Unreachable).evidence, Some(contract::evidence("no answer in 10 s")));
    assert_eq!(of(Kind::Passed).evidence, Some(contract::evidence("200")));
    assert_eq!(of(Kind::Added).login.as_deref(), Some("octocat"));
    assert_eq!(of(Kind::Deleted).login.as_deref(), Some("monalisa"));
    let changed = of(Kind::AccountChanged);
    assert_eq!(
        (changed.login_before.as_deref(), changed.login.as_deref()),
        (Some("octocat"), Some("monalisa"))
    );
    let all = format!("{:?}", events(&world).await);
    assert!(!all.contains("token-0-") && !all.contains("renews"), "tokens are called so");
}

#[tokio::test]
async fn a_grant_that_moves_to_an_account_with_a_grant_already_is_told_once_and_asked_about_as_ever() {
    let world = World::of(&[2]).await;
    let (store, app) = (&world.store, "app".into());
    for (number, login) in ["octocat", "monalisa"].into_iter().enumerate() {
        store.delete(&user(0), &runtime(0, number), None, world.clock.now()).await.unwrap().unwrap();
        world
            .give(0, number, |credential| {
                credential.method = Method::Oauth2;
                credential.oauth_app = Some("app".into());
                credential.owner.id = (number + 1).to_string();
                credential.owner.login = login.to_owned();
            })
            .await;
    }
    let herald = settle(&world).await;
    // The host says that everything is octocat's.
    pass(&world, &herald, HOUR * 6, MINUTE).await;
    let asked = [0, 1].map(|number| world.host.calls_of(&token(0, number)));
    assert!(asked.iter().all(|times| (6..=8).contains(times)), "hourly, both: {asked:?}");
    assert_eq!(told(&world).await, [one("u0", "a0.r1", Kind::AccountChanged)]);
    let changed = store.notices(&user(0), None, 1).await.unwrap().remove(0).detail;
    assert_eq!(
        (changed.login_before.as_deref(), changed.login.as_deref()),
        (Some("monalisa"), Some("octocat"))
    );
    let moved = world.credential(0, 1).await;
    assert_eq!((moved.owner.login.as_str(), moved.standing.invalid), ("octocat", false));
    assert!(world.clock.now().since(moved.standing.checked_at) <= HOUR);
    let grant = async || store.grant(&user(0), &app, "1").await.unwrap().unwrap().id;
    assert_eq!(grant().await, CredentialId(token(0, 0)), "the one that was first");
    // Once it is alone, it is the grant of that account.
    store.delete(&user(0), &runtime(0, 0), None, world.clock.now()).await.unwrap().unwrap();
    pass(&world, &herald, HOUR, MINUTE).await;
    assert_eq!(grant().await, CredentialId(token(0, 1)));
    assert_eq!(told(&world).await.len(), 1);
}

#[tokio::test]
async fn what_the_operator_demands_anew_is_told() {
    let world = World::of(&[1]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    record(&world, 0, 0, |credential| credential.scopes = Some(ScopeSet::parse("repo"))).await;
    herald.round().await.unwrap();
    let mut access = store.access(&user(0), &runtime(0, 0), world.clock.now()).await.unwrap().unwrap();
    access.runtime.scopes = Some(ScopeSet::parse("repo workflow"));
    let member = crate::catalogue::Member {
        account: access.account.id.clone(),
        name: crate::person::Name::parse("u0").unwrap(),
        role: crate::catalogue::Role::Member,
    };
    let declaration = crate::catalogue::Declaration {
        providers: vec![crate::catalogue::DeclaredProvider {
            id: world.host.id().clone(),
            origin: world.host.origin(),
        }],
        accounts: vec![access.account],
        members: vec![member],
        runtimes: vec![access.runtime],
    };
    for _ in 0..2 {
        store.apply(&declaration, world.clock.now()).await.unwrap();
        herald.round().await.unwrap();
    }
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::ScopesLost)]);
    let notice = store.notices(&user(0), None, 1).await.unwrap().remove(0);
    assert_eq!((notice.detail.lack, notice.detail.scopes), (Some(Lack::Scopes), vec!["workflow".to_owned()]));
}

#[tokio::test]
async fn what_is_not_enabled_is_looked_at_when_it_is_again() {
    let world = World::of(&[2]).await;
    let (store, herald) = (&world.store, settle(&world).await);
    let all = store.accesses(&user(0), world.clock.now()).await.unwrap();
    let declared = |runtimes: &[Access]| crate::catalogue::Declaration {
        providers: vec![crate::catalogue::DeclaredProvider {
            id: world.host.id().clone(),
            origin: world.host.origin(),
        }],
        accounts: vec![all[0].account.clone()],
        members: vec![crate::catalogue::Member {
            account: all[0].account.id.clone(),
            name: crate::person::Name::parse("u0").unwrap(),
            role: crate::catalogue::Role::Member,
        }],
        runtimes: runtimes.iter().map(|access| access.runtime.clone()).collect(),
    };
    store.apply(&declared(&all[1..]), world.clock.now()).await.unwrap();
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    herald.round().await.unwrap();
    assert_eq!(store.marked(world.clock.now().plus(DAY * 2), 9).await.unwrap().len(), 1, "the other one");
    assert_eq!(told(&world).await, []);
    store.apply(&declared(&all), world.clock.now()).await.unwrap();
    herald.round().await.unwrap();
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::Invalid)]);
}

#[tokio::test]
async fn a_state_that_no_version_can_read_any_more_is_no_news() {
    let world = World::of(&[1]).await;
    settle(&world).await;
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    let mut marked = world.store.marked(world.clock.now(), 1).await.unwrap();
    marked[0].before = Before::Nothing;
    let herald = herald(&world);
    let looks = herald.look_at(marked, world.clock.now()).await.unwrap();
    assert_eq!(world.store.tell(&looks, world.clock.now()).await.unwrap(), [true]);
    assert_eq!(told(&world).await, []);
}

/// What a listener has heard so far.
async fn heard(listener: &mut Listener) -> Vec<What> {
    let mut heard = Vec::new();
    while let Ok(what) = tokio::time::timeout(Duration::from_millis(1), listener.next()).await {
        heard.push(what);
    }
    heard
}

#[tokio::test]
async fn open_pages_hear_what_is_asked_and_told_of_their_user_alone() {
    let world = World::of(&[2, 1]).await;
    let herald = settle(&world).await;
    let changes = &world.watch.checker.changes;
    let (mut alice, mut bob) = (changes.listen(user(0)), changes.listen(user(1)));
    let row = What::Row(runtime(0, 0));
    world.watch.checker.check(&user(0), &runtime(0, 0)).await.unwrap();
    assert_eq!(heard(&mut alice).await, [row.clone(), row.clone()], "it begins, it ends");
    assert!(!changes.is_asked(&CredentialId(token(0, 0))));

    // By another process, and with nobody nudging this one.
    let other = another(&world).await;
    let mut credential = world.credential(0, 0).await;
    set_invalid(&other, &mut credential, true, world.clock.now()).await;
    herald_over(&world, &other).tell_all().await.unwrap();
    assert_eq!(heard(&mut alice).await, []);
    herald.round().await.unwrap();
    let notice = world.store.notices(&user(0), None, 1).await.unwrap().remove(0);
    assert_eq!(heard(&mut alice).await, [row, What::Notice(notice.id)]);
    assert_eq!(heard(&mut bob).await, []);
    drop(alice);
    assert!(!changes.is_heard_by(&user(0)) && changes.is_heard_by(&user(1)));
}

#[tokio::test]
async fn who_listens_too_slowly_is_told_to_look_at_everything() {
    let changes = Arc::new(Changes::default());
    let mut slow = changes.listen(user(0));
    for _ in 0..5000 {
        changes.say(&user(0), What::Read);
    }
    assert_eq!(heard(&mut slow).await.first(), Some(&What::Everything));
    changes.say(&user(0), What::Read);
    assert_eq!(heard(&mut slow).await, [What::Read]);
}

#[tokio::test]
async fn a_running_herald_tells_what_stirs_and_stops_when_told() {
    let world = World::of(&[1]).await;
    let herald = settle(&world).await;
    let running = tokio::spawn(Arc::clone(&herald).run());
    let mut listener = world.watch.checker.changes.listen(user(0));
    record(&world, 0, 0, |credential| credential.standing.invalid = true).await;
    let first = tokio::time::timeout(SECOND * 20, listener.next()).await.unwrap();
    assert_eq!(first, What::Row(runtime(0, 0)));
    herald.stop();
    tokio::time::timeout(SECOND * 20, running).await.unwrap().unwrap();
    assert_eq!(told(&world).await, [one("u0", "a0.r0", Kind::Invalid)]);
}

/// `cargo test --release -p server a_measurement_of_the_herald -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn a_measurement_of_the_herald() {
    let tokens: usize = 10_000;
    let world = World::of(&vec![20; tokens / 20]).await;
    let herald = herald(&world);
    let measure = async |what: &str| {
        let (before, start) = (spent(), std::time::Instant::now());
        herald.round().await.unwrap();
        let after = spent();
        println!(
            "{what}: {:?}, {:.2} s of processor time, {} KiB more in memory",
            start.elapsed(),
            after.0 - before.0,
            after.1 - before.1
        );
    };
    measure("the first look at 10,000").await;
    measure("nothing to look at").await;
    world.store.look_again(Timestamp::from_micros(0)).await.unwrap();
    measure("10,000 looked at, nothing happened").await;
    for number in 0..tokens {
        let mut credential = world.credential(number / 20, number % 20).await;
        set_invalid(&world.store, &mut credential, true, world.clock.now()).await;
    }
    measure("10,000 told").await;
    assert_eq!(told(&world).await.len(), tokens);
    let start = std::time::Instant::now();
    for _ in 0..1000 {
        herald.round().await.unwrap();
    }
    println!("a look at nothing: {:?}", start.elapsed() / 1000);
}
