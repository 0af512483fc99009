//! What happened: who did what to which object, when and from where; never a secret.
//!
//! Every entry is on the disk before [`Audit::record`] answers, and nothing that gives somebody something (a secret, a
//! session, a key) may go on without that answer. Many callers share one transaction: while one batch is being
//! written, the next one gathers.
//!
//! Each entry holds the SHA-256 of itself and the hash before it (see [`chain`]), so that no entry can be changed,
//! moved or removed without all later hashes. The end of the chain is sealed by a data key, so that neither the end nor
//! a chain that was computed anew can be put in its place by whoever only has the database. What can't be noticed from
//! the database alone: that the log was put back to an earlier end, as it is in any backup. Against that, the end is
//! told in the server's log at every start and stop, and an end that was noted elsewhere can be looked for
//! ([`verify`]).
//!
//! Where the operator wants that, the oldest records are removed after a while ([`prune`]): always all from the
//! beginning on, and never without a record of it that stays.
//!
//! What takes something away (sign-out, deleting, disabling, revoking) happens first and is recorded afterwards: a log
//! that can't be written must not keep a thief signed in.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::future::{join_all, try_join_all};
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::{Clock, Timestamp},
    credential::{Credential, Evidence},
    id::{AccountId, RuntimeId, UserId},
    person::Name,
    random::Entropy,
    seal::{KeyRing, SealError},
    store::{AuditStore, Store, StoreError},
};

pub mod chain;
pub mod export;
pub mod prune;
pub mod verify;
mod writer;

#[cfg(test)]
mod tests;

/// Who waits longer than this for the disk is told no.
const LONGEST: Duration = Duration::from_secs(5);
/// So many may wait for the disk at once.
const WAITING: usize = 1024;

/// Who did it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// Somebody who is signed in, or just proved who they are.
    User {
        /// Which one.
        id: UserId,
        /// Their name at that time.
        name: Name,
    },
    /// A machine, by the public part of its key.
    RuntimeKey {
        /// The public part.
        public_id: String,
    },
    /// Whoever may run commands on the server, or writes its configuration.
    Operator,
    /// Somebody who did not prove who they are. What they typed is not kept: it may be a password in the wrong field.
    Stranger,
    /// Gitward by itself.
    Gitward,
}

impl Actor {
    /// [`Actor::User`], as the log has it.
    pub const USER: &str = "user";
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What was done. The words are part of the log for ever: none is changed or used for something else.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As the log has it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// Somebody signed in, or was not let in.
    SessionBegun = "session.begun",
    /// Somebody signed out.
    SessionEnded = "session.ended",
    /// A password was changed, or chosen by a one-time link.
    PasswordChanged = "password.changed",
    /// A token or grant was given for a runtime that had none.
    TokenAdded = "token.added",
    /// A token or grant replaced another.
    TokenReplaced = "token.replaced",
    /// A token of another account at the provider than before was kept aside until its user decides, or not.
    TokenProposed = "token.proposed",
    /// A token was deleted.
    TokenDeleted = "token.deleted",
    /// Another person's account than before was confirmed or dropped.
    TokenSettled = "token.settled",
    /// A grant was renewed: its secrets are others now.
    TokenRenewed = "token.renewed",
    /// A token that was deleted or replaced has come to its end at the provider, or not.
    TokenRevoked = "token.revoked",
    /// Somebody decided what they are told, and where.
    NoticesChanged = "notices.changed",
    /// What the provider said changed what is believed of a credential.
    VerdictChanged = "verdict.changed",
    /// The provider was asked about a credential, or was not for the reason that is given; what is believed of it is
    /// what it was.
    VerdictKept = "verdict.kept",
    /// A user's secret left for a runtime, or was refused to it.
    SecretReleased = "secret.released",
    /// A runtime said what became of a secret.
    SecretReported = "secret.reported",
    /// A runtime key was made.
    RuntimeKeyCreated = "runtime-key.created",
    /// A runtime key got a successor.
    RuntimeKeyRotated = "runtime-key.rotated",
    /// A runtime key ended.
    RuntimeKeyRevoked = "runtime-key.revoked",
    /// Somebody presented a runtime key that is none, or no longer one.
    RuntimeKeyRefused = "runtime-key.refused",
    /// A user was added.
    UserAdded = "user.added",
    /// A user was disabled.
    UserDisabled = "user.disabled",
    /// A link to choose a new password was made.
    PasswordLinkMade = "password-link.made",
    /// The configuration changed what is declared.
    ConfigurationApplied = "configuration.applied",
    /// The server began to serve.
    ServerStarted = "server.started",
    /// The oldest records are about to be removed, as the operator wants it; up to which one is in the detail.
    AuditPruned = "audit.pruned",
}

impl Action {
    /// What members of an account do, or is done to them, before they name a runtime: of no account, and of concern to
    /// the admins of each of theirs.
    pub const OF_MEMBERS: [Self; 6] = [
        Self::SessionBegun,
        Self::SessionEnded,
        Self::PasswordChanged,
        Self::PasswordLinkMade,
        Self::UserAdded,
        Self::UserDisabled,
    ];
}

