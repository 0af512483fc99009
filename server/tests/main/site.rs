//! A site in a folder of its own, and browsers that visit it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use serde_json::Value;
use server::{
    clock::{Clock, TestClock},
    config::Config,
    random::{Entropy, SystemEntropy},
    secret::Secret,
    site::Site,
    web,
};
use tower::ServiceExt;
use url::Url;

use crate::{
    database::{self, Dump},
    forge::Forge,
};

/// Everybody's password.
pub const PASSWORD: &str = "a sentence of some length";

/// Two accounts with members of their own and one in common, and all ways to authorize.
pub fn usual(forge: &Forge) -> String {
    let Forge { url, port, .. } = forge;
    format!(
        r#"
public_url = "http://127.0.0.1:3000"

[[provider]]
id = "forge"
kind = "github"
name = "Forge"
base_url = "{url}"
api_url = "{url}"

[[provider]]
id = "other"
kind = "github"
name = "Other forge"
base_url = "http://localhost:{port}"
api_url = "http://localhost:{port}"

[[oauth_app]]
id = "app"
provider = "forge"
client_id = "gitward-demo"
client_secret = "gitward-demo-secret"

[[oauth_app]]
id = "renewed"
provider = "forge"
client_id = "Iv1.gitwarddemo"
client_secret = "gitward-demo-app-secret"

[[oauth_app]]
id = "other-app"
provider = "other"
client_id = "gitward-demo"
client_secret = "gitward-demo-secret"

[[account]]
id = "acme"
name = "Acme"
members = [{{ user = "mara", role = "admin" }}, {{ user = "both" }}, {{ user = "gone" }}]
runtime = [
  {{ name = "production", provider = "forge", authorization = "oauth2", oauth_app = "app", repository = "acme/infra" }},
  {{ name = "staging", provider = "forge", authorization = "oauth2", oauth_app = "app" }},
  {{ name = "hooks", provider = "forge", authorization = "oauth2", oauth_app = "app", scopes = ["repo", "admin:repo_hook"] }},
  {{ name = "renewed", provider = "forge", authorization = "oauth2", oauth_app = "renewed" }},
  {{ name = "paste", provider = "forge" }},
  {{ name = "elsewhere", provider = "other", authorization = "oauth2", oauth_app = "other-app" }},
]

[[account]]
id = "globex"
name = "Globex"
members = [{{ user = "jonas" }}, {{ user = "both" }}]
runtime = [
  {{ name = "production", provider = "forge", authorization = "oauth2", oauth_app = "app" }},
  {{ name = "paste", provider = "forge" }},
]
"#
    )
}

/// One account at one host of another kind, and all ways to authorize there.
pub fn at_a(kind: &str, forge: &Forge) -> String {
    let url = &forge.url;
    format!(
        r#"
public_url = "http://127.0.0.1:3000"

[[provider]]
id = "forge"
kind = "{kind}"
base_url = "{url}"

[[oauth_app]]
id = "app"
provider = "forge"
client_id = "gitward-demo"
client_secret = "gitward-demo-secret"

[[account]]
id = "acme"
name = "Acme"
members = [{{ user = "mara" }}, {{ user = "jonas" }}]
runtime = [
  {{ name = "infra", provider = "forge", authorization = "oauth2", oauth_app = "app", repository = "acme/infra" }},
  {{ name = "readonly", provider = "forge", repository = "acme/readonly" }},
  {{ name = "hidden", provider = "forge", repository = "acme/secret-ops" }},
  {{ name = "paste", provider = "forge" }},
  {{ name = "further", provider = "forge", authorization = "oauth2", oauth_app = "app" }},
]
"#
    )
}

/// A site, the host it talks to, and the clock of both.
pub struct TestSite {
    pub site: Arc<Site>,
    pub router: Router,
    pub clock: TestClock,
    pub forge: Forge,
    pub public_url: Url,
    folder: tempfile::TempDir,
}

impl TestSite {
    pub async fn start() -> Self {
        let forge = Forge::start().await;
        let config = usual(&forge);
        Self::start_with(forge, &config).await
    }

