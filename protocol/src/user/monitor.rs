//! Verifying the responses of Contact Monitoring, Owner Initialization, Owner Monitoring and
//! Walking Distinguished Heads (their sections of "User Operations").

use std::collections::BTreeMap;

use crate::codec::Decode;
use crate::distinguished::{Recent, walk};
use crate::error::VerifyError;
use crate::monitor::{
    MonitorMap, contact_monitor, owner_init, owner_init_entries, owner_init_versions, owner_monitor,
};
use crate::prefix_tree::Lookup;
use crate::user::Verifier;
use crate::user::consume::Known;
use crate::user::state::{OwnerState, TreeState, TreeView};
use crate::wire::{
    ContactMonitorRequest, DistinguishedRequest, HashValue, MonitorMapEntry, MonitorResponse,
    OwnerInitRequest, OwnerInitResponse, OwnerMonitorRequest,
};

/// A verified contact monitoring run.
#[derive(Debug, Clone)]
pub struct ContactMonitored {
    /// The state to keep from now on.
    pub state: TreeState,
    /// The monitoring map to keep; the label needs no monitoring when it is empty.
    pub map: MonitorMap,
}

/// A verified owner initialization.
#[derive(Debug, Clone)]
pub struct OwnerInitialized {
    /// The state to keep from now on.
    pub state: TreeState,
    /// The label's owner state.
    pub owner: OwnerState,
}

/// A verified owner monitoring run.
#[derive(Debug, Clone)]
pub struct OwnerMonitored {
    /// The state to keep from now on.
    pub state: TreeState,
    /// The label's owner state.
    pub owner: OwnerState,
    /// Distinguished log entries verified now, left to right: what to retain of the log tree when
    /// each of them was the rightmost entry.
    pub verified: Vec<TreeView>,
    /// Whether the rightmost distinguished entry is among those verified, now or before. If not,
    /// the owner asks again.
    pub complete: bool,
}

/// The recent distinguished log entries, verified.
#[derive(Debug, Clone)]
pub struct DistinguishedWalked {
    /// The state to keep from now on.
    pub state: TreeState,
    /// What to retain of the log tree when each of them was the rightmost entry, left to right.
    pub recent: Vec<TreeView>,
}

/// The VRF output and commitment of each version that the verifier knows from earlier answers.
pub(crate) fn known(
    vrf_outputs: &BTreeMap<u32, HashValue>,
    commitments: &BTreeMap<u32, HashValue>,
) -> Known {
    vrf_outputs
        .iter()
        .map(|(version, vrf_output)| {
            let lookup = Lookup {
                vrf_output: *vrf_output,
                commitment: commitments.get(version).copied(),
            };
            (*version, lookup)
        })
        .collect()
}

fn map_of(entries: &[MonitorMapEntry]) -> MonitorMap {
    entries.iter().map(|e| (e.position, e.version)).collect()
}

impl Verifier {
    /// Verifies the response to `request`; `vrf_outputs` and `commitments` are those retained for
    /// the label.
    pub fn contact_monitor(
        &self,
        state: Option<&TreeState>,
        vrf_outputs: &BTreeMap<u32, HashValue>,
        commitments: &BTreeMap<u32, HashValue>,
        request: &ContactMonitorRequest,
        response: &[u8],
        now: u64,
    ) -> Result<ContactMonitored, VerifyError> {
        let response = MonitorResponse::from_bytes(response, &self.config)?;
        let known = known(vrf_outputs, commitments);
        let (monitored, verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.proof,
            &known,
            now,
            |view| contact_monitor(view, &map_of(&request.entries), None),
        )?;
        Ok(ContactMonitored {
            state: verified.state,
            map: monitored.map,
        })
    }

    /// Verifies the response to `request`.
    pub fn owner_init(
        &self,
        state: Option<&TreeState>,
        request: &OwnerInitRequest,
        response: &[u8],
        now: u64,
    ) -> Result<OwnerInitialized, VerifyError> {
        let response = OwnerInitResponse::from_bytes(response, &self.config)?;
        let greatest = &response.greatest_versions;
        let versions = owner_init_versions(greatest);
        let known = self.ladder(&request.label, &versions, &response.binary_ladder)?;
        for version in greatest {
            if known.get(version).is_none_or(|v| v.commitment.is_none()) {
                return Err(VerifyError::CommitmentMissing(*version));
            }
        }
        let newest = greatest.first();
        if let Some((version, _)) = known
            .iter()
            .find(|(v, l)| l.commitment.is_some() && newest.is_none_or(|n| *v > n))
        {
            return Err(VerifyError::CommitmentSurplus(*version));
        }
        let (progress, verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.init,
            &known,
            now,
            |view| {
                let entries = owner_init_entries(view, request.start)?;
                owner_init(view, &entries, greatest)
            },
        )?;
        let commitment = |(version, lookup): (&u32, &Lookup)| Some((*version, lookup.commitment?));
        Ok(OwnerInitialized {
            state: verified.state,
            owner: OwnerState {
                progress,
                map: MonitorMap::new(),
                vrf_outputs: known.iter().map(|(v, l)| (*v, l.vrf_output)).collect(),
                commitments: known.iter().filter_map(commitment).collect(),
            },
        })
    }

    /// Verifies the response to `request`, which advertises what `owner` holds.
    pub fn owner_monitor(
        &self,
        state: Option<&TreeState>,
        owner: &OwnerState,
        request: &OwnerMonitorRequest,
        response: &[u8],
        now: u64,
    ) -> Result<OwnerMonitored, VerifyError> {
        if request.start != owner.progress.start
            || request.greatest_version != owner.progress.greatest_version()
        {
            return Err(VerifyError::Request(
                "`start` or `greatest_version` is not what is kept",
            ));
        }
        let response = MonitorResponse::from_bytes(response, &self.config)?;
        let known = known(&owner.vrf_outputs, &owner.commitments);
        let ((monitored, walked), verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.proof,
            &known,
            now,
            |view| {
                let map = map_of(&request.entries);
                let monitored = contact_monitor(view, &map, Some(request.start))?;
                Ok((monitored, owner_monitor(view, &owner.progress)?))
            },
        )?;
        let mut owner = owner.clone();
        owner.map = monitored.map;
        for (position, stop) in monitored.left_to_owner {
            if walked.verified.contains(&stop) {
                owner.map.remove(&position);
            }
        }
        if let Some(position) = walked.verified.last() {
            owner.progress.advance(*position);
        }
        let recent = walked.verified.into_iter();
        let recent = recent.map(|position| verified.view_at(position));
        Ok(OwnerMonitored {
            verified: recent.collect::<Result<_, _>>()?,
            state: verified.state,
            owner,
            complete: walked.complete,
        })
    }

    /// Verifies the response to `request`, given the application's notion of "recent".
    pub fn distinguished(
        &self,
        state: Option<&TreeState>,
        request: &DistinguishedRequest,
        recent: Recent,
        response: &[u8],
        now: u64,
    ) -> Result<DistinguishedWalked, VerifyError> {
        let response = MonitorResponse::from_bytes(response, &self.config)?;
        let known = Known::new();
        let (found, verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.proof,
            &known,
            now,
            |view| walk(view, recent, request.stop),
        )?;
        let recent = found.into_iter().map(|position| verified.view_at(position));
        Ok(DistinguishedWalked {
            recent: recent.collect::<Result<_, _>>()?,
            state: verified.state,
        })
    }
}
