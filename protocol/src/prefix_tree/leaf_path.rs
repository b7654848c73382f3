//! How the log keeps every version of the prefix tree: one record for each leaf that was added, and
//! one for each that was removed.
//!
//! Adding a leaf changes the nodes on its path, and only those. Its [`LeafPath`] holds that path as
//! it was right after the change, from the leaf up to where the path joins that of another leaf of
//! the same batch: for each level the *sibling*, with its value and the leaf whose record continues
//! there. The record of a removal holds the path to the vacant place in the same way. Any node of
//! any version is then named by a record and a depth, a version of the tree by its root [`Node`],
//! and nothing that was written ever changes while a version refers to it. A batch of k changes to
//! n leaves writes k records of about log2(n) - log2(k) siblings.

use std::ops::Deref;

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::prefix_tree::{STAND_IN, join, leaf_value};
use crate::wire::{HashValue, PrefixLeaf};

/// Names the record of a leaf for ever; assigned in order of the changes, from 1.
pub type LeafId = u64;

/// A node of some version of the tree. Its depth is known to whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The leaf whose record holds the node.
    pub id: LeafId,
    /// The node's value.
    pub value: HashValue,
}

/// A leaf and its path at the time it was added or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPath {
    /// The leaf.
    pub leaf: PrefixLeaf,
    /// Whether the leaf was removed, so that its place is vacant.
    pub removed: bool,
    /// Depth of the highest node that this record holds.
    pub top: u16,
    /// Siblings of the path's nodes at depths `top + 1`, `top + 2`, …; the leaf's own is the last.
    pub siblings: Vec<Option<Node>>,
}

/// Where leaf records come from.
pub trait LeafPaths {
    /// Why a record cannot be had.
    type Error: From<PathError>;
    /// A record, owned, borrowed or shared.
    type Path<'a>: Deref<Target = LeafPath>
    where
        Self: 'a;
    /// The record of a leaf.
    fn leaf_path(&self, id: LeafId) -> Result<Self::Path<'_>, Self::Error>;
}

/// The records contradict each other: the store is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the record of leaf {id} does not hold a node at depth {depth}")]
pub struct PathError {
    /// The record.
    pub id: LeafId,
    /// Where it was entered.
    pub depth: usize,
}

impl LeafPath {
    /// The depth of the leaf, or of the vacant place, at the time of the change. Below it, in later
    /// versions, the leaf stands alone.
    pub fn depth(&self) -> usize {
        usize::from(self.top).saturating_add(self.siblings.len())
    }

    /// The sibling of the path's node at `depth`, for `top < depth <= self.depth()`.
    pub(crate) fn sibling(&self, depth: usize) -> Option<Node> {
        let index = depth.checked_sub(usize::from(self.top).saturating_add(1))?;
        self.siblings.get(index).copied().flatten()
    }

    /// The leaf, unless it was removed.
    pub fn occupant(&self) -> Option<PrefixLeaf> {
        Some(self.leaf).filter(|_| !self.removed)
    }

    /// The values of the path's nodes at `depth` and below: the first is that of the node at
    /// `depth`, the last the leaf's.
    pub fn values(&self, depth: usize) -> Vec<HashValue> {
        let mut value = self.occupant().map_or(STAND_IN, |leaf| leaf_value(&leaf));
        let mut out = vec![value];
        for child in (depth.saturating_add(1)..=self.depth()).rev() {
            let sibling = self.sibling(child).map_or(STAND_IN, |node| node.value);
            value = join(
                &self.leaf.vrf_output,
                child.saturating_sub(1),
                &value,
                &sibling,
            );
            out.push(value);
        }
        out.reverse();
        out
    }

    /// Checks that this record can be entered at `depth`.
    pub(crate) fn enter(&self, id: LeafId, depth: usize) -> Result<(), PathError> {
        if depth < usize::from(self.top) {
            return Err(PathError { id, depth });
        }
        Ok(())
    }
}

/// Set beside `top` in the stored form of a removal.
const REMOVED: u16 = 1 << 15;

// The stored form: leaf, top with the mark of a removal, then for each sibling its leaf (48 bits, 0
// for none) and value.
impl Encode for LeafPath {
    fn encode(&self, w: &mut Writer) {
        self.leaf.encode(w);
        w.u16(self.top | if self.removed { REMOVED } else { 0 });
        for sibling in &self.siblings {
            let id = sibling.map_or(0, |node| node.id);
            match id.to_be_bytes() {
                [0, 0, low @ ..] => w.bytes(&low),
                _ => w.fail("LeafId"),
            }
            if let Some(node) = sibling {
                w.bytes(&node.value);
            }
        }
    }
}

impl Decode<()> for LeafPath {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let leaf = PrefixLeaf::decode(r, &())?;
        let top = r.u16("top")?;
        let mut siblings = Vec::new();
        while !r.is_empty() {
            let [a, b, c, d, e, f] = r.array("LeafId")?;
            siblings.push(match u64::from_be_bytes([0, 0, a, b, c, d, e, f]) {
                0 => None,
                id => Some(Node {
                    id,
                    value: r.array("value")?,
                }),
            });
        }
        Ok(Self {
            leaf,
            removed: top & REMOVED != 0,
            top: top & !REMOVED,
            siblings,
        })
    }
}
