//! What is inside the envelopes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyRing, Place, Purpose, SealError, Sealed};
use crate::{
    credential::{Credential, Method, Tokens},
    id::{ProviderId, RuntimeId, UserId},
    login::LoginAttempt,
    random::Entropy,
    secret::{Fingerprint, Secret},
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

/// What the PKCE verifier of a login attempt is sealed to.
#[derive(Clone, Copy, Debug)]
pub struct VerifierPlace<'a> {
    /// Of the random `state`.
    pub state: &'a Fingerprint,
    /// Who began it.
    pub user: &'a UserId,
    /// In which session.
    pub session: &'a Fingerprint,
    /// At which provider.
    pub provider: &'a ProviderId,
    /// For which runtime.
    pub runtime: &'a RuntimeId,
}

impl<'a> From<&'a LoginAttempt> for VerifierPlace<'a> {
    fn from(attempt: &'a LoginAttempt) -> Self {
        Self {
            state: &attempt.state,
            user: &attempt.user,
            session: &attempt.session,
            provider: &attempt.provider,
            runtime: &attempt.runtime,
        }
    }
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

    /// Seals the PKCE verifier of a login attempt to its state, user, session, provider and runtime.
    ///
    /// # Errors
    /// As [`KeyRing::seal`].
    pub fn seal_verifier(
        &self,
        place: VerifierPlace<'_>,
        verifier: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, SealError> {
        let (row, kind) = place.names();
        self.seal(Purpose::Logins, &place.place(&row, &kind), verifier.expose().as_bytes(), entropy)
    }

    /// Opens the PKCE verifier of a login attempt.
    ///
    /// # Errors
    /// As [`KeyRing::unseal`].
    pub fn unseal_verifier(&self, place: VerifierPlace<'_>, sealed: &Sealed) -> Result<Secret, SealError> {
        let (row, kind) = place.names();
        let opened = self.unseal(Purpose::Logins, &place.place(&row, &kind), sealed)?;
        let text = std::str::from_utf8(&opened).map_err(|_| SealError::Malformed)?;
        Ok(Secret::new(text))
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

impl<'a> VerifierPlace<'a> {
    /// Row: the state. Kind: the session, which is always 43 characters long, then the runtime.
    fn names(&self) -> (String, String) {
        let state = URL_SAFE_NO_PAD.encode(self.state.0);
        let session = URL_SAFE_NO_PAD.encode(self.session.0);
        (state, format!("pkce {session} {}", self.runtime))
    }

    fn place(&self, row: &'a str, kind: &'a str) -> Place<'a> {
        Place {
            table: "login_attempts",
            column: "verifier",
            row,
            owner: self.user.as_str(),
            provider: self.provider.as_str(),
            origin: "",
            kind,
            generation: 0,
        }
    }
}
