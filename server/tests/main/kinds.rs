//! The same at hosts of several kinds: a token is pasted, may not push, dies; a grant is authorized and renewed. To add a
//! kind, add its row to [`kinds`].

use std::time::Duration;

use axum::http::{Method, StatusCode};
use forge::Shape;
use serde_json::{Value, json};

use crate::{
    database::ask,
    forge::{Forge, Made},
    site::{Browser, PASSWORD, TestSite, at_a},
};

/// A kind of host, and what is good there.
pub struct Kind {
    /// As the configuration writes it.
    pub word: &'static str,
    pub shape: Shape,
    /// A token that may do what runtimes need, and how the page calls it.
    pub good: Value,
    label: &'static str,
    /// One that may only read, and what is said of it.
    pub weak: Value,
    weakness: &'static str,
    /// What is pasted with a token.
    pub more: &'static [(&'static str, &'static str)],
    /// Whether a pasted token shows its scopes.
    scopes_visible: bool,
    /// What is asked to know whose a token is, below the host's own path.
    identity: &'static str,
    /// Where codes and refresh tokens go, likewise.
    token: &'static str,
    /// How long a grant's access token lives.
    pub life: Duration,
    /// What is answered to a refresh token that was taken back.
    taken_back: &'static str,
}

impl Kind {
    pub fn is(&self, word: &str) -> bool {
        self.word == word
    }

    /// Where codes and refresh tokens go at this host, as its list of requests has it.
    pub fn token_requests(&self, forge: &Forge) -> String {
        format!("POST {}", path_at(forge, self.token))
    }
}

pub fn kinds() -> Vec<Kind> {
    vec![
        Kind {
            word: "gitlab",
            shape: Shape::Gitlab,
            good: json!({ "user": "octocat", "scopes": ["read_api", "write_repository"] }),
            label: "Personal access token",
            weak: json!({ "user": "octocat", "scopes": ["read_api", "read_repository"] }),
            weakness: "ScopesMissing",
            more: &[],
            scopes_visible: true,
            identity: "/api/v4/personal_access_tokens/self",
            token: "/oauth/token",
            life: Duration::from_secs(2 * 60 * 60),
            taken_back: "invalid_grant",
        },
        Kind {
            word: "gitea",
            shape: Shape::Gitea,
            good: json!({ "user": "octocat", "scopes": ["read:user", "write:repository"] }),
            label: "Access token",
            weak: json!({ "user": "octocat", "scopes": ["read:user", "read:repository"] }),
            weakness: "CannotPush",
            more: &[],
            scopes_visible: false,
            identity: "/api/v1/user",
            token: "/login/oauth/access_token",
            life: Duration::from_secs(60 * 60),
            taken_back: "unauthorized_client",
        },
        Kind {
            word: "bitbucket-data-center",
            shape: Shape::BitbucketDataCenter,
            good: json!({ "user": "octocat", "scopes": ["PROJECT_READ", "REPO_WRITE"] }),
            label: "HTTP access token",
            weak: json!({ "user": "octocat", "scopes": ["PROJECT_READ", "REPO_READ"] }),
            weakness: "CannotPush",
            more: &[],
            scopes_visible: false,
            identity: "/rest/api/latest/application-properties",
            token: "/rest/oauth2/latest/token",
            life: Duration::from_secs(60 * 60),
            taken_back: "invalid_grant",
        },
    ]
}

/// Bitbucket Cloud, where a token goes with an e-mail address. What differs there is told in tests of its own.
pub fn bitbucket() -> Kind {
    let scopes = ["read:user:bitbucket", "read:repository:bitbucket", "write:repository:bitbucket"];
    Kind {
        word: "bitbucket-cloud",
        shape: Shape::Bitbucket,
        good: json!({ "user": "octocat", "kind": "api_token", "scopes": scopes }),
        label: "API token",
        weak: json!({ "user": "octocat", "kind": "api_token", "scopes": scopes[..2] }),
        weakness: "ScopesMissing",
        more: &[("user_name", "octocat@forge.example")],
        scopes_visible: true,
        identity: "/2.0/user",
        token: "/site/oauth2/access_token",
        life: Duration::from_secs(2 * 60 * 60),
        taken_back: "invalid_grant",
    }
}

