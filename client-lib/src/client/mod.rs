//! Verified operations on one directory.

mod absence;
mod auditors;
mod contacts;
mod credential;
mod event;
mod found;
mod lookup;
mod monitor;
mod owned;
mod owner;
mod publish;
mod receipt;
mod send;
mod sign;
mod stranger;
mod watch;
mod wave;
mod witnessed;

use std::path::PathBuf;
use std::time::Duration;

pub use overt_protocol::clock::{Clock, SystemClock};
use overt_protocol::codec::Encode;
use overt_protocol::distinguished::RECENT;
use overt_protocol::user::{TreeState, TreeView, Verifier};
use overt_protocol::wire::{DistinguishedRequest, HashValue};

use crate::error::{ClientError, Reason};
use crate::failure::{self, Exchange, Kept};
use crate::keys::KeyRing;
use crate::operation::Operation;
use crate::store::{Change, Committed, Store};
use crate::transport::Transport;
use crate::trust::Directory;

pub use credential::{Checked, Finality};
pub use event::{Event, Monitoring};
pub use found::{History, Lookup, Standing};
use publish::greatest;
pub use publish::{Entry, Intent, Published};
pub use watch::Pace;
use wave::Ask;
pub use witnessed::Witnessed;

/// What verifying cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of the responses.
    pub bytes: usize,
    /// Time spent on verification.
    pub verify: Duration,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.verify += other.verify;
    }
}

/// A user of one directory.
pub struct Client<T> {
    transport: T,
    store: Store,
    directory: Directory,
    verifier: Verifier,
    config_hash: HashValue,
    clock: Box<dyn Clock>,
    keys: Option<KeyRing>,
    failures: Option<PathBuf>,
    takes_receipts: bool,
    checks_contacts: bool,
}

