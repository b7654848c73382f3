//! A response is verified whole or not at all: every byte of every response matters.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::{Decode, Encode, Reader};
use overt_protocol::distinguished::Recent;
use overt_protocol::error::VerifyError;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
use overt_protocol::user::{OwnerState, TreeState, Verifier};
use overt_protocol::wire::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use support::{MemoryLog, NewVersion};

const NOW: u64 = 1_000_000;

fn version(label: &str, n: usize) -> NewVersion {
    let value = format!("{label} {n}").into_bytes();
    NewVersion {
        label: label.into(),
        value,
        opening: [u8::try_from(n % 251).unwrap(); 16],
    }
}

/// Twenty entries; `alice` gets a version in every third, `bob` has one, others fill the tree.
fn log(suite: CipherSuite) -> MemoryLog {
    let mut log = MemoryLog::new(suite, [1; 32], [2; 32], 5_000, None);
    for n in 0..20 {
        let mut new = vec![version(&format!("other {n}"), n)];
        if n == 1 {
            new.push(version("bob", n));
        }
        if n % 3 == 2 {
            new.push(version("alice", n));
        }
        if n == 19 {
            new.push(version("alice", 20));
        }
        log.push(NOW - 20_000 + 1000 * n as u64, new);
    }
    log
}

/// A verified operation, to be tried on other bytes.
type Check<'a> = Box<dyn Fn(&[u8]) -> Result<TreeState, VerifyError> + 'a>;

struct Case<'a> {
    name: &'static str,
    honest: Vec<u8>,
    check: Check<'a>,
}

struct World {
    log: MemoryLog,
    user: Verifier,
    seen: TreeState,
    alice: OwnerState,
}

impl World {
    fn new(suite: CipherSuite) -> Self {
        let log = log(suite);
        let user = Verifier::new(log.config.clone()).unwrap();
        let request = OwnerInitRequest {
            last: None,
            label: b"alice".to_vec(),
            start: 7,
        };
        let response = provider::owner_init(&log.at(11), &request)
            .unwrap()
            .to_bytes()
            .unwrap();
        let done = user.owner_init(None, &request, &response, NOW).unwrap();
        Self {
            log,
            user,
            seen: done.state,
            alice: done.owner,
        }
    }

    fn search(
        &self,
        last: Option<u64>,
        label: &str,
        version: Option<u32>,
    ) -> (SearchRequest, Vec<u8>) {
        let request = SearchRequest {
            last,
            label: label.into(),
            version,
        };
        let response = provider::search(&self.log.published(), &request).unwrap();
        (request, response.to_bytes().unwrap())
    }

