//! Every change to an honest response is noticed, and so is every dishonest log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    unreachable_pub,
    missing_docs
)]

mod support;
#[path = "../../fuzz/src/world.rs"]
mod world;

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::Recent;
use overt_protocol::error::VerifyError;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::*;
use support::MemoryLog;
use world::{BEFORE, Case, Operation, SIZE, START, STEP, additions, cases, log};

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn rejected(case: &Case, response: &[u8], what: &str) {
    let before = case.state.clone();
    let result = case.run(response);
    assert!(result.is_err(), "{}: {what} verified", case.name);
    assert_eq!(case.state, before);
}

fn flips(log: &MemoryLog, seed: u64, each: usize) -> (usize, usize) {
    let mut random = Random(seed);
    let (mut changed, mut free) = (0, 0);
    let mut verified = Vec::new();
    for case in cases(log) {
        let honest = case.run(&case.honest).unwrap();
        for i in 0..each {
            let at = match case.free.len() {
                0 => random.below(case.honest.len()),
                n if i == 0 => {
                    let range = &case.free[random.below(n)];
                    range.start + random.below(range.len())
                }
                _ => random.below(case.honest.len()),
            };
            let mut response = case.honest.clone();
            response[at] ^= 1 + random.below(255) as u8;
            if case.is_honest(&response) {
                assert_eq!(case.run(&response).unwrap(), honest, "{} {at}", case.name);
                free += 1;
            } else {
                let before = case.state.clone();
                if case.run(&response).is_ok() {
                    verified.push((case.name.clone(), at));
                }
                assert_eq!(case.state, before);
                changed += 1;
            }
        }
    }
    assert!(verified.is_empty(), "{verified:?}");
    (changed, free)
}

#[test]
fn single_bytes_ed25519() {
    let (changed, free) = flips(&log(SUITE, None), 1, 24);
    println!("{changed} changes rejected, {free} in unauthenticated commitments");
    assert!(changed >= 2_000 && free > 0);
}

#[test]
fn single_bytes_lifetime() {
    let (changed, free) = flips(&log(SUITE, Some(30_000)), 2, 6);
    println!("{changed} changes rejected, {free} in unauthenticated commitments");
    assert!(changed >= 500);
}

#[test]
fn single_bytes_p256() {
    let (changed, _) = flips(&log(CipherSuite::Kt128Sha256P256, None), 3, 4);
    assert!(changed >= 400);
}

/// What an update leaves to owner monitoring, owner monitoring finds.
#[test]
fn deferred_values() {
    let log = log(SUITE, None);
    let mut count = 0;
    for case in cases(&log) {
        let Operation::Update(owner, request) = &case.operation else {
            continue;
        };
        // Ranges of 32 bytes are commitments of old versions, which may never be looked up.
        for range in case.free.iter().filter(|range| range.len() != 32) {
            let mut response = case.honest.clone();
            response[range.start] ^= 1;
            let v = &case.verifier;
            let state = case.state.as_ref();
            let done = v.update(state, owner, request, &response, NOW).unwrap();
            let label = std::str::from_utf8(&request.label).unwrap();
            let ask = world::owner_monitor_request(Some(&done.state), &done.owner, label);
            let answer = provider::owner_monitor(&log.published(), &ask, 64).unwrap();
            let answer = answer.to_bytes().unwrap();
            let state = Some(&done.state);
            let result = v.owner_monitor(state, &done.owner, &ask, &answer, NOW);
            assert!(result.is_err(), "{}: {range:?}", case.name);
            count += 1;
        }
    }
    assert!(count > 0);
}

/// One case of each kind, of a returning user.
fn samples(log: &MemoryLog) -> Vec<Case> {
    let names = [
        "search alice None returning",
        "search alice Some(4) returning",
        "update alice behind returning",
        "update bob requested returning",
        "update erin requested new",
        "owner_init alice",
        "owner_monitor alice at most 64 returning",
        "contact_monitor carol returning",
        "distinguished Count(3) returning",
    ];
    let mut all = cases(log);
    all.retain(|case| names.iter().any(|name| case.name.starts_with(name)));
    assert!(all.len() >= names.len());
    all
}

#[test]
fn truncated_and_extended() {
    for case in samples(&log(SUITE, None)) {
        // The responses to an update stand back to back; fewer of them are an answer.
        let whole = case.run(&case.honest).unwrap();
        for length in 0..case.honest.len() {
            match case.run(&case.honest[..length]) {
                Err(_) => {}
                Ok(outcome) => {
                    assert!(case.kind() == "update" && outcome.partial, "{}", case.name);
                    assert_ne!(outcome, whole);
                }
            }
        }
        for byte in [0, 1, 2, 255] {
            let mut response = case.honest.clone();
            response.push(byte);
            rejected(&case, &response, "appended byte");
        }
    }
}

