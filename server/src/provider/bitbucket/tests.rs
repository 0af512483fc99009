//! Bitbucket Cloud on good days and on bad ones.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue};
use proptest::prelude::{Strategy, any, prop_oneof};
use serde_json::{Value, json};
use tokio::time::Instant;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any as anything, header, method, path},
};
use zeroize::Zeroizing;

use super::*;
use crate::provider::revoke::{Revoke, RevokeError};
use crate::{
    clock::Timestamp,
    provider::{
        Grant, GrantError,
        http::{
            Outgoing,
            tests::{BadServer, Misdeed},
        },
        testing::{
            Ask, Day, Door, Fault, Further, SECRETS, Samples, Takes, Word, app, as_ever_of_a_repository,
            days_of_any_host, endure, endure_further, exchange, granted, mount, now, oauth_error, outgoing,
            page, pasted, plain, sent, settings, status,
        },
    },
};

const EMAIL: &str = "jane@example.com";
const USER: &str = "/2.0/user";
const TOKEN: &str = "/site/oauth2/access_token";
const MECHANISM: &str = "This API is not accessible by this authentication mechanism";
const LACKS: &str = "Your credentials lack one or more required privilege scopes.";
const DEAD: &str = "Token is invalid, expired, or not supported for this endpoint.";

/// Tokens are put together when the tests run: what looks like one must not stand in a file.
fn token(prefix: &str) -> Secret {
    Secret::new([prefix, "xFfGF0", &"a".repeat(180), "=0A1B2C3D"].concat())
}

fn api_token() -> Secret {
    token(API_TOKEN)
}

fn access_token() -> Secret {
    token(ACCESS_TOKEN)
}

/// Those of new consumers are JSON web tokens of more than a thousand letters.
fn of_consumer() -> Secret {
    Secret::new(["eyJ", &"b".repeat(1200), ".c.d"].concat())
}

fn refresh_token() -> Secret {
    Secret::new("r".repeat(40))
}

fn with_email(token: &Secret) -> Presented<'_> {
    Presented { user_name: Some(EMAIL), ..pasted(token) }
}

fn bitbucket(base: &str, http: &Outgoing) -> Bitbucket {
    Bitbucket::new(settings(base, http)).unwrap()
}

async fn refresh(bitbucket: &Bitbucket) -> Result<Grant, GrantError> {
    bitbucket.refresh(&app(), &refresh_token()).await
}

fn jane() -> Value {
    json!({
        "type": "user", "display_name": "Jane Doe", "uuid": "{b9dc7a4c-0000-4000-8000-000000000001}",
        "account_id": "557058:11111111", "account_status": "active", "username": "janedoe", "nickname": "jane",
    })
}

fn says(code: u16, message: &str) -> ResponseTemplate {
    status(code).set_body_json(json!({ "type": "error", "error": { "message": message } }))
}

fn lacks(granted: &[&str], required: &[&str]) -> ResponseTemplate {
    let detail = json!({ "granted": granted, "required": required });
    status(403).set_body_json(json!({ "type": "error", "error": { "message": LACKS, "detail": detail } }))
}

fn basic(name: &str, token: &Secret) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{}", token.expose())))
}

fn bearer(token: &Secret) -> String {
    format!("Bearer {}", token.expose())
}

/// How each question for a token was asked, in order.
async fn asked(mock: &MockServer) -> Vec<String> {
    let requests = mock.received_requests().await.unwrap();
    requests.iter().map(|request| sent(request, "authorization")).collect()
}

