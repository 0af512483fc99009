//! What the visitor was told, the latest first.

use leptos::{prelude::*, server_fn::ServerFn};

use crate::{
    api::notice::{MarkAllRead, MarkRead, Notice, NoticePage},
    component::icon,
    made::health::ago,
    path,
};

/// The page.
pub(super) fn html(page: &NoticePage) -> String {
    let newest = page.notices.first().filter(|_| page.unread > 0 && !page.later);
    let all_read = newest.map(|newest| {
        view! {
            <form method="post" action=MarkAllRead::url()>
                <input type="hidden" name="up_to" value=newest.id.to_string()/>
                <button class="button small" id="read-all">"Mark all as read"</button>
            </form>
        }
    });
    let off = page.off.then(|| {
        view! {
            <p class="notice" role="note">
                "Notifications are off: nothing new is added here. " <a href=path::NOTICE_SETTINGS>"Change that"</a>
            </p>
        }
    });
    let list = if page.notices.is_empty() {
        view! {
            <div class="empty">
                {icon("bell")}
                <h2>"Nothing to tell"</h2>
                <p>"When a token of yours ends, stops working or works again, it is said here."</p>
                <a class="button" href=path::TOKENS>"All runtimes and tokens"</a>
            </div>
        }
        .into_any()
    } else {
        let items = page.notices.iter().map(item).collect_view();
        view! { <ol class="notices sheet">{items}</ol> }.into_any()
    };
    let unread = match page.unread {
        0 => "None unread".to_owned(),
        unread => [&unread.to_string(), " unread"].concat(),
    };
    view! {
        <section>
            <h1>"Notifications"</h1>
            <p class="lead">"What happened to your access, while you looked elsewhere."</p>
            <div class="bar">
                <span>{unread}</span>
                {all_read}
                <a class="button small" href=path::NOTICE_SETTINGS>"Settings"</a>
            </div>
            {off}
            {list}
            {pager(page)}
        </section>
    }
    .to_html()
}

fn item(notice: &Notice) -> AnyView {
    let one = &notice.happening;
    let id = notice.id.to_string();
    let title = match &notice.runtime {
        Some((runtime, name)) => view! {
            <a id=["notice-", &id].concat() href=path::runtime(runtime)>{name.clone()} ": " {one.title.clone()}</a>
        }
        .into_any(),
        None => view! { <b>{one.title.clone()}</b> }.into_any(),
    };
    let read = (!notice.read).then(|| {
        let button = ["read-", &id].concat();
        let named = [&button, " title-", &id].concat();
        view! {
            <form method="post" action=MarkRead::url()>
                <input type="hidden" name="id" value=id.clone()/>
                <button class="button small" id=button aria-labelledby=named>"Mark as read"</button>
            </form>
        }
    });
    view! {
        <li data-tone=one.tone.word() data-unread=(!notice.read).then_some("")>
            <div>
                <h2 id=["title-", &id].concat()>
                    {(!notice.read).then(|| view! { <span class="sr">"Unread: "</span> })}
                    {title}
                </h2>
                <p>{one.text.clone()}</p>
                <small>
                    {ago(&one.at)}
                    {notice.host.clone().map(|host| view! { " · " {host} })}
                </small>
            </div>
            {read}
        </li>
    }
    .into_any()
}

fn pager(page: &NoticePage) -> Option<AnyView> {
    (page.later || page.earlier.is_some()).then(|| {
        let later =
            page.later.then(|| view! { <a class="button" id="prev" href=path::NOTICES>"The latest"</a> });
        let earlier = page.earlier.map(
            |id| view! { <a class="button" rel="next" id="next" href=path::notices_before(id)>"Earlier"</a> },
        );
        view! { <nav class="pager" aria-label="Pages">{later} {earlier}</nav> }.into_any()
    })
}
