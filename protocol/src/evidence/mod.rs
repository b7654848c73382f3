//! Evidence: files that prove misbehaviour to anyone, offline.
//!
//! A file holds two signed statements that cannot both be true, with all that it takes to see it:
//! nothing else verifies, and that a log refused to prove something never does. Whoever finds a
//! contradiction makes the file; [`Evidence::verify`] needs to trust neither the finder nor anybody.
//! What it accuses are keys: whose they are is for the reader to know. `docs/evidence.md` describes
//! the format.

mod diverge;
mod error;
mod finding;
mod head_log;
mod heads;
mod hex;
mod replay;
mod responses;
mod values;

pub use diverge::{first_difference, prove_difference};
pub use error::EvidenceError;
pub use finding::{Accused, Finding};
pub use head_log::{Checkpoints, Leaves, ProvenLeaf, ProvenRecord, SignedNote};
pub use heads::{Head, HeadAndRecord, Heads};
pub use hex::Hex;
pub use replay::{Records, Update};
pub use responses::{BrokenPromise, Exchange, Operation, Versions};
pub use values::{SignedUpdate, Values};

use serde::{Deserialize, Serialize};

use crate::descriptor::to_hex;
use crate::suite::sha256;

/// Bytes of a file at most.
pub const MAX_EVIDENCE_LEN: usize = 1 << 22;

/// What a file holds. Only [`Evidence::verify`] says whether it proves anything; the constructors
/// return nothing that does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "evidence")]
pub enum Evidence {
    /// Two checkpoints of one origin and size, with different roots.
    #[serde(rename = "overt.checkpoints/v1")]
    Checkpoints(Checkpoints),
    /// Two leaves at one index of one log.
    #[serde(rename = "overt.leaves/v1")]
    Leaves(Leaves),
    /// Two tree heads of one configuration and size over different trees.
    #[serde(rename = "overt.tree-heads/v1")]
    Heads(Heads),
    /// A tree head, and a leaf of the head log that says otherwise.
    #[serde(rename = "overt.head-and-record/v1")]
    HeadAndRecord(HeadAndRecord),
    /// Two leaves of the head log, of which the second does not follow from the first.
    #[serde(rename = "overt.records/v1")]
    Records(Records),
    /// Two adjacent leaves of the head log between which the prefix tree lost a leaf.
    #[serde(rename = "overt.update/v1")]
    Update(Update),
    /// A receipt, and an answer that shows that its promise was not kept.
    #[serde(rename = "overt.broken-promise/v1")]
    BrokenPromise(BrokenPromise),
    /// A version of a label that was there, and an answer that shows it otherwise.
    #[serde(rename = "overt.versions/v1")]
    Versions(Versions),
    /// Two values for one version, by the Service Operator.
    #[serde(rename = "overt.values/v1")]
    Values(Values),
}

impl Evidence {
    /// Reads a file. Nothing is verified yet.
    ///
    /// # Errors
    /// [`EvidenceError::TooLong`] or [`EvidenceError::Json`].
    pub fn parse(json: &[u8]) -> Result<Self, EvidenceError> {
        match json.len() <= MAX_EVIDENCE_LEN {
            true => serde_json::from_slice(json).map_err(|e| EvidenceError::Json(e.to_string())),
            false => Err(EvidenceError::TooLong(json.len())),
        }
    }

    /// The file: JSON without spaces, its members in the order of `docs/evidence.md`.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists of them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of [`Evidence::to_json`] in lower-case hexadecimal, however the file was laid out.
    /// One contradiction can be told in many files, each with an ID of its own: whoever keeps what
    /// strangers send should keep few files against the same [`Accused`].
    pub fn id(&self) -> String {
        to_hex(&sha256(&[self.to_json().as_bytes()]))
    }

    /// What the file proves. Anyone gets the same answer, at any time.
    pub fn verify(&self) -> Result<Finding, EvidenceError> {
        match self {
            Self::Checkpoints(evidence) => evidence.verify(),
            Self::Leaves(evidence) => evidence.verify(),
            Self::Heads(evidence) => evidence.verify(),
            Self::HeadAndRecord(evidence) => evidence.verify(),
            Self::Records(evidence) => evidence.verify(),
            Self::Update(evidence) => evidence.verify(),
            Self::BrokenPromise(evidence) => evidence.verify(),
            Self::Versions(evidence) => evidence.verify(),
            Self::Values(evidence) => evidence.verify(),
        }
    }

    /// This, if it proves something.
    fn verified(self) -> Result<Self, EvidenceError> {
        self.verify().map(|_| self)
    }
}
