//! What must not be printed, compared or serialised.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A text that only [`Secret::expose`] shows: no `Debug`, `Display`, `PartialEq` or `Serialize`. Wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Each call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database keeps of a secret that it only has to recognise: SHA-256. Fit for random secrets of 256
    /// bits, not for passwords.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.expose().as_bytes()).into())
    }
}

/// SHA-256 of a random secret.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);
