//! GitHub: the public host, and its enterprise server.

mod api;
mod pages;

use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::{format_description, offset};
use time::{Duration, OffsetDateTime};

use super::{
    Denied, Dialect, EndField, Limit, Oauth, ScopeField, TokenError, TokenForm, TokenPage, WishError, object,
};
use crate::auth::Presented;
use crate::fault::Room;
use crate::git;
use crate::host::{
    App, Host, Need, OCTOCAT, Refusal, Repository, Role, SharedHost, State, organization, repository,
};
use crate::mint;
use crate::own::{Holds, Member};
use crate::random::{self, BASE62};
use crate::scope::Scopes;
use crate::token::{Kind, Level, Permissions, RefreshKind, Rights, Token};

/// The public host: REST at the root.
pub static PUBLIC: Github = Github { enterprise: false };
/// The enterprise server: REST under `/api/v3`.
pub static ENTERPRISE: Github = Github { enterprise: true };

/// How long a GitHub App's token works.
const APP_TOKEN_LIFE: Duration = Duration::hours(8);
/// How long the refresh token of a GitHub App works.
const APP_REFRESH_LIFE: Duration = Duration::seconds(15_897_600);
/// How long a link to single sign-on works.
const SINGLE_SIGN_ON_LIFE: Duration = Duration::hours(1);
/// As many tokens one person can have of one OAuth app with one set of scopes.
const TOKENS_PER_SCOPES: usize = 10;
/// The organisation that enforces single sign-on.
const ENFORCING: &str = "acme-sso";

const ENTERPRISE_PREFIX: &str = "/api/v3";
/// Where the real host explains errors.
const TROUBLESHOOTING: &str = "https://docs.github.com/apps/managing-oauth-apps";

const SINGLE_SIGN_ON: HeaderName = HeaderName::from_static("x-github-sso");
const EXPIRY_UTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
const EXPIRY_OFFSET: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

/// A personal access token with scopes.
const CLASSIC: &str = "classic";
/// A personal access token with permissions.
const FINE_GRAINED: &str = "fine_grained";
/// A token of an OAuth app.
const OAUTH: &str = "oauth";
/// A user's token of a GitHub App.
const GITHUB_APP: &str = "github_app";
/// A token from before prefixes: 40 hexadecimal digits.
const LEGACY: &str = "legacy";

static KINDS: [Kind; 5] = [
    Kind {
        name: CLASSIC,
        label: "Classic token",
        mint: || checksummed("ghp_", &random::alphanumeric(30)),
        ..Kind::PERSONAL
    },
    Kind {
        name: FINE_GRAINED,
        label: "Fine-grained token",
        rights: Rights::Permissions,
        mint: || format!("github_pat_11{}_{}", random::alphanumeric(20), random::alphanumeric(59)),
        ..Kind::PERSONAL
    },
    Kind {
        name: OAUTH,
        label: "Token of an OAuth app",
        mint: || checksummed("gho_", &random::alphanumeric(30)),
        for_apps: true,
        ..Kind::PERSONAL
    },
    Kind {
        name: GITHUB_APP,
        label: "Token of a GitHub App",
        rights: Rights::Permissions,
        mint: || checksummed("ghu_", &random::alphanumeric(30)),
        for_apps: true,
        life: Some(APP_TOKEN_LIFE),
        refresh: Some(RefreshKind { mint: mint_refresh, life: Some(APP_REFRESH_LIFE) }),
    },
    Kind { name: LEGACY, label: "Old token without a prefix", mint: random::hex::<20>, ..Kind::PERSONAL },
];

static OAUTH_RULES: Oauth = Oauth {
    authorize: "/login/oauth/authorize",
    token: "/login/oauth/access_token",
    mint_code: random::hex::<10>,
    response_type: false,
    separators: &[' ', ',', '+'],
    prompts: &["consent", "select_account"],
    may_untick: true,
    no_scope: "It asks for no scope: it only learns who you are.",
    exact_redirect: false,
    mismatch_returns: true,
    repeat_redirect: false,
    query: true,
    json: true,
    code_by_default: true,
    ..Oauth::STANDARD
};

