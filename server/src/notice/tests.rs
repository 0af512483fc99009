//! Every turn, in tables, and what each look makes of an access.

use super::{
    State::{
        CannotPush, Expired, Expiring, Good, Invalid, NeedsSso, NoToken, RepositoryHidden, ScopesMissing,
    },
    *,
};
use crate::{
    catalogue::{Account, Runtime},
    clock::TestClock,
    credential::{Push, Standing},
    scope::ScopeSet,
    store::contract::{self, MINUTE, NOW},
    watch::tests::Simulated,
};

fn missing(scopes: &str) -> State {
    ScopesMissing { missing: ScopeSet::parse(scopes).to_vec() }
}

#[test]
fn every_change_of_state_is_told_at_most_once_and_as_what_it_is() {
    const DEAD: Option<(Kind, Telling)> = Some((Kind::Invalid, Telling::Bad));
    const OVER: Option<(Kind, Telling)> = Some((Kind::Expired, Telling::Bad));
    const LESS: Option<(Kind, Telling)> = Some((Kind::ScopesLost, Telling::Bad));
    const SOON: Option<(Kind, Telling)> = Some((Kind::Expiring, Telling::Warning));
    const WELL: Option<(Kind, Telling)> = Some((Kind::Recovered, Telling::Good));
    const DEAD_TOO: Option<(Kind, Telling)> = Some((Kind::Invalid, Telling::Never));
    const OVER_TOO: Option<(Kind, Telling)> = Some((Kind::Expired, Telling::Never));
    const QUIET: Option<(Kind, Telling)> = None;
    let states = [
        NoToken,
        Good,
        Expiring { days: 14 },
        Expiring { days: 7 },
        Expired,
        Invalid,
        missing("repo"),
        CannotPush,
        RepositoryHidden,
        NeedsSso,
    ];
    // From each of them, in their order, to each.
    let turns = [
        [QUIET, QUIET, QUIET, QUIET, QUIET, QUIET, QUIET, QUIET, QUIET, QUIET],
        [QUIET, QUIET, SOON, SOON, OVER, DEAD, LESS, LESS, LESS, LESS],
        [QUIET, QUIET, QUIET, SOON, OVER, DEAD, LESS, LESS, LESS, LESS],
        [QUIET, QUIET, SOON, QUIET, OVER, DEAD, LESS, LESS, LESS, LESS],
        [QUIET, WELL, WELL, WELL, QUIET, DEAD_TOO, LESS, LESS, LESS, LESS],
        [QUIET, WELL, WELL, WELL, OVER_TOO, QUIET, LESS, LESS, LESS, LESS],
        [QUIET, WELL, WELL, WELL, OVER, DEAD, QUIET, LESS, LESS, LESS],
        [QUIET, WELL, WELL, WELL, OVER, DEAD, LESS, QUIET, LESS, LESS],
        [QUIET, WELL, WELL, WELL, OVER, DEAD, LESS, LESS, QUIET, LESS],
        [QUIET, WELL, WELL, WELL, OVER, DEAD, LESS, LESS, LESS, QUIET],
    ];
    for (before, turns) in states.iter().zip(turns) {
        for (after, expected) in states.iter().zip(turns) {
            assert_eq!(turn(before, after), expected, "from {before:?} to {after:?}");
        }
    }
    assert_eq!(turn(&missing("repo"), &missing("repo workflow")), LESS, "one more");
    assert_eq!(turn(&missing("repo"), &missing("workflow")), LESS, "another one");
    assert_eq!(turn(&missing("repo workflow"), &missing("repo")), QUIET, "one fewer");
}

#[test]
fn kinds_have_words_of_their_own_that_are_read_back() {
    let words: std::collections::HashSet<_> = Kind::ALL.into_iter().map(Kind::as_str).collect();
    assert_eq!(words.len(), Kind::ALL.len());
    assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.as_str()) == Some(kind)));
    assert_eq!(Kind::parse("checked"), None);
}

