//! One structure of each kind or more. What they contain means nothing; only lengths and choices
//! do.

use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::receipt::{Promised, Receipt};
use overt_protocol::signed_value::{SignedValue, Signer, SignerSignature};
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::*;

use super::seed;
use super::setting::Setting;
use super::structures::Structures;

/// Adds them all.
pub(super) fn add(all: &mut Structures) {
    let [p256, ed25519] = CipherSuite::ALL;
    for (suite, mode, lifetime) in [
        (ed25519, 1, false),
        (p256, 1, true),
        (ed25519, 2, true),
        (p256, 3, false),
    ] {
        let setting = Setting {
            suite,
            mode,
            lifetime,
        };
        of_configuration(all, &setting.configuration());
    }
    proofs(all);
    requests(all);
    of_this_project(all);
}

fn opening() -> Opening {
    *seed("opening").first_chunk().unwrap()
}

fn signature(by: &str) -> Vec<u8> {
    [seed(by), seed(&format!("{by}, second half"))].concat()
}

fn label() -> Vec<u8> {
    b"alice".to_vec()
}

fn prefix_proof() -> PrefixProof {
    PrefixProof {
        results: vec![
            PrefixSearchResult::Inclusion { depth: 3 },
            PrefixSearchResult::NonInclusionParent { depth: 255 },
        ],
        elements: vec![seed("prefix tree element")],
    }
}

fn combined() -> CombinedTreeProof {
    CombinedTreeProof {
        timestamps: vec![0, 1_800_000_000_000],
        prefix_proofs: vec![prefix_proof(), PrefixProof::default()],
        prefix_roots: vec![seed("prefix tree root")],
        inclusion: InclusionProof {
            elements: vec![seed("log tree element")],
        },
    }
}

fn tree_head() -> TreeHead {
    TreeHead {
        tree_size: 0x0123_4567_89ab,
        signature: signature("log"),
    }
}

fn auditor_tree_head() -> AuditorTreeHead {
    AuditorTreeHead {
        timestamp: 1_800_000_000_000,
        tree_size: 0x0123_4567_89aa,
        signature: signature("auditor"),
    }
}

