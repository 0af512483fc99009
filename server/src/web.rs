//! The router: pages and server functions, OAuth2, files, health, and the layers around them in order.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use app::{App, asset::Assets, error::ApiError, path, shell};
use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, request::Parts},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use leptos::prelude::{LeptosOptions, provide_context, use_context};
use leptos::server_fn::error::SERVER_FN_ERROR_HEADER;
use leptos_axum::{AxumRouteListing, LeptosRoutes, generate_route_list};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    csrf::CsrfLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

use self::burst::{Burst, Few};
use crate::{backend::Visit, site::Site, wire};

pub mod asset;
pub mod audit;
pub mod burst;
pub mod oauth;
pub mod plain;
pub mod runtime_admin;
pub mod runtime_api;
pub mod security;
pub mod serve;
pub mod session;
pub mod stream;
pub mod to_the_end;

/// Forms are small; a pasted novel still gets a sentence from the page rather than a broken connection.
const LARGEST_REQUEST_BYTES: usize = 2 * 1024 * 1024;
/// Longer than a provider may take to answer, so that the visitor learns what it said.
const LONGEST_REQUEST: Duration = Duration::from_secs(45);

/// Errors of server functions are a word and a number.
const LARGEST_ERROR_BYTES: usize = 64 * 1024;

/// A route, as the list of all routes has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    /// The only method that it takes, besides `HEAD` for `GET`.
    pub method: Method,
    /// As the router spells it.
    pub path: String,
    /// Who may come in.
    pub door: Door,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// Anybody: sign-in, one-time links, files, health.
    Open,
    /// Who is signed in; a page sends strangers to the sign-in.
    SignedIn,
    /// A runtime, by its key; cookies count for nothing.
    RuntimeKey,
}

/// Pages that strangers may see.
fn door_of_page(page: &str) -> Door {
    let open =
        page == path::SIGN_IN || [path::SETUP, path::WELCOME].iter().any(|start| page.starts_with(start));
    if open { Door::Open } else { Door::SignedIn }
}

/// Server functions that strangers may call. `part` looks at who asks itself: the form to sign in with is a part.
fn door_of_function(function: &str) -> Door {
    let open = ["person/sign-in", "person/one-time-link", "person/redeem-link", "part"];
    if open.iter().any(|name| function == format!("{}/{name}", path::API)) {
        Door::Open
    } else {
        Door::SignedIn
    }
}

/// The pages' routes, found once for the process. While Leptos looks for them, by running the whole app, any page that
/// is made at that moment, by whatever thread, would wait for its data for ever: its switch is global.
pub fn pages() -> Vec<AxumRouteListing> {
    static PAGES: LazyLock<Vec<AxumRouteListing>> = LazyLock::new(|| generate_route_list(App));
    PAGES.clone()
}

/// All routes there are: pages, server functions, and our own.
pub fn routes() -> Vec<Route> {
    let pages = pages().into_iter().map(|page| Route {
        method: Method::GET,
        path: page.path().to_owned(),
        door: door_of_page(page.path()),
    });
    let functions = leptos::server_fn::axum::server_fn_paths().map(|(path, method)| Route {
        method,
        path: path.to_owned(),
        door: door_of_function(path),
    });
    let own = [
        (Method::GET, path::EVENTS.to_owned(), Door::SignedIn),
        (Method::GET, "/healthz".to_owned(), Door::Open),
        (Method::GET, "/readyz".to_owned(), Door::Open),
        (Method::POST, format!("{}/{{runtime}}", path::CONNECT), Door::SignedIn),
        (Method::GET, format!("{}/{{provider}}", path::CALLBACK), Door::SignedIn),
        (Method::GET, path::AUDIT.to_owned(), Door::SignedIn),
        (Method::GET, path::AUDIT_EXPORT.to_owned(), Door::SignedIn),
        (Method::GET, path::account_audit("{account}"), Door::SignedIn),
        (Method::GET, path::account_audit_export("{account}"), Door::SignedIn),
        (Method::GET, "/pkg/{*file}".to_owned(), Door::Open),
        (Method::GET, "/favicon.svg".to_owned(), Door::Open),
        (Method::GET, "/robots.txt".to_owned(), Door::Open),
        (Method::GET, runtime_admin::ADDRESS.to_owned(), Door::SignedIn),
        (Method::POST, runtime_admin::ADDRESS.to_owned(), Door::SignedIn),
        (Method::POST, wire::CREDENTIAL.to_owned(), Door::RuntimeKey),
        (Method::POST, wire::REPORT.to_owned(), Door::RuntimeKey),
        (Method::GET, wire::USERS.to_owned(), Door::RuntimeKey),
        (Method::GET, wire::CHANGES.to_owned(), Door::RuntimeKey),
        (Method::GET, wire::OPENAPI.to_owned(), Door::Open),
        (Method::GET, wire::DOCS.to_owned(), Door::Open),
    ];
    let own = own.into_iter().map(|(method, path, door)| Route { method, path, door });
    pages.chain(functions).chain(own).collect()
}

