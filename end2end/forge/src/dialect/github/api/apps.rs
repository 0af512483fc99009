//! What an app asks about its own tokens, and what anyone does with a leaked one.

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::super::{mint_refresh, of};
use super::{Caller, body, problem};
use crate::auth::Presented;
use crate::host::{App, Host, SharedHost};
use crate::token::{Refresh, Token};

/// Routes that an app opens with its client id and secret.
pub fn router() -> Router<SharedHost> {
    Router::new()
        .route("/applications/{client_id}/token", post(check).patch(reset).delete(delete_token))
        .route("/applications/{client_id}/grant", delete(delete_grant))
}

/// The route that needs no app.
pub fn revocation() -> Router<SharedHost> {
    Router::new().route("/credentials/revoke", post(revoke))
}

#[derive(Deserialize)]
struct TokenBody {
    access_token: String,
}

#[derive(Deserialize)]
struct CredentialsBody {
    credentials: Vec<String>,
}

/// The app of the path, if the request proves to come from it, and its working token from the body.
fn app_and_token(
    host: &Host,
    client_id: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(App, Token), Box<Response>> {
    let refuse = |status, message| Box::new(problem(host, status, message));
    let Presented::Basic { user, password } = Presented::read(headers) else {
        return Err(refuse(StatusCode::UNAUTHORIZED, "Requires authentication"));
    };
    let state = host.state();
    let Some(app) = state.app(&user).filter(|app| app.client_secret == password) else {
        return Err(refuse(StatusCode::UNAUTHORIZED, "Bad credentials"));
    };
    if app.client_id != client_id {
        return Err(refuse(StatusCode::NOT_FOUND, "Not Found"));
    }
    let Ok(TokenBody { access_token }) = serde_json::from_slice(body) else {
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed"));
    };
    let now = state.now();
    let token = state.token(&access_token).filter(|token| {
        token.client_id.as_deref() == Some(client_id)
            && !token.revoked
            && token.expires_at.is_none_or(|end| now < end)
    });
    match token {
        Some(token) => Ok((app.clone(), token.clone())),
        None => Err(refuse(StatusCode::NOT_FOUND, "Not Found")),
    }
}

async fn check(
    State(host): State<SharedHost>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match app_and_token(&host, &client_id, &headers, &body) {
        Ok((app, token)) => {
            Json(body::authorization(&host, &host.state(), &app, &token, false)).into_response()
        }
        Err(refusal) => *refusal,
    }
}

/// The same token with another secret; the old secret stops working.
async fn reset(
    State(host): State<SharedHost>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (app, mut token) = match app_and_token(&host, &client_id, &headers, &body) {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let mut state = host.state();
    if let Some(kept) = state.token_mut(&token.secret) {
        token.secret = (kept.kind.mint)();
        token.refresh = token.refresh.map(|old| Refresh { secret: mint_refresh(), ..old });
        *kept = token.clone();
    }
    Json(body::authorization(&host, &state, &app, &token, true)).into_response()
}

async fn delete_token(
    State(host): State<SharedHost>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match app_and_token(&host, &client_id, &headers, &body) {
        Ok((_, token)) => {
            if let Some(token) = host.state().token_mut(&token.secret) {
                token.revoked = true;
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => *refusal,
    }
}

async fn delete_grant(
    State(host): State<SharedHost>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match app_and_token(&host, &client_id, &headers, &body) {
        Ok((_, token)) => {
            host.state().end_grant(token.person, &client_id);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refusal) => *refusal,
    }
}

async fn revoke(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    body: Bytes,
) -> Response {
    match (of(&host).enterprise, caller) {
        (false, Some(_)) => {
            return problem(&host, StatusCode::FORBIDDEN, "This endpoint takes no credentials.");
        }
        (true, None) => {
            return problem(&host, StatusCode::UNAUTHORIZED, "Requires authentication");
        }
        _ => {}
    }
    let parsed = serde_json::from_slice::<CredentialsBody>(&body).ok();
    let Some(CredentialsBody { credentials }) =
        parsed.filter(|body| (1..=1_000).contains(&body.credentials.len()))
    else {
        return problem(&host, StatusCode::UNPROCESSABLE_ENTITY, "Validation Failed");
    };
    let mut state = host.state();
    for token in &mut state.tokens {
        let refresh = token.refresh.as_ref().map(|refresh| &refresh.secret);
        if credentials.contains(&token.secret) || refresh.is_some_and(|secret| credentials.contains(secret)) {
            token.revoked = true;
        }
    }
    (StatusCode::ACCEPTED, Json(json!({}))).into_response()
}
