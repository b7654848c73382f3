//! The one writer: collects updates into batches and makes log entries of them.
//!
//! Order of durability: the batch is committed, the head signed, the signature stored; then the head
//! goes to [`publish`](crate::publish), which answers the callers. Signing is a pure function of what
//! is committed, so that after a crash at any point the same head gets the same signature.

mod evaluate;
mod promise;
mod retire;

pub use retire::Retirement;

use std::collections::{HashSet, VecDeque};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use overt_protocol::codec::Encode;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tree::CompactRange;
use overt_protocol::log_tree::{append_leaf, leaf_value, root_of_full_subtrees};
use overt_protocol::prefix_tree::{NewPage, Page, PageId, Pages};
use overt_protocol::provider::{LeafId, Refusal, Retention, Tip, append};
use overt_protocol::receipt::Promised;
use overt_protocol::suite::{self, SigningKey};
use overt_protocol::wire::{HashValue, Opening, PrefixLeaf, TreeHead, TreeHeadTbs, UpdateValue};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::access::{Access, AccessError};
use crate::directory::Shared;
use crate::error::DirectoryError;
use crate::guard::Guard;
use crate::head_log::{HeadLog, HeadNode};
use crate::publish::Durable;
use crate::store::{Batch, Created as Version, Store, StoreError};

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a batch waits for company, from its first update on.
    pub interval: Duration,
    /// At most so many updates make a batch.
    pub max_updates: usize,
    /// At most so many leaves go into one log entry: 255, the bound of `PrefixProof.results`,
    /// where auditors must follow (one `AuditorUpdate` covers one log entry).
    pub max_leaves_per_entry: usize,
    /// An entry is added when nothing happened for so long.
    pub heartbeat: Duration,
    /// Mean time between padding entries; none are added without it.
    pub padding: Option<Duration>,
    /// How soon promised versions are in the log.
    pub promise: Duration,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The request's values were created by the log entry at this position, which is published.
    Created(u64),
    /// Someone else created versions that the requester does not know of.
    Behind,
}

/// Why an update came to nothing.
#[derive(Debug, Error)]
pub enum UpdateError {
    /// The access policy refused it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The Service Operator signed a version that exists already: a serious fault on its side.
    #[error(
        "the Service Operator signed version {signed}, but version {next} is the next: it must \
         never sign a version twice"
    )]
    SignedVersion {
        /// In the request.
        signed: u32,
        /// Of the log.
        next: u32,
    },
    /// More version counters would be skipped than one proof can show.
    #[error("{0} version counters would be skipped, more than one update can prove")]
    Skipped(u32),
    /// The Service Operator's signature does not verify.
    #[error("the Service Operator's signature on version {0} does not verify")]
    LeafSignature(u32),
    /// The first value repeats the current one.
    #[error("the value is the current one already; repeats make no new version")]
    Unchanged,
    /// The request is refused, or the store failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// An update of the label is on its way into the log: promised, or not published yet.
    #[error("an update of this label is not published yet; try again shortly")]
    OnItsWay,
    /// Heads wait for witnesses.
    #[error(
        "too few witnesses cosign just now: the update is published once enough of them do, if there \
         was room for it; ask again"
    )]
    Held,
    /// Too many updates wait.
    #[error("the update queue is full")]
    QueueFull,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// Another process of this directory is the sequencer.
    #[error("this process only reads; updates go to the sequencer")]
    Elsewhere,
}

/// Hands updates to the sequencer.
#[derive(Debug, Clone)]
pub struct Updates {
    queue: Option<mpsc::Sender<Waiting>>,
}

/// What is to be created: an `UpdateRequest`, or a `ManagerUpdateRequest`.
#[derive(Debug)]
pub struct Submission {
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The greatest version that the requester knows of.
    pub greatest_version: Option<u32>,
    /// The values, signed by the Service Operator in Third-Party Management mode.
    pub values: Vec<UpdateValue>,
    /// The version in the Service Operator's first signature, in that mode.
    pub signed_version: Option<u32>,
}

#[derive(Debug)]
struct Waiting {
    submission: Submission,
    token: Option<Zeroizing<String>>,
    answer: Answer,
}

/// Who waits, and for what.
#[derive(Debug)]
enum Answer {
    /// Someone, until the versions are published.
    Published(oneshot::Sender<Result<Outcome, UpdateError>>),
    /// Someone, until the versions are promised.
    Promised(oneshot::Sender<Result<Acknowledged, UpdateError>>),
    /// Nobody any more: the versions from the first one on were promised with these openings.
    Given(u32, Vec<Opening>),
}

