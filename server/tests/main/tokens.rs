//! Tokens are given, reused, replaced, deleted.

use axum::http::StatusCode;
use serde_json::json;

use crate::site::TestSite;

#[tokio::test]
async fn a_pasted_token_serves_its_runtime() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    assert_eq!(mara.health("acme.production").await, "NoToken");
    let made = site.forge.good_token().await;
    let answer = mara.paste("acme.production", &made.token).await;
    answer.assert_ok();
    assert_eq!(answer.json(), json!({ "login": "octocat", "runtimes": ["production"], "left_out": [] }));
    assert_eq!(mara.health("acme.production").await, "Valid");
    assert_eq!(mara.health("acme.staging").await, "NoToken", "only what was asked for");
}

#[tokio::test]
async fn a_refused_token_leaves_the_one_in_use_alone() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.staging", &made.token).await.assert_ok();
    let before = site.dump().await;
    let narrow = site.forge.make(json!({ "user": "octocat", "kind": "classic", "scopes": ["gist"] })).await;
    let answer = mara.paste("acme.staging", &narrow.token).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::UNPROCESSABLE_ENTITY, "Refused".into()));
    let after = site.dump().await;
    assert_eq!(before.0["credentials"], after.0["credentials"]);
    assert_eq!(before.0["assignments"], after.0["assignments"]);
    let refusal = mara.access("acme.staging").await["refusal"].clone();
    assert_eq!(refusal["ScopesMissing"]["missing"], json!(["repo"]));
}
