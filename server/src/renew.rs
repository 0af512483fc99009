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
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
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

/// A lease is longer by far than any answer of a provider may take, and than a busy database takes to keep it, so that
/// nobody takes over a refresh that still runs. Shorter than what is left of an access token that is to be renewed.
const LEASE: Duration = Duration::from_secs(4 * 60);
const _: () = assert!(LEASE.as_secs() + APART.as_secs() <= LONGEST_RENEWAL.as_secs());
/// What has less left is too little for what takes its time: no runtime gets it.
pub const SOON: Duration = Duration::from_secs(60);
/// A grant that the provider has refused is tried again no sooner.
const DEAD_REST: Duration = Duration::from_secs(30);
/// How often somebody else's refresh is looked at, in another process.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Nobody waits longer for somebody else's refresh, nor for one that can't be kept.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a refresh brought is the only copy of it: a database that is busy or full is asked again until it takes it, after
/// so long …
const KEEP_PAUSE: Duration = Duration::from_millis(150);
/// … doubling up to this.
const LONGEST_KEEP_PAUSE: Duration = Duration::from_secs(5);
/// How often a setback is noted anew where a check was faster.
const NOTE_TRIES: u32 = 3;

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
    /// The same, and what was sent may have been done: whether the refresh token is used up is unknown.
    Lost,
    /// Nobody was asked: somebody else still renews it, nothing is set up to, or the process is about to end.
    NotAsked,
}

impl From<&GrantError> for Setback {
    fn from(error: &GrantError) -> Self {
        match error {
            GrantError::Refused(_) | GrantError::AppRefused(_) => Self::Refused,
            GrantError::RateLimited { until, .. } => Self::Limited { until: *until },
            GrantError::Unreachable(_) => Self::Unreachable,
            GrantError::Lost(_) => Self::Lost,
        }
    }
}

/// What lies ahead of a grant. `None`: never, or unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dates {
    /// It must be renewed.
    pub renew_at: Option<Timestamp>,
    /// Its access token ends, where something renews it.
    pub access_ends_at: Option<Timestamp>,
    /// Its user must act.
    pub user_acts_at: Option<Timestamp>,
}

/// All counted from when the request was sent: the answer may have taken its time.
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
    let is_renewed = grant.refresh.is_some();
    Dates {
        renew_at: renew_at.filter(|_| is_renewed),
        access_ends_at: grant.expires_in.filter(|_| is_renewed).map(|life| sent_at.plus(life)),
        user_acts_at,
    }
}

