//! There is nothing at this address.

use leptos::prelude::*;

use crate::path;

/// The page for addresses that lead nowhere.
#[component]
pub fn Nowhere() -> impl IntoView {
    #[cfg(feature = "ssr")]
    crate::api::set_status(404);
    view! {
        <section class="empty">
            <h1>"Nothing at this address"</h1>
            <p>"The link may be mistyped or old."</p>
            <a class="button" data-look="primary" href=path::HOME>"Go home"</a>
        </section>
    }
}
