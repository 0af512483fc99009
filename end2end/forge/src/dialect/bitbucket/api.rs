//! REST: identity, workspaces, repositories, and the doors that were removed.

use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{API_TOKEN, APP_PASSWORD, HOOKS, OAUTH, READ, REALM, Wanted, holds, is_access_token};
use crate::auth::Presented;
use crate::fault;
use crate::host::{self, Host, Need, Person, Refusal, Repository, Role, SharedHost};
use crate::token::Token;

const CREDENTIAL_TYPE: HeaderName = HeaderName::from_static("x-credential-type");
const SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");
const ACCEPTED: HeaderName = HeaderName::from_static("x-accepted-oauth-scopes");

const USER: Wanted = Wanted("read:user:bitbucket", "account");
const WORKSPACES: Wanted = Wanted("read:workspace:bitbucket", "account");

/// What a token lacks that is good otherwise.
pub const LACKS: &str = "Your credentials lack one or more required privilege scopes.";
/// What is said of a repository that is not there, or not for the token.
pub const NO_REPOSITORY: &str = "You may not have access to this repository or it no longer exists in this workspace. If you think this repository exists and you have access, make sure you are authenticated.";

/// Whoever asks, after the token was accepted.
#[derive(Clone)]
struct Caller(Option<Token>);

/// The routes, below the prefix.
pub fn router(host: &SharedHost) -> Router<SharedHost> {
    Router::new()
        .route("/user", get(user))
        .route("/user/workspaces", get(workspaces))
        .route("/repositories/{owner}", get(repositories))
        .route("/repositories/{owner}/{name}", get(repository))
        .route("/repositories/{owner}/{name}/hooks", get(hooks))
        .route("/workspaces", get(removed))
        .route("/repositories", get(removed))
        .route("/user/permissions/repositories", get(removed))
        .route("/user/permissions/workspaces", get(removed))
        .route_layer(middleware::from_fn_with_state(host.clone(), authenticate))
}

/// An error as REST tells it.
pub fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "type": "error", "error": { "message": message } }))).into_response()
}

fn unknown() -> Response {
    let challenge = HeaderValue::from_str(&format!("Basic realm=\"{REALM}\"")).ok();
    let header = challenge.map(|challenge| [(WWW_AUTHENTICATE, challenge)]);
    let message = "Token is invalid, expired, or not supported for this endpoint.";
    (header, problem(StatusCode::UNAUTHORIZED, message)).into_response()
}