impl std::str::FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text).ok_or(())
    }
}

/// [`Outcome::Done`], as the log has it.
pub const DONE: &str = "done";
/// [`Outcome::Refused`], as the log has it.
pub const REFUSED: &str = "refused";

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was done, or is done right after this is written.
    Done,
    /// It was not, for this reason: a word of ours, as in `wrong_password`.
    Refused(&'static str),
}

/// One thing that happened. Build it with [`Entry::new`] and what is known.
///
/// No field ever holds a secret, or what somebody typed who did not prove who they are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose things it is about: they may read it.
    pub user: Option<UserId>,
    /// Whose admins may read it.
    pub account: Option<AccountId>,
    /// Which runtime it is about.
    pub runtime: Option<RuntimeId>,
    /// Which object else: the id of a credential, the public id of a key, the name of a user.
    pub object: Option<String>,
    /// What else matters, in short words of ours.
    pub detail: Option<String>,
    /// The request's id, as the server's log has it.
    pub request: Option<String>,
    /// Where it came from.
    pub address: Option<IpAddr>,
}

/// Who is about to do something, by which request, from where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The request's id, as the server's log has it.
    pub request: Option<String>,
    /// Where it came from.
    pub address: Option<IpAddr>,
}

impl By {
    /// Somebody, without a request.
    pub fn new(actor: Actor) -> Self {
        Self { actor, request: None, address: None }
    }

    /// What they did.
    pub fn did(&self, action: Action) -> Entry {
        let Self { actor, request, address } = self.clone();
        Entry { request, address, ..Entry::new(actor, action) }
    }
}

impl Entry {
    /// Somebody did something.
    pub fn new(actor: Actor, action: Action) -> Self {
        let user = match &actor {
            Actor::User { id, .. } => Some(id.clone()),
            _ => None,
        };
        Self {
            actor,
            action,
            outcome: Outcome::Done,
            user,
            account: None,
            runtime: None,
            object: None,
            detail: None,
            request: None,
            address: None,
        }
    }

    /// What is believed of a credential has changed.
    pub fn verdict(credential: &Credential) -> Self {
        let standing = &credential.standing;
        let verdict = if standing.invalid { "invalid" } else { "valid" };
        let scopes =
            credential.scopes.as_ref().map_or("not visible".to_owned(), |scopes| scopes.to_vec().join(" "));
        let Evidence { request, answer } = &standing.evidence;
        Self::by_gitward(credential, Action::VerdictChanged)
            .detail(format!("{verdict}, scopes {scopes}, {request}: {answer}"))
    }

    /// Gitward did something by itself to a credential.
    pub fn by_gitward(credential: &Credential, action: Action) -> Self {
        Self::new(Actor::Gitward, action).about(&credential.user).object(credential.id.to_string())
    }

    /// It was refused.
    #[must_use]
    pub fn refused(self, reason: &'static str) -> Self {
        Self { outcome: Outcome::Refused(reason), ..self }
    }

    /// Whose things it is about.
    #[must_use]
    pub fn about(self, user: &UserId) -> Self {
        Self { user: Some(user.clone()), ..self }
    }

    /// At which runtime, of which account.
    #[must_use]
    pub fn at(self, account: &AccountId, runtime: &RuntimeId) -> Self {
        Self { account: Some(account.clone()), runtime: Some(runtime.clone()), ..self }
    }

    /// To which object.
    #[must_use]
    pub fn object(self, object: impl Into<String>) -> Self {
        Self { object: Some(object.into()), ..self }
    }

    /// What else matters.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// By which request, from where.
    #[must_use]
    pub fn by_request(self, request: Option<String>, address: IpAddr) -> Self {
        Self { request, address: Some(address), ..self }
    }
}

/// An entry in its place in the chain, as the database keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// 1, 2, 3, …
    pub sequence: i64,
    /// When.
    pub at: Timestamp,
    /// `user`, `runtime-key`, `operator`, `stranger`, `gitward`.
    pub actor: String,
    /// The user's id or the key's public part.
    pub actor_id: Option<String>,
    /// The user's name.
    pub actor_name: Option<String>,
    /// A word of [`Action`], maybe of a later version.
    pub action: String,
    /// [`DONE`] or [`REFUSED`].
    pub outcome: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Whose things it is about.
    pub user: Option<UserId>,
    /// At which account.
    pub account: Option<AccountId>,
    /// At which runtime.
    pub runtime: Option<RuntimeId>,
    /// Which object else.
    pub object: Option<String>,
    /// What else matters.
    pub detail: Option<String>,
    /// The request's id.
    pub request: Option<String>,
    /// Where it came from.
    pub address: Option<String>,
    /// See [`chain`].
    pub hash: chain::Hash,
}

/// The names of the users that records are about: they are no part of the log, which has ids.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<UserId, String>);

impl Names {
    /// Whose things the record is about, if it is known.
    pub fn of(&self, record: &Record) -> Option<&str> {
        self.0.get(record.user.as_ref()?).map(String::as_str)
    }
}

