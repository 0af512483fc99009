use super::{
    Bench, MINUTE, NOW, evidence, exists, fingerprint, grant, id, in_use, keep, look, next, on, populate,
    provider, record, runtime, sealed, token,
};
use crate::{
    credential::{Push, Standing, Trouble},
    notice::Hide,
    store::{Deleted, NewCredential, Store},
};

async fn delete(store: &dyn Store, user: &str, id: &str) -> Option<Deleted> {
    store.delete(&super::id(user), &runtime(id), None, NOW).await.expect("an answer")
}

async fn settle(store: &dyn Store, take: bool) -> bool {
    store.settle(&id("alice"), &runtime("acme.production"), take, None, NOW).await.expect("an answer")
}

async fn propose(store: &dyn Store, new: &NewCredential) -> bool {
    store.propose(new, &runtime("acme.production"), NOW).await.expect("an answer")
}

pub(crate) async fn a_user_sees_the_runtimes_of_their_accounts_in_order(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let seen = async |user: &str| {
        let accesses = store.accesses(&id(user), NOW).await.expect("an answer");
        accesses.into_iter().map(|access| access.runtime.id.0).collect::<Vec<_>>()
    };
    assert_eq!(seen("alice").await, ["zoo.main", "acme.forge", "acme.production", "acme.staging"]);
    assert_eq!(seen("bob").await, ["acme.forge", "acme.production", "acme.staging"]);
    assert!(seen("carol").await.is_empty());
    let access = look(store, "alice", "acme.production").await;
    assert_eq!(access.runtime, super::declaration().runtimes[1]);
    assert_eq!(access.account, super::declaration().accounts[1]);
    assert_eq!((access.credential, access.proposed, access.push, access.attempt), (None, None, None, None));
    assert!(!access.muted);
}

pub(crate) async fn a_disabled_person_sees_nothing(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    store.disable_user(&id("alice"), NOW).await.expect("disabled");
    assert_eq!(store.accesses(&id("alice"), NOW).await.expect("an answer"), []);
    assert!(!keep(store, &token("u", "alice", "github"), &["acme.staging"]).await);
    assert!(exists(store, "t").await && !exists(store, "u").await);
}

pub(crate) async fn everything_about_a_credential_comes_back(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let mut full = grant("g", "alice", "1");
    full.credential.expires_at = Some(NOW.plus(MINUTE));
    full.credential.expiry_unknown = true;
    full.credential.user_name = Some("jane@example.com".to_owned());
    full.credential.noted_end = Some(NOW.plus(2 * MINUTE));
    full.credential.due_at = Some(NOW.plus(3 * MINUTE));
    full.credential.standing = Standing {
        refusals: 2,
        in_vain: 1,
        invalid: true,
        checked_at: NOW,
        evidence: evidence("401"),
        last_good_at: None,
        rejected_since: Some(NOW.minus(MINUTE)),
        trouble: Some((Trouble::RateLimited { until: Some(NOW.plus(MINUTE)) }, NOW)),
        not_renewed: true,
    };
    let mut bare = token("t", "alice", "github");
    bare.credential.scopes = None;
    bare.credential.standing.trouble = Some((Trouble::Unreachable, NOW));
    for (new, at) in [(&full, "acme.production"), (&bare, "acme.staging")] {
        assert!(keep(store, new, &[at]).await);
        let credential = Some(new.credential.clone());
        assert_eq!(look(store, "alice", at).await.credential, credential);
        let found = store.credential(&id("alice"), &new.credential.id).await.expect("an answer");
        assert_eq!(found, credential);
        let kept = store.sealed(&new.credential.id).await.expect("an answer").expect("sealed");
        assert_eq!((kept.credential, kept.sealed), (new.credential.clone(), new.sealed.clone()));
    }
    let found = store.grant(&id("alice"), &"github-app".into(), "1").await.expect("an answer");
    assert_eq!(found, Some(full.credential));
    let all = store.all_sealed().await.expect("an answer");
    assert_eq!(all.iter().map(|new| new.credential.id.as_str()).collect::<Vec<_>>(), ["g", "t"]);
}

