//! The implicit tree and the ladders of another implementation, and these and more of our own
//! (`tests/vectors/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "support/json.rs"]
mod json;

use std::collections::BTreeSet;

use json::{array, bytes, list, number, numbers, optional, text, vectors, version};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::combined::{Lookups, Source, View};
use overt_protocol::distinguished::{Recent, RootsError, compare_roots, walk};
use overt_protocol::error::VerifyError;
use overt_protocol::implicit_tree::{frontier, left, right, right_direct_path, root, update_view};
use overt_protocol::ladder::{monitoring_ladder, search_ladder};
use overt_protocol::log_tree::{
    BatchProof, BatchProofError, full_subtrees, leaf_value, root_of_full_subtrees,
};
use overt_protocol::monitor::owner_init_versions;
use overt_protocol::prefix_tree::{self, Lookup, PrefixProofError, evaluate};
use overt_protocol::suite::CipherSuite;
use overt_protocol::update::NewVersions;
use overt_protocol::wire::{
    Configuration, DeploymentMode, HashValue, InclusionProof, LogEntry, PrefixLeaf, PrefixProof,
};
use serde_json::Value;

const THEIRS: &str = "primitives.json";
const OURS: &str = "overt/trees.json";

#[test]
fn implicit_binary_search_trees() {
    for (file, expected) in [(THEIRS, 51), (OURS, 0)] {
        let mut disagreements = 0;
        for tree in list(&vectors(file)["implicit_binary_search_tree"]) {
            let n = number(&tree["n"]);
            assert_eq!(root(n), tree["root"].as_u64());
            assert_eq!(
                frontier(n).collect::<Vec<_>>(),
                numbers(&tree["frontier"]),
                "frontier of {n}"
            );
            for (position, path) in tree["right_direct_path"].as_object().unwrap() {
                let ours = right_direct_path(position.parse().unwrap(), n);
                assert_eq!(ours, numbers(path), "path of {position} in {n}");
            }
            for (last, entries) in tree["update_view_from"].as_object().unwrap() {
                let last = last.parse().ok();
                let ours = update_view(last, n);
                let theirs = numbers(entries);
                // The text: if no entry of the direct path is to the right, entry `last - 1` is on
                // the frontier, and the remainder of the frontier is provided all the same. Their
                // vectors have nothing there; the text wins.
                let rightmost_on_frontier = last.filter(|l| frontier(n).any(|p| p + 1 == *l));
                let is_theirs = |last: &u64| file == THEIRS && *last < n;
                if let Some(last) = rightmost_on_frontier.filter(is_theirs) {
                    let remainder: Vec<u64> = frontier(n).filter(|p| *p >= last).collect();
                    assert_eq!((ours, theirs), (remainder, Vec::new()), "{last} to {n}");
                    disagreements += 1;
                } else {
                    assert_eq!(ours, theirs, "{last:?} to {n}");
                }
            }
        }
        assert_eq!(disagreements, expected);
    }
}

#[test]
fn ladders() {
    let versions = |entry: &Value| numbers(&entry["versions"]);
    let widen = |ladder: Vec<u32>| ladder.into_iter().map(u64::from).collect::<Vec<_>>();
    for file in [THEIRS, OURS] {
        let primitives = vectors(file);
        for entry in list(&primitives["search_binary_ladder"]) {
            let target = version(&entry["target"]);
            let greatest = optional(&entry["greatest"], version);
            assert_eq!(
                widen(search_ladder(target, greatest)),
                versions(entry),
                "{target} {greatest:?}"
            );
        }
        for entry in list(&primitives["monitoring_binary_ladder"]) {
            assert_eq!(
                widen(monitoring_ladder(version(&entry["target"]))),
                versions(entry)
            );
        }
    }
    let ours = vectors(OURS);
    for entry in list(&ours["owner_init_ladder"]) {
        let greatest: Vec<u32> = list(&entry["greatest_versions"])
            .iter()
            .map(version)
            .collect();
        assert_eq!(widen(owner_init_versions(&greatest)), versions(entry));
    }
    for entry in list(&ours["update_ladder"]) {
        let before = optional(&entry["greatest_before"], version);
        let new = NewVersions::after(before, number(&entry["new_versions"]), 1).unwrap();
        assert_eq!(widen(new.ladder_versions(before)), versions(entry));
    }
}

