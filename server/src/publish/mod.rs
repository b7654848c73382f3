//! From durable heads to published ones: the head log's checkpoint, and the witnesses' cosignatures.
//!
//! The sequencer hands over heads that are durable and signed. Each time, the newest becomes a
//! checkpoint of the head log; once the operator's tlog-policy holds for that, it is kept, users are
//! served the head, and whoever waits for it is answered. Meanwhile the sequencer goes on, until so
//! many heads wait that it has to stop. Signing is a pure function of what is committed: a checkpoint
//! that was lost in a crash is signed again with the same bytes.

mod quorum;
pub mod transport;
mod witness;

pub use quorum::{Quorum, QuorumError};

use std::sync::Arc;

use overt_protocol::codec::{Encode, EncodeError};
use overt_protocol::head_log::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use overt_protocol::head_log::key::{SignerKey, VerifierKey};
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::provider::Refusal;
use overt_protocol::wire::TreeHead;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::directory::Shared;
use crate::error::DirectoryError;
use crate::head_log::HeadLog;
use crate::sequencer::Created;
use crate::store::{Published, Store, StoreError};

/// Heads that wait to be published before the sequencer waits too.
const MAX_WAITING: usize = 16;

/// A head that is durable and signed.
#[derive(Debug)]
pub struct Durable {
    /// The head.
    pub head: TreeHead,
    /// The head log when it ends with the record of this head.
    pub tree: SizedRoot,
    /// Who waits for it to be published.
    pub created: Vec<Created>,
}

/// The log's name, and what signs its checkpoints.
#[derive(Debug, Clone)]
pub struct LogSigner {
    /// The origin.
    pub origin: String,
    /// Keys that are named after it.
    pub keys: Vec<SignerKey>,
}

impl LogSigner {
    /// The public keys.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.keys.iter().map(SignerKey::verifier)
    }

    /// The checkpoint of a tree; always the same bytes.
    pub fn sign(&self, tree: SizedRoot) -> Result<SignedCheckpoint, CheckpointError> {
        SignedCheckpoint::sign(Checkpoint::new(&self.origin, tree)?, &self.keys)
    }
}

/// Why publishing cannot go on.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The store failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The checkpoint cannot be signed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What was published last is not of this log.
    #[error("the stored checkpoint {0}: the store or the head log's keys were exchanged")]
    Stored(String),
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        Self::Directory(error.into())
    }
}

impl From<EncodeError> for PublishError {
    fn from(error: EncodeError) -> Self {
        Self::Directory(error.into())
    }
}

/// Publishes heads.
pub struct Publisher<S> {
    shared: Arc<Shared<S>>,
    signer: LogSigner,
    quorum: Option<quorum::Running>,
    heads: mpsc::Receiver<Durable>,
}

impl<S: Store> Publisher<S> {
    /// A publisher, and where it gets its heads. Without a quorum heads are published at once.
    pub fn new(
        shared: Arc<Shared<S>>,
        signer: LogSigner,
        quorum: Option<Quorum>,
    ) -> (Self, mpsc::Sender<Durable>) {
        let (sender, heads) = mpsc::channel(MAX_WAITING);
        let quorum = quorum.map(|quorum| quorum.start(Arc::clone(&shared)));
        let publisher = Self {
            shared,
            signer,
            quorum,
            heads,
        };
        (publisher, sender)
    }

    /// Begins with a new log, of which nobody has seen anything.
    pub fn begin(&self) -> Result<(), PublishError> {
        if self.quorum.is_some() {
            self.shared
                .store
                .put_published(Some(&Published::nothing()))?;
        }
        Ok(())
    }

    /// Goes on where the last run ended, which left `tip` as the newest head: what was shown to users
    /// once is shown to them again, whatever the policy is now.
    pub fn resume(&self, tip: &Durable) -> Result<(), PublishError> {
        let store = &self.shared.store;
        if !self.keeps() {
            // All that is signed is shown, so there is nothing to remember.
            store.put_published(None)?;
        }
        self.shared.make_durable(tip.head.clone());
        match store.published()? {
            None => self.publish(tip, self.signer.sign(tip.tree)?),
            Some(published) if published.head.tree_size == 0 => Ok(()),
            Some(published) => {
                let checkpoint = self.check(&published, tip)?;
                self.shared.show_checkpoint(checkpoint);
                self.shared.publish(published.head);
                Ok(())
            }
        }
    }

    /// That what was published last belongs to the stored log.
    fn check(
        &self,
        published: &Published,
        tip: &Durable,
    ) -> Result<SignedCheckpoint, PublishError> {
        let wrong = |what: String| Err(PublishError::Stored(what));
        let size = published.head.tree_size;
        if size > tip.head.tree_size {
            return wrong(format!("has {size} entries, the log fewer"));
        }
        let checkpoint = SignedCheckpoint::parse(&published.checkpoint)?;
        if let Err(error) = checkpoint.verify(self.signer.verifiers()) {
            return wrong(format!("does not verify ({error})"));
        }
        let config_hash = self.shared.config.hash()?;
        let log = HeadLog::new(self.shared.store.reader()?, config_hash);
        let tree = log.tree(size).map_err(DirectoryError::from)?.sized_root();
        match checkpoint.checkpoint() == &Checkpoint::new(&self.signer.origin, tree)? {
            true => Ok(checkpoint),
            false => wrong("is not that of the stored log".to_owned()),
        }
    }

