//! GitLab: what its tokens say of themselves, its web flow, and how it refuses.

use axum::http::StatusCode;
use forge::Shape;
use serde_json::{Value, json};

use crate::visitor::{Answer, Visitor, basic, shown_once};

const CALLBACK: &str = "http://localhost:3000/callback/gitlab";
const SELF: &str = "/api/v4/personal_access_tokens/self";
const USER: &str = "/api/v4/user";
const INFO: &str = "/oauth/token/info";
const PAGE: &str = "/-/user_settings/personal_access_tokens";
const APP: [(&str, &str); 2] = [("client_id", "gitward-demo"), ("client_secret", "gitward-demo-secret")];

fn gitlab() -> Visitor {
    Visitor::of(Shape::Gitlab)
}

async fn personal(visitor: &Visitor, scopes: &[&str]) -> String {
    visitor.token(json!({"user": "octocat", "scopes": scopes})).await
}

async fn git(visitor: &Visitor, auth: Option<(&str, &str)>, repository: &str, service: &str) -> Answer {
    let auth = auth.map(|(user, token)| basic(user, token));
    let headers: Vec<_> = auth.iter().map(|auth| ("authorization", auth.as_str())).collect();
    visitor.send("GET", &format!("/{repository}.git/info/refs?service=git-{service}"), &headers, "").await
}

/// Octocat agrees to these scopes, and the app exchanges the code.
async fn grant(visitor: &mut Visitor, scope: &str) -> Value {
    visitor.sign_in("octocat").await;
    let code = agree(visitor, scope).await.sent_back("code").unwrap();
    let exchanged = exchange(visitor, &[("code", &code)]).await;
    assert_eq!(exchanged.status, StatusCode::OK, "{}", exchanged.text);
    exchanged.json()
}

async fn agree(visitor: &Visitor, scope: &str) -> Answer {
    let asked = [
        ("client_id", "gitward-demo"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", scope),
        ("decision", "authorize"),
    ];
    visitor.form("/oauth/authorize", &asked).await
}

async fn exchange(visitor: &Visitor, more: &[(&str, &str)]) -> Answer {
    let usual = [("grant_type", "authorization_code"), ("redirect_uri", CALLBACK)];
    visitor.form("/oauth/token", &[&APP[..], &usual, more].concat()).await
}

async fn refresh(visitor: &Visitor, secret: &str, redirect: Option<&str>) -> Answer {
    let mut sent = vec![("grant_type", "refresh_token"), ("refresh_token", secret)];
    sent.extend(redirect.map(|redirect| ("redirect_uri", redirect)));
    visitor.form("/oauth/token", &[&APP[..], &sent].concat()).await
}

fn text<'a>(reply: &'a Value, name: &str) -> &'a str {
    reply[name].as_str().unwrap()
}

#[tokio::test]
async fn a_token_says_what_it_is_in_both_headers() {
    let visitor = gitlab();
    let wanted = json!({"user": "octocat", "note": "gitops", "scopes": ["write_repository", "read_api"],
        "expires_at": "2027-10-12T15:00:00Z"});
    let made = visitor.control("tokens", wanted).await;
    assert_eq!((&made["kind"], &made["expires_at"]), (&json!("personal"), &json!("2027-10-12T00:00:00Z")));
    let token = text(&made, "token");
    let answer = visitor.get_with(token, SELF).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("ratelimit-limit"), Some("2000"));
    assert_eq!(answer.header("ratelimit-remaining"), Some("1999"));
    assert!(answer.header("x-gitlab-meta").unwrap().contains("correlation_id"));
    let said = answer.json();
    assert_eq!(said["scopes"], json!(["read_api", "write_repository"]));
    assert_eq!(said["expires_at"], "2027-10-12");
    assert_eq!((&said["user_id"], &said["active"]), (&json!(583_231), &json!(true)));
    assert_eq!((&said["name"], &said["last_used_at"]), (&json!("gitops"), &json!(null)));
    let again = visitor.send("GET", SELF, &[("private-token", token)], "").await.json();
    assert!(again["last_used_at"].as_str().unwrap().ends_with('Z'));
    let listed = visitor.get("/_forge/requests").await;
    assert!(!listed.text.contains(token));
    assert_eq!(listed.json()[1]["headers"]["private-token"], "***");
    assert_eq!(listed.json()[1]["auth_scheme"], "PRIVATE-TOKEN");
    assert_eq!(listed.json()[1]["token_id"], made["id"]);
}

