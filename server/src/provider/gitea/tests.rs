//! Gitea and Forgejo on good days and on bad ones.

use std::sync::Arc;

use forgejo_api::structs;
use proptest::prelude::{any, prop_oneof};
use proptest::strategy::Strategy;
use serde_json::{Value, json};
use url::Url;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};
use zeroize::Zeroizing;

use super::*;
use crate::clock::{Clock, TestClock, Timestamp};
use crate::provider::{
    Shape,
    http::{
        Outgoing,
        tests::{BadServer, Misdeed},
    },
    testing::{
        Ask, Day, Door, Fate, Fault as Bad, Further, SECRETS, Samples, Takes, Word, app, days_of_any_host,
        endure, endure_further, endure_revocation, exchange, granted, mount, now, oauth_error, outgoing,
        page, pasted, plain, says, sent, settings, status,
    },
};

/// Like an access token.
fn personal() -> Secret {
    Secret::new("0123456789abcdef".repeat(2) + "01234567")
}

/// Like a token of OAuth2: a JSON web token, put together here because what looks like one must not stand in a file.
fn of_oauth2(what: &str) -> Secret {
    Secret::new(["ey", "JhbGciOiJSUzI1NiJ9", ".", "ey", "J0dCI6MH0", ".", what].concat())
}

fn gitea(base: &str, http: &Outgoing) -> Gitea {
    Gitea::new(settings(base, http), Brand::Gitea).unwrap()
}

/// As it is there without anything behind it.
fn here() -> Gitea {
    gitea("https://git.example.com", &outgoing())
}

const USER: &str = "/api/v1/user";
const TOKEN: &str = "/api/v1/token";
const REPOSITORY: &str = "/api/v1/repos/acme/infra";
const REFS: &str = "/acme/infra.git/info/refs";
const GRANTS: &str = "/login/oauth/access_token";
const INTROSPECT: &str = "/login/oauth/introspect";

/// Whoever may ask about its owner is told this.
fn jane() -> Value {
    json!({
        "id": 7, "login": "jane", "login_name": "", "source_id": 0, "full_name": "", "email": "jane@example.com",
        "avatar_url": "https://git.example.com/avatars/7", "html_url": "https://git.example.com/jane",
        "language": "", "is_admin": false, "last_login": "0001-01-01T00:00:00Z", "created": "2024-03-01T09:30:00+01:00",
        "restricted": false, "active": true, "prohibit_login": false, "location": "", "website": "",
        "description": "", "visibility": "public", "followers_count": 0, "following_count": 0,
        "starred_repos_count": 0, "username": "jane",
    })
}

/// What newer versions tell a token about itself.
fn current_token(scopes: &[&str]) -> Value {
    json!({
        "id": 3, "name": "gitward", "scopes": scopes, "created_at": "2026-11-01T09:00:00Z",
        "last_used_at": "2026-11-22T12:00:00Z", "user": { "id": 7, "login": "jane" },
    })
}

/// What a person in that role is told about a repository.
fn repository(push: bool) -> Value {
    json!({
        "id": 11, "name": "infra", "full_name": "acme/infra", "private": true, "archived": false,
        "permissions": { "admin": false, "push": push, "pull": true },
    })
}

/// What a token endpoint answers.
fn pair() -> Value {
    json!({
        "access_token": of_oauth2("access").expose(), "token_type": "bearer", "expires_in": 3600,
        "refresh_token": of_oauth2("refresh").expose(),
    })
}

/// A refusal in the API's own form.
fn told(code: u16, message: &str) -> ResponseTemplate {
    status(code).set_body_json(json!({ "message": message, "url": "https://git.example.com/api/swagger" }))
}

/// What versions without a page say at its address, and proxies written in Go at any.
fn no_route() -> ResponseTemplate {
    plain(404, "404 page not found\n")
}

fn ok(body: Value) -> ResponseTemplate {
    status(200).set_body_json(body)
}

fn advertisement() -> ResponseTemplate {
    status(200).set_body_raw(
        "001f# service=git-receive-pack\n0000".repeat(20_000),
        "application/x-git-receive-pack-advertisement",
    )
}

const LACKS_OLD: &str = "token does not have at least one of required scope(s): [read:user]";
const LACKS_NEW: &str = "token does not have at least one of required scope(s), required=[read:user], \
                         token scope=write:issue,write:repository";

async fn refresh(gitea: &Gitea) -> Result<Grant, GrantError> {
    gitea.refresh(&app(), &of_oauth2("refresh")).await
}

fn owner() -> ProviderAccount {
    ProviderAccount { id: "7".to_owned(), login: "jane".to_owned() }
}

fn asked(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|request| format!("{} {}", request.method, request.url.path())).collect()
}

fn set(text: &str) -> ScopeSet {
    ScopeSet::parse(text)
}

