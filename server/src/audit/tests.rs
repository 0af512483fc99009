use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use super::{
    Action, Actor, Audit, AuditError, Entry, Record,
    chain::{BEGINNING, Hash, Head},
    export::{self, Format},
    prune::prune,
    verify::{Flaw, Follower, Point, Verified, verify},
};
use crate::{
    clock::{Clock, TestClock, Timestamp},
    id::{AccountId, UserId},
    random::TestEntropy,
    seal::{KeyRing, RootKey},
    store::{AuditFilter, AuditStore, Store, StoreError, sqlite::SqliteStore},
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
        let store = open(&folder).await;
        let clock = TestClock::new();
        let keys = KeyRing::open(&root, store.as_ref(), &clock, &TestEntropy::new(2)).await.unwrap();
        Self { folder, store, keys: Arc::new(keys), clock }
    }

    fn audit(&self) -> Audit {
        self.audit_in(Arc::<dyn Store>::clone(&self.store))
    }

    fn audit_in(&self, store: Arc<dyn AuditStore>) -> Audit {
        let entropy = Arc::new(TestEntropy::new(3));
        Audit::open(store, Arc::clone(&self.keys), Arc::new(self.clock.clone()), entropy)
    }

    /// Does what no statement of ours does.
    async fn tamper(&self, statements: &str) {
        let file = self.folder.path().join("gitward.sqlite3");
        let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        let statements = AssertSqlSafe(["PRAGMA ignore_check_constraints = ON;", statements].concat());
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn verify(&self) -> Verified {
        verify(self.store.as_ref(), Some(&self.keys), None).await.unwrap()
    }

    async fn records(&self) -> Vec<Record> {
        self.store.audit_after(0, u32::MAX).await.unwrap()
    }
}

async fn open(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&folder.path().join("gitward.sqlite3")).await.unwrap())
}

fn entry(object: impl Into<String>) -> Entry {
    Entry::new(Actor::Operator, Action::UserAdded).object(object)
}

/// So many at once.
async fn record(audit: &Audit, count: usize) {
    let all = (0..count).map(|number| audit.record(entry(number.to_string())));
    for recorded in join_all(all).await {
        recorded.unwrap();
    }
}

#[tokio::test]
async fn what_was_recorded_is_in_the_database_in_order_and_linked() {
    let bench = Bench::new().await;
    let audit = bench.audit();
    for name in ["mara", "noor", "otto"] {
        audit.record(entry(name)).await.unwrap();
    }
    let records = bench.records().await;
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
    assert_eq!(
        bench.verify().await,
        Verified { end: Point { sequence: 3, hash: previous }, removed: None, flaws: vec![] }
    );
}

/// A log in memory that fails as it is told, and counts how often it was written.
#[derive(Default)]
struct Sink {
    kept: Mutex<(Vec<Record>, Option<Head>)>,
    fault: Mutex<Option<Fault>>,
    writes: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Error(io::ErrorKind),
    Hang,
}

impl Sink {
    fn fail(&self, fault: impl Into<Option<Fault>>) {
        *self.fault.lock().unwrap() = fault.into();
    }

    fn count(&self) -> usize {
        self.kept.lock().unwrap().0.len()
    }
}

