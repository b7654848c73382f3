//! The log against a model that is naive on purpose: plain lists, and the draft's prose followed
//! step by step, recursively, without ladders, views or proofs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::Recent;
use overt_protocol::error::VerifyError;
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use support::{MemoryLog, NewVersion};

const LABELS: [&str; 3] = ["alice", "bob", "carol"];

/// A node of the implicit binary search tree.
struct Tree {
    position: usize,
    left: Option<Box<Tree>>,
    right: Option<Box<Tree>>,
}

fn tree(offset: usize, n: usize) -> Option<Box<Tree>> {
    if n == 0 {
        return None;
    }
    let root = n.next_power_of_two() / if n.is_power_of_two() { 1 } else { 2 } - 1;
    Some(Box::new(Tree {
        position: offset + root,
        left: tree(offset, root),
        right: tree(offset + root + 1, n - root - 1),
    }))
}

struct Model {
    times: Vec<u64>,
    /// For each label, the log entry of each version.
    versions: [Vec<usize>; 3],
    rmw: u64,
    lifetime: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Fixed {
    Found(usize),
    NotFound,
    Expired,
}

impl Model {
    fn size(&self) -> usize {
        self.times.len()
    }

    fn rightmost(&self) -> u64 {
        *self.times.last().unwrap()
    }

    fn expired(&self, x: usize) -> bool {
        self.lifetime
            .is_some_and(|l| self.rightmost() - self.times[x] >= l)
    }

    fn distinguished(&self) -> Vec<usize> {
        fn go(m: &Model, node: &Option<Box<Tree>>, left: u64, right: u64, out: &mut Vec<usize>) {
            let Some(node) = node else { return };
            if right - left < m.rmw {
                return;
            }
            go(m, &node.left, left, m.times[node.position], out);
            out.push(node.position);
            go(m, &node.right, m.times[node.position], right, out);
        }
        let mut out = Vec::new();
        go(self, &tree(0, self.size()), 0, self.rightmost(), &mut out);
        out
    }

    fn must_monitor(&self, terminal: usize) -> bool {
        self.distinguished().last().is_none_or(|d| *d < terminal)
    }

    /// How many versions exist at an entry.
    fn count(&self, label: usize, x: usize) -> usize {
        self.versions[label].iter().filter(|p| **p <= x).count()
    }

    fn frontier(&self) -> Vec<usize> {
        let mut out = Vec::new();
        let mut node = tree(0, self.size());
        while let Some(n) = node {
            out.push(n.position);
            node = n.right;
        }
        out
    }

    /// The terminal entry of a greatest-version search.
    fn greatest_search(&self, label: usize) -> Option<usize> {
        let all = self.versions[label].len();
        let distinguished = self.distinguished();
        let start = distinguished.last().copied().unwrap_or(self.frontier()[0]);
        let mut inspected = self.frontier().into_iter().filter(|x| *x >= start);
        inspected.find(|x| all > 0 && self.count(label, *x) == all)
    }

    fn fixed_search(&self, label: usize, target: usize) -> Fixed {
        let distinguished = self.distinguished();
        let mut node = tree(0, self.size());
        // (entry, whether it is expired) in the order inspected.
        let mut path: Vec<(usize, bool)> = Vec::new();
        while let Some(n) = node {
            let x = n.position;
            path.push((x, self.expired(x)));
            if self.expired(x) {
                node = n.right;
                continue;
            }
            match self.count(label, x).cmp(&(target + 1)) {
                std::cmp::Ordering::Less => node = n.right,
                std::cmp::Ordering::Greater => node = n.left,
                std::cmp::Ordering::Equal => {
                    let covered = path
                        .iter()
                        .any(|(y, e)| !e && *y <= x && distinguished.contains(y));
                    let none_expired = path.iter().all(|(_, e)| !e);
                    return if none_expired || covered {
                        Fixed::Found(x)
                    } else {
                        Fixed::Expired
                    };
                }
            }
        }
        let greater = path
            .iter()
            .filter(|(x, e)| !e && self.count(label, *x) > target + 1);
        let Some(x) = greater.map(|(x, _)| *x).min() else {
            return Fixed::NotFound;
        };
        let covered = path
            .iter()
            .any(|(y, e)| !e && *y < x && distinguished.contains(y));
        if path.iter().any(|(_, e)| *e) && !covered {
            return Fixed::Expired;
        }
        // Versions here have no gaps, so the target is there.
        Fixed::Found(x)
    }

