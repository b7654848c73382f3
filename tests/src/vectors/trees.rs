//! `trees.json`: the implicit binary search tree, binary ladders, distinguished log entries, and
//! the hashes and proofs of log tree and prefix tree.

use std::collections::HashMap;

use overt_protocol::combined::{Lookups, Source, View};
use overt_protocol::distinguished::{Recent, walk};
use overt_protocol::error::VerifyError;
use overt_protocol::implicit_tree::{frontier, right_direct_path, root, update_view};
use overt_protocol::ladder::{monitoring_ladder, search_ladder};
use overt_protocol::log_tree::{
    BatchProof, Subtree, append_leaf, leaf_value, root_of_full_subtrees,
};
use overt_protocol::monitor::owner_init_versions;
use overt_protocol::update::NewVersions;
use overt_protocol::wire::{Configuration, HashValue, InclusionProof, LogEntry};
use serde_json::{Value, json};

use super::setting::Setting;
use super::{DRAFT, hexed, prefix_tree, seed};

/// The file.
pub(super) fn file() -> Value {
    json!({
        "format": "overt-trees-1",
        "draft_commit": DRAFT,
        "implicit_binary_search_tree": implicit_trees(),
        "search_binary_ladder": search_ladders(),
        "monitoring_binary_ladder": monitoring_ladders(),
        "owner_init_ladder": owner_init_ladders(),
        "update_ladder": update_ladders(),
        "distinguished": distinguished(),
        "recent_heads": recent_heads(),
        "log_tree": log_tree(),
        "prefix_tree": prefix_tree::trees(),
    })
}

fn implicit_trees() -> Value {
    let large = [(1 << 32) + 5, (1 << 40) - 1, (1 << 52) + 12_345];
    let sizes = (1..=9).chain([13, 31, 50, 64, 1000]).chain(large);
    let tree = |n: u64| {
        let positions = [0, 1, n / 3, n / 2, n - 1].map(|p| p.min(n - 1));
        let paths = positions.map(|p| (p.to_string(), json!(right_direct_path(p, n))));
        let seen = [1, n / 3, n / 2, n - 1, n].into_iter().filter(|n| *n > 0);
        let mut views: Vec<_> = seen
            .map(|last| (last.to_string(), json!(update_view(Some(last), n))))
            .collect();
        views.push(("none".to_owned(), json!(update_view(None, n))));
        json!({
            "n": n,
            "root": root(n),
            "frontier": frontier(n).collect::<Vec<_>>(),
            "right_direct_path": Value::Object(paths.into_iter().collect()),
            "update_view_from": Value::Object(views.into_iter().collect()),
        })
    };
    sizes.map(tree).collect()
}

/// Versions around powers of two, and the greatest there can be.
const VERSIONS: [u32; 16] = [
    0,
    1,
    2,
    3,
    6,
    7,
    8,
    100,
    1023,
    1024,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
    u32::MAX - 2,
    u32::MAX - 1,
    u32::MAX,
];

fn search_ladders() -> Value {
    let mut out = Vec::new();
    for target in VERSIONS {
        let around = [target.checked_sub(1), Some(target), target.checked_add(1)];
        let mut greatest: Vec<Option<u32>> = around.into_iter().filter(Option::is_some).collect();
        greatest.extend([None, Some(target / 2), Some(u32::MAX)]);
        greatest.sort_unstable();
        greatest.dedup();
        for greatest in greatest {
            let versions = search_ladder(target, greatest);
            out.push(json!({"target": target, "greatest": greatest, "versions": versions}));
        }
    }
    out.into()
}

fn monitoring_ladders() -> Value {
    let ladder = |target| json!({"target": target, "versions": monitoring_ladder(target)});
    VERSIONS.into_iter().map(ladder).collect()
}

fn owner_init_ladders() -> Value {
    let greatest: [&[u32]; 6] = [&[], &[0], &[9, 4, 4], &[5, 1, 0], &[64, 63, 7], &[u32::MAX]];
    let ladder = |greatest: &&[u32]| json!({"greatest_versions": greatest, "versions": owner_init_versions(greatest)});
    greatest.iter().map(ladder).collect()
}

