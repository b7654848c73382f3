//! The draft's structures, under the draft's names, with their TLS encoding.
//!
//! Structures whose `select` depends on the log's configuration decode with a [`Configuration`]
//! as context.

mod config;
mod credential;
mod monitor;
mod proof;
mod search;
mod third_party;
mod tree_head;
mod update;

pub use config::{Configuration, ConfigurationError, DeploymentMode};
pub use credential::{Credential, CredentialProof, CredentialUpdate, CredentialUpdateRequest};
pub use monitor::{
    ContactMonitorRequest, DistinguishedHead, DistinguishedRequest, MonitorMapEntry,
    MonitorResponse, OwnerInitRequest, OwnerInitResponse, OwnerMonitorRequest,
};
pub use proof::{
    BinaryLadderStep, CombinedTreeProof, InclusionProof, LogEntry, PrefixLeaf, PrefixProof,
    PrefixSearchResult,
};
pub use search::{AbsenceRequest, AbsenceResponse, SearchRequest, SearchResponse};
pub use third_party::{AuditorUpdate, ManagerUpdateRequest};
pub use tree_head::{AuditorTreeHead, AuditorTreeHeadTbs, FullTreeHead, TreeHead, TreeHeadTbs};
pub use update::{
    CommitmentValue, Opening, UpdateInfo, UpdateRequest, UpdateResponse, UpdateTbs, UpdateValue,
    VrfInput,
};

/// `HashValue`: the output of the suite's hash function, or the value of a tree node.
pub type HashValue = [u8; crate::suite::NH];

use crate::codec::{DecodeError, Reader, Width, Writer};

/// `opaque label<0..2^8-1>`.
pub(crate) fn encode_label(w: &mut Writer, label: &[u8]) {
    w.opaque(Width::One, label, "label");
}

pub(crate) fn decode_label(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    r.opaque(Width::One, "label")
}

/// `optional<uint64> last`, which begins every request.
pub(crate) fn encode_last(w: &mut Writer, last: Option<u64>) {
    w.optional(last.as_ref(), |w, n| w.u64(*n));
}

pub(crate) fn decode_last(r: &mut Reader<'_>) -> Result<Option<u64>, DecodeError> {
    r.optional("last", |r| r.u64("last"))
}
