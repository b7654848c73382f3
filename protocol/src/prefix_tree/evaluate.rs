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
    /// A leaf that is to be added is in the tree already.
    #[error("a leaf that is to be added is shown to be in the prefix tree already")]
    AlreadyIncluded,
    /// A leaf that is to be removed is not in the tree.
    #[error("a leaf that is to be removed is shown not to be in the prefix tree")]
    NotIncluded,
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
    let ends = lookups
        .iter()
        .zip(&proof.results)
        .map(|(lookup, result)| End::new(lookup, result))
        .collect::<Result<Vec<_>, _>>()?;
    fold(ends, proof, &|ends, _| {
        Ok(ends.first().map_or(STAND_IN, |end| end.value))
    })
}

/// Computes the roots before and after adding the leaves of `added` to the prefix tree and removing
/// those of `removed` from it, each in ascending order of key, as `proof` says (section "Auditing",
/// steps 3, 4, 6 and 7). The proof's results are those of `added`, then those of `removed`.
pub fn evaluate_changes(
    added: &[PrefixLeaf],
    removed: &[PrefixLeaf],
    proof: &PrefixProof,
) -> Result<(HashValue, HashValue), PrefixProofError> {
    let expected = added.len().saturating_add(removed.len());
    if expected != proof.results.len() {
        let found = proof.results.len();
        return Err(PrefixProofError::Results { found, expected });
    }
    let (of_added, of_removed) = proof.results.split_at(added.len());
    let mut ends = removed
        .iter()
        .zip(of_removed)
        .map(|(leaf, result)| End::removed(leaf, result))
        .collect::<Result<Vec<_>, _>>()?;
    for (leaf, result) in added.iter().zip(of_added) {
        let same = removed.binary_search_by_key(&leaf.vrf_output, |other| other.vrf_output);
        match same.ok().and_then(|index| ends.get_mut(index)) {
            Some(end) if usize::from(result.depth()) == end.depth && result.is_inclusion() => {
                end.added = Some(*leaf);
            }
            Some(_) => return Err(PrefixProofError::Contradiction),
            None => ends.push(End::added(leaf, result)?),
        }
    }
    let Both(before, after) = fold(ends, proof, &|ends, depth| {
        let Some(first) = ends.first() else {
            return Ok(Both(STAND_IN, STAND_IN));
        };
        let mut leaves: Vec<PrefixLeaf> = ends.iter().filter_map(|end| end.added).collect();
        let is_removed = ends.iter().any(|end| end.removed);
        leaves.extend(first.found.filter(|_| !is_removed));
        leaves.sort_unstable_by_key(|leaf| leaf.vrf_output);
        Ok(Both(first.value, subtree(&leaves, depth)?))
    })?;
    Ok((before, after))
}

/// The value of the subtree at `depth` that holds these leaves, sorted by key, and no others.
fn subtree(leaves: &[PrefixLeaf], depth: usize) -> Result<HashValue, PrefixProofError> {
    match leaves {
        [] => Ok(STAND_IN),
        [leaf] => Ok(leaf_value(leaf)),
        _ if depth >= usize::from(u8::MAX) => Err(PrefixProofError::Contradiction),
        _ => {
            let middle = leaves.partition_point(|leaf| !bit(&leaf.vrf_output, depth));
            let (left, right) = leaves.split_at(middle);
            let below = depth.saturating_add(1);
            Ok(parent_value(
                &subtree(left, below)?,
                &subtree(right, below)?,
            ))
        }
    }
}

/// What is computed for each node.
trait Value: Copy {
    fn element(value: HashValue) -> Self;
    fn parent(left: Self, right: Self) -> Self;
}

impl Value for HashValue {
    fn element(value: HashValue) -> Self {
        value
    }
    fn parent(left: Self, right: Self) -> Self {
        parent_value(&left, &right)
    }
}

/// A node's values in two versions of the tree.
#[derive(Clone, Copy)]
struct Both(HashValue, HashValue);

