//! The command line as an operator meets it: what is said, where, and with which exit code.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use insta::assert_snapshot;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// `gitward`, in a folder of its own and with an empty environment.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gitward.toml"), config).unwrap();
        std::fs::set_permissions(folder.path().join("gitward.toml"), PermissionsExt::from_mode(0o600))
            .unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// On which a server has run: it made key and database before it found that it can't listen there.
    fn served(config: &str) -> Self {
        let machine = Self::new(config);
        machine.serve();
        machine
    }

    /// What it said before it found that out.
    fn serve(&self) -> String {
        let output = self.gitward_with("serve", &[("GITWARD_LISTEN", "192.0.2.1:9")]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("can't listen on 192.0.2.1:9"), "{}", stderr(&output));
        assert!(self.bytes()[1].is_empty(), "closed");
        stderr(&output).to_owned()
    }

    /// A server has run and lost its power: its log is not copied into the database.
    async fn crashed(config: &str) -> Self {
        let machine = Self::served(config);
        let mut connection = machine.connect().await;
        for statement in ["UPDATE accounts SET name = 'Another'", "UPDATE accounts SET name = 'Acme'"] {
            execute(&mut connection, statement).await;
        }
        let left = machine.bytes();
        connection.close().await.unwrap();
        for (file, bytes) in machine.files().iter().zip(left) {
            assert!(!bytes.is_empty());
            std::fs::write(file, bytes).unwrap();
        }
        machine
    }

    async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(&self.files()[0]).connect().await.unwrap()
    }

    /// The database and its log.
    fn files(&self) -> [PathBuf; 2] {
        ["gitward.sqlite3", "gitward.sqlite3-wal"].map(|name| self.path().join("data").join(name))
    }

    fn bytes(&self) -> [Vec<u8>; 2] {
        self.files().map(|file| std::fs::read(file).unwrap_or_default())
    }

    fn gitward(&self, arguments: &str) -> Output {
        self.gitward_with(arguments, &[])
    }

    fn gitward_with(&self, arguments: &str, env: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_gitward"))
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

/// As the first version of Gitward has it.
const ONE_GRANT: &str =
    "CREATE UNIQUE INDEX one_grant ON credentials (user_id, oauth_app, owner_id) WHERE oauth_app IS NOT NULL";

/// As the first version of Gitward left it.
async fn age(machine: &Machine) {
    let mut connection = machine.connect().await;
    execute(&mut connection, "DROP TRIGGER news_of_assignment_added").await;
    execute(&mut connection, "DROP TRIGGER news_of_assignment_changed").await;
    execute(&mut connection, "DROP TRIGGER news_of_assignment_removed").await;
    execute(&mut connection, "DROP TRIGGER news_of_credential").await;
    execute(&mut connection, "DROP TRIGGER news_of_user").await;
    execute(&mut connection, "DROP TRIGGER news_of_member_added").await;
    execute(&mut connection, "DROP TRIGGER news_of_member").await;
    execute(&mut connection, "DROP TABLE news").await;
    execute(&mut connection, "DROP TABLE audit").await;
    execute(&mut connection, "DROP TABLE audit_head").await;
    execute(&mut connection, "DROP TABLE holdings").await;
    execute(&mut connection, "DROP TABLE runtime_keys").await;
    execute(&mut connection, "DROP TABLE revocation_waits").await;
    execute(&mut connection, "DROP TABLE revocations").await;
    execute(&mut connection, "DROP INDEX credentials_of_owner").await;
    execute(&mut connection, "DROP TABLE attempts_taken").await;
    execute(&mut connection, "ALTER TABLE login_attempts DROP COLUMN revoke").await;
    execute(&mut connection, "ALTER TABLE credentials DROP COLUMN renewal_lost_at").await;
    execute(&mut connection, "ALTER TABLE credentials DROP COLUMN access_ends_at").await;
    execute(&mut connection, "DROP TABLE deliveries").await;
    execute(&mut connection, "DROP TABLE account_targets").await;
    execute(&mut connection, "DROP TABLE webhooks").await;
    execute(&mut connection, "DROP TABLE mail_settings").await;
    execute(&mut connection, "DROP TABLE events").await;
    execute(&mut connection, "DROP TABLE told").await;
    execute(&mut connection, "DROP TABLE notice_settings").await;
    execute(&mut connection, "ALTER TABLE mutes DROP COLUMN until").await;
    execute(&mut connection, "DROP INDEX one_grant").await;
    execute(&mut connection, "ALTER TABLE credentials DROP COLUMN is_second").await;
    execute(&mut connection, ONE_GRANT).await;
    execute(&mut connection, "DROP INDEX credentials_due").await;
    execute(&mut connection, "ALTER TABLE credentials DROP COLUMN due_at").await;
    execute(&mut connection, "ALTER TABLE credentials DROP COLUMN checking_until").await;
    execute(&mut connection, "DROP TABLE hosts").await;
    execute(&mut connection, "DROP TABLE incidents").await;
    execute(&mut connection, "ALTER TABLE assignments DROP COLUMN proposed_at").await;
    execute(&mut connection, "DELETE FROM _sqlx_migrations WHERE version > 1").await;
    connection.close().await.unwrap();
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

const FULL: &str = r#"
public_url = "https://gitward.example.com"
trusted_proxies = ["10.0.0.0/8"]

[[provider]]
id = "github"
kind = "github"
base_url = "https://github.com"

[[provider]]
id = "work"
kind = "github"
base_url = "https://git.example.com"
api_url = "https://git.example.com/api/v3"
proxy = "http://proxy.example.com:3128"

[[oauth_app]]
id = "work-app"
provider = "work"
account = "acme"
client_id = "Iv1.0123"
client_secret = "hunter2"

[[account]]
id = "acme"
name = "Acme"
members = [{ user = "mara", role = "admin" }, { user = "jonas" }]

[[account.runtime]]
name = "production"
provider = "work"
authorization = "oauth2"
oauth_app = "work-app"
repository = "acme/gitops"
scopes = ["repo"]

[[account.runtime]]
name = "test"
provider = "github"
"#;

#[test]
fn help_shows_the_first_steps_and_the_exit_codes() {
    let output = Machine::new("").gitward("--help");
    assert_eq!(output.status.code(), Some(0));
    assert_snapshot!(stdout(&output), @r#"
    Every user authorizes Git access for their GitOps runtimes

    Usage: gitward [OPTIONS] <COMMAND>

    Commands:
      serve         Serve the site until told to stop (SIGINT, SIGTERM)
      check-config  Say what is wrong with the configuration, and what it would change
      user          Add users, disable them, let them choose a new password
      runtime-key   Make, rotate, revoke and list the keys that runtimes show
      backup        Write a copy of the database, also while the server runs
      audit         Say whether the audit log is whole, and print it
      credential    Give Git a user's token: a credential helper
      verify        Open every stored token and webhook, and count them
      help          Print this message or the help of the given subcommand(s)

    Options:
          --config <FILE>  The configuration [env: GITWARD_CONFIG] [default: gitward.toml]
      -h, --help           Print help
      -V, --version        Print version

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
    GITWARD_LOG_FORMAT come before the file.
    "#);
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error() {
    let machine = Machine::new(FULL);
    for arguments in ["", "sevre", "user", "user add", "user add a/b", "backup", "serve --port 1"] {
        let output = machine.gitward(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert_eq!(stdout(&output), "", "{arguments}");
    }
}

#[test]
fn check_config_explains_what_it_read_and_shows_no_secret() {
    let machine = Machine::new(FULL);
    let output = machine.gitward("check-config");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    assert_snapshot!(stdout(&output), @r#"
    gitward.toml is good.

    Public URL       https://gitward.example.com
    Listens on       127.0.0.1:3000
    Database         data/gitward.sqlite3 (not there yet)
    Root key         gitward.key (not there yet)
    Trusted proxies  10.0.0.0/8
    Mail             none

    Git providers
      github: github at https://github.com/
      work: github at https://git.example.com/, API at https://git.example.com/api/v3, through http://proxy.example.com:3128/

    OAuth apps
      work-app: client Iv1.0123 at work, for acme only
        callback to register there: https://gitward.example.com/callback/work

    Accounts
      acme (Acme), members: 2
        acme.production: at work, by OAuth2 with work-app, or by token, pushes to acme/gitops, needs repo
        acme.test: at github, by token

    There is no database yet: `gitward serve` makes it.
    "#);
    assert!(!stdout(&output).contains("hunter2"));
    assert_eq!(std::fs::read_dir(machine.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn check_config_says_how_notices_leave_and_shows_neither_secrets_nor_addresses_of_webhooks() {
    let machine = Machine::new(
        r#"
public_url = "https://gitward.example.com"
[mail]
host = "smtp.example.com"
security = "starttls"
user = "gitward"
password = "hunter2"
from = "Gitward <gitward@example.com>"
[[account]]
id = "acme"
name = "Acme"
[[account.webhook]]
name = "chat"
url = "https://hooks.example.com/services/hunter2"
format = "slack"
[[account.mail]]
name = "team"
address = "team@example.com"
"#,
    );
    let output = machine.gitward("check-config");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = stdout(&output);
    assert!(!page.contains("hunter2"), "{page}");
    for line in [
        "Mail             through smtp.example.com:587 (starttls), as gitward, from Gitward <gitward@example.com>\n",
        "    webhook chat: slack\n",
        "    mail team: to team@example.com\n",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
}

#[test]
fn check_config_finds_certificates_for_mail_that_are_none() {
    let machine = Machine::new(
        "public_url = 'https://gitward.example.com'\n[mail]\nhost = 'smtp.example.com'\nfrom = 'g@example.com'\n\
         ca_file = 'ca.pem'\n",
    );
    let pem = "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n";
    std::fs::write(machine.path().join("ca.pem"), pem).unwrap();
    let output = machine.gitward("check-config");
    assert_eq!(output.status.code(), Some(1));
    assert_snapshot!(stderr(&output), @"`[mail]` can't be used: the extra certificates are not certificates in PEM form");
}

#[test]
fn check_config_says_all_that_is_wrong_and_exits_with_1() {
    let output = Machine::new("listen = 3\ncolour = 'red'\n").gitward("check-config");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert_snapshot!(stderr(&output), @r#"
    gitward.toml:1:1: public_url: is missing; write `public_url = "https://gitward.example.com"`, as people will type it
    gitward.toml:1:10: listen: must be a text in quotes
    gitward.toml:2:1: colour: there is no such key; the choice is `public_url`, `listen`, `data_dir`, `root_key_file`, `trusted_proxies`, `log`, `mail`, `notices`, `audit`, `provider`, `oauth_app`, `account`
    "#);
}

#[test]
fn check_config_warns_about_secrets_that_everybody_can_read() {
    let machine = Machine::new(FULL);
    std::fs::set_permissions(machine.path().join("gitward.toml"), PermissionsExt::from_mode(0o644)).unwrap();
    let output = machine.gitward("check-config");
    assert_eq!(output.status.code(), Some(0));
    assert_snapshot!(stderr(&output), @"warning: gitward.toml:22:17: oauth_app.client_secret: everybody on this machine can read it here; use `client_secret_file`, or `chmod o= gitward.toml`");
}

#[test]
fn check_config_misses_the_key_of_a_database() {
    let machine = Machine::new(FULL);
    std::fs::create_dir(machine.path().join("data")).unwrap();
    std::fs::write(machine.path().join("data/gitward.sqlite3"), "").unwrap();
    let output = machine.gitward("check-config");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).starts_with("gitward.key: the root key is missing, but"), "{}", stderr(&output));
}

#[test]
fn the_sample_is_a_configuration() {
    let machine = Machine::new("");
    let sample = machine.gitward("check-config --sample");
    assert_eq!(sample.status.code(), Some(0));
    assert_eq!(stderr(&sample), "");
    std::fs::write(machine.path().join("sample.toml"), sample.stdout).unwrap();
    let output = machine.gitward("--config sample.toml check-config");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("sample.toml is good.\n"));
}

#[test]
fn a_wrong_configuration_exits_with_78() {
    let machine = Machine::new("public_url = 'https://gitward.example.com'\nlisten = 'here'\n");
    for arguments in
        ["serve", "user add mara", "user disable mara", "user reset-password mara", "backup b", "verify"]
    {
        let output = machine.gitward(arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments}");
        assert_eq!(stdout(&output), "", "{arguments}");
        assert_eq!(
            stderr(&output),
            "gitward.toml:2:10: listen: is not an IP address and a port; write it like `127.0.0.1:3000`\n"
        );
    }
    assert_eq!(std::fs::read_dir(machine.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn the_environment_names_the_configuration_and_comes_before_it() {
    let machine = Machine::new(FULL);
    let output = machine.gitward_with("check-config", &[("GITWARD_CONFIG", "other.toml")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).starts_with("other.toml: the file can't be read: No such file"),
        "{}",
        stderr(&output)
    );

    let output =
        machine.gitward_with("check-config", &[("GITWARD_CONFIG", ""), ("GITWARD_LISTEN", "[::]:8080")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("Listens on       [::]:8080\n"));

    let output = machine.gitward_with("check-config", &[("GITWARD_LISTEN", "8080")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("GITWARD_LISTEN: is not an IP address"), "{}", stderr(&output));
}

#[test]
fn user_add_prints_the_link_alone() {
    let machine = Machine::served(FULL);
    let output = machine.gitward("user add Mara");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let link = stdout(&output).strip_suffix('\n').unwrap();
    let secret = link.strip_prefix("https://gitward.example.com/welcome/").unwrap();
    assert!(secret.len() >= 43 && !secret.contains(char::is_whitespace), "{link}");
    assert!(!stderr(&output).contains(secret));
    assert_eq!(stderr(&output), "Added mara. With this link, good for one use, they choose a password:\n");

    let again = machine.gitward("user add MARA");
    assert_eq!((again.status.code(), stdout(&again), stderr(&again)), (Some(1), "", "this name is taken\n"));
}

#[test]
fn user_add_says_that_somebody_is_a_member_of_nothing() {
    let output = Machine::served(FULL).gitward("user add zoe");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output)
            .contains("zoe is a member of no account yet: add them to `members` in gitward.toml.\n")
    );
}

#[test]
fn a_user_gets_another_link_until_disabled() {
    let machine = Machine::served(FULL);
    let nobody = machine.gitward("user reset-password mara");
    assert_eq!((nobody.status.code(), stdout(&nobody)), (Some(1), ""));
    assert_eq!(machine.gitward("user add mara").status.code(), Some(0));
    let reset = machine.gitward("user reset-password mara");
    assert_eq!(reset.status.code(), Some(0), "{}", stderr(&reset));
    assert!(stdout(&reset).starts_with("https://gitward.example.com/welcome/"));

    let disabled = machine.gitward("user disable mara");
    assert_eq!((disabled.status.code(), stdout(&disabled)), (Some(0), ""));
    let refused = machine.gitward("user reset-password mara");
    assert_eq!((refused.status.code(), stdout(&refused)), (Some(1), ""));
    assert_eq!(machine.gitward("user disable nobody").status.code(), Some(1));
}

#[tokio::test]
async fn check_config_says_what_it_would_change_and_changes_nothing() {
    let machine = Machine::crashed(FULL).await;
    let before = machine.bytes();
    let output = machine.gitward("check-config");
    assert!(stdout(&output).ends_with("\nThe database knows all of this already.\n"), "{}", stdout(&output));

    let changed = FULL.replace("name = \"test\"", "name = \"staging\"").replace("\"Acme\"", "\"Acme Ltd\"");
    std::fs::write(machine.path().join("gitward.toml"), changed).unwrap();
    for _ in 0..2 {
        let output = machine.gitward("check-config");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let changes = stdout(&output).split_once("\n\n`gitward serve`").unwrap().1;
        assert_eq!(
            changes,
            " would\n  enable runtime acme.staging\n  change account acme\n  disable runtime acme.test\n"
        );
    }
    assert!(machine.bytes() == before);
}

#[test]
fn only_serve_applies_the_configuration() {
    let machine = Machine::served(FULL);
    let edited = FULL.replace("name = \"test\"", "name = \"staging\"");
    std::fs::write(machine.path().join("gitward.toml"), edited).unwrap();
    for arguments in
        ["user add mara", "user reset-password mara", "user disable mara", "verify", "backup copy"]
    {
        let output = machine.gitward(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", stderr(&output));
        let check = machine.gitward("check-config");
        assert!(
            stdout(&check).ends_with("\n  disable runtime acme.test\n"),
            "{arguments}: {}",
            stdout(&check)
        );
    }
    machine.serve();
    let check = machine.gitward("check-config");
    assert!(stdout(&check).ends_with("\nThe database knows all of this already.\n"), "{}", stdout(&check));
}

#[test]
fn without_a_database_nothing_is_made() {
    let machine = Machine::new(FULL);
    for arguments in
        ["user add mara", "user disable mara", "user reset-password mara", "backup copy", "verify"]
    {
        let output = machine.gitward(arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{arguments}");
        assert_eq!(
            stderr(&output),
            "There is no database at data/gitward.sqlite3 yet: `gitward serve` makes it\n",
            "{arguments}"
        );
        assert_eq!(std::fs::read_dir(machine.path()).unwrap().count(), 1, "{arguments}");
    }
}

#[tokio::test]
async fn only_serve_brings_the_database_up_to_date() {
    let machine = Machine::served(FULL);
    age(&machine).await;
    let before = machine.bytes();
    for arguments in ["user add mara", "verify"] {
        let output = machine.gitward(arguments);
        assert_eq!((output.status.code(), stdout(&output)), (Some(1), ""), "{arguments}");
        assert!(stderr(&output).contains("`gitward serve` brings it up to date"), "{}", stderr(&output));
    }
    let output = machine.gitward("check-config");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output)
            .ends_with("\nThe database is an older version's: `gitward serve` brings it up to date.\n")
    );
    assert_eq!(machine.gitward("backup copy").status.code(), Some(0));
    assert!(machine.bytes() == before);
    machine.serve();
    assert_eq!(machine.gitward("user add mara").status.code(), Some(0));
}

#[test]
fn a_start_that_fails_leaves_the_database_in_one_piece() {
    let machine = Machine::new(FULL);
    let output = machine
        .gitward_with("serve", &[("GITWARD_LISTEN", "127.0.0.1:0"), ("GITWARD_SITE_DIR", "no/such/folder")]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let [database, log] = machine.files();
    assert!(!log.exists());
    let other = Machine::new(FULL);
    std::fs::create_dir(other.path().join("data")).unwrap();
    std::fs::copy(database, &other.files()[0]).unwrap();
    std::fs::copy(machine.path().join("gitward.key"), other.path().join("gitward.key")).unwrap();
    let check = other.gitward("check-config");
    assert!(stdout(&check).ends_with("\nThe database knows all of this already.\n"), "{}", stdout(&check));
    assert_eq!(other.gitward("verify").status.code(), Some(0));
}

#[test]
fn a_backup_is_a_database() {
    let machine = Machine::served(FULL);
    assert_eq!(machine.gitward("user add mara").status.code(), Some(0));
    let output = machine.gitward("backup copy.sqlite3");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), ""), "{}", stderr(&output));
    let copy = std::fs::read(machine.path().join("copy.sqlite3")).unwrap();
    assert!(copy.starts_with(b"SQLite format 3\0"));
    let again = machine.gitward("backup copy.sqlite3");
    assert_eq!(again.status.code(), Some(1), "a backup is never written over");
    assert_eq!(std::fs::read(machine.path().join("copy.sqlite3")).unwrap(), copy);
}

#[test]
fn verify_counts_the_tokens_that_open() {
    let output = Machine::served(FULL).gitward("verify");
    assert_eq!(
        (output.status.code(), stdout(&output)),
        (Some(0), "All 0 stored tokens open.\n"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn a_key_that_does_not_fit_exits_with_78_and_leaves_the_database_alone() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 5] = [
        ("readable by everybody", |key| {
            std::fs::set_permissions(key, PermissionsExt::from_mode(0o644)).unwrap()
        }),
        ("missing", |key| std::fs::remove_file(key).unwrap()),
        ("empty", |key| std::fs::write(key, "").unwrap()),
        ("truncated", |key| {
            let whole = std::fs::read(key).unwrap();
            std::fs::write(key, &whole[..whole.len() / 2]).unwrap();
        }),
        ("of another machine", |key| {
            let other = Machine::served(FULL);
            std::fs::copy(other.path().join("gitward.key"), key).unwrap();
        }),
    ];
    for (what, spoil) in spoils {
        for older in [false, true] {
            let machine = if older { Machine::served(FULL) } else { Machine::crashed(FULL).await };
            if older {
                age(&machine).await;
            }
            let before = machine.bytes();
            let key = machine.path().join("gitward.key");
            std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
            spoil(&key);
            for arguments in ["serve", "verify", "user add zoe"] {
                let output = machine.gitward(arguments);
                assert_eq!(output.status.code(), Some(78), "{what}, {arguments}: {}", stderr(&output));
                assert_eq!(stdout(&output), "", "{what}, {arguments}");
                assert!(machine.bytes() == before, "{what}, {arguments}");
            }
        }
    }
}

#[test]
fn a_start_says_where_the_audit_log_ended_as_verifying_does() {
    let machine = Machine::served(FULL);
    let verified = machine.gitward("audit verify");
    assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
    let end = stdout(&verified).trim().to_owned();
    assert!(machine.serve().contains(&end));
    assert!(!machine.serve().contains(&end), "it has gone on since");
    let noted = machine.gitward(&format!("audit verify --noted {end}"));
    assert_eq!(noted.status.code(), Some(0), "{}", stderr(&noted));
}

#[test]
fn a_part_of_the_audit_log_is_verified_with_the_record_before_it_and_says_so_without() {
    let machine = Machine::served(FULL);
    let end = stdout(&machine.gitward("audit verify")).trim().to_owned();
    let (number, _) = end.split_once(':').unwrap();
    machine.serve();
    let part = machine.gitward(&format!("audit export --after {number}"));
    std::fs::write(machine.path().join("part.jsonl"), part.stdout).unwrap();
    let alone = machine.gitward("audit verify --file part.jsonl");
    assert_eq!(alone.status.code(), Some(1));
    assert!(stderr(&alone).contains("a part of the log can't be verified by itself"), "{}", stderr(&alone));
    let after = machine.gitward(&format!("audit verify --file part.jsonl --after {end}"));
    assert_eq!(after.status.code(), Some(0), "{}", stderr(&after));
    let wrong = format!("{number}:{}", "0".repeat(64));
    let after = machine.gitward(&format!("audit verify --file part.jsonl --after {wrong}"));
    assert_eq!(after.status.code(), Some(1), "it does not follow that one");
}
