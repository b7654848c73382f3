//! Checks at the very value where they begin to fail: what mutation testing asked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::Recent;
use overt_protocol::error::VerifyError;
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
use overt_protocol::user::{OwnerState, TreeState, TreeView, Verifier};
use overt_protocol::wire::*;
use support::{MemoryLog, NewVersion};

const RMW: u64 = 30;

/// Entries ten milliseconds apart from 1000 on, each with a version of alice and one of bob.
fn log(size: u64) -> MemoryLog {
    let mut log = MemoryLog::new(CipherSuite::Kt128Sha256Ed25519, [1; 32], [2; 32], RMW, None);
    for n in 0..size {
        let version = |label: &str| NewVersion {
            label: label.into(),
            value: format!("{label} {n}").into_bytes(),
            opening: [n as u8; 16],
        };
        log.push(1_000 + 10 * n, vec![version("alice"), version("bob")]);
    }
    log
}

fn now(log: &MemoryLog) -> u64 {
    log.entries.last().unwrap().timestamp
}

fn check(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

fn walk(log: &MemoryLog, size: u64, stop: Option<u64>, recent: Recent) -> (TreeState, Vec<u64>) {
    let user = Verifier::new(log.config.clone()).unwrap();
    let request = DistinguishedRequest { last: None, stop };
    let response = provider::distinguished(&log.at(size), &request, recent).unwrap();
    let bytes = response.to_bytes().unwrap();
    let done = user
        .distinguished(None, &request, recent, &bytes, now(log))
        .unwrap();
    let positions = done.recent.iter().map(TreeView::position).collect();
    (done.state, positions)
}

#[test]
fn walks_end_where_they_should() {
    let log = log(20);
    let (state, all) = walk(&log, 20, None, Recent::Count(10));
    assert_eq!(
        state.view.rightmost_distinguished(&log.config),
        all.last().copied()
    );
    let stop = all[all.len() - 3];
    let (_, after) = walk(&log, 20, Some(stop), Recent::Count(10));
    assert_eq!(
        after,
        all[all.len() - 2..],
        "the stopping position is not enumerated"
    );
    // "Less than some threshold".
    let age = |position: u64| now(&log) - log.entries[position as usize].timestamp;
    let (_, young) = walk(&log, 20, None, Recent::Age(age(stop)));
    assert_eq!(young, all[all.len() - 2..]);
    let (_, young) = walk(&log, 20, None, Recent::Age(age(stop) + 1));
    assert_eq!(young, all[all.len() - 3..]);
}

#[test]
fn a_map_must_lie_in_the_log() {
    let log = log(12);
    let user = Verifier::new(log.config.clone()).unwrap();
    let (state, _) = walk(&log, 12, None, Recent::Count(0));
    let request = ContactMonitorRequest {
        last: Some(12),
        label: b"alice".to_vec(),
        entries: vec![MonitorMapEntry {
            position: 12,
            version: 0,
        }],
    };
    let response = MonitorResponse {
        full_tree_head: FullTreeHead::Same,
        proof: CombinedTreeProof::default(),
    };
    let bytes = response.to_bytes().unwrap();
    let none = Default::default();
    let result = user.contact_monitor(Some(&state), &none, &none, &request, &bytes, now(&log));
    assert_eq!(check(result), "request");
}

/// A user who knows the log's right end and asks about its left.
#[test]
fn timestamps_are_ordered_on_both_sides() {
    let log = log(12);
    let user = Verifier::new(log.config.clone()).unwrap();
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: Some(1),
    };
    let honest = provider::search(&log.published(), &request).unwrap();
    let verify = |response: &SearchResponse| {
        check(user.search(None, &request, &response.to_bytes().unwrap(), now(&log)))
    };
    assert_eq!(verify(&honest), "accepted");
    // The first three timestamps are those of the frontier; later ones lie to the left of some.
    let frontier = overt_protocol::implicit_tree::frontier(12).count();
    let mut late = honest.clone();
    late.search.timestamps[frontier] = now(&log) - 1;
    assert_eq!(verify(&late), "timestamps-monotonic");
    let mut early = honest;
    early.search.timestamps[1] = 999;
    assert_eq!(verify(&early), "timestamps-monotonic");
}

