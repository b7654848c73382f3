//! Steps 1 to 7 of the draft's section "Auditing", on explicit trees. It keeps everything.

use std::collections::HashMap;

use overt_protocol::wire::{AuditorUpdate, HashValue, PrefixLeaf, PrefixProof, PrefixSearchResult};
use sha2::{Digest, Sha256};

const NOTHING: HashValue = [0; 32];

fn hash(parts: &[&[u8]]) -> HashValue {
    Sha256::digest(parts.concat()).into()
}

/// What a proof shows of a prefix tree.
#[derive(Clone, PartialEq)]
enum Tree {
    /// Not shown yet.
    Unknown,
    /// Only its value is known.
    Value(HashValue),
    Empty,
    Leaf(PrefixLeaf),
    Parent(Box<Tree>, Box<Tree>),
}

fn goes_right(key: &HashValue, depth: usize) -> bool {
    key[depth / 8] >> (7 - depth % 8) & 1 == 1
}

impl Tree {
    fn parent(left: Self, right: Self) -> Self {
        Self::Parent(Box::new(left), Box::new(right))
    }

    fn child(&mut self, key: &HashValue, depth: usize) -> Option<&mut Self> {
        match self {
            Self::Parent(_, right) if goes_right(key, depth) => Some(right),
            Self::Parent(left, _) => Some(left),
            _ => None,
        }
    }

    /// States that the search for a key ends with `end` at a depth.
    fn state(&mut self, key: &HashValue, end_depth: usize, end: Self) -> Option<()> {
        let mut at = self;
        for depth in 0..end_depth {
            if *at == Self::Unknown {
                *at = Self::parent(Self::Unknown, Self::Unknown);
            }
            at = at.child(key, depth)?;
        }
        if *at == Self::Unknown {
            *at = end;
            return Some(());
        }
        (*at == end).then_some(())
    }

    /// Gives what is unknown the values of the proof, left to right.
    fn fill(&mut self, values: &mut impl Iterator<Item = HashValue>) -> Option<()> {
        match self {
            Self::Unknown => *self = Self::Value(values.next()?),
            Self::Parent(left, right) => {
                left.fill(values)?;
                right.fill(values)?;
            }
            _ => {}
        }
        Some(())
    }

    fn value(&self) -> HashValue {
        match self {
            Self::Unknown | Self::Empty => NOTHING,
            Self::Value(value) => *value,
            Self::Leaf(leaf) => hash(&[&[2], &leaf.vrf_output, &leaf.commitment]),
            Self::Parent(left, right) => hash(&[&[3], &left.value(), &right.value()]),
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Empty | Self::Value(NOTHING))
    }

    /// Parents that have lost both children go.
    fn prune(self) -> Self {
        match self {
            Self::Parent(left, right) => {
                let (left, right) = (left.prune(), right.prune());
                match left.is_missing() && right.is_missing() {
                    true => Self::Empty,
                    false => Self::parent(left, right),
                }
            }
            other => other,
        }
    }

    fn remove(&mut self, key: &HashValue) -> Option<()> {
        let mut at = self;
        let mut depth = 0;
        while matches!(at, Self::Parent(..)) {
            at = at.child(key, depth)?;
            depth += 1;
        }
        match at {
            Self::Leaf(leaf) if leaf.vrf_output == *key => *at = Self::Empty,
            _ => return None,
        }
        Some(())
    }

    fn add(&mut self, new: PrefixLeaf) -> Option<()> {
        let mut at = self;
        // A depth is one byte, in every proof to come.
        for depth in 0..=255 {
            match *at {
                Self::Empty => {
                    *at = Self::Leaf(new);
                    return Some(());
                }
                Self::Leaf(old) if old.vrf_output == new.vrf_output => return None,
                Self::Leaf(old) if depth < 255 => {
                    *at = Self::parent(Self::Empty, Self::Empty);
                    *at.child(&old.vrf_output, depth)? = Self::Leaf(old);
                }
                Self::Parent(..) => {}
                _ => return None,
            }
            at = at.child(&new.vrf_output, depth)?;
        }
        None
    }
}

