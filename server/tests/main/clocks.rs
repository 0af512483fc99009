//! This machine's clock is wrong, or jumps; the provider's is right. No token is called over, refused or due for it.

use std::time::Duration;

use serde_json::json;
use server::clock::{Clock, Timestamp};

use crate::{
    database::ask,
    site::{Browser, PASSWORD, TestSite},
};

const RUNTIME: &str = "acme.paste";
const RENEWED: &str = "acme.renewed";
const REFRESH: &str = "POST /login/oauth/access_token";
const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where a clock goes.
fn jumps(now: Timestamp) -> [(&'static str, Timestamp); 6] {
    let ten_minutes = Duration::from_secs(10 * 60);
    [
        ("ten minutes ahead", now.plus(ten_minutes)),
        ("ten minutes behind", now.minus(ten_minutes)),
        ("an hour behind", now.minus(HOUR)),
        ("a year ahead", now.plus(YEAR)),
        ("a year behind", now.minus(YEAR)),
        ("1970", Timestamp::from_seconds(60)),
    ]
}

/// Only here: at the provider it is as late as before.
async fn jump(site: &TestSite, mara: &Browser, to: Timestamp) {
    site.clock.set(to);
    // Sessions end by this machine's clock.
    mara.sign_in("mara", PASSWORD).await.assert_ok();
}

#[tokio::test]
async fn a_clock_that_jumps_ends_no_token() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    // In a month; and one that ends while the test goes on.
    site.forge.change(made.id, json!({ "expires_at": "2026-12-22T12:00:00Z" })).await;
    mara.paste(RUNTIME, &made.token).await.assert_ok();
    let soon = site.forge.good_token().await;
    site.forge.change(soon.id, json!({ "expires_at": "2026-11-22T12:05:00Z" })).await;
    mara.paste("acme.staging", &soon.token).await.assert_ok();
    let noon = site.clock.now();
    for (what, to) in jumps(noon) {
        jump(&site, &mara, to).await;
        assert_eq!(mara.health(RUNTIME).await, "Valid", "{what}, as it was last known");
        assert_eq!(mara.health("acme.staging").await, "Expiring", "{what}, as it was last known");
        mara.check(RUNTIME).await.assert_ok();
        assert_eq!(mara.health(RUNTIME).await, "Valid", "{what}");
        // A new one with a known end is taken as well.
        let next = site.forge.good_token().await;
        site.forge.change(next.id, json!({ "expires_at": "2026-12-30T12:00:00Z" })).await;
        mara.paste("acme.production", &next.token).await.assert_ok();
        assert_eq!(mara.health("acme.production").await, "Valid", "{what}");
        for task in site.site.watch.round().await.unwrap() {
            task.await.unwrap();
        }
        assert_eq!(mara.health(RUNTIME).await, "Valid", "{what}");
    }
    // What is over there is over here, once both clocks say so.
    jump(&site, &mara, noon).await;
    site.minutes(6).await;
    assert_eq!(mara.health("acme.staging").await, "Expired");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_condemns_no_token_that_was_refused_once() {
    let site = TestSite::start().await;
    let (mara, both) = (site.person("mara").await, site.person("both").await);
    let made = site.forge.good_token().await;
    mara.paste(RUNTIME, &made.token).await.assert_ok();
    both.paste(RUNTIME, &site.forge.token_of("octocat").await.token).await.assert_ok();
    site.forge.revoke(made.id).await;
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Checking");
    both.check(RUNTIME).await.assert_ok();
    let noon = site.clock.now();
    for (what, to) in jumps(noon) {
        jump(&site, &mara, to).await;
        mara.check(RUNTIME).await.assert_ok();
        assert_eq!(mara.health(RUNTIME).await, "Checking", "{what}: it is the same minute");
    }
    // But what really lasts counts, also by a clock that is an hour ahead.
    jump(&site, &mara, noon.plus(HOUR)).await;
    site.minutes(11).await;
    both.sign_in("both", PASSWORD).await.assert_ok();
    both.check(RUNTIME).await.assert_ok();
    mara.check(RUNTIME).await.assert_ok();
    assert_eq!(mara.health(RUNTIME).await, "Revoked");
}

#[tokio::test]
async fn a_clock_that_jumps_renews_nothing_before_its_time_and_nothing_twice() {
    for (what, to) in jumps(TestSite::start().await.clock.now()) {
        let site = TestSite::start().await;
        let mara = site.person("mara").await;
        mara.authorize(&site.forge, RENEWED, "octocat").await;
        site.forge.forget_requests().await;
        jump(&site, &mara, to).await;
        for _ in 0..3 {
            mara.check(RENEWED).await.assert_ok();
        }
        assert_eq!(site.forge.asked(REFRESH).await, 0, "{what}: it is good for eight hours");
        // Eight hours later by any clock it is time, once.
        site.pass(HOUR * 8).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        for _ in 0..3 {
            mara.check(RENEWED).await.assert_ok();
        }
        assert_eq!(
            (site.forge.asked(REFRESH).await, mara.health(RENEWED).await.as_str()),
            (1, "Valid"),
            "{what}"
        );
        // And when the clock is right again, what was kept meanwhile is not a year too long or too short.
        jump(&site, &mara, Timestamp::from_seconds(1_795_348_800).plus(HOUR * 8)).await;
        mara.check(RENEWED).await.assert_ok();
        assert_eq!(site.forge.asked(REFRESH).await, 1, "{what}");
        site.pass(HOUR * 8).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        mara.check(RENEWED).await.assert_ok();
        assert_eq!(
            (site.forge.asked(REFRESH).await, mara.health(RENEWED).await.as_str()),
            (2, "Valid"),
            "{what}"
        );
        let generation: i64 = ask(&site.database(), "SELECT generation FROM credentials").await;
        assert_eq!(generation, 3, "{what}");
    }
}
