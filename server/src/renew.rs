//! A grant whose access token is about to end is renewed when it is used. The order is the point: one at a time per
//! credential, a lease, then the provider, then **keep what came back before anything else can fail**.
//!
//! The lease is also the mark that the provider was asked. Where its answer is lost (the process died, the connection
//! broke, the disk was full) nobody knows whether the refresh token is used up: the *outcome is unknown*. It is then tried
//! once more with the same one. If that works, all is well; if it is refused, the credential is dead for that reason and
//! no other, and is not tried again by itself.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures_util::FutureExt;

use crate::{
    audit::{Action, Audit, Entry},
    clock::{APART, Clock, Timestamp},
    credential::{Credential, Evidence, Standing, Tokens, Trouble},
    failpoint,
    id::CredentialId,
    provider::{Grant, GrantError, OauthApp, Registry},
    random::Entropy,
    seal::{KeyRing, SealError},
    secret::Secret,
    store::{LONGEST_RENEWAL, Lease, NewCredential, Store, StoreError},
    watch::due,
};
use tokio_util::task::TaskTracker;

/// A lease is longer than any answer of a provider may take, so that nobody takes over a refresh that still runs.
const LEASE: Duration = Duration::from_secs(60);
const _: () = assert!(LEASE.as_secs() + APART.as_secs() <= LONGEST_RENEWAL.as_secs());
/// Tokens with less left are handed out as such.
const SOON: Duration = Duration::from_secs(60);
/// A grant that the provider has refused is tried again no sooner.
const DEAD_REST: Duration = Duration::from_secs(30);
/// How often somebody else's refresh is looked at, in another process.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What a refresh brought is the only copy of it: a database that is busy or full for a moment is asked again, for less
/// than the lease.
const KEEP_TRIES: u32 = 6;
const KEEP_PAUSE: Duration = Duration::from_millis(150);

/// Why there are no usable tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The credential is gone.
    #[error("the credential is gone")]
    Gone,
    /// It is due and could not be renewed; its standing says why.
    #[error("the credential could not be renewed")]
    NotRenewed(Setback),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secret does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The task that renews was stopped.
    #[error("renewing was stopped")]
    Stopped,
}

/// What stood in the way of renewing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Setback {
    /// The provider refused the grant, or the app: it answers.
    Refused,
    /// Too many requests.
    Limited {
        /// Until when, where the provider says.
        until: Option<Timestamp>,
    },
    /// No answer, or none that makes sense.
    Unreachable,
    /// Nobody was asked: somebody else still renews it, or nothing is set up to.
    NotAsked,
}

impl From<&GrantError> for Setback {
    fn from(error: &GrantError) -> Self {
        match error {
            GrantError::Refused(_) | GrantError::AppRefused(_) => Self::Refused,
            GrantError::RateLimited { until, .. } => Self::Limited { until: *until },
            GrantError::Unreachable(_) | GrantError::Lost(_) => Self::Unreachable,
        }
    }
}

/// When things happen to a grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dates {
    /// It must be renewed then, if anything renews it.
    pub renew_at: Option<Timestamp>,
    /// Its access token ends.
    pub secret_ends_at: Option<Timestamp>,
    /// Its user must act.
    pub user_acts_at: Option<Timestamp>,
}

/// Counted from when the request was sent: the answer may have taken its time.
pub fn dates(grant: &Grant, sent_at: Timestamp) -> Dates {
    let renew_at = grant.expires_in.map(|life| {
        let margin = (life / 10).max(Duration::from_secs(5 * 60)).min(life);
        sent_at.plus(life - margin)
    });
    let user_acts_at = match (&grant.refresh, grant.refresh_expires_in, grant.expires_in) {
        (Some(_), life, _) => life.map(|life| sent_at.plus(life)),
        // Nothing renews it, so the access token's end is the user's business.
        (None, _, life) => life.map(|life| sent_at.plus(life)),
    };
    Dates {
        renew_at: renew_at.filter(|_| grant.refresh.is_some()),
        secret_ends_at: grant.expires_in.map(|life| sent_at.plus(life)),
        user_acts_at,
    }
}

/// Why somebody wants tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// To use them, however often. Where the provider gave no new ones, it is asked again when the credential is due,
    /// not sooner: thousands of readers of one dead grant are no reason to ask thousands of times.
    Use,
    /// To see how the credential is: because it is due, or because its user wants to know.
    Check,
}

