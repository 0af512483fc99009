//! Everything the host knows: people, repositories, apps, tokens, and how it was told to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::clock::{self, Clock};
use crate::fault::Fault;
use crate::random;
use crate::record::Record;
use crate::scope::Scopes;
use crate::token::{ExpiryShape, Kind, Level, Permissions, Refresh, Token, mint_refresh};

/// How long an authorization code can be exchanged.
const CODE_LIFE: Duration = Duration::minutes(10);
/// How long a GitHub App's token works.
pub const APP_TOKEN_LIFE: Duration = Duration::hours(8);
/// How long the refresh token of a GitHub App works.
pub const APP_REFRESH_LIFE: Duration = Duration::seconds(15_897_600);
/// How long a link to single sign-on works.
const SINGLE_SIGN_ON_LIFE: Duration = Duration::hours(1);
/// As many tokens one person can have of one OAuth app with one set of scopes.
const TOKENS_PER_SCOPES: usize = 10;
/// As many requests are remembered.
const RECORDS: usize = 10_000;

/// Which product the host behaves like.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// The public host: REST at the root.
    Github,
    /// GitHub Enterprise Server: REST under `/api/v3`.
    Ghes,
}

impl Shape {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Ghes => "ghes",
        }
    }

    /// Where REST begins.
    pub fn api_prefix(self) -> &'static str {
        match self {
            Self::Github => "",
            Self::Ghes => "/api/v3",
        }
    }

    /// Where its REST reference begins.
    pub fn documentation(self) -> &'static str {
        match self {
            Self::Github => "https://docs.github.com/rest",
            Self::Ghes => "https://docs.github.com/enterprise-server@3.19/rest",
        }
    }
}

/// A host: what it was started with, and its state.
pub struct Host {
    /// Which product it behaves like.
    pub shape: Shape,
    /// The origin that browsers and clients use, without a slash at the end.
    pub public_url: String,
    /// Where the apps may send people back to.
    pub redirect_uris: Vec<String>,
    state: Mutex<State>,
}

/// How the rooms share the host.
pub type SharedHost = Arc<Host>;

impl Host {
    /// A host with the seeds. Without redirect URIs any port of `localhost` and `127.0.0.1` will do.
    pub fn new(shape: Shape, public_url: &str, redirect_uris: Vec<String>) -> Self {
        let redirect_uris = if redirect_uris.is_empty() {
            vec!["http://127.0.0.1:*".to_owned(), "http://localhost:*".to_owned()]
        } else {
            redirect_uris
        };
        let public_url = public_url.trim_end_matches('/').to_owned();
        Self { shape, public_url, redirect_uris, state: Mutex::new(State::seeded(shape)) }
    }

    /// The state, for as long as the guard lives. Do not hold it across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Back to the seeds, with the clock where the machine's is.
    pub fn reset(&self) {
        *self.state() = State::seeded(self.shape);
    }

    /// The address of a REST resource.
    pub fn api(&self, path: &str) -> String {
        format!("{}{}{path}", self.public_url, self.shape.api_prefix())
    }

    /// The address of a page.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// The name of the session cookie: browsers share cookies between ports, so it carries the port.
    pub fn cookie_name(&self) -> String {
        let port = url::Url::parse(&self.public_url).ok().and_then(|url| url.port_or_known_default());
        format!("forge_session_{}", port.unwrap_or_default())
    }
}

/// A person who can sign in.
#[derive(Clone)]
pub struct Person {
    /// The account's number.
    pub id: u64,
    /// The account's name.
    pub login: String,
    /// What the profile calls the person.
    pub name: String,
    /// What opens the account.
    pub password: String,
}

/// An organisation.
#[derive(Clone)]
pub struct Organization {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub login: String,
    /// Whether it enforces single sign-on.
    pub single_sign_on: bool,
    /// The numbers of its members.
    pub members: Vec<u64>,
}