pub(crate) async fn another_users_credential_is_not_found(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let own = grant("g", "alice", "1");
    assert!(keep(store, &own, &["acme.production"]).await);
    assert_eq!(store.credential(&id("bob"), &"g".into()).await.expect("an answer"), None);
    assert_eq!(store.grant(&id("bob"), &"github-app".into(), "1").await.expect("an answer"), None);
    assert_eq!(in_use(store, "bob", "acme.production").await, None);
    let assigned = store.assign(&id("bob"), &"g".into(), &on(&["acme.staging"]), None, NOW).await;
    assert_eq!(assigned.expect("an answer"), None);
    assert_eq!(delete(store, "bob", "acme.production").await, None);
    // Nor is it replaced, renewed or judged in another's name.
    let mut stolen = next(&own);
    stolen.credential.user = id("bob");
    assert!(!keep(store, &stolen, &["acme.staging"]).await);
    assert!(!store.renew(&stolen, NOW.plus(MINUTE)).await.expect("an answer"));
    stolen.credential.generation = 1;
    assert!(!record(store, &stolen.credential).await);
    let kept = store.sealed(&"g".into()).await.expect("an answer").expect("sealed");
    assert_eq!((kept.credential, kept.sealed), (own.credential, own.sealed));
}

pub(crate) async fn another_users_runtime_takes_no_token(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    for user in ["bob", "carol"] {
        assert!(!keep(store, &token("t", user, "github"), &["zoo.main"]).await);
        let new = token("t", user, "github");
        assert!(!store.propose(&new, &runtime("zoo.main"), NOW).await.expect("an answer"));
        store.hide(&id(user), &runtime("zoo.main"), Hide::Always).await.expect("an answer");
    }
    assert!(!keep(store, &token("t", "bob", "github"), &["acme.production", "zoo.main"]).await);
    assert_eq!(in_use(store, "bob", "acme.production").await, None);
    assert!(!exists(store, "t").await);
    assert!(store.access(&id("bob"), &runtime("zoo.main"), NOW).await.expect("an answer").is_none());
}

pub(crate) async fn a_token_is_never_used_at_another_provider(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(!keep(store, &token("t", "alice", "github"), &["acme.forge"]).await);
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    let assigned = store.assign(&id("alice"), &"t".into(), &on(&["acme.forge"]), None, NOW).await;
    assert_eq!(assigned.expect("an answer"), None);
    let new = token("u", "alice", "github");
    assert!(!store.propose(&new, &runtime("acme.forge"), NOW).await.expect("an answer"));
    let access = look(store, "alice", "acme.forge").await;
    assert_eq!((access.credential, access.proposed), (None, None));
}

pub(crate) async fn keeping_at_a_stale_generation_changes_nothing(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let first = token("t", "alice", "github");
    assert!(keep(store, &first, &["acme.production"]).await);
    assert!(keep(store, &token("other", "alice", "github"), &["acme.staging"]).await);
    for generation in [0, 1, 3, 100] {
        let mut stale = first.clone();
        stale.credential.generation = generation;
        stale.sealed = sealed("stale", generation);
        assert!(!keep(store, &stale, &["acme.production", "acme.staging"]).await);
        assert!(!propose(store, &stale).await);
    }
    let kept = store.sealed(&"t".into()).await.expect("an answer").expect("sealed");
    assert_eq!((kept.credential, kept.sealed), (first.credential, first.sealed));
    assert_eq!(in_use(store, "alice", "acme.staging").await, Some("other".into()));
    assert_eq!(look(store, "alice", "acme.production").await.proposed, None);
}

pub(crate) async fn keeping_the_next_generation_replaces_the_secret_and_not_the_creation(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let first = token("t", "alice", "github");
    assert!(keep(store, &first, &["acme.production"]).await);
    let mut second = next(&first);
    second.credential.created_at = NOW.plus(MINUTE);
    second.credential.kind = "fine-grained".to_owned();
    assert!(keep(store, &second, &["acme.staging"]).await);
    let kept = store.sealed(&"t".into()).await.expect("an answer").expect("sealed");
    assert_eq!(kept.sealed, sealed("t", 2));
    assert_eq!(kept.credential.kind, "fine-grained");
    assert_eq!((kept.credential.generation, kept.credential.created_at), (2, NOW));
    // The first runtime goes on with it.
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("t".into()));
    assert_eq!(in_use(store, "alice", "acme.staging").await, Some("t".into()));
}

