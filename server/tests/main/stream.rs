//! Open pages hear at once what changes, each only their own, and listening keeps no session alive.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, Method, StatusCode},
};
use serde_json::json;
use server::{
    herald::What,
    id::{CredentialId, RuntimeId, UserId},
    person::Name,
};

use crate::{
    database::{ask, assert_same},
    site::{Browser, TestSite},
};

/// An open stream, as a browser reads it.
struct Stream {
    body: Body,
    read: String,
}

async fn user(site: &TestSite, name: &str) -> UserId {
    let name = Name::parse(name).unwrap();
    site.site.store.user_by_name(&name).await.unwrap().unwrap().id
}

impl Stream {
    async fn open(browser: &Browser) -> Self {
        Self::open_at(browser, "/events", None).await
    }

    async fn open_at(browser: &Browser, path: &str, last: Option<&str>) -> Self {
        let (status, headers, body) = open(browser, path, last).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(!headers.contains_key("content-encoding"), "not collected to be compressed");
        Self { body, read: String::new() }
    }

    /// The next message: its id and its text. `None` at the end.
    async fn next(&mut self) -> Option<(Option<i64>, String)> {
        loop {
            if let Some((message, rest)) = self.read.split_once("\n\n") {
                let field =
                    |name: &str| message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let id = field("id").map(|id| id.parse().unwrap());
                let text = field("data").map(str::to_owned);
                self.read = rest.to_owned();
                match text {
                    Some(text) => return Some((id, text)),
                    // A comment.
                    None => continue,
                }
            }
            let frame =
                std::future::poll_fn(|context| std::pin::Pin::new(&mut self.body).poll_frame(context))
                    .await?;
            self.read += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
        }
    }

    async fn text(&mut self) -> String {
        self.next().await.expect("the stream has ended").1
    }

    /// Nothing was said to `name`: what is said next is said first.
    async fn assert_silent(&mut self, site: &TestSite, name: &str, unread: u32) {
        site.site.changes.say(&user(site, name).await, What::Everything);
        assert_eq!(self.next().await, Some((None, format!("{unread} "))));
    }
}

async fn open(browser: &Browser, path: &str, last: Option<&str>) -> (StatusCode, HeaderMap, Body) {
    let mut ask = browser.ask(Method::GET, path).header("accept", "text/event-stream");
    if let Some(last) = last {
        ask = ask.header("last-event-id", last);
    }
    ask.open().await
}

fn unread(hello: &str) -> &str {
    hello.strip_prefix("here ").unwrap().split(' ').next().unwrap()
}

/// A site where Mara's token at `acme.paste` works, and the herald has seen it.
async fn scene() -> (TestSite, Browser, crate::forge::Made) {
    let site = TestSite::start().await;
    let mara = site.person("mara").await;
    let made = site.forge.good_token().await;
    mara.paste("acme.paste", &made.token).await.assert_ok();
    site.site.herald.round().await.unwrap();
    (site, mara, made)
}

/// Its scopes are taken away, which is news.
async fn lose_scopes(site: &TestSite, mara: &Browser, made: &crate::forge::Made) {
    site.forge.change(made.id, json!({ "scopes": ["gist"] })).await;
    mara.check("acme.paste").await.assert_ok();
    site.site.herald.round().await.unwrap();
}

#[tokio::test]
async fn what_happens_is_heard_by_its_user_and_by_nobody_else() {
    let (site, mara, made) = scene().await;
    let jonas = site.person("jonas").await;
    let (mut hers, mut also_hers, mut his) =
        (Stream::open(&mara).await, Stream::open(&mara).await, Stream::open(&jonas).await);
    for stream in [&mut hers, &mut also_hers, &mut his] {
        assert_eq!(unread(&stream.text().await), "0");
    }
    lose_scopes(&site, &mara, &made).await;
    for stream in [&mut hers, &mut also_hers] {
        let told = loop {
            let (id, text) = stream.next().await.unwrap();
            if id.is_some() {
                break text;
            }
            assert_eq!(text.trim(), "", "rows that change say nothing else");
        };
        assert_eq!(told, "1 paste: Scope missing.");
    }
    his.assert_silent(&site, "jonas", 0).await;

    mara.call("notice/read-all", &[("up_to", "999")]).await.assert_ok();
    assert_eq!(hers.text().await, "0 ", "read in one tab is read in all");
    assert_eq!(also_hers.text().await, "0 ");
    his.assert_silent(&site, "jonas", 0).await;
}

#[tokio::test]
async fn a_stream_that_broke_off_goes_on_after_the_last_event_it_has_seen() {
    let (site, mara, made) = scene().await;
    let mut stream = Stream::open(&mara).await;
    let (seen, _) = stream.next().await.unwrap();
    drop(stream);
    lose_scopes(&site, &mara, &made).await;
    let seen = seen.unwrap().to_string();
    let mut again = Stream::open_at(&mara, "/events", Some(&seen)).await;
    assert_eq!(unread(&again.text().await), "1");
    let (id, text) = again.next().await.unwrap();
    assert_eq!(text, "1 paste: Scope missing.");
    let mut once_more = Stream::open_at(&mara, &format!("/events?after={}", id.unwrap()), None).await;
    assert_eq!(unread(&once_more.text().await), "1");
    once_more.assert_silent(&site, "mara", 1).await;
    let mut first = Stream::open(&mara).await;
    assert_eq!(unread(&first.text().await), "1");
    // A page that was just loaded has everything already.
    first.assert_silent(&site, "mara", 1).await;
}

