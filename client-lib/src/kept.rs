//! What a user keeps of one directory, and how it is encoded on disk.
//!
//! The encoding is this project's own, in the draft's presentation language; it begins with a
//! version so that a later format can tell it apart.

use std::collections::BTreeMap;

use overt_protocol::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Width, Writer};
use overt_protocol::error::VerifyError;
use overt_protocol::monitor::{MonitorMap, add_to_map};
use overt_protocol::user::{
    OwnerState, ProvisionalCredential, SearchVerified, TreeState, TreeView,
};
use overt_protocol::wire::{HashValue, Opening};

const FORMAT: &[u8] = b"overt.client-state/v3";

/// What is kept about a label that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// The greatest version ever seen; it never decreases.
    pub greatest: Option<u32>,
    /// The greatest version whose value was checked whole, with that value.
    pub anchor: Option<(u32, Vec<u8>)>,
    /// What is still to be monitored (section "Contact Algorithm").
    pub map: MonitorMap,
    /// VRF outputs of ladder versions.
    pub vrf_outputs: BTreeMap<u32, HashValue>,
    /// Commitments of ladder versions.
    pub commitments: BTreeMap<u32, HashValue>,
    /// Openings of the versions in `map`: who has them was allowed to look these up.
    pub openings: BTreeMap<u32, Opening>,
}

/// Everything that is kept of one directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptState {
    /// The last verified view of the log.
    pub tree: Option<TreeState>,
    /// Labels that are owned here.
    pub owners: BTreeMap<Vec<u8>, OwnerState>,
    /// Labels that were looked up.
    pub contacts: BTreeMap<Vec<u8>, Contact>,
    /// The recent distinguished log entries, left to right.
    pub recent: Vec<TreeView>,
    /// Credentials that are still to be verified finally.
    pub credentials: Vec<ProvisionalCredential>,
}

/// How many recent distinguished log entries are kept.
pub(crate) const MAX_RECENT: usize = 10;

/// Adds distinguished log entries that were verified, all of those to the right of `since` (none:
/// all recent ones). A gap before them makes what was kept useless.
pub fn merge_recent(kept: &mut Vec<TreeView>, found: Vec<TreeView>, since: Option<u64>) {
    let reaches = |since: u64| kept.last().is_some_and(|view| view.position() >= since);
    if !since.is_some_and(reaches) {
        if found.is_empty() {
            return;
        }
        kept.clear();
    }
    let is_new = |view: &TreeView| kept.iter().all(|k| k.position() != view.position());
    let new: Vec<TreeView> = found.into_iter().filter(is_new).collect();
    kept.extend(new);
    kept.sort_by_key(TreeView::position);
    kept.drain(..kept.len().saturating_sub(MAX_RECENT));
}

impl Contact {
    /// Takes note of a verified search.
    ///
    /// # Errors
    /// [`VerifyError::CommitmentChanged`] if a version that was seen before has another
    /// commitment now: the log was rewritten.
    pub fn note(&mut self, found: &SearchVerified, monitored: bool) -> Result<(), VerifyError> {
        for (version, lookup) in &found.ladder {
            self.vrf_outputs.insert(*version, lookup.vrf_output);
            if let Some(commitment) = lookup.commitment {
                let before = self.commitments.insert(*version, commitment);
                if before.is_some_and(|before| before != commitment) {
                    return Err(VerifyError::CommitmentChanged(*version));
                }
            }
        }
        let version = found.value.version();
        self.greatest = self.greatest.max(Some(version));
        if monitored && found.found.must_monitor {
            add_to_map(&mut self.map, found.found.terminal, version);
            self.openings.insert(version, *found.value.opening());
        }
        Ok(())
    }

    /// Takes note of a monitoring run that began with the map `from`. Entries that came meanwhile
    /// are still to be monitored.
    pub fn monitored(&mut self, from: &MonitorMap, to: &MonitorMap) {
        self.map
            .retain(|position, version| from.get(position) != Some(version));
        for (position, version) in to {
            add_to_map(&mut self.map, *position, *version);
        }
        let map = &self.map;
        self.openings
            .retain(|version, _| map.values().any(|monitored| monitored == version));
    }

    /// Adds what another process or request learnt meanwhile. Both were verified.
    pub fn merge(&mut self, other: &Self) {
        self.greatest = self.greatest.max(other.greatest);
        let newer = |(version, _): &&(u32, Vec<u8>)| {
            self.anchor.as_ref().is_none_or(|(mine, _)| mine < version)
        };
        if let Some(anchor) = other.anchor.as_ref().filter(newer) {
            self.anchor = Some(anchor.clone());
        }
        for (position, version) in &other.map {
            add_to_map(&mut self.map, *position, *version);
        }
        self.vrf_outputs.extend(&other.vrf_outputs);
        self.commitments.extend(&other.commitments);
        self.openings.extend(&other.openings);
    }
}

fn encode_map<K: Copy, V: Copy>(
    w: &mut Writer,
    map: &BTreeMap<K, V>,
    what: &'static str,
    entry: impl Fn(&mut Writer, K, V),
) {
    let items: Vec<(K, V)> = map.iter().map(|(k, v)| (*k, *v)).collect();
    w.vector(Width::Four, &items, what, |w, (k, v)| entry(w, *k, *v));
}