/// Scopes that the pages offer.
const OFFERED: &[&str] = &[
    "repo",
    "repo:status",
    "repo_deployment",
    "public_repo",
    "repo:invite",
    "security_events",
    "workflow",
    "admin:repo_hook",
    "write:repo_hook",
    "read:repo_hook",
    "admin:org",
    "write:org",
    "read:org",
    "user",
    "read:user",
    "user:email",
    "user:follow",
    "gist",
];

const EXPIRATIONS: &[(&str, &str)] = &[
    ("7", "In 7 days"),
    ("30", "In 30 days"),
    ("60", "In 60 days"),
    ("90", "In 90 days"),
    ("366", "In 366 days"),
    ("none", "Never"),
];

static CLASSIC_FORM: [TokenForm; 1] = [TokenForm {
    path: "/settings/tokens/new",
    title: "New classic token",
    kind: CLASSIC,
    name: ("Note", "description"),
    description: None,
    end: EndField::Days(EXPIRATIONS, "30"),
    query: "scopes",
    scopes: ScopeField::Boxes(OFFERED),
    button: "Generate token",
}];

static PUBLIC_PAGE: TokenPage = TokenPage {
    list: "/settings/tokens",
    apps: "/settings/applications",
    forms: &CLASSIC_FORM,
    links: &[(pages::NEW_FINE_GRAINED, "New fine-grained token")],
};

/// The enterprise server has no page for fine-grained tokens that a link can fill in.
static ENTERPRISE_PAGE: TokenPage =
    TokenPage { list: "/settings/tokens", apps: "/settings/applications", forms: &CLASSIC_FORM, links: &[] };

/// GitHub or its enterprise server.
pub struct Github {
    enterprise: bool,
}

/// What only this dialect remembers: links to single sign-on that were handed out.
#[derive(Default)]
struct Links(Vec<SsoRequest>);

/// A link to single sign-on that was handed out for a token.
struct SsoRequest {
    /// The part of the link that cannot be guessed.
    key: String,
    /// Which token asked.
    token: u64,
    /// When the link stops working.
    expires_at: OffsetDateTime,
}

impl Github {
    fn api_prefix(&self) -> &'static str {
        if self.enterprise { ENTERPRISE_PREFIX } else { "" }
    }

    /// Where its REST reference begins.
    fn documentation(&self) -> &'static str {
        if self.enterprise {
            "https://docs.github.com/enterprise-server@3.19/rest"
        } else {
            "https://docs.github.com/rest"
        }
    }
}

/// Which of the two this host is.
fn of(host: &Host) -> &'static Github {
    if host.shape == super::Shape::Ghes { &ENTERPRISE } else { &PUBLIC }
}

/// The address of a REST resource.
fn api_url(host: &Host, path: &str) -> String {
    host.page(&format!("{}{path}", of(host).api_prefix()))
}

impl Dialect for Github {
    fn seed(&self, state: &mut State) {
        state.organizations.push(organization(9_002, ENFORCING, &[OCTOCAT]));
        state.repositories.push(repository(1_005, ENFORCING, "ops", true, &[(OCTOCAT, Role::Push)]));
        if let Some(kind) = state.kind(GITHUB_APP) {
            state.apps.push(App {
                id: 102,
                client_id: "Iv1.gitwarddemo".to_owned(),
                client_secret: "gitward-demo-app-secret".to_owned(),
                name: "Gitward demo app".to_owned(),
                kind,
                scopes: None,
                permissions: Permissions::from([
                    ("contents".to_owned(), Level::Write),
                    ("metadata".to_owned(), Level::Read),
                ]),
                repositories: vec!["acme/infra".to_owned(), "acme/readonly".to_owned()],
            });
        }
        state.settings.rate_limits = !self.enterprise;
        state.own = Box::new(Links::default());
    }

