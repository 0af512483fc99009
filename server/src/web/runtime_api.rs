//! The runtime API: for machines, which show a key and nothing else. Cookies count for nothing where a key is asked for,
//! so that no browser can be led to use it. What is said is in [`wire`].

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::de::DeserializeOwned;

use self::door::let_in;
use crate::{
    release::{Caller, Withheld},
    site::Site,
    store::StoreError,
    web::{
        session::{self, Signed},
        to_the_end::to_the_end,
    },
    wire::{
        self, Bounded, Changes, ChangesQuery, Code, CredentialAnswer, CredentialRequest, Problem, Report,
        ReportAnswer, Users,
    },
};

pub mod description;
pub mod docs;
pub mod door;

/// The longest address and the longest name fit many times over.
const LARGEST_REQUEST_BYTES: usize = 16 * 1024;
/// Where nobody says when, it is worth trying again then.
const AGAIN: Duration = Duration::from_secs(15);
/// Where it is over already.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The routes. Those with a secret behind them ask for a key.
pub fn router(site: &Arc<Site>, css: &str) -> Router {
    let keyed = Router::new()
        .route(wire::CREDENTIAL, post(credential))
        .route(wire::REPORT, post(report))
        .route(wire::USERS, get(users))
        .route(wire::CHANGES, get(changes))
        .route_layer(from_fn_with_state(Arc::clone(site), to_the_end))
        .route_layer(from_fn_with_state(Arc::clone(site), let_in));
    let css: Arc<str> = css.into();
    let docs = move |State(site): State<Arc<Site>>, signed: Option<Extension<Signed>>| async move {
        docs::page(&site, &css, signed.as_deref()).await
    };
    // People read this one: its head says who is signed in.
    let docs = Router::new()
        .route(wire::DOCS, get(docs))
        .route_layer(from_fn_with_state(Arc::clone(site), session::recognise));
    let open = docs.route(wire::OPENAPI, get(description::openapi));
    // Whatever else is asked for here is no page of the site.
    let nothing = Router::new().fallback(nothing);
    keyed.merge(open).nest(wire::BASE, nothing).with_state(Arc::clone(site))
}

/// No such address.
async fn nothing(State(site): State<Arc<Site>>) -> Response {
    problem(&site, Code::NotFound, None)
}

/// Get a user's credential for a Git URL
///
/// The one way a secret leaves. It is renewed first if it is due, never one that has ended or that the provider does not
/// know any more, and always has at least 60 seconds to live. What may do too little is handed out all the same: `health`
/// says so. That it leaves is in the audit log before it does.
#[utoipa::path(
    post,
    path = wire::CREDENTIAL,
    request_body = CredentialRequest,
    responses(
        (status = 200, description = "The credential", body = CredentialAnswer),
        (status = 204, description = "`version` is the one to use: the runtime holds it already"),
        description::Malformed,
        description::Locked,
        description::NoCredential,
        description::Late,
    ),
    security(("key" = [])),
    tag = "runtime"
)]
async fn credential(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Asked(request): Asked<CredentialRequest>,
) -> Response {
    match site.releases.credential(&caller, &request).await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(withheld) => refused(&site, &withheld),
    }
}

/// Say what happened with a credential
///
/// `used`: this runtime has taken it over and holds no older one. `rejected`: the provider refused it; Gitward then
/// asks the provider itself, and believes the provider alone.
#[utoipa::path(
    post,
    path = wire::REPORT,
    request_body = Report,
    responses(
        (status = 200, description = "Noted", body = ReportAnswer),
        description::Malformed,
        description::Locked,
        description::NoUser,
        description::Late,
    ),
    security(("key" = [])),
    tag = "runtime"
)]
async fn report(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Asked(report): Asked<Report>,
) -> Response {
    match site.releases.report(&caller, &report).await {
        Ok(answer) => Json(answer).into_response(),
        Err(withheld) => refused(&site, &withheld),
    }
}

/// List the runtime's users
///
/// With the health of their tokens, without the tokens.
#[utoipa::path(
    get,
    path = wire::USERS,
    responses(
        (status = 200, description = "All of them, by name", body = Users),
        description::Locked,
        description::Late,
    ),
    security(("key" = [])),
    tag = "runtime"
)]
async fn users(State(site): State<Arc<Site>>, Extension(caller): Extension<Caller>) -> Response {
    match site.releases.users(&caller).await {
        Ok(users) => Json(users).into_response(),
        Err(withheld) => refused(&site, &withheld),
    }
}

