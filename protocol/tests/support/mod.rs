//! A log in memory, for tests of the algorithms: everything in plain maps.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, HashMap, VecDeque};

use overt_protocol::codec::{Decode, Encode, EncodeError};
use overt_protocol::error::VerifyError;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{
    ModifyError, NewPage, Node, Page, PageError, PageId, PageRecord, Pages, drop_version,
};
use overt_protocol::provider::{
    Changes, Directory, Refusal, Retention, StoredVersion, Tip, append, superseded_by,
};
use overt_protocol::suite::{self, CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::*;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum MemoryError {
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error(transparent)]
    Modify(#[from] ModifyError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("no such record")]
    Missing,
}

/// Pages, made from the bytes that are written of them.
#[derive(Debug, Default, Clone)]
pub struct MemoryPages(pub BTreeMap<PageId, Page>);

impl MemoryPages {
    pub fn of(pages: Vec<NewPage>) -> Self {
        let mut all = Self::default();
        all.extend(pages);
        all
    }

    pub fn extend(&mut self, pages: Vec<NewPage>) {
        for NewPage {
            id, record, page, ..
        } in pages
        {
            self.put(id, &record);
            assert_eq!(
                self.0[&id], page,
                "what is written of page {id} says it all"
            );
        }
    }

    fn put(&mut self, id: PageId, record: &PageRecord) {
        let record = PageRecord::from_bytes(&record.to_bytes().unwrap(), &()).unwrap();
        let base = record.base.map(|base| &self.0[&base]);
        let page = Page::restore(base, &[(id, record)]).unwrap();
        self.0.insert(id, page);
    }

    /// Drops versions, given all roots from the oldest of them to the one after the newest of them.
    pub fn drop(&mut self, roots: &[Option<Node>]) {
        let mut dropped = BTreeMap::new();
        for pair in roots.windows(2) {
            drop_version(self, pair[0], pair[1], &mut dropped).unwrap();
        }
        for (id, what) in dropped {
            match what {
                Some(record) => self.put(id, &record),
                None => drop(self.0.remove(&id)),
            }
        }
    }
}

impl Pages for MemoryPages {
    type Error = MemoryError;
    type Page<'a> = &'a Page;
    fn page(&self, id: PageId) -> Result<&Page, MemoryError> {
        self.0.get(&id).ok_or(MemoryError::Missing)
    }
}

pub struct NewVersion {
    pub label: Vec<u8>,
    pub value: Vec<u8>,
    pub opening: Opening,
}

/// The leaf of a version of a label.
pub fn leaf(
    vrf: &VrfSecretKey,
    label: &[u8],
    version: u32,
    opening: &Opening,
    update: &UpdateValue,
) -> PrefixLeaf {
    let committed = CommitmentValue {
        opening,
        label,
        version,
        update,
    };
    PrefixLeaf {
        vrf_output: vrf.output(&VrfInput { label, version }.to_bytes().unwrap()),
        commitment: suite::commitment(&[&committed.to_bytes().unwrap()]),
    }
}

/// A version that was just created.
fn stored(position: u64, leaf: PrefixLeaf) -> StoredVersion {
    StoredVersion {
        position,
        leaf,
        removed: None,
    }
}

pub struct MemoryLog {
    pub config: Configuration,
    pub signing: SigningKey,
    pub vrf: VrfSecretKey,
    pub tip: Tip,
    pub pages: MemoryPages,
    pub entries: Vec<LogEntry>,
    pub roots: Vec<Option<Node>>,
    pub subtrees: HashMap<Subtree, HashValue>,
    pub heads: Vec<TreeHead>,
    pub log_roots: Vec<HashValue>,
    pub labels: BTreeMap<Vec<u8>, Vec<(StoredVersion, Opening, UpdateValue)>>,
    /// The Service Operator's, in Third-Party Management mode.
    pub leaf_key: Option<SigningKey>,
    /// Whether versions that are not needed any more are removed from the prefix tree.
    pub removes: bool,
    /// Versions whose predecessors may be removed in time, in order of creation.
    pub overtaking: VecDeque<(Vec<u8>, u32)>,
    /// Prefix trees of log entries before this one are dropped.
    pub dropped: u64,
}

impl MemoryLog {
    pub fn new(
        suite: CipherSuite,
        signature: [u8; 32],
        vrf: [u8; 32],
        rmw: u64,
        lifetime: Option<u64>,
    ) -> Self {
        let signing = SigningKey::from_bytes(suite, &signature).unwrap();
        let vrf = VrfSecretKey::from_bytes(suite, &vrf).unwrap();
        let config = Configuration {
            ciphersuite: suite,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: signing.public_key(),
            vrf_public_key: vrf.public_key(),
            max_ahead: 60_000,
            max_behind: 3_153_600_000_000,
            reasonable_monitoring_window: rmw,
            maximum_lifetime: lifetime,
        };
        Self::with_config(config, signing, vrf)
    }

    pub fn with_config(config: Configuration, signing: SigningKey, vrf: VrfSecretKey) -> Self {
        Self {
            config,
            signing,
            vrf,
            tip: Tip::empty(),
            pages: MemoryPages::default(),
            entries: Vec::new(),
            roots: Vec::new(),
            subtrees: HashMap::new(),
            heads: Vec::new(),
            log_roots: Vec::new(),
            labels: BTreeMap::new(),
            leaf_key: None,
            removes: false,
            overtaking: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Appends a log entry with these versions, in order.
    pub fn push(&mut self, timestamp: u64, new: Vec<NewVersion>) {
        self.push_after_skipping(timestamp, &[], new);
    }

    /// The same, after skipping so many version counters of labels.
    pub fn push_after_skipping(
        &mut self,
        timestamp: u64,
        skipped: &[(&str, u32)],
        new: Vec<NewVersion>,
    ) {
        let position = self.tip.size;
        let mut leaves = Vec::new();
        for (label, count) in skipped {
            let label = label.as_bytes();
            let versions = self.labels.entry(label.to_vec()).or_default();
            for _ in 0..*count {
                let version = versions.len() as u32;
                let input = VrfInput { label, version }.to_bytes().unwrap();
                let leaf = PrefixLeaf {
                    vrf_output: self.vrf.output(&input),
                    commitment: overt_protocol::provider::SKIPPED,
                };
                let nothing = UpdateValue {
                    value: Vec::new(),
                    signature: None,
                };
                self.overtaking.push_back((label.to_vec(), version));
                versions.push((stored(position, leaf), [0; 16], nothing));
                leaves.push(leaf);
            }
        }
        for NewVersion {
            label,
            value,
            opening,
        } in new
        {
            let versions = self.labels.entry(label.clone()).or_default();
            let version = versions.len() as u32;
            let tbs = UpdateTbs {
                config: &self.config,
                label: &label,
                version,
                value: &value,
            };
            let signature = self
                .leaf_key
                .as_ref()
                .map(|key| key.sign(&tbs.to_bytes().unwrap()));
            let update = UpdateValue { value, signature };
            let leaf = leaf(&self.vrf, &label, version, &opening, &update);
            self.overtaking.push_back((label, version));
            versions.push((stored(position, leaf), opening, update));
            leaves.push(leaf);
        }
        self.push_leaves(timestamp, &leaves);
    }

    /// Appends a log entry that adds these leaves to the prefix tree at the tip, whatever they are.
    pub fn push_leaves(&mut self, timestamp: u64, leaves: &[PrefixLeaf]) {
        let removed = self.remove_overtaken(timestamp.max(self.tip.timestamp));
        let done = append(&self.pages, &self.tip, timestamp, leaves, &removed).unwrap();
        self.pages.extend(done.pages);
        self.subtrees.extend(done.subtrees);
        self.entries.push(done.entry);
        self.tip = done.tip;
        self.roots.push(self.tip.prefix_root);
        let root = self.tip.root().unwrap();
        self.log_roots.push(root);
        let tbs = TreeHeadTbs {
            config: &self.config,
            tree_size: self.tip.size,
            root,
        };
        let signature = self.signing.sign(&tbs.to_bytes().unwrap());
        self.heads.push(TreeHead {
            tree_size: self.tip.size,
            signature,
        });
    }

    /// The leaves that a log entry of `now` removes.
    fn remove_overtaken(&mut self, now: u64) -> Vec<PrefixLeaf> {
        let mut out = Vec::new();
        let Some(retention) = Retention::of(&self.config).filter(|_| self.removes) else {
            return out;
        };
        while let Some((label, version)) = self.overtaking.front() {
            let versions = self.labels.get_mut(label).unwrap();
            let position = versions[*version as usize].0.position;
            let timestamp = match self.entries.get(position as usize) {
                Some(entry) => entry.timestamp,
                None => break,
            };
            if !retention.is_overtaken(timestamp, now) {
                break;
            }
            for gone in superseded_by(*version) {
                let stored = &mut versions[gone as usize].0;
                stored.removed = Some(self.tip.size);
                out.push(stored.leaf);
            }
            self.overtaking.pop_front();
        }
        out
    }

    /// Drops the prefix trees of expired log entries, at most `max` of them.
    pub fn drop_expired(&mut self, max: usize) {
        let retention = Retention::of(&self.config).unwrap();
        let first = self.dropped as usize;
        let expired =
            |entry: &&LogEntry| retention.is_dropped(entry.timestamp, self.tip.timestamp, 0);
        let count = self.entries[first..]
            .iter()
            .take(max)
            .take_while(expired)
            .count();
        self.pages.drop(&self.roots[first..=first + count]);
        self.dropped += count as u64;
    }

    /// The log as it was with `size` entries.
    pub fn at(&self, size: u64) -> Published<'_> {
        Published {
            log: self,
            size,
            auditor: None,
        }
    }

    pub fn published(&self) -> Published<'_> {
        self.at(self.tip.size)
    }
}

pub struct Published<'l> {
    pub log: &'l MemoryLog,
    pub size: u64,
    /// Served beside the head, in Third-Party Auditing mode.
    pub auditor: Option<AuditorTreeHead>,
}

