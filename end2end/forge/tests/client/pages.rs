//! Pages for people.

use axum::http::StatusCode;
use forge::Shape;
use serde_json::json;

use crate::visitor::{Visitor, shown_once};

#[tokio::test]
async fn signing_in_needs_the_password_and_leads_back_to_this_host_only() {
    let visitor = Visitor::github();
    assert!(visitor.get("/login").await.text.contains("octocat, password <code>octocat</code>"));
    let wrong = visitor.form("/login", &[("login", "octocat"), ("password", "x")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    for (asked, led) in
        [("/settings/tokens", "/settings/tokens"), ("//evil.example", "/"), ("https://evil.example", "/")]
    {
        let pairs = [("login", "octocat"), ("password", "octocat"), ("return_to", asked)];
        assert_eq!(visitor.form("/login", &pairs).await.header("location"), Some(led));
    }
}

#[tokio::test]
async fn a_link_fills_in_a_classic_token_which_is_shown_once() {
    let mut visitor = Visitor::github();
    visitor.sign_in("octocat").await;
    let page = visitor.get("/settings/tokens/new?description=a%22b&scopes=repo,workflow").await;
    assert!(page.text.contains("value=\"a&quot;b\""));
    for scope in ["repo", "workflow"] {
        assert!(page.text.contains(&format!("name=\"scope\" value=\"{scope}\" checked")));
    }
    assert!(!page.text.contains("value=\"gist\" checked"));
    let form = [("description", "mine"), ("scope", "repo"), ("scope", "repo:status"), ("expires_in", "30")];
    let token = shown_once(&visitor.form("/settings/tokens/new", &form).await);
    let user = visitor.get_with(&token, "/user").await;
    assert_eq!(user.header("x-oauth-scopes"), Some("repo"));
    assert!(user.header("github-authentication-token-expiration").is_some());
    assert!(!visitor.get("/settings/tokens").await.text.contains(&token));
}

#[tokio::test]
async fn a_link_fills_in_a_fine_grained_token_at_the_public_host_only() {
    let path = "/settings/personal-access-tokens/new?name=n&target_name=acme&expires_in=none&contents=write&metadata=read";
    let mut visitor = Visitor::github();
    visitor.sign_in("octocat").await;
    let page = visitor.get(path).await;
    assert!(page.text.contains("<option value=\"write\" selected>Read and write</option>"));
    let form = [("name", "n"), ("repository", "acme/infra"), ("contents", "write"), ("expires_in", "none")];
    let token = shown_once(&visitor.form("/settings/personal-access-tokens/new", &form).await);
    assert_eq!(visitor.get_with(&token, "/repos/acme/infra/contents/").await.status, StatusCode::OK);
    assert_eq!(visitor.get_with(&token, "/repos/acme/readonly").await.status, StatusCode::NOT_FOUND);
    assert_eq!(Visitor::of(Shape::Ghes).get(path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_person_narrows_expires_and_revokes_own_tokens_only() {
    let mut visitor = Visitor::github();
    let wanted = json!({"user": "octocat", "kind": "classic", "scopes": ["repo", "workflow"]});
    let made = visitor.control("tokens", wanted).await;
    let (id, token) = (made["id"].as_u64().unwrap(), made["token"].as_str().unwrap());
    visitor.sign_in("hubot").await;
    let foreign = visitor.form(&format!("/settings/tokens/{id}/revoke"), &[]).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    visitor.sign_in("octocat").await;
    visitor.form(&format!("/settings/tokens/{id}/scopes"), &[("scope", "workflow"), ("scope", "gist")]).await;
    assert_eq!(visitor.get_with(token, "/user").await.header("x-oauth-scopes"), Some("workflow"));
    visitor.form(&format!("/settings/tokens/{id}/expire"), &[]).await;
    assert_eq!(visitor.get_with(token, "/user").await.status, StatusCode::UNAUTHORIZED);
    assert!(visitor.get("/settings/tokens").await.text.contains("<dd>expired</dd>"));
}

#[tokio::test]
async fn the_link_to_single_sign_on_authorizes_the_token() {
    let mut visitor = Visitor::github();
    let token = visitor.token(json!({"user": "octocat", "kind": "classic", "scopes": ["repo"]})).await;
    let refused = visitor.get_with(&token, "/repos/acme-sso/ops").await;
    let link = refused.header("x-github-sso").unwrap().split_once("url=").unwrap().1.to_owned();
    let (_, key) = link.split_once("authorization_request=").unwrap();
    visitor.sign_in("octocat").await;
    let path = link.strip_prefix("http://localhost:4001").unwrap();
    assert!(visitor.get(path).await.text.contains("<button>Authorize token</button>"));
    visitor.form("/orgs/acme-sso/sso", &[("authorization_request", key)]).await;
    assert_eq!(visitor.get_with(&token, "/repos/acme-sso/ops").await.status, StatusCode::OK);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let mut visitor = Visitor::github();
    visitor.sign_in("octocat").await;
    assert_eq!(visitor.get("/settings/tokens").await.status, StatusCode::OK);
    visitor.form("/logout", &[]).await;
    assert_eq!(visitor.get("/settings/tokens").await.location().path(), "/login");
}
