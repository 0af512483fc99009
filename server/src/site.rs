//! The composition root: the only place that names engines and kinds of providers, and that reads the configuration.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use app::path;
use futures_util::future::join_all;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::{
    access::Authorizer,
    audit::{self, Action, Actor, Audit, AuditError, Entry, chain::Head, verify::Point},
    backend::turned_away::TurnedAway,
    check::Checker,
    clock::{Clock, Timestamp},
    config::{Config, ProviderKind, ProviderSettings},
    deliver::{
        self, NewWebhook,
        courier::Courier,
        mail::{MailServer, Mailer, MailerError},
        webhook::{Target, Webhooks},
    },
    guard::Guard,
    herald::{Changes, Herald},
    holding::Holdings,
    id::{AccountId, ProviderId},
    login::Logins,
    person::{self, People},
    provider::{
        self, Provider, Registry,
        bitbucket::Bitbucket,
        bitbucket_data_center::BitbucketDataCenter,
        gitea::{Brand, Gitea},
        github::GitHub,
        gitlab::GitLab,
        http::{HttpError, HttpSettings, Outgoing},
    },
    random::Entropy,
    release::{self, Releases},
    renew::Renewer,
    revocation::Pending,
    revoke::Revoker,
    runtime_key::RuntimeKeys,
    seal::{KeyError, KeyRing, RootKey, Whose},
    store::{Applied, AuditFilter, NewCredential, Store, StoreError, Undecided, sqlite::SqliteStore},
    watch::{Watch, host::Pace, hosts::Hosts},
    web::{self, asset, runtime_api::door::WrongKeys, stream::Streams},
};

pub mod records;

/// Everything, put together.
pub struct Site {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Passwords, sessions, one-time links.
    pub people: People,
    /// Providers and apps.
    pub registry: Arc<Registry>,
    /// What seals.
    pub keys: Arc<KeyRing>,
    /// Writes down what happens.
    pub audit: Audit,
    /// Gives tokens.
    pub authorizer: Arc<Authorizer>,
    /// Asks again.
    pub checker: Arc<Checker>,
    /// Asks again by itself.
    pub watch: Arc<Watch>,
    /// Ends at the provider what was deleted here.
    pub revoker: Arc<Revoker>,
    /// Tells users what happened.
    pub herald: Arc<Herald>,
    /// What open pages hear of.
    pub changes: Arc<Changes>,
    /// Leads through the provider's sign-in.
    pub logins: Logins,
    /// Lets runtimes in.
    pub runtime_keys: RuntimeKeys,
    /// Counts those that it did not let in.
    pub wrong_keys: WrongKeys,
    /// Who was turned away at the sign-in.
    pub turned_away: TurnedAway,
    /// Hands out credentials to runtimes.
    pub releases: Arc<Releases>,
    /// What runtimes hold.
    pub holdings: Arc<Holdings>,
    /// The streams that open pages listen to.
    pub streams: Arc<Streams>,
    /// When it was put together: no other process has the same.
    pub opened_at: Timestamp,
    /// What users decide about mail and webhooks.
    pub delivery: deliver::settings::Settings,
    /// Sends them.
    pub courier: Arc<Courier>,
    /// What must be waited for before the process ends: between a provider's answer and its row lies a token.
    pub under_way: TaskTracker,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// What people type into their browser.
    pub public_url: Url,
    /// Who may say where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// The folder with the files for browsers.
    pub site_dir: PathBuf,
    /// In development: the port that tells browsers to reload.
    pub live_reload: Option<u16>,
    /// What applying the configuration changed.
    pub applied: Applied,
    /// Older records of the audit log are removed.
    keep_audit: Option<Duration>,
    listen: SocketAddr,
}

/// What everything sealed that is kept for long said when it was opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    /// How many tokens there are.
    pub tokens: u32,
    /// How many of those were deleted and are yet to be revoked at their providers.
    pub to_be_revoked: u32,
    /// How many users' webhooks there are.
    pub webhooks: u32,
    /// The ids of what does not open.
    pub broken: Vec<String>,
}

