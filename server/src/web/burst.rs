//! A page that is asked for again within the same second, by the same session, while nothing that is kept has changed,
//! is not made again. Making it costs a thousand times what sending it does, so that one impatient browser (or one
//! signed-in person with a loop) would keep everybody else waiting.
//!
//! What is sent is what would have been made: any change in the database, by whatever process, ends what was kept, and
//! so does the second. Only the nonce of the policy is new each time, as it must be.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use crate::{
    random::new_id,
    secret::Fingerprint,
    site::Site,
    store::{Store, StoreError},
};

/// Larger pages are made anew each time.
const LARGEST_PAGE_BYTES: usize = 512 * 1024;
/// As many pages as that are kept at once; the next one empties the shelf.
const PAGES: usize = 16;
/// So many pages are made at once: more would take memory, and be ready no sooner.
const MADE_AT_ONCE: usize = 8;

/// Pages of this second.
#[derive(Default)]
pub struct Burst {
    pages: Mutex<HashMap<Key, Arc<Page>>>,
    versions: Versions,
}

/// Asks the store for its version once for all who wait, but never answers with what was asked before somebody came.
#[derive(Default)]
struct Versions {
    /// Counts who came.
    came: AtomicU64,
    /// The last answer, and who had come before it was asked for.
    last: tokio::sync::Mutex<(u64, Option<i64>)>,
}

impl Versions {
    async fn now(&self, store: &dyn Store) -> Option<i64> {
        let ticket = self.came.fetch_add(1, Ordering::SeqCst) + 1;
        let mut last = self.last.lock().await;
        if last.0 < ticket {
            let came = self.came.load(Ordering::SeqCst);
            // A failing database is the next layer's to report.
            *last = (came, store.version().await.ok().flatten());
        }
        last.1
    }
}

#[derive(Clone, Eq, Hash, PartialEq)]
struct Key {
    session: Fingerprint,
    place: String,
}

/// What the page is made of that is being asked for, in the request's extensions: read before anything else is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// The store's.
    kept: i64,
    /// What is asked about by this process stands in no database.
    asked: u64,
}

impl Version {
    /// As it travels: another one in another process.
    pub fn to_text(&self, site: &Site) -> String {
        format!("{}.{}.{}", site.opened_at.micros(), self.kept, self.asked)
    }

    /// How it is now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn now(site: &Site) -> Result<Option<Self>, StoreError> {
        let asked = site.changes.turns();
        Ok(site.store.version().await?.map(|kept| Self { kept, asked }))
    }
}

struct Page {
    /// Held by whoever makes the next one.
    making: Arc<tokio::sync::Mutex<()>>,
    version: Version,
    second: i64,
    headers: HeaderMap,
    /// The body, cut where the nonce stood.
    pieces: Vec<Bytes>,
}

/// Answers from the shelf, or fills it.
pub async fn serve(
    State((site, burst)): State<(Arc<Site>, Arc<Burst>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let cookie = super::session::cookie_secret(&site, request.headers());
    let (true, Some(cookie)) = (request.method() == Method::GET, cookie) else {
        return next.run(request).await;
    };
    let place = request.uri().path_and_query().map(|place| place.as_str().to_owned()).unwrap_or_default();
    let key = Key { session: cookie.fingerprint(), place };
    let mut turn = None;
    let (version, second) = loop {
        let asked = site.changes.turns();
        let Some(kept) = burst.versions.now(site.store.as_ref()).await else {
            return next.run(request).await;
        };
        let version = Version { kept, asked };
        let second = site.clock.now().seconds();
        let known = burst.shelf().get(&key).cloned();
        match known {
            Some(page) if page.version == version && page.second == second => {
                return match new_id(site.entropy.as_ref()) {
                    Ok(nonce) => page.with(&nonce),
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                };
            }
            // It can be kept, so one makes it anew, and those who come meanwhile get the same.
            Some(page) if turn.is_none() => turn = Some(Arc::clone(&page.making).lock_owned().await),
            _ => break (version, second),
        }
    };
    request.extensions_mut().insert(version.clone());
    let response = next.run(request).await;
    let Some(nonce) = nonce_of(&response) else { return response };
    let (parts, body) = response.into_parts();
    let body = match to_bytes(body, LARGEST_PAGE_BYTES).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "A page is too large to send");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let page = Page {
        making: Arc::default(),
        version,
        second,
        headers: parts.headers.clone(),
        pieces: cut(&body, nonce.as_bytes()),
    };
    let mut shelf = burst.shelf();
    if shelf.len() >= PAGES {
        shelf.clear();
    }
    shelf.insert(key, Arc::new(page));
    drop(shelf);
    Response::from_parts(parts, Body::from(body))
}

