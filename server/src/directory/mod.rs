//! What all requests share, and the directory at one published head, for the provers of
//! `overt-protocol`.

mod cache;
mod records;
mod snapshot;

pub use records::Records;
pub(crate) use records::stored_page;
pub use snapshot::Snapshot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use overt_protocol::clock::Clock;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::prefix_tree::NewPage;
use overt_protocol::provider::Refusal;
use overt_protocol::suite::VrfSecretKey;
use overt_protocol::wire::{AuditorTreeHead, Configuration, DeploymentMode, TreeHead};
use tokio::sync::{Notify, watch};

use crate::directory::cache::Caches;
use crate::error::DirectoryError;
use crate::store::{Reader, Store, StoreError};

/// Heads of the auditor that wait for publication.
const MAX_AHEAD: usize = 64;

/// How long a look at what another process published may take.
const LOOK: Duration = Duration::from_secs(5);

/// How this process and one that follows another's heads speak to each other.
#[derive(Debug, Default)]
struct Followed {
    /// Asks for a look.
    wanted: Notify,
    /// Looks so far.
    looks: watch::Sender<u64>,
}

/// What all requests share: the store, the keys, caches of what never changes, and the published
/// head.
pub struct Shared<S> {
    /// The store.
    pub store: S,
    /// The log's configuration.
    pub config: Configuration,
    /// The VRF key.
    pub vrf: VrfSecretKey,
    /// The time.
    pub clock: Arc<dyn Clock>,
    caches: Caches,
    /// What auditors see.
    durable: ArcSwapOption<TreeHead>,
    /// What users see.
    published: ArcSwapOption<TreeHead>,
    /// Where another process publishes.
    followed: Option<Followed>,
    checkpoint: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    held: watch::Sender<bool>,
    auditor: ArcSwapOption<AuditorTreeHead>,
    /// Heads that the auditor signed before they were published.
    auditor_ahead: Mutex<BTreeMap<u64, AuditorTreeHead>>,
    dropped: AtomicU64,
}

