//! The log that the sessions are about: one history for every setting.

use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::codec::Encode;
use overt_protocol::provider::{Directory, auditor_update};
use overt_protocol::user::Verifier;
use overt_protocol::wire::*;
use serde_json::{Value, json};

use super::setting::Setting;
use super::{hexed, seed};
use crate::support::{MemoryLog, NewVersion, Published};

/// When the log began.
const START: u64 = 1_800_000_000_000;

/// For each log entry the milliseconds since the one before, and how many versions it adds to which
/// labels.
const HISTORY: [(u64, &[(&str, usize)]); SIZE as usize] = [
    (0, &[("alice", 1), ("zoe", 1)]),
    (9_000, &[("bob", 1)]),
    (4_000, &[("carol", 1), ("yan", 1)]),
    (12_000, &[("alice", 1), ("yan", 3)]),
    (15_000, &[("alice", 1), ("bob", 1)]),
    (3_000, &[("erin", 1)]),
    (11_000, &[("alice", 2)]),
    (16_000, &[]),
    (7_000, &[("xena", 1)]),
    (2_000, &[("carol", 1)]),
    (1_000, &[("carol", 1)]),
    (1_500, &[("carol", 1)]),
    (14_000, &[("alice", 1)]),
    (10_000, &[("will", 1)]),
    (12_000, &[("vera", 2)]),
    (8_000, &[("alice", 1)]),
    (17_000, &[("erin", 3)]),
    (5_000, &[("dave", 2)]),
    (9_000, &[("carol", 1)]),
    (13_000, &[("ugo", 1), ("tess", 1)]),
    (0, &[("alice", 1)]),
    (11_000, &[("dave", 1)]),
    (2_000, &[("carol", 1)]),
    (20_000, &[]),
    (4_000, &[("alice", 1)]),
    (9_000, &[("dave", 1)]),
    (1_000, &[("carol", 1), ("erin", 1)]),
    (8_000, &[("alice", 1)]),
    (12_000, &[("bob", 1)]),
];

/// Number of log entries.
pub(super) const SIZE: u64 = 29;

/// In Third-Party Management mode, version counters that an entry skips.
const SKIPPED: [(u64, &str, u32); 2] = [(18, "carol", 2), (21, "dave", 1)];

pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) log: MemoryLog,
    pub(super) verifier: Verifier,
    /// What the auditor had signed when the log had one entry, two, and so on.
    auditor: Vec<AuditorTreeHead>,
}

impl World {
    /// The log.
    pub(super) fn new(setting: Setting) -> Self {
        Self::forked(setting, SIZE)
    }

    /// A log that holds other values from the entry at `fork` on.
    pub(super) fn forked(setting: Setting, fork: u64) -> Self {
        Self::build(setting, fork, None)
    }

    /// A log that forgets, from the entry at `position` on, what the entry before it added.
    pub(super) fn forgetful(setting: Setting, position: u64) -> Self {
        Self::build(setting, SIZE, Some(position))
    }

    fn build(setting: Setting, fork: u64, forgets: Option<u64>) -> Self {
        let config = setting.configuration();
        let verifier = Verifier::new(config.clone()).unwrap();
        let mut log = MemoryLog::with_config(config, setting.signing_key(), setting.vrf_key());
        log.leaf_key = setting.leaf_key();
        log.removes = true;
        let mut now = START;
        for (position, (step, added)) in (0..).zip(HISTORY) {
            now += step;
            let suffix = if position < fork { "" } else { ", forked" };
            let mut new = Vec::new();
            for (label, count) in added {
                let before = log.labels.get(label.as_bytes()).map_or(0, Vec::len);
                new.extend((0..*count).map(|n| version(label, before + n, suffix)));
            }
            let managed = setting.mode == 2;
            let skipped = SKIPPED.iter().filter(|(at, ..)| managed && *at == position);
            let skipped: Vec<_> = skipped.map(|(_, label, count)| (*label, *count)).collect();
            if forgets == Some(position) {
                log.tip.prefix_root = log.roots[position as usize - 2];
            }
            log.push_after_skipping(now, &skipped, new);
        }
        let mut world = Self {
            setting,
            log,
            verifier,
            auditor: Vec::new(),
        };
        world.auditor = world.audit();
        world
    }

