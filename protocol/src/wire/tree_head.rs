//! `TreeHead`, `AuditorTreeHead` and `FullTreeHead` (sections "Tree Head Signature", "Auditor Tree
//! Head Signature" and "Full Tree Head Verification").

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::wire::{Configuration, HashValue};

/// The log's signed statement of its most recent state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Number of log entries.
    pub tree_size: u64,
    /// Over [`TreeHeadTbs`].
    pub signature: Vec<u8>,
}

/// What [`TreeHead::signature`] signs.
#[derive(Debug, Clone)]
pub struct TreeHeadTbs<'a> {
    /// The log's configuration.
    pub config: &'a Configuration,
    /// Number of log entries.
    pub tree_size: u64,
    /// Root of the log tree with that many leaves.
    pub root: HashValue,
}

/// A Third-Party Auditor's signed view of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorTreeHead {
    /// Of the rightmost log entry that the auditor processed, in milliseconds.
    pub timestamp: u64,
    /// Number of log entries in the auditor's view.
    pub tree_size: u64,
    /// Over [`AuditorTreeHeadTbs`].
    pub signature: Vec<u8>,
}

/// What [`AuditorTreeHead::signature`] signs.
#[derive(Debug, Clone)]
pub struct AuditorTreeHeadTbs<'a> {
    /// The log's configuration.
    pub config: &'a Configuration,
    /// As in the [`AuditorTreeHead`].
    pub timestamp: u64,
    /// As in the [`AuditorTreeHead`].
    pub tree_size: u64,
    /// Root of the log tree with that many leaves.
    pub root: HashValue,
}

/// The tree head as responses carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FullTreeHead {
    /// The log goes on using the head that the user advertised (1).
    Same,
    /// A more recent head (2).
    Updated {
        /// The log's own head.
        tree_head: TreeHead,
        /// Present exactly in Third-Party Auditing mode.
        auditor_tree_head: Option<AuditorTreeHead>,
    },
}

impl Encode for TreeHead {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.tree_size);
        w.opaque(Width::Two, &self.signature, "signature");
    }
}

impl Decode<()> for TreeHead {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            tree_size: r.u64("tree_size")?,
            signature: r.opaque(Width::Two, "signature")?,
        })
    }
}

impl Encode for TreeHeadTbs<'_> {
    fn encode(&self, w: &mut Writer) {
        self.config.encode(w);
        w.u64(self.tree_size);
        w.bytes(&self.root);
    }
}

impl Encode for AuditorTreeHead {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.timestamp);
        w.u64(self.tree_size);
        w.opaque(Width::Two, &self.signature, "signature");
    }
}

impl Decode<()> for AuditorTreeHead {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            timestamp: r.u64("timestamp")?,
            tree_size: r.u64("tree_size")?,
            signature: r.opaque(Width::Two, "signature")?,
        })
    }
}

impl Encode for AuditorTreeHeadTbs<'_> {
    fn encode(&self, w: &mut Writer) {
        self.config.encode(w);
        w.u64(self.timestamp);
        w.u64(self.tree_size);
        w.bytes(&self.root);
    }
}

impl Encode for FullTreeHead {
    fn encode(&self, w: &mut Writer) {
        match self {
            Self::Same => w.u8(1),
            Self::Updated {
                tree_head,
                auditor_tree_head,
            } => {
                w.u8(2);
                tree_head.encode(w);
                if let Some(auditor) = auditor_tree_head {
                    auditor.encode(w);
                }
            }
        }
    }
}

impl Decode<Configuration> for FullTreeHead {
    fn decode(r: &mut Reader<'_>, config: &Configuration) -> Result<Self, DecodeError> {
        match r.u8("head_type")? {
            1 => Ok(Self::Same),
            2 => Ok(Self::Updated {
                tree_head: TreeHead::decode(r, &())?,
                auditor_tree_head: config
                    .is_third_party_auditing()
                    .then(|| AuditorTreeHead::decode(r, &()))
                    .transpose()?,
            }),
            other => Err(DecodeError::Enumeration {
                what: "FullTreeHeadType",
                value: other.into(),
            }),
        }
    }
}
