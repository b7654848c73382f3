//! Each part of a search response has a check of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::error::VerifyError;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
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
