//! GitLab, set up as gitlab.com is. A public address with a path makes it live below a relative root.

mod api;
mod oauth;

use axum::Router;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::{
    Denied, Dialect, EndField, Limit, Oauth, Parameters, ScopeField, TokenError, TokenForm, TokenPage,
    WishError, object,
};
use crate::auth::Presented;
use crate::clock;
use crate::fault::Room;
use crate::git;
use crate::host::{App, Host, Need, Person, Refusal, Repository, Role, SharedHost, State};
use crate::mint::{self, BASE36};
use crate::oauth::same_redirect;
use crate::own::{Holds, Member};
use crate::random;
use crate::scope::Scopes;
use crate::token::{Kind, Level, RefreshKind, Rights, Token};

/// The dialect.
pub static GITLAB: Gitlab = Gitlab;

/// How long an OAuth access token works.
const ACCESS_LIFE: Duration = Duration::hours(2);
/// In this time failed attempts of Git are counted.
const BAN_WINDOW: Duration = Duration::minutes(3);
/// For so long an address is banned after too many of them.
const BAN: Duration = Duration::hours(1);

const API: &str = "/api/v4";
const PRIVATE_TOKEN: &str = "private-token";
const TOKENS: &str = "/-/user_settings/personal_access_tokens";
/// What the host shows as the only scope of a token that has permissions instead.
const GRANULAR: &str = "granular";

/// A person's token in the shape of today, which says where it belongs.
const PERSONAL: &str = "personal";
/// A person's token in the shape before: twenty letters.
const PLAIN: &str = "plain";
/// A person's token with permissions instead of scopes.
const FINE_GRAINED: &str = "fine_grained";
/// A project's token: a bot stands for it.
const PROJECT: &str = "project";
/// A group's token: a bot stands for it.
const GROUP: &str = "group";
/// A token that opens Git and nothing else.
const DEPLOY: &str = "deploy";
/// A token of an OAuth app.
const OAUTH: &str = "oauth";

static KINDS: [Kind; 7] = [
    Kind { name: PERSONAL, label: "Personal access token", mint: routable, ..Kind::PERSONAL },
    Kind { name: PLAIN, label: "Personal access token of the older shape", mint: plain, ..Kind::PERSONAL },
    Kind {
        name: FINE_GRAINED,
        label: "Fine-grained personal access token",
        rights: Rights::Permissions,
        mint: routable,
        ..Kind::PERSONAL
    },
    Kind { name: PROJECT, label: "Project access token", mint: routable, ..Kind::PERSONAL },
    Kind { name: GROUP, label: "Group access token", mint: routable, ..Kind::PERSONAL },
    Kind {
        name: DEPLOY,
        label: "Deploy token",
        mint: || format!("gldt-{}", random::alphanumeric(20)),
        ..Kind::PERSONAL
    },
    Kind {
        name: OAUTH,
        label: "Token of an OAuth app",
        mint: random::hex::<32>,
        for_apps: true,
        life: Some(ACCESS_LIFE),
        refresh: Some(RefreshKind { mint: random::hex::<32>, life: None }),
        ..Kind::PERSONAL
    },
];

/// Scopes that the page offers.
const OFFERED: &[&str] = &[
    "api",
    "read_user",
    "read_api",
    "self_rotate",
    "read_repository",
    "write_repository",
    "read_registry",
    "write_registry",
    "k8s_proxy",
    "create_runner",
    "manage_runner",
    "ai_features",
];

/// Scopes that the seeded app was registered with.
const REGISTERED: &[&str] =
    &["api", "read_api", "read_user", "read_repository", "write_repository", "openid", "profile", "email"];

static RULES: Oauth = Oauth {
    no_scope: "It asks for no scope.",
    refuses_on_page: true,
    json: true,
    query: true,
    ..Oauth::STANDARD
};

