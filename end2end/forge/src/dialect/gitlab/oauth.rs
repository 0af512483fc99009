//! What an app's token says of itself, and how an app ends it.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::OAUTH;
use crate::auth::Presented;
use crate::dialect::Parameters;
use crate::host::SharedHost;
use crate::oauth::{client, parameters};

/// The routes.
pub fn router() -> Router<SharedHost> {
    Router::new().route("/oauth/token/info", get(info)).route("/oauth/revoke", post(revoke))
}

async fn info(State(host): State<SharedHost>, headers: HeaderMap) -> Response {
    let mut state = host.state();
    let token = match Presented::read(&headers) {
        Presented::Bearer(secret) => state.authenticate(&secret).ok(),
        _ => None,
    };
    let Some(token) = token.filter(|token| token.kind.name == OAUTH) else {
        let body = json!({
            "error": "invalid_token",
            "error_description": "The access token is invalid",
            "state": "unauthorized",
        });
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    };
    let left = token.expires_at.map(|end| (end - state.now()).whole_seconds());
    let scopes: Vec<&str> = token.scopes.iter().collect();
    Json(json!({
        "resource_owner_id": token.person,
        "scope": scopes,
        "expires_in": left,
        "application": { "uid": token.client_id },
        "created_at": token.created_at.unix_timestamp(),
        "scopes": scopes,
        "expires_in_seconds": left,
    }))
    .into_response()
}

/// Ends the pair of an access or refresh token of the app; an unknown one is ended already.
async fn revoke(
    State(host): State<SharedHost>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let parameters = parameters(host.dialect().oauth(), &headers, query, &body);
    let mut state = host.state();
    let Some(app) = client(&state, &headers, &parameters) else {
        return not_yours();
    };
    let secret = parameters.get("token").map(String::as_str).unwrap_or_default();
    let found = state.tokens.iter_mut().find(|token| {
        let refresh = token.refresh.as_ref().map(|refresh| refresh.secret.as_str());
        token.kind.name == OAUTH && (token.secret == secret || refresh == Some(secret))
    });
    match found {
        Some(token) if token.client_id.as_ref() != Some(&app.client_id) => {
            return not_yours();
        }
        Some(token) => token.revoked = true,
        None => {}
    }
    Json(json!({})).into_response()
}

fn not_yours() -> Response {
    let body = json!({
        "error": "unauthorized_client",
        "error_description": "You are not authorized to revoke this token",
    });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}
