//! Bitbucket Data Center on good days and on bad ones.

use http::{HeaderMap, HeaderName};
use proptest::prelude::{any, prop_oneof};
use proptest::strategy::Strategy;
use serde_json::json;
use tokio::time::Instant;
use url::Url;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{self, header},
};
use zeroize::Zeroizing;

use super::*;
use crate::clock::Timestamp;
use crate::provider::revoke::{Revoke, RevokeError};
use crate::provider::{
    Grant, GrantError, Shape,
    http::{
        Outgoing,
        tests::{BadServer, Misdeed},
    },
    testing::{
        Ask, Day, Door, Fault, Further, Meaning, SECRETS, Samples, Takes, Word, app, as_ever_of_a_repository,
        days_of_any_host, endure, endure_further, exchange, granted, mount, now, oauth_error, outgoing, page,
        pasted, plain, says, sent, settings, status,
    },
};
use crate::secret::Secret;

/// Tokens are put together when the tests run: what looks like one must not stand in a file. With `+` and `/`, which
/// occur in them.
fn token() -> Secret {
    Secret::new(["BBDC", "-", "MDM+", &"Ab/c".repeat(10)].concat())
}

fn access() -> Secret {
    Secret::new(["ey", &"access".repeat(20)].concat())
}

fn renewal() -> Secret {
    Secret::new("renewal".repeat(8))
}

/// At a server of the test, which has the product below a path, as many do.
fn bitbucket(base: &str, http: &Outgoing) -> BitbucketDataCenter {
    let base = format!("{}/bitbucket", base.trim_end_matches('/'));
    BitbucketDataCenter::new(settings(&base, http)).unwrap()
}

async fn refresh(provider: &BitbucketDataCenter) -> Result<Grant, GrantError> {
    provider.refresh(&app(), &renewal()).await
}

const PROPERTIES_PATH: &str = "/bitbucket/rest/api/latest/application-properties";
const WHO_AM_I_PATH: &str = "/bitbucket/plugins/servlet/applinks/whoami";
const TOKEN_PATH: &str = "/bitbucket/rest/oauth2/latest/token";

fn properties() -> serde_json::Value {
    json!({
        "version": "9.4.2", "buildNumber": "9004002", "buildDate": "1740000000000", "displayName": "Bitbucket"
    })
}

/// As it answers a visitor.
fn to_visitor(answer: ResponseTemplate) -> ResponseTemplate {
    answer.insert_header("X-AREQUESTID", "@1ABCDEx632x1234x0")
}

/// As it answers a user.
fn to_user(answer: ResponseTemplate) -> ResponseTemplate {
    to_visitor(answer).insert_header("X-AUSERID", "2").insert_header("X-AUSERNAME", "jdoe")
}

fn good() -> ResponseTemplate {
    status(200).set_body_json(properties())
}

/// A refusal of its own, with the name of an exception.
fn refuses(code: u16, exception: impl Into<serde_json::Value>) -> ResponseTemplate {
    let mistake = json!({ "context": null, "message": "Words.", "exceptionName": exception.into() });
    status(code).set_body_json(json!({ "errors": [mistake] }))
}

const WRONG_TOKEN: &str = "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException";
const INACTIVE: &str = "com.atlassian.bitbucket.auth.InactiveUserAuthenticationException";
const UNLICENSED: &str = "com.atlassian.bitbucket.auth.NoAccessAuthenticationException";
const CAPTCHA: &str = "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException";
const BROKEN: &str = "com.atlassian.bitbucket.auth.AuthenticationSystemException";
const NOT_PERMITTED: &str = "com.atlassian.bitbucket.AuthorisationException";
const SIGN_IN: &str = "com.atlassian.plugins.rest.api.security.exception.AuthenticationRequiredException";
const NO_REPOSITORY: &str = "com.atlassian.bitbucket.repository.NoSuchRepositoryException";

