//! Who hangs up in the middle of a change: it is done all the same, or was never begun, and the log says which.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{database::ask, machine::Machine, site::TestSite};

#[tokio::test]
async fn a_key_that_the_log_says_was_made_was_made() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    // Another process writes just now, so that the log has to wait for the disk.
    let mut other = SqliteConnectOptions::new().filename(site.database()).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    {
        let form = [("what", "create"), ("key", "")];
        let before = site.site.under_way.len();
        let begun = async {
            while site.site.under_way.len() == before {
                tokio::task::yield_now().await;
            }
            // Time to come to the log as well. A machine that needs longer proves less here, nothing wrong.
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let request = mara.ask(Method::POST, "/admin/runtimes/acme.paste").form(&form).send();
        tokio::select! {
            answer = request => panic!("nothing can be written, but {}", answer.status),
            () = begun => {}
        }
    }
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    site.at_rest().await;
    // Whatever else is written is written after it.
    mara.call("person/sign-out", &[]).await.assert_ok();
    let made: i64 = ask(&site.database(), "SELECT count(*) FROM runtime_keys").await;
    let logged: i64 = ask(
        &site.database(),
        "SELECT count(*) FROM audit WHERE action = 'runtime-key.created' AND outcome = 'done'",
    )
    .await;
    assert_eq!((made, logged), (1, 1));
}

#[tokio::test]
async fn a_token_whose_user_does_not_wait_for_the_provider_is_given_all_the_same() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let first = site.forge.good_token().await;
    mara.paste("acme.paste", &first.token).await.assert_ok();
    let second = site.forge.good_token().await;
    site.forge.fault(json!({ "on": "user", "fault": "delay", "delay_ms": 500, "times": 1 })).await;
    {
        let request = mara.paste("acme.paste", &second.token);
        let asked = async {
            while site.forge.control(Method::GET, "faults", Value::Null).await[0]["struck"] != 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = request => {}
            () = asked => {}
        }
    }
    site.at_rest().await;
    let replaced: i64 = ask(
        &site.database(),
        "SELECT count(*) FROM audit JOIN assignments ON assignments.credential_id = audit.object
         WHERE action = 'token.replaced' AND outcome = 'done' AND assignments.runtime_id = 'acme.paste'",
    )
    .await;
    assert_eq!(replaced, 1, "in use, and in the log");
    let machine = Machine::of(&site, "acme.paste").await;
    assert_eq!(machine.secret("mara").await, second.token);
}
