//! Bitbucket Data Center. Below a public address without a path it lives at `/bitbucket`, as it often does.

mod api;

use axum::Router;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use time::Duration;

use super::{
    Denied, Dialect, EndField, Limit, Oauth, Parameters, Refreshing, ScopeField, TokenError, TokenForm,
    TokenPage, WishError, object,
};
use crate::auth::Presented;
use crate::fault::Room;
use crate::git;
use crate::host::{
    App, Host, Need, OCTOCAT, Person, Refusal, Repository, Role, SharedHost, State, repository,
};
use crate::oauth::same_redirect;
use crate::own::{Holds, Member};
use crate::random;
use crate::scope::Scopes;
use crate::token::{Kind, RefreshKind, Token};

/// The dialect.
pub static BITBUCKET_DATA_CENTER: BitbucketDataCenter = BitbucketDataCenter;

/// How long an OAuth access token works, unless an administrator says otherwise.
const ACCESS_LIFE: Duration = Duration::hours(1);
/// How long an OAuth refresh token works, likewise.
const REFRESH_LIFE: Duration = Duration::days(90);
/// How long a code can be exchanged, likewise.
const CODE_LIFE: Duration = Duration::seconds(10);

const NAME: HeaderName = HeaderName::from_static("x-ausername");
const ID: HeaderName = HeaderName::from_static("x-auserid");
const REQUEST: HeaderName = HeaderName::from_static("x-arequestid");
const DENIED: HeaderName = HeaderName::from_static("x-authentication-denied-reason");

/// An HTTP access token of a person.
const PERSONAL: &str = "personal";
/// An HTTP access token of a project: a bot stands for it.
const PROJECT: &str = "project";
/// An HTTP access token of a repository: a bot stands for it.
const REPOSITORY: &str = "repository";
/// A token of an app.
const OAUTH: &str = "oauth";

static KINDS: [Kind; 4] = [
    Kind { name: PERSONAL, label: "HTTP access token", mint: http_access_token, ..Kind::PERSONAL },
    Kind {
        name: PROJECT,
        label: "HTTP access token of a project",
        mint: http_access_token,
        ..Kind::PERSONAL
    },
    Kind {
        name: REPOSITORY,
        label: "HTTP access token of a repository",
        mint: http_access_token,
        ..Kind::PERSONAL
    },
    Kind {
        name: OAUTH,
        label: "Token of an app",
        mint: || random::alphanumeric(64),
        for_apps: true,
        life: Some(ACCESS_LIFE),
        refresh: Some(RefreshKind { mint: || random::alphanumeric(64), life: Some(REFRESH_LIFE) }),
        ..Kind::PERSONAL
    },
];

static RULES: Oauth = Oauth {
    authorize: "/rest/oauth2/latest/authorize",
    token: "/rest/oauth2/latest/token",
    code_life: CODE_LIFE,
    plain_challenge: true,
    client_in_basic: false,
    query: true,
    ..Oauth::STANDARD
};

static PAGE: TokenPage = TokenPage {
    list: "/plugins/servlet/access-tokens/manage",
    apps: "/plugins/servlet/oauth/users/access-tokens",
    forms: &[TokenForm {
        path: "/plugins/servlet/access-tokens/add",
        title: "Create token",
        kind: PERSONAL,
        name: ("Token name", "name"),
        description: None,
        end: EndField::Days(
            &[("30", "In 30 days"), ("90", "In 90 days"), ("365", "In 365 days"), ("none", "No expiry")],
            "90",
        ),
        // No link fills it in.
        query: "",
        scopes: ScopeField::Choices(&[
            (
                "Project permissions",
                &[
                    ("PROJECT_READ", "Project read"),
                    ("PROJECT_WRITE", "Project write"),
                    ("PROJECT_ADMIN", "Project admin"),
                ],
            ),
            (
                "Repository permissions",
                &[
                    ("REPO_READ", "Repository read"),
                    ("REPO_WRITE", "Repository write"),
                    ("REPO_ADMIN", "Repository admin"),
                ],
            ),
        ]),
        button: "Create",
    }],
    links: &[],
};

/// How many wrong passwords came by `Basic` since a right one.
#[derive(Default)]
struct Memory {
    wrong_passwords: u64,
}

/// Bitbucket Data Center.
pub struct BitbucketDataCenter;

