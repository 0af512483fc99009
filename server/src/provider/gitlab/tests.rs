//! GitLab on good days and on bad ones.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::{any, prop_oneof};
use proptest::strategy::Strategy;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{self, header, method, path},
};
use zeroize::Zeroizing;

use super::*;
use crate::{
    clock::Timestamp,
    provider::{
        Grant, GrantError, OauthApp,
        http::{
            Outgoing,
            tests::{BadServer, Misdeed},
        },
        testing::{
            Ask, Day, Door, Fate, Fault, Further, Meaning, SECRETS, Samples, Takes, Word, app, as_ever,
            days_of_any_host, endure, endure_further, endure_revocation, exchange, granted, mount, now,
            oauth_error, outgoing, page, pasted, plain, redirect_uri, says, sent, settings, status,
        },
    },
};

const SELF: &str = "/api/v4/personal_access_tokens/self";
const USER: &str = "/api/v4/user";
const INFO: &str = "/oauth/token/info";
const TOKEN: &str = "/oauth/token";

/// Tokens are put together when the tests run: what looks like one must not stand in a file.
fn personal() -> Secret {
    Secret::new(["gl", "pat-", &"A1b2-".repeat(4)].concat())
}

/// Access and refresh tokens of OAuth2 look alike: 64 hexadecimal digits.
fn of_oauth() -> Secret {
    Secret::new("0123456789abcdef".repeat(4))
}

fn next() -> Secret {
    Secret::new("fedcba9876543210".repeat(4))
}

fn gitlab(base: &str, http: &Outgoing) -> GitLab {
    GitLab::new(settings(base, http)).unwrap()
}

async fn refresh(gitlab: &GitLab) -> Result<Grant, GrantError> {
    gitlab.refresh(&app(), &next()).await
}

fn token_info() -> Value {
    json!({
        "id": 4, "name": "gitops", "revoked": false, "created_at": "2026-07-23T14:31:47.729Z", "description": "For prod",
        "scopes": ["read_api", "write_repository"], "user_id": 3, "last_used_at": "2026-11-20T10:37:58.549Z",
        "active": true, "expires_at": "2027-01-01",
    })
}

fn grant_info() -> Value {
    json!({
        "resource_owner_id": 3, "scope": ["read_api", "write_repository"], "expires_in": 5123,
        "application": { "uid": "1cb24" }, "created_at": 1_795_340_000, "scopes": ["read_api", "write_repository"],
        "expires_in_seconds": 5123,
    })
}

fn jane() -> Value {
    json!({ "id": 3, "username": "jane", "name": "Jane Doe", "state": "active", "bot": false })
}

/// With some fields changed; those that become `null` are there all the same.
fn with(mut whole: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole
}

fn without(mut whole: Value, names: &[&str]) -> Value {
    for name in names {
        whole.as_object_mut().unwrap().remove(*name);
    }
    whole
}

fn good(body: &Value) -> ResponseTemplate {
    status(200)
        .set_body_json(body)
        .insert_header("ratelimit-limit", "2000")
        .insert_header("ratelimit-remaining", "0")
        .insert_header("x-gitlab-meta", "{\"correlation_id\":\"01H\",\"version\":\"1\"}")
}

fn unauthorized() -> ResponseTemplate {
    status(401).set_body_json(json!({ "message": "401 Unauthorized" }))
}

fn token_error(error: &str, description: &str) -> ResponseTemplate {
    let code = if error.starts_with("insufficient") { 403 } else { 401 };
    status(code).set_body_json(json!({ "error": error, "error_description": description }))
}

fn expired() -> ResponseTemplate {
    token_error("invalid_token", "Token is expired. You can either do re-authorization or token refresh.")
}

fn revoked() -> ResponseTemplate {
    token_error("invalid_token", "Token was revoked. You have to re-authorize from the user.")
}

fn no_impersonation() -> ResponseTemplate {
    token_error("invalid_token", "Token is an impersonation token but impersonation was disabled.")
}

fn narrow() -> ResponseTemplate {
    status(403).set_body_json(json!({
        "error": "insufficient_scope", "scope": "api read_user",
        "error_description": "The request requires higher privileges than provided by the access token.",
    }))
}

fn narrow_fine_grained() -> ResponseTemplate {
    token_error("insufficient_granular_scope", "Access denied: it lacks permissions [User: Read].")
}

fn of_another_kind() -> ResponseTemplate {
    let message = "400 Bad request - This endpoint requires token type to be a personal access token";
    status(400).set_body_json(json!({ "message": message }))
}

/// A server with these answers at the three doors; a door without one is not to be asked.
async fn doors(
    token: Option<ResponseTemplate>,
    grant: Option<ResponseTemplate>,
    user: Option<ResponseTemplate>,
) -> MockServer {
    let mock = MockServer::start().await;
    for (at, answer) in [(SELF, token), (INFO, grant), (USER, user)] {
        match answer {
            Some(answer) => mount(&mock, "GET", at, answer).await,
            None => Mock::given(path(at)).respond_with(status(500)).expect(0).mount(&mock).await,
        }
    }
    mock
}

async fn asked(mock: &MockServer) -> Vec<String> {
    mock.received_requests().await.unwrap().iter().map(|request| request.url.path().to_owned()).collect()
}