fn owner_init(log: &MemoryLog, label: &str, size: u64) -> (OwnerInitRequest, OwnerInitResponse) {
    let (_, distinguished) = walk(log, size, None, Recent::Count(10));
    let request = OwnerInitRequest {
        last: None,
        label: label.into(),
        start: *distinguished.last().unwrap(),
    };
    let response = provider::owner_init(&log.at(size), &request).unwrap();
    (request, response)
}

#[test]
fn owner_initialization_is_checked_at_its_edges() {
    let log = log(15);
    let user = Verifier::new(log.config.clone()).unwrap();
    let (request, honest) = owner_init(&log, "alice", 15);
    let verify = |response: &OwnerInitResponse| {
        check(user.owner_init(None, &request, &response.to_bytes().unwrap(), now(&log)))
    };
    assert_eq!(verify(&honest), "accepted");
    let newest = honest.greatest_versions[0];
    let versions = overt_protocol::monitor::owner_init_versions(&honest.greatest_versions);
    let above = versions.iter().position(|v| *v > newest).unwrap();
    let mut surplus = honest.clone();
    surplus.binary_ladder[above].commitment = Some([0; 32]);
    assert_eq!(verify(&surplus), "commitment-surplus");

    let greatest = versions.iter().position(|v| *v == newest).unwrap();
    let mut missing = honest.clone();
    missing.binary_ladder[greatest].commitment = None;
    assert_eq!(verify(&missing), "commitment-missing");

    // One more than there are entries to inspect; and not descending.
    let mut ascending = honest.clone();
    ascending.greatest_versions.swap(1, 2);
    assert_eq!(verify(&ascending), "greatest-versions");
    let mut many = honest.clone();
    many.greatest_versions
        .push(*many.greatest_versions.last().unwrap());
    assert_eq!(verify(&many), "greatest-versions");
}

fn owned(log: &MemoryLog, label: &str, size: u64) -> (TreeState, OwnerState) {
    let user = Verifier::new(log.config.clone()).unwrap();
    let (request, response) = owner_init(log, label, size);
    let bytes = response.to_bytes().unwrap();
    let done = user.owner_init(None, &request, &bytes, now(log)).unwrap();
    (done.state, done.owner)
}

#[test]
fn updates_are_checked_at_their_edges() {
    let log = log(12);
    let user = Verifier::new(log.config.clone()).unwrap();
    let (state, owner) = owned(&log, "alice", 8);
    let request = UpdateRequest {
        last: Some(8),
        label: b"alice".to_vec(),
        greatest_version: owner.progress.greatest_version(),
        values: Vec::new(),
    };
    let honest = provider::update(&log.published(), &request, None).unwrap();
    let verify = |responses: &[UpdateResponse]| {
        let bytes: Vec<u8> = responses
            .iter()
            .flat_map(|r| r.to_bytes().unwrap())
            .collect();
        check(user.update(Some(&state), &owner, &request, &bytes, now(&log)))
    };
    assert_eq!(verify(&honest), "accepted");
    let mut surplus = honest.clone();
    let steps = surplus.iter_mut().flat_map(|r| &mut r.binary_ladder);
    steps.last().unwrap().commitment = Some([0; 32]);
    assert_eq!(verify(&surplus), "commitment-surplus");
    let mut nothing = honest.clone();
    nothing[0].values.clear();
    nothing[0].info.clear();
    assert_eq!(verify(&nothing), "update-info");
    let mut foreign = honest.clone();
    foreign[0].values.clear();
    assert_eq!(verify(&foreign), "update-info");
    // Where the version before was created, and past the end.
    let mut same = honest.clone();
    same[0].position = owner.progress.last_update();
    assert_eq!(verify(&same), "update-position");
    let mut beyond = honest;
    beyond[0].position = 12;
    assert_eq!(verify(&beyond), "update-position");
    assert_eq!(verify(&[]), "encoding");
}

