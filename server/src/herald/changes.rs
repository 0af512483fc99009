//! What open pages hear of, at once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::broadcast;

use crate::{
    id::{CredentialId, RuntimeId, UserId},
    notice::{Event, EventId},
};

/// So many changes are kept for whoever listens slowly; whoever is slower looks at everything again.
const KEPT: usize = 1024;

/// What changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// There is a new notice.
    Notice(EventId),
    /// Something happened to a runtime's access, or it is asked about, or no longer.
    Row(RuntimeId),
    /// The user has read notices, in whichever browser.
    Read,
    /// More than could be kept: look at everything again.
    Everything,
}

/// Something changed for a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// For whom.
    pub user: UserId,
    /// What.
    pub what: What,
}

/// Tells whoever listens, in this process. Nothing waits for them, and nothing is written for it.
pub struct Changes {
    sender: broadcast::Sender<Change>,
    /// How many listen, by user.
    listeners: Mutex<HashMap<UserId, usize>>,
    /// What is asked about by this process, and how often at once.
    asked: Mutex<HashMap<CredentialId, usize>>,
    /// How often that has changed.
    turns: AtomicU64,
}

impl Default for Changes {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(KEPT);
        Self { sender, listeners: Mutex::default(), asked: Mutex::default(), turns: AtomicU64::new(0) }
    }
}

impl Changes {
    /// Listens for one user from now on.
    pub fn listen(self: &Arc<Self>, user: UserId) -> Listener {
        let receiver = self.sender.subscribe();
        *lock(&self.listeners).entry(user.clone()).or_default() += 1;
        Listener { changes: Arc::clone(self), user, receiver }
    }

    /// Whether anybody listens for the user.
    pub fn is_heard_by(&self, user: &UserId) -> bool {
        lock(&self.listeners).contains_key(user)
    }

    /// Something changed.
    pub fn say(&self, user: &UserId, what: What) {
        if self.is_heard_by(user) {
            // Nobody hears it if the last one has just gone.
            let _ = self.sender.send(Change { user: user.clone(), what });
        }
    }

    /// An event.
    pub fn happened(&self, event: &Event) {
        if let Some(runtime) = &event.runtime {
            self.say(&event.user, What::Row(runtime.clone()));
        }
        if event.is_notice {
            self.say(&event.user, What::Notice(event.id));
        }
    }

    /// A credential is asked about until what comes back is dropped; these runtimes' rows show it.
    pub fn asking(
        self: &Arc<Self>,
        user: &UserId,
        credential: &CredentialId,
        runtimes: Vec<RuntimeId>,
    ) -> Asking {
        *lock(&self.asked).entry(credential.clone()).or_default() += 1;
        self.turns.fetch_add(1, Ordering::SeqCst);
        let asking = Asking {
            changes: Arc::clone(self),
            user: user.clone(),
            credential: credential.clone(),
            runtimes,
        };
        asking.say();
        asking
    }

    /// Another number as soon as this process asks about something else than before.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }

    /// Whether this process is asking about a credential.
    pub fn is_asked(&self, credential: &CredentialId) -> bool {
        lock(&self.asked).contains_key(credential)
    }
}

/// Hears what changes for one user.
pub struct Listener {
    changes: Arc<Changes>,
    user: UserId,
    receiver: broadcast::Receiver<Change>,
}

impl Listener {
    /// Waits for the next change. Nothing is lost if the wait is broken off.
    pub async fn next(&mut self) -> What {
        loop {
            match self.receiver.recv().await {
                Ok(change) if change.user == self.user => return change.what,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return What::Everything,
                // Not while `changes` holds the sender.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        less(&mut lock(&self.changes.listeners), &self.user);
    }
}

/// A credential is being asked about.
pub struct Asking {
    changes: Arc<Changes>,
    user: UserId,
    credential: CredentialId,
    runtimes: Vec<RuntimeId>,
}

impl Asking {
    fn say(&self) {
        for runtime in &self.runtimes {
            self.changes.say(&self.user, What::Row(runtime.clone()));
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        less(&mut lock(&self.changes.asked), &self.credential);
        self.changes.turns.fetch_add(1, Ordering::SeqCst);
        self.say();
    }
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
