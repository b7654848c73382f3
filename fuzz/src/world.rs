//! A small honest log, users in different states, and an honest response to each of their
//! requests. Shared with `protocol/tests/flips.rs`.

use std::collections::BTreeMap;
use std::ops::Range;

use overt_protocol::codec::Encode;
use overt_protocol::distinguished::Recent;
use overt_protocol::error::VerifyError;
use overt_protocol::provider;
use overt_protocol::suite::CipherSuite;
use overt_protocol::user::{OwnerState, SearchVerified, TreeState, Verifier};
use overt_protocol::wire::*;

use crate::support::{MemoryLog, NewVersion};

#[path = "free.rs"]
mod free;
use free::{free_owner_init, free_search, free_update};

/// When the log began.
pub const START: u64 = 1_700_000_000_000;
/// Between log entries.
pub const STEP: u64 = 1_000;
/// Number of log entries.
pub const SIZE: u64 = 45;
/// What returning users saw last.
pub const BEFORE: u64 = 27;
const RMW: u64 = 6_000;

/// Label, log entry, number of versions that the entry creates. Positions ascend by label.
pub const HISTORY: &[(&str, u64, usize)] = &[
    ("alice", 0, 1),
    ("alice", 4, 1),
    ("alice", 5, 1),
    ("alice", 9, 2),
    ("alice", 13, 1),
    ("alice", 20, 2),
    ("alice", 28, 1),
    ("alice", 33, 3),
    ("bob", 2, 1),
    ("bob", 34, 1),
    ("carol", 3, 1),
    ("carol", 25, 1),
    ("carol", 30, 1),
    ("carol", 42, 1),
    ("dave", 36, 1),
    ("erin", 7, 1),
    ("erin", 35, 4),
    ("new", 43, 1),
];

/// What the state and the request are, by operation.
pub enum Operation {
    Search(SearchRequest),
    Update(OwnerState, UpdateRequest),
    OwnerInit(OwnerInitRequest),
    OwnerMonitor(OwnerState, OwnerMonitorRequest),
    ContactMonitor(
        BTreeMap<u32, HashValue>,
        BTreeMap<u32, HashValue>,
        ContactMonitorRequest,
    ),
    Distinguished(DistinguishedRequest, Recent),
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub state: TreeState,
    /// All the rest but what [`Case::free`] bytes decide.
    pub learnt: String,
    /// Whether the log left something for the next request, which it may at any point.
    pub partial: bool,
}

/// A user about to verify an answer.
pub struct Case {
    pub name: String,
    pub verifier: Verifier,
    pub state: Option<TreeState>,
    pub operation: Operation,
    pub honest: Vec<u8>,
    pub now: u64,
    /// Bytes of `honest` that this answer does not authenticate: commitments of versions that it
    /// does not show to be included, and values that an update leaves to owner monitoring.
    pub free: Vec<Range<usize>>,
}

impl Case {
    pub fn run(&self, response: &[u8]) -> Result<Outcome, VerifyError> {
        self.run_with(&self.verifier, response, self.now)
    }

    pub fn run_with(
        &self,
        v: &Verifier,
        response: &[u8],
        now: u64,
    ) -> Result<Outcome, VerifyError> {
        let state = self.state.as_ref();
        let whole = |state, learnt| Outcome {
            state,
            learnt,
            partial: false,
        };
        Ok(match &self.operation {
            Operation::Search(request) => {
                let done = v.search(state, request, response, now)?;
                let learnt = format!("{:?} {:?}", done.value, done.found);
                whole(done.state, learnt)
            }
            Operation::Update(owner, request) => {
                let done = v.update(state, owner, request, response, now)?;
                let more = done.owner.progress.greatest_version();
                Outcome {
                    learnt: {
                        let mut owner = done.owner;
                        let mut values = String::new();
                        if self.free.is_empty() {
                            values = format!("{:?}", done.updates);
                        } else {
                            owner.commitments.clear();
                        }
                        format!("{owner:?} {values}")
                    },
                    state: done.state,
                    // Responses are complete one by one: a prefix of them is an answer.
                    partial: more < self.honest_greatest(v),
                }
            }
            Operation::OwnerInit(request) => {
                let done = v.owner_init(state, request, response, now)?;
                let mut owner = done.owner;
                if !self.free.is_empty() {
                    owner.commitments.clear();
                }
                whole(done.state, format!("{owner:?}"))
            }
            Operation::OwnerMonitor(owner, request) => {
                let done = v.owner_monitor(state, owner, request, response, now)?;
                Outcome {
                    learnt: format!("{:?} {:?}", done.owner, done.verified),
                    state: done.state,
                    partial: !done.complete,
                }
            }
            Operation::ContactMonitor(vrf, commitments, request) => {
                let done = v.contact_monitor(state, vrf, commitments, request, response, now)?;
                whole(done.state, format!("{:?}", done.map))
            }
            Operation::Distinguished(request, recent) => {
                let done = v.distinguished(state, request, *recent, response, now)?;
                whole(done.state, format!("{:?}", done.recent))
            }
        })
    }