/// A runtime whose token passed at `NOW`.
fn access(change: impl FnOnce(&mut Access)) -> Access {
    let mut credential = contract::token("t", "alice", "sim").credential;
    credential.standing = Standing::good(NOW, contract::evidence("200"));
    let mut access = Access {
        runtime: Runtime {
            id: "acme.production".into(),
            account: "acme".into(),
            name: "production".into(),
            provider: "sim".into(),
            oauth_app: None,
            repository: Some("acme/gitops".into()),
            scopes: Some(ScopeSet::parse("repo")),
        },
        account: Account { id: "acme".into(), name: "Acme".into() },
        credential: Some(credential),
        proposed: None,
        push: Some(Push::Allowed),
        muted: false,
        muted_until: None,
        asked_until: None,
        attempt: None,
    };
    change(&mut access);
    access
}

fn with(change: impl FnOnce(&mut Credential)) -> Access {
    access(|access| change(access.credential.as_mut().unwrap()))
}

fn found(before: &Before, access: &Access, now: Timestamp) -> Found {
    // Its clock agrees with ours.
    let found = look(before, access, &provider(now, Some(now)), now);
    let Seen::Found(found) = found else { panic!("{found:?}") };
    found
}

/// Where it is `now` here, and has said that it is that time there.
fn provider(now: Timestamp, there: Option<Timestamp>) -> Simulated {
    let clock = TestClock::new();
    clock.set(now);
    let provider = Simulated::new(&clock);
    if let Some(there) = there {
        provider.place().heard(there);
    }
    provider
}

/// What is seen of it.
fn seen(access: &Access, now: Timestamp) -> Before {
    Before::Seen(found(&Before::Nothing, access, now).sight)
}

/// What happened from one to the other.
fn events(before: &Before, access: &Access, now: Timestamp) -> Vec<(Kind, Telling)> {
    found(before, access, now).events.into_iter().map(|(kind, _, telling)| (kind, telling)).collect()
}

fn refuse(standing: &mut Standing) {
    standing.rejected_since = Some(NOW);
    standing.evidence = contract::evidence("401");
}

fn die(standing: &mut Standing) {
    refuse(standing);
    standing.invalid = true;
}

#[test]
fn what_is_no_verdict_changes_nothing_that_is_told() {
    let good = access(|_| {});
    for trouble in [Trouble::Unreachable, Trouble::RateLimited { until: None }] {
        let troubled = with(|credential| credential.standing.trouble = Some((trouble, NOW)));
        let look = found(&seen(&good, NOW), &troubled, NOW);
        assert_eq!(look.sight.state, Good, "{trouble:?}");
        assert!(look.events.iter().all(|(.., telling)| *telling == Telling::Never), "{trouble:?}");
    }
    let refused = with(|credential| refuse(&mut credential.standing));
    assert_eq!(events(&seen(&good, NOW), &refused, NOW), [(Kind::Refused, Telling::Never)]);
    assert_eq!(events(&seen(&refused, NOW), &refused, NOW), [], "once");
    assert_eq!(events(&seen(&refused, NOW), &good, NOW), [(Kind::Passed, Telling::Never)]);
    let dead = with(|credential| die(&mut credential.standing));
    assert_eq!(events(&seen(&refused, NOW), &dead, NOW), [(Kind::Invalid, Telling::Bad)]);
    let unreachable = with(|credential| {
        die(&mut credential.standing);
        credential.standing.trouble = Some((Trouble::Unreachable, NOW));
    });
    assert_eq!(found(&seen(&dead, NOW), &unreachable, NOW).sight.state, Invalid, "the last verdict stays");
}

#[test]
fn a_known_end_is_told_also_while_the_host_gives_no_answer() {
    let end = NOW.plus(DAY * 10);
    let unreachable = with(|credential| {
        credential.expires_at = Some(end);
        credential.standing.trouble = Some((Trouble::Unreachable, NOW));
    });
    let before = seen(&unreachable, NOW);
    assert_eq!(events(&before, &unreachable, end.minus(DAY * 7)), [(Kind::Expiring, Telling::Warning)]);
    assert_eq!(events(&before, &unreachable, end), [(Kind::Expired, Telling::Bad)]);
}

