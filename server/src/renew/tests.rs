//! Renewing, against a provider that rotates: every refresh token works once, and whoever shows a used one ends the
//! whole family, as the strictest providers do.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::Notify;

use super::*;
use crate::{
    audit::Audit,
    check::Checker,
    clock::TestClock,
    credential::{Method, ProviderAccount, Push},
    guard::Guard,
    provider::{
        Age, Auth, Doors, Guide, Identity, OauthEndpoints, Presented, Provider, ProviderError, Settings,
        TokenExpiry,
        grant::Dialect,
        place::Place,
        shape::Family,
        testing::{outgoing, settings},
    },
    random::TestEntropy,
    scope::ScopeSet,
    seal::RootKey,
    store::{AccessStore, contract, sqlite::SqliteStore},
    watch::hosts::Hosts,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// What happens to the next refresh.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Answers,
    /// It is done, and the answer is lost.
    IsLost,
    /// Nothing is done, and nobody answers.
    IsLostOnTheWay,
    /// Nobody is reached.
    IsDown,
    /// It is done only once somebody says so.
    Waits,
    /// Only then nobody is reached.
    WaitsInVain,
    BreaksOff,
}

/// One grant of one person, as the provider knows it.
struct Chain {
    /// The refresh token that works.
    refresh: String,
    used: HashSet<String>,
    access: String,
    ended: bool,
}

struct Rotating {
    place: Place,
    families: Mutex<HashMap<String, Chain>>,
    next: Mutex<Vec<Next>>,
    asked: Mutex<Vec<String>>,
    go_on: Notify,
    life: Mutex<Option<Duration>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rotating {
    fn new(clock: &TestClock) -> Self {
        let at = Settings {
            id: "github".into(),
            clock: Arc::new(clock.clone()),
            ..settings("https://github.example", &outgoing())
        };
        let url = at.base_url.clone();
        Self {
            place: Place::new(at, "Rotating", url).unwrap(),
            families: Mutex::default(),
            next: Mutex::default(),
            asked: Mutex::default(),
            go_on: Notify::new(),
            life: Mutex::new(Some(HOUR * 8)),
        }
    }

    /// The tokens of a new grant.
    fn issue(&self, whose: &str) -> Tokens {
        let (access, refresh) = (format!("{whose}-access-0"), format!("{whose}-refresh-0"));
        let family =
            Chain { refresh: refresh.clone(), used: HashSet::new(), access: access.clone(), ended: false };
        locked(&self.families).insert(whose.to_owned(), family);
        Tokens { access: Secret::new(access), refresh: Some(Secret::new(refresh)) }
    }

    fn then(&self, next: impl IntoIterator<Item = Next>) {
        let mut next: Vec<Next> = next.into_iter().collect();
        next.reverse();
        *locked(&self.next) = next;
    }

    fn posts(&self) -> usize {
        locked(&self.asked).len()
    }

    /// What works now.
    fn pair(&self, whose: &str) -> (String, String) {
        let families = locked(&self.families);
        let family = &families[whose];
        assert!(!family.ended, "somebody showed a used refresh token");
        (family.access.clone(), family.refresh.clone())
    }

    fn rotate(&self, refresh: &str) -> Result<Grant, GrantError> {
        let refused = || Err(GrantError::Refused(Evidence::new("POST /token", "invalid_grant")));
        let mut families = locked(&self.families);
        let whose = refresh.split('-').next().unwrap();
        let Some(family) = families.get_mut(whose) else { return refused() };
        if family.used.contains(refresh) {
            family.ended = true;
        }
        if family.ended || family.refresh != refresh {
            return refused();
        }
        family.used.insert(refresh.to_owned());
        let number = family.used.len();
        family.access = format!("{whose}-access-{number}");
        family.refresh = format!("{whose}-refresh-{number}");
        Ok(Grant {
            access: Secret::new(family.access.as_str()),
            refresh: Some(Secret::new(family.refresh.as_str())),
            expires_in: *locked(&self.life),
            refresh_expires_in: None,
            scopes: None,
        })
    }
}

#[async_trait]
impl Provider for Rotating {
    fn place(&self) -> &Place {
        &self.place
    }
    fn family(&self) -> &'static Family {
        &Family { label: "Rotating", user: &[], other: &[] }
    }
    fn dialect(&self) -> &'static Dialect {
        panic!("renews without asking")
    }
    fn icon(&self) -> &'static str {
        "none"
    }
    fn kind_label(&self, _: &str) -> &'static str {
        "grant"
    }
    fn default_scopes(&self) -> ScopeSet {
        ScopeSet::default()
    }
    fn missing(&self, granted: &ScopeSet, needed: &ScopeSet) -> ScopeSet {
        needed.without(granted)
    }
    fn guide(&self, _: &ScopeSet, _: Option<&str>, _: &str) -> Guide {
        panic!("nobody asks for help")
    }
    fn doors(&self, _: &Presented<'_>) -> Doors {
        Doors { api: Auth::Bearer, git: Auth::Bearer }
    }

    async fn identify(&self, presented: &Presented<'_>, _: Age) -> Result<Identity, ProviderError> {
        let token = presented.token.expose();
        let evidence = |answer: &str| Evidence::new("GET /user", answer);
        let works = locked(&self.families).values().any(|family| family.access == token && !family.ended);
        if !works {
            return Err(ProviderError::Rejected(evidence("401")));
        }
        Ok(Identity {
            owner: ProviderAccount { id: "octocat".into(), login: "octocat".into() },
            kind: "app".into(),
            scopes: None,
            expiry: TokenExpiry::Unknown,
            evidence: evidence("200"),
        })
    }

    async fn may_push(&self, _: &Presented<'_>, _: &str) -> Push {
        Push::Unknown
    }
    fn oauth_endpoints(&self) -> OauthEndpoints {
        panic!("nobody authorizes")
    }

    fn revocation_page(&self, _: Method, _: &str) -> url::Url {
        panic!("nobody revokes")
    }

    async fn refresh(&self, _: &OauthApp, refresh: &Secret) -> Result<Grant, GrantError> {
        locked(&self.asked).push(refresh.expose().to_owned());
        let next = locked(&self.next).pop().unwrap_or(Next::Answers);
        let lost = || Err(GrantError::Lost(Evidence::new("POST /token", "connection lost")));
        let down = || Err(GrantError::Unreachable(Evidence::new("POST /token", "connection refused")));
        match next {
            Next::Answers => self.rotate(refresh.expose()),
            Next::IsLost => {
                self.rotate(refresh.expose())?;
                lost()
            }
            Next::IsLostOnTheWay => lost(),
            Next::IsDown => down(),
            Next::Waits => {
                self.go_on.notified().await;
                self.rotate(refresh.expose())
            }
            Next::WaitsInVain => {
                self.go_on.notified().await;
                down()
            }
            Next::BreaksOff => panic!("broken off, as a test wants it"),
        }
    }
}

