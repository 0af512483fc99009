//! What forms have in common.

use leptos::prelude::*;

use crate::error::ApiError;

/// The error that a form sent without script has left in the address.
pub(super) fn error() -> Option<ApiError> {
    crate::component::live::error_in_address()
}

/// One line of a form.
pub(super) struct Field {
    /// Before the field.
    pub(super) label: &'static str,
    /// In the form; also the field's id.
    pub(super) name: &'static str,
    /// `text` or `password`.
    pub(super) kind: &'static str,
    /// For password managers.
    pub(super) autocomplete: &'static str,
    /// Below the field.
    pub(super) hint: &'static str,
}

impl Field {
    /// A label, its field and a hint.
    pub(super) fn view(self) -> AnyView {
        let Self { label, name, kind, autocomplete, hint } = self;
        let wrong = error().is_some_and(|error| error.blames(name));
        let hint_id = [name, "-hint"].concat();
        let described = if hint.is_empty() { "problem".to_owned() } else { [&hint_id, " problem"].concat() };
        view! {
            <div class="field">
                <label for=name>{label}</label>
                <input
                    id=name
                    name=name
                    type=kind
                    autocomplete=autocomplete
                    autocapitalize="none"
                    spellcheck="false"
                    required
                    aria-describedby=described
                    aria-invalid=wrong.then_some("true")
                />
                {(!hint.is_empty()).then(|| view! { <p class="hint" id=hint_id>{hint}</p> })}
            </div>
        }
        .into_any()
    }
}

/// The button that sends a form, and what it says while it waits.
pub(super) fn submit(label: String, busy: String, look: &'static str) -> AnyView {
    view! {
        <button class="button" data-look=look>
            <span class="idle">{label}</span>
            <span class="busy">{busy}</span>
        </button>
    }
    .into_any()
}
