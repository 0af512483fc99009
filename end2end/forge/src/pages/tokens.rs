//! The tokens of whoever is signed in: list, make, narrow, end. Paths, fields and kinds are the dialect's.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use time::{Duration, OffsetDateTime};

use super::{signed_in, to_sign_in};
use crate::clock;
use crate::dialect::{EndField, ScopeField, TokenForm, TokenPage};
use crate::form::Form;
use crate::host::{self, Host, Person, SharedHost};
use crate::html;
use crate::scope::Scopes;
use crate::token::Token;

/// The routes.
pub fn router(page: &'static TokenPage) -> Router<SharedHost> {
    let (list_path, apps) = (page.list, page.apps);
    let mut router = Router::new()
        .route(list_path, get(list))
        .route(&format!("{list_path}/{{id}}/scopes"), post(narrow))
        .route(&format!("{list_path}/{{id}}/expire"), post(expire))
        .route(&format!("{list_path}/{{id}}/revoke"), post(revoke))
        .route(&format!("{apps}/{{client_id}}/revoke"), post(revoke_app));
    for form in page.forms {
        let create = async move |State(host): State<SharedHost>, headers: HeaderMap, body: Bytes| {
            create(&host, form, &headers, &body)
        };
        router = router.route(form.path, post(create));
        if form.path != list_path {
            let show = async move |State(host): State<SharedHost>,
                                   uri: Uri,
                                   RawQuery(query): RawQuery,
                                   headers: HeaderMap| {
                show(&host, form, &uri, query.as_deref(), &headers)
            };
            router = router.route(form.path, get(show));
        }
    }
    router
}

fn page(host: &Host) -> &'static TokenPage {
    host.dialect().token_page()
}

fn list_path(host: &Host) -> String {
    host.path(page(host).list)
}

async fn list(
    State(host): State<SharedHost>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(&host, &host.here(&uri), None) };
    let page = page(&host);
    let state = host.state();
    let mut main = String::new();
    let here = page.forms.iter().filter(|form| form.path == page.list);
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    here.for_each(|form| {
        main.push_str(&format!(
            "<h2>{}</h2>\n{}",
            html::escape(form.title),
            fields(&host, &state, form, &query)
        ));
    });
    let elsewhere = page.forms.iter().filter(|form| form.path != page.list);
    let links = elsewhere.map(|form| (form.path, form.title)).chain(page.links.iter().copied());
    let links: Vec<String> = links
        .map(|(path, words)| format!("<a href=\"{}\">{}</a>", host.path(path), html::escape(words)))
        .collect();
    if !links.is_empty() {
        main.push_str(&format!("<p>{}</p>\n", links.join(" · ")));
    }
    let mine: Vec<&Token> = state.tokens.iter().filter(|token| token.person == person.id).collect();
    if mine.is_empty() {
        main.push_str("<p>No token yet.</p>\n");
    }
    mine.iter().rev().for_each(|token| main.push_str(&article(&host, &state, token)));
    main.push_str("<h2>Apps you agreed to</h2>\n");
    let mut agreed = state.grants.iter().filter(|grant| grant.person == person.id).peekable();
    if agreed.peek().is_none() {
        main.push_str("<p>None.</p>\n");
    }
    for grant in agreed {
        let name = state.app(&grant.client_id).map_or(grant.client_id.as_str(), |app| app.name.as_str());
        let form = html::button(
            &host.path(&format!("{}/{}/revoke", page.apps, grant.client_id)),
            &format!("Revoke {name}"),
            "",
        );
        main.push_str(&format!(
            "<p>{}: {} {form}</p>\n",
            html::escape(name),
            html::escape(&grant.scopes.join(", "))
        ));
    }
    html::page(&host, "Your tokens", Some(&person), &main)
}

fn article(host: &Host, state: &host::State, token: &Token) -> String {
    let list = list_path(host);
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
        token.kind.label,
        html::escape(&rights),
    );
    if condition == "in use" {
        if token.kind.has_scopes() && !token.scopes.is_empty() {
            html.push_str(&format!("<form method=\"post\" action=\"{list}/{id}/scopes\">\n<fieldset><legend>Scopes to keep</legend>\n"));
            token.scopes.iter().for_each(|scope| html.push_str(&html::checkbox(scope, "scope", scope, true)));
            html.push_str("</fieldset>\n<button>Narrow scopes</button>\n</form>\n");
        }
        html.push_str(&html::button(&format!("{list}/{id}/expire"), "Expire now", ""));
        html.push_str(&html::button(&format!("{list}/{id}/revoke"), "Revoke", ""));
    }
    html.push_str("</article>\n");
    html
}

