//! All that is known about one runtime's token. The server alone makes it.

use leptos::prelude::*;

use crate::{
    api::{
        notice::Course,
        token::{Expiry, RuntimeAccess},
    },
    made::{
        codes,
        health::{self, ago, day},
    },
};

/// The facts.
pub(super) fn view(access: &RuntimeAccess, course: &Course) -> AnyView {
    let row = &access.row;
    let token = row.token.as_ref().map(|token| {
        let ends = match &token.expiry {
            Expiry::Never => "Never".into_any(),
            Expiry::At(at) => view! { {day(at)} ", " {at.relative.clone()} }.into_any(),
            Expiry::RenewsItself(at) => view! { "Renews itself, next " {ago(at)} }.into_any(),
            Expiry::RenewsAtNextUse => "Renewed when it is next used".into_any(),
            Expiry::Noted(at) => view! { {day(at)} ", by your own note" }.into_any(),
            Expiry::Unknown => "Unknown: the provider does not say".into_any(),
        };
        let scopes = match &token.scopes {
            None => "Not shown by the provider for this kind".into_any(),
            Some(scopes) if scopes.is_empty() => "None".into_any(),
            Some(scopes) => codes(scopes),
        };
        let checked = token.checked.as_ref().map(|checked| {
            view! {
                <dt>"Last check"</dt>
                <dd>{ago(&checked.at)} ": " <code>{checked.request.clone()}</code> " answered " <code>{checked.answer.clone()}</code></dd>
            }
        });
        let good = course.last_good.as_ref().map(|at| view! { <dt>"Last good check"</dt><dd>{ago(at)}</dd> });
        let next = match &course.next_check {
            _ if row.checking => "Now".into_any(),
            Some(at) => ago(at),
            None => "When you ask for it".into_any(),
        };
        view! {
            <dt>"Token"</dt>
            <dd>{token.kind.clone()} " " <span class="dots" aria-hidden="true">"••••••"</span></dd>
            <dt>"Account there"</dt>
            <dd>{token.login.clone()}</dd>
            <dt>"Scopes"</dt>
            <dd>{scopes}</dd>
            <dt>"Expires"</dt>
            <dd>{ends}</dd>
            {checked}
            {good}
            <dt>"Next check"</dt>
            <dd>{next}</dd>
        }
    });
    let shared = (!access.shared_with.is_empty()).then(|| {
        view! { <dt>"Also used by"</dt><dd>{access.shared_with.join(", ")}</dd> }
    });
    view! {
        <dl class="detail">
            <dt>"Health"</dt>
            <dd>{health::view(row, ().into_any())}</dd>
            <dt>"Account"</dt>
            <dd>{access.account.clone()}</dd>
            <dt>"Provider"</dt>
            <dd>{row.provider.name.clone()} " · " {row.provider.host.clone()}</dd>
            {token}
            {shared}
        </dl>
    }
    .into_any()
}