/// What GitLab's own answers mean.
///
/// `Rejected`, `Refused` and `AppRefused` take something from a user; they stand here only where GitLab itself says so.
fn bad_days(elsewhere: &str) -> Vec<Day> {
    use Word::{
        AppRefused, Blocked, Denied, Hidden, Insufficient, Limited, NeedsSso, Refused, Rejected, Unknown,
        Unreachable,
    };
    let answer = Fault::Answer;
    let reset = now().plus(Duration::from_secs(60)).seconds().to_string();
    let forbidden = |why: &str| says(403, &format!("403 Forbidden - {why}"));
    let sso = "Cannot find valid SSO session. Please login via your group's SSO at \
               https://gitlab.example.com/groups/acme/-/saml/sso?token=a";
    let throttled = plain(429, "Retry later\n")
        .insert_header("retry-after", "60")
        .insert_header("ratelimit-remaining", "0")
        .insert_header("ratelimit-reset", reset.as_str());
    let gone = "The project you were looking for could not be found or you don't have permission to view it.";
    let basic =
        "HTTP Basic: Access denied. If a token was provided, it was either incorrect, expired, or scoped.";
    #[rustfmt::skip]
    let days = vec![
        // GitLab's own refusals of a token.
        ("401 JSON", answer(unauthorized()), Rejected, Unknown, Unreachable),
        ("401 with a reason", answer(says(401, "401 Unauthorized - no")), Rejected, Unknown, Unreachable),
        ("401 revoked", answer(revoked()), Rejected, Unknown, Unreachable),
        ("401 invalid", answer(token_error("invalid_token", "Bad Access Token.")), Rejected, Unknown, Unreachable),
        // It knows the token, and yet will not serve it.
        ("401 impersonation", answer(no_impersonation()), Blocked, Unknown, Unreachable),
        ("401 DPoP", answer(token_error("dpop_error", "DPoP validation error: no header")), Blocked, Unknown, Unreachable),
        ("401 client", answer(token_error("restricted_language_server_client_error", "x")), Unreachable, Unknown, Unreachable),
        ("401 other message", answer(says(401, "Unauthorized")), Unreachable, Unknown, Unreachable),
        ("401 message object", answer(status(401).set_body_json(json!({ "message": {} }))), Unreachable, Unknown, Unreachable),
        ("401 {}", answer(status(401).set_body_json(json!({}))), Unreachable, Unknown, Unreachable),
        ("401 list", answer(status(401).set_body_json(json!(["401 Unauthorized"]))), Unreachable, Unknown, Unreachable),
        ("403 scope", answer(narrow()), Insufficient, Unknown, Unreachable),
        ("403 permission", answer(narrow_fine_grained()), Insufficient, Unknown, Unreachable),
        ("403 blocked", answer(forbidden("Your account has been blocked.")), Blocked, Unknown, Unreachable),
        ("403 terms", answer(forbidden("You (@jane) must accept the Terms of Service.")), Blocked, Unknown, Unreachable),
        ("403 JSON", answer(says(403, "403 Forbidden")), Unreachable, Unknown, Unreachable),
        // Git's door.
        ("403 push", answer(plain(403, "You are not allowed to push code to this project.")), Unreachable, Denied, Unreachable),
        ("403 upload", answer(plain(403, "You are not allowed to upload code.")), Unreachable, Denied, Unreachable),
        ("403 over HTTP", answer(plain(403, "Pushing over HTTP is not allowed.")), Unreachable, Denied, Unreachable),
        ("403 fine-grained", answer(plain(403, "Your token lacks the permission [Code: Push].")), Unreachable, Denied, Unreachable),
        ("403 SSO", answer(plain(403, sso)), Unreachable, NeedsSso, Unreachable),
        ("403 read-only", answer(plain(403, "The repository is temporarily read-only. Please try again later.")), Unreachable, Unknown, Unreachable),
        ("403 Geo", answer(plain(403, "You can't push code to a read-only GitLab instance.")), Unreachable, Unknown, Unreachable),
        ("403 Git blocked", answer(plain(403, "Your account has been blocked.")), Unreachable, Unknown, Unreachable),
        ("403 edge", answer(plain(403, "error code: 1020")), Unreachable, Unknown, Unreachable),
        ("403 mesh", answer(plain(403, "RBAC: access denied")), Unreachable, Unknown, Unreachable),
        ("403 empty", answer(status(403)), Unreachable, Unknown, Unreachable),
        ("403 push, HTML", answer(status(403).set_body_raw("You are not allowed to push code.", "text/html")), Unreachable, Unknown, Unreachable),
        ("404 project", answer(plain(404, gone)), Unreachable, Hidden, Unreachable),
        ("404 moved", answer(plain(404, "Project 'a/b' was moved to 'c/d'.")), Unreachable, Hidden, Unreachable),
        ("404 empty repository", answer(plain(404, "A repository for this project does not exist yet.")), Unreachable, Unknown, Unreachable),
        ("404 router", answer(plain(404, "404 page not found")), Unreachable, Unknown, Unreachable),
        ("404 JSON", answer(status(404).set_body_json(json!({ "error": "404 Not Found" }))), Unreachable, Unknown, Unreachable),
        ("401 Basic", answer(plain(401, basic)), Unreachable, Unknown, Unreachable),
        ("422", answer(plain(422, "Not created")), Unreachable, Unknown, Unreachable),
        ("503 text", answer(plain(503, "The git server, Gitaly, is not available at this time.")), Unreachable, Unknown, Unreachable),
        // Errors of OAuth2.
        ("invalid grant", answer(oauth_error(400, "invalid_grant")), Unreachable, Unknown, Refused),
        ("invalid grant, 401", answer(oauth_error(401, "invalid_grant")), Unreachable, Unknown, Refused),
        ("client", answer(oauth_error(401, "invalid_client")), Unreachable, Unknown, AppRefused),
        ("unauthorized", answer(oauth_error(400, "unauthorized_client")), Unreachable, Unknown, AppRefused),
        ("grant type", answer(oauth_error(400, "unsupported_grant_type")), Unreachable, Unknown, AppRefused),
        ("scope", answer(oauth_error(400, "invalid_scope")), Unreachable, Unknown, AppRefused),
        ("redirect", answer(oauth_error(400, "invalid_redirect_uri")), Unreachable, Unknown, AppRefused),
        ("bad request", answer(oauth_error(400, "invalid_request")), Unreachable, Unknown, Unreachable),
        ("server error", answer(oauth_error(400, "server_error")), Unreachable, Unknown, Unreachable),
        ("unavailable", answer(oauth_error(400, "temporarily_unavailable")), Unreachable, Unknown, Unreachable),
        ("unknown error", answer(oauth_error(400, "<script>")), Unreachable, Unknown, Unreachable),
        ("empty error", answer(oauth_error(400, "")), Unreachable, Unknown, Unreachable),
        ("400 of another kind", answer(of_another_kind()), Unreachable, Unknown, Unreachable),
        // The same errors from where they mean nothing.
        ("grant, 403", answer(oauth_error(403, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 404", answer(oauth_error(404, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 500", answer(oauth_error(500, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 503", answer(oauth_error(503, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 429", answer(oauth_error(429, "invalid_grant")), Limited, Unknown, Limited),
        ("token, 403", answer(oauth_error(403, "invalid_token")), Unreachable, Unknown, Unreachable),
        ("token, 500", answer(oauth_error(500, "invalid_token")), Unreachable, Unknown, Unreachable),
        ("unauthorized, 503", answer(says(503, "401 Unauthorized")), Unreachable, Unknown, Unreachable),
        ("unauthorized, 403", answer(says(403, "401 Unauthorized")), Unreachable, Unknown, Unreachable),
        // Too many requests, and bans.
        ("429", answer(throttled), Limited, Unknown, Limited),
        ("429 empty", answer(status(429)), Limited, Unknown, Limited),
        ("429 JSON", answer(says(429, "This endpoint has been requested too many times.")), Limited, Unknown, Limited),
        ("429 junk", answer(status(429).insert_header("retry-after", "soon")), Limited, Unknown, Limited),
        ("429 HTML", answer(page(429)), Limited, Unknown, Limited),
        ("403 ban", answer(plain(403, "Forbidden\n")), Limited, Unknown, Limited),
        ("403 newer ban", answer(plain(403, "Too many failed authentication attempts from this IP")), Limited, Unknown, Limited),
        ("403 ban without a type", answer(status(403).set_body_bytes("Forbidden\n")), Limited, Unknown, Limited),
        ("403 too many addresses", answer(status(403).insert_header("retry-after", "60")), Limited, Unknown, Limited),
        // 200, and yet no answer.
        ("200 no user", answer(status(200).set_body_json(without(token_info(), &["user_id"]))), Unreachable, Unknown, Unreachable),
        ("200 text for the user", answer(status(200).set_body_json(with(token_info(), json!({ "user_id": "3" })))), Unreachable, Unknown, Unreachable),
        ("200 user 0", answer(status(200).set_body_json(with(token_info(), json!({ "user_id": 0 })))), Unreachable, Unknown, Unreachable),
        ("200 error", answer(status(200).set_body_json(json!({ "error": "invalid_token" }))), Unreachable, Unknown, Unreachable),
        ("late 401", Fault::TooLate(unauthorized()), Unreachable, Unknown, Unreachable),
    ];
    days.into_iter().chain(days_of_any_host(&token_info(), elsewhere)).collect()
}

fn samples() -> Samples {
    Samples {
        token: personal(),
        user_name: None,
        access: of_oauth(),
        refresh: next(),
        repository: "acme/platform/gitops",
    }
}

#[tokio::test]
async fn a_bad_day_takes_nothing_from_anyone() {
    let cells = endure(bad_days, &samples(), gitlab).await;
    assert!(cells >= 360, "{cells} cells");
}

/// GitLab's own words for a token that it does not know.
const DEAD: Takes = Takes::On(&["401 JSON", "401 with a reason", "401 revoked", "401 invalid"]);

#[tokio::test]
async fn a_bad_day_at_a_further_door_takes_nothing_from_anyone() {
    use Word::{Insufficient, Rejected, Unreachable, Valid};
    let user = || (Door::get(USER), good(&jane()));
    let no_door = || status(404).set_body_json(json!({ "error": "404 Not Found" }));
    // The token itself was answered well: it is known, and as good without the name of its owner.
    let known: fn(&Meaning) -> Vec<Word> = |day| match day.identity {
        Insufficient => vec![Valid],
        Rejected => vec![Unreachable],
        _ => as_ever(day),
    };
    let further = [
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(SELF), good(&token_info()))],
            door: Door::get(USER),
            means: known,
            takes: Takes::Nothing,
        },
        Further {
            asks: &[Ask::IdentifyGrant],
            others: vec![(Door::get(INFO), good(&grant_info()))],
            door: Door::get(USER),
            means: known,
            takes: Takes::Nothing,
        },
        // A token of OAuth2 that was pasted. What its own door says of others, the API knows better.
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(SELF), of_another_kind()), user()],
            door: Door::get(INFO),
            means: |day| match day.identity {
                Insufficient | Rejected => vec![Valid],
                _ if day.name == "bad request" => vec![Valid],
                _ => as_ever(day),
            },
            takes: Takes::Nothing,
        },
        // Neither door was for it, so it is the last one that tells.
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(SELF), of_another_kind()), (Door::get(INFO), unauthorized())],
            door: Door::get(USER),
            means: as_ever,
            takes: DEAD,
        },
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(SELF), no_door())],
            door: Door::get(USER),
            means: as_ever,
            takes: DEAD,
        },
        Further {
            asks: &[Ask::IdentifyToken],
            others: vec![(Door::get(SELF), narrow())],
            door: Door::get(USER),
            means: as_ever,
            takes: DEAD,
        },
        Further {
            asks: &[Ask::IdentifyGrant],
            others: vec![(Door::get(INFO), unauthorized())],
            door: Door::get(USER),
            means: as_ever,
            takes: DEAD,
        },
    ];
    let cells = endure_further(bad_days, &samples(), gitlab, &further).await;
    assert!(cells >= 800, "{cells} cells");
}

