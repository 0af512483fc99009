//! Checks in the background: every credential is asked about again when it is due, without anybody's click, so that the
//! page is right whenever somebody looks.
//!
//! What is due is taken in small batches, by a lease that ends by itself: several processes on one database share the
//! work, and none does what another is doing. A host is asked no more than its [`host::Pace`] allows, by all of them
//! together, and one that is in trouble as a whole is only probed. Users take turns. What is asked, and what an answer
//! means, is [`Checker`]'s.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    check::{CheckError, Checker},
    clock::{APART, Timestamp},
    id::{CredentialId, ProviderId},
    provider::{Provider, place::Place},
    renew::TokensError,
    store::{LONGEST_CHECK, StoreError},
};

pub mod due;
pub mod host;
pub mod hosts;
#[cfg(test)]
pub(crate) mod tests;

/// Questions under way at once, to all hosts.
const AT_ONCE: usize = 50;
/// And to one host: fewer than it takes to be banned, should it refuse them all.
const AT_ONE_HOST: usize = 16;
/// A lease outlasts the longest answer by far, renewing included; should its holder die, somebody else asks that much
/// later.
const LEASE: Duration = Duration::from_secs(4 * 60);
const _: () = assert!(LEASE.as_secs() + APART.as_secs() <= LONGEST_CHECK.as_secs());
/// How soon to look again while there is work …
const BUSY: Duration = Duration::from_millis(250);
/// … when there was none …
const IDLE: Duration = Duration::from_secs(1);
/// … and when the database failed.
const FAILED: Duration = Duration::from_secs(10);
/// Wishes of pages are remembered for so many credentials of a provider.
const WANTED: usize = 1000;
/// A clock that is behind by less was not set back.
const SET_BACK: Duration = Duration::from_secs(30);

/// Asks about what is due.
pub struct Watch {
    pub(crate) checker: Arc<Checker>,
    under_way: TaskTracker,
    providers: Vec<Watched>,
    /// Which of them is first the next time: what is scarce is shared by turns.
    first: AtomicUsize,
    at_once: Arc<Semaphore>,
    wanted: Mutex<HashMap<ProviderId, Vec<CredentialId>>>,
    nudged: Notify,
    stopped: CancellationToken,
    /// The latest moment that was seen.
    seen: Mutex<Option<Timestamp>>,
    /// Something could not be opened, and it was said.
    unreadable: AtomicBool,
}

struct Watched {
    provider: Arc<dyn Provider>,
    host: String,
    at_once: Arc<Semaphore>,
}

