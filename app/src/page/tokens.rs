//! The list of runtimes and their tokens, with one dialog for all of them.

use std::time::Duration;

use leptos::{
    ev::{MouseEvent, SubmitEvent},
    form::FromFormData,
    html::Dialog,
    leptos_dom::helpers::debounce,
    prelude::*,
    server::ServerActionError,
    server_fn::{ServerFn, error::ServerFnUrlError},
};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlFormElement};

use super::query;
use crate::{
    api::{
        light::Light,
        token::{
            CheckAgain, Counts, HideNotifications, OauthProblem, RuntimeAccess, SettleAccount, Show,
            check_again, hide_notifications, load_access, settle_account, load_list,
        },
    },
    component::{
        access::{AccessForm, Done, focus_first},
        delete::DeleteForm,
        form::sign_in_when_needed,
        frame::focus,
        icon,
        problem::Problem,
    },
    error::ApiError,
    path,
};

/// What a form inside a row asks for.
#[derive(Clone, Debug)]
enum RowAction {
    Check(CheckAgain),
    Hide(HideNotifications),
    Settle(SettleAccount),
}

impl RowAction {
    fn from_event(event: &SubmitEvent, place: &str) -> Option<Self> {
        if place == CheckAgain::url() {
            CheckAgain::from_event(event).ok().map(Self::Check)
        } else if place == HideNotifications::url() {
            HideNotifications::from_event(event).ok().map(Self::Hide)
        } else if place == SettleAccount::url() {
            SettleAccount::from_event(event).ok().map(Self::Settle)
        } else {
            None
        }
    }

    /// What was done with which runtime.
    async fn run(self) -> (String, Result<&'static str, ApiError>) {
        match self {
            Self::Check(CheckAgain { runtime }) => {
                (runtime.clone(), check_again(runtime).await.map(|()| "checked"))
            }
            Self::Hide(HideNotifications { runtime, hide }) => {
                let word = if hide { "muted" } else { "unmuted" };
                (runtime.clone(), hide_notifications(runtime, hide).await.map(|()| word))
            }
            Self::Settle(SettleAccount { runtime, take }) => {
                (runtime.clone(), settle_account(runtime, take).await.map(|()| "settled"))
            }
        }
    }
}

/// What was done, from the word in the address.
fn did_sentence(did: &str) -> Option<&'static str> {
    Some(match did {
        "added" => "The token passed and is in use.",
        "deleted" => "The token is deleted. The runtime can't act for you until you add one.",
        "checked" => "The provider was asked again; the row shows its answer.",
        "muted" => "Notifications about this runtime are hidden.",
        "unmuted" => "Notifications about this runtime are shown again.",
        "settled" => "Settled: the row shows the account in use.",
        _ => return None,
    })
}

