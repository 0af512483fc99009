//! Everything the server does for one visitor's request, in the words of the pages.

mod notice;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use app::{
    api::{
        Backend,
        notice::{Course, MailMode, NoticePage, NoticeSettings, WebhookFormat},
        person::{LinkPurpose, Visitor},
        token::{
            AccountRows, Added, AlsoRuntime, Counts, Evidence, Expiry, Fetched, Guide, Health, NewToken,
            ProviderLabel, Refusal, Reusable, Revocation, RevocationState, Revoking, RuntimeAccess,
            RuntimeRow, Show, TokenPage, TokenQuery, TokenSummary, UserNameField,
        },
    },
    error::{self, ApiError},
};
use async_trait::async_trait;
use axum::http::{Method, header, request::Parts};
use leptos::prelude::use_context;
use serde::{Deserialize, Serialize};

use crate::{
    access::{AccessError, Authorized, Pasted, may_serve},
    audit::Action,
    check::CheckError,
    clock::Timestamp,
    credential::{Access, Credential, Method as GivenBy},
    health::{Seen, health, needed},
    holding::version,
    id::{CredentialId, ProviderId, RuntimeId},
    moment::moment,
    person::{ChangeError, LinkFor, PasswordProblem, RedeemError, SignInError, SignedIn},
    provider::{self, Provider},
    renew::TokensError,
    revocation,
    secret::Secret,
    site::Site,
    store::{LONGEST_CHECK, StoreError, runtime::Holding},
    web::{
        burst::Version,
        session::{ClientAddress, Signed, session_cookie, session_cookie_ended},
    },
};

mod recorded;
pub mod turned_away;

/// Rows on a page of the list.
const ROWS_PER_PAGE: usize = 50;
/// A refusal is shown again for so long.
const REFUSAL_SHOWN: std::time::Duration = std::time::Duration::from_secs(10 * 60);
/// What became of a token is shown for so long after it is over: in the list, and on the runtime's own page.
const REVOCATION_SHOWN: std::time::Duration = std::time::Duration::from_secs(10 * 60);
const REVOCATION_SHOWN_THERE: std::time::Duration = std::time::Duration::from_hours(24);
/// Pastes that a provider refused, per user and window: providers ban an address that guesses.
const REFUSED_PASTES: u32 = 20;
const REFUSED_PASTES_WINDOW_SECONDS: u32 = 5 * 60;
/// Questions to providers about tokens that are kept, per user and window: all users share this server's address.
const QUESTIONS: u32 = 120;
const QUESTIONS_WINDOW_SECONDS: u32 = 60;

/// More people sign in at this moment than the machine can hash for; seconds later it is over.
const BUSY: ApiError = ApiError::TooManyAttempts { retry_after_seconds: 5 };

/// One request and who makes it.
pub struct Visit {
    site: Arc<Site>,
    parts: Parts,
}

/// A refusal as it is kept between the form and the page that shows it.
#[derive(Serialize, Deserialize)]
struct KeptRefusal {
    /// None if nobody was asked.
    refusal: Option<Refusal>,
    #[serde(flatten)]
    typed: Typed,
}

/// What was typed and ticked beside the token.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Typed {
    also: Vec<RuntimeId>,
    user_name: String,
    end: String,
}

/// More of what was typed is not kept: no name is longer.
const LONGEST_TYPED: usize = 254;

impl Visit {
    /// The visit that this request is.
    pub fn new(site: Arc<Site>, parts: Parts) -> Self {
        Self { site, parts }
    }

    fn signed(&self) -> Result<&Signed, ApiError> {
        self.parts.extensions.get::<Signed>().ok_or(ApiError::SignInNeeded)
    }

    fn address(&self) -> IpAddr {
        self.parts.extensions.get::<ClientAddress>().map_or(IpAddr::from([127, 0, 0, 1]), |address| address.0)
    }

    fn now(&self) -> Timestamp {
        self.site.clock.now()
    }

    fn provider(&self, access: &Access) -> Result<&Arc<dyn Provider>, ApiError> {
        // Declared together with the runtime; gone only between a restart and a page that is still open.
        self.site.registry.provider(&access.runtime.provider).ok_or(ApiError::NotFound)
    }

    /// Gives the browser its session.
    fn begin(&self, signed_in: &SignedIn) -> Result<(), ApiError> {
        set_cookie(&session_cookie(&self.site.public_url, &signed_in.secret))
    }

    /// Whoever was signed in here before is not any more.
    async fn end_before(&self) -> Result<(), ApiError> {
        let Ok(signed) = self.signed() else { return Ok(()) };
        self.site.people.sign_out(&signed.secret).await.map_err(broken("end a session"))
    }

    async fn accesses(&self) -> Result<Vec<Access>, ApiError> {
        let signed = self.signed()?;
        self.site.store.accesses(&signed.user.id, self.now()).await.map_err(broken("read the runtimes"))
    }

