//! Pages of the prefix tree, from the caches or the store.

use std::sync::Arc;

use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{Node, Page, PageId, PageRecord, Pages};
use overt_protocol::wire::{HashValue, LogEntry};

use crate::directory::cache::Caches;
use crate::directory::missing;
use crate::error::DirectoryError;
use crate::store::{Reader, Store, StoreError};

/// No page is based on more pages than this, one on the other.
const MAX_RECORDS: usize = 256;

/// What never changes, cached.
pub struct Records<'s, S: Store + 's> {
    caches: &'s Caches,
    /// Uncached reads.
    pub reader: S::Reader<'s>,
}

/// A shared page.
pub struct SharedPage(Arc<Page>);

impl std::ops::Deref for SharedPage {
    type Target = Page;
    fn deref(&self) -> &Page {
        &self.0
    }
}

impl<'s, S: Store> Records<'s, S> {
    pub(super) fn new(caches: &'s Caches, reader: S::Reader<'s>) -> Self {
        Self { caches, reader }
    }

    /// A log entry, and the root of its prefix tree.
    pub fn entry(&self, position: u64) -> Result<(LogEntry, Option<Node>), StoreError> {
        if let Some(entry) = self.caches.entries.get(&position) {
            return Ok(entry);
        }
        let entry = self.reader.log_entry(position)?;
        let entry = entry.ok_or_else(|| missing("log entry", position))?;
        self.caches.entries.insert(position, entry);
        Ok(entry)
    }

    /// The head of a subtree of the log tree.
    pub fn subtree(&self, subtree: Subtree) -> Result<HashValue, StoreError> {
        if let Some(value) = self.caches.subtrees.get(&subtree) {
            return Ok(value);
        }
        let value = self.reader.log_subtree(subtree)?;
        let value = value.ok_or_else(|| missing("log node", subtree.node_number()))?;
        self.caches.subtrees.insert(subtree, value);
        Ok(value)
    }
}

impl<'s, S: Store> Pages for Records<'s, S> {
    type Error = DirectoryError;
    type Page<'a>
        = SharedPage
    where
        Self: 'a;

    fn page(&self, id: PageId) -> Result<SharedPage, DirectoryError> {
        if let Some(page) = self.caches.page(id) {
            return Ok(SharedPage(page));
        }
        let page = stored_page(&self.reader, id, |id| self.caches.page(id))?;
        let page = Arc::new(page);
        self.caches.read(id, Arc::clone(&page));
        Ok(SharedPage(page))
    }
}

/// A page, from what is written of it and of the pages that it is based on, back to one that is
/// `known` or that stands alone.
pub(crate) fn stored_page(
    reader: &impl Reader,
    id: PageId,
    known: impl Fn(PageId) -> Option<Arc<Page>>,
) -> Result<Page, DirectoryError> {
    let mut records: Vec<(PageId, PageRecord)> = Vec::new();
    let mut next = Some(id);
    let mut base = None;
    while let Some(id) = next {
        base = known(id);
        if base.is_some() {
            break;
        }
        if records.len() >= MAX_RECORDS {
            let what = format!("page {id} is based on too many others");
            return Err(StoreError::Damaged(what).into());
        }
        let record = reader.page(id)?.ok_or_else(|| missing("page", id))?;
        next = record.base;
        records.push((id, record));
    }
    records.reverse();
    Ok(Page::restore(base.as_deref(), &records)?)
}