#[test]
fn swapped() {
    let cases = cases(&log(SUITE, None));
    let mut count = 0;
    for case in &cases {
        for other in &cases {
            // The same question may have several answers: that someone else created the values
            // that the owner asked for, and as many distinguished entries as the log likes.
            let several = ["update", "owner_monitor"].contains(&case.kind())
                && case.kind() == other.kind()
                && case.label() == other.label()
                && case.state == other.state;
            if case.honest != other.honest && !several {
                // Monitoring may stop at once, and a log may go on with its old head; then
                // nothing was learnt about the label.
                let stopped = |o: &world::Outcome| {
                    let unchanged = Some(&o.state) == case.state.as_ref();
                    case.kind().ends_with("monitor") && (o.partial || unchanged)
                };
                let result = case.run(&other.honest);
                let wrong = result.is_ok_and(|outcome| !stopped(&outcome));
                assert!(!wrong, "{}: {} verified", case.name, other.name);
                count += 1;
            }
        }
    }
    println!("{count} swaps rejected");
}

#[test]
fn wrong_configuration() {
    let log = log(SUITE, None);
    let other = MemoryLog::new(SUITE, [1; 32], [2; 32], 1, None).config;
    let mut wrong = Vec::new();
    let mut change = |name, edit: &dyn Fn(&mut Configuration)| {
        let mut config = log.config.clone();
        edit(&mut config);
        wrong.push((name, config));
    };
    let p256 = MemoryLog::new(CipherSuite::Kt128Sha256P256, [7; 32], [9; 32], 1, None).config;
    change("suite", &|c| {
        c.ciphersuite = p256.ciphersuite;
        c.signature_public_key = p256.signature_public_key.clone();
        c.vrf_public_key = p256.vrf_public_key.clone();
    });
    change("signature key", &|c| {
        c.signature_public_key = other.signature_public_key.clone();
    });
    change("VRF key", &|c| {
        c.vrf_public_key = other.vrf_public_key.clone()
    });
    change("max_ahead", &|c| c.max_ahead += 1);
    change("max_behind", &|c| c.max_behind += 1);
    change("window", &|c| c.reasonable_monitoring_window += 1);
    change("lifetime", &|c| c.maximum_lifetime = Some(u64::MAX));
    change("managed", &|c| {
        let leaf_public_key = other.signature_public_key.clone();
        c.mode = DeploymentMode::ThirdPartyManagement { leaf_public_key };
    });
    change("audited", &|c| {
        c.mode = DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag: u64::MAX,
            auditor_start_pos: 0,
            auditor_public_key: other.signature_public_key.clone(),
        };
    });
    for case in samples(&log).iter().filter(|case| case.is_updated()) {
        for (name, config) in &wrong {
            let verifier = Verifier::new(config.clone()).unwrap();
            let result = case.run_with(&verifier, &case.honest, case.now);
            assert!(result.is_err(), "{}: {name}", case.name);
        }
    }
}

#[test]
fn clock() {
    let log = log(SUITE, None);
    let rightmost = START + (SIZE - 1) * STEP;
    let (ahead, behind) = (log.config.max_ahead, log.config.max_behind);
    for case in cases(&log) {
        let check = |now| case.run_with(&case.verifier, &case.honest, now);
        assert!(check(rightmost - ahead).is_ok(), "{}", case.name);
        assert!(check(rightmost + behind).is_ok(), "{}", case.name);
        let error = check(rightmost - ahead - 1).unwrap_err();
        assert_eq!(error.check(), "head-max-ahead", "{}", case.name);
        let error = check(rightmost + behind + 1).unwrap_err();
        assert_eq!(error.check(), "head-max-behind", "{}", case.name);
    }
}

fn head_end(case: &Case) -> usize {
    match case.is_updated() {
        // head_type, tree_size, signature with its length.
        true => 1 + 8 + 2 + 64,
        false => 1,
    }
}