/// What Bitbucket's own answers mean.
///
/// `Rejected`, `Refused` and `AppRefused` take something from a user; they stand here only where Bitbucket itself
/// says so.
fn bad_days(elsewhere: &str) -> Vec<Day> {
    use Word::{AppRefused, Blocked, Hidden, Limited, Refused, Rejected, Unknown, Unreachable, Valid};
    let answer = Fault::Answer;
    let captcha = "CAPTCHA_CHALLENGE; login-url=https://git.example.com/login";
    let denied = |code| page(code).insert_header("X-Authentication-Denied-Reason", captcha);
    let twice = to_visitor(good()).append_header("X-AUSERNAME", "jdoe").append_header("X-AUSERNAME", "root");
    #[rustfmt::skip]
    let days = vec![
        // Of a token: unknown, or its user's account is closed.
        ("401 token", answer(to_visitor(refuses(401, WRONG_TOKEN))), Rejected, Unknown, Unreachable),
        ("401 token, bare", answer(refuses(401, WRONG_TOKEN)), Rejected, Unknown, Unreachable),
        ("401 inactive", answer(to_visitor(refuses(401, INACTIVE))), Rejected, Unknown, Unreachable),
        ("200 visitor", answer(to_visitor(good())), Rejected, Unknown, Unreachable),
        ("401 visitor", answer(to_visitor(refuses(401, NOT_PERMITTED))), Rejected, Unknown, Unreachable),
        ("401 sign in", answer(to_visitor(refuses(401, SIGN_IN))), Rejected, Unknown, Unreachable),
        // It knows whose the token is, so that is not what it minds.
        ("401 user", answer(to_user(refuses(401, NOT_PERMITTED))), Valid, Hidden, Unreachable),
        ("401 user, no name for it", answer(to_user(refuses(401, json!(null)))), Valid, Hidden, Unreachable),
        ("401 license", answer(to_visitor(refuses(401, UNLICENSED))), Blocked, Unknown, Unreachable),
        ("401 license, user", answer(to_user(refuses(401, UNLICENSED))), Blocked, Hidden, Unreachable),
        ("401 both", answer(to_user(refuses(401, WRONG_TOKEN))), Unreachable, Hidden, Unreachable),
        ("403 user", answer(to_user(refuses(403, NOT_PERMITTED))), Unreachable, Hidden, Unreachable),
        ("404 repository", answer(refuses(404, NO_REPOSITORY)), Unreachable, Hidden, Unreachable),
        ("404 repository, user", answer(to_user(refuses(404, NO_REPOSITORY))), Unreachable, Hidden, Unreachable),
        // It does not say so clearly, or somebody else says it.
        ("200 bare", answer(good()), Unreachable, Unknown, Unreachable),
        ("401 bare", answer(refuses(401, NOT_PERMITTED)), Unreachable, Unknown, Unreachable),
        ("401 directory", answer(to_visitor(refuses(401, BROKEN))), Unreachable, Unknown, Unreachable),
        ("401 others' word", answer(to_visitor(refuses(401, "org.example.auth.BadAuthenticationException"))), Unreachable, Unknown, Unreachable),
        ("401 words", answer(to_visitor(refuses(401, "AuthenticationException"))), Unreachable, Unknown, Unreachable),
        ("401 directory, user", answer(to_user(refuses(401, BROKEN))), Valid, Hidden, Unreachable),
        ("401 no error", answer(to_visitor(status(401).set_body_json(json!({ "errors": [] })))), Unreachable, Unknown, Unreachable),
        ("401 message", answer(to_visitor(says(401, "Authentication failed."))), Unreachable, Unknown, Unreachable),
        ("401 HTML, user", answer(to_user(page(401))), Unreachable, Unknown, Unreachable),
        ("403 HTML, user", answer(to_user(page(403))), Unreachable, Unknown, Unreachable),
        ("403 JSON", answer(refuses(403, NOT_PERMITTED)), Unreachable, Unknown, Unreachable),
        ("403 text", answer(plain(403, "No.")), Unreachable, Unknown, Unreachable),
        ("404 text", answer(plain(404, "No.")), Unreachable, Unknown, Unreachable),
        ("404 no door", answer(status(404).set_body_json(json!({ "message": "HTTP 404 Not Found", "status-code": 404 }))), Unreachable, Unknown, Unreachable),
        ("400", answer(refuses(400, json!(null))), Unreachable, Unknown, Unreachable),
        ("409", answer(refuses(409, json!(null))), Unreachable, Unknown, Unreachable),
        ("503 token", answer(to_visitor(refuses(503, WRONG_TOKEN))), Unreachable, Unknown, Unreachable),
        ("500 token", answer(to_visitor(refuses(500, WRONG_TOKEN))), Unreachable, Unknown, Unreachable),
        ("200 HTML, user", answer(to_user(page(200))), Unreachable, Unknown, Unreachable),
        ("200 HTML, visitor", answer(to_visitor(page(200))), Unreachable, Unknown, Unreachable),
        ("200 other JSON, user", answer(to_user(status(200).set_body_json(json!({ "version": "1" })))), Unreachable, Unknown, Unreachable),
        ("200 other JSON, visitor", answer(to_visitor(status(200).set_body_json(json!({ "version": "1" })))), Unreachable, Unknown, Unreachable),
        ("200 two names", answer(twice), Unreachable, Unknown, Unreachable),
        ("200 no name", answer(to_visitor(good()).insert_header("X-AUSERNAME", "")), Unreachable, Unknown, Unreachable),
        ("200 odd name", answer(to_visitor(good()).insert_header("X-AUSERNAME", "a%E2%80%AEb")), Unreachable, Unknown, Unreachable),
        // No number with the name, and the other door is shut.
        ("200 no number", answer(to_visitor(good()).insert_header("X-AUSERNAME", "jdoe")), Unreachable, Unknown, Unreachable),
        ("200 number 0", answer(to_user(good()).insert_header("X-AUSERID", "0")), Unreachable, Unknown, Unreachable),
        ("late 401", Fault::TooLate(refuses(401, WRONG_TOKEN)), Unreachable, Unknown, Unreachable),
        // Too many requests, or too many wrong passwords.
        ("429", answer(status(429)), Limited, Unknown, Limited),
        ("429 HTML", answer(page(429)), Limited, Unknown, Limited),
        ("429 user", answer(to_user(refuses(429, json!(null)))), Limited, Unknown, Limited),
        ("429 token", answer(refuses(429, WRONG_TOKEN)), Limited, Unknown, Limited),
        ("429 seconds", answer(status(429).insert_header("retry-after", "60")), Limited, Unknown, Limited),
        ("429 junk", answer(status(429).insert_header("retry-after", "soon")), Limited, Unknown, Limited),
        ("403 CAPTCHA", answer(refuses(403, CAPTCHA)), Limited, Unknown, Limited),
        ("401 CAPTCHA", answer(to_visitor(refuses(401, CAPTCHA))), Limited, Unknown, Limited),
        ("401 CAPTCHA, HTML", answer(denied(401)), Limited, Unknown, Limited),
        ("403 CAPTCHA, HTML", answer(denied(403)), Limited, Unknown, Limited),
        // Its errors of OAuth2.
        ("invalid grant", answer(oauth_error(400, "invalid_grant")), Unreachable, Unknown, Refused),
        ("invalid client", answer(oauth_error(401, "invalid_client")), Unreachable, Unknown, AppRefused),
        ("invalid client, 400", answer(oauth_error(400, "invalid_client")), Unreachable, Unknown, AppRefused),
        ("unauthorized", answer(oauth_error(400, "unauthorized_client")), Unreachable, Unknown, AppRefused),
        ("grant type", answer(oauth_error(400, "unsupported_grant_type")), Unreachable, Unknown, AppRefused),
        ("scope", answer(oauth_error(400, "invalid_scope")), Unreachable, Unknown, AppRefused),
        // The same from where they mean nothing, and errors that mean nothing.
        ("grant, 403", answer(oauth_error(403, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 500", answer(oauth_error(500, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 503", answer(oauth_error(503, "invalid_grant")), Unreachable, Unknown, Unreachable),
        ("grant, 429", answer(oauth_error(429, "invalid_grant")), Limited, Unknown, Limited),
        ("bad request", answer(oauth_error(400, "invalid_request")), Unreachable, Unknown, Unreachable),
        ("server error", answer(oauth_error(400, "server_error")), Unreachable, Unknown, Unreachable),
        ("unknown error", answer(oauth_error(400, "<script>")), Unreachable, Unknown, Unreachable),
        ("no error", answer(oauth_error(400, "")), Unreachable, Unknown, Unreachable),
    ];
    days.into_iter().chain(days_of_any_host(&properties(), elsewhere)).collect()
}

fn samples() -> Samples {
    Samples {
        token: token(),
        user_name: None,
        access: access(),
        refresh: renewal(),
        repository: "ACME/infra",
    }
}

#[tokio::test]
async fn a_bad_day_takes_nothing_from_anyone() {
    let cells = endure(bad_days, &samples(), bitbucket).await;
    assert!(cells >= 360, "{cells} cells");
}

#[tokio::test]
async fn a_bad_day_at_a_further_door_takes_nothing_from_anyone() {
    use Word::{Limited, Unreachable};
    let only_limits: fn(&Meaning) -> Vec<Word> =
        |day| if day.identity == Limited { vec![Limited] } else { vec![Unreachable] };
    let nameless = to_visitor(good()).insert_header("X-AUSERNAME", "jdoe");
    let further = [
        // Something in between has taken the headers away, so it is asked in another way.
        Further {
            asks: Ask::IDENTIFY,
            others: vec![(Door::get(PROPERTIES_PATH), good())],
            door: Door::get(WHO_AM_I_PATH),
            means: only_limits,
            takes: Takes::Nothing,
        },
        // The name is known, the number is not.
        Further {
            asks: Ask::IDENTIFY,
            others: vec![(Door::get(PROPERTIES_PATH), nameless)],
            door: Door::get("/bitbucket/rest/api/latest/users/jdoe"),
            means: only_limits,
            takes: Takes::Nothing,
        },
        // Git does not let it push, and the API tells why.
        Further {
            asks: Ask::PUSH,
            others: vec![(
                Door::get("/bitbucket/scm/ACME/infra.git/info/refs"),
                to_user(refuses(403, NOT_PERMITTED)),
            )],
            door: Door::get("/bitbucket/rest/api/latest/projects/ACME/repos/infra"),
            means: as_ever_of_a_repository,
            takes: Takes::Nothing,
        },
    ];
    let cells = endure_further(bad_days, &samples(), bitbucket, &further).await;
    assert!(cells >= 600, "{cells} cells");
}

#[tokio::test]
async fn one_question_shows_whose_a_token_is() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", PROPERTIES_PATH, to_user(good())).await;
    let provider = bitbucket(&mock.uri(), &outgoing());
    for (shown, kind, label) in [
        (pasted(&token()), "http-access-token", "HTTP access token"),
        (granted(&access()), "oauth2", "OAuth2 token"),
    ] {
        let identity = provider.identify(&shown, Age::Settled).await.unwrap();
        assert_eq!(identity.owner, ProviderAccount { id: "2".to_owned(), login: "jdoe".to_owned() });
        assert_eq!((identity.kind.as_str(), provider.kind_label(&identity.kind)), (kind, label));
        assert_eq!(identity.scopes, None, "not visible");
        assert_eq!(identity.expiry, TokenExpiry::Unknown);
        let evidence = Evidence { request: PROPERTIES.to_owned(), answer: "200".to_owned() };
        assert_eq!(identity.evidence, evidence);
    }
    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    assert_eq!(sent(&requests[0], "authorization"), format!("Bearer {}", token().expose()));
    assert_eq!(sent(&requests[0], "accept"), "application/json");
    assert!(sent(&requests[0], "user-agent").starts_with("Gitward/"));
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn a_refused_token_is_asked_about_once() {
    let mock = MockServer::start().await;
    Mock::given(matchers::any()).respond_with(to_visitor(refuses(401, WRONG_TOKEN))).mount(&mock).await;
    let provider = bitbucket(&mock.uri(), &outgoing());
    for (shown, age) in [(pasted(&token()), Age::Settled), (granted(&access()), Age::Fresh)] {
        let error = provider.identify(&shown, age).await.unwrap_err();
        let evidence = Evidence { request: PROPERTIES.to_owned(), answer: "401".to_owned() };
        assert_eq!(error, ProviderError::Rejected(evidence));
    }
    assert_eq!(mock.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn names_come_percent_encoded() {
    let table = [
        ("jdoe", Some("jdoe")),
        ("jane%40example.com", Some("jane@example.com")),
        ("jane%2Bgit%40example.com", Some("jane+git@example.com")),
        ("J%C3%BCrgen", Some("Jürgen")),
        ("access-token-user%2F1%2Fa-b", Some("access-token-user/1/a-b")),
        ("jane%20doe", Some("jane doe")),
        // What is not encoded, or not rightly, stays what it is.
        ("jane@example.com", Some("jane@example.com")),
        ("100%", Some("100%")),
        ("a%zz", Some("a%zz")),
        ("a%C3", Some("a%C3")),
        ("a%0Ab", None),
        ("a%00b", None),
        ("%E2%80%AEnimda", None),
        ("%20", None),
    ];
    let http = outgoing();
    for (header, name) in table {
        let mock = MockServer::start().await;
        let answer = to_user(good()).insert_header("X-AUSERNAME", header);
        mount(&mock, "GET", PROPERTIES_PATH, answer).await;
        let identity = bitbucket(&mock.uri(), &http).identify(&pasted(&token()), Age::Settled).await;
        let shown = identity.ok().map(|identity| identity.owner.login);
        assert_eq!(shown.as_deref(), name, "{header}");
    }
}

#[tokio::test]
async fn the_number_is_asked_for_where_the_headers_do_not_tell_it() {
    let account = |name: &str| status(200).set_body_json(json!({ "name": name, "id": 102, "slug": "x" }));
    let named = |name| to_visitor(good()).insert_header("X-AUSERNAME", name);
    let table = [
        ("jdoe", "jdoe", account("jdoe"), Word::Valid),
        ("Jane.Doe%40Example.com", "jane.doe_example.com", account("jane.doe@example.com"), Word::Valid),
        ("a%2F..%2Fb", "a_.._b", account("a/../b"), Word::Valid),
        // Another user with the same form in addresses.
        ("jane%40example.com", "jane_example.com", account("jane_example.com"), Word::Unreachable),
        ("jdoe", "jdoe", account(""), Word::Unreachable),
        ("jdoe", "jdoe", status(200).set_body_json(json!({ "name": "jdoe", "id": 0 })), Word::Unreachable),
        ("jdoe", "jdoe", to_user(refuses(401, NOT_PERMITTED)), Word::Unreachable),
        ("jdoe", "jdoe", refuses(404, NO_REPOSITORY), Word::Unreachable),
        ("jdoe", "jdoe", page(200), Word::Unreachable),
        ("jdoe", "jdoe", status(429), Word::Limited),
    ];
    let http = outgoing();
    for (row, (name, slug, answer, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", PROPERTIES_PATH, named(name)).await;
        mount(&mock, "GET", &format!("/bitbucket/rest/api/latest/users/{slug}"), answer).await;
        let identity = bitbucket(&mock.uri(), &http).identify(&pasted(&token()), Age::Settled).await;
        if let Ok(identity) = &identity {
            assert_eq!(identity.owner.id, "102", "row {row}");
        }
        assert_eq!(Word::from(identity), expected, "row {row}");
        assert_eq!(mock.received_requests().await.unwrap().len(), 2, "row {row}");
    }
}

#[tokio::test]
async fn a_proxy_that_takes_headers_away_makes_no_token_dead() {
    use Word::{Limited, Rejected, Unreachable, Valid};
    let text = |text: &str| status(200).set_body_raw(text.to_owned(), "text/plain;charset=UTF-8");
    let account = || status(200).set_body_json(json!({ "name": "jdoe", "id": 2 }));
    // What the first question brings, what the second does, and what both come to.
    let table = [
        // The header with the name is gone, or all are: the second question tells.
        (to_visitor(good()), text("jdoe"), Valid),
        (good(), text("jdoe\n"), Valid),
        (to_visitor(refuses(401, SIGN_IN)), text("jdoe"), Valid),
        // The token did not arrive, or is none: nobody, twice.
        (to_visitor(good()), text(""), Rejected),
        (good(), text(" \n"), Rejected),
        (refuses(401, NOT_PERMITTED), text(""), Rejected),
        // The second question is not answered by Bitbucket: what the first one came to.
        (to_visitor(good()), status(404), Rejected),
        (to_visitor(good()), page(200), Rejected),
        (to_visitor(good()), page(403), Rejected),
        (good(), status(404), Unreachable),
        (good(), page(200), Unreachable),
        (good(), text("a\u{202e}b"), Unreachable),
        // It is answered badly: nothing is known.
        (to_visitor(good()), status(503), Unreachable),
        (to_visitor(good()), status(429), Limited),
        (good(), status(429), Limited),
    ];
    let http = outgoing();
    for (row, (first, second, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", PROPERTIES_PATH, first).await;
        mount(&mock, "GET", WHO_AM_I_PATH, second).await;
        mount(&mock, "GET", "/bitbucket/rest/api/latest/users/jdoe", account()).await;
        let identity = bitbucket(&mock.uri(), &http).identify(&pasted(&token()), Age::Settled).await;
        if let Ok(identity) = &identity {
            assert_eq!(identity.owner, ProviderAccount { id: "2".to_owned(), login: "jdoe".to_owned() });
            assert_eq!(identity.evidence.request, WHO_AM_I, "row {row}");
        }
        if let Err(ProviderError::Rejected(evidence)) = &identity {
            assert_eq!(evidence.answer, "200, as to a visitor without a token", "row {row}");
        }
        assert_eq!(Word::from(identity), expected, "row {row}");
        let requests = mock.received_requests().await.unwrap();
        assert_eq!(sent(&requests[1], "authorization"), format!("Bearer {}", token().expose()));
        assert!(requests.len() <= 3, "row {row}");
    }
}

#[tokio::test]
async fn an_account_without_a_license_has_a_good_token_and_does_not_get_in() {
    let mock = MockServer::start().await;
    mount(&mock, "GET", PROPERTIES_PATH, to_visitor(refuses(401, UNLICENSED))).await;
    let error =
        bitbucket(&mock.uri(), &outgoing()).identify(&pasted(&token()), Age::Settled).await.unwrap_err();
    let ProviderError::Blocked { why, .. } = error else { panic!("{error:?}") };
    assert_eq!(why, "the account has no license for it");
    assert_eq!(mock.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_limit_ends_when_the_host_says() {
    let seconds = |span: u64| Some(now().plus(Duration::from_secs(span)));
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Option<Timestamp>);
    let table: &[Row<'_>] = &[
        (429, &[], None),
        (429, &[("retry-after", "60")], seconds(60)),
        (429, &[("retry-after", "0")], None),
        (429, &[("retry-after", "-60")], None),
        (429, &[("retry-after", "4000000000")], seconds(7200)),
        (429, &[("retry-after", "Sun, 22 Nov 2026 12:05:00 GMT")], seconds(300)),
        (429, &[("retry-after", "soon")], None),
        (403, &[("x-authentication-denied-reason", "CAPTCHA_CHALLENGE")], None),
        (
            401,
            &[("x-authentication-denied-reason", "captcha_challenge; login-url=x"), ("retry-after", "9")],
            seconds(9),
        ),
    ];
    let http = outgoing();
    for (row, (code, headers, expected)) in table.iter().enumerate() {
        let mock = MockServer::start().await;
        let mut answer = status(*code);
        for (name, value) in *headers {
            answer = answer.insert_header(*name, *value);
        }
        Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
        let provider = bitbucket(&mock.uri(), &http);
        let Err(ProviderError::RateLimited { until, .. }) =
            provider.identify(&pasted(&token()), Age::Settled).await
        else {
            panic!("row {row}");
        };
        assert_eq!(until, *expected, "row {row}");
        let Err(GrantError::RateLimited { until, .. }) = refresh(&provider).await else {
            panic!("row {row}")
        };
        assert_eq!(until, *expected, "row {row}");
    }
}

const REFS: &str = "/bitbucket/scm/ACME/infra.git/info/refs";
const REPOSITORY: &str = "/bitbucket/rest/api/latest/projects/ACME/repos/infra";

fn advertisement() -> ResponseTemplate {
    status(200).set_body_raw(
        "001f# service=git-receive-pack\n0000".repeat(20_000),
        "application/x-git-receive-pack-advertisement",
    )
}

#[tokio::test]
async fn git_is_asked_whether_it_would_take_a_push() {
    let mock = MockServer::start().await;
    // Longer than any body that is read.
    mount(&mock, "GET", REFS, advertisement()).await;
    mount(&mock, "GET", "/bitbucket/scm/~jdoe/notes.git/info/refs", advertisement()).await;
    let provider = bitbucket(&mock.uri(), &outgoing());
    for repository in ["ACME/infra", "ACME/infra.git", "~jdoe/notes"] {
        assert_eq!(provider.may_push(&pasted(&token()), repository).await, Push::Allowed, "{repository}");
    }
    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    assert_eq!(sent(&requests[0], "authorization"), format!("Bearer {}", token().expose()));
    assert_eq!(requests[0].url.query(), Some("service=git-receive-pack"));
}

#[tokio::test]
async fn the_api_tells_why_git_takes_none() {
    use Word::{Allowed, Denied, Hidden, Unknown};
    let git = |code| plain(code, "No.");
    let seen = || status(200).set_body_json(json!({ "slug": "infra", "id": 1 }));
    let absent = || refuses(404, NO_REPOSITORY);
    let not_permitted = || refuses(401, NOT_PERMITTED);
    let table = [
        (advertisement(), page(500), Allowed),
        (status(200).set_body_raw("x", "text/html"), seen(), Unknown),
        (status(200).set_body_raw("x", "application/x-git-upload-pack-advertisement"), seen(), Unknown),
        // Who may read but not push; also where 401 is the word for it.
        (git(403), seen(), Denied),
        (to_user(git(403)), to_user(seen()), Denied),
        (to_user(git(401)), to_user(seen()), Denied),
        (to_user(page(403)), to_user(seen()), Denied),
        // Who may not even read.
        (to_user(git(401)), to_user(not_permitted()), Hidden),
        (to_user(git(404)), to_user(not_permitted()), Hidden),
        (git(404), to_user(refuses(403, NOT_PERMITTED)), Hidden),
        (git(404), absent(), Hidden),
        (to_user(git(404)), to_user(absent()), Hidden),
        (git(403), absent(), Hidden),
        // It did not take the token, or did not get it: a matter for the other question.
        (git(401), seen(), Unknown),
        (to_visitor(git(401)), seen(), Unknown),
        (git(403), not_permitted(), Unknown),
        (git(403), to_visitor(refuses(401, WRONG_TOKEN)), Unknown),
        // No answer of Bitbucket's, or none that fits the other.
        (page(403), seen(), Unknown),
        (page(404), absent(), Unknown),
        (git(403), page(200), Unknown),
        (git(403), page(404), Unknown),
        (git(403), page(503), Unknown),
        (git(403), to_user(page(401)), Unknown),
        (git(403), status(429), Unknown),
        (git(404), seen(), Unknown),
        (git(429), seen(), Unknown),
        (git(403).insert_header("x-authentication-denied-reason", "CAPTCHA_CHALLENGE"), seen(), Unknown),
        (git(500), seen(), Unknown),
    ];
    let http = outgoing();
    for (row, (git, api, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", REFS, git).await;
        mount(&mock, "GET", REPOSITORY, api).await;
        let outcome = bitbucket(&mock.uri(), &http).may_push(&pasted(&token()), "ACME/infra").await;
        assert_eq!(Word::from(outcome), expected, "row {row}");
        assert!(mock.received_requests().await.unwrap().len() <= 2, "row {row}");
    }
}

#[tokio::test]
async fn only_names_of_repositories_become_addresses() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let provider = bitbucket(server.url.as_str(), &outgoing());
    for name in [
        "",
        "/",
        "ACME",
        "ACME/",
        "/infra",
        "ACME/infra/x",
        "scm/ACME/infra",
        "../infra",
        "ACME/..",
        "ACME/.git",
        "ACME/infra?x",
        "ACME/infra#x",
        "ACME/infra%2f",
        "ACME/infra\n",
        "A CME/infra",
        "ÄCME/infra",
        "ACME\\infra",
        "@evil.example.com/infra",
    ] {
        assert_eq!(provider.may_push(&pasted(&token()), name).await, Push::Unknown, "{name:?}");
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(provider.may_push(&pasted(&token()), "~j.doe/a-1.b_c").await, Push::Unknown);
    assert!(
        server.requests.lock().unwrap()[0]
            .starts_with("GET /bitbucket/scm/~j.doe/a-1.b_c.git/info/refs?service=git-receive-pack ")
    );
}

fn form_of(request: &Request) -> Vec<(String, String)> {
    let mut fields: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn a_code_is_exchanged_at_once_and_with_one_post() {
    let mock = MockServer::start().await;
    let answer = json!({
        "access_token": access().expose(), "refresh_token": renewal().expose(), "expires_in": 3600,
        "scope": "REPO_WRITE", "token_type": "bearer",
    });
    Mock::given(matchers::method("POST"))
        .and(matchers::path(TOKEN_PATH))
        .and(header("accept", "application/json"))
        .respond_with(status(200).set_body_json(answer))
        .mount(&mock)
        .await;
    let grant = exchange(&bitbucket(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), access().expose());
    assert_eq!(grant.refresh.unwrap().expose(), renewal().expose());
    assert_eq!(grant.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(grant.refresh_expires_in, None, "not told, and an administrator may have changed it");
    assert_eq!(grant.scopes.unwrap().to_vec(), ["REPO_WRITE"]);

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
    assert_eq!(requests[0].url.query(), None, "secrets would stand in logs");
}

#[tokio::test]
async fn a_refresh_names_the_redirect_address_again() {
    let mock = MockServer::start().await;
    let answer = json!({ "access_token": access().expose(), "token_type": "Bearer", "expires_in": 60 });
    mount(&mock, "POST", TOKEN_PATH, status(200).set_body_json(answer)).await;
    let grant = refresh(&bitbucket(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), access().expose());
    assert!(grant.refresh.is_none(), "nothing came back, so the old one stays in use");
    assert_eq!(grant.scopes, None);

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let fields = form_of(&requests[0]);
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["client_id", "client_secret", "grant_type", "redirect_uri", "refresh_token"]);
    assert_eq!(fields[3].1, "https://gitward.example.com/callback/here");
}

#[tokio::test]
async fn grants_come_in_many_forms() {
    let t = access().expose().to_owned();
    let scopes = |names: &[&str]| Some(names.iter().copied().collect::<ScopeSet>());
    let hour = Some(Duration::from_secs(3600));
    // The answer, its scopes, its life, and whether it can be renewed.
    let table = [
        (
            json!({ "access_token": t, "scope": "REPO_READ REPO_WRITE" }),
            scopes(&["REPO_READ", "REPO_WRITE"]),
            None,
            false,
        ),
        (
            json!({ "access_token": t, "scope": "REPO_READ,REPO_WRITE" }),
            scopes(&["REPO_READ", "REPO_WRITE"]),
            None,
            false,
        ),
        (json!({ "access_token": t, "scope": "" }), None, None, false),
        (json!({ "access_token": t, "scope": ["REPO_WRITE"] }), None, None, false),
        (
            json!({ "access_token": t, "scope": null, "expires_in": null, "refresh_token": null }),
            None,
            None,
            false,
        ),
        (json!({ "access_token": t, "expires_in": "3600", "refresh_token": "r" }), None, hour, true),
        // A life that cannot be read: the documented one, if there is something to renew it with.
        (json!({ "access_token": t, "expires_in": "soon", "refresh_token": "r" }), None, hour, true),
        (json!({ "access_token": t, "expires_in": -1 }), None, None, false),
        (json!({ "access_token": t, "created_at": 7, "id_token": {} }), None, None, false),
    ];
    let http = outgoing();
    for (row, (answer, scopes, life, renewable)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "POST", TOKEN_PATH, status(200).set_body_json(answer)).await;
        let Ok(grant) = exchange(&bitbucket(&mock.uri(), &http)).await else { panic!("row {row}") };
        assert_eq!(grant.access.expose(), t, "row {row}");
        assert_eq!((grant.scopes, grant.expires_in), (scopes, life), "row {row}");
        assert_eq!(grant.refresh.is_some(), renewable, "row {row}");
    }
}

#[tokio::test]
async fn evidence_quotes_nothing() {
    let mock = MockServer::start().await;
    let secret = access();
    let word = "com.atlassian.bitbucket.auth.Secret";
    for body in [
        json!({ "error": secret.expose(), "error_description": secret.expose() }).to_string(),
        json!({ "errors": [{ "message": secret.expose(), "exceptionName": format!("{word}{}", secret.expose()) }] })
            .to_string(),
        json!({ "version": secret.expose(), "buildNumber": secret.expose(), "displayName": secret.expose() })
            .to_string(),
        json!({ "access_token": secret.expose(), "token_type": secret.expose() }).to_string(),
        secret.expose().to_owned(),
    ] {
        for code in [200, 400, 401, 403, 404, 429, 500] {
            for kind in ["application/json", "text/plain"] {
                mock.reset().await;
                let answer = to_visitor(status(code).set_body_raw(body.clone(), kind));
                Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
                let provider = bitbucket(&mock.uri(), &outgoing());
                let identity = provider.identify(&granted(&secret), Age::Fresh).await.err();
                let grants = [exchange(&provider).await.err(), refresh(&provider).await.err()];
                let shown = format!("{identity:?} {grants:?}");
                assert!(!shown.contains(secret.expose()), "{code}: {shown}");
                assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{code}: {shown}");
            }
        }
    }
}

#[test]
fn every_token_is_shown_as_a_bearer_at_every_door() {
    let provider = bitbucket("https://git.example.com", &outgoing());
    let (token, access) = (token(), access());
    let shown = [
        pasted(&token),
        granted(&access),
        Presented { kind: Some(HTTP_ACCESS_TOKEN), ..pasted(&token) },
        Presented { user_name: Some("jdoe"), ..pasted(&token) },
    ];
    for shown in shown {
        assert_eq!(provider.doors(&shown), Doors { api: Auth::Bearer, git: Auth::Bearer });
    }
}

#[test]
fn tokens_are_told_by_their_beginning_only() {
    let provider = bitbucket("https://git.example.com", &outgoing());
    assert_eq!(provider.shape(&token()), Shape::Plausible);
    // From before the prefix.
    assert_eq!(provider.shape(&Secret::new(["MDM0", &"a/+B".repeat(10)].concat())), Shape::Plausible);
    assert_eq!(
        provider.shape(&Secret::new(["gh", "p_", &"A".repeat(36)].concat())),
        Shape::Foreign("GitHub")
    );
    let foreign = provider.foreign_shapes();
    assert!(foreign.contains(&("ghp_", "GitHub")));
    assert!(foreign.iter().all(|(prefix, _)| *prefix != "BBDC-"));
}

#[test]
fn every_address_is_below_its_own() {
    let http = outgoing();
    let cases = [
        ("https://git.example.com", "https://git.example.com", "https://git.example.com"),
        ("https://git.example.com/", "https://git.example.com", "https://git.example.com"),
        (
            "https://git.example.com:8443/bitbucket",
            "https://git.example.com:8443/bitbucket",
            "https://git.example.com:8443",
        ),
        ("https://example.com/a/b/", "https://example.com/a/b", "https://example.com"),
    ];
    for (base, below_it, origin) in cases {
        let provider = BitbucketDataCenter::new(settings(base, &http)).unwrap();
        assert_eq!(provider.name(), "Bitbucket Data Center");
        assert_eq!(provider.origin(), origin, "{base}");
        assert_eq!(provider.place.api.as_str(), format!("{below_it}/rest/api/latest"));
        let endpoints = provider.oauth_endpoints();
        assert_eq!(endpoints.authorize.as_str(), format!("{below_it}/rest/oauth2/latest/authorize"));
        assert_eq!(endpoints.token.as_str(), format!("{below_it}/rest/oauth2/latest/token"));
        assert_eq!(endpoints.issuer, below_it);
        let link = provider.guide(&provider.default_scopes(), None, "x").link;
        assert_eq!(link.as_str(), format!("{below_it}/plugins/servlet/access-tokens/manage"));
    }
    let named =
        Settings { name: Some("Stash".to_owned()), ..settings("https://git.example.com:8443/b", &http) };
    let provider = BitbucketDataCenter::new(named).unwrap();
    assert_eq!((provider.name(), provider.host().as_str()), ("Stash", "git.example.com:8443"));

    let api = |api: &str| {
        let api_url = Some(Url::parse(api).unwrap());
        BitbucketDataCenter::new(Settings { api_url, ..settings("https://git.example.com", &http) })
    };
    let elsewhere = api("https://api.example.com/bb").unwrap();
    assert_eq!(elsewhere.origin(), "https://api.example.com https://git.example.com");
    assert_eq!(api("http://api.example.com").err(), Some(OriginError::Scheme));
    let metadata = BitbucketDataCenter::new(settings("https://169.254.169.254", &http));
    assert_eq!(metadata.err(), Some(OriginError::Forbidden));
}

#[test]
fn the_guide_names_what_to_choose() {
    let provider = bitbucket("https://git.example.com", &outgoing());
    let table = [
        ("REPO_WRITE", "“Project read” and “Repository write”"),
        ("REPO_READ", "“Project read” and “Repository read”"),
        ("REPO_ADMIN", "“Project read” and “Repository admin”"),
        ("PROJECT_WRITE", "“Project write” and “Repository write”"),
        ("PROJECT_ADMIN REPO_WRITE", "“Project admin” and “Repository admin”"),
        ("PROJECT_READ REPO_WRITE", "“Project read” and “Repository write”"),
        ("", "“Project read” and “Repository read”"),
    ];
    for (needed, words) in table {
        let guide = provider.guide(&ScopeSet::parse(needed), Some("ACME/infra"), "Gitward: prod");
        assert!(guide.steps.iter().any(|step| step.contains(words)), "{needed}: {:?}", guide.steps);
        assert!(guide.steps.iter().any(|step| step.contains("“Gitward: prod”")));
        assert_eq!(guide.link.query(), None, "nothing can be filled in");
        assert!(guide.limited_link.is_none() && guide.user_name.is_none());
        assert!(guide.asks_end, "only the user can know");
    }
}

#[test]
fn what_is_implied_is_not_missing() {
    let provider = bitbucket("https://git.example.com", &outgoing());
    assert_eq!(provider.default_scopes().to_vec(), ["REPO_WRITE"]);
    // Granted, needed, missing.
    let table = [
        ("REPO_WRITE", "REPO_WRITE", ""),
        ("REPO_WRITE", "REPO_READ", ""),
        ("REPO_WRITE", "PUBLIC_REPOS", ""),
        ("REPO_READ", "REPO_WRITE", "REPO_WRITE"),
        ("PUBLIC_REPOS", "REPO_READ REPO_WRITE", "REPO_READ REPO_WRITE"),
        ("REPO_ADMIN", "REPO_WRITE REPO_READ", ""),
        ("REPO_WRITE", "REPO_ADMIN", "REPO_ADMIN"),
        ("PROJECT_ADMIN", "REPO_ADMIN REPO_WRITE REPO_READ PROJECT_WRITE PROJECT_READ", ""),
        ("PROJECT_WRITE", "REPO_WRITE", ""),
        ("PROJECT_WRITE", "REPO_ADMIN", "REPO_ADMIN"),
        ("PROJECT_READ", "REPO_READ", ""),
        ("PROJECT_READ", "REPO_WRITE", "REPO_WRITE"),
        ("REPO_ADMIN", "PROJECT_ADMIN", "PROJECT_ADMIN"),
        // What OAuth2 grants for repositories is for their projects as well.
        ("REPO_READ", "PROJECT_READ", ""),
        ("REPO_WRITE", "PROJECT_READ PROJECT_WRITE", ""),
        ("REPO_READ", "PROJECT_WRITE", "PROJECT_WRITE"),
        ("ADMIN_WRITE", "PROJECT_ADMIN", ""),
        ("SYSTEM_ADMIN", "REPO_WRITE", ""),
        ("ACCOUNT_WRITE", "REPO_READ", "REPO_READ"),
        ("", "REPO_WRITE", "REPO_WRITE"),
        ("", "", ""),
        ("repo_write", "REPO_WRITE", "REPO_WRITE"),
        ("SOMETHING_NEW", "SOMETHING_NEW", ""),
        ("SOMETHING_NEW", "REPO_READ", "REPO_READ"),
    ];
    for (granted, needed, missing) in table {
        let found = provider.missing(&ScopeSet::parse(granted), &ScopeSet::parse(needed));
        assert_eq!(found.join(" "), missing, "{granted} for {needed}");
    }
}

#[test]
fn a_grant_asks_in_its_own_words_and_for_nothing_twice() {
    let provider = bitbucket("https://git.example.com", &outgoing());
    let table = [
        ("REPO_WRITE", "REPO_WRITE"),
        ("REPO_READ REPO_WRITE", "REPO_WRITE"),
        ("PROJECT_READ", "REPO_READ"),
        ("PROJECT_WRITE REPO_READ", "REPO_WRITE"),
        ("PROJECT_ADMIN REPO_ADMIN", "PROJECT_ADMIN"),
        ("ACCOUNT_WRITE REPO_WRITE", "ACCOUNT_WRITE REPO_WRITE"),
        ("SOMETHING_NEW REPO_READ", "REPO_READ SOMETHING_NEW"),
        ("", ""),
    ];
    for (needed, asked) in table {
        let needed = ScopeSet::parse(needed);
        let found = provider.oauth_scopes(&needed);
        assert_eq!(found.join(" "), asked);
        assert!(provider.missing(&found, &needed).is_empty(), "what is asked for is enough: {asked}");
    }
}

const HEADERS: [&str; 6] = [
    "x-ausername",
    "x-auserid",
    "x-arequestid",
    "retry-after",
    "x-authentication-denied-reason",
    "content-type",
];

/// What a header may hold, often nearly right.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        "([a-z]|%[0-9A-Fa-f]{0,2}){0,300}".prop_map(String::into_bytes),
        "-?[0-9]{0,30}".prop_map(String::into_bytes),
        "[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} (GMT|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        "(CAPTCHA_CHALLENGE)?;? ?(login-url=)?[ -~]{0,100}".prop_map(String::into_bytes),
        "text/(plain|html)(; ?charset=[ -~]{0,20})?".prop_map(String::into_bytes),
    ]
}

/// What an answer may hold, often nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        r#"\{"errors":\[(\{"message":("[ -!#-\[\]-~]{0,20}"|null|7),"exceptionName":("com\.atlassian\.bitbucket\.(auth\.)?[A-Za-z]{0,30}(AuthenticationException)?"|null|\[\])\},?){0,3}\]\}"#
            .prop_map(String::into_bytes),
        r#"\{"(version|buildNumber|displayName)":"[a-z0-9.]{0,9}"(,"(buildNumber|displayName|id|name|slug)":("[a-z0-9]{0,9}"|[0-9]{0,30}|null)){0,3}\}"#
            .prop_map(String::into_bytes),
        r#"\{"(error|access_token)":("[ -!#-\[\]-~]{0,40}"|[0-9]{1,40}|null)(,"(expires_in|token_type|refresh_token|scope)":("[a-zA-Z_ ]{0,40}"|-?[0-9]{1,40}|null))?\}"#
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
    fn no_answer_is_too_odd_to_read(
        values in proptest::array::uniform6(proptest::option::of(header_value())),
        body in body(),
        code in 200_u16..600,
    ) {
        let named = HEADERS.into_iter().zip(values).filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value?).ok()?))
        });
        let reply = Reply {
            status: StatusCode::from_u16(code).unwrap(),
            headers: HeaderMap::from_iter(named),
            body: Zeroizing::new(body),
        };
        soon(|| {
            let until = answer::limit(&reply, now()).and_then(|limit| limit.until);
            assert!(until.is_none_or(|until| until > now() && until.since(now()).as_secs() <= 7200));
            match answer::told("GET /", &reply, now()) {
                Ok(Told::User(user)) => {
                    assert!(matches!(code, 200 | 401) && !user.name.is_empty() && user.name.len() <= 255);
                    assert!(!user.name.chars().any(char::is_control));
                    let slug = answer::slug(&user.name);
                    assert!(!slug.contains(['/', '%', '?', '#']));
                }
                Ok(Told::Nobody(_)) | Err(ProviderError::Insufficient { .. }) => assert!(matches!(code, 200 | 401)),
                Err(ProviderError::Rejected(_)) => assert_eq!(code, 401),
                Err(_) => {}
            }
            if let Ok(told) = answer::who_am_i("GET /", &reply, now()) {
                assert!(code == 200 || told == WhoAmI::Untold);
            }
            assert!(answer::id_of("GET /", &reply, "jdoe", now()).is_err() || code == 200);
            assert!(!answer::refuses_push(&reply, now()) || matches!(code, 401 | 403 | 404));
            assert!(answer::sees(&reply, now()) != Some(true) || code == 200);
            let normal = DIALECT.normalise(&reply);
            assert!(normal.is_err() || matches!(code, 200 | 400 | 401));
        });
    }
}

#[tokio::test]
async fn only_its_owner_can_revoke_a_token_and_is_told_where() {
    let mock = MockServer::start().await;
    let (token, access) = (token(), access());
    let bitbucket = bitbucket(&mock.uri(), &outgoing());
    for presented in [pasted(&token), granted(&access)] {
        let what = Revoke { presented, refresh: None, app: Some(&app()), whole_grant: true };
        assert!(matches!(bitbucket.revoke(&what).await, Err(RevokeError::Cannot(_))));
        assert!(!bitbucket.can_revoke(presented.method, HTTP_ACCESS_TOKEN));
    }
    assert_eq!(mock.received_requests().await.unwrap().len(), 0);
    let page = bitbucket.revocation_page(Method::Token, HTTP_ACCESS_TOKEN);
    assert!(page.path().ends_with("/plugins/servlet/access-tokens/manage"), "{page}");
}
