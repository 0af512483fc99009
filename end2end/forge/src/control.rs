//! The control room: how a test or a curious person moves time, makes tokens and switches faults.

mod page;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::clock;
use crate::fault::{Fault, Order};
use crate::host::{Role, SharedHost, State as HostState};
use crate::own::Own;
use crate::scope::Scopes;
use crate::token::{Permissions, Token};

/// The routes.
pub fn router() -> Router<SharedHost> {
    Router::new()
        .route("/_forge/tokens", get(tokens).post(create_token))
        .route("/_forge/tokens/change", post(change_token))
        .route("/_forge/access", post(change_access))
        .route("/_forge/faults", get(faults).post(order_fault).delete(forget_faults))
        .route("/_forge/faults/{id}", delete(forget_fault))
        .route("/_forge/settings", get(settings).post(change_settings))
        .route("/_forge/requests", get(requests).delete(forget_requests))
        .route("/_forge/clock", get(clock).post(advance))
        .route("/_forge/reset", post(reset))
        .merge(page::router())
}

/// Tells `null` from a missing member.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(input).map(Some)
}

fn refuse(sentence: &str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": sentence }))).into_response()
}

/// Members that are not named here are the dialect's, or refused.
#[derive(Deserialize)]
struct NewToken {
    user: String,
    kind: Option<String>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    permissions: Permissions,
    repositories: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    expires_at: Option<Option<String>>,
    client_id: Option<String>,
    #[serde(flatten)]
    own: Map<String, Value>,
}

async fn create_token(State(host): State<SharedHost>, Json(wanted): Json<NewToken>) -> Response {
    let dialect = host.dialect();
    let mut state = host.state();
    let Some(person) = state.person_named(&wanted.user).map(|person| person.id) else {
        return refuse("user: nobody has this name");
    };
    let expires_at = match wanted.expires_at.as_ref().map(|end| end.as_deref().map(clock::parse_rfc3339)) {
        None => None,
        Some(None) => Some(None),
        Some(Some(Some(end))) => Some(Some(end)),
        Some(Some(None)) => return refuse("expires_at: not a time in RFC 3339"),
    };
    let kind = match &wanted.kind {
        Some(name) => state.kind(name),
        None => dialect.kinds().first(),
    };
    let Some(kind) = kind else { return refuse("kind: this host has no such kind of token") };
    if let Err(sentence) = Own::start(dialect.token_members()).change(dialect.token_members(), &wanted.own) {
        return refuse(&sentence);
    }
    let token = if kind.for_apps {
        let app = match &wanted.client_id {
            Some(client_id) => state.app(client_id),
            None => state.apps.iter().find(|app| app.kind == kind),
        };
        let Some(app) = app.cloned() else { return refuse("client_id: no app has this one") };
        state.issue_for_app(&app, person, Scopes::literal(&wanted.scopes))
    } else {
        state.issue(kind, person, |_| {})
    };
    let Some(made) = state.token_by_id_mut(token.id) else { return refuse("kind: does not fit the app") };
    made.accepted_from = None;
    if made.kind.has_scopes() {
        made.scopes = Scopes::literal(&wanted.scopes);
    } else if !wanted.permissions.is_empty() || !made.kind.for_apps {
        made.permissions = wanted.permissions;
    }
    if wanted.repositories.is_some() {
        made.repositories = wanted.repositories;
    }
    if !wanted.note.is_empty() {
        made.note = wanted.note;
    }
    if let Some(end) = expires_at {
        made.expires_at = end;
    }
    if let Err(sentence) = made.own.change(dialect.token_members(), &wanted.own) {
        return refuse(&sentence);
    }
    dialect.made(&mut state, token.id);
    let Some(made) = state.token_by_id_mut(token.id).cloned() else {
        return refuse("kind: does not fit the app");
    };
    (StatusCode::CREATED, Json(with_secrets(&state, &made))).into_response()
}

fn with_secrets(state: &HostState, token: &Token) -> Value {
    let mut shown = describe(state, token);
    shown["token"] = json!(token.secret);
    if let Some(refresh) = &token.refresh {
        shown["refresh_token"] = json!(refresh.secret);
    }
    shown
}

fn describe(state: &HostState, token: &Token) -> Value {
    let mut shown = json!({
        "id": token.id,
        "kind": token.kind,
        "user": state.person(token.person).map(|person| &person.login),
        "note": token.note,
        "client_id": token.client_id,
        "scopes": token.scopes.iter().collect::<Vec<_>>(),
        "permissions": token.permissions,
        "repositories": token.repositories,
        "expires_at": token.expires_at.map(clock::rfc3339),
        "revoked": token.revoked,
        "works": token.works(state.now()),
    });
    token.own.show_in(&mut shown);
    shown
}

async fn tokens(State(host): State<SharedHost>) -> Json<Value> {
    let state = host.state();
    Json(state.tokens.iter().map(|token| describe(&state, token)).collect())
}

/// Members that are not named here are the dialect's, or refused.
#[derive(Deserialize)]
struct TokenChange {
    token: Option<String>,
    id: Option<u64>,
    scopes: Option<Vec<String>>,
    permissions: Option<Permissions>,
    #[serde(default, deserialize_with = "given")]
    repositories: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    expires_at: Option<Option<String>>,
    user: Option<String>,
    revoked: Option<bool>,
    refresh_token: Option<bool>,
    #[serde(flatten)]
    own: Map<String, Value>,
}

