//! Makes forms in server-made HTML work without loading a page: sends them, shows what came of it, keeps what was
//! typed, and moves the focus.

use leptos::{
    ev::{MouseEvent, SubmitEvent},
    prelude::*,
    server::ServerActionError,
    server_fn::{ServerFn, error::ServerFnUrlError},
    task::spawn_local,
};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use web_sys::{
    Element, FormData, HtmlDialogElement, HtmlElement, HtmlFormElement, HtmlInputElement, UrlSearchParams,
};

use crate::{
    api::{
        light::Light,
        part::{LoadPart, Part, load_part},
        token::{Added, DeleteToken, Html},
    },
    component::{
        problem::Problem,
        stream::{Changes, Here, changes, focus_within, is_quiet, look, when_quiet},
    },
    error::ApiError,
    path::{self, Place},
};

/// A form on its way.
#[derive(Clone)]
pub(crate) struct Outgoing {
    place: String,
    body: String,
    runtime: String,
    /// Where to come back to, should the session have ended.
    back: String,
}

/// What came of it.
#[derive(Clone)]
pub struct Outcome {
    /// Which runtime, where it was about one.
    pub(crate) runtime: String,
    /// What was done, as a word for the address and as a sentence; empty where the server leads elsewhere.
    pub(crate) result: Result<(&'static str, String), ApiError>,
    /// How many further runtimes had to be left out.
    pub(crate) left: usize,
}

/// The first answer to a question that stands above the form.
const DECISION: &str = ".notice [data-first]";

/// One sender for all the forms of a page.
pub(crate) type Sender = Action<Outgoing, Outcome>;

/// Makes a sender.
pub(crate) fn sender() -> Sender {
    let navigate = use_navigate();
    // Not `new_unsync`: on the server a page may end in another thread than it began. Only a form on its way is bound
    // to one, and that exists in browsers alone.
    Action::new(move |form: &Outgoing| {
        let form = form.clone();
        let navigate = navigate.clone();
        SendWrapper::new(async move {
            let result = post(&form).await;
            unmark_busy();
            let mut left = 0;
            let result = result.map(|(redirect, body)| {
                if let Some(place) = redirect {
                    let page = place.split(['?', '#']).next().unwrap_or_default();
                    if Place::of(page) == Place::Nowhere {
                        // One that the server makes, and that is not known here.
                        let _ = window().location().set_href(&place);
                    } else {
                        navigate(&place, NavigateOptions::default());
                    }
                    return ("", String::new());
                }
                let did = did(&form);
                let added = serde_json::from_slice::<Added>(body.as_bytes()).ok().filter(|_| did == "added");
                left = added.as_ref().map_or(0, |added| added.left_out.len());
                (did, sentence(did, &form.runtime, added))
            });
            if let Err(ApiError::SignInNeeded) = result {
                navigate(&path::sign_in_then(&form.back), NavigateOptions::default());
            }
            Outcome { runtime: form.runtime, result, left }
        })
    })
}

/// Asks for JSON, where a form without script asks for a page.
async fn post(form: &Outgoing) -> Result<(Option<String>, String), ApiError> {
    use leptos::server_fn::redirect::REDIRECT_HEADER;
    let answer = gloo_net::http::Request::post(&form.place)
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form.body.as_str())
        .map_err(|_| ApiError::Internal)?
        .send()
        .await
        .map_err(|_| ApiError::Offline)?;
    let ok = answer.ok();
    let redirect = answer.headers().get(REDIRECT_HEADER).and_then(|_| answer.headers().get("Location"));
    let body = answer.text().await.map_err(|_| ApiError::Offline)?;
    if ok || redirect.is_some() {
        Ok((redirect, body))
    } else {
        Err(serde_json::from_slice(body.as_bytes()).unwrap_or(ApiError::Internal))
    }
}

/// The word for the address.
fn did(form: &Outgoing) -> &'static str {
    match form.place.rsplit('/').next().unwrap_or_default() {
        "add" | "reuse" => "added",
        "delete" => "deleted",
        "check" => "checked",
        "settle-account" => "settled",
        "hide-notifications" if form.body.contains("hide=true") => "muted",
        "hide-notifications" => "unmuted",
        "change-password" => "changed",
        "read" => "read",
        "read-all" => "all-read",
        "mail" => "mail-set",
        "address" => "address-given",
        "forget-address" => "address-forgotten",
        "webhook" => "webhook-set",
        "remove-webhook" => "webhook-removed",
        "tell-me" if form.body.contains("on=true") => "told",
        "tell-me" => "untold",
        _ => "",
    }
}

