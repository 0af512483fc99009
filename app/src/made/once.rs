//! One-time links: the first person's, and everybody else's.

use leptos::{prelude::*, server_fn::ServerFn};

use super::{
    form::{Field, submit},
    password::RULE,
};
use crate::api::person::{LinkPurpose, RedeemLink};

/// The form.
pub(super) fn html(secret: String, purpose: LinkPurpose) -> String {
    let (title, lead, name) = match purpose {
        LinkPurpose::SetUp => (
            "Set up Gitward".to_owned(),
            "Nobody can sign in yet. Be the first: choose how you sign in from now on.",
            Field {
                label: "Name",
                name: "name",
                kind: "text",
                autocomplete: "username",
                hint: "1 to 64 letters, digits and . _ - @ +",
            }
            .view(),
        ),
        LinkPurpose::Password { name } => (
            ["Welcome, ", &name].concat(),
            "Choose a password for Gitward. This link works once.",
            // Unseen, so that password managers keep the right pair.
            view! {
                <input
                    type="text"
                    class="sr"
                    name="name"
                    value=name
                    autocomplete="username"
                    readonly
                    tabindex="-1"
                    aria-hidden="true"
                />
            }
            .into_any(),
        ),
    };
    view! {
        <section data-size="small">
            <h1>{title}</h1>
            <p class="lead">{lead}</p>
            <form class="sheet padded" method="post" action=RedeemLink::url()>
                <input type="hidden" name="secret" value=secret/>
                {name}
                {Field {
                    label: "Password",
                    name: "password",
                    kind: "password",
                    autocomplete: "new-password",
                    hint: RULE,
                }
                    .view()}
                {submit("Save and sign in".into(), "Saving…".into(), "primary")}
            </form>
        </section>
    }
    .to_html()
}
