//! Adding a leaf to the log tree.

use crate::log_tree::{Subtree, full_subtrees, parent_value};
use crate::wire::HashValue;

/// Adds a leaf to the tree of `size` leaves whose full subtrees have these heads. Returns the heads
/// of the new full subtrees, left to right, and of every balanced subtree that is now complete.
pub fn append_leaf(
    size: u64,
    heads: &[HashValue],
    leaf: HashValue,
) -> (Vec<HashValue>, Vec<(Subtree, HashValue)>) {
    // Like adding one to a binary number: full subtrees of equal size merge from the right.
    let mut heads: Vec<(Subtree, HashValue)> = full_subtrees(size)
        .into_iter()
        .zip(heads.iter().copied())
        .collect();
    let mut merged = (Subtree::leaf(size), leaf);
    let mut complete = vec![merged];
    while let Some((left, value)) = heads
        .last()
        .copied()
        .filter(|(l, _)| l.level == merged.0.level)
    {
        heads.pop();
        merged = (
            Subtree {
                level: left.level.saturating_add(1),
                index: left.index / 2,
            },
            parent_value(&value, left.size(), &merged.1, left.size()),
        );
        complete.push(merged);
    }
    heads.push(merged);
    (
        heads.into_iter().map(|(_, value)| value).collect(),
        complete,
    )
}