/// The path of an address of the host, as its list of requests has it.
fn path_at(forge: &Forge, path: &str) -> String {
    let base = url::Url::parse(&forge.url).unwrap();
    format!("{}{path}", base.path().trim_end_matches('/'))
}

/// Mara, at a site with one provider of a kind.
pub struct Scene {
    pub site: TestSite,
    pub mara: Browser,
    kind: Kind,
}

impl Scene {
    pub async fn set(kind: Kind) -> Self {
        let forge = Forge::of(kind.shape).await;
        let config = at_a(kind.word, &forge);
        let site = TestSite::start_with(forge, &config).await;
        let mara = site.person("mara").await;
        Self { site, mara, kind }
    }

    pub async fn good_token(&self) -> Made {
        self.site.forge.make(self.kind.good.clone()).await
    }

    pub async fn renewals(&self) -> usize {
        self.site.forge.asked(&self.kind.token_requests(&self.site.forge)).await
    }

    /// Time passes, and Mara signs in again.
    pub async fn pass(&self, span: Duration) {
        self.site.pass(span).await;
        self.mara.sign_in("mara", PASSWORD).await.assert_ok();
    }

    pub async fn look(&self, runtime: &str) -> String {
        self.mara.check(runtime).await.assert_ok();
        self.mara.health(runtime).await
    }

