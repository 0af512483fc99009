//! Authorizing one runtime: through the provider's own page, with a token that is already there, or with a new one.
//! The same in the dialog and on a page of its own.

use std::sync::Arc;

use leptos::{ev::SubmitEvent, prelude::*, server_fn::ServerFn};
use wasm_bindgen::JsCast;

use crate::{
    api::token::{
        AddToken, Added, Health, Refusal, ReuseToken, RuntimeAccess, SettleAccount, load_access,
    },
    component::{
        and,
        form::{FormProblem, Submit, failure, send},
        icon,
        refusal::{self, new_tab},
    },
    error::ApiError,
    path,
};

/// What was done with a runtime, so that whoever shows the form can go on.
#[derive(Clone, Debug)]
pub struct Done {
    /// For the address of the list: `added`, `settled`, `deleted`.
    pub did: &'static str,
    /// With which runtime.
    pub runtime: String,
    /// For people.
    pub text: String,
}

/// The view of one runtime's access.
#[component]
pub fn AccessForm(
    /// What is known.
    access: RuntimeAccess,
    /// What to do afterwards.
    done: Callback<Done>,
    /// The heading: one page, one `h1`; a dialog has an `h2`.
    in_dialog: bool,
) -> impl IntoView {
    let access = Arc::new(access);
    let id = access.row.id.clone();
    let provider = access.row.provider.name.clone();
    let add = ServerAction::<AddToken>::new();
    let reuse = ServerAction::<ReuseToken>::new();
    let settle = ServerAction::<SettleAccount>::new();
    // The server remembers why it refused, and never sends the token back: what was typed stays in the field.
    let again = Action::new(|id: &String| load_access(id.clone()));
    let refused = {
        let first = first_refusal(&access);
        Memo::new(move |_| match again.value().get() {
            Some(Ok(access)) => access.refusal,
            _ => first.clone(),
        })
    };
    let add_error = failure(add);
    let reuse_error = failure(reuse);
    let settle_error = failure(settle);
    let error = Signal::derive(move || {
        // A refusal has a box of its own, with more to say.
        let refused = refused.get().is_some();
        [add_error, reuse_error, settle_error]
            .into_iter()
            .find_map(|error| error.get())
            .filter(|error| !(refused && *error == ApiError::Refused))
    });
    Effect::new({
        let id = id.clone();
        move |_| {
            if [add_error, reuse_error].into_iter().any(|error| error.get() == Some(ApiError::Refused)) {
                again.dispatch(id.clone());
            }
        }
    });
    for value in [add.value(), reuse.value()] {
        let id = id.clone();
        Effect::new(move |_| {
            if let Some(Ok(added)) = value.get() {
                done.run(Done { did: "added", runtime: id.clone(), text: added_text(&added) });
            }
        });
    }
    Effect::new({
        let id = id.clone();
        move |_| {
            if let Some(Ok(())) = settle.value().get() {
                done.run(Done { did: "settled", runtime: id.clone(), text: "Settled: the list shows the account in use.".into() });
            }
        }
    });

    let name = view! { <span class="name">{access.row.name.clone()}</span> " Git provider access" };
    let title = if in_dialog {
        view! { <h2 id="dialog-title">{name}</h2> }.into_any()
    } else {
        view! { <h1>{name}</h1> }.into_any()
    };
    let only_way = !access.oauth;
    let quick = (access.oauth || !access.reusable.is_empty()).then(|| quick_form(&access, reuse));
    let paste = paste_form(&access, add, refused);
    let paste = if only_way && access.reusable.is_empty() {
        view! { <div class="access-paste">{paste}</div> }.into_any()
    } else {
        // Opens by itself where the answer stands inside; a person who closes it is not overruled.
        let open = only_way || refused.get_untracked().is_some() || add_error.get_untracked().is_some();
        view! {
            <details class="access-more" open=open>
                <summary>"Advanced authorization options"</summary>
                <div class="access-paste">{paste}</div>
            </details>
        }
        .into_any()
    };
    let settle_box = {
        let access = Arc::clone(&access);
        move || match refused.get() {
            Some(refusal @ Refusal::AnotherAccount { .. }) => Some(settle_form(&access, &refusal, settle)),
            _ => None,
        }
    };
    view! {
        <div class="access">
            {title}
            <p class="lead">
                "This runtime reads, commits and opens requests at " {provider} " in your name. Let it in, or give it a token of yours."
            </p>
            <FormProblem error=error/>
            {settle_box}
            {quick}
            {paste}
        </div>
    }
    .into_any()
}

