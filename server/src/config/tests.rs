use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::{catalogue::Role, id::RuntimeId, person::Name};

fn no_env(_: &str) -> Option<String> {
    None
}

fn read(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(Path::new("/etc/gitward/gitward.toml"), text, &no_env)
}

fn good(text: &str) -> Config {
    match read(text) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}"),
    }
}

/// What is wrong with the text, the folder left out.
fn wrong(text: &str) -> String {
    match read(text) {
        Ok(_) => panic!("nothing is wrong with it"),
        Err(errors) => errors.to_string().replace("/etc/gitward/", ""),
    }
}

/// What is wrong with a file that has these lines after its first.
fn wrong_after_public_url(text: &str) -> String {
    wrong(&format!("public_url = \"https://gitward.example.com\"\n{text}"))
}

const GITHUB: &str = r#"
[[provider]]
id = "github"
kind = "github"
base_url = "https://github.com/"
"#;

#[test]
fn the_sample_is_good() {
    let config = good(SAMPLE);
    assert_eq!(config.public_url().as_str(), "http://localhost:3000/");
    assert_eq!(config.providers().len(), 1);
    assert_eq!(config.members().len(), 2);
    assert_eq!(config.runtimes().len(), 1);
}

#[test]
fn the_sample_with_everything_switched_on_is_good() {
    let text: String = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // Keys and sections are `# key = …`, `# […]` and `# [[…]]`; sentences begin with a capital letter or a level.
            Some(key)
                if key.starts_with('[')
                    || key.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                format!("{key}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gitward.toml"), text).unwrap();
    std::fs::write(folder.path().join("company-ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(folder.path().join("github-app.secret"), "c2VjcmV0\n").unwrap();
    std::fs::write(folder.path().join("mail.secret"), "hunter2\n").unwrap();
    std::fs::write(folder.path().join("chat.url"), "https://hooks.example.com/services/T0/B0/x\n").unwrap();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=\n";
    std::fs::write(folder.path().join("platform.secret"), secret).unwrap();
    let config =
        Config::load(&folder.path().join("gitward.toml"), no_env).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.runtimes()[0].oauth_app, Some("github-app".into()));
    assert_eq!(config.log().format, Some(LogFormat::Json));
    assert!(config.providers()[0].ca.is_some());
    assert!(config.mail().unwrap().sign_in.is_some());
    let webhooks: Vec<&str> = config.webhooks().iter().map(|webhook| webhook.name.as_str()).collect();
    assert_eq!(webhooks, ["chat", "platform"]);
    assert_eq!(config.mailboxes()[0].address, "team@example.com");
}

#[test]
fn what_is_left_out_has_defaults() {
    let config = good("public_url = 'https://gitward.example.com'");
    assert_eq!(config.listen().to_string(), "127.0.0.1:3000");
    assert_eq!(config.data_dir(), Path::new("/etc/gitward/data"));
    assert_eq!(config.database_file(), Path::new("/etc/gitward/data/gitward.sqlite3"));
    assert_eq!(config.root_key_file(), Path::new("/etc/gitward/gitward.key"));
    assert_eq!(config.log(), LogSettings { level: LogLevel::Info, format: None });
    assert!(config.trusted_proxies().is_empty());
    assert_eq!(config.declaration(|_| panic!("no provider, no origin")), Declaration::default());
}