/// What depends on the cipher suite or the mode.
fn of_configuration(all: &mut Structures, config: &Configuration) {
    all.add("Configuration", config);
    hashed(all, config);
    let managed = matches!(config.mode, DeploymentMode::ThirdPartyManagement { .. });
    let audited = matches!(config.mode, DeploymentMode::ThirdPartyAuditing { .. });
    let full_tree_head = FullTreeHead::Updated {
        tree_head: tree_head(),
        auditor_tree_head: audited.then(auditor_tree_head),
    };
    all.with("FullTreeHead", &full_tree_head, config);
    all.with("FullTreeHead", &FullTreeHead::Same, config);
    let value = UpdateValue {
        value: b"a value".to_vec(),
        signature: managed.then(|| signature("operator")),
    };
    all.with("UpdateValue", &value, config);

    let proof = [signature("VRF"), signature("VRF again")].concat();
    let proof = proof[..config.ciphersuite.vrf_proof_len()].to_vec();
    let with_commitment = BinaryLadderStep {
        proof,
        commitment: Some(seed("commitment")),
    };
    let without = BinaryLadderStep {
        commitment: None,
        ..with_commitment.clone()
    };
    all.with("BinaryLadderStep", &with_commitment, config);
    all.with("BinaryLadderStep", &without, config);
    let binary_ladder = vec![with_commitment, without.clone()];

    for version in [None, Some(7)] {
        let (last, label) = (None, label());
        let request = SearchRequest {
            last,
            label,
            version,
        };
        let response = SearchResponse {
            full_tree_head: full_tree_head.clone(),
            version: version.is_none().then_some(7),
            opening: opening(),
            value: value.clone(),
            binary_ladder: binary_ladder.clone(),
            search: combined(),
        };
        all.answer("SearchResponse", &response, config, &request);
    }
    let info = UpdateInfo {
        opening: opening(),
        signature: value.signature.clone(),
    };
    all.with("UpdateInfo", &info, config);
    let update = UpdateResponse {
        full_tree_head: FullTreeHead::Same,
        position: 12,
        skipped_versions: managed.then_some(2),
        values: vec![b"one".to_vec(), Vec::new()],
        info: vec![info.clone(), info],
        binary_ladder: binary_ladder.clone(),
        update: combined(),
    };
    all.with("UpdateResponse", &update, config);
    for proof in [
        CredentialProof::Standard(prefix_proof()),
        CredentialProof::Provisional {
            tree_head: tree_head(),
            search: combined(),
        },
    ] {
        let credential = Credential {
            label: label(),
            version: 7,
            opening: opening(),
            value: value.clone(),
            binary_ladder: binary_ladder.clone(),
            position: 11,
            proof,
        };
        all.with("Credential", &credential, config);
    }
    if managed {
        let update = ManagerUpdateRequest {
            last: Some(3),
            label: label(),
            greatest_version: Some(7),
            values: vec![value.clone()],
            signed_version: 8,
        };
        all.with("ManagerUpdateRequest", &update, config);
    }
    // The rest of the responses depend on it in the same places.
    if config.mode != DeploymentMode::ContactMonitoring {
        return;
    }
    for name in [
        "ContactMonitorResponse",
        "OwnerMonitorResponse",
        "DistinguishedResponse",
    ] {
        let response = MonitorResponse {
            full_tree_head: full_tree_head.clone(),
            proof: combined(),
        };
        all.with(name, &response, config);
    }
    let init = OwnerInitResponse {
        full_tree_head,
        greatest_versions: vec![9, 4, 4],
        binary_ladder,
        init: combined(),
    };
    all.with("OwnerInitResponse", &init, config);
    let absence = AbsenceResponse {
        full_tree_head: FullTreeHead::Same,
        binary_ladder: vec![without],
        absence: combined(),
    };
    all.with("AbsenceResponse", &absence, config);
}

/// What is hashed or signed.
fn hashed(all: &mut Structures, config: &Configuration) {
    let (tree_size, root) = (5, seed("log tree root"));
    let head = TreeHeadTbs {
        config,
        tree_size,
        root,
    };
    all.hashed("TreeHeadTBS", &head, Some(config));
    let mut signature = None;
    match config.mode {
        DeploymentMode::ContactMonitoring => {}
        DeploymentMode::ThirdPartyManagement { .. } => {
            let update = UpdateTbs {
                config,
                label: b"alice",
                version: 7,
                value: b"a value",
            };
            all.hashed("UpdateTBS", &update, Some(config));
            signature = Some(self::signature("operator"));
        }
        DeploymentMode::ThirdPartyAuditing { .. } => {
            let head = AuditorTreeHeadTbs {
                config,
                timestamp: 1_800_000_000_000,
                tree_size,
                root,
            };
            all.hashed("AuditorTreeHeadTBS", &head, Some(config));
        }
    }
    let committed = CommitmentValue {
        opening: &opening(),
        label: b"alice",
        version: 7,
        update: &UpdateValue {
            value: b"a value".to_vec(),
            signature,
        },
    };
    all.hashed("CommitmentValue", &committed, Some(config));
}

