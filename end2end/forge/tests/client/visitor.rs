//! A client of a fresh host: machine, person with a cookie, or test with the control room.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forge::{Host, Shape};
use serde_json::Value;
use tower::ServiceExt;
use url::Url;

/// A host and the cookie its person holds.
pub struct Visitor {
    pub router: Router,
    /// The path below which everything but the control room is.
    pub context: String,
    cookie: Option<String>,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn location(&self) -> Url {
        let location = self.header("location").unwrap();
        Url::parse("http://localhost:4001").unwrap().join(location).unwrap()
    }

    /// A parameter of the address that the answer redirects to.
    pub fn sent_back(&self, name: &str) -> Option<String> {
        self.location().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

impl Visitor {
    pub fn of(shape: Shape) -> Self {
        Self::with_redirects(shape, &[])
    }

    pub fn with_redirects(shape: Shape, redirects: &[&str]) -> Self {
        Self::at(shape, "http://localhost:4001", redirects)
    }

    pub fn at(shape: Shape, public_url: &str, redirects: &[&str]) -> Self {
        let redirects = redirects.iter().map(|redirect| (*redirect).to_owned()).collect();
        let host = Arc::new(Host::new(shape, public_url, redirects));
        Self { router: forge::router(&host), context: host.context.clone(), cookie: None }
    }

    pub fn github() -> Self {
        Self::of(Shape::Github)
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn get_with(&self, token: &str, path: &str) -> Answer {
        self.send("GET", path, &[("authorization", &format!("Bearer {token}"))], "").await
    }

    pub async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
        self.send("POST", path, &headers, &body).await
    }

    pub async fn json(&self, method: &str, path: &str, auth: Option<&str>, body: Value) -> Answer {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(auth.map(|auth| ("authorization", auth)));
        self.send(method, path, &headers, &body.to_string()).await
    }

    /// Tells the control room something.
    pub async fn control(&self, room: &str, body: Value) -> Value {
        let answer = self.json("POST", &format!("/_forge/{room}"), None, body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        serde_json::from_str(&answer.text).unwrap_or(Value::Null)
    }

    /// A token as the control room makes it.
    pub async fn token(&self, wanted: Value) -> String {
        self.control("tokens", wanted).await["token"].as_str().unwrap().to_owned()
    }

    pub async fn sign_in(&mut self, login: &str) {
        let path = format!("{}/login", self.context);
        let answer = self.form(&path, &[("login", login), ("password", login)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap();
        self.cookie = Some(cookie.to_owned());
    }
}

/// The secret on the page after a token was made.
pub fn shown_once(answer: &Answer) -> String {
    let rest = answer.text.split_once("id=\"new-token\" value=\"").unwrap().1;
    rest.split_once('"').unwrap().0.to_owned()
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
