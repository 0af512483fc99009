//! The page of a runtime for admins of its account: its keys. Plain forms; nothing that runs.

use std::sync::Arc;

use app::{Still, api::person::Visitor, path};
use axum::{
    Extension, Router,
    extract::{Form, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    plain,
    session::{Signed, address_of, request_id},
};
use crate::{
    audit::{Actor, By},
    catalogue::Runtime,
    id::RuntimeId,
    moment::moment,
    runtime_key::{KeyError, NewKey, PREFIX},
    site::Site,
    store::{StoreError, runtime::RuntimeKey},
};

/// Where the page of a runtime is.
pub const ADDRESS: &str = "/admin/runtimes/{runtime}";

const NONE: &str = "There is no such runtime, or you are no admin of its account.";
const MOVED: &str = "The keys have changed meanwhile, so nothing was done. Look at them again.";

/// The page, and what its forms lead to.
pub fn router(site: &Arc<Site>, css: &str) -> Router {
    let page = Page { site: Arc::clone(site), css: css.into() };
    Router::new().route(ADDRESS, get(look)).route(ADDRESS, post(change)).with_state(page)
}

/// What the page is made of.
#[derive(Clone)]
struct Page {
    site: Arc<Site>,
    css: Arc<str>,
}

/// What a form asks for.
#[derive(Deserialize)]
struct Wish {
    /// `create`, `rotate`, `revoke`.
    what: String,
    /// The public id of the key that was the latest when the page was made, or of the one to revoke.
    #[serde(default)]
    key: String,
    /// Not empty once whoever revokes was asked whether they mean it.
    #[serde(default)]
    sure: String,
}

/// What has just been done.
enum Did {
    Nothing,
    Made(NewKey),
    Revoked(String),
    Failed(StatusCode, &'static str),
}

async fn look(
    State(page): State<Page>,
    Path(runtime): Path<String>,
    signed: Option<Extension<Signed>>,
) -> Response {
    let Some(Extension(signed)) = signed else {
        return Redirect::to(&path::sign_in_then(&path::runtime_keys(&runtime))).into_response();
    };
    match page.administered(&signed, &runtime).await {
        Ok(here) => page.show(&here, Did::Nothing).await,
        Err(refused) => refused,
    }
}

async fn change(
    State(page): State<Page>,
    Path(runtime): Path<String>,
    signed: Option<Extension<Signed>>,
    request: Request,
) -> Response {
    let Some(Extension(signed)) = signed else {
        return Redirect::to(&path::sign_in_then(&path::runtime_keys(&runtime))).into_response();
    };
    let here = match page.administered(&signed, &runtime).await {
        Ok(here) => here,
        Err(refused) => return refused,
    };
    let by = page.by(&signed, &request);
    let form = <Form<Wish> as axum::extract::FromRequest<Page>>::from_request(request, &page).await;
    let Ok(Form(wish)) = form else {
        let failed =
            Did::Failed(StatusCode::BAD_REQUEST, "This form was not understood. Nothing was changed.");
        return page.show(&here, failed).await;
    };
    let keys = &page.site.runtime_keys;
    let id = &here.runtime.id;
    let did = match wish.what.as_str() {
        "create" => keys.create(id, &by).await.map(Did::Made),
        "rotate" => keys.rotate(id, Some(&wish.key), &by).await.map(Did::Made),
        "revoke" if wish.sure.is_empty() => return page.ask(&here, &wish.key).await,
        "revoke" => match keys.revoke(id, &wish.key, &by).await {
            Ok(()) => Ok(Did::Revoked(wish.key)),
            // A click too many, or a page that is loaded again: it is as it was asked for.
            Err(error @ KeyError::NoKey { .. }) => match page.is_revoked(id, &wish.key).await {
                Ok(true) => Ok(Did::Revoked(wish.key)),
                Ok(false) => Err(error),
                Err(broken) => Err(broken.into()),
            },
            Err(error) => Err(error),
        },
        _ => Ok(Did::Failed(StatusCode::BAD_REQUEST, "This form was not understood. Nothing was changed.")),
    };
    page.show(&here, did.unwrap_or_else(failed)).await
}

fn failed(error: KeyError) -> Did {
    let (status, sentence) = match &error {
        KeyError::NoRuntime(_) => (StatusCode::NOT_FOUND, "This runtime is no longer declared."),
        KeyError::HasOne(_) | KeyError::HasNone(_) | KeyError::Moved(_) | KeyError::NoKey { .. } => {
            (StatusCode::CONFLICT, MOVED)
        }
        KeyError::Audit(_) | KeyError::Store(_) | KeyError::Entropy(_) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "Keys of a runtime could not be changed");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Gitward could not write it down, so nothing was done. Try again in a minute.",
            )
        }
    };
    Did::Failed(status, sentence)
}

