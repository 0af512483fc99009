//! Pages that are made here and need no script: the same frame and style as the others.

use app::{Still, api::person::Visitor};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use leptos::prelude::*;

use super::session::Signed;
use crate::site::Site;

/// Style and forms of our own, and nothing that runs.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                          base-uri 'none'; frame-ancestors 'none'";

/// A page in its frame.
pub fn page(status: StatusCode, frame: Still<'_>, body: impl IntoView) -> Response {
    let mut response = (status, Html(frame.html(body.into_any()))).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// There is nothing, or nothing for this visitor.
pub fn nothing(css: &str, visitor: Option<&Visitor>, sentence: &'static str) -> Response {
    let body = view! {
        <div class="narrow">
            <h1>"Nothing here"</h1>
            <p class="lead">{sentence}</p>
            <p class="links"><a href=app::path::TOKENS>"To your runtimes"</a></p>
        </div>
    };
    page(StatusCode::NOT_FOUND, Still { css, visitor, above: &[], here: "Nothing here" }, body)
}

/// Who looks, for the head of a page. Where it can't be read how many notices are unread, none are shown: the page has
/// more to say than that.
pub async fn visitor(site: &Site, signed: &Signed) -> Visitor {
    let unread = site.store.unread(&signed.user.id).await.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "Unread notices could not be counted");
        0
    });
    Visitor { name: signed.user.name.to_string(), unread, version: String::new() }
}
