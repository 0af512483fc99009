use super::{
    Bench, MINUTE, NOW, declaration, evidence, id, keep, look, look_at, next, populate, provider, record,
    runtime, token,
};
use crate::{
    clock::Timestamp,
    credential::{Credential, Push},
    notice::{
        Before, DAY, Detail, Event, EventId, Found, Hide, INCIDENT_IS_NEWS_AFTER, KEPT, KEPT_PER_RUNTIME,
        Kind, Look, Marked, Seen, Sight, State, Telling,
    },
    store::Store,
    watch::host::{Host, Incident, Trouble},
};

const START: EventId = EventId(0);

fn seen(state: State) -> Sight {
    Sight {
        state,
        credential: Some("t".into()),
        generation: 1,
        owner: None,
        proposed: None,
        end: None,
        warned: None,
        refused: false,
        unreachable: false,
    }
}

fn looked(marked: Marked, events: &[(Kind, Telling)]) -> Look {
    let events = events
        .iter()
        .map(|(kind, telling)| {
            let detail = Detail { evidence: Some(evidence("401")), ..Detail::default() };
            (*kind, detail, *telling)
        })
        .collect();
    let found = Found { sight: seen(State::Good), events, look_at: NOW.plus(DAY) };
    Look { marked, seen: Seen::Found(found) }
}

async fn marked(store: &dyn Store) -> Vec<Marked> {
    store.marked(NOW, 100).await.expect("an answer")
}

/// Nothing is marked any more, and nothing was said.
async fn settle(store: &dyn Store) {
    let looks: Vec<Look> = marked(store).await.into_iter().map(|marked| looked(marked, &[])).collect();
    assert!(store.tell(&looks, NOW).await.expect("an answer").into_iter().all(|written| written));
    assert_eq!(marked(store).await, []);
}

/// Alice's token for production, looked at.
async fn one(store: &dyn Store) -> Credential {
    populate(store).await;
    let new = token("t", "alice", "github");
    assert!(keep(store, &new, &["acme.production"]).await);
    settle(store).await;
    new.credential
}

/// This happened to alice's production, and she was told or not.
async fn happen(store: &dyn Store, kind: Kind, telling: Telling) -> bool {
    happen_at(store, kind, telling, NOW).await
}

async fn happen_at(store: &dyn Store, kind: Kind, telling: Telling, now: Timestamp) -> bool {
    store.look_again(Timestamp::from_micros(0)).await.expect("an answer");
    let it = [(kind, telling)];
    let looks: Vec<Look> = marked(store)
        .await
        .into_iter()
        .map(|marked| {
            let is_it = marked.runtime == runtime("acme.production");
            looked(marked, if is_it { &it } else { &[] })
        })
        .collect();
    assert!(store.tell(&looks, now).await.expect("an answer").into_iter().all(|written| written));
    last(store).await.is_some_and(|event| event.kind == kind && event.is_notice)
}

async fn news(store: &dyn Store) -> Vec<Event> {
    store.news(START, 10_000).await.expect("an answer")
}

async fn last(store: &dyn Store) -> Option<Event> {
    news(store).await.pop()
}

async fn kinds(store: &dyn Store) -> Vec<Kind> {
    news(store).await.into_iter().map(|event| event.kind).collect()
}

