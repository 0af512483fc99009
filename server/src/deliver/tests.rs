//! Notices on their way, to a mail server and a webhook that have good days and bad ones.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use mail_parser::MessageParser;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use url::Url;

use self::{
    hook::{Answer, Hook},
    smtp::{Mood, Smtp},
};
use super::{
    AccountTarget, LogEntry, MailMode, Means, Parts, Progress, WebhookFormat,
    courier::{Courier, DeclaredWebhook},
    mail::{MailServer, Mailer, Patience, Security},
    next_hour,
    settings::{AddressGiven, CONFIRM_WITHIN, SECRET_SHOWN, Settings, SettingsError},
    webhook::{Target, Unfit, Webhooks, new_signing_secret, signature},
};
use crate::{
    catalogue::{Account, Declaration, DeclaredProvider, Member, Role, Runtime},
    clock::{Clock, TestClock, Timestamp},
    credential::{Credential, Evidence, Method, ProviderAccount, Standing},
    id::UserId,
    notice::{Detail, Found, Kind, Look, Seen, Sight, State, Telling},
    person::{Name, User},
    provider::{
        Registry,
        http::{Lookup, Outgoing},
    },
    random::TestEntropy,
    seal::{KeyRing, RootKey, Sealed},
    secret::Secret,
    store::{AccessStore, DeliveryStore, NewCredential, NoticeStore, PersonStore, sqlite::SqliteStore},
};

mod hook;
mod smtp;

mod mails;
mod webhooks;

/// Real time is spent only where somebody never answers; that much, then.
const PATIENCE: Duration = Duration::from_millis(400);
/// Whoever is to answer in tests does so within this, however slow the machine is.
const UNHURRIED: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Gitward, as far as it tells people things: mara has a token for `production`, and is an admin of its account.
struct House {
    store: Arc<SqliteStore>,
    courier: Arc<Courier>,
    settings: Settings,
    keys: Arc<KeyRing>,
    clock: TestClock,
    _folder: TempDir,
}

/// How a house is built.
#[derive(Default)]
struct Plan {
    mailer: Option<Mailer>,
    webhooks: Option<Webhooks>,
    declared: HashMap<(crate::id::AccountId, String), DeclaredWebhook>,
    mailboxes: HashMap<(crate::id::AccountId, String), String>,
    account_name: Option<&'static str>,
}

impl House {
    async fn build(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("test.sqlite3")).await.unwrap());
        let clock = TestClock::new();
        let entropy = TestEntropy::new(7);
        let root = RootKey::load_or_create(folder.path().join("gitward.key"), false, &entropy).unwrap();
        let keys = Arc::new(KeyRing::open(&root, store.as_ref(), &clock, &entropy).await.unwrap());
        people(&store, plan.account_name.unwrap_or("Acme"), clock.now()).await;
        let (settings, courier) = super::put_together(Parts {
            store: Arc::<SqliteStore>::clone(&store),
            keys: Arc::clone(&keys),
            mailer: plan.mailer.map(Arc::new),
            webhooks: Arc::new(plan.webhooks.unwrap_or_else(|| Webhooks::new(true).unwrap())),
            declared: plan.declared,
            mailboxes: plan.mailboxes,
            registry: Arc::new(Registry::new(Vec::new(), Vec::new())),
            public_url: public_url(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(entropy),
            under_way: TaskTracker::new(),
        })
        .await
        .unwrap();
        Self { store, courier, settings, keys, clock, _folder: folder }
    }

    /// Sends all that is due at this moment.
    async fn deliver(&self) {
        loop {
            let begun = self.courier.round().await.unwrap();
            if begun.is_empty() {
                return;
            }
            for task in begun {
                task.await.unwrap();
            }
        }
    }

    /// Something that mara is told happens to her token.
    async fn happens(&self, kind: Kind, detail: Detail) {
        self.happens_at("acme.production", kind, detail).await;
    }

    async fn happens_at(&self, runtime: &str, kind: Kind, detail: Detail) {
        let now = self.clock.now();
        let mut marked = self.store.marked(now, 100).await.unwrap();
        marked.retain(|marked| marked.runtime.as_str() == runtime);
        let sight = Sight {
            state: State::Invalid,
            credential: None,
            generation: 1,
            owner: None,
            proposed: None,
            end: None,
            warned: None,
            refused: false,
            unreachable: false,
        };
        let events = vec![(kind, detail, Telling::Bad)];
        let seen = Seen::Found(Found { sight, events, look_at: Timestamp::from_micros(0) });
        let look = Look { marked: marked.remove(0), seen };
        assert_eq!(self.store.tell(&[look], now).await.unwrap(), [true]);
    }

    async fn log(&self) -> Vec<LogEntry> {
        self.settings.view(&mara()).await.unwrap().log
    }

    /// The only line of the log: how far, how often, and what came back.
    async fn only(&self) -> (Progress, u32, String) {
        let log = self.log().await;
        let [entry] = &log[..] else { panic!("one delivery, not {log:?}") };
        (entry.progress, entry.attempts, entry.answer.clone().unwrap_or_default())
    }
}

fn mara() -> UserId {
    "mara".into()
}

fn public_url() -> Url {
    Url::parse("https://gitward.example.com").unwrap()
}

async fn people(store: &SqliteStore, account_name: &str, now: Timestamp) {
    let name = Name::parse("mara").unwrap();
    let runtime = |key: &str| Runtime {
        id: format!("acme.{key}").as_str().into(),
        account: "acme".into(),
        name: key.to_owned(),
        provider: "github".into(),
        oauth_app: None,
        repository: None,
        scopes: None,
    };
    let declaration = Declaration {
        providers: vec![DeclaredProvider {
            id: "github".into(),
            origin: "https://github.example".to_owned(),
        }],
        accounts: vec![Account { id: "acme".into(), name: account_name.to_owned() }],
        members: vec![Member { account: "acme".into(), name: name.clone(), role: Role::Admin }],
        runtimes: vec![runtime("production"), runtime("staging")],
    };
    store.apply(&declaration, now).await.unwrap();
    let user = User { id: mara(), name, password: None, disabled_at: None, created_at: now };
    assert!(store.add_user(&user).await.unwrap());
    for key in ["production", "staging"] {
        let new = NewCredential {
            credential: Credential {
                id: key.into(),
                user: mara(),
                provider: "github".into(),
                method: Method::Token,
                kind: "classic".to_owned(),
                oauth_app: None,
                generation: 1,
                owner: ProviderAccount { id: "1".to_owned(), login: "octocat".to_owned() },
                user_name: None,
                scopes: None,
                expires_at: None,
                expiry_unknown: false,
                noted_end: None,
                renew_at: None,
                access_ends_at: None,
                renewal_lost_at: None,
                standing: Standing::good(now, Evidence::new("GET /user", "200")),
                due_at: None,
                created_at: now,
            },
            sealed: Sealed(b"ghp_canary_of_a_token".to_vec()),
        };
        let runtimes = [(format!("acme.{key}").as_str().into(), None)];
        assert!(store.keep(&new, &runtimes, None, now).await.unwrap().is_some());
    }
}

/// Answers every name with this address.
struct Answers(IpAddr);

#[async_trait]
impl Lookup for Answers {
    async fn lookup(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![self.0])
    }
}