impl<T: Transport> Client<T> {
    /// A user of a directory that is pinned in `store`.
    pub fn new(
        transport: T,
        store: Store,
        directory: Directory,
        clock: impl Clock + 'static,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            verifier: Verifier::new(directory.config.clone())?,
            config_hash: directory.config.hash()?,
            transport,
            store,
            directory,
            clock: Box::new(clock),
            keys: None,
            failures: None,
            takes_receipts: false,
            checks_contacts: false,
        })
    }

    /// Lets the user own labels where values are signed.
    pub fn with_keys(mut self, keys: KeyRing) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Keeps exchanges that do not verify, below this directory.
    pub fn with_failures(mut self, dir: PathBuf) -> Self {
        self.failures = Some(dir);
        self
    }

    /// Takes a signed promise that an update will be in the log instead of waiting for it, where
    /// the directory gives any ([`ClientError::Promised`]). Monitoring holds it to that.
    pub fn with_receipts(mut self) -> Self {
        self.takes_receipts = true;
        self
    }

    /// The pinned directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The kept state.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The private keys, if any were given.
    pub fn keys(&self) -> Option<&KeyRing> {
        self.keys.as_ref()
    }

    /// Compares the directory with what was pinned, then brings the view of its log up to date.
    pub async fn refresh(&self) -> Result<TreeState, ClientError> {
        self.directory.check(&self.transport).await?;
        self.refresh_recent().await
    }

    /// Who vouched for the head that is kept; none if the user has no policy.
    pub fn witnessed(&self) -> Result<Option<Witnessed>, ClientError> {
        Ok(self.store.witnessed(self.url())?)
    }

    fn url(&self) -> &str {
        &self.directory.url
    }

    fn tree(&self) -> Result<Option<TreeState>, ClientError> {
        Ok(self.store.tree(self.url())?)
    }

    fn requires_signed_value(&self) -> bool {
        self.directory.descriptor.requires_signed_value
    }

    /// The greatest version of a label that was ever seen here, looked up or as its owner.
    fn greatest_seen(&self, label: &[u8]) -> Result<Option<u32>, ClientError> {
        let contact = self.store.contact(self.url(), label)?;
        let owned = self.store.owned(self.url(), label)?;
        let seen = contact.and_then(|contact| contact.greatest);
        Ok(seen.max(owned.and_then(|owned| greatest(&owned.state))))
    }

    /// The view of the log that follows `tree`.
    async fn advance(&self, tree: Option<TreeState>) -> Result<TreeState, ClientError> {
        let told = self
            .ask(tree.as_ref(), &self.walk(tree.as_ref(), None)?)
            .await?;
        Ok(told.head)
    }

    /// Brings the view of the log and the recent distinguished entries up to date.
    async fn refresh_recent(&self) -> Result<TreeState, ClientError> {
        let from = self.tree()?;
        let kept = self.store.recent(self.url())?;
        let stop = kept.last().map(TreeView::position);
        let told = self
            .ask(from.as_ref(), &self.walk(from.as_ref(), stop)?)
            .await?;
        self.settle(Change {
            from,
            to: Some(told.head),
            recent: vec![(stop, told.outcome)],
            ..Change::default()
        })
        .await
    }

    /// The recent distinguished log entries that are known here and not expired, left to right.
    pub fn recent(&self) -> Result<Vec<TreeView>, ClientError> {
        let mut recent = self.store.recent(self.url())?;
        let rightmost = self
            .tree()?
            .and_then(|tree| Some(tree.rightmost()?.timestamp));
        let config = &self.directory.config;
        recent.retain(|view| {
            let timestamp = view.rightmost().map_or(0, |entry| entry.timestamp);
            rightmost.is_some_and(|rightmost| !config.is_expired(timestamp, rightmost))
        });
        Ok(recent)
    }

    /// Asks for nothing but the head and the recent distinguished entries.
    fn walk<'a>(
        &'a self,
        tree: Option<&TreeState>,
        stop: Option<u64>,
    ) -> Result<Ask<'a, Vec<TreeView>>, ClientError> {
        let request = DistinguishedRequest {
            last: tree.map(TreeState::tree_size),
            stop,
        };
        Ok(Ask {
            operation: Operation::Distinguished,
            openings: Vec::new(),
            label: Vec::new(),
            owner: None,
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let done = self
                    .verifier
                    .distinguished(tree, &request, RECENT, response, now)?;
                Ok((done.state, done.recent))
            }),
        })
    }

    /// Writes what was verified, once the user's witnesses have cosigned the head. If another process
    /// moved the view of the log meanwhile, both views must first be shown to be of one log. Returns the view that is kept now.
    async fn settle(&self, mut change: Change) -> Result<TreeState, ClientError> {
        change.now = self.clock.now();
        loop {
            if let Some(to) = change
                .to
                .as_ref()
                .filter(|to| change.from.as_ref() != Some(*to))
            {
                change.witnessed = self.check_witnessed(to).await?;
            }
            match self.store.commit(self.url(), &change)? {
                Committed::Done => break,
                Committed::Overtaken(tree) => {
                    let views = [tree.clone(), change.to.take()];
                    change.to = self
                        .reconcile(views.into_iter().flatten().collect())
                        .await?;
                    change.from = tree;
                }
            }
        }
        change.to.or(change.from).ok_or(ClientError::Unsettled)
    }

    /// An answer did not hold: keeps it, if an application wants that.
    fn not_verified(&self, reason: impl Into<Reason>, exchange: Exchange<'_>) -> ClientError {
        let reason = reason.into();
        let mut exchange = Exchange {
            directory: self.url(),
            ..exchange
        };
        if exchange.now == 0 {
            exchange.now = self.clock.now();
        }
        if let Ok(config) = self.directory.config.to_bytes() {
            exchange.files.push(("configuration.bin", config));
        }
        let kept: Kept = failure::keep(self.failures.as_deref(), &exchange, &reason);
        ClientError::NotVerified { reason, kept }
    }
}
