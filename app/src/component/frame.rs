//! What stands around every page: skip link, mark, breadcrumb, the visitor's menu.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_location;

use crate::{
    api::{
        light::Light,
        person::{SignOut, Visitor, load_visitor},
    },
    component::{
        icon,
        live::{Sender, failure, focus_id, send, sender},
        problem,
        stream::{Changes, changes, leave, listen},
    },
    error::ApiError,
    path::{self, Place},
};

/// Header and main part of every page.
#[component]
pub fn Frame(
    /// The page.
    children: Children,
) -> impl IntoView {
    let path = use_location().pathname;
    follow_title(path);
    let visitor = Resource::<_, Light>::new_with_options(
        move || Place::of(&path.get()).is_for_people(),
        |needed| async move { if needed { Some(load_visitor().await) } else { None } },
        false,
    );
    let changes = changes();
    Effect::new(move |_| match &*visitor.read() {
        Some(Some(Ok(visitor))) => listen(changes, visitor.version.clone()),
        Some(_) => leave(changes),
        None => {}
    });
    view! {
        <a class="skip" href="#main" rel="external">"Skip to the content"</a>
        <header class="top">
            {logo()}
            {move || crumbs(Place::of(&path.get()))}
            <Me visitor=visitor changes=changes path=path/>
        </header>
        // What happens while somebody looks is read out; the bell and the rows show it.
        <p class="sr" role="status" id="happened">{move || changes.said.get()}</p>
        <main id="main" tabindex="-1">{children()}</main>
    }
}

/// Header and main part of a page in which nothing runs, of what is known beforehand. `above` are the pages above it,
/// by name and address.
#[cfg(feature = "ssr")]
pub fn still(
    visitor: Option<&Visitor>,
    above: &[(&str, &str)],
    here: &str,
    body: AnyView,
) -> impl IntoView + use<> {
    let above = above.iter().map(|(name, address)| {
        view! { <li><a href=(*address).to_owned()>{(*name).to_owned()}</a></li> }
    });
    let above = above.collect_view();
    let me = visitor.map(|visitor| {
        let (label, count) = (unread_label(visitor.unread), unread_count(visitor.unread));
        view! { {bell_link(move || label.clone(), || None, move || count.clone())} {menu(visitor.name.clone(), None)} }
    });
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <header class="top">
            {logo()}
            <nav class="crumbs" aria-label="Breadcrumb">
                <ol>
                    <li><a href=path::HOME>"Home"</a></li>
                    {above}
                    <li aria-current="page">{here.to_owned()}</li>
                </ol>
            </nav>
            {me}
        </header>
        <main id="main" tabindex="-1">{body}</main>
    }
}

/// The window's title follows the page. The server has written the first one.
fn follow_title(path: Memo<String>) {
    Effect::new(move |before: Option<()>| {
        let path = path.get();
        if before.is_some() {
            document().set_title(&Place::of(&path).title());
            if let Some(menu) = html_element("me") {
                let _ = menu.hide_popover();
            }
            request_animation_frame(|| {
                focus_id("main");
            });
        }
    });
}

/// For what only HTML elements can.
fn html_element(id: &str) -> Option<web_sys::HtmlElement> {
    use wasm_bindgen::JsCast;
    document().get_element_by_id(id)?.dyn_into().ok()
}

/// The sign of the house, a shield around a branch, and its name.
fn logo() -> AnyView {
    view! {
        <a class="logo" href=path::HOME>
            <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
                <path class="mark-shield" d="M16 1.800 28 6v9.500c0 7.200-5 12.300-12 14.900C9 27.800 4 22.700 4 15.500V6z"/>
                <path class="mark-branch" d="M12 10.800v10.400M12 17.500c5.200 0 8-1.400 8-5"/>
                <circle class="mark-dot" cx="12" cy="9.500" r="2.300"/>
                <circle class="mark-dot" cx="20" cy="10.500" r="2.300"/>
                <circle class="mark-dot" cx="12" cy="22.300" r="2.300"/>
            </svg>
            "Gitward"
        </a>
    }
    .into_any()
}