#[test]
fn everything_can_be_said() {
    let config = good(
        r#"
        public_url = "https://gitward.example.com:8443/"
        listen = "[::1]:0"
        data_dir = "/var/lib/gitward"
        root_key_file = "keys/root"
        trusted_proxies = ["10.1.2.3/8", "192.168.1.7", "fd00::/8"]
        [log]
        level = "debug"
        format = "json"
        [[provider]]
        id = "work"
        kind = "github"
        name = "Work"
        base_url = "https://git.example.com/"
        api_url = "https://git.example.com/api/v3/"
        proxy = "http://proxy.example.com:3128"
        checks_per_second = 5
        [[oauth_app]]
        id = "work-app"
        provider = "work"
        account = "acme"
        client_id = "Iv1.0123"
        client_secret = "s3cr3t"
        [[account]]
        id = "acme"
        name = "Acme & Söhne"
        members = [{ user = " Mara ", role = "admin" }, { user = "jonas" }]
        [[account.runtime]]
        name = "prod.eu"
        provider = "work"
        authorization = "oauth2"
        oauth_app = "work-app"
        repository = "acme/git.ops"
        scopes = ["repo", "read:org"]
        [[account.runtime]]
        name = "test"
        provider = "work"
        "#,
    );
    assert_eq!(config.public_url().as_str(), "https://gitward.example.com:8443/");
    assert_eq!(config.listen().to_string(), "[::1]:0");
    assert_eq!(config.database_file(), Path::new("/var/lib/gitward/gitward.sqlite3"));
    assert_eq!(config.root_key_file(), Path::new("/etc/gitward/keys/root"));
    let proxies: Vec<String> = config.trusted_proxies().iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8"]);
    assert_eq!(config.log(), LogSettings { level: LogLevel::Debug, format: Some(LogFormat::Json) });

    let provider = &config.providers()[0];
    assert_eq!(provider.name.as_deref(), Some("Work"));
    assert_eq!(provider.base_url.as_str(), "https://git.example.com/");
    assert_eq!(provider.api_url.as_ref().map(Url::as_str), Some("https://git.example.com/api/v3"));
    assert_eq!(provider.proxy.as_ref().map(Url::as_str), Some("http://proxy.example.com:3128/"));

    assert_eq!(provider.checks_per_second, Some(5));

    let app = &config.apps()[0];
    assert_eq!(app.account, Some("acme".into()));
    assert_eq!(app.app.provider, "work".into());
    assert_eq!(app.app.client_secret.expose(), "s3cr3t");

    let members: Vec<_> = config.members().iter().map(|member| (member.name.as_str(), member.role)).collect();
    assert_eq!(members, [("mara", Role::Admin), ("jonas", Role::Member)]);
    let [prod, test] = config.runtimes() else { panic!("two runtimes") };
    assert_eq!(prod.id, RuntimeId::from("acme.prod.eu"));
    assert_eq!(prod.oauth_app, Some("work-app".into()));
    assert_eq!(prod.repository.as_deref(), Some("acme/git.ops"));
    assert_eq!(prod.scopes.as_ref().map(|scopes| scopes.join(" ")).as_deref(), Some("read:org repo"));
    assert_eq!((&test.oauth_app, &test.repository, &test.scopes), (&None, &None, &None));
}

#[test]
fn a_repository_is_written_as_its_provider_writes_it() {
    // Whether the path is taken at each kind of provider.
    let table = [
        ("github", "acme/gitops", true),
        ("github", "acme/git.ops_2", true),
        ("github", "gitops", false),
        ("github", "acme/team/gitops", false),
        ("gitlab", "acme/gitops", true),
        ("gitlab", "acme/platform/delivery/gitops", true),
        ("gitlab", "gitops", false),
        ("gitlab", "acme//gitops", false),
        ("gitlab", "acme/../gitops", false),
        ("gitlab", "/acme/gitops", false),
        ("gitlab", "acme/gitops/", false),
        ("gitlab", "acme/team/gitops.git", false),
        ("gitlab", "acme/team/git ops", false),
        ("gitlab", "acme/team/git%2fops", false),
        ("gitlab", "https://gitlab.com/acme/gitops", false),
        ("bitbucket-cloud", "acme/gitops", true),
        ("bitbucket-cloud", "acme/team/gitops", false),
        ("bitbucket-data-center", "ACME/gitops", true),
        ("bitbucket-data-center", "~jane.doe/gitops", true),
        ("bitbucket-data-center", "gitops", false),
        ("bitbucket-data-center", "scm/ACME/gitops", false),
        ("bitbucket-data-center", "ACME/gitops.git", false),
        ("github", "~jane/gitops", false),
        ("gitea", "acme/gitops", true),
        ("forgejo", "acme/gitops", true),
        ("gitea", "acme/team/gitops", false),
        ("forgejo", "~jane/gitops", false),
    ];
    for (kind, repository, fits) in table {
        let text = format!(
            "public_url = \"https://gitward.example.com\"\n{}[[account]]\nid = \"acme\"\nname = \"Acme\"\n[[account.runtime]]\nname = \"prod\"\n\
             provider = \"github\"\nrepository = \"{repository}\"\n",
            GITHUB.replace("kind = \"github\"", &format!("kind = \"{kind}\""))
        );
        match read(&text) {
            Ok(config) => {
                assert!(fits, "{kind} {repository}");
                assert_eq!(config.runtimes()[0].repository.as_deref(), Some(repository), "{kind}");
            }
            Err(errors) => {
                assert!(!fits, "{kind} {repository}: {errors}");
                assert!(errors.to_string().contains("account.runtime.repository: must be `"), "{errors}");
            }
        }
    }
}

