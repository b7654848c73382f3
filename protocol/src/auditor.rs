//! The Third-Party Auditor's replay of a log (section "Auditing").

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Width, Writer};
use crate::log_tree::{append_leaf, leaf_value, root_of_full_subtrees};
use crate::prefix_tree::{PrefixProofError, STAND_IN, evaluate_added};
use crate::suite::{SignatureError, SigningKey, VerifyingKey};
use crate::wire::{
    AuditorTreeHead, AuditorTreeHeadTbs, AuditorUpdate, Configuration, HashValue, LogEntry,
    TreeHead, TreeHeadTbs,
};

/// All that an auditor keeps of a log, whatever its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorState {
    /// Number of log entries that were replayed.
    pub size: u64,
    /// Timestamp of the rightmost.
    pub timestamp: u64,
    /// Root of its prefix tree.
    pub prefix_root: HashValue,
    /// Heads of the log tree's full subtrees, left to right.
    pub full_subtrees: Vec<HashValue>,
}

/// Why an `AuditorUpdate` or a head is not what an honest log produces.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Timestamps run backwards.
    #[error("log entry {position} is of {timestamp}, before its predecessor of {previous}")]
    Timestamp {
        /// The log entry.
        position: u64,
        /// Its timestamp.
        timestamp: u64,
        /// The timestamp before.
        previous: u64,
    },
    /// `added` is not in ascending order of VRF output, or has one twice.
    #[error("the leaves that log entry {0} adds are not in ascending order")]
    Order(u64),
    /// A leaf is removed. That is allowed only after it was published in a distinguished log entry,
    /// which an auditor of constant size cannot know; the project's log never removes leaves.
    #[error("log entry {0} removes leaves, which this auditor does not allow")]
    Removed(u64),
    /// The proof does not show what it should of the previous prefix tree.
    #[error("the proof of log entry {position}: {error}")]
    Proof {
        /// The log entry.
        position: u64,
        /// What is wrong.
        error: PrefixProofError,
    },
    /// The proof is about another prefix tree than that of the entry before.
    #[error("log entry {0} does not continue the prefix tree of the entry before")]
    PrefixRoot(u64),
    /// The log's own signature is not over the replayed tree.
    #[error("the head of {size} entries that the log signed is not that of the entries it gave")]
    TreeHead {
        /// Its tree size.
        size: u64,
        /// What is wrong.
        #[source]
        error: SignatureError,
    },
    /// A head of a size that was not replayed.
    #[error("the head is of {found} entries, {expected} were replayed")]
    TreeSize {
        /// Of the head.
        found: u64,
        /// Replayed.
        expected: u64,
    },
    /// There is nothing to sign yet.
    #[error("the log is empty")]
    Empty,
    /// The configuration's key, or an encoding.
    #[error("unusable configuration: {0}")]
    Configuration(String),
}

impl AuditError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Timestamp { .. } => "audit-timestamp",
            Self::Order(_) => "audit-order",
            Self::Removed(_) => "audit-removed",
            Self::Proof { .. } => "audit-proof",
            Self::PrefixRoot(_) => "audit-prefix-root",
            Self::TreeHead { .. } => "audit-tree-head",
            Self::TreeSize { .. } => "audit-tree-size",
            Self::Empty => "audit-empty",
            Self::Configuration(_) => "audit-configuration",
        }
    }
}

impl From<EncodeError> for AuditError {
    fn from(error: EncodeError) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl AuditorState {
    /// Before the first log entry.
    pub fn empty() -> Self {
        Self {
            size: 0,
            timestamp: 0,
            prefix_root: STAND_IN,
            full_subtrees: Vec::new(),
        }
    }

    /// Root of the log tree; none if the log is empty.
    pub fn root(&self) -> Option<HashValue> {
        root_of_full_subtrees(self.size, &self.full_subtrees)
    }

    /// Processes the update of the log entry at position [`AuditorState::size`]. Steps 1 to 7.
    pub fn apply(&self, update: &AuditorUpdate) -> Result<Self, AuditError> {
        let position = self.size;
        if update.timestamp < self.timestamp {
            return Err(AuditError::Timestamp {
                position,
                timestamp: update.timestamp,
                previous: self.timestamp,
            });
        }
        let mut neighbours = update.added.iter().zip(update.added.iter().skip(1));
        if neighbours.any(|(a, b)| a.vrf_output >= b.vrf_output) {
            return Err(AuditError::Order(position));
        }
        if !update.removed.is_empty() {
            return Err(AuditError::Removed(position));
        }
        let (before, after) = evaluate_added(&update.added, &update.proof)
            .map_err(|error| AuditError::Proof { position, error })?;
        if before != self.prefix_root {
            return Err(AuditError::PrefixRoot(position));
        }
        let entry = LogEntry {
            timestamp: update.timestamp,
            prefix_tree: after,
        };
        let (full_subtrees, _) = append_leaf(self.size, &self.full_subtrees, leaf_value(&entry));
        Ok(Self {
            size: self.size.saturating_add(1),
            timestamp: update.timestamp,
            prefix_root: after,
            full_subtrees,
        })
    }

    /// Checks that the log signed the tree that was replayed.
    pub fn check_head(&self, config: &Configuration, head: &TreeHead) -> Result<(), AuditError> {
        let size = head.tree_size;
        if size != self.size {
            let (found, expected) = (size, self.size);
            return Err(AuditError::TreeSize { found, expected });
        }
        let root = self.root().ok_or(AuditError::Empty)?;
        let tbs = TreeHeadTbs {
            config,
            tree_size: size,
            root,
        };
        VerifyingKey::from_bytes(config.ciphersuite, &config.signature_public_key)
            .map_err(|error| AuditError::Configuration(error.to_string()))?
            .verify(&tbs.to_bytes()?, &head.signature)
            .map_err(|error| AuditError::TreeHead { size, error })
    }

    /// Signs what was replayed. Step 8. The same state gets the same signature.
    pub fn sign(
        &self,
        config: &Configuration,
        key: &SigningKey,
    ) -> Result<AuditorTreeHead, AuditError> {
        let tbs = AuditorTreeHeadTbs {
            config,
            timestamp: self.timestamp,
            tree_size: self.size,
            root: self.root().ok_or(AuditError::Empty)?,
        };
        Ok(AuditorTreeHead {
            timestamp: self.timestamp,
            tree_size: self.size,
            signature: key.sign(&tbs.to_bytes()?),
        })
    }
}

impl Encode for AuditorState {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.size);
        w.u64(self.timestamp);
        w.bytes(&self.prefix_root);
        w.vector(Width::One, &self.full_subtrees, "full_subtrees", |w, h| {
            w.bytes(h)
        });
    }
}

impl Decode<()> for AuditorState {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            size: r.u64("size")?,
            timestamp: r.u64("timestamp")?,
            prefix_root: r.array("prefix_root")?,
            full_subtrees: r.vector(Width::One, "full_subtrees", |r| r.array("full_subtrees"))?,
        })
    }
}