/// What became of an update that need not be published at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// The values will be created.
    Promised(Vec<Promised>),
    /// Someone else created versions that the requester does not know of.
    Behind,
}

impl Updates {
    /// Where another process is the sequencer.
    pub fn elsewhere() -> Self {
        Self { queue: None }
    }

    /// Whether this process takes updates.
    pub fn are_taken(&self) -> bool {
        self.queue.is_some()
    }

    /// Waits until the update's versions are durable and published.
    pub async fn update(
        &self,
        submission: Submission,
        token: Option<Zeroizing<String>>,
    ) -> Result<Outcome, UpdateError> {
        let (answer, outcome) = oneshot::channel();
        self.queue(submission, token, Answer::Published(answer))?;
        outcome.await.map_err(|_| UpdateError::Stopping)?
    }

    /// Waits only until the update's versions are promised, which is durable.
    pub async fn promise(
        &self,
        submission: Submission,
        token: Option<Zeroizing<String>>,
    ) -> Result<Acknowledged, UpdateError> {
        let (answer, outcome) = oneshot::channel();
        self.queue(submission, token, Answer::Promised(answer))?;
        outcome.await.map_err(|_| UpdateError::Stopping)?
    }

    fn queue(
        &self,
        submission: Submission,
        token: Option<Zeroizing<String>>,
        answer: Answer,
    ) -> Result<(), UpdateError> {
        let waiting = Waiting {
            submission,
            token,
            answer,
        };
        let queue = self.queue.as_ref().ok_or(UpdateError::Elsewhere)?;
        queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => UpdateError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => UpdateError::Stopping,
        })
    }

    /// Updates that wait now.
    pub fn waiting(&self) -> usize {
        let waiting = |queue: &mpsc::Sender<_>| {
            let free = queue.capacity();
            queue.max_capacity().saturating_sub(free)
        };
        self.queue.as_ref().map_or(0, waiting)
    }
}

/// An update whose versions are durable.
#[derive(Debug)]
pub struct Created {
    waiting: Waiting,
    position: u64,
}

impl Created {
    /// Whether someone still waits for the answer.
    pub fn is_waited_for(&self) -> bool {
        matches!(&self.waiting.answer, Answer::Published(answer) if !answer.is_closed())
    }

    /// Tells all that their versions are published.
    pub fn say_all(created: Vec<Self>) {
        for Self { waiting, position } in created {
            answer(waiting, Ok(Outcome::Created(position)));
        }
    }
}

/// Where the writer goes on, and where its heads go.
#[derive(Debug)]
pub struct From {
    /// The committed state.
    pub tip: Tip,
    /// Where the last signed head is noted outside the store.
    pub guard: Guard,
    /// What the versions with leaves before this one overtook is removed already.
    pub swept: LeafId,
    /// The head log.
    pub head_log: CompactRange,
    /// Takes heads that are durable and signed.
    pub heads: mpsc::Sender<Durable>,
}

/// The writer.
pub struct Sequencer<S> {
    shared: Arc<Shared<S>>,
    access: Arc<dyn Access>,
    signing: SigningKey,
    pace: Pace,
    queue: mpsc::Receiver<Waiting>,
    tip: Tip,
    guard: Guard,
    retirement: Option<Retirement>,
    head_log: CompactRange,
    heads: mpsc::Sender<Durable>,
}

/// An update that passed: its new versions and their leaves, without their place in the log.
struct Accepted {
    waiting: Waiting,
    versions: Vec<(Version, PrefixLeaf)>,
}

impl<S: Store> Sequencer<S> {
    /// A sequencer, and the handle for its queue of at most `queue_limit` updates.
    pub fn new(
        shared: Arc<Shared<S>>,
        access: Arc<dyn Access>,
        signing: SigningKey,
        pace: Pace,
        queue_limit: usize,
        from: From,
    ) -> (Self, Updates) {
        let From {
            tip,
            guard,
            swept,
            head_log,
            heads,
        } = from;
        let retention = Retention::of(&shared.config);
        let (sender, queue) = mpsc::channel(queue_limit.max(1));
        let sequencer = Self {
            shared,
            access,
            signing,
            pace,
            queue,
            tip,
            guard,
            retirement: retention.map(|retention| Retirement::new(retention, swept)),
            head_log,
            heads,
        };
        let queue = Some(sender);
        (sequencer, Updates { queue })
    }

