//! What people see: pages, components, and the thin server functions behind them.
//!
//! Compiled twice: natively with `ssr`, where pages become HTML, and to WASM with `hydrate`, where the browser takes
//! over. Nothing here knows of databases, HTTP clients or providers: what the server does for a visitor is behind
//! the trait `api::Backend`.
//!
//! - [`path`]: every address of the site
//! - [`error`]: what can go wrong for a visitor
//! - [`api`]: what pages ask of the server
//! - [`page`]: one component per page
//! - [`component`]: what lives in the browser as well
//! - `made`: HTML that only the server makes
//! - [`asset`]: names of the files that a page loads
//! - `document`: what stands around a page; only on the server
//!
//! To add a page: a function in [`path`], a variant of [`path::Place`], a component in [`page`], a line in [`App`].

// The types of views nest as deep as the pages do.
#![recursion_limit = "256"]

pub mod api;
pub mod asset;
pub mod component;
#[cfg(feature = "ssr")]
mod document;
pub mod error;
#[cfg(feature = "ssr")]
mod made;
pub mod page;
pub mod path;

pub use component::stream::LOOKING;
#[cfg(feature = "ssr")]
pub use document::{Still, shell};

use leptos::prelude::*;
use leptos_router::{
    ParamSegment, SsrMode, StaticSegment,
    components::{FlatRoutes, Route, Router},
};

use crate::{
    component::{frame::Frame, stream::Changes},
    page::{
        ConfirmPage, DeletePage, HomePage, NoticeSettingsPage, NoticesPage, OncePage, PasswordPage,
        RuntimePage, SignInPage, nowhere::Nowhere, tokens::TokensPage,
    },
};

/// The site's body.
///
/// All pages wait for their data before the first byte leaves: status and text are right without script.
#[component]
pub fn App() -> impl IntoView {
    provide_context(Changes::new());
    view! {
        <Router>
            <Frame>
                <FlatRoutes fallback=Nowhere>
                    <Route path=StaticSegment("") view=HomePage ssr=SsrMode::Async/>
                    <Route path=StaticSegment("tokens") view=TokensPage ssr=SsrMode::Async/>
                    <Route
                        path=(StaticSegment("tokens"), ParamSegment("runtime"))
                        view=RuntimePage
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=(StaticSegment("tokens"), ParamSegment("runtime"), StaticSegment("delete"))
                        view=DeletePage
                        ssr=SsrMode::Async
                    />
                    <Route path=StaticSegment("notifications") view=NoticesPage ssr=SsrMode::Async/>
                    <Route
                        path=(StaticSegment("notifications"), StaticSegment("settings"))
                        view=NoticeSettingsPage
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=(StaticSegment("notifications"), StaticSegment("confirm"))
                        view=ConfirmPage
                        ssr=SsrMode::Async
                    />
                    <Route path=StaticSegment("password") view=PasswordPage ssr=SsrMode::Async/>
                    <Route path=StaticSegment("sign-in") view=SignInPage ssr=SsrMode::Async/>
                    <Route
                        path=(StaticSegment("setup"), ParamSegment("secret"))
                        view=OncePage
                        ssr=SsrMode::Async
                    />
                    <Route
                        path=(StaticSegment("welcome"), ParamSegment("secret"))
                        view=OncePage
                        ssr=SsrMode::Async
                    />
                </FlatRoutes>
            </Frame>
        </Router>
    }
}
