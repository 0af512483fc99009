//! The audit log for people: their own entries, and for admins those of an account. With a filter, and as a file. Made
//! here, and works without script.

use std::sync::Arc;

use app::{Still, api::person::Visitor, path};
use axum::{
    BoxError, Extension, Router,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use leptos::prelude::*;
use time::{Date, macros::format_description};

use self::entry::entry;
use super::{plain, session::Signed};
use crate::{
    audit::{export::Format, names},
    clock::Timestamp,
    id::{AccountId, RuntimeId, UserId},
    person::Name,
    site::Site,
    store::{AuditFilter, StoreError},
};

mod entry;

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
#[derive(Clone, Debug, Default)]
struct Asked {
    what: String,
    runtime: String,
    user: String,
    since: String,
    until: String,
    refused: String,
    before: String,
    format: String,
}

impl Asked {
    /// Of what is asked for twice, the last one counts.
    fn read(query: Option<&str>) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let field = match &*name {
                "what" => &mut asked.what,
                "runtime" => &mut asked.runtime,
                "user" => &mut asked.user,
                "since" => &mut asked.since,
                "until" => &mut asked.until,
                "refused" => &mut asked.refused,
                "before" => &mut asked.before,
                "format" => &mut asked.format,
                _ => continue,
            };
            *field = value.into_owned();
        }
        asked
    }

    /// In an account, of one of its users.
    fn filter_of(&self, account: &AccountId) -> AuditFilter {
        let name = Some(self.user.trim()).filter(|name| !name.is_empty());
        // What is no name is nobody's.
        let name = name.map(|name| Name::parse(name).map_or_else(String::new, |name| name.to_string()));
        AuditFilter { account: Some(account.clone()), name, ..self.filter() }
    }

    fn filter(&self) -> AuditFilter {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let fits = |text: &String| text.len() <= LONGEST;
        AuditFilter {
            runtime: text(&self.runtime).filter(fits).map(RuntimeId),
            action: text(&self.what).filter(fits),
            since: day(&self.since),
            // The day itself is part of it.
            until: day(&self.until).map(|at| at.plus(std::time::Duration::from_hours(24))),
            refused: !self.refused.is_empty(),
            before: self.before.parse().ok(),
            ..AuditFilter::default()
        }
    }

    /// The same question from another record on, or from the newest one.
    fn from(&self, page: &str, before: Option<i64>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("what", &self.what),
            ("runtime", &self.runtime),
            ("user", &self.user),
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
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::read(query.as_deref());
    let visitor = plain::visitor(&pages.site, &signed).await;
    let others = match account_logs(&pages, &signed.user.id).await {
        Ok(others) => others,
        Err(error) => return failed(&pages, &visitor, &error),
    };
    let log = Log {
        title: YOURS.to_owned(),
        lead: "What was done with your tokens and your account here, by you and by others.",
        page: path::AUDIT.to_owned(),
        file: path::AUDIT_EXPORT.to_owned(),
        others,
    };
    let filter = AuditFilter { user: Some(signed.user.id), ..asked.filter() };
    show(&pages, &visitor, &asked, &filter, &log).await
}

async fn own_export(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::read(query.as_deref());
    let visitor = plain::visitor(&pages.site, &signed).await;
    let filter = AuditFilter { user: Some(signed.user.id), ..asked.filter() };
    export(pages, &visitor, &asked, filter, "gitward-audit").await
}

async fn of_account(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::read(query.as_deref());
    let visitor = plain::visitor(&pages.site, &signed).await;
    let account = match administered(&pages, &signed, &visitor, &account).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let filter = asked.filter_of(&account.0);
    let log = Log {
        title: title_of(&account.1),
        lead: "What was done in this account, and how its members signed in.",
        page: path::account_audit(account.0.as_str()),
        file: path::account_audit_export(account.0.as_str()),
        others: vec![(path::AUDIT.to_owned(), YOURS.to_owned())],
    };
    show(&pages, &visitor, &asked, &filter, &log).await
}

