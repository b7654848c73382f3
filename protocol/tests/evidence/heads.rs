//! Tree heads, and leaves of the head log that contradict them.

use overt_protocol::evidence::{Accused, Evidence, EvidenceError, Head};
use overt_protocol::head_log::key::SignerKey;
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::{Configuration, DeploymentMode};

use crate::file::check;
use crate::world::*;

fn histories(suite: CipherSuite) -> (History, History) {
    (
        History::with(suite, None, &["a", "b", "c"]),
        History::with(suite, None, &["a", "x", "c"]),
    )
}

fn hash(config: &Configuration) -> String {
    hex::encode(config.hash().unwrap())
}

#[test]
fn two_heads_of_one_size() {
    for suite in CipherSuite::ALL {
        let (one, other) = histories(suite);
        let config = one.config();
        let judge = |a: Head, b: Head| Evidence::heads(config, a, b);
        let file = judge(one.head(2), other.head(2)).unwrap();
        let expected = [Accused::Directory(hash(config))];
        assert_eq!(file.verify().unwrap().accused, expected);
        let same = check(judge(one.head(1), other.head(1)));
        assert_eq!(same, "evidence-no-contradiction");
        let grown = check(judge(one.head(2), other.head(3)));
        assert_eq!(grown, "evidence-subject");
        let mut forged = other.head(2);
        forged.root.0[0] ^= 1;
        assert_eq!(check(judge(one.head(2), forged)), "evidence-head-signature");
        // Another directory with the same key.
        let mut looser = config.clone();
        looser.max_behind += 1;
        let foreign = Evidence::heads(&looser, one.head(2), other.head(2));
        assert_eq!(check(foreign), "evidence-head-signature");
    }
}

#[test]
fn two_heads_of_an_auditor() {
    let (one, other) = histories(CipherSuite::Kt128Sha256Ed25519);
    let config = one.config();
    let judge = |a: Head, b: Head| Evidence::heads(config, a, b);
    let file = judge(one.auditor_head(2, 5), other.auditor_head(2, 5)).unwrap();
    let expected = [Accused::Auditor(hash(config))];
    assert_eq!(file.verify().unwrap().accused, expected);
    // A tree has one rightmost timestamp.
    let times = judge(one.auditor_head(2, 5), one.auditor_head(2, 6));
    assert_eq!(times.unwrap().verify().unwrap().accused, expected);
    let same = judge(one.auditor_head(2, 5), one.auditor_head(2, 5));
    assert_eq!(check(same), "evidence-no-contradiction");
    let mixed = judge(one.head(2), other.auditor_head(2, 5));
    assert_eq!(check(mixed), "evidence-parties");
    let mut config = config.clone();
    config.mode = DeploymentMode::ContactMonitoring;
    let nobody = Evidence::heads(&config, one.auditor_head(2, 5), other.auditor_head(2, 5));
    assert_eq!(check(nobody), "evidence-parties");
}

fn judge(
    config: &Configuration,
    head: Head,
    (history, tree_size): (&History, u64),
    key: SignerKey,
) -> Result<Evidence, EvidenceError> {
    let keys = [key.clone()];
    let (proof, record) = history.proof(tree_size, 3, &keys);
    Evidence::head_and_record(config, head, (&proof, &record), key.verifier())
}

#[test]
fn a_head_and_a_leaf_that_says_otherwise() {
    let (one, other) = histories(CipherSuite::Kt128Sha256Ed25519);
    let config = one.config();
    let told = judge(config, one.head(2), (&other, 2), log_key()).unwrap();
    let mut expected = vec![
        Accused::Directory(hash(config)),
        Accused::HeadLog(log_key().verifier().to_string()),
    ];
    expected.sort();
    assert_eq!(told.verify().unwrap().accused, expected);

    let same = judge(config, one.head(2), (&one, 2), log_key());
    assert_eq!(check(same), "evidence-no-contradiction");
    let before = judge(config, one.head(1), (&other, 1), log_key());
    assert_eq!(check(before), "evidence-no-contradiction");
    let grown = judge(config, one.head(1), (&other, 2), log_key());
    assert_eq!(check(grown), "evidence-subject");
    let witness = judge(config, one.head(2), (&other, 2), auditor());
    assert_eq!(check(witness), "evidence-parties");
    let mut forged = one.head(2);
    forged.signature.0[0] ^= 1;
    let forged = judge(config, forged, (&other, 2), log_key());
    assert_eq!(check(forged), "evidence-head-signature");
    // The leaf of another directory.
    let mut stranger = History::of(&["a", "x", "c"]);
    for record in &mut stranger.records {
        record.config_hash = [9; 32];
    }
    let foreign = judge(config, one.head(2), (&stranger, 2), log_key());
    assert_eq!(check(foreign), "evidence-subject");
    // A leaf of another size than its index says.
    let mut misplaced = History::of(&["a", "x", "c"]);
    misplaced.records[1].tree_size = 3;
    let foreign = judge(config, one.head(3), (&misplaced, 2), log_key());
    assert_eq!(check(foreign), "evidence-subject");
}

#[test]
fn an_auditors_head_and_a_leaf_that_it_cosigned() {
    let (one, other) = histories(CipherSuite::Kt128Sha256Ed25519);
    let config = one.config();
    let at = one.records[1].entry.timestamp;
    let told = judge(config, one.auditor_head(2, at), (&other, 2), auditor()).unwrap();
    let mut expected = vec![
        Accused::Auditor(hash(config)),
        Accused::ReplayingCosigner(auditor().verifier().to_string()),
    ];
    expected.sort();
    assert_eq!(told.verify().unwrap().accused, expected);
    let time = judge(config, one.auditor_head(2, at + 1), (&one, 2), auditor());
    assert!(time.is_ok());
    let same = judge(config, one.auditor_head(2, at), (&one, 2), auditor());
    assert_eq!(check(same), "evidence-no-contradiction");
    let log = judge(config, one.auditor_head(2, at), (&other, 2), log_key());
    assert_eq!(check(log), "evidence-parties");
}
