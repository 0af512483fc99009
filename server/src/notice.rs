//! What happens to a user's access to a runtime, and what of it the user is told.
//!
//! An **event** is something that happened; a **notice** is an event that its user is told of; the **timeline** of a
//! runtime is all its events. Pure: what was told before and what is so now make at most one event. What is so now is
//! derived from the last verdict, as the page derives it, so that notice and page never disagree.

use std::time::Duration;

use app::api::token::Health;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    credential::{Access, Credential, Evidence, ProviderAccount, Trouble},
    health::health,
    id::{CredentialId, RuntimeId, UserId},
    provider::Provider,
};

#[cfg(test)]
mod tests;

/// A day.
pub const DAY: Duration = Duration::from_hours(24);
/// Events are kept for so long …
pub const KEPT: Duration = Duration::from_hours(90 * 24);
/// … and so many of each runtime and user.
pub const KEPT_PER_RUNTIME: u32 = 200;
/// A host's trouble is news once it has lasted so long, and its end once it has been over so long that it can't be the
/// same trouble any more when it comes back.
pub const INCIDENT_IS_NEWS_AFTER: Duration = Duration::from_mins(10);
/// Every runtime is looked at again after so long, whatever happened: what is needed of a token may change with a new
/// version, and a clock may have been wrong.
const PATROL: Duration = Duration::from_hours(24);
/// … or up to so much sooner.
const PATROL_SPREAD: Duration = Duration::from_hours(6);
/// A grant that renews itself is about to end only if it could not be renewed for so long.
const OVERDUE: Duration = Duration::from_hours(1);
/// How soon to look again at an end that this machine's clock alone says is near.
const UNTIL_THE_TIME_IS_KNOWN: Duration = Duration::from_mins(1);
/// Two ends that are no further apart are one: some providers count down instead of naming a moment.
const SAME_END: Duration = Duration::from_hours(1);
/// Days before the end at which the user is warned.
const WARNINGS: [u8; 3] = [14, 7, 1];

/// An event's number: later ones are greater, none is given twice.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub i64);

/// What happened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// The user gave the runtime its first token.
    Added,
    /// The user gave it another one, or authorized again.
    Replaced,
    /// The user deleted it.
    Deleted,
    /// The one that was deleted or replaced was revoked at the provider.
    EndedThere,
    /// It was handed to the provider to be revoked.
    HandedOver,
    /// A grant was renewed.
    Renewed,
    /// It was refused for the first time, which is no verdict yet.
    Refused,
    /// No verdict: the host gave no answer that makes sense.
    Unreachable,
    /// It passed after a refusal that did not count, or the host answers again.
    Passed,
    /// It does not work any more.
    Invalid,
    /// Its known end has come.
    Expired,
    /// Its known end is 14, 7 or 1 days away.
    Expiring,
    /// It works, but may not do what the runtime needs; [`Detail::lack`] says what.
    ScopesLost,
    /// It belongs to another account at the provider than before, or such a one waits for the user's decision.
    AccountChanged,
    /// It works again.
    Recovered,
    /// A Git host has been in trouble as a whole for a while.
    IncidentBegan,
    /// It is well again.
    IncidentEnded,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 17] = [
        Self::Added,
        Self::Replaced,
        Self::Deleted,
        Self::EndedThere,
        Self::HandedOver,
        Self::Renewed,
        Self::Refused,
        Self::Unreachable,
        Self::Passed,
        Self::Invalid,
        Self::Expired,
        Self::Expiring,
        Self::ScopesLost,
        Self::AccountChanged,
        Self::Recovered,
        Self::IncidentBegan,
        Self::IncidentEnded,
    ];

    /// For the database, for addresses and for machines: never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Replaced => "replaced",
            Self::Deleted => "deleted",
            Self::EndedThere => "ended_there",
            Self::HandedOver => "handed_over",
            Self::Renewed => "renewed",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Passed => "passed",
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Expiring => "expiring",
            Self::ScopesLost => "scopes_lost",
            Self::AccountChanged => "account_changed",
            Self::Recovered => "recovered",
            Self::IncidentBegan => "incident_began",
            Self::IncidentEnded => "incident_ended",
        }
    }

    /// From the database.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a token lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// Scopes; [`Detail::scopes`] names them.
    Scopes,
    /// It may not push to [`Detail::repository`].
    Push,
    /// It does not see [`Detail::repository`].
    Repository,
    /// The organisation wants single sign-on first.
    SingleSignOn,
}

