//! Bitbucket Cloud, with what Atlassian's account pages do for it.

mod api;
mod pages;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use time::Duration;

use super::{
    Denied, Dialect, EndField, Limit, Oauth, Refreshing, ScopeField, TokenError, TokenForm, TokenPage,
    WishError, object,
};
use crate::auth::Presented;
use crate::fault::Room;
use crate::git;
use crate::host::{App, Host, Need, Person, Refusal, Repository, Role, SharedHost, State};
use crate::mint;
use crate::own::{Holds, Member};
use crate::random;
use crate::scope::Scopes;
use crate::token::{Kind, RefreshKind, Token};

/// The dialect.
pub static BITBUCKET: Bitbucket = Bitbucket;

const ACCESS_LIFE: Duration = Duration::hours(2);
/// A refresh token that nobody uses dies after three months.
const REFRESH_LIFE: Duration = Duration::days(90);

/// Where REST begins.
const API: &str = "/2.0";
const REALM: &str = "Bitbucket.org HTTP";
const UPPER_HEX: &[u8] = b"0123456789ABCDEF";

/// A person's token. It goes with the e-mail address, and Git takes it by a name of its own.
const API_TOKEN: &str = "api_token";
/// Those of nobody: a bot stands for each.
const ACCESS_TOKENS: [&str; 3] = ["repo_access_token", "project_access_token", "workspace_access_token"];
/// What people had before; it opens nothing any more.
const APP_PASSWORD: &str = "app_password";
/// A token of an OAuth consumer.
const OAUTH: &str = "oauth";

const NAME_OF_API_TOKENS: &str = "x-bitbucket-api-token-auth";
const NAME_OF_OTHERS: &str = "x-token-auth";

static KINDS: [Kind; 6] = [
    Kind { name: API_TOKEN, label: "API token", mint: || mint("ATATT3"), ..Kind::PERSONAL },
    Kind {
        name: ACCESS_TOKENS[0],
        label: "Repository access token",
        mint: || mint("ATCTT3"),
        ..Kind::PERSONAL
    },
    Kind { name: ACCESS_TOKENS[1], label: "Project access token", mint: || mint("ATCTT3"), ..Kind::PERSONAL },
    Kind {
        name: ACCESS_TOKENS[2],
        label: "Workspace access token",
        mint: || mint("ATCTT3"),
        ..Kind::PERSONAL
    },
    Kind {
        name: APP_PASSWORD,
        label: "App password",
        mint: || format!("ATBB{}{}", random::alphanumeric(24), random::letters(UPPER_HEX, 8)),
        ..Kind::PERSONAL
    },
    Kind {
        name: OAUTH,
        label: "Token of an OAuth consumer",
        // JSON web tokens of more than a thousand letters.
        mint: || {
            format!("eyJ{}.{}.{}", random::alphanumeric(60), random::alphanumeric(980), random::hex::<32>())
        },
        for_apps: true,
        life: Some(ACCESS_LIFE),
        refresh: Some(RefreshKind { mint: || random::alphanumeric(18), life: Some(REFRESH_LIFE) }),
        ..Kind::PERSONAL
    },
];

/// The client says its name in the header alone, and its callback may lie below the registered one.
static RULES: Oauth = Oauth {
    authorize: "/site/oauth2/authorize",
    token: "/site/oauth2/access_token",
    mint_code: || random::alphanumeric(18),
    no_scope: "It learns nothing about you.",
    exact_redirect: false,
    repeat_redirect: false,
    client_in_body: false,
    ..Oauth::STANDARD
};

/// What the page of API tokens offers.
const OFFERED: &[&str] = &[
    "read:user:bitbucket",
    "read:workspace:bitbucket",
    "read:project:bitbucket",
    "read:repository:bitbucket",
    "write:repository:bitbucket",
    "admin:repository:bitbucket",
    "delete:repository:bitbucket",
    "read:pullrequest:bitbucket",
    "write:pullrequest:bitbucket",
    "read:webhook:bitbucket",
    "write:webhook:bitbucket",
    "delete:webhook:bitbucket",
];

