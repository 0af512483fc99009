//! Gitea: tokens that hardly say anything of themselves, a web flow without scopes in its reply.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forge::Shape;
use serde_json::{Value, json};

use crate::visitor::{Answer, Visitor, basic, shown_once};

const CALLBACK: &str = "http://localhost:3000/callback/gitea";
const USER: &str = "/api/v1/user";
const TOKEN: &str = "/api/v1/token";
const PAGE: &str = "/user/settings/applications";
const APP: [(&str, &str); 2] = [("client_id", "gitward-demo"), ("client_secret", "gitward-demo-secret")];

fn gitea() -> Visitor {
    Visitor::of(Shape::Gitea)
}

async fn personal(visitor: &Visitor, scopes: &[&str]) -> String {
    visitor.token(json!({"user": "octocat", "scopes": scopes})).await
}

async fn git(visitor: &Visitor, auth: Option<&str>, repository: &str, service: &str) -> Answer {
    let headers: Vec<_> = auth.map(|auth| ("authorization", auth)).into_iter().collect();
    visitor.send("GET", &format!("/{repository}.git/info/refs?service=git-{service}"), &headers, "").await
}

async fn decide(visitor: &Visitor, scope: &str, decision: &str) -> Answer {
    let asked = [
        ("client_id", "gitward-demo"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", scope),
        ("state", "xyz"),
        ("decision", decision),
    ];
    visitor.form("/login/oauth/authorize", &asked).await
}

async fn exchange(visitor: &Visitor, more: &[(&str, &str)]) -> Answer {
    visitor.form("/login/oauth/access_token", &[&APP[..], more].concat()).await
}

async fn redeem(visitor: &Visitor, code: &str) -> Answer {
    let sent = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    exchange(visitor, &sent).await
}

/// Octocat agrees to these scopes, and the app exchanges the code.
async fn grant(visitor: &mut Visitor, scope: &str) -> Value {
    visitor.sign_in("octocat").await;
    let code = decide(visitor, scope, "authorize").await.sent_back("code").unwrap();
    let answer = redeem(visitor, &code).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

fn text<'a>(reply: &'a Value, name: &str) -> &'a str {
    reply[name].as_str().unwrap()
}

#[tokio::test]
async fn a_token_opens_in_each_spelling() {
    let visitor = gitea();
    let token = personal(&visitor, &["read:user"]).await;
    assert_eq!(token.len(), 40);
    for auth in [
        format!("token {token}"),
        format!("Bearer {token}"),
        basic("octocat", &token),
        basic(&token, "x-oauth-basic"),
    ] {
        let user = visitor.send("GET", USER, &[("authorization", &auth)], "").await.json();
        assert_eq!((&user["login"], &user["id"]), (&json!("octocat"), &json!(583_231)));
        assert_eq!(user["email"], "octocat@forge.example");
    }
    assert!(!visitor.get("/_forge/requests").await.text.contains(&token));
}

#[tokio::test]
async fn a_missing_scope_is_named_and_a_bad_token_is_not() {
    let visitor = gitea();
    let token = personal(&visitor, &["write:repository"]).await;
    let refused = visitor.get_with(&token, USER).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let message = "token does not have at least one of required scope(s): [read:user]";
    assert_eq!(refused.json(), json!({"message": message, "url": "http://localhost:4001/api/swagger"}));
    visitor.control("settings", json!({"names_token_scopes": true})).await;
    let message = "token does not have at least one of required scope(s), required=[read:user], token scope=write:repository";
    assert_eq!(visitor.get_with(&token, USER).await.json()["message"], message);
    let nobody = visitor.get(USER).await;
    assert_eq!(
        (nobody.status, &nobody.json()["message"]),
        (StatusCode::UNAUTHORIZED, &json!("token is required"))
    );
    visitor.control("tokens/change", json!({"token": token, "revoked": true})).await;
    for token in [token.as_str(), "bad"] {
        let refused = visitor.get_with(token, USER).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.json()["message"], "invalid username, password or token");
    }
}

