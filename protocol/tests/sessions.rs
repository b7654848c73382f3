//! Sessions of another implementation's clients and of ours, verified with state carried from step
//! to step (`tests/vectors/README.md` tells where they come from).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "support/json.rs"]
mod json;
#[path = "support/session.rs"]
mod session;

use std::collections::BTreeSet;

use json::{array, bytes, check_names, list, number, text, vectors};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::user::Verifier;
use overt_protocol::wire::{Configuration, LogEntry};
use serde_json::{Map, Value};
use session::{Exchange, User};

const THEIRS: &str = "suite2-mode1.json";

/// Our own files: both suites, all modes, with a lifetime and without.
fn ours() -> Vec<String> {
    let mut out = Vec::new();
    for suite in 1..=2 {
        for mode in 1..=3 {
            for lifetime in ["", "-lifetime"] {
                out.push(format!("overt/suite{suite}-mode{mode}{lifetime}.json"));
            }
        }
    }
    out
}

/// Runs every session of a file. Returns the checks that refused a step.
fn run(file: &str) -> BTreeSet<String> {
    let vectors = vectors(file);
    let config = bytes(&vectors["configuration"]);
    let decoded = Configuration::from_bytes(&config, &()).unwrap();
    assert_eq!(decoded.to_bytes().unwrap(), config);
    let verifier = Verifier::new(decoded).unwrap();
    let mut checks = BTreeSet::new();
    for session in list(&vectors["sessions"]) {
        let mut user = User::default();
        for (i, step) in list(&session["steps"]).iter().enumerate() {
            let name = format!("{file}: {} #{i}: {}", session["name"], step["name"]);
            let before = user.kept();
            let responses: Vec<u8> = list(&step["responses"]).iter().flat_map(bytes).collect();
            let exchange = Exchange {
                op: text(&step["op"]),
                request: &bytes(&step["request"]),
                responses: &responses,
                now: number(&step["now_ms"]),
            };
            let result = user.step(&verifier, &exchange);
            match (text(&step["expect"]), result) {
                ("accept", Ok(shown)) => {
                    if let Some(expected) = step.get("shows") {
                        assert_eq!(&shown, expected, "{name}");
                    }
                    match step.get("client_state_after") {
                        Some(expected) if file == THEIRS => compare(&user, expected, &name),
                        Some(expected) => assert_eq!(&user.kept(), expected, "{name}"),
                        None => {}
                    }
                }
                ("reject", Err(error)) => {
                    assert_eq!(user.kept(), before, "{name}");
                    if let Some(check) = step.get("check") {
                        assert_eq!(error.check, check, "{name}: {}", error.why);
                    }
                    checks.insert(error.check.to_owned());
                }
                (_, result) => panic!("{name}: {result:?}"),
            }
        }
    }
    checks
}

/// Where a version is monitored from after a search is a matter of choice; for owners it is not.
fn compare(user: &User, expected: &Value, name: &str) {
    let tree = &user.tree.as_ref().unwrap().view;
    assert_eq!(tree.size, number(&expected["tree_size"]), "{name}");
    let heads = list(&expected["full_subtrees"]).iter().map(array);
    assert!(tree.full_subtrees.iter().copied().eq(heads), "{name}");
    let entries = list(&expected["log_entries"]).iter().map(|entry| {
        let (timestamp, prefix_tree) = (number(&entry["timestamp"]), array(&entry["prefix_root"]));
        let entry_there = LogEntry {
            timestamp,
            prefix_tree,
        };
        (number(&entry["position"]), entry_there)
    });
    assert!(tree.frontier.iter().copied().eq(entries), "{name}");
    let kept = user.kept();
    let none = Map::new();
    for (label, expected) in expected["labels"].as_object().unwrap_or(&none) {
        let ours = &kept["labels"][label];
        if !expected["owner"].is_null() {
            assert_eq!(ours["contact"], expected["contact"], "{name}: {label}");
        }
        for member in ["starting", "version_at_starting"] {
            let (ours, expected) = (&ours["owner"][member], &expected["owner"][member]);
            assert_eq!(ours, expected, "{name}: {member} of {label}");
        }
    }
}

#[test]
fn sessions() {
    assert!(!run(THEIRS).is_empty());
}

/// Checks that no request and response can fail, and why.
const NEVER: [(&str, &str); 5] = [
    ("encoding-limits", "what was decoded can be encoded"),
    (
        "configuration-key",
        "no verifier is made of such a configuration; `crypto.json` has some",
    ),
    (
        "update-responses",
        "without a response the encoding ends early",
    ),
    (
        "audit-empty",
        "a log entry is replayed before its head is judged",
    ),
    (
        "audit-configuration",
        "no verifier is made of such a configuration either",
    ),
];

#[test]
fn our_sessions_fail_every_check() {
    let mut failed: BTreeSet<String> = ours().iter().flat_map(|file| run(file)).collect();
    for (check, why) in NEVER {
        assert!(
            failed.insert(check.to_owned()),
            "{check} is failed after all: {why}"
        );
    }
    let mut all = check_names(include_str!("../src/error.rs"));
    all.extend(check_names(include_str!("../src/auditor.rs")));
    assert_eq!(failed, all);
}
