//! How things stand, in one card.

use leptos::prelude::*;

use crate::{
    api::token::{Counts, Show},
    component::icon,
    path,
};

/// The card.
pub(super) fn html(name: &str, counts: Counts) -> String {
    let runtimes = if counts.all == 1 { " runtime" } else { " runtimes" };
    let (tone, title, text) = if counts.all == 0 {
        ("calm", "No runtimes yet".to_owned(), "Ask your account admin to add some that you may use.")
    } else if counts.need_you > 0 {
        let verb = if counts.need_you == 1 { " runtime needs you" } else { " runtimes need you" };
        (
            "bad",
            [&counts.need_you.to_string(), verb].concat(),
            "Each says what is wrong and how to put it right.",
        )
    } else if counts.in_doubt > 0 {
        (
            "warn",
            [&counts.in_doubt.to_string(), " in doubt"].concat(),
            "Their tokens stay in use; the provider gave no clear answer the last time.",
        )
    } else if counts.no_token > 0 {
        (
            "calm",
            [
                counts.no_token.to_string().as_str(),
                if counts.no_token == 1 { " runtime" } else { " runtimes" },
                " without a token",
            ]
            .concat(),
            "They can't act for you until you add one.",
        )
    } else {
        ("good", "All is well".to_owned(), "Every token you have given does its work.")
    };
    let (show, picture) = match tone {
        "bad" => (Show::NeedYou, "mark"),
        "warn" => (Show::InDoubt, "clock"),
        "good" => (Show::All, "ok"),
        _ => (Show::All, "none"),
    };
    let target = path::list("", show.word(), 1);
    let doubt = (counts.in_doubt > 0).then(|| view! { {counts.in_doubt} " in doubt, " });
    view! {
        <section>
            <h1>{["Hello, ", name].concat()}</h1>
            <p class="lead">"Your runtimes work in Git under your name. Here you see whether they may, and put right what is not."</p>
            <a class="sheet card" data-tone=tone href=target>
                <span class="card-icon">{icon(picture)}</span>
                <span class="card-text">
                    <b>{title}</b>
                    <span>{text}</span>
                    <small>{counts.all} {runtimes} ", " {counts.work} " working, " {doubt} {counts.no_token} " without a token"</small>
                </span>
                {icon("next")}
            </a>
            <p class="links">
                <a href=path::TOKENS>"All runtimes and tokens"</a>
                <a href=path::PASSWORD>"Change password"</a>
            </p>
        </section>
    }
    .to_html()
}
