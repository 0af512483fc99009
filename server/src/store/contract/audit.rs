use super::{Bench, MINUTE, NOW, id, name, populate};
use crate::{
    audit::{
        Record,
        chain::{BEGINNING, Hash, Head},
        verify::Point,
    },
    seal::Sealed,
    store::AuditFilter,
};

fn hash(number: i64) -> Hash {
    [u8::try_from(number % 251).expect("small"); 32]
}

fn head(sequence: i64) -> Head {
    Head { sequence, hash: hash(sequence), sealed: Sealed(vec![1, 2, 3]) }
}

fn record(sequence: i64) -> Record {
    Record {
        sequence,
        at: NOW,
        actor: "user".into(),
        actor_id: Some("user-alice".into()),
        actor_name: Some(name("alice").to_string()),
        action: "token.added".into(),
        outcome: "done".into(),
        reason: None,
        user: Some(id("alice")),
        account: Some("acme".into()),
        runtime: Some("acme.production".into()),
        object: Some("c".into()),
        detail: Some("d".into()),
        request: Some("r".into()),
        address: Some("192.0.2.1".into()),
        hash: hash(sequence),
    }
}

async fn append(bench: &Bench, after: i64, records: &[Record]) -> bool {
    let end = head(records.last().expect("one").sequence);
    let before = if after == 0 { BEGINNING } else { hash(after) };
    bench.store.append_audit(after, &before, records, &end).await.expect("an answer")
}

async fn found(bench: &Bench, filter: AuditFilter) -> Vec<i64> {
    let records = bench.store.audit_records(&filter, 100).await.expect("an answer");
    records.iter().map(|record| record.sequence).collect()
}

pub(crate) async fn a_record_comes_back_as_it_was(bench: &Bench) {
    assert_eq!(bench.store.audit_head().await.expect("an answer"), None);
    let bare = Record {
        actor_id: None,
        actor_name: None,
        reason: Some("why".into()),
        outcome: "refused".into(),
        user: None,
        account: None,
        runtime: None,
        object: None,
        detail: None,
        request: None,
        address: None,
        ..record(2)
    };
    let records = [record(1), bare];
    assert!(append(bench, 0, &records).await);
    assert_eq!(bench.store.audit_after(0, 10).await.expect("an answer"), records);
    assert_eq!(bench.store.audit_after(1, 10).await.expect("an answer"), records[1..]);
    assert_eq!(bench.store.audit_after(0, 1).await.expect("an answer"), records[..1]);
    assert_eq!(bench.store.audit_head().await.expect("an answer"), Some(head(2)));
}

pub(crate) async fn the_log_goes_on_only_where_it_ends(bench: &Bench) {
    assert!(!append(bench, 1, &[record(2)]).await, "it is empty");
    assert!(append(bench, 0, &[record(1), record(2)]).await);
    assert!(!append(bench, 0, &[record(1)]).await);
    assert!(!append(bench, 1, &[record(2)]).await);
    let other = bench.store.append_audit(2, &hash(1), &[record(3)], &head(3)).await.expect("an answer");
    assert!(!other, "another hash");
    assert_eq!(bench.store.audit_after(0, 10).await.expect("an answer").len(), 2);
    assert_eq!(bench.store.audit_head().await.expect("an answer"), Some(head(2)));
    assert!(append(bench, 2, &[record(3)]).await);
}

pub(crate) async fn fifty_go_on_from_the_same_end_and_one_does(bench: &Bench) {
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                store.append_audit(0, &BEGINNING, &[record(1)], &head(1)).await.expect("an answer")
            })
        })
        .collect();
    let mut won = 0;
    for attempt in tries {
        won += usize::from(attempt.await.expect("no panic"));
    }
    assert_eq!(won, 1);
    assert_eq!(bench.store.audit_after(0, 10).await.expect("an answer").len(), 1);
}

