//! OAuth2 at a provider's token endpoint (RFC 6749 §4.1.3 and §6): the same for all, but for the words in
//! [`Dialect`].
//!
//! Some answer errors with status 200, or a form instead of JSON. [`TokenDoor`] turns that into what RFC 6749 says before
//! the `oauth2` crate reads it; that crate's errors quote the answer and are never shown.

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

use super::{
    Grant, GrantError, OauthApp,
    http::{Gate, Question, Reply},
    limit::Limit,
};
use crate::{
    clock::{Clock, Timestamp},
    credential::Evidence,
    scope::ScopeSet,
    secret::Secret,
};

/// Numbers beyond are not believed: ten years.
pub const LONGEST_LIFE: u64 = 10 * 366 * 24 * 60 * 60;

/// Longer than any token of today, and than those announced.
const LONGEST_TOKEN: usize = 8 * 1024;

/// What one kind of provider says and wants at its token endpoint.
pub struct Dialect {
    /// For evidence: `POST /oauth/token`.
    pub label: &'static str,
    /// Where that is, below the provider's address.
    pub path: &'static [&'static str],
    /// Where the client's name and secret go (RFC 6749 §2.3.1): in the header, or in the body.
    pub client_auth: AuthType,
    /// How long an access token lives that can be renewed: for answers whose own number cannot be read.
    pub documented_life: Duration,
    /// The `error`s besides `invalid_grant` that mean: the user has to authorize again.
    pub refused: &'static [&'static str],
    /// Those besides RFC 6749's that only the operator can mend.
    pub app_refused: &'static [&'static str],
    /// A refresh has to name the `redirect_uri` of the authorization once more, which RFC 6749 §6 does not know.
    pub repeats_redirect: bool,
    /// Too many requests.
    pub limit: fn(&Reply, Timestamp) -> Option<Limit>,
}

/// RFC 6749 §5.2: the client or what it asks for is wrong.
const APP_REFUSED: [&str; 4] =
    ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"];

/// Where tokens come from.
pub struct TokenDoor<'a> {
    /// To its host.
    pub gate: &'a Gate,
    /// The endpoint.
    pub url: Url,
    /// Where users come back to from the authorization.
    pub redirect_uri: &'a Url,
    /// For limits that end at a moment.
    pub clock: &'a dyn Clock,
    /// How it speaks.
    pub dialect: &'static Dialect,
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
        .set_auth_type(door.dialect.client_auth.clone())
}

/// Exchanges a code.
///
/// # Errors
/// As [`GrantError`] says.
pub async fn exchange(
    door: &TokenDoor<'_>,
    app: &OauthApp,
    code: &Secret,
    verifier: &Secret,
) -> Result<Grant, GrantError> {
    let client = client(door, app).set_redirect_uri(RedirectUrl::from_url(door.redirect_uri.clone()));
    let answer = client
        .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
        .request_async(door)
        .await;
    grant(door.dialect, answer)
}

/// Renews a grant.
///
/// # Errors
/// As [`GrantError`] says.
pub async fn refresh(door: &TokenDoor<'_>, app: &OauthApp, refresh: &Secret) -> Result<Grant, GrantError> {
    let client = client(door, app);
    let refresh = RefreshToken::new(refresh.expose().to_owned());
    let mut request = client.exchange_refresh_token(&refresh);
    if door.dialect.repeats_redirect {
        request = request.add_extra_param("redirect_uri", door.redirect_uri.as_str());
    }
    let answer = request.request_async(door).await;
    grant(door.dialect, answer)
}

fn grant(
    dialect: &Dialect,
    answer: Result<Tokens, RequestTokenError<Fault, BasicErrorResponse>>,
) -> Result<Grant, GrantError> {
    match answer {
        Ok(tokens) => Ok(Grant {
            access: Secret::new(tokens.access_token().secret().as_str()),
            refresh: tokens.refresh_token().map(|token| Secret::new(token.secret().as_str())),
            expires_in: tokens.expires_in(),
            refresh_expires_in: tokens.extra_fields().refresh_token_expires_in.map(Duration::from_secs),
            scopes: tokens.scopes().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect()),
        }),
        Err(RequestTokenError::ServerResponse(error)) => Err(dialect.verdict(error.error().as_ref())),
        Err(RequestTokenError::Request(Fault(error))) => Err(error),
        // What these hold is the answer itself.
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => Err(dialect.senseless()),
    }
}

impl Dialect {
    fn evidence(&self, answer: impl Into<String>) -> Evidence {
        Evidence::new(self.label, answer)
    }

    fn senseless(&self) -> GrantError {
        GrantError::Lost(self.evidence("a page that is no JSON, or holds no token"))
    }

