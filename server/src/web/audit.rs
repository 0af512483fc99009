//! The audit log for people: their own entries, and for admins those of an account. With a filter, and as a file. Made
//! here, and works without script.

use std::sync::Arc;

use app::{Still, api::person::Visitor, path};
use axum::{
    BoxError, Extension, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use leptos::prelude::*;
use serde::Deserialize;
use time::{Date, macros::format_description};

use super::{plain, session::Signed};
use crate::{
    audit::{Action, DONE, REFUSED, Record, export::Format},
    clock::Timestamp,
    id::{AccountId, RuntimeId},
    moment::moment,
    site::Site,
    store::{AuditFilter, StoreError},
};

/// Entries on a page.
const PER_PAGE: u32 = 50;
/// Records that are read at once for a file.
const AT_ONCE: u32 = 500;
/// No word, date or name that can be asked for is longer.
const LONGEST: usize = 200;

const NOT_YOURS: &str = "The page does not exist, or it is not for you.";

/// The pages and files.
pub fn router(site: &Arc<Site>, css: &str) -> Router {
    let state = Pages { site: Arc::clone(site), css: css.into() };
    Router::new()
        .route(path::AUDIT, get(own))
        .route(path::AUDIT_EXPORT, get(own_export))
        .route(&path::account_audit("{account}"), get(of_account))
        .route(&path::account_audit_export("{account}"), get(of_account_export))
        .with_state(state)
}

#[derive(Clone)]
struct Pages {
    site: Arc<Site>,
    css: Arc<str>,
}

/// What the form asks for. Everything is optional, and what makes no sense counts as left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    what: String,
    runtime: String,
    since: String,
    until: String,
    refused: String,
    before: String,
    format: String,
}

impl Asked {
    fn filter(&self) -> AuditFilter {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let fits = |text: &String| text.len() <= LONGEST;
        AuditFilter {
            user: None,
            account: None,
            runtime: text(&self.runtime).filter(fits).map(RuntimeId),
            action: text(&self.what).filter(fits),
            since: day(&self.since),
            // The day itself is part of it.
            until: day(&self.until).map(|at| at.plus(std::time::Duration::from_hours(24))),
            refused: !self.refused.is_empty(),
            before: self.before.parse().ok(),
        }
    }

    /// The same question from another record on, or from the newest one.
    fn from(&self, page: &str, before: Option<i64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("what", &self.what),
            ("runtime", &self.runtime),
            ("since", &self.since),
            ("until", &self.until),
            ("refused", &self.refused),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        let query = query.finish();
        if query.is_empty() { page.to_owned() } else { format!("{page}?{query}") }
    }
}

/// The beginning of a day, UTC.
fn day(text: &str) -> Option<Timestamp> {
    let date = Date::parse(text.trim(), format_description!("[year]-[month]-[day]")).ok()?;
    Some(date.midnight().assume_utc().into())
}

async fn own(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    Query(asked): Query<Asked>,
) -> Response {
    let visitor = plain::visitor(&pages.site, &signed).await;
    let filter = AuditFilter { user: Some(signed.user.id), ..asked.filter() };
    let lead = "What was done with your tokens and your account here, by you and by others.";
    show(&pages, &visitor, &asked, &filter, "Your audit log", lead, path::AUDIT, path::AUDIT_EXPORT).await
}

async fn own_export(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    Query(asked): Query<Asked>,
) -> Response {
    let visitor = plain::visitor(&pages.site, &signed).await;
    let filter = AuditFilter { user: Some(signed.user.id), ..asked.filter() };
    export(pages, &visitor, &asked, filter, "gitward-audit").await
}

async fn of_account(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    Path(account): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let visitor = plain::visitor(&pages.site, &signed).await;
    let account = match administered(&pages, &signed, &visitor, &account).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let filter = AuditFilter { account: Some(account.0.clone()), ..asked.filter() };
    let title = format!("Audit log of {}", account.1);
    let lead = "What was done in this account, and how its members signed in.";
    let (page, file) =
        (path::account_audit(account.0.as_str()), path::account_audit_export(account.0.as_str()));
    show(&pages, &visitor, &asked, &filter, &title, lead, &page, &file).await
}

async fn of_account_export(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    Path(account): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let visitor = plain::visitor(&pages.site, &signed).await;
    let account = match administered(&pages, &signed, &visitor, &account).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let filter = AuditFilter { account: Some(account.0.clone()), ..asked.filter() };
    export(pages, &visitor, &asked, filter, &format!("gitward-audit-{}", account.0)).await
}

/// The account and its name, if the visitor is an admin of it. Whoever is not does not learn whether it exists.
async fn administered(
    pages: &Pages,
    signed: &Signed,
    visitor: &Visitor,
    account: &str,
) -> Result<(AccountId, String), Response> {
    let account = AccountId(account.to_owned());
    match pages.site.store.administers(&signed.user.id, &account).await {
        Ok(Some(name)) => Ok((account, name)),
        Ok(None) => Err(plain::nothing(&pages.css, Some(visitor), NOT_YOURS)),
        Err(error) => Err(failed(pages, visitor, &error)),
    }
}

