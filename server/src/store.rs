//! What is kept. Each method is one atomic step of the business: it happens whole or not at all, so no transaction
//! crosses this border. A folder per engine; `contract` is one suite for all of them.
//!
//! "Not found" is `Ok(None)`. Where a visitor asks, ownership is in the question (`user`), never checked afterwards.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;

use self::runtime::RuntimeStore;
use crate::{
    catalogue::Declaration,
    clock::Timestamp,
    credential::{Access, Credential, Push, Standing},
    id::{AccountId, CredentialId, OauthAppId, ProviderId, RuntimeId, UserId},
    login::LoginAttempt,
    person::{Name, OneTimeLink, Session, User},
    seal::{DataKeyRow, Sealed},
    secret::Fingerprint,
    watch::host::{Host, Incident},
};

mod audit;
mod delivery;
mod notice;
mod revocation;
pub mod runtime;
pub mod sqlite;

pub use audit::{AuditFilter, AuditStore};
pub use delivery::DeliveryStore;
pub use notice::NoticeStore;
pub use revocation::{LONGEST_REVOCATION, LONGEST_WAIT, REVOCATIONS_KEPT, RevocationStore};

#[cfg(test)]
pub(crate) mod contract;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed: disk full, file gone, lock held too long. May pass.
    #[error("the database failed while it should {doing}")]
    Engine {
        /// What was being done.
        doing: &'static str,
        /// The engine's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row says something that no version of Gitward writes.
    #[error("the database holds something unreadable in {column}: {problem}")]
    Unreadable {
        /// `table.column`.
        column: &'static str,
        /// What is wrong with it; never the value of a secret.
        problem: String,
    },
    /// The origin of a provider was changed while credentials for the old one exist.
    #[error(
        "provider `{0}` has credentials for another origin; declare the new host as a provider of its own"
    )]
    OriginChanged(ProviderId),
    /// The schema is an older version's, and whoever opened the database may not change that.
    #[error("the database was last used by an older Gitward: `gitward serve` brings it up to date")]
    Outdated,
    /// The schema is one that only a later version knows.
    #[error("the database was written by a newer Gitward: use that version, or a backup from before it")]
    Newer,
}

/// What applying a declaration did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// Ids that are new or back, as `kind id`.
    pub enabled: Vec<String>,
    /// Ids that are no longer declared, as `kind id`: disabled, not deleted.
    pub disabled: Vec<String>,
    /// Ids whose details changed, as `kind id`.
    pub changed: Vec<String>,
}

/// A credential that was proposed, and that nobody decided about in time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undecided {
    /// Whose.
    pub user: UserId,
    /// For which runtime.
    pub runtime: RuntimeId,
    /// Of which account.
    pub account: AccountId,
    /// Which credential.
    pub credential: CredentialId,
}

/// A credential with its sealed secrets, about to be kept.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// All but the secrets.
    pub credential: Credential,
    /// The secrets, sealed to exactly that row.
    pub sealed: Sealed,
}

/// What deleting did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deleted {
    /// No other runtime used the credential, so it is gone too.
    pub credential_gone: bool,
}

/// What is to become of a credential once nothing uses it any more, said with the step that takes it from a runtime.
/// Without a word it is forgotten.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ending {
    /// Which. Nothing happens to it while anything uses it.
    pub credential: CredentialId,
    /// The runtime that it is taken from.
    pub runtime: RuntimeId,
    /// Its provider is asked to end it, until then at most. `None`: that is left to its owner, and only noted.
    pub revoke_until: Option<Timestamp>,
    /// The runtimes that may hold it: its provider is asked once each of them has said that it uses another one, or
    /// turned out not to hold it …
    pub held_by: Vec<RuntimeId>,
    /// … or at this moment.
    pub held_until: Timestamp,
    /// Now.
    pub at: Timestamp,
}

/// How the first person's set-up ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redeemed {
    /// Done.
    Yes,
    /// The link is unknown, used or too old.
    Spent,
    /// The name is taken; the link stays good.
    NameTaken,
}

/// A proposed credential waits so long for the user's decision: secrets that nobody uses are not kept for ever.
pub const UNDECIDED: Duration = Duration::from_hours(7 * 24);

