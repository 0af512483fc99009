//! The OAuth web flow: people agree to an app, the app exchanges the code and refreshes.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use crate::auth::Presented;
use crate::dialect::{Oauth, Parameters, Refreshing, TokenError, WishError};
use crate::host::{self, App, Code, Host, Person, SharedHost};
use crate::html;
use crate::pages;
use crate::scope::Scopes;
use crate::token::Refresh;

/// The routes.
pub fn router(oauth: &Oauth) -> Router<SharedHost> {
    Router::new().route(oauth.authorize, get(authorize).post(decide)).route(oauth.token, post(access_token))
}

/// What an app asks for; unknown parameters are ignored.
#[derive(Clone, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    client_id: String,
    redirect_uri: Option<String>,
    response_type: Option<String>,
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
    asked: Scopes,
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

    fn refuse(&self, host: &Host, error: &WishError) -> Response {
        let parameters = host.dialect().wish_refusal(error);
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
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
                code.plain = self.wish.code_challenge_method.as_deref() == Some("plain");
            })
        };
        self.answer(host, &[("code", &code)])
    }
}

/// Checks everything that must be right before the person is asked.
fn check(host: &Host, wish: Wish) -> Result<Checked, Box<Response>> {
    let rules = host.dialect().oauth();
    let Some(app) = host.state().app(&wish.client_id).cloned() else {
        let sentence = "No app with this client id is registered here.";
        return Err(Box::new(html::problem(host, StatusCode::NOT_FOUND, "Unknown app", sentence)));
    };
    let registered = host.redirect_uris.iter().filter_map(|pattern| Url::parse(pattern).ok()).next();
    let wanted =
        wish.redirect_uri.as_deref().map(|uri| Url::parse(uri).ok().filter(|uri| may_return(host, uri)));
    let (redirect_uri, fits) = match (wanted, registered) {
        (Some(Some(wanted)), _) => (wanted, true),
        (None, Some(registered)) => (registered, true),
        (Some(None), Some(registered)) if rules.mismatch_returns => (registered, false),
        _ => {
            let sentence = "The redirect_uri is not registered for this app.";
            return Err(Box::new(html::problem(host, StatusCode::BAD_REQUEST, "Wrong redirect", sentence)));
        }
    };
    let asked = Scopes::parse(&wish.scope, rules.separators);
    let mut checked = Checked { wish, app, redirect_uri, asked: Scopes::default() };
    let challenge = checked.wish.code_challenge.is_some();
    let plain = rules.plain_challenge && checked.wish.code_challenge_method.as_deref() == Some("plain");
    let sha256 = checked.wish.code_challenge_method.as_deref() == Some("S256");
    let code = checked.wish.response_type.as_deref() == Some("code");
    let error = if !fits {
        WishError::RedirectMismatch
    } else if rules.response_type && !code {
        WishError::ResponseType
    } else {
        let allowed = host.dialect().ask(&host.state(), &checked.app, asked);
        match allowed {
            Err(error) => error,
            Ok(_) if challenge && !sha256 && !plain => WishError::Challenge,
            Ok(allowed) => {
                checked.asked = allowed;
                return Ok(checked);
            }
        }
    };
    if rules.refuses_on_page {
        let parameters = host.dialect().wish_refusal(&error);
        let description = parameters.iter().find(|(name, _)| *name == "error_description");
        let sentence = description.map_or("The request is not valid.", |(_, sentence)| sentence);
        return Err(Box::new(html::problem(
            host,
            StatusCode::BAD_REQUEST,
            "An error has occurred",
            sentence,
        )));
    }
    Err(Box::new(checked.refuse(host, &error)))
}

/// Whether one of the registered patterns lets the host send people there.
fn may_return(host: &Host, wanted: &Url) -> bool {
    let exact = host.dialect().oauth().exact_redirect;
    host.redirect_uris.iter().any(|pattern| matches(pattern, wanted, exact))
}

/// `http://localhost:*` fits any port and path; other patterns fit themselves, or paths at and below theirs.
fn matches(pattern: &str, wanted: &Url, exact: bool) -> bool {
    let any_port = pattern.ends_with(":*");
    if exact && !any_port {
        return Url::parse(pattern).is_ok_and(|registered| registered == *wanted);
    }
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
    let here = host.here(&uri);
    let Some(person) = pages::signed_in(&host, &headers) else {
        return pages::to_sign_in(&host, &here, checked.wish.login.as_deref());
    };
    let dialect = host.dialect();
    let prompt = checked.wish.prompt.as_deref();
    let ask_again = prompt.is_some_and(|prompt| dialect.oauth().prompts.contains(&prompt));
    let known = {
        let state = host.state();
        let grant = state.grant(person.id, &checked.app.client_id);
        grant.and_then(|grant| dialect.known(&state, &grant.scopes, &checked.asked))
    };
    match known {
        Some(granted) if !ask_again => checked.agree(&host, &person, granted),
        _ => consent(&host, &person, &checked, &here),
    }
}