/// Two people with a grant each, a provider, and one server process.
struct World {
    clock: TestClock,
    store: Arc<SqliteStore>,
    keys: Arc<KeyRing>,
    provider: Arc<Rotating>,
    process: Process,
    folder: tempfile::TempDir,
}

/// What one server process has of its own.
struct Process {
    renewer: Arc<Renewer>,
    checker: Checker,
}

const USERS: [(&str, &str); 2] = [("alice", "acme.production"), ("bob", "acme.staging")];

impl World {
    async fn new() -> Self {
        let clock = TestClock::new();
        clock.set(contract::NOW);
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("gitward.db")).await.unwrap());
        contract::populate(store.as_ref()).await;
        let root = RootKey::for_test([7; 32]);
        let keys =
            Arc::new(KeyRing::open(&root, store.as_ref(), &clock, &TestEntropy::new(7)).await.unwrap());
        let provider = Arc::new(Rotating::new(&clock));
        let process = process(&store, &keys, &provider, clock.clone());
        let world = Self { clock, store, keys, provider, process, folder };
        for (user, _) in USERS {
            let tokens = world.provider.issue(user);
            world.give(user, &tokens).await;
        }
        world
    }

    /// Gives a person the grant that is called like them; it is due in a minute.
    async fn give(&self, user: &str, tokens: &Tokens) {
        let mut new = contract::grant(user, user, "octocat");
        let origin = self.provider.origin();
        new.sealed = self.keys.seal_tokens(&new.credential, &origin, tokens, &TestEntropy::new(9)).unwrap();
        let runtime = USERS.iter().find(|(name, _)| *name == user).unwrap().1;
        assert!(contract::keep(self.store.as_ref(), &new, &[runtime]).await);
    }

    /// Another server process on the same database.
    async fn another(&self) -> Process {
        self.another_by(self.clock.clone()).await
    }

    /// The same, by a clock of its own.
    async fn another_by(&self, clock: impl Clock + 'static) -> Process {
        let path = self.folder.path().join("gitward.db");
        let store = Arc::new(SqliteStore::open(&path).await.unwrap());
        process(&store, &self.keys, &self.provider, clock)
    }

    async fn access(&self, user: &str) -> Result<String, TokensError> {
        access(&self.process.renewer, user).await
    }

    async fn kept(&self, user: &str) -> Credential {
        self.store.sealed(&user.into()).await.unwrap().unwrap().credential
    }

    /// What is kept is what was issued last.
    async fn assert_last_pair_is_kept(&self, user: &str) {
        let (_, tokens) = self.process.renewer.open(&user.into()).await.unwrap();
        let kept = (tokens.access.expose().to_owned(), tokens.refresh.unwrap().expose().to_owned());
        assert_eq!(kept, self.provider.pair(user));
    }
}

fn process(
    store: &Arc<SqliteStore>,
    keys: &Arc<KeyRing>,
    provider: &Arc<Rotating>,
    clock: impl Clock + 'static,
) -> Process {
    let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(store);
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let entropy: Arc<dyn Entropy> = Arc::new(TestEntropy::new(11));
    let provider: Arc<dyn Provider> = Arc::<Rotating>::clone(provider);
    let app = OauthApp {
        id: "github-app".into(),
        provider: "github".into(),
        client_id: "client".into(),
        client_secret: Secret::new("secret"),
    };
    let registry = Arc::new(Registry::new([provider], [app]));
    let audit = Audit::open(
        Arc::<dyn Store>::clone(&store),
        Arc::clone(keys),
        Arc::clone(&clock),
        Arc::clone(&entropy),
    );
    let renewer = Arc::new(Renewer::new(
        Arc::clone(&store),
        Arc::clone(&registry),
        Arc::clone(keys),
        Arc::clone(&clock),
        Arc::clone(&entropy),
        audit.clone(),
        TaskTracker::new(),
    ));
    let hosts = Hosts::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&entropy), HashMap::new());
    let checker = Checker {
        audit,
        changes: Arc::default(),
        guard: Arc::new(Guard::new(Arc::clone(&store), &registry, Arc::clone(&clock))),
        hosts: Arc::new(hosts),
        renewer: Arc::clone(&renewer),
        store,
        registry,
        clock,
        entropy,
    };
    Process { renewer, checker }
}

