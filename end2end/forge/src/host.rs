//! Everything the host knows: people, repositories, apps, tokens, and how it was told to misbehave.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::clock::{self, Clock};
use crate::dialect::{Dialect, Shape};
use crate::fault::Fault;
use crate::own::Own;
use crate::record::Record;
use crate::scope::Scopes;
use crate::token::{Kind, Permissions, Refresh, RefreshKind, Token};

/// As many requests are remembered.
const RECORDS: usize = 10_000;

/// A host: what it was started with, and its state.
pub struct Host {
    /// Which product it behaves like.
    pub shape: Shape,
    /// The address that browsers and clients use, without a slash at the end.
    pub public_url: String,
    /// Where the apps may send people back to.
    pub redirect_uris: Vec<String>,
    /// The path of the public address: everything but the control room is below it. Empty, or like `/path`.
    pub context: String,
    state: Mutex<State>,
}

/// How the rooms share the host.
pub type SharedHost = Arc<Host>;

impl Host {
    /// A host with the seeds. Without redirect URIs any port of `localhost` and `127.0.0.1` will do. Below a public URL
    /// without a path it lives where the product usually does.
    pub fn new(shape: Shape, public_url: &str, redirect_uris: Vec<String>) -> Self {
        let redirect_uris = if redirect_uris.is_empty() {
            vec!["http://127.0.0.1:*".to_owned(), "http://localhost:*".to_owned()]
        } else {
            redirect_uris
        };
        let public_url = public_url.trim_end_matches('/');
        let given = url::Url::parse(public_url).map(|url| url.path().trim_end_matches('/').to_owned());
        let (public_url, context) = match given {
            Ok(path) if !path.is_empty() => (public_url.to_owned(), path),
            _ => {
                let usual = shape.dialect().context_path();
                (format!("{public_url}{usual}"), usual.to_owned())
            }
        };
        Self { shape, public_url, redirect_uris, context, state: Mutex::new(State::seeded(shape)) }
    }

    /// What it speaks.
    pub fn dialect(&self) -> &'static dyn Dialect {
        self.shape.dialect()
    }

    /// The state, for as long as the guard lives. Do not hold it across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Back to the seeds, with the clock where the machine's is.
    pub fn reset(&self) {
        *self.state() = State::seeded(self.shape);
    }

    /// The whole address of a path of this host.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// A path of this host as links and forms on its pages carry it.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.context)
    }

    /// The path and query that somebody asked for, as a browser knows them.
    pub fn here(&self, uri: &axum::http::Uri) -> String {
        self.path(uri.path_and_query().map_or("/", |here| here.as_str()))
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
    /// The account's address.
    pub email: String,
    /// What opens the account.
    pub password: String,
    /// Whether it stands for a token that belongs to nobody; nobody signs in as such.
    pub bot: bool,
}

/// An organisation.
#[derive(Clone)]
pub struct Organization {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub login: String,
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
    /// Which kind of tokens it gets.
    pub kind: &'static Kind,
    /// The scopes it was registered with, where that matters.
    pub scopes: Option<Scopes>,
    /// What its installation permits, for kinds without scopes.
    pub permissions: Permissions,
    /// What its installation reaches, for kinds without scopes.
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
    /// SHA-256 of the verifier in base64url, or the verifier itself.
    pub challenge: Option<String>,
    /// Whether the challenge is the verifier itself.
    pub plain: bool,
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

/// Switches that `POST /_forge/settings` turns.
#[derive(Clone, Serialize)]
pub struct Settings {
    /// For so long a token fresh from the token endpoint is refused.
    pub fresh_token_401_ms: u64,
    /// Added to the callback as `iss`.
    pub iss: Option<String>,
    /// Whether there are rate limits and their headers.
    pub rate_limits: bool,
    /// Requests per window and person.
    pub rate_limit: u64,
    /// Those that only this dialect has.
    #[serde(flatten)]
    pub own: Own,
}

/// Requests of one person in the current window.
#[derive(Clone, Copy)]
pub struct Window {
    /// When the window ends.
    pub reset: OffsetDateTime,
    /// How many there were.
    pub used: u64,
}

/// How many requests a person has made and may make.
#[derive(Clone, Copy)]
pub struct Rate {
    /// In one window.
    pub limit: u64,
    /// Until now.
    pub used: u64,
    /// When the window ends, in seconds since 1970.
    pub reset: i64,
}

impl Rate {
    /// How many are left.
    pub fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Whether there were too many.
    pub fn is_exceeded(self) -> bool {
        self.used > self.limit
    }
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

/// Why a request may not have what it wants from a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As if it did not exist.
    Hidden,
    /// The owner's rules keep the token out until somebody does something about it.
    Rules,
    /// The token lacks a scope or permission.
    Permission,
    /// The person does not reach so far.
    Role,
}

/// Why a secret opens nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    /// No token has it.
    Unknown,
    /// Its token has expired.
    Expired,
    /// Its token was revoked.
    Revoked,
    /// Its token is so fresh that it does not work yet.
    Fresh,
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
    /// What only this dialect has to remember.
    pub own: Box<dyn Any + Send>,
    dialect: &'static dyn Dialect,
    last_id: u64,
}

