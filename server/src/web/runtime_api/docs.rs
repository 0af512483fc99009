//! The description for people: the same as for machines, as a page of ours.

use app::Still;
use axum::{http::StatusCode, response::Response};
use leptos::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::description::document;
use crate::{
    site::Site,
    web::{plain, session::Signed},
    wire::{
        ApiHeader, CHANGES, CREDENTIAL, Changes, Code, CredentialAnswer, CredentialRequest, GitCredential,
        Health, Held, OPENAPI, Outcome, REPORT, Released, Report, ReportAnswer, Scheme, USERS, User, Users,
    },
};

/// `GET /runtime/v1/docs`
pub async fn page(site: &Site, css: &str, signed: Option<&Signed>) -> Response {
    let visitor = match signed {
        Some(signed) => Some(plain::visitor(site, signed).await),
        None => None,
    };
    // A document that can't be written would fail its tests; then the page says less.
    let api = serde_json::to_value(document()).unwrap_or_default();
    let introduction = text(&api["info"]["description"]);
    let here = site.public_url.as_str().trim_end_matches('/');
    let operations = operations(&api).into_iter().map(|one| operation(one, here)).collect_view();
    let schemas = api["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let schemas = schemas
        .iter()
        .filter(|(_, schema)| schema["properties"].is_object())
        .map(|(name, schema)| object(name, schema))
        .collect_view();
    let codes = Code::ALL
        .iter()
        .map(|code| {
            let word = code.word();
            view! {
                <dt id=word><code>{word}</code>" · "{code.status()}</dt>
                <dd>{code.detail()}</dd>
            }
        })
        .collect_view();
    let body = view! {
        <div class="narrow docs">
            <h1>"Runtime API"</h1>
            <p class="lead">{introduction}</p>
            <p>"For machines: "<a href=OPENAPI>"openapi.json"</a></p>
            {operations}
            <h2>"Fields"</h2>
            {schemas}
            <h2 id="Code">"Why not: codes"</h2>
            <dl class="sheet padded detail">{codes}</dl>
        </div>
    };
    let frame = Still { css, visitor: visitor.as_ref(), above: &[], here: "Runtime API" };
    plain::page(StatusCode::OK, frame, body)
}

/// One way to ask.
struct Operation {
    method: String,
    path: String,
    value: Value,
}

fn operations(api: &Value) -> Vec<Operation> {
    let paths = api["paths"].as_object().cloned().unwrap_or_default();
    let of = |(path, methods): (String, Value)| {
        let methods = methods.as_object().cloned().unwrap_or_default();
        methods.into_iter().map(move |(method, value)| Operation {
            method: method.to_uppercase(),
            path: path.clone(),
            value,
        })
    };
    paths.into_iter().flat_map(of).collect()
}

fn operation(operation: Operation, here: &str) -> AnyView {
    let Operation { method, path, value } = operation;
    let example = example(&path, here).map(|(asked, answer)| {
        view! {
            <h3>"Example"</h3>
            <pre class="sheet padded" tabindex="0"><code>{asked}</code></pre>
            <pre class="sheet padded" tabindex="0"><code>{answer}</code></pre>
        }
    });
    let asked = name_of(&value["requestBody"]["content"]["application/json"]["schema"]).map(|name| {
        view! { <p>"Send "<a href=["#", &name].concat()>{name.clone()}</a>" as JSON."</p> }
    });
    let parameters = value["parameters"].as_array().cloned().unwrap_or_default();
    let parameters = parameters
        .iter()
        .map(|parameter| {
            view! { <dt><code>{text(&parameter["name"])}</code></dt><dd>{text(&parameter["description"])}</dd> }
        })
        .collect_view();
    let answers = value["responses"].as_object().cloned().unwrap_or_default();
    let answers = answers
        .iter()
        .map(|(status, answer)| {
            let content = answer["content"].as_object().and_then(|content| content.values().next());
            let name = content.and_then(|content| name_of(&content["schema"]));
            let name = name.map(|name| view! { ": "<a href=["#", &name].concat()>{name.clone()}</a> });
            view! { <dt>{status.clone()}</dt><dd>{text(&answer["description"])}{name}</dd> }
        })
        .collect_view();
    view! {
        <section>
            <h2>{text(&value["summary"])}</h2>
            <p><code>{method}" "{path}</code></p>
            <p>{text(&value["description"])}</p>
            {asked}
            <dl class="sheet padded detail">{parameters}{answers}</dl>
            {example}
        </section>
    }
    .into_any()
}

/// How one asks there, and what comes of it. Made of the very types that are sent.
fn example(path: &str, here: &str) -> Option<(String, String)> {
    let (user, version) = ("mara".to_owned(), "5d0c9a71f3e2b846".to_owned());
    let (asked, answer) = match path {
        CREDENTIAL => {
            let git_url = "https://github.com/acme/gitops.git".to_owned();
            let answer = CredentialAnswer {
                version,
                git: GitCredential {
                    username: "octocat".to_owned(),
                    password: Released::new("ghp_…"),
                    scheme: Scheme::Basic,
                },
                api: ApiHeader { name: "Authorization".to_owned(), value: Released::new("Bearer ghp_…") },
                login: "octocat".to_owned(),
                scopes: Some(vec!["repo".to_owned()]),
                expires_at: Some("2027-03-01T09:30:00Z".to_owned()),
                expires_in: Some(7_776_000),
                health: Health::Valid,
            };
            (sent(&CredentialRequest { user, git_url, version: None })?, pretty(&answer)?)
        }
        REPORT => {
            let report = Report { user, version: Some(version.clone()), outcome: Outcome::Used };
            (sent(&report)?, pretty(&ReportAnswer { version: Some(version) })?)
        }
        USERS => {
            let user = User {
                user,
                health: Health::Valid,
                version: Some(version.clone()),
                login: Some("octocat".to_owned()),
                expires_at: Some("2027-03-01T09:30:00Z".to_owned()),
                fetched_at: Some("2026-12-01T08:15:42Z".to_owned()),
                used_version: Some(version),
            };
            (String::new(), pretty(&Users { users: vec![user] })?)
        }
        CHANGES => {
            let held = Held { user, version: Some(version) };
            let changes = Changes { cursor: "9b1f04c6d27ae358".to_owned(), users: vec![held] };
            ("?wait=30".to_owned(), pretty(&changes)?)
        }
        _ => return None,
    };
    let (query, body) = if asked.starts_with('?') { (asked.as_str(), "") } else { ("", asked.as_str()) };
    let asked =
        format!("curl -sS -H \"Authorization: Bearer $(cat runtime.key)\"{body} \\\n  '{here}{path}{query}'");
    Some((asked, answer))
}

/// A body, as curl sends it. No example has an apostrophe in it.
fn sent(body: &impl Serialize) -> Option<String> {
    Some(format!(" \\\n  --json '{}'", serde_json::to_string(body).ok()?))
}

fn pretty(answer: &impl Serialize) -> Option<String> {
    serde_json::to_string_pretty(answer).ok()
}

fn object(name: &str, schema: &Value) -> AnyView {
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    let fields = fields
        .iter()
        .map(|(field, schema)| {
            let name = name_of(schema);
            let name = name.map(|name| view! { " "<a href=["#", &name].concat()>{name.clone()}</a> });
            let values = values_of(schema);
            let values = (!values.is_empty()).then(|| {
                let values = values.into_iter().map(|value| view! { " " <code>{value}</code> });
                view! { " One of" {values.collect_view()} "." }
            });
            let text = text(&schema["description"]);
            view! { <dt><code>{field.clone()}</code></dt><dd>{text}{name}{values}</dd> }
        })
        .collect_view();
    view! {
        <h3 id=name.to_owned()>{name.to_owned()}</h3>
        <p>{text(&schema["description"])}</p>
        <dl class="sheet padded detail">{fields}</dl>
    }
    .into_any()
}

/// The schema that is referred to, if it is one with fields, or the codes.
fn name_of(schema: &Value) -> Option<String> {
    let name = referred(schema)?;
    let fields = &document_schema(name)?["properties"];
    (fields.is_object() || name == "Code").then(|| name.to_owned())
}

/// The words that may stand there, if there are only these. The codes have a list of their own.
fn values_of(schema: &Value) -> Vec<String> {
    let schema = referred(schema).filter(|name| *name != "Code").and_then(document_schema);
    let values = schema.and_then(|schema| schema["enum"].as_array().cloned()).unwrap_or_default();
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn referred(schema: &Value) -> Option<&str> {
    let places = [&schema["$ref"], &schema["items"]["$ref"], &schema["allOf"][0]["$ref"]];
    places.into_iter().find_map(Value::as_str)?.rsplit('/').next()
}

fn document_schema(name: &str) -> Option<Value> {
    let schema = document().components.as_ref()?.schemas.get(name)?;
    serde_json::to_value(schema).ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('`', "")
}
