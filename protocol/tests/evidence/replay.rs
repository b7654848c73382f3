//! Leaves of the head log that do not follow from one another.

use overt_protocol::auditor::AuditorState;
use overt_protocol::evidence::{Accused, Evidence, EvidenceError};
use overt_protocol::head_log::key::SignerKey;
use overt_protocol::log_tree::{append_leaf, leaf_value, root_of_full_subtrees};
use overt_protocol::prefix_tree::{evaluate_changes, prove};
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::{AuditorUpdate, HashValue, PrefixLeaf};

use crate::file::{accused, check};
use crate::world::*;

/// Heads of the full subtrees of the log tree of so many entries.
pub(crate) fn subtrees(history: &History, size: u64) -> Vec<HashValue> {
    let mut heads = Vec::new();
    for position in 0..size {
        let leaf = leaf_value(&history.log.entries[position as usize]);
        heads = append_leaf(position, &heads, leaf).0;
    }
    heads
}

fn judge(
    history: &History,
    (first, second): (u64, u64),
    full_subtrees: &[HashValue],
    keys: &[SignerKey],
) -> Result<Vec<Evidence>, EvidenceError> {
    let (a, b) = (
        history.proof(first, first, keys),
        history.proof(second, history.size(), keys),
    );
    let (a, b) = ((&a.0, &a.1[..]), (&b.0, &b.1[..]));
    Evidence::records(a, b, full_subtrees, &public(keys))
}

/// A log whose head log tells of other times or roots than the directory has.
fn told(change: impl Fn(&mut History)) -> History {
    let mut history = History::of(&["a", "b", "c", "d", "e", "f", "g"]);
    change(&mut history);
    history
}

#[test]
fn times_run_backwards() {
    let keys = [log_key(), auditor()];
    let backwards = told(|h| h.records[5].entry.timestamp = START);
    let files = judge(&backwards, (3, 6), &[], &keys).unwrap();
    let expected = [
        vec![Accused::HeadLog(log_key().verifier().to_string())],
        vec![Accused::ReplayingCosigner(auditor().verifier().to_string())],
    ];
    assert_eq!(accused(&files), expected);
    assert_eq!(files[0].verify().unwrap().code, "time-backwards");
    // Equal times are allowed, and so are later ones of leaves that are not adjacent.
    let equal = judge(&backwards, (1, 6), &[], &keys);
    assert_eq!(check(equal), "evidence-subject");
    let honest = judge(&told(|_| ()), (3, 6), &[], &keys);
    assert_eq!(check(honest), "evidence-subject");
    let swapped = judge(&backwards, (6, 3), &[], &keys);
    assert_eq!(check(swapped), "evidence-subject");
    let once = judge(&backwards, (6, 6), &[], &keys);
    assert_eq!(check(once), "evidence-subject");
    // One entry told in two ways is a fork, which other files prove.
    let honest = told(|_| ()).proof(6, 6, &keys);
    let other = backwards.proof(6, 7, &keys);
    let (a, b) = ((&honest.0, &honest.1[..]), (&other.0, &other.1[..]));
    let twice = Evidence::records(a, b, &[], &public(&keys));
    assert_eq!(check(twice), "evidence-subject");
    let two = told(|h| {
        h.records[5].entry.timestamp = START;
        h.records[5].config_hash = [9; 32];
    });
    assert_eq!(check(judge(&two, (3, 6), &[], &keys)), "evidence-subject");
}

#[test]
fn roots_do_not_follow() {
    let keys = [log_key()];
    for size in 1..7 {
        let honest = told(|_| ());
        let frontier = subtrees(&honest, size);
        assert_eq!(
            root_of_full_subtrees(size, &frontier),
            Some(honest.records[size as usize - 1].root)
        );
        let at = (size, size + 1);
        let follows = judge(&honest, at, &frontier, &keys);
        assert_eq!(check(follows), "evidence-no-contradiction");
        for change in [
            |h: &mut History, at: usize| h.records[at].root[0] ^= 1,
            |h: &mut History, at: usize| h.records[at].entry.timestamp += 1,
            |h: &mut History, at: usize| h.records[at].entry.prefix_tree[0] ^= 1,
        ] {
            let rewritten = told(|h| change(h, size as usize));
            let files = judge(&rewritten, at, &frontier, &keys).unwrap();
            assert_eq!(files[0].verify().unwrap().code, "root-not-following");
            let none = judge(&rewritten, at, &[], &keys);
            assert_eq!(check(none), "evidence-subject");
            let mut wrong = frontier.clone();
            wrong[0][0] ^= 1;
            let wrong = judge(&rewritten, at, &wrong, &keys);
            assert_eq!(check(wrong), "evidence-subject");
            let later = judge(&rewritten, (size, 7), &frontier, &keys);
            assert_eq!(later.is_ok(), size == 6);
        }
    }
}

type Leaves = Vec<PrefixLeaf>;