/// What a person may do in a repository; each role includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Not even see it, unless it is public.
    None,
    /// Clone.
    Read,
    /// Push.
    Push,
    /// Administer, such as hooks.
    Admin,
}

/// A repository.
#[derive(Clone)]
pub struct Repository {
    /// Its number.
    pub id: u64,
    /// The organisation it belongs to.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whether only members see it.
    pub private: bool,
    /// Who may do what.
    pub members: BTreeMap<u64, Role>,
}

impl Repository {
    /// `owner/name`
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// What this person may do here.
    pub fn role(&self, person: u64) -> Role {
        let everyone = if self.private { Role::None } else { Role::Read };
        self.members.get(&person).copied().unwrap_or(everyone).max(everyone)
    }
}

/// Which dialect of OAuth an app speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AppKind {
    /// Scopes, tokens without an end.
    OauthApp,
    /// Permissions of an installation, tokens of eight hours with a refresh token.
    GithubApp,
}

/// An app that asks people for access.
#[derive(Clone)]
pub struct App {
    /// Its number.
    pub id: u64,
    /// Its name for OAuth.
    pub client_id: String,
    /// What proves that a server speaks for it.
    pub client_secret: String,
    /// What people see.
    pub name: String,
    /// Which dialect it speaks.
    pub kind: AppKind,
    /// What a GitHub App's installation permits.
    pub permissions: Permissions,
    /// What a GitHub App's installation reaches.
    pub repositories: Vec<String>,
}

/// An authorization code.
#[derive(Clone)]
pub struct Code {
    /// The code itself.
    pub code: String,
    /// For which app.
    pub client_id: String,
    /// Who agreed.
    pub person: u64,
    /// To what.
    pub scopes: Scopes,
    /// Where the person was sent.
    pub redirect_uri: String,
    /// SHA-256 of the verifier, in base64url.
    pub challenge: Option<String>,
    /// When it stops working.
    pub expires_at: OffsetDateTime,
}

/// What a person has agreed to before.
#[derive(Clone)]
pub struct Grant {
    /// Who.
    pub person: u64,
    /// To which app.
    pub client_id: String,
    /// Which scopes.
    pub scopes: Scopes,
}

/// Which tokens an organisation with single sign-on refuses until they were authorized.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SingleSignOn {
    /// Those that were not authorized; at their creation only classic and old ones are not.
    Classic,
    /// All.
    Every,
    /// None.
    Off,
}

/// Switches that `POST /_forge/settings` turns.
#[derive(Clone, Serialize)]
pub struct Settings {
    /// For so long a token fresh from the token endpoint is refused.
    pub fresh_token_401_ms: u64,
    /// Added to the callback as `iss`.
    pub iss: Option<String>,
    /// Which tokens need single sign-on.
    pub sso: SingleSignOn,
    /// Shown instead of the host's own link to single sign-on.
    pub sso_url: Option<String>,
    /// Whether there are rate limits and their headers.
    pub rate_limits: bool,
    /// Requests per hour and person.
    pub rate_limit: u64,
    /// Whether the token endpoint answers `unverified_user_email`.
    pub unverified_email: bool,
    /// Whether authorizing sends back `application_suspended`.
    pub app_suspended: bool,
    /// After so many bad credentials all are refused with 403, until a reset.
    pub max_bad_logins: Option<u64>,
}

/// A link to single sign-on that was handed out for a token.
pub struct SsoRequest {
    /// The part of the link that cannot be guessed.
    pub key: String,
    /// Which token asked.
    pub token: u64,
    /// When the link stops working.
    pub expires_at: OffsetDateTime,
}

/// Requests of one person in the current hour.
#[derive(Clone, Copy)]
pub struct Window {
    /// When the hour ends.
    pub reset: OffsetDateTime,
    /// How many there were.
    pub used: u64,
}

/// What a request wants from a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Know that it exists.
    Metadata,
    /// Read its files.
    ReadContents,
    /// Push.
    WriteContents,
    /// List its hooks.
    Hooks,
}

