use super::{
    Bench, NOW, attempt, declaration, exists, fingerprint, id, in_use, keep, look, name, populate, provider,
    token, user,
};
use crate::{
    catalogue::{Member, Role},
    credential::Push,
    store::{Applied, StoreError},
};

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

pub(crate) async fn applying_twice_changes_nothing(bench: &Bench) {
    let store = &*bench.store;
    let first = store.apply(&declaration(), NOW).await.expect("applied");
    assert_eq!(first.enabled.len(), 2 + 2 + 3 + 4);
    assert_eq!(first.enabled[..2], ids(&["provider gitea", "provider github"]));
    assert!(first.enabled.contains(&"member acme/alice".to_owned()));
    assert!(first.changed.is_empty() && first.disabled.is_empty());
    assert_eq!(store.apply(&declaration(), NOW).await.expect("applied"), Applied::default());
}

pub(crate) async fn what_leaves_the_declaration_is_disabled_and_comes_back(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    let mut less = declaration();
    less.runtimes.retain(|runtime| runtime.id.as_str() != "acme.production");
    less.members.retain(|member| member.name.as_str() != "bob");
    less.runtimes[0].name = "Staging".to_owned();
    let applied = store.apply(&less, NOW).await.expect("applied");
    assert_eq!(
        applied,
        Applied {
            enabled: vec![],
            disabled: ids(&["member acme/bob", "runtime acme.production"]),
            changed: ids(&["runtime acme.staging"]),
        }
    );
    assert!(store.access(&id("alice"), &"acme.production".into(), NOW).await.expect("an answer").is_none());
    assert_eq!(store.accesses(&id("bob"), NOW).await.expect("an answer"), []);
    assert!(!keep(store, &token("new", "alice", "github"), &["acme.production"]).await);
    assert!(exists(store, "t").await);

    let applied = store.apply(&declaration(), NOW).await.expect("applied");
    assert_eq!(applied.enabled, ids(&["member acme/bob", "runtime acme.production"]));
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("t".into()));
    assert_eq!(store.accesses(&id("bob"), NOW).await.expect("an answer").len(), 3);

    let mut less = declaration();
    less.providers.remove(0);
    less.accounts.remove(0);
    less.members.remove(1);
    less.runtimes.retain(|runtime| runtime.provider.as_str() == "gitea");
    store.apply(&less, NOW).await.expect("applied");
    let left = store.accesses(&id("alice"), NOW).await.expect("an answer");
    assert_eq!(left.iter().map(|access| access.runtime.id.as_str()).collect::<Vec<_>>(), ["acme.forge"]);
}

pub(crate) async fn what_would_be_applied_is_not_applied(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let mut other = declaration();
    other.accounts[1].name = "Renamed".to_owned();
    other.runtimes.pop();
    let would = store.would_apply(&other).await.expect("an answer");
    assert_eq!(would.changed, ids(&["account acme"]));
    assert_eq!(would.disabled, ids(&["runtime zoo.main"]));
    assert_eq!(look(store, "alice", "acme.production").await.account.name, "Z acme");
    assert_eq!(look(store, "alice", "zoo.main").await.runtime.name, "main");
    assert_eq!(store.apply(&other, NOW).await.expect("applied"), would);
}

pub(crate) async fn the_origin_of_a_provider_outlives_its_declaration(bench: &Bench) {
    let store = &*bench.store;
    assert!(store.origins().await.expect("an answer").is_empty());
    populate(store).await;
    let mut less = declaration();
    less.providers.remove(0);
    less.runtimes.retain(|runtime| runtime.provider.as_str() == "gitea");
    store.apply(&less, NOW).await.expect("applied");
    let origins = store.origins().await.expect("an answer");
    assert_eq!(origins.len(), 2);
    assert_eq!(origins[&provider("github")], "https://github.example");
    assert_eq!(origins[&provider("gitea")], "https://gitea.example");
}

pub(crate) async fn changing_an_origin_with_credentials_is_refused_and_applies_nothing(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    let mut other = declaration();
    other.accounts[1].name = "Renamed".to_owned();
    other.providers[0].origin = "https://elsewhere.example".to_owned();
    for refused in [store.would_apply(&other).await, store.apply(&other, NOW).await] {
        assert!(matches!(refused, Err(StoreError::OriginChanged(id)) if id == provider("github")));
    }
    assert_eq!(look(store, "alice", "acme.production").await.account.name, "Z acme");
    // Nor by way of leaving the declaration first.
    let mut without = declaration();
    without.providers.remove(0);
    without.runtimes.retain(|runtime| runtime.provider.as_str() == "gitea");
    store.apply(&without, NOW).await.expect("applied");
    assert!(matches!(store.apply(&other, NOW).await, Err(StoreError::OriginChanged(_))));
}

pub(crate) async fn changing_an_origin_without_credentials_ends_attempts_at_the_old_one(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    store.begin(&attempt(10, 1, "alice", "acme.production")).await.expect("begun");
    let mut other = declaration();
    other.providers[0].origin = "https://elsewhere.example".to_owned();
    let applied = store.apply(&other, NOW).await.expect("applied");
    assert_eq!(applied.changed, ids(&["provider github"]));
    assert!(store.take(&fingerprint(10)).await.expect("an answer").is_none());
}

pub(crate) async fn a_runtime_that_moves_to_another_provider_leaves_the_token_behind(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    store.record_push(&"t".into(), &"acme.production".into(), &Push::Allowed).await.expect("noted");
    let mut moved = declaration();
    moved.runtimes[1].provider = "gitea".into();
    store.apply(&moved, NOW).await.expect("applied");
    let access = look(store, "alice", "acme.production").await;
    assert_eq!((access.credential, access.push), (None, None));
    store.apply(&declaration(), NOW).await.expect("applied");
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("t".into()));
}

pub(crate) async fn a_member_may_be_declared_before_the_person_exists(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let mut more = declaration();
    more.members.push(Member { account: "zoo".into(), name: name("dora"), role: Role::Member });
    store.apply(&more, NOW).await.expect("applied");
    assert!(store.add_user(&user("dora")).await.expect("added"));
    let seen = store.accesses(&id("dora"), NOW).await.expect("an answer");
    assert_eq!(seen.iter().map(|access| access.runtime.id.as_str()).collect::<Vec<_>>(), ["zoo.main"]);
}