#[tokio::test]
async fn a_personal_token_shows_whose_it_is_what_it_may_and_when_it_ends() {
    let mock = doors(Some(good(&token_info())), None, Some(good(&jane()))).await;
    let gitlab = gitlab(&mock.uri(), &outgoing());
    let identity = gitlab.identify(&pasted(&personal()), Age::Settled).await.unwrap();
    assert_eq!(identity.owner, ProviderAccount { id: "3".to_owned(), login: "jane".to_owned() });
    assert_eq!(identity.kind, "personal");
    assert_eq!(identity.scopes.unwrap().to_vec(), ["read_api", "write_repository"]);
    // The day's beginning, in UTC.
    assert_eq!(identity.expiry, TokenExpiry::At(Timestamp::from_seconds(1_798_761_600)));
    let evidence =
        Evidence { request: "GET /personal_access_tokens/self".to_owned(), answer: "200".to_owned() };
    assert_eq!(identity.evidence, evidence);

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(asked(&mock).await, [SELF, USER]);
    for request in &requests {
        assert_eq!(sent(request, "authorization"), format!("Bearer {}", personal().expose()));
        assert_eq!(sent(request, "private-token"), "");
        assert_eq!(sent(request, "accept"), "application/json");
        assert!(sent(request, "user-agent").starts_with("Gitward/"));
        assert_eq!(request.url.query(), None);
    }
}

#[tokio::test]
async fn a_grant_shows_whose_it_is_and_what_it_may() {
    let mock = doors(None, Some(good(&grant_info())), Some(good(&jane()))).await;
    let gitlab = gitlab(&mock.uri(), &outgoing());
    let identity = gitlab.identify(&granted(&of_oauth()), Age::Fresh).await.unwrap();
    assert_eq!(identity.owner, ProviderAccount { id: "3".to_owned(), login: "jane".to_owned() });
    assert_eq!(identity.kind, "oauth");
    assert_eq!(identity.scopes.unwrap().to_vec(), ["read_api", "write_repository"]);
    assert_eq!(identity.expiry, TokenExpiry::At(now().plus(Duration::from_secs(5123))));
    assert_eq!(identity.evidence.request, "GET /oauth/token/info");
    assert_eq!(asked(&mock).await, [INFO, USER]);
    for request in &mock.received_requests().await.unwrap() {
        assert_eq!(sent(request, "authorization"), format!("Bearer {}", of_oauth().expose()));
    }
}

#[tokio::test]
async fn a_pasted_token_of_oauth_is_told_by_the_answer() {
    let mock = doors(Some(of_another_kind()), Some(good(&grant_info())), Some(good(&jane()))).await;
    let at = gitlab(&mock.uri(), &outgoing());
    let token = of_oauth();
    let identity = at.identify(&pasted(&token), Age::Settled).await.unwrap();
    assert_eq!((identity.kind.as_str(), identity.owner.login.as_str()), ("oauth", "jane"));
    // Nobody renews it, so its end is the user's business.
    assert_eq!(identity.expiry, TokenExpiry::At(now().plus(Duration::from_secs(5123))));
    assert_eq!(asked(&mock).await, [SELF, INFO, USER]);

    // From then on the door that is closed to it is not tried again.
    mock.reset().await;
    let mock = doors(None, Some(good(&grant_info())), Some(good(&jane()))).await;
    let known = Presented { kind: Some("oauth"), ..pasted(&token) };
    assert!(gitlab(&mock.uri(), &outgoing()).identify(&known, Age::Settled).await.is_ok());
    assert_eq!(asked(&mock).await, [INFO, USER]);
}

#[tokio::test]
async fn kinds_are_told_apart_by_what_is_answered() {
    let bot = |name: &str| with(jane(), json!({ "username": name, "bot": true }));
    let granular = with(token_info(), json!({ "scopes": ["granular"] }));
    // What the token says of itself, who its user is, its kind, and how that is called.
    let table = [
        (token_info(), jane(), "personal", "Personal access token"),
        (token_info(), bot("project_278964_bot_1a2b3c"), "project", "Project access token"),
        (token_info(), bot("project_278964_bot1"), "project", "Project access token"),
        (token_info(), bot("group_9970_bot_1a2b3c"), "group", "Group access token"),
        (token_info(), bot("service_account_group_9970_1a2b"), "service-account", "Service account token"),
        (token_info(), bot("project_x_bot_1"), "service-account", "Service account token"),
        // A person may have such a name.
        (
            token_info(),
            with(jane(), json!({ "username": "project_1_bot_a" })),
            "personal",
            "Personal access token",
        ),
        (token_info(), without(jane(), &["bot"]), "personal", "Personal access token"),
        (token_info(), with(jane(), json!({ "bot": "yes" })), "personal", "Personal access token"),
        (granular.clone(), jane(), "fine-grained", "Fine-grained personal access token"),
        (granular, bot("group_9970_bot_1a"), "group", "Group access token"),
        (
            with(token_info(), json!({ "granular": true })),
            jane(),
            "fine-grained",
            "Fine-grained personal access token",
        ),
        (
            with(token_info(), json!({ "scopes": [], "granular_scopes": [{ "access": "user" }] })),
            jane(),
            "fine-grained",
            "Fine-grained personal access token",
        ),
        (with(token_info(), json!({ "granular_scopes": [] })), jane(), "personal", "Personal access token"),
    ];
    let http = outgoing();
    for (row, (token, user, kind, label)) in table.into_iter().enumerate() {
        let mock = doors(Some(good(&token)), None, Some(good(&user))).await;
        let gitlab = gitlab(&mock.uri(), &http);
        // The shape tells nothing: an administrator may have chosen another prefix.
        for token in
            [personal(), Secret::new(["acme-", personal().expose()].concat()), Secret::new("x".repeat(20))]
        {
            let identity = gitlab.identify(&pasted(&token), Age::Settled).await.unwrap();
            assert_eq!(identity.kind, kind, "row {row}");
            assert_eq!(gitlab.kind_label(&identity.kind), label, "row {row}");
            assert_eq!(identity.scopes.is_none(), kind == "fine-grained" || row == 10, "row {row}");
        }
    }
    let gitlab = gitlab("https://gitlab.com", &http);
    assert_eq!(gitlab.kind_label("oauth"), "OAuth2 token");
    assert_eq!(gitlab.kind_label("of the future"), "Access token");
    let words: std::collections::HashSet<_> = Kind::ALL.into_iter().map(Kind::word).collect();
    assert_eq!(words.len(), Kind::ALL.len());
}

#[tokio::test]
async fn a_token_that_may_not_ask_for_its_user_keeps_to_the_number() {
    let http = outgoing();
    // What it may do, whether that opens the door to the user.
    let table: [(&[&str], bool); 7] = [
        (&["api"], true),
        (&["read_api", "write_repository"], true),
        (&["read_user"], true),
        (&["write_repository"], false),
        (&["read_repository"], false),
        (&["self_rotate", "k8s_proxy"], false),
        (&[], false),
    ];
    for (scopes, opens) in table {
        let token = with(token_info(), json!({ "scopes": scopes }));
        let mock = doors(Some(good(&token)), None, opens.then(|| good(&jane()))).await;
        let identity = gitlab(&mock.uri(), &http).identify(&pasted(&personal()), Age::Settled).await.unwrap();
        let expected = if opens { ("jane", "personal") } else { ("user 3", "other") };
        assert_eq!((identity.owner.login.as_str(), identity.kind.as_str()), expected, "{scopes:?}");
        assert_eq!(identity.owner.id, "3", "{scopes:?}: the same account either way");
        assert_eq!(identity.scopes.unwrap().to_vec().len(), scopes.len());
        assert_eq!(asked(&mock).await.len(), 1 + usize::from(opens), "{scopes:?}: nothing is asked in vain");
    }
    // Those that nobody can list may try.
    for refusal in [narrow(), narrow_fine_grained()] {
        let token = with(token_info(), json!({ "scopes": ["granular"] }));
        let mock = doors(Some(good(&token)), None, Some(refusal)).await;
        let identity = gitlab(&mock.uri(), &http).identify(&pasted(&personal()), Age::Settled).await.unwrap();
        assert_eq!((identity.owner.login.as_str(), identity.kind.as_str()), ("user 3", "fine-grained"));
        assert_eq!(identity.scopes, None);
    }
    // The same for grants.
    let grant = with(grant_info(), json!({ "scope": ["write_repository"] }));
    let mock = doors(None, Some(good(&grant)), None).await;
    let identity = gitlab(&mock.uri(), &http).identify(&granted(&of_oauth()), Age::Fresh).await.unwrap();
    assert_eq!((identity.owner.login.as_str(), identity.kind.as_str()), ("user 3", "oauth"));
    assert_eq!(asked(&mock).await, [INFO]);
}

