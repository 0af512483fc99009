use std::{path::PathBuf, sync::Arc};

use super::{Action, Actor, Audit, Entry, chain::BEGINNING};
use crate::{
    clock::TestClock,
    random::TestEntropy,
    seal::{KeyRing, RootKey},
    store::{Store, sqlite::SqliteStore},
};

/// A database and a key of its own.
struct Bench {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    keys: Arc<KeyRing>,
    clock: TestClock,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = RootKey::load_or_create(folder.path().join("key"), false, &TestEntropy::new(1)).unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("gitward.sqlite3")).await.unwrap());
        let clock = TestClock::new();
        let keys = KeyRing::open(&root, store.as_ref(), &clock, &TestEntropy::new(2)).await.unwrap();
        Self { folder, store, keys: Arc::new(keys), clock }
    }

    fn audit(&self) -> Audit {
        self.audit_at(Arc::clone(&self.store))
    }

    fn audit_at(&self, store: Arc<dyn Store>) -> Audit {
        let entropy = Arc::new(TestEntropy::new(3));
        Audit::open(store, Arc::clone(&self.keys), Arc::new(self.clock.clone()), entropy)
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("gitward.sqlite3")
    }
}

fn entry(object: impl Into<String>) -> Entry {
    Entry::new(Actor::Operator, Action::UserAdded).object(object)
}

#[tokio::test]
async fn what_was_recorded_is_in_the_database_in_order_and_linked() {
    let bench = Bench::new().await;
    let audit = bench.audit();
    for name in ["mara", "noor", "otto"] {
        audit.record(entry(name)).await.unwrap();
    }
    let records = bench.store.audit_after(0, 10).await.unwrap();
    assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(records[2].object.as_deref(), Some("otto"));
    let mut previous = BEGINNING;
    for record in &records {
        assert_eq!(record.hash, record.hash_after(&previous));
        previous = record.hash;
    }
    let head = bench.store.audit_head().await.unwrap().unwrap();
    assert_eq!((head.sequence, head.hash), (3, previous));
    assert!(head.is_authentic(&bench.keys));
}
