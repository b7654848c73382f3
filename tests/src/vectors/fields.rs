//! Structures as JSON, under the draft's field names.

use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::receipt::{Promised, Receipt};
use overt_protocol::signed_value::{SignedValue, SignerSignature};
use overt_protocol::wire::*;
use serde_json::{Value, json};

/// The decoded fields of a structure.
pub(super) trait Fields {
    fn fields(&self) -> Value;
}

/// Structures whose fields are those of the encoding.
macro_rules! fields {
    ($($name:ty: $($field:ident),+;)+) => {$(
        impl Fields for $name {
            fn fields(&self) -> Value {
                json!({ $(stringify!($field): self.$field.fields()),+ })
            }
        }
    )+};
}

fields! {
    TreeHead: tree_size, signature;
    TreeHeadTbs<'_>: tree_size, root;
    AuditorTreeHead: timestamp, tree_size, signature;
    AuditorTreeHeadTbs<'_>: timestamp, tree_size, root;
    LogEntry: timestamp, prefix_tree;
    InclusionProof: elements;
    PrefixLeaf: vrf_output, commitment;
    PrefixProof: results, elements;
    CombinedTreeProof: timestamps, prefix_proofs, prefix_roots, inclusion;
    BinaryLadderStep: proof, commitment;
    UpdateValue: value, signature;
    UpdateTbs<'_>: label, version, value;
    CommitmentValue<'_>: opening, label, version, update;
    VrfInput<'_>: label, version;
    SearchRequest: last, label, version;
    SearchResponse: full_tree_head, version, opening, value, binary_ladder, search;
    UpdateRequest: last, label, greatest_version, values;
    UpdateInfo: opening, signature;
    UpdateResponse: full_tree_head, position, skipped_versions, values, info, binary_ladder, update;
    MonitorMapEntry: position, version;
    ContactMonitorRequest: last, label, entries;
    OwnerInitRequest: last, label, start;
    OwnerInitResponse: full_tree_head, greatest_versions, binary_ladder, init;
    OwnerMonitorRequest: last, label, entries, start, greatest_version;
    DistinguishedRequest: last, stop;
    MonitorResponse: full_tree_head, proof;
    DistinguishedHead: heads;
    CredentialUpdate: monitor;
    AuditorUpdate: timestamp, added, removed, proof;
    ManagerUpdateRequest: last, label, greatest_version, values, signed_version;
    AbsenceRequest: last, label;
    AbsenceResponse: full_tree_head, binary_ladder, absence;
    CredentialUpdateRequest: label, entry, tree_size, distinguished;
    SignedValue: value, update_key, recovery_key, signature;
    Receipt: config_hash, label, version, commitment, timestamp, deadline, signature;
    Promised: receipt, opening;
    HeadRecord: config_hash, tree_size, entry, root;
}

impl Fields for u32 {
    fn fields(&self) -> Value {
        json!(self)
    }
}

impl Fields for u64 {
    fn fields(&self) -> Value {
        json!(self)
    }
}

impl Fields for Vec<u8> {
    fn fields(&self) -> Value {
        json!(hex::encode(self))
    }
}

impl Fields for &[u8] {
    fn fields(&self) -> Value {
        json!(hex::encode(self))
    }
}

impl<const N: usize> Fields for [u8; N] {
    fn fields(&self) -> Value {
        json!(hex::encode(self))
    }
}

impl<T: Fields> Fields for Option<T> {
    fn fields(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::fields)
    }
}

impl<T: Fields> Fields for Vec<T> {
    fn fields(&self) -> Value {
        self.iter().map(T::fields).collect()
    }
}

impl<const N: usize> Fields for &[u8; N] {
    fn fields(&self) -> Value {
        json!(hex::encode(self))
    }
}

impl Fields for &UpdateValue {
    fn fields(&self) -> Value {
        (**self).fields()
    }
}

impl Fields for PrefixSearchResult {
    fn fields(&self) -> Value {
        match self {
            Self::Inclusion { depth } => json!({"result_type": 1, "depth": depth}),
            Self::NonInclusionLeaf { leaf, depth } => {
                json!({"result_type": 2, "leaf": leaf.fields(), "depth": depth})
            }
            Self::NonInclusionParent { depth } => json!({"result_type": 3, "depth": depth}),
        }
    }
}

impl Fields for FullTreeHead {
    fn fields(&self) -> Value {
        match self {
            Self::Same => json!({"head_type": 1}),
            Self::Updated {
                tree_head,
                auditor_tree_head,
            } => json!({
                "head_type": 2,
                "tree_head": tree_head.fields(),
                "auditor_tree_head": auditor_tree_head.fields(),
            }),
        }
    }
}

impl Fields for Credential {
    fn fields(&self) -> Value {
        let mut fields = json!({
            "label": self.label.fields(),
            "version": self.version,
            "opening": self.opening.fields(),
            "value": self.value.fields(),
            "binary_ladder": self.binary_ladder.fields(),
            "position": self.position,
        });
        match &self.proof {
            CredentialProof::Standard(proof) => {
                fields["credential_type"] = json!(1);
                fields["proof"] = proof.fields();
            }
            CredentialProof::Provisional { tree_head, search } => {
                fields["credential_type"] = json!(2);
                fields["tree_head"] = tree_head.fields();
                fields["search"] = search.fields();
            }
        }
        fields
    }
}

impl Fields for SignerSignature {
    fn fields(&self) -> Value {
        json!({"signer": self.signer as u8, "signature": self.signature.fields()})
    }
}

impl Fields for Configuration {
    fn fields(&self) -> Value {
        let mut fields = json!({
            "ciphersuite": self.ciphersuite.to_u16(),
            "mode": self.mode.to_u8(),
            "signature_public_key": self.signature_public_key.fields(),
            "vrf_public_key": self.vrf_public_key.fields(),
            "max_ahead": self.max_ahead,
            "max_behind": self.max_behind,
            "reasonable_monitoring_window": self.reasonable_monitoring_window,
            "maximum_lifetime": self.maximum_lifetime,
        });
        match &self.mode {
            DeploymentMode::ContactMonitoring => {}
            DeploymentMode::ThirdPartyManagement { leaf_public_key } => {
                fields["leaf_public_key"] = leaf_public_key.fields();
            }
            DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag,
                auditor_start_pos,
                auditor_public_key,
            } => {
                fields["max_auditor_lag"] = json!(max_auditor_lag);
                fields["auditor_start_pos"] = json!(auditor_start_pos);
                fields["auditor_public_key"] = auditor_public_key.fields();
            }
        }
        fields
    }
}
