//! Inserting a batch of leaves into a version of the tree.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::prefix_tree::{
    LeafId, LeafPath, LeafPaths, Node, STAND_IN, bit, leaf_value, parent_value,
};
use crate::wire::{HashValue, PrefixLeaf};

/// The new version of the tree.
#[derive(Debug)]
pub struct Inserted {
    /// Its root; none if the tree is still empty.
    pub root: Option<Node>,
    /// The records of the new leaves, ascending by id.
    pub paths: Vec<(LeafId, LeafPath)>,
}

/// Why a batch cannot be inserted. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InsertError {
    /// A key is already in the tree, or twice in the batch.
    #[error("the VRF output is already in the prefix tree")]
    Duplicate,
    /// Two keys agree in their first 255 bits: a proof could not name the depth of their leaves.
    #[error("two VRF outputs share a prefix longer than a proof can express")]
    TooDeep,
}

/// Inserts `leaves` into the version whose root is `root`. The leaves get the ids from `next_id`
/// on, in the order given.
pub fn insert<P>(
    paths: &P,
    root: Option<Node>,
    leaves: &[PrefixLeaf],
    next_id: LeafId,
) -> Result<Inserted, P::Error>
where
    P: LeafPaths,
    P::Error: From<InsertError>,
{
    if leaves.is_empty() {
        let paths = Vec::new();
        return Ok(Inserted { root, paths });
    }
    let mut batch: Vec<(LeafId, PrefixLeaf)> = (next_id..).zip(leaves.iter().copied()).collect();
    batch.sort_unstable_by_key(|(_, leaf)| leaf.vrf_output);
    let mut inserter = Inserter {
        paths,
        new: BTreeMap::new(),
    };
    let from = match root {
        None => Old::Nothing,
        Some(node) => inserter.enter(node, 0)?,
    };
    let root = inserter.insert(from, 0, &batch)?;
    let paths = inserter
        .new
        .into_iter()
        .map(|(id, mut path)| {
            path.siblings.reverse();
            (id, path)
        })
        .collect();
    Ok(Inserted { root, paths })
}

struct Inserter<'p, P> {
    paths: &'p P,
    /// Records under construction, siblings from the leaf upward.
    new: BTreeMap<LeafId, LeafPath>,
}

/// The subtree of the old version that new leaves go into.
enum Old<R> {
    Nothing,
    /// A node on the path of a record, which is entered here or above.
    Path {
        id: LeafId,
        record: R,
    },
}

impl<'p, P> Inserter<'p, P>
where
    P: LeafPaths,
    P::Error: From<InsertError>,
{
    fn enter(&self, node: Node, depth: usize) -> Result<Old<P::Path<'p>>, P::Error> {
        let record = self.paths.leaf_path(node.id)?;
        record.enter(node.id, depth)?;
        Ok(Old::Path {
            id: node.id,
            record,
        })
    }

    /// The node at `depth` after `batch` (sorted by key) went into the subtree `from`.
    fn insert(
        &mut self,
        from: Old<P::Path<'p>>,
        depth: usize,
        batch: &[(LeafId, PrefixLeaf)],
    ) -> Result<Option<Node>, P::Error> {
        let (old, old_leaf) = match &from {
            Old::Nothing => (None, None),
            Old::Path { id, record } if depth >= record.depth() => (None, Some((*id, record.leaf))),
            Old::Path { id, record } => (Some((*id, record)), None),
        };
        match (old_leaf, batch) {
            (None, []) if old.is_none() => return Ok(None),
            (Some((id, leaf)), []) => {
                return Ok(Some(Node {
                    id,
                    value: leaf_value(&leaf),
                }));
            }
            (None, [(id, leaf)]) if old.is_none() => {
                let top = u16::try_from(depth).map_err(|_| InsertError::TooDeep)?;
                self.new.insert(
                    *id,
                    LeafPath {
                        leaf: *leaf,
                        top,
                        siblings: Vec::new(),
                    },
                );
                return Ok(Some(Node {
                    id: *id,
                    value: leaf_value(leaf),
                }));
            }
            (Some((_, old)), batch)
                if batch.iter().any(|(_, l)| l.vrf_output == old.vrf_output) =>
            {
                return Err(InsertError::Duplicate.into());
            }
            _ => {}
        }
        let below = depth.saturating_add(1);
        if below > usize::from(u8::MAX) {
            let duplicate = batch
                .iter()
                .zip(batch.iter().skip(1))
                .any(|((_, a), (_, b))| a.vrf_output == b.vrf_output);
            return Err(if duplicate {
                InsertError::Duplicate
            } else {
                InsertError::TooDeep
            }
            .into());
        }
        let (left, right) =
            batch.split_at(batch.partition_point(|(_, leaf)| !bit(&leaf.vrf_output, depth)));
        let (old_left, old_right) = self.children(from, depth, left, right)?;
        let left_node = self.child(old_left, below, left)?;
        let right_node = self.child(old_right, below, right)?;
        let value = parent_value(&value_of(left_node), &value_of(right_node));
        // The new parent is held by the record of a new leaf below it, the left one if there is a
        // choice; the other child becomes a sibling there.
        let (owner, sibling) = if left.is_empty() {
            (right_node, left_node)
        } else {
            (left_node, right_node)
        };
        let Some(owner) = owner else { return Ok(None) };
        if let Some(path) = self.new.get_mut(&owner.id) {
            path.siblings.push(sibling);
            path.top = u16::try_from(depth).map_err(|_| InsertError::TooDeep)?;
        }
        Ok(Some(Node {
            id: owner.id,
            value,
        }))
    }

    /// The children of the old subtree at `depth`: a record to descend into where the batch goes,
    /// else just the node.
    #[allow(clippy::type_complexity)]
    fn children(
        &self,
        from: Old<P::Path<'p>>,
        depth: usize,
        left: &[(LeafId, PrefixLeaf)],
        right: &[(LeafId, PrefixLeaf)],
    ) -> Result<(Child<P::Path<'p>>, Child<P::Path<'p>>), P::Error> {
        let Old::Path { id, record } = from else {
            return Ok((Child::Descend(Old::Nothing), Child::Descend(Old::Nothing)));
        };
        let below = depth.saturating_add(1);
        let to_right = bit(&record.leaf.vrf_output, depth);
        let (own_batch, other_batch) = if to_right {
            (right, left)
        } else {
            (left, right)
        };
        let other = match record.sibling(below) {
            None => Child::Descend(Old::Nothing),
            Some(node) if other_batch.is_empty() => Child::Keep(node),
            Some(node) => Child::Descend(self.enter(node, below)?),
        };
        let own = if own_batch.is_empty() {
            let value = record.values(below).first().copied().unwrap_or(STAND_IN);
            Child::Keep(Node { id, value })
        } else {
            Child::Descend(Old::Path { id, record })
        };
        Ok(if to_right { (other, own) } else { (own, other) })
    }

    fn child(
        &mut self,
        child: Child<P::Path<'p>>,
        depth: usize,
        batch: &[(LeafId, PrefixLeaf)],
    ) -> Result<Option<Node>, P::Error> {
        match child {
            Child::Keep(node) => Ok(Some(node)),
            Child::Descend(from) => self.insert(from, depth, batch),
        }
    }
}

enum Child<R> {
    Keep(Node),
    Descend(Old<R>),
}

fn value_of(node: Option<Node>) -> HashValue {
    node.map_or(STAND_IN, |node| node.value)
}
