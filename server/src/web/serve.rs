//! Accepts connections, with a limit on how long a browser may take to say what it wants: `axum::serve` has none, and
//! a few hundred idle connections would hold the server's memory.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// After a failed accept (no file descriptors left, say) it gets better only with time.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// Serves until `stop` ends; requests under way may take `last` longer.
///
/// # Errors
/// When the listener is gone.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    last: Duration,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let connections = GracefulShutdown::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        // Small answers leave at once; a failure here costs only speed.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "A connection stays slow");
        }
        let router = router.clone();
        let service = service_fn(move |request| answer(router.clone(), peer, request));
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "A connection ended badly");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => {}
        () = tokio::time::sleep(last) => tracing::info!("Requests were cut off"),
    }
    Ok(())
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await
}
