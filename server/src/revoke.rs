//! Tokens that were deleted or replaced are ended at their provider, where their user wants that.
//!
//! Deleting works here at once, whatever the provider does: the credential goes, and with the same step it is written
//! down that it is to be revoked. The provider is asked right away, and if that brings nothing, again and again for a
//! day, by whichever process has the lease. Then the secrets are gone for good, however it ended.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::{APART, Clock, Timestamp},
    credential::{Method, ProviderAccount},
    herald::{Changes, What},
    id::{CredentialId, OauthAppId, ProviderId, RuntimeId, UserId},
    provider::{
        Presented, Registry,
        revoke::{Revoke, RevokeError, Revoked},
    },
    random::Entropy,
    seal::{KeyRing, Sealed},
    store::{LONGEST_REVOCATION, LONGEST_WAIT, Store, StoreError},
    watch::{due::jitter, host::Gate, hosts::Hosts},
};

/// A provider is asked for so long.
pub const GIVES_UP_AFTER: Duration = Duration::from_hours(24);
/// Whoever deletes a token waits so long for the provider's answer; then they are told that there is none yet.
const PATIENCE: Duration = Duration::from_secs(4);
/// Meanwhile, how often it is looked whether somebody else has the answer.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A lease outlasts the longest answers.
const LEASE: Duration = Duration::from_secs(60);
const _: () = assert!(LEASE.as_secs() + APART.as_secs() <= LONGEST_REVOCATION.as_secs());
/// The first pause between two tries; each further one is twice as long …
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// While the host is in trouble, it is not asked, but looked at.
const HOST_PAUSE: Duration = Duration::from_secs(60);
/// That the provider does not know a token is believed when it still says so after that long: it may have said so to
/// everybody, for a bad moment.
const BELIEVED_AFTER: Duration = Duration::from_secs(10 * 60);
/// How often what is due is looked for.
const EVERY: Duration = Duration::from_secs(5);
/// So many at once.
const AT_ONCE: u32 = 8;

/// How it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The provider does not take it any more.
    Revoked,
    /// Something else here still uses it, so nobody was asked.
    InUse,
    /// Forgotten here; only its owner can end it there.
    ByHand,
    /// Forgotten here; the provider never answered.
    GivenUp,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Revoked, Self::InUse, Self::ByHand, Self::GivenUp];

    /// As the database keeps it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::InUse => "in-use",
            Self::ByHand => "by-hand",
            Self::GivenUp => "given-up",
        }
    }

    /// From the database's word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What becomes of a credential that was taken from its last runtime.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    /// Which one it was.
    pub credential: CredentialId,
    /// Whose here.
    pub user: UserId,
    /// The runtime that it was taken from.
    pub runtime: RuntimeId,
    /// Where it is to end.
    pub provider: ProviderId,
    /// How it was given.
    pub method: Method,
    /// As [`crate::credential::Credential::kind`].
    pub kind: String,
    /// The app of a grant.
    pub oauth_app: Option<OauthAppId>,
    /// Of the secret.
    pub generation: i64,
    /// Whose there.
    pub owner: ProviderAccount,
    /// The user name that goes with it.
    pub user_name: Option<String>,
    /// When it was taken away.
    pub asked_at: Timestamp,
    /// The provider is asked no longer.
    pub give_up_at: Timestamp,
    /// Since when the provider says that it does not know it.
    pub unknown_since: Option<Timestamp>,
    /// How it ended, and when; `None` while it goes on.
    pub ended: Option<(Outcome, Timestamp)>,
}

/// One that goes on, taken by a lease.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What it is about.
    pub revocation: Revocation,
    /// The how manieth try this is, from 1.
    pub tries: u32,
    /// The secrets.
    pub sealed: Sealed,
}

/// What one try came to.
enum Came {
    /// It is over.
    To(Outcome),
    /// Again then, and since when the provider does not know it.
    Again(Timestamp, Option<Timestamp>),
}

/// Ends tokens at their providers.
pub struct Revoker {
    store: Arc<dyn Store>,
    registry: Arc<Registry>,
    keys: Arc<KeyRing>,
    hosts: Arc<Hosts>,
    changes: Arc<Changes>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    under_way: TaskTracker,
    stopped: CancellationToken,
}

