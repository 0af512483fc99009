//! How secrets are kept: a root key wraps data keys, data keys seal secrets, and what is sealed opens only in its
//! own row, for its own owner and provider. There is no plaintext mode.
//!
//! # The envelope, version 1
//!
//! ```text
//! offset  0  version    1 byte   1
//! offset  1  algorithm  1 byte   1 = XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03)
//! offset  2  key        16 bytes the id of the data key
//! offset 18  nonce      24 bytes random; so many that chance never repeats one, and no counter to lose
//! offset 42  ciphertext as long as the secret, then 16 bytes of tag
//! ```
//!
//! Authenticated with it (the "additional data"), each part as its length in 8 bytes, big endian, then its bytes:
//! the label `gitward envelope`, the 42 bytes of header, then the [`Place`]: table, column, row, owner, provider,
//! origin, kind, and the generation as 8 bytes, big endian. Lengths stand in front, so no two places look alike.
//!
//! The envelope names its key, so exactly one key is tried. `seal/vectors` has examples, right and wrong, for other
//! implementations.

use std::collections::HashMap;

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Timestamp},
    random::{Entropy, NoEntropy},
    store::{KeyStore, StoreError},
};

mod document;
mod root;

#[cfg(test)]
mod tests;

pub use document::Whose;
pub use root::RootKey;

const VERSION: u8 = 1;
const XCHACHA20_POLY1305: u8 = 1;
const ID: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
const HEADER: usize = 2 + ID + NONCE;

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
    /// Where webhooks are, and what their messages are signed with.
    Webhooks,
    /// Where the audit log ends.
    Audit,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Credentials, Self::Logins, Self::Webhooks, Self::Audit];
    /// Those that every database has had from its beginning; others came with a later version.
    const FIRST: [Self; 2] = [Self::Credentials, Self::Logins];

    /// As the database keeps it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Logins => "logins",
            Self::Webhooks => "webhooks",
            Self::Audit => "audit",
        }
    }

    /// From the database's word. `None` for one that only a later version knows.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// A data key as the database keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DataKeyRow {
    /// Random; stands in each envelope, so that exactly one key is tried.
    pub id: [u8; 16],
    /// `credentials`, `logins`, `webhooks`, `audit`.
    pub purpose: String,
    /// Sealed by the root key.
    pub wrapped: Vec<u8>,
    /// Recognises the right root key without showing it.
    pub check: Vec<u8>,
    /// Since when. The newest of a purpose seals; the others only open what they sealed.
    pub created_at: Timestamp,
}

/// Where a secret lives. An envelope opens there and nowhere else: not in another row or column, not for another
/// owner, not for a provider that was pointed at another host, not for an older generation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's id.
    pub row: &'a str,
    /// Whose: the user's id.
    pub owner: &'a str,
    /// The provider's id.
    pub provider: &'a str,
    /// The provider's scheme, host and port. Empty where no host is involved.
    pub origin: &'a str,
    /// What sort of secret.
    pub kind: &'a str,
    /// Counts up with each new secret in the row.
    pub generation: i64,
}