/// The part of the previous prefix tree that the update's proof shows.
fn shown(update: &AuditorUpdate) -> Option<Tree> {
    let PrefixProof { results, elements } = &update.proof;
    if results.len() != update.added.len() + update.removed.len() {
        return None;
    }
    let mut tree = Tree::Unknown;
    let (of_added, of_removed) = results.split_at(update.added.len());
    for (leaf, result) in update.removed.iter().zip(of_removed) {
        let PrefixSearchResult::Inclusion { depth } = *result else {
            return None;
        };
        tree.state(&leaf.vrf_output, depth.into(), Tree::Leaf(*leaf))?;
    }
    for (leaf, result) in update.added.iter().zip(of_added) {
        let key = leaf.vrf_output;
        let before = update.removed.iter().find(|old| old.vrf_output == key);
        let (depth, end) = match (*result, before) {
            (PrefixSearchResult::Inclusion { depth }, Some(old)) => (depth, Tree::Leaf(*old)),
            (PrefixSearchResult::NonInclusionParent { depth }, None) => (depth, Tree::Empty),
            (PrefixSearchResult::NonInclusionLeaf { leaf, depth }, None) => {
                let shared = (0..depth.into())
                    .all(|d| goes_right(&key, d) == goes_right(&leaf.vrf_output, d));
                if !shared {
                    return None;
                }
                (depth, Tree::Leaf(leaf))
            }
            _ => return None,
        };
        tree.state(&key, depth.into(), end)?;
    }
    let mut values = elements.iter().copied();
    tree.fill(&mut values)?;
    values.next().is_none().then_some(tree)
}

/// The root of the previous prefix tree, by the update's proof.
pub(crate) fn shown_root(update: &AuditorUpdate) -> Option<HashValue> {
    Some(shown(update)?.value())
}

fn ascending(leaves: &[PrefixLeaf]) -> bool {
    (1..leaves.len()).all(|i| leaves[i - 1].vrf_output < leaves[i].vrf_output)
}

/// The root of the log tree (section "Log Tree").
fn log_root(leaves: &[HashValue]) -> HashValue {
    if let [leaf] = leaves {
        return *leaf;
    }
    let mut half = 1;
    while half * 2 < leaves.len() {
        half *= 2;
    }
    let (left, right) = leaves.split_at(half);
    let tag = |side: &[HashValue]| [u8::from(side.len() > 1)];
    hash(&[&tag(left), &log_root(left), &tag(right), &log_root(right)])
}

/// Calls `found` with every distinguished entry among those from `start` on with these timestamps.
fn distinguished(
    start: usize,
    times: &[u64],
    (left, right): (u64, u64),
    rmw: u64,
    found: &mut impl FnMut(usize),
) {
    if times.is_empty() || right - left < rmw {
        return;
    }
    let mut root = 1;
    while root * 2 <= times.len() {
        root *= 2;
    }
    root -= 1;
    found(start + root);
    let time = times[root];
    distinguished(start, &times[..root], (left, time), rmw, found);
    distinguished(
        start + root + 1,
        &times[root + 1..],
        (time, right),
        rmw,
        found,
    );
}

/// An auditor that forgets nothing.
#[derive(Clone)]
pub(crate) struct SecondAuditor {
    rmw: u64,
    expires: bool,
    times: Vec<u64>,
    log: Vec<HashValue>,
    added: HashMap<HashValue, usize>,
    pub(crate) prefix_root: HashValue,
}

impl SecondAuditor {
    pub(crate) fn new(rmw: u64, expires: bool) -> Self {
        Self {
            rmw,
            expires,
            times: Vec::new(),
            log: Vec::new(),
            added: HashMap::new(),
            prefix_root: NOTHING,
        }
    }

    pub(crate) fn log_root(&self) -> HashValue {
        log_root(&self.log)
    }

    /// The log with one more entry; none if it is not what an honest log has.
    pub(crate) fn apply(&self, update: &AuditorUpdate) -> Option<Self> {
        let mut next = self.clone();
        let time = update.timestamp;
        if self.times.last().is_some_and(|last| time < *last) {
            return None;
        }
        next.times.push(time);
        if !ascending(&update.added) || !ascending(&update.removed) {
            return None;
        }
        let mut tree = shown(update)?;
        if tree.value() != self.prefix_root {
            return None;
        }
        for leaf in &update.removed {
            if !self.was_published(&leaf.vrf_output, &next.times) {
                return None;
            }
            tree.remove(&leaf.vrf_output)?;
        }
        for leaf in &update.added {
            tree.add(*leaf)?;
            next.added.insert(leaf.vrf_output, self.times.len());
        }
        next.prefix_root = tree.prune().value();
        next.log
            .push(hash(&[&time.to_be_bytes(), &next.prefix_root]));
        Some(next)
    }

    /// Whether a key's leaf was in a distinguished entry to the left of the newest one.
    fn was_published(&self, key: &HashValue, times: &[u64]) -> bool {
        let (Some(added), Some(rightmost)) = (self.added.get(key), times.last()) else {
            return false;
        };
        let mut published = false;
        let mut found = |at| published |= *added <= at && at + 1 < times.len();
        distinguished(0, times, (0, *rightmost), self.rmw, &mut found);
        self.expires && published
    }
}