/// Tokens to use now.
pub struct Handed {
    /// Whose.
    pub credential: Credential,
    /// The secrets.
    pub tokens: Tokens,
    /// Less than a minute may be left of them, as far as their end is known: too little for what takes its time.
    pub ends_soon: bool,
}

/// Hands out tokens that work, renewing them where needed.
pub struct Renewer {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    audit: Audit,
    /// One lock per credential that is being renewed in this process; forgotten with its last holder. Keyed by the
    /// credential's id, never by a token: two users must never share an answer.
    in_flight: Mutex<HashMap<CredentialId, Weak<tokio::sync::Mutex<()>>>>,
    /// What must be waited for before the process ends: between a provider's answer and its row lies a token.
    under_way: TaskTracker,
}

impl Renewer {
    /// A renewer over these.
    pub fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        audit: Audit,
        under_way: TaskTracker,
    ) -> Self {
        Self { store, registry, keys, clock, entropy, audit, in_flight: Mutex::default(), under_way }
    }

    /// A credential with tokens that are good for now, or said not to be for long.
    ///
    /// # Errors
    /// As [`TokensError`] says.
    pub async fn tokens(self: &Arc<Self>, id: &CredentialId, why: Why) -> Result<Handed, TokensError> {
        let (credential, tokens) = self.open(id).await?;
        if !self.due(&credential) {
            return Ok(self.hand(credential, tokens));
        }
        if why == Why::Use && rests(&credential, self.clock.now()) {
            return Err(TokensError::NotRenewed(Setback::NotAsked));
        }
        let (credential, tokens) = self.on_its_own(id, credential.generation, false).await?;
        Ok(self.hand(credential, tokens))
    }

    /// A credential with its tokens as they are, due or not.
    ///
    /// # Errors
    /// As [`TokensError`] says, but never [`TokensError::NotRenewed`].
    pub async fn as_kept(&self, id: &CredentialId) -> Result<(Credential, Tokens), TokensError> {
        self.open(id).await
    }

    /// A credential with tokens that are good for now, renewed before its time if it still is of this generation: the provider refused its access token.
    ///
    /// # Errors
    /// As [`TokensError`] says.
    pub async fn renewed(
        self: &Arc<Self>,
        id: &CredentialId,
        generation: i64,
    ) -> Result<(Credential, Tokens), TokensError> {
        self.on_its_own(id, generation, true).await
    }

    /// On a task of its own: whoever asked may go away, but what the provider answers must be kept.
    async fn on_its_own(
        self: &Arc<Self>,
        id: &CredentialId,
        seen: i64,
        refused: bool,
    ) -> Result<(Credential, Tokens), TokensError> {
        let (renewer, id) = (Arc::clone(self), id.clone());
        self.under_way
            .spawn(async move { renewer.renew(&id, seen, refused).await })
            .await
            .map_err(|_| TokensError::Stopped)?
    }

    /// What time it is at the credential's provider.
    fn there(&self, credential: &Credential) -> Timestamp {
        let now = self.clock.now();
        self.registry.provider(&credential.provider).map_or(now, |provider| provider.place().there(now))
    }

    fn due(&self, credential: &Credential) -> bool {
        credential.renew_at.is_some_and(|at| at <= self.there(credential))
    }

    fn hand(&self, credential: Credential, tokens: Tokens) -> Handed {
        // What is due again right after it was renewed lives for minutes at most.
        let soon = self.there(&credential).plus(SOON);
        let ends_soon = self.due(&credential) || credential.expires_at.is_some_and(|end| end < soon);
        Handed { credential, tokens, ends_soon }
    }

    async fn open(&self, id: &CredentialId) -> Result<(Credential, Tokens), TokensError> {
        let kept = self.store.sealed(id).await?.ok_or(TokensError::Gone)?;
        let provider = self.registry.provider(&kept.credential.provider).ok_or(TokensError::Gone)?;
        let tokens = self.keys.unseal_tokens(&kept.credential, &provider.origin(), &kept.sealed)?;
        Ok((kept.credential, tokens))
    }

    fn lock(&self, id: &CredentialId) -> Arc<tokio::sync::Mutex<()>> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = in_flight.get(id).and_then(Weak::upgrade) {
            return lock;
        }
        in_flight.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        in_flight.insert(id.clone(), Arc::downgrade(&lock));
        lock
    }

    /// `seen`: the generation that was found to be due, or whose access token the provider `refused`.
    async fn renew(
        self: &Arc<Self>,
        id: &CredentialId,
        seen: i64,
        refused: bool,
    ) -> Result<(Credential, Tokens), TokensError> {
        let lock = self.lock(id);
        let _one_at_a_time = lock.lock().await;
        let mut waited = Duration::ZERO;
        loop {
            // Whoever held the lock, here or in another process, may have renewed it already. That is good enough,
            // however short its life: otherwise all who wait would renew it one after the other.
            let (mut credential, tokens) = self.open(id).await?;
            let wanted = credential.generation == seen && (refused || self.due(&credential));
            let Some(refresh) = tokens.refresh.clone().filter(|_| wanted) else {
                return Ok((credential, tokens));
            };
            let now = self.clock.now();
            let checked_at = credential.standing.checked_at;
            if credential.standing.invalid && checked_at <= now && now.since(checked_at) < DEAD_REST {
                return Err(TokensError::NotRenewed(Setback::NotAsked));
            }
            let app = credential.oauth_app.as_ref().and_then(|app| self.registry.app(app));
            let Some(app) = app else {
                let evidence =
                    Evidence { request: "renewal".into(), answer: "its OAuth app is not set up".into() };
                self.note(credential, GrantError::AppRefused(evidence)).await?;
                return Err(TokensError::NotRenewed(Setback::NotAsked));
            };
            let until = now.plus(LEASE);
            match self.store.lease_refresh(id, credential.generation, now, until).await? {
                Lease::Taken { lost_at } => {
                    credential.renewal_lost_at = lost_at;
                    return self.renew_leased(app, credential, tokens, &refresh, until).await;
                }
                Lease::Refused => {}
            }
            if waited >= LEASE {
                return Err(TokensError::NotRenewed(Setback::NotAsked));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    async fn renew_leased(
        &self,
        app: &OauthApp,
        credential: Credential,
        tokens: Tokens,
        refresh: &Secret,
        until: Timestamp,
    ) -> Result<(Credential, Tokens), TokensError> {
        failpoint::reached("renew.leased");
        let provider = self.registry.provider(&credential.provider).ok_or(TokensError::Gone)?;
        let began = self.clock.steady();
        // What breaks off in here breaks off this renewal alone: the lease is ended, and the next one is heard.
        let answer = AssertUnwindSafe(provider.refresh(app, refresh)).catch_unwind().await;
        failpoint::reached("renew.answered");
        let problem = match answer {
            Ok(Ok(grant)) => {
                // By the provider's clock, as its answer has it: that is the one that ends the token.
                let took = self.clock.steady().saturating_sub(began);
                let sent_at = self.there(&credential).minus(took);
                return self.keep(credential, tokens, grant, sent_at, &provider.origin()).await;
            }
            Ok(Err(problem)) => problem,
            Err(_panic) => GrantError::Lost(Evidence::new("renewal", "broken off on our side")),
        };
        // Somebody else may have won the race and used the refresh token up; then the answer says nothing.
        let (mut now_kept, its_tokens) = self.open(&credential.id).await?;
        if now_kept.generation != credential.generation {
            return Ok((now_kept, its_tokens));
        }
        let lost_at = matches!(problem, GrantError::Lost(_)).then(|| self.clock.now());
        now_kept.renewal_lost_at = now_kept.renewal_lost_at.or(lost_at);
        let setback = Setback::from(&problem);
        // First: what is noted without it would look like a lease whose holder died.
        self.store.release_refresh(&credential.id, credential.generation, until, lost_at).await?;
        failpoint::reached("renew.released");
        self.note(now_kept, problem).await?;
        failpoint::reached("renew.noted");
        Err(TokensError::NotRenewed(setback))
    }

    /// Keeps what a refresh brought: the old tokens are dead from here on.
    async fn keep(
        &self,
        credential: Credential,
        tokens: Tokens,
        grant: Grant,
        sent_at: Timestamp,
        origin: &str,
    ) -> Result<(Credential, Tokens), TokensError> {
        // A provider that rotates nothing sends no new refresh token; the old one stays good then.
        let grant = Grant { refresh: grant.refresh.or(tokens.refresh), ..grant };
        let Dates { renew_at, secret_ends_at, user_acts_at } = dates(&grant, sent_at);
        let mut renewed = Credential {
            generation: credential.generation + 1,
            renew_at,
            secret_ends_at,
            renewal_lost_at: None,
            expires_at: user_acts_at.or(credential.expires_at),
            scopes: grant.scopes.clone().or(credential.scopes),
            ..credential
        };
        renewed.due_at = due::next(&renewed, self.clock.now(), self.entropy.as_ref());
        let tokens = Tokens { access: grant.access, refresh: grant.refresh };
        let sealed = self.keys.seal_tokens(&renewed, origin, &tokens, self.entropy.as_ref())?;
        let new = NewCredential { credential: renewed.clone(), sealed };
        failpoint::reached("renew.sealed");
        if self.persist(&new).await? {
            let entry = Entry::by_gitward(&renewed, Action::TokenRenewed);
            self.tell(entry.detail(format!("generation {}", renewed.generation)), &renewed).await;
            Ok((renewed, tokens))
        } else {
            tracing::warn!(credential = %renewed.id, "A credential was renewed, but replaced or deleted meanwhile");
            self.open(&renewed.id).await
        }
    }

    /// Writes down what a refresh brought, again if it does not work at once.
    async fn persist(&self, new: &NewCredential) -> Result<bool, StoreError> {
        let mut tries = 1;
        loop {
            match self.store.renew(new).await {
                Err(error) if tries < KEEP_TRIES => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        tries,
                        "A renewed credential could not be kept yet"
                    );
                    tokio::time::sleep(KEEP_PAUSE * 2_u32.pow(tries)).await;
                    tries += 1;
                }
                done => {
                    failpoint::reached("renew.kept");
                    return done;
                }
            }
        }
    }

    async fn note(&self, mut credential: Credential, problem: GrantError) -> Result<(), TokensError> {
        let now = self.clock.now();
        let before = credential.standing.clone();
        let trouble_since = before.trouble.as_ref().map_or(now, |(_, since)| *since);
        credential.standing = match problem {
            // A well-formed refusal of the refresh token is for good, unlike a 401.
            GrantError::Refused(evidence) => Standing {
                invalid: true,
                checked_at: now,
                evidence: after_a_loss(evidence, credential.renewal_lost_at),
                rejected_since: before.rejected_since.or(Some(now)),
                trouble: None,
                in_vain: due::once_more_in_vain(&before),
                ..before
            },
            GrantError::RateLimited { until, evidence } => Standing {
                checked_at: now,
                evidence,
                trouble: Some((Trouble::RateLimited { until }, trouble_since)),
                ..before
            },
            GrantError::AppRefused(evidence)
            | GrantError::Unreachable(evidence)
            | GrantError::Lost(evidence) => Standing {
                checked_at: now,
                evidence,
                trouble: Some((Trouble::Unreachable, trouble_since)),
                ..before
            },
        };
        credential.due_at = due::next(&credential, now, self.entropy.as_ref());
        let noted = self.store.record(&credential).await?;
        if noted && credential.standing.invalid && !before.invalid {
            self.tell(Entry::verdict(&credential), &credential).await;
        }
        Ok(())
    }

    /// Writes into the audit log what has happened to a credential. It has: what can't be written changes nothing.
    async fn tell(&self, entry: Entry, credential: &Credential) {
        match self.store.accesses(&credential.user, self.clock.now()).await {
            Ok(accesses) => self.audit.note_for_each(entry, &accesses, credential).await,
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                action = entry.action.as_str(),
                "What happened to a credential could not be written into the audit log"
            ),
        }
    }
}

/// Whether the last question brought nothing, and it is not yet time for the next.
fn rests(credential: &Credential, now: Timestamp) -> bool {
    let standing = &credential.standing;
    // A time further ahead was written before the clock was set back.
    let later = |at: Timestamp| now < at && at <= now.plus(due::LONGEST);
    (standing.invalid || standing.trouble.is_some()) && credential.due_at.is_none_or(later)
}

/// A refusal that has its reason here.
fn after_a_loss(evidence: Evidence, lost_at: Option<Timestamp>) -> Evidence {
    match lost_at {
        Some(_) => Evidence {
            answer: format!("{}, after the answer to the last renewal was lost", evidence.answer),
            ..evidence
        },
        None => evidence,
    }
}

#[cfg(test)]
mod tests;
