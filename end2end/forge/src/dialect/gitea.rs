//! Gitea, and Forgejo, which has grown out of it.

use axum::body::Bytes;
use axum::extract::{Extension, Path, Request, State as Shared};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use time::Duration;

use super::{
    Denied, Dialect, EndField, Limit, Oauth, Parameters, Refreshing, ScopeField, TokenError, TokenForm,
    TokenPage, WishError, object,
};
use crate::auth::Presented;
use crate::clock;
use crate::fault::Room;
use crate::git;
use crate::host::{Grant, Host, Need, Person, Refusal, Repository, Role, SharedHost, State};
use crate::oauth::{client, parameters};
use crate::own::{Holds, Member};
use crate::random;
use crate::scope::Scopes;
use crate::token::{Kind, RefreshKind, Token};

/// The dialect.
pub static GITEA: Gitea = Gitea;

const ACCESS_LIFE: Duration = Duration::hours(1);
const REFRESH_LIFE: Duration = Duration::hours(730);
const VERSION: &str = "1.26.2";

const API: &str = "/api/v1";
const INTROSPECT: &str = "/login/oauth/introspect";
const USER_INFO: &str = "/login/oauth/userinfo";
const TOKENS: &str = "/user/settings/applications";

/// A person's token.
const PERSONAL: &str = "personal";
/// A token of an OAuth app.
const OAUTH: &str = "oauth";

static KINDS: [Kind; 2] = [
    Kind { name: PERSONAL, label: "Access token", mint: random::hex::<20>, ..Kind::PERSONAL },
    Kind {
        name: OAUTH,
        label: "Token of an OAuth app",
        mint: || json_web_token(0),
        for_apps: true,
        life: Some(ACCESS_LIFE),
        refresh: Some(RefreshKind { mint: || json_web_token(1), life: Some(REFRESH_LIFE) }),
        ..Kind::PERSONAL
    },
];

static RULES: Oauth = Oauth {
    authorize: "/login/oauth/authorize",
    token: "/login/oauth/access_token",
    no_scope: "It asks for no scope: it will be able to do everything that you can, in private repositories as well.",
    plain_challenge: true,
    json: true,
    ..Oauth::STANDARD
};

/// Everything that `all` contains.
const EVERYTHING: &[&str] = &[
    "read:activitypub",
    "write:activitypub",
    "read:admin",
    "write:admin",
    "read:issue",
    "write:issue",
    "read:misc",
    "write:misc",
    "read:notification",
    "write:notification",
    "read:organization",
    "write:organization",
    "read:package",
    "write:package",
    "read:repository",
    "write:repository",
    "read:user",
    "write:user",
];

/// Keeps a token out of everything private; it grants nothing.
const PUBLIC_ONLY: &str = "public-only";

/// Scopes of OpenID Connect, which say nothing about what a token may do.
const IDENTITY: &[&str] = &["openid", "profile", "email", "groups"];

static PAGE: TokenPage = TokenPage {
    list: TOKENS,
    apps: "/user/settings/applications/oauth2",
    forms: &[TokenForm {
        path: TOKENS,
        title: "Generate new token",
        kind: PERSONAL,
        name: ("Token name", "name"),
        description: None,
        end: EndField::None,
        query: "",
        scopes: ScopeField::Choices(&[
            (
                "Repository and organization access",
                &[("", "All (public, private, and limited)"), (PUBLIC_ONLY, "Public only")],
            ),
            ("activitypub", &[("", NO), ("read:activitypub", READ), ("write:activitypub", BOTH)]),
            ("issue", &[("", NO), ("read:issue", READ), ("write:issue", BOTH)]),
            ("misc", &[("", NO), ("read:misc", READ), ("write:misc", BOTH)]),
            ("notification", &[("", NO), ("read:notification", READ), ("write:notification", BOTH)]),
            ("organization", &[("", NO), ("read:organization", READ), ("write:organization", BOTH)]),
            ("package", &[("", NO), ("read:package", READ), ("write:package", BOTH)]),
            ("repository", &[("", NO), ("read:repository", READ), ("write:repository", BOTH)]),
            ("user", &[("", NO), ("read:user", READ), ("write:user", BOTH)]),
        ]),
        button: "Generate token",
    }],
    links: &[],
};
const NO: &str = "No access";
const READ: &str = "Read";
const BOTH: &str = "Read and write";

/// Gitea.
pub struct Gitea;

