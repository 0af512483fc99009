//! A backend that knows one runtime in every state.

use std::sync::{
    Arc, LazyLock, Mutex,
    atomic::{AtomicBool, Ordering},
};

use app::{
    App,
    api::{
        Backend, Moment, SharedBackend,
        notice::*,
        person::{LinkPurpose, Visitor},
        token::*,
    },
    asset::Assets,
    error::{ApiError, PasswordProblem},
    shell,
};
use axum::{Router, http::request::Parts};
use leptos::{config::LeptosOptions, prelude::*};
use leptos_axum::{AxumRouteListing, LeptosRoutes, file_and_error_handler_with_context, generate_route_list};

/// The site's whole memory.
pub struct Fake {
    /// All rows, by account.
    pub accounts: Mutex<Vec<AccountRows>>,
    /// Why the last token of any runtime was refused.
    pub refusal: Mutex<Option<Refusal>>,
    /// OAuth2 is set up.
    pub oauth: AtomicBool,
    /// Nobody is signed in.
    pub stranger: AtomicBool,
    /// Whether tokens in use can be revoked.
    pub revoking: Mutex<Option<Revoking>>,
    /// What became of others.
    pub revocations: Mutex<Vec<Revocation>>,
    /// No token serves more than one runtime.
    pub alone: AtomicBool,
    /// The visitor is an admin.
    pub administers: AtomicBool,
}

pub fn moment(date: &str, relative: &str) -> Moment {
    Moment {
        iso: "2027-03-12T09:00:00Z".into(),
        date: date.into(),
        full: [date, ", 09:00 UTC"].concat(),
        relative: relative.into(),
    }
}

fn row(id: &str, name: &str, provider: (&str, &str), token: bool, health: Health) -> RuntimeRow {
    let expiry = match &health {
        Health::Expiring { at } | Health::Expired { at } => Expiry::At(at.clone()),
        Health::Unreachable { .. } => Expiry::RenewsItself(moment("22 Nov 2026", "in 2 hours")),
        Health::Checking { .. } => Expiry::RenewsAtNextUse,
        Health::Valid { scopes_visible: false } => Expiry::Unknown,
        _ => Expiry::At(moment("12 Mar 2027", "in 110 days")),
    };
    RuntimeRow {
        id: id.into(),
        name: name.into(),
        provider: ProviderLabel { name: provider.0.into(), host: provider.1.into(), icon: "github".into() },
        token: token.then(|| TokenSummary {
            kind: if matches!(health, Health::Unreachable { .. }) {
                "OAuth2"
            } else {
                "Personal access token"
            }
            .into(),
            login: "mara-lind".into(),
            expiry,
            scopes: Some(vec!["repo".into(), "read:user".into()]),
            checked: Some(Evidence {
                at: moment("22 Nov 2026", "3 minutes ago"),
                request: "GET /user".into(),
                answer: "200".into(),
            }),
        }),
        health,
        fetched: Fetched::At(moment("22 Nov 2026", "3 minutes ago")),
        muted: false,
        muted_until: None,
        checking: false,
    }
}

fn happening(tone: Tone, title: &str) -> Happening {
    let text = "It lacks repo. Replace it with a token that has it.".into();
    Happening { tone, title: title.into(), text, at: moment("22 Nov 2026", "3 minutes ago") }
}

pub const GITHUB: (&str, &str) = ("GitHub", "github.com");
const GITLAB: (&str, &str) = ("GitLab", "git.acme.example");
const BITBUCKET: (&str, &str) = ("Bitbucket Cloud", "bitbucket.org");
const GHE: (&str, &str) = ("GitHub Enterprise", "ghe.northwind.example:8443");

