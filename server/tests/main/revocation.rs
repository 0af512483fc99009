//! Tokens that are deleted or replaced are revoked at the provider: when somebody wants it, and nothing else uses them.

use std::{path::Path, time::Duration};

use axum::http::Method;
use forge::Shape;
use serde_json::{Value, json};
use server::{clock::Clock, store::runtime::VersionAt};
use time::format_description::well_known::Rfc3339;

use crate::{
    database::{ask, change},
    forge::Forge,
    kinds::{Kind, Scene, bitbucket, kinds},
    machine::{Machine, REPORT},
    site::{Answer, Browser, PASSWORD, TestSite},
};

const END_GRANT: &str = "DELETE /applications/gitward-demo/grant";
const END_TOKEN: &str = "DELETE /applications/gitward-demo/token";
const GIVE_BACK: &str = "POST /credentials/revoke";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn delete(browser: &Browser, runtime: &str) -> Answer {
    browser.call("token/delete", &[("runtime", runtime), ("revoke", "true")]).await
}

/// Whether the host still takes a token.
async fn works(forge: &Forge, id: u64) -> bool {
    forge.tokens().await.iter().find(|token| token["id"] == id).unwrap()["works"].as_bool().unwrap()
}

/// How many tokens the host takes.
async fn working(forge: &Forge) -> usize {
    forge.tokens().await.iter().filter(|token| token["works"] == true).count()
}

/// A site at a host of GitLab's kind, whose tokens end themselves.
async fn gitlab() -> Scene {
    Scene::set(kinds().into_iter().find(|kind| kind.shape == Shape::Gitlab).unwrap()).await
}

/// What the page of a runtime says became of its last token.
async fn state(browser: &Browser, runtime: &str) -> Value {
    browser.access(runtime).await["revocations"][0]["state"].clone()
}

async fn says(browser: &Browser, place: &str, sentence: &str) {
    let page = browser.get(place).await;
    // What people read: without tags and comments.
    let read: String = page.text().split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect();
    assert!(read.contains(sentence), "{sentence:?} is not on {place}");
}

/// Time passes, Mara signs in again, and what is due is done.
async fn later(site: &TestSite, mara: &Browser, span: Duration) -> usize {
    site.pass(span).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    site.site.revoker.round().await.unwrap()
}

/// The provider neither ends grants nor takes tokens back.
async fn cannot_revoke(site: &TestSite) {
    for on in [
        json!({ "method": "DELETE", "path_prefix": "/applications" }),
        json!({ "method": "POST", "path_prefix": "/credentials" }),
    ] {
        site.forge.fault(json!({ "on": on, "fault": "status", "status": 503 })).await;
    }
}

#[tokio::test]
async fn a_grant_is_revoked_whole_at_the_provider_when_its_token_is_deleted() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    // An earlier token of the same agreement, which nobody here remembers.
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    assert_eq!(working(&site.forge).await, 2);
    assert_eq!(mara.access("acme.production").await["revoking"]["possible"], true);
    site.forge.forget_requests().await;
    delete(&mara, "acme.production").await.assert_ok();
    assert_eq!(site.forge.requests().await, [END_GRANT]);
    assert_eq!(working(&site.forge).await, 0);
    let details = mara.get("/tokens/acme.production").await;
    assert!(details.text().contains("Old token revoked at Forge"));
    assert_eq!(state(&mara, "acme.production").await, "Revoked");
    for place in ["/tokens", "/tokens/acme.production"] {
        says(&mara, place, "Revoked at Forge.").await;
    }
    // It was done, so nothing is done again, and after a while nobody is told any more.
    assert_eq!(later(&site, &mara, DAY).await, 0);
    assert_eq!(site.forge.asked(END_GRANT).await, 1);
    let page = mara.get("/tokens").await;
    assert!(!page.text().contains("Revoked at"));
}

#[tokio::test]
async fn without_a_wish_nobody_is_asked_and_the_token_lives_on() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    site.forge.forget_requests().await;
    for runtime in ["acme.paste", "acme.production"] {
        mara.call("token/delete", &[("runtime", runtime)]).await.assert_ok();
        assert_eq!(state(&mara, runtime).await, Value::Null);
    }
    assert_eq!(later(&site, &mara, DAY).await, 0);
    assert_eq!(site.forge.requests().await, [""; 0]);
    assert_eq!(working(&site.forge).await, 2);
    assert_eq!(site.dump().await.rows("revocations"), 0);
}

