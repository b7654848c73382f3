//! What the directory keeps, whatever the engine.
//!
//! Everything but the head is written once and never changes, so a reader that knows a published
//! head needs no transaction: all that the head refers to is there, and what came later has
//! greater positions. In a log with a maximum lifetime, what no answer needs any more goes; readers
//! have time to finish before. The head is one row, moved by compare-and-set in the transaction that
//! appends.

mod postgres;
mod rows;
mod sqlite;
mod transfer;

pub use postgres::{Lease, PostgresReader, PostgresStore};
pub use sqlite::{SqliteReader, SqliteStore};
pub use transfer::{Moved, moved_to, to_postgres, to_sqlite};

use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{Dropped, NewPage, Node, PageId, PageRecord};
use overt_protocol::provider::{Appended, LeafId, Tip};
use overt_protocol::wire::{HashValue, LogEntry, Opening, PrefixLeaf, TreeHead, UpdateValue};
use thiserror::Error;

use crate::head_log::HeadNode;

/// A storage engine.
pub trait Store: Send + Sync + 'static {
    /// Reads concurrently with the writer and with other readers.
    type Reader<'s>: Reader
    where
        Self: 's;

    /// A reader; waits for one if all are in use.
    fn reader(&self) -> Result<Self::Reader<'_>, StoreError>;
    /// A reader for the sequencer, which must drop it before it writes. An engine may have one that
    /// remembers more from one batch to the next.
    fn writing_reader(&self) -> Result<Self::Reader<'_>, StoreError> {
        self.reader()
    }
    /// Whether other processes read it, which learn from it what is published.
    fn is_shared(&self) -> bool {
        false
    }
    /// The newest committed state; none in a new store.
    fn tip(&self) -> Result<Option<Tip>, StoreError>;
    /// Appends log entries to `before`, durably and all or nothing. Fails if the store's head is
    /// not `before`.
    fn commit(&self, before: &Tip, batch: &Batch) -> Result<(), StoreError>;
    /// The last signed head: its tree size and signature.
    fn signed_head(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError>;
    /// Records the signature of the head at `size`, durably.
    fn put_signed_head(&self, size: u64, signature: &[u8]) -> Result<(), StoreError>;
    /// What was published last, where that is kept: with witnesses.
    fn published(&self) -> Result<Option<Published>, StoreError>;
    /// Keeps what is about to be published, durably; or forgets it.
    fn put_published(&self, published: Option<&Published>) -> Result<(), StoreError>;
    /// Deletes openings and values of a label, of one version or all, so that they cannot be
    /// recovered. Returns the versions. `now`, in milliseconds since the Unix epoch, is kept.
    fn delete(&self, label: &[u8], version: Option<u32>, now: u64) -> Result<Vec<u32>, StoreError>;
    /// Adds hashes to the head log, durably.
    fn put_head_nodes(&self, nodes: &[HeadNode]) -> Result<(), StoreError>;
    /// Keeps versions that were promised until log entries create them, durably.
    fn promise(&self, promises: &[Promise]) -> Result<(), StoreError>;
    /// The promises that wait, in the order in which they were given; versions of a label ascend.
    fn promises(&self) -> Result<Vec<Promise>, StoreError>;
    /// How far giving up what is no longer needed went; in logs with a maximum lifetime.
    fn retention(&self) -> Result<Retained, StoreError>;
    /// Drops the prefix trees of log entries before `dropped`: what becomes of pages, and leaves that
    /// no prefix tree has any more. All or nothing.
    fn drop_versions(
        &self,
        dropped: u64,
        pages: &Dropped,
        leaves: &[LeafId],
    ) -> Result<(), StoreError>;
    /// The auditor's last head, encoded.
    fn auditor_head(&self) -> Result<Option<Vec<u8>>, StoreError>;
    /// Records the auditor's head, durably.
    fn put_auditor_head(&self, head: &[u8]) -> Result<(), StoreError>;
    /// A value that belongs to the store as a whole, such as the encoded configuration.
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Records such a value if there is none.
    fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError>;
}

