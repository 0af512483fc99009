//! The server: like axum's, but it can close a connection instead of answering.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::fault::Drop;

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    let router = Arc::new(router);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&router)));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Arc<Router>) {
    let service = service_fn(move |request| answer(Router::clone(&router), request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// An error here makes the server close the connection without sending anything.
async fn answer(router: Router, request: hyper::Request<Incoming>) -> io::Result<Response> {
    let request: Request = request.map(Body::new);
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(impossible) => match impossible {},
    };
    if response.extensions().get::<Drop>().is_some() {
        return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    }
    Ok(response)
}
