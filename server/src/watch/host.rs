//! How a provider's host is: what may be asked of it now, and whether it is in trouble as a whole.
//!
//! Pure: what is known ([`Host`]) and what happened ([`Signal`]) make what is known next. All processes on one database
//! share it, because the host counts the requests of all of them together.
//!
//! A host that many credentials fail at, one after the other, is in trouble; they are not. That is one incident: the
//! host is then only probed, ever more rarely, and nothing that it says counts against a credential until one passes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::due::jitter;
use crate::{
    clock::{APART, Timestamp},
    id::CredentialId,
    random::Entropy,
};

#[cfg(test)]
mod tests;

/// So many credentials without an answer, one after the other, are an incident …
const FAULTS: usize = 3;
/// … or so long, where there are not so many.
const FAULTS_FOR: Duration = Duration::from_secs(15 * 60);
/// So many credentials that were good and are refused, one after the other, are an incident. More than one person's
/// tokens as a rule; few enough that no host bans this address for them (GitLab does after 30 in three minutes).
const REFUSALS: usize = 5;
/// What a host refuses, whoever's and whenever: so many in a window, then a pause until the window is over.
const REFUSED_AT_MOST: u32 = 10;
const REFUSED_WINDOW: Duration = Duration::from_secs(3 * 60);
/// Probes begin so far apart and double …
const PROBE: Duration = Duration::from_secs(60);
/// … up to this, which is how late the end of an incident is noticed at worst.
const LONGEST_PROBE: Duration = Duration::from_secs(15 * 60);
/// One probe is under way for no longer.
const PROBING: Duration = Duration::from_secs(90);
/// So many refused probes and no other answer, over more than six hours, are no brown-out: the tokens are dead.
const BELIEVED_AFTER: u32 = 30;
/// Trouble that comes back so soon has never ended.
const SAME_INCIDENT: Duration = Duration::from_secs(10 * 60);
/// Nobody is made to wait for longer by what a host said: what says so was written before the clock was set back.
const LONGEST_LIMIT: Duration = Duration::from_secs(2 * 60 * 60 + 60);

/// The budget is never overdrawn by more: what says so was written before the clock was set back.
const MOST_OWED: Duration = Duration::from_secs(60);

/// How much may be asked of one host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Over time.
    pub per_second: u32,
    /// At once, after a while without.
    pub burst: u32,
}

impl Default for Pace {
    /// 100,000 credentials are 28 a second, and their next questions begin before the hour is over.
    fn default() -> Self {
        Self::of(40)
    }
}

impl Pace {
    /// With half a second's worth at once.
    pub fn of(per_second: u32) -> Self {
        Self { per_second, burst: (per_second / 2).max(1) }
    }

    fn each(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }

    fn reserve(self) -> Duration {
        self.each() * self.burst.max(1)
    }
}

/// What kind of trouble.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trouble {
    /// No answers, or none that make sense.
    Unreachable,
    /// Too many requests, whoever asks.
    Limiting,
    /// It refuses everybody.
    Refusing,
}

impl Trouble {
    /// For the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Limiting => "limiting",
            Self::Refusing => "refusing",
        }
    }

    /// From the database.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unreachable, Self::Limiting, Self::Refusing]
            .into_iter()
            .find(|trouble| trouble.as_str() == text)
    }
}

/// A host was in trouble as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incident {
    /// Which host.
    pub host: String,
    /// What kind; the last one if it changed.
    pub trouble: Trouble,
    /// Since when.
    pub began_at: Timestamp,
    /// Until when; `None` if it goes on.
    pub ended_at: Option<Timestamp>,
}

/// What one question to a host brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// The credential passed.
    Passed,
    /// It was refused.
    Refused {
        /// For the first time since it passed.
        first: bool,
    },
    /// No answer, or none that makes sense.
    Unreachable,
    /// Too many requests.
    Limited {
        /// Until when, where the host says.
        until: Option<Timestamp>,
        /// It was limited before, and others passed since: this is about its own account.
        own: bool,
    },
    /// Nothing was asked, or the answer says nothing about the host.
    Nothing,
}

/// What may be asked now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gate {
    /// As much as the pace allows.
    Open,
    /// One question, to see how it is.
    Probe,
    /// Nothing.
    Shut,
}

/// What a signal did to an incident.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// A new one.
    Began,
    /// The last one goes on, or is of another kind now.
    GoesOn,
    /// It is over.
    Ended,
}

/// Credentials that failed one after the other.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Row {
    /// The first few of them.
    whose: Vec<CredentialId>,
    since: Option<Timestamp>,
    count: u32,
}

