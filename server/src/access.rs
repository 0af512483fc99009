//! A token is given, used for further runtimes, replaced, deleted. The provider is asked before anything is believed,
//! and the old token serves until the new one has passed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use app::api::token::Refusal;
use futures_util::StreamExt;
use time::{Date, format_description::BorrowedFormatItem, macros::format_description};

use crate::{
    audit::{Action, Audit, AuditError, By, Entry},
    check::{Asked, CheckError, Checker},
    clock::{Clock, Timestamp},
    credential::{Access, Credential, Method, Push, Standing, Tokens},
    failpoint,
    health::needed,
    holding::Holdings,
    id::{CredentialId, RuntimeId, UserId},
    moment::moment,
    provider::{Age, Identity, Presented, Provider, ProviderError, Registry, Shape, TokenExpiry},
    random::{Entropy, NoEntropy, new_id},
    renew::TokensError,
    revoke::{GIVES_UP_AFTER, HELD_FOR, Revoker},
    scope::ScopeSet,
    seal::{KeyRing, SealError},
    secret::Secret,
    store::{Ending, NewCredential, Store, StoreError},
    watch::due,
};

/// No provider's tokens come near: the longest known are JSON web tokens of about two kilobytes.
const LONGEST_TOKEN_BYTES: usize = 8 * 1024;
/// E-mail addresses have 254 bytes at most (RFC 5321 §4.5.3.1).
const LONGEST_USER_NAME_BYTES: usize = 254;
/// As a field for dates sends it.
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// How long all probes for further runtimes may take together; what has no answer by then is left out.
const FURTHER_WITHIN: Duration = Duration::from_secs(12);
/// So many repositories are probed at once.
const PROBES_AT_ONCE: usize = 4;

/// Why a token was not kept, or not used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No such runtime of this user, or no such credential.
    #[error("there is no such runtime or credential")]
    NotFound,
    /// Nothing was pasted.
    #[error("the token is empty")]
    Empty,
    /// Longer than tokens are.
    #[error("the token is too long")]
    TooLong,
    /// Line breaks or control characters inside.
    #[error("the token holds blanks or control characters")]
    Malformed,
    /// What was given as the user name is none.
    #[error("the user name is unusable")]
    UserName,
    /// What was given as the token's last day is none, or over.
    #[error("the token's end is not a day to come")]
    End,
    /// A grant of an app that the runtime is not set up for.
    #[error("the runtime is not set up for this app")]
    MethodNotOffered,
    /// The provider was asked, or should not be yet; the visitor can mend it.
    #[error("the token was refused")]
    Refused(Refusal),
    /// Another tab was faster.
    #[error("somebody was faster")]
    Conflict,
    /// The credential to use is gone.
    #[error("the credential is gone")]
    Gone,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing could be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No random bytes.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// Tokens that are kept could not be had.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// It could not be written down, so it was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// What was authorized, by runtime names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorized {
    /// Whose token it is.
    pub login: String,
    /// It serves these from now on, the one asked for first.
    pub runtimes: Vec<String>,
    /// It could not serve these, though they were ticked.
    pub left_out: Vec<String>,
}

/// Takes what was pasted for a token, without the blanks around it that copying leaves.
///
/// # Errors
/// [`AccessError::Empty`], [`AccessError::TooLong`], [`AccessError::Malformed`].
pub fn parse_token(pasted: &str) -> Result<Secret, AccessError> {
    let token = pasted.trim();
    if token.is_empty() {
        return Err(AccessError::Empty);
    }
    if token.len() > LONGEST_TOKEN_BYTES {
        return Err(AccessError::TooLong);
    }
    // It will stand in a header: visible ASCII is all that fits there.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AccessError::Malformed);
    }
    Ok(Secret::new(token))
}

