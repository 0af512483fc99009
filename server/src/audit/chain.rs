//! How entries hang together.
//!
//! The hash of a record is SHA-256 over these parts, each as its length in 8 bytes, big endian, then its bytes:
//!
//! 1. `gitward audit 1`
//! 2. the hash of the record before it, 32 bytes; zeros before the first
//! 3. `sequence` and `at` (microseconds since 1970, UTC), each as 8 bytes, big endian
//! 4. `actor`, `actor_id`, `actor_name`, `action`, `outcome`, `reason`, `user`, `account`, `runtime`, `object`,
//!    `detail`, `request`, `address` in UTF-8, with the byte 1 in front; the single byte 0 where there is none
//!
//! So anybody who has an export can compute it.

use sha2::{Digest, Sha256};

use super::{Actor, DONE, Entry, Outcome, REFUSED, Record};
use crate::{
    clock::Timestamp,
    random::Entropy,
    seal::{KeyRing, Place, Purpose, SealError, Sealed},
};

/// SHA-256.
pub type Hash = [u8; 32];

/// Before the first record.
pub const BEGINNING: Hash = [0; 32];

const LABEL: &[u8] = b"gitward audit 1";

/// Where the log ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Head {
    /// The last record's number.
    pub sequence: i64,
    /// Its hash.
    pub hash: Hash,
    /// The hash, sealed to the number.
    pub sealed: Sealed,
}

impl Head {
    /// Seals an end.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(sequence: i64, hash: Hash, keys: &KeyRing, entropy: &dyn Entropy) -> Result<Self, SealError> {
        let sealed = keys.seal(Purpose::Audit, &place(sequence), &hash, entropy)?;
        Ok(Self { sequence, hash, sealed })
    }

    /// Whether Gitward left it so.
    pub fn is_authentic(&self, keys: &KeyRing) -> bool {
        keys.unseal(Purpose::Audit, &place(self.sequence), &self.sealed).is_ok_and(|hash| *hash == self.hash)
    }
}

fn place(sequence: i64) -> Place<'static> {
    Place {
        table: "audit_head",
        column: "sealed",
        row: "1",
        owner: "",
        provider: "",
        origin: "",
        kind: "",
        generation: sequence,
    }
}

impl Record {
    /// The entry in its place after `previous`.
    pub(crate) fn new(entry: Entry, at: Timestamp, sequence: i64, previous: &Hash) -> Self {
        let (actor, actor_id, actor_name) = match entry.actor {
            Actor::User { id, name } => (Actor::USER, Some(id.0), Some(name.to_string())),
            Actor::RuntimeKey { public_id } => ("runtime-key", Some(public_id), None),
            Actor::Operator => ("operator", None, None),
            Actor::Stranger => ("stranger", None, None),
            Actor::Gitward => ("gitward", None, None),
        };
        let (outcome, reason) = match entry.outcome {
            Outcome::Done => (DONE, None),
            Outcome::Refused(reason) => (REFUSED, Some(reason.to_owned())),
        };
        let mut record = Self {
            sequence,
            at,
            actor: actor.to_owned(),
            actor_id,
            actor_name,
            action: entry.action.as_str().to_owned(),
            outcome: outcome.to_owned(),
            reason,
            user: entry.user,
            account: entry.account,
            runtime: entry.runtime,
            object: entry.object,
            detail: entry.detail,
            request: entry.request,
            address: entry.address.map(|address| address.to_string()),
            hash: BEGINNING,
        };
        record.hash = record.hash_after(previous);
        record
    }

    /// What its hash has to be.
    pub fn hash_after(&self, previous: &Hash) -> Hash {
        let mut hash = Sha256::new();
        let mut part = |mark: &[u8], bytes: &[u8]| {
            hash.update(((mark.len() + bytes.len()) as u64).to_be_bytes());
            hash.update(mark);
            hash.update(bytes);
        };
        part(&[], LABEL);
        part(&[], previous);
        part(&[], &self.sequence.to_be_bytes());
        part(&[], &self.at.micros().to_be_bytes());
        let texts = [
            Some(self.actor.as_str()),
            self.actor_id.as_deref(),
            self.actor_name.as_deref(),
            Some(&self.action),
            Some(&self.outcome),
            self.reason.as_deref(),
            self.user.as_ref().map(|id| id.as_str()),
            self.account.as_ref().map(|id| id.as_str()),
            self.runtime.as_ref().map(|id| id.as_str()),
            self.object.as_deref(),
            self.detail.as_deref(),
            self.request.as_deref(),
            self.address.as_deref(),
        ];
        for text in texts {
            match text {
                Some(text) => part(&[1], text.as_bytes()),
                None => part(&[0], &[]),
            }
        }
        hash.finalize().into()
    }
}
