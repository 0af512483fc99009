//! What people and machines do is written down, for those whose business it is; and what can't be written down gives
//! nobody anything.

use axum::http::{Method, StatusCode};
use serde_json::Value;
use server::{
    audit::{Actor, By},
    clock::Clock,
};

use crate::{
    database::{ask, change},
    forge::Forge,
    machine::{Machine, assert_problem},
    program::run,
    site::{Browser, PASSWORD, TestSite, usual},
};

/// Stops the log from being written, as a full disk does.
const FULL: &str = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END";

/// All entries of an export, the latest first.
async fn export(browser: &Browser, page: &str) -> Vec<Value> {
    let answer = browser.get(page).await;
    assert_eq!(answer.assert_ok().header("content-type"), "application/jsonl; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-disposition").starts_with("attachment;"));
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn own(browser: &Browser) -> Vec<Value> {
    export(browser, "/audit/export?format=jsonl").await
}

async fn of_account(browser: &Browser) -> Vec<Value> {
    export(browser, "/admin/accounts/acme/audit/export?format=jsonl").await
}

/// What was done, as `action outcome`.
fn words(entries: &[Value]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| format!("{} {}", entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap()))
        .collect()
}

async fn sign_in(browser: &Browser, name: &str, password: &str) -> crate::site::Answer {
    browser.call("person/sign-in", &[("name", name), ("password", password)]).await
}

#[tokio::test]
async fn a_user_finds_all_that_was_done_in_their_name() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let machine = Machine::of(&site, "acme.production").await;
    let first = site.forge.good_token().await;
    mara.paste("acme.production", &first.token).await.assert_ok();
    machine.fetch("mara").await.assert_ok();
    let second = site.forge.good_token().await;
    mara.paste("acme.production", &second.token).await.assert_ok();
    mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    mara.call("person/sign-out", &[]).await.assert_ok();
    assert_eq!(sign_in(&mara, "mara", "a wrong password").await.error(), "WrongNameOrPassword");
    sign_in(&mara, "mara", PASSWORD).await.assert_ok();

    let entries = own(&mara).await;
    let expected = [
        "session.begun done",
        "session.begun refused",
        "session.ended done",
        "token.deleted done",
        "token.replaced done",
        "secret.released done",
        "token.added done",
    ];
    assert_eq!(words(&entries), expected);
    let added = &entries[6];
    assert_eq!(added["actor_name"], "mara");
    assert_eq!((&added["account"], &added["runtime"]), (&"acme".into(), &"acme.production".into()));
    assert_eq!(added["detail"], "pasted, account octocat at forge");
    assert_eq!(added["address"], "192.0.2.1");
    assert!(added["request"].as_str().unwrap().len() > 10);
    assert_eq!(entries[1]["actor"], "stranger");
    let text = serde_json::to_string(&entries).unwrap();
    for secret in [first.token.as_str(), &second.token, &machine.key, PASSWORD, "a wrong password"] {
        assert!(!text.contains(secret));
    }
}

#[tokio::test]
async fn what_a_stranger_types_as_a_name_is_kept_only_if_it_is_one() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let stranger = site.anonymous();
    // A password in the wrong field.
    sign_in(&stranger, "hunter2-and-more", "x").await.error();
    sign_in(&stranger, "MARA", "x").await.error();
    let database = site.database();
    let kept: String = ask(
        &database,
        "SELECT group_concat(coalesce(object, '-') || ' ' || coalesce(user_id IS NOT NULL, 0)) FROM audit \
         WHERE action = 'session.begun' AND outcome = 'refused'",
    )
    .await;
    assert_eq!(kept, "- 0,mara 1");
    assert_eq!(words(&own(&mara).await), ["session.begun refused"]);
}