fn failed(pages: &Pages, visitor: &Visitor, error: &StoreError) -> Response {
    tracing::error!(error = error as &dyn std::error::Error, "The audit log could not be read");
    let body = view! {
        <div class="narrow">
            <h1>"Not at the moment"</h1>
            <p class="lead">"Gitward can't reach its database, so the audit log can't be read. Try again in a minute."</p>
        </div>
    };
    plain::page(StatusCode::SERVICE_UNAVAILABLE, frame(pages, visitor, "Audit log"), body)
}

fn frame<'a>(pages: &'a Pages, visitor: &'a Visitor, here: &'a str) -> Still<'a> {
    Still { css: &pages.css, visitor: Some(visitor), above: &[], here }
}

async fn show(
    pages: &Pages,
    visitor: &Visitor,
    asked: &Asked,
    filter: &AuditFilter,
    title: &str,
    lead: &'static str,
    page: &str,
    file: &str,
) -> Response {
    // One more than is shown: are there older ones?
    let records = match pages.site.store.audit_records(filter, PER_PAGE + 1).await {
        Ok(records) => records,
        Err(error) => return failed(pages, visitor, &error),
    };
    let now = pages.site.clock.now();
    let shown = records.get(..PER_PAGE as usize).unwrap_or(&records);
    let older = (records.len() > shown.len()).then(|| shown.last()).flatten().map(|last| {
        view! { <a class="button" rel="next" href=asked.from(page, Some(last.sequence))>"Older"</a> }
    });
    let newest = (!asked.before.is_empty()).then(|| {
        view! { <a class="button" href=asked.from(page, None)>"To the newest"</a> }
    });
    let pager = (older.is_some() || newest.is_some())
        .then(|| view! { <nav class="links" aria-label="Pages">{newest}{older}</nav> });
    let list = if shown.is_empty() {
        view! { <p class="padded">"Nothing was recorded that fits."</p> }.into_any()
    } else {
        let entries = shown.iter().map(|record| entry(record, now)).collect_view();
        view! { <ol class="audit">{entries}</ol> }.into_any()
    };
    let body = view! {
        <div class="title">
            <h1>{title.to_owned()}</h1>
            <p class="lead">{lead}</p>
        </div>
        {form(asked, page, file)}
        <div class="sheet">{list}</div>
        {pager}
    };
    plain::page(StatusCode::OK, frame(pages, visitor, title), body)
}

/// Groups of actions, by the first part of their words.
const GROUPS: &[(&str, &str)] = &[
    ("", "Everything"),
    ("session", "Signing in and out"),
    ("password", "Passwords"),
    ("token", "Tokens given, renewed and taken"),
    ("verdict", "Checks"),
    ("notices", "Notifications"),
    ("secret", "Secrets that left"),
    ("runtime-key", "Runtime keys"),
    ("user", "Users"),
    ("configuration", "Configuration"),
];

fn form(asked: &Asked, page: &str, file: &str) -> impl IntoView + use<> {
    let options = GROUPS
        .iter()
        .map(|(word, name)| view! { <option value=*word selected=*word == asked.what>{*name}</option> })
        .collect_view();
    // What is no day was left out, and browsers complain about it.
    let known = |text: &String| day(text).map(|_| text.trim().to_owned());
    view! {
        <form class="sheet padded audit-filter" method="get" action=page.to_owned()>
            <label class="field">"What" <select name="what">{options}</select></label>
            <label class="field">
                "Runtime" <input name="runtime" value=asked.runtime.clone() placeholder="account.name"/>
            </label>
            <label class="field">"From" <input type="date" name="since" value=known(&asked.since)/></label>
            <label class="field">"To" <input type="date" name="until" value=known(&asked.until)/></label>
            <label class="check">
                <input type="checkbox" name="refused" value="1" checked=!asked.refused.is_empty()/>
                <span>"Only what was refused"</span>
            </label>
            <div class="audit-buttons">
                <button class="button" data-look="primary">"Show"</button>
                <button class="button" formaction=file.to_owned() name="format" value="jsonl">
                    "Download as JSON Lines"
                </button>
                <button class="button" formaction=file.to_owned() name="format" value="csv">
                    "Download as CSV"
                </button>
            </div>
            <small>
                "The files hold what fits, the latest first. Only what the operator exports, with "
                <code>"gitward audit export"</code>
                ", can be verified."
            </small>
        </form>
    }
}

