//! The prefix tree (sections "Prefix Tree" of "Tree Construction", "Cryptographic Computations"
//! and "Tree Proofs").
//!
//! The draft leaves some shapes open; this is the form used here. The root of an empty tree is the
//! stand-in value (all zero). A new leaf stands as high as there is no other: the root of a tree
//! with one key is its leaf, at depth 0. A leaf that was removed leaves its place vacant, and a
//! parent goes when both its children are; a leaf whose neighbours went stays where it is, since
//! whoever has only a proof cannot tell a leaf from a parent.
//!
//! [`evaluate`] is the verifier, [`evaluate_changes`] the auditor's. The log's side keeps every
//! version of the tree in [`Page`]s ([`modify`], [`prove`]) until it is dropped ([`drop_version`]).

mod drop;
mod evaluate;
mod modify;
mod page;
mod prove;
mod record;

pub use drop::{Dropped, drop_version};
pub use evaluate::{Lookup, PrefixProofError, evaluate, evaluate_changes};
pub use modify::{Modified, ModifyError, NewPage, modify};
pub use page::{Node, Page, PageError, PageId, Pages};
pub use prove::prove;
pub use record::PageRecord;

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