#[test]
fn an_authorization_under_way_or_denied_is_nothing_to_tell() {
    use crate::credential::Attempt;
    let none = access(|access| access.credential = None);
    for attempt in [Attempt::Pending(NOW), Attempt::Denied(NOW)] {
        let tried = access(|access| (access.credential, access.attempt) = (None, Some(attempt)));
        let look = found(&seen(&none, NOW), &tried, NOW);
        assert_eq!((look.sight.state, look.events), (NoToken, vec![]));
    }
}

#[test]
fn what_a_token_lacks_is_named() {
    let good = access(|_| {});
    let lacking = [
        (with(|credential| credential.scopes = Some(ScopeSet::default())), Lack::Scopes),
        (access(|access| access.push = Some(Push::Denied)), Lack::Push),
        (access(|access| access.push = Some(Push::Hidden)), Lack::Repository),
        (access(|access| access.push = Some(Push::NeedsSso { link: None })), Lack::SingleSignOn),
    ];
    for (access, lack) in lacking {
        let look = found(&seen(&good, NOW), &access, NOW);
        let [(Kind::ScopesLost, detail, Telling::Bad)] = &look.events[..] else { panic!("{look:?}") };
        assert_eq!((detail.lack, detail.repository.as_deref()), (Some(lack), Some("acme/gitops")));
        assert_eq!(detail.scopes, if lack == Lack::Scopes { vec!["repo"] } else { vec![] });
        assert_eq!(events(&seen(&access, NOW), &good, NOW), [(Kind::Recovered, Telling::Good)]);
    }
}

#[test]
fn another_account_is_told_once_and_the_users_decision_is_not() {
    let good = access(|_| {});
    let mut other = contract::token("p", "alice", "sim").credential;
    other.owner = ProviderAccount { id: "2".into(), login: "monalisa".into() };
    let asked = access(|access| access.proposed = Some(other.clone()));
    let look = found(&seen(&good, NOW), &asked, NOW);
    let [(Kind::AccountChanged, detail, Telling::Warning)] = &look.events[..] else { panic!("{look:?}") };
    assert_eq!(
        (detail.login_before.as_deref(), detail.login.as_deref()),
        (Some("octocat"), Some("monalisa"))
    );
    assert_eq!(look.sight.state, Good);
    assert_eq!(events(&seen(&asked, NOW), &asked, NOW), []);
    assert_eq!(events(&seen(&asked, NOW), &good, NOW), [], "dropped");
    let taken = access(|access| access.credential = Some(other.clone()));
    assert_eq!(events(&Before::Own(Some(look.sight)), &taken, NOW), [], "taken");

    let moved = with(|credential| credential.owner = other.owner.clone());
    assert_eq!(events(&seen(&good, NOW), &moved, NOW), [(Kind::AccountChanged, Telling::Warning)]);
    let renamed = with(|credential| credential.owner.login = "new name".into());
    assert_eq!(events(&seen(&good, NOW), &renamed, NOW), [], "the same account");
}

#[test]
fn what_the_user_does_is_no_news_but_what_happens_after_it_is() {
    let bad = [
        access(|access| access.credential = None),
        access(|access| access.push = Some(Push::Denied)),
        with(|credential| credential.expires_at = Some(NOW.plus(DAY))),
        with(|credential| credential.scopes = Some(ScopeSet::default())),
        access(|_| {}),
    ];
    let dead = with(|credential| die(&mut credential.standing));
    for access in &bad {
        for before in [Before::Own(None), Before::Nothing] {
            assert_eq!(events(&before, access, NOW), []);
        }
        let Before::Seen(before) = seen(&dead, NOW) else { panic!("seen") };
        assert_eq!(events(&Before::Own(Some(before)), access, NOW), []);
    }
    assert_eq!(events(&Before::Nothing, &dead, NOW), []);
    assert_eq!(events(&Before::Own(None), &dead, NOW), [(Kind::Invalid, Telling::Bad)], "since it was given");
    let Before::Seen(known) = seen(&dead, NOW) else { panic!("seen") };
    assert_eq!(events(&Before::Own(Some(known)), &dead, NOW), [], "it was known before");
}

