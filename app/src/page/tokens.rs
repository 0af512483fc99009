//! The list of runtimes and their tokens, with one dialog for all of them.

use std::time::Duration;

use leptos::{
    ev::{MouseEvent, SubmitEvent},
    html::Dialog,
    leptos_dom::helpers::set_timeout,
    prelude::*,
    server_fn::ServerFn,
    task::spawn_local,
};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;

use super::query;
use crate::{
    api::{
        light::Light,
        part::Part,
        token::{Counts, LoadList, OauthProblem, Show, TokenList, load_list},
    },
    component::{
        icon,
        live::{
            Live, Outcome, closest, did_sentence, focus_first, focus_id, left_sentence, problem, send, sender,
        },
        problem::Problem,
        stream::{Here, changes, focus_within, is_quiet, look, when_quiet},
    },
    path,
};

/// Nobody types any more after that.
const TYPING: Duration = Duration::from_millis(250);

/// The page of the list.
#[component]
pub fn TokensPage() -> impl IntoView {
    let filter = query("q");
    let show = query("show");
    let number = query("page");
    let show = Memo::new(move |_| Show::from_word(&show.read()));
    let list = Resource::<_, Light>::new_with_options(
        move || (filter.get(), show.get(), number.read().parse().unwrap_or(1)),
        |(filter, show, number)| load_list(filter, show, number),
        false,
    );

    // What is typed into the filter counts once nothing more is typed. It outlives the field, which may be made anew at
    // any moment.
    let typed = RwSignal::new(None::<String>);
    let find = finder(show);
    Effect::new(move |_| {
        let Some(words) = typed.get() else { return };
        let find = find.clone();
        let when_done = move || {
            if typed.try_get_untracked().flatten().as_ref() == Some(&words) {
                find(words);
            }
        };
        set_timeout(when_done, TYPING);
    });

    // What has just been done here, before what the address tells of the time without script.
    let said = RwSignal::new(None::<String>);
    let did = query("did");
    let left = query("left");
    let oauth = query("problem");
    let sender = sender();
    let failed = problem(sender);
    let wrong = move || {
        failed().or_else(|| {
            if said.read().is_some() {
                return None;
            }
            OauthProblem::from_word(&oauth.read()).map(|problem| problem.sentence().to_owned())
        })
    };
    let good = move || {
        said.get().or_else(|| {
            if failed().is_some() {
                return None;
            }
            // Nothing but a number from the address comes onto the page.
            let left = if *did.read() == "added" { left.read().parse().unwrap_or(0) } else { 0 };
            did_sentence(&did.read()).map(|did| [did, &left_sentence(left)].concat())
        })
    };

    // Rows are replaced as a whole, so the focus is put back by the id of what had it, or of what a form leads to. It is
    // on its way there until the last rows that came are on the screen.
    let back_to = StoredValue::new(None::<String>);
    let on_its_way = StoredValue::new(0_u32);
    // The rows that follow from a form were asked for.
    let renewing = StoredValue::new(false);
    let renew = move |focus_id: String| {
        back_to.set_value(Some(focus_id));
        renewing.set_value(true);
        list.refetch();
    };
    Effect::new(move |_| {
        if list.read().is_none() {
            return;
        }
        renewing.set_value(false);
        if back_to.with_value(Option::is_none) {
            return;
        }
        on_its_way.update_value(|count| *count += 1);
        request_animation_frame(move || {
            let Some(more) = on_its_way.try_update_value(|count| {
                *count -= 1;
                *count
            }) else {
                return;
            };
            let id = if more == 0 { back_to.try_update_value(Option::take) } else { back_to.try_get_value() };
            if let Some(id) = id.flatten() {
                focus_id(&id);
            }
        });
    });
    // What changes by itself is brought up to date, unless a form is under way: its answer brings everything.
    let changes = changes();
    let here = Here::new();
    let follow = move || {
        if renewing.get_value() {
            changes.look_soon();
            return;
        }
        let query = (filter.get_untracked(), show.get_untracked(), number.get_untracked());
        spawn_local(async move {
            let page = query.2.parse().unwrap_or(1_u32).to_string();
            let words = path::encode(&query.0);
            let body = ["filter=", &words, "&show=", query.1.variant(), "&page=", &page].concat();
            // What can't be had now is had the next time; what is there stays.
            let Ok(new) = look::<TokenList>(LoadList::url(), body).await else { return };
            if here.is_left() {
                return;
            }
            let same = list.with_untracked(|list| {
                list.as_ref()
                    .and_then(|list| list.as_ref().ok())
                    .is_some_and(|list| (list.edition, list.counts) == (new.edition, new.counts))
            });
            if same {
                return;
            }
            if renewing.get_value() || !is_quiet("#token-table") {
                changes.look_soon();
                return;
            }
            let now = (filter.get_untracked(), show.get_untracked(), number.get_untracked());
            if now == query && !sender.pending().get_untracked() {
                if on_its_way.get_value() == 0 {
                    back_to.set_value(focus_within("#token-table"));
                }
                list.set(Some(Ok(new)));
            }
        });
    };
    changes.on_tick(move || when_quiet("#token-table", here, follow));
    Effect::new(move |_| {
        if let Some(outcome) = &*sender.value().read() {
            said.set(outcome.result.as_ref().ok().map(|(_, sentence)| sentence.clone()));
            renew(["more-", &outcome.runtime].concat());
        }
    });

    let dialog = NodeRef::<Dialog>::new();
    let opener = StoredValue::new(String::new());
    let asked = RwSignal::new(None::<(Part, String)>);
    let done = Callback::new(move |outcome: Outcome| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
        sender.clear();
        said.set(outcome.result.ok().map(|(_, sentence)| sentence));
        renew(["go-", &outcome.runtime].concat());
    });
    let ready = Callback::new(move |()| {
        if let Some(dialog) = dialog.get_untracked()
            && !dialog.open()
            && dialog.show_modal().is_ok()
        {
            focus_first("dialog [data-first]");
        }
    });

    let on_click = move |event: MouseEvent| {
        let Some(link) = closest(&event, "a[data-dialog]") else { return };
        // A new tab or window was asked for: the address has a page, too.
        if event.ctrl_key() || event.meta_key() || event.shift_key() || event.button() != 0 {
            return;
        }
        event.prevent_default();
        let Some(runtime) = link.get_attribute("data-runtime") else { return };
        opener.set_value(link.id());
        let delete = link.get_attribute("data-dialog").as_deref() == Some("delete");
        asked.set(Some((if delete { Part::DeleteDialog } else { Part::AccessDialog }, runtime)));
    };

    let deleting = move || matches!(*asked.read(), Some((Part::DeleteDialog, _)));
    view! {
        <div class="title">
            <h1>"Git access, runtime by runtime"</h1>
            <p class="lead">"Runtimes work in Git under your name. Let each one in here; one token can serve several."</p>
        </div>
        <p class="said" role="status">{good}</p>
        <div class="problem" role="alert">{wrong}</div>
        <Transition>
            {move || Suspend::new(async move {
                match list.await {
                    Ok(list) => view! {
                        {(list.counts.all > 0).then(|| tools(list.counts, filter, show, typed))}
                        <div
                            id="token-table"
                            on:click=on_click
                            on:submit=move |event| send(sender, &event)
                            aria-busy=move || sender.pending().get().then_some("true")
                            inner_html=list.html.0
                        ></div>
                    }
                    .into_any(),
                    Err(error) => view! { <Problem error=error/> }.into_any(),
                }
            })}
        </Transition>
        <dialog
            node_ref=dialog
            aria-labelledby="dialog-title"
            role=move || if deleting() { "alertdialog" } else { "dialog" }
            aria-describedby=move || deleting().then_some("dialog-text")
            on:close=move |_| {
                asked.set(None);
                focus_id(&opener.get_value());
            }
        >
            <form method="dialog" class="dialog-close">
                <button class="more" aria-label="Close">{icon("close")}</button>
            </form>
            {move || asked.get().map(|(part, id)| {
                view! { <Live part=part id=Signal::stored(id) done=done ready=ready/> }
            })}
        </dialog>
    }
}