/// An event's evidence: words for people and machines. Never a secret, never a provider's own text.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// What was asked and what came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Whose the token is at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Whose it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_before: Option<String>,
    /// When the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// At most so many days before it ends: 14, 7 or 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<u8>,
    /// What it may do too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lack: Option<Lack>,
    /// The scopes it lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The repository it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The incident's kind: `unreachable`, `limiting`, `refusing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When the incident began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Something that happened to a user's access to a runtime, or to a host it goes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// Whose.
    pub user: UserId,
    /// To which runtime; `None` if to a host.
    pub runtime: Option<RuntimeId>,
    /// To which host; `None` if to a runtime.
    pub host: Option<String>,
    /// What.
    pub kind: Kind,
    /// The evidence.
    pub detail: Detail,
    /// When.
    pub at: Timestamp,
    /// The user is told of it.
    pub is_notice: bool,
    /// When the user read it.
    pub read_at: Option<Timestamp>,
}

/// How a user's access to a runtime is, as far as they are told. What is no verdict (no answer, a limit, a refusal that
/// does not count yet) is none of it: the last verdict stays.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// No token.
    NoToken,
    /// It works.
    Good,
    /// It works, and ends within so many days.
    Expiring {
        /// 14, 7 or 1.
        days: u8,
    },
    /// Its end has come.
    Expired,
    /// It does not work any more.
    Invalid,
    /// It has not all scopes that the runtime needs.
    ScopesMissing {
        /// These.
        missing: Vec<String>,
    },
    /// It may not push to the runtime's repository.
    CannotPush,
    /// It does not see it.
    RepositoryHidden,
    /// The organisation wants single sign-on first.
    NeedsSso,
}

impl State {
    /// The runtime can't work with it.
    pub fn is_bad(&self) -> bool {
        matches!(
            self,
            Self::Expired
                | Self::Invalid
                | Self::ScopesMissing { .. }
                | Self::CannotPush
                | Self::RepositoryHidden
                | Self::NeedsSso
        )
    }
}

/// A known end, and the last warning of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Warned {
    /// The end.
    pub end: Timestamp,
    /// 14, 7, 1; 0: that it has come.
    pub days: u8,
}

/// What is seen of a user's access to a runtime when it is looked at. Remembered until the next look.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sight {
    /// How it is.
    pub state: State,
    /// The token in use.
    pub credential: Option<CredentialId>,
    /// Counts its secrets.
    pub generation: i64,
    /// Whose it is at the provider.
    pub owner: Option<ProviderAccount>,
    /// A token of another account waits for the user's decision: this one.
    pub proposed: Option<CredentialId>,
    /// When it ends, as far as that is known and counts.
    pub end: Option<Timestamp>,
    /// The end that the user was last warned of. Also after the clock was set back: nobody is warned of it again.
    pub warned: Option<Warned>,
    /// It was refused, which is no verdict yet.
    pub refused: bool,
    /// Its host gave no answer that makes sense.
    pub unreachable: bool,
}

/// What was there before a look.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Before {
    /// Nobody has looked yet: nothing is news.
    Nothing,
    /// The user has given, replaced or deleted the token since this was seen: what they saw then is no news to them.
    Own(Option<Sight>),
    /// This was seen, and the user has done nothing since.
    Seen(Sight),
}

/// Whether a user hears of a runtime.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hide {
    /// They do.
    No,
    /// Not before then.
    Until(Timestamp),
    /// Not before they want it shown again.
    Always,
}

/// Whether an event is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Telling {
    /// It is in the timeline only.
    Never,
    /// It is bad news, told to whoever wants notices of the runtime.
    Bad,
    /// It is a warning, told likewise.
    Warning,
    /// It is good news, told to whoever was told the bad news before.
    Good,
}

/// A runtime's access that is to be looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marked {
    /// Whose.
    pub user: UserId,
    /// Which runtime.
    pub runtime: RuntimeId,
    /// Counts marks and looks.
    pub version: i64,
    /// What the last look saw.
    pub before: Before,
}

