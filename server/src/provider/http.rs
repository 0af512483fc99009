//! The only way out: every request to a provider, or to a webhook, goes through a [`Gate`], which leads to one origin.
//!
//! Redirects are not followed, no proxy is taken from the environment, answers are limited in time and size,
//! forbidden addresses are never connected to (see [`address`]). What goes wrong is told in a few words that hold no
//! header, body or address.

use std::{error::Error, fmt, io, net::IpAddr, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use serde::de::DeserializeOwned;
use url::{Host, Url};
use zeroize::Zeroizing;

pub(crate) use self::address::Lookup;
use self::address::{Forbidden, Guard, SystemLookup, Unknown};
use super::{Auth, time::TheirClock};
use crate::{credential::Evidence, scope::ScopeSet, secret::Secret};

pub mod address;
#[cfg(test)]
pub(crate) mod tests;

const USER_AGENT: &str = concat!("Gitward/", env!("CARGO_PKG_VERSION"));

/// How long a connection is kept for the next question.
const IDLE: Duration = Duration::from_secs(20);

/// How the outside is reached.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// For `https` only: plain `http` goes to this machine alone. A proxy resolves names itself, so behind one only
    /// addresses written as numbers are checked.
    pub proxy: Option<Url>,
    /// Certificates to trust besides the usual ones, as PEM.
    pub roots: Vec<u8>,
    /// Until there is a connection.
    pub connect_timeout: Duration,
    /// Until the last byte of an answer.
    pub timeout: Duration,
    /// Bytes of an answer's body.
    pub body_limit: usize,
    /// Also not to this machine nor into private networks: for addresses that users name.
    pub public_only: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            proxy: None,
            roots: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            body_limit: 256 * 1024,
            public_only: false,
        }
    }
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The extra certificates.
    #[error("the extra certificates are not certificates in PEM form")]
    Roots,
    /// The proxy.
    #[error("the proxy's address cannot be used")]
    Proxy,
    /// All the rest.
    #[error("the HTTP client could not be built")]
    Build,
}

/// Why an address is not one to send credentials to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OriginError {
    /// Neither `https` nor, on this machine, `http`.
    #[error("must begin with https:// (http:// is for this machine only)")]
    Scheme,
    /// `https://name:password@host`.
    #[error("must not hold a name or a password")]
    Userinfo,
    /// `?a=b` or `#a`.
    #[error("must not hold a query or a fragment")]
    Query,
    /// Nothing to connect to.
    #[error("has no host")]
    Host,
    /// Link-local and the like.
    #[error("is an address that is never connected to")]
    Forbidden,
}

/// The client of one provider.
#[derive(Clone)]
pub struct Outgoing {
    client: reqwest::Client,
    connect_timeout: Duration,
    timeout: Duration,
    body_limit: usize,
    public_only: bool,
    their_clock: Option<Arc<TheirClock>>,
}

impl Outgoing {
    /// Builds it.
    ///
    /// # Errors
    /// If the certificates or the proxy are no such things.
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpError> {
        Self::with_lookup(settings, Arc::new(SystemLookup))
    }

    pub(crate) fn with_lookup(settings: &HttpSettings, lookup: Arc<dyn Lookup>) -> Result<Self, HttpError> {
        let mut builder = reqwest::Client::builder()
            .use_rustls_tls()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .default_headers(HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            // A question that spends something is asked once: no second try, and hardly ever a connection that the
            // other side is about to close.
            .retry(reqwest::retry::never())
            .pool_idle_timeout(IDLE)
            .dns_resolver(Arc::new(Guard { lookup, public_only: settings.public_only }));
        if !settings.roots.is_empty() {
            let roots =
                reqwest::Certificate::from_pem_bundle(&settings.roots).map_err(|_| HttpError::Roots)?;
            if roots.is_empty() {
                return Err(HttpError::Roots);
            }
            for root in roots {
                builder = builder.add_root_certificate(root);
            }
        }
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::https(proxy.clone()).map_err(|_| HttpError::Proxy)?;
            builder = builder.proxy(proxy);
        }
        Ok(Self {
            client: builder.build().map_err(|_| HttpError::Build)?,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            body_limit: settings.body_limit,
            public_only: settings.public_only,
            their_clock: None,
        })
    }

    /// Notes what time it is there.
    #[must_use]
    pub fn noting(mut self, their_clock: Arc<TheirClock>) -> Self {
        self.their_clock = Some(their_clock);
        self
    }