/// A decision that is still open counts as a refusal, however the row came by it.
fn first_refusal(access: &RuntimeAccess) -> Option<Refusal> {
    match (&access.refusal, &access.row.health) {
        (None, Health::AnotherAccount { before, now }) => {
            Some(Refusal::AnotherAccount { before: before.clone(), now: now.clone() })
        }
        (refusal, _) => refusal.clone(),
    }
}

fn added_text(added: &Added) -> String {
    let mut text = ["The token of ", &added.login, " now serves ", &and(&added.runtimes), "."].concat();
    if !added.left_out.is_empty() {
        text += &[" It can't serve ", &and(&added.left_out), "."].concat();
    }
    text
}

/// Without a token at hand: the provider's own page, or a token that already serves another runtime. One form, because
/// the boxes for further runtimes count for both.
fn quick_form(access: &RuntimeAccess, reuse: ServerAction<ReuseToken>) -> AnyView {
    let provider = &access.row.provider.name;
    let reuse_url = ReuseToken::url();
    let place = if access.oauth { path::connect(&access.row.id) } else { reuse_url.to_owned() };
    let pending = reuse.pending();
    let reusable = access
        .reusable
        .iter()
        .map(|one| {
            view! {
                <button
                    class="button reuse"
                    name="credential"
                    value=one.credential.clone()
                    formaction=reuse_url
                    aria-busy=move || pending.get().then_some("true")
                >
                    {icon("again")}
                    <span>
                        "Use the token you already added for " <b>{and(&one.used_by)}</b>
                        <small>{one.login.clone()} " · " {one.kind.clone()}</small>
                    </span>
                </button>
            }
        })
        .collect_view();
    let authorize = access.oauth.then(|| {
        view! {
            <button class="button wide" data-look="primary" data-first>
                "Authorize Access to " {provider.clone()}
            </button>
        }
    });
    // Only a reused token can be dealt with here; the provider's page needs the whole window.
    let on_submit = move |event: SubmitEvent| {
        let reused = event
            .submitter()
            .is_some_and(|button| button.get_attribute("name").as_deref() == Some("credential"));
        if reused {
            send(reuse, &event);
        }
    };
    view! {
        <form class="access-quick" method="post" action=place on:submit=on_submit>
            <input type="hidden" name="runtime" value=access.row.id.clone()/>
            {reusable}
            {authorize}
            {also(access, "Authorize these in the same step")}
        </form>
    }
    .into_any()
}

/// Boxes for further runtimes.
fn also(access: &RuntimeAccess, legend: &'static str) -> Option<AnyView> {
    (!access.also.is_empty()).then(|| {
        let boxes = access
            .also
            .iter()
            .map(|one| {
                view! {
                    <label class="check">
                        <input type="checkbox" name="also[]" value=one.id.clone() checked=one.ticked/>
                        <span>{one.name.clone()}</span>
                    </label>
                }
            })
            .collect_view();
        view! {
            <fieldset class="also">
                <legend>{legend}</legend>
                {boxes}
            </fieldset>
        }
        .into_any()
    })
}