async fn of_account_export(
    State(pages): State<Pages>,
    Extension(signed): Extension<Signed>,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::read(query.as_deref());
    let visitor = plain::visitor(&pages.site, &signed).await;
    let account = match administered(&pages, &signed, &visitor, &account).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let filter = asked.filter_of(&account.0);
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

const YOURS: &str = "Your audit log";

fn title_of(account: &str) -> String {
    ["Audit log of ", account].concat()
}

/// A part of the log that somebody may see.
struct Log {
    title: String,
    lead: &'static str,
    /// Where it is.
    page: String,
    /// Where it is as a file.
    file: String,
    /// The other parts that they may see, by address and name.
    others: Vec<(String, String)>,
}

/// The logs of the accounts that the user is an admin of, by address and name.
async fn account_logs(pages: &Pages, user: &UserId) -> Result<Vec<(String, String)>, StoreError> {
    let accounts = pages.site.store.administered_accounts(user).await?;
    let log = |(account, name): (AccountId, String)| (path::account_audit(account.as_str()), title_of(&name));
    Ok(accounts.into_iter().map(log).collect())
}

async fn show(pages: &Pages, visitor: &Visitor, asked: &Asked, filter: &AuditFilter, log: &Log) -> Response {
    let Log { title, lead, page, file, others } = log;
    // One more than is shown: are there older ones?
    let records = match pages.site.store.audit_records(filter, PER_PAGE + 1).await {
        Ok(records) => records,
        Err(error) => return failed(pages, visitor, &error),
    };
    let now = pages.site.clock.now();
    let shown = records.get(..PER_PAGE as usize).unwrap_or(&records);
    let names = match names(pages.site.store.as_ref(), shown).await {
        Ok(names) => names,
        Err(error) => return failed(pages, visitor, &error),
    };
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
        let entries = shown.iter().map(|record| entry(record, names.of(record), now)).collect_view();
        view! { <ol class="audit">{entries}</ol> }.into_any()
    };
    let others = others.iter().map(|(address, name)| view! { <a href=address.clone()>{name.clone()}</a> });
    let others = (!log.others.is_empty()).then(|| view! { <p class="links">{others.collect_view()}</p> });
    let body = view! {
        <div class="title">
            <h1>{title.clone()}</h1>
            <p class="lead">{*lead}</p>
            {others}
        </div>
        {form(asked, filter.account.is_some(), page, file)}
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
    ("password-link", "Links to choose a password"),
    ("token", "Tokens given, renewed and taken"),
    ("verdict", "Checks"),
    ("notices", "Notifications"),
    ("secret", "Secrets that left"),
    ("runtime-key", "Runtime keys"),
    ("user", "Users"),
    ("configuration", "Configuration"),
];

/// `of_account`: what several users did.
fn form(asked: &Asked, of_account: bool, page: &str, file: &str) -> impl IntoView + use<> {
    let options = GROUPS
        .iter()
        .map(|(word, name)| view! { <option value=*word selected=*word == asked.what>{*name}</option> })
        .collect_view();
    let user = of_account.then(|| {
        view! { <label class="field">"User" <input name="user" value=asked.user.clone()/></label> }
    });
    // What is no day was left out, and browsers complain about it.
    let known = |text: &String| day(text).map(|_| text.trim().to_owned());
    view! {
        <form class="sheet padded audit-filter" method="get" action=page.to_owned()>
            <label class="field">"What" <select name="what">{options}</select></label>
            <label class="field">
                "Runtime" <input name="runtime" value=asked.runtime.clone() placeholder="account.name"/>
            </label>
            {user}
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
                "The files hold what fits, the latest first, with the ids of requests and tokens. Only what the operator exports, with "
                <code>"gitward audit export"</code>
                ", can be verified."
            </small>
        </form>
    }
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
            let names = names(pages.site.store.as_ref(), &records).await?;
            for record in &records {
                text.push_str(&format.named_line(record, names.of(record))?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Action;

    #[test]
    fn all_that_people_find_can_be_chosen() {
        for action in Action::ALL {
            let chosen = GROUPS.iter().any(|(word, _)| action.as_str().split('.').next() == Some(word));
            // Of no user and no account: for the operator alone.
            let of_nobody = matches!(action, Action::ServerStarted | Action::AuditPruned);
            assert_eq!(chosen, !of_nobody, "{}", action.as_str());
        }
    }
}