/// What Bitbucket's own answers mean.
///
/// `Rejected`, `Refused` and `AppRefused` take something from a user; they stand here only where Bitbucket itself
/// says so.
fn bad_days(elsewhere: &str) -> Vec<Day> {
    use Word::{AppRefused, Denied, Hidden, Insufficient, Limited, Refused, Rejected, Unknown, Unreachable};
    let answer = Fault::Answer;
    let gone = "CHANGE-2770 - Functionality has been deprecated";
    let half = json!({ "type": "error", "error": { "message": 7 } });
    #[rustfmt::skip]
    let days = vec![
        // Bitbucket's own refusals.
        ("401 JSON", answer(says(401, DEAD)), Rejected, Unknown, Unreachable),
        ("401 expired", answer(says(401, "Access token expired. Use your refresh token to obtain a new access token.")), Rejected, Unknown, Unreachable),
        ("403 scope", answer(lacks(&["read:repository:bitbucket"], &["read:user:bitbucket"])), Insufficient, Denied, Unreachable),
        ("403 scope, no detail", answer(says(403, LACKS)), Insufficient, Denied, Unreachable),
        ("403 mechanism", answer(says(403, MECHANISM)), Unreachable, Denied, Unreachable),
        ("401 mechanism", answer(says(401, MECHANISM)), Unreachable, Unknown, Unreachable),
        ("403 forbidden", answer(says(403, "Forbidden")), Unreachable, Denied, Unreachable),
        ("404 JSON", answer(says(404, "Repository acme/infra not found")), Unreachable, Hidden, Unreachable),
        ("404 text", answer(plain(404, "Not Found")), Unreachable, Unknown, Unreachable),
        ("410 removed", answer(says(410, gone)), Unreachable, Unknown, Unreachable),
        // Its form, but not quite.
        ("401 other type", answer(status(401).set_body_json(json!({ "type": "x", "error": { "message": DEAD } }))), Unreachable, Unknown, Unreachable),
        ("401 no type", answer(status(401).set_body_json(json!({ "error": { "message": DEAD } }))), Unreachable, Unknown, Unreachable),
        ("401 number", answer(status(401).set_body_json(half)), Unreachable, Unknown, Unreachable),
        ("401 of GitHub's", answer(status(401).set_body_json(json!({ "message": "Bad credentials" }))), Unreachable, Unknown, Unreachable),
        ("403 of GitHub's", answer(status(403).set_body_json(json!({ "message": "Forbidden" }))), Unreachable, Unknown, Unreachable),
        // Errors of OAuth2, and the same from where they mean nothing.
        ("invalid grant", answer(oauth_error(400, "invalid_grant")), Unreachable, Unknown, Refused),
        ("invalid client", answer(oauth_error(401, "invalid_client")), Unreachable, Unknown, AppRefused),
        ("unauthorized", answer(oauth_error(400, "unauthorized_client")), Unreachable, Unknown, AppRefused),
        ("grant type", answer(oauth_error(400, "unsupported_grant_type")), Unreachable, Unknown, AppRefused),
        ("redirect", answer(oauth_error(400, "redirect_uri_mismatch")), Unreachable, Unknown, AppRefused),
        ("invalid grant, 403", answer(oauth_error(403, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("invalid grant, 500", answer(oauth_error(500, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("invalid grant, 429", answer(oauth_error(429, "invalid_grant")), Limited, Unknown, Limited),
        ("server error", answer(oauth_error(400, "server_error")), Unreachable, Unknown, Unreachable),
        ("bad request", answer(oauth_error(400, "invalid_request")), Unreachable, Unknown, Unreachable),
        ("unknown error", answer(oauth_error(200, "<script>")), Unreachable, Unknown, Unreachable),
        ("empty error", answer(oauth_error(200, "")), Unreachable, Unknown, Unreachable),
        ("error 7", answer(status(200).set_body_json(json!({ "error": 7 }))), Unreachable, Unknown, Unreachable),
        // Too many requests.
        ("429", answer(says(429, "Rate limit for this resource has been exceeded")), Limited, Unknown, Limited),
        ("429 text", answer(plain(429, "Retry later")), Limited, Unknown, Limited),
        ("429 HTML", answer(page(429)), Limited, Unknown, Limited),
        ("429 seconds", answer(status(429).insert_header("retry-after", "60")), Limited, Unknown, Limited),
        ("403 later", answer(says(403, "Later").insert_header("retry-after", "60")), Limited, Unknown, Limited),
        ("403 limit", answer(says(403, "Rate limit for this resource has been exceeded")), Limited, Unknown, Limited),
        ("400", answer(says(400, "Bad request")), Unreachable, Unknown, Unreachable),
        ("503 dead", answer(says(503, DEAD)), Unreachable, Unknown, Unreachable),
        ("200 error", answer(says(200, DEAD)), Unreachable, Unknown, Unreachable),
        ("200 no number", answer(status(200).set_body_json(json!({ "username": "a" }))), Unreachable, Unknown, Unreachable),
        ("200 odd number", answer(status(200).set_body_json(json!({ "uuid": "a\u{202e}b", "account_id": "" }))), Unreachable, Unknown, Unreachable),
        ("200 number for text", answer(status(200).set_body_json(json!({ "uuid": 1, "username": "a" }))), Unreachable, Unknown, Unreachable),
        ("late 401", Fault::TooLate(says(401, DEAD)), Unreachable, Unknown, Unreachable),
    ];
    days.into_iter().chain(days_of_any_host(&jane(), elsewhere)).collect()
}

fn samples(token: Secret, user_name: Option<&'static str>) -> Samples {
    Samples { token, user_name, access: of_consumer(), refresh: refresh_token(), repository: "acme/infra" }
}

#[tokio::test]
async fn a_bad_day_takes_nothing_from_anyone() {
    let cells = endure(bad_days, &samples(api_token(), Some(EMAIL)), bitbucket).await;
    assert!(cells >= 360, "{cells} cells");
}

#[tokio::test]
async fn a_bad_day_at_a_further_door_takes_nothing_from_anyone() {
    use Word::{Insufficient, Rejected};
    let further = [
        // Bitbucket has refused the token with the e-mail address, and it is shown once more without.
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(USER).shown("Basic "), says(401, DEAD))],
            door: Door::get(USER).shown("Bearer "),
            means: |day| if day.identity == Insufficient { vec![Insufficient] } else { vec![Rejected] },
            takes: Takes::Already,
        },
        // Git does not let it push, and the API tells why.
        Further {
            asks: Ask::PUSH,
            others: vec![(Door::get("/acme/infra.git/info/refs"), plain(403, "You may not push."))],
            door: Door::get("/2.0/repositories/acme/infra"),
            means: as_ever_of_a_repository,
            takes: Takes::Nothing,
        },
    ];
    let cells = endure_further(bad_days, &samples(api_token(), Some(EMAIL)), bitbucket, &further).await;
    assert!(cells >= 250, "{cells} cells");
}

/// The one thing that differs: an access token need not tell whose it is.
#[tokio::test]
async fn a_bad_day_takes_nothing_from_an_access_token() {
    let days = |elsewhere: &str| {
        let all = bad_days(elsewhere).into_iter();
        all.filter(|(name, ..)| !name.ends_with("mechanism")).collect()
    };
    endure(days, &samples(access_token(), None), bitbucket).await;
}

#[tokio::test]
async fn an_api_token_goes_with_the_email_address_and_shows_whose_it_is_and_what_it_may() {
    let mock = MockServer::start().await;
    let scopes = "read:repository:bitbucket, read:user:bitbucket, write:repository:bitbucket";
    let answer = status(200)
        .set_body_json(jane())
        .insert_header("X-Credential-Type", "api_token")
        .insert_header("X-OAuth-Scopes", scopes)
        .insert_header("X-Accepted-OAuth-Scopes", "read:user:bitbucket");
    mount(&mock, "GET", USER, answer).await;
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    let identity = bitbucket.identify(&with_email(&api_token()), Age::Settled).await.unwrap();
    let id = "{b9dc7a4c-0000-4000-8000-000000000001}".to_owned();
    assert_eq!(identity.owner, ProviderAccount { id, login: "janedoe".to_owned() });
    assert_eq!((identity.kind.as_str(), bitbucket.kind_label(&identity.kind)), ("api-token", "API token"));
    let granted = identity.scopes.unwrap();
    assert_eq!(granted, bitbucket.default_scopes());
    assert!(bitbucket.missing(&granted, &bitbucket.default_scopes()).is_empty());
    assert_eq!(identity.expiry, TokenExpiry::Unknown);
    assert_eq!(identity.evidence, Evidence { request: "GET /user".to_owned(), answer: "200".to_owned() });
    assert_eq!(asked(&mock).await, [basic(EMAIL, &api_token())]);
    let requests = mock.received_requests().await.unwrap();
    assert_eq!((requests[0].url.query(), sent(&requests[0], "accept").as_str()), (None, "application/json"));
}

#[tokio::test]
async fn an_access_token_is_a_bot_that_is_told_from_others_by_itself() {
    let http = outgoing();
    #[rustfmt::skip]
    let table = [
        (403, Some("repo_access_token"), "repository-access-token", "Repository access token", "repository bot "),
        (403, Some("project_access_token"), "project-access-token", "Project access token", "project bot "),
        (403, Some("workspace_access_token"), "workspace-access-token", "Workspace access token", "workspace bot "),
        // Should the status be another, or the kind not be told.
        (401, Some("repo_access_token"), "repository-access-token", "Repository access token", "repository bot "),
        (403, None, "access-token", "Access token", "bot "),
        (403, Some("something_new"), "access-token", "Access token", "bot "),
    ];
    for (code, shown, kind, label, name) in table {
        let mock = MockServer::start().await;
        let mut answer =
            says(code, MECHANISM).insert_header("X-OAuth-Scopes", "repository, repository:write");
        if let Some(shown) = shown {
            answer = answer.insert_header("X-Credential-Type", shown);
        }
        mount(&mock, "GET", USER, answer).await;
        let bitbucket = bitbucket(&mock.uri(), &http);
        let (one, other) = (access_token(), Secret::new([ACCESS_TOKEN, "x"].concat()));
        let first = bitbucket.identify(&pasted(&one), Age::Settled).await.unwrap();
        let again = bitbucket.identify(&pasted(&one), Age::Settled).await.unwrap();
        let another = bitbucket.identify(&pasted(&other), Age::Settled).await.unwrap();
        assert_eq!((first.kind.as_str(), bitbucket.kind_label(&first.kind)), (kind, label));
        assert!(first.owner.login.starts_with(name), "{}", first.owner.login);
        assert_eq!(first.owner, again.owner);
        assert_ne!(first.owner.id, another.owner.id);
        assert!(!one.expose().contains(first.owner.id.trim_start_matches("bot:")));
        assert_eq!(first.scopes.unwrap().to_vec(), ["repository", "repository:write"]);
        assert_eq!(asked(&mock).await[0], bearer(&one));
    }
}

#[tokio::test]
async fn a_token_of_a_user_never_becomes_a_bot() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", USER, says(403, MECHANISM)).await;
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    let (api, oauth) = (api_token(), of_consumer());
    for presented in [with_email(&api), pasted(&api), granted(&oauth)] {
        let error = bitbucket.identify(&presented, Age::Settled).await.unwrap_err();
        assert_eq!(Word::from(Err::<Identity, _>(error)), Word::Unreachable);
    }
}

#[tokio::test]
async fn kinds_are_told_apart_by_what_is_answered() {
    let unknown = Secret::new("x".repeat(50));
    let (api, access, oauth) = (api_token(), access_token(), of_consumer());
    let of_api = "read:user:bitbucket";
    // The token, how it was given, the kind in the answer, the scopes there, and the kind that it is.
    type Row<'a> = (Presented<'a>, Option<&'a str>, Option<&'a str>, &'a str);
    let table: &[Row<'_>] = &[
        (with_email(&api), Some("api_token"), Some(of_api), "api-token"),
        (with_email(&api), None, None, "api-token"),
        (with_email(&api), Some("something_new"), None, "api-token"),
        (with_email(&api), Some("oauth_access_token"), None, "api-token"),
        (with_email(&unknown), None, None, "api-token"),
        (pasted(&api), Some("api_token"), Some(of_api), "api-token-alone"),
        (pasted(&api), None, None, "api-token-alone"),
        (pasted(&unknown), Some("api_token"), None, "api-token-alone"),
        (pasted(&unknown), None, Some(of_api), "api-token-alone"),
        // An access token that may ask after all, some day.
        (pasted(&access), Some("workspace_access_token"), Some("account"), "workspace-access-token"),
        (with_email(&access), Some("repo_access_token"), Some("repository"), "repository-access-token"),
        (pasted(&access), None, None, "access-token"),
        (granted(&oauth), None, Some("account"), "oauth"),
        (granted(&oauth), Some("oauth_access_token"), None, "oauth"),
        (granted(&oauth), Some("api_token"), None, "oauth"),
        (pasted(&oauth), Some("oauth_access_token"), Some("account"), "oauth"),
        (pasted(&oauth), None, Some("account"), "other"),
        (pasted(&unknown), None, None, "other"),
    ];
    let http = outgoing();
    for (row, (presented, shown, scopes, kind)) in table.iter().enumerate() {
        let mock = MockServer::start().await;
        let mut answer = status(200).set_body_json(jane());
        for (name, value) in [("x-credential-type", shown), ("x-oauth-scopes", scopes)] {
            if let Some(value) = value {
                answer = answer.insert_header(name, *value);
            }
        }
        mount(&mock, "GET", USER, answer).await;
        let bitbucket = bitbucket(&mock.uri(), &http);
        let identity = bitbucket.identify(presented, Age::Settled).await.unwrap();
        assert_eq!(identity.kind, *kind, "row {row}");
        assert_eq!(identity.scopes.is_some(), scopes.is_some(), "row {row}");
        assert_eq!(identity.owner.login, "janedoe", "row {row}");
        assert_eq!(bitbucket.kind_label(kind) == "Token", *kind == "other", "row {row}");
        // What worked is what is done again.
        let first = asked(&mock).await;
        let later = Presented { kind: Some(&identity.kind), ..*presented };
        assert_eq!(bitbucket.identify(&later, Age::Settled).await.unwrap().kind, *kind, "row {row}");
        assert_eq!(first.len(), 1, "row {row}");
        assert_eq!(asked(&mock).await, [first[0].clone(), first[0].clone()], "row {row}");
    }
}

#[test]
fn each_kind_opens_its_own_doors() {
    let bitbucket = bitbucket("https://bitbucket.org", &outgoing());
    let (api, access, oauth, odd) = (api_token(), access_token(), of_consumer(), Secret::new("odd"));
    let named = |name: &str| Auth::Basic { user_name: name.to_owned() };
    let kind = |kind, presented| Presented { kind: Some(kind), ..presented };
    #[rustfmt::skip]
    let table = [
        // Nobody has asked yet.
        (with_email(&api), named(EMAIL), "x-bitbucket-api-token-auth"),
        (with_email(&odd), named(EMAIL), "x-bitbucket-api-token-auth"),
        (pasted(&api), Auth::Bearer, "x-bitbucket-api-token-auth"),
        // The page fills in the address of the last time; an access token has no use for it.
        (with_email(&access), Auth::Bearer, "x-token-auth"),
        (pasted(&access), Auth::Bearer, "x-token-auth"),
        (granted(&oauth), Auth::Bearer, "x-token-auth"),
        (pasted(&odd), Auth::Bearer, "x-token-auth"),
        // A Bitbucket user name is no address: it would be refused.
        (Presented { user_name: Some("janedoe"), ..pasted(&api) }, Auth::Bearer, "x-bitbucket-api-token-auth"),
        // It is known what it is.
        (kind("api-token", with_email(&odd)), named(EMAIL), "x-bitbucket-api-token-auth"),
        (kind("api-token-alone", with_email(&api)), Auth::Bearer, "x-bitbucket-api-token-auth"),
        (kind("repository-access-token", with_email(&odd)), Auth::Bearer, "x-token-auth"),
        (kind("project-access-token", pasted(&odd)), Auth::Bearer, "x-token-auth"),
        (kind("workspace-access-token", pasted(&odd)), Auth::Bearer, "x-token-auth"),
        (kind("oauth", granted(&odd)), Auth::Bearer, "x-token-auth"),
        (kind("from another version", with_email(&api)), named(EMAIL), "x-bitbucket-api-token-auth"),
    ];
    for (row, (presented, api, git)) in table.into_iter().enumerate() {
        assert_eq!(bitbucket.doors(&presented), Doors { api, git: named(git) }, "row {row}");
    }
}

#[tokio::test]
async fn a_wrong_email_address_does_not_lose_a_good_token() {
    let mock = MockServer::start().await;
    let (email, alone) = (basic(EMAIL, &api_token()), bearer(&api_token()));
    Mock::given(path(USER))
        .and(header("authorization", email.as_str()))
        .respond_with(says(401, DEAD))
        .mount(&mock)
        .await;
    let good = status(200).set_body_json(jane()).insert_header("x-credential-type", "api_token");
    Mock::given(path(USER))
        .and(header("authorization", alone.as_str()))
        .respond_with(good)
        .mount(&mock)
        .await;
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    let token = api_token();
    let identity = bitbucket.identify(&with_email(&token), Age::Settled).await.unwrap();
    assert_eq!(identity.kind, "api-token-alone");
    assert_eq!(asked(&mock).await, [email, alone.clone()]);

    // Later it goes straight to the door that opened.
    let kept = Presented { kind: Some(&identity.kind), ..with_email(&token) };
    assert!(bitbucket.identify(&kept, Age::Settled).await.is_ok());
    assert_eq!(asked(&mock).await[2..], [alone]);
}

#[tokio::test]
async fn a_plain_refusal_is_not_blurred_by_what_follows() {
    let api = api_token();
    let lacking = lacks(&["read:me"], &["read:user:bitbucket"]);
    let table = [
        (says(401, DEAD), Word::Rejected),
        (says(403, MECHANISM), Word::Rejected),
        (page(503), Word::Rejected),
        (says(429, "Later"), Word::Rejected),
        (lacking, Word::Insufficient),
        (status(200).set_body_json(jane()), Word::Valid),
    ];
    for (row, (second, outcome)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        let email = basic(EMAIL, &api);
        Mock::given(header("authorization", email.as_str()))
            .respond_with(says(401, DEAD))
            .with_priority(1)
            .mount(&mock)
            .await;
        mount(&mock, "GET", USER, second).await;
        let bitbucket = bitbucket(&mock.uri(), &outgoing());
        let answer = bitbucket.identify(&with_email(&api), Age::Settled).await;
        assert_eq!(Word::from(answer), outcome, "row {row}");
        assert_eq!(asked(&mock).await, [email, bearer(&api)], "row {row}");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", USER, says(401, DEAD)).await;
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    let (api, access, oauth) = (api_token(), access_token(), of_consumer());
    let kept = |presented, kind| Presented { kind: Some(kind), ..presented };
    let table = [
        // Shown the two ways that there are, once each, and only while it is being added.
        (with_email(&api), Age::Settled, 2),
        (pasted(&api), Age::Settled, 1),
        (with_email(&access), Age::Settled, 1),
        (granted(&oauth), Age::Fresh, 1),
        (kept(with_email(&api), "api-token"), Age::Settled, 1),
        (kept(with_email(&api), "api-token-alone"), Age::Settled, 1),
        (kept(pasted(&access), "repository-access-token"), Age::Settled, 1),
        (kept(granted(&oauth), "oauth"), Age::Fresh, 1),
    ];
    for (row, (presented, age, times)) in table.into_iter().enumerate() {
        mock.reset().await;
        mount(&mock, "GET", USER, says(401, DEAD)).await;
        let error = bitbucket.identify(&presented, age).await.unwrap_err();
        let evidence = Evidence { request: "GET /user".to_owned(), answer: "401".to_owned() };
        assert_eq!(error, ProviderError::Rejected(evidence), "row {row}");
        let mut asked = asked(&mock).await;
        assert_eq!(asked.len(), times, "row {row}");
        asked.dedup();
        assert_eq!(asked.len(), times, "row {row}: the same question twice");
    }
    // Only a refusal is worth another try.
    for answer in [says(429, "Later"), page(503), lacks(&["read:me"], &["read:user:bitbucket"])] {
        mock.reset().await;
        mount(&mock, "GET", USER, answer).await;
        assert!(bitbucket.identify(&with_email(&api), Age::Settled).await.is_err());
        assert_eq!(asked(&mock).await.len(), 1);
    }
}

#[tokio::test]
async fn a_good_token_that_may_not_tell_whose_it_is_says_what_it_lacks() {
    let http = outgoing();
    let set = |text| ScopeSet::parse(text);
    let many: Vec<String> = (0..3).map(|n| "x".repeat(99 + n)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    // The answer, what it may, what it lacks.
    #[rustfmt::skip]
    let table = [
        (
            lacks(&["read:repository:bitbucket"], &["read:user:bitbucket"]),
            Some(set("read:repository:bitbucket")),
            set("read:user:bitbucket"),
        ),
        (lacks(&[], &["account"]), Some(set("")), set("account")),
        (lacks(&["a", "b"], &["b", "c"]), Some(set("a b")), set("c")),
        // It claims to lack what it has: what it names is all that is known.
        (lacks(&["account"], &["account"]), Some(set("account")), set("account")),
        // Without the lists, the headers tell.
        (
            says(403, LACKS)
                .insert_header("x-oauth-scopes", "repository")
                .insert_header("x-accepted-oauth-scopes", "account"),
            Some(set("repository")),
            set("account"),
        ),
        (says(403, LACKS).insert_header("x-oauth-scopes", "repository"), Some(set("repository")), set("account")),
        (says(403, LACKS).insert_header("x-oauth-scopes", "read:me"), Some(set("read:me")), set("read:user:bitbucket")),
        (says(403, LACKS), None, set("read:user:bitbucket")),
        // Nothing that could not be a scope.
        (lacks(&["a b", "", "c\u{202e}", "d"], &["e"]), Some(set("d")), set("e")),
        (lacks(&many, &["e"]), Some(many[..2].iter().copied().collect()), set("e")),
    ];
    for (row, (answer, granted, missing)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", USER, answer).await;
        let error = bitbucket(&mock.uri(), &http).identify(&with_email(&api_token()), Age::Settled).await;
        let evidence = Evidence { request: "GET /user".to_owned(), answer: "403".to_owned() };
        assert_eq!(
            error.unwrap_err(),
            ProviderError::Insufficient { granted, missing, evidence },
            "row {row}"
        );
        assert_eq!(asked(&mock).await.len(), 1, "row {row}");
    }
}

#[tokio::test]
async fn a_question_that_was_removed_says_nothing_about_the_token() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", USER, says(410, "CHANGE-2770 - Functionality has been deprecated")).await;
    let error = bitbucket(&mock.uri(), &outgoing()).identify(&with_email(&api_token()), Age::Settled).await;
    let Err(ProviderError::Unreachable(evidence)) = error else { panic!("no fault") };
    assert_eq!(evidence.answer, "410, Bitbucket has removed what was asked for");
    assert_eq!(asked(&mock).await.len(), 1);
}

#[test]
fn names_of_any_script_are_shown_and_those_that_hide_are_not() {
    let named =
        |account: Value| serde_json::from_value::<Account>(account).unwrap().owner().map(|owner| owner.login);
    #[rustfmt::skip]
    let table = [
        (json!({ "uuid": "{1}", "username": "janedoe", "nickname": "jane" }), Some("janedoe")),
        (json!({ "uuid": "{1}", "username": null, "nickname": "Jäne D." }), Some("Jäne D.")),
        (json!({ "uuid": "{1}", "display_name": "山田" }), Some("山田")),
        (json!({ "uuid": "{1}", "username": "a\u{202e}b", "nickname": "\u{200b}", "display_name": " Jane " }), Some("Jane")),
        (json!({ "uuid": "{1}", "username": "a\nb" }), Some("{1}")),
        (json!({ "uuid": "{1}", "username": "a".repeat(256) }), Some("{1}")),
        (json!({ "uuid": "{1}" }), Some("{1}")),
        (json!({ "account_id": "557058:1", "username": "jane" }), Some("jane")),
        (json!({ "uuid": "", "account_id": "557058:1" }), Some("557058:1")),
        (json!({ "uuid": "\u{e9}", "username": "jane" }), None),
        (json!({ "username": "jane" }), None),
    ];
    for (account, login) in table {
        assert_eq!(named(account.clone()).as_deref(), login, "{account}");
    }
}

#[tokio::test]
async fn a_limit_ends_when_the_host_says() {
    let seconds = |span: u64| Some(now().plus(Duration::from_secs(span)));
    let epoch = (now().seconds() + 90).to_string();
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Option<Timestamp>);
    let table: &[Row<'_>] = &[
        (429, &[], None),
        (429, &[("x-ratelimit-limit", "1000"), ("x-ratelimit-nearlimit", "true")], None),
        (429, &[("retry-after", "60")], seconds(60)),
        (429, &[("retry-after", "0")], None),
        (429, &[("retry-after", "4000000000")], seconds(7200)),
        (429, &[("retry-after", "Sun, 22 Nov 2026 12:05:00 GMT")], seconds(300)),
        (429, &[("retry-after", "soon")], None),
        (429, &[("x-ratelimit-reset", &epoch)], seconds(90)),
        (429, &[("retry-after", "30"), ("x-ratelimit-reset", &epoch)], seconds(30)),
        (429, &[("x-ratelimit-reset", "junk")], None),
        (403, &[("retry-after", "30")], seconds(30)),
    ];
    let http = outgoing();
    for (row, (code, headers, expected)) in table.iter().enumerate() {
        let mock = MockServer::start().await;
        let answer =
            headers.iter().fold(status(*code), |answer, (name, value)| answer.insert_header(*name, *value));
        Mock::given(anything()).respond_with(answer).mount(&mock).await;
        let bitbucket = bitbucket(&mock.uri(), &http);
        let Err(ProviderError::RateLimited { until, .. }) =
            bitbucket.identify(&with_email(&api_token()), Age::Settled).await
        else {
            panic!("row {row}");
        };
        assert_eq!(until, *expected, "row {row}");
        let Err(GrantError::RateLimited { until, .. }) = refresh(&bitbucket).await else {
            panic!("row {row}")
        };
        assert_eq!(until, *expected, "row {row}");
    }
}

const REFS: &str = "/acme/infra.git/info/refs";
const REPOSITORY: &str = "/2.0/repositories/acme/infra";

fn advertisement() -> ResponseTemplate {
    status(200).set_body_raw(
        "001f# service=git-receive-pack\n0000".repeat(20_000),
        "application/x-git-receive-pack-advertisement",
    )
}

#[tokio::test]
async fn git_is_asked_by_the_name_of_the_kind_never_by_the_email_address() {
    let mock = MockServer::start().await;
    // Longer than any body that is read.
    mount(&mock, "GET", REFS, advertisement()).await;
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    let (api, access, oauth) = (api_token(), access_token(), of_consumer());
    assert_eq!(bitbucket.may_push(&with_email(&api), "acme/infra").await, Push::Allowed);
    assert_eq!(bitbucket.may_push(&pasted(&access), "acme/infra.git").await, Push::Allowed);
    assert_eq!(bitbucket.may_push(&granted(&oauth), "acme/infra").await, Push::Allowed);
    let expected = [
        basic("x-bitbucket-api-token-auth", &api),
        basic("x-token-auth", &access),
        basic("x-token-auth", &oauth),
    ];
    assert_eq!(asked(&mock).await, expected);
    let requests = mock.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| request.url.query() == Some("service=git-receive-pack")));
}