#[tokio::test]
async fn only_newer_releases_let_a_token_ask_about_itself_and_end() {
    let mut visitor = gitea();
    let wanted = json!({"user": "octocat", "note": "gitops", "scopes": ["read:user", "write:repository"]});
    let token = visitor.token(wanted).await;
    assert_eq!(visitor.get_with(&token, TOKEN).await.status, StatusCode::NOT_FOUND);
    visitor.control("settings", json!({"token_api": true})).await;
    let said = visitor.get_with(&token, TOKEN).await.json();
    assert_eq!(
        (&said["name"], &said["scopes"]),
        (&json!("gitops"), &json!(["read:user", "write:repository"]))
    );
    assert_eq!(said["user"], json!({"id": 583_231, "login": "octocat"}));
    let granted = grant(&mut visitor, "").await;
    assert_eq!(visitor.get_with(text(&granted, "access_token"), TOKEN).await.status, StatusCode::NOT_FOUND);
    let auth = format!("token {token}");
    let ended = visitor.send("DELETE", TOKEN, &[("authorization", &auth)], "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(visitor.get_with(&token, TOKEN).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn repositories_open_by_scope_role_and_visibility() {
    let visitor = gitea();
    let token = personal(&visitor, &["read:repository"]).await;
    let found = visitor.get_with(&token, "/api/v1/repos/acme/infra").await.json();
    assert_eq!((&found["full_name"], &found["permissions"]["admin"]), (&json!("acme/infra"), &json!(true)));
    assert_eq!(visitor.get_with(&token, "/api/v1/repos/acme/infra/hooks").await.json(), json!([]));
    let denied = visitor.get_with(&token, "/api/v1/repos/acme/readonly/hooks").await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    let public = personal(&visitor, &["read:repository", "public-only"]).await;
    assert_eq!(visitor.get_with(&public, "/api/v1/repos/acme/public").await.status, StatusCode::OK);
    for (token, name) in [(&token, "secret-ops"), (&token, "nothing"), (&public, "infra")] {
        let hidden = visitor.get_with(token, &format!("/api/v1/repos/acme/{name}")).await;
        assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{name}");
        assert_eq!(hidden.json()["message"], "The target couldn't be found.");
    }
    let other = personal(&visitor, &["read:user"]).await;
    assert_eq!(visitor.get_with(&other, "/api/v1/repos/acme/infra").await.status, StatusCode::FORBIDDEN);
    assert_eq!(visitor.get("/api/v1/version").await.json()["version"], "1.26.2");
    visitor.control("settings", json!({"version": "11.0.1+gitea-1.22.0"})).await;
    assert_eq!(visitor.get("/api/v1/version").await.json()["version"], "11.0.1+gitea-1.22.0");
}

#[tokio::test]
async fn a_reply_does_not_say_which_scopes_were_granted() {
    let mut visitor = gitea();
    let reply = grant(&mut visitor, "openid read:user").await;
    let mut members: Vec<&String> = reply.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "token_type"]);
    assert_eq!((&reply["token_type"], &reply["expires_in"]), (&json!("bearer"), &json!(3_600)));
    let token = text(&reply, "access_token");
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], "RS256");
    assert_eq!(visitor.get_with(token, USER).await.status, StatusCode::OK);
    assert_eq!(visitor.get_with(token, "/api/v1/repos/acme/infra").await.status, StatusCode::FORBIDDEN);
    let auth = basic("gitward-demo", "gitward-demo-secret");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let asked =
        visitor.send("POST", "/login/oauth/introspect", &headers, &format!("token={token}")).await.json();
    assert_eq!((&asked["active"], &asked["scope"]), (&json!(true), &json!("openid read:user")));
    assert_eq!(asked["username"], "octocat");
    let unknown = visitor.send("POST", "/login/oauth/introspect", &headers, "token=unknown").await;
    assert_eq!(unknown.json(), json!({"active": false}));
    let stranger = visitor.form("/login/oauth/introspect", &[("token", token)]).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let info = visitor.get_with(token, "/login/oauth/userinfo").await.json();
    assert_eq!((&info["sub"], &info["preferred_username"]), (&json!("583231"), &json!("octocat")));
}