/// Every state, each as one runtime.
pub fn every_state() -> Vec<AccountRows> {
    let since = || moment("22 Nov 2026", "18 minutes ago");
    let at = || moment("29 Nov 2026", "in 7 days");
    let repository = || "acme/infra-live".to_owned();
    let mut acme = vec![
        row("r01", "prod-eu-west", GITHUB, true, Health::ScopesMissing { missing: vec!["repo".into()] }),
        row("r02", "prod-us-east", GITHUB, true, Health::Expired { at: moment("20 Nov 2026", "2 days ago") }),
        row("r03", "billing", GITHUB, true, Health::Revoked { since: since() }),
        row("r04", "warehouse", GITLAB, true, Health::CannotPush { repository: repository() }),
        row("r05", "dispatch", GITLAB, true, Health::RepositoryHidden { repository: repository() }),
        row(
            "r06",
            "customs",
            GITHUB,
            true,
            Health::NeedsSso { link: Some("https://github.com/orgs/acme/sso?a=1&b=2".into()) },
        ),
        row(
            "r07",
            "tariffs",
            GITHUB,
            true,
            Health::AnotherAccount { before: "mara-lind".into(), now: "mlind-bot".into() },
        ),
        row("r08", "routing", GITHUB, false, Health::AuthorizationDenied { at: since() }),
        row("r09", "labels", GITHUB, true, Health::Expiring { at: at() }),
        row("r10", "staging", GITLAB, true, Health::Unreachable { since: since(), last_good: Some(since()) }),
        row("r11", "preview", GITLAB, true, Health::RateLimited { until: Some(at()) }),
        row("r12", "canary", GITHUB, true, Health::Checking { since: since() }),
        row("r13", "edge-02", GITHUB, false, Health::AuthorizationPending { since: since() }),
    ];
    let mut sandbox = row("r14", "sandbox", BITBUCKET, true, Health::Valid { scopes_visible: true });
    sandbox.muted = true;
    acme.push(sandbox);
    let northwind = vec![
        row("r15", "edge-01", GHE, false, Health::NoToken),
        row(
            "r16",
            "fleet-control-plane-central-europe-3",
            GHE,
            true,
            Health::Valid { scopes_visible: false },
        ),
        row("r17", "<b>bold</b> & \"quoted\"", GHE, true, Health::Valid { scopes_visible: true }),
    ];
    vec![
        AccountRows { name: "Acme Logistics".into(), matching: 14, rows: acme },
        AccountRows { name: "Northwind".into(), matching: 3, rows: northwind },
    ]
}

/// With a runtime in every state.
impl Default for Fake {
    fn default() -> Self {
        Self {
            accounts: Mutex::new(every_state()),
            refusal: Mutex::new(None),
            oauth: AtomicBool::new(true),
            stranger: AtomicBool::new(false),
            revoking: Mutex::new(None),
            revocations: Mutex::default(),
            alone: AtomicBool::new(false),
            administers: AtomicBool::new(false),
        }
    }
}

impl Fake {
    pub fn new(accounts: Vec<AccountRows>) -> Arc<Self> {
        Arc::new(Self { accounts: Mutex::new(accounts), ..Self::default() })
    }

    fn change(&self, runtime: &str, change: impl FnOnce(&mut RuntimeRow)) -> Result<(), ApiError> {
        let mut accounts = self.accounts.lock().unwrap();
        let row = accounts.iter_mut().flat_map(|account| &mut account.rows).find(|row| row.id == runtime);
        row.map(change).ok_or(ApiError::NotFound)
    }