/// An admin at a runtime of the account.
struct Here {
    visitor: Visitor,
    runtime: Runtime,
}

impl Page {
    /// The runtime, if the visitor is an admin of its account. To everybody else it is not there.
    async fn administered(&self, signed: &Signed, runtime: &str) -> Result<Here, Response> {
        let visitor = plain::visitor(&self.site, signed).await;
        let runtimes = match self.site.store.administered(&signed.user.id).await {
            Ok(runtimes) => runtimes,
            Err(error) => return Err(self.broken(&visitor, &error, ().into_any())),
        };
        let id = RuntimeId::from(runtime);
        match runtimes.into_iter().find(|known| known.id == id) {
            Some(runtime) => Ok(Here { visitor, runtime }),
            None => Err(plain::nothing(&self.css, Some(&visitor), NONE)),
        }
    }

    fn by(&self, signed: &Signed, request: &Request) -> By {
        let actor = Actor::User { id: signed.user.id.clone(), name: signed.user.name.clone() };
        let address = address_of(&self.site, request);
        By { actor, request: request_id(request.headers()), address: Some(address) }
    }

    /// Something could not be read. What was done before is said all the same: a new key is shown this one time.
    fn broken(&self, visitor: &Visitor, error: &dyn std::error::Error, said: AnyView) -> Response {
        tracing::error!(%error, "The keys of a runtime could not be read");
        let sentence = "Gitward can't reach its database at the moment. Try again in a minute.";
        let body = view! {
            <div class="narrow"><h1>"Not at the moment"</h1>{said}<p class="lead">{sentence}</p></div>
        };
        let frame = Still { css: &self.css, visitor: Some(visitor), above: &[], here: "Runtime keys" };
        plain::page(StatusCode::SERVICE_UNAVAILABLE, frame, body)
    }

    /// A page below that of the runtime's token.
    fn page(&self, here: &Here, status: StatusCode, name: &str, body: impl IntoView) -> Response {
        let runtime = here.runtime.id.as_str();
        let (access, keys) = (path::runtime(runtime), path::runtime_keys(runtime));
        let above = [(runtime, access.as_str()), ("Runtime keys", keys.as_str())];
        let above = if name == "Runtime keys" { &above[..1] } else { &above[..] };
        plain::page(status, Still { css: &self.css, visitor: Some(&here.visitor), above, here: name }, body)
    }

    /// Asks before a key is revoked: whatever shows it stops working at once, and there is no way back.
    async fn ask(&self, here: &Here, public_id: &str) -> Response {
        let id = &here.runtime.id;
        let keys = match self.site.store.runtime_keys(id).await {
            Ok(keys) => keys,
            Err(error) => return self.broken(&here.visitor, &error, ().into_any()),
        };
        let valid: Vec<&RuntimeKey> = keys.iter().filter(|key| key.revoked_at.is_none()).collect();
        let Some(key) = valid.iter().find(|key| key.public_id == public_id) else {
            return self.show(here, Did::Failed(StatusCode::CONFLICT, MOVED)).await;
        };
        let last = (valid.len() == 1).then(|| {
            view! { <li>"It is the only valid key: the runtime fetches nothing until it has another one."</li> }
        });
        let action = path::runtime_keys(id.as_str());
        let body = view! {
            <div class="narrow">
                <div class="access sheet padded">
                    <h1>"Revoke this key?"</h1>
                    <p class="lead"><code>{shown(key)}</code>" of "<b>{id.to_string()}</b></p>
                    <ul class="facts">
                        <li>"Whatever uses it gets no tokens any more, at once and for good."</li>
                        <li>{["It was ", &self.used(key), "."].concat()}</li>
                        {last}
                    </ul>
                    <form method="post" action=action.clone()>
                        <input type="hidden" name="key" value=key.public_id.clone()/>
                        <input type="hidden" name="sure" value="yes"/>
                        <div class="buttons">
                            <a class="button" href=action.clone()>"Cancel"</a>
                            <button class="button" data-look="danger" name="what" value="revoke">"Revoke key"</button>
                        </div>
                    </form>
                </div>
            </div>
        };
        self.page(here, StatusCode::OK, "Revoke", body)
    }

