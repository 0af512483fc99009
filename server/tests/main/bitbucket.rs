//! What differs at Bitbucket Cloud, against a host that speaks as it does.

use std::time::Duration;

use forge::Shape;
use serde_json::{Value, json};

use crate::{
    forge::Forge,
    site::{Browser, PASSWORD, TestSite, at_a},
};

const EMAIL: &str = "octocat@forge.example";
const USER: &str = "GET /2.0/user";
const REFRESH: &str = "POST /site/oauth2/access_token";
const ALL: [&str; 3] = ["read:user:bitbucket", "read:repository:bitbucket", "write:repository:bitbucket"];

async fn start() -> (TestSite, Browser) {
    let forge = Forge::of(Shape::Bitbucket).await;
    let config = at_a("bitbucket-cloud", &forge);
    let site = TestSite::start_with(forge, &config).await;
    let mara = site.person("mara").await;
    (site, mara)
}

/// An API token of octocat.
async fn api_token(site: &TestSite, scopes: &[&str]) -> String {
    site.forge.make(json!({ "user": "octocat", "kind": "api_token", "scopes": scopes })).await.token
}

async fn access_token(site: &TestSite, scopes: &[&str]) -> String {
    let wanted =
        json!({ "user": "octocat", "kind": "repo_access_token", "scopes": scopes, "note": "deploy" });
    site.forge.make(wanted).await.token
}

async fn token_row(mara: &Browser, runtime: &str) -> Value {
    mara.access(runtime).await["row"]["token"].clone()
}

async fn refusal(mara: &Browser, runtime: &str) -> Value {
    mara.access(runtime).await["refusal"].clone()
}

#[tokio::test]
async fn an_api_token_is_pasted_with_its_email_address_which_is_remembered() {
    let (site, mara) = start().await;
    let asked = mara.access("acme.infra").await["guide"].clone();
    assert_eq!((&asked["user_name"]["email"], &asked["user_name"]["optional"]), (&json!(true), &json!(true)));
    assert_eq!(asked["asks_end"], true);
    let page = asked["link"].as_str().unwrap();
    assert!(page.starts_with(&format!("{}/manage-profile/security/api-tokens?", site.forge.url)), "{page}");

    let token = api_token(&site, &ALL).await;
    let more = [("user_name", EMAIL), ("end", "2027-03-31")];
    mara.paste_with("acme.infra", &token, &more).await.assert_ok();
    assert_eq!(mara.health("acme.infra").await, "Valid");
    let row = token_row(&mara, "acme.infra").await;
    assert_eq!((&row["kind"], &row["login"]), (&json!("API token"), &json!("octocat")));
    let mut scopes = ALL;
    scopes.sort_unstable();
    assert_eq!(row["scopes"], json!(scopes));
    assert!(row["expiry"]["Noted"].is_object(), "{row}");
    // Each door its own name, and each was knocked at once.
    assert_eq!(site.forge.names(USER).await, [Some(EMAIL.to_owned())]);
    let git = "GET /acme/infra.git/info/refs";
    assert_eq!(site.forge.names(git).await, [Some("x-bitbucket-api-token-auth".to_owned())]);
    // The next form knows the address, and the check uses it.
    assert_eq!(mara.access("acme.paste").await["user_name"], EMAIL);
    mara.check("acme.infra").await.assert_ok();
    assert_eq!(site.forge.names(USER).await, [Some(EMAIL.to_owned()), Some(EMAIL.to_owned())]);
    assert_eq!(mara.health("acme.infra").await, "Valid");
}

#[tokio::test]
async fn an_app_password_is_refused_by_name_and_sent_nowhere() {
    let (site, mara) = start().await;
    let dead = json!({ "user": "octocat", "kind": "app_password", "scopes": ["account"] });
    let dead = site.forge.make(dead).await.token;
    let answer = mara.paste_with("acme.infra", &dead, &[("user_name", EMAIL)]).await;
    assert_eq!(answer.error(), "Refused");
    let sentence = refusal(&mara, "acme.infra").await["WrongKind"]["sentence"].clone();
    assert!(sentence.as_str().unwrap().contains("ended app passwords on 28 July 2026"), "{sentence}");
    let page = mara.get("/tokens/acme.infra").await;
    assert!(page.text().contains("an API token"), "and what to make instead");
    assert_eq!(site.forge.requests().await.len(), 0);
}

