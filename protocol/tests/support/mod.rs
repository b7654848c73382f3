//! A log in memory, for tests of the algorithms: everything in plain maps.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

use std::collections::{BTreeMap, HashMap};

use overt_protocol::codec::{Encode, EncodeError};
use overt_protocol::error::VerifyError;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{InsertError, LeafId, LeafPath, LeafPaths, Node, PathError};
use overt_protocol::provider::{Directory, Refusal, StoredVersion, Tip, append};
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
    Path(#[from] PathError),
    #[error(transparent)]
    Insert(#[from] InsertError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("no such record")]
    Missing,
}

#[derive(Debug, Default, Clone)]
pub struct MemoryPaths(pub HashMap<LeafId, LeafPath>);

impl LeafPaths for MemoryPaths {
    type Error = MemoryError;
    type Path<'a> = &'a LeafPath;
    fn leaf_path(&self, id: LeafId) -> Result<&LeafPath, MemoryError> {
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

pub struct MemoryLog {
    pub config: Configuration,
    pub signing: SigningKey,
    pub vrf: VrfSecretKey,
    pub tip: Tip,
    pub paths: MemoryPaths,
    pub entries: Vec<LogEntry>,
    pub roots: Vec<Option<Node>>,
    pub subtrees: HashMap<Subtree, HashValue>,
    pub heads: Vec<TreeHead>,
    pub log_roots: Vec<HashValue>,
    pub labels: BTreeMap<Vec<u8>, Vec<(StoredVersion, Opening, UpdateValue)>>,
    /// The Service Operator's, in Third-Party Management mode.
    pub leaf_key: Option<SigningKey>,
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
            paths: MemoryPaths::default(),
            entries: Vec::new(),
            roots: Vec::new(),
            subtrees: HashMap::new(),
            heads: Vec::new(),
            log_roots: Vec::new(),
            labels: BTreeMap::new(),
            leaf_key: None,
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
                versions.push((StoredVersion { position, leaf }, [0; 16], nothing));
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
            versions.push((StoredVersion { position, leaf }, opening, update));
            leaves.push(leaf);
        }
        self.push_leaves(timestamp, &leaves);
    }

    /// Appends a log entry that adds these leaves to the prefix tree at the tip, whatever they are.
    pub fn push_leaves(&mut self, timestamp: u64, leaves: &[PrefixLeaf]) {
        let done = append(&self.paths, &self.tip, timestamp, leaves).unwrap();
        self.paths.0.extend(done.paths);
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
    type Paths = MemoryPaths;

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
    fn paths(&self) -> &MemoryPaths {
        &self.log.paths
    }
    fn prefix_root(&self, position: u64) -> Result<Option<Node>, MemoryError> {
        Ok(self.log.roots[position as usize])
    }
    fn added_leaves(&self, position: u64) -> Result<Vec<PrefixLeaf>, MemoryError> {
        let versions = self.log.labels.values().flatten();
        Ok(versions
            .filter(|(stored, ..)| stored.position == position)
            .map(|(stored, ..)| stored.leaf)
            .collect())
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
        Ok(found.filter(|stored| stored.position < self.size))
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