pub(crate) async fn each_step_that_may_change_an_access_marks_it(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let (alice, production) = (id("alice"), runtime("acme.production"));
    assert_eq!(marked(store).await, []);
    let is_marked = async |own: bool, what: &str| {
        let marked = marked(store).await;
        let of: Vec<_> = marked.iter().map(|marked| (&marked.user, &marked.runtime)).collect();
        assert_eq!(of, [(&alice, &production)], "{what}");
        assert_eq!(matches!(marked[0].before, Before::Own(_)), own, "{what}");
        settle(store).await;
    };
    let new = token("t", "alice", "github");
    assert!(keep(store, &new, &["acme.production"]).await);
    is_marked(true, "a first token").await;
    assert!(keep(store, &next(&new), &["acme.production"]).await);
    is_marked(true, "another secret").await;
    let mut credential = next(&new).credential;
    credential.standing.rejected_since = Some(NOW);
    assert!(record(store, &credential).await);
    is_marked(false, "a refusal").await;
    credential.standing.invalid = true;
    assert!(record(store, &credential).await);
    is_marked(false, "a verdict").await;
    assert!(store.renew(&next(&next(&new)), NOW.plus(MINUTE)).await.expect("an answer"));
    is_marked(false, "a renewal").await;
    store.record_push(&"t".into(), &production, &Push::Denied).await.expect("an answer");
    is_marked(false, "an answer about the repository").await;
    let proposed = token("p", "alice", "github");
    assert!(store.propose(&proposed, &production, NOW).await.expect("an answer"));
    is_marked(false, "another account").await;
    assert!(store.settle(&alice, &production, false, None, NOW).await.expect("an answer"));
    is_marked(false, "dropped").await;
    assert!(store.propose(&proposed, &production, NOW).await.expect("an answer"));
    is_marked(false, "another account again").await;
    assert!(store.settle(&alice, &production, true, None, NOW).await.expect("an answer"));
    is_marked(true, "taken").await;
    let assigned = store.assign(&alice, &"p".into(), &[(production.clone(), None)], None, NOW).await;
    assert!(assigned.expect("an answer").is_some());
    is_marked(true, "assigned").await;
    let mut changed = declaration();
    changed.runtimes.iter_mut().for_each(|runtime| runtime.scopes = None);
    store.apply(&changed, NOW).await.expect("applied");
    is_marked(false, "what is needed").await;
    assert!(store.propose(&token("q", "alice", "github"), &production, NOW).await.expect("an answer"));
    settle(store).await;
    store.sweep(NOW.plus(crate::store::UNDECIDED), NOW, NOW).await.expect("swept");
    is_marked(false, "nobody decided").await;
    assert!(store.delete(&alice, &production, None, NOW).await.expect("an answer").is_some());
    is_marked(true, "deleted").await;
    let said = kinds(store).await;
    let own = [Kind::Added, Kind::Replaced, Kind::Replaced, Kind::Replaced, Kind::Deleted];
    assert_eq!(said, own, "what the user did, and nothing else");
    assert!(news(store).await.iter().all(|event| !event.is_notice));
}

pub(crate) async fn a_step_that_changes_nothing_marks_nothing(bench: &Bench) {
    let store = &*bench.store;
    let mut credential = one(store).await;
    store.record_push(&"t".into(), &runtime("acme.production"), &Push::Allowed).await.expect("an answer");
    settle(store).await;
    credential.standing.checked_at = NOW.plus(MINUTE);
    credential.standing.last_good_at = Some(NOW.plus(MINUTE));
    credential.due_at = Some(NOW.plus(MINUTE));
    assert!(record(store, &credential).await);
    store.record_push(&"t".into(), &runtime("acme.production"), &Push::Allowed).await.expect("an answer");
    store.postpone(&"t".into(), 1, NOW).await.expect("an answer");
    store.apply(&declaration(), NOW).await.expect("applied");
    credential.generation += 1;
    credential.standing.invalid = true;
    assert!(!record(store, &credential).await, "of another generation");
    assert_eq!(marked(store).await, []);
    let known = look(store, "alice", "acme.production").await.credential.expect("a token");
    assert_eq!(known.standing.checked_at, NOW.plus(MINUTE), "but it is noted");
}

pub(crate) async fn whoever_authorizes_again_does_so_for_all_that_use_the_grant(bench: &Bench) {
    let store = &*bench.store;
    let credential = one(store).await;
    let new = token("t", "alice", "github");
    assert_eq!(new.credential.id, credential.id);
    let also = [(runtime("acme.staging"), None)];
    assert!(
        store.share(&id("alice"), &"t".into(), &also, None, None, NOW).await.expect("an answer").is_some()
    );
    settle(store).await;
    assert!(keep(store, &next(&new), &["acme.production"]).await);
    let marked = marked(store).await;
    assert_eq!(marked.len(), 2);
    assert!(marked.iter().all(|marked| matches!(marked.before, Before::Own(Some(_)))));
}

