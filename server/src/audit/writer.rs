//! The one task of a process that writes the log.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    AuditError, Record, Waiting,
    chain::{BEGINNING, Hash, Head},
};
use crate::{random::Entropy, seal::KeyRing, store::AuditStore};

/// So many entries share a transaction at most.
const BATCH: usize = 256;
/// So often another process may be faster before it is strange.
const TRIES: u32 = 100;

/// Where the log ends, as far as this process knows.
#[derive(Clone, Copy)]
struct End {
    sequence: i64,
    hash: Hash,
}

pub(super) struct Writer {
    store: Arc<dyn AuditStore>,
    keys: Arc<KeyRing>,
    entropy: Arc<dyn Entropy>,
    /// None if it has to be read: at first, and whenever writing did not succeed.
    end: Option<End>,
    /// The log had at least so many records once.
    seen: i64,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn AuditStore>, keys: Arc<KeyRing>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, keys, entropy, end: None, seen: 0 }
    }

    pub(super) async fn run(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            // Who gave up waiting was told no: what they wanted does not happen.
            batch.retain(|one: &Waiting| !one.done.is_closed());
            if batch.is_empty() {
                continue;
            }
            let written = self.write(&batch).await.map_err(Arc::new);
            for Waiting { done, .. } in batch.drain(..) {
                let answer = written.as_ref().map_err(|error| AuditError::Batch(Arc::clone(error)));
                // Who has gone meanwhile does not want to know.
                let _ = done.send(answer.copied());
            }
        }
    }

    async fn write(&mut self, batch: &[Waiting]) -> Result<(), AuditError> {
        for _ in 0..TRIES {
            let before = match self.end.take() {
                Some(end) => end,
                None => self.read_end().await?,
            };
            let mut end = before;
            let records: Vec<Record> = batch
                .iter()
                .map(|one| {
                    let record = Record::new(one.entry.clone(), one.at, end.sequence + 1, &end.hash);
                    end = End { sequence: record.sequence, hash: record.hash };
                    record
                })
                .collect();
            let head = Head::seal(end.sequence, end.hash, &self.keys, self.entropy.as_ref())?;
            if self.store.append_audit(before.sequence, &before.hash, &records, &head).await? {
                self.end = Some(end);
                self.seen = end.sequence;
                return Ok(());
            }
        }
        Err(AuditError::Broken)
    }

    /// Where the log ends, if Gitward left it so. It never ends earlier than this process has seen.
    async fn read_end(&mut self) -> Result<End, AuditError> {
        let end = match self.store.audit_head().await? {
            Some(head) if head.is_authentic(&self.keys) => End { sequence: head.sequence, hash: head.hash },
            Some(_) => return Err(AuditError::Broken),
            None => End { sequence: 0, hash: BEGINNING },
        };
        if end.sequence < self.seen {
            return Err(AuditError::Broken);
        }
        self.seen = end.sequence;
        Ok(end)
    }
}
