//! The provider is asked again about a credential that is kept. What it says becomes a verdict only by the rules
//! here: a fault is never a refusal, and one refusal is not yet a verdict.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;

use crate::{
    audit::{Action, Audit, Entry, not_told},
    clock::{Clock, Timestamp},
    credential::{Access, Credential, Evidence, Push, Standing, Tokens, Trouble},
    guard::{Answer, Guard},
    herald::Changes,
    id::{RuntimeId, UserId},
    provider::{Age, Identity, Provider, ProviderError, Registry, TokenExpiry},
    random::Entropy,
    renew::{Renewer, Setback, TokensError, Why},
    store::{Store, StoreError},
    watch::{
        due,
        host::{Host, Signal},
        hosts::Hosts,
    },
};

/// Two refusals count when they are at least so far apart and another credential passed in between …
const TWO_REFUSALS_APART: Duration = Duration::from_secs(10 * 60);
/// … or when they have gone on for so long, and are so many: two clicks in two bad hours of the provider are no proof.
const REFUSALS_FOR: Duration = Duration::from_secs(90 * 60);
const REFUSALS: u32 = 3;
/// A credential that was refused is shown to the provider so many times per window at most.
const REFUSED_QUESTIONS: u32 = 6;
const REFUSED_WINDOW_SECONDS: u32 = 60;
/// After so many probes without an answer one after the other, the next check is early enough for the rest.
const UNANSWERED_PROBES: u32 = 3;

/// What else speaks for or against a refusal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Witness {
    /// Since the first refusal, another credential of that host was accepted, so the host itself is well.
    pub another_passed: bool,
    /// The host is in trouble as a whole: nothing that it says counts.
    pub in_trouble: bool,
    /// When it last came out of trouble: what it said before does not count.
    pub well_since: Option<Timestamp>,
    /// What time it is there, where its clock differs from ours: how long a refusal lasts is counted by it, so that a
    /// clock of ours that jumps condemns nobody.
    pub there: Option<Timestamp>,
}

