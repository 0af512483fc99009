use std::time::Duration;

use super::{
    Bench, MINUTE, NOW, attempt, exists, fingerprint, id, keep, link, look, name, next, populate, runtime,
    session, token, user,
};
use crate::{
    clock::Timestamp,
    store::{Redeemed, Store, UNDECIDED, Undecided},
};

const LONG_AGO: Timestamp = Timestamp::from_seconds(0);

async fn signed_in(store: &dyn Store, number: u8) -> bool {
    store.session(&fingerprint(number), LONG_AGO, LONG_AGO).await.expect("an answer").is_some()
}

async fn password(store: &dyn Store, text: &str) -> Option<String> {
    store.user_by_name(&name(text)).await.expect("an answer").expect("the person").password
}

pub(crate) async fn nobody_is_there_at_first(bench: &Bench) {
    let store = &*bench.store;
    store.ready().await.expect("ready");
    assert!(!store.has_users().await.expect("an answer"));
    assert_eq!(store.user_by_name(&name("alice")).await.expect("an answer"), None);
    assert_eq!(store.session(&fingerprint(1), LONG_AGO, LONG_AGO).await.expect("an answer"), None);
    assert_eq!(store.accesses(&id("alice"), NOW).await.expect("an answer"), []);
    assert!(store.data_keys().await.expect("an answer").is_empty());
}

pub(crate) async fn a_name_belongs_to_one_person(bench: &Bench) {
    let store = &*bench.store;
    assert!(store.add_user(&user("alice")).await.expect("an answer"));
    let mut second = user("alice");
    second.id = "another".into();
    assert!(!store.add_user(&second).await.expect("an answer"));
    let found = store.user_by_name(&name(" ALICE ")).await.expect("an answer");
    assert_eq!(found, Some(user("alice")));
}

pub(crate) async fn a_second_redeem_of_a_set_up_link_finds_it_spent(bench: &Bench) {
    let store = &*bench.store;
    store.add_link(&link(1, None)).await.expect("kept");
    let found = store.link(&fingerprint(1), NOW).await.expect("an answer");
    assert_eq!(found, Some(link(1, None)));
    let redeem =
        async |who: &str| store.redeem_setup(&fingerprint(1), &user(who), NOW).await.expect("an answer");
    assert_eq!(redeem("alice").await, Redeemed::Yes);
    assert_eq!(redeem("alice").await, Redeemed::Spent);
    assert_eq!(redeem("bob").await, Redeemed::Spent);
    assert_eq!(store.link(&fingerprint(1), NOW).await.expect("an answer"), None);
    assert_eq!(store.user_by_name(&name("alice")).await.expect("an answer"), Some(user("alice")));
    assert_eq!(store.user_by_name(&name("bob")).await.expect("an answer"), None);
}

pub(crate) async fn a_hundred_redeem_the_set_up_link_at_once_and_one_person_exists(bench: &Bench) {
    bench.store.add_link(&link(1, None)).await.expect("kept");
    let tries: Vec<_> = (0..100)
        .map(|number| {
            let store = bench.store.clone();
            let user = user(&format!("person{number}"));
            tokio::spawn(async move {
                let redeemed = store.redeem_setup(&fingerprint(1), &user, NOW).await.expect("an answer");
                let there = store.user_by_name(&user.name).await.expect("an answer").is_some();
                (redeemed == Redeemed::Yes, there)
            })
        })
        .collect();
    let mut redeemed = 0;
    for attempt in tries {
        let (yes, there) = attempt.await.expect("no panic");
        assert_eq!(yes, there);
        redeemed += usize::from(yes);
    }
    assert_eq!(redeemed, 1);
}

pub(crate) async fn the_set_up_link_ends_when_somebody_exists(bench: &Bench) {
    let store = &*bench.store;
    store.add_link(&link(1, None)).await.expect("kept");
    assert!(store.add_user(&user("alice")).await.expect("added"));
    assert_eq!(store.link(&fingerprint(1), NOW).await.expect("an answer"), None);
    let redeemed = store.redeem_setup(&fingerprint(1), &user("bob"), NOW).await.expect("an answer");
    assert_eq!(redeemed, Redeemed::Spent);
}