    /// Signs the committed tip and keeps the signature; none if the log is empty.
    pub fn sign_tip(&self) -> Result<Option<Durable>, DirectoryError> {
        let Some(root) = self.tip.root() else {
            return Ok(None);
        };
        let tbs = TreeHeadTbs {
            config: &self.shared.config,
            tree_size: self.tip.size,
            root,
        };
        let signature = self.signing.sign(&tbs.to_bytes()?);
        self.guard
            .write(self.tip.size, &root)
            .map_err(StoreError::Guard)?;
        self.shared
            .store
            .put_signed_head(self.tip.size, &signature)?;
        metrics::gauge!("overt_durable_tree_size").set(self.tip.size as f64);
        metrics::gauge!("overt_head_timestamp_seconds").set(self.tip.timestamp as f64 / 1000.0);
        Ok(Some(Durable {
            head: TreeHead {
                tree_size: self.tip.size,
                signature,
            },
            tree: self.head_log.sized_root(),
            created: Vec::new(),
        }))
    }

    /// Appends a log entry without changes: the first of a new log, or a heartbeat.
    pub fn heartbeat(&mut self) -> Result<Durable, DirectoryError> {
        self.append(Vec::new(), Vec::new())
    }

    /// Appends a log entry with a leaf that belongs to no label. Nobody but this server can tell it
    /// from an update: VRF outputs and commitments are as random as this.
    fn pad(&mut self) -> Result<Durable, DirectoryError> {
        let mut leaf = PrefixLeaf {
            vrf_output: [0; suite::NH],
            commitment: [0; suite::NH],
        };
        let random = Refusal::Damaged("the operating system gives no randomness");
        getrandom::fill(&mut leaf.vrf_output).map_err(|_| random)?;
        getrandom::fill(&mut leaf.commitment).map_err(|_| random)?;
        self.append(Vec::new(), vec![leaf])
    }

    /// Shows a head to auditors and hands it over to be published; waits if too many wait already.
    async fn hand_over(&self, durable: Durable) -> Result<(), DirectoryError> {
        self.shared.make_durable(durable.head.clone());
        let gone = Refusal::Damaged("nothing is published any more");
        self.heads.send(durable).await.map_err(|_| gone.into())
    }

    /// Runs until all [`Updates`] handles are dropped and the queue is empty; everything accepted
    /// is then published. An error means that the store failed: nothing more is accepted.
    pub async fn run(mut self) -> Result<(), DirectoryError> {
        let mut held = self.given()?;
        let mut padding = self.pace.padding.map(random_wait);
        loop {
            if padding.is_some_and(|due| due <= tokio::time::Instant::now()) {
                let durable;
                (self, durable) = blocking(self, Self::pad).await?;
                self.hand_over(durable).await?;
                metrics::counter!("overt_padding_entries_total").increment(1);
                padding = self.pace.padding.map(random_wait);
            }
            let idle_since = self.shared.clock.now().saturating_sub(self.tip.timestamp);
            let idle_since = Duration::from_millis(idle_since);
            let until_heartbeat = self.pace.heartbeat.saturating_sub(idle_since);
            if held.is_empty() {
                let heartbeat = tokio::time::Instant::now() + until_heartbeat;
                let next = padding.map_or(heartbeat, |due| due.min(heartbeat));
                match tokio::time::timeout_at(next, self.queue.recv()).await {
                    Ok(Some(waiting)) => self = self.hold(waiting, &mut held).await?,
                    Ok(None) => return Ok(()),
                    Err(_) if next < heartbeat => continue,
                    Err(_) => {
                        let durable;
                        (self, durable) = blocking(self, Self::heartbeat).await?;
                        self.hand_over(durable).await?;
                        metrics::counter!("overt_heartbeats_total").increment(1);
                        continue;
                    }
                }
            }
            let deadline = tokio::time::Instant::now() + self.pace.interval;
            while held.len() < self.pace.max_updates {
                match tokio::time::timeout_at(deadline, self.queue.recv()).await {
                    Ok(Some(waiting)) => self = self.hold(waiting, &mut held).await?,
                    Ok(None) | Err(_) => break,
                }
            }
            let (batch, rest) = one_per_label(held, self.pace.max_updates);
            held = rest;
            let durable;
            (self, durable) = blocking(self, |this| this.process(batch)).await?;
            if let Some(durable) = durable {
                self.hand_over(durable).await?;
            }
        }
    }