impl Row {
    fn add(&mut self, whose: &CredentialId, now: Timestamp) {
        self.since.get_or_insert(now);
        self.count = self.count.saturating_add(1);
        if self.whose.len() < REFUSALS && !self.whose.contains(whose) {
            self.whose.push(whose.clone());
        }
    }
}

/// An incident that goes on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct Open {
    trouble: Trouble,
    began_at: Timestamp,
    /// The next probe, not earlier.
    probe_at: Timestamp,
    probes: u32,
    refused: u32,
}

/// An incident that is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct Over {
    trouble: Trouble,
    began_at: Timestamp,
    ended_at: Timestamp,
}

/// What is known of a host.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// The budget is spent up to then: the generic cell rate algorithm, which needs nothing but this.
    spent_until: Option<Timestamp>,
    /// The host said: not before then.
    limited_until: Option<Timestamp>,
    /// Somebody probes, until then at most.
    probing_until: Option<Timestamp>,
    faults: Row,
    refusals: Row,
    /// How many were refused since when.
    refused: Option<(Timestamp, u32)>,
    incident: Option<Open>,
    last: Option<Over>,
    /// It refused everybody for so long that it is believed.
    believed: bool,
}

impl Host {
    /// Until when the host wants to be left alone.
    pub fn limited(&self, now: Timestamp) -> Option<Timestamp> {
        self.limited_until.filter(|until| lies_ahead(*until, now, LONGEST_LIMIT))
    }

    /// Whether it is in trouble as a whole: then nothing counts against a credential.
    pub fn in_trouble(&self) -> bool {
        self.incident.is_some()
    }

    /// Whether several were refused since anybody passed: then nobody is a witness that the host is well.
    pub fn doubted(&self) -> bool {
        self.refusals.whose.len() > 1
    }

    /// When it was last known to come out of trouble.
    pub fn well_since(&self) -> Option<Timestamp> {
        self.last.map(|last| last.ended_at)
    }

    /// What may be asked now.
    pub fn gate(&self, now: Timestamp) -> Gate {
        let refuses_many = self.refused.is_some_and(|(since, count)| {
            count >= REFUSED_AT_MOST && lies_ahead(since.plus(REFUSED_WINDOW), now, REFUSED_WINDOW)
        });
        if self.limited(now).is_some() || refuses_many {
            return Gate::Shut;
        }
        let too_early = self
            .incident
            .as_ref()
            .is_some_and(|open| lies_ahead(open.probe_at, now, LONGEST_PROBE + LONGEST_PROBE / 10));
        let under_way = self.probing_until.is_some_and(|until| lies_ahead(until, now, PROBING));
        match self.incident.is_some() || self.limited_until.is_some() {
            false => Gate::Open,
            true if too_early || under_way => Gate::Shut,
            true => Gate::Probe,
        }
    }

    /// Takes up to `want` questions out of the budget. Where only a probe is allowed, one, and none for others meanwhile.
    pub fn take(&mut self, now: Timestamp, want: u32, pace: Pace) -> u32 {
        let want = match self.gate(now) {
            Gate::Shut => return 0,
            Gate::Probe => want.min(1),
            Gate::Open => want,
        };
        let room = pace.reserve().saturating_sub(self.spent(now, pace).since(now));
        let each = pace.each().as_nanos().max(1);
        let taken = u32::try_from(room.as_nanos() / each).unwrap_or(u32::MAX).min(want);
        self.spend(now, taken, pace);
        if taken > 0 && self.gate(now) == Gate::Probe {
            self.probing_until = Some(now.plus(PROBING));
        }
        taken
    }

    /// Further questions that could not wait: later ones wait longer for it.
    pub fn spend(&mut self, now: Timestamp, questions: u32, pace: Pace) {
        if questions > 0 {
            self.spent_until = Some(self.spent(now, pace).plus(pace.each() * questions));
        }
    }

    fn spent(&mut self, now: Timestamp, pace: Pace) -> Timestamp {
        let spent_until = self.spent_until.unwrap_or(now).max(now);
        if spent_until <= now.plus(pace.reserve() + MOST_OWED) {
            return spent_until;
        }
        // The clock was set back. Then the reserve is spent, neither more nor less.
        *self.spent_until.insert(now.plus(pace.reserve()))
    }