impl Revoker {
    /// Over these. What it begins is tracked by `under_way`.
    #[expect(clippy::too_many_arguments, reason = "called once, by the composition root")]
    pub fn new(
        store: Arc<dyn Store>,
        registry: Arc<Registry>,
        keys: Arc<KeyRing>,
        hosts: Arc<Hosts>,
        changes: Arc<Changes>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        under_way: TaskTracker,
    ) -> Self {
        Self {
            store,
            registry,
            keys,
            hosts,
            changes,
            clock,
            entropy,
            under_way,
            stopped: CancellationToken::new(),
        }
    }

    /// Whether a provider can be asked to end such a token: it has a way, and the app that it was granted to is known.
    pub fn can_revoke(
        &self,
        provider: &ProviderId,
        method: Method,
        kind: &str,
        app: Option<&OauthAppId>,
    ) -> bool {
        let has_app = method == Method::Token || app.is_some_and(|app| self.registry.app(app).is_some());
        has_app && self.registry.provider(provider).is_some_and(|provider| provider.can_revoke(method, kind))
    }

    /// Asks about one that its user has just taken away, and waits a moment for the answer. Whatever comes of it is
    /// noted; whether the user waits or not changes nothing.
    pub async fn first_try(self: &Arc<Self>, user: &UserId, credential: &CredentialId) {
        let (revoker, user, credential) = (Arc::clone(self), user.clone(), credential.clone());
        let trying = self.under_way.spawn(async move {
            if let Err(error) = revoker.try_now(&user, &credential).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "A revocation could not be begun; it will be tried again");
            }
        });
        // That there is no answer in time is what the page then says.
        let _in_time = tokio::time::timeout(PATIENCE, trying).await.is_ok();
    }

    async fn try_now(&self, user: &UserId, credential: &CredentialId) -> Result<(), StoreError> {
        let mut waited = Duration::ZERO;
        while self.take(Some(credential), false).await? == 0 && waited < PATIENCE {
            // It is over, or never began; or whoever looks for what is due was faster, here or in another process; or a
            // renewal that is under way ends in a moment.
            let all = self.store.revocations(user, self.clock.now()).await?;
            if !all.iter().any(|one| one.credential == *credential && one.ended.is_none()) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        Ok(())
    }

    /// Goes on until it is stopped.
    pub async fn run(self: Arc<Self>) {
        let mut works = true;
        while !self.stopped.is_cancelled() {
            match self.round().await {
                Ok(_) => works = true,
                Err(error) => {
                    if works {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "What is to be revoked could not be looked up; trying on");
                    }
                    works = false;
                }
            }
            tokio::select! {
                () = self.stopped.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Nothing more is begun. What is under way ends, and is noted.
    pub fn stop(&self) {
        self.stopped.cancel();
    }

    /// Asks about what is due. Answers how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; what could not be noted is asked about again when its lease is over.
    pub async fn round(&self) -> Result<usize, StoreError> {
        self.take(None, true).await
    }

    async fn take(&self, only: Option<&CredentialId>, patient: bool) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let until = now.plus(LEASE);
        let taken = self.store.take_revocations(only, now, until, AT_ONCE).await?;
        let count = taken.len();
        let all = taken.into_iter().map(|pending| self.settle(pending, until, patient));
        for settled in futures_util::future::join_all(all).await {
            settled?;
        }
        Ok(count)
    }

    /// Asks about one, notes what came of it, and tells open pages. `patient`: only if its host may be asked now.
    async fn settle(&self, pending: Pending, lease: Timestamp, patient: bool) -> Result<(), StoreError> {
        let noted = self.ask(&pending, lease, patient).await;
        let Revocation { user, runtime, .. } = pending.revocation;
        self.changes.say(&user, What::Row(runtime));
        noted
    }

    async fn ask(&self, pending: &Pending, lease: Timestamp, patient: bool) -> Result<(), StoreError> {
        let Pending { revocation, .. } = pending;
        let id = &revocation.credential;
        let came = self.try_once(pending, patient).await?;
        let now = self.clock.now();
        match came {
            Came::To(outcome) => {
                if self.store.end_revocation(id, lease, outcome, now).await? {
                    let outcome = outcome.as_str();
                    tracing::info!(credential = %id, provider = %revocation.provider, outcome, "A token has gone");
                }
                Ok(())
            }
            Came::Again(..) if now >= revocation.give_up_at => {
                tracing::warn!(
                    credential = %id, provider = %revocation.provider,
                    "A token could not be revoked within a day; its owner is told to do it"
                );
                self.store.end_revocation(id, lease, Outcome::GivenUp, now).await.map(drop)
            }
            Came::Again(at, unknown_since) => {
                // One last time at the end.
                let at = at.min(revocation.give_up_at.max(now));
                self.store.postpone_revocation(id, lease, at, unknown_since).await
            }
        }
    }

    async fn try_once(&self, pending: &Pending, patient: bool) -> Result<Came, StoreError> {
        let Pending { revocation, tries, sealed } = pending;
        let Revocation { provider, oauth_app, owner, unknown_since, .. } = revocation;
        let now = self.clock.now();
        let Some(provider) = self.registry.provider(provider) else {
            // Another process, or the next start, may know it again.
            return Ok(Came::Again(self.later(*tries), *unknown_since));
        };
        let host = provider.host();
        if let Some(until) = self.hosts.limited(&host).await? {
            return Ok(Came::Again(until, *unknown_since));
        }
        if patient {
            if self.hosts.gate(&host).await? != Gate::Open {
                return Ok(Came::Again(now.plus(HOST_PAUSE), *unknown_since));
            }
            if self.hosts.take(&host, 1).await? == 0 {
                return Ok(Came::Again(now.plus(EVERY), *unknown_since));
            }
        } else {
            self.hosts.spend(&host, 1);
        }
        let tokens = match self.keys.unseal_tokens(revocation, &provider.origin(), sealed) {
            Ok(tokens) => tokens,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(credential = %revocation.credential, error, "What is to be revoked can't be opened");
                return Ok(Came::To(Outcome::ByHand));
            }
        };
        // Another grant of that account, whoever's here, may have come of the same agreement and would end with it.
        let whole_grant = !self.store.has_grant(&revocation.provider, &owner.id).await?;
        let what = Revoke {
            presented: Presented {
                token: &tokens.access,
                method: revocation.method,
                kind: Some(&revocation.kind),
                user_name: revocation.user_name.as_deref(),
            },
            refresh: tokens.refresh.as_ref(),
            app: oauth_app.as_ref().and_then(|app| self.registry.app(app)).map(AsRef::as_ref),
            whole_grant,
        };
        let answer = provider.revoke(&what).await;
        let now = self.clock.now();
        Ok(match answer {
            Ok(Revoked::Now) => Came::To(Outcome::Revoked),
            Ok(Revoked::Before) => match unknown_since {
                Some(since) if now.since(*since) >= BELIEVED_AFTER => Came::To(Outcome::Revoked),
                since => {
                    let since = since.unwrap_or(now).min(now);
                    Came::Again(since.plus(BELIEVED_AFTER), Some(since))
                }
            },
            Err(RevokeError::Cannot(evidence)) => {
                tracing::info!(?evidence, "A token can only be revoked by its owner");
                Came::To(Outcome::ByHand)
            }
            Err(RevokeError::RateLimited { until, evidence }) => {
                tracing::debug!(?evidence, "A revocation has to wait");
                Came::Again(until.unwrap_or_else(|| self.later(*tries)), *unknown_since)
            }
            Err(RevokeError::Unreachable(evidence)) => {
                tracing::debug!(?evidence, "A revocation got no answer");
                Came::Again(self.later(*tries), *unknown_since)
            }
        })
    }

    /// When to try again after so many tries.
    fn later(&self, tries: u32) -> Timestamp {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(16)));
        let pause = pause.min(LONGEST_PAUSE).min(LONGEST_WAIT);
        self.clock.now().plus(pause).plus(jitter(self.entropy.as_ref(), pause / 10))
    }
}