/// Reads of what is written once.
pub trait Reader {
    /// A log entry, and the root of its prefix tree.
    fn log_entry(&self, position: u64) -> Result<Option<(LogEntry, Option<Node>)>, StoreError>;
    /// The leaves that a log entry added to the prefix tree, and those that it removed.
    fn changes(&self, position: u64) -> Result<Changed, StoreError>;
    /// The head of a balanced subtree of the log tree.
    fn log_subtree(&self, subtree: Subtree) -> Result<Option<HashValue>, StoreError>;
    /// What is written of a page of the prefix tree.
    fn page(&self, id: PageId) -> Result<Option<PageRecord>, StoreError>;
    /// The leaves of all versions of a label, ascending, as far as they are still there.
    fn versions(&self, label: &[u8]) -> Result<Vec<LeafId>, StoreError>;
    /// A leaf, and what belongs to it.
    fn leaf(&self, id: LeafId) -> Result<Option<LeafRow>, StoreError>;
    /// The versions in the order of creation, from a leaf on, of at most `max` leaves; with their
    /// leaves, which some of that number may lack.
    fn leaves_from(&self, leaf: LeafId, max: usize) -> Result<Vec<(LeafId, LeafRow)>, StoreError>;
    /// Whether the opening and value of a leaf were deleted.
    fn is_deleted(&self, leaf: LeafId) -> Result<bool, StoreError>;
    /// Hashes of the head log: of a level of tiles (from 1), from a number on, at most `count`.
    fn head_nodes(&self, level: u8, first: u64, count: u16) -> Result<Vec<HashValue>, StoreError>;
    /// How many hashes of a level there are.
    fn head_node_count(&self, level: u8) -> Result<u64, StoreError>;
    /// The greatest leaf id; 0 if there is none.
    fn last_leaf(&self) -> Result<LeafId, StoreError>;
}

/// The leaf of a label's greatest version among those that entries below `size` created.
pub fn greatest(
    reader: &impl Reader,
    label: &[u8],
    size: u64,
) -> Result<Option<(LeafId, LeafRow)>, StoreError> {
    greatest_among(reader, label, size, &reader.versions(label)?)
}

/// The same, given the leaves of all versions.
pub fn greatest_among(
    reader: &impl Reader,
    label: &[u8],
    size: u64,
    versions: &[LeafId],
) -> Result<Option<(LeafId, LeafRow)>, StoreError> {
    // Those that were created later are few: of the batch that is being published.
    for id in versions.iter().rev() {
        let row = row_of(reader, label, *id)?;
        if row.position < size {
            return Ok(Some((*id, row)));
        }
    }
    Ok(None)
}

/// The leaf of a version of a label, given those of all its versions.
pub fn version_among(
    reader: &impl Reader,
    label: &[u8],
    version: u32,
    versions: &[LeafId],
) -> Result<Option<(LeafId, LeafRow)>, StoreError> {
    let at = |index: usize| -> Result<_, StoreError> {
        let Some(id) = versions.get(index) else {
            return Ok(None);
        };
        let row = row_of(reader, label, *id)?;
        let found = row.created.as_ref().map_or(0, |created| created.version);
        Ok(Some((found, *id, row)))
    };
    // Where it is unless some were dropped.
    let likely = usize::try_from(version).unwrap_or(usize::MAX);
    if let Some((_, id, row)) = at(likely)?.filter(|(found, ..)| *found == version) {
        return Ok(Some((id, row)));
    }
    let (mut low, mut high) = (0, versions.len().min(likely));
    while low < high {
        let middle = low.midpoint(high);
        match at(middle)? {
            Some((found, id, row)) if found == version => return Ok(Some((id, row))),
            Some((found, ..)) if found < version => low = middle.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(None)
}

/// The leaf of a version of a label.
pub fn version(
    reader: &impl Reader,
    label: &[u8],
    version: u32,
) -> Result<Option<(LeafId, LeafRow)>, StoreError> {
    version_among(reader, label, version, &reader.versions(label)?)
}

fn row_of(reader: &impl Reader, label: &[u8], id: LeafId) -> Result<LeafRow, StoreError> {
    let row = reader.leaf(id)?;
    let row = row.ok_or_else(|| StoreError::Damaged(format!("leaf {id} is missing")))?;
    match &row.created {
        Some(created) if created.label == label => Ok(row),
        _ => Err(StoreError::Damaged(format!(
            "leaf {id} is of another label"
        ))),
    }
}

/// The leaves that a log entry changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Added.
    pub added: std::ops::Range<LeafId>,
    /// Removed.
    pub removed: Vec<LeafId>,
}

/// A leaf of the prefix tree, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRow {
    /// The log entry that added it.
    pub position: u64,
    /// The leaf.
    pub leaf: PrefixLeaf,
    /// What it is a version of; nothing if it is padding.
    pub created: Option<Created>,
    /// The log entry that removed it from the prefix tree, if one did.
    pub removed: Option<u64>,
}

/// A version of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The label.
    pub label: Vec<u8>,
    /// The version.
    pub version: u32,
    /// The opening of its commitment, and its value; none if the version counter was skipped, or if
    /// they were deleted.
    pub opened: Option<(Opening, UpdateValue)>,
}