    /// Whether bytes are a whole number of update responses.
    fn is_update(&self, bytes: &[u8]) -> bool {
        let mut r = Reader::new(bytes);
        while !r.is_empty() {
            if UpdateResponse::decode(&mut r, &self.log.config).is_err() {
                return false;
            }
        }
        !bytes.is_empty()
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let at = self.log.published();
        let last = Some(11);
        let searches = [
            ("search, new user", None, None),
            ("search, returning user", last, None),
            ("fixed version, new user", None, Some(3)),
            ("fixed version, returning user", last, Some(1)),
        ];
        let mut out: Vec<Case<'_>> = Vec::new();
        for (name, last, version) in searches {
            let (request, honest) = self.search(last, "alice", version);
            let state = last.map(|_| &self.seen);
            out.push(Case {
                name,
                honest,
                check: Box::new(move |bytes| {
                    self.user
                        .search(state, &request, bytes, NOW)
                        .map(|d| d.state)
                }),
            });
        }
        let request = OwnerInitRequest {
            last,
            label: b"alice".to_vec(),
            start: 15,
        };
        let honest = provider::owner_init(&at, &request)
            .unwrap()
            .to_bytes()
            .unwrap();
        out.push(Case {
            name: "owner init",
            honest,
            check: Box::new(move |bytes| {
                self.user
                    .owner_init(Some(&self.seen), &request, bytes, NOW)
                    .map(|d| d.state)
            }),
        });

        let greatest = self.alice.progress.greatest_version();
        let request = UpdateRequest {
            last,
            label: b"alice".to_vec(),
            greatest_version: greatest,
            values: Vec::new(),
        };
        let responses = provider::update(&at, &request, None).unwrap();
        assert!(responses.len() > 1);
        let honest: Vec<u8> = responses
            .iter()
            .flat_map(|r| r.to_bytes().unwrap())
            .collect();
        let updated = self
            .user
            .update(Some(&self.seen), &self.alice, &request, &honest, NOW)
            .unwrap();
        let updates = (request, honest);
        let owner = updated.owner.clone();
        let request = OwnerMonitorRequest {
            last: Some(20),
            label: b"alice".to_vec(),
            entries: owner
                .map
                .iter()
                .map(|(p, v)| MonitorMapEntry {
                    position: *p,
                    version: *v,
                })
                .collect(),
            start: owner.progress.start,
            greatest_version: owner.progress.greatest_version(),
        };
        let honest = provider::owner_monitor(&at, &request, 64)
            .unwrap()
            .to_bytes()
            .unwrap();
        // The greatest version of an update in a distinguished entry is proved by owner monitoring.
        let monitor = (request.clone(), honest.clone());
        out.push(Case {
            name: "update",
            honest: updates.1,
            check: Box::new(move |bytes| {
                let (seen, owner) = (Some(&self.seen), &self.alice);
                let done = self.user.update(seen, owner, &updates.0, bytes, NOW)?;
                if done.updates.iter().any(|update| !update.proved) {
                    let (request, response) = &monitor;
                    let state = Some(&done.state);
                    self.user
                        .owner_monitor(state, &done.owner, request, response, NOW)?;
                }
                Ok(done.state)
            }),
        });
        out.push(Case {
            name: "owner monitor",
            honest,
            check: Box::new(move |bytes| {
                self.user
                    .owner_monitor(Some(&updated.state), &owner, &request, bytes, NOW)
                    .map(|d| d.state)
            }),
        });

        // Bob was looked up when the log had 2 entries, at its rightmost.
        let first = SearchRequest {
            last: None,
            label: b"bob".to_vec(),
            version: None,
        };
        let response = provider::search(&self.log.at(2), &first)
            .unwrap()
            .to_bytes()
            .unwrap();
        let looked_up = self.user.search(None, &first, &response, NOW).unwrap();
        let request = ContactMonitorRequest {
            last: Some(2),
            label: b"bob".to_vec(),
            entries: vec![MonitorMapEntry {
                position: 1,
                version: 0,
            }],
        };
        let honest = provider::contact_monitor(&self.log.at(5), &request)
            .unwrap()
            .to_bytes()
            .unwrap();
        out.push(Case {
            name: "contact monitor",
            honest,
            check: Box::new(move |bytes| {
                let vrf = looked_up
                    .ladder
                    .iter()
                    .map(|(v, l)| (*v, l.vrf_output))
                    .collect();
                let commitments = looked_up
                    .ladder
                    .iter()
                    .filter_map(|(v, l)| Some((*v, l.commitment?)))
                    .collect();
                self.user
                    .contact_monitor(
                        Some(&looked_up.state),
                        &vrf,
                        &commitments,
                        &request,
                        bytes,
                        NOW,
                    )
                    .map(|d| d.state)
            }),
        });

        let request = DistinguishedRequest { last, stop: None };
        let honest = provider::distinguished(&at, &request, Recent::Count(10))
            .unwrap()
            .to_bytes()
            .unwrap();
        out.push(Case {
            name: "distinguished",
            honest,
            check: Box::new(move |bytes| {
                self.user
                    .distinguished(Some(&self.seen), &request, Recent::Count(10), bytes, NOW)
                    .map(|d| d.state)
            }),
        });
        out
    }
}

/// Positions in a fixed-version search's response that the draft leaves unauthenticated: the
/// commitments of ladder versions that no proof shows to be included.
fn unauthenticated(honest: &[u8], config: &Configuration, request: &SearchRequest) -> Vec<usize> {
    let response = SearchResponse::from_bytes(honest, &(config, request)).unwrap();
    let ladder = base_ladder(request.version.unwrap());
    let mut out = Vec::new();
    for (step, version) in response.binary_ladder.iter().zip(ladder) {
        let Some(commitment) = step.commitment else {
            continue;
        };
        let at = honest.windows(32).position(|w| w == commitment).unwrap();
        if version > request.version.unwrap() {
            out.extend(at..at + 32);
        }
    }
    out
}

