//! `gitward credential`: a Git credential helper. It asks a Gitward server for the token of one user, with the key of a
//! runtime, and gives it to Git. It keeps nothing.
//!
//! Whatever goes wrong, Git is not kept waiting: it gets no answer and asks elsewhere, and stderr has one line.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use url::{Host, Url};
use zeroize::Zeroizing;

use self::protocol::{Answer, Request};
use super::tell;
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    runtime_key,
    wire::{self, Code, CredentialAnswer, CredentialRequest, Outcome, Problem, Report},
};

pub mod protocol;

/// All of it takes no longer: Git waits.
const LONGEST: Duration = Duration::from_millis(4500);
/// The answer comes within; less than the whole, so that what went wrong can be said.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const LARGEST_ANSWER: usize = 256 * 1024;
/// A key is far shorter.
const LONGEST_KEY: u64 = 1024;

/// Whom to ask, and for whom.
#[derive(Debug, Args)]
pub struct Credential {
    /// The file with the runtime's key, `gwr_…`
    #[arg(long, env = "GITWARD_RUNTIME_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    runtime_key_file: PathBuf,
    /// Whose token: the name they sign in to Gitward with
    #[arg(long, env = "GITWARD_USER", hide_env_values = true, value_name = "NAME")]
    user: String,
    /// The Gitward server; http only on this machine
    #[arg(long, env = "GITWARD_SERVER", hide_env_values = true, value_name = "URL", value_parser = server)]
    server: Url,
    /// What Git wants; it adds this itself
    #[arg(value_parser = operation)]
    operation: Operation,
}

/// What Git wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Operation {
    /// A secret.
    Get,
    /// The secret worked.
    Store,
    /// The secret was refused.
    Erase,
    /// Something that only a later Git knows.
    #[value(skip)]
    Other,
}

/// Helpers ignore what they don't know (<https://git-scm.com/docs/gitcredentials>).
fn operation(text: &str) -> Result<Operation, String> {
    Ok(Operation::from_str(text, false).unwrap_or(Operation::Other))
}

/// The key must not travel in the clear.
fn server(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "this is no URL")?;
    let this_machine = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    match url.scheme() {
        "https" if plain => Ok(url),
        "http" if plain && this_machine => Ok(url),
        _ => Err("take https://… without a user name, or http:// on this machine"),
    }
}

