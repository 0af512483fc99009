//! What the tests of all providers share: the bad days of a host, and what each means to every question.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use futures_util::{StreamExt, stream};
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
        tests::{BadDoor, BadServer, Misdeed},
    },
    revoke::{Revoke, RevokeError, Revoked},
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
        redirect_uri: redirect_uri(),
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
    provider.exchange(&app(), &code, &verifier).await
}

/// The outcomes, in one word each.
///
/// Three of them take something from a user: see [`Word::takes`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    Valid,
    Rejected,
    Limited,
    Insufficient,
    Blocked,
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

impl Word {
    /// Whether a user loses something over it. Nobody may, but by the provider's own word.
    pub fn takes(self) -> bool {
        matches!(self, Self::Rejected | Self::Refused | Self::AppRefused)
    }
}

impl From<Result<Identity, ProviderError>> for Word {
    fn from(outcome: Result<Identity, ProviderError>) -> Self {
        match outcome {
            Ok(_) => Self::Valid,
            Err(ProviderError::Rejected(_)) => Self::Rejected,
            Err(ProviderError::RateLimited { .. }) => Self::Limited,
            Err(ProviderError::Insufficient { .. }) => Self::Insufficient,
            Err(ProviderError::Blocked { .. }) => Self::Blocked,
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
            Err(GrantError::Unreachable(_) | GrantError::Lost(_)) => Self::Unreachable,
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
    assert!(days.iter().all(|(.., identity, _, grant)| !identity.takes() && !grant.takes()));
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

/// One of the questions, with what it is asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    IdentifyToken,
    IdentifyGrant,
    PushWithToken,
    PushWithGrant,
    Exchange,
    Refresh,
}

impl Ask {
    const ALL: [Self; 6] = [
        Self::IdentifyToken,
        Self::IdentifyGrant,
        Self::PushWithToken,
        Self::PushWithGrant,
        Self::Exchange,
        Self::Refresh,
    ];
    /// Whose it is, of either sort.
    pub const IDENTIFY: &[Self] = &[Self::IdentifyToken, Self::IdentifyGrant];
    /// Whether it may push, of either sort.
    pub const PUSH: &[Self] = &[Self::PushWithToken, Self::PushWithGrant];

    async fn of(self, provider: &dyn Provider, samples: &Samples) -> Word {
        let token = Presented { user_name: samples.user_name, ..pasted(&samples.token) };
        let access = granted(&samples.access);
        match self {
            Self::IdentifyToken => provider.identify(&token, Age::Settled).await.into(),
            Self::IdentifyGrant => provider.identify(&access, Age::Fresh).await.into(),
            Self::PushWithToken => provider.may_push(&token, samples.repository).await.into(),
            Self::PushWithGrant => provider.may_push(&access, samples.repository).await.into(),
            Self::Exchange => exchange(provider).await.into(),
            Self::Refresh => provider.refresh(&app(), &samples.refresh).await.into(),
        }
    }

    /// What the day means where the first door has it.
    fn on(self, day: &Meaning) -> Word {
        match self {
            Self::IdentifyToken | Self::IdentifyGrant => day.identity,
            Self::PushWithToken | Self::PushWithGrant => day.push,
            Self::Exchange | Self::Refresh => day.grant,
        }
    }
}

/// A day without its weather.
pub struct Meaning {
    pub name: &'static str,
    pub identity: Word,
    pub push: Word,
    pub grant: Word,
}

/// What the day means to a question whose a token is at a first door, it means at this one.
pub fn as_ever(day: &Meaning) -> Vec<Word> {
    vec![day.identity]
}

/// The same for a question about a repository.
pub fn as_ever_of_a_repository(day: &Meaning) -> Vec<Word> {
    vec![day.push]
}

impl Samples {
    fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.token, &self.access, &self.refresh].into_iter().map(Secret::expose).chain(SECRETS)
    }

    /// Whether somebody could read one in a log of addresses.
    fn shows_in_an_address(&self, requests: &[Request]) -> bool {
        requests.iter().any(|request| self.secrets().any(|secret| request.url.as_str().contains(secret)))
    }
}

fn hasty(timeout: Duration) -> Outgoing {
    Outgoing::new(&HttpSettings { timeout, ..HttpSettings::default() }).unwrap()
}

