//! Open pages hear at once when something has changed. All tabs of a browser share one stream: the tab that holds a lock
//! listens and passes on what it hears; when it goes, another one gets the lock. Where there are no locks, each tab
//! listens by itself. Without a stream pages are right when they are loaded, as they always are.
//!
//! What is heard only says that it is time to look. Looking so is nothing that the visitor does: it does not keep the
//! session alive, and neither does the stream.

use std::{cell::RefCell, time::Duration};

use futures_util::StreamExt;
use gloo_net::eventsource::futures::EventSource;
use leptos::{leptos_dom::helpers::set_timeout, prelude::*, server_fn::ServerFn, task::spawn_local};
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{
    BroadcastChannel, MessageEvent,
    js_sys::{Function, Promise, Reflect},
};

use crate::{
    api::{
        person::{LoadVisitor, Visitor},
        stream::News,
    },
    error::ApiError,
    path,
};

/// What the lock and the channel between tabs are called.
const NAME: &str = "gitward-events";
/// The header of a request that the page makes by itself.
pub const LOOKING: &str = "x-gitward-looking";
/// Several changes that come together are looked at together …
const TOGETHER: u32 = 60;
/// … and not more often than that, in milliseconds.
const APART: u32 = 300;
/// Who gets the lock waits so long, in milliseconds, for the one before to say why it went.
const HANDING_OVER: u32 = 250;
/// Who does not listen itself by then hears from another tab from then on.
const JOINED: u32 = 1000;
/// Seconds until a stream that could not be had is tried again; doubles up to the second number.
const AGAIN: (u32, u32) = (2, 60);

/// What pages know of what changes around them.
#[derive(Clone, Copy)]
pub(crate) struct Changes {
    /// Counts up when it is time to look.
    pub(crate) tick: RwSignal<u32>,
    /// How many notices are unread, if that was heard.
    pub(crate) unread: RwSignal<Option<u32>>,
    /// What happened last, to be read out.
    pub(crate) said: RwSignal<String>,
    /// The session has ended.
    pub(crate) over: RwSignal<bool>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            tick: RwSignal::new(0),
            unread: RwSignal::new(None),
            said: RwSignal::new(String::new()),
            over: RwSignal::new(false),
        }
    }

    /// Runs whenever it is time to look, but not to begin with.
    pub(crate) fn on_tick(self, look: impl Fn() + 'static) {
        Effect::new(move |before: Option<()>| {
            self.tick.track();
            if before.is_some() {
                look();
            }
        });
    }

    /// The visitor has changed something that the head of the page shows as well.
    pub(crate) fn look_around(self) {
        self.tick.update(|tick| *tick += 1);
        spawn_local(async move {
            if let Ok(visitor) = look::<Visitor>(LoadVisitor::url(), String::new()).await {
                self.unread.set(Some(visitor.unread));
            }
        });
    }

    fn hear(self, text: &str) {
        match News::from_text(text) {
            News::Ended => {
                self.over.set(true);
                rest();
                return;
            }
            News::Here { unread, version } => {
                self.unread.set(Some(unread));
                let changed = with(|listener| std::mem::replace(&mut listener.version, version.clone()));
                if changed.is_some_and(|before| before != version || version.is_empty()) {
                    self.look_soon();
                }
            }
            News::Changed { unread, said } => {
                if unread.is_some() {
                    self.unread.set(unread);
                }
                if !said.is_empty() {
                    self.said.set(said);
                }
                self.look_soon();
            }
        }
        if self.over.get_untracked() {
            self.over.set(false);
            take_turn();
        }
    }

    /// It is time to look, in a moment.
    pub(crate) fn look_soon(self) {
        let begins = with(|listener| {
            listener.missed = listener.looks;
            !std::mem::replace(&mut listener.looks, true)
        });
        if begins != Some(true) {
            return;
        }
        set_timeout(
            move || {
                with(|listener| listener.missed = false);
                self.tick.update(|tick| *tick += 1);
                let again = move || {
                    with(|listener| listener.looks = false);
                    if with(|listener| std::mem::take(&mut listener.missed)) == Some(true) {
                        self.look_soon();
                    }
                };
                set_timeout(again, millis(APART));
            },
            millis(TOGETHER),
        );
    }
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

