//! `SearchRequest` and `SearchResponse` (section "Search" of "User Operations").

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::wire::{
    BinaryLadderStep, CombinedTreeProof, Configuration, FullTreeHead, Opening, UpdateValue,
    decode_label, decode_last, encode_label, encode_last,
};

/// Asks for a version of a label, or its greatest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The version wanted; absent for the greatest.
    pub version: Option<u32>,
}

/// The answer to a [`SearchRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResponse {
    /// The head that the proof leads to.
    pub full_tree_head: FullTreeHead,
    /// The greatest version; present exactly if the request named none.
    pub version: Option<u32>,
    /// Opens the commitment to `value`.
    pub opening: Opening,
    /// The label's value at the target version.
    pub value: UpdateValue,
    /// One step for each version of the target version's base binary ladder, in its order.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// Updating the view, then the search.
    pub search: CombinedTreeProof,
}

/// Asks for proof that a label has no version. Not of the draft, which defines no negative result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsenceRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
}

/// The answer to an [`AbsenceRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsenceResponse {
    /// The head that the proof leads to.
    pub full_tree_head: FullTreeHead,
    /// The VRF proof of version 0, without a commitment.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// Updating the view, then a lookup of version 0 in each log entry that a greatest-version
    /// search looks at.
    pub absence: CombinedTreeProof,
}

impl Encode for AbsenceRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
    }
}

impl Decode<()> for AbsenceRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
        })
    }
}

impl Encode for AbsenceResponse {
    fn encode(&self, w: &mut Writer) {
        self.full_tree_head.encode(w);
        w.vector(Width::One, &self.binary_ladder, "binary_ladder", |w, s| {
            s.encode(w)
        });
        self.absence.encode(w);
    }
}

impl Decode<Configuration> for AbsenceResponse {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::decode(r, config)?,
            binary_ladder: r.vector(Width::One, "binary_ladder", |r| {
                BinaryLadderStep::decode(r, config)
            })?,
            absence: CombinedTreeProof::decode(r, &())?,
        })
    }
}

impl Encode for SearchRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
        w.optional(self.version.as_ref(), |w, v| w.u32(*v));
    }
}

impl Decode<()> for SearchRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
            version: r.optional("version", |r| r.u32("version"))?,
        })
    }
}

impl Encode for SearchResponse {
    fn encode(&self, w: &mut Writer) {
        self.full_tree_head.encode(w);
        if let Some(version) = self.version {
            w.u32(version);
        }
        w.bytes(&self.opening);
        self.value.encode(w);
        w.vector(Width::One, &self.binary_ladder, "binary_ladder", |w, s| {
            s.encode(w)
        });
        self.search.encode(w);
    }
}

impl Decode<(&Configuration, &SearchRequest)> for SearchResponse {
    fn decode(
        r: &mut Reader<'_>,
        (config, request): &(&Configuration, &SearchRequest),
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::decode(r, config)?,
            version: match request.version {
                None => Some(r.u32("version")?),
                Some(_) => None,
            },
            opening: r.array("opening")?,
            value: UpdateValue::decode(r, config)?,
            binary_ladder: r.vector(Width::One, "binary_ladder", |r| {
                BinaryLadderStep::decode(r, config)
            })?,
            search: CombinedTreeProof::decode(r, &())?,
        })
    }
}