    fn settings(&self) -> &'static [Member] {
        &[
            // Which tokens need single sign-on: those that were not authorized, all, or none.
            Member { name: "sso", holds: Holds::Word(&["classic", "every", "off"]) },
            // Shown instead of the host's own link to single sign-on.
            Member { name: "sso_url", holds: Holds::MaybeText },
            // Whether the token endpoint answers `unverified_user_email`.
            Member { name: "unverified_email", holds: Holds::Flag(false) },
            // Whether authorizing sends back `application_suspended`.
            Member { name: "app_suspended", holds: Holds::Flag(false) },
            // After so many bad credentials all are refused with 403, until a reset.
            Member { name: "max_bad_logins", holds: Holds::MaybeNumber },
        ]
    }

    fn kinds(&self) -> &'static [Kind] {
        &KINDS
    }

    fn token_members(&self) -> &'static [Member] {
        &[
            // The spelling of the expiry header.
            Member { name: "expiry_shape", holds: Holds::Word(&["utc", "offset"]) },
            // Whether it may enter organisations that enforce single sign-on.
            Member { name: "sso", holds: Holds::Flag(false) },
        ]
    }

    fn begin(&self, token: &mut Token) {
        token.own.set("sso", json!(![CLASSIC, LEGACY].contains(&token.kind.name)));
    }

    fn made(&self, state: &mut State, id: u64) {
        if let Some(token) = state.token_by_id_mut(id)
            && !token.kind.has_scopes()
        {
            token.permissions.entry("metadata".to_owned()).or_insert(Level::Read);
        }
    }

    /// Of eleven tokens alike the oldest is revoked.
    fn issued(&self, state: &mut State, token: &Token) {
        if !token.kind.has_scopes() {
            return;
        }
        let alike = state.tokens.iter_mut().rev().filter(|other| {
            !other.revoked
                && other.person == token.person
                && other.client_id == token.client_id
                && other.scopes == token.scopes
        });
        alike.skip(TOKENS_PER_SCOPES).for_each(|other| other.revoked = true);
    }

    fn contained(&self, scope: &str) -> &'static [&'static str] {
        contained(scope)
    }

    fn normalise(&self, scopes: Scopes) -> Scopes {
        scopes.normalised(contained)
    }

    fn allow(
        &self,
        state: &State,
        token: &Token,
        repository: &Repository,
        need: Need,
    ) -> Result<(), Refusal> {
        if needs_single_sign_on(state, token, &repository.owner) {
            return Err(Refusal::Rules);
        }
        if token.kind.has_scopes() {
            allow_by_scopes(token, repository, need)?;
        } else {
            allow_by_permissions(token, repository, need)?;
        }
        let hidden = need == Need::Hooks && repository.role(token.person) < Role::Admin;
        if hidden { Err(Refusal::Hidden) } else { Ok(()) }
    }

    fn secret_prefixes(&self) -> &'static [&'static str] {
        &["ghp_", "gho_", "ghu_", "ghr_", "ghs_", "github_pat_"]
    }

    fn token_page(&self) -> &'static TokenPage {
        if self.enterprise { &ENTERPRISE_PAGE } else { &PUBLIC_PAGE }
    }

    fn oauth(&self) -> &'static Oauth {
        &OAUTH_RULES
    }

    fn ask(&self, state: &State, _app: &App, asked: Scopes) -> Result<Scopes, WishError> {
        if state.settings.own.flag("app_suspended") {
            let description = "Your application has been suspended. Contact support.";
            return Err(WishError::Own("application_suspended", description));
        }
        Ok(self.normalise(asked))
    }

    /// An app that asks for nothing gets what it got before.
    fn known(&self, _state: &State, known: &Scopes, asked: &Scopes) -> Option<Scopes> {
        let granted = if asked.is_empty() { known } else { asked };
        known.cover(granted, contained).then(|| granted.clone())
    }

    fn wish_refusal(&self, error: &WishError) -> Vec<(&'static str, String)> {
        let (error, description, anchor) = match error {
            WishError::Denied => {
                ("access_denied", "The user has denied your application access.", "access-denied")
            }
            WishError::RedirectMismatch => (
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
                "redirect-uri-mismatch",
            ),
            WishError::Own(error, description) => (*error, *description, "application-suspended"),
            WishError::Challenge | WishError::ResponseType | WishError::Scope => {
                ("invalid_request", "The code_challenge_method must be S256.", "pkce")
            }
        };
        let explained = format!("{TROUBLESHOOTING}/troubleshooting-authorization-request-errors/#{anchor}");
        vec![
            ("error", error.to_owned()),
            ("error_description", description.to_owned()),
            ("error_uri", explained),
        ]
    }

    fn vet_exchange(&self, state: &State, _app: &App) -> Result<(), TokenError> {
        if state.settings.own.flag("unverified_email") {
            let description = "The user must have a verified primary email.";
            return Err(TokenError::Own("unverified_user_email", description));
        }
        Ok(())
    }

    fn token_reply(&self, _state: &State, token: &Token) -> Map<String, Value> {
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

    /// All refusals come with status 200.
    fn token_refusal(&self, error: &TokenError) -> (StatusCode, Map<String, Value>) {
        let (error, description) = match error {
            TokenError::Client => {
                ("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
            }
            TokenError::Code | TokenError::Verifier => {
                ("bad_verification_code", "The code passed is incorrect or expired.")
            }
            TokenError::RedirectMismatch => (
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            ),
            TokenError::Refresh | TokenError::SpentRefresh => {
                ("bad_refresh_token", "The refresh token passed is incorrect or expired.")
            }
            TokenError::GrantType => ("unsupported_grant_type", "The grant_type is not supported."),
            TokenError::Own(error, description) => (*error, *description),
        };
        let anchor = error.replace('_', "-");
        let explained =
            format!("{TROUBLESHOOTING}/troubleshooting-oauth-app-access-token-request-errors/#{anchor}");
        let body = json!({ "error": error, "error_description": description, "error_uri": explained });
        (StatusCode::OK, object(body))
    }

    /// A form, unless JSON is asked for.
    fn token_answer(&self, headers: &HeaderMap, status: StatusCode, body: Map<String, Value>) -> Response {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if accept.contains("application/json") {
            return (status, axum::Json(body)).into_response();
        }
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &body {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            form.append_pair(name, &text);
        }
        let kind = [(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")];
        (status, kind, form.finish()).into_response()
    }

    fn routes(&self, host: &SharedHost) -> Router<SharedHost> {
        let api = api::router(host);
        let api = if self.enterprise { Router::new().nest(ENTERPRISE_PREFIX, api) } else { api };
        api.merge(pages::router(self.enterprise))
    }

    fn not_found(&self, host: &Host, path: &str) -> Option<Response> {
        let api = if self.enterprise {
            path.starts_with(ENTERPRISE_PREFIX)
        } else {
            ["/repos/", "/user", "/users/", "/orgs/", "/applications/"]
                .iter()
                .any(|start| path.starts_with(start))
        };
        api.then(|| api::not_found(host))
    }

    fn room(&self, _method: &Method, path: &str) -> Option<Room> {
        let rest = path.strip_prefix(self.api_prefix()).unwrap_or(path);
        let others = ["/user", "/rate_limit", "/meta", "/applications/", "/credentials/"];
        if rest == "/user" {
            Some(Room::User)
        } else if rest.starts_with("/repos/") {
            Some(Room::Repos)
        } else {
            others.iter().any(|start| rest.starts_with(start)).then_some(Room::Any)
        }
    }

    fn identity_door(&self) -> &'static str {
        "/user"
    }

    fn limited(&self, _host: &Host, limit: &Limit) -> Response {
        let status = limit.status.unwrap_or(StatusCode::FORBIDDEN);
        let documentation = format!("{}/overview/rate-limits-for-the-rest-api", self.documentation());
        if limit.burst {
            let message = "You have exceeded a secondary rate limit. Please wait before you try again.";
            let body = json!({ "message": message, "documentation_url": documentation });
            let headers = [(RETRY_AFTER, HeaderValue::from(limit.retry_after))];
            return (status, headers, axum::Json(body)).into_response();
        }
        let message = format!("API rate limit exceeded for user ID {}.", limit.person);
        let body = json!({ "message": message, "documentation_url": documentation });
        let headers = [
            (HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(limit.limit)),
            (HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(0)),
            (HeaderName::from_static("x-ratelimit-used"), HeaderValue::from(limit.limit)),
            (HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from(limit.reset)),
            (HeaderName::from_static("x-ratelimit-resource"), HeaderValue::from_static("core")),
        ];
        (status, headers, axum::Json(body)).into_response()
    }

    fn oauth_fault(&self) -> (StatusCode, &'static str) {
        (StatusCode::OK, "bad_refresh_token")
    }

    fn git_caller(&self, host: &Host, headers: &HeaderMap) -> Result<Option<Token>, Box<Response>> {
        let refusal = || Box::new(git::unauthorized("GitHub", "Invalid username or token."));
        match Presented::read(headers) {
            Presented::Nothing => Ok(None),
            Presented::Basic { user, password } if !user.is_empty() => {
                host.state().authenticate(&password).map(Some).map_err(|_| refusal())
            }
            _ => Err(refusal()),
        }
    }

    fn git_refusal(&self, host: &Host, denied: &Denied) -> Response {
        let Some(token) = denied.token else {
            return git::unauthorized("GitHub", "No anonymous access.");
        };
        match denied.refusal {
            Refusal::Hidden => git::text(StatusCode::NOT_FOUND, "Repository not found."),
            Refusal::Role => {
                let (owner, name, login) = (denied.owner, denied.name, denied.login);
                let message = format!("Permission to {owner}/{name}.git denied to {login}.");
                git::text(StatusCode::FORBIDDEN, &message)
            }
            Refusal::Permission => {
                git::text(StatusCode::FORBIDDEN, "Write access to repository not granted.")
            }
            Refusal::Rules => {
                let organization = denied.owner;
                let link = single_sign_on_link(host, &mut host.state(), token, organization);
                let header = [(SINGLE_SIGN_ON, format!("required; url={link}"))];
                let message =
                    format!("The organization {organization} wants single sign-on for this token: {link}");
                (header, git::text(StatusCode::FORBIDDEN, &message)).into_response()
            }
        }
    }
}

/// Whether an organisation refuses the token until it was authorized.
fn needs_single_sign_on(state: &State, token: &Token, organization: &str) -> bool {
    organization.eq_ignore_ascii_case(ENFORCING)
        && match state.settings.own.text("sso") {
            Some("off") => false,
            Some("every") => true,
            _ => !token.own.flag("sso"),
        }
}

/// A link where the person can authorize a token for an organisation; it works for an hour.
fn single_sign_on_link(host: &Host, state: &mut State, token: &Token, organization: &str) -> String {
    if let Some(link) = state.settings.own.text("sso_url") {
        return link.to_owned();
    }
    let key = random::alphanumeric(40);
    let expires_at = state.now() + SINGLE_SIGN_ON_LIFE;
    if let Some(Links(links)) = state.own() {
        links.push(SsoRequest { key: key.clone(), token: token.id, expires_at });
    }
    host.page(&format!("/orgs/{organization}/sso?authorization_request={key}"))
}

fn allow_by_scopes(token: &Token, repository: &Repository, need: Need) -> Result<(), Refusal> {
    let full = token.scopes.allow("repo", contained);
    if repository.private && !full {
        return Err(Refusal::Hidden);
    }
    match need {
        Need::WriteContents if !token.scopes.allow("public_repo", contained) => Err(Refusal::Role),
        Need::Hooks if !full && !token.scopes.allow("read:repo_hook", contained) => Err(Refusal::Hidden),
        _ => Ok(()),
    }
}

fn allow_by_permissions(token: &Token, repository: &Repository, need: Need) -> Result<(), Refusal> {
    let selected = token.selects(&repository.full_name());
    if repository.private && !selected {
        return Err(Refusal::Hidden);
    }
    let open = !repository.private && matches!(need, Need::Metadata | Need::ReadContents);
    let (permission, level) = permission(need);
    // Whoever selects a repository gets its metadata without asking.
    if open || need == Need::Metadata || (selected && token.permits(permission, level)) {
        Ok(())
    } else {
        Err(Refusal::Permission)
    }
}

/// The permission that a token without scopes needs.
fn permission(need: Need) -> (&'static str, Level) {
    match need {
        Need::Metadata => ("metadata", Level::Read),
        Need::ReadContents => ("contents", Level::Read),
        Need::WriteContents => ("contents", Level::Write),
        Need::Hooks => ("repository_hooks", Level::Read),
    }
}

/// The value of `X-Accepted-GitHub-Permissions`.
fn accepted_permissions(need: Need) -> &'static str {
    match need {
        Need::Metadata => "metadata=read",
        Need::ReadContents => "contents=read",
        Need::WriteContents => "contents=write",
        Need::Hooks => "repository_hooks=read",
    }
}

/// The value of `X-Accepted-OAuth-Scopes`.
fn accepted_scopes(need: Need) -> &'static str {
    match need {
        Need::Metadata => "repo",
        Need::ReadContents | Need::WriteContents => "",
        Need::Hooks => "admin:repo_hook, public_repo, read:repo_hook, repo, write:repo_hook",
    }
}

