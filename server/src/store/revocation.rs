//! What became of credentials that were taken away.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::{
    clock::Timestamp,
    id::{CredentialId, OauthAppId, RuntimeId, UserId},
    revocation::{Doubt, Outcome, Pending, Revocation},
};

/// A lease to revoke lasts no longer. One that claims to was taken before the clock was set back, and is none.
pub const LONGEST_REVOCATION: Duration = Duration::from_secs(5 * 60);
/// A revocation waits no longer until it is tried again. One that is to was put off before the clock was set back.
pub const LONGEST_WAIT: Duration = Duration::from_hours(3);
/// What became of tokens is kept for so long.
pub const REVOCATIONS_KEPT: Duration = Duration::from_hours(7 * 24);

/// What became of credentials that nothing uses any more. Those that are to be ended at their provider are shared by
/// several processes on one database.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Takes the lease to revoke what is due, up to `most` or `only` that one, until `until`, and counts the try.
    /// Nobody else gets one of them before that.
    async fn take_revocations(
        &self,
        only: Option<&CredentialId>,
        now: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<Pending>, StoreError>;
    /// Ends the lease that was taken until `lease`, without a result; it is due again then.
    async fn postpone_revocation(
        &self,
        id: &CredentialId,
        lease: Timestamp,
        due_at: Timestamp,
        doubt: Option<Doubt>,
    ) -> Result<(), StoreError>;
    /// Notes how it ended, under the lease that was taken until `lease`, and forgets the secrets for good. `twin`
    /// holds the same token, where that is why. `false`, and nothing has changed, if that lease is over: somebody else
    /// has it, or there are new secrets to revoke.
    async fn end_revocation(
        &self,
        id: &CredentialId,
        lease: Timestamp,
        outcome: Outcome,
        twin: Option<&CredentialId>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// A runtime said that it `uses` the credential that it gets for this user, which was the one to use `now`: none
    /// that was replaced until then waits for it any longer. What was replaced meanwhile does, and first of all that
    /// very one. Answers how many nothing waits for any more; they are due.
    async fn end_holding(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        uses: &CredentialId,
        now: Timestamp,
    ) -> Result<u64, StoreError>;
    /// Of the runtimes that a credential waits for before it is revoked, only these hold it. If none does, it is due.
    async fn only_held_by(
        &self,
        credential: &CredentialId,
        runtimes: &[RuntimeId],
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// What became of a user's credentials, if it goes on or ended at or after `since`; the latest first.
    async fn revocations(&self, user: &UserId, since: Timestamp) -> Result<Vec<Revocation>, StoreError>;
    /// All that go on, with their secrets, to verify them.
    async fn all_revocations(&self) -> Result<Vec<Pending>, StoreError>;
    /// Whether an authorization with an app that began after `since` is under way or being finished, whoever's.
    async fn authorizing(&self, app: &OauthAppId, since: Timestamp) -> Result<bool, StoreError>;
}