    /// What runtimes hold of the visitor's tokens.
    async fn holdings(&self) -> Result<HashMap<RuntimeId, Holding>, ApiError> {
        let signed = self.signed()?;
        self.site.holdings.of(&signed.user.id).await.map_err(broken("read what runtimes hold"))
    }

    fn row(
        &self,
        access: &Access,
        holdings: &HashMap<RuntimeId, Holding>,
        now: Timestamp,
    ) -> Option<(Seen, RuntimeRow)> {
        let provider = self.site.registry.provider(&access.runtime.provider)?;
        let seen = health(access, provider.as_ref(), now);
        let row = RuntimeRow {
            id: access.runtime.id.to_string(),
            name: access.runtime.name.clone(),
            provider: label(provider.as_ref()),
            token: access.credential.as_ref().map(|credential| summary(credential, provider.as_ref(), now)),
            health: seen.health.clone(),
            muted: access.muted,
            muted_until: access.muted_until.map(|at| moment(at, now)),
            checking: access.credential.as_ref().is_some_and(|credential| {
                let leased = access.asked_until.is_some_and(|at| at > now && at.since(now) <= LONGEST_CHECK);
                leased || self.site.changes.is_asked(&credential.id)
            }),
            fetched: fetched(access, holdings.get(&access.runtime.id), now),
        };
        Some((seen, row))
    }

