//! Ids, one type each, so that none can stand in for another.

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// As text, for the database and for addresses.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// An organisation; the key in the configuration.
    AccountId,
    /// A person; random.
    UserId,
    /// A Git provider; the key in the configuration.
    ProviderId,
    /// A client registered at a provider; the key in the configuration.
    OauthAppId,
    /// A runtime: `account.name`, fit for addresses.
    RuntimeId,
    /// A credential; random.
    CredentialId,
}
