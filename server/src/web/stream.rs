//! `GET /events`: tells open pages at once that something has changed, as server-sent events.
//!
//! A stream belongs to a session and ends with it, within seconds however it ends. Listening is nothing that a visitor
//! does: the session's idle clock goes on. What the stream says, pages find when they look; without it they are right
//! when they are loaded.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use app::api::stream::News;
use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    happening::happening,
    herald::{Listener, What},
    id::UserId,
    notice::{self, EventId},
    secret::Secret,
    site::Site,
    store::StoreError,
    web::{burst::Version, session::cookie_secret},
};

/// Streams of one person at once: more browsers than anybody has, and tabs where browsers can't share one.
const PER_USER: usize = 20;
/// So often somebody looks whether the session still is: it may have ended by time, or in another process.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A comment keeps what lies between from taking the stream for dead, and finds out that a browser is gone.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// A browser comes back so much later when the stream breaks off.
const COME_BACK: Duration = Duration::from_secs(2);
/// Notices that came while a browser was away are counted, and no more of them read out than this.
const MISSED: u32 = 3;

/// The streams of this process.
#[derive(Default)]
pub struct Streams {
    open: Mutex<HashMap<UserId, usize>>,
    /// Sessions ended: everybody looks after their own.
    sessions: watch::Sender<u64>,
    closed: CancellationToken,
}

impl Streams {
    /// Ends all of them, and takes no new ones: the process is about to end.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// How many are open for a person.
    pub fn open(&self, user: &UserId) -> usize {
        lock(&self.open).get(user).copied().unwrap_or(0)
    }

    /// A session ended here.
    pub fn session_ended(&self) {
        self.sessions.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn take_seat(self: &Arc<Self>, user: &UserId) -> Option<Seat> {
        let mut open = lock(&self.open);
        let count = open.entry(user.clone()).or_default();
        if *count >= PER_USER {
            return None;
        }
        *count += 1;
        Some(Seat { streams: Arc::clone(self), user: user.clone() })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of a person's streams, until it is dropped.
struct Seat {
    streams: Arc<Streams>,
    user: UserId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.open);
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

/// Opens a stream.
pub async fn events(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(secret) = cookie_secret(&site, &headers) else { return stranger() };
    let user = match site.people.look(&secret).await {
        Ok(Some((_, user))) => user.id,
        Ok(None) => return stranger(),
        Err(error) => return unavailable(&error),
    };
    let Some(seat) = site.streams.take_seat(&user) else {
        let retry = [(header::RETRY_AFTER, HeaderValue::from_static("60"))];
        return (StatusCode::TOO_MANY_REQUESTS, retry, "Too many streams are open.\n").into_response();
    };
    // Before anything is read, so that nothing is missed in between.
    let listener = site.changes.listen(user.clone());
    let sessions = site.streams.sessions.subscribe();
    let stream = Stream {
        after: seen_before(&headers, query.as_deref()),
        said_unread: None,
        look_at: Instant::now() + LOOK_EVERY,
        state: Begin::Hello,
        site,
        secret,
        user,
        listener,
        sessions,
        _seat: seat,
    };
    let events = stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<Event, Infallible>(event), stream))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Proxies that collect answers before they pass them on take it as a request not to.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn stranger() -> Response {
    (StatusCode::UNAUTHORIZED, "Nobody is signed in here.\n").into_response()
}

fn unavailable(error: &StoreError) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "A stream could not begin");
    (StatusCode::SERVICE_UNAVAILABLE, "Gitward can't reach its database at the moment.\n").into_response()
}

/// The last event that the browser heard of: as it says itself when a stream broke off, or as the page says.
fn seen_before(headers: &HeaderMap, query: Option<&str>) -> Option<EventId> {
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let query = query.and_then(|query| query.strip_prefix("after="));
    header.or(query)?.parse().ok().map(EventId)
}

enum Begin {
    Hello,
    Goes,
    Over,
}

struct Stream {
    site: Arc<Site>,
    secret: Secret,
    user: UserId,
    listener: Listener,
    sessions: watch::Receiver<u64>,
    /// The last event that the browser heard of.
    after: Option<EventId>,
    said_unread: Option<u32>,
    look_at: Instant,
    state: Begin,
    _seat: Seat,
}