    pub fn access(&self, runtime: &str) -> Result<RuntimeAccess, ApiError> {
        if self.stranger.load(Ordering::Relaxed) {
            return Err(ApiError::SignInNeeded);
        }
        let mut row = None;
        self.change(runtime, |found| row = Some(found.clone()))?;
        let row = row.ok_or(ApiError::NotFound)?;
        Ok(RuntimeAccess {
            administers: self.administers.load(Ordering::Relaxed),
            account: "Acme Logistics".into(),
            oauth: self.oauth.load(Ordering::Relaxed),
            needs: vec!["repo".into(), "read:user".into()],
            repository: Some("acme/infra-live".into()),
            guide: Guide {
                token_word: "personal access token".into(),
                link: "https://github.com/settings/tokens/new?scopes=repo&description=Gitward".into(),
                prefilled: true,
                limited_link: Some("https://github.com/settings/personal-access-tokens/new".into()),
                steps: vec!["“Generate token” shows it.".into()],
                user_name: None,
                asks_end: false,
            },
            user_name: String::new(),
            end: String::new(),
            reusable: if row.token.is_none() {
                vec![Reusable {
                    credential: "c1".into(),
                    kind: "Personal access token".into(),
                    login: "mara-lind".into(),
                    used_by: vec!["labels".into(), "canary".into()],
                }]
            } else {
                vec![]
            },
            also: vec![
                AlsoRuntime { id: "r13".into(), name: "edge-02".into(), shares: false, ticked: false },
                AlsoRuntime { id: "r08".into(), name: "routing".into(), shares: false, ticked: true },
            ],
            shared_with: if row.token.is_some() && !self.alone.load(Ordering::Relaxed) {
                vec!["labels".into()]
            } else {
                vec![]
            },
            foreign_shapes: vec![("glpat-".into(), "GitLab".into())],
            refusal: self.refusal.lock().unwrap().clone(),
            revoking: self.revoking.lock().unwrap().clone(),
            revocations: self.revocations.lock().unwrap().clone(),
            row,
        })
    }
}

fn in_doubt(row: &RuntimeRow) -> bool {
    row.token.is_some() && !matches!(row.health, Health::Valid { .. }) && !row.health.needs_user()
}

/// One request.
struct Visit {
    fake: Arc<Fake>,
    parts: Option<Parts>,
}

