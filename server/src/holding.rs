//! What runtimes hold, as far as Gitward knows. A thousand may fetch in a second, so that what they fetched is gathered
//! and written together; that it was released at all is in the audit log before it leaves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Timestamp,
    herald::{Changes, What},
    id::{CredentialId, RuntimeId, UserId},
    store::{
        Store, StoreError,
        runtime::{Holding, VersionAt},
    },
};

/// How long to gather.
const GATHER: Duration = Duration::from_secs(1);
/// "Last fetched" is told to the minute on open pages.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// When a key was last used is told to the minute.
const KEY_USE: Duration = Duration::from_secs(60);

/// Names a secret of a credential to a runtime, and says nothing about it.
pub fn version(runtime: &RuntimeId, credential: &CredentialId, generation: i64) -> String {
    let mut hash = Sha256::new();
    for part in [runtime.as_str(), credential.as_str()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(generation.to_le_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finalize()[..12])
}

impl Holding {
    /// Whether the runtime has the version that is handed out now, for the page. Its own word counts, that it uses
    /// another one, but not for ever: it may have fetched this one since, and not every runtime goes on reporting.
    pub fn is_of(&self, current: Option<&str>) -> bool {
        let fetched_since = self.fetched_at > self.used_at && self.fetched_version.as_deref() == current;
        fetched_since
            || self.used_version.as_ref().or(self.fetched_version.as_ref()).map(String::as_str) == current
    }

    /// Whether the runtime may still hold a secret of a credential: the one of this generation, or the one before it
    /// was renewed. Whatever speaks for that counts: what it holds is not to be revoked under its hands.
    pub fn may_be_of(&self, runtime: &RuntimeId, credential: &CredentialId, generation: i64) -> bool {
        let held = [&self.fetched_version, &self.used_version];
        [generation, generation - 1].into_iter().any(|generation| {
            let named = version(runtime, credential, generation);
            held.into_iter().any(|held| held.as_ref() == Some(&named))
        })
    }

    /// Takes in what was fetched and is not written yet, unless something later is.
    fn take_in(&mut self, fetched: &VersionAt) {
        if self.fetched_at.is_none_or(|at| at <= fetched.at) {
            self.fetched_at = Some(fetched.at);
            self.fetched_version = Some(fetched.version.clone());
        }
    }
}

/// Gathers what is fetched.
pub struct Holdings {
    store: Arc<dyn Store>,
    changes: Arc<Changes>,
    gathered: Mutex<Gathered>,
    /// What must be waited for before the process ends.
    under_way: TaskTracker,
}

#[derive(Default)]
struct Gathered {
    /// On its way out: it may still be withheld.
    leaving: HashMap<u64, VersionAt>,
    /// Counts them.
    left: u64,
    /// Until it is written.
    fetched: HashMap<(UserId, RuntimeId), VersionAt>,
    used: HashMap<String, Timestamp>,
    /// When each key was last noted; as many as there are keys.
    noted: HashMap<String, Timestamp>,
    /// What open pages were last told; only of users whose pages are open.
    told: HashMap<(UserId, RuntimeId), VersionAt>,
    /// Somebody will write it.
    awaited: bool,
}

/// A credential that is about to be handed out. Dropped, it was not.
pub struct Leaving {
    holdings: Arc<Holdings>,
    number: u64,
}

impl Leaving {
    /// It was handed out.
    pub fn done(self) {
        let mut gathered = self.holdings.gathered();
        if let Some(fetched) = gathered.leaving.remove(&self.number) {
            gathered.fetched.insert((fetched.user.clone(), fetched.runtime.clone()), fetched);
            self.holdings.write_later(&mut gathered);
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.holdings.gathered().leaving.remove(&self.number);
    }
}

impl Holdings {
    /// Into `store`. Open pages hear of it by `changes`.
    pub fn new(store: Arc<dyn Store>, changes: Arc<Changes>, under_way: TaskTracker) -> Self {
        Self { store, changes, gathered: Mutex::default(), under_way }
    }

    /// A credential is about to be handed out. Whoever takes it away from now on finds that it may be held; whether it
    /// was taken away before, has to be looked at after this.
    pub fn leaving(self: &Arc<Self>, fetched: VersionAt) -> Leaving {
        let mut gathered = self.gathered();
        gathered.left += 1;
        let number = gathered.left;
        gathered.leaving.insert(number, fetched);
        Leaving { holdings: Arc::clone(self), number }
    }

    /// A key let somebody in.
    pub fn key_used(self: &Arc<Self>, public_id: &str, now: Timestamp) {
        let mut gathered = self.gathered();
        let fresh = |at: &Timestamp| now >= *at && now.since(*at) < KEY_USE;
        if gathered.noted.get(public_id).is_some_and(fresh) {
            return;
        }
        gathered.noted.insert(public_id.to_owned(), now);
        gathered.used.insert(public_id.to_owned(), now);
        self.write_later(&mut gathered);
    }

    /// What runtimes hold of a user, the last second included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of(&self, user: &UserId) -> Result<HashMap<RuntimeId, Holding>, StoreError> {
        // Before the database is read: what is written in between is then in both, not in neither.
        let unwritten: Vec<VersionAt> =
            self.gathered().fetched.values().filter(|fetched| fetched.user == *user).cloned().collect();
        let mut holdings = self.store.holdings(user).await?;
        for fetched in &unwritten {
            holdings.entry(fetched.runtime.clone()).or_default().take_in(fetched);
        }
        Ok(holdings)
    }

    /// The same for one runtime and all its users, into what the database says `holding` of one of them.
    pub fn take_in(&self, user: &UserId, runtime: &RuntimeId, holding: &mut Holding) {
        if let Some(fetched) = self.gathered().fetched.get(&(user.clone(), runtime.clone())) {
            holding.take_in(fetched);
        }
    }

    /// The runtimes that may hold a secret of a credential, by id, with those that are about to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holders(
        &self,
        user: &UserId,
        credential: &CredentialId,
        generation: i64,
    ) -> Result<Vec<RuntimeId>, StoreError> {
        // First those, for they are among the others later.
        let leaving: Vec<VersionAt> = self.gathered().leaving.values().cloned().collect();
        let mut holders: Vec<RuntimeId> = self
            .of(user)
            .await?
            .into_iter()
            .filter(|(runtime, holding)| holding.may_be_of(runtime, credential, generation))
            .map(|(runtime, _)| runtime)
            .collect();
        for fetched in leaving.into_iter().filter(|leaving| leaving.user == *user) {
            let mut holding = Holding::default();
            holding.take_in(&fetched);
            if holding.may_be_of(&fetched.runtime, credential, generation) {
                holders.push(fetched.runtime);
            }
        }
        holders.sort();
        holders.dedup();
        Ok(holders)
    }

    /// Writes what was gathered, now.
    ///
    /// # Errors
    /// [`StoreError`]; then it is kept for the next time.
    pub async fn write(&self) -> Result<(), StoreError> {
        // It stays there until it is written, for those who ask meanwhile.
        let (rows, keys) = {
            let gathered = self.gathered();
            let rows: Vec<VersionAt> = gathered.fetched.values().cloned().collect();
            let keys: Vec<(String, Timestamp)> =
                gathered.used.iter().map(|(id, at)| (id.clone(), *at)).collect();
            (rows, keys)
        };
        if rows.is_empty() && keys.is_empty() {
            return Ok(());
        }
        self.store.note_fetched(&rows, &keys).await?;
        let mut gathered = self.gathered();
        for row in &rows {
            let whose = (row.user.clone(), row.runtime.clone());
            if gathered.fetched.get(&whose) == Some(row) {
                gathered.fetched.remove(&whose);
            }
        }
        for (id, at) in &keys {
            if gathered.used.get(id) == Some(at) {
                gathered.used.remove(id);
            }
        }
        self.tell(&mut gathered, &rows);
        Ok(())
    }

    /// Lets open pages hear of another version, and of the same one once a minute: a runtime that fetches all the time
    /// must not have them look all the time.
    fn tell(&self, gathered: &mut Gathered, rows: &[VersionAt]) {
        gathered.told.retain(|(user, _), _| self.changes.is_heard_by(user));
        for row in rows.iter().filter(|row| self.changes.is_heard_by(&row.user)) {
            let whose = (row.user.clone(), row.runtime.clone());
            let known = |told: &VersionAt| {
                told.version == row.version && row.at >= told.at && row.at.since(told.at) < TOLD_AGAIN
            };
            if gathered.told.get(&whose).is_some_and(known) {
                continue;
            }
            gathered.told.insert(whose, row.clone());
            self.changes.say(&row.user, What::Row(row.runtime.clone()));
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_later(self: &Arc<Self>, gathered: &mut Gathered) {
        if std::mem::replace(&mut gathered.awaited, true) {
            return;
        }
        let holdings = Arc::clone(self);
        self.under_way.spawn(async move {
            tokio::time::sleep(GATHER).await;
            holdings.gathered().awaited = false;
            if let Err(error) = holdings.write().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "What runtimes fetched could not be noted yet");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_seconds(seconds))
    }

    #[test]
    fn the_word_of_a_runtime_counts_until_it_fetches_what_is_handed_out() {
        let holding = |fetched: &str, fetched_at, used: &str, used_at| Holding {
            fetched_at,
            fetched_version: Some(fetched.to_owned()),
            used_at,
            used_version: Some(used.to_owned()),
        };
        assert!(holding("new", at(1), "new", at(2)).is_of(Some("new")));
        assert!(
            !holding("new", at(1), "old", at(2)).is_of(Some("new")),
            "it said so after it had fetched it"
        );
        assert!(holding("new", at(2), "old", at(1)).is_of(Some("new")), "it has not said anything since");
        assert!(!holding("other", at(2), "old", at(1)).is_of(Some("new")));
        let silent = Holding { used_at: None, used_version: None, ..holding("new", at(1), "", None) };
        assert!(silent.is_of(Some("new")) && !silent.is_of(Some("newer")) && !silent.is_of(None));
    }

    #[test]
    fn a_runtime_may_hold_the_secret_before_the_renewal_as_well() {
        let (runtime, credential) = ("acme.production".into(), "c".into());
        let holding = |generation| Holding {
            fetched_version: Some(version(&runtime, &credential, generation)),
            ..Holding::default()
        };
        assert!(holding(3).may_be_of(&runtime, &credential, 3));
        assert!(holding(2).may_be_of(&runtime, &credential, 3));
        assert!(!holding(1).may_be_of(&runtime, &credential, 3), "two renewals ago");
        assert!(!holding(3).may_be_of(&"acme.staging".into(), &credential, 3));
        assert!(!holding(3).may_be_of(&runtime, &"d".into(), 3));
    }
}
