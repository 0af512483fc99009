//! What differs between hosts. Everything else is written once, in the other rooms.
//!
//! To add a dialect: write `dialect/NAME.rs` with a type that implements [`Dialect`], then add its module, its [`Shape`]
//! and its line in [`Shape::dialect`] below. No other file knows a provider by name.

mod bitbucket;
mod bitbucket_data_center;
mod gitea;
mod github;
mod gitlab;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use time::Duration;

use crate::auth::Presented;
use crate::fault::Room;
use crate::host::{App, Host, Need, Refusal, Repository, SharedHost, State};
use crate::own::Member;
use crate::scope::Scopes;
use crate::token::{Kind, Token};

/// Which product the host behaves like.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// The public host: REST at the root.
    Github,
    /// GitHub Enterprise Server: REST under `/api/v3`.
    Ghes,
    /// GitLab, as gitlab.com is set up.
    Gitlab,
    /// Gitea, and Forgejo, which has grown out of it.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center.
    BitbucketDataCenter,
}

impl Shape {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it speaks.
    pub fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Github => &github::PUBLIC,
            Self::Ghes => &github::ENTERPRISE,
            Self::Gitlab => &gitlab::GITLAB,
            Self::Gitea => &gitea::GITEA,
            Self::Bitbucket => &bitbucket::BITBUCKET,
            Self::BitbucketDataCenter => &bitbucket_data_center::BITBUCKET_DATA_CENTER,
        }
    }
}

/// Everything in which a host differs from others. Paths are below the host's own path (`Host::context`).
pub trait Dialect: Send + Sync {
    /// The path below which the product usually lives: empty, or like `/path`.
    fn context_path(&self) -> &'static str {
        ""
    }

    /// Changes and adds to the seeds that all dialects share.
    fn seed(&self, state: &mut State) {
        let _ = state;
    }

    /// Settings of the control room that only this dialect has.
    fn settings(&self) -> &'static [Member] {
        &[]
    }

    /// For how long requests are counted until the limit starts anew.
    fn rate_window(&self) -> Duration {
        Duration::hours(1)
    }

    // --- tokens

    /// The kinds of tokens: the ordinary one that people make first. Of those for apps, the first is the seeded app's.
    fn kinds(&self) -> &'static [Kind];

    /// Members of tokens in the control room that only this dialect has.
    fn token_members(&self) -> &'static [Member] {
        &[]
    }

    /// What a new token is before anybody says anything about it.
    fn begin(&self, token: &mut Token) {
        let _ = token;
    }

    /// A person or the control room has made or changed this token: the dialect completes it.
    fn made(&self, state: &mut State, id: u64) {
        let _ = (state, id);
    }

    /// An app was given this token.
    fn issued(&self, state: &mut State, token: &Token) {
        let _ = (state, token);
    }

    /// Everything below a scope.
    fn contained(&self, scope: &str) -> &'static [&'static str] {
        let _ = scope;
        &[]
    }

    /// The scopes as the host keeps them when these are granted.
    fn normalise(&self, scopes: Scopes) -> Scopes {
        scopes
    }

    /// Whether the token, whatever its person's role, reaches so far. The host checks the role itself.
    fn allow(&self, state: &State, token: &Token, repository: &Repository, need: Need)
    -> Result<(), Refusal>;

    /// How secrets begin: a user name in Basic that begins so is not shown in the list of requests.
    fn secret_prefixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// The page where people make tokens and look after them.
    fn token_page(&self) -> &'static TokenPage;

    // --- OAuth

    /// The rules of its web flow.
    fn oauth(&self) -> &'static Oauth;

    /// What an app gets that asks for these scopes, before the person says anything.
    fn ask(&self, state: &State, app: &App, asked: Scopes) -> Result<Scopes, WishError> {
        let _ = (state, app);
        Ok(self.normalise(asked))
    }

    /// What the app gets without the person being asked, who agreed to the known scopes before.
    fn known(&self, state: &State, known: &Scopes, asked: &Scopes) -> Option<Scopes> {
        let _ = state;
        known.cover(asked, |scope| self.contained(scope)).then(|| asked.clone())
    }

    /// Whether a person who agreed to the known scopes may agree to these.
    fn vet_agreement(&self, known: Option<&Scopes>, granted: &Scopes) -> Result<(), WishError> {
        let _ = (known, granted);
        Ok(())
    }

    /// The parameters with which the person is sent back: `error`, `error_description`, and what else there is.
    fn wish_refusal(&self, error: &WishError) -> Vec<(&'static str, String)> {
        let (error, description) = match error {
            WishError::Denied => ("access_denied", "The resource owner denied the request."),
            WishError::RedirectMismatch => ("invalid_request", "The redirect URI is not registered."),
            WishError::Challenge => ("invalid_request", "The code challenge method must be S256."),
            WishError::ResponseType => ("unsupported_response_type", "The response type must be code."),
            WishError::Scope => ("invalid_scope", "The requested scope is invalid, unknown, or malformed."),
            WishError::Own(error, description) => (*error, *description),
        };
        vec![("error", error.to_owned()), ("error_description", description.to_owned())]
    }

    /// Whether the host is willing to exchange this app's code now.
    fn vet_exchange(&self, state: &State, app: &App) -> Result<(), TokenError> {
        let _ = (state, app);
        Ok(())
    }

    /// Whether a refresh with these parameters is one for this token.
    fn vet_refresh(&self, token: &Token, parameters: &Parameters) -> Result<(), TokenError> {
        let _ = (token, parameters);
        Ok(())
    }

    /// What a refresh puts an end to.
    fn refreshing(&self, state: &State) -> Refreshing {
        let _ = state;
        Refreshing::Pair
    }

    /// The members of a successful reply of the token endpoint.
    fn token_reply(&self, state: &State, token: &Token) -> Map<String, Value>;

    /// Status and members of a refusal of the token endpoint.
    fn token_refusal(&self, error: &TokenError) -> (StatusCode, Map<String, Value>) {
        let (status, error, description) = match error {
            TokenError::Client => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed.")
            }
            TokenError::Code | TokenError::Verifier | TokenError::RedirectMismatch => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "The authorization code is not valid.")
            }
            TokenError::Refresh | TokenError::SpentRefresh => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "The refresh token is not valid.")
            }
            TokenError::GrantType => {
                (StatusCode::BAD_REQUEST, "unsupported_grant_type", "The grant type is not supported.")
            }
            TokenError::Own(error, description) => (StatusCode::BAD_REQUEST, *error, *description),
        };
        (status, object(json!({ "error": error, "error_description": description })))
    }

    /// An answer of the token endpoint with these members.
    fn token_answer(&self, headers: &HeaderMap, status: StatusCode, body: Map<String, Value>) -> Response {
        let _ = headers;
        let cache = [(axum::http::header::CACHE_CONTROL, "no-store")];
        (status, cache, axum::Json(body)).into_response()
    }

    // --- what machines ask

    /// REST, and whatever else only this dialect has: introspection, revocation, pages.
    fn routes(&self, host: &SharedHost) -> Router<SharedHost>;

    /// The answer to a path that does not exist, where it is not a page.
    fn not_found(&self, host: &Host, path: &str) -> Option<Response> {
        let _ = (host, path);
        None
    }

    /// Where a fault may strike: `User` for a door that says whose a token is, `Repos` for repositories, `Any` for other
    /// calls, `None` for pages. The host knows Git and the token endpoint itself.
    fn room(&self, method: &Method, path: &str) -> Option<Room>;

    /// How the control room calls the door that says whose a token is.
    fn identity_door(&self) -> &'static str;

    /// The credential of a request.
    fn presented(&self, headers: &HeaderMap) -> Presented {
        Presented::read(headers)
    }

    /// Headers besides the usual ones that carry credentials, in lower case.
    fn secret_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// The answer when a limit was reached.
    fn limited(&self, host: &Host, limit: &Limit) -> Response;

    /// Status and error of the simulated OAuth error, unless the fault says otherwise.
    fn oauth_fault(&self) -> (StatusCode, &'static str) {
        (StatusCode::BAD_REQUEST, "invalid_grant")
    }

    // --- Git

    /// What stands before `/owner/name.git`.
    fn git_root(&self) -> &'static str {
        ""
    }

    /// Whose token a request of Git shows: none, a working one, or the refusal of what is no good.
    fn git_caller(&self, host: &Host, headers: &HeaderMap) -> Result<Option<Token>, Box<Response>>;

    /// What Git is told when a repository does not open.
    fn git_refusal(&self, host: &Host, denied: &Denied) -> Response;
}

