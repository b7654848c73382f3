//! Each part of a search response has a check of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::error::VerifyError;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider;
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::user::Verifier;
use overt_protocol::wire::*;
use support::{MemoryLog, NewVersion};

const NOW: u64 = 1_000_000;

fn version(label: &str, n: usize) -> NewVersion {
    let value = format!("{label} {n}").into_bytes();
    NewVersion {
        label: label.into(),
        value,
        opening: [u8::try_from(n % 251).unwrap(); 16],
    }
}

/// Twenty entries; `alice` gets a version in every third, `bob` has one, others fill the tree.
fn log(suite: CipherSuite) -> MemoryLog {
    let mut log = MemoryLog::new(suite, [1; 32], [2; 32], 5_000, None);
    for n in 0..20 {
        let mut new = vec![version(&format!("other {n}"), n)];
        if n == 1 {
            new.push(version("bob", n));
        }
        if n % 3 == 2 {
            new.push(version("alice", n));
        }
        if n == 19 {
            new.push(version("alice", 20));
        }
        log.push(NOW - 20_000 + 1000 * n as u64, new);
    }
    log
}

#[test]
fn lifetimes_must_exceed_the_monitoring_window() {
    let mut config = log(CipherSuite::Kt128Sha256Ed25519).config;
    for lifetime in [0, 4_999, 5_000] {
        config.maximum_lifetime = Some(lifetime);
        assert!(Verifier::new(config.clone()).is_err());
    }
    config.maximum_lifetime = Some(5_001);
    Verifier::new(config).unwrap();
}

#[test]
fn keys_that_prove_nothing_are_refused() {
    let log = log(CipherSuite::Kt128Sha256Ed25519);
    let small_order = {
        let mut identity = vec![0; 32];
        identity[0] = 1;
        identity
    };
    let refused = |edit: &dyn Fn(&mut Configuration)| {
        let mut config = log.config.clone();
        edit(&mut config);
        match Verifier::new(config) {
            Err(ConfigurationError::Key(name)) => name,
            other => panic!("{other:?}"),
        }
    };
    let key = || small_order.clone();
    assert_eq!(refused(&|c| c.vrf_public_key = key()), "vrf_public_key");
    assert_eq!(
        refused(&|c| c.signature_public_key = key()),
        "signature_public_key"
    );
    let leaf_public_key = key();
    let managed = DeploymentMode::ThirdPartyManagement { leaf_public_key };
    assert_eq!(refused(&|c| c.mode = managed.clone()), "leaf_public_key");
    let audited = DeploymentMode::ThirdPartyAuditing {
        max_auditor_lag: 1,
        auditor_start_pos: 0,
        auditor_public_key: key(),
    };
    assert_eq!(refused(&|c| c.mode = audited.clone()), "auditor_public_key");
}

fn check(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

#[test]
fn hidden_overwritten_and_foreign_values_are_refused() {
    let log = log(CipherSuite::Kt128Sha256Ed25519);
    let user = Verifier::new(log.config.clone()).unwrap();
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: None,
    };
    let response = provider::search(&log.published(), &request).unwrap();
    let response = response.to_bytes().unwrap();
    let decoded = SearchResponse::from_bytes(&response, &(&log.config, &request)).unwrap();
    let greatest = decoded.version.unwrap();
    let verify = |response: &SearchResponse| {
        check(user.search(None, &request, &response.to_bytes().unwrap(), NOW))
    };

    // An older version shown as the greatest, with an honest ladder for it.
    let older = SearchRequest {
        version: Some(greatest - 1),
        ..request.clone()
    };
    let mut hidden = provider::search(&log.published(), &older).unwrap();
    hidden.version = Some(greatest - 1);
    assert_ne!(verify(&hidden), "accepted");
    // A greater one that does not exist.
    let mut invented = decoded.clone();
    invented.version = Some(greatest + 1);
    assert_ne!(verify(&invented), "accepted");
    // Another value or opening under the same proof.
    let mut other = decoded.clone();
    other.value.value.push(b'!');
    assert!(matches!(
        verify(&other),
        "head-signature" | "prefix-proof" | "prefix-root-conflict"
    ));
    let mut other = decoded.clone();
    other.opening[0] ^= 1;
    assert!(matches!(
        verify(&other),
        "head-signature" | "prefix-proof" | "prefix-root-conflict"
    ));
    // Commitments where none may stand, and none where one must.
    let target = base_ladder(greatest)
        .iter()
        .position(|v| *v == greatest)
        .unwrap();
    let mut surplus = decoded.clone();
    surplus.binary_ladder[target].commitment = Some([0; 32]);
    assert_eq!(verify(&surplus), "commitment-surplus");
    let mut missing = decoded.clone();
    missing.binary_ladder[0].commitment = None;
    assert_eq!(verify(&missing), "commitment-missing");
    // Surplus and missing parts of the proof.
    let mut proof = decoded.clone();
    proof.search.timestamps.push(NOW);
    assert_eq!(verify(&proof), "timestamps-surplus");
    let mut proof = decoded.clone();
    let extra = proof.search.prefix_proofs[0].clone();
    proof.search.prefix_proofs.push(extra);
    assert_eq!(verify(&proof), "prefix-proofs-surplus");
    let mut proof = decoded.clone();
    proof.search.prefix_proofs.pop();
    assert_eq!(verify(&proof), "prefix-proofs-missing");
    let mut proof = decoded.clone();
    proof.search.prefix_roots.push([0; 32]);
    assert_eq!(verify(&proof), "prefix-roots");
    let mut proof = decoded.clone();
    proof.search.inclusion.elements.push([0; 32]);
    assert_eq!(verify(&proof), "inclusion");
    let mut proof = decoded;
    proof.binary_ladder.pop();
    assert_eq!(verify(&proof), "binary-ladder-steps");
}