    /// With another configuration.
    pub async fn start_with(forge: Forge, config: &str) -> Self {
        Self::start_from(forge, config, Arc::new(SystemEntropy)).await
    }

    /// With other random bytes as well.
    pub async fn start_from(forge: Forge, config: &str, entropy: Arc<dyn Entropy>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        files_for_browsers(&folder.path().join("site"));
        let clock = TestClock::new();
        forge.set_clock(clock.now()).await;
        let (site, router) = open(folder.path(), config, &clock, entropy).await;
        let public_url = site.public_url.clone();
        Self { site, router, clock, forge, public_url, folder }
    }

    /// Stops, and starts again with what is there.
    pub async fn restart(self, config: &str) -> Self {
        let Self { site, router, clock, forge, folder, .. } = self;
        drop((site, router));
        let (site, router) = open(folder.path(), config, &clock, Arc::new(SystemEntropy)).await;
        let public_url = site.public_url.clone();
        Self { site, router, clock, forge, public_url, folder }
    }

    /// Lets go of the database; folder and Git host stay.
    pub fn stop(self) -> (Forge, tempfile::TempDir) {
        (self.forge, self.folder)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("data/gitward.sqlite3")
    }

    pub async fn dump(&self) -> Dump {
        database::dump(&self.database()).await
    }

    /// Waits for what goes on by itself.
    pub async fn at_rest(&self) {
        let under_way = &self.site.under_way;
        under_way.close();
        under_way.wait().await;
        under_way.reopen();
    }

    /// Time passes, here and at the provider.
    pub async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.forge.advance(span.as_secs()).await;
    }

    pub async fn minutes(&self, minutes: u64) {
        self.pass(Duration::from_secs(60 * minutes)).await;
    }

    /// A browser in which nobody is signed in.
    pub fn anonymous(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            public_url: self.public_url.clone(),
            cookies: Mutex::default(),
            peer: SocketAddr::from(([192, 0, 2, 1], 5000)),
            heard: None,
        }
    }

    /// A person who exists from now on, in a browser of their own. The password is [`PASSWORD`].
    pub async fn person(&self, name: &str) -> Browser {
        let (_, link) = self.site.people.add_user(name).await.unwrap();
        let redemption = self.site.people.may_redeem(&link, name, &Secret::new(PASSWORD)).await.unwrap();
        let signed_in = self.site.people.redeem(redemption).await.unwrap();
        let browser = self.anonymous();
        browser.take_cookie(&web::session::session_cookie(&self.public_url, &signed_in.secret));
        browser
    }
}

async fn open(
    folder: &Path,
    config: &str,
    clock: &TestClock,
    entropy: Arc<dyn Entropy>,
) -> (Arc<Site>, Router) {
    let file = folder.join("gitward.toml");
    std::fs::write(&file, config).unwrap();
    let site_dir = folder.join("site").to_str().unwrap().to_owned();
    let config = Config::load(&file, |name| (name == "GITWARD_SITE_DIR").then(|| site_dir.clone()))
        .unwrap_or_else(|error| {
            panic!("{error}");
        });
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let site = Arc::new(Site::open(config, clock, entropy).await.unwrap());
    let router = web::router(&site).unwrap();
    (site, router)
}