#[tokio::test]
async fn each_kind_has_its_shape() {
    let visitor = gitlab();
    for (kind, length) in [("personal", 63), ("plain", 26), ("project", 63), ("oauth", 64), ("deploy", 25)] {
        let token = visitor.token(json!({"user": "octocat", "kind": kind})).await;
        assert_eq!(token.len(), length, "{kind}");
    }
}

#[tokio::test]
async fn whose_a_token_is_needs_a_scope_for_it() {
    let visitor = gitlab();
    for scopes in [&["api"][..], &["read_api"], &["read_user"]] {
        let token = personal(&visitor, scopes).await;
        let user = visitor.get_with(&token, USER).await.json();
        assert_eq!((&user["username"], &user["id"]), (&json!("octocat"), &json!(583_231)));
        assert_eq!((&user["email"], &user["bot"]), (&json!("octocat@forge.example"), &json!(false)));
    }
    let token = personal(&visitor, &["write_repository"]).await;
    let refused = visitor.get_with(&token, USER).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let said = json!({
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api read_user",
    });
    assert_eq!(refused.json(), said);
    assert_eq!(visitor.get_with(&token, SELF).await.json()["user_id"], 583_231);
}

#[tokio::test]
async fn a_token_that_does_not_work_is_told_why() {
    let visitor = gitlab();
    let old = visitor.token(json!({"user": "octocat", "expires_at": "2020-01-01T00:00:00Z"})).await;
    let gone = personal(&visitor, &["api"]).await;
    visitor.control("tokens/change", json!({"token": gone, "revoked": true})).await;
    for path in [SELF, USER] {
        let unknown = visitor.get_with("unknown", path).await;
        assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
        assert_eq!(unknown.text, "{\"message\":\"401 Unauthorized\"}");
        assert_eq!(visitor.get(path).await.json()["message"], "401 Unauthorized");
        for (token, description) in [
            (&old, "Token is expired. You can either do re-authorization or token refresh."),
            (&gone, "Token was revoked. You have to re-authorize from the user."),
        ] {
            let answer = visitor.get_with(token, path).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            let said = json!({"error": "invalid_token", "error_description": description});
            assert_eq!(answer.json(), said);
        }
    }
}

#[tokio::test]
async fn a_token_dies_when_its_day_begins() {
    let mut visitor = gitlab();
    visitor.sign_in("octocat").await;
    let now = visitor.get("/_forge/clock").await.json()["now"].as_str().unwrap().to_owned();
    let today = now.split('T').next().unwrap();
    let form = [("name", "n"), ("scope", "api"), ("expires_at", today)];
    let dead = shown_once(&visitor.form(PAGE, &form).await);
    assert_eq!(visitor.get_with(&dead, SELF).await.status, StatusCode::UNAUTHORIZED);
    let form = [("name", "n"), ("scope", "api"), ("expires_at", "2999-01-01")];
    let alive = shown_once(&visitor.form(PAGE, &form).await);
    assert_eq!(visitor.get_with(&alive, SELF).await.json()["expires_at"], "2999-01-01");
}

