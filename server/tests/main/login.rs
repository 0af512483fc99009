//! To the provider's sign-in and back, and all the ways in which that fails.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::{
    database::ask,
    forge::Forge,
    site::{Answer, Browser, TestSite, usual},
};

/// `url` with a parameter changed, added, or (`None`) taken away.
fn with(url: &Url, name: &str, value: Option<&str>) -> Url {
    let mut changed = url.clone();
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(kept);
    if let Some(value) = value {
        changed.query_pairs_mut().append_pair(name, value);
    }
    changed
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// Mara has a token for staging already; it must survive whatever happens.
struct Scene {
    site: TestSite,
    mara: Browser,
}

impl Scene {
    async fn set() -> Self {
        Self::on(TestSite::start().await).await
    }

    async fn on(site: TestSite) -> Self {
        let mara = site.person("mara").await;
        let made = site.forge.good_token().await;
        mara.paste("acme.staging", &made.token).await.assert_ok();
        Self { site, mara }
    }

    /// Mara agreed at the provider, which sends her back there.
    async fn agreed(&self) -> Url {
        let there = self.mara.connect("acme.staging").await;
        self.site.forge.agree("octocat", &there).await
    }

    /// The browser comes back and is told of this problem; the old token serves on, and there is no other.
    async fn refuses(&self, browser: &Browser, back: &Url, problem: &str) -> Answer {
        let before = self.site.dump().await;
        let answer = browser.come_back(back).await;
        let place = answer.location();
        let told = format!("/tokens?problem={problem}");
        assert!(
            place == told || place.starts_with(&format!("{told}&")),
            "{back} led to {place}, not to {told}"
        );
        for secret in ["state", "code", "error"] {
            let secret = parameter(back, secret);
            assert!(secret.len() < 8 || !place.contains(&secret), "{place}");
        }
        let after = self.site.dump().await;
        assert_eq!(before.0["credentials"], after.0["credentials"], "{problem}");
        assert_eq!(before.0["assignments"], after.0["assignments"], "{problem}");
        answer
    }
}

#[tokio::test]
async fn a_form_leads_to_the_provider_by_a_page_and_never_by_a_redirect() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let answer = mara.submit("/tokens/acme.production", "/connect/acme.production", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.headers.contains_key("location") && !answer.headers.contains_key("refresh"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(!answer.text().contains("<script"));
    let there = crate::site::forwarded(&answer);
    assert_eq!(there.origin().ascii_serialization(), site.forge.url);
    assert_eq!(there.path(), "/login/oauth/authorize");
    assert_eq!(parameter(&there, "client_id"), "gitward-demo");
    assert_eq!(parameter(&there, "response_type"), "code");
    assert_eq!(parameter(&there, "redirect_uri"), "http://127.0.0.1:3000/callback/forge");
    assert_eq!(parameter(&there, "scope"), "repo");
    assert_eq!(parameter(&there, "code_challenge_method"), "S256");
    assert_eq!(parameter(&there, "code_challenge").len(), 43);
    assert_eq!(parameter(&there, "state").len(), 43);
    let again = mara.connect("acme.production").await;
    assert_ne!(parameter(&there, "state"), parameter(&again, "state"));
    assert_ne!(parameter(&there, "code_challenge"), parameter(&again, "code_challenge"));
    assert_eq!(mara.health("acme.production").await, "AuthorizationPending");
}

#[tokio::test]
async fn an_authorization_that_comes_back_serves_its_runtime() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let answer = mara.authorize(&site.forge, "acme.production", "octocat").await;
    assert_eq!(answer.location(), "/tokens?did=added&runtime=acme.production#acme.production");
    assert_eq!(mara.health("acme.production").await, "Valid");
    assert_eq!(site.forge.asked("POST /login/oauth/access_token").await, 1);
    let requests = site.forge.control(Method::GET, "requests", Value::Null).await;
    let exchange = requests
        .as_array()
        .unwrap()
        .iter()
        .find(|asked| asked["path"] == "/login/oauth/access_token")
        .unwrap();
    let keys = exchange["body_keys"].to_string();
    for key in ["code", "code_verifier", "redirect_uri", "client_id", "client_secret", "grant_type"] {
        assert!(keys.contains(&format!("{key:?}")), "{key} in {keys}");
    }
    assert_eq!(exchange["query_keys"], json!([]), "no secret in an address");
    assert_eq!(site.dump().await.rows("login_attempts"), 0);
}

#[tokio::test]
async fn a_state_that_is_not_ours_is_refused() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    for state in [
        None,
        Some(""),
        Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        Some("\u{0}\n<script>"),
        Some(&"x".repeat(5000)),
    ] {
        scene.refuses(&scene.mara, &with(&back, "state", state), "not-yours").await;
    }
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 0, "no code was exchanged");
    // All of that did not use the real one up.
    assert!(scene.mara.come_back(&back).await.location().starts_with("/tokens?did=added"));
}