    /// Verdicts that somebody looks at and that are older than they should be are renewed first.
    fn want_newer<'a>(&self, shown: impl IntoIterator<Item = &'a Access>, now: Timestamp) {
        let late = shown.into_iter().filter_map(|access| access.credential.as_ref());
        let late = late.filter(|credential| credential.due_at.is_some_and(|at| at <= now));
        self.site.watch.want(late.map(|credential| (credential.provider.clone(), credential.id.clone())));
    }

    /// What became of the visitor's tokens, if it goes on or ended no longer ago than that.
    async fn revocations(
        &self,
        accesses: &[Access],
        shown: std::time::Duration,
    ) -> Result<Vec<(RuntimeId, Revocation)>, ApiError> {
        let (signed, now) = (self.signed()?, self.now());
        let all = self.site.store.revocations(&signed.user.id, now.minus(shown)).await;
        let all = all.map_err(broken("read what became of tokens"))?;
        let shown = all.into_iter().filter_map(|one| {
            let access = accesses.iter().find(|access| access.runtime.id == one.runtime)?;
            let provider = self.site.registry.provider(&one.provider)?;
            let state = match one.ended {
                None if !one.held_by.is_empty() && one.due_at.is_some_and(|at| at > now) => {
                    RevocationState::Held {
                        by: accesses
                            .iter()
                            .filter(|other| one.held_by.contains(&other.runtime.id))
                            .map(|other| other.runtime.name.clone())
                            .collect(),
                        until: moment(one.due_at.unwrap_or(now), now),
                    }
                }
                None if one.doubt.is_some() => RevocationState::Doubted,
                None => RevocationState::Waiting { until: moment(one.give_up_at, now) },
                Some((revocation::Outcome::Revoked, _)) => RevocationState::Revoked,
                Some((revocation::Outcome::HandedOver, _)) => RevocationState::HandedOver,
                Some((revocation::Outcome::ByHand, _)) => RevocationState::ByHand,
                Some((revocation::Outcome::GivenUp, _)) => RevocationState::GivenUp,
                Some((revocation::Outcome::InUse, _)) => {
                    let holder = one.twin.as_ref().unwrap_or(&one.credential);
                    let uses =
                        |other: &&Access| other.credential.as_ref().is_some_and(|used| used.id == *holder);
                    let by: Vec<String> =
                        accesses.iter().filter(uses).map(|other| other.runtime.name.clone()).collect();
                    // The same token may be another person's here, or have gone since: then nobody is named.
                    if by.is_empty() && one.twin.is_none() {
                        return None;
                    }
                    RevocationState::InUse { by }
                }
            };
            Some((
                one.runtime,
                Revocation {
                    runtime: access.runtime.name.clone(),
                    provider: provider.name().to_owned(),
                    kind: provider.kind_label(&one.kind).to_owned(),
                    login: one.owner.login,
                    link: provider.revocation_page(one.method, &one.kind).into(),
                    at: moment(one.asked_at, now),
                    state,
                },
            ))
        });
        Ok(shown.collect())
    }

    /// Whether a token can be revoked at its provider; `None` if it is over there anyway.
    fn revoking(&self, credential: &Credential, provider: &dyn Provider, now: Timestamp) -> Option<Revoking> {
        if credential.expires_at.is_some_and(|at| at <= now) {
            return None;
        }
        let Credential { method, kind, oauth_app, .. } = credential;
        let revoker = &self.site.revoker;
        Some(Revoking {
            possible: revoker.can_revoke(provider.id(), *method, kind, oauth_app.as_ref()),
            // What was pasted may be in use elsewhere as well.
            usual: *method == GivenBy::Oauth2,
            link: provider.revocation_page(*method, kind).into(),
        })
    }

    /// What to say where there is nothing to act on: the runtime is there and only its token is gone, or it is not the
    /// visitor's at all.
    async fn gone(&self, signed: &Signed, runtime: &RuntimeId) -> Result<ApiError, ApiError> {
        let access = self.site.store.access(&signed.user.id, runtime, self.now()).await;
        let access = access.map_err(broken("read a runtime"))?;
        Ok(if access.is_some() { ApiError::TokenGone } else { ApiError::NotFound })
    }

    /// Keeps a refusal for the page that shows it, and answers with its code.
    async fn refused(&self, runtime: &RuntimeId, refusal: Option<Refusal>, typed: Typed) -> ApiError {
        let Ok(signed) = self.signed() else { return ApiError::SignInNeeded };
        // Only what the page can tick again: a form may name anything, and any number of it.
        let accesses = match self.accesses().await {
            Ok(accesses) => accesses,
            Err(error) => return error,
        };
        let ticked: HashSet<RuntimeId> = typed.also.into_iter().collect();
        let typed = Typed {
            also: accesses
                .into_iter()
                .map(|access| access.runtime.id)
                .filter(|id| ticked.contains(id))
                .collect(),
            user_name: typed.user_name.chars().take(LONGEST_TYPED).collect(),
            end: typed.end.chars().take(LONGEST_TYPED).collect(),
        };
        let kept = match serde_json::to_string(&KeptRefusal { refusal, typed }) {
            Ok(kept) => kept,
            Err(error) => return internal("write a refusal", &error),
        };
        let store = &self.site.store;
        if let Err(error) = store.refuse(&signed.session.id, runtime, &kept, self.now()).await {
            return internal("keep a refusal", &error);
        }
        ApiError::Refused
    }

    /// Keeps what was ticked beside a token that nobody was asked about.
    async fn mistyped(&self, runtime: &RuntimeId, error: ApiError, typed: Typed) -> ApiError {
        match self.refused(runtime, None, typed).await {
            ApiError::Refused => error,
            other => other,
        }
    }

    /// Counts one more request to a provider on the user's word, before it is sent: a hundred at once are a hundred.
    async fn may_ask(&self, bucket: &str, most: u32, window_seconds: u32) -> Result<(), ApiError> {
        let store = &self.site.store;
        let count = store
            .count_failure(bucket, self.now(), window_seconds)
            .await
            .map_err(broken("count a request"))?;
        if count <= most {
            return Ok(());
        }
        let window = store.failures(bucket, self.now()).await.map_err(broken("read a counter"))?;
        let seconds = window.map_or(1, |(_, until)| until.since(self.now()).as_secs().max(1));
        Err(ApiError::TooManyAttempts { retry_after_seconds: u32::try_from(seconds).unwrap_or(u32::MAX) })
    }

    async fn added(
        &self,
        runtime: RuntimeId,
        typed: Typed,
        outcome: Result<Authorized, AccessError>,
    ) -> Result<Added, ApiError> {
        let mistyped = |error| self.mistyped(&runtime, error, typed.clone());
        match outcome {
            Ok(done) => Ok(Added { login: done.login, runtimes: done.runtimes, left_out: done.left_out }),
            Err(AccessError::Refused(refusal)) => Err(self.refused(&runtime, Some(refusal), typed).await),
            Err(AccessError::NotFound) => Err(ApiError::NotFound),
            Err(AccessError::MethodNotOffered) => Err(ApiError::MethodNotOffered),
            Err(AccessError::Empty) => Err(mistyped(ApiError::TokenEmpty).await),
            Err(AccessError::TooLong) => Err(mistyped(ApiError::TokenTooLong).await),
            Err(AccessError::Malformed) => Err(mistyped(ApiError::TokenMalformed).await),
            Err(AccessError::UserName) => Err(mistyped(ApiError::UserNameUnusable).await),
            Err(AccessError::End) => Err(mistyped(ApiError::EndUnusable).await),
            Err(AccessError::Conflict | AccessError::Gone) => Err(ApiError::TokenGone),
            Err(error) => Err(internal("authorize a runtime", &error)),
        }
    }

    /// The user name that the visitor gave the last time with a token of this provider.
    async fn last_user_name(&self, provider: &ProviderId) -> Result<String, ApiError> {
        let name = self.site.store.user_name(&self.signed()?.user.id, provider).await;
        Ok(name.map_err(broken("read a user name"))?.unwrap_or_default())
    }

    async fn kept_refusal(&self, runtime: &RuntimeId) -> Result<Option<KeptRefusal>, ApiError> {
        let signed = self.signed()?;
        let since = self.now().minus(REFUSAL_SHOWN);
        let kept = self
            .site
            .store
            .refusal(&signed.session.id, runtime, since)
            .await
            .map_err(broken("read a refusal"))?;
        // One that an older version wrote differently is as good as none.
        Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()))
    }
}

