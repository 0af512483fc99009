//! Whose runtimes are whose: nobody sees or changes another's rows, through any route.

use axum::http::StatusCode;
use serde_json::json;

use crate::{
    database::{Dump, ask, assert_same},
    site::{Browser, TestSite},
};

/// Whatever concerns a runtime, with another person's credential where one is named.
async fn try_everything(
    browser: &Browser,
    runtime: &str,
    credential: &str,
    token: &str,
) -> Vec<(String, StatusCode, String)> {
    let part = |part| [("part", part), ("id", runtime)];
    let fields: [(&str, &[(&str, &str)]); 9] = [
        ("part", &part("Runtime")),
        ("part", &part("DeleteDialog")),
        ("token/access", &[]),
        ("token/add", &[("token", token)]),
        ("token/reuse", &[("credential", credential)]),
        ("token/settle-account", &[("take", "true")]),
        ("token/delete", &[]),
        ("token/check", &[]),
        ("runtime/hide-notifications", &[("hide", "true")]),
    ];
    let mut answers = Vec::new();
    for (function, more) in fields {
        let form: Vec<_> = std::iter::once(("runtime", runtime)).chain(more.iter().copied()).collect();
        let answer = browser.call(function, &form).await;
        answers.push((function.to_owned(), answer.status, answer.text().to_owned()));
    }
    answers
}

#[tokio::test]
async fn another_accounts_runtime_is_like_one_that_does_not_exist() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let jonas = site.person("jonas").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    let credential: String = ask(&site.database(), "SELECT id FROM credentials").await;
    let before = site.dump().await;

    let of_mara = try_everything(&jonas, "acme.paste", &credential, &made.token).await;
    let of_nobody = try_everything(&jonas, "acme.nonsense", "nonsense", &made.token).await;
    assert_eq!(of_mara, of_nobody);
    for (function, status, body) in of_mara {
        assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, "\"NotFound\""), "{function}");
    }
    assert_same(&before, &site.dump().await, "Jonas");
    assert_eq!(mara.health("acme.paste").await, "Valid");
}

#[tokio::test]
async fn members_of_one_account_share_runtimes_but_no_tokens() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let both = site.person("both").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    mara.call("runtime/hide-notifications", &[("runtime", "acme.paste"), ("hide", "true")]).await.assert_ok();
    let credential: String = ask(&site.database(), "SELECT id FROM credentials").await;
    let before = site.dump().await;

    let seen = both.access("acme.paste").await;
    assert_eq!((&seen["row"]["token"], &seen["row"]["muted"]), (&json!(null), &json!(false)));
    assert_eq!(seen["reusable"], json!([]), "another person's token is no offer");
    for (function, fields) in [
        ("token/reuse", vec![("credential", credential.as_str())]),
        ("token/delete", vec![]),
        ("token/check", vec![]),
        ("token/settle-account", vec![("take", "true")]),
    ] {
        let form: Vec<_> = std::iter::once(("runtime", "acme.paste")).chain(fields).collect();
        let answer = both.call(function, &form).await;
        assert!(
            [StatusCode::NOT_FOUND, StatusCode::CONFLICT].contains(&answer.status),
            "{function}: {}",
            answer.status
        );
    }
    assert_same(&before, &site.dump().await, "another member");

    // The same token at the provider, given by two people, is two credentials here.
    both.paste("acme.paste", &made.token).await.assert_ok();
    assert_eq!(site.dump().await.rows("credentials"), 2);
    both.call("token/delete", &[("runtime", "acme.paste")]).await.assert_ok();
    assert_eq!(mara.health("acme.paste").await, "Valid");
    assert_eq!(mara.access("acme.paste").await["row"]["muted"], json!(true));
    // What it leaves is that member's own story.
    let after = site.dump().await;
    for event in &before.0["events"] {
        assert!(after.0["events"].contains(event), "{event}");
    }
    let own = |dump: Dump| dump.without("events").without("told");
    assert_same(&own(before), &own(after), "another member's token, come and gone,");
}

#[tokio::test]
async fn pages_name_nothing_of_other_people() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let jonas = site.person("jonas").await;
    let both = site.person("both").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    for (browser, others) in
        [(&jonas, &["acme", "Acme", "octocat"][..]), (&both, &["octocat"]), (&mara, &["globex", "Globex"])]
    {
        for page in [
            "/",
            "/tokens",
            "/tokens?q=octocat",
            "/tokens/globex.paste",
            "/tokens/acme.paste/delete",
            "/password",
        ] {
            let answer = browser.get(page).await;
            // What was asked for may be repeated in the address of the page, which is in the page.
            let own_words = page.trim_start_matches("/tokens");
            let text = answer.text().replace(own_words, "");
            for other in others.iter().filter(|other| !own_words.contains(**other)) {
                assert!(!text.contains(other), "{page} names {other}");
            }
        }
        let list = browser.call("token/table", &[]).await;
        for other in others {
            assert!(!list.text().contains(other), "the list names {other}");
        }
    }
}

#[tokio::test]
async fn further_runtimes_are_the_visitors_own() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    let form = [
        ("runtime", "acme.paste"),
        ("token", made.token.as_str()),
        ("also[0]", "globex.paste"),
        ("also[1]", "acme.staging"),
        ("also[2]", "acme.elsewhere"),
        ("also[3]", "nonsense"),
        ("also[4]", "acme.paste"),
    ];
    let answer = mara.call("token/add", &form).await;
    answer.assert_ok();
    assert_eq!(answer.json()["runtimes"], json!(["paste", "staging"]));
    assert_eq!(site.dump().await.rows("assignments"), 2);
    assert_eq!(mara.health("acme.elsewhere").await, "NoToken", "at another provider");
}

#[tokio::test]
async fn a_disabled_person_is_out_at_once_and_keeps_nothing_from_others() {
    let site = TestSite::start().await;
    let gone = site.person("gone").await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    gone.paste("acme.paste", &made.token).await.assert_ok();
    mara.paste("acme.paste", &made.token).await.assert_ok();
    site.site.people.disable("gone").await.unwrap();
    let before = site.dump().await;
    for (function, status, body) in try_everything(&gone, "acme.paste", "x", &made.token).await {
        assert_eq!((status, body.as_str()), (StatusCode::UNAUTHORIZED, "\"SignInNeeded\""), "{function}");
    }
    let answer = gone.sign_in("gone", crate::site::PASSWORD).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::UNAUTHORIZED, "WrongNameOrPassword".into()));
    assert_same(&before, &site.dump().await, "a disabled person");
    assert_eq!(mara.health("acme.paste").await, "Valid");
}