    /// What an auditor signs who replays the log and lags up to three entries behind.
    fn audit(&self) -> Vec<AuditorTreeHead> {
        let Some(key) = self.setting.auditor_key() else {
            return Vec::new();
        };
        let mut state = AuditorState::empty();
        let mut signed: Vec<AuditorTreeHead> = Vec::new();
        for position in 0..SIZE {
            state = self.replayed(&state, position);
            signed.push(state.sign(&self.log.config, &key).unwrap());
        }
        let lagging = |size: usize| signed[size - 1 - (size % 4).min(size - 1)].clone();
        (1..=signed.len()).map(lagging).collect()
    }

    /// The next state of an auditor who trusts the log with what it removes.
    fn replayed(&self, state: &AuditorState, position: u64) -> AuditorState {
        let update = auditor_update(&self.log.published(), position).unwrap();
        let next: Result<_, AuditError> = state.apply(&self.log.config, &update, |_, _| Ok(false));
        next.unwrap()
    }

    /// The log as it was published with `size` entries.
    pub(super) fn at(&self, size: u64) -> Published<'_> {
        let mut at = self.log.at(size);
        at.auditor = self.auditor.get(size as usize - 1).cloned();
        at
    }

    /// The log as published with `size` entries, with a head of the auditor who saw `seen` of them.
    pub(super) fn audited(&self, size: u64, seen: u64) -> Published<'_> {
        let mut state = AuditorState::empty();
        for position in 0..seen {
            state = self.replayed(&state, position);
        }
        let mut at = self.log.at(size);
        let key = self.setting.auditor_key();
        at.auditor = key.map(|key| state.sign(&self.log.config, &key).unwrap());
        at
    }

    /// A value for a version that never had one.
    pub(super) fn invented(&self, label: &str, version: u32) -> (Opening, UpdateValue) {
        let value = b"invented".to_vec();
        let signature = self.signature(label, version, &value);
        ([7; 16], UpdateValue { value, signature })
    }

    /// The Service Operator's signature, in Third-Party Management mode.
    pub(super) fn signature(&self, label: &str, version: u32, value: &[u8]) -> Option<Vec<u8>> {
        let tbs = UpdateTbs {
            config: &self.log.config,
            label: label.as_bytes(),
            version,
            value,
        };
        let key = self.log.leaf_key.as_ref();
        key.map(|key| key.sign(&tbs.to_bytes().unwrap()))
    }

    /// When somebody asks who is told of `size` entries: a second after the last.
    pub(super) fn now(&self, size: u64) -> u64 {
        self.log.entries[size as usize - 1].timestamp + 1_000
    }

    /// The log as a file holds it.
    pub(super) fn entries(&self) -> Value {
        (0..SIZE).map(|position| self.entry(position)).collect()
    }

    fn entry(&self, position: u64) -> Value {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (label, versions) in &self.log.labels {
            for (version, (stored, opening, update)) in versions.iter().enumerate() {
                if stored.removed == Some(position) {
                    let label = String::from_utf8_lossy(label);
                    removed.push(json!({"label": label, "version": version}));
                }
                if stored.position != position {
                    continue;
                }
                let mut entry = json!({
                    "label": String::from_utf8_lossy(label),
                    "version": version,
                    "vrf_output": hex::encode(stored.leaf.vrf_output),
                    "commitment": hex::encode(stored.leaf.commitment),
                });
                if stored.is_skipped() {
                    entry["skipped"] = json!(true);
                } else {
                    entry["opening"] = json!(hex::encode(opening));
                    entry["value"] = json!(hex::encode(&update.value));
                }
                if let Some(signature) = &update.signature {
                    entry["signature"] = json!(hex::encode(signature));
                }
                added.push(entry);
            }
        }
        let (at, index) = (self.at(position + 1), position as usize);
        let mut entry = json!({
            "position": position,
            "timestamp": self.log.entries[index].timestamp,
            "added": added,
            "prefix_root": hex::encode(self.log.entries[index].prefix_tree),
            "root": hex::encode(self.log.log_roots[index]),
            "tree_head": hexed(at.tree_head()),
        });
        if !removed.is_empty() {
            entry["removed"] = json!(removed);
        }
        if let Some(auditor) = &at.auditor {
            entry["auditor_tree_head"] = hexed(auditor);
        }
        entry
    }
}

fn version(label: &str, number: usize, suffix: &str) -> NewVersion {
    let opening = seed(&format!("opening {label} {number}"));
    NewVersion {
        label: label.into(),
        value: format!("{label} {number}{suffix}").into_bytes(),
        opening: *opening.first_chunk().unwrap(),
    }
}
