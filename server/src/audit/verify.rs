//! Whether the log is as Gitward wrote it.

use std::fmt;

use super::{
    Action, Record,
    chain::{BEGINNING, Hash},
};
use crate::{
    seal::KeyRing,
    store::{AuditStore, StoreError},
};

/// Records that are read at once.
const PAGE: u32 = 1000;
/// Further flaws say nothing new.
const MOST_FLAWS: usize = 100;

/// What is wrong with the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Flaw {
    /// This record, or the hash of the one before it, was changed.
    Changed(i64),
    /// Records are missing between these two.
    Missing {
        /// The last one before the gap; 0 if it is the beginning that is missing.
        after: i64,
        /// The first one after it.
        before: i64,
    },
    /// The log goes on where it should have ended, or ends before it should have.
    End {
        /// The last record that is there.
        found: i64,
        /// The last one that there was.
        expected: i64,
    },
    /// The seal at the end is not Gitward's, or is gone.
    Seal,
    /// A noted end is not in the log.
    Noted(i64),
    /// A noted end was removed as configured, so that nobody can tell.
    NotedRemoved(i64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(sequence) => {
                write!(f, "record {sequence} was changed, or does not follow the one before it")
            }
            Self::Missing { after, before } if before - after == 2 => {
                write!(f, "record {} is missing", after + 1)
            }
            Self::Missing { after, before } => {
                write!(f, "records {} to {} are missing", after + 1, before - 1)
            }
            Self::End { found, expected } => {
                write!(f, "the log ends with record {found}, but should with {expected}")
            }
            Self::Seal => write!(f, "the seal at the end of the log is not this Gitward's"),
            Self::Noted(sequence) => write!(f, "record {sequence} is not the one that was noted"),
            Self::NotedRemoved(sequence) => {
                write!(f, "record {sequence}, which was noted, was removed as configured: note a later one")
            }
        }
    }
}

/// A record's number and hash, as somebody noted them: `1042:9f86…`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Point {
    /// The number.
    pub sequence: i64,
    /// The hash.
    pub hash: Hash,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex(&self.hash))
    }
}

impl std::str::FromStr for Point {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const PROBLEM: &str =
            "take what `gitward audit verify` printed: a number, a colon, 64 hexadecimal digits";
        let (sequence, hash) = text.split_once(':').ok_or(PROBLEM)?;
        let sequence = sequence.parse().map_err(|_| PROBLEM)?;
        Ok(Self { sequence, hash: unhex(hash).ok_or(PROBLEM)? })
    }
}

/// As text.
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From text.
pub fn unhex(text: &str) -> Option<Hash> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Follows a chain from its beginning, or from where old records were removed as a later one says.
#[derive(Debug)]
pub struct Follower {
    last: Point,
    noted: Option<Point>,
    flaws: Vec<Flaw>,
    /// Gaps that nothing has explained until now, with the record after each and its place among the flaws.
    gaps: Vec<Gap>,
    removed: Option<Point>,
}

/// Records are missing before this one.
#[derive(Debug)]
struct Gap {
    after: i64,
    before: Record,
    flaws_before: usize,
}

impl Follower {
    /// Before the first record. `noted` must come by.
    pub fn new(noted: Option<Point>) -> Self {
        Self::after(Point { sequence: 0, hash: BEGINNING }, noted)
    }

    /// In the middle, where this was the last one.
    pub fn after(last: Point, noted: Option<Point>) -> Self {
        Self { last, noted, flaws: Vec::new(), gaps: Vec::new(), removed: None }
    }

