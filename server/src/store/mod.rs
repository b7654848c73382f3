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
use overt_protocol::prefix_tree::{LeafId, LeafPath, Node};
use overt_protocol::provider::Tip;
use overt_protocol::wire::{HashValue, LogEntry, Opening, TreeHead, UpdateValue};
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
    /// Makes ready for giving up what is no longer needed; for logs with a maximum lifetime.
    fn prepare_retention(&self) -> Result<(), StoreError>;
    /// How far that went.
    fn retention(&self) -> Result<Retained, StoreError>;
    /// Drops the prefix trees of log entries before `dropped`: what is left of records, none if
    /// nothing is. All or nothing.
    fn drop_versions(
        &self,
        dropped: u64,
        records: &[(LeafId, Option<LeafPath>)],
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
    /// The ids of the records of the changes that a log entry made to the prefix tree.
    fn changes(&self, position: u64) -> Result<std::ops::Range<LeafId>, StoreError>;
    /// The head of a balanced subtree of the log tree.
    fn log_subtree(&self, subtree: Subtree) -> Result<Option<HashValue>, StoreError>;
    /// The record of a leaf of the prefix tree.
    fn leaf_path(&self, id: LeafId) -> Result<Option<LeafPath>, StoreError>;
    /// The greatest version of a label created by an entry below `size`.
    fn greatest_version(&self, label: &[u8], size: u64) -> Result<Option<u32>, StoreError>;
    /// Where a version is.
    fn version(&self, label: &[u8], version: u32) -> Result<Option<VersionRow>, StoreError>;
    /// Versions in the order of creation, from a leaf on, at most `max`. Only after
    /// [`Store::prepare_retention`].
    fn versions_from(&self, leaf: LeafId, max: usize) -> Result<Vec<Created>, StoreError>;
    /// The opening and value of a leaf.
    fn value(&self, leaf: LeafId) -> Result<Option<(Opening, UpdateValue)>, StoreError>;
    /// Whether the opening and value of a leaf were deleted.
    fn is_deleted(&self, leaf: LeafId) -> Result<bool, StoreError>;
    /// Hashes of the head log: of a level of tiles (from 1), from a number on, at most `count`.
    fn head_nodes(&self, level: u8, first: u64, count: u16) -> Result<Vec<HashValue>, StoreError>;
    /// How many hashes of a level there are.
    fn head_node_count(&self, level: u8) -> Result<u64, StoreError>;
    /// The greatest leaf id; 0 if there is none.
    fn last_leaf(&self) -> Result<LeafId, StoreError>;
}

/// Where a version of a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRow {
    /// The log entry that created it.
    pub position: u64,
    /// Its leaf in the prefix tree.
    pub leaf: LeafId,
    /// The log entry that removed the leaf from the prefix tree, if one did.
    pub removed: Option<u64>,
}

impl VersionRow {
    /// A version that a log entry creates.
    pub fn new(position: u64, leaf: LeafId) -> Self {
        Self {
            position,
            leaf,
            removed: None,
        }
    }
}

/// A version, by its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The label.
    pub label: Vec<u8>,
    /// The version.
    pub version: u32,
    /// The log entry that created it.
    pub position: u64,
    /// Its leaf in the prefix tree.
    pub leaf: LeafId,
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
    /// Leaves that are removed from the prefix tree, and the log entry that removes them.
    pub removed: Vec<(LeafId, u64)>,
    /// Leaves whose versions can no longer be proved: their openings and values go.
    pub unprovable: Vec<LeafId>,
    /// The new [`Retained::swept`].
    pub swept: Option<LeafId>,
}

/// A version about to be stored.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The label.
    pub label: Vec<u8>,
    /// The version.
    pub version: u32,
    /// Where it goes.
    pub row: VersionRow,
    /// The opening of its commitment, and its value; none if the version counter is skipped.
    pub opened: Option<(Opening, UpdateValue)>,
}

/// Log entries about to be stored, with everything that belongs to them.
#[derive(Debug)]
pub struct Batch {
    /// Positions, entries, prefix tree roots, and the leaf ids that are free afterwards.
    pub entries: Vec<(u64, LogEntry, Option<Node>, LeafId)>,
    /// Records of the changes to the prefix tree.
    pub paths: Vec<(LeafId, LeafPath)>,
    /// Newly complete subtrees of the log tree.
    pub subtrees: Vec<(Subtree, HashValue)>,
    /// New versions.
    pub versions: Vec<NewVersion>,
    /// Hashes of the head log that are new.
    pub head_nodes: Vec<HeadNode>,
    /// What is given up.
    pub retired: Retired,
    /// Labels whose promised versions are among the new ones.
    pub fulfilled: Vec<Vec<u8>>,
    /// The state afterwards.
    pub tip: Tip,
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
