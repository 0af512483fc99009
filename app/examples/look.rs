//! Serves all pages over a fake backend, to look at them: `cargo run -p app --features ssr --example look`.
//!
//! `GITWARD_LOOK` names a folder with the built `gitward.js`, `gitward_bg.wasm` and `gitward.css`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a tool for developers")]

#[path = "../tests/pages/fake.rs"]
mod fake;

use app::asset::Assets;
use tower_http::services::ServeDir;

#[tokio::main]
async fn main() {
    let folder = std::env::var("GITWARD_LOOK").unwrap_or_else(|_| "target/site/pkg".into());
    let fake = fake::Fake::new(fake::every_state());
    let assets = Assets {
        js: "/pkg/gitward.js".into(),
        wasm: "/pkg/gitward_bg.wasm".into(),
        css: "/pkg/gitward.css".into(),
    };
    let site = fake::site(&fake, assets)
        .nest_service("/pkg", ServeDir::new(folder))
        .route_service("/favicon.svg", tower_http::services::ServeFile::new("public/favicon.svg"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3900").await.expect("the port is free");
    axum::serve(listener, site).await.unwrap();
}