#[test]
fn each_end_has_its_warnings_once_whichever_way_the_clock_goes() {
    let end = NOW.plus(DAY * 20);
    let token = with(|credential| credential.expires_at = Some(end));
    let mut before = seen(&token, NOW);
    let mut told = Vec::new();
    let mut at = |now: Timestamp, before: &mut Before| {
        let look = found(before, &token, now);
        told.extend(look.events.iter().map(|(kind, detail, telling)| (*kind, detail.days, *telling)));
        *before = Before::Seen(look.sight);
        look.look_at
    };
    let moments = [
        NOW,
        end.minus(DAY * 14).minus(MINUTE),
        end.minus(DAY * 14),
        end.minus(DAY * 14).minus(MINUTE * 10),
        end.minus(DAY * 14),
        end.minus(DAY * 7),
        NOW,
        end.minus(DAY * 14),
        end.minus(DAY),
        end.plus(DAY * 365),
        NOW,
        end.minus(DAY * 7),
        end,
    ];
    for now in moments {
        let look_at = at(now, &mut before);
        assert!(look_at > now && look_at <= now.plus(DAY), "{look_at:?}");
    }
    let soon = |days| (Kind::Expiring, Some(days), Telling::Warning);
    assert_eq!(told, [soon(14), soon(7), soon(1), (Kind::Expired, None, Telling::Bad)]);

    // Another end is another matter.
    let later = with(|credential| credential.expires_at = Some(end.plus(DAY * 30)));
    assert_eq!(events(&before, &later, end.plus(DAY * 17)), [(Kind::Recovered, Telling::Good)]);
    let look = found(&before, &later, end.plus(DAY * 17));
    assert_eq!(look.events[0].1.days, Some(14), "told with the good news");
    let before = Before::Seen(look.sight);
    assert_eq!(events(&before, &later, end.plus(DAY * 18)), []);
    assert_eq!(events(&before, &later, end.plus(DAY * 24)), [(Kind::Expiring, Telling::Warning)]);
}

#[test]
fn the_next_look_is_at_the_very_moment_of_the_next_warning() {
    let end = NOW.plus(DAY * 14).plus(MINUTE);
    let token = with(|credential| credential.expires_at = Some(end));
    assert_eq!(found(&Before::Nothing, &token, NOW).look_at, end.minus(DAY * 14));
    assert_eq!(found(&Before::Nothing, &token, end.minus(MINUTE)).look_at, end);
    let patrol = found(&Before::Nothing, &token, end).look_at;
    assert!(patrol > end.plus(PATROL - PATROL_SPREAD) && patrol <= end.plus(PATROL), "{patrol:?}");
    let noted = with(|credential| credential.noted_end = Some(end));
    assert_eq!(found(&Before::Nothing, &noted, NOW).look_at, end.minus(DAY * 14));
}

#[test]
fn a_grant_that_renews_itself_is_not_about_to_end_until_it_can_not_be_renewed() {
    let grant = |renew_at: Timestamp, end: Timestamp| {
        with(|credential| (credential.renew_at, credential.expires_at) = (Some(renew_at), Some(end)))
    };
    // Its refresh token lives for a week, anew with each renewal.
    let mut before = seen(&grant(NOW, NOW.plus(DAY * 7)), NOW);
    for hours in 0..200_u32 {
        let now = NOW.plus(MINUTE * 60 * hours);
        let access = grant(now.plus(MINUTE * 50), now.plus(DAY * 7));
        let look = found(&before, &access, now);
        assert!(look.events.is_empty(), "{look:?}");
        before = Before::Seen(look.sight);
    }
    let last = NOW.plus(DAY * 30);
    let stuck = grant(last, last.plus(DAY * 7));
    assert_eq!(events(&before, &stuck, last.plus(MINUTE * 59)), []);
    assert_eq!(found(&before, &stuck, last).look_at, last.plus(MINUTE * 60));
    assert_eq!(events(&before, &stuck, last.plus(MINUTE * 60)), [(Kind::Expiring, Telling::Warning)]);
}

