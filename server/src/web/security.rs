//! Headers that every answer carries, and the guard against requests from other sites.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use leptos::{nonce::use_nonce, prelude::use_context};

use crate::site::Site;

/// For every answer that is no page: nothing may run, load or frame.
const CLOSED_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Sets the policy of the page being rendered, with its nonce.
pub fn policy_of_page(live_reload: Option<u16>) {
    let (Some(options), Some(nonce)) = (use_context::<leptos_axum::ResponseOptions>(), use_nonce()) else {
        return;
    };
    let socket =
        live_reload.map(|port| format!(" ws://127.0.0.1:{port} ws://localhost:{port}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'{socket}; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        options.insert_header(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// Adds what every answer carries.
pub async fn headers(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CLOSED_POLICY));
    // What one person sees is nobody else's, not even a cache's. Files say something else themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: a form that is sent without script needs the way back to its page.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=()",
        ),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if site.public_url.scheme() == "https" {
        let two_years = HeaderValue::from_static("max-age=63072000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, two_years);
    }
    response
}

/// The answer to what another site sent: people may see it, in a frame or a tab that was opened for it.
pub fn from_another_site(_: tower_http::csrf::ProtectionError) -> Response {
    (StatusCode::FORBIDDEN, "This request comes from another site, so nothing was changed.\n").into_response()
}

/// The limit on bodies answers in a library's words; these are for people.
pub async fn too_large(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let is_ours =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if response.status() != StatusCode::PAYLOAD_TOO_LARGE || is_ours {
        return response;
    }
    let sentence =
        "This is more than Gitward takes at once, so nothing was changed. Go back and send less.\n";
    (StatusCode::PAYLOAD_TOO_LARGE, sentence).into_response()
}

/// Only forms change anything here. Another type of body is one that a page elsewhere could send without asking
/// first (`text/plain`), or one that no page of ours sends.
pub async fn forms_only(request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_form = request.headers().get(header::CONTENT_TYPE).is_none_or(|value| {
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    });
    if safe || is_form {
        return next.run(request).await;
    }
    let sentence = "Only forms are accepted here, so nothing was changed.\n";
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence).into_response()
}

/// `CsrfLayer` lets requests pass that say nothing of where they come from; browsers always say it. So whatever
/// changes something and carries a cookie must say it too.
pub async fn proven_origin(request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    let says_where_from = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if safe || says_where_from || !headers.contains_key(header::COOKIE) {
        return next.run(request).await;
    }
    let sentence = "This request does not say which site it comes from, so nothing was changed.\n";
    (StatusCode::FORBIDDEN, sentence).into_response()
}