#[tokio::test]
async fn a_fine_grained_token_that_may_not_show_itself_may_show_its_user() {
    let http = outgoing();
    let mock = doors(Some(narrow_fine_grained()), None, Some(good(&jane()))).await;
    let identity = gitlab(&mock.uri(), &http).identify(&pasted(&personal()), Age::Settled).await.unwrap();
    assert_eq!((identity.owner.login.as_str(), identity.kind.as_str()), ("jane", "fine-grained"));
    assert_eq!((identity.scopes, identity.expiry), (None, TokenExpiry::Unknown));
    assert_eq!(identity.evidence.request, "GET /user");

    // Neither door: it is a good token, and what it lacks is told by name.
    for (refusal, missing, words) in [
        (narrow_fine_grained(), "User: Read", "403 insufficient_granular_scope"),
        (narrow(), "read_api", "403 insufficient_scope"),
    ] {
        let mock = doors(Some(refusal.clone()), None, Some(refusal)).await;
        let error =
            gitlab(&mock.uri(), &http).identify(&pasted(&personal()), Age::Settled).await.unwrap_err();
        let evidence = Evidence { request: "GET /user".to_owned(), answer: words.to_owned() };
        let missing = ScopeSet::from_iter([missing]);
        assert_eq!(error, ProviderError::Insufficient { granted: None, missing, evidence });
        assert_eq!(asked(&mock).await, [SELF, USER]);
    }
}

#[tokio::test]
async fn an_old_release_knows_the_user_only() {
    let none = status(404).set_body_json(json!({ "error": "404 Not Found" }));
    let mock = doors(Some(none), None, Some(good(&jane()))).await;
    let identity =
        gitlab(&mock.uri(), &outgoing()).identify(&pasted(&personal()), Age::Settled).await.unwrap();
    assert_eq!((identity.owner.login.as_str(), identity.kind.as_str()), ("jane", "personal"));
    assert_eq!((identity.scopes, identity.expiry), (None, TokenExpiry::Unknown));
}

#[tokio::test]
async fn the_evidence_tells_why_a_token_is_dead() {
    let evidence = |answer: &str| {
        let request = "GET /personal_access_tokens/self".to_owned();
        Evidence { request, answer: answer.to_owned() }
    };
    let rejected = |answer| ProviderError::Rejected(evidence(answer));
    let unreachable = |answer| ProviderError::Unreachable(evidence(answer));
    let blocked = |status: &str, why: &'static str| ProviderError::Blocked {
        why,
        evidence: Evidence { answer: format!("{status}, {why}"), ..evidence("") },
    };
    let info = |changes| good(&with(token_info(), changes));
    let forbidden = |why: &str| says(403, &format!("403 Forbidden - {why}"));
    let table = [
        (unauthorized(), rejected("401")),
        (token_error("invalid_token", "Bad Access Token."), rejected("401")),
        (expired(), rejected("401 expired")),
        (revoked(), rejected("401 revoked")),
        (info(json!({ "revoked": true, "active": false })), rejected("200, revoked")),
        (info(json!({ "active": false, "expires_at": "2026-11-22" })), rejected("200, expired")),
        // Dead for no known reason is not dead.
        (info(json!({ "active": false })), unreachable("200, but not active")),
        (info(json!({ "active": false, "expires_at": null })), unreachable("200, but not active")),
        (
            token_error("dpop_error", "DPoP validation error: no header"),
            blocked("401", "its account wants proof of possession (DPoP), which Gitward cannot give"),
        ),
        (no_impersonation(), blocked("401", "impersonation is switched off there")),
        (forbidden("Your account has been blocked."), blocked("403", "the account is blocked")),
        (
            forbidden("Your account is pending approval from your administrator and hence blocked."),
            blocked("403", "the account waits for approval"),
        ),
        (
            forbidden("Your account has been deactivated by your administrator."),
            blocked("403", "the account is deactivated"),
        ),
        (
            forbidden("Your primary email address is not confirmed."),
            blocked("403", "the account's e-mail address is not confirmed"),
        ),
        (forbidden("Your password expired."), blocked("403", "the account's password has expired")),
        (forbidden("Something of the future."), unreachable("403, for no known reason")),
        (page(401), unreachable("401, a page that is no JSON")),
        (page(503), unreachable("503, a page that is no JSON")),
    ];
    let http = outgoing();
    for (row, (answer, expected)) in table.into_iter().enumerate() {
        let mock = doors(Some(answer), None, None).await;
        let error = gitlab(&mock.uri(), &http).identify(&pasted(&personal()), Age::Fresh).await.unwrap_err();
        assert_eq!(error, expected, "row {row}");
        assert_eq!(asked(&mock).await, [SELF], "row {row}: a refused token is not shown again");
    }
}

#[tokio::test]
async fn a_grant_is_dead_only_when_the_api_says_so_as_well() {
    let by = |answer: &str| Evidence { request: "GET /user".to_owned(), answer: answer.to_owned() };
    // What the first door says to a token that it does not know: by the documentation, and by the source.
    let firsts = || {
        [
            status(401).set_body_json(
                json!({ "error": "invalid_token", "error_description": "The access token is invalid" }),
            ),
            status(400).set_body_json(json!({ "error": "invalid_request", "error_description": "x" })),
        ]
    };
    let http = outgoing();
    let table = [
        (unauthorized(), ProviderError::Rejected(by("401"))),
        (revoked(), ProviderError::Rejected(by("401 revoked"))),
        // Whoever asks renews the grant before it counts.
        (expired(), ProviderError::Rejected(by("401 expired"))),
        (page(401), ProviderError::Unreachable(by("401, a page that is no JSON"))),
        (plain(429, "Retry later"), ProviderError::RateLimited { until: None, evidence: by("429") }),
        (
            narrow(),
            ProviderError::Insufficient {
                granted: None,
                missing: ScopeSet::from_iter(["read_api"]),
                evidence: by("403 insufficient_scope"),
            },
        ),
    ];
    for (row, (second, expected)) in table.into_iter().enumerate() {
        for first in firsts() {
            let mock = doors(None, Some(first), Some(second.clone())).await;
            let error =
                gitlab(&mock.uri(), &http).identify(&granted(&of_oauth()), Age::Fresh).await.unwrap_err();
            assert_eq!(error, expected, "row {row}");
            assert_eq!(asked(&mock).await, [INFO, USER], "row {row}: each door once");
        }
    }
    // It may be a token of a sort that only the API knows.
    for first in firsts() {
        let mock = doors(None, Some(first), Some(good(&jane()))).await;
        let identity = gitlab(&mock.uri(), &http).identify(&granted(&of_oauth()), Age::Fresh).await.unwrap();
        assert_eq!((identity.owner.login.as_str(), identity.scopes), ("jane", None));
    }
    // A pasted one that ended has ended.
    let token = of_oauth();
    let known = Presented { kind: Some("oauth"), ..pasted(&token) };
    let mock = doors(None, Some(firsts()[0].clone()), Some(expired())).await;
    let error = gitlab(&mock.uri(), &http).identify(&known, Age::Settled).await.unwrap_err();
    assert_eq!(error, ProviderError::Rejected(by("401 expired")));
}

#[tokio::test]
async fn a_user_who_is_somebody_else_at_the_second_door_is_nobody() {
    for other in
        [with(jane(), json!({ "id": 4 })), with(jane(), json!({ "username": "ja\u{202e}ne" })), json!({})]
    {
        let mock = doors(Some(good(&token_info())), None, Some(good(&other))).await;
        let outcome = gitlab(&mock.uri(), &outgoing()).identify(&pasted(&personal()), Age::Settled).await;
        assert_eq!(Word::from(outcome), Word::Unreachable, "{other}");
    }
}

fn reply(code: u16, content_type: &str, body: &[u8]) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    Reply { status: StatusCode::from_u16(code).unwrap(), headers, body: Zeroizing::new(body.to_vec()) }
}

fn json_reply(code: u16, body: &Value) -> Reply {
    reply(code, "application/json", body.to_string().as_bytes())
}

#[test]
fn a_token_ends_as_its_last_day_begins() {
    let at = |seconds| TokenExpiry::At(Timestamp::from_seconds(seconds));
    let table = [
        (json!("2027-01-01"), at(1_798_761_600)),
        (json!("2028-02-29"), at(1_835_395_200)),
        (json!("1970-01-01"), at(0)),
        (json!(null), TokenExpiry::Never),
        // Should it ever become a moment.
        (json!("2027-01-01T09:00:00.000Z"), at(1_798_794_000)),
        (json!("2027-01-01T09:00:00+09:00"), at(1_798_761_600)),
        (json!(""), TokenExpiry::Unknown),
        (json!("never"), TokenExpiry::Unknown),
        (json!("2027-02-30"), TokenExpiry::Unknown),
        (json!("2027-1-1"), TokenExpiry::Unknown),
        (json!("01/01/2027"), TokenExpiry::Unknown),
        (json!("99999999-01-01"), TokenExpiry::Unknown),
        (json!(1_798_761_600), TokenExpiry::Unknown),
        (json!({}), TokenExpiry::Unknown),
    ];
    for (text, expected) in table {
        let body = with(token_info(), json!({ "expires_at": text }));
        assert_eq!(TokenInfo::read(&json_reply(200, &body)).unwrap().expiry, expected, "{body}");
    }
    let absent = without(token_info(), &["expires_at"]);
    assert_eq!(TokenInfo::read(&json_reply(200, &absent)).unwrap().expiry, TokenExpiry::Unknown);
}