impl Need {
    /// The permission that a token without scopes needs.
    pub fn permission(self) -> (&'static str, Level) {
        match self {
            Self::Metadata => ("metadata", Level::Read),
            Self::ReadContents => ("contents", Level::Read),
            Self::WriteContents => ("contents", Level::Write),
            Self::Hooks => ("repository_hooks", Level::Read),
        }
    }

    /// The value of `X-Accepted-GitHub-Permissions`.
    pub fn accepted_permissions(self) -> &'static str {
        match self {
            Self::Metadata => "metadata=read",
            Self::ReadContents => "contents=read",
            Self::WriteContents => "contents=write",
            Self::Hooks => "repository_hooks=read",
        }
    }

    /// The value of `X-Accepted-OAuth-Scopes`.
    pub fn accepted_scopes(self) -> &'static str {
        match self {
            Self::Metadata => "repo",
            Self::ReadContents | Self::WriteContents => "",
            Self::Hooks => "admin:repo_hook, public_repo, read:repo_hook, repo, write:repo_hook",
        }
    }
}

/// Why a request may not have what it wants from a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As if it did not exist.
    Hidden,
    /// The organisation wants single sign-on first.
    SingleSignOn,
    /// The token lacks a permission.
    Permission,
    /// The person or the scopes do not reach so far.
    Role,
}

/// All that a reset forgets.
pub struct State {
    /// The movable clock.
    pub clock: Clock,
    /// Who can sign in.
    pub people: Vec<Person>,
    /// Who owns repositories.
    pub organizations: Vec<Organization>,
    /// What can be cloned.
    pub repositories: Vec<Repository>,
    /// Who asks for access.
    pub apps: Vec<App>,
    /// Every token ever issued since the reset.
    pub tokens: Vec<Token>,
    /// Codes not yet exchanged.
    pub codes: Vec<Code>,
    /// What people agreed to.
    pub grants: Vec<Grant>,
    /// Who is signed in, by cookie.
    pub sessions: BTreeMap<String, u64>,
    /// Links to single sign-on.
    pub sso_requests: Vec<SsoRequest>,
    /// How it was told to misbehave.
    pub faults: Vec<Fault>,
    /// Other switches.
    pub settings: Settings,
    /// What was asked, oldest first.
    pub records: VecDeque<Record>,
    /// Requests per person, 0 standing for nobody.
    pub windows: BTreeMap<u64, Window>,
    /// How many bad credentials were shown.
    pub bad_logins: u64,
    last_id: u64,
}

const OCTOCAT: u64 = 583_231;
const HUBOT: u64 = 2;