#[tokio::test]
async fn an_admin_sees_the_account_and_nobody_else_does() {
    let site = TestSite::start().await;
    let (mara, both, jonas) =
        (site.person("mara").await, site.person("both").await, site.person("jonas").await);
    for (browser, runtime) in
        [(&mara, "acme.staging"), (&both, "acme.paste"), (&both, "globex.paste"), (&jonas, "globex.paste")]
    {
        let made = site.forge.good_token().await;
        browser.paste(runtime, &made.token).await.assert_ok();
    }
    sign_in(&site.anonymous(), "both", PASSWORD).await.assert_ok();
    sign_in(&site.anonymous(), "jonas", PASSWORD).await.assert_ok();

    let entries = of_account(&mara).await;
    let expected =
        ["session.begun done", "token.added done", "token.added done", "configuration.applied done"];
    assert_eq!(words(&entries), expected);
    assert_eq!(entries[0]["actor_name"], "both", "jonas is no member");
    assert!(entries.iter().all(|entry| entry["account"] == "acme" || entry["account"].is_null()));
    let page = mara.get("/admin/accounts/acme/audit").await;
    assert!(page.assert_ok().text().contains("Audit log of Acme"));

    for page in ["/admin/accounts/acme/audit", "/admin/accounts/acme/audit/export?format=csv"] {
        for member in [&both, &jonas] {
            let answer = member.get(page).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
            assert!(!answer.text().contains("added a token"), "{page}");
        }
        assert!(site.anonymous().get(page).await.location().starts_with("/sign-in"));
    }
    for page in ["/admin/accounts/globex/audit", "/admin/accounts/none/audit", "/admin/accounts/%27/audit"] {
        assert_eq!(mara.get(page).await.status, StatusCode::NOT_FOUND, "{page}");
    }
    assert!(own(&jonas).await.iter().all(|entry| entry["actor_name"] == "jonas"));
}

#[tokio::test]
async fn the_page_filters_and_turns_without_script() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.staging", &made.token).await.assert_ok();
    for _ in 0..60 {
        mara.call("token/delete", &[("runtime", "acme.staging")]).await;
        mara.paste("acme.staging", &made.token).await;
    }
    let page = mara.get("/audit").await;
    let text = page.assert_ok().text();
    assert_eq!(text.matches("<li data-outcome").count(), 50);
    assert!(!text.contains("<script"), "nothing runs here");
    let older = text.split("rel=\"next\"").nth(1).unwrap().split("href=\"").nth(1).unwrap();
    let older = older.split('"').next().unwrap().replace("&amp;", "&");
    let next = mara.get(&older).await;
    assert!(next.assert_ok().text().contains("To the newest"));
    let deleted = mara.get("/audit?what=token.deleted&runtime=acme.staging").await;
    assert!(!deleted.assert_ok().text().contains("added a token</span>"));
    assert!(deleted.text().contains("deleted a token"));
    for (query, found) in [
        ("since=2026-11-22&until=2026-11-22", true),
        ("since=2026-11-23", false),
        ("until=2026-11-21", false),
        ("refused=1", false),
        ("runtime=acme.paste", false),
        ("what=%27%20OR%201", false),
        ("since=nonsense&before=nonsense", true),
        // Asked for twice, the last one counts.
        ("what=session&what=token", true),
        ("what=token&what=session&before=1&before=9999", false),
        ("format=csv&format=%ff%fe&=&&refused=&user=nobody", true),
    ] {
        let answer = mara.get(&format!("/audit?{query}")).await;
        let shown = answer.assert_ok().text().contains("<li data-outcome");
        assert_eq!(shown, found, "{query}");
    }
    // More than one piece of it, in order and without a gap.
    let numbers: Vec<i64> =
        own(&mara).await.iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect();
    assert_eq!(numbers.len(), 121);
    assert!(numbers.windows(2).all(|pair| pair[0] > pair[1]));
}