/// What its own answers mean.
///
/// `Rejected`, `Refused` and `AppRefused` take something from a user; they stand here only where the provider itself
/// says so. An error of OAuth2 that means two things is in a table of its own below.
fn bad_days(elsewhere: &str) -> Vec<Day> {
    use Word::{AppRefused, Denied, Hidden, Insufficient, Limited, Refused, Rejected, Unknown, Unreachable};
    let answer = Bad::Answer;
    let later = |answer: ResponseTemplate| answer.insert_header("retry-after", "60");
    let form =
        status(200).set_body_raw("error=invalid_grant", "application/x-www-form-urlencoded; charset=utf-8");
    #[rustfmt::skip]
    let days = vec![
        // Its own refusals, in the words of several versions.
        ("401 token", answer(told(401, "invalid username, password or token")), Rejected, Unknown, Unreachable),
        ("401 required", answer(told(401, "token is required")), Rejected, Unknown, Unreachable),
        ("401 user", answer(told(401, "user does not exist [uid: 0, name: ]")), Rejected, Unknown, Unreachable),
        ("403 scope", answer(told(403, LACKS_OLD)), Insufficient, Denied, Unreachable),
        ("403 scope, named", answer(told(403, LACKS_NEW)), Insufficient, Denied, Unreachable),
        ("403 public", answer(told(403, "token scope is limited to public repos")), Unreachable, Denied, Unreachable),
        ("403 disabled", answer(told(403, "user is not allowed to log in")), Unreachable, Denied, Unreachable),
        ("404", answer(told(404, "not found")), Unreachable, Hidden, Unreachable),
        // The same in no form of its own.
        ("401 no address", answer(status(401).set_body_json(json!({ "message": "token is required" }))), Unreachable, Unknown, Unreachable),
        ("401 other address", answer(says(401, "token is required")), Unreachable, Unknown, Unreachable),
        ("401 elsewhere", answer(status(401).set_body_json(json!({ "message": "no", "url": "https://sso.example.com/" }))), Unreachable, Unknown, Unreachable),
        ("401 no message", answer(status(401).set_body_json(json!({ "url": "https://x/api/swagger" }))), Unreachable, Unknown, Unreachable),
        ("403 scope, other form", answer(says(403, LACKS_OLD)), Unreachable, Unknown, Unreachable),
        ("403 scope, text", answer(plain(403, LACKS_OLD)), Unreachable, Unknown, Unreachable),
        ("403 text", answer(plain(403, "Forbidden")), Unreachable, Unknown, Unreachable),
        ("404 text", answer(plain(404, "Repository not found")), Unreachable, Unknown, Unreachable),
        ("404 router", answer(no_route()), Unreachable, Unknown, Unreachable),
        ("404 router, HTML", answer(status(404).set_body_raw("404 page not found\n", "text/html")), Unreachable, Unknown, Unreachable),
        ("404 other form", answer(says(404, "Not Found")), Unreachable, Unknown, Unreachable),
        ("500 scope", answer(told(500, LACKS_NEW)), Unreachable, Unknown, Unreachable),
        ("503 token", answer(told(503, "token is required")), Unreachable, Unknown, Unreachable),
        // Its errors of OAuth2.
        ("grant", answer(oauth_error(400, "invalid_grant")), Unreachable, Unknown, Refused),
        ("grant as a form", answer(form), Unreachable, Unknown, Refused),
        ("client", answer(oauth_error(400, "invalid_client")), Unreachable, Unknown, AppRefused),
        ("grant type", answer(oauth_error(400, "unsupported_grant_type")), Unreachable, Unknown, AppRefused),
        ("scope", answer(oauth_error(400, "invalid_scope")), Unreachable, Unknown, AppRefused),
        ("request", answer(oauth_error(400, "invalid_request")), Unreachable, Unknown, Unreachable),
        ("server error", answer(oauth_error(400, "server_error")), Unreachable, Unknown, Unreachable),
        ("unknown error", answer(oauth_error(400, "<script>")), Unreachable, Unknown, Unreachable),
        ("empty error", answer(oauth_error(400, "")), Unreachable, Unknown, Unreachable),
        ("grant, 403", answer(oauth_error(403, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 500", answer(oauth_error(500, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("client, 503", answer(oauth_error(503, "invalid_client")), Unreachable, Unknown, Unreachable),
        ("renewal, 404", answer(oauth_error(404, "unauthorized_client")), Unreachable, Unknown, Unreachable),
        ("renewal, 502", answer(oauth_error(502, "unauthorized_client")), Unreachable, Unknown, Unreachable),
        // Too many requests, by whatever stands in front.
        ("429", answer(status(429)), Limited, Unknown, Limited),
        ("429 text", answer(plain(429, "Too many requests")), Limited, Unknown, Limited),
        ("429 HTML", answer(later(page(429))), Limited, Unknown, Limited),
        ("429 junk", answer(status(429).insert_header("retry-after", "soon")), Limited, Unknown, Limited),
        ("429 token", answer(told(429, "token is required")), Limited, Unknown, Limited),
        ("429 grant", answer(oauth_error(429, "invalid_grant")), Limited, Unknown, Limited),
        ("403 later", answer(later(told(403, LACKS_NEW))), Limited, Unknown, Limited),
        ("403 later, HTML", answer(later(page(403))), Limited, Unknown, Limited),
        ("400", answer(told(400, "bad request")), Unreachable, Unknown, Unreachable),
        ("405", answer(told(405, "method not allowed")), Unreachable, Unknown, Unreachable),
        ("409", answer(told(409, "conflict")), Unreachable, Unknown, Unreachable),
        ("422", answer(told(422, "unprocessable")), Unreachable, Unknown, Unreachable),
        ("423", answer(told(423, "archived")), Unreachable, Unknown, Unreachable),
        // 200, and yet nobody.
        ("200 no id", answer(ok(json!({ "login": "a" }))), Unreachable, Unknown, Unreachable),
        ("200 id 0", answer(ok(json!({ "id": 0, "login": "a" }))), Unreachable, Unknown, Unreachable),
        ("200 bot", answer(ok(json!({ "id": -2, "login": "gitea-actions" }))), Unreachable, Unknown, Unreachable),
        ("200 no name", answer(ok(json!({ "id": 1, "login": "" }))), Unreachable, Unknown, Unreachable),
        ("200 text for id", answer(ok(json!({ "id": "1", "login": "a" }))), Unreachable, Unknown, Unreachable),
        ("200 odd name", answer(ok(json!({ "id": 1, "login": "a\u{202e}b" }))), Unreachable, Unknown, Unreachable),
        ("late 401", Bad::TooLate(told(401, "token is required")), Unreachable, Unknown, Unreachable),
        ("late 403", Bad::TooLate(told(403, LACKS_NEW)), Unreachable, Unknown, Unreachable),
    ];
    days.into_iter().chain(days_of_any_host(&jane(), elsewhere)).collect()
}

fn samples() -> Samples {
    Samples {
        token: personal(),
        user_name: None,
        access: of_oauth2("access"),
        refresh: of_oauth2("refresh"),
        repository: "acme/infra",
    }
}

#[tokio::test]
async fn a_bad_day_takes_nothing_from_anyone() {
    let cells = endure(bad_days, &samples(), gitea).await;
    assert!(cells >= 360, "{cells} cells");
}

#[tokio::test]
async fn a_bad_day_at_a_further_door_takes_nothing_from_anyone() {
    use Word::{Denied, Granted, Hidden, Insufficient, Limited, Unknown, Unreachable, Valid};
    let further = [
        // Whose it is, is known: what it may do is asked of the token itself.
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(USER), ok(jane()))],
            door: Door::get(TOKEN),
            means: |day| match day.name {
                "404" | "404 router" | "403 scope" | "403 scope, named" => vec![Valid],
                _ if day.identity == Limited => vec![Limited],
                _ => vec![Unreachable],
            },
            takes: Takes::Nothing,
        },
        // It may not tell whose it is.
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(USER), told(403, LACKS_OLD))],
            door: Door::get(TOKEN),
            means: |day| match day.name {
                "404" | "404 router" | "403 scope" | "403 scope, named" => vec![Insufficient],
                _ if day.identity == Limited => vec![Limited],
                _ => vec![Unreachable],
            },
            takes: Takes::Nothing,
        },
        // Git is well, and would let anyone begin.
        Further {
            asks: Ask::PUSH,
            others: vec![(Door::get(REFS), advertisement())],
            door: Door::get(REPOSITORY),
            means: |day| match day.push {
                Hidden => vec![Hidden],
                Denied => vec![Denied],
                _ => vec![Unknown],
            },
            takes: Takes::Nothing,
        },
        // The role would allow it.
        Further {
            asks: Ask::PUSH,
            others: vec![(Door::get(REPOSITORY), ok(repository(true)))],
            door: Door::get(REFS),
            means: |day| match day.name {
                "403 text" | "403 scope, text" => vec![Denied],
                _ => vec![Unknown],
            },
            takes: Takes::Nothing,
        },
        // The code is spent: what it brought is kept, whatever is said of its scopes.
        Further {
            asks: &[Ask::Exchange],
            others: vec![(Door::post(GRANTS), ok(pair()))],
            door: Door::post(INTROSPECT),
            means: |_| vec![Granted],
            takes: Takes::Nothing,
        },
    ];
    let cells = endure_further(bad_days, &samples(), gitea, &further).await;
    assert!(cells >= 700, "{cells} cells");
}

#[tokio::test]
async fn one_word_is_about_the_app_at_a_code_and_about_the_user_at_a_renewal() {
    let mock = MockServer::start().await;
    for description in ["unable to parse refresh token", "token was already used", "invalid client secret"] {
        mock.reset().await;
        let error = json!({ "error": "unauthorized_client", "error_description": description });
        mount(&mock, "POST", GRANTS, status(400).set_body_json(error)).await;
        let gitea = gitea(&mock.uri(), &outgoing());
        assert_eq!(Word::from(exchange(&gitea).await), Word::AppRefused, "{description}");
        assert_eq!(Word::from(refresh(&gitea).await), Word::Refused, "{description}");
        // A code that was refused is not asked about.
        let posts = format!("POST {GRANTS}");
        assert_eq!(asked(&mock.received_requests().await.unwrap()), [posts.clone(), posts]);
    }
    // A secret that was changed at the host has a word of its own, so nobody authorizes again in vain.
    mock.reset().await;
    mount(&mock, "POST", GRANTS, oauth_error(400, "invalid_client")).await;
    assert_eq!(Word::from(refresh(&gitea(&mock.uri(), &outgoing())).await), Word::AppRefused);
}