#[tokio::test]
async fn an_answer_counts_once() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    assert!(scene.mara.come_back(&back).await.location().starts_with("/tokens?did=added"));
    scene.refuses(&scene.mara, &back, "not-yours").await;
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 1);
}

#[tokio::test]
async fn an_answer_that_failed_counts_no_second_time() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    scene.refuses(&scene.mara, &with(&back, "code", None), "code-refused").await;
    scene.refuses(&scene.mara, &back, "not-yours").await;
}

#[tokio::test]
async fn two_answers_at_once_count_once() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    let (one, two) = tokio::join!(scene.mara.come_back(&back), scene.mara.come_back(&back));
    let good =
        [&one, &two].iter().filter(|answer| answer.location().starts_with("/tokens?did=added")).count();
    assert_eq!(good, 1);
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 1);
}

#[tokio::test]
async fn only_who_began_may_finish_and_only_in_the_same_session() {
    let scene = Scene::set().await;
    let Scene { site, mara } = &scene;
    let both = site.person("both").await;
    let again = site.anonymous();
    again.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
    for other in [&both, &again] {
        let back = scene.agreed().await;
        scene.refuses(other, &back, "not-yours").await;
        // Whoever got hold of the address has used it up.
        scene.refuses(mara, &back, "not-yours").await;
    }
    // Somebody else's answer in Mara's browser: she must not get a token that is theirs.
    let theirs = both.connect("acme.staging").await;
    let back = site.forge.agree("hubot", &theirs).await;
    scene.refuses(mara, &back, "not-yours").await;
    assert_eq!(site.forge.asked("POST /login/oauth/access_token").await, 0, "no code was exchanged");
}

#[tokio::test]
async fn a_stranger_who_comes_back_signs_in_and_is_told() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    let answer = scene.site.anonymous().come_back(&back).await;
    assert_eq!(answer.location(), "/sign-in?then=/tokens%3Fproblem%3Dnot-yours");
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 0);
}

#[tokio::test]
async fn an_authorization_ends_with_its_session() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    scene.mara.call("person/sign-out", &[]).await;
    assert!(scene.mara.come_back(&back).await.location().starts_with("/sign-in"));
    scene.mara.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
    scene.refuses(&scene.mara, &back, "not-yours").await;
}

#[tokio::test]
async fn an_answer_at_another_providers_address_is_refused() {
    let scene = Scene::set().await;
    for path in ["/callback/other", "/callback/nonsense"] {
        let mut back = scene.agreed().await;
        back.set_path(path);
        scene.refuses(&scene.mara, &back, "not-yours").await;
    }
    assert_eq!(
        scene.site.forge.asked("POST /login/oauth/access_token").await,
        0,
        "no code went to the wrong host"
    );
}

#[tokio::test]
async fn ten_minutes_are_too_late() {
    let scene = Scene::set().await;
    let early = scene.agreed().await;
    scene.site.clock.advance(Duration::from_secs(10 * 60 - 1));
    assert!(scene.mara.come_back(&early).await.location().starts_with("/tokens?did=added"));
    let late = scene.agreed().await;
    scene.site.clock.advance(Duration::from_secs(10 * 60));
    scene.refuses(&scene.mara, &late, "too-late").await;
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 1);
}

