//! Asks before a token is deleted. The same in the dialog and on a page of its own.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::token::{DeleteToken, RuntimeAccess},
    component::{
        access::Done,
        and,
        form::{FormProblem, Submit, failure, send},
    },
    path,
};

/// The question.
#[component]
pub fn DeleteForm(
    /// What is known.
    access: RuntimeAccess,
    /// What to do afterwards.
    done: Callback<Done>,
    /// Closes the dialog; without one, Cancel is a link to the list.
    #[prop(optional_no_strip)]
    cancel: Option<Callback<()>>,
) -> impl IntoView {
    let delete = ServerAction::<DeleteToken>::new();
    let id = access.row.id;
    let name = access.row.name;
    Effect::new({
        let id = id.clone();
        let name = name.clone();
        move |_| {
            if let Some(Ok(())) = delete.value().get() {
                let text = ["The token of ", &name, " is deleted. It can't act for you until you add one."].concat();
                done.run(Done { did: "deleted", runtime: id.clone(), text });
            }
        }
    });
    let title = view! { "Delete the token of " <span class="name">{name.clone()}</span> "?" };
    let title = if cancel.is_some() {
        view! { <h2 id="dialog-title">{title}</h2> }.into_any()
    } else {
        view! { <h1>{title}</h1> }.into_any()
    };
    let provider = access.row.provider.name;
    let whose = access.row.token.map(|token| {
        view! { <p class="lead">{token.kind} " of " <b>{token.login}</b> " at " {provider.clone()}</p> }
    });
    let shared = (!access.shared_with.is_empty()).then(|| {
        view! { <li>"The same token serves " <b>{and(&access.shared_with)}</b> ": there it stays."</li> }
    });
    let cancel = match cancel {
        Some(cancel) => view! {
            <button type="button" class="button" data-first on:click=move |_| cancel.run(())>"Cancel"</button>
        }
        .into_any(),
        None => view! {
            <a class="button" href=[path::TOKENS, "#", &path::encode(&id)].concat()>"Cancel"</a>
        }
        .into_any(),
    };
    view! {
        <div class="access">
            {title}
            {whose}
            <ul class="facts" id="dialog-text">
                <li>
                    "For you alone, " <b>{name}</b>
                    " stops working with its Git repositories, Git Sources and other resources. The runtime itself stays, and so does everybody else's access."
                </li>
                {shared}
                <li>
                    "At " {provider.clone()} " the token stays valid until it is revoked there. Nobody needs it any more? Then revoke it at " {provider} "."
                </li>
            </ul>
            <FormProblem error=failure(delete)/>
            <form method="post" action=DeleteToken::url() on:submit=move |event| send(delete, &event)>
                <input type="hidden" name="runtime" value=id/>
                <div class="buttons">
                    {cancel}
                    <Submit label="Delete Token".into() busy="Deleting…".into() pending=delete.pending().into() look="danger"/>
                </div>
            </form>
        </div>
    }
    .into_any()
}