#[tokio::test]
async fn a_wrong_email_address_is_tried_once_and_once_more_without() {
    let (site, mara) = start().await;
    let token = api_token(&site, &ALL).await;
    let wrong = [("user_name", "somebody@forge.example")];
    assert_eq!(mara.paste_with("acme.infra", &token, &wrong).await.error(), "Refused");
    assert_eq!(refusal(&mara, "acme.infra").await, "Unknown");
    assert_eq!(site.forge.names(USER).await, [Some("somebody@forge.example".to_owned()), None]);
    // The form keeps what was typed, and the page says where else to look.
    assert_eq!(mara.access("acme.infra").await["user_name"], "somebody@forge.example");
    let page = mara.get("/tokens/acme.infra").await;
    assert!(page.text().contains("they must go together"));

    // Where the host takes it without, it is kept, and shown without from then on.
    site.forge.set(json!({ "bearer_api_tokens": true })).await;
    mara.paste_with("acme.infra", &token, &wrong).await.assert_ok();
    assert_eq!(token_row(&mara, "acme.infra").await["kind"], "API token");
    site.forge.forget_requests().await;
    mara.check("acme.infra").await.assert_ok();
    assert_eq!(site.forge.names(USER).await, [None]);
    assert_eq!(mara.health("acme.infra").await, "Valid");
}

#[tokio::test]
async fn what_a_token_lacks_is_told_all_at_once() {
    let (site, mara) = start().await;
    let table: [(&[&str], &str, &[&str]); 3] = [
        (&ALL[..2], "octocat", &["write:repository:bitbucket"]),
        // Writing does not include reading.
        (&["read:user:bitbucket", "write:repository:bitbucket"], "octocat", &["read:repository:bitbucket"]),
        // It may not even tell whose it is.
        (&["read:repository:bitbucket"], "", &["read:user:bitbucket", "write:repository:bitbucket"]),
    ];
    for (granted, login, missing) in table {
        let token = api_token(&site, granted).await;
        let answer = mara.paste_with("acme.infra", &token, &[("user_name", EMAIL)]).await;
        assert_eq!(answer.error(), "Refused");
        let refusal = refusal(&mara, "acme.infra").await["ScopesMissing"].clone();
        assert_eq!((&refusal["login"], &refusal["missing"]), (&json!(login), &json!(missing)));
        let mut granted = granted.to_vec();
        granted.sort_unstable();
        assert_eq!(refusal["granted"], json!(granted));
    }
    // One that loses the scope that tells whose it is stays known, and its row says what it lacks.
    let made = site.forge.make(json!({ "user": "octocat", "kind": "api_token", "scopes": ALL })).await;
    mara.paste_with("acme.infra", &made.token, &[("user_name", EMAIL)]).await.assert_ok();
    site.forge.change(made.id, json!({ "scopes": ALL[1..] })).await;
    mara.check("acme.infra").await.assert_ok();
    let row = mara.access("acme.infra").await["row"].clone();
    assert_eq!(row["health"]["ScopesMissing"]["missing"], json!(["read:user:bitbucket"]));
    assert_eq!(row["token"]["login"], "octocat");
}

#[tokio::test]
async fn git_has_the_last_word_on_pushing() {
    let (site, mara) = start().await;
    let token = api_token(&site, &ALL).await;
    for (runtime, refused) in [("acme.readonly", "CannotPush"), ("acme.hidden", "RepositoryHidden")] {
        let answer = mara.paste_with(runtime, &token, &[("user_name", EMAIL)]).await;
        assert_eq!(answer.error(), "Refused");
        assert_eq!(refusal(&mara, runtime).await[refused]["login"], "octocat", "{runtime}");
        assert_eq!(mara.health(runtime).await, "NoToken");
    }
}

#[tokio::test]
async fn an_access_token_needs_no_email_address_and_is_a_bot() {
    let (site, mara) = start().await;
    let token = access_token(&site, &["repository:write"]).await;
    // The page fills in the address of the last time; it does no harm.
    mara.paste_with("acme.infra", &token, &[("user_name", EMAIL)]).await.assert_ok();
    let row = token_row(&mara, "acme.infra").await;
    assert_eq!(row["kind"], "Repository access token");
    let bot = row["login"].as_str().unwrap().to_owned();
    assert!(bot.starts_with("repository bot "), "{bot}");
    assert_eq!(row["scopes"], json!(["repository:write"]));
    assert_eq!(site.forge.names(USER).await, [None]);
    assert_eq!(site.forge.names("GET /acme/infra.git/info/refs").await, [Some("x-token-auth".to_owned())]);
    mara.check("acme.infra").await.assert_ok();
    assert_eq!(mara.health("acme.infra").await, "Valid");
    assert_eq!(token_row(&mara, "acme.infra").await["login"], bot.as_str(), "the same bot every time");

    // It reaches its own repository alone.
    assert_eq!(mara.paste("acme.readonly", &token).await.error(), "Refused");
    assert!(refusal(&mara, "acme.readonly").await["RepositoryHidden"].is_object());
    // Too little is said in the words of such tokens.
    let weak = access_token(&site, &["repository"]).await;
    assert_eq!(mara.paste("acme.paste", &weak).await.error(), "Refused");
    assert_eq!(refusal(&mara, "acme.paste").await["ScopesMissing"]["missing"], json!(["repository:write"]));

    // Commits would come from another bot: the user is asked first.
    let next = access_token(&site, &["repository:write"]).await;
    assert_eq!(mara.paste("acme.infra", &next).await.error(), "Refused");
    assert_eq!(refusal(&mara, "acme.infra").await["AnotherAccount"]["before"], bot.as_str());
    mara.call("token/settle-account", &[("runtime", "acme.infra"), ("take", "true")]).await.assert_ok();
    assert_eq!(mara.health("acme.infra").await, "Valid");
    assert_ne!(token_row(&mara, "acme.infra").await["login"], bot.as_str());
}

