//! The tokens of whoever is signed in: list, make, narrow, end.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use time::Duration;

use super::{signed_in, to_sign_in};
use crate::clock;
use crate::form::Form;
use crate::host::{self, Person, Shape, SharedHost};
use crate::html;
use crate::scope::{OFFERED, Scopes};
use crate::token::{Kind, Level, Permissions, Token};

const LIST: &str = "/settings/tokens";
const NEW_FINE_GRAINED: &str = "/settings/personal-access-tokens/new";

/// Permissions that the page of fine-grained tokens offers.
const PERMISSIONS: &[(&str, &str)] = &[
    ("contents", "Contents"),
    ("metadata", "Metadata"),
    ("pull_requests", "Pull requests"),
    ("repository_hooks", "Webhooks"),
    ("statuses", "Commit statuses"),
    ("workflows", "Workflows"),
    ("administration", "Administration"),
];

const EXPIRATIONS: &[(&str, &str)] = &[
    ("7", "In 7 days"),
    ("30", "In 30 days"),
    ("60", "In 60 days"),
    ("90", "In 90 days"),
    ("366", "In 366 days"),
    ("none", "Never"),
];

/// The routes; the enterprise server has no page for fine-grained tokens that a link can fill in.
pub fn router(shape: Shape) -> Router<SharedHost> {
    let router = Router::new()
        .route("/settings/tokens", get(list))
        .route("/settings/tokens/new", get(new_classic).post(create_classic))
        .route("/settings/tokens/{id}/scopes", post(narrow))
        .route("/settings/tokens/{id}/expire", post(expire))
        .route("/settings/tokens/{id}/revoke", post(revoke))
        .route("/settings/applications/{client_id}/revoke", post(revoke_app));
    match shape {
        Shape::Github => router.route(NEW_FINE_GRAINED, get(new_fine_grained).post(create_fine_grained)),
        Shape::Ghes => router,
    }
}

async fn list(State(host): State<SharedHost>, headers: HeaderMap) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(LIST, None) };
    let state = host.state();
    let mut main = String::from("<p><a href=\"/settings/tokens/new\">New classic token</a>");
    if host.shape == Shape::Github {
        main.push_str(&format!(" · <a href=\"{NEW_FINE_GRAINED}\">New fine-grained token</a>"));
    }
    main.push_str("</p>\n");
    let mine: Vec<&Token> = state.tokens.iter().filter(|token| token.person == person.id).collect();
    if mine.is_empty() {
        main.push_str("<p>No token yet.</p>\n");
    }
    mine.iter().rev().for_each(|token| main.push_str(&article(&state, token)));
    main.push_str("<h2>Apps you agreed to</h2>\n");
    let mut agreed = state.grants.iter().filter(|grant| grant.person == person.id).peekable();
    if agreed.peek().is_none() {
        main.push_str("<p>None.</p>\n");
    }
    for grant in agreed {
        let name = state.app(&grant.client_id).map_or(grant.client_id.as_str(), |app| app.name.as_str());
        let form = html::button(
            &format!("/settings/applications/{}/revoke", grant.client_id),
            &format!("Revoke {name}"),
            "",
        );
        main.push_str(&format!(
            "<p>{}: {} {form}</p>\n",
            html::escape(name),
            html::escape(&grant.scopes.join(", "))
        ));
    }
    html::page("Your tokens", Some(&person), &main)
}

fn article(state: &host::State, token: &Token) -> String {
    let id = token.id;
    let name = if token.note.is_empty() { format!("Token {id}") } else { token.note.clone() };
    let condition = token.condition(state.now());
    let ends = token.expires_at.map_or_else(|| "never".to_owned(), clock::rfc3339);
    let rights = if token.kind.has_scopes() {
        token.scopes.join(", ")
    } else {
        let permissions = token.permissions.iter().map(|(name, level)| format!("{name}: {}", level.name()));
        let selected =
            token.repositories.as_ref().map_or("all repositories".to_owned(), |names| names.join(", "));
        format!("{} in {selected}", permissions.collect::<Vec<_>>().join(", "))
    };
    let mut html = format!(
        "<article aria-labelledby=\"token-{id}\">\n<h2 id=\"token-{id}\">{}</h2>\n<dl>\
         <dt>Kind</dt><dd>{}</dd><dt>Condition</dt><dd>{condition}</dd><dt>Expires</dt><dd>{ends}</dd>\
         <dt>Allows</dt><dd>{}</dd></dl>\n",
        html::escape(&name),
        token.kind.label(),
        html::escape(&rights),
    );
    if condition == "in use" {
        if token.kind.has_scopes() && !token.scopes.is_empty() {
            html.push_str(&format!("<form method=\"post\" action=\"{LIST}/{id}/scopes\">\n<fieldset><legend>Scopes to keep</legend>\n"));
            token.scopes.iter().for_each(|scope| html.push_str(&html::checkbox(scope, "scope", scope, true)));
            html.push_str("</fieldset>\n<button>Narrow scopes</button>\n</form>\n");
        }
        html.push_str(&html::button(&format!("{LIST}/{id}/expire"), "Expire now", ""));
        html.push_str(&html::button(&format!("{LIST}/{id}/revoke"), "Revoke", ""));
    }
    html.push_str("</article>\n");
    html
}

/// Changes a token of whoever is signed in, then shows the list again.
fn change(host: &SharedHost, headers: &HeaderMap, id: u64, change: impl FnOnce(&mut Token)) -> Response {
    let Some(person) = signed_in(host, headers) else { return to_sign_in(LIST, None) };
    match host.state().token_by_id_mut(id).filter(|token| token.person == person.id) {
        Some(token) => change(token),
        None => {
            return html::problem(
                StatusCode::NOT_FOUND,
                "No such token",
                "You have no token with this number.",
            );
        }
    }
    Redirect::to(LIST).into_response()
}

