//! OAuth2 at GitHub: an OAuth app's grants, which have no end, and a GitHub App's, which are renewed.
//!
//! GitHub answers errors with status 200, and may answer with a form instead of JSON. [`TokenDoor`] turns that into
//! what RFC 6749 says before the `oauth2` crate reads it; that crate's errors quote the answer and are never shown.

use std::{pin::Pin, time::Duration};

use http::{Method as Verb, StatusCode, header::CONTENT_TYPE};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, Client, ClientId, ClientSecret, EndpointNotSet,
    EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::answer;
use crate::{
    clock::Clock,
    credential::Evidence,
    provider::{
        Grant, GrantError, OauthApp,
        http::{Gate, Question, Reply},
    },
    secret::Secret,
};

const LABEL: &str = "POST /login/oauth/access_token";

/// How long an access token of a GitHub App lives: for answers whose own number cannot be read
/// (<https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens>).
const DOCUMENTED_LIFE: Duration = Duration::from_secs(8 * 60 * 60);

/// Numbers beyond are not believed: ten years.
const LONGEST_LIFE: u64 = 10 * 366 * 24 * 60 * 60;

/// Longer than any token of today, and than those announced.
const LONGEST_TOKEN: usize = 8 * 1024;

/// The user has to authorize again: the code or the refresh token is wrong, used or too old
/// (<https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors>).
const REFUSED: [&str; 4] =
    ["bad_refresh_token", "bad_verification_code", "invalid_grant", "unverified_user_email"];

/// Only the operator can mend it.
const APP_REFUSED: [&str; 6] = [
    "application_suspended",
    "incorrect_client_credentials",
    "invalid_client",
    "redirect_uri_mismatch",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Where tokens come from.
pub(super) struct TokenDoor<'a> {
    pub gate: &'a Gate,
    pub url: Url,
    pub clock: &'a dyn Clock,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RefreshLife {
    refresh_token_expires_in: Option<u64>,
}

impl ExtraTokenFields for RefreshLife {}

type Tokens = StandardTokenResponse<RefreshLife, BasicTokenType>;
type OauthClient = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

fn client(door: &TokenDoor<'_>, app: &OauthApp) -> OauthClient {
    Client::new(ClientId::new(app.client_id.clone()))
        .set_client_secret(ClientSecret::new(app.client_secret.expose().to_owned()))
        .set_token_uri(TokenUrl::from_url(door.url.clone()))
        .set_auth_type(AuthType::RequestBody)
}

/// Exchanges a code.
pub(super) async fn exchange(
    door: &TokenDoor<'_>,
    app: &OauthApp,
    code: &Secret,
    verifier: &Secret,
    redirect_uri: &Url,
) -> Result<Grant, GrantError> {
    let client = client(door, app).set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
    let answer = client
        .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
        .request_async(door)
        .await;
    grant(answer)
}

/// Renews a grant.
pub(super) async fn refresh(
    door: &TokenDoor<'_>,
    app: &OauthApp,
    refresh: &Secret,
) -> Result<Grant, GrantError> {
    let client = client(door, app);
    let refresh = RefreshToken::new(refresh.expose().to_owned());
    let answer = client.exchange_refresh_token(&refresh).request_async(door).await;
    grant(answer)
}

fn grant(answer: Result<Tokens, RequestTokenError<Fault, BasicErrorResponse>>) -> Result<Grant, GrantError> {
    match answer {
        Ok(tokens) => Ok(Grant {
            access: Secret::new(tokens.access_token().secret().as_str()),
            refresh: tokens.refresh_token().map(|token| Secret::new(token.secret().as_str())),
            expires_in: tokens.expires_in(),
            refresh_expires_in: tokens.extra_fields().refresh_token_expires_in.map(Duration::from_secs),
        }),
        Err(RequestTokenError::ServerResponse(error)) => Err(verdict(error.error().as_ref())),
        Err(RequestTokenError::Request(Fault(error))) => Err(error),
        // What these hold is the answer itself.
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => Err(senseless()),
    }
}

fn evidence(answer: impl Into<String>) -> Evidence {
    Evidence { request: LABEL.to_owned(), answer: answer.into() }
}

fn senseless() -> GrantError {
    GrantError::Unreachable(evidence("a page that is no JSON, or holds no token"))
}

