//! The way through the provider's sign-in and back.

use crate::{
    clock::Timestamp,
    id::{OauthAppId, ProviderId, RuntimeId, UserId},
    seal::Sealed,
    secret::Fingerprint,
};

/// An authorization on its way: bound to user, session, provider and runtime, good once and for ten minutes.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// Of the random `state`.
    pub state: Fingerprint,
    /// Who began it.
    pub user: UserId,
    /// In which session.
    pub session: Fingerprint,
    /// At which provider.
    pub provider: ProviderId,
    /// With which app.
    pub oauth_app: OauthAppId,
    /// For which runtime.
    pub runtime: RuntimeId,
    /// Further runtimes to authorize in the same step.
    pub also: Vec<RuntimeId>,
    /// The PKCE verifier (RFC 7636), sealed.
    pub verifier: Sealed,
    /// When it began.
    pub begun_at: Timestamp,
}
