//! The host as Bitbucket Cloud.

use axum::http::StatusCode;
use forge::Shape;
use serde_json::{Value, json};

use crate::visitor::{Answer, Visitor, basic, shown_once};

const EMAIL: &str = "octocat@forge.example";
const CALLBACK: &str = "http://localhost:3000/callback/bitbucket";
const ALL: [&str; 3] = ["read:user:bitbucket", "read:repository:bitbucket", "write:repository:bitbucket"];

fn bitbucket() -> Visitor {
    Visitor::of(Shape::Bitbucket)
}

async fn api_token(visitor: &Visitor, scopes: &[&str]) -> String {
    visitor.token(json!({ "user": "octocat", "scopes": scopes })).await
}

async fn ask(visitor: &Visitor, auth: &str, path: &str) -> Answer {
    visitor.send("GET", path, &[("authorization", auth)], "").await
}

async fn push(visitor: &Visitor, name: &str, token: &str, repository: &str) -> Answer {
    let path = format!("/{repository}.git/info/refs?service=git-receive-pack");
    ask(visitor, &basic(name, token), &path).await
}

#[tokio::test]
async fn an_api_token_goes_with_the_email_address_and_nothing_else() {
    let visitor = bitbucket();
    let token = api_token(&visitor, &ALL).await;
    let user = ask(&visitor, &basic(EMAIL, &token), "/2.0/user").await;
    assert_eq!(user.status, StatusCode::OK);
    assert_eq!(user.json()["username"], "octocat");
    assert_eq!(user.json()["uuid"], "{b9dc7a4c-0000-4000-8000-00000008e63f}");
    assert_eq!(user.header("x-credential-type"), Some("api_token"));
    let scopes = "read:repository:bitbucket, read:user:bitbucket, write:repository:bitbucket";
    assert_eq!(user.header("x-oauth-scopes"), Some(scopes));
    assert_eq!(user.header("x-accepted-oauth-scopes"), Some("read:user:bitbucket"));
    let others = [
        basic("octocat", &token),
        basic("hubot@forge.example", &token),
        basic("x-bitbucket-api-token-auth", &token),
        format!("Bearer {token}"),
        basic(EMAIL, "bad"),
        "Basic !".to_owned(),
    ];
    for other in others {
        let refused = ask(&visitor, &other, "/2.0/user").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"Bitbucket.org HTTP\""));
        assert_eq!(refused.header("x-oauth-scopes"), None);
        assert_eq!(refused.json()["type"], "error");
    }
    visitor.control("settings", json!({ "bearer_api_tokens": true })).await;
    assert_eq!(visitor.get_with(&token, "/2.0/user").await.status, StatusCode::OK);
}

