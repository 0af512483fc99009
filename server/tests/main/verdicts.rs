//! What a provider's answers mean over time: a fault is never a refusal, and one refusal is not yet a verdict.

use serde_json::{Value, json};

use crate::{
    forge::Made,
    site::{Browser, TestSite},
};

const RUNTIME: &str = "acme.paste";

struct Scene {
    site: TestSite,
    mara: Browser,
    made: Made,
    /// Somebody else, with a token of their own at the same host.
    both: Browser,
}

impl Scene {
    async fn set() -> Self {
        let site = TestSite::start().await;
        let (mara, both) = (site.person("mara").await, site.person("both").await);
        let made = site.forge.good_token().await;
        mara.paste(RUNTIME, &made.token).await.assert_ok();
        both.paste(RUNTIME, &site.forge.token_of("octocat").await.token).await.assert_ok();
        Self { site, mara, made, both }
    }

    async fn look(&self) -> String {
        self.mara.check(RUNTIME).await.assert_ok();
        self.mara.health(RUNTIME).await
    }

    async fn how_the_other_is(&self) -> String {
        self.both.check(RUNTIME).await.assert_ok();
        self.both.health(RUNTIME).await
    }
}

#[tokio::test]
async fn one_refusal_is_looked_into_and_two_with_another_pass_between_are_believed() {
    let scene = Scene::set().await;
    scene.site.forge.revoke(scene.made.id).await;
    assert_eq!(scene.look().await, "Checking");
    scene.site.minutes(5).await;
    assert_eq!(scene.how_the_other_is().await, "Valid");
    scene.site.minutes(4).await;
    assert_eq!(scene.look().await, "Checking", "nine minutes are too few");
    scene.site.minutes(1).await;
    assert_eq!(scene.look().await, "Revoked");
    let checked = scene.mara.access(RUNTIME).await["row"]["token"]["checked"].clone();
    assert_eq!((&checked["request"], &checked["answer"]), (&json!("GET /user"), &json!("401")));
    assert_eq!(scene.how_the_other_is().await, "Valid", "nobody else's business");
}

#[tokio::test]
async fn ninety_minutes_of_refusals_are_believed_without_a_witness() {
    let scene = Scene::set().await;
    scene.site.minutes(1).await;
    scene.site.forge.revoke(scene.made.id).await;
    assert_eq!(scene.look().await, "Checking");
    for _ in 0..5 {
        scene.site.minutes(15).await;
        assert_eq!(scene.look().await, "Checking");
    }
    scene.site.minutes(14).await;
    assert_eq!(scene.look().await, "Checking", "89 minutes");
    scene.site.minutes(1).await;
    assert_eq!(scene.look().await, "Revoked");
}

#[tokio::test]
async fn an_hour_in_which_the_host_refuses_everybody_condemns_nobody() {
    let scene = Scene::set().await;
    scene.site.minutes(1).await;
    scene.site.forge.fault(json!({ "on": "user", "fault": "status", "status": 401 })).await;
    for _ in 0..12 {
        assert_eq!(scene.look().await, "Checking");
        assert_eq!(scene.how_the_other_is().await, "Checking");
        scene.site.minutes(5).await;
    }
    scene.site.forge.heal().await;
    assert_eq!(scene.look().await, "Valid");
    assert_eq!(scene.how_the_other_is().await, "Valid");
}

#[tokio::test]
async fn a_token_that_is_known_again_is_valid_again() {
    let scene = Scene::set().await;
    scene.site.forge.revoke(scene.made.id).await;
    scene.look().await;
    scene.site.minutes(11).await;
    scene.how_the_other_is().await;
    assert_eq!(scene.look().await, "Revoked");
    scene.site.forge.change(scene.made.id, json!({ "revoked": false })).await;
    assert_eq!(scene.look().await, "Valid");
    // And a new refusal begins to count anew.
    scene.site.forge.revoke(scene.made.id).await;
    assert_eq!(scene.look().await, "Checking");
}

/// Everything that can go wrong with an answer and says nothing about the credential.
fn faults() -> Vec<(Value, &'static str)> {
    let fault = |fault: &str| json!({ "on": "any", "fault": fault });
    let status = |status: u16| json!({ "on": "any", "fault": "status", "status": status });
    let mut all = vec![
        (fault("rate_limit"), "RateLimited"),
        (fault("secondary_rate_limit"), "RateLimited"),
        (json!({ "on": "any", "fault": "rate_limit", "status": 429 }), "RateLimited"),
        (json!({ "on": "any", "fault": "secondary_rate_limit", "status": 429 }), "RateLimited"),
        (json!({ "on": "any", "fault": "html", "status": 401 }), "Checking"),
    ];
    for name in ["html", "drop", "drop_reply", "garbage_json", "endless", "empty", "redirect"] {
        all.push((fault(name), "Unreachable"));
    }
    for number in [400, 404, 408, 418, 451, 500, 502, 503, 504] {
        all.push((status(number), "Unreachable"));
    }
    all
}

