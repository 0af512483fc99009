use std::collections::HashSet;

use super::{
    Bench, MINUTE, NOW, declaration, exists, id, keep, look, next, on, populate, provider, record, runtime,
    token,
};
use crate::{
    catalogue::Runtime,
    clock::Timestamp,
    id::{CredentialId, RuntimeId},
    random::TestEntropy,
    store::{INCIDENTS_KEPT, LONGEST_CHECK, NewCredential, Store},
    watch::{
        due,
        host::{Host, Incident, Pace, Signal, Trouble},
    },
};

/// A runtime each, so that they can be in use at the same time.
async fn crowd(store: &dyn Store, user: &str, count: usize, due_at: Timestamp) -> Vec<CredentialId> {
    let mut declared = declaration();
    for number in 0..count {
        declared.runtimes.push(Runtime {
            id: RuntimeId(format!("acme.{user}-{number}")),
            name: format!("{user}-{number}"),
            ..declared.runtimes[0].clone()
        });
    }
    store.apply(&declared, NOW).await.expect("applied");
    let mut ids = Vec::new();
    for number in 0..count {
        let mut new = token(&format!("{user}-{number}"), user, "github");
        new.credential.due_at = Some(due_at);
        assert!(keep(store, &new, &[&format!("acme.{user}-{number}")]).await);
        ids.push(new.credential.id);
    }
    ids
}

async fn one(store: &dyn Store) -> NewCredential {
    populate(store).await;
    let mut new = token("t", "alice", "github");
    new.credential.due_at = Some(NOW);
    assert!(keep(store, &new, &["acme.production"]).await);
    new
}

async fn take(store: &dyn Store, now: Timestamp, most: u32) -> Vec<CredentialId> {
    store.take_due(&provider("github"), &[], now, now.plus(MINUTE), most).await.expect("an answer")
}

async fn due(store: &dyn Store, now: Timestamp) -> u32 {
    store.due(&provider("github"), now, 100).await.expect("an answer")
}

pub(crate) async fn nothing_is_taken_before_it_is_due_nor_at_another_provider(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    let before = NOW.minus(MINUTE);
    assert_eq!((due(store, before).await, take(store, before, 9).await), (0, vec![]));
    let elsewhere = store.take_due(&provider("gitea"), &[], NOW, NOW.plus(MINUTE), 9).await;
    assert_eq!(elsewhere.expect("an answer"), vec![]);
    assert_eq!(due(store, NOW).await, 1);
    assert_eq!(take(store, NOW, 9).await, vec!["t".into()]);
}

pub(crate) async fn what_has_no_due_time_is_never_taken(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    let later = NOW.plus(due::DAY * 1000);
    assert_eq!((due(store, later).await, take(store, later, 9).await), (0, vec![]));
}

pub(crate) async fn a_lease_to_ask_ends_by_itself(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    assert_eq!(take(store, NOW, 9).await.len(), 1);
    assert_eq!((due(store, NOW).await, take(store, NOW, 9).await.len()), (0, 0));
    let over = NOW.plus(MINUTE);
    assert_eq!((due(store, over).await, take(store, over, 9).await.len()), (1, 1));
}

pub(crate) async fn a_lease_of_a_clock_that_was_ahead_is_none(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    let ahead = NOW.plus(LONGEST_CHECK * 2);
    assert_eq!(take(store, ahead, 9).await.len(), 1);
    assert_eq!((due(store, NOW).await, take(store, NOW, 9).await.len()), (1, 1));
}

pub(crate) async fn what_came_back_ends_the_lease_and_says_when_again(bench: &Bench) {
    let store = &*bench.store;
    let mut new = one(store).await;
    assert_eq!(take(store, NOW, 9).await.len(), 1);
    new.credential.due_at = Some(NOW.plus(MINUTE / 2));
    assert!(record(store, &new.credential).await);
    assert_eq!(take(store, NOW, 9).await.len(), 0, "not yet");
    assert_eq!(take(store, NOW.plus(MINUTE / 2), 9).await.len(), 1, "the lease would have lasted longer");
}

pub(crate) async fn a_check_that_was_put_off_is_due_then(bench: &Bench) {
    let store = &*bench.store;
    let new = one(store).await;
    assert_eq!(take(store, NOW, 9).await.len(), 1);
    let later = NOW.plus(MINUTE / 2);
    store.postpone(&new.credential.id, 2, NOW).await.expect("an answer");
    assert_eq!(take(store, NOW, 9).await.len(), 0, "of another generation");
    store.postpone(&new.credential.id, 1, later).await.expect("an answer");
    assert_eq!(take(store, NOW, 9).await.len(), 0);
    assert_eq!(take(store, later, 9).await.len(), 1);
    let kept = look(store, "alice", "acme.production").await.credential.expect("a token");
    assert_eq!(kept.standing, new.credential.standing, "no verdict");
}

