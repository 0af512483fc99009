//! How secrets are kept: a root key wraps data keys, data keys seal secrets, and what is sealed opens only in its
//! own row, for its own owner and provider.

use crate::clock::Timestamp;

/// An envelope: version, algorithm, key id, nonce, ciphertext and tag. Safe to store, useless without the root key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed(pub Vec<u8>);

/// What a data key is for. One purpose's key never serves another's.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Purpose {
    /// Credentials.
    Credentials,
    /// What a login attempt must remember.
    Logins,
}

/// A data key as the database keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataKeyRow {
    /// Random; stands in each envelope, so that exactly one key is tried.
    pub id: [u8; 16],
    /// `credentials`, `logins`.
    pub purpose: String,
    /// Sealed by the root key.
    pub wrapped: Vec<u8>,
    /// Recognises the right key without showing it.
    pub check: Vec<u8>,
    /// Since when.
    pub created_at: Timestamp,
}