impl Dialect for BitbucketDataCenter {
    fn context_path(&self) -> &'static str {
        "/bitbucket"
    }

    /// A person whose name has to be encoded, and a repository that belongs to a person.
    fn seed(&self, state: &mut State) {
        let jane = 102;
        state.people.push(Person {
            id: jane,
            login: "jane@example.com".to_owned(),
            name: "Jane Doe".to_owned(),
            email: "jane@example.com".to_owned(),
            password: "jane@example.com".to_owned(),
            bot: false,
        });
        for repository in state.repositories.iter_mut().filter(|found| found.name == "infra") {
            repository.members.insert(jane, Role::Push);
        }
        state.repositories.push(repository(1_006, "~octocat", "notes", true, &[(OCTOCAT, Role::Admin)]));
        for app in &mut state.apps {
            app.scopes = Some(Scopes::literal(["REPO_ADMIN"]));
        }
        state.own = Box::new(Memory::default());
    }

    fn settings(&self) -> &'static [Member] {
        &[
            // Whether a bearer that is no good is refused, or taken for a visitor without one.
            Member { name: "wrong_token", holds: Holds::Word(&["refused", "visitor"]) },
            // Whether answers say whom the host takes the sender for, or a proxy takes that out.
            Member { name: "user_headers", holds: Holds::Flag(true) },
            // Whether `Authorization` arrives, or a proxy takes it out.
            Member { name: "authorization", holds: Holds::Flag(true) },
            // Whether people have a license.
            Member { name: "licensed", holds: Holds::Flag(true) },
            // Whether `Basic` is taken at all.
            Member { name: "basic", holds: Holds::Flag(true) },
            // After so many wrong passwords by `Basic` a CAPTCHA must be solved first.
            Member { name: "captcha_after", holds: Holds::MaybeNumber },
            // Whether a refresh ends the old pair.
            Member { name: "rotation", holds: Holds::Flag(true) },
        ]
    }

    fn rate_window(&self) -> Duration {
        Duration::minutes(1)
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn made(&self, state: &mut State, id: u64) {
        let bot =
            state.token_by_id_mut(id).is_some_and(|token| [PROJECT, REPOSITORY].contains(&token.kind.name));
        if bot {
            give_to_bot(state, id);
        }
    }

    fn contained(&self, scope: &str) -> &'static [&'static str] {
        contained(scope)
    }

    fn allow(
        &self,
        _state: &State,
        token: &Token,
        repository: &Repository,
        need: Need,
    ) -> Result<(), Refusal> {
        if !token.selects(&repository.full_name()) {
            return Err(Refusal::Hidden);
        }
        let scope = match need {
            Need::Metadata | Need::ReadContents if !repository.private => "PUBLIC_REPOS",
            Need::Metadata | Need::ReadContents => "REPO_READ",
            Need::WriteContents => "REPO_WRITE",
            Need::Hooks => "REPO_ADMIN",
        };
        if token.scopes.allow(scope, contained) { Ok(()) } else { Err(Refusal::Permission) }
    }

    fn secret_prefixes(&self) -> &'static [&'static str] {
        &["BBDC-"]
    }

    fn token_page(&self) -> &'static TokenPage {
        &PAGE
    }

    fn oauth(&self) -> &'static Oauth {
        &RULES
    }

    /// An app may ask for what the administrator ticked for it; one that asks for nothing sees what is public.
    fn ask(&self, _state: &State, app: &App, asked: Scopes) -> Result<Scopes, WishError> {
        let asked = if asked.is_empty() { Scopes::literal(["PUBLIC_REPOS"]) } else { asked };
        let ticked = app.scopes.as_ref().is_none_or(|ticked| ticked.cover(&asked, contained));
        if ticked { Ok(asked) } else { Err(WishError::Scope) }
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

    fn refreshing(&self, state: &State) -> Refreshing {
        if state.settings.own.flag("rotation") { Refreshing::Pair } else { Refreshing::Nothing }
    }

    /// How long the refresh token lives is not told.
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

    fn routes(&self, host: &SharedHost) -> Router<SharedHost> {
        api::router(host)
    }

    fn not_found(&self, _host: &Host, path: &str) -> Option<Response> {
        let body = json!({ "message": "HTTP 404 Not Found", "status-code": 404, "sub-code": -1 });
        path.starts_with("/rest/").then(|| (StatusCode::NOT_FOUND, axum::Json(body)).into_response())
    }

    fn room(&self, _method: &Method, path: &str) -> Option<Room> {
        if path == api::WHO_AM_I {
            return Some(Room::User);
        }
        let rest = api::PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix))?;
        Some(match rest {
            "/application-properties" => Room::User,
            _ if rest.starts_with("/projects/") => Room::Repos,
            _ => Room::Any,
        })
    }

    fn identity_door(&self) -> &'static str {
        "/rest/api/latest/application-properties"
    }

    fn limited(&self, host: &Host, limit: &Limit) -> Response {
        let status = limit.status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let message = "Rate limiting is on, and you have sent too many requests. Try again later.";
        let mut response = problem(status, None, message);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(limit.retry_after));
        tell(host, None, response)
    }

    fn git_root(&self) -> &'static str {
        "/scm"
    }

    /// An app's token goes with any name.
    fn git_caller(&self, host: &Host, headers: &HeaderMap) -> Result<Option<Token>, Box<Response>> {
        caller(host, headers, true).map_err(|unwelcome| {
            let message = unwelcome.message();
            let response = match unwelcome {
                Unwelcome::Token => git::unauthorized(REALM, message),
                _ => git::text(StatusCode::FORBIDDEN, message),
            };
            Box::new(tell(host, None, unwelcome.mark(response)))
        })
    }

    /// Who sees a repository and may not push is told so; whoever does not see it, that it is not there.
    fn git_refusal(&self, host: &Host, denied: &Denied) -> Response {
        let Some(token) = denied.token else {
            return tell(host, None, git::unauthorized(REALM, "Authentication is required."));
        };
        let response = match (denied.refusal, denied.need) {
            (Refusal::Role | Refusal::Permission, Need::WriteContents) => {
                git::text(StatusCode::FORBIDDEN, "You are not permitted to push to this repository.")
            }
            _ => git::text(
                StatusCode::NOT_FOUND,
                "Repository not found\nThe requested repository does not exist, or you do not have permission to \
                 access it.",
            ),
        };
        tell(host, Some(token), response)
    }
}