/// Just enough of a built site.
pub fn files_for_browsers(folder: &Path) {
    std::fs::create_dir_all(folder.join("pkg")).unwrap();
    for (name, content) in [
        ("gitward.h4sh.js", "export function hydrate(){}"),
        ("gitward.h4sh.wasm", "\0asm"),
        ("gitward.h4sh.css", "body{margin:0}"),
    ] {
        std::fs::write(folder.join("pkg").join(name), content).unwrap();
        std::fs::write(folder.join("pkg").join(format!("{name}.br")), format!("br of {name}")).unwrap();
        std::fs::write(folder.join("pkg").join(format!("{name}.gz")), format!("gz of {name}")).unwrap();
    }
    std::fs::write(folder.join("hash.txt"), "js: h4sh\nwasm: h4sh\ncss: h4sh\n").unwrap();
    std::fs::write(folder.join("favicon.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
    std::fs::write(folder.join("robots.txt"), "User-agent: *\nDisallow: /api/\n").unwrap();
}

/// Keeps cookies, and says where its requests come from, as browsers do.
pub struct Browser {
    router: Router,
    public_url: Url,
    cookies: Mutex<BTreeMap<String, String>>,
    pub peer: SocketAddr,
    heard: Option<Arc<Mutex<Vec<u8>>>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.status, self.body))
    }

    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it leads.
    #[track_caller]
    pub fn location(&self) -> &str {
        assert!(self.status.is_redirection(), "{} {:?}", self.status, self.body);
        self.header(header::LOCATION)
    }

    /// The name of the error that a server function answered with.
    #[track_caller]
    pub fn error(&self) -> String {
        assert!(
            self.status.is_client_error() || self.status.is_server_error(),
            "{} {:?}",
            self.status,
            self.body
        );
        match self.json() {
            Value::String(name) => name,
            Value::Object(object) => object.keys().next().unwrap().clone(),
            other => panic!("{other}"),
        }
    }

    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self
    }
}

/// A request being written.
pub struct Ask<'b> {
    browser: &'b Browser,
    method: Method,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Body,
}

impl Ask<'_> {
    /// Instead of what the browser would say.
    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self = self.without(name);
        self.headers.push((name, value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    pub fn body(mut self, content_type: &'static str, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", body)
    }

    /// Begins to read an answer that may never end.
    pub async fn open(self) -> (StatusCode, HeaderMap, Body) {
        let (parts, body) = self.respond().await.into_parts();
        (parts.status, parts.headers, body)
    }

    pub async fn send(self) -> Answer {
        let (browser, path) = (self.browser, self.path.clone());
        let (parts, body) = self.respond().await.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            browser.take_cookie(cookie.to_str().unwrap());
        }
        let body = to_bytes(body, usize::MAX).await.unwrap();
        browser.remember(&path, &parts.headers, &body);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn respond(self) -> axum::response::Response {
        let mut request = Request::builder().method(self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value.as_slice());
        }
        let cookies = self.browser.cookie_header();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        let mut request = request.body(self.body).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.browser.peer));
        self.browser.router.clone().oneshot(request).await.unwrap()
    }
}

