//! Parts of pages: data in, HTML out.

pub mod access;
pub mod delete;
pub mod form;
pub mod frame;
pub mod problem;
pub mod refusal;

// Made by the server only, and therefore no part of what the browser downloads.
#[cfg(feature = "ssr")]
pub mod detail;
#[cfg(feature = "ssr")]
pub mod health;
#[cfg(feature = "ssr")]
pub mod table;

use leptos::prelude::*;

/// A picture that the style sheet draws, silent for screen readers.
pub(crate) fn icon(name: &'static str) -> AnyView {
    view! { <span class="icon" data-icon=name aria-hidden="true"></span> }.into_any()
}

/// Names in a row: `a`, `a and b`, `a, b and c`.
pub(crate) fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => [&first.join(", "), " and ", last].concat(),
    }
}

/// Words of code in a row, each as `<code>`.
pub(crate) fn codes(words: &[String]) -> AnyView {
    let last = words.len().saturating_sub(1);
    words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            let before = if at == 0 {
                ""
            } else if at == last {
                " and "
            } else {
                ", "
            };
            view! { {before}<code>{word.clone()}</code> }
        })
        .collect_view()
        .into_any()
}
