//! Verifying `UpdateResponse`s (section "Updating a Label" of "User Operations").

use crate::codec::{Decode, Reader};
use crate::error::VerifyError;
use crate::monitor::add_to_map;
use crate::prefix_tree::Lookup;
use crate::suite::NH;
use crate::update::{NewVersions, update_label};
use crate::user::Verifier;
use crate::user::monitor::known;
use crate::user::search::VerifiedValue;
use crate::user::state::{OwnerState, TreeState};
use crate::wire::{UpdateRequest, UpdateResponse, UpdateValue};

/// The versions that one log entry created, verified.
#[derive(Debug, Clone)]
pub struct VerifiedUpdate {
    /// The log entry.
    pub position: u64,
    /// The values that the log holds now, ascending by version. Skipped versions have none.
    pub values: Vec<VerifiedValue>,
    /// Whether they are the values of the request; if not, someone else created them.
    pub requested: bool,
    /// Whether the proof covers all of them. If the log entry is distinguished it leaves the
    /// greatest version to owner monitoring, which has to follow before the values are relied on.
    pub proved: bool,
}

/// A verified update.
#[derive(Debug, Clone)]
pub struct UpdateVerified {
    /// The state to keep from now on.
    pub state: TreeState,
    /// The label's owner state.
    pub owner: OwnerState,
    /// What was created, in order.
    pub updates: Vec<VerifiedUpdate>,
}

impl Verifier {
    /// Verifies the responses to `request`, which stand back to back in `responses`.
    pub fn update(
        &self,
        state: Option<&TreeState>,
        owner: &OwnerState,
        request: &UpdateRequest,
        responses: &[u8],
        now: u64,
    ) -> Result<UpdateVerified, VerifyError> {
        if request.greatest_version != owner.progress.greatest_version() {
            return Err(VerifyError::Request(
                "`greatest_version` is not what is kept",
            ));
        }
        let mut r = Reader::new(responses);
        let mut request = request.clone();
        let mut verified: Option<UpdateVerified> = None;
        while verified.is_none() || !r.is_empty() {
            let response = UpdateResponse::decode(&mut r, &self.config)?;
            let (state, owner) = match &verified {
                None => (state, owner),
                Some(before) => (Some(&before.state), &before.owner),
            };
            let (state, owner, update) = self.one_update(state, owner, &request, &response, now)?;
            request.last = Some(state.tree_size());
            if update.requested {
                request.values.clear();
            }
            let mut updates = verified.map(|v| v.updates).unwrap_or_default();
            updates.push(update);
            verified = Some(UpdateVerified {
                state,
                owner,
                updates,
            });
        }
        verified.ok_or(VerifyError::UpdateResponses)
    }

    fn one_update(
        &self,
        state: Option<&TreeState>,
        owner: &OwnerState,
        request: &UpdateRequest,
        response: &UpdateResponse,
        now: u64,
    ) -> Result<(TreeState, OwnerState, VerifiedUpdate), VerifyError> {
        let previous = owner.progress.greatest_version();
        let requested = response.values.is_empty();
        let values = if requested {
            &request.values
        } else {
            &response.values
        };
        // Step 2. (Step 1 is part of the algorithm.)
        if response.info.len() != values.len() || values.is_empty() {
            return Err(VerifyError::UpdateInfo {
                found: response.info.len(),
                expected: values.len(),
            });
        }
        let skipped = u64::from(response.skipped_versions.unwrap_or(0));
        let count = u64::try_from(values.len()).map_err(|_| VerifyError::VersionRange)?;
        let count = count
            .checked_add(skipped)
            .ok_or(VerifyError::VersionRange)?;
        let new = NewVersions::after(previous, count, response.position)?;

        // Step 4.
        let versions = new.ladder_versions(previous);
        let mut steps = versions.iter().zip(&response.binary_ladder);
        if let Some((version, _)) = steps.find(|(_, step)| step.commitment.is_some()) {
            return Err(VerifyError::CommitmentSurplus(*version));
        }
        let mut owner = owner.clone();
        let ladder = self.ladder(&request.label, &versions, &response.binary_ladder)?;
        let outputs = ladder.iter().map(|(v, lookup)| (*v, lookup.vrf_output));
        owner.vrf_outputs.extend(outputs);
        // Step 3, and the commitments of the new versions.
        let mut created = Vec::with_capacity(values.len());
        let skipped_until = u64::from(new.first).saturating_add(skipped);
        for version in (new.first..=new.greatest).filter(|v| u64::from(*v) < skipped_until) {
            owner.commitments.insert(version, [0; NH]);
        }
        let unskipped = (new.first..=new.greatest).filter(|v| u64::from(*v) >= skipped_until);
        for (version, (value, info)) in unskipped.zip(values.iter().zip(&response.info)) {
            let update = UpdateValue {
                value: value.clone(),
                signature: info.signature.clone(),
            };
            let commitment = self.commitment(&request.label, version, &info.opening, &update)?;
            owner.commitments.insert(version, commitment);
            created.push(VerifiedValue::new(
                &request.label,
                version,
                info.opening,
                update,
                commitment,
            ));
        }

        // Steps 1 and 5 to 7.
        let known: std::collections::BTreeMap<u32, Lookup> =
            known(&owner.vrf_outputs, &owner.commitments);
        let (distinguished, verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.update,
            &known,
            now,
            |view| update_label(view, &owner.progress, new),
        )?;
        owner.progress.upcoming.push((new.position, new.greatest));
        if !distinguished {
            add_to_map(&mut owner.map, new.position, new.greatest);
        }
        let update = VerifiedUpdate {
            position: new.position,
            values: created,
            requested,
            proved: !distinguished,
        };
        Ok((verified.state, owner, update))
    }
}