impl Browser {
    /// A request as the site's own pages make it.
    pub fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let host = &self.public_url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut headers = vec![("host", host.into()), ("sec-fetch-site", b"same-origin".to_vec())];
        if method != Method::GET && method != Method::HEAD {
            headers.push(("origin", self.public_url.origin().ascii_serialization().into_bytes()));
        }
        Ask { browser: self, method, path: path.to_owned(), headers, body: Body::empty() }
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).header("accept", "text/html,*/*;q=0.8").send().await
    }

    /// Calls a server function, as script does.
    pub async fn call(&self, function: &str, fields: &[(&str, &str)]) -> Answer {
        let path = format!("/api/{function}");
        self.ask(Method::POST, &path).header("accept", "application/json").form(fields).send().await
    }

    /// Sends a form of a page, as browsers do without script.
    pub async fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let referer = self.public_url.join(page).unwrap().to_string();
        let ask = self.ask(Method::POST, action).header("accept", "text/html,*/*;q=0.8");
        ask.header("referer", referer).form(fields).send().await
    }

    /// Pastes a token.
    pub async fn paste(&self, runtime: &str, token: &str) -> Answer {
        self.call("token/add", &[("runtime", runtime), ("token", token)]).await
    }

    /// Pastes a token, with what else the form asks for.
    pub async fn paste_with(&self, runtime: &str, token: &str, more: &[(&str, &str)]) -> Answer {
        self.call("token/add", &[&[("runtime", runtime), ("token", token)], more].concat()).await
    }

    /// What the dialog of one runtime shows.
    pub async fn access(&self, runtime: &str) -> Value {
        let answer = self.call("token/access", &[("runtime", runtime)]).await;
        answer.assert_ok();
        answer.json()
    }

    /// The name of a runtime's health.
    pub async fn health(&self, runtime: &str) -> String {
        match &self.access(runtime).await["row"]["health"] {
            Value::String(name) => name.clone(),
            Value::Object(object) => object.keys().next().unwrap().clone(),
            other => panic!("{other}"),
        }
    }

    /// The provider is asked again.
    pub async fn check(&self, runtime: &str) -> Answer {
        self.call("token/check", &[("runtime", runtime)]).await
    }

    /// Asks to be led to the provider: to this address.
    pub async fn connect(&self, runtime: &str) -> Url {
        self.connect_with(runtime, &[]).await
    }

    pub async fn connect_with(&self, runtime: &str, also: &[&str]) -> Url {
        let names: Vec<String> = (0..also.len()).map(|at| format!("also[{at}]")).collect();
        let fields: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(also.iter().copied()).collect();
        let page = format!("/tokens/{runtime}");
        let answer = self.submit(&page, &format!("/connect/{runtime}"), &fields).await;
        answer.assert_ok();
        forwarded(&answer)
    }

    /// The provider sends the browser back.
    pub async fn come_back(&self, to: &Url) -> Answer {
        let path = &to[url::Position::BeforePath..];
        let ask =
            self.ask(Method::GET, path).header("sec-fetch-site", "cross-site").header("accept", "text/html");
        ask.send().await
    }

    /// Goes to the provider, agrees as `login`, and comes back.
    pub async fn authorize(&self, forge: &Forge, runtime: &str, login: &str) -> Answer {
        let there = self.connect(runtime).await;
        let back = forge.agree(login, &there).await;
        self.come_back(&back).await
    }

    pub async fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.call("person/sign-in", &[("name", name), ("password", password)]).await
    }

    pub fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub fn take_cookie(&self, header: &str) {
        let (name, value) = header.split(';').next().unwrap().split_once('=').unwrap();
        let mut cookies = self.cookies.lock().unwrap();
        if header.contains("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Remembers every answer from now on.
    pub fn heard(mut self) -> Self {
        self.heard = Some(Arc::default());
        self
    }

    /// Its answers are remembered with those of `other`.
    pub fn heard_by(mut self, other: &Self) -> Self {
        self.heard.clone_from(&other.heard);
        self
    }

    /// Headers and bodies of all answers. Without the cookies, which hand out sessions, and the page that forwards,
    /// whose address carries the state to the provider.
    pub fn everything_heard(&self) -> Vec<u8> {
        self.heard.as_ref().map(|heard| heard.lock().unwrap().clone()).unwrap_or_default()
    }

    fn remember(&self, path: &str, headers: &HeaderMap, body: &[u8]) {
        let Some(heard) = &self.heard else { return };
        let mut heard = heard.lock().unwrap();
        for (name, value) in headers.iter().filter(|(name, _)| *name != header::SET_COOKIE) {
            heard.extend_from_slice(name.as_str().as_bytes());
            heard.extend_from_slice(b": ");
            heard.extend_from_slice(value.as_bytes());
            heard.push(b'\n');
        }
        if !path.starts_with("/connect/") {
            heard.extend_from_slice(body);
            heard.push(b'\n');
        }
    }

    /// Another browser, with the same cookies as they are now.
    pub fn copy(&self) -> Self {
        Self {
            router: self.router.clone(),
            public_url: self.public_url.clone(),
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            peer: self.peer,
            heard: self.heard.clone(),
        }
    }
}

/// Where the forwarding page leads.
#[track_caller]
pub fn forwarded(answer: &Answer) -> Url {
    let page = answer.text();
    let start = page.find("content=\"0; url=").expect("no forwarding page") + "content=\"0; url=".len();
    let end = start + page[start..].find('"').unwrap();
    Url::parse(&page[start..end].replace("&amp;", "&")).unwrap()
}
