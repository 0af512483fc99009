//! The real program, killed in the middle of everything, several of it at once, and with a full disk: what is kept is the
//! old or the new, never neither.

use std::{path::Path, time::Duration};

use axum::http::Method;
use serde_json::{Value, json};
use server::{
    clock::{Clock, SystemClock},
    random::{Entropy, SystemEntropy},
};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{
    database::ask,
    forge::Forge,
    machine::{CREDENTIAL, Machine},
    program::{Running, run},
    site::{Browser, TestSite, usual},
};

const PASTED: &str = "acme.production";
const RENEWED: &str = "acme.renewed";
const REFRESH: &str = "POST /login/oauth/access_token";
/// After a crash it serves again within that.
const RECOVERY: Duration = Duration::from_secs(2);

/// A site for the real program, with its clock.
pub async fn ready() -> TestSite {
    let forge = Forge::start().await;
    let config = format!("listen = \"127.0.0.1:0\"\n{}", usual(&forge));
    let site = TestSite::start_with(forge, &config).await;
    site.clock.set(SystemClock.now());
    site.forge.set_clock(SystemClock.now()).await;
    site
}

/// The tokens that are kept, opened: whatever is kept opens, and some runtime uses it.
async fn tokens(site: &TestSite) -> Vec<String> {
    let mut all = Vec::new();
    for kept in site.site.store.all_sealed().await.unwrap() {
        let origin = site.site.registry.provider(&kept.credential.provider).unwrap().origin();
        let tokens = site.site.keys.unseal_tokens(&kept.credential, &origin, &kept.sealed).unwrap();
        all.push(tokens.access.expose().to_owned());
    }
    let orphans: i64 = ask(
        &site.database(),
        "SELECT COUNT(*) FROM credentials c WHERE NOT EXISTS
         (SELECT 1 FROM assignments a WHERE c.id IN (a.credential_id, a.proposed_id))",
    )
    .await;
    assert_eq!(orphans, 0);
    all
}

