//! A token is given, used for further runtimes, replaced, deleted. The provider is asked before anything is believed,
//! and the old token serves until the new one has passed.

use std::sync::Arc;

use app::api::token::Refusal;

use crate::{
    check::learn,
    clock::{Clock, Timestamp},
    credential::{Access, Credential, Method, Push, Standing, Tokens},
    health::needed,
    id::{CredentialId, RuntimeId, UserId},
    moment::moment,
    provider::{Identity, Provider, ProviderError, Registry, Shape, TokenExpiry},
    random::{Entropy, NoEntropy, new_id},
    renew::{Renewer, TokensError},
    seal::{KeyRing, SealError},
    secret::Secret,
    store::{NewCredential, Store, StoreError},
};

/// No provider's tokens come near: the longest known are JSON web tokens of about two kilobytes.
const LONGEST_TOKEN_BYTES: usize = 8 * 1024;
/// More boxes than this are not ticked by people.
const MOST_FURTHER_RUNTIMES: usize = 200;

/// Why a token was not kept, or not used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No such runtime of this user, or no such credential.
    #[error("there is no such runtime or credential")]
    NotFound,
    /// Nothing was pasted.
    #[error("the token is empty")]
    Empty,
    /// Longer than tokens are.
    #[error("the token is too long")]
    TooLong,
    /// Line breaks or control characters inside.
    #[error("the token holds blanks or control characters")]
    Malformed,
    /// A grant of an app that the runtime is not set up for.
    #[error("the runtime is not set up for this app")]
    MethodNotOffered,
    /// The provider was asked, or should not be yet; the visitor can mend it.
    #[error("the token was refused")]
    Refused(Refusal),
    /// Another tab was faster.
    #[error("somebody was faster")]
    Conflict,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing could be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// Tokens that are kept could not be had.
    #[error(transparent)]
    Tokens(#[from] TokensError),
}

/// What was authorized, by runtime names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorized {
    /// Whose token it is.
    pub login: String,
    /// It serves these from now on, the one asked for first.
    pub runtimes: Vec<String>,
    /// It could not serve these, though they were ticked.
    pub left_out: Vec<String>,
}

/// Takes what was pasted for a token, without the blanks around it that copying leaves.
///
/// # Errors
/// [`AccessError::Empty`], [`AccessError::TooLong`], [`AccessError::Malformed`].
pub fn parse_token(pasted: &str) -> Result<Secret, AccessError> {
    let token = pasted.trim();
    if token.is_empty() {
        return Err(AccessError::Empty);
    }
    if token.len() > LONGEST_TOKEN_BYTES {
        return Err(AccessError::TooLong);
    }
    // It will stand in a header: visible ASCII is all that fits there.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AccessError::Malformed);
    }
    Ok(Secret::new(token))
}

/// Gives runtimes their tokens.
pub struct Authorizer {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Whom to ask.
    pub registry: Arc<Registry>,
    /// Seals.
    pub keys: Arc<KeyRing>,
    /// Opens what is kept.
    pub renewer: Arc<Renewer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and nonces.
    pub entropy: Arc<dyn Entropy>,
}

/// A runtime that passed, with what the provider said about its repository.
type Passed = (RuntimeId, Option<Push>);