#[async_trait]
impl Backend for Visit {
    async fn visitor(&self) -> Result<Visitor, ApiError> {
        let version = self.parts.extensions.get::<Version>();
        Ok(Visitor {
            name: self.signed()?.user.name.to_string(),
            unread: self.unread().await?,
            version: version.map(|version| version.to_text(&self.site)).unwrap_or_default(),
        })
    }

    async fn sign_in(&self, name: String, password: String) -> Result<(), ApiError> {
        let signed_in = self.site.people.sign_in(&name, &Secret::new(password), self.address()).await;
        match &signed_in {
            Err(SignInError::Wrong) => self.note_stranger(&name, "wrong_name_or_password").await,
            Err(SignInError::Throttled { .. }) => self.note_turned_away(&name, "too_many_tries").await,
            Err(SignInError::Busy) => self.note_turned_away(&name, "busy").await,
            Err(SignInError::Fault(_)) => self.note_turned_away(&name, "failed").await,
            Ok(_) => {}
        }
        let signed_in = signed_in.map_err(|error| match error {
            SignInError::Wrong => ApiError::WrongNameOrPassword,
            SignInError::Throttled { retry_after_seconds } => {
                ApiError::TooManyAttempts { retry_after_seconds }
            }
            SignInError::Busy => BUSY,
            other => internal("sign somebody in", &other),
        })?;
        self.end_before().await?;
        self.record_of(&signed_in.user, Action::SessionBegun).await?;
        self.begin(&signed_in)
    }

    async fn sign_out(&self) -> Result<(), ApiError> {
        let signed = self.signed()?;
        self.site.people.sign_out(&signed.secret).await.map_err(broken("end a session"))?;
        self.site.streams.session_ended();
        self.note_of(&signed.user, Action::SessionEnded).await;
        set_cookie(&session_cookie_ended(&self.site.public_url))
    }

    async fn change_password(&self, current: String, new: String) -> Result<(), ApiError> {
        let Signed { session, user, .. } = self.signed()?;
        let (current, new) = (Secret::new(current), Secret::new(new));
        let people = &self.site.people;
        let may = people.may_change_password(user, session, &current, &new, self.address()).await;
        if matches!(may, Err(ChangeError::Wrong)) {
            self.note_refused(user, Action::PasswordChanged, "wrong_password").await;
        }
        let refused = |error| match error {
            ChangeError::Wrong => ApiError::WrongPassword,
            ChangeError::Throttled { retry_after_seconds } => {
                ApiError::TooManyAttempts { retry_after_seconds }
            }
            ChangeError::Password(problem) => ApiError::Password(password_problem(problem)),
            ChangeError::Busy => BUSY,
            other => internal("change a password", &other),
        };
        let changing = people.change_password(may.map_err(refused)?);
        let changed =
            self.before(user, &[Action::PasswordChanged], changing, "record a new password").await?;
        self.site.streams.session_ended();
        self.begin(&changed.map_err(refused)?)
    }

    async fn one_time_link(&self, secret: String) -> Result<LinkPurpose, ApiError> {
        match self.site.people.link(&Secret::new(secret)).await {
            Ok(Some(LinkFor::SetUp)) => Ok(LinkPurpose::SetUp),
            Ok(Some(LinkFor::Password { name })) => Ok(LinkPurpose::Password { name: name.to_string() }),
            Ok(None) => Err(ApiError::LinkSpent),
            Err(error) => Err(internal("read a one-time link", &error)),
        }
    }

    async fn redeem_link(&self, secret: String, name: String, password: String) -> Result<(), ApiError> {
        let people = &self.site.people;
        let refused = |error| match error {
            RedeemError::Spent => ApiError::LinkSpent,
            RedeemError::Password(problem) => ApiError::Password(password_problem(problem)),
            RedeemError::NameUnusable | RedeemError::NameTaken => ApiError::NameUnusable,
            RedeemError::Busy => BUSY,
            other => internal("redeem a one-time link", &other),
        };
        let may = people.may_redeem(&Secret::new(secret), &name, &Secret::new(password)).await;
        if matches!(may, Err(RedeemError::Spent)) {
            self.note_spent_link().await;
        }
        let redemption = may.map_err(refused)?;
        let user = redemption.user().clone();
        let actions: &[Action] = match redemption.is_first() {
            true => &[Action::UserAdded, Action::PasswordChanged, Action::SessionBegun],
            false => &[Action::PasswordChanged, Action::SessionBegun],
        };
        let redeemed =
            self.before(&user, actions, people.redeem(redemption), "record a new password").await?;
        let signed_in = redeemed.map_err(refused)?;
        self.end_before().await?;
        self.begin(&signed_in)
    }

