//! What happens while nobody clicks: tokens are asked about, grants renewed, and the page is right when somebody looks.

use axum::http::Method;
use serde_json::json;

use crate::site::{Browser, PASSWORD, TestSite};

const RUNTIME: &str = "acme.paste";
const REFRESH: &str = "POST /login/oauth/access_token";

/// Time passes, and the server does what is due.
async fn pass(site: &TestSite, minutes: u64, step: u64) {
    let mut left = minutes;
    while left > 0 {
        let step = step.min(left);
        left -= step;
        site.minutes(step).await;
        loop {
            let begun = site.site.watch.round().await.unwrap();
            if begun.is_empty() {
                break;
            }
            for task in begun {
                task.await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_is_noticed_though_nobody_clicks() {
    let site = TestSite::start().await;
    let (mara, both) = (site.person("mara").await, site.person("both").await);
    let made = site.forge.good_token().await;
    mara.paste(RUNTIME, &made.token).await.assert_ok();
    both.paste(RUNTIME, &site.forge.token_of("octocat").await.token).await.assert_ok();
    site.forge.revoke(made.id).await;
    assert_eq!(mara.health(RUNTIME).await, "Valid", "as it was last known");
    pass(&site, 61, 1).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Checking", "one refusal is no proof");
    pass(&site, 90, 1).await;
    for (person, name) in [(&mara, "mara"), (&both, "both")] {
        person.sign_in(name, PASSWORD).await.assert_ok();
    }
    assert_eq!(mara.health(RUNTIME).await, "Revoked");
    assert_eq!(both.health(RUNTIME).await, "Valid", "nobody else's business");
}

#[tokio::test]
async fn a_person_who_may_not_push_any_more_is_noticed_though_nobody_clicks() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let token = site.forge.good_token().await.token;
    mara.paste("acme.production", &token).await.assert_ok();
    let access = json!({ "user": "octocat", "repository": "acme/infra", "role": "read" });
    site.forge.control(Method::POST, "access", access).await;
    pass(&site, 61, 5).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    assert_eq!(mara.health("acme.production").await, "CannotPush");
}

#[tokio::test]
async fn a_grant_that_nobody_uses_is_renewed_in_time_and_once() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    site.forge.forget_requests().await;
    // Before the end, with a margin of a tenth: 48 minutes.
    pass(&site, 8 * 60 - 49, 10).await;
    assert_eq!(site.forge.asked(REFRESH).await, 0);
    pass(&site, 4, 1).await;
    assert_eq!(site.forge.asked(REFRESH).await, 1);
    pass(&site, 60, 10).await;
    assert_eq!(site.forge.asked(REFRESH).await, 1);
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    assert_eq!(mara.health("acme.renewed").await, "Valid");
}

#[tokio::test]
async fn a_bad_hour_of_the_host_is_one_incident_and_no_bad_word_about_a_token() {
    for fault in [
        json!({ "on": "any", "fault": "status", "status": 401 }),
        json!({ "on": "any", "fault": "status", "status": 503 }),
        json!({ "on": "any", "fault": "drop" }),
    ] {
        let site = TestSite::start().await;
        let mara = site.person("mara").await;
        for runtime in ["acme.paste", "acme.production", "acme.staging", "acme.hooks", "acme.renewed"] {
            let token =
                json!({ "user": "octocat", "kind": "classic", "scopes": ["repo", "admin:repo_hook"] });
            mara.paste(runtime, &site.forge.make(token).await.token).await.assert_ok();
        }
        let both = site.person("both").await;
        both.paste(RUNTIME, &site.forge.token_of("octocat").await.token).await.assert_ok();
        pass(&site, 49, 49).await;
        site.forge.fault(fault.clone()).await;
        site.forge.forget_requests().await;
        pass(&site, 60, 1).await;
        let incidents = site.site.store.incidents(server::clock::Timestamp::from_micros(0)).await.unwrap();
        assert_eq!(incidents.len(), 1, "{fault}: {incidents:?}");
        assert!(site.forge.requests().await.len() < 40, "{fault}");
        site.forge.heal().await;
        pass(&site, 90, 1).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        for runtime in ["acme.paste", "acme.production", "acme.staging", "acme.hooks", "acme.renewed"] {
            assert_eq!(mara.health(runtime).await, "Valid", "{runtime} after {fault}");
        }
        let incidents = site.site.store.incidents(server::clock::Timestamp::from_micros(0)).await.unwrap();
        assert!(incidents.len() == 1 && incidents[0].ended_at.is_some(), "{fault}: {incidents:?}");
    }
}

#[tokio::test]
async fn looking_at_a_page_with_old_verdicts_writes_nothing() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.paste(RUNTIME, &site.forge.good_token().await.token).await.assert_ok();
    site.minutes(120).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    mara.get("/tokens").await.assert_ok();
    let (before, version) = (site.dump().await, site.site.store.version().await.unwrap());
    site.forge.forget_requests().await;
    for _ in 0..3 {
        mara.get("/tokens").await.assert_ok();
    }
    assert!(site.dump().await == before);
    assert_eq!(site.site.store.version().await.unwrap(), version, "a page that was kept is still good");
    assert_eq!(site.forge.requests().await, [] as [String; 0], "nobody waits for the provider");
    pass(&site, 1, 1).await;
    assert!(!site.forge.requests().await.is_empty());
}

/// The titles of a runtime's timeline, the latest first.
async fn happened(mara: &Browser) -> Vec<String> {
    let page = mara.get(&format!("/tokens/{RUNTIME}")).await;
    let timeline = page.text().split_once("<ol class=\"timeline\">").expect("something").1;
    let timeline = timeline.split_once("</ol>").expect("its end").0;
    timeline.split("<b>").skip(1).map(|rest| rest.split_once("</b>").unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn a_check_that_finds_all_as_it_was_is_a_line_that_nobody_stores_and_nothing_is_said_twice() {
    let site = TestSite::start().await;
    let (mara, both) = (site.person("mara").await, site.person("both").await);
    let made = site.forge.good_token().await;
    mara.paste(RUNTIME, &made.token).await.assert_ok();
    both.paste(RUNTIME, &site.forge.token_of("octocat").await.token).await.assert_ok();
    site.site.herald.round().await.unwrap();
    assert_eq!(happened(&mara).await, ["Token added"], "that it passed then goes without saying");
    let events = site.dump().await.rows("events");
    pass(&site, 180, 10).await;
    for (person, name) in [(&mara, "mara"), (&both, "both")] {
        person.sign_in(name, PASSWORD).await.assert_ok();
    }
    site.site.herald.round().await.unwrap();
    assert_eq!(happened(&mara).await, ["Checked: works", "Token added"], "the last one alone");
    let page = mara.get(&format!("/tokens/{RUNTIME}")).await;
    assert!(page.text().contains("Forge takes it. Asked: GET /user. Answer: 200."), "{}", page.text());
    assert_eq!(site.dump().await.rows("events"), events);

    let look = async || {
        site.minutes(5).await;
        mara.check(RUNTIME).await.assert_ok();
        site.site.herald.round().await.unwrap();
        happened(&mara).await
    };
    site.forge.fault(json!({ "on": "user", "fault": "status", "status": 503 })).await;
    assert_eq!(look().await, ["No clear answer", "Token added"], "the line that is written down says it");
    assert_eq!(look().await, ["Checked: no clear answer", "No clear answer", "Token added"]);
    site.forge.heal().await;
    assert_eq!(look().await, ["Works", "No clear answer", "Token added"]);
    site.forge.revoke(made.id).await;
    assert_eq!(look().await[0], "Refused once");
    assert_eq!(look().await[..2], ["Checked: refused", "Refused once"]);
    both.check(RUNTIME).await.assert_ok();
    assert_eq!(look().await[..2], ["Not accepted any more", "Refused once"]);
    assert_eq!(look().await[..2], ["Checked: not accepted", "Not accepted any more"]);
    mara.call("token/delete", &[("runtime", RUNTIME)]).await.assert_ok();
    assert_eq!(
        happened(&mara).await[..2],
        ["Token deleted", "Not accepted any more"],
        "nothing left to check"
    );
}