#[tokio::test]
async fn while_the_provider_is_down_a_revocation_waits_and_is_done_later() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    cannot_revoke(&site).await;
    delete(&mara, "acme.paste").await.assert_ok();
    assert_eq!(mara.health("acme.paste").await, "NoToken", "deleting works at once here");
    let until = site.clock.now().plus(DAY).calendar().unwrap().format(&Rfc3339).unwrap();
    assert_eq!(state(&mara, "acme.paste").await["Waiting"]["until"]["iso"], until.as_str());
    says(&mara, "/tokens", "Forge has not answered yet; Gitward will try again until").await;
    assert!(works(&site.forge, made.id).await);
    assert_eq!(site.forge.asked(GIVE_BACK).await, 1);

    assert_eq!(site.site.revoker.round().await.unwrap(), 0, "not before its time");
    // Ever more rarely.
    for tries in 2..=6 {
        assert_eq!(later(&site, &mara, Duration::from_secs(33 << (tries - 2))).await, 1, "{tries}");
        assert_eq!(site.forge.asked(GIVE_BACK).await, tries);
    }
    site.forge.heal().await;
    assert_eq!(later(&site, &mara, Duration::from_secs(60 * 60)).await, 1);
    assert!(!works(&site.forge, made.id).await);
    assert_eq!(state(&mara, "acme.paste").await, "HandedOver");
    assert_eq!(site.site.revoker.round().await.unwrap(), 0);
}

#[tokio::test]
async fn a_revocation_that_gets_no_answer_for_a_day_is_left_to_the_owner_and_its_secret_is_gone() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    let sealed: Vec<u8> = ask(&site.database(), "SELECT sealed FROM credentials").await;
    cannot_revoke(&site).await;
    delete(&mara, "acme.paste").await.assert_ok();
    assert!(kept(&site.database(), &sealed), "needed for the next try");
    for _ in 0..25 {
        later(&site, &mara, Duration::from_secs(66 * 60)).await;
    }
    assert_eq!(state(&mara, "acme.paste").await, "GivenUp");
    says(&mara, "/tokens/acme.paste", "Forge gave no clear answer for a day. Forgotten here; revoke it at")
        .await;
    assert!(!kept(&site.database(), &sealed));
    site.forge.heal().await;
    let asked = site.forge.asked(GIVE_BACK).await;
    assert_eq!(later(&site, &mara, DAY).await, 0);
    assert_eq!(site.forge.asked(GIVE_BACK).await, asked);
}

/// Whether these bytes are anywhere in the database or its log.
fn kept(database: &Path, needle: &[u8]) -> bool {
    let log = database.with_file_name(format!("{}-wal", database.file_name().unwrap().to_str().unwrap()));
    let has = |file: &Path| {
        std::fs::read(file).is_ok_and(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
    };
    has(database) || has(&log)
}

#[tokio::test]
async fn what_was_revoked_is_gone_from_the_disk() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    let sealed: Vec<u8> = ask(&site.database(), "SELECT sealed FROM credentials").await;
    assert!(kept(&site.database(), &sealed), "the test looks in the right place");
    delete(&mara, "acme.paste").await.assert_ok();
    assert_eq!(state(&mara, "acme.paste").await, "HandedOver");
    assert!(!kept(&site.database(), &sealed));
}

#[tokio::test]
async fn a_token_that_serves_another_runtime_is_not_revoked_and_the_page_names_it() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste_with("acme.paste", &made.token, &[("also[]", "acme.staging")]).await.assert_ok();
    let page = mara.get("/tokens/acme.paste/delete").await;
    assert!(page.text().contains("there it stays"), "{}", page.text());
    assert!(!page.text().contains("name=\"revoke\""), "there is nothing to choose");
    site.forge.forget_requests().await;
    // Somebody's page was older than that.
    delete(&mara, "acme.paste").await.assert_ok();
    assert_eq!(state(&mara, "acme.paste").await["InUse"]["by"], json!(["staging"]));
    says(&mara, "/tokens", "Not revoked at Forge: staging still uses it.").await;
    assert_eq!(site.forge.requests().await, [""; 0]);
    assert!(works(&site.forge, made.id).await);
    assert_eq!(mara.health("acme.staging").await, "Valid");

    delete(&mara, "acme.staging").await.assert_ok();
    assert_eq!(site.forge.requests().await, [GIVE_BACK]);
    assert!(!works(&site.forge, made.id).await);
    assert_eq!(state(&mara, "acme.staging").await, "HandedOver");
}