#[async_trait::async_trait]
impl Backend for Visit {
    async fn visitor(&self) -> Result<Visitor, ApiError> {
        if self.fake.stranger.load(Ordering::Relaxed) {
            return Err(ApiError::SignInNeeded);
        }
        Ok(Visitor { name: "mara".into(), unread: 2, version: String::new() })
    }
    async fn sign_in(&self, _name: String, password: String) -> Result<(), ApiError> {
        match password.as_str() {
            "right" => Ok(()),
            "again" => Err(ApiError::TooManyAttempts { retry_after_seconds: 90 }),
            _ => Err(ApiError::WrongNameOrPassword),
        }
    }
    async fn sign_out(&self) -> Result<(), ApiError> {
        Ok(())
    }
    async fn change_password(&self, current: String, new: String) -> Result<(), ApiError> {
        if current == "wrong" {
            return Err(ApiError::WrongPassword);
        }
        if new.len() < 8 { Err(ApiError::Password(PasswordProblem::TooShort)) } else { Ok(()) }
    }
    async fn one_time_link(&self, secret: String) -> Result<LinkPurpose, ApiError> {
        match secret.as_str() {
            "first" => Ok(LinkPurpose::SetUp),
            "again" => Ok(LinkPurpose::Password { name: "mara".into() }),
            _ => Err(ApiError::LinkSpent),
        }
    }
    async fn redeem_link(&self, _secret: String, _name: String, _password: String) -> Result<(), ApiError> {
        Ok(())
    }
    async fn token_page(&self, query: TokenQuery) -> Result<TokenPage, ApiError> {
        if self.fake.stranger.load(Ordering::Relaxed) {
            return Err(ApiError::SignInNeeded);
        }
        let mut accounts = self.fake.accounts.lock().unwrap().clone();
        let count = |which: &dyn Fn(&RuntimeRow) -> bool| {
            accounts.iter().flat_map(|account| &account.rows).filter(|row| which(row)).count() as u32
        };
        if query.filter.len() > 200 {
            return Err(ApiError::Internal);
        }
        let counts = Counts {
            all: count(&|_| true),
            need_you: count(&|row| row.health.needs_user()),
            in_doubt: count(&in_doubt),
            work: count(&|row| matches!(row.health, Health::Valid { .. })),
            no_token: count(&|row| row.token.is_none()),
        };
        for account in &mut accounts {
            account.rows.retain(|row| {
                row.name.contains(&query.filter)
                    && match query.show {
                        Show::All => true,
                        Show::NeedYou => row.health.needs_user(),
                        Show::InDoubt => in_doubt(row),
                        Show::Work => matches!(row.health, Health::Valid { .. }),
                        Show::NoToken => row.token.is_none(),
                    }
            });
            account.matching = account.rows.len() as u32;
        }
        accounts.retain(|account| account.matching > 0);
        let matching = accounts.iter().map(|account| account.matching).sum();
        Ok(TokenPage {
            counts,
            accounts,
            matching,
            page: query.page,
            pages: if matching > 10 { 2 } else { 1 },
            revocations: self.fake.revocations.lock().unwrap().clone(),
            in_trouble: vec![HostTrouble {
                provider: ProviderLabel {
                    name: GITLAB.0.into(),
                    host: GITLAB.1.into(),
                    icon: "gitlab".into(),
                },
                kind: TroubleKind::Silent,
                since: moment("22 Nov 2026", "18 minutes ago"),
            }],
        })
    }
    async fn runtime_access(&self, runtime: String) -> Result<RuntimeAccess, ApiError> {
        self.fake.access(&runtime)
    }
    async fn add_token(&self, new: NewToken) -> Result<Added, ApiError> {
        if new.token.is_empty() {
            return Err(ApiError::TokenEmpty);
        }
        if new.token.starts_with("bad") {
            *self.fake.refusal.lock().unwrap() = Some(Refusal::ScopesMissing {
                login: "mara-lind".into(),
                granted: vec!["read:user".into()],
                missing: vec!["repo".into()],
            });
            return Err(ApiError::Refused);
        }
        *self.fake.refusal.lock().unwrap() = None;
        self.fake.change(&new.runtime, |found| {
            *found = row(&found.id, &found.name, GITHUB, true, Health::Valid { scopes_visible: true });
        })?;
        // This one can't be served by any token.
        let (left_out, also) = new.also.into_iter().partition(|id| id == "r08");
        Ok(Added { login: "mara-lind".into(), runtimes: [vec![new.runtime], also].concat(), left_out })
    }
    async fn reuse_token(
        &self,
        runtime: String,
        credential: String,
        also: Vec<String>,
        revoke: bool,
    ) -> Result<Added, ApiError> {
        self.add_token(NewToken {
            runtime,
            token: credential,
            user_name: String::new(),
            end: String::new(),
            also,
            sure: false,
            revoke,
        })
        .await
    }
    async fn settle_account(&self, runtime: String, _take: bool) -> Result<(), ApiError> {
        self.fake.change(&runtime, |row| row.health = Health::Valid { scopes_visible: true })
    }
    async fn delete_token(&self, runtime: String, _revoke: bool) -> Result<(), ApiError> {
        self.fake.change(&runtime, |row| {
            row.token = None;
            row.health = Health::NoToken;
        })
    }
    async fn check_again(&self, runtime: String) -> Result<(), ApiError> {
        self.fake.change(&runtime, |row| row.health = Health::Valid { scopes_visible: true })
    }
    async fn hide_notifications(&self, runtime: String, hide: bool, days: u32) -> Result<(), ApiError> {
        self.fake.change(&runtime, |row| {
            row.muted = hide;
            row.muted_until = (days > 0).then(|| moment("29 Nov 2026", "in 7 days"));
        })
    }
    async fn course(&self, _runtime: String) -> Result<Course, ApiError> {
        Ok(Course {
            last_good: Some(moment("22 Nov 2026", "3 minutes ago")),
            next_check: Some(moment("22 Nov 2026", "in 57 minutes")),
            happenings: vec![happening(Tone::Bad, "Scope missing"), happening(Tone::Good, "Token added")],
        })
    }
    async fn notices(&self, before: Option<i64>) -> Result<NoticePage, ApiError> {
        let notice = |id, read| Notice {
            id,
            runtime: Some(("r01".into(), "prod-eu-west".into())),
            host: None,
            happening: happening(Tone::Bad, "Scope missing"),
            read,
        };
        Ok(NoticePage {
            notices: vec![notice(7, false), notice(6, true)],
            unread: 2,
            later: before.is_some(),
            earlier: Some(6),
            off: false,
        })
    }
    async fn mark_read(&self, _id: i64) -> Result<(), ApiError> {
        Ok(())
    }
    async fn mark_all_read(&self, _up_to: i64) -> Result<(), ApiError> {
        Ok(())
    }
    async fn notice_settings(&self) -> Result<NoticeSettings, ApiError> {
        let trouble = || DeliveryTrouble {
            answer: "no connection to the mail server, or it was lost".into(),
            at: moment("22 Nov 2026", "3 minutes ago"),
            again: Some(moment("22 Nov 2026", "in 2 minutes")),
        };
        Ok(NoticeSettings {
            told: true,
            mail: Some(MailSettings {
                mode: MailMode::Daily,
                hour: 8,
                address: Some("mara@acme.example".into()),
                unconfirmed: None,
                trouble: Some(trouble()),
            }),
            webhook: Some(WebhookSettings {
                shown: "https://hooks.acme.example".into(),
                format: WebhookFormat::Standard,
                since: moment("22 Nov 2026", "3 minutes ago"),
                gone: None,
                trouble: None,
            }),
            webhook_secret: Some("shown-for-a-while".into()),
            log: vec![Delivery {
                what: "prod-eu-west: Scope missing".into(),
                way: "Mail".into(),
                progress: Progress::Waiting(moment("22 Nov 2026", "in 2 minutes")),
                answer: Some("no connection to the mail server, or it was lost".into()),
                attempts: 2,
                at: moment("22 Nov 2026", "3 minutes ago"),
            }],
        })
    }
    async fn tell_me(&self, _on: bool) -> Result<(), ApiError> {
        Ok(())
    }
    async fn set_mail(&self, _mode: MailMode, _hour: u8) -> Result<(), ApiError> {
        Ok(())
    }
    async fn give_address(&self, address: String) -> Result<(), ApiError> {
        if address.contains('@') { Ok(()) } else { Err(ApiError::AddressUnusable) }
    }
    async fn confirm_address(&self, secret: String) -> Result<(), ApiError> {
        if secret == "right" { Ok(()) } else { Err(ApiError::LinkSpent) }
    }
    async fn forget_address(&self) -> Result<(), ApiError> {
        Ok(())
    }
    async fn set_webhook(&self, _url: String, _format: WebhookFormat) -> Result<(), ApiError> {
        Ok(())
    }
    async fn remove_webhook(&self) -> Result<(), ApiError> {
        Ok(())
    }
    fn wants_page(&self) -> bool {
        self.parts
            .as_ref()
            .and_then(|parts| parts.headers.get("accept")?.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"))
    }
}

/// The site over a fake.
pub fn site(fake: &Arc<Fake>, assets: Assets) -> Router {
    let context = {
        let fake = Arc::clone(fake);
        let assets = Arc::new(assets);
        move || {
            let parts = use_context::<Parts>();
            provide_context::<SharedBackend>(Arc::new(Visit { fake: Arc::clone(&fake), parts }));
            provide_context(Arc::clone(&assets));
        }
    };
    // While routes are listed, no resource loads, in no thread: once, before anything is asked.
    static ROUTES: LazyLock<Vec<AxumRouteListing>> = LazyLock::new(|| generate_route_list(App));
    let options = LeptosOptions::builder().output_name("gitward").build();
    Router::new()
        .leptos_routes_with_context(&options, ROUTES.clone(), context.clone(), {
            let options = options.clone();
            move || shell(options.clone())
        })
        .fallback(file_and_error_handler_with_context(context, shell))
        .with_state(options)
}