fn update_ladders() -> Value {
    let updates = [
        (None, 1),
        (None, 5),
        (Some(0), 1),
        (Some(2), 3),
        (Some(6), 1),
        (Some(7), 1),
        (Some(62), 4),
        (Some(u32::MAX - 3), 3),
        (Some(u32::MAX - 1), 1),
    ];
    let ladder = |(previous, count): (Option<u32>, u64)| {
        let new = NewVersions::after(previous, count, 1).unwrap();
        json!({
            "greatest_before": previous,
            "new_versions": count,
            "versions": new.ladder_versions(previous),
        })
    };
    updates.into_iter().map(ladder).collect()
}

/// Hands out timestamps.
struct Clock<'a>(&'a [u64]);

impl Source for Clock<'_> {
    type Error = VerifyError;

    fn timestamp(&mut self, position: u64) -> Result<u64, VerifyError> {
        Ok(self.0[position as usize])
    }

    fn lookups(&mut self, _: u64, _: &mut dyn Lookups) -> Result<HashValue, VerifyError> {
        unreachable!("distinguished entries depend on timestamps alone")
    }

    fn stops_before(&mut self, _: u64, _: Option<u32>) -> Result<bool, VerifyError> {
        unreachable!("distinguished entries depend on timestamps alone")
    }
}

fn walked(config: &Configuration, times: &[u64], recent: Recent, stop: Option<u64>) -> Vec<u64> {
    let size = times.len() as u64;
    let mut view = View::update(config, Clock(times), size, None, &[]).unwrap();
    walk(&mut view, recent, stop).unwrap()
}

/// Logs whose entries come in bursts and at leisure.
fn distinguished() -> Value {
    let mut out = Vec::new();
    let bursts = |n: u64| n * 10 + (n * n * 7) % 23 + if n.is_multiple_of(5) { 0 } else { 30 };
    for (size, start) in [(1, 5_000), (2, 0), (23, 0), (40, 5_000)] {
        let mut times: Vec<u64> = (0..size).map(|n| start + bursts(n)).collect();
        times.sort_unstable();
        for window in [0, 1, 25, 60, 150, 400, 1_000_000] {
            out.push(log_of(&times, window, None));
        }
        for lifetime in [61, 160, 300] {
            out.push(log_of(&times, 60, Some(lifetime)));
        }
    }
    out.into()
}

fn log_of(times: &[u64], window: u64, lifetime: Option<u64>) -> Value {
    let mut config = Setting::all()[0].configuration();
    config.reasonable_monitoring_window = window;
    config.maximum_lifetime = None;
    let all = walked(&config, times, Recent::Count(usize::MAX), None);
    config.maximum_lifetime = lifetime;
    let rightmost = times[times.len() - 1];
    let expired = times.partition_point(|t| config.is_expired(*t, rightmost));
    let walks = [
        (Recent::Count(3), None),
        (Recent::Count(10), all.get(all.len() / 2).copied()),
        (Recent::Age(100), None),
    ];
    let walks = walks.map(|(recent, stop)| {
        let found = walked(&config, times, recent, stop);
        let mut walk = json!({"stop": stop, "found": found});
        match recent {
            Recent::Count(count) => walk["count"] = json!(count),
            Recent::Age(age) => walk["younger_than"] = json!(age),
        }
        walk
    });
    json!({
        "timestamps": times,
        "reasonable_monitoring_window": window,
        "maximum_lifetime": lifetime,
        "distinguished": all,
        "expired": (0..expired).collect::<Vec<_>>(),
        "walks": walks,
    })
}

/// Lists of roots that two users compare (section "Detecting Forks").
fn recent_heads() -> Value {
    let roots = |range: std::ops::Range<u8>, log: &str| -> Vec<String> {
        let root = |n| hex::encode(seed(&format!("root {n} of {log}")));
        range.map(root).collect()
    };
    let mut forked = roots(2..6, "one log");
    forked[1] = roots(3..4, "another log").remove(0);
    [
        (roots(0..4, "one log"), roots(0..4, "one log"), None),
        (roots(0..4, "one log"), roots(2..6, "one log"), None),
        (roots(3..7, "one log"), roots(0..4, "one log"), None),
        (
            roots(0..4, "one log"),
            roots(4..8, "one log"),
            Some("no-overlap"),
        ),
        (
            roots(0..4, "one log"),
            roots(0..4, "another log"),
            Some("no-overlap"),
        ),
        (roots(0..4, "one log"), forked, Some("no-overlap")),
        (
            roots(0..4, "one log"),
            roots(0..3, "one log"),
            Some("length"),
        ),
        (Vec::new(), Vec::new(), Some("no-overlap")),
    ]
    .into_iter()
    .map(|(a, b, error)| json!({"heads": a, "other_heads": b, "error": error}))
    .collect()
}

