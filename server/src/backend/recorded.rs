//! What visitors do, in the words of the audit log.
//!
//! What gives something (a session, a token in use) is recorded before the visitor hears of it, and refused if that
//! can't be done. What takes something away is only noted: it happens in any case.

use app::error::ApiError;

use super::{Visit, internal};
use crate::{
    audit::{Action, Actor, Entry},
    credential::Access,
    person::{Name, User},
};

/// Whoever asks may have chosen it.
const LONGEST_REQUEST_ID: usize = 64;

impl Visit {
    /// An entry about this request.
    fn entry(&self, actor: Actor, action: Action) -> Entry {
        let id = self.parts.headers.get("x-request-id").and_then(|id| id.to_str().ok());
        let id = id.filter(|id| id.len() <= LONGEST_REQUEST_ID).map(str::to_owned);
        Entry::new(actor, action).by_request(id, self.address())
    }

    fn entry_of(&self, user: &User, action: Action) -> Entry {
        let actor = Actor::User { id: user.id.clone(), name: user.name.clone() };
        self.entry(actor, action)
    }

    /// A request of somebody's, for those who write down what they do for it.
    pub fn by(&self, user: &User) -> Entry {
        self.entry_of(user, Action::TokenAdded)
    }

    async fn record(&self, entry: Entry) -> Result<(), ApiError> {
        let recorded = self.site.audit.record(entry).await;
        recorded.map_err(|error| internal("write the audit log", &error))
    }

    /// Somebody proved who they are, and is about to get something for it.
    pub(super) async fn record_of(&self, user: &User, action: Action) -> Result<(), ApiError> {
        self.record(self.entry_of(user, action)).await
    }

    /// Somebody ended something of theirs.
    pub(super) async fn note_of(&self, user: &User, action: Action) {
        self.site.audit.note(self.entry_of(user, action)).await;
    }

    /// Somebody who is signed in was refused.
    pub(super) async fn note_refused(&self, user: &User, action: Action, reason: &'static str) {
        self.site.audit.note(self.entry_of(user, action).refused(reason)).await;
    }

    /// Somebody could not sign in. What they typed is kept only if it is the name of a user.
    pub(super) async fn note_stranger(&self, name: &str, reason: &'static str) {
        let known = match Name::parse(name) {
            Some(name) => self.site.store.user_by_name(&name).await.ok().flatten(),
            None => None,
        };
        let entry = self.entry(Actor::Stranger, Action::SessionBegun).refused(reason);
        let entry = match known {
            Some(user) => entry.about(&user.id).object(user.name.to_string()),
            None => entry,
        };
        self.site.audit.note(entry).await;
    }

    /// The visitor decided what they are told, and where. Without the address: it is theirs, and may hold a secret.
    pub(super) async fn note_notices(&self, what: &str) -> Result<(), ApiError> {
        let entry = self.entry_of(&self.signed()?.user, Action::NoticesChanged).detail(what);
        self.site.audit.note(entry).await;
        Ok(())
    }

    /// The same where the visitor gets something for it.
    pub(super) async fn record_notices(&self, what: &str) -> Result<(), ApiError> {
        self.record(self.entry_of(&self.signed()?.user, Action::NoticesChanged).detail(what)).await
    }

    /// The visitor hid the notifications of a runtime, or shows them.
    pub(super) async fn note_hidden(&self, access: &Access, what: &str) -> Result<(), ApiError> {
        let entry = self.entry_of(&self.signed()?.user, Action::NoticesChanged);
        self.site.audit.note(entry.at(&access.account.id, &access.runtime.id).detail(what)).await;
        Ok(())
    }
}
