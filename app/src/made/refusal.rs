//! Why a token was not kept: what happened, what it means, what to do.

use leptos::prelude::*;

use crate::{
    api::token::{Guide, Refusal, RuntimeAccess},
    made::{codes, one},
};

/// What happened.
fn heading(refusal: &Refusal, provider: &str) -> AnyView {
    match refusal {
        Refusal::Unknown => [provider, " does not know this token."].concat().into_any(),
        Refusal::LooksForeign { label } => ["This looks like a token of ", label, ", not of ", provider, "."].concat().into_any(),
        Refusal::NotAUserToken => "This token does not stand for a person.".into_any(),
        Refusal::WrongKind { sentence } => sentence.clone().into_any(),
        Refusal::Expired { at } => ["This token ended on ", &at.date, "."].concat().into_any(),
        Refusal::ScopesMissing { login, missing, .. } if login.is_empty() => view! {
            {provider.to_owned()} " knows this token, but it lacks " {codes(missing)} "."
        }
        .into_any(),
        Refusal::ScopesMissing { login, missing, .. } => view! {
            {provider.to_owned()} " accepted the token of " {login.clone()} ", but it lacks " {codes(missing)} "."
        }
        .into_any(),
        Refusal::CannotPush { login, repository } => view! {
            "The token of " {login.clone()} " may not push to " <code>{repository.clone()}</code> "."
        }
        .into_any(),
        Refusal::RepositoryHidden { login, repository } => view! {
            "The token of " {login.clone()} " does not see " <code>{repository.clone()}</code> "."
        }
        .into_any(),
        Refusal::AnotherAccount { before, now } => {
            ["This token belongs to ", now, ", the one before to ", before, "."].concat().into_any()
        }
        Refusal::Blocked { why } => [provider, " knows this token, but ", why, "."].concat().into_any(),
        Refusal::Unreachable => [provider, " did not answer."].concat().into_any(),
        Refusal::RateLimited { .. } => [provider, " asks us to wait."].concat().into_any(),
    }
}

/// What it means and what to do.
fn advice(refusal: &Refusal, provider: &str, guide: &Guide, user_name: &str) -> AnyView {
    let page = new_tab(guide.link.clone(), [provider, "'s token page"].concat());
    match refusal {
        Refusal::Unknown => {
            // One of two can be wrong, and the provider does not tell which.
            let name = guide.user_name.as_ref().map(|field| {
                let empty = if user_name.is_empty() { " It was empty." } else { "" };
                view! { " Look at “" {field.label.clone()} "” as well: they must go together." {empty} }
            });
            view! {
                "It may be cut short, expired or revoked. Copy the whole token again, or make a new one at " {page} "."
                {name}
            }
            .into_any()
        }
        Refusal::LooksForeign { .. } => [
            "Nothing was sent yet. Paste a token of ",
            provider,
            ", or tick the box below to ask with this one all the same.",
        ]
        .concat()
        .into_any(),
        Refusal::NotAUserToken => view! {
            "It belongs to an app or a machine, or only serves to renew others. Make a personal one at " {page} " and paste it here."
        }
        .into_any(),
        Refusal::WrongKind { .. } => view! {
            "Make " {one(&guide.token_word)} " at " {page} " and paste it here."
        }
        .into_any(),
        Refusal::Expired { .. } => view! { "Make a new one at " {page} " and paste it here." }.into_any(),
        Refusal::ScopesMissing { login, granted, missing } => {
            let has = if granted.is_empty() && login.is_empty() {
                ().into_any()
            } else if granted.is_empty() {
                " It has no scopes at all.".into_any()
            } else {
                view! { " It has " {codes(granted)} "." }.into_any()
            };
            view! { "Make one with " {codes(missing)} " at " {page} " and paste it here." {has} }.into_any()
        }
        Refusal::CannotPush { .. } => view! {
            "This runtime commits there. Give the token write access at " {page} ", or ask the repository's owner, then try again."
        }
        .into_any(),
        Refusal::RepositoryHidden { .. } => view! {
            "This runtime commits there. Add the repository to the token at " {page} ", or ask its owner to let you in."
        }
        .into_any(),
        Refusal::AnotherAccount { .. } => {
            "It is a good token and kept aside. Until you decide, the old one stays in use.".into_any()
        }
        Refusal::Blocked { .. } => {
            "Your token may well be right. Mend that there, or ask the administrator, then try again.".into_any()
        }
        Refusal::Unreachable => "This says nothing about your token: it may well be right. Try again in a moment.".into_any(),
        Refusal::RateLimited { until: Some(until) } => view! {
            "Too many questions were asked. Your token may well be right: try again "
            <time datetime=until.iso.clone() title=until.full.clone()>{until.relative.clone()}</time> "."
        }
        .into_any(),
        Refusal::RateLimited { until: None } => {
            "Too many questions were asked. Your token may well be right: try again in a few minutes.".into_any()
        }
    }
}

/// A link to another site, which says that it opens in a tab of its own.
pub(crate) fn new_tab(link: String, text: String) -> AnyView {
    view! {
        <a href=link target="_blank" rel="noopener noreferrer">
            {text}
            <span class="sr">" (opens in a new tab)"</span>
            {crate::component::icon("away")}
        </a>
    }
    .into_any()
}

/// Both together.
pub(crate) fn view(refusal: &Refusal, access: &RuntimeAccess) -> AnyView {
    let provider = &access.row.provider.name;
    view! {
        <p><b>{heading(refusal, provider)}</b></p>
        <p>{advice(refusal, provider, &access.guide, &access.user_name)}</p>
    }
    .into_any()
}
