//! What the tests of all providers share: the bad days of a host, and what each means to every question.

use std::{fmt, time::Duration};

use serde_json::json;
use url::Url;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{any, method, path},
};

use super::{
    Age, Grant, GrantError, Identity, OauthApp, Presented, Provider, ProviderError, Settings,
    http::{
        HttpSettings, Outgoing,
        tests::{BadServer, Misdeed},
    },
};
use crate::{
    clock::{Clock, TestClock, Timestamp},
    credential::{Method, Push},
    id::{OauthAppId, ProviderId},
    secret::Secret,
};

/// What [`app`] and [`exchange`] send and nobody may see.
pub const SECRETS: [&str; 3] = ["app-secret-0123456789", "code-0123", "verifier-0123"];

pub fn app() -> OauthApp {
    OauthApp {
        id: OauthAppId::from("forge"),
        provider: ProviderId::from("here"),
        client_id: "client-0123456789abcdef".to_owned(),
        client_secret: Secret::new(SECRETS[0]),
    }
}

pub fn settings(base: &str, http: &Outgoing) -> Settings {
    Settings {
        id: ProviderId::from("here"),
        name: None,
        base_url: Url::parse(base).unwrap(),
        api_url: None,
        clock: std::sync::Arc::new(TestClock::new()),
        http: http.clone(),
    }
}

pub fn outgoing() -> Outgoing {
    Outgoing::new(&HttpSettings::default()).unwrap()
}

pub fn now() -> Timestamp {
    TestClock::new().now()
}

pub fn redirect_uri() -> Url {
    Url::parse("https://gitward.example.com/callback/here").unwrap()
}

/// A token that was pasted, as it is shown the first time.
pub fn pasted(token: &Secret) -> Presented<'_> {
    Presented { token, method: Method::Token, kind: None, user_name: None }
}

/// A grant's access token.
pub fn granted(token: &Secret) -> Presented<'_> {
    Presented { token, method: Method::Oauth2, kind: None, user_name: None }
}

pub async fn exchange(provider: &dyn Provider) -> Result<Grant, GrantError> {
    let (code, verifier) = (Secret::new(SECRETS[1]), Secret::new(SECRETS[2]));
    provider.exchange(&app(), &code, &verifier, &redirect_uri()).await
}

/// The outcomes, in one word each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    Valid,
    Rejected,
    Limited,
    Insufficient,
    Unreachable,
    Refused,
    AppRefused,
    Granted,
    Allowed,
    Denied,
    Hidden,
    NeedsSso,
    Unknown,
}

impl From<Result<Identity, ProviderError>> for Word {
    fn from(outcome: Result<Identity, ProviderError>) -> Self {
        match outcome {
            Ok(_) => Self::Valid,
            Err(ProviderError::Rejected(_)) => Self::Rejected,
            Err(ProviderError::RateLimited { .. }) => Self::Limited,
            Err(ProviderError::Insufficient { .. }) => Self::Insufficient,
            Err(ProviderError::Unreachable(_)) => Self::Unreachable,
        }
    }
}

impl From<Push> for Word {
    fn from(outcome: Push) -> Self {
        match outcome {
            Push::Allowed => Self::Allowed,
            Push::Denied => Self::Denied,
            Push::Hidden => Self::Hidden,
            Push::NeedsSso { .. } => Self::NeedsSso,
            Push::Unknown => Self::Unknown,
        }
    }
}

impl From<Result<Grant, GrantError>> for Word {
    fn from(outcome: Result<Grant, GrantError>) -> Self {
        match outcome {
            Ok(_) => Self::Granted,
            Err(GrantError::Refused(_)) => Self::Refused,
            Err(GrantError::AppRefused(_)) => Self::AppRefused,
            Err(GrantError::RateLimited { .. }) => Self::Limited,
            Err(GrantError::Unreachable(_)) => Self::Unreachable,
        }
    }
}

/// What a bad day looks like.
pub enum Fault {
    Answer(ResponseTemplate),
    /// After ten times the time that there is.
    TooLate(ResponseTemplate),
    Misdeed(Misdeed),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(_) => f.write_str("answer"),
            Self::TooLate(_) => f.write_str("too late"),
            Self::Misdeed(misdeed) => write!(f, "{misdeed:?}"),
        }
    }
}

pub fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

pub fn says(code: u16, message: &str) -> ResponseTemplate {
    status(code).set_body_json(json!({ "message": message, "documentation_url": "https://docs.example.com" }))
}

pub fn page(code: u16) -> ResponseTemplate {
    status(code).set_body_raw("<!doctype html><title>Sorry</title>", "text/html; charset=utf-8")
}