impl<S: Store> Shared<S> {
    /// `cache_bytes` bounds the memory of all caches together.
    pub fn new(
        store: S,
        config: Configuration,
        vrf: VrfSecretKey,
        clock: Arc<dyn Clock>,
        cache_bytes: u64,
    ) -> Self {
        Self {
            store,
            config,
            vrf,
            clock,
            caches: Caches::new(cache_bytes),
            durable: ArcSwapOption::empty(),
            published: ArcSwapOption::empty(),
            followed: None,
            checkpoint: watch::Sender::default(),
            held: watch::channel(false).0,
            auditor: ArcSwapOption::empty(),
            auditor_ahead: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Where another process publishes.
    pub fn following(mut self) -> Self {
        self.followed = Some(Followed::default());
        self
    }

    /// Completes when somebody has seen more than is published here.
    pub async fn is_wanted(&self) {
        match &self.followed {
            Some(followed) => followed.wanted.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Says that it was just looked what the other process published.
    pub fn looked(&self) {
        if let Some(followed) = &self.followed {
            followed.looks.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Has it looked whether another process has published a head of at least `size`: users are
    /// answered now by one, now by the other. Returns whether it has.
    pub async fn reaches(&self, size: u64) -> bool {
        let Some(followed) = &self.followed else {
            return false;
        };
        let mut looks = followed.looks.subscribe();
        // The first look may have begun before the head was published.
        for _ in 0..2 {
            followed.wanted.notify_one();
            let looked = tokio::time::timeout(LOOK, looks.changed()).await;
            if self.published().is_some_and(|head| head.tree_size >= size) {
                return true;
            }
            if !matches!(looked, Ok(Ok(()))) {
                return false;
            }
        }
        false
    }

    /// The published head; none before the first.
    pub fn published(&self) -> Option<Arc<TreeHead>> {
        self.published.load_full()
    }

    /// The newest head that is durable and signed.
    pub fn durable(&self) -> Option<Arc<TreeHead>> {
        self.durable.load_full()
    }

    /// Shows auditors a head that is durable and signed.
    pub fn make_durable(&self, head: TreeHead) {
        self.durable.store(Some(Arc::new(head)));
    }

    /// Publishes a head that is durable and signed. Returns the auditor's head that goes with it, if
    /// that is another one from now on.
    pub fn publish(&self, head: TreeHead) -> Option<AuditorTreeHead> {
        let head = Arc::new(head);
        let size = head.tree_size;
        if self.durable().is_none_or(|known| known.tree_size < size) {
            self.durable.store(Some(Arc::clone(&head)));
        }
        self.published.store(Some(head));
        let mut ahead = lock(&self.auditor_ahead);
        let later = ahead.split_off(&size.saturating_add(1));
        let (_, signed) = std::mem::replace(&mut *ahead, later).pop_last()?;
        self.auditor.store(Some(Arc::new(signed.clone())));
        Some(signed)
    }

    /// The published checkpoint of the head log.
    pub fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.checkpoint.borrow().clone()
    }

    /// The published checkpoints from now on, the present one first.
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.checkpoint.subscribe()
    }

    /// Serves a checkpoint from now on.
    pub fn show_checkpoint(&self, checkpoint: SignedCheckpoint) {
        self.checkpoint.send_replace(Some(Arc::new(checkpoint)));
    }

    /// Whether a newer head waits for witnesses, longer than it should.
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Completes when that is so.
    pub async fn until_held(&self) {
        // The sender lives as long as this.
        let _ = self.held.subscribe().wait_for(|is_held| *is_held).await;
    }

    /// Says so.
    pub fn set_held(&self, is_held: bool) {
        self.held.send_replace(is_held);
    }

    /// Prefix trees of log entries before this one are not asked for any more.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Acquire)
    }

    /// Nobody asks for the prefix trees of log entries before `position` from now on.
    pub fn drop_before(&self, position: u64) {
        self.dropped.fetch_max(position, Ordering::AcqRel);
    }

    /// The directory at the published head.
    pub fn snapshot(&self) -> Result<Snapshot<'_, S>, DirectoryError> {
        let head = self.published().ok_or(DirectoryError::Unpublished)?;
        if self.is_held() && self.age()? > self.config.max_behind {
            return Err(DirectoryError::Held);
        }
        let auditor = match self.config.mode {
            DeploymentMode::ThirdPartyAuditing { .. } => Some(self.fresh_auditor_head()?),
            _ => None,
        };
        self.at_head(head, auditor)
    }

    /// The directory for auditors, who see entries before they are published.
    pub fn unaudited(&self) -> Result<Snapshot<'_, S>, DirectoryError> {
        let head = self.durable();
        let head = head.ok_or(Refusal::Damaged("the log is empty"))?;
        self.at_head(head, None)
    }

    /// The auditor's last head; none before the first.
    pub fn auditor_head(&self) -> Option<Arc<AuditorTreeHead>> {
        self.auditor.load_full()
    }

    /// Serves the auditor's head from now on, which must have been checked and stored.
    pub fn publish_auditor_head(&self, head: AuditorTreeHead) {
        self.auditor.store(Some(Arc::new(head)));
    }

    /// Keeps an auditor's head, which must have been checked, until its size is published. Those
    /// that there is no room for are not missed: the auditor signs more.
    pub fn await_publication(&self, head: AuditorTreeHead) {
        let mut ahead = lock(&self.auditor_ahead);
        if ahead.len() < MAX_AHEAD {
            ahead.insert(head.tree_size, head);
        }
    }

    /// The auditor's head, unless users would refuse it.
    fn fresh_auditor_head(&self) -> Result<AuditorTreeHead, DirectoryError> {
        let DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag, ..
        } = self.config.mode
        else {
            return Err(DirectoryError::NotAudited);
        };
        let auditor = self.auditor_head().ok_or(DirectoryError::NotAudited)?;
        let rightmost = self.rightmost_timestamp()?;
        if rightmost.saturating_sub(auditor.timestamp) > max_auditor_lag {
            return Err(DirectoryError::NotAudited);
        }
        Ok((*auditor).clone())
    }

    /// How old the published head is, in milliseconds.
    fn age(&self) -> Result<u64, DirectoryError> {
        Ok(self.clock.now().saturating_sub(self.rightmost_timestamp()?))
    }

    fn rightmost_timestamp(&self) -> Result<u64, DirectoryError> {
        let head = self.published().ok_or(DirectoryError::Unpublished)?;
        let position = head.tree_size.saturating_sub(1);
        let entry = self.store.reader()?.log_entry(position)?;
        Ok(entry
            .ok_or_else(|| missing("log entry", position))?
            .0
            .timestamp)
    }

    /// The directory at an earlier head.
    pub fn at(
        &self,
        head: TreeHead,
        auditor: Option<AuditorTreeHead>,
    ) -> Result<Snapshot<'_, S>, DirectoryError> {
        self.at_head(Arc::new(head), auditor)
    }

    fn at_head(
        &self,
        head: Arc<TreeHead>,
        auditor: Option<AuditorTreeHead>,
    ) -> Result<Snapshot<'_, S>, DirectoryError> {
        Ok(Snapshot::new(self, head, auditor, self.records()?))
    }

    /// What never changes, cached.
    pub fn records(&self) -> Result<Records<'_, S>, StoreError> {
        Ok(Records::new(&self.caches, self.store.reader()?))
    }

    /// The same for the sequencer, which must drop it before it writes.
    pub fn writing_records(&self) -> Result<Records<'_, S>, StoreError> {
        Ok(Records::new(&self.caches, self.store.writing_reader()?))
    }

    /// Keeps pages that were just written.
    pub fn remember(&self, pages: Vec<NewPage>) {
        self.caches.written(pages);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing(what: &str, id: u64) -> StoreError {
    StoreError::Damaged(format!("{what} {id} is missing"))
}