/// Lets few pages be made at once. Not for what waits for a Git provider: that would keep the pages waiting.
pub async fn few_at_once(State(few): State<Few>, request: Request, next: Next) -> Response {
    let _turn = match *request.method() {
        Method::GET => few.0.acquire().await.ok(),
        _ => None,
    };
    next.run(request).await
}

/// The turns of [`few_at_once`].
#[derive(Clone)]
pub struct Few(Arc<Semaphore>);

impl Default for Few {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MADE_AT_ONCE)))
    }
}

impl Burst {
    fn shelf(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Page>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn with(&self, nonce: &str) -> Response {
        let length: usize = self.pieces.iter().map(|piece| piece.len() + nonce.len()).sum();
        let mut body = Vec::with_capacity(length);
        for (number, piece) in self.pieces.iter().enumerate() {
            if number > 0 {
                body.extend_from_slice(nonce.as_bytes());
            }
            body.extend_from_slice(piece);
        }
        let mut response = Response::new(Body::from(body));
        *response.headers_mut() = self.headers.clone();
        if let Some(policy) = response.headers_mut().get_mut(header::CONTENT_SECURITY_POLICY)
            && let Some(new) = policy.to_str().ok().and_then(|text| {
                let (before, rest) = text.split_once("'nonce-")?;
                let (_, after) = rest.split_once('\'')?;
                HeaderValue::from_str(&format!("{before}'nonce-{nonce}'{after}")).ok()
            })
        {
            *policy = new;
        }
        response
    }
}

/// The nonce of a page that may be kept: complete, for one person, giving nothing away.
fn nonce_of(response: &Response) -> Option<String> {
    let headers = response.headers();
    let is_page = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.starts_with("text/html");
    if response.status() != StatusCode::OK || !is_page || headers.contains_key(header::SET_COOKIE) {
        return None;
    }
    let policy = headers.get(header::CONTENT_SECURITY_POLICY)?.to_str().ok()?;
    let (nonce, _) = policy.split_once("'nonce-")?.1.split_once('\'')?;
    Some(nonce.to_owned())
}

/// Cuts the body at each nonce.
fn cut(body: &Bytes, nonce: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut at = 0;
    while at + nonce.len() <= body.len() {
        if body[at..].starts_with(nonce) {
            pieces.push(body.slice(begin..at));
            at += nonce.len();
            begin = at;
        } else {
            at += 1;
        }
    }
    pieces.push(body.slice(begin..));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(policy: &'static str, body: &'static str) -> Page {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        Page {
            making: Arc::default(),
            version: Version { kept: 1, asked: 0 },
            second: 1,
            headers,
            pieces: cut(&Bytes::from_static(body.as_bytes()), b"OLD"),
        }
    }

    #[tokio::test]
    async fn a_page_goes_out_again_with_a_nonce_of_its_own() {
        let page =
            page("script-src 'self' 'nonce-OLD' 'wasm-unsafe-eval'", "<script nonce=\"OLD\">1</script>OLD");
        let response = page.with("NEW");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert_eq!(policy, "script-src 'self' 'nonce-NEW' 'wasm-unsafe-eval'");
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(body, "<script nonce=\"NEW\">1</script>NEW");
    }

    #[test]
    fn what_sets_a_cookie_or_is_no_page_is_not_kept() {
        let mut response = page("script-src 'nonce-OLD'", "").with("OLD");
        assert_eq!(nonce_of(&response), None, "no page");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        assert_eq!(nonce_of(&response).as_deref(), Some("OLD"));
        response.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_static("gitward=x"));
        assert_eq!(nonce_of(&response), None);
    }
}