#[tokio::test]
async fn each_door_knows_which_tokens_it_is_for() {
    let mut visitor = gitlab();
    let made = personal(&visitor, &["api"]).await;
    let granted = grant(&mut visitor, "read_api write_repository").await;
    let oauth = text(&granted, "access_token");
    let wrong = visitor.get_with(oauth, SELF).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let message = "400 Bad request - This endpoint requires token type to be a personal access token";
    assert_eq!(wrong.json(), json!({"message": message}));
    let info = visitor.get_with(oauth, INFO).await.json();
    assert_eq!(info["scope"], json!(["read_api", "write_repository"]));
    assert_eq!(
        (&info["resource_owner_id"], &info["application"]["uid"]),
        (&json!(583_231), &json!("gitward-demo"))
    );
    assert!((7_190..=7_200).contains(&info["expires_in_seconds"].as_i64().unwrap()));
    let header = visitor.send("GET", USER, &[("private-token", oauth)], "").await;
    assert_eq!(header.status, StatusCode::UNAUTHORIZED);
    for token in [made.as_str(), "unknown"] {
        let refused = visitor.get_with(token, INFO).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.json()["error"], "invalid_token");
    }
    assert_eq!(visitor.get_with(oauth, USER).await.json()["username"], "octocat");
    let rotated = visitor.json("POST", &format!("{SELF}/rotate"), None, json!({})).await;
    assert_eq!(rotated.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_bot_stands_for_a_projects_and_a_groups_token() {
    let visitor = gitlab();
    let wanted = json!({"user": "octocat", "kind": "project", "note": "deploy", "scopes": ["api"], "repositories": ["acme/infra"]});
    let token = visitor.token(wanted).await;
    let user = visitor.get_with(&token, USER).await.json();
    assert!(text(&user, "username").starts_with("project_1001_bot_"));
    assert_eq!((&user["bot"], &user["name"]), (&json!(true), &json!("deploy")));
    assert_eq!(visitor.get_with(&token, "/api/v4/projects/acme%2Finfra").await.status, StatusCode::OK);
    let other = visitor.get_with(&token, "/api/v4/projects/acme%2Freadonly").await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    assert_eq!(
        git(&visitor, Some(("any", &token)), "acme/infra", "receive-pack").await.status,
        StatusCode::OK
    );
    let token = visitor.token(json!({"user": "octocat", "kind": "group", "scopes": ["read_api"]})).await;
    assert!(text(&visitor.get_with(&token, USER).await.json(), "username").starts_with("group_9001_bot_"));
    assert_eq!(visitor.get_with(&token, "/api/v4/projects/1004").await.status, StatusCode::OK);
    assert!(!visitor.get("/login").await.text.contains("_bot_"));
}

#[tokio::test]
async fn a_fine_grained_token_opens_what_it_was_permitted() {
    let visitor = gitlab();
    let wanted = json!({"user": "octocat", "kind": "fine_grained", "permissions": {"code": "write"}});
    let blind = visitor.token(wanted).await;
    for path in [SELF, USER, "/api/v4/projects/1001"] {
        let refused = visitor.get_with(&blind, path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(refused.json()["error"], "insufficient_granular_scope");
    }
    assert_eq!(git(&visitor, Some(("x", &blind)), "acme/infra", "receive-pack").await.status, StatusCode::OK);
    let wanted = json!({"user": "octocat", "kind": "fine_grained",
        "permissions": {"personal_access_token": "read", "user": "read", "code": "read"}});
    let seeing = visitor.token(wanted).await;
    assert_eq!(visitor.get_with(&seeing, SELF).await.json()["scopes"], json!(["granular"]));
    assert_eq!(visitor.get_with(&seeing, USER).await.json()["username"], "octocat");
    let push = git(&visitor, Some(("x", &seeing)), "acme/infra", "receive-pack").await;
    assert_eq!(push.status, StatusCode::FORBIDDEN);
    visitor.control("settings", json!({"fine_grained_only": true})).await;
    let classic = personal(&visitor, &["api"]).await;
    let refused = visitor.get_with(&classic, "/api/v4/projects/1001").await;
    assert_eq!(refused.json()["error"], "insufficient_granular_scope");
    assert_eq!(visitor.get_with(&classic, SELF).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_ends_itself() {
    let visitor = gitlab();
    let token = personal(&visitor, &["read_repository"]).await;
    let auth = format!("Bearer {token}");
    let ended = visitor.send("DELETE", SELF, &[("authorization", &auth)], "").await;
    assert_eq!((ended.status, ended.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let answer = visitor.get_with(&token, SELF).await;
    assert_eq!(
        answer.json()["error_description"],
        "Token was revoked. You have to re-authorize from the user."
    );
}

#[tokio::test]
async fn a_token_rotates_itself_and_a_second_time_ends_the_family() {
    let visitor = gitlab();
    let rotate = async |token: &str, body: Value| {
        visitor.json("POST", &format!("{SELF}/rotate"), Some(&format!("Bearer {token}")), body).await
    };
    let narrow = personal(&visitor, &["read_api"]).await;
    assert_eq!(rotate(&narrow, json!({})).await.json()["error"], "insufficient_scope");
    let first = personal(&visitor, &["self_rotate"]).await;
    assert_eq!(rotate(&first, json!({"expires_at": "2020-01-01"})).await.status, StatusCode::BAD_REQUEST);
    let rotated = rotate(&first, json!({"expires_at": "2999-01-01"})).await.json();
    let second = text(&rotated, "token").to_owned();
    assert_eq!((&rotated["expires_at"], &rotated["scopes"]), (&json!("2999-01-01"), &json!(["self_rotate"])));
    assert_eq!(visitor.get_with(&first, SELF).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.get_with(&second, SELF).await.status, StatusCode::OK);
    assert_eq!(rotate(&first, json!({})).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.get_with(&second, SELF).await.status, StatusCode::UNAUTHORIZED);
    let oauth = visitor.token(json!({"user": "octocat", "kind": "oauth", "scopes": ["api"]})).await;
    assert_eq!(rotate(&oauth, json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_person_agrees_and_the_app_gets_a_pair() {
    let mut visitor = gitlab();
    visitor.sign_in("octocat").await;
    let wish = "/oauth/authorize?client_id=gitward-demo&response_type=code&state=xyz&scope=read_api+read_user&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback%2Fgitlab";
    let page = visitor.get(wish).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("<li>read_api</li>") && !page.text.contains("checkbox"));
    let reply = grant(&mut visitor, "read_api read_user").await;
    assert_eq!(text(&reply, "access_token").len(), 64);
    assert_eq!(text(&reply, "refresh_token").len(), 64);
    assert_eq!((&reply["token_type"], &reply["expires_in"]), (&json!("bearer"), &json!(7_200)));
    assert_eq!(reply["scope"], "read_api read_user");
    assert!(reply["created_at"].is_u64());
    let again = visitor.get(wish).await;
    assert_eq!(again.sent_back("state").as_deref(), Some("xyz"));
    assert!(again.sent_back("code").is_some());
    let more = visitor.get(&wish.replace("read_user", "api")).await;
    assert_eq!(more.status, StatusCode::OK);
    let cancelled = [
        ("client_id", "gitward-demo"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("decision", "cancel"),
    ];
    let back = visitor.form("/oauth/authorize", &cancelled).await;
    assert_eq!(back.sent_back("error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn a_wrong_wish_ends_on_a_page() {
    let mut visitor = gitlab();
    visitor.sign_in("octocat").await;
    let unregistered = agree(&visitor, "sudo").await;
    assert_eq!((unregistered.status, unregistered.header("location")), (StatusCode::BAD_REQUEST, None));
    let no_type = visitor
        .get("/oauth/authorize?client_id=gitward-demo&redirect_uri=http%3A%2F%2Flocalhost%3A1%2Fx")
        .await;
    assert_eq!(no_type.status, StatusCode::BAD_REQUEST);
    let nothing_asked = agree(&visitor, "").await.sent_back("code").unwrap();
    assert_eq!(exchange(&visitor, &[("code", &nothing_asked)]).await.json()["scope"], "api");
    let strict = Visitor::with_redirects(Shape::Gitlab, &["https://gitward.example/callback"]);
    let below = "/oauth/authorize?client_id=gitward-demo&response_type=code&redirect_uri=https%3A%2F%2Fgitward.example%2Fcallback%2Fx";
    assert_eq!(strict.get(below).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_refusal_of_the_token_endpoint_has_its_status() {
    let mut visitor = gitlab();
    visitor.sign_in("octocat").await;
    let wrong =
        [("client_id", "gitward-demo"), ("client_secret", "no"), ("grant_type", "authorization_code")];
    let refused = visitor.form("/oauth/token", &wrong).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_client"))
    );
    let refused = exchange(&visitor, &[("code", "never")]).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (StatusCode::BAD_REQUEST, &json!("invalid_grant"))
    );
    assert!(
        refused.json()["error_description"].as_str().unwrap().starts_with("The provided authorization grant")
    );
    let code = agree(&visitor, "api").await.sent_back("code").unwrap();
    let without = [("grant_type", "authorization_code"), ("code", &code)];
    let refused = visitor.form("/oauth/token", &[&APP[..], &without].concat()).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    let refused = visitor.form("/oauth/token", &[&APP[..], &[("grant_type", "magic")]].concat()).await;
    assert_eq!(refused.json()["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn a_refresh_ends_the_old_pair_and_repeats_the_redirect() {
    let mut visitor = gitlab();
    let first = grant(&mut visitor, "api").await;
    let (access, secret) = (text(&first, "access_token"), text(&first, "refresh_token"));
    for redirect in [None, Some("http://localhost:3000/other")] {
        let refused = refresh(&visitor, secret, redirect).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant"))
        );
    }
    assert_eq!(visitor.get_with(access, USER).await.status, StatusCode::OK);
    visitor.control("clock", json!({"advance_seconds": 7_201})).await;
    let expired = visitor.get_with(access, USER).await.json();
    assert_eq!(
        expired["error_description"],
        "Token is expired. You can either do re-authorization or token refresh."
    );
    let second = refresh(&visitor, secret, Some(CALLBACK)).await.json();
    assert_eq!(visitor.get_with(text(&second, "access_token"), USER).await.status, StatusCode::OK);
    assert_eq!(refresh(&visitor, secret, Some(CALLBACK)).await.json()["error"], "invalid_grant");
    refresh(&visitor, text(&second, "refresh_token"), Some(CALLBACK)).await;
    let dead = visitor.get_with(text(&second, "access_token"), USER).await;
    assert_eq!(
        dead.json()["error_description"],
        "Token was revoked. You have to re-authorize from the user."
    );
}

#[tokio::test]
async fn an_app_ends_its_tokens_known_or_not() {
    let mut visitor = gitlab();
    let reply = grant(&mut visitor, "api").await;
    let token = text(&reply, "access_token");
    let stranger = [("client_id", "gitward-demo"), ("client_secret", "no"), ("token", token)];
    let refused = visitor.form("/oauth/revoke", &stranger).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (StatusCode::FORBIDDEN, &json!("unauthorized_client"))
    );
    for token in ["unknown", token, token] {
        let ended = visitor.form("/oauth/revoke", &[&APP[..], &[("token", token)]].concat()).await;
        assert_eq!((ended.status, ended.text.as_str()), (StatusCode::OK, "{}"));
    }
    assert_eq!(visitor.get_with(token, USER).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        refresh(&visitor, text(&reply, "refresh_token"), Some(CALLBACK)).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn git_lets_in_by_scope_and_role() {
    let visitor = gitlab();
    let writer = personal(&visitor, &["write_repository"]).await;
    let reader = personal(&visitor, &["read_api"]).await;
    let nothing = personal(&visitor, &["read_user"]).await;
    for (token, repository, service, status, message) in [
        (&writer, "acme/infra", "receive-pack", 200, ""),
        (&writer, "acme/infra", "upload-pack", 200, ""),
        (&reader, "acme/infra", "upload-pack", 200, ""),
        (&reader, "acme/infra", "receive-pack", 403, "You are not allowed to push code to this project.\n"),
        (
            &writer,
            "acme/readonly",
            "receive-pack",
            403,
            "You are not allowed to push code to this project.\n",
        ),
        (
            &nothing,
            "acme/infra",
            "upload-pack",
            403,
            "You are not allowed to download code from this project.\n",
        ),
        (
            &writer,
            "acme/secret-ops",
            "upload-pack",
            404,
            "The project you were looking for could not be found or you don't have permission to view it.\n",
        ),
    ] {
        let answer = git(&visitor, Some(("whoever", token)), repository, service).await;
        assert_eq!(answer.status, status, "{repository} {service}");
        assert!(status == 200 || answer.text == message, "{}", answer.text);
    }
    let oauth = visitor.token(json!({"user": "octocat", "kind": "oauth", "scopes": ["api"]})).await;
    assert_eq!(
        git(&visitor, Some(("oauth2", &oauth)), "acme/infra", "receive-pack").await.status,
        StatusCode::OK
    );
    for auth in [None, Some(("octocat", oauth.as_str())), Some(("octocat", "bad"))] {
        let answer = git(&visitor, auth, "acme/infra", "upload-pack").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"GitLab\""));
        assert!(answer.text.starts_with("HTTP Basic: Access denied."));
    }
    let deploy =
        visitor.token(json!({"user": "octocat", "kind": "deploy", "scopes": ["read_repository"]})).await;
    assert_eq!(git(&visitor, Some(("x", &deploy)), "acme/infra", "upload-pack").await.status, StatusCode::OK);
    assert_eq!(visitor.get_with(&deploy, SELF).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_address_that_fails_too_often_is_banned_for_an_hour() {
    let visitor = gitlab();
    let good = personal(&visitor, &["api"]).await;
    let fail = async || git(&visitor, Some(("x", "bad")), "acme/infra", "upload-pack").await.status;
    let succeed = async || git(&visitor, Some(("x", &good)), "acme/infra", "upload-pack").await.status;
    for _ in 0..29 {
        assert_eq!(fail().await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(succeed().await, StatusCode::OK);
    for _ in 0..30 {
        assert_eq!(fail().await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(succeed().await, StatusCode::FORBIDDEN);
    assert_eq!(visitor.get_with(&good, USER).await.status, StatusCode::OK);
    visitor.control("clock", json!({"advance_seconds": 3_601})).await;
    assert_eq!(succeed().await, StatusCode::OK);
    visitor.control("settings", json!({"ban_after": 2, "ban_on": "any"})).await;
    for status in [StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        assert_eq!(visitor.get_with("bad", USER).await.status, status);
    }
    visitor.control("reset", json!(null)).await;
    visitor.control("settings", json!({"ban_after": 0})).await;
    for _ in 0..40 {
        assert_eq!(fail().await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_limit_is_told_in_plain_text() {
    let visitor = gitlab();
    visitor.control("settings", json!({"rate_limit": 1})).await;
    let token = personal(&visitor, &["api"]).await;
    assert_eq!(visitor.get_with(&token, USER).await.status, StatusCode::OK);
    let refused = visitor.get_with(&token, USER).await;
    assert_eq!((refused.status, refused.text.as_str()), (StatusCode::TOO_MANY_REQUESTS, "Retry later\n"));
    assert_eq!(refused.header("content-type"), Some("text/plain"));
    assert!(refused.header("retry-after").is_some());
    visitor.control("clock", json!({"advance_seconds": 61})).await;
    assert_eq!(visitor.get_with(&token, USER).await.status, StatusCode::OK);
    visitor.control("faults", json!({"on": "user", "fault": "rate_limit", "retry_after_seconds": 9})).await;
    for path in [USER, SELF, INFO] {
        let refused = visitor.get_with(&token, path).await;
        assert_eq!(refused.header("retry-after"), Some("9"), "{path}");
    }
}

#[tokio::test]
async fn a_project_shows_the_level_of_the_person() {
    let visitor = gitlab();
    let token = personal(&visitor, &["read_api"]).await;
    for path in ["/api/v4/projects/1001", "/api/v4/projects/acme%2Finfra"] {
        let project = visitor.get_with(&token, path).await.json();
        assert_eq!(project["path_with_namespace"], "acme/infra");
        assert_eq!(project["permissions"]["project_access"]["access_level"], 40);
    }
    assert_eq!(visitor.get_with(&token, "/api/v4/projects/1001/hooks").await.json(), json!([]));
    let denied = visitor.get_with(&token, "/api/v4/projects/1004/hooks").await;
    assert_eq!(denied.json()["message"], "403 Forbidden");
    let hidden = visitor.get_with(&token, "/api/v4/projects/acme%2Fsecret-ops").await;
    assert_eq!(
        (hidden.status, &hidden.json()["message"]),
        (StatusCode::NOT_FOUND, &json!("404 Project Not Found"))
    );
    assert_eq!(visitor.get("/api/v4/projects/acme%2Fpublic").await.status, StatusCode::OK);
    assert_eq!(visitor.get("/api/v4/projects/1001").await.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.get_with(&token, "/api/v4/nothing").await.json()["error"], "404 Not Found");
}

#[tokio::test]
async fn a_link_fills_in_the_form_of_a_token() {
    let mut visitor = gitlab();
    let path = format!("{PAGE}?name=gitward&description=a%22b&scopes=read_api,write_repository");
    assert_eq!(visitor.get(&path).await.sent_back("return_to").as_deref(), Some(path.as_str()));
    visitor.sign_in("octocat").await;
    let page = visitor.get(&path).await;
    assert!(page.text.contains("name=\"name\" value=\"gitward\""));
    assert!(page.text.contains("value=\"a&quot;b\""));
    for scope in ["read_api", "write_repository"] {
        assert!(page.text.contains(&format!("name=\"scope\" value=\"{scope}\" checked")));
    }
    assert!(!page.text.contains("value=\"api\" checked"));
    let form = [("name", "mine"), ("description", "d"), ("scope", "api"), ("expires_at", "2999-01-01")];
    let token = shown_once(&visitor.form(PAGE, &form).await);
    assert_eq!(visitor.get_with(&token, SELF).await.json()["description"], "d");
    let id = visitor.get("/_forge/tokens").await.json()[0]["id"].clone();
    visitor.form(&format!("{PAGE}/{id}/expire"), &[]).await;
    let answer = visitor.get_with(&token, SELF).await.json();
    assert_eq!(
        answer["error_description"],
        "Token is expired. You can either do re-authorization or token refresh."
    );
}

#[tokio::test]
async fn a_host_can_live_below_a_relative_root() {
    let mut visitor = Visitor::at(Shape::Gitlab, "http://localhost:4001/gitlab/", &[]);
    let token = personal(&visitor, &["api"]).await;
    let user = visitor.get_with(&token, "/gitlab/api/v4/user").await.json();
    assert_eq!(user["web_url"], "http://localhost:4001/gitlab/octocat");
    assert_eq!(visitor.get_with(&token, USER).await.status, StatusCode::NOT_FOUND);
    let missing = visitor.get_with(&token, "/gitlab/api/v4/nothing").await;
    assert_eq!(missing.json()["error"], "404 Not Found");
    let pushed = visitor
        .send(
            "GET",
            "/gitlab/acme/infra.git/info/refs?service=git-receive-pack",
            &[("authorization", &basic("x", &token))],
            "",
        )
        .await;
    assert_eq!(pushed.status, StatusCode::OK);
    let path = format!("/gitlab{PAGE}?name=n");
    let asked = visitor.get(&path).await;
    assert_eq!(asked.location().path(), "/gitlab/login");
    assert_eq!(asked.sent_back("return_to").as_deref(), Some(path.as_str()));
    visitor.sign_in("octocat").await;
    assert!(
        visitor.get(&path).await.text.contains("action=\"/gitlab/-/user_settings/personal_access_tokens\"")
    );
    for home in ["/gitlab", "/gitlab/"] {
        assert_eq!(visitor.get(home).await.status, StatusCode::OK, "{home}");
    }
    visitor.control("faults", json!({"on": "user", "fault": "status"})).await;
    assert_eq!(visitor.get_with(&token, "/gitlab/api/v4/user").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