#[tokio::test]
async fn a_token_tells_about_itself_where_the_version_lets_it() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", USER, ok(jane())).await;
    mount(&mock, "GET", TOKEN, ok(current_token(&["write:repository", "read:user"]))).await;
    let gitea = gitea(&mock.uri(), &outgoing());
    let identity = gitea.identify(&pasted(&personal()), Age::Settled).await.unwrap();
    assert_eq!(identity.owner, owner());
    assert_eq!(identity.kind, "access-token");
    assert_eq!(identity.scopes.unwrap().to_vec(), ["read:user", "write:repository"]);
    assert_eq!(identity.expiry, TokenExpiry::Never);
    assert_eq!(
        identity.evidence,
        Evidence { request: "GET /api/v1/user".to_owned(), answer: "200".to_owned() }
    );

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(asked(&requests), [format!("GET {USER}"), format!("GET {TOKEN}")]);
    for request in &requests {
        assert_eq!(sent(request, "authorization"), format!("Bearer {}", personal().expose()));
        assert_eq!(sent(request, "accept"), "application/json");
        assert!(sent(request, "user-agent").starts_with("Gitward/"));
        assert_eq!(request.url.query(), None);
    }
}

#[tokio::test]
async fn an_older_version_is_not_asked_about_scopes_again_for_an_hour() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", USER, ok(jane())).await;
    mount(&mock, "GET", TOKEN, told(404, "not found")).await;
    let clock = Arc::new(TestClock::new());
    let gitea =
        Gitea::new(Settings { clock: clock.clone(), ..settings(&mock.uri(), &outgoing()) }, Brand::Gitea)
            .unwrap();
    let times = async || {
        let requests = mock.received_requests().await.unwrap();
        [USER, TOKEN].map(|path| requests.iter().filter(|request| request.url.path() == path).count())
    };
    for _ in 0..3 {
        let identity = gitea.identify(&pasted(&personal()), Age::Settled).await.unwrap();
        assert_eq!((identity.owner, identity.scopes), (owner(), None));
        assert_eq!((identity.kind.as_str(), identity.expiry), ("access-token", TokenExpiry::Never));
    }
    assert_eq!(times().await, [3, 1]);

    // It was brought up to date meanwhile.
    mock.reset().await;
    mount(&mock, "GET", USER, ok(jane())).await;
    mount(&mock, "GET", TOKEN, ok(current_token(&["all"]))).await;
    clock.advance(LOOKED_FOR_AGAIN);
    let identity = gitea.identify(&pasted(&personal()), Age::Settled).await.unwrap();
    assert_eq!(identity.scopes.unwrap().to_vec(), ["all"]);
    assert_eq!(times().await, [1, 1]);
}

#[tokio::test]
async fn trouble_at_the_page_about_tokens_is_no_word_about_scopes() {
    let clock = Arc::new(TestClock::new());
    let mock = MockServer::start().await;
    let gitea =
        Gitea::new(Settings { clock: clock.clone(), ..settings(&mock.uri(), &outgoing()) }, Brand::Gitea)
            .unwrap();
    let ask = async |about: ResponseTemplate| {
        mock.reset().await;
        mount(&mock, "GET", USER, ok(jane())).await;
        mount(&mock, "GET", TOKEN, about).await;
        let outcome = gitea.identify(&pasted(&personal()), Age::Settled).await;
        (outcome, mock.received_requests().await.unwrap().len())
    };
    let scopes = |outcome: Result<Identity, ProviderError>| outcome.unwrap().scopes;
    let unreachable = |outcome| match outcome {
        Err(ProviderError::Unreachable(evidence)) => (evidence.request, evidence.answer),
        other => panic!("{other:?}"),
    };
    let label = || "GET /api/v1/token".to_owned();

    // A router's word is believed where no page was seen yet, but the next question finds out for itself.
    for _ in 0..2 {
        let (outcome, questions) = ask(no_route()).await;
        assert_eq!((scopes(outcome), questions), (None, 2));
    }
    let (outcome, _) = ask(ok(current_token(&["read:user"]))).await;
    assert_eq!(scopes(outcome), Some(set("read:user")));
    let table = [
        (no_route(), "404, where a page was before"),
        (page(404), "404"),
        (says(404, "not found"), "404"),
        (status(404), "404"),
        (told(401, "token is required"), "401"),
        (status(500), "500"),
        (told(503, "not found"), "503"),
        (page(200), "a page that is no JSON, or tells of no token"),
        (ok(json!({})), "a page that is no JSON, or tells of no token"),
    ];
    for (answer, told) in table {
        let (outcome, questions) = ask(answer).await;
        assert_eq!(unreachable(outcome), (label(), told.to_owned()));
        assert_eq!(questions, 2, "{told}: and the page is not given up");
    }
    let later = told(429, "slow down").insert_header("retry-after", "60");
    let (outcome, _) = ask(later).await;
    let until = Some(clock.now().plus(Duration::from_secs(60)));
    let evidence = Evidence { request: label(), answer: "429".to_owned() };
    assert_eq!(outcome.unwrap_err(), ProviderError::RateLimited { until, evidence });
    // Only the API itself may say that there is none.
    let (outcome, questions) = ask(told(404, "not found")).await;
    assert_eq!((scopes(outcome), questions), (None, 2));
    let (outcome, questions) = ask(status(500)).await;
    assert_eq!((scopes(outcome), questions), (None, 1), "and is believed for an hour");
    clock.advance(LOOKED_FOR_AGAIN);
    let (outcome, _) = ask(status(500)).await;
    assert_eq!(unreachable(outcome).1, "500");
}

#[tokio::test]
async fn a_token_that_may_not_tell_whose_it_is_is_good_all_the_same() {
    let evidence =
        |request: &str, answer: &str| Evidence { request: request.to_owned(), answer: answer.to_owned() };
    let lacking = evidence("GET /api/v1/user", "403, it may not tell whose it is");
    let insufficient = |granted: Option<&str>| ProviderError::Insufficient {
        granted: granted.map(ScopeSet::parse),
        missing: set("read:user"),
        evidence: lacking.clone(),
    };
    let older = || told(404, "not found");
    let table = [
        (LACKS_OLD, older(), insufficient(None)),
        (LACKS_NEW, older(), insufficient(Some("write:issue write:repository"))),
        (LACKS_NEW, no_route(), insufficient(Some("write:issue write:repository"))),
        (LACKS_NEW, told(403, LACKS_NEW), insufficient(Some("write:issue write:repository"))),
        (LACKS_OLD, told(404, "token not found"), insufficient(None)),
    ];
    let http = outgoing();
    for (row, (message, about, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", USER, told(403, message)).await;
        mount(&mock, "GET", TOKEN, about).await;
        let error = gitea(&mock.uri(), &http).identify(&pasted(&personal()), Age::Settled).await.unwrap_err();
        assert_eq!(error, expected, "row {row}");
        assert_eq!(mock.received_requests().await.unwrap().len(), 2, "row {row}");
    }
    // By the other door it says whose it is.
    let mock = MockServer::start().await;
    mount(&mock, "GET", USER, told(403, LACKS_OLD)).await;
    mount(&mock, "GET", TOKEN, ok(current_token(&["write:repository"]))).await;
    let gitea = gitea(&mock.uri(), &http);
    let identity = gitea.identify(&pasted(&personal()), Age::Settled).await.unwrap();
    assert_eq!(identity.owner, owner());
    assert_eq!(identity.evidence, evidence("GET /api/v1/token", "200"));
    let granted = identity.scopes.unwrap();
    assert_eq!(gitea.missing(&granted, &gitea.default_scopes()), set("read:user"));
    // A grant has one door only.
    let error = gitea.identify(&granted_to_app(), Age::Fresh).await.unwrap_err();
    assert_eq!(error, insufficient(None));
}

fn granted_to_app() -> Presented<'static> {
    static ACCESS: std::sync::LazyLock<Secret> = std::sync::LazyLock::new(|| of_oauth2("access"));
    granted(&ACCESS)
}

