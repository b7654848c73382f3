//! Offline proofs.

use overt_protocol::codec::EncodeError;
use overt_protocol::head_log::checkpoint::*;
use overt_protocol::head_log::cosignature::MAX_TIMESTAMP;
use overt_protocol::head_log::note::Note;
use overt_protocol::head_log::policy::TrustError;
use overt_protocol::head_log::proof::*;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tree::*;
use overt_protocol::suite::sha256;
use overt_protocol::wire::LogEntry;
use proptest::prelude::*;

use crate::model::Log;
use crate::policy::{parties, policy, witness};
use crate::signed::{ORIGIN, log_keys};

const ALWAYS: std::ops::RangeInclusive<u64> = 0..=MAX_TIMESTAMP;

fn record(tree_size: u64) -> HeadRecord {
    HeadRecord {
        config_hash: [0xc0; 32],
        tree_size,
        entry: LogEntry {
            timestamp: 1000 * tree_size,
            prefix_tree: sha256(&[&tree_size.to_be_bytes()]),
        },
        root: [0x40; 32],
    }
}

fn head_log(size: u64) -> Log {
    Log::of((1..=size).map(|n| record(n).leaf_hash().unwrap()))
}

/// A proof for a head in a head log of so many leaves, cosigned by two witnesses.
fn proof(tree_size: u64, size: u64) -> TlogProof {
    let mut log = head_log(size);
    let hashes = prove_inclusion(&mut log, tree_size - 1, size).unwrap();
    let checkpoint = Checkpoint::new(ORIGIN, log.at(size)).unwrap();
    let signed = SignedCheckpoint::sign(checkpoint, &log_keys()).unwrap();
    let lines = [0, 1].map(|n| signed.cosign(&witness(n), 5).unwrap());
    TlogProof::new(tree_size - 1, hashes, signed.with(&lines).unwrap())
}

#[test]
fn heads_are_proved() {
    let policy = policy(&(parties(2) + "group g all w0 w1\nquorum g\n"));
    for (tree_size, size) in [(1, 1), (1, 2), (2, 2), (3, 7), (7, 7), (200, 300)] {
        let text = proof(tree_size, size).to_string();
        let parsed = TlogProof::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.to_string(), text);
        let trusted = parsed
            .verify_head(&record(tree_size), &policy, &ALWAYS)
            .unwrap();
        assert_eq!(trusted.checkpoint.tree(), head_log(size).at(size));
        assert_eq!(trusted.cosignatures.len(), 2);
        let leaf = record(tree_size).leaf_hash().unwrap();
        assert!(parsed.verify_leaf(&leaf, &policy, &ALWAYS).is_ok());
    }
}

#[test]
fn what_does_not_prove_a_head() {
    let policy = policy(&(parties(2) + "group g all w0 w1\nquorum g\n"));
    let proof = proof(5, 9);
    let verify = |record: &HeadRecord| proof.verify_head(record, &policy, &ALWAYS).map(drop);
    assert_eq!(verify(&record(5)), Ok(()));
    let other_size = |tree_size| {
        verify(&HeadRecord {
            tree_size,
            ..record(5)
        })
    };
    for expected in [3, 5, 8, 9, u64::MAX - 1] {
        let refused = TlogProofError::Index { found: 4, expected };
        assert_eq!(other_size(expected + 1), Err(refused));
    }
    assert_eq!(
        other_size(0),
        Err(TlogProofError::Record(EncodeError("tree_size")))
    );
    let forks = [
        HeadRecord {
            root: [0x41; 32],
            ..record(5)
        },
        HeadRecord {
            config_hash: [0xc1; 32],
            ..record(5)
        },
        HeadRecord {
            entry: record(6).entry,
            ..record(5)
        },
    ];
    for fork in forks {
        assert_eq!(
            verify(&fork),
            Err(TlogProofError::Tree(TreeError::Inclusion))
        );
    }
    let late = proof.verify_head(&record(5), &policy, &(6..=9)).map(drop);
    assert_eq!(
        late,
        Err(TlogProofError::Trust(TrustError::Quorum { cosigned: 0 }))
    );

    // A checkpoint that is smaller than the head.
    let mut log = head_log(9);
    let hashes = prove_inclusion(&mut log, 4, 9).unwrap();
    let small = Checkpoint::new(ORIGIN, log.at(4)).unwrap();
    let small = SignedCheckpoint::sign(small, &log_keys()).unwrap();
    let refused =
        TlogProof::new(4, hashes.clone(), small).verify_head(&record(5), &policy, &ALWAYS);
    let too_small = TreeError::Index { index: 4, size: 4 };
    assert_eq!(refused.map(drop), Err(TlogProofError::Tree(too_small)));

    // Extension lines: right in general, not in a head log.
    let signed = proof.checkpoint().note();
    let text = format!("{}extension\n", signed.text());
    let extended = Note::new(text, signed.signatures().to_vec()).unwrap();
    let extended = SignedCheckpoint::try_from(extended).unwrap();
    let refused = TlogProof::new(4, hashes, extended).verify_head(&record(5), &policy, &ALWAYS);
    let extensions = CheckpointError::Extensions(1);
    assert_eq!(
        refused.map(drop),
        Err(TlogProofError::Checkpoint(extensions))
    );
}

