//! REST: whose a token is, what a token says of itself, projects.

use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use time::Duration;

use super::{DEPLOY, FINE_GRAINED, GRANULAR, Memory, OAUTH, banned, contained, is_banned, note_attempt};
use crate::auth::Presented;
use crate::clock;
use crate::dialect::Parameters;
use crate::fault;
use crate::host::{Dead, Host, Need, Person, Rate, Refusal, Repository, Role, SharedHost, State as Known};
use crate::oauth::parameters;
use crate::random;
use crate::token::{Level, Token};

/// How long a rotated token works unless the caller says otherwise.
const ROTATED_LIFE: Duration = Duration::weeks(1);
const VERSION: &str = "19.2.1";

/// Whoever asks, after the token was accepted.
#[derive(Clone)]
struct Caller(Option<Token>);

/// The routes, below the prefix of REST.
pub fn router(host: &SharedHost) -> Router<SharedHost> {
    Router::new()
        .route("/user", get(user))
        .route("/personal_access_tokens/self", get(itself).delete(revoke))
        .route("/personal_access_tokens/self/rotate", post(rotate))
        .route("/projects/{id}", get(project))
        .route("/projects/{id}/hooks", get(hooks))
        .route("/version", get(version))
        .route_layer(middleware::from_fn_with_state(host.clone(), authenticate))
}