const REALM: &str = "Atlassian Bitbucket";

/// Why credentials open nothing.
#[derive(Clone, Copy)]
enum Unwelcome {
    /// No token is like this, it is over, or this is not how it is shown.
    Token,
    /// `Basic` is switched off.
    Basic,
    /// There were too many wrong passwords.
    Captcha,
    /// The person may not use the product.
    License,
}

impl Unwelcome {
    fn message(self) -> &'static str {
        match self {
            Self::Token => "Authentication failed. Please check your credentials and try again.",
            Self::Basic => "Basic authentication is disabled.",
            Self::Captcha => {
                "CAPTCHA required. Your Bitbucket account has been marked as requiring a CAPTCHA."
            }
            Self::License => "You are not currently licensed to use Bitbucket.",
        }
    }

    /// As REST tells it.
    fn problem(self) -> Response {
        let (status, exception) = match self {
            Self::Token => (StatusCode::UNAUTHORIZED, Some("auth.IncorrectPasswordAuthenticationException")),
            Self::Basic => (StatusCode::FORBIDDEN, None),
            Self::Captcha => (StatusCode::FORBIDDEN, Some("auth.CaptchaRequiredAuthenticationException")),
            Self::License => (StatusCode::UNAUTHORIZED, Some("auth.NoAccessAuthenticationException")),
        };
        let exception = exception.map(|name| format!("com.atlassian.bitbucket.{name}"));
        self.mark(problem(status, exception.as_deref(), self.message()))
    }

    fn mark(self, mut response: Response) -> Response {
        if let Self::Captcha = self {
            response
                .headers_mut()
                .insert(DENIED, HeaderValue::from_static("CAPTCHA_CHALLENGE; login-url=/login"));
        }
        response
    }
}

/// Whose token a request shows. As a bearer every token will do; as a password only a person's own with that person's
/// name, and at Git an app's with any.
fn caller(host: &Host, headers: &HeaderMap, git: bool) -> Result<Option<Token>, Unwelcome> {
    let mut state = host.state();
    let own = &state.settings.own;
    let (basic, licensed) = (own.flag("basic"), own.flag("licensed"));
    let (most, lenient) = (own.number("captcha_after"), own.text("wrong_token") == Some("visitor"));
    let presented = if own.flag("authorization") { Presented::read(headers) } else { Presented::Nothing };
    let found = match presented {
        Presented::Nothing => return Ok(None),
        Presented::Bearer(secret) => match state.authenticate(&secret) {
            Ok(token) => token,
            Err(_) if lenient => return Ok(None),
            Err(_) => return Err(Unwelcome::Token),
        },
        Presented::Basic { .. } if !basic => return Err(Unwelcome::Basic),
        Presented::Basic { user, password } => {
            let wrong = state.own::<Memory>().map_or(0, |memory| memory.wrong_passwords);
            if most.is_some_and(|most| wrong >= most) {
                return Err(Unwelcome::Captcha);
            }
            let named = state.person_named(&user).map(|person| person.id);
            let found = state.authenticate(&password).ok().filter(|token| match token.kind.name {
                PERSONAL => named == Some(token.person),
                OAUTH => git && !user.is_empty(),
                _ => false,
            });
            if let Some(memory) = state.own::<Memory>() {
                memory.wrong_passwords = if found.is_some() { 0 } else { wrong + 1 };
            }
            found.ok_or(Unwelcome::Token)?
        }
        Presented::Token(_) | Presented::Header { .. } | Presented::Unreadable => {
            return Err(Unwelcome::Token);
        }
    };
    if licensed { Ok(Some(found)) } else { Err(Unwelcome::License) }
}