/// Changes a token of whoever is signed in, then shows the list again.
fn change(host: &Host, headers: &HeaderMap, id: u64, change: impl FnOnce(&mut Token)) -> Response {
    let Some(person) = signed_in(host, headers) else { return to_sign_in(host, &list_path(host), None) };
    let mut state = host.state();
    match state.token_by_id_mut(id).filter(|token| token.person == person.id) {
        Some(token) => change(token),
        None => {
            let sentence = "You have no token with this number.";
            return html::problem(host, StatusCode::NOT_FOUND, "No such token", sentence);
        }
    }
    host.dialect().made(&mut state, id);
    Redirect::to(&list_path(host)).into_response()
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
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(&host, &list_path(&host), None) };
    host.state().end_grant(person.id, &client_id);
    Redirect::to(&list_path(&host)).into_response()
}

/// The page of a form that has one to itself.
fn show(
    host: &Host,
    form: &'static TokenForm,
    uri: &Uri,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Response {
    let Some(person) = signed_in(host, headers) else { return to_sign_in(host, &host.here(uri), None) };
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let fields = fields(host, &host.state(), form, &query);
    html::page(host, form.title, Some(&person), &fields)
}

/// The form, filled in by the query where links can do so.
fn fields(host: &Host, state: &host::State, form: &TokenForm, query: &Form) -> String {
    let empty = Form::parse(b"");
    let query = if form.query.is_empty() { &empty } else { query };
    let mut html = format!("<form method=\"post\" action=\"{}\">\n", host.path(form.path));
    let (label, name) = form.name;
    html.push_str(&html::field(label, name, query.text(name), "required"));
    if let Some((label, name)) = form.description {
        html.push_str(&html::field(label, name, query.text(name), ""));
    }
    match form.end {
        EndField::None => {}
        EndField::Days(choices, usual) => {
            html.push_str(&html::select("Expiration", "expires_in", choices, usual));
        }
        EndField::Date(days) => {
            let usual = clock::date(state.now() + Duration::days(days));
            let asked = query.get("expires_at").unwrap_or(&usual);
            html.push_str(&html::field("Expiration date", "expires_at", asked, "type=\"date\""));
        }
    }
    let wanted = Scopes::parse(query.text(form.query), &[' ', ',', '+']);
    html.push_str("<fieldset><legend>Scopes</legend>\n");
    match form.scopes {
        ScopeField::Boxes(scopes) => {
            for scope in scopes {
                html.push_str(&html::checkbox(scope, "scope", scope, wanted.names(scope)));
            }
        }
        ScopeField::Choices(choices) => {
            for (label, scopes) in choices {
                let chosen = scopes.iter().rev().find(|(scope, _)| wanted.names(scope));
                html.push_str(&html::select(label, "scope", scopes, chosen.map_or("", |(scope, _)| scope)));
            }
        }
    }
    html.push_str(&format!("</fieldset>\n<button>{}</button>\n</form>\n", html::escape(form.button)));
    html
}

fn create(host: &Host, form: &'static TokenForm, headers: &HeaderMap, body: &Bytes) -> Response {
    let Some(person) = signed_in(host, headers) else { return to_sign_in(host, &host.path(form.path), None) };
    let sent = Form::parse(body);
    let mut state = host.state();
    let Some(kind) = state.kind(form.kind) else {
        let sentence = "This form makes a kind of token that the host does not know.";
        return html::problem(host, StatusCode::NOT_FOUND, "No such token", sentence);
    };
    let expires_at = match form.end {
        EndField::None => None,
        EndField::Days(..) => expiration(&state, sent.text("expires_in")),
        EndField::Date(_) => clock::parse_date(sent.text("expires_at")),
    };
    let dialect = host.dialect();
    let token = state.issue(kind, person.id, |token| {
        token.note = sent.text(form.name.1).to_owned();
        token.description =
            form.description.map(|(_, field)| sent.text(field).to_owned()).unwrap_or_default();
        token.scopes = dialect.normalise(Scopes::literal(sent.all("scope")));
        token.expires_at = expires_at;
    });
    dialect.made(&mut state, token.id);
    show_once(host, &person, &token)
}

/// The end of a token that lives so many days; anything but a number means no end.
pub fn expiration(state: &host::State, days: &str) -> Option<OffsetDateTime> {
    let days: u16 = days.parse().ok()?;
    Some(state.now() + Duration::days(i64::from(days)))
}

/// The page after a token was made, the only one that shows its secret.
pub fn show_once(host: &Host, person: &Person, token: &Token) -> Response {
    let main = format!(
        "<p role=\"status\">The token is ready. Copy it now: this page shows it only once.</p>\n\
         <label for=\"new-token\">New token</label>\n\
         <input id=\"new-token\" value=\"{}\" readonly autocomplete=\"off\" spellcheck=\"false\">\n\
         <p><a href=\"{}\">Your tokens</a></p>",
        html::escape(&token.secret),
        list_path(host)
    );
    html::page(host, "Token generated", Some(person), &main)
}