/// A leaf about to be stored.
#[derive(Debug, Clone)]
pub struct NewLeaf {
    /// Its number.
    pub id: LeafId,
    /// What is stored.
    pub row: LeafRow,
}

/// A head that users have seen, or may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The head.
    pub head: TreeHead,
    /// The head log's checkpoint for it, with cosignatures.
    pub checkpoint: Vec<u8>,
}

impl Published {
    /// No head yet.
    pub fn nothing() -> Self {
        let (tree_size, signature) = (0, Vec::new());
        Self {
            head: TreeHead {
                tree_size,
                signature,
            },
            checkpoint: Vec::new(),
        }
    }
}

/// How far a log with a maximum lifetime has given up what it no longer needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// What the versions with leaves before this one overtook is removed from the prefix tree.
    pub swept: LeafId,
    /// Prefix trees of log entries before this one are dropped.
    pub dropped: u64,
}

/// A version that was promised and is not in the log yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The label.
    pub label: Vec<u8>,
    /// The version.
    pub version: u32,
    /// The opening that was promised.
    pub opening: Opening,
    /// The value.
    pub value: Vec<u8>,
}

/// What new log entries give up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired {
    /// Leaves whose versions can no longer be proved: their openings and values go.
    pub unprovable: Vec<LeafId>,
    /// The new [`Retained::swept`].
    pub swept: Option<LeafId>,
}

/// A log entry about to be stored.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its position.
    pub position: u64,
    /// The entry.
    pub entry: LogEntry,
    /// The root of its prefix tree.
    pub prefix_root: Option<Node>,
    /// The number of the leaf that the next one adds first.
    pub next_leaf: LeafId,
    /// Leaves that it removes from the prefix tree.
    pub removed: Vec<LeafId>,
}

/// Log entries about to be stored, with everything that belongs to them.
#[derive(Debug)]
pub struct Batch {
    /// The log entries.
    pub entries: Vec<NewEntry>,
    /// New pages of the prefix tree, ascending without gaps.
    pub pages: Vec<NewPage>,
    /// New leaves, ascending.
    pub leaves: Vec<NewLeaf>,
    /// Newly complete subtrees of the log tree.
    pub subtrees: Vec<(Subtree, HashValue)>,
    /// Hashes of the head log that are new.
    pub head_nodes: Vec<HeadNode>,
    /// What is given up.
    pub retired: Retired,
    /// Labels whose promised versions are among the new ones.
    pub fulfilled: Vec<Vec<u8>>,
    /// The state afterwards.
    pub tip: Tip,
}

impl Batch {
    /// Nothing to store yet, after `tip`.
    pub fn after(tip: Tip) -> Self {
        Self {
            entries: Vec::new(),
            pages: Vec::new(),
            leaves: Vec::new(),
            subtrees: Vec::new(),
            head_nodes: Vec::new(),
            retired: Retired::default(),
            fulfilled: Vec::new(),
            tip,
        }
    }

    /// Adds a log entry, with the leaves that it adds, what they are versions of, and the leaves that
    /// it removes.
    pub fn push(
        &mut self,
        appended: Appended,
        added: Vec<(PrefixLeaf, Option<Created>)>,
        removed: Vec<LeafId>,
    ) {
        let position = self.tip.size;
        let new = (self.tip.next_leaf..).zip(added);
        self.leaves.extend(new.map(|(id, (leaf, created))| NewLeaf {
            id,
            row: LeafRow {
                position,
                leaf,
                created,
                removed: None,
            },
        }));
        self.entries.push(NewEntry {
            position,
            entry: appended.entry,
            prefix_root: appended.tip.prefix_root,
            next_leaf: appended.tip.next_leaf,
            removed,
        });
        self.pages.extend(appended.pages);
        self.subtrees.extend(appended.subtrees);
        self.tip = appended.tip;
    }
}

/// Why the store cannot do what it should.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The engine failed (disk full, no permission, …).
    #[error("storage engine: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The database failed.
    #[error("database: {}", with_source(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The database is not reached, or gives no more connections.
    #[error("no connection to the database: {0}")]
    Unreachable(String),
    /// Another process is the sequencer now.
    #[error("another process is the sequencer now: this one writes nothing any more")]
    Fenced,
    /// Stored bytes do not decode, or contradict each other.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The last signed head cannot be recorded outside the database.
    #[error("the guard file of the last signed head: {0}")]
    Guard(#[source] std::io::Error),
    /// Another writer moved the head.
    #[error(
        "the stored head is not the one that this writer appended to; is another server running?"
    )]
    HeadMoved,
}

/// The database's own words, which the error keeps apart.
fn with_source(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