/// What the form sends, as it was typed.
#[derive(Clone, Copy)]
pub struct Pasted<'a> {
    /// The token.
    pub token: &'a str,
    /// The user name that goes with it; empty where none is asked for.
    pub user_name: &'a str,
    /// The day on which it ends, as `2027-03-31`; empty if nobody knows.
    pub end: &'a str,
    /// Ask even if it looks like another provider's.
    pub sure: bool,
    /// The token in use so far is to be revoked at the provider.
    pub revoke: bool,
}

/// What stands before the colon (RFC 7617 §2): no colon, nothing that a header can't hold.
fn parse_user_name(typed: &str) -> Result<Option<String>, AccessError> {
    let name = typed.trim();
    if name.is_empty() {
        return Ok(None);
    }
    if name.len() > LONGEST_USER_NAME_BYTES || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(AccessError::UserName);
    }
    Ok(Some(name.to_owned()))
}

/// The last day of a token, which may be today, in UTC.
fn parse_end(typed: &str, now: Timestamp) -> Result<Option<Timestamp>, AccessError> {
    let day = typed.trim();
    if day.is_empty() {
        return Ok(None);
    }
    let day = Date::parse(day, DAY).map_err(|_| AccessError::End)?;
    let next = day.next_day().ok_or(AccessError::End)?;
    let end = Timestamp::from(next.midnight().assume_utc()).minus(Duration::from_secs(1));
    (end > now).then_some(Some(end)).ok_or(AccessError::End)
}

/// Gives runtimes their tokens.
pub struct Authorizer {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Whom to ask.
    pub registry: Arc<Registry>,
    /// Seals.
    pub keys: Arc<KeyRing>,
    /// Asks about what is kept.
    pub checker: Arc<Checker>,
    /// Ends at the provider what is not used any more.
    pub revoker: Arc<Revoker>,
    /// Writes down what is given, before it is.
    pub audit: Audit,
    /// What runtimes hold.
    pub holdings: Arc<Holdings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and nonces.
    pub entropy: Arc<dyn Entropy>,
}

/// A runtime that passed, with what the provider said about its repository.
type Passed = (RuntimeId, Option<Push>);

