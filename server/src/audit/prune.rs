//! The oldest records are removed, where the operator wants that.
//!
//! Always all up to one of them, so that the rest is one chain. Which one was the last, and its hash, is recorded before:
//! that record is as hard to forge as any other, and from that hash on the rest can be verified. Whoever else removes the
//! beginning can't write such a record, and is found out.

use super::{Action, Actor, Audit, AuditError, Entry};
use crate::{clock::Timestamp, store::AuditStore};

/// So many are removed at once: others want to write meanwhile.
const AT_ONCE: u32 = 20_000;

/// Removes records from before that moment, up to the first one that is not; never the last one of all. How many.
///
/// Several processes may do so at once.
///
/// # Errors
/// [`AuditError`]; what was removed until then stays removed, and is recorded.
pub async fn prune(store: &dyn AuditStore, audit: &Audit, before: Timestamp) -> Result<u64, AuditError> {
    let mut removed = 0;
    while let Some(last) = store.old_audit(before, AT_ONCE).await? {
        audit.record(Entry::new(Actor::Gitward, Action::AuditPruned).detail(last.to_string())).await?;
        removed += store.prune_audit(&last).await?;
    }
    Ok(removed)
}
