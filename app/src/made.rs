//! HTML that only the server makes. The browser gets it whole, with the page or when it asks for it, and knows nothing
//! of rows, states and reasons: that keeps what it downloads small, and sends everything once.
//! [`component::live`](crate::component::live) makes the forms inside work without loading a page.

pub(crate) mod access;
pub(crate) mod course;
pub(crate) mod delete;
pub(crate) mod detail;
pub(crate) mod form;
pub(crate) mod health;
pub(crate) mod home;
pub(crate) mod notice_settings;
pub(crate) mod notices;
pub(crate) mod once;
pub(crate) mod password;
pub(crate) mod refusal;
pub(crate) mod revocation;
pub(crate) mod sign_in;
pub(crate) mod table;

use leptos::prelude::*;

use crate::{
    api::{backend, part::Part, token::TokenQuery},
    error::ApiError,
};

/// The HTML of a part.
pub(crate) async fn part(part: Part, id: String) -> Result<String, ApiError> {
    let backend = backend()?;
    Ok(match part {
        Part::Home => {
            let name = backend.visitor().await?.name;
            let page = backend.token_page(TokenQuery { page: 1, ..TokenQuery::default() }).await?;
            home::html(&name, page.counts)
        }
        Part::Runtime => {
            let access = backend.runtime_access(id.clone()).await?;
            let course = course::html(&access, &backend.course(id).await?);
            [access::html(&access, false).as_str(), "<div id=\"course\">", &course, "</div>"].concat()
        }
        Part::Course => {
            let access = backend.runtime_access(id.clone()).await?;
            course::html(&access, &backend.course(id).await?)
        }
        Part::Notices => notices::html(&backend.notices(id.parse().ok()).await?),
        Part::NoticeSettings => notice_settings::html(&backend.notice_settings().await?),
        Part::Confirm => {
            backend.visitor().await?;
            notice_settings::confirm(id)
        }
        Part::AccessDialog => access::html(&backend.runtime_access(id).await?, true),
        Part::Delete | Part::DeleteDialog => {
            let access = backend.runtime_access(id).await?;
            if access.row.token.is_none() {
                return Err(ApiError::TokenGone);
            }
            delete::html(access, part == Part::DeleteDialog)
        }
        Part::SignIn => sign_in::html(id),
        Part::Password => {
            backend.visitor().await?;
            password::html(&id)
        }
        Part::Once => once::html(id.clone(), backend.one_time_link(id).await?),
    })
}

/// Names in a row: `a`, `a and b`, `a, b and c`.
fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => [&first.join(", "), " and ", last].concat(),
    }
}

/// A thing with its article, by how it sounds: `a personal access token`, `an API token`, `an HTTP access token`.
fn one(thing: &str) -> String {
    let mut letters = thing.chars();
    let first = letters.next().unwrap_or_default();
    // Initials are spelled out: "aitch".
    let spelled = first.is_ascii_uppercase() && letters.next().is_some_and(|next| next.is_ascii_uppercase());
    let vowels = if spelled { "AEFHILMNORSX" } else { "AEIOUaeiou" };
    let article = if vowels.contains(first) { "an " } else { "a " };
    [article, thing].concat()
}

/// Words of code in a row, each as `<code>`.
fn codes(words: &[String]) -> AnyView {
    let last = words.len().saturating_sub(1);
    words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            let before = if at == 0 {
                None
            } else if at == last {
                Some(" and ")
            } else {
                Some(", ")
            };
            view! { {before}<code>{word.clone()}</code> }
        })
        .collect_view()
        .into_any()
}

#[cfg(test)]
mod tests {
    use super::one;

    #[test]
    fn the_article_follows_the_sound() {
        for (thing, said) in [
            ("personal access token", "a personal access token"),
            ("access token", "an access token"),
            ("API token", "an API token"),
            ("HTTP access token", "an HTTP access token"),
            ("URL", "a URL"),
            ("Token", "a Token"),
            ("", "a "),
        ] {
            assert_eq!(one(thing), said);
        }
    }
}
