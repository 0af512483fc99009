//! Tokens: their kinds, what they may do, and the secret that buys the next one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use time::{Duration, OffsetDateTime};

use crate::own::Own;
use crate::scope::Scopes;

/// What sort of token it is, as a dialect describes it.
pub struct Kind {
    /// Its name in the control room.
    pub name: &'static str,
    /// How pages call it.
    pub label: &'static str,
    /// What says how far it reaches.
    pub rights: Rights,
    /// A new secret of this kind.
    pub mint: fn() -> String,
    /// Whether apps get it for a code; otherwise people make it.
    pub for_apps: bool,
    /// How long an app's token works; `None` means without an end.
    pub life: Option<Duration>,
    /// The other half of an app's pair, where there is one.
    pub refresh: Option<RefreshKind>,
}

impl Kind {
    /// A token with scopes that people make; other kinds say what differs.
    pub const PERSONAL: Self = Self {
        name: "personal",
        label: "Personal access token",
        rights: Rights::Scopes,
        mint: || crate::random::alphanumeric(40),
        for_apps: false,
        life: None,
        refresh: None,
    };

    /// Whether scopes say how far it reaches.
    pub fn has_scopes(&self) -> bool {
        self.rights == Rights::Scopes
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// What says how far a token reaches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// A list of scopes.
    Scopes,
    /// Permissions by name, within a selection of repositories.
    Permissions,
}

/// How the secrets look that refresh a kind of token, and how long they work.
#[derive(Clone, Copy)]
pub struct RefreshKind {
    /// A new secret.
    pub mint: fn() -> String,
    /// How long it works; `None` means without an end.
    pub life: Option<Duration>,
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

/// Permissions of a token without scopes by name, such as `contents`.
pub type Permissions = BTreeMap<String, Level>;

/// One token of one person.
#[derive(Clone)]
pub struct Token {
    /// Tells tokens apart without naming their secret.
    pub id: u64,
    /// What the person or app presents.
    pub secret: String,
    /// What sort it is.
    pub kind: &'static Kind,
    /// Whose it is.
    pub person: u64,
    /// What the person calls it.
    pub note: String,
    /// What else the person says about it, where a dialect asks.
    pub description: String,
    /// The app it was issued to.
    pub client_id: Option<String>,
    /// Where the app had the person sent back to.
    pub redirect_uri: Option<String>,
    /// What it may do, for kinds with scopes.
    pub scopes: Scopes,
    /// What it may do, for kinds without scopes.
    pub permissions: Permissions,
    /// Full names of the repositories it reaches; `None` means all.
    pub repositories: Option<Vec<String>>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until this moment it is refused although it is good.
    pub accepted_from: Option<OffsetDateTime>,
    /// When it was last accepted.
    pub used_at: Option<OffsetDateTime>,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether someone took it back.
    pub revoked: bool,
    /// The secret that buys the next pair.
    pub refresh: Option<Refresh>,
    /// Members that only this dialect has.
    pub own: Own,
}

/// The other half of an app's pair.
#[derive(Clone)]
pub struct Refresh {
    /// What the app presents.
    pub secret: String,
    /// When it stops working.
    pub expires_at: Option<OffsetDateTime>,
    /// Whether it bought a pair that put an end to it.
    pub spent: bool,
}

impl Token {
    /// Whether the host accepts it now.
    pub fn works(&self, now: OffsetDateTime) -> bool {
        self.is_alive(now) && self.accepted_from.is_none_or(|start| now >= start)
    }

    /// Whether it was neither revoked nor has expired.
    pub fn is_alive(&self, now: OffsetDateTime) -> bool {
        !self.revoked && !self.has_expired(now)
    }

    /// Whether its end has come.
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
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
        } else if self.has_expired(now) {
            "expired"
        } else {
            "in use"
        }
    }
}