async fn access(renewer: &Arc<Renewer>, user: &str) -> Result<String, TokensError> {
    access_to(Why::Check, renewer, user).await
}

async fn access_to(why: Why, renewer: &Arc<Renewer>, user: &str) -> Result<String, TokensError> {
    Ok(renewer.tokens(&user.into(), why).await?.tokens.access.expose().to_owned())
}

/// So many ask at once, every other one to use them; what they got.
async fn crowd(renewers: &[Arc<Renewer>], user: &'static str, readers: usize) -> Vec<String> {
    let asking = (0..readers).map(|number| {
        let renewer = Arc::clone(&renewers[number % renewers.len()]);
        let why = if (number / renewers.len()).is_multiple_of(2) { Why::Use } else { Why::Check };
        tokio::spawn(async move { access_to(why, &renewer, user).await.unwrap() })
    });
    join_all(asking).await.into_iter().map(|got| got.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_read_an_expired_grant_renew_it_once_a_hundred_times_over() {
    let world = World::new().await;
    let renewers = [Arc::clone(&world.process.renewer)];
    for round in 1..=100 {
        world.clock.advance(HOUR * 8);
        let got = crowd(&renewers, "alice", 1000).await;
        assert_eq!(world.provider.posts(), round);
        let (access, _) = world.provider.pair("alice");
        assert!(got.len() == 1000 && got.iter().all(|one| *one == access), "round {round}");
    }
    world.assert_last_pair_is_kept("alice").await;
    assert_eq!(world.kept("alice").await.generation, 101);
    assert_eq!(world.kept("bob").await.generation, 1, "nobody else's business");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_three_stores_on_one_database_renew_once_a_hundred_times_over() {
    let world = World::new().await;
    let others = [world.another().await, world.another().await];
    let renewers = [&world.process, &others[0], &others[1]].map(|process| Arc::clone(&process.renewer));
    for round in 1..=100 {
        world.clock.advance(HOUR * 8);
        let got = crowd(&renewers, "alice", 1000).await;
        assert_eq!(world.provider.posts(), round);
        let (access, _) = world.provider.pair("alice");
        assert!(got.iter().all(|one| *one == access), "round {round}");
    }
    world.assert_last_pair_is_kept("alice").await;
}

/// A clock that counts who looks at it.
struct Watched {
    clock: TestClock,
    looks: Arc<AtomicUsize>,
}

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.clock.now()
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }
}

#[tokio::test]
async fn who_looked_at_the_clock_before_the_holder_of_the_lease_does_not_ask_as_well() {
    let world = World::new().await;
    world.clock.advance(HOUR * 8);
    // It looked, and then had to wait until the holder had written down that it asks.
    let (earlier, looks) = (TestClock::new(), Arc::new(AtomicUsize::new(0)));
    earlier.set(world.clock.now().minus(Duration::from_millis(1)));
    let late = world.another_by(Watched { clock: earlier, looks: Arc::clone(&looks) }).await;
    world.provider.then([Next::Waits]);
    let ask = |process: &Process| {
        let renewer = Arc::clone(&process.renewer);
        tokio::spawn(async move { access(&renewer, "alice").await })
    };
    let holder = ask(&world.process);
    while world.provider.posts() == 0 {
        tokio::task::yield_now().await;
    }
    let late = ask(&late);
    // Whether it is due, once more whether it is, and for the lease: whoever looks again was refused the lease, or has
    // asked.
    while looks.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.provider.posts(), 1);
    world.provider.go_on.notify_one();
    assert_eq!(holder.await.unwrap().unwrap(), "alice-access-1");
    assert_eq!(late.await.unwrap().unwrap(), "alice-access-1");
    assert_eq!(world.provider.posts(), 1);
    world.assert_last_pair_is_kept("alice").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_who_wait_for_a_slow_renewal_are_all_served_by_it() {
    let world = World::new().await;
    world.clock.advance(HOUR);
    world.provider.then([Next::Waits]);
    // So short-lived that it is due again at once: even then nobody renews what another has just renewed.
    *locked(&world.provider.life) = Some(MINUTE * 4);
    let renewers = [Arc::clone(&world.process.renewer)];
    let asking = tokio::spawn(async move { crowd(&renewers, "alice", 200).await });
    while world.provider.posts() == 0 {
        tokio::task::yield_now().await;
    }
    // All have found it due, and wait.
    while Arc::strong_count(&world.process.renewer.lock(&"alice".into())) < 201 {
        tokio::task::yield_now().await;
    }
    world.provider.go_on.notify_one();
    let got = asking.await.unwrap();
    assert_eq!((got.len(), world.provider.posts()), (200, 1));
    assert!(got.iter().all(|one| *one == world.provider.pair("alice").0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_who_wait_for_a_renewal_in_vain_do_not_try_one_after_the_other() {
    for why in [Why::Use, Why::Check] {
        let world = World::new().await;
        world.clock.advance(MINUTE * 2);
        world.provider.then([Next::WaitsInVain]);
        let asking: Vec<_> = (0..200)
            .map(|_| {
                let renewer = Arc::clone(&world.process.renewer);
                tokio::spawn(async move { access_to(why, &renewer, "alice").await })
            })
            .collect();
        while world.provider.posts() == 0
            || Arc::strong_count(&world.process.renewer.lock(&"alice".into())) < 201
        {
            tokio::task::yield_now().await;
        }
        world.provider.go_on.notify_one();
        for got in join_all(asking).await {
            match (why, got.unwrap()) {
                (Why::Use, Ok(access)) => assert_eq!(access, "alice-access-0", "it still works"),
                (Why::Check, Err(TokensError::NotRenewed(Setback::Unreachable))) => {}
                (_, other) => panic!("{why:?}: {other:?}"),
            }
        }
        assert_eq!(world.provider.posts(), 1);
        // It is well again, and somebody wants to know.
        assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
        assert_eq!(world.provider.posts(), 2);
    }
}

/// Keyed by the token, two people with the same one, or with none, would share an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_with_equal_tokens_never_share_an_answer() {
    for same in ["", "same"] {
        let world = World::new().await;
        for (user, _) in USERS {
            let tokens = world.provider.issue(user);
            let tokens = Tokens { access: Secret::new(same), refresh: tokens.refresh };
            let mut new = world.store.sealed(&user.into()).await.unwrap().unwrap();
            new.credential.generation += 1;
            let origin = world.provider.origin();
            new.sealed =
                world.keys.seal_tokens(&new.credential, &origin, &tokens, &TestEntropy::new(3)).unwrap();
            assert!(world.store.renew(&new, world.clock.now()).await.unwrap());
        }
        world.clock.advance(HOUR);
        let renewers = [Arc::clone(&world.process.renewer)];
        let (alices, bobs) = tokio::join!(crowd(&renewers, "alice", 100), crowd(&renewers, "bob", 100));
        assert_eq!(world.provider.posts(), 2, "one each");
        assert!(alices.iter().all(|one| one == "alice-access-1"));
        assert!(bobs.iter().all(|one| one == "bob-access-1"));
    }
}

#[tokio::test]
async fn who_goes_away_or_breaks_off_does_not_block_the_next() {
    let world = World::new().await;
    world.clock.advance(HOUR);
    world.provider.then([Next::Waits]);
    let gone = tokio::spawn({
        let renewer = Arc::clone(&world.process.renewer);
        async move { access(&renewer, "alice").await }
    });
    while world.provider.posts() == 0 {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    world.provider.go_on.notify_one();
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1", "what was under way was kept");
    assert_eq!(world.provider.posts(), 1);

    world.clock.advance(HOUR * 8);
    world.provider.then([Next::BreaksOff]);
    assert!(matches!(world.access("alice").await, Err(TokensError::NotRenewed(Setback::Lost))));
    assert_eq!(
        world.access("alice").await.unwrap(),
        "alice-access-2",
        "at once, without waiting for a lease"
    );
    world.assert_last_pair_is_kept("alice").await;
}

#[tokio::test]
async fn a_chain_of_renewals_always_shows_the_refresh_token_that_came_last() {
    let world = World::new().await;
    for number in 1..=10 {
        world.clock.advance(HOUR * 8);
        assert_eq!(world.access("alice").await.unwrap(), format!("alice-access-{number}"));
        world.assert_last_pair_is_kept("alice").await;
    }
    let shown: Vec<String> = (0..10).map(|number| format!("alice-refresh-{number}")).collect();
    assert_eq!(*locked(&world.provider.asked), shown, "each once");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_followed_by_one_more_try_that_mends_it() {
    let world = World::new().await;
    world.clock.advance(HOUR);
    world.provider.then([Next::IsLostOnTheWay]);
    assert!(matches!(world.access("alice").await, Err(TokensError::NotRenewed(Setback::Lost))));
    let unknown = world.kept("alice").await;
    assert_eq!((unknown.renewal_lost_at, unknown.standing.invalid), (Some(world.clock.now()), false));
    let due_at = unknown.due_at.unwrap();
    assert!(due_at.since(world.clock.now()) <= MINUTE * 6, "soon");
    world.clock.advance(MINUTE * 6);
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
    let well = world.kept("alice").await;
    assert_eq!((well.renewal_lost_at, well.standing.invalid, well.generation), (None, false, 2));
    assert_eq!(world.provider.posts(), 2);
}

#[tokio::test]
async fn a_refresh_token_that_a_lost_answer_used_up_is_tried_once_more_and_then_said_to_be_that() {
    let world = World::new().await;
    world.clock.advance(HOUR);
    world.provider.then([Next::IsLost]);
    assert!(world.access("alice").await.is_err());
    world.clock.advance(MINUTE * 6);
    assert!(matches!(world.access("alice").await, Err(TokensError::NotRenewed(Setback::Refused))));
    let dead = world.kept("alice").await;
    assert!(dead.standing.invalid && dead.renewal_lost_at.is_some());
    assert_eq!(dead.standing.evidence.answer, "invalid_grant, after the answer to the last renewal was lost");
    assert_eq!(dead.due_at, None, "nobody tries by themselves any more");
    assert_eq!(world.provider.posts(), 2);
    // Authorizing again is a new beginning.
    let tokens = world.provider.issue("alice");
    let mut new = world.store.sealed(&"alice".into()).await.unwrap().unwrap();
    new.credential.generation += 1;
    new.credential.standing = Standing::good(world.clock.now(), Evidence::new("GET /user", "200"));
    let origin = world.provider.origin();
    new.sealed = world.keys.seal_tokens(&new.credential, &origin, &tokens, &TestEntropy::new(3)).unwrap();
    assert!(contract::keep(world.store.as_ref(), &new, &["acme.production"]).await);
    assert_eq!(world.kept("alice").await.renewal_lost_at, None);
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
}

#[tokio::test]
async fn a_process_that_died_while_it_renewed_leaves_a_mark_that_the_next_one_reads() {
    for (used_up, alive) in [(false, true), (true, false)] {
        let world = World::new().await;
        world.clock.advance(HOUR);
        let now = world.clock.now();
        // It took the lease, asked, and died.
        let lease = world.store.lease_refresh(&"alice".into(), 1, now, now.plus(LEASE)).await.unwrap();
        assert_eq!(lease, Lease::Taken { lost_at: None });
        if used_up {
            world.provider.rotate("alice-refresh-0").unwrap();
        }
        world.clock.advance(LEASE);
        assert_eq!(world.access("alice").await.is_ok(), alive);
        let kept = world.kept("alice").await;
        assert_eq!((kept.standing.invalid, kept.renewal_lost_at.is_some()), (!alive, !alive));
        assert_eq!(world.provider.posts(), 1, "once");
    }
}

#[tokio::test]
async fn one_that_was_frozen_past_its_lease_keeps_nothing_over_what_another_has_renewed() {
    let world = World::new().await;
    let other = world.another().await;
    world.clock.advance(HOUR);
    world.provider.then([Next::Waits, Next::Answers]);
    let frozen = tokio::spawn({
        let renewer = Arc::clone(&world.process.renewer);
        async move { access(&renewer, "alice").await }
    });
    while world.provider.posts() == 0 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(LEASE + MINUTE);
    assert_eq!(access(&other.renewer, "alice").await.unwrap(), "alice-access-1");
    // Now the provider takes its question, and ends the family for it: what the other one kept is refused from here on,
    // but nothing was written over it.
    world.provider.go_on.notify_one();
    assert_eq!(frozen.await.unwrap().unwrap(), "alice-access-1", "it takes what the other one kept");
    let kept = world.kept("alice").await;
    assert_eq!((kept.generation, kept.standing.invalid, kept.renewal_lost_at), (2, false, None));
}

#[tokio::test]
async fn a_provider_that_begins_to_end_tokens_is_understood_with_the_first_renewal() {
    let world = World::new().await;
    *locked(&world.provider.life) = None;
    world.clock.advance(HOUR);
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
    assert_eq!(world.kept("alice").await.renew_at, None, "no end");
    world.clock.advance(HOUR * 100);
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
    // Overnight it ends all that is older than two hours, and says so from then on.
    *locked(&world.provider.life) = Some(HOUR * 2);
    locked(&world.provider.families).get_mut("alice").unwrap().access.push_str(" ended");
    let known = world.kept("alice").await;
    let asked = world.process.checker.examine(&known).await.unwrap();
    assert!(asked.outcome.is_ok(), "renewed before anybody is told");
    let kept = world.kept("alice").await;
    assert_eq!(kept.renew_at, Some(world.clock.now().plus(HOUR * 2 - MINUTE * 12)));
    assert!(!kept.standing.invalid);
    assert_eq!(world.provider.posts(), 2);
}

#[tokio::test]
async fn whoever_gets_a_token_is_told_when_it_ends() {
    let world = World::new().await;
    let ends_soon = |known: &Credential| known.secret_ends_at().unwrap() < world.clock.now().plus(SOON);
    let soon = async || {
        ends_soon(&world.process.renewer.tokens(&"alice".into(), Why::Use).await.unwrap().credential)
    };
    assert!(!soon().await, "not due yet");
    world.clock.advance(HOUR);
    assert!(!soon().await, "renewed for eight hours");
    *locked(&world.provider.life) = Some(Duration::from_secs(50));
    world.clock.advance(HOUR * 8);
    assert!(soon().await, "the provider gives no more");
    // One that nothing renews.
    let mut pasted = contract::token("t", "alice", "github");
    pasted.credential.expires_at = Some(world.clock.now().plus(MINUTE));
    let tokens = Tokens { access: Secret::new("pasted"), refresh: None };
    let origin = world.provider.origin();
    pasted.sealed =
        world.keys.seal_tokens(&pasted.credential, &origin, &tokens, &TestEntropy::new(3)).unwrap();
    assert!(contract::keep(world.store.as_ref(), &pasted, &["zoo.main"]).await);
    let handed = async || world.process.renewer.tokens(&"t".into(), Why::Use).await.unwrap();
    assert!(!ends_soon(&handed().await.credential));
    world.clock.advance(Duration::from_secs(1));
    assert!(ends_soon(&handed().await.credential));
    assert_eq!(handed().await.credential.method, Method::Token);
}

#[tokio::test]
async fn an_expired_grant_stays_renewable() {
    let world = World::new().await;
    world.clock.advance(HOUR * 24 * 60);
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
    assert!(!world.kept("alice").await.standing.invalid);
}

#[tokio::test]
async fn a_lease_of_a_clock_that_was_wrong_keeps_nobody_from_renewing() {
    let world = World::new().await;
    let now = world.clock.now();
    world.clock.set(now.plus(HOUR * 24 * 365));
    let ahead = world.clock.now();
    let lease = world.store.lease_refresh(&"alice".into(), 1, ahead, ahead.plus(LEASE)).await.unwrap();
    assert_ne!(lease, Lease::Refused);
    world.clock.set(now.plus(HOUR));
    assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
}

#[tokio::test]
async fn a_grant_that_can_not_be_renewed_is_not_asked_about_each_time_somebody_reads_it() {
    for next in [Next::IsLostOnTheWay, Next::IsLost] {
        let world = World::new().await;
        world.clock.advance(HOUR);
        // Every ten seconds of a day somebody wants to use it, and nobody gets it.
        let mut last = None;
        for _ in 0..24 * 360 {
            world.provider.then([next]);
            let posts = world.provider.posts();
            let got = world.process.renewer.tokens(&"alice".into(), Why::Use).await;
            assert!(got.is_err());
            if world.provider.posts() > posts {
                let now = world.clock.now();
                assert!(last.is_none_or(|last: Timestamp| now.since(last) >= Duration::from_secs(30)));
                last = Some(now);
            }
            world.clock.advance(Duration::from_secs(10));
        }
        let posts = world.provider.posts();
        assert!((2..=50).contains(&posts), "{posts} in a day");
    }
}

#[tokio::test]
async fn a_grant_that_is_replaced_or_deleted_while_it_is_renewed_stays_so() {
    for replaced in [true, false] {
        let world = World::new().await;
        world.clock.advance(HOUR);
        world.provider.then([Next::Waits]);
        let renewing = tokio::spawn({
            let renewer = Arc::clone(&world.process.renewer);
            async move { access(&renewer, "alice").await }
        });
        while world.provider.posts() == 0 {
            tokio::task::yield_now().await;
        }
        if replaced {
            // She authorized again meanwhile: another grant of the same account.
            let tokens = Tokens { access: Secret::new("new"), refresh: Some(Secret::new("renews it")) };
            let mut new = world.store.sealed(&"alice".into()).await.unwrap().unwrap();
            new.credential.generation += 1;
            new.credential.renew_at = Some(world.clock.now().plus(HOUR));
            let origin = world.provider.origin();
            new.sealed =
                world.keys.seal_tokens(&new.credential, &origin, &tokens, &TestEntropy::new(3)).unwrap();
            assert!(contract::keep(world.store.as_ref(), &new, &["acme.production"]).await);
        } else {
            let runtime = contract::runtime("acme.production");
            world
                .store
                .delete(&contract::id("alice"), &runtime, None, world.clock.now())
                .await
                .unwrap()
                .unwrap();
        }
        world.provider.go_on.notify_one();
        let got = renewing.await.unwrap();
        if replaced {
            assert_eq!(got.unwrap(), "new");
            assert_eq!(world.access("alice").await.unwrap(), "new");
        } else {
            assert!(matches!(got, Err(TokensError::Gone)));
            assert!(!contract::exists(world.store.as_ref(), "alice").await);
        }
        assert_eq!(world.access("bob").await.unwrap(), "bob-access-1", "nobody else's business");
    }
}

/// What can happen to alice's grant, one step of one of those who have to do with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// The first one who renews, or the second, takes the lease.
    Lease(usize),
    /// It keeps what the provider gave it, if it has a lease.
    Renew(usize),
    /// It ends its lease without a result.
    Release(usize),
    Delete,
    /// The grant is authorized anew.
    Replace,
    /// A check notes what it found out about what it had read.
    Record,
}

const SCHEDULED: [&[Step]; 5] = [
    &[Step::Lease(0), Step::Renew(0), Step::Release(0)],
    &[Step::Lease(1), Step::Renew(1)],
    &[Step::Delete],
    &[Step::Replace],
    &[Step::Record],
];

/// All orders in which these may happen, each one's own steps in its order.
fn schedules(left: [usize; 5], done: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
    let mut any = false;
    for (who, steps) in SCHEDULED.iter().enumerate() {
        if let Some(step) = steps.get(left[who]) {
            any = true;
            let mut left = left;
            left[who] += 1;
            done.push(*step);
            schedules(left, done, all);
            done.pop();
        }
    }
    if !any {
        all.push(done.clone());
    }
}

/// What is kept for alice, as her runtime uses it.
async fn in_use(store: &SqliteStore) -> Option<NewCredential> {
    let id = contract::in_use(store, "alice", "acme.production").await?;
    store.sealed(&id).await.unwrap()
}

/// Walks one schedule, and holds the store to what each step answered.
async fn walk(world: &World, schedule: &[Step]) {
    let store = world.store.as_ref();
    let runtime = contract::runtime("acme.production");
    store.delete(&contract::id("alice"), &runtime, None, contract::NOW).await.unwrap();
    let first = contract::grant("alice", "alice", "octocat");
    assert!(contract::keep(store, &first, &["acme.production"]).await);
    let name =
        |new: &NewCredential| (new.credential.id.clone(), new.credential.generation, new.sealed.0.clone());
    let mut kept = Some(name(&first));
    // Until when somebody has a lease that was not ended.
    let mut leased = None;
    // What each of those who renew has read, and until when it has the lease.
    let mut leases: [Option<(NewCredential, Timestamp)>; 2] = [None, None];
    for (number, step) in schedule.iter().enumerate() {
        // A lease runs out between any two steps: whoever holds one is frozen past its end.
        let now = contract::NOW.plus(LEASE * (u32::try_from(number).unwrap() + 1));
        let read = in_use(store).await;
        let is_kept = |read: &NewCredential| {
            let (id, generation, _) = name(read);
            kept.as_ref().is_some_and(|kept| (&kept.0, kept.1) == (&id, generation))
        };
        match *step {
            Step::Lease(who) => {
                let Some(read) = read else { continue };
                let until = now.plus(LEASE);
                let Credential { id, generation, .. } = &read.credential;
                if store.lease_refresh(id, *generation, now, until).await.unwrap() != Lease::Refused {
                    leased = Some(until);
                    leases[who] = Some((read, until));
                }
            }
            Step::Renew(who) => {
                let Some((read, until)) = &leases[who] else { continue };
                let mut new = read.clone();
                new.credential.generation += 1;
                new.sealed.0 = format!("renewed by {who}").into_bytes();
                let expected = is_kept(read) && leased.is_none_or(|leased| leased == *until);
                assert_eq!(store.renew(&new, *until).await.unwrap(), expected, "{step:?} in {schedule:?}");
                if expected {
                    leased = None;
                    kept = Some(name(&new));
                }
            }
            Step::Release(who) => {
                let Some((read, until)) = &leases[who] else { continue };
                let Credential { id, generation, .. } = &read.credential;
                store.release_refresh(id, *generation, *until, Some(now)).await.unwrap();
                leased = leased.filter(|leased| leased != until);
            }
            Step::Delete => {
                let deleted = store.delete(&contract::id("alice"), &runtime, None, now).await.unwrap();
                assert_eq!(deleted.is_some(), kept.is_some(), "{schedule:?}");
                (kept, leased) = (None, None);
            }
            Step::Replace => {
                // By who read it a moment ago, or gave a new one because there was none.
                let mut new = read.unwrap_or_else(|| {
                    let mut new = contract::grant("another", "alice", "octocat");
                    new.credential.generation = 0;
                    new
                });
                new.credential.generation += 1;
                new.sealed.0 = b"replaced".to_vec();
                assert!(contract::keep(store, &new, &["acme.production"]).await, "{schedule:?}");
                (kept, leased) = (Some(name(&new)), None);
            }
            Step::Record => {
                let Some((read, _)) = &leases[0] else { continue };
                let noted = store.record(&read.credential, &read.credential.standing).await.unwrap();
                assert_eq!(noted, is_kept(read), "{schedule:?}");
            }
        }
        let found = in_use(store).await.as_ref().map(name);
        assert_eq!(found, kept, "after {step:?} in {schedule:?}");
    }
    assert_eq!(contract::exists(store, "alice").await, kept.is_some_and(|kept| kept.0 == "alice".into()));
    let bob = store.sealed(&"bob".into()).await.unwrap().unwrap();
    assert_eq!(bob.credential.generation, 1, "nobody else's business");
}

#[tokio::test]
async fn in_no_order_of_renewing_replacing_and_deleting_does_anything_come_back() {
    let mut all = Vec::new();
    schedules([0; 5], &mut Vec::new(), &mut all);
    assert_eq!(all.len(), 3360);
    let world = World::new().await;
    // Every tenth; all of them take a minute.
    for schedule in all.iter().step_by(10) {
        walk(&world, schedule).await;
    }
}

#[tokio::test]
#[ignore = "takes a minute: make soak"]
async fn soak_in_no_order_at_all_of_renewing_replacing_and_deleting_does_anything_come_back() {
    let mut all = Vec::new();
    schedules([0; 5], &mut Vec::new(), &mut all);
    let world = World::new().await;
    for schedule in &all {
        walk(&world, schedule).await;
    }
    println!("{} orders", all.len());
}

#[tokio::test]
async fn a_disk_that_is_full_when_a_renewal_is_to_be_kept_leaves_a_mark_and_the_next_try_tells() {
    let world = World::new().await;
    world.clock.advance(HOUR);
    // Before: nobody is asked for what could not be written down.
    world.store.refuse_writes(true).await;
    assert!(matches!(world.access("alice").await, Err(TokensError::Store(_))));
    assert_eq!(world.provider.posts(), 0);
    world.store.refuse_writes(false).await;
    // Between: the provider has answered.
    world.provider.then([Next::Waits]);
    let renewing = tokio::spawn({
        let renewer = Arc::clone(&world.process.renewer);
        async move { access(&renewer, "alice").await }
    });
    while world.provider.posts() == 0 {
        tokio::task::yield_now().await;
    }
    world.store.refuse_writes(true).await;
    world.provider.go_on.notify_one();
    while world.process.renewer.unkept() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The process is told to end, and there is room again: what came back was not let go of.
    world.process.renewer.stop();
    world.store.refuse_writes(false).await;
    assert_eq!(renewing.await.unwrap().unwrap(), "alice-access-1");
    assert_eq!(world.process.renewer.unkept(), 0);
    world.assert_last_pair_is_kept("alice").await;
}

#[tokio::test]
async fn trouble_with_a_check_keeps_nobody_from_renewing() {
    let later = contract::NOW.plus(HOUR * 20);
    for trouble in [Trouble::Unreachable, Trouble::RateLimited { until: Some(later) }] {
        let world = World::new().await;
        let mut known = world.kept("alice").await;
        let seen = known.standing.clone();
        known.standing.trouble = Some((trouble, world.clock.now()));
        known.due_at = Some(later);
        assert!(world.store.record(&known, &seen).await.unwrap());
        world.clock.advance(HOUR);
        let handed = world.process.renewer.tokens(&"alice".into(), Why::Use).await.unwrap();
        assert_eq!(handed.tokens.access.expose(), "alice-access-1");
        assert_eq!(handed.credential.standing.trouble.map(|(trouble, _)| trouble), Some(trouble), "its own");
        assert!(handed.credential.due_at.unwrap() <= handed.credential.renew_at.unwrap().plus(MINUTE));
        assert_eq!(world.provider.posts(), 1);
    }
}

#[tokio::test]
async fn while_nothing_can_be_renewed_for_a_day_what_still_works_is_handed_out_to_its_end_and_then_said_why_not()
 {
    for (next, setback) in [(Next::IsDown, Setback::Unreachable), (Next::IsLostOnTheWay, Setback::Lost)] {
        let world = World::new().await;
        *locked(&world.provider.life) = Some(HOUR * 2);
        world.clock.advance(HOUR);
        let end = world.clock.now().plus(HOUR * 2);
        assert_eq!(world.access("alice").await.unwrap(), "alice-access-1");
        assert_eq!(world.kept("alice").await.access_ends_at, Some(end));
        // Five minutes inside the margin it goes down.
        world.clock.advance(HOUR * 2 - MINUTE * 7);
        let (mut handed_out, mut refused) = (0, 0);
        for _ in 0..24 * 360 {
            world.provider.then([next]);
            let now = world.clock.now();
            match world.process.renewer.tokens(&"alice".into(), Why::Use).await {
                Ok(handed) => {
                    assert!(now < end);
                    assert_eq!(handed.tokens.access.expose(), "alice-access-1");
                    assert_eq!(handed.credential.secret_ends_at(), Some(end));
                    assert_eq!(handed.credential.renewal_lost_at.is_some(), setback == Setback::Lost);
                    handed_out += 1;
                }
                Err(TokensError::NotRenewed(why)) => {
                    assert!(now >= end, "{:?} before its end", end.since(now));
                    assert_eq!(why, setback);
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
            world.clock.advance(Duration::from_secs(10));
        }
        assert_eq!((handed_out, refused), (42, 24 * 360 - 42));
        let posts = world.provider.posts() - 1;
        assert!((20..=50).contains(&posts), "{posts} in a day");
        let kept = world.kept("alice").await;
        assert!(!kept.standing.invalid && kept.standing.trouble.is_some());
        // It is well again: within the hour whoever uses it gets new ones.
        world.provider.then([]);
        world.clock.advance(HOUR + MINUTE * 7);
        let handed = world.process.renewer.tokens(&"alice".into(), Why::Use).await.unwrap();
        assert_eq!(handed.tokens.access.expose(), "alice-access-2");
        assert_eq!(handed.credential.renewal_lost_at, None);
        let kept = world.kept("alice").await;
        assert_eq!((kept.standing.invalid, kept.standing.trouble, kept.generation), (false, None, 3));
        world.assert_last_pair_is_kept("alice").await;
    }
}

#[tokio::test]
async fn what_was_refused_for_good_is_not_handed_out_though_its_time_is_not_over() {
    let world = World::new().await;
    *locked(&world.provider.life) = Some(HOUR * 2);
    world.clock.advance(HOUR);
    world.access("alice").await.unwrap();
    locked(&world.provider.families).get_mut("alice").unwrap().ended = true;
    world.clock.advance(HOUR * 2 - MINUTE * 7);
    for _ in 0..3 {
        let got = access_to(Why::Use, &world.process.renewer, "alice").await;
        assert!(matches!(got, Err(TokensError::NotRenewed(Setback::Refused))));
        world.clock.advance(MINUTE);
    }
    assert_eq!(world.provider.posts(), 2, "once");
}

#[tokio::test]
async fn a_process_that_is_told_to_end_asks_nobody_any_more_and_keeps_what_is_under_way() {
    let world = World::new().await;
    // Due, and not over.
    world.clock.advance(MINUTE * 2);
    world.provider.then([Next::Waits]);
    let renewing = tokio::spawn({
        let renewer = Arc::clone(&world.process.renewer);
        async move { access(&renewer, "alice").await }
    });
    while world.provider.posts() == 0 {
        tokio::task::yield_now().await;
    }
    world.process.renewer.stop();
    let check = world.access("bob").await;
    assert!(matches!(check, Err(TokensError::NotRenewed(Setback::NotAsked))));
    let used = access_to(Why::Use, &world.process.renewer, "bob").await;
    assert_eq!(used.unwrap(), "bob-access-0", "it still works");
    let bob = world.kept("bob").await;
    assert_eq!((bob.standing.trouble, bob.renewal_lost_at), (None, None), "nothing happened");
    world.provider.go_on.notify_one();
    assert_eq!(renewing.await.unwrap().unwrap(), "alice-access-1");
    world.assert_last_pair_is_kept("alice").await;
    assert_eq!(world.provider.posts(), 1);
    // Another process need not wait for anything.
    assert_eq!(access(&world.another().await.renewer, "bob").await.unwrap(), "bob-access-1");
}

#[tokio::test]
async fn one_that_thaws_before_its_successor_is_done_keeps_what_it_got_only_if_the_successor_gets_nothing() {
    for successor_renews in [true, false] {
        let world = World::new().await;
        world.clock.advance(HOUR);
        world.provider.then([Next::Waits]);
        let frozen = tokio::spawn({
            let renewer = Arc::clone(&world.process.renewer);
            async move { access(&renewer, "alice").await }
        });
        while world.provider.posts() == 0 {
            tokio::task::yield_now().await;
        }
        world.clock.advance(LEASE);
        let (now, id) = (world.clock.now(), "alice".into());
        let until = now.plus(LEASE);
        let lease = world.store.lease_refresh(&id, 1, now, until).await.unwrap();
        assert_eq!(lease, Lease::Taken { lost_at: Some(now) });
        world.provider.go_on.notify_one();
        while world.provider.pair("alice").0 == "alice-access-0" {
            tokio::task::yield_now().await;
        }
        if successor_renews {
            let mut new = world.store.sealed(&id).await.unwrap().unwrap();
            new.credential.generation += 1;
            new.credential.renew_at = Some(now.plus(HOUR));
            let tokens = Tokens { access: Secret::new("younger"), refresh: Some(Secret::new("renews it")) };
            let origin = world.provider.origin();
            new.sealed =
                world.keys.seal_tokens(&new.credential, &origin, &tokens, &TestEntropy::new(3)).unwrap();
            assert!(world.store.renew(&new, until).await.unwrap(), "nobody was before it");
            assert_eq!(frozen.await.unwrap().unwrap(), "younger");
        } else {
            world.store.release_refresh(&id, 1, until, None).await.unwrap();
            assert_eq!(frozen.await.unwrap().unwrap(), "alice-access-1", "the last there is");
            world.assert_last_pair_is_kept("alice").await;
        }
        let kept = world.kept("alice").await;
        assert_eq!((kept.generation, kept.renewal_lost_at), (2, None));
    }
}
