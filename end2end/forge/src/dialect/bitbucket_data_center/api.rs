//! REST: whom the host takes the sender for, people, repositories. What a known person may not see is 401, as what nobody
//! may see without saying who it is.

use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{caller, problem, tell};
use crate::fault;
use crate::host::{Host, Need, Person, Repository, SharedHost};
use crate::token::Token;

/// Where REST begins: by its usual name, and by the older one.
pub const PREFIXES: [&str; 2] = ["/rest/api/latest", "/rest/api/1.0"];
/// Tells a name as text; to a visitor, nothing.
pub const WHO_AM_I: &str = "/plugins/servlet/applinks/whoami";

const NOT_PERMITTED: &str = "com.atlassian.bitbucket.AuthorisationException";
const SIGN_IN: &str = "com.atlassian.plugins.rest.api.security.exception.AuthenticationRequiredException";

/// Whoever asks, after the token was accepted.
#[derive(Clone)]
struct Caller(Option<Token>);

/// The routes.
pub fn router(host: &SharedHost) -> Router<SharedHost> {
    let mut router = Router::new().route(WHO_AM_I, get(who_am_i));
    for prefix in PREFIXES {
        let rest = Router::new()
            .route("/application-properties", get(properties))
            .route("/users/{slug}", get(user))
            .route("/inbox/pull-requests/count", get(inbox))
            .route("/projects/{key}", get(project))
            .route("/projects/{key}/repos/{slug}", get(repository));
        router = router.nest(prefix, rest);
    }
    router.route_layer(middleware::from_fn_with_state(host.clone(), authenticate))
}

/// Accepts or refuses the token, counts the request, and says whom the host takes the sender for.
async fn authenticate(State(host): State<SharedHost>, mut request: Request, next: Next) -> Response {
    let caller = match caller(&host, request.headers(), false) {
        Ok(caller) => caller,
        Err(unwelcome) => return tell(&host, None, unwelcome.problem()),
    };
    if let Some(token) = &caller {
        let rate = host.state().charge(token.person, false);
        if let Some(rate) = rate.filter(|rate| rate.is_exceeded()) {
            return fault::limit_reached(&host, token.person, rate);
        }
    }
    request.extensions_mut().insert(Caller(caller.clone()));
    let response = next.run(request).await;
    tell(&host, caller.as_ref(), response)
}

fn not_permitted(caller: Option<&Token>) -> Response {
    let exception = if caller.is_some() { NOT_PERMITTED } else { SIGN_IN };
    problem(StatusCode::UNAUTHORIZED, Some(exception), "You are not permitted to access this resource")
}

fn absent(exception: &str, message: &str) -> Response {
    let exception = format!("com.atlassian.bitbucket.{exception}");
    problem(StatusCode::NOT_FOUND, Some(&exception), message)
}

async fn who_am_i(State(host): State<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let state = host.state();
    let person = caller.and_then(|token| state.person(token.person));
    let name = person.map(|person| person.login.clone()).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain;charset=UTF-8")], name).into_response()
}

/// For everybody: that it answers says nothing about a token.
async fn properties() -> Json<Value> {
    Json(json!({
        "version": "9.4.2", "buildNumber": "9004002", "buildDate": "1740000000000", "displayName": "Bitbucket"
    }))
}

async fn user(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path(wanted): Path<String>,
) -> Response {
    if caller.is_none() {
        return not_permitted(None);
    }
    let state = host.state();
    let found = state.people.iter().find(|person| !person.bot && slug(&person.login) == wanted);
    match found {
        Some(person) => Json(user_body(&host, person)).into_response(),
        None => absent("user.NoSuchUserException", &format!("User {wanted} does not exist.")),
    }
}

/// A name as addresses have it.
fn slug(login: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    login.to_lowercase().chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

fn user_body(host: &Host, person: &Person) -> Value {
    let slug = slug(&person.login);
    json!({
        "name": person.login,
        "emailAddress": person.email,
        "active": true,
        "displayName": person.name,
        "id": person.id,
        "slug": slug,
        "type": "NORMAL",
        "links": { "self": [{ "href": host.page(&format!("/users/{slug}")) }] },
    })
}

/// A question that only people may ask.
async fn inbox(Extension(Caller(caller)): Extension<Caller>) -> Response {
    match caller {
        Some(_) => Json(json!({ "count": 0 })).into_response(),
        None => not_permitted(None),
    }
}

async fn project(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path(key): Path<String>,
) -> Response {
    let state = host.state();
    let mut inside =
        state.repositories.iter().filter(|found| found.owner.eq_ignore_ascii_case(&key)).peekable();
    if inside.peek().is_none() {
        return no_project(&key);
    }
    if inside.any(|found| state.allow(caller.as_ref(), found, Need::Metadata).is_ok()) {
        Json(project_body(&host, &key)).into_response()
    } else {
        not_permitted(caller.as_ref())
    }
}

fn no_project(key: &str) -> Response {
    absent("project.NoSuchProjectException", &format!("Project {key} does not exist."))
}

fn project_body(host: &Host, owner: &str) -> Value {
    let key = owner.to_ascii_uppercase();
    let link = host.page(&format!("/projects/{key}"));
    json!({
        "key": key,
        "name": owner,
        "public": false,
        "type": if owner.starts_with('~') { "PERSONAL" } else { "NORMAL" },
        "links": { "self": [{ "href": link }] },
    })
}

async fn repository(
    State(host): State<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((key, slug)): Path<(String, String)>,
) -> Response {
    let state = host.state();
    let Some(found) = state.repository(&key, &slug) else {
        if state.repositories.iter().any(|other| other.owner.eq_ignore_ascii_case(&key)) {
            let message = format!("Repository {key}/{slug} does not exist.");
            return absent("repository.NoSuchRepositoryException", &message);
        }
        return no_project(&key);
    };
    match state.allow(caller.as_ref(), found, Need::Metadata) {
        Ok(()) => Json(repository_body(&host, found)).into_response(),
        Err(_) => not_permitted(caller.as_ref()),
    }
}

fn repository_body(host: &Host, repository: &Repository) -> Value {
    let (owner, name) = (&repository.owner, &repository.name);
    let key = owner.to_ascii_uppercase();
    let clone = host.page(&format!("/scm/{}/{name}.git", owner.to_ascii_lowercase()));
    let page = host.page(&format!("/projects/{key}/repos/{name}/browse"));
    json!({
        "slug": name,
        "id": repository.id,
        "name": name,
        "scmId": "git",
        "state": "AVAILABLE",
        "statusMessage": "Available",
        "forkable": true,
        "project": project_body(host, owner),
        "public": !repository.private,
        "archived": false,
        "links": {
            "clone": [{ "href": clone, "name": "http" }],
            "self": [{ "href": page }],
        },
    })
}