/// The changes around this page.
pub(crate) fn changes() -> Changes {
    use_context().unwrap_or_else(Changes::new)
}

/// This tab's part in listening.
struct Listener {
    changes: Changes,
    /// To and from the other tabs.
    channel: Option<BroadcastChannel>,
    /// It is this tab's turn.
    source: Option<EventSource>,
    /// Gives the lock back.
    give_back: Option<Function>,
    /// It waits for its turn, or has it.
    queued: bool,
    /// The last event that was heard of.
    last: String,
    /// As it was when the page was made.
    version: String,
    /// How often in a row the stream could not be had.
    failed: u32,
    /// It is about to look, or has just looked …
    looks: bool,
    /// … and has to once more.
    missed: bool,
}

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

fn with<T>(run: impl FnOnce(&mut Listener) -> T) -> Option<T> {
    LISTENER.with(|listener| listener.try_borrow_mut().ok()?.as_mut().map(run))
}

/// Begins to listen, for whoever is signed in. `version` is what the page was made of.
pub(crate) fn listen(changes: Changes, version: String) {
    changes.over.set(false);
    let begun = with(|listener| listener.version.clone_from(&version)).is_some();
    if !begun {
        let channel = BroadcastChannel::new(NAME).ok();
        if let Some(channel) = &channel {
            let heard = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
                if let Some(text) = message.data().as_string() {
                    heard(changes, &text);
                }
            });
            channel.set_onmessage(Some(heard.into_js_value().unchecked_ref()));
        }
        let listener = Listener {
            changes,
            channel,
            source: None,
            give_back: None,
            queued: false,
            last: String::new(),
            version,
            failed: 0,
            looks: false,
            missed: false,
        };
        LISTENER.with(|place| place.replace(Some(listener)));
        // Whoever listens learns whether anything has changed since the page was made. Whoever does not, looks.
        set_timeout(
            move || {
                if with(|listener| listener.source.is_none()) == Some(true) {
                    changes.look_around();
                }
            },
            millis(JOINED),
        );
    }
    take_turn();
}

/// Nobody is signed in here any more.
pub(crate) fn leave(changes: Changes) {
    rest();
    changes.unread.set(None);
    changes.said.set(String::new());
    LISTENER.with(|place| {
        if let Some(channel) = place.take().and_then(|listener| listener.channel) {
            channel.close();
        }
    });
}

/// Gives the turn to another tab.
fn rest() {
    let held = with(|listener| (listener.source.take(), listener.give_back.take()));
    if let Some((source, give_back)) = held {
        drop(source);
        if let Some(give_back) = give_back {
            with(|listener| listener.queued = false);
            let _ = give_back.call0(&JsValue::NULL);
        }
    }
}

/// Waits for its turn to listen.
fn take_turn() {
    if with(|listener| std::mem::replace(&mut listener.queued, true)) != Some(false) {
        return;
    }
    if ask_for_lock().is_none() {
        connect();
    }
}

/// `None` where there are no locks, or nobody to pass on to what is heard.
fn ask_for_lock() -> Option<()> {
    with(|listener| listener.channel.is_some()).filter(|there| *there)?;
    let locks = Reflect::get(&window().navigator(), &"locks".into()).ok()?;
    let request: Function = Reflect::get(&locks, &"request".into()).ok()?.dyn_into().ok()?;
    // The lock is held until the promise comes true.
    let granted = Closure::once_into_js(move || -> JsValue {
        Promise::new(&mut |give_back: Function, _| {
            let wanted = with(|listener| {
                let wanted = !listener.changes.over.get_untracked();
                listener.queued = wanted;
                listener.give_back = wanted.then(|| give_back.clone());
                wanted
            });
            if wanted == Some(true) {
                set_timeout(connect, millis(HANDING_OVER));
            } else {
                let _ = give_back.call0(&JsValue::NULL);
            }
        })
        .into()
    });
    request.call2(&locks, &NAME.into(), &granted).ok().map(drop)
}