impl Dialect for Gitea {
    fn settings(&self) -> &'static [Member] {
        &[
            // Whether a token can ask about itself and end itself, as newer releases let it.
            Member { name: "token_api", holds: Holds::Flag(false) },
            // Whether a refresh token works once.
            Member { name: "invalidate_refresh_tokens", holds: Holds::Flag(false) },
            // Whether an app that asks for other scopes than before gets them without a question, as from newer
            // releases; otherwise it gets what it got before.
            Member { name: "grant_follows_scope", holds: Holds::Flag(false) },
            // Whether a refusal names the token's own scopes as well, as newer releases do.
            Member { name: "names_token_scopes", holds: Holds::Flag(false) },
            // What the host says it is, such as `11.0.1+gitea-1.22.0`.
            Member { name: "version", holds: Holds::MaybeText },
        ]
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
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
        let needed = if need == Need::WriteContents { "write:repository" } else { "read:repository" };
        if !holds(token, needed) {
            return Err(Refusal::Permission);
        }
        let closed = repository.private && token.scopes.names(PUBLIC_ONLY);
        if closed || !token.selects(&repository.full_name()) {
            return Err(Refusal::Hidden);
        }
        Ok(())
    }

    fn token_page(&self) -> &'static TokenPage {
        &PAGE
    }

    fn oauth(&self) -> &'static Oauth {
        &RULES
    }

    /// Whoever agreed once is not asked again, whatever the app asks for now.
    fn known(&self, state: &State, known: &Scopes, asked: &Scopes) -> Option<Scopes> {
        let follows = state.settings.own.flag("grant_follows_scope");
        Some(if follows { asked.clone() } else { known.clone() })
    }

    /// An agreement is to the scopes of the latest token, and not to those before as well.
    fn issued(&self, state: &mut State, token: &Token) {
        let mine = |grant: &&mut Grant| {
            grant.person == token.person && Some(&grant.client_id) == token.client_id.as_ref()
        };
        if let Some(grant) = state.grants.iter_mut().find(mine) {
            grant.scopes = token.scopes.clone();
        }
    }

    fn vet_agreement(&self, known: Option<&Scopes>, granted: &Scopes) -> Result<(), WishError> {
        match known {
            Some(known) if known != granted => {
                Err(WishError::Own("server_error", "a grant exists with different scope"))
            }
            _ => Ok(()),
        }
    }

    fn wish_refusal(&self, error: &WishError) -> Vec<(&'static str, String)> {
        let (error, description) = match error {
            WishError::Denied => ("access_denied", "the request is denied"),
            WishError::RedirectMismatch => ("invalid_request", "Unregistered Redirect URI"),
            WishError::Challenge => ("invalid_request", "unsupported code challenge method"),
            WishError::ResponseType => ("unsupported_response_type", "Only code response type is supported."),
            WishError::Scope => ("invalid_scope", "The requested scope is invalid."),
            WishError::Own(error, description) => (*error, *description),
        };
        vec![("error", error.to_owned()), ("error_description", description.to_owned())]
    }

    fn refreshing(&self, state: &State) -> Refreshing {
        if state.settings.own.flag("invalidate_refresh_tokens") {
            Refreshing::Refresh
        } else {
            Refreshing::Nothing
        }
    }

    /// Which scopes were granted is not said.
    fn token_reply(&self, _state: &State, token: &Token) -> Map<String, Value> {
        object(json!({
            "access_token": token.secret,
            "token_type": "bearer",
            "expires_in": ACCESS_LIFE.whole_seconds(),
            "refresh_token": token.refresh.as_ref().map(|refresh| &refresh.secret),
        }))
    }

    fn token_refusal(&self, error: &TokenError) -> (StatusCode, Map<String, Value>) {
        let (error, description) = match error {
            TokenError::Client => ("unauthorized_client", "invalid client secret"),
            TokenError::Code => ("unauthorized_client", "client is not authorized"),
            TokenError::Verifier => ("unauthorized_client", "failed PKCE code challenge"),
            TokenError::RedirectMismatch => {
                ("invalid_grant", "redirect_uri differs from the original authorization request")
            }
            TokenError::Refresh => ("unauthorized_client", "unable to parse refresh token"),
            TokenError::SpentRefresh => ("unauthorized_client", "token was already used"),
            TokenError::GrantType => {
                ("unsupported_grant_type", "Only refresh_token or authorization_code grant type is supported")
            }
            TokenError::Own(error, description) => (*error, *description),
        };
        (StatusCode::BAD_REQUEST, object(json!({ "error": error, "error_description": description })))
    }

    fn routes(&self, host: &SharedHost) -> Router<SharedHost> {
        let api = Router::new()
            .route("/user", get(user))
            .route("/token", get(itself).delete(end))
            .route("/repos/{owner}/{name}", get(repository))
            .route("/repos/{owner}/{name}/hooks", get(hooks))
            .route_layer(middleware::from_fn_with_state(host.clone(), authenticate))
            .route("/version", get(version));
        Router::new().nest(API, api).route(INTROSPECT, post(introspect)).route(USER_INFO, get(user_info))
    }

    fn not_found(&self, host: &Host, path: &str) -> Option<Response> {
        path.starts_with(API).then(|| missing(host))
    }

    fn room(&self, _method: &Method, path: &str) -> Option<Room> {
        if [INTROSPECT, USER_INFO].contains(&path) {
            return Some(Room::Any);
        }
        match path.strip_prefix(API)? {
            "/user" => Some(Room::User),
            rest if rest.starts_with("/repos/") => Some(Room::Repos),
            _ => Some(Room::Any),
        }
    }

    fn identity_door(&self) -> &'static str {
        "/user"
    }

    fn limited(&self, host: &Host, limit: &Limit) -> Response {
        let status = limit.status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let retry_after = [(RETRY_AFTER, HeaderValue::from(limit.retry_after))];
        (retry_after, problem(host, status, "Too Many Requests")).into_response()
    }

    fn oauth_fault(&self) -> (StatusCode, &'static str) {
        (StatusCode::BAD_REQUEST, "unauthorized_client")
    }

    fn git_caller(&self, host: &Host, headers: &HeaderMap) -> Result<Option<Token>, Box<Response>> {
        find(host, &Presented::read(headers))
            .map_err(|()| Box::new(git::unauthorized("Gitea", "Unauthorized")))
    }

    fn git_refusal(&self, host: &Host, denied: &Denied) -> Response {
        let Some(token) = denied.token else { return git::unauthorized("Gitea", "Unauthorized") };
        match denied.refusal {
            Refusal::Hidden => git::text(StatusCode::NOT_FOUND, "Repository not found"),
            Refusal::Role | Refusal::Rules => git::text(StatusCode::FORBIDDEN, "User permission denied"),
            Refusal::Permission => {
                let needed =
                    if denied.need == Need::WriteContents { "write:repository" } else { "read:repository" };
                git::text(StatusCode::FORBIDDEN, &lack(&host.state(), token, needed))
            }
        }
    }
}