pub(crate) async fn records_are_found_by_whose_they_are_and_what_they_say(bench: &Bench) {
    populate(bench.store.as_ref()).await;
    let records = [
        record(1),
        Record { account: Some("zoo".into()), runtime: Some("zoo.main".into()), ..record(2) },
        Record { user: Some(id("bob")), outcome: "refused".into(), at: NOW.plus(MINUTE), ..record(3) },
        // Before any runtime was named.
        Record { action: "session.begun".into(), account: None, runtime: None, ..record(4) },
        Record {
            action: "session.begun".into(),
            account: None,
            runtime: None,
            user: Some(id("carol")),
            ..record(5)
        },
        // Of no account, and no way of signing in.
        Record { action: "verdict.changed".into(), account: None, runtime: None, ..record(6) },
    ];
    assert!(append(bench, 0, &records).await);
    let all = AuditFilter::default();
    assert_eq!(found(bench, all.clone()).await, [6, 5, 4, 3, 2, 1]);
    let of = |user: &str| AuditFilter { user: Some(id(user)), ..AuditFilter::default() };
    assert_eq!(found(bench, of("alice")).await, [6, 4, 2, 1]);
    assert_eq!(found(bench, of("bob")).await, [3]);
    let account = |account: &str| AuditFilter { account: Some(account.into()), ..AuditFilter::default() };
    assert_eq!(found(bench, account("acme")).await, [4, 3, 1], "carol is no member");
    assert_eq!(found(bench, account("nowhere")).await, [] as [i64; 0]);
    let what = |word: &str| AuditFilter { action: Some(word.into()), ..AuditFilter::default() };
    assert_eq!(found(bench, what("token")).await, [3, 2, 1]);
    assert_eq!(found(bench, what("token.added")).await, [3, 2, 1]);
    for word in ["tok", "token.", "%", "token_added", "_oken", "' OR 1 = 1 --"] {
        assert_eq!(found(bench, what(word)).await, [] as [i64; 0], "{word}");
    }
    let runtime = AuditFilter { runtime: Some("zoo.main".into()), ..all.clone() };
    assert_eq!(found(bench, runtime).await, [2]);
    assert_eq!(found(bench, AuditFilter { refused: true, ..all.clone() }).await, [3]);
    assert_eq!(found(bench, AuditFilter { since: Some(NOW.plus(MINUTE)), ..all.clone() }).await, [3]);
    assert_eq!(
        found(bench, AuditFilter { until: Some(NOW.plus(MINUTE)), ..all.clone() }).await,
        [6, 5, 4, 2, 1]
    );
    assert_eq!(found(bench, AuditFilter { before: Some(3), ..all.clone() }).await, [2, 1]);
    let some = bench.store.audit_records(&all, 2).await.expect("an answer");
    assert_eq!(some.iter().map(|record| record.sequence).collect::<Vec<_>>(), [6, 5]);
}

pub(crate) async fn records_are_found_by_the_name_of_who_did_it_or_whose_things_they_are_about(
    bench: &Bench,
) {
    populate(bench.store.as_ref()).await;
    let records = [
        record(1),
        // Alice did something to what is Bob's.
        Record { user: Some(id("bob")), ..record(2) },
        // A machine did something with what is Alice's; its id is no user's.
        Record { actor: "runtime-key".into(), actor_id: Some("key".into()), actor_name: None, ..record(3) },
        Record { actor: "runtime-key".into(), actor_id: Some("user-alice".into()), user: None, ..record(4) },
        Record { actor: "gitward".into(), actor_id: None, user: Some(id("bob")), ..record(5) },
        Record { account: Some("zoo".into()), runtime: Some("zoo.main".into()), ..record(6) },
    ];
    assert!(append(bench, 0, &records).await);
    let of = |name: &str| AuditFilter { name: Some(name.into()), ..AuditFilter::default() };
    assert_eq!(found(bench, of("alice")).await, [6, 3, 2, 1]);
    assert_eq!(found(bench, of("bob")).await, [5, 2]);
    for nobody in ["carol", "ali", "ALICE", "user-alice", "", "%", "' OR 1 = 1 --"] {
        assert_eq!(found(bench, of(nobody)).await, [] as [i64; 0], "{nobody}");
    }
    let here = AuditFilter { account: Some("acme".into()), ..of("alice") };
    assert_eq!(found(bench, here).await, [3, 2, 1], "not what they did in another account");
    let (alice, bob, nobody) = (id("alice"), id("bob"), id("nobody"));
    let names = bench.store.names_of(&[&alice, &bob, &nobody]).await.expect("an answer");
    assert_eq!((names.len(), &*names[&alice], &*names[&bob]), (2, "alice", "bob"));
    assert!(bench.store.names_of(&[]).await.expect("an answer").is_empty());
}

