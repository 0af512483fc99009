//! Pages that are made here and need no script: the same frame and style as the others.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use leptos::prelude::*;

/// Style and forms of our own, and nothing that runs.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                          base-uri 'none'; frame-ancestors 'none'";

/// A page in its frame. `here` is where the visitor is, `body` what is there.
pub fn page(status: StatusCode, css: &str, here: &str, body: impl IntoView) -> Response {
    let (css, here, title) = (css.to_owned(), here.to_owned(), [here, " · Gitward"].concat());
    let html = view! {
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <title>{title}</title>
                <link rel="icon" href="/favicon.svg" type="image/svg+xml"/>
                <link rel="stylesheet" href=css/>
            </head>
            <body>
                <a class="skip" href="#main">"Skip to the content"</a>
                <header class="top">
                    <a class="logo" href=app::path::HOME>"Gitward"</a>
                    <nav class="crumbs" aria-label="Breadcrumb">
                        <ol>
                            <li><a href=app::path::HOME>"Home"</a></li>
                            <li aria-current="page">{here}</li>
                        </ol>
                    </nav>
                </header>
                <main id="main" tabindex="-1">{body.into_any()}</main>
            </body>
        </html>
    };
    let html = ["<!DOCTYPE html>", &html.to_html()].concat();
    let mut response = (status, Html(html)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
