//! Misbehaviour on demand: what a fault is, where it strikes, and what it does to an answer.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dialect::Limit;
use crate::host::{Host, Rate, SharedHost};

/// How much an endless body has before it ends after all.
const ENDLESS: u64 = 10_000_000_000;
/// What a slow body waits before each byte, unless told.
const SLOW_BODY: Duration = Duration::from_millis(100);

/// Marks an answer that the server must not send: it closes the connection instead.
#[derive(Clone, Copy)]
pub struct Drop;

/// A fault as somebody ordered it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Where it strikes.
    #[serde(default)]
    pub on: Place,
    /// What happens there.
    pub fault: Mishap,
    /// The status of the answer, where the mishap has a choice.
    #[serde(default)]
    pub status: Option<u16>,
    /// What every struck request waits first; of a slow body, what each byte waits.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// When a limit ends.
    #[serde(default)]
    pub retry_after_seconds: Option<i64>,
    /// How many requests it strikes; null means all.
    #[serde(default)]
    pub times: Option<u64>,
    /// Where a redirect leads.
    #[serde(default)]
    pub location: Option<String>,
    /// Which OAuth error.
    #[serde(default)]
    pub error: Option<String>,
}

/// A fault that is switched on.
#[derive(Clone, Serialize)]
pub struct Fault {
    /// Its number.
    pub id: u64,
    /// What was ordered; `times` counts down.
    #[serde(flatten)]
    pub order: Order,
    /// How many requests it has struck.
    pub struck: u64,
}

/// Where a fault strikes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Place {
    /// A well-known room.
    Room(Room),
    /// Any path outside `/_forge`.
    Exact {
        /// Only this method.
        #[serde(default)]
        method: Option<String>,
        /// How the path begins.
        path_prefix: String,
    },
}

impl Default for Place {
    fn default() -> Self {
        Self::Room(Room::Any)
    }
}

/// Rooms that have a name.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// The door that says whose a token is.
    User,
    /// The token endpoint of OAuth.
    Token,
    /// Everything about a repository in REST.
    Repos,
    /// Git over HTTP.
    Git,
    /// All that machines ask, but no page for people.
    Any,
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mishap {
    /// The right answer, later.
    Delay,
    /// Only a status.
    Status,
    /// No requests left in this hour.
    RateLimit,
    /// Too many requests at once.
    SecondaryRateLimit,
    /// A page for people where a machine expects data.
    Html,
    /// The connection closes without an answer, and nothing was done.
    Drop,
    /// The connection closes without an answer, but all was done.
    DropReply,
    /// JSON that breaks off.
    GarbageJson,
    /// A body that does not end.
    Endless,
    /// No body.
    Empty,
    /// The right answer, byte by byte.
    SlowBody,
    /// A redirect.
    Redirect,
    /// An OAuth error with the status that errors have there.
    OauthError,
}

/// Every mishap with the words of the control page.
pub const MISHAPS: &[(&str, &str)] = &[
    ("status", "Answer 503 (provider is down)"),
    ("delay", "Answer 5 seconds late"),
    ("rate_limit", "Rate limit is used up"),
    ("secondary_rate_limit", "Too many requests at once"),
    ("html", "Answer with a web page"),
    ("drop", "Close the connection without an answer"),
    ("drop_reply", "Do it, then close the connection without an answer"),
    ("garbage_json", "Answer with broken JSON"),
    ("endless", "Answer without an end"),
    ("empty", "Answer with nothing"),
    ("slow_body", "Answer byte by byte"),
    ("redirect", "Redirect elsewhere"),
    ("oauth_error", "OAuth error"),
];

impl Place {
    fn contains(&self, host: &Host, method: &Method, path: &str) -> bool {
        match self {
            Self::Room(room) => room.contains(host, method, path),
            Self::Exact { method: wanted, path_prefix } => {
                let method_fits =
                    wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()));
                method_fits && path.starts_with(path_prefix.as_str())
            }
        }
    }
}

impl Room {
    fn contains(self, host: &Host, method: &Method, path: &str) -> bool {
        let dialect = host.dialect();
        let path = path.strip_prefix(host.context.as_str()).unwrap_or(path);
        let git = ["/info/refs", "/git-upload-pack", "/git-receive-pack"];
        let found = if path == dialect.oauth().token && method == Method::POST {
            Some(Self::Token)
        } else if git.iter().any(|end| path.ends_with(end)) {
            Some(Self::Git)
        } else {
            dialect.room(method, path)
        };
        found.is_some_and(|found| self == found || self == Self::Any)
    }
}

/// The middleware: strikes requests outside `/_forge`.
pub async fn middleware(State(host): State<SharedHost>, request: Request, next: Next) -> Response {
    let orders = strike(&host, request.method(), request.uri().path());
    let mut terminal = None;
    for order in orders {
        if order.fault != Mishap::SlowBody {
            tokio::time::sleep(Duration::from_millis(order.delay_ms.unwrap_or_default())).await;
        }
        if order.fault != Mishap::Delay {
            terminal = Some(order);
        }
    }
    match terminal {
        None => next.run(request).await,
        Some(order) if order.fault == Mishap::DropReply => {
            next.run(request).await;
            dropped()
        }
        Some(order) if order.fault == Mishap::SlowBody => slowly(next.run(request).await, &order).await,
        Some(order) => instead(&host, &request, &order),
    }
}

