//! The implicit tree and the ladders of another implementation (`tests/vectors/README.md`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use overt_protocol::implicit_tree::{frontier, right_direct_path, root, update_view};
use overt_protocol::ladder::{monitoring_ladder, search_ladder};
use serde_json::Value;

fn primitives() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/primitives.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .collect()
}

fn version(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn implicit_binary_search_trees() {
    let mut disagreements = 0;
    for tree in primitives()["implicit_binary_search_tree"]
        .as_array()
        .unwrap()
    {
        let n = tree["n"].as_u64().unwrap();
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
            // The text: if no entry of the direct path is to the right, entry `last - 1` is on the
            // frontier, and the remainder of the frontier is provided all the same. The vectors
            // have nothing there; the text wins.
            let rightmost_on_frontier = last.filter(|l| frontier(n).any(|p| p + 1 == *l));
            if let Some(last) = rightmost_on_frontier.filter(|last| *last < n) {
                let remainder: Vec<u64> = frontier(n).filter(|p| *p >= last).collect();
                assert_eq!((ours, theirs), (remainder, Vec::new()), "{last} to {n}");
                disagreements += 1;
            } else {
                assert_eq!(ours, theirs, "{last:?} to {n}");
            }
        }
    }
    assert_eq!(disagreements, 51);
}

#[test]
fn ladders() {
    let primitives = primitives();
    let versions = |entry: &Value| numbers(&entry["versions"]);
    let widen = |ladder: Vec<u32>| ladder.into_iter().map(u64::from).collect::<Vec<_>>();
    for entry in primitives["search_binary_ladder"].as_array().unwrap() {
        let (target, greatest) = (version(&entry["target"]), version(&entry["greatest"]));
        assert_eq!(
            widen(search_ladder(target, Some(greatest))),
            versions(entry),
            "{target} {greatest}"
        );
    }
    for entry in primitives["monitoring_binary_ladder"].as_array().unwrap() {
        assert_eq!(
            widen(monitoring_ladder(version(&entry["target"]))),
            versions(entry)
        );
    }
}
