//! A bare axum route that serves the bytes of one file: what `make bench` measures pages against.
//!
//! `bare FILE` prints its address and serves until it is ended.

use axum::{Router, body::Bytes, http::header, routing::get};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let file = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("say which file to serve"))?;
    let page = Bytes::from(std::fs::read(file)?);
    let route = get(move || async move { ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("bare on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", route)).await
}
