use super::{Bench, MINUTE, NOW, exists, grant, id, keep, next, populate, runtime};
use crate::{
    id::CredentialId,
    store::{NewCredential, Store},
};

async fn granted(store: &dyn Store) -> NewCredential {
    populate(store).await;
    let grant = grant("g", "alice", "octocat");
    assert!(keep(store, &grant, &["acme.production"]).await);
    grant
}

fn g() -> CredentialId {
    "g".into()
}

pub(crate) async fn a_lease_is_held_by_one_until_it_runs_out(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    let until = NOW.plus(MINUTE);
    assert!(store.lease_refresh(&g(), 1, NOW, until).await.expect("an answer"));
    assert!(!store.lease_refresh(&g(), 1, NOW, until).await.expect("an answer"));
    assert!(!store.lease_refresh(&g(), 2, until, until.plus(MINUTE)).await.expect("an answer"));
    assert!(store.lease_refresh(&g(), 1, until, until.plus(MINUTE)).await.expect("an answer"));
    assert!(!store.lease_refresh(&"none".into(), 1, NOW, until).await.expect("an answer"));
}

pub(crate) async fn fifty_take_the_lease_at_once_and_one_has_it(bench: &Bench) {
    granted(&*bench.store).await;
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                store.lease_refresh(&g(), 1, NOW, NOW.plus(MINUTE)).await.expect("an answer")
            })
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
    assert!(store.lease_refresh(&g(), 1, NOW, NOW.plus(MINUTE)).await.expect("an answer"));
    let later = NOW.plus(MINUTE * 2);
    assert!(store.lease_refresh(&g(), 1, later, later.plus(MINUTE)).await.expect("an answer"));
    assert!(store.renew(&winner).await.expect("an answer"));
    // The next lease is not the late one's to end.
    assert!(store.lease_refresh(&g(), 2, later, later.plus(MINUTE)).await.expect("an answer"));
    assert!(!store.renew(&late).await.expect("an answer"));
    store.release_refresh(&g(), 1, NOW.plus(MINUTE)).await.expect("an answer");
    assert!(!store.record(&late_verdict(&first)).await.expect("an answer"));
    let kept = store.sealed(&g()).await.expect("an answer").expect("the grant");
    assert_eq!(kept.sealed, winner.sealed);
    assert_eq!(kept.credential.generation, 2);
    assert!(!kept.credential.standing.invalid);
    assert!(!store.lease_refresh(&g(), 2, later, later.plus(MINUTE)).await.expect("an answer"));
}

fn late_verdict(first: &NewCredential) -> crate::credential::Credential {
    let mut verdict = first.credential.clone();
    verdict.standing.invalid = true;
    verdict
}

pub(crate) async fn renewing_ends_the_lease(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    let second = next(&first);
    assert!(store.lease_refresh(&g(), 1, NOW, NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(store.renew(&second).await.expect("an answer"));
    assert!(store.lease_refresh(&g(), 2, NOW, NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(store.renew(&next(&second)).await.expect("an answer"));
    assert!(!store.renew(&next(&second)).await.expect("an answer"));
}

pub(crate) async fn a_released_lease_can_be_taken_at_once(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    assert!(store.lease_refresh(&g(), 1, NOW, NOW.plus(MINUTE)).await.expect("an answer"));
    store.release_refresh(&g(), 1, NOW.plus(MINUTE)).await.expect("an answer");
    assert!(store.lease_refresh(&g(), 1, NOW, NOW.plus(MINUTE)).await.expect("an answer"));
}

pub(crate) async fn releasing_a_lease_that_ran_out_leaves_the_next_holders(bench: &Bench) {
    let store = &*bench.store;
    granted(store).await;
    let (until, next_until) = (NOW.plus(MINUTE), NOW.plus(MINUTE * 2));
    assert!(store.lease_refresh(&g(), 1, NOW, until).await.expect("an answer"));
    assert!(store.lease_refresh(&g(), 1, until, next_until).await.expect("an answer"));
    store.release_refresh(&g(), 1, until).await.expect("an answer");
    assert!(!store.lease_refresh(&g(), 1, until, next_until).await.expect("an answer"));
    store.release_refresh(&g(), 1, next_until).await.expect("an answer");
    assert!(store.lease_refresh(&g(), 1, until, next_until).await.expect("an answer"));
}

pub(crate) async fn renewing_what_was_deleted_brings_nothing_back(bench: &Bench) {
    let store = &*bench.store;
    let first = granted(store).await;
    assert!(store.lease_refresh(&g(), 1, NOW, NOW.plus(MINUTE)).await.expect("an answer"));
    store.delete(&id("alice"), &runtime("acme.production"), None).await.expect("an answer").expect("a token");
    assert!(!store.renew(&next(&first)).await.expect("an answer"));
    assert!(!exists(store, "g").await);
}