/// What was done, from the word in the address. Anything else says nothing.
pub(crate) fn did_sentence(did: &str) -> Option<&'static str> {
    Some(match did {
        "added" => "The token passed and is in use.",
        "deleted" => "The token is deleted. The runtime can't act for you until you add one.",
        "checked" => "The provider was asked again; what it said is shown.",
        "muted" => "Notifications about this runtime are hidden.",
        "unmuted" => "Notifications about this runtime are shown again.",
        "settled" => "Settled: the row shows the account in use.",
        "read" => "Marked as read.",
        "all-read" => "All are marked as read.",
        "told" => "From now on you are told what happens.",
        "mail-set" => "Saved.",
        "address-given" => {
            "A mail is on its way to that address. Follow the link in it; until then nothing else is sent there."
        }
        "address-confirmed" => "The address is confirmed. Below you choose how often mail goes there.",
        "address-forgotten" => "The address is forgotten; no mail is sent any more.",
        "webhook-set" => "The webhook is set.",
        "webhook-removed" => "The webhook is removed; nothing is sent there any more.",
        "untold" => "Notifications are off. The list still shows how everything stands.",
        _ => return None,
    })
}

/// What follows that sentence where further runtimes had to be left out.
pub(crate) fn left_sentence(left: u16) -> String {
    match left {
        0 => String::new(),
        1 => " One of the runtimes you ticked could not use it. Add a token to it to see why.".to_owned(),
        _ => [
            " ",
            &left.to_string(),
            " of the runtimes you ticked could not use it. Add a token to them one by one to see why.",
        ]
        .concat(),
    }
}

/// The same for the moment when it happens, when more is known.
fn sentence(did: &'static str, runtime: &str, added: Option<Added>) -> String {
    if let Some(added) = added {
        let mut text =
            ["The token of ", &added.login, " now serves ", &added.runtimes.join(", "), "."].concat();
        if !added.left_out.is_empty() {
            text += &[" It can't serve ", &added.left_out.join(", "), "."].concat();
        }
        return text;
    }
    let text = did_sentence(did).unwrap_or_default();
    match document().get_element_by_id(&["name-", runtime].concat()).and_then(|name| name.text_content()) {
        Some(name) => [&name, ": ", text].concat(),
        None => text.to_owned(),
    }
}

/// Sends a form whose action is a server function; all others go their usual way.
pub(crate) fn send(sender: Sender, event: &SubmitEvent) {
    let Some(form) = event.target().and_then(|target| target.dyn_into::<HtmlFormElement>().ok()) else {
        return;
    };
    let button = event.submitter();
    let place = button
        .as_ref()
        .and_then(|button| button.get_attribute("formaction"))
        .or_else(|| form.get_attribute("action"))
        .unwrap_or_default();
    if !place.starts_with(path::API) {
        return;
    }
    event.prevent_default();
    if sender.pending().get_untracked() {
        return;
    }
    let Ok(data) = FormData::new_with_form(&form) else { return };
    if let Some(button) = button {
        if let Some(name) = button.get_attribute("name") {
            let _ = data.append_with_str(&name, &button.get_attribute("value").unwrap_or_default());
        }
        let _ = button.set_attribute("aria-busy", "true");
    }
    // What the last form said is over.
    if let Ok(Some(said)) = document().query_selector(".made .said") {
        said.remove();
    }
    // A menu has done its part, and the focus goes back to its button.
    if let Ok(Some(menu)) = form.closest("[popover]")
        && let Ok(menu) = menu.dyn_into::<HtmlElement>()
    {
        let _ = menu.hide_popover();
    }
    let runtime = data.get("runtime").as_string().unwrap_or_default();
    // A dialog has no address; its page has one.
    let back = match form.closest("dialog") {
        Ok(Some(_)) if place == DeleteToken::url() => path::delete(&runtime),
        Ok(Some(_)) => path::runtime(&runtime),
        _ => here(),
    };
    let Ok(body) = UrlSearchParams::new_with_str_sequence_sequence(&data) else { return };
    sender.dispatch(Outgoing { place, body: body.to_string().into(), runtime, back });
}

