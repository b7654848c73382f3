//! The auditor's replay against the log, honest and not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::prefix_tree::{
    Lookup, Node, PrefixProofError, evaluate, evaluate_changes, modify, prove,
};
use overt_protocol::provider::auditor_update;
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::wire::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use support::{MemoryLog, MemoryPages, NewVersion};

fn log(sizes: &[usize]) -> MemoryLog {
    let mut log = MemoryLog::new(CipherSuite::Kt128Sha256Ed25519, [1; 32], [2; 32], 30, None);
    for (n, size) in sizes.iter().enumerate() {
        let version = |k: usize| NewVersion {
            label: format!("label {n} {k}").into_bytes(),
            value: vec![k as u8],
            opening: [n as u8; 16],
        };
        log.push(1_000 + 10 * n as u64, (0..*size).map(version).collect());
    }
    log
}

/// Applies an update, with the log's own memory of where leaves were added.
fn apply(
    log: &MemoryLog,
    state: &AuditorState,
    update: &AuditorUpdate,
) -> Result<AuditorState, AuditError> {
    state.apply(&log.config, update, |key, distinguished| {
        let mut versions = log.labels.values().flatten();
        let added = versions.find(|(stored, ..)| stored.leaf.vrf_output == *key);
        Ok(added.is_none_or(|(stored, ..)| Some(stored.position) > distinguished))
    })
}

fn check(result: Result<impl Sized, AuditError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn replay_arrives_at_every_signed_head(sizes in vec(0usize..9, 1..20)) {
        let log = log(&sizes);
        let mut state = AuditorState::empty();
        for position in 0..log.tip.size {
            let update = auditor_update(&log.published(), position).unwrap();
            let bytes = update.to_bytes().unwrap();
            state = apply(&log, &state, &AuditorUpdate::from_bytes(&bytes, &()).unwrap()).unwrap();
            prop_assert_eq!(state.root(), Some(log.log_roots[position as usize]));
            state.check_head(&log.config, &log.heads[position as usize]).unwrap();
            let kept = AuditorState::from_bytes(&state.to_bytes().unwrap(), &()).unwrap();
            prop_assert_eq!(&kept, &state);
        }
    }

    /// Keys that share long prefixes, which VRF outputs never do.
    #[test]
    fn any_keys(old in keys(), new in keys()) {
        let leaves = |keys: &std::collections::BTreeMap<u16, u8>| -> Vec<PrefixLeaf> {
            keys.iter().map(|(key, value)| {
                let mut vrf_output = [0; 32];
                vrf_output[..2].copy_from_slice(&key.to_be_bytes());
                PrefixLeaf { vrf_output, commitment: [*value; 32] }
            }).collect()
        };
        let new: std::collections::BTreeMap<u16, u8> =
            new.into_iter().filter(|(key, _)| !old.contains_key(key)).collect();
        let (old, new) = (leaves(&old), leaves(&new));
        let before = modify(&MemoryPages::default(), None, &old, &[], 1).unwrap();
        let paths = MemoryPages::of(before.pages);
        let keys: Vec<_> = new.iter().map(|leaf| leaf.vrf_output).collect();
        let proof = prove(&paths, before.root, &keys).unwrap();
        let after = modify(&paths, before.root, &new, &[], 1 + paths.0.len() as u64).unwrap();
        let value = |root: Option<Node>| root.map_or([0; 32], |node| node.value);
        let lookups: Vec<_> = keys.iter()
            .map(|key| Lookup { vrf_output: *key, commitment: None }).collect();
        prop_assert_eq!(evaluate(&lookups, &proof).unwrap(), value(before.root));
        let found = evaluate_changes(&new, &[], &proof).unwrap();
        prop_assert_eq!(found, (value(before.root), value(after.root)));
    }
}

fn keys() -> impl Strategy<Value = std::collections::BTreeMap<u16, u8>> {
    btree_map(prop_oneof![0u16..16, any::<u16>()], any::<u8>(), 0..12)
}

