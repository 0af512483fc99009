//! Tokens that were deleted or replaced are ended at their provider, where their user wants that.
//!
//! Deleting works here at once, whatever the provider does: the credential goes, and with the same step it is written
//! down that it is to be revoked. The provider is asked right away, and if that brings nothing, again and again for a
//! day, by whichever process has the lease. Then the secrets are gone for good, however it ended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::{Action, Actor, Audit, Entry},
    check::{self, Witness},
    clock::{APART, Clock, Timestamp},
    credential::{Credential, Evidence, Method, Standing},
    herald::{Changes, What},
    id::{CredentialId, OauthAppId, ProviderId, UserId},
    provider::{
        OauthApp, Presented, Provider, ProviderError, Registry,
        revoke::{Revoke, RevokeError, Revoked},
    },
    random::Entropy,
    revocation::{Doubt, Outcome, Pending, Revocation},
    seal::KeyRing,
    secret::{Fingerprint, Secret},
    store::{ATTEMPT_REMEMBERED, LONGEST_REVOCATION, LONGEST_WAIT, NewCredential, Store, StoreError},
    watch::{
        due::jitter,
        host::{Gate, Signal, Trouble},
        hosts::Hosts,
    },
};

/// A token that was replaced is revoked no later, whether the runtimes that hold it have said that they use the new one
/// or not.
pub const HELD_FOR: Duration = Duration::from_hours(1);
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
/// That the provider does not know a token is believed as a refusal is, see [`check`]: it may have said so to everybody,
/// for a bad moment. It is asked again as soon as that may be believed because another one passed …
const DOUBTED: Duration = Duration::from_secs(10 * 60);
/// … and then so often that it is believed after an hour and a half, where there is no other.
const DOUBTED_FURTHER: Duration = Duration::from_secs(40 * 60);
/// How often what is due is looked for.
const EVERY: Duration = Duration::from_secs(5);
/// So many at once.
const AT_ONCE: u32 = 8;

