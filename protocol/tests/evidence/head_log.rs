//! Checkpoints and leaves.

use overt_protocol::evidence::{Accused, Evidence, first_difference, prove_difference};
use overt_protocol::head_log::checkpoint::{Checkpoint, SignedCheckpoint};
use overt_protocol::head_log::key::{SignatureType::*, SignerKey};
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::head_log::tree::leaf_hash;
use overt_protocol::wire::HashValue;

use crate::file::{accused, check};
use crate::model::Log;
use crate::world::*;

fn histories() -> (History, History) {
    (
        History::of(&["a", "b", "c", "d", "e"]),
        History::of(&["a", "b", "x", "d", "e", "f"]),
    )
}

fn log(key: &SignerKey) -> Accused {
    Accused::Log(key.verifier().to_string())
}

fn cosigner(key: &SignerKey) -> Accused {
    Accused::Cosigner(key.verifier().to_string())
}

#[test]
fn everybody_who_signed_both_is_accused_each_in_a_file() {
    let (one, other) = histories();
    let all = [log_key(), log_key_2(), auditor(), auditor_2()];
    let witness = note_key("witness.example", Ed25519Cosignature, 9);
    let mut of_one = all.to_vec();
    of_one.push(witness.clone());
    let (a, b) = (one.checkpoint(4, &of_one), other.checkpoint(4, &all));
    let files = Evidence::checkpoints(&a, &b, &public(&of_one)).unwrap();
    let expected = [vec![log(&log_key())], vec![cosigner(&auditor())]];
    assert_eq!(accused(&files), expected);
    let files = Evidence::checkpoints(&a, &b, &public(&[auditor_2(), witness])).unwrap();
    assert_eq!(accused(&files), [[cosigner(&auditor_2())]]);
}

/// The one signature is Ed25519's and the other ML-DSA's: it is still one party, if both are its keys.
#[test]
fn keys_of_one_name_are_accused_together() {
    let (one, other) = histories();
    for (first, second, expected) in [
        (log_key(), log_key_2(), [log(&log_key()), log(&log_key_2())]),
        (
            auditor(),
            auditor_2(),
            [cosigner(&auditor()), cosigner(&auditor_2())],
        ),
    ] {
        let keys = [first.clone(), second.clone()];
        let (a, b) = (one.checkpoint(3, &[first]), other.checkpoint(3, &[second]));
        let files = Evidence::checkpoints(&a, &b, &public(&keys)).unwrap();
        let finding = files[0].verify().unwrap();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(finding.accused, expected);
        assert!(finding.is_against(|key| expected.contains(key)));
        assert!(!finding.is_against(|key| *key == expected[0]));
    }
    // The key that signed both is preferred, wherever it stands.
    let keys = [log_key_2(), log_key()];
    let (a, b) = (one.checkpoint(3, &keys), other.checkpoint(3, &[log_key()]));
    let files = Evidence::checkpoints(&a, &b, &public(&keys)).unwrap();
    assert_eq!(accused(&files), [[log(&log_key())]]);
}

#[test]
fn checkpoints_that_prove_nothing() {
    let (one, other) = histories();
    let key = [log_key()];
    let judge = |a: &SignedCheckpoint, b: &SignedCheckpoint, keys: &[SignerKey]| {
        check(Evidence::checkpoints(a, b, &public(keys)))
    };
    let at = |history: &History, size| history.checkpoint(size, &key);
    let forked = (at(&one, 5), at(&other, 5));
    assert_eq!(judge(&forked.0, &forked.1, &key), "proves");
    assert_eq!(judge(&at(&one, 4), &at(&one, 5), &key), "evidence-subject");
    assert_eq!(
        judge(&at(&one, 4), &at(&other, 5), &key),
        "evidence-subject"
    );
    let same = judge(&at(&one, 2), &at(&other, 2), &key);
    assert_eq!(same, "evidence-no-contradiction");
    let unknown = judge(&forked.0, &forked.1, &[auditor()]);
    assert_eq!(unknown, "evidence-parties");
    // Another log with the same key, which it names otherwise.
    let elsewhere = "other.example/overt";
    let theirs = note_key(elsewhere, Ed25519, 1);
    let foreign = Checkpoint::new(elsewhere, other.head_log().at(5)).unwrap();
    let foreign = SignedCheckpoint::sign(foreign, std::slice::from_ref(&theirs)).unwrap();
    let both = [log_key(), theirs];
    assert_eq!(judge(&forked.0, &foreign, &both), "evidence-parties");
    let lines = [foreign.cosign(&auditor(), 7).unwrap()];
    let cosigned = (
        one.checkpoint(5, &[log_key(), auditor()]),
        foreign.with(&lines).unwrap(),
    );
    let two_logs = judge(&cosigned.0, &cosigned.1, &[auditor()]);
    assert_eq!(two_logs, "evidence-subject");
}

