//! Where secrets must not be found: files, logs, answers. Every secret is looked for in every spelling that software
//! gives to bytes.

use std::{
    collections::HashMap,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use server::random::{Entropy, NoEntropy, SystemEntropy};
use tracing_subscriber::{
    Layer, filter::dynamic_filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    database::ask,
    forge::Forge,
    kinds::{Kind, bitbucket, kinds},
    machine::{CHANGES, CREDENTIAL, Machine, REPORT, USERS, rotate},
    site::{Browser, PASSWORD, TestSite, at_a, usual},
};

/// Remembers what it gave: whatever has 256 bits is a key or a secret.
#[derive(Default)]
struct Remembering(Mutex<Vec<[u8; 32]>>);

impl Entropy for Remembering {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        SystemEntropy.fill(bytes)?;
        if let Ok(secret) = <[u8; 32]>::try_from(&*bytes) {
            self.0.lock().unwrap().push(secret);
        }
        Ok(())
    }
}

/// Needles with their names, found in one pass.
#[derive(Default)]
struct Scanner {
    by_start: HashMap<[u8; 8], Vec<(String, Vec<u8>)>>,
    secrets: usize,
}

impl Scanner {
    fn add(&mut self, name: &str, secret: &[u8]) {
        self.secrets += 1;
        let hex = |upper: bool| -> Vec<u8> {
            let digit = |byte: &u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            secret.iter().map(digit).collect::<String>().into_bytes()
        };
        let percent = |upper: bool| -> Vec<u8> {
            let digit = |byte: &u8| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
            secret.iter().map(digit).collect::<String>().into_bytes()
        };
        let mut forms = vec![
            ("raw", secret.to_vec()),
            ("hex", hex(false)),
            ("HEX", hex(true)),
            ("percent", percent(false)),
            ("PERCENT", percent(true)),
            ("utf-16", secret.iter().flat_map(|byte| [*byte, 0]).collect()),
            ("list of numbers", secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes()),
        ];
        if let Ok(text) = std::str::from_utf8(secret) {
            let json = serde_json::to_string(text).unwrap();
            forms.push(("json", json.trim_matches('"').as_bytes().to_vec()));
            forms.push((
                "form",
                url::form_urlencoded::byte_serialize(secret).collect::<String>().into_bytes(),
            ));
        }
        for phase in 0..3 {
            let mut padded = vec![0; phase];
            padded.extend_from_slice(secret);
            // Letters at both ends depend on the neighbours.
            let (skip, whole) = ((phase * 8).div_ceil(6), (padded.len() * 8) / 6);
            forms.push(("base64", STANDARD_NO_PAD.encode(&padded).as_bytes()[skip..whole].to_vec()));
            forms.push(("base64url", URL_SAFE_NO_PAD.encode(&padded).as_bytes()[skip..whole].to_vec()));
        }
        for (form, needle) in forms {
            let start = <[u8; 8]>::try_from(&needle[..8]).expect("a secret of eight bytes at least");
            self.by_start.entry(start).or_default().push((format!("{name} as {form}"), needle));
        }
    }

    fn find(&self, hay: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, start) in hay.windows(8).enumerate() {
            let Some(needles) = self.by_start.get(start) else { continue };
            for (name, needle) in needles {
                if hay[at..].starts_with(needle) && !found.contains(name) {
                    found.push(name.clone());
                }
            }
        }
        found
    }

    #[track_caller]
    fn assert_clean(&self, place: &str, hay: &[u8]) {
        assert_eq!(self.find(hay), [] as [String; 0], "found in {place}");
    }
}

/// How many tests want to hear.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Memory;

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that any crate says, at the level of detail that nobody should use, as long as it lives.
struct Listening {
    from: usize,
}

impl Listening {
    fn start() -> Self {
        static SET_UP: Once = Once::new();
        SET_UP.call_once(|| {
            let layer = fmt::layer().with_ansi(false).with_writer(|| Memory);
            let wanted = dynamic_filter_fn(|_, _| LISTENERS.load(Ordering::Relaxed) > 0);
            tracing_subscriber::registry().with(layer.with_filter(wanted)).init();
        });
        LISTENERS.fetch_add(1, Ordering::SeqCst);
        Self { from: LOG.lock().unwrap().len() }
    }