/// Heads, tree nodes and proofs that are alike in every log.
fn proofs(all: &mut Structures) {
    all.add("TreeHead", &tree_head());
    all.add("AuditorTreeHead", &auditor_tree_head());
    let entry = LogEntry {
        timestamp: 1_800_000_000_000,
        prefix_tree: seed("prefix tree root"),
    };
    all.add("LogEntry", &entry);
    let leaf = PrefixLeaf {
        vrf_output: seed("VRF output"),
        commitment: seed("commitment"),
    };
    all.add("PrefixLeaf", &leaf);
    for result in [
        PrefixSearchResult::NonInclusionLeaf { leaf, depth: 9 },
        PrefixSearchResult::Inclusion { depth: 0 },
        PrefixSearchResult::NonInclusionParent { depth: 255 },
    ] {
        all.add("PrefixSearchResult", &result);
    }
    all.add("PrefixProof", &prefix_proof());
    all.add("InclusionProof", &combined().inclusion);
    all.add("CombinedTreeProof", &combined());
    all.add("CombinedTreeProof", &CombinedTreeProof::default());
    let monitor = combined();
    all.add("CredentialUpdate", &CredentialUpdate { monitor });
    let heads = vec![seed("root"), seed("another root")];
    all.add("DistinguishedHead", &DistinguishedHead { heads });
    let update = AuditorUpdate {
        timestamp: 1_800_000_000_000,
        added: vec![leaf],
        removed: vec![leaf],
        proof: prefix_proof(),
    };
    all.add("AuditorUpdate", &update);
    let longest = [0xa5; 255];
    for (label, version) in [(&b"alice"[..], 7), (&[], 0), (&longest, u32::MAX)] {
        all.hashed("VrfInput", &VrfInput { label, version }, None);
    }
}

fn requests(all: &mut Structures) {
    for (last, label, version) in [
        (None, label(), None),
        (Some(9), Vec::new(), Some(u32::MAX)),
        (Some(u64::from(u32::MAX) + 1), vec![0xa5; 255], Some(0)),
    ] {
        let request = SearchRequest {
            last,
            label,
            version,
        };
        all.add("SearchRequest", &request);
    }
    let (last, greatest_version) = (Some(9), Some(7));
    let update = UpdateRequest {
        last,
        label: label(),
        greatest_version,
        values: vec![b"one".to_vec(), Vec::new()],
    };
    all.add("UpdateRequest", &update);
    let entry = |position, version| MonitorMapEntry { position, version };
    let entries = vec![entry(4, 2), entry(6, 7)];
    let contact = ContactMonitorRequest {
        last,
        label: label(),
        entries: entries.clone(),
    };
    all.add("ContactMonitorRequest", &contact);
    let init = OwnerInitRequest {
        last: None,
        label: label(),
        start: 3,
    };
    all.add("OwnerInitRequest", &init);
    let owner = OwnerMonitorRequest {
        last,
        label: label(),
        entries,
        start: 3,
        greatest_version,
    };
    all.add("OwnerMonitorRequest", &owner);
    for (last, stop) in [(None, None), (last, Some(7))] {
        all.add("DistinguishedRequest", &DistinguishedRequest { last, stop });
    }
}

/// What the draft does not define.
fn of_this_project(all: &mut Structures) {
    let (last, label) = (Some(9), label());
    all.add("AbsenceRequest", &AbsenceRequest { last, label });
    let entry = MonitorMapEntry {
        position: 10,
        version: 7,
    };
    let update = CredentialUpdateRequest {
        label: self::label(),
        entry,
        tree_size: 12,
        distinguished: 15,
    };
    all.add("CredentialUpdateRequest", &update);
    let mut value = SignedValue::new(b"a key".to_vec(), seed("update key"), None);
    all.add("SignedValue", &value);
    value.recovery_key = Some(seed("recovery key"));
    value.signature = Some(SignerSignature {
        signer: Signer::UpdateKey,
        signature: *signature("update key").first_chunk().unwrap(),
    });
    all.add("SignedValue", &value);
    let receipt = Receipt {
        config_hash: seed("configuration"),
        label: self::label(),
        version: 8,
        commitment: seed("commitment"),
        timestamp: 1_800_000_000_000,
        deadline: 1_800_000_005_000,
        signature: signature("log"),
    };
    all.add("Receipt", &receipt);
    let opening = opening();
    all.add("Promised", &Promised { receipt, opening });
    let record = HeadRecord {
        config_hash: seed("configuration"),
        tree_size: 12,
        entry: LogEntry {
            timestamp: 1_800_000_000_000,
            prefix_tree: seed("prefix tree root"),
        },
        root: seed("log tree root"),
    };
    all.add("HeadRecord", &record);
}
