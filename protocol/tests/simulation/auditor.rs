//! What an auditor signs.

use overt_protocol::codec::Encode;
use overt_protocol::suite::SigningKey;
use overt_protocol::wire::{AuditorTreeHead, AuditorTreeHeadTbs};

use crate::support::MemoryLog;

/// The auditor's head of the log as it was with `tree_size` entries.
pub(crate) fn audit(key: &SigningKey, log: &MemoryLog, tree_size: u64) -> AuditorTreeHead {
    let rightmost = tree_size as usize - 1;
    let timestamp = log.entries[rightmost].timestamp;
    let tbs = AuditorTreeHeadTbs {
        config: &log.config,
        timestamp,
        tree_size,
        root: log.log_roots[rightmost],
    };
    AuditorTreeHead {
        timestamp,
        tree_size,
        signature: key.sign(&tbs.to_bytes().unwrap()),
    }
}
