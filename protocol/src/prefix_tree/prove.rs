//! Producing a `PrefixProof` from a version of the tree.

use crate::prefix_tree::bit;
use crate::prefix_tree::page::{
    Body, Inner, Leaf, Node, Pages, Place, SLOTS, lone, split, value_of,
};
use crate::wire::{HashValue, PrefixProof, PrefixSearchResult};

/// Looks up `keys` in the version whose root is `root`: one batch proof, results in the order of
/// the keys.
pub fn prove<P: Pages>(
    pages: &P,
    root: Option<Node>,
    keys: &[HashValue],
) -> Result<PrefixProof, P::Error> {
    let mut sorted: Vec<(usize, HashValue)> = keys.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, key)| *key);
    let mut prover = Prover {
        pages,
        results: Vec::with_capacity(keys.len()),
        elements: Vec::new(),
    };
    match root {
        Some(root) => prover.page(root, 0, &sorted)?,
        None => prover.leaves(&[], 0, &sorted),
    }
    prover.results.sort_unstable_by_key(|(index, _)| *index);
    Ok(PrefixProof {
        results: prover
            .results
            .into_iter()
            .map(|(_, result)| result)
            .collect(),
        elements: prover.elements,
    })
}

/// Keys, ascending, with their places in the request.
type Keys<'k> = &'k [(usize, HashValue)];

fn split_keys(keys: Keys<'_>, depth: usize) -> (Keys<'_>, Keys<'_>) {
    keys.split_at(keys.partition_point(|(_, key)| !bit(key, depth)))
}

struct Prover<'p, P> {
    pages: &'p P,
    results: Vec<(usize, PrefixSearchResult)>,
    elements: Vec<HashValue>,
}

impl<P: Pages> Prover<'_, P> {
    /// Searches for keys in the page at `depth`.
    fn page(&mut self, node: Node, depth: usize, keys: Keys<'_>) -> Result<(), P::Error> {
        if keys.is_empty() {
            self.elements.push(node.value);
            return Ok(());
        }
        let page = self.pages.page(node.id)?;
        match &page.enter(node.id, depth)?.body {
            Body::Leaves(leaves) => self.leaves(leaves, depth, keys),
            Body::Inner(inner) => self.inner(inner, 1, depth, keys)?,
        }
        Ok(())
    }

    /// Searches below a place of a page.
    fn inner(
        &mut self,
        inner: &Inner,
        place: usize,
        depth: usize,
        keys: Keys<'_>,
    ) -> Result<(), P::Error> {
        if keys.is_empty() {
            self.elements.push(inner.value(place));
            return Ok(());
        }
        match inner.at(place) {
            Place::Vacant => self.leaves(&[], depth, keys),
            Place::Child(child) if place >= SLOTS => self.page(child.node, depth, keys)?,
            Place::Child(child) => {
                let page = self.pages.page(child.node.id)?;
                self.leaves(page.lone(child.node.id)?, depth, keys);
            }
            Place::Parent => {
                let (left, right) = split_keys(keys, depth);
                let (below, first) = (depth.saturating_add(1), place.saturating_mul(2));
                self.inner(inner, first, below, left)?;
                self.inner(inner, first.saturating_add(1), below, right)?;
            }
        }
        Ok(())
    }

    /// Searches in the subtree at `depth` that has these leaves and no others.
    fn leaves(&mut self, leaves: &[Leaf], depth: usize, keys: Keys<'_>) {
        if keys.is_empty() {
            self.elements.push(value_of(leaves, depth));
            return;
        }
        let standing = lone(leaves, depth);
        if leaves.is_empty() || standing.is_some() {
            let depth = wire_depth(depth);
            let results = keys.iter().map(|(index, key)| {
                let result = match standing {
                    None => PrefixSearchResult::NonInclusionParent { depth },
                    Some(Leaf { leaf, .. }) if leaf.vrf_output == *key => {
                        PrefixSearchResult::Inclusion { depth }
                    }
                    Some(Leaf { leaf, .. }) => {
                        let leaf = *leaf;
                        PrefixSearchResult::NonInclusionLeaf { leaf, depth }
                    }
                };
                (*index, result)
            });
            self.results.extend(results);
            return;
        }
        let (left, right) = split_keys(keys, depth);
        let (of_left, of_right) = split(leaves, depth);
        let below = depth.saturating_add(1);
        self.leaves(of_left, below, left);
        self.leaves(of_right, below, right);
    }
}

/// Insertion keeps every leaf at a depth that fits.
fn wire_depth(depth: usize) -> u8 {
    u8::try_from(depth).unwrap_or(u8::MAX)
}
