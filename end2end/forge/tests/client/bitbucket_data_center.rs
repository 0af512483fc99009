//! Bitbucket Data Center: whom it takes the sender for, its 401 for a missing right, its web flow.

use axum::http::StatusCode;
use forge::Shape;
use serde_json::{Value, json};

use crate::visitor::{Answer, Visitor, basic, shown_once};

const CALLBACK: &str = "http://localhost:3000/callback/bitbucket";
const PROPERTIES: &str = "/bitbucket/rest/api/latest/application-properties";
const WHO_AM_I: &str = "/bitbucket/plugins/servlet/applinks/whoami";
const INFRA: &str = "/bitbucket/rest/api/latest/projects/ACME/repos/infra";
const SECRET: &str = "/bitbucket/rest/api/latest/projects/ACME/repos/secret-ops";
const PAGE: &str = "/bitbucket/plugins/servlet/access-tokens";
const APP: [(&str, &str); 2] = [("client_id", "gitward-demo"), ("client_secret", "gitward-demo-secret")];

fn bitbucket() -> Visitor {
    Visitor::of(Shape::BitbucketDataCenter)
}

async fn personal(visitor: &Visitor, scopes: &[&str]) -> String {
    visitor.token(json!({"user": "octocat", "scopes": scopes})).await
}

async fn with(visitor: &Visitor, auth: &str, path: &str) -> Answer {
    visitor.send("GET", path, &[("authorization", auth)], "").await
}

async fn push(visitor: &Visitor, auth: Option<&str>, repository: &str) -> Answer {
    let headers: Vec<_> = auth.map(|auth| ("authorization", auth)).into_iter().collect();
    let path = format!("/bitbucket/scm/{repository}.git/info/refs?service=git-receive-pack");
    visitor.send("GET", &path, &headers, "").await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn exception(answer: &Answer) -> String {
    let name = answer.json()["errors"][0]["exceptionName"].clone();
    name.as_str().unwrap().rsplit('.').next().unwrap().to_owned()
}

/// Octocat agrees to this, and is sent back.
async fn agree(visitor: &Visitor, scope: &str) -> Answer {
    let asked = [
        ("client_id", "gitward-demo"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", scope),
        ("decision", "authorize"),
    ];
    visitor.form("/bitbucket/rest/oauth2/latest/authorize", &asked).await
}

async fn exchange(visitor: &Visitor, more: &[(&str, &str)]) -> Answer {
    let usual = [("grant_type", "authorization_code"), ("redirect_uri", CALLBACK)];
    visitor.form("/bitbucket/rest/oauth2/latest/token", &[&APP[..], &usual, more].concat()).await
}

async fn refresh(visitor: &Visitor, secret: &str, redirect: Option<&str>) -> Answer {
    let mut sent = vec![("grant_type", "refresh_token"), ("refresh_token", secret)];
    sent.extend(redirect.map(|redirect| ("redirect_uri", redirect)));
    visitor.form("/bitbucket/rest/oauth2/latest/token", &[&APP[..], &sent].concat()).await
}

async fn grant(visitor: &mut Visitor) -> Value {
    visitor.sign_in("octocat").await;
    let code = agree(visitor, "REPO_WRITE").await.sent_back("code").unwrap();
    let exchanged = exchange(visitor, &[("code", &code)]).await;
    assert_eq!(exchanged.status, StatusCode::OK, "{}", exchanged.text);
    exchanged.json()
}

fn text<'a>(reply: &'a Value, name: &str) -> &'a str {
    reply[name].as_str().unwrap()
}