/// The number of `octocat`.
pub const OCTOCAT: u64 = 583_231;
/// The number of `hubot`.
pub const HUBOT: u64 = 2;

impl State {
    /// The seeds of every dialect, and then its own.
    fn seeded(shape: Shape) -> Self {
        let dialect = shape.dialect();
        let mut state = Self {
            clock: Clock::default(),
            people: vec![person(OCTOCAT, "octocat", "The Octocat"), person(HUBOT, "hubot", "Hubot")],
            organizations: vec![organization(9_001, "acme", &[OCTOCAT, HUBOT])],
            repositories: vec![
                repository(1_001, "acme", "infra", true, &[(OCTOCAT, Role::Admin)]),
                repository(1_002, "acme", "public", false, &[(OCTOCAT, Role::Push)]),
                repository(1_003, "acme", "secret-ops", true, &[(HUBOT, Role::Push)]),
                repository(1_004, "acme", "readonly", true, &[(OCTOCAT, Role::Read)]),
            ],
            apps: Vec::new(),
            tokens: Vec::new(),
            codes: Vec::new(),
            grants: Vec::new(),
            sessions: BTreeMap::new(),
            faults: Vec::new(),
            settings: Settings {
                fresh_token_401_ms: 0,
                iss: None,
                rate_limits: false,
                rate_limit: 5_000,
                own: Own::start(dialect.settings()),
            },
            records: VecDeque::new(),
            windows: BTreeMap::new(),
            bad_logins: 0,
            own: Box::new(()),
            dialect,
            last_id: 0,
        };
        if let Some(kind) = dialect.kinds().iter().find(|kind| kind.for_apps) {
            state.apps.push(App {
                id: 101,
                client_id: "gitward-demo".to_owned(),
                client_secret: "gitward-demo-secret".to_owned(),
                name: "Gitward demo".to_owned(),
                kind,
                scopes: None,
                permissions: Permissions::new(),
                repositories: Vec::new(),
            });
        }
        dialect.seed(&mut state);
        state
    }

    /// What this host speaks.
    pub fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    /// What only this dialect has to remember, if it is of this type.
    pub fn own<T: 'static>(&mut self) -> Option<&mut T> {
        self.own.downcast_mut()
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

    /// The kind of tokens with this name.
    pub fn kind(&self, name: &str) -> Option<&'static Kind> {
        self.dialect.kinds().iter().find(|kind| kind.name == name)
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

    /// The working token with this secret, or why there is none. What opens nothing is counted.
    pub fn authenticate(&mut self, secret: &str) -> Result<Token, Dead> {
        let now = self.now();
        let verdict = match self.token_mut(secret) {
            None => Err(Dead::Unknown),
            Some(token) if token.revoked => Err(Dead::Revoked),
            Some(token) if token.has_expired(now) => Err(Dead::Expired),
            Some(token) if !token.works(now) => Err(Dead::Fresh),
            Some(token) => {
                let shown = token.clone();
                token.used_at = Some(now);
                Ok(shown)
            }
        };
        if verdict.is_err() {
            self.bad_logins += 1;
        }
        verdict
    }

    /// Makes a token with nothing in it but its secret, and remembers it.
    pub fn issue(&mut self, kind: &'static Kind, person: u64, fill: impl FnOnce(&mut Token)) -> Token {
        let mut token = Token {
            id: self.next_id(),
            secret: (kind.mint)(),
            kind,
            person,
            note: String::new(),
            description: String::new(),
            client_id: None,
            redirect_uri: None,
            scopes: Scopes::default(),
            permissions: Permissions::new(),
            repositories: None,
            created_at: self.now(),
            accepted_from: None,
            used_at: None,
            expires_at: None,
            revoked: false,
            refresh: None,
            own: Own::start(self.dialect.token_members()),
        };
        self.dialect.begin(&mut token);
        fill(&mut token);
        self.tokens.push(token.clone());
        token
    }

