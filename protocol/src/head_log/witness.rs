//! What logs and witnesses say to each other, and what a witness decides (tlog-witness).
//!
//! Both sides of "add-checkpoint" are here, without HTTP. The optional "sign-subtree" call is not
//! implemented.

use std::fmt;

use thiserror::Error;

use crate::head_log::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::head_log::key::{SignerKey, VerifierKey};
use crate::head_log::note::{MAX_NOTE_LEN, NoteError, NoteSignature, VerifiedSignature};
use crate::head_log::text::{parse_decimal, parse_hashes, split_note, write_hashes};
use crate::head_log::tree::{SizedRoot, TreeError, verify_consistency};
use crate::suite::sha256;
use crate::wire::HashValue;

/// Hashes of a consistency proof at most. It suffices for logs of up to 2^62 entries.
pub const MAX_HASHES: usize = 63;
/// Bytes of a request at most: a checkpoint behind the old size and the longest proof.
pub const MAX_REQUEST_LEN: usize = MAX_NOTE_LEN + 4096;
/// `Content-Type` of the body of [`Refusal::Conflict`].
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// Why a witness does not cosign; [`Refusal::status`] is what it answers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not the body of a request.
    #[error("malformed request: expected {0}")]
    Malformed(&'static str),
    /// What follows the proof is not a checkpoint.
    #[error("malformed request: {0}")]
    Checkpoint(CheckpointError),
    /// The checkpoint is smaller than the tree that it should have grown from.
    #[error("the old size {old} is greater than the checkpoint's, {new}")]
    OldSize {
        /// In the request.
        old: u64,
        /// Of the checkpoint.
        new: u64,
    },
    /// The witness knows no key of this origin.
    #[error("the log is not known here")]
    UnknownLog,
    /// No known key of the log signed, or its signature does not verify.
    #[error("not signed by the log: {0}")]
    Signature(NoteError),
    /// The old size is not the size that the witness last cosigned.
    #[error("the latest cosigned size is {latest}")]
    Conflict {
        /// What the witness last cosigned; 0 if nothing.
        latest: u64,
    },
    /// The proof does not show that the log has only grown. It may be misbehaviour of the log.
    #[error("not shown to be consistent: {0}")]
    Inconsistent(TreeError),
}

impl Refusal {
    /// The HTTP status code. For malformed requests the specification names none: they get 400.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Checkpoint(_) | Self::OldSize { .. } => 400,
            Self::Signature(_) => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// The body that the specification prescribes, of [`SIZE_CONTENT_TYPE`]: the latest size on a
    /// line. None if the body is free.
    pub fn body(&self) -> Option<String> {
        match self {
            Self::Conflict { latest } => Some(format!("{latest}\n")),
            _ => None,
        }
    }

    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "witness-request",
            Self::Checkpoint(error) => error.check(),
            Self::OldSize { .. } => "witness-old-size",
            Self::UnknownLog => "witness-unknown-log",
            Self::Signature(error) => error.check(),
            Self::Conflict { .. } => "witness-conflict",
            Self::Inconsistent(error) => error.check(),
        }
    }
}