#[tokio::test]
async fn an_answer_that_names_another_issuer_is_not_believed() {
    let scene = Scene::set().await;
    scene.site.forge.set(json!({ "iss": "https://evil.example" })).await;
    let back = scene.agreed().await;
    scene.refuses(&scene.mara, &back, "wrong-issuer").await;
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 0);
    let right = format!("{}/login/oauth", scene.site.forge.url);
    scene.site.forge.set(json!({ "iss": right })).await;
    let back = scene.agreed().await;
    assert!(scene.mara.come_back(&back).await.location().starts_with("/tokens?did=added"));
}

#[tokio::test]
async fn a_no_is_a_no() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let there = mara.connect("acme.staging").await;
    let back = site.forge.cancel("octocat", &there).await;
    assert_eq!(parameter(&back, "error"), "access_denied");
    let answer = mara.come_back(&back).await;
    assert_eq!(answer.location(), "/tokens?problem=denied&runtime=acme.staging#acme.staging");
    assert_eq!(mara.health("acme.staging").await, "AuthorizationDenied");
    assert_eq!(site.forge.asked("POST /login/oauth/access_token").await, 0);
}

#[tokio::test]
async fn errors_are_told_in_our_own_words() {
    let scene = Scene::set().await;
    let canary = "<script>alert('reflected')</script>";
    for (error, problem) in [
        ("access_denied", "denied"),
        ("server_error", "unreachable"),
        ("temporarily_unavailable", "unreachable"),
        ("application_suspended", "app-refused"),
        ("redirect_uri_mismatch", "app-refused"),
        ("invalid_scope", "app-refused"),
        ("", "app-refused"),
        (canary, "app-refused"),
    ] {
        // Also where a code comes along.
        let back =
            with(&with(&scene.agreed().await, "error", Some(error)), "error_description", Some(canary));
        let back = with(&back, "error_uri", Some("javascript:alert('reflected')"));
        let answer = scene.refuses(&scene.mara, &back, problem).await;
        let page = scene.mara.get(answer.location().split('#').next().unwrap()).await;
        for text in [answer.location(), answer.text(), page.text()] {
            assert!(!text.contains("reflected"), "{error}");
        }
    }
    assert_eq!(scene.site.forge.asked("POST /login/oauth/access_token").await, 0);
}

#[tokio::test]
async fn a_suspended_app_is_the_operators_business() {
    let scene = Scene::set().await;
    let there = scene.mara.connect("acme.staging").await;
    scene.site.forge.set(json!({ "app_suspended": true })).await;
    let back = scene.site.forge.agree("octocat", &there).await;
    scene.refuses(&scene.mara, &back, "app-refused").await;
}

#[tokio::test]
async fn a_code_that_the_provider_refuses_brings_nothing() {
    let scene = Scene::set().await;
    for code in [None, Some(""), Some("0123456789abcdef0123")] {
        let back = with(&scene.agreed().await, "code", code);
        scene.refuses(&scene.mara, &back, "code-refused").await;
    }
    scene.site.forge.set(json!({ "unverified_email": true })).await;
    let back = scene.agreed().await;
    scene.refuses(&scene.mara, &back, "code-refused").await;
}

#[tokio::test]
async fn a_code_of_another_authorization_is_refused_for_its_verifier() {
    let scene = Scene::set().await;
    let stolen = parameter(&scene.agreed().await, "code");
    let back = with(&scene.agreed().await, "code", Some(&stolen));
    scene.refuses(&scene.mara, &back, "code-refused").await;
}

