//! One file per page. A page loads; what it shows is made of components.

pub mod delete;
pub mod home;
pub mod nowhere;
pub mod once;
pub mod password;
pub mod runtime;
pub mod sign_in;
pub mod tokens;

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

/// A part of the path.
fn param(name: &'static str) -> Memo<String> {
    let params = use_params_map();
    Memo::new(move |_| params.read().get(name).unwrap_or_default())
}

/// A value in the query.
fn query(name: &'static str) -> Memo<String> {
    let query = use_query_map();
    Memo::new(move |_| query.read().get(name).unwrap_or_default())
}