impl Credential {
    /// Does what Git wants. Never fails: an answer that is missing says enough, and stderr why.
    pub async fn run(self) {
        if self.operation == Operation::Other {
            return;
        }
        let done = match tokio::time::timeout(LONGEST, self.act()).await {
            Ok(done) => done,
            Err(_) => Err(Silence::Unreachable),
        };
        match done {
            Ok(lines) => {
                // Git may have gone meanwhile; then nobody wants it.
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()).ok();
            }
            Err(Silence::Elsewhere) => {}
            Err(silence) => {
                if let Silence::No(_) = &silence
                    && self.operation == Operation::Get
                {
                    // Gitward knows for sure. Nobody else is to answer in its place, and nobody to be prompted.
                    let mut stdout = std::io::stdout().lock();
                    stdout.write_all(b"quit=1\n").and_then(|()| stdout.flush()).ok();
                }
                tell(&format!("gitward: {}", self.sentence(&silence)));
            }
        }
    }

    /// The lines for Git.
    async fn act(&self) -> Result<Zeroizing<String>, Silence> {
        let request = Request::parse(&stdin().await?).map_err(Silence::Refused)?;
        let key = read_key(&self.runtime_key_file)?;
        let nothing = Zeroizing::new(String::new());
        match self.operation {
            Operation::Get => self.get(&key, &request).await,
            // Whose secret it was can only be told by what came with it; others' are none of our business.
            Operation::Store | Operation::Erase if request.version.is_none() => Ok(nothing),
            Operation::Store => self.report(&key, request.version, Outcome::Used).await.map(|()| nothing),
            Operation::Erase => self.report(&key, request.version, Outcome::Rejected).await.map(|()| nothing),
            Operation::Other => Ok(nothing),
        }
    }

    async fn get(&self, key: &str, request: &Request) -> Result<Zeroizing<String>, Silence> {
        let question = CredentialRequest { user: self.user.clone(), git_url: request.url(), version: None };
        let answer: CredentialAnswer = self.post(key, wire::CREDENTIAL, &question).await?;
        if let Some(wanted) = &request.username
            && *wanted != answer.git.username
            && *wanted != answer.login
        {
            return Err(Silence::AnotherName);
        }
        // By this machine's clock, which Git compares it with.
        let ends_at = answer.expires_in.map(|seconds| now().plus(Duration::from_secs(seconds)).seconds());
        let lines = Answer {
            username: &answer.git.username,
            password: answer.git.password.expose(),
            scheme: answer.git.scheme,
            ends_at,
            version: &answer.version,
        };
        lines.lines(request).ok_or(Silence::Nonsense)
    }

    async fn report(&self, key: &str, version: Option<String>, outcome: Outcome) -> Result<(), Silence> {
        let report = Report { user: self.user.clone(), version, outcome };
        let _known: wire::ReportAnswer = self.post(key, wire::REPORT, &report).await?;
        Ok(())
    }

    async fn post<A: serde::de::DeserializeOwned>(
        &self,
        key: &str,
        path: &str,
        question: &impl serde::Serialize,
    ) -> Result<A, Silence> {
        let builder = reqwest::Client::builder();
        // What goes in the clear stays on this machine, also where the environment names a proxy.
        let builder = if self.server.scheme() == "http" { builder.no_proxy() } else { builder };
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // Reading the machine's certificates takes a while, and nobody needs them without TLS.
            .tls_built_in_root_certs(self.server.scheme() == "https")
            .user_agent(concat!("gitward-credential/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| Silence::Unreachable)?;
        let url = format!("{}{path}", self.server.as_str().trim_end_matches('/'));
        let body = serde_json::to_vec(question).map_err(|_| Silence::Nonsense)?;
        let answer = client
            .post(url)
            .bearer_auth(key)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .map_err(|_| Silence::Unreachable)?;
        let status = answer.status();
        let bytes = body_of(answer).await?;
        if status == reqwest::StatusCode::OK {
            return serde_json::from_slice(&bytes).map_err(|_| Silence::Nonsense);
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(Silence::of(problem.code)),
            Err(_) if status.is_server_error() => Err(Silence::Unreachable),
            Err(_) => Err(Silence::Nonsense),
        }
    }

    fn sentence(&self, silence: &Silence) -> String {
        let Self { user, server, runtime_key_file, .. } = self;
        let user: String = user.chars().filter(|letter| !letter.is_control()).collect();
        match silence {
            Silence::Elsewhere => String::new(),
            Silence::Unreachable => format!("{server} gives no answer, so there is no token from it"),
            Silence::Nonsense => format!("{server} does not answer as Gitward does; is --server right?"),
            Silence::Refused(why) => why.to_string(),
            Silence::NoKey => format!("{} holds no runtime key", runtime_key_file.display()),
            Silence::AnotherName => {
                format!("the token of {user} is not the one of the user name in this address")
            }
            Silence::No(code) | Silence::NotNow(code) => match code {
                Code::NoToken => format!(
                    "{user} has no token for this runtime (deleted, or never added); they can add one at {server}"
                ),
                Code::Expired | Code::EndsSoon => {
                    format!("the token of {user} has ended; they can replace it at {server}")
                }
                Code::Revoked => {
                    format!(
                        "the Git provider no longer knows the token of {user}; they can replace it at {server}"
                    )
                }
                Code::UnknownUser => format!("this runtime has no user {user}"),
                Code::KeyUnknown | Code::KeyRevoked => {
                    format!("{server} does not take the key in {} (any more)", runtime_key_file.display())
                }
                Code::RuntimeDisabled => format!("the runtime of this key is disabled at {server}"),
                Code::ProviderDown | Code::ProviderLimiting => {
                    format!(
                        "the token of {user} must be renewed, and the Git provider does not at the moment"
                    )
                }
                Code::PathNeeded => {
                    "the Git provider is below a path of its host; set credential.useHttpPath, so that Git \
                                     says which repository it wants"
                        .to_owned()
                }
                Code::AppNotDeclared => {
                    format!(
                        "the authorization of {user} can't be renewed any more; they can give another one at {server}"
                    )
                }
                Code::UrlRefused => "this address can be read in two ways, so it gets no token".to_owned(),
                _ => format!("{server} can't hand out the token of {user} at the moment"),
            },
        }
    }
}

/// Why there is no answer for Git.
#[derive(Debug)]
enum Silence {
    /// The repository is at another host: somebody else's business, and not worth a word.
    Elsewhere,
    /// No server, or none in time.
    Unreachable,
    /// Not what a Gitward server says.
    Nonsense,
    /// The request is not one to answer.
    Refused(protocol::Refused),
    /// The file with the key can't be read, or has none.
    NoKey,
    /// The address names another user.
    AnotherName,
    /// Gitward says no, and will say so again.
    No(Code),
    /// Gitward can't at the moment.
    NotNow(Code),
}

impl Silence {
    fn of(code: Code) -> Self {
        match code {
            Code::OtherHost => Self::Elsewhere,
            Code::NoToken
            | Code::Expired
            | Code::EndsSoon
            | Code::Revoked
            | Code::AppNotDeclared
            | Code::UnknownUser => Self::No(code),
            _ => Self::NotNow(code),
        }
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// What Git sends, in a thread of its own: who started this by hand may never end it, and only such a thread does not
/// keep the process.
async fn stdin() -> Result<Zeroizing<Vec<u8>>, Silence> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::with_capacity(protocol::LONGEST + 1));
        let limit = protocol::LONGEST as u64 + 1;
        let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
        // Nobody waits any more after the time is over.
        sender.send(read.map(|_| bytes)).ok();
    });
    match receiver.await {
        Ok(Ok(bytes)) => Ok(bytes),
        _ => Err(Silence::Refused(protocol::Refused::Malformed)),
    }
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, Silence> {
    // Before it is opened, because opening a pipe waits for a writer.
    if !path.metadata().is_ok_and(|file| file.is_file()) {
        return Err(Silence::NoKey);
    }
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_KEY as usize));
    let file = std::fs::File::open(path).map_err(|_| Silence::NoKey)?;
    file.take(LONGEST_KEY).read_to_string(&mut text).map_err(|_| Silence::NoKey)?;
    let key = text.trim();
    let fits = key.starts_with(runtime_key::PREFIX)
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits { Ok(Zeroizing::new(key.to_owned())) } else { Err(Silence::NoKey) }
}