fn decode_map<K: Ord, V>(
    r: &mut Reader<'_>,
    what: &'static str,
    entry: impl Fn(&mut Reader<'_>) -> Result<(K, V), DecodeError>,
) -> Result<BTreeMap<K, V>, DecodeError> {
    Ok(r.vector(Width::Four, what, entry)?.into_iter().collect())
}

impl Encode for Contact {
    fn encode(&self, w: &mut Writer) {
        w.optional(self.greatest.as_ref(), |w, version| w.u32(*version));
        w.optional(self.anchor.as_ref(), |w, (version, value)| {
            w.u32(*version);
            w.opaque(Width::Four, value, "anchor");
        });
        encode_map(w, &self.map, "map", |w, position, version| {
            w.u64(position);
            w.u32(version);
        });
        for (map, what) in [
            (&self.vrf_outputs, "vrf_outputs"),
            (&self.commitments, "commitments"),
        ] {
            encode_map(w, map, what, |w, version, hash| {
                w.u32(version);
                w.bytes(&hash);
            });
        }
        encode_map(w, &self.openings, "openings", |w, version, opening| {
            w.u32(version);
            w.bytes(&opening);
        });
    }
}

impl Decode<()> for Contact {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let hash = |r: &mut Reader<'_>| Ok((r.u32("version")?, r.array("hash")?));
        Ok(Self {
            greatest: r.optional("greatest", |r| r.u32("greatest"))?,
            anchor: r.optional("anchor", |r| {
                Ok((r.u32("anchor")?, r.opaque(Width::Four, "anchor")?))
            })?,
            map: decode_map(r, "map", |r| Ok((r.u64("position")?, r.u32("version")?)))?,
            vrf_outputs: decode_map(r, "vrf_outputs", hash)?,
            commitments: decode_map(r, "commitments", hash)?,
            openings: decode_map(r, "openings", |r| {
                Ok((r.u32("version")?, r.array("opening")?))
            })?,
        })
    }
}

fn encode_labels<T: Encode>(w: &mut Writer, labels: &BTreeMap<Vec<u8>, T>) {
    let items: Vec<_> = labels.iter().collect();
    w.vector(Width::Four, &items, "labels", |w, (label, kept)| {
        w.opaque(Width::One, label, "label");
        kept.encode(w);
    });
}

fn decode_labels<T: Decode<()>>(r: &mut Reader<'_>) -> Result<BTreeMap<Vec<u8>, T>, DecodeError> {
    decode_map(r, "labels", |r| {
        Ok((r.opaque(Width::One, "label")?, T::decode(r, &())?))
    })
}

pub(crate) fn encode_all<T: Encode>(w: &mut Writer, all: &[T], what: &'static str) {
    w.vector(Width::Four, all, what, |w, one| one.encode(w));
}

pub(crate) fn decode_all<T: Decode<()>>(
    r: &mut Reader<'_>,
    what: &'static str,
) -> Result<Vec<T>, DecodeError> {
    r.vector(Width::Four, what, |r| T::decode(r, &()))
}

impl Encode for KeptState {
    fn encode(&self, w: &mut Writer) {
        w.opaque(Width::One, FORMAT, "format");
        w.optional(self.tree.as_ref(), |w, tree| tree.encode(w));
        encode_labels(w, &self.owners);
        encode_labels(w, &self.contacts);
        encode_all(w, &self.recent, "recent");
        encode_all(w, &self.credentials, "credentials");
    }
}

impl Decode<()> for KeptState {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        if r.opaque(Width::One, "format")? != FORMAT {
            return Err(DecodeError::Enumeration {
                what: "client state format",
                value: 0,
            });
        }
        Ok(Self {
            tree: r.optional("tree", |r| TreeState::decode(r, &()))?,
            owners: decode_labels(r)?,
            contacts: decode_labels(r)?,
            recent: decode_all(r, "recent")?,
            credentials: decode_all(r, "credentials")?,
        })
    }
}

impl KeptState {
    /// The encoding.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        Encode::to_bytes(self)
    }

    /// Decodes what [`KeptState::to_bytes`] made, strictly.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decode::from_bytes(bytes, &())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(u64, u32)]) -> MonitorMap {
        entries.iter().copied().collect()
    }

    #[test]
    fn maps_name_no_position_and_no_version_twice() {
        let mut contact = Contact::default();
        let add = |contact: &mut Contact, position, version| {
            add_to_map(&mut contact.map, position, version);
        };
        add(&mut contact, 11, 0);
        add(&mut contact, 9, 0);
        add(&mut contact, 12, 0);
        assert_eq!(contact.map, map(&[(9, 0)]), "the leftmost position");
        add(&mut contact, 9, 1);
        add(&mut contact, 9, 0);
        assert_eq!(contact.map, map(&[(9, 1)]), "the greatest version");
        add(&mut contact, 13, 2);
        add(&mut contact, 14, 1);
        let other = Contact {
            map: map(&[(12, 2), (14, 3)]),
            ..Contact::default()
        };
        contact.merge(&other);
        assert_eq!(contact.map, map(&[(9, 1), (12, 2), (14, 3)]));
    }

    #[test]
    fn monitoring_keeps_what_came_meanwhile() {
        let mut contact = Contact {
            map: map(&[(5, 1), (9, 3), (12, 4)]),
            ..Contact::default()
        };
        // (9, 3) is new since the request, and greater than what the run left there.
        contact.monitored(&map(&[(5, 1), (12, 4)]), &map(&[(9, 1)]));
        assert_eq!(contact.map, map(&[(9, 3)]));
    }
}
