//! Where secrets must not be found: files, logs, answers. Every secret is looked for in every spelling that software
//! gives to bytes.

use std::{
    collections::HashMap,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::json;
use server::random::{Entropy, NoEntropy, SystemEntropy};
use tracing_subscriber::{
    Layer, filter::dynamic_filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    database::ask,
    forge::Forge,
    site::{PASSWORD, TestSite, usual},
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

static LISTENING: AtomicBool = AtomicBool::new(false);
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

/// Everything that any crate says, at the level of detail that nobody should use.
fn listen() {
    let layer = fmt::layer().with_ansi(false).with_writer(|| Memory);
    let layer = layer.with_filter(dynamic_filter_fn(|_, _| LISTENING.load(Ordering::Relaxed)));
    tracing_subscriber::registry().with(layer).init();
    LISTENING.store(true, Ordering::SeqCst);
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

#[tokio::test]
async fn secrets_are_in_no_file_no_log_and_no_answer() {
    listen();
    let entropy = Arc::new(Remembering::default());
    let forge = Forge::start().await;
    let config = usual(&forge);
    let site = TestSite::start_from(forge, &config, Arc::clone(&entropy) as Arc<dyn Entropy>).await;
    let mut scanner = Scanner::default();
    for text in ["gitward-demo-secret", "gitward-demo-app-secret", PASSWORD] {
        scanner.add("what was configured or chosen", text.as_bytes());
    }

    // People: a link, a first and a new password, wrong ones, one in the wrong field.
    let mara = site.person("mara").await.heard();
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
    mara.submit("/tokens", "/api/person/redeem-link", &[("secret", link.expose()), ("password", PASSWORD)])
        .await;

    // Tokens: good, narrow, refused, foreign, of an app, malformed, far too long; as forms and as what is none.
    let good = site.forge.good_token().await.token;
    let narrow =
        site.forge.make(json!({ "user": "octocat", "kind": "classic", "scopes": ["gist"] })).await.token;
    let long = "ghp_c4n4ryLong".repeat(75_000);
    let pasted = [
        good.as_str(),
        &narrow,
        "ghp_c4n4ryRefused0123456789abcdefghijklmn",
        "glpat-c4n4ryForeign0123456789",
        "ghs_c4n4ryOfAnApp0123456789abcdefghijklm",
        "ghp_c4n4ryMalformed inside\u{1}",
        &long,
    ];
    for token in pasted {
        scanner.add("pasted token", &token.as_bytes()[..token.len().min(60)]);
        mara.paste("acme.paste", token).await;
        let sure = [("runtime", "acme.paste"), ("token", token), ("sure", "true")];
        mara.call("token/add", &sure).await;
        mara.submit("/tokens/acme.paste", "/api/token/add", &sure).await;
        for (content_type, body) in [
            ("application/json", json!({ "runtime": "acme.paste", "token": [token] }).to_string()),
            ("text/plain", token.to_owned()),
            ("application/x-www-form-urlencoded", format!("runtime[x]=1&token[]={token}&sure={token}")),
            ("multipart/form-data; boundary=x", format!("--x\r\n\r\n{token}\r\n--x--")),
        ] {
            let ask = mara.ask(Method::POST, "/api/token/add").header("accept", "application/json");
            ask.body(content_type, body).send().await;
        }
        mara.get("/tokens/acme.paste").await;
        mara.get("/tokens").await;
    }
    for fault in ["drop", "html", "garbage_json", "redirect", "rate_limit", "endless"] {
        site.forge.fault(json!({ "on": "any", "fault": fault })).await;
        mara.paste("acme.production", &good).await;
        mara.check("acme.paste").await;
        site.forge.heal().await;
    }
    mara.paste("acme.production", &good).await.assert_ok();

    // Authorizations: good, refused, denied, broken, renewed, taken.
    let mut codes = Vec::new();
    for runtime in ["acme.staging", "acme.renewed"] {
        let there = mara.connect(runtime).await;
        let back = site.forge.agree("octocat", &there).await;
        codes.push(back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned());
        mara.come_back(&back).await;
        mara.come_back(&back).await;
        let back = site.forge.cancel("octocat", &mara.connect(runtime).await).await;
        mara.come_back(&back).await;
        for fault in ["drop_reply", "html", "garbage_json", "oauth_error", "empty"] {
            site.forge.fault(json!({ "on": "token", "fault": fault, "times": 1 })).await;
            let back = site.forge.agree("octocat", &mara.connect(runtime).await).await;
            codes.push(back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned());
            mara.come_back(&back).await;
            site.anonymous().heard_by(&mara).come_back(&back).await;
        }
        mara.check(runtime).await.assert_ok();
        assert_eq!(mara.health(runtime).await, "Valid");
    }
    site.pass(Duration::from_secs(8 * 60 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    site.forge.fault(json!({ "on": "user", "fault": "status", "status": 503, "times": 1 })).await;
    mara.check("acme.renewed").await.assert_ok();
    mara.check("acme.renewed").await.assert_ok();
    for page in
        ["/", "/tokens", "/tokens/acme.renewed", "/tokens/acme.renewed/delete", "/password", "/nonsense"]
    {
        mara.get(page).await;
    }
    mara.call("token/access", &[("runtime", "acme.renewed")]).await.assert_ok();
    let (folder, backup) = (site.folder().to_owned(), site.folder().join("backup.sqlite3"));
    site.site.backup(&backup).await.unwrap();
    mara.call("token/delete", &[("runtime", "acme.paste")]).await.assert_ok();
    LISTENING.store(false, Ordering::SeqCst);

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
    assert!(drawn.len() > 20 && codes.len() > 10 && scanner.secrets > 60);

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
    let log = LOG.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&log);
    for voice in ["TRACE", "hyper", "server::login", "A code could not be exchanged"] {
        assert!(text.contains(voice), "{voice} was listened to");
    }
    scanner.assert_clean("the log", &log);
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
