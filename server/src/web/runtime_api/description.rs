//! The description for machines: OpenAPI 3.1.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    renew::SOON,
    wire::{Code, LONGEST_WAIT_SECONDS, Problem},
};

// The description takes numbers, not their names.
const _: () = assert!(LONGEST_WAIT_SECONDS == 30);
const _: () = assert!(SOON.as_secs() == 60);

/// The type of every answer that is no success (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";

/// Answers to a body that is not as described.
#[derive(IntoResponses)]
pub enum Malformed {
    /// `malformed`
    #[response(status = 400, content_type = PROBLEM)]
    Malformed(Problem),
    /// `not_json`
    #[response(status = 415, content_type = PROBLEM)]
    NotJson(Problem),
}

/// The answer to a query that is not as described.
#[derive(IntoResponses)]
pub enum Unclear {
    /// `malformed`
    #[response(status = 400, content_type = PROBLEM)]
    Malformed(Problem),
}

/// Answers at the door: to who has no valid key, or does not ask as one does here.
#[derive(IntoResponses)]
pub enum Locked {
    /// `key_unknown`, `key_revoked`
    #[response(
        status = 401,
        content_type = PROBLEM,
        headers(("WWW-Authenticate" = String, description = "`Bearer`"))
    )]
    Key(Problem),
    /// `runtime_disabled`, and where an address is asked for `other_host`
    #[response(status = 403, content_type = PROBLEM)]
    Forbidden(Problem),
    /// `wrong_method`
    #[response(status = 405, content_type = PROBLEM)]
    Method(Problem),
    /// `too_large`: a body, or the announcement of one
    #[response(status = 413, content_type = PROBLEM)]
    TooLarge(Problem),
    /// `too_many_wrong_keys`, and where one can wait `too_many_waiting`
    #[response(
        status = 429,
        content_type = PROBLEM,
        headers(("Retry-After" = u64, description = "Seconds"))
    )]
    TooMany(Problem),
}

/// Answers where there is no such user.
#[derive(IntoResponses)]
pub enum NoUser {
    /// `unknown_user`
    #[response(status = 404, content_type = PROBLEM)]
    Unknown(Problem),
}

/// Answers where there is no credential to hand out.
#[derive(IntoResponses)]
pub enum NoCredential {
    /// `unknown_user`, `no_token`
    #[response(status = 404, content_type = PROBLEM)]
    Nothing(Problem),
    /// `expired`, `revoked`, `ends_soon`, `app_not_declared`
    #[response(status = 409, content_type = PROBLEM)]
    Dead(Problem),
    /// `url_refused`, `path_needed`
    #[response(status = 422, content_type = PROBLEM)]
    Url(Problem),
}

/// Answers when it is not the runtime's fault.
#[derive(IntoResponses)]
pub enum Late {
    /// `internal`
    #[response(status = 500, content_type = PROBLEM)]
    Internal(Problem),
    /// `provider_down`, `provider_limiting`, `overtaken`, `not_recorded`, `unavailable`
    #[response(
        status = 503,
        content_type = PROBLEM,
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
    tags((name = "runtime", description = "Credentials for a runtime")),
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

static DOCUMENT: LazyLock<Document> = LazyLock::new(Api::openapi);

/// The description.
pub fn document() -> &'static Document {
    &DOCUMENT
}

/// `GET /runtime/v1/openapi.json`
pub async fn openapi() -> Response {
    axum::Json(document()).into_response()
}