    /// Takes in what a question brought that was sent at `asked_at`.
    pub fn weigh(
        &mut self,
        who: &CredentialId,
        signal: Signal,
        asked_at: Timestamp,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Option<Turn> {
        match signal {
            Signal::Nothing | Signal::Limited { own: true, .. } => {
                self.probing_until = None;
                None
            }
            Signal::Passed => {
                self.faults = Row::default();
                self.refusals = Row::default();
                self.believed = false;
                self.probing_until = None;
                self.limited_until = self.limited(now);
                self.end(now)
            }
            Signal::Refused { first } => {
                self.count_refused(now);
                // It answers.
                self.faults = Row::default();
                self.probing_until = None;
                self.limited_until = self.limited(now);
                if first {
                    self.refusals.add(who, now);
                }
                let Some(open) = &mut self.incident else {
                    let many = self.refusals.whose.len() >= REFUSALS && !self.believed;
                    return many.then(|| self.begin(Trouble::Refusing, now));
                };
                let changed = open.trouble != Trouble::Refusing;
                open.trouble = Trouble::Refusing;
                if open.probed(asked_at, now, entropy) {
                    open.refused += 1;
                }
                if open.refused >= BELIEVED_AFTER {
                    self.believed = true;
                    return self.end(now);
                }
                changed.then_some(Turn::GoesOn)
            }
            Signal::Unreachable => self.fault(who, Trouble::Unreachable, asked_at, now, entropy),
            Signal::Limited { until, .. } => {
                if let Some(until) = until {
                    self.limited_until = Some(self.limited(now).map_or(until, |known| known.max(until)));
                }
                self.fault(who, Trouble::Limiting, asked_at, now, entropy)
            }
        }
    }

    fn fault(
        &mut self,
        who: &CredentialId,
        trouble: Trouble,
        asked_at: Timestamp,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Option<Turn> {
        self.faults.add(who, now);
        self.probing_until = None;
        if let Some(open) = &mut self.incident {
            open.probed(asked_at, now, entropy);
            return None;
        }
        let long = self.faults.since.is_some_and(|since| now.since(since) >= FAULTS_FOR);
        let many = self.faults.whose.len() >= FAULTS || (self.faults.count as usize >= FAULTS && long);
        many.then(|| self.begin(trouble, now))
    }

    fn begin(&mut self, trouble: Trouble, now: Timestamp) -> Turn {
        let (began_at, turn) = match self.last {
            Some(last) if last.ended_at <= now && now.since(last.ended_at) < SAME_INCIDENT => {
                (last.began_at, Turn::GoesOn)
            }
            _ => (now, Turn::Began),
        };
        let probe_at = now.plus(PROBE);
        self.incident = Some(Open { trouble, began_at, probe_at, probes: 0, refused: 0 });
        turn
    }

    fn end(&mut self, now: Timestamp) -> Option<Turn> {
        let open = self.incident.take()?;
        self.last = Some(Over { trouble: open.trouble, began_at: open.began_at, ended_at: now });
        self.refusals = Row::default();
        Some(Turn::Ended)
    }

    fn count_refused(&mut self, now: Timestamp) {
        self.refused = match self.refused {
            Some((since, count)) if lies_ahead(since.plus(REFUSED_WINDOW), now, REFUSED_WINDOW) => {
                Some((since, count.saturating_add(1)))
            }
            _ => Some((now, 1)),
        };
    }

    /// The incident that goes on, or the last one, as it is kept.
    pub fn incident(&self, host: &str) -> Option<Incident> {
        let (trouble, began_at, ended_at) = match (&self.incident, self.last) {
            (Some(open), _) => (open.trouble, open.began_at, None),
            (None, Some(last)) => (last.trouble, last.began_at, Some(last.ended_at)),
            (None, None) => return None,
        };
        Some(Incident { host: host.to_owned(), trouble, began_at, ended_at })
    }
}

impl Open {
    /// Counts a probe, if the question was one: what was under way when the last one failed says nothing new.
    fn probed(&mut self, asked_at: Timestamp, now: Timestamp, entropy: &dyn Entropy) -> bool {
        if lies_ahead(self.probe_at, asked_at, LONGEST_PROBE + LONGEST_PROBE / 10) {
            return false;
        }
        self.probes = self.probes.saturating_add(1);
        let wait = (PROBE * 2_u32.saturating_pow(self.probes.min(8))).min(LONGEST_PROBE);
        self.probe_at = now.plus(wait).plus(jitter(entropy, wait / 10));
        true
    }
}

/// Whether a moment is still to come. One too far ahead is not: it was written before the clock was set back. By who
/// looked at the clock a moment later it may be a moment too far.
fn lies_ahead(at: Timestamp, now: Timestamp, most: Duration) -> bool {
    at > now && at <= now.plus(most).plus(APART)
}