    /// Issues what an app gets for a code or a refresh token.
    pub fn issue_for_app(&mut self, app: &App, person: u64, scopes: Scopes) -> Token {
        let now = self.now();
        let patience = i64::try_from(self.settings.fresh_token_401_ms).unwrap_or(i64::MAX);
        let accepted_from = now.checked_add(Duration::milliseconds(patience));
        let refresh = self.mint_refresh(app.kind);
        let issued = self.issue(app.kind, person, |token| {
            token.note = app.name.clone();
            token.client_id = Some(app.client_id.clone());
            token.accepted_from = accepted_from.filter(|start| *start > now);
            token.expires_at = app.kind.life.map(|life| now + life);
            token.refresh = refresh;
            if app.kind.has_scopes() {
                token.scopes = scopes;
            } else {
                token.permissions = app.permissions.clone();
                token.repositories = Some(app.repositories.clone());
            }
        });
        self.dialect.issued(self, &issued);
        issued
    }

    /// A new refresh token for this kind, if it has such.
    pub fn mint_refresh(&self, kind: &Kind) -> Option<Refresh> {
        let RefreshKind { mint, life } = kind.refresh?;
        let expires_at = life.map(|life| self.now() + life);
        Some(Refresh { secret: mint(), expires_at, spent: false })
    }

    /// A refresh token as any kind of this dialect has it.
    pub fn any_refresh(&self) -> Option<Refresh> {
        self.dialect.kinds().iter().find_map(|kind| self.mint_refresh(kind))
    }

    /// Makes a code that can be exchanged for as long as the dialect says.
    pub fn issue_code(&mut self, fill: impl FnOnce(&mut Code)) -> String {
        let oauth = self.dialect.oauth();
        let mut code = Code {
            code: (oauth.mint_code)(),
            client_id: String::new(),
            person: 0,
            scopes: Scopes::default(),
            redirect_uri: String::new(),
            challenge: None,
            plain: false,
            expires_at: self.now() + oauth.code_life,
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
        let dialect = self.dialect;
        let known =
            self.grants.iter_mut().find(|grant| grant.person == person && grant.client_id == client_id);
        match known {
            Some(grant) => grant.scopes = dialect.normalise(grant.scopes.union(scopes)),
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
        self.dialect.allow(self, token, repository, need)?;
        match need {
            Need::WriteContents if role < Role::Push => Err(Refusal::Role),
            Need::Hooks if role < Role::Admin => Err(Refusal::Role),
            _ => Ok(()),
        }
    }

    /// Counts a request, unless it is free; `None` when there are no limits. 0 stands for nobody.
    pub fn charge(&mut self, person: u64, free: bool) -> Option<Rate> {
        if !self.settings.rate_limits {
            return None;
        }
        let mut window = self.count_request(person);
        if free {
            window.used -= 1;
            self.windows.insert(person, window);
        }
        let limit = self.rate_limit(person);
        Some(Rate { limit, used: window.used, reset: window.reset.unix_timestamp() })
    }

    fn count_request(&mut self, person: u64) -> Window {
        let now = self.now();
        let fresh = Window { reset: now + self.dialect.rate_window(), used: 0 };
        let window = self.windows.entry(person).or_insert(fresh);
        if now >= window.reset {
            *window = fresh;
        }
        window.used += 1;
        *window
    }

    /// As many requests a person may make in a window, 0 standing for nobody.
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

fn person(id: u64, login: &str, name: &str) -> Person {
    let email = format!("{login}@forge.example");
    Person {
        id,
        login: login.to_owned(),
        name: name.to_owned(),
        email,
        password: login.to_owned(),
        bot: false,
    }
}

/// An organisation with these members.
pub fn organization(id: u64, login: &str, members: &[u64]) -> Organization {
    Organization { id, login: login.to_owned(), members: members.to_vec() }
}

/// A repository with these members.
pub fn repository(id: u64, owner: &str, name: &str, private: bool, members: &[(u64, Role)]) -> Repository {
    let members = members.iter().copied().collect();
    Repository { id, owner: owner.to_owned(), name: name.to_owned(), private, members }
}
