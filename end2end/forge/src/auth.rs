//! What a request presents as its credential.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The credential of a request.
pub enum Presented {
    /// No header.
    Nothing,
    /// `Bearer T`.
    Bearer(String),
    /// `token T`, the older spelling.
    Token(String),
    /// `Basic base64(user:password)`.
    Basic {
        /// Before the colon.
        user: String,
        /// After the colon.
        password: String,
    },
    /// A header of its own, such as `Private-Token: T`.
    Header {
        /// How the list of requests calls it.
        name: &'static str,
        /// Its value.
        secret: String,
    },
    /// A header that cannot be read.
    Unreadable,
}

impl Presented {
    /// Reads `Authorization`.
    pub fn read(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(AUTHORIZATION) else { return Self::Nothing };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else {
            return Self::Unreadable;
        };
        let rest = rest.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Self::Bearer(rest.to_owned()),
            "token" => Self::Token(rest.to_owned()),
            "basic" => Self::read_basic(rest).unwrap_or(Self::Unreadable),
            _ => Self::Unreadable,
        }
    }

    fn read_basic(encoded: &str) -> Option<Self> {
        let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }

    /// The scheme's name, for the list of requests.
    pub fn scheme(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Bearer(_) => Some("Bearer"),
            Self::Token(_) => Some("token"),
            Self::Basic { .. } => Some("Basic"),
            Self::Header { name, .. } => Some(name),
            Self::Unreadable => Some("other"),
        }
    }

    /// The part that a token would be in.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Bearer(secret) | Self::Token(secret) | Self::Header { secret, .. } => Some(secret),
            Self::Basic { password, .. } => Some(password),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}
