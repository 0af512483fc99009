//! What can go wrong for a visitor: a code, an HTTP status and a sentence.
//!
//! Variants carry codes and numbers only. A form that was sent without script gets its error back through the
//! address of the page, where anybody could write one, so no variant carries words of its own.

use leptos::{
    prelude::{FromServerFnError, ServerFnErrorErr},
    server_fn::codec::JsonEncoding,
};
use serde::{Deserialize, Serialize};

/// What the server refuses, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ApiError {
    /// Nobody is signed in, or the session has ended.
    SignInNeeded,
    /// Name and password don't belong together, or there is no such person. Deliberately the same answer.
    WrongNameOrPassword,
    /// The current password, asked for once more, was wrong.
    WrongPassword,
    /// Too many wrong passwords for this name or from this address.
    TooManyAttempts {
        /// How long to wait.
        retry_after_seconds: u32,
    },
    /// A one-time link that is unknown, used, or older than it may be.
    LinkSpent,
    /// The new password can't be used.
    Password(PasswordProblem),
    /// A name for a person that can't be used or is taken.
    NameUnusable,
    /// No such runtime, or not one of the visitor's.
    NotFound,
    /// The field for the token was empty.
    TokenEmpty,
    /// Longer than any provider's tokens.
    TokenTooLong,
    /// Line breaks or control characters inside.
    TokenMalformed,
    /// No user name that could go with a token.
    UserNameUnusable,
    /// The token's end is no day, or over.
    EndUnusable,
    /// Not the address of a mailbox.
    AddressUnusable,
    /// The link that was mailed to an address is spent, too old, or another person's.
    AddressLinkSpent,
    /// The operator has not set up mail.
    NoMail,
    /// The mail that asks whether an address is right could not be sent.
    MailNotSent,
    /// Not an address that a webhook may have.
    WebhookUnusable(WebhookProblem),
    /// The provider was asked, or could not be; `RuntimeAccess::refusal` has the details.
    Refused,
    /// The token that was to be changed is no longer there: another tab was faster.
    TokenGone,
    /// This runtime can't be authorized in that way.
    MethodNotOffered,
    /// The request itself made no sense.
    BadRequest,
    /// Something broke on our side; the log knows.
    Internal,
    /// The server could not be reached.
    Offline,
}

/// Why a password can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum PasswordProblem {
    /// Under eight characters.
    TooShort,
    /// Over 128 characters.
    TooLong,
    /// Among those tried first by anyone who guesses.
    Common,
    /// The same as the name.
    SameAsName,
}

/// Why an address can't be a webhook's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum WebhookProblem {
    /// Not an address at all, or too long.
    NotAnAddress,
    /// Not `https`.
    NotHttps,
    /// With a name or a password in it.
    Password,
    /// On this machine or in a private network, and the operator has not allowed that.
    Private,
}

impl ApiError {
    /// The HTTP status that fits.
    pub fn status(self) -> u16 {
        match self {
            Self::SignInNeeded | Self::WrongNameOrPassword => 401,
            Self::TooManyAttempts { .. } => 429,
            Self::LinkSpent | Self::AddressLinkSpent => 410,
            Self::WrongPassword
            | Self::Password(_)
            | Self::NameUnusable
            | Self::TokenEmpty
            | Self::TokenMalformed
            | Self::UserNameUnusable
            | Self::EndUnusable
            | Self::AddressUnusable
            | Self::NoMail
            | Self::WebhookUnusable(_)
            | Self::Refused
            | Self::MethodNotOffered => 422,
            Self::MailNotSent => 503,
            Self::NotFound => 404,
            Self::TokenTooLong => 413,
            Self::TokenGone => 409,
            Self::BadRequest => 400,
            Self::Internal | Self::Offline => 500,
        }
    }

    /// Whether what stands in the field of this name is to blame.
    pub fn blames(self, field: &str) -> bool {
        match self {
            Self::WrongNameOrPassword => matches!(field, "name" | "password"),
            Self::WrongPassword => field == "current",
            Self::Password(_) => matches!(field, "password" | "new"),
            Self::NameUnusable => field == "name",
            Self::TokenEmpty | Self::TokenTooLong | Self::TokenMalformed => field == "token",
            Self::UserNameUnusable => field == "user_name",
            Self::EndUnusable => field == "end",
            Self::AddressUnusable => field == "address",
            Self::WebhookUnusable(_) => field == "url",
            _ => false,
        }
    }

