//! Changing one's own password.

use leptos::{prelude::*, server_fn::ServerFn};

use super::form::{Field, error, submit};
use crate::api::person::ChangePassword;

/// What makes a password usable.
pub(super) const RULE: &str =
    "8 to 128 characters. A few words that only you would put together are easy to keep.";

/// The form, and below its title what has just been `did`.
pub(super) fn html(did: &str) -> String {
    let changed = (did == "changed" && error().is_none()).then(|| {
        view! { <p class="said" role="status">"Your password is changed. Your other sessions were signed out."</p> }
    });
    view! {
        <section>
            <h1>"Change password"</h1>
            <p class="lead">"You stay signed in here. Everywhere else you sign in again with the new one."</p>
            {changed}
            <form class="sheet padded" method="post" action=ChangePassword::url()>
                {Field {
                    label: "Current password",
                    name: "current",
                    kind: "password",
                    autocomplete: "current-password",
                    hint: "",
                }
                    .view()}
                {Field {
                    label: "New password",
                    name: "new",
                    kind: "password",
                    autocomplete: "new-password",
                    hint: RULE,
                }
                    .view()}
                {submit("Change password".into(), "Changing…".into(), "primary")}
            </form>
        </section>
    }
    .to_html()
}
