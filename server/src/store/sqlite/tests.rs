use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::Row;

use super::{
    Schema, SqliteStore,
    access::ACCESSES,
    delivery::{HEADS, TOO_FAR},
    notice::{LAST_OF, NEWS_OF, NOTICES, TIMELINE, UNREAD},
};
use crate::{
    deliver::{DeliveryId, MailMode, Means, Outcome, To},
    id::UserId,
    notice::{Event, EventId, Hide},
    store::{
        AccessStore, DeliveryStore, KeyStore, NoticeStore, PersonStore, Store, StoreError,
        contract::{self, Bench, MINUTE, NOW},
    },
};

async fn bench() -> Bench {
    let (store, directory) = fresh().await;
    let path = store.path.clone();
    Bench::new(store, directory, move || {
        let path = path.clone();
        Box::pin(async move { Arc::new(SqliteStore::open(&path).await.expect("opened")) as Arc<dyn Store> })
    })
}

async fn fresh() -> (SqliteStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("data/gitward.db")).await.expect("opened");
    (store, directory)
}

mod contract_suite {
    crate::store::contract::suite!(super::super::bench);
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    let (store, directory) = fresh().await;
    store.add_user(&contract::user("alice")).await.expect("added");
    assert_eq!(mode(&directory.path().join("data")), 0o700);
    assert_eq!(mode(&store.path), 0o600);
    for suffix in ["-wal", "-shm"] {
        assert_eq!(mode(&beside(&store.path, suffix)), 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_database_exists_once_it_was_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gitward.db");
    assert!(!SqliteStore::exists(&path));
    assert!(!SqliteStore::exists(directory.path()));
    let store = SqliteStore::open(&path).await.expect("opened");
    assert!(SqliteStore::exists(&path));
    store.close().await;
    assert!(SqliteStore::exists(&path));
}

#[tokio::test]
async fn every_connection_keeps_its_promises() {
    let (store, _directory) = fresh().await;
    for (pool, promises) in [(&store.writer, super::WRITER), (&store.readers, super::READER)] {
        let mut connection = pool.acquire().await.expect("a connection");
        super::prove(&mut connection, promises).await.expect("as promised");
    }
    let mut reader = store.readers.acquire().await.expect("a connection");
    super::prove(&mut reader, super::WRITER).await.expect_err("a reader does not overwrite");
    sqlx::query("DELETE FROM users").execute(&mut *reader).await.expect_err("a reader does not write");
}

#[tokio::test]
async fn what_was_kept_is_there_after_opening_again() {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    let path = store.path.clone();
    store.close().await;
    let again = SqliteStore::open(&path).await.expect("opened");
    assert_eq!(again.accesses(&contract::id("alice"), NOW).await.expect("an answer").len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_open_a_new_database_at_once() {
    for _ in 0..10 {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("gitward.db");
        let (one, other) = tokio::join!(SqliteStore::open(&path), SqliteStore::open(&path));
        let (one, other) = (one.expect("opened"), other.expect("opened"));
        assert!(one.add_user(&contract::user("alice")).await.expect("added"));
        assert!(!other.add_user(&contract::user("alice")).await.expect("an answer"));
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gitward.db");
    std::fs::write(&path, "a text that is longer than the head of a database".repeat(100)).expect("written");
    let error = SqliteStore::open(&path).await.expect_err("refused");
    assert!(matches!(error, StoreError::Engine { doing: "open the database", .. }), "{error}");
}

#[tokio::test]
async fn a_row_that_nobody_writes_is_unreadable_and_not_quoted() {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    assert!(contract::keep(&store, &contract::token("t", "alice", "github"), &["acme.production"]).await);
    sqlx::query("UPDATE credentials SET standing = $1")
        .bind(r#"{"invalid": "quote me"}"#)
        .execute(&store.writer)
        .await
        .expect("broken");
    let error = store.accesses(&contract::id("alice"), NOW).await.expect_err("unreadable");
    let StoreError::Unreadable { column, problem } = error else { panic!("unreadable, not {error}") };
    assert_eq!(column, "credentials.standing");
    assert!(!problem.contains("quote"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_broken_off_leaves_nothing_behind() {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    let mut kept = contract::token("t", "alice", "github");
    assert!(contract::keep(&store, &kept, &["acme.production"]).await);
    for number in 0..60 {
        let next = contract::next(&kept);
        let step = contract::keep(&store, &next, &["acme.production", "acme.staging", "zoo.main"]);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(number * 40), step).await;
        let now = store.sealed(&"t".into()).await.expect("an answer").expect("never neither");
        assert!(now.sealed == kept.sealed || now.sealed == next.sealed);
        kept = now;
    }
    // What the last broken-off step still does, it has done before anybody else writes.
    store
        .hide(&contract::id("alice"), &contract::runtime("acme.production"), Hide::Always)
        .await
        .expect("written");
    let kept = store.sealed(&"t".into()).await.expect("an answer").expect("never neither");
    assert!(contract::keep(&store, &contract::next(&kept), &["acme.production"]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_during_a_backup_does_not_wait_for_it() {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    let mut new = contract::token("t", "alice", "github");
    new.sealed.0 = [0xC3; 6000].to_vec();
    assert!(contract::keep(&store, &new, &["acme.production"]).await);
    let mut old = store.readers.begin().await.expect("a long read");
    sqlx::query("SELECT count(*) FROM credentials").fetch_one(&mut *old).await.expect("its moment");
    let runtime = contract::runtime("acme.production");
    let deleting = store.delete(&new.credential.user, &runtime, None, contract::NOW);
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(3), deleting).await;
    in_time.expect("in time").expect("an answer").expect("deleted");
    assert!(found(&store.path, 0xC3), "the older moment is still being read");
    old.rollback().await.expect("ended");
    store.sweep(NOW, NOW, NOW).await.expect("swept");
    assert!(!found(&store.path, 0xC3));
    let mut writer = store.writer.acquire().await.expect("the writer");
    super::prove(&mut writer, super::WRITER).await.expect("as patient as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_stands_for_one_moment_while_others_write() {
    let (store, directory) = fresh().await;
    contract::populate(&store).await;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                // Both or neither may be in the copy.
                let mut step = store.step("write a pair").await.expect("a step");
                for side in ["left", "right"] {
                    sqlx::query("INSERT INTO counters (bucket, failures, ends_at) VALUES ($1, 1, 1)")
                        .bind(format!("{side} {number}"))
                        .execute(&mut *step)
                        .await
                        .expect("written");
                }
                step.commit().await.expect("committed");
            }
        })
    };
    for number in 0..5 {
        let to = directory.path().join(format!("backup{number}.db"));
        store.backup(&to).await.expect("a backup");
        assert_eq!(mode(&to), 0o600);
        let copy = SqliteStore::open(&to).await.expect("opened");
        assert_eq!(copy.accesses(&contract::id("alice"), NOW).await.expect("an answer").len(), 4);
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE bucket LIKE 'left%'), count(*) FILTER (WHERE bucket LIKE 'right%')
             FROM counters",
        )
        .fetch_one(&copy.readers)
        .await
        .expect("counted");
        assert_eq!(row.get::<i64, _>(0), row.get::<i64, _>(1));
    }
    writing.await.expect("no panic");
}

#[tokio::test]
async fn a_backup_never_overwrites() {
    let (store, directory) = fresh().await;
    let to = directory.path().join("backup.db");
    std::fs::write(&to, "precious").expect("written");
    store.backup(&to).await.expect_err("refused");
    assert_eq!(std::fs::read_to_string(&to).expect("there"), "precious");
    store.backup(&directory.path().join("no/such/place.db")).await.expect_err("refused");
}

#[tokio::test]
async fn the_ciphertext_of_a_deleted_token_is_in_no_file() {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    let needle = |number: u8| [number; 6000];
    let mut first = contract::token("t", "alice", "github");
    // Longer than a page, so that it has pages of its own as well.
    first.sealed.0 = needle(0xA1).to_vec();
    assert!(contract::keep(&store, &first, &["acme.production"]).await);
    let mut second = contract::next(&first);
    second.sealed.0 = needle(0xB2).to_vec();
    assert!(contract::keep(&store, &second, &["acme.production"]).await);
    assert!(found(&store.path, 0xB2), "the test looks in the right place");
    store
        .delete(&contract::id("alice"), &contract::runtime("acme.production"), None, contract::NOW)
        .await
        .expect("deleted");
    assert!(!found(&store.path, 0xA1) && !found(&store.path, 0xB2));
}

/// Whether a run of 32 such bytes is in the database or next to it.
fn found(path: &Path, number: u8) -> bool {
    ["", "-wal", "-shm"].iter().any(|suffix| {
        let bytes = std::fs::read(beside(path, suffix)).unwrap_or_default();
        bytes.windows(32).any(|window| window == [number; 32])
    })
}

#[tokio::test]
async fn the_statements_of_every_page_go_by_index() {
    let (store, _directory) = fresh().await;
    // Of these, a list of names is bound, and sorted is what one user has.
    let notices = [UNREAD, NOTICES, NEWS_OF, LAST_OF, HEADS, TOO_FAR];
    for statement in [ACCESSES, super::person::SESSION].into_iter().chain(notices) {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .fetch_all(&store.readers)
            .await
            .expect("a plan");
        for step in plan {
            let step: String = step.get("detail");
            // A list that is bound, the few webhooks of accounts, and an index that is walked in its own order.
            let is_small = ["SCAN json_each", "SCAN h"].iter().any(|small| step.starts_with(small));
            let is_part = step.contains("SUBQUERY") || step == "CREATE BLOOM FILTER";
            assert!(step.starts_with("SEARCH") || is_small || is_part, "{step} of {statement}");
        }
    }
}

#[tokio::test]
async fn a_timeline_reads_nobody_elses_incidents() {
    let (store, _directory) = fresh().await;
    let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {TIMELINE}")))
        .fetch_all(&store.readers)
        .await
        .expect("a plan");
    let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
    assert!(steps.iter().any(|step| step.contains("events_of_host (user_id=? AND host=?)")), "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
}

#[tokio::test]
async fn one_row_that_can_not_be_read_keeps_no_other_and_is_given_up() {
    let (store, _directory) = fresh().await;
    contract::delivery::crowd(&store).await;
    contract::delivery::wants_mail(&store, "alice", MailMode::Each, 8).await;
    let alice = contract::id("alice");
    for _ in 0..4 {
        contract::delivery::notice(&store).await;
    }
    let news = store.news(EventId(0), 99).await.expect("an answer");
    let told: Vec<EventId> = news.iter().filter(|event| event.is_notice).map(|event| event.id).collect();
    let bad = [told[0], told[2]];
    for id in bad {
        sqlx::query("UPDATE events SET kind = 'of a later version' WHERE id = $1")
            .bind(id.0)
            .execute(&store.writer)
            .await
            .expect("written");
    }
    let ids = |events: Vec<Event>| events.into_iter().map(|event| event.id).collect::<Vec<_>>();
    let good = [told[1], told[3]];
    assert_eq!(ids(store.news(told[0], 99).await.expect("an answer")), good);
    assert_eq!(ids(store.news(EventId(told[0].0 - 1), 1).await.expect("an answer")), good[..1], "beyond it");
    assert_eq!(ids(store.notices(&alice, None, 2).await.expect("an answer")), [told[3], told[1]]);
    let means = Means { mail: true, accounts: Vec::new() };
    let mut sent = Vec::new();
    for _ in 0..4 {
        for job in store.take_deliveries(&means, NOW, NOW.plus(MINUTE), 9).await.expect("an answer") {
            sent.push(job.notices[0].event.id);
            let noted = store.note_delivery(&job.deliveries, job.until, Outcome::Delivered, "", NOW).await;
            assert!(noted.expect("an answer"));
        }
    }
    assert_eq!(sent, good);
    let given_up: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE state = 'given_up'")
        .fetch_one(&store.readers)
        .await
        .expect("an answer");
    assert_eq!(given_up, 2);
    assert_eq!(store.delivery_log(&alice, 9).await.expect("an answer").len(), 2);
}

/// What a server leaves behind that lost its power: a log that nobody has copied into the database.
async fn crashed() -> (PathBuf, tempfile::TempDir) {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    assert!(contract::keep(&store, &contract::token("t", "alice", "github"), &["acme.production"]).await);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gitward.db");
    for suffix in ["", "-wal"] {
        std::fs::copy(beside(&store.path, suffix), beside(&path, suffix)).expect("copied");
    }
    assert!(beside(&path, "-wal").metadata().expect("there").len() > 0);
    (path, directory)
}

fn bytes(path: &Path) -> [Vec<u8>; 2] {
    ["", "-wal"].map(|suffix| std::fs::read(beside(path, suffix)).unwrap_or_default())
}

#[tokio::test]
async fn looking_changes_not_a_byte() {
    let (path, directory) = crashed().await;
    let before = bytes(&path);
    let (store, schema) = SqliteStore::look(&path).await.expect("opened");
    assert_eq!(schema, Schema::Current);
    assert_eq!(store.accesses(&contract::id("alice"), NOW).await.expect("an answer").len(), 4);
    assert_eq!(store.data_keys().await.expect("an answer"), []);
    let mut other = contract::declaration();
    other.runtimes.pop();
    assert_eq!(store.would_apply(&other).await.expect("an answer").disabled, ["runtime zoo.main"]);
    store.backup(&directory.path().join("copy.db")).await.expect("a backup");
    store.add_user(&contract::user("dora")).await.expect_err("nothing is written");
    store.apply(&other, NOW).await.expect_err("nothing is written");
    store.close().await;
    assert!(bytes(&path) == before);
    let copy = SqliteStore::open(&directory.path().join("copy.db")).await.expect("opened");
    assert_eq!(copy.accesses(&contract::id("alice"), NOW).await.expect("an answer").len(), 4);
}

#[tokio::test]
async fn a_step_that_the_engine_ended_by_itself_keeps_nobody_from_the_next() {
    let (store, _directory) = fresh().await;
    let mut step = store.step("test").await.expect("a step");
    // As SQLite does by itself when the disk is full.
    sqlx::query("ROLLBACK").execute(&mut *step).await.expect("rolled back");
    step.commit().await.expect_err("there is nothing to commit");
    assert!(store.add_user(&contract::user("alice")).await.expect("added"));
    let step = store.step("test").await.expect("a step");
    drop(step);
    assert!(store.add_user(&contract::user("dora")).await.expect("added"));
}

#[tokio::test]
async fn a_closed_database_is_one_file() {
    let (path, directory) = crashed().await;
    let store = SqliteStore::open(&path).await.expect("opened");
    assert!(store.add_user(&contract::user("dora")).await.expect("added"));
    store.close().await;
    assert!(!beside(&path, "-wal").exists());
    let copy = directory.path().join("copy.db");
    std::fs::copy(&path, &copy).expect("copied");
    let copy = SqliteStore::open(&copy).await.expect("opened");
    assert!(copy.user(&contract::id("dora")).await.expect("an answer").is_some());
}

#[tokio::test]
async fn only_opening_for_a_server_makes_a_database_or_brings_it_up_to_date() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data/gitward.db");
    SqliteStore::open_existing(&path).await.expect_err("nothing there");
    SqliteStore::look(&path).await.expect_err("nothing there");
    assert!(!directory.path().join("data").exists());

    let store = SqliteStore::open(&path).await.expect("opened");
    contract::populate(&store).await;
    let propose = contract::token("t", "alice", "github");
    assert!(store.propose(&propose, &contract::runtime("acme.production"), NOW).await.expect("an answer"));
    for statement in [
        "DROP INDEX credentials_due",
        "ALTER TABLE credentials DROP COLUMN due_at",
        "ALTER TABLE credentials DROP COLUMN checking_until",
        "ALTER TABLE credentials DROP COLUMN renewal_lost_at",
        "ALTER TABLE credentials DROP COLUMN access_ends_at",
        "DROP TABLE hosts",
        "DROP TABLE incidents",
        "DROP TABLE told",
        "DROP TABLE events",
        "ALTER TABLE mutes DROP COLUMN until",
        "DROP TABLE notice_settings",
        "DROP TABLE mail_settings",
        "DROP TABLE deliveries",
        "DROP TABLE account_targets",
        "DROP TABLE webhooks",
        "DROP TABLE revocations",
        "DROP INDEX credentials_of_owner",
        "DROP TABLE attempts_taken",
        "ALTER TABLE login_attempts DROP COLUMN revoke",
        "DROP INDEX one_grant",
        "ALTER TABLE credentials DROP COLUMN is_second",
        "CREATE UNIQUE INDEX one_grant ON credentials (user_id, oauth_app, owner_id) WHERE oauth_app IS NOT NULL",
        "ALTER TABLE assignments DROP COLUMN proposed_at",
        "DELETE FROM _sqlx_migrations WHERE version > 1",
    ] {
        sqlx::query(statement).execute(&store.writer).await.expect("as the first version left it");
    }
    store.close().await;

    let before = bytes(&path);
    let (looked, schema) = SqliteStore::look(&path).await.expect("opened");
    assert_eq!(schema, Schema::Older);
    looked.close().await;
    let error = SqliteStore::open_existing(&path).await.expect_err("older");
    assert!(matches!(error, StoreError::Outdated), "{error}");
    assert!(bytes(&path) == before);

    let store = SqliteStore::open(&path).await.expect("brought up to date");
    let this_century = crate::clock::Timestamp::from_seconds(1_700_000_000);
    store.sweep(this_century, NOW, NOW).await.expect("swept");
    assert!(contract::exists(&store, "t").await, "what was proposed before waits from now on");
    store.close().await;
    let store = SqliteStore::open_existing(&path).await.expect("up to date");
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 2")
        .execute(&store.writer)
        .await
        .expect("as a later version left it");
    store.close().await;
    for error in [
        SqliteStore::look(&path).await.expect_err("newer"),
        SqliteStore::open_existing(&path).await.expect_err("newer"),
    ] {
        assert!(matches!(error, StoreError::Newer), "{error}");
    }
}

#[tokio::test]
async fn what_is_to_be_delivered_outlives_the_version_that_brings_mailboxes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("gitward.db");
    super::create(&path).await.expect("made");
    let writer = super::writer(&path).await.expect("opened");
    let mut connection = writer.acquire().await.expect("a connection");
    super::MIGRATIONS.run_direct(Some(10), &mut *connection, false).await.expect("the version before");
    for statement in [
        "INSERT INTO users (id, name, created_at) VALUES ('alice', 'alice', 1)",
        "INSERT INTO accounts (id, name) VALUES ('acme', 'Acme')",
        "INSERT INTO account_webhooks (account_id, name, target, gone_at) VALUES
             ('acme', 'chat', zeroblob(32), NULL), ('acme', 'gone', zeroblob(32), 1)",
        "INSERT INTO events (id, user_id, host, kind, detail, at, is_notice)
         VALUES (1, 'alice', 'github.example', 'incident_began', '{}', 1, 1)",
        "INSERT INTO deliveries (id, event_id, user_id, way, target, lane, made_at, due_at, attempts, state, answer)
         VALUES (7, 1, 'alice', 'account', 'acme/chat', 'account/acme/chat', 1, 1, 2, 'waiting', 'an answer'),
             (8, 1, 'alice', 'account', 'acme/gone', 'account/acme/gone', 1, 1, 0, 'waiting', NULL)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await.expect("as that version writes it");
    }
    drop(connection);
    writer.close().await;
    let store = SqliteStore::open(&path).await.expect("brought up to date");
    let means = Means { mail: true, accounts: vec!["account/acme/chat".to_owned()] };
    let jobs = store.take_deliveries(&means, NOW, NOW.plus(MINUTE), 9).await.expect("an answer");
    let [chat, gone] = &jobs[..] else { panic!("both: {jobs:?}") };
    assert!(matches!(&chat.to, To::Account(account, name) if account.as_str() == "acme" && name == "chat"));
    assert_eq!((chat.deliveries[0], chat.attempt), (DeliveryId(7), 3));
    assert!(matches!(gone.to, To::Nobody), "its target said so before");
}

/// `cargo test --release -p server the_page -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn the_page_of_fifty_runtimes_is_quick() {
    let (store, _directory) = fresh().await;
    contract::populate(&store).await;
    let mut declaration = contract::declaration();
    let model = declaration.runtimes[1].clone();
    declaration.runtimes.clear();
    for number in 0..50 {
        let mut runtime = model.clone();
        runtime.id = format!("acme.runtime{number}").as_str().into();
        runtime.name = format!("runtime {number}");
        declaration.runtimes.push(runtime);
    }
    store.apply(&declaration, NOW).await.expect("applied");
    for number in 0..50 {
        let new = contract::token(&format!("t{number}"), "alice", "github");
        assert!(contract::keep(&store, &new, &[&format!("acme.runtime{number}")]).await);
    }
    let alice: UserId = contract::id("alice");
    const ROUNDS: u32 = 2000;
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        assert_eq!(store.accesses(&alice, NOW).await.expect("an answer").len(), 50);
    }
    println!("accesses, one after the other: {:?}", start.elapsed() / ROUNDS);
    let start = std::time::Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, alice) = (store.clone(), alice.clone());
            tokio::spawn(async move {
                for _ in 0..ROUNDS / 8 {
                    assert_eq!(store.accesses(&alice, NOW).await.expect("an answer").len(), 50);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    println!("accesses, eight at once: {:?}", start.elapsed() / ROUNDS);
    let long_ago = crate::clock::Timestamp::from_seconds(0);
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        store
            .session(&contract::fingerprint(1), long_ago, long_ago)
            .await
            .expect("an answer")
            .expect("there");
    }
    println!("session: {:?}", start.elapsed() / ROUNDS);
}