    async fn is_revoked(&self, runtime: &RuntimeId, public_id: &str) -> Result<bool, StoreError> {
        let keys = self.site.store.runtime_keys(runtime).await?;
        Ok(keys.iter().any(|key| key.public_id == public_id && key.revoked_at.is_some()))
    }

    fn used(&self, key: &RuntimeKey) -> String {
        match key.used_at {
            Some(at) => ["last used ", &moment(at, self.site.clock.now()).relative].concat(),
            None => "never used".to_owned(),
        }
    }

    async fn show(&self, here: &Here, did: Did) -> Response {
        let runtime = &here.runtime;
        let keys = match self.site.store.runtime_keys(&runtime.id).await {
            Ok(keys) => keys,
            Err(error) => return self.broken(&here.visitor, &error, said(did)),
        };
        // When they were last used, the last second included, matters little: whoever looks looks again.
        let status = if let Did::Failed(status, _) = &did { *status } else { StatusCode::OK };
        let latest = keys.iter().find(|key| key.revoked_at.is_none()).map(|key| key.public_id.clone());
        let action = path::runtime_keys(runtime.id.as_str());
        let rows = keys.iter().map(|key| self.row(key, &action)).collect_view();
        let form = match latest {
            None => view! {
                <form class="sheet padded" method="post" action=action.clone()>
                    <p>"There is no valid key: this runtime can fetch nothing."</p>
                    <button class="button" data-look="primary" name="what" value="create">"Create key"</button>
                </form>
            }
            .into_any(),
            Some(latest) => view! {
                <form class="sheet padded" method="post" action=action.clone()>
                    <p>
                        "Rotating makes a new key. The latest one stays valid until you revoke it or rotate again; \
                         older ones end now."
                    </p>
                    <input type="hidden" name="key" value=latest/>
                    <button class="button" data-look="primary" name="what" value="rotate">"Rotate key"</button>
                </form>
            }
            .into_any(),
        };
        let keys = (!keys.is_empty()).then(|| view! { <h2>"Keys"</h2><ul class="keys">{rows}</ul> });
        let body = view! {
            <div class="narrow runtime-keys">
                <h1>{[runtime.id.as_str(), ": runtime keys"].concat()}</h1>
                <p class="lead">"With a key, this runtime fetches the tokens that its users gave for it, and no others."</p>
                {said(did)}
                {keys}
                {form}
                <p class="links">
                    <a href=crate::wire::DOCS>"How a runtime uses it"</a>
                    <a href=path::account_audit(runtime.account.as_str())>"Audit log of the account"</a>
                </p>
            </div>
        };
        self.page(here, status, "Runtime keys", body)
    }

    fn row(&self, key: &RuntimeKey, action: &str) -> AnyView {
        let now = self.site.clock.now();
        let made = moment(key.created_at, now);
        let used = self.used(key);
        let state = match key.revoked_at {
            Some(at) => ["revoked ", &moment(at, now).relative].concat(),
            None => "valid".to_owned(),
        };
        let revoke = key.revoked_at.is_none().then(|| {
            view! {
                <form method="post" action=action.to_owned()>
                    <input type="hidden" name="key" value=key.public_id.clone()/>
                    <button
                        class="button"
                        data-look="danger"
                        name="what"
                        value="revoke"
                        aria-label=["Revoke key ", &key.public_id].concat()
                    >
                        "Revoke …"
                    </button>
                </form>
            }
        });
        view! {
            <li class="sheet padded">
                <p>
                    <code>{shown(key)}</code>
                    <br/>
                    {[state.as_str(), " · made ", &made.relative, " · ", &used].concat()}
                </p>
                {revoke}
            </li>
        }
        .into_any()
    }
}

/// As people know it again.
fn shown(key: &RuntimeKey) -> String {
    [PREFIX, &key.public_id, "_…"].concat()
}

/// What has just been done, for all to hear. The one time that a key is shown.
fn said(did: Did) -> AnyView {
    match did {
        Did::Nothing => ().into_any(),
        Did::Revoked(public_id) => {
            view! { <p class="said" role="status">{["Revoked ", &public_id, ": it opens nothing any more."].concat()}</p> }
                .into_any()
        }
        Did::Failed(_, sentence) => view! { <p class="problem" role="alert">{sentence}</p> }.into_any(),
        Did::Made(new) => view! {
            <section class="sheet padded" role="status">
                <h2>"The new key"</h2>
                <p>"Copy it now: it is shown this one time."</p>
                <p><code class="key">{new.text.expose().to_owned()}</code></p>
            </section>
        }
        .into_any(),
    }
}
