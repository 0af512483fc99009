//! One runtime: the same as the dialog, and all that is known.

use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use crate::{
    api::{
        light::Light,
        token::{load_access, load_detail},
    },
    component::{
        access::{AccessForm, Done},
        icon,
        problem::{self, Problem},
    },
    path,
};

/// The page of one runtime.
#[component]
pub fn RuntimePage() -> impl IntoView {
    let runtime = super::param("runtime");
    let access = Resource::new(move || runtime.get(), load_access);
    let detail = Resource::<_, Light>::new_with_options(move || runtime.get(), load_detail, false);
    let navigate = use_navigate();
    let done = Callback::new(move |done: Done| {
        navigate(&path::row(done.did, &done.runtime), Default::default());
    });
    view! {
        <div class="narrow">
            <Suspense>
                {move || Suspend::new(async move {
                    match access.await {
                        Ok(access) => view! {
                            <a class="back" href=path::TOKENS>{icon("back")} "All runtimes"</a>
                            <div class="sheet padded">
                                <AccessForm access=access done=done in_dialog=false/>
                            </div>
                        }
                        .into_any(),
                        Err(error) => view! { <Problem error=error/> }.into_any(),
                    }
                })}
                {move || Suspend::new(async move {
                    match detail.await {
                        Ok(html) => view! { <div class="sheet padded" inner_html=html.0></div> }.into_any(),
                        Err(error) => problem::quietly(error),
                    }
                })}
            </Suspense>
        </div>
    }
}
