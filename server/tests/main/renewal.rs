//! Grants that are renewed: once, whoever asks, and what comes back is kept before anything else.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use server::{
    clock::Timestamp,
    credential::Tokens,
    id::{CredentialId, UserId},
    random::SystemEntropy,
    secret::Secret,
    store::NewCredential,
};

use crate::{
    database::ask,
    site::{Browser, PASSWORD, TestSite},
};

const REFRESH: &str = "POST /login/oauth/access_token";
const RUNTIME: &str = "acme.renewed";

/// Mara authorized an app whose tokens live eight hours, and these have passed.
async fn due() -> (TestSite, Browser) {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let answer = mara.authorize(&site.forge, RUNTIME, "octocat").await;
    assert!(answer.location().starts_with("/tokens?did=added"), "{}", answer.location());
    assert_eq!(mara.health(RUNTIME).await, "Valid");
    site.pass(Duration::from_secs(8 * 60 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    site.forge.forget_requests().await;
    (site, mara)
}

async fn generation(site: &TestSite) -> i64 {
    ask(&site.database(), "SELECT generation FROM credentials").await
}

#[tokio::test]
async fn a_token_that_is_still_good_is_not_renewed() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, RUNTIME, "octocat").await;
    site.forge.forget_requests().await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(site.forge.asked(REFRESH).await, 0);
    // Before the end, with a margin of a tenth: 48 minutes.
    site.pass(Duration::from_secs(8 * 60 * 60 - 49 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(site.forge.asked(REFRESH).await, 0);
    site.minutes(1).await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(site.forge.asked(REFRESH).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_ask_at_once_renew_once() {
    let (site, mara) = due().await;
    let user: String = ask(&site.database(), "SELECT id FROM users").await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (server, user) = (Arc::clone(&site.site), UserId(user.clone()));
        all.spawn(async move { server.checker.check(&user, &RUNTIME.into()).await.is_ok() });
    }
    assert!(all.join_all().await.into_iter().all(|checked| checked));
    assert_eq!(site.forge.asked(REFRESH).await, 1);
    assert_eq!(generation(&site).await, 2);
    assert_eq!(mara.health(RUNTIME).await, "Valid");
}

#[tokio::test]
async fn ten_renewals_in_a_row_each_use_the_last_pair() {
    let (site, mara) = due().await;
    for number in 1..=10 {
        mara.check(RUNTIME).await.assert_ok();
        assert_eq!(mara.health(RUNTIME).await, "Valid", "renewal {number}");
        assert_eq!(site.forge.asked(REFRESH).await, number);
        site.pass(Duration::from_secs(8 * 60 * 60)).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
    }
    assert_eq!(generation(&site).await, 11);
}

#[tokio::test]
async fn what_came_back_is_kept_before_it_is_checked() {
    let (site, mara) = due().await;
    site.forge.fault(json!({ "on": "user", "fault": "status", "status": 503 })).await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(generation(&site).await, 2);
    assert_eq!(mara.health(RUNTIME).await, "Unreachable");
    site.forge.heal().await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Valid");
    assert_eq!(site.forge.asked(REFRESH).await, 1, "the new pair is the one in use");
}

#[tokio::test]
async fn a_refused_renewal_is_for_good_and_says_why() {
    let (site, mara) = due().await;
    let id = site.forge.tokens().await[0]["id"].as_u64().unwrap();
    site.forge.revoke(id).await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Revoked");
    let checked = mara.access(RUNTIME).await["row"]["token"]["checked"].clone();
    assert_eq!(checked["request"], "POST /login/oauth/access_token");
    assert_eq!(checked["answer"], "bad_refresh_token");
    assert_eq!(site.forge.asked(REFRESH).await, 1, "nobody asks the same again in another way");
    assert_eq!(generation(&site).await, 1);
    // Authorizing again mends it, in the same row.
    mara.authorize(&site.forge, RUNTIME, "octocat").await;
    assert_eq!(mara.health(RUNTIME).await, "Valid");
    assert_eq!(site.dump().await.rows("credentials"), 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_kills_nothing_and_after_one_more_try_the_page_says_what_happened() {
    let (site, mara) = due().await;
    let before = site.dump().await.0["credentials"].len();
    site.forge.fault(json!({ "on": "token", "fault": "drop_reply", "times": 1 })).await;
    mara.check(RUNTIME).await.assert_ok();
    let health = mara.access(RUNTIME).await["row"]["health"].clone();
    assert_eq!(health["RenewalLost"]["refused"], false, "{health}");
    assert_eq!(
        (generation(&site).await, site.dump().await.rows("credentials")),
        (1, before),
        "the old pair is kept"
    );
    let invalid: i64 = ask(&site.database(), "SELECT standing ->> 'invalid' FROM credentials").await;
    assert_eq!(invalid, 0);
    // The lease ended with it: the next who asks need not wait.
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(site.forge.asked(REFRESH).await, 2);
    let row = mara.access(RUNTIME).await["row"].clone();
    assert_eq!(row["health"]["RenewalLost"]["refused"], true, "{row}");
    let page = mara.get("/tokens").await;
    assert!(page.text().contains("Could not be renewed"), "in words");
    // And that was that.
    site.minutes(25).await;
    for task in site.site.watch.round().await.unwrap() {
        task.await.unwrap();
    }
    assert_eq!(site.forge.asked(REFRESH).await, 2, "nobody goes on by themselves");
    mara.authorize(&site.forge, RUNTIME, "octocat").await;
    assert_eq!(mara.health(RUNTIME).await, "Valid");
}

#[tokio::test]
async fn a_lost_answer_to_what_was_never_done_is_mended_by_the_next_try() {
    let (site, mara) = due().await;
    site.forge.fault(json!({ "on": "token", "fault": "drop", "times": 1 })).await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "RenewalLost");
    // By itself, soon.
    site.minutes(6).await;
    for task in site.site.watch.round().await.unwrap() {
        task.await.unwrap();
    }
    assert_eq!(mara.health(RUNTIME).await, "Valid");
    assert_eq!((generation(&site).await, site.forge.asked(REFRESH).await), (2, 2));
}

#[tokio::test]
async fn a_provider_in_trouble_is_no_refusal() {
    let (site, mara) = due().await;
    for (fault, health) in [
        // Nobody did anything.
        (json!({ "on": "token", "fault": "status", "status": 403 }), "Unreachable"),
        (json!({ "on": "token", "fault": "oauth_error", "error": "something_new" }), "Unreachable"),
        (
            json!({ "on": "token", "fault": "oauth_error", "error": "incorrect_client_credentials" }),
            "Unreachable",
        ),
        // Whether anybody did is unknown.
        (json!({ "on": "token", "fault": "status", "status": 500 }), "RenewalLost"),
        (json!({ "on": "token", "fault": "html" }), "RenewalLost"),
        (json!({ "on": "token", "fault": "drop" }), "RenewalLost"),
        (json!({ "on": "token", "fault": "garbage_json" }), "RenewalLost"),
        (json!({ "on": "token", "fault": "empty" }), "RenewalLost"),
        (json!({ "on": "token", "fault": "rate_limit" }), "RateLimited"),
    ] {
        site.forge.fault(fault.clone()).await;
        mara.check(RUNTIME).await.assert_ok();
        assert_eq!(mara.health(RUNTIME).await, health, "{fault}");
        assert_eq!(generation(&site).await, 1, "{fault}");
        site.forge.heal().await;
    }
    // The provider said when to come back; nobody asks before.
    site.minutes(61).await;
    mara.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!((mara.health(RUNTIME).await.as_str(), generation(&site).await), ("Valid", 2));
}

/// Until somebody holds the lease to renew: the provider is asked next.
async fn until_leased(site: &TestSite) {
    while ask::<Option<i64>>(&site.database(), "SELECT lease_until FROM credentials").await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_lost_the_race_takes_what_the_winner_kept() {
    let (site, mara) = due().await;
    let id: String = ask(&site.database(), "SELECT id FROM credentials").await;
    let kept = site.site.store.sealed(&CredentialId(id)).await.unwrap().unwrap();
    site.forge
        .fault(json!({ "on": "token", "fault": "oauth_error", "error": "bad_refresh_token", "delay_ms": 3000, "times": 1 }))
        .await;
    let winner = async {
        until_leased(&site).await;
        let made = site
            .forge
            .control(Method::POST, "tokens", json!({ "user": "octocat", "kind": "github_app" }))
            .await;
        let secret = |name: &str| Secret::new(made[name].as_str().unwrap());
        let mut credential = kept.credential.clone();
        credential.generation += 1;
        credential.renew_at = credential.renew_at.map(|at| at.plus(Duration::from_secs(8 * 60 * 60)));
        let tokens = Tokens { access: secret("token"), refresh: Some(secret("refresh_token")) };
        let origin = site.site.registry.provider(&credential.provider).unwrap().origin();
        let sealed = site.site.keys.seal_tokens(&credential, &origin, &tokens, &SystemEntropy).unwrap();
        // Under the lease, as who took it over when it had run out.
        let lease =
            Timestamp::from_micros(ask(&site.database(), "SELECT lease_until FROM credentials").await);
        let won = NewCredential { credential, sealed };
        assert!(site.site.store.renew(&won, lease).await.unwrap());
    };
    let (answer, ()) = tokio::join!(mara.check(RUNTIME), winner);
    answer.assert_ok();
    assert_eq!(site.forge.asked(REFRESH).await, 1);
    assert_eq!((mara.health(RUNTIME).await.as_str(), generation(&site).await), ("Valid", 2));
}

#[tokio::test]
async fn whoever_hangs_up_does_not_lose_what_the_provider_answers() {
    let (site, mara) = due().await;
    site.forge.fault(json!({ "on": "token", "fault": "delay", "delay_ms": 400 })).await;
    tokio::select! {
        _ = mara.check(RUNTIME) => panic!("it was still under way"),
        () = until_leased(&site) => {}
    }
    let kept = async {
        while generation(&site).await != 2 {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), kept).await.is_ok(),
        "what the provider answered is kept"
    );
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!((mara.health(RUNTIME).await.as_str(), site.forge.asked(REFRESH).await), ("Valid", 1));
}

#[tokio::test]
async fn a_token_that_is_deleted_while_it_is_renewed_stays_deleted() {
    let (site, mara) = due().await;
    site.forge.fault(json!({ "on": "token", "fault": "delay", "delay_ms": 3000 })).await;
    let delete = async {
        until_leased(&site).await;
        mara.call("token/delete", &[("runtime", RUNTIME)]).await.assert_ok();
    };
    let (checked, ()) = tokio::join!(mara.check(RUNTIME), delete);
    assert_eq!((checked.status, checked.error()), (StatusCode::CONFLICT, "TokenGone".into()));
    assert_eq!(mara.health(RUNTIME).await, "NoToken");
    let dump = site.dump().await;
    assert_eq!((dump.rows("credentials"), dump.rows("assignments")), (0, 0));
}

#[tokio::test]
async fn a_grant_that_can_be_renewed_does_not_look_as_if_it_expires() {
    let (site, mara) = due().await;
    let row = mara.access(RUNTIME).await["row"].clone();
    assert!(row["health"].get("Expired").is_none() && row["health"].get("Expiring").is_none(), "{row}");
    mara.check(RUNTIME).await.assert_ok();
    let expiry = mara.access(RUNTIME).await["row"]["token"]["expiry"].clone();
    assert!(expiry.get("RenewsItself").is_some(), "{expiry}");
    // Six months without use end the refresh token; fourteen days before, the user is told.
    site.pass(Duration::from_secs(15_897_600 - 13 * 24 * 60 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Expiring");
    site.pass(Duration::from_secs(13 * 24 * 60 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    site.forge.forget_requests().await;
    assert_eq!(mara.health(RUNTIME).await, "Expired");
    assert_eq!(site.forge.control(Method::GET, "requests", Value::Null).await, json!([]), "the clock knows");
}

/// The number of the access token in use.
async fn in_use(site: &TestSite) -> u64 {
    let tokens = site.forge.tokens().await;
    let last = tokens.iter().rfind(|token| token["kind"] == "github_app").unwrap();
    last["id"].as_u64().unwrap()
}

#[tokio::test]
async fn an_access_token_that_ended_before_its_time_is_renewed_before_anyone_is_told() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, RUNTIME, "octocat").await;
    site.forge.change(in_use(&site).await, json!({ "expires_at": "2020-01-01T00:00:00Z" })).await;
    site.forge.forget_requests().await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(site.forge.asked(REFRESH).await, 1);
    assert_eq!(mara.health(RUNTIME).await, "Valid");
    assert_eq!(generation(&site).await, 2);
    // A host that refuses whatever it issued does not make us go round in circles.
    site.forge.fault(json!({ "on": "user", "fault": "status", "status": 401 })).await;
    for _ in 0..3 {
        mara.check(RUNTIME).await.assert_ok();
    }
    assert_eq!(site.forge.asked(REFRESH).await, 2, "once per row of refusals");
    assert_eq!(mara.health(RUNTIME).await, "Checking");
    site.forge.heal().await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Valid");
}
