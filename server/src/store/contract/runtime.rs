use std::collections::HashMap;

use super::{
    Bench, MINUTE, NOW, declaration, fingerprint, id, keep, name, next, populate, record, runtime, token,
};
use crate::{
    clock::Timestamp,
    credential::Credential,
    notice::Hide,
    store::{
        Store,
        runtime::{Holding, RuntimeKey, VersionAt},
    },
};

fn key(number: u8, runtime: &str) -> RuntimeKey {
    RuntimeKey {
        public_id: format!("key-{number}"),
        runtime: runtime.into(),
        secret: fingerprint(number),
        // All at one moment: which one is the latest must not depend on it.
        created_at: NOW,
        used_at: None,
        revoked_at: None,
    }
}

async fn add(store: &dyn Store, key: &RuntimeKey, after: Option<&str>) -> Option<Vec<String>> {
    store.add_runtime_key(key, after).await.expect("an answer")
}

async fn valid(store: &dyn Store, of: &str) -> Vec<String> {
    let keys = store.runtime_keys(&runtime(of)).await.expect("keys");
    keys.into_iter().filter(|key| key.revoked_at.is_none()).map(|key| key.public_id).collect()
}

fn fetched(user: &str, of: &str, version: &str, at: Timestamp) -> VersionAt {
    VersionAt { user: id(user), runtime: runtime(of), version: version.to_owned(), at }
}

pub(crate) async fn a_key_is_found_by_its_public_id_alone(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert_eq!(add(store, &key(1, "acme.production"), None).await, Some(vec![]));
    assert_eq!(store.runtime_key("key-1").await.expect("an answer"), Some(key(1, "acme.production")));
    assert_eq!(store.runtime_key("key-2").await.expect("an answer"), None);
    assert_eq!(store.runtime_key("KEY-1").await.expect("an answer"), None);
    assert_eq!(valid(store, "acme.staging").await, [] as [&str; 0], "another runtime's");
}

pub(crate) async fn rotating_leaves_two_keys_valid_and_ends_those_before(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert_eq!(add(store, &key(9, "acme.production"), None).await, Some(vec![]));
    assert_eq!(add(store, &key(2, "acme.production"), Some("key-9")).await, Some(vec![]));
    assert_eq!(valid(store, "acme.production").await, ["key-2", "key-9"]);
    assert_eq!(add(store, &key(5, "acme.production"), Some("key-2")).await, Some(vec!["key-9".to_owned()]));
    assert_eq!(valid(store, "acme.production").await, ["key-5", "key-2"]);
    let ended = store.runtime_key("key-9").await.expect("an answer").expect("still known");
    assert_eq!(ended.revoked_at, Some(NOW));
}

pub(crate) async fn a_key_is_added_only_after_the_one_that_was_seen(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert_eq!(add(store, &key(1, "acme.production"), Some("key-9")).await, None, "there is none");
    assert_eq!(add(store, &key(1, "acme.nonsense"), None).await, None, "no such runtime");
    assert_eq!(add(store, &key(1, "acme.production"), None).await, Some(vec![]));
    assert_eq!(add(store, &key(2, "acme.production"), None).await, None, "there is one");
    assert_eq!(add(store, &key(3, "acme.staging"), Some("key-1")).await, None, "another runtime's");
    assert_eq!(valid(store, "acme.production").await, ["key-1"]);
    assert_eq!(valid(store, "acme.staging").await, [] as [&str; 0]);
}

pub(crate) async fn twenty_rotate_at_once_and_one_does(bench: &Bench) {
    populate(&*bench.store).await;
    assert_eq!(add(&*bench.store, &key(1, "acme.production"), None).await, Some(vec![]));
    let tries: Vec<_> = (10..30)
        .map(|number| {
            let store = bench.store.clone();
            tokio::spawn(async move { add(&*store, &key(number, "acme.production"), Some("key-1")).await })
        })
        .collect();
    let mut added = 0;
    for attempt in tries {
        added += usize::from(attempt.await.expect("no panic").is_some());
    }
    assert_eq!(added, 1);
    assert_eq!(valid(&*bench.store, "acme.production").await.len(), 2);
}

