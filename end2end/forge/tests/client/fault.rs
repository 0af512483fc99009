//! Every fault, over a real connection where it needs one.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::visitor::{Visitor, basic};

/// Sends `GET /user` over TCP and reads at most so many bytes.
async fn read(visitor: &Visitor, token: &str, most: u64) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(forge::serve(listener, visitor.router.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /user HTTP/1.1\r\nhost: x\r\nuser-agent: test\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    stream.take(most).read_to_end(&mut received).await.unwrap();
    server.abort();
    received
}

async fn visitor() -> (Visitor, String) {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "classic"})).await;
    (visitor, token)
}

#[tokio::test]
async fn a_fault_strikes_where_and_as_often_as_it_was_told() {
    let (visitor, token) = visitor().await;
    let fault = json!({"on": "user", "fault": "status", "status": 502, "times": 2});
    visitor.control("faults", fault).await;
    assert_eq!(visitor.get("/repos/acme/public").await.status, StatusCode::OK);
    for expected in [StatusCode::BAD_GATEWAY, StatusCode::BAD_GATEWAY, StatusCode::OK] {
        assert_eq!(visitor.get_with(&token, "/user").await.status, expected);
    }
    let listed = visitor.get("/_forge/faults").await.json();
    assert_eq!((&listed[0]["struck"], &listed[0]["times"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn a_fault_can_strike_one_method_and_path_and_be_switched_off() {
    let (visitor, _) = visitor().await;
    let place = json!({"method": "GET", "path_prefix": "/login"});
    let id = visitor.control("faults", json!({"on": place, "fault": "status"})).await["id"].clone();
    assert_eq!(visitor.get("/login").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(visitor.form("/login", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
    visitor.send("DELETE", &format!("/_forge/faults/{id}"), &[], "").await;
    assert_eq!(visitor.get("/login").await.status, StatusCode::OK);
}

#[tokio::test]
async fn any_strikes_machines_but_no_pages() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"fault": "status"})).await;
    assert_eq!(visitor.get("/login").await.status, StatusCode::OK);
    for path in ["/user", "/acme/public.git/info/refs?service=git-upload-pack", "/rate_limit"] {
        assert_eq!(visitor.get_with(&token, path).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn limits_look_like_limits() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"on": "user", "fault": "rate_limit", "times": 1})).await;
    let primary = visitor.get_with(&token, "/user").await;
    assert_eq!(primary.status, StatusCode::FORBIDDEN);
    assert_eq!(primary.header("x-ratelimit-remaining"), Some("0"));
    let secondary =
        json!({"on": "user", "fault": "secondary_rate_limit", "status": 429, "retry_after_seconds": 7});
    visitor.control("faults", secondary).await;
    let secondary = visitor.get_with(&token, "/user").await;
    assert_eq!(secondary.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(secondary.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn bodies_can_be_a_page_broken_or_missing() {
    for (fault, start) in [("html", "<!DOCTYPE html>"), ("garbage_json", "{\"login\":\"octo"), ("empty", "")]
    {
        let (visitor, token) = visitor().await;
        visitor.control("faults", json!({"on": "user", "fault": fault})).await;
        let answer = visitor.get_with(&token, "/user").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text.starts_with(start));
        assert_eq!(answer.text.is_empty(), fault == "empty");
    }
}

#[tokio::test]
async fn a_redirect_leads_to_a_place_whose_visitors_are_listed() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"on": "user", "fault": "redirect"})).await;
    let answer = visitor.get_with(&token, "/user").await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.location().path(), "/elsewhere");
    visitor.get("/elsewhere").await;
    let listed = visitor.get("/_forge/requests").await.json();
    assert_eq!(listed[1]["path"], "/elsewhere");
    assert_eq!(listed[1]["auth_scheme"], json!(null));
}

#[tokio::test]
async fn an_oauth_error_comes_with_status_200() {
    let (visitor, _) = visitor().await;
    let fault = json!({"on": "token", "fault": "oauth_error", "error": "application_suspended"});
    visitor.control("faults", fault).await;
    let answer = visitor.form("/login/oauth/access_token", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["error"], "application_suspended");
}

#[tokio::test]
async fn a_delay_gives_the_right_answer_later() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"on": "user", "fault": "delay", "delay_ms": 60})).await;
    #[expect(clippy::disallowed_methods, reason = "the delay is one of the machine's time")]
    let start = Instant::now();
    assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_dropped_connection_carries_no_byte() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"on": "user", "fault": "drop"})).await;
    assert!(read(&visitor, &token, 1_000).await.is_empty());
    assert_eq!(visitor.get("/_forge/requests").await.json()[0]["status"], json!(null));
}

#[tokio::test]
async fn a_dropped_reply_leaves_its_effect_behind() {
    let (visitor, token) = visitor().await;
    let place = json!({"method": "POST", "path_prefix": "/credentials"});
    visitor.control("faults", json!({"on": place, "fault": "drop_reply"})).await;
    visitor.json("POST", "/credentials/revoke", None, json!({"credentials": [token]})).await;
    assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_slow_body_is_the_right_one() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"on": "user", "fault": "slow_body", "delay_ms": 0})).await;
    assert_eq!(visitor.get_with(&token, "/user").await.json()["login"], "octocat");
}

#[tokio::test]
async fn an_endless_body_goes_on() {
    let (visitor, token) = visitor().await;
    visitor.control("faults", json!({"on": "user", "fault": "endless"})).await;
    assert_eq!(read(&visitor, &token, 3_000_000).await.len(), 3_000_000);
}

#[tokio::test]
async fn basic_credentials_reach_rest_as_well() {
    let (visitor, token) = visitor().await;
    let auth = basic("octocat", &token);
    let answer = visitor.send("GET", "/user", &[("authorization", &auth)], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}