/// Why the site can't be put together or run.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The root key, or what it wraps.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to work on.
    #[error("There is no database at {} yet: `gitward serve` makes it", .0.display())]
    NoDatabase(PathBuf),
    /// The files for browsers.
    #[error(transparent)]
    Files(#[from] asset::NoFiles),
    /// A declared provider can't be used.
    #[error("provider `{id}` can't be used: {problem}")]
    Provider {
        /// Which.
        id: String,
        /// Why.
        problem: String,
    },
    /// Mail can't be sent as it was declared.
    #[error("`[mail]` can't be used")]
    Mail(#[from] MailerError),
    /// There is no way to webhooks.
    #[error("webhooks can't be reached")]
    Webhooks(#[from] HttpError),
    /// People.
    #[error(transparent)]
    People(#[from] person::Fault),
    /// The address to listen on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Serving ended by itself.
    #[error("serving ended: {0}")]
    Serve(std::io::Error),
}

impl SiteError {
    /// What the process exits with: 78 where configuration or key must be mended, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Key(_)
            | Self::Provider { .. }
            | Self::Mail(_)
            | Self::Store(StoreError::OriginChanged(_)) => KeyError::EXIT_CODE,
            _ => 1,
        }
    }
}

/// What the configuration changed is told in entries of so many names.
const IDS_PER_ENTRY: usize = 20;
const DAY: Duration = Duration::from_hours(24);
const DAY_SECONDS: u32 = 24 * 60 * 60;
/// Who counts first under this name removes the day's old records.
const PRUNING: &str = "prune the audit log";
/// How often what is over is forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// What is under way when the site is told to stop may take so long: more than the longest answer of a provider, and
/// writing it down. Less than the 30 seconds after which Kubernetes and others kill what they have told to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(25);
/// Requests may take so long of that.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

impl Site {
    /// Opens key and database, brings it up to date, and applies what the configuration declares: for the server.
    ///
    /// # Errors
    /// As [`SiteError`] says; where the key does not fit, nothing was changed.
    pub async fn open(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SiteError> {
        let registry = Arc::new(registry(&config, &clock)?);
        let mailer = mailer(&config)?;
        let database = config.database_file();
        let exists = SqliteStore::exists(&database);
        let root = RootKey::load_or_create(config.root_key_file(), exists, entropy.as_ref())?;
        if exists {
            let (looked, ..) = records::unlock(&database, &root).await?;
            looked.close().await;
        }
        let sqlite = Arc::new(SqliteStore::open(&database).await?);
        let opened =
            Self::put_together(config, &root, Arc::clone(&sqlite), registry, mailer, clock, entropy).await;
        if opened.is_err() {
            sqlite.close().await;
        }
        opened
    }

    async fn put_together(
        config: Config,
        root: &RootKey,
        sqlite: Arc<SqliteStore>,
        registry: Arc<Registry>,
        mailer: Option<Mailer>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SiteError> {
        let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&sqlite);
        let keys = Arc::new(KeyRing::open(root, store.as_ref(), clock.as_ref(), entropy.as_ref()).await?);
        let audit = Audit::open(
            Arc::<dyn Store>::clone(&store),
            Arc::clone(&keys),
            Arc::clone(&clock),
            Arc::clone(&entropy),
        );
        say_where_the_audit_log_ends(store.as_ref(), "before this start").await;
        let declaration = config.declaration(|id| origin(&registry, id));
        let applied = store.apply(&declaration, clock.now()).await?;
        note_start(&audit, &applied).await;
        let under_way = TaskTracker::new();
        let renewer = Arc::new(Renewer::new(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&keys),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            audit.clone(),
            under_way.clone(),
        ));
        let guard = Arc::new(Guard::new(Arc::clone(&store), &registry, Arc::clone(&clock)));
        let hosts = Hosts::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            paces(&config, &registry),
        );
        let hosts = Arc::new(hosts);
        let changes = Arc::new(Changes::default());
        let revoker = Arc::new(Revoker::new(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&keys),
            Arc::clone(&hosts),
            Arc::clone(&changes),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            audit.clone(),
            under_way.clone(),
        ));
        let checker = Arc::new(Checker {
            store: Arc::clone(&store),
            registry: Arc::clone(&registry),
            renewer: Arc::clone(&renewer),
            guard,
            hosts,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            changes: Arc::clone(&changes),
            audit: audit.clone(),
        });
        let herald = Arc::new(Herald::new(
            Arc::clone(&store),
            Arc::clone(&registry),
            Arc::clone(&clock),
            Arc::clone(&changes),
        ));
        let holdings = Arc::new(Holdings::new(Arc::clone(&store), Arc::clone(&changes), under_way.clone()));
        let authorizer = Arc::new(Authorizer {
            store: Arc::clone(&store),
            registry: Arc::clone(&registry),
            keys: Arc::clone(&keys),
            checker: Arc::clone(&checker),
            revoker: Arc::clone(&revoker),
            audit: audit.clone(),
            holdings: Arc::clone(&holdings),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        });
        let watch = Arc::new(Watch::new(Arc::clone(&checker), under_way.clone()));
        let logins = Logins { authorizer: Arc::clone(&authorizer) };
        let runtime_keys = RuntimeKeys {
            store: Arc::clone(&store),
            audit: audit.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let releases = Arc::new(Releases::new(release::Parts {
            store: Arc::clone(&store),
            registry: Arc::clone(&registry),
            renewer,
            checker: Arc::clone(&checker),
            audit: audit.clone(),
            holdings: Arc::clone(&holdings),
            changes: Arc::clone(&changes),
            clock: Arc::clone(&clock),
            under_way: under_way.clone(),
        }));
        let (delivery, courier) = deliver::put_together(deliver::Parts {
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            mailer: mailer.map(Arc::new),
            webhooks: Arc::new(Webhooks::new(config.private_webhooks())?),
            declared: config
                .webhooks()
                .iter()
                .map(|declared| ((declared.account.clone(), declared.name.clone()), declared.webhook.clone()))
                .collect(),
            mailboxes: config
                .mailboxes()
                .iter()
                .map(|mailbox| ((mailbox.account.clone(), mailbox.name.clone()), mailbox.address.clone()))
                .collect(),
            registry: Arc::clone(&registry),
            public_url: config.public_url().clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            under_way: under_way.clone(),
        })
        .await?;
        let people =
            People::new(sqlite, Arc::clone(&clock), Arc::clone(&entropy), person::Settings::default())?;
        Ok(Self {
            store,
            people,
            registry,
            keys,
            audit,
            authorizer,
            checker,
            watch,
            revoker,
            herald,
            changes,
            streams: Arc::default(),
            opened_at: clock.now(),
            logins,
            runtime_keys,
            wrong_keys: WrongKeys::default(),
            turned_away: TurnedAway::default(),
            releases,
            holdings,
            delivery,
            courier,
            under_way,
            clock,
            entropy,
            public_url: config.public_url().clone(),
            trusted_proxies: config.trusted_proxies().to_vec(),
            site_dir: config.site_dir().to_owned(),
            live_reload: config.live_reload(),
            applied,
            keep_audit: config.keep_audit_days().map(|days| DAY * days),
            listen: config.listen(),
        })
    }

    /// Finds the files for browsers and listens, so that whatever is announced after it is true.
    ///
    /// # Errors
    /// As [`SiteError`] says; then the database is closed.
    pub async fn bind(self) -> Result<Bound, SiteError> {
        let site = Arc::new(self);
        let bound = Bound::new(&site).await;
        if bound.is_err() {
            site.store.close().await;
        }
        bound
    }

    /// What goes on by itself begins nothing more, and no provider is asked for new tokens: what is under way must end
    /// soon. Open pages listen to streams that have no end of their own, and nobody waits for that.
    fn begin_nothing_more(&self) {
        self.watch.stop();
        self.checker.renewer.stop();
        self.courier.stop();
        self.revoker.stop();
        self.streams.close();
        self.releases.stop();
    }

    /// Forgets what is over, and writes down whose tokens that were.
    pub async fn sweep(&self) {
        let undecided = match self.people.sweep().await {
            Ok(undecided) => undecided,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(error, "What is over could not be forgotten");
            }
        };
        let dropped = undecided.into_iter().map(|Undecided { user, runtime, account, credential }| {
            let entry = Entry::new(Actor::Gitward, Action::TokenSettled).about(&user);
            let entry = entry.at(&account, &runtime).object(credential.to_string());
            self.audit.note(entry.detail("dropped, for nobody had decided in time"))
        });
        join_all(dropped).await;
        if let Err(error) = self.prune_audit_log().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "Old records could not be removed from the audit log");
        }
    }

    /// Once a day, by one of all processes.
    async fn prune_audit_log(&self) -> Result<(), AuditError> {
        let Some(keep) = self.keep_audit else { return Ok(()) };
        let now = self.clock.now();
        let before = now.minus(keep);
        if self.store.old_audit(before, 1).await?.is_none()
            || self.store.count_failure(PRUNING, now, DAY_SECONDS).await? != 1
        {
            return Ok(());
        }
        // A clock that has just jumped ahead makes everything old. It is believed once the log has gone on by it for a day.
        let lately = AuditFilter {
            since: Some(now.minus(DAY * 7)),
            until: Some(now.minus(DAY)),
            ..AuditFilter::default()
        };
        if self.store.audit_records(&lately, 1).await?.is_empty() {
            tracing::warn!(
                "No old records were removed from the audit log: for all it shows, the clock has jumped"
            );
            return Ok(());
        }
        let removed = audit::prune::prune(self.store.as_ref(), &self.audit, before).await?;
        tracing::info!(removed, "Old records were removed from the audit log, as configured");
        Ok(())
    }

    /// Writes a copy of the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn backup(&self, to: &Path) -> Result<(), SiteError> {
        Ok(self.store.backup(to).await?)
    }

    /// Opens every sealed token and webhook.
    ///
    /// # Errors
    /// [`StoreError`]; what does not open is no error but in the result.
    pub async fn verify(&self) -> Result<Verified, SiteError> {
        verify_all(self.store.as_ref(), Some(&self.keys)).await
    }
}

