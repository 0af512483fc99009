//! What only Bitbucket Data Center does: its headers tell whose a token is, proxies take them away, codes live seconds.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::kinds::{Scene, kinds};

async fn scene() -> Scene {
    let kind = kinds().into_iter().find(|kind| kind.is("bitbucket-data-center")).unwrap();
    Scene::set(kind).await
}

#[tokio::test]
async fn every_door_is_opened_with_a_bearer() {
    let scene = scene().await;
    scene.site.forge.set(json!({ "basic": false })).await;
    for kind in ["personal", "project", "repository"] {
        let wanted = json!({
            "user": "octocat", "kind": kind, "scopes": ["REPO_WRITE"], "repositories": ["acme/infra"]
        });
        let made = scene.site.forge.make(wanted).await;
        scene.mara.paste("acme.infra", &made.token).await;
        let access = scene.mara.access("acme.infra").await;
        if access["row"]["health"].get("AnotherAccount").is_some() {
            let settle = [("runtime", "acme.infra"), ("take", "true")];
            scene.mara.call("token/settle-account", &settle).await.assert_ok();
        }
        assert_eq!(scene.look("acme.infra").await, "Valid", "{kind}");
        let login = scene.mara.access("acme.infra").await["row"]["token"]["login"].clone();
        let bot = login.as_str().unwrap().starts_with("access-token-user/");
        assert_eq!(bot, kind != "personal", "{kind}: {login}");
    }
    let requests = scene.site.forge.control(Method::GET, "requests", Value::Null).await;
    let schemes = requests.as_array().unwrap().iter().map(|request| &request["auth_scheme"]);
    assert!(schemes.into_iter().all(|scheme| scheme == "Bearer"), "{requests}");
}

#[tokio::test]
async fn a_name_with_an_at_sign_is_shown_as_it_is() {
    let scene = scene().await;
    let wanted = json!({ "user": "jane@example.com", "scopes": ["REPO_WRITE"] });
    let made = scene.site.forge.make(wanted).await;
    scene.mara.paste("acme.infra", &made.token).await.assert_ok();
    let token = scene.mara.access("acme.infra").await["row"]["token"].clone();
    assert_eq!(token["login"], "jane@example.com");
}

#[tokio::test]
async fn a_proxy_that_takes_its_headers_away_makes_no_token_dead() {
    let scene = scene().await;
    let made = scene.good_token().await;
    scene.mara.paste("acme.infra", &made.token).await.assert_ok();
    scene.site.forge.set(json!({ "user_headers": false })).await;
    scene.site.forge.forget_requests().await;
    assert_eq!(scene.look("acme.infra").await, "Valid", "it has other doors");
    let asked = scene.site.forge.requests().await;
    let doors = [
        "rest/api/latest/application-properties",
        "plugins/servlet/applinks/whoami",
        "rest/api/latest/users/octocat",
        "scm/acme/infra.git/info/refs",
    ];
    assert_eq!(asked, doors.map(|door| format!("GET /bitbucket/{door}")), "once each");
    scene.site.forge.set(json!({ "user_headers": true })).await;
    assert_eq!(scene.look("acme.infra").await, "Valid");
}

#[tokio::test]
async fn a_proxy_that_takes_the_token_away_is_told_and_forgiven() {
    let scene = scene().await;
    let made = scene.good_token().await;
    scene.mara.paste("acme.paste", &made.token).await.assert_ok();
    scene.site.forge.set(json!({ "authorization": false })).await;
    for _ in 0..3 {
        assert_eq!(scene.look("acme.paste").await, "Checking", "nobody passed meanwhile");
        scene.site.minutes(20).await;
    }
    let checked = scene.mara.access("acme.paste").await["row"]["token"]["checked"].clone();
    assert_eq!(checked["answer"], "200, as to a visitor without a token");
    scene.site.forge.set(json!({ "authorization": true })).await;
    assert_eq!(scene.look("acme.paste").await, "Valid");
}

#[tokio::test]
async fn a_wrong_token_may_count_as_a_visitor() {
    let scene = scene().await;
    scene.site.forge.set(json!({ "wrong_token": "visitor" })).await;
    assert_eq!(scene.refusal("acme.paste", &"x".repeat(44)).await, "Unknown");
    scene.site.forge.set(json!({ "wrong_token": "refused", "licensed": false })).await;
    let made = scene.good_token().await;
    assert_eq!(scene.refusal("acme.paste", &made.token).await, "Blocked", "the account has no license");
    assert_eq!(scene.site.dump().await.rows("credentials"), 0);
}

#[tokio::test]
async fn a_code_that_is_older_than_ten_seconds_is_refused() {
    let scene = scene().await;
    for (seconds, place) in [(11, "/tokens?problem=code-refused"), (9, "/tokens?did=added")] {
        let there = scene.mara.connect("acme.infra").await;
        let back = scene.site.forge.agree("octocat", &there).await;
        scene.site.pass(Duration::from_secs(seconds)).await;
        let answer = scene.mara.come_back(&back).await;
        assert!(answer.location().starts_with(place), "{seconds}: {}", answer.location());
    }
}

#[tokio::test]
async fn a_refresh_token_that_stays_the_same_serves_on() {
    let scene = scene().await;
    scene.site.forge.set(json!({ "rotation": false })).await;
    scene.mara.authorize(&scene.site.forge, "acme.infra", "octocat").await;
    for renewal in 1..=3 {
        scene.pass(Duration::from_secs(60 * 60)).await;
        assert_eq!(scene.look("acme.infra").await, "Valid", "renewal {renewal}");
        assert_eq!(scene.renewals().await, 1 + renewal);
    }
}

#[tokio::test]
async fn the_day_that_only_the_user_knows_is_a_reminder() {
    let scene = scene().await;
    let made = scene.good_token().await;
    let guide = scene.mara.access("acme.paste").await["guide"].clone();
    assert_eq!(guide["asks_end"], true);
    let form = [("runtime", "acme.paste"), ("token", made.token.as_str()), ("end", "2026-12-22")];
    scene.mara.call("token/add", &form).await.assert_ok();
    assert_eq!(scene.mara.health("acme.paste").await, "Valid");
    scene.pass(Duration::from_secs(17 * 24 * 60 * 60)).await;
    assert_eq!(scene.mara.health("acme.paste").await, "Expiring");
}
