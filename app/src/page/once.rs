//! One-time links: the first person's, and everybody else's.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::person::{LinkPurpose, RedeemLink, one_time_link},
    component::{
        form::{Field, FormProblem, Submit, failure, send},
        problem::Problem,
    },
    error::ApiError,
};

/// The first person chooses a name and a password.
#[component]
pub fn SetUpPage() -> impl IntoView {
    once()
}

/// A person who exists chooses a password.
#[component]
pub fn WelcomePage() -> impl IntoView {
    once()
}

/// Both are the same page: what the link is for, only the server knows.
fn once() -> impl IntoView {
    let secret = super::param("secret");
    let purpose = Resource::new(move || secret.get(), one_time_link);
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match purpose.await {
                    Ok(purpose) => form(secret.get_untracked(), purpose),
                    Err(error) => view! { <Problem error=error/> }.into_any(),
                }
            })}
        </Suspense>
    }
}

fn form(secret: String, purpose: LinkPurpose) -> AnyView {
    let action = ServerAction::<RedeemLink>::new();
    let error = failure(action);
    let wrong = Signal::derive(move || matches!(error.get(), Some(ApiError::Password(_))));
    let (title, lead, name) = match purpose {
        LinkPurpose::SetUp => (
            "Set up Gitward".to_owned(),
            "Nobody can sign in yet. Be the first: choose how you sign in from now on.",
            view! {
                <Field
                    label="Name"
                    name="name"
                    kind="text"
                    autocomplete="username"
                    hint="1 to 64 letters, digits, dots, dashes or @."
                    wrong=Signal::derive(move || error.get() == Some(ApiError::NameUnusable))
                />
            }
            .into_any(),
        ),
        LinkPurpose::Password { name } => (
            ["Welcome, ", &name].concat(),
            "Choose a password for Gitward. This link works once.",
            // Unseen, so that password managers keep the right pair.
            view! { <input type="text" class="sr" name="name" value=name autocomplete="username" readonly tabindex="-1" aria-hidden="true"/> }
                .into_any(),
        ),
    };
    view! {
        <section class="narrow">
            <h1>{title}</h1>
            <p class="lead">{lead}</p>
            <form class="sheet padded" method="post" action=RedeemLink::url() on:submit=move |event| send(action, &event)>
                <input type="hidden" name="secret" value=secret/>
                <FormProblem error=error/>
                {name}
                <Field
                    label="Password"
                    name="password"
                    kind="password"
                    autocomplete="new-password"
                    hint=super::password::RULE
                    wrong=wrong
                />
                <Submit label="Save and sign in".into() busy="Saving…".into() pending=action.pending().into()/>
            </form>
        </section>
    }
    .into_any()
}