fn log_tree() -> Value {
    let entries: Vec<LogEntry> = (0..13)
        .map(|n| LogEntry {
            timestamp: 1_800_000_000_000 + 1_000 * n,
            prefix_tree: seed(&format!("prefix tree {n}")),
        })
        .collect();
    let mut heads: Vec<HashValue> = Vec::new();
    let mut subtrees = HashMap::new();
    let mut trees = Vec::new();
    for (size, entry) in (0..).zip(&entries) {
        let (new, complete) = append_leaf(size, &heads, leaf_value(entry));
        heads = new;
        subtrees.extend(complete);
        trees.push(json!({
            "tree_size": size + 1,
            "full_subtrees": heads.iter().map(hex::encode).collect::<Vec<_>>(),
            "root": root_of_full_subtrees(size + 1, &heads).map(hex::encode),
        }));
    }
    let leaf = |entry: &LogEntry| {
        json!({
            "timestamp": entry.timestamp,
            "prefix_tree": hex::encode(entry.prefix_tree),
            "log_entry": hexed(entry),
            "value": hex::encode(leaf_value(entry)),
        })
    };
    json!({
        "leaves": entries.iter().map(leaf).collect::<Vec<_>>(),
        "trees": trees,
        "proofs": batch_proofs(&subtrees),
    })
}

type Subtrees = HashMap<Subtree, HashValue>;

/// Proofs of leaves to users who retained a tree or none, with or without an auditor's size.
fn batch_proofs(subtrees: &Subtrees) -> Value {
    let mut out = Vec::new();
    for (size, leaves, last, auditor) in [
        (1, &[0][..], None, None),
        (2, &[1], Some(1), None),
        (7, &[2, 3, 6], None, None),
        (8, &[], Some(5), None),
        (13, &[0, 12], None, None),
        (13, &[7, 11, 12], Some(7), None),
        (13, &[11, 12], Some(8), None),
        (13, &[3, 12], Some(6), None),
        (13, &[12], None, Some(11)),
        (13, &[9, 12], Some(6), Some(10)),
        (13, &[], Some(13), None),
    ] {
        let plan = BatchProof::plan(size, leaves, last, auditor);
        let nodes: Vec<Subtree> = plan.elements().collect();
        let elements: Vec<HashValue> = nodes.iter().map(|node| subtrees[node]).collect();
        let proof = |elements| InclusionProof { elements };
        let few = elements.split_last().map(|(_, rest)| rest.to_vec());
        let many = [elements.as_slice(), &[[0; 32]]].concat();
        let mut rejected = vec![reject("one element too many", "elements", &proof(many))];
        rejected.extend(few.map(|few| reject("one element short", "elements", &proof(few))));
        let changed = (0..elements.len()).find_map(|at| {
            let mut elements = elements.clone();
            elements[at][0] ^= 1;
            let retained = |node| Some(subtrees[&node]);
            let leaf = |position| subtrees.get(&Subtree::leaf(position)).copied();
            plan.evaluate(&elements, leaf, retained)
                .is_err()
                .then_some(elements)
        });
        let why = "another value below a retained head";
        rejected.extend(changed.map(|wrong| reject(why, "retained", &proof(wrong))));
        let range = |node: &Subtree| [node.start(), node.start() + node.size()];
        out.push(json!({
            "tree_size": size,
            "leaves": leaves,
            "last": last,
            "auditor_tree_size": auditor,
            "nodes": nodes.iter().map(range).collect::<Vec<_>>(),
            "proof": hexed(&proof(elements)),
            "rejected": rejected,
        }));
    }
    out.into()
}

fn reject(why: &str, error: &str, proof: &InclusionProof) -> Value {
    json!({"proof": hexed(proof), "error": error, "why": why})
}
