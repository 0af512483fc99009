//! What Bitbucket's answers mean. Only what is written here as a refusal is one.
//!
//! It has no question like "who am I?" in its API. But every answer tells whom it takes the sender for: `X-AUSERNAME` and
//! `X-AUSERID`, and neither to a visitor without a token. Its 401 stands for "not permitted" as often as for "wrong
//! token"; these headers, and the name of the exception, tell which.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    credential::{Evidence, shown_name},
    provider::{ProviderError, http::Reply, limit::Limit},
};

const NAME: &str = "x-ausername";
const ID: &str = "x-auserid";
/// On every answer of Atlassian's own.
const REQUEST: &str = "x-arequestid";

/// `GET /rest/api/latest/application-properties`: what it holds of no interest, but a page that is not Bitbucket's would not
/// have.
#[derive(Deserialize)]
struct Properties {
    version: String,
    #[serde(rename = "buildNumber")]
    build_number: String,
    #[serde(rename = "displayName")]
    display_name: String,
}

impl Properties {
    fn are_usable(&self) -> bool {
        [&self.version, &self.build_number, &self.display_name].iter().all(|text| !text.is_empty())
    }
}

/// What the API says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    errors: Vec<Mistake>,
}

#[derive(Deserialize)]
struct Mistake {
    #[serde(rename = "exceptionName")]
    exception: Option<String>,
    /// There always, and nobody's business here.
    message: Option<Value>,
}

/// What a 401 is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Complaint {
    /// The token.
    Token,
    /// The account has no license for Bitbucket: it may do nothing, whatever its token may.
    License,
    /// Too many wrong passwords: the account must prove itself on a web page first.
    Captcha,
    /// A right that the sender does not have, be it a user or a visitor.
    Right,
    /// Something else: a directory of users that is down, for instance.
    Other,
}

impl Complaint {
    fn of(reply: &Reply) -> Option<Self> {
        let refusal = reply.json::<Refusal>().filter(|refusal| {
            !refusal.errors.is_empty() && refusal.errors.iter().all(|mistake| mistake.message.is_some())
        })?;
        let complaints: Vec<Self> =
            refusal.errors.iter().map(|mistake| Self::by_exception(mistake.exception.as_deref())).collect();
        // Several at once were never seen. The one that takes nothing from anybody counts.
        let order = [Self::Captcha, Self::Other, Self::License, Self::Right, Self::Token];
        order.into_iter().find(|complaint| complaints.contains(complaint))
    }

    /// By the name of a Java class of Atlassian's, such as
    /// `com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException`
    /// (<https://docs.atlassian.com/bitbucket-server/javadoc/latest/api/com/atlassian/bitbucket/auth/package-summary.html>).
    /// None where the API itself refuses, rather than what is below it.
    fn by_exception(name: Option<&str>) -> Self {
        let Some(name) = name else { return Self::Right };
        let Some((package, class)) =
            name.rsplit_once('.').filter(|(package, _)| package.starts_with("com.atlassian."))
        else {
            return Self::Other;
        };
        match class {
            "AuthorisationException" | "AuthenticationRequiredException" => Self::Right,
            "CaptchaRequiredAuthenticationException" => Self::Captcha,
            "NoAccessAuthenticationException" => Self::License,
            _ if package.ends_with(".auth") && class.ends_with("AuthenticationException") => Self::Token,
            _ => Self::Other,
        }
    }
}

/// Whose a token is.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct User {
    /// As the user signs in.
    pub name: String,
    /// A number.
    pub id: Option<String>,
}

impl User {
    /// As the headers tell; `None` if they do not, or not clearly.
    fn of(reply: &Reply) -> Option<Self> {
        let name = shown_name(&percent_decoded(reply.header(NAME)?))?.to_owned();
        let id = reply.header(ID).map(str::trim).filter(|id| {
            // Zero is nobody.
            id.len() <= 19
                && id.bytes().all(|byte| byte.is_ascii_digit())
                && !id.trim_start_matches('0').is_empty()
        });
        Some(Self { name, id: id.map(str::to_owned) })
    }
}

/// Names come percent-encoded: `jane%40example.com`. What is not, or not rightly, is left as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match tail {
            [high, low, after @ ..] if *first == b'%' => {
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return text.to_owned() };
                bytes.push(high * 16 + low);
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// What the first question brought.
#[derive(Debug)]
pub(super) enum Told {
    /// The token is this user's.
    User(User),
    /// The answer is Bitbucket's, and tells of no user. What that comes to, unless there is another way to know.
    Nobody(ProviderError),
}

