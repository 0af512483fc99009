//! What visitors do, in the words of the audit log.
//!
//! What gives something (a session, a token in use) is recorded before the visitor hears of it, and refused if that
//! can't be done. What takes something away is only noted: it happens in any case.

use app::error::ApiError;

use super::{Visit, internal};
use crate::{
    audit::{Action, Actor, AuditError, By, Entry},
    credential::Access,
    person::{Name, User},
    web::session::request_id,
};

impl Visit {
    /// This request, as somebody's.
    fn request_of(&self, actor: Actor) -> By {
        By { actor, request: request_id(&self.parts.headers), address: Some(self.address()) }
    }

    /// This request, as that of a user.
    pub fn by(&self, user: &User) -> By {
        self.request_of(Actor::User { id: user.id.clone(), name: user.name.clone() })
    }

    fn entry_of(&self, user: &User, action: Action) -> Entry {
        self.by(user).did(action)
    }

    async fn record(&self, entry: Entry) -> Result<(), ApiError> {
        let recorded = self.site.audit.record(entry).await;
        recorded.map_err(|error| internal("write the audit log", &error))
    }

    /// Somebody proved who they are, and is about to get something for it.
    pub(super) async fn record_of(&self, user: &User, action: Action) -> Result<(), ApiError> {
        self.record(self.entry_of(user, action)).await
    }

    /// Somebody is about to change something: it is recorded, then done. What was not done after all is recorded too.
    pub(super) async fn before<T, E>(
        &self,
        user: &User,
        actions: &[Action],
        doing: impl Future<Output = Result<T, E>>,
        doing_what: &'static str,
    ) -> Result<Result<T, E>, ApiError> {
        let by = self.by(user);
        let entries = actions.iter().map(|action| by.did(*action)).collect();
        let done: Result<_, AuditError> = self
            .site
            .audit
            .before_each(entries, async { Ok::<_, AuditError>(doing.await) }, |done, _| done.is_ok())
            .await;
        done.map_err(|error| internal(doing_what, &error))
    }

    /// Somebody ended something of theirs.
    pub(super) async fn note_of(&self, user: &User, action: Action) {
        self.site.audit.note(self.entry_of(user, action)).await;
    }

    /// Somebody was turned away before anything was looked at. Once in a while, so that nobody fills the log.
    pub(super) async fn note_turned_away(&self, name: &str, reason: &'static str) {
        if self.site.turned_away.is_first(self.address(), reason, self.site.clock.now()) {
            self.note_stranger(name, reason).await;
        }
    }

    /// Somebody came with a one-time link that is none, or no longer one.
    pub(super) async fn note_spent_link(&self) {
        const SPENT: &str = "link_spent";
        if self.site.turned_away.is_first(self.address(), SPENT, self.site.clock.now()) {
            let entry = self.request_of(Actor::Stranger).did(Action::PasswordChanged);
            self.site.audit.note(entry.refused(SPENT)).await;
        }
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
        let entry = self.request_of(Actor::Stranger).did(Action::SessionBegun).refused(reason);
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