/// Opens the stream, and again when it breaks off for good. Shorter breaks the browser mends by itself.
fn connect() {
    let place = with(|listener| {
        let wanted = listener.queued && listener.source.is_none() && !listener.changes.over.get_untracked();
        wanted.then(|| [path::EVENTS, "?after=", &listener.last].concat())
    });
    let Some(Some(place)) = place else { return };
    let Ok(mut source) = EventSource::new(&place) else { return };
    let Ok(mut messages) = source.subscribe("message") else { return };
    let Some(changes) = with(|listener| {
        listener.source = Some(source);
        listener.changes
    }) else {
        return;
    };
    spawn_local(async move {
        while let Some(Ok((_, message))) = messages.next().await {
            let text =
                [&message.last_event_id(), "\n", &message.data().as_string().unwrap_or_default()].concat();
            with(|listener| {
                listener.failed = 0;
                if let Some(channel) = &listener.channel {
                    let _ = channel.post_message(&text.as_str().into());
                }
            });
            heard(changes, &text);
        }
        drop(messages);
        let Some(source) = with(|listener| listener.source.take()) else { return };
        if source.is_none() {
            // It was closed here.
            return;
        }
        drop(source);
        // Did the session end, or the connection?
        if let Err(ApiError::SignInNeeded) = look::<Visitor>(LoadVisitor::url(), String::new()).await {
            changes.hear(&News::Ended.to_text());
            return;
        }
        let failed = with(|listener| {
            listener.failed = (listener.failed + 1).min(8);
            listener.failed
        });
        let wait = (AGAIN.0 << failed.unwrap_or(1).saturating_sub(1)).min(AGAIN.1);
        set_timeout(connect, millis(wait * 1000));
    });
}

/// From the stream, or from the tab that listens: the event's id, and what is said.
fn heard(changes: Changes, text: &str) {
    let (id, text) = text.split_once('\n').unwrap_or(("", text));
    if !id.is_empty() {
        with(|listener| id.clone_into(&mut listener.last));
    }
    changes.hear(text);
}

/// Asks a server function as the page does by itself: it is nothing that the visitor does.
pub(crate) async fn look<T: DeserializeOwned>(place: &str, body: String) -> Result<T, ApiError> {
    let answer = gloo_net::http::Request::post(place)
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header(LOOKING, "1")
        .body(body)
        .map_err(|_| ApiError::Internal)?
        .send()
        .await
        .map_err(|_| ApiError::Offline)?;
    let ok = answer.ok();
    let body = answer.text().await.map_err(|_| ApiError::Offline)?;
    if ok {
        serde_json::from_slice(body.as_bytes()).map_err(|_| ApiError::Internal)
    } else {
        Err(serde_json::from_slice(body.as_bytes()).unwrap_or(ApiError::Internal))
    }
}

/// Runs once nobody has a hand on what is inside `within`, unless its page was left meanwhile.
pub(crate) fn when_quiet(within: &'static str, here: Here, run: impl FnOnce() + 'static) {
    if here.is_left() {
        return;
    }
    if is_quiet(within) {
        run();
    } else {
        set_timeout(move || when_quiet(within, here, run), millis(APART));
    }
}

/// The page that something was begun on. What is awaited goes on when that is left, but its state is gone.
#[derive(Clone, Copy)]
pub(crate) struct Here(StoredValue<()>);

impl Here {
    /// The one that is being made.
    pub(crate) fn new() -> Self {
        Self(StoredValue::new(()))
    }

    /// The visitor is elsewhere by now.
    pub(crate) fn is_left(self) -> bool {
        self.0.try_get_value().is_none()
    }
}

/// Whether what is inside `within` may be made anew: an open menu would close under somebody's hands, and a button that
/// is being pressed would never hear that it was clicked.
pub(crate) fn is_quiet(within: &str) -> bool {
    let in_hand = [within, " :is(:popover-open, :active)"].concat();
    document().query_selector(&in_hand).is_ok_and(|found| found.is_none())
}

/// The id of what has the focus, if that lies inside an element that is about to be made anew.
pub(crate) fn focus_within(selector: &str) -> Option<String> {
    let focused = document().active_element()?;
    focused.closest(selector).ok()??;
    Some(focused.id()).filter(|id| !id.is_empty())
}
