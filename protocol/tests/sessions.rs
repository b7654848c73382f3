//! Another implementation's client sessions, verified with state carried from step to step
//! (`tests/vectors/README.md` tells where they come from).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeMap;

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::error::VerifyError;
use overt_protocol::monitor::MonitorMap;
use overt_protocol::user::{OwnerState, TreeState, Verifier};
use overt_protocol::wire::*;
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/suite2-mode1.json"
    );
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[derive(Default)]
struct User {
    tree: Option<TreeState>,
    owners: BTreeMap<String, OwnerState>,
    contacts: BTreeMap<String, MonitorMap>,
    /// Ladder lookups of the labels looked up, which contact monitoring needs.
    vrf: BTreeMap<String, BTreeMap<u32, HashValue>>,
    commitments: BTreeMap<String, BTreeMap<u32, HashValue>>,
}

impl User {
    fn step(&mut self, v: &Verifier, step: &Value) -> Result<(), VerifyError> {
        let request = bytes(&step["request"]);
        let now = step["now_ms"].as_u64().unwrap();
        let label = step["label"].as_str().unwrap_or_default().to_owned();
        let tree = self.tree.as_ref();
        let responses = step["responses"].as_array().unwrap();
        let responses: Vec<u8> = responses.iter().flat_map(bytes).collect();
        match step["op"].as_str().unwrap() {
            "search" => {
                let decoded = SearchRequest::from_bytes(&request, &())?;
                assert_eq!(decoded.to_bytes()?, request);
                let done = v.search(tree, &decoded, &responses, now)?;
                self.tree = Some(done.state);
                if done.found.must_monitor {
                    let map = self.contacts.entry(label.clone()).or_default();
                    map.insert(done.found.terminal, done.value.version());
                }
                let vrf = self.vrf.entry(label.clone()).or_default();
                vrf.extend(done.ladder.iter().map(|(v, l)| (*v, l.vrf_output)));
                let commitments = done
                    .ladder
                    .iter()
                    .filter_map(|(v, l)| Some((*v, l.commitment?)));
                self.commitments
                    .entry(label)
                    .or_default()
                    .extend(commitments);
            }
            "owner_init" => {
                let request = OwnerInitRequest::from_bytes(&request, &())?;
                let done = v.owner_init(tree, &request, &responses, now)?;
                self.tree = Some(done.state);
                self.owners.insert(label, done.owner);
            }
            "owner_monitor" => {
                let request = OwnerMonitorRequest::from_bytes(&request, &())?;
                let done =
                    v.owner_monitor(tree, &self.owners[&label], &request, &responses, now)?;
                self.tree = Some(done.state);
                self.owners.insert(label, done.owner);
            }
            "contact_monitor" => {
                let request = ContactMonitorRequest::from_bytes(&request, &())?;
                let (vrf, commitments) = (&self.vrf[&label], &self.commitments[&label]);
                let done = v.contact_monitor(tree, vrf, commitments, &request, &responses, now)?;
                self.tree = Some(done.state);
                self.contacts.insert(label, done.map);
            }
            "update" => {
                let request = UpdateRequest::from_bytes(&request, &())?;
                let done = v.update(tree, &self.owners[&label], &request, &responses, now)?;
                self.tree = Some(done.state);
                self.owners.insert(label, done.owner);
            }
            other => panic!("unknown operation {other}"),
        }
        Ok(())
    }

    fn check(&self, after: &Value, name: &str) {
        let tree = self.tree.as_ref().unwrap();
        assert_eq!(
            tree.tree_size(),
            after["tree_size"].as_u64().unwrap(),
            "{name}"
        );
        let subtrees: Vec<_> = after["full_subtrees"]
            .as_array()
            .unwrap()
            .iter()
            .map(bytes)
            .collect();
        assert!(
            tree.view
                .full_subtrees
                .iter()
                .map(|h| h.to_vec())
                .eq(subtrees),
            "{name}"
        );
        let theirs = after["log_entries"].as_array().unwrap();
        assert_eq!(tree.view.frontier.len(), theirs.len());
        for ((position, entry), theirs) in tree.view.frontier.iter().zip(theirs) {
            assert_eq!(*position, theirs["position"].as_u64().unwrap());
            assert_eq!(entry.timestamp, theirs["timestamp"].as_u64().unwrap());
            assert_eq!(entry.prefix_tree.to_vec(), bytes(&theirs["prefix_root"]));
        }
        let none = serde_json::Map::new();
        for (label, theirs) in after["labels"].as_object().unwrap_or(&none) {
            let map = |m: &MonitorMap| {
                m.iter()
                    .map(|(p, v)| (*p, u64::from(*v)))
                    .collect::<Vec<_>>()
            };
            let entry = |e: &Value| {
                (
                    e["position"].as_u64().unwrap(),
                    e["version"].as_u64().unwrap(),
                )
            };
            let contact: Vec<_> = theirs["contact"]
                .as_array()
                .unwrap()
                .iter()
                .map(entry)
                .collect();
            if let Some(owner) = theirs.get("owner").filter(|o| !o.is_null()) {
                let ours = &self.owners[label];
                let version = ours.progress.version_at_start.map_or(-1, i64::from);
                assert_eq!(
                    ours.progress.start,
                    owner["starting"].as_u64().unwrap(),
                    "{name} {label}"
                );
                assert_eq!(
                    version,
                    owner["version_at_starting"].as_i64().unwrap(),
                    "{name} {label}"
                );
                assert_eq!(map(&ours.map), contact, "{name} {label}");
            } else {
                let ours = map(&self.contacts[label]);
                if ours != contact {
                    println!("{name} {label}: ours {ours:?} theirs {contact:?}");
                }
            }
        }
    }
}

#[test]
fn sessions() {
    let vectors = vectors();
    let config = Configuration::from_bytes(&bytes(&vectors["configuration"]), &()).unwrap();
    assert_eq!(config.to_bytes().unwrap(), bytes(&vectors["configuration"]));
    let verifier = Verifier::new(config).unwrap();
    let mut failures = Vec::new();
    for session in vectors["sessions"].as_array().unwrap() {
        let mut user = User::default();
        for (i, step) in session["steps"].as_array().unwrap().iter().enumerate() {
            let name = format!("{} #{i}: {}", session["name"], step["name"]);
            let result = user.step(&verifier, step);
            let accept = step["expect"] == "accept";
            if result.is_ok() != accept {
                failures.push(format!("{name}: {result:?}"));
                break;
            }
            if let Err(error) = &result {
                println!(
                    "{name}: {} ({error}); theirs: {}",
                    error.check(),
                    step["why"]
                );
            }
            if accept && step.get("client_state_after").is_some() {
                user.check(&step["client_state_after"], &name);
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