pub(crate) async fn what_was_marked_since_is_not_told(bench: &Bench) {
    let store = &*bench.store;
    let mut credential = one(store).await;
    credential.standing.invalid = true;
    assert!(record(store, &credential).await);
    let looks: Vec<Look> = marked(store)
        .await
        .into_iter()
        .map(|marked| looked(marked, &[(Kind::Invalid, Telling::Bad)]))
        .collect();
    credential.standing.invalid = false;
    assert!(record(store, &credential).await);
    assert_eq!(store.tell(&looks, NOW).await.expect("an answer"), [false]);
    assert_eq!(kinds(store).await, [Kind::Added]);
    assert_eq!(marked(store).await.len(), 1, "and is to be looked at again");
}

pub(crate) async fn fifty_tell_at_once_and_one_is_heard(bench: &Bench) {
    let mut credential = one(&*bench.store).await;
    credential.standing.invalid = true;
    assert!(record(&*bench.store, &credential).await);
    let marked = marked(&*bench.store).await;
    let other = bench.another().await;
    let tellers: Vec<_> = (0..50)
        .map(|number| {
            let store = if number % 2 == 0 { bench.store.clone() } else { other.clone() };
            let look = looked(marked[0].clone(), &[(Kind::Invalid, Telling::Bad)]);
            tokio::spawn(async move { store.tell(&[look], NOW).await.expect("an answer") })
        })
        .collect();
    let mut told = 0;
    for teller in tellers {
        told += usize::from(teller.await.expect("no panic") == [true]);
    }
    assert_eq!(told, 1);
    assert_eq!(kinds(&*other).await, [Kind::Added, Kind::Invalid]);
}

pub(crate) async fn what_can_not_be_seen_is_left_alone_until_the_next_mark(bench: &Bench) {
    let store = &*bench.store;
    let mut credential = one(store).await;
    credential.standing.invalid = true;
    assert!(record(store, &credential).await);
    let before = marked(store).await.remove(0).before;
    let looks = [Look { marked: marked(store).await.remove(0), seen: Seen::Later(NOW.plus(MINUTE)) }];
    assert_eq!(store.tell(&looks, NOW).await.expect("an answer"), [true]);
    assert_eq!(marked(store).await, []);
    let later = store.marked(NOW.plus(MINUTE), 9).await.expect("an answer");
    assert_eq!(later.iter().map(|marked| &marked.before).collect::<Vec<_>>(), [&before]);
    assert_eq!(store.tell(&looks, NOW).await.expect("an answer"), [false], "somebody was faster");
    credential.standing.in_vain += 1;
    credential.standing.invalid = false;
    assert!(record(store, &credential).await);
    credential.standing.invalid = true;
    assert!(record(store, &credential).await);
    let looks = [Look { marked: marked(store).await.remove(0), seen: Seen::Nothing }];
    assert_eq!(store.tell(&looks, NOW).await.expect("an answer"), [true]);
    assert_eq!(store.marked(NOW.plus(DAY * 100), 9).await.expect("an answer"), []);
    store.apply(&declaration(), NOW).await.expect("applied");
    assert_eq!(marked(store).await, [], "nothing has changed");
    credential.standing.invalid = false;
    assert!(record(store, &credential).await);
    assert_eq!(marked(store).await[0].before, Before::Seen(seen(State::Good)), "what was seen last");
}