#[tokio::test]
async fn an_admin_finds_what_one_user_did_and_whose_tokens_are_meant() {
    let site = TestSite::start().await;
    let (mara, both) = (site.person("mara").await, site.person("both").await);
    let [first, second] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &first.token).await.assert_ok();
    both.paste("acme.paste", &second.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.paste").await;
    machine.fetch("both").await.assert_ok();
    let of = async |query: &str| {
        words(&export(&mara, &format!("/admin/accounts/acme/audit/export?format=jsonl&{query}")).await)
    };
    assert_eq!(of("user=both").await, ["secret.released done", "token.added done"]);
    assert_eq!(of("user=%20BOTH%20&what=secret").await, ["secret.released done"]);
    assert_eq!(of("user=mara").await, ["token.added done"]);
    for nobody in ["user=bot", "user=nobody", "user=%27%20OR%201", "user=jonas"] {
        assert_eq!(of(nobody).await, [] as [&str; 0], "{nobody}");
    }
    let page = mara.get("/admin/accounts/acme/audit?user=both").await;
    let text = page.assert_ok().text();
    assert_eq!(text.matches("<li data-outcome").count(), 2, "{text}");
    assert!(text.contains("name=\"user\" value=\"both\""));
    assert_eq!(text.matches(" · token of both for acme.paste · ").count(), 2);
    let shown: String = text.split("<small").skip(1).map(|part| part.split_once('>').unwrap().1).collect();
    assert!(!shown.contains("object ") && !shown.contains("request "), "ids are not in the words");
    // One's own log has no such field, and takes no notice.
    let own = mara.get("/audit?user=both").await;
    assert!(!own.assert_ok().text().contains("name=\"user\""));
    assert_eq!(own.text().matches("<li data-outcome").count(), 1);

    let entries = of_account(&mara).await;
    let named: Vec<_> = entries.iter().map(|entry| entry["user_name"].as_str()).collect();
    assert_eq!(named[..4], [Some("both"), None, Some("both"), Some("mara")]);
    let csv = mara.get("/admin/accounts/acme/audit/export?format=csv&user=both").await;
    let (head, rows) = csv.assert_ok().text().split_once("\r\n").unwrap();
    let at = head.split(',').position(|column| column == "user_name").unwrap();
    assert_eq!(rows.lines().filter(|row| row.split(',').nth(at) == Some("\"both\"")).count(), 2);
}

#[tokio::test]
async fn nothing_in_a_csv_file_is_a_formula() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let evil = "=HYPERLINK(\"http://evil.example\",\"x\")";
    let asked = mara
        .ask(Method::POST, "/api/person/sign-out")
        .header("accept", "application/json")
        .header("x-request-id", evil)
        .form(&[])
        .send()
        .await;
    asked.assert_ok();
    sign_in(&mara, "mara", PASSWORD).await.assert_ok();
    let csv = mara.get("/audit/export?format=csv").await;
    assert_eq!(csv.assert_ok().header("content-type"), "text/csv; charset=utf-8; header=present");
    let text = csv.text();
    assert!(text.starts_with("sequence,at,actor,"));
    assert!(text.contains("\"'=HYPERLINK("), "{text}");
    assert!(!text.contains("\"=HYPERLINK"));
    assert_eq!(mara.get("/audit/export?format=xlsx").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_gets_anything_that_can_not_be_written_down() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let machine = Machine::of(&site, "acme.production").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.production", &made.token).await.assert_ok();
    let database = site.database();
    change(&database, FULL).await;
    for _ in 0..20 {
        let answer = machine.fetch("mara").await;
        assert_problem(&answer, StatusCode::SERVICE_UNAVAILABLE, "not_recorded", "the disk is full");
        assert!(!answer.text().contains(&made.token));
    }
    let stranger = site.anonymous();
    let refused = sign_in(&stranger, "mara", PASSWORD).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refused.header("set-cookie"), "");
    assert!(stranger.get("/tokens").await.location().starts_with("/sign-in"));
    // What takes something away happens in any case.
    mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    mara.call("person/sign-out", &[]).await.assert_ok();
    assert!(mara.get("/tokens").await.location().starts_with("/sign-in"));
    let credentials: String = ask(&database, "SELECT count(*) || '' FROM credentials").await;
    assert_eq!(credentials, "0");

    change(&database, "DROP TRIGGER full").await;
    sign_in(&stranger, "mara", PASSWORD).await.assert_ok();
    let verified = server::audit::verify::verify(site.site.store.as_ref(), Some(&site.site.keys), None).await;
    assert_eq!(verified.unwrap().flaws, []);
}

