//! Parts of pages that the server makes as HTML.

#![expect(missing_docs, reason = "the fields of the structs that #[server] makes from arguments")]

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::token::Html;
use crate::error::ApiError;

/// Which part.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// How things stand.
    Home,
    /// Access and details of the runtime with this id.
    Runtime,
    /// Access alone.
    AccessDialog,
    /// The question before the token of the runtime with this id is deleted.
    Delete,
    /// The same for the dialog.
    DeleteDialog,
    /// The form to sign in; the id is the place to go to afterwards.
    SignIn,
    /// The form to change the password; the id is `changed` afterwards.
    Password,
    /// What a one-time link is for; the id is its secret.
    Once,
}

impl Part {
    /// Whether it fills the dialog rather than a page.
    pub fn is_dialog(self) -> bool {
        matches!(self, Self::AccessDialog | Self::DeleteDialog)
    }
}

/// A part as HTML.
#[server(prefix = "/api", endpoint = "part")]
pub async fn load_part(part: Part, #[server(default)] id: String) -> Result<Html, ApiError> {
    super::answer(crate::made::part(part, id).await.map(Html))
}