    async fn token_page(&self, query: TokenQuery) -> Result<TokenPage, ApiError> {
        let now = self.now();
        let accesses = self.accesses().await?;
        let holdings = self.holdings().await?;
        let mut counts = Counts::default();
        let mut rows: Vec<(Seen, &Access, RuntimeRow)> = Vec::with_capacity(accesses.len());
        let words: Vec<String> = query.filter.split_whitespace().map(str::to_lowercase).collect();
        for access in &accesses {
            let Some((seen, row)) = self.row(access, &holdings, now) else { continue };
            let works = matches!(seen.health, Health::Valid { .. });
            let in_doubt = row.token.is_some() && !works && !seen.health.needs_user();
            counts.all += 1;
            counts.no_token += u32::from(row.token.is_none());
            counts.need_you += u32::from(seen.health.needs_user());
            counts.work += u32::from(works);
            counts.in_doubt += u32::from(in_doubt);
            let shown = match query.show {
                Show::All => true,
                Show::NeedYou => seen.health.needs_user(),
                Show::Work => works,
                Show::InDoubt => in_doubt,
                Show::NoToken => row.token.is_none(),
            };
            if shown && matches(&words, access, &row) {
                rows.push((seen, access, row));
            }
        }
        rows.sort_by_cached_key(|(seen, access, row)| {
            let tone = seen.health.tone();
            // Newest problem first; what is no problem goes by name.
            let newest = (tone < app::api::token::Tone::Calm).then_some(Reverse(seen.since));
            (tone, newest, access.account.name.clone(), row.name.clone())
        });
        let matching = rows.len();
        let pages = matching.div_ceil(ROWS_PER_PAGE).max(1);
        let page = usize::try_from(query.page).unwrap_or(1).clamp(1, pages);
        let mut matching_by_account: HashMap<&str, u32> = HashMap::new();
        for (_, access, _) in &rows {
            *matching_by_account.entry(access.account.id.as_str()).or_default() += 1;
        }
        // Accounts in the order of their first row: the one with the newest problem leads.
        let mut accounts: Vec<(&str, AccountRows)> = Vec::new();
        let mut shown: Vec<&Access> = Vec::new();
        for (_, access, row) in rows.into_iter().skip((page - 1) * ROWS_PER_PAGE).take(ROWS_PER_PAGE) {
            let id = access.account.id.as_str();
            let at = accounts.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                let matching = matching_by_account.get(id).copied().unwrap_or(0);
                accounts.push((
                    id,
                    AccountRows { name: access.account.name.clone(), matching, rows: Vec::new() },
                ));
                accounts.len() - 1
            });
            accounts[at].1.rows.push(row);
            shown.push(access);
        }
        self.want_newer(shown, now);
        let revocations = self.revocations(&accesses, REVOCATION_SHOWN).await?;
        let in_trouble = self.in_trouble(&accesses, now).await?;
        Ok(TokenPage {
            in_trouble,
            revocations: revocations.into_iter().map(|(_, revocation)| revocation).collect(),
            counts,
            accounts: accounts.into_iter().map(|(_, rows)| rows).collect(),
            matching: as_u32(matching),
            page: as_u32(page),
            pages: as_u32(pages),
        })
    }

    async fn runtime_access(&self, runtime: String) -> Result<RuntimeAccess, ApiError> {
        let now = self.now();
        let runtime = RuntimeId(runtime);
        let accesses = self.accesses().await?;
        let access = accesses.iter().find(|access| access.runtime.id == runtime).ok_or(ApiError::NotFound)?;
        let provider = self.provider(access)?.as_ref();
        let (_, row) = self.row(access, &self.holdings().await?, now).ok_or(ApiError::NotFound)?;
        self.want_newer([access], now);
        let needs = needed(access, provider);
        let kept = self.kept_refusal(&runtime).await?.filter(|kept| {
            // Settled or deleted meanwhile: there is nothing left to decide.
            access.proposed.is_some() || !matches!(kept.refusal, Some(Refusal::AnotherAccount { .. }))
        });
        let several_accounts = accesses.iter().any(|other| other.account.id != access.account.id);
        let same_provider = || {
            accesses.iter().filter(|other| {
                other.runtime.provider == access.runtime.provider && other.runtime.id != runtime
            })
        };
        let name_of = |other: &Access| {
            if several_accounts {
                format!("{} ({})", other.runtime.name, other.account.name)
            } else {
                other.runtime.name.clone()
            }
        };
        let mut used_by: BTreeMap<&str, (&Credential, Vec<String>)> = BTreeMap::new();
        for other in same_provider() {
            if let Some(credential) = &other.credential {
                used_by
                    .entry(credential.id.as_str())
                    .or_insert_with(|| (credential, Vec::new()))
                    .1
                    .push(name_of(other));
            }
        }
        let own = access.credential.as_ref().map(|credential| credential.id.as_str());
        // By the same credential, or by one that holds the same token.
        let mut shared_with =
            own.and_then(|own| used_by.get(own)).map(|(_, names)| names.clone()).unwrap_or_default();
        if let Some(own) = &access.credential
            && used_by.values().any(|(other, _)| other.id != own.id && other.owner.id == own.owner.id)
        {
            let twins = self.site.revoker.twins(own).await;
            let twins = twins.map_err(broken("look for the same token elsewhere"))?;
            let names = twins.iter().filter_map(|twin| used_by.get(twin.as_str()));
            shared_with.extend(names.flat_map(|(_, names)| names.clone()));
        }
        let reusable = used_by
            .iter()
            .filter(|(id, (credential, _))| Some(**id) != own && serves(credential, access, provider, now))
            .map(|(id, (credential, names))| Reusable {
                credential: (*id).to_owned(),
                kind: provider.kind_label(&credential.kind).to_owned(),
                login: credential.owner.login.clone(),
                used_by: names.clone(),
            })
            .collect();
        let also = same_provider()
            .filter_map(|other| {
                let shares = match &other.credential {
                    Some(credential) if Some(credential.id.as_str()) == own => true,
                    Some(_) => return None,
                    None => false,
                };
                let ticked = kept.as_ref().map_or(shares, |kept| kept.typed.also.contains(&other.runtime.id));
                Some(AlsoRuntime { id: other.runtime.id.to_string(), name: name_of(other), shares, ticked })
            })
            .collect();
        let note = format!("Gitward: {}", access.runtime.name);
        let user_name = match kept.as_ref().map(|kept| &kept.typed.user_name) {
            Some(typed) if !typed.is_empty() => typed.clone(),
            _ => self.last_user_name(&access.runtime.provider).await?,
        };
        let mut revocations = self.revocations(&accesses, REVOCATION_SHOWN_THERE).await?;
        revocations.retain(|(of, _)| *of == runtime);
        let administered = self.site.store.administered(&self.signed()?.user.id).await;
        let administered = administered.map_err(broken("read what the visitor administers"))?;
        Ok(RuntimeAccess {
            administers: administered.iter().any(|known| known.id == runtime),
            revoking: access.credential.as_ref().and_then(|used| self.revoking(used, provider, now)),
            revocations: revocations.into_iter().map(|(_, revocation)| revocation).collect(),
            row,
            account: access.account.name.clone(),
            oauth: access.runtime.oauth_app.as_ref().is_some_and(|app| self.site.registry.app(app).is_some()),
            needs: needs.to_vec(),
            repository: access.runtime.repository.clone(),
            guide: guide(provider.guide(&needs, access.runtime.repository.as_deref(), &note)),
            user_name,
            end: kept.as_ref().map(|kept| kept.typed.end.clone()).unwrap_or_default(),
            reusable,
            also,
            shared_with,
            foreign_shapes: provider
                .foreign_shapes()
                .into_iter()
                .map(|(start, label)| (start.to_owned(), label.to_owned()))
                .collect(),
            refusal: kept.and_then(|kept| kept.refusal).or_else(|| {
                // A proposal outlives the refusal that announced it.
                let (before, now) = (access.credential.as_ref()?, access.proposed.as_ref()?);
                Some(Refusal::AnotherAccount {
                    before: before.owner.login.clone(),
                    now: now.owner.login.clone(),
                })
            }),
        })
    }

    async fn add_token(&self, new: NewToken) -> Result<Added, ApiError> {
        let signed = self.signed()?;
        let bucket = format!("paste {}", signed.user.id);
        self.may_ask(&bucket, REFUSED_PASTES, REFUSED_PASTES_WINDOW_SECONDS).await?;
        let runtime = RuntimeId(new.runtime);
        let typed = Typed {
            also: new.also.into_iter().map(RuntimeId).collect(),
            user_name: new.user_name,
            end: new.end,
        };
        let token = zeroize::Zeroizing::new(new.token);
        let pasted = Pasted {
            token: &token,
            user_name: &typed.user_name,
            end: &typed.end,
            sure: new.sure,
            revoke: new.revoke,
        };
        let by = self.by(&signed.user);
        let outcome = self.site.authorizer.give(&signed.user.id, &runtime, &pasted, &typed.also, &by).await;
        if !matches!(outcome, Err(AccessError::Refused(Refusal::Unknown))) {
            // No guess: what was counted beforehand is taken back.
            self.site
                .store
                .take_back_failure(&bucket, self.now())
                .await
                .map_err(broken("take back a count"))?;
        }
        self.added(runtime, typed, outcome).await
    }

    async fn reuse_token(
        &self,
        runtime: String,
        credential: String,
        also: Vec<String>,
        revoke: bool,
    ) -> Result<Added, ApiError> {
        let signed = self.signed()?;
        let runtime = RuntimeId(runtime);
        let also: Vec<RuntimeId> = also.into_iter().map(RuntimeId).collect();
        let credential = CredentialId(credential);
        self.may_ask(&format!("ask {}", signed.user.id), QUESTIONS, QUESTIONS_WINDOW_SECONDS).await?;
        let by = self.by(&signed.user);
        let authorizer = &self.site.authorizer;
        let outcome = authorizer.reuse(&signed.user.id, &runtime, &credential, &also, revoke, &by).await;
        self.added(runtime, Typed { also, ..Typed::default() }, outcome).await
    }

    async fn settle_account(&self, runtime: String, take: bool) -> Result<(), ApiError> {
        let signed = self.signed()?;
        let runtime = RuntimeId(runtime);
        if take {
            self.may_ask(&format!("ask {}", signed.user.id), QUESTIONS, QUESTIONS_WINDOW_SECONDS).await?;
        }
        // What was ticked when the question came up.
        let also = self.kept_refusal(&runtime).await?.map(|kept| kept.typed.also).unwrap_or_default();
        let by = self.by(&signed.user);
        match self.site.authorizer.settle(&signed.user.id, &runtime, take, &also, &by).await {
            Ok(()) => {}
            Err(AccessError::Refused(refusal)) => {
                return Err(self.refused(&runtime, Some(refusal), Typed::default()).await);
            }
            Err(AccessError::NotFound | AccessError::Gone) => {
                return Err(self.gone(signed, &runtime).await?);
            }
            Err(error) => return Err(internal("settle an account", &error)),
        }
        let forgotten = self.site.store.forget_refusal(&signed.session.id, &runtime).await;
        forgotten.map_err(broken("forget a refusal"))
    }

    async fn delete_token(&self, runtime: String, revoke: bool) -> Result<(), ApiError> {
        let signed = self.signed()?;
        let runtime = RuntimeId(runtime);
        let by = self.by(&signed.user);
        match self.site.authorizer.delete(&signed.user.id, &runtime, revoke, &by).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.gone(signed, &runtime).await?),
            Err(error) => Err(internal("delete a token", &error)),
        }
    }

    async fn check_again(&self, runtime: String) -> Result<(), ApiError> {
        let signed = self.signed()?;
        let runtime = RuntimeId(runtime);
        self.may_ask(&format!("ask {}", signed.user.id), QUESTIONS, QUESTIONS_WINDOW_SECONDS).await?;
        match self.site.checker.check(&signed.user.id, &runtime).await {
            Ok(()) => Ok(()),
            Err(CheckError::NothingThere | CheckError::Tokens(TokensError::Gone)) => {
                Err(self.gone(signed, &runtime).await?)
            }
            Err(other) => Err(internal("check a token", &other)),
        }
    }

    async fn hide_notifications(&self, runtime: String, hide: bool, days: u32) -> Result<(), ApiError> {
        self.hide(runtime, hide, days).await
    }

    async fn course(&self, runtime: String) -> Result<Course, ApiError> {
        self.course_of(runtime).await
    }

    async fn notices(&self, before: Option<i64>) -> Result<NoticePage, ApiError> {
        self.notice_page(before).await
    }

    async fn mark_read(&self, id: i64) -> Result<(), ApiError> {
        self.read(id).await
    }

    async fn mark_all_read(&self, up_to: i64) -> Result<(), ApiError> {
        self.read_up_to(up_to).await
    }

    async fn notice_settings(&self) -> Result<NoticeSettings, ApiError> {
        self.settings().await
    }

    async fn tell_me(&self, on: bool) -> Result<(), ApiError> {
        let user = &self.signed()?.user.id;
        self.site.store.set_wants_notices(user, on).await.map_err(broken("change a setting"))?;
        self.note_notices(if on { "told" } else { "not told" }).await
    }

    async fn set_mail(&self, mode: MailMode, hour: u8) -> Result<(), ApiError> {
        self.mail_mode(mode, hour).await
    }

    async fn give_address(&self, address: String) -> Result<(), ApiError> {
        self.mail_to(&address).await
    }

    async fn confirm_address(&self, secret: String) -> Result<(), ApiError> {
        self.confirm(secret).await
    }

    async fn forget_address(&self) -> Result<(), ApiError> {
        self.mail_nowhere().await
    }

    async fn set_webhook(&self, url: String, format: WebhookFormat) -> Result<(), ApiError> {
        self.webhook_to(&url, format).await
    }

    async fn remove_webhook(&self) -> Result<(), ApiError> {
        self.webhook_nowhere().await
    }

    fn wants_page(&self) -> bool {
        let accept = self.parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        self.parts.method == Method::POST && accept.is_some_and(|accept| accept.contains("text/html"))
    }
}