fn unmark_busy() {
    while let Ok(Some(button)) = document().query_selector("button[aria-busy]") {
        let _ = button.remove_attribute("aria-busy");
    }
}

/// A form that was sent without script leaves its error in the address.
pub(crate) fn error_in_address() -> Option<ApiError> {
    use_context::<ServerActionError>().map(|error| ServerFnUrlError::<ApiError>::decode_err(error.err()))
}

/// What to say about the last form sent from here.
pub(crate) fn failure(sender: Sender) -> Option<String> {
    sender
        .value()
        .read()
        .as_ref()
        .and_then(|outcome| outcome.result.as_ref().err().copied())
        .map(ApiError::sentence)
}

/// What to say about the last form, also where it was sent without script. A refused token has a box of its own, with more to say.
pub(crate) fn problem(sender: Sender) -> impl Fn() -> Option<String> + Copy {
    let before = error_in_address();
    move || {
        let error = match &*sender.value().read() {
            Some(outcome) => outcome.result.as_ref().err().copied(),
            None => before,
        };
        error.filter(|error| *error != ApiError::Refused).map(ApiError::sentence)
    }
}

/// Once this page is there: leads to the sign-in page, and from there back.
pub(crate) fn go_to_sign_in() {
    let navigate = use_navigate();
    Effect::new(move |_| navigate(&path::sign_in_then(&here()), NavigateOptions::default()));
}

/// This page's place.
fn here() -> String {
    let location = window().location();
    location.pathname().unwrap_or_default() + &location.search().unwrap_or_default()
}

/// The nearest element around the click that fits.
pub(crate) fn closest(event: &MouseEvent, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

/// Moves the focus, if the element is there. Ids of runtimes need not be valid in selectors.
pub(crate) fn focus_id(id: &str) {
    focus(document().get_element_by_id(id));
}

/// The same for the first element that fits.
pub(crate) fn focus_first(selector: &str) {
    focus(document().query_selector(selector).ok().flatten());
}

fn focus(element: Option<Element>) {
    if let Some(element) = element.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        let _ = element.focus();
    }
}

/// Marks the fields that are to blame, or takes the marks away.
fn blame(error: Option<ApiError>) {
    for name in ["name", "password", "current", "new", "token", "address", "url"] {
        if let Some(field) = document().get_element_by_id(name) {
            mark(&field, error.is_some_and(|error| error.blames(name)));
        }
    }
}

fn mark(field: &Element, wrong: bool) {
    let _ = if wrong {
        field.set_attribute("aria-invalid", "true")
    } else {
        field.remove_attribute("aria-invalid")
    };
}

fn token_field() -> Option<HtmlInputElement> {
    document().get_element_by_id("token")?.dyn_into().ok()
}

/// Shows or hides what was typed; closes the dialog around.
fn on_click(event: MouseEvent) {
    if let Some(button) = closest(&event, ".reveal-button")
        && let Some(field) = token_field()
    {
        let show = field.type_() == "password";
        field.set_type(if show { "text" } else { "password" });
        let _ = button.set_attribute("aria-pressed", if show { "true" } else { "false" });
    }
    if let Some(button) = closest(&event, "[data-close]")
        && let Ok(Some(dialog)) = button.closest("dialog")
        && let Ok(dialog) = dialog.dyn_into::<HtmlDialogElement>()
    {
        dialog.close();
    }
}

/// What is typed anew is not wrong yet. Warns of another provider's token before anybody is asked.
fn on_input(event: leptos::ev::Event) {
    if let Some(field) = event.target().and_then(|target| target.dyn_into::<Element>().ok()) {
        mark(&field, false);
    }
    let Some(field) = token_field() else { return };
    if event.target().as_deref() != Some(field.as_ref()) {
        return;
    }
    let typed = field.value();
    let mut foreign = false;
    let Ok(warnings) = document().query_selector_all("[data-start]") else { return };
    for at in 0..warnings.length() {
        if let Some(warning) = warnings.get(at).and_then(|node| node.dyn_into::<HtmlElement>().ok()) {
            let start = warning.get_attribute("data-start").unwrap_or_default();
            let fits = typed.trim_start().starts_with(&start);
            warning.set_hidden(!fits);
            foreign |= fits;
        }
    }
    if let Ok(Some(sure)) = document().query_selector("[data-sure]")
        && let Ok(sure) = sure.dyn_into::<HtmlElement>()
    {
        sure.set_hidden(!foreign);
    }
}