#[async_trait]
impl AuditStore for Sink {
    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.kept.lock().unwrap().1.clone())
    }

    async fn append_audit(
        &self,
        after: i64,
        hash: &Hash,
        records: &[Record],
        head: &Head,
    ) -> Result<bool, StoreError> {
        let fault = *self.fault.lock().unwrap();
        match fault {
            Some(Fault::Error(kind)) => {
                return Err(StoreError::Engine {
                    doing: "write the audit log",
                    source: io::Error::from(kind).into(),
                });
            }
            Some(Fault::Hang) => std::future::pending().await,
            None => {}
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        // As long as it takes others to queue up.
        tokio::task::yield_now().await;
        let mut kept = self.kept.lock().unwrap();
        let end = kept.1.as_ref().map_or((0, BEGINNING), |head| (head.sequence, head.hash));
        if end != (after, *hash) {
            return Ok(false);
        }
        kept.0.extend_from_slice(records);
        kept.1 = Some(head.clone());
        Ok(true)
    }

    async fn audit_after(&self, _: i64, _: u32) -> Result<Vec<Record>, StoreError> {
        Ok(self.kept.lock().unwrap().0.clone())
    }

    async fn audit_records(&self, _: &AuditFilter, _: u32) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    async fn old_audit(&self, _: Timestamp, _: u32) -> Result<Option<Point>, StoreError> {
        Ok(None)
    }

    async fn prune_audit(&self, _: &Point) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn names_of(&self, _: &[&UserId]) -> Result<HashMap<UserId, String>, StoreError> {
        Ok(HashMap::new())
    }

    async fn administered_accounts(&self, _: &UserId) -> Result<Vec<(AccountId, String)>, StoreError> {
        Ok(Vec::new())
    }

    async fn administers(&self, _: &UserId, _: &AccountId) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_thousand_at_once_share_a_few_transactions() {
    let bench = Bench::new().await;
    let sink = Arc::new(Sink::default());
    record(&bench.audit_in(sink.clone()), 1000).await;
    assert_eq!(sink.count(), 1000);
    assert!(sink.writes.load(Ordering::SeqCst) <= 100, "{:?}", sink.writes);
}

#[tokio::test]
async fn what_can_not_be_written_is_refused_and_the_next_that_can_is_recorded() {
    let bench = Bench::new().await;
    let sink = Arc::new(Sink::default());
    let audit = bench.audit_in(sink.clone());
    audit.record(entry("before")).await.unwrap();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::QuotaExceeded] {
        sink.fail(Fault::Error(kind));
        let tries = join_all((0..20).map(|number| audit.record(entry(number.to_string())))).await;
        assert!(tries.iter().all(|tried| matches!(tried, Err(AuditError::Batch(_)))), "{kind:?}");
        assert_eq!(sink.count(), 1, "{kind:?}");
    }
    sink.fail(None);
    audit.record(entry("after")).await.unwrap();
    let mut follower = Follower::new(None);
    sink.audit_after(0, 10).await.unwrap().iter().for_each(|record| follower.follow(record));
    let verified = follower.finish();
    assert_eq!((verified.end.sequence, verified.flaws), (2, vec![]));
}

