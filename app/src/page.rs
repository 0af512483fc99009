//! One component per page. A page says which part it shows; what is in it, the server makes.

pub mod nowhere;
pub mod tokens;

use leptos::prelude::*;
use leptos_router::hooks::{use_navigate, use_params_map, use_query_map};

use crate::{
    api::part::Part,
    component::{
        live::{Live, Outcome, did_sentence},
        stream::changes,
    },
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

/// A page that is one part, and where to go after its form; or it stays, and says what was done.
fn page(part: Part, id: Memo<String>) -> AnyView {
    let navigate = use_navigate();
    let changes = changes();
    let before = query("did");
    let said = RwSignal::new(None::<String>);
    let done = Callback::new(move |outcome: Outcome| {
        if let Ok((did, sentence)) = outcome.result {
            if part.stays_after(did) {
                said.set(Some(sentence));
                changes.look_around();
            } else if did == "changed" {
                // Loads the page anew, with empty fields, also the second time.
                let _ = window().location().set_href("/password?did=changed");
            } else {
                navigate(&path::row_left(did, &outcome.runtime, outcome.left), Default::default());
            }
        }
    });
    let said = part.stays_after("checked").then(|| {
        let said = move || {
            said.get().or_else(|| {
                let did = &*before.read();
                part.stays_after(did).then(|| did_sentence(did)).flatten().map(str::to_owned)
            })
        };
        view! { <p class="said" role="status">{said}</p> }
    });
    view! { <div class="narrow">{said}<Live part=part id=id done=done/></div> }.into_any()
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

/// What the visitor was told, the latest first.
#[component]
pub fn NoticesPage() -> impl IntoView {
    page(Part::Notices, query("before"))
}

/// Whether, and where else, the visitor is told.
#[component]
pub fn NoticeSettingsPage() -> impl IntoView {
    page(Part::NoticeSettings, Memo::new(|_| String::new()))
}

/// Where a link leads that was mailed to an address: says whose it is, and asks whether that is right.
#[component]
pub fn ConfirmPage() -> impl IntoView {
    page(Part::Confirm, query("secret"))
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
