//! How the hosts are, as all processes on one database know it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::host::{Host, Incident, Pace, Signal, Turn};
use crate::{
    clock::{Clock, Timestamp},
    id::CredentialId,
    random::Entropy,
    store::{Store, StoreError},
};

/// Another process is faster a few times in a row at most.
const TRIES: u32 = 100;

/// Reads and writes what is known of hosts.
pub struct Hosts {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// By host; what is not named has the usual one.
    paces: HashMap<String, Pace>,
    /// One change at a time in this process; only other processes are in each other's way.
    turn: tokio::sync::Mutex<()>,
    /// Questions that did not wait for the budget, by host; the next ones that do will wait longer. Not worth a write of
    /// their own.
    owed: Mutex<HashMap<String, u32>>,
}

impl Hosts {
    /// Over these.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        paces: HashMap<String, Pace>,
    ) -> Self {
        Self { store, clock, entropy, paces, turn: tokio::sync::Mutex::default(), owed: Mutex::default() }
    }

    /// Until when a host said that it wants to be left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn limited(&self, host: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.store.host(host).await?.0.limited(self.clock.now()))
    }

    /// How a host is, as far as is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known(&self, host: &str) -> Result<Host, StoreError> {
        Ok(self.store.host(host).await?.0)
    }

    /// Takes up to `want` questions out of a host's budget; none while it wants to be left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take(&self, host: &str, want: u32) -> Result<u32, StoreError> {
        let now = self.clock.now();
        let owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner).remove(host).unwrap_or(0);
        let pace = self.paces.get(host).copied().unwrap_or_default();
        let mut taken = 0;
        let kept = self.change(host, |state| {
            state.spend(now, owed, pace);
            taken = state.take(now, want, pace);
            None
        });
        // What could not be written down was not taken.
        Ok(if kept.await?.is_some() { taken } else { 0 })
    }

    /// Questions that do not wait for the budget.
    pub fn spend(&self, host: &str, questions: u32) {
        if questions > 0 {
            let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
            let owed = owed.entry(host.to_owned()).or_default();
            *owed = owed.saturating_add(questions);
        }
    }

    /// Takes in what a question brought that was sent at `asked_at`, and answers how the host is now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn weigh(
        &self,
        host: &str,
        who: &CredentialId,
        signal: Signal,
        asked_at: Timestamp,
    ) -> Result<Host, StoreError> {
        let now = self.clock.now();
        let entropy = self.entropy.as_ref();
        let changed = self.change(host, |state| state.weigh(who, signal, asked_at, now, entropy)).await?;
        match changed {
            Some((state, turn)) => {
                if let (Some(turn), Some(incident)) = (turn, state.incident(host)) {
                    tell(turn, &incident);
                }
                Ok(state)
            }
            None => Ok(self.store.host(host).await?.0),
        }
    }

    /// Changes what is known of a host. `None` if others were always faster.
    async fn change(
        &self,
        host: &str,
        mut change: impl FnMut(&mut Host) -> Option<Turn>,
    ) -> Result<Option<(Host, Option<Turn>)>, StoreError> {
        let _one_at_a_time = self.turn.lock().await;
        for _ in 0..TRIES {
            let (before, version) = self.store.host(host).await?;
            let mut state = before.clone();
            let turn = change(&mut state);
            if state == before {
                return Ok(Some((state, turn)));
            }
            let incident = turn.and_then(|_| state.incident(host));
            if self.store.keep_host(host, version, &state, incident.as_ref()).await? {
                return Ok(Some((state, turn)));
            }
        }
        tracing::warn!(host, "What was learnt about a host could not be kept: others were faster");
        Ok(None)
    }
}

/// Once for all credentials of the host.
fn tell(turn: Turn, incident: &Incident) {
    let Incident { host, trouble, began_at, .. } = incident;
    let trouble = trouble.as_str();
    match turn {
        Turn::Began => {
            tracing::warn!(host, trouble, "A host is in trouble; until it is well it is only probed");
        }
        Turn::GoesOn => {}
        Turn::Ended => {
            let seconds = incident.ended_at.map_or(0, |at| at.since(*began_at).as_secs());
            tracing::info!(host, trouble, seconds, "A host is well again");
        }
    }
}