    /// A status that says nothing about what was asked. What stands in front of the provider may have passed it on all
    /// the same: gateways answer 502 and 504 for what was done behind them.
    fn not_answered(&self, status: StatusCode) -> GrantError {
        let evidence = self.evidence(status.as_str());
        match status.is_success() || status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            true => GrantError::Lost(evidence),
            false => GrantError::Unreachable(evidence),
        }
    }

    /// What an OAuth2 error means. Those that are not known to be lasting are taken for passing.
    fn verdict(&self, code: &str) -> GrantError {
        // Also what the operator reads: only words that are known, never the answer's own.
        if code == "invalid_grant" || self.refused.contains(&code) {
            GrantError::Refused(self.evidence(code))
        } else if APP_REFUSED.contains(&code) || self.app_refused.contains(&code) {
            GrantError::AppRefused(self.evidence(code))
        } else {
            GrantError::Unreachable(self.evidence("an error without lasting meaning"))
        }
    }

    /// The answer as RFC 6749 would have it (sections 5.1 and 5.2).
    pub(super) fn normalise(&self, reply: &Reply) -> Result<HttpResponse, GrantError> {
        // 403 and 5xx come from what stands in front of the provider, whatever they hold.
        if !matches!(reply.status, StatusCode::OK | StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
            return Err(self.not_answered(reply.status));
        }
        let Some(fields) = fields(reply) else {
            return Err(if reply.status == StatusCode::OK {
                self.senseless()
            } else {
                self.not_answered(reply.status)
            });
        };
        if let Some(Value::String(code)) = fields.get("error") {
            return self.respond(StatusCode::BAD_REQUEST, &json!({ "error": code }));
        }
        if reply.status != StatusCode::OK {
            return Err(self.not_answered(reply.status));
        }
        let token = |name| token(&fields, name).ok_or_else(|| self.senseless());
        let access = token("access_token")?.ok_or_else(|| self.senseless())?;
        let refresh = token("refresh_token")?;
        let is_bearer = match fields.get("token_type") {
            Some(Value::String(kind)) => kind.eq_ignore_ascii_case("bearer"),
            // Required, but nothing else was ever seen.
            other => other.is_none_or(Value::is_null),
        };
        if !is_bearer {
            return Err(GrantError::Lost(self.evidence("a token of an unknown type")));
        }
        let life = seconds(&fields, "expires_in");
        // The pair is there: better kept with the life that is documented than lost.
        let life = match (life, refresh) {
            (Life::Unreadable, Some(_)) => Some(self.documented_life.as_secs()),
            (Life::Unreadable | Life::Endless, _) => None,
            (Life::Seconds(seconds), _) => Some(seconds),
        };
        let refresh_life = match seconds(&fields, "refresh_token_expires_in") {
            Life::Seconds(seconds) => Some(seconds),
            Life::Unreadable | Life::Endless => None,
        };
        let answer = json!({
            "access_token": access,
            "token_type": "bearer",
            "expires_in": life,
            "refresh_token": refresh,
            "refresh_token_expires_in": refresh_life,
            "scope": scope(&fields),
        });
        self.respond(StatusCode::OK, &answer)
    }

    fn respond(&self, status: StatusCode, body: &Value) -> Result<HttpResponse, GrantError> {
        http::Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|_| self.senseless())
    }
}

/// No answer that OAuth2 knows of. Holds no part of it.
#[derive(Debug, thiserror::Error)]
#[error("no answer in the sense of OAuth2")]
pub struct Fault(GrantError);

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
        let question =
            Question::new(Verb::POST, self.url.clone(), self.dialect.label).headers(parts.headers).body(body);
        let reply = self.gate.send(question).await.map_err(|fault| {
            let evidence = fault.evidence(self.dialect.label);
            Fault(match fault.was_sent() {
                true => GrantError::Lost(evidence),
                false => GrantError::Unreachable(evidence),
            })
        })?;
        if let Some(limit) = (self.dialect.limit)(&reply, self.clock.now()) {
            let evidence = self.dialect.evidence(reply.status.as_str());
            return Err(Fault(GrantError::RateLimited { until: limit.until, evidence }));
        }
        self.dialect.normalise(&reply).map_err(Fault)
    }
}

/// The scopes that were granted, by blanks, as RFC 6749 §3.3 has it. Some write commas, and some `scopes`.
fn scope(fields: &Map<String, Value>) -> Option<String> {
    let text = ["scope", "scopes"].into_iter().find_map(|name| fields.get(name)?.as_str())?;
    let scopes = ScopeSet::parse(text);
    (!scopes.is_empty()).then(|| scopes.join(" "))
}

/// The fields of an answer: a JSON object, or a form, which is what some send unless they listen to `Accept`.
fn fields(reply: &Reply) -> Option<Map<String, Value>> {
    if reply.content_type().as_deref() == Some("application/x-www-form-urlencoded") {
        let pairs = url::form_urlencoded::parse(&reply.body);
        return Some(
            pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect(),
        );
    }
    reply.json()
}

/// A token that a header can hold; `Some(None)` if there is none, `None` if it is no such thing.
fn token<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<Option<&'a str>> {
    match fields.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) if text.is_empty() => Some(None),
        Some(Value::String(text))
            if text.len() <= LONGEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Some(Some(text))
        }
        Some(_) => None,
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
