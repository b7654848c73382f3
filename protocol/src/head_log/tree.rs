//! The Merkle tree of RFC 6962, section 2.1: hashes, roots and both kinds of proof.
//!
//! Prover and verifier follow one path through the tree. The prover reads the hash of every subtree
//! beside the path; the verifier takes these hashes from the proof, which must have exactly as many.

use std::iter::zip;
use std::ops::Range;

use thiserror::Error;

use crate::log_tree::{Subtree, full_subtrees};
use crate::suite::sha256;
use crate::wire::HashValue;

/// Why a proof about a tree is refused, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TreeError {
    /// The tree has no leaf of this index.
    #[error("a tree of {size} leaves has no leaf {index}")]
    Index {
        /// Of the leaf, from 0.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The tree that should be the older one has more leaves.
    #[error("a tree of {new} leaves cannot have grown from one of {old}")]
    Shrinks {
        /// Leaves in the older tree.
        old: u64,
        /// Leaves in the newer tree.
        new: u64,
    },
    /// Hashes are missing from the proof, or left over.
    #[error("the proof has {found} hashes, expected {expected}")]
    Length {
        /// In the proof.
        found: usize,
        /// By the sizes.
        expected: usize,
    },
    /// A tree without leaves whose root is not the hash of nothing.
    #[error("the root of an empty tree is not the hash of the empty string")]
    EmptyRoot,
    /// The inclusion proof leads to another root.
    #[error("the inclusion proof does not lead to the root")]
    Inclusion,
    /// The consistency proof leads to another old or new root.
    #[error("the consistency proof does not lead to both roots")]
    Consistency,
    /// A stored compact range has a wrong number of hashes for its size.
    #[error("a compact range of {size} leaves does not have {found} hashes")]
    CompactRange {
        /// Leaves.
        size: u64,
        /// Hashes that were given.
        found: usize,
    },
}

impl TreeError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Index { .. } => "head-log-index",
            Self::Shrinks { .. } => "head-log-shrinks",
            Self::Length { .. } => "head-log-proof-length",
            Self::EmptyRoot => "head-log-empty-root",
            Self::Inclusion => "head-log-inclusion",
            Self::Consistency => "head-log-consistency",
            Self::CompactRange { .. } => "head-log-compact-range",
        }
    }
}

/// A tree as its head states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SizedRoot {
    /// Number of leaves.
    pub size: u64,
    /// Merkle Tree Hash of these leaves.
    pub root: HashValue,
}

impl SizedRoot {
    /// The tree without leaves.
    pub fn empty() -> Self {
        let root = empty_root();
        Self { size: 0, root }
    }

    fn check_empty(&self) -> Result<(), TreeError> {
        match self.size {
            0 if self.root != empty_root() => Err(TreeError::EmptyRoot),
            _ => Ok(()),
        }
    }
}

/// The root of the empty tree: `SHA-256()`.
pub fn empty_root() -> HashValue {
    sha256(&[])
}

/// The hash of a leaf: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> HashValue {
    sha256(&[&[0], entry])
}

/// The hash of a parent: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &HashValue, right: &HashValue) -> HashValue {
    sha256(&[&[1], left, right])
}

/// Where the hashes of balanced subtrees come from.
pub trait HashReader {
    /// Why a hash cannot be had, or cannot exist.
    type Error: From<TreeError>;

    /// The Merkle Tree Hash of a balanced subtree that lies within the log.
    fn hash(&mut self, subtree: Subtree) -> Result<HashValue, Self::Error>;
}

/// The hashes of the balanced subtrees that make up a tree, largest first: all that is needed of a
/// tree to append to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<HashValue>,
}

impl CompactRange {
    /// Takes stored hashes: one for every bit that is set in `size`.
    pub fn new(size: u64, hashes: Vec<HashValue>) -> Result<Self, TreeError> {
        let found = hashes.len();
        match found == full_subtrees(size).len() {
            true => Ok(Self { size, hashes }),
            false => Err(TreeError::CompactRange { size, found }),
        }
    }

    /// Reads the range of the tree of the first `size` leaves.
    pub fn read<R: HashReader>(reader: &mut R, size: u64) -> Result<Self, R::Error> {
        let hashes = full_subtrees(size)
            .into_iter()
            .map(|subtree| reader.hash(subtree))
            .collect::<Result<_, _>>()?;
        Ok(Self { size, hashes })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// One hash for every bit that is set in the size, most significant first.
    pub fn hashes(&self) -> &[HashValue] {
        &self.hashes
    }

    /// Appends a leaf of this hash.
    pub fn push(&mut self, leaf: HashValue) {
        let mut merged = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                merged = node_hash(&left, &merged);
            }
        }
        self.hashes.push(merged);
        self.size = self.size.saturating_add(1);
    }

    /// Size and root of the tree.
    pub fn sized_root(&self) -> SizedRoot {
        SizedRoot {
            size: self.size,
            root: root_of(&self.hashes),
        }
    }
}

/// Checks that `leaf` is the hash of leaf `index` of `tree` (RFC 6962, section 2.1.1).
pub fn verify_inclusion(
    leaf: &HashValue,
    index: u64,
    tree: &SizedRoot,
    proof: &[HashValue],
) -> Result<(), TreeError> {
    let siblings = inclusion_siblings(index, tree.size)?;
    check_length(proof, siblings.len())?;
    let root = zip(&siblings, proof).fold(*leaf, |hash, (at, sibling)| {
        if at.start > index {
            node_hash(&hash, sibling)
        } else {
            node_hash(sibling, &hash)
        }
    });
    match root == tree.root {
        true => Ok(()),
        false => Err(TreeError::Inclusion),
    }
}

