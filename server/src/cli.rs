//! The command line: what can be asked of `gitward`, and how it answers. Results go to stdout, everything else to
//! stderr.

use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand, builder::OsStringValueParser};
use url::Url;

use crate::{
    audit::{Action, Actor, Entry},
    clock::{Clock, SystemClock},
    config::{self, Config},
    person::Name,
    random::SystemEntropy,
    secret::Secret,
    site::{Site, SiteError, Verified, records},
};

mod audit;
mod credential;
mod explain;
mod runtime_key;
mod telemetry;

const DEFAULT_CONFIG: &str = "gitward.toml";

/// Something failed.
const FAILURE: u8 = 1;
/// The configuration or the root key is wrong: `EX_CONFIG` of `sysexits.h`.
const CONFIGURATION: u8 = 78;

const FIRST_STEPS: &str = "\
First steps:
  gitward check-config --sample > gitward.toml
  gitward check-config
  gitward serve

Exit codes:
  0   done
  1   it failed; stderr says why
  2   this command line can't be understood
  78  the configuration or the root key is wrong

Environment: GITWARD_PUBLIC_URL, GITWARD_LISTEN, GITWARD_DATA_DIR, GITWARD_ROOT_KEY_FILE, GITWARD_LOG and
GITWARD_LOG_FORMAT come before the file.";

/// Every user authorizes Git access for their GitOps runtimes.
#[derive(Debug, Parser)]
#[command(name = "gitward", version, after_help = FIRST_STEPS)]
pub struct Cli {
    /// The configuration
    #[arg(
        long,
        global = true,
        env = "GITWARD_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        default_value = DEFAULT_CONFIG,
        value_parser = OsStringValueParser::new()
    )]
    config: OsString,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the site until told to stop (SIGINT, SIGTERM)
    ///
    /// At the first start this makes the root key and the database, and prints a one-time link for the first user to
    /// stderr. At each start it takes over what the configuration says; no other command does.
    Serve,
    /// Say what is wrong with the configuration, and what it would change
    ///
    /// Exits with 0 if `gitward serve` would take it, else with 1. Changes nothing, and prints no secrets.
    #[command(after_help = "\
Examples:
  gitward check-config
  gitward --config staging.toml check-config
  gitward check-config --sample > gitward.toml")]
    CheckConfig {
        /// Print a configuration to begin with, and check nothing
        #[arg(long)]
        sample: bool,
    },
    /// Add users, disable them, let them choose a new password
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Make, rotate, revoke and list the keys that runtimes show
    RuntimeKey {
        #[command(subcommand)]
        command: runtime_key::RuntimeKeyCommand,
    },
    /// Write a copy of the database, also while the server runs
    ///
    /// The copy is of no use without the root key: keep that somewhere else.
    #[command(after_help = "\
Example:
  gitward backup /backup/gitward-$(date +%F).sqlite3")]
    Backup {
        /// Where to; must not exist yet
        file: PathBuf,
    },
    /// Say whether the audit log is whole, and print it
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// Give Git a user's token: a credential helper
    ///
    /// Asks the Gitward server with the key of a runtime, and keeps nothing. If the server gives no answer, Git goes on
    /// without one; if there is no token, Git stops and says so.
    #[command(after_help = "\
Example:
  git config --global --replace-all credential.https://github.com.helper ''
  git config --global --add credential.https://github.com.helper \\
    '!gitward credential --runtime-key-file /etc/gitward-runtime.key --user mara --server https://gitward.example.com'")]
    Credential(credential::Credential),
    /// Open every stored token and webhook, and count them
    ///
    /// Tokens that were deleted and are yet to be revoked at their providers count too. Exits with 1 if some don't open,
    /// and says which. Shows none of them.
    Verify,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a user
    ///
    /// Prints a one-time link, and nothing else, to stdout: hand it to the user, who chooses a password there.
    #[command(after_help = "\
Example:
  gitward user add mara")]
    Add {
        /// The name to sign in with: up to 64 letters, digits and `. _ - @ +`
        #[arg(value_parser = user_name)]
        name: Name,
    },
    /// Disable a user: no more sign-in, and all sessions end
    Disable {
        /// The name to sign in with
        #[arg(value_parser = user_name)]
        name: Name,
    },
    /// Make a one-time link to choose a new password
    ///
    /// Prints the link, and nothing else, to stdout. The old password works until the link is used.
    ResetPassword {
        /// The name to sign in with
        #[arg(value_parser = user_name)]
        name: Name,
    },
}

fn user_name(text: &str) -> Result<Name, &'static str> {
    Name::parse(text).ok_or("take up to 64 letters, digits and . _ - @ +")
}

/// Why a command did not succeed, and what to exit with.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn because(reason: impl fmt::Display) -> Self {
        Self { code: FAILURE, message: reason.to_string() }
    }
}

