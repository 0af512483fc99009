//! The provider is asked again about a credential that is kept. What it says becomes a verdict only by the rules
//! here: a fault is never a refusal, and one refusal is not yet a verdict.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::{Clock, Timestamp},
    credential::{Credential, Evidence, Standing, Tokens, Trouble},
    guard::Guard,
    id::{RuntimeId, UserId},
    provider::{Age, Identity, ProviderError, Registry, TokenExpiry},
    renew::{Renewer, TokensError},
    store::{Store, StoreError},
};

/// Two refusals count when they are at least so far apart and another credential passed in between …
const TWO_REFUSALS_APART: Duration = Duration::from_secs(10 * 60);
/// … or when they have gone on for so long, and are so many: two clicks in two bad hours of the provider are no proof.
const REFUSALS_FOR: Duration = Duration::from_secs(90 * 60);
const REFUSALS: u32 = 3;
/// A credential that was refused is shown to the provider so many times per window at most.
const REFUSED_QUESTIONS: u32 = 6;
const REFUSED_WINDOW_SECONDS: u32 = 60;

/// What the provider's answer makes of a standing. `another_passed`: since the first refusal, another credential of
/// that host was accepted, so the host itself is well.
pub fn judge(
    before: &Standing,
    outcome: &Result<Identity, ProviderError>,
    now: Timestamp,
    another_passed: bool,
) -> Standing {
    match outcome {
        Ok(identity) => Standing::good(now, identity.evidence.clone()),
        // A provider says what a token lacks only of one that it knows.
        Err(ProviderError::Insufficient { evidence, .. }) => Standing::good(now, evidence.clone()),
        Err(ProviderError::Rejected(evidence)) => {
            let since = before.rejected_since.unwrap_or(now);
            let lasted = now.since(since);
            let refusals = before.refusals.saturating_add(1);
            let believed = (lasted >= TWO_REFUSALS_APART && another_passed)
                || (lasted >= REFUSALS_FOR && refusals >= REFUSALS);
            Standing {
                invalid: before.invalid || believed,
                checked_at: now,
                evidence: evidence.clone(),
                last_good_at: before.last_good_at,
                rejected_since: Some(since),
                refusals,
                trouble: None,
            }
        }
        Err(ProviderError::RateLimited { until, evidence }) => {
            troubled(before, Trouble::RateLimited { until: *until }, evidence, now)
        }
        Err(ProviderError::Blocked { evidence, .. } | ProviderError::Unreachable(evidence)) => {
            troubled(before, Trouble::Unreachable, evidence, now)
        }
    }
}

/// No verdict: the last one stays, and the trouble began when it began.
fn troubled(before: &Standing, trouble: Trouble, evidence: &Evidence, now: Timestamp) -> Standing {
    let since = match (&before.trouble, trouble) {
        (Some((Trouble::Unreachable, since)), Trouble::Unreachable)
        | (Some((Trouble::RateLimited { .. }, since)), Trouble::RateLimited { .. }) => *since,
        _ => now,
    };
    Standing {
        checked_at: now,
        evidence: evidence.clone(),
        trouble: Some((trouble, since)),
        ..before.clone()
    }
}

/// Takes over what a check found out about a credential besides the verdict.
pub fn learn(credential: &mut Credential, identity: &Identity) {
    credential.owner = identity.owner.clone();
    // Not the kind: the secrets are sealed to it, and a worse day of the provider may tell less than it once did.
    if identity.scopes.is_some() || credential.method == crate::credential::Method::Token {
        credential.scopes = identity.scopes.clone();
    }
    match (credential.method, identity.expiry) {
        // A grant's end follows from what came with it, not from the identity endpoint.
        (crate::credential::Method::Oauth2, _) => {}
        (_, TokenExpiry::At(at)) => (credential.expires_at, credential.expiry_unknown) = (Some(at), false),
        (_, TokenExpiry::Never) => (credential.expires_at, credential.expiry_unknown) = (None, false),
        (_, TokenExpiry::Unknown) => credential.expiry_unknown = true,
    }
}

/// Why a check could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No such runtime of this user, or no token for it.
    #[error("there is no token to check")]
    NothingThere,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The secret could not be opened.
    #[error(transparent)]
    Tokens(#[from] TokensError),
}

