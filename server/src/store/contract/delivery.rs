use std::collections::HashSet;

use super::{Bench, MINUTE, NOW, declaration, fingerprint, id, keep, populate, token};
use crate::{
    catalogue::Role,
    clock::Timestamp,
    deliver::{
        AccountTarget, Job, LOG_KEPT, LONGEST_DELAY, LONGEST_LEASE, LONGEST_STAY, LogEntry, MailMode,
        MailSettings, Means, NewWebhook, Outcome, Progress, To, Way, Webhook, WebhookFormat, next_hour,
    },
    id::{AccountId, CredentialId},
    notice::{Detail, Found, Hide, KEPT_PER_RUNTIME, Kind, Look, Marked, Seen, Sight, State, Telling},
    random::TestEntropy,
    seal::Sealed,
    store::Store,
    watch::{
        due::{DAY, HOUR},
        host::{Host, Signal},
    },
};

/// Something happens to a runtime of a user, who has a token there; told or not.
pub(crate) async fn happen(
    store: &dyn Store,
    user: &str,
    runtime: &str,
    happened: (Kind, Telling),
    now: Timestamp,
) {
    let marked: Vec<Marked> = store.marked(now, 100).await.expect("an answer");
    let marked = marked
        .into_iter()
        .find(|marked| marked.user == id(user) && marked.runtime.as_str() == runtime)
        .expect("it is looked at again");
    let sight = Sight {
        state: State::Good,
        credential: None,
        generation: 1,
        owner: None,
        proposed: None,
        end: None,
        warned: None,
        refused: false,
        unreachable: false,
    };
    let events = vec![(happened.0, Detail::default(), happened.1)];
    // Looked at again at once, so that the next thing can happen.
    let seen = Seen::Found(Found { sight, events, look_at: Timestamp::from_micros(0) });
    assert_eq!(store.tell(&[Look { marked, seen }], now).await.expect("an answer"), [true]);
}

/// A notice about alice's runtime.
pub(crate) async fn notice(store: &dyn Store) {
    happen(store, "alice", "acme.production", (Kind::Invalid, Telling::Bad), NOW).await;
}

/// Alice has tokens in two accounts, bob in one of them.
pub(crate) async fn crowd(store: &dyn Store) {
    populate(store).await;
    for (name, user, runtime) in [
        ("t-alice", "alice", "acme.production"),
        ("t-zoo", "alice", "zoo.main"),
        ("t-bob", "bob", "acme.production"),
    ] {
        assert!(keep(store, &token(name, user, "github"), &[runtime]).await);
    }
}

pub(crate) async fn wants_mail(store: &dyn Store, user: &str, mode: MailMode, hour: u8) {
    let secret = fingerprint(77);
    store.set_mail(&id(user), mode, hour, NOW).await.expect("noted");
    store
        .propose_address(&id(user), &format!("{user}@example.com"), &secret, NOW.plus(MINUTE))
        .await
        .expect("kept");
    assert!(store.confirm_address(&id(user), &secret, NOW).await.expect("an answer").is_some());
}

fn webhook(name: &str, user: &str) -> NewWebhook {
    NewWebhook {
        webhook: Webhook {
            id: name.to_owned(),
            user: id(user),
            format: WebhookFormat::Standard,
            shown: "https://hooks.example.com".to_owned(),
            created_at: NOW,
            gone_at: None,
        },
        sealed: Sealed(format!("ciphertext of {name}").into_bytes()),
    }
}

fn declared(account: &str, name: &str, target: u8) -> AccountTarget {
    AccountTarget { way: Way::Account, account: account.into(), name: name.to_owned(), target: [target; 32] }
}

fn mailbox(account: &str, name: &str) -> AccountTarget {
    AccountTarget { way: Way::AccountMail, ..declared(account, name, 3) }
}

async fn take(store: &dyn Store, now: Timestamp, most: u32) -> Vec<Job> {
    let accounts = [
        "account/acme/chat",
        "account/acme/log",
        "account/zoo/chat",
        "account_mail/acme/chat",
        "account_mail/zoo/team",
    ];
    let accounts = accounts.map(str::to_owned).to_vec();
    take_with(store, &Means { mail: true, accounts }, now, most).await
}