#[test]
fn credentials_need_an_auditor_within_the_log() {
    use overt_protocol::suite::{SigningKey, VrfSecretKey};
    let suite = CipherSuite::Kt128Sha256Ed25519;
    let auditor = SigningKey::from_bytes(suite, &[3; 32]).unwrap();
    let plain = log(1);
    let mut config = plain.config.clone();
    config.mode = DeploymentMode::ThirdPartyAuditing {
        max_auditor_lag: 1_000_000,
        auditor_start_pos: 0,
        auditor_public_key: auditor.public_key(),
    };
    let vrf = VrfSecretKey::from_bytes(suite, &[2; 32]).unwrap();
    let mut log = MemoryLog::with_config(config, plain.signing, vrf);
    for n in 0..12u8 {
        let alice = NewVersion {
            label: b"alice".to_vec(),
            value: vec![n],
            opening: [n; 16],
        };
        log.push(1_000 + 10 * u64::from(n), vec![alice]);
    }
    let user = Verifier::new(log.config.clone()).unwrap();
    let head = |size: u64| {
        let timestamp = log.entries[size as usize - 1].timestamp;
        let tbs = AuditorTreeHeadTbs {
            config: &log.config,
            timestamp,
            tree_size: size,
            root: log.log_roots[size as usize - 1],
        };
        AuditorTreeHead {
            timestamp,
            tree_size: size,
            signature: auditor.sign(&tbs.to_bytes().unwrap()),
        }
    };
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let mut at = log.at(10);
    at.auditor = Some(head(9));
    let response = provider::distinguished(&at, &request, Recent::Count(10)).unwrap();
    let bytes = response.to_bytes().unwrap();
    let recent = user
        .distinguished(None, &request, Recent::Count(10), &bytes, now(&log))
        .unwrap()
        .recent;
    let base = recent.last().unwrap();
    let request = SearchRequest {
        last: Some(base.size),
        label: b"alice".to_vec(),
        version: None,
    };
    let mut at = log.at(12);
    at.auditor = Some(head(12));
    let mut response = provider::search(&at, &request).unwrap();
    let make = |response: &SearchResponse| {
        let bytes = response.to_bytes().unwrap();
        check(user.make_credential(base, &request, &bytes, now(&log)))
    };
    assert_eq!(make(&response), "accepted");
    let other = SearchRequest {
        last: Some(base.size - 1),
        ..request.clone()
    };
    let bytes = response.to_bytes().unwrap();
    let result = user.make_credential(base, &other, &bytes, now(&log));
    assert_eq!(check(result), "request");
    for size in [0, 13] {
        if let FullTreeHead::Updated {
            auditor_tree_head: Some(auditor),
            ..
        } = &mut response.full_tree_head
        {
            auditor.tree_size = size;
        }
        assert_eq!(make(&response), "auditor-tree-size");
    }
}

#[test]
fn owner_monitoring_must_be_of_what_is_kept() {
    let log = log(12);
    let user = Verifier::new(log.config.clone()).unwrap();
    let (state, owner) = owned(&log, "alice", 12);
    let request = OwnerMonitorRequest {
        last: Some(12),
        label: b"alice".to_vec(),
        entries: Vec::new(),
        start: owner.progress.start,
        greatest_version: owner.progress.greatest_version(),
    };
    let response = provider::owner_monitor(&log.published(), &request, 10).unwrap();
    let bytes = response.to_bytes().unwrap();
    let verify = |request: &OwnerMonitorRequest| {
        check(user.owner_monitor(Some(&state), &owner, request, &bytes, now(&log)))
    };
    assert_eq!(verify(&request), "accepted");
    let mut other = request.clone();
    other.start -= 1;
    assert_eq!(verify(&other), "request");
    let mut other = request;
    other.greatest_version = None;
    assert_eq!(verify(&other), "request");
}