#[test]
fn no_byte_can_be_changed() {
    let mut rng = StdRng::seed_from_u64(20_261_123);
    let mut flips = 0;
    let mut unauthenticated_flips = 0;
    for suite in CipherSuite::ALL {
        let world = World::new(suite);
        for case in world.cases() {
            let before = world.seen.clone();
            let state = (case.check)(&case.honest).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            let free = match case.name {
                "fixed version, new user" => unauthenticated(
                    &case.honest,
                    &world.log.config,
                    &world.search(None, "alice", Some(3)).0,
                ),
                "fixed version, returning user" => unauthenticated(
                    &case.honest,
                    &world.log.config,
                    &world.search(Some(11), "alice", Some(1)).0,
                ),
                _ => Vec::new(),
            };
            for _ in 0..if suite == CipherSuite::Kt128Sha256Ed25519 {
                250
            } else {
                40
            } {
                let at = rng.random_range(0..case.honest.len());
                let mut changed = case.honest.clone();
                changed[at] ^= rng.random_range(1..=255u8);
                flips += 1;
                match (case.check)(&changed) {
                    Err(_) => {}
                    Ok(other) => {
                        assert!(
                            free.contains(&at),
                            "{}: byte {at} of {} is not checked",
                            case.name,
                            changed.len()
                        );
                        assert_eq!(other, state);
                        unauthenticated_flips += 1;
                    }
                }
            }
            for length in
                (0..case.honest.len()).step_by(if suite == CipherSuite::Kt128Sha256Ed25519 {
                    7
                } else {
                    97
                })
            {
                // One of several update responses is an answer too, if it is whole.
                let is_whole = case.name == "update" && world.is_update(&case.honest[..length]);
                let refused = (case.check)(&case.honest[..length]).is_err();
                assert!(refused || is_whole, "{}: cut at {length}", case.name);
            }
            let longer = [case.honest.as_slice(), &[0]].concat();
            assert!(
                (case.check)(&longer).is_err(),
                "{}: surplus byte",
                case.name
            );
            assert_eq!(before, world.seen);
        }
    }
    println!(
        "{flips} changes, none verified but {unauthenticated_flips} in bytes that the draft leaves open"
    );
    assert!(flips >= 2000);
}

#[test]
fn responses_belong_to_their_requests() {
    let world = World::new(CipherSuite::Kt128Sha256Ed25519);
    for (i, case) in world.cases().iter().enumerate() {
        for (j, other) in world.cases().iter().enumerate() {
            if i != j {
                assert!(
                    (case.check)(&other.honest).is_err(),
                    "{} took {}",
                    case.name,
                    other.name
                );
            }
        }
    }
    // Of another label, to the same request.
    let (mut request, response) = world.search(None, "alice", None);
    request.label = b"other 3".to_vec();
    assert!(world.user.search(None, &request, &response, NOW).is_err());
}

#[test]
fn configuration_is_part_of_every_signature() {
    let world = World::new(CipherSuite::Kt128Sha256Ed25519);
    let (request, response) = world.search(None, "alice", None);
    let changes: [fn(&mut Configuration); 7] = [
        |c| c.max_ahead += 1,
        |c| c.max_behind += 1,
        |c| c.reasonable_monitoring_window += 1,
        |c| c.maximum_lifetime = Some(u64::MAX),
        |c| {
            c.mode = DeploymentMode::ThirdPartyManagement {
                leaf_public_key: c.signature_public_key.clone(),
            }
        },
        |c| c.signature_public_key = c.vrf_public_key.clone(),
        |c| c.vrf_public_key = c.signature_public_key.clone(),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut config = world.log.config.clone();
        change(&mut config);
        let user = Verifier::new(config).unwrap();
        assert!(
            user.search(None, &request, &response, NOW).is_err(),
            "change {i}"
        );
    }
}

#[test]
fn lifetimes_must_exceed_the_monitoring_window() {
    let mut config = log(CipherSuite::Kt128Sha256Ed25519).config;
    for lifetime in [0, 4_999, 5_000] {
        config.maximum_lifetime = Some(lifetime);
        assert!(Verifier::new(config.clone()).is_err());
    }
    config.maximum_lifetime = Some(5_001);
    Verifier::new(config).unwrap();
}

fn check(result: Result<impl Sized, VerifyError>) -> &'static str {
    result.err().map_or("accepted", |error| error.check())
}

