//! Git over HTTP: the first request of a clone or push, which shows what a token may do.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::dialect::Denied;
use crate::host::{Host, Need, Refusal, SharedHost};

const HEAD: &str = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d";

/// The routes, below what the dialect puts in front.
pub fn router(root: &str) -> Router<SharedHost> {
    Router::new()
        .route(&format!("{root}/{{owner}}/{{name}}/info/refs"), get(info_refs))
        .route(&format!("{root}/{{owner}}/{{name}}/git-upload-pack"), post(pack))
        .route(&format!("{root}/{{owner}}/{{name}}/git-receive-pack"), post(pack))
}

#[derive(Deserialize)]
struct InfoRefs {
    service: Option<String>,
}

async fn info_refs(
    State(host): State<SharedHost>,
    Path((owner, name)): Path<(String, String)>,
    Query(query): Query<InfoRefs>,
    headers: HeaderMap,
) -> Response {
    let (service, need) = match query.service.as_deref() {
        Some("git-upload-pack") => ("git-upload-pack", Need::ReadContents),
        Some("git-receive-pack") => ("git-receive-pack", Need::WriteContents),
        _ => return (StatusCode::FORBIDDEN, "This host speaks the smart protocol only.\n").into_response(),
    };
    let name = name.strip_suffix(".git").unwrap_or(&name);
    match open(&host, &headers, (&owner, name), need) {
        Ok(()) => advertise(service),
        Err(refusal) => *refusal,
    }
}

/// Decides whether whoever asks may have this service of this repository.
fn open(
    host: &Host,
    headers: &HeaderMap,
    (owner, name): (&str, &str),
    need: Need,
) -> Result<(), Box<Response>> {
    let dialect = host.dialect();
    let token = dialect.git_caller(host, headers)?;
    let (verdict, login) = {
        let state = host.state();
        let verdict = match state.repository(owner, name) {
            Some(found) => state.allow(token.as_ref(), found, need),
            None => Err(Refusal::Hidden),
        };
        let person = token.as_ref().and_then(|token| state.person(token.person));
        (verdict, person.map_or_else(|| "nobody".to_owned(), |person| person.login.clone()))
    };
    verdict.map_err(|refusal| {
        let denied = Denied { token: token.as_ref(), login: &login, refusal, need, owner, name };
        Box::new(dialect.git_refusal(host, &denied))
    })
}

/// Tells Git to ask the person for a name and a password.
pub fn unauthorized(realm: &str, message: &str) -> Response {
    let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\""));
    let header = challenge.map(|challenge| [(WWW_AUTHENTICATE, challenge)]).ok();
    (header, text(StatusCode::UNAUTHORIZED, message)).into_response()
}

/// A refusal that Git shows to the person, line by line after `remote:`.
pub fn text(status: StatusCode, message: &str) -> Response {
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{message}\n")).into_response()
}

fn advertise(service: &str) -> Response {
    let capabilities = match service {
        "git-upload-pack" => "multi_ack side-band-64k ofs-delta symref=HEAD:refs/heads/main agent=forge",
        _ => "report-status delete-refs side-band-64k ofs-delta agent=forge",
    };
    let first = if service == "git-upload-pack" { "HEAD" } else { "refs/heads/main" };
    let mut body = packet(&format!("# service={service}\n"));
    body.push_str("0000");
    body.push_str(&packet(&format!("{HEAD} {first}\0{capabilities}\n")));
    if first == "HEAD" {
        body.push_str(&packet(&format!("{HEAD} refs/heads/main\n")));
    }
    body.push_str("0000");
    let headers = [
        (CONTENT_TYPE, format!("application/x-{service}-advertisement")),
        (CACHE_CONTROL, "no-cache, max-age=0, must-revalidate".to_owned()),
    ];
    (headers, body).into_response()
}

/// A line with its length, itself included, in front.
fn packet(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}

async fn pack() -> Response {
    text(StatusCode::NOT_IMPLEMENTED, "This simulated host has no objects to send and takes none.")
}