/// What the provider's answer makes of a standing.
pub fn judge(
    before: &Standing,
    outcome: &Result<Identity, ProviderError>,
    now: Timestamp,
    witness: Witness,
) -> Standing {
    match outcome {
        Ok(identity) => Standing::good(now, identity.evidence.clone()),
        // A provider says what a token lacks only of one that it knows.
        Err(ProviderError::Insufficient { evidence, .. }) => Standing::good(now, evidence.clone()),
        Err(ProviderError::Rejected(evidence)) => {
            let there = witness.there.unwrap_or(now);
            let since = rejected_since(before, there, witness.well_since);
            let lasted = there.since(since);
            let refusals = before.refusals.saturating_add(1);
            let believed = !witness.in_trouble
                && ((lasted >= TWO_REFUSALS_APART && witness.another_passed)
                    || (lasted >= REFUSALS_FOR && refusals >= REFUSALS));
            Standing {
                invalid: before.invalid || believed,
                checked_at: now,
                evidence: evidence.clone(),
                last_good_at: before.last_good_at,
                rejected_since: Some(since),
                refusals,
                in_vain: due::once_more_in_vain(before),
                trouble: None,
                not_renewed: false,
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

/// Since when refusals count: the first one, but none from a time when the host was in trouble, nor from one that is
/// still to come because the clock was set back.
fn rejected_since(before: &Standing, now: Timestamp, well_since: Option<Timestamp>) -> Timestamp {
    let Some(since) = before.rejected_since else { return now };
    if before.invalid {
        return since;
    }
    since.max(well_since.unwrap_or(since)).min(now)
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
        not_renewed: false,
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

/// What asking about a credential brought.
pub struct Asked {
    /// As it is noted now.
    pub credential: Credential,
    /// Its tokens, renewed where needed.
    pub tokens: Tokens,
    /// What the provider said.
    pub outcome: Result<Identity, ProviderError>,
    /// Not if the credential was replaced meanwhile: then the answer is about one that is gone. Nor if another answer was
    /// noted meanwhile: that one is newer.
    pub noted: bool,
    /// Whether what is believed of it is something else now, which stands in the audit log already.
    pub changed: bool,
}

/// What a runtime's row names as its repository.
type Repository = (RuntimeId, String);

/// Asks providers again: when a user wants it, and in the background. The one place that asks and notes.
pub struct Checker {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Whom to ask.
    pub registry: Arc<Registry>,
    /// Opens secrets, renewed where needed.
    pub renewer: Arc<Renewer>,
    /// Asks no more than is good for all.
    pub guard: Arc<Guard>,
    /// How the hosts are.
    pub hosts: Arc<Hosts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For due times.
    pub entropy: Arc<dyn Entropy>,
    /// Open pages show what is being asked about.
    pub changes: Arc<Changes>,
    /// Where it is written down when what is believed changes.
    pub audit: Audit,
}

impl Checker {
    /// Asks about one runtime of one user, now, and keeps what came back.
    ///
    /// # Errors
    /// As [`CheckError`] says. What the provider said, good or bad, is no error: it is in the standing.
    pub async fn check(&self, user: &UserId, runtime: &RuntimeId) -> Result<(), CheckError> {
        let now = self.clock.now();
        let access = self.store.access(user, runtime, now).await?.ok_or(CheckError::NothingThere)?;
        let mut credential = access.credential.ok_or(CheckError::NothingThere)?;
        if let Some((Trouble::RateLimited { until: Some(until) }, _)) = credential.standing.trouble
            && until > now
        {
            // The provider said when to come back, and the row says it.
            self.not_asked(&credential, "rate_limited").await;
            return Ok(());
        }
        let provider = self.registry.provider(&credential.provider).ok_or(CheckError::NothingThere)?;
        if let Some(until) = self.hosts.limited(&provider.host()).await? {
            // It said so to another one, but it counts what comes from this machine. The row says it now.
            let limited = Trouble::RateLimited { until: Some(until) };
            let seen = credential.standing.clone();
            credential.standing =
                Standing { checked_at: seen.checked_at, ..troubled(&seen, limited, &seen.evidence, now) };
            credential.due_at = due::next(&credential, now, self.entropy.as_ref());
            self.store.record(&credential, &seen).await?;
            self.not_asked(&credential, "rate_limited").await;
            return Ok(());
        }
        if !self.may_ask_again(&credential).await? {
            self.not_asked(&credential, "asked_too_often").await;
            return Ok(());
        }
        self.hosts.spend(&provider.host(), 1);
        let repositories: Vec<Repository> =
            access.runtime.repository.map(|repository| (runtime.clone(), repository)).into_iter().collect();
        self.ask(&credential, &repositories).await
    }

    /// Whether the provider may be shown a credential once more: not if it was refused, and shown too often since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn may_ask_again(&self, credential: &Credential) -> Result<bool, StoreError> {
        if credential.standing.rejected_since.is_none() {
            return Ok(true);
        }
        let bucket = format!("refused {}", credential.id);
        let questions = self.store.count_failure(&bucket, self.clock.now(), REFUSED_WINDOW_SECONDS).await?;
        Ok(questions <= REFUSED_QUESTIONS)
    }

    /// Asks about a credential and, if it passes, about these repositories, and keeps what came back: of the credential,
    /// of each repository, and of the host. A grant that is due is renewed first.
    ///
    /// # Errors
    /// As [`CheckError`] says. What the provider said, good or bad, is no error: it is in the standing.
    pub async fn ask(&self, known: &Credential, repositories: &[Repository]) -> Result<(), CheckError> {
        let provider = self.registry.provider(&known.provider).ok_or(CheckError::NothingThere)?.as_ref();
        let rows = match self.changes.is_heard_by(&known.user) {
            true => self.store.runtimes_of(&known.id).await?,
            false => Vec::new(),
        };
        let _until_it_is_noted = self.changes.asking(&known.user, &known.id, rows);
        let asked = match self.examine(known).await {
            // What stood in the way of renewing is noted there; the page shows it.
            Err(CheckError::Tokens(TokensError::NotRenewed(setback))) => {
                // What was refused is another verdict, which is written down there as well.
                if setback != Setback::Refused {
                    self.not_asked(known, "not_renewed").await;
                }
                return Ok(());
            }
            asked => asked?,
        };
        let mut answers = HashMap::new();
        let probed = match asked.noted && asked.outcome.is_ok() {
            true => self.probe(&asked, provider, repositories, &mut answers).await,
            false => Ok(()),
        };
        // Also if the rest of them could not be kept.
        self.tell(&asked, &answers).await;
        Ok(probed?)
    }

    /// Asks whether a credential that passed may push to these repositories, and keeps the answers.
    async fn probe(
        &self,
        asked: &Asked,
        provider: &dyn Provider,
        repositories: &[Repository],
        answers: &mut HashMap<RuntimeId, Push>,
    ) -> Result<(), StoreError> {
        let Asked { credential, tokens, .. } = asked;
        // A repository is asked about once, however many runtimes commit there.
        let mut pushes: HashMap<&str, Push> = HashMap::new();
        let mut unanswered = 0;
        for (runtime, repository) in repositories {
            if unanswered >= UNANSWERED_PROBES {
                break;
            }
            let push = match pushes.get(repository.as_str()) {
                Some(push) => push.clone(),
                None => {
                    self.hosts.spend(&provider.host(), 1);
                    let push = provider.may_push(&credential.presented(tokens), repository).await;
                    pushes.insert(repository, push.clone());
                    unanswered = if push == Push::Unknown { unanswered + 1 } else { 0 };
                    push
                }
            };
            answers.insert(runtime.clone(), push.clone());
            // An answer that tells nothing does not wipe out one that told something.
            if push != Push::Unknown {
                self.store.record_push(&credential.id, runtime, &push).await?;
            }
        }
        Ok(())
    }

    /// Asks whose a credential is, and notes what came back: of the credential, and of its host. A grant that is due is
    /// renewed first, and one that is refused before its time is renewed once.
    ///
    /// # Errors
    /// As [`CheckError`] says. What the provider said, good or bad, is no error.
    pub async fn examine(&self, known: &Credential) -> Result<Asked, CheckError> {
        let provider = self.registry.provider(&known.provider).ok_or(CheckError::NothingThere)?.as_ref();
        let host = provider.host();
        let asked_at = self.clock.now();
        let renewed =
            self.renewer.tokens(&known.id, Why::Check).await.map(|handed| (handed.credential, handed.tokens));
        let (mut credential, mut tokens) = self.or_weighed(known, &host, asked_at, renewed).await?;
        let age = if credential.generation == known.generation {
            Age::Settled
        } else {
            self.hosts.spend(&host, 1);
            Age::Fresh
        };
        let mut answer = self.guard.identify(provider, &credential.presented(&tokens), age).await?;
        if may_have_ended_early(&credential, &tokens, &answer) {
            let renewed = self.renewer.renewed(&credential).await;
            // The refusal of the access token says nothing then; what became of the renewal is noted.
            (credential, tokens) = self.or_weighed(known, &host, asked_at, renewed).await?;
            self.hosts.spend(&host, 2);
            answer = self.guard.identify(provider, &credential.presented(&tokens), Age::Fresh).await?;
        }
        let signal = match &answer {
            Answer::Given(
                Ok(_) | Err(ProviderError::Insufficient { .. } | ProviderError::Blocked { .. }),
            ) => Signal::Passed,
            Answer::Given(Err(ProviderError::Rejected(_))) => {
                Signal::Refused { first: credential.standing.rejected_since.is_none() }
            }
            Answer::Given(Err(ProviderError::Unreachable(_))) => Signal::Unreachable,
            Answer::Given(Err(ProviderError::RateLimited { until, .. })) => {
                self.limited(&credential, *until).await?
            }
            Answer::NotAsked { .. } => Signal::Nothing,
        };
        let state = self.hosts.weigh(&host, &credential.id, signal, asked_at).await?;
        let outcome = answer.into_outcome();
        let (noted, changed) = self.note(&mut credential, provider, &outcome, &state).await?;
        Ok(Asked { credential, tokens, outcome, noted, changed })
    }

    /// What a renewal brought. If it did not succeed, the host learns of it.
    async fn or_weighed(
        &self,
        known: &Credential,
        host: &str,
        asked_at: Timestamp,
        renewed: Result<(Credential, Tokens), TokensError>,
    ) -> Result<(Credential, Tokens), CheckError> {
        if let Err(TokensError::NotRenewed(setback)) = &renewed {
            let signal = match *setback {
                Setback::Limited { until } => self.limited(known, until).await?,
                Setback::Unreachable | Setback::Lost => Signal::Unreachable,
                Setback::Refused | Setback::NotAsked => Signal::Nothing,
            };
            self.hosts.weigh(host, &known.id, signal, asked_at).await?;
        }
        Ok(renewed?)
    }

    /// Whether a limit is the host's, or that of the account whose credential it is: others passed while it was limited.
    async fn limited(&self, credential: &Credential, until: Option<Timestamp>) -> Result<Signal, StoreError> {
        let own = match credential.standing.trouble {
            Some((Trouble::RateLimited { .. }, since)) => {
                self.store.another_passed(&credential.provider, &credential.id, since).await?
            }
            _ => false,
        };
        Ok(Signal::Limited { until, own })
    }

    /// Whether it was noted, and whether what is believed is something else now. Not noted if the credential was
    /// replaced meanwhile, so that the answer is about one that is gone, or another answer was noted meanwhile.
    async fn note(
        &self,
        credential: &mut Credential,
        provider: &dyn Provider,
        outcome: &Result<Identity, ProviderError>,
        host: &Host,
    ) -> Result<(bool, bool), StoreError> {
        let now = self.clock.now();
        let mut witness = Witness {
            another_passed: false,
            in_trouble: host.in_trouble(),
            well_since: host.well_since().filter(|since| *since <= now),
            there: Some(provider.place().there(now)),
        };
        if matches!(outcome, Err(ProviderError::Rejected(_)))
            && credential.standing.rejected_since.is_some()
            && !host.doubted()
        {
            let there = provider.place().there(now);
            let since = rejected_since(&credential.standing, there, witness.well_since);
            witness.another_passed = self.store.another_passed(provider.id(), &credential.id, since).await?;
        }
        let seen = credential.standing.clone();
        let believed = (seen.invalid, credential.scopes.clone());
        credential.standing = judge(&seen, outcome, now, witness);
        match outcome {
            Ok(identity) => learn(credential, identity),
            Err(ProviderError::Insufficient { granted, missing, .. }) => {
                let left = || credential.scopes.as_ref().map(|scopes| scopes.without(missing));
                credential.scopes = granted.clone().or_else(left);
            }
            Err(_) => {}
        }
        credential.due_at = due::next(credential, now, self.entropy.as_ref());
        let noted = self.store.record(credential, &seen).await?;
        let changed = noted && believed != (credential.standing.invalid, credential.scopes.clone());
        if changed {
            self.audit.note_for_each(self.store.as_ref(), Entry::verdict(credential), credential, now).await;
        }
        if !noted {
            tracing::info!(
                credential = %credential.id,
                "A check came too late: the credential was replaced, or another check noted, meanwhile"
            );
        }
        Ok((noted, changed))
    }

    /// Writes down what came of a check: of the credential, unless that is written down as another verdict, and of the
    /// repositories.
    pub(crate) async fn tell(&self, asked: &Asked, pushes: &HashMap<RuntimeId, Push>) {
        let Asked { credential, outcome, noted, changed, .. } = asked;
        if *changed && pushes.is_empty() {
            return;
        }
        let Evidence { request, answer } = &credential.standing.evidence;
        let entry = Entry::by_gitward(credential, Action::VerdictKept).detail(format!("{request}: {answer}"));
        let entry = match outcome {
            _ if !noted => entry.refused("overtaken"),
            Ok(_) => entry,
            Err(ProviderError::Rejected(_)) => entry.refused("token_refused"),
            Err(ProviderError::Insufficient { .. }) => entry.refused("too_little"),
            Err(ProviderError::Blocked { .. }) => entry.refused("blocked"),
            Err(ProviderError::RateLimited { .. }) => entry.refused("rate_limited"),
            Err(ProviderError::Unreachable(_)) => entry.refused("unreachable"),
        };
        self.tell_accounts(entry, credential, pushes).await;
    }

    /// Writes down that the provider was not asked, and why.
    async fn not_asked(&self, credential: &Credential, why: &'static str) {
        let entry = Entry::by_gitward(credential, Action::VerdictKept).refused(why);
        self.tell_accounts(entry, credential, &HashMap::new()).await;
    }

    /// Once for each account whose runtimes use a credential, not once for each of these: that would be most of the
    /// log. Each account reads of its own repositories.
    async fn tell_accounts(&self, entry: Entry, credential: &Credential, pushes: &HashMap<RuntimeId, Push>) {
        let accesses = match self.store.accesses(&credential.user, self.clock.now()).await {
            Ok(accesses) => accesses,
            Err(error) => return not_told(&entry, &error),
        };
        let mut accounts: BTreeMap<&str, Vec<&Access>> = BTreeMap::new();
        for access in accesses.iter().filter(|access| access.uses(credential)) {
            accounts.entry(access.account.id.as_str()).or_default().push(access);
        }
        if accounts.is_empty() {
            // Its user is asked about it, and it serves nobody yet.
            return self.audit.note(entry).await;
        }
        let entries = accounts.into_values().map(|served| {
            let mut entry = Entry { account: Some(served[0].account.id.clone()), ..entry.clone() };
            if let [only] = served.as_slice() {
                entry.runtime = Some(only.runtime.id.clone());
            }
            for access in served {
                if let Some(push) = pushes.get(&access.runtime.id) {
                    let said = format!("push of {} {}", access.runtime.name, in_a_word(push));
                    entry.detail =
                        Some(entry.detail.take().map_or(said.clone(), |all| format!("{all}; {said}")));
                }
            }
            self.audit.note(entry)
        });
        join_all(entries).await;
    }
}

/// As the log has it.
fn in_a_word(push: &Push) -> &'static str {
    match push {
        Push::Allowed => "allowed",
        Push::Denied => "denied",
        Push::Hidden => "hidden",
        Push::NeedsSso { .. } => "needs single sign-on",
        Push::Unknown => "unknown",
    }
}

/// Whether the first refusal of a grant's access token may only mean that it ended before its time: what renews it may
/// be as good as ever. Once per row of refusals, so that a bad day of the provider renews nothing in a circle.
fn may_have_ended_early(credential: &Credential, tokens: &Tokens, answer: &Answer) -> bool {
    matches!(answer, Answer::Given(Err(ProviderError::Rejected(_))))
        && tokens.refresh.is_some()
        && credential.standing.rejected_since.is_none()
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

    fn witness(another_passed: bool) -> Witness {
        Witness { another_passed, ..Witness::default() }
    }

    #[test]
    fn one_refusal_is_not_a_verdict() {
        let standing = judge(&good(), &rejected(), after_minutes(1), witness(true));
        assert!(!standing.invalid);
        assert_eq!(standing.rejected_since, Some(after_minutes(1)));
        assert_eq!(standing.last_good_at, Some(start()));
    }

    #[test]
    fn two_refusals_ten_minutes_apart_count_once_another_credential_passed() {
        let first = judge(&good(), &rejected(), after_minutes(1), witness(false));
        assert!(
            !judge(&first, &rejected(), after_minutes(10), witness(true)).invalid,
            "nine minutes are too few"
        );
        assert!(
            !judge(&first, &rejected(), after_minutes(11), witness(false)).invalid,
            "the host may be unwell"
        );
        assert!(judge(&first, &rejected(), after_minutes(11), witness(true)).invalid);
    }

    #[test]
    fn ninety_minutes_of_refusals_count_alone() {
        let mut standing = judge(&good(), &rejected(), after_minutes(0), witness(false));
        for minutes in [20, 45, 89] {
            standing = judge(&standing, &rejected(), after_minutes(minutes), witness(false));
            assert!(!standing.invalid, "after {minutes} minutes");
        }
        assert!(judge(&standing, &rejected(), after_minutes(90), witness(false)).invalid);
    }

    #[test]
    fn two_refusals_hours_apart_are_no_proof() {
        let first = judge(&good(), &rejected(), after_minutes(0), witness(false));
        assert!(!judge(&first, &rejected(), after_minutes(240), witness(false)).invalid);
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
                standing = judge(&standing, &Err(fault.clone()), after_minutes(minutes), witness(true));
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
        let refused = judge(&good(), &rejected(), after_minutes(1), witness(false));
        let dead = judge(&refused, &rejected(), after_minutes(100), witness(true));
        assert!(dead.invalid);
        let alive = judge(&dead, &passed(), after_minutes(101), witness(false));
        assert!(!alive.invalid);
        assert_eq!(alive.rejected_since, None);
        assert_eq!(alive.trouble, None);
    }

    #[test]
    fn nothing_is_believed_of_a_host_in_trouble_however_long_it_lasts() {
        let trouble = Witness { another_passed: true, in_trouble: true, ..Witness::default() };
        let mut standing = good();
        for minutes in (0..24 * 60).step_by(10) {
            standing = judge(&standing, &rejected(), after_minutes(minutes), trouble);
        }
        assert!(!standing.invalid);
        assert_eq!(standing.last_good_at, Some(start()));
    }

    #[test]
    fn what_a_host_refused_while_it_was_in_trouble_does_not_count_after_it() {
        let first = judge(&good(), &rejected(), after_minutes(0), witness(false));
        let well = Witness { well_since: Some(after_minutes(60)), ..witness(true) };
        let after = judge(&first, &rejected(), after_minutes(61), well);
        assert!(!after.invalid, "one minute, not an hour");
        assert_eq!(after.rejected_since, Some(after_minutes(60)));
        assert!(judge(&after, &rejected(), after_minutes(71), well).invalid, "but what it refuses now does");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_refusal_older() {
        let first = judge(&good(), &rejected(), after_minutes(600), witness(false));
        let second = judge(&first, &rejected(), after_minutes(0), witness(true));
        assert_eq!((second.invalid, second.rejected_since), (false, Some(after_minutes(0))));
        assert!(!judge(&second, &rejected(), after_minutes(9), witness(true)).invalid);
        assert!(judge(&second, &rejected(), after_minutes(10), witness(true)).invalid);
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_no_refusal_older() {
        let first = judge(&good(), &rejected(), after_minutes(0), witness(false));
        let a_year_ahead = after_minutes(60 * 24 * 365 + 1);
        let there = Witness { there: Some(after_minutes(1)), ..witness(true) };
        let second = judge(&first, &rejected(), a_year_ahead, there);
        assert_eq!((second.invalid, second.rejected_since), (false, Some(after_minutes(0))));
        let there = Witness { there: Some(after_minutes(10)), ..witness(true) };
        assert!(judge(&second, &rejected(), a_year_ahead, there).invalid, "but ten minutes are ten minutes");
    }

    #[test]
    fn a_fault_between_two_refusals_does_not_restart_the_count() {
        let first = judge(&good(), &rejected(), after_minutes(0), witness(false));
        let fault = Err(ProviderError::Unreachable(evidence("503")));
        let between = judge(&first, &fault, after_minutes(5), witness(false));
        assert!(judge(&between, &rejected(), after_minutes(10), witness(true)).invalid);
    }
}