/// Asks providers again.
pub struct Checker {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Whom to ask.
    pub registry: Arc<Registry>,
    /// Opens secrets, renewed where needed.
    pub renewer: Arc<Renewer>,
    /// Asks no more than is good for all.
    pub guard: Arc<Guard>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Checker {
    /// Asks about one runtime of one user, now, and keeps what came back.
    ///
    /// # Errors
    /// As [`CheckError`] says. What the provider said, good or bad, is no error: it is in the standing.
    pub async fn check(&self, user: &UserId, runtime: &RuntimeId) -> Result<(), CheckError> {
        let access =
            self.store.access(user, runtime, self.clock.now()).await?.ok_or(CheckError::NothingThere)?;
        let credential = access.credential.ok_or(CheckError::NothingThere)?;
        if let Some((Trouble::RateLimited { until: Some(until) }, _)) = credential.standing.trouble
            && until > self.clock.now()
        {
            // The provider said when to come back, and the row says it.
            return Ok(());
        }
        if !may_ask_again(self.store.as_ref(), &credential, self.clock.now()).await? {
            return Ok(());
        }
        let generation = credential.generation;
        let provider = self.registry.provider(&credential.provider).ok_or(CheckError::NothingThere)?.as_ref();
        let (mut credential, tokens) = match self.renewer.tokens(&credential.id).await {
            Ok(fresh) => fresh,
            // What stood in the way of renewing is noted there; the page shows it.
            Err(TokensError::NotRenewed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let age = if credential.generation == generation { Age::Settled } else { Age::Fresh };
        let mut tokens = tokens;
        let mut outcome = self.guard.identify(provider, &credential.presented(&tokens), age).await?;
        if may_have_ended_early(&credential, &tokens, &outcome) {
            (credential, tokens) = match self.renewer.renewed(&credential.id, credential.generation).await {
                Ok(fresh) => fresh,
                // The refusal of the access token says nothing then; what became of the renewal is noted.
                Err(TokensError::NotRenewed) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            outcome = self.guard.identify(provider, &credential.presented(&tokens), Age::Fresh).await?;
        }
        let now = self.clock.now();
        let noted = note(self.store.as_ref(), &mut credential, &outcome, now).await?;
        if noted
            && outcome.is_ok()
            && let Some(repository) = &access.runtime.repository
        {
            let push = provider.may_push(&credential.presented(&tokens), repository).await;
            // An answer that tells nothing does not wipe out one that told something.
            if push != crate::credential::Push::Unknown {
                self.store.record_push(&credential.id, runtime, &push).await?;
            }
        }
        Ok(())
    }
}

/// Whether the provider may be shown a credential once more: not if it was refused, and shown too often since.
///
/// # Errors
/// [`StoreError`].
pub async fn may_ask_again(
    store: &dyn Store,
    credential: &Credential,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if credential.standing.rejected_since.is_none() {
        return Ok(true);
    }
    let bucket = format!("refused {}", credential.id);
    Ok(store.count_failure(&bucket, now, REFUSED_WINDOW_SECONDS).await? <= REFUSED_QUESTIONS)
}

/// Whether the first refusal of a grant's access token may only mean that it ended before its time: what renews it may
/// be as good as ever. Once per row of refusals, so that a bad day of the provider renews nothing in a circle.
pub fn may_have_ended_early(
    credential: &Credential,
    tokens: &Tokens,
    outcome: &Result<Identity, ProviderError>,
) -> bool {
    matches!(outcome, Err(ProviderError::Rejected(_)))
        && tokens.refresh.is_some()
        && credential.standing.rejected_since.is_none()
}

/// Notes what the provider said. `false` if the credential was replaced meanwhile, so that the answer is about one that
/// is gone.
///
/// # Errors
/// [`StoreError`].
pub async fn note(
    store: &dyn Store,
    credential: &mut Credential,
    outcome: &Result<Identity, ProviderError>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let another_passed = match (outcome, credential.standing.rejected_since) {
        (Err(ProviderError::Rejected(_)), Some(since)) => {
            store.another_passed(&credential.provider, &credential.id, since).await?
        }
        _ => false,
    };
    credential.standing = judge(&credential.standing, outcome, now, another_passed);
    match outcome {
        Ok(identity) => learn(credential, identity),
        Err(ProviderError::Insufficient { granted, missing, .. }) => {
            let left = || credential.scopes.as_ref().map(|scopes| scopes.without(missing));
            credential.scopes = granted.clone().or_else(left);
        }
        Err(_) => {}
    }
    let noted = store.record(credential).await?;
    if !noted {
        tracing::info!(credential = %credential.id, "A check came too late: the credential was replaced meanwhile");
    }
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::ProviderAccount;

    fn evidence(answer: &str) -> Evidence {
        Evidence { request: "GET /user".into(), answer: answer.into() }
    }

    fn start() -> Timestamp {
        Timestamp::from_seconds(1_795_348_800)
    }

    fn after_minutes(minutes: u64) -> Timestamp {
        start().plus(Duration::from_secs(60 * minutes))
    }

    fn good() -> Standing {
        Standing::good(start(), evidence("200"))
    }

    fn rejected() -> Result<Identity, ProviderError> {
        Err(ProviderError::Rejected(evidence("401")))
    }

    fn passed() -> Result<Identity, ProviderError> {
        Ok(Identity {
            owner: ProviderAccount { id: "1".into(), login: "octocat".into() },
            kind: "classic".into(),
            scopes: None,
            expiry: TokenExpiry::Never,
            evidence: evidence("200"),
        })
    }

    #[test]
    fn one_refusal_is_not_a_verdict() {
        let standing = judge(&good(), &rejected(), after_minutes(1), true);
        assert!(!standing.invalid);
        assert_eq!(standing.rejected_since, Some(after_minutes(1)));
        assert_eq!(standing.last_good_at, Some(start()));
    }

    #[test]
    fn two_refusals_ten_minutes_apart_count_once_another_credential_passed() {
        let first = judge(&good(), &rejected(), after_minutes(1), false);
        assert!(!judge(&first, &rejected(), after_minutes(10), true).invalid, "nine minutes are too few");
        assert!(!judge(&first, &rejected(), after_minutes(11), false).invalid, "the host may be unwell");
        assert!(judge(&first, &rejected(), after_minutes(11), true).invalid);
    }

    #[test]
    fn ninety_minutes_of_refusals_count_alone() {
        let mut standing = judge(&good(), &rejected(), after_minutes(0), false);
        for minutes in [20, 45, 89] {
            standing = judge(&standing, &rejected(), after_minutes(minutes), false);
            assert!(!standing.invalid, "after {minutes} minutes");
        }
        assert!(judge(&standing, &rejected(), after_minutes(90), false).invalid);
    }

    #[test]
    fn two_refusals_hours_apart_are_no_proof() {
        let first = judge(&good(), &rejected(), after_minutes(0), false);
        assert!(!judge(&first, &rejected(), after_minutes(240), false).invalid);
    }

    #[test]
    fn a_fault_never_makes_a_credential_invalid_and_keeps_the_last_verdict() {
        let faults = [
            ProviderError::Unreachable(evidence("503")),
            ProviderError::RateLimited { until: None, evidence: evidence("429") },
        ];
        for fault in faults {
            let mut standing = good();
            for minutes in [1, 60, 60 * 24] {
                standing = judge(&standing, &Err(fault.clone()), after_minutes(minutes), true);
                assert!(!standing.invalid);
                assert_eq!(standing.last_good_at, Some(start()));
                assert_eq!(standing.rejected_since, None);
            }
            let since = standing.trouble.as_ref().map(|(_, since)| *since);
            assert_eq!(since, Some(after_minutes(1)), "the trouble began when it began");
        }
    }

    #[test]
    fn a_pass_forgives_everything() {
        let refused = judge(&good(), &rejected(), after_minutes(1), false);
        let dead = judge(&refused, &rejected(), after_minutes(100), true);
        assert!(dead.invalid);
        let alive = judge(&dead, &passed(), after_minutes(101), false);
        assert!(!alive.invalid);
        assert_eq!(alive.rejected_since, None);
        assert_eq!(alive.trouble, None);
    }

    #[test]
    fn a_fault_between_two_refusals_does_not_restart_the_count() {
        let first = judge(&good(), &rejected(), after_minutes(0), false);
        let fault = Err(ProviderError::Unreachable(evidence("503")));
        let between = judge(&first, &fault, after_minutes(5), false);
        assert!(judge(&between, &rejected(), after_minutes(10), true).invalid);
    }
}