/// Asks everything on every day. `at` makes the provider that lives at an address. Whatever differs from the table is
/// told; so is a secret in an address, a question for a token that was asked twice, and a redirect that was followed.
pub async fn endure<P: Provider>(
    days: impl FnOnce(&str) -> Vec<Day>,
    samples: &Samples,
    at: impl Fn(&str, &Outgoing) -> P,
) -> usize {
    let elsewhere = BadServer::start(Misdeed::HangUp).await;
    let (patient, hasty) = (outgoing(), hasty(Duration::from_millis(200)));
    let mut wrong = Vec::new();
    let mut cells = 0;
    for (name, fault, identity, push, grant) in days(elsewhere.url.as_str()) {
        let day = Meaning { name, identity, push, grant };
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
        for ask in Ask::ALL {
            cells += 1;
            let (outcome, expected) = (ask.of(&provider, samples).await, ask.on(&day));
            if outcome != expected {
                wrong.push(format!("{name}, {ask:?}: {outcome:?} instead of {expected:?}"));
            }
        }
        let requests = mock.received_requests().await.unwrap_or_default();
        let posts = requests.iter().filter(|request| request.method.as_str() == "POST").count();
        if !requests.is_empty() && posts != 2 {
            wrong.push(format!("{name}: {posts} posts for one exchange and one refresh"));
        }
        if samples.shows_in_an_address(&requests) {
            wrong.push(format!("{name}: a secret in an address"));
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0, "redirects that were followed");
    cells
}

/// Where a provider is asked something.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    verb: &'static str,
    path: &'static str,
    /// How what is shown there must be shown.
    scheme: &'static str,
}

impl Door {
    /// Looked at.
    pub const fn get(path: &'static str) -> Self {
        Self { verb: "GET", path, scheme: "" }
    }

    /// Written to.
    pub const fn post(path: &'static str) -> Self {
        Self { verb: "POST", path, scheme: "" }
    }

    /// For those who show something in this way: `Basic`, `Bearer`.
    pub const fn shown(self, scheme: &'static str) -> Self {
        Self { scheme, ..self }
    }

    fn is(self, request: &Request) -> bool {
        request.method.as_str() == self.verb
            && request.url.path() == self.path
            && sent(request, "authorization").starts_with(self.scheme)
    }

    /// The same, by the lines that a question begins with.
    fn is_in(self, lines: &str) -> bool {
        let mut lines = lines.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (verb, path) = (first.next(), first.next().and_then(|target| target.split('?').next()));
        let shown = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("authorization").then(|| value.trim())
        });
        (verb, path) == (Some(self.verb), Some(self.path))
            && shown.unwrap_or_default().starts_with(self.scheme)
    }
}

/// On which bad days a door may take something from a user.
pub enum Takes {
    Nothing,
    /// On these, by their names: the provider itself says so.
    On(&'static [&'static str]),
    /// On any: the door before has said it already.
    Already,
}

/// A door that is asked after others, and what it means when the others are well and this one has a bad day.
pub struct Further {
    /// The questions that lead there.
    pub asks: &'static [Ask],
    /// What the others answer.
    pub others: Vec<(Door, ResponseTemplate)>,
    pub door: Door,
    /// What a day means here: one of these.
    pub means: fn(&Meaning) -> Vec<Word>,
    pub takes: Takes,
}

/// Asks on every day at each further door. Whatever differs from its table is told; so is a door that was not asked, or
/// was asked twice, a secret in an address, and a redirect that was followed. Returns how many cells there were.
pub async fn endure_further<P: Provider>(
    days: impl Fn(&str) -> Vec<Day>,
    samples: &Samples,
    at: impl Fn(&str, &Outgoing) -> P,
    further: &[Further],
) -> usize {
    let elsewhere = BadServer::start(Misdeed::HangUp).await;
    // The doors before have to answer in time, whatever else the machine does.
    let (patient, hasty) = (outgoing(), hasty(Duration::from_secs(1)));
    let (patient, hasty, at, at_elsewhere) = (&patient, &hasty, &at, elsewhere.url.as_str());
    let mut wrong = Vec::new();
    let mut cells = 0;
    for (further, ask) in
        further.iter().flat_map(|further| further.asks.iter().map(move |ask| (further, *ask)))
    {
        let one = async |(name, fault, identity, push, grant): Day| {
            let day = Meaning { name, identity, push, grant };
            let mock = MockServer::start().await;
            for (door, answer) in &further.others {
                let door = *door;
                let others = Mock::given(move |request: &Request| door.is(request));
                others.respond_with(answer.clone()).mount(&mock).await;
            }
            let door = further.door;
            let mount = async |answer: ResponseTemplate| {
                let bad = Mock::given(move |request: &Request| door.is(request));
                bad.respond_with(answer).mount(&mock).await;
            };
            let mut front = None;
            let (url, http) = match fault {
                Fault::Answer(answer) => {
                    mount(answer).await;
                    (mock.uri(), patient)
                }
                Fault::TooLate(answer) => {
                    mount(answer.set_delay(Duration::from_secs(5))).await;
                    (mock.uri(), hasty)
                }
                Fault::Misdeed(misdeed) => {
                    let is_bad = move |lines: &str| door.is_in(lines);
                    let server = BadDoor::start(misdeed, *mock.address(), is_bad).await;
                    let url = server.url.to_string();
                    front = Some(server);
                    (url, hasty)
                }
            };
            let outcome = ask.of(&at(&url, http), samples).await;
            let expected = (further.means)(&day);
            let requests = mock.received_requests().await.unwrap_or_default();
            let knocks = front.map_or_else(
                || requests.iter().filter(|request| door.is(request)).count(),
                |front| front.knocks.load(Ordering::SeqCst),
            );
            let may_take = match further.takes {
                Takes::Nothing => false,
                Takes::On(names) => names.contains(&name),
                Takes::Already => true,
            };
            let place = format!("{name}, {ask:?} at {} {} {}", door.verb, door.path, door.scheme);
            let mut wrong = Vec::new();
            if !expected.contains(&outcome) {
                wrong.push(format!("{place}: {outcome:?} instead of {expected:?}"));
            }
            if outcome.takes() && !may_take {
                wrong.push(format!("{place}: {outcome:?}, and nobody said that it may"));
            }
            if knocks != 1 {
                wrong.push(format!("{place}: asked {knocks} times"));
            }
            if samples.shows_in_an_address(&requests) {
                wrong.push(format!("{place}: a secret in an address"));
            }
            wrong
        };
        let days = days(at_elsewhere);
        assert!(days.len() > 60, "{} days", days.len());
        cells += days.len();
        let mut outcomes = stream::iter(days.into_iter().map(one)).buffer_unordered(16);
        while let Some(some) = outcomes.next().await {
            wrong.extend(some);
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0, "redirects that were followed");
    cells
}

/// What came of asking a provider to end a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    Revoked,
    HandedOver,
    Unknown,
    Cannot,
    Limited,
    Unreachable,
}

