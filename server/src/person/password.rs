//! Passwords: which ones are good enough, and how they are kept.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordVerifier, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::Name;
use crate::{
    random::{Entropy, NoEntropy},
    secret::Secret,
};

/// In byte order, behind lines of licence that begin with `#`. A binary search in the program's own pages: the
/// estimator this list comes from keeps 6 MB of tables in memory once it was used.
const COMMON: &str = include_str!("common-passwords.txt");

/// Why a password can't be used. Length and common lists are the only rules (OWASP ASVS 5.0, 6.2.1, 6.2.4, 6.2.5,
/// 6.2.9, 6.2.11): no demands for signs or capitals, no end after some months.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PasswordProblem {
    /// Fewer than 8 characters.
    #[error("a password needs at least {} characters", PasswordProblem::SHORTEST)]
    TooShort,
    /// More than 128 characters.
    #[error("a password can have at most {} characters", PasswordProblem::LONGEST)]
    TooLong,
    /// Among the 5,000 most common of this length.
    #[error("this password is one of the most common ones, which are guessed first")]
    Common,
    /// The person's or the product's name, with nothing but digits and signs around it.
    #[error("a name is guessed first: choose a password that is not made of it")]
    Name,
}

impl PasswordProblem {
    /// The least number of characters.
    pub const SHORTEST: usize = 8;
    /// The greatest number of characters.
    pub const LONGEST: usize = 128;
    /// In bytes, as it is typed: hardly a character is longer than a Hangul syllable whose three parts stand alone.
    const LONGEST_BYTES: usize = Self::LONGEST * 9;
}

/// Checks a new password of the person with this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &Secret, name: &Name) -> Result<(), PasswordProblem> {
    let password = prepare(password).ok_or(PasswordProblem::TooLong)?;
    let length = password.chars().count();
    if length < PasswordProblem::SHORTEST {
        return Err(PasswordProblem::TooShort);
    }
    if length > PasswordProblem::LONGEST {
        return Err(PasswordProblem::TooLong);
    }
    // As a name is read, so that `Octocat1` is seen to be `octocat`. NFKC makes UTF-8 at most eleven times as long.
    let mut folded = Zeroizing::new(String::with_capacity(password.len() * 16));
    folded.extend(password.nfkc().flat_map(char::to_lowercase));
    let bare = folded.trim_matches(|c: char| !c.is_alphabetic());
    let name_itself = name.as_str().trim_matches(|c: char| !c.is_alphabetic());
    if *folded == name.as_str() || bare == "gitward" || (!bare.is_empty() && bare == name_itself) {
        return Err(PasswordProblem::Name);
    }
    if is_common(&folded) {
        return Err(PasswordProblem::Common);
    }
    Ok(())
}

fn is_common(password: &str) -> bool {
    // By bytes: cut at any place, go back to the line's start, compare.
    let (mut from, mut to) = (0, COMMON.len());
    while from < to {
        let middle = from.midpoint(to);
        let start =
            COMMON.as_bytes()[..middle].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = COMMON[start..].lines().next().unwrap_or_default();
        match line.cmp(password) {
            _ if line.starts_with('#') => from = start + line.len() + 1,
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = start + line.len() + 1,
            std::cmp::Ordering::Greater => to = start,
        }
    }
    false
}

/// A password as every keyboard means it: NFC, and blanks of any sort as plain ones (the OpaqueString profile,
/// RFC 8265 section 4.2). Neither cut nor folded. `None` if it is too long to be looked at: no password that was set is.
fn prepare(password: &Secret) -> Option<Zeroizing<String>> {
    let text = password.expose();
    if text.len() > PasswordProblem::LONGEST_BYTES {
        return None;
    }
    // NFC makes UTF-8 at most three times as long, so the buffer never moves and leaves no copy behind.
    let mut prepared = Zeroizing::new(String::with_capacity(text.len() * 3));
    let plain = |c: char| if c.is_whitespace() && !c.is_control() { ' ' } else { c };
    prepared.extend(text.chars().map(plain).nfc());
    Some(prepared)
}

/// What one hash costs. The default is 46 MiB, two passes, one lane: twice what the OWASP Password Storage Cheat
/// Sheet asks for with 46 MiB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cost {
    /// Memory in KiB. Above 32 MiB, glibc's allocator returns it to the system at once; below, it may keep a block
    /// for the next hash.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes, computed one after the other.
    pub lanes: u32,
    /// How many hashes run at once; others wait.
    pub at_once: usize,
    /// How many may wait before the next is turned away.
    pub waiting: usize,
}

impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 46 * 1024, passes: 2, lanes: 1, at_once: 2, waiting: 256 }
    }
}

impl Cost {
    /// The most memory that a stored hash may ask for, in KiB, so that a row can't exhaust the machine.
    const MOST_MEMORY_KIB: u32 = 1024 * 1024;
}