#[test]
fn tree_sizes_have_a_range() {
    let log = log(3);
    let user = Verifier::new(log.config.clone()).unwrap();
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let answer = |tree_size| {
        let response = MonitorResponse {
            full_tree_head: FullTreeHead::Updated {
                tree_head: TreeHead {
                    tree_size,
                    signature: log.heads[2].signature.clone(),
                },
                auditor_tree_head: None,
            },
            proof: CombinedTreeProof::default(),
        };
        let bytes = response.to_bytes().unwrap();
        check(user.distinguished(None, &request, Recent::Count(1), &bytes, now(&log)))
    };
    let most = overt_protocol::implicit_tree::MAX_TREE_SIZE;
    assert_eq!(answer(0), "head-tree-size-range");
    assert_eq!(answer(most), "timestamps-missing");
    assert_eq!(answer(most + 1), "head-tree-size-range");
}

/// Versions 0, 1 and 3 exist and 2 does not. A ladder for 2 comes across 3 first.
#[test]
fn a_hole_is_not_a_version() {
    use overt_protocol::prefix_tree::prove;
    let mut log = MemoryLog::new(CipherSuite::Kt128Sha256Ed25519, [1; 32], [2; 32], RMW, None);
    let version = |n: u8| NewVersion {
        label: b"alice".to_vec(),
        value: vec![n],
        opening: [n; 16],
    };
    log.push(1_000, (0..4).map(version).collect());
    let versions = &log.labels[&b"alice".to_vec()];
    let leaves: Vec<PrefixLeaf> = [0, 1, 3].map(|v| versions[v].0.leaf).to_vec();
    let (_, opening, value) = versions[2].clone();
    let tip = overt_protocol::provider::Tip::empty();
    let none = support::MemoryPages::default();
    let done = overt_protocol::provider::append(&none, &tip, 1_000, &leaves, &[]).unwrap();
    let paths = support::MemoryPages::of(done.pages);
    let tbs = TreeHeadTbs {
        config: &log.config,
        tree_size: 1,
        root: done.tip.root().unwrap(),
    };
    let tree_head = TreeHead {
        tree_size: 1,
        signature: log.signing.sign(&tbs.to_bytes().unwrap()),
    };
    let input = |version| {
        VrfInput {
            label: b"alice",
            version,
        }
        .to_bytes()
        .unwrap()
    };
    let lookups = |versions: &[u32]| {
        let keys: Vec<_> = versions
            .iter()
            .map(|v| log.vrf.output(&input(*v)))
            .collect();
        prove(&paths, done.tip.prefix_root, &keys).unwrap()
    };
    let commitment = |version: u32| {
        let exists = version != 2;
        exists.then(|| versions[version as usize].0.leaf.commitment)
    };
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: Some(2),
    };
    let response = SearchResponse {
        full_tree_head: FullTreeHead::Updated {
            tree_head,
            auditor_tree_head: None,
        },
        version: None,
        opening,
        value,
        binary_ladder: overt_protocol::ladder::base_ladder(2)
            .into_iter()
            .map(|version| BinaryLadderStep {
                proof: log.vrf.prove(&input(version)).1,
                commitment: commitment(version),
            })
            .collect(),
        search: CombinedTreeProof {
            timestamps: vec![1_000],
            prefix_proofs: vec![lookups(&[0, 1, 3]), lookups(&[2])],
            ..CombinedTreeProof::default()
        },
    };
    let user = Verifier::new(log.config.clone()).unwrap();
    let bytes = response.to_bytes().unwrap();
    assert_eq!(
        check(user.search(None, &request, &bytes, 1_000)),
        "version-not-found"
    );
}

