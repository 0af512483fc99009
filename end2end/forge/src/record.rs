//! Writes down what was asked, so that a test can see what a client sent and did not send.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, DATE, HeaderValue, PROXY_AUTHORIZATION};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::auth::Presented;
use crate::clock;
use crate::host::{self, SharedHost};

/// The largest body that the host reads.
const BODY_LIMIT: usize = 1 << 20;

/// One request, without any secret in it.
#[derive(Clone, Serialize)]
pub struct Record {
    /// When it came, by the host's clock.
    pub at: String,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// Names in the query.
    pub query_keys: Vec<String>,
    /// Headers with lower-case names; those with credentials say `***`.
    pub headers: BTreeMap<String, String>,
    /// `Bearer`, `token`, `Basic`, the name of a header of its own, `other`, or null without a credential.
    pub auth_scheme: Option<&'static str>,
    /// The user part of Basic, unless it looks like a secret.
    pub basic_user: Option<String>,
    /// The number of the token that was presented, if the host knows it.
    pub token_id: Option<u64>,
    /// Names at the top of a JSON or form body.
    pub body_keys: Vec<String>,
    /// The status of the answer; null when the connection was dropped.
    pub status: Option<u16>,
}

/// The middleware: all requests outside `/_forge`.
pub async fn middleware(State(host): State<SharedHost>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with("/_forge") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut record = describe(&host.state(), &parts.method, &parts.uri, &parts.headers, &body);
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    // By this host's clock, as everything else that it says.
    if let Ok(date) = HeaderValue::from_str(&clock::http_date(host.state().now())) {
        response.headers_mut().insert(DATE, date);
    }
    let dropped = response.extensions().get::<crate::fault::Drop>().is_some();
    record.status = (!dropped).then(|| response.status().as_u16());
    host.state().record(record);
    response
}

fn describe(
    state: &host::State,
    method: &axum::http::Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Record {
    let presented = state.dialect().presented(headers);
    let basic_user = match &presented {
        Presented::Basic { user, .. } if !looks_secret(state, user) => Some(user.clone()),
        _ => None,
    };
    Record {
        at: state.timestamp(),
        method: method.to_string(),
        path: uri.path().to_owned(),
        query_keys: form_keys(uri.query().unwrap_or_default().as_bytes()),
        headers: masked(headers, state.dialect().secret_headers()),
        auth_scheme: presented.scheme(),
        basic_user,
        token_id: presented.secret().and_then(|secret| state.token(secret)).map(|token| token.id),
        body_keys: body_keys(headers, body),
        status: None,
    }
}

fn looks_secret(state: &host::State, user: &str) -> bool {
    let prefixes = state.dialect().secret_prefixes();
    state.token(user).is_some() || user.len() >= 40 || prefixes.iter().any(|prefix| user.starts_with(prefix))
}

fn masked(headers: &HeaderMap, others: &[&str]) -> BTreeMap<String, String> {
    let shown = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name)
            || others.iter().any(|other| *other == name.as_str());
        let value =
            if secret { "***".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        (name.to_string(), value)
    };
    headers.iter().map(shown).collect()
}

fn body_keys(headers: &HeaderMap, body: &Bytes) -> Vec<String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        return form_keys(body);
    }
    let object = serde_json::from_slice::<BTreeMap<String, serde::de::IgnoredAny>>(body);
    object.map(|object| object.into_keys().collect()).unwrap_or_default()
}

fn form_keys(bytes: &[u8]) -> Vec<String> {
    url::form_urlencoded::parse(bytes).map(|(key, _)| key.into_owned()).collect()
}
