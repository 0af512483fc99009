//! GitHub on good days and on bad ones.

use proptest::prelude::{any, prop_oneof};
use proptest::strategy::Strategy;
use serde_json::json;
use tokio::time::Instant;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{self, header, method, path},
};
use zeroize::Zeroizing;

use super::*;
use crate::provider::{
    Grant, GrantError, TokenExpiry,
    http::{
        Outgoing,
        tests::{BadServer, Misdeed},
    },
    testing::{
        Ask, Day, Door, Fate, Fault, Further, SECRETS, Samples, Takes, Word, app, days_of_any_host, endure,
        endure_further, endure_revocation, exchange, granted, mount, now, oauth_error, outgoing, page,
        pasted, plain, redirect_uri, says, sent, settings, status,
    },
};
use crate::{clock::Timestamp, credential::ProviderAccount};

/// Tokens are put together when the tests run: what looks like one must not stand in a file.
fn token(prefix: &str) -> Secret {
    Secret::new([prefix, &"A".repeat(30), "0uCPlr"].concat())
}

fn classic() -> Secret {
    token("ghp_")
}

fn of_oauth_app() -> Secret {
    token("gho_")
}

fn fine_grained() -> Secret {
    Secret::new(["github", "_pat_", &"1".repeat(22), "_", &"b".repeat(59)].concat())
}

const SHORT_PAUSES: [Duration; FRESH_TOKEN_PAUSES.len()] =
    [Duration::from_millis(1); FRESH_TOKEN_PAUSES.len()];

/// At a server of the test, whose API is at the root.
fn github(base: &str, http: &Outgoing) -> GitHub {
    let settings = settings(base, http);
    let mut github = GitHub::new(Settings { api_url: Some(settings.base_url.clone()), ..settings }).unwrap();
    github.fresh_token_pauses = &SHORT_PAUSES;
    github
}

async fn refresh(github: &GitHub) -> Result<Grant, GrantError> {
    github.refresh(&app(), &token("ghr_")).await
}

fn octocat() -> serde_json::Value {
    json!({ "login": "octocat", "id": 583_231, "type": "User", "name": "The Octocat" })
}

/// What GitHub's own answers mean.
///
/// `Rejected`, `Refused` and `AppRefused` take something from a user; they stand here only where GitHub itself
/// says so.
fn bad_days(elsewhere: &str) -> Vec<Day> {
    use Word::{AppRefused, Denied, Hidden, Limited, NeedsSso, Refused, Rejected, Unknown, Unreachable};
    let answer = Fault::Answer;
    let reset = now().plus(Duration::from_secs(60)).seconds().to_string();
    let sso = "required; url=https://github.example.com/orgs/o/sso?authorization_request=A";
    let sso_text = "Resource protected by organization SAML enforcement.";
    let spent = says(403, "API rate limit exceeded for user ID 1.")
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", reset.as_str());
    let form = status(200).set_body_raw(
        "error=bad_verification_code&error_description=Words",
        "application/x-www-form-urlencoded; charset=utf-8",
    );
    #[rustfmt::skip]
    let days = vec![
        // GitHub's own refusals.
        ("401 JSON", answer(says(401, "Bad credentials")), Rejected, Unknown, Unreachable),
        ("403 JSON", answer(says(403, "Forbidden")), Unreachable, Denied, Unreachable),
        ("403 permission", answer(says(403, "Resource not accessible by personal access token")), Unreachable, Denied, Unreachable),
        ("403 text", answer(plain(403, "Write access not granted.")), Unreachable, Denied, Unreachable),
        ("403 SSO", answer(says(403, sso_text).insert_header("x-github-sso", sso)), Unreachable, NeedsSso, Unreachable),
        ("404 SSO", answer(says(404, "Not Found").insert_header("x-github-sso", sso)), Unreachable, NeedsSso, Unreachable),
        ("403 SSO, partial", answer(says(403, "No").insert_header("x-github-sso", "partial-results; organizations=1")), Unreachable, Denied, Unreachable),
        ("404 JSON", answer(says(404, "Not Found")), Unreachable, Hidden, Unreachable),
        ("404 text", answer(plain(404, "Repository not found.")), Unreachable, Hidden, Unreachable),
        // Its errors of OAuth2, with the status that it sends, and with those of the standard.
        ("bad code", answer(oauth_error(200, "bad_verification_code")), Unreachable, Unknown, Refused),
        ("bad refresh token", answer(oauth_error(200, "bad_refresh_token")), Unreachable, Unknown, Refused),
        ("e-mail", answer(oauth_error(200, "unverified_user_email")), Unreachable, Unknown, Refused),
        ("invalid grant", answer(oauth_error(400, "invalid_grant")), Unreachable, Unknown, Refused),
        ("client", answer(oauth_error(200, "incorrect_client_credentials")), Unreachable, Unknown, AppRefused),
        ("invalid client", answer(oauth_error(401, "invalid_client")), Unreachable, Unknown, AppRefused),
        ("redirect", answer(oauth_error(200, "redirect_uri_mismatch")), Unreachable, Unknown, AppRefused),
        ("suspended", answer(oauth_error(200, "application_suspended")), Unreachable, Unknown, AppRefused),
        ("unauthorized", answer(oauth_error(400, "unauthorized_client")), Unreachable, Unknown, AppRefused),
        ("grant type", answer(oauth_error(400, "unsupported_grant_type")), Unreachable, Unknown, AppRefused),
        ("bad code as a form", answer(form), Unreachable, Unknown, Refused),
        // The same errors from where they mean nothing, and errors that mean nothing.
        ("bad code, 403", answer(oauth_error(403, "bad_verification_code")), Unreachable, Denied, Unreachable),
        ("bad code, 404", answer(oauth_error(404, "bad_verification_code")), Unreachable, Hidden, Unreachable),
        ("bad code, 500", answer(oauth_error(500, "bad_verification_code")), Unreachable, Unknown, Unreachable),
        ("bad code, 503", answer(oauth_error(503, "bad_refresh_token")), Unreachable, Unknown, Unreachable),
        ("bad code, 429", answer(oauth_error(429, "bad_refresh_token")), Limited, Unknown, Limited),
        ("server error", answer(oauth_error(400, "server_error")), Unreachable, Unknown, Unreachable),
        ("unavailable", answer(oauth_error(400, "temporarily_unavailable")), Unreachable, Unknown, Unreachable),
        ("bad request", answer(oauth_error(400, "invalid_request")), Unreachable, Unknown, Unreachable),
        ("unknown error", answer(oauth_error(200, "<script>")), Unreachable, Unknown, Unreachable),
        ("empty error", answer(oauth_error(200, "")), Unreachable, Unknown, Unreachable),
        ("error 7", answer(status(200).set_body_json(json!({ "error": 7 }))), Unreachable, Unknown, Unreachable),
        // Too many requests.
        ("403 spent", answer(spent), Limited, Unknown, Limited),
        ("403 later", answer(says(403, "Later").insert_header("retry-after", "60")), Limited, Unknown, Limited),
        ("403 secondary", answer(says(403, "You have exceeded a secondary rate limit.")), Limited, Unknown, Limited),
        ("403 log-ins", answer(says(403, "Maximum number of login attempts exceeded. Please try again later.")), Limited, Unknown, Limited),
        ("429", answer(status(429)), Limited, Unknown, Limited),
        ("429 text", answer(plain(429, "Retry later")), Limited, Unknown, Limited),
        ("429 seconds", answer(status(429).insert_header("retry-after", "60")), Limited, Unknown, Limited),
        ("429 date", answer(status(429).insert_header("retry-after", "Sun, 22 Nov 2026 13:00:00 GMT")), Limited, Unknown, Limited),
        ("429 junk", answer(status(429).insert_header("retry-after", "soon")), Limited, Unknown, Limited),
        ("429 HTML", answer(page(429)), Limited, Unknown, Limited),
        ("401 unsent", answer(says(401, "Requires authentication")), Unreachable, Unknown, Unreachable),
        ("400", answer(says(400, "Problems parsing JSON")), Unreachable, Unknown, Unreachable),
        ("409", answer(says(409, "Conflict")), Unreachable, Unknown, Unreachable),
        ("422", answer(says(422, "Validation Failed")), Unreachable, Unknown, Unreachable),
        ("451", answer(says(451, "Repository access blocked")), Unreachable, Unknown, Unreachable),
        ("503 credentials", answer(says(503, "Bad credentials")), Unreachable, Unknown, Unreachable),
        ("200 no id", answer(status(200).set_body_json(json!({ "login": "a" }))), Unreachable, Unknown, Unreachable),
        ("200 no name", answer(status(200).set_body_json(json!({ "id": 1, "login": "" }))), Unreachable, Unknown, Unreachable),
        ("200 text for id", answer(status(200).set_body_json(json!({ "id": "1", "login": "a" }))), Unreachable, Unknown, Unreachable),
        ("200 odd name", answer(status(200).set_body_json(json!({ "id": 1, "login": "a\u{202e}b" }))), Unreachable, Unknown, Unreachable),
        ("late 401", Fault::TooLate(says(401, "Bad credentials")), Unreachable, Unknown, Unreachable),
    ];
    days.into_iter().chain(days_of_any_host(&octocat(), elsewhere)).collect()
}