#[test]
fn one_file_makes_one_declaration() {
    let text = format!("{SAMPLE}{}", GITHUB.replace("github\"\nkind", "second\"\nkind"));
    let declare = || good(&text).declaration(|id| format!("https://{id}.example.com"));
    let declaration = declare();
    assert_eq!(declaration, declare());
    assert_eq!(declaration.providers.len(), 2);
    assert_eq!(declaration.providers[1].origin, "https://second.example.com");
    assert_eq!(declaration.members[0].name, Name::parse("mara").unwrap());
}

#[test]
fn every_problem_is_found_in_one_reading() {
    let text = r#"
pubic_url = "https://gitward.example.com"
listen = "localhost"
data_dir = 7
trusted_proxies = ["10.0.0.0/8", "0.0.0.0/0", "lan", 4]

[log]
level = "loud"
colour = true

[[provider]]
id = "Git Hub"
kind = "github"
base_url = "http://github.example.com"

[[provider]]
kind = "gitlap"
base_url = "https://mara:hunter2@gitlab.com"

[[oauth_app]]
id = "app"
provider = "githib"
client_id = ""

[[account]]
id = "acme"
members = [{ user = "mara", role = "owner" }, { user = "MARA" }, { user = "a b" }, "jonas"]
[[account.runtime]]
name = "prod"
provider = "gitlab"
authorization = "oauth"
repository = "https://github.com/acme/gitops.git"
scopes = ["repo read:org"]
"#;
    assert_snapshot!(wrong(text), @r#"
    gitward.toml:2:1: pubic_url: there is no such key; did you mean `public_url`?
    gitward.toml:3:10: listen: is not an IP address and a port; write it like `127.0.0.1:3000`
    gitward.toml:4:12: data_dir: must be a text in quotes
    gitward.toml:5:34: trusted_proxies: trusts everybody: any visitor could claim any address; name the proxies alone
    gitward.toml:5:47: trusted_proxies: is not a network or an IP address; write it like `10.0.0.0/8`
    gitward.toml:5:54: trusted_proxies: must be a text in quotes
    gitward.toml:8:9: log.level: `loud` is no level; the choice is `off`, `error`, `warn`, `info`, `debug`, `trace`
    gitward.toml:9:1: log.colour: there is no such key; the choice is `level`, `format`
    gitward.toml:12:6: provider.id: `Git Hub` can't be used: take up to 63 of `a-z`, `0-9`, `.`, `_`, `-`, and begin with a letter or a digit
    gitward.toml:14:12: provider.base_url: must begin with `https://`: tokens are sent there
    gitward.toml:16:1: provider.id: is missing; write `id = "github"`
    gitward.toml:17:8: provider.kind: `gitlap` is no kind of Git provider; did you mean `gitlab`?
    gitward.toml:18:12: provider.base_url: must not hold a user name or a password
    gitward.toml:20:1: oauth_app.client_secret: is missing; write `client_secret_file = "…"` with the path of a file that holds it
    gitward.toml:22:12: oauth_app.provider: no Git provider has the id `githib`; none is declared
    gitward.toml:23:13: oauth_app.client_id: is not a client id: copy it from the app's page at the provider
    gitward.toml:25:1: account.name: is missing; write what people call it: `name = "Acme"`
    gitward.toml:27:36: account.members.role: `owner` is no role; the choice is `member`, `admin`
    gitward.toml:27:56: account.members.user: `mara` is already declared in line 27
    gitward.toml:27:75: account.members.user: `a b` can't be a user's name: take up to 64 letters, digits and `. _ - @ +`
    gitward.toml:27:84: account.members: must be a section: write `{ … }` with keys inside
    gitward.toml:30:12: account.runtime.provider: no Git provider has the id `gitlab`; none is declared
    gitward.toml:31:17: account.runtime.authorization: `oauth` is no way to authorize; did you mean `oauth2`?
    gitward.toml:32:14: account.runtime.repository: must be `owner/name`, without the host and without `.git`
    gitward.toml:33:11: account.runtime.scopes: must be one scope each, such as `repo`
    "#);
}

#[test]
fn a_broken_file_is_reported_alone() {
    let text =
        "public_url = \"https://gitward.example.com\nlisten = = 3\n[[provider]\nid = \"a\"\nid = \"b\"\n";
    assert_snapshot!(wrong(text), @r#"
    gitward.toml:1:42: this is not TOML: invalid basic string, expected `"`
    gitward.toml:2:10: this is not TOML: extra `=`, expected nothing
    gitward.toml:2:12: this is not TOML: unexpected key or value, expected newline, `#`
    gitward.toml:3:12: this is not TOML: unclosed array table, expected `]`
    "#);
}

#[test]
fn a_key_twice_is_refused() {
    assert_snapshot!(wrong_after_public_url("listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'"), @"gitward.toml:3:1: this is not TOML: duplicate key");
}

#[test]
fn nothing_can_be_declared_twice() {
    let text = format!(
        "{GITHUB}{GITHUB}
[[oauth_app]]
id = 'app'
provider = 'github'
client_id = 'a'
client_secret = 'b'
[[oauth_app]]
id = 'app'
provider = 'github'
client_id = 'a'
client_secret = 'b'
[[account]]
id = 'acme'
name = 'Acme'
members = [{{ user = 'mara' }}, {{ user = 'Mara' }}]
[[account.runtime]]
name = 'eu.prod'
provider = 'github'
[[account.runtime]]
name = 'eu.prod'
provider = 'github'
[[account]]
id = 'acme.eu'
name = 'Acme'
[[account.runtime]]
name = 'prod'
provider = 'github'
[[account]]
id = 'acme'
name = 'Acme'
"
    );
    assert_snapshot!(wrong_after_public_url(&text), @r#"
    gitward.toml:9:6: provider.id: `github` is already declared in line 4
    gitward.toml:19:6: oauth_app.id: `app` is already declared in line 14
    gitward.toml:26:40: account.members.user: `mara` is already declared in line 26
    gitward.toml:31:8: account.runtime.name: `acme.eu.prod` is already declared in line 28
    gitward.toml:37:8: account.runtime.name: `acme.eu.prod` is already declared in line 28
    gitward.toml:40:6: account.id: `acme` is already declared in line 24
    "#);
}

#[test]
fn sections_are_lists_where_they_can_be_many() {
    let text =
        "provider = 'github'\n[oauth_app]\nid = 'a'\n[[log]]\nlevel = 'info'\n[account]\nid = 'acme'\n";
    assert_snapshot!(wrong_after_public_url(text), @r#"
    gitward.toml:2:12: provider: must be a list: write `[[provider]]` with double brackets
    gitward.toml:3:1: oauth_app: must be a list: write `[[oauth_app]]` with double brackets
    gitward.toml:5:1: log: must be a section: write `[log]`
    gitward.toml:7:1: account: must be a list: write `[[account]]` with double brackets
    "#);
}

#[test]
fn an_app_serves_its_provider_and_its_account() {
    let text = format!(
        "{GITHUB}
[[provider]]
id = 'work'
kind = 'github'
base_url = 'https://git.example.com'
[[oauth_app]]
id = 'app'
provider = 'github'
account = 'acme'
client_id = 'a'
client_secret = 'b'
[[account]]
id = 'acme'
name = 'Acme'
[[account.runtime]]
name = 'one'
provider = 'work'
authorization = 'oauth2'
oauth_app = 'app'
[[account.runtime]]
name = 'two'
provider = 'github'
authorization = 'oauth2'
[[account.runtime]]
name = 'three'
provider = 'github'
oauth_app = 'app'
[[account.runtime]]
name = 'four'
provider = 'github'
authorization = 'oauth2'
oauth_app = 'ap'
[[account]]
id = 'globex'
name = 'Globex'
[[account.runtime]]
name = 'five'
provider = 'github'
authorization = 'oauth2'
oauth_app = 'app'
"
    );
    assert_snapshot!(wrong_after_public_url(&text), @r#"
    gitward.toml:25:13: account.runtime.oauth_app: `app` is an app at `github`, but the runtime is at `work`
    gitward.toml:26:1: account.runtime.oauth_app: is missing; write the id of the OAuth app
    gitward.toml:33:13: account.runtime.oauth_app: is not used with tokens: remove it, or write `authorization = "oauth2"`
    gitward.toml:38:13: account.runtime.oauth_app: no OAuth app has the id `ap`; did you mean `app`?
    gitward.toml:46:13: account.runtime.oauth_app: `app` belongs to the account `acme`; `globex` needs an app of its own
    "#);
}

#[test]
fn the_public_url_is_an_origin() {
    for good in
        ["https://g.example.com", "https://g.example.com:8443/", "http://localhost:3000", "http://[::1]:3000"]
    {
        assert!(address::public_url(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "gitward.example.com",
        "//gitward.example.com",
        "ftp://gitward.example.com",
        "http://gitward.example.com",
        "http://localhost.example.com",
        "https://gitward.example.com/app",
        "https://gitward.example.com/?",
        "https://gitward.example.com/#",
        "https://mara@gitward.example.com",
        "https://:hunter2@gitward.example.com",
        " https://gitward.example.com",
        "https://gitward.example.com\n",
    ] {
        assert!(address::public_url(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn providers_may_be_private_but_no_metadata_service() {
    for good in [
        "https://github.com",
        "https://10.0.0.1",
        "https://192.168.1.1:8443/git/",
        "https://[fd00::1]",
        "https://git",
        "http://127.0.0.1:4000",
        "http://localhost:4000",
        "http://[::1]:4000",
        "http://[::ffff:127.0.0.1]:4000",
    ] {
        assert!(address::provider_url(good).is_ok(), "{good}");
    }
    for bad in [
        "http://10.0.0.1",
        "http://git.example.com",
        "https://169.254.169.254",
        "https://169.254.0.1/latest/meta-data/",
        "https://2852039166",
        "https://0xa9fea9fe",
        "https://0251.0376.0251.0376",
        "https://169.254.169.254.",
        "https://[fe80::1]",
        "https://[::ffff:169.254.169.254]",
        "https://[::169.254.169.254]",
        "https://[64:ff9b::a9fe:a9fe]",
        "https://[2002:a9fe:a9fe::]",
        "https://[fd00:ec2::254]",
        "https://[fd20:ce::254]",
        "https://metadata.google.internal",
        "https://METADATA.google.internal.",
        "https://metadata",
        "https://100.100.100.200",
        "https://168.63.129.16",
        "https://192.0.0.192",
        "https://0.0.0.0",
        "https://[::]",
        "https://224.0.0.1",
        "https://[ff02::1]",
        "https://255.255.255.255",
        "https://mara@github.com",
        "https://github.com@169.254.169.254",
        "https://github.com?x",
        "https://github.com#x",
        "https://git hub.com",
        "https://github.com\t",
        "file:///etc/passwd",
        "unix:/run/git.sock",
        "https://",
    ] {
        assert!(address::provider_url(bad).is_err(), "{bad}");
    }
    assert_eq!(
        address::provider_url("https://git.example.com/a//").unwrap().as_str(),
        "https://git.example.com/a"
    );
}

#[test]
fn the_environment_comes_first() {
    let env = |name: &str| {
        let value = match name {
            "GITWARD_PUBLIC_URL" => "https://other.example.com",
            "GITWARD_LISTEN" => "0.0.0.0:80",
            "GITWARD_DATA_DIR" => "elsewhere",
            "GITWARD_ROOT_KEY_FILE" => "/run/secrets/root",
            "GITWARD_LOG" => "warn",
            "GITWARD_LOG_FORMAT" => "text",
            "GITWARD_SITE_DIR" => "/usr/share/gitward",
            "GITWARD_DEV" | "LEPTOS_SITE_ROOT" | "LEPTOS_RELOAD_PORT" => return None,
            _ => panic!("{name} is not documented"),
        };
        Some(value.to_owned())
    };
    let text = "public_url = 7\nlisten = 'x'\n[log]\nlevel = 'loud'\n";
    let config =
        Config::parse(Path::new("/etc/gitward.toml"), text, &env).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.public_url().as_str(), "https://other.example.com/");
    assert_eq!(config.listen().to_string(), "0.0.0.0:80");
    assert_eq!(config.data_dir(), Path::new("elsewhere"));
    assert_eq!(config.root_key_file(), Path::new("/run/secrets/root"));
    assert_eq!(config.site_dir(), Path::new("/usr/share/gitward"));
    assert_eq!(config.log(), LogSettings { level: LogLevel::Warn, format: Some(LogFormat::Text) });

    let config = Config::parse(Path::new("gitward.toml"), SAMPLE, &|_| Some(String::new()));
    assert!(config.is_ok(), "an empty variable counts as none");
}

#[test]
fn the_environment_is_named_where_it_is_wrong() {
    let env = |name: &str| (name != "GITWARD_DATA_DIR").then(|| "nonsense".to_owned());
    let Err(errors) = Config::parse(Path::new("gitward.toml"), "listen = 3", &env) else { panic!("good") };
    assert_snapshot!(errors, @r#"
    GITWARD_LISTEN: is not an IP address and a port; write it like `127.0.0.1:3000`
    GITWARD_LOG: `nonsense` is no level; the choice is `off`, `error`, `warn`, `info`, `debug`, `trace`
    GITWARD_LOG_FORMAT: `nonsense` is no format; the choice is `text`, `json`
    GITWARD_PUBLIC_URL: is not a web address; write it like `https://gitward.example.com`
    "#);
}

/// A folder with a configuration that takes the client secret from `app.secret`.
fn with_secret(content: &[u8], mode: u32) -> (tempfile::TempDir, Result<Config, ConfigErrors>) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "public_url = 'https://gitward.example.com'{GITHUB}
[[oauth_app]]
id = 'app'
provider = 'github'
client_id = 'a'
client_secret_file = 'app.secret'
"
    );
    std::fs::write(folder.path().join("gitward.toml"), text).unwrap();
    let secret = folder.path().join("app.secret");
    std::fs::write(&secret, content).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).unwrap();
    let config = Config::load(&folder.path().join("gitward.toml"), no_env);
    (folder, config)
}

#[test]
fn a_secret_can_have_a_file() {
    let (_folder, config) = with_secret(b" s3cr3t\r\n", 0o600);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.apps()[0].app.client_secret.expose(), "s3cr3t");
    assert!(config.warnings().is_empty());
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_about() {
    let (folder, config) = with_secret(b"s3cr3t", 0o644);
    let config = config.unwrap_or_else(|errors| panic!("{errors}"));
    let [warning] = config.warnings() else { panic!("one warning") };
    let warning = warning.to_string().replace(&*folder.path().to_string_lossy(), "");
    assert_snapshot!(warning, @"/gitward.toml:11:22: oauth_app.client_secret_file: everybody on this machine can read that file; `chmod 0400` it");
}

#[test]
fn a_secrets_file_must_hold_a_secret() {
    for content in [&b""[..], b"\n", b"two\nlines", b"two words", b"\xff\xfe", b"nul\0", &[b'a'; 9000]] {
        let (_folder, config) = with_secret(content, 0o600);
        let Err(errors) = config else { panic!("accepted {content:?}") };
        assert!(errors.to_string().contains("11:22: oauth_app.client_secret_file: the file"), "{errors}");
    }
}

#[test]
fn refusals_repeat_no_secret() {
    let text = format!(
        "{GITHUB}
[[oauth_app]]
id = 'one'
provider = 'github'
client_id = 'hunter2 id'
client_secret = 'hunter2 blank'
[[oauth_app]]
id = 'two'
provider = 'github'
client_id = 'a'
client_secret = ['hunter2']
[[oauth_app]]
id = 'three'
provider = 'github'
client_id = 'a'
client_secret_file = 'hunter2'
[[oauth_app]]
id = 'four'
provider = 'github'
client_id = 'a'
client_secret = 'hunter2'
client_secret_file = 'hunter2'
[[oauth_app]]
id = 'five'
provider = 'github'
client_id = 'a'
client_secert = 'hunter2'
[[provider]]
id = 'six'
kind = 'github'
base_url = 'https://mara:hunter2@git.example.com'
proxy = 'http://mara:hunter2@proxy.example.com'
"
    );
    let report = wrong_after_public_url(&text);
    assert!(!report.contains("hunter2"), "{report}");
    assert_snapshot!(report, @r#"
    gitward.toml:11:13: oauth_app.client_id: is not a client id: copy it from the app's page at the provider
    gitward.toml:12:17: oauth_app.client_secret: is not a secret: it is empty or has blanks in it
    gitward.toml:17:17: oauth_app.client_secret: must be a text in quotes
    gitward.toml:22:22: oauth_app.client_secret_file: the file can't be read: No such file or directory (os error 2)
    gitward.toml:28:22: oauth_app.client_secret_file: stands next to `client_secret`; keep only one of them
    gitward.toml:33:1: oauth_app.client_secert: there is no such key; did you mean `client_secret`?
    gitward.toml:37:12: provider.base_url: must not hold a user name or a password
    gitward.toml:38:9: provider.proxy: must not hold a user name or a password
    "#);
    let broken = wrong_after_public_url("client_secret = 'hunter2\n");
    assert!(!broken.contains("hunter2"), "{broken}");
}

#[test]
fn certificates_are_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gitward.toml");
    let load = || Config::load(&path, no_env).err().map(|errors| errors.problems()[0].message.clone());
    std::fs::write(&path, format!("public_url = 'https://g.example.com'{GITHUB}ca_file = 'ca.pem'\n"))
        .unwrap();
    assert_snapshot!(load().unwrap(), @"the file can't be read: No such file or directory (os error 2)");
    std::fs::write(folder.path().join("ca.pem"), "-----BEGIN RSA PRIVATE KEY-----").unwrap();
    assert_snapshot!(load().unwrap(), @"the file holds a private key; name one that holds only certificates");
    std::fs::write(folder.path().join("ca.pem"), "nothing").unwrap();
    assert_snapshot!(load().unwrap(), @"the file holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)");
    std::fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----").unwrap();
    assert_eq!(load(), None);
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let Err(errors) = Config::load(Path::new("/nowhere/gitward.toml"), no_env) else { panic!("loaded") };
    assert_snapshot!(errors, @"/nowhere/gitward.toml: the file can't be read: No such file or directory (os error 2); `gitward check-config --sample` prints one to begin with");
    let Err(errors) = Config::load(Path::new("/"), no_env) else { panic!("loaded") };
    assert_snapshot!(errors, @"/: is a folder, not a file; `gitward check-config --sample` prints one to begin with");
}

#[test]
fn text_is_utf_8() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gitward.toml");
    std::fs::write(&path, b"# fine\n# \xc3\xa4 \xff").unwrap();
    let Err(errors) = Config::load(&path, no_env) else { panic!("loaded") };
    assert!(
        errors.to_string().ends_with("gitward.toml:2:5: holds something that is not UTF-8 text"),
        "{errors}"
    );
}

#[test]
fn ids_fit_into_addresses() {
    let long = "a".repeat(64);
    for id in ["", "-a", ".a", "A", "ä", "a b", "a/b", "a%2f", "a\u{0}", long.as_str()] {
        let text = format!("[[account]]\nid = {}\nname = 'Acme'\n", toml::Value::from(id));
        assert!(wrong_after_public_url(&text).contains("account.id: `"), "{id}");
    }
    good("public_url = 'https://g.example.com'\n[[account]]\nid = '0a._-'\nname = 'Acme'\n");
}

#[test]
fn a_large_configuration_is_read_at_once() {
    let mut text =
        format!("public_url = 'https://g.example.com'\n{GITHUB}[[account]]\nid = 'acme'\nname = 'Acme'\n");
    let members: Vec<String> = (0..20_000).map(|index| format!("{{ user = 'u{index}' }}")).collect();
    text += &format!("members = [{}]\n", members.join(", "));
    for index in 0..20_000 {
        text += &format!("[[account.runtime]]\nname = 'r{index}'\nprovider = 'github'\n");
    }
    let config = good(&text);
    assert_eq!((config.members().len(), config.runtimes().len()), (20_000, 20_000));
}

#[test]
fn depth_is_no_danger() {
    wrong(&format!("a = {}", "[".repeat(100_000)));
    wrong(&format!("a = {}", "{ a = ".repeat(100_000)));
    wrong(&format!("[{}a]", "a.".repeat(100_000)));
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gitward.toml");
        std::fs::write(&path, bytes).unwrap();
        if let Err(errors) = Config::load(&path, no_env) {
            prop_assert!(!errors.problems().is_empty());
        }
    }

    #[test]
    fn no_soup_of_keys_brings_it_down(
        words in proptest::collection::vec(proptest::sample::select(&[
            "[[", "]]", "[", "]", "{", "}", "\n", "\n", " = ", " = ", ".", ",", "'", "\"", "#", "\\u00", "é", "7", "true",
            "'github'", "'https://github.com'", "'acme'", "['repo']", "1979-05-27", "provider", "oauth_app", "account",
            "runtime", "members", "id", "kind", "name", "base_url", "client_secret", "scopes", "log", "public_url",
        ][..]), 0..60),
        env in proptest::option::of(".{0,20}"),
    ) {
        let text = words.concat();
        match Config::parse(Path::new("gitward.toml"), &text, &|_| env.clone()) {
            Ok(_) => {}
            Err(errors) => {
                prop_assert!(!errors.problems().is_empty());
                for problem in errors.problems() {
                    prop_assert!(!problem.message.is_empty());
                    if let Place::Line { line, .. } = problem.place {
                        prop_assert!(line <= text.split('\n').count());
                    }
                }
            }
        }
    }

    #[test]
    fn any_text_can_stand_as_a_value(key in "[a-z_]{1,12}", value in ".{0,40}") {
        let quoted = toml::Value::from(value);
        for section in ["", "[log]", "[[provider]]", "[[oauth_app]]", "[[account]]", "[[account.runtime]]"] {
            let account = if section == "[[account.runtime]]" { "[[account]]\n" } else { "" };
            read(&format!("{account}{section}\n{key} = {quoted}\n")).err();
        }
    }
}

#[test]
fn the_audit_log_is_kept_for_ever_or_for_so_many_days() {
    let with = |line: &str| format!("public_url = 'https://gitward.example.com'\n{line}");
    assert_eq!(good(&with("")).keep_audit_days(), None);
    assert_eq!(good(&with("[audit]")).keep_audit_days(), None);
    assert_eq!(good(&with("[audit]\nkeep_days = 400")).keep_audit_days(), Some(400));
    for odd in ["0", "-1", "36501", "1.5", "'400'", "true"] {
        let report = wrong(&with(&format!("[audit]\nkeep_days = {odd}")));
        assert!(
            report.contains("audit.keep_days: must be a whole number from 1 to 36500"),
            "{odd}: {report}"
        );
    }
    assert!(wrong(&with("[audit]\ndays = 4")).contains("audit.days: there is no such key"));
}