pub(crate) async fn old_records_are_removed_from_the_beginning_alone(bench: &Bench) {
    let old = |most| bench.store.old_audit(NOW.plus(MINUTE), most);
    assert_eq!(old(10).await.expect("an answer"), None, "there is none");
    let later = |sequence| Record { at: NOW.plus(MINUTE), ..record(sequence) };
    // Somebody's clock was wrong: what is old after the first one that is not stays.
    let records = [record(1), record(2), record(3), later(4), record(5), later(6)];
    assert!(append(bench, 0, &records).await);
    let point = |sequence| Point { sequence, hash: hash(sequence) };
    assert_eq!(old(10).await.expect("an answer"), Some(point(3)));
    assert_eq!(old(2).await.expect("an answer"), Some(point(2)), "as many as were asked for");
    assert_eq!(bench.store.old_audit(NOW, 10).await.expect("an answer"), None);
    let all = bench.store.old_audit(NOW.plus(MINUTE * 2), 10).await.expect("an answer");
    assert_eq!(all, Some(point(5)), "the last one of all stays");
    let gone = async |point: Point| bench.store.prune_audit(&point).await.expect("an answer");
    assert_eq!(gone(Point { sequence: 3, hash: hash(2) }).await, 0, "another hash");
    assert_eq!(gone(point(3)).await, 3);
    assert_eq!(gone(point(3)).await, 0, "again");
    assert_eq!(gone(point(2)).await, 0);
    assert_eq!(bench.store.audit_after(0, 10).await.expect("an answer"), records[3..]);
    assert_eq!(bench.store.audit_head().await.expect("an answer"), Some(head(6)));
    assert!(append(bench, 6, &[record(7)]).await, "it goes on");
}

pub(crate) async fn who_left_an_account_signs_in_unseen_by_it(bench: &Bench) {
    populate(bench.store.as_ref()).await;
    let signed_in = |sequence, user: &str| Record {
        action: "session.begun".into(),
        account: None,
        runtime: None,
        user: Some(id(user)),
        ..record(sequence)
    };
    assert!(append(bench, 0, &[signed_in(1, "alice"), signed_in(2, "bob")]).await);
    let acme = AuditFilter { account: Some("acme".into()), ..AuditFilter::default() };
    assert_eq!(found(bench, acme.clone()).await, [2, 1]);
    let mut without = super::declaration();
    without.members.retain(|member| member.name != name("bob"));
    bench.store.apply(&without, NOW).await.expect("applied");
    assert_eq!(found(bench, acme.clone()).await, [1]);
    bench.store.apply(&super::declaration(), NOW).await.expect("applied");
    assert_eq!(found(bench, acme).await, [2, 1], "back again");
}

pub(crate) async fn only_enabled_admins_administer_an_account(bench: &Bench) {
    populate(bench.store.as_ref()).await;
    let mut admins = Vec::new();
    for account in ["acme", "zoo", "nowhere"] {
        for user in ["alice", "bob", "carol", "nobody"] {
            let found = bench.store.administers(&id(user), &account.into()).await.expect("an answer");
            if found.is_some() {
                admins.push(format!("{user} {account}"));
            }
        }
    }
    let declared: Vec<String> = super::declaration()
        .members
        .iter()
        .filter(|member| member.role == crate::catalogue::Role::Admin)
        .map(|member| format!("{} {}", member.name, member.account))
        .collect();
    assert!(!declared.is_empty());
    admins.sort();
    let mut expected = declared;
    expected.sort();
    assert_eq!(admins, expected);
    for user in ["alice", "bob", "carol", "nobody"] {
        let all = bench.store.administered_accounts(&id(user)).await.expect("an answer");
        let mut all: Vec<String> = all.into_iter().map(|(account, _)| format!("{user} {account}")).collect();
        all.sort();
        let starts = format!("{user} ");
        let expected: Vec<_> = admins.iter().filter(|one| one.starts_with(&starts)).cloned().collect();
        assert_eq!(all, expected);
    }
    for one in admins {
        let (user, account) = one.split_once(' ').expect("two words");
        assert!(bench.store.disable_user(&id(user), NOW).await.expect("an answer"));
        assert_eq!(bench.store.administers(&id(user), &account.into()).await.expect("an answer"), None);
        assert_eq!(bench.store.administered_accounts(&id(user)).await.expect("an answer"), []);
    }
}