/// Everything below a scope. Hooks are not below `repo`: the host lists `admin:repo_hook` beside it.
fn contained(scope: &str) -> &'static [&'static str] {
    match scope {
        "repo" => &["repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"],
        "admin:repo_hook" => &["write:repo_hook", "read:repo_hook"],
        "write:repo_hook" => &["read:repo_hook"],
        "admin:org" => &["write:org", "read:org"],
        "write:org" => &["read:org"],
        "admin:public_key" => &["write:public_key", "read:public_key"],
        "write:public_key" => &["read:public_key"],
        "admin:gpg_key" => &["write:gpg_key", "read:gpg_key"],
        "write:gpg_key" => &["read:gpg_key"],
        "write:packages" => &["read:packages"],
        "project" => &["read:project"],
        "user" => &["read:user", "user:email", "user:follow"],
        _ => &[],
    }
}

/// The value of `github-authentication-token-expiration`, in the spelling of this token.
fn expiry_header(token: &Token) -> Option<String> {
    let offset = token.own.text("expiry_shape") == Some("offset");
    token.expires_at.map(|end| if offset { expiry_with_offset(end) } else { expiry_in_utc(end) })
}

/// `2027-10-12 09:00:00 UTC`.
fn expiry_in_utc(instant: OffsetDateTime) -> String {
    instant.to_offset(time::UtcOffset::UTC).format(EXPIRY_UTC).unwrap_or_default()
}