    fn honest_greatest(&self, v: &Verifier) -> Option<u32> {
        let Operation::Update(owner, request) = &self.operation else {
            return None;
        };
        let done = v.update(self.state.as_ref(), owner, request, &self.honest, self.now);
        done.ok()?.owner.progress.greatest_version()
    }

    /// Whether `response` is the honest one, but for bytes that nothing authenticates.
    pub fn is_honest(&self, response: &[u8]) -> bool {
        self.honest.len() == response.len()
            && (0..response.len())
                .filter(|i| response[*i] != self.honest[*i])
                .all(|i| self.free.iter().any(|range| range.contains(&i)))
    }

    /// The kind of operation.
    pub fn kind(&self) -> &'static str {
        match self.operation {
            Operation::Search(_) => "search",
            Operation::Update(..) => "update",
            Operation::OwnerInit(_) => "owner_init",
            Operation::OwnerMonitor(..) => "owner_monitor",
            Operation::ContactMonitor(..) => "contact_monitor",
            Operation::Distinguished(..) => "distinguished",
        }
    }

    pub fn label(&self) -> &[u8] {
        match &self.operation {
            Operation::Search(r) => &r.label,
            Operation::Update(_, r) => &r.label,
            Operation::OwnerInit(r) => &r.label,
            Operation::OwnerMonitor(_, r) => &r.label,
            Operation::ContactMonitor(_, _, r) => &r.label,
            Operation::Distinguished(..) => &[],
        }
    }

    pub fn is_updated(&self) -> bool {
        self.state.as_ref().is_none_or(|s| s.tree_size() < SIZE)
    }
}

pub fn version(label: &str, number: usize) -> NewVersion {
    let mut opening = [number as u8; 16];
    opening[0] = label.len() as u8;
    NewVersion {
        label: label.into(),
        value: format!("value {number} of {label}").into_bytes(),
        opening,
    }
}

/// What the entry at `position` adds.
pub fn additions(position: u64) -> Vec<NewVersion> {
    let mut out = Vec::new();
    for (i, (label, at, count)) in HISTORY.iter().enumerate() {
        if *at == position {
            let earlier = HISTORY[..i].iter().filter(|(l, ..)| l == label);
            let first: usize = earlier.map(|(.., count)| count).sum();
            out.extend((first..first + count).map(|n| version(label, n)));
        }
    }
    // Company in the tree.
    out.push(version(&format!("other {position}"), 0));
    out
}

pub fn empty_log(suite: CipherSuite, lifetime: Option<u64>) -> MemoryLog {
    MemoryLog::new(suite, [7; 32], [9; 32], RMW, lifetime)
}

pub fn log(suite: CipherSuite, lifetime: Option<u64>) -> MemoryLog {
    let mut log = empty_log(suite, lifetime);
    for position in 0..SIZE {
        log.push(START + position * STEP, additions(position));
    }
    log
}

/// Everything that users do, with honest answers.
pub fn cases(log: &MemoryLog) -> Vec<Case> {
    Builder {
        log,
        verifier: Verifier::new(log.config.clone()).unwrap(),
        now: START + SIZE * STEP,
        cases: Vec::new(),
    }
    .all()
}

pub fn join<T: Encode>(responses: &[T]) -> Vec<u8> {
    let encoded = responses.iter().map(|r| r.to_bytes().unwrap());
    encoded.flatten().collect()
}

/// The state of a user who saw `size` entries, and the distinguished ones.
pub fn seen(log: &MemoryLog, verifier: &Verifier, size: u64) -> (TreeState, Vec<u64>) {
    let request = DistinguishedRequest {
        last: None,
        stop: None,
    };
    let recent = Recent::Count(10);
    let response = provider::distinguished(&log.at(size), &request, recent).unwrap();
    let now = START + size * STEP;
    let done = verifier
        .distinguished(None, &request, recent, &response.to_bytes().unwrap(), now)
        .unwrap();
    let positions = done.recent.iter().map(|view| view.position()).collect();
    (done.state, positions)
}

