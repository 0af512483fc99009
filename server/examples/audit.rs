//! How fast the audit log is written: `audit [SECONDS] [AT_ONCE]`, in a folder of its own below the current one.
//!
//! Prints entries per second, and how long one waited, in milliseconds.
#![expect(clippy::expect_used, reason = "a measurement that can't be made has nothing else to say")]

use std::{sync::Arc, time::Duration};

use server::{
    audit::{Action, Actor, Audit, Entry},
    clock::SystemClock,
    random::SystemEntropy,
    seal::{KeyRing, RootKey},
    store::{Store, sqlite::SqliteStore},
};
use tokio::time::Instant;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse().expect("a number"));
    let seconds: u64 = arguments.next().unwrap_or(5);
    let at_once = arguments.next().unwrap_or(64);
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let entropy = Arc::new(SystemEntropy);
    let root = RootKey::load_or_create(folder.path().join("key"), false, entropy.as_ref()).expect("a key");
    let database = folder.path().join("gitward.sqlite3");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&database).await.expect("a database"));
    let keys = KeyRing::open(&root, store.as_ref(), &SystemClock, entropy.as_ref()).await.expect("keys");
    let audit = Audit::open(Arc::<dyn Store>::clone(&store), Arc::new(keys), Arc::new(SystemClock), entropy);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut writing = Vec::new();
    for _ in 0..at_once {
        let audit = audit.clone();
        writing.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                let actor = Actor::RuntimeKey { public_id: "abcdefgh".into() };
                let entry = Entry::new(actor, Action::SecretReleased)
                    .about(&"a user".into())
                    .at(&"acme".into(), &"acme.production".into())
                    .detail("version abc")
                    .by_request(Some("a request".into()), [192, 0, 2, 1].into());
                audit.record(entry).await.expect("recorded");
                waits.push(begun.elapsed());
            }
            waits
        }));
    }
    let mut waits = Vec::new();
    for one in writing {
        waits.extend(one.await.expect("no panic"));
    }
    waits.sort();
    let at = |share: usize| waits.get(waits.len() * share / 100).map_or(0.0, |wait| wait.as_secs_f64() * 1e3);
    println!("{} entries/s, p50 {:.1} ms, p99 {:.1} ms", waits.len() as u64 / seconds, at(50), at(99));
    store.close().await;
}