    /// Holds an update, and what came after it, for the next batch. Promises are given first.
    async fn hold(
        mut self,
        first: Waiting,
        held: &mut VecDeque<Waiting>,
    ) -> Result<Self, DirectoryError> {
        let mut asked = Vec::new();
        let mut next = Some(first);
        while let Some(waiting) = next {
            match waiting.answer {
                Answer::Promised(_) => asked.push(waiting),
                _ => held.push_back(waiting),
            }
            let is_room = held.len().saturating_add(asked.len()) < self.pace.max_updates;
            next = is_room.then(|| self.queue.try_recv().ok()).flatten();
        }
        if asked.is_empty() {
            return Ok(self);
        }
        let on_their_way: HashSet<Vec<u8>> = held
            .iter()
            .filter(|waiting| matches!(waiting.answer, Answer::Given(..)))
            .map(|waiting| waiting.submission.label.clone())
            .collect();
        let (this, given) = blocking(self, |this| this.give_promises(asked, on_their_way)).await?;
        held.extend(given);
        Ok(this)
    }

    fn process(&mut self, batch: Vec<Waiting>) -> Result<Option<Durable>, DirectoryError> {
        let started = Instant::now();
        let mut accepted = Vec::new();
        for (waiting, result) in self.evaluate(batch) {
            match result {
                Ok(versions) => accepted.push(Accepted { waiting, versions }),
                Err(Ok(outcome)) => answer(waiting, Ok(outcome)),
                Err(Err(error)) => answer(waiting, Err(error)),
            }
        }
        if accepted.is_empty() {
            return Ok(None);
        }
        let updates = accepted.len();
        let durable = self.append(accepted, Vec::new())?;
        metrics::histogram!("overt_batch_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("overt_batch_updates").record(updates as f64);
        metrics::counter!("overt_updates_total").increment(updates as u64);
        tracing::debug!(updates, tree_size = self.tip.size, "batch durable");
        Ok(Some(durable))
    }

    /// Makes log entries of the updates, commits them and signs the head. `padding` goes into the
    /// first of them.
    fn append(
        &mut self,
        accepted: Vec<Accepted>,
        mut padding: Vec<PrefixLeaf>,
    ) -> Result<Durable, DirectoryError> {
        let before = self.tip.clone();
        let mut batch = Batch::after(before.clone());
        let mut created = Vec::new();
        let mut accepted = accepted.into_iter().peekable();
        let timestamp = self.shared.clock.now();
        let mut retirement = self.retirement.clone();
        let records = self.shared.writing_records()?;
        loop {
            let position = batch.tip.size;
            let mut added: Vec<(PrefixLeaf, Option<Version>)> =
                padding.drain(..).map(|leaf| (leaf, None)).collect();
            while let Some(next) = accepted.next_if(|next| {
                added.is_empty()
                    || added.len() + next.versions.len() <= self.pace.max_leaves_per_entry
            }) {
                let versions = next.versions.into_iter();
                added.extend(versions.map(|(version, leaf)| (leaf, Some(version))));
                if let Answer::Given(..) = next.waiting.answer {
                    batch.fulfilled.push(next.waiting.submission.label.clone());
                }
                let waiting = next.waiting;
                created.push(Created { waiting, position });
            }
            let gone = match (&mut retirement, accepted.peek()) {
                (Some(retirement), None) => {
                    let room = self.pace.max_leaves_per_entry.saturating_sub(added.len());
                    let now = timestamp.max(before.timestamp);
                    retirement.retire(&records, now, room, &mut batch.retired)?
                }
                _ => Vec::new(),
            };
            let leaves: Vec<PrefixLeaf> = added.iter().map(|(leaf, _)| *leaf).collect();
            let removed: Vec<PrefixLeaf> = gone.iter().map(|(_, leaf)| *leaf).collect();
            let pending = Pending {
                records: &records,
                new: &batch.pages,
                first: before.next_page,
            };
            let appended = append(&pending, &batch.tip, timestamp, &leaves, &removed)?;
            batch.push(
                appended,
                added,
                gone.into_iter().map(|(id, _)| id).collect(),
            );
            // An entry that is full of new leaves is followed by one for the removal of old ones.
            let is_full = retirement.as_ref().is_some_and(|r| !r.is_done) && !leaves.is_empty();
            if accepted.peek().is_none() && !is_full {
                break;
            }
        }
        drop(records);
        let records = self.head_records(&before, &batch)?;
        batch.head_nodes = self.head_nodes(&records)?;
        self.shared.store.commit(&before, &batch)?;
        self.shared.remember(batch.pages);
        self.tip = batch.tip;
        self.retirement = retirement;
        for record in records {
            self.head_log.push(record);
        }
        let empty = Refusal::Damaged("a log entry was appended and the log is empty");
        let durable = self.sign_tip()?.ok_or(empty)?;
        Ok(Durable { created, ..durable })
    }
}

impl<S: Store> Sequencer<S> {
    /// The hashes of the batch's records for the head log.
    fn head_records(&self, before: &Tip, batch: &Batch) -> Result<Vec<HashValue>, DirectoryError> {
        let config_hash = self.shared.config.hash()?;
        let mut heads = before.full_subtrees.clone();
        let records = batch.entries.iter().map(|new| {
            (heads, _) = append_leaf(new.position, &heads, leaf_value(&new.entry));
            let tree_size = new.position.saturating_add(1);
            let record = HeadRecord {
                config_hash,
                tree_size,
                entry: new.entry,
                root: root_of_full_subtrees(tree_size, &heads).unwrap_or_default(),
            };
            Ok(record.leaf_hash()?)
        });
        records.collect()
    }

