//! The log tree (sections "Log Tree" of "Tree Construction", "Cryptographic Computations" and
//! "Tree Proofs").

mod append;
mod batch_proof;
mod subtree;

pub use append::append_leaf;
pub use batch_proof::{BatchProof, BatchProofError, Evaluated, root_of_full_subtrees};
pub use subtree::{Subtree, full_subtrees};

use crate::suite::sha256;
use crate::wire::{HashValue, LogEntry};

/// The value of a leaf: the hash of the encoded [`LogEntry`].
pub fn leaf_value(entry: &LogEntry) -> HashValue {
    sha256(&[&entry.timestamp.to_be_bytes(), &entry.prefix_tree])
}

/// The value of a parent whose children head subtrees of these sizes.
pub fn parent_value(
    left: &HashValue,
    left_size: u64,
    right: &HashValue,
    right_size: u64,
) -> HashValue {
    let tag = |size: u64| [u8::from(size != 1)];
    sha256(&[&tag(left_size), left, &tag(right_size), right])
}
