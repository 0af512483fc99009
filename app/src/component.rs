//! Parts of pages that live in the browser as well.

pub mod frame;
pub mod live;
pub mod problem;
pub mod stream;

use leptos::prelude::*;

/// A picture that the style sheet draws, silent for screen readers.
pub(crate) fn icon(name: &'static str) -> impl IntoView + use<> {
    view! { <span class="icon" data-icon=name aria-hidden="true"></span> }
}