#[tokio::test]
async fn the_api_tells_why_git_takes_none() {
    use Word::{Allowed, Denied, Hidden, Unknown};
    let git = |code| plain(code, "No.");
    let api = |code| says(code, "No.");
    let seen = || status(200).set_body_json(json!({ "type": "repository", "full_name": "acme/infra" }));
    let table = [
        (advertisement(), seen(), Allowed),
        (status(200).set_body_raw("x", "text/html"), seen(), Unknown),
        (status(200).set_body_raw("x", "application/x-git-upload-pack-advertisement"), seen(), Unknown),
        (git(401), seen(), Unknown),
        (git(403), seen(), Denied),
        (git(403), lacks(&["read:user:bitbucket"], &["read:repository:bitbucket"]), Denied),
        (git(403), api(403), Denied),
        (git(403), api(404), Hidden),
        (git(403), api(401), Unknown),
        (git(403), api(410), Unknown),
        (git(403), says(403, "Rate limit exceeded"), Unknown),
        (git(403), api(429), Unknown),
        (git(403), page(200), Unknown),
        (git(403), page(403), Unknown),
        (git(404), api(404), Hidden),
        (git(404), api(403), Hidden),
        // Git's own pages may be for people as well; then the API's word counts.
        (page(404), api(404), Hidden),
        (page(403), api(403), Denied),
        (page(403), seen(), Unknown),
        (git(404), seen(), Unknown),
        (git(404), page(404), Unknown),
        (git(403).insert_header("retry-after", "5"), seen(), Unknown),
        (git(410), seen(), Unknown),
        (git(500), seen(), Unknown),
    ];
    let http = outgoing();
    for (row, (git, api, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", REFS, git).await;
        mount(&mock, "GET", REPOSITORY, api).await;
        let outcome = bitbucket(&mock.uri(), &http).may_push(&with_email(&api_token()), "acme/infra").await;
        assert_eq!(Word::from(outcome), expected, "row {row}");
        // The API by its door, Git by its own.
        let asked = asked(&mock).await;
        assert!(asked.len() <= 2, "row {row}");
        assert!(asked.get(1).is_none_or(|second| *second == basic(EMAIL, &api_token())), "row {row}");
    }
}

#[tokio::test]
async fn only_names_of_repositories_become_addresses() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let bitbucket = bitbucket(server.url.as_str(), &outgoing());
    for name in
        ["", "o", "o/", "/r", "o/r/x", "../r", "o/..", "o/.git", "o/r?x", "o/r#x", "o/r%2f", "o r/x", "@e/r"]
    {
        assert_eq!(bitbucket.may_push(&pasted(&access_token()), name).await, Push::Unknown, "{name:?}");
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(bitbucket.may_push(&pasted(&access_token()), "o-1/r.x_y").await, Push::Unknown);
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_code_is_exchanged_as_a_form_by_a_client_that_says_its_name_in_the_header() {
    let mock = MockServer::start().await;
    let access = of_consumer();
    let answer = json!({
        "access_token": access.expose(), "token_type": "bearer", "expires_in": 7200,
        "refresh_token": refresh_token().expose(), "scope": "account repository:write",
        "state": "authorization_code",
    });
    Mock::given(method("POST"))
        .and(path(TOKEN))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .respond_with(status(200).set_body_json(answer))
        .mount(&mock)
        .await;
    let grant = exchange(&bitbucket(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), access.expose());
    assert_eq!(grant.refresh.unwrap().expose(), refresh_token().expose());
    assert_eq!((grant.expires_in, grant.refresh_expires_in), (Some(Duration::from_secs(7200)), None));
    assert_eq!(grant.scopes.unwrap().to_vec(), ["account", "repository:write"]);

    let client = Secret::new(SECRETS[0]);
    assert_eq!(asked(&mock).await, [basic("client-0123456789abcdef", &client)]);
    let request = &mock.received_requests().await.unwrap()[0];
    let mut names: Vec<_> =
        url::form_urlencoded::parse(&request.body).map(|(name, _)| name.into_owned()).collect();
    names.sort();
    assert_eq!(names, ["code", "code_verifier", "grant_type", "redirect_uri"]);
    assert_eq!(request.url.query(), None);
}

#[tokio::test]
async fn a_grant_is_renewed_with_one_post_whose_pair_replaces_the_old() {
    let http = outgoing();
    // The key was renamed in May 2026, and some day the number may be missing.
    let table = [
        (json!({ "scopes": "account repository:write", "expires_in": 7200 }), true, Some(7200)),
        (json!({ "scope": "account repository:write", "expires_in": 7200 }), true, Some(7200)),
        (json!({ "scope": "", "expires_in": "7200" }), false, Some(7200)),
        (json!({ "expires_in": "soon" }), false, Some(7200)),
        (json!({}), false, None),
    ];
    for (row, (mut answer, shown, life)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        answer["access_token"] = json!("next");
        answer["refresh_token"] = json!("after-next");
        answer["token_type"] = json!("bearer");
        mount(&mock, "POST", TOKEN, status(200).set_body_json(answer)).await;
        let grant = refresh(&bitbucket(&mock.uri(), &http)).await.unwrap();
        assert_eq!(grant.refresh.unwrap().expose(), "after-next", "row {row}");
        assert_eq!(grant.expires_in, life.map(Duration::from_secs), "row {row}");
        let scopes = grant.scopes.map(|scopes| scopes.to_vec());
        let expected = shown.then(|| vec!["account".to_owned(), "repository:write".to_owned()]);
        assert_eq!(scopes, expected, "row {row}");
        let requests = mock.received_requests().await.unwrap();
        assert_eq!(requests.len(), 1, "row {row}");
        let body = String::from_utf8_lossy(&requests[0].body).into_owned();
        assert!(body.contains("grant_type=refresh_token") && !body.contains("redirect_uri"), "row {row}");
        assert!(!body.contains(SECRETS[0]), "row {row}");
    }
}

#[tokio::test]
async fn evidence_quotes_nothing() {
    let mock = MockServer::start().await;
    let secret = api_token();
    let text = secret.expose();
    let bodies = [
        json!({ "type": "error", "error": { "message": text, "detail": text } }).to_string(),
        json!({ "type": "error", "error": { "message": LACKS, "detail": { "granted": text, "required": [7] } } })
            .to_string(),
        json!({ "error": text, "error_description": text, "access_token": text, "token_type": text }).to_string(),
        text.to_owned(),
    ];
    for body in bodies {
        for code in [200, 400, 401, 403, 404, 410, 500] {
            mock.reset().await;
            let answer = status(code)
                .set_body_raw(body.clone(), "application/json")
                .insert_header("x-credential-type", text);
            Mock::given(anything()).respond_with(answer).mount(&mock).await;
            let bitbucket = bitbucket(&mock.uri(), &outgoing());
            let identity = bitbucket.identify(&with_email(&secret), Age::Settled).await;
            let grants = [exchange(&bitbucket).await.err(), refresh(&bitbucket).await.err()];
            let shown = format!("{identity:?} {grants:?}");
            assert!(!shown.contains(text), "{code}: {shown}");
            assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{code}: {shown}");
        }
    }
}

#[test]
fn an_app_password_is_told_to_be_one() {
    let bitbucket = bitbucket("https://bitbucket.org", &outgoing());
    let dead = Secret::new([" ", APP_PASSWORD, &"x".repeat(24), "0A1B2C3D"].concat());
    assert_eq!(bitbucket.shape(&dead), Shape::Refused(ENDED));
    assert!(ENDED.contains("28 July 2026") && !ENDED.contains(APP_PASSWORD));
    for token in [api_token(), access_token(), of_consumer(), Secret::new("x")] {
        assert_eq!(bitbucket.shape(&token), Shape::Plausible);
    }
    assert_eq!(bitbucket.shape(&token(&["gh", "p_"].concat())), Shape::Foreign("GitHub"));
    assert!(bitbucket.foreign_shapes().iter().all(|(prefix, _)| !prefix.starts_with("AT")));
}

#[test]
fn each_address_follows_from_the_base() {
    let http = outgoing();
    let cases = [
        (
            "https://bitbucket.org",
            "https://api.bitbucket.org/2.0/user",
            "https://api.bitbucket.org https://bitbucket.org",
            "https://id.atlassian.com/manage-profile/security/api-tokens",
            "https://bitbucket.org/site/oauth2/access_token",
        ),
        (
            "https://bitbucket.org/",
            "https://api.bitbucket.org/2.0/user",
            "https://api.bitbucket.org https://bitbucket.org",
            "https://id.atlassian.com/manage-profile/security/api-tokens",
            "https://bitbucket.org/site/oauth2/access_token",
        ),
        (
            "http://localhost:4001",
            "http://localhost:4001/2.0/user",
            "http://localhost:4001",
            "http://localhost:4001/manage-profile/security/api-tokens",
            "http://localhost:4001/site/oauth2/access_token",
        ),
        (
            "https://git.example.com/hosts/cloud/",
            "https://git.example.com/hosts/cloud/2.0/user",
            "https://git.example.com",
            "https://git.example.com/hosts/cloud/manage-profile/security/api-tokens",
            "https://git.example.com/hosts/cloud/site/oauth2/access_token",
        ),
    ];
    for (base, user, origin, page, token) in cases {
        let bitbucket = bitbucket(base, &http);
        assert_eq!(bitbucket.name(), "Bitbucket", "{base}");
        assert_eq!(below(&bitbucket.place.api, ["user"]).as_str(), user, "{base}");
        assert_eq!(bitbucket.origin(), origin, "{base}");
        let link = bitbucket.guide(&bitbucket.default_scopes(), None, "x").link;
        assert_eq!(&link[..url::Position::AfterPath], page, "{base}");
        assert_eq!(bitbucket.oauth_endpoints().token.as_str(), token, "{base}");
    }
    let endpoints = bitbucket("https://bitbucket.org/", &http).oauth_endpoints();
    assert_eq!(endpoints.authorize.as_str(), "https://bitbucket.org/site/oauth2/authorize");
    assert_eq!(endpoints.issuer, "https://bitbucket.org");
    let named = |api: &str| {
        let api_url = Some(Url::parse(api).unwrap());
        Bitbucket::new(Settings { api_url, ..settings("http://localhost:4001", &http) })
    };
    let elsewhere = named("http://localhost:4002/rest").unwrap();
    assert_eq!(below(&elsewhere.place.api, ["user"]).as_str(), "http://localhost:4002/rest/user");
    assert_eq!(named("http://api.example.com").err(), Some(OriginError::Scheme));
    assert_eq!(
        Bitbucket::new(settings("https://169.254.169.254", &http)).err(),
        Some(OriginError::Forbidden)
    );
}

#[test]
fn the_guide_names_what_to_tick_in_the_words_of_the_page() {
    let bitbucket = bitbucket("https://bitbucket.org", &outgoing());
    let guide = bitbucket.guide(&bitbucket.default_scopes(), Some("acme/infra"), "Gitward: prod");
    assert_eq!(
        guide.link.as_str(),
        "https://id.atlassian.com/manage-profile/security/api-tokens?autofillToken=&appId=bitbucket\
         &selectedScopes=read%3Arepository%3Abitbucket%2Cread%3Auser%3Abitbucket%2Cwrite%3Arepository%3Abitbucket"
    );
    let limited = guide.limited_link.unwrap();
    assert_eq!(limited.as_str(), "https://bitbucket.org/acme/infra/admin/access-tokens");
    let steps = guide.steps.join("\n");
    assert!(steps.contains("read:repository:bitbucket, read:user:bitbucket, write:repository:bitbucket"));
    assert!(
        steps.contains("“Create API token with scopes”") && steps.contains("repository, repository:write")
    );
    assert!(!steps.contains("app password"));
    let field = guide.user_name.unwrap();
    assert!(field.email && field.optional && guide.asks_end);
    assert!(field.hint.contains("not your Bitbucket user name"));
    // An operator may have written the words of apps.
    let other = bitbucket.guide(&ScopeSet::parse("account repository:write"), Some("not a repository"), "");
    assert_eq!(other.limited_link, None);
    assert_eq!(other.link, guide.link);
}

#[test]
fn what_is_missing_is_said_in_the_words_of_what_is_there() {
    let bitbucket = bitbucket("https://bitbucket.org", &outgoing());
    let usual = "read:user:bitbucket read:repository:bitbucket write:repository:bitbucket";
    // Granted, needed, missing.
    #[rustfmt::skip]
    let table = [
        // API tokens: nothing implies anything.
        (usual, usual, ""),
        ("read:user:bitbucket write:repository:bitbucket", usual, "read:repository:bitbucket"),
        ("read:user:bitbucket admin:repository:bitbucket", usual, "read:repository:bitbucket write:repository:bitbucket"),
        ("read:me read:account", usual, usual),
        ("", usual, usual),
        ("", "", ""),
        (usual, "read:workspace:bitbucket", "read:workspace:bitbucket"),
        (usual, "account repository:write", ""),
        ("read:user:bitbucket", "repository:write", "read:repository:bitbucket write:repository:bitbucket"),
        (usual, "webhook", "read:webhook:bitbucket write:webhook:bitbucket"),
        (usual, "something", "something"),
        // Apps and access tokens: some do. Whoever has told whose it is needs no scope for that.
        ("account repository:write", usual, ""),
        ("repository:write", usual, ""),
        ("repository", usual, "repository:write"),
        ("pullrequest:write", usual, ""),
        ("pullrequest", usual, "repository:write"),
        ("project", "read:repository:bitbucket", ""),
        ("repository:admin", usual, "repository repository:write"),
        ("project:admin", "repository", "repository"),
        ("repository:delete", usual, "repository repository:write"),
        ("account:write", "account email", ""),
        ("account", "account:write", "account:write"),
        ("repository:write", "account", "account"),
        ("repository:write", "read:webhook:bitbucket write:webhook:bitbucket", "webhook"),
        ("webhook", "delete:webhook:bitbucket", ""),
        ("repository:write", "read:workspace:bitbucket", "account"),
        ("repository:write", "write:pullrequest:bitbucket", "pullrequest:write"),
        ("something:new", "something:new", ""),
        ("something", usual, "repository repository:write"),
    ];
    for (granted, needed, missing) in table {
        let found = bitbucket.missing(&ScopeSet::parse(granted), &ScopeSet::parse(needed));
        assert_eq!(found, ScopeSet::parse(missing), "{granted} for {needed}");
    }
}

#[test]
fn an_app_asks_in_its_own_words() {
    let bitbucket = bitbucket("https://bitbucket.org", &outgoing());
    let asked = |needed: &str| bitbucket.oauth_scopes(&ScopeSet::parse(needed)).join(" ");
    assert_eq!(
        bitbucket.oauth_scopes(&bitbucket.default_scopes()).join(" "),
        "account repository repository:write"
    );
    assert_eq!(asked("account repository:write"), "account repository:write");
    assert_eq!(asked("read:webhook:bitbucket admin:repository:bitbucket"), "repository:admin webhook");
    assert_eq!(asked(""), "");
}

/// What an answer may hold, often nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        r#"\{"type":"(error|user)","error":\{"message":("[ -~]{0,60}"|[0-9]{0,9}|null),"detail":(null|"[ -~]{0,9}"|\{"(granted|required)":(\["[ -~]{0,40}"(,[0-9])?\]|7)\})\}\}"#
            .prop_map(String::into_bytes),
        r#"\{"(uuid|account_id|username|access_token|error)":("[ -~]{0,40}"|[0-9]{0,40}|null|\[\]|\{\})(,"(scope|scopes|expires_in)":("[ -~]{0,40}"|-?[0-9]{1,40}|null))?\}"#
            .prop_map(String::into_bytes),
        (0_usize..60_000).prop_map(|depth| b"[".repeat(depth)),
    ]
}

