//! What a request began to change goes on to its end, whether somebody waits for the answer or not.
//!
//! Who hangs up, or waits for too long, drops the future that works for them, at whatever point it has come to. That
//! point may lie between the entry in the audit log and what it tells of, or in the middle of a change.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use hyper::body::Frame;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::site::Site;

/// Tasks that nobody may wait for any more: hanging up does not end them, so that something else has to bound them.
const MOST_UNDER_WAY: usize = 4096;

/// Whatever may change something is done on a task of its own, which the process waits for when it stops, for a while.
/// All that it needs is read before: who hangs up in the middle of a form has begun nothing.
///
/// Only looking ends with whoever looked. The one `GET` that changes something sees to it itself: [`super::oauth::finish`].
pub async fn to_the_end(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    go_on(&site.under_way, request, next).await
}

async fn go_on(under_way: &TaskTracker, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, arrived(body).await);
    // A process that is about to end begins nothing that it might not end.
    if under_way.is_closed() || under_way.len() >= MOST_UNDER_WAY {
        return (StatusCode::SERVICE_UNAVAILABLE, "Try again in a moment.\n").into_response();
    }
    let doing = under_way.spawn(next.run(request).in_current_span());
    match doing.await {
        Ok(response) => response,
        // As if it had happened here.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            tracing::error!(%error, "A request was broken off");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The body once it has come in whole. If it does not, one that says why as soon as it is read: whoever reads it knows
/// what that means.
async fn arrived(body: Body) -> Body {
    let mut coming = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(piece) = coming.next().await {
        match piece {
            Ok(piece) => whole.extend_from_slice(&piece),
            Err(error) => return Body::new(Broken(Some(error.into_inner()))),
        }
    }
    Body::from(whole)
}

/// A body that could not be read.
struct Broken(Option<BoxError>);

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicBool, Ordering},
    };

    use axum::{
        Router,
        middleware::from_fn_with_state,
        routing::{get, post},
    };
    use futures_util::stream;
    use tokio::sync::Notify;
    use tower::ServiceExt;
    use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer};

    use super::*;

    async fn tracked(State(under_way): State<TaskTracker>, request: Request, next: Next) -> Response {
        go_on(&under_way, request, next).await
    }

    fn over(routes: Router, under_way: &TaskTracker) -> Router {
        routes
            .layer(from_fn_with_state(under_way.clone(), tracked))
            .layer(RequestBodyLimitLayer::new(8))
            .layer(CatchPanicLayer::new())
    }

    fn ask(method: Method, body: impl Into<Body>) -> Request {
        Request::builder().method(method).uri("/").body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn what_was_begun_is_done_without_anybody_who_waits_and_looking_is_not() {
        for (method, expected) in [(Method::POST, true), (Method::DELETE, true), (Method::GET, false)] {
            let (begun, go_on, done) =
                (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
            let (began, goes_on, did) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&done));
            let handler = move || async move {
                began.notify_one();
                goes_on.notified().await;
                did.store(true, Ordering::SeqCst);
            };
            let under_way = TaskTracker::new();
            let routes = Router::new().route("/", get(handler.clone()).post(handler.clone()).delete(handler));
            {
                let mut request = pin!(over(routes, &under_way).oneshot(ask(method.clone(), "a=b")));
                tokio::select! {
                    _ = &mut request => panic!("it waits"),
                    () = begun.notified() => {}
                }
            }
            go_on.notify_one();
            under_way.close();
            under_way.wait().await;
            assert_eq!(done.load(Ordering::SeqCst), expected, "{method}");
        }
    }

    #[tokio::test]
    async fn who_hangs_up_in_the_middle_of_a_form_has_begun_nothing() {
        let under_way = TaskTracker::new();
        let routes = Router::new().route("/", post(|| async {}));
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"a="))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let mut request = pin!(over(routes, &under_way).oneshot(ask(Method::POST, body)));
        assert!(futures_util::poll!(&mut request).is_pending());
        assert_eq!(under_way.len(), 0);
    }

    #[tokio::test]
    async fn who_comes_when_the_process_ends_or_too_much_is_under_way_begins_nothing() {
        let under_way = TaskTracker::new();
        let done = Arc::new(AtomicBool::new(false));
        let did = Arc::clone(&done);
        let routes = Router::new().route("/", post(async move || did.store(true, Ordering::SeqCst)));
        let tokens: Vec<_> = (0..MOST_UNDER_WAY).map(|_| under_way.token()).collect();
        let answer = over(routes.clone(), &under_way).oneshot(ask(Method::POST, "")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(tokens);
        under_way.close();
        let answer = over(routes.clone(), &under_way).oneshot(ask(Method::POST, "")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!done.load(Ordering::SeqCst));
        under_way.reopen();
        let answer = over(routes, &under_way).oneshot(ask(Method::POST, "")).await.unwrap();
        assert!(answer.status().is_success() && done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_what_is_too_large_is_still_called_so() {
        let under_way = TaskTracker::new();
        async fn broken() -> &'static str {
            panic!("on purpose")
        }
        let panics = Router::new().route("/", post(broken));
        let answer = over(panics, &under_way).oneshot(ask(Method::POST, "")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let reads = Router::new().route("/", post(|body: String| async move { body }));
        let in_pieces = |pieces: &[&'static str]| {
            let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece)).collect();
            Body::from_stream(stream::iter(pieces))
        };
        let large = ask(Method::POST, in_pieces(&["12345", "67890"]));
        let answer = over(reads.clone(), &under_way).oneshot(large).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let small = ask(Method::POST, in_pieces(&["123", "45"]));
        let answer = over(reads, &under_way).oneshot(small).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(body, "12345");
    }

    #[tokio::test]
    async fn what_is_logged_belongs_to_the_request() {
        let _log = tracing::subscriber::set_default(tracing_subscriber::registry());
        let name = || async { tracing::Span::current().metadata().map_or("none", |span| span.name()) };
        let routes = Router::new().route("/", post(name));
        let under_way = TaskTracker::new();
        let span = tracing::info_span!("a request");
        let answer = over(routes, &under_way).oneshot(ask(Method::POST, "")).instrument(span).await.unwrap();
        let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
        assert_eq!(body, "a request");
    }
}
