//! Pages that only this dialect has: fine-grained tokens, and single sign-on.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::{EXPIRATIONS, FINE_GRAINED, Links, SsoRequest, api};
use crate::form::Form;
use crate::host::{self, SharedHost};
use crate::html;
use crate::pages::tokens::{expiration, show_once};
use crate::pages::{signed_in, to_sign_in};
use crate::token::{Level, Permissions};

/// Where fine-grained tokens are made.
pub const NEW_FINE_GRAINED: &str = "/settings/personal-access-tokens/new";

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

/// The routes; the enterprise server has no page for fine-grained tokens that a link can fill in.
pub fn router(enterprise: bool) -> Router<SharedHost> {
    let router =
        Router::new().route("/orgs/{organization}/sso", get(single_sign_on_page).post(single_sign_on));
    if enterprise {
        return router;
    }
    router.route(NEW_FINE_GRAINED, get(new_fine_grained).post(create_fine_grained))
}

async fn new_fine_grained(
    State(host): State<SharedHost>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(&host, &host.here(&uri), None);
    };
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let state = host.state();
    let mut main = format!("<form method=\"post\" action=\"{}\">\n", host.path(NEW_FINE_GRAINED));
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
    html::page(&host, "New fine-grained token", Some(&person), &main)
}

async fn create_fine_grained(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(&host, &host.path(NEW_FINE_GRAINED), None);
    };
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
    let Some(kind) = state.kind(FINE_GRAINED) else { return api::not_found(&host) };
    let token = state.issue(kind, person.id, |token| {
        token.note = form.text("name").to_owned();
        token.permissions = permissions;
        token.repositories = Some(repositories);
        token.expires_at = expires_at;
    });
    show_once(&host, &person, &token)
}

async fn single_sign_on_page(
    State(host): State<SharedHost>,
    Path(organization): Path<String>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Some(person) = signed_in(&host, &headers) else {
        return to_sign_in(&host, &host.here(&uri), None);
    };
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let key = html::hidden("authorization_request", query.text("authorization_request"));
    let name = html::escape(&organization);
    let form = html::button(&host.path(&format!("/orgs/{organization}/sso")), "Authorize token", &key);
    let main =
        format!("<p>The organization <b>{name}</b> lets a token in after single sign-on only.</p>\n{form}");
    html::page(&host, &format!("Single sign-on for {organization}"), Some(&person), &main)
}

async fn single_sign_on(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(person) = signed_in(&host, &headers) else { return to_sign_in(&host, &host.path("/"), None) };
    let form = Form::parse(&body);
    let mut state = host.state();
    let now = state.now();
    let key = form.text("authorization_request");
    let token = state.own::<Links>().and_then(|Links(links)| {
        let fits = |link: &&SsoRequest| link.key == key && now < link.expires_at;
        links.iter().find(fits).map(|link| link.token)
    });
    let token = token.and_then(|id| state.token_by_id_mut(id)).filter(|token| token.person == person.id);
    let Some(token) = token else {
        let sentence =
            "This link is too old or belongs to somebody else. Ask for a new one by using the token.";
        return html::problem(&host, StatusCode::NOT_FOUND, "Link does not work", sentence);
    };
    token.own.set("sso", json!(true));
    html::page(
        &host,
        "Token authorized",
        Some(&person),
        "<p role=\"status\">The token may now enter the organization.</p>",
    )
}