/// The pages' words for it.
fn password_problem(problem: PasswordProblem) -> error::PasswordProblem {
    match problem {
        PasswordProblem::TooShort => error::PasswordProblem::TooShort,
        PasswordProblem::TooLong => error::PasswordProblem::TooLong,
        PasswordProblem::Common => error::PasswordProblem::Common,
        PasswordProblem::Name => error::PasswordProblem::SameAsName,
    }
}

fn guide(guide: provider::Guide) -> Guide {
    Guide {
        token_word: guide.token_word.to_owned(),
        link: guide.link.into(),
        prefilled: guide.prefilled,
        limited_link: guide.limited_link.map(Into::into),
        steps: guide.steps,
        user_name: guide.user_name.map(|field| UserNameField {
            label: field.label.to_owned(),
            hint: field.hint.to_owned(),
            email: field.email,
            optional: field.optional,
        }),
        asks_end: guide.asks_end,
    }
}

fn label(provider: &dyn Provider) -> ProviderLabel {
    ProviderLabel {
        name: provider.name().to_owned(),
        host: provider.host(),
        icon: provider.icon().to_owned(),
    }
}

fn summary(credential: &Credential, provider: &dyn Provider, now: Timestamp) -> TokenSummary {
    let expiry = match (credential.expires_at, credential.renew_at) {
        _ if credential.expiry_unknown => match credential.noted_end {
            Some(at) => Expiry::Noted(moment(at, now)),
            None => Expiry::Unknown,
        },
        // Gitward renews it; its own end is only worth a word when it comes near, and then the health says so.
        (_, Some(renew_at)) if renew_at <= now => Expiry::RenewsAtNextUse,
        (_, Some(renew_at)) => Expiry::RenewsItself(moment(renew_at, now)),
        (Some(at), None) => Expiry::At(moment(at, now)),
        (None, None) => Expiry::Never,
    };
    let standing = &credential.standing;
    TokenSummary {
        kind: provider.kind_label(&credential.kind).to_owned(),
        login: credential.owner.login.clone(),
        expiry,
        scopes: credential.scopes.as_ref().map(crate::scope::ScopeSet::to_vec),
        checked: Some(Evidence {
            at: moment(standing.checked_at, now),
            request: standing.evidence.request.clone(),
            answer: standing.evidence.answer.clone(),
        }),
    }
}

