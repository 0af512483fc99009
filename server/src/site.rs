//! The composition root.

use std::{path::Path, sync::Arc};

use crate::{
    clock::Clock, config::Config, id::CredentialId, person::User, random::Entropy, secret::Secret,
    store::Applied,
};

/// Stand-in.
pub struct People;
/// Stand-in.
#[derive(Debug, thiserror::Error)]
#[error("this build has no site")]
pub struct SiteError;
impl SiteError {
    /// Stand-in.
    pub fn exit_code(&self) -> u8 {
        1
    }
}
/// Stand-in.
pub struct Site {
    /// Stand-in.
    pub people: People,
}
/// Stand-in.
pub struct Verified {
    /// Stand-in.
    pub total: u32,
    /// Stand-in.
    pub broken: Vec<CredentialId>,
}
#[expect(clippy::unused_async, missing_docs, reason = "stand-in")]
impl People {
    pub async fn add_user(&self, _: &str) -> Result<(User, Secret), SiteError> {
        Err(SiteError)
    }
    pub async fn reset_link(&self, _: &str) -> Result<Secret, SiteError> {
        Err(SiteError)
    }
    pub async fn disable(&self, _: &str) -> Result<(), SiteError> {
        Err(SiteError)
    }
    pub async fn setup_link(&self) -> Result<Option<Secret>, SiteError> {
        Err(SiteError)
    }
}
#[expect(clippy::unused_async, missing_docs, reason = "stand-in")]
impl Site {
    pub async fn open(_: Config, _: Arc<dyn Clock>, _: Arc<dyn Entropy>) -> Result<Self, SiteError> {
        Err(SiteError)
    }
    pub async fn serve(self) -> Result<(), SiteError> {
        Err(SiteError)
    }
    pub async fn would_apply(_: &Config) -> Result<Option<Applied>, SiteError> {
        Ok(None)
    }
    pub async fn backup(&self, _: &Path) -> Result<(), SiteError> {
        Err(SiteError)
    }
    pub async fn verify(&self) -> Result<Verified, SiteError> {
        Err(SiteError)
    }
}
