use std::collections::HashSet;

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;
use crate::{
    clock::TestClock,
    random::TestEntropy,
    store::{Store, sqlite::SqliteStore},
};

const GOOD: &str = "correct horse battery";
const OTHER: &str = "another staple entirely";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    people: People,
    store: Arc<dyn Store>,
    clock: TestClock,
    entropy: Arc<TestEntropy>,
    _folder: TempDir,
}

/// The least that Argon2 takes: these tests count hashes, they don't feel them.
fn cheap() -> Settings {
    let cost = Cost { memory_kib: 8, passes: 1, lanes: 1, ..Cost::default() };
    Settings { cost, ..Settings::default() }
}

async fn world() -> World {
    world_with(cheap()).await
}

async fn world_with(settings: Settings) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("gitward.db")).await.unwrap());
    let clock = TestClock::new();
    let entropy = Arc::new(TestEntropy::new(1));
    let people = People::new(
        Arc::<dyn Store>::clone(&store),
        Arc::new(clock.clone()),
        Arc::<TestEntropy>::clone(&entropy),
        settings,
    )
    .unwrap();
    World { people, store, clock, entropy, _folder: folder }
}

async fn redeem(
    people: &People,
    link: &Secret,
    name: &str,
    password: &Secret,
) -> Result<SignedIn, RedeemError> {
    people.redeem(people.may_redeem(link, name, password).await?).await
}

async fn change(
    people: &People,
    user: &User,
    session: &Session,
    current: &Secret,
    new: &Secret,
    address: IpAddr,
) -> Result<SignedIn, ChangeError> {
    people.change_password(people.may_change_password(user, session, current, new, address).await?).await
}

impl World {
    /// A person with the password `GOOD`, signed in.
    async fn person(&self, name: &str) -> SignedIn {
        let (_, link) = self.people.add_user(name).await.unwrap();
        redeem(&self.people, &link, "", &Secret::new(GOOD)).await.unwrap()
    }

    async fn try_as(&self, name: &str, password: &str) -> Result<SignedIn, SignInError> {
        self.people.sign_in(name, &Secret::new(password), HERE).await
    }

    async fn is_alive(&self, signed_in: &SignedIn) -> bool {
        self.people.session(&signed_in.secret).await.unwrap().is_some()
    }

    async fn failures(&self, bucket: &str) -> u32 {
        self.store.failures(bucket, self.clock.now()).await.unwrap().map_or(0, |(count, _)| count)
    }
}

fn is_wrong(result: Result<SignedIn, SignInError>) -> bool {
    matches!(result, Err(SignInError::Wrong))
}

fn wait(result: Result<SignedIn, SignInError>) -> Option<u32> {
    match result {
        Err(SignInError::Throttled { retry_after_seconds }) => Some(retry_after_seconds),
        _ => None,
    }
}

// Sessions.

#[tokio::test]
async fn a_session_ends_30_minutes_after_its_last_use() {
    let world = world().await;
    let ada = world.person("ada").await;
    for _ in 0..3 {
        world.clock.advance(29 * MINUTE);
        assert!(world.is_alive(&ada).await);
    }
    world.clock.advance(30 * MINUTE);
    assert!(!world.is_alive(&ada).await);
}

#[tokio::test]
async fn a_session_ends_12_hours_after_its_start_however_much_it_is_used() {
    let world = world().await;
    let ada = world.person("ada").await;
    for _ in 0..71 {
        world.clock.advance(10 * MINUTE);
        assert!(world.is_alive(&ada).await);
    }
    world.clock.advance(10 * MINUTE);
    assert!(!world.is_alive(&ada).await);
}

#[tokio::test]
async fn the_use_of_a_session_is_noted_once_a_minute() {
    let world = world().await;
    let ada = world.person("ada").await;
    let seen = async || world.people.session(&ada.secret).await.unwrap().unwrap().0.seen_at;
    let start = world.clock.now();
    world.clock.advance(Duration::from_secs(59));
    assert_eq!(seen().await, start);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(seen().await, start.plus(MINUTE));
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(seen().await, start.plus(MINUTE));
}

