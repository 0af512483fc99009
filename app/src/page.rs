//! One component per page. A page says which part it shows; what is in it, the server makes.

pub mod nowhere;
pub mod tokens;

use leptos::prelude::*;
use leptos_router::hooks::{use_navigate, use_params_map, use_query_map};

use crate::{
    api::part::Part,
    component::live::{Live, Outcome},
    path,
};

/// A part of the path.
fn param(name: &'static str) -> Memo<String> {
    let params = use_params_map();
    Memo::new(move |_| params.read().get(name).unwrap_or_default())
}

/// A value in the query.
fn query(name: &'static str) -> Memo<String> {
    let query = use_query_map();
    Memo::new(move |_| query.read().get(name).unwrap_or_default())
}

/// A page that is one part, and where to go after its form.
fn page(part: Part, id: Memo<String>) -> AnyView {
    let navigate = use_navigate();
    let done = Callback::new(move |outcome: Outcome| {
        if let Ok((did, _)) = outcome.result {
            if did == "changed" {
                // Loads the page anew, with empty fields, also the second time.
                let _ = window().location().set_href("/password?did=changed");
            } else {
                navigate(&path::row_left(did, &outcome.runtime, outcome.left), Default::default());
            }
        }
    });
    view! { <div class="narrow"><Live part=part id=id done=done/></div> }.into_any()
}

/// How things stand, in one card.
#[component]
pub fn HomePage() -> impl IntoView {
    page(Part::Home, Memo::new(|_| String::new()))
}

/// One runtime: the same as the dialog, and all that is known.
#[component]
pub fn RuntimePage() -> impl IntoView {
    page(Part::Runtime, param("runtime"))
}

/// Asks before a token is deleted.
#[component]
pub fn DeletePage() -> impl IntoView {
    page(Part::Delete, param("runtime"))
}

/// Where people sign in; leads to `?then=` afterwards.
#[component]
pub fn SignInPage() -> impl IntoView {
    page(Part::SignIn, query("then"))
}

/// Where people change their password.
#[component]
pub fn PasswordPage() -> impl IntoView {
    page(Part::Password, query("did"))
}

/// One-time links: the first person's, and everybody else's. What a link is for, only the server knows.
#[component]
pub fn OncePage() -> impl IntoView {
    page(Part::Once, param("secret"))
}