/// All delays that fit, then the oldest other fault that fits. Each that is returned counts as struck.
fn strike(host: &Host, method: &Method, path: &str) -> Vec<Order> {
    if path.starts_with("/_forge") {
        return Vec::new();
    }
    let mut struck = Vec::new();
    let mut ended = false;
    let mut state = host.state();
    for fault in &mut state.faults {
        let terminal = fault.order.fault != Mishap::Delay;
        let spent = fault.order.times == Some(0);
        if spent || (terminal && ended) || !fault.order.on.contains(host, method, path) {
            continue;
        }
        ended |= terminal;
        fault.struck += 1;
        fault.order.times = fault.order.times.map(|left| left - 1);
        struck.push(fault.order.clone());
    }
    struck
}

fn dropped() -> Response {
    let mut response = StatusCode::BAD_GATEWAY.into_response();
    response.extensions_mut().insert(Drop);
    response
}

fn instead(host: &SharedHost, request: &Request, order: &Order) -> Response {
    let status = |default: StatusCode| {
        order.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(default)
    };
    let json_type = (CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    match order.fault {
        Mishap::Delay | Mishap::Drop | Mishap::DropReply | Mishap::SlowBody => dropped(),
        Mishap::Status => {
            let status = status(StatusCode::SERVICE_UNAVAILABLE);
            let message = status.canonical_reason().unwrap_or("Simulated fault");
            (status, axum::Json(json!({ "message": message }))).into_response()
        }
        Mishap::RateLimit | Mishap::SecondaryRateLimit => limited(host, request, order),
        Mishap::Html => {
            let page =
                "<!DOCTYPE html><html lang=\"en\"><title>Sign in</title><h1>Sign in to the network</h1>\n";
            let page = format!("{page}{}", "<p>Simulated portal.</p>\n".repeat(200));
            (status(StatusCode::OK), axum::response::Html(page)).into_response()
        }
        Mishap::GarbageJson => (status(StatusCode::OK), [json_type], "{\"login\":\"octo").into_response(),
        Mishap::Empty => (status(StatusCode::OK), [json_type], Body::empty()).into_response(),
        Mishap::Endless => (status(StatusCode::OK), [json_type], endless()).into_response(),
        Mishap::Redirect => {
            let elsewhere = order.location.clone().unwrap_or_else(|| host.page("/elsewhere"));
            let location = HeaderValue::from_str(&elsewhere);
            let headers =
                location.map(|location| [(LOCATION, location)]).map_err(|_| StatusCode::BAD_REQUEST);
            (status(StatusCode::FOUND), headers).into_response()
        }
        Mishap::OauthError => {
            let (usual, error) = host.dialect().oauth_fault();
            let error = order.error.as_deref().unwrap_or(error);
            let body = json!({ "error": error, "error_description": "Simulated fault." });
            (status(usual), axum::Json(body)).into_response()
        }
    }
}

fn limited(host: &SharedHost, request: &Request, order: &Order) -> Response {
    let burst = order.fault == Mishap::SecondaryRateLimit;
    let retry_after = order.retry_after_seconds.unwrap_or(if burst { 60 } else { 3_600 });
    let dialect = host.dialect();
    let limit = {
        let state = host.state();
        let presented = dialect.presented(request.headers());
        let token = presented.secret().and_then(|secret| state.token(secret));
        let person = token.map_or(0, |token| token.person);
        Limit {
            status: order.status.and_then(|status| StatusCode::from_u16(status).ok()),
            burst,
            person,
            limit: state.rate_limit(person),
            reset: state.now().unix_timestamp() + retry_after,
            retry_after,
        }
    };
    dialect.limited(host, &limit)
}

/// The answer to a request beyond the limit of the window.
pub fn limit_reached(host: &Host, person: u64, rate: Rate) -> Response {
    let retry_after = rate.reset - host.state().now().unix_timestamp();
    let limit =
        Limit { status: None, burst: false, person, limit: rate.limit, reset: rate.reset, retry_after };
    host.dialect().limited(host, &limit)
}

/// A JSON string that goes on and on.
fn endless() -> Body {
    let chunk = Bytes::from_static(&[b'a'; 65_536]);
    let body = stream::unfold((true, 0), move |(first, sent)| {
        let piece = if first { Bytes::from_static(b"{\"login\":\"") } else { chunk.clone() };
        let total = sent + piece.len() as u64;
        async move { (sent < ENDLESS).then_some((Ok::<_, Infallible>(piece), (false, total))) }
    });
    Body::from_stream(body)
}

async fn slowly(response: Response, order: &Order) -> Response {
    let pause = order.delay_ms.map_or(SLOW_BODY, Duration::from_millis);
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    let body = stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let byte = rest.split_to(1);
        Some((Ok::<_, Infallible>(byte), rest))
    });
    Response::from_parts(parts, Body::from_stream(body))
}
