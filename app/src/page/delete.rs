//! Asks before a token is deleted.

use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use crate::{
    api::token::load_access,
    component::{
        access::Done,
        delete::DeleteForm,
        problem::Problem,
    },
    error::ApiError,
    path,
};

/// The page that asks.
#[component]
pub fn DeletePage() -> impl IntoView {
    let runtime = super::param("runtime");
    let access = Resource::new(move || runtime.get(), load_access);
    let navigate = use_navigate();
    let done = Callback::new(move |done: Done| {
        navigate(&path::row(done.did, &done.runtime), Default::default());
    });
    view! {
        <div class="narrow">
            <Suspense>
                {move || Suspend::new(async move {
                    match access.await {
                        Ok(access) if access.row.token.is_none() => {
                            view! { <Problem error=ApiError::TokenGone/> }.into_any()
                        }
                        Ok(access) => view! {
                            <div class="sheet padded">
                                <DeleteForm access=access done=done cancel=None/>
                            </div>
                        }
                        .into_any(),
                        Err(error) => view! { <Problem error=error/> }.into_any(),
                    }
                })}
            </Suspense>
        </div>
    }
}