impl Authorizer {
    /// Asks the provider about a pasted token, and keeps it for the runtime and for those of `also` that it can serve.
    /// `by`: whose request that is.
    ///
    /// # Errors
    /// As [`AccessError`] says; then the token in use, if any, is untouched.
    pub async fn give(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        pasted: &Pasted<'_>,
        also: &[RuntimeId],
        by: &By,
    ) -> Result<Authorized, AccessError> {
        let now = self.clock.now();
        let access = self.store.access(user, runtime, now).await?.ok_or(AccessError::NotFound)?;
        let provider = self.provider(&access)?;
        let token = parse_token(pasted.token)?;
        let user_name = parse_user_name(pasted.user_name)?;
        let noted_end = parse_end(pasted.end, now)?;
        match provider.shape(&token) {
            // Asking would show one provider's secret to another, so the user is asked first.
            Shape::Foreign(label) if !pasted.sure => {
                return Err(AccessError::Refused(Refusal::LooksForeign { label: label.into() }));
            }
            Shape::NotAUserToken => return Err(AccessError::Refused(Refusal::NotAUserToken)),
            Shape::Refused(sentence) => {
                return Err(AccessError::Refused(Refusal::WrongKind { sentence: sentence.into() }));
            }
            Shape::Foreign(_) | Shape::Plausible => {}
        }
        let shown =
            Presented { token: &token, method: Method::Token, kind: None, user_name: user_name.as_deref() };
        let identity = match self.checker.guard.identify(provider, &shown, Age::Settled).await?.into_outcome()
        {
            Ok(identity) => identity,
            Err(error) => return Err(AccessError::Refused(refusal(error, &access, provider, now))),
        };
        let expires_at = match identity.expiry {
            TokenExpiry::At(at) if provider.place().is_over(at, now) => {
                return Err(AccessError::Refused(Refusal::Expired { at: moment(at, now) }));
            }
            TokenExpiry::At(at) => Some(at),
            TokenExpiry::Never | TokenExpiry::Unknown => None,
        };
        failpoint::reached("give.identified");
        let shown = Presented { kind: Some(&identity.kind), ..shown };
        let push = self.passes(&access, provider, &identity, &shown).await.map_err(AccessError::Refused)?;
        let mut credential = Credential {
            id: CredentialId(new_id(self.entropy.as_ref())?),
            user: user.clone(),
            provider: access.runtime.provider.clone(),
            method: Method::Token,
            kind: identity.kind.clone(),
            oauth_app: None,
            generation: 1,
            owner: identity.owner.clone(),
            user_name: user_name.clone(),
            scopes: identity.scopes.clone(),
            expires_at,
            expiry_unknown: identity.expiry == TokenExpiry::Unknown,
            noted_end: noted_end.filter(|_| identity.expiry == TokenExpiry::Unknown),
            renew_at: None,
            access_ends_at: None,
            renewal_lost_at: None,
            standing: Standing::good(now, identity.evidence.clone()),
            due_at: None,
            created_at: now,
        };
        credential.due_at = due::next(&credential, now, self.entropy.as_ref());
        let tokens = Tokens { access: token, refresh: None };
        let new = self.seal(credential, provider, &tokens)?;
        if let Some(before) = another_account(&access, &identity) {
            self.propose(&access, &new, by, "pasted", now).await?;
            return Err(AccessError::Refused(Refusal::AnotherAccount { before, now: identity.owner.login }));
        }
        failpoint::reached("give.sealed");
        let first = (runtime.clone(), push);
        let before = self.before(&access, &new.credential, &tokens.access, Some(pasted.revoke), now).await?;
        let entry = taking(by, &access, &new.credential, "pasted");
        let kept = self.store.keep(&new, std::slice::from_ref(&first), before.as_ref(), now);
        let Some(_) = self.audit.before::<_, _, AccessError>(entry, kept).await? else {
            return Err(AccessError::Conflict);
        };
        let also = Also { runtimes: also, by, how: "pasted" };
        self.further(&access, &new.credential, &identity, &tokens, also, before.as_ref()).await
    }

    /// Uses a credential that already serves another runtime, after asking the provider about it again.
    ///
    /// # Errors
    /// As [`AccessError`] says; then the token in use, if any, is untouched.
    pub async fn reuse(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        credential: &CredentialId,
        also: &[RuntimeId],
        revoke: bool,
        by: &By,
    ) -> Result<Authorized, AccessError> {
        let now = self.clock.now();
        let access = self.store.access(user, runtime, now).await?.ok_or(AccessError::NotFound)?;
        let provider = self.provider(&access)?;
        let known = self.store.credential(user, credential).await?.ok_or(AccessError::Gone)?;
        if known.provider != access.runtime.provider {
            return Err(AccessError::NotFound);
        }
        if !may_serve(&known, &access) {
            return Err(AccessError::MethodNotOffered);
        }
        let (known, tokens, identity, push) = self.ask_again(&access, provider, known).await?;
        if let Some(before) = another_account(&access, &identity) {
            // The row of a proposal is written anew, so the secrets are sealed anew.
            let next = Credential { generation: known.generation + 1, ..known };
            let new = self.seal(next, provider, &tokens)?;
            self.propose(&access, &new, by, "reused", now).await?;
            return Err(AccessError::Refused(Refusal::AnotherAccount { before, now: identity.owner.login }));
        }
        let first = (runtime.clone(), push);
        let before = self.before(&access, &known, &tokens.access, Some(revoke), now).await?;
        let entry = taking(by, &access, &known, "reused");
        let taken = self.store.assign(user, credential, std::slice::from_ref(&first), before.as_ref(), now);
        let Some(_) = self.audit.before::<_, _, AccessError>(entry, taken).await? else {
            return Err(AccessError::Gone);
        };
        let also = Also { runtimes: also, by, how: "reused" };
        self.further(&access, &known, &identity, &tokens, also, before.as_ref()).await
    }

