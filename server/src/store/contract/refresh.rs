use super::{Bench, MINUTE, NOW, exists, grant, id, keep, next, populate, record, runtime};
use crate::{
    clock::{APART, Timestamp},
    id::CredentialId,
    store::{LONGEST_RENEWAL, Lease, NewCredential, Store},
};

async fn granted(store: &dyn Store) -> NewCredential {
    populate(store).await;
    let grant = grant("g", "alice", "octocat");
    assert!(keep(store, &grant, &["acme.production"]).await);
    grant
}

async fn leased(
    store: &dyn Store,
    id: &CredentialId,
    generation: i64,
    now: Timestamp,
    until: Timestamp,
) -> bool {
    store.lease_refresh(id, generation, now, until).await.expect("an answer") != Lease::Refused
}

fn g() -> CredentialId {
    "g".into()
}

pub(crate) async fn a_grant_that_moved_to_an_account_with_a_grant_goes_on_beside_it(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let mut moved = grant("moved", "alice", "monalisa");
    assert!(keep(store, &moved, &["acme.staging"]).await);
    moved.credential.owner = first.credential.owner.clone();
    assert!(!keep(store, &next(&moved), &["acme.staging"]).await, "nobody is given a second one");
    assert!(record(store, &moved.credential).await, "but what the provider says is noted");
    let (alice, app) = (id("alice"), "github-app".into());
    let of = async |owner: &str| store.grant(&alice, &app, owner).await.expect("an answer").map(|one| one.id);
    assert_eq!(of("octocat").await, Some(g()));
    assert_eq!(of("monalisa").await, None);
    let there = store.credential(&alice, &"moved".into()).await.expect("an answer").expect("there");
    assert_eq!(there.owner, first.credential.owner);
    // It is renewed and asked about as ever.
    let renewed = next(&moved);
    assert!(store.renew(&renewed, NOW).await.expect("an answer"));
    assert!(record(store, &renewed.credential).await);
    assert!(!keep(store, &grant("third", "alice", "octocat"), &["acme.staging"]).await);
    assert!(store.delete(&alice, &runtime("acme.production"), None, NOW).await.expect("an answer").is_some());
    assert!(record(store, &renewed.credential).await);
    assert_eq!(of("octocat").await, Some("moved".into()), "alone, it is the grant of that account");
    assert!(!keep(store, &grant("third", "alice", "octocat"), &["acme.production"]).await);
}

pub(crate) async fn a_lease_is_held_by_one_until_it_runs_out(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    let until = NOW.plus(MINUTE);
    assert!(leased(store, &g(), 1, NOW, until).await);
    assert!(!leased(store, &g(), 1, NOW, until).await);
    assert!(!leased(store, &g(), 2, until, until.plus(MINUTE)).await);
    assert!(leased(store, &g(), 1, until, until.plus(MINUTE)).await);
    assert!(!leased(store, &"none".into(), 1, NOW, until).await);
}

pub(crate) async fn fifty_take_the_lease_at_once_and_one_has_it(bench: &Bench) {
    granted(&*bench.store).await;
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { leased(&*store, &g(), 1, NOW, NOW.plus(MINUTE)).await })
        })
        .collect();
    let mut taken = 0;
    for attempt in tries {
        taken += usize::from(attempt.await.expect("no panic"));
    }
    assert_eq!(taken, 1);
}