impl Value for Both {
    fn element(value: HashValue) -> Self {
        Self(value, value)
    }
    fn parent(left: Self, right: Self) -> Self {
        let after = match (left.1, right.1) {
            (STAND_IN, STAND_IN) => STAND_IN,
            (left, right) => parent_value(&left, &right),
        };
        Self(parent_value(&left.0, &right.0), after)
    }
}

/// Where the search for a key ends, and the value of the node there.
struct End {
    key: HashValue,
    depth: usize,
    value: HashValue,
    /// The other leaf that the search found there.
    found: Option<PrefixLeaf>,
    /// The leaf to add.
    added: Option<PrefixLeaf>,
    /// Whether the leaf that the search found is to be removed.
    removed: bool,
}

impl End {
    fn new(lookup: &Lookup, result: &PrefixSearchResult) -> Result<Self, PrefixProofError> {
        let key = lookup.vrf_output;
        let depth = usize::from(result.depth());
        let mut found = None;
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
                found = Some(*leaf);
                leaf_value(leaf)
            }
            PrefixSearchResult::NonInclusionParent { .. } => STAND_IN,
        };
        Ok(Self {
            key,
            depth,
            value,
            found,
            added: None,
            removed: false,
        })
    }

    /// Where a leaf goes that is not in the tree.
    fn added(leaf: &PrefixLeaf, result: &PrefixSearchResult) -> Result<Self, PrefixProofError> {
        if result.is_inclusion() {
            return Err(PrefixProofError::AlreadyIncluded);
        }
        let lookup = Lookup {
            vrf_output: leaf.vrf_output,
            commitment: None,
        };
        Ok(Self {
            added: Some(*leaf),
            ..Self::new(&lookup, result)?
        })
    }

    /// Where a leaf is that goes.
    fn removed(leaf: &PrefixLeaf, result: &PrefixSearchResult) -> Result<Self, PrefixProofError> {
        if !result.is_inclusion() {
            return Err(PrefixProofError::NotIncluded);
        }
        let lookup = Lookup {
            vrf_output: leaf.vrf_output,
            commitment: Some(leaf.commitment),
        };
        Ok(Self {
            removed: true,
            ..Self::new(&lookup, result)?
        })
    }
}

/// The value of the root over all of `ends`; uses the proof's elements up. `end` gives the value of
/// the node at a depth where searches end.
fn fold<V: Value>(
    mut ends: Vec<End>,
    proof: &PrefixProof,
    end: &impl Fn(&[End], usize) -> Result<V, PrefixProofError>,
) -> Result<V, PrefixProofError> {
    ends.sort_unstable_by_key(|end| end.key);
    let mut neighbours = ends.iter().zip(ends.iter().skip(1));
    if neighbours.any(|(a, b)| a.key == b.key) {
        return Err(PrefixProofError::DuplicateKey);
    }
    let mut elements = proof.elements.iter();
    let root = fold_node(&ends, 0, &mut elements, end)?;
    match elements.next() {
        None => Ok(root),
        Some(_) => Err(PrefixProofError::Elements("many")),
    }
}

/// The value of the node at `depth` under which all of `ends` lie. The recursion is at most 256
/// deep, the greatest depth a result can name plus one.
fn fold_node<'a, V: Value>(
    ends: &[End],
    depth: usize,
    elements: &mut impl Iterator<Item = &'a HashValue>,
    end: &impl Fn(&[End], usize) -> Result<V, PrefixProofError>,
) -> Result<V, PrefixProofError> {
    let Some(first) = ends.first() else {
        let element = elements.next().ok_or(PrefixProofError::Elements("few"))?;
        return Ok(V::element(*element));
    };
    if ends.iter().any(|end| end.depth <= depth) {
        let same = |end: &End| end.depth == depth && end.value == first.value;
        return match ends.iter().all(same) {
            true => end(ends, depth),
            false => Err(PrefixProofError::Contradiction),
        };
    }
    let (left, right) = ends.split_at(ends.partition_point(|end| !bit(&end.key, depth)));
    let below = depth.saturating_add(1);
    let left = fold_node(left, below, elements, end)?;
    let right = fold_node(right, below, elements, end)?;
    Ok(V::parent(left, right))
}
