//! Signing in, staying, leaving.

use std::time::Duration;

use axum::http::StatusCode;
use server::secret::Secret;

use crate::site::{Browser, PASSWORD, TestSite};

const NEW: &str = "quite another sentence";

async fn is_in(browser: &Browser) -> bool {
    browser.call("person/visitor", &[]).await.status == StatusCode::OK
}

/// The same cookie somewhere else: what an attacker would have.
fn stolen(browser: &Browser) -> Browser {
    browser.copy()
}

#[tokio::test]
async fn each_sign_in_is_a_new_session_and_the_old_one_is_dead() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    site.person("jonas").await;
    for name in ["mara", "mara", "jonas"] {
        let old = stolen(&mara);
        mara.sign_in(name, PASSWORD).await.assert_ok();
        assert_ne!(old.cookie_header(), mara.cookie_header());
        assert!(!is_in(&old).await && is_in(&mara).await, "{name}");
    }
    // A session that somebody else put into the browser beforehand is not taken over.
    let planted = site.anonymous();
    planted.take_cookie("gitward=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let attacker = stolen(&planted);
    planted.sign_in("mara", PASSWORD).await.assert_ok();
    assert!(!is_in(&attacker).await);
}

#[tokio::test]
async fn a_sign_in_that_fails_ends_nothing() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let answer = mara.sign_in("mara", "a wrong sentence").await;
    assert_eq!((answer.status, answer.error()), (StatusCode::UNAUTHORIZED, "WrongNameOrPassword".into()));
    assert!(!answer.headers.contains_key("set-cookie"));
    assert!(is_in(&mara).await);
}

#[tokio::test]
async fn half_an_hour_without_use_ends_a_session() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    for _ in 0..3 {
        site.clock.advance(Duration::from_secs(29 * 60));
        assert!(is_in(&mara).await, "used in time");
    }
    site.clock.advance(Duration::from_secs(31 * 60));
    assert!(!is_in(&mara).await);
}

#[tokio::test]
async fn twelve_hours_end_a_session_however_much_it_is_used() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    for _ in 0..(12 * 60 / 20 - 1) {
        site.clock.advance(Duration::from_secs(20 * 60));
        assert!(is_in(&mara).await);
    }
    site.clock.advance(Duration::from_secs(20 * 60));
    assert!(!is_in(&mara).await);
}