/// Everything below a scope.
fn contained(scope: &str) -> &'static [&'static str] {
    match scope {
        "all" => EVERYTHING,
        "write:activitypub" => &["read:activitypub"],
        "write:admin" => &["read:admin"],
        "write:issue" => &["read:issue"],
        "write:misc" => &["read:misc"],
        "write:notification" => &["read:notification"],
        "write:organization" => &["read:organization"],
        "write:package" => &["read:package"],
        "write:repository" => &["read:repository"],
        "write:user" => &["read:user"],
        _ => &[],
    }
}

/// Whether the token may do so. An app that asked for none of the host's own scopes may do everything.
fn holds(token: &Token, needed: &str) -> bool {
    let own = |scope: &str| !IDENTITY.contains(&scope) && scope != PUBLIC_ONLY;
    let unlimited = token.kind.name == OAUTH && !token.scopes.iter().any(own);
    unlimited || token.scopes.allow(needed, contained)
}

/// The token of a request: `Bearer`, `token`, or in Basic as the password or as the name.
fn find(host: &Host, presented: &Presented) -> Result<Option<Token>, ()> {
    let secret = match presented {
        Presented::Nothing => return Ok(None),
        Presented::Bearer(secret) | Presented::Token(secret) => secret,
        Presented::Basic { user, password } if ["", "x-oauth-basic"].contains(&password.as_str()) => user,
        Presented::Basic { password, .. } => password,
        Presented::Header { .. } | Presented::Unreadable => return Err(()),
    };
    host.state().authenticate(secret).map(Some).map_err(|_| ())
}

/// Shaped like the real ones, which name a grant and say whether they open doors (0) or buy the next (1).
fn json_web_token(kind: u8) -> String {
    let key = random::alphanumeric(43);
    let header = json!({ "alg": "RS256", "kid": key, "typ": "JWT" });
    let claims = json!({ "gnt": 7, "tt": kind, "jti": random::hex::<8>() });
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signature = URL_SAFE_NO_PAD.encode(random::bytes::<256>());
    format!("{}.{}.{signature}", part(&header), part(&claims))
}

