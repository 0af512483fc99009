//! Everybody against everything: what a principal may see of each object, and that no token leaves but by its one door.

use axum::http::{Method, StatusCode};
use serde_json::json;
use server::audit::{Actor, By};

use crate::{
    machine::{CHANGES, CREDENTIAL, Machine, REPORT, USERS},
    site::{Answer, TestSite},
};

/// What may be asked for: a page of its owner, or of an admin, and who may see it.
const PAGES: [(&str, &[&str]); 14] = [
    ("/tokens/acme.paste", &["mara", "both"]),
    ("/tokens/acme.paste/delete", &["mara", "both"]),
    ("/tokens/globex.paste", &["both", "jonas"]),
    ("/tokens/globex.paste/delete", &["both", "jonas"]),
    ("/tokens", &["mara", "both", "jonas"]),
    ("/notifications", &["mara", "both", "jonas"]),
    ("/notifications/settings", &["mara", "both", "jonas"]),
    ("/audit", &["mara", "both", "jonas"]),
    ("/audit/export?format=jsonl", &["mara", "both", "jonas"]),
    ("/audit/export?format=csv", &["mara", "both", "jonas"]),
    ("/admin/runtimes/acme.paste", &["mara"]),
    ("/admin/runtimes/globex.paste", &[]),
    ("/admin/accounts/acme/audit/export?format=jsonl", &["mara"]),
    ("/admin/accounts/globex/audit/export?format=csv", &[]),
];

/// Whose token serves which runtime.
const GIVEN: [(&str, &str); 4] =
    [("mara", "acme.paste"), ("both", "acme.paste"), ("both", "globex.paste"), ("jonas", "globex.paste")];

#[tokio::test]
async fn nobody_sees_what_is_not_theirs_and_no_token_leaves_but_by_its_door() {
    let site = TestSite::start().await;
    let people = [
        ("mara", site.person("mara").await),
        ("both", site.person("both").await),
        ("jonas", site.person("jonas").await),
    ];
    // One token each, so that it is known whose one was that leaked.
    let mut secrets = Vec::new();
    for (name, runtime) in GIVEN {
        let made = site.forge.good_token().await;
        let browser = &people.iter().find(|(known, _)| *known == name).unwrap().1;
        browser.paste(runtime, &made.token).await.assert_ok();
        secrets.push((name, runtime, made.token));
    }
    let acme = Machine::of(&site, "acme.paste").await;
    let globex = Machine::of(&site, "globex.paste").await;
    let revoked = Machine::of(&site, "acme.staging").await;
    let operator = By::new(Actor::Operator);
    site.site.runtime_keys.revoke(&"acme.staging".into(), revoked.public_id(), &operator).await.unwrap();
    let keys = [&acme, &globex, &revoked].map(|machine| machine.secret_part().to_owned());
    let leaks = |answer: &Answer| -> Vec<(&str, &str)> {
        assert!(!keys.iter().any(|key| answer.text().contains(key)), "a key");
        let has = |secret: &&(&'static str, &'static str, String)| answer.text().contains(&secret.2);
        secrets.iter().filter(has).map(|(name, runtime, _)| (*name, *runtime)).collect()
    };

    let anonymous = site.anonymous();
    let browsers = people.iter().map(|(name, browser)| (*name, browser)).chain([("nobody", &anonymous)]);
    for (who, browser) in browsers {
        for (page, seen_by) in PAGES {
            let answer = browser.get(page).await;
            assert_eq!(leaks(&answer), [], "{who} at {page}");
            let expected = match () {
                () if who == "nobody" => StatusCode::SEE_OTHER,
                () if seen_by.contains(&who) => StatusCode::OK,
                () => StatusCode::NOT_FOUND,
            };
            assert_eq!(answer.status, expected, "{who} at {page}");
        }
        for path in [USERS, CHANGES] {
            let answer = browser.get(path).await;
            assert_eq!((leaks(&answer), answer.status.is_success()), (vec![], false), "{who} at {path}");
        }
        for path in [CREDENTIAL, REPORT] {
            let body = json!({ "user": "mara", "git_url": acme.git_url, "outcome": "used" }).to_string();
            let answer = browser.ask(Method::POST, path).body("application/json", body).send().await;
            assert_eq!((leaks(&answer), answer.status.is_success()), (vec![], false), "{who} at {path}");
        }
    }

    let machines = [("acme.paste", &acme), ("globex.paste", &globex), ("revoked", &revoked)];
    for (runtime, machine) in machines {
        for (page, _) in PAGES {
            let answer = machine.get(page).await;
            let what = format!("the key of {runtime} at {page}");
            assert_eq!((leaks(&answer), answer.status), (vec![], StatusCode::SEE_OTHER), "{what}");
        }
        for user in ["mara", "both", "jonas", "gone", "nobody"] {
            let own = GIVEN.contains(&(user, runtime));
            let answer = machine.fetch(user).await;
            let what = format!("the key of {runtime} asks for {user}");
            let expected: Vec<(&str, &str)> = if own { vec![(user, runtime)] } else { vec![] };
            assert_eq!((leaks(&answer), answer.status == StatusCode::OK), (expected, own), "{what}");
            let report = json!({ "user": user, "outcome": "used" });
            let answer = machine.post(REPORT, &report).await;
            assert_eq!(leaks(&answer), [], "{what}, and reports");
        }
        for path in [USERS, CHANGES] {
            let answer = machine.get(path).await;
            assert_eq!(leaks(&answer), [], "the key of {runtime} at {path}");
            // Names are those of the own account's members.
            for (name, account) in [("mara", "acme.paste"), ("jonas", "globex.paste")] {
                let named = answer.text().contains(&format!("\"{name}\""));
                assert_eq!(named, account == runtime, "{name} for the key of {runtime} at {path}");
            }
        }
    }
}
