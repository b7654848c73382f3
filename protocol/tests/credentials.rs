//! Credentials: made by one user, verified by others who share only recent distinguished entries.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::{Recent, RootsError, compare_roots};
use overt_protocol::error::VerifyError;
use overt_protocol::provider;
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::user::{Awaited, ProvisionalCredential, TreeView, Verifier};
use overt_protocol::wire::*;
use proptest::collection::vec;
use proptest::prelude::*;
use support::{MemoryLog, NewVersion, Published};

const RMW: u64 = 20;
const LABELS: [&str; 3] = ["alice", "bob", "carol"];

fn empty(suite: CipherSuite, mode: fn(&SigningKey) -> DeploymentMode) -> MemoryLog {
    let log = MemoryLog::new(suite, [1; 32], [2; 32], RMW, None);
    let auditor = auditor_key(suite);
    let mut config = log.config;
    config.mode = mode(&auditor);
    MemoryLog::with_config(
        config,
        log.signing,
        VrfSecretKey::from_bytes(suite, &[2; 32]).unwrap(),
    )
}

fn auditor_key(suite: CipherSuite) -> SigningKey {
    SigningKey::from_bytes(suite, &[3; 32]).unwrap()
}

fn contact_monitoring(_: &SigningKey) -> DeploymentMode {
    DeploymentMode::ContactMonitoring
}

fn auditing(auditor: &SigningKey) -> DeploymentMode {
    DeploymentMode::ThirdPartyAuditing {
        max_auditor_lag: 1_000_000,
        auditor_start_pos: 0,
        auditor_public_key: auditor.public_key(),
    }
}

/// Entries at these distances in time, each with a new version of one label.
fn grow(log: &mut MemoryLog, steps: &[(u64, u8)], fork: u8) {
    for (step, label) in steps {
        let label = LABELS[usize::from(*label) % 3];
        let now = log.entries.last().map_or(1_000, |entry| entry.timestamp) + step;
        let version = NewVersion {
            label: label.into(),
            value: format!("{label} {} {fork}", log.tip.size).into_bytes(),
            opening: [7; 16],
        };
        log.push(now, vec![version]);
    }
}

/// The log at a size, with what an auditor who is two entries behind signed.
fn at(log: &MemoryLog, size: u64) -> Published<'_> {
    let mut published = log.at(size);
    if !log.config.is_contact_monitoring() {
        let seen = size.saturating_sub(2).max(1);
        let timestamp = log.entries[seen as usize - 1].timestamp;
        let tbs = AuditorTreeHeadTbs {
            config: &log.config,
            timestamp,
            tree_size: seen,
            root: log.log_roots[seen as usize - 1],
        };
        let signature = auditor_key(log.config.ciphersuite).sign(&tbs.to_bytes().unwrap());
        published.auditor = Some(AuditorTreeHead {
            timestamp,
            tree_size: seen,
            signature,
        });
    }
    published
}

fn verifier(log: &MemoryLog) -> Verifier {
    Verifier::new(log.config.clone()).unwrap()
}

/// The recent distinguished entries that a user retains who walks them at `size`.
fn recent(log: &MemoryLog, size: u64) -> Vec<TreeView> {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let response = provider::distinguished(&at(log, size), &request, Recent::Count(10)).unwrap();
    let now = log.entries[size as usize - 1].timestamp;
    verifier(log)
        .distinguished(
            None,
            &request,
            Recent::Count(10),
            &response.to_bytes().unwrap(),
            now,
        )
        .unwrap()
        .recent
}

fn make(log: &MemoryLog, size: u64, from: &TreeView, label: &str) -> Credential {
    let request = SearchRequest {
        last: Some(from.size),
        label: label.into(),
        version: None,
    };
    let response = provider::search(&at(log, size), &request).unwrap();
    let now = log.entries[size as usize - 1].timestamp;
    verifier(log)
        .make_credential(from, &request, &response.to_bytes().unwrap(), now)
        .unwrap()
        .credential
}

fn update(
    log: &MemoryLog,
    size: u64,
    provisional: &ProvisionalCredential,
    distinguished: u64,
) -> Vec<u8> {
    let request = provisional.request(distinguished);
    provider::credential_update(&at(log, size), &request)
        .unwrap()
        .to_bytes()
        .unwrap()
}

