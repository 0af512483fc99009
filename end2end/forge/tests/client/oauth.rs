//! The web flow, its happy path and each of its errors.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forge::Shape;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::visitor::{Answer, Visitor};

const CALLBACK: &str = "http://localhost:3000/callback/github";
const OAUTH_APP: [(&str, &str); 2] =
    [("client_id", "gitward-demo"), ("client_secret", "gitward-demo-secret")];
const GITHUB_APP: [(&str, &str); 2] =
    [("client_id", "Iv1.gitwarddemo"), ("client_secret", "gitward-demo-app-secret")];

fn wish(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("redirect_uri", CALLBACK).append_pair("state", "xyz").extend_pairs(pairs);
    format!("/login/oauth/authorize?{}", query.finish())
}

/// What the form of the consent page sends.
async fn decide(visitor: &Visitor, decision: &str, more: &[(&str, &str)]) -> Answer {
    let mut pairs = vec![("redirect_uri", CALLBACK), ("state", "xyz"), ("decision", decision)];
    pairs.extend(more);
    visitor.form("/login/oauth/authorize", &pairs).await
}

async fn code(visitor: &Visitor, more: &[(&str, &str)]) -> String {
    decide(visitor, "authorize", more).await.sent_back("code").unwrap()
}

async fn exchange(visitor: &Visitor, app: &[(&str, &str)], more: &[(&str, &str)]) -> Value {
    let answer = visitor.form("/login/oauth/access_token", &[app, more].concat()).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.json()
}

async fn octocat() -> Visitor {
    let mut visitor = Visitor::github();
    visitor.sign_in("octocat").await;
    visitor
}

#[tokio::test]
async fn a_person_signs_in_agrees_and_the_app_gets_a_token() {
    let mut visitor = Visitor::github();
    let path = wish(&[("client_id", "gitward-demo"), ("scope", "repo workflow"), ("login", "octocat")]);
    let first = visitor.get(&path).await;
    assert_eq!(first.location().path(), "/login");
    assert_eq!(first.sent_back("return_to").as_deref(), Some(path.as_str()));
    visitor.sign_in("octocat").await;
    let page = visitor.get(&path).await;
    assert!(page.text.contains("<button name=\"decision\" value=\"authorize\">Authorize</button>"));
    let granted = [("client_id", "gitward-demo"), ("grant", "repo"), ("grant", "workflow")];
    let back = decide(&visitor, "authorize", &granted).await;
    assert!(back.location().as_str().starts_with(CALLBACK));
    assert_eq!(back.sent_back("state").as_deref(), Some("xyz"));
    assert_eq!(back.sent_back("iss"), None);
    let reply = exchange(&visitor, &OAUTH_APP, &[("code", &back.sent_back("code").unwrap())]).await;
    assert_eq!(reply["scope"], "repo,workflow");
    assert_eq!(reply["token_type"], "bearer");
    assert_eq!(reply.get("expires_in"), None);
    let token = reply["access_token"].as_str().unwrap();
    assert!(token.starts_with("gho_"));
    let user = visitor.get_with(token, "/user").await;
    assert_eq!(user.header("x-oauth-scopes"), Some("repo, workflow"));
    assert_eq!(user.header("x-oauth-client-id"), Some("gitward-demo"));
}

