//! Pages for people: signing in, and the tokens of whoever is signed in.

pub mod tokens;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get};

use crate::dialect::TokenPage;
use crate::form::Form;
use crate::host::{Host, Person, SharedHost};
use crate::html;
use crate::random;

/// The routes.
pub fn router(page: &'static TokenPage) -> Router<SharedHost> {
    Router::new()
        .route("/", home())
        .route("/login", get(sign_in_page).post(sign_in))
        .route("/logout", get(sign_out_page).post(sign_out))
        .merge(tokens::router(page))
}

/// The first page.
pub fn home() -> MethodRouter<SharedHost> {
    get(index)
}

/// Whoever the cookie belongs to.
pub fn signed_in(host: &Host, headers: &HeaderMap) -> Option<Person> {
    let session = session(host, headers)?;
    let state = host.state();
    state.sessions.get(&session).and_then(|id| state.person(*id)).cloned()
}

fn session(host: &Host, headers: &HeaderMap) -> Option<String> {
    let wanted = host.cookie_name();
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut pairs =
        cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

/// Sends a person to sign in and afterwards back to a path of this host.
pub fn to_sign_in(host: &Host, return_to: &str, login: Option<&str>) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    if let Some(login) = login {
        query.append_pair("login", login);
    }
    Redirect::to(&host.path(&format!("/login?{}", query.finish()))).into_response()
}

/// Where to go after signing in: only paths of this host.
fn local(host: &Host, path: &str) -> String {
    let inside = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n']);
    if inside { path.to_owned() } else { host.path("/") }
}

async fn index(State(host): State<SharedHost>, headers: HeaderMap) -> Response {
    let person = signed_in(&host, &headers);
    let mut repositories = String::new();
    for found in &host.state().repositories {
        let visibility = if found.private { "private" } else { "public" };
        repositories.push_str(&format!("<li>{} ({visibility})</li>\n", html::escape(&found.full_name())));
    }
    let main = format!(
        "<p>This host exists for demos and tests. It keeps everything in memory and forgets it when it ends.</p>\n\
         <ul>\n<li><a href=\"{}\">Your tokens</a></li>\n\
         <li><a href=\"/_forge\">Control room</a>: let the host misbehave</li>\n</ul>\n\
         <h2>Repositories</h2>\n<ul>\n{repositories}</ul>",
        host.path(host.dialect().token_page().list)
    );
    html::page(&host, "Welcome", person.as_ref(), &main)
}

async fn sign_in_page(State(host): State<SharedHost>, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    sign_in_form(&host, query.text("return_to"), query.text("login"), None)
}

fn sign_in_form(host: &Host, return_to: &str, login: &str, problem: Option<&str>) -> Response {
    let mut main = String::new();
    if let Some(problem) = problem {
        main.push_str(&format!("<p role=\"alert\">{}</p>\n", html::escape(problem)));
    }
    main.push_str(&format!("<form method=\"post\" action=\"{}\">\n", host.path("/login")));
    main.push_str(&html::hidden("return_to", return_to));
    main.push_str(&html::field("User name", "login", login, "autocomplete=\"username\" required"));
    main.push_str(&html::field(
        "Password",
        "password",
        "",
        "type=\"password\" autocomplete=\"current-password\" required",
    ));
    main.push_str("<button>Sign in</button>\n</form>\n<h2>Who can sign in</h2>\n<ul>\n");
    for person in host.state().people.iter().filter(|person| !person.bot) {
        let (login, password) = (html::escape(&person.login), html::escape(&person.password));
        main.push_str(&format!("<li>{login}, password <code>{password}</code></li>\n"));
    }
    main.push_str("</ul>");
    html::page(host, "Sign in", None, &main)
}

async fn sign_in(State(host): State<SharedHost>, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let person = host.state().person_named(form.text("login")).cloned();
    match person.filter(|person| !person.bot && person.password == form.text("password")) {
        Some(person) => {
            let session = random::alphanumeric(32);
            let cookie = format!("{}={session}; Path=/; HttpOnly; SameSite=Lax", host.cookie_name());
            host.state().sessions.insert(session, person.id);
            ([(SET_COOKIE, cookie)], Redirect::to(&local(&host, form.text("return_to")))).into_response()
        }
        None => {
            let problem = "The user name or the password is not right. The list below says which work.";
            let page = sign_in_form(&host, form.text("return_to"), form.text("login"), Some(problem));
            (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
        }
    }
}

async fn sign_out_page(State(host): State<SharedHost>, headers: HeaderMap) -> Response {
    let person = signed_in(&host, &headers);
    let form = html::button(&host.path("/logout"), "Sign out", "");
    html::page(&host, "Sign out", person.as_ref(), &format!("<p>End this session?</p>\n{form}"))
}

async fn sign_out(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(session) = session(&host, &headers) {
        host.state().sessions.remove(&session);
    }
    let cookie = format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0", host.cookie_name());
    let form = Form::parse(&body);
    ([(SET_COOKIE, cookie)], to_sign_in(&host, &local(&host, form.text("return_to")), None)).into_response()
}