    /// What is said of a token that was refused.
    pub async fn refusal(&self, runtime: &str, token: &str) -> String {
        let answer = self.mara.paste(runtime, token).await;
        assert_eq!((answer.status, answer.error()), (StatusCode::UNPROCESSABLE_ENTITY, "Refused".into()));
        match self.mara.access(runtime).await["refusal"].clone() {
            Value::String(name) => name,
            Value::Object(object) => object.keys().next().unwrap().clone(),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_pasted_token_serves_its_runtime_and_shows_whose_it_is() {
    for kind in kinds() {
        let scene = Scene::set(kind).await;
        let (mara, word) = (&scene.mara, scene.kind.word);
        let made = scene.good_token().await;
        mara.paste("acme.infra", &made.token).await.assert_ok();
        let row = mara.access("acme.infra").await["row"].clone();
        assert_eq!(
            row["health"],
            json!({ "Valid": { "scopes_visible": scene.kind.scopes_visible } }),
            "{word}"
        );
        assert_eq!(row["token"]["login"], "octocat", "{word}");
        assert_eq!(row["token"]["kind"], scene.kind.label, "{word}");
        assert_eq!(mara.health("acme.paste").await, "NoToken", "{word}: only what was asked for");

        let requests = scene.site.forge.control(Method::GET, "requests", Value::Null).await;
        let requests = requests.as_array().unwrap();
        let identity = path_at(&scene.site.forge, scene.kind.identity);
        let asked = requests.iter().filter(|request| request["path"] == identity.as_str()).count();
        assert_eq!(asked, 1, "{word}");
        let refused = |request: &&Value| request["status"] == 401 || request["status"] == 403;
        assert_eq!(requests.iter().find(refused), None, "{word}: a good token is not tried in vain");
        let queries: Vec<_> =
            requests.iter().flat_map(|request| request["query_keys"].as_array().unwrap()).collect();
        assert!(queries.iter().all(|key| *key == "service"), "{word}: {queries:?}");
    }
}

#[tokio::test]
async fn a_token_that_may_not_push_is_refused_where_it_would_have_to() {
    for kind in kinds() {
        let scene = Scene::set(kind).await;
        let word = scene.kind.word;
        let weak = scene.site.forge.make(scene.kind.weak.clone()).await;
        assert_eq!(scene.refusal("acme.infra", &weak.token).await, scene.kind.weakness, "{word}");
        let good = scene.good_token().await;
        assert_eq!(scene.refusal("acme.readonly", &good.token).await, "CannotPush", "{word}");
        assert_eq!(scene.refusal("acme.hidden", &good.token).await, "RepositoryHidden", "{word}");
        assert_eq!(scene.site.dump().await.rows("credentials"), 0, "{word}: nothing is kept");

        scene.mara.paste("acme.infra", &good.token).await.assert_ok();
        for (role, health) in [("read", "CannotPush"), ("none", "RepositoryHidden"), ("push", "Valid")] {
            let access = json!({ "user": "octocat", "repository": "acme/infra", "role": role });
            scene.site.forge.control(Method::POST, "access", access).await;
            assert_eq!(scene.look("acme.infra").await, health, "{word}: {role}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_unknown_or_taken_back_is_told_from_a_host_in_trouble() {
    for kind in kinds() {
        let scene = Scene::set(kind).await;
        let word = scene.kind.word;
        assert_eq!(scene.refusal("acme.paste", &"x".repeat(40)).await, "Unknown", "{word}");
        let made = scene.good_token().await;
        scene.mara.paste("acme.paste", &made.token).await.assert_ok();
        for fault in [
            json!({ "on": "any", "fault": "status", "status": 503 }),
            json!({ "on": "any", "fault": "html" }),
            json!({ "on": "any", "fault": "html", "status": 401 }),
            json!({ "on": "any", "fault": "empty" }),
            json!({ "on": "any", "fault": "garbage_json" }),
            json!({ "on": "any", "fault": "redirect" }),
            json!({ "on": "any", "fault": "drop" }),
        ] {
            scene.site.minutes(1).await;
            scene.site.forge.fault(fault.clone()).await;
            assert_eq!(scene.look("acme.paste").await, "Unreachable", "{word}: {fault}");
            scene.site.forge.heal().await;
            assert_eq!(scene.look("acme.paste").await, "Valid", "{word}: {fault}");
        }
        scene
            .site
            .forge
            .fault(json!({ "on": "any", "fault": "rate_limit", "retry_after_seconds": 60 }))
            .await;
        assert_eq!(scene.look("acme.paste").await, "RateLimited", "{word}");
        scene.site.forge.heal().await;
        scene.site.minutes(2).await;

        let jonas = scene.site.person("jonas").await;
        jonas.paste("acme.paste", &scene.good_token().await.token).await.assert_ok();
        scene.site.forge.revoke(made.id).await;
        assert_eq!(scene.look("acme.paste").await, "Checking", "{word}: one refusal is no proof");
        scene.site.minutes(10).await;
        jonas.check("acme.paste").await.assert_ok();
        assert_eq!(scene.look("acme.paste").await, "Revoked", "{word}");
        assert_eq!(jonas.health("acme.paste").await, "Valid", "{word}: nobody else's business");
    }
}

#[tokio::test]
async fn an_authorization_comes_back_and_is_renewed_before_its_end() {
    for kind in kinds() {
        let scene = Scene::set(kind).await;
        let (mara, word) = (&scene.mara, scene.kind.word);
        let answer = mara.authorize(&scene.site.forge, "acme.infra", "octocat").await;
        assert!(answer.location().starts_with("/tokens?did=added"), "{word}: {}", answer.location());
        assert_eq!(
            (mara.health("acme.infra").await.as_str(), scene.renewals().await),
            ("Valid", 1),
            "{word}"
        );
        let row = mara.access("acme.infra").await["row"].clone();
        assert_eq!(
            row["health"],
            json!({ "Valid": { "scopes_visible": true } }),
            "{word}: the grant tells them"
        );

        for renewal in 1..=3 {
            scene.pass(scene.kind.life).await;
            assert_eq!(scene.look("acme.infra").await, "Valid", "{word}: renewal {renewal}");
            assert_eq!(scene.renewals().await, 1 + renewal, "{word}");
        }
        let generation: i64 = ask(&scene.site.database(), "SELECT generation FROM credentials").await;
        assert!(generation >= 4, "{word}: {generation}");
        let expiry = mara.access("acme.infra").await["row"]["token"]["expiry"].clone();
        assert!(expiry.to_string().contains("RenewsItself"), "{word}: {expiry}");

        for token in scene.site.forge.tokens().await {
            scene.site.forge.revoke(token["id"].as_u64().unwrap()).await;
        }
        scene.pass(scene.kind.life).await;
        assert_eq!(scene.look("acme.infra").await, "Revoked", "{word}");
        let checked = mara.access("acme.infra").await["row"]["token"]["checked"].clone();
        assert_eq!(checked["answer"], scene.kind.taken_back, "{word}");
        mara.authorize(&scene.site.forge, "acme.infra", "octocat").await;
        assert_eq!(mara.health("acme.infra").await, "Valid", "{word}: in the same row");
        assert_eq!(scene.site.dump().await.rows("credentials"), 1, "{word}");
    }
}

#[tokio::test]
async fn an_authorization_that_may_not_push_says_so() {
    for kind in kinds() {
        let scene = Scene::set(kind).await;
        let (mara, word) = (&scene.mara, scene.kind.word);
        let access = json!({ "user": "octocat", "repository": "acme/infra", "role": "read" });
        scene.site.forge.control(Method::POST, "access", access).await;
        let answer = mara.authorize(&scene.site.forge, "acme.infra", "octocat").await;
        assert!(!answer.location().starts_with("/tokens?did=added"), "{word}: {}", answer.location());
        assert_eq!(mara.health("acme.infra").await, "CannotPush", "{word}");
    }
}

#[tokio::test]
async fn an_authorization_that_is_denied_changes_nothing() {
    for kind in kinds() {
        let scene = Scene::set(kind).await;
        let (mara, word) = (&scene.mara, scene.kind.word);
        let there = mara.connect("acme.infra").await;
        let back = scene.site.forge.cancel("octocat", &there).await;
        assert!(mara.come_back(&back).await.location().starts_with("/tokens?problem=denied"), "{word}");
        assert_eq!(mara.health("acme.infra").await, "AuthorizationDenied", "{word}");
        assert_eq!(scene.renewals().await, 0, "{word}");
    }
}

#[tokio::test]
async fn what_was_granted_counts_also_where_it_is_not_shown_again() {
    let kind = kinds().into_iter().find(|kind| kind.is("bitbucket-data-center")).unwrap();
    let scene = Scene::set(kind).await;
    let mut there = scene.mara.connect("acme.infra").await;
    let asked: Vec<(String, String)> = there.query_pairs().into_owned().collect();
    there.query_pairs_mut().clear().extend_pairs(
        asked.iter().map(|(name, value)| (name, if name == "scope" { "REPO_READ" } else { value.as_str() })),
    );
    let back = scene.site.forge.agree("octocat", &there).await;
    scene.mara.come_back(&back).await;
    let made = scene.good_token().await;
    scene.mara.paste("acme.further", &made.token).await.assert_ok();
    let grant: String =
        ask(&scene.site.database(), "SELECT id FROM credentials WHERE method = 'oauth2'").await;
    let form = [("runtime", "acme.further"), ("credential", grant.as_str())];
    assert_eq!(scene.mara.call("token/reuse", &form).await.error(), "Refused");
    let refusal = scene.mara.access("acme.further").await["refusal"].clone();
    assert_eq!(refusal["ScopesMissing"]["missing"], json!(["REPO_WRITE"]), "{refusal}");
    assert_eq!(scene.mara.health("acme.further").await, "Valid", "the one in use stays");
}