/// People and what they sign in with.
#[async_trait]
pub trait PersonStore: Send + Sync {
    /// Whether anybody exists, disabled or not.
    async fn has_users(&self) -> Result<bool, StoreError>;
    /// By name; disabled ones too.
    async fn user_by_name(&self, name: &Name) -> Result<Option<User>, StoreError>;
    /// By id; disabled ones too.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;
    /// Adds a person without a password. `false` if the name is taken.
    async fn add_user(&self, user: &User) -> Result<bool, StoreError>;
    /// Sets the password (a PHC string) and ends all sessions but `keep`.
    async fn set_password(
        &self,
        user: &UserId,
        hash: &str,
        keep: Option<&Fingerprint>,
    ) -> Result<(), StoreError>;
    /// Replaces the hash after a sign-in, if it still is `old`; sessions stay.
    async fn rehash_password(&self, user: &UserId, old: &str, new: &str) -> Result<(), StoreError>;
    /// Disables a person: no sign-in, all sessions and open one-time links end. `false` if there is none of that id.
    async fn disable_user(&self, user: &UserId, now: Timestamp) -> Result<bool, StoreError>;
    /// Keeps a one-time link, and forgets older ones for the same person (or the older set-up links).
    async fn add_link(&self, link: &OneTimeLink) -> Result<(), StoreError>;
    /// A one-time link that is still good: not too old, its person not disabled; the set-up link only while there is
    /// nobody.
    async fn link(&self, secret: &Fingerprint, now: Timestamp) -> Result<Option<OneTimeLink>, StoreError>;
    /// Uses up a set-up link and adds the first person, with this password. Only once, whoever else tries, and only
    /// while there is nobody.
    async fn redeem_setup(
        &self,
        secret: &Fingerprint,
        user: &User,
        now: Timestamp,
    ) -> Result<Redeemed, StoreError>;
    /// Uses up a person's link, sets the password, ends all their sessions. `None` if the link is spent, as all links of
    /// a disabled person are.
    async fn redeem_password(
        &self,
        secret: &Fingerprint,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError>;

    /// Counts one more failure in a bucket and answers how many there are in its window. Atomic: 100 at once count as
    /// 100. A window that has passed begins anew.
    async fn count_failure(
        &self,
        bucket: &str,
        now: Timestamp,
        window_seconds: u32,
    ) -> Result<u32, StoreError>;
    /// How many failures the bucket's window holds, and when it ends.
    async fn failures(&self, bucket: &str, now: Timestamp) -> Result<Option<(u32, Timestamp)>, StoreError>;
    /// Takes back one that was counted beforehand and did not happen.
    async fn take_back_failure(&self, bucket: &str, now: Timestamp) -> Result<(), StoreError>;
    /// Empties a bucket.
    async fn forgive(&self, bucket: &str) -> Result<(), StoreError>;

    /// Starts a session.
    async fn start_session(&self, session: &Session) -> Result<(), StoreError>;
    /// The session and its person, unless the person is disabled or the session over: `seen_at` at or before
    /// `idle_since`, or `started_at` at or before `started_since`.
    async fn session(
        &self,
        id: &Fingerprint,
        idle_since: Timestamp,
        started_since: Timestamp,
    ) -> Result<Option<(Session, User)>, StoreError>;
    /// Notes that the session was used; never sets it back. Each call waits for the disk, so not for every request.
    async fn touch_session(&self, id: &Fingerprint, now: Timestamp) -> Result<(), StoreError>;
    /// Ends one session.
    async fn end_session(&self, id: &Fingerprint) -> Result<(), StoreError>;
    /// Forgets what is over: sessions, links, attempts, refusals, counters, what was proposed [`UNDECIDED`] ago or
    /// earlier, with its secrets, and what became of tokens [`REVOCATIONS_KEPT`] ago or earlier. Answers what was
    /// proposed and is forgotten.
    async fn sweep(
        &self,
        now: Timestamp,
        idle_since: Timestamp,
        started_since: Timestamp,
    ) -> Result<Vec<Undecided>, StoreError>;
}

/// What became of the wish to refresh a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lease {
    /// It is the caller's.
    Taken {
        /// The answer to an earlier refresh of this generation was lost, which is known since then.
        lost_at: Option<Timestamp>,
    },
    /// Somebody holds one that has not run out, or the generation has moved.
    Refused,
}