async fn take_with(store: &dyn Store, means: &Means, now: Timestamp, most: u32) -> Vec<Job> {
    store.take_deliveries(means, now, now.plus(MINUTE), most).await.expect("an answer")
}

async fn note(store: &dyn Store, job: &Job, outcome: Outcome) -> bool {
    store.note_delivery(&job.deliveries, job.until, outcome, "an answer", NOW).await.expect("an answer")
}

async fn log(store: &dyn Store, user: &str) -> Vec<LogEntry> {
    store.delivery_log(&id(user), 100).await.expect("an answer")
}

fn ways(jobs: &[Job]) -> Vec<(Way, &str)> {
    let mut ways: Vec<_> = jobs.iter().map(|job| (job.way, job.user_name.as_str())).collect();
    ways.sort_by_key(|(way, user)| (way.as_str(), *user));
    ways
}

pub(crate) async fn a_notice_makes_a_delivery_for_each_way_its_user_wants(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    wants_mail(store, "bob", MailMode::Each, 8).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    store.declare_targets(&[declared("acme", "chat", 1), declared("zoo", "chat", 2)]).await.expect("noted");
    notice(store).await;
    let jobs = take(store, NOW, 9).await;
    assert_eq!(ways(&jobs), [(Way::Account, "alice"), (Way::Mail, "alice"), (Way::Webhook, "alice")]);
    for job in &jobs {
        let [notice] = &job.notices[..] else { panic!("one notice") };
        let subject = notice.subject.as_ref().expect("a runtime");
        assert_eq!((notice.event.kind, subject.id.as_str()), (Kind::Invalid, "acme.production"));
        assert_eq!((subject.name.as_str(), subject.account_name.as_str()), ("production", "Z acme"));
        assert_eq!((job.attempt, &notice.event.user), (1, &id("alice")));
        match &job.to {
            To::Address(address) => assert_eq!(address, "alice@example.com"),
            To::Webhook(kept) => assert_eq!((kept.webhook.clone(), kept.sealed.clone()), {
                let NewWebhook { webhook, sealed } = webhook("w", "alice");
                (webhook, sealed)
            }),
            To::Account(account, name) => {
                assert_eq!((account, name.as_str()), (&AccountId::from("acme"), "chat"))
            }
            To::Nobody => panic!("there is somebody"),
        }
    }
}

pub(crate) async fn what_is_no_notice_is_delivered_nowhere(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    let runtime = "acme.production";
    happen(store, "alice", runtime, (Kind::Refused, Telling::Never), NOW).await;
    store.hide(&id("alice"), &runtime.into(), Hide::Always).await.expect("muted");
    happen(store, "alice", runtime, (Kind::Invalid, Telling::Bad), NOW).await;
    store.hide(&id("alice"), &runtime.into(), Hide::No).await.expect("shown");
    store.set_wants_notices(&id("alice"), false).await.expect("off");
    happen(store, "alice", runtime, (Kind::Invalid, Telling::Bad), NOW).await;
    assert_eq!(take(store, NOW.plus(DAY), 9).await.len(), 0);
    assert_eq!(log(store, "alice").await, []);
}

pub(crate) async fn an_address_gets_nothing_before_it_is_confirmed(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.set_mail(&id("alice"), MailMode::Each, 8, NOW).await.expect("noted");
    let until = NOW.plus(MINUTE);
    store.propose_address(&id("alice"), "a@example.com", &fingerprint(1), until).await.expect("kept");
    notice(store).await;
    assert_eq!(take(store, NOW.plus(DAY), 9).await.len(), 0);
    assert!(store.confirm_address(&id("alice"), &fingerprint(1), NOW).await.expect("an answer").is_some());
    assert_eq!(take(store, NOW.plus(DAY), 9).await.len(), 0, "what happened before is not told later");
    notice(store).await;
    assert_eq!(take(store, NOW, 9).await.len(), 1);
}