    /// Deletes the token of one runtime: here at once, and at the provider if that is wanted. `false` if there is none.
    ///
    /// # Errors
    /// [`AccessError::Store`]; then nothing was deleted.
    pub async fn delete(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        revoke: bool,
        by: &By,
    ) -> Result<bool, AccessError> {
        let now = self.clock.now();
        let Some(access) = self.store.access(user, runtime, now).await? else { return Ok(false) };
        let ending = match &access.credential {
            Some(gone) => self.ending(gone, runtime, Some(revoke), now).await?,
            None => None,
        };
        if self.store.delete(user, runtime, ending.as_ref(), now).await?.is_none() {
            return Ok(false);
        }
        let entry = by.did(Action::TokenDeleted).at(&access.account.id, runtime);
        let entry = if revoke { entry.detail("to be revoked at the provider") } else { entry };
        let entry = match access.credential.as_ref().or(access.proposed.as_ref()) {
            Some(gone) => entry.object(gone.id.to_string()),
            None => entry,
        };
        self.audit.note(entry).await;
        self.end(user, ending.as_ref()).await;
        Ok(true)
    }

    /// Keeps a credential of another account than before aside, until its user decides.
    ///
    /// # Errors
    /// [`AccessError::Conflict`], [`AccessError::Store`], [`AccessError::Audit`]; then nothing was kept.
    pub(crate) async fn propose(
        &self,
        access: &Access,
        new: &NewCredential,
        by: &By,
        how: &str,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        let entry = about(by.did(Action::TokenProposed), access, &new.credential, how);
        let proposed = async {
            let proposed = self.store.propose(new, &access.runtime.id, now).await?;
            Ok::<_, StoreError>(proposed.then_some(()))
        };
        self.audit.before::<_, _, AccessError>(entry, proposed).await?.ok_or(AccessError::Conflict)
    }