    /// The gate to the origin of `base`; a path is allowed and ignored.
    ///
    /// # Errors
    /// If credentials must not go there.
    pub fn gate(&self, base: &Url) -> Result<Gate, OriginError> {
        check_base(base, self.public_only)?;
        Ok(Gate { outgoing: self.clone(), origin: base.origin().ascii_serialization() })
    }
}

/// Whether an address may be one to send to.
pub(crate) fn check_base(base: &Url, public_only: bool) -> Result<(), OriginError> {
    let host = base.host().ok_or(OriginError::Host)?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(OriginError::Userinfo);
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(OriginError::Query);
    }
    let (ip, local): (Option<IpAddr>, bool) = match host {
        Host::Ipv4(ip) => (Some(ip.into()), ip.is_loopback()),
        Host::Ipv6(ip) => (Some(ip.into()), IpAddr::from(ip).to_canonical().is_loopback()),
        Host::Domain(name) => (None, address::is_localhost(name)),
    };
    let private = public_only && (local || ip.is_some_and(address::is_private));
    if private || ip.is_some_and(address::is_forbidden) {
        return Err(OriginError::Forbidden);
    }
    match base.scheme() {
        "https" => Ok(()),
        "http" if local => Ok(()),
        _ => Err(OriginError::Scheme),
    }
}

/// Leads to one origin and no other.
#[derive(Clone)]
pub struct Gate {
    outgoing: Outgoing,
    origin: String,
}

impl Gate {
    /// `https://host` or `https://host:port`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether a question is one for this origin.
    pub fn leads_to(&self, question: &Question) -> bool {
        question.url.origin().ascii_serialization() == self.origin
    }

    /// Asks, once.
    ///
    /// # Errors
    /// If there is no complete answer within the limits. Any status is an answer.
    pub async fn send(&self, question: Question) -> Result<Reply, Fault> {
        if !self.leads_to(&question)
            || !question.url.username().is_empty()
            || question.url.password().is_some()
        {
            return Err(Fault::Elsewhere);
        }
        if question.unfit {
            return Err(Fault::Unfit);
        }
        // The client has the same limit, but as one timer per connection attempt and one per body: this is the sum.
        tokio::time::timeout(self.outgoing.timeout, self.exchange(question))
            .await
            .unwrap_or(Err(Fault::Silence(self.outgoing.timeout)))
    }

    async fn exchange(&self, question: Question) -> Result<Reply, Fault> {
        let request = self
            .outgoing
            .client
            .request(question.method, question.url)
            .headers(question.headers)
            .body(question.body);
        let mut response = request.send().await.map_err(|error| self.fault(&error))?;
        if let Some(their_clock) = &self.outgoing.their_clock {
            their_clock.note(response.headers());
        }
        let mut reply = Reply {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: Zeroizing::new(Vec::new()),
        };
        let read = match question.body_wanted {
            Wanted::Always => true,
            Wanted::OfFailures => !reply.status.is_success(),
            Wanted::Never => false,
        };
        if !read {
            return Ok(reply);
        }
        let limit = self.outgoing.body_limit;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(&error))? {
            if chunk.len() > limit - reply.body.len() {
                return Err(Fault::TooLarge(limit));
            }
            reply.body.extend_from_slice(&chunk);
        }
        Ok(reply)
    }

    fn fault(&self, error: &reqwest::Error) -> Fault {
        if error.is_timeout() {
            return if error.is_connect() {
                Fault::NoConnection(self.outgoing.connect_timeout)
            } else {
                Fault::Silence(self.outgoing.timeout)
            };
        }
        let mut next: Option<&(dyn Error + 'static)> = error.source();
        while let Some(cause) = next {
            if cause.is::<Forbidden>() {
                return Fault::Address;
            }
            if cause.is::<Unknown>() {
                return Fault::Name;
            }
            next = cause.source();
            if let Some(cause) = cause.downcast_ref::<io::Error>() {
                match cause.kind() {
                    io::ErrorKind::ConnectionRefused => return Fault::Refused,
                    // How the TLS library reports certificates and nonsense.
                    io::ErrorKind::InvalidData if error.is_connect() => return Fault::Trust,
                    _ => {}
                }
                // Its `source` would skip one.
                next = cause.get_ref().map(|inner| inner as &(dyn Error + 'static)).or(next);
            }
        }
        if error.is_connect() { Fault::Unconnected } else { Fault::Dropped }
    }
}

/// What is asked.
pub struct Question {
    /// For the evidence: `GET /user`.
    label: &'static str,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    body_wanted: Wanted,
    unfit: bool,
}

/// Whether an answer's body matters. What does not is not read, however long it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    Always,
    OfFailures,
    Never,
}

impl Question {
    /// A question called `label` in evidence.
    pub fn new(method: Method, url: Url, label: &'static str) -> Self {
        Self {
            label,
            method,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            body_wanted: Wanted::Always,
            unfit: false,
        }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With all these headers.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(value.to_string().into_bytes())
    }

    /// With a form as its body.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.header(CONTENT_TYPE, kind).body(body.into_bytes())
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// The body of a good answer does not matter, however long it is. Of others it may tell why.
    #[must_use]
    pub fn headers_only(mut self) -> Self {
        self.body_wanted = Wanted::OfFailures;
        self
    }

    /// The body of no answer matters.
    #[must_use]
    pub fn status_only(mut self) -> Self {
        self.body_wanted = Wanted::Never;
        self
    }

    /// `Authorization: Bearer` (RFC 6750, section 2.1).
    fn bearer(self, token: &Secret) -> Self {
        let value = Zeroizing::new(format!("Bearer {}", token.expose()));
        self.authorization(&value)
    }

    /// `Authorization: Basic` (RFC 7617).
    fn basic(self, user: &str, password: &Secret) -> Self {
        let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        self.authorization(&value)
    }

    /// As [`Auth`] says.
    #[must_use]
    pub fn auth(self, auth: &Auth, token: &Secret) -> Self {
        match auth {
            Auth::Bearer => self.bearer(token),
            Auth::Basic { user_name } => self.basic(user_name, token),
        }
    }

    fn authorization(mut self, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.unfit = true,
        }
        self
    }

    /// How it is called in evidence.
    pub fn label(&self) -> &'static str {
        self.label
    }
}