/// Accepts or refuses the token, counts the request, and says what the host tells about a token.
async fn authenticate(State(host): State<SharedHost>, mut request: Request, next: Next) -> Response {
    let presented = Presented::read(request.headers());
    let caller = match (&presented, presented.secret()) {
        (Presented::Nothing, _) => None,
        (_, None) => return unknown(),
        (_, Some(secret)) => match enter(&mut host.state(), &presented, secret) {
            None => return unknown(),
            found => found,
        },
    };
    let person = caller.as_ref().map_or(0, |token| token.person);
    let rate = host.state().charge(person, false);
    if let Some(rate) = rate.filter(|rate| rate.is_exceeded()) {
        return fault::limit_reached(&host, person, rate);
    }
    request.extensions_mut().insert(Caller(caller.clone()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    match caller {
        Some(token) => tell_about(&host, &token, headers),
        None => _ = headers.remove(ACCEPTED),
    }
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    response
}

/// The token, if it works and comes through the door of its kind: API tokens with the e-mail address of their person,
/// all others as Bearer.
fn enter(state: &mut host::State, presented: &Presented, secret: &str) -> Option<Token> {
    let token = state.authenticate(secret).ok()?;
    let fits = match (token.kind.name, presented) {
        (APP_PASSWORD, _) => false,
        // Those made without scopes are for other products.
        (API_TOKEN, _) if token.scopes.is_empty() => false,
        (API_TOKEN, Presented::Basic { user, .. }) => {
            state.person(token.person).is_some_and(|person| person.email.eq_ignore_ascii_case(user))
        }
        (API_TOKEN, Presented::Bearer(_)) => state.settings.own.flag("bearer_api_tokens"),
        (_, Presented::Bearer(_)) => true,
        _ => false,
    };
    fits.then_some(token)
}

fn tell_about(host: &Host, token: &Token, headers: &mut HeaderMap) {
    let shown = match token.kind.name {
        OAUTH => host.state().settings.own.text("oauth_credential_type").map(str::to_owned),
        kind => Some(kind.to_owned()),
    };
    for (name, value) in [(CREDENTIAL_TYPE, shown), (SCOPES, Some(token.scopes.join(", ")))] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// An answer for which a token needs this.
fn accepting(token: &Token, wanted: Wanted, response: Response) -> Response {
    ([(ACCEPTED, wanted.of(token))], response).into_response()
}

/// The token of a user, if it has the scope.
fn admit(caller: Option<Token>, wanted: Wanted) -> Result<Token, Box<Response>> {
    let Some(token) = caller else { return Err(Box::new(unknown())) };
    if is_access_token(&token) {
        let message = "This API is not accessible by this authentication mechanism";
        return Err(Box::new(problem(StatusCode::FORBIDDEN, message)));
    }
    if holds(&token, wanted) { Ok(token) } else { Err(Box::new(lacks(&token, wanted))) }
}

fn lacks(token: &Token, wanted: Wanted) -> Response {
    let detail =
        json!({ "granted": token.scopes.iter().collect::<Vec<_>>(), "required": [wanted.of(token)] });
    let error = json!({ "message": LACKS, "detail": detail });
    let body = Json(json!({ "type": "error", "error": error }));
    accepting(token, wanted, (StatusCode::FORBIDDEN, body).into_response())
}

async fn user(State(host): State<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match admit(caller, USER) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    match host.state().person(token.person) {
        Some(person) => accepting(&token, USER, Json(account(&host, person)).into_response()),
        None => unknown(),
    }
}

async fn workspaces(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
) -> Response {
    let token = match admit(caller, WORKSPACES) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    let state = host.state();
    let mine = state.organizations.iter().filter(|found| found.members.contains(&token.person));
    let values: Vec<Value> = mine
        .map(|found| {
            json!({ "type": "workspace_access", "administrator": false,
                    "workspace": { "type": "workspace_base", "uuid": uuid(found.id), "slug": found.login } })
        })
        .collect();
    accepting(&token, WORKSPACES, Json(page(&values)).into_response())
}

async fn repositories(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path(owner): Path<String>,
) -> Response {
    if let Some(token) = caller.as_ref().filter(|token| !holds(token, READ)) {
        return lacks(token, READ);
    }
    let state = host.state();
    let seen = |found: &&Repository| {
        found.owner == owner && state.allow(caller.as_ref(), found, Need::Metadata).is_ok()
    };
    let values: Vec<Value> = state.repositories.iter().filter(seen).map(|found| body(&host, found)).collect();
    Json(page(&values)).into_response()
}

async fn repository(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    with_repository(&host, caller.as_ref(), (&owner, &name), (Need::Metadata, READ), |found| {
        body(&host, found)
    })
}

async fn hooks(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    with_repository(&host, caller.as_ref(), (&owner, &name), (Need::Hooks, HOOKS), |_| page(&[]))
}

/// Answers about a repository, or with the refusal that fits the token.
fn with_repository(
    host: &Host,
    token: Option<&Token>,
    (owner, name): (&str, &str),
    (need, wanted): (Need, Wanted),
    answer: impl FnOnce(&Repository) -> Value,
) -> Response {
    let state = host.state();
    let verdict = match state.repository(owner, name) {
        Some(found) => state.allow(token, found, need).map(|()| answer(found)),
        None => Err(Refusal::Hidden),
    };
    match (verdict, token) {
        (Ok(answer), Some(token)) => accepting(token, wanted, Json(answer).into_response()),
        (Ok(answer), None) => Json(answer).into_response(),
        (Err(Refusal::Permission), Some(token)) => lacks(token, wanted),
        (Err(Refusal::Hidden | Refusal::Permission), _) => problem(StatusCode::NOT_FOUND, NO_REPOSITORY),
        (Err(Refusal::Role | Refusal::Rules), _) => problem(StatusCode::FORBIDDEN, "Forbidden"),
    }
}

/// Doors across all workspaces are gone.
async fn removed() -> Response {
    problem(StatusCode::GONE, "CHANGE-2770 - Functionality has been deprecated")
}

fn page(values: &[Value]) -> Value {
    json!({ "pagelen": 10, "page": 1, "size": values.len(), "values": values })
}

/// A number in braces, as the host writes them.
fn uuid(id: u64) -> String {
    format!("{{b9dc7a4c-0000-4000-8000-{id:012x}}}")
}

fn account(host: &Host, person: &Person) -> Value {
    let id = uuid(person.id);
    json!({
        "type": "user",
        "display_name": person.name,
        "uuid": id,
        "account_id": format!("557058:{:08x}-0000-4000-8000-000000000000", person.id),
        "account_status": "active",
        "username": person.login,
        "nickname": person.login,
        "created_on": "2017-09-27T23:48:26.812041+00:00",
        "links": {
            "self": { "href": host.page(&format!("/2.0/users/{id}")) },
            "html": { "href": host.page(&format!("/{id}/")) },
        },
    })
}

fn body(host: &Host, found: &Repository) -> Value {
    let full_name = found.full_name();
    json!({
        "type": "repository",
        "uuid": uuid(found.id),
        "full_name": full_name,
        "slug": found.name,
        "name": found.name,
        "is_private": found.private,
        "scm": "git",
        "workspace": { "type": "workspace", "slug": found.owner },
        "has_admins": found.members.values().any(|role| *role == Role::Admin),
        "links": { "clone": [{ "name": "https", "href": host.page(&format!("/{full_name}.git")) }] },
    })
}