pub(crate) async fn fifty_replace_the_same_generation_and_one_wins(bench: &Bench) {
    populate(&*bench.store).await;
    let first = token("t", "alice", "github");
    assert!(keep(&*bench.store, &first, &["acme.production"]).await);
    let tries: Vec<_> = (0..50_u8)
        .map(|number| {
            let store = bench.store.clone();
            let mut second = next(&first);
            second.sealed.0 = vec![number; 40];
            tokio::spawn(async move {
                keep(&*store, &second, &["acme.production"]).await.then_some(second.sealed)
            })
        })
        .collect();
    let mut won = vec![];
    for attempt in tries {
        won.extend(attempt.await.expect("no panic"));
    }
    let kept = bench.store.sealed(&"t".into()).await.expect("an answer").expect("sealed");
    assert_eq!(won, [kept.sealed]);
}

pub(crate) async fn a_second_grant_for_the_same_account_is_refused(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &grant("g", "alice", "1"), &["acme.production"]).await);
    assert!(!keep(store, &grant("h", "alice", "1"), &["acme.staging"]).await);
    assert!(!propose(store, &grant("h", "alice", "1")).await);
    assert!(!exists(store, "h").await);
    assert!(keep(store, &grant("h", "alice", "2"), &["acme.staging"]).await);
    assert!(keep(store, &grant("i", "bob", "1"), &["acme.staging"]).await);
    // Nor can one become the other.
    let mut same = next(&grant("h", "alice", "2"));
    same.credential.owner.id = "1".to_owned();
    assert!(!keep(store, &same, &["acme.staging"]).await);
}

pub(crate) async fn two_pasted_tokens_of_one_account_are_two_credentials(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert!(keep(store, &token("u", "alice", "github"), &["acme.staging"]).await);
    assert!(exists(store, "t").await && exists(store, "u").await);
}

pub(crate) async fn a_replaced_token_that_nothing_uses_is_gone(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    assert!(keep(store, &token("u", "alice", "github"), &["acme.production"]).await);
    assert!(exists(store, "t").await);
    assert!(keep(store, &token("v", "alice", "github"), &["acme.staging"]).await);
    assert!(!exists(store, "t").await);
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("u".into()));
    assert_eq!(in_use(store, "alice", "acme.staging").await, Some("v".into()));
}

pub(crate) async fn a_token_serves_further_runtimes_of_its_owner_alone(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert!(keep(store, &token("u", "alice", "github"), &["zoo.main"]).await);
    let assign = async |credential: &str| {
        let further = [(runtime("zoo.main"), None), (runtime("acme.staging"), Some(Push::Allowed))];
        store.assign(&id("alice"), &credential.into(), &further, None, NOW).await.expect("an answer")
    };
    assert_eq!(assign("t").await, Some(vec![runtime("zoo.main"), runtime("acme.staging")]));
    for at in ["acme.production", "acme.staging", "zoo.main"] {
        assert_eq!(in_use(store, "alice", at).await, Some("t".into()));
    }
    assert_eq!(look(store, "alice", "acme.staging").await.push, Some(Push::Allowed));
    assert_eq!(in_use(store, "bob", "acme.staging").await, None);
    assert!(!exists(store, "u").await);
    assert_eq!(assign("u").await, None);
}