#[tokio::test]
async fn another_verdict_is_in_the_log_of_its_user_and_its_account() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.production", &made.token).await.assert_ok();
    let other = site.forge.good_token().await;
    mara.paste("acme.staging", &other.token).await.assert_ok();
    site.forge.revoke(made.id).await;
    mara.check("acme.production").await.assert_ok();
    assert!(!words(&own(&mara).await).contains(&"verdict.changed done".to_owned()), "one refusal is none");
    site.minutes(11).await;
    mara.check("acme.staging").await.assert_ok();
    mara.check("acme.production").await.assert_ok();
    for entries in [own(&mara).await, of_account(&mara).await] {
        let changed: Vec<&Value> =
            entries.iter().filter(|entry| entry["action"] == "verdict.changed").collect();
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0]["runtime"], "acme.production");
        assert!(changed[0]["detail"].as_str().unwrap().starts_with("invalid, "), "{:?}", changed[0]);
    }
}

#[tokio::test]
async fn a_grant_from_the_providers_sign_in_is_written_down() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    let entries = own(&mara).await;
    assert_eq!(words(&entries), ["token.added done"]);
    assert_eq!(entries[0]["detail"], "oauth2, account octocat at forge");
}

#[tokio::test]
async fn a_server_that_starts_says_so_and_what_the_configuration_changed() {
    let site = TestSite::start().await;
    let database = site.database();
    let said: String = ask(
        &database,
        "SELECT group_concat(action || ' ' || detail, '; ') FROM audit WHERE actor = 'operator'",
    )
    .await;
    assert!(said.starts_with("server.started version "), "{said}");
    assert!(said.contains("configuration.applied enabled: "), "{said}");
    assert!(said.contains("runtime acme.production"), "{said}");
}

#[tokio::test]
async fn a_renewal_a_revocation_and_what_somebody_wants_to_be_told_are_written_down() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    site.pass(std::time::Duration::from_secs(8 * 60 * 60)).await;
    sign_in(&mara, "mara", PASSWORD).await.assert_ok();
    mara.check("acme.renewed").await.assert_ok();
    mara.call("token/delete", &[("runtime", "acme.renewed"), ("revoke", "true")]).await.assert_ok();
    mara.call("notice/tell-me", &[("on", "false")]).await.assert_ok();
    let hook = "https://hooks.example.com/s3cret-in-the-address";
    mara.call("notice/webhook", &[("url", hook), ("format", "Slack")]).await.assert_ok();
    mara.call("runtime/hide-notifications", &[("runtime", "acme.staging"), ("hide", "true")])
        .await
        .assert_ok();
    let entries = own(&mara).await;
    let expected = [
        "notices.changed done",
        "notices.changed done",
        "notices.changed done",
        "token.revoked done",
        "token.deleted done",
        "verdict.kept done",
        "token.renewed done",
        "session.begun done",
        "token.added done",
    ];
    assert_eq!(words(&entries), expected);
    assert_eq!((&entries[0]["detail"], &entries[0]["runtime"]), (&"hidden".into(), &"acme.staging".into()));
    assert_eq!(entries[1]["detail"], "webhook set");
    assert!(!serde_json::to_string(&entries).unwrap().contains("s3cret"));
    for one in [&entries[3], &entries[5], &entries[6]] {
        assert_eq!((&one["actor"], &one["account"]), (&"gitward".into(), &"acme".into()));
        assert_eq!((&one["runtime"], &one["object"]), (&"acme.renewed".into(), &entries[8]["object"]));
    }
    let seen = words(&of_account(&mara).await);
    assert!(
        seen.contains(&"token.revoked done".to_owned()) && seen.contains(&"token.renewed done".to_owned())
    );
}

#[tokio::test]
async fn a_token_that_was_handed_to_its_provider_to_be_revoked_is_written_down_as_that() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let token = site.forge.good_token().await;
    mara.paste("acme.staging", &token.token).await.assert_ok();
    mara.call("token/delete", &[("runtime", "acme.staging"), ("revoke", "true")]).await.assert_ok();
    let entries = own(&mara).await;
    assert_eq!(words(&entries)[..2], ["token.revoked done", "token.deleted done"]);
    assert_eq!(entries[0]["detail"], "handed over");
}

#[tokio::test]
async fn a_webhook_that_can_not_be_written_down_is_not_set() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let set = async || {
        let hook = "https://hooks.example.com/at";
        mara.call("notice/webhook", &[("url", hook), ("format", "Standard")]).await
    };
    let kept = async || -> i64 { ask(&site.database(), "SELECT count(*) FROM webhooks").await };
    change(&site.database(), FULL).await;
    assert_eq!(set().await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(kept().await, 0, "nor is its secret shown");
    change(&site.database(), "DROP TRIGGER full").await;
    set().await.assert_ok();
    assert_eq!(kept().await, 1);
}

