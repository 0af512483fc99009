//! Real Git against a real remote over HTTP, with `gitward credential` between them.
//!
//! The simulated host decides who may; `git http-backend` does the rest. Nothing here knows a token that Git was not
//! given by the helper.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::net::TcpListener;

use crate::{
    forge::Forge,
    machine::{Machine, USERS},
    site::{Browser, TestSite, usual},
};

/// A site and its Git host on ports of this machine, and a folder in which Git is set up.
struct Scene {
    site: TestSite,
    mara: Browser,
    machine: Machine,
    folder: tempfile::TempDir,
    gitward: String,
}

/// The repository at the host.
fn bare(repositories: &Path) {
    let repository = repositories.join("acme/infra.git");
    std::fs::create_dir_all(&repository).unwrap();
    let made = plain_git(&repository).args(["init", "-q", "--bare", "-b", "main"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn plain_git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        git.env("PATH", path);
    }
    git.env("HOME", folder)
        .env("GIT_CONFIG_SYSTEM", folder.join("machine"))
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Mara")
        .env("GIT_AUTHOR_EMAIL", "mara@example.com")
        .env("GIT_COMMITTER_NAME", "Mara")
        .env("GIT_COMMITTER_EMAIL", "mara@example.com");
    git
}

impl Scene {
    /// Of a runtime of Mara's. She has no token yet.
    async fn of(runtime: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repositories = folder.path().join("repositories");
        bare(&repositories);
        let forge = Forge::with_repositories(repositories).await;
        let config = usual(&forge);
        let site = TestSite::start_with(forge, &config).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gitward = format!("http://{}", listener.local_addr().unwrap());
        let service = site.router.clone().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let mara = site.person("mara").await;
        let machine = Machine::of(&site, runtime).await;
        std::fs::write(folder.path().join("key"), format!("{}\n", machine.key)).unwrap();
        // As many machines are set up: another helper keeps whatever it is told.
        let other =
            format!("[credential]\n\thelper = store --file={}\n", folder.path().join("kept").display());
        std::fs::write(folder.path().join("machine"), other).unwrap();
        let scene = Self { site, mara, machine, folder, gitward };
        scene.set_up("mara", &scene.gitward);
        scene
    }

    /// As the README says.
    fn set_up(&self, user: &str, server: &str) {
        self.set_up_with("", user, server);
    }

    /// The same, with something in front of the helper.
    fn set_up_with(&self, before: &str, user: &str, server: &str) {
        let helper = format!(
            "!{before}{} credential --runtime-key-file {} --user {user} --server {server}",
            env!("CARGO_BIN_EXE_gitward"),
            self.folder.path().join("key").display(),
        );
        for (how, helper) in [("--replace-all", ""), ("--add", &helper)] {
            good(&self.git_blocking(&["config", "--global", how, "credential.helper", helper], ""));
        }
    }

    fn git_blocking(&self, arguments: &[&str], stdin: &str) -> Output {
        run(self.folder.path(), arguments, stdin)
    }

    /// Git in this folder, as a runtime runs it: nobody is there to be prompted.
    async fn git(&self, arguments: &[&str]) -> Output {
        self.git_with(arguments, "").await
    }

    async fn git_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let folder = self.folder.path().to_owned();
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let stdin = stdin.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&folder, &arguments, &stdin)
        });
        let output = output.await.unwrap();
        // Whatever happens: Git's own words hold no secret, if nobody asked for it.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        for secret in self.site.forge.secrets() {
            assert!(!said.contains(&secret), "{said}");
        }
        output
    }

    fn remote(&self) -> String {
        format!("{}/acme/infra.git", self.site.forge.url)
    }

    /// Puts a commit into the clone, and pushes it.
    async fn push(&self, text: &str) -> Output {
        std::fs::write(self.folder.path().join("clone/file"), text).unwrap();
        good(&self.git(&["-C", "clone", "add", "file"]).await);
        good(&self.git(&["-C", "clone", "commit", "-q", "-m", text]).await);
        self.git(&["-C", "clone", "push", "-q", "origin", "HEAD:main"]).await
    }

    /// What the host holds.
    async fn at_the_host(&self) -> String {
        let log = self.git(&["-C", "repositories/acme/infra.git", "log", "--format=%s", "main"]).await;
        good(&log);
        String::from_utf8(log.stdout).unwrap().trim().replace('\n', ",")
    }

    async fn fill(&self, description: &str) -> Output {
        self.git_with(&["credential", "fill"], description).await
    }
}