/// `2027-03-31 00:00:00 +0900`.
fn expiry_with_offset(instant: OffsetDateTime) -> String {
    instant.to_offset(offset!(+9)).format(EXPIRY_OFFSET).unwrap_or_default()
}

/// A new secret that refreshes a GitHub App's token.
fn mint_refresh() -> String {
    checksummed("ghr_", &random::alphanumeric(70))
}

/// The token with this prefix and body: the last six characters are the body's checksum.
fn checksummed(prefix: &str, body: &str) -> String {
    format!("{prefix}{body}{}", checksum(body))
}

/// CRC-32 of the body in base 62, six digits.
fn checksum(body: &str) -> String {
    mint::digits(u64::from(mint::crc32(body.as_bytes())), BASE62, 6)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, checksum, expiry_in_utc, expiry_with_offset, mint_refresh};
    use crate::clock::parse_rfc3339;

    #[test]
    fn a_checksum_is_the_crc_of_the_body_in_base_62() {
        for (letter, first, second) in [("A", "0uC", "Plr"), ("0", "2C8", "GjS"), ("z", "4Il", "JEz")] {
            assert_eq!(checksum(&letter.repeat(30)), [first, second].concat());
        }
    }

    #[test]
    fn every_kind_has_its_prefix_and_length() {
        let shapes = [("ghp_", 40), ("github_pat_", 93), ("gho_", 40), ("ghu_", 40), ("", 40)];
        for (kind, (prefix, length)) in KINDS.iter().zip(shapes) {
            let secret = (kind.mint)();
            assert!(secret.starts_with(prefix));
            assert_eq!(secret.len(), length);
        }
        let refresh = mint_refresh();
        assert_eq!(refresh.len(), 80);
        assert_eq!(checksum(&refresh[4..74]), refresh[74..]);
    }

    #[test]
    fn an_expiry_is_written_in_both_shapes_of_the_header() {
        let first = parse_rfc3339("2027-10-12T09:00:00Z").unwrap();
        let second = parse_rfc3339("2027-03-30T15:00:00Z").unwrap();
        assert_eq!(expiry_in_utc(first), "2027-10-12 09:00:00 UTC");
        assert_eq!(expiry_with_offset(second), "2027-03-31 00:00:00 +0900");
    }
}