/// Brings a part up to date while somebody looks at it. Where people type, only what stands beside.
async fn follow(
    part: Part,
    id: String,
    html: Resource<Result<Html, ApiError>, Light>,
    changes: Changes,
    here: Here,
) {
    let (part, place) = match part {
        Part::Runtime => (Part::Course, document().get_element_by_id("course")),
        part => (part, None),
    };
    let body = ["part=", part.word(), "&id=", &path::encode(&id)].concat();
    // What can't be had now is had the next time; what is there stays.
    let Ok(new) = look::<Html>(LoadPart::url(), body).await else { return };
    if here.is_left() {
        return;
    }
    if !is_quiet(".made") {
        changes.look_soon();
        return;
    }
    let focused = focus_within(".made");
    match place {
        Some(place) => place.set_inner_html(&new.0),
        None if part == Part::Course => {}
        None => html.set(Some(Ok(new))),
    }
    if let Some(id) = focused {
        request_animation_frame(move || focus_id(&id));
    }
}

/// Server-made HTML with forms that work.
#[component]
pub(crate) fn Live(
    /// Which.
    part: Part,
    /// Of what.
    #[prop(into)]
    id: Signal<String>,
    /// After a form has done its work.
    done: Callback<Outcome>,
    /// Once it is there for the first time.
    #[prop(optional)]
    ready: Option<Callback<()>>,
) -> impl IntoView {
    let html = Resource::<_, Light>::new_with_options(move || id.get(), move |id| load_part(part, id), false);
    let sender = sender();
    let typed = StoredValue::new(String::new());
    Effect::new(move |_| match &*sender.value().read() {
        // The reason is in the part's new HTML. The token is not: the server never sends one, so it is put back here.
        Some(Outcome { result: Err(ApiError::Refused), .. }) => {
            typed.set_value(token_field().map(|field| field.value()).unwrap_or_default());
            html.refetch();
        }
        Some(outcome) if outcome.result.as_ref().is_ok_and(|(did, _)| !did.is_empty()) => {
            if outcome.result.as_ref().is_ok_and(|(did, _)| part.stays_after(did)) && part != Part::Runtime {
                blame(None);
                html.refetch();
            }
            done.run(outcome.clone())
        }
        Some(outcome) => blame(outcome.result.as_ref().err().copied()),
        None => {}
    });
    Effect::new(move |before: Option<bool>| {
        // The same HTML again is not put in again, so what was changed since has to be put back.
        let wrong = html
            .read()
            .as_ref()
            .map(|html| html.as_ref().is_ok_and(|html| html.0.contains("aria-invalid=\"true\"")));
        let there = wrong.is_some();
        if let Some(wrong) = wrong {
            let first = before != Some(true);
            request_animation_frame(move || {
                let typed = typed.try_update_value(std::mem::take).unwrap_or_default();
                if !typed.is_empty()
                    && let Some(field) = token_field()
                {
                    if document().query_selector(DECISION).is_ok_and(|decision| decision.is_some()) {
                        // The token is kept aside; what is missing is a decision.
                        focus_first(DECISION);
                    } else {
                        field.set_value(&typed);
                        mark(&field, wrong);
                        let _ = field.focus();
                    }
                } else if first && let Some(ready) = ready {
                    ready.run(());
                }
            });
        }
        there || before == Some(true)
    });
    if part.follows() {
        let changes = changes();
        let here = Here::new();
        changes.on_tick(move || {
            when_quiet(".made", here, move || {
                spawn_local(follow(part, id.get_untracked(), html, changes, here));
            });
        });
    }
    let problem = problem(sender);
    view! {
        <div role="alert" id="problem" class="problem">{problem}</div>
        <Transition>
            {move || Suspend::new(async move {
                match html.await {
                    Ok(html) => view! {
                        <div class="made" on:click=on_click on:input=on_input on:submit=move |event| send(sender, &event) inner_html=html.0></div>
                    }
                    .into_any(),
                    Err(error) => view! { <Problem error=error part=part/> }.into_any(),
                }
            })}
        </Transition>
    }
}