/// Says whom the host takes the sender for, which every answer does.
fn tell(host: &Host, caller: Option<&Token>, mut response: Response) -> Response {
    let request = format!("@{}x{}x0", random::alphanumeric(6).to_ascii_uppercase(), random::alphanumeric(4));
    let state = host.state();
    let headers = response.headers_mut();
    let mut say = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    say(REQUEST, &request);
    let person = caller.and_then(|token| state.person(token.person));
    if let Some(person) = person.filter(|_| state.settings.own.flag("user_headers")) {
        let encoded: String = url::form_urlencoded::byte_serialize(person.login.as_bytes()).collect();
        say(NAME, &encoded);
        say(ID, &person.id.to_string());
    }
    response
}

/// An error as REST tells it.
fn problem(status: StatusCode, exception: Option<&str>, message: &str) -> Response {
    let mistake = json!({ "context": null, "message": message, "exceptionName": exception });
    (status, axum::Json(json!({ "errors": [mistake] }))).into_response()
}

/// Makes the bot that stands for a project's or a repository's token: of the first of its repositories. It may do what
/// its maker may.
fn give_to_bot(state: &mut State, id: u64) {
    let Some(token) = state.token_by_id_mut(id).cloned() else { return };
    if state.person(token.person).is_none_or(|person| person.bot) {
        return;
    }
    let wanted =
        token.repositories.as_ref().and_then(|names| names.first()).map_or("acme/infra", String::as_str);
    let Some((owner, name)) = wanted.split_once('/') else { return };
    let whole = token.kind.name == PROJECT;
    let bot = state.next_id() + 1_000_000;
    let login = format!("access-token-user/{bot}/{}", random::hex::<8>());
    let mut reached = Vec::new();
    for repository in &mut state.repositories {
        if repository.owner == owner && (whole || repository.name == name) {
            let role = repository.role(token.person);
            repository.members.insert(bot, role);
            reached.push(repository.full_name());
        }
    }
    state.people.push(Person {
        id: bot,
        name: if token.note.is_empty() { login.clone() } else { token.note.clone() },
        email: String::new(),
        login,
        password: String::new(),
        bot: true,
    });
    if let Some(token) = state.token_by_id_mut(id) {
        token.person = bot;
        token.repositories = Some(reached);
    }
}

/// Everything below a scope, in the vocabulary of HTTP access tokens and in that of apps.
fn contained(scope: &str) -> &'static [&'static str] {
    match scope {
        "SYSTEM_ADMIN" => &[
            "ADMIN_WRITE",
            "PROJECT_ADMIN",
            "PROJECT_WRITE",
            "PROJECT_READ",
            "REPO_ADMIN",
            "REPO_WRITE",
            "REPO_READ",
            "PUBLIC_REPOS",
        ],
        "ADMIN_WRITE" => &[
            "PROJECT_ADMIN",
            "PROJECT_WRITE",
            "PROJECT_READ",
            "REPO_ADMIN",
            "REPO_WRITE",
            "REPO_READ",
            "PUBLIC_REPOS",
        ],
        "PROJECT_ADMIN" => {
            &["PROJECT_WRITE", "PROJECT_READ", "REPO_ADMIN", "REPO_WRITE", "REPO_READ", "PUBLIC_REPOS"]
        }
        "PROJECT_WRITE" => &["PROJECT_READ", "REPO_WRITE", "REPO_READ", "PUBLIC_REPOS"],
        "PROJECT_READ" => &["REPO_READ", "PUBLIC_REPOS"],
        "REPO_ADMIN" => &["REPO_WRITE", "REPO_READ", "PUBLIC_REPOS"],
        "REPO_WRITE" => &["REPO_READ", "PUBLIC_REPOS"],
        "REPO_READ" => &["PUBLIC_REPOS"],
        _ => &[],
    }
}

/// With `+` and `/`, like other Base64.
fn http_access_token() -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    format!("BBDC-{}", random::letters(LETTERS, 44))
}

#[cfg(test)]
mod tests {
    use super::{contained, http_access_token};

    #[test]
    fn a_token_has_a_prefix_and_44_letters_of_base64() {
        let token = http_access_token();
        let body = token.strip_prefix("BBDC-").unwrap();
        assert_eq!(body.len(), 44);
        assert!(body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte)));
    }

    #[test]
    fn what_is_below_a_scope_includes_what_is_below_that() {
        for scope in ["SYSTEM_ADMIN", "ADMIN_WRITE", "PROJECT_ADMIN", "PROJECT_WRITE", "REPO_ADMIN"] {
            for below in contained(scope) {
                assert!(
                    contained(below).iter().all(|lower| contained(scope).contains(lower)),
                    "{scope} {below}"
                );
            }
        }
    }
}