#[tokio::test]
async fn a_grant_that_its_provider_refuses_to_renew_is_another_verdict() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let id = site.forge.tokens().await[0]["id"].as_u64().unwrap();
    site.forge.revoke(id).await;
    site.pass(std::time::Duration::from_secs(8 * 60 * 60)).await;
    sign_in(&mara, "mara", PASSWORD).await.assert_ok();
    mara.check("acme.renewed").await.assert_ok();
    let entries = own(&mara).await;
    assert_eq!(words(&entries), ["verdict.changed done", "session.begun done", "token.added done"]);
    assert!(entries[0]["detail"].as_str().unwrap().starts_with("invalid, "));
}

#[tokio::test]
async fn a_token_that_can_not_be_written_down_is_not_taken() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, new] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.staging", &old.token).await.assert_ok();
    let credential = async || -> String { ask(&site.database(), "SELECT id FROM credentials").await };
    let before = credential().await;
    change(&site.database(), FULL).await;
    assert_eq!(mara.paste("acme.staging", &new.token).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(credential().await, before, "the old one stays");
    change(&site.database(), "DROP TRIGGER full").await;
    mara.paste("acme.staging", &new.token).await.assert_ok();
    assert_ne!(credential().await, before);
}

#[tokio::test]
async fn a_token_for_several_runtimes_is_in_the_log_of_each() {
    let site = TestSite::start().await;
    let both = site.person("both").await;
    let token = site.forge.good_token().await;
    let form = [
        ("runtime", "acme.paste"),
        ("token", &token.token),
        ("also[]", "acme.staging"),
        ("also[]", "globex.paste"),
    ];
    both.call("token/add", &form).await.assert_ok();
    let mut runtimes: Vec<String> = own(&both)
        .await
        .iter()
        .map(|entry| format!("{} {} {}", entry["action"], entry["account"], entry["runtime"]))
        .collect();
    runtimes.sort();
    let added = |account: &str, runtime: &str| format!("\"token.added\" \"{account}\" \"{runtime}\"");
    assert_eq!(
        runtimes,
        [added("acme", "acme.paste"), added("acme", "acme.staging"), added("globex", "globex.paste")]
    );
}

#[tokio::test]
async fn a_token_of_another_account_is_written_down_when_it_comes_and_when_nobody_decides() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let (first, other) = (site.forge.good_token().await, site.forge.token_of("hubot").await);
    mara.paste("acme.staging", &first.token).await.assert_ok();
    change(&site.database(), FULL).await;
    assert_eq!(mara.paste("acme.staging", &other.token).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let kept = async || -> i64 { ask(&site.database(), "SELECT count(*) FROM credentials").await };
    assert_eq!(kept().await, 1, "what can't be written down is not kept aside either");
    change(&site.database(), "DROP TRIGGER full").await;
    assert_eq!(mara.paste("acme.staging", &other.token).await.error(), "Refused");
    assert_eq!(kept().await, 2);
    let entries = own(&mara).await;
    assert_eq!(words(&entries), ["token.proposed done", "token.added done"]);
    assert_eq!(entries[0]["detail"], "pasted, account hubot at forge");

    site.clock.advance(server::store::UNDECIDED);
    site.site.sweep().await;
    sign_in(&mara, "mara", PASSWORD).await.assert_ok();
    let entries = own(&mara).await;
    assert_eq!(words(&entries)[..2], ["session.begun done", "token.settled done"]);
    let settled = &entries[1];
    assert_eq!((&settled["actor"], &settled["runtime"]), (&"gitward".into(), &"acme.staging".into()));
    assert_eq!(settled["detail"], "dropped, for nobody had decided in time");
    assert_eq!(settled["object"], entries[2]["object"], "the one that was proposed");
    assert_eq!(kept().await, 1);
}