pub(crate) async fn a_confirmation_works_once_for_its_user_and_in_time(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let until = NOW.plus(MINUTE);
    store.propose_address(&id("alice"), "a@example.com", &fingerprint(1), until).await.expect("kept");
    let confirm = async |user: &str, secret: u8, now| {
        store.confirm_address(&id(user), &fingerprint(secret), now).await.expect("an answer")
    };
    assert_eq!(confirm("bob", 1, NOW).await, None);
    assert_eq!(confirm("alice", 2, NOW).await, None);
    assert_eq!(confirm("alice", 1, until).await, None);
    assert_eq!(confirm("alice", 1, NOW).await, Some("a@example.com".to_owned()));
    assert_eq!(confirm("alice", 1, NOW).await, None);
    let settings = store.mail_settings(&id("alice")).await.expect("an answer");
    let address = Some("a@example.com".to_owned());
    assert_eq!(settings, MailSettings { mode: MailMode::Each, address, ..Default::default() });
    assert_eq!(store.mail_settings(&id("bob")).await.expect("an answer"), MailSettings::default());
}

pub(crate) async fn whoever_wants_no_mail_gets_none_at_another_address_either(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    wants_mail(store, "alice", MailMode::Daily, 8).await;
    let mode = async || store.mail_settings(&id("alice")).await.expect("an answer").mode;
    assert_eq!(mode().await, MailMode::Daily, "what was chosen before stays");
    store.set_mail(&id("alice"), MailMode::Off, 8, NOW).await.expect("noted");
    let until = NOW.plus(MINUTE);
    store.propose_address(&id("alice"), "b@example.com", &fingerprint(1), until).await.expect("kept");
    assert!(store.confirm_address(&id("alice"), &fingerprint(1), NOW).await.expect("an answer").is_some());
    assert_eq!(mode().await, MailMode::Off);
}

pub(crate) async fn a_new_address_leaves_the_confirmed_one_in_use(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    let propose = async |address: &str, secret| {
        let until = NOW.plus(MINUTE);
        store.propose_address(&id("alice"), address, &fingerprint(secret), until).await.expect("kept");
    };
    propose("typo@example.com", 1).await;
    propose("new@example.com", 2).await;
    notice(store).await;
    let jobs = take(store, NOW, 9).await;
    assert!(matches!(&jobs[..], [Job { to: To::Address(address), .. }] if address == "alice@example.com"));
    let older = store.confirm_address(&id("alice"), &fingerprint(1), NOW).await.expect("an answer");
    assert_eq!(older, None, "the newer question has replaced it");
    let newer = store.confirm_address(&id("alice"), &fingerprint(2), NOW).await.expect("an answer");
    assert_eq!(newer, Some("new@example.com".to_owned()));
    store.forget_address(&id("alice")).await.expect("forgotten");
    let settings = store.mail_settings(&id("alice")).await.expect("an answer");
    assert_eq!((settings.mode, settings.address, settings.unconfirmed), (MailMode::Each, None, None));
}

pub(crate) async fn all_of_a_day_are_one_message_at_its_hour(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Daily, 7).await;
    wants_mail(store, "bob", MailMode::Daily, 7).await;
    for (user, runtime) in [
        ("alice", "acme.production"),
        ("alice", "zoo.main"),
        ("alice", "acme.production"),
        ("bob", "acme.production"),
    ] {
        happen(store, user, runtime, (Kind::Invalid, Telling::Bad), NOW).await;
    }
    let at = next_hour(NOW, 7);
    assert_eq!(take(store, at.minus(MINUTE), 9).await.len(), 0);
    let jobs = take(store, at, 9).await;
    assert_eq!(ways(&jobs), [(Way::Digest, "alice"), (Way::Digest, "bob")]);
    let alices = jobs.iter().find(|job| job.user == id("alice")).expect("one");
    assert_eq!((alices.notices.len(), alices.deliveries.len(), alices.digest_at), (3, 3, Some(at)));
    assert!(alices.notices.is_sorted_by_key(|notice| notice.event.id));
    assert_eq!(take(store, at, 9).await.len(), 0, "it is under way");
    // It failed; meanwhile the next day begins.
    let again = at.plus(HOUR);
    assert!(note(store, alices, Outcome::Again(again)).await);
    happen(store, "alice", "zoo.main", (Kind::Invalid, Telling::Bad), at).await;
    let retried = take(store, again, 9).await;
    let alices = retried.iter().find(|job| job.user == id("alice")).expect("one");
    assert_eq!(
        (alices.notices.len(), alices.attempt, alices.digest_at),
        (3, 2, Some(at)),
        "the same mail again"
    );
    assert!(note(store, alices, Outcome::Delivered).await);
    let next = take(store, at.plus(DAY), 9).await;
    let alices = next.iter().find(|job| job.user == id("alice")).expect("one");
    assert_eq!((alices.notices.len(), alices.digest_at), (1, Some(at.plus(DAY))));
    assert!(note(store, alices, Outcome::Delivered).await);
    assert_eq!(
        take(store, at.plus(DAY * 2), 9).await.iter().filter(|job| job.user == id("alice")).count(),
        0
    );
}