pub(crate) async fn a_holder_that_comes_back_after_the_next_has_renewed_changes_nothing(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let (mut late, mut winner) = (next(&first), next(&first));
    late.sealed.0 = b"of the late one".to_vec();
    winner.sealed.0 = b"of the winner".to_vec();
    assert!(leased(store, &g(), 1, NOW, NOW.plus(MINUTE)).await);
    let later = NOW.plus(MINUTE * 2);
    assert!(leased(store, &g(), 1, later, later.plus(MINUTE)).await);
    assert!(store.renew(&winner, later.plus(MINUTE)).await.expect("an answer"));
    // The next lease is not the late one's to end.
    assert!(leased(store, &g(), 2, later, later.plus(MINUTE)).await);
    assert!(!store.renew(&late, NOW.plus(MINUTE)).await.expect("an answer"));
    store.release_refresh(&g(), 1, NOW.plus(MINUTE), None).await.expect("an answer");
    assert!(!record(store, &late_verdict(&first)).await);
    let kept = store.sealed(&g()).await.expect("an answer").expect("the grant");
    assert_eq!(kept.sealed, winner.sealed);
    assert_eq!(kept.credential.generation, 2);
    assert!(!kept.credential.standing.invalid);
    assert!(!leased(store, &g(), 2, later, later.plus(MINUTE)).await);
}

fn late_verdict(first: &NewCredential) -> crate::credential::Credential {
    let mut verdict = first.credential.clone();
    verdict.standing.invalid = true;
    verdict
}

pub(crate) async fn a_holder_that_comes_back_before_the_next_has_renewed_keeps_nothing(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let (mut late, mut winner) = (next(&first), next(&first));
    late.sealed.0 = b"of the late one".to_vec();
    winner.sealed.0 = b"of the winner".to_vec();
    let (until, later) = (NOW.plus(MINUTE), NOW.plus(MINUTE * 2));
    assert!(leased(store, &g(), 1, NOW, until).await);
    assert!(leased(store, &g(), 1, later, later.plus(MINUTE)).await);
    assert!(!store.renew(&late, until).await.expect("an answer"));
    let kept = store.sealed(&g()).await.expect("an answer").expect("the grant");
    assert_eq!((kept.sealed, kept.credential.generation), (first.sealed, 1));
    assert!(!leased(store, &g(), 1, later, later.plus(MINUTE)).await, "it goes on");
    assert!(store.renew(&winner, later.plus(MINUTE)).await.expect("an answer"));
    assert!(!store.renew(&late, until).await.expect("an answer"));
    let kept = store.sealed(&g()).await.expect("an answer").expect("the grant");
    assert_eq!((kept.sealed, kept.credential.generation), (winner.sealed, 2));
}

pub(crate) async fn what_a_late_holder_got_is_kept_where_the_next_got_nothing(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let (until, later) = (NOW.plus(MINUTE), NOW.plus(MINUTE * 2));
    assert!(leased(store, &g(), 1, NOW, until).await);
    assert!(leased(store, &g(), 1, later, later.plus(MINUTE)).await);
    store.release_refresh(&g(), 1, later.plus(MINUTE), None).await.expect("an answer");
    assert!(store.renew(&next(&first), until).await.expect("an answer"));
    let kept = store.sealed(&g()).await.expect("an answer").expect("the grant");
    assert_eq!((kept.sealed, kept.credential.generation), (next(&first).sealed, 2));
}