/// What came back. Without `Debug`: a body may hold tokens.
pub struct Reply {
    /// Of the status line.
    pub status: StatusCode,
    /// All of them.
    pub headers: HeaderMap,
    /// All of it; empty if only the headers were wanted and the answer is a good one.
    pub body: Zeroizing<Vec<u8>>,
}

impl Reply {
    /// The body, if it is JSON of that form.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        // The error is dropped: it quotes the body.
        serde_json::from_slice(&self.body).ok()
    }

    /// A header that is there once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        values.next().is_none().then(|| first.to_str().ok()).flatten()
    }

    /// The content type without its parameters, in lower case.
    pub fn content_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }
}

/// A header that lists scopes: `None` if there is no such header, or one that is no text.
pub fn scopes_in(headers: &HeaderMap, name: &str) -> Option<ScopeSet> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.map(|value| value.to_str().ok()).collect::<Option<Vec<_>>>()?;
    Some(ScopeSet::parse(&texts.join(",")))
}

/// Why there is no answer. Shown as what was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nobody took the connection in that time.
    NoConnection(Duration),
    /// The answer was not complete in that time.
    Silence(Duration),
    /// No address for the name.
    Name,
    /// Only addresses that are never connected to, or not from here.
    Address,
    /// Nobody listens.
    Refused,
    /// No connection, for another reason.
    Unconnected,
    /// No TLS, or a certificate that is not trusted.
    Trust,
    /// The connection ended early, or was no HTTP.
    Dropped,
    /// More than that many bytes.
    TooLarge(usize),
    /// Not this gate's origin: nothing was sent.
    Elsewhere,
    /// A credential that no header can hold: nothing was sent.
    Unfit,
}

impl Fault {
    /// Whether the question may have arrived.
    pub const fn was_sent(self) -> bool {
        match self {
            Self::Silence(_) | Self::Dropped | Self::TooLarge(_) => true,
            Self::NoConnection(_)
            | Self::Name
            | Self::Address
            | Self::Refused
            | Self::Unconnected
            | Self::Trust
            | Self::Elsewhere
            | Self::Unfit => false,
        }
    }

    /// As evidence.
    pub fn evidence(self, label: impl Into<String>) -> Evidence {
        Evidence::new(label, self.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(span) => write!(f, "no connection in {} s", span.as_secs_f64()),
            Self::Silence(span) => write!(f, "no answer in {} s", span.as_secs_f64()),
            Self::Name => f.write_str("no address for the host's name"),
            Self::Address => f.write_str("the host's address is one that is never connected to"),
            Self::Refused => f.write_str("connection refused"),
            Self::Unconnected => f.write_str("no connection"),
            Self::Trust => f.write_str("no connection that can be trusted"),
            Self::Dropped => f.write_str("connection lost"),
            Self::TooLarge(limit) => write!(f, "more than {} KiB", limit / 1024),
            Self::Elsewhere => f.write_str("not asked: another host"),
            Self::Unfit => f.write_str("not asked: it holds characters that cannot be sent"),
        }
    }
}