/// What a look found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// What is remembered.
    pub sight: Sight,
    /// What happened since the last look; at most one of it is told.
    pub events: Vec<(Kind, Detail, Telling)>,
    /// When to look again, if nothing happens before.
    pub look_at: Timestamp,
}

/// What becomes of a [`Marked`]: written only if nobody marked or looked since.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Look {
    /// What was looked at.
    pub marked: Marked,
    /// What that brought.
    pub seen: Seen,
}

/// What a look brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// This.
    Found(Found),
    /// Nothing that could be said yet, or by this process: what was seen last stays, and somebody looks again then.
    Later(Timestamp),
    /// There is nothing to be seen, since it is not enabled: what was seen last stays, until the next mark.
    Nothing,
}

/// What happened when one state follows another by itself, and whether it is told. Warnings of one end are told once
/// besides that, see [`look`].
pub fn turn(before: &State, after: &State) -> Option<(Kind, Telling)> {
    use State::{
        CannotPush, Expired, Expiring, Good, Invalid, NeedsSso, NoToken, RepositoryHidden, ScopesMissing,
    };
    match (before, after) {
        // Tokens come and go by their user's own hand, or with what the operator declares.
        (NoToken, _) | (_, NoToken) => None,
        (before, after) if before == after => None,
        // Dead is dead: the timeline says why it would not come back either.
        (Invalid, Expired) => Some((Kind::Expired, Telling::Never)),
        (Expired, Invalid) => Some((Kind::Invalid, Telling::Never)),
        (_, Invalid) => Some((Kind::Invalid, Telling::Bad)),
        (_, Expired) => Some((Kind::Expired, Telling::Bad)),
        // Some of what was missing is there now, but not all.
        (ScopesMissing { missing: known }, ScopesMissing { missing })
            if missing.iter().all(|scope| known.contains(scope)) =>
        {
            None
        }
        (_, ScopesMissing { .. } | CannotPush | RepositoryHidden | NeedsSso) => {
            Some((Kind::ScopesLost, Telling::Bad))
        }
        (before, Good | Expiring { .. }) if before.is_bad() => Some((Kind::Recovered, Telling::Good)),
        // The end was moved away.
        (_, Good) => None,
        (_, Expiring { .. }) => Some((Kind::Expiring, Telling::Warning)),
    }
}

/// Looks at a user's access to a runtime: how it is, what happened since the last look, when to look again.
///
/// An end is judged by the provider's clock, as on the page. Before the provider has said what time it is, no end is
/// news: nothing is written down that this machine's clock alone says.
pub fn look(before: &Before, access: &Access, provider: &dyn Provider, now: Timestamp) -> Seen {
    let found = find(before, access, provider, now);
    let last = match before {
        Before::Nothing => None,
        Before::Own(last) => last.as_ref(),
        Before::Seen(last) => Some(last),
    };
    let by_time = matches!(found.sight.state, State::Expiring { .. } | State::Expired);
    let is_known =
        last.is_some_and(|last| (&last.state, last.warned) == (&found.sight.state, found.sight.warned));
    if by_time && !is_known && !provider.place().is_time_known() {
        return Seen::Later(now.plus(UNTIL_THE_TIME_IS_KNOWN));
    }
    Seen::Found(found)
}

