//! The control room.

use axum::http::StatusCode;
use serde_json::json;

use crate::visitor::{Visitor, basic};

#[tokio::test]
async fn the_list_of_requests_names_everything_but_secrets() {
    let visitor = Visitor::github();
    let made = visitor.control("tokens", json!({"user": "octocat", "kind": "classic"})).await;
    let token = made["token"].as_str().unwrap();
    visitor.get_with(token, "/user?page=1").await;
    let auth = basic("x-access-token", token);
    visitor
        .send("GET", "/acme/infra/info/refs?service=git-upload-pack", &[("authorization", &auth)], "")
        .await;
    visitor.send("GET", "/user", &[("authorization", &basic(token, "x-oauth-basic"))], "").await;
    let secrets = [("client_id", "gitward-demo"), ("client_secret", "gitward-demo-secret"), ("code", "abc")];
    visitor.form("/login/oauth/access_token", &secrets).await;
    let answer = visitor.get("/_forge/requests").await;
    assert!(!answer.text.contains(token));
    assert!(!answer.text.contains("demo-secret"));
    let listed = answer.json();
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[0]["path"], "/user");
    assert_eq!(listed[0]["query_keys"], json!(["page"]));
    assert_eq!(listed[0]["auth_scheme"], "Bearer");
    assert_eq!(listed[0]["token_id"], made["id"]);
    assert_eq!(listed[0]["headers"]["authorization"], "***");
    assert_eq!(listed[1]["basic_user"], "x-access-token");
    assert_eq!(listed[2]["basic_user"], json!(null));
    assert_eq!(listed[3]["body_keys"], json!(["client_id", "client_secret", "code"]));
    visitor.send("DELETE", "/_forge/requests", &[], "").await;
    assert_eq!(visitor.get("/_forge/requests").await.json(), json!([]));
}

#[tokio::test]
async fn a_mistake_in_an_order_is_refused() {
    let visitor = Visitor::github();
    for (room, order) in [
        ("tokens", json!({"user": "nobody", "kind": "classic"})),
        ("tokens", json!({"user": "octocat", "kind": "unknown"})),
        ("tokens", json!({"user": "octocat", "kind": "classic", "expires_at": "tomorrow"})),
        ("tokens/change", json!({"token": "unknown"})),
        ("faults", json!({"on": "nowhere", "fault": "drop"})),
        ("settings", json!({"unknown": true})),
    ] {
        let answer = visitor.json("POST", &format!("/_forge/{room}"), None, order).await;
        assert!(answer.status.is_client_error(), "{room}");
    }
}

#[tokio::test]
async fn the_clock_moves_expiry_and_a_reset_forgets_all() {
    let visitor = Visitor::github();
    let made = visitor.control("tokens", json!({"user": "hubot", "kind": "github_app"})).await;
    assert!(made["refresh_token"].as_str().unwrap().starts_with("ghr_"));
    let token = made["token"].as_str().unwrap();
    assert_eq!(visitor.get_with(token, "/user").await.json()["login"], "hubot");
    visitor.control("clock", json!({"advance_seconds": 28_800})).await;
    assert_eq!(visitor.get_with(token, "/user").await.status, StatusCode::UNAUTHORIZED);
    visitor.control("reset", json!(null)).await;
    assert_eq!(visitor.get("/_forge/tokens").await.json(), json!([]));
    assert_eq!(visitor.get("/_forge/clock").await.json()["ahead_seconds"], 0);
}

#[tokio::test]
async fn a_person_can_lose_access_and_a_token_can_change_hands() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo"]})).await;
    visitor.control("access", json!({"user": "octocat", "repository": "acme/infra", "role": "none"})).await;
    assert_eq!(visitor.get_with(&token, "/repos/acme/infra").await.status, StatusCode::NOT_FOUND);
    visitor.control("tokens/change", json!({"token": token, "user": "hubot"})).await;
    assert_eq!(visitor.get_with(&token, "/user").await.json()["login"], "hubot");
}

#[tokio::test]
async fn too_many_bad_credentials_lock_everybody_out() {
    let visitor = Visitor::github();
    visitor.control("settings", json!({"max_bad_logins": 2})).await;
    assert_eq!(visitor.get_with("bad", "/user").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.get_with("bad", "/user").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_page_switches_faults_with_buttons() {
    let visitor = Visitor::github();
    let order = [("on", "user"), ("fault", "status"), ("times", "")];
    assert_eq!(visitor.form("/_forge/page/faults", &order).await.status, StatusCode::SEE_OTHER);
    let page = visitor.get("/_forge").await;
    assert!(page.text.contains("Who owns this token (/user): Answer 503 (provider is down)"));
    assert_eq!(visitor.get("/user").await.status, StatusCode::SERVICE_UNAVAILABLE);
    visitor.form("/_forge/page/faults/off", &[]).await;
    assert_eq!(visitor.get("/user").await.status, StatusCode::UNAUTHORIZED);
}
