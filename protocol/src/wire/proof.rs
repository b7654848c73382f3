//! Proof structures (section "Tree Proofs") and `LogEntry`, `PrefixLeaf`, `BinaryLadderStep`.

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::wire::{Configuration, HashValue};

/// The content of a leaf of the log tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// When the entry was created, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Root of the prefix tree after the entry's changes.
    pub prefix_tree: HashValue,
}

/// Batch proof from the log tree, in left-to-right order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InclusionProof {
    /// Heads of balanced subtrees.
    pub elements: Vec<HashValue>,
}

/// A leaf of the prefix tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixLeaf {
    /// The search key.
    pub vrf_output: HashValue,
    /// Commitment to the value.
    pub commitment: HashValue,
}

/// Where the search for one key ended. `depth` is that of the terminal node (the root has 0); for
/// a missing child it is the depth of the stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixSearchResult {
    /// At the leaf of the key (1).
    Inclusion {
        /// Depth of the leaf.
        depth: u8,
    },
    /// At the leaf of another key (2).
    NonInclusionLeaf {
        /// That leaf.
        leaf: PrefixLeaf,
        /// Depth of the leaf.
        depth: u8,
    },
    /// At a parent without the child (3).
    NonInclusionParent {
        /// Depth of the missing child.
        depth: u8,
    },
}

impl PrefixSearchResult {
    /// Depth of the terminal node.
    pub fn depth(&self) -> u8 {
        match *self {
            Self::Inclusion { depth }
            | Self::NonInclusionLeaf { depth, .. }
            | Self::NonInclusionParent { depth } => depth,
        }
    }

    /// Whether the key was found.
    pub fn is_inclusion(&self) -> bool {
        matches!(self, Self::Inclusion { .. })
    }
}

/// Batch proof from one prefix tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrefixProof {
    /// One result for each search key, in the order requested.
    pub results: Vec<PrefixSearchResult>,
    /// The other node values that the root needs, in left-to-right order.
    pub elements: Vec<HashValue>,
}

/// The data that a run of the draft's algorithms consumes, in the order in which they ask for it
/// (section "Combined Tree" of "Tree Proofs").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CombinedTreeProof {
    /// Timestamps of log entries, in milliseconds.
    pub timestamps: Vec<u64>,
    /// Search proofs from the prefix trees of log entries.
    pub prefix_proofs: Vec<PrefixProof>,
    /// Prefix tree roots of entries that have a timestamp above and no search proof, left to right.
    pub prefix_roots: Vec<HashValue>,
    /// Ties the entries to the log tree.
    pub inclusion: InclusionProof,
}

/// One version in a binary ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryLadderStep {
    /// VRF proof, `VRF.Np` bytes.
    pub proof: Vec<u8>,
    /// Commitment to the label's value at that version, where the structure's section asks for it.
    pub commitment: Option<HashValue>,
}

pub(crate) fn encode_hashes(
    w: &mut Writer,
    width: Width,
    hashes: &[HashValue],
    what: &'static str,
) {
    w.vector(width, hashes, what, |w, hash| w.bytes(hash));
}

pub(crate) fn decode_hashes(
    r: &mut Reader<'_>,
    width: Width,
    what: &'static str,
) -> Result<Vec<HashValue>, DecodeError> {
    r.vector(width, what, |r| r.array(what))
}

impl Encode for LogEntry {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.timestamp);
        w.bytes(&self.prefix_tree);
    }
}

impl Decode<()> for LogEntry {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamp: r.u64("timestamp")?,
            prefix_tree: r.array("prefix_tree")?,
        })
    }
}

impl Encode for InclusionProof {
    fn encode(&self, w: &mut Writer) {
        encode_hashes(w, Width::Two, &self.elements, "elements");
    }
}

impl Decode<()> for InclusionProof {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            elements: decode_hashes(r, Width::Two, "elements")?,
        })
    }
}

impl Encode for PrefixLeaf {
    fn encode(&self, w: &mut Writer) {
        w.bytes(&self.vrf_output);
        w.bytes(&self.commitment);
    }
}

impl Decode<()> for PrefixLeaf {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            vrf_output: r.array("vrf_output")?,
            commitment: r.array("commitment")?,
        })
    }
}

impl Encode for PrefixSearchResult {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Inclusion { depth } => {
                w.u8(1);
                w.u8(*depth);
            }
            Self::NonInclusionLeaf { leaf, depth } => {
                w.u8(2);
                leaf.encode(w);
                w.u8(*depth);
            }
            Self::NonInclusionParent { depth } => {
                w.u8(3);
                w.u8(*depth);
            }
        }
    }
}

impl Decode<()> for PrefixSearchResult {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        match r.u8("result_type")? {
            1 => Ok(Self::Inclusion {
                depth: r.u8("depth")?,
            }),
            2 => Ok(Self::NonInclusionLeaf {
                leaf: PrefixLeaf::decode(r, &())?,
                depth: r.u8("depth")?,
            }),
            3 => Ok(Self::NonInclusionParent {
                depth: r.u8("depth")?,
            }),
            other => Err(DecodeError::Enumeration {
                what: "PrefixSearchResultType",
                value: other.into(),
            }),
        }
    }
}

impl Encode for PrefixProof {
    fn encode(&self, w: &mut Writer) {
        w.vector(Width::One, &self.results, "results", |w, r| r.encode(w));
        encode_hashes(w, Width::Two, &self.elements, "elements");
    }
}

impl Decode<()> for PrefixProof {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            results: r.vector(Width::One, "results", |r| {
                PrefixSearchResult::decode(r, &())
            })?,
            elements: decode_hashes(r, Width::Two, "elements")?,
        })
    }
}

impl Encode for CombinedTreeProof {
    fn encode(&self, w: &mut Writer) {
        w.vector(Width::One, &self.timestamps, "timestamps", |w, t| w.u64(*t));
        w.vector(Width::One, &self.prefix_proofs, "prefix_proofs", |w, p| {
            p.encode(w)
        });
        encode_hashes(w, Width::One, &self.prefix_roots, "prefix_roots");
        self.inclusion.encode(w);
    }
}

impl Decode<()> for CombinedTreeProof {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamps: r.vector(Width::One, "timestamps", |r| r.u64("timestamps"))?,
            prefix_proofs: r
                .vector(Width::One, "prefix_proofs", |r| PrefixProof::decode(r, &()))?,
            prefix_roots: decode_hashes(r, Width::One, "prefix_roots")?,
            inclusion: InclusionProof::decode(r, &())?,
        })
    }
}

impl Encode for BinaryLadderStep {
    fn encode(&self, w: &mut Writer) {
        // The suite fixes the length; the decoder takes exactly Np bytes.
        w.bytes(&self.proof);
        w.optional(self.commitment.as_ref(), |w, c| w.bytes(c));
    }
}

impl Decode<Configuration> for BinaryLadderStep {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            proof: r
                .take(config.ciphersuite.vrf_proof_len(), "proof")?
                .to_vec(),
            commitment: r.optional("commitment", |r| r.array("commitment"))?,
        })
    }
}