fn samples() -> Samples {
    Samples {
        token: classic(),
        user_name: None,
        access: of_oauth_app(),
        refresh: token("ghr_"),
        repository: "o/r",
    }
}

#[tokio::test]
async fn a_bad_day_takes_nothing_from_anyone() {
    let cells = endure(bad_days, &samples(), github).await;
    assert!(cells >= 360, "{cells} cells");
}

#[tokio::test]
async fn a_bad_day_at_a_further_door_takes_nothing_from_anyone() {
    use Word::{Denied, Hidden, NeedsSso, Unknown};
    let git = Door::get("/o/r.git/info/refs");
    let further = [
        // Git has refused already; the API may only tell more of it.
        Further {
            asks: Ask::PUSH,
            others: vec![(git, plain(403, "Write access not granted."))],
            door: Door::get("/repos/o/r"),
            means: |day| match day.push {
                NeedsSso => vec![NeedsSso],
                _ => vec![Denied, Unknown],
            },
            takes: Takes::Nothing,
        },
        Further {
            asks: Ask::PUSH,
            others: vec![(git, plain(404, "Repository not found."))],
            door: Door::get("/repos/o/r"),
            means: |day| match day.push {
                NeedsSso => vec![NeedsSso],
                _ => vec![Hidden, Unknown],
            },
            takes: Takes::Nothing,
        },
    ];
    let cells = endure_further(bad_days, &samples(), github, &further).await;
    assert!(cells >= 350, "{cells} cells");
}