    fn recent(&self, n: usize) -> Vec<usize> {
        let distinguished = self.distinguished();
        let unexpired: Vec<usize> = distinguished
            .into_iter()
            .filter(|x| !self.expired(*x))
            .collect();
        unexpired[unexpired.len().saturating_sub(n)..].to_vec()
    }
}

/// For each log entry: the time since the one before, and how many versions each label gets.
type History = Vec<(u64, [u8; 3])>;

fn history() -> impl Strategy<Value = History> {
    let gap = prop_oneof![4 => 0u64..20, 2 => 20u64..200, 1 => 200u64..1500];
    let count = prop_oneof![5 => Just(0u8), 3 => Just(1u8), 1 => 2u8..5];
    vec((gap, [count.clone(), count.clone(), count]), 1..48)
}

struct World {
    log: MemoryLog,
    user: Verifier,
    models: Vec<Model>,
}

impl World {
    fn new(history: &History, rmw: u64, lifetime: Option<u64>, suite: CipherSuite) -> Self {
        let mut log = MemoryLog::new(suite, [3; 32], [4; 32], rmw, lifetime);
        let mut models: Vec<Model> = Vec::new();
        let mut time = 10_000;
        let mut times = Vec::new();
        let mut versions: [Vec<usize>; 3] = Default::default();
        for (position, (gap, counts)) in history.iter().enumerate() {
            time += gap;
            times.push(time);
            let mut new = Vec::new();
            for (label, count) in counts.iter().enumerate() {
                for _ in 0..*count {
                    let value = value(label, versions[label].len());
                    versions[label].push(position);
                    new.push(NewVersion {
                        label: LABELS[label].into(),
                        value,
                        opening: [9; 16],
                    });
                }
            }
            log.push(time, new);
            models.push(Model {
                times: times.clone(),
                versions: versions.clone(),
                rmw,
                lifetime,
            });
        }
        let user = Verifier::new(log.config.clone()).unwrap();
        Self { log, user, models }
    }