    fn end(self) -> Vec<u8> {
        LOG.lock().unwrap()[self.from..].to_vec()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if !["gitward.toml", "gitward.key"].contains(&path.file_name().unwrap().to_str().unwrap()) {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

#[test]
fn the_scanner_finds_what_it_looks_for() {
    let secret = b"ghp_Canary/+123\"\xc3\xb6 and more";
    let mut scanner = Scanner::default();
    scanner.add("canary", secret);
    let plain = |text: &[u8]| !scanner.find(&[&b"before"[..], text, b"after"].concat()).is_empty();
    assert!(plain(secret));
    for phase in 0..3 {
        let shifted = [&b"xyz"[..phase], secret, b"tail"].concat();
        assert!(plain(STANDARD_NO_PAD.encode(&shifted).as_bytes()), "phase {phase}");
        assert!(plain(URL_SAFE_NO_PAD.encode(&shifted).as_bytes()), "phase {phase}");
    }
    assert!(plain(&secret.iter().flat_map(|byte| [*byte, 0]).collect::<Vec<_>>()));
    assert!(plain(serde_json::to_string(std::str::from_utf8(secret).unwrap()).unwrap().as_bytes()));
    assert!(!plain(b"ghp_CanarX"));
}

/// Mara at a site, all whose secrets are known in the end.
struct Watch {
    site: TestSite,
    mara: Browser,
    entropy: Arc<Remembering>,
    scanner: Scanner,
    codes: Vec<String>,
    listening: Listening,
}

impl Watch {
    async fn start(forge: Forge, config: &str) -> Self {
        let listening = Listening::start();
        let entropy = Arc::new(Remembering::default());
        let site = TestSite::start_from(forge, config, Arc::clone(&entropy) as Arc<dyn Entropy>).await;
        let mut scanner = Scanner::default();
        for text in ["gitward-demo-secret", "gitward-demo-app-secret", PASSWORD] {
            scanner.add("what was configured or chosen", text.as_bytes());
        }
        let mara = site.person("mara").await.heard();
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        Self { site, mara, entropy, scanner, codes: Vec::new(), listening }
    }

    /// A link, a first and a new password, wrong ones, one in the wrong field.
    async fn change_passwords(&mut self) {
        let Self { site, mara, scanner, .. } = self;
        let (wrong, new) = ("c4n4ry wrong passphrase", "c4n4ry new passphrase");
        for password in [wrong, new] {
            scanner.add("password", password.as_bytes());
        }
        mara.sign_in("mara", wrong).await;
        mara.sign_in(wrong, wrong).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        mara.call("person/change-password", &[("current", wrong), ("new", new)]).await;
        mara.call("person/change-password", &[("current", PASSWORD), ("new", new)]).await.assert_ok();
        mara.call("person/change-password", &[("current", new), ("new", PASSWORD)]).await.assert_ok();
        mara.submit("/password", "/api/person/change-password", &[("current", wrong), ("new", new)]).await;
        let link = site.site.people.reset_link("mara").await.unwrap();
        mara.call("person/one-time-link", &[("secret", link.expose())]).await.assert_ok();
        mara.call("person/redeem-link", &[("secret", link.expose()), ("password", "short")]).await;
        let redeem = [("secret", link.expose()), ("password", PASSWORD)];
        mara.submit("/tokens", "/api/person/redeem-link", &redeem).await;
    }

    /// Pastes a token as a form, and as what is none.
    async fn paste(&mut self, runtime: &str, token: &str, more: &[(&str, &str)]) {
        let Self { mara, scanner, .. } = self;
        scanner.add("pasted token", &token.as_bytes()[..token.len().min(60)]);
        mara.paste_with(runtime, token, more).await;
        let sure = [&[("runtime", runtime), ("token", token), ("sure", "true")], more].concat();
        mara.call("token/add", &sure).await;
        let page = format!("/tokens/{runtime}");
        mara.submit(&page, "/api/token/add", &sure).await;
        for (content_type, body) in [
            ("application/json", json!({ "runtime": runtime, "token": [token] }).to_string()),
            ("text/plain", token.to_owned()),
            ("application/x-www-form-urlencoded", format!("runtime[x]=1&token[]={token}&sure={token}")),
            ("multipart/form-data; boundary=x", format!("--x\r\n\r\n{token}\r\n--x--")),
        ] {
            let ask = mara.ask(Method::POST, "/api/token/add").header("accept", "application/json");
            ask.body(content_type, body).send().await;
        }
        mara.get(&page).await;
        mara.get("/tokens").await;
    }

    /// Pastes a good token and has another checked while the host is in trouble, and once it is not.
    async fn endure(&self, runtime: &str, token: &str, more: &[(&str, &str)], checked: &str) {
        let Self { site, mara, .. } = self;
        for fault in ["drop", "html", "garbage_json", "redirect", "rate_limit", "endless"] {
            site.forge.fault(json!({ "on": "any", "fault": fault, "retry_after_seconds": 60 })).await;
            mara.paste_with(runtime, token, more).await;
            mara.check(checked).await;
            site.forge.heal().await;
        }
        site.minutes(2).await;
        mara.paste_with(runtime, token, more).await.assert_ok();
    }

    /// Authorizations: good, used twice, denied, broken, somebody else's.
    async fn authorize(&mut self, runtime: &str) {
        let Self { site, mara, codes, .. } = self;
        let back = site.forge.agree("octocat", &mara.connect(runtime).await).await;
        codes.push(code(&back));
        mara.come_back(&back).await;
        mara.come_back(&back).await;
        let back = site.forge.cancel("octocat", &mara.connect(runtime).await).await;
        mara.come_back(&back).await;
        for fault in ["drop_reply", "html", "garbage_json", "oauth_error", "empty"] {
            site.forge.fault(json!({ "on": "token", "fault": fault, "times": 1 })).await;
            let back = site.forge.agree("octocat", &mara.connect(runtime).await).await;
            codes.push(code(&back));
            mara.come_back(&back).await;
            site.anonymous().heard_by(mara).come_back(&back).await;
        }
        mara.check(runtime).await.assert_ok();
        assert_eq!(mara.health(runtime).await, "Valid");
    }

    /// A grant's access token ends, and is renewed at the second try.
    async fn renew(&self, runtime: &str, life: Duration, trouble: Value) {
        let Self { site, mara, .. } = self;
        site.pass(life).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        site.forge.fault(trouble).await;
        mara.check(runtime).await.assert_ok();
        site.minutes(2).await;
        mara.check(runtime).await.assert_ok();
        assert_eq!(mara.health(runtime).await, "Valid");
    }

    /// A runtime fetches the token with a key that was rotated, and shows keys where they don't belong.
    async fn release(&self, runtime: &str) {
        let Self { site, mara, .. } = self;
        let first = Machine::of(site, runtime).await;
        first.fetch("mara").await.assert_ok();
        let machine = Machine::with(site, rotate(site, runtime).await.text.expose());
        machine.fetch("mara").await.assert_ok();
        let report = json!({ "user": "mara", "outcome": "rejected" });
        machine.post(REPORT, &report).await.assert_ok();
        let key = &machine.key;
        for path in [format!("{USERS}?key={key}"), format!("{USERS}/{key}"), format!("{CHANGES}?after={key}")]
        {
            machine.get(&path).await;
            mara.get(&path).await;
        }
        machine.fetch(key).await;
        machine.post(CREDENTIAL, &json!({ "user": "mara", "git_url": format!("https://{key}@x/") })).await;
        machine.post(CREDENTIAL, &json!({ "key": key })).await;
        machine.post(REPORT, &json!({ "user": "mara", "version": key, "outcome": "used" })).await;
        let wrong = Machine::with(site, &format!("{key} "));
        wrong.fetch("mara").await;
        mara.submit("/tokens", "/api/person/sign-in", &[("name", key), ("password", key)]).await;
        // All that was fetched is written down.
        site.site.holdings.write().await.unwrap();
    }

    /// Looks at the pages, makes a backup, deletes a token, and looks for everything everywhere.
    async fn end(self, runtime: &str, delete: &str) {
        let Self { site, mara, entropy, mut scanner, codes, listening } = self;
        let page = format!("/tokens/{runtime}");
        for page in [
            "/",
            "/tokens",
            &page,
            &format!("{page}/delete"),
            "/password",
            "/notifications",
            "/notifications/settings",
            "/nonsense",
        ] {
            mara.get(page).await;
        }
        mara.call("token/access", &[("runtime", runtime)]).await.assert_ok();
        // What happened, and the evidence for it.
        site.site.herald.round().await.unwrap();
        mara.call("part", &[("part", "Course"), ("id", runtime)]).await.assert_ok();
        let (folder, backup) = (site.folder().to_owned(), site.folder().join("backup.sqlite3"));
        site.site.backup(&backup).await.unwrap();
        mara.call("token/delete", &[("runtime", delete), ("revoke", "true")]).await.assert_ok();
        let log = listening.end();

        for code in &codes {
            scanner.add("code", code.as_bytes());
        }
        for secret in site.forge.secrets() {
            scanner.add("token of the provider", secret.as_bytes());
        }
        // Root key, data keys, sessions, links, states, verifiers: as bytes, and as the text that most of them become.
        let drawn = entropy.0.lock().unwrap().clone();
        for secret in &drawn {
            scanner.add("random secret", secret);
            scanner.add("random secret in base64", URL_SAFE_NO_PAD.encode(secret).as_bytes());
        }
        let (drawn, codes, all) = (drawn.len(), codes.len(), scanner.secrets);
        assert!(drawn > 20 && codes > 5 && all > 60, "{drawn} drawn, {codes} codes, {all} in all");

        let files = files(&folder);
        for suffix in ["gitward.sqlite3", "gitward.sqlite3-wal", "gitward.sqlite3-shm", "backup.sqlite3"] {
            assert!(files.iter().any(|(name, _)| name.ends_with(suffix)), "{suffix} is there");
        }
        for (name, content) in files {
            scanner.assert_clean(&name, &content);
        }
        let heard = mara.everything_heard();
        assert!(heard.len() > 100_000);
        scanner.assert_clean("an answer", &heard);
        let text = String::from_utf8_lossy(&log);
        for voice in ["TRACE", "hyper", "server::login", "A code could not be exchanged"] {
            assert!(text.contains(voice), "{voice} was listened to");
        }
        scanner.assert_clean("the log", &log);
    }
}

/// What the provider sends a browser back with.
fn code(back: &url::Url) -> String {
    back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

#[tokio::test]
async fn secrets_are_in_no_file_no_log_and_no_answer() {
    let forge = Forge::start().await;
    let config = usual(&forge);
    let mut watch = Watch::start(forge, &config).await;
    watch.change_passwords().await;

    // Good, narrow, refused, foreign, of an app, malformed, far too long.
    let good = watch.site.forge.good_token().await.token;
    let narrow = json!({ "user": "octocat", "kind": "classic", "scopes": ["gist"] });
    let narrow = watch.site.forge.make(narrow).await.token;
    let long = "ghp_c4n4ryLong".repeat(75_000);
    for token in [
        good.as_str(),
        &narrow,
        "ghp_c4n4ryRefused0123456789abcdefghijklmn",
        "glpat-c4n4ryForeign0123456789",
        "ghs_c4n4ryOfAnApp0123456789abcdefghijklm",
        "ghp_c4n4ryMalformed inside\u{1}",
        &long,
    ] {
        watch.paste("acme.paste", token, &[]).await;
    }
    watch.endure("acme.production", &good, &[], "acme.paste").await;
    watch.authorize("acme.staging").await;
    watch.authorize("acme.renewed").await;
    let trouble = json!({ "on": "user", "fault": "status", "status": 503, "times": 1 });
    watch.renew("acme.renewed", Duration::from_secs(8 * 60 * 60), trouble).await;
    watch.release("acme.renewed").await;
    watch.end("acme.renewed", "acme.paste").await;
}

/// The same at a host of another kind.
async fn keep_secrets_at(kind: Kind) {
    let forge = Forge::of(kind.shape).await;
    let config = at_a(kind.word, &forge);
    let mut watch = Watch::start(forge, &config).await;
    let good = watch.site.forge.make(kind.good.clone()).await.token;
    let weak = watch.site.forge.make(kind.weak.clone()).await.token;
    // Unknown, another provider's, malformed. Put together here: what looks like a token must not stand in a file.
    let unknown = format!("c4n4ry{}", "0123456789abcdef".repeat(2));
    let foreign = ["gh", "p_", "c4n4ryForeign0123456789abcdefghijklmn"].concat();
    for token in [&good, &weak, &unknown, &foreign, "c4n4ry Malformed inside\u{1}"] {
        watch.paste("acme.infra", token, kind.more).await;
        watch.paste("acme.paste", token, kind.more).await;
    }
    if !kind.more.is_empty() {
        let others = [("user_name", "somebody@forge.example")];
        watch.paste("acme.paste", &good, &others).await;
        watch.paste("acme.paste", &good, &[]).await;
    }
    watch.mara.paste_with("acme.paste", &good, kind.more).await.assert_ok();
    watch.endure("acme.infra", &good, kind.more, "acme.paste").await;
    watch.authorize("acme.infra").await;
    let requests = kind.token_requests(&watch.site.forge);
    let before = watch.site.forge.asked(&requests).await;
    let trouble = json!({ "on": "token", "fault": "status", "status": 503, "times": 1 });
    watch.renew("acme.infra", kind.life, trouble).await;
    let renewals = watch.site.forge.asked(&requests).await - before;
    assert!(renewals >= 1, "{}: renewed", kind.word);
    watch.end("acme.infra", "acme.paste").await;
}

#[tokio::test]
async fn secrets_are_nowhere_at_any_kind_of_host() {
    for kind in kinds() {
        keep_secrets_at(kind).await;
    }
    keep_secrets_at(bitbucket()).await;
}

#[tokio::test]
async fn after_deleting_a_token_its_ciphertext_is_nowhere() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    let first: Vec<u8> = ask(&site.database(), "SELECT sealed FROM credentials").await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    let second: Vec<u8> = ask(&site.database(), "SELECT sealed FROM credentials").await;
    let present = |needle: &[u8]| {
        let folder = site.folder().join("data");
        let has =
            |(_, content): &(String, Vec<u8>)| content.windows(needle.len()).any(|window| window == needle);
        files(&folder).iter().any(has)
    };
    assert!(present(&second), "as long as it is in use");
    let answer = mara.call("token/delete", &[("runtime", "acme.paste")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    for sealed in [first, second] {
        assert!(!present(&sealed[42..]), "what was deleted is gone, and what it had replaced");
        assert!(!present(&sealed[42..74]), "and no part of it is left");
    }
}

/// What is sent when mara's token dies, to her own webhook and to her account's.
#[tokio::test]
async fn what_leaves_by_webhook_holds_no_secret_and_neither_do_the_log_and_the_files() {
    let listening = Listening::start();
    let entropy = Arc::new(Remembering::default());
    let forge = Forge::start().await;
    let hooks = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(wiremock::ResponseTemplate::new(500).set_body_string("c4n4ry in an answer"))
        .mount(&hooks)
        .await;
    let signing = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([0xc4; 32]));
    let webhook = format!(
        "[[account.webhook]]\nname = \"platform\"\nurl = \"{}/platform/c4n4ryOfAPath\"\nsecret = \"{signing}\"\n\n",
        hooks.uri()
    );
    let config = usual(&forge)
        .replace("[[account]]\nid = \"globex\"", &format!("{webhook}[[account]]\nid = \"globex\""))
        + "\n[notices]\nallow_private_webhooks = true\n";
    let site = TestSite::start_from(forge, &config, Arc::clone(&entropy) as Arc<dyn Entropy>).await;
    let mara = site.person("mara").await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    let url = format!("{}/mine/c4n4ryOfAPath?key=c4n4ryOfAQuery", hooks.uri());
    mara.call("notice/webhook", &[("url", &url), ("format", "Standard")]).await.assert_ok();
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    site.forge.revoke(made.id).await;
    for _ in 0..30 {
        site.minutes(6).await;
        for task in site.site.watch.round().await.unwrap() {
            task.await.unwrap();
        }
        site.site.herald.round().await.unwrap();
        for task in site.site.courier.round().await.unwrap() {
            task.await.unwrap();
        }
    }
    let requests = hooks.received_requests().await.unwrap();
    let to = |path: &str| requests.iter().filter(|request| request.url.path().starts_with(path)).count();
    assert!(to("/mine/") > 1 && to("/platform/") > 1, "{} and {}", to("/mine/"), to("/platform/"));
    let mut scanner = Scanner::default();
    for (name, secret) in [
        ("token", made.token.as_bytes()),
        ("answer", b"c4n4ry in an answer"),
        ("signing secret", signing.as_bytes()),
        ("signing key", &[0xc4; 32]),
    ] {
        scanner.add(name, secret);
    }
    for request in &requests {
        let body: Value = request.body_json().unwrap();
        assert_eq!((&body["type"], &body["data"]["user"]), (&json!("token.invalid"), &json!("mara")));
        scanner.assert_clean("a message", &request.body);
    }
    scanner.add("path", b"c4n4ryOfAPath");
    scanner.add("query", b"c4n4ryOfAQuery");
    for secret in entropy.0.lock().unwrap().iter() {
        scanner.add("random secret", secret);
    }
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    mara.get("/notifications/settings").await.assert_ok();
    for (name, content) in files(&site.folder().join("data")) {
        scanner.assert_clean(&name, &content);
    }
    let log = listening.end();
    assert!(String::from_utf8_lossy(&log).contains("TRACE"), "it was listened to");
    scanner.assert_clean("the log", &log);
}