static PAGE: TokenPage = TokenPage {
    list: TOKENS,
    apps: "/-/user_settings/applications",
    forms: &[TokenForm {
        path: TOKENS,
        title: "Add a personal access token",
        kind: PERSONAL,
        name: ("Token name", "name"),
        description: Some(("Token description", "description")),
        end: EndField::Date(30),
        query: "scopes",
        scopes: ScopeField::Boxes(OFFERED),
        button: "Generate token",
    }],
    links: &[],
};

/// What an address did wrong, and which token came of which by rotation.
#[derive(Default)]
struct Memory {
    /// When Git failed to authenticate.
    failures: Vec<OffsetDateTime>,
    /// Until when the address is banned.
    banned_until: Option<OffsetDateTime>,
    /// Rotated token and the one that took its place.
    rotations: Vec<(u64, u64)>,
}

/// GitLab.
pub struct Gitlab;

impl Dialect for Gitlab {
    fn seed(&self, state: &mut State) {
        state.settings.rate_limits = true;
        state.settings.rate_limit = 2_000;
        for app in &mut state.apps {
            app.scopes = Some(Scopes::literal(REGISTERED));
        }
        state.own = Box::new(Memory::default());
    }

    fn settings(&self) -> &'static [Member] {
        &[
            // After so many failed attempts in three minutes the address is banned for an hour; null: never.
            Member { name: "ban_after", holds: Holds::Number(30) },
            // Which attempts count and are banned: those of Git, as on gitlab.com, or those of REST as well.
            Member { name: "ban_on", holds: Holds::Word(&["git", "any"]) },
            // Whether groups take fine-grained tokens only.
            Member { name: "fine_grained_only", holds: Holds::Flag(false) },
        ]
    }

    fn rate_window(&self) -> Duration {
        Duration::minutes(1)
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    /// Tokens that people make end at the midnight that begins a day; a bot stands for those of projects and groups.
    fn made(&self, state: &mut State, id: u64) {
        let Some(token) = state.token_by_id_mut(id) else { return };
        if !token.kind.for_apps {
            token.expires_at = token.expires_at.map(clock::midnight);
        }
        if token.kind.name == PROJECT || token.kind.name == GROUP {
            give_to_bot(state, id);
        }
    }

    fn contained(&self, scope: &str) -> &'static [&'static str] {
        contained(scope)
    }

    fn allow(
        &self,
        state: &State,
        token: &Token,
        repository: &Repository,
        need: Need,
    ) -> Result<(), Refusal> {
        if token.kind.has_scopes()
            && token.kind.name != DEPLOY
            && state.settings.own.flag("fine_grained_only")
        {
            return Err(Refusal::Rules);
        }
        if !token.selects(&repository.full_name()) {
            return Err(if repository.private { Refusal::Hidden } else { Refusal::Permission });
        }
        let holds = |scope| token.scopes.allow(scope, contained);
        let enough = if token.kind.has_scopes() {
            match need {
                Need::Metadata | Need::Hooks => holds("read_api"),
                Need::ReadContents => {
                    holds("read_api") || holds("read_repository") || holds("write_repository")
                }
                Need::WriteContents => holds("write_repository"),
            }
        } else {
            match need {
                Need::Metadata => token.permits("project", Level::Read),
                Need::Hooks => token.permits("webhook", Level::Read),
                Need::ReadContents => token.permits("code", Level::Read),
                Need::WriteContents => token.permits("code", Level::Write),
            }
        };
        if enough { Ok(()) } else { Err(Refusal::Permission) }
    }

    fn secret_prefixes(&self) -> &'static [&'static str] {
        &["glpat-", "gldt-"]
    }

    fn token_page(&self) -> &'static TokenPage {
        &PAGE
    }

    fn oauth(&self) -> &'static Oauth {
        &RULES
    }

    /// An app may ask for what it was registered with; one that asks for nothing gets `api`.
    fn ask(&self, _state: &State, app: &App, asked: Scopes) -> Result<Scopes, WishError> {
        let asked = if asked.is_empty() { Scopes::literal(["api"]) } else { asked };
        let registered =
            app.scopes.as_ref().is_none_or(|scopes| asked.iter().all(|scope| scopes.names(scope)));
        if registered { Ok(asked) } else { Err(WishError::Scope) }
    }

    /// Only those very scopes spare the question.
    fn known(&self, _state: &State, known: &Scopes, asked: &Scopes) -> Option<Scopes> {
        asked.iter().all(|scope| known.names(scope)).then(|| asked.clone())
    }

    fn wish_refusal(&self, error: &WishError) -> Vec<(&'static str, String)> {
        let (error, description) = match error {
            WishError::Denied => {
                ("access_denied", "The resource owner or authorization server denied the request.")
            }
            WishError::RedirectMismatch => {
                ("invalid_redirect_uri", "The redirect URI included is not valid.")
            }
            WishError::Challenge => {
                ("invalid_code_challenge_method", "The code challenge method must be S256.")
            }
            WishError::ResponseType => {
                ("unsupported_response_type", "The authorization server does not support this response type.")
            }
            WishError::Scope => ("invalid_scope", "The requested scope is invalid, unknown, or malformed."),
            WishError::Own(error, description) => (*error, *description),
        };
        vec![("error", error.to_owned()), ("error_description", description.to_owned())]
    }

    /// The redirect of the authorization has to be repeated.
    fn vet_refresh(&self, token: &Token, parameters: &Parameters) -> Result<(), TokenError> {
        let fits = match (&token.redirect_uri, parameters.get("redirect_uri")) {
            (Some(known), Some(given)) => same_redirect(given, known),
            (Some(_), None) => false,
            // A token that the control room made was never redirected.
            (None, _) => true,
        };
        if fits { Ok(()) } else { Err(TokenError::RedirectMismatch) }
    }

    fn token_reply(&self, _state: &State, token: &Token) -> Map<String, Value> {
        object(json!({
            "access_token": token.secret,
            "token_type": "bearer",
            "expires_in": ACCESS_LIFE.whole_seconds(),
            "refresh_token": token.refresh.as_ref().map(|refresh| &refresh.secret),
            "scope": token.scopes.join(" "),
            "created_at": token.created_at.unix_timestamp(),
        }))
    }

    fn token_refusal(&self, error: &TokenError) -> (StatusCode, Map<String, Value>) {
        let (status, error, description) = match error {
            TokenError::Client => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "Client authentication failed due to unknown client, no client authentication included, or \
                 unsupported authentication method.",
            ),
            TokenError::Code
            | TokenError::Verifier
            | TokenError::RedirectMismatch
            | TokenError::Refresh
            | TokenError::SpentRefresh => (
                StatusCode::BAD_REQUEST,
                "invalid_grant",
                "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI \
                 used in the authorization request, or was issued to another client.",
            ),
            TokenError::GrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "The authorization grant type is not supported by the authorization server.",
            ),
            TokenError::Own(error, description) => (StatusCode::BAD_REQUEST, *error, *description),
        };
        (status, object(json!({ "error": error, "error_description": description })))
    }

    fn routes(&self, host: &SharedHost) -> Router<SharedHost> {
        Router::new().nest(API, api::router(host)).merge(oauth::router())
    }

    fn not_found(&self, _host: &Host, path: &str) -> Option<Response> {
        let body = json!({ "error": "404 Not Found" });
        path.starts_with(API).then(|| (StatusCode::NOT_FOUND, axum::Json(body)).into_response())
    }

    fn room(&self, _method: &Method, path: &str) -> Option<Room> {
        let rest = path.strip_prefix(API);
        match (path, rest) {
            ("/oauth/token/info", _) => Some(Room::User),
            ("/oauth/revoke", _) => Some(Room::Any),
            (_, Some("/user" | "/personal_access_tokens/self")) => Some(Room::User),
            (_, Some(rest)) if rest.starts_with("/projects/") => Some(Room::Repos),
            (_, Some(_)) => Some(Room::Any),
            _ => None,
        }
    }

    fn identity_door(&self) -> &'static str {
        "/user, /personal_access_tokens/self, /oauth/token/info"
    }

    fn presented(&self, headers: &HeaderMap) -> Presented {
        match headers.get(PRIVATE_TOKEN) {
            None => Presented::read(headers),
            Some(secret) => match secret.to_str() {
                Ok(secret) => Presented::Header { name: "PRIVATE-TOKEN", secret: secret.trim().to_owned() },
                Err(_) => Presented::Unreadable,
            },
        }
    }

    fn secret_headers(&self) -> &'static [&'static str] {
        &[PRIVATE_TOKEN]
    }

    /// Plain text, also where JSON is expected.
    fn limited(&self, _host: &Host, limit: &Limit) -> Response {
        let status = limit.status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (RETRY_AFTER, HeaderValue::from(limit.retry_after)),
            (HeaderName::from_static("ratelimit-limit"), HeaderValue::from(limit.limit)),
            (HeaderName::from_static("ratelimit-observed"), HeaderValue::from(limit.limit + 1)),
            (HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(0)),
            (HeaderName::from_static("ratelimit-reset"), HeaderValue::from(limit.reset)),
        ];
        (status, headers, "Retry later\n").into_response()
    }

    /// Any name goes with a token that somebody made; an app's token goes with `oauth2`.
    fn git_caller(&self, host: &Host, headers: &HeaderMap) -> Result<Option<Token>, Box<Response>> {
        if is_banned(&mut host.state()) {
            return Err(Box::new(banned()));
        }
        let found = match Presented::read(headers) {
            // Git always asks without credentials first; this does not count.
            Presented::Nothing => return Ok(None),
            Presented::Basic { user, password } => {
                let found = host.state().authenticate(&password).ok();
                found.filter(|token| token.kind.name != OAUTH || user == "oauth2")
            }
            _ => None,
        };
        let mut state = host.state();
        note_attempt(&mut state, found.is_some());
        found.map(Some).ok_or_else(|| Box::new(denied(host)))
    }

    fn git_refusal(&self, host: &Host, denial: &Denied) -> Response {
        if denial.token.is_none() {
            return denied(host);
        }
        match (denial.refusal, denial.need) {
            (Refusal::Hidden, _) => git::text(
                StatusCode::NOT_FOUND,
                "The project you were looking for could not be found or you don't have permission to view it.",
            ),
            (Refusal::Rules, _) => git::text(
                StatusCode::FORBIDDEN,
                "Access denied: this group takes fine-grained personal access tokens only.",
            ),
            (_, Need::WriteContents) => {
                git::text(StatusCode::FORBIDDEN, "You are not allowed to push code to this project.")
            }
            _ => git::text(StatusCode::FORBIDDEN, "You are not allowed to download code from this project."),
        }
    }
}