    /// One or two sentences: what happened and what to do.
    pub fn sentence(self) -> String {
        match self {
            Self::SignInNeeded => "Please sign in again; your session has ended.".into(),
            Self::WrongNameOrPassword => "That name and password don't match. Check both and try again.".into(),
            Self::WrongPassword => "That is not your current password.".into(),
            Self::TooManyAttempts { retry_after_seconds } => {
                let minutes = retry_after_seconds.div_ceil(60).max(1);
                let unit = if minutes == 1 { "minute" } else { "minutes" };
                format!("Too many attempts. Wait {minutes} {unit}, then try again.")
            }
            Self::LinkSpent => {
                "This link was used already or is too old. Ask your operator for a new one.".into()
            }
            Self::Password(PasswordProblem::TooShort) => "Use at least 8 characters.".into(),
            Self::Password(PasswordProblem::TooLong) => "Use at most 128 characters.".into(),
            Self::Password(PasswordProblem::Common) => {
                "Many people use this password, so it is guessed first. Choose another.".into()
            }
            Self::Password(PasswordProblem::SameAsName) => "Choose a password that isn't your name.".into(),
            Self::NameUnusable => {
                "This name can't be used or is taken. Choose another of 1 to 64 letters, digits and . _ - @ +.".into()
            }
            Self::NotFound => {
                "This runtime isn't there any more, or isn't one of yours. Go back to the list.".into()
            }
            Self::TokenEmpty => "Paste a token first.".into(),
            Self::TokenTooLong => "That is too long to be a token. Copy the token alone and paste it again.".into(),
            Self::TokenMalformed => {
                "There are line breaks or invisible characters inside. Copy the token alone and paste it again.".into()
            }
            Self::UserNameUnusable => "That can't go with a token. Check the field above it, and paste the token again.".into(),
            Self::EndUnusable => {
                "That day is over. Choose the last day of the token, or leave the field empty, and paste the token \
                 again."
                    .into()
            }
            Self::AddressLinkSpent => {
                "This link was used already, is too old, or was meant for somebody else. Give the address once more \
                 in the notification settings."
                    .into()
            }
            Self::AddressUnusable => "That is not the address of a mailbox. Check it and try again.".into(),
            Self::NoMail => "Mail is not set up here. Ask your operator.".into(),
            Self::MailNotSent => {
                "The mail to that address could not be sent, so nothing waits for it. Try again in a few minutes."
                    .into()
            }
            Self::WebhookUnusable(WebhookProblem::NotAnAddress) => {
                "That is not a web address. Copy the whole address and try again.".into()
            }
            Self::WebhookUnusable(WebhookProblem::NotHttps) => {
                "The address must begin with https://, so that nobody on the way reads along.".into()
            }
            Self::WebhookUnusable(WebhookProblem::Password) => {
                "The address must not hold a name or a password. Messages are signed instead.".into()
            }
            Self::WebhookUnusable(WebhookProblem::Private) => {
                "That address lies in a private network, where Gitward may not send to. Ask your operator.".into()
            }
            Self::Refused => "The token was not saved.".into(),
            Self::TokenGone => {
                "This token was changed or deleted in the meantime. The list shows how it stands now.".into()
            }
            Self::MethodNotOffered => "This runtime can't be authorized that way. Paste a token instead.".into(),
            Self::BadRequest => "That didn't arrive in one piece. Reload the page and try again.".into(),
            Self::Internal => "Something broke on our side. Nothing was changed; try again in a moment.".into(),
            Self::Offline => "Gitward could not be reached. Check your connection and try again.".into(),
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for ApiError {}

impl FromServerFnError for ApiError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(value: ServerFnErrorErr) -> Self {
        match value {
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Response(_) => Self::Offline,
            ServerFnErrorErr::Args(_)
            | ServerFnErrorErr::MissingArg(_)
            | ServerFnErrorErr::Deserialization(_) => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}