/// The size in the body of a [`Refusal::Conflict`]; none if it is malformed.
pub fn parse_size(body: &[u8]) -> Option<u64> {
    parse_decimal(str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// The body of an "add-checkpoint" request. [`Display`](fmt::Display) gives its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness cosigned last, as far as the client knows; 0 if nothing.
    pub old_size: u64,
    /// Proves that the checkpoint has grown from there; empty if that is size 0.
    pub consistency: Vec<HashValue>,
    /// The new checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] or [`Refusal::Checkpoint`].
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        if body.len() > MAX_REQUEST_LEN {
            return Err(Refusal::Malformed("fewer bytes"));
        }
        let (lines, note) = split_note(body).ok_or(Refusal::Malformed("an empty line"))?;
        let (old, hashes) = match lines.as_slice() {
            [old, hashes @ ..] if hashes.len() <= MAX_HASHES => (old, hashes),
            _ => return Err(Refusal::Malformed("at most 63 hashes")),
        };
        let old_size = old.strip_prefix("old ").and_then(parse_decimal);
        Ok(Self {
            old_size: old_size.ok_or(Refusal::Malformed("the old size"))?,
            consistency: parse_hashes(hashes).ok_or(Refusal::Malformed("hashes"))?,
            checkpoint: SignedCheckpoint::parse(note).map_err(Refusal::Checkpoint)?,
        })
    }

    /// Decides as a witness that trusts these keys for the checkpoint's origin, none if it does not
    /// know the log, and last cosigned `latest` of it, [`SizedRoot::empty`] if nothing. Checks are in
    /// the order of the specification.
    ///
    /// Nothing may be signed before the accepted tree is stored durably in the place of `latest`, in
    /// one step with the comparison: else two requests at once roll the log back.
    pub fn decide(&self, keys: &[VerifierKey], latest: &SizedRoot) -> Result<Accepted, Refusal> {
        if keys.is_empty() {
            return Err(Refusal::UnknownLog);
        }
        let by_log = self.checkpoint.note().verify(keys);
        let by_log = by_log.map_err(Refusal::Signature)?;
        let (old, tree) = (self.old_size, self.checkpoint.checkpoint().tree());
        if old > tree.size {
            let new = tree.size;
            return Err(Refusal::OldSize { old, new });
        }
        if old != latest.size {
            let latest = latest.size;
            return Err(Refusal::Conflict { latest });
        }
        verify_consistency(latest, &tree, &self.consistency).map_err(Refusal::Inconsistent)?;
        let lines = by_log.into_iter().map(|signature| signature.line).collect();
        let checkpoint = self.checkpoint.with_only(lines);
        Ok(Accepted {
            checkpoint: checkpoint.map_err(Refusal::Checkpoint)?,
        })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        write_hashes(f, &self.consistency)?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// A checkpoint that a witness may cosign, with the verified signatures of the log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    checkpoint: SignedCheckpoint,
}

impl Accepted {
    /// What becomes the latest tree.
    pub fn tree(&self) -> SizedRoot {
        self.checkpoint.checkpoint().tree()
    }

    /// Cosigns with every key of the witness, at a time in seconds since the Unix epoch. Gives the
    /// body of the response, and the checkpoint that monitors are to get at [`monitoring_path`].
    pub fn cosign(
        &self,
        keys: &[SignerKey],
        timestamp: u64,
    ) -> Result<(String, SignedCheckpoint), CheckpointError> {
        let lines = keys
            .iter()
            .map(|key| self.checkpoint.cosign(key, timestamp))
            .collect::<Result<Vec<_>, _>>()?;
        let body = lines.iter().map(NoteSignature::to_string).collect();
        Ok((body, self.checkpoint.with(&lines)?))
    }
}

/// What a witness answered, as the log that asked: the cosignatures of this checkpoint by known keys,
/// at least one. Others are ignored.
///
/// # Errors
/// If the body is malformed, one of them does not verify, or one has no timestamp.
pub fn parse_response<'k>(
    body: &[u8],
    checkpoint: &SignedCheckpoint,
    keys: impl IntoIterator<Item = &'k VerifierKey>,
) -> Result<Vec<VerifiedSignature<'k>>, NoteError> {
    if body.len() > MAX_NOTE_LEN {
        return Err(NoteError::TooLong(body.len()));
    }
    let body = str::from_utf8(body).map_err(|_| NoteError::Characters)?;
    let lines = NoteSignature::parse_lines(body)?;
    let verified = checkpoint.note().with_only(lines)?.verify(keys)?;
    match verified.iter().find(|signature| signature.timestamp == 0) {
        None => Ok(verified),
        Some(timeless) => Err(NoteError::Signature {
            name: timeless.key.name().to_owned(),
            id: timeless.key.id(),
        }),
    }
}

/// Where a witness serves the latest checkpoint of a log that it cosigned, below its monitoring
/// prefix ("Monitor Retrieval Mechanism").
pub fn monitoring_path(origin: &str) -> String {
    let hash = sha256(&[origin.as_bytes()]);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}/checkpoint")
}
