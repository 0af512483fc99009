//! What every answer carries.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode},
};

use crate::{
    doors::{Kind, Scene, uses},
    forge::Forge,
    site::{Answer, TestSite, usual},
};

const CLOSED: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[track_caller]
fn assert_guarded(answer: &Answer, what: &str) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{what}: {name}");
    }
    assert!(!answer.header("x-request-id").is_empty(), "{what}: x-request-id");
    assert!(!answer.headers.contains_key("server"), "{what}: no version for attackers");
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{what}: nobody else may read it");
    let policy = answer.header("content-security-policy");
    let is_page = answer.header("content-type").starts_with("text/html") && answer.text().contains("<script");
    if is_page {
        let nonce = nonce(policy);
        let scripts = answer.text().matches("<script").count();
        assert_eq!(
            answer.text().matches(&format!("nonce=\"{nonce}\"")).count(),
            scripts,
            "{what}: every script"
        );
        for rule in [
            "default-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "style-src 'self'",
        ] {
            assert!(policy.contains(rule), "{what}: {rule} in {policy}");
        }
        assert!(
            !policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'") && !policy.contains('*')
        );
        assert!(
            !answer.text().contains(" style=\"") && !answer.text().contains(" onclick"),
            "{what}: nothing inline"
        );
    } else {
        assert_eq!(policy, CLOSED, "{what}");
    }
}

#[track_caller]
fn nonce(policy: &str) -> &str {
    policy.split("'nonce-").nth(1).expect("no nonce").split('\'').next().unwrap()
}

#[tokio::test]
async fn every_answer_is_guarded_and_what_is_personal_is_not_stored() {
    let scene = Scene::set().await;
    let anonymous = scene.site.anonymous();
    for it in uses() {
        // The last ones, because they end the session.
        if it.route.ends_with("sign-out") || it.route.ends_with("change-password") {
            continue;
        }
        for (who, browser) in [("Mara", &scene.mara), ("a stranger", &anonymous)] {
            if it.kind == Kind::Stream && who == "Mara" {
                // It does not end; `stream` looks at its head.
                continue;
            }
            let what = format!("{who}, {} {}", it.method, it.route);
            let right = scene.ask(browser, &it).send().await;
            let wrong_method = browser.ask(Method::DELETE, it.path).send().await;
            let from_elsewhere = scene.ask(browser, &it).header("sec-fetch-site", "cross-site").send().await;
            for answer in [&right, &wrong_method, &from_elsewhere] {
                assert_guarded(answer, &what);
                if it.kind != Kind::Open {
                    assert_eq!(answer.header("cache-control"), "no-store", "{what}: {}", answer.status);
                }
                assert!(!answer.headers.contains_key("strict-transport-security"), "{what}: not over http");
            }
        }
    }
    for path in ["/nonsense", "/pkg/nonsense", "/tokens/acme.production%00", "/%ff", "/setup/a/b"] {
        assert_guarded(&scene.mara.get(path).await, path);
    }
}

#[tokio::test]
async fn every_page_has_a_nonce_of_its_own() {
    let site = TestSite::start().await;
    let anonymous = site.anonymous();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = anonymous.get("/sign-in").await;
        let nonce = nonce(answer.header("content-security-policy")).to_owned();
        assert!(nonce.len() >= 22, "128 bits: {nonce}");
        assert!(seen.insert(nonce), "seen before");
    }
}

