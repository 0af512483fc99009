//! The description for machines: OpenAPI 3.1.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::wire::{Code, Problem};

/// The type of every answer that is no success (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";

/// A code as it is written.
pub fn word(code: Code) -> String {
    let word = serde_json::to_value(code).ok();
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Answers to a body that is not as described.
#[derive(IntoResponses)]
pub enum Malformed {
    /// `malformed`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// `too_large`
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// `not_json`
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
}

/// The answer to a query that is not as described.
#[derive(IntoResponses)]
pub enum Unclear {
    /// `malformed`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
}

/// Answers to who has no valid key.
#[derive(IntoResponses)]
pub enum Locked {
    /// `key_unknown`, `key_revoked`
    #[response(
        status = 401,
        content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "`Bearer`"))
    )]
    Key(Problem),
    /// `runtime_disabled`, and where an address is asked for `other_host`
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// `wrong_method`
    #[response(status = 405, content_type = "application/problem+json")]
    Method(Problem),
    /// `too_many_wrong_keys`
    #[response(
        status = 429,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds"))
    )]
    TooMany(Problem),
}

/// Answers where there is no such user.
#[derive(IntoResponses)]
pub enum NoUser {
    /// `unknown_user`
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(Problem),
}

/// Answers where there is no credential to hand out.
#[derive(IntoResponses)]
pub enum Withheld {
    /// `unknown_user`, `no_token`
    #[response(status = 404, content_type = "application/problem+json")]
    Nothing(Problem),
    /// `expired`, `revoked`, `ends_soon`
    #[response(status = 409, content_type = "application/problem+json")]
    Dead(Problem),
    /// `url_refused`
    #[response(status = 422, content_type = "application/problem+json")]
    Url(Problem),
}

/// Answers when it is not the runtime's fault.
#[derive(IntoResponses)]
pub enum Late {
    /// `internal`
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// `provider_down`, `provider_limiting`, `not_recorded`, `unavailable`
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds"))
    )]
    Unavailable(Problem),
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gitward runtime API",
        version = "1",
        description = "A GitOps runtime fetches the Git credentials of its users. Every request shows the runtime's key. \
                       Every answer that is no success is a problem document (RFC 9457) whose `code` says why. Fields and \
                       codes may be added: pass over what you don't know."
    ),
    paths(super::credential, super::report, super::users, super::changes),
    // Those that only answers to what went wrong refer to.
    components(schemas(Problem, Code)),
    modifiers(&Key)
)]
struct Api;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("gwr_<public id>_<secret>")
            .description(Some("A runtime key. An admin of the account makes one."))
            .build();
        if let Some(components) = &mut document.components {
            components.add_security_scheme("key", SecurityScheme::Http(scheme));
        }
    }
}

static DOCUMENT: LazyLock<(Document, String)> = LazyLock::new(|| {
    let document = Api::openapi();
    let text = document.to_json().unwrap_or_default();
    (document, text)
});

/// The description.
pub fn document() -> &'static Document {
    &DOCUMENT.0
}

/// `GET /runtime/v1/openapi.json`
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.1.as_str()).into_response()
}