pub(crate) async fn a_newer_link_replaces_the_older(bench: &Bench) {
    let store = &*bench.store;
    let good = async |number| store.link(&fingerprint(number), NOW).await.expect("an answer").is_some();
    store.add_link(&link(1, None)).await.expect("kept");
    store.add_link(&link(2, None)).await.expect("kept");
    assert!(!good(1).await && good(2).await);
    populate(store).await;
    store.add_link(&link(3, Some("alice"))).await.expect("kept");
    store.add_link(&link(4, Some("bob"))).await.expect("kept");
    store.add_link(&link(5, Some("alice"))).await.expect("kept");
    assert!(!good(3).await && good(4).await && good(5).await);
}

pub(crate) async fn a_password_link_works_once_and_ends_all_sessions(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.add_link(&link(10, Some("alice"))).await.expect("kept");
    let redeem = async || store.redeem_password(&fingerprint(10), "new", NOW).await.expect("an answer");
    let setup = store.redeem_setup(&fingerprint(10), &user("eve"), NOW).await.expect("an answer");
    assert_eq!(setup, Redeemed::Spent);
    assert_eq!(redeem().await, Some(id("alice")));
    assert_eq!(password(store, "alice").await.as_deref(), Some("new"));
    assert_eq!(password(store, "bob").await.as_deref(), Some("hash of bob"));
    assert!(!signed_in(store, 1).await && signed_in(store, 2).await);
    assert_eq!(redeem().await, None);
}

pub(crate) async fn a_link_of_a_disabled_person_enables_nobody(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(store.disable_user(&id("alice"), NOW).await.expect("an answer"));
    store.add_link(&link(10, Some("alice"))).await.expect("kept");
    assert_eq!(store.link(&fingerprint(10), NOW).await.expect("an answer"), None);
    assert_eq!(store.redeem_password(&fingerprint(10), "new", NOW).await.expect("an answer"), None);
    assert_eq!(password(store, "alice").await.as_deref(), Some("hash of alice"));
}

pub(crate) async fn an_old_link_is_spent(bench: &Bench) {
    let store = &*bench.store;
    let over = NOW.plus(MINUTE);
    store.add_link(&link(1, None)).await.expect("kept");
    assert_eq!(store.link(&fingerprint(1), over).await.expect("an answer"), None);
    let redeemed = store.redeem_setup(&fingerprint(1), &user("alice"), over).await.expect("an answer");
    assert_eq!(redeemed, Redeemed::Spent);
    populate(store).await;
    store.add_link(&link(2, Some("alice"))).await.expect("kept");
    assert_eq!(store.redeem_password(&fingerprint(2), "new", over).await.expect("an answer"), None);
    assert!(signed_in(store, 1).await);
}

pub(crate) async fn a_new_password_ends_all_sessions_but_one(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.start_session(&session(11, "alice")).await.expect("started");
    store.set_password(&id("alice"), "new", Some(&fingerprint(11))).await.expect("set");
    assert!(!signed_in(store, 1).await && signed_in(store, 11).await && signed_in(store, 2).await);
    store.set_password(&id("alice"), "newer", None).await.expect("set");
    assert!(!signed_in(store, 11).await && signed_in(store, 2).await);
    assert_eq!(password(store, "alice").await.as_deref(), Some("newer"));
}

pub(crate) async fn a_rehash_that_comes_too_late_changes_nothing(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.rehash_password(&id("alice"), "hash of alice", "stronger").await.expect("an answer");
    store.rehash_password(&id("alice"), "hash of alice", "late").await.expect("an answer");
    assert_eq!(password(store, "alice").await.as_deref(), Some("stronger"));
    assert!(signed_in(store, 1).await);
}

