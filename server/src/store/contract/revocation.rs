use std::time::Duration;

use super::{
    Bench, MINUTE, NOW, attempt, exists, grant, id, in_use, keep, next, on, populate, provider, record,
    runtime, sealed, token,
};
use crate::{
    clock::{APART, Timestamp},
    id::CredentialId,
    notice::Kind,
    revocation::{Doubt, Outcome, Pending, Revocation},
    store::{Ending, LONGEST_RENEWAL, LONGEST_REVOCATION, Lease, NewCredential, REVOCATIONS_KEPT, Store},
};

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
const DOUBT: Option<Doubt> = Some(Doubt { since: NOW, times: 2 });

/// To be revoked within a day.
fn revoked(credential: &str, from: &str) -> Ending {
    let (credential, runtime) = (credential.into(), runtime(from));
    let revoke_until = Some(NOW.plus(DAY));
    Ending { credential, runtime, revoke_until, held_by: Vec::new(), held_until: NOW.plus(HOUR), at: NOW }
}

fn by_hand(credential: &str, from: &str) -> Ending {
    Ending { revoke_until: None, ..revoked(credential, from) }
}

async fn delete(store: &dyn Store, from: &str, ending: Option<&Ending>) {
    store.delete(&id("alice"), &runtime(from), ending, NOW).await.expect("an answer").expect("a token");
}

async fn take_at(store: &dyn Store, now: Timestamp) -> Vec<Pending> {
    store.take_revocations(None, now, now.plus(MINUTE), 10).await.expect("an answer")
}

async fn take(store: &dyn Store) -> Vec<Pending> {
    take_at(store, NOW).await
}

async fn all(store: &dyn Store, user: &str) -> Vec<Revocation> {
    store.revocations(&id(user), NOW).await.expect("an answer")
}

/// Alice's grant, deleted and to be revoked.
async fn deleted(store: &dyn Store) -> NewCredential {
    populate(store).await;
    let grant = grant("g", "alice", "octocat");
    assert!(keep(store, &grant, &["acme.production"]).await);
    delete(store, "acme.production", Some(&revoked("g", "acme.production"))).await;
    grant
}

pub(crate) async fn a_deleted_token_that_is_to_be_revoked_is_nothing_else_any_more(bench: &Bench) {
    let store = &*bench.store;
    let before = deleted(store).await;
    assert!(!exists(store, "g").await && store.all_sealed().await.expect("an answer").is_empty());
    assert_eq!(in_use(store, "alice", "acme.production").await, None);
    let grant = store.grant(&id("alice"), &"github-app".into(), "octocat").await;
    assert_eq!(grant.expect("an answer"), None);
    assert!(store.watched(&"g".into()).await.expect("an answer").is_none());
    assert!(!record(store, &before.credential).await);
    let assigned = store.assign(&id("alice"), &"g".into(), &on(&["acme.staging"]), None, NOW).await;
    assert_eq!(assigned.expect("an answer"), None);

    let [one] = &take(store).await[..] else { panic!("one to revoke") };
    let credential = before.credential;
    let expected = Revocation {
        credential: credential.id,
        user: credential.user,
        runtime: runtime("acme.production"),
        provider: credential.provider,
        method: credential.method,
        kind: credential.kind,
        oauth_app: credential.oauth_app,
        generation: 1,
        owner: credential.owner,
        user_name: None,
        asked_at: NOW,
        give_up_at: NOW.plus(DAY),
        doubt: None,
        twin: None,
        ended: None,
        due_at: Some(NOW),
        held_by: Vec::new(),
    };
    assert_eq!((&one.revocation, one.tries, &one.sealed), (&expected, 1, &before.sealed));
    let [one] = &store.all_revocations().await.expect("an answer")[..] else { panic!("one to revoke") };
    assert_eq!((&one.revocation, &one.sealed), (&expected, &before.sealed));
    assert_eq!(all(store, "alice").await, [expected]);
}

pub(crate) async fn without_a_word_nothing_is_left_of_a_deleted_token(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    delete(store, "acme.production", None).await;
    assert!(!exists(store, "t").await);
    assert!(all(store, "alice").await.is_empty() && take(store).await.is_empty());
}

