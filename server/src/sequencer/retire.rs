//! Removing versions from the prefix tree that no answer needs any more.

use overt_protocol::prefix_tree::{LeafId, LeafPaths};
use overt_protocol::provider::{Refusal, Retention, superseded_by};
use overt_protocol::wire::PrefixLeaf;

use crate::directory::Records;
use crate::error::DirectoryError;
use crate::store::{Created, Reader, Retired, Store};

/// Versions looked at in one go.
const CHUNK: usize = 256;

/// How far the removal has come, in a log with a maximum lifetime.
#[derive(Debug, Clone)]
pub struct Retirement {
    retention: Retention,
    /// Versions with leaves before this one are done with.
    swept: LeafId,
    /// Whether the last entry removed all that it could have.
    pub(crate) is_done: bool,
}

impl Retirement {
    /// Goes on from the version with the leaf `swept`.
    pub fn new(retention: Retention, swept: LeafId) -> Self {
        Self {
            retention,
            swept,
            is_done: true,
        }
    }

    /// The leaves, at most `room`, that the log entry at `position` of `now` removes.
    pub fn retire<S: Store>(
        &mut self,
        records: &Records<'_, S>,
        (position, now): (u64, u64),
        room: usize,
        retired: &mut Retired,
    ) -> Result<Vec<PrefixLeaf>, DirectoryError> {
        let mut removed = Vec::new();
        self.is_done = true;
        loop {
            let due = records.reader.versions_from(self.swept, CHUNK)?;
            for version in &due {
                let overtaken_at = records.reader.log_entry(version.position)?;
                let Some((entry, _)) = overtaken_at else {
                    return Ok(removed);
                };
                if !self.retention.is_overtaken(entry.timestamp, now) {
                    return Ok(removed);
                }
                let gone = superseded_by(version.version);
                if removed.len().saturating_add(gone.len()) > room {
                    self.is_done = false;
                    return Ok(removed);
                }
                for gone in gone {
                    let leaf = leaf_of(records, version, gone)?;
                    removed.push(records.leaf_path(leaf)?.leaf);
                    retired.removed.push((leaf, position));
                }
                if let Some(previous) = version.version.checked_sub(1) {
                    let previous = leaf_of(records, version, previous)?;
                    retired.unprovable.push(previous);
                }
                self.swept = version.leaf.saturating_add(1);
                retired.swept = Some(self.swept);
            }
            if due.len() < CHUNK {
                return Ok(removed);
            }
        }
    }
}

fn leaf_of<S: Store>(
    records: &Records<'_, S>,
    of: &Created,
    version: u32,
) -> Result<LeafId, DirectoryError> {
    let row = records.reader.version(&of.label, version)?;
    let missing = Refusal::Damaged("a version that is to be removed is missing");
    Ok(row.ok_or(missing)?.leaf)
}