/// The field for a token and all that helps to fill it.
fn paste_form(
    access: &Arc<RuntimeAccess>,
    add: ServerAction<AddToken>,
    refused: Memo<Option<Refusal>>,
) -> AnyView {
    let provider = access.row.provider.name.clone();
    let shown = RwSignal::new(false);
    // Only with script can a button reveal the field.
    let script = RwSignal::new(false);
    Effect::new(move |_| script.set(true));
    let foreign = RwSignal::new(None::<usize>);
    let on_input = {
        let access = Arc::clone(access);
        move |event: web_sys::Event| {
            let typed = event_target_value(&event);
            let typed = typed.trim_start();
            foreign.set(access.foreign_shapes.iter().position(|(start, _)| typed.starts_with(start.as_str())));
        }
    };
    let pending: Signal<bool> = add.pending().into();
    let refusal_box = {
        let access = Arc::clone(access);
        move || {
            refused
                .get()
                .filter(|refusal| !pending.get() && !matches!(refusal, Refusal::AnotherAccount { .. }))
                .map(|refusal| refusal::view(&refusal, &access))
        }
    };
    let warning = {
        let access = Arc::clone(access);
        move || {
            let (_, label) = access.foreign_shapes.get(foreign.get()?)?;
            Some([
                "This begins like a token of ",
                label,
                ". Here one of ",
                &access.row.provider.name,
                " is needed.",
            ]
            .concat())
        }
    };
    let unsure = move || {
        foreign.get().is_some() || matches!(refused.get(), Some(Refusal::LooksForeign { .. }))
    };
    let sure = {
        let provider = provider.clone();
        move || {
            unsure().then(|| {
                view! {
                    <label class="check">
                        <input type="checkbox" name="sure" value="true"/>
                        <span>"It is the right one: ask " {provider.clone()} " all the same"</span>
                    </label>
                }
            })
        }
    };
    // Where the provider may never have seen the token, the field is not what is wrong.
    let wrong = move || {
        matches!(
            refused.get(),
            Some(refusal) if !matches!(refusal, Refusal::Unreachable | Refusal::RateLimited { .. } | Refusal::AnotherAccount { .. })
        )
    };
    let label = if access.row.token.is_some() { "Replace Token" } else { "Add Token" };
    let look = if access.oauth { "plain" } else { "primary" };
    let fine = access.fine_grained_link.clone().map(|link| {
        view! { " or " {new_tab(link, "one limited to some repositories".into())} }
    });
    let repository = access.repository.clone().map(|repository| {
        view! { <p class="hint">"It must be allowed to push to " <code>{repository}</code> "."</p> }
    });
    let needs = {
        let access = Arc::clone(access);
        move || {
            let refusal = refused.get();
            let missing = match &refusal {
                Some(Refusal::ScopesMissing { missing, .. }) => Some(missing),
                _ => None,
            };
            access
                .needs
                .iter()
                .map(|scope| {
                    let (state, said) = match missing {
                        Some(missing) if missing.contains(scope) => ("missing", "missing: "),
                        Some(_) => ("granted", "granted: "),
                        None => ("", ""),
                    };
                    view! {
                        <li class="scope" data-state=state><span class="sr">{said}</span><code>{scope.clone()}</code></li>
                    }
                })
                .collect_view()
        }
    };
    view! {
        <form method="post" action=AddToken::url() on:submit=move |event| send(add, &event)>
            <input type="hidden" name="runtime" value=access.row.id.clone()/>
            <div class="field">
                <label for="token">"Git Personal Access Token"</label>
                <div class="reveal">
                    <input
                        id="token"
                        name="token"
                        type=move || if shown.get() { "text" } else { "password" }
                        autocomplete="off"
                        autocapitalize="none"
                        spellcheck="false"
                        required
                        data-first
                        aria-describedby="refusal token-needs problem"
                        aria-invalid=move || if wrong() { "true" } else { "false" }
                        on:input=on_input
                    />
                    <button
                        type="button"
                        class="reveal-button"
                        aria-pressed=move || if shown.get() { "true" } else { "false" }
                        aria-controls="token"
                        hidden=move || !script.get()
                        on:click=move |_| shown.update(|shown| *shown = !*shown)
                    >
                        <span class="sr">"Show the token"</span>
                        {icon("eye")}
                    </button>
                </div>
                <p class="notice" role="status" data-tone="warn">{warning}</p>
                <div id="refusal" class="problem" role="alert">{refusal_box}</div>
                {sure}
            </div>
            <div id="token-needs" class="needs">
                <p>"Scopes it needs"</p>
                <ul class="scopes">{needs}</ul>
            </div>
            <p class="hint">
                {new_tab(access.create_link.clone(), ["Make a token at ", &provider].concat())}
                {fine}
                ". The link fills in what it can; the token is shown there only once."
            </p>
            {repository}
            {also(access, "Use it for these as well")}
            <div class="buttons">
                <Submit label=label.into() busy=["Asking ", &provider, "…"].concat() pending=pending look=look/>
            </div>
        </form>
    }
    .into_any()
}

/// Takes the other account's token, or keeps the old one.
fn settle_form(access: &RuntimeAccess, refusal: &Refusal, settle: ServerAction<SettleAccount>) -> AnyView {
    let Refusal::AnotherAccount { before, now } = refusal else { return ().into_any() };
    view! {
        <form class="notice" data-tone="bad" method="post" action=SettleAccount::url() on:submit=move |event| send(settle, &event)>
            <input type="hidden" name="runtime" value=access.row.id.clone()/>
            {refusal::view(refusal, access)}
            <div class="buttons">
                <button class="button" name="take" value="false" data-first>"Keep " {before.clone()}</button>
                <button class="button" name="take" value="true">"Use " {now.clone()}</button>
            </div>
        </form>
    }
    .into_any()
}

/// Moves the focus to what a person came for.
pub(crate) fn focus_first(inside: &web_sys::Element) {
    if let Ok(Some(first)) = inside.query_selector("[data-first]")
        && let Some(first) = first.dyn_ref::<web_sys::HtmlElement>()
    {
        let _ = first.focus();
    }
}
