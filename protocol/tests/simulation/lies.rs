//! Answers of which the liar knows that they are not true.

use overt_protocol::monitor::{OwnerProgress, contact_monitor, owner_monitor};
use overt_protocol::provider::{self, groups_after};
use overt_protocol::search::{fixed_version, greatest_version};
use overt_protocol::wire::*;

use crate::deed::Deed;
use crate::liar::{Liar, TARGET};
use crate::misdeed::Misdeed;
use crate::server::{Answer, bytes};
use crate::support::MemoryError;
use crate::truth::{steps, truth};

impl Liar {
    /// A search for the target, once the misdeed is done. None: nothing special about it.
    pub(crate) fn lying_search(
        &self,
        deed: &Deed,
        user: usize,
        request: &SearchRequest,
    ) -> Option<Answer> {
        let log = &self.logs[0];
        let last = request.last;
        let is_greatest = request.version.is_none();
        match self.misdeed {
            Misdeed::VersionSkipped if is_greatest => {
                let honest = provider::search(&self.view(user), request);
                let version = deed.greatest + 2;
                Some(bytes(honest.or_else(|_| {
                    let (_, opening, value) = &log.labels[TARGET.as_bytes()][version as usize];
                    Ok(self.claim(request, version, (*opening, value.clone())))
                })))
            }
            // Either with the proof that the trees allow, or out of a fork.
            Misdeed::GreatestWithheld if last.is_some_and(|last| last > deed.position) => {
                let version = deed.greatest - 1;
                let (_, opening, value) = &log.labels[TARGET.as_bytes()][version as usize];
                let answer = match log.tip.size % 2 {
                    0 => provider::search(&self.logs[1].published(), request),
                    _ => Ok(self.claim(request, version, (*opening, value.clone()))),
                };
                is_greatest.then(|| self.lie(bytes(answer)))
            }
            Misdeed::HeadReplayed => {
                let request = SearchRequest {
                    last: None,
                    ..request.clone()
                };
                let answer = provider::search(&log.at(self.old_size(last)?), &request).ok()?;
                Some(self.lie(bytes(Ok(answer))))
            }
            Misdeed::ExpiredVersionReplaced => {
                let fake = deed
                    .fake
                    .as_ref()
                    .filter(|f| request.version == Some(f.version))?;
                let value = (fake.opening, fake.value.clone());
                Some(self.lie(bytes(Ok(self.claim(request, fake.version, value)))))
            }
            _ => None,
        }
    }

    /// The size of a tree that this user has seen surpassed, or that is too old for everybody.
    fn old_size(&self, last: Option<u64>) -> Option<u64> {
        let log = &self.logs[0];
        let limit = self.settings.max_ahead + self.settings.max_behind;
        let is_old = |size: &u64| {
            let entry = log.entries[*size as usize - 1];
            match last {
                Some(last) => *size < last,
                None => entry.timestamp + limit < log.tip.timestamp,
            }
        };
        (1..log.tip.size).rev().find(is_old)
    }

    /// Claims that a version is the answer to a search, with the proof that the trees allow.
    fn claim(
        &self,
        request: &SearchRequest,
        version: u32,
        (opening, value): (Opening, UpdateValue),
    ) -> SearchResponse {
        let log = &self.logs[0];
        let label = TARGET.as_bytes();
        let is_greatest = request.version.is_none();
        let (full_tree_head, search) = truth(log, request.last, label, |view| match is_greatest {
            true => greatest_version(view, version),
            false => fixed_version(view, version),
        });
        SearchResponse {
            full_tree_head,
            version: is_greatest.then_some(version),
            opening,
            value,
            binary_ladder: steps(log, label, (version, is_greatest)),
            search,
        }
    }

    /// Owner monitoring as if the greatest version was still the one before the misdeed, with the
    /// proof that the trees allow.
    pub(crate) fn denying_monitor(
        &self,
        deed: &Deed,
        request: &OwnerMonitorRequest,
    ) -> Result<MonitorResponse, MemoryError> {
        let log = &self.logs[0];
        let label = TARGET.as_bytes();
        let at_start = (0..=deed.greatest)
            .rev()
            .find(|v| self.created(*v) <= request.start);
        let greatest = Some(deed.greatest);
        let groups = groups_after(&log.published(), label, at_start, greatest)?;
        let progress = OwnerProgress {
            start: request.start,
            version_at_start: at_start,
            upcoming: groups.iter().map(|g| (g.position, g.greatest)).collect(),
        };
        let map = request.entries.iter().map(|e| (e.position, e.version));
        let map = map.collect();
        let (full_tree_head, proof) = truth(log, request.last, label, |view| {
            contact_monitor(view, &map, Some(request.start))?;
            owner_monitor(view, &progress)
        });
        Ok(MonitorResponse {
            full_tree_head,
            proof,
        })
    }
}