#[tokio::test]
async fn everybody_may_ask_and_only_the_headers_tell_who_did() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    let known = visitor.get_with(&token, PROPERTIES).await;
    let unknown = visitor.get(PROPERTIES).await;
    assert_eq!((known.status, unknown.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(known.json(), unknown.json());
    assert_eq!(known.header("x-ausername"), Some("octocat"));
    assert_eq!(known.header("x-auserid"), Some("583231"));
    assert_eq!((unknown.header("x-ausername"), unknown.header("x-auserid")), (None, None));
    assert!(known.header("x-arequestid").is_some() && unknown.header("x-arequestid").is_some());

    let (known, unknown) = (visitor.get_with(&token, WHO_AM_I).await, visitor.get(WHO_AM_I).await);
    assert_eq!((known.text.as_str(), unknown.text.as_str()), ("octocat", ""));
    assert_eq!(known.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(visitor.get("/rest/api/latest/application-properties").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_name_is_encoded_and_its_person_found_by_another_form_of_it() {
    let visitor = bitbucket();
    let token = visitor.token(json!({"user": "jane@example.com", "scopes": ["REPO_WRITE"]})).await;
    assert_eq!(visitor.get_with(&token, PROPERTIES).await.header("x-ausername"), Some("jane%40example.com"));
    let users = "/bitbucket/rest/api/latest/users";
    let found = visitor.get_with(&token, &format!("{users}/jane_example.com")).await.json();
    assert_eq!((&found["name"], &found["id"]), (&json!("jane@example.com"), &json!(102)));
    let absent = visitor.get_with(&token, &format!("{users}/nobody")).await;
    assert_eq!((absent.status, exception(&absent).as_str()), (StatusCode::NOT_FOUND, "NoSuchUserException"));
    assert_eq!(exception(&visitor.get(&format!("{users}/octocat")).await), "AuthenticationRequiredException");
}

#[tokio::test]
async fn a_missing_right_is_401_with_the_name_and_a_wrong_token_without() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    assert_eq!(visitor.get_with(&token, INFRA).await.json()["project"]["key"], "ACME");
    let refused = visitor.get_with(&token, SECRET).await;
    assert_eq!(
        (refused.status, exception(&refused).as_str()),
        (StatusCode::UNAUTHORIZED, "AuthorisationException")
    );
    assert_eq!(refused.header("x-ausername"), Some("octocat"));

    let wrong = visitor.get_with("wrong", SECRET).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(exception(&wrong), "IncorrectPasswordAuthenticationException");
    assert_eq!(wrong.header("x-ausername"), None);
    assert_eq!(visitor.get_with("wrong", PROPERTIES).await.status, StatusCode::UNAUTHORIZED);

    let base = "/bitbucket/rest/api/latest";
    for (path, name) in [
        ("projects/ACME/repos/nothing", "NoSuchRepositoryException"),
        ("projects/NOTHING/repos/infra", "NoSuchProjectException"),
        ("projects/NOTHING", "NoSuchProjectException"),
    ] {
        let absent = visitor.get_with(&token, &format!("{base}/{path}")).await;
        assert_eq!((absent.status, exception(&absent).as_str()), (StatusCode::NOT_FOUND, name));
    }
    let no_door = visitor.get_with(&token, &format!("{base}/user")).await;
    assert_eq!((no_door.status, no_door.json()["status-code"].clone()), (StatusCode::NOT_FOUND, json!(404)));
}

#[tokio::test]
async fn tokens_of_projects_and_repositories_are_bots_and_bearers_only() {
    let visitor = bitbucket();
    for (kind, reaches) in [("project", 4), ("repository", 1)] {
        let wanted = json!({"user": "octocat", "kind": kind, "scopes": ["REPO_WRITE"], "repositories": ["acme/infra"]});
        let made = visitor.control("tokens", wanted).await;
        let token = text(&made, "token");
        assert_eq!(made["repositories"].as_array().unwrap().len(), reaches, "{kind}");
        let answer = visitor.get_with(token, PROPERTIES).await;
        assert!(answer.header("x-ausername").unwrap().starts_with("access-token-user%2F"), "{kind}");
        assert_eq!(visitor.get_with(token, INFRA).await.status, StatusCode::OK);
        assert_eq!(push(&visitor, Some(&bearer(token)), "acme/infra").await.status, StatusCode::OK);
        for name in ["octocat", "x-token-auth", text(&made, "user")] {
            assert_eq!(with(&visitor, &basic(name, token), INFRA).await.status, StatusCode::UNAUTHORIZED);
            let git = push(&visitor, Some(&basic(name, token)), "acme/infra").await;
            assert_eq!(git.status, StatusCode::UNAUTHORIZED, "{kind} {name}");
        }
        let elsewhere = push(&visitor, Some(&bearer(token)), "~octocat/notes").await;
        assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "{kind}");
    }
}

#[tokio::test]
async fn a_persons_token_goes_as_a_bearer_and_with_that_persons_name() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    for (auth, status) in [
        (bearer(&token), StatusCode::OK),
        (basic("octocat", &token), StatusCode::OK),
        (basic("hubot", &token), StatusCode::UNAUTHORIZED),
        (basic("", &token), StatusCode::UNAUTHORIZED),
        (format!("token {token}"), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(with(&visitor, &auth, INFRA).await.status, status, "{auth}");
        assert_eq!(push(&visitor, Some(&auth), "acme/infra").await.status, status, "{auth}");
    }
    visitor.control("settings", json!({"basic": false})).await;
    assert_eq!(with(&visitor, &basic("octocat", &token), INFRA).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        push(&visitor, Some(&basic("octocat", &token)), "acme/infra").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(push(&visitor, Some(&bearer(&token)), "acme/infra").await.status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_passwords_lock_the_account_and_wrong_bearers_do_not() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    visitor.control("settings", json!({"captcha_after": 3})).await;
    for _ in 0..5 {
        assert_eq!(visitor.get_with("wrong", INFRA).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(with(&visitor, &basic("octocat", &token), INFRA).await.status, StatusCode::OK);
    for _ in 0..3 {
        assert_eq!(with(&visitor, &basic("octocat", "wrong"), INFRA).await.status, StatusCode::UNAUTHORIZED);
    }
    let locked = with(&visitor, &basic("octocat", &token), INFRA).await;
    assert_eq!(locked.status, StatusCode::FORBIDDEN);
    assert_eq!(exception(&locked), "CaptchaRequiredAuthenticationException");
    assert!(locked.header("x-authentication-denied-reason").unwrap().starts_with("CAPTCHA_CHALLENGE"));
    assert_eq!(visitor.get_with(&token, INFRA).await.status, StatusCode::OK);
}

#[tokio::test]
async fn git_says_who_may_not_push_and_hides_what_may_not_be_seen() {
    let visitor = bitbucket();
    let (write, read) = (personal(&visitor, &["REPO_WRITE"]).await, personal(&visitor, &["REPO_READ"]).await);
    for (token, repository, status) in [
        (&write, "acme/infra", StatusCode::OK),
        (&write, "ACME/infra", StatusCode::OK),
        (&write, "~octocat/notes", StatusCode::OK),
        (&write, "acme/readonly", StatusCode::FORBIDDEN),
        (&read, "acme/infra", StatusCode::FORBIDDEN),
        (&write, "acme/secret-ops", StatusCode::NOT_FOUND),
        (&write, "acme/nothing", StatusCode::NOT_FOUND),
    ] {
        let answer = push(&visitor, Some(&bearer(token)), repository).await;
        assert_eq!(answer.status, status, "{repository}");
        let known = answer.header("x-ausername");
        assert_eq!(known, (status != StatusCode::OK).then_some("octocat"), "{repository}");
    }
    for auth in [None, Some("Bearer wrong")] {
        let answer = push(&visitor, auth, "acme/infra").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Atlassian Bitbucket\""));
        assert_eq!(answer.header("x-ausername"), None);
    }
}

#[tokio::test]
async fn what_stands_in_between_takes_headers_away() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    visitor.control("settings", json!({"user_headers": false})).await;
    let bare = visitor.get_with(&token, PROPERTIES).await;
    assert_eq!((bare.status, bare.header("x-ausername")), (StatusCode::OK, None));
    assert_eq!(visitor.get_with(&token, WHO_AM_I).await.text, "octocat");

    visitor.control("settings", json!({"user_headers": true, "authorization": false})).await;
    let lost = visitor.get_with(&token, PROPERTIES).await;
    assert_eq!((lost.status, lost.header("x-ausername")), (StatusCode::OK, None));
    assert_eq!(visitor.get_with(&token, WHO_AM_I).await.text, "");

    visitor.control("settings", json!({"authorization": true, "wrong_token": "visitor"})).await;
    let wrong = visitor.get_with("wrong", PROPERTIES).await;
    assert_eq!((wrong.status, wrong.header("x-ausername")), (StatusCode::OK, None));
    assert_eq!(exception(&visitor.get_with("wrong", INFRA).await), "AuthenticationRequiredException");

    visitor.control("settings", json!({"licensed": false})).await;
    let unlicensed = visitor.get_with(&token, PROPERTIES).await;
    assert_eq!(unlicensed.status, StatusCode::UNAUTHORIZED);
    assert_eq!(exception(&unlicensed), "NoAccessAuthenticationException");
}

#[tokio::test]
async fn limits_are_per_minute_and_say_when_they_end() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    visitor.control("settings", json!({"rate_limits": true, "rate_limit": 2})).await;
    for status in [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(visitor.get_with(&token, PROPERTIES).await.status, status);
    }
    let limited = visitor.get_with(&token, PROPERTIES).await;
    let seconds: i64 = limited.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_eq!(visitor.get(PROPERTIES).await.status, StatusCode::OK, "visitors are not counted");
    visitor.control("clock", json!({"advance_seconds": 61})).await;
    assert_eq!(visitor.get_with(&token, PROPERTIES).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_code_lives_for_ten_seconds() {
    let mut visitor = bitbucket();
    visitor.sign_in("octocat").await;
    for (seconds, status) in [(9, StatusCode::OK), (11, StatusCode::BAD_REQUEST)] {
        let code = agree(&visitor, "REPO_WRITE").await.sent_back("code").unwrap();
        visitor.control("clock", json!({"advance_seconds": seconds})).await;
        let answer = exchange(&visitor, &[("code", &code)]).await;
        assert_eq!(answer.status, status, "{seconds} seconds");
        if status != StatusCode::OK {
            assert_eq!(answer.json()["error"], "invalid_grant");
        }
    }
}

#[tokio::test]
async fn a_grant_opens_every_door_for_an_hour() {
    let mut visitor = bitbucket();
    let reply = grant(&mut visitor).await;
    assert_eq!((&reply["scope"], &reply["expires_in"]), (&json!("REPO_WRITE"), &json!(3600)));
    assert_eq!((&reply["token_type"], reply.get("refresh_token_expires_in")), (&json!("bearer"), None));
    let token = text(&reply, "access_token");
    let answer = visitor.get_with(token, PROPERTIES).await;
    assert_eq!(answer.header("x-auserid"), Some("583231"));
    assert_eq!(push(&visitor, Some(&bearer(token)), "acme/infra").await.status, StatusCode::OK);
    assert_eq!(push(&visitor, Some(&basic("anything", token)), "acme/infra").await.status, StatusCode::OK);
    assert_eq!(with(&visitor, &basic("anything", token), INFRA).await.status, StatusCode::UNAUTHORIZED);
    visitor.control("clock", json!({"advance_seconds": 3600})).await;
    assert_eq!(visitor.get_with(token, PROPERTIES).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_app_gets_what_was_ticked_for_it_at_most() {
    let mut visitor = bitbucket();
    visitor.sign_in("octocat").await;
    for (asked, granted) in
        [("REPO_READ", Some("REPO_READ")), ("REPO_ADMIN", Some("REPO_ADMIN")), ("", Some("PUBLIC_REPOS"))]
    {
        let code = agree(&visitor, asked).await.sent_back("code").unwrap();
        let reply = exchange(&visitor, &[("code", &code)]).await.json();
        assert_eq!(reply["scope"].as_str(), granted, "{asked}");
    }
    for asked in ["PROJECT_ADMIN", "SYSTEM_ADMIN", "repo"] {
        let back = agree(&visitor, asked).await;
        assert_eq!(back.sent_back("error").as_deref(), Some("invalid_scope"), "{asked}");
        assert_eq!(back.sent_back("code"), None);
    }
}

#[tokio::test]
async fn a_refresh_names_the_redirect_again() {
    let mut visitor = bitbucket();
    let first = grant(&mut visitor).await;
    for redirect in [None, Some("http://localhost:3000/elsewhere")] {
        let refused = refresh(&visitor, text(&first, "refresh_token"), redirect).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant"))
        );
    }
    let second = refresh(&visitor, text(&first, "refresh_token"), Some(CALLBACK)).await.json();
    assert_eq!(second["scope"], "REPO_WRITE");
    let old = visitor.get_with(text(&first, "access_token"), PROPERTIES).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED, "the old pair is over");
    let again = refresh(&visitor, text(&first, "refresh_token"), Some(CALLBACK)).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);

    visitor.control("settings", json!({"rotation": false})).await;
    for _ in 0..2 {
        let again = refresh(&visitor, text(&second, "refresh_token"), Some(CALLBACK)).await;
        assert_eq!(again.status, StatusCode::OK, "the same refresh token");
    }
    let wrong = visitor
        .form(
            "/bitbucket/rest/oauth2/latest/token",
            &[("client_id", "gitward-demo"), ("client_secret", "wrong")],
        )
        .await;
    assert_eq!((wrong.status, &wrong.json()["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")));
}

#[tokio::test]
async fn people_make_and_revoke_their_tokens_on_a_page_that_no_link_fills_in() {
    let mut visitor = bitbucket();
    let list = format!("{PAGE}/manage");
    let first = visitor.get(&list).await;
    assert_eq!(first.location().path(), "/bitbucket/login");
    visitor.sign_in("octocat").await;
    let form = visitor.get(&format!("{PAGE}/add?name=x&scopes=REPO_ADMIN")).await;
    assert!(form.text.contains("Repository write") && !form.text.contains("value=\"x\""), "{}", form.text);
    let sent = [("name", "gitops"), ("expires_in", "90"), ("scope", "PROJECT_READ"), ("scope", "REPO_WRITE")];
    let token = shown_once(&visitor.form(&format!("{PAGE}/add"), &sent).await);
    assert!(token.starts_with("BBDC-"));
    assert_eq!(push(&visitor, Some(&bearer(&token)), "acme/infra").await.status, StatusCode::OK);
    assert!(visitor.get(&list).await.text.contains("gitops"));
    let id = visitor.get("/_forge/tokens").await.json()[0]["id"].as_u64().unwrap();
    visitor.form(&format!("{list}/{id}/revoke"), &[]).await;
    let dead = visitor.get_with(&token, PROPERTIES).await;
    assert_eq!(exception(&dead), "IncorrectPasswordAuthenticationException");
}

#[tokio::test]
async fn faults_find_its_doors() {
    let visitor = bitbucket();
    let token = personal(&visitor, &["REPO_WRITE"]).await;
    for (room, struck, spared) in
        [("user", PROPERTIES, INFRA), ("user", WHO_AM_I, INFRA), ("repos", INFRA, PROPERTIES)]
    {
        visitor.control("faults", json!({"on": room, "fault": "status", "times": 1})).await;
        assert_eq!(visitor.get_with(&token, spared).await.status, StatusCode::OK, "{room}");
        assert_eq!(visitor.get_with(&token, struck).await.status, StatusCode::SERVICE_UNAVAILABLE, "{room}");
    }
    visitor.control("faults", json!({"on": "git", "fault": "status", "times": 1})).await;
    assert_eq!(
        push(&visitor, Some(&bearer(&token)), "acme/infra").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    visitor.control("faults", json!({"on": "user", "fault": "rate_limit", "retry_after_seconds": 7})).await;
    let limited = visitor.get_with(&token, PROPERTIES).await;
    assert_eq!((limited.status, limited.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("7")));
}