async fn change_token(State(host): State<SharedHost>, Json(change): Json<TokenChange>) -> Response {
    let dialect = host.dialect();
    let mut state = host.state();
    let person = match change.user.as_deref().map(|login| state.person_named(login).map(|person| person.id)) {
        Some(None) => return refuse("user: nobody has this name"),
        Some(found) => found,
        None => None,
    };
    let expires_at = match change.expires_at.as_ref().map(|end| end.as_deref().map(clock::parse_rfc3339)) {
        None => None,
        Some(None) => Some(None),
        Some(Some(Some(end))) => Some(Some(end)),
        Some(Some(None)) => return refuse("expires_at: not a time in RFC 3339"),
    };
    let found = match (&change.token, change.id) {
        (Some(secret), _) => state.token(secret).map(|token| token.id),
        (None, Some(id)) => Some(id),
        (None, None) => return refuse("token: say which, by token or by id"),
    };
    let refresh = state.any_refresh();
    let Some(token) = found.and_then(|id| state.token_by_id_mut(id)) else {
        return refuse("token: no such token");
    };
    if let Err(sentence) = token.own.change(dialect.token_members(), &change.own) {
        return refuse(&sentence);
    }
    if let Some(scopes) = change.scopes {
        token.scopes = Scopes::literal(scopes);
    }
    if let Some(permissions) = change.permissions {
        token.permissions = permissions;
    }
    if let Some(repositories) = change.repositories {
        token.repositories = repositories;
    }
    if let Some(end) = expires_at {
        token.expires_at = end;
    }
    token.person = person.unwrap_or(token.person);
    token.revoked = change.revoked.unwrap_or(token.revoked);
    match change.refresh_token {
        Some(false) => token.refresh = None,
        Some(true) => token.refresh = refresh,
        None => {}
    }
    let id = token.id;
    dialect.made(&mut state, id);
    let Some(changed) = state.token_by_id_mut(id).cloned() else { return refuse("token: no such token") };
    Json(with_secrets(&state, &changed)).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessChange {
    user: String,
    repository: String,
    role: Role,
}

async fn change_access(State(host): State<SharedHost>, Json(change): Json<AccessChange>) -> Response {
    let mut state = host.state();
    let Some(person) = state.person_named(&change.user).map(|person| person.id) else {
        return refuse("user: nobody has this name");
    };
    let found = state.repositories.iter_mut().find(|found| found.full_name() == change.repository);
    let Some(repository) = found else { return refuse("repository: no such repository") };
    repository.members.insert(person, change.role);
    StatusCode::NO_CONTENT.into_response()
}

async fn faults(State(host): State<SharedHost>) -> Response {
    Json(&host.state().faults).into_response()
}

async fn order_fault(State(host): State<SharedHost>, Json(order): Json<Order>) -> Response {
    let id = switch_on(&mut host.state(), order);
    (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
}

fn switch_on(state: &mut HostState, order: Order) -> u64 {
    let id = state.next_id();
    state.faults.push(Fault { id, order, struck: 0 });
    id
}

async fn forget_faults(State(host): State<SharedHost>) -> StatusCode {
    host.state().faults.clear();
    StatusCode::NO_CONTENT
}

async fn forget_fault(State(host): State<SharedHost>, Path(id): Path<u64>) -> StatusCode {
    host.state().faults.retain(|fault| fault.id != id);
    StatusCode::NO_CONTENT
}

/// Members that are not named here are the dialect's, or refused.
#[derive(Deserialize)]
struct SettingsChange {
    fresh_token_401_ms: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    iss: Option<Option<String>>,
    rate_limits: Option<bool>,
    rate_limit: Option<u64>,
    #[serde(flatten)]
    own: Map<String, Value>,
}

async fn settings(State(host): State<SharedHost>) -> Response {
    Json(&host.state().settings).into_response()
}

async fn change_settings(State(host): State<SharedHost>, Json(change): Json<SettingsChange>) -> Response {
    let mut state = host.state();
    let settings = &mut state.settings;
    if let Err(sentence) = settings.own.change(host.dialect().settings(), &change.own) {
        return refuse(&sentence);
    }
    settings.fresh_token_401_ms = change.fresh_token_401_ms.unwrap_or(settings.fresh_token_401_ms);
    settings.rate_limits = change.rate_limits.unwrap_or(settings.rate_limits);
    settings.rate_limit = change.rate_limit.unwrap_or(settings.rate_limit);
    if let Some(iss) = change.iss {
        settings.iss = iss;
    }
    Json(&state.settings).into_response()
}

async fn requests(State(host): State<SharedHost>) -> Response {
    Json(&host.state().records).into_response()
}

async fn forget_requests(State(host): State<SharedHost>) -> StatusCode {
    host.state().records.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

async fn clock(State(host): State<SharedHost>) -> Response {
    Json(time_of(&host.state())).into_response()
}

async fn advance(State(host): State<SharedHost>, Json(advance): Json<Advance>) -> Response {
    let mut state = host.state();
    state.clock.advance(advance.advance_seconds);
    Json(time_of(&state)).into_response()
}

fn time_of(state: &HostState) -> Value {
    json!({ "now": clock::rfc3339(state.now()), "ahead_seconds": state.clock.offset_seconds() })
}

async fn reset(State(host): State<SharedHost>) -> StatusCode {
    host.reset();
    StatusCode::NO_CONTENT
}