pub(crate) async fn another_hour_moves_what_waits(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Daily, 7).await;
    notice(store).await;
    let (at, other) = (next_hour(NOW, 7), next_hour(NOW, 6));
    assert!(other < at);
    store.set_mail(&id("alice"), MailMode::Daily, 6, NOW).await.expect("noted");
    let jobs = take(store, other, 9).await;
    assert_eq!((jobs.len(), jobs[0].digest_at), (1, Some(other)));
}

pub(crate) async fn fifty_take_at_once_and_nothing_is_taken_twice(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    let another = bench.another().await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    store.declare_targets(&[declared("acme", "chat", 1)]).await.expect("noted");
    notice(store).await;
    let tries: Vec<_> = (0..50)
        .map(|number| {
            let store = if number % 2 == 0 { bench.store.clone() } else { another.clone() };
            tokio::spawn(async move { take(&*store, NOW, 2).await })
        })
        .collect();
    let mut taken = Vec::new();
    for one in tries {
        taken.extend(one.await.expect("no panic").into_iter().flat_map(|job| job.deliveries));
    }
    let different: HashSet<_> = taken.iter().copied().collect();
    assert_eq!((taken.len(), different.len()), (3, 3));
}

pub(crate) async fn one_place_gets_one_after_the_other(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    notice(store).await;
    notice(store).await;
    let first = take(store, NOW, 9).await;
    assert_eq!(first.len(), 1);
    assert_eq!(take(store, NOW, 9).await.len(), 0);
    assert!(note(store, &first[0], Outcome::Again(NOW.plus(HOUR))).await);
    let second = take(store, NOW, 9).await;
    assert_eq!(second.len(), 1, "one that waits holds up no other");
    assert_ne!(first[0].deliveries, second[0].deliveries);
}

pub(crate) async fn a_lease_that_ran_out_is_somebody_elses(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    notice(store).await;
    let lost = take(store, NOW, 9).await;
    let later = NOW.plus(MINUTE);
    let again = take(store, later, 9).await;
    assert_eq!((again.len(), again[0].attempt), (1, 2));
    assert_eq!(again[0].deliveries, lost[0].deliveries);
    assert_eq!(again[0].notices, lost[0].notices);
    assert!(!note(store, &lost[0], Outcome::GivenUp).await, "too late");
    assert!(note(store, &again[0], Outcome::Delivered).await);
    assert!(!note(store, &again[0], Outcome::GivenUp).await, "once");
    assert!(matches!(&log(store, "alice").await[..], [LogEntry { progress: Progress::Delivered, .. }]));
}

pub(crate) async fn a_clock_that_was_ahead_holds_nothing_up(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    notice(store).await;
    let ahead = NOW.plus(DAY * 365);
    let job = take(store, ahead, 9).await.remove(0);
    let set_back = take(store, NOW, 9).await;
    assert_eq!(set_back.len(), 1, "a lease beyond {LONGEST_LEASE:?} is none");
    assert!(!note(store, &job, Outcome::Delivered).await);
    assert!(note(store, &set_back[0], Outcome::Again(ahead)).await);
    assert_eq!(take(store, NOW, 9).await.len(), 1, "nothing waits longer than {LONGEST_DELAY:?}");
}