impl Stream {
    /// The next thing to say. `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        let said = match self.state {
            Begin::Hello => self.hello().await,
            Begin::Goes => self.wait().await,
            Begin::Over => return None,
        };
        match said {
            Ok(Some(event)) => Some(event),
            Ok(None) => {
                self.state = Begin::Over;
                Some(Event::default().data(News::Ended.to_text()))
            }
            Err(error) => {
                // The browser comes back, and learns how things stand.
                tracing::debug!(error = &error as &dyn std::error::Error, "A stream breaks off");
                None
            }
        }
    }

    /// How things stand, and what the browser missed.
    async fn hello(&mut self) -> Result<Option<Event>, StoreError> {
        self.state = Begin::Goes;
        let store = &self.site.store;
        let version = Version::now(&self.site).await?;
        let version = version.map(|version| version.to_text(&self.site)).unwrap_or_default();
        let unread = store.unread(&self.user).await?;
        self.said_unread = Some(unread);
        let here = News::Here { unread, version };
        let event = Event::default().retry(COME_BACK).data(here.to_text());
        // Whoever missed something has not heard of the last event yet. Others' events are nobody's business.
        let heard = match self.after {
            Some(after) => after,
            None => store.last_event_of(&self.user).await?,
        };
        Ok(Some(event.id(heard.0.to_string())))
    }

    /// Waits for something to say. `Ok(None)`: the session has ended.
    async fn wait(&mut self) -> Result<Option<Event>, StoreError> {
        if let Some(after) = self.after.take()
            && let Some(event) = self.missed(after).await?
        {
            return Ok(Some(event));
        }
        loop {
            let what = tokio::select! {
                what = self.listener.next() => Some(what),
                _ = self.sessions.changed() => None,
                () = tokio::time::sleep_until(self.look_at) => None,
                () = self.site.streams.closed.cancelled() => {
                    // The browser comes back to whoever serves then.
                    self.state = Begin::Over;
                    return Ok(Some(Event::default().comment("closing")));
                }
            };
            // Nothing is said to a session that is over.
            if self.site.people.look(&self.secret).await?.is_none() {
                return Ok(None);
            }
            self.look_at = Instant::now() + LOOK_EVERY;
            if let Some(what) = what {
                return self.say(what).await.map(Some);
            }
        }
    }

    async fn say(&mut self, what: What) -> Result<Event, StoreError> {
        let store = Arc::clone(&self.site.store);
        let mut event = Event::default();
        let mut news = News::ROWS;
        if let What::Notice(id) = what {
            event = event.id(id.0.to_string());
            if let (News::Changed { said, .. }, Some(notice)) =
                (&mut news, store.notice(&self.user, id).await?)
            {
                *said = self.sentence(&notice).await?;
            }
        }
        if !matches!(what, What::Row(_)) {
            let now = store.unread(&self.user).await?;
            self.said_unread = Some(now);
            if let News::Changed { unread, .. } = &mut news {
                *unread = Some(now);
            }
        }
        Ok(event.data(news.to_text()))
    }

    /// What happened while the browser was away is read out as well, unless it is much.
    async fn missed(&mut self, after: EventId) -> Result<Option<Event>, StoreError> {
        let last = self.site.store.last_event_of(&self.user).await?;
        let news = self.site.store.news_of(&self.user, after, MISSED + 1).await?;
        let notices: Vec<_> = news.iter().filter(|event| event.is_notice).collect();
        let Some(latest) = news.last() else { return Ok(None) };
        let last = last.max(latest.id);
        let mut sentences = Vec::new();
        if news.len() <= MISSED as usize {
            for notice in notices {
                sentences.push(self.sentence(notice).await?);
            }
        }
        let news = News::Changed { unread: self.said_unread, said: sentences.join(" ") };
        Ok(Some(Event::default().id(last.0.to_string()).data(news.to_text())))
    }

    /// To be read out: `berlin: Expired.`
    async fn sentence(&self, event: &notice::Event) -> Result<String, StoreError> {
        let now = self.site.clock.now();
        let Some(runtime) = &event.runtime else {
            let host = event.host.clone().unwrap_or_default();
            let name = self.site.registry.name_at(&host);
            return Ok(format!("{}.", happening(event, &name, now).title));
        };
        let access = self.site.store.access(&self.user, runtime, now).await?;
        let Some(access) = access else { return Ok(String::new()) };
        Ok(format!("{}: {}.", access.runtime.name, happening(event, "", now).title))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_only_so_many_streams_and_one_that_ends_makes_room() {
        let streams = Arc::new(Streams::default());
        let (mara, jonas) = (UserId("mara".into()), UserId("jonas".into()));
        let mut seats: Vec<_> = (0..PER_USER).map(|_| streams.take_seat(&mara).unwrap()).collect();
        assert!(streams.take_seat(&mara).is_none());
        assert!(streams.take_seat(&jonas).is_some(), "others are not kept out");
        seats.pop();
        assert!(streams.take_seat(&mara).is_some());
        drop(seats);
        assert_eq!(streams.open(&mara), 0);
    }

    #[test]
    fn the_browsers_own_word_about_the_last_event_counts_more_than_the_pages() {
        let mut headers = HeaderMap::new();
        assert_eq!(seen_before(&headers, Some("after=7")), Some(EventId(7)));
        headers.insert("last-event-id", HeaderValue::from_static("9"));
        assert_eq!(seen_before(&headers, Some("after=7")), Some(EventId(9)));
        headers.insert("last-event-id", HeaderValue::from_static("nonsense"));
        assert_eq!(seen_before(&headers, Some("after=7")), None);
        assert_eq!(seen_before(&HeaderMap::new(), Some("after=")), None);
    }
}
