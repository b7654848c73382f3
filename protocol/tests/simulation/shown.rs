//! A published log with some things in it claimed to be otherwise.

use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::Node;
use overt_protocol::provider::{Changes, Directory, StoredVersion};
use overt_protocol::wire::*;

use crate::support::{MemoryError, MemoryPaths, Published};

/// Another value of a version.
#[derive(Debug, Clone)]
pub(crate) struct Fake {
    pub(crate) version: u32,
    pub(crate) leaf: PrefixLeaf,
    pub(crate) opening: Opening,
    pub(crate) value: UpdateValue,
}

/// What is claimed of one label, and of the log.
pub(crate) struct Shown<'l> {
    pub(crate) published: Published<'l>,
    pub(crate) label: &'l [u8],
    /// The greatest version.
    pub(crate) greatest: Option<u32>,
    /// A version that is not there.
    pub(crate) hole: Option<u32>,
    pub(crate) fake: Option<&'l Fake>,
    /// The timestamp of a log entry.
    pub(crate) timestamp: Option<(u64, u64)>,
    /// Nothing ever expires.
    pub(crate) config: Option<Configuration>,
}

impl<'l> Shown<'l> {
    pub(crate) fn honestly(published: Published<'l>, label: &'l str) -> Self {
        Self {
            published,
            label: label.as_bytes(),
            greatest: None,
            hole: None,
            fake: None,
            timestamp: None,
            config: None,
        }
    }
}

impl Directory for Shown<'_> {
    type Error = MemoryError;
    type Paths = MemoryPaths;

    fn config(&self) -> &Configuration {
        self.config.as_ref().unwrap_or(self.published.config())
    }
    fn tree_head(&self) -> &TreeHead {
        self.published.tree_head()
    }
    fn auditor_tree_head(&self) -> Option<&AuditorTreeHead> {
        None
    }
    fn log_entry(&self, position: u64) -> Result<LogEntry, MemoryError> {
        let mut entry = self.published.log_entry(position)?;
        if let Some((_, timestamp)) = self.timestamp.filter(|(p, _)| *p == position) {
            entry.timestamp = timestamp;
        }
        Ok(entry)
    }
    fn log_subtree(&self, subtree: Subtree) -> Result<HashValue, MemoryError> {
        self.published.log_subtree(subtree)
    }
    fn paths(&self) -> &MemoryPaths {
        self.published.paths()
    }
    fn prefix_root(&self, position: u64) -> Result<Option<Node>, MemoryError> {
        self.published.prefix_root(position)
    }
    fn changes(&self, position: u64) -> Result<Changes, MemoryError> {
        self.published.changes(position)
    }
    fn greatest_version(&self, label: &[u8]) -> Result<Option<u32>, MemoryError> {
        match self.greatest.filter(|_| label == self.label) {
            Some(greatest) => Ok(Some(greatest)),
            None => self.published.greatest_version(label),
        }
    }
    fn version(&self, label: &[u8], version: u32) -> Result<Option<StoredVersion>, MemoryError> {
        let mut stored = self.published.version(label, version)?;
        if label == self.label {
            let is_hidden = self.greatest.is_some_and(|greatest| version > greatest);
            if is_hidden || self.hole == Some(version) {
                return Ok(None);
            }
            if let Some(fake) = self.fake.filter(|fake| fake.version == version) {
                stored = stored.map(|stored| StoredVersion {
                    leaf: fake.leaf,
                    ..stored
                });
            }
        }
        Ok(stored)
    }
    fn value(&self, label: &[u8], version: u32) -> Result<(Opening, UpdateValue), MemoryError> {
        match self.fake {
            Some(fake) if label == self.label && fake.version == version => {
                Ok((fake.opening, fake.value.clone()))
            }
            _ => self.published.value(label, version),
        }
    }
    fn vrf_output(&self, label: &[u8], version: u32) -> Result<HashValue, MemoryError> {
        self.published.vrf_output(label, version)
    }
    fn vrf_proof(&self, label: &[u8], version: u32) -> Result<(HashValue, Vec<u8>), MemoryError> {
        self.published.vrf_proof(label, version)
    }
}