pub(crate) async fn a_webhook_that_is_gone_gets_nothing_more(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    store.declare_targets(&[declared("acme", "chat", 1), declared("acme", "log", 2)]).await.expect("noted");
    notice(store).await;
    notice(store).await;
    for job in take(store, NOW, 9).await {
        let stays = matches!(&job.to, To::Account(_, name) if name == "log");
        assert!(note(store, &job, if stays { Outcome::Delivered } else { Outcome::Gone }).await);
    }
    let kept = store.webhook(&id("alice")).await.expect("an answer").expect("it is shown all the same");
    assert_eq!(kept.gone_at, Some(NOW));
    notice(store).await;
    let rest = take(store, NOW, 9).await;
    let reached: Vec<_> = rest.iter().filter(|job| !matches!(job.to, To::Nobody)).collect();
    assert!(matches!(&reached[..], [Job { to: To::Account(_, name), .. }] if name == "log"), "{reached:?}");
    assert_eq!(rest.len(), 3, "what waited finds nobody");
    store.declare_targets(&[declared("acme", "chat", 1), declared("acme", "log", 2)]).await.expect("noted");
    for job in &rest {
        assert!(note(store, job, Outcome::Dropped).await);
    }
    notice(store).await;
    let after = take(store, NOW, 9).await;
    assert!(after.iter().all(|job| matches!(&job.to, To::Account(_, name) if name == "log")), "{after:?}");
    // Another target is another chance.
    store.declare_targets(&[declared("acme", "chat", 9), declared("acme", "log", 2)]).await.expect("noted");
    store.keep_webhook(&webhook("w2", "alice")).await.expect("kept");
    notice(store).await;
    let after = take(store, NOW.plus(MINUTE), 9).await;
    let reached: HashSet<_> = after.iter().map(|job| job.way.as_str()).collect();
    assert_eq!((after.len(), reached), (3, HashSet::from(["webhook", "account"])));
}

pub(crate) async fn a_replaced_webhook_gets_nothing_of_the_old_ones(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("old", "alice")).await.expect("kept");
    notice(store).await;
    store.keep_webhook(&webhook("new", "alice")).await.expect("kept");
    let jobs = take(store, NOW, 9).await;
    assert!(matches!(&jobs[..], [Job { to: To::Nobody, .. }]));
    assert!(note(store, &jobs[0], Outcome::Dropped).await);
    notice(store).await;
    let jobs = take(store, NOW, 9).await;
    assert!(matches!(&jobs[..], [Job { to: To::Webhook(kept), .. }] if kept.webhook.id == "new"));
    assert!(store.forget_webhook(&id("alice")).await.expect("an answer"));
    assert!(!store.forget_webhook(&id("alice")).await.expect("an answer"));
    assert_eq!(store.webhook(&id("alice")).await.expect("an answer"), None);
    notice(store).await;
    assert_eq!(log(store, "alice").await.len(), 2, "nothing was made for the third");
}

pub(crate) async fn what_was_switched_off_meanwhile_finds_nobody(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    wants_mail(store, "bob", MailMode::Each, 8).await;
    for user in ["alice", "bob"] {
        happen(store, user, "acme.production", (Kind::Invalid, Telling::Bad), NOW).await;
    }
    store.set_mail(&id("alice"), MailMode::Off, 8, NOW).await.expect("noted");
    store.disable_user(&id("bob"), NOW).await.expect("disabled");
    let jobs = take(store, NOW, 9).await;
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| matches!(job.to, To::Nobody)), "{jobs:?}");
}