pub(crate) async fn a_session_ends_by_idleness_and_by_age(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let just_before = NOW.minus(Duration::from_micros(1));
    let find = async |idle, started| store.session(&fingerprint(1), idle, started).await.expect("an answer");
    assert_eq!(find(just_before, just_before).await, Some((session(1, "alice"), user("alice"))));
    assert_eq!(find(NOW, just_before).await, None);
    assert_eq!(find(just_before, NOW).await, None);
    store.touch_session(&fingerprint(1), NOW.plus(MINUTE)).await.expect("touched");
    assert!(find(NOW, just_before).await.is_some());
    assert_eq!(find(NOW, NOW).await, None);
    store.end_session(&fingerprint(1)).await.expect("ended");
    assert_eq!(find(just_before, just_before).await, None);
}

pub(crate) async fn touching_a_session_never_sets_it_back(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.touch_session(&fingerprint(1), NOW.minus(MINUTE)).await.expect("touched");
    let (found, _) =
        store.session(&fingerprint(1), LONG_AGO, LONG_AGO).await.expect("an answer").expect("the session");
    assert_eq!(found.seen_at, NOW);
}

pub(crate) async fn disabling_a_person_ends_sessions_and_links(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.add_link(&link(10, Some("alice"))).await.expect("kept");
    assert!(store.disable_user(&id("alice"), NOW).await.expect("an answer"));
    assert!(!signed_in(store, 1).await && signed_in(store, 2).await);
    assert_eq!(store.link(&fingerprint(10), NOW).await.expect("an answer"), None);
    // Whoever has just proved the password comes too late as well.
    store.start_session(&session(11, "alice")).await.expect("an answer");
    assert!(!signed_in(store, 11).await);
    assert!(store.disable_user(&id("alice"), NOW.plus(MINUTE)).await.expect("an answer"));
    let found = store.user_by_name(&name("alice")).await.expect("an answer").expect("still known");
    assert_eq!(found.disabled_at, Some(NOW));
    assert!(!store.disable_user(&"nobody".into(), NOW).await.expect("an answer"));
}

pub(crate) async fn a_hundred_failures_at_once_count_as_a_hundred(bench: &Bench) {
    let tries: Vec<_> = (0..100)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.count_failure("name alice", NOW, 60).await.expect("counted") })
        })
        .collect();
    let mut counts = vec![];
    for attempt in tries {
        counts.push(attempt.await.expect("no panic"));
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=100).collect::<Vec<_>>());
    let failures = bench.store.failures("name alice", NOW).await.expect("an answer");
    assert_eq!(failures, Some((100, NOW.plus(MINUTE))));
    assert_eq!(bench.store.failures("name bob", NOW).await.expect("an answer"), None);
}

pub(crate) async fn a_window_that_has_passed_begins_anew(bench: &Bench) {
    let store = &*bench.store;
    let count = async |now| store.count_failure("a", now, 60).await.expect("counted");
    let halfway = NOW.plus(MINUTE / 2);
    let over = NOW.plus(MINUTE);
    assert_eq!(count(NOW).await, 1);
    assert_eq!(count(halfway).await, 2);
    assert_eq!(store.failures("a", halfway).await.expect("an answer"), Some((2, over)));
    assert_eq!(store.failures("a", over).await.expect("an answer"), None);
    assert_eq!(count(over).await, 1);
    assert_eq!(store.failures("a", over).await.expect("an answer"), Some((1, over.plus(MINUTE))));
}

pub(crate) async fn a_failure_that_did_not_happen_is_taken_back(bench: &Bench) {
    let store = &*bench.store;
    for _ in 0..3 {
        store.count_failure("a", NOW, 60).await.expect("counted");
    }
    store.take_back_failure("a", NOW).await.expect("taken back");
    store.take_back_failure("b", NOW).await.expect("nothing to take back");
    assert_eq!(store.count_failure("a", NOW, 60).await.expect("counted"), 3);
    store.take_back_failure("a", NOW.plus(MINUTE)).await.expect("too late");
    assert_eq!(store.failures("a", NOW).await.expect("an answer").map(|(count, _)| count), Some(3));
    assert_eq!(store.failures("b", NOW).await.expect("an answer"), None);
}

