//! Users are told what happens to their access, once.
//!
//! Whatever changes an access marks it, in the same step of the store. The herald looks at what is marked, and at what
//! time alone changes at that moment, derives what is so now, compares it with what was seen last, and writes down both
//! and what follows from it in one step. What is marked stays marked until somebody looked, so that nothing is lost; what
//! was looked at meanwhile is not written, so that nothing is told twice. Several processes on one database may all look.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, Timestamp},
    credential::Access,
    id::{ProviderId, RuntimeId, UserId},
    notice::{DAY, EventId, Look, Marked, Seen, look},
    provider::Registry,
    store::{Store, StoreError},
};

mod changes;
#[cfg(test)]
mod tests;

pub use changes::{Asking, Change, Changes, Listener, What};

/// How soon to look again when nothing stirs in this process: time passes, and others write as well.
const PAUSE: Duration = Duration::from_millis(400);
/// … and when the database failed.
const FAILED: Duration = Duration::from_secs(10);
/// So many are looked at and written down together.
const BATCH: u32 = 256;
/// From so many of one user on they are read together.
const TOGETHER: usize = 4;
/// How soon somebody looks again at what this process can't see: it does not know the provider, or can't read the row.
const UNKNOWN_HERE: Duration = Duration::from_hours(1);
/// A clock that is behind by less was not set back.
const SET_BACK: Duration = Duration::from_secs(30);

/// Looks, and tells.
pub struct Herald {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    changes: Arc<Changes>,
    stopped: CancellationToken,
    /// The latest moment that was seen.
    seen: Mutex<Option<Timestamp>>,
    /// The last event that listeners heard of.
    heard: Mutex<Option<EventId>>,
}

impl Herald {
    /// Over these. Listeners hear of it by `changes`.
    pub fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        changes: Arc<Changes>,
    ) -> Self {
        let stopped = CancellationToken::new();
        Self { store, registry, clock, changes, stopped, seen: Mutex::default(), heard: Mutex::default() }
    }

    /// Goes on until it is stopped.
    pub async fn run(self: Arc<Self>) {
        let mut works = true;
        while !self.stopped.is_cancelled() {
            let pause = match self.round().await {
                Ok(()) => {
                    works = true;
                    PAUSE
                }
                Err(error) => {
                    if works {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "What happened could not be looked up or told; trying on");
                    }
                    works = false;
                    FAILED
                }
            };
            tokio::select! {
                () = self.stopped.cancelled() => {}
                () = self.store.stirred(), if works => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Nothing more is told by this process.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    /// Looks at everything that is to be looked at, tells what follows from it, and lets listeners hear it.
    ///
    /// # Errors
    /// [`StoreError`]; what was told stays told, the rest is told the next time.
    pub async fn round(&self) -> Result<(), StoreError> {
        let told = self.tell_all().await;
        // Whatever others did is heard, also while this process can't look at something.
        self.spread_news().await?;
        told
    }

    async fn tell_all(&self) -> Result<(), StoreError> {
        self.mind_the_clock().await?;
        loop {
            let now = self.clock.now();
            let marked = self.store.marked(now, BATCH).await?;
            let all = u32::try_from(marked.len()).is_ok_and(|count| count < BATCH);
            if !marked.is_empty() {
                let looks = self.look_at(marked, now).await?;
                self.store.tell(&looks, now).await?;
            }
            if all || self.stopped.is_cancelled() {
                break;
            }
        }
        self.tell_incidents().await
    }

    async fn look_at(&self, marked: Vec<Marked>, now: Timestamp) -> Result<Vec<Look>, StoreError> {
        let mut of_user: HashMap<UserId, Vec<Marked>> = HashMap::new();
        for marked in marked {
            of_user.entry(marked.user.clone()).or_default().push(marked);
        }
        let mut looks = Vec::new();
        for (user, marked) in of_user {
            // Of one that can't be read the others are read one by one.
            let together = match marked.len() {
                TOGETHER.. => or_unreadable(self.store.accesses(&user, now).await)?,
                _ => None,
            };
            let mut together: Option<HashMap<RuntimeId, Access>> = together.map(|accesses| {
                accesses.into_iter().map(|access| (access.runtime.id.clone(), access)).collect()
            });
            for marked in marked {
                let access = match &mut together {
                    Some(together) => Some(together.remove(&marked.runtime)),
                    None => or_unreadable(self.store.access(&user, &marked.runtime, now).await)?,
                };
                looks.push(self.look(marked, access, now));
            }
        }
        Ok(looks)
    }

    /// `access` is `None` if it can't be read, and `Some(None)` if it is not enabled.
    fn look(&self, marked: Marked, access: Option<Option<Access>>, now: Timestamp) -> Look {
        let seen = match access {
            Some(None) => Seen::Nothing,
            Some(Some(access)) => match self.registry.provider(&access.runtime.provider) {
                Some(provider) => look(&marked.before, &access, provider.as_ref(), now),
                // Another process runs with another configuration.
                None => Seen::Later(now.plus(UNKNOWN_HERE)),
            },
            None => Seen::Later(now.plus(UNKNOWN_HERE)),
        };
        Look { marked, seen }
    }

    async fn tell_incidents(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for incident in self.store.untold_incidents(now).await? {
            let providers: Vec<ProviderId> = self
                .registry
                .providers()
                .filter(|provider| provider.host() == incident.host)
                .map(|provider| provider.id().clone())
                .collect();
            // It is for whoever knows whose tokens go there: maybe another process, with another configuration.
            if providers.is_empty() {
                continue;
            }
            self.store.tell_incident(&incident, &providers, now).await?;
        }
        Ok(())
    }

    /// Lets listeners hear what happened since the last time, in this process or another.
    async fn spread_news(&self) -> Result<(), StoreError> {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heard = match heard {
            Some(heard) => heard,
            None => self.store.last_event().await?,
        };
        loop {
            let news = self.store.news(heard, BATCH).await?;
            for event in &news {
                self.changes.happened(event);
                heard = event.id;
            }
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
            if news.is_empty() {
                return Ok(());
            }
        }
    }

    /// A clock that was set back leaves moments to look behind that are too far away.
    async fn mind_the_clock(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            // Whether it was set back before this process began is not known, but what that may have left behind.
            None => {
                self.store.look_again(now.plus(DAY)).await?;
            }
            Some(seen) if now.plus(SET_BACK) < seen => {
                self.store.look_again(now).await?;
            }
            Some(_) => {}
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }
}

/// One row that can't be read must not keep the news of all others. `gitward verify` and the page say what is wrong.
fn or_unreadable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Unreadable { .. }) => {
            tracing::error!(error = &error as &dyn std::error::Error, "An access can't be looked at");
            Ok(None)
        }
        read => read.map(Some),
    }
}