#[test]
fn each_rule_has_a_check() {
    let log = log(&[3, 2, 0, 4]);
    let updates: Vec<_> = (0..4)
        .map(|position| auditor_update(&log.published(), position).unwrap())
        .collect();
    let mut state = AuditorState::empty();
    for update in &updates[..3] {
        state = apply(&log, &state, update).unwrap();
    }
    let honest = &updates[3];
    assert_eq!(check(apply(&log, &state, honest)), "accepted");

    let mut late = honest.clone();
    late.timestamp = state.timestamp - 1;
    assert_eq!(check(apply(&log, &state, &late)), "audit-timestamp");
    late.timestamp = state.timestamp;
    assert_eq!(check(apply(&log, &state, &late)), "accepted");
    let mut order = honest.clone();
    order.added.swap(0, 1);
    assert_eq!(check(apply(&log, &state, &order)), "audit-order");
    let mut twice = honest.clone();
    twice.added[1] = twice.added[0];
    assert_eq!(check(apply(&log, &state, &twice)), "audit-order");
    // A leaf that is there already, with another commitment: overwriting.
    let mut again = updates[0].clone();
    again.timestamp = honest.timestamp;
    again.added.truncate(1);
    again.added[0].commitment = [7; 32];
    again.proof = prove(&log.pages, log.roots[2], &[again.added[0].vrf_output]).unwrap();
    let included = apply(&log, &state, &again).unwrap_err();
    let error = PrefixProofError::AlreadyIncluded;
    assert_eq!(included, AuditError::Proof { position: 3, error });
    assert_eq!(included.check(), "audit-proof");
    // The proof of another tree.
    assert_eq!(check(apply(&log, &state, &updates[1])), "audit-timestamp");
    let mut other = updates[1].clone();
    other.timestamp = honest.timestamp;
    assert_eq!(check(apply(&log, &state, &other)), "audit-prefix-root");
    let mut few = honest.clone();
    few.proof.results.pop();
    assert_eq!(check(apply(&log, &state, &few)), "audit-proof");

    // Another leaf than the log's: the heads differ.
    let mut changed = honest.clone();
    changed.added[0].commitment[0] ^= 1;
    let wrong = apply(&log, &state, &changed).unwrap();
    assert_eq!(
        check(wrong.check_head(&log.config, &log.heads[3])),
        "audit-tree-head"
    );
    let right = apply(&log, &state, honest).unwrap();
    assert_eq!(
        check(right.check_head(&log.config, &log.heads[3])),
        "accepted"
    );
    assert_eq!(
        check(right.check_head(&log.config, &log.heads[2])),
        "audit-tree-size"
    );
    let key = SigningKey::from_bytes(log.config.ciphersuite, &[3; 32]).unwrap();
    assert_eq!(
        check(AuditorState::empty().sign(&log.config, &key)),
        "audit-empty"
    );
    let head = right.sign(&log.config, &key).unwrap();
    assert_eq!((head.tree_size, head.timestamp), (4, right.timestamp));
}

/// A log that removes versions of one label once they were overtaken long ago.
fn removing(entries: u64) -> MemoryLog {
    let mut log = MemoryLog::new(
        CipherSuite::Kt128Sha256Ed25519,
        [1; 32],
        [2; 32],
        30,
        Some(60),
    );
    log.removes = true;
    for n in 0..entries {
        let version = NewVersion {
            label: b"label".to_vec(),
            value: vec![n as u8],
            opening: [n as u8; 16],
        };
        log.push(1_000 + 10 * n, vec![version]);
    }
    log
}

