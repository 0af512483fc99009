//! The description for people: the same as for machines, as a page of ours.

use axum::{http::StatusCode, response::Response};
use leptos::prelude::*;
use serde_json::Value;

use super::description::document;
use crate::{
    web::plain,
    wire::{Code, OPENAPI},
};

/// `GET /runtime/v1/docs`
pub fn page(css: &str) -> Response {
    // A document that can't be written would fail its tests; then the page says less.
    let api = serde_json::to_value(document()).unwrap_or_default();
    let introduction = text(&api["info"]["description"]);
    let operations = operations(&api).into_iter().map(operation).collect_view();
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
            <h2>"Why not: codes"</h2>
            <dl class="sheet padded detail">{codes}</dl>
        </div>
    };
    plain::page(StatusCode::OK, css, "Runtime API", body)
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

fn operation(operation: Operation) -> AnyView {
    let Operation { method, path, value } = operation;
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
        </section>
    }
    .into_any()
}

fn object(name: &str, schema: &Value) -> AnyView {
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    let fields = fields
        .iter()
        .map(|(field, schema)| {
            let name = name_of(schema);
            let name = name.map(|name| view! { " "<a href=["#", &name].concat()>{name.clone()}</a> });
            view! { <dt><code>{field.clone()}</code></dt><dd>{text(&schema["description"])}{name}</dd> }
        })
        .collect_view();
    view! {
        <h3 id=name.to_owned()>{name.to_owned()}</h3>
        <p>{text(&schema["description"])}</p>
        <dl class="sheet padded detail">{fields}</dl>
    }
    .into_any()
}

/// The schema that is referred to, if it is one with fields.
fn name_of(schema: &Value) -> Option<String> {
    let direct = [&schema["$ref"], &schema["items"]["$ref"], &schema["allOf"][0]["$ref"]];
    let name = direct.into_iter().find_map(Value::as_str)?.rsplit('/').next()?;
    let fields = &document_schema(name)?["properties"];
    fields.is_object().then(|| name.to_owned())
}

fn document_schema(name: &str) -> Option<Value> {
    let schema = document().components.as_ref()?.schemas.get(name)?;
    serde_json::to_value(schema).ok()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('`', "")
}
