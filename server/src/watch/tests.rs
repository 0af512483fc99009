//! Whole days of checks on a clock that is moved, against a host that counts what it is asked.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{
    due::{DAY, HOUR},
    host::{Pace, Trouble},
    hosts::Hosts,
    *,
};
use crate::{
    audit::Audit,
    catalogue::{Account, Declaration, DeclaredProvider, Member, Role, Runtime},
    clock::{Clock, TestClock},
    credential::{Credential, Evidence, Method, ProviderAccount, Push, Standing, Tokens},
    guard::Guard,
    id::{RuntimeId, UserId},
    person::{Name, User},
    provider::{
        Age, Auth, Doors, Grant, GrantError, Guide, Identity, OauthApp, OauthEndpoints, Presented,
        ProviderError, Registry, Settings, TokenExpiry,
        grant::Dialect,
        place::Place,
        shape::Family,
        testing::{outgoing, settings},
    },
    random::{SystemEntropy, TestEntropy},
    renew::{Renewer, Setback, Why},
    scope::ScopeSet,
    seal::{KeyRing, RootKey},
    secret::Secret,
    store::{AccessStore, NewCredential, PersonStore, Store, WatchStore, sqlite::SqliteStore},
};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// How the host answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mood {
    Well,
    Down,
    RefusesAll,
    LimitsAll { until: Timestamp },
}

/// A Git host that answers at once, and counts.
pub(crate) struct Simulated {
    place: Place,
    clock: TestClock,
    mood: Mutex<Mood>,
    dead: Mutex<HashSet<String>>,
    /// Whoever asks with one of these does not live to hear the answer.
    deadly: Mutex<HashSet<String>>,
    limited: Mutex<HashMap<String, Timestamp>>,
    /// The next answer about one of these is on its way until somebody says so.
    slow: Mutex<HashSet<String>>,
    arrives: Notify,
    asked: Mutex<Vec<(Timestamp, String)>>,
    refused: Mutex<Vec<Timestamp>>,
    probed: Mutex<Vec<String>>,
    refreshed: Mutex<Vec<Timestamp>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulated {
    pub(crate) fn new(clock: &TestClock) -> Self {
        let at = Settings {
            id: "sim".into(),
            clock: Arc::new(clock.clone()),
            ..settings("https://sim.example", &outgoing())
        };
        let url = at.base_url.clone();
        Self {
            place: Place::new(at, "Simulated", url).unwrap(),
            clock: clock.clone(),
            mood: Mutex::new(Mood::Well),
            dead: Mutex::default(),
            deadly: Mutex::default(),
            limited: Mutex::default(),
            slow: Mutex::default(),
            arrives: Notify::new(),
            asked: Mutex::default(),
            refused: Mutex::default(),
            probed: Mutex::default(),
            refreshed: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    pub(crate) fn kill(&self, token: &str) {
        lock(&self.dead).insert(token.to_owned());
    }

    pub(crate) fn revive(&self, token: &str) {
        lock(&self.dead).remove(token);
    }

    fn calls(&self) -> usize {
        lock(&self.asked).len()
    }

    pub(crate) fn calls_of(&self, token: &str) -> usize {
        lock(&self.asked).iter().filter(|(_, asked)| asked == token).count()
    }

    fn forget(&self) {
        lock(&self.asked).clear();
        lock(&self.probed).clear();
    }

    /// What a host would complain about: faster than agreed, too many bad tokens, too many at once.
    fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        let pace = Pace::default();
        let asked: Vec<Timestamp> = lock(&self.asked).iter().map(|(at, _)| *at).collect();
        for span in [1, 10, 60] {
            let most = most_within(&asked, Duration::from_secs(span));
            let allowed = pace.burst as usize + pace.per_second as usize * span as usize;
            if most > allowed {
                found.push(format!("{most} questions in {span} s"));
            }
        }
        // As the strictest host documents it.
        let refused = most_within(&lock(&self.refused), MINUTE * 3);
        if refused >= 30 {
            found.push(format!("{refused} bad tokens in three minutes"));
        }
        let at_once = self.most_under_way.load(Ordering::SeqCst);
        if at_once > AT_ONCE {
            found.push(format!("{at_once} at once"));
        }
        found
    }

    async fn answer(&self, token: &str) -> Mood {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        let now = self.clock.now();
        lock(&self.asked).push((now, token.to_owned()));
        assert!(!lock(&self.deadly).contains(token), "broken off, as a test wants it");
        let mut mood = *lock(&self.mood);
        if mood == Mood::Well && lock(&self.dead).contains(token) {
            mood = Mood::RefusesAll;
        }
        if let Some(until) = lock(&self.limited).get(token).filter(|until| **until > now) {
            mood = Mood::LimitsAll { until: *until };
        }
        tokio::task::yield_now().await;
        if lock(&self.slow).remove(token) {
            self.arrives.notified().await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if mood == Mood::RefusesAll {
            lock(&self.refused).push(now);
        }
        mood
    }
}

/// The most of these moments that any span holds.
fn most_within(moments: &[Timestamp], span: Duration) -> usize {
    let mut sorted = moments.to_vec();
    sorted.sort_unstable();
    let mut begin = 0;
    let mut most = 0;
    for (end, at) in sorted.iter().enumerate() {
        while sorted[begin].plus(span) <= *at {
            begin += 1;
        }
        most = most.max(end + 1 - begin);
    }
    most
}

fn evidence(answer: &str) -> Evidence {
    Evidence { request: "GET /user".into(), answer: answer.into() }
}

#[async_trait]
impl Provider for Simulated {
    fn place(&self) -> &Place {
        &self.place
    }
    fn family(&self) -> &'static Family {
        &Family { label: "Simulated", user: &[], other: &[] }
    }
    fn dialect(&self) -> &'static Dialect {
        panic!("renews without asking")
    }
    fn icon(&self) -> &'static str {
        "none"
    }
    fn kind_label(&self, _: &str) -> &'static str {
        "token"
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
        match self.answer(presented.token.expose()).await {
            Mood::Well => Ok(Identity {
                owner: ProviderAccount { id: "1".into(), login: "octocat".into() },
                kind: "classic".into(),
                scopes: None,
                expiry: TokenExpiry::Unknown,
                evidence: evidence("200"),
            }),
            Mood::Down => Err(ProviderError::Unreachable(evidence("503"))),
            Mood::RefusesAll => Err(ProviderError::Rejected(evidence("401"))),
            Mood::LimitsAll { until } => {
                Err(ProviderError::RateLimited { until: Some(until), evidence: evidence("429") })
            }
        }
    }

    async fn may_push(&self, _: &Presented<'_>, repository: &str) -> Push {
        lock(&self.probed).push(repository.to_owned());
        Push::Allowed
    }

    fn oauth_endpoints(&self) -> OauthEndpoints {
        panic!("nobody authorizes")
    }

    fn revocation_page(&self, _: Method, _: &str) -> url::Url {
        panic!("nobody revokes")
    }

    async fn exchange(&self, _: &OauthApp, _: &Secret, _: &Secret) -> Result<Grant, GrantError> {
        panic!("nobody authorizes")
    }

    async fn refresh(&self, _: &OauthApp, _: &Secret) -> Result<Grant, GrantError> {
        lock(&self.refreshed).push(self.clock.now());
        match *lock(&self.mood) {
            Mood::Well => Ok(Grant {
                access: Secret::new("renewed"),
                refresh: Some(Secret::new("renews")),
                expires_in: Some(HOUR * 8),
                refresh_expires_in: None,
                scopes: None,
            }),
            _ => Err(GrantError::Unreachable(evidence("503"))),
        }
    }
}