pub(crate) async fn what_its_owner_has_to_revoke_is_noted_without_its_secret(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    delete(store, "acme.production", Some(&by_hand("t", "acme.production"))).await;
    assert!(!exists(store, "t").await && take(store).await.is_empty());
    assert_eq!(all(store, "alice").await[0].ended, Some((Outcome::ByHand, NOW)));
}

pub(crate) async fn a_token_that_still_serves_another_runtime_is_not_revoked(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    // Whoever was not asked need not hear of it.
    delete(store, "acme.staging", Some(&by_hand("t", "acme.staging"))).await;
    assert!(all(store, "alice").await.is_empty());
    assert!(keep(store, &next(&token("t", "alice", "github")), &["acme.staging"]).await);

    delete(store, "acme.production", Some(&revoked("t", "acme.production"))).await;
    assert!(exists(store, "t").await && take(store).await.is_empty());
    assert_eq!(in_use(store, "alice", "acme.staging").await, Some("t".into()));
    assert_eq!(all(store, "alice").await[0].ended, Some((Outcome::InUse, NOW)));

    // One that waits for its user's decision is in use as well.
    let aside = next(&next(&token("t", "alice", "github")));
    assert!(store.propose(&aside, &runtime("acme.production"), NOW).await.expect("an answer"));
    delete(store, "acme.staging", Some(&revoked("t", "acme.staging"))).await;
    assert!(exists(store, "t").await && take(store).await.is_empty());
    let dropped = store.settle(&id("alice"), &runtime("acme.production"), false, None, NOW).await;
    assert!(dropped.expect("an answer"));
    assert!(!exists(store, "t").await && take(store).await.is_empty(), "nobody said so in the end");
}

pub(crate) async fn a_replaced_token_waits_for_the_runtimes_that_hold_it_but_not_for_ever(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let both = ["acme.production", "acme.staging"];
    let replace = async |old: &str, new: &str, held_by: &[&str]| {
        let held_by = held_by.iter().map(|name| runtime(name)).collect();
        let ending = Ending { held_by, ..revoked(old, "acme.production") };
        let new = token(new, "alice", "github");
        let kept = store.keep(&new, &on(&["acme.production"]), Some(&ending), NOW).await.expect("an answer");
        assert!(kept.is_some());
    };
    assert!(keep(store, &token("one", "alice", "github"), &["acme.production"]).await);
    replace("one", "two", &both).await;
    let known = &all(store, "alice").await[0];
    assert_eq!((known.due_at, &known.held_by), (Some(NOW.plus(HOUR)), &both.map(runtime).to_vec()));
    assert!(take(store).await.is_empty());
    let end_of = async |user: &str, of: &str, uses: &str, at| {
        store.end_holding(&id(user), &runtime(of), &uses.into(), at).await.expect("an answer")
    };
    let end = async |user: &str, of: &str| end_of(user, of, "two", NOW).await;
    assert_eq!(end("bob", "acme.production").await, 0, "another user's");
    // What it said before it was replaced came late.
    assert_eq!(end_of("alice", "acme.production", "one", NOW).await, 0, "it uses that very one");
    assert_eq!(end_of("alice", "acme.production", "zero", NOW.minus(MINUTE)).await, 0, "replaced since");
    assert_eq!(all(store, "alice").await[0].held_by, both.map(runtime));
    assert_eq!(end("alice", "acme.production").await, 0, "the other one still holds it");
    assert_eq!(all(store, "alice").await[0].held_by, [runtime("acme.staging")]);
    assert!(take(store).await.is_empty());
    assert_eq!(end("alice", "acme.staging").await, 1);
    assert_eq!(end("alice", "acme.staging").await, 0, "once");
    assert_eq!(take(store).await.len(), 1);

    replace("two", "three", &["acme.production"]).await;
    assert!(
        take_at(store, NOW.plus(HOUR - Duration::from_secs(1)))
            .await
            .iter()
            .all(|one| { one.revocation.credential == "one".into() })
    );
    let taken = take_at(store, NOW.plus(HOUR)).await;
    assert!(taken.iter().any(|one| one.revocation.credential == "two".into()), "nobody said anything");
    // Some were thought to hold it and turn out not to.
    replace("three", "four", &both).await;
    store.only_held_by(&"three".into(), &[runtime("acme.staging")], NOW).await.expect("noted");
    let three = async || all(store, "alice").await.into_iter().find(|one| one.credential == "three".into());
    assert_eq!(three().await.expect("it goes on").held_by, [runtime("acme.staging")]);
    assert_eq!(three().await.expect("it goes on").due_at, Some(NOW.plus(HOUR)));
    store.only_held_by(&"three".into(), &[runtime("acme.production")], NOW).await.expect("noted");
    let known = three().await.expect("it goes on");
    assert_eq!((known.held_by, known.due_at), (vec![], Some(NOW)), "no new one holds it");
    // One that its user does not want to be revoked waits for nobody.
    let by_hand = Ending { held_by: vec![runtime("acme.production")], ..by_hand("four", "acme.production") };
    delete(store, "acme.production", Some(&by_hand)).await;
    assert_eq!(all(store, "alice").await.iter().filter(|one| !one.held_by.is_empty()).count(), 1, "two");
}