impl State {
    fn seeded(shape: Shape) -> Self {
        Self {
            clock: Clock::default(),
            people: vec![person(OCTOCAT, "octocat", "The Octocat"), person(HUBOT, "hubot", "Hubot")],
            organizations: vec![
                organization(9_001, "acme", false, &[OCTOCAT, HUBOT]),
                organization(9_002, "acme-sso", true, &[OCTOCAT]),
            ],
            repositories: vec![
                repository(1_001, "acme", "infra", true, &[(OCTOCAT, Role::Admin)]),
                repository(1_002, "acme", "public", false, &[(OCTOCAT, Role::Push)]),
                repository(1_003, "acme", "secret-ops", true, &[(HUBOT, Role::Push)]),
                repository(1_004, "acme", "readonly", true, &[(OCTOCAT, Role::Read)]),
                repository(1_005, "acme-sso", "ops", true, &[(OCTOCAT, Role::Push)]),
            ],
            apps: vec![
                App {
                    id: 101,
                    client_id: "gitward-demo".to_owned(),
                    client_secret: "gitward-demo-secret".to_owned(),
                    name: "Gitward demo".to_owned(),
                    kind: AppKind::OauthApp,
                    permissions: Permissions::new(),
                    repositories: Vec::new(),
                },
                App {
                    id: 102,
                    client_id: "Iv1.gitwarddemo".to_owned(),
                    client_secret: "gitward-demo-app-secret".to_owned(),
                    name: "Gitward demo app".to_owned(),
                    kind: AppKind::GithubApp,
                    permissions: Permissions::from([
                        ("contents".to_owned(), Level::Write),
                        ("metadata".to_owned(), Level::Read),
                    ]),
                    repositories: vec!["acme/infra".to_owned(), "acme/readonly".to_owned()],
                },
            ],
            tokens: Vec::new(),
            codes: Vec::new(),
            grants: Vec::new(),
            sessions: BTreeMap::new(),
            sso_requests: Vec::new(),
            faults: Vec::new(),
            settings: Settings {
                fresh_token_401_ms: 0,
                iss: None,
                sso: SingleSignOn::Classic,
                sso_url: None,
                rate_limits: shape == Shape::Github,
                rate_limit: 5_000,
                unverified_email: false,
                app_suspended: false,
                max_bad_logins: None,
            },
            records: VecDeque::new(),
            windows: BTreeMap::new(),
            bad_logins: 0,
            last_id: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A number that nothing else has.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The person with this number.
    pub fn person(&self, id: u64) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }

    /// The person with this account name.
    pub fn person_named(&self, login: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.login.eq_ignore_ascii_case(login))
    }