#[test]
fn heads() {
    for case in cases(&log(SUITE, None)) {
        let rest = &case.honest[head_end(&case)..];
        let check = |head: &[u8]| case.run(&[head, rest].concat()).unwrap_err().check();
        match &case.state {
            None => assert_eq!(check(&[1]), "head-same-without-last", "{}", case.name),
            Some(state) => {
                for size in [state.tree_size(), state.tree_size() - 1, 1, 0] {
                    let head = [&[2][..], &size.to_be_bytes(), &[0, 64], &[0; 64]].concat();
                    assert_eq!(check(&head), "head-tree-size", "{}", case.name);
                }
            }
        }
        if case.state.is_none() {
            for size in [0, u64::MAX] {
                let head = [&[2][..], &size.to_be_bytes(), &[0, 64], &[0; 64]].concat();
                assert_eq!(check(&head), "head-tree-size-range", "{}", case.name);
            }
        }
    }
}

/// An honest log up to `size`, and then whatever `next` does.
fn until(size: u64) -> MemoryLog {
    let mut log = world::empty_log(SUITE, None);
    for position in 0..size {
        log.push(START + position * STEP, additions(position));
    }
    log
}

fn go_on(log: &mut MemoryLog) {
    while log.tip.size < SIZE {
        let name = format!("later {}", log.tip.size);
        log.push(START + log.tip.size * STEP, vec![world::version(&name, 0)]);
    }
}

fn verifier(log: &MemoryLog) -> Verifier {
    Verifier::new(log.config.clone()).unwrap()
}

const NOW: u64 = START + SIZE * STEP;

fn greatest(last: Option<u64>, label: &str) -> SearchRequest {
    SearchRequest {
        last,
        label: label.into(),
        version: None,
    }
}

#[test]
fn timestamps_run_backwards() {
    let mut log = until(39);
    // Appending would not let this happen.
    log.tip.timestamp = 0;
    log.push(START + 10 * STEP, vec![]);
    go_on(&mut log);
    let v = verifier(&log);
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    // The prover runs the same algorithms and refuses; so make the log honest while it answers.
    let lying = log.entries.clone();
    let recent = Recent::Count(10);
    let told = provider::distinguished(&log.published(), &request, recent);
    assert!(told.is_err());
    let request = greatest(None, "alice");
    log.entries = lying;
    log.entries[39].timestamp = START + 39 * STEP;
    let mut response = provider::search(&log.published(), &request).unwrap();
    let at = response.search.timestamps.iter();
    let honest = START + 39 * STEP;
    let places: Vec<usize> = at
        .enumerate()
        .filter(|(_, t)| **t == honest)
        .map(|(i, _)| i)
        .collect();
    assert_eq!(places.len(), 1, "entry 39 is on the frontier");
    response.search.timestamps[places[0]] = START + 10 * STEP;
    let error = v
        .search(None, &request, &response.to_bytes().unwrap(), NOW)
        .unwrap_err();
    assert_eq!(error.check(), "timestamps-monotonic");
}

/// Versions 0 and 1 of "bob", where version 1 disappears again.
fn hiding() -> (MemoryLog, MemoryLog) {
    let honest = log(SUITE, None);
    let mut hidden = until(34);
    let root = hidden.tip.prefix_root;
    hidden.push(START + 34 * STEP, additions(34));
    hidden.tip.prefix_root = root;
    hidden.push(START + 35 * STEP, additions(35));
    go_on(&mut hidden);
    hidden.labels.get_mut(&b"bob"[..]).unwrap().pop();
    (honest, hidden)
}

#[test]
fn version_hidden_from_owner() {
    let (honest, hidden) = hiding();
    let v = verifier(&honest);
    // The owner saw version 1 created while the log was still honest.
    let (state, _) = world::seen(&honest, &v, 35);
    let owner = world::owner(&honest, &v, BEFORE, "bob");
    let owner = world::caught_up(&honest, &v, 35, owner, "bob");
    assert_eq!(owner.progress.greatest_version(), Some(1));
    let request = OwnerMonitorRequest {
        entries: vec![],
        ..world::owner_monitor_request(Some(&state), &owner, "bob")
    };
    // The log answers as if the owner knew of version 0 only.
    let asked = OwnerMonitorRequest {
        greatest_version: Some(0),
        ..request.clone()
    };
    let response = provider::owner_monitor(&hidden.published(), &asked, 64).unwrap();
    let response = response.to_bytes().unwrap();
    let error = v
        .owner_monitor(Some(&state), &owner, &request, &response, NOW)
        .unwrap_err();
    assert_eq!(error.check(), "binary-ladder");
}