    /// What is to become of the credential that a runtime used before another one: where runtimes hold it, they get
    /// time to take over the new one. Nothing if the new one holds the same token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn before(
        &self,
        access: &Access,
        new: &Credential,
        token: &Secret,
        revoke: Option<bool>,
        now: Timestamp,
    ) -> Result<Option<Ending>, StoreError> {
        let Some(before) = access.credential.as_ref().filter(|before| before.id != new.id) else {
            return Ok(None);
        };
        if self.revoker.holds(&before.id, token).await? {
            return Ok(None);
        }
        let Some(ending) = self.ending(before, &access.runtime.id, revoke, now).await? else {
            return Ok(None);
        };
        // Until it is replaced, whoever it serves may fetch it: who has, is looked at after that, see `end`.
        let mut held_by = self.holdings.holders(&before.user, &before.id, before.generation).await?;
        let accesses = self.store.accesses(&before.user, now).await?;
        let uses = |other: &Access| other.credential.as_ref().is_some_and(|used| used.id == before.id);
        held_by.extend(accesses.into_iter().filter(uses).map(|other| other.runtime.id));
        held_by.sort();
        held_by.dedup();
        Ok(Some(Ending { held_by, ..ending }))
    }

    /// What is to become of a credential that is taken from a runtime. Where its user did not want it revoked, nothing;
    /// where nobody could ask for that, or the provider can't, its owner should know that it lives on there, unless it
    /// does so here as well.
    async fn ending(
        &self,
        credential: &Credential,
        runtime: &RuntimeId,
        revoke: Option<bool>,
        now: Timestamp,
    ) -> Result<Option<Ending>, StoreError> {
        let Credential { id, provider, method, kind, oauth_app, expires_at, .. } = credential;
        if expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let can = self.revoker.can_revoke(provider, *method, kind, oauth_app.as_ref());
        let revoke_until = match (can, revoke) {
            (true, Some(false)) => return Ok(None),
            (true, Some(true)) => Some(now.plus(GIVES_UP_AFTER)),
            (true, None) | (false, _) if !self.revoker.twins(credential).await?.is_empty() => {
                return Ok(None);
            }
            (true, None) | (false, _) => None,
        };
        let held_until = now.plus(HELD_FOR);
        let (credential, runtime) = (id.clone(), runtime.clone());
        Ok(Some(Ending { credential, runtime, revoke_until, held_by: Vec::new(), held_until, at: now }))
    }

    /// Now that nothing uses it any more, and nobody can fetch it.
    async fn end(&self, user: &UserId, ending: Option<&Ending>) {
        let Some(Ending { credential, revoke_until: Some(_), held_by, .. }) = ending else { return };
        let held = match held_by.as_slice() {
            [] => Ok(false),
            _ => self.is_held(user, credential).await,
        };
        match held {
            Ok(false) => self.revoker.first_try(user, credential).await,
            Ok(true) => {}
            // Then it waits for all that may hold it, and an hour at most.
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "Which runtimes hold a token that was replaced could not be looked up"
            ),
        }
    }

    /// Whether a runtime holds a credential that waits to be revoked; it waits for no other from now on.
    async fn is_held(&self, user: &UserId, credential: &CredentialId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let all = self.store.revocations(user, now).await?;
        let Some(waiting) = all.into_iter().find(|one| one.credential == *credential && one.ended.is_none())
        else {
            return Ok(false);
        };
        let holders = self.holdings.holders(user, credential, waiting.generation).await?;
        self.store.only_held_by(credential, &holders, now).await?;
        Ok(waiting.held_by.iter().any(|one| holders.contains(one)))
    }

    /// Answers "another person's account than before", for this runtime and those of `also`. To take it, the provider
    /// is asked again: it may have lain here for days. To drop it, nobody is asked.
    ///
    /// # Errors
    /// As [`AccessError`] says, [`AccessError::Gone`] if nothing was proposed; then the token in use is untouched.
    pub async fn settle(
        &self,
        user: &UserId,
        runtime: &RuntimeId,
        take: bool,
        also: &[RuntimeId],
        by: &By,
    ) -> Result<(), AccessError> {
        let now = self.clock.now();
        let access = self.store.access(user, runtime, now).await?.ok_or(AccessError::NotFound)?;
        let proposed = access.proposed.clone().ok_or(AccessError::Gone)?;
        let entry =
            about(by.did(Action::TokenSettled), &access, &proposed, if take { "taken" } else { "dropped" });
        let taken =
            if take { Some(self.ask_again(&access, self.provider(&access)?, proposed).await?) } else { None };
        let before = match &taken {
            Some((proposed, tokens, ..)) => self.before(&access, proposed, &tokens.access, None, now).await?,
            None => None,
        };
        let settled = async {
            let settled = self.store.settle(user, runtime, take, before.as_ref(), now).await?;
            Ok::<_, StoreError>(settled.then_some(()))
        };
        self.audit.before::<_, _, AccessError>(entry, settled).await?.ok_or(AccessError::Gone)?;
        if let Some((proposed, tokens, identity, push)) = taken {
            if let Some(push) = push {
                self.store.record_push(&proposed.id, runtime, &push).await?;
            }
            let also = Also { runtimes: also, by, how: "taken" };
            self.further(&access, &proposed, &identity, &tokens, also, before.as_ref()).await?;
        }
        Ok(())
    }

    /// Asks the provider about a credential that is kept, before it is used for a runtime.
    async fn ask_again(
        &self,
        access: &Access,
        provider: &dyn Provider,
        known: Credential,
    ) -> Result<(Credential, Tokens, Identity, Option<Push>), AccessError> {
        let now = self.clock.now();
        if !self.checker.may_ask_again(&known).await? {
            return Err(AccessError::Refused(Refusal::RateLimited { until: None }));
        }
        let asked = match self.checker.examine(&known).await {
            Err(CheckError::NothingThere | CheckError::Tokens(TokensError::Gone)) => {
                return Err(AccessError::Gone);
            }
            Err(CheckError::Tokens(TokensError::NotRenewed(_))) => {
                let now_kept = self.store.credential(&known.user, &known.id).await?;
                let refused = now_kept.is_none_or(|kept| kept.standing.invalid);
                return Err(AccessError::Refused(if refused {
                    Refusal::Unknown
                } else {
                    Refusal::Unreachable
                }));
            }
            Err(CheckError::Tokens(error)) => return Err(error.into()),
            Err(CheckError::Store(error)) => return Err(error.into()),
            Ok(asked) => asked,
        };
        self.checker.tell(&asked, &HashMap::new()).await;
        let Asked { credential: known, tokens, outcome, .. } = asked;
        let identity = match outcome {
            Ok(identity) => identity,
            Err(error) => return Err(AccessError::Refused(refusal(error, access, provider, now))),
        };
        // What was granted is known, even where the provider does not show it again.
        let identity = Identity { scopes: known.scopes.clone(), ..identity };
        let push = self
            .passes(access, provider, &identity, &known.presented(&tokens))
            .await
            .map_err(AccessError::Refused)?;
        Ok((known, tokens, identity, push))
    }

    /// Seals a credential's tokens to its row.
    ///
    /// # Errors
    /// [`SealError`].
    pub(crate) fn seal(
        &self,
        credential: Credential,
        provider: &dyn Provider,
        tokens: &Tokens,
    ) -> Result<NewCredential, SealError> {
        let sealed = self.keys.seal_tokens(&credential, &provider.origin(), tokens, self.entropy.as_ref())?;
        Ok(NewCredential { credential, sealed })
    }

    fn provider(&self, access: &Access) -> Result<&dyn Provider, AccessError> {
        self.registry.provider(&access.runtime.provider).map(AsRef::as_ref).ok_or(AccessError::NotFound)
    }

    /// Whether a token can serve a runtime: its scopes, and pushing where the runtime says where.
    pub(crate) async fn passes(
        &self,
        access: &Access,
        provider: &dyn Provider,
        identity: &Identity,
        presented: &Presented<'_>,
    ) -> Result<Option<Push>, Refusal> {
        lacks(access, provider, identity)?;
        let Some(repository) = &access.runtime.repository else { return Ok(None) };
        judge_push(provider.may_push(presented, repository).await, identity, repository).map(Some)
    }

    /// Uses a credential that serves the runtime of `access` for those of the ticked runtimes that it can serve as
    /// well: the user's own, at the same provider, without a token or with the one that was replaced. Each repository
    /// is probed once, a few at a time, and not for ever: what has no answer in time is left out. Then `ending`, what
    /// is to become of the one that was replaced, begins.
    pub(crate) async fn further(
        &self,
        access: &Access,
        credential: &Credential,
        identity: &Identity,
        tokens: &Tokens,
        also: Also<'_>,
        ending: Option<&Ending>,
    ) -> Result<Authorized, AccessError> {
        let authorized = self.share(access, credential, identity, tokens, also, ending).await;
        self.end(&credential.user, ending).await;
        authorized
    }

    async fn share(
        &self,
        access: &Access,
        credential: &Credential,
        identity: &Identity,
        tokens: &Tokens,
        also: Also<'_>,
        ending: Option<&Ending>,
    ) -> Result<Authorized, AccessError> {
        let mut authorized = Authorized {
            login: identity.owner.login.clone(),
            runtimes: vec![access.runtime.name.clone()],
            left_out: Vec::new(),
        };
        let wanted: HashSet<&RuntimeId> = also.runtimes.iter().collect();
        if wanted.is_empty() {
            return Ok(authorized);
        }
        let provider = self.provider(access)?;
        let now = self.clock.now();
        // The same token is replaced wherever the user says so; another one never is.
        let before = access.credential.as_ref().map(|before| &before.id);
        let shares = |other: &Access| other.credential.as_ref().map(|theirs| &theirs.id) == before;
        let mut ticked: Vec<Access> = self.store.accesses(&credential.user, now).await?;
        ticked.retain(|other| {
            wanted.contains(&other.runtime.id)
                && other.runtime.id != access.runtime.id
                && other.runtime.provider == access.runtime.provider
                && (other.credential.is_none() || shares(other))
                && may_serve(credential, other)
        });
        let repositories: HashSet<String> =
            ticked.iter().filter_map(|other| other.runtime.repository.clone()).collect();
        let pushes = probe(provider, &credential.presented(tokens), repositories).await;
        let mut passed: Vec<Passed> = Vec::new();
        let mut names = HashMap::new();
        let mut entries = Vec::new();
        for other in ticked {
            let answer =
                other.runtime.repository.as_ref().map(|repository| (repository, pushes.get(repository)));
            let push = match (lacks(&other, provider, identity), answer) {
                (Ok(()), None) => Ok(None),
                (Ok(()), Some((repository, Some(push)))) => {
                    judge_push(push.clone(), identity, repository).map(Some)
                }
                (Ok(()), Some((_, None))) => Err(Refusal::Unreachable),
                (Err(refusal), _) => Err(refusal),
            };
            match push {
                Ok(push) => {
                    entries.push(taking(also.by, &other, credential, also.how));
                    passed.push((other.runtime.id.clone(), push));
                    names.insert(other.runtime.id, other.runtime.name);
                }
                Err(_) => authorized.left_out.push(other.runtime.name),
            }
        }
        if !passed.is_empty() {
            // None if the credential was deleted or replaced meanwhile; the first runtime's row says how it stands.
            let now = self.clock.now();
            let sharing = self.store.share(&credential.user, &credential.id, &passed, before, ending, now);
            let is_taken = |taken: &Option<Vec<RuntimeId>>, entry: &Entry| {
                let runtime = entry.runtime.as_ref();
                taken.iter().flatten().any(|taken| Some(taken) == runtime)
            };
            let taken = self.audit.before_each::<_, _, AccessError>(entries, sharing, is_taken).await?;
            let taken = taken.unwrap_or_default();
            for (id, _) in passed {
                let Some(name) = names.remove(&id) else { continue };
                if taken.contains(&id) {
                    authorized.runtimes.push(name)
                } else {
                    authorized.left_out.push(name)
                }
            }
        }
        Ok(authorized)
    }
}

