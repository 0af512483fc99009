//! The list of runtimes. The server alone makes it, for pages and for updates.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::{
        notice::{HostTrouble, TroubleKind},
        token::{
            AccountRows, CheckAgain, Expiry, HideNotifications, ProviderLabel, RuntimeRow, Show, TokenPage,
            TokenQuery,
        },
    },
    component::icon,
    made::health::{self, ago, day},
    path,
};

/// The list as HTML.
pub(crate) fn html(page: &TokenPage, query: &TokenQuery) -> String {
    view(page, query).to_html()
}

fn view(page: &TokenPage, query: &TokenQuery) -> AnyView {
    if page.counts.all == 0 {
        return view! {
            <section class="empty">
                {icon("branch")}
                <h2>"No runtimes yet"</h2>
                <p>"Runtimes appear here as soon as your account has some that you may use. Ask your account admin to add them."</p>
            </section>
        }
        .into_any();
    }
    if page.matching == 0 {
        return nothing_matches(query);
    }
    let accounts = page.accounts.iter().map(account).collect_view();
    view! {
        {page.in_trouble.iter().map(trouble).collect_view()}
        <div class="sheet">
            <table class="tokens">
                <caption class="sr">"Runtimes and their tokens, those that need you first"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name, provider"</th>
                        <th scope="col">"Token, account"</th>
                        <th scope="col">"Health, last check"</th>
                        <th scope="col">"Expires"</th>
                        <th scope="col"><span class="sr">"Actions"</span></th>
                    </tr>
                </thead>
                {accounts}
            </table>
        </div>
        {pager(page, query)}
    }
    .into_any()
}

/// What all rows of a host have in common is said once.
fn trouble(one: &HostTrouble) -> AnyView {
    let ProviderLabel { name, host, .. } = &one.provider;
    let what = match one.kind {
        TroubleKind::Silent => " stopped answering ",
        TroubleKind::Limiting => " began to ask for fewer questions ",
        TroubleKind::Refusing => " began to refuse everybody ",
    };
    view! {
        <p class="notice trouble">
            <span>
                <b>{name.clone()}</b> " (" {host.clone()} ")" {what} {ago(&one.since)}
                ". Your tokens there stay in use; Gitward keeps trying, and there is nothing to do."
            </span>
        </p>
    }
    .into_any()
}

fn nothing_matches(query: &TokenQuery) -> AnyView {
    let (title, text) = match query.show {
        _ if !query.filter.is_empty() => {
            ("Nothing matches", "No runtime, account, host or login contains these words.")
        }
        Show::NeedYou => ("Nothing needs you", "None of your tokens asks anything of you."),
        Show::InDoubt => ("Nothing is in doubt", "Every provider gave a clear answer the last time."),
        Show::Work => ("Nothing works yet", "None of your runtimes has a token that works."),
        _ => ("Nothing is left without a token", "Every runtime has one."),
    };
    view! {
        <section class="empty">
            {icon(if query.filter.is_empty() && query.show != Show::Work { "ok" } else { "search" })}
            <h2>{title}</h2>
            <p>{text}</p>
            <a class="button" href=path::TOKENS>"Show all runtimes"</a>
        </section>
    }
    .into_any()
}

fn account(account: &AccountRows) -> AnyView {
    let unit = if account.matching == 1 { " runtime" } else { " runtimes" };
    let rows = account.rows.iter().map(row).collect_view();
    view! {
        <tbody>
            <tr class="account">
                <th scope="rowgroup" colspan="5">
                    {account.name.clone()} " " <small>{account.matching} {unit}</small>
                </th>
            </tr>
            {rows}
        </tbody>
    }
    .into_any()
}

/// The picture of the kind of provider, silent: its name stands beside it.
fn kind(provider: &ProviderLabel) -> AnyView {
    view! { <span class="icon" data-provider=provider.icon.clone() aria-hidden="true"></span> }.into_any()
}

/// One runtime. Its name stands here once; what else needs it refers to the element by id.
fn row(row: &RuntimeRow) -> AnyView {
    let id = |what: &str| [what, "-", &row.id].concat();
    let name_id = id("name");
    let muted = row.muted.then(|| {
        let until = row.muted_until.as_ref().map(|at| [" until ", &at.full].concat()).unwrap_or_default();
        let hidden = ["Notifications hidden", &until].concat();
        view! { <span class="muted" title=hidden.clone()>{icon("bell-off")}<span class="sr">{hidden.clone()} ": "</span></span> }
    });
    let token = match &row.token {
        None => view! { <span class="nothing">"-"<span class="sr">" no token"</span></span> }.into_any(),
        Some(token) => view! {
            {token.login.clone()}
            <small>{token.kind.clone()} " " <span class="dots" aria-hidden="true">"••••••"</span></small>
        }
        .into_any(),
    };
    let checked = row.token.as_ref().and_then(|token| token.checked.as_ref()).map(|checked| {
        if row.checking {
            view! { <small class="checked" data-now>{icon("again")} "Checking now"</small> }.into_any()
        } else {
            view! { <small class="checked">"Checked " {ago(&checked.at)}</small> }.into_any()
        }
    });
    view! {
        <tr id=row.id.clone() data-tone=row.health.needs_user().then_some("bad")>
            <th scope="row">
                {muted}
                <span id=name_id.clone()>{row.name.clone()}</span>
                <small>{kind(&row.provider)} {row.provider.name.clone()} " · " {row.provider.host.clone()}</small>
            </th>
            <td>{token}</td>
            <td>{health::view(row, checked.into_any())}</td>
            <td>{expires(row)}</td>
            <td>{actions(row, &name_id)}</td>
        </tr>
    }
    .into_any()
}

