//! Balanced subtrees of the log tree.

/// A balanced subtree: the `2^level` leaves from `index * 2^level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// log2 of the number of leaves.
    pub level: u32,
    /// Which subtree of that level, from the left.
    pub index: u64,
}

impl Subtree {
    /// A single leaf.
    pub fn leaf(position: u64) -> Self {
        Self {
            level: 0,
            index: position,
        }
    }

    /// Number of leaves.
    pub fn size(self) -> u64 {
        1u64.checked_shl(self.level).unwrap_or(0)
    }

    /// The first leaf.
    pub fn start(self) -> u64 {
        self.index.checked_shl(self.level).unwrap_or(0)
    }

    /// The children; none for a leaf.
    pub fn children(self) -> Option<(Self, Self)> {
        let level = self.level.checked_sub(1)?;
        let index = self.index.checked_mul(2)?;
        Some((
            Self { level, index },
            Self {
                level,
                index: index | 1,
            },
        ))
    }

    /// The number of this node among all nodes of the tree, in-order: leaves even, parents odd.
    /// A database key that never changes as the log grows.
    pub fn node_number(self) -> u64 {
        let doubled = self.index.wrapping_mul(2).wrapping_add(1);
        doubled.checked_shl(self.level).unwrap_or(0).wrapping_sub(1)
    }
}

/// The full subtrees of a log of `size` leaves, left to right: the balanced subtrees that are as
/// large as possible.
pub fn full_subtrees(size: u64) -> Vec<Subtree> {
    let mut out = Vec::new();
    let mut start = 0u64;
    for level in (0..u64::BITS).rev() {
        let leaves = 1u64 << level;
        if size & leaves != 0 {
            out.push(Subtree {
                level,
                index: start >> level,
            });
            start |= leaves;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_subtrees_partition_the_log() {
        for size in 0..300u64 {
            let trees = full_subtrees(size);
            let mut next = 0;
            for t in &trees {
                assert_eq!(t.start(), next);
                next += t.size();
            }
            assert_eq!(next, size);
            assert!(trees.windows(2).all(|w| w[0].level > w[1].level));
        }
    }

    #[test]
    fn node_numbers_are_in_order() {
        assert_eq!(Subtree::leaf(0).node_number(), 0);
        assert_eq!(Subtree { level: 1, index: 0 }.node_number(), 1);
        assert_eq!(Subtree::leaf(1).node_number(), 2);
        assert_eq!(Subtree { level: 2, index: 0 }.node_number(), 3);
        assert_eq!(Subtree { level: 1, index: 1 }.node_number(), 5);
    }
}
