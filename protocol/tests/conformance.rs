//! Requirements of the draft that no other test would miss (`docs/conformance.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::{RECENT, Recent};
use overt_protocol::error::VerifyError;
use overt_protocol::ladder::{base_ladder, search_ladder};
use overt_protocol::log_tree::Subtree;
use overt_protocol::monitor::owner_init_versions;
use overt_protocol::prefix_tree::{Node, prove};
use overt_protocol::provider::{self, Directory, Refusal, StoredVersion};
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey, commitment};
use overt_protocol::user::{OwnerState, TreeState, TreeView, Verifier};
use overt_protocol::wire::*;
use support::{MemoryError, MemoryLog, NewVersion, Published};

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
/// With timestamps as small as these, nothing is distinguished.
const NEVER: u64 = 1_000_000;

fn empty(rmw: u64, lifetime: Option<u64>) -> MemoryLog {
    MemoryLog::new(SUITE, [1; 32], [2; 32], rmw, lifetime)
}

fn version(label: &str, n: usize) -> NewVersion {
    NewVersion {
        label: label.into(),
        value: format!("{label} {n}").into_bytes(),
        opening: [n as u8; 16],
    }
}

/// Entries ten milliseconds apart from 1000 on; each creates so many versions of alice, and one of
/// another label.
fn log(rmw: u64, lifetime: Option<u64>, alice: &[usize]) -> MemoryLog {
    let mut log = empty(rmw, lifetime);
    for (n, count) in alice.iter().enumerate() {
        let mut new: Vec<_> = (0..*count).map(|i| version("alice", 10 * n + i)).collect();
        new.push(version(&format!("other {n}"), n));
        log.push(1_000 + 10 * n as u64, new);
    }
    log
}

fn verifier(log: &MemoryLog) -> Verifier {
    Verifier::new(log.config.clone()).unwrap()
}

fn now(log: &MemoryLog) -> u64 {
    log.entries.last().unwrap().timestamp
}

