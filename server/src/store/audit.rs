//! The log of what happened.

use std::collections::HashMap;

use async_trait::async_trait;

use super::StoreError;
use crate::{
    audit::{
        Record,
        chain::{Hash, Head},
        verify::Point,
    },
    clock::Timestamp,
    id::{AccountId, RuntimeId, UserId},
};

/// Which records of the audit log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuditFilter {
    /// About things of this user.
    pub user: Option<UserId>,
    /// Done by the user with exactly this name, or about things of theirs.
    pub name: Option<String>,
    /// About this account, and about how its members signed in.
    pub account: Option<AccountId>,
    /// About this runtime.
    pub runtime: Option<RuntimeId>,
    /// What was done, as a word of the log or the first part of one: `token` for all that was done to tokens.
    pub action: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Only what was refused.
    pub refused: bool,
    /// Only before this record.
    pub before: Option<i64>,
}

/// The audit log. Grows at its end; at its beginning, old records are removed where the operator wants that.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Where it ends. `None` if it is empty.
    async fn audit_head(&self) -> Result<Option<Head>, StoreError>;
    /// Adds records and moves the end, all on the disk before it answers. `false`, and nothing has changed, if the log
    /// does not end at record `after` with that hash (0 and any hash: it is empty).
    async fn append_audit(
        &self,
        after: i64,
        hash: &Hash,
        records: &[Record],
        head: &Head,
    ) -> Result<bool, StoreError>;
    /// Up to `most` records after the one with this number, in order.
    async fn audit_after(&self, sequence: i64, most: u32) -> Result<Vec<Record>, StoreError>;
    /// Up to `most` records, the latest first.
    async fn audit_records(&self, filter: &AuditFilter, most: u32) -> Result<Vec<Record>, StoreError>;
    /// The last of the up to `most` oldest records that are all from before that moment and can be removed. Never the
    /// last one of the log.
    async fn old_audit(&self, before: Timestamp, most: u32) -> Result<Option<Point>, StoreError>;
    /// Removes all records up to this one, if it is there. How many.
    async fn prune_audit(&self, last: &Point) -> Result<u64, StoreError>;
    /// The names of those of these users that there are.
    async fn names_of(&self, users: &[&UserId]) -> Result<HashMap<UserId, String>, StoreError>;
    /// The account's name, if the user is an admin of it and neither is disabled.
    async fn administers(&self, user: &UserId, account: &AccountId) -> Result<Option<String>, StoreError>;
    /// All such accounts, with their names, by name.
    async fn administered_accounts(&self, user: &UserId) -> Result<Vec<(AccountId, String)>, StoreError>;
}
