//! What is kept in memory of what never changes, within a number of bytes.

use std::sync::Arc;

use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{Node, Page, PageId};
use overt_protocol::wire::{HashValue, LogEntry};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// A label and a version.
type VrfKey = (Arc<[u8]>, u32);
/// A VRF output and its proof.
type VrfProof = Arc<(HashValue, Vec<u8>)>;

/// Memory that a log entry takes, and a node of the log tree, in bytes, about.
const ENTRY: u64 = 160;
const SUBTREE: u64 = 100;

/// All caches.
pub(crate) struct Caches {
    pub(crate) pages: Cache<PageId, Arc<Page>, PageWeight>,
    pub(crate) entries: Cache<u64, (LogEntry, Option<Node>)>,
    pub(crate) subtrees: Cache<Subtree, HashValue>,
    pub(crate) proofs: Cache<VrfKey, VrfProof, ProofWeight>,
}

impl Caches {
    /// `bytes` bounds the memory of all together: three quarters are for pages.
    pub(crate) fn new(bytes: u64) -> Self {
        let part = |share: u64| bytes / 16 * share;
        let items = |share, each| {
            let items = part(share) / each;
            usize::try_from(items).unwrap_or(usize::MAX).max(16)
        };
        Self {
            pages: Cache::with_weighter(items(12, 1_600), part(12), PageWeight),
            entries: Cache::new(items(1, ENTRY)),
            subtrees: Cache::new(items(1, SUBTREE)),
            proofs: Cache::with_weighter(items(2, 260), part(2), ProofWeight),
        }
    }
}

#[derive(Clone)]
pub(crate) struct PageWeight;

impl Weighter<PageId, Arc<Page>> for PageWeight {
    fn weight(&self, _: &PageId, page: &Arc<Page>) -> u64 {
        u64::try_from(page.size())
            .unwrap_or(u64::MAX)
            .saturating_add(100)
    }
}

#[derive(Clone)]
pub(crate) struct ProofWeight;

impl Weighter<VrfKey, VrfProof> for ProofWeight {
    fn weight(&self, (label, _): &VrfKey, _: &VrfProof) -> u64 {
        240 + label.len() as u64
    }
}
