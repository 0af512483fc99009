//! Pages for people: signing in, and the tokens of whoever is signed in.

mod tokens;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::form::Form;
use crate::host::{Host, Person, Shape, SharedHost};
use crate::html;
use crate::random;

/// The routes.
pub fn router(shape: Shape) -> Router<SharedHost> {
    Router::new()
        .route("/", get(index))
        .route("/login", get(sign_in_page).post(sign_in))
        .route("/logout", get(sign_out_page).post(sign_out))
        .route("/orgs/{organization}/sso", get(single_sign_on_page).post(single_sign_on))
        .merge(tokens::router(shape))
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
pub fn to_sign_in(return_to: &str, login: Option<&str>) -> Response {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    if let Some(login) = login {
        query.append_pair("login", login);
    }
    Redirect::to(&format!("/login?{}", query.finish())).into_response()
}

/// Where to go after signing in: only paths of this host.
fn local(path: &str) -> &str {
    let inside = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n']);
    if inside { path } else { "/" }
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
         <ul>\n<li><a href=\"/settings/tokens\">Your tokens</a></li>\n\
         <li><a href=\"/_forge\">Control room</a>: let the host misbehave</li>\n</ul>\n\
         <h2>Repositories</h2>\n<ul>\n{repositories}</ul>"
    );
    html::page("Welcome", person.as_ref(), &main)
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
    main.push_str("<form method=\"post\" action=\"/login\">\n");
    main.push_str(&html::hidden("return_to", return_to));
    main.push_str(&html::field("User name", "login", login, "autocomplete=\"username\" required"));
    main.push_str(&html::field(
        "Password",
        "password",
        "",
        "type=\"password\" autocomplete=\"current-password\" required",
    ));
    main.push_str("<button>Sign in</button>\n</form>\n<h2>Who can sign in</h2>\n<ul>\n");
    for person in &host.state().people {
        let (login, password) = (html::escape(&person.login), html::escape(&person.password));
        main.push_str(&format!("<li>{login}, password <code>{password}</code></li>\n"));
    }
    main.push_str("</ul>");
    html::page("Sign in", None, &main)
}

async fn sign_in(State(host): State<SharedHost>, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let person = host.state().person_named(form.text("login")).cloned();
    match person.filter(|person| person.password == form.text("password")) {
        Some(person) => {
            let session = random::alphanumeric(32);
            let cookie = format!("{}={session}; Path=/; HttpOnly; SameSite=Lax", host.cookie_name());
            host.state().sessions.insert(session, person.id);
            ([(SET_COOKIE, cookie)], Redirect::to(local(form.text("return_to")))).into_response()
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
    let form = html::button("/logout", "Sign out", "");
    html::page("Sign out", person.as_ref(), &format!("<p>End this session?</p>\n{form}"))
}

async fn sign_out(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(session) = session(&host, &headers) {
        host.state().sessions.remove(&session);
    }
    let cookie = format!("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0", host.cookie_name());
    let form = Form::parse(&body);
    ([(SET_COOKIE, cookie)], to_sign_in(local(form.text("return_to")), None)).into_response()
}

async fn single_sign_on_page(
    State(host): State<SharedHost>,
    Path(organization): Path<String>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(uri.path_and_query().map_or("/", |here| here.as_str()), None);
    };
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let key = html::hidden("authorization_request", query.text("authorization_request"));
    let name = html::escape(&organization);
    let form = html::button(&format!("/orgs/{organization}/sso"), "Authorize token", &key);
    let main =
        format!("<p>The organization <b>{name}</b> lets a token in after single sign-on only.</p>\n{form}");
    html::page(&format!("Single sign-on for {organization}"), Some(&person), &main)
}

async fn single_sign_on(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in("/", None) };
    let form = Form::parse(&body);
    let mut state = host.state();
    let now = state.now();
    let request = state
        .sso_requests
        .iter()
        .find(|request| request.key == form.text("authorization_request") && now < request.expires_at);
    let token = request.map(|request| request.token);
    let token = token.and_then(|id| state.token_by_id_mut(id)).filter(|token| token.person == person.id);
    let Some(token) = token else {
        let sentence =
            "This link is too old or belongs to somebody else. Ask for a new one by using the token.";
        return html::problem(StatusCode::NOT_FOUND, "Link does not work", sentence);
    };
    token.single_sign_on = true;
    html::page(
        "Token authorized",
        Some(&person),
        "<p role=\"status\">The token may now enter the organization.</p>",
    )
}
