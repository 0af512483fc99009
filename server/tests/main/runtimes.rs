//! Runtimes fetch the tokens of their users: the right one, while it works, and nobody else's.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use server::{
    audit::{Actor, By},
    runtime_key::KeyError,
};
use sqlx::ConnectOptions;

use crate::{
    database::ask,
    machine::{CHANGES, CREDENTIAL, Machine, REPORT, USERS, assert_problem, create, rotate},
    site::{Answer, Browser, PASSWORD, TestSite},
};

/// Mara's token serves production; its runtime has a key.
async fn scene() -> (TestSite, Browser, Machine, String) {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.production", &made.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.production").await;
    (site, mara, machine, made.token)
}

#[tokio::test]
async fn a_runtime_gets_what_git_and_the_api_need() {
    let (site, _mara, machine, token) = scene().await;
    site.forge.forget_requests().await;
    let answer = machine.fetch("mara").await;
    answer.assert_ok();
    let got = answer.json();
    let version = got["version"].as_str().unwrap();
    assert_eq!(
        got,
        json!({
            "version": version,
            "git": { "username": "x-access-token", "password": token, "scheme": "basic" },
            "api": { "name": "Authorization", "value": format!("Bearer {token}") },
            "login": "octocat",
            "scopes": ["repo"],
            "expires_at": null,
            "expires_in": null,
            "health": "valid",
        })
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!version.contains(&token[..8]));
    assert_eq!(machine.version("mara").await, version, "the same secret has the same version");
    assert_eq!(site.forge.requests().await, [] as [String; 0], "the provider was not asked");
}

#[tokio::test]
async fn a_runtime_that_holds_the_version_gets_no_secret() {
    let (site, mara, machine, token) = scene().await;
    let version = machine.version("mara").await;
    let conditional = async |version: &str| {
        let body = json!({ "user": "mara", "git_url": machine.git_url, "version": version });
        machine.post(CREDENTIAL, &body).await
    };
    let answer = conditional(&version).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::NO_CONTENT, ""));
    let answer = conditional("AAAAAAAAAAAAAAAA").await;
    assert_eq!(answer.assert_ok().json()["git"]["password"], token.as_str());
    // Another secret has another version, and so has another runtime's.
    let other = site.forge.good_token().await;
    mara.paste("acme.production", &other.token).await.assert_ok();
    let answer = conditional(&version).await;
    assert_eq!(answer.assert_ok().json()["git"]["password"], other.token.as_str());
    let newer = answer.json()["version"].as_str().unwrap().to_owned();
    assert_ne!(newer, version);
    mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    assert_problem(&conditional(&newer).await, StatusCode::NOT_FOUND, "no_token", "gone, version or not");
}

#[tokio::test]
async fn every_reason_is_told_apart() {
    let (site, mara, machine, _) = scene().await;
    assert_problem(&machine.fetch("nobody").await, StatusCode::NOT_FOUND, "unknown_user", "nobody");
    assert_problem(&machine.fetch("jonas").await, StatusCode::NOT_FOUND, "unknown_user", "no member");
    site.person("both").await;
    assert_problem(&machine.fetch("both").await, StatusCode::NOT_FOUND, "no_token", "gave none");

    let expiring = site
        .forge
        .make(json!({ "user": "octocat", "kind": "classic", "scopes": ["repo"],
                      "expires_at": "2026-11-22T12:02:00Z" }))
        .await;
    mara.paste("acme.production", &expiring.token).await.assert_ok();
    let answer = machine.fetch("mara").await;
    let got = answer.assert_ok().json();
    assert_eq!((&got["expires_at"], &got["expires_in"]), (&json!("2026-11-22T12:02:00Z"), &json!(120)));
    assert_eq!(got["health"], "expiring");
    // Sixty seconds are enough, less are not.
    site.pass(Duration::from_secs(60)).await;
    assert_eq!(machine.fetch("mara").await.assert_ok().json()["expires_in"], 60);
    site.pass(Duration::from_secs(1)).await;
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "ends_soon", "59 seconds");
    site.pass(Duration::from_secs(58)).await;
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "ends_soon", "one second");
    site.pass(Duration::from_secs(1)).await;
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "expired", "over");
    site.site.people.disable("mara").await.unwrap();
    assert_problem(&machine.fetch("mara").await, StatusCode::NOT_FOUND, "unknown_user", "disabled");
}

#[tokio::test]
async fn a_token_that_the_provider_gave_up_is_not_handed_out() {
    let (site, mara, machine, token) = scene().await;
    let other = site.forge.good_token().await;
    mara.paste("acme.staging", &other.token).await.assert_ok();
    let id = site.forge.tokens().await[0]["id"].as_u64().unwrap();
    site.forge.revoke(id).await;
    mara.check("acme.production").await.assert_ok();
    // One refusal is no verdict.
    let answer = machine.fetch("mara").await;
    assert_eq!(answer.assert_ok().json()["health"], "checking");
    assert_eq!(answer.json()["git"]["password"], token.as_str());
    site.minutes(11).await;
    mara.check("acme.staging").await.assert_ok();
    mara.check("acme.production").await.assert_ok();
    assert_eq!(mara.health("acme.production").await, "Revoked");
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "revoked", "dead");
}

#[tokio::test]
async fn what_is_deleted_on_the_page_is_refused_at_once() {
    let (_site, mara, machine, _) = scene().await;
    machine.fetch("mara").await.assert_ok();
    mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    assert_problem(&machine.fetch("mara").await, StatusCode::NOT_FOUND, "no_token", "deleted");
}

#[tokio::test]
async fn a_grant_is_renewed_when_it_is_fetched() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let machine = Machine::of(&site, "acme.renewed").await;
    let first = machine.fetch("mara").await.assert_ok().json();
    assert_eq!(first["expires_in"], 8 * 60 * 60, "its own end, not that of what renews it");
    site.pass(Duration::from_secs(8 * 60 * 60 - 48 * 60)).await;
    let second = machine.fetch("mara").await.assert_ok().json();
    assert_ne!(second["git"]["password"], first["git"]["password"]);
    assert_ne!(second["version"], first["version"]);
    assert_eq!(second["expires_in"], 8 * 60 * 60);
    assert_eq!(site.forge.asked("POST /login/oauth/access_token").await, 2, "the code, and once to renew");
}

