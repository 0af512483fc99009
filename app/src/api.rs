//! What the pages ask of the server.
//!
//! [`Backend`] exists only on the server: it does things for the visitor who makes this request. A server function
//! is one line that calls it.

pub mod light;
pub mod notice;
pub mod part;
pub mod person;
pub mod stream;
pub mod token;

#[cfg(feature = "ssr")]
pub use backend::{Backend, SharedBackend, backend};

#[cfg(feature = "ssr")]
mod backend {
    use std::sync::Arc;

    use async_trait::async_trait;
    use leptos::prelude::use_context;

    use super::{
        notice::{Course, MailMode, NoticePage, NoticeSettings, WebhookFormat},
        person::{LinkPurpose, Visitor},
        token::{Added, NewToken, RuntimeAccess, TokenPage, TokenQuery},
    };
    use crate::error::ApiError;

    /// What the server does for the visitor who makes this request.
    ///
    /// Every method but the four about signing in answers [`ApiError::SignInNeeded`] to strangers, and
    /// [`ApiError::NotFound`] for a runtime of other people, whether it exists or not.
    #[async_trait]
    pub trait Backend: Send + Sync {
        /// Who is signed in.
        async fn visitor(&self) -> Result<Visitor, ApiError>;
        /// Starts a session.
        async fn sign_in(&self, name: String, password: String) -> Result<(), ApiError>;
        /// Ends this session.
        async fn sign_out(&self) -> Result<(), ApiError>;
        /// Changes the visitor's own password; ends all their other sessions.
        async fn change_password(&self, current: String, new: String) -> Result<(), ApiError>;
        /// What a one-time link is for, while it is good.
        async fn one_time_link(&self, secret: String) -> Result<LinkPurpose, ApiError>;
        /// Uses up a one-time link: sets the password (and the name, for the first person) and signs in.
        async fn redeem_link(&self, secret: String, name: String, password: String) -> Result<(), ApiError>;

        /// The list of runtimes, filtered and cut to one page.
        async fn token_page(&self, query: TokenQuery) -> Result<TokenPage, ApiError>;
        /// All that the dialog of one runtime shows.
        async fn runtime_access(&self, runtime: String) -> Result<RuntimeAccess, ApiError>;
        /// Asks the provider about a pasted token and keeps it when it passes.
        async fn add_token(&self, new: NewToken) -> Result<Added, ApiError>;
        /// Uses a token that already serves another runtime.
        async fn reuse_token(
            &self,
            runtime: String,
            credential: String,
            also: Vec<String>,
            revoke: bool,
        ) -> Result<Added, ApiError>;
        /// Answers "another person's account than before": take it, or keep the old one.
        async fn settle_account(&self, runtime: String, take: bool) -> Result<(), ApiError>;
        /// Deletes the visitor's token of one runtime, and revokes it at the provider if that is wanted and nothing else
        /// here uses it.
        async fn delete_token(&self, runtime: String, revoke: bool) -> Result<(), ApiError>;
        /// Asks the provider again, now.
        async fn check_again(&self, runtime: String) -> Result<(), ApiError>;
        /// Hides or shows the notifications about one runtime.
        ///
        /// With `days`, which is 1 or 7, they are hidden for so long; with 0 until the visitor shows them again.
        async fn hide_notifications(&self, runtime: String, hide: bool, days: u32) -> Result<(), ApiError>;
        /// How one runtime's access came to where it is, and how it goes on.
        async fn course(&self, runtime: String) -> Result<Course, ApiError>;

        /// What the visitor was told, before this notice or up to the last one.
        async fn notices(&self, before: Option<i64>) -> Result<NoticePage, ApiError>;
        /// Marks a notice read. One that is not the visitor's is passed over.
        async fn mark_read(&self, id: i64) -> Result<(), ApiError>;
        /// Marks all notices read up to this one.
        async fn mark_all_read(&self, up_to: i64) -> Result<(), ApiError>;
        /// Whether, and where else, the visitor is told what happens.
        async fn notice_settings(&self) -> Result<NoticeSettings, ApiError>;
        /// Tells the visitor what happens, or nothing any more.
        async fn tell_me(&self, on: bool) -> Result<(), ApiError>;
        /// How often the visitor wants mail; `hour` (0 to 23, UTC) is that of the one mail a day.
        async fn set_mail(&self, mode: MailMode, hour: u8) -> Result<(), ApiError>;
        /// Gives an address, and asks there whether it is the visitor's.
        async fn give_address(&self, address: String) -> Result<(), ApiError>;
        /// Takes an address into use, by the secret that was sent there.
        async fn confirm_address(&self, secret: String) -> Result<(), ApiError>;
        /// Forgets the visitor's addresses.
        async fn forget_address(&self) -> Result<(), ApiError>;
        /// Sets the visitor's webhook; its secret is in [`Self::notice_settings`] for a while.
        async fn set_webhook(&self, url: String, format: WebhookFormat) -> Result<(), ApiError>;
        /// Takes it away.
        async fn remove_webhook(&self) -> Result<(), ApiError>;

        /// Whether this request is a form (`POST`) that was sent without script and expects a page in return.
        fn wants_page(&self) -> bool;
    }

    /// How the backend travels in the context.
    pub type SharedBackend = Arc<dyn Backend>;

    /// The backend of the request being answered.
    ///
    /// # Errors
    /// [`ApiError::Internal`] where the router gave no context, which is a bug of the router.
    pub fn backend() -> Result<SharedBackend, ApiError> {
        use_context::<SharedBackend>().ok_or(ApiError::Internal)
    }

    /// Gives the response the status of the error, and lets the result through. Not for a form that was sent without
    /// script: its error travels back to the page in a redirect, whose status must stay.
    pub(super) fn answer<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
        if let Err(error) = &result
            && !use_context::<SharedBackend>().is_some_and(|backend| backend.wants_page())
        {
            set_status(error.status());
            if let ApiError::TooManyAttempts { retry_after_seconds } = *error
                && let Some(options) = use_context::<leptos_axum::ResponseOptions>()
            {
                options.insert_header(http::header::RETRY_AFTER, retry_after_seconds.into());
            }
        }
        result
    }

    /// Sets the HTTP status of the response being made.
    pub(crate) fn set_status(status: u16) {
        if let Some(options) = use_context::<leptos_axum::ResponseOptions>()
            && let Ok(status) = http::StatusCode::from_u16(status)
        {
            options.set_status(status);
        }
    }

    /// After a form that was sent without script: where to go. With script the page stays and updates itself.
    pub(super) fn then_go(backend: &SharedBackend, place: &str) {
        if backend.wants_page() {
            leptos_axum::redirect(place);
        }
    }
}

#[cfg(feature = "ssr")]
pub(crate) use backend::set_status;
#[cfg(feature = "ssr")]
use backend::{answer, then_go};

use serde::{Deserialize, Serialize};

/// A moment, written out by the server so that the browser need not know time zones or calendars.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// For `<time datetime>`: RFC 3339, UTC.
    pub iso: String,
    /// For people: `12 Mar 2027`.
    pub date: String,
    /// For the `title`: `12 March 2027, 09:00 UTC`.
    pub full: String,
    /// From now: `in 110 days`, `3 minutes ago`.
    pub relative: String,
}
