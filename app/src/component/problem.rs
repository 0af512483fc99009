//! An error in place of what it kept from being shown.

use leptos::prelude::*;

use crate::{
    api::part::Part,
    component::live::{error_in_address, go_to_sign_in},
    error::ApiError,
    path,
};

/// Gives the response its status, or leads to the sign-in page.
#[cfg(feature = "ssr")]
pub(crate) fn answer(error: ApiError) {
    match (error, use_context::<http::request::Parts>()) {
        (ApiError::SignInNeeded, Some(parts)) => {
            let place = parts.uri.path_and_query().map_or(path::HOME, |place| place.as_str());
            leptos_axum::redirect(&path::sign_in_then(place));
        }
        _ => crate::api::set_status(error.status()),
    }
}

/// For a part of a page that is missing because of an error which another part shows.
pub(crate) fn quietly(error: ApiError) -> AnyView {
    #[cfg(feature = "ssr")]
    answer(error);
    let _ = error;
    ().into_any()
}

/// What happened and what to do.
#[component]
pub fn Problem(
    /// What happened.
    error: ApiError,
    /// What it stands for: a page or a dialog, which have lost their titles, or something below a title.
    #[prop(optional)]
    part: Option<Part>,
) -> impl IntoView {
    #[cfg(feature = "ssr")]
    answer(error);
    if error == ApiError::SignInNeeded {
        go_to_sign_in();
    }
    let title = match error {
        ApiError::SignInNeeded => "Please sign in",
        ApiError::NotFound => "Not here",
        ApiError::LinkSpent => "This link is no longer good",
        ApiError::Offline => "No connection",
        _ => "That did not work",
    };
    let way_out = match error {
        ApiError::SignInNeeded => {
            view! { <a class="button" data-look="primary" href=path::SIGN_IN>"Sign in"</a> }.into_any()
        }
        ApiError::LinkSpent => {
            view! { <a class="button" href=path::SIGN_IN>"Go to the sign-in page"</a> }.into_any()
        }
        ApiError::NotFound => {
            view! { <a class="button" data-look="primary" href=path::TOKENS>"Back to the list"</a> }
                .into_any()
        }
        // Loads the page anew, also where the router would think that it is already there.
        _ => view! { <a class="button" data-look="primary" href="" rel="external">"Reload the page"</a> }
            .into_any(),
    };
    let title = match part {
        None => view! { <h2>{title}</h2> }.into_any(),
        Some(part) if part.is_dialog() => view! { <h2 id="dialog-title">{title}</h2> }.into_any(),
        Some(_) => view! { <h1>{title}</h1> }.into_any(),
    };
    // The form that led here met the same error, and says so above.
    let said = error_in_address() == Some(error);
    view! {
        <section class="empty" role=(!said).then_some("alert")>
            {title}
            {(!said).then(|| view! { <p>{error.sentence()}</p> })}
            {way_out}
        </section>
    }
    .into_any()
}