pub(crate) async fn hidden_or_not_wanted_is_an_event_and_no_notice(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    let (alice, production) = (id("alice"), runtime("acme.production"));
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    store.hide(&alice, &production, Hide::Until(NOW.plus(MINUTE))).await.expect("hidden");
    assert!(!happen(store, Kind::Invalid, Telling::Bad).await);
    let hidden = look(store, "alice", "acme.production").await;
    assert_eq!((hidden.muted, hidden.muted_until), (true, Some(NOW.plus(MINUTE))));
    let shown = look_at(store, "alice", "acme.production", NOW.plus(MINUTE)).await;
    assert_eq!((shown.muted, shown.muted_until), (false, None));
    assert!(happen_at(store, Kind::Invalid, Telling::Bad, NOW.plus(MINUTE)).await);
    store.hide(&alice, &production, Hide::Always).await.expect("hidden");
    assert!(!happen_at(store, Kind::Invalid, Telling::Bad, NOW.plus(DAY * 365)).await);
    assert_eq!(look(store, "alice", "acme.production").await.muted_until, None);
    store.hide(&alice, &production, Hide::No).await.expect("shown");
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    assert!(store.wants_notices(&alice).await.expect("an answer"));
    store.set_wants_notices(&alice, false).await.expect("an answer");
    assert!(!store.wants_notices(&alice).await.expect("an answer"));
    assert!(store.wants_notices(&id("bob")).await.expect("an answer"));
    assert!(!happen(store, Kind::Invalid, Telling::Bad).await);
    store.set_wants_notices(&alice, true).await.expect("an answer");
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    assert!(!happen(store, Kind::Refused, Telling::Never).await);
    assert_eq!(news(store).await.len(), 1 + 8, "all of it happened");
    store.hide(&alice, &runtime("none"), Hide::Always).await.expect("an answer");
    store.hide(&id("carol"), &production, Hide::Always).await.expect("an answer");
    assert!(!look(store, "bob", "acme.production").await.muted);
}

pub(crate) async fn good_news_are_told_after_bad_news_that_were_told(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    let good = async || happen(store, Kind::Recovered, Telling::Good).await;
    assert!(!good().await, "nothing was bad");
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    happen(store, Kind::Expired, Telling::Never).await;
    assert!(good().await);
    assert!(!good().await, "once");
    assert!(happen(store, Kind::Expiring, Telling::Warning).await);
    assert!(!good().await, "a warning is not bad");
    store.set_wants_notices(&id("alice"), false).await.expect("an answer");
    assert!(!happen(store, Kind::Invalid, Telling::Bad).await);
    store.set_wants_notices(&id("alice"), true).await.expect("an answer");
    assert!(!good().await, "nobody had heard of it");
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    assert!(keep(store, &next(&token("t", "alice", "github")), &["acme.production"]).await);
    settle(store).await;
    assert!(!good().await, "its user replaced it");
}

pub(crate) async fn notices_are_counted_paged_and_read_by_their_user_alone(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    let (alice, bob) = (id("alice"), id("bob"));
    for _ in 0..5 {
        assert!(happen(store, Kind::Invalid, Telling::Bad).await);
        happen(store, Kind::Refused, Telling::Never).await;
    }
    let unread = async |user| store.unread(user).await.expect("an answer");
    let page = async |before, most| store.notices(&alice, before, most).await.expect("an answer");
    assert_eq!((unread(&alice).await, unread(&bob).await), (5, 0));
    let first = page(None, 3).await;
    let rest = page(Some(first[2].id), 3).await;
    let ids: Vec<_> = first.iter().chain(&rest).map(|event| event.id).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted_by(|later, earlier| later > earlier));
    let sample = &first[0];
    assert_eq!(store.notice(&alice, sample.id).await.expect("an answer").as_ref(), Some(sample));
    assert_eq!(store.notice(&bob, sample.id).await.expect("an answer"), None);
    assert_eq!((sample.kind, sample.at, sample.read_at), (Kind::Invalid, NOW, None));
    assert_eq!(sample.detail.evidence, Some(evidence("401")));

    assert!(!store.read(&bob, ids[0], NOW).await.expect("an answer"), "another's");
    assert!(store.read(&alice, ids[0], NOW).await.expect("an answer"));
    assert!(!store.read(&alice, ids[0], NOW.plus(MINUTE)).await.expect("an answer"), "it was read");
    assert_eq!(page(None, 1).await[0].read_at, Some(NOW));
    assert_eq!(unread(&alice).await, 4);
    let refused = news(store).await.into_iter().find(|event| event.kind == Kind::Refused).expect("one");
    assert!(!store.read(&alice, refused.id, NOW).await.expect("an answer"), "no notice");
    assert_eq!(store.read_all(&bob, ids[0], NOW).await.expect("an answer"), 0);
    assert_eq!(store.read_all(&alice, ids[2], NOW).await.expect("an answer"), 3, "up to where the page was");
    assert_eq!(unread(&alice).await, 1);
}

