//! Tokens are given, reused, replaced, deleted.

use axum::http::StatusCode;
use serde_json::json;

use crate::site::TestSite;

#[tokio::test]
async fn a_pasted_token_serves_its_runtime() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    assert_eq!(mara.health("acme.production").await, "NoToken");
    let made = site.forge.good_token().await;
    let answer = mara.paste("acme.production", &made.token).await;
    answer.assert_ok();
    assert_eq!(answer.json(), json!({ "login": "octocat", "runtimes": ["production"], "left_out": [] }));
    assert_eq!(mara.health("acme.production").await, "Valid");
    assert_eq!(mara.health("acme.staging").await, "NoToken", "only what was asked for");
}

#[tokio::test]
async fn a_refused_token_leaves_the_one_in_use_alone() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.staging", &made.token).await.assert_ok();
    let before = site.dump().await;
    let narrow = site.forge.make(json!({ "user": "octocat", "kind": "classic", "scopes": ["gist"] })).await;
    let answer = mara.paste("acme.staging", &narrow.token).await;
    assert_eq!((answer.status, answer.error()), (StatusCode::UNPROCESSABLE_ENTITY, "Refused".into()));
    let after = site.dump().await;
    assert_eq!(before.0["credentials"], after.0["credentials"]);
    assert_eq!(before.0["assignments"], after.0["assignments"]);
    let refusal = mara.access("acme.staging").await["refusal"].clone();
    assert_eq!(refusal["ScopesMissing"]["missing"], json!(["repo"]));
}

#[tokio::test]
async fn a_token_that_serves_several_is_replaced_for_one_or_for_all() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let logins =
        [site.forge.good_token().await, site.forge.good_token().await, site.forge.good_token().await];
    let give = async |token: &str, also: &[&str]| {
        let mut form = vec![("runtime", "acme.paste"), ("token", token)];
        form.extend(also.iter().map(|runtime| ("also[]", *runtime)));
        mara.call("token/add", &form).await.assert_ok().json()["runtimes"].clone()
    };
    let shared = async || mara.access("acme.paste").await["shared_with"].clone();

    assert_eq!(give(&logins[0].token, &["acme.staging"]).await, json!(["paste", "staging"]));
    assert_eq!(shared().await, json!(["staging"]));
    let also = mara.access("acme.paste").await["also"].clone();
    let ticked: Vec<_> = also.as_array().unwrap().iter().filter(|one| one["ticked"] == true).collect();
    assert_eq!(ticked.len(), 1, "whoever replaces a token means all its places: {also}");
    assert_eq!((&ticked[0]["id"], &ticked[0]["shares"]), (&json!("acme.staging"), &json!(true)));

    assert_eq!(give(&logins[1].token, &["acme.staging"]).await, json!(["paste", "staging"]));
    assert_eq!(shared().await, json!(["staging"]), "replaced for both");
    assert_eq!(site.dump().await.rows("credentials"), 1, "the old one is gone");

    assert_eq!(give(&logins[2].token, &[]).await, json!(["paste"]));
    assert_eq!(shared().await, json!([]));
    assert_eq!(site.dump().await.rows("credentials"), 2, "staging keeps the one before");

    mara.call(
        "token/add",
        &[("runtime", "acme.paste"), ("token", &logins[0].token), ("also[]", "acme.staging")],
    )
    .await
    .assert_ok();
    assert_eq!(shared().await, json!([]), "another runtime's own token is never replaced");
}

#[tokio::test]
async fn two_accounts_at_one_provider_and_two_providers_of_one_kind_are_kept_apart() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let (octocat, hubot) = (site.forge.good_token().await, site.forge.token_of("hubot").await);
    mara.paste("acme.paste", &octocat.token).await.assert_ok();
    mara.paste("acme.staging", &hubot.token).await.assert_ok();
    mara.paste("acme.elsewhere", &octocat.token).await.assert_ok();
    for (runtime, login) in [("paste", "octocat"), ("staging", "hubot"), ("elsewhere", "octocat")] {
        let row = mara.access(&["acme.", runtime].concat()).await["row"].clone();
        assert_eq!((&row["token"]["login"], row["health"].get("Valid").is_some()), (&json!(login), true));
    }
    let offered = mara.access("acme.renewed").await["reusable"].clone();
    let mut offered: Vec<_> = offered.as_array().unwrap().iter().map(|one| one["used_by"].clone()).collect();
    offered.sort_by_key(ToString::to_string);
    assert_eq!(offered, [json!(["paste"]), json!(["staging"])], "no token of the other provider");
}