/// What only somebody who writes the file by hand can put into it.
#[test]
fn files_that_constructors_do_not_make() {
    let (one, other) = histories();
    let sides = |a: (&SignerKey, &SignedCheckpoint), b: (&SignerKey, &SignedCheckpoint)| {
        let side = |(key, note): (&SignerKey, &SignedCheckpoint)| serde_json::json!({"key": key.verifier().to_string(), "note": note.to_string()});
        let json = serde_json::json!({
            "evidence": "overt.checkpoints/v1", "first": side(a), "second": side(b),
        });
        check(Evidence::parse(json.to_string().as_bytes()).and_then(|e| e.verify()))
    };
    let all = [log_key(), log_key_2(), auditor()];
    let (a, b) = (one.checkpoint(4, &all), other.checkpoint(4, &all));
    let (log, witness) = (log_key(), auditor());
    assert_eq!(sides((&log, &a), (&log, &b)), "proves");
    assert_eq!(sides((&log, &a), (&witness, &b)), "evidence-parties");
    let stranger = note_key(ORIGIN, Ed25519, 77);
    assert_eq!(sides((&log, &a), (&stranger, &b)), "note-unsigned");
    // A cosigner that calls itself like the log is not the log.
    let namesake = note_key(ORIGIN, Ed25519Cosignature, 5);
    let line = [b.cosign(&namesake, 7).unwrap()];
    let b = b.with(&line).unwrap();
    assert_eq!(sides((&log, &a), (&namesake, &b)), "evidence-parties");
    // A key that signs notes, but neither as the log nor as a cosigner.
    let clerk = note_key("clerk.example", Ed25519, 1);
    let by_clerk = |note: &SignedCheckpoint| {
        let line = note.note().signatures()[0].to_string();
        let signature = line.trim_end().rsplit(' ').next().unwrap();
        let bytes = base64(signature);
        let id = clerk.verifier().id().to_be_bytes();
        let line = unbase64(&[&id, &bytes[4..]].concat());
        let note = format!("{}\n\u{2014} clerk.example {line}\n", note.note().text());
        SignedCheckpoint::parse(note.as_bytes()).unwrap()
    };
    let (a, b) = (by_clerk(&a), by_clerk(&b));
    assert!(a.verify([clerk.verifier()]).is_ok());
    assert_eq!(sides((&clerk, &a), (&clerk, &b)), "evidence-parties");
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}

fn unbase64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn leaf(history: &History, tree_size: u64, size: u64) -> (TlogProof, HashValue) {
    let (proof, record) = history.proof(tree_size, size, &[log_key(), auditor()]);
    (proof, leaf_hash(&record))
}

#[test]
fn leaves_that_prove_nothing() {
    let (one, other) = histories();
    let keys = public(&[log_key(), auditor()]);
    let judge = |a: &(TlogProof, HashValue), b: &(TlogProof, HashValue)| {
        check(Evidence::leaves(a, b, &keys))
    };
    let different = (leaf(&one, 3, 5), leaf(&other, 3, 6));
    let files = Evidence::leaves(&different.0, &different.1, &keys).unwrap();
    let expected = [vec![log(&log_key())], vec![cosigner(&auditor())]];
    assert_eq!(accused(&files), expected);
    // Growth: the same leaf in a larger tree, and another leaf.
    let grown = judge(&leaf(&one, 2, 4), &leaf(&other, 2, 6));
    assert_eq!(grown, "evidence-no-contradiction");
    let another = judge(&leaf(&one, 3, 5), &leaf(&other, 4, 6));
    assert_eq!(another, "evidence-subject");
    // Not the leaf of the proof.
    let mut swapped = different.1.clone();
    swapped.1 = different.0.1;
    assert_eq!(judge(&different.0, &swapped), "head-log-inclusion");
    swapped.1 = leaf_hash(b"made up");
    assert_eq!(judge(&different.0, &swapped), "head-log-inclusion");
    // By two parties.
    let side = |(proof, leaf): &(TlogProof, HashValue), key: SignerKey| {
        serde_json::json!({
            "key": key.verifier().to_string(), "leaf_hash": hex::encode(leaf),
            "proof": proof.to_string(),
        })
    };
    let json = serde_json::json!({
        "evidence": "overt.leaves/v1",
        "first": side(&different.0, log_key()), "second": side(&different.1, auditor()),
    });
    let mixed = Evidence::parse(json.to_string().as_bytes()).and_then(|file| file.verify());
    assert_eq!(check(mixed), "evidence-parties");
    let unsigned = check(Evidence::leaves(
        &different.0,
        &different.1,
        &public(&[auditor_2()]),
    ));
    assert_eq!(unsigned, "evidence-parties");
}

/// Any two trees that part, at any place and of any sizes, give two such leaves; others none.
#[test]
fn wherever_two_trees_part_there_are_two_leaves() {
    let keys = [log_key()];
    let signed_tree =
        |log: &Log, size| signed(Checkpoint::new(ORIGIN, log.at(size)).unwrap(), &keys);
    let leaves = |fork: Option<u64>, size: u64| {
        Log::of((0..size).map(|i| {
            let told = fork.is_some_and(|fork| i == fork || i > fork + 2);
            leaf_hash(&[&i.to_be_bytes()[..], &[u8::from(told)]].concat())
        }))
    };
    for (first, second) in [(1, 1), (2, 5), (8, 8), (13, 7), (16, 33), (37, 37)] {
        for fork in 0..=first.min(second) {
            let (mut a, mut b) = (leaves(None, first), leaves(Some(fork), second));
            let common = first.min(second);
            let found = first_difference(&mut a, &mut b, common).unwrap();
            assert_eq!(found, (fork < common).then_some(fork));
            let (of_a, of_b) = (signed_tree(&a, first), signed_tree(&b, second));
            let pair = prove_difference((&mut a, &of_a), (&mut b, &of_b)).unwrap();
            assert_eq!(pair.is_some(), fork < common);
            if let Some([a, b]) = pair {
                assert_eq!((a.0.index(), b.0.index()), (fork, fork));
                let files = Evidence::leaves(&a, &b, &public(&keys)).unwrap();
                assert_eq!(accused(&files), [[log(&log_key())]]);
            }
        }
    }
}