fn expires(row: &RuntimeRow) -> AnyView {
    match row.token.as_ref().map(|token| &token.expiry) {
        None => view! { <span class="nothing">"-"</span> }.into_any(),
        Some(Expiry::Never) => "Never".into_any(),
        Some(Expiry::At(at)) => view! { {day(at)} <small>{at.relative.clone()}</small> }.into_any(),
        Some(Expiry::RenewsItself(at)) => {
            view! { "Renews itself" <small>"next " {ago(at)}</small> }.into_any()
        }
        Some(Expiry::RenewsAtNextUse) => {
            view! { "Renews itself" <small>"when it is next used"</small> }.into_any()
        }
        Some(Expiry::Noted(at)) => view! { {day(at)} <small>"by your own note"</small> }.into_any(),
        Some(Expiry::Unknown) => view! { "Unknown" <small>"the provider doesn't say"</small> }.into_any(),
    }
}

fn actions(row: &RuntimeRow, name_id: &str) -> AnyView {
    let id = |what: &str| [what, "-", &row.id].concat();
    let (go, more, menu) = (id("go"), id("more"), id("menu"));
    let named = |own: &str| [own, " ", name_id].concat();
    let (kind, label) = if row.token.is_some() { ("replace", "Replace Token") } else { ("add", "Add Token") };
    let look = health::wants_token(&row.health).then_some("primary");
    let delete = row.token.is_some().then(|| {
        let delete = id("delete");
        view! {
            <a
                class="button"
                data-look="danger"
                id=delete.clone()
                href=path::delete(&row.id)
                data-dialog="delete"
                data-runtime=row.id.clone()
                aria-labelledby=named(&delete)
            >
                "Delete Token"
            </a>
        }
    });
    let check = row.token.is_some().then(|| {
        view! {
            <form method="post" action=CheckAgain::url()>
                <input type="hidden" name="runtime" value=row.id.clone()/>
                <button class="item">{icon("again")} "Check again"</button>
            </form>
        }
    });
    let for_a_while = (!row.muted).then(|| {
        view! {
            <button class="item" name="days" value="1">{icon("clock")} "Hide for a day"</button>
            <button class="item" name="days" value="7">{icon("clock")} "Hide for a week"</button>
        }
    });
    let hidden = if row.muted { "true" } else { "false" };
    let hide = if row.muted { "false" } else { "true" };
    view! {
        <div class="actions">
            <a
                class="button"
                data-look=look
                id=go.clone()
                href=path::runtime(&row.id)
                data-dialog=kind
                data-runtime=row.id.clone()
                aria-labelledby=named(&go)
            >
                {label}
            </a>
            {delete}
            <button
                type="button"
                class="more"
                id=more.clone()
                popovertarget=menu.clone()
                aria-label="More actions for"
                aria-labelledby=named(&more)
            >
                {icon("more")}
            </button>
            <div class="popover" id=menu popover="auto">
                <form method="post" action=HideNotifications::url()>
                    <input type="hidden" name="runtime" value=row.id.clone()/>
                    <input type="hidden" name="hide" value=hide/>
                    <button class="item switch" role="switch" aria-checked=hidden>"Hide notifications"</button>
                    {for_a_while}
                </form>
                {check}
                <a class="item" href=path::runtime(&row.id)>{icon("info")} "Details"</a>
            </div>
        </div>
    }
    .into_any()
}

fn pager(page: &TokenPage, query: &TokenQuery) -> Option<AnyView> {
    (page.pages > 1).then(|| {
        let place = |to: u32| path::list(&query.filter, query.show.word(), to);
        let before = (page.page > 1).then(
            || view! { <a class="button" rel="prev" id="prev" href=place(page.page - 1)>"Previous"</a> },
        );
        let after = (page.page < page.pages)
            .then(|| view! { <a class="button" rel="next" id="next" href=place(page.page + 1)>"Next"</a> });
        view! {
            <nav class="pager" aria-label="Pages">
                {before}
                <span>"Page " {page.page} " of " {page.pages} ", " {page.matching} " runtimes"</span>
                {after}
            </nav>
        }
        .into_any()
    })
}
