//! Verifying a `PrefixProof`.

use thiserror::Error;

use crate::prefix_tree::{STAND_IN, bit, leaf_value, parent_value};
use crate::wire::{HashValue, PrefixLeaf, PrefixProof, PrefixSearchResult};

/// A search key, with the commitment that an inclusion result would have to open to.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// The VRF output of the label-version pair.
    pub vrf_output: HashValue,
    /// The commitment, if it is known.
    pub commitment: Option<HashValue>,
}

/// Why a `PrefixProof` does not describe any prefix tree with these search results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PrefixProofError {
    /// There is not one result for each lookup.
    #[error("the prefix proof has {found} results, expected {expected}")]
    Results {
        /// In the proof.
        found: usize,
        /// Lookups made.
        expected: usize,
    },
    /// There are too few or too many elements.
    #[error("the prefix proof has too {0} elements")]
    Elements(&'static str),
    /// The same key was looked up twice in one proof.
    #[error("the same VRF output is looked up twice in one prefix proof")]
    DuplicateKey,
    /// An inclusion result for a version whose commitment was not provided.
    #[error("a version is shown to be included but its commitment is not provided")]
    NoCommitment,
    /// A `nonInclusionLeaf` result whose leaf is the key searched for, or does not lie on its path.
    #[error("the leaf given as proof of non-inclusion is not one that the search would end at")]
    UnrelatedLeaf,
    /// Two results place different nodes at one place, or one below another.
    #[error("search results of one prefix proof contradict each other")]
    Contradiction,
}

/// Computes the root of the prefix tree in which `lookups` end as `proof` says, in time
/// proportional to the proof.
pub fn evaluate(lookups: &[Lookup], proof: &PrefixProof) -> Result<HashValue, PrefixProofError> {
    if lookups.len() != proof.results.len() {
        return Err(PrefixProofError::Results {
            found: proof.results.len(),
            expected: lookups.len(),
        });
    }
    let mut ends = lookups
        .iter()
        .zip(&proof.results)
        .map(|(lookup, result)| End::new(lookup, result))
        .collect::<Result<Vec<_>, _>>()?;
    ends.sort_unstable_by_key(|end| end.key);
    let mut neighbours = ends.iter().zip(ends.iter().skip(1));
    if neighbours.any(|(a, b)| a.key == b.key) {
        return Err(PrefixProofError::DuplicateKey);
    }
    let mut elements = proof.elements.iter();
    let root = fold(&ends, 0, &mut elements)?;
    match elements.next() {
        None => Ok(root),
        Some(_) => Err(PrefixProofError::Elements("many")),
    }
}

/// Where the search for a key ends, and the value of the node there.
struct End {
    key: HashValue,
    depth: usize,
    value: HashValue,
}

impl End {
    fn new(lookup: &Lookup, result: &PrefixSearchResult) -> Result<Self, PrefixProofError> {
        let key = lookup.vrf_output;
        let depth = usize::from(result.depth());
        let value = match result {
            PrefixSearchResult::Inclusion { .. } => leaf_value(&PrefixLeaf {
                vrf_output: key,
                commitment: lookup.commitment.ok_or(PrefixProofError::NoCommitment)?,
            }),
            PrefixSearchResult::NonInclusionLeaf { leaf, .. } => {
                let on_path = (0..depth).all(|d| bit(&key, d) == bit(&leaf.vrf_output, d));
                if leaf.vrf_output == key || !on_path {
                    return Err(PrefixProofError::UnrelatedLeaf);
                }
                leaf_value(leaf)
            }
            PrefixSearchResult::NonInclusionParent { .. } => STAND_IN,
        };
        Ok(Self { key, depth, value })
    }
}

/// The value of the node at `depth` under which all of `ends` (sorted by key) lie. The recursion
/// is at most 256 deep, the greatest depth a result can name plus one.
fn fold<'a>(
    ends: &[End],
    depth: usize,
    elements: &mut impl Iterator<Item = &'a HashValue>,
) -> Result<HashValue, PrefixProofError> {
    let Some(first) = ends.first() else {
        return elements
            .next()
            .copied()
            .ok_or(PrefixProofError::Elements("few"));
    };
    if ends.iter().any(|end| end.depth <= depth) {
        let same = |end: &End| end.depth == depth && end.value == first.value;
        return if ends.iter().all(same) {
            Ok(first.value)
        } else {
            Err(PrefixProofError::Contradiction)
        };
    }
    let (left, right) = ends.split_at(ends.partition_point(|end| !bit(&end.key, depth)));
    let below = depth.saturating_add(1);
    let left = fold(left, below, elements)?;
    let right = fold(right, below, elements)?;
    Ok(parent_value(&left, &right))
}