async fn body_of(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, Silence> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = answer.chunk().await.map_err(|_| Silence::Unreachable)? {
        if bytes.len() + chunk.len() > LARGEST_ANSWER {
            return Err(Silence::Nonsense);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_key_never_travels_in_the_clear() {
        for good in
            ["https://gitward.example.com", "https://h/gitward/", "http://127.0.0.1:3000", "http://[::1]:1"]
        {
            assert!(server(good).is_ok(), "{good}");
        }
        for bad in [
            "http://gitward.example.com",
            "http://127.0.0.1.example.com",
            "https://user@gitward.example.com",
            "https://gitward.example.com?x",
            "ftp://127.0.0.1",
            "gitward.example.com",
            "",
        ] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_gitward_knows_for_sure_keeps_git_from_asking_elsewhere() {
        for code in [Code::NoToken, Code::Expired, Code::Revoked, Code::UnknownUser] {
            assert!(matches!(Silence::of(code), Silence::No(_)), "{code:?}");
        }
        for code in [Code::Unavailable, Code::ProviderDown, Code::KeyRevoked, Code::NotRecorded, Code::Other]
        {
            assert!(matches!(Silence::of(code), Silence::NotNow(_)), "{code:?}");
        }
        assert!(matches!(Silence::of(Code::OtherHost), Silence::Elsewhere));
    }
}