#[tokio::test]
async fn a_classic_token_shows_whose_it_is_what_it_may_and_when_it_ends() {
    let mock = MockServer::start().await;
    let answer = status(200)
        .set_body_json(octocat())
        .insert_header("X-OAuth-Scopes", "admin:repo_hook, repo")
        .insert_header("github-authentication-token-expiration", "2027-10-12 09:00:00 UTC");
    mount(&mock, "GET", "/user", answer).await;
    let identity =
        github(&mock.uri(), &outgoing()).identify(&pasted(&classic()), Age::Settled).await.unwrap();
    assert_eq!(identity.owner, ProviderAccount { id: "583231".to_owned(), login: "octocat".to_owned() });
    assert_eq!(identity.kind, "classic");
    assert_eq!(identity.scopes.unwrap().to_vec(), ["admin:repo_hook", "repo"]);
    assert_eq!(identity.expiry, TokenExpiry::At(Timestamp::from_seconds(1_823_331_600)));
    assert_eq!(identity.evidence, Evidence { request: "GET /user".to_owned(), answer: "200".to_owned() });

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(sent(&requests[0], "authorization"), format!("Bearer {}", classic().expose()));
    assert_eq!(sent(&requests[0], "accept"), "application/vnd.github+json");
    assert_eq!(sent(&requests[0], "x-github-api-version"), "2022-11-28");
    assert!(sent(&requests[0], "user-agent").starts_with("Gitward/"));
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn kinds_are_told_apart_by_prefix_and_by_what_the_answer_shows() {
    let unknown = Secret::new("x".repeat(50));
    let hex = Secret::new("0123456789abcdef0123456789abcdef01234567");
    let ghu = token("ghu_");
    // The token, how it was given, the header with the scopes, the kind, and the scopes.
    type Row<'a> = (&'a Secret, Method, Option<&'a str>, &'a str, Option<&'a [&'a str]>);
    let table: &[Row<'_>] = &[
        (&classic(), Method::Token, Some("repo, gist"), "classic", Some(&["gist", "repo"])),
        (&classic(), Method::Token, Some(""), "classic", Some(&[])),
        (&classic(), Method::Token, None, "classic", None),
        (&of_oauth_app(), Method::Oauth2, Some("repo"), "oauth-app", Some(&["repo"])),
        (&of_oauth_app(), Method::Oauth2, Some(""), "oauth-app", Some(&[])),
        (&of_oauth_app(), Method::Token, Some("repo"), "oauth-app", Some(&["repo"])),
        (&fine_grained(), Method::Token, None, "fine-grained", None),
        (&fine_grained(), Method::Token, Some(""), "fine-grained", None),
        (&ghu, Method::Oauth2, None, "github-app", None),
        (&ghu, Method::Oauth2, Some(""), "github-app", None),
        (&hex, Method::Token, Some("repo"), "legacy", Some(&["repo"])),
        (&hex, Method::Token, Some(""), "legacy", Some(&[])),
        (&hex, Method::Token, None, "legacy", None),
        (&unknown, Method::Token, Some("repo"), "classic", Some(&["repo"])),
        (&unknown, Method::Oauth2, Some("repo"), "oauth-app", Some(&["repo"])),
        (&unknown, Method::Token, Some(""), "other", None),
        (&unknown, Method::Oauth2, None, "other", None),
    ];
    let http = outgoing();
    for (row, (token, how, header, kind, scopes)) in table.iter().enumerate() {
        let mock = MockServer::start().await;
        let mut answer = status(200).set_body_json(octocat());
        if let Some(header) = header {
            answer = answer.insert_header("x-oauth-scopes", *header);
        }
        mount(&mock, "GET", "/user", answer).await;
        let github = github(&mock.uri(), &http);
        let identity =
            github.identify(&Presented { method: *how, ..pasted(token) }, Age::Settled).await.unwrap();
        assert_eq!(identity.kind, *kind, "row {row}");
        let shown = identity.scopes.as_ref().map(ScopeSet::to_vec);
        assert_eq!(shown, scopes.map(|scopes| scopes.iter().map(|s| (*s).to_owned()).collect()), "row {row}");
        assert_eq!(identity.expiry, TokenExpiry::Never, "row {row}");
        assert_eq!(github.kind_label(kind) == "Token", *kind == "other", "row {row}");
    }
}

#[tokio::test]
async fn a_fresh_grant_may_be_unknown_for_a_moment() {
    let mock = MockServer::start().await;
    let refusal = says(401, "Bad credentials");
    Mock::given(path("/user")).respond_with(refusal).up_to_n_times(3).with_priority(1).mount(&mock).await;
    mount(&mock, "GET", "/user", status(200).set_body_json(octocat())).await;
    let github = github(&mock.uri(), &outgoing());
    assert!(github.identify(&granted(&of_oauth_app()), Age::Fresh).await.is_ok());
    assert_eq!(mock.received_requests().await.unwrap().len(), 4);

    // Then it is really unknown: asked again a few times, and no more.
    mock.reset().await;
    mount(&mock, "GET", "/user", says(401, "Bad credentials")).await;
    let error = github.identify(&granted(&of_oauth_app()), Age::Fresh).await.unwrap_err();
    let evidence = Evidence { request: "GET /user".to_owned(), answer: "401".to_owned() };
    assert_eq!(error, ProviderError::Rejected(evidence));
    assert_eq!(mock.received_requests().await.unwrap().len(), 1 + FRESH_TOKEN_PAUSES.len());

    // Personal tokens are not that fresh, and hosts lock out who asks too often.
    mock.reset().await;
    mount(&mock, "GET", "/user", says(401, "Bad credentials")).await;
    assert!(github.identify(&pasted(&classic()), Age::Settled).await.is_err());
    assert_eq!(mock.received_requests().await.unwrap().len(), 1);

    let whole: Duration = FRESH_TOKEN_PAUSES.iter().sum();
    assert!(
        whole <= Duration::from_secs(1) && FRESH_TOKEN_PAUSES.iter().all(|pause| pause.as_millis() <= 200)
    );
}