#[tokio::test]
async fn a_grant_that_can_not_be_renewed_serves_while_it_lives() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let machine = Machine::of(&site, "acme.renewed").await;
    let secret = machine.secret("mara").await;
    site.forge.fault(json!({ "on": "token", "fault": "status", "status": 503 })).await;
    site.pass(Duration::from_secs(8 * 60 * 60 - 10 * 60)).await;
    site.forge.forget_requests().await;
    let got = machine.fetch("mara").await.assert_ok().json();
    assert_eq!((&got["git"]["password"], &got["expires_in"]), (&json!(secret), &json!(600)));
    for _ in 0..20 {
        machine.fetch("mara").await.assert_ok();
    }
    assert_eq!(site.forge.asked("POST /login/oauth/access_token").await, 1, "not once for each that asks");
    site.pass(Duration::from_secs(9 * 60 + 1)).await;
    let answer = machine.fetch("mara").await;
    assert_problem(&answer, StatusCode::SERVICE_UNAVAILABLE, "provider_down", "59 seconds left");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    site.forge.heal().await;
    site.pass(Duration::from_secs(16)).await;
    assert_ne!(machine.secret("mara").await, secret, "the provider is back");
}

#[tokio::test]
async fn a_grant_that_the_provider_gave_up_is_revoked() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let machine = Machine::of(&site, "acme.renewed").await;
    let id = site.forge.tokens().await[0]["id"].as_u64().unwrap();
    site.forge.revoke(id).await;
    site.pass(Duration::from_secs(8 * 60 * 60)).await;
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "revoked", "refused for good");
    site.forge.forget_requests().await;
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "revoked", "known");
    assert_eq!(site.forge.requests().await, [] as [String; 0]);
}

#[tokio::test]
async fn an_address_that_is_not_the_own_providers_gets_nothing() {
    let (site, _mara, machine, token) = scene().await;
    let host = site.forge.url.strip_prefix("http://").unwrap().to_owned();
    let port = site.forge.port;
    let cases = [
        (format!("https://{host}/acme/infra.git"), "other_host"),
        (format!("http://localhost:{port}/acme/infra.git"), "other_host"),
        ("http://127.0.0.1/acme/infra.git".to_owned(), "other_host"),
        (format!("http://127.0.0.1:{}/a", port ^ 1), "other_host"),
        ("https://github.com/acme/infra".to_owned(), "other_host"),
        (format!("http://127.0.0.1.evil.example:{port}/a"), "other_host"),
        (format!("http://{host}@evil.example/a"), "url_refused"),
        (format!("http://evil.example@{host}/a"), "url_refused"),
        (format!("http://{host}\\@evil.example/a"), "url_refused"),
        (format!("HTTP://{host}/a"), "url_refused"),
        (format!("http://127.0.0.1.:{port}/a"), "url_refused"),
        (format!("http://127%2e0.0.1:{port}/a"), "url_refused"),
        (format!("http://{host}/a/../b"), "url_refused"),
        (format!("http://{host}/a%2f..%2fb"), "url_refused"),
        (format!("http://{host}/a\nhost=evil.example"), "url_refused"),
        (format!("http://{host}/a%0ahost=evil.example"), "url_refused"),
        (format!("http://2130706433:{port}/a"), "other_host"),
        (format!("http://0x7f000001:{port}/a"), "other_host"),
        (format!("http://127.1:{port}/a"), "other_host"),
        (format!("http://[::ffff:127.0.0.1]:{port}/a"), "other_host"),
        ("git@github.com:acme/infra".to_owned(), "url_refused"),
        ("a".repeat(2000), "url_refused"),
    ];
    for (git_url, code) in cases {
        let answer = machine.post(CREDENTIAL, &json!({ "user": "mara", "git_url": git_url })).await;
        let status =
            if code == "other_host" { StatusCode::FORBIDDEN } else { StatusCode::UNPROCESSABLE_ENTITY };
        assert_problem(&answer, status, code, &git_url);
        assert!(!answer.text().contains(&token), "{git_url}");
    }
}

