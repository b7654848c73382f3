//! The combined tree as the algorithms see it (section "Combined Tree" of "Tree Proofs").
//!
//! The draft's algorithms run on a [`View`], which hands them timestamps and binary ladders and
//! remembers what belongs to which log entry. Where the data comes from is the [`Source`]'s
//! affair: the prover's *records* into a `CombinedTreeProof` what is asked for, the verifier's
//! *consumes* one. Both see the same questions in the same order because they run the same code.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::error::VerifyError;
use crate::implicit_tree::{self, MAX_TREE_SIZE};
use crate::ladder::{Omissions, SearchLadder, monitoring_ladder};
use crate::wire::{Configuration, HashValue, LogEntry};

/// A series of lookups of versions of the label in one prefix tree, each depending on the outcome
/// of those before.
pub trait Lookups {
    /// The next version to look up.
    fn probe(&mut self) -> Option<u32>;
    /// The outcome of that lookup.
    fn record(&mut self, version: u32, included: bool) -> Result<(), VerifyError>;
}

/// Where timestamps and prefix tree lookups come from.
pub trait Source {
    /// Why they cannot be had: for the verifier only ever a [`VerifyError`].
    type Error: From<VerifyError>;
    /// The timestamp of a log entry that was not asked for before and is not retained.
    fn timestamp(&mut self, position: u64) -> Result<u64, Self::Error>;
    /// Performs a series of lookups in the prefix tree of a log entry; returns the root of that
    /// tree.
    fn lookups(
        &mut self,
        position: u64,
        lookups: &mut dyn Lookups,
    ) -> Result<HashValue, Self::Error>;
    /// Whether the log ends owner monitoring before the entry at `position`, where `expected` is
    /// the version that the owner expects there (section "Owner Algorithm", step 4 of the second
    /// algorithm).
    fn stops_before(&mut self, position: u64, expected: Option<u32>) -> Result<bool, Self::Error>;
}

/// One user's view of one tree, while algorithms run on it.
pub struct View<'c, S> {
    /// The log's configuration.
    pub config: &'c Configuration,
    /// Where data comes from.
    pub source: S,
    size: u64,
    last: Option<u64>,
    rightmost: u64,
    timestamps: BTreeMap<u64, u64>,
    prefix_roots: BTreeMap<u64, HashValue>,
    omissions: Omissions,
}

impl<'c, S: Source> View<'c, S> {
    /// Updates a user's view of the tree to `size` (section "Updating Views of the Tree"), given
    /// the log entries on the frontier of the tree of `last` entries that the user retained.
    pub fn update(
        config: &'c Configuration,
        source: S,
        size: u64,
        last: Option<u64>,
        retained: &[(u64, LogEntry)],
    ) -> Result<Self, S::Error> {
        if size == 0 || size > MAX_TREE_SIZE {
            return Err(VerifyError::TreeSizeRange(size).into());
        }
        let mut view = View {
            config,
            source,
            size,
            last,
            rightmost: 0,
            timestamps: retained.iter().map(|(p, e)| (*p, e.timestamp)).collect(),
            prefix_roots: retained.iter().map(|(p, e)| (*p, e.prefix_tree)).collect(),
            omissions: Omissions::default(),
        };
        for position in implicit_tree::update_view(last, size) {
            view.timestamp(position)?;
        }
        view.rightmost = view.timestamp(size.saturating_sub(1))?;
        Ok(view)
    }

    /// Number of log entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Timestamp of the rightmost log entry.
    pub fn rightmost_timestamp(&self) -> u64 {
        self.rightmost
    }

    /// The timestamp of a log entry, checked against all others seen.
    pub fn timestamp(&mut self, position: u64) -> Result<u64, S::Error> {
        if let Some(timestamp) = self.timestamps.get(&position) {
            return Ok(*timestamp);
        }
        let timestamp = self.source.timestamp(position)?;
        let before = self.timestamps.range(..position).next_back();
        let after = self.timestamps.range(position..).next();
        if let Some((left, _)) = before.filter(|(_, t)| **t > timestamp) {
            let (left, right) = (*left, position);
            return Err(VerifyError::TimestampOrder { left, right }.into());
        }
        if let Some((right, _)) = after.filter(|(_, t)| **t < timestamp) {
            let (left, right) = (position, *right);
            return Err(VerifyError::TimestampOrder { left, right }.into());
        }
        self.timestamps.insert(position, timestamp);
        Ok(timestamp)
    }

    /// Whether a log entry is expired.
    pub fn is_expired(&mut self, position: u64) -> Result<bool, S::Error> {
        let timestamp = self.timestamp(position)?;
        Ok(self.config.is_expired(timestamp, self.rightmost))
    }

    /// A search binary ladder from a log entry: how the greatest version there compares with
    /// `target`. With `omit`, lookups whose outcome another entry's proof already shows are not
    /// made again.
    pub fn search_ladder(
        &mut self,
        position: u64,
        target: u32,
        omit: bool,
    ) -> Result<Ordering, S::Error> {
        let mut lookups = SearchLookups {
            position,
            ladder: SearchLadder::new(target),
            omissions: omit.then_some(&mut self.omissions),
        };
        let root = self.source.lookups(position, &mut lookups)?;
        let outcome = lookups.ladder.outcome();
        self.note_root(position, root)?;
        Ok(outcome)
    }