#[tokio::test]
async fn a_replaced_token_is_revoked_once_the_new_one_is_in_use_and_not_before() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, fresh, weak] = [
        site.forge.good_token().await,
        site.forge.good_token().await,
        site.forge.make(json!({ "user": "octocat", "kind": "classic", "scopes": ["gist"] })).await,
    ];
    mara.paste_with("acme.paste", &old.token, &[("also[]", "acme.staging")]).await.assert_ok();
    site.forge.forget_requests().await;
    let refused = mara.paste_with("acme.paste", &weak.token, &[("revoke", "true")]).await;
    assert_eq!(refused.error(), "Refused");
    assert!(works(&site.forge, old.id).await && site.forge.asked(GIVE_BACK).await == 0);

    // Another runtime still uses the old one …
    mara.paste_with("acme.paste", &fresh.token, &[("revoke", "true")]).await.assert_ok();
    assert!(works(&site.forge, old.id).await && site.forge.asked(GIVE_BACK).await == 0);
    assert_eq!(state(&mara, "acme.paste").await["InUse"]["by"], json!(["staging"]));
    // … until it is replaced there as well.
    mara.paste_with("acme.staging", &fresh.token, &[("revoke", "true")]).await.assert_ok();
    assert!(!works(&site.forge, old.id).await);
    assert!(works(&site.forge, fresh.id).await && works(&site.forge, weak.id).await);
    assert_eq!(state(&mara, "acme.staging").await, "HandedOver");
    assert_eq!(site.forge.asked(GIVE_BACK).await, 1);
}

#[tokio::test]
async fn a_replaced_token_that_a_runtime_holds_is_revoked_when_it_uses_the_new_one() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, fresh] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &old.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.paste").await;
    let before = machine.version("mara").await;
    mara.paste_with("acme.paste", &fresh.token, &[("revoke", "true")]).await.assert_ok();
    assert_eq!(state(&mara, "acme.paste").await["Held"]["by"], json!(["paste"]));
    says(&mara, "/tokens", "still holds it.").await;
    let used = async |version: &str| {
        let report = json!({ "user": "mara", "version": version, "outcome": "used" });
        machine.post(REPORT, &report).await.assert_ok();
        site.site.revoker.round().await.unwrap();
    };
    // Fetching it is not using it, and what it uses is still the old one.
    let after = machine.version("mara").await;
    assert_ne!(after, before);
    used(&before).await;
    assert!(works(&site.forge, old.id).await);
    used(&after).await;
    assert!(!works(&site.forge, old.id).await && works(&site.forge, fresh.id).await);
    assert_eq!(state(&mara, "acme.paste").await, "HandedOver");
}

#[tokio::test]
async fn a_token_that_is_fetched_while_it_is_replaced_is_not_revoked_under_the_runtimes_hands() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, fresh] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &old.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.paste").await;
    machine.fetch("mara").await.assert_ok();
    site.site.holdings.write().await.unwrap();
    // As if that fetch came later: when it is written down that the token is replaced.
    let database = site.database();
    change(&database, "CREATE TABLE later AS SELECT * FROM holdings").await;
    change(&database, "DELETE FROM holdings").await;
    change(
        &database,
        "CREATE TRIGGER meanwhile AFTER INSERT ON audit WHEN NEW.action = 'token.replaced' \
         BEGIN INSERT INTO holdings SELECT * FROM later; END",
    )
    .await;
    mara.paste_with("acme.paste", &fresh.token, &[("revoke", "true")]).await.assert_ok();
    assert!(works(&site.forge, old.id).await);
    assert_eq!(state(&mara, "acme.paste").await["Held"]["by"], json!(["paste"]));
    let after = machine.version("mara").await;
    let report = json!({ "user": "mara", "version": after, "outcome": "used" });
    machine.post(REPORT, &report).await.assert_ok();
    site.site.revoker.round().await.unwrap();
    assert!(!works(&site.forge, old.id).await);
}

#[tokio::test]
async fn a_token_that_is_on_its_way_to_a_runtime_while_it_is_replaced_is_waited_for() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, fresh] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &old.token).await.assert_ok();
    let version = Machine::of(&site, "acme.paste").await.version("mara").await;
    site.site.holdings.write().await.unwrap();
    change(&site.database(), "DELETE FROM holdings").await;
    let name = server::person::Name::parse("mara").unwrap();
    let user = site.site.store.user_by_name(&name).await.unwrap().unwrap().id;
    let (runtime, at) = ("acme.paste".into(), site.clock.now());
    let on_its_way = VersionAt { user: user.clone(), runtime, version, at };
    let leaving = site.site.holdings.leaving(on_its_way);
    mara.paste_with("acme.paste", &fresh.token, &[("revoke", "true")]).await.assert_ok();
    assert!(works(&site.forge, old.id).await);
    assert_eq!(state(&mara, "acme.paste").await["Held"]["by"], json!(["paste"]));
    assert!(site.site.holdings.of(&user).await.unwrap().is_empty(), "it has not been fetched yet");
    drop(leaving);
    assert!(site.site.holdings.of(&user).await.unwrap().is_empty(), "and never was");
}

