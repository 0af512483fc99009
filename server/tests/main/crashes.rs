//! Killed in the middle, backed up, restored, started with the wrong key.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use serde_json::json;
use server::clock::{Clock, SystemClock};
use tokio::time::{Instant, sleep};

use crate::{
    forge::Forge,
    program::{Running, run},
    site::{TestSite, usual},
};

/// A site for the real program, with its clock.
async fn ready() -> TestSite {
    let forge = Forge::start().await;
    let config = format!("listen = \"127.0.0.1:0\"\n{}", usual(&forge));
    let site = TestSite::start_with(forge, &config).await;
    site.clock.set(SystemClock.now());
    site.forge.set_clock(SystemClock.now()).await;
    site
}

/// The tokens that are kept, opened.
async fn tokens(site: &TestSite) -> Vec<String> {
    let mut all = Vec::new();
    for kept in site.site.store.all_sealed().await.unwrap() {
        let origin = site.site.registry.provider(&kept.credential.provider).unwrap().origin();
        let tokens = site.site.keys.unseal_tokens(&kept.credential, &origin, &kept.sealed).unwrap();
        all.push(tokens.access.expose().to_owned());
    }
    all
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_replacement_it_has_the_old_token_or_the_new() {
    let site = ready().await;
    let mara = site.person("mara").await;
    let mut current = site.forge.good_token().await.token;
    mara.paste("acme.production", &current).await.assert_ok();
    site.forge.fault(json!({ "on": "user", "fault": "delay", "delay_ms": 60 })).await;
    site.forge.fault(json!({ "on": "git", "fault": "delay", "delay_ms": 60 })).await;
    let (mut kept_old, mut kept_new) = (0, 0);
    // Before the provider is asked, between its two answers, while it is kept, after the answer (however slow).
    for wait in [0, 20, 50, 80, 110, 125, 130, 135, 140, 145, 150, 160, 180, 220, 30_000] {
        let next = site.forge.good_token().await.token;
        let running = Running::start(site.folder());
        let cookie = mara.cookie_header();
        let answer = {
            let pasting = running.paste(&cookie, "acme.production", &next);
            tokio::select! {
                answer = pasting => answer,
                () = sleep(Duration::from_millis(wait)) => None,
            }
        };
        running.kill();
        let (code, words) = said(&run(site.folder(), &["verify"]));
        assert_eq!((code, words.as_str()), (Some(0), "All 1 stored tokens open.\n"), "after {wait} ms");
        let kept = tokens(&site).await;
        assert_eq!(kept.len(), 1, "after {wait} ms");
        assert!(kept[0] == current || kept[0] == next, "neither, after {wait} ms");
        if answer == Some(200) {
            assert_eq!(kept[0], next, "what was confirmed is kept");
        }
        (kept_old, kept_new) =
            if kept[0] == next { (kept_old, kept_new + 1) } else { (kept_old + 1, kept_new) };
        current.clone_from(&kept[0]);
        let dump = site.dump().await;
        assert_eq!((dump.rows("credentials"), dump.rows("assignments")), (1, 1), "after {wait} ms");
    }
    assert!(kept_old > 0 && kept_new > 0, "both ends were seen: {kept_old}, {kept_new}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_it_runs_serves_every_token_with_the_key_and_none_without() {
    let site = ready().await;
    let mara = site.person("mara").await;
    let both = site.person("both").await;
    for (browser, runtime) in [(&mara, "acme.production"), (&mara, "acme.paste"), (&both, "globex.paste")] {
        browser.paste(runtime, &site.forge.good_token().await.token).await.assert_ok();
    }
    let running = Running::start(site.folder());
    let folder = site.folder().to_owned();
    let backup = tokio::task::spawn_blocking(move || run(&folder, &["backup", "copy.sqlite3"]));
    let cookie = mara.cookie_header();
    let token = site.forge.good_token().await.token;
    for _ in 0..5 {
        assert_eq!(running.paste(&cookie, "acme.paste", &token).await, Some(200));
    }
    let (code, words) = said(&backup.await.unwrap());
    assert_eq!(code, Some(0), "{words}");
    running.kill();

    let elsewhere = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(site.folder().join(from), elsewhere.path().join(to)).unwrap();
    };
    std::fs::create_dir(elsewhere.path().join("data")).unwrap();
    copy("gitward.toml", "gitward.toml");
    copy("copy.sqlite3", "data/gitward.sqlite3");
    let (code, words) = said(&run(elsewhere.path(), &["verify"]));
    assert_eq!(code, Some(78), "without the key: {words}");
    assert!(!elsewhere.path().join("gitward.key").exists(), "no key is made up for it");
    copy("gitward.key", "gitward.key");
    let (code, words) = said(&run(elsewhere.path(), &["verify"]));
    assert_eq!((code, words.as_str()), (Some(0), "All 3 stored tokens open.\n"));
    let mode = std::fs::metadata(site.folder().join("copy.sqlite3")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for nobody else");
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = ["data/gitward.sqlite3", "data/gitward.sqlite3-wal"].map(|name| folder.join(name));
    files
        .into_iter()
        .filter(|file| file.exists())
        .map(|file| (file.clone(), std::fs::read(file).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_key_that_does_not_fit_it_refuses_at_once_and_touches_nothing() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 6] = [
        ("missing", |key| std::fs::remove_file(key).unwrap()),
        ("another", |key| std::fs::write(key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap()),
        ("truncated", |key| std::fs::write(key, &std::fs::read(key).unwrap()[..20]).unwrap()),
        ("empty", |key| std::fs::write(key, "").unwrap()),
        ("readable by all", |key| std::fs::set_permissions(key, PermissionsExt::from_mode(0o644)).unwrap()),
        ("readable by the group", |key| {
            std::fs::set_permissions(key, PermissionsExt::from_mode(0o440)).unwrap()
        }),
    ];
    let site = ready().await;
    let mara = site.person("mara").await;
    let old = site.forge.good_token().await.token;
    mara.paste("acme.paste", &old).await.assert_ok();
    // Killed, so that the log has something that is not in the database yet.
    let running = Running::start(site.folder());
    let new = site.forge.good_token().await.token;
    assert_eq!(running.paste(&mara.cookie_header(), "acme.staging", &new).await, Some(200));
    running.kill();
    let folder = site.folder().to_owned();
    let forge = site.stop();
    let original = contents(&folder);
    let key = std::fs::read(folder.join("gitward.key")).unwrap();
    for (what, spoil) in spoils {
        let file = folder.join("gitward.key");
        std::fs::remove_file(&file).ok();
        std::fs::write(&file, &key).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        spoil(&file);
        for command in ["serve", "verify"] {
            let begun = Instant::now();
            let (code, words) = said(&run(&folder, &[command]));
            assert_eq!(code, Some(78), "{what}, {command}: {words}");
            assert!(words.contains("gitward.key"), "{what}, {command}: {words}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{what}, {command} took {:?}", begun.elapsed());
            assert!(contents(&folder) == original, "{what}, {command}: a file changed");
        }
    }
    let file = folder.join("gitward.key");
    std::fs::remove_file(&file).ok();
    std::fs::write(&file, &key).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o400)).unwrap();
    let (code, words) = said(&run(&folder, &["verify"]));
    assert_eq!((code, words.as_str()), (Some(0), "All 2 stored tokens open.\n"));
    drop(forge);
}