/// What an OAuth2 error means. Those that are not known to be lasting are taken for passing.
fn verdict(code: &str) -> GrantError {
    if REFUSED.contains(&code) {
        GrantError::Refused(evidence(code))
    } else if APP_REFUSED.contains(&code) {
        GrantError::AppRefused(evidence(code))
    } else {
        GrantError::Unreachable(evidence("an error without lasting meaning"))
    }
}

/// No answer that OAuth2 knows of. Holds no part of it.
#[derive(Debug, thiserror::Error)]
#[error("no answer in the sense of OAuth2")]
pub(super) struct Fault(GrantError);

impl<'c> AsyncHttpClient<'c> for TokenDoor<'_> {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Fault>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

impl TokenDoor<'_> {
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let (parts, body) = request.into_parts();
        let question = Question::new(Verb::POST, self.url.clone(), LABEL).headers(parts.headers).body(body);
        let reply = self
            .gate
            .send(question)
            .await
            .map_err(|fault| Fault(GrantError::Unreachable(fault.evidence(LABEL))))?;
        if let Some(until) = answer::limit(&reply, self.clock.now()) {
            let evidence = evidence(reply.status.as_str());
            return Err(Fault(GrantError::RateLimited { until, evidence }));
        }
        normalise(&reply).map_err(Fault)
    }
}

/// GitHub's answer as RFC 6749 would have it (sections 5.1 and 5.2).
fn normalise(reply: &Reply) -> Result<HttpResponse, GrantError> {
    // 403 and 5xx come from what stands in front of GitHub, whatever they hold.
    if !matches!(reply.status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return Err(GrantError::Unreachable(evidence(reply.status.as_str())));
    }
    let fields = fields(reply).ok_or_else(senseless)?;
    if let Some(Value::String(code)) = fields.get("error") {
        return respond(StatusCode::BAD_REQUEST, &json!({ "error": code }));
    }
    if reply.status != StatusCode::OK {
        return Err(GrantError::Unreachable(evidence(reply.status.as_str())));
    }
    let access = token(&fields, "access_token").and_then(|token| token.ok_or_else(senseless))?;
    let refresh = token(&fields, "refresh_token")?;
    let is_bearer = match fields.get("token_type") {
        Some(Value::String(kind)) => kind.eq_ignore_ascii_case("bearer"),
        // Required, but nothing else was ever seen.
        other => other.is_none_or(Value::is_null),
    };
    if !is_bearer {
        return Err(GrantError::Unreachable(evidence("a token of an unknown type")));
    }
    let life = seconds(&fields, "expires_in");
    // The pair is there: better kept with the life that is documented than lost.
    let life = match (life, refresh) {
        (Life::Unreadable, Some(_)) => Some(DOCUMENTED_LIFE.as_secs()),
        (Life::Unreadable | Life::Endless, _) => None,
        (Life::Seconds(seconds), _) => Some(seconds),
    };
    let refresh_life = match seconds(&fields, "refresh_token_expires_in") {
        Life::Seconds(seconds) => Some(seconds),
        Life::Unreadable | Life::Endless => None,
    };
    // Scopes are left out: what counts is what `GET /user` shows later.
    let answer = json!({
        "access_token": access,
        "token_type": "bearer",
        "expires_in": life,
        "refresh_token": refresh,
        "refresh_token_expires_in": refresh_life,
    });
    respond(StatusCode::OK, &answer)
}

fn respond(status: StatusCode, body: &Value) -> Result<HttpResponse, GrantError> {
    http::Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(|_| senseless())
}

/// The fields of an answer: a JSON object, or a form, which is what GitHub sends unless it listens to `Accept`.
fn fields(reply: &Reply) -> Option<Map<String, Value>> {
    if reply.content_type().as_deref() == Some("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(&reply.body);
        return Some(
            pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect(),
        );
    }
    reply.json()
}

/// A token that a header can hold; `None` if there is none.
fn token<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, GrantError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text))
            if text.len() <= LONGEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(text))
        }
        Some(_) => Err(senseless()),
    }
}

enum Life {
    Endless,
    Seconds(u64),
    Unreadable,
}

fn seconds(fields: &Map<String, Value>, name: &str) -> Life {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Life::Endless,
        Some(Value::String(text)) if text.is_empty() => return Life::Endless,
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_u64(),
    };
    number.map_or(Life::Unreadable, |number| Life::Seconds(number.min(LONGEST_LIFE)))
}