impl From<config::ConfigErrors> for Failure {
    fn from(errors: config::ConfigErrors) -> Self {
        Self { code: CONFIGURATION, message: errors.to_string() }
    }
}

impl From<SiteError> for Failure {
    fn from(error: SiteError) -> Self {
        // With what lies below it: "the database failed" alone helps nobody.
        let mut message = error.to_string();
        let mut below = std::error::Error::source(&error);
        while let Some(cause) = below {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            below = cause.source();
        }
        Self { code: error.exit_code(), message }
    }
}

impl Cli {
    /// Does what was asked.
    pub async fn run(self) -> ExitCode {
        match self.command.run(&config_file(&self.config)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure { code, message }) => {
                tell(&message);
                ExitCode::from(code)
            }
        }
    }
}

impl Command {
    async fn run(self, path: &Path) -> Result<(), Failure> {
        match self {
            Self::Serve => serve(path).await,
            Self::CheckConfig { sample: true } => answer(config::SAMPLE.trim_end()),
            Self::CheckConfig { sample: false } => {
                check_config(path).await.map_err(|failure| Failure { code: FAILURE, ..failure })
            }
            Self::User { command } => command.run(path).await,
            Self::RuntimeKey { command } => command.run(path).await,
            Self::Backup { file } => {
                let config = load_quietly(path)?;
                records::backup(&config, &file).await?;
                tell(&format!("Copied to {}. It is of no use without the root key.", file.display()));
                Ok(())
            }
            Self::Audit { command } => command.run(path).await,
            Self::Credential(credential) => {
                credential.run().await;
                Ok(())
            }
            Self::Verify => verify(path).await,
        }
    }
}

impl UserCommand {
    async fn run(self, path: &Path) -> Result<(), Failure> {
        let config = load_quietly(path)?;
        let opened = records::open(&config, clock(), Arc::new(SystemEntropy)).await?;
        let done = self.act(path, &config, &opened).await;
        opened.store.close().await;
        done
    }

    async fn act(self, path: &Path, config: &Config, opened: &records::Opened) -> Result<(), Failure> {
        let people = &opened.people;
        match self {
            Self::Add { name } => {
                let (user, secret) = people.add_user(name.as_str()).await.map_err(Failure::because)?;
                record(opened, Action::UserAdded, &user.name).await?;
                tell(&format!(
                    "Added {}. With this link, good for one use, they choose a password:",
                    user.name
                ));
                if !config.members().iter().any(|member| member.name == user.name) {
                    tell(&format!(
                        "{} is a member of no account yet: add them to `members` in {}.",
                        user.name,
                        path.display()
                    ));
                }
                answer(&link(config.public_url(), app::path::WELCOME, &secret))
            }
            Self::Disable { name } => {
                people.disable(name.as_str()).await.map_err(Failure::because)?;
                record(opened, Action::UserDisabled, &name).await?;
                tell(&format!("Disabled {name}: all their sessions have ended."));
                Ok(())
            }
            Self::ResetPassword { name } => {
                let secret = people.reset_link(name.as_str()).await.map_err(Failure::because)?;
                record(opened, Action::PasswordLinkMade, &name).await?;
                tell(&format!("With this link, good for one use, {name} chooses a new password:"));
                answer(&link(config.public_url(), app::path::WELCOME, &secret))
            }
        }
    }
}

/// It was done; but nobody gets anything for it that could not be written down.
async fn record(opened: &records::Opened, action: Action, name: &Name) -> Result<(), Failure> {
    let user = opened.store.user_by_name(name).await.map_err(Failure::because)?;
    let entry = Entry::new(Actor::Operator, action).object(name.to_string());
    let entry = match user {
        Some(user) => entry.about(&user.id),
        None => entry,
    };
    opened.audit.record(entry).await.map_err(|error| {
        Failure::because(format!("It was done, but could not be written into the audit log: {error}"))
    })
}

async fn serve(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    telemetry::start(config.log());
    for warning in config.warnings() {
        tracing::warn!(place = %warning.place, key = warning.key, "{}", warning.message);
    }
    let public_url = config.public_url().clone();
    let site = Site::open(config, clock(), Arc::new(SystemEntropy)).await?;
    let bound = site.bind().await?;
    match bound.site.people.setup_link().await {
        Ok(Some(secret)) => {
            tell(
                "Nobody has been here yet. With this link, good for one use, the first user chooses name and password:",
            );
            tell(&link(&public_url, app::path::SETUP, &secret));
        }
        Ok(None) => {}
        Err(error) => {
            bound.site.store.close().await;
            return Err(Failure::because(error));
        }
    }
    Ok(bound.serve().await?)
}