#[tokio::test]
async fn a_limit_ends_when_the_host_says() {
    let seconds = |span: u64| Some(now().plus(Duration::from_secs(span)));
    let epoch = |span: i64| (now().seconds() + span).to_string();
    type Row<'a> = (u16, &'a [(&'a str, &'a str)], Option<Timestamp>);
    let table: &[Row<'_>] = &[
        (429, &[], None),
        (429, &[("retry-after", "60")], seconds(60)),
        (429, &[("retry-after", " 60 ")], seconds(60)),
        (429, &[("retry-after", "0")], None),
        (429, &[("retry-after", "-60")], None),
        (429, &[("retry-after", "99999999999999999999")], None),
        (429, &[("retry-after", "4000000000")], seconds(7200)),
        (429, &[("retry-after", "Sun, 22 Nov 2026 12:05:00 GMT")], seconds(300)),
        (429, &[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT")], None),
        (429, &[("retry-after", "Tue, 22 Nov 2067 11:00:00 GMT")], seconds(7200)),
        (429, &[("retry-after", "soon")], None),
        (403, &[("retry-after", "30")], seconds(30)),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(90))], seconds(90)),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(-90))], None),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9223372036854775807")], seconds(7200)),
        (403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "junk")], None),
        (403, &[("x-ratelimit-remaining", "0")], None),
        // A secondary limit: the hourly one has nothing to do with it.
        (429, &[("x-ratelimit-remaining", "4000"), ("x-ratelimit-reset", &epoch(90))], None),
        (
            429,
            &[("retry-after", "30"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &epoch(90))],
            seconds(30),
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
        let github = github(&mock.uri(), &http);
        let Err(ProviderError::RateLimited { until, .. }) =
            github.identify(&pasted(&classic()), Age::Settled).await
        else {
            panic!("row {row}");
        };
        assert_eq!(until, *expected, "row {row}");
        let Err(GrantError::RateLimited { until, .. }) = refresh(&github).await else { panic!("row {row}") };
        assert_eq!(until, *expected, "row {row}");
    }
}

const REFS: &str = "/o/r.git/info/refs";

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
    let github = github(&mock.uri(), &outgoing());
    assert_eq!(github.may_push(&pasted(&classic()), "o/r").await, Push::Allowed);
    assert_eq!(github.may_push(&pasted(&classic()), "o/r.git").await, Push::Allowed);
    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 2);
    let pair = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        format!("x-access-token:{}", classic().expose()),
    );
    assert_eq!(sent(&requests[0], "authorization"), format!("Basic {pair}"));
    assert_eq!(requests[0].url.query(), Some("service=git-receive-pack"));
}

#[tokio::test]
async fn the_api_tells_why_git_takes_none() {
    use Word::{Allowed, Denied, Hidden, NeedsSso, Unknown};
    let sso = |code| says(code, "SAML").insert_header("x-github-sso", "required; url=https://x.example.com/");
    let git = |code| plain(code, "No.");
    let api = |code| says(code, "No.");
    let seen = || status(200).set_body_json(json!({ "id": 1, "permissions": { "push": true } }));
    let limited = || api(403).insert_header("x-ratelimit-remaining", "0");
    let table = [
        (advertisement(), seen(), Allowed),
        (status(200).set_body_raw("x", "text/html"), seen(), Unknown),
        (status(200).set_body_raw("x", "application/x-git-upload-pack-advertisement"), seen(), Unknown),
        (git(401), seen(), Unknown),
        // A role that suffices says nothing about the token.
        (git(403), seen(), Denied),
        (git(403), api(403), Denied),
        (git(403), api(404), Denied),
        (git(403), sso(403), NeedsSso),
        (git(403), sso(404), NeedsSso),
        (git(403), limited(), Unknown),
        (git(403), api(401), Unknown),
        (git(403), page(503), Unknown),
        (git(404), api(404), Hidden),
        (git(404), api(403), Hidden),
        (git(404), sso(403), NeedsSso),
        (git(404), sso(404), NeedsSso),
        (git(404), limited(), Unknown),
        (git(404), seen(), Unknown),
        (git(404), page(500), Unknown),
        (sso(403), page(500), NeedsSso),
        (git(403).insert_header("retry-after", "5"), seen(), Unknown),
        (git(500), seen(), Unknown),
    ];
    let http = outgoing();
    for (row, (git, api, expected)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "GET", REFS, git).await;
        mount(&mock, "GET", "/repos/o/r", api).await;
        let outcome = github(&mock.uri(), &http).may_push(&pasted(&fine_grained()), "o/r").await;
        assert_eq!(Word::from(outcome), expected, "row {row}");
    }
}

#[tokio::test]
async fn a_link_to_single_sign_on_leads_to_the_known_host_only() {
    let mock = MockServer::start().await;
    let github = github(&mock.uri(), &outgoing());
    let own = format!("{}/orgs/o/sso?authorization_request=A", mock.uri());
    let table = [
        (format!("required; url={own}"), Some(own.as_str())),
        (format!("Required;url={own}"), Some(own.as_str())),
        ("required".to_owned(), None),
        ("required; url=".to_owned(), None),
        ("required; url=https://evil.example.com/orgs/o/sso".to_owned(), None),
        (format!("required; url={}", own.replace("http://", "https://")), None),
        (format!("required; url={}", own.replace("http://", "http://user@")), None),
        ("required; url=javascript:alert(1)".to_owned(), None),
        (format!("required; url={own}{}", "A".repeat(2048)), None),
    ];
    for (value, link) in table {
        mock.reset().await;
        mount(&mock, "GET", REFS, plain(403, "No.").insert_header("x-github-sso", value.as_str())).await;
        let expected = Push::NeedsSso { link: link.map(str::to_owned) };
        assert_eq!(github.may_push(&pasted(&classic()), "o/r").await, expected, "{value}");
    }
}

