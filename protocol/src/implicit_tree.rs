//! The implicit binary search tree over the log's entries (sections "Implicit Binary Search Tree"
//! and "Updating Views of the Tree"; example code in the appendix of that name).
//!
//! Positions are 0-based; `size` is the number of log entries. Every function is total: a position
//! outside the tree has no children, no path and no ancestors.

/// The largest tree that this implementation handles; leaves room for arithmetic on positions.
pub const MAX_TREE_SIZE: u64 = 1 << 62;

/// Level of an entry: 0 for a leaf.
fn level(x: u64) -> u32 {
    x.trailing_ones()
}

/// The root of a tree of `size` entries: the greatest power of two that is at most `size`, minus
/// one. None if the tree is empty.
pub fn root(size: u64) -> Option<u64> {
    let k = size.checked_ilog2()?;
    Some((1u64 << k).wrapping_sub(1))
}

/// The left child of `x`, if it has one.
pub fn left(x: u64) -> Option<u64> {
    let k = level(x).checked_sub(1)?;
    Some(x ^ (1u64.checked_shl(k)?))
}

/// The right child of `x` in a tree of `size` entries, if it has one.
pub fn right(x: u64, size: u64) -> Option<u64> {
    let k = level(x).checked_sub(1)?;
    if x >= size.checked_sub(1)? {
        return None;
    }
    let mut child = x ^ (3u64.checked_shl(k)?);
    while child >= size {
        child = left(child)?;
    }
    Some(child)
}

/// The entries from the root down to and including `x`; empty if `x` is not in the tree.
pub fn path(x: u64, size: u64) -> Vec<u64> {
    let mut out = Vec::new();
    if x >= size {
        return out;
    }
    let mut next = root(size);
    while let Some(y) = next {
        out.push(y);
        next = match x.cmp(&y) {
            std::cmp::Ordering::Less => left(y),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => right(y, size),
        };
    }
    out
}

/// The part of the direct path of `x` that lies to its right, left to right (which is also from
/// the parent upward).
pub fn right_direct_path(x: u64, size: u64) -> Vec<u64> {
    let mut out = path(x, size);
    out.retain(|y| *y > x);
    out.reverse();
    out
}

/// `x` and its right child, the right child's right child, and so on.
pub fn rightward(x: u64, size: u64) -> impl Iterator<Item = u64> {
    std::iter::successors((x < size).then_some(x), move |y| right(*y, size))
}

/// The frontier: the root, its right child, and so on to the rightmost entry.
pub fn frontier(size: u64) -> impl Iterator<Item = u64> {
    root(size)
        .into_iter()
        .flat_map(move |root| rightward(root, size))
}

/// The entries whose timestamps update a user's view from `last` entries to `size`, in order
/// (section "Updating Views of the Tree", "Algorithm").
pub fn update_view(last: Option<u64>, size: u64) -> Vec<u64> {
    let Some(rightmost) = last.and_then(|n| n.checked_sub(1)) else {
        return frontier(size).collect();
    };
    let mut out = right_direct_path(rightmost, size);
    let on_frontier = out.last().copied().unwrap_or(rightmost);
    out.extend(rightward(on_frontier, size).skip(1));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn draft_examples() {
        assert_eq!(frontier(50).collect::<Vec<_>>(), [31, 47, 49]);
        assert_eq!(frontier(13).collect::<Vec<_>>(), [7, 11, 12]);
        assert_eq!(update_view(Some(4), 13), [7, 11, 12]);
        assert_eq!(root(0), None);
        assert_eq!(path(5, 5), Vec::<u64>::new());
    }

    proptest! {
        // The inductive definition of the section, followed literally.
        #[test]
        fn children_follow_the_inductive_definition(size in 1u64..5000) {
            fn build(offset: u64, n: u64, size: u64) -> Option<u64> {
                if n == 0 { return None; }
                let r = (1u64 << n.ilog2()) - 1;
                assert_eq!(left(offset + r), build(offset, r, size));
                assert_eq!(right(offset + r, size), build(offset + r + 1, n - r - 1, size));
                Some(offset + r)
            }
            prop_assert_eq!(root(size), build(0, size, size));
        }
    }
}