/// Users with tokens, a host, and one server process.
pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) store: Arc<SqliteStore>,
    keys: Arc<KeyRing>,
    pub(crate) host: Arc<Simulated>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) folder: tempfile::TempDir,
    /// Due at any time within that span, instead of when the rules say.
    spread: Option<Duration>,
}

impl World {
    /// Of each user, so many tokens, each for a runtime of its own; due as they would be an hour after they were given.
    pub(crate) async fn of(users: &[usize]) -> Self {
        Self::with(users, |_, _| None, None).await
    }

    /// As if they had been given over the last hour.
    async fn spread(users: &[usize]) -> Self {
        Self::with(users, |_, _| None, Some(HOUR)).await
    }

    async fn with(
        users: &[usize],
        repository: fn(usize, usize) -> Option<&'static str>,
        spread: Option<Duration>,
    ) -> Self {
        let clock = TestClock::new();
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("gitward.db")).await.unwrap());
        let entropy = TestEntropy::new(7);
        let root = RootKey::for_test([7; 32]);
        let keys = Arc::new(KeyRing::open(&root, store.as_ref(), &clock, &entropy).await.unwrap());
        let host = Arc::new(Simulated::new(&clock));
        let mut declaration = Declaration {
            providers: vec![DeclaredProvider { id: host.id().clone(), origin: host.origin() }],
            ..Declaration::default()
        };
        for (user, tokens) in users.iter().enumerate() {
            let account = format!("a{user}");
            declaration.accounts.push(Account { id: account.as_str().into(), name: account.clone() });
            let name = Name::parse(&format!("u{user}")).unwrap();
            declaration.members.push(Member {
                account: account.as_str().into(),
                name: name.clone(),
                role: Role::Member,
            });
            let now = clock.now();
            let person = User {
                id: UserId(name.to_string()),
                name,
                password: None,
                disabled_at: None,
                created_at: now,
            };
            assert!(store.add_user(&person).await.unwrap());
            for number in 0..*tokens {
                declaration.runtimes.push(Runtime {
                    id: RuntimeId(format!("{account}.r{number}")),
                    account: account.as_str().into(),
                    name: format!("r{number}"),
                    provider: host.id().clone(),
                    oauth_app: Some("app".into()),
                    repository: repository(user, number).map(str::to_owned),
                    scopes: None,
                });
            }
        }
        store.apply(&declaration, clock.now()).await.unwrap();
        let watch = process(&store, &keys, &host, &clock);
        let world = Self { clock, store, keys, host, watch, folder, spread };
        for (user, tokens) in users.iter().enumerate() {
            for number in 0..*tokens {
                world.give(user, number, |_| {}).await;
            }
        }
        world
    }

    /// Gives a runtime its token, which is called like it.
    pub(crate) async fn give(&self, user: usize, number: usize, change: impl FnOnce(&mut Credential)) {
        let now = self.clock.now();
        let name = token(user, number);
        let mut credential = Credential {
            id: CredentialId(name.clone()),
            user: UserId(format!("u{user}")),
            provider: self.host.id().clone(),
            method: Method::Token,
            kind: "classic".into(),
            oauth_app: None,
            generation: 1,
            owner: ProviderAccount { id: "1".into(), login: "octocat".into() },
            user_name: None,
            scopes: None,
            expires_at: None,
            expiry_unknown: true,
            noted_end: None,
            renew_at: None,
            access_ends_at: None,
            renewal_lost_at: None,
            standing: Standing::good(now, evidence("200")),
            due_at: None,
            created_at: now,
        };
        change(&mut credential);
        credential.due_at = match self.spread {
            Some(spread) => Some(now.plus(due::jitter(&SystemEntropy, spread))),
            None => due::next(&credential, now, &SystemEntropy),
        };
        let refresh = credential.oauth_app.is_some().then(|| Secret::new("renews"));
        let tokens = Tokens { access: Secret::new(name.as_str()), refresh };
        let origin = self.host.origin();
        let sealed = self.keys.seal_tokens(&credential, &origin, &tokens, &SystemEntropy).unwrap();
        let new = NewCredential { credential, sealed };
        let runtime = RuntimeId(format!("a{user}.r{number}"));
        assert!(self.store.keep(&new, &[(runtime, None)], None, now).await.unwrap().is_some());
    }

    /// Time passes, in such steps.
    async fn pass(&self, span: Duration, step: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let step = step.min(left);
            self.clock.advance(step);
            left -= step;
            self.round().await;
        }
    }

    pub(crate) async fn round(&self) -> usize {
        round(&self.watch).await
    }

    pub(crate) async fn credential(&self, user: usize, number: usize) -> Credential {
        let id = CredentialId(token(user, number));
        self.store.watched(&id).await.unwrap().unwrap().credential
    }

    async fn invalid(&self) -> usize {
        let all = self.store.all_sealed().await.unwrap();
        all.iter().filter(|kept| kept.credential.standing.invalid).count()
    }

    /// Gives somebody a grant instead of their token. Its access token, which is called like it, ends so soon.
    async fn grant(&self, user: usize, life: Duration) {
        let runtime = RuntimeId(format!("a{user}.r0"));
        let (whose, now) = (UserId(format!("u{user}")), self.clock.now());
        self.store.delete(&whose, &runtime, None, now).await.unwrap().unwrap();
        self.give(user, 0, |credential| {
            credential.method = Method::Oauth2;
            credential.oauth_app = Some("app".into());
            credential.renew_at = Some(now.plus(life - life / 10));
            credential.access_ends_at = Some(now.plus(life));
        })
        .await;
    }

    /// What somebody gets who wants to use a credential.
    async fn used(&self, user: usize, number: usize) -> Result<String, TokensError> {
        let id = CredentialId(token(user, number));
        let handed = self.watch.checker.renewer.tokens(&id, Why::Use).await?;
        Ok(handed.tokens.access.expose().to_owned())
    }

    async fn doubtful(&self) -> usize {
        let all = self.store.all_sealed().await.unwrap();
        let good = |standing: &Standing| {
            !standing.invalid && standing.rejected_since.is_none() && standing.trouble.is_none()
        };
        all.iter().filter(|kept| !good(&kept.credential.standing)).count()
    }

    async fn incidents(&self) -> Vec<host::Incident> {
        self.store.incidents(Timestamp::from_micros(0)).await.unwrap()
    }
}