#[test]
fn absence_is_proved_at_every_entry_that_a_search_looks_at() {
    let log = log(12);
    let user = Verifier::new(log.config.clone()).unwrap();
    let request = AbsenceRequest {
        last: None,
        label: b"nobody".to_vec(),
    };
    let honest = provider::absence(&log.published(), &request).unwrap();
    let verify = |request: &AbsenceRequest, response: &AbsenceResponse| {
        check(user.absence(None, request, &response.to_bytes().unwrap(), now(&log)))
    };
    assert_eq!(verify(&request, &honest), "accepted");
    let mut surplus = honest.clone();
    surplus.binary_ladder[0].commitment = Some([0; 32]);
    assert_eq!(verify(&request, &surplus), "commitment-surplus");
    let mut none = honest.clone();
    none.binary_ladder.clear();
    assert_eq!(verify(&request, &none), "binary-ladder-steps");
    // The proof for one label is none for another, and an existing one is refused.
    let alice = AbsenceRequest {
        label: b"alice".to_vec(),
        ..request.clone()
    };
    assert_eq!(verify(&alice, &honest), "vrf-proof");
    provider::absence(&log.published(), &alice).unwrap_err();
    // Inclusion of version 0, honestly proved.
    let mut exists = honest.clone();
    let input = VrfInput {
        label: b"alice",
        version: 0,
    };
    let (output, proof) = log.vrf.prove(&input.to_bytes().unwrap());
    exists.binary_ladder[0].proof = proof;
    let root = log.roots[11];
    let lookup = overt_protocol::prefix_tree::prove(&log.pages, root, &[output]).unwrap();
    for slot in &mut exists.absence.prefix_proofs {
        *slot = lookup.clone();
    }
    assert_ne!(verify(&alice, &exists), "accepted");
    let bytes = honest.to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        assert!(
            user.absence(None, &request, &wrong, now(&log)).is_err(),
            "byte {at}"
        );
    }
}

/// Section "Maximum Lifetime": a version that is found left of every unexpired distinguished entry.
#[test]
fn expired_versions_are_not_shown() {
    use overt_protocol::log_tree::BatchProof;
    use overt_protocol::prefix_tree::prove;
    let mut log = MemoryLog::new(
        CipherSuite::Kt128Sha256Ed25519,
        [1; 32],
        [2; 32],
        10,
        Some(100),
    );
    let alice = |n: u8| NewVersion {
        label: b"alice".to_vec(),
        value: vec![n],
        opening: [n; 16],
    };
    // Entry 3 is expired, 4 and 5 are not, and only 5 is distinguished of those two.
    for (n, timestamp) in [1, 2, 3, 899, 902, 905, 1_000].into_iter().enumerate() {
        let new = match n {
            4 => vec![alice(0)],
            5 => vec![alice(1)],
            _ => Vec::new(),
        };
        log.push(timestamp, new);
    }
    let input = |version| {
        VrfInput {
            label: b"alice",
            version,
        }
        .to_bytes()
        .unwrap()
    };
    let both = [log.vrf.output(&input(0)), log.vrf.output(&input(1))];
    let lookups = |position: usize| prove(&log.pages, log.roots[position], &both).unwrap();
    let entry = |position: usize| log.entries[position];
    let (_, opening, value) = log.labels[&b"alice".to_vec()][0].clone();
    let newer = log.labels[&b"alice".to_vec()][1].0.leaf.commitment;
    let plan = BatchProof::plan(7, &[3, 4, 5, 6], None, None);
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: Some(0),
    };
    let response = SearchResponse {
        full_tree_head: FullTreeHead::Updated {
            tree_head: log.heads[6].clone(),
            auditor_tree_head: None,
        },
        version: None,
        opening,
        value,
        binary_ladder: [None, Some(newer)]
            .into_iter()
            .zip(0..)
            .map(|(commitment, version)| BinaryLadderStep {
                proof: log.vrf.prove(&input(version)).1,
                commitment,
            })
            .collect(),
        search: CombinedTreeProof {
            timestamps: [3, 5, 6, 4].map(|p| entry(p).timestamp).to_vec(),
            prefix_proofs: vec![lookups(5), lookups(4)],
            prefix_roots: [3, 6].map(|p| entry(p).prefix_tree).to_vec(),
            inclusion: InclusionProof {
                elements: plan.elements().map(|s| log.subtrees[&s]).collect(),
            },
        },
    };
    let user = Verifier::new(log.config.clone()).unwrap();
    let bytes = response.to_bytes().unwrap();
    let result = user.search(None, &request, &bytes, 1_000);
    assert_eq!(check(result), "version-expired");
    let error = provider::search(&log.published(), &request).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn owners_start_at_an_unexpired_distinguished_entry() {
    let log = log(20);
    let user = Verifier::new(log.config.clone()).unwrap();
    let (request, honest) = owner_init(&log, "alice", 20);
    // Entry 17 is distinguished, 18 below it is not.
    let mut other = honest.clone();
    other.init.timestamps = [15, 19, 17]
        .map(|p: usize| log.entries[p].timestamp)
        .to_vec();
    let start = 18;
    let request = OwnerInitRequest { start, ..request };
    let bytes = other.to_bytes().unwrap();
    let result = user.owner_init(None, &request, &bytes, now(&log));
    assert_eq!(check(result), "start-position");

    // Distinguished, and expired.
    let mut old = MemoryLog::new(
        CipherSuite::Kt128Sha256Ed25519,
        [1; 32],
        [2; 32],
        10,
        Some(50),
    );
    for n in 0..8 {
        old.push(1_000 + 20 * n, Vec::new());
    }
    let user = Verifier::new(old.config.clone()).unwrap();
    let results: Vec<_> = (0..8)
        .map(|start| {
            let request = OwnerInitRequest {
                last: None,
                label: b"alice".to_vec(),
                start,
            };
            match provider::owner_init(&old.published(), &request) {
                Ok(response) => {
                    let bytes = response.to_bytes().unwrap();
                    check(user.owner_init(None, &request, &bytes, now(&old)))
                }
                Err(error) => {
                    assert!(error.to_string().contains("unexpired"), "{error}");
                    "refused"
                }
            }
        })
        .collect();
    // The rightmost is of 1140; what is of 1090 or before has expired.
    assert_eq!(results[..5], ["refused"; 5]);
    assert_eq!(results[5..], ["accepted"; 3]);
}

