//! REST: identity, repositories, checks and revocation of tokens.

pub mod apps;
mod body;

use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{
    GITHUB_APP, OAUTH, SINGLE_SIGN_ON, accepted_permissions, accepted_scopes, contained, expiry_header,
    needs_single_sign_on, of, single_sign_on_link,
};
use crate::auth::Presented;
use crate::fault;
use crate::host::{self, Host, Need, Rate, Refusal, SharedHost};
use crate::random;
use crate::token::Token;

const VERSIONS_GITHUB: &[&str] = &["2022-11-28", "2026-03-10"];
const VERSIONS_GHES: &[&str] = &["2022-11-28"];

const SELECTED_VERSION: HeaderName = HeaderName::from_static("x-github-api-version-selected");
const WANTED_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");
const ACCEPTED_PERMISSIONS: HeaderName = HeaderName::from_static("x-accepted-github-permissions");
const ACCEPTED_SCOPES: HeaderName = HeaderName::from_static("x-accepted-oauth-scopes");
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-oauth-client-id");
const EXPIRY: HeaderName = HeaderName::from_static("github-authentication-token-expiration");

/// Whoever asks, after the token was accepted.
#[derive(Clone)]
struct Caller(Option<Token>);

/// The routes, without the prefix of the shape.
pub fn router(host: &SharedHost) -> Router<SharedHost> {
    let by_token = Router::new()
        .route("/user", get(user))
        .route("/user/orgs", get(organizations))
        .route("/user/installations", get(installations))
        .route("/rate_limit", get(rate_limit))
        .route("/meta", get(meta))
        .route("/repos/{owner}/{name}", get(repository))
        .route("/repos/{owner}/{name}/contents", get(contents))
        .route("/repos/{owner}/{name}/contents/", get(contents))
        .route("/repos/{owner}/{name}/contents/{*path}", get(contents_at))
        .route("/repos/{owner}/{name}/hooks", get(hooks))
        .merge(apps::revocation())
        .route_layer(middleware::from_fn_with_state(host.clone(), authenticate));
    by_token.merge(apps::router()).route_layer(middleware::from_fn_with_state(host.clone(), common))
}

/// What every REST answer has, and what every REST request needs.
async fn common(State(host): State<SharedHost>, request: Request, next: Next) -> Response {
    if request.headers().get(USER_AGENT).is_none_or(HeaderValue::is_empty) {
        let refusal =
            "Forbidden: this simulated host, like the real one, refuses requests without a User-Agent.\n";
        return (StatusCode::FORBIDDEN, refusal).into_response();
    }
    let versions = if !of(&host).enterprise { VERSIONS_GITHUB } else { VERSIONS_GHES };
    let wanted =
        request.headers().get(WANTED_VERSION).map_or("2022-11-28", |value| value.to_str().unwrap_or(""));
    let Some(selected) = versions.iter().find(|version| **version == wanted) else {
        return problem(&host, StatusCode::BAD_REQUEST, "That API version is not supported.");
    };
    let format = media_type(request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(SELECTED_VERSION, HeaderValue::from_static(selected));
    headers.insert("x-github-media-type", HeaderValue::from_static(format));
    headers.insert("x-github-request-id", value(&request_id(&host)));
    if of(&host).enterprise {
        headers.insert("x-github-enterprise-version", HeaderValue::from_static("3.19.2"));
    }
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    response
}

fn media_type(headers: &HeaderMap) -> &'static str {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("vnd.github+json") || accept.contains("vnd.github.v3") {
        "github.v3; format=json"
    } else {
        "unknown, github.v3"
    }
}

fn request_id(host: &Host) -> String {
    let parts: Vec<String> = (0..4).map(|_| random::hex::<2>().to_ascii_uppercase()).collect();
    format!("{}:{:08X}", parts.join(":"), host.state().now().unix_timestamp())
}

/// Whether so many bad credentials were shown that even good ones are refused.
fn locked_out(state: &host::State) -> bool {
    state.settings.own.number("max_bad_logins").is_some_and(|most| state.bad_logins >= most)
}