pub(crate) async fn of_a_hosts_trouble_an_account_hears_once_in_each_place(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    let places = [declared("acme", "chat", 1), declared("zoo", "chat", 2), mailbox("acme", "chat")];
    store.declare_targets(&places).await.expect("noted");
    let mut host = Host::default();
    for number in 0..3_i64 {
        let who = CredentialId(number.to_string());
        host.weigh(&who, Signal::Unreachable, NOW, NOW, &TestEntropy::new(1));
    }
    let incident = host.incident("github.example").expect("an incident");
    assert!(store.keep_host("github.example", 0, &host, Some(&incident)).await.expect("an answer"));
    let told = store.tell_incident(&incident, &["github".into()], NOW.plus(HOUR)).await.expect("an answer");
    assert_eq!(told, 2, "alice and bob");
    let jobs = take(store, NOW.plus(HOUR), 9).await;
    let mut ways: Vec<_> = jobs.iter().map(|job| job.way.as_str()).collect();
    ways.sort_unstable();
    assert_eq!(
        ways,
        ["account", "account", "account_mail", "mail"],
        "one for each account's, whoever is in it"
    );
    for job in &jobs {
        let notice = &job.notices[0];
        assert_eq!((notice.event.kind, &notice.subject), (Kind::IncidentBegan, &None));
    }
    store.tell_incident(&incident, &["github".into()], NOW.plus(HOUR)).await.expect("an answer");
    assert_eq!(take(store, NOW.plus(HOUR), 9).await.len(), 0, "once");
}

pub(crate) async fn the_log_shows_a_user_their_own_and_an_admin_the_accounts(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    let admin = declaration().members.iter().any(|member| {
        member.role == Role::Admin && member.account.as_str() == "acme" && member.name.as_str() == "alice"
    });
    assert!(admin);
    store.keep_webhook(&webhook("w", "bob")).await.expect("kept");
    store.declare_targets(&[declared("acme", "chat", 1), declared("zoo", "chat", 2)]).await.expect("noted");
    happen(store, "bob", "acme.production", (Kind::Invalid, Telling::Bad), NOW).await;
    happen(store, "alice", "zoo.main", (Kind::Invalid, Telling::Bad), NOW).await;
    let bobs = log(store, "bob").await;
    assert!(matches!(&bobs[..], [LogEntry { way: Way::Webhook, attempts: 0, answer: None, .. }]), "{bobs:?}");
    let alices = log(store, "alice").await;
    let [entry] = &alices[..] else { panic!("of acme alone, of which she is an admin: {alices:?}") };
    assert_eq!((entry.account_target.as_deref(), entry.user_name.as_str()), (Some("acme/chat"), "bob"));
    assert_eq!(entry.progress, Progress::Waiting(NOW));
    assert_eq!(log(store, "carol").await, []);
}

pub(crate) async fn an_accounts_mailbox_is_a_place_of_its_own(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    // One name for a webhook and a mailbox: neither is the other.
    let targets = [declared("acme", "chat", 1), mailbox("acme", "chat"), mailbox("zoo", "team")];
    store.declare_targets(&targets).await.expect("noted");
    happen(store, "bob", "acme.production", (Kind::Invalid, Telling::Bad), NOW).await;
    let without_mail = Means { mail: false, accounts: vec![targets[0].lane()] };
    let jobs = take_with(store, &without_mail, NOW, 9).await;
    assert_eq!(ways(&jobs), [(Way::Account, "bob")]);
    assert!(note(store, &jobs[0], Outcome::Gone).await);
    let jobs = take(store, NOW, 9).await;
    let [job] = &jobs[..] else { panic!("what happens in acme is nothing of zoo's: {jobs:?}") };
    assert_eq!(job.way, Way::AccountMail);
    assert!(matches!(&job.to, To::Account(account, name) if account.as_str() == "acme" && name == "chat"));
    assert_eq!(take(store, NOW, 9).await.len(), 0, "it is under way");
    assert!(note(store, job, Outcome::Again(NOW.plus(HOUR))).await);
    let again = take(store, NOW.plus(HOUR), 9).await;
    assert_eq!((again.len(), again[0].attempt, &again[0].deliveries), (1, 2, &job.deliveries));
    assert!(note(store, &again[0], Outcome::Delivered).await);
    let alices = log(store, "alice").await;
    let seen: Vec<_> = alices.iter().map(|line| (line.way, line.account_target.as_deref())).collect();
    let chat = Some("acme/chat");
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.contains(&(Way::Account, chat)) && seen.contains(&(Way::AccountMail, chat)), "{seen:?}");
    assert_eq!(log(store, "bob").await, [], "an admin's business");
    // The webhook is gone, the mailbox is not.
    happen(store, "bob", "acme.production", (Kind::Invalid, Telling::Bad), NOW).await;
    store.declare_targets(&targets[1..]).await.expect("noted");
    let jobs = take(store, NOW, 9).await;
    assert_eq!(ways(&jobs), [(Way::AccountMail, "bob")]);
    assert!(note(store, &jobs[0], Outcome::Delivered).await);
    happen(store, "bob", "acme.production", (Kind::Invalid, Telling::Bad), NOW).await;
    store.declare_targets(&[]).await.expect("noted");
    let jobs = take_with(store, &Means::default(), NOW, 9).await;
    assert!(matches!(&jobs[..], [Job { to: To::Nobody, way: Way::AccountMail, .. }]), "{jobs:?}");
}

