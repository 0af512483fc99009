//! What becomes of a token that was deleted or replaced.

use crate::{
    clock::Timestamp,
    credential::{Method, ProviderAccount},
    id::{CredentialId, OauthAppId, ProviderId, RuntimeId, UserId},
    seal::Sealed,
};

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The provider does not take it any more.
    Revoked,
    /// The provider has taken it in to end it, and says to nobody whether it has.
    HandedOver,
    /// Something else here still uses it, so nobody was asked.
    InUse,
    /// Forgotten here; only its owner can end it there.
    ByHand,
    /// Forgotten here; the provider gave no clear answer for as long as it was asked.
    GivenUp,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Revoked, Self::HandedOver, Self::InUse, Self::ByHand, Self::GivenUp];

    /// As the database keeps it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::HandedOver => "handed-over",
            Self::InUse => "in-use",
            Self::ByHand => "by-hand",
            Self::GivenUp => "given-up",
        }
    }

    /// From the database's word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// The provider says that it does not know a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Doubt {
    /// Since when, by the provider's clock.
    pub since: Timestamp,
    /// So many times.
    pub times: u32,
}

/// What becomes of a credential that was taken from its last runtime.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    /// Which one it was.
    pub credential: CredentialId,
    /// Whose here.
    pub user: UserId,
    /// The runtime that it was taken from.
    pub runtime: RuntimeId,
    /// Where it is to end.
    pub provider: ProviderId,
    /// How it was given.
    pub method: Method,
    /// As [`crate::credential::Credential::kind`].
    pub kind: String,
    /// The app of a grant.
    pub oauth_app: Option<OauthAppId>,
    /// Of the secret.
    pub generation: i64,
    /// Whose there.
    pub owner: ProviderAccount,
    /// The user name that goes with it.
    pub user_name: Option<String>,
    /// When it was taken away.
    pub asked_at: Timestamp,
    /// The provider is asked no longer.
    pub give_up_at: Timestamp,
    /// The provider says that it does not know it, which is not believed at once.
    pub doubt: Option<Doubt>,
    /// Another credential that holds the very same token, and is why nobody was asked.
    pub twin: Option<CredentialId>,
    /// How it ended, and when; `None` while it goes on.
    pub ended: Option<(Outcome, Timestamp)>,
    /// When the provider is asked next, while it goes on.
    pub due_at: Option<Timestamp>,
    /// The runtimes that hold it and have not yet said that they use another one. Nobody is asked before they have, or
    /// before it is due.
    pub held_by: Vec<RuntimeId>,
}

/// One that goes on, taken by a lease.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What it is about.
    pub revocation: Revocation,
    /// How many tries there were, with this one.
    pub tries: u32,
    /// The secrets.
    pub sealed: Sealed,
}