    /// A search binary ladder that must show `expected` to be the greatest version (none: that the
    /// label does not exist).
    pub fn expect_greatest(
        &mut self,
        position: u64,
        expected: Option<u32>,
        omit: bool,
    ) -> Result<(), S::Error> {
        let outcome = self.search_ladder(position, expected.unwrap_or(0), omit)?;
        let wanted = match expected {
            Some(_) => Ordering::Equal,
            None => Ordering::Less,
        };
        if outcome == wanted {
            Ok(())
        } else {
            Err(VerifyError::Ladder { position, expected }.into())
        }
    }

    /// A monitoring binary ladder from a log entry, in which every version must be included.
    pub fn monitoring_ladder(&mut self, position: u64, target: u32) -> Result<(), S::Error> {
        self.expect_included(position, &monitoring_ladder(target), target)
    }

    /// Lookups of these versions, each of which must be included.
    pub fn expect_included(
        &mut self,
        position: u64,
        versions: &[u32],
        target: u32,
    ) -> Result<(), S::Error> {
        let mut lookups = InclusionLookups {
            position,
            target,
            versions: versions.iter(),
        };
        self.lookups(position, &mut lookups)
    }

    /// Any series of lookups from a log entry.
    pub fn lookups(&mut self, position: u64, lookups: &mut dyn Lookups) -> Result<(), S::Error> {
        let root = self.source.lookups(position, lookups)?;
        self.note_root(position, root)
    }

    /// Treats `version` as if looked up from the entry at `position`, so that later ladders omit
    /// it.
    pub fn assume_looked_up(&mut self, position: u64, version: u32, included: bool) {
        self.omissions.note(position, version, included);
    }

    /// A lookup needs the entry's timestamp too, so that the entry can be proved included.
    fn note_root(&mut self, position: u64, root: HashValue) -> Result<(), S::Error> {
        self.timestamp(position)?;
        match self.prefix_roots.insert(position, root) {
            Some(other) if other != root => Err(VerifyError::PrefixRootConflict(position).into()),
            _ => Ok(()),
        }
    }

    /// Ends the run. What was asked for decides the rest of the proof.
    pub fn finish(self) -> (Inspected, S) {
        let retained = |position: &u64| {
            self.last
                .is_some_and(|last| implicit_tree::frontier(last).any(|p| p == *position))
        };
        let inspected = Inspected {
            size: self.size,
            last: self.last,
            rightmost: self.rightmost,
            proved: self
                .timestamps
                .keys()
                .copied()
                .filter(|position| !retained(position))
                .collect(),
            timestamps: self.timestamps,
            prefix_roots: self.prefix_roots,
        };
        (inspected, self.source)
    }
}

/// What a run of the algorithms asked for.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Number of log entries.
    pub size: u64,
    /// The tree size that the user advertised.
    pub last: Option<u64>,
    /// Timestamp of the rightmost log entry.
    pub rightmost: u64,
    /// Log entries whose timestamp was provided: the leaves that `inclusion` is about, ascending.
    pub proved: Vec<u64>,
    /// Timestamps by log entry, retained ones included.
    pub timestamps: BTreeMap<u64, u64>,
    /// Prefix tree roots by log entry, retained ones included.
    pub prefix_roots: BTreeMap<u64, HashValue>,
}

impl Inspected {
    /// The log entries whose prefix tree roots stand in `prefix_roots`, left to right.
    pub fn without_root(&self) -> Vec<u64> {
        let mut out = self.proved.clone();
        out.retain(|position| !self.prefix_roots.contains_key(position));
        out
    }

    /// A log entry of which timestamp and root are known.
    pub fn log_entry(&self, position: u64) -> Option<LogEntry> {
        Some(LogEntry {
            timestamp: *self.timestamps.get(&position)?,
            prefix_tree: *self.prefix_roots.get(&position)?,
        })
    }
}

struct SearchLookups<'a> {
    position: u64,
    ladder: SearchLadder,
    omissions: Option<&'a mut Omissions>,
}

impl Lookups for SearchLookups<'_> {
    fn probe(&mut self) -> Option<u32> {
        loop {
            let version = self.ladder.probe()?;
            let known = |o: &&mut Omissions| o.known(self.position, version);
            match self.omissions.as_ref().and_then(known) {
                None => return Some(version),
                Some(included) => self.ladder.record(version, included),
            }
        }
    }

    fn record(&mut self, version: u32, included: bool) -> Result<(), VerifyError> {
        self.ladder.record(version, included);
        if let Some(omissions) = &mut self.omissions {
            omissions.note(self.position, version, included);
        }
        Ok(())
    }
}

struct InclusionLookups<'a> {
    position: u64,
    target: u32,
    versions: std::slice::Iter<'a, u32>,
}

impl Lookups for InclusionLookups<'_> {
    fn probe(&mut self) -> Option<u32> {
        self.versions.next().copied()
    }

    fn record(&mut self, _: u32, included: bool) -> Result<(), VerifyError> {
        let (position, expected) = (self.position, Some(self.target));
        if included {
            Ok(())
        } else {
            Err(VerifyError::Ladder { position, expected })
        }
    }
}
