//! What became of tokens that were deleted or replaced: at the provider, or only here.

use leptos::prelude::*;

use super::{and, health::ago, refusal::new_tab};
use crate::api::token::{Revocation, RevocationState};

/// One notice each.
pub(crate) fn html(revocations: &[Revocation]) -> String {
    view(revocations).map(|view| view.to_html()).unwrap_or_default()
}

/// The same as a part of something else.
pub(crate) fn view(revocations: &[Revocation]) -> Option<AnyView> {
    let notices = revocations.iter().map(notice).collect_view();
    (!revocations.is_empty())
        .then(|| view! { <div class="revocations" role="status">{notices}</div> }.into_any())
}

fn notice(revocation: &Revocation) -> AnyView {
    let Revocation { runtime, provider, kind, login, link, at, state } = revocation;
    let provider = provider.clone();
    let by_hand = || {
        let page = new_tab(link.clone(), provider.clone());
        view! { "Forgotten here; revoke it at " {page} "." }
    };
    let (word, sentence) = match state {
        RevocationState::Revoked => ("revoked", ["Revoked at ", &provider, "."].concat().into_any()),
        RevocationState::HandedOver => (
            "handed-over",
            view! {
                "Handed to " {provider.clone()} ", which revokes it by itself. To be sure, look at "
                {new_tab(link.clone(), provider.clone())} "."
            }
            .into_any(),
        ),
        RevocationState::InUse { by } if by.is_empty() => (
            "in-use",
            ["Not revoked at ", &provider, ": another runtime was using the same token."].concat().into_any(),
        ),
        RevocationState::InUse { by } => {
            let uses = if by.len() == 1 { " still uses it." } else { " still use it." };
            ("in-use", ["Not revoked at ", &provider, ": ", &and(by), uses].concat().into_any())
        }
        RevocationState::ByHand => ("by-hand", by_hand().into_any()),
        RevocationState::Held { by, until } => {
            let still = if by.len() == 1 { " still holds it. " } else { " still hold it. " };
            let taken =
                ["Gitward revokes it at ", &provider, " when the new one is in use there, at the latest on "];
            (
                "waiting",
                view! {
                    {and(by)} {still} {taken.concat()}
                    <time datetime=until.iso.clone()>{until.full.clone()}</time> "."
                }
                .into_any(),
            )
        }
        RevocationState::Waiting { until } => (
            "waiting",
            view! {
                {provider.clone()} " has not answered yet; Gitward will try again until "
                <time datetime=until.iso.clone()>{until.full.clone()}</time> "."
            }
            .into_any(),
        ),
        RevocationState::Doubted => (
            "waiting",
            [&provider, " says that it does not know this token. Gitward asks again, to be sure."]
                .concat()
                .into_any(),
        ),
        RevocationState::GivenUp => (
            "by-hand",
            view! { {provider.clone()} " gave no clear answer for a day. " {by_hand()} }.into_any(),
        ),
    };
    view! {
        <p class="notice" data-revocation=word>
            <span>"The old token of " <b>{runtime.clone()}</b> ": " {sentence}</span>
            <small>{kind.clone()} " of " {login.clone()} ", taken away " {ago(at)}</small>
        </p>
    }
    .into_any()
}