#[tokio::test]
async fn who_waits_too_long_for_the_disk_is_told_no() {
    let bench = Bench::new().await;
    let sink = Arc::new(Sink::default());
    sink.fail(Fault::Hang);
    let audit = bench.audit_in(sink.clone()).waiting_for(Duration::from_millis(50));
    // More than fit into the queue.
    let tries = join_all((0..2000).map(|number| audit.record(entry(number.to_string())))).await;
    assert!(tries.iter().all(|tried| matches!(tried, Err(AuditError::Late))));
    assert_eq!(sink.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_write_one_chain() {
    let bench = Bench::new().await;
    let mut writing = Vec::new();
    for _ in 0..3 {
        let audit = bench.audit_in(open(&bench.folder).await);
        writing.push(tokio::spawn(async move {
            for _ in 0..20 {
                record(&audit, 5).await;
            }
        }));
    }
    for one in writing {
        one.await.unwrap();
    }
    let verified = bench.verify().await;
    assert_eq!((verified.end.sequence, verified.flaws), (300, vec![]));
}

/// Whether following from just before a record on notices something within three records.
fn noticed(before: Point, next: &[Record]) -> bool {
    let mut follower = Follower::after(before, None);
    next.iter().for_each(|record| follower.follow(record));
    !follower.finish().flaws.is_empty()
}

#[test]
fn editing_removing_or_moving_any_one_of_ten_thousand_is_noticed() {
    let mut records = Vec::new();
    let mut last = Point { sequence: 0, hash: BEGINNING };
    let at = TestClock::new().now();
    for number in 1..=10_000 {
        let entry = entry(format!("user {number}")).detail("some detail");
        let record = Record::new(entry, at, number, &last.hash);
        last = Point { sequence: number, hash: record.hash };
        records.push(record);
    }
    let mut before = Point { sequence: 0, hash: BEGINNING };
    for (at, record) in records.iter().enumerate() {
        let next = records.get(at + 1..(at + 3).min(records.len())).unwrap_or_default();
        assert!(!noticed(before, &[std::slice::from_ref(record), next].concat()), "untouched {at}");
        let edits: [fn(&mut Record); 8] = [
            |record| record.object = None,
            |record| record.detail = Some("another".into()),
            |record| record.outcome = "refused".into(),
            |record| record.actor = "user".into(),
            |record| record.at = record.at.plus(Duration::from_micros(1)),
            |record| record.user = Some("x".into()),
            |record| record.hash[31] ^= 1,
            // From one column into the next.
            |record| (record.actor_id, record.actor_name) = (Some(String::new()), None),
        ];
        let edit = edits[at % edits.len()];
        let mut edited = record.clone();
        edit(&mut edited);
        assert!(noticed(before, &[&[edited], next].concat()), "edited {at}");
        if let [second, ..] = next {
            assert!(noticed(before, next), "removed {at}");
            assert!(noticed(before, &[second.clone(), record.clone()]), "moved {at}");
            let twice = [&[record.clone(), record.clone()], next].concat();
            assert!(noticed(before, &twice), "doubled {at}");
        }
        before = Point { sequence: record.sequence, hash: record.hash };
    }
}

#[tokio::test]
async fn what_was_changed_in_the_database_is_found_where_it_was_changed() {
    let statements = [
        ("UPDATE audit SET object = 'x' WHERE sequence = 7", Flaw::Changed(7)),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 1", Flaw::Changed(1)),
        ("UPDATE audit SET hash = zeroblob(32) WHERE sequence = 7", Flaw::Changed(7)),
        ("DELETE FROM audit WHERE sequence = 1", Flaw::Missing { after: 0, before: 2 }),
        (
            "INSERT INTO audit (sequence, at, actor, action, outcome, hash)
             SELECT 0, at, actor, action, outcome, hash FROM audit WHERE sequence = 1",
            Flaw::Changed(0),
        ),
        (
            "INSERT INTO audit (sequence, at, actor, action, outcome, hash)
             SELECT -5, at, actor, action, outcome, hash FROM audit WHERE sequence = 1",
            Flaw::Changed(-5),
        ),
        ("DELETE FROM audit WHERE sequence BETWEEN 5 AND 8", Flaw::Missing { after: 4, before: 9 }),
        ("DELETE FROM audit WHERE sequence = 20", Flaw::End { found: 19, expected: 20 }),
        ("DELETE FROM audit WHERE sequence > 3", Flaw::End { found: 3, expected: 20 }),
        ("DELETE FROM audit", Flaw::End { found: 0, expected: 20 }),
        ("DELETE FROM audit_head", Flaw::Seal),
        ("UPDATE audit_head SET sealed = zeroblob(90)", Flaw::Seal),
        // Cut, with an end that only lacks the seal for it.
        (
            "DELETE FROM audit WHERE sequence > 3;
             UPDATE audit_head SET sequence = 3, hash = (SELECT hash FROM audit WHERE sequence = 3)",
            Flaw::Seal,
        ),
        // The same record twice.
        (
            "INSERT INTO audit SELECT 21, at, actor, actor_id, actor_name, action, outcome, reason, user_id,
                    account_id, runtime_id, object, detail, request_id, address, hash
             FROM audit WHERE sequence = 20",
            Flaw::Changed(21),
        ),
        (
            "UPDATE audit SET sequence = -1 WHERE sequence = 5;
             UPDATE audit SET sequence = 5 WHERE sequence = 6;
             UPDATE audit SET sequence = 6 WHERE sequence = -1",
            Flaw::Changed(5),
        ),
    ];
    for (statement, flaw) in statements {
        let bench = Bench::new().await;
        record(&bench.audit(), 20).await;
        assert_eq!(bench.verify().await.flaws, []);
        bench.tamper(statement).await;
        assert_eq!(bench.verify().await.flaws.first(), Some(&flaw), "{statement}");
    }
}

#[tokio::test]
async fn a_chain_that_was_computed_anew_lacks_the_seal() {
    let bench = Bench::new().await;
    record(&bench.audit(), 20).await;
    let mut records = bench.records().await;
    records[9].object = Some("x".into());
    let mut previous = records[8].hash;
    for record in &mut records[9..] {
        record.hash = record.hash_after(&previous);
        previous = record.hash;
        let hash = super::verify::hex(&record.hash);
        let object = record.object.clone().unwrap();
        let sequence = record.sequence;
        bench
            .tamper(&format!(
                "UPDATE audit SET object = '{object}', hash = x'{hash}' WHERE sequence = {sequence}"
            ))
            .await;
    }
    assert_eq!(bench.verify().await.flaws, [Flaw::Changed(20)], "the end is another one");
    bench.tamper(&format!("UPDATE audit_head SET hash = x'{}'", super::verify::hex(&previous))).await;
    assert_eq!(bench.verify().await.flaws, [Flaw::Seal]);
}

#[tokio::test]
async fn a_database_that_was_put_back_is_noticed_by_an_end_that_was_noted_elsewhere() {
    let bench = Bench::new().await;
    let audit = bench.audit();
    record(&audit, 5).await;
    let backup = bench.folder.path().join("backup");
    bench.store.backup(&backup).await.unwrap();
    record(&audit, 5).await;
    let noted = bench.verify().await.end;
    assert_eq!(noted.to_string().parse(), Ok(noted));

    let back: Arc<dyn Store> = Arc::new(SqliteStore::open(&backup).await.unwrap());
    let alone = verify(back.as_ref(), Some(&bench.keys), None).await.unwrap();
    assert_eq!(alone.flaws, [], "nothing in the database tells");
    let told = verify(back.as_ref(), Some(&bench.keys), Some(noted)).await.unwrap();
    assert_eq!(told.flaws, [Flaw::Noted(10)]);
    // Another history of the same length.
    let another = bench.audit_in(Arc::<dyn Store>::clone(&back));
    for _ in 0..7 {
        another.record(entry("somebody else")).await.unwrap();
    }
    let told = verify(back.as_ref(), Some(&bench.keys), Some(noted)).await.unwrap();
    assert_eq!(told.flaws, [Flaw::Noted(10)]);
    let whole = verify(bench.store.as_ref(), Some(&bench.keys), Some(noted)).await.unwrap();
    assert_eq!(whole.flaws, []);
}

#[tokio::test]
async fn a_log_whose_end_was_changed_takes_nothing_more() {
    for statement in [
        "UPDATE audit_head SET sealed = zeroblob(90), sequence = 2",
        "DELETE FROM audit; DELETE FROM audit_head",
        "DELETE FROM audit WHERE sequence > 2;
         UPDATE audit_head SET sequence = 2, hash = (SELECT hash FROM audit WHERE sequence = 2)",
    ] {
        let bench = Bench::new().await;
        let audit = bench.audit();
        record(&audit, 4).await;
        bench.tamper(statement).await;
        let Err(AuditError::Batch(error)) = audit.record(entry("x")).await else { panic!("{statement}") };
        assert!(matches!(*error, AuditError::Broken), "{statement}: {error}");
    }
}

const DAY: Duration = Duration::from_hours(24);

/// Ten records of the first day, five of the third; what is older than a day has been removed.
async fn pruned() -> (Bench, Audit, Vec<Record>) {
    let bench = Bench::new().await;
    let audit = bench.audit();
    record(&audit, 10).await;
    bench.clock.advance(DAY * 2);
    record(&audit, 5).await;
    let before = bench.records().await;
    let removed = prune(bench.store.as_ref(), &audit, bench.clock.now().minus(DAY)).await.unwrap();
    assert_eq!(removed, 10);
    (bench, audit, before)
}

#[tokio::test]
async fn old_records_are_removed_and_the_rest_is_verified_from_there() {
    let (bench, audit, before) = pruned().await;
    let records = bench.records().await;
    assert_eq!(records[..5], before[10..]);
    assert_eq!((records.len(), records[5].action.as_str()), (6, "audit.pruned"));
    let last = Point { sequence: 10, hash: before[9].hash };
    assert_eq!(records[5].detail, Some(last.to_string()), "recorded before");
    let verified = bench.verify().await;
    assert_eq!((verified.flaws, verified.removed, verified.end.sequence), (vec![], Some(last), 16));
    // Nothing is old enough any more, and the log goes on.
    let again = prune(bench.store.as_ref(), &audit, bench.clock.now().minus(DAY)).await.unwrap();
    assert_eq!((again, bench.records().await.len()), (0, 6));
    record(&audit, 3).await;
    bench.clock.advance(DAY * 2);
    // The last one of all stays, whatever its age.
    assert_eq!(prune(bench.store.as_ref(), &audit, bench.clock.now()).await.unwrap(), 9);
    let verified = bench.verify().await;
    assert_eq!((verified.flaws, verified.removed.map(|point| point.sequence)), (vec![], Some(19)));
}

#[tokio::test]
async fn a_noted_end_is_found_unless_it_was_removed() {
    let (bench, _, before) = pruned().await;
    let check = async |sequence: i64, hash: Hash| {
        verify(bench.store.as_ref(), Some(&bench.keys), Some(Point { sequence, hash })).await.unwrap().flaws
    };
    let hash = |sequence: usize| before[sequence - 1].hash;
    assert_eq!(check(12, hash(12)).await, []);
    assert_eq!(check(10, hash(10)).await, [], "the last one that was removed is known");
    assert_eq!(check(10, hash(9)).await, [Flaw::Noted(10)]);
    assert_eq!(check(4, hash(4)).await, [Flaw::NotedRemoved(4)]);
    assert_eq!(check(99, hash(4)).await, [Flaw::Noted(99)]);
}

#[tokio::test]
async fn records_that_somebody_else_removes_are_missed_also_after_old_ones_were() {
    // One more than was removed; a record that says so, made up; the very record that says what was removed, gone.
    let made_up = "DELETE FROM audit WHERE sequence <= 12;
         UPDATE audit SET detail = '12:' || (SELECT lower(hex(hash)) FROM audit WHERE sequence = 13)
         WHERE action = 'audit.pruned'";
    for (tampering, flaws) in [
        ("DELETE FROM audit WHERE sequence <= 11", vec![Flaw::Missing { after: 0, before: 12 }]),
        (made_up, vec![Flaw::Missing { after: 0, before: 13 }, Flaw::Changed(16)]),
        (
            "DELETE FROM audit WHERE action = 'audit.pruned'",
            vec![Flaw::Missing { after: 0, before: 11 }, Flaw::End { found: 15, expected: 16 }],
        ),
        ("DELETE FROM audit WHERE sequence = 13", vec![Flaw::Missing { after: 12, before: 14 }]),
        ("UPDATE audit SET object = 'x' WHERE sequence = 11", vec![Flaw::Missing { after: 0, before: 11 }]),
    ] {
        let (bench, ..) = pruned().await;
        bench.tamper(tampering).await;
        assert_eq!(bench.verify().await.flaws, flaws, "{tampering}");
    }
}

#[tokio::test]
async fn a_process_that_dies_before_old_records_are_gone_leaves_a_whole_log() {
    let bench = Bench::new().await;
    let audit = bench.audit();
    record(&audit, 10).await;
    bench.clock.advance(DAY * 2);
    record(&audit, 5).await;
    let limit = bench.clock.now().minus(DAY);
    bench.tamper("CREATE TRIGGER dies BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'killed'); END").await;
    prune(bench.store.as_ref(), &audit, limit).await.unwrap_err();
    let verified = bench.verify().await;
    assert_eq!((verified.flaws, verified.removed, bench.records().await.len()), (vec![], None, 16));
    bench.tamper("DROP TRIGGER dies").await;
    // Two at once, the next day.
    let (one, other) =
        tokio::join!(prune(bench.store.as_ref(), &audit, limit), prune(bench.store.as_ref(), &audit, limit));
    assert_eq!(one.unwrap() + other.unwrap(), 10);
    assert_eq!(bench.verify().await.flaws, []);
}

#[tokio::test]
async fn whoever_reads_while_old_records_go_misses_none() {
    let (bench, _, before) = pruned().await;
    let mut follower = Follower::new(None);
    // The first page was read before.
    before[..4].iter().for_each(|record| follower.follow(record));
    bench.records().await.iter().for_each(|record| follower.follow(record));
    assert_eq!(follower.finish().flaws, []);
}

#[tokio::test]
async fn an_export_reads_back_with_every_hash() {
    let bench = Bench::new().await;
    let audit = bench.audit();
    let user = Actor::User { id: "u".into(), name: crate::person::Name::parse("mara").unwrap() };
    let full = Entry::new(user, Action::TokenAdded)
        .at(&"acme".into(), &"acme.production".into())
        .object("c")
        .detail("\u{2028} \"quoted\", =1+1\r\n\0 ü")
        .by_request(Some("r".into()), [192, 0, 2, 1].into());
    audit.record(full).await.unwrap();
    audit.record(Entry::new(Actor::Stranger, Action::SessionBegun).refused("x")).await.unwrap();
    let records = bench.records().await;
    let lines: String =
        records.iter().map(|record| Format::JsonLines.line(record, Some("mara")).unwrap()).collect();
    assert_eq!(lines.lines().count(), 2);
    let read: Vec<Record> = lines.lines().map(|line| export::read(line).unwrap()).collect();
    assert_eq!(read, records);
    let mut follower = Follower::new(None);
    read.iter().for_each(|record| follower.follow(record));
    assert_eq!(follower.finish().flaws, []);
    let csv: String = records.iter().map(|record| Format::Csv.line(record, Some("mara")).unwrap()).collect();
    assert_eq!(csv.lines().count(), 2, "{csv:?}");
}

#[test]
fn every_word_of_the_log_stands_for_one_action() {
    for action in Action::ALL {
        assert_eq!(action.as_str().parse(), Ok(*action));
    }
}