/// What Git is told that did not say who it is, or said it wrongly.
fn denied(host: &Host) -> Response {
    let help =
        host.page("/help/topics/git/troubleshooting_git.md#error-on-git-fetch-http-basic-access-denied");
    let message = format!(
        "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect \
         or you're required to use a token instead of a password. If a token was provided, it was either incorrect, \
         expired, or improperly scoped. See {help}"
    );
    git::unauthorized("GitLab", &message)
}

/// What a banned address is told.
fn banned() -> Response {
    (StatusCode::FORBIDDEN, [(CONTENT_TYPE, "text/plain")], "Forbidden\n").into_response()
}

/// Whether too many attempts failed. All clients of the host have one address.
fn is_banned(state: &mut State) -> bool {
    let now = state.now();
    state.own::<Memory>().and_then(|memory| memory.banned_until).is_some_and(|end| now < end)
}

/// Counts a failed attempt; one that succeeds lets the count begin anew.
fn note_attempt(state: &mut State, succeeded: bool) {
    let now = state.now();
    let most = state.settings.own.number("ban_after").unwrap_or_default();
    let Some(memory) = state.own::<Memory>() else { return };
    if succeeded {
        memory.failures.clear();
        return;
    }
    memory.failures.retain(|failure| now < *failure + BAN_WINDOW);
    memory.failures.push(now);
    if most > 0 && memory.failures.len() as u64 >= most {
        memory.failures.clear();
        memory.banned_until = Some(now + BAN);
    }
}