#[tokio::test]
async fn faults_keep_the_last_verdict_of_tokens_and_of_grants() {
    let scene = Scene::set().await;
    scene.mara.authorize(&scene.site.forge, "acme.staging", "octocat").await;
    for (fault, health) in faults() {
        // Nobody may ask providers without end.
        scene.site.minutes(1).await;
        scene.site.forge.fault(fault.clone()).await;
        for runtime in [RUNTIME, "acme.staging"] {
            scene.mara.check(runtime).await.assert_ok();
            let seen = scene.mara.health(runtime).await;
            // A page instead of JSON may be a gateway's, whatever its status.
            let fits = seen == health || (health == "Checking" && seen == "Unreachable");
            assert!(fits, "{runtime}: {seen} after {fault}");
        }
        scene.site.forge.heal().await;
        if health == "RateLimited" {
            // The provider said when to come back; nobody asks before.
            let before = scene.site.forge.requests().await.len();
            scene.mara.check(RUNTIME).await.assert_ok();
            assert_eq!(scene.site.forge.requests().await.len(), before, "{fault}");
            scene.site.minutes(61).await;
            scene.mara.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
        }
        for runtime in [RUNTIME, "acme.staging"] {
            scene.mara.check(runtime).await.assert_ok();
            assert_eq!(scene.mara.health(runtime).await, "Valid", "{runtime} after {fault}");
        }
    }
}

#[tokio::test]
async fn a_dead_token_does_not_come_alive_by_a_fault() {
    let scene = Scene::set().await;
    scene.site.forge.revoke(scene.made.id).await;
    scene.look().await;
    scene.site.minutes(11).await;
    scene.how_the_other_is().await;
    assert_eq!(scene.look().await, "Revoked");
    for (fault, _) in faults() {
        scene.site.forge.fault(fault.clone()).await;
        assert_eq!(scene.look().await, "Revoked", "{fault}");
        scene.site.forge.heal().await;
    }
}

#[tokio::test]
async fn a_known_end_needs_no_call() {
    let scene = Scene::set().await;
    let end = "2026-12-22T12:00:00Z";
    let ends = json!({ "user": "octocat", "kind": "classic", "scopes": ["repo"], "expires_at": end });
    let made = scene.site.forge.make(ends).await;
    scene.mara.paste(RUNTIME, &made.token).await.assert_ok();
    assert_eq!(scene.mara.health(RUNTIME).await, "Valid");
    scene.site.forge.forget_requests().await;
    for (days, health) in [(15, "Valid"), (1, "Expiring"), (13, "Expiring"), (1, "Expired")] {
        scene.site.minutes(days * 24 * 60).await;
        scene.mara.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
        assert_eq!(scene.mara.health(RUNTIME).await, health, "{days} days later");
    }
    assert_eq!(scene.site.forge.requests().await, [] as [String; 0]);
}

#[tokio::test]
async fn what_a_valid_token_may_not_do_is_said() {
    let scene = Scene::set().await;
    scene.site.forge.change(scene.made.id, json!({ "scopes": ["gist"] })).await;
    assert_eq!(scene.look().await, "ScopesMissing");
    scene.site.forge.change(scene.made.id, json!({ "scopes": ["repo"] })).await;
    assert_eq!(scene.look().await, "Valid");
    let mara = &scene.mara;
    mara.paste("acme.production", &scene.made.token).await.assert_ok();
    for (role, health) in [("read", "CannotPush"), ("none", "RepositoryHidden"), ("push", "Valid")] {
        let access = json!({ "user": "octocat", "repository": "acme/infra", "role": role });
        scene.site.forge.control(axum::http::Method::POST, "access", access).await;
        mara.check("acme.production").await.assert_ok();
        assert_eq!(mara.health("acme.production").await, health, "{role}");
    }
}

#[tokio::test]
async fn a_host_that_refuses_many_is_left_alone_for_a_while() {
    let site = TestSite::start().await;
    let (mara, jonas) = (site.person("mara").await, site.person("jonas").await);
    site.forge.forget_requests().await;
    for number in 0..30 {
        let wrong = ["gh", "p_", &format!("{number:036}")].concat();
        let (who, runtime) = if number % 2 == 0 { (&mara, "acme.paste") } else { (&jonas, "globex.paste") };
        who.paste(runtime, &wrong).await;
    }
    assert_eq!(site.forge.asked("GET /user").await, 20, "whoever it was");
    let refusal = mara.access("acme.paste").await["refusal"].clone();
    assert!(refusal.get("RateLimited").is_some(), "{refusal}");
    // Tokens of the other provider are as welcome as ever, and so are all once it is over.
    let made = site.forge.good_token().await;
    mara.paste("acme.elsewhere", &made.token).await.assert_ok();
    site.minutes(3).await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    assert_eq!(mara.health("acme.paste").await, "Valid");
}