/// The further runtimes that were ticked.
#[derive(Clone, Copy)]
pub(crate) struct Also<'a> {
    /// Which.
    pub runtimes: &'a [RuntimeId],
    /// By whom.
    pub by: &'a By,
    /// How the token came, in the words of the log.
    pub how: &'a str,
}

/// What stands in the log where a runtime is about to use a credential.
pub(crate) fn taking(by: &By, access: &Access, new: &Credential, how: &str) -> Entry {
    let replaces = access.credential.is_some();
    let action = if replaces { Action::TokenReplaced } else { Action::TokenAdded };
    about(by.did(action), access, new, how)
}

/// An entry about a credential at a runtime.
fn about(entry: Entry, access: &Access, credential: &Credential, how: &str) -> Entry {
    let Credential { id, owner, provider, .. } = credential;
    let detail = format!("{how}, account {} at {provider}", owner.login);
    entry.at(&access.account.id, &access.runtime.id).object(id.to_string()).detail(detail)
}

/// Asks whether a token may push to each of these repositories.
async fn probe(
    provider: &dyn Provider,
    presented: &Presented<'_>,
    repositories: HashSet<String>,
) -> HashMap<String, Push> {
    let answers = Mutex::new(HashMap::new());
    let asking = futures_util::stream::iter(repositories).for_each_concurrent(PROBES_AT_ONCE, |repository| {
        let answers = &answers;
        async move {
            let push = provider.may_push(presented, &repository).await;
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(repository, push);
        }
    });
    // What has come until then counts; that the rest has not is what its absence says.
    let _in_time = tokio::time::timeout(FURTHER_WITHIN, asking).await.is_ok();
    answers.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The scopes that a token lacks for a runtime, as a refusal.
fn lacks(access: &Access, provider: &dyn Provider, identity: &Identity) -> Result<(), Refusal> {
    let Some(granted) = &identity.scopes else { return Ok(()) };
    let missing = provider.missing(granted, &needed(access, provider));
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::ScopesMissing {
        login: identity.owner.login.clone(),
        granted: granted.to_vec(),
        missing: missing.to_vec(),
    })
}

