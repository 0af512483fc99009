//! How one runtime's access is, how it came there, and how it goes on. Brought up to date while somebody looks.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::{
        notice::{Course, Happening},
        token::{CheckAgain, HideNotifications, RuntimeAccess, RuntimeRow},
    },
    component::icon,
    made::{
        detail,
        health::{ago, day},
        revocation,
    },
    path,
};

/// Details, what can be done besides, and what happened.
pub(super) fn html(access: &RuntimeAccess, course: &Course) -> String {
    let row = &access.row;
    view! {
        {revocation::view(&access.revocations)}
        <section class="sheet padded part">
            <h2>"Details"</h2>
            {detail::view(access, course)}
            {row.token.is_some().then(|| check(row))}
        </section>
        <section class="sheet padded part">
            <h2>"Notifications"</h2>
            {mute(row)}
        </section>
        {access.administers.then(|| keys(row))}
        <section class="sheet padded part">
            <h2>"What happened"</h2>
            {timeline(&course.happenings)}
        </section>
    }
    .to_html()
}

/// Where admins let the runtime fetch tokens.
fn keys(row: &RuntimeRow) -> AnyView {
    view! {
        <section class="sheet padded part">
            <h2>"Runtime keys"</h2>
            <p class="hint">"With a key, this runtime fetches the tokens that its users gave for it. You are an admin of its account."</p>
            <p><a href=path::runtime_keys(&row.id) rel="external">"Make, rotate and revoke keys"</a></p>
        </section>
    }
    .into_any()
}

/// Asks the provider now.
fn check(row: &RuntimeRow) -> AnyView {
    let label = if row.checking { "Checking now" } else { "Check now" };
    view! {
        <form class="choice" method="post" action=CheckAgain::url()>
            <input type="hidden" name="runtime" value=row.id.clone()/>
            <input type="hidden" name="back" value="true"/>
            <button class="button" id="check-now">{icon("again")} {label}</button>
        </form>
    }
    .into_any()
}

/// Hides notices for a while, or shows them again.
fn mute(row: &RuntimeRow) -> AnyView {
    let (sentence, hide) = match (row.muted, &row.muted_until) {
        (false, _) => ("You are told what happens to this runtime's access.".into_any(), "true"),
        (true, None) => ("They are hidden until you show them again.".into_any(), "false"),
        (true, Some(until)) => (view! { "They are hidden until " {day(until)} "." }.into_any(), "false"),
    };
    let choices = if row.muted {
        view! { <button class="button small" id="mute-show">"Show them again"</button> }.into_any()
    } else {
        view! {
            <button class="button small" id="mute-day" name="days" value="1">"Hide for a day"</button>
            <button class="button small" id="mute-week" name="days" value="7">"Hide for a week"</button>
            <button class="button small" id="mute-on">"Hide until I show them again"</button>
        }
        .into_any()
    };
    view! {
        <p class="hint">{sentence}</p>
        <form class="choice" method="post" action=HideNotifications::url()>
            <input type="hidden" name="runtime" value=row.id.clone()/>
            <input type="hidden" name="hide" value=hide/>
            <input type="hidden" name="back" value="true"/>
            {choices}
        </form>
    }
    .into_any()
}

fn timeline(happenings: &[Happening]) -> AnyView {
    if happenings.is_empty() {
        return view! { <p class="hint">"Nothing yet. Whatever happens to this runtime's token stands here for 90 days."</p> }
            .into_any();
    }
    let items = happenings
        .iter()
        .map(|one| {
            view! {
                <li data-tone=one.tone.word()>
                    <b>{one.title.clone()}</b>
                    " "
                    <small>{ago(&one.at)}</small>
                    {(!one.text.is_empty()).then(|| view! { <p>{one.text.clone()}</p> })}
                </li>
            }
        })
        .collect_view();
    view! { <ol class="timeline">{items}</ol> }.into_any()
}
