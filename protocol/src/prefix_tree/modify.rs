//! Adding and removing a batch of leaves: the next version of the tree.

use std::collections::BTreeMap;
use std::ops::Deref;

use thiserror::Error;

use crate::prefix_tree::{
    LeafId, LeafPath, LeafPaths, Node, STAND_IN, bit, leaf_value, parent_value,
};
use crate::wire::{HashValue, PrefixLeaf};

/// The new version of the tree.
#[derive(Debug)]
pub struct Modified {
    /// Its root; none if the tree is empty.
    pub root: Option<Node>,
    /// The records of the changes, ascending by id.
    pub paths: Vec<(LeafId, LeafPath)>,
}

/// Why a batch cannot be applied. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ModifyError {
    /// A key is already in the tree, or twice in the batch.
    #[error("the VRF output is already in the prefix tree")]
    Duplicate,
    /// A leaf that is to be removed is not in the tree.
    #[error("the leaf to be removed is not in the prefix tree")]
    Missing,
    /// Two keys agree in their first 255 bits: a proof could not name the depth of their leaves.
    #[error("two VRF outputs share a prefix longer than a proof can express")]
    TooDeep,
}

/// Adds the leaves of `added` to the version whose root is `root`, and removes those of `removed`
/// from it; no key may be in both. The changes get the ids from `next_id` on, in the order given,
/// those of `added` first.
pub fn modify<P>(
    paths: &P,
    root: Option<Node>,
    added: &[PrefixLeaf],
    removed: &[PrefixLeaf],
    next_id: LeafId,
) -> Result<Modified, P::Error>
where
    P: LeafPaths,
    P::Error: From<ModifyError>,
{
    let added = added.iter().map(|leaf| (*leaf, false));
    let changes = added.chain(removed.iter().map(|leaf| (*leaf, true)));
    let mut batch: Vec<Change> = (next_id..)
        .zip(changes)
        .map(|(id, (leaf, removed))| Change { id, leaf, removed })
        .collect();
    if batch.is_empty() {
        let paths = Vec::new();
        return Ok(Modified { root, paths });
    }
    batch.sort_unstable_by_key(|change| change.leaf.vrf_output);
    let mut modifier = Modifier {
        paths,
        new: batch.iter().map(Change::record).collect(),
    };
    let from = match root {
        None => Old::Nothing,
        Some(node) => modifier.enter(node, 0)?,
    };
    let (root, _) = modifier.modify(from, 0, &batch)?;
    let paths = modifier
        .new
        .into_iter()
        .map(|(id, mut path)| {
            path.siblings.reverse();
            (id, path)
        })
        .collect();
    Ok(Modified { root, paths })
}

/// A leaf to be added or removed.
#[derive(Clone, Copy)]
struct Change {
    id: LeafId,
    leaf: PrefixLeaf,
    removed: bool,
}

impl Change {
    fn record(&self) -> (LeafId, LeafPath) {
        let path = LeafPath {
            leaf: self.leaf,
            removed: self.removed,
            top: 0,
            siblings: Vec::new(),
        };
        (self.id, path)
    }

    fn is_of(&self, leaf: &PrefixLeaf) -> bool {
        self.leaf.vrf_output == leaf.vrf_output
    }
}

struct Modifier<'p, P> {
    paths: &'p P,
    /// Records under construction, siblings from the leaf upward.
    new: BTreeMap<LeafId, LeafPath>,
}

/// The subtree of the old version that changes go into.
enum Old<R> {
    Nothing,
    /// A node on the path of a record, which is entered here or above.
    Path {
        id: LeafId,
        record: R,
    },
}

impl<R: Deref<Target = LeafPath>> Old<R> {
    /// The record's own leaf, if that is all there is at `depth`.
    fn leaf(&self, depth: usize) -> Option<PrefixLeaf> {
        match self {
            Self::Path { record, .. } if depth >= record.depth() => record.occupant(),
            _ => None,
        }
    }

    /// The same subtree, unless it is a vacant place.
    fn unless_vacant(self, depth: usize) -> Self {
        match self {
            Self::Path { record, .. } if record.removed && depth >= record.depth() => Self::Nothing,
            other => other,
        }
    }
}

/// The new node at some place, none if it is vacant, and the record that holds the path to it.
type Place = (Option<Node>, LeafId);

