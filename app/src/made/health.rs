//! Whether a token works: a word, a sentence, and the one thing to do.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::{
        Moment,
        token::{CheckAgain, Fetched, Health, RuntimeRow, SettleAccount, Tone},
    },
    component::icon,
    made::{codes, refusal::new_tab},
};

impl Tone {
    /// For the style sheet.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Calm => "calm",
            Self::Good => "good",
        }
    }
}

/// The state in a few words.
fn label(health: &Health, provider: &str) -> String {
    match health {
        Health::NoToken => "No token",
        Health::Checking { .. } => "Checking",
        Health::Valid { .. } => "Works",
        Health::Expiring { .. } => "Expires soon",
        Health::Expired { .. } => "Expired",
        Health::Revoked { .. } => "Not accepted any more",
        Health::RenewalLost { refused: true, .. } => "Could not be renewed",
        Health::RenewalLost { refused: false, .. } => "Being renewed",
        Health::ScopesMissing { missing } if missing.len() == 1 => "Scope missing",
        Health::ScopesMissing { .. } => "Scopes missing",
        Health::CannotPush { .. } => "Can't push",
        Health::RepositoryHidden { .. } => "Can't see the repository",
        Health::NeedsSso { .. } => "Needs single sign-on",
        Health::AnotherAccount { .. } => "Another account",
        Health::Unreachable { .. } => return [provider, " unreachable"].concat(),
        Health::RateLimited { .. } => return [provider, " asks us to wait"].concat(),
        Health::AuthorizationPending { .. } => "Waiting for you",
        Health::AuthorizationDenied { .. } => "Access denied",
    }
    .into()
}

fn picture(health: &Health) -> &'static str {
    match health {
        Health::NoToken => "none",
        Health::Valid { .. } => "ok",
        Health::Checking { .. }
        | Health::RenewalLost { refused: false, .. }
        | Health::Expiring { .. }
        | Health::RateLimited { .. }
        | Health::AuthorizationPending { .. } => "clock",
        Health::Unreachable { .. } => "cloud",
        Health::Expired { .. }
        | Health::Revoked { .. }
        | Health::RenewalLost { refused: true, .. }
        | Health::AuthorizationDenied { .. } => "cross",
        _ => "mark",
    }
}

/// A moment as people say it, exact for those who point at it.
pub(crate) fn ago(at: &Moment) -> AnyView {
    view! { <time datetime=at.iso.clone() title=at.full.clone()>{at.relative.clone()}</time> }.into_any()
}

/// What the runtime itself has of the token.
pub(crate) fn fetched(fetched: &Fetched) -> AnyView {
    match fetched {
        Fetched::Never => "Never fetched by the runtime".into_any(),
        Fetched::At(at) => view! { "Last fetched " {ago(at)} }.into_any(),
        Fetched::Previous(at) => {
            view! { "The runtime still holds the previous token, fetched " {ago(at)} }.into_any()
        }
    }
}

/// The day, exact for those who point at it.
pub(crate) fn day(at: &Moment) -> AnyView {
    view! { <time datetime=at.iso.clone() title=at.full.clone()>{at.date.clone()}</time> }.into_any()
}

