//! How a log is made that no honest one would be.

use overt_protocol::prefix_tree::modify;
use overt_protocol::provider::StoredVersion;
use overt_protocol::suite::VrfSecretKey;
use overt_protocol::wire::*;

use crate::server::{Values, new_versions};
use crate::shown::Fake;
use crate::support::{MemoryLog, leaf};

/// Everything that a log was made of.
#[derive(Debug, Default, Clone)]
pub(crate) struct Script(pub(crate) Vec<(u64, Values)>);

impl Script {
    pub(crate) fn push(&mut self, log: &mut MemoryLog, timestamp: u64, new: &Values) {
        log.push(timestamp, new_versions(new));
        self.0.push((timestamp, new.clone()));
    }

    /// The greatest version of a label was never made.
    pub(crate) fn remove_last(&mut self, label: &str) {
        let has_label = |(_, new): &&mut (u64, Values)| new.iter().any(|(l, _)| l == label);
        let (_, new) = self.0.iter_mut().rev().find(has_label).unwrap();
        let index = new.iter().rposition(|(l, _)| l == label).unwrap();
        new.remove(index);
    }

    pub(crate) fn replay(&self, mut log: MemoryLog) -> MemoryLog {
        for (timestamp, new) in &self.0 {
            log.push(*timestamp, new_versions(new));
        }
        log
    }
}

impl Fake {
    pub(crate) fn new(vrf: &VrfSecretKey, label: &str, version: u32) -> Self {
        let opening = [6; 16];
        let value = UpdateValue {
            value: b"the directory's own".to_vec(),
            signature: None,
        };
        Self {
            version,
            leaf: leaf(vrf, label.as_bytes(), version, &opening, &value),
            opening,
            value,
        }
    }

    /// Notes it as the next version of a label, although it is in no tree.
    pub(crate) fn claim(self, log: &mut MemoryLog, label: &str, position: u64) {
        let stored = StoredVersion {
            position,
            leaf: self.leaf,
            removed: None,
        };
        let versions = log.labels.get_mut(label.as_bytes()).unwrap();
        assert_eq!(versions.len(), self.version as usize);
        versions.push((stored, self.opening, self.value));
    }
}

/// Rebuilds the newest prefix tree out of all versions, with one of them replaced.
pub(crate) fn set_tree(log: &mut MemoryLog, label: &str, fake: Option<&Fake>) {
    let mut leaves = Vec::new();
    for (name, versions) in &log.labels {
        for (version, (stored, ..)) in versions.iter().enumerate() {
            let fake = fake.filter(|f| name == label.as_bytes() && f.version as usize == version);
            leaves.push(fake.map_or(stored.leaf, |fake| fake.leaf));
        }
    }
    let inserted = modify(&log.pages, None, &leaves, &[], log.tip.next_page).unwrap();
    log.tip.next_page += inserted.pages.len() as u64;
    log.tip.prefix_root = inserted.root;
    log.pages.extend(inserted.pages);
}

/// Responses that carry a head and one combined proof.
pub(crate) trait Proof {
    fn parts(&mut self) -> (&FullTreeHead, &mut CombinedTreeProof);
}

impl Proof for SearchResponse {
    fn parts(&mut self) -> (&FullTreeHead, &mut CombinedTreeProof) {
        (&self.full_tree_head, &mut self.search)
    }
}

impl Proof for MonitorResponse {
    fn parts(&mut self) -> (&FullTreeHead, &mut CombinedTreeProof) {
        (&self.full_tree_head, &mut self.proof)
    }
}

impl Proof for OwnerInitResponse {
    fn parts(&mut self) -> (&FullTreeHead, &mut CombinedTreeProof) {
        (&self.full_tree_head, &mut self.init)
    }
}

/// Puts one timestamp in the place of another. Returns whether it was there.
pub(crate) fn bend(proof: &mut CombinedTreeProof, from: u64, to: u64) -> bool {
    let mut found = proof.timestamps.iter_mut().filter(|t| **t == from);
    let first = found.next().map(|timestamp| *timestamp = to);
    first.is_some()
}
