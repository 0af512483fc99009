//! A runtime waits for changes of what it may hold. A thousand may wait: there is one look for news for all of them, and
//! one reading of a runtime's users for all who wait with its keys.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Caller, Releases, Withheld, known_not_to_work};
use crate::{
    holding::version,
    id::RuntimeId,
    store::StoreError,
    wire::{Changes, Held},
};

/// How often those who wait for news look.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// So many wait with one key at once: more than a runtime has replicas.
const WAITING_PER_KEY: usize = 16;

/// What a runtime may hold since news of a number.
type Known = Arc<tokio::sync::Mutex<Option<(i64, Changes)>>>;

/// Those who wait.
#[derive(Default)]
pub(super) struct Waiting {
    /// The number of the last news, and when it was looked for.
    news: tokio::sync::Mutex<Option<(Instant, i64)>>,
    /// For as many runtimes as there are.
    known: Mutex<HashMap<RuntimeId, Known>>,
    /// How many wait, by the public part of their key.
    count: Mutex<HashMap<String, usize>>,
    /// The process is about to end: nobody waits any longer.
    stopping: CancellationToken,
}

/// One who waits, while this lives.
struct OneMore<'w> {
    waiting: &'w Waiting,
    public_id: &'w str,
}

impl Waiting {
    /// `None`: so many wait with this key already.
    fn one_more<'w>(&'w self, public_id: &'w str) -> Option<OneMore<'w>> {
        let mut counts = self.counts();
        let count = counts.entry(public_id.to_owned()).or_default();
        if *count >= WAITING_PER_KEY {
            return None;
        }
        *count += 1;
        Some(OneMore { waiting: self, public_id })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, runtime: &RuntimeId) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(runtime.clone()).or_default())
    }
}

impl Drop for OneMore<'_> {
    fn drop(&mut self) {
        let mut counts = self.waiting.counts();
        if let Some(count) = counts.get_mut(self.public_id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.public_id);
            }
        }
    }
}

impl Releases {
    /// What a runtime may hold now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self, runtime: &RuntimeId) -> Result<Changes, StoreError> {
        let now = self.parts.clock.now();
        let mut hash = Sha256::new();
        let mut held = Vec::new();
        for user in self.parts.store.runtime_users(runtime, now).await? {
            let provider = self.parts.registry.provider(&user.access.runtime.provider);
            let works = user.access.credential.filter(|known| {
                provider.is_some_and(|provider| known_not_to_work(known, provider.as_ref(), now).is_none())
            });
            let version = works.map(|credential| version(runtime, &credential.id, credential.generation));
            let name = user.name.to_string();
            for part in [name.as_str(), version.as_deref().unwrap_or_default()] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            held.push(Held { user: name, version });
        }
        Ok(Changes { cursor: URL_SAFE_NO_PAD.encode(&hash.finalize()[..12]), users: held })
    }

    /// The same as soon as it is something else than `after`. `None` if it is not, `wait` later, or when the server
    /// stops.
    ///
    /// # Errors
    /// [`Withheld::TooManyWaiting`], [`Withheld::Store`].
    pub async fn changes_after(
        &self,
        caller: &Caller,
        after: &str,
        wait: Duration,
    ) -> Result<Option<Changes>, Withheld> {
        let runtime = &caller.runtime.id;
        let until = Instant::now() + wait;
        // Asked for before looking, so that what happens in between is seen the next time.
        let mut number = self.latest_news().await?;
        let mut changes = self.changes(runtime).await?;
        if changes.cursor != after {
            return Ok(Some(changes));
        }
        if wait.is_zero() {
            return Ok(None);
        }
        let waiting = &self.waiting;
        let _one_more = waiting.one_more(&caller.public_id).ok_or(Withheld::TooManyWaiting)?;
        while Instant::now() < until && !waiting.stopping.is_cancelled() {
            let next = until.min(Instant::now() + LOOK_EVERY);
            waiting.stopping.run_until_cancelled(tokio::time::sleep_until(next)).await;
            let latest = self.latest_news().await?;
            if latest != number {
                number = latest;
                changes = self.changes_since(runtime, number).await?;
                if changes.cursor != after {
                    return Ok(Some(changes));
                }
            }
        }
        // What ends by itself is no news.
        changes = self.changes(runtime).await?;
        Ok(Some(changes).filter(|changes| changes.cursor != after))
    }

    /// The process is about to end: nobody waits any longer.
    pub fn stop(&self) {
        self.waiting.stopping.cancel();
    }

    /// How many wait for changes.
    pub fn waiting(&self) -> usize {
        self.waiting.counts().values().sum()
    }

    /// What a runtime may hold, read once for all who wait for it.
    async fn changes_since(&self, runtime: &RuntimeId, number: i64) -> Result<Changes, StoreError> {
        let known = self.waiting.known(runtime);
        let mut known = known.lock().await;
        if let Some((at, changes)) = &*known
            && *at == number
        {
            return Ok(changes.clone());
        }
        let changes = self.changes(runtime).await?;
        *known = Some((number, changes.clone()));
        Ok(changes)
    }

    /// Looked for once for all who wait.
    async fn latest_news(&self) -> Result<i64, StoreError> {
        let mut news = self.waiting.news.lock().await;
        if let Some((at, number)) = *news
            && at.elapsed() < LOOK_EVERY
        {
            return Ok(number);
        }
        let number = self.parts.store.runtime_news().await?;
        *news = Some((Instant::now(), number));
        Ok(number)
    }
}