fn problem(host: &Host, status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message, "url": host.page("/api/swagger") }))).into_response()
}

fn missing(host: &Host) -> Response {
    let mut body = json!({ "message": "The target couldn't be found.", "url": host.page("/api/swagger") });
    body["errors"] = json!([]);
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// The sentence that a token lacks a scope.
fn lack(state: &State, token: &Token, needed: &str) -> String {
    let message = "token does not have at least one of required scope(s)";
    if state.settings.own.flag("names_token_scopes") {
        return format!("{message}, required=[{needed}], token scope={}", token.scopes.join(","));
    }
    format!("{message}: [{needed}]")
}

/// Whoever asks, after the token was accepted.
#[derive(Clone)]
struct Caller(Option<Token>);

async fn authenticate(Shared(host): Shared<SharedHost>, mut request: Request, next: Next) -> Response {
    let Ok(caller) = find(&host, &Presented::read(request.headers())) else {
        return problem(&host, StatusCode::UNAUTHORIZED, "invalid username, password or token");
    };
    let person = caller.as_ref().map_or(0, |token| token.person);
    let rate = host.state().charge(person, false);
    if let Some(rate) = rate.filter(|rate| rate.is_exceeded()) {
        return crate::fault::limit_reached(&host, person, rate);
    }
    request.extensions_mut().insert(Caller(caller));
    next.run(request).await
}

/// The token, if there is one with this scope.
fn admit(host: &Host, caller: Option<Token>, needed: Option<&str>) -> Result<Token, Box<Response>> {
    let Some(token) = caller else {
        return Err(Box::new(problem(host, StatusCode::UNAUTHORIZED, "token is required")));
    };
    match needed.filter(|needed| !holds(&token, needed)) {
        None => Ok(token),
        Some(needed) => {
            let message = lack(&host.state(), &token, needed);
            Err(Box::new(problem(host, StatusCode::FORBIDDEN, &message)))
        }
    }
}

async fn user(Shared(host): Shared<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match admit(&host, caller, Some("read:user")) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    match host.state().person(token.person) {
        Some(person) => Json(person_body(&host, person)).into_response(),
        None => problem(&host, StatusCode::UNAUTHORIZED, "user does not exist [uid: 0, name: ]"),
    }
}

fn person_body(host: &Host, person: &Person) -> Value {
    json!({
        "id": person.id,
        "login": person.login,
        "login_name": "",
        "source_id": 0,
        "full_name": person.name,
        "email": person.email,
        "avatar_url": host.page(&format!("/avatars/{}", person.id)),
        "html_url": host.page(&format!("/{}", person.login)),
        "language": "en-US",
        "is_admin": false,
        "last_login": "2026-11-01T10:00:00Z",
        "created": "2011-01-25T18:44:36Z",
        "restricted": false,
        "active": true,
        "prohibit_login": false,
        "location": "",
        "website": "",
        "description": "",
        "visibility": "public",
        "followers_count": 0,
        "following_count": 0,
        "starred_repos_count": 0,
        "username": person.login,
    })
}

/// The door for tokens that ask about themselves, where the release has one.
fn own_door(host: &Host, caller: Option<Token>) -> Result<Token, Box<Response>> {
    if !host.state().settings.own.flag("token_api") {
        return Err(Box::new(missing(host)));
    }
    let token = admit(host, caller, None)?;
    if token.kind.name == PERSONAL { Ok(token) } else { Err(Box::new(missing(host))) }
}

async fn itself(Shared(host): Shared<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match own_door(&host, caller) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    let login = host.state().person(token.person).map(|person| person.login.clone());
    Json(json!({
        "id": token.id,
        "name": token.note,
        "scopes": token.scopes.iter().collect::<Vec<_>>(),
        "created_at": clock::rfc3339(token.created_at),
        "last_used_at": clock::rfc3339(token.used_at.unwrap_or(token.created_at)),
        "user": { "id": token.person, "login": login },
    }))
    .into_response()
}

async fn end(Shared(host): Shared<SharedHost>, Extension(Caller(caller)): Extension<Caller>) -> Response {
    let token = match own_door(&host, caller) {
        Ok(token) => token,
        Err(refusal) => return *refusal,
    };
    if let Some(token) = host.state().token_by_id_mut(token.id) {
        token.revoked = true;
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn version(Shared(host): Shared<SharedHost>) -> Response {
    let state = host.state();
    Json(json!({ "version": state.settings.own.text("version").unwrap_or(VERSION) })).into_response()
}

async fn repository(
    Shared(host): Shared<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    with_repository(&host, caller, (&owner, &name), Need::Metadata, |found, token| {
        repository_body(&host, found, token)
    })
}

async fn hooks(
    Shared(host): Shared<SharedHost>,
    Extension(Caller(caller)): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Response {
    if let Err(refusal) = admit(&host, caller.clone(), None) {
        return *refusal;
    }
    with_repository(&host, caller, (&owner, &name), Need::Hooks, |_, _| json!([]))
}

/// Answers about a repository, or with the refusal that fits the token.
fn with_repository(
    host: &Host,
    token: Option<Token>,
    (owner, name): (&str, &str),
    need: Need,
    answer: impl FnOnce(&Repository, Option<&Token>) -> Value,
) -> Response {
    // The scope is looked at before the repository.
    if token.is_some()
        && let Err(refusal) = admit(host, token.clone(), Some("read:repository"))
    {
        return *refusal;
    }
    let state = host.state();
    let Some(found) = state.repository(owner, name) else { return missing(host) };
    match state.allow(token.as_ref(), found, need) {
        Ok(()) => Json(answer(found, token.as_ref())).into_response(),
        Err(Refusal::Hidden) => missing(host),
        Err(Refusal::Role | Refusal::Rules | Refusal::Permission) => {
            let message = "user should be an owner or a collaborator with admin write of a repository";
            problem(host, StatusCode::FORBIDDEN, message)
        }
    }
}

fn repository_body(host: &Host, repository: &Repository, token: Option<&Token>) -> Value {
    let full_name = repository.full_name();
    let role = token.map_or(Role::Read, |token| repository.role(token.person));
    json!({
        "id": repository.id,
        "owner": { "login": repository.owner, "username": repository.owner, "full_name": "" },
        "name": repository.name,
        "full_name": full_name,
        "description": "",
        "empty": false,
        "private": repository.private,
        "internal": false,
        "fork": false,
        "archived": false,
        "default_branch": "main",
        "html_url": host.page(&format!("/{full_name}")),
        "clone_url": host.page(&format!("/{full_name}.git")),
        "ssh_url": format!("git@localhost:{full_name}.git"),
        "permissions": {
            "admin": role >= Role::Admin,
            "push": role >= Role::Push,
            "pull": role >= Role::Read,
        },
    })
}

async fn user_info(Shared(host): Shared<SharedHost>, headers: HeaderMap) -> Response {
    let caller = find(&host, &Presented::read(&headers)).ok().flatten();
    let state = host.state();
    match caller.and_then(|token| state.person(token.person)) {
        Some(person) => Json(json!({
            "sub": person.id.to_string(),
            "name": person.name,
            "preferred_username": person.login,
            "email": person.email,
            "picture": host.page(&format!("/avatars/{}", person.id)),
        }))
        .into_response(),
        None => {
            let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"Gitea OAuth2\"")];
            (StatusCode::UNAUTHORIZED, challenge, "no valid authorization\n").into_response()
        }
    }
}

/// What an app learns about a token: the only way to its scopes.
async fn introspect(Shared(host): Shared<SharedHost>, headers: HeaderMap, body: Bytes) -> Response {
    let sent = parameters(&RULES, &headers, Parameters::new(), &body);
    let state = host.state();
    let basic = matches!(Presented::read(&headers), Presented::Basic { .. });
    if !basic || client(&state, &headers, &sent).is_none() {
        let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"Gitea OAuth2\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "no valid authorization\n").into_response();
    }
    let now = state.now();
    let known = sent.get("token").and_then(|secret| state.token(secret));
    let known = known.filter(|token| token.kind.name == OAUTH && token.works(now));
    let Some(token) = known else { return Json(json!({ "active": false })).into_response() };
    Json(json!({
        "active": true,
        "scope": token.scopes.join(" "),
        "username": state.person(token.person).map(|person| &person.login),
        "iss": host.page("/"),
        "sub": token.person.to_string(),
        "aud": [token.client_id],
    }))
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::KINDS;

    #[test]
    fn an_apps_token_has_three_parts_and_a_persons_forty_digits() {
        let secrets: Vec<String> = KINDS.iter().map(|kind| (kind.mint)()).collect();
        assert!(secrets[0].len() == 40 && secrets[0].bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(secrets[1].split('.').count(), 3);
        assert!(secrets[1].len() > 450);
    }
}