async fn narrow(
    State(host): State<SharedHost>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::parse(&body);
    let keep = Scopes::literal(form.all("scope"));
    change(&host, &headers, id, |token| token.scopes = token.scopes.intersection(&keep))
}

async fn expire(State(host): State<SharedHost>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let now = host.state().now();
    change(&host, &headers, id, |token| token.expires_at = Some(now))
}

async fn revoke(State(host): State<SharedHost>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    change(&host, &headers, id, |token| token.revoked = true)
}

async fn revoke_app(
    State(host): State<SharedHost>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(LIST, None) };
    host.state().end_grant(person.id, &client_id);
    Redirect::to(LIST).into_response()
}

async fn new_classic(
    State(host): State<SharedHost>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(uri.path_and_query().map_or(LIST, |here| here.as_str()), None);
    };
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let wanted = Scopes::parse(query.text("scopes"));
    let mut main = String::from("<form method=\"post\" action=\"/settings/tokens/new\">\n");
    main.push_str(&html::field("Note", "description", query.text("description"), "required"));
    main.push_str(&html::select("Expiration", "expires_in", EXPIRATIONS, "30"));
    main.push_str("<fieldset><legend>Scopes</legend>\n");
    for scope in OFFERED {
        main.push_str(&html::checkbox(scope, "scope", scope, wanted.iter().any(|wanted| wanted == *scope)));
    }
    main.push_str("</fieldset>\n<button>Generate token</button>\n</form>");
    html::page("New classic token", Some(&person), &main)
}

async fn create_classic(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(LIST, None) };
    let form = Form::parse(&body);
    let mut state = host.state();
    let expires_at = expiration(&state, form.text("expires_in"));
    let token = state.issue(Kind::Classic, person.id, |token| {
        token.note = form.text("description").to_owned();
        token.scopes = Scopes::normalised(form.all("scope"));
        token.expires_at = expires_at;
    });
    show_once(&person, &token)
}

async fn new_fine_grained(
    State(host): State<SharedHost>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(uri.path_and_query().map_or(LIST, |here| here.as_str()), None);
    };
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let state = host.state();
    let mut main = format!("<form method=\"post\" action=\"{NEW_FINE_GRAINED}\">\n");
    main.push_str(&html::field("Token name", "name", query.text("name"), "maxlength=\"40\" required"));
    main.push_str(&html::field(
        "Description",
        "description",
        query.text("description"),
        "maxlength=\"1024\"",
    ));
    let mut owners = vec![(person.login.as_str(), person.login.as_str())];
    owners.extend(state.organizations.iter().map(|found| (found.login.as_str(), found.login.as_str())));
    main.push_str(&html::select("Resource owner", "target_name", &owners, query.text("target_name")));
    main.push_str(&html::select(
        "Expiration",
        "expires_in",
        EXPIRATIONS,
        query.get("expires_in").unwrap_or("30"),
    ));
    main.push_str("<fieldset><legend>Repositories</legend>\n");
    for found in state.repositories.iter().filter(|found| found.role(person.id) > host::Role::None) {
        let name = found.full_name();
        main.push_str(&html::checkbox(&name, "repository", &name, false));
    }
    main.push_str(
        "<p>Without a tick the token reaches all repositories of the resource owner.</p></fieldset>\n",
    );
    main.push_str("<fieldset><legend>Permissions</legend>\n");
    let levels = [("", "No access"), ("read", "Read"), ("write", "Read and write"), ("admin", "Admin")];
    for (name, label) in PERMISSIONS {
        main.push_str(&html::select(label, name, &levels, query.text(name)));
    }
    main.push_str("</fieldset>\n<button>Generate token</button>\n</form>");
    html::page("New fine-grained token", Some(&person), &main)
}

async fn create_fine_grained(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(LIST, None) };
    let form = Form::parse(&body);
    let mut state = host.state();
    let expires_at = expiration(&state, form.text("expires_in"));
    let mut permissions: Permissions = PERMISSIONS
        .iter()
        .filter_map(|(name, _)| Some(((*name).to_owned(), Level::parse(form.text(name))?)))
        .collect();
    permissions.entry("metadata".to_owned()).or_insert(Level::Read);
    let mut repositories: Vec<String> = form.all("repository").map(str::to_owned).collect();
    if repositories.is_empty() {
        let owned = state.repositories.iter().filter(|found| found.owner == form.text("target_name"));
        repositories = owned.map(host::Repository::full_name).collect();
    }
    let token = state.issue(Kind::FineGrained, person.id, |token| {
        token.note = form.text("name").to_owned();
        token.permissions = permissions;
        token.repositories = Some(repositories);
        token.expires_at = expires_at;
    });
    show_once(&person, &token)
}

/// The end of a token that lives so many days; anything but a number means no end.
fn expiration(state: &host::State, days: &str) -> Option<time::OffsetDateTime> {
    let days: u16 = days.parse().ok()?;
    Some(state.now() + Duration::days(i64::from(days)))
}

fn show_once(person: &Person, token: &Token) -> Response {
    let main = format!(
        "<p role=\"status\">The token is ready. Copy it now: this page shows it only once.</p>\n\
         <label for=\"new-token\">New token</label>\n\
         <input id=\"new-token\" value=\"{}\" readonly autocomplete=\"off\" spellcheck=\"false\">\n\
         <p><a href=\"{LIST}\">Your tokens</a></p>",
        html::escape(&token.secret)
    );
    html::page("Token generated", Some(person), &main)
}