/// An owner who began at the rightmost distinguished entry of the log of `size` entries.
pub fn owner(log: &MemoryLog, verifier: &Verifier, size: u64, label: &str) -> OwnerState {
    let (_, distinguished) = seen(log, verifier, size);
    let request = OwnerInitRequest {
        last: None,
        label: label.into(),
        start: *distinguished.last().unwrap(),
    };
    let response = provider::owner_init(&log.at(size), &request).unwrap();
    let response = response.to_bytes().unwrap();
    verifier
        .owner_init(None, &request, &response, START + size * STEP)
        .unwrap()
        .owner
}

/// The owner after learning all versions up to `size`.
pub fn caught_up(
    log: &MemoryLog,
    verifier: &Verifier,
    size: u64,
    owner: OwnerState,
    label: &str,
) -> OwnerState {
    let request = UpdateRequest {
        last: None,
        label: label.into(),
        greatest_version: owner.progress.greatest_version(),
        values: vec![],
    };
    match provider::update(&log.at(size), &request, None) {
        Ok(responses) => {
            let now = START + size * STEP;
            let done = verifier.update(None, &owner, &request, &join(&responses), now);
            done.unwrap().owner
        }
        Err(_) => owner,
    }
}

struct Builder<'l> {
    log: &'l MemoryLog,
    verifier: Verifier,
    now: u64,
    cases: Vec<Case>,
}