#[test]
fn clock_bounds_are_exact() {
    let world = World::new(CipherSuite::Kt128Sha256Ed25519);
    let (request, response) = world.search(None, "alice", None);
    let rightmost = NOW - 1000;
    let (ahead, behind) = (world.log.config.max_ahead, world.log.config.max_behind);
    let at = |now| check(world.user.search(None, &request, &response, now));
    assert_eq!(at(rightmost - ahead), "accepted");
    assert_eq!(at(rightmost - ahead - 1), "head-max-ahead");
    assert_eq!(at(rightmost + behind), "accepted");
    assert_eq!(at(rightmost + behind + 1), "head-max-behind");
    // The same bounds hold for an unchanged head.
    let state = world
        .user
        .search(None, &request, &response, NOW)
        .unwrap()
        .state;
    let (request, response) = world.search(Some(20), "alice", None);
    let at = |now| check(world.user.search(Some(&state), &request, &response, now));
    assert_eq!(at(rightmost + behind), "accepted");
    assert_eq!(at(rightmost + behind + 1), "head-max-behind");
    assert_eq!(at(rightmost - ahead - 1), "head-max-ahead");
}

#[test]
fn heads_only_grow() {
    let world = World::new(CipherSuite::Kt128Sha256Ed25519);
    let (request, response) = world.search(None, "alice", None);
    let state = world
        .user
        .search(None, &request, &response, NOW)
        .unwrap()
        .state;
    // `same` for a user who advertised nothing.
    let mut same = SearchResponse::from_bytes(&response, &(&world.log.config, &request)).unwrap();
    same.full_tree_head = FullTreeHead::Same;
    assert_eq!(
        check(
            world
                .user
                .search(None, &request, &same.to_bytes().unwrap(), NOW)
        ),
        "head-same-without-last"
    );
    // An older head, or an equal one called new.
    let again = SearchRequest {
        last: Some(20),
        ..request.clone()
    };
    for size in [19, 20] {
        let old = SearchRequest {
            last: None,
            ..request.clone()
        };
        let old = provider::search(&world.log.at(size), &old)
            .unwrap()
            .to_bytes()
            .unwrap();
        assert_eq!(
            check(world.user.search(Some(&state), &again, &old, NOW)),
            "head-tree-size"
        );
    }
    // A request that does not advertise what is kept is not judged at all.
    assert_eq!(
        check(world.user.search(Some(&state), &request, &response, NOW)),
        "request"
    );
    assert_eq!(
        check(world.user.search(None, &again, &response, NOW)),
        "request"
    );
}

#[test]
fn a_fork_is_noticed_by_whoever_saw_the_other_side() {
    let world = World::new(CipherSuite::Kt128Sha256Ed25519);
    // The same log until entry 9, then another history with the same keys and times.
    let mut fork = MemoryLog::new(
        CipherSuite::Kt128Sha256Ed25519,
        [1; 32],
        [2; 32],
        5_000,
        None,
    );
    for n in 0..20 {
        let mut new = vec![version(&format!("other {n}"), n)];
        if n == 1 {
            new.push(version("bob", n));
        }
        if n % 3 == 2 {
            new.push(version("alice", if n == 10 { 99 } else { n }));
        }
        if n == 9 {
            new.push(version("mallory", n));
        }
        fork.push(NOW - 20_000 + 1000 * n as u64, new);
    }
    let request = SearchRequest {
        last: Some(11),
        label: b"alice".to_vec(),
        version: None,
    };
    let response = provider::search(&fork.published(), &request)
        .unwrap()
        .to_bytes()
        .unwrap();
    let result = world
        .user
        .search(Some(&world.seen), &request, &response, NOW);
    assert!(matches!(
        check(result),
        "head-signature" | "consistency" | "prefix-root-conflict"
    ));
    // Someone new cannot tell: both sides are signed.
    let request = SearchRequest {
        last: None,
        ..request
    };
    let response = provider::search(&fork.published(), &request)
        .unwrap()
        .to_bytes()
        .unwrap();
    assert_eq!(
        check(world.user.search(None, &request, &response, NOW)),
        "accepted"
    );
}