    /// The repository at `owner/name`.
    pub fn repository(&self, owner: &str, name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repository| {
            repository.owner.eq_ignore_ascii_case(owner) && repository.name.eq_ignore_ascii_case(name)
        })
    }

    /// The organisation with this name.
    pub fn organization(&self, login: &str) -> Option<&Organization> {
        self.organizations.iter().find(|organization| organization.login.eq_ignore_ascii_case(login))
    }

    /// The app with this client id.
    pub fn app(&self, client_id: &str) -> Option<&App> {
        self.apps.iter().find(|app| app.client_id == client_id)
    }

    /// The token with this secret, whether it works or not.
    pub fn token(&self, secret: &str) -> Option<&Token> {
        self.tokens.iter().find(|token| token.secret == secret)
    }

    /// The same, to change it.
    pub fn token_mut(&mut self, secret: &str) -> Option<&mut Token> {
        self.tokens.iter_mut().find(|token| token.secret == secret)
    }

    /// The token with this number, to change it.
    pub fn token_by_id_mut(&mut self, id: u64) -> Option<&mut Token> {
        self.tokens.iter_mut().find(|token| token.id == id)
    }

    /// The working token with this secret.
    pub fn authenticate(&mut self, secret: &str) -> Option<Token> {
        let now = self.now();
        let found = self.token(secret).filter(|token| token.works(now)).cloned();
        if found.is_none() {
            self.bad_logins += 1;
        }
        found
    }

    /// Whether so many bad credentials were shown that even good ones are refused.
    pub fn locked_out(&self) -> bool {
        self.settings.max_bad_logins.is_some_and(|most| self.bad_logins >= most)
    }

    /// Makes a token with nothing in it but its secret, and remembers it.
    pub fn issue(&mut self, kind: Kind, person: u64, fill: impl FnOnce(&mut Token)) -> Token {
        let mut token = Token {
            id: self.next_id(),
            secret: kind.mint(),
            kind,
            person,
            note: String::new(),
            client_id: None,
            scopes: Scopes::default(),
            permissions: Permissions::new(),
            repositories: None,
            single_sign_on: !matches!(kind, Kind::Classic | Kind::Legacy),
            created_at: self.now(),
            accepted_from: None,
            expires_at: None,
            expiry_shape: ExpiryShape::Utc,
            revoked: false,
            refresh: None,
        };
        fill(&mut token);
        self.tokens.push(token.clone());
        token
    }

    /// Issues what an app gets for a code: an eleventh token with the same scopes ends the oldest.
    pub fn issue_for_app(&mut self, app: &App, person: u64, scopes: Scopes) -> Token {
        let now = self.now();
        let patience = i64::try_from(self.settings.fresh_token_401_ms).unwrap_or(i64::MAX);
        let accepted_from = now.checked_add(Duration::milliseconds(patience));
        let kind = match app.kind {
            AppKind::OauthApp => Kind::Oauth,
            AppKind::GithubApp => Kind::GithubApp,
        };
        let issued = self.issue(kind, person, |token| {
            token.note = app.name.clone();
            token.client_id = Some(app.client_id.clone());
            token.accepted_from = accepted_from.filter(|start| *start > now);
            match app.kind {
                AppKind::OauthApp => token.scopes = scopes,
                AppKind::GithubApp => {
                    token.permissions = app.permissions.clone();
                    token.repositories = Some(app.repositories.clone());
                    token.expires_at = Some(now + APP_TOKEN_LIFE);
                    token.refresh =
                        Some(Refresh { secret: mint_refresh(), expires_at: now + APP_REFRESH_LIFE });
                }
            }
        });
        if app.kind == AppKind::OauthApp {
            self.keep_the_newest(&issued);
        }
        issued
    }

    fn keep_the_newest(&mut self, issued: &Token) {
        let alike = self.tokens.iter_mut().rev().filter(|token| {
            !token.revoked
                && token.person == issued.person
                && token.client_id == issued.client_id
                && token.scopes == issued.scopes
        });
        alike.skip(TOKENS_PER_SCOPES).for_each(|token| token.revoked = true);
    }

    /// Makes a code that can be exchanged for ten minutes.
    pub fn issue_code(&mut self, fill: impl FnOnce(&mut Code)) -> String {
        let mut code = Code {
            code: random::hex::<10>(),
            client_id: String::new(),
            person: 0,
            scopes: Scopes::default(),
            redirect_uri: String::new(),
            challenge: None,
            expires_at: self.now() + CODE_LIFE,
        };
        fill(&mut code);
        let value = code.code.clone();
        self.codes.push(code);
        value
    }

    /// Takes a code away, so that nobody can use it again. Too old a code is not given out.
    pub fn take_code(&mut self, value: &str) -> Option<Code> {
        let now = self.now();
        let position = self.codes.iter().position(|code| code.code == value)?;
        Some(self.codes.swap_remove(position)).filter(|code| now < code.expires_at)
    }

    /// What a person agreed to for an app.
    pub fn grant(&self, person: u64, client_id: &str) -> Option<&Grant> {
        self.grants.iter().find(|grant| grant.person == person && grant.client_id == client_id)
    }

    /// Remembers what a person agrees to.
    pub fn remember_grant(&mut self, person: u64, client_id: &str, scopes: &Scopes) {
        let known =
            self.grants.iter_mut().find(|grant| grant.person == person && grant.client_id == client_id);
        match known {
            Some(grant) => grant.scopes = grant.scopes.union(scopes),
            None => {
                self.grants.push(Grant { person, client_id: client_id.to_owned(), scopes: scopes.clone() })
            }
        }
    }

    /// Forgets an agreement and ends all tokens that came of it.
    pub fn end_grant(&mut self, person: u64, client_id: &str) {
        self.grants.retain(|grant| grant.person != person || grant.client_id != client_id);
        for token in &mut self.tokens {
            if token.person == person && token.client_id.as_deref() == Some(client_id) {
                token.revoked = true;
            }
        }
    }

    /// What this token, or nobody, may do to a repository.
    pub fn allow(&self, token: Option<&Token>, repository: &Repository, need: Need) -> Result<(), Refusal> {
        let Some(token) = token else {
            let open = !repository.private && matches!(need, Need::Metadata | Need::ReadContents);
            return if open { Ok(()) } else { Err(Refusal::Hidden) };
        };
        let role = repository.role(token.person);
        if role == Role::None {
            return Err(Refusal::Hidden);
        }
        if self.needs_single_sign_on(token, &repository.owner) {
            return Err(Refusal::SingleSignOn);
        }
        if token.kind.has_scopes() {
            allow_by_scopes(token, repository, need)?;
        } else {
            allow_by_permissions(token, repository, need)?;
        }
        match need {
            Need::WriteContents if role < Role::Push => Err(Refusal::Role),
            Need::Hooks if role < Role::Admin => Err(Refusal::Hidden),
            _ => Ok(()),
        }
    }

    /// Whether an organisation refuses the token until it was authorized.
    pub fn needs_single_sign_on(&self, token: &Token, organization: &str) -> bool {
        let enforced = self.organization(organization).is_some_and(|found| found.single_sign_on);
        enforced
            && match self.settings.sso {
                SingleSignOn::Off => false,
                SingleSignOn::Every => true,
                SingleSignOn::Classic => !token.single_sign_on,
            }
    }

    /// A link where the person can authorize a token for an organisation; it works for an hour.
    pub fn single_sign_on_link(&mut self, host: &Host, token: &Token, organization: &str) -> String {
        if let Some(link) = &self.settings.sso_url {
            return link.clone();
        }
        let key = random::alphanumeric(40);
        let expires_at = self.now() + SINGLE_SIGN_ON_LIFE;
        self.sso_requests.push(SsoRequest { key: key.clone(), token: token.id, expires_at });
        host.page(&format!("/orgs/{organization}/sso?authorization_request={key}"))
    }

    /// Counts a request and tells how many there were in this hour.
    pub fn count_request(&mut self, person: u64) -> Window {
        let now = self.now();
        let fresh = Window { reset: now + Duration::hours(1), used: 0 };
        let window = self.windows.entry(person).or_insert(fresh);
        if now >= window.reset {
            *window = fresh;
        }
        window.used += 1;
        *window
    }

    /// As many requests a person may make in an hour, 0 standing for nobody.
    pub fn rate_limit(&self, person: u64) -> u64 {
        if person == 0 { 60 } else { self.settings.rate_limit }
    }

    /// Remembers a request.
    pub fn record(&mut self, record: Record) {
        if self.records.len() == RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// The time as the records carry it.
    pub fn timestamp(&self) -> String {
        clock::rfc3339(self.now())
    }
}