pub(crate) async fn a_key_is_revoked_once_and_only_by_its_runtime(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert_eq!(add(store, &key(1, "acme.production"), None).await, Some(vec![]));
    let revoke = async |of: &str| {
        store.revoke_runtime_key(&runtime(of), "key-1", NOW.plus(MINUTE)).await.expect("an answer")
    };
    assert!(!revoke("acme.staging").await);
    assert_eq!(valid(store, "acme.production").await, ["key-1"]);
    assert!(revoke("acme.production").await);
    assert!(!revoke("acme.production").await);
    let known = store.runtime_key("key-1").await.expect("an answer").expect("still known");
    assert_eq!(known.revoked_at, Some(NOW.plus(MINUTE)));
    assert_eq!(
        add(store, &key(2, "acme.production"), None).await,
        Some(vec![]),
        "the next one is a first one"
    );
}

pub(crate) async fn a_runtime_is_there_while_all_of_it_is_declared(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let found = store.runtime(&runtime("acme.production")).await.expect("an answer").expect("declared");
    assert_eq!(Some(&found), declaration().runtimes.iter().find(|known| known.id == found.id));
    assert_eq!(store.runtime(&runtime("acme.nonsense")).await.expect("an answer"), None);
    let gone: [fn(&mut crate::catalogue::Declaration); 2] = [
        |declared| declared.runtimes.retain(|known| known.id != runtime("acme.production")),
        |declared| {
            declared.accounts.retain(|account| account.id != "acme".into());
            declared.members.retain(|member| member.account != "acme".into());
        },
    ];
    for change in gone {
        let mut declared = declaration();
        change(&mut declared);
        store.apply(&declared, NOW).await.expect("applied");
        assert_eq!(store.runtime(&runtime("acme.production")).await.expect("an answer"), None);
        assert!(store.runtime_users(&runtime("acme.production"), NOW).await.expect("an answer").is_empty());
        store.apply(&declaration(), NOW).await.expect("applied");
        assert!(store.runtime(&runtime("acme.production")).await.expect("an answer").is_some(), "back");
    }
}

pub(crate) async fn only_admins_administer_and_only_their_accounts(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let administered = async |user: &str| {
        let runtimes = store.administered(&id(user)).await.expect("an answer");
        runtimes.into_iter().map(|runtime| runtime.id.to_string()).collect::<Vec<_>>()
    };
    // Alice is an admin of acme and a member of zoo; bob is a member; carol is nowhere.
    assert_eq!(administered("alice").await, ["acme.forge", "acme.production", "acme.staging"]);
    assert_eq!(administered("bob").await, [] as [&str; 0]);
    assert_eq!(administered("carol").await, [] as [&str; 0]);
    store.disable_user(&id("alice"), NOW).await.expect("disabled");
    assert_eq!(administered("alice").await, [] as [&str; 0]);
}

