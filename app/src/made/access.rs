//! Authorizing one runtime: through the provider's own page, with a token that is already there, or with a new one.
//! The same in the dialog and on a page of its own.

use leptos::{prelude::*, server_fn::ServerFn};

use super::{
    and,
    form::{error, submit},
    refusal::{self, new_tab},
};
use crate::{
    api::token::{AddToken, AlsoRuntime, Health, Refusal, ReuseToken, RuntimeAccess, SettleAccount},
    component::icon,
    path,
};

/// The view of one runtime's access.
pub(super) fn html(access: &RuntimeAccess, in_dialog: bool) -> String {
    let refusal = current_refusal(access);
    let name = access.row.name.clone();
    let title = if in_dialog {
        view! { <h2 id="dialog-title">{name} " Git provider access"</h2> }.into_any()
    } else {
        view! { <h1>{name} " Git provider access"</h1> }.into_any()
    };
    let quick = access.oauth || !access.reusable.is_empty();
    let paste = paste_form(access, refusal.as_ref());
    let paste = if quick {
        let open = !access.oauth || refusal.is_some() || error().is_some();
        view! {
            <details class="access-more" open=open>
                <summary>"Advanced authorization options"</summary>
                <div class="access-paste">{paste}</div>
            </details>
        }
        .into_any()
    } else {
        view! { <div class="access-paste">{paste}</div> }.into_any()
    };
    let way =
        if access.oauth { "Authorize it, or give it a token of yours." } else { "Give it a token of yours." };
    let in_use = access.row.token.as_ref().map(|token| {
        let (kind, login) = (token.kind.clone(), token.login.clone());
        view! { <p class="hint">"In use: " {kind} " of " {login} ". It serves until a new one has passed."</p> }
    });
    let back = (!in_dialog).then(|| {
        view! { <a class="back" href=path::TOKENS>{icon("back")} "All runtimes"</a> }
    });
    view! {
        {back}
        <div class=if in_dialog { "access" } else { "access sheet padded" }>
            {title}
            <p class="lead">
                "This runtime works at " {access.row.provider.name.clone()} " (" {access.row.provider.host.clone()}
                ") in your name: it reads, commits and opens requests there. " {way}
            </p>
            {in_use}
            {refusal.as_ref().and_then(|refusal| settle_form(access, refusal))}
            {quick.then(|| quick_form(access))}
            {paste}
        </div>
    }
    .to_html()
}

/// A decision that is still open counts as a refusal, however the row came by it.
fn current_refusal(access: &RuntimeAccess) -> Option<Refusal> {
    match (&access.refusal, &access.row.health) {
        (None, Health::AnotherAccount { before, now }) => {
            Some(Refusal::AnotherAccount { before: before.clone(), now: now.clone() })
        }
        (refusal, _) => refusal.clone(),
    }
}

/// Without a token at hand: the provider's own page, or a token that already serves another runtime. One form, because
/// the boxes for further runtimes count for both. Where there is no such page, the boxes below the field are enough.
fn quick_form(access: &RuntimeAccess) -> AnyView {
    let reuse = ReuseToken::url();
    let place = if access.oauth { path::connect(&access.row.id) } else { reuse.to_owned() };
    let reusable = access
        .reusable
        .iter()
        .map(|one| {
            view! {
                <button class="button reuse" name="credential" value=one.credential.clone() formaction=reuse>
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
                "Authorize Access to " {access.row.provider.name.clone()}
            </button>
        }
    });
    view! {
        <form class="access-quick" method="post" action=place>
            <input type="hidden" name="runtime" value=access.row.id.clone()/>
            {reusable}
            {authorize}
            {access.oauth.then(|| also(access, "Authorize these in the same step"))}
            // A grant is renewed in its place: there is no old one then.
            {access.revoking.as_ref().filter(|revoking| !revoking.usual).and_then(|_| revoke_box(access))}
        </form>
    }
    .into_any()
}

/// Boxes for further runtimes: those that share the token which is replaced, and those that have none.
fn also(access: &RuntimeAccess, legend: &'static str) -> AnyView {
    let (sharing, without): (Vec<&AlsoRuntime>, Vec<_>) = access.also.iter().partition(|one| one.shares);
    view! { {boxes(&sharing, "Replace it for these as well")} {boxes(&without, legend)} }.into_any()
}

