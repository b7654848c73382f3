//! The monitoring algorithms (section "Monitoring the Tree").

use std::collections::BTreeMap;

use crate::combined::{Source, View};
use crate::error::VerifyError;
use crate::implicit_tree::{left, right, right_direct_path, root};
use crate::ladder::search_ladder;

/// A monitoring map: for positions in the log, the greatest version of the label proven to exist
/// there.
pub type MonitorMap = BTreeMap<u64, u32>;

/// Adds to a map that `version` was shown at `position`. What stands to the right of a version that
/// is not less is left out: the path of that leads past it, and the contact algorithm takes lesser
/// versions to the right of greater ones, or a version at two positions, for an error.
pub fn add_to_map(map: &mut MonitorMap, position: u64, version: u32) {
    map.retain(|p, v| *p < position || *v > version);
    if map.range(..=position).all(|(_, v)| *v < version) {
        map.insert(position, version);
    }
}

/// What the owner of a label has verified of it (section "Owner Algorithm").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerProgress {
    /// The rightmost distinguished log entry verified as correct.
    pub start: u64,
    /// The greatest version at that entry.
    pub version_at_start: Option<u32>,
    /// Log entries to the right of `start` that created versions, with the greatest version
    /// afterwards; ascending.
    pub upcoming: Vec<(u64, u32)>,
}

impl OwnerProgress {
    /// The greatest version that the owner knows of.
    pub fn greatest_version(&self) -> Option<u32> {
        match self.upcoming.last() {
            Some((_, version)) => Some(*version),
            None => self.version_at_start,
        }
    }

    /// The greatest version expected at an entry that is not to the left of `start`.
    pub fn greatest_version_at(&self, position: u64) -> Option<u32> {
        let count = self.upcoming.partition_point(|(p, _)| *p <= position);
        match count.checked_sub(1).and_then(|i| self.upcoming.get(i)) {
            Some((_, version)) => Some(*version),
            None => self.version_at_start,
        }
    }

    /// The last entry that created a version, or `start` if that was longer ago.
    pub fn last_update(&self) -> u64 {
        self.upcoming.last().map_or(self.start, |(p, _)| *p)
    }

    /// Moves `start` to a distinguished entry that was verified.
    pub fn advance(&mut self, position: u64) {
        self.version_at_start = self.greatest_version_at(position);
        self.upcoming.retain(|(p, _)| *p > position);
        self.start = position;
    }
}

/// What contact monitoring leaves to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Monitored {
    /// The new monitoring map.
    pub map: MonitorMap,
    /// Versions whose first distinguished entry to the right was left for owner monitoring to
    /// inspect: (where they stand in the map, that entry).
    pub left_to_owner: Vec<(u64, u64)>,
}

/// Monitors every entry of a map, from right to left (section "Contact Algorithm"). `owner_start`
/// is the owner's advertised starting position, if this is part of owner monitoring.
pub fn contact_monitor<S: Source>(
    view: &mut View<'_, S>,
    map: &MonitorMap,
    owner_start: Option<u64>,
) -> Result<Monitored, S::Error> {
    let mut done = Monitored::default();
    let mut provided = BTreeMap::new();
    for (position, version) in map.iter().rev() {
        let entry = Entry {
            position: *position,
            version: *version,
        };
        entry.monitor(view, owner_start, &mut provided, &mut done)?;
    }
    Ok(done)
}

struct Entry {
    position: u64,
    version: u32,
}

impl Entry {
    /// `provided` holds the target version of the ladder that each log entry gave in this response.
    fn monitor<S: Source>(
        mut self,
        view: &mut View<'_, S>,
        owner_start: Option<u64>,
        provided: &mut BTreeMap<u64, u32>,
        done: &mut Monitored,
    ) -> Result<(), S::Error> {
        if self.position >= view.size() {
            let what = "the monitoring map is ahead of the log";
            return Err(VerifyError::Request(what).into());
        }
        // Step 1. Entries that are distinguished need no further monitoring.
        let distinguished = view.distinguished_path(self.position)?;
        if distinguished.last() == Some(&self.position) {
            return Ok(());
        }
        // Step 2.
        let mut inspect = right_direct_path(self.position, view.size());
        let stop = distinguished
            .iter()
            .rev()
            .find(|p| **p > self.position)
            .copied();
        let is_owners = owner_start.is_some_and(|start| self.position >= start);
        if let Some(stop) = stop {
            inspect.retain(|p| *p < stop || (*p == stop && !is_owners));
        }
        // Step 3.
        for position in inspect {
            if let Some(target) = provided.get(&position) {
                return if *target > self.version {
                    Ok(())
                } else {
                    Err(VerifyError::MonitorOrder(position).into())
                };
            }
            view.monitoring_ladder(position, self.version)?;
            provided.insert(position, self.version);
            self.position = position;
        }
        match stop {
            Some(stop) if is_owners => {
                done.left_to_owner.push((self.position, stop));
                done.map.insert(self.position, self.version);
            }
            Some(_) => {}
            None => {
                done.map.insert(self.position, self.version);
            }
        }
        Ok(())
    }
}