pub(crate) async fn a_further_runtime_that_got_a_token_meanwhile_keeps_it(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let (asked, theirs, free) = (runtime("acme.production"), runtime("acme.staging"), runtime("zoo.main"));
    let pushing = [&asked, &theirs, &free].map(|runtime| (runtime.clone(), Some(Push::Allowed)));
    assert!(keep(store, &token("old", "alice", "github"), &["acme.production"]).await);
    assert!(keep(store, &token("theirs", "alice", "github"), &["acme.staging"]).await);
    store.denied(&id("alice"), &theirs, NOW).await.expect("noted");
    let served = store.keep(&token("t", "alice", "github"), &pushing, None, NOW).await.expect("an answer");
    assert_eq!(served, Some(vec![asked.clone(), free.clone()]));
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("t".into()));
    assert_eq!(in_use(store, "alice", "zoo.main").await, Some("t".into()));
    let left = look(store, "alice", "acme.staging").await;
    assert_eq!(left.credential.map(|credential| credential.id), Some("theirs".into()));
    assert_eq!(left.push, None);
    assert!(left.attempt.is_some(), "what concerns it is not settled");

    // What it serves already, it goes on serving.
    let served = store.assign(&id("alice"), &"t".into(), &pushing, None, NOW).await.expect("an answer");
    assert_eq!(served, Some(vec![asked, free]));
    assert_eq!(in_use(store, "alice", "acme.staging").await, Some("theirs".into()));
}

pub(crate) async fn a_shared_token_is_replaced_where_it_is_still_the_one(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(
        keep(store, &token("old", "alice", "github"), &["acme.production", "acme.staging", "zoo.main"]).await
    );
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert!(keep(store, &token("theirs", "alice", "github"), &["zoo.main"]).await);
    let also = on(&["acme.staging", "zoo.main"]);
    let served = store
        .share(&id("alice"), &"t".into(), &also, Some(&"old".into()), None, NOW)
        .await
        .expect("an answer");
    assert_eq!(served, Some(vec![runtime("acme.staging")]));
    assert_eq!(in_use(store, "alice", "zoo.main").await, Some("theirs".into()));
    assert!(!exists(store, "old").await, "nothing uses it any more");
    // Nobody said which one to replace, so none is.
    let served =
        store.share(&id("alice"), &"theirs".into(), &also, None, None, NOW).await.expect("an answer");
    assert_eq!(served, Some(vec![runtime("zoo.main")]));
    let gone = store.share(&id("alice"), &"old".into(), &also, None, None, NOW).await.expect("an answer");
    assert_eq!(gone, None);
}

pub(crate) async fn a_further_runtime_that_left_its_token_behind_is_taken(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("old", "alice", "github"), &["acme.production"]).await);
    let mut moved = super::declaration();
    moved.runtimes[1].provider = "gitea".into();
    store.apply(&moved, NOW).await.expect("applied");
    assert_eq!(in_use(store, "alice", "acme.production").await, None);
    let both = on(&["acme.forge", "acme.production"]);
    let served = store.keep(&token("t", "alice", "gitea"), &both, None, NOW).await.expect("an answer");
    assert_eq!(served.map(|served| served.len()), Some(2));
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("t".into()));
}

pub(crate) async fn assigning_for_one_foreign_runtime_assigns_none(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "bob", "github"), &["acme.production"]).await);
    let assigned = store.assign(&id("bob"), &"t".into(), &on(&["acme.staging", "zoo.main"]), None, NOW).await;
    assert_eq!(assigned.expect("an answer"), None);
    assert_eq!(in_use(store, "bob", "acme.staging").await, None);
}

pub(crate) async fn a_proposed_credential_leaves_the_one_in_use(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let own = grant("g", "alice", "1");
    assert!(keep(store, &own, &["acme.production", "acme.staging"]).await);
    assert!(propose(store, &grant("h", "alice", "2")).await);
    let access = look(store, "alice", "acme.production").await;
    assert_eq!(access.credential, Some(own.credential));
    assert_eq!(access.proposed, Some(grant("h", "alice", "2").credential));
    assert_eq!(look(store, "alice", "acme.staging").await.proposed, None);
    assert_eq!(store.accesses(&id("alice"), NOW).await.expect("an answer").len(), 4);
    // A second proposal replaces the first.
    assert!(propose(store, &grant("i", "alice", "3")).await);
    assert!(!exists(store, "h").await);
    // So does another token settle it.
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert!(!exists(store, "i").await);
    assert_eq!(look(store, "alice", "acme.production").await.proposed, None);
}

