//! Answers of which the liar knows that they are not true.

use overt_protocol::codec::Encode;
use overt_protocol::error::VerifyError;
use overt_protocol::monitor::{MonitorMap, OwnerProgress, contact_monitor, owner_monitor};
use overt_protocol::provider::{self, groups_after};
use overt_protocol::search::{fixed_version, greatest_version};
use overt_protocol::update::{NewVersions, update_label};
use overt_protocol::wire::*;

use crate::deed::Deed;
use crate::liar::{Liar, OTHER, OWNER, TARGET};
use crate::malformation::Malformation;
use crate::misdeed::Misdeed;
use crate::server::{Answer, OPENING, bytes, update};
use crate::shown::Moved;
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
        let last = request.last;
        let told = |version: u32| {
            let of = version.min(self.ghost());
            self.claim(request, version, self.value(TARGET, of))
        };
        let answer = match self.misdeed {
            // With the proof that the trees allow; it may even do.
            Misdeed::VersionSkipped | Misdeed::GhostRemoved => {
                let honest = provider::search(&self.view(user), request);
                return Some(bytes(honest.or_else(|_| Ok(told(self.ghost())))));
            }
            // Either with the proof that the trees allow, or, to those who know better, out of a
            // fork.
            Misdeed::GreatestWithheld => match last {
                None => Ok(told(deed.greatest - 1)),
                Some(last) if last <= deed.position => return None,
                _ if deed.way(2) == 0 => provider::search(&self.logs[1].published(), request),
                _ => Ok(told(deed.greatest - 1)),
            },
            Misdeed::LabelConfused => {
                let other = SearchRequest {
                    label: OTHER.into(),
                    ..request.clone()
                };
                let mut answer = provider::search(&self.view(user), &other);
                if let (1, Ok(answer)) = (deed.way(2), &mut answer) {
                    // At least the proofs of the ladder are the right ones.
                    let version = answer.version.unwrap();
                    let of_other = std::mem::take(&mut answer.binary_ladder);
                    let steps = steps(&self.logs[0], TARGET.as_bytes(), (version, true));
                    let mixed = steps.into_iter().zip(of_other);
                    answer.binary_ladder = mixed
                        .map(|(step, of_other)| BinaryLadderStep {
                            proof: step.proof,
                            ..of_other
                        })
                        .collect();
                }
                answer
            }
            Misdeed::ValueSwapped => {
                let version = deed.greatest;
                let (mut opening, mut value) = self.value(TARGET, version);
                match deed.way(3) {
                    0 => value.value = b"the directory's".to_vec(),
                    1 => opening[0] ^= 1,
                    _ => (opening, value) = self.value(TARGET, version - 1),
                }
                Ok(self.claim(request, version, (opening, value)))
            }
            Misdeed::HeadReplayed => {
                let request = SearchRequest {
                    last: None,
                    ..request.clone()
                };
                let old = self.logs[0].at(self.old_size(last)?);
                Ok(provider::search(&old, &request).ok()?)
            }
            Misdeed::ExpiredVersionReplaced => {
                let fake = deed.fake.as_ref();
                let fake = fake.filter(|f| request.version == Some(f.version))?;
                let value = (fake.opening, fake.value.clone());
                Ok(self.claim(request, fake.version, value))
            }
            Misdeed::VrfKeyChanged => {
                let mut shown = self.view(user);
                shown.moved = Some(Moved {
                    key: &self.logs[1].vrf,
                    fake: deed.fake.as_ref()?,
                    position: deed.position,
                });
                shown.fake = deed.fake.as_ref();
                shown.greatest = Some(0);
                provider::search(&shown, request)
            }
            Misdeed::Malformed => {
                let malformation = Malformation::of(deed);
                let honest = match malformation {
                    Malformation::GreatestPossibleVersion => told(u32::MAX),
                    _ => provider::search(&self.view(user), request).ok()?,
                };
                let malformed = malformation.apply(honest)?;
                return Some(self.lie(Ok(malformed)));
            }
            _ => return None,
        };
        Some(self.lie(bytes(answer)))
    }

    /// The opening and value of a version.
    fn value(&self, label: &str, version: u32) -> (Opening, UpdateValue) {
        let (_, opening, value) = &self.logs[0].labels[label.as_bytes()][version as usize];
        (*opening, value.clone())
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
        let (full_tree_head, search) =
            truth(
                &log.published(),
                request.last,
                label,
                |view| match is_greatest {
                    true => greatest_version(view, version),
                    false => fixed_version(view, version),
                },
            );
        SearchResponse {
            full_tree_head,
            version: is_greatest.then_some(version),
            opening,
            value,
            binary_ladder: steps(log, label, (version, is_greatest)),
            search,
        }
    }

    /// What the owner's device is told that made versions, which are claimed to be what the log
    /// entry at `position` holds.
    pub(crate) fn lying_update(
        &self,
        deed: &Deed,
        request: &UpdateRequest,
        position: u64,
    ) -> Answer {
        let shown = self.view(OWNER);
        let answer = match (self.misdeed, deed.way(3)) {
            // Beside its own there is nothing, or its own is there.
            (Misdeed::GhostBeside, _) | (_, 0) => {
                bytes(self.claim_update(request, position).map_err(Into::into))
            }
            // Its own are there, or somebody else's.
            (_, 1) => update(&shown, request, Some(position)),
            _ => update(&shown, request, None),
        };
        self.lie(answer)
    }

    /// Claims that the versions of a request are what a log entry added, with the proof that the
    /// trees allow.
    fn claim_update(
        &self,
        request: &UpdateRequest,
        position: u64,
    ) -> Result<UpdateResponse, VerifyError> {
        let log = &self.logs[0];
        let label = TARGET.as_bytes();
        let previous = request.greatest_version;
        let count = request.values.len() as u64;
        let new = NewVersions::after(previous, count, position)?;
        let progress = self.progress((0, None), previous);
        let (full_tree_head, update) = truth(&log.published(), request.last, label, |view| {
            update_label(view, &progress, new)
        });
        let step = |version: u32| BinaryLadderStep {
            proof: log
                .vrf
                .prove(&VrfInput { label, version }.to_bytes().unwrap())
                .1,
            commitment: None,
        };
        let versions = new.ladder_versions(previous).into_iter();
        let info = UpdateInfo {
            opening: OPENING,
            signature: None,
        };
        Ok(UpdateResponse {
            full_tree_head,
            position,
            skipped_versions: None,
            values: Vec::new(),
            info: vec![info; request.values.len()],
            binary_ladder: versions.map(step).collect(),
            update,
        })
    }

    /// What an owner has verified who knows of the versions up to `greatest`.
    fn progress(
        &self,
        (start, version_at_start): (u64, Option<u32>),
        greatest: Option<u32>,
    ) -> OwnerProgress {
        let published = self.logs[0].published();
        let label = TARGET.as_bytes();
        let groups = groups_after(&published, label, version_at_start, greatest).unwrap();
        OwnerProgress {
            start,
            version_at_start,
            upcoming: groups.iter().map(|g| (g.position, g.greatest)).collect(),
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
        let known = Some(deed.greatest).min(self.greatest());
        let at_start = (0..=known.unwrap_or(0))
            .rev()
            .find(|v| self.created(*v) <= request.start);
        let mut progress = self.progress((request.start, at_start), known);
        // What the owner was told of that is not there.
        if let Some(claimed) = request.greatest_version.filter(|v| Some(*v) > known) {
            progress.upcoming.push((deed.position, claimed));
        }
        let map = map_of(&request.entries);
        let label = TARGET.as_bytes();
        let (full_tree_head, proof) = truth(&log.published(), request.last, label, |view| {
            contact_monitor(view, &map, Some(request.start))?;
            owner_monitor(view, &progress)
        });
        Ok(MonitorResponse {
            full_tree_head,
            proof,
        })
    }

    /// Contact monitoring with the proof that the trees allow.
    pub(crate) fn true_monitor(&self, request: &ContactMonitorRequest) -> MonitorResponse {
        let map = map_of(&request.entries);
        let (log, label) = (&self.logs[0], &request.label);
        let (full_tree_head, proof) = truth(&log.published(), request.last, label, |view| {
            contact_monitor(view, &map, None)
        });
        MonitorResponse {
            full_tree_head,
            proof,
        }
    }
}

fn map_of(entries: &[MonitorMapEntry]) -> MonitorMap {
    entries.iter().map(|e| (e.position, e.version)).collect()
}