/// The log entries that owner initialization inspects: `start`, then those on its direct path to
/// its left, ending before the first expired one. Fails unless `start` is distinguished and not
/// expired.
pub fn owner_init_entries<S: Source>(
    view: &mut View<'_, S>,
    start: u64,
) -> Result<Vec<u64>, S::Error> {
    let path = view.distinguished_path(start)?;
    if path.last() != Some(&start) || view.is_expired(start)? {
        return Err(VerifyError::StartPosition(start).into());
    }
    let mut entries = Vec::new();
    for position in path.into_iter().rev().filter(|p| *p <= start) {
        if view.is_expired(position)? {
            break;
        }
        entries.push(position);
    }
    Ok(entries)
}

/// The versions whose VRF proofs owner initialization provides, ascending: zero, and every version
/// of a search ladder for one of `greatest_versions`.
pub fn owner_init_versions(greatest_versions: &[u32]) -> Vec<u32> {
    let mut out = vec![0];
    for version in greatest_versions {
        out.extend(search_ladder(*version, Some(*version)));
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// Initializes an owner's state (first algorithm of section "Owner Algorithm"). The entries are
/// those of [`owner_init_entries`], the versions what existed at each, until the label did not
/// exist.
pub fn owner_init<S: Source>(
    view: &mut View<'_, S>,
    entries: &[u64],
    greatest_versions: &[u32],
) -> Result<OwnerProgress, S::Error> {
    let mut pairs = greatest_versions
        .iter()
        .zip(greatest_versions.iter().skip(1));
    if greatest_versions.len() > entries.len() || pairs.any(|(a, b)| a < b) {
        return Err(VerifyError::GreatestVersions(entries.len()).into());
    }
    let expected = greatest_versions.iter().copied().map(Some);
    for (position, expected) in entries.iter().zip(expected.chain(std::iter::repeat(None))) {
        view.expect_greatest(*position, expected, false)?;
    }
    Ok(OwnerProgress {
        start: entries.first().copied().unwrap_or(0),
        version_at_start: greatest_versions.first().copied(),
        upcoming: Vec::new(),
    })
}

/// What owner monitoring showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The distinguished entries whose ladders were as expected, left to right.
    pub verified: Vec<u64>,
    /// Whether every distinguished entry of the tree is now verified.
    pub complete: bool,
}

/// Monitors an owned label at the distinguished log entries to the right of `progress.start`
/// (second algorithm of section "Owner Algorithm").
pub fn owner_monitor<S: Source>(
    view: &mut View<'_, S>,
    progress: &OwnerProgress,
) -> Result<Walked, S::Error> {
    let mut walk = OwnerWalk {
        progress,
        walked: Walked {
            verified: Vec::new(),
            complete: true,
        },
        view,
    };
    let right_time = walk.view.rightmost_timestamp();
    let root = root(walk.view.size());
    walk.visit(root, 0, right_time)?;
    Ok(walk.walked)
}

struct OwnerWalk<'v, 'c, S> {
    view: &'v mut View<'c, S>,
    progress: &'v OwnerProgress,
    walked: Walked,
}

impl<S: Source> OwnerWalk<'_, '_, S> {
    fn visit(
        &mut self,
        entry: Option<u64>,
        left_time: u64,
        right_time: u64,
    ) -> Result<(), S::Error> {
        let Some(x) = entry else { return Ok(()) };
        // Step 1.
        if !self
            .view
            .config
            .is_distinguished_between(left_time, right_time)
        {
            return Ok(());
        }
        let size = self.view.size();
        // Step 2.
        if x <= self.progress.start {
            if let Some(child) = right(x, size) {
                let timestamp = self.view.timestamp(x)?;
                self.visit(Some(child), timestamp, right_time)?;
            }
            return Ok(());
        }
        // Step 3.
        if let Some(child) = left(x) {
            let timestamp = self.view.timestamp(x)?;
            self.visit(Some(child), left_time, timestamp)?;
        }
        // Step 4.
        let expected = self.progress.greatest_version_at(x);
        if !self.walked.complete || self.view.source.stops_before(x, expected)? {
            self.walked.complete = false;
            return Ok(());
        }
        // Step 5.
        self.view.expect_greatest(x, expected, false)?;
        self.walked.verified.push(x);
        // Step 6.
        if let Some(child) = right(x, size) {
            let timestamp = self.view.timestamp(x)?;
            self.visit(Some(child), timestamp, right_time)?;
        }
        Ok(())
    }
}