#[tokio::test]
async fn a_reply_is_form_encoded_unless_json_is_asked_for() {
    let visitor = octocat().await;
    let code = code(&visitor, &[("client_id", "gitward-demo"), ("grant", "repo"), ("grant", "gist")]).await;
    let body = format!("client_id=gitward-demo&client_secret=gitward-demo-secret&code={code}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = visitor.send("POST", "/login/oauth/access_token", &headers, &body).await;
    assert!(answer.header("content-type").unwrap().starts_with("application/x-www-form-urlencoded"));
    assert!(answer.text.contains("scope=gist%2Crepo"));
}

#[tokio::test]
async fn a_person_may_grant_less_and_is_asked_again_for_the_rest() {
    let visitor = octocat().await;
    let code = code(&visitor, &[("client_id", "gitward-demo"), ("grant", "repo")]).await;
    assert_eq!(exchange(&visitor, &OAUTH_APP, &[("code", &code)]).await["scope"], "repo");
    let more = visitor.get(&wish(&[("client_id", "gitward-demo"), ("scope", "repo workflow")])).await;
    assert_eq!(more.status, StatusCode::OK);
}

#[tokio::test]
async fn an_app_that_was_agreed_to_gets_its_code_at_once_unless_it_prompts() {
    let visitor = octocat().await;
    code(&visitor, &[("client_id", "gitward-demo"), ("grant", "repo")]).await;
    let again = visitor.get(&wish(&[("client_id", "gitward-demo"), ("scope", "repo")])).await;
    assert!(again.sent_back("code").is_some());
    for prompt in ["consent", "select_account"] {
        let path = wish(&[("client_id", "gitward-demo"), ("scope", "repo"), ("prompt", prompt)]);
        assert_eq!(visitor.get(&path).await.status, StatusCode::OK);
    }
    visitor.form("/settings/applications/gitward-demo/revoke", &[]).await;
    let forgotten = visitor.get(&wish(&[("client_id", "gitward-demo"), ("scope", "repo")])).await;
    assert_eq!(forgotten.status, StatusCode::OK);
}

#[tokio::test]
async fn a_person_who_cancels_sends_the_app_an_error() {
    let visitor = octocat().await;
    visitor.control("settings", json!({"iss": "https://evil.example"})).await;
    let back = decide(&visitor, "cancel", &[("client_id", "gitward-demo")]).await;
    assert_eq!(back.sent_back("error").as_deref(), Some("access_denied"));
    let description = "The user has denied your application access.";
    assert_eq!(back.sent_back("error_description").as_deref(), Some(description));
    assert!(back.sent_back("error_uri").is_some());
    assert_eq!(back.sent_back("state").as_deref(), Some("xyz"));
    assert_eq!(back.sent_back("iss").as_deref(), Some("https://evil.example"));
    assert_eq!(back.sent_back("code"), None);
}

#[tokio::test]
async fn a_wrong_redirect_goes_to_the_registered_address_or_nowhere() {
    let registered = "https://gitward.example/callback";
    let strict = Visitor::with_redirects(Shape::Github, &[registered]);
    let path = wish(&[("client_id", "gitward-demo")]);
    let back = strict.get(&path).await;
    assert!(back.location().as_str().starts_with(registered));
    assert_eq!(back.sent_back("error").as_deref(), Some("redirect_uri_mismatch"));
    let path = path.replace("localhost", "evil.example");
    let nowhere = Visitor::github().get(&path).await;
    assert_eq!(nowhere.status, StatusCode::BAD_REQUEST);
    let unknown = Visitor::github().get(&wish(&[("client_id", "nobody")])).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_suspended_app_is_sent_back() {
    let visitor = octocat().await;
    visitor.control("settings", json!({"app_suspended": true})).await;
    let back = visitor.get(&wish(&[("client_id", "gitward-demo")])).await;
    assert_eq!(back.sent_back("error").as_deref(), Some("application_suspended"));
}

#[tokio::test]
async fn each_refusal_of_the_token_endpoint_has_its_name_and_status_200() {
    let visitor = octocat().await;
    let app = [("client_id", "gitward-demo")];
    let wrong = [("client_id", "gitward-demo"), ("client_secret", "wrong")];
    let reply = exchange(&visitor, &wrong, &[("code", "x")]).await;
    assert_eq!(reply["error"], "incorrect_client_credentials");
    let reply = exchange(&visitor, &OAUTH_APP, &[("code", "never")]).await;
    assert_eq!(reply["error"], "bad_verification_code");
    assert_eq!(reply["error_description"], "The code passed is incorrect or expired.");
    let code_ = code(&visitor, &app).await;
    let elsewhere = [("code", code_.as_str()), ("redirect_uri", "http://localhost:3000/other")];
    assert_eq!(exchange(&visitor, &OAUTH_APP, &elsewhere).await["error"], "redirect_uri_mismatch");
    let reply = exchange(&visitor, &OAUTH_APP, &[("grant_type", "password")]).await;
    assert_eq!(reply["error"], "unsupported_grant_type");
    let unknown = [("grant_type", "refresh_token"), ("refresh_token", "never")];
    assert_eq!(exchange(&visitor, &GITHUB_APP, &unknown).await["error"], "bad_refresh_token");
    visitor.control("settings", json!({"unverified_email": true})).await;
    let code_ = code(&visitor, &app).await;
    assert_eq!(exchange(&visitor, &OAUTH_APP, &[("code", &code_)]).await["error"], "unverified_user_email");
}

#[tokio::test]
async fn a_code_works_once_for_ten_minutes_and_for_its_app_only() {
    let visitor = octocat().await;
    let app = [("client_id", "gitward-demo")];
    let once = code(&visitor, &app).await;
    assert!(exchange(&visitor, &OAUTH_APP, &[("code", &once)]).await.get("access_token").is_some());
    assert_eq!(exchange(&visitor, &OAUTH_APP, &[("code", &once)]).await["error"], "bad_verification_code");
    let other = code(&visitor, &app).await;
    assert_eq!(exchange(&visitor, &GITHUB_APP, &[("code", &other)]).await["error"], "bad_verification_code");
    let late = code(&visitor, &app).await;
    visitor.control("clock", json!({"advance_seconds": 601})).await;
    assert_eq!(exchange(&visitor, &OAUTH_APP, &[("code", &late)]).await["error"], "bad_verification_code");
}

#[tokio::test]
async fn a_challenge_needs_its_verifier() {
    let visitor = octocat().await;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest("the-right-verifier"));
    let asked = [
        ("client_id", "gitward-demo"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (verifier, fits) in [(Some("the-right-verifier"), true), (Some("another"), false), (None, false)] {
        let code = code(&visitor, &asked).await;
        let mut sent = vec![("code", code.as_str())];
        sent.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        let reply = exchange(&visitor, &OAUTH_APP, &sent).await;
        assert_eq!(reply.get("access_token").is_some(), fits, "{reply}");
    }
    let plain = visitor
        .get(&wish(&[
            ("client_id", "gitward-demo"),
            ("code_challenge", "x"),
            ("code_challenge_method", "plain"),
        ]))
        .await;
    assert_eq!(plain.sent_back("error").as_deref(), Some("invalid_request"));
}

#[tokio::test]
async fn a_refresh_token_works_once_and_takes_the_old_pair_with_it() {
    let visitor = octocat().await;
    let code = code(&visitor, &[("client_id", "Iv1.gitwarddemo")]).await;
    let first = exchange(&visitor, &GITHUB_APP, &[("code", &code)]).await;
    assert_eq!(first["scope"], "");
    assert_eq!(first["expires_in"], 28_800);
    assert_eq!(first["refresh_token_expires_in"], 15_897_600);
    visitor.control("clock", json!({"advance_seconds": 28_801})).await;
    let access = |reply: &Value| reply["access_token"].as_str().unwrap().to_owned();
    assert_eq!(visitor.get_with(&access(&first), "/user").await.status, StatusCode::UNAUTHORIZED);
    let spent = first["refresh_token"].as_str().unwrap();
    let spent = [("grant_type", "refresh_token"), ("refresh_token", spent)];
    let second = exchange(&visitor, &GITHUB_APP, &spent).await;
    assert_eq!(visitor.get_with(&access(&second), "/user").await.status, StatusCode::OK);
    assert_eq!(exchange(&visitor, &GITHUB_APP, &spent).await["error"], "bad_refresh_token");
    let third = second["refresh_token"].as_str().unwrap();
    exchange(&visitor, &GITHUB_APP, &[("grant_type", "refresh_token"), ("refresh_token", third)]).await;
    assert_eq!(visitor.get_with(&access(&second), "/user").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_fresh_token_is_refused_for_as_long_as_the_setting_says() {
    let visitor = octocat().await;
    visitor.control("settings", json!({"fresh_token_401_ms": 5_000})).await;
    let code = code(&visitor, &[("client_id", "gitward-demo")]).await;
    let reply = exchange(&visitor, &OAUTH_APP, &[("code", &code)]).await;
    let token = reply["access_token"].as_str().unwrap();
    assert_eq!(visitor.get_with(token, "/user").await.status, StatusCode::UNAUTHORIZED);
    visitor.control("clock", json!({"advance_seconds": 6})).await;
    assert_eq!(visitor.get_with(token, "/user").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_eleventh_token_with_the_same_scopes_ends_the_oldest() {
    let visitor = octocat().await;
    let mut tokens = Vec::new();
    for _ in 0..11 {
        let code = code(&visitor, &[("client_id", "gitward-demo"), ("grant", "repo")]).await;
        let reply = exchange(&visitor, &OAUTH_APP, &[("code", &code)]).await;
        tokens.push(reply["access_token"].as_str().unwrap().to_owned());
    }
    assert_eq!(visitor.get_with(&tokens[0], "/user").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.get_with(&tokens[1], "/user").await.status, StatusCode::OK);
}
