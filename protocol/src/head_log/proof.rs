//! Offline proofs: a leaf, its place in the log, and a checkpoint that the log and witnesses signed
//! (tlog-proof).

use std::fmt;
use std::ops::RangeInclusive;

use thiserror::Error;

use crate::codec::EncodeError;
use crate::head_log::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::head_log::note::MAX_NOTE_LEN;
use crate::head_log::policy::{Policy, TrustError, TrustedCheckpoint};
use crate::head_log::record::HeadRecord;
use crate::head_log::text::{
    from_base64, parse_decimal, parse_hashes, split_note, to_base64, write_hashes,
};
use crate::head_log::tree::{TreeError, verify_inclusion};
use crate::wire::HashValue;

const FORMAT: &str = "c2sp.org/tlog-proof@v1";
/// Bytes of a proof at most.
pub const MAX_PROOF_LEN: usize = MAX_NOTE_LEN + 0x2_0000;
/// Bytes of extra data at most.
pub const MAX_EXTRA_LEN: usize = 0x1_0000;
/// Hashes of an inclusion proof at most: a leaf of a 64-bit tree has no more siblings.
const MAX_HASHES: usize = 64;

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlogProofError {
    /// More than [`MAX_PROOF_LEN`] bytes.
    #[error("the proof has {0} bytes, at most {MAX_PROOF_LEN} are allowed")]
    TooLong(usize),
    /// Not a proof, or of another version.
    #[error("not a {FORMAT}: expected {0}")]
    Format(&'static str),
    /// More hashes than a proof can have.
    #[error("the proof has {0} hashes, at most {MAX_HASHES} are possible")]
    Hashes(usize),
    /// What follows is not a checkpoint, or not one that a head log has.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A proof about another leaf.
    #[error("the proof is about leaf {found}, expected {expected}")]
    Index {
        /// In the proof.
        found: u64,
        /// Of the record.
        expected: u64,
    },
    /// A record that is no leaf.
    #[error("unencodable: {0}")]
    Record(#[from] EncodeError),
    /// The leaf is not in the tree of the checkpoint.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The checkpoint does not satisfy the policy.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl TlogProofError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "tlog-proof-length",
            Self::Format(_) => "tlog-proof-format",
            Self::Hashes(_) => "tlog-proof-hashes",
            Self::Checkpoint(error) => error.check(),
            Self::Index { .. } => "tlog-proof-index",
            Self::Record(_) => "tlog-proof-record",
            Self::Tree(error) => error.check(),
            Self::Trust(error) => error.check(),
        }
    }
}

/// A proof, not yet verified. [`Display`](fmt::Display) gives its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// For the application; nothing vouches for it. None if empty.
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<HashValue>,
    checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// A proof that leaf `index` is in the tree of the checkpoint, by the hashes of
    /// [`prove_inclusion`](crate::head_log::tree::prove_inclusion). The head log has no extra data.
    pub fn new(index: u64, hashes: Vec<HashValue>, checkpoint: SignedCheckpoint) -> Self {
        Self {
            extra: None,
            index,
            hashes,
            checkpoint,
        }
    }

    /// Reads a proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > MAX_PROOF_LEN {
            return Err(TlogProofError::TooLong(bytes.len()));
        }
        let expected = TlogProofError::Format;
        let (lines, note) = split_note(bytes).ok_or(expected("an empty line"))?;
        let lines = lines.strip_prefix(&[FORMAT]).ok_or(expected(FORMAT))?;
        let (extra, lines) = match lines {
            [line, rest @ ..] if line.starts_with("extra ") => {
                (Some(parse_extra(line).ok_or(expected("extra data"))?), rest)
            }
            lines => (None, lines),
        };
        let (index, hashes) = lines.split_first().ok_or(expected("an index"))?;
        let index = index.strip_prefix("index ").and_then(parse_decimal);
        let index = index.ok_or(expected("an index"))?;
        if hashes.len() > MAX_HASHES {
            return Err(TlogProofError::Hashes(hashes.len()));
        }
        Ok(Self {
            extra,
            index,
            hashes: parse_hashes(hashes).ok_or(expected("hashes"))?,
            checkpoint: SignedCheckpoint::parse(note)?,
        })
    }

    /// The leaf's place in the log, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// What nothing vouches for.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The checkpoint, not yet verified.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Checks that a leaf of this hash is at [`TlogProof::index`] of the tree that the checkpoint
    /// states, by whomever that is signed.
    pub fn check_inclusion(&self, leaf: &HashValue) -> Result<(), TlogProofError> {
        let tree = self.checkpoint.checkpoint().tree();
        Ok(verify_inclusion(leaf, self.index, &tree, &self.hashes)?)
    }

    /// Checks that a leaf of this hash is in a log, at [`TlogProof::index`], and that the checkpoint
    /// satisfies the policy; for `in_time` see [`Policy::verify`].
    pub fn verify_leaf<'p>(
        &self,
        leaf: &HashValue,
        policy: &'p Policy,
        in_time: &RangeInclusive<u64>,
    ) -> Result<TrustedCheckpoint<'p>, TlogProofError> {
        self.check_inclusion(leaf)?;
        Ok(policy.verify(&self.checkpoint, in_time)?)
    }

    /// Checks that a head log has this record where it belongs: at `tree_size - 1`, and so in a
    /// checkpoint of at least `tree_size` leaves, which has no extension lines.
    pub fn verify_head<'p>(
        &self,
        record: &HeadRecord,
        policy: &'p Policy,
        in_time: &RangeInclusive<u64>,
    ) -> Result<TrustedCheckpoint<'p>, TlogProofError> {
        self.check_head(record)?;
        Ok(policy.verify(&self.checkpoint, in_time)?)
    }

    /// Checks the same, by whomever the checkpoint is signed. Returns the hash of the leaf.
    pub fn check_head(&self, record: &HeadRecord) -> Result<HashValue, TlogProofError> {
        let (expected, found) = (record.index()?, self.index);
        if found != expected {
            return Err(TlogProofError::Index { found, expected });
        }
        self.checkpoint.checkpoint().check_no_extensions()?;
        let leaf = record.leaf_hash()?;
        self.check_inclusion(&leaf)?;
        Ok(leaf)
    }
}

/// Base64 of at least one byte: without extra data there is no such line.
fn parse_extra(line: &str) -> Option<Vec<u8>> {
    let extra = from_base64(line.strip_prefix("extra ")?)?;
    (1..=MAX_EXTRA_LEN).contains(&extra.len()).then_some(extra)
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        write_hashes(f, &self.hashes)?;
        write!(f, "\n{}", self.checkpoint)
    }
}
