//! Dropping a version of the tree that nobody will ask for again.

use std::collections::BTreeMap;

use crate::prefix_tree::{LeafId, LeafPath, LeafPaths, Node, bit};
use crate::suite::NH;
use crate::wire::HashValue;

/// What is left of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// Only nodes at this depth and below are still referred to.
    Above(u16),
    /// Nothing.
    Whole,
}

/// Adds to `dropped` what only the version whose root is `root` refers to, given the records that
/// made the next version of it. Versions are dropped in their order, the oldest first.
pub fn drop_version<'c, P: LeafPaths>(
    paths: &P,
    root: Option<Node>,
    next: impl IntoIterator<Item = (LeafId, &'c LeafPath)>,
    dropped: &mut BTreeMap<LeafId, Dropped>,
) -> Result<(), P::Error> {
    for (id, change) in next {
        // Nothing refers to the record of a removal without siblings.
        if change.removed && change.siblings.is_empty() {
            dropped.insert(id, Dropped::Whole);
        }
        drop_path(paths, root, &change.leaf.vrf_output, dropped)?;
    }
    Ok(())
}

/// The nodes on the path of a key that changed are not in the next version.
fn drop_path<P: LeafPaths>(
    paths: &P,
    root: Option<Node>,
    key: &HashValue,
    dropped: &mut BTreeMap<LeafId, Dropped>,
) -> Result<(), P::Error> {
    let (mut next, mut depth) = (root, 0);
    while let Some(node) = next {
        let record = paths.leaf_path(node.id)?;
        record.enter(node.id, depth)?;
        let parts = parting(key, &record.leaf.vrf_output);
        let gone = match parts {
            // The key is that of the leaf, which was removed; or it took a vacant place.
            None => Dropped::Whole,
            Some(at) if at >= record.depth() && record.removed => Dropped::Whole,
            // The leaf stands further down now, beside the key.
            Some(at) if at >= record.depth() => above(record.depth()),
            Some(at) => above(at.saturating_add(1)),
        };
        let known = dropped.entry(node.id).or_insert(gone);
        *known = gone.max(*known);
        depth = parts.unwrap_or(usize::MAX).saturating_add(1);
        next = record.sibling(depth).filter(|_| depth <= record.depth());
    }
    Ok(())
}

/// The depth of the last common node on the paths of two keys; none if they are the same.
fn parting(a: &HashValue, b: &HashValue) -> Option<usize> {
    (0..NH.saturating_mul(8)).find(|depth| bit(a, *depth) != bit(b, *depth))
}

fn above(depth: usize) -> Dropped {
    Dropped::Above(u16::try_from(depth).unwrap_or(u16::MAX))
}

impl LeafPath {
    /// What is left of a record, if anything.
    pub fn without(mut self, dropped: Dropped) -> Option<Self> {
        let Dropped::Above(top) = dropped else {
            return None;
        };
        let gone = usize::from(top.saturating_sub(self.top)).min(self.siblings.len());
        self.siblings.drain(..gone);
        self.top = self.top.max(top);
        let referred = !(self.removed && self.siblings.is_empty());
        referred.then_some(self)
    }
}