    /// The next record.
    pub fn follow(&mut self, record: &Record) {
        if record.sequence < 1 {
            // Gitward writes none: it was put there to be seen.
            self.flaw(Flaw::Changed(record.sequence));
            return;
        }
        let expected = self.last.sequence + 1;
        if record.sequence > expected {
            if self.gaps.len() < MOST_FLAWS {
                let (after, flaws_before) = (self.last.sequence, self.flaws.len());
                self.gaps.push(Gap { after, before: record.clone(), flaws_before });
            }
        } else if record.sequence < expected || record.hash != record.hash_after(&self.last.hash) {
            self.flaw(Flaw::Changed(record.sequence));
        }
        self.explain(record);
        self.last = Point { sequence: record.sequence, hash: record.hash };
        if let Some(noted) = self.noted
            && noted.sequence == record.sequence
        {
            self.noted = None;
            if noted.hash != record.hash {
                self.flaw(Flaw::Noted(noted.sequence));
            }
        }
    }

    /// A gap is none if this record says that all up to there were about to be removed. They may be gone since this
    /// reader began, so that a gap may be anywhere.
    fn explain(&mut self, record: &Record) {
        if record.action != Action::AuditPruned.as_str() {
            return;
        }
        let Some(removed) = record.detail.as_deref().and_then(|detail| detail.parse::<Point>().ok()) else {
            return;
        };
        let gaps = self.gaps.len();
        self.gaps.retain(|gap| {
            let follows = gap.before.sequence.checked_sub(1) == Some(removed.sequence)
                && gap.before.hash == gap.before.hash_after(&removed.hash);
            !follows
        });
        if self.gaps.len() < gaps {
            self.removed = Some(removed);
        }
    }

    fn flaw(&mut self, flaw: Flaw) {
        if self.flaws.len() < MOST_FLAWS {
            self.flaws.push(flaw);
        }
    }

    /// After the last record.
    pub fn finish(mut self) -> Verified {
        // From behind, so that the places of those before stay.
        for Gap { after, before, flaws_before } in self.gaps.into_iter().rev() {
            self.flaws.insert(flaws_before, Flaw::Missing { after, before: before.sequence });
        }
        self.flaws.truncate(MOST_FLAWS);
        let (removed, noted) = (self.removed, self.noted);
        if let Some(noted) = noted.filter(|noted| Some(*noted) != removed) {
            let unknown = removed.is_some_and(|removed| noted.sequence < removed.sequence);
            let flaw = if unknown { Flaw::NotedRemoved } else { Flaw::Noted };
            self.flaws.push(flaw(noted.sequence));
        }
        Verified { end: self.last, removed, flaws: self.flaws }
    }
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The last record. Whoever notes it elsewhere can tell later whether the log still holds it.
    pub end: Point,
    /// The last one of those that were removed as configured, if any were.
    pub removed: Option<Point>,
    /// What is wrong; empty if nothing is.
    pub flaws: Vec<Flaw>,
}

/// Reads the whole log, also while a server writes it.
///
/// # Errors
/// [`StoreError`]; what is wrong with the log is no error but in the result.
pub async fn verify(
    store: &dyn AuditStore,
    keys: Option<&KeyRing>,
    noted: Option<Point>,
) -> Result<Verified, StoreError> {
    let mut follower = Follower::new(noted);
    let mut after = i64::MIN;
    let head = loop {
        let page = store.audit_after(after, PAGE).await?;
        for record in &page {
            follower.follow(record);
            after = record.sequence;
        }
        if !page.is_empty() {
            continue;
        }
        // The end moves together with the records, so that it is not before the last one that was read.
        match store.audit_head().await? {
            Some(head) if head.sequence > follower.last.sequence => {
                if store.audit_after(follower.last.sequence, 1).await?.is_empty() {
                    break Some(head);
                }
            }
            head => break head,
        }
    };
    let last = follower.last;
    match head {
        Some(head) if !keys.is_some_and(|keys| head.is_authentic(keys)) => follower.flaw(Flaw::Seal),
        Some(head) if head.sequence != last.sequence => {
            follower.flaw(Flaw::End { found: last.sequence, expected: head.sequence });
        }
        Some(head) if head.hash != last.hash => follower.flaw(Flaw::Changed(last.sequence)),
        Some(_) => {}
        None if last.sequence == 0 => {}
        None => follower.flaw(Flaw::Seal),
    }
    Ok(follower.finish())
}