fn find(before: &Before, access: &Access, provider: &dyn Provider, now: Timestamp) -> Found {
    let there = provider.place().there(now);
    let settled = settled(access, provider, now);
    let (state, shown) = state(&settled, provider, now);
    let credential = settled.credential.as_ref();
    let standing = credential.map(|credential| &credential.standing);
    let last = match before {
        Before::Nothing | Before::Own(None) => None,
        Before::Own(Some(last)) | Before::Seen(last) => Some(last),
    };
    let warning = match state {
        State::Expiring { days } => Some(days),
        State::Expired => Some(0),
        _ => None,
    };
    let end = credential.and_then(|credential| end(credential, there));
    let warning = warning.zip(end).map(|(days, end)| Warned { end, days });
    let warned_before = last.and_then(|last| last.warned);
    let is_warned = |warning: Warned| {
        warned_before.is_some_and(|known| known.days <= warning.days && same_end(known.end, warning.end))
    };
    let told_already = warning.is_some_and(is_warned);
    let asked = access.credential.as_ref().map(|credential| &credential.standing);
    let sight = Sight {
        credential: credential.map(|credential| credential.id.clone()),
        generation: credential.map_or(0, |credential| credential.generation),
        owner: credential.map(|credential| credential.owner.clone()),
        proposed: access.proposed.as_ref().map(|proposed| proposed.id.clone()),
        end,
        warned: warning.filter(|_| !told_already).or(warned_before),
        refused: asked.is_some_and(|asked| asked.rejected_since.is_some() && !asked.invalid),
        unreachable: asked.is_some_and(|asked| matches!(asked.trouble, Some((Trouble::Unreachable, _)))),
        state,
    };
    let detail = |kind| Detail {
        evidence: standing.map(|standing| standing.evidence.clone()).filter(|_| is_answer(kind)),
        login: credential.map(|credential| credential.owner.login.clone()),
        ..shown.clone()
    };
    let mut events = Vec::new();
    match before {
        Before::Nothing => {}
        Before::Own(last) => {
            // It passed when the user gave it. What happened to it since is news all the same.
            let known = last.as_ref().is_some_and(|last| {
                last.state == sight.state
                    && (&last.credential, last.generation) == (&sight.credential, sight.generation)
            });
            match sight.state {
                State::Invalid if !known => events.push((Kind::Invalid, Telling::Bad)),
                State::Expired if !told_already => events.push((Kind::Expired, Telling::Bad)),
                _ => {}
            }
        }
        Before::Seen(last) => events.extend(since(last, &sight, told_already)),
    }
    let events = events
        .into_iter()
        .map(|(kind, telling)| {
            let mut detail = detail(kind);
            if kind == Kind::AccountChanged {
                detail.login_before =
                    last.and_then(|last| last.owner.as_ref()).map(|owner| owner.login.clone());
                if let Some(proposed) = &access.proposed {
                    detail.login = Some(proposed.owner.login.clone());
                }
            }
            (kind, detail, telling)
        })
        .collect();
    let look_at = look_at(access, now, there);
    Found { sight, events, look_at }
}

/// What happened between two looks, without the user's doing.
fn since(last: &Sight, sight: &Sight, told_already: bool) -> Vec<(Kind, Telling)> {
    let mut events = Vec::new();
    let same = last.credential == sight.credential && sight.credential.is_some();
    if same && sight.generation > last.generation {
        events.push((Kind::Renewed, Telling::Never));
    }
    let turned = turn(&last.state, &sight.state).filter(|(kind, _)| match kind {
        Kind::Expired | Kind::Expiring => !told_already,
        // A clock that was set back: the end is the same, and nothing has recovered.
        Kind::Recovered => {
            !(last.state == State::Expired
                && last.end.zip(sight.end).is_some_and(|(one, other)| same_end(one, other)))
        }
        _ => true,
    });
    let another = sight.proposed.is_some() && sight.proposed != last.proposed;
    let changed =
        same && matches!((&last.owner, &sight.owner), (Some(before), Some(after)) if before.id != after.id);
    if let Some(turned) = turned {
        events.push(turned);
    }
    if another || changed {
        // Whoever is told that it does not work any more has heard enough for one look.
        let telling = if turned.is_some() { Telling::Never } else { Telling::Warning };
        events.push((Kind::AccountChanged, telling));
    }
    if sight.refused && !last.refused {
        events.push((Kind::Refused, Telling::Never));
    }
    if sight.unreachable && !last.unreachable {
        events.push((Kind::Unreachable, Telling::Never));
    }
    let well = !sight.refused && !sight.unreachable && (last.refused || last.unreachable);
    if well && same && turned.is_none() && !matches!(sight.state, State::Invalid | State::Expired) {
        events.push((Kind::Passed, Telling::Never));
    }
    events
}

/// The access as if its last verdict had been reached a moment ago: what is no verdict is left out, because it changes
/// nothing of what a user is told, and nor does what waits for their decision.
fn settled(access: &Access, provider: &dyn Provider, now: Timestamp) -> Access {
    let mut settled = access.clone();
    settled.proposed = None;
    settled.attempt = None;
    if let Some(credential) = &mut settled.credential {
        credential.standing.trouble = None;
        if !credential.standing.invalid {
            credential.standing.rejected_since = None;
        }
        if renews_itself(credential, now) {
            credential.expires_at = credential.expires_at.filter(|at| provider.place().is_over(*at, now));
        }
    }
    settled
}