/// What one try came to.
enum Came {
    /// It is over; where another credential holds the same token, with that.
    To(Outcome, Option<CredentialId>),
    /// Again then, and whether the provider says that it does not know it.
    Again(Timestamp, Option<Doubt>),
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
    audit: Audit,
    under_way: TaskTracker,
    stopped: CancellationToken,
    /// Hosts that want no more of what ends tokens before then, for grants (`true`) and pasted tokens (`false`). Other
    /// processes find that out for themselves.
    resting: Mutex<HashMap<(String, bool), Timestamp>>,
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
        audit: Audit,
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
            audit,
            under_way,
            stopped: CancellationToken::new(),
            resting: Mutex::default(),
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
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, trying).await {
            tracing::error!(%error, "A revocation was broken off; it will be tried again");
        }
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
            Came::To(outcome, twin) => {
                if self.store.end_revocation(id, lease, outcome, twin.as_ref(), now).await? {
                    let word = outcome.as_str();
                    tracing::info!(credential = %id, provider = %revocation.provider, outcome = word, "A token has gone");
                    self.tell(revocation, outcome).await;
                }
                Ok(())
            }
            Came::Again(..) if now >= revocation.give_up_at => {
                tracing::warn!(
                    credential = %id, provider = %revocation.provider,
                    "A token could not be revoked within a day; its owner is told to do it"
                );
                if self.store.end_revocation(id, lease, Outcome::GivenUp, None, now).await? {
                    self.tell(revocation, Outcome::GivenUp).await;
                }
                Ok(())
            }
            Came::Again(at, doubt) => {
                // One last time at the end.
                let at = at.min(revocation.give_up_at.max(now));
                self.store.postpone_revocation(id, lease, at, doubt).await
            }
        }
    }

    /// Writes into the audit log how it ended.
    async fn tell(&self, revocation: &Revocation, outcome: Outcome) {
        let Revocation { credential, user, runtime, .. } = revocation;
        let entry =
            Entry::new(Actor::Gitward, Action::TokenRevoked).about(user).object(credential.to_string());
        let entry = match outcome {
            Outcome::Revoked => entry,
            // It is on its way there, which is all that anybody can say.
            Outcome::HandedOver => entry.detail("handed over"),
            Outcome::InUse => entry.refused("in_use"),
            Outcome::ByHand => entry.refused("by_hand"),
            Outcome::GivenUp => entry.refused("given_up"),
        };
        let entry = match self.store.runtime(runtime).await {
            Ok(Some(declared)) => entry.at(&declared.account, runtime),
            // No longer declared, or nobody knows at the moment: its user finds it all the same.
            Ok(None) | Err(_) => Entry { runtime: Some(runtime.clone()), ..entry },
        };
        self.audit.note(entry).await;
    }

    async fn try_once(&self, pending: &Pending, patient: bool) -> Result<Came, StoreError> {
        let Pending { revocation, tries, sealed } = pending;
        let Revocation { credential: id, provider, oauth_app, owner, doubt, .. } = revocation;
        let asked_at = self.clock.now();
        let Some(provider) = self.registry.provider(provider) else {
            // Another process, or the next start, may know it again.
            return Ok(Came::Again(self.later(*tries), *doubt));
        };
        let host = provider.host();
        if let Some(until) = self.rests(&host, revocation.method, asked_at) {
            return Ok(Came::Again(until, *doubt));
        }
        let state = self.hosts.known(&host).await?;
        if let Some(until) = state.limited(asked_at) {
            return Ok(Came::Again(until, *doubt));
        }
        let trouble = state.incident(&host).filter(|open| open.ended_at.is_none()).map(|open| open.trouble);
        let mut probes = false;
        if patient {
            match state.gate(asked_at) {
                Gate::Open => {}
                // There may be nobody else left to find out. But how it takes tokens, only a check can tell.
                Gate::Probe if trouble != Some(Trouble::Refusing) => probes = true,
                Gate::Probe | Gate::Shut => return Ok(Came::Again(asked_at.plus(HOST_PAUSE), *doubt)),
            }
            if self.hosts.take(&host, 1).await? == 0 {
                return Ok(Came::Again(asked_at.plus(EVERY), *doubt));
            }
        } else {
            self.hosts.spend(&host, 1);
        }
        let tokens = match self.keys.unseal_tokens(revocation, &provider.origin(), sealed) {
            Ok(tokens) => tokens,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(credential = %id, error, "What is to be revoked can't be opened");
                return Ok(Came::To(Outcome::ByHand, None));
            }
        };
        let app = oauth_app.as_ref().and_then(|app| self.registry.app(app)).map(AsRef::as_ref);
        // In this order: what is finished between the two looks is among those that are kept.
        let authorizing = match app {
            Some(app) => self.authorizing(&host, app, asked_at).await?,
            None => false,
        };
        let kept = self.kept_of(&host, &owner.id).await?;
        // Whoever pastes a token twice has two credentials and one token.
        let secret = tokens.access.fingerprint();
        let mut twins: Vec<&NewCredential> =
            kept.iter().filter(|other| self.secret_of(other) == Some(secret)).collect();
        twins.sort_by_key(|other| other.credential.user != revocation.user);
        if let Some(twin) = twins.first() {
            return Ok(Came::To(Outcome::InUse, Some(twin.credential.id.clone())));
        }
        // Another grant of that account, whoever's here, may have come of the same agreement and would end with it.
        let shares_grant = |other: &NewCredential| {
            let others = &other.credential;
            others.method == Method::Oauth2
                && app
                    .zip(others.oauth_app.as_ref().and_then(|theirs| self.registry.app(theirs)))
                    .is_none_or(|(app, theirs)| app.client_id == theirs.client_id)
        };
        let whole_grant = !authorizing && !kept.iter().any(shares_grant);
        let what = Revoke {
            presented: Presented {
                token: &tokens.access,
                method: revocation.method,
                kind: Some(&revocation.kind),
                user_name: revocation.user_name.as_deref(),
            },
            refresh: tokens.refresh.as_ref(),
            app,
            whole_grant,
        };
        let answer = provider.revoke(&what).await;
        if probes {
            let signal = match (&answer, trouble) {
                (Ok(Revoked::Now | Revoked::HandedOver) | Err(RevokeError::Cannot(_)), Some(_)) => {
                    Signal::Passed
                }
                (Err(RevokeError::Unreachable(_)), Some(_)) => Signal::Unreachable,
                _ => Signal::Nothing,
            };
            self.hosts.weigh(&host, id, signal, asked_at).await?;
        }
        Ok(match answer {
            Ok(Revoked::Now) => Came::To(Outcome::Revoked, None),
            Ok(Revoked::HandedOver) => Came::To(Outcome::HandedOver, None),
            Ok(Revoked::Before) => self.doubted(revocation, provider.as_ref(), asked_at).await?,
            Err(RevokeError::Cannot(evidence)) => {
                tracing::info!(?evidence, "A token can only be revoked by its owner");
                Came::To(Outcome::ByHand, None)
            }
            Err(RevokeError::RateLimited { until, apart, evidence }) => {
                tracing::debug!(?evidence, "A revocation has to wait");
                if apart {
                    self.rest(host, revocation.method, until);
                } else {
                    let limited = Signal::Limited { until, own: false };
                    self.hosts.weigh(&host, id, limited, asked_at).await?;
                }
                Came::Again(until.unwrap_or_else(|| self.later(*tries)), *doubt)
            }
            Err(RevokeError::Unreachable(evidence)) => {
                tracing::debug!(?evidence, "A revocation got no answer");
                Came::Again(self.later(*tries), *doubt)
            }
        })
    }

    /// The provider says that it does not know a token. Believed by the same rule as when a check is refused.
    async fn doubted(
        &self,
        revocation: &Revocation,
        provider: &dyn Provider,
        asked_at: Timestamp,
    ) -> Result<Came, StoreError> {
        let Revocation { credential: id, doubt, .. } = revocation;
        // Never as the first refusal of one that was good: people delete what does not work any more.
        let refused = Signal::Refused { first: false };
        let host = self.hosts.weigh(&provider.host(), id, refused, asked_at).await?;
        let now = self.clock.now();
        let there = provider.place().there(now);
        let mut witness = Witness {
            another_passed: false,
            in_trouble: host.in_trouble(),
            well_since: host.well_since().filter(|since| *since <= now),
            there: Some(there),
        };
        if let Some(Doubt { since, .. }) = doubt
            && !host.doubted()
        {
            let since = (*since).max(witness.well_since.unwrap_or(*since)).min(there);
            witness.another_passed = self.store.another_passed(provider.id(), id, since).await?;
        }
        let evidence = Evidence::new("revocation", "it does not know it");
        let before = Standing {
            rejected_since: doubt.map(|doubt| doubt.since),
            refusals: doubt.map_or(0, |doubt| doubt.times),
            ..Standing::good(now, evidence.clone())
        };
        let judged = check::judge(&before, &Err(ProviderError::Rejected(evidence)), now, witness);
        if judged.invalid {
            return Ok(Came::To(Outcome::Revoked, None));
        }
        let doubt = Doubt { since: judged.rejected_since.unwrap_or(there), times: judged.refusals };
        let pause = if there.since(doubt.since) < DOUBTED { DOUBTED } else { DOUBTED_FURTHER };
        Ok(Came::Again(now.plus(pause), Some(doubt)))
    }

    /// Whether somebody may get a grant of this very app right now: the store does not know yet whose it will be.
    async fn authorizing(&self, host: &str, app: &OauthApp, now: Timestamp) -> Result<bool, StoreError> {
        let since = now.minus(ATTEMPT_REMEMBERED);
        for other in self.registry.apps() {
            let at = self.registry.provider(&other.provider).map(|provider| provider.host());
            if other.client_id == app.client_id
                && at.as_deref() == Some(host)
                && self.store.authorizing(&other.id, since).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All credentials of an account at a host, whoever's here and whichever provider they were given for.
    async fn kept_of(&self, host: &str, owner_id: &str) -> Result<Vec<NewCredential>, StoreError> {
        let mut kept = Vec::new();
        for provider in self.registry.providers().filter(|provider| provider.host() == host) {
            kept.extend(self.store.sealed_of(provider.id(), owner_id).await?);
        }
        Ok(kept)
    }

    /// Whether a credential that is kept holds this very token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn holds(&self, credential: &CredentialId, token: &Secret) -> Result<bool, StoreError> {
        let kept = self.store.sealed(credential).await?;
        Ok(kept.and_then(|kept| self.secret_of(&kept)) == Some(token.fingerprint()))
    }

    /// The credentials, whoever's, that hold the very token that this one holds, without itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn twins(&self, of: &Credential) -> Result<Vec<CredentialId>, StoreError> {
        let Some(provider) = self.registry.provider(&of.provider) else { return Ok(Vec::new()) };
        let kept = self.kept_of(&provider.host(), &of.owner.id).await?;
        let (own, others): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.credential.id == of.id);
        let Some(secret) = own.first().and_then(|own| self.secret_of(own)) else { return Ok(Vec::new()) };
        let twins = others.into_iter().filter(|other| self.secret_of(other) == Some(secret));
        Ok(twins.map(|twin| twin.credential.id).collect())
    }

    /// What a credential's token is recognised by, here and now; nobody keeps it. `None`: it does not open, so nobody can
    /// use it either.
    fn secret_of(&self, kept: &NewCredential) -> Option<Fingerprint> {
        let NewCredential { credential, sealed } = kept;
        let origin = self.registry.provider(&credential.provider)?.origin();
        match self.keys.unseal_tokens(credential, &origin, sealed) {
            Ok(tokens) => Some(tokens.access.fingerprint()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(credential = %credential.id, error, "A token can't be opened to compare it");
                None
            }
        }
    }

    /// Until when a host wants no more of what ends such tokens.
    fn rests(&self, host: &str, method: Method, now: Timestamp) -> Option<Timestamp> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        // Longer than that was said by a clock that has been set back since.
        resting.retain(|_, until| *until > now && *until <= now.plus(LONGEST_WAIT));
        resting.get(&(host.to_owned(), method == Method::Oauth2)).copied()
    }

    fn rest(&self, host: String, method: Method, until: Option<Timestamp>) {
        if let Some(until) = until {
            let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
            resting.insert((host, method == Method::Oauth2), until);
        }
    }

    /// When to try again after so many tries.
    fn later(&self, tries: u32) -> Timestamp {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(16)));
        let pause = pause.min(LONGEST_PAUSE).min(LONGEST_WAIT);
        self.clock.now().plus(pause).plus(jitter(self.entropy.as_ref(), pause / 10))
    }
}
