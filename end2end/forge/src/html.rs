//! The frame of all pages, and the words and fields they share.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::response::{Html, IntoResponse, Response};

use crate::host::{Host, Person};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8886}\
body{margin:0 auto;max-width:46rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif}\
header{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:baseline;border-bottom:3px double var(--line);padding-bottom:.5rem}\
header strong{margin-right:auto}nav{display:flex;flex-wrap:wrap;gap:1rem;align-items:baseline}form{margin:.5rem 0}\
label{display:block;margin:.4rem 0}label.field input,label.field select,#new-token{display:block;width:100%;box-sizing:border-box;padding:.4rem;font:inherit}\
fieldset{border:1px solid var(--line);margin:1rem 0}article{border:1px solid var(--line);padding:0 1rem;margin:1rem 0}\
button{font:inherit;padding:.3rem .9rem;margin:.2rem .4rem .2rem 0}.inline{display:inline}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dd{margin:0;overflow-wrap:anywhere}\
[role=alert]{border-left:4px solid #c33;padding:.5rem 1rem}[role=status]{border-left:4px solid #393;padding:.5rem 1rem}";

/// Text as HTML shows it, also inside a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A whole page. `main` is HTML, `title` is text.
pub fn page(host: &Host, title: &str, person: Option<&Person>, main: &str) -> Response {
    let title = escape(title);
    let account = match person {
        Some(person) => format!(
            "<span>Signed in as <b>{}</b></span><a href=\"{}\">Tokens</a><a href=\"{}\">Sign out</a>",
            escape(&person.login),
            host.path(host.dialect().token_page().list),
            host.path("/logout"),
        ),
        None => format!("<a href=\"{}\">Sign in</a>", host.path("/login")),
    };
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Forge, a simulated Git host</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><strong>Forge, a simulated Git host</strong><nav aria-label=\"Account\">{account}\
         <a href=\"/_forge\">Control room</a></nav></header>\n\
         <main>\n<h1>{title}</h1>\n{main}\n</main>\n</body>\n</html>\n"
    );
    let headers = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "same-origin"), (X_FRAME_OPTIONS, "DENY")];
    (headers, Html(html)).into_response()
}

/// A page that says what went wrong.
pub fn problem(host: &Host, status: StatusCode, title: &str, sentence: &str) -> Response {
    (status, page(host, title, None, &format!("<p role=\"alert\">{}</p>", escape(sentence)))).into_response()
}

/// A labelled line to type in.
pub fn field(label: &str, name: &str, value: &str, attributes: &str) -> String {
    format!(
        "<label class=\"field\">{} <input name=\"{}\" value=\"{}\" {attributes}></label>\n",
        escape(label),
        escape(name),
        escape(value)
    )
}

/// A labelled box to tick.
pub fn checkbox(label: &str, name: &str, value: &str, checked: bool) -> String {
    let checked = if checked { " checked" } else { "" };
    format!(
        "<label><input type=\"checkbox\" name=\"{}\" value=\"{}\"{checked}> {}</label>\n",
        escape(name),
        escape(value),
        escape(label)
    )
}

/// A labelled choice; options are value and label.
pub fn select(label: &str, name: &str, options: &[(&str, &str)], chosen: &str) -> String {
    let mut html = format!("<label class=\"field\">{} <select name=\"{}\">", escape(label), escape(name));
    for (value, shown) in options {
        let selected = if *value == chosen { " selected" } else { "" };
        let _ = write!(html, "<option value=\"{}\"{selected}>{}</option>", escape(value), escape(shown));
    }
    html.push_str("</select></label>\n");
    html
}

/// A value that a form carries along.
pub fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
}

/// A form with a single button.
pub fn button(action: &str, label: &str, fields: &str) -> String {
    format!(
        "<form class=\"inline\" method=\"post\" action=\"{}\">{fields}<button>{}</button></form>\n",
        escape(action),
        escape(label)
    )
}
