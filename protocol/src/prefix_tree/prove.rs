//! Producing a `PrefixProof` from a version of the tree.

use crate::prefix_tree::{LeafPath, LeafPaths, Node, STAND_IN, bit};
use crate::wire::{HashValue, PrefixProof, PrefixSearchResult};

/// Looks up `keys` in the version whose root is `root`: one batch proof, results in the order of
/// the keys.
pub fn prove<P: LeafPaths>(
    paths: &P,
    root: Option<Node>,
    keys: &[HashValue],
) -> Result<PrefixProof, P::Error> {
    let mut sorted: Vec<(usize, HashValue)> = keys.iter().copied().enumerate().collect();
    sorted.sort_unstable_by_key(|(_, key)| *key);
    let mut prover = Prover {
        paths,
        results: Vec::with_capacity(keys.len()),
        elements: Vec::new(),
    };
    prover.visit(root, 0, &sorted)?;
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

struct Prover<'p, P> {
    paths: &'p P,
    results: Vec<(usize, PrefixSearchResult)>,
    elements: Vec<HashValue>,
}

impl<P: LeafPaths> Prover<'_, P> {
    /// Visits the node at `depth`, under which `keys` are searched for.
    fn visit(
        &mut self,
        node: Option<Node>,
        depth: usize,
        keys: &[(usize, HashValue)],
    ) -> Result<(), P::Error> {
        match node {
            _ if keys.is_empty() => {
                self.elements.push(node.map_or(STAND_IN, |node| node.value));
            }
            None => {
                for (index, _) in keys {
                    let depth = wire_depth(depth);
                    let result = PrefixSearchResult::NonInclusionParent { depth };
                    self.results.push((*index, result));
                }
            }
            Some(node) => {
                let path = self.paths.leaf_path(node.id)?;
                path.enter(node.id, depth)?;
                // Values of the record's own nodes, computed once, from below this node on.
                let values = path.values(depth);
                self.descend(&path, depth, keys, values.get(1..).unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// Goes down the record's own path from its node at `depth`; `values` are those of the nodes
    /// below it.
    fn descend(
        &mut self,
        path: &LeafPath,
        depth: usize,
        keys: &[(usize, HashValue)],
        values: &[HashValue],
    ) -> Result<(), P::Error> {
        if keys.is_empty() {
            return Ok(());
        }
        if depth >= path.depth() {
            for (index, key) in keys {
                let depth = wire_depth(depth);
                let result = match path.occupant() {
                    None => PrefixSearchResult::NonInclusionParent { depth },
                    Some(leaf) if leaf.vrf_output == *key => {
                        PrefixSearchResult::Inclusion { depth }
                    }
                    Some(leaf) => PrefixSearchResult::NonInclusionLeaf { leaf, depth },
                };
                self.results.push((*index, result));
            }
            return Ok(());
        }
        let below = depth.saturating_add(1);
        let (left, right) = keys.split_at(keys.partition_point(|(_, key)| !bit(key, depth)));
        let own_is_right = bit(&path.leaf.vrf_output, depth);
        let own = |prover: &mut Self, keys: &[(usize, HashValue)]| {
            if keys.is_empty() {
                prover.elements.extend(values.first());
                return Ok(());
            }
            prover.descend(path, below, keys, values.get(1..).unwrap_or_default())
        };
        if own_is_right {
            self.visit(path.sibling(below), below, left)?;
            own(self, right)
        } else {
            own(self, left)?;
            self.visit(path.sibling(below), below, right)
        }
    }
}

/// Insertion keeps every leaf at a depth that fits.
fn wire_depth(depth: usize) -> u8 {
    u8::try_from(depth).unwrap_or(u8::MAX)
}