/// What the pages of access tokens offer.
const OFFERED_TO_BOTS: &[&str] = &[
    "repository",
    "repository:write",
    "repository:admin",
    "repository:delete",
    "pullrequest",
    "pullrequest:write",
    "webhook",
];

const TOKENS: &str = "/manage-profile/security/api-tokens";

static PAGE: TokenPage = TokenPage {
    list: TOKENS,
    apps: "/account/settings/app-authorizations",
    forms: &[
        TokenForm {
            path: TOKENS,
            title: "Create API token with scopes",
            kind: API_TOKEN,
            name: ("Name", "name"),
            description: None,
            end: EndField::Date(365),
            query: "selectedScopes",
            scopes: ScopeField::Boxes(OFFERED),
            button: "Create token",
        },
        TokenForm {
            path: "/manage-profile/security/api-tokens/without-scopes",
            title: "Create API token",
            kind: API_TOKEN,
            name: ("Name", "name"),
            description: None,
            end: EndField::Date(365),
            query: "",
            scopes: ScopeField::Boxes(&[]),
            button: "Create",
        },
    ],
    links: &[],
};

/// Bitbucket Cloud.
pub struct Bitbucket;

impl Dialect for Bitbucket {
    fn seed(&self, state: &mut State) {
        state.settings.rate_limit = 1_000;
    }

    fn settings(&self) -> &'static [Member] {
        &[
            // Whether REST takes API tokens as Bearer as well; about that there are different reports.
            Member { name: "bearer_api_tokens", holds: Holds::Flag(false) },
            // How the token endpoint calls the scopes: the second until May 2026.
            Member { name: "scope_key", holds: Holds::Word(&["scope", "scopes"]) },
            // What the consumer was registered with, separated by blanks.
            Member { name: "consumer_scopes", holds: Holds::MaybeText },
            // What REST calls tokens of consumers; nobody knows.
            Member { name: "oauth_credential_type", holds: Holds::MaybeText },
        ]
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn made(&self, state: &mut State, id: u64) {
        give_to_bot(state, id);
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
        let wanted: &[Wanted] = match need {
            Need::Metadata | Need::ReadContents => &[READ],
            // Writing does not include reading, but pushing does both.
            Need::WriteContents => &[READ, WRITE],
            Need::Hooks => &[HOOKS],
        };
        if wanted.iter().all(|wanted| holds(token, *wanted)) { Ok(()) } else { Err(Refusal::Permission) }
    }