pub(crate) async fn forgiven_failures_are_gone(bench: &Bench) {
    let store = &*bench.store;
    store.count_failure("a", NOW, 60).await.expect("counted");
    store.count_failure("b", NOW, 60).await.expect("counted");
    store.forgive("a").await.expect("forgiven");
    assert_eq!(store.failures("a", NOW).await.expect("an answer"), None);
    assert!(store.failures("b", NOW).await.expect("an answer").is_some());
}

pub(crate) async fn sweeping_forgets_what_is_over_and_nothing_else(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    let later = NOW.plus(MINUTE * 10);
    store.touch_session(&fingerprint(2), later).await.expect("touched");
    store.add_link(&link(10, Some("bob"))).await.expect("kept");
    store.count_failure("old", NOW, 60).await.expect("counted");
    store.count_failure("new", later, 60).await.expect("counted");
    store.begin(&attempt(20, 2, "bob", "acme.production")).await.expect("begun");
    let mut young = attempt(21, 2, "bob", "acme.staging");
    young.begun_at = later;
    store.begin(&young).await.expect("begun");
    store.refuse(&fingerprint(2), &runtime("acme.forge"), "why", later).await.expect("kept");

    store.sweep(later, NOW, NOW.minus(MINUTE)).await.expect("swept");
    assert!(!signed_in(store, 1).await && signed_in(store, 2).await && !signed_in(store, 3).await);
    assert_eq!(store.link(&fingerprint(10), NOW).await.expect("an answer"), None);
    assert_eq!(store.failures("old", NOW).await.expect("an answer"), None);
    assert!(store.failures("new", later).await.expect("an answer").is_some());
    assert!(store.take(&fingerprint(20)).await.expect("an answer").is_none());
    assert!(store.take(&fingerprint(21)).await.expect("an answer").is_some());
    let refusal = store.refusal(&fingerprint(2), &runtime("acme.forge"), NOW).await.expect("an answer");
    assert_eq!(refusal.as_deref(), Some("why"));
    assert!(look(store, "alice", "acme.production").await.credential.is_some());
}

pub(crate) async fn sweeping_drops_what_nobody_decided_about_for_a_week(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let propose = async |id: &str, at: &str, now| {
        assert!(store.propose(&token(id, "alice", "github"), &runtime(at), now).await.expect("an answer"));
    };
    let left = async |id: &str| exists(store, id).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    propose("instead", "acme.production", NOW).await;
    propose("alone", "acme.staging", NOW).await;
    propose("younger", "zoo.main", NOW.plus(MINUTE)).await;
    let week = NOW.plus(UNDECIDED);
    store.sweep(week.minus(MINUTE), NOW, NOW).await.expect("swept");
    assert!(left("instead").await && left("alone").await);
    let mut dropped = store.sweep(week, NOW, NOW).await.expect("swept");
    dropped.sort_by(|one, other| one.credential.as_str().cmp(other.credential.as_str()));
    let undecided = |credential: &str, runtime: &str| Undecided {
        user: super::id("alice"),
        runtime: super::runtime(runtime),
        account: "acme".into(),
        credential: credential.into(),
    };
    assert_eq!(dropped, [undecided("alone", "acme.staging"), undecided("instead", "acme.production")]);
    assert!(!left("instead").await && !left("alone").await);
    assert!(left("t").await && left("younger").await);
    let access = look(store, "alice", "acme.production").await;
    assert_eq!(
        (access.credential.map(|credential| credential.id), access.proposed),
        (Some("t".into()), None)
    );
    // A later one for the same runtime begins to wait anew, also as long as it is the same credential.
    propose("second", "acme.production", week).await;
    let next = next(&token("younger", "alice", "github"));
    assert!(store.propose(&next, &runtime("zoo.main"), week).await.expect("an answer"));
    store.sweep(week.plus(MINUTE), NOW, NOW).await.expect("swept");
    assert!(left("second").await && left("younger").await);
}