fn allow_by_scopes(token: &Token, repository: &Repository, need: Need) -> Result<(), Refusal> {
    let full = token.scopes.allow("repo");
    if repository.private && !full {
        return Err(Refusal::Hidden);
    }
    match need {
        Need::WriteContents if !token.scopes.allow("public_repo") => Err(Refusal::Role),
        Need::Hooks if !full && !token.scopes.allow("read:repo_hook") => Err(Refusal::Hidden),
        _ => Ok(()),
    }
}

fn allow_by_permissions(token: &Token, repository: &Repository, need: Need) -> Result<(), Refusal> {
    let selected = token.selects(&repository.full_name());
    if repository.private && !selected {
        return Err(Refusal::Hidden);
    }
    let open = !repository.private && matches!(need, Need::Metadata | Need::ReadContents);
    let (permission, level) = need.permission();
    // Whoever selects a repository gets its metadata without asking.
    if open || need == Need::Metadata || (selected && token.permits(permission, level)) {
        Ok(())
    } else {
        Err(Refusal::Permission)
    }
}

fn person(id: u64, login: &str, name: &str) -> Person {
    Person { id, login: login.to_owned(), name: name.to_owned(), password: login.to_owned() }
}

fn organization(id: u64, login: &str, single_sign_on: bool, members: &[u64]) -> Organization {
    Organization { id, login: login.to_owned(), single_sign_on, members: members.to_vec() }
}

fn repository(id: u64, owner: &str, name: &str, private: bool, members: &[(u64, Role)]) -> Repository {
    let members = members.iter().copied().collect();
    Repository { id, owner: owner.to_owned(), name: name.to_owned(), private, members }
}