impl Authorizer {
    /// Asks the provider about a pasted token, and keeps it for the runtime and for those of `also` that it can serve.
    /// `sure`: ask even if it looks like another provider's.
    ///
    /// # Errors
    /// As [`AccessError`] says; then the token in use, if any, is untouched.
    pub async fn give(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        pasted: &str,
        also: &[RuntimeId],
        sure: bool,
    ) -> Result<Authorized, AccessError> {
        let now = self.clock.now();
        let access = self.store.access(user, runtime, now).await?.ok_or(AccessError::NotFound)?;
        let provider = self.provider(&access)?;
        let token = parse_token(pasted)?;
        match provider.shape(&token) {
            // Asking would show one provider's secret to another, so the user is asked first.
            Shape::Foreign(label) if !sure => {
                return Err(AccessError::Refused(Refusal::LooksForeign { label: label.into() }));
            }
            Shape::NotAUserToken => return Err(AccessError::Refused(Refusal::NotAUserToken)),
            Shape::Foreign(_) | Shape::Plausible => {}
        }
        let identity = match provider.identify(&token, Method::Token).await {
            Ok(identity) => identity,
            Err(error) => return Err(AccessError::Refused(refusal(error, now))),
        };
        let expires_at = match identity.expiry {
            TokenExpiry::At(at) if at <= now => {
                return Err(AccessError::Refused(Refusal::Expired { at: moment(at, now) }));
            }
            TokenExpiry::At(at) => Some(at),
            TokenExpiry::Never | TokenExpiry::Unknown => None,
        };
        let push = self.passes(&access, provider, &identity, &token).await.map_err(AccessError::Refused)?;
        let credential = Credential {
            id: CredentialId(new_id(self.entropy.as_ref())?),
            user: user.clone(),
            provider: access.runtime.provider.clone(),
            method: Method::Token,
            kind: identity.kind.clone(),
            oauth_app: None,
            generation: 1,
            owner: identity.owner.clone(),
            scopes: identity.scopes.clone(),
            expires_at,
            expiry_unknown: identity.expiry == TokenExpiry::Unknown,
            renew_at: None,
            standing: Standing::good(now, identity.evidence.clone()),
            created_at: now,
        };
        let tokens = Tokens { access: token, refresh: None };
        let new = self.seal(credential, provider, &tokens)?;
        if let Some(before) = another_account(&access, &identity) {
            if !self.store.propose(&new, runtime, now).await? {
                return Err(AccessError::Conflict);
            }
            return Err(AccessError::Refused(Refusal::AnotherAccount { before, now: identity.owner.login }));
        }
        let (passed, mut authorized) =
            self.further(&access, &new.credential, &identity, &tokens.access, also, now).await?;
        let runtimes: Vec<Passed> = std::iter::once((runtime.clone(), push)).chain(passed).collect();
        if self.store.keep(&new, &runtimes, now).await?.is_none() {
            return Err(AccessError::Conflict);
        }
        authorized.runtimes.insert(0, access.runtime.name);
        Ok(authorized)
    }

    /// Uses a credential that already serves another runtime, after asking the provider about it again.
    ///
    /// # Errors
    /// As [`AccessError`] says; then the token in use, if any, is untouched.
    pub async fn reuse(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        credential: &CredentialId,
        also: &[RuntimeId],
    ) -> Result<Authorized, AccessError> {
        let now = self.clock.now();
        let access = self.store.access(user, runtime, now).await?.ok_or(AccessError::NotFound)?;
        let provider = self.provider(&access)?;
        let known = self.store.credential(user, credential).await?.ok_or(AccessError::NotFound)?;
        if known.provider != access.runtime.provider {
            return Err(AccessError::NotFound);
        }
        if !may_serve(&known, &access) {
            return Err(AccessError::MethodNotOffered);
        }
        let (mut known, tokens) = match self.renewer.tokens(credential).await {
            Ok(fresh) => fresh,
            Err(TokensError::Gone) => return Err(AccessError::NotFound),
            Err(TokensError::NotRenewed) => {
                let refused = self.store.credential(user, credential).await?.is_none_or(|now| now.standing.invalid);
                return Err(AccessError::Refused(if refused { Refusal::Unknown } else { Refusal::Unreachable }));
            }
            Err(error) => return Err(error.into()),
        };
        let identity = match provider.identify(&tokens.access, known.method).await {
            Ok(identity) => identity,
            Err(error) => return Err(AccessError::Refused(refusal(error, now))),
        };
        let push = self.passes(&access, provider, &identity, &tokens.access).await.map_err(AccessError::Refused)?;
        known.standing = Standing::good(now, identity.evidence.clone());
        learn(&mut known, &identity);
        self.store.record(&known).await?;
        let (passed, mut authorized) = self.further(&access, &known, &identity, &tokens.access, also, now).await?;
        let runtimes: Vec<Passed> = std::iter::once((runtime.clone(), push)).chain(passed).collect();
        if self.store.assign(user, credential, &runtimes, now).await?.is_none() {
            return Err(AccessError::NotFound);
        }
        authorized.runtimes.insert(0, access.runtime.name);
        Ok(authorized)
    }

