//! The control room: how a test or a curious person moves time, makes tokens and switches faults.

mod page;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::clock;
use crate::fault::{Fault, Order};
use crate::host::{Role, SharedHost, SingleSignOn, State as HostState};
use crate::scope::Scopes;
use crate::token::{ExpiryShape, Kind, Level, Permissions, Refresh, Token, mint_refresh};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    user: String,
    kind: Kind,
    #[serde(default)]
    note: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    permissions: Permissions,
    repositories: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    expires_at: Option<Option<String>>,
    #[serde(default)]
    expiry_shape: ExpiryShape,
    client_id: Option<String>,
    sso: Option<bool>,
}

async fn create_token(State(host): State<SharedHost>, Json(wanted): Json<NewToken>) -> Response {
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
    let token = match wanted.kind {
        Kind::Oauth | Kind::GithubApp => {
            let usual = if wanted.kind == Kind::Oauth { "gitward-demo" } else { "Iv1.gitwarddemo" };
            let Some(app) = state.app(wanted.client_id.as_deref().unwrap_or(usual)).cloned() else {
                return refuse("client_id: no app has this one");
            };
            state.issue_for_app(&app, person, Scopes::literal(&wanted.scopes))
        }
        kind => state.issue(kind, person, |_| {}),
    };
    let Some(made) = state.token_by_id_mut(token.id) else { return refuse("kind: does not fit the app") };
    made.accepted_from = None;
    made.expiry_shape = wanted.expiry_shape;
    if made.kind.has_scopes() {
        made.scopes = Scopes::literal(&wanted.scopes);
    } else if !wanted.permissions.is_empty() || made.kind == Kind::FineGrained {
        made.permissions = wanted.permissions;
        made.permissions.entry("metadata".to_owned()).or_insert(Level::Read);
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
    if let Some(sso) = wanted.sso {
        made.single_sign_on = sso;
    }
    let made = made.clone();
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
    json!({
        "id": token.id,
        "kind": token.kind,
        "user": state.person(token.person).map(|person| &person.login),
        "note": token.note,
        "client_id": token.client_id,
        "scopes": token.scopes.iter().collect::<Vec<_>>(),
        "permissions": token.permissions,
        "repositories": token.repositories,
        "expires_at": token.expires_at.map(clock::rfc3339),
        "expiry_shape": token.expiry_shape,
        "sso": token.single_sign_on,
        "revoked": token.revoked,
        "works": token.works(state.now()),
    })
}

async fn tokens(State(host): State<SharedHost>) -> Json<Value> {
    let state = host.state();
    Json(state.tokens.iter().map(|token| describe(&state, token)).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenChange {
    token: Option<String>,
    id: Option<u64>,
    scopes: Option<Vec<String>>,
    permissions: Option<Permissions>,
    #[serde(default, deserialize_with = "given")]
    repositories: Option<Option<Vec<String>>>,
    #[serde(default, deserialize_with = "given")]
    expires_at: Option<Option<String>>,
    expiry_shape: Option<ExpiryShape>,
    user: Option<String>,
    sso: Option<bool>,
    revoked: Option<bool>,
    refresh_token: Option<bool>,
}

async fn change_token(State(host): State<SharedHost>, Json(change): Json<TokenChange>) -> Response {
    let mut state = host.state();
    let now = state.now();
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
        (Some(secret), _) => state.token_mut(secret),
        (None, Some(id)) => state.token_by_id_mut(id),
        (None, None) => return refuse("token: say which, by token or by id"),
    };
    let Some(token) = found else { return refuse("token: no such token") };
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
    token.expiry_shape = change.expiry_shape.unwrap_or(token.expiry_shape);
    token.person = person.unwrap_or(token.person);
    token.single_sign_on = change.sso.unwrap_or(token.single_sign_on);
    token.revoked = change.revoked.unwrap_or(token.revoked);
    match change.refresh_token {
        Some(false) => token.refresh = None,
        Some(true) => {
            let expires_at = now + crate::host::APP_REFRESH_LIFE;
            token.refresh = Some(Refresh { secret: mint_refresh(), expires_at });
        }
        None => {}
    }
    let changed = token.clone();
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    fresh_token_401_ms: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    iss: Option<Option<String>>,
    sso: Option<SingleSignOn>,
    #[serde(default, deserialize_with = "given")]
    sso_url: Option<Option<String>>,
    rate_limits: Option<bool>,
    rate_limit: Option<u64>,
    unverified_email: Option<bool>,
    app_suspended: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    max_bad_logins: Option<Option<u64>>,
}

async fn settings(State(host): State<SharedHost>) -> Response {
    Json(&host.state().settings).into_response()
}

async fn change_settings(State(host): State<SharedHost>, Json(change): Json<SettingsChange>) -> Response {
    let mut state = host.state();
    let kept = state.settings.clone();
    let settings = &mut state.settings;
    settings.fresh_token_401_ms = change.fresh_token_401_ms.unwrap_or(kept.fresh_token_401_ms);
    settings.iss = change.iss.unwrap_or(kept.iss);
    settings.sso = change.sso.unwrap_or(kept.sso);
    settings.sso_url = change.sso_url.unwrap_or(kept.sso_url);
    settings.rate_limits = change.rate_limits.unwrap_or(kept.rate_limits);
    settings.rate_limit = change.rate_limit.unwrap_or(kept.rate_limit);
    settings.unverified_email = change.unverified_email.unwrap_or(kept.unverified_email);
    settings.app_suspended = change.app_suspended.unwrap_or(kept.app_suspended);
    settings.max_bad_logins = change.max_bad_logins.unwrap_or(kept.max_bad_logins);
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
