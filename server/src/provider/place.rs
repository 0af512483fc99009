//! Where a provider is, and the ways in: what providers of all kinds have in common.

use std::sync::Arc;

use http::Method;
use url::Url;

use super::{
    Auth, ProviderError, Settings,
    address::below,
    git::{self, Advertisement},
    grant::{Dialect, TokenDoor},
    http::{Gate, OriginError, Question, Reply},
    time::TheirClock,
};
use crate::{
    clock::{Clock, Timestamp},
    id::ProviderId,
    secret::Secret,
};

/// A provider's place.
pub struct Place {
    /// The key in the configuration.
    pub id: ProviderId,
    /// How people call it.
    pub name: String,
    /// What people see, with the path that the product has there, if any: `https://git.example.com/bitbucket`.
    pub base: Url,
    /// Where its API is.
    pub api: Url,
    /// Where it sends people back to after they have authorized.
    pub redirect_uri: Url,
    web_gate: Gate,
    api_gate: Gate,
    clock: Arc<dyn Clock>,
    their_clock: Arc<TheirClock>,
}

impl Place {
    /// Prepares for the addresses; asks nothing. `api` is where the API is, unless the settings say otherwise.
    ///
    /// # Errors
    /// If credentials must not go to one of the addresses.
    pub fn new(settings: Settings, default_name: &str, api: Url) -> Result<Self, OriginError> {
        let api = settings.api_url.unwrap_or(api);
        let their_clock = Arc::new(TheirClock::new(Arc::clone(&settings.clock)));
        let http = settings.http.noting(Arc::clone(&their_clock));
        Ok(Self {
            id: settings.id,
            name: settings.name.unwrap_or_else(|| default_name.to_owned()),
            web_gate: http.gate(&settings.base_url)?,
            api_gate: http.gate(&api)?,
            base: settings.base_url,
            api,
            redirect_uri: settings.redirect_uri,
            clock: settings.clock,
            their_clock,
        })
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What time it is there when it is `now` here: the same, unless the clocks differ by minutes.
    pub fn there(&self, now: Timestamp) -> Timestamp {
        self.their_clock.at(now)
    }

    /// Whether it has said in this process what time it is: until then, no end is news.
    pub fn is_time_known(&self) -> bool {
        self.their_clock.is_known()
    }

    /// As if an answer had come just now that says what time it is there.
    #[cfg(test)]
    pub(crate) fn heard(&self, date: Timestamp) {
        self.their_clock.saw(date);
    }

    /// Whether an end has come: here and there, because a token that works must not be called over.
    pub fn is_over(&self, end: Timestamp, now: Timestamp) -> bool {
        end <= now && end <= self.there(now)
    }

    /// All origins that get to see credentials.
    pub fn origins(&self) -> [&str; 2] {
        [self.api_gate.origin(), self.web_gate.origin()]
    }

    /// A question to the API.
    pub fn question<'a>(&self, path: impl IntoIterator<Item = &'a str>, label: &'static str) -> Question {
        self.request(Method::GET, path, label)
    }

    /// The same with another verb.
    pub fn request<'a>(
        &self,
        verb: Method,
        path: impl IntoIterator<Item = &'a str>,
        label: &'static str,
    ) -> Question {
        Question::new(verb, below(&self.api, path), label)
    }

    /// Asks the API or a page with a secret, which is shown as `auth` says.
    ///
    /// # Errors
    /// If there is no answer. Any status is one.
    pub async fn ask(
        &self,
        question: Question,
        auth: &Auth,
        secret: &Secret,
    ) -> Result<Reply, ProviderError> {
        let gate = if self.api_gate.leads_to(&question) { &self.api_gate } else { &self.web_gate };
        let label = question.label();
        let reply = gate.send(question.auth(auth, secret)).await;
        reply.map_err(|fault| ProviderError::Unreachable(fault.evidence(label)))
    }

    /// Asks the API or a page without showing anything in a header.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_openly(&self, question: Question) -> Result<Reply, ProviderError> {
        let gate = if self.api_gate.leads_to(&question) { &self.api_gate } else { &self.web_gate };
        let label = question.label();
        gate.send(question).await.map_err(|fault| ProviderError::Unreachable(fault.evidence(label)))
    }

    /// Asks Git whether a token may push. `path` leads to the repository, without `.git`.
    pub async fn ask_git(&self, path: &[&str], auth: &Auth, token: &Secret) -> Advertisement {
        let (name, above) = path.split_last().map_or(("", path), |(name, above)| (*name, above));
        let name = format!("{name}.git");
        let clone_url = below(&self.base, above.iter().copied().chain([name.as_str()]));
        git::ask(&self.web_gate, &clone_url, auth, token).await
    }

    /// Where codes and refresh tokens are exchanged.
    pub fn token_url(&self, dialect: &Dialect) -> Url {
        below(&self.base, dialect.path.iter().copied())
    }

    /// The way there.
    pub fn token_endpoint(&self, dialect: &'static Dialect) -> TokenDoor<'_> {
        TokenDoor {
            gate: &self.web_gate,
            url: self.token_url(dialect),
            redirect_uri: &self.redirect_uri,
            clock: &*self.clock,
            dialect,
        }
    }

    /// What most call themselves as an issuer (RFC 9207): their address, without a slash at its end.
    pub fn own_issuer(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}
