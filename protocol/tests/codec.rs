//! Every structure survives its encoding, and nothing else decodes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use overt_protocol::codec::{Decode, DecodeError, Encode};
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

type Bytes = Vec<u8>;

fn hash() -> impl Strategy<Value = HashValue> {
    any::<HashValue>()
}

fn hashes() -> impl Strategy<Value = Vec<HashValue>> {
    vec(hash(), 0..4)
}

fn opaque() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40)
}

fn mode() -> impl Strategy<Value = DeploymentMode> {
    prop_oneof![
        Just(DeploymentMode::ContactMonitoring),
        opaque()
            .prop_map(|leaf_public_key| DeploymentMode::ThirdPartyManagement { leaf_public_key }),
        (any::<u64>(), any::<u64>(), opaque()).prop_map(
            |(max_auditor_lag, auditor_start_pos, auditor_public_key)| {
                DeploymentMode::ThirdPartyAuditing {
                    max_auditor_lag,
                    auditor_start_pos,
                    auditor_public_key,
                }
            }
        ),
    ]
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let suite = prop_oneof![
        Just(CipherSuite::Kt128Sha256P256),
        Just(CipherSuite::Kt128Sha256Ed25519)
    ];
    (
        suite,
        mode(),
        opaque(),
        opaque(),
        any::<[u64; 3]>(),
        of(any::<u64>()),
    )
        .prop_map(
            |(
                ciphersuite,
                mode,
                signature_public_key,
                vrf_public_key,
                [a, b, c],
                maximum_lifetime,
            )| Configuration {
                ciphersuite,
                mode,
                signature_public_key,
                vrf_public_key,
                max_ahead: a,
                max_behind: b,
                reasonable_monitoring_window: c,
                maximum_lifetime,
            },
        )
}

fn tree_head() -> impl Strategy<Value = TreeHead> {
    (any::<u64>(), opaque()).prop_map(|(tree_size, signature)| TreeHead {
        tree_size,
        signature,
    })
}

fn auditor_tree_head() -> impl Strategy<Value = AuditorTreeHead> {
    (any::<u64>(), any::<u64>(), opaque()).prop_map(|(timestamp, tree_size, signature)| {
        AuditorTreeHead {
            timestamp,
            tree_size,
            signature,
        }
    })
}

fn full_tree_head(auditing: bool) -> impl Strategy<Value = FullTreeHead> {
    prop_oneof![
        Just(FullTreeHead::Same),
        (tree_head(), auditor_tree_head()).prop_map(move |(tree_head, auditor)| {
            FullTreeHead::Updated {
                tree_head,
                auditor_tree_head: auditing.then_some(auditor),
            }
        }),
    ]
}

fn leaf() -> impl Strategy<Value = PrefixLeaf> {
    (hash(), hash()).prop_map(|(vrf_output, commitment)| PrefixLeaf {
        vrf_output,
        commitment,
    })
}

fn prefix_proof() -> impl Strategy<Value = PrefixProof> {
    let result = prop_oneof![
        any::<u8>().prop_map(|depth| PrefixSearchResult::Inclusion { depth }),
        (leaf(), any::<u8>())
            .prop_map(|(leaf, depth)| PrefixSearchResult::NonInclusionLeaf { leaf, depth }),
        any::<u8>().prop_map(|depth| PrefixSearchResult::NonInclusionParent { depth }),
    ];
    (vec(result, 0..4), hashes()).prop_map(|(results, elements)| PrefixProof { results, elements })
}

fn combined() -> impl Strategy<Value = CombinedTreeProof> {
    (
        vec(any::<u64>(), 0..4),
        vec(prefix_proof(), 0..3),
        hashes(),
        hashes(),
    )
        .prop_map(
            |(timestamps, prefix_proofs, prefix_roots, elements)| CombinedTreeProof {
                timestamps,
                prefix_proofs,
                prefix_roots,
                inclusion: InclusionProof { elements },
            },
        )
}

fn ladder(proof_len: usize) -> impl Strategy<Value = Vec<BinaryLadderStep>> {
    let step = (vec(any::<u8>(), proof_len), of(hash()))
        .prop_map(|(proof, commitment)| BinaryLadderStep { proof, commitment });
    vec(step, 0..3)
}

fn update_value(managed: bool) -> impl Strategy<Value = UpdateValue> {
    (opaque(), opaque()).prop_map(move |(value, signature)| UpdateValue {
        value,
        signature: managed.then_some(signature),
    })
}

fn entries() -> impl Strategy<Value = Vec<MonitorMapEntry>> {
    vec(
        (any::<u64>(), any::<u32>())
            .prop_map(|(position, version)| MonitorMapEntry { position, version }),
        0..4,
    )
}