pub(crate) async fn old_lines_are_forgotten_and_what_waits_is_not(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    notice(store).await;
    notice(store).await;
    let done = take(store, NOW, 9).await;
    assert!(note(store, &done[0], Outcome::Delivered).await);
    store.sweep_deliveries(NOW.plus(LONGEST_STAY).minus(MINUTE)).await.expect("swept");
    let lines: Vec<_> = log(store, "alice").await.into_iter().map(|line| line.progress).collect();
    assert_eq!(lines, [Progress::Waiting(NOW), Progress::Delivered]);
    store.sweep_deliveries(NOW.plus(LONGEST_STAY)).await.expect("swept");
    let lines: Vec<_> = log(store, "alice").await.into_iter().map(|line| line.progress).collect();
    assert_eq!(lines, [Progress::Dropped, Progress::Delivered], "nobody can wait for ever");
    store.sweep_deliveries(NOW.plus(LOG_KEPT)).await.expect("swept");
    assert!(matches!(&log(store, "alice").await[..], [LogEntry { progress: Progress::Dropped, .. }]));
}

pub(crate) async fn what_a_process_can_not_send_is_left_to_those_that_can(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    wants_mail(store, "alice", MailMode::Each, 8).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    store.declare_targets(&[declared("acme", "chat", 1), declared("acme", "log", 2)]).await.expect("noted");
    notice(store).await;
    let poor = take_with(store, &Means::default(), NOW, 9).await;
    assert_eq!(ways(&poor), [(Way::Webhook, "alice")]);
    let only = Means { mail: false, accounts: vec!["account/acme/log".to_owned()] };
    let some = take_with(store, &only, NOW, 9).await;
    assert!(matches!(&some[..], [Job { to: To::Account(_, name), .. }] if name == "log"), "{some:?}");
    let rest = take(store, NOW, 9).await;
    assert_eq!(ways(&rest), [(Way::Account, "alice"), (Way::Mail, "alice")]);
    assert!(rest.iter().all(|job| job.attempt == 1), "nothing was tried in vain");
    // What nobody declares any more is for whoever comes first to say so.
    notice(store).await;
    store.declare_targets(&[]).await.expect("noted");
    let later = NOW.plus(HOUR);
    let poor = take_with(store, &Means::default(), later, 9).await;
    assert_eq!(poor.iter().filter(|job| matches!(job.to, To::Nobody)).count(), 2, "{poor:?}");
}

pub(crate) async fn what_waits_to_be_delivered_outlives_its_age(bench: &Bench) {
    let store = &*bench.store;
    crowd(store).await;
    store.keep_webhook(&webhook("w", "alice")).await.expect("kept");
    notice(store).await;
    let year = NOW.plus(DAY * 365);
    store.sweep(year, NOW, NOW).await.expect("swept");
    for _ in 0..KEPT_PER_RUNTIME + 20 {
        happen(store, "alice", "acme.production", (Kind::Refused, Telling::Never), NOW).await;
    }
    let jobs = take(store, NOW, 9).await;
    assert_eq!(jobs.len(), 1);
    assert!(note(store, &jobs[0], Outcome::Delivered).await);
    store.sweep(year, NOW, NOW).await.expect("swept");
    assert_eq!(log(store, "alice").await, [], "it went with what it told");
}
