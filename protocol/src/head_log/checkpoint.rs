//! Checkpoints: signed notes by which a log states its tree (tlog-checkpoint), and others that they
//! saw it (tlog-cosignature).

use std::fmt;

use thiserror::Error;

use crate::head_log::cosignature::MAX_TIMESTAMP;
use crate::head_log::key::{SignatureType, SignerKey, VerifierKey};
use crate::head_log::note::{Note, NoteError, NoteSignature, VerifiedSignature};
use crate::head_log::text::{parse_decimal, parse_hash, to_base64};
use crate::head_log::tree::SizedRoot;

/// Bytes that an origin has at most if ML-DSA-44 cosignatures are to cover it (tlog-cosignature,
/// `log_origin`). The origins of directories keep to it.
pub const MAX_ORIGIN_LEN: usize = 255;

/// Why something is not a checkpoint, or cannot be signed as one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Fewer than three lines, an empty one, or no newline at the end.
    #[error("a checkpoint is three or more lines, none of them empty, each ended by a newline")]
    Lines,
    /// An origin that is empty, too long, or has control characters.
    #[error("an origin is 1 to {MAX_ORIGIN_LEN} bytes without control characters")]
    Origin,
    /// The second line is not the size.
    #[error("the tree size is not a decimal below 2^64 without leading zeroes")]
    Size,
    /// The third line is not the root.
    #[error("the root is not the base64 of 32 bytes")]
    Root,
    /// Extension lines where none may be.
    #[error("the checkpoint has {0} extension lines, which cosignatures may not cover")]
    Extensions(usize),
    /// Not a note, or not with the signatures that it should have.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The key at hand cannot make this signature.
    #[error("the key {name} cannot sign this checkpoint: {reason}")]
    Signer {
        /// The key's name.
        name: String,
        /// What does not fit.
        reason: &'static str,
    },
}

impl CheckpointError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Lines => "checkpoint-lines",
            Self::Origin => "checkpoint-origin",
            Self::Size => "checkpoint-size",
            Self::Root => "checkpoint-root",
            Self::Extensions(_) => "checkpoint-extensions",
            Self::Note(error) => error.check(),
            Self::Signer { .. } => "checkpoint-signer",
        }
    }
}

/// What a log says that its tree is. [`Display`](fmt::Display) gives the note text, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    tree: SizedRoot,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines, as the head log has it.
    pub fn new(origin: &str, tree: SizedRoot) -> Result<Self, CheckpointError> {
        let length = 1..=MAX_ORIGIN_LEN;
        match length.contains(&origin.len()) && !origin.contains(char::is_control) {
            true => Ok(Self {
                origin: origin.to_owned(),
                tree,
                extensions: Vec::new(),
            }),
            false => Err(CheckpointError::Origin),
        }
    }

    /// Reads the text of a note that a log signed, with whatever extension lines it has.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let lines: Vec<&str> = lines.split('\n').collect();
        if lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        Ok(Self {
            origin: (*origin).to_owned(),
            tree: SizedRoot {
                size: parse_decimal(size).ok_or(CheckpointError::Size)?,
                root: parse_hash(root).ok_or(CheckpointError::Root)?,
            },
            extensions: extensions.iter().map(|line| (*line).to_owned()).collect(),
        })
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Size and root.
    pub fn tree(&self) -> SizedRoot {
        self.tree
    }

    /// Refuses extension lines: ML-DSA-44 cosignatures do not cover them, and nobody audits them.
    pub fn check_no_extensions(&self) -> Result<(), CheckpointError> {
        match self.extensions.len() {
            0 => Ok(()),
            n => Err(CheckpointError::Extensions(n)),
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SizedRoot { size, root } = &self.tree;
        write!(f, "{}\n{size}\n{}\n", self.origin, to_base64(root))?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint with signatures, not yet verified. [`Display`](fmt::Display) gives the note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with all keys of the log, which bear its origin as their name.
    ///
    /// The same checkpoint and keys always give the same bytes: an ML-DSA-44 signature, which has the
    /// form of a cosignature, has the timestamp 0 and so makes no statement about time.
    pub fn sign(checkpoint: Checkpoint, keys: &[SignerKey]) -> Result<Self, CheckpointError> {
        let text = checkpoint.to_string();
        let signatures = keys
            .iter()
            .map(|key| {
                if key.verifier().name() != checkpoint.origin {
                    return Err(cannot(key, "its name is not the origin"));
                }
                if key.verifier().kind() == SignatureType::Ed25519Cosignature {
                    return Err(cannot(key, "it is a cosigner's"));
                }
                sign(key, &text, 0)
            })
            .collect::<Result<_, _>>()?;
        let note = Note::new(text, signatures)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a signed checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        Self::try_from(Note::parse(bytes)?)
    }

    /// What is stated, by whomever: nothing is verified yet.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Cosigns the checkpoint at a time in seconds since the Unix epoch, which must not be 0
    /// (tlog-witness, "add-checkpoint"). That it is consistent with all others that the key cosigned
    /// is for the caller to make sure.
    pub fn cosign(
        &self,
        key: &SignerKey,
        timestamp: u64,
    ) -> Result<NoteSignature, CheckpointError> {
        if !key.verifier().kind().is_cosignature() {
            return Err(cannot(key, "it is not a cosigner's"));
        }
        if !(1..=MAX_TIMESTAMP).contains(&timestamp) {
            return Err(cannot(key, "the timestamp is 0 or above 2^63 - 1"));
        }
        sign(key, self.note.text(), timestamp)
    }

    /// The checkpoint with more signatures.
    pub fn with(&self, more: &[NoteSignature]) -> Result<Self, CheckpointError> {
        let (checkpoint, note) = (self.checkpoint.clone(), self.note.with(more)?);
        Ok(Self { checkpoint, note })
    }

    /// The checkpoint with other signatures.
    pub(super) fn with_only(&self, lines: Vec<NoteSignature>) -> Result<Self, CheckpointError> {
        let (checkpoint, note) = (self.checkpoint.clone(), self.note.with_only(lines)?);
        Ok(Self { checkpoint, note })
    }

    /// Verifies the signatures by these keys; there must be one. See [`Note::verify`].
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<VerifiedSignature<'k>>, CheckpointError> {
        Ok(self.note.verify(keys)?)
    }
}

impl TryFrom<Note> for SignedCheckpoint {
    type Error = CheckpointError;

    fn try_from(note: Note) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { checkpoint, note })
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

fn sign(key: &SignerKey, text: &str, timestamp: u64) -> Result<NoteSignature, CheckpointError> {
    let signature = key.sign(text, timestamp);
    let signature = signature.ok_or_else(|| cannot(key, "origin too long for its type"))?;
    Ok(NoteSignature::new(key.verifier(), signature))
}

fn cannot(key: &SignerKey, reason: &'static str) -> CheckpointError {
    CheckpointError::Signer {
        name: key.verifier().name().to_owned(),
        reason,
    }
}