#[test]
fn new_versions_are_bounded() {
    use overt_protocol::update::NewVersions;
    assert!(NewVersions::after(None, 325, 1).is_ok());
    assert!(NewVersions::after(None, 326, 1).is_err());
    assert!(NewVersions::after(None, 0, 1).is_err());
    let last = NewVersions::after(Some(u32::MAX - 1), 1, 1).unwrap();
    assert_eq!((last.first, last.greatest), (u32::MAX, u32::MAX));
    assert!(NewVersions::after(Some(u32::MAX - 1), 2, 1).is_err());
    assert!(NewVersions::after(Some(u32::MAX), 1, 1).is_err());
}

#[test]
fn owners_forget_what_is_behind_them() {
    use overt_protocol::monitor::OwnerProgress;
    let mut progress = OwnerProgress {
        start: 3,
        version_at_start: Some(0),
        upcoming: vec![(5, 1), (7, 2), (9, 3)],
    };
    assert_eq!(progress.greatest_version_at(6), Some(1));
    assert_eq!(progress.greatest_version_at(7), Some(2));
    progress.advance(7);
    assert_eq!((progress.start, progress.version_at_start), (7, Some(2)));
    assert_eq!(progress.upcoming, [(9, 3)]);
    assert_eq!(progress.last_update(), 9);
}

/// The leaf that a search is said to end at must lie on its path, and must not be the one that was
/// searched for.
#[test]
fn unrelated_leaves_prove_nothing() {
    use overt_protocol::prefix_tree::{Lookup, PrefixProofError, evaluate};
    let key = |first: u8| {
        let mut key = [0; 32];
        key[0] = first;
        key
    };
    let proof = |leaf: HashValue, depth: u8| PrefixProof {
        results: vec![PrefixSearchResult::NonInclusionLeaf {
            leaf: PrefixLeaf {
                vrf_output: leaf,
                commitment: [1; 32],
            },
            depth,
        }],
        elements: vec![[2; 32]; usize::from(depth)],
    };
    let wanted = [Lookup {
        vrf_output: key(0b1010_0000),
        commitment: None,
    }];
    assert!(evaluate(&wanted, &proof(key(0b1011_0000), 3)).is_ok());
    let unrelated = Err(PrefixProofError::UnrelatedLeaf);
    assert_eq!(evaluate(&wanted, &proof(key(0b1011_0000), 4)), unrelated);
    assert_eq!(evaluate(&wanted, &proof(key(0b0010_0000), 3)), unrelated);
    assert_eq!(evaluate(&wanted, &proof(key(0b1010_0000), 3)), unrelated);
}