/// A log that replaces Alice's first value in its last entry, and the update that tells so.
fn altering(lifetime: Option<u64>, to: impl Fn(&mut Leaves)) -> (History, AuditorUpdate) {
    let values = ["a", "b", "c"];
    let mut history = History::with(CipherSuite::Kt128Sha256Ed25519, lifetime, &values);
    let log = &history.log;
    let mut added = vec![log.labels[&b"alice".to_vec()][0].0.leaf];
    let removed = added.clone();
    to(&mut added);
    let keys: Vec<HashValue> = [&added, &removed]
        .into_iter()
        .flatten()
        .map(|leaf| leaf.vrf_output)
        .collect();
    let mut proof = prove(&log.pages, log.roots[2], &keys[..1]).unwrap();
    proof.results = vec![proof.results[0]; keys.len()];
    let (before, after) = evaluate_changes(&added, &removed, &proof).unwrap();
    assert_eq!(before, log.entries[2].prefix_tree);
    let update = AuditorUpdate {
        timestamp: START + 100,
        added,
        removed,
        proof,
    };
    let mut record = history.records[2];
    record.tree_size = 4;
    record.entry.prefix_tree = after;
    record.entry.timestamp = update.timestamp;
    history.records.push(record);
    (history, update)
}

fn judge_update(
    history: &History,
    update: &AuditorUpdate,
    sizes: (u64, u64),
    keys: &[SignerKey],
) -> Result<Vec<Evidence>, EvidenceError> {
    let (a, b) = (
        history.proof(sizes.0, 4, keys),
        history.proof(sizes.1, 4, keys),
    );
    let (a, b) = ((&a.0, &a.1[..]), (&b.0, &b.1[..]));
    Evidence::update(history.config(), a, b, update, &public(keys))
}

fn another(added: &mut Leaves) {
    added[0].commitment[0] ^= 1;
}

#[test]
fn a_leaf_is_altered() {
    let keys = [log_key(), auditor()];
    for gone in [another, Leaves::clear] {
        let (history, update) = altering(None, gone);
        let files = judge_update(&history, &update, (3, 4), &keys).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].verify().unwrap().code, "leaf-altered");
        let other = judge_update(&history, &update, (2, 4), &keys);
        assert_eq!(check(other), "evidence-subject");
        let other = judge_update(&history, &update, (2, 3), &keys);
        assert_eq!(check(other), "evidence-subject");
        let mut more = update.clone();
        more.timestamp += 1;
        let more = judge_update(&history, &more, (3, 4), &keys);
        assert_eq!(check(more), "evidence-subject");
        let mut bad = update.clone();
        bad.proof.elements.clear();
        let bad = judge_update(&history, &bad, (3, 4), &keys);
        assert_eq!(check(bad), "evidence-update-proof");
        let mut other = history.log.config.clone();
        other.max_behind += 1;
        let (a, b) = (history.proof(3, 4, &keys), history.proof(4, 4, &keys));
        let (a, b) = ((&a.0, &a.1[..]), (&b.0, &b.1[..]));
        let other = Evidence::update(&other, a, b, &update, &public(&keys));
        assert_eq!(check(other), "evidence-subject");
    }
    let (history, update) = altering(Some(1_000_000), another);
    let expiring = judge_update(&history, &update, (3, 4), &keys);
    assert_eq!(check(expiring), "evidence-no-contradiction");
    let (history, update) = altering(None, |_| ());
    let same = judge_update(&history, &update, (3, 4), &keys);
    assert_eq!(check(same), "evidence-no-contradiction");
}

/// What an honest log gives its auditors is no evidence.
#[test]
fn honest_updates_alter_nothing() {
    let history = History::of(&["a", "b", "c", "d"]);
    let mut state = AuditorState::empty();
    for position in 0..4 {
        let update =
            overt_protocol::provider::auditor_update(&history.log.published(), position).unwrap();
        let never = |_: &HashValue, _| Ok::<_, overt_protocol::auditor::AuditError>(false);
        state = state.apply(history.config(), &update, never).unwrap();
        if position > 0 {
            let sizes = (position, position + 1);
            let nothing = judge_update(&history, &update, sizes, &[log_key()]);
            assert_eq!(check(nothing), "evidence-no-contradiction");
        }
    }
}

pub(crate) fn samples() -> Vec<(&'static str, Evidence)> {
    let keys = [log_key()];
    let backwards = told(|h| h.records[5].entry.timestamp = START);
    let rewritten = told(|h| h.records[5].root[0] ^= 1);
    let (history, update) = altering(None, another);
    let first = |files: Result<Vec<Evidence>, EvidenceError>| files.unwrap().remove(0);
    vec![
        ("times", first(judge(&backwards, (3, 6), &[], &keys))),
        (
            "roots",
            first(judge(&rewritten, (5, 6), &subtrees(&rewritten, 5), &keys)),
        ),
        (
            "update",
            first(judge_update(&history, &update, (3, 4), &keys)),
        ),
    ]
}
