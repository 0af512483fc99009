//! `gitward.toml`: what the operator declares. Every problem is found in one reading, and says where it is.
//!
//! Only [`site`](crate::site) and [`cli`](crate::cli) read it; everything else gets values. The comments of the
//! accessors and of [`ProviderSettings`], [`AppSettings`] and [`catalogue`](crate::catalogue) are the manual;
//! [`SAMPLE`] is a file to begin with.
//!
//! - relative paths begin at the file's folder
//! - `GITWARD_…` variables come before the file; an empty one counts as none; relative paths in them begin at the
//!   working directory
//! - a broken file (a quote that is not closed) is reported alone: what follows from it would only distract
//!
//! To add a key: its name into the list of its section, its reading next to the others, a test with its refusal.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use toml::de::DeTable;
use url::Url;

use crate::{
    catalogue::{Account, Declaration, DeclaredProvider, Member, Runtime},
    id::ProviderId,
    provider::OauthApp,
};

mod account;
mod address;
mod file;
mod log;
mod name;
mod notice;
mod problem;
mod provider;
mod secret;

#[cfg(test)]
mod tests;

use self::{
    account::{ACCOUNT_KEYS, Accounts},
    file::{File, Section},
};
pub use self::{
    log::{LogFormat, LogLevel, LogSettings},
    notice::{MailConfig, MailboxConfig, WebhookConfig},
    problem::{ConfigErrors, Place, Problem},
    provider::{AppSettings, CaCertificates, ProviderKind, ProviderSettings},
};

/// A configuration to begin with, every key explained.
pub const SAMPLE: &str = include_str!("../gitward.sample.toml");

/// No configuration is longer; what is, is some other file.
const LIMIT: u64 = 4 * 1024 * 1024;

const AUDIT_KEYS: &[&str] = &["keep_days"];
/// A century; more is for ever.
const KEEP_DAYS: std::ops::RangeInclusive<u32> = 1..=36_500;

const ROOT_KEYS: &[&str] = &[
    "public_url",
    "listen",
    "data_dir",
    "root_key_file",
    "trusted_proxies",
    "log",
    "mail",
    "notices",
    "audit",
    "provider",
    "oauth_app",
    "account",
];

/// A configuration without contradictions. Holds secrets, so it can't be printed.
#[derive(Clone)]
pub struct Config {
    public_url: Url,
    listen: SocketAddr,
    data_dir: PathBuf,
    root_key_file: PathBuf,
    trusted_proxies: Vec<IpNet>,
    log: LogSettings,
    site_dir: PathBuf,
    live_reload: Option<u16>,
    providers: Vec<ProviderSettings>,
    apps: Vec<AppSettings>,
    accounts: Vec<Account>,
    members: Vec<Member>,
    runtimes: Vec<Runtime>,
    mail: Option<MailConfig>,
    private_webhooks: bool,
    keep_audit_days: Option<u32>,
    webhooks: Vec<WebhookConfig>,
    mailboxes: Vec<MailboxConfig>,
    warnings: Vec<Problem>,
}

fn keep_audit_days(root: &Section<'_>) -> Option<Option<u32>> {
    if !root.has("audit") {
        return Some(None);
    }
    root.section("audit", AUDIT_KEYS)?.number("keep_days", KEEP_DAYS)
}

impl Config {
    /// Reads the file, the secrets and certificates that it names, and the environment.
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(path: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let alone = |message: String| {
            ConfigErrors::new(vec![Problem {
                place: Place::File(path.to_owned()),
                key: String::new(),
                message,
            }])
        };
        let bytes = secret::read_limited(path, LIMIT).map_err(|problem| {
            alone(format!("{problem}; `gitward check-config --sample` prints one to begin with"))
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let place = Place::of(path, &bytes, error.valid_up_to());
            let message = "holds something that is not UTF-8 text".to_owned();
            ConfigErrors::new(vec![Problem { place, key: String::new(), message }])
        })?;
        Self::parse(path, text, &env)
    }

