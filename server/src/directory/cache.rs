//! What is kept in memory of what never changes, within a number of bytes.

use std::hash::Hash;
use std::sync::Arc;

use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{NewPage, Node, Page, PageId};
use overt_protocol::wire::{HashValue, LogEntry};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// A label and a version.
type VrfKey = (Arc<[u8]>, u32);
/// A VRF output and its proof.
type VrfProof = Arc<(HashValue, Vec<u8>)>;

/// Memory that a log entry takes, and a node of the log tree, in bytes, about.
const ENTRY: u64 = 160;
const SUBTREE: u64 = 100;

/// All caches.
pub(crate) struct Caches {
    /// Pages that were written, until others replace them. They are apart from those that were read:
    /// each is needed once in a while only, for an update somewhere below it, and would be pushed out.
    written: Cache<PageId, Arc<Page>, PageWeight>,
    read: Cache<PageId, Arc<Page>, PageWeight>,
    pub(crate) entries: Cache<u64, (LogEntry, Option<Node>)>,
    pub(crate) subtrees: Cache<Subtree, HashValue>,
    pub(crate) proofs: Cache<VrfKey, VrfProof, ProofWeight>,
}

impl Caches {
    /// `bytes` bounds the memory of all together.
    pub(crate) fn new(bytes: u64) -> Self {
        let part = |share: u64| bytes / 32 * share;
        Self {
            written: weighted(part(20), 1_600, PageWeight),
            read: weighted(part(6), 1_600, PageWeight),
            entries: Cache::new(items(part(1), ENTRY)),
            subtrees: Cache::new(items(part(1), SUBTREE)),
            proofs: weighted(part(4), 260, ProofWeight),
        }
    }

    pub(crate) fn page(&self, id: PageId) -> Option<Arc<Page>> {
        self.written.get(&id).or_else(|| self.read.get(&id))
    }

    /// Keeps a page that was read.
    pub(crate) fn read(&self, id: PageId, page: Arc<Page>) {
        self.read.insert(id, page);
    }

    /// Keeps pages that were written together, and those that they replace for a while: auditors ask
    /// for these next, and searches go through older trees too.
    pub(crate) fn written(&self, pages: Vec<NewPage>) {
        let first = pages.first().map_or(0, |new| new.id);
        // Where in this batch a page is, if it is one of it.
        let index = |id: PageId| id.checked_sub(first).and_then(|i| usize::try_from(i).ok());
        let mut is_replaced = vec![false; pages.len()];
        for old in pages.iter().filter_map(|new| new.replaces) {
            match index(old).and_then(|index| is_replaced.get_mut(index)) {
                Some(is_replaced) => *is_replaced = true,
                None => {
                    if let Some((old, page)) = self.written.remove(&old) {
                        self.read.insert(old, page);
                    }
                }
            }
        }
        for (new, is_replaced) in pages.into_iter().zip(is_replaced) {
            let cache = if is_replaced {
                &self.read
            } else {
                &self.written
            };
            cache.insert(new.id, Arc::new(new.page));
        }
    }
}

fn items(bytes: u64, each: u64) -> usize {
    usize::try_from(bytes / each).unwrap_or(usize::MAX).max(16)
}

/// A cache of so many bytes for items of about `each`.
fn weighted<K: Eq + Hash, V: Clone, W: Weighter<K, V> + Clone>(
    bytes: u64,
    each: u64,
    weighter: W,
) -> Cache<K, V, W> {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(items(bytes, each))
        .weight_capacity(bytes)
        // What is new has half of it to wait in until it is needed again: whole batches come at once.
        .hot_allocation(0.5)
        .build();
    match options {
        Ok(options) => Cache::with_options(
            options,
            weighter,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        Err(_) => Cache::with_weighter(items(bytes, each), bytes, weighter),
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
