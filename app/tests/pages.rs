//! Every page and every state as HTML, over a fake backend.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "pages/fake.rs"]
mod fake;

use std::sync::{Arc, atomic::Ordering};

use app::{api::token::*, asset::Assets};
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, Response, header},
};
use fake::{Fake, every_state, moment, site};
use tower::ServiceExt;

/// An answer as a browser sees it.
struct Answer {
    status: u16,
    location: String,
    html: String,
}

impl Answer {
    /// What people read: without tags, comments and scripts, with entities written out.
    fn text(&self) -> String {
        let html = self.html.split("<script").next().unwrap_or_default().to_owned()
            + &self.html.split("</head>").nth(1).unwrap_or_default().replace("</script>", "<script");
        let mut text = String::new();
        let mut inside = false;
        for letter in html.split("</head>").last().unwrap_or_default().chars() {
            match letter {
                '<' => inside = true,
                '>' => inside = false,
                letter if !inside => text.push(letter),
                _ => {}
            }
        }
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    }

    fn says(&self, sentence: &str) {
        assert!(self.text().contains(sentence), "{sentence:?} is missing in:\n{}", self.text());
    }
}

async fn ask(fake: &Arc<Fake>, method: Method, place: &str, form: &str) -> Answer {
    let response = respond(fake, method, place, form, "text/html").await;
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get(header::LOCATION)
        .map(|place| place.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    Answer { status, location, html: String::from_utf8(body.to_vec()).unwrap() }
}

async fn respond(fake: &Arc<Fake>, method: Method, place: &str, form: &str, accept: &str) -> Response<Body> {
    let assets = Assets { js: "/pkg/g.js".into(), wasm: "/pkg/g.wasm".into(), css: "/pkg/g.css".into() };
    let request = Request::builder()
        .method(method)
        .uri(place)
        .header(header::ACCEPT, accept)
        .header(header::REFERER, "http://gitward.example/tokens/r01")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .unwrap();
    site(fake, assets).oneshot(request).await.unwrap()
}

async fn get(fake: &Arc<Fake>, place: &str) -> Answer {
    ask(fake, Method::GET, place, "").await
}

#[tokio::test]
async fn every_health_has_a_word_and_a_sentence() {
    let page = get(&Fake::new(every_state()), "/tokens").await;
    assert_eq!(page.status, 200);
    for sentence in [
        "Scope missing",
        "Lacks repo, so this runtime can't do its work. Replace it with a token that has it.",
        "Expired",
        "Ended on 20 Nov 2026. Replace it with a new one.",
        "Not accepted any more",
        "Revoked, or unknown to GitHub, since 22 Nov 2026. Replace it with a new one.",
        "Can't push",
        "May read acme/infra-live but not push.",
        "Can't see the repository",
        "Does not see acme/infra-live.",
        "Needs single sign-on",
        "Your organisation asks for single sign-on. Let it in at GitHub",
        "Another account",
        "The new token is mlind-bot's. Until you decide, the old one of mara-lind stays in use.",
        "Access denied",
        "Authorize again, or paste a token.",
        "Expires soon",
        "Ends in 7 days. Replace it before then.",
        "GitLab unreachable",
        "No answer, first noticed 18 minutes ago. Last good answer 18 minutes ago. The token stays in use.Check again",
        "GitLab asks us to wait",
        "It takes questions again in 7 days. The token stays in use; check again then.",
        "Checking",
        "Providers have bad moments, so the token stays in use. Check again later to be sure.",
        "Waiting for you",
        "Is that page gone? Then begin again.",
        "No token",
        "This runtime can't act for you yet.",
        "Works",
        "GitHub Enterprise does not show the scopes of this kind of token.",
        "Notifications hidden:",
        "Acme Logistics 14 runtimes",
        "Checked 3 minutes ago",
        "Renews itselfnext in 2 hours",
        "Renews itselfwhen it is next used",
    ] {
        page.says(sentence);
    }
}

#[tokio::test]
async fn a_row_crosses_the_wire_once() {
    let page = get(&Fake::new(every_state()), "/tokens").await;
    for name in ["prod-eu-west", "warehouse", "fleet-control-plane-central-europe-3"] {
        assert_eq!(page.html.matches(name).count(), 1, "{name}");
    }
}

#[tokio::test]
async fn names_can_not_become_tags() {
    let fake = Fake::new(every_state());
    for place in ["/tokens", "/tokens/r17", "/tokens/r17/delete"] {
        let page = get(&fake, place).await;
        assert!(!page.html.contains("<b>bold"), "{place}");
        page.says("<b>bold</b> & \"quoted\"");
    }
    let page = get(&fake, "/tokens?q=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!page.html.contains("<script>alert"));
    assert!(page.html.contains("&lt;script"));
}

#[tokio::test]
async fn nothing_that_the_content_policy_forbids() {
    let fake = Fake::new(every_state());
    for place in
        ["/", "/tokens", "/tokens/r01", "/tokens/r01/delete", "/password", "/sign-in", "/setup/first"]
    {
        let page = get(&fake, place).await;
        assert!(!page.html.contains(" style="), "{place}");
        assert!(!page.html.contains("<style"), "{place}");
        assert!(!page.html.contains("onclick"), "{place}");
        let scripts = page.html.matches("<script").count();
        assert_eq!(page.html.matches("nonce=\"").count(), scripts, "{place}");
        assert!(page.html.contains("<html lang=\"en\">"), "{place}");
        assert!(page.html.contains("crossorigin=\"anonymous\""), "{place}");
    }
}

#[tokio::test]
async fn every_refusal_says_what_happened_and_what_to_do() {
    let at = || moment("20 Nov 2026", "in 2 hours");
    let login = || "mara-lind".to_owned();
    let repository = || "acme/infra-live".to_owned();
    let cases: Vec<(Refusal, [&str; 2])> = vec![
        (
            Refusal::Unknown,
            [
                "GitHub does not know this token.",
                "Copy the whole token again, or make a new one at GitHub's token page",
            ],
        ),
        (
            Refusal::LooksForeign { label: "GitLab".into() },
            [
                "This looks like a token of GitLab, not of GitHub.",
                "It is the right one: ask GitHub all the same",
            ],
        ),
        (
            Refusal::NotAUserToken,
            ["This token does not stand for a person.", "Make a personal one at GitHub's token page"],
        ),
        (
            Refusal::WrongKind { sentence: "Forge has ended tokens of this kind.".into() },
            ["Forge has ended tokens of this kind.", "Make a personal access token at GitHub's token page"],
        ),
        (Refusal::Expired { at: at() }, ["This token ended on 20 Nov 2026.", "Make a new one at"]),
        (
            Refusal::ScopesMissing {
                login: login(),
                granted: vec!["read:user".into()],
                missing: vec!["repo".into(), "workflow".into()],
            },
            [
                "GitHub accepted the token of mara-lind, but it lacks repo and workflow.",
                "Make one with repo and workflow at GitHub's token page",
            ],
        ),
        (
            Refusal::CannotPush { login: login(), repository: repository() },
            ["The token of mara-lind may not push to acme/infra-live.", "Give the token write access at"],
        ),
        (
            Refusal::RepositoryHidden { login: login(), repository: repository() },
            ["The token of mara-lind does not see acme/infra-live.", "Add the repository to the token at"],
        ),
        (
            Refusal::AnotherAccount { before: login(), now: "mlind-bot".into() },
            ["This token belongs to mlind-bot, the one before to mara-lind.", "Keep mara-lindUse mlind-bot"],
        ),
        (Refusal::Unreachable, ["GitHub did not answer.", "Try again in a moment."]),
        (Refusal::RateLimited { until: Some(at()) }, ["GitHub asks us to wait.", "try again in 2 hours"]),
        (Refusal::RateLimited { until: None }, ["GitHub asks us to wait.", "try again in a few minutes"]),
    ];
    for (refusal, sentences) in cases {
        let fake = Fake::new(every_state());
        *fake.refusal.lock().unwrap() = Some(refusal);
        let page = get(&fake, "/tokens/r02").await;
        for sentence in sentences {
            page.says(sentence);
        }
        assert!(page.html.contains("<details open"), "the answer stands inside");
    }
}

#[tokio::test]
async fn a_secret_never_comes_back() {
    let fake = Fake::new(every_state());
    let secret = ["bad", "0123456789abcdef"].concat();
    let answer = ask(&fake, Method::POST, "/api/token/add", &["runtime=r01&token=", &secret].concat()).await;
    assert_eq!(answer.status, 302);
    assert!(!answer.location.contains(&secret) && !answer.html.contains(&secret));
    let place = answer.location.trim_start_matches("http://gitward.example").to_owned();
    let page = get(&fake, &place).await;
    assert!(!page.html.contains(&secret));
    page.says("it lacks repo.");
    assert!(page.html.contains("aria-invalid=\"true\""));
}

#[tokio::test]
async fn without_script_a_token_is_added_with_any_number_of_boxes() {
    for (boxes, count) in [("", 0), ("&also%5B%5D=r13", 1), ("&also%5B%5D=r13&also%5B%5D=r09", 2)] {
        let fake = Fake::new(every_state());
        let form = ["runtime=r15&token=good", boxes].concat();
        let answer = ask(&fake, Method::POST, "/api/token/add", &form).await;
        assert_eq!(
            (answer.status, answer.location.as_str()),
            (302, "/tokens?did=added&runtime=r15#r15"),
            "{count}"
        );
        get(&fake, &answer.location).await.says("The token passed and is in use.");
    }
}

#[tokio::test]
async fn what_could_not_be_served_is_told_without_script() {
    let fake = Fake::new(every_state());
    for function in ["add?token=good", "reuse?credential=c1"] {
        let (function, field) = function.split_once('?').unwrap();
        let form = ["runtime=r15&", field, "&also%5B%5D=r13&also%5B%5D=r08"].concat();
        let answer = ask(&fake, Method::POST, &["/api/token/", function].concat(), &form).await;
        assert_eq!(answer.location, "/tokens?did=added&runtime=r15&left=1#r15");
        get(&fake, &answer.location)
            .await
            .says("The token passed and is in use. One of the runtimes you ticked could not use it. Add a token to it to see why.");
    }
    get(&fake, "/tokens?did=added&runtime=r15&left=2")
        .await
        .says("2 of the runtimes you ticked could not use it. Add a token to them one by one to see why.");
    for nonsense in ["-1", "call", "99999999999", "0"] {
        let page = get(&fake, &["/tokens?did=added&runtime=r15&left=", nonsense].concat()).await;
        assert!(!page.text().contains("you ticked"), "{nonsense}");
    }
}

#[tokio::test]
async fn all_is_well_only_when_nothing_is_in_doubt() {
    let fake = Fake::new(every_state());
    let home = get(&fake, "/").await;
    home.says("9 runtimes need you");
    home.says("3 in doubt, ");
    for account in &mut *fake.accounts.lock().unwrap() {
        account.rows.retain(|row| matches!(row.health, Health::Valid { .. } | Health::Checking { .. }));
    }
    let home = get(&fake, "/").await;
    home.says("1 in doubt");
    assert!(home.html.contains("href=\"/tokens?show=in-doubt\""));
    let list = get(&fake, "/tokens?show=in-doubt").await;
    list.says("canary");
    list.says("1 in doubt");
    assert!(!list.text().contains("sandbox"));
    for account in &mut *fake.accounts.lock().unwrap() {
        account.rows.retain(|row| matches!(row.health, Health::Valid { .. }));
    }
    let home = get(&fake, "/").await;
    home.says("All is well");
    assert!(!home.text().contains("in doubt"));
    let list = get(&fake, "/tokens?show=in-doubt").await;
    list.says("Nothing is in doubt");
}

#[tokio::test]
async fn who_must_wait_is_told_for_how_long() {
    let fake = Fake::new(every_state());
    for (accept, header) in [("application/json", Some("90")), ("text/html", None)] {
        let response =
            respond(&fake, Method::POST, "/api/person/sign-in", "name=mara&password=again", accept).await;
        let wait = response.headers().get(header::RETRY_AFTER).map(|seconds| seconds.to_str().unwrap());
        assert_eq!(wait, header, "{accept}");
        assert_eq!(response.status().as_u16(), if header.is_some() { 429 } else { 302 });
    }
}

#[tokio::test]
async fn no_place_to_go_to_breaks_the_sign_in() {
    let fake = Fake::new(every_state());
    for (then, place) in
        [("/a%01", "/tokens"), ("/tokens?q=z%C3%BC", "/tokens?q=z%C3%BC"), ("//evil.example", "/tokens")]
    {
        let answer =
            ask(&fake, Method::POST, "/api/person/sign-in", &["name=a&password=right&then=", then].concat())
                .await;
        assert_eq!((answer.status, answer.location.as_str()), (302, place));
    }
}

#[tokio::test]
async fn a_wrong_current_password_is_called_that() {
    let fake = Fake::new(every_state());
    let answer =
        ask(&fake, Method::POST, "/api/person/change-password", "current=wrong&new=long+enough").await;
    let page = get(&fake, &answer.location.replace("http://gitward.example/tokens/r01", "/password")).await;
    page.says("That is not your current password.");
    assert_eq!(page.html.matches("aria-invalid=\"true\"").count(), 1);
}

#[tokio::test]
async fn a_filter_is_only_so_long() {
    let page = get(&Fake::new(every_state()), &["/tokens?q=", &"z".repeat(5000)].concat()).await;
    page.says("Nothing matches");
}

#[tokio::test]
async fn an_error_without_script_stands_at_the_form() {
    let fake = Fake::new(every_state());
    let answer = ask(&fake, Method::POST, "/api/token/add", "runtime=r01&token=").await;
    assert_eq!(answer.status, 302);
    let place = answer.location.trim_start_matches("http://gitward.example").to_owned();
    get(&fake, &place).await.says("Paste a token first.");
    let answer = ask(&fake, Method::POST, "/api/token/check", "runtime=gone").await;
    let place = answer.location.replace("http://gitward.example/tokens/r01", "/tokens");
    get(&fake, &place).await.says("This runtime isn't there any more");
}

#[tokio::test]
async fn the_address_can_not_put_words_on_the_page() {
    let fake = Fake::new(every_state());
    let page = get(&fake, "/tokens?did=call+0800&problem=give+money&runtime=to+me").await;
    for words in ["0800", "money", "to me", "to+me"] {
        assert!(!page.html.contains(words), "{words}");
    }
    for problem in OauthProblem::ALL {
        get(&fake, &["/tokens?problem=", problem.word(), "&runtime=r01"].concat())
            .await
            .says(problem.sentence());
    }
}

#[tokio::test]
async fn an_empty_list_says_what_to_do() {
    get(&Fake::new(vec![]), "/tokens").await.says("Ask your account admin to add them.");
    let fake = Fake::new(every_state());
    let page = get(&fake, "/tokens?q=zzz").await;
    page.says("Nothing matches");
    page.says("Show all runtimes");
    fake.accounts.lock().unwrap()[0].rows.clear();
    get(&fake, "/tokens?show=need-you").await.says("Nothing needs you");
    get(&Fake::new(vec![]), "/").await.says("No runtimes yet");
}

#[tokio::test]
async fn strangers_are_led_to_the_sign_in_page_and_back() {
    let fake = Fake::new(every_state());
    fake.stranger.store(true, Ordering::Relaxed);
    for place in ["/", "/tokens", "/tokens/r01", "/tokens/r01/delete"] {
        let answer = get(&fake, place).await;
        assert_eq!((answer.status, answer.location), (302, ["/sign-in?then=", place].concat()));
    }
    for place in ["/sign-in", "/setup/first", "/welcome/again"] {
        assert_eq!(get(&fake, place).await.status, 200, "{place}");
    }
}

#[tokio::test]
async fn the_status_tells_the_same_as_the_page() {
    let fake = Fake::new(every_state());
    for (place, status) in
        [("/nowhere", 404), ("/tokens/gone", 404), ("/tokens/gone/delete", 404), ("/welcome/spent", 410)]
    {
        assert_eq!(get(&fake, place).await.status, status, "{place}");
    }
}

#[tokio::test]
async fn deleting_names_what_stops_and_what_stays() {
    let page = get(&Fake::new(every_state()), "/tokens/r14/delete").await;
    for sentence in [
        "Delete the token of sandbox?",
        "For you alone, sandbox stops working with its Git repositories, Git Sources and other resources.",
        "The runtime itself stays",
        "The same token serves labels: there it stays.",
    ] {
        page.says(sentence);
    }
    get(&Fake::new(every_state()), "/tokens/r15/delete").await.says("changed or deleted in the meantime");
}

fn revoking(possible: bool, usual: bool) -> Option<Revoking> {
    Some(Revoking { possible, usual, link: "https://bitbucket.example/tokens".into() })
}

#[tokio::test]
async fn deleting_says_what_becomes_of_the_token_at_its_provider() {
    let fake = Fake::new(every_state());
    let there = "At Bitbucket Cloud the token stays valid until it is revoked there.";
    *fake.revoking.lock().unwrap() = revoking(true, true);
    let page = get(&fake, "/tokens/r14/delete").await;
    page.says(there);
    assert!(!page.html.contains("name=\"revoke\""), "others still use it");

    fake.alone.store(true, Ordering::Relaxed);
    let box_of = async |usual| {
        *fake.revoking.lock().unwrap() = revoking(true, usual);
        let page = get(&fake, "/tokens/r14/delete").await;
        page.says(there);
        page.says("Also revoke it at Bitbucket Cloud");
        let (_, rest) = page.html.split_once("name=\"revoke\"").unwrap();
        rest.split('>').next().unwrap().contains("checked")
    };
    assert!(box_of(true).await, "nobody else has it");
    assert!(!box_of(false).await, "others may use it elsewhere");

    *fake.revoking.lock().unwrap() = revoking(false, false);
    let page = get(&fake, "/tokens/r14/delete").await;
    page.says("Gitward can't do that for you. Nobody needs it any more? Then revoke it at Bitbucket Cloud");
    assert!(page.html.contains("href=\"https://bitbucket.example/tokens\""));
    assert!(!page.html.contains("name=\"revoke\""));

    *fake.revoking.lock().unwrap() = None;
    let page = get(&fake, "/tokens/r14/delete").await;
    assert!(!page.text().contains("stays valid"), "it is over there anyway");
}

#[tokio::test]
async fn what_became_of_a_token_is_said_in_the_list_and_at_its_runtime() {
    let fake = Fake::new(every_state());
    for (state, sentence) in [
        (RevocationState::Revoked, "The old token of sandbox: Revoked at Bitbucket Cloud."),
        (
            RevocationState::InUse { by: vec!["labels".into(), "canary".into()] },
            "Not revoked at Bitbucket Cloud: labels and canary still use it.",
        ),
        (RevocationState::ByHand, "Forgotten here; revoke it at Bitbucket Cloud"),
        (
            RevocationState::Waiting { until: moment("23 Nov 2026", "in 24 hours") },
            "Bitbucket Cloud has not answered yet; Gitward will try again until 23 Nov 2026, 09:00 UTC.",
        ),
        (
            RevocationState::Held { by: vec!["labels".into()], until: moment("23 Nov 2026", "in an hour") },
            "labels still holds it. Gitward revokes it at Bitbucket Cloud when the new one is in use there, at the \
             latest on 23 Nov 2026, 09:00 UTC.",
        ),
        (
            RevocationState::HandedOver,
            "Handed to Bitbucket Cloud, which revokes it by itself. To be sure, look at Bitbucket Cloud",
        ),
        (
            RevocationState::InUse { by: Vec::new() },
            "Not revoked at Bitbucket Cloud: another runtime was using the same token.",
        ),
        (RevocationState::Doubted, "Gitward asks again, to be sure."),
        (
            RevocationState::GivenUp,
            "gave no clear answer for a day. Forgotten here; revoke it at Bitbucket Cloud",
        ),
    ] {
        *fake.revocations.lock().unwrap() = vec![Revocation {
            runtime: "sandbox".into(),
            provider: "Bitbucket Cloud".into(),
            kind: "API token".into(),
            login: "mara-lind".into(),
            link: "https://bitbucket.example/tokens".into(),
            at: moment("22 Nov 2026", "3 minutes ago"),
            state,
        }];
        for place in ["/tokens", "/tokens/r14"] {
            get(&fake, place).await.says(sentence);
        }
    }
}

#[tokio::test]
async fn the_way_to_a_runtimes_keys_is_shown_to_admins_alone() {
    let fake = Fake::new(every_state());
    assert!(!get(&fake, "/tokens/r14").await.html.contains("/admin/runtimes/"));
    fake.administers.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(get(&fake, "/tokens/r14").await.html.contains("href=\"/admin/runtimes/r14\""));
}

#[tokio::test]
async fn pasting_is_the_way_in_where_there_is_no_other() {
    let fake = Fake::new(every_state());
    let page = get(&fake, "/tokens/r02").await;
    page.says("Authorize Access to GitHub");
    assert!(page.html.contains("<details class"), "closed while there is another way");
    fake.oauth.store(false, Ordering::Relaxed);
    let page = get(&fake, "/tokens/r02").await;
    assert!(!page.text().contains("Authorize Access to"));
    assert!(page.html.contains("id=\"token\""));
    // Another token at hand comes first, and pasting stays open beside it.
    let page = get(&fake, "/tokens/r15").await;
    page.says("Use the token you already added for labels and canary");
    assert!(page.html.contains("<details open"));
}

#[tokio::test]
async fn every_page_has_the_bell_with_what_is_unread() {
    let fake = Fake::new(every_state());
    for place in ["/", "/tokens", "/tokens/r01", "/notifications", "/notifications/settings", "/password"] {
        let page = ask(&fake, Method::GET, place, "").await;
        assert_eq!(page.status, 200, "{place}");
        assert!(page.html.contains("aria-label=\"Notifications, 2 unread\""), "{place}");
    }
    fake.stranger.store(true, Ordering::Relaxed);
    assert!(!ask(&fake, Method::GET, "/sign-in", "").await.html.contains("unread"), "not for strangers");
}

#[tokio::test]
async fn what_was_told_leads_to_its_runtime_and_only_what_is_unread_can_be_marked() {
    let fake = Fake::new(every_state());
    let page = ask(&fake, Method::GET, "/notifications", "").await;
    page.says("prod-eu-west: Scope missing");
    page.says("2 unread");
    assert!(page.html.contains("href=\"/tokens/r01\""));
    assert_eq!(page.html.matches("action=\"/api/notice/read\"").count(), 1);
    assert!(page.html.contains("name=\"up_to\" value=\"7\""), "all up to the newest that is shown");
    let earlier = ask(&fake, Method::GET, "/notifications?before=6", "").await;
    earlier.says("The latest");
    assert!(!earlier.html.contains("read-all"), "what is not on the page is not marked");
    let marked = ask(&fake, Method::POST, "/api/notice/read", "id=7").await;
    assert_eq!(marked.location, "/notifications?did=read");
    ask(&fake, Method::GET, &marked.location, "").await.says("Marked as read.");
}

#[tokio::test]
async fn a_runtimes_page_says_what_happened_and_stays_after_its_own_forms() {
    let fake = Fake::new(every_state());
    let page = ask(&fake, Method::GET, "/tokens/r01", "").await;
    for said in
        ["What happened", "Token added", "Last good check", "Next check", "in 57 minutes", "Check now"]
    {
        page.says(said);
    }
    let muted =
        ask(&fake, Method::POST, "/api/runtime/hide-notifications", "runtime=r01&hide=true&days=7&back=true")
            .await;
    assert_eq!(muted.location, "/tokens/r01?did=muted");
    let page = ask(&fake, Method::GET, &muted.location, "").await;
    page.says("They are hidden until 29 Nov 2026.");
    page.says("Notifications about this runtime are hidden.");
    let list = ask(&fake, Method::GET, "/tokens", "").await;
    assert!(list.html.contains("Notifications hidden until 29 Nov 2026, 09:00 UTC"));
}

#[tokio::test]
async fn a_host_in_trouble_is_named_once_above_the_list() {
    let fake = Fake::new(every_state());
    let list = ask(&fake, Method::GET, "/tokens", "").await;
    assert_eq!(list.text().matches("stopped answering").count(), 1);
    list.says("Your tokens there stay in use");
}

#[tokio::test]
async fn a_row_says_that_it_is_being_asked_about() {
    let fake = Fake::new(every_state());
    assert!(!ask(&fake, Method::GET, "/tokens", "").await.text().contains("Checking now"));
    for account in fake.accounts.lock().unwrap().iter_mut() {
        for row in account.rows.iter_mut().filter(|row| row.id == "r01") {
            row.checking = true;
        }
    }
    let list = ask(&fake, Method::GET, "/tokens", "").await;
    assert_eq!(list.text().matches("Checking now").count(), 1);
}

#[tokio::test]
async fn the_link_of_a_mail_asks_before_it_does_anything() {
    let fake = Fake::new(every_state());
    let page = ask(&fake, Method::GET, "/notifications/confirm?secret=right", "").await;
    page.says("Is this your address?");
    let done = ask(&fake, Method::POST, "/api/notice/confirm-address", "secret=right").await;
    assert_eq!(done.location, "/notifications/settings?did=address-confirmed");
    let settings = ask(&fake, Method::GET, &done.location, "").await;
    settings.says("The address is confirmed. Below you choose how often mail goes there.");
    settings.says("mara@acme.example");
    settings.says("nothing is lost");
    settings.says("shown-for-a-while");
}