pub(crate) async fn a_replaced_secret_is_nobodys_to_ask_about(bench: &Bench) {
    let store = &*bench.store;
    let new = one(store).await;
    assert_eq!(take(store, NOW, 9).await.len(), 1);
    assert!(keep(store, &next(&new), &["acme.production"]).await);
    assert_eq!(take(store, NOW, 9).await.len(), 1, "the new one is due on its own");
}

pub(crate) async fn fifty_take_at_once_and_nothing_is_taken_twice(bench: &Bench) {
    populate(&*bench.store).await;
    let all: HashSet<_> = crowd(&*bench.store, "alice", 40, NOW).await.into_iter().collect();
    let takers: Vec<_> = (0..50)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { take(&*store, NOW, 1).await })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.expect("no panic"));
    }
    assert_eq!(taken.len(), 40);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), all);
}

pub(crate) async fn two_stores_on_one_database_take_nothing_twice(bench: &Bench) {
    populate(&*bench.store).await;
    let all: HashSet<_> = crowd(&*bench.store, "alice", 60, NOW).await.into_iter().collect();
    let other = bench.another().await;
    let takers: Vec<_> = (0..20)
        .map(|number| {
            let store = if number % 2 == 0 { bench.store.clone() } else { other.clone() };
            tokio::spawn(async move { take(&*store, NOW, 4).await })
        })
        .collect();
    let mut taken = Vec::new();
    for taker in takers {
        taken.extend(taker.await.expect("no panic"));
    }
    assert_eq!(taken.len(), 60);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), all);
    assert_eq!(take(&*other, NOW.plus(MINUTE), 100).await.len(), 60, "whoever took them is gone");
}

pub(crate) async fn a_hundred_of_one_user_leave_room_for_anothers_one(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    crowd(store, "alice", 100, NOW.minus(MINUTE)).await;
    let mut new = token("the one", "bob", "github");
    new.credential.due_at = Some(NOW);
    assert!(keep(store, &new, &["acme.production"]).await);
    let taken = take(store, NOW, 2).await;
    assert!(taken.contains(&"the one".into()), "{taken:?}");
    assert_eq!(taken.len(), 2, "and alice's next");
}

pub(crate) async fn what_is_wanted_comes_first_if_it_is_due(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    crowd(store, "alice", 10, NOW.minus(MINUTE)).await;
    let wanted: [CredentialId; 2] = ["alice-7".into(), "late".into()];
    let mut late = token("late", "alice", "github");
    late.credential.due_at = Some(NOW.plus(MINUTE));
    assert!(keep(store, &late, &["acme.production"]).await);
    let taken = store.take_due(&provider("github"), &wanted, NOW, NOW.plus(MINUTE), 1).await;
    assert_eq!(taken.expect("an answer"), vec!["alice-7".into()]);
    let rest = store.take_due(&provider("github"), &wanted, NOW, NOW.plus(MINUTE), 100).await;
    assert_eq!(rest.expect("an answer").len(), 9, "what is not due stays, however much it is wanted");
}

pub(crate) async fn what_is_asked_about_is_what_is_in_use(bench: &Bench) {
    let store = &*bench.store;
    let new = one(store).await;
    let shared = store.share(&id("alice"), &"t".into(), &on(&["acme.staging"]), None, None, NOW).await;
    assert_eq!(shared.expect("an answer").map(|served| served.len()), Some(1));
    let watched = store.watched(&"t".into()).await.expect("an answer").expect("a token");
    assert_eq!(watched.credential, new.credential);
    let there = |key: &str| (runtime(key), "acme/gitops".to_owned());
    assert_eq!(watched.repositories, [there("acme.production"), there("acme.staging")]);
    assert!(watched.in_use);
    assert_eq!(store.watched(&"none".into()).await.expect("an answer"), None);

    // What waits for a decision is not asked about the runtime's repository: another one is in use there.
    let proposed = token("p", "alice", "github");
    assert!(store.propose(&proposed, &runtime("acme.production"), NOW).await.expect("an answer"));
    let watched = store.watched(&"p".into()).await.expect("an answer").expect("a token");
    assert!(watched.in_use && watched.repositories.is_empty());

    let mut fewer = declaration();
    fewer.runtimes.retain(|runtime| runtime.name == "staging");
    store.apply(&fewer, NOW).await.expect("applied");
    let watched = store.watched(&"t".into()).await.expect("an answer").expect("a token");
    assert_eq!(watched.repositories, [there("acme.staging")]);
    store.disable_user(&id("alice"), NOW).await.expect("an answer");
    let watched = store.watched(&"t".into()).await.expect("an answer").expect("a token");
    assert!(!watched.in_use && watched.repositories.is_empty());
    assert!(exists(store, "t").await);
}