pub(crate) async fn a_replaced_token_is_revoked_when_its_last_runtime_has_the_new_one(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("old", "alice", "github"), &["acme.production", "acme.staging"]).await);
    let ending = revoked("old", "acme.production");
    let new = token("new", "alice", "github");
    let kept = store.keep(&new, &on(&["acme.production"]), Some(&ending), NOW).await.expect("an answer");
    assert_eq!(kept, Some(vec![runtime("acme.production")]));
    assert!(take(store).await.is_empty());
    assert_eq!(all(store, "alice").await[0].ended, Some((Outcome::InUse, NOW)));

    let also = on(&["acme.staging"]);
    let shared =
        store.share(&id("alice"), &"new".into(), &also, Some(&"old".into()), Some(&ending), NOW).await;
    assert_eq!(shared.expect("an answer"), Some(vec![runtime("acme.staging")]));
    let taken = take(store).await;
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0].revocation.credential, taken[0].revocation.ended), (&"old".into(), None));
    assert!(exists(store, "new").await && !exists(store, "old").await);

    // A step that fails changes nothing about the one before either.
    let ending = revoked("new", "acme.production");
    let stale = token("new", "alice", "github");
    let kept = store.keep(&stale, &on(&["acme.production"]), Some(&ending), NOW).await.expect("an answer");
    assert_eq!(kept, None);
    assert_eq!(all(store, "alice").await.len(), 1);
}

pub(crate) async fn fifty_take_a_revocation_at_once_and_one_has_it(bench: &Bench) {
    deleted(&*bench.store).await;
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { take(&*store).await.len() })
        })
        .collect();
    let mut taken = 0;
    for attempt in tries {
        taken += attempt.await.expect("no panic");
    }
    assert_eq!(taken, 1);
}

pub(crate) async fn two_stores_on_one_database_revoke_nothing_twice(bench: &Bench) {
    deleted(&*bench.store).await;
    let another = bench.another().await;
    let (one, other) = tokio::join!(take(&*bench.store), take(&*another));
    assert_eq!(one.len() + other.len(), 1);
}

pub(crate) async fn a_lease_to_revoke_ends_by_itself(bench: &Bench) {
    let store = &*bench.store;
    deleted(store).await;
    assert_eq!(take(store).await.len(), 1);
    assert!(take_at(store, NOW.plus(MINUTE / 2)).await.is_empty());
    let again = take_at(store, NOW.plus(MINUTE)).await;
    assert_eq!((again.len(), again[0].tries), (1, 2));
    // Who held the first lease has nothing to say any more.
    let late = store.end_revocation(&"g".into(), NOW.plus(MINUTE), Outcome::ByHand, None, NOW).await;
    assert!(!late.expect("an answer"));
    store.postpone_revocation(&"g".into(), NOW.plus(MINUTE), NOW.plus(DAY), DOUBT).await.expect("an answer");
    let revocation = &all(store, "alice").await[0];
    assert_eq!((revocation.ended, revocation.doubt), (None, None));
    // One that claims to last for long was taken before the clock was set back.
    let behind = NOW.minus(LONGEST_REVOCATION);
    assert_eq!(
        store.take_revocations(None, behind, behind, 10).await.expect("an answer").len(),
        0,
        "not due"
    );
}

