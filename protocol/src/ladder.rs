//! Binary ladders (section "Binary Ladder" and its uses; example code in the appendix of that
//! name).
//!
//! A ladder is one series of lookups, driven by their outcomes: [`BinaryLadder`]. Base, search and
//! monitoring ladders are that series seen through different rules for where it ends.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One more than the greatest possible version of a label.
const VERSIONS: u64 = 1 << 32;

/// The series of lookups that finds the greatest version of a label: 0, 1, 3, 7, … until the first
/// non-inclusion, then a binary search.
#[derive(Debug, Clone, Default)]
pub struct BinaryLadder {
    /// Lookups in the first phase so far.
    doublings: u32,
    /// One more than the greatest version known to be included.
    included_below: u64,
    /// The least version known not to be included.
    absent_from: Option<u64>,
}

impl BinaryLadder {
    /// The next version to look up; none when the greatest version is determined. Versions past
    /// the greatest possible are never looked up and count as absent.
    pub fn probe(&mut self) -> Option<u32> {
        loop {
            let version = match self.absent_from {
                None => (1u64 << self.doublings.min(33)).saturating_sub(1),
                Some(absent) if self.included_below < absent => {
                    // Between lower bound l = included_below - 1 and upper bound u: (l + u) / 2.
                    self.included_below.saturating_add(absent).saturating_sub(1) / 2
                }
                Some(_) => return None,
            };
            if version < VERSIONS {
                return u32::try_from(version).ok();
            }
            self.absent_from = Some(version);
        }
    }

    /// Records the outcome of looking up `version`.
    pub fn record(&mut self, version: u32, included: bool) {
        if self.absent_from.is_none() {
            self.doublings = self.doublings.saturating_add(1);
        }
        if included {
            self.included_below = u64::from(version).saturating_add(1);
        } else {
            self.absent_from = Some(version.into());
        }
    }
}

/// The lookups that determine `greatest` as the greatest version: the *base* binary ladder, in
/// order.
pub fn base_ladder(greatest: u32) -> Vec<u32> {
    let mut ladder = BinaryLadder::default();
    let mut out = Vec::new();
    while let Some(version) = ladder.probe() {
        out.push(version);
        ladder.record(version, version <= greatest);
    }
    out
}

/// The lookups of a *monitoring* binary ladder: those of the base ladder that are at most `target`.
pub fn monitoring_ladder(target: u32) -> Vec<u32> {
    let mut out = base_ladder(target);
    out.retain(|version| *version <= target);
    out
}

/// A *search* binary ladder (section "Greatest-Version Search", "Binary Ladder"): ends at the first
/// inclusion above the target or the first non-inclusion at or below it.
#[derive(Debug, Clone)]
pub struct SearchLadder {
    target: u32,
    ladder: BinaryLadder,
    outcome: Option<Ordering>,
}

impl SearchLadder {
    /// A ladder that compares the greatest version with `target`.
    pub fn new(target: u32) -> Self {
        Self {
            target,
            ladder: BinaryLadder::default(),
            outcome: None,
        }
    }

    /// The next version to look up.
    pub fn probe(&mut self) -> Option<u32> {
        match self.outcome {
            Some(_) => None,
            None => self.ladder.probe(),
        }
    }

    /// Records the outcome of looking up `version`.
    pub fn record(&mut self, version: u32, included: bool) {
        if included && version > self.target {
            self.outcome = Some(Ordering::Greater);
        } else if !included && version <= self.target {
            self.outcome = Some(Ordering::Less);
        }
        self.ladder.record(version, included);
    }

    /// How the greatest version compares with the target, once the lookups are done.
    pub fn outcome(&self) -> Ordering {
        self.outcome.unwrap_or(Ordering::Equal)
    }
}

/// The lookups of an undisturbed search ladder for `target` where `greatest` is the greatest
/// version: `search_binary_ladder` of the appendix, without omissions.
pub fn search_ladder(target: u32, greatest: Option<u32>) -> Vec<u32> {
    let mut ladder = SearchLadder::new(target);
    let mut out = Vec::new();
    while let Some(version) = ladder.probe() {
        out.push(version);
        ladder.record(
            version,
            greatest.is_some_and(|greatest| version <= greatest),
        );
    }
    out
}

/// Which lookups of one response are redundant: a version proved included further left, or proved
/// absent further right.
#[derive(Debug, Clone, Default)]
pub struct Omissions {
    /// The leftmost log entry from which each version was proved included.
    included: BTreeMap<u32, u64>,
    /// The rightmost log entry from which each version was proved absent.
    absent: BTreeMap<u32, u64>,
}

impl Omissions {
    /// Notes a lookup made from the entry at `position`.
    pub fn note(&mut self, position: u64, version: u32, included: bool) {
        if included {
            let leftmost = self.included.entry(version).or_insert(position);
            *leftmost = position.min(*leftmost);
        } else {
            let rightmost = self.absent.entry(version).or_insert(position);
            *rightmost = position.max(*rightmost);
        }
    }

    /// What a lookup from the entry at `position` would show, if that is known already.
    pub fn known(&self, position: u64, version: u32) -> Option<bool> {
        if self.included.get(&version).is_some_and(|p| *p < position) {
            Some(true)
        } else if self.absent.get(&version).is_some_and(|p| *p > position) {
            Some(false)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_example() {
        // Greatest version 6: "0, 1, 3, non-inclusion of 7, then 5 and 6".
        assert_eq!(base_ladder(6), [0, 1, 3, 7, 5, 6]);
        assert_eq!(base_ladder(2), [0, 1, 3, 2]);
        assert_eq!(base_ladder(0), [0, 1]);
    }

    #[test]
    fn greatest_possible_version_is_never_exceeded() {
        let top = base_ladder(u32::MAX);
        assert_eq!(top.last(), Some(&u32::MAX));
        assert_eq!(top.len(), 33);
        let near = base_ladder(u32::MAX - 1);
        assert_eq!(near.last(), Some(&(u32::MAX - 1)));
        assert_eq!(search_ladder(u32::MAX, Some(u32::MAX)), top);
    }

    #[test]
    fn nothing_exists() {
        assert_eq!(search_ladder(5, None), [0]);
    }
}