fn consent(host: &Host, person: &Person, checked: &Checked, here: &str) -> Response {
    let rules = host.dialect().oauth();
    let (wish, asked) = (&checked.wish, &checked.asked);
    let mut form = format!("<form method=\"post\" action=\"{}\">\n", host.path(rules.authorize));
    let carried = [
        ("client_id", Some(&wish.client_id)),
        ("response_type", wish.response_type.as_ref()),
        ("scope", Some(&wish.scope).filter(|_| !rules.may_untick)),
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
    if !checked.app.kind.has_scopes() {
        form.push_str("<p>It acts within its installation:</p><ul>");
        for repository in &checked.app.repositories {
            form.push_str(&format!("<li>{}</li>", html::escape(repository)));
        }
        form.push_str("</ul>\n");
    } else if asked.is_empty() {
        form.push_str(&format!("<p>{}</p>\n", html::escape(rules.no_scope)));
    } else if !rules.may_untick {
        form.push_str("<p>It asks for these scopes:</p><ul>");
        asked.iter().for_each(|scope| form.push_str(&format!("<li>{}</li>", html::escape(scope))));
        form.push_str("</ul>\n");
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
        html::button(&host.path("/logout"), "Use another account", &html::hidden("return_to", here)),
    );
    html::page(host, &format!("Authorize {}", checked.app.name), Some(person), &main)
}

async fn decide(State(host): State<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let wish = Wish {
        client_id: value("client_id").unwrap_or_default(),
        redirect_uri: value("redirect_uri"),
        response_type: value("response_type"),
        scope: value("scope").unwrap_or_default(),
        state: value("state"),
        code_challenge: value("code_challenge"),
        code_challenge_method: value("code_challenge_method"),
        ..Wish::default()
    };
    let checked = match check(&host, wish) {
        Ok(checked) => checked,
        Err(refusal) => return *refusal,
    };
    let Some(person) = pages::signed_in(&host, &headers) else {
        return pages::to_sign_in(&host, &host.path("/"), None);
    };
    if value("decision").as_deref() != Some("authorize") {
        return checked.refuse(&host, &WishError::Denied);
    }
    let dialect = host.dialect();
    let granted = if dialect.oauth().may_untick {
        let granted = pairs.iter().filter(|(name, _)| name == "grant").map(|(_, scope)| scope);
        dialect.normalise(Scopes::literal(granted))
    } else {
        checked.asked.clone()
    };
    let known = host.state().grant(person.id, &checked.app.client_id).map(|grant| grant.scopes.clone());
    if let Err(error) = dialect.vet_agreement(known.as_ref(), &granted) {
        return checked.refuse(&host, &error);
    }
    checked.agree(&host, &person, granted)
}

async fn access_token(
    State(host): State<SharedHost>,
    headers: HeaderMap,
    Query(query): Query<Parameters>,
    body: Bytes,
) -> Response {
    let dialect = host.dialect();
    let parameters = parameters(dialect.oauth(), &headers, query, &body);
    let (status, reply) = match exchange(&mut host.state(), &headers, &parameters) {
        Ok(reply) => (StatusCode::OK, reply),
        Err(error) => dialect.token_refusal(&error),
    };
    dialect.token_answer(&headers, status, reply)
}

/// Parameters come in a form and, where the host takes them so, in the query or in JSON.
pub fn parameters(rules: &Oauth, headers: &HeaderMap, query: Parameters, body: &Bytes) -> Parameters {
    let mut parameters = if rules.query { query } else { Parameters::new() };
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        parameters.extend(url::form_urlencoded::parse(body).into_owned());
    } else if rules.json {
        parameters.extend(serde_json::from_slice::<Parameters>(body).unwrap_or_default());
    }
    parameters
}

/// The app that the request proves to come from.
pub fn client(state: &host::State, headers: &HeaderMap, parameters: &Parameters) -> Option<App> {
    let rules = state.dialect().oauth();
    let value = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let (client_id, secret) = match Presented::read(headers) {
        Presented::Basic { user, password } if rules.client_in_basic => (user, password),
        _ if rules.client_in_body => (value("client_id"), value("client_secret")),
        _ => return None,
    };
    state.app(&client_id).filter(|app| app.client_secret == secret).cloned()
}