#[tokio::test]
async fn a_password_that_can_not_be_written_down_is_not_changed() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let link = site.site.people.reset_link("mara").await.unwrap();
    let stored = async || -> String { ask(&site.database(), "SELECT password FROM users").await };
    let before = stored().await;
    change(&site.database(), FULL).await;
    let new = "another staple entirely";
    let changed = mara.call("person/change-password", &[("current", PASSWORD), ("new", new)]).await;
    assert_eq!(changed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let stranger = site.anonymous();
    let redeem = async || {
        let form = [("secret", link.expose()), ("name", ""), ("password", new)];
        stranger.call("person/redeem-link", &form).await
    };
    assert_eq!(redeem().await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(stored().await, before);
    assert!(stranger.get("/tokens").await.location().starts_with("/sign-in"));
    mara.get("/tokens").await.assert_ok();

    change(&site.database(), "DROP TRIGGER full").await;
    redeem().await.assert_ok();
    assert_ne!(stored().await, before, "the link was still good");
    assert_eq!(words(&own(&stranger).await), ["session.begun done", "password.changed done"]);
    assert_eq!(redeem().await.error(), "LinkSpent");
    redeem().await.error();
    let spent: i64 = ask(
        &site.database(),
        "SELECT count(*) FROM audit WHERE action = 'password.changed' AND reason = 'link_spent'",
    )
    .await;
    assert_eq!(spent, 1, "once in a while");
}

#[tokio::test]
async fn who_tries_too_often_is_written_down_once_in_a_while() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let stranger = site.anonymous();
    let mut tries = 0;
    while sign_in(&stranger, "mara", "wrong").await.status != StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 1000);
    }
    for _ in 0..5 {
        assert_eq!(sign_in(&stranger, "mara", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }
    let entries = own(&mara).await;
    let of = |reason: &str| entries.iter().filter(|entry| entry["reason"] == reason).count();
    assert_eq!((of("wrong_name_or_password"), of("too_many_tries")), (tries, 1));
}

#[tokio::test]
async fn every_check_is_in_the_log_of_its_user_and_of_each_account() {
    let site = TestSite::start().await;
    let both = site.person("both").await;
    let mara = site.person("mara").await;
    let token = site.forge.good_token().await;
    let form = [
        ("runtime", "acme.paste"),
        ("token", &token.token),
        ("also[]", "acme.staging"),
        ("also[]", "globex.paste"),
    ];
    both.call("token/add", &form).await.assert_ok();
    both.check("acme.paste").await.assert_ok();
    let checks = |entries: Vec<Value>| -> Vec<Value> {
        entries.into_iter().filter(|entry| entry["action"] == "verdict.kept").collect()
    };
    let (user, account) = (checks(own(&both).await), checks(of_account(&mara).await));
    assert_eq!((user.len(), account.len()), (2, 1), "once for each account");
    assert_eq!((&account[0]["outcome"], &account[0]["account"]), (&"done".into(), &"acme".into()));
    site.forge.revoke(token.id).await;
    both.check("acme.paste").await.assert_ok();
    let account = checks(of_account(&mara).await);
    assert_eq!(account.len(), 2);
    assert_eq!((&account[0]["outcome"], &account[0]["reason"]), (&"refused".into(), &"token_refused".into()));
    let text = serde_json::to_string(&account).unwrap();
    assert!(!text.contains("globex") && !text.contains(&token.token), "{text}");
}

#[tokio::test]
async fn an_admin_reads_what_the_configuration_changed_in_the_account_and_in_no_other() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let details: Vec<String> =
        export(&mara, "/admin/accounts/acme/audit/export?format=jsonl&what=configuration")
            .await
            .iter()
            .map(|entry| entry["detail"].to_string())
            .collect();
    let all = details.join("\n");
    for own in ["account acme", "member acme/mara", "runtime acme.production"] {
        assert!(all.contains(own), "{own}: {all}");
    }
    assert!(!all.contains("globex") && !all.contains("provider"), "{all}");
}