impl<'p, P> Modifier<'p, P>
where
    P: LeafPaths,
    P::Error: From<ModifyError>,
{
    fn enter(&self, node: Node, depth: usize) -> Result<Old<P::Path<'p>>, P::Error> {
        let record = self.paths.leaf_path(node.id)?;
        record.enter(node.id, depth)?;
        Ok(Old::Path {
            id: node.id,
            record,
        })
    }

    /// What is at `depth` after `batch`, which is sorted by key and not empty, went into the
    /// subtree `from`.
    fn modify(
        &mut self,
        from: Old<P::Path<'p>>,
        depth: usize,
        batch: &[Change],
    ) -> Result<Place, P::Error> {
        let from = from.unless_vacant(depth);
        if let Some(old) = from.leaf(depth)
            && let Some(at) = batch.iter().position(|change| change.is_of(&old))
        {
            return self.replace(at, depth, batch);
        }
        if let (Old::Nothing, [change]) = (&from, batch) {
            if change.removed {
                return Err(ModifyError::Missing.into());
            }
            return self.end(Some(leaf_value(&change.leaf)), depth, change.id);
        }
        let below = depth.saturating_add(1);
        if below > usize::from(u8::MAX) {
            let mut neighbours = batch.iter().zip(batch.iter().skip(1));
            return Err(match neighbours.any(|(a, b)| a.is_of(&b.leaf)) {
                true => ModifyError::Duplicate.into(),
                false => ModifyError::TooDeep.into(),
            });
        }
        let (left, right) =
            batch.split_at(batch.partition_point(|c| !bit(&c.leaf.vrf_output, depth)));
        let (old_left, old_right) = self.children(from, depth, left, right)?;
        let left = self.child(old_left, below, left)?;
        let right = self.child(old_right, below, right)?;
        self.join(left, right, depth)
    }

    /// What is at `depth` where there was the leaf that the change at `at` is about.
    fn replace(&mut self, at: usize, depth: usize, batch: &[Change]) -> Result<Place, P::Error> {
        let mut rest = batch.to_vec();
        let change = rest.remove(at);
        if !change.removed || rest.iter().any(|other| other.is_of(&change.leaf)) {
            return Err(ModifyError::Duplicate.into());
        }
        let vacant = self.end(None, depth, change.id)?;
        match rest.is_empty() {
            true => Ok(vacant),
            false => self.modify(Old::Nothing, depth, &rest),
        }
    }

    /// A path that ends at `depth`, in a leaf of this value or in a vacant place.
    fn end(
        &mut self,
        value: Option<HashValue>,
        depth: usize,
        id: LeafId,
    ) -> Result<Place, P::Error> {
        self.reaches(id, depth)?;
        Ok((value.map(|value| Node { id, value }), id))
    }

    /// The record reaches up to `depth`.
    fn reaches(&mut self, id: LeafId, depth: usize) -> Result<(), P::Error> {
        if let Some(path) = self.new.get_mut(&id) {
            path.top = u16::try_from(depth).map_err(|_| ModifyError::TooDeep)?;
        }
        Ok(())
    }

    /// The parent at `depth`. It is held by the record of a change below it, of one with a leaf
    /// left below it if there is a choice; the other child becomes a sibling there.
    fn join(
        &mut self,
        left: (Option<Node>, Option<LeafId>),
        right: (Option<Node>, Option<LeafId>),
        depth: usize,
    ) -> Result<Place, P::Error> {
        let candidates = [(left, right.0), (right, left.0)];
        let changed = candidates.map(|((own, holder), other)| Some((own, holder?, other)));
        let mut by_choice: Vec<_> = changed.into_iter().flatten().collect();
        by_choice.sort_by_key(|(own, ..)| own.is_none());
        let Some((own, id, sibling)) = by_choice.first().copied() else {
            return Err(ModifyError::Missing.into());
        };
        self.reaches(id, depth)?;
        if own.is_none() && sibling.is_none() {
            return Ok((None, id));
        }
        if let Some(path) = self.new.get_mut(&id) {
            path.siblings.push(sibling);
        }
        let value = parent_value(&value_of(left.0), &value_of(right.0));
        Ok((Some(Node { id, value }), id))
    }

    /// The children of the old subtree at `depth`: a record to descend into where the batch goes,
    /// else just the node.
    #[allow(clippy::type_complexity)]
    fn children(
        &self,
        from: Old<P::Path<'p>>,
        depth: usize,
        left: &[Change],
        right: &[Change],
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
            match record.values(below).first().copied() {
                None | Some(STAND_IN) => Child::Descend(Old::Nothing),
                Some(value) => Child::Keep(Node { id, value }),
            }
        } else {
            Child::Descend(Old::Path { id, record })
        };
        Ok(if to_right { (other, own) } else { (own, other) })
    }

    /// The node of a child, and the record that holds the path to it if it is a new one.
    fn child(
        &mut self,
        child: Child<P::Path<'p>>,
        depth: usize,
        batch: &[Change],
    ) -> Result<(Option<Node>, Option<LeafId>), P::Error> {
        match child {
            Child::Keep(node) => Ok((Some(node), None)),
            Child::Descend(_) if batch.is_empty() => Ok((None, None)),
            Child::Descend(from) => {
                let (node, id) = self.modify(from, depth, batch)?;
                Ok((node, Some(id)))
            }
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