#[tokio::test]
async fn kinds_are_told_apart_by_what_is_answered() {
    let jwt = of_oauth2("access");
    let (hex, odd) = (personal(), Secret::new("x".repeat(50)));
    let known = || ok(current_token(&["all"]));
    let none = || told(404, "token not found");
    let bearer = || told(404, "invalid personal token");
    let older = || told(404, "not found");
    // The token, how it was given, what it is told about itself, and its kind.
    let table = [
        (&hex, Method::Token, known(), "access-token"),
        (&hex, Method::Token, older(), "access-token"),
        (&hex, Method::Token, no_route(), "access-token"),
        (&hex, Method::Token, told(403, LACKS_OLD), "access-token"),
        (&odd, Method::Token, known(), "access-token"),
        (&odd, Method::Token, older(), "access-token"),
        (&odd, Method::Token, none(), "oauth2"),
        (&odd, Method::Token, bearer(), "oauth2"),
        (&jwt, Method::Token, none(), "oauth2"),
        (&jwt, Method::Token, older(), "oauth2"),
        // The answer counts, not the look.
        (&jwt, Method::Token, known(), "access-token"),
        (&hex, Method::Token, none(), "oauth2"),
        (&jwt, Method::Oauth2, known(), "oauth2"),
        (&hex, Method::Oauth2, known(), "oauth2"),
    ];
    let http = outgoing();
    for (row, (token, how, about, kind)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", USER, ok(jane())).await;
        mount(&mock, "GET", TOKEN, about).await;
        let gitea = gitea(&mock.uri(), &http);
        let presented = Presented { method: how, ..pasted(token) };
        let identity = gitea.identify(&presented, Age::Settled).await.unwrap();
        assert_eq!(identity.kind, kind, "row {row}");
        let endless = identity.expiry == TokenExpiry::Never;
        assert_eq!(endless, kind == "access-token", "row {row}");
        assert_ne!(gitea.kind_label(kind), "Token", "row {row}");
        let questions = mock.received_requests().await.unwrap().len();
        assert_eq!(questions, if how == Method::Token { 2 } else { 1 }, "row {row}");
    }
    assert_eq!(here().kind_label("something"), "Token");
}

#[test]
fn only_secrets_of_apps_look_like_something() {
    let gitea = here();
    let secret = |prefix: &str| Secret::new(format!("{prefix}{}", "a".repeat(56)));
    assert_eq!(gitea.shape(&personal()), Shape::Plausible);
    assert_eq!(gitea.shape(&of_oauth2("access")), Shape::Plausible);
    assert_eq!(gitea.shape(&secret("gto_")), Shape::NotAUserToken);
    assert_eq!(gitea.shape(&secret("gta_")), Shape::NotAUserToken);
    assert!(matches!(gitea.shape(&secret("ghp_")), Shape::Foreign("GitHub")));
    assert!(gitea.foreign_shapes().iter().all(|(_, label)| *label != "Gitea"));
}

#[test]
fn one_header_and_one_user_name_do_for_all_kinds() {
    let gitea = here();
    let expected = Doors { api: Auth::Bearer, git: Auth::Basic { user_name: "git".to_owned() } };
    for (token, method) in [(personal(), Method::Token), (of_oauth2("access"), Method::Oauth2)] {
        for kind in [None, Some("access-token"), Some("oauth2")] {
            assert_eq!(gitea.doors(&Presented { method, kind, ..pasted(&token) }), expected);
        }
    }
}

#[tokio::test]
async fn both_the_role_and_the_scopes_must_allow_a_push() {
    use Word::{Allowed, Denied, Hidden, Unknown};
    let writes = || ok(repository(true));
    let reads = || ok(repository(false));
    let text = |code| plain(code, "Forbidden");
    let table = [
        (writes(), advertisement(), Allowed, 2),
        // Git lets who may read begin a push for review: that is no leave to push.
        (reads(), advertisement(), Denied, 1),
        // It answers like that for a repository that a push would make as well.
        (told(404, "not found"), advertisement(), Hidden, 1),
        (told(403, LACKS_NEW), advertisement(), Denied, 1),
        (told(403, "token scope is limited to public repos"), advertisement(), Denied, 1),
        // The token's scopes, an archive, a mirror.
        (writes(), text(403), Denied, 2),
        (writes(), plain(403, "This repo is archived."), Denied, 2),
        (writes(), page(403), Unknown, 2),
        (writes(), status(403), Unknown, 2),
        (writes(), text(403).insert_header("retry-after", "5"), Unknown, 2),
        (writes(), text(401), Unknown, 2),
        (writes(), text(404), Unknown, 2),
        (writes(), text(429), Unknown, 2),
        (writes(), page(503), Unknown, 2),
        (writes(), status(200).set_body_raw("x", "text/html"), Unknown, 2),
        (writes(), status(200).set_body_raw("x", "application/x-git-upload-pack-advertisement"), Unknown, 2),
        // Moved: nobody follows.
        (status(301).insert_header("location", "/api/v1/repositories/11"), advertisement(), Unknown, 1),
        (ok(json!({ "id": 11 })), advertisement(), Unknown, 1),
        (ok(json!({ "id": 11, "permissions": null })), advertisement(), Unknown, 1),
        (ok(json!({ "id": 11, "permissions": { "push": "yes" } })), advertisement(), Unknown, 1),
        (page(404), advertisement(), Unknown, 1),
        (page(403), advertisement(), Unknown, 1),
        (told(401, "token is required"), advertisement(), Unknown, 1),
        (told(403, LACKS_NEW).insert_header("retry-after", "5"), advertisement(), Unknown, 1),
        (status(500), advertisement(), Unknown, 1),
    ];
    let http = outgoing();
    for (row, (api, git, expected, questions)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", REPOSITORY, api).await;
        mount(&mock, "GET", REFS, git).await;
        let outcome = gitea(&mock.uri(), &http).may_push(&pasted(&personal()), "acme/infra").await;
        assert_eq!(Word::from(outcome), expected, "row {row}");
        let requests = mock.received_requests().await.unwrap();
        assert_eq!(requests.len(), questions, "row {row}");
        assert!(requests.iter().all(|request| request.method.as_str() == "GET"), "row {row}");
    }
}

#[tokio::test]
async fn git_is_shown_the_token_as_a_password() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", REPOSITORY, ok(repository(true))).await;
    mount(&mock, "GET", REFS, advertisement()).await;
    let gitea = gitea(&mock.uri(), &outgoing());
    assert_eq!(gitea.may_push(&pasted(&personal()), "acme/infra.git").await, Push::Allowed);
    let requests = mock.received_requests().await.unwrap();
    let pair =
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("git:{}", personal().expose()));
    assert_eq!(sent(&requests[0], "authorization"), format!("Bearer {}", personal().expose()));
    assert_eq!(sent(&requests[1], "authorization"), format!("Basic {pair}"));
    assert_eq!(requests[1].url.query(), Some("service=git-receive-pack"));
}