#[tokio::test]
async fn a_replaced_token_that_a_runtime_never_lets_go_is_revoked_after_an_hour() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, fresh] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &old.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.paste").await;
    machine.fetch("mara").await.assert_ok();
    mara.paste_with("acme.paste", &fresh.token, &[("revoke", "true")]).await.assert_ok();
    assert_eq!(later(&site, &mara, Duration::from_secs(59 * 60)).await, 0);
    assert!(works(&site.forge, old.id).await);
    assert_eq!(later(&site, &mara, Duration::from_secs(61)).await, 1);
    assert!(!works(&site.forge, old.id).await && works(&site.forge, fresh.id).await);
}

#[tokio::test]
async fn a_token_that_is_deleted_waits_for_no_runtime() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    Machine::of(&site, "acme.paste").await.fetch("mara").await.assert_ok();
    delete(&mara, "acme.paste").await.assert_ok();
    assert!(!works(&site.forge, made.id).await);
    assert_eq!(state(&mara, "acme.paste").await, "HandedOver");
}

#[tokio::test]
async fn a_token_is_replaced_in_all_its_places_at_once_and_then_revoked() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [old, fresh] = [site.forge.good_token().await, site.forge.good_token().await];
    let both = [("also[]", "acme.staging"), ("revoke", "true")];
    mara.paste_with("acme.paste", &old.token, &both).await.assert_ok();
    assert_eq!(site.forge.asked(GIVE_BACK).await, 0, "there was no old one");
    mara.paste_with("acme.paste", &fresh.token, &both).await.assert_ok();
    assert!(!works(&site.forge, old.id).await && works(&site.forge, fresh.id).await);
    assert_eq!(state(&mara, "acme.paste").await, "HandedOver");
}

#[tokio::test]
async fn a_pasted_token_is_revoked_when_an_authorization_takes_its_place() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let old = site.forge.good_token().await;
    mara.paste("acme.staging", &old.token).await.assert_ok();
    let start = async |revoke: &[(&str, &str)]| {
        let page = mara.submit("/tokens/acme.staging", "/connect/acme.staging", revoke).await;
        crate::site::forwarded(&page)
    };
    // Who says no at the provider keeps the old one, whole.
    let there = start(&[("revoke", "true")]).await;
    let back = site.forge.cancel("octocat", &there).await;
    mara.come_back(&back).await;
    assert!(works(&site.forge, old.id).await);

    let there = start(&[("revoke", "true")]).await;
    let back = site.forge.agree("octocat", &there).await;
    mara.come_back(&back).await;
    assert_eq!(mara.health("acme.staging").await, "Valid");
    assert!(!works(&site.forge, old.id).await);
    assert_eq!(state(&mara, "acme.staging").await, "HandedOver");
    assert_eq!(working(&site.forge).await, 1, "the new one");
}

#[tokio::test]
async fn authorizing_anew_keeps_the_new_grant_alive_while_the_old_one_waits_to_be_revoked() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    cannot_revoke(&site).await;
    delete(&mara, "acme.production").await.assert_ok();
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    assert_eq!(mara.health("acme.production").await, "Valid");
    site.forge.heal().await;
    assert_eq!(later(&site, &mara, Duration::from_secs(60)).await, 1);
    assert_eq!((site.forge.asked(END_GRANT).await, site.forge.asked(END_TOKEN).await), (1, 1));
    assert_eq!(working(&site.forge).await, 1);
    mara.check("acme.production").await.assert_ok();
    assert_eq!(mara.health("acme.production").await, "Valid");
}