/// Wait for changes
///
/// Answers as soon as some user's token is another one than when `after` was answered: deleted, replaced, renewed,
/// dead, or new. The answer is complete each time, so that nothing is missed. Without `after` it comes at once.
#[utoipa::path(
    get,
    path = wire::CHANGES,
    params(ChangesQuery),
    responses(
        (status = 200, description = "What every user's token is now", body = Changes),
        (status = 204, description = "Nothing has changed within `wait` seconds"),
        description::Unclear,
        description::Locked,
        description::Late,
    ),
    security(("key" = [])),
    tag = "runtime"
)]
async fn changes(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    AskedFor(query): AskedFor<ChangesQuery>,
) -> Response {
    let wait = Duration::from_secs(query.wait.unwrap_or(0).into());
    let answer = match query.after {
        None => site.releases.changes(&caller.runtime.id).await.map(Some).map_err(Withheld::from),
        Some(after) => site.releases.changes_after(&caller, &after, wait).await,
    };
    match answer {
        Ok(Some(changes)) => Json(changes).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(withheld) => refused(&site, &withheld),
    }
}

/// The answer to a runtime that gets nothing.
fn refused(site: &Site, withheld: &Withheld) -> Response {
    let again = match withheld {
        Withheld::Store(error) => return unavailable(site, error),
        Withheld::Tokens(error) => {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, "A credential could not be handed out");
            None
        }
        Withheld::ProviderLimiting { until } => {
            let wait = until.map(|until| until.since(site.clock.now()));
            Some(wait.unwrap_or(AGAIN))
        }
        Withheld::ProviderDown | Withheld::NotRecorded | Withheld::TooManyWaiting => Some(AGAIN),
        Withheld::Overtaken => Some(AT_ONCE),
        Withheld::UnknownUser
        | Withheld::UrlRefused
        | Withheld::PathNeeded
        | Withheld::OtherHost
        | Withheld::NoToken
        | Withheld::Expired
        | Withheld::Revoked
        | Withheld::EndsSoon
        | Withheld::NoApp
        | Withheld::NoProvider => None,
    };
    problem(site, withheld.code(), again)
}

/// A fault of the database, logged once.
fn unavailable(site: &Site, error: &StoreError) -> Response {
    let error: &dyn std::error::Error = error;
    tracing::error!(error, "A runtime could not be answered");
    problem(site, Code::Unavailable, Some(AGAIN))
}

/// The answer that says why not.
fn problem(site: &Site, code: Code, retry_after: Option<Duration>) -> Response {
    let retry_after = retry_after.map(|wait| wait.as_secs().max(1));
    let base = site.public_url.as_str().trim_end_matches('/');
    let problem = Problem {
        kind: format!("{base}{}#{}", wire::DOCS, code.word()),
        title: code.title().to_owned(),
        status: code.status(),
        detail: code.detail().to_owned(),
        code,
        retry_after,
    };
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(problem)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(description::PROBLEM));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"gitward\""));
    }
    response
}

/// Whatever goes wrong around these routes says so in their own words: no such address, another method, too large, too
/// late, a panic.
pub async fn own_words(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path.strip_prefix(wire::BASE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let response = next.run(request).await;
    let status = response.status();
    let fits = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == description::PROBLEM);
    let is_answer = status.is_success() && response.headers().get(header::LOCATION).is_none();
    if !ours || fits || is_answer {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let code = match status {
        StatusCode::METHOD_NOT_ALLOWED => Code::WrongMethod,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        status if status.is_server_error() => Code::Internal,
        // From here on it is the site's own "no such page", or what guards its forms.
        _ => Code::NotFound,
    };
    let mut response = problem(&site, code, (code == Code::Unavailable).then_some(AGAIN));
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// A body as JSON.
struct Asked<T>(T);

impl<T: DeserializeOwned + Bounded> FromRequest<Arc<Site>> for Asked<T> {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Response> {
        let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        if !is_json {
            return Err(problem(site, Code::NotJson, None));
        }
        // A connection that breaks off is nobody's to tell.
        let body = to_bytes(request.into_body(), LARGEST_REQUEST_BYTES).await;
        let body = body.map_err(|_| problem(site, Code::TooLarge, None))?;
        let asked: Option<T> = serde_json::from_slice(&body).ok();
        let asked = asked.filter(Bounded::is_within_bounds);
        asked.map(Self).ok_or_else(|| problem(site, Code::Malformed, None))
    }
}

/// A query.
struct AskedFor<T>(T);

impl<T: DeserializeOwned + Bounded> FromRequestParts<Arc<Site>> for AskedFor<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
        let asked: Option<T> = Query::try_from_uri(&parts.uri).ok().map(|query| query.0);
        let asked = asked.filter(Bounded::is_within_bounds);
        asked.map(Self).ok_or_else(|| problem(site, Code::Malformed, None))
    }
}