#[tokio::test]
async fn an_app_that_asks_for_nothing_may_do_everything() {
    for scope in ["", "openid profile"] {
        let mut visitor = gitea();
        let reply = grant(&mut visitor, scope).await;
        let token = text(&reply, "access_token");
        for path in [USER, "/api/v1/repos/acme/infra"] {
            assert_eq!(visitor.get_with(token, path).await.status, StatusCode::OK, "{scope} {path}");
        }
        let push = git(&visitor, Some(&basic("oauth2", token)), "acme/infra", "receive-pack").await;
        assert_eq!(push.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_person_is_asked_once_whatever_the_app_asks_for_later() {
    let mut visitor = gitea();
    let wish = "/login/oauth/authorize?client_id=gitward-demo&response_type=code&state=xyz&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback%2Fgitea&scope=";
    visitor.sign_in("octocat").await;
    let page = visitor.get(wish).await;
    assert!(page.text.contains("it will be able to do everything that you can"));
    let denied = decide(&visitor, "", "cancel").await;
    assert_eq!(denied.sent_back("error").as_deref(), Some("access_denied"));
    assert_eq!(denied.sent_back("state").as_deref(), Some("xyz"));
    grant(&mut visitor, "read:user").await;
    let code = visitor.get(&format!("{wish}write:repository")).await.sent_back("code").unwrap();
    let reply = redeem(&visitor, &code).await.json();
    let token = text(&reply, "access_token");
    assert_eq!(visitor.get_with(token, "/api/v1/repos/acme/infra").await.status, StatusCode::FORBIDDEN);
    let other = decide(&visitor, "write:repository", "authorize").await;
    assert_eq!(other.sent_back("error").as_deref(), Some("server_error"));
    visitor.control("settings", json!({"grant_follows_scope": true})).await;
    let code = visitor.get(&format!("{wish}write:repository")).await.sent_back("code").unwrap();
    let widened = redeem(&visitor, &code).await.json();
    let widened = visitor.get_with(text(&widened, "access_token"), "/api/v1/repos/acme/infra").await;
    assert_eq!(widened.status, StatusCode::OK);
    visitor.form(&format!("{PAGE}/oauth2/gitward-demo/revoke"), &[]).await;
    assert_eq!(visitor.get_with(token, USER).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.get(wish).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_of_the_token_endpoint_has_status_400() {
    let mut visitor = gitea();
    visitor.sign_in("octocat").await;
    let code = decide(&visitor, "", "authorize").await.sent_back("code").unwrap();
    for (sent, error, description) in [
        (
            vec![("grant_type", "authorization_code"), ("code", "never")],
            "unauthorized_client",
            "client is not authorized",
        ),
        (
            vec![("grant_type", "refresh_token"), ("refresh_token", "x")],
            "unauthorized_client",
            "unable to parse refresh token",
        ),
        (
            vec![("grant_type", "magic")],
            "unsupported_grant_type",
            "Only refresh_token or authorization_code grant type is supported",
        ),
        (
            vec![("grant_type", "authorization_code"), ("code", &code), ("client_secret", "no")],
            "unauthorized_client",
            "invalid client secret",
        ),
        (
            vec![
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", "http://localhost:3000/x"),
            ],
            "invalid_grant",
            "redirect_uri differs from the original authorization request",
        ),
    ] {
        let refused = exchange(&visitor, &sent).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json(), json!({"error": error, "error_description": description}));
    }
}

#[tokio::test]
async fn a_refresh_token_works_again_and_again_unless_told_otherwise() {
    let mut visitor = gitea();
    let first = grant(&mut visitor, "read:user").await;
    let secret = text(&first, "refresh_token");
    let sent = [("grant_type", "refresh_token"), ("refresh_token", secret)];
    for _ in 0..2 {
        let next = exchange(&visitor, &sent).await.json();
        assert_eq!(visitor.get_with(text(&next, "access_token"), USER).await.status, StatusCode::OK);
    }
    assert_eq!(visitor.get_with(text(&first, "access_token"), USER).await.status, StatusCode::OK);
    visitor.control("settings", json!({"invalidate_refresh_tokens": true})).await;
    assert_eq!(exchange(&visitor, &sent).await.status, StatusCode::OK);
    let spent = exchange(&visitor, &sent).await;
    assert_eq!(
        (spent.status, &spent.json()["error_description"]),
        (StatusCode::BAD_REQUEST, &json!("token was already used"))
    );
    visitor.control("clock", json!({"advance_seconds": 3_601})).await;
    assert_eq!(visitor.get_with(text(&first, "access_token"), USER).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn git_lets_in_by_scope_and_role() {
    let visitor = gitea();
    let writer = basic("x", &personal(&visitor, &["write:repository"]).await);
    let reader = basic("x", &personal(&visitor, &["read:repository"]).await);
    for (auth, repository, service, status, message) in [
        (&writer, "acme/infra", "receive-pack", 200, ""),
        (&reader, "acme/infra", "upload-pack", 200, ""),
        (
            &reader,
            "acme/infra",
            "receive-pack",
            403,
            "token does not have at least one of required scope(s): [write:repository]\n",
        ),
        (&writer, "acme/readonly", "receive-pack", 403, "User permission denied\n"),
        (&writer, "acme/secret-ops", "upload-pack", 404, "Repository not found\n"),
    ] {
        let answer = git(&visitor, Some(auth), repository, service).await;
        assert_eq!(answer.status, status, "{repository} {service}");
        assert!(status == 200 || answer.text == message, "{}", answer.text);
    }
    for auth in [None, Some(basic("octocat", "bad"))] {
        let answer = git(&visitor, auth.as_deref(), "acme/infra", "upload-pack").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Gitea\""));
    }
}

#[tokio::test]
async fn a_person_chooses_what_a_token_may_do_and_no_link_does_it_for_them() {
    let mut visitor = gitea();
    visitor.sign_in("octocat").await;
    let page = visitor.get(&format!("{PAGE}?name=x&scopes=write:repository")).await;
    assert!(page.text.contains("name=\"name\" value=\"\""));
    assert!(!page.text.contains("<option value=\"write:repository\" selected>"));
    let form = [("name", "mine"), ("scope", ""), ("scope", "write:repository"), ("scope", "read:user")];
    let token = shown_once(&visitor.form(PAGE, &form).await);
    assert_eq!(visitor.get_with(&token, USER).await.json()["login"], "octocat");
    assert_eq!(visitor.get_with(&token, "/api/v1/repos/acme/infra").await.status, StatusCode::OK);
    let listed = visitor.get("/_forge/tokens").await.json();
    assert_eq!(
        (&listed[0]["scopes"], &listed[0]["expires_at"]),
        (&json!(["read:user", "write:repository"]), &json!(null))
    );
}
