//! The log of the vectors, rebuilt from its keys, openings and times, answers every request of the
//! vectors byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod support;

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::*;
use serde_json::Value;
use support::{MemoryLog, NewVersion};

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn rebuilt_log_answers_byte_for_byte() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/suite2-mode1.json"
    );
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let key = |name: &str| bytes(&vectors["private_keys"][name]).try_into().unwrap();
    let rmw = vectors["configuration_fields"]["reasonable_monitoring_window"]
        .as_u64()
        .unwrap();
    let suite = CipherSuite::Kt128Sha256Ed25519;
    let mut log = MemoryLog::new(suite, key("signature"), key("vrf"), rmw, None);
    assert_eq!(
        log.config.to_bytes().unwrap(),
        bytes(&vectors["configuration"])
    );

    for entry in vectors["log"].as_array().unwrap() {
        let added = entry["added"]
            .as_array()
            .unwrap()
            .iter()
            .map(|added| NewVersion {
                label: added["label"].as_str().unwrap().into(),
                value: bytes(&added["value"]),
                opening: bytes(&added["opening"]).try_into().unwrap(),
            });
        log.push(entry["timestamp"].as_u64().unwrap(), added.collect());
        let position = log.tip.size - 1;
        let ours = log.entries[position as usize];
        assert_eq!(
            ours.prefix_tree.to_vec(),
            bytes(&entry["prefix_root"]),
            "entry {position}"
        );
        assert_eq!(ours.to_bytes().unwrap(), bytes(&entry["log_entry"]));
        assert_eq!(log.tip.root().unwrap().to_vec(), bytes(&entry["root"]));
        assert_eq!(
            log.heads[position as usize].to_bytes().unwrap(),
            bytes(&entry["tree_head"])
        );
    }

    let mut differences = Vec::new();
    let mut compared = 0;
    for session in vectors["sessions"].as_array().unwrap() {
        for step in session["steps"].as_array().unwrap() {
            if step["expect"] != "accept" {
                continue;
            }
            let request = bytes(&step["request"]);
            let at = log.at(step["tree_size"].as_u64().unwrap());
            let ours: Vec<Vec<u8>> = match step["op"].as_str().unwrap() {
                "search" => vec![
                    provider::search(&at, &SearchRequest::from_bytes(&request, &()).unwrap())
                        .unwrap()
                        .to_bytes()
                        .unwrap(),
                ],
                "owner_init" => vec![
                    provider::owner_init(
                        &at,
                        &OwnerInitRequest::from_bytes(&request, &()).unwrap(),
                    )
                    .unwrap()
                    .to_bytes()
                    .unwrap(),
                ],
                "owner_monitor" => vec![
                    provider::owner_monitor(
                        &at,
                        &OwnerMonitorRequest::from_bytes(&request, &()).unwrap(),
                        usize::MAX,
                    )
                    .unwrap()
                    .to_bytes()
                    .unwrap(),
                ],
                "contact_monitor" => vec![
                    provider::contact_monitor(
                        &at,
                        &ContactMonitorRequest::from_bytes(&request, &()).unwrap(),
                    )
                    .unwrap()
                    .to_bytes()
                    .unwrap(),
                ],
                "update" => {
                    let request = UpdateRequest::from_bytes(&request, &()).unwrap();
                    let created = (!request.values.is_empty()).then(|| at.size - 1);
                    provider::update(&at, &request, created)
                        .unwrap()
                        .iter()
                        .map(|r| r.to_bytes().unwrap())
                        .collect()
                }
                other => panic!("unknown operation {other}"),
            };
            let theirs: Vec<Vec<u8>> = step["responses"]
                .as_array()
                .unwrap()
                .iter()
                .map(bytes)
                .collect();
            compared += 1;
            if ours != theirs {
                let which: Vec<_> = (0..ours.len().max(theirs.len()))
                    .filter(|i| ours.get(*i) != theirs.get(*i))
                    .collect();
                differences.push(format!(
                    "{}: {}: responses {which:?} of {} (theirs {})",
                    session["name"],
                    step["name"],
                    ours.len(),
                    theirs.len()
                ));
            }
        }
    }
    println!("{compared} steps compared");
    assert!(differences.is_empty(), "{differences:#?}");
}