    /// What a user keeps who saw the log at `size`.
    fn state_at(&self, size: u64) -> TreeState {
        let request = DistinguishedRequest {
            last: None,
            stop: None,
        };
        let response =
            provider::distinguished(&self.log.at(size), &request, Recent::Count(0)).unwrap();
        let now = self.models[size as usize - 1].rightmost();
        let bytes = response.to_bytes().unwrap();
        self.user
            .distinguished(None, &request, Recent::Count(0), &bytes, now)
            .unwrap()
            .state
    }
}

fn value(label: usize, version: usize) -> Vec<u8> {
    format!("{} {version}", LABELS[label]).into_bytes()
}

fn search(world: &World, label: usize, version: Option<u32>, last: Option<&TreeState>) {
    let model = world.models.last().unwrap();
    let now = model.rightmost();
    let request = SearchRequest {
        last: last.map(TreeState::tree_size),
        label: LABELS[label].into(),
        version,
    };
    let answer = provider::search(&world.log.published(), &request);
    let expected = match version {
        None => model
            .greatest_search(label)
            .map_or(Fixed::NotFound, Fixed::Found),
        Some(v) if v as usize >= model.versions[label].len() => Fixed::NotFound,
        Some(v) => model.fixed_search(label, v as usize),
    };
    match (expected, answer) {
        (Fixed::Found(terminal), Ok(response)) => {
            let done = world
                .user
                .search(last, &request, &response.to_bytes().unwrap(), now)
                .unwrap();
            let version = version.map_or(model.versions[label].len() - 1, |v| v as usize);
            assert_eq!(done.value.value(), value(label, version));
            assert_eq!(done.value.version() as usize, version);
            assert_eq!(done.found.terminal as usize, terminal);
            assert_eq!(done.found.must_monitor, model.must_monitor(terminal));
            assert_eq!(done.state.tree_size() as usize, model.size());
            assert_eq!(done.state.view.root, *world.log.log_roots.last().unwrap());
        }
        (Fixed::NotFound, Err(error)) => assert!(error.to_string().contains("no such"), "{error}"),
        (Fixed::Expired, Err(error)) => assert!(error.to_string().contains("expired"), "{error}"),
        (expected, answer) => panic!(
            "model says {expected:?}, the log {:?}",
            answer.map(|_| "answers")
        ),
    }
}

/// Owns a label from `start` on: init, every update, then monitoring to the end.
fn own(world: &World, label: usize, from: u64, limit: usize) {
    let model_then = &world.models[from as usize - 1];
    let Some(start) = model_then.distinguished().last().copied() else {
        return;
    };
    let state = world.state_at(from);
    let request = OwnerInitRequest {
        last: Some(from),
        label: LABELS[label].into(),
        start: start as u64,
    };
    let response = provider::owner_init(&world.log.at(from), &request)
        .unwrap()
        .to_bytes()
        .unwrap();
    let now = model_then.rightmost();
    let done = world
        .user
        .owner_init(Some(&state), &request, &response, now)
        .unwrap();
    let (mut state, mut owner) = (done.state, done.owner);
    let at_start = model_then.count(label, start);
    assert_eq!(
        owner.progress.greatest_version(),
        (at_start as u32).checked_sub(1)
    );

    let model = world.models.last().unwrap();
    let now = model.rightmost();
    let all = model.versions[label].len();
    if all > at_start {
        let request = UpdateRequest {
            last: Some(state.tree_size()),
            label: LABELS[label].into(),
            greatest_version: owner.progress.greatest_version(),
            values: Vec::new(),
        };
        let responses = provider::update(&world.log.published(), &request, None).unwrap();
        let bytes: Vec<u8> = responses
            .iter()
            .flat_map(|r| r.to_bytes().unwrap())
            .collect();
        let done = world
            .user
            .update(Some(&state), &owner, &request, &bytes, now)
            .unwrap();
        let told: Vec<Vec<u8>> = done
            .updates
            .iter()
            .flat_map(|u| &u.values)
            .map(|v| v.value().to_vec())
            .collect();
        let expected: Vec<Vec<u8>> = (at_start..all).map(|v| value(label, v)).collect();
        assert_eq!(told, expected);
        let distinguished = model.distinguished();
        for update in &done.updates {
            assert_eq!(
                update.proved,
                !distinguished.contains(&(update.position as usize))
            );
        }
        (state, owner) = (done.state, done.owner);
    }
    for _ in 0..100 {
        let entries = owner.map.iter().map(|(position, version)| MonitorMapEntry {
            position: *position,
            version: *version,
        });
        let request = OwnerMonitorRequest {
            last: Some(state.tree_size()),
            label: LABELS[label].into(),
            entries: entries.collect(),
            start: owner.progress.start,
            greatest_version: owner.progress.greatest_version(),
        };
        let response = provider::owner_monitor(&world.log.published(), &request, limit).unwrap();
        let bytes = response.to_bytes().unwrap();
        let done = world
            .user
            .owner_monitor(Some(&state), &owner, &request, &bytes, now)
            .unwrap();
        assert!(done.complete || done.verified.len() == limit);
        (state, owner) = (done.state, done.owner);
        if done.complete {
            break;
        }
    }
    let last = model.distinguished().last().copied();
    assert_eq!(Some(owner.progress.start as usize), last.max(Some(start)));
    assert_eq!(
        owner.progress.greatest_version(),
        (all as u32).checked_sub(1)
    );
}

/// Looks a label up when the log had `from` entries, and monitors it at the end.
fn contact(world: &World, label: usize, from: u64) {
    let model_then = &world.models[from as usize - 1];
    if model_then.versions[label].is_empty() {
        return;
    }
    let request = SearchRequest {
        last: None,
        label: LABELS[label].into(),
        version: None,
    };
    let response = provider::search(&world.log.at(from), &request)
        .unwrap()
        .to_bytes()
        .unwrap();
    let found = world
        .user
        .search(None, &request, &response, model_then.rightmost())
        .unwrap();
    if !found.found.must_monitor {
        return;
    }
    let entry = MonitorMapEntry {
        position: found.found.terminal,
        version: found.value.version(),
    };
    let request = ContactMonitorRequest {
        last: Some(from),
        label: LABELS[label].into(),
        entries: vec![entry],
    };
    let response = provider::contact_monitor(&world.log.published(), &request)
        .unwrap()
        .to_bytes()
        .unwrap();
    let vrf = found
        .ladder
        .iter()
        .map(|(v, l)| (*v, l.vrf_output))
        .collect();
    let commitments = found
        .ladder
        .iter()
        .filter_map(|(v, l)| Some((*v, l.commitment?)))
        .collect();
    let model = world.models.last().unwrap();
    let now = model.rightmost();
    let done = world
        .user
        .contact_monitor(
            Some(&found.state),
            &vrf,
            &commitments,
            &request,
            &response,
            now,
        )
        .unwrap();
    // Done when a distinguished entry was established at or to the right of where it was found.
    let covered = model
        .distinguished()
        .last()
        .is_some_and(|d| *d as u64 >= entry.position);
    assert_eq!(done.map.is_empty(), covered);
    for position in done.map.keys() {
        assert!(
            model.frontier().contains(&(*position as usize)),
            "left on the frontier"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn honest_logs_answer_as_the_prose_says(
        history in history(),
        rmw in prop_oneof![Just(1u64), 30u64..400, Just(100_000)],
        slack in of(1u64..1500),
        last in of(any::<prop::sample::Index>()),
        from in any::<prop::sample::Index>(),
        suite in prop_oneof![9 => Just(CipherSuite::Kt128Sha256Ed25519), 1 => Just(CipherSuite::Kt128Sha256P256)],
        limit in 1usize..5,
    ) {
        let world = World::new(&history, rmw, slack.map(|s| rmw + s), suite);
        let size = history.len() as u64;
        let last = last.map(|i| world.state_at(i.index(history.len()) as u64 + 1));
        for label in 0..3 {
            search(&world, label, None, last.as_ref());
            let versions = world.models.last().unwrap().versions[label].len() as u32;
            for version in 0..versions + 2 {
                search(&world, label, Some(version), last.as_ref());
            }
            let from = from.index(history.len()) as u64 + 1;
            if slack.is_none() {
                own(&world, label, from, limit);
                contact(&world, label, from);
            } else {
                own(&world, label, size, limit);
            }
        }
        let model = world.models.last().unwrap();
        let request = DistinguishedRequest { last: None, stop: None };
        for n in [0, 1, 3, 10] {
            let recent = Recent::Count(n);
            let response = provider::distinguished(&world.log.published(), &request, recent).unwrap();
            let done = world.user.distinguished(None, &request, recent, &response.to_bytes().unwrap(), model.rightmost()).unwrap();
            let found: Vec<usize> = done.recent.iter().map(|view| view.position() as usize).collect();
            prop_assert_eq!(found, model.recent(n));
            for view in &done.recent {
                let position = view.position() as usize;
                prop_assert_eq!(view.rightmost(), Some(&world.log.entries[position]));
                prop_assert_eq!(view.root, world.log.log_roots[position]);
            }
        }
    }
}

/// A response that shows a version to be missing or expired is refused by name.
#[test]
fn negative_answers_are_invalid() {
    let history: History = (0..9).map(|n| (10, [u8::from(n == 0), 0, 0])).collect();
    let world = World::new(&history, 20, Some(50), CipherSuite::Kt128Sha256Ed25519);
    let request = SearchRequest {
        last: None,
        label: b"alice".to_vec(),
        version: Some(0),
    };
    let honest = provider::search(&world.log.published(), &request).unwrap();
    // The same proof for a version that does not exist.
    let other = SearchRequest {
        version: Some(5),
        ..request
    };
    let result = world
        .user
        .search(None, &other, &honest.to_bytes().unwrap(), 10_090);
    assert!(matches!(
        result,
        Err(VerifyError::BinaryLadder { .. } | VerifyError::VrfProof { .. })
    ));
}