#[tokio::test]
async fn only_names_of_repositories_become_addresses() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let gitea = gitea(server.url.as_str(), &outgoing());
    for name in
        ["", "/", "o", "o/", "/r", "o/r/x", "../r", "o/..", "o/.git", "o/r?x", "o/r%2f", "o/r\n", "ö/r"]
    {
        assert_eq!(gitea.may_push(&pasted(&personal()), name).await, Push::Unknown, "{name:?}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    assert_eq!(gitea.may_push(&pasted(&personal()), "o-1/r.x_y").await, Push::Unknown);
    assert!(server.requests.lock().unwrap()[0].starts_with("GET /api/v1/repos/o-1/r.x_y "));
}

fn form_of(request: &Request) -> Vec<(String, String)> {
    let mut fields: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn a_code_is_exchanged_with_one_post_and_its_scopes_are_asked_for() {
    let mock = MockServer::start().await;
    mount(&mock, "POST", GRANTS, ok(pair())).await;
    let introspection = json!({ "active": true, "scope": "openid read:user write:repository", "username": "jane", "sub": "7" });
    mount(&mock, "POST", INTROSPECT, ok(introspection)).await;
    let grant = exchange(&gitea(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), of_oauth2("access").expose());
    assert_eq!(grant.refresh.unwrap().expose(), of_oauth2("refresh").expose());
    assert_eq!(grant.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(grant.refresh_expires_in, None);
    assert_eq!(grant.scopes.unwrap().to_vec(), ["read:user", "write:repository"]);

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(asked(&requests), [format!("POST {GRANTS}"), format!("POST {INTROSPECT}")]);
    let fields = form_of(&requests[0]);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("client_id", "client-0123456789abcdef"),
        ("client_secret", SECRETS[0]),
        ("code", SECRETS[1]),
        ("code_verifier", SECRETS[2]),
        ("grant_type", "authorization_code"),
        ("redirect_uri", "https://gitward.example.com/callback/here"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(sent(&requests[0], "authorization"), "");
    assert_eq!(form_of(&requests[1]), [("token".to_owned(), of_oauth2("access").expose().to_owned())]);
    assert!(sent(&requests[1], "authorization").starts_with("Basic "));
    assert_eq!(sent(&requests[1], "content-type"), "application/x-www-form-urlencoded");
    assert!(requests.iter().all(|request| request.url.query().is_none()));
}

#[tokio::test]
async fn what_a_grant_may_do_is_shown_only_where_the_provider_says_it() {
    let seen = |body: Value| ok(body);
    let table = [
        (seen(json!({ "active": true, "scope": "write:repository" })), Some("write:repository")),
        // Of the first time, whatever is asked later.
        (seen(json!({ "active": true, "scope": "read:user" })), Some("read:user")),
        (seen(json!({ "active": true, "scope": "all" })), Some("all")),
        (seen(json!({ "active": true, "scope": "something:new" })), Some("something:new")),
        (seen(json!({ "active": true, "scope": "openid profile email groups" })), None),
        (seen(json!({ "active": true, "scope": "" })), None),
        (seen(json!({ "active": true, "scope": null })), None),
        (seen(json!({ "active": true, "scope": ["all"] })), None),
        (seen(json!({ "active": true })), None),
        (seen(json!({ "active": false, "scope": "all" })), None),
        (seen(json!({ "active": true, "scope": "read:user \u{202e}all" })), None),
        (seen(json!({ "active": true, "scope": "x".repeat(101) })), None),
        (page(200), None),
        (plain(401, "no valid authorization"), None),
        (page(404), None),
        (status(429), None),
        (status(500), None),
    ];
    let http = outgoing();
    for (row, (answer, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "POST", GRANTS, ok(pair())).await;
        mount(&mock, "POST", INTROSPECT, answer).await;
        let grant = exchange(&gitea(&mock.uri(), &http)).await.unwrap();
        assert_eq!(grant.scopes, expected.map(ScopeSet::parse), "row {row}");
        assert_eq!(mock.received_requests().await.unwrap().len(), 2, "row {row}");
    }
    // A version that says it itself is believed, and not asked.
    let mock = MockServer::start().await;
    let mut whole = pair();
    whole["scope"] = json!("read:user write:repository");
    mount(&mock, "POST", GRANTS, ok(whole)).await;
    let grant = exchange(&gitea(&mock.uri(), &http)).await.unwrap();
    assert_eq!(grant.scopes, Some(set("read:user write:repository")));
    assert_eq!(mock.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_grant_is_renewed_with_one_post_and_whatever_comes_back_is_kept() {
    let mock = MockServer::start().await;
    let http = outgoing();
    // Reusable: the same again, or none. Rotating: another one.
    for refresh_token in
        [json!(of_oauth2("refresh").expose()), json!(of_oauth2("next").expose()), Value::Null]
    {
        mock.reset().await;
        let mut answer = pair();
        answer["refresh_token"] = refresh_token.clone();
        mount(&mock, "POST", GRANTS, ok(answer)).await;
        let grant = refresh(&gitea(&mock.uri(), &http)).await.unwrap();
        assert_eq!(grant.refresh.as_ref().map(Secret::expose), refresh_token.as_str());
        assert_eq!(grant.scopes, None);

        let requests = mock.received_requests().await.unwrap();
        assert_eq!(asked(&requests), [format!("POST {GRANTS}")]);
        let names: Vec<_> = form_of(&requests[0]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["client_id", "client_secret", "grant_type", "refresh_token"]);
        assert_eq!(sent(&requests[0], "authorization"), "");
    }
}

#[tokio::test]
async fn a_life_that_cannot_be_read_is_the_documented_one() {
    let mock = MockServer::start().await;
    let mut answer = pair();
    answer["expires_in"] = json!(-1);
    mount(&mock, "POST", GRANTS, ok(answer)).await;
    let grant = refresh(&gitea(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.expires_in, Some(Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_limit_ends_when_the_host_says() {
    let seconds = |span: u64| Some(now().plus(Duration::from_secs(span)));
    let table: [(u16, &[&str], Option<Timestamp>); 7] = [
        (429, &[], None),
        (429, &["60"], seconds(60)),
        (429, &["0"], None),
        (429, &["4000000000"], seconds(7200)),
        (429, &["Sun, 22 Nov 2026 12:05:00 GMT"], seconds(300)),
        (429, &["soon"], None),
        (403, &["30"], seconds(30)),
    ];
    let http = outgoing();
    for (row, (code, later, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        let answer =
            later.iter().fold(status(code), |answer, value| answer.insert_header("retry-after", *value));
        // The API answers, but not this one page of it.
        mount(&mock, "GET", TOKEN, answer.clone()).await;
        mount(&mock, "GET", USER, ok(jane())).await;
        let gitea = gitea(&mock.uri(), &http);
        let Err(ProviderError::RateLimited { until, evidence }) =
            gitea.identify(&pasted(&personal()), Age::Settled).await
        else {
            panic!("row {row}")
        };
        assert_eq!((until, evidence.request.as_str()), (expected, "GET /api/v1/token"), "row {row}");
        mock.reset().await;
        Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
        let Err(ProviderError::RateLimited { until, .. }) =
            gitea.identify(&pasted(&personal()), Age::Settled).await
        else {
            panic!("row {row}")
        };
        assert_eq!(until, expected, "row {row}");
        let Err(GrantError::RateLimited { until, .. }) = refresh(&gitea).await else { panic!("row {row}") };
        assert_eq!(until, expected, "row {row}");
    }
}

#[tokio::test]
async fn evidence_quotes_nothing() {
    let mock = MockServer::start().await;
    let secret = of_oauth2("canary");
    let http = outgoing();
    let swagger = "https://git.example.com/api/swagger";
    for body in [
        json!({ "error": secret.expose(), "error_description": secret.expose(), "message": secret.expose() }),
        json!({ "message": secret.expose(), "url": swagger }),
        json!({ "message": format!("{LACKS_SCOPE_START}, required=[read:user], token scope={}", secret.expose()), "url": swagger }),
        json!({ "access_token": secret.expose(), "token_type": secret.expose(), "id": secret.expose(), "login": secret.expose() }),
        json!(secret.expose()),
    ] {
        for code in [200, 400, 401, 403, 404, 429, 500] {
            mock.reset().await;
            let answer = status(code).set_body_json(&body);
            Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
            let gitea = gitea(&mock.uri(), &http);
            let identities = [
                gitea.identify(&granted(&secret), Age::Fresh).await,
                gitea.identify(&pasted(&secret), Age::Settled).await,
            ];
            let grants = [exchange(&gitea).await.err(), refresh(&gitea).await.err()];
            let shown = format!("{identities:?} {grants:?}");
            assert!(!shown.contains("canary"), "{code}: {shown}");
            assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{code}: {shown}");
        }
    }
}

const LACKS_SCOPE_START: &str = "token does not have at least one of required scope(s)";

#[test]
fn own_scopes_are_read_from_the_known_form_alone() {
    let own = |rest: &str| {
        let body = json!({ "message": format!("{LACKS_SCOPE_START}{rest}"), "url": "https://x/api/swagger" });
        let reply = Reply {
            status: StatusCode::FORBIDDEN,
            headers: http::HeaderMap::new(),
            body: Zeroizing::new(body.to_string().into_bytes()),
        };
        match answer::refusal("GET /api/v1/user", &reply, now()) {
            ProviderError::Insufficient { granted, .. } => granted.map(|granted| granted.join(" ")),
            other => panic!("{other:?}"),
        }
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(own(", required=[read:user], token scope=write:issue"), some("write:issue"));
    assert_eq!(own(", required=[read:user], token scope=public-only,all"), some("all public-only"));
    assert_eq!(own(", required=[read:user read:issue], token scope=write:package"), some("write:package"));
    assert_eq!(own(", required=[read:user], token scope="), some(""));
    for odd in [
        "",
        ": [read:user]",
        ", required=[read:user]",
        ", required=[read:user], token scope=<b>all</b>",
        ", required=[read:user], token scope=all, and call 555 0100",
        ", required=[read:user], token scope=all,",
        ", required=[read:user], token scope=read:",
        ", required=[read:user], token scope=READ:USER",
        ", required=[call us], token scope=all",
        ", token scope=all",
        " token scope=all",
    ] {
        assert_eq!(own(odd), None, "{odd:?}");
    }
}

#[test]
fn both_brands_have_their_name_and_the_same_addresses() {
    let http = outgoing();
    let cases = [
        ("https://gitea.com", Brand::Gitea, "Gitea", "https://gitea.com", ""),
        ("https://codeberg.org/", Brand::Forgejo, "Forgejo", "https://codeberg.org", ""),
        ("https://example.com/git/", Brand::Gitea, "Gitea", "https://example.com", "/git"),
        ("https://example.com:3000/git", Brand::Forgejo, "Forgejo", "https://example.com:3000", "/git"),
    ];
    for (base, brand, name, origin, path) in cases {
        let gitea = Gitea::new(settings(base, &http), brand).unwrap();
        let at = |rest: &str| format!("{origin}{path}{rest}");
        assert_eq!(gitea.name(), name, "{base}");
        assert_eq!(gitea.origin(), origin, "{base}");
        assert_eq!(below(&gitea.place.api, ["user"]).as_str(), at("/api/v1/user"), "{base}");
        let endpoints = gitea.oauth_endpoints();
        assert_eq!(endpoints.authorize.as_str(), at("/login/oauth/authorize"), "{base}");
        assert_eq!(endpoints.token.as_str(), at("/login/oauth/access_token"), "{base}");
        assert_eq!(endpoints.issuer, at(""), "{base}");
        let guide = gitea.guide(&gitea.default_scopes(), None, "Gitward");
        assert_eq!(guide.link.as_str(), at("/user/settings/applications"), "{base}");
    }
    assert_eq!(gitea("https://example.com:3000/git", &http).host(), "example.com:3000");
    let named = Settings { name: Some("Forge".to_owned()), ..settings("https://git.example.com", &http) };
    assert_eq!(Gitea::new(named, Brand::Forgejo).unwrap().name(), "Forge");
    let apart = Settings {
        api_url: Some(Url::parse("https://api.example.com/v1").unwrap()),
        ..settings("https://git.example.com", &http)
    };
    let apart = Gitea::new(apart, Brand::Gitea).unwrap();
    assert_eq!(apart.origin(), "https://api.example.com https://git.example.com");
    let forbidden = Gitea::new(settings("https://169.254.169.254", &http), Brand::Gitea);
    assert_eq!(forbidden.err(), Some(OriginError::Forbidden));
}

#[tokio::test]
async fn a_host_below_a_path_is_asked_below_it() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", "/git/api/v1/user", ok(jane())).await;
    mount(&mock, "GET", "/git/api/v1/repos/acme/infra", ok(repository(true))).await;
    mount(&mock, "GET", "/git/acme/infra.git/info/refs", advertisement()).await;
    mount(&mock, "POST", "/git/login/oauth/access_token", ok(pair())).await;
    mount(&mock, "POST", "/git/login/oauth/introspect", ok(json!({ "active": true, "scope": "all" }))).await;
    let gitea = gitea(&format!("{}/git/", mock.uri()), &outgoing());
    assert!(gitea.identify(&granted_to_app(), Age::Fresh).await.is_ok());
    assert_eq!(gitea.may_push(&granted_to_app(), "acme/infra").await, Push::Allowed);
    assert_eq!(exchange(&gitea).await.unwrap().scopes, Some(set("all")));
    assert!(refresh(&gitea).await.is_ok());
    assert!(
        mock.received_requests().await.unwrap().iter().all(|request| request.url.path().starts_with("/git/"))
    );
}

#[test]
fn the_steps_name_what_to_choose() {
    let gitea = here();
    let guide = |needed: &str| gitea.guide(&set(needed), Some("acme/infra"), "Gitward: berlin");
    let usual = guide("read:user write:repository");
    assert!(usual.steps[0].contains("enter “Gitward: berlin” as “Token Name”"));
    assert_eq!(
        usual.steps[1],
        "Open “Select permissions” and choose “Read and Write” for repository and “Read” for user."
    );
    assert!(usual.link.query().is_none() && usual.limited_link.is_none());
    assert!(usual.user_name.is_none() && !usual.asks_end, "access tokens have no end to note");
    let chosen = |needed: &str| guide(needed).steps[1].clone();
    // Whose it is, Gitward always has to ask.
    assert_eq!(chosen("write:repository"), usual.steps[1]);
    assert_eq!(chosen(""), "Open “Select permissions” and choose “Read” for user.");
    assert!(chosen("write:user read:user").ends_with("choose “Read and Write” for user."));
    assert!(chosen("all").ends_with("choose “Read and Write” for everything."));
    assert!(
        chosen("read:issue write:repository")
            .ends_with("choose “Read” for issue, “Read and Write” for repository and “Read” for user.")
    );
    assert!(chosen("something").ends_with("choose something and “Read” for user."));
}

#[test]
fn no_grant_is_asked_for_without_scopes() {
    let gitea = here();
    let asked = |needed: &str| gitea.oauth_scopes(&set(needed)).join(" ");
    assert_eq!(asked(""), "read:user", "none would be everything");
    assert_eq!(asked("write:repository"), "read:user write:repository");
    assert_eq!(asked("write:repository write:user"), "write:repository write:user");
    assert_eq!(asked("all"), "all");
    assert_eq!(gitea.default_scopes().join(" "), "read:user write:repository");
}

#[test]
fn what_is_implied_is_not_missing() {
    let gitea = here();
    // Granted, needed, missing.
    let table = [
        ("read:user write:repository", "read:user write:repository", ""),
        ("all", "read:user write:repository write:admin something:new", ""),
        ("write:repository", "read:repository", ""),
        ("read:repository", "write:repository", "write:repository"),
        ("write:user write:repository", "read:user write:repository", ""),
        ("write:repository", "read:user write:repository", "read:user"),
        ("public-only read:user write:repository", "read:user write:repository", ""),
        ("public-only", "read:repository", "read:repository"),
        ("public-only all", "write:repository", ""),
        ("read:user", "public-only read:user", ""),
        ("write:issue", "read:repository read:issue", "read:repository"),
        ("write:something", "read:something", ""),
        ("something:new", "something:new read:user", "read:user"),
        ("ALL", "read:user", "read:user"),
        ("", "read:user", "read:user"),
        ("", "", ""),
    ];
    for (granted, needed, missing) in table {
        assert_eq!(gitea.missing(&set(granted), &set(needed)).join(" "), missing, "{granted} for {needed}");
    }
}

fn read<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

/// Decodes what stands in these tests, and so what is read here, by the types that others made from Forgejo's own
/// description of its API.
#[test]
fn the_answers_in_these_tests_are_of_the_form_that_forgejo_describes() {
    let user: structs::User = read(jane());
    assert_eq!((user.id, user.login.as_deref()), (Some(7), Some("jane")));
    let role: structs::Permission = read(repository(true)["permissions"].clone());
    assert_eq!(role.push, Some(true));
    let token: structs::AccessToken = read(current_token(&["read:user"]));
    assert_eq!(token.scopes, Some(vec!["read:user".to_owned()]));
    let refusal = json!({ "message": "token is required", "url": "https://git.example.com/api/swagger" });
    let unauthorized: structs::APIUnauthorizedError = read(refusal.clone());
    let forbidden: structs::APIForbiddenError = read(refusal);
    assert_eq!(unauthorized.message, forbidden.message);
    assert!(unauthorized.url.unwrap().ends_with("/api/swagger"));
    let pair: structs::OAuthToken = read(pair());
    assert_eq!((pair.token_type.as_str(), pair.expires_in), ("bearer", 3600));

    // And the other way round: what it describes is read here.
    let described = structs::User { id: Some(42), login: Some("kim".to_owned()), ..user };
    let described = Reply {
        status: StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: Zeroizing::new(serde_json::to_vec(&described).unwrap()),
    };
    let owner = described.json::<Account>().and_then(Account::owner).unwrap();
    assert_eq!((owner.id.as_str(), owner.login.as_str()), ("42", "kim"));
}

/// A simulated host, and this provider there.
struct Simulated {
    router: axum::Router,
    gitea: Gitea,
}

impl Simulated {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = forge::router(&Arc::new(forge::Host::new(forge::Shape::Gitea, &url, Vec::new())));
        tokio::spawn(forge::serve(listener, router.clone()));
        Self { router, gitea: gitea(&url, &outgoing()) }
    }

    /// What it answers, and with which status.
    async fn ask(&self, verb: &str, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let mut request =
            http::Request::builder().method(verb).uri(path).header(CONTENT_TYPE, "application/json");
        if let Some(token) = token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
        let answer = tower::ServiceExt::oneshot(self.router.clone(), request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn tell(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask("POST", &format!("/_forge/{path}"), None, body).await;
        assert!(matches!(status, 200..300), "{path}: {status} {answer}");
        answer
    }

    /// A token of octocat.
    async fn token(&self, scopes: &[&str]) -> Secret {
        let made = self.tell("tokens", json!({ "user": "octocat", "scopes": scopes })).await;
        Secret::new(made["token"].as_str().unwrap())
    }
}

/// The host that the journeys meet is held against the same description.
#[tokio::test]
async fn the_simulated_host_answers_in_the_form_that_forgejo_describes() {
    let host = Simulated::start().await;
    let whole = host.token(&["read:user", "write:repository"]).await;
    let (_, user) = host.ask("GET", USER, Some(whole.expose()), Value::Null).await;
    assert_eq!(read::<structs::User>(user).login.as_deref(), Some("octocat"));
    let (_, mut repository) = host.ask("GET", REPOSITORY, Some(whole.expose()), Value::Null).await;
    let role: structs::Permission = read(repository["permissions"].take());
    assert_eq!(role.push, Some(true));
    host.tell("settings", json!({ "token_api": true })).await;
    let (_, mut about) = host.ask("GET", TOKEN, Some(whole.expose()), Value::Null).await;
    assert_eq!(about["user"].take(), json!({ "id": 583_231, "login": "octocat" }));
    let about: structs::AccessToken = read(about);
    assert_eq!(about.scopes.unwrap().len(), 2);
    let (code, refusal) = host.ask("GET", USER, Some("no such token"), Value::Null).await;
    assert_eq!(code, 401);
    assert!(read::<structs::APIUnauthorizedError>(refusal).url.unwrap().ends_with("/api/swagger"));
    let narrow = host.token(&["write:repository"]).await;
    let (code, refusal) = host.ask("GET", USER, Some(narrow.expose()), Value::Null).await;
    assert_eq!(code, 403);
    assert_eq!(read::<structs::APIForbiddenError>(refusal).message.as_deref(), Some(LACKS_OLD));
}

#[tokio::test]
async fn a_simulated_host_of_any_age_is_understood() {
    let host = Simulated::start().await;
    let whole = host.token(&["read:user", "write:repository"]).await;
    let narrow = host.token(&["write:repository"]).await;
    let reader = host.token(&["read:user", "read:repository"]).await;
    let gitea = &host.gitea;
    let octocat = ProviderAccount { id: "583231".to_owned(), login: "octocat".to_owned() };

    let identity = gitea.identify(&pasted(&whole), Age::Settled).await.unwrap();
    assert_eq!((identity.owner, identity.scopes), (octocat.clone(), None));
    let error = gitea.identify(&pasted(&narrow), Age::Settled).await.unwrap_err();
    assert!(matches!(error, ProviderError::Insufficient { granted: None, .. }), "{error:?}");
    host.tell("settings", json!({ "names_token_scopes": true })).await;
    let error = gitea.identify(&pasted(&narrow), Age::Settled).await.unwrap_err();
    let ProviderError::Insufficient { granted: Some(granted), .. } = error else { panic!("{error:?}") };
    assert_eq!(granted, set("write:repository"));
    let unknown = gitea.identify(&pasted(&personal()), Age::Settled).await;
    assert_eq!(Word::from(unknown), Word::Rejected);

    host.tell("settings", json!({ "token_api": true })).await;
    gitea.tells_nothing_until.store(0, Ordering::Relaxed);
    let identity = gitea.identify(&pasted(&whole), Age::Settled).await.unwrap();
    assert_eq!(identity.scopes, Some(set("read:user write:repository")));
    let identity = gitea.identify(&pasted(&narrow), Age::Settled).await.unwrap();
    assert_eq!((identity.owner, identity.scopes), (octocat, Some(set("write:repository"))));

    let push =
        async |token: &Secret, repository: &str| Word::from(gitea.may_push(&pasted(token), repository).await);
    assert_eq!(push(&whole, "acme/infra").await, Word::Allowed);
    assert_eq!(push(&narrow, "acme/infra").await, Word::Allowed);
    assert_eq!(push(&reader, "acme/infra").await, Word::Denied);
    assert_eq!(push(&whole, "acme/readonly").await, Word::Denied);
    assert_eq!(push(&whole, "acme/secret-ops").await, Word::Hidden);
    assert_eq!(push(&whole, "acme/nothing").await, Word::Hidden);
}

#[tokio::test]
async fn a_simulated_grant_is_renewed_with_either_kind_of_refresh_token() {
    let host = Simulated::start().await;
    let app = OauthApp {
        client_id: "gitward-demo".to_owned(),
        client_secret: Secret::new("gitward-demo-secret"),
        ..app()
    };
    for once in [false, true] {
        host.tell("settings", json!({ "invalidate_refresh_tokens": once })).await;
        let made = host
            .tell(
                "tokens",
                json!({ "user": "octocat", "kind": "oauth", "scopes": ["read:user", "write:repository"] }),
            )
            .await;
        let access = Secret::new(made["token"].as_str().unwrap());
        assert_eq!(host.gitea.granted(&app, &access).await, Some(set("read:user write:repository")));
        let identity = host.gitea.identify(&granted(&access), Age::Fresh).await.unwrap();
        assert_eq!((identity.kind.as_str(), identity.scopes), ("oauth2", None));
        let refresh = Secret::new(made["refresh_token"].as_str().unwrap());
        let renewed = host.gitea.refresh(&app, &refresh).await.unwrap();
        assert!(renewed.refresh.is_some() && renewed.scopes.is_none());
        assert_eq!(renewed.expires_in, Some(Duration::from_secs(3600)));
        let again = Word::from(host.gitea.refresh(&app, &refresh).await);
        assert_eq!(again, if once { Word::Refused } else { Word::Granted });
        let newest = Word::from(host.gitea.refresh(&app, &renewed.refresh.unwrap()).await);
        assert_eq!(newest, Word::Granted);
    }
    let unknown = host.gitea.refresh(&app, &of_oauth2("nobody")).await;
    assert_eq!(Word::from(unknown), Word::Refused);
}

/// What an answer may hold, often nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        r#"\{"(message|id|scopes|permissions|active)":("[ -~]{0,40}"|-?[0-9]{0,40}|true|null|\[("[a-z:,]{0,20}")?\]|\{\})(,"(url|login|user|scope)":("[ -~]{0,40}(/api/swagger)?"|-?[0-9]{1,40}|null|\{\}))?\}"#
            .prop_map(String::into_bytes),
        r#"\{"message":"token does not have at least one of required scope\(s\)(, required=\[[a-z: ]{0,20}\])?(, token scope=[ -!#-\[\]-~]{0,60})?","url":"https://x/api/swagger"\}"#
            .prop_map(String::into_bytes),
        r#"[\[\]{}",:0-9a-z]{0,4000}"#.prop_map(String::into_bytes),
        (0_usize..60_000).prop_map(|depth| b"[".repeat(depth)),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_answer_is_too_odd_to_read(body in body(), code in 200_u16..600, later in "[-0-9a-zA-Z ,:]{0,40}") {
        let headers = http::HeaderMap::from_iter([(
            http::header::RETRY_AFTER,
            HeaderValue::from_str(&later).unwrap_or(HeaderValue::from_static("")),
        )]);
        let reply = Reply { status: StatusCode::from_u16(code).unwrap(), headers, body: Zeroizing::new(body) };
        let start = tokio::time::Instant::now();
        match answer::refusal("GET /api/v1/user", &reply, now()) {
            ProviderError::Rejected(_) => assert_eq!(code, 401),
            ProviderError::Insufficient { granted, .. } => {
                assert_eq!(code, 403);
                assert!(granted.is_none_or(|granted| granted.iter().all(scopes::is_known_form)));
            }
            ProviderError::RateLimited { until, .. } => {
                assert!(matches!(code, 403 | 429));
                assert!(until.is_none_or(|until| until > now() && until.since(now()).as_secs() <= 7200));
            }
            ProviderError::Blocked { .. } => unreachable!("Gitea says nothing of the sort"),
            ProviderError::Unreachable(_) => {}
        }
        let itself = answer::about(&reply);
        assert!(itself.is_none() || matches!(code, 200 | 403 | 404));
        if let Some(Itself::Told(About::Token { scopes: Some(scopes), .. })) = itself {
            assert!(scopes.iter().all(|scope| scope.bytes().all(|byte| byte.is_ascii_graphic())));
        }
        let _ = reply.json::<Account>().and_then(Account::owner);
        let _ = reply.json::<Introspection>().and_then(Introspection::scopes);
        let pushes = answer::role(&reply, now()) == Push::Allowed;
        assert!(!pushes || code == 200);
        for dialect in [&CODES, &RENEWALS] {
            let normal = dialect.normalise(&reply);
            assert!(normal.is_err() || matches!(code, 200 | 400 | 401));
        }
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

mod revocation {
    use super::*;
    use crate::provider::testing::to_revoke;

    #[tokio::test]
    async fn nothing_counts_as_revoked_but_by_the_providers_own_word() {
        use Fate::{Cannot, Limited, Revoked, Unknown, Unreachable};
        let own: Vec<(&str, Fate, Fate)> = bad_days("http://127.0.0.1:1")
            .into_iter()
            .map(|(name, _, identity, ..)| match name {
                "204" => (name, Revoked, Cannot),
                "401 token" | "401 required" | "401 user" => (name, Unknown, Cannot),
                "403 scope" | "403 scope, named" | "403 public" | "403 disabled" => (name, Cannot, Cannot),
                "404" | "404 router" | "405" => (name, Cannot, Cannot),
                // There is no way to end a grant, on any day.
                _ if identity == Word::Limited => (name, Limited, Cannot),
                _ => (name, Unreachable, Cannot),
            })
            .collect();
        endure_revocation(bad_days, &samples(), gitea, &own).await;
    }

    #[tokio::test]
    async fn a_token_ends_itself_where_the_version_has_a_page_for_it() {
        let mock = MockServer::start().await;
        mount(&mock, "DELETE", "/api/v1/token", status(204)).await;
        let (token, gitea) = (personal(), gitea(&mock.uri(), &outgoing()));
        assert_eq!(gitea.revoke(&to_revoke(pasted(&token), None, None)).await, Ok(Revoked::Now));
        let requests = mock.received_requests().await.unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(sent(&requests[0], "authorization"), format!("Bearer {}", token.expose()));
        assert!(gitea.can_revoke(Method::Token, "access-token"));
        assert!(!gitea.can_revoke(Method::Oauth2, "oauth2"));
        assert_eq!(gitea.revocation_page(Method::Token, "").path(), "/user/settings/applications");
    }

    #[tokio::test]
    async fn a_version_without_the_page_says_so_beforehand() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", "/api/v1/user", ok(jane())).await;
        mount(&mock, "GET", "/api/v1/token", told(404, "not found")).await;
        let (token, gitea) = (personal(), gitea(&mock.uri(), &outgoing()));
        gitea.identify(&pasted(&token), Age::Settled).await.unwrap();
        assert!(!gitea.can_revoke(Method::Token, "access-token"));
    }
}
