//! What runtimes and Gitward say to each other under [`BASE`], as JSON: the server writes it, `gitward credential`
//! reads it, and the description at `/runtime/v1/openapi.json` is made of it.
//!
//! | | |
//! |---|---|
//! | `POST /runtime/v1/credential` | [`CredentialRequest`] → 200 [`CredentialAnswer`], or 204 if it is the same |
//! | `POST /runtime/v1/credential/report` | [`Report`] → 200 [`ReportAnswer`] |
//! | `GET /runtime/v1/users` | → 200 [`Users`] |
//! | `GET /runtime/v1/changes?after=…&wait=…` | → 200 [`Changes`], or 204 if nothing has changed by then |
//!
//! Every request carries `Authorization: Bearer gwr_<public id>_<secret>`; cookies count for nothing. Every answer that
//! is not a success is a [`Problem`], of the type `application/problem+json` (RFC 9457). Times are RFC 3339 in UTC.
//! What is unknown in an answer must be ignored: fields and codes may be added.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

/// What all addresses of this version begin with.
pub const BASE: &str = "/runtime/v1";
/// Where credentials are asked for.
pub const CREDENTIAL: &str = "/runtime/v1/credential";
/// Where is told what became of them.
pub const REPORT: &str = "/runtime/v1/credential/report";
/// Who has one.
pub const USERS: &str = "/runtime/v1/users";
/// What is new.
pub const CHANGES: &str = "/runtime/v1/changes";
/// The description for machines.
pub const OPENAPI: &str = "/runtime/v1/openapi.json";
/// The description for people.
pub const DOCS: &str = "/runtime/v1/docs";

/// The longest that [`CHANGES`] waits, in seconds.
pub const LONGEST_WAIT_SECONDS: u32 = 30;

/// Of a user's name, in letters.
const LONGEST_USER: usize = 256;
/// Of an address, in letters.
const LONGEST_GIT_URL: usize = 2048;
/// Of a version or a cursor, in letters. Ours have 16.
const LONGEST_VERSION: usize = 128;

/// What is asked, within the bounds that the description names. Who is outside is not understood.
pub trait Bounded {
    /// Whether it is within them.
    fn is_within_bounds(&self) -> bool;
}

/// Whether a text has so many letters at most, and one at least.
fn is_text(text: &str, longest: usize) -> bool {
    !text.is_empty() && is_at_most(text, longest)
}

/// Letters as JSON Schema counts them: code points.
fn is_at_most(text: &str, longest: usize) -> bool {
    text.chars().nth(longest).is_none()
}

fn is_version(version: Option<&String>) -> bool {
    version.is_none_or(|version| is_at_most(version, LONGEST_VERSION))
}

impl Bounded for CredentialRequest {
    fn is_within_bounds(&self) -> bool {
        is_text(&self.user, LONGEST_USER)
            && is_text(&self.git_url, LONGEST_GIT_URL)
            && is_version(self.version.as_ref())
    }
}

impl Bounded for Report {
    fn is_within_bounds(&self) -> bool {
        is_text(&self.user, LONGEST_USER) && is_version(self.version.as_ref())
    }
}

impl Bounded for ChangesQuery {
    fn is_within_bounds(&self) -> bool {
        is_version(self.after.as_ref()) && self.wait.is_none_or(|wait| wait <= LONGEST_WAIT_SECONDS)
    }
}

/// A secret on its way out or in: never printed. The one type in the house that serialises one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct Released(Zeroizing<String>);

impl Released {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Each call is a place to look at in a review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Released")
    }
}

/// Asks for the credential of one user of this runtime.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialRequest {
    /// The name that the user signs in to Gitward with.
    #[schema(example = "mara", min_length = 1, max_length = 256)]
    pub user: String,
    /// The repository: `https://github.com/acme/gitops.git`. Scheme, host and port must be exactly those of the
    /// runtime's Git provider, the path below the provider's, if it has one; no user name, no password. Where the
    /// provider has no path of its own, its host alone is enough.
    #[schema(example = "https://github.com/acme/gitops.git", min_length = 1, max_length = 2048)]
    pub git_url: String,
    /// The version that the runtime holds. If it is still the one to use, the answer is 204 without a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub version: Option<String>,
}

