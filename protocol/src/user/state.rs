//! What a user keeps.

use std::collections::BTreeMap;

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::log_tree::root_of_full_subtrees;
use crate::monitor::{MonitorMap, OwnerProgress};
use crate::wire::{AuditorTreeHead, Configuration, HashValue, LogEntry, TreeHead};

/// What a user retains of the log tree (section "Updating Views of the Tree", "Algorithm"): at the
/// last verified head, and at each recent distinguished log entry when it was the rightmost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeView {
    /// Number of log entries.
    pub size: u64,
    /// Root of the log tree.
    pub root: HashValue,
    /// Heads of the full subtrees, left to right.
    pub full_subtrees: Vec<HashValue>,
    /// Positions and contents of the log entries along the frontier, left to right.
    pub frontier: Vec<(u64, LogEntry)>,
}

impl TreeView {
    /// The rightmost log entry.
    pub fn rightmost(&self) -> Option<&LogEntry> {
        self.frontier.last().map(|(_, entry)| entry)
    }

    /// The position of the rightmost log entry.
    pub fn position(&self) -> u64 {
        self.size.saturating_sub(1)
    }

    /// The view at the time when the entry at `position`, which must be on the frontier, was the
    /// rightmost.
    pub fn when_rightmost(&self, position: u64) -> Option<Self> {
        // The frontier and the full subtrees end at the same entries.
        let index = self.frontier.iter().position(|(p, _)| *p == position)?;
        let size = position.checked_add(1)?;
        let full_subtrees = self.full_subtrees.get(..=index)?.to_vec();
        Some(Self {
            size,
            root: root_of_full_subtrees(size, &full_subtrees)?,
            full_subtrees,
            frontier: self.frontier.get(..=index)?.to_vec(),
        })
    }

    /// The rightmost distinguished log entry (section "Reasonable Monitoring Window"); it is always
    /// on the frontier.
    pub fn rightmost_distinguished(&self, config: &Configuration) -> Option<u64> {
        let right = self.rightmost()?.timestamp;
        let mut left = 0;
        let mut found = None;
        for (position, entry) in &self.frontier {
            if !config.is_distinguished_between(left, right) {
                break;
            }
            found = Some(*position);
            left = entry.timestamp;
        }
        found
    }
}

/// The last verified head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeState {
    /// The log's head.
    pub tree_head: TreeHead,
    /// The auditor's, in Third-Party Auditing mode.
    pub auditor_tree_head: Option<AuditorTreeHead>,
    /// What the head leads to.
    pub view: TreeView,
}

impl TreeState {
    /// Number of log entries.
    pub fn tree_size(&self) -> u64 {
        self.view.size
    }

    /// The rightmost log entry.
    pub fn rightmost(&self) -> Option<&LogEntry> {
        self.view.rightmost()
    }
}

/// What the owner of a label keeps about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerState {
    /// What was verified.
    pub progress: OwnerProgress,
    /// Versions not yet proven to be in a distinguished entry.
    pub map: MonitorMap,
    /// Known VRF outputs by version.
    pub vrf_outputs: BTreeMap<u32, HashValue>,
    /// Known commitments by version.
    pub commitments: BTreeMap<u32, HashValue>,
}

impl Encode for TreeView {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.size);
        w.bytes(&self.root);
        w.vector(Width::One, &self.full_subtrees, "full_subtrees", |w, h| {
            w.bytes(h)
        });
        w.vector(
            Width::One,
            &self.frontier,
            "frontier",
            |w, (position, entry)| {
                w.u64(*position);
                entry.encode(w);
            },
        );
    }
}

impl Decode<()> for TreeView {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            size: r.u64("size")?,
            root: r.array("root")?,
            full_subtrees: r.vector(Width::One, "full_subtrees", |r| r.array("full_subtrees"))?,
            frontier: r.vector(Width::One, "frontier", |r| {
                Ok((r.u64("position")?, LogEntry::decode(r, &())?))
            })?,
        })
    }
}

impl Encode for TreeState {
    fn encode(&self, w: &mut Writer) {
        self.tree_head.encode(w);
        w.optional(self.auditor_tree_head.as_ref(), |w, head| head.encode(w));
        self.view.encode(w);
    }
}

impl Decode<()> for TreeState {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            tree_head: TreeHead::decode(r, &())?,
            auditor_tree_head: r
                .optional("auditor_tree_head", |r| AuditorTreeHead::decode(r, &()))?,
            view: TreeView::decode(r, &())?,
        })
    }
}

fn encode_versions<T>(
    w: &mut Writer,
    map: impl Iterator<Item = (T, u32)>,
    mut key: impl FnMut(&mut Writer, T),
) {
    let items: Vec<_> = map.collect();
    match u32::try_from(items.len()) {
        Ok(n) => w.u32(n),
        Err(_) => w.fail("OwnerState"),
    }
    for (item, version) in items {
        w.u32(version);
        key(w, item);
    }
}

fn decode_versions<T>(
    r: &mut Reader<'_>,
    mut key: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<(T, u32)>, DecodeError> {
    r.vector(Width::Four, "OwnerState", |r| {
        let version = r.u32("version")?;
        Ok((key(r)?, version))
    })
}

impl Encode for OwnerState {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.progress.start);
        w.optional(self.progress.version_at_start.as_ref(), |w, v| w.u32(*v));
        encode_versions(w, self.progress.upcoming.iter().copied(), Writer::u64);
        encode_versions(w, self.map.iter().map(|(p, v)| (*p, *v)), Writer::u64);
        encode_versions(w, self.vrf_outputs.iter().map(|(v, h)| (h, *v)), |w, h| {
            w.bytes(h)
        });
        encode_versions(w, self.commitments.iter().map(|(v, h)| (h, *v)), |w, h| {
            w.bytes(h)
        });
    }
}

impl Decode<()> for OwnerState {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let position = |r: &mut Reader<'_>| r.u64("position");
        let hash = |r: &mut Reader<'_>| r.array("hash");
        Ok(Self {
            progress: OwnerProgress {
                start: r.u64("start")?,
                version_at_start: r.optional("version_at_start", |r| r.u32("version"))?,
                upcoming: decode_versions(r, position)?,
            },
            map: decode_versions(r, position)?.into_iter().collect(),
            vrf_outputs: decode_versions(r, hash)?
                .into_iter()
                .map(|(h, v)| (v, h))
                .collect(),
            commitments: decode_versions(r, hash)?
                .into_iter()
                .map(|(h, v)| (v, h))
                .collect(),
        })
    }
}
