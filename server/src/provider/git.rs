//! What Git over HTTP answers to the question whether a token may push (gitprotocol-http: smart clients ask for
//! `info/refs` first). Nothing is pushed.

use http::{Method, StatusCode};
use url::Url;

use super::{
    Auth,
    http::{Fault, Gate, Question, Reply},
};
use crate::secret::Secret;

/// What came back for the question.
pub enum Advertisement {
    /// The list of branches and tags that a push begins with: it may push, as far as the whole repository goes.
    MayPush,
    /// Something else; what, is for each provider to read. With its body, unless it calls itself a success.
    Other(Reply),
    /// Nothing.
    Nothing(Fault),
}

/// Asks the repository at `clone_url`. Of the list only the headers are read: it may be long, and is of no interest.
pub async fn ask(gate: &Gate, clone_url: &Url, auth: &Auth, token: &Secret) -> Advertisement {
    let mut url = super::address::below(clone_url, ["info", "refs"]);
    url.set_query(Some("service=git-receive-pack"));
    let question = Question::new(Method::GET, url, "GET info/refs").auth(auth, token).headers_only();
    match gate.send(question).await {
        Ok(reply)
            if reply.status == StatusCode::OK
                && reply.content_type().as_deref()
                    == Some("application/x-git-receive-pack-advertisement") =>
        {
            Advertisement::MayPush
        }
        Ok(reply) => Advertisement::Other(reply),
        Err(fault) => Advertisement::Nothing(fault),
    }
}