pub(crate) async fn renewing_ends_the_lease(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let second = next(&first);
    assert!(leased(store, &g(), 1, NOW, NOW.plus(MINUTE)).await);
    assert!(store.renew(&second, NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(leased(store, &g(), 2, NOW, NOW.plus(MINUTE)).await);
    assert!(store.renew(&next(&second), NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(!store.renew(&next(&second), NOW.plus(MINUTE)).await.expect("an answer"));
}

pub(crate) async fn a_released_lease_can_be_taken_at_once(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    assert!(leased(store, &g(), 1, NOW, NOW.plus(MINUTE)).await);
    store.release_refresh(&g(), 1, NOW.plus(MINUTE), None).await.expect("an answer");
    assert!(leased(store, &g(), 1, NOW, NOW.plus(MINUTE)).await);
}

pub(crate) async fn releasing_a_lease_that_ran_out_leaves_the_next_holders(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    let (until, next_until) = (NOW.plus(MINUTE), NOW.plus(MINUTE * 2));
    assert!(leased(store, &g(), 1, NOW, until).await);
    assert!(leased(store, &g(), 1, until, next_until).await);
    store.release_refresh(&g(), 1, until, None).await.expect("an answer");
    assert!(!leased(store, &g(), 1, until, next_until).await);
    store.release_refresh(&g(), 1, next_until, None).await.expect("an answer");
    assert!(leased(store, &g(), 1, until, next_until).await);
}

pub(crate) async fn renewing_what_was_deleted_brings_nothing_back(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    assert!(leased(store, &g(), 1, NOW, NOW.plus(MINUTE)).await);
    store
        .delete(&id("alice"), &runtime("acme.production"), None, NOW)
        .await
        .expect("an answer")
        .expect("a token");
    assert!(!store.renew(&next(&first), NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(!exists(store, "g").await);
}

/// When the answer to a renewal was lost, as whoever takes the next lease hears it, and as it is kept.
async fn lost(store: &dyn Store, generation: i64, now: Timestamp) -> Option<Timestamp> {
    let lease = store.lease_refresh(&g(), generation, now, now.plus(MINUTE)).await.expect("an answer");
    let Lease::Taken { lost_at } = lease else { panic!("somebody else has it") };
    let kept = store.sealed(&g()).await.expect("an answer").expect("the grant").credential;
    assert_eq!(kept.renewal_lost_at, lost_at);
    lost_at
}

pub(crate) async fn an_answer_is_lost_with_a_lease_that_nobody_ended(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    assert_eq!(lost(store, 1, NOW).await, None);
    let noticed = NOW.plus(MINUTE);
    assert_eq!(lost(store, 1, noticed).await, Some(noticed), "its holder never ended it");
    // A verdict changes nothing about that, nor does a later loss.
    assert!(record(store, &first.credential).await);
    let later = NOW.plus(MINUTE * 3);
    assert_eq!(lost(store, 1, later).await, Some(noticed));
    assert!(store.renew(&next(&first), later.plus(MINUTE)).await.expect("an answer"));
    assert_eq!(lost(store, 2, later).await, None, "the next generation has lost nothing");
}

pub(crate) async fn an_answer_is_lost_when_its_holder_says_so(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let until = NOW.plus(MINUTE);
    assert_eq!(lost(store, 1, NOW).await, None);
    store.release_refresh(&g(), 1, until, None).await.expect("an answer");
    assert_eq!(lost(store, 1, NOW).await, None, "an answer that said nothing is an answer");
    store.release_refresh(&g(), 1, until, Some(NOW)).await.expect("an answer");
    assert_eq!(lost(store, 1, NOW.plus(MINUTE)).await, Some(NOW));
    store.release_refresh(&g(), 1, NOW.plus(MINUTE * 2), None).await.expect("an answer");
    assert_eq!(
        lost(store, 1, NOW.plus(MINUTE)).await,
        Some(NOW),
        "that it was released does not bring it back"
    );
    // A grant that is authorized again begins anew, too.
    assert!(keep(store, &next(&first), &["acme.production"]).await);
    assert_eq!(lost(store, 2, NOW).await, None);
}

pub(crate) async fn a_lease_of_a_clock_that_was_ahead_holds_up_nobody(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    let ahead = NOW.plus(MINUTE * 60 * 24 * 365);
    assert!(leased(store, &g(), 1, ahead, ahead.plus(MINUTE)).await);
    assert_eq!(lost(store, 1, NOW).await, Some(NOW));
    assert!(!leased(store, &g(), 1, NOW, NOW.plus(MINUTE)).await);
}

pub(crate) async fn a_lease_holds_also_against_who_looked_at_the_clock_before_it_was_taken(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    let until = NOW.plus(LONGEST_RENEWAL).minus(APART);
    // They looked, and then had to wait until the other one had written.
    let earlier = NOW.minus(APART);
    assert!(leased(store, &g(), 1, NOW, until).await);
    assert!(!leased(store, &g(), 1, earlier, earlier.plus(MINUTE)).await);
    assert_eq!(lost(store, 1, until).await, Some(until), "it is the first one's to its end");
}