/// A log with a beginning can't be taken away unnoticed by taking all of it. A disk that is full is no reason not to
/// serve: pages say how things are, and what takes something away works; nothing is given without its entry.
async fn note_start(audit: &Audit, applied: &Applied) {
    let version = concat!("version ", env!("CARGO_PKG_VERSION"));
    audit.note(Entry::new(Actor::Operator, Action::ServerStarted).detail(version)).await;
    let Applied { enabled, disabled, changed } = applied;
    for (what, ids) in [("enabled", enabled), ("disabled", disabled), ("changed", changed)] {
        let mut by_account: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
        for id in ids {
            by_account.entry(account_of(id)).or_default().push(id);
        }
        for (account, ids) in by_account {
            for some in ids.chunks(IDS_PER_ENTRY) {
                let detail = format!("{what}: {}", some.join(", "));
                let entry = Entry::new(Actor::Operator, Action::ConfigurationApplied).detail(detail);
                audit.note(Entry { account: account.map(AccountId::from), ..entry }).await;
            }
        }
    }
}

/// The account that a declared thing is of: its admins may read what became of it. `None` of a provider.
fn account_of(declared: &str) -> Option<&str> {
    let (kind, id) = declared.split_once(' ')?;
    match kind {
        "account" => Some(id),
        "member" => id.split_once('/').map(|(account, _)| account),
        "runtime" => id.split_once('.').map(|(account, _)| account),
        _ => None,
    }
}