/// Whom Bitbucket takes the sender for, by its answer to a question that everybody may ask.
pub(super) fn told(label: &str, reply: &Reply, now: Timestamp) -> Result<Told, ProviderError> {
    let evidence = |answer: &str| Evidence::new(label, answer);
    if let Some(limit) = limit(reply, now) {
        return Err(limit.error(label, reply));
    }
    let user = User::of(reply);
    match reply.status {
        StatusCode::OK => {
            if !reply.json::<Properties>().is_some_and(|properties| properties.are_usable()) {
                return Err(ProviderError::Unreachable(evidence(
                    "a page that is no JSON, or not Bitbucket's",
                )));
            }
        }
        StatusCode::UNAUTHORIZED => match Complaint::of(reply) {
            None => return Err(ProviderError::Unreachable(evidence("401, a page that is not Bitbucket's"))),
            Some(Complaint::Token) if user.is_some() => {
                return Err(ProviderError::Unreachable(evidence("401, and yet it knows the user")));
            }
            Some(Complaint::Token) => return Err(ProviderError::Rejected(evidence("401"))),
            Some(Complaint::License) => {
                return Err(ProviderError::Blocked {
                    why: "the account has no license for it",
                    evidence: evidence("401, the account has no license"),
                });
            }
            Some(Complaint::Other) if user.is_none() => {
                return Err(ProviderError::Unreachable(evidence("401, for a reason of its own")));
            }
            // The limit is past.
            Some(Complaint::Captcha | Complaint::Right | Complaint::Other) => {}
        },
        _ => return Err(ProviderError::Unreachable(evidence(reply.status.as_str()))),
    }
    if let Some(user) = user {
        return Ok(Told::User(user));
    }
    // Only an answer that has its other header, and none of this kind, says that there is no user.
    let visitor = reply.headers.contains_key(REQUEST) && !reply.headers.contains_key(NAME);
    Ok(Told::Nobody(if visitor {
        // A token that is not known; or one that something in between has taken out.
        ProviderError::Rejected(evidence(&format!(
            "{}, as to a visitor without a token",
            reply.status.as_str()
        )))
    } else {
        ProviderError::Unreachable(evidence("an answer that does not tell whose the token is"))
    }))
}

/// What the second question brought: a name, or nothing for a visitor, as text.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum WhoAmI {
    User(String),
    Nobody,
    /// Somebody else answered, or the page is switched off.
    Untold,
}

pub(super) fn who_am_i(label: &str, reply: &Reply, now: Timestamp) -> Result<WhoAmI, ProviderError> {
    if let Some(limit) = limit(reply, now) {
        return Err(limit.error(label, reply));
    }
    if reply.status.is_server_error() {
        return Err(ProviderError::Unreachable(Evidence::new(label, reply.status.as_str())));
    }
    if reply.status != StatusCode::OK || reply.content_type().as_deref() != Some("text/plain") {
        return Ok(WhoAmI::Untold);
    }
    let Ok(text) = std::str::from_utf8(&reply.body) else { return Ok(WhoAmI::Untold) };
    if text.trim().is_empty() {
        return Ok(WhoAmI::Nobody);
    }
    Ok(shown_name(text).map_or(WhoAmI::Untold, |name| WhoAmI::User(name.to_owned())))
}

/// `GET /rest/api/latest/users/{slug}`.
#[derive(Deserialize)]
struct Account {
    id: u64,
    name: String,
}

/// A user's name as addresses have it.
pub(super) fn slug(name: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.to_lowercase().chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

/// The number of the account with that name.
pub(super) fn id_of(label: &str, reply: &Reply, name: &str, now: Timestamp) -> Result<String, ProviderError> {
    let evidence = |answer: &str| Evidence::new(label, answer);
    if let Some(limit) = limit(reply, now) {
        return Err(limit.error(label, reply));
    }
    if reply.status != StatusCode::OK {
        return Err(ProviderError::Unreachable(evidence(reply.status.as_str())));
    }
    // Two names may have one form in addresses.
    let account = reply
        .json::<Account>()
        .filter(|account| account.id != 0 && account.name.to_lowercase() == name.to_lowercase());
    match account {
        Some(account) => Ok(account.id.to_string()),
        None => Err(ProviderError::Unreachable(evidence("a page that is no JSON, or another user's"))),
    }
}

/// Whether an answer is about the number of requests or of wrong passwords, and if so until when
/// (<https://confluence.atlassian.com/bitbucketserver086/improving-instance-stability-with-rate-limiting-1188783544.html>).
pub(super) fn limit(reply: &Reply, now: Timestamp) -> Option<Limit> {
    let locked = || {
        // https://developer.atlassian.com/server/bitbucket/how-tos/example-basic-authentication/
        reply
            .header("x-authentication-denied-reason")
            .is_some_and(|reason| reason.to_ascii_uppercase().contains("CAPTCHA"))
            || Complaint::of(reply) == Some(Complaint::Captcha)
    };
    let is_limit = matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && locked();
    Limit::of(reply, now, is_limit, None)
}

/// Whether Git's answer says that this token may not push, though not yet why. 403 is for those who see the repository
/// (<https://support.atlassian.com/bitbucket-data-center/kb/git-push-returns-error-code-403-in-bitbucket-server-data-center/>).
pub(super) fn refuses_push(reply: &Reply, now: Timestamp) -> bool {
    if limit(reply, now).is_some() {
        return false;
    }
    match reply.status {
        StatusCode::UNAUTHORIZED => User::of(reply).is_some(),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            // A page for people is somebody else's, a gateway's for instance, unless it knows the user.
            reply.content_type().as_deref() != Some("text/html") || User::of(reply).is_some()
        }
        _ => false,
    }
}

/// `GET /rest/api/latest/projects/{key}/repos/{slug}`.
#[derive(Deserialize)]
struct Repository {
    #[expect(dead_code, reason = "that it is there tells a repository from any other JSON")]
    slug: String,
}

/// Whether the API shows the repository to this token; `None` if the answer does not tell.
pub(super) fn sees(reply: &Reply, now: Timestamp) -> Option<bool> {
    if limit(reply, now).is_some() {
        return None;
    }
    let refused = || Complaint::of(reply).is_some();
    let known = || User::of(reply).is_some();
    match reply.status {
        StatusCode::OK => reply.json::<Repository>().map(|_| true),
        StatusCode::NOT_FOUND => refused().then_some(false),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (refused() && known()).then_some(false),
        _ => None,
    }
}