/// A credential that works, as far as Gitward knows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CredentialAnswer {
    /// Names this very secret, and says nothing about it. Another secret has another version.
    pub version: String,
    /// For Git over HTTPS.
    pub git: GitCredential,
    /// For the provider's REST API.
    pub api: ApiHeader,
    /// The account at the provider.
    pub login: String,
    /// What it may do, in the provider's words; null where the provider does not show it.
    pub scopes: Option<Vec<String>>,
    /// When this secret ends (RFC 3339, UTC); null if never, or unknown. Ask again before that.
    #[schema(format = DateTime, example = "2026-11-22T12:00:00Z")]
    pub expires_at: Option<String>,
    /// The same in seconds from now, at least 60: for those whose clock may be wrong.
    #[schema(minimum = 60)]
    pub expires_in: Option<u64>,
    /// What the user's page says about it.
    pub health: Health,
}

/// What Git over HTTPS asks for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GitCredential {
    /// Always there: where the provider takes any name, one that it takes.
    pub username: String,
    /// The secret.
    pub password: Released,
    /// How the provider wants it shown. Git before version 2.46 knows `basic` alone, which all take.
    pub scheme: Scheme,
}

/// How a secret is shown in `Authorization`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// With the user name (RFC 7617).
    Basic,
    /// Alone (RFC 6750).
    Bearer,
}

/// A header of a request to the provider's REST API.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiHeader {
    /// `Authorization`
    #[schema(example = "Authorization")]
    pub name: String,
    /// With the secret in it.
    pub value: Released,
}

/// What the user's page says about a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Valid,
    /// It works, and ends within 14 days unless its user acts.
    Expiring,
    /// There is none.
    NoToken,
    /// It has ended.
    Expired,
    /// The provider does not know it any more.
    Revoked,
    /// The provider refused it once; it is asked again before that counts.
    Checking,
    /// It lacks scopes that this runtime needs.
    ScopesMissing,
    /// It may not push to the runtime's repository.
    CannotPush,
    /// It does not see the runtime's repository.
    RepositoryHidden,
    /// The organization at the provider wants single sign-on first.
    NeedsSso,
    /// Another account's token waits for the user's decision; the one before serves.
    AnotherAccount,
    /// The provider gave no answer when it was last asked.
    ProviderUnreachable,
    /// The provider limits requests.
    ProviderLimiting,
}

/// What happened with a credential.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The name that the user signs in to Gitward with.
    #[schema(example = "mara", min_length = 1, max_length = 256)]
    pub user: String,
    /// Which one. Without it: the one that this runtime fetched last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub version: Option<String>,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened with a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The runtime has taken it over and holds no older one any more: Gitward may end the one before.
    Used,
    /// The provider refused it. Gitward asks the provider itself; no verdict follows from a report alone.
    Rejected,
}

/// What is known now.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReportAnswer {
    /// The version that is handed out now; null if the user has no token for this runtime. If it is not the one that
    /// the runtime holds, it should fetch it.
    pub version: Option<String>,
}

/// All users of the runtime, by name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Users {
    /// One each.
    pub users: Vec<User>,
}

/// A user of the runtime. Nothing secret.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The name that the user signs in to Gitward with.
    pub user: String,
    /// What the user's page says.
    pub health: Health,
    /// The version that is handed out now; null if there is no token.
    pub version: Option<String>,
    /// The account at the provider, if there is a token.
    pub login: Option<String>,
    /// When its user must act (RFC 3339, UTC), if that is known.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When this runtime last fetched it (RFC 3339, UTC).
    #[schema(format = DateTime)]
    pub fetched_at: Option<String>,
    /// The version that this runtime last said it uses.
    pub used_version: Option<String>,
}

/// What [`CHANGES`] is asked.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    /// The `cursor` of the last answer. Without it the answer comes at once.
    #[param(max_length = 128)]
    pub after: Option<String>,
    /// How many seconds to wait for something to happen; none if left out.
    #[param(minimum = 0, maximum = 30)]
    pub wait: Option<u32>,
}

/// What every user's token is now. Complete each time, so that nothing is missed: whoever is not in it, or has another
/// version than before, has lost what the runtime holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// For the next question.
    pub cursor: String,
    /// By name.
    pub users: Vec<Held>,
}

/// What may be held for one user.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// The name that the user signs in to Gitward with.
    pub user: String,
    /// The version that is handed out now; null if there is none, or none that works: drop what you hold.
    pub version: Option<String>,
}

