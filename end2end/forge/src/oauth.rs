//! The OAuth web flow: people agree to an app, the app exchanges the code and refreshes.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::auth::Presented;
use crate::host::{self, APP_REFRESH_LIFE, APP_TOKEN_LIFE, App, AppKind, Host, Person, SharedHost};
use crate::html;
use crate::pages;
use crate::scope::Scopes;
use crate::token::Token;

/// Where the real host explains errors.
const TROUBLESHOOTING: &str = "https://docs.github.com/apps/managing-oauth-apps";

/// The routes.
pub fn router() -> Router<SharedHost> {
    Router::new()
        .route("/login/oauth/authorize", get(authorize).post(decide))
        .route("/login/oauth/access_token", post(access_token))
}

/// What an app asks for; unknown parameters are ignored.
#[derive(Clone, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    client_id: String,
    redirect_uri: Option<String>,
    #[serde(default)]
    scope: String,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    login: Option<String>,
    prompt: Option<String>,
}

/// A wish that the host can act on: who asks, and where the answer goes.
struct Checked {
    wish: Wish,
    app: App,
    redirect_uri: Url,
}

impl Checked {
    /// Sends the person back to the app with these parameters and the state.
    fn answer(&self, host: &Host, parameters: &[(&str, &str)]) -> Response {
        let mut target = self.redirect_uri.clone();
        target.query_pairs_mut().extend_pairs(parameters);
        if let Some(state) = &self.wish.state {
            target.query_pairs_mut().append_pair("state", state);
        }
        if let Some(issuer) = &host.state().settings.iss {
            target.query_pairs_mut().append_pair("iss", issuer);
        }
        Redirect::to(target.as_str()).into_response()
    }

    fn refuse(&self, host: &Host, error: &str, description: &str, anchor: &str) -> Response {
        let explained = format!("{TROUBLESHOOTING}/troubleshooting-authorization-request-errors/#{anchor}");
        let parameters = [("error", error), ("error_description", description), ("error_uri", &explained)];
        self.answer(host, &parameters)
    }

    fn agree(&self, host: &Host, person: &Person, scopes: Scopes) -> Response {
        let code = {
            let mut state = host.state();
            state.remember_grant(person.id, &self.app.client_id, &scopes);
            state.issue_code(|code| {
                code.client_id = self.app.client_id.clone();
                code.person = person.id;
                code.scopes = scopes;
                code.redirect_uri = self.redirect_uri.to_string();
                code.challenge = self.wish.code_challenge.clone();
            })
        };
        self.answer(host, &[("code", &code)])
    }
}

/// Checks everything that must be right before the person is asked.
fn check(host: &Host, wish: Wish) -> Result<Checked, Box<Response>> {
    let Some(app) = host.state().app(&wish.client_id).cloned() else {
        let sentence = "No app with this client id is registered here.";
        return Err(Box::new(html::problem(StatusCode::NOT_FOUND, "Unknown app", sentence)));
    };
    let registered = host.redirect_uris.iter().filter_map(|pattern| Url::parse(pattern).ok()).next();
    let wanted =
        wish.redirect_uri.as_deref().map(|uri| Url::parse(uri).ok().filter(|uri| may_return(host, uri)));
    let (redirect_uri, fits) = match (wanted, registered) {
        (Some(Some(wanted)), _) => (wanted, true),
        (None, Some(registered)) => (registered, true),
        (Some(None), Some(registered)) => (registered, false),
        (_, None) => {
            let sentence = "The redirect_uri is not registered for this app.";
            return Err(Box::new(html::problem(StatusCode::BAD_REQUEST, "Wrong redirect", sentence)));
        }
    };
    let checked = Checked { wish, app, redirect_uri };
    if !fits {
        let description = "The redirect_uri MUST match the registered callback URL for this application.";
        let anchor = "redirect-uri-mismatch";
        return Err(Box::new(checked.refuse(host, "redirect_uri_mismatch", description, anchor)));
    }
    let suspended = host.state().settings.app_suspended;
    if suspended {
        let description = "Your application has been suspended. Contact support.";
        let anchor = "application-suspended";
        return Err(Box::new(checked.refuse(host, "application_suspended", description, anchor)));
    }
    if checked.wish.code_challenge.is_some() && checked.wish.code_challenge_method.as_deref() != Some("S256")
    {
        let description = "The code_challenge_method must be S256.";
        return Err(Box::new(checked.refuse(host, "invalid_request", description, "pkce")));
    }
    Ok(checked)
}

/// Whether one of the registered patterns lets the host send people there.
fn may_return(host: &Host, wanted: &Url) -> bool {
    host.redirect_uris.iter().any(|pattern| matches(pattern, wanted))
}

/// `http://localhost:*` fits any port and path; other patterns fit paths at and below theirs.
fn matches(pattern: &str, wanted: &Url) -> bool {
    let any_port = pattern.ends_with(":*");
    let Ok(registered) = Url::parse(pattern.trim_end_matches(":*")) else { return false };
    let loopback = matches!(registered.host_str(), Some("127.0.0.1" | "[::1]"));
    let below = registered.path().trim_end_matches('/');
    let rest = wanted.path().strip_prefix(below);
    registered.scheme() == wanted.scheme()
        && registered.host() == wanted.host()
        && (any_port || loopback || registered.port_or_known_default() == wanted.port_or_known_default())
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && wanted.username().is_empty()
        && wanted.fragment().is_none()
}