#[tokio::test]
async fn faults_of_the_host_take_nothing_from_anyone() {
    let (site, mara) = start().await;
    let token = api_token(&site, &ALL).await;
    mara.paste_with("acme.infra", &token, &[("user_name", EMAIL)]).await.assert_ok();
    for (fault, health) in [
        (json!({ "on": "user", "fault": "status", "status": 410 }), "Unreachable"),
        (json!({ "on": "user", "fault": "status", "status": 401 }), "Unreachable"),
        (json!({ "on": "user", "fault": "status", "status": 403 }), "Unreachable"),
        (json!({ "on": "user", "fault": "html", "status": 401 }), "Unreachable"),
        (json!({ "on": "user", "fault": "garbage_json" }), "Unreachable"),
        (json!({ "on": "user", "fault": "rate_limit" }), "RateLimited"),
        (json!({ "on": "git", "fault": "rate_limit" }), "Valid"),
        (json!({ "on": "git", "fault": "html", "status": 403 }), "Valid"),
    ] {
        site.forge.fault(fault.clone()).await;
        mara.check("acme.infra").await.assert_ok();
        assert_eq!(mara.health("acme.infra").await, health, "{fault}");
        site.forge.heal().await;
        mara.check("acme.infra").await.assert_ok();
        assert_eq!(mara.health("acme.infra").await, "Valid", "after {fault}");
    }
}

#[tokio::test]
async fn a_grant_is_had_in_the_words_of_consumers_and_renewed_by_turns() {
    let (site, mara) = start().await;
    let there = mara.connect("acme.infra").await;
    let asked: Vec<_> = there.query_pairs().filter(|(name, _)| name == "scope").collect();
    assert_eq!(asked[0].1, "account repository repository:write");
    let back = site.forge.agree("octocat", &there).await;
    let answer = mara.come_back(&back).await;
    assert!(answer.location().starts_with("/tokens?did=added"), "{}", answer.location());
    assert_eq!(mara.health("acme.infra").await, "Valid");
    let row = token_row(&mara, "acme.infra").await;
    assert_eq!((&row["kind"], &row["login"]), (&json!("OAuth2 token"), &json!("octocat")));
    assert_eq!(row["scopes"], json!(["account", "repository:write"]));

    // Each refresh token works once: every renewal uses the pair of the last one. Half of them name the scopes as before
    // May 2026.
    for number in 1..=4 {
        site.forge.set(json!({ "scope_key": if number % 2 == 0 { "scope" } else { "scopes" } })).await;
        site.pass(Duration::from_secs(2 * 60 * 60)).await;
        mara.sign_in("mara", PASSWORD).await.assert_ok();
        site.forge.forget_requests().await;
        mara.check("acme.infra").await.assert_ok();
        assert_eq!(mara.health("acme.infra").await, "Valid", "renewal {number}");
        assert_eq!(site.forge.names(REFRESH).await, [Some("gitward-demo".to_owned())]);
    }
    // A grant that was taken back is gone, and the row says by whose word.
    let last = site.forge.tokens().await.last().unwrap()["id"].as_u64().unwrap();
    site.forge.revoke(last).await;
    site.pass(Duration::from_secs(2 * 60 * 60)).await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    mara.check("acme.infra").await.assert_ok();
    assert_eq!(mara.health("acme.infra").await, "Revoked");
    assert_eq!(token_row(&mara, "acme.infra").await["checked"]["answer"], "invalid_grant");
    mara.authorize(&site.forge, "acme.infra", "octocat").await;
    assert_eq!(mara.health("acme.infra").await, "Valid");
    assert_eq!(site.dump().await.rows("credentials"), 1);
}

#[tokio::test]
async fn a_consumer_that_was_registered_with_too_little_says_so() {
    let (site, mara) = start().await;
    site.forge.set(json!({ "consumer_scopes": "account repository" })).await;
    mara.authorize(&site.forge, "acme.infra", "octocat").await;
    let health = mara.access("acme.infra").await["row"]["health"].clone();
    assert_eq!(health["ScopesMissing"]["missing"], json!(["repository:write"]));
    // Without the scope that tells whose it is, nothing is kept at all.
    let jonas = site.person("jonas").await;
    site.forge.set(json!({ "consumer_scopes": "repository:write" })).await;
    let answer = jonas.authorize(&site.forge, "acme.infra", "hubot").await;
    assert!(answer.location().contains("too-little"), "{}", answer.location());
    assert_eq!(site.dump().await.rows("credentials"), 1);
}
