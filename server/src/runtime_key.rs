//! The keys that runtimes show: `gwr_<public id>_<secret>`. Shown once when they are made; kept as a hash.
//!
//! A runtime has one valid key, or two while one replaces the other: rotating adds the next one, leaves the latest
//! valid and revokes those before it. The old one ends when it is revoked, or at the next rotation.

use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    audit::{Action, Audit, AuditError, By, Entry},
    catalogue::Runtime,
    clock::Clock,
    id::RuntimeId,
    random::{Entropy, NoEntropy},
    secret::Secret,
    store::{Store, StoreError, runtime::RuntimeKey},
};

/// What every key begins with, so that people and scanners recognise one.
pub const PREFIX: &str = "gwr_";
/// Bytes of the public part: enough that none comes twice.
const PUBLIC_BYTES: usize = 8;
/// Bytes of the secret part: 256 bits, so that a plain hash is enough (OWASP ASVS 5.0, 6.5.2).
const SECRET_BYTES: usize = 32;

/// Why a key was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not declared, or its account or provider isn't any more.
    #[error("there is no runtime `{0}`")]
    NoRuntime(RuntimeId),
    /// There is a valid key; a second one is made by rotating.
    #[error("`{0}` has a key already: rotate it, or revoke it first")]
    HasOne(RuntimeId),
    /// There is no valid key that could be rotated.
    #[error("`{0}` has no key to rotate: create one")]
    HasNone(RuntimeId),
    /// Somebody was faster.
    #[error("the keys of `{0}` have changed meanwhile: look at them again")]
    Moved(RuntimeId),
    /// The runtime has no valid key of this public id.
    #[error("`{runtime}` has no valid key `{public_id}`")]
    NoKey {
        /// Whose.
        runtime: RuntimeId,
        /// Which.
        public_id: String,
    },
    /// It could not be written down, so it was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// A key that was just made. Its text is nowhere else.
pub struct NewKey {
    /// All of it.
    pub text: Secret,
    /// Its public part.
    pub public_id: String,
    /// The public ids of those that it ended.
    pub revoked: Vec<String>,
}

/// Why a key opens nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotRecognised {
    /// None of ours: another shape, unknown, or the wrong secret.
    Unknown,
    /// The right one, but revoked or rotated out.
    Revoked(RuntimeKey),
    /// The right one, of a runtime that is no longer declared.
    Disabled(RuntimeKey),
}

/// Makes, revokes and recognises keys.
#[derive(Clone)]
pub struct RuntimeKeys {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Where it is written down.
    pub audit: Audit,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The secrets.
    pub entropy: Arc<dyn Entropy>,
}

impl RuntimeKeys {
    /// Makes the first key of a runtime, or the first after all were revoked.
    ///
    /// # Errors
    /// As [`KeyError`] says; then there is no new key.
    pub async fn create(&self, runtime: &RuntimeId, by: &By) -> Result<NewKey, KeyError> {
        match self.latest(runtime).await? {
            (_, Some(_)) => Err(KeyError::HasOne(runtime.clone())),
            (declared, None) => self.make(&declared, None, Action::RuntimeKeyCreated, by).await,
        }
    }

    /// Makes the next key; the latest one stays valid. `seen`: which one that was when somebody decided to, if they
    /// looked.
    ///
    /// # Errors
    /// As [`KeyError`] says; then there is no new key.
    pub async fn rotate(&self, runtime: &RuntimeId, seen: Option<&str>, by: &By) -> Result<NewKey, KeyError> {
        let (declared, latest) = self.latest(runtime).await?;
        let latest = latest.ok_or_else(|| KeyError::HasNone(runtime.clone()))?;
        if seen.is_some_and(|seen| seen != latest) {
            return Err(KeyError::Moved(runtime.clone()));
        }
        self.make(&declared, Some(&latest), Action::RuntimeKeyRotated, by).await
    }

    /// Revokes a key: it opens nothing from now on.
    ///
    /// # Errors
    /// As [`KeyError`] says.
    pub async fn revoke(&self, runtime: &RuntimeId, public_id: &str, by: &By) -> Result<(), KeyError> {
        // Before anything is done, so that nothing can come between that and its entry.
        let declared = self.store.runtime(runtime).await?;
        if !self.store.revoke_runtime_key(runtime, public_id, self.clock.now()).await? {
            return Err(KeyError::NoKey { runtime: runtime.clone(), public_id: public_id.to_owned() });
        }
        let entry = by.did(Action::RuntimeKeyRevoked).object(public_id);
        let entry = match declared {
            Some(declared) => entry.at(&declared.account, runtime),
            None => Entry { runtime: Some(runtime.clone()), ..entry },
        };
        self.audit.note(entry).await;
        Ok(())
    }

