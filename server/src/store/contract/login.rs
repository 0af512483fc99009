use std::time::Duration;

use super::{
    Bench, MINUTE, NOW, attempt, exists, fingerprint, id, keep, look, look_at, populate, runtime, token,
};
use crate::credential::Attempt;

pub(crate) async fn an_attempt_is_taken_once_among_fifty(bench: &Bench) {
    populate(&*bench.store).await;
    bench.store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.take(&fingerprint(10)).await.expect("an answer") })
        })
        .collect();
    let mut taken = 0;
    for attempt in tries {
        taken += usize::from(attempt.await.expect("no panic").is_some());
    }
    assert_eq!(taken, 1);
}

pub(crate) async fn an_attempt_comes_back_as_it_was(bench: &Bench) {
    populate(&*bench.store).await;
    let begun = attempt(10, 1, "alice", "acme.production");
    bench.store.begin(&begun).await.expect("begun");
    let taken = bench.store.take(&fingerprint(10)).await.expect("an answer").expect("the attempt");
    assert_eq!(format!("{taken:?}"), format!("{begun:?}"));
    assert!(bench.store.take(&fingerprint(11)).await.expect("an answer").is_none());
}

pub(crate) async fn an_attempt_is_pending_for_ten_minutes(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    let shown =
        async |minutes| look_at(store, "alice", "acme.production", NOW.plus(MINUTE * minutes)).await.attempt;
    assert_eq!(shown(0).await, Some(Attempt::Pending(NOW)));
    assert_eq!(shown(9).await, Some(Attempt::Pending(NOW)));
    assert_eq!(shown(10).await, None);
    assert_eq!(look(store, "alice", "acme.staging").await.attempt, None);
    assert_eq!(look(store, "bob", "acme.production").await.attempt, None);
    store.take(&fingerprint(10)).await.expect("an answer").expect("the attempt");
    assert_eq!(shown(0).await, None);
}

pub(crate) async fn a_newer_attempt_replaces_the_pending_one_but_both_can_be_taken(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    let mut second = attempt(11, 1, "alice", "acme.production");
    second.begun_at = NOW.plus(MINUTE);
    store.begin(&second).await.expect("begun");
    assert_eq!(
        look(store, "alice", "acme.production").await.attempt,
        Some(Attempt::Pending(second.begun_at))
    );
    store.take(&second.state).await.expect("an answer").expect("the second");
    assert_eq!(look(store, "alice", "acme.production").await.attempt, None);
    store.take(&fingerprint(10)).await.expect("an answer").expect("the first");
}

pub(crate) async fn a_denial_shows_for_a_day_or_until_the_next_attempt(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let denied_at = NOW.plus(MINUTE);
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    store.take(&fingerprint(10)).await.expect("an answer").expect("the attempt");
    store.denied(&id("alice"), &runtime("acme.production"), NOW).await.expect("noted");
    store.denied(&id("alice"), &runtime("acme.production"), denied_at).await.expect("noted");
    assert_eq!(look(store, "alice", "acme.production").await.attempt, Some(Attempt::Denied(denied_at)));
    assert_eq!(look(store, "bob", "acme.production").await.attempt, None);
    let tomorrow = denied_at.plus(Duration::from_hours(24));
    assert_eq!(look_at(store, "alice", "acme.production", tomorrow).await.attempt, None);
    store.begin(&attempt(11, 1, "alice", "acme.production")).await.expect("begun");
    assert_eq!(look(store, "alice", "acme.production").await.attempt, Some(Attempt::Pending(NOW)));
    // Nor does it come back when the newer one is over.
    assert_eq!(look_at(store, "alice", "acme.production", NOW.plus(MINUTE * 11)).await.attempt, None);
}

pub(crate) async fn a_kept_token_settles_attempts_and_denials(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    store.denied(&id("alice"), &runtime("acme.staging"), NOW).await.expect("noted");
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    assert_eq!(look(store, "alice", "acme.production").await.attempt, None);
    assert_eq!(look(store, "alice", "acme.staging").await.attempt, None);
}

pub(crate) async fn an_attempt_ends_with_its_session(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    store.end_session(&fingerprint(1)).await.expect("ended");
    assert!(store.take(&fingerprint(10)).await.expect("an answer").is_none());
}

pub(crate) async fn a_session_has_twenty_attempts_under_way_and_the_oldest_go(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.begin(&attempt(9, 2, "bob", "acme.production")).await.expect("begun");
    for number in 10..=35 {
        let mut next = attempt(number, 1, "alice", "acme.production");
        next.begun_at = NOW.plus(Duration::from_secs((number / 4).into()));
        store.begin(&next).await.expect("begun");
    }
    // Also if the clock was set back.
    store.begin(&attempt(36, 1, "alice", "acme.production")).await.expect("begun");
    let there = async |number| store.take(&fingerprint(number)).await.expect("an answer").is_some();
    for number in 10..=16 {
        assert!(!there(number).await, "{number}");
    }
    for number in 17..=36 {
        assert!(there(number).await, "{number}");
    }
    assert!(there(9).await, "another session's");
}

pub(crate) async fn deleting_a_token_ends_attempts_that_would_bring_it_back(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    store.begin(&attempt(11, 1, "alice", "acme.staging")).await.expect("begun");
    store
        .delete(&id("alice"), &runtime("acme.production"), None, NOW)
        .await
        .expect("an answer")
        .expect("a token");
    assert!(!exists(store, "t").await);
    assert!(store.take(&fingerprint(10)).await.expect("an answer").is_none());
    assert!(store.take(&fingerprint(11)).await.expect("an answer").is_some());
}
