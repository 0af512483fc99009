//! What all forms have in common.

use leptos::{ev::SubmitEvent, form::FromFormData, prelude::*, server_fn::ServerFn};
use leptos_router::hooks::{use_location, use_navigate};
use serde::de::DeserializeOwned;

use crate::{error::ApiError, path};

/// Sends a form through its server function instead of loading a page; a second time only after the first answer.
pub fn send<S>(action: ServerAction<S>, event: &SubmitEvent)
where
    S: ServerFn<Error = ApiError> + DeserializeOwned + Clone + Send + Sync + 'static,
    S::Output: Send + Sync + 'static,
{
    event.prevent_default();
    if action.pending().get_untracked() {
        return;
    }
    match S::from_event(event) {
        Ok(input) => {
            action.dispatch(input);
        }
        Err(_) => action.value().set(Some(Err(ApiError::BadRequest))),
    }
}

/// What went wrong with the last attempt, also with one that was sent without script.
pub fn failure<S>(action: ServerAction<S>) -> Signal<Option<ApiError>>
where
    S: ServerFn<Error = ApiError> + Clone + Send + Sync + 'static,
    S::Output: Clone + Send + Sync + 'static,
{
    Signal::derive(move || action.value().get().and_then(Result::err))
}

/// Where a session has ended, leads to the sign-in page and from there back here.
pub fn sign_in_when_needed(error: Signal<Option<ApiError>>) {
    let navigate = use_navigate();
    let location = use_location();
    Effect::new(move |_| {
        if error.get() == Some(ApiError::SignInNeeded) {
            let mut place = location.pathname.get_untracked();
            let query = location.search.get_untracked();
            if !query.is_empty() {
                place.push('?');
                place.push_str(&query);
            }
            navigate(&path::sign_in_then(&place), Default::default());
        }
    });
}

/// Says what went wrong, where screen readers notice. The field in question refers to it by the id `problem`.
#[component]
pub fn FormProblem(
    /// What went wrong, if anything.
    error: Signal<Option<ApiError>>,
) -> impl IntoView {
    sign_in_when_needed(error);
    view! {
        <div role="alert" id="problem" class="problem">
            {move || error.get().map(ApiError::sentence)}
        </div>
    }
}

/// A label, its field and a hint.
#[component]
pub fn Field(
    /// Before the field.
    label: &'static str,
    /// In the form; also the field's id.
    name: &'static str,
    /// `text` or `password`.
    kind: &'static str,
    /// For password managers.
    autocomplete: &'static str,
    /// Below the field.
    #[prop(optional)]
    hint: &'static str,
    /// What is in the field at first.
    #[prop(optional)]
    value: String,
    /// Whether the last attempt failed because of this field.
    #[prop(into)]
    wrong: Signal<bool>,
) -> impl IntoView {
    let hint_id = [name, "-hint"].concat();
    let described = if hint.is_empty() { "problem".to_owned() } else { [&hint_id, " problem"].concat() };
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <input
                id=name
                name=name
                type=kind
                value=value
                autocomplete=autocomplete
                autocapitalize="none"
                spellcheck="false"
                required
                aria-describedby=described
                aria-invalid=move || if wrong.get() { "true" } else { "false" }
            />
            {(!hint.is_empty()).then(|| view! { <p class="hint" id=hint_id>{hint}</p> })}
        </div>
    }
    .into_any()
}

/// The button that sends a form; says so while it waits.
#[component]
pub fn Submit(
    /// What it does.
    label: String,
    /// What it is doing.
    busy: String,
    /// Whether it is at it.
    pending: Signal<bool>,
    /// How it looks.
    #[prop(default = "primary")]
    look: &'static str,
) -> impl IntoView {
    view! {
        <button class="button" data-look=look aria-busy=move || pending.get().then_some("true")>
            {move || if pending.get() { busy.clone() } else { label.clone() }}
        </button>
    }
    .into_any()
}