pub(crate) fn token(user: usize, number: usize) -> String {
    format!("token-{user}-{number}")
}

async fn round(watch: &Arc<Watch>) -> usize {
    let begun = watch.round().await.unwrap();
    let count = begun.len();
    for task in join_all(begun).await {
        task.unwrap();
    }
    count
}

/// A server process on that database.
fn process(
    store: &Arc<SqliteStore>,
    keys: &Arc<KeyRing>,
    host: &Arc<Simulated>,
    clock: &TestClock,
) -> Arc<Watch> {
    let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(store);
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let entropy: Arc<dyn crate::random::Entropy> = Arc::new(TestEntropy::new(11));
    let provider: Arc<dyn Provider> = Arc::<Simulated>::clone(host);
    let app = OauthApp {
        id: "app".into(),
        provider: "sim".into(),
        client_id: "client".into(),
        client_secret: Secret::new("secret"),
    };
    let registry = Arc::new(Registry::new([provider], [app]));
    let under_way = TaskTracker::new();
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
        under_way.clone(),
    ));
    let hosts = Hosts::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&entropy), HashMap::new());
    let guard = Arc::new(Guard::new(Arc::clone(&store), &registry, Arc::clone(&clock)));
    let (hosts, changes) = (Arc::new(hosts), Arc::default());
    let checker = Checker { store, registry, renewer, guard, hosts, clock, entropy, changes, audit };
    Arc::new(Watch::new(Arc::new(checker), under_way))
}

