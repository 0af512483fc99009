//! Forge, a simulated Git host. It looks to a client like GitHub (or GitHub Enterprise Server), keeps everything in
//! memory, and misbehaves when told to. Demos and tests run against it; no product code depends on it. Never expose it:
//! whoever reaches it controls it.
//!
//! STARTING. forge --listen 127.0.0.1:4001 --shape github --public-url http://localhost:4001
//! --redirect-uri http://localhost:*
//! All options may be left out. Port 0 takes a free port. The first line on standard output says that it is ready:
//! forge (github) on http://localhost:4001. It ends on SIGINT and SIGTERM. A process is one host with one state: parallel
//! tests start one each.
//!
//! SHAPES. github answers REST at the root: /user, /repos/acme/infra. ghes answers REST below /api/v3, has no page for
//! fine-grained tokens, no status in the body of errors, and no rate limits until a setting turns them on. OAuth is below
//! /login/oauth in both, Git at /owner/name.git or /owner/name.
//!
//! SEEDS. People: octocat with password octocat (id 583231), hubot with password hubot (id 2).
//! OAuth app: client id gitward-demo, secret gitward-demo-secret. GitHub App: client id Iv1.gitwarddemo, secret
//! gitward-demo-app-secret, installed with contents=write and metadata=read on acme/infra and acme/readonly.
//! Repositories: acme/infra (private; octocat is admin), acme/public (public; octocat pushes), acme/readonly (private;
//! octocat reads), acme/secret-ops (private; hubot pushes, hidden from octocat), acme-sso/ops (private; octocat pushes;
//! the organisation acme-sso enforces single sign-on). There are no tokens at the start.
//! Where the apps may send people back to: any port of localhost and 127.0.0.1 over http, or the addresses given with
//! --redirect-uri (an address ending in :* fits any port; others fit their path and those below). With a fixed address
//! among them, a wrong redirect_uri sends the person there with redirect_uri_mismatch; otherwise a page says so.
//!
//! ROOMS OF THE SOURCE. dialect: everything in which hosts differ, a file per provider; no other file knows one by name.
//! host: all state and the rules who may do what. oauth: the web flow. git: Git over HTTP. pages: sign-in and tokens for
//! people. control: the control room described below. fault: misbehaviour, as a layer around everything. record: the list
//! of requests, as a layer around that. token, scope, own, clock, random, mint, auth, form, html: the nouns they share.
//! serve: the server, which can drop a connection. To add a provider, see dialect; to add a misbehaviour, add a variant to
//! Mishap in fault.
//!
//! REST. GET /user, /user/orgs, /user/installations, /rate_limit, /meta, /repos/O/R, /repos/O/R/contents/,
//! /repos/O/R/contents/README.md, /repos/O/R/hooks. POST, PATCH, DELETE /applications/CLIENT_ID/token and DELETE
//! /applications/CLIENT_ID/grant with Basic client id and secret. POST /credentials/revoke (github: without credentials;
//! ghes: with). A token is accepted as Bearer, as token, or as the password of Basic. A request without User-Agent gets 403.
//!
//! OAUTH. GET /login/oauth/authorize (client_id, redirect_uri, scope, state, code_challenge, code_challenge_method=S256,
//! login, prompt=consent or select_account); POST /login/oauth/access_token (code or refresh_token). A person who agreed
//! to all the scopes before is sent back at once, unless prompt is given. Codes live ten minutes and work once, also when
//! the exchange fails. A refresh token works once; the old access token dies with it. Of eleven tokens of the same person,
//! OAuth app and scopes the oldest is revoked.
//!
//! PAGES. / , /login, /logout, /settings/tokens, /settings/tokens/new?description=&scopes=repo,workflow,
//! /settings/personal-access-tokens/new?name=&description=&target_name=&expires_in=&contents=write&metadata=read,
//! /orgs/ORG/sso?authorization_request=KEY, /_forge. They work without JavaScript.
//!
//! CONTROL. JSON in and out, without credentials, always at /_forge and never struck by faults. An unknown member or a
//! wrong value is refused with 4xx and a sentence. Times are RFC 3339.
//!
//! POST /_forge/tokens makes a token: user (octocat), kind (classic, fine_grained, oauth, github_app or legacy), and if
//! wanted note, scopes (list), permissions (object such as {"contents":"write"}; metadata=read is added), repositories
//! (list of full names; without it a fine-grained token reaches all), expires_at (time or null), expiry_shape (utc or
//! offset: the spelling of the expiry header), client_id (for oauth and github_app; the seeded app by default), sso (true
//! lets it into acme-sso; false by default for classic and legacy). Scopes are kept literally. A github_app token has
//! eight hours, its app's permissions and a refresh token unless told otherwise. Answer 201: id, token, refresh_token (if
//! there is one), kind, user, note, client_id, scopes, permissions, repositories, expires_at, expiry_shape, sso, revoked,
//! works.
//! GET /_forge/tokens lists all tokens ever made, as above without token and refresh_token.
//! POST /_forge/tokens/change: token (the secret) or id, then any of scopes, permissions, repositories (null for all),
//! expires_at (null for never), expiry_shape, user (gives it to another person), sso, revoked (true or false),
//! refresh_token (false takes it away, true makes a new one). Answer 200: as when made.
//! POST /_forge/access: user, repository, role (none, read, push, admin). Answer 204.
//!
//! POST /_forge/faults switches a fault on. on: user (GET /user), token (POST /login/oauth/access_token), repos
//! (REST below /repos), git, any (all of these and the other REST calls, no pages; the default), or an object
//! {"method":"GET","path_prefix":"/login/oauth/authorize"} that fits any path outside /_forge, method optional. fault: one of
//!   delay: the right answer after delay_ms;
//!   status: the given status, 503 by default;
//!   rate_limit: 403 (or status) with x-ratelimit-remaining 0, reset in retry_after_seconds, 3600 by default;
//!   secondary_rate_limit: 403 (or status) with Retry-After of retry_after_seconds, 60 by default;
//!   html: a page with status 200 (or status);
//!   drop: closes the connection without an answer, before anything was done;
//!   drop_reply: does everything, then closes the connection without an answer;
//!   garbage_json: JSON that breaks off, status 200 (or status);
//!   endless: ten gigabytes of an unfinished JSON string, status 200 (or status);
//!   empty: no body, status 200 (or status);
//!   slow_body: the right answer byte by byte, delay_ms between two, 100 by default;
//!   redirect: 302 (or status) to location, by default /elsewhere of this host, where requests are listed too;
//!   oauth_error: status 200 with error, by default bad_refresh_token.
//! delay_ms makes any other fault wait as well. times: how many requests it strikes; null or nothing means all.
//! Of several faults that fit, all delays and the oldest other one strike. Answer 201: id.
//! GET /_forge/faults lists them with times left and struck. DELETE /_forge/faults switches all off,
//! DELETE /_forge/faults/ID one.
//!
//! POST /_forge/settings, any of: fresh_token_401_ms (0; so long after exchange or refresh the new token is refused),
//! iss (null; added to the callback), sso (classic: tokens without sso are refused by acme-sso; every: all are; off),
//! sso_url (null; replaces the link in X-GitHub-SSO), rate_limits (on in github), rate_limit (5000 an hour and person; it
//! is 60 without a token), unverified_email (false; the token endpoint answers unverified_user_email), app_suspended (false; authorize
//! answers application_suspended), max_bad_logins (null; after so many bad credentials all get 403 until a reset).
//! Answer 200: all settings. GET /_forge/settings shows them.
//!
//! GET /_forge/requests lists what was asked outside /_forge, oldest first, at most 10000: at, method, path, query_keys,
//! headers (lower-case names; those with credentials say ***), auth_scheme (Bearer, token, Basic, other or null),
//! basic_user (unless it looks like a secret), token_id (of the presented token, if the host knows it), body_keys, status
//! (null when the connection was dropped). A request is listed once it was answered. DELETE /_forge/requests empties it.
//!
//! POST /_forge/clock: advance_seconds, which may be negative. Answer 200: now, ahead_seconds. GET shows the same.
//! POST /_forge/reset: back to the seeds, settings and clock included. Answer 204.