/// The rules of a web flow.
pub struct Oauth {
    /// The path where people agree.
    pub authorize: &'static str,
    /// The path where codes and refresh tokens are exchanged.
    pub token: &'static str,
    /// How long a code works.
    pub code_life: Duration,
    /// A new code.
    pub mint_code: fn() -> String,
    /// Whether apps have to send `response_type=code`.
    pub response_type: bool,
    /// What separates scopes where apps ask for them.
    pub separators: &'static [char],
    /// Values of `prompt` that have the person asked again.
    pub prompts: &'static [&'static str],
    /// Whether people may grant fewer scopes than asked for.
    pub may_untick: bool,
    /// What the page says when no scope is asked for.
    pub no_scope: &'static str,
    /// Whether a redirect must be registered as it is; otherwise it may lie below a registered one.
    pub exact_redirect: bool,
    /// Whether a person with a wrong redirect is sent to the registered one; otherwise a page says so.
    pub mismatch_returns: bool,
    /// Whether a page says what is wrong with a wish; otherwise the person is sent back with the error.
    pub refuses_on_page: bool,
    /// Whether the exchange of a code has to repeat the redirect.
    pub repeat_redirect: bool,
    /// Whether `code_challenge_method=plain` is taken as well.
    pub plain_challenge: bool,
    /// Whether the token endpoint takes client id and secret in `Authorization: Basic`.
    pub client_in_basic: bool,
    /// Whether it takes them as parameters.
    pub client_in_body: bool,
    /// Whether it takes parameters in the query.
    pub query: bool,
    /// Whether it takes parameters as JSON.
    pub json: bool,
    /// Whether a missing `grant_type` means a code.
    pub code_by_default: bool,
}