#[test]
fn the_life_of_a_grant_is_counted_from_the_question() {
    let after = |seconds| TokenExpiry::At(now().plus(Duration::from_secs(seconds)));
    let table = [
        (grant_info(), after(5123)),
        (without(grant_info(), &["expires_in"]), after(5123)),
        (without(grant_info(), &["expires_in", "expires_in_seconds"]), TokenExpiry::Unknown),
        (with(grant_info(), json!({ "expires_in": null })), TokenExpiry::Never),
        (with(grant_info(), json!({ "expires_in": 0 })), after(0)),
        (with(grant_info(), json!({ "expires_in": -1 })), TokenExpiry::Unknown),
        (with(grant_info(), json!({ "expires_in": u64::MAX })), TokenExpiry::Unknown),
        (with(grant_info(), json!({ "expires_in": "7200" })), TokenExpiry::Unknown),
    ];
    for (row, (body, expected)) in table.into_iter().enumerate() {
        assert_eq!(GrantInfo::read(&json_reply(200, &body), now()).unwrap().expiry, expected, "row {row}");
    }
    // Nobody's: granted to an application itself.
    for owner in [json!(null), json!(0), json!("3")] {
        let body = with(grant_info(), json!({ "resource_owner_id": owner }));
        assert_eq!(GrantInfo::read(&json_reply(200, &body), now()), None, "{body}");
    }
}

#[test]
fn scopes_that_cannot_be_read_are_not_visible() {
    let table = [
        (json!(["api", "read_user"]), Some("api read_user")),
        (json!("read_api write_repository"), Some("read_api write_repository")),
        (json!(["something:new"]), Some("something:new")),
        (json!([]), Some("")),
        (json!(null), None),
        (json!(7), None),
        (json!(["api", 7]), None),
        (json!(["a b"]), None),
        (json!(["a\u{202e}b"]), None),
        (json!([""]), None),
        (json!(["a".repeat(101)]), None),
    ];
    for (list, expected) in table {
        let token = with(token_info(), json!({ "scopes": list }));
        let found = TokenInfo::read(&json_reply(200, &token)).unwrap().scopes.map(|scopes| scopes.join(" "));
        assert_eq!(found.as_deref(), expected, "{token}");
        let grant = with(grant_info(), json!({ "scope": list }));
        let found =
            GrantInfo::read(&json_reply(200, &grant), now()).unwrap().scopes.map(|scopes| scopes.join(" "));
        assert_eq!(found.as_deref(), expected, "{grant}");
    }
}

#[tokio::test]
async fn a_limit_ends_when_the_host_says() {
    let seconds = |span: u64| Some(now().plus(Duration::from_secs(span)));
    let epoch = |span: i64| (now().seconds() + span).to_string();
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Option<Timestamp>);
    let table: &[Row<'_>] = &[
        (429, &[], None),
        (429, &[("retry-after", "60")], seconds(60)),
        (429, &[("retry-after", "0")], None),
        (429, &[("retry-after", "4000000000")], seconds(7200)),
        (429, &[("retry-after", "Sun, 22 Nov 2026 12:05:00 GMT")], seconds(300)),
        (429, &[("retry-after", "soon")], None),
        (429, &[("ratelimit-reset", &epoch(90))], seconds(90)),
        (429, &[("ratelimit-reset", &epoch(-90))], None),
        (429, &[("ratelimit-reset", "9223372036854775807")], seconds(7200)),
        (429, &[("ratelimit-reset", "junk")], None),
        (429, &[("retry-after", "30"), ("ratelimit-reset", &epoch(90))], seconds(30)),
        (403, &[("retry-after", "30")], seconds(30)),
    ];
    let http = outgoing();
    for (row, (code, headers, expected)) in table.iter().enumerate() {
        let mock = MockServer::start().await;
        let mut answer = plain(*code, "Retry later\n");
        for (name, value) in *headers {
            answer = answer.insert_header(*name, *value);
        }
        Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
        let gitlab = gitlab(&mock.uri(), &http);
        for token in [pasted(&personal()), granted(&of_oauth())] {
            let Err(ProviderError::RateLimited { until, evidence }) =
                gitlab.identify(&token, Age::Fresh).await
            else {
                panic!("row {row}");
            };
            assert_eq!((until, evidence.answer), (*expected, code.to_string()), "row {row}");
        }
        let Err(GrantError::RateLimited { until, .. }) = refresh(&gitlab).await else { panic!("row {row}") };
        assert_eq!(until, *expected, "row {row}");
        assert_eq!(asked(&mock).await, [SELF, INFO, TOKEN], "row {row}: one question each");
    }
}

#[tokio::test]
async fn git_is_asked_whether_it_would_take_a_push() {
    let mock = MockServer::start().await;
    // Longer than any body that is read.
    let list = "001f# service=git-receive-pack\n0000".repeat(20_000);
    let answer = status(200).set_body_raw(list, "application/x-git-receive-pack-advertisement");
    let refs = "/acme/platform/delivery/gitops.git/info/refs";
    mount(&mock, "GET", refs, answer.clone()).await;
    let at = gitlab(&mock.uri(), &outgoing());
    for (token, repository) in [
        (pasted(&personal()), "acme/platform/delivery/gitops"),
        (pasted(&personal()), "acme/platform/delivery/gitops.git"),
        (granted(&of_oauth()), "acme/platform/delivery/gitops"),
    ] {
        assert_eq!(at.may_push(&token, repository).await, Push::Allowed);
    }
    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    for (request, token) in requests.iter().zip([personal(), personal(), of_oauth()]) {
        let pair = format!("oauth2:{}", token.expose());
        let pair = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, pair);
        assert_eq!(sent(request, "authorization"), format!("Basic {pair}"));
        assert_eq!(request.url.query(), Some("service=git-receive-pack"));
    }

    // Below a path as well.
    mount(&mock, "GET", "/git/lab/acme/gitops.git/info/refs", answer).await;
    let below = gitlab(&format!("{}/git/lab/", mock.uri()), &outgoing());
    assert_eq!(below.may_push(&pasted(&personal()), "acme/gitops").await, Push::Allowed);
    // Other sorts of 200 tell nothing.
    mock.reset().await;
    for kind in ["text/html", "application/x-git-upload-pack-advertisement", "text/plain"] {
        mock.reset().await;
        mount(&mock, "GET", refs, status(200).set_body_raw("push is not allowed", kind)).await;
        let outcome = at.may_push(&pasted(&personal()), "acme/platform/delivery/gitops").await;
        assert_eq!(outcome, Push::Unknown, "{kind}");
    }
}

#[tokio::test]
async fn a_link_to_single_sign_on_leads_to_the_known_host_only() {
    let mock = MockServer::start().await;
    let at = gitlab(&mock.uri(), &outgoing());
    let own = format!("{}/groups/acme/-/saml/sso?token=a1b2", mock.uri());
    let table = [
        (own.clone(), Some(own.as_str())),
        (format!("{own}\n"), Some(own.as_str())),
        (String::new(), None),
        ("https://evil.example.com/groups/acme/-/saml/sso".to_owned(), None),
        (own.replace("http://", "https://"), None),
        (own.replace("http://", "http://user@"), None),
        ("javascript:alert(1)".to_owned(), None),
        (format!("{own}{}", "A".repeat(2048)), None),
    ];
    for (address, link) in table {
        mock.reset().await;
        let text = format!("Cannot find valid SSO session. Please login via your group's SSO at {address}");
        mount(&mock, "GET", "/acme/gitops.git/info/refs", plain(403, &text)).await;
        let expected = Push::NeedsSso { link: link.map(str::to_owned) };
        assert_eq!(at.may_push(&pasted(&personal()), "acme/gitops").await, expected, "{address}");
    }
}

#[tokio::test]
async fn only_paths_of_repositories_become_addresses() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let at = gitlab(server.url.as_str(), &outgoing());
    let wrong = [
        "",
        "/",
        "o",
        "o/",
        "/r",
        "../r",
        "o/..",
        "./r",
        "o/.",
        "o/.git",
        "o/../r",
        "o//r",
        "o/r?x",
        "o/r#x",
        "o/r%2f",
        "o/r\n",
        "o r/x",
        "ö/r",
        "o/r\\x",
        "@evil.example.com/r",
        "o:p/r",
    ];
    for name in wrong {
        assert_eq!(at.may_push(&pasted(&personal()), name).await, Push::Unknown, "{name:?}");
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(at.may_push(&pasted(&personal()), "o-1/s/r.x_y").await, Push::Unknown);
    let asked = server.requests.lock().unwrap()[0].clone();
    assert!(asked.starts_with("GET /o-1/s/r.x_y.git/info/refs?service=git-receive-pack "), "{asked}");
}