/// Tells the server's log, which is collected elsewhere as a rule, where the audit log ends: an earlier end that was
/// put back into the database is noticed by comparing, or by `gitward audit verify --noted`.
async fn say_where_the_audit_log_ends(store: &dyn Store, when: &'static str) {
    match store.audit_head().await {
        Ok(head) => {
            if let Some(Head { sequence, hash, .. }) = head {
                tracing::info!(end = %Point { sequence, hash }, when, "The audit log ends here");
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, when, "Where the audit log ends could not be read");
        }
    }
}

/// Opens every sealed token and webhook; what an authorization under way must remember, for minutes, is left out. Sealed
/// to the origins that the database knows: the configuration may have lost a provider whose tokens are as whole as ever.
async fn verify_all(store: &dyn Store, keys: Option<&KeyRing>) -> Result<Verified, SiteError> {
    let mut verified = Verified::default();
    let (credentials, revocations) = (store.all_sealed().await?, store.all_revocations().await?);
    let webhooks = store.all_webhooks().await?;
    let origins = store.origins().await?;
    let kept = credentials.iter().map(|NewCredential { credential, sealed }| {
        (&credential.id, &credential.provider, Whose::from(credential), sealed)
    });
    let leaving = revocations.iter().map(|Pending { revocation, sealed, .. }| {
        (&revocation.credential, &revocation.provider, Whose::from(revocation), sealed)
    });
    for (id, provider, whose, sealed) in kept.chain(leaving) {
        verified.tokens += 1;
        let opens = match (keys, origins.get(provider)) {
            (Some(keys), Some(origin)) => keys.unseal_tokens(whose, origin, sealed).is_ok(),
            _ => false,
        };
        if !opens {
            verified.broken.push(id.to_string());
        }
    }
    verified.to_be_revoked = u32::try_from(revocations.len()).unwrap_or(u32::MAX);
    for NewWebhook { webhook, sealed } in &webhooks {
        verified.webhooks += 1;
        if keys.is_none_or(|keys| Target::unseal(keys, webhook, sealed).is_err()) {
            verified.broken.push(format!("webhook {}", webhook.id));
        }
    }
    Ok(verified)
}

