//! Bytes of honest responses that the draft does not authenticate.

use std::ops::Range;

use overt_protocol::codec::{Decode, Encode, Reader};
use overt_protocol::combined::{Lookups, Source, View};
use overt_protocol::implicit_tree::frontier;
use overt_protocol::ladder::base_ladder;
use overt_protocol::monitor::{owner_init, owner_init_entries, owner_init_versions};
use overt_protocol::search::fixed_version;
use overt_protocol::update::{NewVersions, update_label};
use overt_protocol::user::{OwnerState, TreeState};
use overt_protocol::wire::*;

use crate::support::{MemoryError, MemoryLog};

fn witness<'l>(
    log: &'l MemoryLog,
    retained: &[(u64, LogEntry)],
    last: Option<u64>,
    label: &'l [u8],
) -> View<'l, Witness<'l>> {
    let witness = Witness {
        log,
        label,
        included: Vec::new(),
    };
    View::update(&log.config, witness, log.tip.size, last, retained).unwrap()
}

fn retained(state: Option<&TreeState>) -> &[(u64, LogEntry)] {
    state
        .map(|s| s.view.frontier.as_slice())
        .unwrap_or_default()
}

/// Where the commitments in `steps` stand, which begin at `offset`; by version.
fn commitments(
    honest: &[u8],
    mut offset: usize,
    versions: &[u32],
    steps: &[BinaryLadderStep],
) -> Vec<(u32, Range<usize>)> {
    assert_eq!(versions.len(), steps.len());
    let mut out = Vec::new();
    for (version, step) in versions.iter().zip(steps) {
        let end = offset + step.to_bytes().unwrap().len();
        if let Some(commitment) = step.commitment {
            let range = end - commitment.len()..end;
            assert_eq!(honest[range.clone()], commitment);
            out.push((*version, range));
        }
        offset = end;
    }
    out
}

fn without(all: Vec<(u32, Range<usize>)>, included: &[u32]) -> Vec<Range<usize>> {
    let free = all.into_iter().filter(|(v, _)| !included.contains(v));
    free.map(|(_, range)| range).collect()
}

/// The draft has commitments of all other versions of the base ladder sent with a fixed-version
/// search, which may end without coming across them.
pub(super) fn free_search(
    log: &MemoryLog,
    state: Option<&TreeState>,
    request: &SearchRequest,
    honest: &[u8],
) -> Vec<Range<usize>> {
    let Some(version) = request.version else {
        return Vec::new();
    };
    let mut view = witness(log, retained(state), request.last, &request.label);
    fixed_version(&mut view, version).unwrap();
    let response = SearchResponse::from_bytes(honest, &(&log.config, request)).unwrap();
    let head = response.full_tree_head.to_bytes().unwrap().len();
    let value = response.value.to_bytes().unwrap().len();
    let offset = head + response.opening.len() + value + 1;
    let versions = base_ladder(version);
    let all = commitments(honest, offset, &versions, &response.binary_ladder);
    without(all, &view.finish().1.included)
}

/// A version absent from an older distinguished entry has its commitment sent if it exists now,
/// whether or not the ladder of the newer entries comes across it.
pub(super) fn free_owner_init(
    log: &MemoryLog,
    state: Option<&TreeState>,
    request: &OwnerInitRequest,
    honest: &[u8],
) -> Vec<Range<usize>> {
    let response = OwnerInitResponse::from_bytes(honest, &log.config).unwrap();
    let greatest = &response.greatest_versions;
    let mut view = witness(log, retained(state), request.last, &request.label);
    let entries = owner_init_entries(&mut view, request.start).unwrap();
    owner_init(&mut view, &entries, greatest).unwrap();
    let head = response.full_tree_head.to_bytes().unwrap().len();
    let offset = head + 1 + 4 * greatest.len() + 2;
    let versions = owner_init_versions(greatest);
    let all = commitments(honest, offset, &versions, &response.binary_ladder);
    without(all, &view.finish().1.included)
}

/// New versions of a distinguished entry are not looked up there: owner monitoring will do that.
pub(super) fn free_update(
    log: &MemoryLog,
    state: Option<&TreeState>,
    owner: &OwnerState,
    request: &UpdateRequest,
    honest: &[u8],
) -> Vec<Range<usize>> {
    let (mut all, mut included) = (Vec::new(), Vec::new());
    let mut progress = owner.progress.clone();
    let size = log.tip.size;
    let now: Vec<_> = frontier(size)
        .map(|p| (p, log.entries[p as usize]))
        .collect();
    let (mut last, mut kept) = (request.last, retained(state));
    let mut r = Reader::new(honest);
    let mut offset = 0;
    while !r.is_empty() {
        let response = UpdateResponse::decode(&mut r, &log.config).unwrap();
        let previous = progress.greatest_version();
        let count = response.info.len() as u64;
        let new = NewVersions::after(previous, count, response.position).unwrap();
        let mut view = witness(log, kept, last, &request.label);
        update_label(&mut view, &progress, new).unwrap();
        included.extend(view.finish().1.included);

        let mut at = offset + response.full_tree_head.to_bytes().unwrap().len() + 8 + 1;
        for (version, value) in (new.first..).zip(&response.values) {
            all.push((version, at + 4..at + 4 + value.len()));
            at += 4 + value.len();
        }
        at += 1;
        for (version, info) in (new.first..).zip(&response.info) {
            all.push((version, at..at + info.opening.len()));
            at += info.opening.len();
        }
        let versions = new.ladder_versions(previous);
        let steps = commitments(honest, at + 1, &versions, &response.binary_ladder);
        let unknown = |(v, _): &(u32, _)| !owner.commitments.contains_key(v);
        all.extend(steps.into_iter().filter(unknown));
        progress.upcoming.push((new.position, new.greatest));
        (last, kept) = (Some(size), &now);
        offset += response.to_bytes().unwrap().len();
    }
    without(all, &included)
}

/// Notes what a search shows to be included.
struct Witness<'l> {
    log: &'l MemoryLog,
    label: &'l [u8],
    included: Vec<u32>,
}

impl Source for Witness<'_> {
    type Error = MemoryError;

    fn timestamp(&mut self, position: u64) -> Result<u64, MemoryError> {
        Ok(self.log.entries[position as usize].timestamp)
    }

    fn lookups(&mut self, at: u64, lookups: &mut dyn Lookups) -> Result<HashValue, MemoryError> {
        while let Some(version) = lookups.probe() {
            let versions = &self.log.labels[self.label];
            let included = versions
                .get(version as usize)
                .is_some_and(|(stored, ..)| stored.position <= at);
            if included {
                self.included.push(version);
            }
            lookups.record(version, included)?;
        }
        Ok(self.log.entries[at as usize].prefix_tree)
    }

    fn stops_before(&mut self, _: u64, _: Option<u32>) -> Result<bool, MemoryError> {
        Ok(false)
    }
}