/// Why not (RFC 9457).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The address of the code's explanation.
    #[serde(rename = "type")]
    #[schema(example = "https://gitward.example.com/runtime/v1/docs#no_token")]
    pub kind: String,
    /// The code in a few words.
    pub title: String,
    /// The answer's status.
    pub status: u16,
    /// What it means here and what to do.
    pub detail: String,
    /// For programs.
    pub code: Code,
    /// Trying again makes sense after so many seconds, as in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal = $status:literal $title:literal,)*) => {
        /// Why there is no answer.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
            /// A code that this program is too old to know.
            #[serde(other)]
            Other,
        }

        impl Code {
            /// All that are ever sent.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The status that goes with it.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Other => 500,
                }
            }

            /// As it is written.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other => "other",
                }
            }

            /// A few words.
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                    Self::Other => "Something else",
                }
            }

            /// What it means and what to do.
            pub fn detail(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*).trim_ascii(),)*
                    Self::Other => "",
                }
            }
        }
    };
}

codes! {
    /// The request is not what the description says: a field is missing, unknown, of another type, or too long.
    Malformed "malformed" = 400 "Not understood",
    /// No key was shown, or none that was ever made here.
    KeyUnknown "key_unknown" = 401 "Unknown key",
    /// The key was revoked, or a rotation replaced it. An admin of the account has the new one.
    KeyRevoked "key_revoked" = 401 "Revoked key",
    /// The runtime of this key is no longer declared, or its account or Git provider isn't.
    RuntimeDisabled "runtime_disabled" = 403 "Disabled runtime",
    /// The address is not at the runtime's own Git provider: scheme, host and port must be exactly the provider's, and
    /// the path below it.
    OtherHost "other_host" = 403 "Another host",
    /// There is nothing at this address.
    NotFound "not_found" = 404 "Nothing here",
    /// The runtime has no such user: there is none of exactly this name, or they are disabled, or no member of its
    /// account.
    UnknownUser "unknown_user" = 404 "Unknown user",
    /// The user has given no token for this runtime. They add one on their page.
    NoToken "no_token" = 404 "No token",
    /// This address takes another method.
    WrongMethod "wrong_method" = 405 "Another method",
    /// The token has ended. Its user must give another one.
    Expired "expired" = 409 "Expired token",
    /// The provider does not know the token any more. Its user must give another one.
    Revoked "revoked" = 409 "Revoked token",
    /// The token has less than 60 seconds to live, and nothing renews it. Its user must give another one.
    EndsSoon "ends_soon" = 409 "Token about to end",
    /// The token must be renewed, and the OAuth app that it was given to is no longer declared in Gitward. Its user
    /// must give another one.
    AppNotDeclared "app_not_declared" = 409 "No OAuth app",
    /// The body is too large.
    TooLarge "too_large" = 413 "Too large",
    /// The body is not `application/json`.
    NotJson "not_json" = 415 "Not JSON",
    /// The address can be read in two ways, or is none over HTTP: it must be plain, without a user name, capital
    /// letters in the host, or anything encoded that leads elsewhere.
    UrlRefused "url_refused" = 422 "Unusable address",
    /// The address is the host alone, and the Git provider is below a path there: name the repository as well.
    PathNeeded "path_needed" = 422 "Path needed",
    /// Too many wrong keys came from this network address.
    TooManyWrongKeys "too_many_wrong_keys" = 429 "Too many wrong keys",
    /// This key waits for changes too many times already.
    TooManyWaiting "too_many_waiting" = 429 "Too many waiting",
    /// A fault in Gitward. Its log says more.
    Internal "internal" = 500 "A fault in Gitward",
    /// The token must be renewed, and the provider could not be asked or did not agree.
    ProviderDown "provider_down" = 503 "Provider unreachable",
    /// The token must be renewed, and the provider limits requests.
    ProviderLimiting "provider_limiting" = 503 "Provider limits requests",
    /// The token was deleted, replaced or renewed while it was about to leave, or the key was revoked. Ask again.
    Overtaken "overtaken" = 503 "Changed meanwhile",
    /// The release could not be written into the audit log, so nothing was released.
    NotRecorded "not_recorded" = 503 "Not recorded",
    /// Gitward's database gives no answer in time.
    Unavailable "unavailable" = 503 "Not available",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_code_is_the_one_on_the_wire() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }
}
