//! The Transparency Log's side: producing responses.
//!
//! [`Directory`] is what a log stores, seen at one published head; `record` runs the algorithms
//! over it and writes down what they ask for. [`append`](append()) makes the next log entry.

mod append;
mod audit;
mod monitor;
mod record;
mod retention;
mod search;
mod update;

pub use append::{Appended, LeafId, Tip, append};
pub use audit::auditor_update;
pub use monitor::{contact_monitor, credential_update, distinguished, owner_init, owner_monitor};
pub use retention::{Retention, superseded_by};
pub use search::{absence, search};
pub use update::{groups_after, update};

use thiserror::Error;

use crate::error::VerifyError;
use crate::log_tree::Subtree;
use crate::prefix_tree::{Node, Pages};
use crate::suite::NH;
use crate::wire::{
    AuditorTreeHead, Configuration, HashValue, LogEntry, Opening, PrefixLeaf, TreeHead, UpdateValue,
};

/// A version of a label as the log stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVersion {
    /// The log entry that created it.
    pub position: u64,
    /// Its leaf in the prefix tree.
    pub leaf: PrefixLeaf,
    /// The log entry that removed the leaf again, if one did.
    pub removed: Option<u64>,
}

impl StoredVersion {
    /// Whether the leaf is in the prefix tree of a log entry.
    pub fn is_in(&self, position: u64) -> bool {
        self.position <= position && self.removed.is_none_or(|removed| position < removed)
    }

    /// Whether this is a version counter that was skipped, which has no value (section
    /// "Management").
    pub fn is_skipped(&self) -> bool {
        self.leaf.commitment == SKIPPED
    }
}

/// The commitment of a version counter that was skipped.
pub const SKIPPED: HashValue = [0; NH];

/// What a log entry changed in the prefix tree; leaves in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Leaves that were added.
    pub added: Vec<PrefixLeaf>,
    /// Leaves that were removed.
    pub removed: Vec<PrefixLeaf>,
}

/// A log at one published head. Everything it returns must be as of that head: versions that later
/// entries created do not exist yet.
pub trait Directory {
    /// Why an answer cannot be had.
    type Error: From<Refusal> + From<VerifyError>;
    /// The pages of the prefix tree.
    type Pages: Pages<Error = Self::Error>;

    /// The log's configuration.
    fn config(&self) -> &Configuration;
    /// The published head.
    fn tree_head(&self) -> &TreeHead;
    /// The auditor's head to go with it, in Third-Party Auditing mode.
    fn auditor_tree_head(&self) -> Option<&AuditorTreeHead>;
    /// A log entry.
    fn log_entry(&self, position: u64) -> Result<LogEntry, Self::Error>;
    /// The head of a balanced subtree of the log tree.
    fn log_subtree(&self, subtree: Subtree) -> Result<HashValue, Self::Error>;
    /// The pages of the prefix tree.
    fn pages(&self) -> &Self::Pages;
    /// The root of the prefix tree of a log entry; none if it is empty.
    fn prefix_root(&self, position: u64) -> Result<Option<Node>, Self::Error>;
    /// What a log entry changed in the prefix tree.
    fn changes(&self, position: u64) -> Result<Changes, Self::Error>;
    /// The greatest version of a label.
    fn greatest_version(&self, label: &[u8]) -> Result<Option<u32>, Self::Error>;
    /// A version of a label; none if it does not exist, or if its leaf was removed so long ago that
    /// every prefix tree with it is dropped.
    fn version(&self, label: &[u8], version: u32) -> Result<Option<StoredVersion>, Self::Error>;
    /// The opening and value of a version that exists.
    fn value(&self, label: &[u8], version: u32) -> Result<(Opening, UpdateValue), Self::Error>;
    /// The VRF output of a version, whether it exists or not.
    fn vrf_output(&self, label: &[u8], version: u32) -> Result<HashValue, Self::Error>;
    /// The VRF output and its proof.
    fn vrf_proof(&self, label: &[u8], version: u32) -> Result<(HashValue, Vec<u8>), Self::Error>;
}

/// Why the log does not answer a well-formed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The user has seen a larger tree than this log has.
    #[error("the request advertises a tree of {last} entries, this log has {size}")]
    LastAhead {
        /// Advertised.
        last: u64,
        /// Published.
        size: u64,
    },
    /// The label or version does not exist.
    #[error("no such label or version")]
    NotFound,
    /// The version can no longer be proved.
    #[error("the version has expired")]
    Expired,
    /// The value and its opening were deleted.
    #[error("the value of this version was deleted")]
    Deleted,
    /// `greatest_version` is greater than that of the label, or there is nothing to do.
    #[error("greatest_version does not allow this update")]
    VersionConflict,
    /// The request breaks a rule of its section.
    #[error("{0}")]
    Invalid(&'static str),
    /// The stored data contradict each other.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
}