/// Why something can't be sealed or opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    /// The envelope names a key that isn't there, or one for another purpose.
    #[error("the sealed secret names a data key that is not there")]
    UnknownKey,
    /// The tag is wrong: changed, moved to another place, or sealed by somebody else.
    #[error("the sealed secret was changed, or does not belong where it is")]
    Forged,
    /// Not an envelope that this version reads, or not the document that was expected inside.
    #[error("the sealed secret is not in a form that this version of Gitward reads")]
    Malformed,
    /// Too long to be sealed: beyond 256 GiB.
    #[error("the secret is too long to be sealed")]
    TooLong,
    /// There are no random bytes for the nonce.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Why the server has no keys, and so does not start. No variant holds a byte of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file is not there, but the database is.
    #[error(
        "the root key `{0}` is missing, but the database exists: put the key file back from your backup; \
         without it nothing in the database can be opened"
    )]
    Missing(String),
    /// The key file can't be read.
    #[error("the root key `{path}` can't be read ({source}): give the file to the user that runs Gitward")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Somebody else can read the key file, or it can be run.
    #[error(
        "the root key `{path}` has mode {mode:04o}, but only its owner may read it: run `chmod 0400 {path}`, \
         and if others could have read it, consider every stored token known to them"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// The key file does not hold a key.
    #[error(
        "the root key `{0}` is not 32 random bytes in base64 on one line: put the file back from your backup; \
         for a new installation make one with `openssl rand -base64 32`"
    )]
    Malformed(String),
    /// The key file can't be created.
    #[error(
        "the root key `{path}` can't be created ({source}): make its folder writable, or name another file"
    )]
    NotCreated {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is a key, but not this database's.
    #[error("the root key `{0}` is not the one that this database was made with: put the right file there")]
    WrongKey(String),
    /// The right root key, but what it wraps was changed.
    #[error("the data key {id} in the database is damaged ({problem}): restore the database from a backup")]
    Damaged {
        /// The row, in hexadecimal; `-` if no row is concerned.
        id: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are no random bytes to make a key of.
    #[error("the keys can't be made: {0}")]
    NoEntropy(#[from] NoEntropy),
    /// The database did not answer.
    #[error("the data keys can't be read: {0}")]
    Store(#[source] StoreError),
}

impl KeyError {
    /// What the program exits with when it has no keys: `EX_CONFIG` of `sysexits.h`.
    pub const EXIT_CODE: u8 = 78;
}

/// A data key, ready to use. Wiped when dropped.
struct DataKey {
    purpose: Purpose,
    cipher: Box<XChaCha20Poly1305>,
}

/// All data keys, unwrapped. Seals and opens.
pub struct KeyRing {
    keys: HashMap<[u8; ID], DataKey>,
    active: HashMap<Purpose, [u8; ID]>,
}

impl KeyRing {
    /// Loads the data keys and unwraps them. Makes one for each purpose that has none yet, all in one step; if another
    /// process was faster, takes those.
    ///
    /// # Errors
    /// [`KeyError::WrongKey`] if the root key is another database's; then nothing was written.
    /// [`KeyError::Damaged`], [`KeyError::NoEntropy`], [`KeyError::Store`].
    pub async fn open(
        root: &RootKey,
        store: &dyn KeyStore,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyError> {
        // Whoever has the wrong root key writes nothing.
        let known = Self::unlock(root, store).await?.map(|ring| ring.active).unwrap_or_default();
        let missing = Purpose::ALL.into_iter().filter(|purpose| !known.contains_key(purpose));
        let now = clock.now();
        let first =
            missing.map(|purpose| root.new_data_key(purpose, now, entropy)).collect::<Result<Vec<_>, _>>()?;
        if !first.is_empty() {
            store.add_first_data_keys(&first).await.map_err(KeyError::Store)?;
        }
        Self::unwrap_all(root, store.data_keys().await.map_err(KeyError::Store)?)
    }

    /// Loads the data keys that are there and unwraps them. Writes nothing: `None` where there are none yet; a purpose
    /// that came with a later version than the database's may have none.
    ///
    /// # Errors
    /// [`KeyError::WrongKey`], [`KeyError::Damaged`], [`KeyError::Store`].
    pub async fn unlock(root: &RootKey, store: &dyn KeyStore) -> Result<Option<Self>, KeyError> {
        let rows = store.data_keys().await.map_err(KeyError::Store)?;
        if rows.is_empty() {
            return Ok(None);
        }
        Self::unwrap_all(root, rows).map(Some)
    }

    fn unwrap_all(root: &RootKey, mut rows: Vec<DataKeyRow>) -> Result<Self, KeyError> {
        rows.sort_by_key(|row| (row.created_at, row.id));
        let mut ring = Self { keys: HashMap::new(), active: HashMap::new() };
        for row in rows {
            // A purpose that only a later version knows: leave the row alone, so that one can go back a version.
            let Some(purpose) = Purpose::parse(&row.purpose) else { continue };
            let key = root.unwrap_data_key(&row)?;
            let cipher = Box::new(XChaCha20Poly1305::new((&*key).into()));
            ring.keys.insert(row.id, DataKey { purpose, cipher });
            ring.active.insert(purpose, row.id);
        }
        if Purpose::FIRST.iter().any(|purpose| !ring.active.contains_key(purpose)) {
            return Err(KeyError::Damaged { id: "-".into(), problem: "the key of a purpose is missing" });
        }
        Ok(ring)
    }

    /// Seals a secret to a place, with the newest key of the purpose and a nonce of its own.
    ///
    /// # Errors
    /// [`SealError::NoEntropy`], [`SealError::TooLong`]; [`SealError::UnknownKey`] can't happen with an opened ring.
    pub fn seal(
        &self,
        purpose: Purpose,
        place: &Place<'_>,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealError> {
        let id = self.active.get(&purpose).ok_or(SealError::UnknownKey)?;
        let key = self.keys.get(id).ok_or(SealError::UnknownKey)?;
        let mut nonce = [0; NONCE];
        entropy.fill(&mut nonce)?;

        let mut envelope = Vec::with_capacity(HEADER + plaintext.len() + TAG);
        envelope.extend_from_slice(&[VERSION, XCHACHA20_POLY1305]);
        envelope.extend_from_slice(id);
        envelope.extend_from_slice(&nonce);
        let bound = place.bind(&envelope);
        envelope.extend_from_slice(plaintext);
        let tag = key
            .cipher
            .encrypt_inout_detached(&nonce.into(), &bound, (&mut envelope[HEADER..]).into())
            .map_err(|_| SealError::TooLong)?;
        envelope.extend_from_slice(&tag);
        Ok(Sealed(envelope))
    }

    /// Opens what was sealed to a place. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`SealError::Malformed`] if it is no envelope, [`SealError::UnknownKey`] if its key isn't there or is for
    /// another purpose, [`SealError::Forged`] if it was changed or belongs elsewhere.
    pub fn unseal(
        &self,
        purpose: Purpose,
        place: &Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (header, rest) = sealed.0.split_first_chunk::<HEADER>().ok_or(SealError::Malformed)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(SealError::Malformed)?;
        let [version, algorithm, named @ ..] = header;
        if (*version, *algorithm) != (VERSION, XCHACHA20_POLY1305) {
            return Err(SealError::Malformed);
        }
        let (id, nonce) = named.split_first_chunk::<ID>().ok_or(SealError::Malformed)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| SealError::Malformed)?;
        let key = self.keys.get(id).filter(|key| key.purpose == purpose).ok_or(SealError::UnknownKey)?;

        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        key.cipher
            .decrypt_inout_detached(
                &XNonce::from(nonce),
                &place.bind(header),
                plaintext.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| SealError::Forged)?;
        Ok(plaintext)
    }
}

impl Place<'_> {
    /// The additional data: see the module's description.
    fn bind(&self, header: &[u8]) -> Vec<u8> {
        let generation = self.generation.to_be_bytes();
        join(&[
            b"gitward envelope",
            header,
            self.table.as_bytes(),
            self.column.as_bytes(),
            self.row.as_bytes(),
            self.owner.as_bytes(),
            self.provider.as_bytes(),
            self.origin.as_bytes(),
            self.kind.as_bytes(),
            &generation,
        ])
    }
}

/// Each part with its length in front, so that no other parts give the same bytes.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

/// Whether two check values are the same, in a time that tells nothing about them.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