fn check(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

fn refusal(result: Result<impl Sized, MemoryError>) -> Refusal {
    match result.err().unwrap() {
        MemoryError::Refusal(refusal) => refusal,
        MemoryError::Verify(error) => Refusal::from(&error),
        other => panic!("{other}"),
    }
}

fn search_request(last: Option<u64>, version: Option<u32>) -> SearchRequest {
    SearchRequest {
        last,
        label: b"alice".to_vec(),
        version,
    }
}

/// The view of the log at `size`, and the recent distinguished entries.
fn walked(log: &MemoryLog, size: u64) -> (TreeState, Vec<TreeView>) {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let recent = Recent::Count(10);
    let response = provider::distinguished(&log.at(size), &request, recent).unwrap();
    let bytes = response.to_bytes().unwrap();
    let done = verifier(log).distinguished(None, &request, recent, &bytes, now(log));
    let done = done.unwrap();
    (done.state, done.recent)
}

fn key(log: &MemoryLog, version: u32) -> HashValue {
    let label = b"alice";
    log.vrf
        .output(&VrfInput { label, version }.to_bytes().unwrap())
}

/// Lookups of versions of alice in the prefix tree of a log entry.
fn lookups(log: &MemoryLog, root: Option<Node>, versions: &[u32]) -> PrefixProof {
    let keys: Vec<_> = versions.iter().map(|v| key(log, *v)).collect();
    prove(&log.pages, root, &keys).unwrap()
}

fn steps(log: &MemoryLog, versions: &[u32], target: u32) -> Vec<BinaryLadderStep> {
    let published = log.published();
    let step = |version: &u32| BinaryLadderStep {
        proof: published.vrf_proof(b"alice", *version).unwrap().1,
        commitment: published
            .version(b"alice", *version)
            .unwrap()
            .filter(|_| *version != target)
            .map(|stored| stored.leaf.commitment),
    };
    versions.iter().map(step).collect()
}

fn own(log: &MemoryLog, size: u64, start: u64) -> (TreeState, OwnerState) {
    let request = OwnerInitRequest {
        last: None,
        label: b"alice".to_vec(),
        start,
    };
    let response = provider::owner_init(&log.at(size), &request).unwrap();
    let bytes = response.to_bytes().unwrap();
    let done = verifier(log).owner_init(None, &request, &bytes, now(log));
    let done = done.unwrap();
    (done.state, done.owner)
}

fn update_request(state: &TreeState, owner: &OwnerState) -> UpdateRequest {
    UpdateRequest {
        last: Some(state.tree_size()),
        label: b"alice".to_vec(),
        greatest_version: owner.progress.greatest_version(),
        values: Vec::new(),
    }
}

/// Third-Party Management: every value carries the Service Operator's signature.
struct Managed {
    log: MemoryLog,
    operator: SigningKey,
}

impl Managed {
    fn new() -> Self {
        let operator = SigningKey::from_bytes(SUITE, &[9; 32]).unwrap();
        let plain = empty(20, None);
        let mut config = plain.config;
        config.mode = DeploymentMode::ThirdPartyManagement {
            leaf_public_key: operator.public_key(),
        };
        let vrf = VrfSecretKey::from_bytes(SUITE, &[2; 32]).unwrap();
        Self {
            log: MemoryLog::with_config(config, plain.signing, vrf),
            operator,
        }
    }

    /// Appends an entry with versions of alice; none is a skipped version.
    fn push(&mut self, timestamp: u64, values: &[Option<&str>]) {
        let log = &mut self.log;
        let (position, label) = (log.tip.size, &b"alice"[..]);
        let mut leaves = Vec::new();
        for value in values {
            let versions = log.labels.entry(label.to_vec()).or_default();
            let version = versions.len() as u32;
            let tbs = UpdateTbs {
                config: &log.config,
                label,
                version,
                value: value.unwrap_or_default().as_bytes(),
            };
            let update = UpdateValue {
                value: value.unwrap_or_default().into(),
                signature: Some(self.operator.sign(&tbs.to_bytes().unwrap())),
            };
            let opening = [7; 16];
            let committed = CommitmentValue {
                opening: &opening,
                label,
                version,
                update: &update,
            };
            let committed = commitment(&[&committed.to_bytes().unwrap()]);
            let input = VrfInput { label, version }.to_bytes().unwrap();
            let leaf = PrefixLeaf {
                vrf_output: log.vrf.output(&input),
                commitment: value.map_or([0; 32], |_| committed),
            };
            leaves.push(leaf);
            let removed = None;
            versions.push((
                StoredVersion {
                    position,
                    leaf,
                    removed,
                },
                opening,
                update,
            ));
        }
        let done = provider::append(&log.pages, &log.tip, timestamp, &leaves, &[]).unwrap();
        log.pages.extend(done.pages);
        log.subtrees.extend(done.subtrees);
        log.entries.push(done.entry);
        log.tip = done.tip;
        log.roots.push(log.tip.prefix_root);
        let root = log.tip.root().unwrap();
        log.log_roots.push(root);
        let tree_size = log.tip.size;
        let tbs = TreeHeadTbs {
            config: &log.config,
            tree_size,
            root,
        };
        let signature = log.signing.sign(&tbs.to_bytes().unwrap());
        log.heads.push(TreeHead {
            tree_size,
            signature,
        });
    }
}

/// "Update Format"; step 1 of "Search", step 3 of "Updating a Label", step 2 of "Credentials".
#[test]
fn values_need_the_operators_signature() {
    let mut managed = Managed::new();
    for n in 0..12 {
        managed.push(1_000 + 10 * n, &[Some(&format!("value {n}"))]);
    }
    let log = managed.log;
    let user = verifier(&log);
    let spoil = |signature: &mut Option<Vec<u8>>| signature.as_mut().unwrap()[3] ^= 1;

    let request = search_request(None, None);
    let mut response = provider::search(&log.published(), &request).unwrap();
    let verify = |response: &SearchResponse| {
        check(user.search(None, &request, &response.to_bytes().unwrap(), now(&log)))
    };
    assert_eq!(verify(&response), "accepted");
    spoil(&mut response.value.signature);
    assert_eq!(verify(&response), "leaf-signature");

    let (_, recent) = walked(&log, 12);
    let base = recent.last().unwrap();
    let request = search_request(Some(base.size), None);
    let response = provider::search(&log.published(), &request).unwrap();
    let bytes = response.to_bytes().unwrap();
    let made = user.make_credential(base, &request, &bytes, now(&log));
    let mut credential = made.unwrap().credential;
    let verify =
        |credential: &Credential| check(user.credential(&recent, &credential.to_bytes().unwrap()));
    assert_eq!(verify(&credential), "accepted");
    spoil(&mut credential.value.signature);
    assert_eq!(verify(&credential), "leaf-signature");

    let start = walked(&log, 8).1.last().unwrap().position();
    let (state, owner) = own(&log, 8, start);
    let request = update_request(&state, &owner);
    let mut responses = provider::update(&log.published(), &request, None).unwrap();
    let verify = |responses: &[UpdateResponse]| {
        let bytes = responses.iter().map(|r| r.to_bytes().unwrap());
        let bytes: Vec<u8> = bytes.flatten().collect();
        check(user.update(Some(&state), &owner, &request, &bytes, now(&log)))
    };
    assert_eq!(verify(&responses), "accepted");
    spoil(&mut responses[0].info[0].signature);
    assert_eq!(verify(&responses), "leaf-signature");
}

/// "Updating a Label" of "User Operations": skipped versions come first and have no value.
#[test]
fn skipped_versions_are_counted() {
    let mut managed = Managed::new();
    for n in 0..8 {
        managed.push(1_000 + 10 * n, &[Some("value")]);
    }
    let start = walked(&managed.log, 8).1.last().unwrap().position();
    managed.push(1_080, &[None, Some("after one that was skipped")]);
    let log = managed.log;
    let user = verifier(&log);
    let (state, owner) = own(&log, 8, start);
    let request = update_request(&state, &owner);
    let mut responses = provider::update(&log.published(), &request, None).unwrap();
    let mut verify = |skipped| {
        responses.last_mut().unwrap().skipped_versions = Some(skipped);
        let bytes = responses.iter().map(|r| r.to_bytes().unwrap());
        let bytes: Vec<u8> = bytes.flatten().collect();
        user.update(Some(&state), &owner, &request, &bytes, now(&log))
    };
    let done = verify(1).unwrap();
    assert_eq!(done.owner.progress.greatest_version(), Some(9));
    let values = &done.updates.last().unwrap().values;
    assert_eq!((values.len(), values[0].version()), (1, 9));
    assert!(verify(0).is_err() && verify(2).is_err() && verify(u32::MAX).is_err());
}

/// Step 5.2 of the fixed-version search, step 6.2 and what it says clients must not accept.
#[test]
fn expired_versions_need_a_distinguished_entry_to_the_left() {
    // Entries 0 to 3 are expired; a search goes by 7, 3, 5 and 4.
    let search = |rmw, version, alice: &[usize; 12]| {
        let log = log(rmw, Some(80), alice);
        let request = search_request(None, Some(version));
        let response = provider::search(&log.published(), &request)?;
        let bytes = response.to_bytes().unwrap();
        let done = verifier(&log).search(None, &request, &bytes, now(&log))?;
        Ok::<u64, MemoryError>(done.found.terminal)
    };
    // Step 5: entry 4 has the version as its greatest, and is distinguished, or not.
    let one_each = [1; 12];
    assert_eq!(search(20, 4, &one_each).unwrap(), 4);
    assert_eq!(refusal(search(30, 4, &one_each)), Refusal::Expired);
    // Step 6: no entry has it as its greatest; entry 4 is the leftmost with a greater one, and
    // itself the leftmost that is unexpired and distinguished.
    let two_in_4 = [1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1];
    assert_eq!(refusal(search(20, 4, &two_in_4)), Refusal::Expired);
    // Here it is entry 5, and entry 4 to its left is distinguished, or not.
    let two_in_5 = [1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1];
    assert_eq!(search(20, 5, &two_in_5).unwrap(), 5);
    assert_eq!(refusal(search(30, 5, &two_in_5)), Refusal::Expired);
}

/// "Walking Distinguished Heads": no definition of "recent" includes expired entries.
#[test]
fn recent_entries_are_not_expired() {
    let log = log(10, Some(50), &[1; 12]);
    let (_, recent) = walked(&log, 12);
    let positions: Vec<u64> = recent.iter().map(TreeView::position).collect();
    assert_eq!(positions, [7, 8, 9, 10, 11]);
}

/// The same section, for what this project calls "recent".
#[test]
fn at_most_ten_entries_are_recent() {
    let log = log(0, None, &[0; 16]);
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let response = provider::distinguished(&log.published(), &request, RECENT).unwrap();
    let bytes = response.to_bytes().unwrap();
    let done = verifier(&log).distinguished(None, &request, RECENT, &bytes, now(&log));
    let positions = done.unwrap().recent;
    let positions: Vec<u64> = positions.iter().map(TreeView::position).collect();
    assert_eq!(positions, [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
}

/// "Combined Tree" of "Tree Proofs": all proofs from one log entry lead to one root.
#[test]
fn two_proofs_of_one_entry_must_agree() {
    // Version 1 is nowhere the greatest: entry 4 proves a ladder, then version 1 alone.
    let log = log(NEVER, None, &[1, 0, 0, 0, 2, 0, 1]);
    let user = verifier(&log);
    let request = search_request(None, Some(1));
    let honest = provider::search(&log.published(), &request).unwrap();
    assert_eq!(honest.search.prefix_proofs.len(), 4);
    let verify = |response: &SearchResponse| {
        check(user.search(None, &request, &response.to_bytes().unwrap(), now(&log)))
    };
    assert_eq!(verify(&honest), "accepted");
    let mut wrong = honest.clone();
    let versions = [1, 2];
    assert_eq!(
        wrong.search.prefix_proofs[2],
        lookups(&log, log.roots[4], &versions)
    );
    wrong.search.prefix_proofs[2] = lookups(&log, log.roots[5], &versions);
    assert_eq!(verify(&wrong), "prefix-root-conflict");
}

/// The same section: what the user retained is not covered by `inclusion`.
#[test]
fn a_retained_entry_keeps_its_prefix_tree() {
    let log = log(NEVER, None, &[1, 0, 0]);
    let user = verifier(&log);
    let (state, _) = walked(&log, 3);
    let request = search_request(Some(3), None);
    let honest = provider::search(&log.published(), &request).unwrap();
    let verify = |response: &SearchResponse| {
        let bytes = response.to_bytes().unwrap();
        check(user.search(Some(&state), &request, &bytes, now(&log)))
    };
    assert_eq!(verify(&honest), "accepted");
    assert_eq!(honest.search.prefix_proofs.len(), 2);
    // From the tree of another entry, in which the lookups have the same outcome.
    let mut wrong = honest;
    assert_eq!(
        wrong.search.prefix_proofs[0],
        lookups(&log, log.roots[1], &[0, 1])
    );
    wrong.search.prefix_proofs[0] = lookups(&log, log.roots[2], &[0, 1]);
    assert_eq!(verify(&wrong), "prefix-root-conflict");
}

/// "Search": a proof that a version does not exist is not an answer.
#[test]
fn negative_results_are_invalid() {
    let answer = |log: &MemoryLog, target: u32, proofs: Vec<PrefixProof>| {
        let response = SearchResponse {
            full_tree_head: FullTreeHead::Updated {
                tree_head: log.heads[0].clone(),
                auditor_tree_head: None,
            },
            version: None,
            opening: [0; 16],
            value: UpdateValue {
                value: Vec::new(),
                signature: None,
            },
            binary_ladder: steps(log, &base_ladder(target), target),
            search: CombinedTreeProof {
                timestamps: vec![log.entries[0].timestamp],
                prefix_proofs: proofs,
                ..CombinedTreeProof::default()
            },
        };
        let request = search_request(None, Some(target));
        check(verifier(log).search(None, &request, &response.to_bytes().unwrap(), now(log)))
    };
    // Step 6.1: version 5 of a label that has version 0 only.
    let one = log(NEVER, None, &[1]);
    let ladder = search_ladder(5, Some(0));
    let proof = lookups(&one, one.roots[0], &ladder);
    assert_eq!(answer(&one, 5, vec![proof]), "version-not-found");
    // Step 6.3: versions 0 to 7 but for version 4.
    let mut gap = log(NEVER, None, &[4]);
    let alice = &b"alice"[..];
    let all = log(NEVER, None, &[8]);
    let later = all.labels[alice][5..].iter().map(|(v, ..)| v.leaf);
    let (tip, before) = (gap.tip.clone(), gap.labels[alice].clone());
    let others = log(NEVER, None, &[0]).labels[&b"other 0"[..]][0].0.leaf;
    let leaves: Vec<_> = before
        .iter()
        .map(|(v, ..)| v.leaf)
        .chain(later)
        .chain([others])
        .collect();
    gap = empty(NEVER, None);
    let done = provider::append(&gap.pages, &gap.tip, tip.timestamp, &leaves, &[]).unwrap();
    gap.pages.extend(done.pages);
    gap.entries.push(done.entry);
    gap.roots.push(done.tip.prefix_root);
    let root = done.tip.root().unwrap();
    let tbs = TreeHeadTbs {
        config: &gap.config,
        tree_size: 1,
        root,
    };
    let signature = gap.signing.sign(&tbs.to_bytes().unwrap());
    gap.heads.push(TreeHead {
        tree_size: 1,
        signature,
    });
    gap.tip = done.tip;
    gap.labels = all.labels;
    let proofs = [vec![0, 1, 3, 7], vec![4]].map(|v| lookups(&gap, gap.roots[0], &v));
    assert_eq!(answer(&gap, 4, proofs.to_vec()), "version-not-found");
}

/// "User Operations": requests advertise the size of the last verified head.
#[test]
fn a_request_advertises_what_is_kept() {
    let log = log(20, None, &[1; 12]);
    let user = verifier(&log);
    let (state, _) = walked(&log, 9);
    for (state, last, outcome) in [
        (Some(&state), Some(9), "accepted"),
        (Some(&state), Some(8), "request"),
        (Some(&state), None, "request"),
        (None, Some(9), "request"),
        (None, None, "accepted"),
    ] {
        let request = search_request(last, None);
        let response = provider::search(&log.published(), &request).unwrap();
        let bytes = response.to_bytes().unwrap();
        assert_eq!(
            check(user.search(state, &request, &bytes, now(&log))),
            outcome
        );
    }
}

/// VRF proofs are evaluated for the very label and version: step 3 of "Search", step 2 of "Owner
/// Initialization", step 4 of "Updating a Label" and of "Credentials".
#[test]
fn vrf_proofs_belong_to_their_versions() {
    let log = log(20, None, &[1; 12]);
    let user = verifier(&log);
    let swap = |steps: &mut Vec<BinaryLadderStep>| {
        let last = steps.len() - 1;
        let first = steps[0].proof.clone();
        steps[0].proof = std::mem::replace(&mut steps[last].proof, first);
    };
    let request = search_request(None, None);
    let mut response = provider::search(&log.published(), &request).unwrap();
    swap(&mut response.binary_ladder);
    let bytes = response.to_bytes().unwrap();
    assert_eq!(
        check(user.search(None, &request, &bytes, now(&log))),
        "vrf-proof"
    );

    let (_, recent) = walked(&log, 8);
    let start = recent.last().unwrap().position();
    let request = OwnerInitRequest {
        last: None,
        label: b"alice".to_vec(),
        start,
    };
    let mut response = provider::owner_init(&log.published(), &request).unwrap();
    swap(&mut response.binary_ladder);
    let bytes = response.to_bytes().unwrap();
    assert_eq!(
        check(user.owner_init(None, &request, &bytes, now(&log))),
        "vrf-proof"
    );

    let (state, owner) = own(&log, 8, start);
    let request = update_request(&state, &owner);
    let responses = provider::update(&log.published(), &request, None).unwrap();
    let bytes = responses.iter().map(|r| {
        let mut wrong = r.clone();
        if let Some(step) = wrong.binary_ladder.first_mut() {
            step.proof = response.binary_ladder[0].proof.clone();
        }
        wrong.to_bytes().unwrap()
    });
    let bytes: Vec<u8> = bytes.flatten().collect();
    assert_eq!(
        check(user.update(Some(&state), &owner, &request, &bytes, now(&log))),
        "vrf-proof"
    );

    let base = recent.last().unwrap();
    let request = search_request(Some(base.size), None);
    let response = provider::search(&log.at(8), &request).unwrap();
    let bytes = response.to_bytes().unwrap();
    let made = user.make_credential(base, &request, &bytes, now(&log));
    let mut credential = made.unwrap().credential;
    swap(&mut credential.binary_ladder);
    assert_eq!(
        check(user.credential(&recent, &credential.to_bytes().unwrap())),
        "vrf-proof"
    );
}

/// What the log verifies of requests: "Contact Monitor", "Owner Initialization", "Owner
/// Monitoring" and "Updating a Label" of "User Operations".
#[test]
fn requests_are_checked() {
    // Version n of alice is in entry n.
    let log = log(30, Some(80), &[1; 12]);
    let at = log.published();
    let label = b"alice".to_vec();
    let contact = |entries: &[(u64, u32)]| {
        let entry = |(position, version): &(u64, u32)| MonitorMapEntry {
            position: *position,
            version: *version,
        };
        let request = ContactMonitorRequest {
            last: None,
            label: label.clone(),
            entries: entries.iter().map(entry).collect(),
        };
        let owner = OwnerMonitorRequest {
            last: None,
            label: label.clone(),
            entries: request.entries.clone(),
            start: 5,
            greatest_version: Some(11),
        };
        let both = [
            provider::contact_monitor(&at, &request),
            provider::owner_monitor(&at, &owner, 64),
        ];
        both.map(|answer| answer.map_err(|error| refusal(Err::<(), _>(error))))
    };
    assert!(contact(&[(8, 8), (10, 10)]).iter().all(Result::is_ok));
    assert!(contact(&[(9, 8), (11, 10)]).iter().all(Result::is_ok));
    for wrong in [
        &[(10, 10), (8, 8)][..], // not ascending
        &[(11, 8), (11, 10)],    // a position twice
        &[(8, 8), (9, 8)],       // a version twice
        &[(12, 12)],             // no such version
        &[(8, 10)],              // before the version was created
        &[(10, 8)],              // off its direct path
    ] {
        for answer in contact(wrong) {
            assert!(
                matches!(answer, Err(Refusal::Invalid(_))),
                "{wrong:?}: {answer:?}"
            );
        }
    }

    // Distinguished are 3, 5, 7, 9 and their ancestors; 0 to 3 are expired.
    let init = |start| {
        let request = OwnerInitRequest {
            last: None,
            label: label.clone(),
            start,
        };
        provider::owner_init(&at, &request).map_err(|error| refusal(Err::<(), _>(error)))
    };
    assert!(init(5).is_ok() && init(7).is_ok());
    for start in [3, 4, 6, 12, u64::MAX] {
        assert!(
            matches!(init(start), Err(Refusal::Invalid(_))),
            "start {start}"
        );
    }

    let monitor = |start, greatest_version| {
        let request = OwnerMonitorRequest {
            last: None,
            label: label.clone(),
            entries: Vec::new(),
            start,
            greatest_version,
        };
        provider::owner_monitor(&at, &request, 64).map_err(|error| refusal(Err::<(), _>(error)))
    };
    assert!(monitor(5, Some(5)).is_ok() && monitor(5, Some(11)).is_ok());
    assert!(matches!(monitor(12, Some(11)), Err(Refusal::Invalid(_))));
    for greatest in [None, Some(4), Some(12)] {
        let answer = monitor(5, greatest);
        assert!(
            matches!(answer, Err(Refusal::VersionConflict)),
            "{greatest:?}"
        );
    }

    let update = |greatest_version| {
        let request = UpdateRequest {
            last: None,
            label: label.clone(),
            greatest_version,
            values: Vec::new(),
        };
        provider::update(&at, &request, None).map_err(|error| refusal(Err::<(), _>(error)))
    };
    let first = &update(Some(7)).unwrap()[0];
    assert_eq!((first.position, first.values.len()), (8, 1));
    for greatest in [11, 12] {
        let answer = update(Some(greatest));
        assert!(
            matches!(answer, Err(Refusal::VersionConflict)),
            "{greatest}"
        );
    }
}

/// "Owner Monitoring", the limit on one response; the owner asks again.
#[test]
fn owner_monitoring_comes_in_parts() {
    let log = log(10, None, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let start = walked(&log, 4).1[0].position();
    let (_, owner) = own(&log, 4, start);
    let request = OwnerMonitorRequest {
        last: None,
        label: b"alice".to_vec(),
        entries: Vec::new(),
        start,
        greatest_version: Some(0),
    };
    let run = |limit| {
        let response = provider::owner_monitor(&log.published(), &request, limit).unwrap();
        let bytes = response.to_bytes().unwrap();
        let user = verifier(&log);
        let done = user
            .owner_monitor(None, &owner, &request, &bytes, now(&log))
            .unwrap();
        (done.verified.len(), done.complete)
    };
    assert_eq!(run(2), (2, false));
    let (all, complete) = run(64);
    assert!(all > 2 && complete);
}

/// "Contact Algorithm": a contact notices that a version is gone from a later entry.
#[test]
fn contacts_notice_what_vanished() {
    let grow = |hide: bool| {
        let mut log = empty(NEVER, None);
        log.push(1_000, vec![version("alice", 0)]);
        let before = log.tip.prefix_root;
        log.push(1_010, vec![version("alice", 1)]);
        if hide {
            log.tip.prefix_root = before;
        }
        log.push(1_020, vec![version("bob", 0)]);
        log.push(1_030, vec![version("bob", 1)]);
        log
    };
    for (hide, outcome) in [(false, "accepted"), (true, "binary-ladder")] {
        let log = grow(hide);
        let user = verifier(&log);
        let request = search_request(None, None);
        let response = provider::search(&log.at(2), &request).unwrap();
        let bytes = response.to_bytes().unwrap();
        let found = user.search(None, &request, &bytes, now(&log)).unwrap();
        assert!(found.found.must_monitor);
        assert_eq!((found.found.terminal, found.value.version()), (1, 1));
        let vrf_outputs = found.ladder.iter().map(|(v, l)| (*v, l.vrf_output));
        let vrf_outputs = vrf_outputs.collect();
        let commitments = found.ladder.iter();
        let commitments = commitments.filter_map(|(v, l)| Some((*v, l.commitment?)));
        let commitments = commitments.collect();
        let request = ContactMonitorRequest {
            last: Some(2),
            label: b"alice".to_vec(),
            entries: vec![MonitorMapEntry {
                position: 1,
                version: 1,
            }],
        };
        // Entry 3 is on the path of entry 1 now.
        let third = log.subtrees[&Subtree::leaf(2)];
        let response = MonitorResponse {
            full_tree_head: FullTreeHead::Updated {
                tree_head: log.heads[3].clone(),
                auditor_tree_head: None,
            },
            proof: CombinedTreeProof {
                timestamps: vec![1_030],
                prefix_proofs: vec![lookups(&log, log.roots[3], &[0, 1])],
                prefix_roots: Vec::new(),
                inclusion: InclusionProof {
                    elements: vec![third],
                },
            },
        };
        let bytes = response.to_bytes().unwrap();
        let result = user.contact_monitor(
            Some(&found.state),
            &vrf_outputs,
            &commitments,
            &request,
            &bytes,
            now(&log),
        );
        assert_eq!(check(result), outcome);
    }
}

/// "Contact Algorithm", step 3.1.2: versions do not fall along the log.
#[test]
fn versions_do_not_fall_along_the_log() {
    let log = log(NEVER, None, &[1, 1, 0, 0, 0, 0, 0, 0]);
    let monitor = |entries: [(u64, u32); 2]| {
        let request = ContactMonitorRequest {
            last: None,
            label: b"alice".to_vec(),
            entries: entries
                .map(|(position, version)| MonitorMapEntry { position, version })
                .to_vec(),
        };
        provider::contact_monitor(&log.published(), &request)
    };
    assert!(monitor([(1, 0), (3, 1)]).is_ok());
    let error = monitor([(1, 1), (3, 0)]).err().unwrap();
    assert!(matches!(
        error,
        MemoryError::Verify(VerifyError::MonitorOrder(7))
    ));
}

/// "Owner Initialization": what the user verifies of the start, the versions and their ladders.
#[test]
fn owner_initialization_shows_the_greatest_versions() {
    // Distinguished are 3, 5, 7, 9 and their ancestors.
    let log = log(30, None, &[1; 12]);
    let user = verifier(&log);
    let verify = |request: &OwnerInitRequest, response: &OwnerInitResponse| {
        check(user.owner_init(None, request, &response.to_bytes().unwrap(), now(&log)))
    };
    let request = OwnerInitRequest {
        last: None,
        label: b"alice".to_vec(),
        start: 5,
    };
    let honest = provider::owner_init(&log.published(), &request).unwrap();
    assert_eq!(honest.greatest_versions, [5, 3]);
    assert_eq!(verify(&request, &honest), "accepted");
    let mut missing = honest.clone();
    let versions = owner_init_versions(&honest.greatest_versions);
    let at = versions.iter().position(|v| *v == 3).unwrap();
    missing.binary_ladder[at].commitment = None;
    assert_eq!(verify(&request, &missing), "commitment-missing");
    let mut fewer = honest.clone();
    fewer.binary_ladder.pop();
    assert_eq!(verify(&request, &fewer), "binary-ladder-steps");

    // Other versions than exist at entries 5 and 3, with the lookups that such claims need.
    let claim = |greatest: [u32; 2]| {
        let versions = owner_init_versions(&greatest);
        let mut claimed = honest.clone();
        claimed.greatest_versions = greatest.to_vec();
        claimed.binary_ladder = steps(&log, &versions, u32::MAX);
        let above = claimed.binary_ladder.iter_mut().zip(&versions);
        let above = above.filter(|(_, version)| **version > greatest[0]);
        above.for_each(|(step, _)| step.commitment = None);
        let lookups = [(5u32, greatest[0]), (3, greatest[1])].map(|(at, target)| {
            let versions = search_ladder(target, Some(at));
            lookups(&log, log.roots[at as usize], &versions)
        });
        claimed.init.prefix_proofs = lookups.to_vec();
        verify(&request, &claimed)
    };
    assert_eq!(claim([5, 3]), "accepted");
    for greatest in [[6, 3], [5, 4], [5, 2]] {
        assert_eq!(claim(greatest), "binary-ladder", "{greatest:?}");
    }
    // Without a commitment, that of a greater version cannot be hashed.
    assert_eq!(claim([4, 3]), "prefix-proof");
    // No version, where some exist.
    let mut none = honest.clone();
    none.greatest_versions = Vec::new();
    none.binary_ladder = steps(&log, &[0], u32::MAX);
    assert_eq!(verify(&request, &none), "commitment-surplus");

    // A start that is not distinguished; its path has the same timestamps.
    for start in [4, 6] {
        let request = OwnerInitRequest {
            start,
            ..request.clone()
        };
        assert_eq!(verify(&request, &honest), "start-position");
    }
}

/// "Updating a Label": every new version, in the order they were created.
#[test]
fn owners_learn_of_every_version_in_order() {
    let log = log(NEVER / 1_000, None, &[1, 1, 0, 1, 1, 2, 1, 0, 1]);
    let user = verifier(&log);
    let (state, owner) = own(&log, 1, 0);
    let request = update_request(&state, &owner);
    let honest = provider::update(&log.published(), &request, None).unwrap();
    assert_eq!(honest.len(), 6);
    let verify = |responses: &[UpdateResponse]| {
        let bytes = responses.iter().map(|r| r.to_bytes().unwrap());
        let bytes: Vec<u8> = bytes.flatten().collect();
        user.update(Some(&state), &owner, &request, &bytes, now(&log))
    };
    let done = verify(&honest).unwrap();
    let versions = done.updates.iter().flat_map(|u| &u.values);
    let versions: Vec<u32> = versions.map(|v| v.version()).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7]);
    for left_out in 0..honest.len() - 1 {
        let mut some = honest.clone();
        some.remove(left_out);
        assert!(verify(&some).is_err(), "without response {left_out}");
        let mut swapped = honest.clone();
        swapped.swap(left_out, left_out + 1);
        assert!(verify(&swapped).is_err(), "response {left_out} later");
    }
    // Fewer `info` than values, and more.
    for index in [0, 3] {
        let mut fewer = honest.clone();
        fewer[index].info.pop();
        assert_eq!(check(verify(&fewer)), "update-info");
        let mut more = honest.clone();
        let again = more[index].info[0].clone();
        more[index].info.push(again);
        assert_eq!(check(verify(&more)), "update-info");
    }
    // One of the two versions that entry 5 created.
    let mut half = honest;
    half[3].values.pop();
    half[3].info.pop();
    assert!(verify(&half).is_err());
    // What was verified before is asked for again, not anew.
    let request = UpdateRequest {
        greatest_version: Some(3),
        ..request
    };
    let responses = provider::update(&log.published(), &request, None).unwrap();
    let bytes = responses[0].to_bytes().unwrap();
    let result = user.update(Some(&state), &owner, &request, &bytes, now(&log));
    assert_eq!(check(result), "request");
}

/// "Full Tree Head Verification", step 2.2, for every operation that a new user may begin with.
#[test]
fn heads_are_signed_by_the_log() {
    let log = log(30, None, &[1; 12]);
    let user = verifier(&log);
    let spoil = |head: &mut FullTreeHead| {
        let FullTreeHead::Updated { tree_head, .. } = head else {
            panic!("a new user gets a head")
        };
        tree_head.signature[0] ^= 1;
    };
    let request = search_request(None, None);
    let mut response = provider::search(&log.published(), &request).unwrap();
    spoil(&mut response.full_tree_head);
    let bytes = response.to_bytes().unwrap();
    assert_eq!(
        check(user.search(None, &request, &bytes, now(&log))),
        "head-signature"
    );
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let recent = Recent::Count(10);
    let mut response = provider::distinguished(&log.published(), &request, recent).unwrap();
    spoil(&mut response.full_tree_head);
    let bytes = response.to_bytes().unwrap();
    assert_eq!(
        check(user.distinguished(None, &request, recent, &bytes, now(&log))),
        "head-signature"
    );
    // The signature covers the root, so another log's head is not accepted for this one.
    let other: Published<'_> = log.at(11);
    let request = search_request(None, None);
    let mut response = provider::search(&log.published(), &request).unwrap();
    let FullTreeHead::Updated { tree_head, .. } = &mut response.full_tree_head else {
        panic!("a new user gets a head")
    };
    tree_head.signature = other.tree_head().signature.clone();
    let bytes = response.to_bytes().unwrap();
    assert_eq!(
        check(user.search(None, &request, &bytes, now(&log))),
        "head-signature"
    );
}
