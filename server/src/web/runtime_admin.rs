//! The page of a runtime for admins of its account: its keys. Plain forms; nothing that runs.

use std::sync::Arc;

use app::path;
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
    store::runtime::RuntimeKey,
};

/// Where the page of a runtime is.
pub const ADDRESS: &str = "/admin/runtimes/{runtime}";

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
        Ok(Some(runtime)) => page.show(&runtime, Did::Nothing).await,
        Ok(None) => page.nothing(),
        Err(broken) => broken,
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
    let runtime = match page.administered(&signed, &runtime).await {
        Ok(Some(runtime)) => runtime,
        Ok(None) => return page.nothing(),
        Err(broken) => return broken,
    };
    let by = page.by(&signed, &request);
    let form = <Form<Wish> as axum::extract::FromRequest<Page>>::from_request(request, &page).await;
    let Ok(Form(wish)) = form else {
        let failed =
            Did::Failed(StatusCode::BAD_REQUEST, "This form was not understood. Nothing was changed.");
        return page.show(&runtime, failed).await;
    };
    let keys = &page.site.runtime_keys;
    let id = &runtime.id;
    let did = match wish.what.as_str() {
        "create" => keys.create(id, &by).await.map(Did::Made),
        "rotate" => keys.rotate(id, Some(&wish.key), &by).await.map(Did::Made),
        "revoke" => keys.revoke(id, &wish.key, &by).await.map(|()| Did::Revoked(wish.key)),
        _ => Ok(Did::Failed(StatusCode::BAD_REQUEST, "This form was not understood. Nothing was changed.")),
    };
    page.show(&runtime, did.unwrap_or_else(failed)).await
}

fn failed(error: KeyError) -> Did {
    let (status, sentence) = match &error {
        KeyError::NoRuntime(_) => (StatusCode::NOT_FOUND, "This runtime is no longer declared."),
        KeyError::HasOne(_) | KeyError::HasNone(_) | KeyError::Moved(_) | KeyError::NoKey { .. } => (
            StatusCode::CONFLICT,
            "The keys have changed meanwhile, so nothing was done. Look at them again.",
        ),
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

impl Page {
    /// The runtime, if the visitor is an admin of its account. To everybody else it is not there.
    async fn administered(&self, signed: &Signed, runtime: &str) -> Result<Option<Runtime>, Response> {
        let runtimes = self.site.store.administered(&signed.user.id).await;
        let runtimes = runtimes.map_err(|error| self.broken(&error, ().into_any()))?;
        let id = RuntimeId::from(runtime);
        Ok(runtimes.into_iter().find(|known| known.id == id))
    }

    fn by(&self, signed: &Signed, request: &Request) -> By {
        let actor = Actor::User { id: signed.user.id.clone(), name: signed.user.name.clone() };
        let address = address_of(&self.site, request);
        By { actor, request: request_id(request.headers()), address: Some(address) }
    }

    /// Something could not be read. What was done before is said all the same: a new key is shown this one time.
    fn broken(&self, error: &dyn std::error::Error, said: AnyView) -> Response {
        tracing::error!(%error, "The keys of a runtime could not be read");
        let sentence = "Gitward can't reach its database at the moment. Try again in a minute.";
        let body = view! {
            <div class="narrow"><h1>"Not at the moment"</h1>{said}<p class="lead">{sentence}</p></div>
        };
        plain::page(StatusCode::SERVICE_UNAVAILABLE, &self.css, "Runtime keys", body)
    }

    fn nothing(&self) -> Response {
        let body = view! {
            <div class="narrow">
                <h1>"Nothing here"</h1>
                <p class="lead">"There is no such runtime, or you are no admin of its account."</p>
                <p class="links"><a href=path::TOKENS>"To your runtimes"</a></p>
            </div>
        };
        plain::page(StatusCode::NOT_FOUND, &self.css, "Nothing here", body)
    }

    async fn show(&self, runtime: &Runtime, did: Did) -> Response {
        let keys = match self.site.store.runtime_keys(&runtime.id).await {
            Ok(keys) => keys,
            Err(error) => return self.broken(&error, said(did)),
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
        plain::page(status, &self.css, "Runtime keys", body)
    }

    fn row(&self, key: &RuntimeKey, action: &str) -> AnyView {
        let now = self.site.clock.now();
        let made = moment(key.created_at, now);
        let used = match key.used_at {
            Some(at) => ["last used ", &moment(at, now).relative].concat(),
            None => "never used".to_owned(),
        };
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
                        "Revoke"
                    </button>
                </form>
            }
        });
        view! {
            <li class="sheet padded">
                <p>
                    <code>{[PREFIX, &key.public_id, "_…"].concat()}</code>
                    <br/>
                    {[state.as_str(), " · made ", &made.relative, " · ", &used].concat()}
                </p>
                {revoke}
            </li>
        }
        .into_any()
    }
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