/// Round trip; every truncation and a surplus byte are refused.
fn survives<T, C: ?Sized>(value: &T, context: &C) -> Bytes
where
    T: Encode + Decode<C> + PartialEq + std::fmt::Debug,
{
    let bytes = value.to_bytes().unwrap();
    assert_eq!(&T::from_bytes(&bytes, context).unwrap(), value);
    for length in 0..bytes.len() {
        assert!(
            T::from_bytes(&bytes[..length], context).is_err(),
            "cut at {length}"
        );
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(
        T::from_bytes(&longer, context),
        Err(DecodeError::TrailingBytes(1))
    );
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn without_context(
        config in configuration(), head in tree_head(), auditor in auditor_tree_head(),
        proof in combined(), last in of(any::<u64>()), label in opaque(), version in of(any::<u32>()),
        values in vec(opaque(), 0..3), entries in entries(), number in any::<u64>(), heads in hashes(),
        leaves in vec(leaf(), 0..3), prefix in prefix_proof(), tree in hash(),
    ) {
        survives(&config, &());
        survives(&head, &());
        survives(&auditor, &());
        survives(&proof, &());
        survives(&prefix, &());
        survives(&LogEntry { timestamp: number, prefix_tree: tree }, &());
        survives(&SearchRequest { last, label: label.clone(), version }, &());
        survives(&UpdateRequest { last, label: label.clone(), greatest_version: version, values }, &());
        survives(&ContactMonitorRequest { last, label: label.clone(), entries: entries.clone() }, &());
        survives(&OwnerInitRequest { last, label: label.clone(), start: number }, &());
        survives(&OwnerMonitorRequest { last, label, entries, start: number, greatest_version: version }, &());
        survives(&DistinguishedRequest { last, stop: last }, &());
        survives(&DistinguishedHead { heads }, &());
        survives(&CredentialUpdate { monitor: proof }, &());
        survives(&AuditorUpdate { timestamp: number, added: leaves.clone(), removed: leaves, proof: prefix }, &());
    }

    #[test]
    fn with_a_configuration(
        (config, head, value, steps, managed_values) in configuration().prop_flat_map(|config| {
            let auditing = config.mode.to_u8() == 3;
            let managed = config.mode.to_u8() == 2;
            let length = config.ciphersuite.vrf_proof_len();
            (Just(config), full_tree_head(auditing), update_value(managed), ladder(length), vec(update_value(managed), 0..3))
        }),
        proof in combined(), label in opaque(), version in any::<u32>(), opening in any::<Opening>(),
        position in any::<u64>(), fixed in any::<bool>(), versions in vec(any::<u32>(), 0..4),
        prefix in prefix_proof(), tree_head in tree_head(), last in of(any::<u64>()),
    ) {
        survives(&head, &config);
        survives(&value, &config);
        let request = SearchRequest { last, label: label.clone(), version: fixed.then_some(version) };
        let response = SearchResponse {
            full_tree_head: head.clone(),
            version: (!fixed).then_some(version),
            opening,
            value: value.clone(),
            binary_ladder: steps.clone(),
            search: proof.clone(),
        };
        let bytes = response.to_bytes().unwrap();
        let context = (&config, &request);
        prop_assert_eq!(&SearchResponse::from_bytes(&bytes, &context).unwrap(), &response);
        prop_assert!(SearchResponse::from_bytes(&bytes[..bytes.len() - 1], &context).is_err());
        survives(&MonitorResponse { full_tree_head: head.clone(), proof: proof.clone() }, &config);
        survives(&OwnerInitResponse {
            full_tree_head: head.clone(), greatest_versions: versions, binary_ladder: steps.clone(), init: proof.clone(),
        }, &config);
        let managed = config.mode.to_u8() == 2;
        survives(&UpdateResponse {
            full_tree_head: head,
            position,
            skipped_versions: managed.then_some(version),
            values: managed_values.iter().map(|v| v.value.clone()).collect(),
            info: managed_values.iter().map(|v| UpdateInfo { opening, signature: v.signature.clone() }).collect(),
            binary_ladder: steps.clone(),
            update: proof.clone(),
        }, &config);
        let credential = |kind| Credential {
            label: label.clone(), version, opening, value: value.clone(), binary_ladder: steps.clone(), position, proof: kind,
        };
        survives(&credential(CredentialProof::Standard(prefix)), &config);
        survives(&credential(CredentialProof::Provisional { tree_head, search: proof }), &config);
        survives(&ManagerUpdateRequest {
            last, label: label.clone(), greatest_version: last.map(|_| version), values: managed_values, signed_version: version,
        }, &config);
    }
}

#[test]
fn what_the_presentation_language_forbids() {
    let presence = SearchRequest::from_bytes(&[2], &());
    assert_eq!(presence, Err(DecodeError::Presence(2)));
    let unknown = |bytes: &[u8]| {
        matches!(
            PrefixProof::from_bytes(bytes, &()),
            Err(DecodeError::Enumeration { .. })
        )
    };
    assert!(unknown(&[1, 0]) && unknown(&[1, 4]));
    let config = Configuration {
        ciphersuite: CipherSuite::Kt128Sha256Ed25519,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: vec![1],
        vrf_public_key: vec![2],
        max_ahead: 0,
        max_behind: 0,
        reasonable_monitoring_window: 0,
        maximum_lifetime: None,
    };
    for head_type in [0, 3, 255] {
        assert!(FullTreeHead::from_bytes(&[head_type], &config).is_err());
    }
    let mut bytes = config.to_bytes().unwrap();
    for (at, value) in [(1, 0), (1, 3), (2, 0), (2, 4)] {
        let old = std::mem::replace(&mut bytes[at], value);
        assert!(
            Configuration::from_bytes(&bytes, &()).is_err(),
            "byte {at} = {value}"
        );
        bytes[at] = old;
    }
    // A count far beyond the input is refused at once, without memory for it.
    assert!(UpdateRequest::from_bytes(&[0, 0, 0, 255], &()).is_err());
    assert!(InclusionProof::from_bytes(&[255, 255, 1], &()).is_err());
    // Element counts, not bytes: two hashes are announced as two.
    let two = InclusionProof {
        elements: vec![[7; 32]; 2],
    };
    assert_eq!(two.to_bytes().unwrap()[..2], [0, 2]);
    // What does not fit is an error of the writer, not a wrong encoding.
    let label = SearchRequest {
        last: None,
        label: vec![0; 256],
        version: None,
    };
    assert!(label.to_bytes().is_err());
    let many = CombinedTreeProof {
        timestamps: vec![0; 256],
        ..CombinedTreeProof::default()
    };
    assert!(many.to_bytes().is_err());
    let wide = InclusionProof {
        elements: vec![[0; 32]; 65_536],
    };
    assert!(wide.to_bytes().is_err());
}
