//! What is inside the envelopes.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyRing, Place, Purpose, SealError, Sealed};
use crate::{
    credential::{Credential, Method, Tokens},
    random::Entropy,
    secret::Secret,
};

/// The version of the document. A release that changes it reads both for one release before it writes the new one.
const VERSION: u8 = 1;

/// All secrets of a credential, as one JSON document, so that none is forgotten outside.
#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    access: &'a str,
    refresh: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    v: u8,
    access: String,
    refresh: Option<String>,
}

impl KeyRing {
    /// Seals a credential's tokens to its row, owner, provider, kind and generation, and to `origin`: the scheme,
    /// host and port that they may be sent to.
    ///
    /// `method` and `kind` are part of it: a credential whose kind changes needs its tokens sealed again.
    ///
    /// # Errors
    /// As [`KeyRing::seal`].
    pub fn seal_tokens(
        &self,
        credential: &Credential,
        origin: &str,
        tokens: &Tokens,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealError> {
        let written = Written {
            v: VERSION,
            access: tokens.access.expose(),
            refresh: tokens.refresh.as_ref().map(Secret::expose),
        };
        // Room for the worst case of escapes, so that the buffer never moves and leaves a copy behind.
        let longest = 64 + 6 * (written.access.len() + written.refresh.map_or(0, str::len));
        let mut document = Zeroizing::new(Vec::with_capacity(longest));
        serde_json::to_writer(&mut *document, &written).map_err(|_| SealError::Malformed)?;
        let kind = kind(credential);
        self.seal(Purpose::Credentials, &place(credential, origin, &kind), &document, entropy)
    }

    /// Opens a credential's tokens.
    ///
    /// # Errors
    /// As [`KeyRing::unseal`]; [`SealError::Malformed`] also if there is something else inside.
    pub fn unseal_tokens(
        &self,
        credential: &Credential,
        origin: &str,
        sealed: &Sealed,
    ) -> Result<Tokens, SealError> {
        let kind = kind(credential);
        let document = self.unseal(Purpose::Credentials, &place(credential, origin, &kind), sealed)?;
        let read: Read = serde_json::from_slice(&document).map_err(|_| SealError::Malformed)?;
        if read.v != VERSION {
            return Err(SealError::Malformed);
        }
        Ok(Tokens { access: Secret::new(read.access), refresh: read.refresh.map(Secret::new) })
    }
}

/// `token/classic`, `oauth2/user`. The first word is one of ours and has no stroke, so no two kinds look alike.
fn kind(credential: &Credential) -> String {
    let method = match credential.method {
        Method::Token => "token",
        Method::Oauth2 => "oauth2",
    };
    format!("{method}/{}", credential.kind)
}

fn place<'a>(credential: &'a Credential, origin: &'a str, kind: &'a str) -> Place<'a> {
    Place {
        table: "credentials",
        column: "sealed",
        row: credential.id.as_str(),
        owner: credential.user.as_str(),
        provider: credential.provider.as_str(),
        origin,
        kind,
        generation: credential.generation,
    }
}