/// What a header may hold, often nearly right.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        "([a-z:_]{0,12}[, ]{0,3}){0,400}".prop_map(String::into_bytes),
        "(api_token|(repo|project|workspace)_access_token|oauth)?[ -~]{0,20}".prop_map(String::into_bytes),
        "-?[0-9]{0,30}".prop_map(String::into_bytes),
    ]
}

/// In time, whatever it was.
fn soon<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
    result
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_answer_is_too_odd_to_read(body in body(), value in header_value(), code in 200_u16..600, bots in any::<bool>()) {
        let names = ["x-oauth-scopes", "x-accepted-oauth-scopes", "x-credential-type", "retry-after", "x-ratelimit-reset"];
        let headers: HeaderMap = HeaderValue::from_bytes(&value)
            .into_iter()
            .flat_map(|value| names.map(|name| (HeaderName::from_static(name), value.clone())))
            .collect();
        let has_no_body = body.is_empty();
        let reply =
            Reply { status: StatusCode::from_u16(code).unwrap(), headers, body: Zeroizing::new(body) };
        soon(|| {
            let _ = reply.json::<Account>().and_then(Account::owner);
            let granted = answer::scopes(&reply.headers).unwrap_or_default();
            let _ = scopes::missing(&granted, &granted);
            let until = answer::limit(&reply, now()).and_then(|limit| limit.until);
            assert!(until.is_none_or(|until| until > now() && until.since(now()).as_secs() <= 7200));
            let no = answer::refusal("GET /user", &reply, bots, now());
            let rejected = matches!(no, No::Error(ProviderError::Rejected(_)));
            assert!(!rejected || (code == 401 && !has_no_body));
            assert!(!matches!(no, No::NotAUser) || matches!(code, 401 | 403));
            let normal = DIALECT.normalise(&reply);
            assert!(normal.is_err() || matches!(code, 200 | 400 | 401));
        });
    }

    #[test]
    fn translating_there_and_back_never_asks_for_less(text in "((read|write|admin):(user|repository|webhook|pullrequest):bitbucket ){0,5}") {
        let needed = ScopeSet::parse(&text);
        let there = scopes::of_apps(&needed);
        // A grant of all that an app would ask for is enough.
        assert!(there.is_empty() || scopes::missing(&there, &needed).is_empty());
        assert!(scopes::missing(&needed, &needed).is_empty());
    }
}

#[tokio::test]
async fn only_its_owner_can_revoke_a_token_and_is_told_where() {
    let mock = MockServer::start().await;
    let (token, access) = (api_token(), of_consumer());
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    for presented in [pasted(&token), granted(&access)] {
        let what = Revoke { presented, refresh: None, app: Some(&app()), whole_grant: true };
        assert!(matches!(bitbucket.revoke(&what).await, Err(RevokeError::Cannot(_))));
        assert!(Kind::ALL.iter().all(|kind| !bitbucket.can_revoke(presented.method, kind.word())));
    }
    assert_eq!(mock.received_requests().await.unwrap().len(), 0);
    let page = |method, kind: Kind| bitbucket.revocation_page(method, kind.word()).path().to_owned();
    assert_eq!(page(Method::Token, Kind::ApiToken), "/manage-profile/security/api-tokens");
    assert_eq!(page(Method::Token, Kind::OfWorkspace), "/");
    assert_eq!(page(Method::Oauth2, Kind::Oauth), "/account/settings/app-authorizations");
}