pub(crate) async fn taking_what_was_proposed_replaces_the_one_in_use(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(!settle(store, true).await);
    let pushing = [(runtime("acme.production"), Some(Push::Allowed))];
    assert!(store.keep(&grant("g", "alice", "1"), &pushing, None, NOW).await.expect("an answer").is_some());
    assert!(!settle(store, true).await);
    assert!(propose(store, &grant("h", "alice", "2")).await);
    let foreign = store.settle(&id("bob"), &runtime("acme.production"), true, None, NOW).await;
    assert!(!foreign.expect("an answer"));
    assert!(settle(store, true).await);
    let access = look(store, "alice", "acme.production").await;
    assert_eq!(access.credential, Some(grant("h", "alice", "2").credential));
    // What the provider said about the repository was said to the other one.
    assert_eq!((access.proposed, access.push), (None, None));
    assert!(!exists(store, "g").await);
    assert!(!settle(store, true).await);
}

pub(crate) async fn dropping_what_was_proposed_leaves_no_trace(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(propose(store, &grant("h", "alice", "2")).await);
    let access = look(store, "alice", "acme.production").await;
    assert_eq!(access.credential, None);
    assert!(access.proposed.is_some());
    assert!(settle(store, false).await);
    assert!(!exists(store, "h").await);
    assert!(keep(store, &grant("g", "alice", "1"), &["acme.production"]).await);
    assert!(propose(store, &grant("h", "alice", "2")).await);
    assert!(settle(store, false).await);
    assert!(!settle(store, false).await);
    assert!(!exists(store, "h").await);
    assert_eq!(in_use(store, "alice", "acme.production").await, Some("g".into()));
}

pub(crate) async fn deleting_says_whether_another_runtime_uses_the_token(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    assert!(keep(store, &token("b", "bob", "github"), &["acme.production"]).await);
    assert_eq!(delete(store, "alice", "acme.production").await, Some(Deleted { credential_gone: false }));
    assert_eq!(in_use(store, "alice", "acme.production").await, None);
    assert_eq!(delete(store, "alice", "acme.staging").await, Some(Deleted { credential_gone: true }));
    assert!(!exists(store, "t").await);
    assert_eq!(in_use(store, "bob", "acme.production").await, Some("b".into()));
}

pub(crate) async fn deleting_twice_finds_nothing(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert!(propose(store, &grant("h", "alice", "2")).await);
    assert!(delete(store, "alice", "acme.production").await.is_some());
    assert_eq!(delete(store, "alice", "acme.production").await, None);
    assert_eq!(delete(store, "alice", "no.such").await, None);
    // What was proposed in its place went with it.
    assert!(!exists(store, "h").await);
}

pub(crate) async fn muting_is_independent_of_a_token(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let mute = async |muted| {
        let hide = if muted { Hide::Always } else { Hide::No };
        store.hide(&id("alice"), &runtime("acme.production"), hide).await.expect("an answer");
        look(store, "alice", "acme.production").await.muted
    };
    assert!(mute(true).await && mute(true).await);
    assert!(!look(store, "bob", "acme.production").await.muted);
    assert!(!look(store, "alice", "acme.staging").await.muted);
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert!(look(store, "alice", "acme.production").await.muted);
    delete(store, "alice", "acme.production").await;
    assert!(look(store, "alice", "acme.production").await.muted);
    assert!(!mute(false).await && !mute(false).await);
}

pub(crate) async fn a_verdict_on_an_older_generation_is_not_recorded(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let first = token("t", "alice", "github");
    assert!(keep(store, &first, &["acme.production"]).await);
    let mut verdict = first.credential.clone();
    verdict.standing.invalid = true;
    verdict.owner.login = "renamed".to_owned();
    verdict.created_at = NOW.plus(MINUTE);
    assert!(record(store, &verdict).await);
    verdict.created_at = NOW;
    assert_eq!(look(store, "alice", "acme.production").await.credential, Some(verdict.clone()));
    assert!(keep(store, &next(&first), &["acme.production"]).await);
    assert!(!record(store, &verdict).await);
    let kept = look(store, "alice", "acme.production").await.credential;
    assert_eq!(kept, Some(next(&first).credential));
}

