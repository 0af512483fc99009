//! What happens to users' access, and what of it they are told.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    clock::Timestamp,
    id::{CredentialId, ProviderId, RuntimeId, UserId},
    notice::{Event, EventId, Hide, Look, Marked},
    watch::host::Incident,
};

/// What happened, what of it is told, and what its users want to be told. An event that can't be read is left out of every
/// answer, and named in the log.
///
/// Each step of the store after which a user's access may be another one marks it, in the same transaction: so nothing
/// is lost if nobody gets to look before the process ends. Telling writes down what was seen and what follows from it
/// in one step, if nobody marked or looked since: so nothing is told twice, however many processes look.
#[async_trait]
pub trait NoticeStore: Send + Sync {
    /// Up to `most` accesses that are to be looked at, those that wait longest first.
    async fn marked(&self, now: Timestamp, most: u32) -> Result<Vec<Marked>, StoreError>;
    /// Writes down what looking at them brought, each for itself: `false` for those that were marked or looked at
    /// since. An event that is to be told becomes a notice unless its user has hidden the runtime's or wants none at
    /// all; good news only if the bad news before it became one.
    async fn tell(&self, looks: &[Look], now: Timestamp) -> Result<Vec<bool>, StoreError>;
    /// Marks what would be looked at after `beyond` only: the clock that said so was wrong.
    async fn look_again(&self, beyond: Timestamp) -> Result<u64, StoreError>;
    /// Waits until something was marked or has happened in this process. Others are not heard, and of several who wait
    /// only one hears it.
    async fn stirred(&self);

    /// Incidents whose beginning or end is news now and was not told, see
    /// [`crate::notice::INCIDENT_IS_NEWS_AFTER`].
    async fn untold_incidents(&self, now: Timestamp) -> Result<Vec<Incident>, StoreError>;
    /// Tells that an incident at the host of these providers began, to everybody with a token there, or that it ended,
    /// to whoever was told that it began. Each once, whoever else tries. Answers how many events that made.
    async fn tell_incident(
        &self,
        incident: &Incident,
        providers: &[ProviderId],
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// What happened to a user's access to a runtime, and to its host if one is given, the latest first.
    async fn timeline(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        host: Option<&str>,
        most: u32,
    ) -> Result<Vec<Event>, StoreError>;
    /// A user's notices, the latest first, but those of runtimes that they may no longer see; those before `before`, if it is given.
    async fn notices(
        &self,
        user: &UserId,
        before: Option<EventId>,
        most: u32,
    ) -> Result<Vec<Event>, StoreError>;
    /// One of a user's notices.
    async fn notice(&self, user: &UserId, id: EventId) -> Result<Option<Event>, StoreError>;
    /// How many of those are unread.
    async fn unread(&self, user: &UserId) -> Result<u32, StoreError>;
    /// Marks a notice of the user as read. `false` if it is none, or was read.
    async fn read(&self, user: &UserId, id: EventId, now: Timestamp) -> Result<bool, StoreError>;
    /// Marks all of the user's notices up to this one as read: what came after the page was made was not seen. Answers
    /// how many were not.
    async fn read_all(&self, user: &UserId, up_to: EventId, now: Timestamp) -> Result<u64, StoreError>;

    /// The number of the last event; 0 if there was none.
    async fn last_event(&self) -> Result<EventId, StoreError>;
    /// The number of the last event of a user; 0 if there was none.
    async fn last_event_of(&self, user: &UserId) -> Result<EventId, StoreError>;
    /// What happened after an event, to all users, the earliest first.
    async fn news(&self, after: EventId, most: u32) -> Result<Vec<Event>, StoreError>;
    /// What happened after an event to one user, the earliest first.
    async fn news_of(&self, user: &UserId, after: EventId, most: u32) -> Result<Vec<Event>, StoreError>;

    /// Whether the user wants notices at all. Yes, unless they said otherwise.
    async fn wants_notices(&self, user: &UserId) -> Result<bool, StoreError>;
    /// The user wants notices, or none at all. What happened meanwhile is told to nobody later.
    async fn set_wants_notices(&self, user: &UserId, wants: bool) -> Result<(), StoreError>;
    /// Hides notices of a runtime of the user, or shows them again, with or without a token.
    async fn hide(&self, user: &UserId, runtime: &RuntimeId, hide: Hide) -> Result<(), StoreError>;

    /// The runtimes that use a credential.
    async fn runtimes_of(&self, credential: &CredentialId) -> Result<Vec<RuntimeId>, StoreError>;
}
