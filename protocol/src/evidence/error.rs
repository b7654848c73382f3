//! Why a file proves nothing.

use thiserror::Error;

use crate::auditor::AuditError;
use crate::codec::{DecodeError, EncodeError};
use crate::error::VerifyError;
use crate::evidence::MAX_EVIDENCE_LEN;
use crate::head_log::checkpoint::CheckpointError;
use crate::head_log::key::NoteKeyError;
use crate::head_log::proof::TlogProofError;
use crate::prefix_tree::PrefixProofError;
use crate::receipt::ReceiptError;
use crate::suite::{KeyError, SignatureError};
use crate::wire::ConfigurationError;

/// Why a file proves nothing. It says nothing about whoever sent it, and nothing for the accused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// More than [`MAX_EVIDENCE_LEN`] bytes.
    #[error("the file has {0} bytes, at most {MAX_EVIDENCE_LEN} are allowed")]
    TooLong(usize),
    /// Not the JSON of any kind of evidence.
    #[error("not evidence of a known kind: {0}")]
    Json(String),
    /// A structure that is not in its encoding.
    #[error("malformed {what}: {error}")]
    Decode {
        /// Which.
        what: &'static str,
        /// What is wrong.
        error: DecodeError,
    },
    /// A structure that has no encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A configuration that nobody can use.
    #[error("configuration: {0}")]
    Configuration(#[from] ConfigurationError),
    /// The configuration's key, which should have signed a head.
    #[error("configuration: {0}")]
    Key(#[from] KeyError),
    /// A verifier key.
    #[error(transparent)]
    NoteKey(#[from] NoteKeyError),
    /// A checkpoint, or its signature by the accused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A tlog-proof.
    #[error(transparent)]
    Proof(#[from] TlogProofError),
    /// The accused did not sign this head.
    #[error("the signature of the tree head does not verify: {0}")]
    Head(#[source] SignatureError),
    /// The accused did not sign this value.
    #[error("the signature of a value does not verify: {0}")]
    Value(#[source] SignatureError),
    /// The proof of an update.
    #[error("the update: {0}")]
    Update(#[source] PrefixProofError),
    /// A replay that cannot be continued.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A receipt, or the answer that should contradict it.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// An answer of the directory.
    #[error("the answer does not verify: {0}")]
    Response(#[from] VerifyError),
    /// The statements are not by one party.
    #[error("the statements are not by one party: {0}")]
    Parties(&'static str),
    /// The statements are not about the same thing.
    #[error("the statements are about different things: {0}")]
    Subject(&'static str),
    /// The statements can both be true.
    #[error("the statements do not contradict each other: {0}")]
    NoContradiction(&'static str),
}

impl EvidenceError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "evidence-length",
            Self::Json(_) => "evidence-format",
            Self::Decode { .. } | Self::Encode(_) => "evidence-encoding",
            Self::Configuration(_) | Self::Key(_) => "evidence-configuration",
            Self::NoteKey(error) => error.check(),
            Self::Checkpoint(error) => error.check(),
            Self::Proof(error) => error.check(),
            Self::Head(_) => "evidence-head-signature",
            Self::Value(_) => "evidence-value-signature",
            Self::Update(_) => "evidence-update-proof",
            Self::Audit(error) => error.check(),
            Self::Receipt(error) => error.check(),
            Self::Response(error) => error.check(),
            Self::Parties(_) => "evidence-parties",
            Self::Subject(_) => "evidence-subject",
            Self::NoContradiction(_) => "evidence-no-contradiction",
        }
    }
}
