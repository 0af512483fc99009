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
    /// Details and what happened, of the runtime with this id.
    Course,
    /// Access alone.
    AccessDialog,
    /// The question before the token of the runtime with this id is deleted.
    Delete,
    /// The same for the dialog.
    DeleteDialog,
    /// What the visitor was told; the id is the notice before which, or empty.
    Notices,
    /// Whether, and where else, the visitor is told.
    NoticeSettings,
    /// Asks whether an address is the visitor's; the id is the secret that was mailed there.
    Confirm,
    /// The form to sign in; the id is the place to go to afterwards.
    SignIn,
    /// The form to change the password; the id is `changed` afterwards.
    Password,
    /// What a one-time link is for; the id is its secret.
    Once,
}

impl Part {
    /// As forms spell it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Home => "Home",
            Self::Runtime => "Runtime",
            Self::Course => "Course",
            Self::AccessDialog => "AccessDialog",
            Self::Delete => "Delete",
            Self::DeleteDialog => "DeleteDialog",
            Self::Notices => "Notices",
            Self::NoticeSettings => "NoticeSettings",
            Self::Confirm => "Confirm",
            Self::SignIn => "SignIn",
            Self::Password => "Password",
            Self::Once => "Once",
        }
    }

    /// Whether it is brought up to date while somebody looks at it. Not what people type into.
    pub fn follows(self) -> bool {
        matches!(self, Self::Home | Self::Runtime | Self::Notices)
    }

    /// Whether a page of it stays after its forms, and says what was done.
    pub fn stays_after(self, did: &str) -> bool {
        match self {
            Self::Runtime => matches!(did, "checked" | "muted" | "unmuted"),
            Self::Notices | Self::NoticeSettings => true,
            _ => false,
        }
    }

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
