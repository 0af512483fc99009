//! The document around the page, as the server sends it.

use std::sync::Arc;

use leptos::{config::LeptosOptions, hydration::AutoReload, nonce::use_nonce, prelude::*};

use crate::{
    App,
    api::person::Visitor,
    asset::{Assets, DevReload},
    component::frame,
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

/// A page in which nothing runs: the same frame as the others, made at once of what is known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Still<'a> {
    /// The style sheet's address.
    pub css: &'a str,
    /// Who is signed in.
    pub visitor: Option<&'a Visitor>,
    /// The pages above this one, by name and address, without the start page.
    pub above: &'a [(&'a str, &'a str)],
    /// What the page is called.
    pub here: &'a str,
}

impl Still<'_> {
    /// The whole document around `body`.
    pub fn html(self, body: AnyView) -> String {
        let title = [self.here, " · Gitward"].concat();
        let css = self.css.to_owned();
        let html = view! {
            <html lang="en">
                <head>
                    <meta charset="utf-8"/>
                    <meta name="viewport" content="width=device-width, initial-scale=1"/>
                    <meta name="color-scheme" content="light dark"/>
                    <title>{title}</title>
                    <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                    <link rel="stylesheet" href=css/>
                </head>
                <body>{frame::still(self.visitor, self.above, self.here, body)}</body>
            </html>
        };
        ["<!DOCTYPE html>", &html.to_html()].concat()
    }
}
