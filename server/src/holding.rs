//! What runtimes hold, as far as Gitward knows. A thousand may fetch in a second, so that what they fetched is gathered
//! and written together; that it was released at all is in the audit log before it leaves.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::task::TaskTracker;

use crate::{
    clock::Timestamp,
    herald::{Changes, What},
    id::{RuntimeId, UserId},
    store::{
        Store, StoreError,
        runtime::{Fetched, Holding},
    },
};

/// How long to gather.
const GATHER: Duration = Duration::from_secs(1);
/// "Last fetched" is told to the minute on open pages.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// When a key was last used is told to the minute.
const KEY_USE: Duration = Duration::from_secs(60);

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
    fetched: HashMap<(UserId, RuntimeId), Fetched>,
    /// Taken from there, and not known to be written yet.
    writing: HashMap<(UserId, RuntimeId), Fetched>,
    used: HashMap<String, Timestamp>,
    /// When each key was last noted; as many as there are keys.
    noted: HashMap<String, Timestamp>,
    /// What open pages were last told; only of users whose pages are open.
    told: HashMap<(UserId, RuntimeId), Fetched>,
    /// Somebody will write it.
    awaited: bool,
}

impl Holdings {
    /// Into `store`. Open pages hear of it by `changes`.
    pub fn new(store: Arc<dyn Store>, changes: Arc<Changes>, under_way: TaskTracker) -> Self {
        Self { store, changes, gathered: Mutex::default(), under_way }
    }

    /// A credential was handed out.
    pub fn fetched(self: &Arc<Self>, fetched: Fetched) {
        let mut gathered = self.gathered();
        gathered.fetched.insert((fetched.user.clone(), fetched.runtime.clone()), fetched);
        self.write_later(&mut gathered);
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
        // Before the store: what has been written by the time it answers is in neither, the other way round.
        let recent: Vec<Fetched> = {
            let gathered = self.gathered();
            let all = gathered.writing.values().chain(gathered.fetched.values());
            all.filter(|fetched| fetched.user == *user).cloned().collect()
        };
        let mut holdings = self.store.holdings(user).await?;
        for fetched in recent {
            let holding = holdings.entry(fetched.runtime).or_default();
            if holding.fetched_at.is_none_or(|at| at <= fetched.at) {
                holding.fetched_at = Some(fetched.at);
                holding.fetched_version = Some(fetched.version);
            }
        }
        Ok(holdings)
    }

    /// Writes what was gathered, now.
    ///
    /// # Errors
    /// [`StoreError`]; then it is kept for the next time.
    pub async fn write(&self) -> Result<(), StoreError> {
        let (fetched, used) = {
            let mut gathered = self.gathered();
            let fetched = std::mem::take(&mut gathered.fetched);
            gathered.writing.extend(fetched.clone());
            (fetched, std::mem::take(&mut gathered.used))
        };
        if fetched.is_empty() && used.is_empty() {
            return Ok(());
        }
        let rows: Vec<Fetched> = fetched.values().cloned().collect();
        let keys: Vec<(String, Timestamp)> = used.iter().map(|(id, at)| (id.clone(), *at)).collect();
        let written = self.store.note_fetched(&rows, &keys).await;
        {
            let mut gathered = self.gathered();
            // Unless somebody is writing a later one of the same.
            gathered.writing.retain(|whose, row| fetched.get(whose) != Some(row));
            if written.is_err() {
                for (whose, row) in fetched {
                    gathered.fetched.entry(whose).or_insert(row);
                }
                for (id, at) in used {
                    gathered.used.entry(id).or_insert(at);
                }
            }
        }
        if written.is_ok() {
            self.tell(&rows);
        }
        written
    }

    /// Lets open pages hear of another version, and of the same one once a minute: a runtime that fetches all the time
    /// must not have them look all the time.
    fn tell(&self, rows: &[Fetched]) {
        let mut gathered = self.gathered();
        gathered.told.retain(|(user, _), _| self.changes.is_heard_by(user));
        for row in rows.iter().filter(|row| self.changes.is_heard_by(&row.user)) {
            let whose = (row.user.clone(), row.runtime.clone());
            let known = |told: &Fetched| {
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