    fn secret_prefixes(&self) -> &'static [&'static str] {
        &["ATATT3", "ATCTT3", "ATBB", "eyJ"]
    }

    fn token_page(&self) -> &'static TokenPage {
        &PAGE
    }

    fn oauth(&self) -> &'static Oauth {
        &RULES
    }

    /// Whatever is asked for, the consumer gets what it was registered with.
    fn ask(&self, state: &State, app: &App, _asked: Scopes) -> Result<Scopes, WishError> {
        let set = state.settings.own.text("consumer_scopes").map(|text| Scopes::parse(text, &[' ']));
        Ok(set
            .or_else(|| app.scopes.clone())
            .unwrap_or_else(|| Scopes::literal(["account", "repository:write"])))
    }

    fn refreshing(&self, _state: &State) -> Refreshing {
        Refreshing::Refresh
    }

    fn token_reply(&self, state: &State, token: &Token) -> Map<String, Value> {
        let mut reply = object(json!({
            "access_token": token.secret,
            "token_type": "bearer",
            "expires_in": ACCESS_LIFE.whole_seconds(),
            "refresh_token": token.refresh.as_ref().map(|refresh| &refresh.secret),
            "state": "authorization_code",
        }));
        let key = state.settings.own.text("scope_key").unwrap_or("scope");
        reply.insert(key.to_owned(), json!(token.scopes.join(" ")));
        reply
    }

    fn token_refusal(&self, error: &TokenError) -> (StatusCode, Map<String, Value>) {
        let (status, error, description) = match error {
            TokenError::Client => {
                (StatusCode::UNAUTHORIZED, "invalid_client", "Invalid OAuth client credentials")
            }
            TokenError::Code | TokenError::Verifier => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "The specified code is not valid.")
            }
            TokenError::RedirectMismatch => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "Redirect URI does not match.")
            }
            TokenError::Refresh | TokenError::SpentRefresh => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "Invalid refresh_token")
            }
            // Also the answer to JSON: only forms are read.
            TokenError::GrantType => {
                (StatusCode::BAD_REQUEST, "invalid_grant", "Unsupported grant type: None")
            }
            TokenError::Own(error, description) => (StatusCode::BAD_REQUEST, *error, *description),
        };
        (status, object(json!({ "error": error, "error_description": description })))
    }

    fn routes(&self, host: &SharedHost) -> Router<SharedHost> {
        Router::new().nest(API, api::router(host)).merge(pages::router())
    }

    fn not_found(&self, _host: &Host, path: &str) -> Option<Response> {
        path.starts_with(API).then(|| api::problem(StatusCode::NOT_FOUND, "Resource not found"))
    }

    fn room(&self, _method: &Method, path: &str) -> Option<Room> {
        match path.strip_prefix(API)? {
            "/user" => Some(Room::User),
            rest if rest.starts_with("/repositories/") => Some(Room::Repos),
            _ => Some(Room::Any),
        }
    }

    fn identity_door(&self) -> &'static str {
        "/2.0/user"
    }

    /// When it ends is not said, unless too many came at once.
    fn limited(&self, _host: &Host, limit: &Limit) -> Response {
        let status = limit.status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        let headers = [
            (HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(limit.limit)),
            (HeaderName::from_static("x-ratelimit-resource"), HeaderValue::from_static("api")),
            (HeaderName::from_static("x-ratelimit-nearlimit"), HeaderValue::from_static("true")),
        ];
        let retry_after = limit.burst.then(|| [(RETRY_AFTER, HeaderValue::from(limit.retry_after))]);
        let answer = api::problem(status, "Rate limit for this resource has been exceeded");
        (headers, retry_after, answer).into_response()
    }

    /// The e-mail address opens nothing here.
    fn git_caller(&self, host: &Host, headers: &HeaderMap) -> Result<Option<Token>, Box<Response>> {
        let refusal = || Box::new(git::unauthorized(REALM, "Invalid credentials"));
        let Presented::Basic { user, password } = Presented::read(headers) else {
            let nobody = matches!(Presented::read(headers), Presented::Nothing);
            return if nobody { Ok(None) } else { Err(refusal()) };
        };
        let mut state = host.state();
        let token = state.authenticate(&password).map_err(|_| refusal())?;
        let is_own_name = |person: &Person| person.login == user;
        let fits = match token.kind.name {
            APP_PASSWORD => false,
            API_TOKEN => {
                !token.scopes.is_empty()
                    && (user == NAME_OF_API_TOKENS || state.person(token.person).is_some_and(is_own_name))
            }
            _ => user == NAME_OF_OTHERS,
        };
        if fits { Ok(Some(token)) } else { Err(refusal()) }
    }

    fn git_refusal(&self, _host: &Host, denied: &Denied) -> Response {
        if denied.token.is_none() {
            return git::unauthorized(REALM, "Authentication required");
        }
        match denied.refusal {
            Refusal::Hidden => git::text(StatusCode::NOT_FOUND, api::NO_REPOSITORY),
            Refusal::Permission => git::text(StatusCode::FORBIDDEN, api::LACKS),
            Refusal::Role | Refusal::Rules => git::text(StatusCode::FORBIDDEN, "Forbidden"),
        }
    }
}