fn run(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    use std::io::Write;
    let mut git = plain_git(folder);
    git.env("GIT_CONFIG_GLOBAL", folder.join("gitconfig"));
    let mut child = git
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may not want to hear it.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn good(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// No file in the folder holds it: not the clone's configuration, not a store of credentials.
fn lies_nowhere(folder: &Path, secret: &str) {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_clones_pushes_and_fetches_with_the_users_token() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    good(&scene.git(&["clone", "-q", &scene.remote(), "clone"]).await);
    good(&scene.push("one").await);
    good(&scene.push("two").await);
    assert_eq!(scene.at_the_host().await, "two,one");
    good(&scene.git(&["clone", "-q", &scene.remote(), "second"]).await);
    good(&scene.git(&["-C", "second", "fetch", "-q"]).await);
    lies_nowhere(scene.folder.path(), &made.token);

    // Gitward knows that it is used, and everything is in the log.
    let users = scene.machine.get(USERS).await.json();
    let version = scene.machine.version("mara").await;
    assert_eq!(users["users"][0]["used_version"], version.as_str(), "{users}");
    let mara = scene.mara.get("/audit?what=secret").await;
    assert!(mara.assert_ok().text().contains("fetched a token"), "{}", mara.text());
    assert!(!mara.text().contains(&made.token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_token_is_used_at_once_and_a_dead_one_is_reported() {
    let scene = Scene::of("acme.production").await;
    let first = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &first.token).await.assert_ok();
    good(&scene.git(&["clone", "-q", &scene.remote(), "clone"]).await);
    good(&scene.push("one").await);

    scene.site.forge.revoke(first.id).await;
    scene.site.forge.forget_requests().await;
    let refused = scene.push("two").await;
    assert!(!refused.status.success());
    assert_eq!(scene.at_the_host().await, "one");
    // Git told the helper, the helper told Gitward, and Gitward asks the host itself, for nobody's word is a verdict.
    scene.site.at_rest().await;
    let health = scene.mara.health("acme.production").await;
    assert_eq!(health, "Checking", "no verdict from a report alone");
    assert!(scene.site.forge.asked("GET /user").await > 0);

    let second = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &second.token).await.assert_ok();
    good(&scene.git(&["-C", "clone", "push", "-q", "origin", "HEAD:main"]).await);
    assert_eq!(scene.at_the_host().await, "two,one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_is_renewed_between_two_pushes_and_git_never_sees_what_renews_it() {
    let scene = Scene::of("acme.renewed").await;
    scene.mara.authorize(&scene.site.forge, "acme.renewed", "octocat").await;
    good(&scene.git(&["clone", "-q", &scene.remote(), "clone"]).await);
    good(&scene.push("one").await);
    let first = scene.machine.secret("mara").await;
    scene.site.pass(Duration::from_secs(9 * 60 * 60)).await;
    good(&scene.push("two").await);
    let second = scene.machine.secret("mara").await;
    assert_ne!(first, second, "the first one has ended");
    assert_eq!(scene.at_the_host().await, "two,one");

    let url = url::Url::parse(&scene.remote()).unwrap();
    let description = format!("protocol=http\nhost={}:{}\n\n", url.host_str().unwrap(), url.port().unwrap());
    let filled = scene.fill(&description).await;
    good(&filled);
    let filled = String::from_utf8(filled.stdout).unwrap();
    assert!(filled.contains(&format!("password={second}\n")), "{filled}");
    let end = filled.lines().find_map(|line| line.strip_prefix("password_expiry_utc=")).unwrap();
    assert!(end.parse::<u64>().is_ok());
    assert!(!filled.contains("oauth_refresh_token"));
    for secret in scene.site.forge.secrets() {
        assert!(secret == second || !filled.contains(&secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_deleting_git_fails_and_says_why_without_asking_anybody() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    good(&scene.git(&["clone", "-q", &scene.remote(), "clone"]).await);
    scene.mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    let refused = scene.push("one").await;
    assert!(!refused.status.success());
    assert!(said(&refused).contains("gitward: mara has no token for this runtime"), "{}", said(&refused));
    assert!(!said(&refused).contains("prompt"), "{}", said(&refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erase_and_store_delete_nothing() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    let host = scene.site.forge.url.trim_start_matches("http://").to_owned();
    let rows = |scene: &Scene| {
        let path = scene.site.database();
        async move { crate::database::ask::<i64>(&path, "SELECT count(*) FROM credentials").await }
    };
    let before = rows(&scene).await;
    for operation in ["reject", "approve"] {
        let description =
            format!("protocol=http\nhost={host}\nusername=x-access-token\npassword={}\n\n", made.token);
        good(&scene.git_with(&["credential", operation], &description).await);
    }
    assert_eq!(rows(&scene).await, before);
    assert_eq!(scene.machine.fetch("mara").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_git_goes_on_with_one_line_and_no_answer() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    // Nobody listens there, and nobody else can.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let nobody = format!("http://{}", taken.local_addr().unwrap());
    // Somebody who takes the call and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nothing = format!("http://{}", silent.local_addr().unwrap());
    let host = scene.site.forge.url.trim_start_matches("http://").to_owned();
    for server in [nobody, nothing] {
        scene.set_up("mara", &server);
        let filled = scene.fill(&format!("protocol=http\nhost={host}\n\n")).await;
        assert!(!filled.status.success());
        assert_eq!(filled.stdout, b"");
        let said = said(&filled);
        let ours: Vec<&str> = said.lines().filter(|line| line.starts_with("gitward:")).collect();
        assert_eq!(ours.len(), 1, "{said}");
        assert!(ours[0].contains("gives no answer"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_in_the_clear_goes_past_any_proxy() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let before = format!("env http_proxy={address} HTTP_PROXY={address} ALL_PROXY={address} ");
    scene.set_up_with(&before, "mara", &scene.gitward);
    let host = scene.site.forge.url.trim_start_matches("http://");
    let filled = scene.fill(&format!("protocol=http\nhost={host}\n\n")).await;
    good(&filled);
    assert!(String::from_utf8_lossy(&filled.stdout).contains(&made.token));
    let called = tokio::time::timeout(Duration::ZERO, proxy.accept()).await;
    assert!(called.is_err(), "nobody called the proxy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_gets_nothing_and_not_a_word() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    let port = scene.site.forge.port;
    for (protocol, host) in [
        ("https", "github.com".to_owned()),
        ("http", format!("localhost:{port}")),
        ("https", format!("127.0.0.1:{port}")),
        ("http", "127.0.0.1".to_owned()),
        ("http", format!("127.0.0.1:{port}.evil.example")),
    ] {
        let filled = scene.fill(&format!("protocol={protocol}\nhost={host}\n\n")).await;
        assert!(!filled.status.success(), "{host}");
        assert!(!String::from_utf8_lossy(&filled.stdout).contains(&made.token), "{host}");
    }
    let filled = scene.fill("protocol=https\nhost=github.com\n\n").await;
    assert!(!said(&filled).contains("gitward:"), "{}", said(&filled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_try_to_smuggle_a_line_get_no_token() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    let url = &scene.site.forge.url;
    let host = url.trim_start_matches("http://");
    let evil = [
        // CVE-2020-5260, CVE-2020-11008, CVE-2024-50338, CVE-2024-52006, CVE-2024-53263
        format!("url=http://evil.example%0ahost={host}/\n\n"),
        format!("url=http://{host}%0dhost=evil.example/\n\n"),
        format!("url=http://evil.example?%0ahost={host}\n\n"),
        format!("url=http://{host}%00.evil.example/\n\n"),
        format!("url=http://{host}@evil.example/\n\n"),
        format!("url=http://evil.example#@{host}/\n\n"),
        format!("url=http:///{host}\n\n"),
        format!("url=http://evil.example%2f@{host}%0a/x\n\n"),
        format!("protocol=http\nhost={host}\rhost=evil.example\n\n"),
        format!("protocol=http\nhost=evil.example\npath=a%0ahost={host}\n\n"),
        "protocol=http\nhost=\n\n".to_owned(),
        "url=http://\n\n".to_owned(),
        "url=https:///x\n\n".to_owned(),
    ];
    for description in evil {
        let filled = scene.fill(&description).await;
        let out = String::from_utf8_lossy(&filled.stdout).into_owned();
        assert!(!out.contains(&made.token), "{description:?} {out}");
    }
    // And the plain one does.
    let filled = scene.fill(&format!("url={url}/acme/infra.git\n\n")).await;
    good(&filled);
    assert!(String::from_utf8_lossy(&filled.stdout).contains(&made.token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_or_name_gives_git_nothing_but_a_reason() {
    let scene = Scene::of("acme.production").await;
    let made = scene.site.forge.good_token().await;
    scene.mara.paste("acme.production", &made.token).await.assert_ok();
    let description =
        format!("protocol=http\nhost={}\n\n", scene.site.forge.url.trim_start_matches("http://"));
    let key = scene.folder.path().join("key");
    let good_key = std::fs::read_to_string(&key).unwrap();
    for (content, reason) in [
        ("gwr_abc_def", "does not take the key"),
        ("", "holds no runtime key"),
        ("gwr_abc\ngwr_def", "holds no runtime key"),
        ("ghp_something", "holds no runtime key"),
    ] {
        std::fs::write(&key, content).unwrap();
        let filled = scene.fill(&description).await;
        assert!(!filled.status.success());
        assert_eq!(filled.stdout, b"");
        assert!(said(&filled).contains(reason), "{content:?}: {}", said(&filled));
    }
    std::fs::write(&key, good_key).unwrap();
    scene.set_up("nobody", &scene.gitward);
    let filled = scene.fill(&description).await;
    assert!(said(&filled).contains("has no user nobody"), "{}", said(&filled));
    scene.set_up("mara", &scene.gitward);
    let named = format!("{}username=somebody-else\n\n", description.trim_end_matches('\n').to_owned() + "\n");
    let filled = scene.fill(&named).await;
    assert!(!String::from_utf8_lossy(&filled.stdout).contains(&made.token));
}