pub(crate) async fn due_times_of_a_clock_that_was_set_back_are_brought_back_once(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let at = [
        ("soon", NOW.plus(due::HOUR), NOW),
        ("by rule", NOW.plus(due::DAY), NOW),
        ("beyond any rule", NOW.plus(due::DAY * 365), NOW),
        ("passed in the future", NOW.plus(due::HOUR * 2), NOW.plus(due::HOUR)),
    ];
    let runtimes = ["acme.production", "acme.staging", "zoo.main", "acme.more"];
    let mut declared = declaration();
    declared.runtimes.push(Runtime {
        id: "acme.more".into(),
        name: "more".to_owned(),
        ..declared.runtimes[0].clone()
    });
    store.apply(&declared, NOW).await.expect("applied");
    for ((name, due_at, passed_at), runtime) in at.into_iter().zip(runtimes) {
        let mut new = token(name, "alice", "github");
        new.credential.due_at = Some(due_at);
        new.credential.standing.last_good_at = Some(passed_at);
        assert!(keep(store, &new, &[runtime]).await);
    }
    let github = provider("github");
    assert_eq!(store.straighten(&github, NOW).await.expect("an answer"), 2);
    assert_eq!(store.straighten(&github, NOW).await.expect("an answer"), 0, "doing it again changes nothing");
    let taken: HashSet<_> = take(store, NOW.plus(due::HOUR), 9).await.into_iter().collect();
    assert_eq!(taken, ["soon", "beyond any rule", "passed in the future"].map(CredentialId::from).into());
}

fn troubled() -> (Host, Incident) {
    let mut host = Host::default();
    for number in 0..3_i64 {
        let who = CredentialId(number.to_string());
        host.weigh(&who, Signal::Unreachable, NOW, NOW, &TestEntropy::new(1));
    }
    let incident = host.incident("github.example").expect("an incident");
    (host, incident)
}

pub(crate) async fn how_a_host_is_is_kept_by_whoever_read_it_last(bench: &Bench) {
    let (store, other) = (&*bench.store, bench.another().await);
    let host = "github.example";
    assert_eq!(store.host(host).await.expect("an answer"), (Host::default(), 0));
    let mut mine = Host::default();
    assert_eq!(mine.take(NOW, 3, Pace::default()), 3);
    let (troubled, incident) = troubled();
    assert!(store.keep_host(host, 0, &mine, None).await.expect("an answer"));
    assert!(!other.keep_host(host, 0, &troubled, Some(&incident)).await.expect("an answer"));
    assert_eq!(other.host(host).await.expect("an answer"), (mine, 1));
    assert_eq!(store.incidents(NOW).await.expect("an answer"), []);
    assert!(other.keep_host(host, 1, &troubled, Some(&incident)).await.expect("an answer"));
    assert!(!store.keep_host(host, 1, &Host::default(), None).await.expect("an answer"));
    assert_eq!(store.host(host).await.expect("an answer"), (troubled, 2));
    assert_eq!(store.incidents(NOW).await.expect("an answer"), [incident]);
    assert_eq!(store.host("other").await.expect("an answer"), (Host::default(), 0));
}

pub(crate) async fn an_incident_is_kept_for_ninety_days_after_its_end(bench: &Bench) {
    let store = &*bench.store;
    let (host, mut incident) = troubled();
    assert!(store.keep_host("h", 0, &host, Some(&incident)).await.expect("an answer"));
    let sweep = |now| store.sweep(now, NOW, NOW);
    sweep(NOW.plus(INCIDENTS_KEPT * 2)).await.expect("swept");
    assert_eq!(store.incidents(NOW.plus(MINUTE)).await.expect("an answer"), [incident.clone()]);
    incident.ended_at = Some(NOW.plus(MINUTE));
    incident.trouble = Trouble::Refusing;
    assert!(store.keep_host("h", 1, &host, Some(&incident)).await.expect("an answer"));
    let incidents = store.incidents(NOW.plus(MINUTE)).await.expect("an answer");
    assert_eq!(incidents, [incident], "the same, not another one");
    assert_eq!(store.incidents(NOW.plus(MINUTE * 2)).await.expect("an answer"), []);
    sweep(NOW.plus(INCIDENTS_KEPT)).await.expect("swept");
    assert_eq!(store.incidents(NOW).await.expect("an answer").len(), 1);
    sweep(NOW.plus(INCIDENTS_KEPT + MINUTE)).await.expect("swept");
    assert_eq!(store.incidents(NOW).await.expect("an answer"), []);
}