async fn check_config(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    for warning in config.warnings() {
        tell(&format!("warning: {warning}"));
    }
    if config.database_file().exists() && !config.root_key_file().exists() {
        return Err(Failure::because(format!(
            "{}: the root key is missing, but there is a database. Bring the key back: no other can read the tokens.",
            config.root_key_file().display()
        )));
    }
    let would = records::would_apply(&config, &clock()).await?;
    answer(explain::explain(path, &config, &would).trim_end())
}

/// The machine's own.
fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

async fn verify(path: &Path) -> Result<(), Failure> {
    let config = load_quietly(path)?;
    let verified = records::verify(&config, &SystemEntropy).await?;
    if verified.broken.is_empty() {
        return answer(&opened(&verified));
    }
    for id in &verified.broken {
        answer(id.as_str())?;
    }
    Err(Failure::because(unopened(&verified)))
}

/// Not all of it did.
fn unopened(Verified { tokens, webhooks, broken, .. }: &Verified) -> String {
    let all = match tokens.saturating_add(*webhooks) {
        1 => "The one stored token or webhook".to_owned(),
        all => format!("{} of {all} stored tokens and webhooks", broken.len()),
    };
    let rest = match broken.len() {
        1 => "doesn't open; stdout has its id. Its user must add it again",
        _ => "don't open; stdout has their ids. Their users must add them again",
    };
    format!("{all} {rest}, or a backup must come back.")
}

/// All of it did.
fn opened(Verified { tokens, to_be_revoked, webhooks, .. }: &Verified) -> String {
    let leaving = match (to_be_revoked, tokens) {
        (0, _) => String::new(),
        (_, 1) => " (deleted, and yet to be revoked)".to_owned(),
        (some, _) => format!(" ({some} of them deleted, and yet to be revoked)"),
    };
    let webhooks = match webhooks {
        0 => String::new(),
        1 => " So does the one webhook.".to_owned(),
        some => format!(" So do all {some} webhooks."),
    };
    match tokens {
        1 => format!("The one stored token opens{leaving}.{webhooks}"),
        _ => format!("All {tokens} stored tokens open{leaving}.{webhooks}"),
    }
}

/// Logs only what is wrong: the command's own words are enough.
fn load_quietly(path: &Path) -> Result<Config, Failure> {
    let config = load(path)?;
    telemetry::start(telemetry::quiet(config.log()));
    Ok(config)
}

fn load(path: &Path) -> Result<Config, config::ConfigErrors> {
    Config::load(path, |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

/// An empty variable counts as none.
fn config_file(given: &OsString) -> PathBuf {
    PathBuf::from(if given.is_empty() { DEFAULT_CONFIG.as_ref() } else { given.as_os_str() })
}

fn link(public_url: &Url, page: &str, secret: &Secret) -> String {
    format!("{}{page}/{}", public_url.as_str().trim_end_matches('/'), secret.expose())
}

/// To stdout. Whoever asked must get it, or be told.
fn answer(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}")
        .map_err(|error| Failure::because(format!("stdout is closed: {error}")))
}

/// To stderr, if anybody listens.
fn tell(text: &str) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn what_opened_is_counted_by_sort() {
        let tokens = Verified { tokens: 3, ..Verified::default() };
        assert_eq!(opened(&tokens), "All 3 stored tokens open.");
        assert_eq!(
            opened(&Verified { to_be_revoked: 1, webhooks: 2, ..tokens }),
            "All 3 stored tokens open (1 of them deleted, and yet to be revoked). So do all 2 webhooks."
        );
        let one = Verified { tokens: 1, ..Verified::default() };
        assert_eq!(opened(&one), "The one stored token opens.");
        assert_eq!(
            opened(&Verified { to_be_revoked: 1, webhooks: 1, ..one }),
            "The one stored token opens (deleted, and yet to be revoked). So does the one webhook."
        );
    }

    #[test]
    fn what_does_not_open_is_counted() {
        let broken = |ids: &[&str], tokens| Verified {
            tokens,
            broken: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Verified::default()
        };
        for (verified, begin) in [
            (broken(&["a"], 1), "The one stored token or webhook doesn't open; stdout has its id."),
            (broken(&["a"], 3), "1 of 3 stored tokens and webhooks doesn't open; stdout has its id."),
            (broken(&["a", "b"], 3), "2 of 3 stored tokens and webhooks don't open; stdout has their ids."),
        ] {
            assert!(unopened(&verified).starts_with(begin), "{}", unopened(&verified));
        }
    }

    #[test]
    fn verify_cli() {
        Cli::command().debug_assert();
    }

    #[test]
    fn links_have_one_slash_between_their_parts() {
        let url = Url::parse("https://gitward.example.com").unwrap();
        let link = link(&url, app::path::WELCOME, &Secret::new("c2VjcmV0"));
        assert_eq!(link, "https://gitward.example.com/welcome/c2VjcmV0");
    }
}