pub(crate) async fn what_was_put_off_is_due_then_and_only_one_can_be_asked_for(bench: &Bench) {
    let store = &*bench.store;
    deleted(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.staging"]).await);
    delete(store, "acme.staging", Some(&revoked("t", "acme.staging"))).await;
    let only: CredentialId = "g".into();
    let lease = NOW.plus(MINUTE);
    let taken = store.take_revocations(Some(&only), NOW, lease, 10).await.expect("an answer");
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].revocation.credential, only);
    store.postpone_revocation(&only, lease, NOW.plus(MINUTE * 5), DOUBT).await.expect("an answer");
    assert_eq!(take(store).await[0].revocation.credential, "t".into(), "the other one is due as ever");
    assert!(
        take_at(store, NOW.plus(MINUTE * 5).minus(Duration::from_secs(1)))
            .await
            .iter()
            .all(|one| { one.revocation.credential != only })
    );
    let later = take_at(store, NOW.plus(MINUTE * 5)).await;
    let one = later.iter().find(|one| one.revocation.credential == only).expect("due");
    assert_eq!((one.tries, one.revocation.doubt), (2, DOUBT));
}

pub(crate) async fn due_times_of_a_clock_that_was_ahead_do_not_count(bench: &Bench) {
    let store = &*bench.store;
    deleted(store).await;
    let ahead = NOW.plus(DAY * 365);
    let taken = store.take_revocations(None, ahead, ahead.plus(MINUTE), 10).await.expect("an answer");
    assert_eq!(taken.len(), 1);
    assert_eq!(take(store).await.len(), 1, "a lease of a clock that was ahead is none");
    let lease = NOW.plus(MINUTE);
    store.postpone_revocation(&"g".into(), lease, ahead, None).await.expect("an answer");
    assert_eq!(take(store).await.len(), 1);
}

pub(crate) async fn a_revocation_that_is_over_keeps_no_secret_and_comes_to_an_end_once(bench: &Bench) {
    let store = &*bench.store;
    deleted(store).await;
    take(store).await;
    let (g, lease) = ("g".into(), NOW.plus(MINUTE));
    let end = async || store.end_revocation(&g, lease, Outcome::Revoked, None, NOW).await.expect("an answer");
    assert!(end().await);
    assert!(!end().await);
    assert!(take_at(store, NOW.plus(DAY)).await.is_empty());
    assert_eq!(all(store, "alice").await[0].ended, Some((Outcome::Revoked, NOW)));
}