/// A log of which only the timestamps matter.
struct Clock<'a>(&'a [u64]);

impl Source for Clock<'_> {
    type Error = VerifyError;
    fn timestamp(&mut self, position: u64) -> Result<u64, VerifyError> {
        Ok(self.0[usize::try_from(position).unwrap()])
    }
    fn lookups(&mut self, _: u64, _: &mut dyn Lookups) -> Result<HashValue, VerifyError> {
        panic!("nothing is looked up")
    }
    fn stops_before(&mut self, _: u64, _: Option<u32>) -> Result<bool, VerifyError> {
        panic!("nobody monitors")
    }
}

/// Section "Reasonable Monitoring Window", followed literally.
fn distinguished(
    entry: Option<u64>,
    times: &[u64],
    window: u64,
    (before, after): (u64, u64),
    out: &mut BTreeSet<u64>,
) {
    let Some(x) = entry.filter(|_| after - before >= window) else {
        return;
    };
    out.insert(x);
    let time = times[usize::try_from(x).unwrap()];
    distinguished(left(x), times, window, (before, time), out);
    let child = right(x, times.len() as u64);
    distinguished(child, times, window, (time, after), out);
}

#[test]
fn distinguished_and_expired_entries() {
    for log in list(&vectors(OURS)["distinguished"]) {
        let times = numbers(&log["timestamps"]);
        let (size, rightmost) = (times.len() as u64, *times.last().unwrap());
        let config = Configuration {
            ciphersuite: CipherSuite::Kt128Sha256Ed25519,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: Vec::new(),
            vrf_public_key: Vec::new(),
            max_ahead: 0,
            max_behind: 0,
            reasonable_monitoring_window: number(&log["reasonable_monitoring_window"]),
            maximum_lifetime: optional(&log["maximum_lifetime"], number),
        };
        let mut all = BTreeSet::new();
        let window = config.reasonable_monitoring_window;
        distinguished(root(size), &times, window, (0, rightmost), &mut all);
        assert_eq!(
            all.iter().copied().collect::<Vec<_>>(),
            numbers(&log["distinguished"])
        );
        let mut view = View::update(&config, Clock(&times), size, None, &[]).unwrap();
        let last = view.rightmost_distinguished().unwrap();
        assert_eq!(last, all.last().copied());
        let expired = (0..size).filter(|p| view.is_expired(*p).unwrap());
        assert_eq!(expired.collect::<Vec<_>>(), numbers(&log["expired"]));
        for walked in list(&log["walks"]) {
            let count = optional(&walked["count"], number);
            let recent = match count {
                Some(count) => Recent::Count(usize::try_from(count).unwrap()),
                None => Recent::Age(number(&walked["younger_than"])),
            };
            let mut view = View::update(&config, Clock(&times), size, None, &[]).unwrap();
            let stop = optional(&walked["stop"], number);
            let found = walk(&mut view, recent, stop).unwrap();
            assert_eq!(found, numbers(&walked["found"]), "{recent:?} in {times:?}");
        }
    }
}

#[test]
fn recent_heads_are_compared() {
    let heads = |value| list(value).iter().map(array).collect::<Vec<HashValue>>();
    for pair in list(&vectors(OURS)["recent_heads"]) {
        let (a, b) = (heads(&pair["heads"]), heads(&pair["other_heads"]));
        let error = compare_roots(&a, &b).err().map(|error| match error {
            RootsError::Length(..) => "length",
            RootsError::NoOverlap => "no-overlap",
        });
        assert_eq!(error, optional(&pair["error"], text));
    }
}

