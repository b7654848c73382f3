//! Dropping the prefix trees of expired log entries, in the background.
//!
//! Small steps, each one transaction: readers never wait, and the sequencer only for one step. What
//! is dropped follows from what is stored, so that a step that a crash undid is done again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use overt_protocol::prefix_tree::{Node, Page, PageId, Pages, drop_version};
use overt_protocol::provider::Retention;
use overt_protocol::wire::LogEntry;

use crate::directory::{Shared, stored_page};
use crate::error::DirectoryError;
use crate::store::{Reader, Store, StoreError};

/// Log entries in one step.
const STEP: u64 = 64;

/// How the background task works.
#[derive(Debug, Clone, Copy)]
pub struct Pruning {
    /// Which log entries expire, and when.
    pub retention: Retention,
    /// How long answers may take that were begun before an entry expired, in milliseconds.
    pub grace: u64,
    /// The wait between two looks.
    pub interval: Duration,
}

/// Prunes for ever. Failures are told and tried again: nothing depends on pruning.
pub async fn run<S: Store>(shared: Arc<Shared<S>>, pruning: Pruning) {
    loop {
        let task = Arc::clone(&shared);
        let step = tokio::task::spawn_blocking(move || step(&task, pruning));
        match step.await {
            Ok(Ok(0)) => tokio::time::sleep(pruning.interval).await,
            Ok(Ok(entries)) => {
                tracing::debug!(entries, dropped = shared.dropped(), "pruned");
                tokio::task::yield_now().await;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "pruning failed; the store keeps growing until it works");
                tokio::time::sleep(pruning.interval).await;
            }
            Err(_) => tokio::time::sleep(pruning.interval).await,
        }
    }
}

/// Drops the prefix trees of some more expired log entries. Returns of how many.
pub fn step<S: Store>(shared: &Shared<S>, pruning: Pruning) -> Result<u64, DirectoryError> {
    let Some(head) = shared.published() else {
        return Ok(0);
    };
    let reader = shared.store.reader()?;
    let rightmost = head.tree_size.saturating_sub(1);
    let now = timestamp(&reader, rightmost)?;
    let from = shared.dropped();
    let mut to = from;
    let mut dropped = BTreeMap::new();
    let mut leaves = Vec::new();
    let stored = Stored(&reader);
    while to < rightmost.min(from.saturating_add(STEP)) {
        let Pruning {
            retention, grace, ..
        } = pruning;
        if !retention.is_dropped(timestamp(&reader, to)?, now, grace) {
            break;
        }
        let next = to.saturating_add(1);
        drop_version(
            &stored,
            root(&reader, to)?,
            root(&reader, next)?,
            &mut dropped,
        )?;
        leaves.extend(reader.changes(next)?.removed);
        to = to.saturating_add(1);
    }
    if to == from {
        return Ok(0);
    }
    drop(reader);
    shared.drop_before(to);
    shared.store.drop_versions(to, &dropped, &leaves)?;
    metrics::gauge!("overt_dropped_prefix_trees").set(to as f64);
    Ok(to.saturating_sub(from))
}

fn entry(reader: &impl Reader, position: u64) -> Result<(LogEntry, Option<Node>), StoreError> {
    let missing = || StoreError::Damaged(format!("log entry {position} is missing"));
    reader.log_entry(position)?.ok_or_else(missing)
}

fn timestamp(reader: &impl Reader, position: u64) -> Result<u64, StoreError> {
    Ok(entry(reader, position)?.0.timestamp)
}

fn root(reader: &impl Reader, position: u64) -> Result<Option<Node>, StoreError> {
    Ok(entry(reader, position)?.1)
}

/// Pages as they are stored: cached ones may be from before an earlier step.
struct Stored<'r, R>(&'r R);

impl<R: Reader> Pages for Stored<'_, R> {
    type Error = DirectoryError;
    type Page<'a>
        = Box<Page>
    where
        Self: 'a;

    fn page(&self, id: PageId) -> Result<Box<Page>, DirectoryError> {
        Ok(Box::new(stored_page(self.0, id, |_| None)?))
    }
}