impl Oauth {
    /// As the standard has it; dialects say what differs.
    pub const STANDARD: Self = Self {
        authorize: "/oauth/authorize",
        token: "/oauth/token",
        code_life: Duration::minutes(10),
        mint_code: || crate::random::hex::<32>(),
        response_type: true,
        separators: &[' '],
        prompts: &[],
        may_untick: false,
        no_scope: "It asks for no scope.",
        exact_redirect: true,
        mismatch_returns: false,
        refuses_on_page: false,
        repeat_redirect: true,
        plain_challenge: false,
        client_in_basic: true,
        client_in_body: true,
        query: false,
        json: false,
        code_by_default: false,
    };
}

/// What the token endpoint was sent.
pub type Parameters = std::collections::BTreeMap<String, String>;

/// Why a person is sent back without a code.
pub enum WishError {
    /// The person said no.
    Denied,
    /// The redirect is not registered; they are sent to the registered one.
    RedirectMismatch,
    /// The challenge is of a sort that the host does not take.
    Challenge,
    /// Something else than a code was asked for.
    ResponseType,
    /// A scope that the host or the registered app does not know.
    Scope,
    /// What only this dialect has: error and description.
    Own(&'static str, &'static str),
}

/// What the token endpoint refuses.
#[derive(Clone, Copy)]
pub enum TokenError {
    /// The client id or the secret.
    Client,
    /// A code that is unknown, used, too old or another app's.
    Code,
    /// A verifier that does not fit the challenge.
    Verifier,
    /// Another redirect than the person was sent to.
    RedirectMismatch,
    /// A refresh token that is unknown, too old, revoked or another app's.
    Refresh,
    /// A refresh token that has bought its pair.
    SpentRefresh,
    /// A grant type that the host does not know.
    GrantType,
    /// What only this dialect has: error and description.
    Own(&'static str, &'static str),
}

/// What a refresh puts an end to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refreshing {
    /// The old access token and the old refresh token.
    Pair,
    /// The old refresh token; the access token lives to its end.
    Refresh,
    /// Nothing: the same refresh token buys again and again.
    Nothing,
}

/// A limit that was reached.
pub struct Limit {
    /// The status that a fault asks for.
    pub status: Option<StatusCode>,
    /// Whether too many requests came at once, rather than too many in a window.
    pub burst: bool,
    /// Whose limit, 0 standing for nobody.
    pub person: u64,
    /// Requests per window.
    pub limit: u64,
    /// When the window ends, in seconds since 1970.
    pub reset: i64,
    /// The seconds until then.
    pub retry_after: i64,
}

/// A repository that does not open for Git.
pub struct Denied<'a> {
    /// Whoever asked, if anybody.
    pub token: Option<&'a Token>,
    /// The name of the token's person.
    pub login: &'a str,
    /// Why not.
    pub refusal: Refusal,
    /// What was asked for.
    pub need: Need,
    /// The repository's owner.
    pub owner: &'a str,
    /// The repository's name.
    pub name: &'a str,
}

/// Where people make tokens and look after them.
pub struct TokenPage {
    /// The path of the list.
    pub list: &'static str,
    /// The path of the apps that a person agreed to.
    pub apps: &'static str,
    /// The forms that make tokens. One whose path is the list's is shown there.
    pub forms: &'static [TokenForm],
    /// Other forms, which the dialect makes itself: path and words of the link.
    pub links: &'static [(&'static str, &'static str)],
}

/// A form that makes a token with scopes.
pub struct TokenForm {
    /// Its path: `GET` shows it, filled in by the query, `POST` makes the token.
    pub path: &'static str,
    /// Its title, and the words of the link to it.
    pub title: &'static str,
    /// The name of the kind that it makes.
    pub kind: &'static str,
    /// Label and field of the token's name.
    pub name: (&'static str, &'static str),
    /// Label and field of the description, if there is one.
    pub description: Option<(&'static str, &'static str)>,
    /// How long the token lives.
    pub end: EndField,
    /// The parameter that ticks scopes in advance; empty where no link can fill in the form.
    pub query: &'static str,
    /// What can be granted.
    pub scopes: ScopeField,
    /// What the button says.
    pub button: &'static str,
}

/// How a form asks for the end of a token.
pub enum EndField {
    /// Not at all: the token does not expire.
    None,
    /// A choice of days in the field `expires_in`, and the usual one. Anything but a number means never.
    Days(&'static [(&'static str, &'static str)], &'static str),
    /// A date in the field `expires_at`; at first so many days ahead.
    Date(i64),
}

/// How a form asks for scopes, always in the field `scope`.
pub enum ScopeField {
    /// A box for each.
    Boxes(&'static [&'static str]),
    /// A choice for each: its label, and scopes with their labels. An empty scope grants nothing.
    Choices(&'static [(&'static str, &'static [(&'static str, &'static str)])]),
}

/// The members of a JSON object.
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