/// Whether a credential that works elsewhere would serve this runtime, as far as can be told without asking.
fn serves(credential: &Credential, access: &Access, provider: &dyn Provider, now: Timestamp) -> bool {
    let alive = !credential.standing.invalid && credential.expires_at.is_none_or(|at| at > now);
    let enough = credential
        .scopes
        .as_ref()
        .is_none_or(|granted| provider.missing(granted, &needed(access, provider)).is_empty());
    alive && enough && may_serve(credential, access)
}

fn matches(words: &[String], access: &Access, row: &RuntimeRow) -> bool {
    if words.is_empty() {
        return true;
    }
    let login = row.token.as_ref().map_or("", |token| token.login.as_str());
    let text = [
        access.runtime.name.as_str(),
        access.account.name.as_str(),
        row.provider.name.as_str(),
        row.provider.host.as_str(),
        login,
    ]
    .join("\n")
    .to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What a runtime has of the token in use.
fn fetched(access: &Access, holding: Option<&Holding>, now: Timestamp) -> Fetched {
    let Some((holding, at)) = holding.and_then(|holding| Some((holding, holding.fetched_at?))) else {
        return Fetched::Never;
    };
    let current = access
        .credential
        .as_ref()
        .map(|credential| version(&access.runtime.id, &credential.id, credential.generation));
    let at = moment(at, now);
    if holding.is_of(current.as_deref()) { Fetched::At(at) } else { Fetched::Previous(at) }
}

fn set_cookie(cookie: &str) -> Result<(), ApiError> {
    let value =
        axum::http::HeaderValue::from_str(cookie).map_err(|error| internal("write a cookie", &error))?;
    let options = use_context::<leptos_axum::ResponseOptions>().ok_or(ApiError::Internal)?;
    options.append_header(header::SET_COOKIE, value);
    Ok(())
}

/// Logs a fault of ours, once; the visitor learns no more than that.
fn internal(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(error, doing, "A request failed on our side");
    ApiError::Internal
}

fn broken(doing: &'static str) -> impl FnOnce(StoreError) -> ApiError {
    move |error| internal(doing, &error)
}