mod auth;
mod clock;
mod control;
mod dialect;
mod fault;
mod form;
mod git;
mod host;
mod html;
mod mint;
mod oauth;
mod own;
mod pages;
mod random;
mod record;
mod scope;
mod serve;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::middleware;
use axum::response::Response;

pub use dialect::Shape;
pub use host::{Host, SharedHost};
pub use serve::serve;

/// The whole host as one service.
pub fn router(host: &SharedHost) -> Router {
    let dialect = host.dialect();
    let site = Router::new()
        .merge(dialect.routes(host))
        .merge(oauth::router(dialect.oauth()))
        .merge(git::router(dialect.git_root()))
        .merge(pages::router(dialect.token_page()));
    let site = match host.context.as_str() {
        "" => site,
        context => Router::new().nest(context, site).route(&format!("{context}/"), pages::home()),
    };
    site.merge(control::router())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(Arc::clone(host), fault::middleware))
        .layer(middleware::from_fn_with_state(Arc::clone(host), record::middleware))
        .with_state(Arc::clone(host))
}

async fn nothing_here(State(host): State<SharedHost>, uri: Uri) -> Response {
    let inside = uri.path().strip_prefix(host.context.as_str());
    let answer = inside.and_then(|path| host.dialect().not_found(&host, path));
    answer.unwrap_or_else(|| {
        html::problem(&host, StatusCode::NOT_FOUND, "Nothing here", "This simulated host has no such page.")
    })
}