#[tokio::test]
async fn every_sign_in_has_an_id_of_its_own_and_signing_out_ends_only_that() {
    let world = world().await;
    let first = world.person("ada").await;
    let second = world.try_as("ada", GOOD).await.unwrap();
    let third = world.try_as("ada", GOOD).await.unwrap();
    let ids = HashSet::from([first.session.id.0, second.session.id.0, third.session.id.0]);
    assert_eq!(ids.len(), 3);
    assert_eq!(first.secret.expose().len(), 43, "256 bits");

    world.people.sign_out(&second.secret).await.unwrap();
    assert!(!world.is_alive(&second).await);
    assert!(world.is_alive(&first).await && world.is_alive(&third).await);
}

#[tokio::test]
async fn a_made_up_or_kept_fingerprint_is_no_session() {
    let world = world().await;
    let ada = world.person("ada").await;
    let fingerprint = URL_SAFE_NO_PAD.encode(ada.session.id.0);
    for guess in ["", "x", &fingerprint] {
        assert!(world.people.session(&Secret::new(guess)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn disabling_ends_sessions_and_links_and_keeps_out() {
    let world = world().await;
    let ada = world.person("ada").await;
    let link = world.people.reset_link("ada").await.unwrap();
    world.people.disable(" ADA ").await.unwrap();
    assert!(!world.is_alive(&ada).await);
    assert!(is_wrong(world.try_as("ada", GOOD).await));
    assert_eq!(world.people.link(&link).await.unwrap(), None);
    let redeemed = redeem(&world.people, &link, "", &Secret::new(OTHER)).await;
    assert!(matches!(redeemed, Err(RedeemError::Spent)));
    assert!(matches!(world.people.reset_link("ada").await.err(), Some(PersonError::Disabled)));
    assert!(matches!(world.people.disable("bob").await, Err(PersonError::Unknown)));
}

#[tokio::test]
async fn a_session_does_not_outlive_a_password_that_changed_while_it_began() {
    let world = world().await;
    let ada = world.person("ada").await;
    let before = world.store.user(&ada.user.id).await.unwrap().unwrap();
    world.store.set_password(&ada.user.id, "another hash", None).await.unwrap();
    assert!(world.people.start(before).await.unwrap().is_none());
}

// Changing the password.

#[tokio::test]
async fn a_new_password_ends_all_sessions_and_begins_a_new_one() {
    let world = world().await;
    let here = world.person("ada").await;
    let elsewhere = world.try_as("ada", GOOD).await.unwrap();
    let (current, new) = (Secret::new(GOOD), Secret::new(OTHER));
    let after = change(&world.people, &here.user, &here.session, &current, &new, HERE).await.unwrap();
    assert_ne!(after.session.id, here.session.id);
    assert!(world.is_alive(&after).await);
    assert!(!world.is_alive(&here).await && !world.is_alive(&elsewhere).await);
    assert!(is_wrong(world.try_as("ada", GOOD).await));
    assert!(world.try_as("ada", OTHER).await.is_ok());
}

#[tokio::test]
async fn changing_needs_the_current_password_and_guesses_at_it_are_few() {
    let world = world().await;
    let ada = world.person("ada").await;
    let eve = world.person("eve").await;
    let (wrong, right, new) = (Secret::new("not this one"), Secret::new(GOOD), Secret::new(OTHER));
    let change = async |session: &Session, current: &Secret, new: &Secret| {
        change(&world.people, &ada.user, session, current, new, HERE).await.err()
    };
    assert!(matches!(change(&eve.session, &right, &new).await, Some(ChangeError::Wrong)));
    let short = Secret::new("short");
    let problem = change(&ada.session, &right, &short).await;
    assert!(matches!(problem, Some(ChangeError::Password(PasswordProblem::TooShort))));
    for _ in 0..5 {
        assert!(matches!(change(&ada.session, &wrong, &new).await, Some(ChangeError::Wrong)));
    }
    let throttled = change(&ada.session, &right, &new).await;
    assert!(matches!(throttled, Some(ChangeError::Throttled { retry_after_seconds: 900 })));
    assert!(world.is_alive(&ada).await);
    // Not the sign-in's bucket, nor the other way round.
    assert!(world.try_as("ada", GOOD).await.is_ok());
}

// Guessing.

#[tokio::test]
async fn after_five_wrong_tries_even_the_right_one_has_to_wait() {
    let world = world().await;
    world.person("ada").await;
    for _ in 0..5 {
        assert!(is_wrong(world.try_as("ada", "wrong password").await));
        world.clock.advance(MINUTE);
    }
    let hashes = world.people.hashes();
    assert_eq!(wait(world.try_as("ada", GOOD).await), Some(600));
    assert_eq!(world.people.hashes(), hashes, "no work for a try that is turned away");
    world.clock.advance(Duration::from_millis(599_001));
    assert_eq!(wait(world.try_as("ada", GOOD).await), Some(1));
    world.clock.advance(Duration::from_millis(999));
    assert!(world.try_as("ada", GOOD).await.is_ok());
}

#[tokio::test]
async fn being_right_empties_the_bucket() {
    let world = world().await;
    world.person("ada").await;
    for _ in 0..4 {
        for _ in 0..4 {
            assert!(is_wrong(world.try_as("ada", "wrong password").await));
        }
        assert!(world.try_as("ada", GOOD).await.is_ok());
    }
}

#[tokio::test]
async fn fifty_spellings_of_a_name_share_one_bucket() {
    let world = world().await;
    world.person("ada.l").await;
    let wide = |text: &str| -> String {
        text.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect()
    };
    let spellings: Vec<String> = ["ada.l", "ADA.L", "Ada.l", "aDa.L", "adA.l"]
        .iter()
        .flat_map(|name| [(*name).to_owned(), wide(name)])
        .flat_map(|name| {
            [
                name.clone(),
                format!(" {name}"),
                format!("{name}\t"),
                format!("\u{a0}{name}\u{3000}"),
                format!("\r\n{name}\n"),
            ]
        })
        .collect();
    assert_eq!(spellings.iter().collect::<HashSet<_>>().len(), 50);
    let mut tried = 0;
    for name in &spellings {
        tried += u32::from(is_wrong(world.try_as(name, "wrong password").await));
    }
    assert_eq!(tried, 5);
    assert_eq!(world.failures(&account_bucket("ada.l")).await, 50);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_limited_like_any_other() {
    let world = world().await;
    for name in ["nobody", "not a name!", ""] {
        for _ in 0..5 {
            assert!(is_wrong(world.try_as(name, GOOD).await));
        }
        assert_eq!(wait(world.try_as(name, GOOD).await), Some(900));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_guesses_at_once_count_as_a_hundred_and_five_are_made() {
    let world = world().await;
    world.person("ada").await;
    let before = world.people.hashes();
    let mut guesses = JoinSet::new();
    for guess in 0..100 {
        let people = world.people.clone();
        // Each from an address of its own, and one of them right.
        let address = IpAddr::from([198, 51, 100, guess]);
        let password = Secret::new(if guess == 99 { GOOD.to_owned() } else { format!("wrong {guess}") });
        guesses.spawn(async move { people.sign_in("ada", &password, address).await.is_ok() });
    }
    let right = guesses.join_all().await.into_iter().filter(|&right| right).count();
    let made = world.people.hashes() - before;
    if right == 0 {
        assert_eq!(world.failures(&account_bucket("ada")).await, 100);
        assert_eq!(made, 5);
    } else {
        // It was among the first five, and emptied the bucket for those behind it.
        assert!(made <= 11, "{made}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_has_fifty_wrong_tries_over_all_names_also_at_once() {
    let world = world().await;
    world.person("ada").await;
    let before = world.people.hashes();
    let mut guesses = JoinSet::new();
    for guess in 0..150 {
        let people = world.people.clone();
        guesses.spawn(async move {
            people.sign_in(&format!("name{guess}"), &Secret::new("wrong password"), HERE).await
        });
    }
    let answers = guesses.join_all().await;
    let made = world.people.hashes() - before;
    assert!((50..=51).contains(&made), "{made}: at most one more than allowed, for the second that hashes");
    assert_eq!(answers.into_iter().filter_map(wait).count() as u64, 150 - made);

    assert_eq!(wait(world.try_as("ada", GOOD).await), Some(900));
    assert_eq!(world.failures(&account_bucket("ada")).await, 0, "the address does not use up the account");
    let elsewhere = IpAddr::from([192, 0, 2, 2]);
    assert!(world.people.sign_in("ada", &Secret::new(GOOD), elsewhere).await.is_ok());
    world.clock.advance(15 * MINUTE);
    assert!(world.try_as("ada", GOOD).await.is_ok());
}

#[tokio::test]
async fn signing_in_does_not_use_up_the_address() {
    let world = world().await;
    world.person("ada").await;
    for _ in 0..60 {
        assert!(world.try_as("ada", GOOD).await.is_ok());
    }
}

#[test]
fn an_ipv6_address_is_its_64_bits_of_network_and_a_mapped_one_is_ipv4() {
    let bucket = |text: &str| address_bucket(text.parse().unwrap());
    assert_eq!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
    assert_eq!(bucket("::ffff:192.0.2.1"), bucket("192.0.2.1"));
    assert_ne!(bucket("192.0.2.1"), bucket("192.0.2.2"));
}

#[tokio::test]
async fn whoever_asks_in_vain_costs_one_hash_and_hears_the_same() {
    let world = world().await;
    world.person("ada").await;
    world.person("gone").await;
    world.people.disable("gone").await.unwrap();
    world.people.add_user("new").await.unwrap();
    for name in ["ada", "gone", "new", "nobody", "not a name!", ""] {
        let before = world.people.hashes();
        let answer = world.try_as(name, if name == "ada" { OTHER } else { GOOD }).await;
        assert!(is_wrong(answer), "{name}");
        assert_eq!(world.people.hashes() - before, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_away_is_no_way_around_the_limits() {
    let cost = Cost { memory_kib: 64 * 1024, ..cheap().cost };
    let world = world_with(Settings { cost, ..cheap() }).await;
    let password = Secret::new("wrong password");
    tokio::select! {
        _ = world.people.sign_in("ada", &password, HERE) => panic!("the hash was too fast for this test"),
        () = async { while world.people.hashes() == 0 { tokio::task::yield_now().await } } => {}
    }
    // The visitor is gone, the hash goes on, and is counted when it is done.
    assert_eq!(world.failures(&account_bucket("ada")).await, 1);
    while world.failures(&address_bucket(HERE)).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.failures(&address_bucket(HERE)).await, 1);
}

/// By hand, alone in its process: `cargo test -p server --lib -- --ignored --exact
/// person::tests::after_many_sign_ins_the_memory_is_given_back`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures the memory of the whole process"]
async fn after_many_sign_ins_the_memory_is_given_back() {
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    let world = world_with(Settings { per_account: 1000, ..Settings::default() }).await;
    world.person("ada").await;
    let before = resident_kib();
    let mut most = before;
    let mut visits = JoinSet::new();
    for _ in 0..200 {
        let people = world.people.clone();
        visits.spawn(async move { people.sign_in("ada", &Secret::new(GOOD), HERE).await });
    }
    while let Some(_visit) = visits.join_next().await {
        most = most.max(resident_kib());
    }
    let after = resident_kib();
    println!(
        "resident: {before} KiB before, {most} KiB at most, {after} KiB after {} hashes",
        world.people.hashes()
    );
    assert!(most < 300 * 1024);
    assert!(after < 32 * 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_too_many_wait_the_next_is_turned_away() {
    let cost = Cost { at_once: 1, waiting: 0, memory_kib: 16 * 1024, ..cheap().cost };
    let world = world_with(Settings { cost, ..cheap() }).await;
    let mut guesses = JoinSet::new();
    for guess in 0..20 {
        let people = world.people.clone();
        guesses.spawn(async move { people.sign_in(&format!("name{guess}"), &Secret::new(GOOD), HERE).await });
    }
    let answers = guesses.join_all().await;
    assert!(answers.iter().any(|answer| matches!(answer, Err(SignInError::Busy))));
    assert!(answers.iter().any(|answer| matches!(answer, Err(SignInError::Wrong))));
}

#[tokio::test]
async fn other_parameters_are_taken_up_at_the_next_sign_in() {
    let world = world().await;
    let ada = world.person("ada").await;
    let settings = Settings { cost: Cost { passes: 2, ..cheap().cost }, ..cheap() };
    let later = People::new(
        Arc::<dyn Store>::clone(&world.store),
        Arc::new(world.clock.clone()),
        Arc::<TestEntropy>::clone(&world.entropy),
        settings,
    )
    .unwrap();
    assert!(ada.user.password.as_deref().unwrap().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
    let again = later.sign_in("ada", &Secret::new(GOOD), HERE).await.unwrap();
    assert!(again.user.password.as_deref().unwrap().starts_with("$argon2id$v=19$m=8,t=2,p=1$"));
    assert_eq!(later.hashes(), 2);
    assert!(world.is_alive(&ada).await, "the password is the same, so sessions stay");
    assert!(later.sign_in("ada", &Secret::new(GOOD), HERE).await.is_ok());
    assert_eq!(later.hashes(), 3);
}

#[tokio::test]
async fn a_stored_hash_that_asks_for_too_much_is_a_fault_and_no_work() {
    let world = world().await;
    let ada = world.person("ada").await;
    let greedy = ada.user.password.clone().unwrap().replace("m=8,", "m=4294967295,");
    for stored in [greedy.as_str(), "not a hash", ""] {
        world.store.set_password(&ada.user.id, stored, None).await.unwrap();
        let before = world.people.hashes();
        let answer = world.try_as("ada", GOOD).await;
        assert!(matches!(answer, Err(SignInError::Fault(Fault::Hash(_)))), "{stored}");
        assert_eq!(world.people.hashes(), before);
    }
}

// One-time links.

#[tokio::test]
async fn the_set_up_link_makes_the_first_person_and_nobody_else() {
    let world = world().await;
    let first = world.people.setup_link().await.unwrap().unwrap();
    let second = world.people.setup_link().await.unwrap().unwrap();
    assert_eq!(world.people.link(&first).await.unwrap(), None, "the second took its place");
    assert_eq!(world.people.link(&second).await.unwrap(), Some(LinkFor::SetUp));

    let redeem =
        async |name: &str, password: &str| redeem(&world.people, &second, name, &Secret::new(password)).await;
    assert!(matches!(redeem("not a name!", GOOD).await, Err(RedeemError::NameUnusable)));
    let problem = redeem("ada", "short").await;
    assert!(matches!(problem, Err(RedeemError::Password(PasswordProblem::TooShort))));
    let ada = redeem(" Ada ", GOOD).await.unwrap();
    assert_eq!(ada.user.name.as_str(), "ada");
    assert!(world.is_alive(&ada).await);
    assert!(matches!(redeem("eve", GOOD).await, Err(RedeemError::Spent)));
    assert!(world.people.setup_link().await.unwrap().is_none());
    assert!(world.try_as("ada", GOOD).await.is_ok());
}

#[tokio::test]
async fn a_set_up_link_is_of_no_use_once_anybody_exists() {
    let world = world().await;
    let link = world.people.setup_link().await.unwrap().unwrap();
    world.people.add_user("ada").await.unwrap();
    assert_eq!(world.people.link(&link).await.unwrap(), None);
    let eve = redeem(&world.people, &link, "eve", &Secret::new(GOOD)).await;
    assert!(matches!(eve, Err(RedeemError::Spent)));
}

#[tokio::test]
async fn links_end_by_the_clock() {
    let world = world().await;
    let setup = world.people.setup_link().await.unwrap().unwrap();
    world.clock.advance(59 * MINUTE);
    assert!(world.people.link(&setup).await.unwrap().is_some());
    world.clock.advance(MINUTE);
    assert_eq!(world.people.link(&setup).await.unwrap(), None);
    let late = redeem(&world.people, &setup, "eve", &Secret::new(GOOD)).await;
    assert!(matches!(late, Err(RedeemError::Spent)));

    let (ada, link) = world.people.add_user("ada").await.unwrap();
    assert_eq!(world.people.link(&link).await.unwrap(), Some(LinkFor::Password { name: ada.name }));
    world.clock.advance(24 * 60 * MINUTE);
    assert_eq!(world.people.link(&link).await.unwrap(), None);
    let late = redeem(&world.people, &link, "", &Secret::new(GOOD)).await;
    assert!(matches!(late, Err(RedeemError::Spent)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_that_set_up_at_once_one_succeeds() {
    let world = world().await;
    let link = world.people.setup_link().await.unwrap().unwrap();
    let mut attempts = JoinSet::new();
    for attempt in 0..100 {
        let (people, link) = (world.people.clone(), link.clone());
        attempts.spawn(
            async move { redeem(&people, &link, &format!("name{attempt}"), &Secret::new(GOOD)).await },
        );
    }
    let (made, refused): (Vec<_>, Vec<_>) = attempts.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.iter().all(|refused| matches!(refused, Err(RedeemError::Spent))));
    let mut people = 0;
    for attempt in 0..100 {
        let name = Name::parse(&format!("name{attempt}")).unwrap();
        people += usize::from(world.store.user_by_name(&name).await.unwrap().is_some());
    }
    assert_eq!(people, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_twenty_that_use_one_link_at_once_one_sets_the_password() {
    let world = world().await;
    let (_, link) = world.people.add_user("ada").await.unwrap();
    let mut attempts = JoinSet::new();
    for attempt in 0..20 {
        let (people, link) = (world.people.clone(), link.clone());
        let password = Secret::new(format!("my password is {attempt}"));
        attempts
            .spawn(async move { redeem(&people, &link, "", &password).await.is_ok().then_some(password) });
    }
    let set: Vec<_> = attempts.join_all().await.into_iter().flatten().collect();
    assert_eq!(set.len(), 1);
    assert!(world.people.sign_in("ada", &set[0], HERE).await.is_ok());
}

#[tokio::test]
async fn a_reset_ends_sessions_and_waiting_but_only_when_it_is_used() {
    let world = world().await;
    let ada = world.person("ada").await;
    let link = world.people.reset_link("Ada").await.unwrap();
    assert!(world.is_alive(&ada).await);
    for _ in 0..6 {
        let _ = world.try_as("ada", "wrong password").await;
    }
    assert!(wait(world.try_as("ada", GOOD).await).is_some());

    let again = redeem(&world.people, &link, "somebody else", &Secret::new(OTHER)).await.unwrap();
    assert_eq!(again.user.name.as_str(), "ada");
    assert!(world.is_alive(&again).await && !world.is_alive(&ada).await);
    assert!(world.try_as("ada", OTHER).await.is_ok());
    assert!(is_wrong(world.try_as("ada", GOOD).await));
}

#[tokio::test]
async fn names_are_unique_in_all_spellings() {
    let world = world().await;
    world.people.add_user("Ada").await.unwrap();
    assert!(matches!(world.people.add_user("ａｄａ").await.err(), Some(PersonError::NameTaken)));
    assert!(matches!(world.people.add_user("a b").await.err(), Some(PersonError::NameUnusable)));
    assert!(matches!(world.people.reset_link("bob").await.err(), Some(PersonError::Unknown)));
}

// Passwords and names.

#[test]
fn a_password_has_8_to_128_characters_and_is_neither_common_nor_a_name() {
    use PasswordProblem::{Common, Name as NameItself, TooLong, TooShort};
    let name = Name::parse("octocat99").unwrap();
    let check = |password: &str| check_password(&Secret::new(password), &name).err();
    for (password, problem) in [
        ("", Some(TooShort)),
        ("1234567", Some(TooShort)),
        ("日本語日本語日", Some(TooShort)),
        ("日本語日本語日本", None),
        (&"é".repeat(128), None),
        (&"e\u{301}".repeat(128), None),
        (&"é".repeat(129), Some(TooLong)),
        ("password", Some(Common)),
        ("PassWord", Some(Common)),
        ("ｐａｓｓｗｏｒｄ", Some(Common)),
        ("12345678", Some(Common)),
        ("octocat99", Some(NameItself)),
        ("OctoCat2026!", Some(NameItself)),
        ("gitward1234", Some(NameItself)),
        ("# Copyright", None),
        ("octocat99 and friends", None),
        (GOOD, None),
        ("        ", None),
    ] {
        assert_eq!(check(password), problem, "{password}");
    }
    let digits = Name::parse("20261122").unwrap();
    assert_eq!(check_password(&Secret::new("20261122"), &digits), Err(NameItself));
    assert_eq!(check_password(&Secret::new("99112233"), &digits), Ok(()));
}

#[test]
fn every_line_of_the_list_is_found_and_nothing_next_to_it() {
    let name = Name::parse("ada").unwrap();
    let check = |password: String| check_password(&Secret::new(password), &name);
    let lines: Vec<_> =
        include_str!("common-passwords.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 5000);
    assert!(lines.is_sorted());
    for line in lines {
        assert_eq!(check(line.to_owned()), Err(PasswordProblem::Common), "{line}");
        assert_eq!(check(format!("{line}\u{1}")), Ok(()), "{line}");
    }
}

#[tokio::test]
async fn a_password_is_the_same_from_every_keyboard() {
    let world = world().await;
    let (_, link) = world.people.add_user("ada").await.unwrap();
    redeem(&world.people, &link, "", &Secret::new("Café au\u{a0}lait")).await.unwrap();
    assert!(world.try_as("ada", "Cafe\u{301} au lait").await.is_ok());
    assert!(is_wrong(world.try_as("ada", "café au lait").await));
    assert!(is_wrong(world.try_as("ada", "Café au lait ").await));
}

#[tokio::test]
async fn a_person_in_a_log_shows_no_hash() {
    let world = world().await;
    let ada = world.person("ada").await;
    let shown = format!("{:?} {:?}", ada.user, ada.session);
    assert!(!shown.contains("argon2") && shown.contains("ada"));
}

// What is too long.

/// Two million bytes that NFKC makes eighteen times as many signs of. Normalising them takes a core for many seconds.
fn flood() -> String {
    "\u{FDFA}".repeat(700_000)
}

#[test]
fn a_name_is_cut_before_it_is_normalised() {
    // Normalised, these are 30 and 28 characters.
    let (longer, fits) = ("\u{1112}\u{1161}\u{11AB}".repeat(30), "\u{1112}\u{1161}\u{11AB}".repeat(28));
    assert_eq!((longer.len(), fits.len()), (270, 252));
    assert_eq!(Name::parse(&longer), None);
    assert_eq!(
        Name::parse(&format!("  {fits}\u{3000}\u{3000}")).as_ref().map(Name::as_str),
        Some(&*"한".repeat(28))
    );
    assert_eq!(Name::parse(&flood()), None);
    assert!(Name::parse(&"a".repeat(64)).is_some());
}

#[tokio::test]
async fn a_name_of_megabytes_costs_one_hash_and_is_counted() {
    let world = world().await;
    let before = world.people.hashes();
    for _ in 0..5 {
        assert!(is_wrong(world.try_as(&flood(), GOOD).await));
    }
    assert_eq!(world.people.hashes(), before + 5);
    assert!(wait(world.try_as(&flood(), GOOD).await).is_some());
    assert!(is_wrong(world.try_as(&format!("{}x", flood()), GOOD).await), "another one is not kept out");
}

#[tokio::test]
async fn a_password_of_megabytes_costs_one_hash_and_is_counted() {
    let world = world().await;
    let ada = world.person("ada").await;
    for name in ["ada", "nobody"] {
        let before = world.people.hashes();
        for _ in 0..5 {
            assert!(is_wrong(world.try_as(name, &flood()).await), "{name}");
        }
        assert_eq!(world.people.hashes(), before + 5, "{name}");
        assert!(wait(world.try_as(name, &flood()).await).is_some(), "{name}");
    }

    let (right, long) = (Secret::new(GOOD), Secret::new(flood()));
    let change = async |current: &Secret, new: &Secret| {
        change(&world.people, &ada.user, &ada.session, current, new, HERE).await.err()
    };
    let too_long = |problem| matches!(problem, Some(ChangeError::Password(PasswordProblem::TooLong)));
    assert!(too_long(change(&right, &long).await));
    assert!(matches!(change(&long, &Secret::new(OTHER)).await, Some(ChangeError::Wrong)));
    let link = world.people.reset_link("ada").await.unwrap();
    let redeemed = redeem(&world.people, &link, "", &long).await.err();
    assert!(matches!(redeemed, Some(RedeemError::Password(PasswordProblem::TooLong))));
}

#[tokio::test]
async fn what_is_too_long_never_passes_for_the_password() {
    let world = world().await;
    let empty = world.people.hasher.turn().await.unwrap();
    let (hash, turn) = empty.hash(&Secret::new(""), &*world.entropy).await.unwrap();
    let (right, _turn) = turn.verify(&Secret::new(flood()), Some(&hash)).await.unwrap();
    assert!(!right);
}

#[test]
fn the_longest_password_may_be_typed_in_parts() {
    let name = Name::parse("ada").unwrap();
    let syllables = |count| Secret::new("\u{1112}\u{1161}\u{11AB}".repeat(count));
    assert_eq!(check_password(&syllables(128), &name), Ok(()));
    assert_eq!(check_password(&syllables(129), &name), Err(PasswordProblem::TooLong));
}

proptest! {
    #[test]
    fn a_name_read_twice_is_the_same(text in "\\PC{1,12}") {
        if let Some(name) = Name::parse(&text) {
            prop_assert_eq!(Name::parse(name.as_str()), Some(name.clone()));
            prop_assert_eq!(Name::parse(&format!(" {text}\u{3000}")), Some(name));
        }
    }
}

#[tokio::test]
async fn a_clock_that_was_wrong_for_a_while_throws_nothing_away() {
    let world = world().await;
    let idle = world.people.settings.idle;
    let mara = world.person("mara").await;
    let start = world.clock.now();
    world.clock.set(start.plus(Duration::from_hours(24 * 365)));
    world.people.sweep().await.unwrap();
    world.clock.set(start);
    assert!(world.is_alive(&mara).await);
    world.people.sweep().await.unwrap();
    assert!(world.is_alive(&mara).await, "set back is set as well");
    // Time that passes is another matter.
    world.clock.advance(idle);
    world.people.sweep().await.unwrap();
    world.clock.set(start);
    assert!(!world.is_alive(&mara).await, "gone for good");
}