pub(crate) async fn a_verdict_that_was_overtaken_by_another_is_not_recorded(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let new = token("t", "alice", "github");
    assert!(keep(store, &new, &["acme.production"]).await);
    let seen = new.credential.standing.clone();
    let mut refused = new.credential.clone();
    refused.standing.invalid = true;
    refused.standing.checked_at = NOW.plus(MINUTE);
    assert!(store.record(&refused, &seen).await.expect("an answer"));
    // Asked before, heard after.
    let mut passed = new.credential.clone();
    passed.standing = Standing::good(NOW.plus(MINUTE * 2), evidence("200"));
    assert!(!store.record(&passed, &seen).await.expect("an answer"));
    assert_eq!(look(store, "alice", "acme.production").await.credential, Some(refused.clone()));
    assert!(store.record(&passed, &refused.standing).await.expect("an answer"));
    assert_eq!(look(store, "alice", "acme.production").await.credential, Some(passed.clone()));
    assert!(!store.record(&refused, &refused.standing).await.expect("an answer"));
    let mut gone = passed;
    gone.id = "none".into();
    assert!(!store.record(&gone, &gone.standing).await.expect("an answer"));
}

pub(crate) async fn what_the_provider_said_about_a_repository_is_kept_per_runtime(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let sso = Push::NeedsSso { link: Some("https://github.example/sso".to_owned()) };
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    store.record_push(&"t".into(), &runtime("acme.production"), &sso).await.expect("noted");
    // A slow answer about a token that was replaced meanwhile says nothing about the one in use.
    store.record_push(&"replaced".into(), &runtime("acme.production"), &Push::Denied).await.expect("noted");
    assert_eq!(look(store, "alice", "acme.production").await.push, Some(sso));
    assert_eq!(look(store, "alice", "acme.staging").await.push, None);
    assert_eq!(look(store, "bob", "acme.production").await.push, None);
}

pub(crate) async fn only_another_credential_that_passed_since_counts(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let passed = async |at: &str, but: &str, since| {
        store.another_passed(&provider(at), &but.into(), since).await.expect("an answer")
    };
    let first = token("t", "alice", "github");
    assert!(keep(store, &first, &["acme.production"]).await);
    assert!(!passed("github", "t", NOW).await);
    assert!(passed("github", "u", NOW).await);
    assert!(!passed("github", "u", NOW.plus(MINUTE)).await);
    assert!(!passed("gitea", "u", NOW).await);
    let mut verdict = first.credential;
    verdict.standing = Standing::good(NOW.plus(MINUTE), evidence("200"));
    assert!(record(store, &verdict).await);
    assert!(passed("github", "u", NOW.plus(MINUTE)).await);
}

pub(crate) async fn a_refusal_is_for_one_session_and_settled_by_a_token(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let at = runtime("acme.production");
    let before = NOW.minus(MINUTE);
    let told =
        async |session, since| store.refusal(&fingerprint(session), &at, since).await.expect("an answer");
    store.refuse(&fingerprint(1), &at, "first", before).await.expect("kept");
    store.refuse(&fingerprint(1), &at, "second", NOW).await.expect("kept");
    store.refuse(&fingerprint(99), &at, "to nobody", NOW).await.expect("an answer");
    assert_eq!(told(1, before).await.as_deref(), Some("second"));
    assert_eq!(told(1, NOW).await, None);
    assert_eq!(told(2, before).await, None);
    assert_eq!(told(99, before).await, None);
    store.forget_refusal(&fingerprint(1), &at).await.expect("forgotten");
    assert_eq!(told(1, before).await, None);
    store.refuse(&fingerprint(1), &at, "alice", NOW).await.expect("kept");
    store.refuse(&fingerprint(2), &at, "bob", NOW).await.expect("kept");
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production"]).await);
    assert_eq!(told(1, before).await, None);
    assert_eq!(told(2, before).await.as_deref(), Some("bob"));
}
