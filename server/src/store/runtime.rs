//! Runtimes as machines: the keys they show, and what they hold.

use std::collections::HashMap;

use async_trait::async_trait;

use super::StoreError;
use crate::{
    catalogue::Runtime,
    clock::Timestamp,
    credential::Access,
    id::{AccountId, CredentialId, RuntimeId, UserId},
    person::Name,
    secret::Fingerprint,
};

/// So many keys of a runtime are valid at once: the one in use and its successor, while one replaces the other.
pub const VALID_KEYS: usize = 2;

/// A key that a runtime shows, without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuntimeKey {
    /// Finds it; may be shown.
    pub public_id: String,
    /// Whose.
    pub runtime: RuntimeId,
    /// Recognises the secret.
    pub secret: Fingerprint,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
    /// Since when it opens nothing.
    pub revoked_at: Option<Timestamp>,
}

/// What a runtime holds of one user's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holding {
    /// When it last fetched a credential.
    pub fetched_at: Option<Timestamp>,
    /// Which version that was.
    pub fetched_version: Option<String>,
    /// When it last said which one it uses.
    pub used_at: Option<Timestamp>,
    /// Which version that was.
    pub used_version: Option<String>,
}

/// A runtime had a version of a user's credential: it fetched it, or said that it uses it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionAt {
    /// Whose.
    pub user: UserId,
    /// Which runtime.
    pub runtime: RuntimeId,
    /// Which version.
    pub version: String,
    /// When.
    pub at: Timestamp,
}

/// A user as a runtime sees them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuntimeUser {
    /// Who.
    pub id: UserId,
    /// The name to sign in with.
    pub name: Name,
    /// What they authorized for this runtime.
    pub access: Access,
    /// What the runtime holds of it.
    pub holding: Holding,
}

/// Keys of runtimes, their users, and what they hold.
#[async_trait]
pub trait RuntimeStore: Send + Sync {
    /// A runtime, if all of it is enabled: itself, its account, its provider.
    async fn runtime(&self, id: &RuntimeId) -> Result<Option<Runtime>, StoreError>;
    /// The account that a runtime belongs to, enabled or not.
    async fn account_of(&self, id: &RuntimeId) -> Result<Option<AccountId>, StoreError>;
    /// The enabled runtimes of the accounts that the user is an admin of, by id.
    async fn administered(&self, user: &UserId) -> Result<Vec<Runtime>, StoreError>;

    /// A key, revoked or not.
    async fn runtime_key(&self, public_id: &str) -> Result<Option<RuntimeKey>, StoreError>;
    /// All keys of a runtime, the latest first.
    async fn runtime_keys(&self, runtime: &RuntimeId) -> Result<Vec<RuntimeKey>, StoreError>;
    /// Adds a key after the latest valid one, which is `after` (`None`: there is no valid one), and stays valid; those
    /// before it are revoked. Answers their public ids. `None`, and nothing has changed, if `after` is not the latest
    /// valid one, or there is no such runtime.
    async fn add_runtime_key(
        &self,
        key: &RuntimeKey,
        after: Option<&str>,
    ) -> Result<Option<Vec<String>>, StoreError>;
    /// Revokes a key of a runtime. `false` if it has no such valid key.
    async fn revoke_runtime_key(
        &self,
        runtime: &RuntimeId,
        public_id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The users of a runtime by name: members of its account, all of it enabled.
    async fn runtime_users(
        &self,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<Vec<RuntimeUser>, StoreError>;
    /// One of them.
    async fn runtime_user(
        &self,
        runtime: &RuntimeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<Option<RuntimeUser>, StoreError>;

    /// Whether a runtime that shows the key `public_id` gets this very secret of the user's now: it is the one in use,
    /// of this generation and not known to be dead, and nobody was disabled, left, or revoked the key.
    async fn gets(
        &self,
        public_id: &str,
        runtime: &RuntimeId,
        user: &UserId,
        credential: &CredentialId,
        generation: i64,
    ) -> Result<bool, StoreError>;

    /// Notes which credentials were fetched and which keys were used, when; never sets a moment back. What has no such
    /// user, runtime or key is passed over.
    async fn note_fetched(
        &self,
        fetched: &[VersionAt],
        used: &[(String, Timestamp)],
    ) -> Result<(), StoreError>;
    /// Notes which version a runtime said it uses of a user of it.
    async fn note_used(&self, used: &VersionAt) -> Result<(), StoreError>;
    /// What runtimes hold of a user.
    async fn holdings(&self, user: &UserId) -> Result<HashMap<RuntimeId, Holding>, StoreError>;

    /// A number that is another one as soon as anything has changed that decides what runtimes get.
    async fn runtime_news(&self) -> Result<i64, StoreError>;
}