/// What happened and the one thing to do.
fn sentence(row: &RuntimeRow) -> AnyView {
    let provider = row.provider.name.clone();
    match &row.health {
        Health::NoToken => "This runtime can't act for you yet.".into_any(),
        Health::Checking { since } => view! {
            {provider} " began to refuse it " {ago(since)}
            ". Providers have bad moments, so the token stays in use. Check again later to be sure. Did you revoke it? Then replace it."
            {check_button(row)}
        }
        .into_any(),
        Health::Valid { scopes_visible: true } => ().into_any(),
        Health::Valid { scopes_visible: false } => {
            [&provider, " does not show the scopes of this kind of token."].concat().into_any()
        }
        Health::Expiring { at } => view! { "Ends " {ago(at)} ". Replace it before then." }.into_any(),
        Health::Expired { at } => view! { "Ended on " {day(at)} ". Replace it with a new one." }.into_any(),
        Health::Revoked { since } => view! {
            "Revoked, or unknown to " {provider} ", since " {day(since)} ". Replace it with a new one."
        }
        .into_any(),
        Health::RenewalLost { since, refused: true } => view! {
            {provider} "'s answer to a renewal was lost " {ago(since)}
            ", and it renews nothing twice. Authorize again; nothing else is wrong."
        }
        .into_any(),
        Health::RenewalLost { since, refused: false } => view! {
            {provider} "'s answer to a renewal was lost " {ago(since)}
            ". It is tried once more by itself in a few minutes."
            {check_button(row)}
        }
        .into_any(),
        Health::ScopesMissing { missing } => view! {
            "Lacks " {codes(missing)} ", so this runtime can't do its work. Replace it with a token that has "
            {if missing.len() == 1 { "it." } else { "them." }}
        }
        .into_any(),
        Health::CannotPush { repository } => view! {
            "May read " <code>{repository.clone()}</code> " but not push. Replace it with a token that may write there."
        }
        .into_any(),
        Health::RepositoryHidden { repository } => view! {
            "Does not see " <code>{repository.clone()}</code> ". Replace it with a token that may."
        }
        .into_any(),
        Health::NeedsSso { link } => {
            let at = match link {
                Some(link) => new_tab(link.clone(), ["Let it in at ", &provider].concat()),
                None => ["Let it in at ", &provider].concat().into_any(),
            };
            view! { "Your organisation asks for single sign-on. " {at} ", then " {check(row, "check again")} "." }.into_any()
        }
        Health::AnotherAccount { before, now } => view! {
            "The new token is " {now.clone()} "'s. Until you decide, the old one of " {before.clone()} " stays in use."
            <form class="choice" method="post" action=SettleAccount::url()>
                <input type="hidden" name="runtime" value=row.id.clone()/>
                <button class="button small" id=["keep-", &row.id].concat() name="take" value="false">"Keep " {before.clone()}</button>
                <button class="button small" id=["take-", &row.id].concat() name="take" value="true">"Use " {now.clone()}</button>
            </form>
        }
        .into_any(),
        Health::Unreachable { since, last_good } => {
            let last = last_good.as_ref().map(|at| view! { " Last good answer " {ago(at)} "." });
            view! { "No answer, first noticed " {ago(since)} "." {last} " The token stays in use." {check_button(row)} }.into_any()
        }
        Health::RateLimited { until } => {
            let until = match until {
                Some(until) => view! { "It takes questions again " {ago(until)} "." }.into_any(),
                None => "It takes questions again later.".into_any(),
            };
            view! { {until} " The token stays in use; check again then." {check_button(row)} }.into_any()
        }
        Health::AuthorizationPending { since } => view! {
            "You went to " {provider} " " {ago(since)} " and have not come back yet. Is that page gone? Then begin again."
        }
        .into_any(),
        Health::AuthorizationDenied { at } => view! {
            {provider} " or you said no, " {ago(at)} ". Authorize again, or paste a token."
        }
        .into_any(),
    }
}

/// Asks the provider again, from within a sentence.
fn check(row: &RuntimeRow, text: &'static str) -> AnyView {
    view! {
        <form class="inline" method="post" action=CheckAgain::url()>
            <input type="hidden" name="runtime" value=row.id.clone()/>
            <button class="link" id=["ask-", &row.id].concat()>{text}</button>
        </form>
    }
    .into_any()
}

/// The same as a button of its own. Its name says which runtime: the menu has a "Check again", too.
fn check_button(row: &RuntimeRow) -> AnyView {
    let id = ["check-", &row.id].concat();
    let named = [&id, " name-", &row.id].concat();
    view! {
        <form class="choice" method="post" action=CheckAgain::url()>
            <input type="hidden" name="runtime" value=row.id.clone()/>
            <button class="button small" id=id aria-labelledby=named>{icon("again")} "Check again"</button>
        </form>
    }
    .into_any()
}

/// Whether a new token is the one thing to do.
pub(crate) fn wants_token(health: &Health) -> bool {
    match health {
        Health::NoToken | Health::AuthorizationPending { .. } => true,
        Health::AnotherAccount { .. } | Health::NeedsSso { .. } => false,
        _ => health.needs_user(),
    }
}

/// The pill, what stands beside it, and the sentence.
pub(crate) fn view(row: &RuntimeRow, beside: AnyView) -> AnyView {
    let health = &row.health;
    let quiet = matches!(health, Health::Valid { scopes_visible: true });
    let sentence = (!quiet).then(|| view! { <div class="fix">{sentence(row)}</div> });
    view! {
        <span class="pill" data-tone=health.tone().word()>
            {icon(picture(health))}
            {label(health, &row.provider.name)}
        </span>
        " "
        {beside}
        {sentence}
    }
    .into_any()
}