impl Builder<'_> {
    fn push(&mut self, name: String, state: Option<&TreeState>, op: Operation, honest: Vec<u8>) {
        let free = match &op {
            Operation::Search(request) => free_search(self.log, state, request, &honest),
            Operation::OwnerInit(request) => free_owner_init(self.log, state, request, &honest),
            Operation::Update(owner, r) => free_update(self.log, state, owner, r, &honest),
            _ => Vec::new(),
        };
        self.cases.push(Case {
            name,
            verifier: self.verifier.clone(),
            state: state.cloned(),
            operation: op,
            honest,
            now: self.now,
            free,
        });
    }

    fn all(mut self) -> Vec<Case> {
        let (before, early) = seen(self.log, &self.verifier, BEFORE);
        let (now, late) = seen(self.log, &self.verifier, SIZE);
        for (user, state) in [
            ("new", None),
            ("returning", Some(&before)),
            ("current", Some(&now)),
        ] {
            for label in ["alice", "bob", "carol", "erin"] {
                self.search(user, state, label, None);
            }
            for version in [0, 1, 3, 4, 5, 6, 8, 10] {
                self.search(user, state, "alice", Some(version));
            }
            self.search(user, state, "erin", Some(2));
            for label in ["alice", "bob", "carol", "erin", "dave", "new"] {
                self.update(user, state, label);
                self.owner_monitor(user, state, label);
                for start in [early.last(), late.last()].into_iter().flatten() {
                    self.owner_init(user, state, label, *start);
                }
            }
            for label in ["alice", "bob", "carol", "erin", "new"] {
                self.contact_monitor(user, state, label);
            }
            for recent in [Recent::Count(3), Recent::Age(20_000)] {
                let request = DistinguishedRequest {
                    last: state.map(TreeState::tree_size),
                    stop: None,
                };
                let answer = provider::distinguished(&self.log.published(), &request, recent);
                let answer = answer.unwrap().to_bytes().unwrap();
                let op = Operation::Distinguished(request, recent);
                self.push(
                    format!("distinguished {recent:?} {user}"),
                    state,
                    op,
                    answer,
                );
            }
        }
        self.cases
    }

    fn search(&mut self, user: &str, state: Option<&TreeState>, label: &str, v: Option<u32>) {
        let request = SearchRequest {
            last: state.map(TreeState::tree_size),
            label: label.into(),
            version: v,
        };
        // Old versions of a log with a lifetime expire.
        if let Ok(answer) = provider::search(&self.log.published(), &request) {
            let answer = answer.to_bytes().unwrap();
            let op = Operation::Search(request);
            self.push(format!("search {label} {v:?} {user}"), state, op, answer);
        }
    }

    fn update(&mut self, user: &str, state: Option<&TreeState>, label: &str) {
        let owner = owner(self.log, &self.verifier, BEFORE, label);
        let mut request = UpdateRequest {
            last: state.map(TreeState::tree_size),
            label: label.into(),
            greatest_version: owner.progress.greatest_version(),
            values: vec![],
        };
        let behind = provider::update(&self.log.published(), &request, None).unwrap();
        let answer = join(&behind);
        let op = Operation::Update(owner.clone(), request.clone());
        self.push(format!("update {label} behind {user}"), state, op, answer);
        // The same, with the values of the last entry as those of the request.
        let newest = behind.last().unwrap();
        request.values = newest.values.clone();
        let created = Some(newest.position);
        let answer = provider::update(&self.log.published(), &request, created).unwrap();
        let op = Operation::Update(owner, request);
        let name = format!("update {label} requested {user}");
        self.push(name, state, op, join(&answer));
    }

    fn owner_init(&mut self, user: &str, state: Option<&TreeState>, label: &str, start: u64) {
        let request = OwnerInitRequest {
            last: state.map(TreeState::tree_size),
            label: label.into(),
            start,
        };
        let answer = provider::owner_init(&self.log.published(), &request).unwrap();
        let answer = answer.to_bytes().unwrap();
        let op = Operation::OwnerInit(request);
        self.push(
            format!("owner_init {label} {start} {user}"),
            state,
            op,
            answer,
        );
    }

    fn owner_monitor(&mut self, user: &str, state: Option<&TreeState>, label: &str) {
        let owner = owner(self.log, &self.verifier, BEFORE, label);
        let owner = caught_up(self.log, &self.verifier, SIZE, owner, label);
        let request = owner_monitor_request(state, &owner, label);
        for max in [64, 1] {
            let answer = provider::owner_monitor(&self.log.published(), &request, max).unwrap();
            let answer = answer.to_bytes().unwrap();
            let op = Operation::OwnerMonitor(owner.clone(), request.clone());
            let name = format!("owner_monitor {label} at most {max} {user}");
            self.push(name, state, op, answer);
        }
    }

    fn contact_monitor(&mut self, user: &str, state: Option<&TreeState>, label: &str) {
        // Searched at several sizes; what still needs monitoring is one version per entry.
        let (mut vrf, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        let mut map = BTreeMap::new();
        for size in [6, 10, BEFORE, 35, SIZE] {
            let request = SearchRequest {
                last: None,
                label: label.into(),
                version: None,
            };
            let Ok(answer) = provider::search(&self.log.at(size), &request) else {
                continue;
            };
            let answer = answer.to_bytes().unwrap();
            let now = START + size * STEP;
            let done = self.verifier.search(None, &request, &answer, now).unwrap();
            if !map.values().any(|v| *v == done.value.version()) {
                map.insert(done.found.terminal, done.value.version());
            }
            remember(&done, &mut vrf, &mut commitments);
        }
        let entries = map.into_iter();
        let request = ContactMonitorRequest {
            last: state.map(TreeState::tree_size),
            label: label.into(),
            entries: entries
                .map(|(position, version)| MonitorMapEntry { position, version })
                .collect(),
        };
        let answer = provider::contact_monitor(&self.log.published(), &request).unwrap();
        let answer = answer.to_bytes().unwrap();
        let op = Operation::ContactMonitor(vrf, commitments, request);
        self.push(format!("contact_monitor {label} {user}"), state, op, answer);
    }
}

pub fn owner_monitor_request(
    state: Option<&TreeState>,
    owner: &OwnerState,
    label: &str,
) -> OwnerMonitorRequest {
    let entries = owner.map.iter();
    OwnerMonitorRequest {
        last: state.map(TreeState::tree_size),
        label: label.into(),
        entries: entries
            .map(|(p, v)| MonitorMapEntry {
                position: *p,
                version: *v,
            })
            .collect(),
        start: owner.progress.start,
        greatest_version: owner.progress.greatest_version(),
    }
}

/// Adds what a search showed to what is known of the label.
pub fn remember(
    done: &SearchVerified,
    vrf: &mut BTreeMap<u32, HashValue>,
    commitments: &mut BTreeMap<u32, HashValue>,
) {
    vrf.extend(done.ladder.iter().map(|(v, l)| (*v, l.vrf_output)));
    let found = done.ladder.iter();
    commitments.extend(found.filter_map(|(v, l)| Some((*v, l.commitment?))));
}