fn boxes(runtimes: &[&AlsoRuntime], legend: &'static str) -> Option<AnyView> {
    (!runtimes.is_empty()).then(|| {
        let boxes = runtimes
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

/// What is to become of the token that is replaced.
fn revoke_box(access: &RuntimeAccess) -> Option<AnyView> {
    let revoking = access.revoking.as_ref().filter(|revoking| revoking.possible)?;
    Some(
        view! {
            <label class="check">
                <input type="checkbox" name="revoke" value="true" checked=revoking.usual/>
                <span>
                    "Also revoke the old token at " {access.row.provider.name.clone()}
                    <small>"Once the new one is in use, and no runtime uses the old one any more."</small>
                </span>
            </label>
        }
        .into_any(),
    )
}

/// What the label of the field says; where the provider has another word, that stands below it.
const USUAL_WORD: &str = "personal access token";

/// The field for a token and all that helps to fill it.
fn paste_form(access: &RuntimeAccess, refusal: Option<&Refusal>) -> AnyView {
    let provider = &access.row.provider.name;
    let refusal = refusal.filter(|refusal| !matches!(refusal, Refusal::AnotherAccount { .. }));
    // Where the provider may never have seen the token, the field is not what is wrong.
    let wrong = error().is_some_and(|error| error.blames("token"))
        || refusal.is_some_and(|refusal| {
            !matches!(refusal, Refusal::Unreachable | Refusal::Blocked { .. } | Refusal::RateLimited { .. })
        });
    let foreign = matches!(refusal, Some(Refusal::LooksForeign { .. }));
    let warnings = access
        .foreign_shapes
        .iter()
        .map(|(start, label)| {
            view! {
                <p class="notice" data-start=start.clone() hidden>
                    "This begins like a token of " {label.clone()} ". Here one of " {provider.clone()} " is needed."
                </p>
            }
        })
        .collect_view();
    let label = if access.row.token.is_some() { "Replace Token" } else { "Add Token" };
    let look = if access.oauth { "plain" } else { "primary" };
    let limited = access
        .guide
        .limited_link
        .clone()
        .map(|link| view! { " or " {new_tab(link, "one limited to some repositories".into())} });
    let word = &access.guide.token_word;
    let own_word = (word != USUAL_WORD).then(|| {
        view! { <p class="hint" id="token-word">{provider.clone()} " calls it " <b>{word.clone()}</b> "."</p> }
    });
    let repository = access.repository.clone().map(|repository| {
        view! { <p class="hint">"It must be allowed to push to " <code>{repository}</code> "."</p> }
    });
    view! {
        <form method="post" action=AddToken::url()>
            <input type="hidden" name="runtime" value=access.row.id.clone()/>
            {user_name_field(access)}
            <div class="field">
                <label for="token">"Git Personal Access Token"</label>
                {own_word}
                <div class="reveal">
                    <input
                        id="token"
                        name="token"
                        type="password"
                        autocomplete="off"
                        autocapitalize="none"
                        spellcheck="false"
                        required
                        data-first
                        aria-describedby="token-word refusal token-needs problem"
                        aria-invalid=wrong.then_some("true")
                    />
                    <button type="button" class="reveal-button" aria-pressed="false" aria-controls="token">
                        <span class="sr">"Show the token"</span>
                        {icon("eye")}
                    </button>
                </div>
                <div role="status">{warnings}</div>
                <div id="refusal" class="problem" role="alert">
                    {refusal.map(|refusal| refusal::view(refusal, access))}
                </div>
                <label class="check" data-sure hidden=!foreign>
                    <input type="checkbox" name="sure" value="true"/>
                    <span>"It is the right one: ask " {provider.clone()} " all the same"</span>
                </label>
            </div>
            <div id="token-needs" class="needs">
                <p>"Scopes it needs"</p>
                <ul class="scopes">{scopes(access, refusal)}</ul>
            </div>
            <p class="hint">
                {new_tab(access.guide.link.clone(), ["Make a token at ", provider].concat())}
                {limited}
                {if access.guide.prefilled { ". The link fills in what it can; the" } else { ". The" }}
                " token is shown there only once."
            </p>
            <details class="guide">
                <summary>"Step by step"</summary>
                <ol>{access.guide.steps.iter().map(|step| view! { <li>{step.clone()}</li> }).collect_view()}</ol>
            </details>
            {repository}
            {end_field(access)}
            {also(access, "Use it for these as well")}
            {revoke_box(access)}
            <div class="buttons">{submit(label.into(), ["Asking ", provider, "…"].concat(), look)}</div>
        </form>
    }
    .into_any()
}

/// The user name that goes with the token, where the provider wants one.
fn user_name_field(access: &RuntimeAccess) -> Option<AnyView> {
    let field = access.guide.user_name.clone()?;
    // Without it the provider can't know the token, and which of the two was wrong it does not tell.
    let unknown = access.user_name.is_empty() && matches!(access.refusal, Some(Refusal::Unknown));
    let wrong = unknown || error().is_some_and(|error| error.blames("user_name"));
    let optional = field.optional.then_some(" (for some tokens)");
    Some(
        view! {
            <div class="field">
                <label for="user_name">{field.label} {optional}</label>
                <input
                    id="user_name"
                    name="user_name"
                    type=if field.email { "email" } else { "text" }
                    value=access.user_name.clone()
                    autocomplete=if field.email { "email" } else { "username" }
                    autocapitalize="none"
                    spellcheck="false"
                    maxlength="254"
                    required=!field.optional
                    aria-describedby="user_name-hint problem"
                    aria-invalid=wrong.then_some("true")
                />
                <p class="hint" id="user_name-hint">{field.hint}</p>
            </div>
        }
        .into_any(),
    )
}

/// The day on which the token ends, where only the user can know.
fn end_field(access: &RuntimeAccess) -> Option<AnyView> {
    let wrong = error().is_some_and(|error| error.blames("end"));
    access.guide.asks_end.then(|| {
        view! {
            <div class="field">
                <label for="end">"Ends on (optional)"</label>
                <input
                    id="end"
                    name="end"
                    type="date"
                    value=access.end.clone()
                    aria-describedby="end-hint problem"
                    aria-invalid=wrong.then_some("true")
                />
                <p class="hint" id="end-hint">
                    {access.row.provider.name.clone()} " does not say when a token ends. Choose the day that you set there, and the list reminds you."
                </p>
            </div>
        }
        .into_any()
    })
}

/// The scopes that a token needs and, after a refusal for their sake, which of them it had. Not that where tokens of
/// another kind than is asked for have other words for the same.
fn scopes(access: &RuntimeAccess, refusal: Option<&Refusal>) -> AnyView {
    let missing = match refusal {
        Some(Refusal::ScopesMissing { missing, .. }) => Some(missing),
        _ => None,
    };
    let missing = missing.filter(|missing| missing.iter().all(|scope| access.needs.contains(scope)));
    access
        .needs
        .iter()
        .map(|scope| {
            let (state, said) = match missing {
                Some(missing) if missing.contains(scope) => (Some("missing"), Some("missing: ")),
                Some(_) => (Some("granted"), Some("granted: ")),
                None => (None, None),
            };
            let said = said.map(|said| view! { <span class="sr">{said}</span> });
            view! { <li class="scope" data-state=state>{said}<code>{scope.clone()}</code></li> }
        })
        .collect_view()
        .into_any()
}

/// Takes the other account's token, or keeps the old one.
fn settle_form(access: &RuntimeAccess, refusal: &Refusal) -> Option<AnyView> {
    let Refusal::AnotherAccount { before, now } = refusal else { return None };
    let form = view! {
        <form class="notice" data-tone="bad" method="post" action=SettleAccount::url()>
            <input type="hidden" name="runtime" value=access.row.id.clone()/>
            {refusal::view(refusal, access)}
            <div class="buttons">
                <button class="button" name="take" value="false" data-first>"Keep " {before.clone()}</button>
                <button class="button" name="take" value="true">"Use " {now.clone()}</button>
            </div>
        </form>
    };
    Some(form.into_any())
}
