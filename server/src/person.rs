//! People: names, passwords, sessions, one-time links.
//!
//! # Guessing
//!
//! Each try to sign in is counted in the account's bucket *before* the password is hashed, so a hundred tries at once
//! count as a hundred and five of them are made; being right empties the bucket. Another, larger bucket counts the
//! wrong tries from one address; it is looked at when the try has its turn, and only a few have theirs at once, so
//! tries at once can't overrun it by more than that. Windows are fixed and end 15 minutes after their first failure:
//! nobody is locked out for good, and tries that were turned away don't make it longer.
//!
//! A name that does not exist, is disabled, has no password yet or is no name at all has a bucket and costs a hash
//! like any other, and gets the same answer (OWASP ASVS 5.0, 6.3.1 and 6.3.8). Buckets are named by a hash of the
//! normalised name: people type passwords into the wrong field.
//!
//! Nothing is normalised that is too long to be a name or a password: a sign makes up to eighteen others, and putting
//! megabytes of them in order takes a core for many seconds. What is too long is wrong like anything else.
//!
//! # Sessions
//!
//! A session's id is a random secret of 256 bits, new at each sign-in and password change, of which the database
//! keeps SHA-256. It ends 30 minutes after its last use or 12 hours after its start, on the server (ASVS 7.2, 7.3).

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use crate::{
    clock::{Clock, Leaps, Timestamp},
    id::UserId,
    random::{Entropy, NoEntropy, new_id, new_secret},
    secret::{Fingerprint, Secret},
    store::{PersonStore, Redeemed, StoreError, Undecided},
};

mod password;

#[cfg(test)]
mod tests;

pub use password::{Cost, PasswordProblem, check_password};
use password::{HashError, Hasher, Turn};

/// A name to sign in with, normalised: NFKC, lower case, no blanks around. Two spellings of one name are one name,
/// for the limits on guessing as well.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Name(String);

impl Name {
    const LONGEST: usize = 64;
    /// As it is typed, without the blanks around: no character of UTF-8 has more than four bytes.
    const LONGEST_BYTES: usize = Self::LONGEST * 4;

    /// Letters, digits and `._-@+` of any script, 1 to 64 of them. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let name = Self::normalise(text)?;
        let count = name.chars().count();
        let fits = name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
        ((1..=Self::LONGEST).contains(&count) && fits).then_some(Self(name))
    }

    /// Lower case can undo NFKC, so it is done again. `None` if it is too long to be looked at.
    fn normalise(text: &str) -> Option<String> {
        let text = text.trim();
        if text.len() > Self::LONGEST_BYTES {
            return None;
        }
        let lower: String = text.nfkc().flat_map(char::to_lowercase).collect();
        Some(lower.nfkc().collect())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person.
#[derive(Clone, Eq, PartialEq)]
pub struct User {
    /// Random.
    pub id: UserId,
    /// To sign in with.
    pub name: Name,
    /// Argon2id, as a PHC string; `None` until a one-time link was used.
    pub password: Option<String>,
    /// Since when they can't sign in.
    pub disabled_at: Option<Timestamp>,
    /// Since when they exist.
    pub created_at: Timestamp,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("has_password", &self.password.is_some())
            .field("disabled_at", &self.disabled_at)
            .field("created_at", &self.created_at)
            .finish()
    }
}

/// A signed-in browser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Of the random id in the cookie.
    pub id: Fingerprint,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub started_at: Timestamp,
    /// The last use.
    pub seen_at: Timestamp,
}

/// A link that sets a password, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneTimeLink {
    /// Of the random part of the address.
    pub secret: Fingerprint,
    /// Whose password; `None` for the link that makes the first person.
    pub user: Option<UserId>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// Somebody who just signed in. The secret belongs into the cookie and nowhere else.
#[derive(Clone)]
pub struct SignedIn {
    /// The session's id. The database has only its fingerprint.
    pub secret: Secret,
    /// The session.
    pub session: Session,
    /// Who.
    pub user: User,
}

/// What a one-time link does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkFor {
    /// Makes the first person.
    SetUp,
    /// Sets a person's password.
    Password {
        /// Whose.
        name: Name,
    },
}