    /// What is stored of the head log once these records are added.
    fn head_nodes(&self, records: &[HashValue]) -> Result<Vec<HeadNode>, DirectoryError> {
        let config_hash = self.shared.config.hash()?;
        let mut log = HeadLog::new(self.shared.store.reader()?, config_hash);
        Ok(log.grown(self.head_log.size(), records)?)
    }
}

/// Pages of the store, and of this batch's earlier log entries, which are not stored yet.
struct Pending<'a, R> {
    records: &'a R,
    new: &'a [NewPage],
    first: PageId,
}

enum PendingPage<'a, P> {
    New(&'a Page),
    Stored(P),
}

impl<P: Deref<Target = Page>> Deref for PendingPage<'_, P> {
    type Target = Page;
    fn deref(&self) -> &Page {
        match self {
            Self::New(page) => page,
            Self::Stored(page) => page,
        }
    }
}

impl<R: Pages> Pages for Pending<'_, R> {
    type Error = R::Error;
    type Page<'b>
        = PendingPage<'b, R::Page<'b>>
    where
        Self: 'b;

    fn page(&self, id: PageId) -> Result<Self::Page<'_>, R::Error> {
        let index = id.checked_sub(self.first).map(usize::try_from);
        match index.and_then(|index| self.new.get(index.ok()?)) {
            Some(new) => Ok(PendingPage::New(&new.page)),
            None => self.records.page(id).map(PendingPage::Stored),
        }
    }
}

/// Takes at most `max` updates of different labels; the others keep their order and wait for the
/// next log entry. (An `UpdateResponse` speaks for all versions that one entry created.)
fn one_per_label(held: VecDeque<Waiting>, max: usize) -> (Vec<Waiting>, VecDeque<Waiting>) {
    let mut labels = HashSet::new();
    let mut batch = Vec::new();
    let mut rest = VecDeque::new();
    for waiting in held {
        // Nobody waits for the answer any more: the request was dropped before it did anything.
        if matches!(&waiting.answer, Answer::Published(answer) if answer.is_closed()) {
            continue;
        }
        if batch.len() < max && labels.insert(waiting.submission.label.clone()) {
            batch.push(waiting);
        } else {
            rest.push_back(waiting);
        }
    }
    (batch, rest)
}

fn answer(waiting: Waiting, result: Result<Outcome, UpdateError>) {
    // The caller may have gone; the update stands all the same.
    match waiting.answer {
        Answer::Published(answer) => {
            let _ = answer.send(result);
        }
        Answer::Promised(answer) => {
            let _ = answer.send(result.map(|_| Acknowledged::Behind));
        }
        Answer::Given(..) => {
            if let Err(error) = result {
                tracing::error!(%error, "a promised update came to nothing");
            }
        }
    }
}

/// Runs disk and CPU work off the async threads.
async fn blocking<S: Store, T: Send + 'static>(
    mut sequencer: Sequencer<S>,
    work: impl FnOnce(&mut Sequencer<S>) -> Result<T, DirectoryError> + Send + 'static,
) -> Result<(Sequencer<S>, T), DirectoryError> {
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut sequencer);
        result.map(|done| (sequencer, done))
    });
    done.await
        .unwrap_or_else(|_| Err(Refusal::Damaged("the sequencer panicked").into()))
}

/// When the next padding entry is due, as if they came from people: waits are memoryless.
fn random_wait(mean: Duration) -> tokio::time::Instant {
    let uniform = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    // A cut far out, so that the time stays representable.
    let wait = mean.mul_f64((-uniform.max(1e-9).ln()).min(20.0));
    tokio::time::Instant::now() + wait
}
