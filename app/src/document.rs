//! The document around the page, as the server sends it.

use std::sync::Arc;

use leptos::{config::LeptosOptions, hydration::AutoReload, nonce::use_nonce, prelude::*};

use crate::{
    App,
    asset::{Assets, DevReload},
    path::Place,
};

/// The whole document. Written out instead of leaving it to `HydrationScripts`: that reads the names of the files from
/// disk at each response, and puts the nonce where `crossorigin` belongs. The WASM is not preloaded: nothing waits for
/// it, and a browser without script would fetch it in vain.
pub fn shell(options: LeptosOptions) -> impl IntoView {
    let title = use_context::<http::request::Parts>()
        .map_or(Place::Nowhere.title(), |parts| Place::of(parts.uri.path()).title());
    let reload = use_context::<DevReload>().map(|_| view! { <AutoReload options=options/> });
    let assets = use_context::<Arc<Assets>>().map(|assets| {
        let start = format!(
            "import init,{{hydrate}} from {:?};init({{module_or_path:{:?}}}).then(()=>hydrate())",
            assets.js, assets.wasm
        );
        view! {
            <link rel="stylesheet" href=assets.css.clone()/>
            <link rel="modulepreload" href=assets.js.clone() crossorigin="anonymous" fetchpriority="low"/>
            <script type="module" nonce=use_nonce()>
                {start}
            </script>
        }
    });
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="description" content="Your Git access, runtime by runtime."/>
                <meta name="color-scheme" content="light dark"/>
                <title>{title}</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                {assets}
                {reload}
            </head>
            <body>
                <App/>
            </body>
        </html>
    }
}
