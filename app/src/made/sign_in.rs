//! Signing in.

use leptos::{prelude::*, server_fn::ServerFn};

use super::form::{Field, submit};
use crate::api::person::SignIn;

/// The form; leads to `then` afterwards.
pub(super) fn html(then: String) -> String {
    view! {
        <section data-size="small">
            <h1>"Sign in to Gitward"</h1>
            <p class="lead">"Git access for your runtimes, under your own name."</p>
            <form class="sheet padded" method="post" action=SignIn::url()>
                <input type="hidden" name="then" value=then/>
                {Field { label: "Name", name: "name", kind: "text", autocomplete: "username", hint: "" }.view()}
                {Field {
                    label: "Password",
                    name: "password",
                    kind: "password",
                    autocomplete: "current-password",
                    hint: "",
                }
                    .view()}
                {submit("Sign in".into(), "Signing in…".into(), "primary")}
            </form>
            <p class="hint">"Forgot it? Your operator can give you a link to choose a new one."</p>
        </section>
    }
    .to_html()
}