pub fn plain(code: u16, text: &str) -> ResponseTemplate {
    status(code).set_body_raw(text, "text/plain; charset=utf-8")
}

pub fn oauth_error(code: u16, error: &str) -> ResponseTemplate {
    status(code)
        .set_body_json(json!({ "error": error, "error_description": "Words.", "error_uri": "https://x" }))
}

/// A day, and what it means: to a question about a token, to one about a repository, to one for a token.
pub type Day = (&'static str, Fault, Word, Word, Word);

/// Days that say nothing about anyone's token, whatever the provider. `good` is what it answers to a token that it
/// knows.
pub fn days_of_any_host(good: &serde_json::Value, elsewhere: &str) -> Vec<Day> {
    use Word::{Unknown, Unreachable};
    let answer = Fault::Answer;
    let tokens = |access: serde_json::Value, kind: &str| {
        status(200).set_body_json(json!({ "access_token": access, "token_type": kind }))
    };
    #[rustfmt::skip]
    let days = vec![
        // Others on the way.
        ("401 HTML", answer(page(401)), Unreachable, Unknown, Unreachable),
        ("401 empty", answer(status(401)), Unreachable, Unknown, Unreachable),
        ("401 text", answer(plain(401, "Bad credentials")), Unreachable, Unknown, Unreachable),
        ("401 string", answer(status(401).set_body_json("Bad credentials")), Unreachable, Unknown, Unreachable),
        ("401 other JSON", answer(oauth_error(401, "proxy")), Unreachable, Unknown, Unreachable),
        ("403 HTML", answer(page(403)), Unreachable, Unknown, Unreachable),
        ("404 HTML", answer(page(404)), Unreachable, Unknown, Unreachable),
        ("407", answer(page(407)), Unreachable, Unknown, Unreachable),
        ("511", answer(page(511)), Unreachable, Unknown, Unreachable),
        // The host itself.
        ("406", answer(says(406, "Not Acceptable")), Unreachable, Unknown, Unreachable),
        ("408", answer(says(408, "Request Timeout")), Unreachable, Unknown, Unreachable),
        ("410", answer(says(410, "Gone")), Unreachable, Unknown, Unreachable),
        ("500", answer(says(500, "Server Error")), Unreachable, Unknown, Unreachable),
        ("502", answer(page(502)), Unreachable, Unknown, Unreachable),
        ("503 HTML", answer(page(503)), Unreachable, Unknown, Unreachable),
        ("504", answer(status(504)), Unreachable, Unknown, Unreachable),
        // 200, and yet no answer.
        ("200 HTML", answer(page(200)), Unreachable, Unknown, Unreachable),
        ("200 garbage", answer(plain(200, "{\"id\": 1, \"log")), Unreachable, Unknown, Unreachable),
        ("200 bytes", answer(status(200).set_body_bytes([0xff, 0xfe, 0, 0x80])), Unreachable, Unknown, Unreachable),
        ("200 empty", answer(status(200)), Unreachable, Unknown, Unreachable),
        ("200 array", answer(status(200).set_body_json(json!([good]))), Unreachable, Unknown, Unreachable),
        ("200 null", answer(status(200).set_body_json(json!(null))), Unreachable, Unknown, Unreachable),
        ("200 object", answer(status(200).set_body_json(json!({}))), Unreachable, Unknown, Unreachable),
        ("200 deep", answer(plain(200, &"[".repeat(100_000))), Unreachable, Unknown, Unreachable),
        ("200 odd tokens", answer(tokens(json!("a\nb"), "bearer")), Unreachable, Unknown, Unreachable),
        ("200 number for token", answer(tokens(json!(7), "bearer")), Unreachable, Unknown, Unreachable),
        ("200 empty token", answer(tokens(json!(""), "bearer")), Unreachable, Unknown, Unreachable),
        ("200 odd type", answer(tokens(json!("a"), "mac")), Unreachable, Unknown, Unreachable),
        ("203 JSON", answer(status(203).set_body_json(good)), Unreachable, Unknown, Unreachable),
        ("204", answer(status(204)), Unreachable, Unknown, Unreachable),
        ("206 JSON", answer(status(206).set_body_json(good)), Unreachable, Unknown, Unreachable),
        // Elsewhere.
        ("301", answer(status(301).insert_header("location", elsewhere)), Unreachable, Unknown, Unreachable),
        ("302", answer(status(302).insert_header("location", elsewhere)), Unreachable, Unknown, Unreachable),
        ("303", answer(status(303).insert_header("location", elsewhere)), Unreachable, Unknown, Unreachable),
        ("307", answer(status(307).insert_header("location", elsewhere)), Unreachable, Unknown, Unreachable),
        ("308", answer(status(308).insert_header("location", elsewhere)), Unreachable, Unknown, Unreachable),
        // Time and size.
        ("late 200", Fault::TooLate(status(200).set_body_json(good)), Unreachable, Unknown, Unreachable),
        ("silence", Fault::Misdeed(Misdeed::Silence), Unreachable, Unknown, Unreachable),
        ("slow body", Fault::Misdeed(Misdeed::Drip), Unreachable, Unknown, Unreachable),
        ("endless body", Fault::Misdeed(Misdeed::Endless), Unreachable, Unknown, Unreachable),
        ("10 GB", Fault::Misdeed(Misdeed::Huge), Unreachable, Unknown, Unreachable),
        ("endless headers", Fault::Misdeed(Misdeed::EndlessHeaders), Unreachable, Unknown, Unreachable),
        ("hung up", Fault::Misdeed(Misdeed::HangUp), Unreachable, Unknown, Unreachable),
        ("half a body", Fault::Misdeed(Misdeed::HalfBody), Unreachable, Unknown, Unreachable),
        ("no HTTP", Fault::Misdeed(Misdeed::Gibberish), Unreachable, Unknown, Unreachable),
    ];
    days
}

/// What is asked on a bad day.
pub struct Samples {
    pub token: Secret,
    pub user_name: Option<&'static str>,
    pub access: Secret,
    pub refresh: Secret,
    pub repository: &'static str,
}

/// Asks everything on every day. `at` makes the provider that lives at an address. Whatever differs from the table is
/// told; so is a secret in an address, a question for a token that was asked twice, and a redirect that was followed.
pub async fn endure<P: Provider>(
    days: impl FnOnce(&str) -> Vec<Day>,
    samples: &Samples,
    at: impl Fn(&str, &Outgoing) -> P,
) -> usize {
    let elsewhere = BadServer::start(Misdeed::HangUp).await;
    let patient = outgoing();
    let hasty =
        Outgoing::new(&HttpSettings { timeout: Duration::from_millis(200), ..HttpSettings::default() })
            .unwrap();
    let mut wrong = Vec::new();
    let mut cells = 0;
    for (name, fault, identity, push, grant) in days(elsewhere.url.as_str()) {
        let mock = MockServer::start().await;
        let (url, http) = match fault {
            Fault::Answer(answer) => {
                Mock::given(any()).respond_with(answer).mount(&mock).await;
                (mock.uri(), &patient)
            }
            Fault::TooLate(answer) => {
                let answer = answer.set_delay(Duration::from_secs(2));
                Mock::given(any()).respond_with(answer).mount(&mock).await;
                (mock.uri(), &hasty)
            }
            Fault::Misdeed(misdeed) => {
                let server = BadServer::start(misdeed).await;
                (server.url.to_string(), &hasty)
            }
        };
        let provider = at(&url, http);
        let token = Presented { user_name: samples.user_name, ..pasted(&samples.token) };
        let access = granted(&samples.access);
        let outcomes: [(&str, Word, Word); 6] = [
            ("identify a token", provider.identify(&token, Age::Settled).await.into(), identity),
            ("identify a grant", provider.identify(&access, Age::Fresh).await.into(), identity),
            ("push with a token", provider.may_push(&token, samples.repository).await.into(), push),
            ("push with a grant", provider.may_push(&access, samples.repository).await.into(), push),
            ("exchange", exchange(&provider).await.into(), grant),
            ("refresh", provider.refresh(&app(), &samples.refresh, &redirect_uri()).await.into(), grant),
        ];
        for (question, outcome, expected) in outcomes {
            cells += 1;
            if outcome != expected {
                wrong.push(format!("{name}, {question}: {outcome:?} instead of {expected:?}"));
            }
        }
        let requests = mock.received_requests().await.unwrap_or_default();
        let posts = requests.iter().filter(|request| request.method.as_str() == "POST").count();
        if !requests.is_empty() && posts != 2 {
            wrong.push(format!("{name}: {posts} posts for one exchange and one refresh"));
        }
        let secrets = [samples.token.expose(), samples.access.expose(), samples.refresh.expose()];
        for request in &requests {
            if secrets.iter().chain(&SECRETS).any(|secret| request.url.as_str().contains(secret)) {
                wrong.push(format!("{name}: a secret in an address"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    let followed = elsewhere.connections.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(followed, 0, "redirects that were followed");
    cells
}

pub fn sent(request: &Request, name: &str) -> String {
    request.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

pub async fn mount(mock: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb)).and(path(at)).respond_with(answer).mount(mock).await;
}