#[tokio::test]
async fn the_first_word_is_no_later_than_what_was_heard_and_says_nothing_of_others() {
    let (site, mara, made) = scene().await;
    let jonas = site.person("jonas").await;
    let (seen, _) = Stream::open(&mara).await.next().await.unwrap();
    lose_scopes(&site, &mara, &made).await;
    let (his, _) = Stream::open(&jonas).await.next().await.unwrap();
    assert_eq!(his, Some(0), "how much happened to others is nobody's business");
    // The stream breaks off after its first word: what was missed is missed all the same.
    let after = seen.unwrap().to_string();
    let (hello, _) = Stream::open_at(&mara, "/events", Some(&after)).await.next().await.unwrap();
    assert_eq!(hello, seen);
    let (all, _) = Stream::open(&mara).await.next().await.unwrap();
    assert!(all > seen, "{all:?}");
}

#[tokio::test]
async fn signing_out_ends_the_stream_of_that_session_alone() {
    let (site, mara, _) = scene().await;
    let other = site.anonymous();
    other.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
    let (mut ends, mut goes_on) = (Stream::open(&mara).await, Stream::open(&other).await);
    ends.text().await;
    goes_on.text().await;
    mara.call("person/sign-out", &[]).await;
    assert_eq!(ends.text().await, "ended");
    assert_eq!(ends.next().await, None);
    goes_on.assert_silent(&site, "mara", 0).await;
    assert_eq!(open(&mara, "/events", None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nothing_is_said_to_a_session_that_is_over() {
    let (site, mara, made) = scene().await;
    let other = site.anonymous();
    let mut stream = Stream::open(&mara).await;
    stream.text().await;
    site.clock.advance(Duration::from_secs(30 * 60));
    other.sign_in("mara", crate::site::PASSWORD).await.assert_ok();
    lose_scopes(&site, &other, &made).await;
    assert_eq!(stream.text().await, "ended", "without a word of what happened");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn neither_listening_nor_what_pages_ask_by_themselves_keeps_a_session_alive() {
    let (site, mara, _) = scene().await;
    let mut stream = Stream::open(&mara).await;
    stream.text().await;
    let before = site.dump().await;
    let user = user(&site, "mara").await;
    for _ in 0..2 {
        site.clock.advance(Duration::from_secs(14 * 60));
        site.site.changes.say(&user, What::Row(RuntimeId("acme.paste".into())));
        assert_eq!(stream.text().await.trim(), "");
        let looks = mara.ask(Method::POST, "/api/token/table").header("x-gitward-looking", "1");
        looks.header("accept", "application/json").form(&[]).send().await.assert_ok();
    }
    assert_same(&before, &site.dump().await, "looking");
    site.clock.advance(Duration::from_secs(2 * 60));
    site.site.streams.session_ended();
    assert_eq!(stream.text().await, "ended", "half an hour after the last click");
    assert_eq!(mara.get("/tokens").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_click_keeps_a_session_alive_and_its_stream() {
    let (site, mara, _) = scene().await;
    let mut stream = Stream::open(&mara).await;
    stream.text().await;
    for _ in 0..3 {
        site.clock.advance(Duration::from_secs(29 * 60));
        assert_eq!(mara.get("/tokens").await.status, StatusCode::OK);
    }
    site.site.streams.session_ended();
    stream.assert_silent(&site, "mara", 0).await;
}

#[tokio::test]
async fn one_person_has_only_so_many_streams_and_leaves_others_theirs() {
    let (site, mara, _) = scene().await;
    let jonas = site.person("jonas").await;
    let mut streams = Vec::new();
    let refused = loop {
        match open(&mara, "/events", None).await {
            (StatusCode::OK, _, body) => streams.push(body),
            (status, headers, _) => break (status, headers),
        }
        assert!(streams.len() < 1000, "there is a limit");
    };
    assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.1.contains_key("retry-after"));
    assert_eq!(open(&jonas, "/events", None).await.0, StatusCode::OK);
    assert_eq!(mara.get("/tokens").await.status, StatusCode::OK, "pages need no stream");
    streams.pop();
    assert_eq!(open(&mara, "/events", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn streams_end_when_the_site_is_told_to_stop() {
    let (site, mara, _) = scene().await;
    let mut stream = Stream::open(&mara).await;
    stream.text().await;
    site.site.streams.close();
    assert_eq!(stream.next().await, None, "without a word that the session ended: it goes on elsewhere");
}

/// Pages are kept for a moment, but never beyond what they say.
#[tokio::test]
async fn a_page_says_at_once_that_a_token_is_asked_about_and_that_it_is_not_any_more() {
    let (site, mara, _) = scene().await;
    let says = |page: crate::site::Answer| page.text().contains("Checking now");
    assert!(!says(mara.get("/tokens").await));
    let credential: String = ask(&site.database(), "SELECT id FROM credentials").await;
    let credential = CredentialId(credential);
    let asking = site.site.changes.asking(&user(&site, "mara").await, &credential, Vec::new());
    assert!(says(mara.get("/tokens").await));
    assert!(says(mara.get("/tokens/acme.paste").await));
    drop(asking);
    assert!(!says(mara.get("/tokens").await));
}