    /// Runs until the sequencer ends; what cannot be published by then is when it runs again.
    pub async fn run(mut self) -> Result<(), PublishError> {
        while let Some(newest) = self.newest(None).await {
            let started = Instant::now();
            match self.quorum.is_some() {
                true => self.publish_with_quorum(newest).await?,
                false => self = self.publish_alone(newest).await?,
            }
            metrics::histogram!("overt_publish_seconds").record(started.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// The newest head that waits, with all who wait for it or an earlier one. Waits for one if there
    /// is no `known` one already.
    async fn newest(&mut self, known: Option<Durable>) -> Option<Durable> {
        let mut newest = match known {
            Some(known) => known,
            None => self.next().await?,
        };
        while let Ok(mut next) = self.heads.try_recv() {
            // Callers that had to wait for too long are gone.
            newest.created.retain(Created::is_waited_for);
            next.created.splice(..0, newest.created);
            newest = next;
        }
        Some(newest)
    }

    /// The next head. Cosignatures that come after the quorum are added to what is published.
    async fn next(&mut self) -> Option<Durable> {
        loop {
            let Some(quorum) = &mut self.quorum else {
                return self.heads.recv().await;
            };
            tokio::select! {
                head = self.heads.recv() => return head,
                cosigned = quorum.cosigned() => {
                    if let Some(published) = self.shared.checkpoint()
                        && published.checkpoint().tree() == cosigned.tree
                        && let Ok(more) = published.with(&cosigned.lines)
                    {
                        self.shared.show_checkpoint(more);
                    }
                }
            }
        }
    }

    async fn publish_alone(self, newest: Durable) -> Result<Self, PublishError> {
        let done = tokio::task::spawn_blocking(move || {
            let checkpoint = self.signer.sign(newest.tree)?;
            self.publish(&newest, checkpoint)?;
            Created::say_all(newest.created);
            Ok(self)
        });
        done.await.unwrap_or_else(|_| Err(panicked()))
    }

    async fn publish_with_quorum(&mut self, mut newest: Durable) -> Result<(), PublishError> {
        loop {
            let mut checkpoint = self.signer.sign(newest.tree)?;
            let Some(quorum) = &mut self.quorum else {
                return Ok(());
            };
            quorum.ask(&checkpoint);
            let deadline = Instant::now() + quorum.patience();
            let has_quorum = loop {
                let Ok(cosigned) = tokio::time::timeout_at(deadline, quorum.cosigned()).await
                else {
                    break false;
                };
                if cosigned.tree == newest.tree {
                    checkpoint = checkpoint.with(&cosigned.lines)?;
                }
                if quorum.is_reached(&checkpoint, self.shared.clock.now() / 1000) {
                    break true;
                }
            };
            metrics::gauge!("overt_head_has_quorum").set(f64::from(u8::from(has_quorum)));
            let is_published = has_quorum || quorum.degrades();
            if !has_quorum {
                let size = newest.head.tree_size;
                tracing::warn!(
                    size,
                    published = is_published,
                    "too few witnesses cosigned: the policy is not met"
                );
            }
            self.shared.set_held(!is_published);
            if is_published {
                let shared = Arc::clone(&self.shared);
                let done = tokio::task::spawn_blocking(move || {
                    publish(&shared, &newest, checkpoint, true)?;
                    Created::say_all(newest.created);
                    Ok(())
                });
                return done.await.unwrap_or_else(|_| Err(panicked()));
            }
            if self.heads.is_closed() && self.heads.is_empty() {
                return Ok(());
            }
            match self.newest(Some(newest)).await {
                Some(next) => newest = next,
                None => return Ok(()),
            }
        }
    }

    /// Whether it is kept what was published: for the next run, or for other processes.
    fn keeps(&self) -> bool {
        self.quorum.is_some() || self.shared.store.is_shared()
    }

    fn publish(&self, newest: &Durable, checkpoint: SignedCheckpoint) -> Result<(), PublishError> {
        publish(&self.shared, newest, checkpoint, self.keeps())
    }
}

/// Keeps a checkpoint, then serves it and its head.
fn publish<S: Store>(
    shared: &Shared<S>,
    newest: &Durable,
    checkpoint: SignedCheckpoint,
    is_kept: bool,
) -> Result<(), PublishError> {
    let head = newest.head.clone();
    if is_kept {
        shared.store.put_published(Some(&Published {
            head: head.clone(),
            checkpoint: checkpoint.to_string().into_bytes(),
        }))?;
    }
    metrics::gauge!("overt_tree_size").set(head.tree_size as f64);
    shared.show_checkpoint(checkpoint);
    if let Some(auditor) = shared.publish(head) {
        shared.store.put_auditor_head(&auditor.to_bytes()?)?;
    }
    Ok(())
}

fn panicked() -> PublishError {
    DirectoryError::from(Refusal::Damaged("publishing panicked")).into()
}
