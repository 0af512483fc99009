//! The control room as a page with buttons.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::switch_on;
use crate::fault::{Fault, MISHAPS, Order, Place, Room};
use crate::form::Form;
use crate::host::{Host, SharedHost};
use crate::html;
use crate::pages;

const ROOM: &str = "/_forge";

const PLACES: &[(&str, &str)] = &[
    ("any", "Everything that machines ask"),
    ("user", "Who owns this token"),
    ("token", "Exchange and refresh of OAuth tokens"),
    ("repos", "Repositories in the REST API"),
    ("git", "Git over HTTP"),
];

/// The places with the dialect's own words.
fn places(host: &Host) -> Vec<(&'static str, String)> {
    let shown = |(name, label): &(&'static str, &str)| match *name {
        "user" => (*name, format!("{label} ({})", host.dialect().identity_door())),
        _ => (*name, (*label).to_owned()),
    };
    PLACES.iter().map(shown).collect()
}

/// The mishaps with the dialect's own words.
fn mishaps(host: &Host) -> Vec<(&'static str, String)> {
    let (status, error) = host.dialect().oauth_fault();
    let shown = |(name, label): &(&'static str, &str)| match *name {
        "oauth_error" => (*name, format!("{label} {error} with status {}", status.as_u16())),
        _ => (*name, (*label).to_owned()),
    };
    MISHAPS.iter().map(shown).collect()
}

const MOMENTS: &[(&str, &str)] =
    &[("3600", "Move 1 hour on"), ("86400", "Move 1 day on"), ("2592000", "Move 30 days on")];

/// The routes.
pub fn router() -> Router<SharedHost> {
    Router::new()
        .route("/_forge", get(show))
        .route("/_forge/page/faults", post(switch_fault_on))
        .route("/_forge/page/faults/off", post(switch_all_off))
        .route("/_forge/page/faults/{id}/off", post(switch_off))
        .route("/_forge/page/clock", post(advance))
        .route("/_forge/page/reset", post(reset))
}

async fn show(State(host): State<SharedHost>, headers: HeaderMap) -> Response {
    let person = pages::signed_in(&host, &headers);
    let state = host.state();
    let mut main = String::from("<p>Let this host misbehave, and watch what its clients make of it.</p>\n");
    main.push_str("<h2>Faults that are on</h2>\n");
    let mut active = state.faults.iter().filter(|fault| fault.order.times != Some(0)).peekable();
    if active.peek().is_none() {
        main.push_str("<p>None: the host behaves.</p>\n");
    } else {
        main.push_str("<ul>\n");
        active.for_each(|fault| main.push_str(&item(&host, fault)));
        main.push_str("</ul>\n");
        main.push_str(&html::button("/_forge/page/faults/off", "Switch all off", ""));
    }
    main.push_str("<h2>Switch a fault on</h2>\n<form method=\"post\" action=\"/_forge/page/faults\">\n");
    main.push_str(&choice("Where", "on", &places(&host), "any"));
    main.push_str(&choice("What happens", "fault", &mishaps(&host), "status"));
    let often = [("", "Until switched off"), ("1", "Once"), ("3", "Three times")];
    main.push_str(&html::select("How often", "times", &often, ""));
    main.push_str("<button>Switch on</button>\n</form>\n");
    main.push_str(&format!("<h2>Clock</h2>\n<p>The host's time is {}.</p>\n", state.timestamp()));
    for (seconds, label) in MOMENTS {
        main.push_str(&html::button("/_forge/page/clock", label, &html::hidden("advance_seconds", seconds)));
    }
    main.push_str(
        "<h2>Start over</h2>\n<p>Forgets all tokens, faults and sessions, and sets the clock right.</p>\n",
    );
    main.push_str(&html::button("/_forge/page/reset", "Reset the host", ""));
    main.push_str(&format!(
        "<p>{} requests were received: <a href=\"/_forge/requests\">list as JSON</a>.</p>",
        state.records.len()
    ));
    html::page(&host, "Control room", person.as_ref(), &main)
}

fn choice(label: &str, name: &str, options: &[(&str, String)], chosen: &str) -> String {
    let options: Vec<(&str, &str)> = options.iter().map(|(value, shown)| (*value, shown.as_str())).collect();
    html::select(label, name, &options, chosen)
}

fn item(host: &Host, fault: &Fault) -> String {
    let words = |all: Vec<(&str, String)>, wanted: Value| {
        all.into_iter().find(|(name, _)| wanted == *name).map(|(_, label)| label).unwrap_or_default()
    };
    let place = match &fault.order.on {
        Place::Room(room) => words(places(host), json!(room)),
        Place::Exact { path_prefix, .. } => path_prefix.clone(),
    };
    let mishap = words(mishaps(host), json!(fault.order.fault));
    let left = fault.order.times.map_or_else(String::new, |times| format!(", {times} more"));
    let off = html::button(&format!("{ROOM}/page/faults/{}/off", fault.id), "Switch off", "");
    format!("<li>{}: {mishap} (struck {}{left}) {off}</li>\n", html::escape(&place), fault.struck)
}

async fn switch_fault_on(State(host): State<SharedHost>, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let fault = form.text("fault");
    let (status, delay_ms) = match fault {
        "status" => (Some(503), None),
        "delay" => (None, Some(5_000)),
        _ => (None, None),
    };
    let room = serde_json::from_value::<Room>(Value::from(form.text("on")));
    let fault = serde_json::from_value(Value::from(fault));
    let (Ok(room), Ok(fault)) = (room, fault) else {
        let sentence = "The page sent a place or a fault that this host does not know.";
        return html::problem(&host, StatusCode::UNPROCESSABLE_ENTITY, "Unknown fault", sentence);
    };
    let order = Order {
        on: Place::Room(room),
        fault,
        status,
        delay_ms,
        retry_after_seconds: None,
        times: form.text("times").parse().ok(),
        location: None,
        error: None,
    };
    switch_on(&mut host.state(), order);
    Redirect::to(ROOM).into_response()
}

async fn switch_off(State(host): State<SharedHost>, Path(id): Path<u64>) -> Redirect {
    host.state().faults.retain(|fault| fault.id != id);
    Redirect::to(ROOM)
}

async fn switch_all_off(State(host): State<SharedHost>) -> Redirect {
    host.state().faults.clear();
    Redirect::to(ROOM)
}

async fn advance(State(host): State<SharedHost>, body: Bytes) -> Redirect {
    let form = Form::parse(&body);
    host.state().clock.advance(form.text("advance_seconds").parse().unwrap_or_default());
    Redirect::to(ROOM)
}

async fn reset(State(host): State<SharedHost>) -> Redirect {
    host.reset();
    Redirect::to(ROOM)
}
