//! The recipes of `docs/kubernetes.md`, evaluated on real answers as their operators evaluate them: `{{ .a.b }}` and
//! `{{ .a.b | trim }}` of Go's templates, and paths of JSONPath that only name members.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Value, json};

use crate::{machine::Machine, site::TestSite};

const RECIPES: &str = include_str!("../../../docs/kubernetes.md");

/// The document of this kind among the file's blocks.
fn document(kind: &str) -> &'static str {
    let found: Vec<&str> = RECIPES
        .split("```yaml\n")
        .skip(1)
        .map(|block| block.split("\n```").next().unwrap())
        .filter(|block| block.contains(&format!("\nkind: {kind}\n")))
        .collect();
    let [one] = found.as_slice() else { panic!("one {kind}") };
    one
}

/// The text of a key that stands once in a document, without its quotes.
#[track_caller]
fn text(document: &str, key: &str) -> String {
    let start = format!("{key}: ");
    let found: Vec<&str> =
        document.lines().filter_map(|line| line.trim_start().strip_prefix(start.as_str())).collect();
    let [value] = found.as_slice() else { panic!("{key} once, not {found:?}") };
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
    match quote {
        Some(quote) => value.strip_prefix(quote).unwrap().strip_suffix(quote).unwrap().to_owned(),
        None => (*value).to_owned(),
    }
}

/// The keys and texts below a key, one level deeper.
fn below<'d>(document: &'d str, key: &str) -> BTreeMap<&'d str, String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = document.lines().skip_while(|line| line.trim() != format!("{key}:"));
    let depth = indent(lines.next().unwrap());
    lines
        .take_while(|line| indent(line) > depth)
        .map(|line| {
            let (name, value) = line.trim().split_once(": ").unwrap();
            (name, value.trim_matches(['"', '\'']).to_owned())
        })
        .collect()
}

/// Fills a template in. What it asks for must be there.
#[track_caller]
fn fill(template: &str, data: &Value) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").unwrap();
        let (place, function) = match action.split_once('|') {
            Some((place, function)) => (place.trim(), Some(function.trim())),
            None => (action.trim(), None),
        };
        let names = place.strip_prefix('.').unwrap().split('.');
        let value = names.fold(data, |data, name| &data[name]).as_str().unwrap_or_else(|| panic!("{place}"));
        filled.push_str(before);
        filled.push_str(match function {
            None => value,
            Some("trim") => value.trim(),
            Some(other) => panic!("{other} is not known here"),
        });
        rest = after;
    }
    filled + rest
}

/// `$.a.b`
fn path<'v>(path: &str, value: &'v Value) -> &'v Value {
    path.strip_prefix("$.").unwrap().split('.').fold(value, |value, name| &value[name])
}

#[tokio::test]
async fn the_recipes_make_a_repository_credential_of_a_real_answer() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.production", &made.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.production").await;

    // What External Secrets Operator sends. The host is the one of this test.
    let store = document("SecretStore");
    let url = text(store, "url");
    assert_eq!(text(store, "method"), "POST");
    let user = text(document("ExternalSecret"), "key");
    // A file with a key ends with a line end.
    let data = json!({ "remoteRef": { "key": user }, "runtime": { "key": format!("{}\n", machine.key) } });
    let body = fill(&text(store, "body"), &data).replace("https://github.com", &site.forge.url);
    let headers = below(store, "headers");
    assert_eq!(headers["Content-Type"], "application/json");
    let authorization = fill(&headers["Authorization"], &data);
    let place = url.strip_prefix("https://gitward.example.com").unwrap();
    let answer = machine
        .ask(Method::POST, place)
        .header("authorization", authorization)
        .body("application/json", body)
        .send()
        .await;
    let answer = answer.assert_ok().json();

    // What it takes of the answer: `extract` wants an object of texts.
    let extracted = path(&text(store, "jsonPath"), &answer);
    assert!(extracted.as_object().unwrap().values().all(Value::is_string), "{extracted}");

    // What Argo CD finds.
    let secret = document("ExternalSecret");
    assert_eq!(below(secret, "labels")["argocd.argoproj.io/secret-type"], "repo-creds");
    let data: BTreeMap<&str, String> =
        below(secret, "data").into_iter().map(|(key, template)| (key, fill(&template, extracted))).collect();
    assert_eq!(data["type"], "git");
    assert_eq!(data["url"], "https://github.com/acme");
    assert_eq!(data["username"], "x-access-token");
    assert_eq!(data["password"], made.token);
    assert_eq!(data.len(), 4);
}

#[tokio::test]
async fn after_deleting_the_recipe_gets_no_data() {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.production", &made.token).await.assert_ok();
    let machine = Machine::of(&site, "acme.production").await;
    machine.fetch("mara").await.assert_ok();
    mara.call("token/delete", &[("runtime", "acme.production")]).await.assert_ok();
    let answer = machine.fetch("mara").await;
    assert!(answer.status.is_client_error());
    let extracted = path(&text(document("SecretStore"), "jsonPath"), &answer.json()).clone();
    assert_eq!(extracted, Value::Null);
}
