//! The Third-Party Auditor's replay of a log (section "Auditing").

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Width, Writer};
use crate::head_log::record::HeadRecord;
use crate::implicit_tree::frontier;
use crate::log_tree::{append_leaf, leaf_value, root_of_full_subtrees};
use crate::prefix_tree::{PrefixProofError, STAND_IN, evaluate_changes};
use crate::suite::{SignatureError, SigningKey, VerifyingKey};
use crate::wire::{
    AuditorTreeHead, AuditorTreeHeadTbs, AuditorUpdate, Configuration, HashValue, LogEntry,
    PrefixLeaf, TreeHead, TreeHeadTbs,
};

/// All that an auditor keeps of a log, whatever its size; beside the keys that were added since the
/// rightmost distinguished log entry, if the log has a maximum lifetime and so may remove leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorState {
    /// Number of log entries that were replayed.
    pub size: u64,
    /// Timestamp of the rightmost.
    pub timestamp: u64,
    /// Timestamps of the log entries on the frontier, left to right; the rightmost's is the last.
    pub frontier: Vec<u64>,
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
    /// `added` or `removed` is not in ascending order of VRF output, or has one twice.
    #[error("the leaves that log entry {0} adds or removes are not in ascending order")]
    Order(u64),
    /// A leaf is removed before it was published in a distinguished log entry, or though the log has
    /// no maximum lifetime, so that any version may still be searched for.
    #[error("log entry {0} removes a leaf that it may not remove yet")]
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
            frontier: Vec::new(),
            prefix_root: STAND_IN,
            full_subtrees: Vec::new(),
        }
    }

    /// Root of the log tree; none if the log is empty.
    pub fn root(&self) -> Option<HashValue> {
        root_of_full_subtrees(self.size, &self.full_subtrees)
    }

    /// The rightmost distinguished log entry so far, in a log whose next entry is of `timestamp`.
    pub fn distinguished(&self, config: &Configuration, timestamp: u64) -> Option<u64> {
        let mut left = 0;
        let distinguished = frontier(self.size)
            .zip(&self.frontier)
            .take_while(|(_, at)| {
                let is_distinguished = config.is_distinguished_between(left, timestamp);
                left = **at;
                is_distinguished
            });
        distinguished.last().map(|(position, _)| position)
    }

    /// Processes the update of the log entry at position [`AuditorState::size`]. Steps 1 to 7.
    /// `is_newer` says whether the leaf of a key was added by a log entry to the right of the one at
    /// a position, or by any if there is no position.
    pub fn apply<E: From<AuditError>>(
        &self,
        config: &Configuration,
        update: &AuditorUpdate,
        is_newer: impl Fn(&HashValue, Option<u64>) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let next = self.replay(update)?;
        let distinguished = self.distinguished(config, update.timestamp);
        for leaf in &update.removed {
            if config.maximum_lifetime.is_none() || is_newer(&leaf.vrf_output, distinguished)? {
                return Err(AuditError::Removed(self.size).into());
            }
        }
        Ok(next)
    }

    /// All steps but the fifth.
    fn replay(&self, update: &AuditorUpdate) -> Result<Self, AuditError> {
        let position = self.size;
        self.check_time(update.timestamp)?;
        if !is_ascending(&update.added) || !is_ascending(&update.removed) {
            return Err(AuditError::Order(position));
        }
        let (before, after) = evaluate_changes(&update.added, &update.removed, &update.proof)
            .map_err(|error| AuditError::Proof { position, error })?;
        if before != self.prefix_root {
            return Err(AuditError::PrefixRoot(position));
        }
        self.append(&LogEntry {
            timestamp: update.timestamp,
            prefix_tree: after,
        })
    }

    /// Appends a log entry without looking into its prefix tree. For logs that are audited from a
    /// position on (`auditor_start_pos`): what came before is taken as the log states it.
    pub fn append(&self, entry: &LogEntry) -> Result<Self, AuditError> {
        let (position, timestamp) = (self.size, entry.timestamp);
        self.check_time(timestamp)?;
        let (full_subtrees, _) = append_leaf(position, &self.full_subtrees, leaf_value(entry));
        let size = position.saturating_add(1);
        let known: Vec<(u64, u64)> = frontier(position).zip(self.frontier.clone()).collect();
        let timestamp_at = |position: u64| {
            let known = known.iter().find(|(at, _)| *at == position);
            known.map_or(timestamp, |(_, timestamp)| *timestamp)
        };
        Ok(Self {
            size,
            timestamp,
            frontier: frontier(size).map(timestamp_at).collect(),
            prefix_root: entry.prefix_tree,
            full_subtrees,
        })
    }

    fn check_time(&self, timestamp: u64) -> Result<(), AuditError> {
        let (position, previous) = (self.size, self.timestamp);
        match timestamp >= previous {
            true => Ok(()),
            false => Err(AuditError::Timestamp {
                position,
                timestamp,
                previous,
            }),
        }
    }

    /// What the head log says of the directory at this size (see [`HeadRecord`]); none if the log is
    /// empty.
    pub fn head_record(&self, config_hash: HashValue) -> Option<HeadRecord> {
        Some(HeadRecord {
            config_hash,
            tree_size: self.size,
            entry: LogEntry {
                timestamp: self.timestamp,
                prefix_tree: self.prefix_root,
            },
            root: self.root()?,
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

fn is_ascending(leaves: &[PrefixLeaf]) -> bool {
    leaves.is_sorted_by(|a, b| a.vrf_output < b.vrf_output)
}

impl Encode for AuditorState {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.size);
        w.u64(self.timestamp);
        w.vector(Width::Two, &self.frontier, "frontier", |w, t| w.u64(*t));
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
            frontier: r.vector(Width::Two, "frontier", |r| r.u64("frontier"))?,
            prefix_root: r.array("prefix_root")?,
            full_subtrees: r.vector(Width::One, "full_subtrees", |r| r.array("full_subtrees"))?,
        })
    }
}