#[tokio::test]
async fn only_names_of_repositories_become_addresses() {
    let server = BadServer::start(Misdeed::HangUp).await;
    let github = github(server.url.as_str(), &outgoing());
    for name in [
        "",
        "/",
        "o",
        "o/",
        "/r",
        "o/r/x",
        "../r",
        "o/..",
        "./r",
        "o/.",
        "o/.git",
        "o/r?x",
        "o/r#x",
        "o/r%2f",
        "o/r\n",
        "o r/x",
        "ö/r",
        "o/r\\x",
        "@evil.example.com/r",
        "o:p/r",
        "o/...git",
    ] {
        assert_eq!(github.may_push(&pasted(&classic()), name).await, Push::Unknown, "{name:?}");
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert!(github.may_push(&pasted(&classic()), "o-1/r.x_y").await == Push::Unknown);
    assert!(
        server.requests.lock().unwrap()[0]
            .starts_with("GET /o-1/r.x_y.git/info/refs?service=git-receive-pack ")
    );
}

fn form_of(request: &Request) -> Vec<(String, String)> {
    let mut fields: Vec<_> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn a_code_is_exchanged_with_one_post() {
    let mock = MockServer::start().await;
    let access = of_oauth_app();
    let answer = json!({ "access_token": access.expose(), "scope": "repo,gist", "token_type": "bearer" });
    Mock::given(method("POST"))
        .and(path("/login/oauth/access_token"))
        .and(header("accept", "application/json"))
        .respond_with(status(200).set_body_json(answer))
        .mount(&mock)
        .await;
    let grant = exchange(&github(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), access.expose());
    assert!(grant.refresh.is_none() && grant.expires_in.is_none() && grant.refresh_expires_in.is_none());

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
    assert_eq!(sent(&requests[0], "content-type"), "application/x-www-form-urlencoded");
    assert_eq!(requests[0].url.query(), None);
}

#[tokio::test]
async fn a_grant_of_an_app_is_renewed_with_one_post() {
    let mock = MockServer::start().await;
    let (access, next) = (token("ghu_"), token("ghr_"));
    let answer = json!({
        "access_token": access.expose(), "expires_in": 28800, "refresh_token": next.expose(),
        "refresh_token_expires_in": 15_897_600, "scope": "", "token_type": "bearer",
    });
    mount(&mock, "POST", "/login/oauth/access_token", status(200).set_body_json(answer)).await;
    let grant = refresh(&github(&mock.uri(), &outgoing())).await.unwrap();
    assert_eq!(grant.access.expose(), access.expose());
    assert_eq!(grant.refresh.unwrap().expose(), next.expose());
    assert_eq!(grant.expires_in, Some(Duration::from_secs(28800)));
    assert_eq!(grant.refresh_expires_in, Some(Duration::from_secs(15_897_600)));

    let requests = mock.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let names: Vec<_> = form_of(&requests[0]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["client_id", "client_secret", "grant_type", "refresh_token"]);
    assert_eq!(sent(&requests[0], "authorization"), "");
}

#[tokio::test]
async fn grants_come_in_many_forms() {
    let access = of_oauth_app();
    let t = access.expose();
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let whole = |body: String| status(200).set_body_raw(body, "application/json");
    let seconds = |span| Some(Duration::from_secs(span));
    // The answer, whether there is a refresh token, and the two lives.
    let table = [
        (status(200).set_body_raw(format!("access_token={t}&scope=repo%2Cgist&token_type=bearer"), form), false, None, None),
        (
            status(200).set_body_raw(
                format!("access_token={t}&expires_in=28800&refresh_token=r&refresh_token_expires_in=99&token_type=bearer"),
                form,
            ),
            true,
            seconds(28800),
            seconds(99),
        ),
        (whole(format!(r#"{{"access_token":"{t}","token_type":"Bearer"}}"#)), false, None, None),
        (whole(format!(r#"{{"access_token":"{t}"}}"#)), false, None, None),
        (whole(format!(r#"{{"access_token":"{t}","refresh_token":"","expires_in":""}}"#)), false, None, None),
        (whole(format!(r#"{{"access_token":"{t}","refresh_token":null,"expires_in":null}}"#)), false, None, None),
        (whole(format!(r#"{{"access_token":"{t}","expires_in":"60","refresh_token":"r"}}"#)), true, seconds(60), None),
        // Unreadable lives: the documented one, if there is something to renew it with.
        (whole(format!(r#"{{"access_token":"{t}","expires_in":-1,"refresh_token":"r"}}"#)), true, seconds(28800), None),
        (whole(format!(r#"{{"access_token":"{t}","expires_in":[],"refresh_token":"r"}}"#)), true, seconds(28800), None),
        (whole(format!(r#"{{"access_token":"{t}","expires_in":{}}}"#, u64::MAX)), false, seconds(316_224_000), None),
        // Nobody reads the rest.
        (whole(format!(r#"{{"access_token":"{t}","scope":["x"],"error_description":7,"x":{{}}}}"#)), false, None, None),
        (status(200).set_body_raw(format!(r#"{{"access_token":"{t}"}}"#), "text/plain"), false, None, None),
    ];
    let http = outgoing();
    for (row, (answer, renewable, life, refresh_life)) in table.into_iter().enumerate() {
        let mock = MockServer::start().await;
        mount(&mock, "POST", "/login/oauth/access_token", answer).await;
        let Ok(grant) = refresh(&github(&mock.uri(), &http)).await else { panic!("row {row}") };
        assert_eq!(grant.access.expose(), t, "row {row}");
        assert_eq!(grant.refresh.is_some(), renewable, "row {row}");
        assert_eq!((grant.expires_in, grant.refresh_expires_in), (life, refresh_life), "row {row}");
    }
}

#[tokio::test]
async fn evidence_quotes_nothing() {
    let mock = MockServer::start().await;
    let secret = of_oauth_app();
    for body in [
        format!(
            r#"{{"error":"{0}","error_description":"{0}","message":"{0}","access_token":"{0}"}}"#,
            secret.expose()
        ),
        format!(r#"{{"access_token":"{0}","token_type":"{0}","id":"{0}","login":"{0}"}}"#, secret.expose()),
        secret.expose().to_owned(),
    ] {
        for code in [200, 400, 401, 403, 404, 500] {
            mock.reset().await;
            let answer = status(code).set_body_raw(body.clone(), "application/json");
            Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
            let github = github(&mock.uri(), &outgoing());
            let identity = github.identify(&granted(&secret), Age::Fresh).await;
            let grants = [exchange(&github).await.err(), refresh(&github).await.err()];
            let shown = format!("{identity:?} {grants:?}");
            assert!(!shown.contains(secret.expose()), "{code}: {shown}");
            assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{code}: {shown}");
        }
    }
}

#[test]
fn each_edition_has_its_addresses() {
    let http = outgoing();
    let cases = [
        (
            "https://github.com",
            "GitHub",
            "https://api.github.com/user",
            "https://api.github.com https://github.com",
            true,
        ),
        (
            "https://github.com/",
            "GitHub",
            "https://api.github.com/user",
            "https://api.github.com https://github.com",
            true,
        ),
        (
            "https://octo.ghe.com",
            "GitHub",
            "https://api.octo.ghe.com/user",
            "https://api.octo.ghe.com https://octo.ghe.com",
            true,
        ),
        (
            "https://git.example.com:8443",
            "GitHub Enterprise",
            "https://git.example.com:8443/api/v3/user",
            "https://git.example.com:8443",
            false,
        ),
        (
            "https://example.com/git/",
            "GitHub Enterprise",
            "https://example.com/git/api/v3/user",
            "https://example.com",
            false,
        ),
        (
            "https://a.b.ghe.com",
            "GitHub Enterprise",
            "https://a.b.ghe.com/api/v3/user",
            "https://a.b.ghe.com",
            false,
        ),
    ];
    for (base, name, user, origin, fine_grained) in cases {
        let github = GitHub::new(settings(base, &http)).unwrap();
        assert_eq!(github.name(), name, "{base}");
        assert_eq!(below(&github.place.api, ["user"]).as_str(), user, "{base}");
        assert_eq!(github.origin(), origin, "{base}");
        assert_eq!(github.fine_grained_link(None, "x").is_some(), fine_grained, "{base}");
    }
    let github = GitHub::new(settings("https://git.example.com:8443", &http)).unwrap();
    assert_eq!(github.host(), "git.example.com:8443");
    let endpoints = GitHub::new(settings("https://github.com/", &http)).unwrap().oauth_endpoints();
    assert_eq!(endpoints.authorize.as_str(), "https://github.com/login/oauth/authorize");
    assert_eq!(endpoints.token.as_str(), "https://github.com/login/oauth/access_token");
    assert_eq!(endpoints.issuer, "https://github.com/login/oauth");

    let named = |name: Option<&str>, api: &str| {
        let settings = settings("http://localhost:4001", &http);
        let (name, api_url) = (name.map(str::to_owned), Some(Url::parse(api).unwrap()));
        GitHub::new(Settings { name, api_url, ..settings })
    };
    let demo = named(Some("Forge"), "http://localhost:4001").unwrap();
    assert_eq!((demo.name(), demo.host().as_str()), ("Forge", "localhost:4001"));
    assert_eq!(demo.origin(), "http://localhost:4001");
    assert_eq!(below(&demo.place.api, ["user"]).as_str(), "http://localhost:4001/user");
    assert!(demo.fine_grained_link(None, "x").is_some());
    assert!(named(None, "http://localhost:4001/api/v3").unwrap().fine_grained_link(None, "x").is_none());
    assert_eq!(named(None, "http://api.example.com").err(), Some(OriginError::Scheme));
    assert_eq!(GitHub::new(settings("https://169.254.169.254", &http)).err(), Some(OriginError::Forbidden));
}

#[test]
fn links_fill_in_what_is_needed() {
    let github = GitHub::new(settings("https://github.com", &outgoing())).unwrap();
    let needed = ScopeSet::parse("workflow repo");
    assert_eq!(
        github.guide(&needed, None, "Gitward: team & co").link.as_str(),
        "https://github.com/settings/tokens/new?description=Gitward%3A+team+%26+co&scopes=repo%2Cworkflow"
    );
    let note = "Gitward for a runtime with a really long name";
    assert_eq!(
        github.fine_grained_link(Some("octo-org/deploy"), note).unwrap().as_str(),
        "https://github.com/settings/personal-access-tokens/new?name=Gitward+for+a+runtime+with+a+really+long\
         &target_name=octo-org&contents=write&metadata=read"
    );
    let link = github.fine_grained_link(Some("not a repository"), &"é".repeat(60)).unwrap();
    assert!(!link.as_str().contains("target_name"));
    assert_eq!(link.query_pairs().next().unwrap().1.chars().count(), 40);
    assert_eq!(github.default_scopes().to_vec(), ["repo"]);
}

#[test]
fn what_is_implied_is_not_missing() {
    let github = GitHub::new(settings("https://github.com", &outgoing())).unwrap();
    // Granted, needed, missing.
    let table = [
        ("repo", "repo", ""),
        ("repo", "public_repo repo:status repo_deployment repo:invite security_events", ""),
        ("repo", "admin:repo_hook write:repo_hook read:repo_hook", ""),
        ("repo", "workflow", "workflow"),
        ("repo, workflow", "repo workflow", ""),
        ("public_repo", "repo", "repo"),
        ("", "repo", "repo"),
        ("", "", ""),
        ("gist", "", ""),
        ("admin:org", "read:org", ""),
        ("write:org", "read:org admin:org", "admin:org"),
        ("admin:repo_hook", "read:repo_hook repo", "repo"),
        ("user", "read:user user:email user:follow", ""),
        ("read:user", "user", "user"),
        ("admin:public_key admin:gpg_key", "read:public_key read:gpg_key", ""),
        ("write:packages", "read:packages", ""),
        ("read:packages", "write:packages", "write:packages"),
        ("project", "read:project", ""),
        ("something:new", "repo", "repo"),
        ("something:new", "something:new", ""),
        ("REPO", "repo", "repo"),
    ];
    for (granted, needed, missing) in table {
        let found = github.missing(&ScopeSet::parse(granted), &ScopeSet::parse(needed));
        assert_eq!(found.join(" "), missing, "{granted} for {needed}");
    }
}

fn with_header(name: &'static str, values: &[&[u8]]) -> HeaderMap {
    values
        .iter()
        .filter_map(|value| HeaderValue::from_bytes(value).ok())
        .map(|value| (HeaderName::from_static(name), value))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

const EXPIRY: &str = "github-authentication-token-expiration";

#[test]
fn both_ways_to_write_an_end_are_read() {
    let at = |seconds| TokenExpiry::At(Timestamp::from_seconds(seconds));
    let table: &[(&str, TokenExpiry)] = &[
        ("2027-10-12 09:00:00 UTC", at(1_823_331_600)),
        (" 2027-10-12 09:00:00 UTC ", at(1_823_331_600)),
        ("2027-10-12 18:00:00 +0900", at(1_823_331_600)),
        ("2027-10-12 05:30:00 -0330", at(1_823_331_600)),
        ("2027-10-12 09:00:00 +0000", at(1_823_331_600)),
        ("1970-01-01 00:00:00 UTC", at(0)),
        ("", TokenExpiry::Unknown),
        ("never", TokenExpiry::Unknown),
        ("2027-10-12", TokenExpiry::Unknown),
        ("2027-02-30 09:00:00 UTC", TokenExpiry::Unknown),
        ("2027-10-12 25:00:00 UTC", TokenExpiry::Unknown),
        ("2027-10-12 09:00:00", TokenExpiry::Unknown),
        ("2027-10-12 09:00:00 PST", TokenExpiry::Unknown),
        ("2027-10-12 09:00:00 +9900", TokenExpiry::Unknown),
        ("2027-10-12 09:00:00 UTC and more", TokenExpiry::Unknown),
        ("99999999-10-12 09:00:00 UTC", TokenExpiry::Unknown),
        ("1823331600", TokenExpiry::Unknown),
    ];
    for (text, expected) in table {
        assert_eq!(answer::expiry(&with_header(EXPIRY, &[text.as_bytes()])), *expected, "{text:?}");
    }
    assert_eq!(answer::expiry(&HeaderMap::new()), TokenExpiry::Never);
    let twice = with_header(EXPIRY, &[b"2027-10-12 09:00:00 UTC", b"2028-10-12 09:00:00 UTC"]);
    assert_eq!(answer::expiry(&twice), TokenExpiry::Unknown);
    assert_eq!(answer::expiry(&with_header(EXPIRY, &[b"2027\xff"])), TokenExpiry::Unknown);
}

#[test]
fn scopes_may_come_in_several_headers() {
    let headers = with_header("x-oauth-scopes", &[b"repo, gist", b"user"]);
    assert_eq!(answer::scopes(&headers).unwrap().to_vec(), ["gist", "repo", "user"]);
    assert_eq!(answer::scopes(&HeaderMap::new()), None);
    assert_eq!(answer::scopes(&with_header("x-oauth-scopes", &[b"repo\xff"])), None);
}

/// What a header may hold, often nearly right.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} (UTC|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        "[-+0-9: UTCZ]{0,40}".prop_map(String::into_bytes),
        "[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} (GMT|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        "-?[0-9]{0,30}".prop_map(String::into_bytes),
        "(required|partial-results)? ?;? ?(url=)?[ -~]{0,100}".prop_map(String::into_bytes),
        "([a-z:_]{0,12}[, ]{0,3}){0,400}".prop_map(String::into_bytes),
    ]
}

/// What an answer may hold, often nearly right.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8192),
        r#"\{"(error|access_token|message|id)":("[ -~]{0,40}"|[0-9]{0,40}|null|\[\]|\{\})(,"(expires_in|token_type|refresh_token|login)":("[ -~]{0,40}"|-?[0-9]{1,40}|null))?\}"#
            .prop_map(String::into_bytes),
        "((error|access_token|expires_in|token_type|refresh_token)=[ -~]{0,40}&?){0,6}".prop_map(String::into_bytes),
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
        let names = [
            EXPIRY, "x-oauth-scopes", "x-github-sso", "retry-after", "x-ratelimit-remaining", "x-ratelimit-reset",
        ];
        for name in names {
            let reply = Reply {
                status: StatusCode::from_u16(code).unwrap(),
                headers: with_header(name, &[&value]),
                body: Zeroizing::new(Vec::new()),
            };
            soon(|| {
                let _ = answer::expiry(&reply.headers);
                let _ = answer::sso(&reply.headers, &redirect_uri());
                let granted = answer::scopes(&reply.headers).unwrap_or_default();
                let _ = granted.closure(scopes::implied);
                let until = answer::limit(&reply, now()).and_then(|limit| limit.until);
                assert!(until.is_none_or(|until| until > now() && until.since(now()).as_secs() <= 7200));
                // Without a body no answer takes anything from a user.
                let error = answer::refusal("GET /user", &reply, now());
                assert!(!matches!(error, ProviderError::Rejected(_)));
            });
        }
    }

    #[test]
    fn no_body_is_too_odd_to_read(body in body(), code in 200_u16..600, form in any::<bool>()) {
        let content_type: &[u8] = if form { b"application/x-www-form-urlencoded" } else { b"application/json" };
        let reply = Reply {
            status: StatusCode::from_u16(code).unwrap(),
            headers: with_header("content-type", &[content_type]),
            body: Zeroizing::new(body),
        };
        soon(|| {
            let _ = answer::owner(&reply);
            let rejected = matches!(answer::refusal("GET /user", &reply, now()), ProviderError::Rejected(_));
            assert!(!rejected || code == 401);
            let normal = DIALECT.normalise(&reply);
            assert!(normal.is_err() || matches!(code, 200 | 400 | 401));
        });
    }
}

mod revocation {
    use super::*;
    use crate::provider::testing::to_revoke;

    /// All that was asked: verb, path, header with the client's credentials, body.
    async fn asked(mock: &MockServer) -> Vec<(String, String, serde_json::Value)> {
        let requests = mock.received_requests().await.unwrap();
        let told = |request: &Request| {
            let asked = format!("{} {}", request.method, request.url.path());
            (asked, sent(request, "authorization"), request.body_json().unwrap())
        };
        requests.iter().map(told).collect()
    }

    #[tokio::test]
    async fn nothing_counts_as_revoked_but_by_the_providers_own_word() {
        use Fate::{Cannot, Revoked, Unreachable};
        let but = [
            ("204", Unreachable, Revoked),
            // A grant that it does not know is given back as a leaked one, and that is refused as well.
            ("404 JSON", Cannot, Cannot),
            ("404 SSO", Cannot, Cannot),
            ("422", Cannot, Cannot),
        ];
        endure_revocation(bad_days, &samples(), github, &but).await;
    }

    #[tokio::test]
    async fn a_grant_ends_by_the_apps_own_word_whole_or_one_token() {
        for (whole, door) in [(true, "grant"), (false, "token")] {
            let mock = MockServer::start().await;
            let place = format!("/applications/client-0123456789abcdef/{door}");
            mount(&mock, "DELETE", &place, status(204)).await;
            let (access, app) = (of_oauth_app(), app());
            let what = Revoke { whole_grant: whole, ..to_revoke(granted(&access), None, Some(&app)) };
            let outcome = github(&mock.uri(), &outgoing()).revoke(&what).await;
            assert_eq!(outcome, Ok(Revoked::Now));
            let basic = "Basic Y2xpZW50LTAxMjM0NTY3ODlhYmNkZWY6YXBwLXNlY3JldC0wMTIzNDU2Nzg5";
            let body = json!({ "access_token": access.expose() });
            assert_eq!(asked(&mock).await, [(format!("DELETE {place}"), basic.to_owned(), body)]);
        }
    }

    #[tokio::test]
    async fn a_grant_without_an_end_that_github_does_not_know_is_over() {
        let mock = MockServer::start().await;
        for code in [404, 422] {
            mock.reset().await;
            Mock::given(matchers::any()).respond_with(says(code, "Not Found")).mount(&mock).await;
            let (access, app) = (of_oauth_app(), app());
            let what = to_revoke(granted(&access), None, Some(&app));
            let outcome = github(&mock.uri(), &outgoing()).revoke(&what).await;
            assert_eq!(outcome, Ok(Revoked::Before), "{code}");
        }
    }

    #[tokio::test]
    async fn what_renews_a_grant_is_given_back_where_its_access_token_is_over() {
        let mock = MockServer::start().await;
        mount(&mock, "POST", "/credentials/revoke", status(202).set_body_json(json!({}))).await;
        Mock::given(method("DELETE")).respond_with(says(404, "Not Found")).mount(&mock).await;
        let (access, refresh, app) = (token("ghu_"), token("ghr_"), app());
        let what = to_revoke(granted(&access), Some(&refresh), Some(&app));
        assert_eq!(github(&mock.uri(), &outgoing()).revoke(&what).await, Ok(Revoked::HandedOver));
        let asked = asked(&mock).await;
        assert_eq!(asked.len(), 2);
        let body = json!({ "credentials": [access.expose(), refresh.expose()] });
        assert_eq!(asked[1], ("POST /credentials/revoke".to_owned(), String::new(), body));
    }

    #[tokio::test]
    async fn a_pasted_token_is_given_back_without_credentials_and_only_on_dot_com() {
        let mock = MockServer::start().await;
        mount(&mock, "POST", "/credentials/revoke", status(202).set_body_json(json!({}))).await;
        let pat = classic();
        let what = to_revoke(pasted(&pat), None, None);
        let dot_com = github(&mock.uri(), &outgoing());
        assert_eq!(dot_com.revoke(&what).await, Ok(Revoked::HandedOver));
        let body = json!({ "credentials": [pat.expose()] });
        assert_eq!(asked(&mock).await, [("POST /credentials/revoke".to_owned(), String::new(), body)]);

        let enterprise = GitHub::new(settings(&mock.uri(), &outgoing())).unwrap();
        assert!(matches!(enterprise.revoke(&what).await, Err(RevokeError::Cannot(_))));
        assert_eq!(asked(&mock).await.len(), 1, "nobody was asked");
        for kind in Kind::ALL {
            let known = !matches!(kind, Kind::Legacy | Kind::Other);
            assert_eq!(dot_com.can_revoke(Method::Token, kind.word()), known, "{kind:?}");
            assert!(!enterprise.can_revoke(Method::Token, kind.word()), "{kind:?}");
            assert!(enterprise.can_revoke(Method::Oauth2, kind.word()), "{kind:?}");
        }
        let page = |method, kind: Kind| dot_com.revocation_page(method, kind.word()).path().to_owned();
        assert_eq!(page(Method::Token, Kind::Classic), "/settings/tokens");
        assert_eq!(page(Method::Token, Kind::FineGrained), "/settings/personal-access-tokens");
        assert_eq!(page(Method::Oauth2, Kind::OauthApp), "/settings/applications");
        assert_eq!(page(Method::Oauth2, Kind::GithubApp), "/settings/apps/authorizations");
    }
}

#[tokio::test]
async fn it_is_told_apart_whether_a_renewal_without_an_answer_may_have_been_done() {
    let http = outgoing();
    let lost = |answer: &Result<Grant, GrantError>| match answer {
        Err(GrantError::Lost(_)) => true,
        Err(GrantError::Unreachable(_)) => false,
        _ => panic!("an answer"),
    };
    for (answer, may_have_been) in [
        (status(500), true),
        (page(502), true),
        (page(503), true),
        (status(504), true),
        (status(408), true),
        (status(200), true),
        (page(200), true),
        (plain(200, "{\"access_tok"), true),
        (status(200).set_body_json(json!({ "token_type": "bearer" })), true),
        (status(204), true),
        (page(301), false),
        (page(400), false),
        (page(401), false),
        (page(403), false),
        (page(404), false),
        (oauth_error(400, "something_new"), false),
    ] {
        let mock = MockServer::start().await;
        let code = format!("{answer:?}");
        Mock::given(matchers::any()).respond_with(answer).mount(&mock).await;
        assert_eq!(lost(&refresh(&github(&mock.uri(), &http)).await), may_have_been, "{code}");
        assert_eq!(mock.received_requests().await.unwrap().len(), 1, "asked once: {code}");
    }
    // Held while it is asked, so that nobody else begins to listen there.
    let deaf = tokio::net::TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}", deaf.local_addr().unwrap());
    assert!(!lost(&refresh(&github(&nobody, &http)).await), "nothing was sent");
}
