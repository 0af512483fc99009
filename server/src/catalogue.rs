//! What the operator declares: accounts, their members, Git providers and runtimes.

use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, OauthAppId, ProviderId, RuntimeId},
    scope::ScopeSet,
};

/// An organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// The key in the configuration.
    pub id: AccountId,
    /// For people.
    pub name: String,
}

/// What a member may do in an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Authorizes Git access for the account's runtimes.
    Member,
    /// Also sees who lacks a working token.
    Admin,
}

impl Role {
    /// As it is declared and kept.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// A person in an account, by the name to sign in with: members may be declared before they exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Which account.
    pub account: AccountId,
    /// The normalised name.
    pub name: crate::person::Name,
    /// What they may do there.
    pub role: Role,
}

/// A GitOps runtime of one account, bound to one Git provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Runtime {
    /// `account.name`.
    pub id: RuntimeId,
    /// Whose.
    pub account: AccountId,
    /// For people.
    pub name: String,
    /// Where its repositories are.
    pub provider: ProviderId,
    /// OAuth2 is set up for it, with this app. Tokens are accepted either way.
    pub oauth_app: Option<OauthAppId>,
    /// Where it commits: `owner/name`. A token must be able to push there.
    pub repository: Option<String>,
    /// The scopes it needs, where they differ from the provider's default.
    pub scopes: Option<ScopeSet>,
}

/// A Git provider, as far as the database must know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeclaredProvider {
    /// The key in the configuration.
    pub id: ProviderId,
    /// All origins that get to see its tokens, sorted and joined by a blank: changing them while credentials exist is
    /// refused.
    pub origin: String,
}

/// All that the configuration declares, to be applied at start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Declaration {
    /// Git providers.
    pub providers: Vec<DeclaredProvider>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Who belongs to them.
    pub members: Vec<Member>,
    /// Runtimes.
    pub runtimes: Vec<Runtime>,
}