/// A grant's end moves away with each renewal, so that it is none as long as it is renewed in time.
fn renews_itself(credential: &Credential, now: Timestamp) -> bool {
    credential.renew_at.is_some_and(|at| now < at.plus(OVERDUE))
}

/// How a settled access is, and what a user is shown of it.
fn state(settled: &Access, provider: &dyn Provider, now: Timestamp) -> (State, Detail) {
    let mut detail = Detail::default();
    let there = provider.place().there(now);
    let state = match health(settled, provider, now).health {
        Health::NoToken | Health::AuthorizationPending { .. } | Health::AuthorizationDenied { .. } => {
            State::NoToken
        }
        Health::Expired { .. } => State::Expired,
        Health::Revoked { .. } | Health::RenewalLost { refused: true, .. } => State::Invalid,
        Health::ScopesMissing { missing } => {
            (detail.lack, detail.scopes) = (Some(Lack::Scopes), missing.clone());
            State::ScopesMissing { missing }
        }
        Health::CannotPush { .. } => {
            detail.lack = Some(Lack::Push);
            State::CannotPush
        }
        Health::RepositoryHidden { .. } => {
            detail.lack = Some(Lack::Repository);
            State::RepositoryHidden
        }
        Health::NeedsSso { .. } => {
            detail.lack = Some(Lack::SingleSignOn);
            State::NeedsSso
        }
        Health::Expiring { .. } => {
            let end = settled.credential.as_ref().and_then(|credential| end(credential, there));
            State::Expiring { days: days_left(end.map_or(Duration::ZERO, |end| end.since(there))) }
        }
        // The rest is a verdict that stands.
        Health::Valid { .. }
        | Health::Checking { .. }
        | Health::RenewalLost { refused: false, .. }
        | Health::Unreachable { .. }
        | Health::RateLimited { .. }
        | Health::AnotherAccount { .. } => State::Good,
    };
    if detail.lack.is_some() {
        detail.repository = settled.runtime.repository.clone();
    }
    if let (State::Expiring { .. } | State::Expired, Some(credential)) = (&state, &settled.credential) {
        detail.ends_at = end(credential, there);
    }
    if let State::Expiring { days } = state {
        detail.days = Some(days);
    }
    (state, detail)
}

/// The last of the warnings whose time has come.
fn days_left(left: Duration) -> u8 {
    WARNINGS.into_iter().filter(|days| left <= DAY * u32::from(*days)).min().unwrap_or(WARNINGS[0])
}

/// The end that counts, as the page has it: what the user noted is believed until it is over.
fn end(credential: &Credential, there: Timestamp) -> Option<Timestamp> {
    credential.expires_at.or(credential.noted_end.filter(|at| *at > there))
}

fn same_end(one: Timestamp, other: Timestamp) -> bool {
    one.since(other) < SAME_END && other.since(one) < SAME_END
}

/// The event is about an answer of the provider.
fn is_answer(kind: Kind) -> bool {
    !matches!(kind, Kind::Expired | Kind::Expiring | Kind::AccountChanged | Kind::Renewed)
}

/// The next moment at which time alone changes something, and not later than the next patrol. `there`: what time it is at
/// the provider.
fn look_at(access: &Access, now: Timestamp, there: Timestamp) -> Timestamp {
    // Those that were marked together, as all are when something is declared anew, are not looked at together for ever.
    let sum = access
        .runtime
        .id
        .as_str()
        .bytes()
        .fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let patrol = now.plus(PATROL).minus(Duration::from_secs(sum % PATROL_SPREAD.as_secs()));
    let Some(credential) = &access.credential else { return patrol };
    let overdue = credential.renew_at.map(|at| at.plus(OVERDUE));
    let ends = [credential.expires_at, credential.noted_end].into_iter().flatten();
    let moments = ends.flat_map(|end| {
        let theirs = WARNINGS.into_iter().map(move |days| end.minus(DAY * u32::from(days))).chain([end]);
        let ours = theirs.filter(|at| *at > there).map(|at| now.plus(at.since(there)));
        // It has come when both clocks say so.
        ours.chain([end])
    });
    moments.chain(overdue).filter(|at| *at > now).min().map_or(patrol, |at| at.min(patrol))
}