    /// Seals a credential's tokens to its row.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn seal(
        &self,
        credential: Credential,
        provider: &dyn Provider,
        tokens: &Tokens,
    ) -> Result<NewCredential, SealError> {
        let sealed = self.keys.seal_tokens(&credential, &provider.origin(), tokens, self.entropy.as_ref())?;
        Ok(NewCredential { credential, sealed })
    }

    fn provider(&self, access: &Access) -> Result<&dyn Provider, AccessError> {
        self.registry.provider(&access.runtime.provider).map(AsRef::as_ref).ok_or(AccessError::NotFound)
    }

    /// Whether a token can serve a runtime: its scopes, and pushing where the runtime says where.
    async fn passes(
        &self,
        access: &Access,
        provider: &dyn Provider,
        identity: &Identity,
        token: &Secret,
    ) -> Result<Option<Push>, Refusal> {
        let login = identity.owner.login.clone();
        if let Some(granted) = &identity.scopes {
            let missing = provider.missing(granted, &needed(access, provider));
            if !missing.is_empty() {
                return Err(Refusal::ScopesMissing {
                    login,
                    granted: granted.to_vec(),
                    missing: missing.to_vec(),
                });
            }
        }
        let Some(repository) = &access.runtime.repository else { return Ok(None) };
        match provider.may_push(token, repository).await {
            Push::Denied => Err(Refusal::CannotPush { login, repository: repository.clone() }),
            Push::Hidden => Err(Refusal::RepositoryHidden { login, repository: repository.clone() }),
            // Single sign-on is mended at the provider, with this very token; the row will say how.
            push @ (Push::Allowed | Push::NeedsSso { .. } | Push::Unknown) => Ok(Some(push)),
        }
    }

    /// Which of the ticked runtimes the token can serve as well: the user's own, at the same provider, without a token.
    pub(crate) async fn further(
        &self,
        first: &Access,
        credential: &Credential,
        identity: &Identity,
        token: &Secret,
        also: &[RuntimeId],
        now: Timestamp,
    ) -> Result<(Vec<Passed>, Authorized), AccessError> {
        let provider = self.provider(first)?;
        let mut passed = Vec::new();
        let mut authorized =
            Authorized { login: identity.owner.login.clone(), runtimes: Vec::new(), left_out: Vec::new() };
        if also.is_empty() {
            return Ok((passed, authorized));
        }
        for access in self.store.accesses(&credential.user, now).await? {
            let wanted = also.iter().take(MOST_FURTHER_RUNTIMES).any(|id| *id == access.runtime.id);
            let fits = access.runtime.id != first.runtime.id
                && access.runtime.provider == first.runtime.provider
                && access.credential.is_none()
                && may_serve(credential, &access);
            if !wanted || !fits {
                continue;
            }
            match self.passes(&access, provider, identity, token).await {
                Ok(push) => {
                    passed.push((access.runtime.id, push));
                    authorized.runtimes.push(access.runtime.name);
                }
                Err(_) => authorized.left_out.push(access.runtime.name),
            }
        }
        Ok((passed, authorized))
    }
}

/// Whether a credential is of a sort that the runtime's operator allows: tokens everywhere, a grant only where its app
/// is set up. An account's own app must not reach the runtimes of others.
pub(crate) fn may_serve(credential: &Credential, access: &Access) -> bool {
    credential.oauth_app.is_none() || credential.oauth_app == access.runtime.oauth_app
}

/// The login in use so far, if the new token is somebody else's.
pub(crate) fn another_account(access: &Access, identity: &Identity) -> Option<String> {
    let before = access.credential.as_ref()?;
    (before.owner.id != identity.owner.id).then(|| before.owner.login.clone())
}

fn refusal(error: ProviderError, now: Timestamp) -> Refusal {
    match error {
        ProviderError::Rejected(_) => Refusal::Unknown,
        ProviderError::RateLimited { until, .. } => {
            Refusal::RateLimited { until: until.map(|until| moment(until, now)) }
        }
        ProviderError::Unreachable(_) => Refusal::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pasted(text: &str) -> Result<String, AccessError> {
        parse_token(text).map(|token| token.expose().to_owned())
    }

    #[test]
    fn blanks_and_line_breaks_around_a_token_are_forgiven() {
        assert_eq!(pasted("  abc\r\n").ok().as_deref(), Some("abc"));
        assert_eq!(pasted("\u{feff}abc").is_err(), true, "an invisible mark is no blank");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_refused_before_anyone_is_asked() {
        for text in ["a b", "a\nb", "a\tb", "a\u{0}b", "tökén", "a\u{200b}b"] {
            assert!(matches!(pasted(text), Err(AccessError::Malformed)), "{text:?}");
        }
        assert!(matches!(pasted(" \n "), Err(AccessError::Empty)));
        assert!(matches!(pasted(&"a".repeat(1 << 20)), Err(AccessError::TooLong)));
        assert!(pasted(&"a".repeat(2048)).is_ok());
    }
}