pub(crate) async fn a_runtime_sees_its_own_users_and_what_they_authorized_for_it(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("a", "alice", "github"), &["acme.production"]).await);
    assert!(keep(store, &token("z", "alice", "github"), &["zoo.main"]).await);
    assert!(keep(store, &token("b", "bob", "github"), &["acme.staging"]).await);
    let seen = async |of: &str| {
        let users = store.runtime_users(&runtime(of), NOW).await.expect("an answer");
        let credential = |known: Option<Credential>| known.map(|known| known.id.to_string());
        users
            .into_iter()
            .map(|user| (user.name.to_string(), credential(user.access.credential)))
            .collect::<Vec<_>>()
    };
    let user = |name: &str, credential: Option<&str>| (name.to_owned(), credential.map(str::to_owned));
    assert_eq!(seen("acme.production").await, [user("alice", Some("a")), user("bob", None)]);
    assert_eq!(seen("acme.staging").await, [user("alice", None), user("bob", Some("b"))]);
    assert_eq!(seen("zoo.main").await, [user("alice", Some("z"))]);
    assert_eq!(seen("acme.nonsense").await, []);

    let one = async |of: &str, user: &str| store.runtime_user(&runtime(of), &name(user), NOW).await;
    let alice = one("acme.production", "alice").await.expect("an answer").expect("a user");
    assert_eq!((alice.id, alice.access), (id("alice"), super::look(store, "alice", "acme.production").await));
    assert_eq!(one("zoo.main", "bob").await.expect("an answer"), None);
    assert_eq!(one("acme.production", "carol").await.expect("an answer"), None);
    store.disable_user(&id("alice"), NOW).await.expect("disabled");
    assert_eq!(one("acme.production", "alice").await.expect("an answer"), None);
    assert_eq!(seen("zoo.main").await, []);
}

pub(crate) async fn a_proposed_credential_is_not_what_a_runtime_gets(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("a", "alice", "github"), &["acme.production"]).await);
    let proposed = token("p", "alice", "github");
    assert!(store.propose(&proposed, &runtime("acme.production"), NOW).await.expect("an answer"));
    let users = store.runtime_users(&runtime("acme.production"), NOW).await.expect("an answer");
    let [alice, _] = &users[..] else { panic!("two users, not {}", users.len()) };
    assert_eq!(alice.access.credential.as_ref().map(|known| known.id.as_str()), Some("a"));
    assert_eq!(alice.access.proposed.as_ref().map(|known| known.id.as_str()), Some("p"));
}

pub(crate) async fn what_was_fetched_and_used_is_kept_per_user_and_runtime(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert_eq!(add(store, &key(1, "acme.production"), None).await, Some(vec![]));
    let later = NOW.plus(MINUTE);
    let batch = [
        fetched("alice", "acme.production", "v2", later),
        fetched("alice", "acme.staging", "v1", NOW),
        fetched("nobody", "acme.staging", "v1", NOW),
        fetched("alice", "acme.nonsense", "v1", NOW),
    ];
    let keys = [("key-1".to_owned(), later), ("key-9".to_owned(), later)];
    store.note_fetched(&batch, &keys).await.expect("noted");
    // What comes late sets nothing back.
    let late = [fetched("alice", "acme.production", "v1", NOW)];
    store.note_fetched(&late, &[("key-1".to_owned(), NOW)]).await.expect("noted");
    store.note_used(&fetched("alice", "acme.production", "v1", later)).await.expect("noted");
    store.note_used(&fetched("alice", "acme.production", "v0", NOW)).await.expect("noted");
    store.note_used(&fetched("nobody", "acme.production", "v0", NOW)).await.expect("passed over");

    let production = Holding {
        fetched_at: Some(later),
        fetched_version: Some("v2".to_owned()),
        used_at: Some(later),
        used_version: Some("v1".to_owned()),
    };
    let staging =
        Holding { fetched_at: Some(NOW), fetched_version: Some("v1".to_owned()), ..Holding::default() };
    let all =
        HashMap::from([(runtime("acme.production"), production.clone()), (runtime("acme.staging"), staging)]);
    assert_eq!(store.holdings(&id("alice")).await.expect("an answer"), all);
    assert_eq!(store.holdings(&id("bob")).await.expect("an answer"), HashMap::new());
    let alice = store.runtime_user(&runtime("acme.production"), &name("alice"), NOW).await;
    assert_eq!(alice.expect("an answer").expect("a user").holding, production);
    let key = store.runtime_key("key-1").await.expect("an answer").expect("a key");
    assert_eq!(key.used_at, Some(later));
}

