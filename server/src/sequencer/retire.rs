//! Removing versions from the prefix tree that no answer needs any more.

use overt_protocol::provider::{LeafId, Refusal, Retention, superseded_by};
use overt_protocol::wire::PrefixLeaf;

use crate::directory::Records;
use crate::error::DirectoryError;
use crate::store::{Reader, Retired, Store, version_among};

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

    /// The leaves, at most `room`, that a log entry of `now` removes.
    pub fn retire<S: Store>(
        &mut self,
        records: &Records<'_, S>,
        now: u64,
        room: usize,
        retired: &mut Retired,
    ) -> Result<Vec<(LeafId, PrefixLeaf)>, DirectoryError> {
        let mut removed = Vec::new();
        let reader = &records.reader;
        self.is_done = true;
        loop {
            let due = reader.leaves_from(self.swept, CHUNK)?;
            for (id, row) in &due {
                let Some(overtaken_at) = reader.log_entry(row.position)? else {
                    return Ok(removed);
                };
                if !self.retention.is_overtaken(overtaken_at.0.timestamp, now) {
                    return Ok(removed);
                }
                if let Some(created) = &row.created {
                    let gone = superseded_by(created.version);
                    if removed.len().saturating_add(gone.len()) > room {
                        self.is_done = false;
                        return Ok(removed);
                    }
                    let leaves = reader.versions(&created.label)?;
                    let leaf_of = |version| {
                        let found = version_among(reader, &created.label, version, &leaves)?;
                        let missing =
                            Refusal::Damaged("a version that is to be removed is missing");
                        found.ok_or(DirectoryError::from(missing))
                    };
                    for gone in gone {
                        let (id, row) = leaf_of(gone)?;
                        removed.push((id, row.leaf));
                    }
                    if let Some(previous) = created.version.checked_sub(1) {
                        retired.unprovable.push(leaf_of(previous)?.0);
                    }
                }
                self.swept = id.saturating_add(1);
                retired.swept = Some(self.swept);
            }
            if due.len() < CHUNK {
                return Ok(removed);
            }
        }
    }
}
