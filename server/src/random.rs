//! Chance, as an argument: the server asks the operating system, tests repeat themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Gives bytes that nobody can guess.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the source has nothing to give; then nothing that needs it may go on.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoEntropy;

/// The operating system's random bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}

/// Bytes that follow from a seed, for tests: the same again, but never the same twice in a row.
#[derive(Debug)]
pub struct TestEntropy {
    seed: u64,
    drawn: AtomicU64,
}

impl TestEntropy {
    /// A source that repeats itself from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }
}

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for chunk in bytes.chunks_mut(32) {
            let draw = self.drawn.fetch_add(1, Ordering::SeqCst);
            let block = Sha256::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(draw.to_le_bytes())
                .finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

/// A random id of 128 bits, for rows.
///
/// # Errors
/// [`NoEntropy`].
pub fn new_id(entropy: &dyn Entropy) -> Result<String, NoEntropy> {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A random secret of 256 bits in letters that fit into cookies and addresses.
///
/// # Errors
/// [`NoEntropy`].
pub fn new_secret(entropy: &dyn Entropy) -> Result<crate::secret::Secret, NoEntropy> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    entropy.fill(&mut *bytes)?;
    Ok(crate::secret::Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
}