#[tokio::test]
async fn a_key_that_a_rotation_ends_is_in_the_log_and_so_is_one_that_was_not_made() {
    let site = TestSite::start().await;
    let keys = &site.site.runtime_keys;
    let (operator, runtime) = (By::new(Actor::Operator), "acme.staging".into());
    let first = keys.create(&runtime, &operator).await.unwrap();
    keys.rotate(&runtime, None, &operator).await.unwrap();
    let third = keys.rotate(&runtime, None, &operator).await.unwrap();
    assert_eq!(third.revoked, [first.public_id.as_str()]);
    let ended: String = ask(
        &site.database(),
        "SELECT object || ' ' || account_id FROM audit WHERE action = 'runtime-key.revoked'",
    )
    .await;
    assert_eq!(ended, format!("{} acme", first.public_id));
    // Two at once: one is faster.
    let both = tokio::join!(keys.rotate(&runtime, None, &operator), keys.rotate(&runtime, None, &operator));
    let made = [both.0.is_ok(), both.1.is_ok()].into_iter().filter(|made| *made).count();
    let told: i64 = ask(
        &site.database(),
        "SELECT sum(CASE reason WHEN 'overtaken' THEN -1 ELSE 1 END) FROM audit WHERE action = 'runtime-key.rotated'",
    )
    .await;
    assert_eq!(usize::try_from(told).unwrap(), 2 + made);
}

#[tokio::test]
async fn old_records_go_once_a_day_where_the_operator_wants_that_and_the_rest_is_still_verified() {
    let forge = Forge::start().await;
    let config = usual(&forge) + "[audit]\nkeep_days = 2\n";
    let site = TestSite::start_with(forge, &config).await;
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let old = async || -> i64 { ask(&site.database(), "SELECT min(sequence) FROM audit").await };
    let pruned = async || -> i64 {
        ask(&site.database(), "SELECT count(*) FROM audit WHERE action = 'audit.pruned'").await
    };
    let mut begins = Vec::new();
    for _ in 0..5 {
        sign_in(&site.anonymous(), "nobody", "x").await.error();
        // As often as a process sweeps, and as several do.
        for _ in 0..3 {
            site.site.sweep().await;
        }
        begins.push(old().await);
        site.clock.advance(day);
    }
    assert_eq!(begins[..2], [1, 1], "nothing is older than two days");
    assert!(begins[3] > 1 && begins[4] > begins[3], "{begins:?}");
    assert!(pruned().await <= 3, "once a day");
    let verified = run(site.folder(), &["audit", "verify"]);
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success(), "{said}");
    assert!(said.contains(&format!("up to record {}, were removed as configured", begins[4] - 1)), "{said}");
    // All that is left, as a file.
    let file = site.folder().join("audit.jsonl");
    std::fs::write(&file, run(site.folder(), &["audit", "export"]).stdout).unwrap();
    let verified = run(site.folder(), &["audit", "verify", "--file", "audit.jsonl"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    // Somebody removes one more.
    change(&site.database(), "DELETE FROM audit WHERE sequence = (SELECT min(sequence) FROM audit)").await;
    let verified = run(site.folder(), &["audit", "verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("missing"));
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_year_makes_nothing_old_before_it_has_gone_on_for_a_day() {
    let forge = Forge::start().await;
    let config = usual(&forge) + "[audit]\nkeep_days = 30\n";
    let site = TestSite::start_with(forge, &config).await;
    let hour = std::time::Duration::from_secs(60 * 60);
    let first = async || -> i64 { ask(&site.database(), "SELECT min(sequence) FROM audit").await };
    let goes_on = async |hours: u32| {
        for _ in 0..hours {
            sign_in(&site.anonymous(), "nobody", "x").await.error();
            site.site.sweep().await;
            site.clock.advance(hour);
        }
    };
    goes_on(3).await;
    let right = site.clock.now();
    site.clock.advance(hour * 24 * 365);
    goes_on(23).await;
    assert_eq!(first().await, 1, "it may be wrong");
    site.clock.set(right);
    goes_on(30).await;
    assert_eq!(first().await, 1, "and it was");
    site.clock.advance(hour * 24 * 365);
    goes_on(60).await;
    assert!(first().await > 1, "it is a year later");
}

#[tokio::test]
async fn nothing_is_ever_removed_unless_somebody_says_so() {
    let site = TestSite::start().await;
    site.clock.advance(std::time::Duration::from_secs(100 * 365 * 24 * 60 * 60));
    sign_in(&site.anonymous(), "nobody", "x").await.error();
    site.site.sweep().await;
    let first: i64 = ask(&site.database(), "SELECT min(sequence) FROM audit").await;
    assert_eq!(first, 1);
}