/// Makes the bot that stands for a project's or group's token. It may do what its maker may.
fn give_to_bot(state: &mut State, id: u64) {
    let Some(token) = state.token_by_id_mut(id).cloned() else { return };
    if state.person(token.person).is_none_or(|person| person.bot) {
        return;
    }
    let project = token.kind.name == PROJECT;
    let wanted = token.repositories.as_ref().and_then(|names| names.first()).cloned();
    let wanted = wanted.unwrap_or_else(|| "acme/infra".to_owned());
    let Some(home) = state.repositories.iter().find(|found| found.full_name() == wanted) else { return };
    let (number, owner) = (home.id, home.owner.clone());
    let group = state.organization(&owner).map_or(0, |found| found.id);
    let login = match project {
        true => format!("project_{number}_bot_{}", random::hex::<16>()),
        false => format!("group_{group}_bot_{}", random::hex::<16>()),
    };
    let bot = state.next_id() + 1_000_000;
    state.people.push(Person {
        id: bot,
        name: if token.note.is_empty() { login.clone() } else { token.note.clone() },
        email: format!("{login}@noreply.forge.example"),
        login,
        password: String::new(),
        bot: true,
    });
    let mut reached = Vec::new();
    for repository in &mut state.repositories {
        if (project && repository.id == number) || (!project && repository.owner == owner) {
            let role = repository.role(token.person).max(Role::Read);
            repository.members.insert(bot, role);
            reached.push(repository.full_name());
        }
    }
    if let Some(token) = state.token_by_id_mut(id) {
        token.person = bot;
        token.repositories = Some(reached);
    }
}

