//! Contact Monitoring, Owner Initialization, Owner Monitoring and Walking Distinguished Heads
//! (their sections of "User Operations").

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::wire::proof::{decode_hashes, encode_hashes};
use crate::wire::{
    BinaryLadderStep, CombinedTreeProof, Configuration, FullTreeHead, HashValue, decode_label,
    decode_last, encode_label, encode_last,
};

/// One entry of a user's monitoring map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonitorMapEntry {
    /// Position in the log.
    pub position: u64,
    /// The version proven to exist there.
    pub version: u32,
}

/// Asks to monitor versions of a label that the user looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactMonitorRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The monitoring map, ascending by position.
    pub entries: Vec<MonitorMapEntry>,
}

/// Asks to begin owning a label at a log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerInitRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// An unexpired, distinguished log entry.
    pub start: u64,
}

/// The answer to an [`OwnerInitRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerInitResponse {
    /// The head that the proof leads to.
    pub full_tree_head: FullTreeHead,
    /// The label's greatest version at each inspected entry, until one where it did not exist.
    pub greatest_versions: Vec<u32>,
    /// VRF proofs, ascending by version.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// Updating the view, then initialization.
    pub init: CombinedTreeProof,
}

/// Asks to go on monitoring an owned label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerMonitorRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The monitoring map, ascending by position.
    pub entries: Vec<MonitorMapEntry>,
    /// The rightmost distinguished log entry that the owner verified.
    pub start: u64,
    /// The greatest version that the owner knows of.
    pub greatest_version: Option<u32>,
}

/// Asks for the recent distinguished log entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// Where the enumeration may stop.
    pub stop: Option<u64>,
}

/// `ContactMonitorResponse`, `OwnerMonitorResponse` and `DistinguishedResponse`: a head and a
/// proof, alike on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorResponse {
    /// The head that the proof leads to.
    pub full_tree_head: FullTreeHead,
    /// Updating the view, then the operation's algorithm.
    pub proof: CombinedTreeProof,
}

/// Root values of the log tree at the recent distinguished entries, left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistinguishedHead {
    /// The roots.
    pub heads: Vec<HashValue>,
}

fn encode_entries(w: &mut Writer, entries: &[MonitorMapEntry]) {
    w.vector(Width::One, entries, "entries", |w, e| {
        w.u64(e.position);
        w.u32(e.version);
    });
}

fn decode_entries(r: &mut Reader<'_>) -> Result<Vec<MonitorMapEntry>, DecodeError> {
    r.vector(Width::One, "entries", |r| {
        Ok(MonitorMapEntry {
            position: r.u64("position")?,
            version: r.u32("version")?,
        })
    })
}

impl Encode for ContactMonitorRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
        encode_entries(w, &self.entries);
    }
}

impl Decode<()> for ContactMonitorRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
            entries: decode_entries(r)?,
        })
    }
}

impl Encode for OwnerInitRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
        w.u64(self.start);
    }
}

impl Decode<()> for OwnerInitRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
            start: r.u64("start")?,
        })
    }
}

impl Encode for OwnerInitResponse {
    fn encode(&self, w: &mut Writer) {
        self.full_tree_head.encode(w);
        w.vector(
            Width::One,
            &self.greatest_versions,
            "greatest_versions",
            |w, v| w.u32(*v),
        );
        w.vector(Width::Two, &self.binary_ladder, "binary_ladder", |w, s| {
            s.encode(w)
        });
        self.init.encode(w);
    }
}

impl Decode<Configuration> for OwnerInitResponse {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::decode(r, config)?,
            greatest_versions: r.vector(Width::One, "greatest_versions", |r| {
                r.u32("greatest_versions")
            })?,
            binary_ladder: r.vector(Width::Two, "binary_ladder", |r| {
                BinaryLadderStep::decode(r, config)
            })?,
            init: CombinedTreeProof::decode(r, &())?,
        })
    }
}

impl Encode for OwnerMonitorRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
        encode_entries(w, &self.entries);
        w.u64(self.start);
        w.optional(self.greatest_version.as_ref(), |w, v| w.u32(*v));
    }
}

impl Decode<()> for OwnerMonitorRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
            entries: decode_entries(r)?,
            start: r.u64("start")?,
            greatest_version: r.optional("greatest_version", |r| r.u32("greatest_version"))?,
        })
    }
}

impl Encode for DistinguishedRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        w.optional(self.stop.as_ref(), |w, n| w.u64(*n));
    }
}

impl Decode<()> for DistinguishedRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            stop: r.optional("stop", |r| r.u64("stop"))?,
        })
    }
}

impl Encode for MonitorResponse {
    fn encode(&self, w: &mut Writer) {
        self.full_tree_head.encode(w);
        self.proof.encode(w);
    }
}

impl Decode<Configuration> for MonitorResponse {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::decode(r, config)?,
            proof: CombinedTreeProof::decode(r, &())?,
        })
    }
}

impl Encode for DistinguishedHead {
    fn encode(&self, w: &mut Writer) {
        encode_hashes(w, Width::One, &self.heads, "heads");
    }
}

impl Decode<()> for DistinguishedHead {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            heads: decode_hashes(r, Width::One, "heads")?,
        })
    }
}
