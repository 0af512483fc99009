//! Forge, a simulated Git host.
mod api;
mod auth;
mod clock;
mod control;
mod fault;
mod form;
mod git;
mod host;
mod html;
mod oauth;
mod pages;
mod random;
mod record;
mod scope;
mod serve;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::middleware;
use axum::response::Response;

pub use host::{Host, Shape, SharedHost};
pub use serve::serve;

/// The whole host as one service.
pub fn router(host: &SharedHost) -> Router {
    let api = api::router(host);
    let api = match host.shape {
        Shape::Github => api,
        Shape::Ghes => Router::new().nest(host.shape.api_prefix(), api),
    };
    Router::new()
        .merge(api)
        .merge(oauth::router())
        .merge(git::router())
        .merge(pages::router(host.shape))
        .merge(control::router())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(Arc::clone(host), fault::middleware))
        .layer(middleware::from_fn_with_state(Arc::clone(host), record::middleware))
        .with_state(Arc::clone(host))
}

async fn nothing_here(State(host): State<SharedHost>, uri: Uri) -> Response {
    let rest = uri.path();
    let api = match host.shape {
        Shape::Github => ["/repos/", "/user", "/users/", "/orgs/", "/applications/"]
            .iter()
            .any(|start| rest.starts_with(start)),
        Shape::Ghes => rest.starts_with(host.shape.api_prefix()),
    };
    if api {
        return api::not_found(&host);
    }
    html::problem(StatusCode::NOT_FOUND, "Nothing here", "This simulated host has no such page.")
}