async fn authorize(
    State(host): State<SharedHost>,
    uri: Uri,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Response {
    let checked = match check(&host, wish) {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let Some(person) = pages::signed_in(&host, &headers) else {
        let here = uri.path_and_query().map_or("/", |here| here.as_str());
        return pages::to_sign_in(here, checked.wish.login.as_deref());
    };
    let known = host.state().grant(person.id, &checked.app.client_id).map(|grant| grant.scopes.clone());
    let asked = Scopes::normalised(Scopes::parse(&checked.wish.scope).iter());
    let ask_again = matches!(checked.wish.prompt.as_deref(), Some("consent" | "select_account"));
    match known {
        // An app that asks for nothing gets what it got before.
        Some(known) if !ask_again && asked.is_empty() => checked.agree(&host, &person, known),
        Some(known) if !ask_again && known.cover(&asked) => checked.agree(&host, &person, asked),
        _ => consent(&person, &checked, &asked, uri.path_and_query().map_or("/", |here| here.as_str())),
    }
}

fn consent(person: &Person, checked: &Checked, asked: &Scopes, here: &str) -> Response {
    let wish = &checked.wish;
    let mut form = String::from("<form method=\"post\" action=\"/login/oauth/authorize\">\n");
    let carried = [
        ("client_id", Some(&wish.client_id)),
        ("redirect_uri", wish.redirect_uri.as_ref()),
        ("state", wish.state.as_ref()),
        ("code_challenge", wish.code_challenge.as_ref()),
        ("code_challenge_method", wish.code_challenge_method.as_ref()),
    ];
    for (name, value) in carried {
        if let Some(value) = value {
            form.push_str(&html::hidden(name, value));
        }
    }
    if checked.app.kind == AppKind::GithubApp {
        form.push_str("<p>It acts within its installation:</p><ul>");
        for repository in &checked.app.repositories {
            form.push_str(&format!("<li>{}</li>", html::escape(repository)));
        }
        form.push_str("</ul>\n");
    } else if asked.is_empty() {
        form.push_str("<p>It asks for no scope: it only learns who you are.</p>\n");
    } else {
        form.push_str("<fieldset><legend>Scopes to grant</legend>\n");
        asked.iter().for_each(|scope| form.push_str(&html::checkbox(scope, "grant", scope, true)));
        form.push_str("</fieldset>\n");
    }
    form.push_str(
        "<button name=\"decision\" value=\"authorize\">Authorize</button>\
         <button name=\"decision\" value=\"cancel\">Cancel</button>\n</form>\n",
    );
    let main = format!(
        "<p><b>{}</b> wants to act for <b>{}</b> and then sends you back to {}.</p>\n{form}\
         {}",
        html::escape(&checked.app.name),
        html::escape(&person.login),
        html::escape(&checked.redirect_uri.origin().ascii_serialization()),
        html::button("/logout", "Use another account", &html::hidden("return_to", here)),
    );
    html::page(&format!("Authorize {}", checked.app.name), Some(person), &main)
}

async fn decide(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let wish = Wish {
        client_id: value("client_id").unwrap_or_default(),
        redirect_uri: value("redirect_uri"),
        state: value("state"),
        code_challenge: value("code_challenge"),
        code_challenge_method: value("code_challenge_method"),
        ..Wish::default()
    };
    let checked = match check(&host, wish) {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let Some(person) = pages::signed_in(&host, &headers) else { return pages::to_sign_in("/", None) };
    if value("decision").as_deref() != Some("authorize") {
        let description = "The user has denied your application access.";
        return checked.refuse(&host, "access_denied", description, "access-denied");
    }
    let granted = pairs.iter().filter(|(name, _)| name == "grant").map(|(_, scope)| scope);
    checked.agree(&host, &person, Scopes::normalised(granted))
}

/// What the token endpoint refuses, always with status 200.
#[derive(Clone, Copy)]
enum TokenError {
    IncorrectClient,
    BadCode,
    RedirectMismatch,
    UnverifiedEmail,
    BadRefreshToken,
    UnsupportedGrant,
}

impl TokenError {
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::IncorrectClient => {
                ("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
            }
            Self::BadCode => ("bad_verification_code", "The code passed is incorrect or expired."),
            Self::RedirectMismatch => (
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            ),
            Self::UnverifiedEmail => {
                ("unverified_user_email", "The user must have a verified primary email.")
            }
            Self::BadRefreshToken => {
                ("bad_refresh_token", "The refresh token passed is incorrect or expired.")
            }
            Self::UnsupportedGrant => ("unsupported_grant_type", "The grant_type is not supported."),
        }
    }

    fn body(self) -> Map<String, Value> {
        let (error, description) = self.parts();
        let anchor = error.replace('_', "-");
        let explained =
            format!("{TROUBLESHOOTING}/troubleshooting-oauth-app-access-token-request-errors/#{anchor}");
        object(json!({ "error": error, "error_description": description, "error_uri": explained }))
    }
}

async fn access_token(
    State(host): State<SharedHost>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let parameters = parameters(&headers, query, &body);
    let reply = exchange(&mut host.state(), &headers, &parameters).unwrap_or_else(TokenError::body);
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        return Json(reply).into_response();
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in &reply {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        form.append_pair(name, &text);
    }
    ([(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")], form.finish()).into_response()
}

/// Parameters may come in the query, in a form or in JSON.
fn parameters(
    headers: &HeaderMap,
    mut query: BTreeMap<String, String>,
    body: &Bytes,
) -> BTreeMap<String, String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        query.extend(serde_json::from_slice::<BTreeMap<String, String>>(body).unwrap_or_default());
    } else {
        query.extend(url::form_urlencoded::parse(body).into_owned());
    }
    query
}

fn exchange(
    state: &mut host::State,
    headers: &HeaderMap,
    parameters: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, TokenError> {
    let value = |name: &str| parameters.get(name).map(String::as_str);
    let (client_id, secret) = match Presented::read(headers) {
        Presented::Basic { user, password } => (user, password),
        _ => (
            value("client_id").unwrap_or_default().to_owned(),
            value("client_secret").unwrap_or_default().to_owned(),
        ),
    };
    let app = state.app(&client_id).filter(|app| app.client_secret == secret).cloned();
    let app = app.ok_or(TokenError::IncorrectClient)?;
    match value("grant_type") {
        None | Some("authorization_code") => redeem(state, &app, parameters),
        Some("refresh_token") => refresh(state, &app, value("refresh_token").unwrap_or_default()),
        Some(_) => Err(TokenError::UnsupportedGrant),
    }
}

fn redeem(
    state: &mut host::State,
    app: &App,
    parameters: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, TokenError> {
    let code = parameters.get("code").and_then(|code| state.take_code(code)).ok_or(TokenError::BadCode)?;
    if code.client_id != app.client_id {
        return Err(TokenError::BadCode);
    }
    if let Some(wanted) = parameters.get("redirect_uri")
        && Url::parse(wanted).ok().map(|wanted| wanted.to_string()).as_ref() != Some(&code.redirect_uri)
    {
        return Err(TokenError::RedirectMismatch);
    }
    if let Some(challenge) = &code.challenge {
        let verifier = parameters.get("code_verifier").map(String::as_str).unwrap_or_default();
        if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != challenge.trim_end_matches('=') {
            return Err(TokenError::BadCode);
        }
    }
    if state.settings.unverified_email {
        return Err(TokenError::UnverifiedEmail);
    }
    Ok(pair(&state.issue_for_app(app, code.person, code.scopes)))
}

/// Exchanges a refresh token once: the old pair is dead afterwards.
fn refresh(state: &mut host::State, app: &App, secret: &str) -> Result<Map<String, Value>, TokenError> {
    let now = state.now();
    let old = state.tokens.iter_mut().find(|token| {
        let fits = |refresh: &crate::token::Refresh| refresh.secret == secret && now < refresh.expires_at;
        !token.revoked
            && token.client_id.as_deref() == Some(&app.client_id)
            && token.refresh.as_ref().is_some_and(fits)
    });
    let old = old.ok_or(TokenError::BadRefreshToken)?;
    old.revoked = true;
    let (person, scopes, permissions, repositories) =
        (old.person, old.scopes.clone(), old.permissions.clone(), old.repositories.clone());
    let issued = state.issue_for_app(app, person, scopes);
    if let Some(next) = state.token_by_id_mut(issued.id) {
        next.permissions = permissions;
        next.repositories = repositories;
    }
    Ok(pair(&issued))
}

fn pair(token: &Token) -> Map<String, Value> {
    let mut reply = object(json!({
        "access_token": token.secret,
        "scope": token.scopes.join(","),
        "token_type": "bearer",
    }));
    if let Some(refresh) = &token.refresh {
        reply.insert("expires_in".to_owned(), json!(APP_TOKEN_LIFE.whole_seconds()));
        reply.insert("refresh_token".to_owned(), json!(refresh.secret));
        reply.insert("refresh_token_expires_in".to_owned(), json!(APP_REFRESH_LIFE.whole_seconds()));
    }
    reply
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use url::Url;

    #[test]
    fn a_redirect_must_lie_at_or_below_a_registered_address() {
        let fits = |pattern, wanted: &str| matches(pattern, &Url::parse(wanted).unwrap());
        assert!(fits("http://localhost:*", "http://localhost:3000/callback/github"));
        assert!(fits("https://gitward.example/callback", "https://gitward.example/callback/github"));
        assert!(!fits("https://gitward.example/callback", "https://gitward.example/callback-evil"));
        assert!(!fits("https://gitward.example/callback", "https://gitward.example:8443/callback"));
        assert!(!fits("http://localhost:*", "http://localhost.evil.example/"));
        assert!(!fits("http://localhost:*", "https://localhost/"));
    }
}
