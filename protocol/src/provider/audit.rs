//! Telling an auditor what a log entry changed (section "Auditing").

use crate::prefix_tree::prove;
use crate::provider::{Changes, Directory, Refusal};
use crate::wire::AuditorUpdate;

/// The `AuditorUpdate` of the log entry at `position`, which must be in the tree.
pub fn auditor_update<D: Directory>(
    directory: &D,
    position: u64,
) -> Result<AuditorUpdate, D::Error> {
    if position >= directory.tree_head().tree_size {
        return Err(Refusal::Invalid("there is no such log entry yet").into());
    }
    let timestamp = directory.log_entry(position)?.timestamp;
    let Changes {
        mut added,
        mut removed,
    } = directory.changes(position)?;
    added.sort_unstable_by_key(|leaf| leaf.vrf_output);
    removed.sort_unstable_by_key(|leaf| leaf.vrf_output);
    let before = match position.checked_sub(1) {
        None => None,
        Some(before) => directory.prefix_root(before)?,
    };
    let changed = added.iter().chain(&removed);
    let keys: Vec<_> = changed.map(|leaf| leaf.vrf_output).collect();
    Ok(AuditorUpdate {
        timestamp,
        added,
        removed,
        proof: prove(directory.pages(), before, &keys)?,
    })
}
