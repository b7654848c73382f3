//! `Credential` and `CredentialUpdate` (section "Credentials").

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::wire::{
    BinaryLadderStep, CombinedTreeProof, Configuration, MonitorMapEntry, Opening, PrefixProof,
    TreeHead, UpdateValue, decode_label, encode_label,
};

/// A proof of a label's value that users send each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The greatest version.
    pub version: u32,
    /// Opens the commitment to `value`.
    pub opening: Opening,
    /// The value.
    pub value: UpdateValue,
    /// As in a greatest-version search.
    pub binary_ladder: Vec<BinaryLadderStep>,
    /// A recent distinguished log entry.
    pub position: u64,
    /// By `credential_type`.
    pub proof: CredentialProof,
}

/// What a credential shows, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialProof {
    /// The version is in the entry at `position` (1).
    Standard(PrefixProof),
    /// The version is in an entry to the right of `position` (2).
    Provisional {
        /// A head that includes `position` and entries to its right.
        tree_head: TreeHead,
        /// Updating the view from `position + 1`, then a greatest-version search.
        search: CombinedTreeProof,
    },
}

/// Finally verifies a provisional credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUpdate {
    /// Updating the view, then (contact monitoring mode) the contact algorithm.
    pub monitor: CombinedTreeProof,
}

/// Asks the log for a [`CredentialUpdate`]. The draft says that a receiver may have to do so and
/// defines no request; this one is the project's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUpdateRequest {
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The terminal log entry of the credential's search, and its version.
    pub entry: MonitorMapEntry,
    /// `Credential.tree_head.tree_size`.
    pub tree_size: u64,
    /// The distinguished log entry to lead to, which is to the right of that tree.
    pub distinguished: u64,
}

impl CredentialUpdateRequest {
    /// Whether both are about one provisional credential.
    pub fn is_for(&self, other: &Self) -> bool {
        (&self.label, self.entry, self.tree_size) == (&other.label, other.entry, other.tree_size)
    }
}

impl Encode for Credential {
    fn encode(&self, w: &mut Writer) {
        encode_label(w, &self.label);
        w.u32(self.version);
        w.bytes(&self.opening);
        self.value.encode(w);
        w.vector(Width::One, &self.binary_ladder, "binary_ladder", |w, s| {
            s.encode(w)
        });
        w.u64(self.position);
        match &self.proof {
            CredentialProof::Standard(proof) => {
                w.u8(1);
                proof.encode(w);
            }
            CredentialProof::Provisional { tree_head, search } => {
                w.u8(2);
                tree_head.encode(w);
                search.encode(w);
            }
        }
    }
}

impl Decode<Configuration> for Credential {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        Ok(Self {
            label: decode_label(r)?,
            version: r.u32("version")?,
            opening: r.array("opening")?,
            value: UpdateValue::decode(r, config)?,
            binary_ladder: r.vector(Width::One, "binary_ladder", |r| {
                BinaryLadderStep::decode(r, config)
            })?,
            position: r.u64("position")?,
            proof: match r.u8("credential_type")? {
                1 => CredentialProof::Standard(PrefixProof::decode(r, &())?),
                2 => CredentialProof::Provisional {
                    tree_head: TreeHead::decode(r, &())?,
                    search: CombinedTreeProof::decode(r, &())?,
                },
                other => {
                    return Err(DecodeError::Enumeration {
                        what: "CredentialType",
                        value: other.into(),
                    });
                }
            },
        })
    }
}

impl Encode for CredentialUpdate {
    fn encode(&self, w: &mut Writer) {
        self.monitor.encode(w);
    }
}

impl Decode<()> for CredentialUpdate {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            monitor: CombinedTreeProof::decode(r, &())?,
        })
    }
}

impl Encode for CredentialUpdateRequest {
    fn encode(&self, w: &mut Writer) {
        encode_label(w, &self.label);
        w.u64(self.entry.position);
        w.u32(self.entry.version);
        w.u64(self.tree_size);
        w.u64(self.distinguished);
    }
}

impl Decode<()> for CredentialUpdateRequest {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            label: decode_label(r)?,
            entry: MonitorMapEntry {
                position: r.u64("position")?,
                version: r.u32("version")?,
            },
            tree_size: r.u64("tree_size")?,
            distinguished: r.u64("distinguished")?,
        })
    }
}