/// Shows what fits the words.
fn finder(show: Memo<Show>) -> impl Fn(String) + Clone {
    let navigate = use_navigate();
    move |words: String| {
        navigate(
            &path::list(words.trim(), show.get_untracked().word(), 1),
            NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() },
        );
    }
}

/// Selection and filter.
fn tools(counts: Counts, filter: Memo<String>, show: Memo<Show>, typed: RwSignal<Option<String>>) -> AnyView {
    let chip = |which: Show, count: u32, text: &'static str| {
        view! {
            <a
                class="chip"
                data-tone=(count > 0).then(|| which.word())
                href=move || path::list(&filter.read(), which.word(), 1)
                aria-current=move || (show.get() == which).then_some("true")
                data-noscroll
            >
                <b>{count}</b>
                " "
                {text}
            </a>
        }
    };
    let find = finder(show);
    let on_input = move |event: web_sys::Event| typed.set(Some(event_target_value(&event)));
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        // Not once more when the time for typing is over: the visitor may be elsewhere by then.
        typed.set(None);
        let words = document()
            .get_element_by_id("filter")
            .and_then(|field| field.dyn_into::<web_sys::HtmlInputElement>().ok())
            .map(|field| field.value());
        find(words.unwrap_or_default());
    };
    let first = filter.get_untracked();
    view! {
        <div class="tools">
            <nav class="chips" aria-label="Which runtimes">
                {chip(Show::All, counts.all, if counts.all == 1 { "runtime" } else { "runtimes" })}
                {chip(Show::NeedYou, counts.need_you, if counts.need_you == 1 { "needs you" } else { "need you" })}
                {(counts.in_doubt > 0).then(|| chip(Show::InDoubt, counts.in_doubt, "in doubt"))}
                {chip(Show::Work, counts.work, if counts.work == 1 { "works" } else { "work" })}
                {chip(Show::NoToken, counts.no_token, "without a token")}
            </nav>
            <form class="filter" role="search" method="get" action=path::TOKENS on:submit=on_submit>
                {move || {
                    let show = show.get();
                    (show != Show::All).then(|| view! { <input type="hidden" name="show" value=show.word()/> })
                }}
                <label class="sr" for="filter">"Filter by name, account, host or login"</label>
                <input
                    type="search"
                    id="filter"
                    name="q"
                    value=first
                    placeholder="Filter by name, host, login"
                    autocomplete="off"
                    spellcheck="false"
                    on:input=on_input
                />
                <button class="more"><span class="sr">"Filter"</span>{icon("search")}</button>
            </form>
        </div>
    }
    .into_any()
}
