//! Ending a token at the provider: what is asked, and what the answers come to.

use super::{OauthApp, Presented, ProviderError};
use crate::{clock::Timestamp, credential::Evidence, secret::Secret};

/// What is to end.
#[derive(Clone, Copy)]
pub struct Revoke<'a> {
    /// The token.
    pub presented: Presented<'a>,
    /// What renews it.
    pub refresh: Option<&'a Secret>,
    /// The app that it was granted to, if that is still declared.
    pub app: Option<&'a OauthApp>,
    /// All that the account ever granted to the app may end with it: nothing else that is kept here lives of that.
    pub whole_grant: bool,
}

/// The provider does not take it any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// From now on.
    Now,
    /// Not for long: it has taken it in to end it. It says so of any token, so that is all that is known.
    HandedOver,
    /// It did not before, either: it does not know it.
    Before,
}

/// Why a token could not be ended there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RevokeError {
    /// It has no way to, or does not let us: only its owner can.
    Cannot(Evidence),
    /// Too many requests.
    RateLimited {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
        /// Counted apart from what is asked with users' tokens: only what ends tokens has to wait.
        apart: bool,
        /// What came back.
        evidence: Evidence,
    },
    /// No answer, or none that makes sense: it may or may not have ended.
    Unreachable(Evidence),
}

impl RevokeError {
    /// Nobody is asked: there is no way.
    pub fn no_way() -> Self {
        Self::Cannot(Evidence::new("revocation", "not asked: there is no way to"))
    }

    /// The app that the token was granted to is not set up any more.
    pub fn no_app() -> Self {
        Self::Cannot(Evidence::new("revocation", "not asked: its OAuth app is not set up"))
    }
}

/// A question that got no answer, or one about a limit, says nothing about the token here either.
impl From<ProviderError> for RevokeError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::RateLimited { until, evidence } => {
                Self::RateLimited { until, apart: false, evidence }
            }
            ProviderError::Insufficient { evidence, .. } | ProviderError::Blocked { evidence, .. } => {
                Self::Cannot(evidence)
            }
            ProviderError::Rejected(evidence) | ProviderError::Unreachable(evidence) => {
                Self::Unreachable(evidence)
            }
        }
    }
}
