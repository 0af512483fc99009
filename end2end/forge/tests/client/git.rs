//! Git over HTTP shows what a token may do.

use axum::http::StatusCode;
use serde_json::json;

use crate::visitor::{Answer, Visitor, basic};

async fn ask(visitor: &Visitor, auth: Option<&str>, repository: &str, service: &str) -> Answer {
    let headers: Vec<_> = auth.map(|auth| ("authorization", auth)).into_iter().collect();
    visitor.send("GET", &format!("/{repository}/info/refs?service=git-{service}"), &headers, "").await
}

#[tokio::test]
async fn a_token_that_may_push_sees_the_advertisement_with_and_without_the_suffix() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo"]})).await;
    let auth = basic("x-access-token", &token);
    for repository in ["acme/infra.git", "acme/infra"] {
        let answer = ask(&visitor, Some(&auth), repository, "receive-pack").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), Some("application/x-git-receive-pack-advertisement"));
        assert!(answer.text.starts_with("001f# service=git-receive-pack\n0000"));
        assert!(answer.text.ends_with("0000"));
    }
}

#[tokio::test]
async fn each_lack_of_rights_has_its_own_refusal() {
    let visitor = Visitor::github();
    let full = visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo"]})).await;
    let reader = json!({"user": "octocat", "kind": "fine_grained", "permissions": {"contents": "read"}, "repositories": ["acme/infra"]});
    let reader = visitor.token(reader).await;
    let (full, reader) = (basic("octocat", &full), basic("octocat", &reader));
    let readonly = ask(&visitor, Some(&full), "acme/readonly.git", "receive-pack").await;
    assert_eq!(readonly.status, StatusCode::FORBIDDEN);
    assert_eq!(readonly.text, "Permission to acme/readonly.git denied to octocat.\n");
    let ungranted = ask(&visitor, Some(&reader), "acme/infra.git", "receive-pack").await;
    assert_eq!(ungranted.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(&visitor, Some(&reader), "acme/infra.git", "upload-pack").await.status, StatusCode::OK);
    let hidden = ask(&visitor, Some(&full), "acme/secret-ops.git", "upload-pack").await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    let protected = ask(&visitor, Some(&full), "acme-sso/ops.git", "upload-pack").await;
    assert_eq!(protected.status, StatusCode::FORBIDDEN);
    assert!(protected.header("x-github-sso").unwrap().starts_with("required; url="));
}

#[tokio::test]
async fn nobody_an_empty_user_and_a_bad_token_must_authenticate() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo"]})).await;
    for auth in [None, Some(basic("", &token)), Some(basic("octocat", "bad"))] {
        let answer = ask(&visitor, auth.as_deref(), "acme/infra.git", "upload-pack").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"GitHub\""));
    }
    assert_eq!(ask(&visitor, None, "acme/public.git", "upload-pack").await.status, StatusCode::OK);
    let push = ask(&visitor, None, "acme/public.git", "receive-pack").await;
    assert_eq!(push.status, StatusCode::UNAUTHORIZED);
}
