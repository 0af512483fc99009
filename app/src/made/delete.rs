//! Asks before a token is deleted. The same in the dialog and on a page of its own.

use leptos::{prelude::*, server_fn::ServerFn};

use super::{and, form::submit, refusal::new_tab};
use crate::{
    api::token::{DeleteToken, RuntimeAccess},
    path,
};

/// The question.
pub(super) fn html(access: RuntimeAccess, in_dialog: bool) -> String {
    let id = access.row.id;
    let name = access.row.name;
    let provider = access.row.provider.name;
    let title = ["Delete the token of ", &name, "?"].concat();
    let (title, cancel) = if in_dialog {
        (
            view! { <h2 id="dialog-title">{title}</h2> }.into_any(),
            view! { <button type="button" class="button" data-first data-close>"Cancel"</button> }.into_any(),
        )
    } else {
        let list = [path::TOKENS, "#", &path::encode(&id)].concat();
        (view! { <h1>{title}</h1> }.into_any(), view! { <a class="button" href=list>"Cancel"</a> }.into_any())
    };
    let whose = access.row.token.map(|token| {
        view! { <p class="lead">{token.kind} " of " <b>{token.login}</b> " at " {provider.clone()}</p> }
    });
    let shared = (!access.shared_with.is_empty()).then(|| {
        view! { <li>"The same token serves " <b>{and(&access.shared_with)}</b> ": there it stays."</li> }
    });
    let alone = access.shared_with.is_empty();
    let possible = access.revoking.clone().filter(|revoking| alone && revoking.possible);
    let there = access.revoking.map(|revoking| {
        let by_hand = (alone && !revoking.possible).then(|| {
            view! { " Gitward can't do that for you. Nobody needs it any more? Then revoke it at " {new_tab(revoking.link, provider.clone())} "." }
        });
        view! {
            <li>"At " {provider.clone()} " the token stays valid until it is revoked there." {by_hand}</li>
        }
    });
    let also_there = possible.map(|revoking| {
        let hint = if revoking.usual {
            "Only Gitward has it, so nothing else stops working."
        } else {
            "Whatever else uses this token stops working as well, for good."
        };
        view! {
            <label class="check">
                <input type="checkbox" name="revoke" value="true" checked=revoking.usual/>
                <span>"Also revoke it at " {provider.clone()} <small>{hint}</small></span>
            </label>
        }
    });
    view! {
        <div class=if in_dialog { "access" } else { "access sheet padded" }>
            {title}
            {whose}
            <ul class="facts" id="dialog-text">
                <li>
                    "For you alone, " <b>{name}</b>
                    " stops working with its Git repositories, Git Sources and other resources. The runtime itself stays, and so does everybody else's access."
                </li>
                {shared}
                {there}
            </ul>
            <form method="post" action=DeleteToken::url()>
                <input type="hidden" name="runtime" value=id/>
                {also_there}
                <div class="buttons">
                    {cancel}
                    {submit("Delete Token".into(), "Deleting…".into(), "delete")}
                </div>
            </form>
        </div>
    }
    .to_html()
}
