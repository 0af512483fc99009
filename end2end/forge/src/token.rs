//! Tokens: their kinds, how they look, what they may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::clock;
use crate::random::{self, BASE62};
use crate::scope::Scopes;

/// What sort of token it is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A classic personal access token, `ghp_`.
    Classic,
    /// A fine-grained personal access token, `github_pat_`.
    FineGrained,
    /// A token of an OAuth app, `gho_`.
    Oauth,
    /// A user's token of a GitHub App, `ghu_`.
    GithubApp,
    /// A token from before prefixes: 40 hexadecimal digits.
    Legacy,
}

impl Kind {
    /// Whether scopes decide, which the host also tells in `X-OAuth-Scopes`; otherwise permissions do.
    pub fn has_scopes(self) -> bool {
        matches!(self, Self::Classic | Self::Oauth | Self::Legacy)
    }

    /// How pages call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Classic => "Classic token",
            Self::FineGrained => "Fine-grained token",
            Self::Oauth => "Token of an OAuth app",
            Self::GithubApp => "Token of a GitHub App",
            Self::Legacy => "Old token without a prefix",
        }
    }

    /// A new secret of this kind.
    pub fn mint(self) -> String {
        match self {
            Self::Classic => checksummed("ghp_", &random::alphanumeric(30)),
            Self::Oauth => checksummed("gho_", &random::alphanumeric(30)),
            Self::GithubApp => checksummed("ghu_", &random::alphanumeric(30)),
            Self::FineGrained => {
                format!("github_pat_11{}_{}", random::alphanumeric(20), random::alphanumeric(59))
            }
            Self::Legacy => random::hex::<20>(),
        }
    }
}

/// A new secret that refreshes a GitHub App's token.
pub fn mint_refresh() -> String {
    checksummed("ghr_", &random::alphanumeric(70))
}

/// The token with this prefix and body: the last six characters are the body's checksum.
pub fn checksummed(prefix: &str, body: &str) -> String {
    format!("{prefix}{body}{}", checksum(body))
}

/// CRC-32 of the body in base 62, six digits.
pub fn checksum(body: &str) -> String {
    let mut rest = crc32(body.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

/// How far a permission reaches; each level includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Look.
    Read,
    /// Change.
    Write,
    /// Administer.
    Admin,
}

impl Level {
    /// Its name in addresses and bodies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The level of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|level| level.name() == name)
    }
}

/// Permissions of a fine-grained or GitHub App token by name, such as `contents`.
pub type Permissions = BTreeMap<String, Level>;

/// Which spelling of the expiry header a token gets.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryShape {
    /// `2027-10-12 09:00:00 UTC`
    #[default]
    Utc,
    /// `2027-03-31 00:00:00 +0900`
    Offset,
}

/// One token of one person.
#[derive(Clone)]
pub struct Token {
    /// Tells tokens apart without naming their secret.
    pub id: u64,
    /// What the person or app presents.
    pub secret: String,
    /// What sort it is.
    pub kind: Kind,
    /// Whose it is.
    pub person: u64,
    /// What the person calls it.
    pub note: String,
    /// The app it was issued to.
    pub client_id: Option<String>,
    /// What it may do, for kinds with scopes.
    pub scopes: Scopes,
    /// What it may do, for kinds without scopes.
    pub permissions: Permissions,
    /// Full names of the repositories it reaches, for kinds without scopes; `None` means all.
    pub repositories: Option<Vec<String>>,
    /// Whether it may enter organisations that enforce single sign-on.
    pub single_sign_on: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until this moment it is refused although it is good.
    pub accepted_from: Option<OffsetDateTime>,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// How the expiry header is spelled.
    pub expiry_shape: ExpiryShape,
    /// Whether someone took it back.
    pub revoked: bool,
    /// The secret that buys the next pair.
    pub refresh: Option<Refresh>,
}

/// The other half of a GitHub App's pair.
#[derive(Clone)]
pub struct Refresh {
    /// What the app presents.
    pub secret: String,
    /// When it stops working.
    pub expires_at: OffsetDateTime,
}

impl Token {
    /// Whether the host accepts it now.
    pub fn works(&self, now: OffsetDateTime) -> bool {
        !self.revoked
            && self.expires_at.is_none_or(|end| now < end)
            && self.accepted_from.is_none_or(|start| now >= start)
    }

    /// The value of `github-authentication-token-expiration`.
    pub fn expiry_header(&self) -> Option<String> {
        self.expires_at.map(|end| match self.expiry_shape {
            ExpiryShape::Utc => clock::expiry_in_utc(end),
            ExpiryShape::Offset => clock::expiry_with_offset(end),
        })
    }

    /// Whether its selection of repositories contains this full name.
    pub fn selects(&self, full_name: &str) -> bool {
        self.repositories
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name.eq_ignore_ascii_case(full_name)))
    }

    /// Whether it holds the permission at this level or a higher one.
    pub fn permits(&self, permission: &str, level: Level) -> bool {
        self.permissions.get(permission).is_some_and(|held| *held >= level)
    }

    /// `in use`, `expired` or `revoked`.
    pub fn condition(&self, now: OffsetDateTime) -> &'static str {
        if self.revoked {
            "revoked"
        } else if self.expires_at.is_some_and(|end| now >= end) {
            "expired"
        } else {
            "in use"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, checksum, mint_refresh};

    #[test]
    fn a_checksum_is_the_crc_of_the_body_in_base_62() {
        for (letter, first, second) in [("A", "0uC", "Plr"), ("0", "2C8", "GjS"), ("z", "4Il", "JEz")] {
            assert_eq!(checksum(&letter.repeat(30)), [first, second].concat());
        }
    }

    #[test]
    fn every_kind_has_its_prefix_and_length() {
        for (kind, prefix, length) in [
            (Kind::Classic, "ghp_", 40),
            (Kind::FineGrained, "github_pat_", 93),
            (Kind::Oauth, "gho_", 40),
            (Kind::GithubApp, "ghu_", 40),
            (Kind::Legacy, "", 40),
        ] {
            let secret = kind.mint();
            assert!(secret.starts_with(prefix));
            assert_eq!(secret.len(), length);
        }
        let refresh = mint_refresh();
        assert_eq!(refresh.len(), 80);
        assert_eq!(checksum(&refresh[4..74]), refresh[74..]);
    }
}
