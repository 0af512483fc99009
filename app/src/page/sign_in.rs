//! Signing in.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::person::SignIn,
    component::form::{Field, FormProblem, Submit, failure, send},
    error::ApiError,
};

/// The page where people sign in; leads to `?then=` afterwards.
#[component]
pub fn SignInPage() -> impl IntoView {
    let action = ServerAction::<SignIn>::new();
    let error = failure(action);
    let then = super::query("then");
    let wrong = Signal::derive(move || error.get() == Some(ApiError::WrongNameOrPassword));
    view! {
        <section class="narrow">
            <h1>"Sign in to Gitward"</h1>
            <p class="lead">"See which of your runtimes may use Git in your name, and put right what is not."</p>
            <form class="sheet padded" method="post" action=SignIn::url() on:submit=move |event| send(action, &event)>
                <input type="hidden" name="then" value=move || then.get()/>
                <FormProblem error=error/>
                <Field label="Name" name="name" kind="text" autocomplete="username" wrong=wrong/>
                <Field label="Password" name="password" kind="password" autocomplete="current-password" wrong=wrong/>
                <Submit label="Sign in".into() busy="Signing in…".into() pending=action.pending().into()/>
            </form>
            <p class="hint">"Forgot it? Your operator can give you a link to choose a new one."</p>
        </section>
    }
}
