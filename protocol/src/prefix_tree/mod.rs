//! The prefix tree (sections "Prefix Tree" of "Tree Construction", "Cryptographic Computations"
//! and "Tree Proofs").
//!
//! The draft leaves two shapes open; this is the canonical form used here. The root of an empty
//! tree is the stand-in value (all zero). A subtree that holds one key is that key's leaf, however
//! high it stands: the root of a tree with one key is its leaf, at depth 0.
//!
//! [`evaluate`] is the verifier. The log's side keeps every version of the tree as [`LeafPath`]s
//! ([`insert`], [`prove`]).

mod evaluate;
mod insert;
mod leaf_path;
mod prove;

pub use evaluate::{Lookup, PrefixProofError, evaluate, evaluate_added};
pub use insert::{InsertError, Inserted, insert};
pub use leaf_path::{LeafId, LeafPath, LeafPaths, Node, PathError};
pub use prove::prove;

use crate::suite::{NH, sha256};
use crate::wire::{HashValue, PrefixLeaf};

/// The value of a child that does not exist, and the root of an empty tree.
pub const STAND_IN: HashValue = [0; NH];

/// The value of a leaf.
pub fn leaf_value(leaf: &PrefixLeaf) -> HashValue {
    sha256(&[&[0x02], &leaf.vrf_output, &leaf.commitment])
}

/// The value of a parent.
pub fn parent_value(left: &HashValue, right: &HashValue) -> HashValue {
    sha256(&[&[0x03], left, right])
}

/// Bit `depth` of a key, the most significant first: false goes left. False beyond the key.
pub(crate) fn bit(key: &HashValue, depth: usize) -> bool {
    key.get(depth / 8)
        .is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

/// The value of the parent at `depth` of a child on the path of `key` and that child's sibling.
pub(crate) fn join(
    key: &HashValue,
    depth: usize,
    child: &HashValue,
    sibling: &HashValue,
) -> HashValue {
    if bit(key, depth) {
        parent_value(sibling, child)
    } else {
        parent_value(child, sibling)
    }
}