/// Accepts or refuses the token, counts the request, and says how many are left.
async fn authenticate(State(host): State<SharedHost>, mut request: Request, next: Next) -> Response {
    let counts = host.state().settings.own.text("ban_on") == Some("any");
    if counts && is_banned(&mut host.state()) {
        return banned();
    }
    let caller = find(&host, &host.dialect().presented(request.headers()), request.uri().path());
    if counts && !matches!(caller, Ok(None)) {
        note_attempt(&mut host.state(), caller.is_ok());
    }
    let caller = match caller {
        Ok(caller) => caller,
        Err(refusal) => return *refusal,
    };
    let person = caller.as_ref().map_or(0, |token| token.person);
    let rate = host.state().charge(person, false);
    if let Some(rate) = rate.filter(|rate| rate.is_exceeded()) {
        return fault::limit_reached(&host, person, rate);
    }
    request.extensions_mut().insert(Caller(caller));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Some(rate) = rate {
        write(rate, headers);
    }
    let id = random::alphanumeric(26).to_ascii_uppercase();
    let meta = json!({ "correlation_id": id, "version": "1" }).to_string();
    for (name, text) in [("x-gitlab-meta", &meta), ("x-request-id", &id)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    response
}

fn write(rate: Rate, headers: &mut HeaderMap) {
    headers.insert("ratelimit-limit", HeaderValue::from(rate.limit));
    headers.insert("ratelimit-name", HeaderValue::from_static("throttle_authenticated_api"));
    headers.insert("ratelimit-observed", HeaderValue::from(rate.used));
    headers.insert("ratelimit-remaining", HeaderValue::from(rate.remaining()));
    headers.insert("ratelimit-reset", HeaderValue::from(rate.reset));
}

/// The token of a request. Other credentials than these count as none; a deploy token opens Git only, and the header of
/// its own is for tokens that somebody made.
fn find(host: &Host, presented: &Presented, path: &str) -> Result<Option<Token>, Box<Response>> {
    let (secret, made) = match presented {
        Presented::Bearer(secret) => (secret, false),
        Presented::Header { secret, .. } => (secret, true),
        _ => return Ok(None),
    };
    let mut state = host.state();
    match state.authenticate(secret) {
        Ok(token) if token.kind.name == DEPLOY || (made && token.kind.name == OAUTH) => {
            Err(Box::new(unauthorized()))
        }
        Ok(token) => Ok(Some(token)),
        Err(Dead::Unknown | Dead::Fresh) => Err(Box::new(unauthorized())),
        Err(Dead::Expired) => Err(Box::new(invalid_token(
            "Token is expired. You can either do re-authorization or token refresh.",
        ))),
        Err(Dead::Revoked) => {
            if path.ends_with("/self/rotate") {
                end_family(&mut state, secret);
            }
            Err(Box::new(invalid_token("Token was revoked. You have to re-authorize from the user.")))
        }
    }
}

/// Whoever rotates with a token that was rotated already may have stolen it: all that came of it dies.
fn end_family(state: &mut Known, secret: &str) {
    let mut next = state.token(secret).map(|token| token.id);
    while let Some(id) = next {
        if let Some(token) = state.token_by_id_mut(id) {
            token.revoked = true;
        }
        let successor =
            |memory: &mut Memory| memory.rotations.iter().find(|(old, _)| *old == id).map(|(_, new)| *new);
        next = state.own::<Memory>().and_then(successor);
    }
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// The answer to nobody and to an unknown token.
pub fn unauthorized() -> Response {
    problem(StatusCode::UNAUTHORIZED, "401 Unauthorized")
}

fn invalid_token(description: &str) -> Response {
    let challenge = format!(
        "Bearer realm=\"Protected by OAuth 2.0\", error=\"invalid_token\", error_description=\"{description}\""
    );
    let challenge = HeaderValue::from_str(&challenge).map(|challenge| [(WWW_AUTHENTICATE, challenge)]).ok();
    let body = json!({ "error": "invalid_token", "error_description": description });
    (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
}

fn insufficient_scope(scopes: &str) -> Response {
    let description = "The request requires higher privileges than provided by the access token.";
    let body = json!({ "error": "insufficient_scope", "error_description": description, "scope": scopes });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

fn insufficient_granular_scope(permission: &str) -> Response {
    let description =
        format!("Access denied: Your Personal Access Token lacks the required permissions: [{permission}].");
    let body = json!({ "error": "insufficient_granular_scope", "error_description": description });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

/// What a door asks of a token: one of these scopes, or this permission.
struct Ask {
    scopes: &'static [&'static str],
    permission: (&'static str, Level),
    words: &'static str,
}

const USER: Ask =
    Ask { scopes: &["api", "read_user"], permission: ("user", Level::Read), words: "Read User" };
const PROJECT: Ask =
    Ask { scopes: &["api", "read_api"], permission: ("project", Level::Read), words: "Read Project" };
const HOOKS: Ask =
    Ask { scopes: &["api", "read_api"], permission: ("webhook", Level::Read), words: "Read Webhook" };
const ROTATE: Ask = Ask {
    scopes: &["api", "self_rotate"],
    permission: ("personal_access_token", Level::Write),
    words: "Rotate Personal Access Token",
};
/// Any scope will do.
const ITSELF: Ask = Ask {
    scopes: &[],
    permission: ("personal_access_token", Level::Read),
    words: "Read Personal Access Token",
};
const REVOKE: Ask = Ask {
    scopes: &[],
    permission: ("personal_access_token", Level::Write),
    words: "Revoke Personal Access Token",
};

/// The token, if it may open this door.
fn admit(caller: Option<Token>, ask: &Ask) -> Result<Token, Box<Response>> {
    let token = caller.ok_or_else(|| Box::new(unauthorized()))?;
    if !token.kind.has_scopes() {
        let (permission, level) = ask.permission;
        let enough = token.permits(permission, level);
        return if enough { Ok(token) } else { Err(Box::new(insufficient_granular_scope(ask.words))) };
    }
    let enough = ask.scopes.is_empty() || ask.scopes.iter().any(|scope| token.scopes.allow(scope, contained));
    if enough { Ok(token) } else { Err(Box::new(insufficient_scope(&ask.scopes.join(" ")))) }
}

/// The same for the doors that only tokens open which somebody made.
fn admit_made(caller: Option<Token>, ask: &Ask) -> Result<Token, Box<Response>> {
    let token = admit(caller, ask)?;
    if token.kind.name == OAUTH {
        let message = "400 Bad request - This endpoint requires token type to be a personal access token";
        return Err(Box::new(problem(StatusCode::BAD_REQUEST, message)));
    }
    Ok(token)
}

async fn user(State(host): State<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match admit(caller, &USER) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    match host.state().person(token.person) {
        Some(person) => Json(person_body(&host, person)).into_response(),
        None => unauthorized(),
    }
}

fn person_body(host: &Host, person: &Person) -> Value {
    json!({
        "id": person.id,
        "username": person.login,
        "public_email": null,
        "name": person.name,
        "state": "active",
        "locked": false,
        "avatar_url": null,
        "web_url": host.page(&format!("/{}", person.login)),
        "created_at": "2011-01-25T18:44:36.000Z",
        "bio": "",
        "location": "",
        "linkedin": "",
        "twitter": "",
        "website_url": "",
        "organization": "",
        "job_title": "",
        "pronouns": null,
        "bot": person.bot,
        "work_information": null,
        "local_time": null,
        "last_sign_in_at": "2026-11-01T10:00:00.000Z",
        "confirmed_at": "2011-01-25T18:44:36.000Z",
        "last_activity_on": "2026-11-01",
        "email": person.email,
        "theme_id": 1,
        "color_scheme_id": 1,
        "projects_limit": 100_000,
        "current_sign_in_at": "2026-11-01T10:00:00.000Z",
        "identities": [],
        "can_create_group": true,
        "can_create_project": true,
        "two_factor_enabled": true,
        "external": false,
        "private_profile": false,
        "commit_email": person.email,
    })
}

async fn itself(State(host): State<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    match admit_made(caller, &ITSELF) {
        Ok(token) => Json(token_body(&host.state(), &token)).into_response(),
        Err(refusal) => *refusal,
    }
}

fn token_body(state: &Known, token: &Token) -> Value {
    let scopes: Vec<&str> = match token.kind.name {
        FINE_GRAINED => vec![GRANULAR],
        _ => token.scopes.iter().collect(),
    };
    let mut body = json!({
        "id": token.id,
        "name": token.note,
        "revoked": token.revoked,
        "created_at": clock::millis(token.created_at),
        "description": token.description,
        "scopes": scopes,
        "user_id": token.person,
        "last_used_at": token.used_at.map(clock::millis),
        "active": token.is_alive(state.now()),
        "expires_at": token.expires_at.map(clock::date),
        "granular": token.kind.name == FINE_GRAINED,
    });
    if token.kind.name == FINE_GRAINED {
        let permissions = token.permissions.iter().map(|(name, level)| format!("{}_{name}", level.name()));
        let permissions: Vec<String> = permissions.collect();
        body["granular_scopes"] = json!([{ "access": "selected_memberships", "permissions": permissions }]);
    }
    body
}

async fn revoke(State(host): State<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match admit_made(caller, &REVOKE) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    if let Some(token) = host.state().token_by_id_mut(token.id) {
        token.revoked = true;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn rotate(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let old = match admit(caller, &ROTATE) {
        Ok(old) if old.kind.name == OAUTH => {
            return problem(StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed");
        }
        Ok(old) => old,
        Err(refusal) => return *refusal,
    };
    let asked = parameters(host.dialect().oauth(), &headers, query, &body);
    let mut state = host.state();
    let asked = asked.get("expires_at").map(|day| clock::parse_date(day));
    let end = match asked {
        None => clock::midnight(state.now() + ROTATED_LIFE),
        Some(Some(end)) if end > state.now() => end,
        Some(_) => return problem(StatusCode::BAD_REQUEST, "400 Bad request - expires_at is invalid"),
    };
    if let Some(old) = state.token_by_id_mut(old.id) {
        old.revoked = true;
    }
    let new = state.issue(old.kind, old.person, |token| {
        token.note.clone_from(&old.note);
        token.description.clone_from(&old.description);
        token.scopes = old.scopes.clone();
        token.permissions = old.permissions.clone();
        token.repositories.clone_from(&old.repositories);
        token.expires_at = Some(end);
    });
    if let Some(memory) = state.own::<Memory>() {
        memory.rotations.push((old.id, new.id));
    }
    let mut body = token_body(&state, &new);
    body["token"] = json!(new.secret);
    Json(body).into_response()
}

async fn project(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    with_project(&host, caller, &id, &PROJECT, Need::Metadata, |repository, token| {
        project_body(&host, repository, token)
    })
}

async fn hooks(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    if caller.is_none() {
        return unauthorized();
    }
    with_project(&host, caller, &id, &HOOKS, Need::Hooks, |_, _| json!([]))
}

/// Answers about a project, named by its number or its path, or with the refusal that fits the token.
fn with_project(
    host: &Host,
    caller: Option<Token>,
    id: &str,
    ask: &Ask,
    need: Need,
    answer: impl FnOnce(&Repository, Option<&Token>) -> Value,
) -> Response {
    let token = match caller {
        None => None,
        Some(token) => match admit(Some(token), ask) {
            Ok(token) => Some(token),
            Err(refusal) => return *refusal,
        },
    };
    let state = host.state();
    let found = match (id.parse::<u64>(), id.split_once('/')) {
        (Ok(number), _) => state.repositories.iter().find(|found| found.id == number),
        (_, Some((owner, name))) => state.repository(owner, name),
        _ => None,
    };
    let missing = || problem(StatusCode::NOT_FOUND, "404 Project Not Found");
    let Some(found) = found else { return missing() };
    match state.allow(token.as_ref(), found, need) {
        Ok(()) => Json(answer(found, token.as_ref())).into_response(),
        Err(Refusal::Hidden) => missing(),
        Err(Refusal::Rules | Refusal::Permission) => insufficient_granular_scope(ask.words),
        Err(Refusal::Role) => problem(StatusCode::FORBIDDEN, "403 Forbidden"),
    }
}

fn project_body(host: &Host, repository: &Repository, token: Option<&Token>) -> Value {
    let full_name = repository.full_name();
    let mut body = json!({
        "id": repository.id,
        "description": null,
        "name": repository.name,
        "name_with_namespace": format!("{} / {}", repository.owner, repository.name),
        "path": repository.name,
        "path_with_namespace": full_name,
        "created_at": "2011-01-25T18:44:36.000Z",
        "default_branch": "main",
        "visibility": if repository.private { "private" } else { "public" },
        "ssh_url_to_repo": format!("git@localhost:{full_name}.git"),
        "http_url_to_repo": host.page(&format!("/{full_name}.git")),
        "web_url": host.page(&format!("/{full_name}")),
        "archived": false,
        "empty_repo": false,
    });
    if let Some(token) = token {
        let level = match repository.members.get(&token.person).copied().unwrap_or(Role::None) {
            Role::None => None,
            Role::Read => Some(20),
            Role::Push => Some(30),
            Role::Admin => Some(40),
        };
        let access = level.map(|level| json!({ "access_level": level, "notification_level": 3 }));
        body["permissions"] = json!({ "project_access": access, "group_access": null });
    }
    body
}

async fn version(Extension(Caller(caller)): Extension<Caller>) -> Response {
    match caller {
        Some(_) => Json(json!({ "version": VERSION, "revision": "0f0f0f0f0f0" })).into_response(),
        None => unauthorized(),
    }
}