fn form_of(request: &Request) -> Vec<(String, String)> {
    let mut fields: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    fields.sort();
    fields
}

fn fresh_grant() -> Value {
    json!({
        "access_token": of_oauth().expose(), "token_type": "Bearer", "expires_in": 7200,
        "refresh_token": next().expose(), "scope": "read_api write_repository", "created_at": 1_795_340_000,
    })
}

#[tokio::test]
async fn a_code_is_exchanged_with_one_post() {
    let mock = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path(TOKEN))
        .and(header("accept", "application/json"))
        .respond_with(status(200).set_body_json(fresh_grant()))
        .mount(&mock)
        .await;
    let grant = exchange(&gitlab(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), of_oauth().expose());
    assert_eq!(grant.refresh.unwrap().expose(), next().expose());
    assert_eq!((grant.expires_in, grant.refresh_expires_in), (Some(Duration::from_secs(7200)), None));
    assert_eq!(grant.scopes.unwrap().to_vec(), ["read_api", "write_repository"]);

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let fields = form_of(&requests[0]);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("client_id", "client-0123456789abcdef"),
        ("client_secret", "app-secret-0123456789"),
        ("code", "code-0123"),
        ("code_verifier", "verifier-0123"),
        ("grant_type", "authorization_code"),
        ("redirect_uri", "https://gitward.example.com/callback/here"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(sent(&requests[0], "authorization"), "");
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn a_grant_is_renewed_with_one_post_that_repeats_the_callback() {
    let mock = MockServer::start().await;
    mount(&mock, "POST", TOKEN, status(200).set_body_json(fresh_grant())).await;
    let grant = refresh(&gitlab(&mock.uri(), &outgoing())).await.unwrap();
    // A new pair: the old refresh token is used up.
    assert_eq!(grant.access.expose(), of_oauth().expose());
    assert_eq!(grant.refresh.unwrap().expose(), next().expose());

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let fields = form_of(&requests[0]);
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client_id", "client_secret", "grant_type", "redirect_uri", "refresh_token"]);
    assert_eq!(fields[3].1, "https://gitward.example.com/callback/here");
    assert_eq!(sent(&requests[0], "authorization"), "");
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn a_grant_whose_life_cannot_be_read_lives_for_two_hours() {
    for life in [json!(-1), json!([]), json!("soon")] {
        let mock = MockServer::start().await;
        let answer = with(fresh_grant(), json!({ "expires_in": life }));
        mount(&mock, "POST", TOKEN, status(200).set_body_json(answer)).await;
        let grant = refresh(&gitlab(&mock.uri(), &outgoing())).await.unwrap();
        assert_eq!(grant.expires_in, Some(Duration::from_secs(7200)), "{life}");
    }
}

#[tokio::test]
async fn evidence_quotes_nothing() {
    let mock = MockServer::start().await;
    let secret = of_oauth();
    let t = secret.expose();
    for body in [
        format!(r#"{{"error":"{t}","error_description":"{t}","message":"{t}","access_token":"{t}"}}"#),
        format!(r#"{{"error":"invalid_token","error_description":"Token is expired {t}","message":"{t}"}}"#),
        format!(r#"{{"message":"401 Unauthorized {t}"}}"#),
        format!(r#"{{"message":"403 Forbidden - blocked {t}"}}"#),
        format!(
            r#"{{"user_id":3,"id":3,"username":"jane","revoked":true,"name":"{t}","description":"{t}"}}"#
        ),
        format!(r#"{{"access_token":"{t}","token_type":"{t}","id":"{t}","username":"{t}"}}"#),
        t.to_owned(),
    ] {
        for code in [200, 400, 401, 403, 404, 429, 500] {
            mock.reset().await;
            let answer = status(code).set_body_raw(body.clone(), "application/json");
            Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
            let gitlab = gitlab(&mock.uri(), &outgoing());
            let token = gitlab.identify(&pasted(&secret), Age::Settled).await;
            let grant = gitlab.identify(&granted(&secret), Age::Fresh).await;
            let grants = [exchange(&gitlab).await.err(), refresh(&gitlab).await.err()];
            let push = gitlab.may_push(&granted(&secret), "o/r").await;
            let shown = format!("{token:?} {grant:?} {grants:?} {push:?}");
            assert!(!shown.contains(t), "{code}: {shown}");
            assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{code}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_gitlab_below_a_path_is_asked_there() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", "/git/lab/api/v4/personal_access_tokens/self", good(&token_info())).await;
    mount(&mock, "GET", "/git/lab/oauth/token/info", good(&grant_info())).await;
    mount(&mock, "GET", "/git/lab/api/v4/user", good(&jane())).await;
    mount(&mock, "POST", "/git/lab/oauth/token", status(200).set_body_json(fresh_grant())).await;
    let gitlab = gitlab(&format!("{}/git/lab", mock.uri()), &outgoing());
    assert!(gitlab.identify(&pasted(&personal()), Age::Settled).await.is_ok());
    assert!(gitlab.identify(&granted(&of_oauth()), Age::Settled).await.is_ok());
    assert!(exchange(&gitlab).await.is_ok());
    assert!(refresh(&gitlab).await.is_ok());
}

#[test]
fn each_address_has_its_doors() {
    let http = outgoing();
    let cases = [
        ("https://gitlab.com", "https://gitlab.com", "https://gitlab.com/api/v4/user", "gitlab.com"),
        ("https://gitlab.com/", "https://gitlab.com", "https://gitlab.com/api/v4/user", "gitlab.com"),
        (
            "https://git.example.com:8443",
            "https://git.example.com:8443",
            "https://git.example.com:8443/api/v4/user",
            "git.example.com:8443",
        ),
        (
            "https://example.com/gitlab",
            "https://example.com/gitlab",
            "https://example.com/gitlab/api/v4/user",
            "example.com",
        ),
    ];
    for (base, root, user, host) in cases {
        let gitlab = gitlab(base, &http);
        assert_eq!(gitlab.name(), "GitLab", "{base}");
        assert_eq!(gitlab.host(), host, "{base}");
        assert_eq!(below(&gitlab.place.api, ["user"]).as_str(), user, "{base}");
        let endpoints = gitlab.oauth_endpoints();
        assert_eq!(endpoints.authorize.as_str(), format!("{root}/oauth/authorize"), "{base}");
        assert_eq!(endpoints.token.as_str(), format!("{root}/oauth/token"), "{base}");
        assert_eq!(endpoints.issuer, root, "{base}");
        assert!(root.starts_with(&gitlab.origin()) && !gitlab.origin().contains(' '), "{base}");
    }
    let elsewhere = |name: Option<&str>, api: &str| {
        let (name, api_url) = (name.map(str::to_owned), Some(Url::parse(api).unwrap()));
        GitLab::new(Settings { name, api_url, ..settings("https://gitlab.example.com", &http) })
    };
    let named = elsewhere(Some("Forge"), "https://api.example.com/v4").unwrap();
    assert_eq!((named.name(), named.host().as_str()), ("Forge", "gitlab.example.com"));
    assert_eq!(named.origin(), "https://api.example.com https://gitlab.example.com");
    assert_eq!(elsewhere(None, "http://api.example.com").err(), Some(OriginError::Scheme));
    assert_eq!(GitLab::new(settings("https://169.254.169.254", &http)).err(), Some(OriginError::Forbidden));
}

#[test]
fn every_kind_opens_the_doors_alike() {
    let gitlab = gitlab("https://gitlab.com", &outgoing());
    let expected = Doors { api: Auth::Bearer, git: Auth::Basic { user_name: "oauth2".to_owned() } };
    let (token, access) = (personal(), of_oauth());
    for kind in Kind::ALL.into_iter().map(|kind| Some(kind.word())).chain([None]) {
        for shown in [pasted(&token), granted(&access)] {
            assert_eq!(gitlab.doors(&Presented { kind, ..shown }), expected, "{kind:?}");
            let named = Presented { kind, user_name: Some("jane"), ..shown };
            assert_eq!(gitlab.doors(&named), expected, "{kind:?}: no name is needed");
        }
    }
}

#[test]
fn the_guide_fills_in_what_is_needed() {
    let at = gitlab("https://gitlab.com", &outgoing());
    let needed = at.default_scopes();
    assert_eq!(needed.to_vec(), ["read_api", "write_repository"]);
    let guide = at.guide(&needed, Some("acme/platform/gitops"), "Gitward: team & co");
    assert_eq!(
        guide.link.as_str(),
        "https://gitlab.com/-/user_settings/personal_access_tokens?name=Gitward%3A+team+%26+co\
         &description=Gives+a+GitOps+runtime+access+to+acme%2Fplatform%2Fgitops&scopes=read_api%2Cwrite_repository"
    );
    assert_eq!(
        (guide.token_word, guide.limited_link, guide.user_name),
        ("personal access token", None, None)
    );
    // GitLab tells when a token ends.
    assert!(!guide.asks_end);
    assert!(guide.steps.iter().any(|step| step.contains("“Legacy token”")));
    assert!(guide.steps.iter().any(|step| step.contains("“Expiration date”")));
    assert!(guide.steps.iter().all(|step| step.ends_with('.')));

    let below = gitlab("https://example.com/gitlab/", &outgoing());
    let link = below.guide(&ScopeSet::default(), None, "x").link;
    assert!(
        link.as_str()
            .starts_with("https://example.com/gitlab/-/user_settings/personal_access_tokens?name=x&")
    );
    assert!(!link.as_str().contains("scopes"), "{link}");
    // The same words for OAuth2.
    assert_eq!(at.oauth_scopes(&needed), needed);
}

#[test]
fn what_is_implied_is_not_missing() {
    let gitlab = gitlab("https://gitlab.com", &outgoing());
    // Granted, needed, missing.
    let table = [
        ("read_api write_repository", "read_api write_repository", ""),
        ("api", "read_api write_repository", ""),
        ("api", "read_user read_repository self_rotate read_registry write_registry", ""),
        ("api", "create_runner manage_runner", ""),
        ("api", "sudo admin_mode k8s_proxy", "admin_mode k8s_proxy sudo"),
        ("read_api", "read_user read_repository", ""),
        ("read_api", "write_repository", "write_repository"),
        ("read_api", "api", "api"),
        ("read_api", "write_registry", "write_registry"),
        ("write_repository", "read_repository", ""),
        ("write_repository", "read_api read_user", "read_api read_user"),
        ("read_repository", "write_repository", "write_repository"),
        ("read_user", "read_api", "read_api"),
        ("sudo", "api", "api"),
        ("", "read_api", "read_api"),
        ("", "", ""),
        ("something:new", "api", "api"),
        ("something:new", "something:new", ""),
        // What the page that came before this asked for by mistake.
        ("read_api", "api_read", "api_read"),
        ("API", "api", "api"),
    ];
    for (granted, needed, missing) in table {
        let found = gitlab.missing(&ScopeSet::parse(granted), &ScopeSet::parse(needed));
        assert_eq!(found.join(" "), missing, "{granted} for {needed}");
    }
}

#[test]
fn what_is_no_users_token_is_told_by_name() {
    let gitlab = gitlab("https://gitlab.com", &outgoing());
    let shape = |start: &str| gitlab.shape(&Secret::new([start, &"A".repeat(20)].concat()));
    for start in ["glpat-", "acme-glpat-", "", " glpat-"] {
        assert_eq!(shape(start), Shape::Plausible, "{start}");
    }
    assert_eq!(gitlab.shape(&of_oauth()), Shape::Plausible);
    assert_eq!(shape("ghp_"), Shape::Foreign("GitHub"));
    let secret = "This is the secret of an OAuth application, not a token.";
    assert_eq!(shape("gloas-"), Shape::Refused(secret));
    assert_eq!(shape("\ngloas-"), Shape::Refused(secret));
    assert_eq!(shape("gldt-"), Shape::Refused("This is a deploy token: it stands for no person."));
    // Every one of the family has its name.
    assert_eq!(OTHERS.map(|(prefix, _)| prefix).as_slice(), FAMILY.other);
    for (prefix, sentence) in OTHERS {
        assert!(sentence.starts_with("This is ") && sentence.ends_with('.'), "{sentence}");
        assert_eq!(shape(prefix), Shape::Refused(sentence));
    }
    assert!(gitlab.foreign_shapes().iter().all(|(start, _)| !start.starts_with("gl")));
}

/// A simulated host, and this provider there.
struct Simulated {
    router: axum::Router,
    gitlab: GitLab,
}

impl Simulated {
    /// `root`: the path below which it lives.
    async fn start(root: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{root}", listener.local_addr().unwrap());
        let router = forge::router(&Arc::new(forge::Host::new(forge::Shape::Gitlab, &url, Vec::new())));
        tokio::spawn(forge::serve(listener, router.clone()));
        Self { router, gitlab: gitlab(&url, &outgoing()) }
    }

    /// What the control room answers.
    async fn tell(&self, path: &str, body: Value) -> Value {
        let request = http::Request::post(format!("/_forge/{path}"))
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        let answer = tower::ServiceExt::oneshot(self.router.clone(), request).await.unwrap();
        assert!(answer.status().is_success(), "{path} {body}: {}", answer.status());
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// A token of octocat, and its number.
    async fn token(&self, wanted: Value) -> (Secret, u64) {
        let made = self.tell("tokens", with(json!({ "user": "octocat" }), wanted)).await;
        (Secret::new(made["token"].as_str().unwrap()), made["id"].as_u64().unwrap())
    }

    async fn identify(&self, token: &Secret) -> Result<Identity, ProviderError> {
        self.gitlab.identify(&pasted(token), Age::Settled).await
    }

    async fn push(&self, token: &Secret, repository: &str) -> Word {
        self.gitlab.may_push(&pasted(token), repository).await.into()
    }
}

#[tokio::test]
async fn a_simulated_host_is_understood_wherever_it_lives() {
    for root in ["", "/git/lab"] {
        let host = Simulated::start(root).await;
        let usual =
            json!({ "scopes": ["read_api", "write_repository"], "expires_at": "2027-03-30T15:00:00Z" });
        let (token, id) = host.token(usual).await;
        let identity = host.identify(&token).await.unwrap();
        let octocat = ProviderAccount { id: "583231".to_owned(), login: "octocat".to_owned() };
        assert_eq!((identity.owner, identity.kind.as_str()), (octocat, "personal"));
        assert_eq!(identity.scopes.unwrap().to_vec(), ["read_api", "write_repository"]);
        let TokenExpiry::At(end) = identity.expiry else { panic!("it ends") };
        assert_eq!(end.seconds() % 86_400, 0, "as a day begins");
        assert_eq!(host.push(&token, "acme/infra").await, Word::Allowed);
        assert_eq!(host.push(&token, "acme/readonly").await, Word::Denied);
        assert_eq!(host.push(&token, "acme/secret-ops").await, Word::Hidden);

        let (reader, _) = host.token(json!({ "scopes": ["read_api"], "expires_at": null })).await;
        assert_eq!(host.identify(&reader).await.unwrap().expiry, TokenExpiry::Never);
        assert_eq!(host.push(&reader, "acme/infra").await, Word::Denied);
        let (pusher, _) = host.token(json!({ "kind": "plain", "scopes": ["write_repository"] })).await;
        assert_eq!(host.identify(&pusher).await.unwrap().owner.login, "user 583231");
        assert_eq!(host.push(&pusher, "acme/infra").await, Word::Allowed);
        for kind in ["project", "group"] {
            let (bot, _) = host.token(json!({ "kind": kind, "scopes": ["api"] })).await;
            assert_eq!(host.identify(&bot).await.unwrap().kind, kind);
        }

        host.tell("tokens/change", json!({ "id": id, "revoked": true })).await;
        let Err(ProviderError::Rejected(evidence)) = host.identify(&token).await else { panic!("revoked") };
        assert_eq!(evidence.answer, "401 revoked");
        let Err(ProviderError::Rejected(evidence)) = host.identify(&personal()).await else {
            panic!("unknown")
        };
        assert_eq!(evidence.answer, "401");
    }
}

#[tokio::test]
async fn a_simulated_fine_grained_token_tells_what_it_may() {
    let host = Simulated::start("").await;
    let fine = |permissions: Value| json!({ "kind": "fine_grained", "permissions": permissions });
    let all = json!({ "user": "read", "personal_access_token": "read", "code": "write" });
    let (whole, _) = host.token(fine(all)).await;
    let identity = host.identify(&whole).await.unwrap();
    assert_eq!((identity.kind.as_str(), identity.owner.login.as_str()), ("fine-grained", "octocat"));
    assert_eq!(identity.scopes, None);
    assert_eq!(host.push(&whole, "acme/infra").await, Word::Allowed);
    let (shy, _) = host.token(fine(json!({ "personal_access_token": "read", "code": "read" }))).await;
    let identity = host.identify(&shy).await.unwrap();
    assert_eq!((identity.kind.as_str(), identity.owner.login.as_str()), ("fine-grained", "user 583231"));
    assert_eq!(host.push(&shy, "acme/infra").await, Word::Denied);
    let (user, _) = host.token(fine(json!({ "user": "read" }))).await;
    let identity = host.identify(&user).await.unwrap();
    assert_eq!((identity.kind.as_str(), identity.owner.login.as_str()), ("fine-grained", "octocat"));
    assert_eq!(identity.expiry, TokenExpiry::Unknown);
    let (mute, _) = host.token(fine(json!({ "code": "write" }))).await;
    assert_eq!(Word::from(host.identify(&mute).await), Word::Insufficient);
    assert_eq!(host.push(&mute, "acme/infra").await, Word::Allowed, "good for its work all the same");

    // A group that takes such tokens only.
    let (classic, _) = host.token(json!({ "scopes": ["api"] })).await;
    host.tell("settings", json!({ "fine_grained_only": true })).await;
    assert_eq!(Word::from(host.identify(&classic).await), Word::Valid);
    assert_eq!(host.push(&classic, "acme/infra").await, Word::Denied);
}

#[tokio::test]
async fn a_simulated_grant_is_renewed_once_and_both_old_tokens_die() {
    let host = Simulated::start("/lab").await;
    let app = OauthApp {
        client_id: "gitward-demo".to_owned(),
        client_secret: Secret::new("gitward-demo-secret"),
        ..app()
    };
    let wanted = json!({ "user": "octocat", "kind": "oauth", "scopes": ["read_api", "write_repository"] });
    let made = host.tell("tokens", wanted).await;
    let access = Secret::new(made["token"].as_str().unwrap());
    let identity = host.gitlab.identify(&granted(&access), Age::Fresh).await.unwrap();
    assert_eq!((identity.kind.as_str(), identity.owner.login.as_str()), ("oauth", "octocat"));
    assert_eq!(Word::from(host.gitlab.may_push(&granted(&access), "acme/infra").await), Word::Allowed);
    // Pasted, it is the same.
    assert_eq!(host.identify(&access).await.unwrap().kind, "oauth");

    let refresh = Secret::new(made["refresh_token"].as_str().unwrap());
    let renewed = host.gitlab.refresh(&app, &refresh).await.unwrap();
    assert_eq!(renewed.expires_in, Some(Duration::from_secs(7200)));
    assert_eq!(renewed.scopes.unwrap().to_vec(), ["read_api", "write_repository"]);
    assert_eq!(Word::from(host.gitlab.identify(&granted(&renewed.access), Age::Fresh).await), Word::Valid);
    assert_eq!(Word::from(host.gitlab.identify(&granted(&access), Age::Settled).await), Word::Rejected);
    assert_eq!(Word::from(host.gitlab.refresh(&app, &refresh).await), Word::Refused);
    let stranger = OauthApp { client_secret: Secret::new("another"), ..app };
    let outcome = host.gitlab.refresh(&stranger, &renewed.refresh.unwrap()).await;
    assert_eq!(Word::from(outcome), Word::AppRefused);
}

#[tokio::test]
async fn a_simulated_ban_says_nothing_about_a_token() {
    let host = Simulated::start("").await;
    host.tell("settings", json!({ "ban_after": 1, "ban_on": "any" })).await;
    let (token, _) = host.token(json!({ "scopes": ["api"] })).await;
    assert_eq!(host.push(&personal(), "acme/infra").await, Word::Unknown);
    assert_eq!(host.push(&token, "acme/infra").await, Word::Unknown, "the address is banned, not the token");
    assert_eq!(Word::from(host.identify(&token).await), Word::Limited);
}

/// What a header may hold, often nearly right.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        "[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} (GMT|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        "-?[0-9]{0,30}".prop_map(String::into_bytes),
    ]
}

/// What an answer may hold, often nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        r#"\{"(user_id|id|resource_owner_id|error|access_token)":("(invalid_token|dpop_error|[ -~]{0,20})"|[0-9]{0,30}|null|\[\])(,"(expires_at|expires_in|scopes|username|error_description|message)":("([0-9]{4}-[0-9]{2}-[0-9]{2}|401 Unauthorized|Token was revoked)?[ -~]{0,20}"|-?[0-9]{1,30}|null|\["[ -~]{0,20}"\])){0,4}\}"#
            .prop_map(String::into_bytes),
        "(Cannot find valid SSO session|You are not allowed to push|Forbidden)?[ -~\n]{0,80}(SSO at [ -~]{0,80})?"
            .prop_map(String::into_bytes),
        r#"[\[\]{}",:0-9a-z]{0,4000}"#.prop_map(String::into_bytes),
        (0_usize..60_000).prop_map(|depth| b"[".repeat(depth)),
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
    fn no_header_is_too_odd_to_read(value in header_value(), code in 200_u16..600) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        for name in ["retry-after", "ratelimit-reset", "content-type"] {
            let mut reply = reply(code, "text/plain", b"");
            reply.headers.insert(HeaderName::from_static(name), value.clone());
            soon(|| {
                let until = answer::limit(&reply, now()).and_then(|limit| limit.until);
                assert!(until.is_none_or(|until| until > now() && until.since(now()).as_secs() <= 7200));
                // Without a body no answer takes anything from a user.
                assert!(!matches!(answer::said(&reply, now()), Said::Refused(_) | Said::Ended));
                assert_eq!(answer::push(&reply, &redirect_uri(), now()), Push::Unknown);
            });
        }
    }

    #[test]
    fn no_body_is_too_odd_to_read(body in body(), code in 200_u16..600, text in any::<bool>()) {
        let reply = reply(code, if text { "text/plain" } else { "application/json" }, &body);
        soon(|| {
            let _ = TokenInfo::read(&reply);
            let _ = GrantInfo::read(&reply, now());
            assert!(User::read(&reply).is_none_or(|user| user.owner.id != "0" && !user.owner.login.is_empty()));
            let refused = matches!(answer::said(&reply, now()), Said::Refused(_) | Said::Ended);
            assert!(!refused || code == 401);
            let base = redirect_uri();
            match answer::push(&reply, &base, now()) {
                Push::Denied => assert!(code == 403 && text),
                Push::Hidden => assert!(code == 404 && text),
                Push::NeedsSso { link } => assert!(link.is_none_or(|link| link.starts_with("https://gitward.example.com/"))),
                Push::Unknown => {}
                Push::Allowed => panic!("nothing here allows to push"),
            }
            let normal = DIALECT.normalise(&reply);
            assert!(normal.is_err() || matches!(code, 200 | 400 | 401));
        });
    }
}

mod revocation {
    use super::*;
    use crate::provider::testing::to_revoke;

    #[tokio::test]
    async fn nothing_counts_as_revoked_but_by_the_providers_own_word() {
        use Fate::{Cannot, Revoked, Unknown, Unreachable};
        let but = [
            ("204", Revoked, Unreachable),
            ("200 object", Unreachable, Revoked),
            ("401 JSON", Unknown, Unreachable),
            ("401 with a reason", Unknown, Unreachable),
            ("401 revoked", Unknown, Unreachable),
            ("401 invalid", Unknown, Unreachable),
            ("403 scope", Cannot, Unreachable),
            ("403 permission", Cannot, Unreachable),
            ("404 JSON", Cannot, Unreachable),
            ("400 of another kind", Cannot, Unreachable),
        ];
        endure_revocation(bad_days, &samples(), gitlab, &but).await;
    }

    #[tokio::test]
    async fn a_token_ends_itself() {
        let mock = MockServer::start().await;
        mount(&mock, "DELETE", "/api/v4/personal_access_tokens/self", status(204)).await;
        let token = personal();
        let outcome = gitlab(&mock.uri(), &outgoing()).revoke(&to_revoke(pasted(&token), None, None)).await;
        assert_eq!(outcome, Ok(Revoked::Now));
        let requests = mock.received_requests().await.unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(sent(&requests[0], "authorization"), format!("Bearer {}", token.expose()));
    }

    #[tokio::test]
    async fn a_grant_ends_by_the_apps_word_with_what_renews_it() {
        let mock = MockServer::start().await;
        mount(&mock, "POST", "/oauth/revoke", status(200).set_body_json(json!({}))).await;
        let (access, refresh, app) = (of_oauth(), next(), app());
        let gitlab = gitlab(&mock.uri(), &outgoing());
        let outcome = gitlab.revoke(&to_revoke(granted(&access), Some(&refresh), Some(&app))).await;
        assert_eq!(outcome, Ok(Revoked::Now));
        let requests = mock.received_requests().await.unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(sent(&requests[0], "authorization"), "");
        let form: Vec<_> = url::form_urlencoded::parse(&requests[0].body).into_owned().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            form,
            [
                pair("client_id", &app.client_id),
                pair("client_secret", SECRETS[0]),
                pair("token", refresh.expose()),
                pair("token_type_hint", "refresh_token"),
            ]
        );
        // Without its app nobody is asked.
        let outcome = gitlab.revoke(&to_revoke(granted(&access), Some(&refresh), None)).await;
        assert!(matches!(outcome, Err(RevokeError::Cannot(_))));
        assert_eq!(mock.received_requests().await.unwrap().len(), 1);
        assert!(gitlab.can_revoke(Method::Token, "personal") && gitlab.can_revoke(Method::Oauth2, "oauth"));
        assert!(!gitlab.can_revoke(Method::Token, "oauth"), "another's app got it");
    }
}