#[tokio::test]
async fn every_token_is_asked_about_within_the_hour_and_no_limit_of_the_host_is_broken() {
    let mut users = vec![15; 12];
    users.push(120);
    let world = World::of(&users).await;
    world.pass(HOUR + MINUTE, SECOND * 5).await;
    let total: usize = users.iter().sum();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for (_, token) in lock(&world.host.asked).iter() {
        *counts.entry(token.clone()).or_default() += 1;
    }
    assert_eq!(counts.len(), total, "all of them");
    let twice = counts.values().filter(|count| **count > 1).count();
    assert!(twice < total / 4 && counts.values().all(|count| *count <= 2), "{twice} twice");
    assert_eq!(world.host.violations(), [] as [String; 0]);
    assert_eq!((world.invalid().await, world.incidents().await.len()), (0, 0));
}

#[tokio::test]
async fn after_a_night_off_all_is_asked_at_the_hosts_pace() {
    let world = World::of(&[300]).await;
    world.clock.advance(DAY);
    for _ in 0..80 {
        world.clock.advance(Duration::from_millis(250));
        world.round().await;
    }
    assert_eq!(world.host.calls(), 300, "each once");
    assert_eq!(world.host.violations(), [] as [String; 0]);
}

#[tokio::test]
async fn a_user_with_hundreds_does_not_keep_another_waiting() {
    let world = World::of(&[300, 1]).await;
    world.clock.advance(HOUR * 2);
    // The one is the youngest of all.
    let mut one = world.credential(1, 0).await;
    one.due_at = Some(world.clock.now());
    assert!(world.store.record(&one, &one.standing).await.unwrap());
    assert!(world.round().await < 20);
    assert_eq!(world.host.calls_of(&token(1, 0)), 1);
}

#[tokio::test]
async fn a_host_that_is_down_for_a_day_is_one_incident_and_no_token_is_marked_invalid() {
    let world = World::of(&[40, 40]).await;
    world.pass(HOUR * 2, SECOND * 20).await;
    assert_eq!(world.doubtful().await, 0);
    world.host.forget();
    world.host.set(Mood::Down);
    world.pass(DAY, SECOND * 30).await;
    assert_eq!(world.invalid().await, 0);
    assert!(world.host.calls() < 150, "{} probes", world.host.calls());
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!((incidents[0].trouble, incidents[0].ended_at), (Trouble::Unreachable, None));

    world.host.set(Mood::Well);
    let well_at = world.clock.now();
    world.host.forget();
    world.pass(MINUTE * 30, SECOND * 10).await;
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    let noticed = incidents[0].ended_at.unwrap().since(well_at);
    assert!(noticed <= MINUTE * 17, "{noticed:?}");
    world.pass(HOUR, SECOND * 10).await;
    assert_eq!((world.doubtful().await, world.invalid().await), (0, 0));
    assert!(world.host.calls() >= 80);
    assert_eq!(world.host.violations(), [] as [String; 0]);
}

#[tokio::test]
async fn an_hour_in_which_the_host_refuses_everybody_is_one_incident_and_condemns_nobody() {
    let world = World::of(&[40, 40]).await;
    world.pass(HOUR * 2, SECOND * 20).await;
    world.host.forget();
    world.host.set(Mood::RefusesAll);
    world.pass(HOUR, SECOND * 10).await;
    assert_eq!(world.invalid().await, 0);
    assert!(world.host.calls() < 40, "{}", world.host.calls());
    let incidents = world.incidents().await;
    assert_eq!(incidents.len(), 1);
    assert_eq!((incidents[0].trouble, incidents[0].ended_at), (Trouble::Refusing, None));
    world.host.set(Mood::Well);
    world.pass(HOUR * 2, SECOND * 10).await;
    assert_eq!((world.doubtful().await, world.invalid().await), (0, 0));
    assert_eq!(world.incidents().await.len(), 1);
    assert!(world.incidents().await[0].ended_at.is_some());
    assert_eq!(world.host.violations(), [] as [String; 0]);
}