#[tokio::test]
async fn a_grant_that_another_person_here_uses_at_the_same_account_is_not_taken_from_them() {
    let site = TestSite::start().await;
    let (mara, both) = (site.person("mara").await, site.person("both").await);
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    both.authorize(&site.forge, "acme.production", "octocat").await;
    delete(&mara, "acme.production").await.assert_ok();
    assert_eq!((site.forge.asked(END_GRANT).await, site.forge.asked(END_TOKEN).await), (0, 1));
    assert_eq!(working(&site.forge).await, 1);
    both.check("acme.production").await.assert_ok();
    assert_eq!(both.health("acme.production").await, "Valid");
    assert_eq!(both.access("acme.production").await["revocations"], json!([]), "nobody else's business");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_meets_a_delete_resurrects_nothing_and_is_revoked_as_well() {
    const RUNTIME: &str = "acme.renewed";
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, RUNTIME, "octocat").await;
    site.pass(Duration::from_secs(8 * 60 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    site.forge.fault(json!({ "on": "token", "fault": "delay", "delay_ms": 1500 })).await;
    let other = mara.copy();
    let checking = tokio::spawn(async move { other.check(RUNTIME).await.status });
    let struck = async || site.forge.control(Method::GET, "faults", Value::Null).await[0]["struck"].clone();
    while struck().await != 1 {
        tokio::task::yield_now().await;
    }
    delete(&mara, RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "NoToken");
    checking.await.unwrap();
    assert_eq!(mara.health(RUNTIME).await, "NoToken");
    assert_eq!(site.dump().await.rows("credentials"), 0);
    // Whoever deletes waits for the new pair, but not for ever.
    site.site.revoker.round().await.unwrap();
    assert_eq!(site.forge.asked("DELETE /applications/Iv1.gitwarddemo/grant").await, 1);
    assert_eq!(working(&site.forge).await, 0, "neither the old pair nor the new one");
    assert_eq!(state(&mara, RUNTIME).await, "Revoked");
}

#[tokio::test]
async fn a_host_that_wants_to_be_left_alone_is() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [one, other] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &one.token).await.assert_ok();
    mara.paste("acme.staging", &other.token).await.assert_ok();
    let limit = json!({ "on": "user", "fault": "rate_limit", "retry_after_seconds": 600, "times": 1 });
    site.forge.fault(limit).await;
    mara.check("acme.staging").await.assert_ok();
    assert_eq!(mara.health("acme.staging").await, "RateLimited");
    delete(&mara, "acme.paste").await.assert_ok();
    assert_eq!(site.forge.asked(GIVE_BACK).await, 0);
    assert!(state(&mara, "acme.paste").await["Waiting"].is_object());
    later(&site, &mara, Duration::from_secs(5)).await;
    assert_eq!(site.forge.asked(GIVE_BACK).await, 0);
}

/// A kind of host, how a token of it ends there, and how a grant.
fn ways(kind: &Kind) -> (Option<&'static str>, Option<&'static str>) {
    match kind.word {
        "gitlab" => (Some("DELETE /api/v4/personal_access_tokens/self"), Some("POST /oauth/revoke")),
        "gitea" => (Some("DELETE /api/v1/token"), None),
        _ => (None, None),
    }
}