pub(crate) async fn a_runtime_gets_what_its_user_key_and_token_allow(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert_eq!(add(store, &key(1, "acme.production"), None).await, Some(vec![]));
    assert_eq!(add(store, &key(2, "acme.staging"), None).await, Some(vec![]));
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    let gets = async |key: &str, of: &str, user: &str, credential: &str, generation: i64| {
        let (of, user) = (runtime(of), id(user));
        store.gets(key, &of, &user, &credential.into(), generation).await.expect("an answer")
    };
    let gets_it = async || gets("key-1", "acme.production", "alice", "t", 1).await;
    assert!(gets_it().await);
    assert!(!gets("key-2", "acme.production", "alice", "t", 1).await, "another runtime's key");
    assert!(!gets("key-9", "acme.production", "alice", "t", 1).await, "no key");
    assert!(!gets("key-2", "acme.staging", "alice", "t", 1).await, "it does not serve that one");
    assert!(!gets("key-1", "acme.production", "bob", "t", 1).await, "another user's");
    assert!(!gets("key-1", "acme.production", "alice", "s", 1).await, "another one");
    assert!(!gets("key-1", "acme.production", "alice", "t", 2).await, "another generation");
    // Dead, and well again.
    let known = store.credential(&id("alice"), &"t".into()).await.expect("an answer").expect("kept");
    let mut dead = known.clone();
    dead.standing.invalid = true;
    assert!(store.record(&dead, &known.standing).await.expect("an answer"));
    assert!(!gets_it().await);
    assert!(store.record(&known, &dead.standing).await.expect("an answer"));
    assert!(gets_it().await);
    assert!(store.revoke_runtime_key(&runtime("acme.production"), "key-1", NOW).await.expect("an answer"));
    assert!(!gets_it().await, "the key was revoked");

    let account = async |of: &str| store.account_of(&runtime(of)).await.expect("an answer");
    assert_eq!(account("acme.production").await, Some("acme".into()));
    assert_eq!(account("acme.nonsense").await, None);
    store.apply(&crate::catalogue::Declaration::default(), NOW).await.expect("applied");
    assert_eq!(account("acme.production").await, Some("acme".into()), "declared or not");
}

pub(crate) async fn news_are_what_changes_what_runtimes_get(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let another = bench.another().await;
    let mut last = store.runtime_news().await.expect("a number");
    let mut is_news = async || {
        let number = store.runtime_news().await.expect("a number");
        assert_eq!(another.runtime_news().await.expect("a number"), number, "other processes see it too");
        std::mem::replace(&mut last, number) != number
    };
    let first = token("a", "alice", "github");
    assert!(keep(store, &first, &["acme.production"]).await);
    assert!(is_news().await, "a token was given");
    let mut checked = first.credential.clone();
    checked.standing.checked_at = NOW.plus(MINUTE);
    assert!(record(store, &checked).await);
    store.hide(&id("alice"), &runtime("acme.production"), Hide::Always).await.expect("hidden");
    store.note_fetched(&[fetched("alice", "acme.production", "v", NOW)], &[]).await.expect("noted");
    assert!(!is_news().await, "a check that passed, a mute, a fetch");
    checked.standing.invalid = true;
    assert!(record(store, &checked).await);
    assert!(is_news().await, "it is dead");
    assert!(keep(store, &next(&first), &["acme.production"]).await);
    assert!(is_news().await, "it was replaced");
    assert!(keep(store, &token("b", "alice", "github"), &["acme.production"]).await);
    assert!(is_news().await, "it was replaced by another");
    store.delete(&id("alice"), &runtime("acme.production"), None, NOW).await.expect("an answer");
    assert!(is_news().await, "it was deleted");
    store.disable_user(&id("bob"), NOW).await.expect("disabled");
    assert!(is_news().await, "a user was disabled");
    let mut declared = declaration();
    declared.members.retain(|member| member.name != name("alice") || member.account != "zoo".into());
    store.apply(&declared, NOW).await.expect("applied");
    assert!(is_news().await, "a member left");
    store.apply(&declaration(), NOW).await.expect("applied");
    assert!(is_news().await, "a member came back");
}
