//! A published log with some things in it claimed to be otherwise.

use std::ops::Range;

use overt_protocol::codec::Encode;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::Node;
use overt_protocol::provider::{Changes, Directory, StoredVersion};
use overt_protocol::suite::VrfSecretKey;
use overt_protocol::wire::*;

use crate::support::{MemoryError, MemoryPages, Published};

/// Another value of a version.
#[derive(Debug, Clone)]
pub(crate) struct Fake {
    pub(crate) version: u32,
    pub(crate) leaf: PrefixLeaf,
    pub(crate) opening: Opening,
    pub(crate) value: UpdateValue,
}

/// A label that begins anew under another VRF key: its only version.
#[derive(Clone, Copy)]
pub(crate) struct Moved<'l> {
    pub(crate) key: &'l VrfSecretKey,
    pub(crate) fake: &'l Fake,
    /// The log entry that created it.
    pub(crate) position: u64,
}

/// What is claimed of one label, and of the log.
pub(crate) struct Shown<'l> {
    pub(crate) published: Published<'l>,
    pub(crate) label: &'l [u8],
    /// The greatest version.
    pub(crate) greatest: Option<u32>,
    /// Versions that are not there.
    pub(crate) holes: Range<u32>,
    pub(crate) fake: Option<&'l Fake>,
    /// The timestamp of a log entry.
    pub(crate) timestamp: Option<(u64, u64)>,
    /// The configuration that users believe in.
    pub(crate) config: Option<&'l Configuration>,
    pub(crate) moved: Option<Moved<'l>>,
}

impl<'l> Shown<'l> {
    pub(crate) fn honestly(published: Published<'l>, label: &'l str) -> Self {
        Self {
            published,
            label: label.as_bytes(),
            greatest: None,
            holes: 0..0,
            fake: None,
            timestamp: None,
            config: None,
            moved: None,
        }
    }

    /// The label, if it has another VRF key.
    fn moved(&self, label: &[u8]) -> Option<Moved<'l>> {
        self.moved.filter(|_| label == self.label)
    }
}

impl Directory for Shown<'_> {
    type Error = MemoryError;
    type Pages = MemoryPages;

    fn config(&self) -> &Configuration {
        self.config.unwrap_or(self.published.config())
    }
    fn tree_head(&self) -> &TreeHead {
        self.published.tree_head()
    }
    fn auditor_tree_head(&self) -> Option<&AuditorTreeHead> {
        self.published.auditor_tree_head()
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
    fn pages(&self) -> &MemoryPages {
        self.published.pages()
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
        if let Some(moved) = self.moved(label) {
            return Ok((version == 0).then_some(StoredVersion {
                position: moved.position,
                leaf: moved.fake.leaf,
                removed: None,
            }));
        }
        let mut stored = self.published.version(label, version)?;
        if label == self.label {
            let is_hidden = self.greatest.is_some_and(|greatest| version > greatest);
            if is_hidden || self.holes.contains(&version) {
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
        match self.moved(label) {
            Some(moved) => Ok(moved.key.output(&VrfInput { label, version }.to_bytes()?)),
            None => self.published.vrf_output(label, version),
        }
    }
    fn vrf_proof(&self, label: &[u8], version: u32) -> Result<(HashValue, Vec<u8>), MemoryError> {
        match self.moved(label) {
            Some(moved) => Ok(moved.key.prove(&VrfInput { label, version }.to_bytes()?)),
            None => self.published.vrf_proof(label, version),
        }
    }
}