/// How long things last, and how many guesses there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// What a hash costs.
    pub cost: Cost,
    /// A session ends this long after its last use, at most [`Settings::touch_every`] earlier.
    pub idle: Duration,
    /// A session ends this long after its start, used or not.
    pub absolute: Duration,
    /// The use of a session is noted at most this often, so that reading a page does not write.
    pub touch_every: Duration,
    /// How long failures are counted together, from the first one.
    pub window: Duration,
    /// Tries per account and window.
    pub per_account: u32,
    /// Failures per address (IPv6: per /64) and window.
    pub per_address: u32,
    /// How long the link is good that makes the first person.
    pub setup_link: Duration,
    /// How long a link is good that sets a password.
    pub password_link: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cost: Cost::default(),
            idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(12 * 60 * 60),
            touch_every: Duration::from_secs(60),
            window: Duration::from_secs(15 * 60),
            per_account: 5,
            per_address: 50,
            setup_link: Duration::from_secs(60 * 60),
            password_link: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What should not happen, and is nobody's mistake who uses Gitward: for the log, not for the page.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Chance.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// Argon2.
    #[error("passwords can't be hashed: {0}")]
    Hash(&'static str),
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Name or password; which one is not told, nor known by the time it takes.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many tries.
    #[error("too many tries: the next one is possible in {retry_after_seconds} seconds")]
    Throttled {
        /// At least 1.
        retry_after_seconds: u32,
    },
    /// Too many people sign in at this moment. Try again in a few seconds.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// See there.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The current password is wrong.
    #[error("the current password is wrong")]
    Wrong,
    /// The new password breaks a rule. The current one was not looked at.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// Too many tries.
    #[error("too many tries: the next one is possible in {retry_after_seconds} seconds")]
    Throttled {
        /// At least 1.
        retry_after_seconds: u32,
    },
    /// Too many people sign in at this moment. Try again in a few seconds.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// See there.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a one-time link did not work. Unless it is spent, it stays good.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// The link is unknown, used or too old.
    #[error("this link was used already, or is too old")]
    Spent,
    /// The password breaks a rule.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// The name has other characters than letters, digits and `._-@+`, or more than 64.
    #[error("a name has up to 64 letters, digits, and . _ - @ +")]
    NameUnusable,
    /// The name is taken.
    #[error("this name is taken")]
    NameTaken,
    /// Too many people sign in at this moment. Try again in a few seconds.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// See there.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a person could not be added, disabled or given a link.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    /// The name has other characters than letters, digits and `._-@+`, or more than 64.
    #[error("a name has up to 64 letters, digits, and . _ - @ +")]
    NameUnusable,
    /// The name is taken.
    #[error("this name is taken")]
    NameTaken,
    /// There is nobody of that name.
    #[error("there is nobody of that name")]
    Unknown,
    /// The person is disabled, so a password would be of no use.
    #[error("this person is disabled")]
    Disabled,
    /// See there.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A change of password that its person may make, and has yet to.
pub struct PasswordChange {
    user: User,
    /// Of the new one.
    hash: String,
}

/// The use of a one-time link that has yet to happen.
pub struct Redemption {
    link: Fingerprint,
    user: User,
    /// Of the password that was chosen.
    hash: String,
    is_first: bool,
}

impl Redemption {
    /// Whose password it sets.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Whether it makes the first person.
    pub fn is_first(&self) -> bool {
        self.is_first
    }
}

/// Signs people in and out. Cheap to clone; clones share the limit on hashes at once.
#[derive(Clone)]
pub struct People {
    store: Arc<dyn PersonStore>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: Settings,
    hasher: Arc<Hasher>,
    /// Since the last sweep.
    leaps: Arc<Mutex<Leaps>>,
}

impl People {
    /// # Errors
    /// [`Fault::Hash`] if Argon2 does not take the parameters, [`Fault::NoEntropy`].
    pub fn new(
        store: Arc<dyn PersonStore>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Result<Self, Fault> {
        let hasher = Hasher::new(settings.cost, &*entropy).map_err(|error| match error {
            HashError::Busy => Fault::Hash("too many at once"),
            HashError::Argon2(problem) => Fault::Hash(problem),
            HashError::NoEntropy(error) => Fault::NoEntropy(error),
        })?;
        let leaps = Arc::new(Mutex::new(Leaps::new(clock.as_ref())));
        Ok(Self { store, clock, entropy, settings, hasher: Arc::new(hasher), leaps })
    }

    /// Signs somebody in. The session is a new one each time; one that the browser had before is the caller's to
    /// end, with [`People::sign_out`].
    ///
    /// # Errors
    /// [`SignInError::Wrong`] whatever is wrong, [`SignInError::Throttled`], [`SignInError::Busy`],
    /// [`SignInError::Fault`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: &Secret,
        address: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let guess = Guess {
            name: Name::parse(name),
            account: account_bucket(name),
            address: address_bucket(address),
            password: password.clone(),
        };
        let user = self.guess(guess).await.map_err(|refusal| match refusal {
            Refusal::Wrong => SignInError::Wrong,
            Refusal::Throttled { retry_after_seconds } => SignInError::Throttled { retry_after_seconds },
            Refusal::Busy => SignInError::Busy,
            Refusal::Fault(fault) => SignInError::Fault(fault),
        })?;
        self.start(user).await?.ok_or(SignInError::Wrong)
    }

    /// Whose session it is, without using it: a page that looks for what is new by itself does not keep it alive.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self, secret: &Secret) -> Result<Option<(Session, User)>, StoreError> {
        let now = self.clock.now();
        let Settings { idle, absolute, .. } = self.settings;
        self.store.session(&secret.fingerprint(), now.minus(idle), now.minus(absolute)).await
    }

    /// The session with this id and its person, if it is not over and the person not disabled. Notes the use, once
    /// a minute at most; when that fails, it is logged, and the session goes on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn session(&self, secret: &Secret) -> Result<Option<(Session, User)>, StoreError> {
        let now = self.clock.now();
        let touch_every = self.settings.touch_every;
        let Some((mut session, user)) = self.look(secret).await? else { return Ok(None) };
        if now.since(session.seen_at) >= touch_every {
            match self.store.touch_session(&session.id, now).await {
                Ok(()) => session.seen_at = now,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "could not note the use of a session");
                }
            }
        }
        Ok(Some((session, user)))
    }

    /// Ends a session. Nothing happens if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sign_out(&self, secret: &Secret) -> Result<(), StoreError> {
        self.store.end_session(&secret.fingerprint()).await
    }

    /// Whether somebody may change their password: they know the current one. Changes nothing yet. Wrong guesses at the
    /// current password are counted in a bucket of their own, so that strangers who guess at the sign-in can't keep
    /// anybody from changing it.
    ///
    /// # Errors
    /// [`ChangeError::Password`] before anything else, [`ChangeError::Wrong`] also if the session is another
    /// person's, [`ChangeError::Throttled`], [`ChangeError::Busy`], [`ChangeError::Fault`].
    pub async fn may_change_password(
        &self,
        user: &User,
        session: &Session,
        current: &Secret,
        new: &Secret,
        address: IpAddr,
    ) -> Result<PasswordChange, ChangeError> {
        check_password(new, &user.name)?;
        if session.user != user.id {
            return Err(ChangeError::Wrong);
        }
        let guess = Guess {
            name: Some(user.name.clone()),
            account: format!("change {}", user.id),
            address: address_bucket(address),
            password: current.clone(),
        };
        let found = self.guess(guess).await.map_err(|refusal| match refusal {
            Refusal::Wrong => ChangeError::Wrong,
            Refusal::Throttled { retry_after_seconds } => ChangeError::Throttled { retry_after_seconds },
            Refusal::Busy => ChangeError::Busy,
            Refusal::Fault(fault) => ChangeError::Fault(fault),
        })?;
        if found.id != user.id {
            return Err(ChangeError::Wrong);
        }
        let hash = self.hash(new).await.map_err(|error| match error {
            HashError::Busy => ChangeError::Busy,
            HashError::Argon2(problem) => ChangeError::Fault(Fault::Hash(problem)),
            HashError::NoEntropy(error) => ChangeError::Fault(Fault::NoEntropy(error)),
        })?;
        Ok(PasswordChange { user: found, hash })
    }

    /// Changes the password, ends all sessions and starts a new one.
    ///
    /// # Errors
    /// [`ChangeError::Wrong`] if it was changed meanwhile, or the person disabled; [`ChangeError::Fault`].
    pub async fn change_password(&self, change: PasswordChange) -> Result<SignedIn, ChangeError> {
        let PasswordChange { user, hash } = change;
        self.store.set_password(&user.id, &hash, None).await.map_err(Fault::Store)?;
        self.start(User { password: Some(hash), ..user }).await?.ok_or(ChangeError::Wrong)
    }

    /// A link that makes the first person, good for an hour, and the only one: earlier ones end. `None` once anybody
    /// exists.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn setup_link(&self) -> Result<Option<Secret>, Fault> {
        if self.store.has_users().await? {
            return Ok(None);
        }
        self.new_link(None, self.settings.setup_link).await.map(Some)
    }

    /// Adds a person, and a link with which they set their password within 24 hours.
    ///
    /// # Errors
    /// [`PersonError::NameUnusable`], [`PersonError::NameTaken`], [`PersonError::Fault`].
    pub async fn add_user(&self, name: &str) -> Result<(User, Secret), PersonError> {
        let name = Name::parse(name).ok_or(PersonError::NameUnusable)?;
        let user = self.new_user(name, None).map_err(Fault::NoEntropy)?;
        if !self.store.add_user(&user).await.map_err(Fault::Store)? {
            return Err(PersonError::NameTaken);
        }
        let secret = self.new_link(Some(user.id.clone()), self.settings.password_link).await?;
        Ok((user, secret))
    }

    /// A link with which a person sets a new password within 24 hours; earlier ones end. The password and the
    /// sessions stay until it is used.
    ///
    /// # Errors
    /// [`PersonError::Unknown`], [`PersonError::Disabled`], [`PersonError::Fault`].
    pub async fn reset_link(&self, name: &str) -> Result<Secret, PersonError> {
        let user = self.find(name).await?;
        if user.disabled_at.is_some() {
            return Err(PersonError::Disabled);
        }
        Ok(self.new_link(Some(user.id), self.settings.password_link).await?)
    }

    /// Disables a person: their sessions and links end, and they can't sign in.
    ///
    /// # Errors
    /// [`PersonError::Unknown`], [`PersonError::Fault`].
    pub async fn disable(&self, name: &str) -> Result<(), PersonError> {
        let user = self.find(name).await?;
        let known = self.store.disable_user(&user.id, self.clock.now()).await.map_err(Fault::Store)?;
        known.then_some(()).ok_or(PersonError::Unknown)
    }

    /// What a one-time link does, as long as it is good. Does not use it up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn link(&self, secret: &Secret) -> Result<Option<LinkFor>, StoreError> {
        Ok(self.open_link(secret).await?.map(|open| match open {
            OpenLink::SetUp => LinkFor::SetUp,
            OpenLink::Password(user) => LinkFor::Password { name: user.name },
        }))
    }

    /// What using a one-time link would do: make the first person, who gets this name, or set its person's password,
    /// where `name` does not matter. Changes nothing yet.
    ///
    /// # Errors
    /// [`RedeemError`]; the link stays good for all but [`RedeemError::Spent`].
    pub async fn may_redeem(
        &self,
        secret: &Secret,
        name: &str,
        password: &Secret,
    ) -> Result<Redemption, RedeemError> {
        let open = self.open_link(secret).await.map_err(Fault::Store)?.ok_or(RedeemError::Spent)?;
        let name = match &open {
            OpenLink::SetUp => Name::parse(name).ok_or(RedeemError::NameUnusable)?,
            OpenLink::Password(user) => user.name.clone(),
        };
        check_password(password, &name)?;
        let hash = self.hash(password).await.map_err(|error| match error {
            HashError::Busy => RedeemError::Busy,
            HashError::Argon2(problem) => RedeemError::Fault(Fault::Hash(problem)),
            HashError::NoEntropy(error) => RedeemError::Fault(Fault::NoEntropy(error)),
        })?;
        let is_first = matches!(open, OpenLink::SetUp);
        let user = match open {
            OpenLink::SetUp => self.new_user(name, None).map_err(Fault::NoEntropy)?,
            OpenLink::Password(user) => user,
        };
        Ok(Redemption { link: secret.fingerprint(), user, hash, is_first })
    }

    /// Uses a one-time link, ends that person's other sessions and starts a new one. Once only, whoever else tries.
    ///
    /// # Errors
    /// [`RedeemError::Spent`], [`RedeemError::NameTaken`], [`RedeemError::Fault`].
    pub async fn redeem(&self, redemption: Redemption) -> Result<SignedIn, RedeemError> {
        let Redemption { link, user, hash, is_first } = redemption;
        let now = self.clock.now();
        let user = if is_first {
            let user = User { password: Some(hash), ..user };
            match self.store.redeem_setup(&link, &user, now).await.map_err(Fault::Store)? {
                Redeemed::Yes => user,
                Redeemed::Spent => return Err(RedeemError::Spent),
                Redeemed::NameTaken => return Err(RedeemError::NameTaken),
            }
        } else {
            let redeemed = self.store.redeem_password(&link, &hash, now).await.map_err(Fault::Store)?;
            let id = redeemed.ok_or(RedeemError::Spent)?;
            // They have shown who they are, so what others guessed no longer keeps them out.
            self.store.forgive(&account_bucket(user.name.as_str())).await.map_err(Fault::Store)?;
            User { id, password: Some(hash), ..user }
        };
        self.start(user).await?.ok_or(RedeemError::Spent)
    }

    /// Forgets what is over: sessions, links, counters, old events. Not if the clock was set since the last time: one
    /// that was wrong for a while must not have thrown away what nobody has read. Answers the tokens that nobody
    /// decided about.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self) -> Result<Vec<Undecided>, StoreError> {
        if self.leaps.lock().unwrap_or_else(PoisonError::into_inner).was_set(self.clock.as_ref()) {
            tracing::warn!("This machine's clock was set; nothing is forgotten by age this time");
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        self.store.sweep(now, now.minus(self.settings.idle), now.minus(self.settings.absolute)).await
    }

    /// How many passwords were hashed since the start.
    pub fn hashes(&self) -> u64 {
        self.hasher.done()
    }

    async fn find(&self, name: &str) -> Result<User, PersonError> {
        let name = Name::parse(name).ok_or(PersonError::Unknown)?;
        self.store.user_by_name(&name).await.map_err(Fault::Store)?.ok_or(PersonError::Unknown)
    }

    fn new_user(&self, name: Name, password: Option<String>) -> Result<User, NoEntropy> {
        let id = UserId(new_id(&*self.entropy)?);
        Ok(User { id, name, password, disabled_at: None, created_at: self.clock.now() })
    }

    async fn new_link(&self, user: Option<UserId>, good_for: Duration) -> Result<Secret, Fault> {
        let secret = new_secret(&*self.entropy)?;
        let expires_at = self.clock.now().plus(good_for);
        self.store.add_link(&OneTimeLink { secret: secret.fingerprint(), user, expires_at }).await?;
        Ok(secret)
    }

    async fn open_link(&self, secret: &Secret) -> Result<Option<OpenLink>, StoreError> {
        let Some(link) = self.store.link(&secret.fingerprint(), self.clock.now()).await? else {
            return Ok(None);
        };
        Ok(match link.user {
            None => (!self.store.has_users().await?).then_some(OpenLink::SetUp),
            Some(id) => {
                let user = self.store.user(&id).await?.filter(|user| user.disabled_at.is_none());
                user.map(OpenLink::Password)
            }
        })
    }

    async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let turn = self.hasher.turn().await?;
        let (hash, _turn) = turn.hash(password, &*self.entropy).await?;
        Ok(hash)
    }

    /// Starts a session for somebody whose password was this one a moment ago. `None` if it is no longer, or if they
    /// were disabled: whoever changed that has ended all sessions, but could not end this one before it was there.
    async fn start(&self, user: User) -> Result<Option<SignedIn>, Fault> {
        let secret = new_secret(&*self.entropy)?;
        let now = self.clock.now();
        let session =
            Session { id: secret.fingerprint(), user: user.id.clone(), started_at: now, seen_at: now };
        self.store.start_session(&session).await?;
        let unchanged = self
            .store
            .user(&user.id)
            .await?
            .is_some_and(|now| now.password == user.password && now.disabled_at.is_none());
        if !unchanged {
            self.store.end_session(&session.id).await?;
            return Ok(None);
        }
        Ok(Some(SignedIn { secret, session, user }))
    }

    /// One guess at a password, counted.
    async fn guess(&self, guess: Guess) -> Result<User, Refusal> {
        // An address that has used up its guesses does not use up the account's as well.
        self.address_may(&guess.address).await?;
        let now = self.clock.now();
        let window = u32::try_from(self.settings.window.as_secs()).unwrap_or(u32::MAX);
        let tries = self.store.count_failure(&guess.account, now, window).await.map_err(Fault::Store)?;
        if tries > self.settings.per_account {
            return Err(self.throttled(&guess.account).await?);
        }
        let turn = self.hasher.turn().await.map_err(Refusal::from)?;
        // To its end even if the visitor goes away, so that going away is no way around the address's bucket.
        let people = self.clone();
        tokio::spawn(async move { people.judge(guess, turn, window).await })
            .await
            .map_err(|_| Refusal::Fault(Fault::Hash("the task that hashes has ended")))?
    }

    async fn judge(&self, guess: Guess, turn: Turn, window: u32) -> Result<User, Refusal> {
        self.address_may(&guess.address).await?;
        let user = match &guess.name {
            Some(name) => self.store.user_by_name(name).await.map_err(Fault::Store)?,
            None => None,
        };
        let user = user.filter(|user| user.disabled_at.is_none());
        let stored = user.as_ref().and_then(|user| user.password.clone());
        let (right, turn) = turn.verify(&guess.password, stored.as_deref()).await.map_err(Refusal::from)?;
        let (true, Some(mut user), Some(stored)) = (right, user, stored) else {
            let now = self.clock.now();
            self.store.count_failure(&guess.address, now, window).await.map_err(Fault::Store)?;
            return Err(Refusal::Wrong);
        };
        self.store.forgive(&guess.account).await.map_err(Fault::Store)?;
        if self.hasher.is_outdated(&stored) {
            let (hash, _turn) = turn.hash(&guess.password, &*self.entropy).await.map_err(Refusal::from)?;
            self.store.rehash_password(&user.id, &stored, &hash).await.map_err(Fault::Store)?;
            user.password = Some(hash);
        }
        Ok(user)
    }

    async fn address_may(&self, bucket: &str) -> Result<(), Refusal> {
        let failures = self.store.failures(bucket, self.clock.now()).await.map_err(Fault::Store)?;
        match failures {
            Some((count, _)) if count >= self.settings.per_address => Err(self.throttled(bucket).await?),
            _ => Ok(()),
        }
    }

    /// Until the bucket's window ends, rounded up.
    async fn throttled(&self, bucket: &str) -> Result<Refusal, Fault> {
        let now = self.clock.now();
        let ends = self.store.failures(bucket, now).await?.map_or(now, |(_, ends)| ends);
        let seconds = ends.since(now).as_micros().div_ceil(1_000_000).max(1);
        Ok(Refusal::Throttled { retry_after_seconds: u32::try_from(seconds).unwrap_or(u32::MAX) })
    }
}

/// A guess at a password.
struct Guess {
    /// `None` if it is no name at all.
    name: Option<Name>,
    /// The bucket of the account.
    account: String,
    /// The bucket of the address.
    address: String,
    password: Secret,
}

/// What became of it, if it was not right.
enum Refusal {
    Wrong,
    Throttled { retry_after_seconds: u32 },
    Busy,
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<HashError> for Refusal {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Argon2(problem) => Self::Fault(Fault::Hash(problem)),
            HashError::NoEntropy(error) => Self::Fault(Fault::NoEntropy(error)),
        }
    }
}

/// A link that is still good.
enum OpenLink {
    SetUp,
    Password(User),
}

/// The bucket of a name, of anything that was typed as a name. What is too long for one counts as it was typed.
fn account_bucket(name: &str) -> String {
    let hash = match Name::normalise(name) {
        Some(name) => Sha256::digest(name.as_bytes()),
        None => Sha256::digest(name.as_bytes()),
    };
    format!("account {}", URL_SAFE_NO_PAD.encode(hash))
}

/// The bucket of an address. Whoever has one IPv6 address has the /64 around it.
pub(crate) fn address_bucket(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
            format!("address {network}/64")
        }
    }
}
