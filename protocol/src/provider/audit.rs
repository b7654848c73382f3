//! Telling an auditor what a log entry changed (section "Auditing").

use crate::prefix_tree::prove;
use crate::provider::{Directory, Refusal};
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
    let mut added = directory.added_leaves(position)?;
    added.sort_unstable_by_key(|leaf| leaf.vrf_output);
    let before = match position.checked_sub(1) {
        None => None,
        Some(before) => directory.prefix_root(before)?,
    };
    let keys: Vec<_> = added.iter().map(|leaf| leaf.vrf_output).collect();
    Ok(AuditorUpdate {
        timestamp,
        added,
        removed: Vec::new(),
        proof: prove(directory.paths(), before, &keys)?,
    })
}