#[tokio::test]
async fn a_provider_in_trouble_is_no_refusal() {
    let scene = Scene::set().await;
    for fault in [
        json!({ "on": "token", "fault": "status", "status": 503 }),
        json!({ "on": "token", "fault": "status", "status": 403 }),
        json!({ "on": "token", "fault": "html" }),
        json!({ "on": "token", "fault": "drop" }),
        json!({ "on": "token", "fault": "drop_reply" }),
        json!({ "on": "token", "fault": "garbage_json" }),
        json!({ "on": "token", "fault": "endless" }),
        json!({ "on": "token", "fault": "empty" }),
        json!({ "on": "token", "fault": "rate_limit" }),
        json!({ "on": "token", "fault": "secondary_rate_limit" }),
        json!({ "on": "token", "fault": "redirect", "location": "/elsewhere" }),
        json!({ "on": "token", "fault": "oauth_error", "error": "something_new" }),
        json!({ "on": "user", "fault": "status", "status": 500 }),
        json!({ "on": "user", "fault": "rate_limit" }),
        json!({ "on": "user", "fault": "html" }),
    ] {
        scene.site.forge.fault(fault).await;
        let back = scene.agreed().await;
        scene.refuses(&scene.mara, &back, "unreachable").await;
        scene.site.forge.heal().await;
    }
    assert_eq!(scene.site.forge.asked("GET /elsewhere").await, 0, "redirects are not followed");
    assert_eq!(scene.mara.health("acme.staging").await, "Valid");
}

#[tokio::test]
async fn an_app_with_a_wrong_secret_is_the_operators_business() {
    let forge = Forge::start().await;
    let config = usual(&forge).replace("\"gitward-demo-secret\"", "\"a-wrong-secret\"");
    let scene = Scene::on(TestSite::start_with(forge, &config).await).await;
    let back = scene.agreed().await;
    scene.refuses(&scene.mara, &back, "app-refused").await;
}

#[tokio::test]
async fn a_runtime_that_vanished_meanwhile_gets_nothing() {
    let gone = [
        // The runtime, the membership, the app: whatever left the configuration.
        ("name = \"staging\"", "name = \"renamed\"", "not-yours"),
        ("{ user = \"mara\", role = \"admin\" }, ", "", "not-yours"),
    ];
    for (from, to, problem) in gone {
        let forge = Forge::start().await;
        let config = usual(&forge);
        let scene = Scene::on(TestSite::start_with(forge, &config).await).await;
        let back = scene.agreed().await;
        let changed = config.replace(from, to);
        assert_ne!(changed, config);
        let site = scene.site.restart(&changed).await;
        let mara = site.anonymous();
        mara.take_cookie(&scene.mara.cookie_header());
        let before = site.dump().await;
        let answer = mara.come_back(&back).await;
        assert!(
            answer.location().starts_with(&format!("/tokens?problem={problem}")),
            "{}",
            answer.location()
        );
        let after = site.dump().await;
        assert_eq!(
            (&before.0["credentials"], &before.0["assignments"]),
            (&after.0["credentials"], &after.0["assignments"])
        );
    }
}

#[tokio::test]
async fn a_token_that_was_deleted_meanwhile_does_not_come_back() {
    let scene = Scene::set().await;
    let back = scene.agreed().await;
    scene.mara.call("token/delete", &[("runtime", "acme.staging")]).await.assert_ok();
    scene.refuses(&scene.mara, &back, "not-yours").await;
    assert_eq!(scene.mara.health("acme.staging").await, "NoToken");
}

#[tokio::test]
async fn a_runtime_without_oauth_offers_none() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let answer = mara.submit("/tokens/acme.paste", "/connect/acme.paste", &[]).await;
    assert_eq!(answer.location(), "/tokens?problem=not-set-up&runtime=acme.paste#acme.paste");
    assert_eq!(site.dump().await.rows("login_attempts"), 0);
}

