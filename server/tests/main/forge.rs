//! The simulated Git host, in this process.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header},
};
use forge::{Host, Shape, SharedHost};
use serde_json::{Value, json};
use server::clock::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceExt;
use url::Url;

mod backend;

/// A Git host on a port of its own; ends with the test.
pub struct Forge {
    host: SharedHost,
    router: Router,
    /// Without a slash at the end; with the path below which it lives.
    pub url: String,
    pub port: u16,
    serving: JoinHandle<()>,
}

/// A token as the host made it.
pub struct Made {
    pub id: u64,
    pub token: String,
}

impl Forge {
    pub async fn start() -> Self {
        Self::of(Shape::Github).await
    }

    /// A host that speaks another dialect.
    pub async fn of(shape: Shape) -> Self {
        Self::start_as(shape, Vec::new()).await
    }

    /// `redirect_uris`: where its apps may send people back to; any port of this machine if there are none.
    pub async fn start_for(redirect_uris: Vec<String>) -> Self {
        Self::start_as(Shape::Github, redirect_uris).await
    }

    /// With real repositories below this folder: the host decides who may, Git itself does the rest.
    pub async fn with_repositories(folder: PathBuf) -> Self {
        Self::start_in_front_of(Shape::Github, Vec::new(), Some(folder)).await
    }

    async fn start_as(shape: Shape, redirect_uris: Vec<String>) -> Self {
        Self::start_in_front_of(shape, redirect_uris, None).await
    }

    async fn start_in_front_of(
        shape: Shape,
        redirect_uris: Vec<String>,
        repositories: Option<PathBuf>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host: SharedHost = Arc::new(Host::new(shape, &format!("http://127.0.0.1:{port}"), redirect_uris));
        let router = forge::router(&host);
        let served = match repositories {
            Some(folder) => backend::in_front_of(folder, router.clone()),
            None => router.clone(),
        };
        let serving = tokio::spawn(forge::serve(listener, served));
        Self { url: host.public_url.clone(), host, router, port, serving }
    }

    /// Asks the control room.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("/_forge/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert!(response.status().is_success(), "{path} {body}: {}", response.status());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() }
    }

    /// Makes a token: `{"user": …, "kind": …, "scopes": […]}`.
    pub async fn make(&self, wanted: Value) -> Made {
        let made = self.control(Method::POST, "tokens", wanted).await;
        Made { id: made["id"].as_u64().unwrap(), token: made["token"].as_str().unwrap().to_owned() }
    }

    /// A classic token of `octocat` that may do all that runtimes need.
    pub async fn good_token(&self) -> Made {
        self.token_of("octocat").await
    }

    /// The same of somebody else.
    pub async fn token_of(&self, login: &str) -> Made {
        self.make(json!({ "user": login, "kind": "classic", "scopes": ["repo"] })).await
    }

    /// The secrets of all tokens that it ever issued.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.host.state();
        let refresh = state
            .tokens
            .iter()
            .filter_map(|token| token.refresh.as_ref())
            .map(|refresh| refresh.secret.clone());
        state.tokens.iter().map(|token| token.secret.clone()).chain(refresh).collect()
    }

    pub async fn change(&self, id: u64, mut change: Value) {
        change["id"] = json!(id);
        self.control(Method::POST, "tokens/change", change).await;
    }

    pub async fn revoke(&self, id: u64) {
        self.change(id, json!({ "revoked": true })).await;
    }

    /// All tokens ever made, without their secrets.
    pub async fn tokens(&self) -> Vec<Value> {
        self.control(Method::GET, "tokens", Value::Null).await.as_array().unwrap().clone()
    }

    /// Switches a fault on.
    pub async fn fault(&self, fault: Value) {
        self.control(Method::POST, "faults", fault).await;
    }

    pub async fn heal(&self) {
        self.control(Method::DELETE, "faults", Value::Null).await;
    }

    pub async fn set(&self, settings: Value) {
        self.control(Method::POST, "settings", settings).await;
    }

    /// The same time as in the test, whatever the machine's clock says.
    pub async fn set_clock(&self, now: Timestamp) {
        let theirs = self.control(Method::GET, "clock", Value::Null).await;
        let theirs = OffsetDateTime::parse(theirs["now"].as_str().unwrap(), &Rfc3339).unwrap();
        let ahead = now.seconds() - theirs.unix_timestamp();
        self.control(Method::POST, "clock", json!({ "advance_seconds": ahead })).await;
    }

    pub async fn advance(&self, seconds: u64) {
        self.control(Method::POST, "clock", json!({ "advance_seconds": seconds })).await;
    }

    /// Forgets what was asked.
    pub async fn forget_requests(&self) {
        self.control(Method::DELETE, "requests", Value::Null).await;
    }

    /// What was asked, as `GET /user` and as the host lists it.
    async fn listed(&self) -> Vec<(String, Value)> {
        let requests = self.control(Method::GET, "requests", Value::Null).await;
        let named = |request: &Value| {
            let name =
                format!("{} {}", request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
            (name, request.clone())
        };
        requests.as_array().unwrap().iter().map(named).collect()
    }

    /// What was asked, as `GET /user`.
    pub async fn requests(&self) -> Vec<String> {
        self.listed().await.into_iter().map(|(name, _)| name).collect()
    }

    /// The user name of each time that it was asked, if there was one.
    pub async fn names(&self, request: &str) -> Vec<Option<String>> {
        let listed = self.listed().await.into_iter().filter(|(name, _)| name == request);
        listed.map(|(_, asked)| asked["basic_user"].as_str().map(str::to_owned)).collect()
    }

    /// How often that was asked.
    pub async fn asked(&self, request: &str) -> usize {
        self.requests().await.iter().filter(|asked| *asked == request).count()
    }

    /// Somebody signs in there, agrees to what the address asks for, and is sent back: to this address.
    pub async fn agree(&self, login: &str, authorize: &Url) -> Url {
        self.decide(login, authorize, "authorize").await
    }

    /// The same, but says no.
    pub async fn cancel(&self, login: &str, authorize: &Url) -> Url {
        self.decide(login, authorize, "cancel").await
    }

    async fn decide(&self, login: &str, authorize: &Url, decision: &str) -> Url {
        let signed_in =
            self.form(&self.host.path("/login"), None, &[("login", login), ("password", login)]).await;
        let cookie = signed_in.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let mut form: Vec<(String, String)> = authorize.query_pairs().into_owned().collect();
        let scopes = form.iter().find(|(name, _)| name == "scope").map(|(_, scopes)| scopes.clone());
        for scope in scopes.unwrap_or_default().split_whitespace() {
            form.push(("grant".to_owned(), scope.to_owned()));
        }
        form.push(("decision".to_owned(), decision.to_owned()));
        let form: Vec<(&str, &str)> =
            form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = self.form(authorize.path(), Some(&cookie), &form).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "the host sends people back");
        Url::parse(answer.headers()[header::LOCATION].to_str().unwrap()).unwrap()
    }

    async fn form(
        &self,
        path: &str,
        cookie: Option<&str>,
        form: &[(&str, &str)],
    ) -> axum::response::Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, cookie);
        }
        self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
