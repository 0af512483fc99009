//! REST with tokens of every kind.

use axum::http::StatusCode;
use forge::Shape;
use serde_json::json;

use crate::visitor::{Visitor, basic};

#[tokio::test]
async fn a_classic_token_shows_its_owner_and_its_scopes() {
    let visitor = Visitor::github();
    let token = visitor
        .token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo", "admin:repo_hook"]}))
        .await;
    let answer = visitor.get_with(&token, "/user").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["login"], "octocat");
    assert_eq!(answer.json()["id"], 583_231);
    assert_eq!(answer.header("x-oauth-scopes"), Some("admin:repo_hook, repo"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("4999"));
    assert_eq!(answer.header("github-authentication-token-expiration"), None);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn a_token_without_scopes_still_shows_an_empty_list() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "hubot", "kind": "legacy"})).await;
    assert_eq!(visitor.get_with(&token, "/user").await.header("x-oauth-scopes"), Some(""));
}

#[tokio::test]
async fn an_expiry_is_told_in_the_shape_that_the_token_was_made_with() {
    for shape in [Shape::Github, Shape::Ghes] {
        let visitor = Visitor::of(shape);
        let user = if shape == Shape::Github { "/user" } else { "/api/v3/user" };
        for (spelling, end, header) in [
            ("utc", "2027-10-12T09:00:00Z", "2027-10-12 09:00:00 UTC"),
            ("offset", "2027-03-30T15:00:00Z", "2027-03-31 00:00:00 +0900"),
        ] {
            let wanted = json!({"user": "octocat", "kind": "fine_grained", "expires_at": end, "expiry_shape": spelling});
            let token = visitor.token(wanted).await;
            let answer = visitor.get_with(&token, user).await;
            assert_eq!(answer.header("github-authentication-token-expiration"), Some(header));
            assert_eq!(answer.header("x-oauth-scopes"), None);
        }
    }
}

#[tokio::test]
async fn an_expired_a_revoked_and_an_unknown_token_are_bad_credentials() {
    let visitor = Visitor::github();
    let wanted = json!({"user": "octocat", "kind": "classic", "expires_at": "2020-01-01T00:00:00Z"});
    let expired = visitor.token(wanted).await;
    let revoked = visitor.token(json!({"user": "octocat", "kind": "classic"})).await;
    visitor.control("tokens/change", json!({"token": revoked, "revoked": true})).await;
    for token in [expired.as_str(), &revoked, "unknown"] {
        let answer = visitor.get_with(token, "/user").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.json()["message"], "Bad credentials");
        assert_eq!(answer.json()["status"], "401");
    }
}

#[tokio::test]
async fn the_enterprise_server_lives_below_its_prefix_without_status_and_rate_limits() {
    let visitor = Visitor::of(Shape::Ghes);
    let refused = visitor.get_with("unknown", "/api/v3/user").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json().get("status"), None);
    let token = visitor.token(json!({"user": "octocat", "kind": "classic"})).await;
    let answer = visitor.get_with(&token, "/api/v3/user").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("x-ratelimit-limit"), None);
    assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.get_with(&token, "/api/v3/nothing").await.json()["message"], "Not Found");
}