/// Accepts or refuses the token, counts the request, and says what the host tells about a token.
async fn authenticate(State(host): State<SharedHost>, mut request: Request, next: Next) -> Response {
    let presented = Presented::read(request.headers());
    let free = request.uri().path().ends_with("/rate_limit");
    let known = match (&presented, presented.secret()) {
        (Presented::Nothing, _) => Ok(None),
        (_, None) => Err(()),
        (_, Some(secret)) => host.state().authenticate(secret).map(Some).map_err(|_| ()),
    };
    if locked_out(&host.state()) {
        let message = "Maximum number of login attempts exceeded. Please try again later.";
        return problem(&host, StatusCode::FORBIDDEN, message);
    }
    let Ok(caller) = known else {
        return problem(&host, StatusCode::UNAUTHORIZED, "Bad credentials");
    };
    let person = caller.as_ref().map_or(0, |token| token.person);
    let rate = host.state().charge(person, free);
    if let Some(rate) = rate.filter(|rate| rate.is_exceeded()) {
        return fault::limit_reached(&host, person, rate);
    }
    request.extensions_mut().insert(Caller(caller.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Some(rate) = rate {
        write(rate, headers);
    }
    if let Some(token) = caller {
        tell_about(&token, headers);
    } else {
        headers.remove(ACCEPTED_SCOPES);
        headers.remove(ACCEPTED_PERMISSIONS);
    }
    response
}

fn write(rate: Rate, headers: &mut HeaderMap) {
    headers.insert("x-ratelimit-limit", HeaderValue::from(rate.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(rate.remaining()));
    headers.insert("x-ratelimit-used", HeaderValue::from(rate.used));
    headers.insert("x-ratelimit-reset", HeaderValue::from(rate.reset));
    headers.insert("x-ratelimit-resource", HeaderValue::from_static("core"));
}

fn rate_body(rate: Rate) -> Value {
    let (limit, used, remaining, reset) = (rate.limit, rate.used, rate.remaining(), rate.reset);
    json!({ "limit": limit, "used": used, "remaining": remaining, "reset": reset })
}

fn tell_about(token: &Token, headers: &mut HeaderMap) {
    if let Some(expiry) = expiry_header(token) {
        headers.insert(EXPIRY, value(&expiry));
    }
    if token.kind.has_scopes() {
        headers.insert(SCOPES, value(&token.scopes.join(", ")));
        headers.entry(ACCEPTED_SCOPES).or_insert(HeaderValue::from_static(""));
        headers.remove(ACCEPTED_PERMISSIONS);
    } else {
        headers.remove(ACCEPTED_SCOPES);
        let free = HeaderValue::from_static("allows_permissionless_access=true");
        headers.entry(ACCEPTED_PERMISSIONS).or_insert(free);
    }
    if token.kind.name == OAUTH
        && let Some(client_id) = &token.client_id
    {
        headers.insert(CLIENT_ID, value(client_id));
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// An error as REST tells it.
fn problem(host: &Host, status: StatusCode, message: &str) -> Response {
    let mut body = json!({ "message": message, "documentation_url": of(host).documentation() });
    // Older servers of the enterprise kind do not repeat the status in the body.
    if !of(host).enterprise {
        body["status"] = json!(status.as_str());
    }
    (status, Json(body)).into_response()
}

/// The answer to a path that does not exist.
pub fn not_found(host: &Host) -> Response {
    problem(host, StatusCode::NOT_FOUND, "Not Found")
}

fn signed_in(host: &Host, caller: Option<Token>) -> Result<Token, Box<Response>> {
    caller.ok_or_else(|| Box::new(problem(host, StatusCode::UNAUTHORIZED, "Requires authentication")))
}

async fn user(State(host): State<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match signed_in(&host, caller) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    let state = host.state();
    match state.person(token.person) {
        Some(person) if token.scopes.allow("read:user", contained) => {
            Json(body::private_user(&host, person)).into_response()
        }
        Some(person) => Json(body::public_user(&host, person)).into_response(),
        None => problem(&host, StatusCode::UNAUTHORIZED, "Bad credentials"),
    }
}

async fn organizations(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
) -> Response {
    let token = match signed_in(&host, caller) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    if token.kind.has_scopes()
        && !token.scopes.allow("read:org", contained)
        && !token.scopes.allow("user", contained)
    {
        let message = "You need at least read:org scope or user scope to list your organizations.";
        let accepted = [(ACCEPTED_SCOPES, "admin:org, read:org, repo, user, write:org")];
        return (accepted, problem(&host, StatusCode::FORBIDDEN, message)).into_response();
    }
    let state = host.state();
    let mine = state.organizations.iter().filter(|found| found.members.contains(&token.person));
    let (closed, open): (Vec<_>, Vec<_>) =
        mine.partition(|found| needs_single_sign_on(&state, &token, &found.login));
    let open: Vec<Value> = open.into_iter().map(|found| body::organization(&host, found)).collect();
    if closed.is_empty() {
        return Json(open).into_response();
    }
    let numbers: Vec<String> = closed.iter().map(|found| found.id.to_string()).collect();
    let partial = value(&format!("partial-results; organizations={}", numbers.join(",")));
    ([(SINGLE_SIGN_ON, partial)], Json(open)).into_response()
}

async fn installations(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
) -> Response {
    let token = match signed_in(&host, caller) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    let state = host.state();
    let app = token.client_id.as_deref().and_then(|client_id| state.app(client_id));
    match app {
        Some(app) if token.kind.name == GITHUB_APP => {
            let installation = body::installation(&host, &state, app);
            Json(json!({ "total_count": 1, "installations": [installation] })).into_response()
        }
        _ => {
            let message = "You must authenticate with an access token authorized to a GitHub App in order to list installations";
            problem(&host, StatusCode::FORBIDDEN, message)
        }
    }
}

async fn rate_limit(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
) -> Response {
    let person = caller.map_or(0, |token| token.person);
    let rate = host.state().charge(person, true);
    match rate {
        None => problem(&host, StatusCode::NOT_FOUND, "Rate limiting is not enabled."),
        Some(rate) => {
            let rate = rate_body(rate);
            Json(json!({ "resources": { "core": rate, "search": rate }, "rate": rate })).into_response()
        }
    }
}

async fn meta(State(host): State<SharedHost>) -> Response {
    let mut body = json!({ "verifiable_password_authentication": false });
    if of(&host).enterprise {
        body["installed_version"] = json!("3.19.2");
    }
    Json(body).into_response()
}

async fn repository(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    with_repository(&host, caller.as_ref(), (&owner, &name), Need::Metadata, |state, found| {
        body::repository(&host, state, found, caller.as_ref())
    })
}

async fn contents(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    with_repository(&host, caller.as_ref(), (&owner, &name), Need::ReadContents, |_, found| {
        json!([body::entry(&host, found)])
    })
}

async fn contents_at(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name, path)): Path<(String, String, String)>,
) -> Response {
    if path != "README.md" {
        return not_found(&host);
    }
    with_repository(&host, caller.as_ref(), (&owner, &name), Need::ReadContents, |_, found| {
        body::readme(&host, found)
    })
}

async fn hooks(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    with_repository(&host, caller.as_ref(), (&owner, &name), Need::Hooks, |_, _| json!([]))
}

/// Answers about a repository, or with the refusal that fits the token.
fn with_repository(
    host: &Host,
    token: Option<&Token>,
    (owner, name): (&str, &str),
    need: Need,
    answer: impl FnOnce(&host::State, &host::Repository) -> Value,
) -> Response {
    let mut state = host.state();
    let Some(found) = state.repository(owner, name).cloned() else {
        return not_found(host);
    };
    let response = match state.allow(token, &found, need) {
        Ok(()) => Json(answer(&state, &found)).into_response(),
        Err(Refusal::Hidden) => not_found(host),
        Err(Refusal::Role) => problem(host, StatusCode::FORBIDDEN, "Must have admin rights to Repository."),
        Err(Refusal::Permission) => {
            let app = token.is_some_and(|token| token.kind.name == GITHUB_APP);
            let whose = if app { "integration" } else { "personal access token" };
            let message = format!("Resource not accessible by {whose}");
            problem(host, StatusCode::FORBIDDEN, &message)
        }
        Err(Refusal::Rules) => {
            let link = token.map(|token| single_sign_on_link(host, &mut state, token, &found.owner));
            let required = value(&format!("required; url={}", link.unwrap_or_default()));
            let message = "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.";
            ([(SINGLE_SIGN_ON, required)], problem(host, StatusCode::FORBIDDEN, message)).into_response()
        }
    };
    let accepted =
        [(ACCEPTED_SCOPES, accepted_scopes(need)), (ACCEPTED_PERMISSIONS, accepted_permissions(need))];
    (accepted, response).into_response()
}
