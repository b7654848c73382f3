//! The draft's worked example (section "Worked Example" of the appendix "CombinedTreeProof
//! Implementation"): 13 log entries, a user who saw 4, a search for greatest version 2.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider;
use overt_protocol::suite::{CipherSuite, sha256};
use overt_protocol::user::Verifier;
use overt_protocol::wire::*;
use support::{MemoryLog, NewVersion};

const RMW: u64 = 100;

/// Entry 7 is at 1,000, entry 11 at 1,100, entry 12 at 1,150: T_12 - T_7 >= RMW > T_12 - T_11.
const TIMES: [u64; 13] = [
    1, 2, 3, 4, 500, 600, 700, 1000, 1010, 1020, 1030, 1100, 1150,
];

fn log() -> MemoryLog {
    let mut log = MemoryLog::new(CipherSuite::Kt128Sha256Ed25519, [1; 32], [2; 32], RMW, None);
    for (position, time) in TIMES.into_iter().enumerate() {
        let label = if [2, 5, 9].contains(&position) {
            "alice"
        } else {
            "someone else"
        };
        let value = format!("value of entry {position}").into_bytes();
        log.push(
            time,
            vec![NewVersion {
                label: label.into(),
                value,
                opening: [7; 16],
            }],
        );
    }
    log
}

fn hash(parts: &[&[u8]]) -> HashValue {
    sha256(parts)
}

#[test]
fn every_element_in_its_place() {
    let log = log();
    let leaf = |i: usize| {
        hash(&[
            &log.entries[i].timestamp.to_be_bytes(),
            &log.entries[i].prefix_tree,
        ])
    };
    let of_leaves = |l: HashValue, r: HashValue| hash(&[&[0], &l, &[0], &r]);
    let of_parents = |l: HashValue, r: HashValue| hash(&[&[1], &l, &[1], &r]);

    let user = Verifier::new(log.config.clone()).unwrap();
    let at_four = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: Some(0),
    };
    let seen = provider::search(&log.at(4), &at_four)
        .unwrap()
        .to_bytes()
        .unwrap();
    let state = user.search(None, &at_four, &seen, 4).unwrap().state;
    assert_eq!(
        state.view.full_subtrees,
        [of_parents(
            of_leaves(leaf(0), leaf(1)),
            of_leaves(leaf(2), leaf(3))
        )]
    );
    assert_eq!(state.view.frontier, [(3, log.entries[3])]);

    let request = SearchRequest {
        last: Some(4),
        label: b"alice".to_vec(),
        version: None,
    };
    let response = provider::search(&log.published(), &request).unwrap();
    assert_eq!(response.version, Some(2));
    assert_eq!(base_ladder(2), [0, 1, 3, 2]);
    assert_eq!(response.binary_ladder.len(), 4);
    // Commitments of versions 0 and 1; none for 3, which does not exist, and 2, the target.
    let given: Vec<bool> = response
        .binary_ladder
        .iter()
        .map(|s| s.commitment.is_some())
        .collect();
    assert_eq!(given, [true, true, false, false]);

    let proof = &response.search;
    assert_eq!(proof.timestamps, [TIMES[7], TIMES[11], TIMES[12]]);
    assert_eq!(proof.prefix_proofs.len(), 2);
    let outcomes = |proof: &PrefixProof| {
        proof
            .results
            .iter()
            .map(PrefixSearchResult::is_inclusion)
            .collect::<Vec<_>>()
    };
    // Versions 0, 1, 3, 2 from entry 11; only version 3 from entry 12.
    assert_eq!(outcomes(&proof.prefix_proofs[0]), [true, true, false, true]);
    assert_eq!(outcomes(&proof.prefix_proofs[1]), [false]);
    assert_eq!(proof.prefix_roots, [log.entries[7].prefix_tree]);
    assert_eq!(
        proof.inclusion.elements,
        [
            of_leaves(leaf(4), leaf(5)),
            leaf(6),
            of_leaves(leaf(8), leaf(9)),
            leaf(10)
        ]
    );

    let done = user
        .search(
            Some(&state),
            &request,
            &response.to_bytes().unwrap(),
            TIMES[12],
        )
        .unwrap();
    assert_eq!(done.found.terminal, 11);
    assert!(!done.found.must_monitor);
    assert_eq!(
        done.state.view.frontier,
        [
            (7, log.entries[7]),
            (11, log.entries[11]),
            (12, log.entries[12])
        ]
    );
    let left = of_parents(
        state.view.full_subtrees[0],
        of_parents(of_leaves(leaf(4), leaf(5)), of_leaves(leaf(6), leaf(7))),
    );
    let middle = of_parents(of_leaves(leaf(8), leaf(9)), of_leaves(leaf(10), leaf(11)));
    assert_eq!(done.state.view.full_subtrees, [left, middle, leaf(12)]);
    assert_eq!(
        done.state.view.root,
        of_parents(left, hash(&[&[1], &middle, &[0], &leaf(12)]))
    );
}