/// Proves that leaf `index` is in the tree of the first `size` leaves: one hash for every level
/// that the leaf lies below the root, lowest first.
pub fn prove_inclusion<R: HashReader>(
    reader: &mut R,
    index: u64,
    size: u64,
) -> Result<Vec<HashValue>, R::Error> {
    read_all(reader, &inclusion_siblings(index, size)?)
}

/// Checks that `new` begins with the leaves of `old` (RFC 6962, section 2.1.2).
///
/// Every tree begins with the empty one and with itself; the proofs of that are empty.
pub fn verify_consistency(
    old: &SizedRoot,
    new: &SizedRoot,
    proof: &[HashValue],
) -> Result<(), TreeError> {
    old.check_empty()?;
    new.check_empty()?;
    let ConsistencyPath { start, siblings } = consistency_path(old.size, new.size)?;
    let stated = usize::from(start.is_some());
    check_length(proof, siblings.len().saturating_add(stated))?;
    if old.size == 0 {
        return Ok(());
    }
    let (start, rest) = match (start, proof) {
        (Some(_), [first, rest @ ..]) => (first, rest),
        _ => (&old.root, proof),
    };
    let begin = (*start, *start);
    let roots = zip(&siblings, rest).fold(begin, |(in_old, in_new), (at, sibling)| {
        if at.start >= old.size {
            (in_old, node_hash(&in_new, sibling))
        } else {
            (node_hash(sibling, &in_old), node_hash(sibling, &in_new))
        }
    });
    match roots == (old.root, new.root) {
        true => Ok(()),
        false => Err(TreeError::Consistency),
    }
}

/// Proves that the tree of the first `new` leaves begins with that of the first `old`.
pub fn prove_consistency<R: HashReader>(
    reader: &mut R,
    old: u64,
    new: u64,
) -> Result<Vec<HashValue>, R::Error> {
    let path = consistency_path(old, new)?;
    let subtrees: Vec<_> = path.start.into_iter().chain(path.siblings).collect();
    read_all(reader, &subtrees)
}

fn check_length(proof: &[HashValue], expected: usize) -> Result<(), TreeError> {
    let found = proof.len();
    match found == expected {
        true => Ok(()),
        false => Err(TreeError::Length { found, expected }),
    }
}

/// The subtrees whose hashes are an inclusion proof, in its order.
fn inclusion_siblings(index: u64, size: u64) -> Result<Vec<Range<u64>>, TreeError> {
    if index >= size {
        return Err(TreeError::Index { index, size });
    }
    Ok(walk(index, size, |_| false).1)
}

/// The subtrees whose hashes are a consistency proof.
#[derive(Default)]
struct ConsistencyPath {
    /// The greatest subtree of the new tree that ends where the old tree ends; left out if it is the
    /// old tree.
    start: Option<Range<u64>>,
    /// What is beside the path from there to the root, lowest first.
    siblings: Vec<Range<u64>>,
}

fn consistency_path(old: u64, new: u64) -> Result<ConsistencyPath, TreeError> {
    if old > new {
        return Err(TreeError::Shrinks { old, new });
    }
    let Some(last) = old.checked_sub(1) else {
        return Ok(ConsistencyPath::default());
    };
    let (start, siblings) = walk(last, new, |at| at.end == old);
    Ok(ConsistencyPath {
        start: (start.start != 0).then_some(start),
        siblings,
    })
}

/// Goes down from the root of a tree of `size` leaves towards one of them, until `arrived` or at the
/// leaf. Returns where that is and the subtrees passed by, lowest first.
fn walk(
    leaf: u64,
    size: u64,
    arrived: impl Fn(&Range<u64>) -> bool,
) -> (Range<u64>, Vec<Range<u64>>) {
    let mut at = 0..size;
    let mut siblings = Vec::new();
    while let Some(middle) = split(&at).filter(|_| !arrived(&at)) {
        let (left, right) = (at.start..middle, middle..at.end);
        let (inside, beside) = match leaf < middle {
            true => (left, right),
            false => (right, left),
        };
        siblings.push(beside);
        at = inside;
    }
    siblings.reverse();
    (at, siblings)
}

/// Where a subtree of at least two leaves divides: its left child has the greatest power of two of
/// leaves that is less than its own.
fn split(range: &Range<u64>) -> Option<u64> {
    let leaves = range.end.checked_sub(range.start)?;
    let level = leaves.checked_sub(1)?.checked_ilog2()?;
    range.start.checked_add(1u64.checked_shl(level)?)
}

fn read_all<R: HashReader>(
    reader: &mut R,
    subtrees: &[Range<u64>],
) -> Result<Vec<HashValue>, R::Error> {
    subtrees
        .iter()
        .map(|subtree| range_hash(reader, subtree))
        .collect()
}

/// The hash of a subtree that [`walk`] met: as long as it is not balanced, it is at the right edge.
fn range_hash<R: HashReader>(reader: &mut R, range: &Range<u64>) -> Result<HashValue, R::Error> {
    let leaves = range.end.saturating_sub(range.start);
    let hashes = full_subtrees(leaves)
        .into_iter()
        .map(|Subtree { level, index }| {
            // A walk only meets subtrees whose start is a multiple of every power of two below.
            let offset = range.start.checked_shr(level).unwrap_or(0);
            let index = offset.saturating_add(index);
            reader.hash(Subtree { level, index })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(root_of(&hashes))
}

/// The root of a tree from the hashes of its full subtrees, largest first.
fn root_of(hashes: &[HashValue]) -> HashValue {
    let parent = |right: HashValue, left: &HashValue| node_hash(left, &right);
    match hashes.split_last() {
        Some((last, rest)) => rest.iter().rev().fold(*last, parent),
        None => empty_root(),
    }
}