/// Where the visitor is.
fn crumbs(place: Place<'_>) -> AnyView {
    let here = match place {
        Place::Tokens | Place::Runtime(_) | Place::Delete(_) => "Git Personal Access Token",
        Place::Password => "Change password",
        Place::Notices | Place::NoticeSettings => "Notifications",
        _ => return view! { <span class="crumbs"></span> }.into_any(),
    };
    let deeper = match place {
        Place::Runtime(_) => "Access",
        Place::Delete(_) => "Delete",
        Place::NoticeSettings => "Settings",
        _ => "",
    };
    let list = match place {
        Place::Notices | Place::NoticeSettings => path::NOTICES,
        _ => path::TOKENS,
    };
    let step = if deeper.is_empty() {
        view! { <li><a href=list aria-current="page" class="here">{here}</a></li> }.into_any()
    } else {
        view! {
            <li><a href=list>{here}</a></li>
            <li aria-current="page">{deeper}</li>
        }
        .into_any()
    };
    let step = if place == Place::Password {
        view! { <li aria-current="page">{here}</li> }.into_any()
    } else {
        step
    };
    view! {
        <nav class="crumbs" aria-label="Breadcrumb">
            <ol>
                <li><a href=path::HOME>"Home"</a></li>
                {step}
            </ol>
        </nav>
    }
    .into_any()
}

/// The visitor's name and what it leads to.
#[component]
fn Me(
    /// Who it is.
    visitor: Resource<Option<Result<Visitor, ApiError>>, Light>,
    /// What changes around the page.
    changes: Changes,
    /// Where the visitor is.
    path: Memo<String>,
) -> impl IntoView {
    let out = sender();
    view! {
        <Transition>
            {move || Suspend::new(async move {
                match visitor.await {
                    Some(Ok(visitor)) => {
                        view! { {bell(visitor.unread, changes, path)} {menu(visitor.name, Some(out))} }.into_any()
                    }
                    Some(Err(error)) => problem::quietly(error),
                    // An element rather than nothing: a menu that went comes back in its place.
                    None => view! { <span hidden></span> }.into_any(),
                }
            })}
        </Transition>
    }
}

/// The way to the notices and how many are unread; or, once the session has ended, the way back in.
fn bell(unread: u32, changes: Changes, path: Memo<String>) -> AnyView {
    let unread = move || changes.unread.get().unwrap_or(unread);
    let current = move || (Place::of(&path.read()) == Place::Notices).then_some("page");
    view! {
        {bell_link(move || unread_label(unread()), current, move || unread_count(unread()))}
        <span class="over" role="status">
            {move || {
                let back = path::sign_in_then(&path.read());
                changes.over.get().then(|| view! { "You are signed out. " <a href=back rel="external">"Sign in again"</a> })
            }}
        </span>
    }
    .into_any()
}

fn bell_link(
    label: impl Fn() -> String + Send + 'static,
    current: impl Fn() -> Option<&'static str> + Send + 'static,
    count: impl Fn() -> String + Send + 'static,
) -> AnyView {
    view! {
        <a class="bell" href=path::NOTICES aria-label=label aria-current=current>
            {icon("bell")}
            <span class="count" aria-hidden="true">{count}</span>
        </a>
    }
    .into_any()
}

fn unread_label(unread: u32) -> String {
    match unread {
        0 => "Notifications, none unread".to_owned(),
        unread => ["Notifications, ", &unread.to_string(), " unread"].concat(),
    }
}

fn unread_count(unread: u32) -> String {
    match unread {
        0 => String::new(),
        unread @ 1..100 => unread.to_string(),
        _ => "99+".to_owned(),
    }
}

/// Opens without script. Where nothing runs, there is nothing to send its form with.
fn menu(name: String, out: Option<Sender>) -> AnyView {
    let initial: String = name.chars().next().into_iter().flat_map(char::to_uppercase).collect();
    view! {
        <div class="menu">
            <button type="button" class="me" popovertarget="me" aria-label=["Menu of ", &name].concat()>
                <span class="avatar" aria-hidden="true">{initial}</span>
                {icon("down")}
            </button>
            <div id="me" class="popover" popover="auto">
                <p class="popover-title">"Signed in as " <b>{name}</b></p>
                <a class="item" href=path::PASSWORD>{icon("key")} "Change password"</a>
                <a class="item" href=path::AUDIT rel="external">{icon("clock")} "Audit log"</a>
                <form method="post" action=SignOut::url() on:submit=move |event| if let Some(out) = out { send(out, &event) }>
                    <button class="item">{icon("out")} "Sign out"</button>
                </form>
                <p class="problem" role="alert">{move || out.and_then(failure)}</p>
            </div>
        </div>
    }
    .into_any()
}