/// A form in a row that was sent without script leaves its error in the address.
fn error_in_address() -> Option<ApiError> {
    use_context::<ServerActionError>().map(|error| ServerFnUrlError::<ApiError>::decode_err(error.err()))
}

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

    // What has just been done here, before what the address tells of the time without script.
    let said = RwSignal::new(None::<String>);
    let did = query("did");
    let problem = query("problem");
    let in_address = error_in_address();
    let row_action = Action::new(|action: &RowAction| action.clone().run());
    let failed = Signal::derive(move || match row_action.value().get() {
        Some((_, result)) => result.err(),
        None => in_address,
    });
    sign_in_when_needed(failed);
    let wrong = move || {
        failed.get().map(ApiError::sentence).or_else(|| {
            (said.read().is_none() && row_action.value().read().is_none())
                .then(|| OauthProblem::from_word(&problem.read()))
                .flatten()
                .map(|problem| problem.sentence().to_owned())
        })
    };
    let good = move || {
        said.get().or_else(|| {
            let word = match row_action.value().get() {
                Some((_, Ok(word))) => word,
                Some((_, Err(_))) => return None,
                None => return did_sentence(&did.read()).map(str::to_owned),
            };
            did_sentence(word).map(str::to_owned)
        })
    };

    // Rows are replaced as a whole, so the focus is put back by the id of what had it.
    let back_to = StoredValue::new(None::<String>);
    let renew = move |focus_id: String| {
        back_to.set_value(Some(focus_id));
        list.refetch();
    };
    Effect::new(move |_| {
        if list.read().is_some()
            && let Some(id) = back_to.try_update_value(Option::take).flatten()
        {
            request_animation_frame(move || {
                focus(&id);
            });
        }
    });
    Effect::new(move |_| {
        if let Some((runtime, _)) = &*row_action.value().read() {
            renew(["more-", runtime].concat());
        }
    });

    let dialog = NodeRef::<Dialog>::new();
    let opener = StoredValue::new(String::new());
    let open = Action::new(|(delete, runtime): &(bool, String)| {
        let (delete, runtime) = (*delete, runtime.clone());
        async move { (delete, load_access(runtime).await) }
    });
    let done = Callback::new(move |done: Done| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
        row_action.clear();
        said.set(Some(done.text));
        renew(["go-", &done.runtime].concat());
    });
    Effect::new(move |_| {
        if open.value().read().is_some()
            && let Some(dialog) = dialog.get()
        {
            // The content is put there in this same turn, but after this.
            request_animation_frame(move || {
                if !dialog.open() && dialog.show_modal().is_ok() {
                    focus_first(&dialog);
                }
            });
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
        if !open.pending().get_untracked() {
            open.dispatch((delete, runtime));
        }
    };
    let on_submit = move |event: SubmitEvent| {
        let Some(form) = event.target().and_then(|target| target.dyn_into::<HtmlFormElement>().ok()) else {
            return;
        };
        let place = form.get_attribute("action").unwrap_or_default();
        if let Some(action) = RowAction::from_event(&event, &place) {
            event.prevent_default();
            if !row_action.pending().get_untracked() {
                said.set(None);
                row_action.dispatch(action);
            }
        }
    };

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
                        {(list.counts.all > 0).then(|| tools(list.counts, filter, show))}
                        <div
                            id="token-table"
                            on:click=on_click
                            on:submit=on_submit
                            aria-busy=move || (row_action.pending().get() || open.pending().get()).then_some("true")
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
            role=move || match *open.value().read() {
                Some((true, _)) => "alertdialog",
                _ => "dialog",
            }
            aria-describedby=move || matches!(*open.value().read(), Some((true, _))).then_some("dialog-text")
            on:close=move |_| {
                open.clear();
                focus(&opener.get_value());
            }
        >
            <form method="dialog" class="dialog-close">
                <button class="more" aria-label="Close">{icon("close")}</button>
            </form>
            {move || open.value().get().map(|(delete, access)| inside(delete, access, done, dialog))}
        </dialog>
    }
}

/// What the dialog shows.
fn inside(
    delete: bool,
    access: Result<RuntimeAccess, ApiError>,
    done: Callback<Done>,
    dialog: NodeRef<Dialog>,
) -> AnyView {
    match access {
        Ok(access) if delete => {
            let cancel = Callback::new(move |()| {
                if let Some(dialog) = dialog.get_untracked() {
                    dialog.close();
                }
            });
            view! { <DeleteForm access=access done=done cancel=Some(cancel)/> }.into_any()
        }
        Ok(access) => view! { <AccessForm access=access done=done in_dialog=true/> }.into_any(),
        Err(error) => view! { <Problem error=error/> }.into_any(),
    }
}

fn closest(event: &MouseEvent, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

/// Selection and filter.
fn tools(counts: Counts, filter: Memo<String>, show: Memo<Show>) -> AnyView {
    let chip = |which: Show, count: u32, text: &'static str| {
        view! {
            <a
                class="chip"
                data-tone=which.word()
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
    let navigate = use_navigate();
    let find = move |words: String| {
        navigate(
            &path::list(words.trim(), show.get_untracked().word(), 1),
            NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() },
        );
    };
    let find_later = debounce(Duration::from_millis(250), find.clone());
    let on_input = {
        let mut find_later = find_later;
        move |event: web_sys::Event| find_later(event_target_value(&event))
    };
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
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
                {chip(Show::Work, counts.work, if counts.work == 1 { "works" } else { "work" })}
                {chip(Show::NoToken, counts.no_token, "without a token")}
            </nav>
            <form class="filter" role="search" method="get" action=path::TOKENS on:submit=on_submit>
                {move || {
                    let show = show.get();
                    (show != Show::All).then(|| view! { <input type="hidden" name="show" value=show.word()/> })
                }}
                <label class="sr" for="filter">"Filter by name, account, host or login"</label>
                {icon("search")}
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
                <button class="button">"Filter"</button>
            </form>
        </div>
    }
    .into_any()
}