pub(crate) async fn a_renewal_that_meets_a_delete_is_revoked_and_resurrects_nothing(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let first = grant("g", "alice", "octocat");
    assert!(keep(store, &first, &["acme.production"]).await);
    let until = NOW.plus(MINUTE);
    let lease = store.lease_refresh(&"g".into(), 1, NOW, until).await.expect("an answer");
    assert!(matches!(lease, Lease::Taken { .. }));
    delete(store, "acme.production", Some(&revoked("g", "acme.production"))).await;
    assert!(take(store).await.is_empty(), "what the renewal brings is to be revoked, not what it uses up");

    let second = next(&first);
    assert!(!store.renew(&second, NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(!exists(store, "g").await);
    assert_eq!(in_use(store, "alice", "acme.production").await, None);
    let [one] = &take(store).await[..] else { panic!("due at once") };
    assert_eq!((one.revocation.generation, &one.sealed), (2, &sealed("g", 2)));

    // Nobody else's, and no other generation's.
    let mut stolen = next(&second);
    stolen.credential.user = id("bob");
    assert!(!store.renew(&stolen, NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(!store.renew(&next(&next(&second)), NOW.plus(MINUTE)).await.expect("an answer"));
    assert_eq!(all(store, "alice").await[0].generation, 2);

    // One that comes while the provider is being asked makes that answer worth nothing.
    assert!(!store.renew(&next(&second), NOW.plus(MINUTE)).await.expect("an answer"));
    let ended = store.end_revocation(&"g".into(), NOW.plus(MINUTE), Outcome::Revoked, None, NOW).await;
    assert!(!ended.expect("an answer"));
    assert_eq!(take(store).await[0].revocation.generation, 3);
}

pub(crate) async fn a_renewal_that_comes_after_the_revocation_is_revoked_again(bench: &Bench) {
    let store = &*bench.store;
    let first = deleted(store).await;
    take(store).await;
    let ended = store.end_revocation(&"g".into(), NOW.plus(MINUTE), Outcome::Revoked, None, NOW).await;
    assert!(ended.expect("an answer"));
    assert!(!store.renew(&next(&first), NOW.plus(MINUTE)).await.expect("an answer"));
    let taken = take(store).await;
    assert_eq!((taken.len(), taken[0].revocation.generation), (1, 2));
    assert!(!exists(store, "g").await);

    // Where nobody wanted it revoked, what comes too late is only lost.
    let theirs = grant("h", "alice", "hubot");
    assert!(keep(store, &theirs, &["acme.staging"]).await);
    delete(store, "acme.staging", Some(&by_hand("h", "acme.staging"))).await;
    assert!(!store.renew(&next(&theirs), NOW.plus(MINUTE)).await.expect("an answer"));
    assert!(take(store).await.is_empty());
}

pub(crate) async fn a_renewal_that_began_a_moment_after_who_deletes_looked_at_the_clock_is_waited_for(
    bench: &Bench,
) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &grant("g", "alice", "octocat"), &["acme.production"]).await);
    let moment = Duration::from_secs(1);
    let until = NOW.plus(LONGEST_RENEWAL).minus(APART).plus(moment);
    let lease = store.lease_refresh(&"g".into(), 1, NOW.plus(moment), until).await.expect("an answer");
    assert!(matches!(lease, Lease::Taken { .. }));
    delete(store, "acme.production", Some(&revoked("g", "acme.production"))).await;
    assert!(take(store).await.is_empty(), "what the renewal brings is to be revoked");
    assert_eq!(take_at(store, until).await.len(), 1);
}

pub(crate) async fn a_renewal_that_brings_nothing_holds_no_revocation_up(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &grant("g", "alice", "octocat"), &["acme.production"]).await);
    let until = NOW.plus(MINUTE);
    let lease = store.lease_refresh(&"g".into(), 1, NOW, until).await.expect("an answer");
    assert!(matches!(lease, Lease::Taken { .. }));
    delete(store, "acme.production", Some(&revoked("g", "acme.production"))).await;
    store.release_refresh(&"g".into(), 1, NOW.plus(MINUTE * 2), None).await.expect("an answer");
    assert!(take(store).await.is_empty(), "that was another lease");
    store.release_refresh(&"g".into(), 1, until, None).await.expect("an answer");
    assert_eq!(take(store).await.len(), 1);
}

pub(crate) async fn an_account_may_be_authorized_anew_while_its_old_grant_waits_to_be_revoked(bench: &Bench) {
    let store = &*bench.store;
    let of = async |at: &str, owner: &str| -> Vec<CredentialId> {
        let kept = store.sealed_of(&provider(at), owner).await.expect("an answer");
        kept.into_iter().map(|kept| kept.credential.id).collect()
    };
    deleted(store).await;
    assert!(of("github", "octocat").await.is_empty(), "the one that is to go does not count");
    // Whoever's it is here: at the provider it is one account.
    assert!(keep(store, &grant("bobs", "bob", "octocat"), &["acme.production"]).await);
    assert!(keep(store, &grant("anew", "alice", "octocat"), &["acme.production"]).await);
    assert_eq!(of("github", "octocat").await, ["anew".into(), "bobs".into()]);
    assert!(of("github", "hubot").await.is_empty() && of("gitea", "octocat").await.is_empty());
    let kept = store.sealed_of(&provider("github"), "octocat").await.expect("an answer");
    assert_eq!(kept[0].sealed, grant("anew", "alice", "octocat").sealed);
    assert_eq!(take(store).await[0].revocation.credential, "g".into());
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("anew".into()));
}

