//! `HeadRecord`: what a leaf of the head log says about the directory.
//!
//! ```text
//! struct {
//!   opaque type<1..2^8-1> = "overt.head/v1";
//!   opaque config_hash[32];            // SHA-256 of the encoded Configuration
//!   uint64 tree_size;                  // i + 1 in leaf i, never 0
//!   LogEntry entry;                    // of position i
//!   HashValue root;                    // of the log tree with tree_size entries
//! } HeadRecord;
//! ```
//!
//! It holds no signature: whoever replays the directory can compute every leaf.

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Width, Writer};
use crate::head_log::tree;
use crate::wire::{HashValue, LogEntry};

const TYPE: &[u8] = b"overt.head/v1";

/// The directory as it was when it had `tree_size` log entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadRecord {
    /// SHA-256 of the encoded [`Configuration`](crate::wire::Configuration).
    pub config_hash: HashValue,
    /// Number of log entries, at least 1.
    pub tree_size: u64,
    /// The rightmost log entry.
    pub entry: LogEntry,
    /// Root of the log tree.
    pub root: HashValue,
}

impl HeadRecord {
    /// Which leaf of the head log this is, from 0: `tree_size - 1`.
    pub fn index(&self) -> Result<u64, EncodeError> {
        self.tree_size
            .checked_sub(1)
            .ok_or(EncodeError("tree_size"))
    }

    /// The hash of this leaf of the head log.
    pub fn leaf_hash(&self) -> Result<HashValue, EncodeError> {
        Ok(tree::leaf_hash(&self.to_bytes()?))
    }
}

impl Encode for HeadRecord {
    fn encode(&self, w: &mut Writer) {
        if self.tree_size == 0 {
            w.fail("tree_size");
        }
        w.opaque(Width::One, TYPE, "type");
        w.bytes(&self.config_hash);
        w.u64(self.tree_size);
        self.entry.encode(w);
        w.bytes(&self.root);
    }
}

impl Decode<()> for HeadRecord {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let not = |what, value| DecodeError::Enumeration { what, value };
        let found = r.opaque(Width::One, "type")?;
        if found != TYPE {
            // The length is all that fits; the text is not ours to show.
            let length = u64::try_from(found.len()).unwrap_or(u64::MAX);
            return Err(not("HeadRecord type", length));
        }
        let record = Self {
            config_hash: r.array("config_hash")?,
            tree_size: r.u64("tree_size")?,
            entry: LogEntry::decode(r, &())?,
            root: r.array("root")?,
        };
        match record.tree_size {
            0 => Err(not("HeadRecord tree_size", 0)),
            _ => Ok(record),
        }
    }
}
