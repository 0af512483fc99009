//! Changing one's own password.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::person::ChangePassword,
    component::form::{Field, FormProblem, Submit, failure, send},
    error::ApiError,
};

/// What makes a password usable.
pub(super) const RULE: &str = "8 to 128 characters. A few words that only you would put together are easy to keep.";

/// The page where people change their password.
#[component]
pub fn PasswordPage() -> impl IntoView {
    let action = ServerAction::<ChangePassword>::new();
    let error = failure(action);
    let did = super::query("did");
    let changed = move || {
        let here = matches!(action.value().get(), Some(Ok(())));
        let before = action.value().get().is_none() && did.get() == "changed";
        (here || before).then_some("Your password is changed. Your other sessions were signed out.")
    };
    view! {
        <section class="narrow">
            <h1>"Change password"</h1>
            <p class="lead">"You stay signed in here. Everywhere else you sign in again with the new one."</p>
            <p class="said" role="status">{changed}</p>
            <form class="sheet padded" method="post" action=ChangePassword::url() on:submit=move |event| send(action, &event)>
                <FormProblem error=error/>
                <Field
                    label="Current password"
                    name="current"
                    kind="password"
                    autocomplete="current-password"
                    wrong=Signal::derive(move || error.get() == Some(ApiError::WrongNameOrPassword))
                />
                <Field
                    label="New password"
                    name="new"
                    kind="password"
                    autocomplete="new-password"
                    hint=RULE
                    wrong=Signal::derive(move || matches!(error.get(), Some(ApiError::Password(_))))
                />
                <Submit label="Change password".into() busy="Changing…".into() pending=action.pending().into()/>
            </form>
        </section>
    }
}