impl Watch {
    /// Over these. What it begins is tracked by `under_way`.
    pub fn new(checker: Arc<Checker>, under_way: TaskTracker) -> Self {
        let mut per_host: HashMap<String, Arc<Semaphore>> = HashMap::new();
        let mut providers: Vec<Watched> = checker
            .registry
            .providers()
            .map(|provider| {
                let host = provider.host();
                let at_once =
                    per_host.entry(host.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONE_HOST)));
                Watched { provider: Arc::clone(provider), at_once: Arc::clone(at_once), host }
            })
            .collect();
        providers.sort_by(|one, other| one.provider.id().cmp(other.provider.id()));
        Self {
            checker,
            under_way,
            providers,
            first: AtomicUsize::new(0),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            wanted: Mutex::default(),
            nudged: Notify::new(),
            stopped: CancellationToken::new(),
            seen: Mutex::default(),
            unreadable: AtomicBool::new(false),
        }
    }

    /// Goes on until it is stopped.
    pub async fn run(self: Arc<Self>) {
        let mut works = true;
        while !self.stopped.is_cancelled() {
            let pause = match self.round().await {
                Ok(begun) => {
                    works = true;
                    if begun.is_empty() { IDLE } else { BUSY }
                }
                Err(error) => {
                    if works {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "What is due could not be looked up; trying on");
                    }
                    works = false;
                    FAILED
                }
            };
            tokio::select! {
                () = self.stopped.cancelled() => {}
                () = self.nudged.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Nothing more is begun. What is under way ends, and is noted.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    /// Somebody looks at verdicts that are older than they should be: they come first. Nothing is written for it, so that
    /// looking at a page changes nothing of what is kept.
    pub fn want(&self, ids: impl IntoIterator<Item = (ProviderId, CredentialId)>) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut any = false;
        for (provider, id) in ids {
            let of_provider = wanted.entry(provider).or_default();
            if of_provider.len() < WANTED && !of_provider.contains(&id) {
                of_provider.push(id);
                any = true;
            }
        }
        drop(wanted);
        if any {
            self.nudged.notify_one();
        }
    }

    /// Begins to ask about what is due, as much as there is room for at the moment.
    ///
    /// # Errors
    /// [`StoreError`]; what was begun goes on.
    pub async fn round(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, StoreError> {
        self.mind_the_clock().await?;
        let mut begun = Vec::new();
        if self.providers.is_empty() {
            return Ok(begun);
        }
        let first = self.first.fetch_add(1, Ordering::Relaxed) % self.providers.len();
        let (before, from_first) = self.providers.split_at(first);
        for watched in from_first.iter().chain(before) {
            for id in self.take(watched).await? {
                // Only this loop takes permits, and no more than it saw.
                let (Ok(one), Ok(of_host)) = (
                    Arc::clone(&self.at_once).try_acquire_owned(),
                    Arc::clone(&watched.at_once).try_acquire_owned(),
                ) else {
                    break;
                };
                let watch = Arc::clone(self);
                begun.push(self.under_way.spawn(async move {
                    watch.look_after(&id).await;
                    drop((one, of_host));
                }));
            }
        }
        Ok(begun)
    }

    /// Takes as many credentials of a provider as there is room for, if its host may be asked.
    async fn take(&self, watched: &Watched) -> Result<Vec<CredentialId>, StoreError> {
        let Checker { store, hosts, clock, .. } = self.checker.as_ref();
        let room = self.at_once.available_permits().min(watched.at_once.available_permits());
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        if room == 0 {
            return Ok(Vec::new());
        }
        let id = watched.provider.id();
        let waiting = store.due(id, clock.now(), room).await?;
        if waiting == 0 {
            self.wishes().remove(id);
            return Ok(Vec::new());
        }
        let allowed = hosts.take(&watched.host, waiting).await?;
        if allowed == 0 {
            return Ok(Vec::new());
        }
        let wanted = self.wishes().get(id).cloned().unwrap_or_default();
        let now = clock.now();
        let taken = store.take_due(id, &wanted, now, now.plus(LEASE), allowed).await?;
        if let Some(wanted) = self.wishes().get_mut(id) {
            wanted.retain(|id| !taken.contains(id));
        }
        Ok(taken)
    }

    fn wishes(&self) -> std::sync::MutexGuard<'_, HashMap<ProviderId, Vec<CredentialId>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_after(&self, id: &CredentialId) {
        let problem = match self.ask(id).await {
            // Deleted meanwhile.
            Ok(()) | Err(CheckError::NothingThere | CheckError::Tokens(TokensError::Gone)) => return,
            Err(problem) => problem,
        };
        // Not for each of them, and not every hour: a wrong key or a full disk would fill the log.
        if self.unreadable.swap(true, Ordering::Relaxed) {
            tracing::debug!(credential = %id, error = &problem as &dyn std::error::Error, "A check failed on our side");
        } else {
            tracing::error!(
                error = &problem as &dyn std::error::Error,
                "A check failed on our side, maybe further ones will; `gitward verify` names what can't be opened"
            );
        }
    }

    async fn ask(&self, id: &CredentialId) -> Result<(), CheckError> {
        let Checker { store, clock, entropy, .. } = self.checker.as_ref();
        let Some(watched) = store.watched(id).await? else { return Ok(()) };
        let (credential, now) = (&watched.credential, clock.now());
        let later = now.plus(due::HOUR).plus(due::jitter(entropy.as_ref(), due::HOUR / 10));
        let place = self.checker.registry.provider(&credential.provider).map(|provider| provider.place());
        let is_over = |place: &Place| credential.expires_at.is_some_and(|end| place.is_over(end, now));
        if place.is_some_and(|place| place.is_time_known() && is_over(place)) {
            // Everybody knows what the provider would say; and it has said in this process what time it is.
            let due_at = due::next(credential, now, entropy.as_ref()).unwrap_or(later);
            return Ok(store.postpone(id, credential.generation, due_at).await?);
        }
        if !watched.in_use {
            // Its user or its runtimes are disabled, which may end any time.
            return Ok(store.postpone(id, credential.generation, later).await?);
        }
        let asked = self.checker.ask(credential, &watched.repositories).await;
        if asked.is_err() {
            store.postpone(id, credential.generation, later).await?;
        }
        asked
    }

    /// A clock that was set back leaves due times behind that are too far away.
    async fn mind_the_clock(&self) -> Result<(), StoreError> {
        let now = self.checker.clock.now();
        let set_back = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.is_none_or(|seen| now.plus(SET_BACK) < seen)
        };
        if set_back {
            for watched in &self.providers {
                self.checker.store.straighten(watched.provider.id(), now).await?;
            }
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }
}