    /// Whose key this is. A wrong secret costs the same time as a right one.
    ///
    /// # Errors
    /// [`StoreError`]; that a key opens nothing is no error but the answer.
    pub async fn recognise(
        &self,
        text: &str,
    ) -> Result<Result<(RuntimeKey, Runtime), NotRecognised>, StoreError> {
        let Some((public_id, secret)) = parse(text) else { return Ok(Err(NotRecognised::Unknown)) };
        let shown = secret.fingerprint();
        let Some(key) = self.store.runtime_key(public_id).await? else {
            return Ok(Err(NotRecognised::Unknown));
        };
        if !bool::from(key.secret.0.ct_eq(&shown.0)) {
            return Ok(Err(NotRecognised::Unknown));
        }
        if key.revoked_at.is_some() {
            return Ok(Err(NotRecognised::Revoked(key)));
        }
        Ok(match self.store.runtime(&key.runtime).await? {
            Some(runtime) => Ok((key, runtime)),
            None => Err(NotRecognised::Disabled(key)),
        })
    }

    /// The runtime, and the public id of its latest valid key.
    async fn latest(&self, runtime: &RuntimeId) -> Result<(Runtime, Option<String>), KeyError> {
        let declared = self.store.runtime(runtime).await?;
        let declared = declared.ok_or_else(|| KeyError::NoRuntime(runtime.clone()))?;
        let keys = self.store.runtime_keys(runtime).await?;
        Ok((declared, keys.into_iter().find(|key| key.revoked_at.is_none()).map(|key| key.public_id)))
    }

    async fn make(
        &self,
        runtime: &Runtime,
        after: Option<&str>,
        action: Action,
        by: &By,
    ) -> Result<NewKey, KeyError> {
        let public_id = hex(&*random::<PUBLIC_BYTES>(self.entropy.as_ref())?);
        let secret = Secret::new(hex(&*random::<SECRET_BYTES>(self.entropy.as_ref())?));
        let key = RuntimeKey {
            public_id: public_id.clone(),
            runtime: runtime.id.clone(),
            secret: secret.fingerprint(),
            created_at: self.clock.now(),
            used_at: None,
            revoked_at: None,
        };
        let entry = by.did(action).at(&runtime.account, &runtime.id).object(&public_id);
        let adding = self.store.add_runtime_key(&key, after);
        let revoked = self.audit.before::<_, _, KeyError>(entry, adding).await?;
        let revoked = revoked.ok_or_else(|| KeyError::Moved(runtime.id.clone()))?;
        for ended in &revoked {
            let entry = by.did(Action::RuntimeKeyRevoked).at(&runtime.account, &runtime.id).object(ended);
            self.audit.note(entry.detail(format!("rotated out by {public_id}"))).await;
        }
        let mut text = String::with_capacity(LENGTH);
        for part in [PREFIX, &public_id, "_", secret.expose()] {
            text.push_str(part);
        }
        Ok(NewKey { text: Secret::new(text), public_id, revoked })
    }
}

const LENGTH: usize = PREFIX.len() + 2 * PUBLIC_BYTES + 1 + 2 * SECRET_BYTES;

/// Public id and secret, if the text has exactly the shape of a key.
fn parse(text: &str) -> Option<(&str, Secret)> {
    let rest = text.strip_prefix(PREFIX).filter(|_| text.len() == LENGTH)?;
    let (public_id, secret) = rest.split_once('_')?;
    let lower_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let fits = public_id.len() == 2 * PUBLIC_BYTES && lower_hex(public_id) && lower_hex(secret);
    fits.then(|| (public_id, Secret::new(secret)))
}

fn random<const N: usize>(entropy: &dyn Entropy) -> Result<Zeroizing<[u8; N]>, NoEntropy> {
    let mut bytes = Zeroizing::new([0; N]);
    entropy.fill(&mut *bytes)?;
    Ok(bytes)
}

/// Letters that a double click selects as one word, together with the underscores between.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // With room for all of it, so that no half of a secret is left behind in memory.
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_shape_is_a_key() {
        let public = "0123456789abcdef";
        let secret = "a".repeat(64);
        let (found, text) = (public, format!("gwr_{public}_{secret}"));
        let (id, parsed) = parse(&text).unwrap();
        assert_eq!((id, parsed.expose()), (found, secret.as_str()));
        for wrong in [
            String::new(),
            "gwr_".to_owned(),
            format!("gwr_{public}_"),
            format!("gwr_{public}_{}", "a".repeat(63)),
            format!("gwr_{public}_{}", "a".repeat(65)),
            format!("gwr_{public}_{}", "A".repeat(64)),
            format!("gwr_{public}_{}", "é".repeat(32)),
            format!("GWR_{public}_{secret}"),
            format!("gwr_{}_{secret}", public.to_uppercase()),
            format!("gwr_{public}{secret}a"),
            format!("gwr_a_{public}{}", "a".repeat(63)),
            format!(" gwr_{public}_{}", "a".repeat(63)),
            format!("gwr_{public}_{}\n", "a".repeat(63)),
        ] {
            assert!(parse(&wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_all_in_letters_that_are_selected_together() {
        assert_eq!(hex(&[0, 15, 16, 255]), "000f10ff");
    }
}