#[tokio::test]
async fn grants_of_a_host_that_is_down_for_a_day_serve_to_their_end_and_are_renewed_after_it() {
    let world = World::of(&[1, 1, 1, 1, 1, 1, 1, 1, 20]).await;
    // They end one after the other, half an hour to four hours from now.
    let life = |number: usize| HOUR / 2 * u32::try_from(number + 1).unwrap();
    for number in 0..8 {
        world.grant(number, life(number)).await;
    }
    let began = world.clock.now();
    world.host.set(Mood::Down);
    let mut refused = 0;
    for _ in 0..24 * 12 {
        world.pass(MINUTE * 5, SECOND * 30).await;
        for number in 0..8 {
            let over = world.clock.now() >= began.plus(life(number));
            match world.used(number, 0).await {
                Ok(access) => assert!(access == token(number, 0) && !over, "{number}"),
                Err(TokensError::NotRenewed(Setback::Unreachable)) => {
                    assert!(over, "{number} was still good");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(world.used(8, 0).await.unwrap(), token(8, 0), "a pasted one has no end");
    }
    assert!(refused >= 8 * 12 * 20, "{refused}");
    let tries = lock(&world.host.refreshed).len();
    assert!(tries <= 8 * 50, "{tries} tries for eight grants in a day");
    assert_eq!((world.invalid().await, world.incidents().await.len()), (0, 1));

    world.host.set(Mood::Well);
    world.pass(HOUR + MINUTE * 30, SECOND * 30).await;
    for number in 0..8 {
        assert_eq!(world.used(number, 0).await.unwrap(), "renewed");
        assert_eq!(world.credential(number, 0).await.generation, 2, "once");
    }
    assert_eq!((world.doubtful().await, world.invalid().await), (0, 0));
    assert_eq!(world.host.violations(), [] as [String; 0]);
}

#[tokio::test]
async fn an_hour_in_which_the_host_refuses_everybody_takes_no_grant_from_anybody() {
    let world = World::of(&[1, 1, 1, 1, 1, 1, 1, 1, 20]).await;
    for number in 0..8 {
        world.grant(number, HOUR * if number < 4 { 8 } else { 2 }).await;
    }
    // The time to renew half of them comes while it refuses all.
    world.pass(HOUR + MINUTE * 30, SECOND * 20).await;
    world.host.set(Mood::RefusesAll);
    for minute in 0..60 {
        world.pass(MINUTE, SECOND * 20).await;
        for number in 0..8 {
            let got = world.used(number, 0).await;
            match number < 4 || minute < 29 {
                true => assert_eq!(got.unwrap(), token(number, 0), "minute {minute}"),
                false => assert!(matches!(got, Ok(_) | Err(TokensError::NotRenewed(Setback::Unreachable)))),
            }
        }
    }
    assert_eq!(world.invalid().await, 0);
    world.host.set(Mood::Well);
    world.pass(HOUR * 2, SECOND * 20).await;
    for number in 0..8 {
        let expected = if number < 4 { token(number, 0) } else { "renewed".to_owned() };
        assert_eq!(world.used(number, 0).await.unwrap(), expected);
    }
    assert_eq!((world.doubtful().await, world.invalid().await), (0, 0));
    assert_eq!(world.host.violations(), [] as [String; 0]);
}

#[tokio::test]
async fn an_answer_that_was_overtaken_brings_no_dead_token_back() {
    let world = World::of(&[1, 3]).await;
    let dead = token(0, 0);
    lock(&world.host.slow).insert(dead.clone());
    let known = world.credential(0, 0).await;
    let late = tokio::spawn({
        let watch = Arc::clone(&world.watch);
        async move { watch.checker.examine(&known).await.unwrap() }
    });
    while world.host.calls_of(&dead) == 0 {
        tokio::task::yield_now().await;
    }
    world.host.kill(&dead);
    for _ in 0..3 {
        world.clock.advance(MINUTE * 11);
        for (user, runtime) in [("u1", "a1.r0"), ("u0", "a0.r0")] {
            world.watch.checker.check(&user.into(), &runtime.into()).await.unwrap();
        }
    }
    let verdict = world.credential(0, 0).await;
    assert!(verdict.standing.invalid);
    world.host.arrives.notify_one();
    let late = late.await.unwrap();
    assert!(late.outcome.is_ok() && !late.noted);
    assert_eq!(world.credential(0, 0).await, verdict);
}

#[tokio::test]
async fn a_dead_token_among_good_ones_is_noticed_and_then_left_to_its_user() {
    let world = World::of(&[1, 10]).await;
    let dead = token(0, 0);
    world.host.kill(&dead);
    world.pass(HOUR * 2, SECOND * 30).await;
    assert!(world.credential(0, 0).await.standing.invalid);
    assert_eq!((world.invalid().await, world.incidents().await.len()), (1, 0));
    world.pass(DAY * 4, MINUTE * 2).await;
    let calls = world.host.calls_of(&dead);
    assert!((6..=20).contains(&calls), "{calls} calls in four days");
    assert_eq!(world.credential(0, 0).await.due_at, None);
    world.pass(DAY, MINUTE * 5).await;
    assert_eq!(world.host.calls_of(&dead), calls, "nobody asks by themselves any more");

    lock(&world.host.dead).clear();
    world.watch.checker.check(&"u0".into(), &"a0.r0".into()).await.unwrap();
    let credential = world.credential(0, 0).await;
    assert!(!credential.standing.invalid && credential.due_at.is_some(), "its user did something");
}

#[tokio::test]
async fn a_host_that_says_when_to_come_back_hears_nothing_before() {
    let world = World::of(&[30, 30]).await;
    world.pass(HOUR, SECOND * 20).await;
    let until = world.clock.now().plus(MINUTE * 100);
    world.host.set(Mood::LimitsAll { until });
    while world.round().await == 0 {
        world.clock.advance(SECOND);
    }
    world.host.forget();
    world.watch.checker.check(&"u0".into(), &"a0.r0".into()).await.unwrap();
    while world.clock.now() < until {
        assert_eq!(world.round().await, 0);
        world.clock.advance(SECOND * 20);
    }
    assert_eq!(world.host.calls(), 0, "a user's click waits as well");
    world.host.set(Mood::Well);
    world.pass(MINUTE * 20, SECOND * 10).await;
    assert_eq!((world.invalid().await, world.doubtful().await), (0, 0));
}

#[tokio::test]
async fn the_limit_of_one_account_does_not_silence_its_host() {
    let world = World::of(&[1, 30]).await;
    let until = world.clock.now().plus(MINUTE * 90);
    lock(&world.host.limited).insert(token(0, 0), until);
    for _ in 0..6 {
        world.pass(HOUR, SECOND * 30).await;
        lock(&world.host.limited).insert(token(0, 0), world.clock.now().plus(MINUTE * 30));
    }
    let rarest = (0..30).map(|number| world.host.calls_of(&token(1, number))).min();
    assert!(rarest >= Some(4), "{rarest:?} times in six hours");
}

#[tokio::test]
async fn two_processes_on_one_database_share_the_work_and_do_nothing_twice() {
    let world = World::of(&[60, 60]).await;
    let path = world.folder.path().join("gitward.db");
    let other_store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let other = process(&other_store, &world.keys, &world.host, &world.clock);
    world.clock.advance(HOUR);
    let (mut mine, mut theirs) = (0, 0);
    for number in 0..60 {
        world.clock.advance(Duration::from_millis(250));
        // Who is the faster one at the same moment is chance, so each of them is alone once.
        let (my_turn, their_turn) = match number {
            0 => (round(&world.watch).await, 0),
            1 => (0, round(&other).await),
            _ => tokio::join!(round(&world.watch), round(&other)),
        };
        (mine, theirs) = (mine + my_turn, theirs + their_turn);
    }
    assert_eq!((mine + theirs, world.host.calls()), (120, 120));
    let tokens: HashSet<String> = lock(&world.host.asked).iter().map(|(_, token)| token.clone()).collect();
    assert_eq!(tokens.len(), 120, "each once");
    assert!(mine > 0 && theirs > 0, "{mine} and {theirs}");
    assert_eq!(world.host.violations(), [] as [String; 0], "the pace is that of both together");
}

#[tokio::test]
async fn what_a_process_that_died_had_taken_is_asked_by_another() {
    let world = World::of(&[1]).await;
    world.clock.advance(HOUR);
    let now = world.clock.now();
    let taken = world.store.take_due(world.host.id(), &[], now, now.plus(LEASE), 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    world.pass(LEASE - SECOND, SECOND * 10).await;
    assert_eq!(world.host.calls(), 0);
    world.pass(SECOND * 2, SECOND).await;
    assert_eq!(world.host.calls(), 1);
}

#[tokio::test]
async fn a_clock_that_jumps_makes_no_storm_and_starves_nobody() {
    let year = DAY * 365;
    for (span, back) in [(MINUTE * 10, false), (MINUTE * 10, true), (HOUR, true), (year, false), (year, true)]
    {
        let world = World::of(&[50]).await;
        world.pass(HOUR * 2, SECOND * 30).await;
        assert!(world.round().await < 20);
        world.host.forget();
        let now = world.clock.now();
        world.clock.set(if back { now.minus(span) } else { now.plus(span) });
        world.pass(HOUR + MINUTE * 5, SECOND * 10).await;
        for number in 0..50 {
            let calls = world.host.calls_of(&token(0, number));
            assert!((1..=3).contains(&calls), "{calls} after {span:?}, back: {back}");
        }
        assert_eq!(world.host.violations(), [] as [String; 0]);
        assert_eq!((world.invalid().await, world.incidents().await.len()), (0, 0));
    }
}

#[tokio::test]
async fn a_grant_is_renewed_before_it_ends_without_anybody_using_it() {
    let world = World::of(&[1]).await;
    let renew_at = world.clock.now().plus(HOUR * 7);
    let id = CredentialId(token(0, 0));
    let runtime = RuntimeId::from("a0.r0");
    world.store.delete(&"u0".into(), &runtime, None, world.clock.now()).await.unwrap().unwrap();
    world
        .give(0, 0, |credential| {
            credential.method = Method::Oauth2;
            credential.oauth_app = Some("app".into());
            credential.renew_at = Some(renew_at);
        })
        .await;
    world.pass(HOUR * 7 - SECOND, SECOND * 30).await;
    assert_eq!(lock(&world.host.refreshed).len(), 0, "not before its time");
    assert!(world.host.calls() >= 6, "but it is asked about: {}", world.host.calls());
    world.pass(MINUTE * 3, SECOND * 10).await;
    assert_eq!(lock(&world.host.refreshed).len(), 1);
    let kept = world.store.watched(&id).await.unwrap().unwrap().credential;
    assert_eq!((kept.generation, kept.standing.invalid), (2, false));
    assert_eq!(world.host.calls_of("renewed"), 1, "and asked about with the new one");
    world.pass(HOUR * 7, MINUTE).await;
    assert_eq!(lock(&world.host.refreshed).len(), 1, "no more than it needs");
    world.pass(MINUTE * 30, MINUTE).await;
    assert_eq!(lock(&world.host.refreshed).len(), 2);
}

#[tokio::test]
async fn a_token_whose_end_is_known_is_asked_more_often_before_it_and_never_after() {
    let world = World::of(&[1]).await;
    world.store.delete(&"u0".into(), &"a0.r0".into(), None, world.clock.now()).await.unwrap().unwrap();
    let end = world.clock.now().plus(HOUR * 6);
    world
        .give(0, 0, |credential| {
            credential.expires_at = Some(end);
            credential.expiry_unknown = false;
        })
        .await;
    world.pass(HOUR * 6 - SECOND, SECOND * 30).await;
    let calls = world.host.calls();
    assert!((23..=28).contains(&calls), "{calls} in six hours");
    world.host.place.heard(world.clock.now());
    world.pass(DAY * 5, MINUTE * 5).await;
    assert_eq!(world.host.calls(), calls, "the clock knows");
    assert_eq!(world.invalid().await, 0);
}

#[tokio::test]
async fn an_end_that_this_machines_clock_alone_says_has_come_is_asked_about() {
    let world = World::of(&[1]).await;
    let start = world.clock.now();
    let mut credential = world.credential(0, 0).await;
    credential.expires_at = Some(start.plus(DAY * 20));
    assert!(world.store.record(&credential, &credential.standing).await.unwrap());
    world.clock.set(start.plus(DAY * 30));
    assert_eq!(world.round().await, 1);
    assert_eq!(world.host.calls(), 1, "nobody has said yet what time it is");
    world.host.place.heard(world.clock.now());
    world.pass(DAY * 3, HOUR).await;
    assert_eq!(world.host.calls(), 1, "now everybody knows");
}

#[tokio::test]
async fn a_repository_is_asked_about_once_however_many_runtimes_commit_there() {
    let repository = |_, number| Some(if number < 3 { "acme/one" } else { "acme/two" });
    let world = World::with(&[4], repository, None).await;
    let runtimes: Vec<_> = (1..4).map(|number| (RuntimeId(format!("a0.r{number}")), None)).collect();
    let first = CredentialId(token(0, 0));
    world.store.assign(&"u0".into(), &first, &runtimes[..1], None, world.clock.now()).await.unwrap().unwrap();
    for runtime in &runtimes[1..] {
        let one = std::slice::from_ref(runtime);
        world.store.assign(&"u0".into(), &first, one, None, world.clock.now()).await.unwrap().unwrap();
    }
    world.clock.advance(HOUR);
    assert_eq!(world.round().await, 1, "one token for all four");
    let mut probed = lock(&world.host.probed).clone();
    probed.sort();
    assert_eq!(probed, ["acme/one", "acme/two"]);
    for number in 0..4 {
        let runtime = RuntimeId(format!("a0.r{number}"));
        let access = world.store.access(&"u0".into(), &runtime, world.clock.now()).await.unwrap().unwrap();
        assert_eq!(access.push, Some(Push::Allowed), "{number}");
    }
}

#[tokio::test]
async fn what_somebody_looks_at_comes_first_and_looking_writes_nothing() {
    let world = World::of(&[100]).await;
    world.clock.advance(HOUR * 2);
    let before = world.store.version().await.unwrap();
    let wanted = CredentialId(token(0, 77));
    world.watch.want([(world.host.id().clone(), wanted.clone())]);
    assert_eq!(world.store.version().await.unwrap(), before);
    assert!(world.round().await < 20);
    assert_eq!(world.host.calls_of(wanted.as_str()), 1);
    assert!(world.watch.wishes().values().all(Vec::is_empty), "granted");
}

#[tokio::test]
async fn nobody_asks_about_the_tokens_of_a_disabled_person() {
    let world = World::of(&[3, 3]).await;
    world.store.disable_user(&"u0".into(), world.clock.now()).await.unwrap();
    world.pass(DAY, MINUTE).await;
    assert_eq!((0..3).map(|number| world.host.calls_of(&token(0, number))).sum::<usize>(), 0);
    assert!(world.host.calls_of(&token(1, 0)) > 20);
    assert_eq!(world.store.all_sealed().await.unwrap().len(), 6, "they are kept");
}

#[tokio::test]
async fn a_token_that_does_not_open_costs_nobody_else_anything() {
    let world = World::of(&[1, 3]).await;
    let mut kept = world.store.sealed(&CredentialId(token(0, 0))).await.unwrap().unwrap();
    kept.credential.generation += 1;
    kept.sealed.0.reverse();
    let served = world.store.keep(&kept, &[("a0.r0".into(), None)], None, world.clock.now()).await.unwrap();
    assert!(served.is_some());
    world.pass(HOUR * 3, MINUTE).await;
    assert_eq!((world.host.calls_of(&token(0, 0)), world.invalid().await), (0, 0));
    assert!(world.host.calls_of(&token(1, 0)) >= 3);
    assert!(world.watch.unreadable.load(Ordering::Relaxed), "it was said, once");
}

#[tokio::test]
async fn a_check_that_breaks_off_is_made_again_and_holds_up_no_other() {
    let world = World::of(&[1, 20]).await;
    let deadly = token(0, 0);
    lock(&world.host.deadly).insert(deadly.clone());
    let mut broken_off = 0;
    for _ in 0..40 {
        world.clock.advance(MINUTE * 2);
        for task in join_all(world.watch.round().await.unwrap()).await {
            broken_off += usize::from(task.is_err());
        }
    }
    assert!(broken_off >= 3, "{broken_off}: its lease ends by itself");
    assert_eq!(world.host.calls_of(&deadly), broken_off);
    assert!((0..20).all(|number| world.host.calls_of(&token(1, number)) >= 1));
    assert_eq!(world.watch.at_once.available_permits(), AT_ONCE, "what it held is free again");
    lock(&world.host.deadly).clear();
    world.pass(LEASE, MINUTE).await;
    assert!(world.credential(0, 0).await.standing.checked_at > world.clock.now().minus(LEASE * 2));
    assert_eq!((world.invalid().await, world.incidents().await.len()), (0, 0));
}

#[tokio::test]
async fn who_is_stopped_begins_nothing_more() {
    let world = World::of(&[30]).await;
    let running = tokio::spawn(Arc::clone(&world.watch).run());
    world.watch.stop();
    tokio::time::timeout(SECOND * 20, running).await.unwrap().unwrap();
    world.clock.advance(HOUR * 2);
    let begun = world.host.calls();
    tokio::time::timeout(SECOND, Arc::clone(&world.watch).run()).await.unwrap();
    assert_eq!(world.host.calls(), begun);
    world.watch.under_way.close();
    tokio::time::timeout(SECOND * 20, world.watch.under_way.wait()).await.unwrap();
}

#[tokio::test]
async fn a_host_is_asked_no_faster_than_its_operator_says() {
    let world = World::of(&[1]).await;
    let paces = HashMap::from([("slow.example".to_owned(), Pace::of(2))]);
    let store: Arc<dyn Store> = Arc::<SqliteStore>::clone(&world.store);
    let hosts = Hosts::new(store, Arc::new(world.clock.clone()), Arc::new(TestEntropy::new(1)), paces);
    let mut asked = [0, 0];
    for _ in 0..40 {
        world.clock.advance(Duration::from_millis(250));
        for (asked, host) in asked.iter_mut().zip(["slow.example", "sim.example"]) {
            *asked += hosts.take(host, 100).await.unwrap();
        }
    }
    assert_eq!(asked, [20, 400 + 10], "in ten seconds: two a second, and as many as usual");
}

/// `GITWARD_SOAK_TOKENS` of them, a hundred thousand without it, with what it costs. The host's own records are part of
/// that: about a hundred bytes a question.
#[tokio::test]
#[ignore = "takes minutes: make soak, make bench"]
async fn soak_a_hundred_thousand_tokens_are_asked_about_within_the_hour() {
    let tokens: usize =
        std::env::var("GITWARD_SOAK_TOKENS").ok().and_then(|number| number.parse().ok()).unwrap_or(100_000);
    let world = World::spread(&vec![20; tokens / 20]).await;
    let before = spent();
    let began = crate::clock::SystemClock.steady();
    // As often as the server looks.
    for _ in 0..(HOUR + MINUTE).as_secs() * 4 {
        world.clock.advance(BUSY);
        world.round().await;
    }
    let took = crate::clock::SystemClock.steady() - began;
    let after = spent();
    let asked: HashSet<String> = lock(&world.host.asked).iter().map(|(_, token)| token.clone()).collect();
    // Read by `make bench`.
    println!(
        "{} of {tokens} asked about in an hour; {:.3} of a core; {} KiB more in memory; {:.0} checks a second as fast \
         as it goes",
        asked.len(),
        (after.0 - before.0) / HOUR.as_secs_f64(),
        after.1 - before.1,
        world.host.calls() as f64 / took.as_secs_f64(),
    );
    assert_eq!(world.host.violations(), [] as [String; 0]);
    assert!(asked.len() * 100 >= tokens * 99, "{}", asked.len());
    assert_eq!((world.invalid().await, world.incidents().await.len()), (0, 0));
}

/// Seconds of processor time, and KiB of memory.
pub(crate) fn spent() -> (f64, i64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (ticks / 100.0, memory.trim().trim_end_matches(" kB").trim().parse().unwrap())
}