fn entry(record: &Record, now: Timestamp) -> impl IntoView + use<> {
    let at = moment(record.at, now);
    let refused = record.outcome == REFUSED;
    let details: Vec<String> = [
        record.runtime.as_ref().map(|runtime| format!("runtime {runtime}")),
        record.reason.as_ref().map(|reason| reason.replace('_', " ")),
        record.object.as_ref().map(|object| format!("object {object}")),
        record.detail.clone(),
        record.address.as_ref().map(|address| format!("from {address}")),
        record.request.as_ref().map(|request| format!("request {request}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let verb = verb(&record.action, refused);
    let state = if refused { REFUSED } else { DONE };
    view! {
        <li data-outcome=state>
            <time datetime=at.iso>{at.full}</time>
            <span class="audit-what">{who(record)} " " {verb}</span>
            <small>{format!("#{}", record.sequence)} " · " {details.join(" · ")}</small>
        </li>
    }
}

fn who(record: &Record) -> String {
    match record.actor.as_str() {
        "user" => record.actor_name.clone().unwrap_or_else(|| "A user".to_owned()),
        "runtime-key" => format!("Runtime key {}", record.actor_id.as_deref().unwrap_or("?")),
        "operator" => "The operator".to_owned(),
        "gitward" => "Gitward".to_owned(),
        _ => "Somebody".to_owned(),
    }
}

/// What was done, after who did it.
fn verb(word: &str, refused: bool) -> String {
    let Ok(action) = word.parse::<Action>() else { return format!("did {word}") };
    let (done, tried) = match action {
        Action::SessionBegun => ("signed in", "could not sign in"),
        Action::SessionEnded => ("signed out", "could not sign out"),
        Action::PasswordChanged => ("chose a password", "could not change the password"),
        Action::TokenAdded => ("added a token", "could not add a token"),
        Action::TokenReplaced => ("replaced a token", "could not replace a token"),
        Action::TokenDeleted => ("deleted a token", "could not delete a token"),
        Action::TokenSettled => ("decided about another account's token", "could not decide about a token"),
        Action::TokenRenewed => ("renewed a token", "could not renew a token"),
        Action::TokenRevoked => {
            ("had a token revoked at its provider", "could not have a token revoked at its provider")
        }
        Action::NoticesChanged => ("decided what to be told, and where", "could not decide what to be told"),
        Action::VerdictChanged => ("came to another verdict about a token", "came to no verdict"),
        Action::VerdictKept => ("checked a token", "checked a token without a new verdict"),
        Action::TokenProposed => {
            ("brought a token of another account", "could not bring a token of another account")
        }
        Action::SecretReleased => ("fetched a token", "was refused a token"),
        Action::SecretReported => ("reported what became of a token", "could not report about a token"),
        Action::RuntimeKeyCreated => ("made a runtime key", "could not make a runtime key"),
        Action::RuntimeKeyRotated => ("rotated a runtime key", "could not rotate a runtime key"),
        Action::RuntimeKeyRevoked => ("revoked a runtime key", "could not revoke a runtime key"),
        Action::RuntimeKeyRefused => ("showed a runtime key", "showed a runtime key that is not taken"),
        Action::UserAdded => ("added a user", "could not add a user"),
        Action::UserDisabled => ("disabled a user", "could not disable a user"),
        Action::PasswordLinkMade => ("made a link to choose a password", "could not make a link"),
        Action::ConfigurationApplied => ("changed what is declared", "could not change what is declared"),
        Action::ServerStarted => ("started the server", "could not start the server"),
    };
    if refused { tried } else { done }.to_owned()
}

/// All that fits, the latest first, read and sent piece by piece.
async fn export(pages: Pages, visitor: &Visitor, asked: &Asked, filter: AuditFilter, name: &str) -> Response {
    let Some(format) = Format::parse(&asked.format) else {
        return plain::nothing(&pages.css, Some(visitor), NOT_YOURS);
    };
    // The first piece before the answer begins: what can't be read is no file.
    let first = match pages.site.store.audit_records(&filter, AT_ONCE).await {
        Ok(first) => first,
        Err(error) => return failed(&pages, visitor, &error),
    };
    let start = (pages, filter, Some(first), format.head());
    let pieces =
        futures_util::stream::try_unfold(start, move |(pages, mut filter, records, mut text)| async move {
            let records = match records {
                Some(records) => records,
                None => pages.site.store.audit_records(&filter, AT_ONCE).await?,
            };
            let Some(last) = records.last() else {
                // Also of nothing at all, the head is told.
                return Ok((!text.is_empty()).then(|| {
                    (Bytes::from(std::mem::take(&mut text)), (pages, filter, Some(Vec::new()), String::new()))
                }));
            };
            filter.before = Some(last.sequence);
            for record in &records {
                text.push_str(&format.line(record)?);
            }
            Ok::<_, BoxError>(Some((Bytes::from(text), (pages, filter, None, String::new()))))
        });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let file = format!("attachment; filename=\"{name}.{}\"", format.extension());
    if let Ok(value) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
