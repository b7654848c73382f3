//! Making the next log entry.

use crate::log_tree::{Subtree, append_leaf, leaf_value, root_of_full_subtrees};
use crate::prefix_tree::{ModifyError, NewPage, Node, PageId, Pages, STAND_IN, modify};
use crate::wire::{HashValue, LogEntry, PrefixLeaf};

/// Numbers the leaves in the order in which they were added, from 1.
pub type LeafId = u64;

/// What has to be known of a log to append to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Number of log entries.
    pub size: u64,
    /// Timestamp of the rightmost one; 0 if there is none.
    pub timestamp: u64,
    /// Heads of the full subtrees of the log tree, left to right.
    pub full_subtrees: Vec<HashValue>,
    /// Root of the newest prefix tree.
    pub prefix_root: Option<Node>,
    /// The id that the next page gets.
    pub next_page: PageId,
    /// The number that the next leaf gets.
    pub next_leaf: LeafId,
}

impl Tip {
    /// A log without entries.
    pub fn empty() -> Self {
        Self {
            size: 0,
            timestamp: 0,
            full_subtrees: Vec::new(),
            prefix_root: None,
            next_page: 1,
            next_leaf: 1,
        }
    }

    /// Root of the log tree; none if the log is empty.
    pub fn root(&self) -> Option<HashValue> {
        root_of_full_subtrees(self.size, &self.full_subtrees)
    }
}

/// A log entry and everything that comes with it.
#[derive(Debug, Clone)]
pub struct Appended {
    /// The log entry, at the position that was the old size.
    pub entry: LogEntry,
    /// New pages of the prefix tree.
    pub pages: Vec<NewPage>,
    /// Heads of balanced subtrees of the log tree that are now complete.
    pub subtrees: Vec<(Subtree, HashValue)>,
    /// The log afterwards.
    pub tip: Tip,
}

/// Appends a log entry that adds leaves to the prefix tree and removes others from it. A clock that
/// runs backwards does not make timestamps do so.
pub fn append<P>(
    pages: &P,
    tip: &Tip,
    timestamp: u64,
    added: &[PrefixLeaf],
    removed: &[PrefixLeaf],
) -> Result<Appended, P::Error>
where
    P: Pages,
    P::Error: From<ModifyError>,
{
    let modified = modify(pages, tip.prefix_root, added, removed, tip.next_page)?;
    let entry = LogEntry {
        timestamp: timestamp.max(tip.timestamp),
        prefix_tree: modified.root.map_or(STAND_IN, |node| node.value),
    };
    let (full_subtrees, subtrees) = append_leaf(tip.size, &tip.full_subtrees, leaf_value(&entry));
    let count = |length| u64::try_from(length).unwrap_or(u64::MAX);
    let (leaves, pages) = (count(added.len()), count(modified.pages.len()));
    Ok(Appended {
        entry,
        pages: modified.pages,
        subtrees,
        tip: Tip {
            size: tip.size.saturating_add(1),
            timestamp: entry.timestamp,
            full_subtrees,
            prefix_root: modified.root,
            next_page: tip.next_page.saturating_add(pages),
            next_leaf: tip.next_leaf.saturating_add(leaves),
        },
    })
}
