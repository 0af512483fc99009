//! People: names, passwords, sessions, one-time links.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::{clock::Timestamp, id::UserId, secret::Fingerprint};

/// A name to sign in with, normalised: NFKC, lower case, no blanks around. Two spellings of one name are one name,
/// for the limits on guessing as well.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    /// Letters, digits and `._-@+` of any script, 1 to 64 of them. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let name: String = text.trim().nfkc().flat_map(char::to_lowercase).collect();
        let count = name.chars().count();
        let fits = name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
        ((1..=64).contains(&count) && fits).then_some(Self(name))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Random.
    pub id: UserId,
    /// To sign in with.
    pub name: Name,
    /// Argon2id, as a PHC string; `None` until a one-time link was used.
    pub password: Option<String>,
    /// Since when they can't sign in.
    pub disabled_at: Option<Timestamp>,
    /// Since when they exist.
    pub created_at: Timestamp,
}

/// A signed-in browser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Of the random id in the cookie.
    pub id: Fingerprint,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub started_at: Timestamp,
    /// The last use.
    pub seen_at: Timestamp,
}

/// A link that sets a password, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneTimeLink {
    /// Of the random part of the address.
    pub secret: Fingerprint,
    /// Whose password; `None` for the link that makes the first person.
    pub user: Option<UserId>,
    /// Until when.
    pub expires_at: Timestamp,
}