/// What the answer to a probe means for a token that is about to be used.
fn judge_push(push: Push, identity: &Identity, repository: &str) -> Result<Push, Refusal> {
    let (login, repository) = (identity.owner.login.clone(), repository.to_owned());
    match push {
        Push::Denied => Err(Refusal::CannotPush { login, repository }),
        Push::Hidden => Err(Refusal::RepositoryHidden { login, repository }),
        // Single sign-on is mended at the provider, with this very token; the row will say how.
        push @ (Push::Allowed | Push::NeedsSso { .. } | Push::Unknown) => Ok(push),
    }
}

/// Whether a credential is of a sort that the runtime's operator allows: tokens everywhere, a grant only where its app
/// is set up. An account's own app must not reach the runtimes of others.
pub(crate) fn may_serve(credential: &Credential, access: &Access) -> bool {
    credential.oauth_app.is_none() || credential.oauth_app == access.runtime.oauth_app
}

/// The login in use so far, if the new token is somebody else's.
pub(crate) fn another_account(access: &Access, identity: &Identity) -> Option<String> {
    let before = access.credential.as_ref()?;
    (before.owner.id != identity.owner.id).then(|| before.owner.login.clone())
}

fn refusal(error: ProviderError, access: &Access, provider: &dyn Provider, now: Timestamp) -> Refusal {
    match error {
        ProviderError::Rejected(_) => Refusal::Unknown,
        ProviderError::RateLimited { until, .. } => {
            Refusal::RateLimited { until: until.map(|until| moment(until, now)) }
        }
        ProviderError::Insufficient { granted, missing, .. } => {
            // All at once: who makes a new token for one scope should not have to make the next one for another.
            let too_little =
                granted.as_ref().map(|granted| provider.missing(granted, &needed(access, provider)));
            let missing: ScopeSet =
                missing.iter().chain(too_little.iter().flat_map(ScopeSet::iter)).collect();
            Refusal::ScopesMissing {
                login: String::new(),
                granted: granted.unwrap_or_default().to_vec(),
                missing: missing.to_vec(),
            }
        }
        ProviderError::Blocked { why, .. } => Refusal::Blocked { why: why.to_owned() },
        ProviderError::Unreachable(_) => Refusal::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pasted(text: &str) -> Result<String, AccessError> {
        parse_token(text).map(|token| token.expose().to_owned())
    }

    #[test]
    fn blanks_and_line_breaks_around_a_token_are_forgiven() {
        assert_eq!(pasted("  abc\r\n").ok().as_deref(), Some("abc"));
        assert!(pasted("\u{feff}abc").is_err(), "an invisible mark is no blank");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_refused_before_anyone_is_asked() {
        for text in ["a b", "a\nb", "a\tb", "a\u{0}b", "tökén", "a\u{200b}b"] {
            assert!(matches!(pasted(text), Err(AccessError::Malformed)), "{text:?}");
        }
        assert!(matches!(pasted(" \n "), Err(AccessError::Empty)));
        assert!(matches!(pasted(&"a".repeat(1 << 20)), Err(AccessError::TooLong)));
        assert!(pasted(&"a".repeat(2048)).is_ok());
    }
}
