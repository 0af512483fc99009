//! A runtime that shows its key, and the URL of the Git host it asks about.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use server::{
    audit::{Actor, By},
    runtime_key::NewKey,
};

use crate::site::{Answer, Ask, Browser, TestSite};

pub const CREDENTIAL: &str = "/runtime/v1/credential";
pub const REPORT: &str = "/runtime/v1/credential/report";
pub const USERS: &str = "/runtime/v1/users";
pub const CHANGES: &str = "/runtime/v1/changes";

/// Not a browser: it says nothing of where its requests come from.
pub struct Machine {
    browser: Browser,
    /// All of the key.
    pub key: String,
    /// A repository at its provider.
    pub git_url: String,
}

/// Makes the first key of a runtime, as the operator does.
pub async fn create(site: &TestSite, runtime: &str) -> NewKey {
    site.site.runtime_keys.create(&runtime.into(), &By::new(Actor::Operator)).await.unwrap()
}

/// Makes the next one.
pub async fn rotate(site: &TestSite, runtime: &str) -> NewKey {
    site.site.runtime_keys.rotate(&runtime.into(), None, &By::new(Actor::Operator)).await.unwrap()
}

impl Machine {
    /// With a key of its own.
    pub async fn of(site: &TestSite, runtime: &str) -> Self {
        Self::with(site, create(site, runtime).await.text.expose())
    }

    /// With this key, whatever it is.
    pub fn with(site: &TestSite, key: &str) -> Self {
        let git_url = format!("{}/acme/infra.git", site.forge.url);
        Self { browser: site.anonymous(), key: key.to_owned(), git_url }
    }

    /// The part of its key that may be shown.
    pub fn public_id(&self) -> &str {
        &self.key[4..20]
    }

    /// The part of its key that may not.
    pub fn secret_part(&self) -> &str {
        &self.key[21..]
    }

    pub fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let ask = self.browser.ask(method, path).without("sec-fetch-site").without("origin");
        ask.header("authorization", format!("Bearer {}", self.key))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path).body("application/json", body.to_string()).send().await
    }

    /// Asks for the credential of a user at its own provider.
    pub async fn fetch(&self, user: &str) -> Answer {
        self.post(CREDENTIAL, &json!({ "user": user, "git_url": self.git_url })).await
    }

    /// The secret of a user.
    pub async fn secret(&self, user: &str) -> String {
        let answer = self.fetch(user).await;
        answer.assert_ok();
        answer.json()["git"]["password"].as_str().unwrap().to_owned()
    }

    /// The version of a user's secret.
    pub async fn version(&self, user: &str) -> String {
        let answer = self.fetch(user).await;
        answer.assert_ok();
        answer.json()["version"].as_str().unwrap().to_owned()
    }
}

/// A problem document, whole and of its own type, and nothing else.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: StatusCode, code: &str, what: &str) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}: {}", answer.status);
    let problem = answer.json();
    assert_eq!((answer.status, problem["code"].as_str()), (status, Some(code)), "{what}");
    assert_eq!(problem["status"], status.as_u16(), "{what}");
    let kind = problem["type"].as_str().unwrap();
    assert_eq!(kind, format!("http://127.0.0.1:3000/runtime/v1/docs#{code}"), "{what}");
    assert!(problem["title"].as_str().unwrap().len() > 5, "{what}");
    assert!(problem["detail"].as_str().unwrap().ends_with('.'), "{what}: {problem}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
}
