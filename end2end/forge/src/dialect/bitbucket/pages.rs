//! The page of a repository's access tokens.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::{ACCESS_TOKENS, Bitbucket, OFFERED_TO_BOTS};
use crate::clock;
use crate::dialect::Dialect;
use crate::form::Form;
use crate::host::{Host, Person, Role, SharedHost};
use crate::html;
use crate::pages::tokens::show_once;
use crate::pages::{signed_in, to_sign_in};
use crate::scope::Scopes;

/// The routes.
pub fn router() -> Router<SharedHost> {
    Router::new()
        .route("/{owner}/{name}/admin/access-tokens", get(list).post(create))
        .route("/{owner}/{name}/admin/access-tokens/{id}/revoke", post(revoke))
}

fn path(owner: &str, name: &str) -> String {
    format!("/{owner}/{name}/admin/access-tokens")
}

/// The person, if they administer the repository.
fn administrator(host: &Host, person: Person, owner: &str, name: &str) -> Result<Person, Box<Response>> {
    let role = host.state().repository(owner, name).map(|found| found.role(person.id));
    if role == Some(Role::Admin) {
        return Ok(person);
    }
    let sentence = "You have no access tokens to look after here.";
    Err(Box::new(html::problem(host, StatusCode::NOT_FOUND, "No such repository", sentence)))
}

async fn list(
    State(host): State<SharedHost>,
    Path((owner, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(&host, &host.here(&uri), None) };
    let person = match administrator(&host, person, &owner, &name) {
        Ok(person) => person,
        Err(refusal) => return *refusal,
    };
    let here = host.path(&path(&owner, &name));
    let mut main = format!("<form method=\"post\" action=\"{}\">\n", html::escape(&here));
    main.push_str(&html::field("Name", "name", "", "required"));
    main.push_str(&html::field("Expiration date", "expires_at", "", "type=\"date\""));
    main.push_str("<fieldset><legend>Permissions</legend>\n");
    OFFERED_TO_BOTS.iter().for_each(|scope| main.push_str(&html::checkbox(scope, "scope", scope, false)));
    main.push_str("</fieldset>\n<button>Create</button>\n</form>\n<ul>\n");
    let full_name = format!("{owner}/{name}");
    let state = host.state();
    let here_only =
        |names: &Option<Vec<String>>| names.as_ref().is_some_and(|names| *names == [full_name.clone()]);
    for token in state.tokens.iter().filter(|token| {
        token.kind.name == ACCESS_TOKENS[0] && here_only(&token.repositories) && token.is_alive(state.now())
    }) {
        let button = html::button(&format!("{here}/{}/revoke", token.id), "Revoke", "");
        let (note, scopes) = (html::escape(&token.note), html::escape(&token.scopes.join(", ")));
        main.push_str(&format!("<li>{note}: {scopes} {button}</li>\n"));
    }
    main.push_str("</ul>");
    html::page(&host, &format!("Access tokens of {full_name}"), Some(&person), &main)
}

async fn create(
    State(host): State<SharedHost>,
    Path((owner, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(&host, &host.path(&path(&owner, &name)), None);
    };
    let person = match administrator(&host, person, &owner, &name) {
        Ok(person) => person,
        Err(refusal) => return *refusal,
    };
    let form = Form::parse(&body);
    let mut state = host.state();
    let Some(kind) = state.kind(ACCESS_TOKENS[0]) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let token = state.issue(kind, person.id, |token| {
        token.note = form.text("name").to_owned();
        token.scopes = Scopes::literal(form.all("scope"));
        token.repositories = Some(vec![format!("{owner}/{name}")]);
        token.expires_at = clock::parse_date(form.text("expires_at"));
    });
    Bitbucket.made(&mut state, token.id);
    show_once(&host, &person, &token)
}

async fn revoke(
    State(host): State<SharedHost>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    headers: HeaderMap,
) -> Response {
    let here = host.path(&path(&owner, &name));
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(&host, &here, None) };
    if let Err(refusal) = administrator(&host, person, &owner, &name) {
        return *refusal;
    }
    let full_name = format!("{owner}/{name}");
    if let Some(token) = host.state().token_by_id_mut(id).filter(|token| {
        token.kind.name == ACCESS_TOKENS[0] && token.selects(&full_name) && token.repositories.is_some()
    }) {
        token.revoked = true;
    }
    Redirect::to(&here).into_response()
}