/// A site that listens.
pub struct Bound {
    /// The site.
    pub site: Arc<Site>,
    listener: TcpListener,
    router: axum::Router,
}

impl Bound {
    async fn new(site: &Arc<Site>) -> Result<Self, SiteError> {
        let listen = site.listen;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| SiteError::Listen { address: listen, source })?;
        let router = web::router(site)?;
        Ok(Self { site: Arc::clone(site), listener, router })
    }

    /// Serves until the process is told to stop, then closes the database.
    ///
    /// # Errors
    /// [`SiteError::Serve`].
    pub async fn serve(self) -> Result<(), SiteError> {
        let address = self.listener.local_addr().unwrap_or(self.site.listen);
        tracing::info!(%address, public_url = %self.site.public_url, "Serving");
        let sweeper = tokio::spawn(sweep(Arc::clone(&self.site)));
        self.site.under_way.spawn(Arc::clone(&self.site.watch).run());
        self.site.under_way.spawn(Arc::clone(&self.site.revoker).run());
        let herald = tokio::spawn(Arc::clone(&self.site.herald).run());
        self.site.under_way.spawn(Arc::clone(&self.site.courier).run());
        let told_at = Arc::new(OnceLock::new());
        let stop = {
            let (site, told_at) = (Arc::clone(&self.site), Arc::clone(&told_at));
            async move {
                stop_signal().await;
                told_at.get_or_init(|| site.clock.steady());
                site.begin_nothing_more();
            }
        };
        let served = web::serve::serve(self.listener, self.router, stop, LAST_REQUESTS).await;
        sweeper.abort();
        self.site.under_way.close();
        self.site.herald.stop();
        let last = async {
            if let Err(error) = herald.await {
                tracing::error!(%error, "Telling what happened was broken off");
            }
            self.site.under_way.wait().await;
        };
        let now = self.site.clock.steady();
        let left = LAST_ANSWERS.saturating_sub(now.saturating_sub(told_at.get().copied().unwrap_or(now)));
        if tokio::time::timeout(left, last).await.is_err() {
            let unkept = self.site.checker.renewer.unkept();
            tracing::error!(
                unkept,
                "Something was still under way; what a provider may have answered is lost"
            );
        }
        say_where_the_audit_log_ends(self.site.store.as_ref(), "at this stop").await;
        self.site.store.close().await;
        served.map_err(SiteError::Serve)
    }
}