/// Why somebody wants tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// To use them, however often. Where the provider gave no new ones, it is asked again when the credential is due,
    /// not sooner: thousands of readers of one dead grant are no reason to ask thousands of times. Until they end, the
    /// old ones are better than none.
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
    /// Nobody is asked any more.
    stopped: AtomicBool,
    /// How many renewed credentials are in memory alone.
    unkept: AtomicUsize,
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
        let (stopped, unkept) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self {
            store,
            registry,
            keys,
            clock,
            entropy,
            audit,
            in_flight: Mutex::default(),
            under_way,
            stopped,
            unkept,
        }
    }

    /// The process is about to end: nobody is asked any more, because the answer might come too late. What is under way
    /// ends, and is kept.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// How many renewed credentials could not be written down yet.
    pub fn unkept(&self) -> usize {
        self.unkept.load(Ordering::SeqCst)
    }

    /// A credential with tokens that are good for now.
    ///
    /// # Errors
    /// As [`TokensError`] says.
    pub async fn tokens(self: &Arc<Self>, id: &CredentialId, why: Why) -> Result<Handed, TokensError> {
        let (credential, tokens) = self.open(id).await?;
        if !self.due(&credential) {
            return Ok(Handed { credential, tokens });
        }
        let error = match rests(&credential, self.clock.now()) {
            Some(setback) if why == Why::Use => TokensError::NotRenewed(setback),
            _ => match self.on_its_own(&credential, false).await {
                Ok((credential, tokens)) => return Ok(Handed { credential, tokens }),
                Err(error) => error,
            },
        };
        // Something stood in the way, here or there. What is not over is better than nothing.
        if why == Why::Use && matches!(error, TokensError::NotRenewed(_) | TokensError::Store(_)) {
            let (credential, tokens) = self.open(id).await?;
            if !self.due(&credential) || self.still_works(&credential) {
                return Ok(Handed { credential, tokens });
            }
        }
        Err(error)
    }

    /// A credential with its tokens as they are, due or not.
    ///
    /// # Errors
    /// As [`TokensError`] says, but never [`TokensError::NotRenewed`].
    pub async fn open(&self, id: &CredentialId) -> Result<(Credential, Tokens), TokensError> {
        let kept = self.store.sealed(id).await?.ok_or(TokensError::Gone)?;
        let provider = self.registry.provider(&kept.credential.provider).ok_or(TokensError::Gone)?;
        let tokens = self.keys.unseal_tokens(&kept.credential, &provider.origin(), &kept.sealed)?;
        Ok((kept.credential, tokens))
    }

    /// The same, renewed before its time if it still is of the generation that was `seen`: the provider refused its
    /// access token.
    ///
    /// # Errors
    /// As [`TokensError`] says.
    pub async fn renewed(self: &Arc<Self>, seen: &Credential) -> Result<(Credential, Tokens), TokensError> {
        self.on_its_own(seen, true).await
    }

    /// On a task of its own: whoever asked may go away, but what the provider answers must be kept.
    async fn on_its_own(
        self: &Arc<Self>,
        seen: &Credential,
        refused: bool,
    ) -> Result<(Credential, Tokens), TokensError> {
        let (renewer, seen) = (Arc::clone(self), seen.clone());
        let renewing = self.under_way.spawn(async move { renewer.renew(&seen, refused).await });
        match tokio::time::timeout(PATIENCE, renewing).await {
            Ok(renewed) => renewed.map_err(|_| TokensError::Stopped)?,
            // It goes on.
            Err(_) => Err(TokensError::NotRenewed(Setback::NotAsked)),
        }
    }

    /// What time it is at the credential's provider.
    fn there(&self, credential: &Credential) -> Timestamp {
        let now = self.clock.now();
        self.registry.provider(&credential.provider).map_or(now, |provider| provider.place().there(now))
    }

    fn due(&self, credential: &Credential) -> bool {
        credential.renew_at.is_some_and(|at| at <= self.there(credential))
    }

    /// Whether an access token that is to be renewed is still good, as far as anybody knows.
    fn still_works(&self, credential: &Credential) -> bool {
        let ends_at = credential.access_ends_at;
        !credential.standing.invalid && ends_at.is_some_and(|end| end > self.there(credential))
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

    /// `seen`: what was found to be due, or whose access token the provider `refused`.
    async fn renew(
        self: &Arc<Self>,
        seen: &Credential,
        refused: bool,
    ) -> Result<(Credential, Tokens), TokensError> {
        let id = &seen.id;
        let lock = self.lock(id);
        let Ok(_one_at_a_time) = tokio::time::timeout(PATIENCE, lock.lock()).await else {
            return Err(TokensError::NotRenewed(Setback::NotAsked));
        };
        let mut waited = Duration::ZERO;
        loop {
            // Whoever held the lock, here or in another process, may have renewed it already. That is good enough,
            // however short its life: otherwise all who wait would renew it one after the other.
            let (mut credential, tokens) = self.open(id).await?;
            let wanted = credential.generation == seen.generation && (refused || self.due(&credential));
            let Some(refresh) = tokens.refresh.clone().filter(|_| wanted) else {
                return Ok((credential, tokens));
            };
            let now = self.clock.now();
            let checked_at = credential.standing.checked_at;
            if credential.standing.invalid && checked_at <= now && now.since(checked_at) < DEAD_REST {
                return Err(TokensError::NotRenewed(Setback::NotAsked));
            }
            // Or tried to, in vain: that is the answer to all who waited for it.
            if let Some(setback) = rests(&credential, now)
                && credential.standing != seen.standing
            {
                return Err(TokensError::NotRenewed(setback));
            }
            let app = credential.oauth_app.as_ref().and_then(|app| self.registry.app(app));
            let Some(app) = app else {
                let evidence =
                    Evidence { request: "renewal".into(), answer: "its OAuth app is not set up".into() };
                self.note(credential, &GrantError::AppRefused(evidence)).await?;
                return Err(TokensError::NotRenewed(Setback::NotAsked));
            };
            if self.stopped.load(Ordering::SeqCst) {
                return Err(TokensError::NotRenewed(Setback::NotAsked));
            }
            let until = now.plus(LEASE);
            match self.store.lease_refresh(id, credential.generation, now, until).await? {
                Lease::Taken { lost_at } => {
                    credential.renewal_lost_at = lost_at;
                    return self.renew_leased(app, credential, tokens, &refresh, until).await;
                }
                Lease::Refused => {}
            }
            if waited >= PATIENCE {
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
                return self.keep(credential, tokens, grant, sent_at, until).await;
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
        self.note(now_kept, &problem).await?;
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
        lease: Timestamp,
    ) -> Result<(Credential, Tokens), TokensError> {
        let origin = self.registry.provider(&credential.provider).ok_or(TokensError::Gone)?.origin();
        // A provider that rotates nothing sends no new refresh token; the old one stays good then.
        let grant = Grant { refresh: grant.refresh.or(tokens.refresh), ..grant };
        let Dates { renew_at, access_ends_at, user_acts_at } = dates(&grant, sent_at);
        let standing = match credential.standing.clone() {
            // That is over.
            standing if standing.not_renewed => Standing { trouble: None, not_renewed: false, ..standing },
            standing => standing,
        };
        let mut renewed = Credential {
            generation: credential.generation + 1,
            renew_at,
            access_ends_at,
            renewal_lost_at: None,
            standing,
            expires_at: user_acts_at.or(credential.expires_at),
            scopes: grant.scopes.clone().or(credential.scopes),
            ..credential
        };
        renewed.due_at = due::next(&renewed, self.clock.now(), self.entropy.as_ref());
        let tokens = Tokens { access: grant.access, refresh: grant.refresh };
        let sealed = self.keys.seal_tokens(&renewed, &origin, &tokens, self.entropy.as_ref())?;
        let new = NewCredential { credential: renewed.clone(), sealed };
        failpoint::reached("renew.sealed");
        let mut waited = Duration::ZERO;
        loop {
            if self.persist(&new, lease).await {
                let entry = Entry::by_gitward(&renewed, Action::TokenRenewed);
                self.tell(entry.detail(format!("generation {}", renewed.generation)), &renewed).await;
                return Ok((renewed, tokens));
            }
            match self.open(&renewed.id).await {
                // We were held up for so long that somebody else took the lease. What they get is younger; if they get
                // nothing, this is the last there is.
                Ok((kept, _)) if kept.generation < renewed.generation && waited < LONGEST_RENEWAL => {}
                Err(TokensError::Store(_)) if waited < LONGEST_RENEWAL => {}
                instead => {
                    let credential = &renewed.id;
                    tracing::warn!(%credential, "A credential was renewed, but replaced or deleted meanwhile");
                    return instead;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
    }

    /// Writes down what a refresh brought, and tries on until that works. `false` if it is not to be kept.
    async fn persist(&self, new: &NewCredential, lease: Timestamp) -> bool {
        let mut pause = KEEP_PAUSE;
        let mut failed = false;
        loop {
            match self.store.renew(new, lease).await {
                Ok(kept) => {
                    if failed {
                        self.unkept.fetch_sub(1, Ordering::SeqCst);
                    }
                    failpoint::reached("renew.kept");
                    return kept;
                }
                Err(error) => {
                    if !failed {
                        failed = true;
                        self.unkept.fetch_add(1, Ordering::SeqCst);
                        tracing::error!(
                            credential = %new.credential.id,
                            error = &error as &dyn std::error::Error,
                            "A renewed credential could not be kept yet; trying on, it is in memory alone"
                        );
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_KEEP_PAUSE);
                }
            }
        }
    }

    /// Notes what stood in the way. A check that notes something else at that moment does not wipe it out.
    async fn note(&self, mut credential: Credential, problem: &GrantError) -> Result<(), TokensError> {
        let generation = credential.generation;
        for _ in 0..NOTE_TRIES {
            let seen = credential.standing.clone();
            self.set_back(&mut credential, problem);
            if self.store.record(&credential, &seen).await? {
                if credential.standing.invalid && !seen.invalid {
                    self.tell(Entry::verdict(&credential), &credential).await;
                }
                return Ok(());
            }
            let (now_kept, _) = self.open(&credential.id).await?;
            if now_kept.generation != generation {
                return Ok(());
            }
            credential = now_kept;
        }
        Ok(())
    }

    /// What a setback makes of a credential's standing.
    fn set_back(&self, credential: &mut Credential, problem: &GrantError) {
        let now = self.clock.now();
        let before = credential.standing.clone();
        let trouble_since = before.trouble.as_ref().map_or(now, |(_, since)| *since);
        credential.standing = match problem {
            // A well-formed refusal of the refresh token is for good, unlike a 401.
            GrantError::Refused(evidence) => Standing {
                invalid: true,
                checked_at: now,
                evidence: after_a_loss(evidence.clone(), credential.renewal_lost_at),
                rejected_since: before.rejected_since.or(Some(now)),
                trouble: None,
                in_vain: due::once_more_in_vain(&before),
                ..before
            },
            GrantError::RateLimited { until, evidence } => Standing {
                checked_at: now,
                evidence: evidence.clone(),
                trouble: Some((Trouble::RateLimited { until: *until }, trouble_since)),
                not_renewed: true,
                ..before
            },
            GrantError::AppRefused(evidence)
            | GrantError::Unreachable(evidence)
            | GrantError::Lost(evidence) => Standing {
                checked_at: now,
                evidence: evidence.clone(),
                trouble: Some((Trouble::Unreachable, trouble_since)),
                not_renewed: true,
                ..before
            },
        };
        credential.due_at = due::next(credential, now, self.entropy.as_ref());
    }

    /// Writes into the audit log what has happened to a credential. It has: what can't be written changes nothing.
    async fn tell(&self, entry: Entry, credential: &Credential) {
        self.audit.note_for_each(self.store.as_ref(), entry, credential, self.clock.now()).await;
    }
}

/// Why the last renewal brought nothing, if it is not yet time for the next. Other trouble says nothing about renewing.
pub fn rests(credential: &Credential, now: Timestamp) -> Option<Setback> {
    let standing = &credential.standing;
    // A time further ahead was written before the clock was set back.
    let later = |at: Timestamp| now < at && at <= now.plus(due::LONGEST);
    let rests = (standing.invalid || standing.not_renewed) && credential.due_at.is_none_or(later);
    rests.then_some(match standing.trouble {
        _ if standing.invalid => Setback::Refused,
        Some((Trouble::RateLimited { until }, _)) => Setback::Limited { until },
        _ if credential.renewal_lost_at.is_some() => Setback::Lost,
        _ => Setback::Unreachable,
    })
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