/// Everything below a scope. That `write_repository` lets Git read is said where Git is let in.
fn contained(scope: &str) -> &'static [&'static str] {
    match scope {
        "api" => &["read_api", "read_user", "read_repository", "write_repository", "self_rotate"],
        "read_api" => &["read_user"],
        _ => &[],
    }
}

/// A secret that carries where it belongs, how long that part is, and a checksum of all before.
fn routable() -> String {
    let payload = random::alphanumeric(44);
    let length = mint::digits(payload.len() as u64, BASE36, 2);
    let body = format!("glpat-{payload}.01.{length}");
    let checksum = mint::digits(u64::from(mint::crc32(body.as_bytes())), BASE36, 7);
    format!("{body}{checksum}")
}

fn plain() -> String {
    format!("glpat-{}", random::alphanumeric(20))
}

#[cfg(test)]
mod tests {
    use super::{KINDS, routable};
    use crate::mint::{BASE36, crc32, digits};

    #[test]
    fn a_routable_secret_ends_with_the_checksum_of_all_before() {
        let secret = routable();
        let parts: Vec<&str> = secret.strip_prefix("glpat-").unwrap().split('.').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [44, 2, 9]);
        let (body, checksum) = secret.split_at(secret.len() - 7);
        assert_eq!(digits(u64::from(crc32(body.as_bytes())), BASE36, 7), checksum);
    }

    #[test]
    fn every_kind_has_its_length() {
        let lengths: Vec<usize> = KINDS.iter().map(|kind| (kind.mint)().len()).collect();
        assert_eq!(lengths, [63, 26, 63, 63, 63, 25, 64]);
    }
}