/// Why there is no hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum HashError {
    #[error("too many people are signing in at this moment")]
    Busy,
    #[error("Argon2 can't work with these parameters: {0}")]
    Argon2(&'static str),
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Hashes with Argon2id (RFC 9106), a few at once. Memory is allocated for each hash and freed after it.
pub(super) struct Hasher {
    params: Params,
    /// Looks like a hash, and no password has it: for people that don't exist, at the same cost.
    dummy: String,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
    done: AtomicU64,
}

/// The right to hash, held until the hash is done, also when nobody waits for it any more.
pub(super) struct Turn {
    hasher: Arc<Hasher>,
    _permit: OwnedSemaphorePermit,
}

impl Hasher {
    pub(super) fn new(cost: Cost, entropy: &dyn Entropy) -> Result<Self, HashError> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
            .map_err(|_| HashError::Argon2("memory, passes or lanes are out of range"))?;
        let mut salt = [0; 16];
        let mut output = [0; 32];
        entropy.fill(&mut salt)?;
        entropy.fill(&mut output)?;
        let dummy = phc(&params, &salt, &output)?;
        Ok(Self {
            params,
            dummy,
            turns: Arc::new(Semaphore::new(cost.at_once.max(1))),
            waiting: AtomicUsize::new(0),
            most_waiting: cost.waiting,
            done: AtomicU64::new(0),
        })
    }

    /// How many hashes were computed so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits for its turn, unless too many wait already.
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn, HashError> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }

        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(Turn { hasher: Arc::clone(self), _permit: permit });
        }
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        if before >= self.most_waiting {
            return Err(HashError::Busy);
        }
        let permit = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| HashError::Busy)?;
        Ok(Turn { hasher: Arc::clone(self), _permit: permit })
    }

    /// Whether a stored hash was made with other parameters than those in force.
    pub(super) fn is_outdated(&self, stored: &str) -> bool {
        let current = PasswordHash::new(&self.dummy);
        let stored = PasswordHash::new(stored);
        match (current, stored) {
            (Ok(current), Ok(stored)) => {
                (stored.algorithm, stored.version, stored.params)
                    != (current.algorithm, current.version, current.params)
            }
            _ => true,
        }
    }

    fn argon2(&self) -> Argon2<'static> {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone())
    }

    fn count(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Turn {
    /// Whether the password is the stored one. Without a stored one, or with a password that is too long for any, the
    /// same work is done, and the answer is no. Gives the turn back.
    pub(super) async fn verify(
        self,
        password: &Secret,
        stored: Option<&str>,
    ) -> Result<(bool, Self), HashError> {
        let prepared = prepare(password);
        let possible = stored.is_some() && prepared.is_some();
        let stored = stored.unwrap_or(&self.hasher.dummy).to_owned();
        let password = prepared.unwrap_or_default();
        self.run(move |hasher| {
            let stored = PasswordHash::new(&stored)
                .map_err(|_| HashError::Argon2("a stored password is not in PHC form"))?;
            let params = Params::try_from(&stored)
                .map_err(|_| HashError::Argon2("a stored password has unknown parameters"))?;
            if params.m_cost() > Cost::MOST_MEMORY_KIB {
                return Err(HashError::Argon2("a stored password asks for too much memory"));
            }
            hasher.count();
            // Takes algorithm, version and parameters from the stored one, and compares in constant time.
            let right = hasher.argon2().verify_password(password.as_bytes(), &stored).is_ok();
            Ok(right && possible)
        })
        .await
    }

    /// The hash of a password, as a PHC string. Gives the turn back.
    pub(super) async fn hash(
        self,
        password: &Secret,
        entropy: &dyn Entropy,
    ) -> Result<(String, Self), HashError> {
        let mut salt = [0; 16];
        entropy.fill(&mut salt)?;
        let password = prepare(password).ok_or(HashError::Argon2("the password is too long"))?;
        self.run(move |hasher| {
            hasher.count();
            let mut output = Zeroizing::new([0; 32]);
            hasher
                .argon2()
                .hash_password_into(password.as_bytes(), &salt, &mut *output)
                .map_err(|_| HashError::Argon2("there is not enough memory"))?;
            phc(&hasher.params, &salt, &output)
        })
        .await
    }

    /// Off the threads that serve. The turn moves along: who goes away does not make room for another hash.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&Hasher) -> Result<T, HashError> + Send + 'static,
    ) -> Result<(T, Self), HashError> {
        tokio::task::spawn_blocking(move || {
            let done = work(&self.hasher)?;
            Ok((done, self))
        })
        .await
        .map_err(|_| HashError::Argon2("the thread that hashes has ended"))?
    }
}

fn phc(params: &Params, salt: &[u8; 16], output: &[u8; 32]) -> Result<String, HashError> {
    let unfit = |_| HashError::Argon2("its result does not fit into a PHC string");
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|_| HashError::Argon2("its parameters do not fit"))?,
        salt: Some(Salt::new(salt).map_err(unfit)?),
        hash: Some(Output::new(output).map_err(unfit)?),
    };
    Ok(hash.to_string())
}
