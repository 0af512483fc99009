//! People: signing in and out, passwords, one-time links.

#![expect(missing_docs, reason = "the fields of the structs that #[server] makes from arguments")]

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Who is signed in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Visitor {
    /// The name that the person signs in with.
    pub name: String,
    /// How many notices the person has not read yet.
    #[serde(default)]
    pub unread: u32,
    /// Another one as soon as anything has changed since this was written; empty where nobody can tell.
    #[serde(default)]
    pub version: String,
}

/// What a one-time link is for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum LinkPurpose {
    /// Nobody can sign in yet: choose the first name and password.
    SetUp,
    /// A person who exists chooses a password.
    Password {
        /// The name to sign in with.
        name: String,
    },
}

/// Who is signed in.
#[server(prefix = "/api", endpoint = "person/visitor")]
pub async fn load_visitor() -> Result<Visitor, ApiError> {
    super::answer(super::backend()?.visitor().await)
}

/// Starts a session, then leads to `then` on this site.
#[server(prefix = "/api", endpoint = "person/sign-in")]
pub async fn sign_in(
    name: String,
    password: String,
    #[server(default)] then: String,
) -> Result<(), ApiError> {
    super::answer(super::backend()?.sign_in(name, password).await)?;
    leptos_axum::redirect(&crate::path::safe_place(&then));
    Ok(())
}

/// Ends the session.
#[server(prefix = "/api", endpoint = "person/sign-out")]
pub async fn sign_out() -> Result<(), ApiError> {
    super::answer(super::backend()?.sign_out().await)?;
    leptos_axum::redirect(crate::path::SIGN_IN);
    Ok(())
}

/// Changes the visitor's own password.
#[server(prefix = "/api", endpoint = "person/change-password")]
pub async fn change_password(current: String, new: String) -> Result<(), ApiError> {
    let backend = super::backend()?;
    super::answer(backend.change_password(current, new).await)?;
    super::then_go(&backend, "/password?did=changed");
    Ok(())
}

/// What a one-time link is for, while it is good.
#[server(prefix = "/api", endpoint = "person/one-time-link")]
pub async fn one_time_link(secret: String) -> Result<LinkPurpose, ApiError> {
    super::answer(super::backend()?.one_time_link(secret).await)
}

/// Uses up a one-time link and signs in.
#[server(prefix = "/api", endpoint = "person/redeem-link")]
pub async fn redeem_link(
    secret: String,
    #[server(default)] name: String,
    password: String,
) -> Result<(), ApiError> {
    super::answer(super::backend()?.redeem_link(secret, name, password).await)?;
    leptos_axum::redirect(crate::path::TOKENS);
    Ok(())
}
