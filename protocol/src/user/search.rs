//! Verifying a `SearchResponse` (section "Search" of "User Operations").

use std::collections::BTreeMap;

use crate::codec::Decode;
use crate::error::VerifyError;
use crate::ladder::base_ladder;
use crate::prefix_tree::Lookup;
use crate::search::{Found, absence, fixed_version, greatest_version};
use crate::user::Verifier;
use crate::user::consume::Known;
use crate::user::state::TreeState;
use crate::wire::{
    AbsenceRequest, AbsenceResponse, BinaryLadderStep, HashValue, Opening, SearchRequest,
    SearchResponse, UpdateValue,
};

/// The value of a version of a label, proved to be in the log. Only verification makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedValue {
    label: Vec<u8>,
    version: u32,
    opening: Opening,
    update: UpdateValue,
    commitment: HashValue,
}

impl VerifiedValue {
    /// The label.
    pub fn label(&self) -> &[u8] {
        &self.label
    }

    /// The version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The application's bytes.
    pub fn value(&self) -> &[u8] {
        &self.update.value
    }

    /// The commitment opening: proof that the value was looked up.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The commitment in the prefix tree.
    pub fn commitment(&self) -> &HashValue {
        &self.commitment
    }

    pub(crate) fn new(
        label: &[u8],
        version: u32,
        opening: Opening,
        update: UpdateValue,
        commitment: HashValue,
    ) -> Self {
        Self {
            label: label.to_vec(),
            version,
            opening,
            update,
            commitment,
        }
    }
}

/// A verified search.
#[derive(Debug, Clone)]
pub struct SearchVerified {
    /// The state to keep from now on.
    pub state: TreeState,
    /// The value.
    pub value: VerifiedValue,
    /// Where it was found.
    pub found: Found,
    /// VRF outputs and commitments of the base binary ladder: what monitoring the label needs.
    /// Commitments of versions that the search did not come across are not verified by it;
    /// monitoring verifies each before it relies on it.
    pub ladder: BTreeMap<u32, Lookup>,
}

impl Verifier {
    /// Verifies the response to `request`. `now` is the user's clock in milliseconds since the
    /// Unix epoch.
    pub fn search(
        &self,
        state: Option<&TreeState>,
        request: &SearchRequest,
        response: &[u8],
        now: u64,
    ) -> Result<SearchVerified, VerifyError> {
        let response = SearchResponse::from_bytes(response, &(&self.config, request))?;
        let target = response.version.or(request.version);
        let version = target.ok_or(VerifyError::Request("no target version"))?;
        let is_greatest = request.version.is_none();

        // Steps 1 to 3.
        let (commitment, known) = self.target(
            &request.label,
            (version, is_greatest),
            (&response.opening, &response.value),
            &response.binary_ladder,
        )?;

        // Steps 4 to 6.
        let (found, verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.search,
            &known,
            now,
            |view| match is_greatest {
                true => greatest_version(view, version),
                false => fixed_version(view, version),
            },
        )?;
        Ok(SearchVerified {
            state: verified.state,
            value: VerifiedValue::new(
                &request.label,
                version,
                response.opening,
                response.value,
                commitment,
            ),
            found,
            ladder: known,
        })
    }

    /// Verifies the response to `request`: proof that the label has no version. Returns the state to
    /// keep from now on.
    pub fn absence(
        &self,
        state: Option<&TreeState>,
        request: &AbsenceRequest,
        response: &[u8],
        now: u64,
    ) -> Result<TreeState, VerifyError> {
        let response = AbsenceResponse::from_bytes(response, &self.config)?;
        let known = self.ladder(&request.label, &[0], &response.binary_ladder)?;
        if known.values().any(|lookup| lookup.commitment.is_some()) {
            return Err(VerifyError::CommitmentSurplus(0));
        }
        let ((), verified) = self.run(
            state,
            request.last,
            &response.full_tree_head,
            &response.absence,
            &known,
            now,
            absence,
        )?;
        Ok(verified.state)
    }

    /// Verifies the value of the target version of a search, and the steps of its ladder (steps 1
    /// to 3). Returns the value's commitment, and what the ladder makes known.
    pub(crate) fn target(
        &self,
        label: &[u8],
        (version, is_greatest): (u32, bool),
        (opening, value): (&Opening, &UpdateValue),
        steps: &[BinaryLadderStep],
    ) -> Result<(HashValue, Known), VerifyError> {
        let commitment = self.commitment(label, version, opening, value)?;
        let versions = base_ladder(version);
        for (v, step) in versions.iter().zip(steps) {
            let must_be_absent = *v == version || (is_greatest && *v > version);
            if must_be_absent && step.commitment.is_some() {
                return Err(VerifyError::CommitmentSurplus(*v));
            }
            if is_greatest && *v < version && step.commitment.is_none() {
                return Err(VerifyError::CommitmentMissing(*v));
            }
        }
        let mut known = self.ladder(label, &versions, steps)?;
        if let Some(target) = known.get_mut(&version) {
            target.commitment = Some(commitment);
        }
        Ok((commitment, known))
    }
}