#[test]
fn what_is_not_a_proof() {
    let good = proof(3, 7).to_string();
    let lines: Vec<&str> = good.lines().collect();
    assert_eq!(lines[..2], ["c2sp.org/tlog-proof@v1", "index 2"]);
    assert_eq!(lines.iter().position(|line| line.is_empty()), Some(5));
    let with = |line: usize, by: &str| {
        let mut lines = lines.clone();
        lines[line] = by;
        lines.join("\n") + "\n"
    };
    let without = |line: usize| {
        let mut lines = lines.clone();
        lines.remove(line);
        lines.join("\n") + "\n"
    };
    let hash = lines[2];
    let no_padding = hash.trim_end_matches('=').to_owned();
    for (text, check) in [
        (String::new(), "tlog-proof-format"),
        ("\n\n".to_owned(), "tlog-proof-format"),
        (format!("{}\n\n", lines[0]), "tlog-proof-format"),
        (with(0, "c2sp.org/tlog-proof@v2"), "tlog-proof-format"),
        (with(0, "c2sp.org/tlog-proof@v1 "), "tlog-proof-format"),
        (without(0), "tlog-proof-format"),
        (without(1), "tlog-proof-format"),
        (with(1, "index"), "tlog-proof-format"),
        (with(1, "index "), "tlog-proof-format"),
        (with(1, "index 02"), "tlog-proof-format"),
        (with(1, "index -2"), "tlog-proof-format"),
        (with(1, "index 18446744073709551616"), "tlog-proof-format"),
        (with(1, "Index 2"), "tlog-proof-format"),
        (with(1, "index 2\nindex 2"), "tlog-proof-format"),
        (with(1, "index 2\nextra YQ=="), "tlog-proof-format"),
        (with(1, "extra \nindex 2"), "tlog-proof-format"),
        (with(1, "extra YQ\nindex 2"), "tlog-proof-format"),
        (
            with(1, "extra YQ==\nextra YQ==\nindex 2"),
            "tlog-proof-format",
        ),
        (with(2, &no_padding), "tlog-proof-format"),
        (with(2, &hash[4..]), "tlog-proof-format"),
        (with(2, &format!("{hash}\r")), "tlog-proof-format"),
        // The first empty line ends the proof.
        (with(5, "\n"), "checkpoint-lines"),
        (without(5), "tlog-proof-format"),
        (with(2, ""), "checkpoint-lines"),
        (good[..good.len() - 1].to_owned(), "note-format"),
        (with(7, "x"), "checkpoint-size"),
    ] {
        let refused = TlogProof::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused.check(), check, "{text}");
    }
    let latin = [
        good.as_bytes()[..30].to_vec(),
        vec![0xe9],
        good.as_bytes()[30..].to_vec(),
    ]
    .concat();
    assert_eq!(
        TlogProof::parse(&latin).unwrap_err().check(),
        "tlog-proof-format"
    );
}

#[test]
fn sizes_are_bounded() {
    let good = proof(3, 7).to_string();
    let hash = format!("{}\n", good.lines().nth(2).unwrap());
    let with = |hashes: usize| good.replacen(&hash, &hash.repeat(hashes), 1);
    assert!(TlogProof::parse(with(62).as_bytes()).is_ok());
    let refused = TlogProof::parse(with(63).as_bytes());
    assert_eq!(refused, Err(TlogProofError::Hashes(65)));
    let long = "a".repeat(MAX_PROOF_LEN + 1);
    let refused = TlogProof::parse(long.as_bytes());
    assert_eq!(refused, Err(TlogProofError::TooLong(MAX_PROOF_LEN + 1)));
    let extra = |base64: &str| good.replacen("index", &format!("extra {base64}\nindex"), 1);
    let most = "AAAA".repeat(MAX_EXTRA_LEN / 3) + "AA==";
    let parsed = TlogProof::parse(extra(&most).as_bytes()).unwrap();
    assert_eq!(parsed.extra(), Some(&vec![0; MAX_EXTRA_LEN][..]));
    assert_eq!(parsed.to_string(), extra(&most));
    let more = "AAAA".repeat(MAX_EXTRA_LEN / 3) + "AAA=";
    let refused = TlogProof::parse(extra(&more).as_bytes()).unwrap_err();
    assert_eq!(refused.check(), "tlog-proof-format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proofs_are_read_back(size in 1u64..60, place in any::<prop::sample::Index>(), extra in "([A-Za-z0-9+/]{4}){0,9}") {
        let tree_size = 1 + place.index(size as usize) as u64;
        let mut text = proof(tree_size, size).to_string();
        if !extra.is_empty() {
            text = text.replacen("index", &format!("extra {extra}\nindex"), 1);
        }
        let parsed = TlogProof::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(parsed.index(), tree_size - 1);
        prop_assert_eq!(parsed.extra().is_some(), !extra.is_empty());
        prop_assert_eq!(parsed.to_string(), text);
    }
}