#[tokio::test]
async fn a_request_without_a_user_agent_is_refused() {
    let visitor = Visitor::github();
    let request = axum::http::Request::get("/user").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(visitor.router.clone(), request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_private_repository_hides_from_tokens_that_do_not_reach_it() {
    let visitor = Visitor::github();
    let full = visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo"]})).await;
    let narrow =
        visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["public_repo"]})).await;
    let other = json!({"user": "octocat", "kind": "fine_grained", "repositories": ["acme/readonly"]});
    let other = visitor.token(other).await;
    let found = visitor.get_with(&full, "/repos/acme/infra").await.json();
    assert_eq!(found["full_name"], "acme/infra");
    assert_eq!(found["permissions"]["push"], true);
    for (token, path) in [(&narrow, "infra"), (&other, "infra"), (&full, "secret-ops"), (&full, "nothing")] {
        let answer = visitor.get_with(token, &format!("/repos/acme/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(visitor.get("/repos/acme/public").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_missing_permission_is_named_with_what_the_endpoint_accepts() {
    let visitor = Visitor::github();
    for (kind, whose) in [("fine_grained", "personal access token"), ("github_app", "integration")] {
        let wanted = json!({"user": "octocat", "kind": kind, "permissions": {"statuses": "read"}, "repositories": ["acme/infra"]});
        let token = visitor.token(wanted).await;
        assert_eq!(visitor.get_with(&token, "/repos/acme/infra").await.status, StatusCode::OK);
        for (path, accepted) in
            [("contents/", "contents=read"), ("hooks?per_page=1", "repository_hooks=read")]
        {
            let answer = visitor.get_with(&token, &format!("/repos/acme/infra/{path}")).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert_eq!(answer.json()["message"], format!("Resource not accessible by {whose}"));
            assert_eq!(answer.header("x-accepted-github-permissions"), Some(accepted));
        }
    }
}

#[tokio::test]
async fn single_sign_on_is_asked_for_with_a_link_to_the_same_host() {
    let visitor = Visitor::github();
    let wanted = json!({"user": "octocat", "kind": "classic", "scopes": ["repo", "read:org"]});
    let token = visitor.token(wanted).await;
    let answer = visitor.get_with(&token, "/repos/acme-sso/ops").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let link = answer.header("x-github-sso").unwrap().strip_prefix("required; url=").unwrap();
    assert!(link.starts_with("http://localhost:4001/orgs/acme-sso/sso?authorization_request="));
    let organizations = visitor.get_with(&token, "/user/orgs").await;
    assert_eq!(organizations.header("x-github-sso"), Some("partial-results; organizations=9002"));
    assert_eq!(organizations.json()[0]["login"], "acme");
    visitor.control("tokens/change", json!({"token": token, "sso": true})).await;
    assert_eq!(visitor.get_with(&token, "/repos/acme-sso/ops").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_app_checks_resets_and_ends_its_own_token_only() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "oauth", "scopes": ["repo"]})).await;
    let own = basic("gitward-demo", "gitward-demo-secret");
    let path = "/applications/gitward-demo/token";
    let checked = visitor.json("POST", path, Some(&own), json!({"access_token": token})).await;
    assert_eq!(checked.json()["scopes"], json!(["repo"]));
    assert_eq!(checked.json()["user"]["login"], "octocat");
    let wrong =
        visitor.json("POST", path, Some(&basic("gitward-demo", "no")), json!({"access_token": token})).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let reset = visitor.json("PATCH", path, Some(&own), json!({"access_token": token})).await.json();
    assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::UNAUTHORIZED);
    let renewed = reset["token"].as_str().unwrap();
    assert_eq!(visitor.get_with(renewed, "/user").await.status, StatusCode::OK);
    let ended = visitor.json("DELETE", path, Some(&own), json!({"access_token": renewed})).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(visitor.get_with(renewed, "/user").await.status, StatusCode::UNAUTHORIZED);
    let foreign = visitor.token(json!({"user": "octocat", "kind": "github_app"})).await;
    let refused = visitor.json("POST", path, Some(&own), json!({"access_token": foreign})).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn anyone_ends_a_leaked_token_but_not_while_signed_in() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "fine_grained"})).await;
    let leaked = json!({"credentials": [token]});
    let auth = format!("Bearer {token}");
    let refused = visitor.json("POST", "/credentials/revoke", Some(&auth), leaked.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let empty = visitor.json("POST", "/credentials/revoke", None, json!({"credentials": []})).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    let accepted = visitor.json("POST", "/credentials/revoke", None, leaked).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_installation_shows_what_the_app_was_permitted() {
    let visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "github_app"})).await;
    let listed = visitor.get_with(&token, "/user/installations").await.json();
    assert_eq!(listed["total_count"], 1);
    assert_eq!(listed["installations"][0]["permissions"], json!({"contents": "write", "metadata": "read"}));
}

#[tokio::test]
async fn the_rate_limit_is_kept_and_asking_for_it_is_free() {
    let visitor = Visitor::github();
    visitor.control("settings", json!({"rate_limit": 2})).await;
    let token = visitor.token(json!({"user": "octocat", "kind": "classic"})).await;
    for _ in 0..2 {
        assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::OK);
    }
    assert_eq!(visitor.get_with(&token, "/rate_limit").await.json()["rate"]["remaining"], 0);
    let refused = visitor.get_with(&token, "/user").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    visitor.control("clock", json!({"advance_seconds": 3_601})).await;
    assert_eq!(visitor.get_with(&token, "/user").await.status, StatusCode::OK);
}