#[tokio::test]
async fn a_name_in_another_spelling_is_nobodys() {
    let (_site, _mara, machine, token) = scene().await;
    for name in [
        "Mara",
        "MARA",
        " mara",
        "mara ",
        "mara\n",
        "mara\0",
        "ｍａｒａ",
        "mаra",
        "mara/",
        "./mara",
        "../mara",
        "mara%00",
        "%6dara",
        "mara;both",
        "mara\" OR 1=1 --",
        ".",
        "..",
        "mara\u{200b}",
        "ma\u{ad}ra",
    ] {
        let answer = machine.fetch(name).await;
        assert_problem(&answer, StatusCode::NOT_FOUND, "unknown_user", name);
        assert!(!answer.text().contains(&token), "{name:?}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_its_own_words() {
    let (site, _mara, machine, _) = scene().await;
    let before = site.dump().await;
    let good = json!({ "user": "mara", "git_url": machine.git_url });
    let with = |change: fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.to_string()
    };
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        "\u{0}".to_owned(),
        with(|it| it["user"] = json!(7)),
        with(|it| it["user"] = json!(null)),
        with(|it| it["git_url"] = json!(["x"])),
        with(|it| it["version"] = json!(7)),
        with(|it| it["runtime"] = json!("acme.staging")),
        "{\"user\":\"mara\",\"user\":\"both\",\"git_url\":\"x\"}".to_owned(),
        "[".repeat(8000),
    ] {
        let answer =
            machine.ask(Method::POST, CREDENTIAL).body("application/json", body.clone()).send().await;
        assert_problem(&answer, StatusCode::BAD_REQUEST, "malformed", &body);
    }
    for (path, code) in [
        ("/runtime/v1/changes?wait=31", "malformed"),
        ("/runtime/v1/changes?wait=-1", "malformed"),
        ("/runtime/v1/changes?wait=a", "malformed"),
        ("/runtime/v1/changes?nonsense=1", "malformed"),
    ] {
        assert_problem(&machine.get(path).await, StatusCode::BAD_REQUEST, code, path);
    }
    for kind in ["application/x-www-form-urlencoded", "text/plain", "application/jsonp"] {
        let answer = machine.ask(Method::POST, CREDENTIAL).body(kind, good.to_string()).send().await;
        assert_problem(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", kind);
    }
    let answer =
        machine.ask(Method::POST, CREDENTIAL).body("application/json", "x".repeat(20_000)).send().await;
    assert_problem(&answer, StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a novel");
    let answer =
        machine.ask(Method::POST, CREDENTIAL).body("application/json", "x".repeat(3_000_000)).send().await;
    assert_problem(&answer, StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a library");
    let announced = machine.ask(Method::GET, USERS).header("content-length", "3000000").send().await;
    assert_problem(&announced, StatusCode::PAYLOAD_TOO_LARGE, "too_large", "only announced");
    for path in [
        "/runtime/v1",
        "/runtime/v1/",
        "/runtime/v1/nonsense",
        "/runtime/v1/credential/",
        "/runtime/v1//users",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = machine.ask(method.clone(), path).send().await;
            assert_problem(&answer, StatusCode::NOT_FOUND, "not_found", &format!("{method} {path}"));
        }
    }
    for (method, path, allow) in
        [(Method::GET, CREDENTIAL, "POST"), (Method::PUT, REPORT, "POST"), (Method::POST, USERS, "GET,HEAD")]
    {
        let answer = machine.ask(method, path).send().await;
        assert_problem(&answer, StatusCode::METHOD_NOT_ALLOWED, "wrong_method", path);
        assert_eq!(answer.header("allow"), allow);
    }
    crate::database::assert_same(&before, &site.dump().await, "nonsense");
}

#[tokio::test]
async fn only_a_valid_key_of_the_right_runtime_opens() {
    let (site, mara, machine, token) = scene().await;
    let elsewhere = site.forge.good_token().await;
    mara.paste("acme.staging", &elsewhere.token).await.assert_ok();
    let staging = Machine::of(&site, "acme.staging").await;
    assert_eq!(staging.secret("mara").await, elsewhere.token, "its own, not the other runtime's");
    assert_eq!(machine.secret("mara").await, token);

    let body = json!({ "user": "mara", "git_url": machine.git_url }).to_string();
    let shown = async |authorization: Option<&str>| {
        let ask = machine.ask(Method::POST, CREDENTIAL).body("application/json", body.clone());
        let ask = ask.without("authorization");
        match authorization {
            Some(value) => ask.header("authorization", value).send().await,
            None => ask.send().await,
        }
    };
    let key = &machine.key;
    let (public, secret) = key.rsplit_once('_').unwrap();
    let (other_public, _) = staging.key.rsplit_once('_').unwrap();
    let last = if secret.ends_with('0') { "1" } else { "0" };
    for wrong in [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(key.clone()),
        Some(format!("Basic {key}")),
        Some(format!("Bearer {key} ")),
        Some(format!("Bearer  {key}")),
        Some(format!("Bearer {}", key.to_uppercase())),
        Some(format!("Bearer {}", &key[..key.len() - 1])),
        Some(format!("Bearer {}{last}", &key[..key.len() - 1])),
        Some(format!("Bearer {public}_{}", "0".repeat(64))),
        Some(format!("Bearer {other_public}_{secret}")),
        Some(format!("Bearer gwr_{}_{secret}", "0".repeat(16))),
        Some(format!("Bearer {key}, Bearer {key}")),
    ] {
        let answer = shown(wrong.as_deref()).await;
        assert_problem(&answer, StatusCode::UNAUTHORIZED, "key_unknown", &format!("{wrong:?}"));
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert!(!answer.text().contains(&token));
    }
    // Whoever is signed in is nobody here, and a key is nobody on the pages.
    let answer = mara.ask(Method::POST, CREDENTIAL).body("application/json", body.clone()).send().await;
    assert_problem(&answer, StatusCode::UNAUTHORIZED, "key_unknown", "a browser with a cookie");
    let answer = machine.ask(Method::POST, "/api/token/table").form(&[]).send().await;
    assert_eq!((answer.status, answer.error()), (StatusCode::UNAUTHORIZED, "SignInNeeded".into()));
}

#[tokio::test]
async fn a_rotation_leaves_two_valid_and_a_revocation_none() {
    let (site, _mara, first, _) = scene().await;
    let keys = &site.site.runtime_keys;
    let operator = By::new(Actor::Operator);
    assert!(matches!(keys.create(&"acme.production".into(), &operator).await, Err(KeyError::HasOne(_))));
    assert!(matches!(keys.create(&"acme.nonsense".into(), &operator).await, Err(KeyError::NoRuntime(_))));
    assert!(matches!(keys.rotate(&"acme.staging".into(), None, &operator).await, Err(KeyError::HasNone(_))));
    let second = Machine::with(&site, rotate(&site, "acme.production").await.text.expose());
    first.fetch("mara").await.assert_ok();
    second.fetch("mara").await.assert_ok();
    let third = rotate(&site, "acme.production").await;
    assert_eq!(third.revoked.len(), 1);
    let machine = Machine::with(&site, third.text.expose());
    assert_problem(&first.fetch("mara").await, StatusCode::UNAUTHORIZED, "key_revoked", "rotated out");
    second.fetch("mara").await.assert_ok();
    machine.fetch("mara").await.assert_ok();
    // The right secret is needed to learn that a key was revoked.
    let forged = Machine::with(&site, &first.key.replace(first.secret_part(), &"0".repeat(64)));
    assert_problem(&forged.fetch("mara").await, StatusCode::UNAUTHORIZED, "key_unknown", "guessed");
    for machine in [&second, &machine] {
        let public_id = machine.public_id();
        let elsewhere = keys.revoke(&"acme.staging".into(), public_id, &operator).await;
        assert!(matches!(elsewhere, Err(KeyError::NoKey { .. })));
        machine.fetch("mara").await.assert_ok();
        keys.revoke(&"acme.production".into(), public_id, &operator).await.unwrap();
        for answer in [machine.fetch("mara").await, machine.get(USERS).await, machine.get(CHANGES).await] {
            assert_problem(&answer, StatusCode::UNAUTHORIZED, "key_revoked", "revoked");
        }
    }
    create(&site, "acme.production").await;
}

#[tokio::test]
async fn of_a_key_only_a_hash_is_kept() {
    let (site, _mara, machine, _) = scene().await;
    let dump = format!("{:?}", site.dump().await);
    let secret = machine.secret_part();
    assert_eq!(secret.len(), 64);
    assert!(!dump.contains(secret) && !dump.contains(&secret.to_uppercase()));
    assert!(dump.contains(machine.public_id()), "the public part is there");
}

#[tokio::test]
async fn many_wrong_keys_are_told_to_wait_and_a_right_one_is_let_in() {
    let (site, _mara, machine, _) = scene().await;
    let wrong = Machine::with(&site, "gwr_0000000000000000_wrong");
    for _ in 0..20 {
        assert_problem(&wrong.fetch("mara").await, StatusCode::UNAUTHORIZED, "key_unknown", "wrong");
    }
    let answer = wrong.fetch("mara").await;
    assert_problem(&answer, StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys", "the 21st");
    assert_eq!(answer.header("retry-after"), "60");
    machine.fetch("mara").await.assert_ok();
    site.pass(Duration::from_secs(60)).await;
    assert_problem(&wrong.fetch("mara").await, StatusCode::UNAUTHORIZED, "key_unknown", "a minute later");
}

#[tokio::test]
async fn a_runtime_that_is_no_longer_declared_gets_nothing() {
    let (site, _mara, machine, _) = scene().await;
    let config = crate::site::usual(&site.forge);
    let line = config.lines().find(|line| line.contains("name = \"production\"")).unwrap().to_owned();
    let site = site.restart(&config.replacen(&line, "", 1)).await;
    let machine = Machine::with(&site, &machine.key);
    for answer in [machine.fetch("mara").await, machine.get(USERS).await] {
        assert_problem(&answer, StatusCode::FORBIDDEN, "runtime_disabled", "not declared");
    }
    let site = site.restart(&config).await;
    Machine::with(&site, &machine.key).fetch("mara").await.assert_ok();
}

#[tokio::test]
async fn users_are_listed_with_their_health_and_without_secrets() {
    let (site, _mara, machine, token) = scene().await;
    site.person("both").await;
    site.person("jonas").await;
    let version = machine.version("mara").await;
    let report = json!({ "user": "mara", "version": version, "outcome": "used" });
    assert_eq!(machine.post(REPORT, &report).await.assert_ok().json(), json!({ "version": version }));
    let answer = machine.get(USERS).await;
    assert_eq!(
        answer.assert_ok().json(),
        json!({ "users": [
            { "user": "both", "health": "no_token", "version": null, "login": null, "expires_at": null,
              "fetched_at": null, "used_version": null },
            { "user": "mara", "health": "valid", "version": version, "login": "octocat", "expires_at": null,
              "fetched_at": "2026-11-22T12:00:00Z", "used_version": version },
        ] })
    );
    assert!(!answer.text().contains(&token));
}

#[tokio::test]
async fn a_report_that_a_token_was_refused_has_the_provider_asked() {
    let (site, _mara, machine, _) = scene().await;
    let version = machine.version("mara").await;
    site.forge.forget_requests().await;
    let rejected =
        |version: Option<&str>| json!({ "user": "mara", "version": version, "outcome": "rejected" });
    // An older one is no news.
    machine.post(REPORT, &rejected(Some("AAAAAAAAAAAAAAAA"))).await.assert_ok();
    site.at_rest().await;
    assert_eq!(site.forge.asked("GET /user").await, 0);
    for named in [Some(version.as_str()), None] {
        machine.post(REPORT, &rejected(named)).await.assert_ok();
        site.at_rest().await;
    }
    assert_eq!(site.forge.asked("GET /user").await, 2);
    machine.fetch("mara").await.assert_ok();
    // However often it is said.
    for _ in 0..20 {
        machine.post(REPORT, &rejected(Some(&version))).await.assert_ok();
    }
    site.at_rest().await;
    assert_eq!(site.forge.asked("GET /user").await, 6, "six a minute");
    assert_problem(
        &machine.post(REPORT, &json!({ "user": "jonas", "outcome": "used" })).await,
        StatusCode::NOT_FOUND,
        "unknown_user",
        "another account's",
    );
}

#[tokio::test]
async fn changes_come_at_once_when_there_are_any() {
    let (site, mara, machine, _) = scene().await;
    let first = machine.get(CHANGES).await.assert_ok().json();
    let version = machine.version("mara").await;
    assert_eq!(first["users"], json!([{ "user": "mara", "version": version }]));
    let after = format!("{CHANGES}?after={}", first["cursor"].as_str().unwrap());
    assert_eq!(machine.get(&after).await.status, StatusCode::NO_CONTENT, "nothing new");
    mara.check("acme.production").await.assert_ok();
    assert_eq!(machine.get(&after).await.status, StatusCode::NO_CONTENT, "a check that passed is no news");

    // Whoever waits is told when it happens.
    let (machine, after) = (Arc::new(machine), format!("{after}&wait=30"));
    let ask = {
        let (machine, after) = (Arc::clone(&machine), after.clone());
        async move { machine.get(&after).await }
    };
    let waiting = tokio::spawn(ask);
    until_waiting(&site, 1).await;
    mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    let told = waiting.await.unwrap();
    assert_eq!(told.assert_ok().json()["users"], json!([{ "user": "mara", "version": null }]));
    assert_eq!(site.site.releases.waiting(), 0);
}

/// Until so many wait for changes.
async fn until_waiting(site: &TestSite, count: usize) {
    while site.site.releases.waiting() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_so_many_wait_with_one_key_and_nobody_when_the_server_stops() {
    let (site, _mara, machine, _) = scene().await;
    let other = Machine::with(&site, rotate(&site, "acme.production").await.text.expose());
    let cursor = machine.get(CHANGES).await.assert_ok().json()["cursor"].as_str().unwrap().to_owned();
    let after = format!("{CHANGES}?after={cursor}");
    let machine = Arc::new(machine);
    let waiting: Vec<_> = (0..16)
        .map(|_| {
            let (machine, after) = (Arc::clone(&machine), format!("{after}&wait=30"));
            tokio::spawn(async move { machine.get(&after).await.status })
        })
        .collect();
    until_waiting(&site, 16).await;
    let answer = machine.get(&format!("{after}&wait=30")).await;
    assert_problem(&answer, StatusCode::TOO_MANY_REQUESTS, "too_many_waiting", "the 17th");
    assert_eq!(answer.header("retry-after"), "15");
    assert_eq!(machine.get(&after).await.status, StatusCode::NO_CONTENT, "who does not wait is answered");
    // An hour, so that it is not the time that ends it.
    let caller = server::release::Caller {
        runtime: site.site.store.runtime(&"acme.production".into()).await.unwrap().unwrap(),
        public_id: other.public_id().to_owned(),
        request: None,
        address: [192, 0, 2, 1].into(),
    };
    let releases = Arc::clone(&site.site.releases);
    let long = tokio::spawn(async move {
        releases.changes_after(&caller, &cursor, Duration::from_secs(60 * 60)).await.unwrap()
    });
    until_waiting(&site, 17).await;
    site.site.releases.stop();
    assert_eq!(long.await.unwrap(), None);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn what_ends_by_itself_is_a_change_as_well() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let expiring = site
        .forge
        .make(json!({ "user": "octocat", "kind": "classic", "scopes": ["repo"],
                      "expires_at": "2026-11-22T12:10:00Z" }))
        .await;
    mara.paste("acme.production", &expiring.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.production").await;
    let first = machine.get(CHANGES).await.assert_ok().json();
    let after = format!("{CHANGES}?after={}", first["cursor"].as_str().unwrap());
    site.minutes(10).await;
    assert_eq!(
        machine.get(&after).await.assert_ok().json()["users"],
        json!([{ "user": "mara", "version": null }])
    );
}

#[tokio::test]
async fn a_proposed_token_is_not_handed_out() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let (first, other) = (site.forge.good_token().await, site.forge.token_of("hubot").await);
    mara.paste("acme.paste", &first.token).await.assert_ok();
    let answer = mara.paste("acme.paste", &other.token).await;
    assert_eq!(answer.error(), "Refused", "another account's: the user is asked");
    let machine = Machine::of(&site, "acme.paste").await;
    let got = machine.fetch("mara").await.assert_ok().json();
    assert_eq!((&got["git"]["password"], &got["health"]), (&json!(first.token), &json!("another_account")));
}

#[tokio::test]
async fn a_key_says_when_it_was_last_used() {
    let (site, _mara, machine, _) = scene().await;
    let used_at = async || {
        site.site.holdings.write().await.unwrap();
        site.site.store.runtime_key(machine.public_id()).await.unwrap().unwrap().used_at
    };
    assert_eq!(used_at().await, None);
    machine.get(USERS).await.assert_ok();
    let first = used_at().await;
    assert!(first.is_some());
    site.pass(Duration::from_secs(59)).await;
    machine.get(USERS).await.assert_ok();
    assert_eq!(used_at().await, first, "to the minute");
    site.pass(Duration::from_secs(1)).await;
    machine.get(USERS).await.assert_ok();
    assert!(used_at().await > first);
}

#[tokio::test]
async fn a_release_is_in_the_audit_log_with_who_and_whose() {
    let (site, _mara, machine, token) = scene().await;
    machine.fetch("mara").await.assert_ok();
    assert_problem(&machine.fetch("nobody").await, StatusCode::NOT_FOUND, "unknown_user", "nobody");
    let database = site.database();
    let row: String = ask(
        &database,
        "SELECT actor || ' ' || actor_id || ' ' || runtime_id || ' ' || account_id || ' ' || u.name FROM audit \
         JOIN users u ON u.id = user_id WHERE action = 'secret.released' AND outcome = 'done'",
    )
    .await;
    assert_eq!(row, format!("runtime-key {} acme.production acme mara", machine.public_id()));
    let refused: String =
        ask(&database, "SELECT reason FROM audit WHERE action = 'secret.released' AND outcome = 'refused'")
            .await;
    assert_eq!(refused, "unknown_user");
    assert!(!format!("{:?}", site.dump().await).contains(&token));
}

/// What the database does at the very moment in which a release is written down.
macro_rules! when_released {
    ($happens:literal) => {
        concat!(
            "CREATE TRIGGER meanwhile AFTER INSERT ON audit
             WHEN NEW.action = 'secret.released' AND NEW.outcome = 'done' BEGIN ",
            $happens,
            "; END"
        )
    };
}

async fn user(site: &TestSite, name: &str) -> server::id::UserId {
    let name = server::person::Name::parse(name).unwrap();
    site.site.store.user_by_name(&name).await.unwrap().unwrap().id
}

/// Something that happens between two steps of a request.
async fn meanwhile(site: &TestSite, happens: &'static str) {
    crate::database::change(&site.database(), happens).await;
}

#[tokio::test]
async fn what_is_taken_away_while_a_release_is_written_down_does_not_leave() {
    for (happens, status, code) in [
        (when_released!("DELETE FROM assignments"), StatusCode::NOT_FOUND, "no_token"),
        (when_released!("UPDATE users SET disabled_at = 1"), StatusCode::NOT_FOUND, "unknown_user"),
        (when_released!("UPDATE members SET disabled_at = 1"), StatusCode::NOT_FOUND, "unknown_user"),
        (
            when_released!("UPDATE runtime_keys SET revoked_at = 1"),
            StatusCode::SERVICE_UNAVAILABLE,
            "overtaken",
        ),
        (
            when_released!("UPDATE credentials SET standing = json_set(standing, '$.invalid', json('true'))"),
            StatusCode::CONFLICT,
            "revoked",
        ),
    ] {
        let (site, _mara, machine, token) = scene().await;
        meanwhile(&site, happens).await;
        let answer = machine.fetch("mara").await;
        assert_problem(&answer, status, code, happens);
        assert!(!answer.text().contains(&token));
        let overtaken: i64 = ask(
            &site.database(),
            "SELECT count(*) FROM audit WHERE action = 'secret.released' AND reason = 'overtaken'",
        )
        .await;
        assert!(overtaken > 0, "{happens}: what was written down did not happen");
        let held = site.site.holdings.of(&user(&site, "mara").await).await.unwrap();
        assert!(held.is_empty(), "{happens}: nobody fetched it");
    }
}

#[tokio::test]
async fn a_token_that_is_replaced_at_this_very_moment_is_the_new_one() {
    let (site, mara, machine, token) = scene().await;
    let other = site.forge.good_token().await;
    mara.paste("acme.staging", &other.token).await.assert_ok();
    meanwhile(
        &site,
        when_released!(
            "UPDATE assignments SET credential_id =
             (SELECT credential_id FROM assignments WHERE runtime_id = 'acme.staging')
             WHERE runtime_id = 'acme.production'"
        ),
    )
    .await;
    assert_eq!(machine.secret("mara").await, other.token);
    assert_ne!(token, other.token);
}

#[tokio::test]
async fn a_grant_that_is_replaced_while_it_is_renewed_is_no_missing_token() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let other = site.forge.good_token().await;
    mara.paste("acme.staging", &other.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.renewed").await;
    site.pass(Duration::from_secs(8 * 60 * 60)).await;
    meanwhile(
        &site,
        "CREATE TRIGGER meanwhile AFTER UPDATE OF lease_until ON credentials WHEN NEW.lease_until IS NOT NULL \
         BEGIN UPDATE assignments SET credential_id =
             (SELECT credential_id FROM assignments WHERE runtime_id = 'acme.staging')
             WHERE runtime_id = 'acme.renewed'; DELETE FROM credentials WHERE id = NEW.id; END",
    )
    .await;
    assert_eq!(machine.secret("mara").await, other.token);
}

#[tokio::test]
async fn a_grant_that_nothing_renews_any_more_serves_until_its_own_end() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let machine = Machine::of(&site, "acme.renewed").await;
    let secret = machine.secret("mara").await;
    // What renews it ends in half a minute, then has ended.
    crate::database::change(
        &site.database(),
        "UPDATE credentials SET expires_at = access_ends_at - 8 * 60 * 60 * 1000000 + 30 * 1000000",
    )
    .await;
    for _ in 0..2 {
        assert_eq!(machine.secret("mara").await, secret);
        let changes = machine.get(CHANGES).await.assert_ok().json();
        assert!(changes["users"][0]["version"].is_string(), "{changes}");
        site.minutes(1).await;
    }
}

#[tokio::test]
async fn a_grant_whose_app_is_no_longer_declared_is_not_the_providers_fault() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.renewed", "octocat").await;
    let machine = Machine::of(&site, "acme.renewed").await;
    let secret = machine.secret("mara").await;
    let config = crate::site::usual(&site.forge);
    let from = config.find("[[oauth_app]]\nid = \"renewed\"").unwrap();
    let to = config.find("[[oauth_app]]\nid = \"other-app\"").unwrap();
    let runtime = "authorization = \"oauth2\", oauth_app = \"renewed\"";
    let without = [&config[..from], &config[to..]].concat().replace(runtime, "repository = \"acme/infra\"");
    let site = site.restart(&without).await;
    let machine = Machine::with(&site, &machine.key);
    assert_eq!(machine.secret("mara").await, secret, "it still lives");
    site.pass(Duration::from_secs(8 * 60 * 60)).await;
    assert_problem(&machine.fetch("mara").await, StatusCode::CONFLICT, "app_not_declared", "ended");
}

#[tokio::test]
async fn what_was_fetched_is_known_while_it_is_written_as_well() {
    let (site, _mara, machine, _) = scene().await;
    machine.fetch("mara").await.assert_ok();
    let mara = user(&site, "mara").await;
    let held = async || site.site.holdings.of(&mara).await.unwrap().len();
    assert_eq!(held().await, 1);
    // Somebody else writes into the database, so that this has to wait.
    let mut other =
        sqlx::sqlite::SqliteConnectOptions::new().filename(site.database()).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let mut writing = std::pin::pin!(site.site.holdings.write());
    assert!(futures_util::poll!(&mut writing).is_pending());
    assert_eq!(held().await, 1);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    writing.await.unwrap();
    assert_eq!(held().await, 1);
}

#[tokio::test]
async fn a_request_is_within_the_bounds_that_are_described() {
    let (site, _mara, machine, _) = scene().await;
    let api = site.anonymous().get("/runtime/v1/openapi.json").await.assert_ok().json();
    let good = [
        (CREDENTIAL, json!({ "user": "mara", "git_url": machine.git_url, "version": "v" })),
        (REPORT, json!({ "user": "mara", "version": "v", "outcome": "used" })),
    ];
    let mut tried = 0;
    for ((path, good), schema) in good.into_iter().zip(["CredentialRequest", "Report"]) {
        for (field, described) in api["components"]["schemas"][schema]["properties"].as_object().unwrap() {
            let with = async |text: String| {
                let mut body = good.clone();
                body[field] = json!(text);
                machine.post(path, &body).await
            };
            if let Some(longest) = described["maxLength"].as_u64().map(|longest| longest as usize) {
                let answer = with("é".repeat(longest)).await;
                assert!(!answer.text().contains("malformed"), "{field}: {}", answer.text());
                let answer = with("a".repeat(longest + 1)).await;
                assert_problem(&answer, StatusCode::BAD_REQUEST, "malformed", field);
                tried += 1;
            }
            if described["minLength"] == 1 {
                assert_problem(&with(String::new()).await, StatusCode::BAD_REQUEST, "malformed", field);
            }
        }
    }
    let parameters = api["paths"][CHANGES]["get"]["parameters"].as_array().unwrap();
    let after = parameters.iter().find(|parameter| parameter["name"] == "after").unwrap();
    let longest = after["schema"]["maxLength"].as_u64().unwrap() as usize;
    let with = async |length| machine.get(&format!("{CHANGES}?after={}", "a".repeat(length))).await;
    with(longest).await.assert_ok();
    assert_problem(&with(longest + 1).await, StatusCode::BAD_REQUEST, "malformed", "after");
    assert_eq!(tried, 5, "user twice, version twice, the address");
}

#[tokio::test]
async fn an_ended_key_is_in_the_accounts_log_whatever_else_comes_from_there() {
    let (site, mara, machine, _) = scene().await;
    let wrong = Machine::with(&site, "gwr_0000000000000000_wrong");
    assert_problem(&wrong.fetch("mara").await, StatusCode::UNAUTHORIZED, "key_unknown", "wrong");
    let operator = By::new(Actor::Operator);
    site.site.runtime_keys.revoke(&"acme.production".into(), machine.public_id(), &operator).await.unwrap();
    for _ in 0..3 {
        assert_problem(&machine.fetch("mara").await, StatusCode::UNAUTHORIZED, "key_revoked", "revoked");
    }
    let row: String = ask(
        &site.database(),
        "SELECT group_concat(actor || ' ' || actor_id || ' ' || account_id || ' ' || runtime_id) FROM audit \
         WHERE action = 'runtime-key.refused' AND reason = 'key_revoked'",
    )
    .await;
    assert_eq!(row, format!("runtime-key {} acme acme.production", machine.public_id()), "once");
    let page = mara.get("/admin/accounts/acme/audit").await;
    assert!(page.assert_ok().text().contains(machine.public_id()), "{}", page.text());
}

#[tokio::test]
async fn the_description_for_people_knows_who_reads_it_and_their_key_opens_nothing_there() {
    let (site, mara, machine, _) = scene().await;
    let head = |page: &Answer| page.assert_ok().text().split("<main").next().unwrap().to_owned();
    assert!(head(&mara.get("/runtime/v1/docs").await).contains("Menu of mara"));
    for page in [site.anonymous().get("/runtime/v1/docs").await, machine.get("/runtime/v1/docs").await] {
        assert!(!head(&page).contains("Menu of"));
    }
}

#[tokio::test]
async fn the_description_names_every_route_and_code() {
    let site = TestSite::start().await;
    let anonymous = site.anonymous();
    let answer = anonymous.get("/runtime/v1/openapi.json").await;
    let api = answer.assert_ok().json();
    assert_eq!(api["openapi"], "3.1.0");
    let routes: Vec<_> = server::web::routes()
        .into_iter()
        .filter(|route| route.door == server::web::Door::RuntimeKey)
        .collect();
    assert_eq!(api["paths"].as_object().unwrap().len(), routes.len());
    let docs = anonymous.get("/runtime/v1/docs").await;
    let page = docs.assert_ok().text();
    assert_eq!(page.matches("curl -sS -H").count(), routes.len(), "an example of each");
    for word in ["scopes_missing", "rejected", "bearer"] {
        assert!(page.contains(&format!("<code>{word}</code>")), "what may stand in a field: {word}");
    }
    for route in routes {
        let operation = &api["paths"][&route.path][route.method.as_str().to_lowercase()];
        assert!(
            operation["responses"]["401"]["content"]["application/problem+json"].is_object(),
            "{}",
            route.path
        );
        assert_eq!(operation["security"], json!([{ "key": [] }]), "{}", route.path);
        assert!(page.contains(&route.path), "{}", route.path);
        assert_eq!(operation["tags"], json!(["runtime"]), "{}", route.path);
        for status in ["405", "413", "503"] {
            assert!(operation["responses"][status].is_object(), "{} {status}", route.path);
        }
    }
    for code in server::wire::Code::ALL {
        let word = serde_json::to_value(code).unwrap();
        let word = word.as_str().unwrap();
        assert!(page.contains(&format!("id=\"{word}\"")), "{word}");
        assert!(answer.text().contains(&format!("\"{word}\"")), "{word}");
    }
    assert!(!page.contains("<script"), "nothing runs there");
    let mut referred =
        answer.text().split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert!(
        referred.all(|name| api["components"]["schemas"][name].is_object()),
        "nothing refers to what is not there"
    );
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
    assert_eq!(api["components"]["schemas"]["CredentialRequest"]["additionalProperties"], json!(false));
}

#[tokio::test]
async fn mara_signs_in_again_and_nothing_changes_for_the_runtime() {
    let (_site, mara, machine, _) = scene().await;
    let version = machine.version("mara").await;
    mara.sign_in("mara", PASSWORD).await.assert_ok();
    assert_eq!(machine.version("mara").await, version);
}

/// The key on a page, if there is one.
fn shown_key(page: &str) -> Option<String> {
    let at = page
        .match_indices("gwr_")
        .find(|(at, _)| page[*at..].len() > 85 && !page[at + 4..at + 24].contains('…'))?
        .0;
    Some(page[at..at + 85].to_owned())
}

#[tokio::test]
async fn an_admin_makes_rotates_and_revokes_keys_on_a_page() {
    const PAGE: &str = "/admin/runtimes/acme.production";
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let send = async |fields: &[(&str, &str)]| mara.submit(PAGE, PAGE, fields).await;
    let empty = mara.get(PAGE).await;
    assert!(empty.assert_ok().text().contains("Create key") && !empty.text().contains("Rotate key"));

    let made = send(&[("what", "create")]).await;
    let first = Machine::with(&site, &shown_key(made.assert_ok().text()).expect("a key"));
    first.get(USERS).await.assert_ok();
    site.site.holdings.write().await.unwrap();
    let page = mara.get(PAGE).await;
    assert_eq!(shown_key(page.assert_ok().text()), None, "shown once");
    assert!(page.text().contains("last used just now"));
    // Sent twice, as by a page that is loaded again.
    let again = send(&[("what", "create")]).await;
    assert_eq!((again.status, shown_key(again.text())), (StatusCode::CONFLICT, None));

    let latest = first.public_id();
    let rotated = send(&[("what", "rotate"), ("key", latest)]).await;
    let second = Machine::with(&site, &shown_key(rotated.assert_ok().text()).expect("a key"));
    let again = send(&[("what", "rotate"), ("key", latest)]).await;
    assert_eq!((again.status, shown_key(again.text())), (StatusCode::CONFLICT, None));
    first.get(USERS).await.assert_ok();
    second.get(USERS).await.assert_ok();

    let asked = send(&[("what", "revoke"), ("key", latest)]).await;
    assert!(asked.assert_ok().text().contains("Revoke this key?"));
    assert!(!asked.text().contains("the only valid key"), "the second one is");
    first.get(USERS).await.assert_ok();
    let revoked = send(&[("what", "revoke"), ("key", latest), ("sure", "yes")]).await;
    assert!(revoked.assert_ok().text().contains("opens nothing any more"));
    assert_problem(&first.get(USERS).await, StatusCode::UNAUTHORIZED, "key_revoked", "revoked");
    second.get(USERS).await.assert_ok();
    for nonsense in [&[][..], &[("what", "nonsense")], &[("key", latest)]] {
        assert_eq!(send(nonsense).await.status, StatusCode::BAD_REQUEST, "{nonsense:?}");
    }
    for (gone, sure) in [("nonsense", ""), ("nonsense", "yes"), (latest, "")] {
        let answer = send(&[("what", "revoke"), ("key", gone), ("sure", sure)]).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{gone} {sure:?}");
    }
    let twice = send(&[("what", "revoke"), ("key", latest), ("sure", "yes")]).await;
    assert!(twice.assert_ok().text().contains("opens nothing any more"));
    let last = send(&[("what", "revoke"), ("key", second.public_id())]).await;
    assert!(last.assert_ok().text().contains("the only valid key"));
    second.get(USERS).await.assert_ok();
}

#[tokio::test]
async fn members_and_admins_of_other_accounts_find_no_keys() {
    let (site, _mara, machine, _) = scene().await;
    let before = site.dump().await;
    for name in ["both", "jonas"] {
        let browser = site.person(name).await;
        let after = site.dump().await.without("users").without("sessions").without("one_time_links");
        for path in ["/admin/runtimes/acme.production", "/admin/runtimes/nonsense", "/admin/runtimes/%2e%2e"]
        {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name} {path}");
            assert!(!answer.text().contains(machine.public_id()), "{name} {path}");
            let revoke = [("what", "revoke"), ("key", machine.public_id()), ("sure", "yes")];
            for form in [
                &revoke[..2],
                &revoke[..],
                &[("what", "create")],
                &[("what", "rotate"), ("key", machine.public_id())],
            ] {
                assert_eq!(
                    browser.submit(path, path, form).await.status,
                    StatusCode::NOT_FOUND,
                    "{name} {path}"
                );
            }
        }
        assert_eq!(
            site.dump().await.without("users").without("sessions").without("one_time_links"),
            after,
            "{name}"
        );
    }
    assert_eq!(before.0["runtime_keys"], site.dump().await.0["runtime_keys"]);
}

#[tokio::test]
async fn keys_are_made_and_revoked_by_the_command_line() {
    let (site, _mara, machine, _) = scene().await;
    let folder = site.folder();
    let run = |arguments: &[&str]| {
        let output = crate::program::run(folder, arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run(&["runtime-key", "create", "acme.staging"]);
    assert_eq!((code, out.len()), (Some(0), 86), "the key and the end of the line: {err}");
    let staging = Machine::with(&site, out.trim());
    staging.get(USERS).await.assert_ok();
    assert!(!err.contains(&out.trim()[21..]), "on stdout alone");
    let (code, out, err) = run(&["runtime-key", "create", "acme.staging"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("rotate"), "{err}");
    let (code, _, err) = run(&["runtime-key", "create", "acme.nonsense"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("no runtime"), "{err}");

    let (code, out, _) = run(&["runtime-key", "rotate", "acme.staging"]);
    assert_eq!(code, Some(0));
    let next = Machine::with(&site, out.trim());
    let (code, _, _) = run(&["runtime-key", "revoke", "acme.staging", staging.public_id()]);
    assert_eq!(code, Some(0));
    assert_problem(&staging.get(USERS).await, StatusCode::UNAUTHORIZED, "key_revoked", "revoked");
    next.get(USERS).await.assert_ok();
    machine.get(USERS).await.assert_ok();
    let (code, out, _) = run(&["runtime-key", "list", "acme.staging"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2));
    assert!(lines[0].starts_with(next.public_id()) && lines[0].contains("valid"), "{out}");
    assert!(lines[1].starts_with(staging.public_id()) && lines[1].contains("revoked"), "{out}");
    assert!(!out.contains(next.secret_part()));
    let operators: i64 = ask(
        &site.database(),
        "SELECT count(*) FROM audit WHERE actor = 'operator' AND action LIKE 'runtime-key.%'",
    )
    .await;
    assert_eq!(operators, 4, "made for production and staging, rotated, revoked");
}

#[tokio::test]
async fn the_page_says_what_the_runtime_holds() {
    let (site, mara, machine, _) = scene().await;
    let says = async || {
        let page = mara.get("/tokens/acme.production").await;
        let list = mara.get("/tokens").await;
        let sentences = ["Never fetched", "Last fetched", "still holds the previous token"];
        let said =
            |text: &str| sentences.into_iter().filter(|sentence| text.contains(sentence)).collect::<Vec<_>>();
        assert_eq!(said(page.assert_ok().text()), said(list.assert_ok().text()), "list and page agree");
        said(page.text())
    };
    assert_eq!(says().await, ["Never fetched"]);
    let version = machine.version("mara").await;
    site.minutes(3).await;
    assert_eq!(says().await, ["Last fetched"]);
    assert!(mara.get("/tokens").await.text().contains(">3 minutes ago</time>"));

    let other = site.forge.good_token().await;
    mara.paste("acme.production", &other.token).await.assert_ok();
    site.minutes(1).await;
    assert_eq!(says().await, ["still holds the previous token"]);
    let newer = machine.version("mara").await;
    site.minutes(1).await;
    assert_eq!(says().await, ["Last fetched"], "it never says what it uses, so what it fetched counts");

    // One that says what it uses is believed.
    let used = async |version: &str| {
        let report = json!({ "user": "mara", "version": version, "outcome": "used" });
        machine.post(REPORT, &report).await.assert_ok();
        site.minutes(1).await;
    };
    used(&version).await;
    assert_eq!(says().await, ["still holds the previous token"]);
    // And not for ever: it may well stop saying so.
    machine.version("mara").await;
    site.minutes(1).await;
    assert_eq!(says().await, ["Last fetched"], "it fetched the new one since");
    used(&version).await;
    assert_eq!(says().await, ["still holds the previous token"]);
    used(&newer).await;
    assert_eq!(says().await, ["Last fetched"]);
}