/// A lease to refresh lasts no longer. One that claims to was taken before the clock was set back, and is none.
///
/// Whoever takes one takes one that is shorter by [`APART`](crate::clock::APART): who looked at the clock a moment
/// earlier, and had to wait for its turn, would take a longer one for none, and show the same refresh token once more.
pub const LONGEST_RENEWAL: Duration = Duration::from_secs(5 * 60);

/// What users authorized.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// Applies a declaration: adds, changes, disables; deletes nothing. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::OriginChanged`]; then nothing was applied.
    async fn apply(&self, declaration: &Declaration, now: Timestamp) -> Result<Applied, StoreError>;
    /// What applying would do. Writes nothing.
    async fn would_apply(&self, declaration: &Declaration) -> Result<Applied, StoreError>;

    /// All enabled runtimes of the accounts that the user is a member of, with what the user authorized, by account
    /// name, then runtime name.
    async fn accesses(&self, user: &UserId, now: Timestamp) -> Result<Vec<Access>, StoreError>;
    /// One of them.
    async fn access(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<Option<Access>, StoreError>;
    /// A credential of the user.
    async fn credential(&self, user: &UserId, id: &CredentialId) -> Result<Option<Credential>, StoreError>;
    /// A credential's secrets, sealed, with what they are sealed to.
    async fn sealed(&self, id: &CredentialId) -> Result<Option<NewCredential>, StoreError>;
    /// Every credential's secrets, to verify them all.
    async fn all_sealed(&self) -> Result<Vec<NewCredential>, StoreError>;
    /// The secrets of all credentials of an account at a provider, whoever's here.
    async fn sealed_of(
        &self,
        provider: &ProviderId,
        owner_id: &str,
    ) -> Result<Vec<NewCredential>, StoreError>;
    /// The origins of all providers, also of those that are no longer declared: what credentials are sealed to.
    async fn origins(&self) -> Result<HashMap<ProviderId, String>, StoreError>;
    /// The grant of a user for an app and an account at the provider: there is one at most. Others that moved to that
    /// account, as a check found out, do not count.
    async fn grant(
        &self,
        user: &UserId,
        app: &OauthAppId,
        owner_id: &str,
    ) -> Result<Option<Credential>, StoreError>;

    /// Keeps a credential and uses it for these runtimes of the user, in one step. A credential with the same id is
    /// replaced if its generation is exactly one less; when it was given first stays. What no runtime uses any more is
    /// deleted, and `before` says what becomes of the one that the first runtime used.
    ///
    /// The first runtime is the one that was asked for: what it used before is replaced. Each further one is taken only
    /// while it uses no other credential of its provider, because nobody was asked about that one. Proposals, refusals
    /// and attempts for what was taken are settled.
    ///
    /// Answers which of the runtimes it serves from now on, in their order. `None`, and nothing has changed, if the
    /// generation is another or it would be a second grant for the same account (somebody was faster), or one of the
    /// runtimes is not the user's or not at the credential's provider.
    async fn keep(
        &self,
        new: &NewCredential,
        runtimes: &[(RuntimeId, Option<Push>)],
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError>;
    /// Uses a credential that the user already has for these runtimes, the first one asked for and the further ones as
    /// `keep` takes them. `None`, and nothing has changed, if it is gone, or one of them is not the user's or not at
    /// its provider.
    async fn assign(
        &self,
        user: &UserId,
        credential: &CredentialId,
        runtimes: &[(RuntimeId, Option<Push>)],
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError>;
    /// Uses a credential for further runtimes. Each is taken only while it uses no credential of that provider, or
    /// `instead`: nobody was asked about another one, and `before` is about that one. Answers which were taken, in their
    /// order. `None`, and nothing has changed, where `assign` answers so.
    async fn share(
        &self,
        user: &UserId,
        credential: &CredentialId,
        runtimes: &[(RuntimeId, Option<Push>)],
        instead: Option<&CredentialId>,
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Vec<RuntimeId>>, StoreError>;
    /// Keeps a credential aside for one runtime: the one in use stays. As `keep` does for a credential that exists.
    /// `false` where `keep` answers `None`.
    async fn propose(
        &self,
        new: &NewCredential,
        runtime: &RuntimeId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Takes what was proposed, or drops it. `false` if nothing was proposed.
    async fn settle(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        take: bool,
        before: Option<&Ending>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Deletes the user's token of one runtime, and what was proposed in its place; attempts that would bring one back
    /// end. `None` if there is none.
    async fn delete(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        ending: Option<&Ending>,
        now: Timestamp,
    ) -> Result<Option<Deleted>, StoreError>;
    /// The user name that went with the user's last token at this provider, if it wants one.
    async fn user_name(&self, user: &UserId, provider: &ProviderId) -> Result<Option<String>, StoreError>;

    /// Notes what the provider said, if the credential still is of this generation and its standing the one that was
    /// `seen` when it was asked (`false` otherwise: what was heard meanwhile is newer). Everything of `credential` but id,
    /// user, provider, generation and creation may change.
    async fn record(&self, credential: &Credential, seen: &Standing) -> Result<bool, StoreError>;
    /// Notes what the provider said about a credential and a runtime's repository, while the runtime uses it.
    async fn record_push(
        &self,
        credential: &CredentialId,
        runtime: &RuntimeId,
        push: &Push,
    ) -> Result<(), StoreError>;
    /// Whether another credential at this provider passed at or after `since`.
    async fn another_passed(
        &self,
        provider: &ProviderId,
        but: &CredentialId,
        since: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Takes the lease to refresh a credential of this generation, until `until`: less than [`LONGEST_RENEWAL`] after
    /// `now`, as that says. It is written before the provider is asked: whoever takes one that ran out without having
    /// been ended knows that its holder's answer was lost, and so does everybody from then on.
    async fn lease_refresh(
        &self,
        id: &CredentialId,
        generation: i64,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Lease, StoreError>;
    /// Keeps what a refresh brought under the lease that was taken until `lease`, if the credential is there, its
    /// generation exactly one less, and nobody else holds a lease by now: what that one brings is younger. Ends the
    /// lease. If the credential is gone and to be revoked, then what came back is (`false` all the same).
    async fn renew(&self, new: &NewCredential, lease: Timestamp) -> Result<bool, StoreError>;
    /// Ends the lease that was taken until `until`, without a result. One that somebody else took after it had run out
    /// goes on. `lost_at`: the provider was asked and may have done it, but its answer was lost, then; that was so
    /// before stays so.
    async fn release_refresh(
        &self,
        id: &CredentialId,
        generation: i64,
        until: Timestamp,
        lost_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;

    /// Keeps why the last attempt for a runtime did not end well, for this session, if it is not over. The text is the
    /// caller's own.
    async fn refuse(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
        refusal: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;
    /// That, if it was kept after `since`.
    async fn refusal(
        &self,
        session: &Fingerprint,
        runtime: &RuntimeId,
        since: Timestamp,
    ) -> Result<Option<String>, StoreError>;
    /// Forgets it.
    async fn forget_refusal(&self, session: &Fingerprint, runtime: &RuntimeId) -> Result<(), StoreError>;
}

/// So many attempts of one session can be under way: more tabs than anybody has open at a provider's sign-in, and few
/// enough that beginning them does not fill the disk.
pub const OPEN_ATTEMPTS: u32 = 20;

/// An authorization is over so long after it began, whatever became of the process that was about to finish it: it must
/// come back within ten minutes, and what is asked then has an answer in a few more at the longest.
pub const ATTEMPT_REMEMBERED: Duration = Duration::from_secs(15 * 60);

/// Authorizations on their way through a provider's sign-in.
#[async_trait]
pub trait LoginStore: Send + Sync {
    /// Begins one; an older one of the same user and runtime no longer counts as pending, but can still be taken. An
    /// attempt ends with its session, and when [`OPEN_ATTEMPTS`] later ones of the session are under way.
    async fn begin(&self, attempt: &LoginAttempt) -> Result<(), StoreError>;
    /// Uses one up: once, whoever asks, however old it is. `None` if there is none or it was used. Until it is said to
    /// be [`LoginStore::finished`], or for [`ATTEMPT_REMEMBERED`] after it began, it counts as being finished.
    async fn take(&self, state: &Fingerprint) -> Result<Option<LoginAttempt>, StoreError>;
    /// What was taken has come to its end, good or bad.
    async fn finished(&self, state: &Fingerprint) -> Result<(), StoreError>;
    /// Notes that the user, or the provider, said no.
    async fn denied(&self, user: &UserId, runtime: &RuntimeId, now: Timestamp) -> Result<(), StoreError>;
}

/// What is asked about a credential in the background.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Watched {
    /// The credential.
    pub credential: Credential,
    /// Some runtime uses it, or waits for its user's decision to; all that is enabled.
    pub in_use: bool,
    /// The repositories of the runtimes that use it.
    pub repositories: Vec<(RuntimeId, String)>,
}

/// A lease to ask lasts no longer. One that claims to was taken before the clock was set back, and is none.
pub const LONGEST_CHECK: Duration = Duration::from_secs(5 * 60);
/// Among so many credentials of a host that have waited longest, users take turns; beyond, who waits longer comes first.
pub const FAIR_AMONG: u32 = 2048;
/// Incidents that are over are kept for so long.
pub const INCIDENTS_KEPT: Duration = Duration::from_hours(90 * 24);

/// What is asked about in the background, and how the hosts are. Several processes on one database share the work.
#[async_trait]
pub trait WatchStore: Send + Sync {
    /// How many credentials at a provider are due at `now` and nobody is asking about, counted up to `most`.
    async fn due(&self, provider: &ProviderId, now: Timestamp, most: u32) -> Result<u32, StoreError>;
    /// Takes the lease to ask about up to `most` of those, until `until`. Nobody else gets one of them before that, or
    /// before what came back was recorded. Users take turns, in each turn with what is `wanted` first, then with what
    /// has waited longest; see [`FAIR_AMONG`].
    async fn take_due(
        &self,
        provider: &ProviderId,
        wanted: &[CredentialId],
        now: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<CredentialId>, StoreError>;
    /// What is asked about a credential. `None` if it is gone.
    async fn watched(&self, id: &CredentialId) -> Result<Option<Watched>, StoreError>;
    /// Ends the lease to ask without an answer; it is due again then. Changes nothing if the generation has moved.
    async fn postpone(&self, id: &CredentialId, generation: i64, due_at: Timestamp)
    -> Result<(), StoreError>;
    /// Brings due times at a provider back that were written before the clock was set back: nothing waits much longer
    /// than its rule says. Doing it again changes nothing.
    async fn straighten(&self, provider: &ProviderId, now: Timestamp) -> Result<u64, StoreError>;

    /// What is known of a host, and the version of that: 0 if nothing is.
    async fn host(&self, host: &str) -> Result<(Host, i64), StoreError>;
    /// Keeps what is known of a host, and its incident, if the version still is this one (`false` otherwise).
    async fn keep_host(
        &self,
        host: &str,
        version: i64,
        state: &Host,
        incident: Option<&Incident>,
    ) -> Result<bool, StoreError>;
    /// Incidents that go on or ended at or after `since`, the latest first.
    async fn incidents(&self, since: Timestamp) -> Result<Vec<Incident>, StoreError>;
}

/// The keys that seal, themselves wrapped by the root key.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// All of them.
    async fn data_keys(&self) -> Result<Vec<DataKeyRow>, StoreError>;
    /// Adds the first ones, each unless its purpose has one already; `false` if none was added.
    async fn add_first_data_keys(&self, keys: &[DataKeyRow]) -> Result<bool, StoreError>;
}

/// Everything that is kept.
#[async_trait]
pub trait Store:
    PersonStore
    + AccessStore
    + LoginStore
    + WatchStore
    + RevocationStore
    + NoticeStore
    + DeliveryStore
    + KeyStore
    + AuditStore
    + RuntimeStore
{
    /// A number that is another one as soon as anything that is kept has changed, whoever changed it. `None` where the
    /// engine can't tell.
    async fn version(&self) -> Result<Option<i64>, StoreError>;
    /// Whether it answers.
    async fn ready(&self) -> Result<(), StoreError>;
    /// Writes a copy that stands for one moment, while others read and write. Never overwrites a file.
    async fn backup(&self, to: &std::path::Path) -> Result<(), StoreError>;
    /// Waits for what is under way, refuses what comes, and leaves the database in one piece: what is copied from its
    /// folder afterwards is complete.
    async fn close(&self);
}