pub(crate) async fn an_authorization_counts_until_it_is_finished_and_no_longer_than_a_quarter_of_an_hour(
    bench: &Bench,
) {
    let store = &*bench.store;
    populate(store).await;
    let quarter = MINUTE * 15;
    let authorizing = async |app: &str, now: Timestamp| {
        store.authorizing(&app.into(), now.minus(quarter)).await.expect("an answer")
    };
    let begun = attempt(10, 1, "alice", "acme.production");
    let app = begun.oauth_app.as_str();
    assert!(!authorizing(app, NOW).await);
    store.begin(&begun).await.expect("begun");
    assert!(authorizing(app, NOW).await && !authorizing("another", NOW).await);
    store.take(&begun.state).await.expect("an answer").expect("the attempt");
    // Who signs out meanwhile gets the grant all the same.
    store.end_session(&begun.session).await.expect("ended");
    assert!(authorizing(app, NOW).await && !authorizing(app, NOW.plus(quarter)).await);
    let sweep = async |now: Timestamp| store.sweep(now, NOW.minus(DAY), NOW.minus(DAY)).await.expect("swept");
    sweep(NOW.plus(quarter).minus(MINUTE)).await;
    assert!(authorizing(app, NOW).await);
    sweep(NOW.plus(quarter)).await;
    assert!(!authorizing(app, NOW).await);

    let again = attempt(11, 2, "bob", "acme.production");
    store.begin(&again).await.expect("begun");
    store.take(&again.state).await.expect("an answer").expect("the attempt");
    store.finished(&again.state).await.expect("noted");
    assert!(!authorizing(app, NOW).await);
}

pub(crate) async fn how_it_ended_at_the_provider_is_in_the_timeline_and_is_told_to_nobody(bench: &Bench) {
    let store = &*bench.store;
    let kinds = async || -> Vec<Kind> {
        let events = store.timeline(&id("alice"), &runtime("acme.production"), None, 10).await;
        events.expect("an answer").into_iter().map(|event| event.kind).collect()
    };
    let end = async |outcome, twin: Option<&CredentialId>| {
        let ended = store.end_revocation(&"g".into(), NOW.plus(MINUTE), outcome, twin, NOW).await;
        assert!(ended.expect("an answer"));
    };
    deleted(store).await;
    take(store).await;
    end(Outcome::Revoked, None).await;
    assert_eq!(kinds().await, [Kind::EndedThere, Kind::Deleted, Kind::Added]);
    assert_eq!(store.unread(&id("alice")).await.expect("an answer"), 0);

    let twin = "t".into();
    assert!(keep(store, &grant("g", "alice", "octocat"), &["acme.production"]).await);
    delete(store, "acme.production", Some(&revoked("g", "acme.production"))).await;
    take(store).await;
    end(Outcome::InUse, Some(&twin)).await;
    let known = all(store, "alice").await.remove(0);
    assert_eq!((known.ended, known.twin), (Some((Outcome::InUse, NOW)), Some(twin)));
    assert_eq!(kinds().await[0], Kind::Deleted);
    assert!(store.all_revocations().await.expect("an answer").is_empty(), "its secret is gone");
}

pub(crate) async fn revocations_are_for_their_user_and_are_forgotten_after_a_week(bench: &Bench) {
    let store = &*bench.store;
    deleted(store).await;
    assert!(all(store, "bob").await.is_empty());
    take(store).await;
    let ended = store.end_revocation(&"g".into(), NOW.plus(MINUTE), Outcome::GivenUp, None, NOW).await;
    assert!(ended.expect("an answer"));
    let since = async |since| store.revocations(&id("alice"), since).await.expect("an answer").len();
    assert_eq!((since(NOW).await, since(NOW.plus(MINUTE)).await), (1, 0));
    let sweep = async |now| store.sweep(now, NOW.minus(DAY), NOW.minus(DAY)).await.expect("swept");
    sweep(NOW.plus(REVOCATIONS_KEPT).minus(MINUTE)).await;
    assert_eq!(since(NOW).await, 1);
    sweep(NOW.plus(REVOCATIONS_KEPT)).await;
    assert_eq!(since(NOW).await, 0);
}