#[test]
fn a_renewal_is_a_line_in_the_timeline() {
    let grant = access(|_| {});
    let renewed = with(|credential| credential.generation += 1);
    assert_eq!(events(&seen(&grant, NOW), &renewed, NOW), [(Kind::Renewed, Telling::Never)]);
    assert_eq!(events(&seen(&renewed, NOW), &renewed, NOW), []);
}

#[test]
fn an_event_that_an_older_version_wrote_is_read() {
    assert_eq!(serde_json::from_str::<Detail>("{}").unwrap(), Detail::default());
    let detail = Detail { evidence: Some(contract::evidence("401")), days: Some(7), ..Detail::default() };
    let json = serde_json::to_string(&detail).unwrap();
    assert_eq!(json, r#"{"evidence":{"request":"GET /user","answer":"401"},"days":7}"#);
    assert_eq!(serde_json::from_str::<Detail>(&json).unwrap(), detail);
}

/// Looks where it is `now` here and `there` at the provider.
fn at(before: &Before, access: &Access, now: Timestamp, there: Timestamp) -> Found {
    let Seen::Found(found) = look(before, access, &provider(now, Some(there)), now) else { panic!("found") };
    found
}

#[test]
fn an_end_is_the_providers_and_looked_at_when_it_comes_there() {
    let end = NOW.plus(DAY * 20);
    let token = with(|credential| credential.expires_at = Some(end));
    let before = seen(&token, NOW);
    // Ours is a month ahead.
    let (ahead, there) = (NOW.plus(DAY * 35), NOW.plus(DAY * 5));
    let look = at(&before, &token, ahead, there);
    assert_eq!((look.sight.state, look.events, look.sight.warned), (Good, vec![], None));
    let there = end.minus(MINUTE);
    let look = at(&before, &token, ahead, there);
    assert_eq!(look.sight.state, Expiring { days: 1 });
    assert_eq!(look.look_at, ahead.plus(MINUTE), "when it comes there");
    // Ours is a month behind: not over before it is so here as well, which is when it is looked at.
    let look = at(&before, &token, end.minus(MINUTE), end.plus(DAY * 30));
    assert_eq!((look.sight.state, look.look_at), (Expiring { days: 1 }, end));
    let both = at(&before, &token, end, end.plus(DAY * 30));
    assert_eq!(both.sight.state, Expired);
    // What renews itself does not end because our clock is ahead.
    let grant = with(|credential| {
        (credential.renew_at, credential.expires_at) = (Some(ahead.plus(MINUTE)), Some(NOW.plus(DAY * 6)));
    });
    assert_eq!(at(&seen(&grant, NOW), &grant, ahead, NOW.plus(DAY * 5)).events, vec![]);
}

#[test]
fn before_the_provider_has_said_what_time_it_is_only_what_needs_no_clock_is_seen() {
    let now = NOW.plus(DAY * 20);
    let nobody_said = |before: &Before, access: &Access| look(before, access, &provider(now, None), now);
    let later = Seen::Later(now.plus(UNTIL_THE_TIME_IS_KNOWN));
    for end in [now, now.plus(DAY * 3)] {
        let token = with(|credential| credential.expires_at = Some(end));
        for before in [Before::Nothing, Before::Own(None), seen(&token, NOW.minus(DAY * 9))] {
            assert_eq!(nobody_said(&before, &token), later);
        }
        // What was seen before stays seen.
        assert!(
            matches!(nobody_said(&seen(&token, now), &token), Seen::Found(found) if found.events.is_empty())
        );
    }
    let dead = with(|credential| die(&mut credential.standing));
    let found = nobody_said(&seen(&access(|_| {}), NOW), &dead);
    assert!(matches!(found, Seen::Found(found) if found.events.len() == 1));
}
