//! `AuditorUpdate` and `ManagerUpdateRequest` (section "Third Parties").

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::wire::{
    Configuration, PrefixLeaf, PrefixProof, UpdateValue, decode_label, decode_last, encode_label,
    encode_last,
};

/// What an auditor needs to replay one log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorUpdate {
    /// Of the log entry, in milliseconds.
    pub timestamp: u64,
    /// Leaves added, ascending by VRF output.
    pub added: Vec<PrefixLeaf>,
    /// Leaves removed, ascending by VRF output.
    pub removed: Vec<PrefixLeaf>,
    /// Lookups of all of them in the previous entry's prefix tree.
    pub proof: PrefixProof,
}

/// An [`UpdateRequest`](crate::wire::UpdateRequest) that the Service Operator signed and forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagerUpdateRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The greatest version that the user knows of.
    pub greatest_version: Option<u32>,
    /// The new values with the operator's signatures.
    pub values: Vec<UpdateValue>,
    /// The version in the first signature; zero if there are no values.
    pub signed_version: u32,
}

impl Encode for AuditorUpdate {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.timestamp);
        w.vector(Width::Two, &self.added, "added", |w, l| l.encode(w));
        w.vector(Width::Two, &self.removed, "removed", |w, l| l.encode(w));
        self.proof.encode(w);
    }
}

impl Decode<()> for AuditorUpdate {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamp: r.u64("timestamp")?,
            added: r.vector(Width::Two, "added", |r| PrefixLeaf::decode(r, &()))?,
            removed: r.vector(Width::Two, "removed", |r| PrefixLeaf::decode(r, &()))?,
            proof: PrefixProof::decode(r, &())?,
        })
    }
}

impl Encode for ManagerUpdateRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
        w.optional(self.greatest_version.as_ref(), |w, v| w.u32(*v));
        w.vector(Width::One, &self.values, "values", |w, v| v.encode(w));
        w.u32(self.signed_version);
    }
}

impl Decode<Configuration> for ManagerUpdateRequest {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
            greatest_version: r.optional("greatest_version", |r| r.u32("greatest_version"))?,
            values: r.vector(Width::One, "values", |r| UpdateValue::decode(r, config))?,
            signed_version: r.u32("signed_version")?,
        })
    }
}
