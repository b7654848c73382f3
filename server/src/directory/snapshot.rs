//! The directory at one published head.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::sync::Arc;

use overt_protocol::codec::Encode;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::Node;
use overt_protocol::provider::{Changes, Directory, LeafId, Refusal, StoredVersion};
use overt_protocol::wire::{
    AuditorTreeHead, Configuration, HashValue, LogEntry, Opening, TreeHead, UpdateValue, VrfInput,
};

use crate::directory::{Records, Shared, missing};
use crate::error::DirectoryError;
use crate::store::{LeafRow, Reader, Store, greatest_among, version_among};

/// The directory at one published head.
pub struct Snapshot<'s, S: Store + 's> {
    shared: &'s Shared<S>,
    head: Arc<TreeHead>,
    auditor: Option<AuditorTreeHead>,
    records: Records<'s, S>,
    /// The label that was asked for last: a request is about one.
    label: RefCell<Label>,
}

/// What was read of a label.
#[derive(Default)]
struct Label {
    label: Vec<u8>,
    /// Its leaves, ascending, as far as entries below the head added them; none before the first read.
    leaves: Option<Vec<LeafId>>,
    versions: BTreeMap<u32, Option<(LeafId, LeafRow)>>,
}

impl<'s, S: Store> Snapshot<'s, S> {
    pub(super) fn new(
        shared: &'s Shared<S>,
        head: Arc<TreeHead>,
        auditor: Option<AuditorTreeHead>,
        records: Records<'s, S>,
    ) -> Self {
        Self {
            shared,
            head,
            auditor,
            records,
            label: RefCell::default(),
        }
    }

    /// What is known of a label, with its leaves at least.
    fn label(&self, label: &[u8]) -> Result<RefMut<'_, Label>, DirectoryError> {
        let mut known = self.label.borrow_mut();
        if known.leaves.is_none() || known.label != label {
            *known = Label {
                label: label.to_vec(),
                leaves: Some(self.reader().versions(label)?),
                versions: BTreeMap::new(),
            };
        }
        Ok(known)
    }

    /// A version, as of the head.
    fn row(&self, label: &[u8], version: u32) -> Result<Option<(LeafId, LeafRow)>, DirectoryError> {
        let mut known = self.label(label)?;
        if let Some(row) = known.versions.get(&version) {
            return Ok(row.clone());
        }
        let leaves = known.leaves.as_deref().unwrap_or_default();
        let row = version_among(self.reader(), label, version, leaves)?;
        let size = self.head.tree_size;
        let row = row.filter(|(_, row)| row.position < size);
        let row = row.map(|(id, row)| {
            let removed = row.removed.filter(|removed| *removed < size);
            (id, LeafRow { removed, ..row })
        });
        known.versions.insert(version, row.clone());
        Ok(row)
    }

    fn reader(&self) -> &S::Reader<'s> {
        &self.records.reader
    }

    fn leaf(&self, id: LeafId) -> Result<LeafRow, DirectoryError> {
        Ok(self.reader().leaf(id)?.ok_or_else(|| missing("leaf", id))?)
    }
}

impl<'s, S: Store> Directory for Snapshot<'s, S> {
    type Error = DirectoryError;
    type Pages = Records<'s, S>;

    fn config(&self) -> &Configuration {
        &self.shared.config
    }

    fn tree_head(&self) -> &TreeHead {
        &self.head
    }

    fn auditor_tree_head(&self) -> Option<&AuditorTreeHead> {
        self.auditor.as_ref()
    }

    fn log_entry(&self, position: u64) -> Result<LogEntry, DirectoryError> {
        Ok(self.records.entry(position)?.0)
    }

    fn log_subtree(&self, subtree: Subtree) -> Result<HashValue, DirectoryError> {
        Ok(self.records.subtree(subtree)?)
    }

    fn pages(&self) -> &Records<'s, S> {
        &self.records
    }

    fn prefix_root(&self, position: u64) -> Result<Option<Node>, DirectoryError> {
        if position < self.shared.dropped() {
            return Err(Refusal::Expired.into());
        }
        Ok(self.records.entry(position)?.1)
    }

    fn changes(&self, position: u64) -> Result<Changes, DirectoryError> {
        let changed = self.reader().changes(position)?;
        let leaf = |id| Ok(self.leaf(id)?.leaf);
        Ok(Changes {
            added: changed
                .added
                .map(leaf)
                .collect::<Result<_, DirectoryError>>()?,
            removed: changed
                .removed
                .into_iter()
                .map(leaf)
                .collect::<Result<_, DirectoryError>>()?,
        })
    }

    fn greatest_version(&self, label: &[u8]) -> Result<Option<u32>, DirectoryError> {
        let mut known = self.label(label)?;
        let leaves = known.leaves.clone().unwrap_or_default();
        let found = greatest_among(self.reader(), label, self.head.tree_size, &leaves)?;
        let Some((id, row)) = found else {
            return Ok(None);
        };
        let version = row.created.as_ref().map(|created| created.version);
        if let Some(version) = version {
            let size = self.head.tree_size;
            let removed = row.removed.filter(|removed| *removed < size);
            let row = LeafRow { removed, ..row };
            known.versions.insert(version, Some((id, row)));
        }
        Ok(version)
    }

    fn version(&self, label: &[u8], version: u32) -> Result<Option<StoredVersion>, DirectoryError> {
        let row = self.row(label, version)?;
        Ok(row.map(|(_, row)| StoredVersion {
            position: row.position,
            leaf: row.leaf,
            removed: row.removed,
        }))
    }

    fn value(&self, label: &[u8], version: u32) -> Result<(Opening, UpdateValue), DirectoryError> {
        let (leaf, row) = self.row(label, version)?.ok_or(Refusal::NotFound)?;
        match row.created.and_then(|created| created.opened) {
            Some(opened) => Ok(opened),
            None if self.reader().is_deleted(leaf)? => Err(Refusal::Deleted.into()),
            None if self.shared.config.maximum_lifetime.is_some() => Err(Refusal::Expired.into()),
            None => Err(missing("opening", leaf).into()),
        }
    }

    fn vrf_output(&self, label: &[u8], version: u32) -> Result<HashValue, DirectoryError> {
        match self.shared.caches.proofs.get(&(Arc::from(label), version)) {
            Some(proof) => Ok(proof.0),
            None => Ok(self
                .shared
                .vrf
                .output(&VrfInput { label, version }.to_bytes()?)),
        }
    }

    fn vrf_proof(
        &self,
        label: &[u8],
        version: u32,
    ) -> Result<(HashValue, Vec<u8>), DirectoryError> {
        let key = (Arc::from(label), version);
        if let Some(proof) = self.shared.caches.proofs.get(&key) {
            return Ok((*proof).clone());
        }
        let proof = self
            .shared
            .vrf
            .prove(&VrfInput { label, version }.to_bytes()?);
        self.shared
            .caches
            .proofs
            .insert(key, Arc::new(proof.clone()));
        Ok(proof)
    }
}
