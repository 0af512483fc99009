//! Git over HTTP: the first request of a clone or push, which shows what a token may do.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::auth::Presented;
use crate::host::{Host, Need, Refusal, SharedHost};
use crate::token::Token;

const HEAD: &str = "7fd1a60b01f91b314f59955a4e4d4e80d8edf11d";

/// The routes.
pub fn router() -> Router<SharedHost> {
    Router::new()
        .route("/{owner}/{name}/info/refs", get(info_refs))
        .route("/{owner}/{name}/git-upload-pack", post(pack))
        .route("/{owner}/{name}/git-receive-pack", post(pack))
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
    let mut state = host.state();
    let token = match Presented::read(headers) {
        Presented::Nothing => None,
        Presented::Basic { user, password } if !user.is_empty() => match state.authenticate(&password) {
            Some(token) => Some(token),
            None => return Err(unauthorized("Invalid username or token.")),
        },
        _ => return Err(unauthorized("Invalid username or token.")),
    };
    let full_name = format!("{owner}/{name}");
    let verdict = match state.repository(owner, name).cloned() {
        Some(found) => state.allow(token.as_ref(), &found, need),
        None => Err(Refusal::Hidden),
    };
    match (verdict, token) {
        (Ok(()), _) => Ok(()),
        (Err(_), None) => Err(unauthorized("No anonymous access.")),
        (Err(refusal), Some(token)) => {
            let login =
                state.person(token.person).map_or("nobody", |person| person.login.as_str()).to_owned();
            Err(match refusal {
                Refusal::Hidden => text(StatusCode::NOT_FOUND, "Repository not found."),
                Refusal::Role => {
                    let message = format!("Permission to {full_name}.git denied to {login}.");
                    text(StatusCode::FORBIDDEN, &message)
                }
                Refusal::Permission => text(StatusCode::FORBIDDEN, "Write access to repository not granted."),
                Refusal::SingleSignOn => single_sign_on(host, &mut state, &token, owner),
            })
        }
    }
}

fn single_sign_on(
    host: &Host,
    state: &mut crate::host::State,
    token: &Token,
    organization: &str,
) -> Box<Response> {
    let link = state.single_sign_on_link(host, token, organization);
    let header = [(HeaderName::from_static("x-github-sso"), format!("required; url={link}"))];
    let message = format!("The organization {organization} wants single sign-on for this token: {link}");
    Box::new((header, *text(StatusCode::FORBIDDEN, &message)).into_response())
}

fn unauthorized(message: &str) -> Box<Response> {
    let header = [(WWW_AUTHENTICATE, "Basic realm=\"GitHub\"")];
    Box::new((header, *text(StatusCode::UNAUTHORIZED, message)).into_response())
}

/// A refusal that Git shows to the person, line by line after `remote:`.
fn text(status: StatusCode, message: &str) -> Box<Response> {
    Box::new((status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{message}\n")).into_response())
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
    *text(StatusCode::NOT_IMPLEMENTED, "This simulated host has no objects to send and takes none.")
}