/// Changes what is kept from outside, as a test needs it.
async fn change(site: &TestSite, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(site.database()).connect().await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// It serves again, and `verify` agrees; how long the start took.
fn serves_again(site: &TestSite, kept: usize) -> Duration {
    let took = {
        let running = Running::start(site.folder());
        let took = running.took;
        running.kill();
        took
    };
    let output = run(site.folder(), &["verify"]);
    let expected = match kept {
        1 => "The one stored token opens.\n".to_owned(),
        _ => format!("All {kept} stored tokens open.\n"),
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    took
}

/// Starts it, does what is told, and kills it where it is to stop.
async fn killed_at(site: &TestSite, place: &str, cookie: &str, function: &str, form: &[(&str, &str)]) {
    let running = Running::start_to_stop_at(site.folder(), place);
    tokio::select! {
        answer = running.call(cookie, function, form) => panic!("{place} was not reached: {answer:?}"),
        () = running.until_stopped() => {}
    }
    running.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_paste_it_has_the_token_or_none_and_of_a_replacement_the_old_or_the_new() {
    let site = ready().await;
    let mara = site.person("mara").await;
    let cookie = mara.cookie_header();
    let mut recoveries = Vec::new();
    for place in [
        "give.identified",
        "give.sealed",
        "keep.begun",
        "keep.written",
        "keep.assigned",
        "keep.forgotten",
        "keep.committed",
    ] {
        let is_kept = place == "keep.committed";
        let first = site.forge.good_token().await.token;
        killed_at(&site, place, &cookie, "token/add", &[("runtime", PASTED), ("token", &first)]).await;
        let kept: &[&str] = if is_kept { &[&first] } else { &[] };
        assert_eq!(tokens(&site).await, kept, "{place}");
        recoveries.push(serves_again(&site, kept.len()));
        if !is_kept {
            mara.paste(PASTED, &first).await.assert_ok();
        }
        let second = site.forge.good_token().await.token;
        killed_at(&site, place, &cookie, "token/add", &[("runtime", PASTED), ("token", &second)]).await;
        assert_eq!(tokens(&site).await, [if is_kept { &second } else { &first }.as_str()], "{place}");
        recoveries.push(serves_again(&site, 1));
        assert_eq!(mara.health(PASTED).await, "Valid", "{place}");
        mara.call("token/delete", &[("runtime", PASTED)]).await.assert_ok();
    }
    assert!(recoveries.iter().min().unwrap() <= &RECOVERY, "{recoveries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_deletion_it_has_the_whole_token_or_nothing_of_it() {
    let site = ready().await;
    let mara = site.person("mara").await;
    let cookie = mara.cookie_header();
    for (place, is_gone) in [
        ("delete.unassigned", false),
        ("delete.forgotten", false),
        ("delete.done", false),
        ("delete.committed", true),
        ("delete.emptied", true),
    ] {
        let token = site.forge.good_token().await.token;
        mara.paste(PASTED, &token).await.assert_ok();
        killed_at(&site, place, &cookie, "token/delete", &[("runtime", PASTED)]).await;
        let kept: &[&str] = if is_gone { &[] } else { &[&token] };
        assert_eq!(tokens(&site).await, kept, "{place}");
        assert_eq!(mara.health(PASTED).await, if is_gone { "NoToken" } else { "Valid" }, "{place}");
        serves_again(&site, kept.len());
    }
}

/// Mara authorized an app whose tokens are renewed, and it is time to.
async fn due(site: &TestSite) -> Browser {
    let mara = site.person("mara").await;
    let answer = mara.authorize(&site.forge, RENEWED, "octocat").await;
    assert!(answer.location().starts_with("/tokens?did=added"), "{}", answer.location());
    change(site, "UPDATE credentials SET renew_at = 1").await;
    site.forge.forget_requests().await;
    mara
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_renewal_it_has_the_old_pair_or_the_new_and_says_which_it_can_not_know() {
    for (place, revoked, then) in [
        ("renew.leased", false, "Valid"),
        ("renew.answered", false, "RenewalLost"),
        ("renew.sealed", false, "RenewalLost"),
        ("renew.kept", false, "Valid"),
        ("renew.released", true, "Revoked"),
        ("renew.noted", true, "Revoked"),
    ] {
        let site = ready().await;
        let mara = due(&site).await;
        if revoked {
            let id = site.forge.tokens().await[0]["id"].as_u64().unwrap();
            site.forge.revoke(id).await;
        }
        killed_at(&site, place, &mara.cookie_header(), "token/check", &[("runtime", RENEWED)]).await;
        assert_eq!(tokens(&site).await.len(), 1, "{place}");
        let took = serves_again(&site, 1);
        // Longer than a lease lasts that the program took by the machine's clock, and than a dead one rests.
        site.clock.set(SystemClock.now());
        site.forge.set_clock(SystemClock.now()).await;
        site.pass(Duration::from_secs(4 * 60 + 1)).await;
        mara.check(RENEWED).await.assert_ok();
        assert_eq!(mara.health(RENEWED).await, then, "{place} after {took:?}");
        let row = mara.access(RENEWED).await["row"].clone();
        if then == "RenewalLost" {
            assert_eq!(row["health"]["RenewalLost"]["refused"], true, "{place}");
            let evidence = row["token"]["checked"]["answer"].as_str().unwrap();
            assert!(evidence.ends_with("after the answer to the last renewal was lost"), "{evidence}");
            // Said once, tried once: nobody goes on by themselves.
            let asked = site.forge.asked(REFRESH).await;
            site.pass(Duration::from_secs(60 * 25)).await;
            for task in site.site.watch.round().await.unwrap() {
                task.await.unwrap();
            }
            assert_eq!(site.forge.asked(REFRESH).await, asked, "{place}");
        }
        // Authorizing again mends it, whatever it was.
        mara.authorize(&site.forge, RENEWED, "octocat").await;
        assert_eq!(mara.health(RENEWED).await, "Valid", "{place}");
        assert_eq!(tokens(&site).await.len(), 1, "{place}");
    }
}

/// A number below `most`.
fn below(most: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % most
}

/// Kills it so often, each time while it is given a token, deletes one and renews one.
async fn kill_at_random(times: u32) {
    let site = ready().await;
    let mara = due(&site).await;
    let cookie = mara.cookie_header();
    let mut current = site.forge.good_token().await.token;
    mara.paste(PASTED, &current).await.assert_ok();
    let (mut olds, mut news, mut recoveries) = (0, 0, Vec::new());
    for number in 0..times {
        let next = site.forge.good_token().await.token;
        let other = site.forge.good_token().await.token;
        mara.paste("acme.paste", &other).await.assert_ok();
        change(&site, "UPDATE credentials SET renew_at = 1, lease_until = NULL WHERE renew_at IS NOT NULL")
            .await;
        // Nobody pastes that often.
        change(&site, "DELETE FROM counters").await;
        let running = Running::start(site.folder());
        recoveries.push(running.took);
        let answers = {
            let at_work = async {
                tokio::join!(
                    running.paste(&cookie, PASTED, &next),
                    running.call(&cookie, "token/delete", &[("runtime", "acme.paste")]),
                    running.call(&cookie, "token/check", &[("runtime", RENEWED)]),
                )
            };
            // The first one is killed at once, and the last one when all is done, so that both ends are seen for sure.
            match number {
                0 => None,
                last if last + 1 == times => Some(at_work.await),
                _ => tokio::select! {
                    answers = at_work => Some(answers),
                    () = tokio::time::sleep(Duration::from_micros(below(120_000))) => None,
                },
            }
        };
        running.kill();
        let kept = tokens(&site).await;
        let is_old = kept.contains(&current);
        assert!(is_old != kept.contains(&next), "kill {number}: neither, or both");
        (olds, news) = if is_old { (olds + 1, news) } else { (olds, news + 1) };
        let grants: i64 =
            ask(&site.database(), "SELECT COUNT(*) FROM credentials WHERE renew_at IS NOT NULL").await;
        assert_eq!(grants, 1, "kill {number}");
        assert_eq!(kept.len(), 2 + usize::from(kept.contains(&other)), "kill {number}");
        if let Some((pasted, deleted, _)) = answers {
            assert!(pasted != Some(200) || !is_old, "what was confirmed");
            assert!(deleted != Some(200) || !kept.contains(&other), "what was confirmed");
        }
        if !is_old {
            current = next;
        }
    }
    recoveries.sort();
    println!(
        "{olds} old, {news} new; recovery {:?} to {:?}",
        recoveries[0],
        recoveries[recoveries.len() - 1]
    );
    assert!(olds > 0 && news > 0);
    assert!(recoveries[0] <= RECOVERY, "{:?}", recoveries[0]);
    let kept = tokens(&site).await.len();
    serves_again(&site, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_thirty_times_it_has_the_old_or_the_new() {
    kill_at_random(30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn soak_killed_at_random_five_hundred_times_it_has_the_old_or_the_new() {
    kill_at_random(500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_while_it_renews_it_keeps_what_comes_and_ends_within_the_half_minute_that_there_is() {
    let site = ready().await;
    let mara = due(&site).await;
    let old = tokens(&site).await;
    site.forge.fault(json!({ "on": "token", "fault": "delay", "delay_ms": 4000 })).await;
    let running = Running::start(site.folder());
    let struck = async || site.forge.control(Method::GET, "faults", Value::Null).await[0]["struck"].clone();
    let cookie = mara.cookie_header();
    {
        // Whoever asked goes away.
        let asking = running.call(&cookie, "token/check", &[("runtime", RENEWED)]);
        let under_way = async {
            while struck().await != 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            answer = asking => panic!("answered before it was asked: {answer:?}"),
            () = under_way => {}
        }
    }
    let (code, took) = running.terminate().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
    let kept = tokens(&site).await;
    assert_ne!(kept, old);
    assert!(site.forge.secrets().contains(&kept[0]));
    assert_eq!(site.forge.asked(REFRESH).await, 1);
    let lost: Option<i64> = ask(&site.database(), "SELECT renewal_lost_at FROM credentials").await;
    assert_eq!(lost, None);
    serves_again(&site, 1);
}

/// Three processes on one database, and so many who read at each of them.
async fn three_processes(rounds: usize, readers: usize) {
    let site = ready().await;
    let mara = due(&site).await;
    let cookie = mara.cookie_header();
    let processes: Vec<Running> = (0..3).map(|_| Running::start(site.folder())).collect();
    // So slow that all of them come while it is under way.
    site.forge.fault(json!({ "on": "token", "fault": "delay", "delay_ms": 200 })).await;
    for round in 1..=rounds {
        let asking = processes
            .iter()
            .flat_map(|process| (0..readers).map(move |_| process))
            .map(|process| process.call(&cookie, "token/check", &[("runtime", RENEWED)]));
        let answers = futures_util::future::join_all(asking).await;
        assert!(answers.iter().all(|answer| *answer == Some(200)), "round {round}: {answers:?}");
        assert_eq!(site.forge.asked(REFRESH).await, round, "one each time");
        assert_eq!(mara.health(RENEWED).await, "Valid", "round {round}");
        let issued = site.forge.secrets();
        assert!(issued.contains(&tokens(&site).await[0]));
        change(&site, "UPDATE credentials SET renew_at = 1").await;
        // Nobody clicks that often.
        change(&site, "DELETE FROM counters").await;
    }
    let generation: i64 = ask(&site.database(), "SELECT generation FROM credentials").await;
    assert_eq!(usize::try_from(generation).unwrap(), rounds + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_real_processes_that_find_one_grant_due_renew_it_once() {
    three_processes(3, 15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn soak_three_real_processes_renew_once_a_hundred_times_over() {
    three_processes(100, 15).await;
}

/// A thousand requests for one credential that has ended, at three processes on one database.
async fn a_thousand_runtimes(rounds: usize) {
    const READERS: usize = 1000;
    let site = ready().await;
    let _mara = due(&site).await;
    let machine = Machine::of(&site, RENEWED).await;
    let asked = json!({ "user": "mara", "git_url": machine.git_url });
    let processes: Vec<Running> = (0..3).map(|_| Running::start(site.folder())).collect();
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
    // So slow that many come while it is under way.
    site.forge.fault(json!({ "on": "token", "fault": "delay", "delay_ms": 500 })).await;
    for round in 1..=rounds {
        change(&site, "UPDATE credentials SET renew_at = 1, access_ends_at = 2").await;
        let before = tokens(&site).await;
        let asking = processes.iter().cycle().take(READERS).map(async |process| {
            loop {
                let request = client.post(format!("{}{CREDENTIAL}", process.url)).bearer_auth(&machine.key);
                let answer = request.json(&asked).send().await.unwrap();
                // A slow disk, and so many who want to be recorded: "not now" is an answer, and runtimes ask again.
                if answer.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE {
                    break (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        let answers = futures_util::future::join_all(asking).await;
        let kept = tokens(&site).await;
        assert_ne!(kept, before);
        for (status, answer) in answers {
            assert_eq!(status, 200, "round {round}: {answer}");
            assert_eq!(answer["git"]["password"], kept[0], "round {round}");
        }
        assert_eq!(site.forge.asked(REFRESH).await, round, "one each time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runtimes_that_read_one_ended_grant_at_three_real_processes_have_it_renewed_once() {
    a_thousand_runtimes(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn soak_a_thousand_runtimes_at_three_real_processes_have_it_renewed_once_a_hundred_times_over() {
    a_thousand_runtimes(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_changes_nothing_and_says_so_and_all_is_well_when_there_is_room_again() {
    let site = ready().await;
    let mara = site.person("mara").await;
    let cookie = mara.cookie_header();
    let first = site.forge.good_token().await.token;
    mara.paste(PASTED, &first).await.assert_ok();
    let kib = |path: &Path| std::fs::metadata(path).unwrap().len() / 1024;
    let log = site.folder().join("data/gitward.sqlite3-wal");
    // Both have a little room left.
    let most = kib(&site.database()).max(kib(&log)) + 256;
    let running = Running::start_with_little_room(site.folder(), most);
    let (mut current, mut refused) = (first, 0);
    for _ in 0..400 {
        let next = site.forge.good_token().await.token;
        match running.paste(&cookie, PASTED, &next).await {
            Some(200) => current = next,
            status => {
                assert_eq!(status, Some(500), "an answer, and no half-truth");
                refused += 1;
            }
        }
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "the disk never was full");
    assert_eq!(tokens(&site).await, [current.as_str()], "what was confirmed last, nothing else");
    running.kill();
    assert_eq!(tokens(&site).await, [current.as_str()]);
    serves_again(&site, 1);
    let running = Running::start(site.folder());
    let next = site.forge.good_token().await.token;
    assert_eq!(running.paste(&cookie, PASTED, &next).await, Some(200));
    assert_eq!(tokens(&site).await, [next.as_str()]);
}