#[tokio::test]
async fn over_https_browsers_are_told_to_stay_there() {
    let forge = Forge::start_for(vec!["https://gitward.example/callback".to_owned()]).await;
    let config = usual(&forge).replace("http://127.0.0.1:3000", "https://gitward.example");
    let site = TestSite::start_with(forge, &config).await;
    let mara = site.person("mara").await;
    for path in ["/", "/tokens", "/healthz", "/pkg/gitward.h4sh.js", "/nonsense", "/callback/forge"] {
        let answer = mara.get(path).await;
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=63072000; includeSubDomains",
            "{path}"
        );
    }
    let answer = site.anonymous().sign_in("mara", crate::site::PASSWORD).await;
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("__Host-gitward="), "{cookie}");
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(
        !cookie.contains("Domain") && !cookie.contains("Max-Age") && !cookie.contains("Expires"),
        "{cookie}"
    );
    let answer = mara.authorize(&site.forge, "acme.staging", "octocat").await;
    assert!(answer.location().starts_with("/tokens?did=added"));
    // A cookie without the prefix could have been set by a neighbour.
    let neighbour = site.anonymous();
    neighbour.take_cookie(&mara.cookie_header().replace("__Host-gitward", "gitward"));
    assert_eq!(neighbour.call("person/visitor", &[]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn files_come_compressed_and_are_kept_for_ever() {
    let site = TestSite::start().await;
    let browser = site.anonymous();
    for (name, content_type) in [("js", "text/javascript"), ("wasm", "application/wasm"), ("css", "text/css")]
    {
        let path = format!("/pkg/gitward.h4sh.{name}");
        let plain = browser.ask(Method::GET, &path).send().await;
        plain.assert_ok();
        assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(plain.header("content-type").starts_with(content_type), "{}", plain.header("content-type"));
        for (coding, start) in [("br", "br of"), ("gzip", "gz of")] {
            let answer = browser.ask(Method::GET, &path).header("accept-encoding", coding).send().await;
            assert_eq!(answer.header("content-encoding"), coding);
            assert!(answer.header("vary").to_lowercase().contains("accept-encoding"), "{coding}: vary");
            assert!(answer.text().starts_with(start), "as it was compressed beforehand");
            assert!(answer.header("content-type").starts_with(content_type));
        }
        let again = browser.ask(Method::GET, &path);
        let again = again.header("if-modified-since", plain.header("last-modified")).send().await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        let part = browser.ask(Method::GET, &path).header("range", "bytes=0-2").send().await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.body, plain.body[..3]);
        let head = browser.ask(Method::HEAD, &path).send().await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    }
}

#[tokio::test]
async fn a_missing_file_is_not_missed_for_ever_and_nothing_else_is_a_file() {
    let site = TestSite::start().await;
    std::fs::write(site.folder().join("site/pkg/nested"), "x").unwrap();
    let browser = site.anonymous();
    for path in [
        "/pkg/gitward.next.js",
        "/pkg/",
        "/pkg/../../gitward.toml",
        "/pkg/..%2f..%2fgitward.toml",
        "/pkg/%2e%2e/%2e%2e/gitward.key",
        "/pkg/..%5c..%5cgitward.toml",
        "/pkg//etc/passwd",
        "/pkg/%00",
        "/pkg/gitward.js/",
    ] {
        let answer = browser.ask(Method::GET, path).send().await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn requests_have_names_that_logs_and_people_can_share() {
    let site = TestSite::start().await;
    let browser = site.anonymous();
    let one = browser.get("/healthz").await;
    let two = browser.get("/healthz").await;
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    let named = browser.ask(Method::GET, "/healthz").header("x-request-id", "from-the-proxy").send().await;
    assert_eq!(named.header("x-request-id"), "from-the-proxy");
}

#[tokio::test]
async fn too_much_is_refused_with_a_sentence() {
    let scene = Scene::set().await;
    let before = scene.site.dump().await;
    let novel = format!("runtime=acme.production&token={}", "x".repeat(2 * 1024 * 1024));
    for path in ["/api/token/add", "/connect/acme.production", "/api/person/sign-in"] {
        let ask = scene.mara.ask(Method::POST, path).header("content-length", novel.len().to_string());
        let answer = ask.body("application/x-www-form-urlencoded", novel.clone()).send().await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        assert!(answer.text().contains("more than"), "{path}: {}", answer.text());
        assert_guarded(&answer, path);
    }
    // A body that does not say how long it is.
    let body = Body::new(Chunks(5));
    let ask = scene.mara.ask(Method::POST, "/api/token/add");
    let answer = ask.body("application/x-www-form-urlencoded", body).send().await;
    assert!(answer.status.is_client_error(), "{} {}", answer.status, answer.text());
    crate::database::assert_same(&before, &scene.site.dump().await, "a novel");
}

/// A body in pieces, which does not say how long it is; without any, it never comes.
struct Chunks(usize);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        if self.0 == 0 {
            return Poll::Pending;
        }
        self.0 -= 1;
        Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from(vec![b'x'; 1024 * 1024])))))
    }
}

#[tokio::test]
#[ignore = "takes as long as the limit"]
async fn a_request_that_does_not_end_is_ended() {
    let site = TestSite::start().await;
    let browser = site.anonymous();
    let begun = tokio::time::Instant::now();
    let ask = browser.ask(Method::POST, "/api/person/sign-in");
    let answer = ask.body("application/x-www-form-urlencoded", Body::new(Chunks(0))).send().await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert_guarded(&answer, "too late");
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_answered_with_a_sentence() {
    let scene = Scene::set().await;
    let before = scene.site.dump().await;
    let long = "x".repeat(1024 * 1024);
    let answer = scene.mara.paste("acme.paste", &long).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::PAYLOAD_TOO_LARGE, "TokenTooLong".into()));
    let answer = scene
        .mara
        .submit("/tokens/acme.paste", "/api/token/add", &[("runtime", "acme.paste"), ("token", &long)])
        .await;
    let place = answer.location().to_owned();
    assert!(place.len() < 500, "the token is not in the address");
    let page = scene.mara.get(place.strip_prefix("http://127.0.0.1:3000").unwrap_or(&place)).await;
    assert!(page.text().contains("too long to be a token"), "{}", page.text());
    assert!(!page.text().contains("xxxxxxxx"));
    let after = scene.site.dump().await.without("refusals");
    crate::database::assert_same(&after, &before, "a megabyte");
}