#[test]
fn leaves_are_removed_once_they_were_in_a_distinguished_entry() {
    let log = removing(40);
    let mut state = AuditorState::empty();
    let mut removed = 0;
    for position in 0..log.tip.size {
        let honest = auditor_update(&log.published(), position).unwrap();
        if !honest.removed.is_empty() {
            let refused = |update: &AuditorUpdate| check(apply(&log, &state, update));
            let mut absent = honest.clone();
            absent.proof.results[1] = PrefixSearchResult::NonInclusionParent { depth: 1 };
            assert_eq!(refused(&absent), "audit-proof");
            let mut other = honest.clone();
            other.removed[0].commitment[0] ^= 1;
            assert_ne!(refused(&other), "accepted");
            // The same as an overwriting, which the draft allows.
            let mut both = honest.clone();
            both.added.push(PrefixLeaf {
                commitment: [7; 32],
                ..both.removed[0]
            });
            both.added.sort_by_key(|leaf| leaf.vrf_output);
            let keys = both.added.iter().chain(&both.removed);
            let keys: Vec<_> = keys.map(|leaf| leaf.vrf_output).collect();
            let distinct = &honest.proof;
            let result = |key: &HashValue| {
                let mut known = honest.added.iter().chain(&honest.removed);
                distinct.results[known.position(|leaf| leaf.vrf_output == *key).unwrap()]
            };
            both.proof.results = keys.iter().map(result).collect();
            assert_eq!(refused(&both), "accepted");
            let included = both
                .added
                .iter()
                .position(|l| l.commitment == [7; 32])
                .unwrap();
            both.proof.results[included] = PrefixSearchResult::NonInclusionParent { depth: 1 };
            assert_eq!(refused(&both), "audit-proof");
            // A log without a lifetime has no reason to remove anything.
            let mut forever = log.config.clone();
            forever.maximum_lifetime = None;
            let kept: Result<_, AuditError> = state.apply(&forever, &honest, |_, _| Ok(false));
            assert_eq!(check(kept), "audit-removed");
            removed += honest.removed.len();
        }
        if let Some((stored, ..)) =
            log.labels[b"label".as_slice()].get((position as usize).wrapping_sub(1))
        {
            // What the entry before added was in no distinguished entry, unless that is one.
            let mut early = honest.clone();
            early.removed = vec![stored.leaf];
            let keys = [early.added[0].vrf_output, stored.leaf.vrf_output];
            early.proof = prove(&log.pages, log.roots[position as usize - 1], &keys).unwrap();
            let is_distinguished =
                state.distinguished(&log.config, honest.timestamp) == Some(position - 1);
            let expected = if is_distinguished {
                "accepted"
            } else {
                "audit-removed"
            };
            assert_eq!(check(apply(&log, &state, &early)), expected);
        }
        state = apply(&log, &state, &honest).unwrap();
        assert_eq!(state.root(), Some(log.log_roots[position as usize]));
        let frontier = overt_protocol::implicit_tree::frontier(state.size);
        let times = frontier.map(|at| log.entries[at as usize].timestamp);
        assert!(times.eq(state.frontier.iter().copied()));
    }
    assert!(removed > 20, "{removed}");
}

#[test]
fn single_bytes() {
    let log = log(&[5, 4, 6]);
    let mut state = AuditorState::empty();
    for position in 0..2 {
        let update = auditor_update(&log.published(), position).unwrap();
        state = apply(&log, &state, &update).unwrap();
    }
    let honest = auditor_update(&log.published(), 2)
        .unwrap()
        .to_bytes()
        .unwrap();
    for at in 0..honest.len() {
        let mut wrong = honest.clone();
        wrong[at] ^= 1;
        let Ok(update) = AuditorUpdate::from_bytes(&wrong, &()) else {
            continue;
        };
        let Ok(next) = apply(&log, &state, &update) else {
            continue;
        };
        assert!(
            next.check_head(&log.config, &log.heads[2]).is_err(),
            "byte {at}"
        );
    }
}

/// No result can name the depth of leaves that differ in their last bit only.
#[test]
fn leaves_have_a_greatest_depth() {
    let leaf = |last: u8| {
        let mut vrf_output = [0; 32];
        vrf_output[31] = last;
        PrefixLeaf {
            vrf_output,
            commitment: [last; 32],
        }
    };
    let proof = PrefixProof {
        results: vec![PrefixSearchResult::NonInclusionParent { depth: 0 }; 2],
        elements: Vec::new(),
    };
    evaluate_changes(&[leaf(0), leaf(2)], &[], &proof).unwrap();
    evaluate_changes(&[leaf(0), leaf(1)], &[], &proof).unwrap_err();
}