#[tokio::test]
async fn tokens_without_scopes_and_app_passwords_open_nothing() {
    let visitor = bitbucket();
    let without = api_token(&visitor, &[]).await;
    let dead =
        visitor.token(json!({ "user": "octocat", "kind": "app_password", "scopes": ["account"] })).await;
    for token in [&without, &dead] {
        for name in [EMAIL, "octocat"] {
            let refused = ask(&visitor, &basic(name, token), "/2.0/user").await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        }
        let git = push(&visitor, "octocat", token, "acme/infra").await;
        assert_eq!(git.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_lack_of_scopes_names_those_that_are_there_and_those_that_are_not() {
    let visitor = bitbucket();
    let token = api_token(&visitor, &["write:repository:bitbucket"]).await;
    let user = ask(&visitor, &basic(EMAIL, &token), "/2.0/user").await;
    assert_eq!(user.status, StatusCode::FORBIDDEN);
    let error = user.json()["error"].clone();
    assert_eq!(error["message"], "Your credentials lack one or more required privilege scopes.");
    assert_eq!(error["detail"]["granted"], json!(["write:repository:bitbucket"]));
    assert_eq!(error["detail"]["required"], json!(["read:user:bitbucket"]));
    // Writing does not include reading.
    let repository = ask(&visitor, &basic(EMAIL, &token), "/2.0/repositories/acme/infra").await;
    assert_eq!(repository.json()["error"]["detail"]["required"], json!(["read:repository:bitbucket"]));
    let git = push(&visitor, "x-bitbucket-api-token-auth", &token, "acme/infra").await;
    assert_eq!(git.status, StatusCode::FORBIDDEN);
    assert!(git.text.starts_with("Your credentials lack"));
}

#[tokio::test]
async fn an_access_token_is_good_but_no_user() {
    let visitor = bitbucket();
    let make = async |kind: &str, more: Value| {
        let mut wanted = json!({ "user": "octocat", "kind": kind, "scopes": ["repository:write"] });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        visitor.token(wanted).await
    };
    let one = make("repo_access_token", json!({ "repositories": ["acme/readonly"] })).await;
    let all = make("workspace_access_token", json!({})).await;
    let some =
        make("project_access_token", json!({ "repositories": ["acme/infra", "acme/secret-ops"] })).await;
    for (token, kind) in
        [(&one, "repo_access_token"), (&all, "workspace_access_token"), (&some, "project_access_token")]
    {
        let user = visitor.get_with(token, "/2.0/user").await;
        assert_eq!(user.status, StatusCode::FORBIDDEN);
        assert_eq!(
            user.json()["error"]["message"],
            "This API is not accessible by this authentication mechanism"
        );
        assert_eq!(user.header("x-credential-type"), Some(kind));
        assert_eq!(user.header("x-oauth-scopes"), Some("repository:write"));
        assert_eq!(ask(&visitor, &basic(EMAIL, token), "/2.0/user").await.status, StatusCode::UNAUTHORIZED);
    }
    // What it may do is its own, whoever made it.
    for (token, repository, status) in [
        (&one, "acme/readonly", StatusCode::OK),
        (&one, "acme/infra", StatusCode::NOT_FOUND),
        (&all, "acme/secret-ops", StatusCode::OK),
        (&some, "acme/secret-ops", StatusCode::OK),
        (&some, "acme/readonly", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(push(&visitor, "x-token-auth", token, repository).await.status, status, "{repository}");
        let seen = visitor.get_with(token, &format!("/2.0/repositories/{repository}")).await;
        assert_eq!(seen.status, status, "{repository}");
    }
}

#[tokio::test]
async fn git_takes_each_kind_by_its_own_name() {
    let visitor = bitbucket();
    let api = api_token(&visitor, &ALL).await;
    let access = json!({ "user": "octocat", "kind": "repo_access_token", "scopes": ["repository:write"] });
    let access = visitor.token(access).await;
    let app = json!({ "user": "octocat", "kind": "oauth", "scopes": ["account", "repository:write"] });
    let app = visitor.token(app).await;
    for (name, token, status) in [
        ("x-bitbucket-api-token-auth", &api, StatusCode::OK),
        ("octocat", &api, StatusCode::OK),
        (EMAIL, &api, StatusCode::UNAUTHORIZED),
        ("x-token-auth", &api, StatusCode::UNAUTHORIZED),
        ("x-token-auth", &access, StatusCode::OK),
        ("x-bitbucket-api-token-auth", &access, StatusCode::UNAUTHORIZED),
        ("x-token-auth", &app, StatusCode::OK),
        (EMAIL, &app, StatusCode::UNAUTHORIZED),
    ] {
        let answer = push(&visitor, name, token, "acme/infra").await;
        assert_eq!(answer.status, status, "{name}");
    }
    let readonly = push(&visitor, "octocat", &api, "acme/readonly").await;
    assert_eq!((readonly.status, readonly.text.as_str()), (StatusCode::FORBIDDEN, "Forbidden\n"));
    let hidden = push(&visitor, "octocat", &api, "acme/secret-ops").await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    let nobody = visitor.get("/acme/infra.git/info/refs?service=git-receive-pack").await;
    assert_eq!(nobody.header("www-authenticate"), Some("Basic realm=\"Bitbucket.org HTTP\""));
}

#[tokio::test]
async fn doors_across_workspaces_are_gone_for_everybody() {
    let visitor = bitbucket();
    let token = api_token(&visitor, &ALL).await;
    for path in
        ["/workspaces", "/repositories", "/user/permissions/repositories", "/user/permissions/workspaces"]
    {
        let gone = ask(&visitor, &basic(EMAIL, &token), &format!("/2.0{path}")).await;
        assert_eq!(gone.status, StatusCode::GONE, "{path}");
        assert!(gone.json()["error"]["message"].as_str().unwrap().starts_with("CHANGE-2770"));
    }
    let missing = visitor.get("/2.0/nowhere").await;
    assert_eq!((missing.status, &missing.json()["type"]), (StatusCode::NOT_FOUND, &json!("error")));
    let wide = api_token(&visitor, &["read:workspace:bitbucket", "read:repository:bitbucket"]).await;
    let mine = ask(&visitor, &basic(EMAIL, &wide), "/2.0/user/workspaces").await;
    assert_eq!(mine.json()["values"][0]["workspace"]["slug"], "acme");
    let seen = ask(&visitor, &basic(EMAIL, &wide), "/2.0/repositories/acme").await;
    assert_eq!(seen.json()["size"], 3);
}

#[tokio::test]
async fn beyond_the_limit_there_is_a_sentence_and_hardly_a_header() {
    let visitor = bitbucket();
    let token = api_token(&visitor, &ALL).await;
    visitor.control("settings", json!({ "rate_limits": true, "rate_limit": 1 })).await;
    assert_eq!(ask(&visitor, &basic(EMAIL, &token), "/2.0/user").await.status, StatusCode::OK);
    let limited = ask(&visitor, &basic(EMAIL, &token), "/2.0/user").await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.json()["error"]["message"], "Rate limit for this resource has been exceeded");
    assert_eq!((limited.header("retry-after"), limited.header("x-ratelimit-reset")), (None, None));
}

async fn code(visitor: &Visitor) -> String {
    let path = format!(
        "/site/oauth2/authorize?client_id=gitward-demo&response_type=code&state=xyz&redirect_uri={CALLBACK}&scope=everything"
    );
    let page = visitor.get(&path).await;
    if page.status == StatusCode::SEE_OTHER {
        return page.sent_back("code").unwrap();
    }
    assert!(page.text.contains("<li>repository:write</li>") && !page.text.contains("everything</li>"));
    let form = [
        ("client_id", "gitward-demo"),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("state", "xyz"),
        ("decision", "authorize"),
    ];
    let back = visitor.form("/site/oauth2/authorize", &form).await;
    assert_eq!(back.sent_back("state").as_deref(), Some("xyz"));
    back.sent_back("code").unwrap()
}

async fn buy(visitor: &Visitor, pairs: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let auth = basic("gitward-demo", "gitward-demo-secret");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", auth.as_str())];
    visitor.send("POST", "/site/oauth2/access_token", &headers, &body).await
}

#[tokio::test]
async fn a_consumer_gets_what_it_was_registered_with_and_refreshes_once() {
    let mut visitor = bitbucket();
    visitor.sign_in("octocat").await;
    let code_ = code(&visitor).await;
    let reply = buy(&visitor, &[("grant_type", "authorization_code"), ("code", &code_)]).await.json();
    assert_eq!((&reply["scope"], &reply["expires_in"]), (&json!("account repository:write"), &json!(7200)));
    assert_eq!(reply.get("scopes"), None);
    let access = reply["access_token"].as_str().unwrap().to_owned();
    assert!(access.len() > 1_000);
    let user = visitor.get_with(&access, "/2.0/user").await;
    assert_eq!((user.status, user.header("x-credential-type")), (StatusCode::OK, None));
    assert_eq!(user.header("x-oauth-scopes"), Some("account, repository:write"));

    visitor.control("settings", json!({ "scope_key": "scopes", "oauth_credential_type": "oauth" })).await;
    let refresh = reply["refresh_token"].as_str().unwrap();
    let spend = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let next = buy(&visitor, &spend).await.json();
    assert_eq!((&next["scopes"], next.get("scope")), (&json!("account repository:write"), None));
    // The old access token lives to its end, the old refresh token does not.
    assert_eq!(visitor.get_with(&access, "/2.0/user").await.header("x-credential-type"), Some("oauth"));
    let spent = buy(&visitor, &spend).await;
    assert_eq!((spent.status, &spent.json()["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    visitor.control("clock", json!({ "advance_seconds": 7_201 })).await;
    assert_eq!(visitor.get_with(&access, "/2.0/user").await.status, StatusCode::UNAUTHORIZED);

    // Registered anew with less, it gets less, without a question.
    visitor.control("settings", json!({ "consumer_scopes": "account" })).await;
    let code_ = code(&visitor).await;
    let less = buy(&visitor, &[("grant_type", "authorization_code"), ("code", &code_)]).await.json();
    assert_eq!(less["scopes"], "account");
}

#[tokio::test]
async fn the_token_endpoint_wants_a_form_and_a_name_in_the_header() {
    let mut visitor = bitbucket();
    visitor.sign_in("octocat").await;
    let code_ = code(&visitor).await;
    let body = [("client_id", "gitward-demo"), ("client_secret", "gitward-demo-secret"), ("code", &code_)];
    let in_body = visitor.form("/site/oauth2/access_token", &body).await;
    assert_eq!(
        (in_body.status, &in_body.json()["error"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_client"))
    );
    let auth = basic("gitward-demo", "gitward-demo-secret");
    let json = json!({ "grant_type": "authorization_code", "code": code_ });
    let as_json = visitor.json("POST", "/site/oauth2/access_token", Some(&auth), json).await;
    assert_eq!(as_json.json()["error_description"], "Unsupported grant type: None");
    let never = buy(&visitor, &[("grant_type", "authorization_code"), ("code", "never")]).await;
    assert_eq!(never.json()["error_description"], "The specified code is not valid.");
    // None of that has used the code up.
    assert_eq!(
        buy(&visitor, &[("grant_type", "authorization_code"), ("code", &code_)]).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn people_make_api_tokens_with_scopes_and_access_tokens_where_they_administer() {
    let mut visitor = bitbucket();
    visitor.sign_in("octocat").await;
    let link = "/manage-profile/security/api-tokens?autofillToken=&appId=bitbucket&selectedScopes=read:user:bitbucket,write:repository:bitbucket";
    let page = visitor.get(link).await;
    assert!(
        page.text.contains("Create API token with scopes") && page.text.contains(">Create API token</a>")
    );
    assert!(page.text.contains("value=\"read:user:bitbucket\" checked"));
    assert!(!page.text.contains("value=\"read:repository:bitbucket\" checked"));
    let form = [("name", "Gitward"), ("scope", ALL[0]), ("scope", ALL[1]), ("expires_at", "2099-01-01")];
    let made = shown_once(&visitor.form("/manage-profile/security/api-tokens", &form).await);
    assert_eq!(ask(&visitor, &basic(EMAIL, &made), "/2.0/user").await.status, StatusCode::OK);
    let path = "/manage-profile/security/api-tokens/without-scopes";
    let useless = shown_once(&visitor.form(path, &[("name", "x"), ("expires_at", "2099-01-01")]).await);
    assert_eq!(ask(&visitor, &basic(EMAIL, &useless), "/2.0/user").await.status, StatusCode::UNAUTHORIZED);

    let form = [("name", "deploy"), ("scope", "repository:write"), ("expires_at", "2099-01-01")];
    let access = shown_once(&visitor.form("/acme/infra/admin/access-tokens", &form).await);
    assert_eq!(push(&visitor, "x-token-auth", &access, "acme/infra").await.status, StatusCode::OK);
    let listed = visitor.get("/acme/infra/admin/access-tokens").await.text;
    let revoke = listed.split("action=\"").find(|part| part.contains("/revoke\"")).unwrap();
    visitor.form(revoke.split('"').next().unwrap(), &[]).await;
    assert_eq!(push(&visitor, "x-token-auth", &access, "acme/infra").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(visitor.get("/acme/readonly/admin/access-tokens").await.status, StatusCode::NOT_FOUND);
}
