//! Third-Party Management: signed values and skipped versions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::error::VerifyError;
use overt_protocol::provider;
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::user::{OwnerState, TreeState, Verifier};
use overt_protocol::wire::*;
use support::{MemoryLog, NewVersion};

const NOW: u64 = 10_000;

fn empty(suite: CipherSuite) -> MemoryLog {
    let plain = MemoryLog::new(suite, [1; 32], [2; 32], 1_000, None);
    let leaf_key = SigningKey::from_bytes(suite, &[4; 32]).unwrap();
    let mut config = plain.config;
    config.mode = DeploymentMode::ThirdPartyManagement {
        leaf_public_key: leaf_key.public_key(),
    };
    let vrf = VrfSecretKey::from_bytes(suite, &[2; 32]).unwrap();
    let mut log = MemoryLog::with_config(config, plain.signing, vrf);
    log.leaf_key = Some(leaf_key);
    log
}

fn version(label: &str, value: &str) -> NewVersion {
    NewVersion {
        label: label.into(),
        value: value.into(),
        opening: [9; 16],
    }
}

/// Alice owns her label from the first entry on; then come versions 0, 3 (after two that were
/// skipped), and 4 and 5 at once.
fn log(suite: CipherSuite) -> MemoryLog {
    let mut log = empty(suite);
    log.push(1_000, vec![version("bob", "bob")]);
    log.push(3_000, vec![version("alice", "zero")]);
    log.push_after_skipping(3_100, &[("alice", 2)], vec![version("alice", "three")]);
    log.push(
        3_200,
        vec![version("alice", "four"), version("alice", "five")],
    );
    log
}

fn check(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

fn owner(log: &MemoryLog, user: &Verifier) -> (TreeState, OwnerState) {
    let request = OwnerInitRequest {
        last: None,
        label: b"alice".to_vec(),
        start: 0,
    };
    let response = provider::owner_init(&log.at(1), &request).unwrap();
    let done = user
        .owner_init(None, &request, &response.to_bytes().unwrap(), NOW)
        .unwrap();
    (done.state, done.owner)
}

fn updates(log: &MemoryLog) -> (UpdateRequest, Vec<UpdateResponse>) {
    let request = UpdateRequest {
        last: Some(1),
        label: b"alice".to_vec(),
        greatest_version: None,
        values: Vec::new(),
    };
    let responses = provider::update(&log.published(), &request, None).unwrap();
    (request, responses)
}

#[test]
fn skipped_versions_are_counted_and_have_no_value() {
    for suite in [
        CipherSuite::Kt128Sha256Ed25519,
        CipherSuite::Kt128Sha256P256,
    ] {
        let log = log(suite);
        let user = Verifier::new(log.config.clone()).unwrap();
        let (state, owner) = owner(&log, &user);
        let (request, responses) = updates(&log);
        let skipped: Vec<_> = responses.iter().map(|r| r.skipped_versions).collect();
        assert_eq!(skipped, [Some(0), Some(2), Some(0)]);
        let verify = |responses: &[UpdateResponse]| {
            let bytes: Vec<u8> = responses
                .iter()
                .flat_map(|r| r.to_bytes().unwrap())
                .collect();
            user.update(Some(&state), &owner, &request, &bytes, NOW)
        };
        let done = verify(&responses).unwrap();
        let values: Vec<_> = done.updates.iter().flat_map(|u| &u.values).collect();
        let shown: Vec<_> = values.iter().map(|v| (v.version(), v.value())).collect();
        assert_eq!(
            shown,
            [(0, &b"zero"[..]), (3, b"three"), (4, b"four"), (5, b"five")]
        );
        assert_eq!(done.owner.progress.greatest_version(), Some(5));
        for version in 1..=2 {
            assert_eq!(done.owner.commitments[&version], [0; 32]);
        }

        // One more or one less than were skipped.
        for wrong in [1, 3] {
            let mut responses = responses.clone();
            responses[1].skipped_versions = Some(wrong);
            assert_ne!(check(verify(&responses)), "accepted");
        }
        // A value that the Service Operator did not sign, or signed as another version.
        let mut unsigned = responses.clone();
        unsigned[0].info[0].signature.as_mut().unwrap()[0] ^= 1;
        assert_eq!(check(verify(&unsigned)), "leaf-signature");
        let mut swapped = responses.clone();
        let (four, five) = (
            swapped[2].info[0].signature.clone(),
            swapped[2].info[1].signature.clone(),
        );
        swapped[2].info[0].signature = five;
        swapped[2].info[1].signature = four;
        assert_eq!(check(verify(&swapped)), "leaf-signature");
    }
}

#[test]
fn searches_check_the_operators_signature() {
    let log = log(CipherSuite::Kt128Sha256Ed25519);
    let user = Verifier::new(log.config.clone()).unwrap();
    for version in [None, Some(0), Some(3), Some(4)] {
        let request = SearchRequest {
            last: None,
            label: b"alice".to_vec(),
            version,
        };
        let mut response = provider::search(&log.published(), &request).unwrap();
        let verify = |response: &SearchResponse| {
            check(user.search(None, &request, &response.to_bytes().unwrap(), NOW))
        };
        assert_eq!(verify(&response), "accepted");
        response.value.signature.as_mut().unwrap()[1] ^= 1;
        assert_eq!(verify(&response), "leaf-signature");
    }
    // A skipped version is none.
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: Some(1),
    };
    let error = provider::search(&log.published(), &request).unwrap_err();
    assert!(error.to_string().contains("no such"), "{error}");
}