#[test]
fn log_trees() {
    let tree = &vectors(OURS)["log_tree"];
    let mut values: Vec<HashValue> = Vec::new();
    for leaf in list(&tree["leaves"]) {
        let entry = LogEntry {
            timestamp: number(&leaf["timestamp"]),
            prefix_tree: array(&leaf["prefix_tree"]),
        };
        assert_eq!(entry.to_bytes().unwrap(), bytes(&leaf["log_entry"]));
        assert_eq!(leaf_value(&entry), array(&leaf["value"]));
        values.push(leaf_value(&entry));
    }
    for tree in list(&tree["trees"]) {
        let heads: Vec<HashValue> = list(&tree["full_subtrees"]).iter().map(array).collect();
        let size = number(&tree["tree_size"]);
        assert_eq!(
            root_of_full_subtrees(size, &heads),
            Some(array(&tree["root"]))
        );
    }
    let sized = |size: u64| &tree["trees"][usize::try_from(size).unwrap() - 1];
    for proof in list(&tree["proofs"]) {
        let size = number(&proof["tree_size"]);
        let last = optional(&proof["last"], number);
        let auditor = optional(&proof["auditor_tree_size"], number);
        let plan = BatchProof::plan(size, &numbers(&proof["leaves"]), last, auditor);
        let nodes = plan
            .elements()
            .map(|node| vec![node.start(), node.start() + node.size()]);
        let theirs: Vec<Vec<u64>> = list(&proof["nodes"]).iter().map(numbers).collect();
        assert_eq!(nodes.collect::<Vec<_>>(), theirs);
        let run = |encoded: &Value| {
            let proof = InclusionProof::from_bytes(&bytes(encoded), &()).unwrap();
            plan.evaluate(
                &proof.elements,
                |position| values.get(usize::try_from(position).unwrap()).copied(),
                |subtree| {
                    let last = last?;
                    let at = full_subtrees(last).iter().position(|t| *t == subtree)?;
                    Some(array(&sized(last)["full_subtrees"][at]))
                },
            )
        };
        let shown = run(&proof["proof"]).unwrap();
        assert_eq!(shown.root, array(&sized(size)["root"]));
        let audited = auditor.map(|size| array(&sized(size)["root"]));
        assert_eq!(shown.auditor_root, audited);
        for wrong in list(&proof["rejected"]) {
            let error = match run(&wrong["proof"]).unwrap_err() {
                BatchProofError::Elements { .. } => "elements",
                BatchProofError::Retained { .. } => "retained",
                BatchProofError::Missing => "missing",
            };
            assert_eq!(error, wrong["error"], "{wrong}");
        }
    }
}

#[test]
fn prefix_trees() {
    let mut seen = BTreeSet::new();
    for tree in list(&vectors(OURS)["prefix_tree"]) {
        for leaf in list(&tree["leaves"]) {
            let (vrf_output, commitment) = (array(&leaf["vrf_output"]), array(&leaf["commitment"]));
            let value = prefix_tree::leaf_value(&PrefixLeaf {
                vrf_output,
                commitment,
            });
            assert_eq!(value, array(&leaf["value"]));
        }
        let root: HashValue = array(&tree["root"]);
        let run = |example: &Value| {
            let lookups = list(&example["lookups"]).iter().map(|lookup| Lookup {
                vrf_output: array(&lookup["vrf_output"]),
                commitment: optional(&lookup["commitment"], array),
            });
            let proof = PrefixProof::from_bytes(&bytes(&example["proof"]), &()).unwrap();
            evaluate(&lookups.collect::<Vec<_>>(), &proof)
        };
        for proof in list(&tree["proofs"]) {
            assert_eq!(run(proof), Ok(root));
            for wrong in proof["rejected"].as_array().into_iter().flatten() {
                let error = match run(wrong) {
                    Ok(other) => {
                        assert_ne!(other, root, "{wrong}");
                        "root"
                    }
                    Err(PrefixProofError::Results { .. }) => "results",
                    Err(PrefixProofError::Elements(_)) => "elements",
                    Err(PrefixProofError::AlreadyIncluded) => "already-included",
                    Err(PrefixProofError::NotIncluded) => "not-included",
                    Err(PrefixProofError::DuplicateKey) => "duplicate-key",
                    Err(PrefixProofError::NoCommitment) => "no-commitment",
                    Err(PrefixProofError::UnrelatedLeaf) => "unrelated-leaf",
                    Err(PrefixProofError::Contradiction) => "contradiction",
                };
                assert_eq!(error, wrong["error"], "{wrong}");
                seen.insert(error);
            }
        }
    }
    // Auditors alone add and remove leaves: the rest is among their sessions.
    let all = "contradiction duplicate-key elements no-commitment results root unrelated-leaf";
    assert_eq!(seen.into_iter().collect::<Vec<_>>().join(" "), all);
}