pub(crate) async fn a_notice_of_what_is_no_longer_theirs_is_neither_shown_nor_counted(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    let alice = id("alice");
    let id = last(store).await.expect("a notice").id;
    let seen = async || {
        let notices = store.notices(&alice, None, 9).await.expect("an answer").len();
        let one = store.notice(&alice, id).await.expect("an answer").is_some();
        (notices, one, store.unread(&alice).await.expect("an answer"))
    };
    assert_eq!(seen().await, (1, true, 1));
    let mut left = declaration();
    left.members.retain(|member| (member.name.as_str(), member.account.as_str()) != ("alice", "acme"));
    store.apply(&left, NOW).await.expect("applied");
    assert_eq!(seen().await, (0, false, 0));
    store.apply(&declaration(), NOW).await.expect("applied");
    assert_eq!(seen().await, (1, true, 1), "it was not read meanwhile");
}

pub(crate) async fn a_stream_that_broke_off_goes_on_where_it_was(bench: &Bench) {
    let store = &*bench.store;
    assert_eq!(store.last_event().await.expect("an answer"), START);
    one(store).await;
    let seen = store.last_event().await.expect("an answer");
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    assert!(happen(store, Kind::Recovered, Telling::Good).await);
    let missed = store.news_of(&id("alice"), seen, 9).await.expect("an answer");
    assert_eq!(missed.iter().map(|event| event.kind).collect::<Vec<_>>(), [Kind::Invalid, Kind::Recovered]);
    assert_eq!(store.news_of(&id("alice"), seen, 1).await.expect("an answer"), missed[..1]);
    assert_eq!(store.news_of(&id("bob"), START, 9).await.expect("an answer"), []);
    assert_eq!(store.news(missed[0].id, 9).await.expect("an answer"), missed[1..]);
    assert_eq!(store.last_event().await.expect("an answer"), missed[1].id);
    assert_eq!(store.last_event_of(&id("alice")).await.expect("an answer"), missed[1].id);
    assert_eq!(store.last_event_of(&id("bob")).await.expect("an answer"), START, "others' say nothing");
}

pub(crate) async fn a_timeline_has_the_last_two_hundred_of_ninety_days(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    assert!(keep(store, &token("other", "alice", "github"), &["acme.staging"]).await);
    settle(store).await;
    let most = KEPT_PER_RUNTIME as usize;
    for _ in 0..most + 20 {
        happen(store, Kind::Refused, Telling::Never).await;
    }
    let timeline =
        async |key: &str| store.timeline(&id("alice"), &runtime(key), None, 1000).await.expect("an answer");
    assert_eq!(timeline("acme.production").await.len(), most);
    assert_eq!(timeline("acme.staging").await.len(), 1, "each has its own");
    assert_eq!(
        store.timeline(&id("bob"), &runtime("acme.production"), None, 9).await.expect("an answer"),
        []
    );
    happen_at(store, Kind::Passed, Telling::Never, NOW.plus(MINUTE)).await;
    let newest = timeline("acme.production").await.remove(0);
    assert_eq!((newest.kind, newest.at), (Kind::Passed, NOW.plus(MINUTE)));
    store.sweep(NOW.plus(KEPT).minus(MINUTE), NOW, NOW).await.expect("swept");
    assert_eq!(timeline("acme.production").await.len(), most);
    store.sweep(NOW.plus(KEPT), NOW, NOW).await.expect("swept");
    assert_eq!(timeline("acme.production").await, std::slice::from_ref(&newest));
    assert!(happen(store, Kind::Invalid, Telling::Bad).await);
    assert!(timeline("acme.production").await[0].id > newest.id, "no number is given twice");
}

pub(crate) async fn renewals_in_a_row_are_one_line(bench: &Bench) {
    let store = &*bench.store;
    one(store).await;
    for kind in [Kind::Renewed, Kind::Renewed, Kind::Renewed, Kind::Refused, Kind::Renewed, Kind::Renewed] {
        happen(store, kind, Telling::Never).await;
    }
    assert_eq!(kinds(store).await, [Kind::Added, Kind::Renewed, Kind::Refused, Kind::Renewed]);
}