impl Directory for Published<'_> {
    type Error = MemoryError;
    type Pages = MemoryPages;

    fn config(&self) -> &Configuration {
        &self.log.config
    }
    fn tree_head(&self) -> &TreeHead {
        &self.log.heads[self.size as usize - 1]
    }
    fn auditor_tree_head(&self) -> Option<&AuditorTreeHead> {
        self.auditor.as_ref()
    }
    fn log_entry(&self, position: u64) -> Result<LogEntry, MemoryError> {
        assert!(position < self.size);
        Ok(self.log.entries[position as usize])
    }
    fn log_subtree(&self, subtree: Subtree) -> Result<HashValue, MemoryError> {
        assert!(subtree.start() + subtree.size() <= self.size);
        self.log
            .subtrees
            .get(&subtree)
            .copied()
            .ok_or(MemoryError::Missing)
    }
    fn pages(&self) -> &MemoryPages {
        &self.log.pages
    }
    fn prefix_root(&self, position: u64) -> Result<Option<Node>, MemoryError> {
        if position < self.log.dropped {
            return Err(Refusal::Expired.into());
        }
        Ok(self.log.roots[position as usize])
    }
    fn changes(&self, position: u64) -> Result<Changes, MemoryError> {
        let versions = || {
            self.log
                .labels
                .values()
                .flatten()
                .map(|(stored, ..)| stored)
        };
        Ok(Changes {
            added: versions()
                .filter(|stored| stored.position == position)
                .map(|stored| stored.leaf)
                .collect(),
            removed: versions()
                .filter(|stored| stored.removed == Some(position))
                .map(|stored| stored.leaf)
                .collect(),
        })
    }
    fn greatest_version(&self, label: &[u8]) -> Result<Option<u32>, MemoryError> {
        let Some(versions) = self.log.labels.get(label) else {
            return Ok(None);
        };
        let count = versions.partition_point(|(stored, ..)| stored.position < self.size);
        Ok(count.checked_sub(1).map(|v| v as u32))
    }
    fn version(&self, label: &[u8], version: u32) -> Result<Option<StoredVersion>, MemoryError> {
        let versions = self.log.labels.get(label);
        let found = versions
            .and_then(|v| v.get(version as usize))
            .map(|(stored, ..)| *stored);
        let is_known = |stored: &StoredVersion| {
            let gone = stored.removed.is_some_and(|at| at <= self.log.dropped);
            stored.position < self.size && !gone
        };
        Ok(found.filter(is_known))
    }
    fn value(&self, label: &[u8], version: u32) -> Result<(Opening, UpdateValue), MemoryError> {
        let (_, opening, value) = &self.log.labels[label][version as usize];
        Ok((*opening, value.clone()))
    }
    fn vrf_output(&self, label: &[u8], version: u32) -> Result<HashValue, MemoryError> {
        Ok(self
            .log
            .vrf
            .output(&VrfInput { label, version }.to_bytes()?))
    }
    fn vrf_proof(&self, label: &[u8], version: u32) -> Result<(HashValue, Vec<u8>), MemoryError> {
        Ok(self.log.vrf.prove(&VrfInput { label, version }.to_bytes()?))
    }
}