impl From<Result<Revoked, RevokeError>> for Fate {
    fn from(outcome: Result<Revoked, RevokeError>) -> Self {
        match outcome {
            Ok(Revoked::Now) => Self::Revoked,
            Ok(Revoked::HandedOver) => Self::HandedOver,
            Ok(Revoked::Before) => Self::Unknown,
            Err(RevokeError::Cannot(_)) => Self::Cannot,
            Err(RevokeError::RateLimited { .. }) => Self::Limited,
            Err(RevokeError::Unreachable(_)) => Self::Unreachable,
        }
    }
}

/// A pasted token, or a grant of [`app`], to be revoked with all that the account granted.
pub fn to_revoke<'a>(
    presented: Presented<'a>,
    refresh: Option<&'a Secret>,
    app: Option<&'a OauthApp>,
) -> Revoke<'a> {
    Revoke { presented, refresh, app, whole_grant: true }
}

/// Asks to end a token and a grant on every day. A day means that it is tried again, unless `but` has another word for
/// it, for tokens and for grants: nothing counts as revoked, or as impossible, but by the provider's own word. So does a
/// secret in an address or a redirect that was followed.
pub async fn endure_revocation<P: Provider>(
    days: impl FnOnce(&str) -> Vec<Day>,
    samples: &Samples,
    at: impl Fn(&str, &Outgoing) -> P,
    but: &[(&str, Fate, Fate)],
) {
    let elsewhere = BadServer::start(Misdeed::HangUp).await;
    let (patient, hasty) = (outgoing(), hasty(Duration::from_millis(200)));
    let app = app();
    let mut wrong = Vec::new();
    let mut named = 0;
    for (name, fault, identity, ..) in days(elsewhere.url.as_str()) {
        let mock = MockServer::start().await;
        let mount = async |answer: ResponseTemplate| {
            Mock::given(any()).respond_with(answer).mount(&mock).await;
            mock.uri()
        };
        let (url, http) = match fault {
            Fault::Answer(answer) => (mount(answer).await, &patient),
            Fault::TooLate(answer) => (mount(answer.set_delay(Duration::from_secs(2))).await, &hasty),
            Fault::Misdeed(misdeed) => {
                let server = BadServer::start(misdeed).await;
                (server.url.to_string(), &hasty)
            }
        };
        let provider = at(&url, http);
        let usual = if identity == Word::Limited { Fate::Limited } else { Fate::Unreachable };
        let expected = but.iter().find(|(day, ..)| *day == name).map(|(_, token, grant)| (*token, *grant));
        named += usize::from(expected.is_some());
        let token = Presented { user_name: samples.user_name, ..pasted(&samples.token) };
        let grant = granted(&samples.access);
        let outcomes: (Fate, Fate) = (
            provider.revoke(&to_revoke(token, None, None)).await.into(),
            provider.revoke(&to_revoke(grant, Some(&samples.refresh), Some(&app))).await.into(),
        );
        if outcomes != expected.unwrap_or((usual, usual)) {
            wrong.push(format!("{name}: {outcomes:?}"));
        }
        let requests = mock.received_requests().await.unwrap_or_default();
        if samples.shows_in_an_address(&requests) {
            wrong.push(format!("{name}: a secret in an address"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(named, but.len(), "days that there are none of");
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0, "redirects that were followed");
}

pub fn sent(request: &Request, name: &str) -> String {
    request.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

pub async fn mount(mock: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb)).and(path(at)).respond_with(answer).mount(mock).await;
}