/// Section "Auditor Tree Head Signature", driven with a signer.
#[test]
fn auditor_heads_are_checked() {
    let suite = CipherSuite::Kt128Sha256Ed25519;
    let auditor = SigningKey::from_bytes(suite, &[5; 32]).unwrap();
    let audited = |max_auditor_lag| {
        let mut log = log(suite);
        log.config.mode = DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag,
            auditor_start_pos: 2,
            auditor_public_key: auditor.public_key(),
        };
        // The mode is part of what heads sign.
        for (head, root) in log.heads.iter_mut().zip(&log.log_roots) {
            let (config, tree_size) = (&log.config, head.tree_size);
            let tbs = TreeHeadTbs {
                config,
                tree_size,
                root: *root,
            };
            head.signature = log.signing.sign(&tbs.to_bytes().unwrap());
        }
        log
    };
    let sign = |log: &MemoryLog, timestamp, tree_size: u64| {
        let root = log.log_roots[usize::try_from(tree_size).unwrap() - 1];
        let config = &log.config;
        let tbs = AuditorTreeHeadTbs {
            config,
            timestamp,
            tree_size,
            root,
        };
        let signature = auditor.sign(&tbs.to_bytes().unwrap());
        AuditorTreeHead {
            timestamp,
            tree_size,
            signature,
        }
    };
    let answer = |log: &MemoryLog, size, last, head: AuditorTreeHead| {
        let request = SearchRequest {
            last,
            label: b"bob".to_vec(),
            version: None,
        };
        let mut at = log.at(size);
        at.auditor = Some(head);
        let response = provider::search(&at, &request).unwrap();
        (request, response)
    };

    // The rightmost entry is at NOW - 1000, the auditor's at NOW - 4000.
    let log = audited(3000);
    let user = Verifier::new(log.config.clone()).unwrap();
    let honest = sign(&log, NOW - 4000, 17);
    let (request, response) = answer(&log, 20, None, honest.clone());
    let verify = |response: &SearchResponse| {
        check(user.search(None, &request, &response.to_bytes().unwrap(), NOW))
    };
    assert_eq!(verify(&response), "accepted");
    let with = |change: &dyn Fn(&mut AuditorTreeHead)| {
        let mut response = response.clone();
        if let FullTreeHead::Updated {
            auditor_tree_head: Some(head),
            ..
        } = &mut response.full_tree_head
        {
            change(head);
        }
        verify(&response)
    };
    assert_eq!(with(&|head| head.timestamp = NOW - 4001), "auditor-lag");
    assert_eq!(with(&|head| head.timestamp = NOW - 999), "auditor-lag");
    assert_eq!(with(&|head| head.tree_size = 0), "auditor-tree-size");
    assert_eq!(with(&|head| head.tree_size = 21), "auditor-tree-size");
    assert_eq!(
        with(&|head| head.timestamp = NOW - 3999),
        "auditor-signature"
    );
    assert_eq!(with(&|head| head.signature[0] ^= 1), "auditor-signature");

    // An auditor who began after what the one before had seen.
    for (seen, outcome) in [(1, "auditor-start"), (2, "accepted")] {
        let log = audited(1_000_000);
        let user = Verifier::new(log.config.clone()).unwrap();
        let (request, response) = answer(&log, 5, None, sign(&log, NOW - 20_000, seen));
        let bytes = response.to_bytes().unwrap();
        let state = user.search(None, &request, &bytes, NOW).unwrap().state;
        let (request, response) = answer(&log, 20, Some(5), sign(&log, NOW - 4000, 17));
        let bytes = response.to_bytes().unwrap();
        assert_eq!(
            check(user.search(Some(&state), &request, &bytes, NOW)),
            outcome
        );
    }
}
