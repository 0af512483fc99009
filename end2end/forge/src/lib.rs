//! Forge, a simulated Git host. It looks to a client like one of the products that SHAPES names, keeps everything in
//! memory, and misbehaves when told to. Demos and tests run against it; no product code depends on it. Never expose it:
//! whoever reaches it controls it.
//!
//! STARTING. forge --listen 127.0.0.1:4001 --shape github --public-url http://localhost:4001
//! --redirect-uri http://localhost:*
//! All options may be left out. Port 0 takes a free port. The first line on standard output says that it is ready:
//! forge (github) on http://localhost:4001. It ends on SIGINT and SIGTERM. A process is one host with one state: parallel
//! tests start one each. A public URL with a path makes everything but the control room live below that path.
//!
//! SHAPES. github, ghes, gitlab, gitea, bitbucket, bitbucket-data-center; each has a section below. Git is at
//! /owner/name.git or /owner/name.
//!
//! SEEDS of all shapes. People: octocat with password octocat (id 583231), hubot with password hubot (id 2), with the
//! addresses octocat@forge.example and hubot@forge.example. OAuth app: client id gitward-demo, secret gitward-demo-secret.
//! Repositories: acme/infra (private; octocat is admin), acme/public (public; octocat pushes), acme/readonly (private;
//! octocat reads), acme/secret-ops (private; hubot pushes, hidden from octocat). There are no tokens at the start.
//! Where the apps may send people back to: any port of localhost and 127.0.0.1 over http, or the addresses given with
//! --redirect-uri. An address ending in :* fits any port and path; others fit themselves, at github and ghes also paths
//! below them.
//!
//! ROOMS OF THE SOURCE. dialect: everything in which hosts differ, a file per provider; no other file knows one by name.
//! host: all state and the rules who may do what. oauth: the web flow. git: Git over HTTP. pages: sign-in and tokens for
//! people. control: the control room described below. fault: misbehaviour, as a layer around everything. record: the list
//! of requests, as a layer around that. token, scope, own, clock, random, mint, auth, form, html: the nouns they share.
//! serve: the server, which can drop a connection. To add a provider, see dialect; to add a misbehaviour, add a variant to
//! Mishap in fault.
//!
//! OAUTH of all shapes. A person who agreed before is sent back at once, unless the app asks for more. Codes work once,
//! also when the exchange fails, and for ten minutes unless a section says otherwise. PKCE with S256 is checked when a
//! challenge was sent.
//!
//! PAGES of all shapes: /, /login, /logout, and the list of a person's own tokens, where they make, narrow, expire and
//! revoke them and take back what they agreed to. They work without JavaScript.
//!
//! GITHUB and its enterprise server GHES. github answers REST at the root: /user, /repos/acme/infra. ghes answers REST below
//! /api/v3, has no page for fine-grained tokens, no status in the body of errors, and no rate limits until a setting turns
//! them on.
//! Seeds: a GitHub App with client id Iv1.gitwarddemo and secret gitward-demo-app-secret, installed with contents=write and
//! metadata=read on acme/infra and acme/readonly; acme-sso/ops (private; octocat pushes; the organisation acme-sso enforces
//! single sign-on).
//! REST: GET /user, /user/orgs, /user/installations, /rate_limit, /meta, /repos/O/R, /repos/O/R/contents/,
//! /repos/O/R/contents/README.md, /repos/O/R/hooks. POST, PATCH, DELETE /applications/CLIENT_ID/token and DELETE
//! /applications/CLIENT_ID/grant with Basic client id and secret. POST /credentials/revoke (github: without credentials;
//! ghes: with). A token is accepted as Bearer, as token, or as the password of Basic. A request without User-Agent gets 403.
//! OAuth: GET /login/oauth/authorize (client_id, redirect_uri, scope, state, code_challenge, code_challenge_method=S256,
//! login, prompt=consent or select_account); POST /login/oauth/access_token (code or refresh_token), whose errors have
//! status 200. A person may grant fewer scopes. With a fixed address among the redirects, a wrong redirect_uri sends the
//! person there with redirect_uri_mismatch; otherwise a page says so. A refresh token works once; the old access token dies
//! with it. Of eleven tokens of the same person, OAuth app and scopes the oldest is revoked.
//! Pages: /settings/tokens, /settings/tokens/new?description=&scopes=repo,workflow,
//! /settings/personal-access-tokens/new?name=&description=&target_name=&expires_in=&contents=write&metadata=read,
//! /orgs/ORG/sso?authorization_request=KEY.
//! Kinds of tokens: classic, fine_grained, oauth, github_app, legacy. Their own members: expiry_shape (utc or offset: the
//! spelling of the expiry header), sso (true lets it into acme-sso; false by default for classic and legacy). metadata=read
//! is added to permissions.
//! Settings: sso (classic: tokens without sso are refused by acme-sso; every: all are; off), sso_url (null; replaces the
//! link in X-GitHub-SSO), unverified_email (false; the token endpoint answers unverified_user_email), app_suspended (false;
//! authorize answers application_suspended), max_bad_logins (null; after so many bad credentials all get 403 until a
//! reset).
//!
//! GITLAB, set up as gitlab.com is. REST below /api/v4 with Bearer or PRIVATE-TOKEN: GET /user, GET and DELETE
//! /personal_access_tokens/self, POST /personal_access_tokens/self/rotate, GET /projects/ID, /projects/ID/hooks, /version.
//! PRIVATE-TOKEN is not for tokens of apps. A token says itself why it does not work: expired or revoked.
//! OAuth: /oauth/authorize and /oauth/token, GET /oauth/token/info, POST /oauth/revoke. Tokens live two hours. A refresh
//! needs the redirect_uri again, works once and ends the old pair. The app is registered with api, read_api, read_user,
//! read_repository, write_repository, openid, profile and email; a wish for other scopes ends on a page.
//! Pages: /-/user_settings/personal_access_tokens?name=&description=&scopes=read_api,write_repository.
//! Kinds: personal, plain (the older, shorter shape), fine_grained (permissions user, personal_access_token, project,
//! webhook, code; code=read clones, code=write pushes), project (a bot stands for it in the first of repositories, by
//! default acme/infra), group (the same in all of its repositories), deploy (Git only), oauth. Tokens that people make end
//! at the midnight in UTC that begins the day of expires_at.
//! Git takes any name with a token that somebody made, and oauth2 with an app's.
//! Settings: ban_after (30; after so many failed attempts in three minutes, without a good one between, the host answers
//! 403 for an hour; 0 never), ban_on (git, or any to count and ban in REST as well), fine_grained_only (false; groups refuse
//! other tokens with insufficient_granular_scope). rate_limit is 2000 a minute; beyond it there is plain text.
//!
//! GITEA, and Forgejo. REST below /api/v1 with Bearer, token or Basic: GET /user, /repos/O/R, /repos/O/R/hooks, /version, and
//! GET and DELETE /token.
//! OAuth: /login/oauth/authorize, /login/oauth/access_token, POST /login/oauth/introspect (Basic client id and secret), GET
//! /login/oauth/userinfo. The reply does not name the scopes. Whoever asks for none may do everything. A person who agreed
//! once is not asked again, whatever the app asks for; it gets what it got before. Tokens live an hour, refresh tokens 730.
//! Pages: /user/settings/applications, which no link fills in.
//! Kinds: personal (40 hexadecimal digits, no end), oauth.
//! Settings: token_api (false; without it GET and DELETE /token are 404, as in older releases), invalidate_refresh_tokens
//! (false; a refresh token works once), grant_follows_scope (false; an app that asks for other scopes gets them without a
//! question), names_token_scopes (false; the newer wording of a missing scope), version (null; what GET /version says, such
//! as 11.0.1+gitea-1.22.0).
//!
//! BITBUCKET, the cloud. REST below /2.0: GET /user, /user/workspaces, /repositories/W, /repositories/W/R,
//! /repositories/W/R/hooks; /workspaces, /repositories and what lies below /user/permissions answer 410. API tokens go with
//! the e-mail address in Basic, all others as Bearer. Answers tell kind and scopes in X-Credential-Type and X-OAuth-Scopes;
//! a refusal for want of a scope names those granted and those required. Access tokens get 403 at /user.
//! OAuth: /site/oauth2/authorize and /site/oauth2/access_token, with the client in Basic and a form. The app gets what it
//! was registered with (account, repository:write), whatever it asks for. Tokens live two hours; a refresh token works once
//! and for three months, and the old access token lives to its end.
//! Pages: /manage-profile/security/api-tokens?selectedScopes=read:user:bitbucket,…, and for those who administer a
//! repository /W/R/admin/access-tokens.
//! Kinds: api_token (dead without scopes), repo_access_token, project_access_token and workspace_access_token (a bot stands
//! for each: in the first of repositories, by default acme/infra, or in all of acme unless some are named), app_password
//! (dead), oauth. Scopes of API tokens end in :bitbucket and imply nothing.
//! Git takes API tokens with the name x-bitbucket-api-token-auth or their person's, never with the e-mail address; all
//! others with x-token-auth.
//! Settings: bearer_api_tokens (false; REST takes API tokens as Bearer as well), scope_key (scope or scopes: its name in the
//! reply of the token endpoint), consumer_scopes (null; what the app was registered with, by blanks), oauth_credential_type
//! (null; X-Credential-Type of an app's token). rate_limit is 1000 an hour.
//!
//! BITBUCKET-DATA-CENTER, below /bitbucket unless the public URL has a path of its own. REST below /rest/api/latest or
//! /rest/api/1.0 as Bearer, a person's token also with that person's name in Basic: GET /application-properties, which is
//! for everybody, /users/SLUG, /projects/KEY, /projects/KEY/repos/SLUG, /inbox/pull-requests/count; and, as text, GET
//! /plugins/servlet/applinks/whoami. Every answer says in X-AUSERNAME and X-AUSERID whom the host takes the sender for. 401
//! stands for a missing right as well as for a wrong token.
//! Seeds: jane@example.com (id 102, the password is the name; pushes to acme/infra), ~octocat/notes (private; octocat's own).
//! Git is at /scm/KEY/SLUG.git; a KEY may be written in capitals. 403 means that it may not be pushed to, 404 hides.
//! OAuth: /rest/oauth2/latest/authorize and /rest/oauth2/latest/token. Codes live ten seconds, tokens an hour, refresh tokens
//! 90 days, which the reply does not tell. A refresh needs the redirect_uri again. The app may ask for REPO_ADMIN and what is
//! below it; for anything else the person is sent back with invalid_scope.
//! Pages: /plugins/servlet/access-tokens/manage and /plugins/servlet/access-tokens/add, which no link fills in.
//! Kinds: personal, project and repository (a bot stands for each: of the first of repositories, by default acme/infra;
//! Bearer only), oauth (Bearer; at Git also as the password of any name). Scopes: PROJECT_ and REPO_ with READ, WRITE and
//! ADMIN, PUBLIC_REPOS, ACCOUNT_WRITE, ADMIN_WRITE, SYSTEM_ADMIN.
//! Settings: wrong_token (refused, or visitor: a bearer that is no good counts as none), user_headers (true; false is a proxy
//! that takes X-AUSERNAME and X-AUSERID out), authorization (true; false is one that takes the token out), licensed (true;
//! false has every token refused for want of a license), basic (true), captcha_after (null; after so many wrong passwords in
//! Basic, Basic gets 403), rotation (true; false keeps the old pair at a refresh). Limits are off; they are per minute.
//!
//! CONTROL. JSON in and out, without credentials, always at /_forge and never struck by faults. An unknown member or a
//! wrong value is refused with 4xx and a sentence. Times are RFC 3339.
//!
//! POST /_forge/tokens makes a token: user (octocat), and if wanted kind (one of the shape's; by default the first that its
//! section names), note, scopes (list), permissions (object such as {"contents":"write"}), repositories (list of full names;
//! without it a token reaches all), expires_at (time or null), client_id (for kinds of apps; the seeded app by default), and
//! the members of its own that the shape's section names. Scopes are kept literally. A token of a kind that lives for some
//! time has that time and a refresh token unless told otherwise. Answer 201: id, token, refresh_token (if there is one),
//! kind, user, note, client_id, scopes, permissions, repositories, expires_at, revoked, works, and the shape's own.
//! GET /_forge/tokens lists all tokens ever made, as above without token and refresh_token.
//! POST /_forge/tokens/change: token (the secret) or id, then any of scopes, permissions, repositories (null for all),
//! expires_at (null for never), user (gives it to another person), revoked (true or false), refresh_token (false takes it
//! away, true makes a new one), and the shape's own. Answer 200: as when made.
//! POST /_forge/access: user, repository, role (none, read, push, admin). Answer 204.
//!
//! POST /_forge/faults switches a fault on. on: user (the doors that say whose a token is), token (the token endpoint),
//! repos (repositories in REST), git, any (all of these and the other REST calls, no pages; the default), or an object
//! {"method":"GET","path_prefix":"/login/oauth/authorize"} that fits any path outside /_forge, method optional. fault: one of
//!   delay: the right answer after delay_ms;
//!   status: the given status, 503 by default;
//!   rate_limit: what the shape says beyond its limit (or status), which ends in retry_after_seconds, 3600 by default;
//!   secondary_rate_limit: the same for too many requests at once, 60 seconds by default;
//!   html: a page with status 200 (or status);
//!   drop: closes the connection without an answer, before anything was done;
//!   drop_reply: does everything, then closes the connection without an answer;
//!   garbage_json: JSON that breaks off, status 200 (or status);
//!   endless: ten gigabytes of an unfinished JSON string, status 200 (or status);
//!   empty: no body, status 200 (or status);
//!   slow_body: the right answer byte by byte, delay_ms between two, 100 by default;
//!   redirect: 302 (or status) to location, by default /elsewhere of this host, where requests are listed too;
//!   oauth_error: an error as the shape's token endpoint has it, with error, by default that of a bad refresh token.
//! delay_ms makes any other fault wait as well. times: how many requests it strikes; null or nothing means all.
//! Of several faults that fit, all delays and the oldest other one strike. Answer 201: id.
//! GET /_forge/faults lists them with times left and struck. DELETE /_forge/faults switches all off,
//! DELETE /_forge/faults/ID one.
//!
//! POST /_forge/settings, any of: fresh_token_401_ms (0; so long after exchange or refresh the new token is refused),
//! iss (null; added to the callback), rate_limits (on in github and gitlab), rate_limit (per person and window, which is an
//! hour unless the shape's section says otherwise, and 5000; it is 60 without a token), and the shape's own.
//! Answer 200: all settings. GET /_forge/settings shows them.
//!
//! GET /_forge/requests lists what was asked outside /_forge, oldest first, at most 10000: at, method, path, query_keys,
//! headers (lower-case names; those with credentials say ***), auth_scheme (Bearer, token, Basic, PRIVATE-TOKEN, other or null),
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