    fn parse(path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let file = File::new(path, text);
        let (table, broken) = DeTable::parse_recoverable(text);
        for error in &broken {
            // Its message only: its `Display` repeats the line, which may hold a secret.
            let place = file.place(error.span().map_or(0, |span| span.start));
            file.reject(place, "", format!("this is not TOML: {}", error.message()));
        }
        let config = match broken.is_empty() {
            true => Self::read(&Section::root(&file, table.get_ref(), ROOT_KEYS), env),
            false => None,
        };
        let (problems, warnings) = file.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { warnings, ..config }),
            _ => Err(ConfigErrors::new(problems)),
        }
    }

    /// `None` only after noting a problem.
    fn read(root: &Section<'_>, env: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let public_url = root.text_or_variable("public_url", "GITWARD_PUBLIC_URL", env);
        if public_url.is_none() && !root.has("public_url") {
            let hint =
                "is missing; write `public_url = \"https://gitward.example.com\"`, as people will type it";
            root.file.reject(root.start(), "public_url", hint);
        }
        let public_url = public_url.and_then(|field| field.parse(address::public_url));
        let listen = match root.text_or_variable("listen", "GITWARD_LISTEN", env) {
            Some(field) => field.parse(|text| {
                let hint = "is not an IP address and a port; write it like `127.0.0.1:3000`";
                text.parse().map_err(|_| hint.to_owned())
            }),
            None => Some(SocketAddr::from(([127, 0, 0, 1], 3000))),
        };
        let path = |key, variable, default: &str| match root.text_or_variable(key, variable, env) {
            Some(field) => field.path(),
            None => Some(root.file.folder().join(default)),
        };
        let data_dir = path("data_dir", "GITWARD_DATA_DIR", "data");
        let root_key_file = path("root_key_file", "GITWARD_ROOT_KEY_FILE", "gitward.key");
        let trusted_proxies = trusted_proxies(root);
        let log = log::log(root, env);
        // Where the files for browsers are is the packager's business, not the operator's: no keys in the file. The
        // tool that rebuilds in development has a name of its own for it.
        let site_dir = ["GITWARD_SITE_DIR", "LEPTOS_SITE_ROOT"]
            .into_iter()
            .find_map(|variable| env(variable).filter(|folder| !folder.is_empty()));
        let site_dir = site_dir.map_or_else(|| beside_the_program("site"), PathBuf::from);
        let live_reload = env("GITWARD_DEV")
            .filter(|dev| dev == "1")
            .map(|_| env("LEPTOS_RELOAD_PORT").and_then(|port| port.parse().ok()).unwrap_or(3001));

        let accounts = root.sections("account", ACCOUNT_KEYS);
        let (known_accounts, account_ids) = account::ids(&accounts);
        let (providers, known_providers) = provider::providers(root);
        let (apps, known_apps) = provider::apps(root, &known_providers, &known_accounts);
        let mail = notice::mail(root);
        let private_webhooks = notice::allow_private_webhooks(root);
        let keep_audit_days = keep_audit_days(root);
        // Where that can't be read, what is said about addresses would be a guess.
        let private = private_webhooks.unwrap_or(true);
        // One that can't be read is there all the same.
        let sends_mail = root.has("mail");
        let Accounts { accounts, members, runtimes, webhooks, mailboxes } =
            account::accounts(&accounts, &account_ids, &known_providers, &known_apps, private, sends_mail);

        Some(Self {
            public_url: public_url?,
            listen: listen?,
            data_dir: data_dir?,
            root_key_file: root_key_file?,
            trusted_proxies,
            log: log?,
            site_dir,
            live_reload,
            providers,
            apps,
            accounts,
            members,
            runtimes,
            mail: mail?,
            private_webhooks: private_webhooks?,
            keep_audit_days: keep_audit_days?,
            webhooks,
            mailboxes,
            warnings: Vec::new(),
        })
    }

    /// `public_url`, or `GITWARD_PUBLIC_URL`: where people find Gitward, an origin. It decides the cookies and where
    /// OAuth apps send people back to. `http` only on this machine. Required.
    pub fn public_url(&self) -> &Url {
        &self.public_url
    }

    /// `listen`, or `GITWARD_LISTEN`: where the server listens; port 0 takes a free one. `127.0.0.1:3000` unless said
    /// otherwise.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// `data_dir`, or `GITWARD_DATA_DIR`: the folder of the database. `data` unless said otherwise.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The database, in [`data_dir`](Self::data_dir).
    pub fn database_file(&self) -> PathBuf {
        self.data_dir.join("gitward.sqlite3")
    }

    /// `root_key_file`, or `GITWARD_ROOT_KEY_FILE`: the key without which no token can be read. Keep it apart from the
    /// backups. `gitward.key` unless said otherwise.
    pub fn root_key_file(&self) -> &Path {
        &self.root_key_file
    }

    /// `trusted_proxies`: networks (`10.0.0.0/8`) or addresses whose word on a visitor's address is believed. None
    /// unless said otherwise.
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// `[log]`.
    pub fn log(&self) -> LogSettings {
        self.log
    }

    /// `GITWARD_SITE_DIR`: the folder with the files for browsers. `site` beside the program unless said otherwise.
    pub fn site_dir(&self) -> &Path {
        &self.site_dir
    }

    /// `GITWARD_DEV=1`: the port whose socket tells browsers to reload. For developers of Gitward alone.
    pub fn live_reload(&self) -> Option<u16> {
        self.live_reload
    }

    /// `[[provider]]`, in the file's order.
    pub fn providers(&self) -> &[ProviderSettings] {
        &self.providers
    }

    /// `[[oauth_app]]`, in the file's order.
    pub fn apps(&self) -> &[AppSettings] {
        &self.apps
    }

    /// The apps as the registry of providers takes them.
    pub fn oauth_apps(&self) -> impl Iterator<Item = OauthApp> {
        self.apps.iter().map(|settings| settings.app.clone())
    }

    /// `[[account]]`, in the file's order.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// `members` of all accounts.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// `[[account.runtime]]` of all accounts.
    pub fn runtimes(&self) -> &[Runtime] {
        &self.runtimes
    }

    /// `[mail]`. Without it no mail is sent, and none is offered.
    pub fn mail(&self) -> Option<&MailConfig> {
        self.mail.as_ref()
    }

    /// `[notices]`, `allow_private_webhooks`: webhooks of users and accounts may be on this machine and in private
    /// networks. `false` unless said otherwise: users name theirs, and what only this machine can reach is not theirs to
    /// reach.
    pub fn private_webhooks(&self) -> bool {
        self.private_webhooks
    }

    /// `[audit]`, `keep_days`: after so many days, records of the audit log are removed. Without it none ever is: what
    /// happened is nothing that disappears unless somebody decides so.
    pub fn keep_audit_days(&self) -> Option<u32> {
        self.keep_audit_days
    }

    /// `[[account.webhook]]` of all accounts.
    pub fn webhooks(&self) -> &[WebhookConfig] {
        &self.webhooks
    }

    /// `[[account.mail]]` of all accounts. Not without [`mail`](Self::mail).
    pub fn mailboxes(&self) -> &[MailboxConfig] {
        &self.mailboxes
    }

    /// What is accepted, but should not stay so.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What the database is told. `origins` says for a provider which origins get to see its tokens: only its kind
    /// knows.
    pub fn declaration(&self, origins: impl Fn(&ProviderId) -> String) -> Declaration {
        Declaration {
            providers: self
                .providers
                .iter()
                .map(|provider| DeclaredProvider { id: provider.id.clone(), origin: origins(&provider.id) })
                .collect(),
            accounts: self.accounts.clone(),
            members: self.members.clone(),
            runtimes: self.runtimes.clone(),
        }
    }
}

fn trusted_proxies(root: &Section<'_>) -> Vec<IpNet> {
    let fields = root.texts("trusted_proxies").unwrap_or_default();
    let networks = fields.iter().filter_map(|field| {
        let network: IpNet = field.parse(|text| {
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| "is not a network or an IP address; write it like `10.0.0.0/8`".to_owned())
        })?;
        if network.prefix_len() == 0 {
            field.reject("trusts everybody: any visitor could claim any address; name the proxies alone");
            return None;
        }
        Some(network.trunc())
    });
    networks.collect()
}

/// A folder beside the program, or in the current one where the program's place is unknown.
fn beside_the_program(name: &str) -> PathBuf {
    let program = std::env::current_exe().ok();
    program.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
}
