//! To the provider's sign-in, and back from it: the only `GET` that changes something.

use std::{collections::HashMap, sync::Arc};

use app::{api::token::OauthProblem, path};
use axum::{
    Extension,
    extract::{Path, RawForm, RawQuery, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
};

use crate::{
    backend::Visit,
    id::{ProviderId, RuntimeId},
    login::{Callback, Outcome, StartError},
    secret::Secret,
    site::Site,
    web::session::Signed,
};

/// Forwarding needs no script and no form, so nothing else is allowed on that page.
const FORWARDING_POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `POST /connect/{runtime}`: begins an authorization and answers with a page of ours that forwards. A redirect would
/// not arrive: browsers apply `form-action` to redirects after a form.
pub async fn start(
    State(site): State<Arc<Site>>,
    Path(runtime): Path<String>,
    signed: Option<Extension<Signed>>,
    RawForm(form): RawForm,
) -> Response {
    let runtime = RuntimeId(runtime);
    let Some(Extension(signed)) = signed else {
        return Redirect::to(&path::sign_in_then(&page(&runtime))).into_response();
    };
    let revoke = url::form_urlencoded::parse(&form).any(|(key, value)| key == "revoke" && value == "true");
    let also = url::form_urlencoded::parse(&form)
        .filter(|(key, _)| key.starts_with("also["))
        .map(|(_, value)| RuntimeId(value.into_owned()))
        .collect();
    match site.logins.start(&signed.user.id, &signed.session.id, &runtime, also, revoke).await {
        Ok(started) => forward(&started.provider, started.url.as_str()),
        Err(StartError::NotFound) => Redirect::to(&page(&runtime)).into_response(),
        Err(StartError::NotOffered) => problem(OauthProblem::NotSetUp, Some(&runtime)),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "An authorization could not begin");
            problem(OauthProblem::Internal, Some(&runtime))
        }
    }
}

/// `GET /callback/{provider}`: finishes an authorization and leads to the list, whatever came.
pub async fn finish(
    State(site): State<Arc<Site>>,
    Path(provider): Path<String>,
    signed: Option<Extension<Signed>>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let Some(Extension(signed)) = signed else {
        // Only who began it may finish it. Signing in again is a new session, so this attempt is lost either way.
        let place = format!("{}?problem={}", path::TOKENS, OauthProblem::NotYours.word());
        return Redirect::to(&path::sign_in_then(&place)).into_response();
    };
    let query = query.unwrap_or_default();
    let mut parameters = Parameters::parse(query.as_bytes());
    let callback = Callback {
        state: parameters.take("state").map(Secret::new),
        code: parameters.take("code").map(Secret::new),
        error: parameters.take("error"),
        iss: parameters.take("iss"),
    };
    if parameters.repeated {
        // No provider does that (RFC 6749 §3.1); whoever did wants two readers to see two things.
        return problem(OauthProblem::NotYours, None);
    }
    // On a task of its own: once the code is spent, what it bought must be kept, whether the visitor waits or not.
    let under_way = site.under_way.clone();
    let visit = Visit::new(Arc::clone(&site), parts);
    let finished = under_way.spawn(async move {
        let by = visit.by(&signed.user);
        let provider = ProviderId(provider);
        site.logins.finish(&signed.user.id, &signed.session.id, &provider, callback, &by).await
    });
    let finished = match finished.await {
        Ok(Ok(finished)) => finished,
        Ok(Err(failed)) => return problem(failed.problem, failed.runtime.as_ref()),
        Err(error) => {
            tracing::error!(%error, "An authorization was broken off");
            return problem(OauthProblem::Internal, None);
        }
    };
    let runtime = finished.runtime.as_str();
    let place = match finished.outcome {
        Outcome::InUse { left_out: 0 } => path::row("added", runtime),
        Outcome::InUse { left_out } => path::row_left("added", runtime, left_out),
        // Nothing to praise; the row says what it lacks.
        Outcome::Lacking => path::row("lacking", runtime),
        Outcome::AnotherAccount => page(&finished.runtime),
    };
    Redirect::to(&place).into_response()
}

/// What the address brought.
struct Parameters {
    first: HashMap<String, String>,
    repeated: bool,
}

impl Parameters {
    fn parse(query: &[u8]) -> Self {
        let mut parameters = Self { first: HashMap::new(), repeated: false };
        for (name, value) in url::form_urlencoded::parse(query).into_owned() {
            parameters.repeated |= parameters.first.insert(name, value).is_some();
        }
        parameters
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.first.remove(name)
    }
}

/// The page of a runtime. Its id comes from an address, so it may hold anything.
fn page(runtime: &RuntimeId) -> String {
    path::runtime(&path::encode(runtime.as_str()).replace('/', "%2F"))
}

fn problem(problem: OauthProblem, runtime: Option<&RuntimeId>) -> Response {
    let mut place = format!("{}?problem={}", path::TOKENS, problem.word());
    if let Some(runtime) = runtime {
        let runtime = path::encode(runtime.as_str());
        place.push_str(&format!("&runtime={runtime}#{runtime}"));
    }
    Redirect::to(&place).into_response()
}

/// A page that leads to the provider at once, by itself, and by a link where that is switched off.
fn forward(provider: &str, url: &str) -> Response {
    let (provider, url) = (escape(provider), escape(url));
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>On to {provider} – Gitward</title>\
         <meta http-equiv=\"refresh\" content=\"0; url={url}\"></head>\
         <body><main><h1>On to {provider}</h1><p>You are being taken there to sign in. \
         <a href=\"{url}\" rel=\"noreferrer\">Continue to {provider}</a></p></main></body></html>"
    );
    let mut response = (StatusCode::OK, Html(page)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FORWARDING_POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Escapes for HTML text and quoted attributes.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}