/// Looks up the names of the users that these records are about.
///
/// # Errors
/// [`StoreError`].
pub async fn names(store: &(impl AuditStore + ?Sized), records: &[Record]) -> Result<Names, StoreError> {
    let users: HashSet<&UserId> = records.iter().filter_map(|record| record.user.as_ref()).collect();
    let users: Vec<&UserId> = users.into_iter().collect();
    store.names_of(&users).await.map(Names)
}

/// Why something could not be recorded. Then it must not happen, if it gives anybody anything.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The end of the log could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The end of the log is not what Gitward left there.
    #[error("the end of the audit log was changed by somebody else: `gitward audit verify` says where")]
    Broken,
    /// What was to be written together with others could not be, for this reason.
    #[error("the audit log can't be written: {0}")]
    Batch(Arc<AuditError>),
    /// The disk did not answer in time, or too many wait for it.
    #[error("the audit log could not be written within {} seconds", LONGEST.as_secs())]
    Late,
    /// The server is stopping.
    #[error("the audit log is closed")]
    Closed,
}

/// Somebody waits until this is on the disk.
struct Waiting {
    at: Timestamp,
    entry: Entry,
    done: oneshot::Sender<Result<(), AuditError>>,
}

/// Writes the log. Clones write the same one.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Waiting>,
    clock: Arc<dyn Clock>,
    longest: Duration,
}

impl Audit {
    /// Begins where the log ends. Further processes may write the same log. The task that writes ends with the last
    /// clone.
    pub fn open(
        store: Arc<dyn AuditStore>,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(writer::Writer::new(store, keys, entropy).run(waiting));
        Self { queue, clock, longest: LONGEST }
    }

    /// With another patience.
    #[cfg(test)]
    fn waiting_for(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Writes an entry. It is on the disk when this answers `Ok`.
    ///
    /// # Errors
    /// As [`AuditError`] says. Then the entry may still be written later, about something that did not happen.
    pub async fn record(&self, entry: Entry) -> Result<(), AuditError> {
        let (done, answer) = oneshot::channel();
        let waiting = Waiting { at: self.clock.now(), entry, done };
        let recorded = async {
            self.queue.send(waiting).await.map_err(|_| AuditError::Closed)?;
            answer.await.map_err(|_| AuditError::Closed)?
        };
        tokio::time::timeout(self.longest, recorded).await.map_err(|_| AuditError::Late)?
    }

    /// Writes entries, then does what they say. Where that does not come to pass, further entries say so: `overtaken`
    /// of those that were not `done`, `failed` of all if nobody knows what was done.
    ///
    /// # Errors
    /// [`AuditError`], then nothing was done; and those of `doing`.
    pub async fn before_each<T, X, E: From<AuditError> + From<X>>(
        &self,
        entries: Vec<Entry>,
        doing: impl Future<Output = Result<T, X>>,
        done: impl Fn(&T, &Entry) -> bool,
    ) -> Result<T, E> {
        try_join_all(entries.iter().map(|entry| self.record(entry.clone()))).await?;
        let did = doing.await;
        let undone = entries.into_iter().filter_map(|entry| match &did {
            Ok(did) => (!done(did, &entry)).then(|| entry.refused("overtaken")),
            Err(_) => Some(entry.refused("failed")),
        });
        join_all(undone.map(|entry| self.note(entry))).await;
        Ok(did?)
    }

    /// The same for one, where `None` says that somebody was faster.
    ///
    /// # Errors
    /// See there.
    pub async fn before<T, X, E: From<AuditError> + From<X>>(
        &self,
        entry: Entry,
        doing: impl Future<Output = Result<Option<T>, X>>,
    ) -> Result<Option<T>, E> {
        self.before_each(vec![entry], doing, |did, _| did.is_some()).await
    }

    /// The same as [`Audit::note`], for each of the runtimes that use a credential.
    pub async fn note_for_each(
        &self,
        store: &dyn Store,
        entry: Entry,
        credential: &Credential,
        now: Timestamp,
    ) {
        let accesses = match store.accesses(&credential.user, now).await {
            Ok(accesses) => accesses,
            Err(error) => return not_told(&entry, &error),
        };
        let noted = accesses.iter().filter(|access| access.uses(credential)).map(|access| {
            let entry = entry.clone().at(&access.account.id, &access.runtime.id);
            self.note(entry)
        });
        // Together, so that they share one transaction.
        join_all(noted).await;
    }

    /// Writes an entry about something that has happened and that nobody should be kept from. Says so in the server's
    /// log if it can't.
    pub async fn note(&self, entry: Entry) {
        let action = entry.action.as_str();
        if let Err(error) = self.record(entry).await {
            say_not_told(action, &error);
        }
    }
}

/// It was not even found out whose business it is.
pub(crate) fn not_told(entry: &Entry, error: &StoreError) {
    say_not_told(entry.action.as_str(), error);
}

fn say_not_told(action: &str, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(action, error, "Something happened that could not be written into the audit log");
}
