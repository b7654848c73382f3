//! Nothing that an honest directory and an honest auditor sign is evidence, whatever is put beside
//! whatever.

use overt_protocol::evidence::{Evidence, EvidenceError, Exchange, prove_difference};
use overt_protocol::head_log::tree::leaf_hash;
use overt_protocol::provider::auditor_update;
use overt_protocol::suite::CipherSuite;

use crate::replay::subtrees;
use crate::support::NewVersion;
use crate::world::*;

const SIZE: u64 = 8;

/// Entries with one version, several and none, at times of which some are equal.
fn history(lifetime: Option<u64>) -> History {
    let mut log = empty(CipherSuite::Kt128Sha256Ed25519, lifetime);
    for n in 0..SIZE {
        let version = |k: u64| NewVersion {
            label: if k == 0 {
                b"alice".to_vec()
            } else {
                b"bob".to_vec()
            },
            value: format!("{n} {k}").into_bytes(),
            opening: [n as u8; 16],
        };
        log.push(START + 10 * (n / 2), (0..n % 3).map(version).collect());
    }
    History::from(log)
}

fn no<T>(result: Result<T, EvidenceError>) {
    assert!(result.is_err());
}

#[test]
fn heads_and_leaves_of_one_log() {
    let history = history(None);
    let config = history.config();
    let keys = [log_key(), auditor()];
    let known = public(&keys);
    let time = |size: u64| history.records[size as usize - 1].entry.timestamp;
    let all = || 1..=SIZE;
    for (a, b) in all().flat_map(|a| all().map(move |b| (a, b))) {
        let (of_a, of_b) = (history.checkpoint(a, &keys), history.checkpoint(b, &keys));
        no(Evidence::checkpoints(&of_a, &of_b, &known));
        let (mut first, mut second) = (history.head_log(), history.head_log());
        let parts = prove_difference((&mut first, &of_a), (&mut second, &of_b));
        assert_eq!(parts.unwrap(), None);
        no(Evidence::heads(config, history.head(a), history.head(b)));
        let (head_a, head_b) = (
            history.auditor_head(a, time(a)),
            history.auditor_head(b, time(b)),
        );
        no(Evidence::heads(config, head_a.clone(), head_b));
        for size in b..=SIZE {
            let (proof, record) = history.proof(b, size, &keys);
            let leaf = (&proof, &record[..]);
            no(Evidence::head_and_record(
                config,
                history.head(a),
                leaf,
                &known[0],
            ));
            no(Evidence::head_and_record(
                config,
                head_a.clone(),
                leaf,
                &known[1],
            ));
            let (other, of_other) = history.proof(a, SIZE, &keys);
            let sides = (
                (proof.clone(), leaf_hash(&record)),
                (other.clone(), leaf_hash(&of_other)),
            );
            no(Evidence::leaves(&sides.0, &sides.1, &known));
            let sides = ((&other, &of_other[..]), leaf);
            for known_subtrees in [Vec::new(), subtrees(&history, a)] {
                no(Evidence::records(sides.0, sides.1, &known_subtrees, &known));
            }
            for position in 0..SIZE {
                let update = auditor_update(&history.log.published(), position).unwrap();
                no(Evidence::update(config, sides.0, sides.1, &update, &known));
            }
        }
    }
}

#[test]
fn answers_of_one_log() {
    for lifetime in [None, Some(1_000_000)] {
        let history = history(lifetime);
        let mut answers: Vec<Exchange> = vec![
            history.absence("carol"),
            history.absence_at(1, "alice"),
            history.absence_at(2, "bob"),
        ];
        for (label, since) in [("alice", 2), ("bob", 3)] {
            for size in since..=SIZE {
                answers.push(history.search_at(size, label, None));
                answers.push(history.search_at(size, label, Some(0)));
            }
        }
        for (first, second) in answers
            .iter()
            .flat_map(|a| answers.iter().map(move |b| (a, b)))
        {
            let (first, second) = (first.clone(), second.clone());
            no(Evidence::versions(history.config(), first, second));
        }
    }
}