/// How much each host may be asked, where the operator says so.
fn paces(config: &Config, registry: &Registry) -> HashMap<String, Pace> {
    let mut paces: HashMap<String, Pace> = HashMap::new();
    for settings in config.providers() {
        let (Some(per_second), Some(provider)) =
            (settings.checks_per_second, registry.provider(&settings.id))
        else {
            continue;
        };
        let pace = paces.entry(provider.host()).or_insert(Pace::of(per_second));
        *pace = Pace::of(pace.per_second.min(per_second));
    }
    paces
}

/// The way to the declared mail server.
fn mailer(config: &Config) -> Result<Option<Mailer>, MailerError> {
    let Some(mail) = config.mail() else { return Ok(None) };
    let server = MailServer {
        host: mail.host.clone(),
        port: mail.port,
        security: mail.security,
        sign_in: mail.sign_in.clone(),
        from: mail.from.clone(),
        roots: mail.ca.as_ref().map(|ca| ca.pem.clone()).unwrap_or_default(),
    };
    Mailer::new(server, config.public_url().clone()).map(Some)
}

/// Builds the declared providers.
fn registry(config: &Config, clock: &Arc<dyn Clock>) -> Result<Registry, SiteError> {
    let providers = config
        .providers()
        .iter()
        .map(|settings| {
            provider(settings, config.public_url(), clock).map_err(|problem| SiteError::Provider {
                id: settings.id.to_string(),
                problem: problem.to_string(),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Registry::new(providers, config.oauth_apps()))
}

fn provider(
    settings: &ProviderSettings,
    public_url: &Url,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Provider>, Box<dyn std::error::Error + Send + Sync>> {
    let http = Outgoing::new(&HttpSettings {
        proxy: settings.proxy.clone(),
        roots: settings.ca.as_ref().map(|ca| ca.pem.clone()).unwrap_or_default(),
        ..HttpSettings::default()
    })?;
    let kind = settings.kind;
    let settings = provider::Settings {
        id: settings.id.clone(),
        name: settings.name.clone(),
        base_url: settings.base_url.clone(),
        api_url: settings.api_url.clone(),
        redirect_uri: public_url.join(&path::callback(settings.id.as_str()))?,
        clock: Arc::clone(clock),
        http,
    };
    Ok(match kind {
        ProviderKind::Github => Arc::new(GitHub::new(settings)?),
        ProviderKind::Gitlab => Arc::new(GitLab::new(settings)?),
        ProviderKind::Gitea => Arc::new(Gitea::new(settings, Brand::Gitea)?),
        ProviderKind::Forgejo => Arc::new(Gitea::new(settings, Brand::Forgejo)?),
        ProviderKind::BitbucketCloud => Arc::new(Bitbucket::new(settings)?),
        ProviderKind::BitbucketDataCenter => Arc::new(BitbucketDataCenter::new(settings)?),
    })
}

fn origin(registry: &Registry, id: &ProviderId) -> String {
    registry.provider(id).map(|provider| provider.origin()).unwrap_or_default()
}

async fn sweep(site: Arc<Site>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        site.sweep().await;
    }
}

/// Ends when the process is told to stop.
async fn stop_signal() {
    let interrupted = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "The signal to terminate can't be heard; only the one to interrupt");
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
    tracing::info!("Stopping");
}
