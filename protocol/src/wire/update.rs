//! `UpdateRequest`, `UpdateResponse` (section "Updating a Label" of "User Operations") and what a
//! commitment and the VRF are computed over (sections "Update Format", "Commitment", "Verifiable
//! Random Function").

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::suite::NC;
use crate::wire::{
    BinaryLadderStep, CombinedTreeProof, Configuration, FullTreeHead, decode_label, decode_last,
    encode_label, encode_last,
};

/// A commitment opening, `Nc` bytes.
pub type Opening = [u8; NC];

/// A label's value with what the deployment mode adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateValue {
    /// Opaque to the protocol; at most 2^32-1 bytes.
    pub value: Vec<u8>,
    /// `UpdateSuffix.signature`: over [`UpdateTbs`], present exactly in Third-Party Management mode.
    pub signature: Option<Vec<u8>>,
}

/// What the Service Operator signs in Third-Party Management mode.
#[derive(Debug, Clone)]
pub struct UpdateTbs<'a> {
    /// The log's configuration.
    pub config: &'a Configuration,
    /// The label.
    pub label: &'a [u8],
    /// The version that gets the value.
    pub version: u32,
    /// As in [`UpdateValue::value`].
    pub value: &'a [u8],
}

/// What a commitment is computed over.
#[derive(Debug, Clone)]
pub struct CommitmentValue<'a> {
    /// Random.
    pub opening: &'a Opening,
    /// The label.
    pub label: &'a [u8],
    /// The version.
    pub version: u32,
    /// The value.
    pub update: &'a UpdateValue,
}

/// What the VRF is evaluated on.
#[derive(Debug, Clone)]
pub struct VrfInput<'a> {
    /// The label.
    pub label: &'a [u8],
    /// The version.
    pub version: u32,
}

/// Asks to create versions of a label, or to be told of versions that others created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRequest {
    /// The tree size that the user last observed.
    pub last: Option<u64>,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The greatest version that the user knows of.
    pub greatest_version: Option<u32>,
    /// The new values, at most 255.
    pub values: Vec<Vec<u8>>,
}

/// About one new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateInfo {
    /// The opening that was chosen.
    pub opening: Opening,
    /// `UpdateSuffix.signature`; present exactly in Third-Party Management mode.
    pub signature: Option<Vec<u8>>,
}

/// About the versions that one log entry created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateResponse {
    /// The head that the proof leads to.
    pub full_tree_head: FullTreeHead,
    /// The log entry that created the versions.
    pub position: u64,
    /// Versions skipped before them; present exactly in Third-Party Management mode.
    pub skipped_versions: Option<u32>,
    /// Empty if the request's values were created; else the values that others created.
    pub values: Vec<Vec<u8>>,
    /// One for each new version that was not skipped.
    pub info: Vec<UpdateInfo>,
    /// VRF proofs of versions that the owner does not know yet, ascending.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// Updating the view, then the update algorithm.
    pub update: CombinedTreeProof,
}

fn encode_suffix(w: &mut Writer, signature: Option<&Vec<u8>>) {
    if let Some(signature) = signature {
        w.opaque(Width::Two, signature, "UpdateSuffix.signature");
    }
}

fn decode_suffix(
    r: &mut Reader<'_>,
    config: &Configuration,
) -> Result<Option<Vec<u8>>, DecodeError> {
    config
        .is_third_party_management()
        .then(|| r.opaque(Width::Two, "UpdateSuffix.signature"))
        .transpose()
}

impl Encode for UpdateValue {
    fn encode(&self, w: &mut Writer) {
        w.opaque(Width::Four, &self.value, "value");
        encode_suffix(w, self.signature.as_ref());
    }
}

impl Decode<Configuration> for UpdateValue {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            value: r.opaque(Width::Four, "value")?,
            signature: decode_suffix(r, config)?,
        })
    }
}

impl Encode for UpdateTbs<'_> {
    fn encode(&self, w: &mut Writer) {
        self.config.encode(w);
        encode_label(w, self.label);
        w.u32(self.version);
        w.opaque(Width::Four, self.value, "value");
    }
}

impl Encode for CommitmentValue<'_> {
    fn encode(&self, w: &mut Writer) {
        w.bytes(self.opening);
        encode_label(w, self.label);
        w.u32(self.version);
        self.update.encode(w);
    }
}

impl Encode for VrfInput<'_> {
    fn encode(&self, w: &mut Writer) {
        encode_label(w, self.label);
        w.u32(self.version);
    }
}

impl Encode for UpdateRequest {
    fn encode(&self, w: &mut Writer) {
        encode_last(w, self.last);
        encode_label(w, &self.label);
        w.optional(self.greatest_version.as_ref(), |w, v| w.u32(*v));
        encode_values(w, &self.values);
    }
}

impl Decode<()> for UpdateRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            last: decode_last(r)?,
            label: decode_label(r)?,
            greatest_version: r.optional("greatest_version", |r| r.u32("greatest_version"))?,
            values: decode_values(r)?,
        })
    }
}

/// `LabelValue values<0..2^8-1>`.
fn encode_values(w: &mut Writer, values: &[Vec<u8>]) {
    w.vector(Width::One, values, "values", |w, value| {
        w.opaque(Width::Four, value, "value");
    });
}

fn decode_values(r: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, DecodeError> {
    r.vector(Width::One, "values", |r| r.opaque(Width::Four, "value"))
}

impl Encode for UpdateInfo {
    fn encode(&self, w: &mut Writer) {
        w.bytes(&self.opening);
        encode_suffix(w, self.signature.as_ref());
    }
}

impl Decode<Configuration> for UpdateInfo {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            opening: r.array("opening")?,
            signature: decode_suffix(r, config)?,
        })
    }
}

impl Encode for UpdateResponse {
    fn encode(&self, w: &mut Writer) {
        self.full_tree_head.encode(w);
        w.u64(self.position);
        if let Some(skipped) = self.skipped_versions {
            w.u32(skipped);
        }
        encode_values(w, &self.values);
        w.vector(Width::One, &self.info, "info", |w, i| i.encode(w));
        w.vector(Width::One, &self.binary_ladder, "binary_ladder", |w, s| {
            s.encode(w)
        });
        self.update.encode(w);
    }
}

impl Decode<Configuration> for UpdateResponse {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            full_tree_head: FullTreeHead::decode(r, config)?,
            position: r.u64("position")?,
            skipped_versions: config
                .is_third_party_management()
                .then(|| r.u32("skipped_versions"))
                .transpose()?,
            values: decode_values(r)?,
            info: r.vector(Width::One, "info", |r| UpdateInfo::decode(r, config))?,
            binary_ladder: r.vector(Width::One, "binary_ladder", |r| {
                BinaryLadderStep::decode(r, config)
            })?,
            update: CombinedTreeProof::decode(r, &())?,
        })
    }
}