#[tokio::test]
async fn one_grant_serves_eleven_runtimes_though_the_provider_ends_the_oldest_of_more_than_ten() {
    let forge = Forge::start().await;
    let names: Vec<String> = (1..=11).map(|number| format!("many-{number:02}")).collect();
    let many: String = names
        .iter()
        .map(|name| format!("  {{ name = \"{name}\", provider = \"forge\", authorization = \"oauth2\", oauth_app = \"app\" }},\n"))
        .collect();
    let config = usual(&forge).replacen("runtime = [\n", &format!("runtime = [\n{many}"), 1);
    let site = TestSite::start_with(forge, &config).await;
    let mara = site.person("mara").await;
    for name in &names {
        let answer = mara.authorize(&site.forge, &format!("acme.{name}"), "octocat").await;
        assert!(answer.location().starts_with("/tokens?did=added"), "{name}: {}", answer.location());
    }
    assert!(site.forge.tokens().await.iter().any(|token| token["revoked"] == true), "the host did end one");
    assert_eq!(site.dump().await.rows("credentials"), 1, "one row for one grant");
    for name in &names {
        mara.check(&format!("acme.{name}")).await.assert_ok();
        assert_eq!(mara.health(&format!("acme.{name}")).await, "Valid", "{name}");
    }
}

#[tokio::test]
async fn a_shared_grant_keeps_the_scopes_of_all_runtimes_that_use_it() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.hooks", "octocat").await;
    assert_eq!(mara.health("acme.hooks").await, "Valid");
    mara.authorize(&site.forge, "acme.staging", "octocat").await;
    assert_eq!(site.dump().await.rows("credentials"), 1);
    for runtime in ["acme.staging", "acme.hooks"] {
        mara.check(runtime).await.assert_ok();
        assert_eq!(mara.health(runtime).await, "Valid", "{runtime}");
    }
}

#[tokio::test]
async fn a_grant_serves_only_runtimes_that_are_set_up_for_its_app() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let there = mara
        .connect_with("acme.staging", &["acme.paste", "acme.renewed", "acme.production", "globex.production"])
        .await;
    let back = site.forge.agree("octocat", &there).await;
    assert!(mara.come_back(&back).await.location().starts_with("/tokens?did=added"));
    assert_eq!(mara.health("acme.production").await, "Valid", "the same app");
    assert_eq!(mara.health("acme.paste").await, "NoToken", "tokens only");
    assert_eq!(mara.health("acme.renewed").await, "NoToken", "another app");
    let credential: String = ask(&site.database(), "SELECT id FROM credentials").await;
    for runtime in ["acme.paste", "acme.renewed"] {
        assert_eq!(mara.access(runtime).await["reusable"], json!([]), "{runtime}");
        let answer = mara.call("token/reuse", &[("runtime", runtime), ("credential", &credential)]).await;
        assert_eq!(
            (answer.status, answer.error()),
            (StatusCode::UNPROCESSABLE_ENTITY, "MethodNotOffered".into())
        );
        assert_eq!(mara.health(runtime).await, "NoToken");
    }
}

#[tokio::test]
async fn another_persons_account_waits_for_a_decision() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    mara.authorize(&site.forge, "acme.staging", "octocat").await;
    for take in ["false", "true"] {
        let answer = mara.authorize(&site.forge, "acme.staging", "hubot").await;
        assert_eq!(answer.location(), "/tokens/acme.staging");
        assert_eq!(mara.health("acme.staging").await, "AnotherAccount");
        assert_eq!(mara.access("acme.staging").await["row"]["token"]["login"], "octocat", "serves on");
        let settled = mara.call("token/settle-account", &[("runtime", "acme.staging"), ("take", take)]).await;
        settled.assert_ok();
        let access = mara.access("acme.staging").await;
        let login = if take == "true" { "hubot" } else { "octocat" };
        assert_eq!(access["row"]["token"]["login"], login);
        assert_eq!(access["refusal"], json!(null));
        assert_eq!(site.dump().await.rows("credentials"), 1);
        mara.check("acme.staging").await.assert_ok();
        assert_eq!(mara.health("acme.staging").await, "Valid");
    }
    let again = mara.call("token/settle-account", &[("runtime", "acme.staging"), ("take", "true")]).await;
    assert_eq!((again.status, again.error()), (StatusCode::CONFLICT, "TokenGone".into()));
}