/// What something takes: in the words of API tokens, and in those of all others.
#[derive(Clone, Copy)]
struct Wanted(&'static str, &'static str);

const READ: Wanted = Wanted("read:repository:bitbucket", "repository");
const WRITE: Wanted = Wanted("write:repository:bitbucket", "repository:write");
const HOOKS: Wanted = Wanted("read:webhook:bitbucket", "webhook");

impl Wanted {
    fn of(self, token: &Token) -> &'static str {
        if token.kind.name == API_TOKEN { self.0 } else { self.1 }
    }
}

fn holds(token: &Token, wanted: Wanted) -> bool {
    token.scopes.allow(wanted.of(token), contained)
}

/// Everything below a scope. Those of API tokens contain nothing, nor do those that administer or delete.
fn contained(scope: &str) -> &'static [&'static str] {
    match scope {
        "repository:write" | "pullrequest" | "project" => &["repository"],
        "pullrequest:write" => &["pullrequest", "repository:write", "repository"],
        "account" => &["email"],
        "account:write" => &["account", "email"],
        _ => &[],
    }
}

fn is_access_token(token: &Token) -> bool {
    ACCESS_TOKENS.contains(&token.kind.name)
}

/// Makes the bot that stands for an access token. What the token may do, the bot may: in the first of the repositories,
/// by default in acme/infra, or in all of the workspace acme unless some are named.
fn give_to_bot(state: &mut State, id: u64) {
    let Some(token) = state.token_by_id_mut(id).cloned() else { return };
    if !is_access_token(&token) || state.person(token.person).is_none_or(|person| person.bot) {
        return;
    }
    let bot = state.next_id() + 1_000_000;
    state.people.push(Person {
        id: bot,
        login: format!("bot-{bot}"),
        name: if token.note.is_empty() { "Access token".to_owned() } else { token.note.clone() },
        email: format!("{bot}@bots.forge.example"),
        password: String::new(),
        bot: true,
    });
    let named = token.repositories.unwrap_or_default();
    let home = named.first().map_or("acme/infra", String::as_str);
    let of_one = token.kind.name == ACCESS_TOKENS[0];
    let mut reached = Vec::new();
    for repository in &mut state.repositories {
        let full_name = repository.full_name();
        let is_reached = match (of_one, named.is_empty()) {
            (true, _) => full_name == home,
            (false, true) => repository.owner == "acme",
            (false, false) => named.contains(&full_name),
        };
        if is_reached {
            repository.members.insert(bot, Role::Admin);
            reached.push(full_name);
        }
    }
    if let Some(token) = state.token_by_id_mut(id) {
        token.person = bot;
        token.repositories = Some(reached);
    }
}

/// Both kinds of tokens end in the checksum of all that stands before it.
fn mint(prefix: &str) -> String {
    let body = format!("{prefix}xFfGF0{}=", random::alphanumeric(170));
    let checksum = mint::digits(u64::from(mint::crc32(body.as_bytes())), UPPER_HEX, 8);
    format!("{body}{checksum}")
}

#[cfg(test)]
mod tests {
    use super::{KINDS, mint};
    use crate::mint::crc32;

    #[test]
    fn a_token_ends_in_the_checksum_of_the_rest() {
        let token = mint("ATATT3");
        let (body, checksum) = token.split_at(token.len() - 8);
        assert!(body.ends_with('='));
        assert_eq!(format!("{:08X}", crc32(body.as_bytes())), checksum);
    }

    #[test]
    fn kinds_differ_in_how_they_begin() {
        let begin = |name: &str| {
            let kind = KINDS.iter().find(|kind| kind.name == name).unwrap();
            (kind.mint)()
        };
        assert!(begin("api_token").starts_with("ATATT3") && begin("repo_access_token").starts_with("ATCTT3"));
        assert_eq!(begin("app_password").len(), 36);
        assert!(begin("oauth").len() > 1_000);
    }
}