fn check(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

/// How often each way of verification was taken.
#[derive(Debug, Default)]
struct Taken {
    standard: usize,
    from_own_view: usize,
    by_update: usize,
}

/// Makes and verifies every credential that can be: for each label, at each size, from each recent
/// distinguished entry, and finally at each later size.
fn every_credential(log: &MemoryLog, taken: &mut Taken) {
    let user = verifier(log);
    let last = log.tip.size;
    let views: Vec<Vec<TreeView>> = (1..=last).map(|size| recent(log, size)).collect();
    for size in 1..=last {
        let published = at(log, size);
        for label in LABELS {
            use overt_protocol::provider::Directory;
            let Some(greatest) = published.greatest_version(label.as_bytes()).unwrap() else {
                continue;
            };
            let created = log.labels[label.as_bytes()][greatest as usize].0.position;
            let known = &views[size as usize - 1];
            for from in known {
                let credential = make(log, size, from, label);
                let bytes = credential.to_bytes().unwrap();
                let done = user.credential(known, &bytes).unwrap();
                assert_eq!(done.value.version(), greatest);
                assert_eq!(
                    done.value.value(),
                    log.labels[label.as_bytes()][greatest as usize].2.value
                );
                let newest = known.last().unwrap().position();
                assert_eq!(done.provisional.is_none(), created <= newest);
                let Some(provisional) = done.provisional else {
                    taken.standard += 1;
                    continue;
                };
                assert!(provisional.terminal() >= created);
                for later in size..=last {
                    let known = &views[later as usize - 1];
                    let covers = known.iter().any(|v| v.position() >= provisional.terminal());
                    match provisional.await_final(known).unwrap() {
                        Awaited::Distinguished => assert!(!covers),
                        Awaited::Nothing => {
                            assert!(covers);
                            taken.from_own_view += 1;
                        }
                        Awaited::Update(distinguished) => {
                            assert!(covers);
                            let update = update(log, later, &provisional, distinguished);
                            user.credential_update(known, &provisional, &update)
                                .unwrap();
                            taken.by_update += 1;
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn honest_credentials_verify(steps in vec((0u64..12, 0u8..3), 1..24), audited: bool) {
        let mode = if audited { auditing } else { contact_monitoring };
        let mut log = empty(CipherSuite::Kt128Sha256Ed25519, mode);
        grow(&mut log, &steps, 0);
        every_credential(&log, &mut Taken::default());
    }
}

#[test]
fn every_way_of_verification_is_taken() {
    for suite in [
        CipherSuite::Kt128Sha256Ed25519,
        CipherSuite::Kt128Sha256P256,
    ] {
        for mode in [contact_monitoring, auditing] {
            let mut log = empty(suite, mode);
            let steps: Vec<_> = (0..14).map(|n| (5 + n % 5, (n % 3) as u8)).collect();
            grow(&mut log, &steps, 0);
            let mut taken = Taken::default();
            every_credential(&log, &mut taken);
            assert!(taken.standard > 0 && taken.from_own_view > 0 && taken.by_update > 0);
        }
    }
}

/// Two logs that are the same for twelve entries and differ in every one after.
fn forked() -> (MemoryLog, MemoryLog) {
    let mut steps: Vec<_> = (0..11).map(|n| (9, n % 3)).collect();
    steps.push((1, 0));
    let later = [(1, 2), (9, 2), (9, 1), (9, 2), (9, 1), (9, 2)];
    let mut logs = [0, 1].map(|fork| {
        let mut log = empty(CipherSuite::Kt128Sha256Ed25519, contact_monitoring);
        grow(&mut log, &steps, 0);
        grow(&mut log, &later, fork);
        log
    });
    let other = std::mem::replace(
        &mut logs[1],
        empty(CipherSuite::Kt128Sha256Ed25519, contact_monitoring),
    );
    let [log, _] = logs;
    (log, other)
}

/// A provisional credential for carol at size 13, and the recent entries that it rests on.
fn provisional(log: &MemoryLog) -> (Credential, Vec<TreeView>) {
    let known = recent(log, 13);
    let credential = make(log, 13, known.last().unwrap(), "carol");
    assert!(matches!(
        credential.proof,
        CredentialProof::Provisional { .. }
    ));
    (credential, known)
}

#[test]
fn single_bytes() {
    let (log, _) = forked();
    let user = verifier(&log);
    let (credential, known) = provisional(&log);
    let standard = make(&log, 13, &known[0], "alice");
    for credential in [credential, standard] {
        let bytes = credential.to_bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in [1, 0x80] {
                let mut wrong = bytes.clone();
                wrong[at] ^= bit;
                assert!(user.credential(&known, &wrong).is_err(), "byte {at}");
            }
        }
        assert_eq!(
            check(user.credential(&known, &bytes[..bytes.len() - 1])),
            "encoding"
        );
    }

    let (credential, known) = provisional(&log);
    let done = user
        .credential(&known, &credential.to_bytes().unwrap())
        .unwrap();
    let pending = done.provisional.unwrap();
    let later = recent(&log, log.tip.size);
    let Ok(Awaited::Update(distinguished)) = pending.await_final(&later) else {
        panic!("no update is awaited")
    };
    let bytes = update(&log, log.tip.size, &pending, distinguished);
    user.credential_update(&later, &pending, &bytes).unwrap();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert!(
            user.credential_update(&later, &pending, &wrong).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn each_rule_has_a_check() {
    let (log, fork) = forked();
    let user = verifier(&log);
    let (honest, known) = provisional(&log);
    let verify =
        |credential: &Credential| check(user.credential(&known, &credential.to_bytes().unwrap()));
    assert_eq!(verify(&honest), "accepted");

    let mut wrong = honest.clone();
    wrong.position += 1;
    assert_eq!(verify(&wrong), "unknown-distinguished");
    assert_eq!(
        check(user.credential(&[], &honest.to_bytes().unwrap())),
        "unknown-distinguished"
    );

    let mut wrong = honest.clone();
    wrong.binary_ladder.pop();
    assert_eq!(verify(&wrong), "binary-ladder-steps");
    let mut wrong = honest.clone();
    let target = wrong
        .binary_ladder
        .iter()
        .rposition(|s| s.commitment.is_none())
        .unwrap();
    wrong.binary_ladder[target].commitment = Some([0; 32]);
    assert_eq!(verify(&wrong), "commitment-surplus");

    // A head that is not larger than the entry that the credential rests on.
    let mut wrong = honest.clone();
    let CredentialProof::Provisional { tree_head, .. } = &mut wrong.proof else {
        unreachable!()
    };
    tree_head.tree_size = honest.position + 1;
    assert_eq!(verify(&wrong), "head-tree-size");

    // A head that another key signed.
    let mut wrong = honest.clone();
    let CredentialProof::Provisional { tree_head, .. } = &mut wrong.proof else {
        unreachable!()
    };
    tree_head.signature = log.heads[3].signature.clone();
    assert_eq!(verify(&wrong), "head-signature");

    // Provisional, where the version is in the very entry that the credential rests on.
    let standard = make(&log, 13, &known[0], "alice");
    let newest = known.last().unwrap();
    let request = SearchRequest {
        last: Some(newest.size),
        label: b"alice".to_vec(),
        version: None,
    };
    let response = provider::search(&log.at(13), &request).unwrap();
    let FullTreeHead::Updated { tree_head, .. } = response.full_tree_head else {
        unreachable!()
    };
    let mut wrong = standard.clone();
    wrong.position = newest.position();
    wrong.proof = CredentialProof::Provisional {
        tree_head,
        search: response.search,
    };
    assert_eq!(verify(&wrong), "not-provisional");

    // Standard, from an entry in which the version is not the greatest, or does not exist yet.
    let mut wrong = honest.clone();
    let proof_at = |position: u64, versions: &[u32]| {
        let keys: Vec<_> = versions
            .iter()
            .map(|version| {
                let input = VrfInput {
                    label: b"carol",
                    version: *version,
                };
                log.vrf.output(&input.to_bytes().unwrap())
            })
            .collect();
        let root = log.roots[position as usize];
        overt_protocol::prefix_tree::prove(&log.pages, root, &keys).unwrap()
    };
    let versions = overt_protocol::ladder::search_ladder(honest.version, Some(honest.version - 1));
    wrong.proof = CredentialProof::Standard(proof_at(honest.position, &versions));
    assert_eq!(verify(&wrong), "binary-ladder");

    // Standard, with a proof from another entry than the one it names.
    let versions = overt_protocol::ladder::base_ladder(honest.version);
    wrong.proof = CredentialProof::Standard(proof_at(12, &versions));
    assert_eq!(verify(&wrong), "credential-fork");

    // From a fork: before the entry that it rests on, and after.
    let later = recent(&log, 18);
    let theirs = recent(&fork, 18);
    let foreign = make(&fork, 18, theirs.last().unwrap(), "bob");
    assert_ne!(later.last().unwrap().root, theirs.last().unwrap().root);
    let foreign = foreign.to_bytes().unwrap();
    // The entry that it rests on has another prefix tree here.
    assert_eq!(
        check(user.credential(&later, &foreign)),
        "prefix-root-conflict"
    );

    let foreign = make(&fork, 13, known.last().unwrap(), "carol");
    let done = user
        .credential(&known, &foreign.to_bytes().unwrap())
        .unwrap();
    let pending = done
        .provisional
        .expect("forked after the entry it rests on");
    let Ok(Awaited::Update(distinguished)) = pending.await_final(&later) else {
        panic!("no update is awaited")
    };
    let theirs = update(&fork, 18, &pending, distinguished);
    assert_eq!(
        check(user.credential_update(&later, &pending, &theirs)),
        "credential-fork"
    );
    let ours = update(&log, 18, &pending, distinguished);
    assert_eq!(
        check(user.credential_update(&later, &pending, &ours)),
        "credential-fork"
    );

    // An update before the entry that it leads to is known, and one that nobody needs.
    assert_eq!(
        check(user.credential_update(&known, &pending, &ours)),
        "unknown-distinguished"
    );
}

#[test]
fn forks_show_without_an_update() {
    let (log, fork) = forked();
    let user = verifier(&log);
    // An entry that the credential's own tree includes becomes distinguished later.
    let known = recent(&log, 13);
    let mut seen = 0;
    for size in 13..=18 {
        let foreign = make(&fork, size, known.last().unwrap(), "carol");
        let Ok(done) = user.credential(&known, &foreign.to_bytes().unwrap()) else {
            continue;
        };
        let Some(pending) = done.provisional else {
            continue;
        };
        let later = recent(&log, 18);
        match pending.await_final(&later) {
            Err(error) => {
                assert_eq!(error.check(), "credential-fork");
                assert_eq!(
                    check(user.credential_update(&later, &pending, &[])),
                    "encoding"
                );
                seen += 1;
            }
            Ok(awaited) => assert_ne!(awaited, Awaited::Nothing),
        }
    }
    assert!(seen > 0);
}

#[test]
fn provisional_credentials_are_kept() {
    use overt_protocol::codec::Decode;
    let (log, _) = forked();
    let (credential, known) = provisional(&log);
    let done = verifier(&log)
        .credential(&known, &credential.to_bytes().unwrap())
        .unwrap();
    let pending = done.provisional.unwrap();
    let bytes = pending.to_bytes().unwrap();
    assert_eq!(
        ProvisionalCredential::from_bytes(&bytes, &()).unwrap(),
        pending
    );
}

#[test]
fn roots_are_compared() {
    let roots = |range: std::ops::Range<u8>| range.map(|n| [n; 32]).collect::<Vec<HashValue>>();
    compare_roots(&roots(0..4), &roots(0..4)).unwrap();
    compare_roots(&roots(0..4), &roots(2..6)).unwrap();
    compare_roots(&roots(3..7), &roots(0..4)).unwrap();
    let apart = Err(RootsError::NoOverlap);
    assert_eq!(compare_roots(&roots(0..4), &roots(4..8)), apart);
    assert_eq!(compare_roots(&[], &[]), apart);
    assert_eq!(
        compare_roots(&roots(0..4), &roots(0..3)),
        Err(RootsError::Length(4, 3))
    );
    let mut forked = roots(2..6);
    forked[1][0] ^= 1;
    assert_eq!(compare_roots(&roots(0..4), &forked), apart);
}