#[test]
fn commitment_overwritten() {
    let honest = log(SUITE, None);
    let v = verifier(&honest);
    let (state, _) = world::seen(&honest, &v, 35);
    let owner = world::owner(&honest, &v, BEFORE, "bob");
    let owner = world::caught_up(&honest, &v, 35, owner, "bob");
    // Later entries have another value of version 1.
    let mut log = until(34);
    let root = log.tip.prefix_root;
    log.push(START + 34 * STEP, additions(34));
    let bob = || b"bob".to_vec();
    let first = log.labels[&bob()][1].clone();
    log.labels.get_mut(&bob()).unwrap().pop();
    log.tip.prefix_root = root;
    let mut other = world::version("bob", 1);
    other.value = b"the directory's".to_vec();
    log.push(START + 35 * STEP, vec![other]);
    go_on(&mut log);
    log.labels.get_mut(&bob()).unwrap()[1].0.position = first.0.position;

    let request = OwnerMonitorRequest {
        entries: vec![],
        ..world::owner_monitor_request(Some(&state), &owner, "bob")
    };
    let response = provider::owner_monitor(&log.published(), &request, 64).unwrap();
    let response = response.to_bytes().unwrap();
    let error = v
        .owner_monitor(Some(&state), &owner, &request, &response, NOW)
        .unwrap_err();
    assert_eq!(error.check(), "head-signature");
}

#[test]
fn version_skipped() {
    // "bob" gets version 2 after version 0.
    let mut log = until(34);
    let bob = || b"bob".to_vec();
    let copy = log.labels[&bob()][0].clone();
    log.labels.get_mut(&bob()).unwrap().push(copy);
    log.push(START + 34 * STEP, vec![world::version("bob", 2)]);
    go_on(&mut log);
    let v = verifier(&log);
    let (_, opening, value) = log.labels[&bob()][2].clone();
    log.labels.get_mut(&bob()).unwrap().truncate(1);
    let request = greatest(None, "bob");
    let mut response = provider::search(&log.published(), &request).unwrap();
    // Version 0 is what the tree proves; it looks up 0 and 1, as a search for 2 does at first.
    let honest = response.to_bytes().unwrap();
    assert!(v.search(None, &request, &honest, NOW).is_ok());
    response.version = Some(2);
    response.opening = opening;
    response.value = value;
    let zero = log.labels[&bob()][0].0.leaf.commitment;
    response.binary_ladder = base_ladder(2)
        .into_iter()
        .map(|version| {
            let input = VrfInput {
                label: b"bob",
                version,
            };
            BinaryLadderStep {
                proof: log.vrf.prove(&input.to_bytes().unwrap()).1,
                commitment: (version < 2).then_some(zero),
            }
        })
        .collect();
    let error = v
        .search(None, &request, &response.to_bytes().unwrap(), NOW)
        .unwrap_err();
    assert_eq!(error.check(), "binary-ladder");
}

#[test]
fn forked_log() {
    let honest = log(SUITE, None);
    let v = verifier(&honest);
    let mut fork = until(BEFORE - 2);
    go_on(&mut fork);
    let (state, _) = world::seen(&honest, &v, BEFORE);
    let checks = |state: Option<&TreeState>| -> Vec<Result<(), VerifyError>> {
        let last = state.map(TreeState::tree_size);
        let recent = Recent::Count(10);
        let request = DistinguishedRequest { last, stop: None };
        let walked = provider::distinguished(&fork.published(), &request, recent).unwrap();
        let walked = walked.to_bytes().unwrap();
        let search = greatest(last, "alice");
        let found = provider::search(&fork.published(), &search).unwrap();
        let found = found.to_bytes().unwrap();
        vec![
            v.distinguished(state, &request, recent, &walked, NOW)
                .map(|_| ()),
            v.search(state, &search, &found, NOW).map(|_| ()),
        ]
    };
    // A new user cannot tell; one who saw the other side can.
    assert!(checks(None).iter().all(Result::is_ok));
    for result in checks(Some(&state)) {
        // The root follows from the retained subtrees; only some proofs contradict them openly.
        let check = result.unwrap_err().check();
        assert!(
            ["consistency", "head-signature"].contains(&check),
            "{check}"
        );
    }
}

#[test]
fn every_operation_is_there() {
    let cases = cases(&log(SUITE, None));
    for kind in [
        "search",
        "update",
        "owner_init",
        "owner_monitor",
        "contact_monitor",
        "distinguished",
    ] {
        let count = cases.iter().filter(|case| case.kind() == kind).count();
        println!("{kind}: {count}");
        assert!(count >= 6, "{kind}: {count}");
    }
    let requested =
        |case: &&Case| matches!(&case.operation, Operation::Update(_, r) if !r.values.is_empty());
    assert!(cases.iter().filter(requested).count() >= 6);
}
