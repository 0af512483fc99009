//! Many who ask for the same page at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    http::{Request, header},
    middleware::from_fn_with_state,
    routing::get,
};
use server::web::{
    burst::{self, Burst, Few},
    session::cookie_name,
};
use tower::ServiceExt;

use crate::site::TestSite;

/// How many were made, and how many of them at once at most.
#[derive(Default)]
struct Made {
    all: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A page that takes a while.
async fn page(made: Arc<Made>) -> ([(header::HeaderName, &'static str); 2], &'static str) {
    made.all.fetch_add(1, Ordering::SeqCst);
    made.most.fetch_max(made.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    made.now.fetch_sub(1, Ordering::SeqCst);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "script-src 'nonce-once'"),
    ];
    (headers, "<p>rows</p>")
}

async fn asked_by_a_hundred(router: &Router, cookie: &str, place: impl Fn(usize) -> String) {
    let answers = (0..100).map(|number| {
        let request = Request::get(place(number)).header(header::COOKIE, cookie).body(Body::empty()).unwrap();
        router.clone().oneshot(request)
    });
    for answer in futures_util::future::join_all(answers).await {
        let answer = answer.unwrap();
        assert!(answer.status().is_success());
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        assert_eq!(body, "<p>rows</p>");
    }
}

#[tokio::test]
async fn a_page_that_a_hundred_ask_for_at_once_is_made_once_and_of_others_few_are_made_at_once() {
    let site = TestSite::start().await;
    let made = Arc::<Made>::default();
    let of_page = Arc::clone(&made);
    let router = Router::new()
        .route("/page", get(move || page(of_page)))
        .layer(from_fn_with_state(Few::default(), burst::few_at_once))
        .layer(from_fn_with_state((Arc::clone(&site.site), Arc::new(Burst::default())), burst::serve));
    let cookie = format!("{}=anybody", cookie_name(&site.site.public_url));

    // The first time nobody knows that it can be kept.
    asked_by_a_hundred(&router, &cookie, |_| "/page".to_owned()).await;
    let before = made.all.load(Ordering::SeqCst);
    site.clock.advance(std::time::Duration::from_secs(1));
    asked_by_a_hundred(&router, &cookie, |_| "/page".to_owned()).await;
    assert_eq!(made.all.load(Ordering::SeqCst), before + 1, "a second later");

    // Each another one: all are made.
    let before = made.all.load(Ordering::SeqCst);
    asked_by_a_hundred(&router, &cookie, |number| format!("/page?n={number}")).await;
    assert_eq!(made.all.load(Ordering::SeqCst), before + 100);
    let most = made.most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
}
