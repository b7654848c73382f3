//! Why a response, credential or head is not verified.

use thiserror::Error;

use crate::codec::{DecodeError, EncodeError};
use crate::log_tree::BatchProofError;
use crate::prefix_tree::PrefixProofError;
use crate::suite::{KeyError, SignatureError, VrfError};

/// Which check failed. Nothing was learnt and no state changed.
///
/// [`VerifyError::check`] is a stable name of the check for programs and for stored reports.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The bytes are not an encoding of the expected structure.
    #[error("malformed response: {0}")]
    Decode(#[from] DecodeError),
    /// A structure that the check must hash or sign does not fit its wire format.
    #[error("unencodable: {0}")]
    Encode(#[from] EncodeError),
    /// A key of the configuration is not valid in its cipher suite.
    #[error("configuration: {0}")]
    Key(#[from] KeyError),

    /// `head_type` is `same` although the user advertised no tree size.
    #[error("the log answered with an unchanged head, but no head was advertised")]
    SameWithoutLast,
    /// `TreeHead.tree_size` is not greater than the advertised one.
    #[error("the new head has size {size}, which is not greater than the advertised {last}")]
    TreeSize {
        /// In the response.
        size: u64,
        /// Advertised.
        last: u64,
    },
    /// A tree size that no log can have.
    #[error("tree size {0} is out of range")]
    TreeSizeRange(u64),
    /// `TreeHead.signature` is not the log's over this root.
    #[error("the tree head signature does not verify over the root that the proof leads to")]
    TreeHeadSignature(#[source] SignatureError),
    /// The rightmost timestamp is further ahead of the clock than `max_ahead`.
    #[error("the head is {by} ms ahead of the local clock, at most {limit} ms are allowed")]
    ClockAhead {
        /// Difference.
        by: u64,
        /// `max_ahead`.
        limit: u64,
    },
    /// The rightmost timestamp is further behind the clock than `max_behind`.
    #[error("the head is {by} ms behind the local clock, at most {limit} ms are allowed")]
    ClockBehind {
        /// Difference.
        by: u64,
        /// `max_behind`.
        limit: u64,
    },
    /// The previous auditor's view ends before this auditor's begins.
    #[error(
        "the auditor began at log entry {start}, but the auditor view last seen ends at {seen}"
    )]
    AuditorStart {
        /// `auditor_start_pos`.
        start: u64,
        /// `AuditorTreeHead.tree_size` retained.
        seen: u64,
    },
    /// The auditor's view is newer than the log, or lags more than `max_auditor_lag`.
    #[error("the auditor's timestamp {auditor} does not lie within {limit} ms before {rightmost}")]
    AuditorLag {
        /// `AuditorTreeHead.timestamp`.
        auditor: u64,
        /// Of the rightmost log entry.
        rightmost: u64,
        /// `max_auditor_lag`.
        limit: u64,
    },
    /// The auditor's view is larger than the log, or empty.
    #[error("the auditor's tree size {auditor} does not fit a log of size {size}")]
    AuditorTreeSize {
        /// `AuditorTreeHead.tree_size`.
        auditor: u64,
        /// Of the log.
        size: u64,
    },
    /// `AuditorTreeHead.signature` is not the auditor's over this root.
    #[error("the auditor's signature does not verify over the root that the proof leads to")]
    AuditorSignature(#[source] SignatureError),

    /// `timestamps` ran out.
    #[error("the proof lacks the timestamp of log entry {0}")]
    TimestampMissing(u64),
    /// `timestamps` was not used up.
    #[error("the proof has {0} timestamps too many")]
    TimestampSurplus(usize),
    /// Timestamps do not grow with position.
    #[error("the timestamps of log entries {left} and {right} run backwards")]
    TimestampOrder {
        /// The entry to the left.
        left: u64,
        /// The entry to the right.
        right: u64,
    },
    /// `prefix_proofs` ran out.
    #[error("the proof lacks a prefix proof for log entry {0}")]
    PrefixProofMissing(u64),
    /// `prefix_proofs` was not used up.
    #[error("the proof has {0} prefix proofs too many")]
    PrefixProofSurplus(usize),
    /// A `PrefixProof` describes no tree.
    #[error("prefix proof of log entry {position}: {error}")]
    PrefixProof {
        /// The log entry.
        position: u64,
        /// What is wrong.
        error: PrefixProofError,
    },
    /// Two prefix proofs, or a prefix proof and the retained entry, give different roots.
    #[error("log entry {0} has two different prefix tree roots")]
    PrefixRootConflict(u64),
    /// `prefix_roots` has a wrong number of elements.
    #[error("the proof has {found} prefix roots, expected {expected}")]
    PrefixRoots {
        /// In the proof.
        found: usize,
        /// By the algorithms.
        expected: usize,
    },
    /// The inclusion proof fails, or contradicts the retained subtrees.
    #[error(transparent)]
    Inclusion(#[from] BatchProofError),

    /// A VRF proof does not verify.
    #[error("VRF proof of version {version}: {error}")]
    VrfProof {
        /// The version.
        version: u32,
        /// What is wrong.
        error: VrfError,
    },
    /// A VRF output that the state should hold is not there.
    #[error("the VRF output of version {0} is not known")]
    VrfOutputMissing(u32),
    /// `binary_ladder` has a wrong number of steps.
    #[error("the binary ladder has {found} steps, expected {expected}")]
    BinaryLadder {
        /// In the response.
        found: usize,
        /// For the target version.
        expected: usize,
    },
    /// A commitment stands where the draft wants none.
    #[error("a commitment is provided for version {0}, which must have none")]
    CommitmentSurplus(u32),
    /// A commitment that the draft wants is absent.
    #[error("no commitment is provided for version {0}")]
    CommitmentMissing(u32),
    /// A version opens to another commitment than it did before.
    #[error("version {0} now has another commitment than before")]
    CommitmentChanged(u32),
    /// The Service Operator's signature on a value does not verify.
    #[error("the Service Operator's signature on version {version} does not verify")]
    LeafSignature {
        /// The version.
        version: u32,
        /// What is wrong.
        #[source]
        error: SignatureError,
    },

    /// A binary ladder shows another greatest version than claimed or expected.
    #[error("the binary ladder of log entry {position} is inconsistent with greatest version {}", version_or_none(.expected))]
    Ladder {
        /// The log entry.
        position: u64,
        /// The version; none if the label should not exist.
        expected: Option<u32>,
    },
    /// The version does not exist. The draft defines no negative result, so a response that shows
    /// this is invalid.
    #[error("the proof shows that the version does not exist")]
    VersionNotFound,
    /// The version can be found only in expired log entries, or is not covered by an unexpired
    /// distinguished entry.
    #[error("the version has expired")]
    VersionExpired,

    /// Monitoring found a lesser version to the right of a greater one.
    #[error("monitoring found that versions do not grow along the log at entry {0}")]
    MonitorOrder(u64),
    /// `greatest_versions` is not a descending list of at most the expected length.
    #[error("greatest_versions is not a descending list of at most {0} versions")]
    GreatestVersions(usize),
    /// The starting position is not an unexpired distinguished log entry.
    #[error("log entry {0} is not an unexpired distinguished log entry")]
    StartPosition(u64),
    /// An operation on an owned label, for a label that is not owned.
    #[error("owner state has not been initialized for this label")]
    NotOwner,
    /// `position` is not to the right of the previous greatest version, or not in the tree.
    #[error("the update at log entry {position} is not to the right of {after}, or not in the log")]
    UpdatePosition {
        /// In the response.
        position: u64,
        /// Where the previous greatest version or the ownership starts.
        after: u64,
    },
    /// `info` has a wrong number of elements, or none.
    #[error("info has {found} elements, expected {expected} and at least one")]
    UpdateInfo {
        /// In the response.
        found: usize,
        /// By `values`.
        expected: usize,
    },
    /// Version numbers would exceed their range.
    #[error("version numbers are exhausted")]
    VersionRange,
    /// There is no response, or one more than the request allows.
    #[error("an unexpected number of update responses")]
    UpdateResponses,
    /// The request cannot be sent in this state.
    #[error("the request does not fit the kept state: {0}")]
    Request(&'static str),
    /// A credential rests on a log entry that is not among the recent distinguished ones that the
    /// user knows of.
    #[error("log entry {0} is not a recent distinguished entry that is known here")]
    UnknownDistinguished(u64),
    /// What a credential shows of the log differs from what the user retained.
    #[error("the credential shows another log than the one that was seen here, at entry {0}")]
    CredentialFork(u64),
    /// A provisional credential whose version is not to the right of its position, or whose head
    /// does not include it.
    #[error("the credential is not provisional: its version is not to the right of entry {0}")]
    NotProvisional(u64),
}

fn version_or_none(version: &Option<u32>) -> String {
    version.map_or_else(|| "none".to_owned(), |version| version.to_string())
}

impl VerifyError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Decode(_) => "encoding",
            Self::Encode(_) => "encoding-limits",
            Self::Key(_) => "configuration-key",
            Self::SameWithoutLast => "head-same-without-last",
            Self::TreeSize { .. } => "head-tree-size",
            Self::TreeSizeRange(_) => "head-tree-size-range",
            Self::TreeHeadSignature(_) => "head-signature",
            Self::ClockAhead { .. } => "head-max-ahead",
            Self::ClockBehind { .. } => "head-max-behind",
            Self::AuditorStart { .. } => "auditor-start",
            Self::AuditorLag { .. } => "auditor-lag",
            Self::AuditorTreeSize { .. } => "auditor-tree-size",
            Self::AuditorSignature(_) => "auditor-signature",
            Self::TimestampMissing(_) => "timestamps-missing",
            Self::TimestampSurplus(_) => "timestamps-surplus",
            Self::TimestampOrder { .. } => "timestamps-monotonic",
            Self::PrefixProofMissing(_) => "prefix-proofs-missing",
            Self::PrefixProofSurplus(_) => "prefix-proofs-surplus",
            Self::PrefixProof { .. } => "prefix-proof",
            Self::PrefixRootConflict(_) => "prefix-root-conflict",
            Self::PrefixRoots { .. } => "prefix-roots",
            Self::Inclusion(BatchProofError::Retained { .. }) => "consistency",
            Self::Inclusion(_) => "inclusion",
            Self::VrfProof { .. } => "vrf-proof",
            Self::VrfOutputMissing(_) => "vrf-output",
            Self::BinaryLadder { .. } => "binary-ladder-steps",
            Self::CommitmentSurplus(_) => "commitment-surplus",
            Self::CommitmentMissing(_) => "commitment-missing",
            Self::CommitmentChanged(_) => "commitment-changed",
            Self::LeafSignature { .. } => "leaf-signature",
            Self::Ladder { .. } => "binary-ladder",
            Self::VersionNotFound => "version-not-found",
            Self::VersionExpired => "version-expired",
            Self::MonitorOrder(_) => "monitor-order",
            Self::GreatestVersions(_) => "greatest-versions",
            Self::StartPosition(_) => "start-position",
            Self::NotOwner => "not-owner",
            Self::UpdatePosition { .. } => "update-position",
            Self::UpdateInfo { .. } => "update-info",
            Self::VersionRange => "version-range",
            Self::UpdateResponses => "update-responses",
            Self::Request(_) => "request",
            Self::UnknownDistinguished(_) => "unknown-distinguished",
            Self::CredentialFork(_) => "credential-fork",
            Self::NotProvisional(_) => "not-provisional",
        }
    }
}