#[tokio::test]
async fn signing_out_ends_the_session_on_the_server() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let other = site.anonymous();
    other.sign_in("mara", PASSWORD).await.assert_ok();
    let copy = stolen(&mara);
    let answer = mara.submit("/tokens", "/api/person/sign-out", &[]).await;
    assert_eq!(answer.location(), "/sign-in");
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!is_in(&mara).await && !is_in(&copy).await);
    assert!(is_in(&other).await, "in this browser alone");
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let other = site.anonymous();
    other.sign_in("mara", PASSWORD).await.assert_ok();
    let before = stolen(&mara);
    let wrong = mara.call("person/change-password", &[("current", "a wrong sentence"), ("new", NEW)]).await;
    assert_eq!(wrong.error(), "WrongPassword");
    assert!(is_in(&other).await, "nothing happened yet");
    mara.call("person/change-password", &[("current", PASSWORD), ("new", NEW)]).await.assert_ok();
    assert!(is_in(&mara).await);
    assert!(!is_in(&before).await && !is_in(&other).await);
    assert_eq!(other.sign_in("mara", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    other.sign_in("mara", NEW).await.assert_ok();
}

#[tokio::test]
async fn a_one_time_link_works_once_and_ends_whatever_session_the_browser_had() {
    let site = TestSite::start().await;
    site.person("mara").await;
    let jonas = site.person("jonas").await;
    let old = stolen(&jonas);
    let link = site.site.people.reset_link("mara").await.unwrap();
    let weak = [("secret", link.expose()), ("password", "password")];
    assert_eq!(jonas.call("person/redeem-link", &weak).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(is_in(&old).await);
    let good = [("secret", link.expose()), ("password", NEW)];
    jonas.call("person/redeem-link", &good).await.assert_ok();
    let visitor = jonas.call("person/visitor", &[]).await;
    assert_eq!(visitor.json()["name"], "mara");
    assert!(!is_in(&old).await, "Jonas's session does not live on unseen");
    let again = site.anonymous().call("person/redeem-link", &good).await;
    assert_eq!((again.status, again.error()), (StatusCode::GONE, "LinkSpent".into()));
}

#[tokio::test]
async fn the_first_link_makes_one_person_however_many_try() {
    let site = TestSite::start().await;
    let link = site.site.people.setup_link().await.unwrap().unwrap();
    let tries = (0..8).map(|number| {
        let browser = site.anonymous();
        let secret = Secret::new(link.expose());
        async move {
            let name = format!("person{number}");
            let form = [("secret", secret.expose()), ("name", &name), ("password", NEW)];
            browser.call("person/redeem-link", &form).await.status
        }
    });
    let mut all = tokio::task::JoinSet::new();
    for attempt in tries {
        all.spawn(attempt);
    }
    let statuses = all.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{statuses:?}");
    assert_eq!(site.dump().await.rows("users"), 1);
    assert!(site.site.people.setup_link().await.unwrap().is_none());
}

#[tokio::test]
async fn five_wrong_passwords_are_enough_for_a_while_however_the_name_is_spelt() {
    let site = TestSite::start().await;
    site.person("mara").await;
    let attacker = site.anonymous();
    for name in ["mara", "MARA", " mara ", "ｍａｒａ", "Mara"] {
        assert_eq!(attacker.sign_in(name, "a wrong sentence").await.error(), "WrongNameOrPassword", "{name}");
    }
    for (name, password) in [("mara", "a wrong sentence"), ("mArA", PASSWORD), ("mara", PASSWORD)] {
        let answer = attacker.sign_in(name, password).await;
        assert_eq!(
            (answer.status, answer.error()),
            (StatusCode::TOO_MANY_REQUESTS, "TooManyAttempts".into())
        );
    }
    // Where it claims to come from changes nothing: nobody trusts it.
    let mut elsewhere = site.anonymous();
    elsewhere.peer.set_port(1);
    let ask = elsewhere
        .ask(axum::http::Method::POST, "/api/person/sign-in")
        .header("x-forwarded-for", "203.0.113.7");
    let answer = ask.form(&[("name", "mara"), ("password", PASSWORD)]).send().await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    site.clock.advance(Duration::from_secs(15 * 60));
    attacker.sign_in("mara", PASSWORD).await.assert_ok();
}

#[tokio::test]
async fn a_hundred_guesses_at_once_count_as_a_hundred() {
    let site = TestSite::start().await;
    site.person("mara").await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let browser = site.anonymous();
        all.spawn(async move { browser.sign_in("mara", "a wrong sentence").await.status });
    }
    let statuses = all.join_all().await;
    let looked_at = statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    assert!(looked_at <= 5, "{looked_at} guesses were looked at");
}

#[tokio::test]
async fn after_signing_in_people_are_where_they_wanted_to_be_and_on_this_site() {
    let site = TestSite::start().await;
    site.person("mara").await;
    for (then, place) in [
        ("/tokens/acme.paste", "/tokens/acme.paste"),
        ("https://evil.example/", "/tokens"),
        ("//evil.example", "/tokens"),
        ("/\\evil.example", "/tokens"),
        ("", "/tokens"),
    ] {
        let browser = site.anonymous();
        let form = [("name", "mara"), ("password", PASSWORD), ("then", then)];
        let answer = browser.submit("/sign-in", "/api/person/sign-in", &form).await;
        assert_eq!(answer.location(), place, "{then}");
    }
    let stranger = site.anonymous().get("/tokens/acme.paste?a=b&c").await;
    assert_eq!(stranger.location(), "/sign-in?then=/tokens/acme.paste%3Fa%3Db%26c");
}
