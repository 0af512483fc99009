//! What is inside the envelopes.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyRing, Place, Purpose, SealError, Sealed};
use crate::{
    credential::{Credential, Method, Tokens},
    id::{CredentialId, ProviderId, UserId},
    random::Entropy,
    revocation::Revocation,
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
        let whose = Whose::from(credential);
        let kind = whose.kind();
        self.seal(Purpose::Credentials, &whose.place(origin, &kind), &document, entropy)
    }

    /// Opens a credential's tokens, also of one that is to be revoked.
    ///
    /// # Errors
    /// As [`KeyRing::unseal`]; [`SealError::Malformed`] also if there is something else inside.
    pub fn unseal_tokens<'a>(
        &self,
        whose: impl Into<Whose<'a>>,
        origin: &str,
        sealed: &Sealed,
    ) -> Result<Tokens, SealError> {
        let whose = whose.into();
        let kind = whose.kind();
        let document = self.unseal(Purpose::Credentials, &whose.place(origin, &kind), sealed)?;
        let read: Read = serde_json::from_slice(&document).map_err(|_| SealError::Malformed)?;
        if read.v != VERSION {
            return Err(SealError::Malformed);
        }
        Ok(Tokens { access: Secret::new(read.access), refresh: read.refresh.map(Secret::new) })
    }
}

/// What a credential's tokens are sealed to, besides the origin.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    id: &'a CredentialId,
    user: &'a UserId,
    provider: &'a ProviderId,
    method: Method,
    kind: &'a str,
    generation: i64,
}

impl<'a> From<&'a Credential> for Whose<'a> {
    fn from(credential: &'a Credential) -> Self {
        let Credential { id, user, provider, method, kind, generation, .. } = credential;
        Self { id, user, provider, method: *method, kind, generation: *generation }
    }
}

impl<'a> From<&'a Revocation> for Whose<'a> {
    fn from(revocation: &'a Revocation) -> Self {
        let Revocation { credential, user, provider, method, kind, generation, .. } = revocation;
        Self { id: credential, user, provider, method: *method, kind, generation: *generation }
    }
}

impl<'a> Whose<'a> {
    /// `token/classic`, `oauth2/user`. The first word is one of ours and has no stroke, so no two kinds look alike.
    fn kind(self) -> String {
        let method = match self.method {
            Method::Token => "token",
            Method::Oauth2 => "oauth2",
        };
        format!("{method}/{}", self.kind)
    }

    fn place(self, origin: &'a str, kind: &'a str) -> Place<'a> {
        Place {
            table: "credentials",
            column: "sealed",
            row: self.id.as_str(),
            owner: self.user.as_str(),
            provider: self.provider.as_str(),
            origin,
            kind,
            generation: self.generation,
        }
    }
}