/// The whole site as a service.
///
/// # Errors
/// [`asset::NoFiles`].
pub fn router(site: &Arc<Site>) -> Result<Router, asset::NoFiles> {
    let found = asset::find(&site.site_dir)?;
    let options = LeptosOptions::builder().output_name("gitward").build();
    let context = context(site, found.names.clone());
    let shell_options = options.clone();
    let make_shell = move || shell(shell_options.clone());
    let not_found = leptos_axum::render_app_async_with_context(context.clone(), make_shell.clone());
    let files = asset::files(&found);

    let app = Router::new()
        .route(&format!("{}/{{runtime}}", path::CONNECT), post(oauth::start))
        .route(&format!("{}/{{provider}}", path::CALLBACK), get(oauth::finish))
        .with_state(Arc::clone(site))
        .merge(runtime_admin::router(site, &found.names.css))
        .merge(audit::router(site, &found.names.css))
        .merge(
            Router::new()
                .leptos_routes_with_context(&options, pages(), context, make_shell)
                .fallback(not_found)
                .with_state(options)
                .layer(from_fn_with_state(Few::default(), burst::few_at_once)),
        )
        // From the outside in: the last line sees a request first.
        .layer(from_fn_with_state(Arc::clone(site), to_the_end::to_the_end))
        .layer(from_fn(fitting_status))
        .layer(from_fn(pages_for_people))
        .layer(from_fn_with_state(Arc::clone(site), session::recognise))
        .layer(from_fn_with_state((Arc::clone(site), Arc::new(Burst::default())), burst::serve))
        .layer(CompressionLayer::new().quality(tower_http::CompressionLevel::Fastest));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(Arc::clone(site)))
        // Not among the pages: it is neither kept, nor compressed, nor is listening a visit.
        .route(path::EVENTS, get(stream::events).with_state(Arc::clone(site)))
        .merge(files)
        .merge(app)
        .layer(from_fn(security::forms_only))
        .layer(from_fn(security::proven_origin))
        .layer(CsrfLayer::new().with_rejection_response(security::from_another_site))
        // Beyond what guards browsers: no browser can be led to show a key.
        .merge(runtime_api::router(site, &found.names.css))
        .layer(RequestBodyLimitLayer::new(LARGEST_REQUEST_BYTES))
        .layer(from_fn(security::too_large))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONGEST_REQUEST))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(Arc::clone(site), runtime_api::own_words))
        .layer(from_fn_with_state(Arc::clone(site), security::headers))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(TraceLayer::new_for_http().make_span_with(span).on_request(()).on_response(answered))
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid));
    Ok(router)
}

/// What pages and server functions find in their context.
fn context(site: &Arc<Site>, names: Assets) -> impl Fn() + Clone + Send + Sync + 'static {
    let site = Arc::clone(site);
    let assets: Arc<Assets> = Arc::new(names);
    move || {
        provide_context(Arc::clone(&assets));
        if site.live_reload.is_some() {
            provide_context(app::asset::DevReload);
        }
        security::policy_of_page(site.live_reload);
        if let Some(parts) = use_context::<Parts>() {
            let visit: app::api::SharedBackend = Arc::new(Visit::new(Arc::clone(&site), parts));
            provide_context(visit);
        }
    }
}

/// Strangers who ask for a page are sent to sign in, and come back to it.
async fn pages_for_people(request: Request, next: axum::middleware::Next) -> Response {
    let page = request.uri().path();
    let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
        && ![path::API, path::CALLBACK, path::CONNECT]
            .iter()
            .any(|own| page.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')));
    let stranger = request.extensions().get::<session::Signed>().is_none();
    if is_page && stranger && door_of_page(page) == Door::SignedIn {
        let place = request.uri().path_and_query().map_or(path::TOKENS, |place| place.as_str());
        let to = if place == path::HOME { path::SIGN_IN.to_owned() } else { path::sign_in_then(place) };
        return axum::response::Redirect::to(&to).into_response();
    }
    next.run(request).await
}

/// A server function that can't even read its arguments answers 500, as if that were our fault; the error knows better.
async fn fitting_status(request: Request, next: axum::middleware::Next) -> Response {
    let response = next.run(request).await;
    let is_error = response.status() == StatusCode::INTERNAL_SERVER_ERROR
        && response.headers().contains_key(SERVER_FN_ERROR_HEADER);
    if !is_error {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_ERROR_BYTES).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let error = serde_json::from_slice::<ApiError>(&body).ok();
    if let Some(status) = error.and_then(|error| StatusCode::from_u16(error.status()).ok()) {
        parts.status = status;
    }
    Response::from_parts(parts, Body::from(body))
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    match site.store.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "Not ready: the database does not answer"
            );
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

/// One line for each request that may have changed something, or failed; the others only when asked for.
fn answered(response: &Response, took: Duration, _span: &tracing::Span) {
    let status = response.status().as_u16();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if status >= 400 {
        tracing::info!(status, took_ms, "Answered");
    } else {
        tracing::debug!(status, took_ms, "Answered");
    }
}

/// Names the route, never the address: one-time links and callbacks carry secrets there.
fn span(request: &Request<Body>) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str);
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("-");
    tracing::info_span!("request", method = %request.method(), route, id)
}