#[tokio::test]
async fn every_kind_of_host_revokes_what_it_can_and_of_the_rest_the_page_says_where_to_do_it() {
    for kind in kinds().into_iter().chain([bitbucket()]) {
        let (word, more, ways) = (kind.word, kind.more, ways(&kind));
        let scene = Scene::set(kind).await;
        let (site, mara) = (&scene.site, &scene.mara);
        if word == "gitea" {
            site.forge.set(json!({ "token_api": true })).await;
        }
        let made = scene.good_token().await;
        mara.paste_with("acme.paste", &made.token, more).await.assert_ok();
        mara.authorize(&site.forge, "acme.further", "octocat").await;
        for (runtime, way) in [("acme.paste", ways.0), ("acme.further", ways.1)] {
            assert_eq!(mara.health(runtime).await, "Valid", "{word} {runtime}");
            let before = working(&site.forge).await;
            assert_eq!(mara.access(runtime).await["revoking"]["possible"], way.is_some(), "{word} {runtime}");
            let page = mara.get(&format!("/tokens/{runtime}/delete")).await;
            assert_eq!(page.text().contains("name=\"revoke\""), way.is_some(), "{word} {runtime}");
            assert_eq!(page.text().contains("Gitward can't do that for you."), way.is_none());
            site.forge.forget_requests().await;
            delete(mara, runtime).await.assert_ok();
            let after = working(&site.forge).await;
            match way {
                Some(way) => {
                    assert_eq!(site.forge.requests().await, [way], "{word}");
                    assert_eq!(before - after, 1, "{word} {runtime}");
                    assert_eq!(state(mara, runtime).await, "Revoked", "{word} {runtime}");
                }
                None => {
                    assert_eq!(site.forge.requests().await, [""; 0], "{word}");
                    assert_eq!(before, after, "{word} {runtime}");
                    assert_eq!(state(mara, runtime).await, "ByHand", "{word} {runtime}");
                    says(mara, "/tokens", "Forgotten here; revoke it at").await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_version_of_gitea_that_has_no_way_is_found_out_and_said() {
    let kind = kinds().into_iter().find(|kind| kind.is("gitea")).unwrap();
    let scene = Scene::set(kind).await;
    let made = scene.good_token().await;
    scene.mara.paste("acme.paste", &made.token).await.assert_ok();
    scene.mara.authorize(&scene.site.forge, "acme.further", "octocat").await;
    delete(&scene.mara, "acme.paste").await.assert_ok();
    assert_eq!(state(&scene.mara, "acme.paste").await, "ByHand");
    assert!(works(&scene.site.forge, made.id).await);
}

#[tokio::test]
async fn a_host_that_refuses_everybody_for_a_bad_hour_has_revoked_nothing() {
    let scene = gitlab().await;
    let (site, mara) = (&scene.site, &scene.mara);
    let made = scene.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    // For an hour it takes nobody's token.
    site.forge.change(made.id, json!({ "revoked": true })).await;
    delete(mara, "acme.paste").await.assert_ok();
    assert_eq!(state(mara, "acme.paste").await, "Doubted");
    assert_eq!(later(site, mara, Duration::from_secs(11 * 60)).await, 1);
    assert_eq!(state(mara, "acme.paste").await, "Doubted", "no other token passed since");
    site.forge.change(made.id, json!({ "revoked": false })).await;
    assert_eq!(later(site, mara, Duration::from_secs(41 * 60)).await, 1);
    assert!(!works(&site.forge, made.id).await);
    assert_eq!(state(mara, "acme.paste").await, "Revoked");
}

#[tokio::test]
async fn that_the_provider_does_not_know_a_token_is_believed_when_another_passed_since() {
    let scene = gitlab().await;
    let (site, mara) = (&scene.site, &scene.mara);
    let [made, other] = [scene.good_token().await, scene.good_token().await];
    mara.paste("acme.paste", &made.token).await.assert_ok();
    mara.paste("acme.further", &other.token).await.assert_ok();
    site.forge.revoke(made.id).await;
    delete(mara, "acme.paste").await.assert_ok();
    assert_eq!(state(mara, "acme.paste").await, "Doubted");
    says(mara, "/tokens", "GitLab says that it does not know this token.").await;
    site.pass(Duration::from_secs(60)).await;
    mara.check("acme.further").await.assert_ok();
    assert_eq!(later(site, mara, Duration::from_secs(8 * 60)).await, 0);
    assert_eq!(later(site, mara, Duration::from_secs(61)).await, 1);
    assert_eq!(state(mara, "acme.paste").await, "Revoked");
    assert!(works(&site.forge, other.id).await);
}

#[tokio::test]
async fn that_the_provider_does_not_know_the_only_token_is_believed_after_an_hour_and_a_half() {
    let scene = gitlab().await;
    let (site, mara) = (&scene.site, &scene.mara);
    let made = scene.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    site.forge.revoke(made.id).await;
    delete(mara, "acme.paste").await.assert_ok();
    for minutes in [10, 40] {
        assert_eq!(later(site, mara, Duration::from_secs(minutes * 60)).await, 1);
        assert_eq!(state(mara, "acme.paste").await, "Doubted");
    }
    assert_eq!(later(site, mara, Duration::from_secs(40 * 60)).await, 1);
    assert_eq!(state(mara, "acme.paste").await, "Revoked");
    assert_eq!(later(site, mara, DAY).await, 0);
}

#[tokio::test]
async fn replacing_a_token_with_itself_revokes_nothing() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    site.forge.forget_requests().await;
    mara.paste_with("acme.paste", &made.token, &[("revoke", "true")]).await.assert_ok();
    assert_eq!(site.forge.asked(GIVE_BACK).await, 0);
    assert!(works(&site.forge, made.id).await);
    assert_eq!(state(&mara, "acme.paste").await, Value::Null, "there is no old token to speak of");
    assert_eq!(later(&site, &mara, DAY).await, 0);
    mara.check("acme.paste").await.assert_ok();
    assert_eq!(mara.health("acme.paste").await, "Valid");
}

#[tokio::test]
async fn a_token_that_was_pasted_twice_is_not_revoked_while_either_is_in_use() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [made, another] = [site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &made.token).await.assert_ok();
    mara.paste("acme.staging", &made.token).await.assert_ok();
    mara.paste("acme.hooks", &another.token).await.assert_ok();
    let page = mara.get("/tokens/acme.paste/delete").await;
    assert!(page.text().contains("there it stays") && page.text().contains("<b>staging</b>"));
    assert!(!page.text().contains("name=\"revoke\""), "there is nothing to choose");
    site.forge.forget_requests().await;
    delete(&mara, "acme.paste").await.assert_ok();
    assert_eq!(state(&mara, "acme.paste").await["InUse"]["by"], json!(["staging"]));
    says(&mara, "/tokens", "Not revoked at Forge: staging still uses it.").await;
    assert_eq!(site.forge.requests().await, [""; 0]);
    assert!(works(&site.forge, made.id).await);

    delete(&mara, "acme.staging").await.assert_ok();
    assert_eq!(site.forge.requests().await, [GIVE_BACK]);
    assert!(!works(&site.forge, made.id).await && works(&site.forge, another.id).await);
}

#[tokio::test]
async fn a_token_that_another_person_pasted_as_well_is_not_taken_from_them() {
    let site = TestSite::start().await;
    let (mara, both) = (site.person("mara").await, site.person("both").await);
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    both.paste("globex.paste", &made.token).await.assert_ok();
    site.forge.forget_requests().await;
    delete(&mara, "acme.paste").await.assert_ok();
    assert_eq!(state(&mara, "acme.paste").await["InUse"]["by"], json!([]));
    says(&mara, "/tokens", "Not revoked at Forge: another runtime was using the same token.").await;
    let page = mara.get("/tokens").await;
    assert!(!page.text().contains("Globex") && !page.text().contains("both"), "nobody is named");
    assert_eq!(site.forge.requests().await, [""; 0]);
    both.check("globex.paste").await.assert_ok();
    assert_eq!(both.health("globex.paste").await, "Valid");
}

#[tokio::test]
async fn a_token_that_waits_to_be_revoked_and_is_pasted_again_lives_on() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    cannot_revoke(&site).await;
    delete(&mara, "acme.paste").await.assert_ok();
    mara.paste("acme.paste", &made.token).await.assert_ok();
    site.forge.heal().await;
    assert_eq!(later(&site, &mara, Duration::from_secs(60)).await, 1);
    assert_eq!(site.forge.asked(GIVE_BACK).await, 1, "the one in vain");
    assert_eq!(state(&mara, "acme.paste").await["InUse"]["by"], json!(["paste"]));
    assert_eq!(later(&site, &mara, DAY).await, 0);
    mara.check("acme.paste").await.assert_ok();
    assert_eq!(mara.health("acme.paste").await, "Valid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authorization_that_is_being_finished_does_not_end_with_the_old_grant() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    cannot_revoke(&site).await;
    delete(&mara, "acme.production").await.assert_ok();
    site.forge.heal().await;
    let there = mara.connect("acme.production").await;
    let back = site.forge.agree("octocat", &there).await;
    // The code is exchanged, and who it is takes a while to say.
    site.forge.fault(json!({ "on": "user", "fault": "delay", "delay_ms": 1500, "times": 1 })).await;
    let other = mara.copy();
    let finishing = tokio::spawn(async move { other.come_back(&back).await.status });
    let struck = async || site.forge.control(Method::GET, "faults", Value::Null).await[0]["struck"].clone();
    while struck().await != 1 {
        tokio::task::yield_now().await;
    }
    site.pass(Duration::from_secs(60)).await;
    assert_eq!(site.site.revoker.round().await.unwrap(), 1);
    finishing.await.unwrap();
    assert_eq!((site.forge.asked(END_GRANT).await, site.forge.asked(END_TOKEN).await), (1, 1));
    assert_eq!(working(&site.forge).await, 1, "the new one");
    mara.check("acme.production").await.assert_ok();
    assert_eq!(mara.health("acme.production").await, "Valid");
    // It is finished, so the next one ends whole.
    delete(&mara, "acme.production").await.assert_ok();
    assert_eq!(site.forge.asked(END_GRANT).await, 2);
}

#[tokio::test]
async fn a_grant_of_the_same_app_under_another_name_does_not_end_with_it() {
    let forge = Forge::start().await;
    let config = crate::site::usual(&forge);
    let config = config.replace(&format!("http://localhost:{}", forge.port), &forge.url);
    let site = TestSite::start_with(forge, &config).await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.production", "octocat").await;
    mara.authorize(&site.forge, "acme.elsewhere", "octocat").await;
    assert_eq!(mara.health("acme.elsewhere").await, "Valid");
    delete(&mara, "acme.production").await.assert_ok();
    assert_eq!((site.forge.asked(END_GRANT).await, site.forge.asked(END_TOKEN).await), (0, 1));
    mara.check("acme.elsewhere").await.assert_ok();
    assert_eq!(mara.health("acme.elsewhere").await, "Valid");
}

#[tokio::test]
async fn a_host_that_limits_a_revocation_is_left_alone_by_everybody() {
    let scene = gitlab().await;
    let (site, mara) = (&scene.site, &scene.mara);
    let [one, two, three] = [scene.good_token().await, scene.good_token().await, scene.good_token().await];
    mara.paste("acme.paste", &one.token).await.assert_ok();
    mara.paste("acme.further", &two.token).await.assert_ok();
    mara.paste("acme.infra", &three.token).await.assert_ok();
    let limit = json!({
        "on": { "method": "DELETE", "path_prefix": "/" }, "fault": "rate_limit", "retry_after_seconds": 600,
    });
    site.forge.fault(limit).await;
    site.forge.forget_requests().await;
    delete(mara, "acme.paste").await.assert_ok();
    assert_eq!(site.forge.requests().await.len(), 1);
    delete(mara, "acme.further").await.assert_ok();
    mara.check("acme.infra").await.assert_ok();
    assert_eq!(mara.health("acme.infra").await, "RateLimited");
    assert_eq!(site.forge.requests().await.len(), 1, "nobody else asked");
}

#[tokio::test]
async fn a_limit_that_is_over_holds_up_nothing_though_there_is_no_other_token_to_ask_with() {
    let scene = gitlab().await;
    let (site, mara) = (&scene.site, &scene.mara);
    let runtimes = ["acme.paste", "acme.further", "acme.infra"];
    for runtime in runtimes {
        let made = scene.good_token().await;
        mara.paste(runtime, &made.token).await.assert_ok();
    }
    let limit = json!({ "on": { "method": "DELETE", "path_prefix": "/" }, "fault": "rate_limit" });
    site.forge.fault(limit).await;
    for runtime in runtimes {
        site.pass(Duration::from_secs(60 * 60 + 60)).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        delete(mara, runtime).await.assert_ok();
        assert!(state(mara, runtime).await["Waiting"].is_object());
    }
    assert_eq!(working(&site.forge).await, 3);
    site.forge.heal().await;
    later(site, mara, Duration::from_secs(2 * 60 * 60)).await;
    for _ in 0..10 {
        later(site, mara, Duration::from_secs(60)).await;
    }
    assert_eq!(working(&site.forge).await, 0);
    for runtime in runtimes {
        assert_eq!(state(mara, runtime).await, "Revoked");
    }
}

#[tokio::test]
async fn a_limit_on_handing_tokens_back_holds_up_further_ones_and_no_checks() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let [one, two, three] =
        [site.forge.good_token().await, site.forge.good_token().await, site.forge.good_token().await];
    mara.paste("acme.paste", &one.token).await.assert_ok();
    mara.paste("acme.staging", &two.token).await.assert_ok();
    mara.paste("acme.hooks", &three.token).await.assert_ok();
    let limit = json!({
        "on": { "method": "POST", "path_prefix": "/credentials" }, "fault": "rate_limit", "retry_after_seconds": 600,
        "times": 1,
    });
    site.forge.fault(limit).await;
    delete(&mara, "acme.paste").await.assert_ok();
    delete(&mara, "acme.staging").await.assert_ok();
    assert_eq!(site.forge.asked(GIVE_BACK).await, 1);
    mara.check("acme.hooks").await.assert_ok();
    assert_eq!(mara.health("acme.hooks").await, "Valid");
    assert_eq!(later(&site, &mara, Duration::from_secs(601)).await, 2);
    assert!(!works(&site.forge, one.id).await && !works(&site.forge, two.id).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_deletes_hears_what_came_of_it_also_where_the_background_was_faster() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let background = {
        let revoker = std::sync::Arc::clone(&site.site.revoker);
        tokio::spawn(async move {
            loop {
                revoker.round().await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    for _ in 0..10 {
        let made = site.forge.good_token().await;
        mara.paste("acme.paste", &made.token).await.assert_ok();
        delete(&mara, "acme.paste").await.assert_ok();
        assert_eq!(state(&mara, "acme.paste").await, "HandedOver");
        assert!(!works(&site.forge, made.id).await);
    }
    background.abort();
    assert_eq!(site.forge.asked(GIVE_BACK).await, 10, "each once");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    cannot_revoke(&site).await;
    delete(&mara, "acme.paste").await.assert_ok();
    drop(mara);
    let config = crate::site::usual(&site.forge);
    let site = site.restart(&config).await;
    site.forge.heal().await;
    site.minutes(1).await;
    assert_eq!(site.site.revoker.round().await.unwrap(), 1);
    assert!(!works(&site.forge, made.id).await);
}