fn exchange(
    state: &mut host::State,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Map<String, Value>, TokenError> {
    let app = client(state, headers, parameters).ok_or(TokenError::Client)?;
    let by_default = state.dialect().oauth().code_by_default;
    match parameters.get("grant_type").map(String::as_str) {
        None if by_default => redeem(state, &app, parameters),
        Some("authorization_code") => redeem(state, &app, parameters),
        Some("refresh_token") => refresh(state, &app, parameters),
        _ => Err(TokenError::GrantType),
    }
}

fn redeem(
    state: &mut host::State,
    app: &App,
    parameters: &Parameters,
) -> Result<Map<String, Value>, TokenError> {
    let dialect = state.dialect();
    let code = parameters.get("code").and_then(|code| state.take_code(code)).ok_or(TokenError::Code)?;
    if code.client_id != app.client_id {
        return Err(TokenError::Code);
    }
    let repeated = match parameters.get("redirect_uri") {
        Some(redirect) => same_redirect(redirect, &code.redirect_uri),
        None => !dialect.oauth().repeat_redirect,
    };
    if !repeated {
        return Err(TokenError::RedirectMismatch);
    }
    verify(&code, parameters.get("code_verifier").map(String::as_str).unwrap_or_default())?;
    dialect.vet_exchange(state, app)?;
    let mut issued = state.issue_for_app(app, code.person, code.scopes);
    if let Some(token) = state.token_by_id_mut(issued.id) {
        token.redirect_uri = Some(code.redirect_uri);
        issued = token.clone();
    }
    Ok(dialect.token_reply(state, &issued))
}

/// Whether both spellings name the same address.
pub fn same_redirect(given: &str, known: &str) -> bool {
    Url::parse(given).is_ok_and(|given| given.as_str() == known)
}

fn verify(code: &Code, verifier: &str) -> Result<(), TokenError> {
    let fits = match &code.challenge {
        None => true,
        Some(challenge) if code.plain => challenge == verifier,
        Some(challenge) => {
            URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge.trim_end_matches('=')
        }
    };
    if fits { Ok(()) } else { Err(TokenError::Verifier) }
}

/// Exchanges a refresh token. What dies with it is the dialect's word.
fn refresh(
    state: &mut host::State,
    app: &App,
    parameters: &Parameters,
) -> Result<Map<String, Value>, TokenError> {
    let dialect = state.dialect();
    let (now, refreshing) = (state.now(), dialect.refreshing(state));
    let secret = parameters.get("refresh_token").map(String::as_str).unwrap_or_default();
    let fits = |refresh: &Refresh| refresh.secret == secret && refresh.expires_at.is_none_or(|end| now < end);
    let old = state.tokens.iter_mut().find(|token| {
        token.client_id.as_deref() == Some(&app.client_id) && token.refresh.as_ref().is_some_and(fits)
    });
    let old = old.filter(|token| !token.revoked).ok_or(TokenError::Refresh)?;
    if old.refresh.as_ref().is_some_and(|refresh| refresh.spent) {
        return Err(TokenError::SpentRefresh);
    }
    dialect.vet_refresh(old, parameters)?;
    match refreshing {
        Refreshing::Pair => old.revoked = true,
        Refreshing::Refresh => old.refresh.iter_mut().for_each(|refresh| refresh.spent = true),
        Refreshing::Nothing => {}
    }
    let old = old.clone();
    let mut issued = state.issue_for_app(app, old.person, old.scopes);
    if let Some(next) = state.token_by_id_mut(issued.id) {
        next.permissions = old.permissions;
        next.repositories = old.repositories;
        next.redirect_uri = old.redirect_uri;
        issued = next.clone();
    }
    Ok(dialect.token_reply(state, &issued))
}

#[cfg(test)]
mod tests {
    use super::matches;
    use url::Url;

    #[test]
    fn a_redirect_must_lie_at_or_below_a_registered_address() {
        let fits = |pattern, wanted: &str| matches(pattern, &Url::parse(wanted).unwrap(), false);
        assert!(fits("http://localhost:*", "http://localhost:3000/callback/github"));
        assert!(fits("https://gitward.example/callback", "https://gitward.example/callback/github"));
        assert!(!fits("https://gitward.example/callback", "https://gitward.example/callback-evil"));
        assert!(!fits("https://gitward.example/callback", "https://gitward.example:8443/callback"));
        assert!(!fits("http://localhost:*", "http://localhost.evil.example/"));
        assert!(!fits("http://localhost:*", "https://localhost/"));
    }

    #[test]
    fn a_strict_host_takes_a_registered_address_as_it_is() {
        let fits = |pattern, wanted: &str| matches(pattern, &Url::parse(wanted).unwrap(), true);
        assert!(fits("http://localhost:*", "http://localhost:3000/callback/demo"));
        assert!(fits("https://gitward.example/callback", "https://gitward.example/callback"));
        assert!(!fits("https://gitward.example/callback", "https://gitward.example/callback/demo"));
    }
}
