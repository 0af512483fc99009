//! What people see: pages, components, and the thin server functions behind them.
//!
//! Compiled twice: natively with `ssr`, where pages become HTML, and to WASM with `hydrate`, where the browser takes
//! over. Nothing here knows of databases, HTTP clients or providers: what the server does for a visitor is behind
//! the trait `api::Backend`.
//!
//! - [`path`]: every address of the site
//! - [`error`]: what can go wrong for a visitor
//! - [`api`]: what pages ask of the server

pub mod api;
pub mod error;
pub mod path;

use leptos::prelude::*;

/// The site's body.
#[component]
pub fn App() -> impl IntoView {}