#[test]
fn signed_timestamps_that_run_backwards_are_refused() {
    let log = log(CipherSuite::Kt128Sha256Ed25519);
    let user = Verifier::new(log.config.clone()).unwrap();
    let mut bent = MemoryLog::new(
        CipherSuite::Kt128Sha256Ed25519,
        [1; 32],
        [2; 32],
        5_000,
        None,
    );
    for n in 0..20u64 {
        // `append` does not let time run backwards; a dishonest log does.
        bent.tip.timestamp = 0;
        let time = if n == 19 {
            NOW - 900_000
        } else {
            NOW - 20_000 + 1000 * n
        };
        bent.push(time, vec![version(&format!("label {n}"), 0)]);
    }
    let request = SearchRequest {
        last: None,
        label: b"label 3".to_vec(),
        version: Some(0),
    };
    // The prover runs the user's code, so it meets the user's check.
    assert!(provider::search(&bent.published(), &request).is_err());
    let mut swapped = SearchResponse::from_bytes(
        &provider::search(
            &log.published(),
            &SearchRequest {
                last: None,
                label: b"alice".to_vec(),
                version: None,
            },
        )
        .unwrap()
        .to_bytes()
        .unwrap(),
        &(
            &log.config,
            &SearchRequest {
                last: None,
                label: b"alice".to_vec(),
                version: None,
            },
        ),
    )
    .unwrap();
    swapped.search.timestamps.reverse();
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: None,
    };
    assert_eq!(
        check(user.search(None, &request, &swapped.to_bytes().unwrap(), NOW)),
        "timestamps-monotonic"
    );
}

#[test]
fn hidden_overwritten_and_foreign_values_are_refused() {
    let world = World::new(CipherSuite::Kt128Sha256Ed25519);
    let (request, response) = world.search(None, "alice", None);
    let decoded = SearchResponse::from_bytes(&response, &(&world.log.config, &request)).unwrap();
    let greatest = decoded.version.unwrap();
    let verify = |response: &SearchResponse| {
        check(
            world
                .user
                .search(None, &request, &response.to_bytes().unwrap(), NOW),
        )
    };

    // An older version shown as the greatest, with an honest ladder for it.
    let older = SearchRequest {
        version: Some(greatest - 1),
        ..request.clone()
    };
    let mut hidden = provider::search(&world.log.published(), &older).unwrap();
    hidden.version = Some(greatest - 1);
    assert_ne!(verify(&hidden), "accepted");
    // A greater one that does not exist.
    let mut invented = decoded.clone();
    invented.version = Some(greatest + 1);
    assert_ne!(verify(&invented), "accepted");
    // Another value or opening under the same proof.
    let mut other = decoded.clone();
    other.value.value.push(b'!');
    assert!(matches!(
        verify(&other),
        "head-signature" | "prefix-proof" | "prefix-root-conflict"
    ));
    let mut other = decoded.clone();
    other.opening[0] ^= 1;
    assert!(matches!(
        verify(&other),
        "head-signature" | "prefix-proof" | "prefix-root-conflict"
    ));
    // Commitments where none may stand, and none where one must.
    let target = base_ladder(greatest)
        .iter()
        .position(|v| *v == greatest)
        .unwrap();
    let mut surplus = decoded.clone();
    surplus.binary_ladder[target].commitment = Some([0; 32]);
    assert_eq!(verify(&surplus), "commitment-surplus");
    let mut missing = decoded.clone();
    missing.binary_ladder[0].commitment = None;
    assert_eq!(verify(&missing), "commitment-missing");
    // Surplus and missing parts of the proof.
    let mut proof = decoded.clone();
    proof.search.timestamps.push(NOW);
    assert_eq!(verify(&proof), "timestamps-surplus");
    let mut proof = decoded.clone();
    let extra = proof.search.prefix_proofs[0].clone();
    proof.search.prefix_proofs.push(extra);
    assert_eq!(verify(&proof), "prefix-proofs-surplus");
    let mut proof = decoded.clone();
    proof.search.prefix_proofs.pop();
    assert_eq!(verify(&proof), "prefix-proofs-missing");
    let mut proof = decoded.clone();
    proof.search.prefix_roots.push([0; 32]);
    assert_eq!(verify(&proof), "prefix-roots");
    let mut proof = decoded.clone();
    proof.search.inclusion.elements.push([0; 32]);
    assert_eq!(verify(&proof), "inclusion");
    let mut proof = decoded;
    proof.binary_ladder.pop();
    assert_eq!(verify(&proof), "binary-ladder-steps");
}