pub(crate) async fn an_incident_is_told_once_to_whoever_has_a_token_there(bench: &Bench) {
    let (store, other) = (&*bench.store, bench.another().await);
    populate(store).await;
    assert!(keep(store, &token("t", "alice", "github"), &["acme.production", "acme.staging"]).await);
    assert!(keep(store, &token("b", "bob", "gitea"), &["acme.forge"]).await);
    let mut incident = Incident {
        host: "github.example".to_owned(),
        trouble: Trouble::Unreachable,
        began_at: NOW,
        ended_at: None,
    };
    let host = Host::default();
    assert!(store.keep_host("github.example", 0, &host, Some(&incident)).await.expect("an answer"));
    let untold = async |now| store.untold_incidents(now).await.expect("an answer");
    let tell = async |store: &dyn Store, incident: &Incident, now| {
        let there = [provider("github")];
        store.tell_incident(incident, &there, now).await.expect("an answer")
    };
    let news_at = NOW.plus(INCIDENT_IS_NEWS_AFTER);
    assert_eq!(untold(news_at.minus(MINUTE)).await, []);
    assert_eq!(untold(news_at).await, [incident.clone()]);
    assert_eq!(tell(store, &incident, news_at).await, 1);
    assert_eq!(tell(&*other, &incident, news_at).await, 0, "told already");
    assert_eq!(untold(news_at).await, []);
    let event = last(store).await.expect("an event");
    assert_eq!((&event.user, event.kind, event.is_notice), (&id("alice"), Kind::IncidentBegan, true));
    assert_eq!((event.runtime, event.host.as_deref()), (None, Some("github.example")));
    assert_eq!((event.detail.trouble.as_deref(), event.detail.began_at), (Some("unreachable"), Some(NOW)));

    // Bob gets a token there while it goes on: he was not told that it began, and is not told that it ended.
    assert!(keep(store, &token("late", "bob", "github"), &["acme.production"]).await);
    let ended_at = news_at.plus(MINUTE);
    incident.ended_at = Some(ended_at);
    assert!(store.keep_host("github.example", 1, &host, Some(&incident)).await.expect("an answer"));
    assert_eq!(untold(ended_at.plus(INCIDENT_IS_NEWS_AFTER).minus(MINUTE)).await, [], "it may come back");
    let over = ended_at.plus(INCIDENT_IS_NEWS_AFTER);
    assert_eq!(untold(over).await, [incident.clone()]);
    assert_eq!(tell(&*other, &incident, over).await, 1);
    assert_eq!(tell(store, &incident, over).await, 0);
    assert_eq!(untold(over.plus(DAY)).await, []);
    let event = last(store).await.expect("an event");
    assert_eq!((&event.user, event.kind, event.is_notice), (&id("alice"), Kind::IncidentEnded, true));
    assert_eq!(event.detail.ended_at, Some(ended_at));
    let with_host = store.timeline(&id("alice"), &runtime("acme.staging"), Some("github.example"), 9).await;
    let with_host: Vec<_> = with_host.expect("an answer").into_iter().map(|event| event.kind).collect();
    assert_eq!(with_host, [Kind::IncidentEnded, Kind::IncidentBegan, Kind::Added]);

    let short = Incident { began_at: over, ended_at: Some(over.plus(MINUTE)), ..incident };
    assert!(store.keep_host("github.example", 2, &host, Some(&short)).await.expect("an answer"));
    assert_eq!(untold(over.plus(DAY)).await, [], "nobody's business");
}

pub(crate) async fn what_uses_a_token_is_named(bench: &Bench) {
    let store = &*bench.store;
    populate(store).await;
    let new = token("t", "alice", "github");
    assert!(keep(store, &new, &["acme.production", "acme.staging"]).await);
    let runtimes = store.runtimes_of(&"t".into()).await.expect("an answer");
    assert_eq!(runtimes, [runtime("acme.production"), runtime("acme.staging")]);
    assert_eq!(store.runtimes_of(&"none".into()).await.expect("an answer"), []);
}
