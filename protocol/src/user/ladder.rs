//! From `BinaryLadderStep`s to VRF outputs and commitments, and checks on values.

use crate::codec::Encode;
use crate::error::VerifyError;
use crate::prefix_tree::Lookup;
use crate::suite;
use crate::user::Verifier;
use crate::user::consume::Known;
use crate::wire::{
    BinaryLadderStep, CommitmentValue, HashValue, Opening, UpdateTbs, UpdateValue, VrfInput,
};

impl Verifier {
    /// Evaluates the VRF proofs of a ladder's steps, which belong to `versions` in this order.
    pub(crate) fn ladder(
        &self,
        label: &[u8],
        versions: &[u32],
        steps: &[BinaryLadderStep],
    ) -> Result<Known, VerifyError> {
        if versions.len() != steps.len() {
            return Err(VerifyError::BinaryLadder {
                found: steps.len(),
                expected: versions.len(),
            });
        }
        versions
            .iter()
            .zip(steps)
            .map(|(version, step)| {
                let version = *version;
                let input = VrfInput { label, version }.to_bytes()?;
                let vrf_output = self
                    .vrf_key
                    .verify(&input, &step.proof)
                    .map_err(|error| VerifyError::VrfProof { version, error })?;
                let commitment = step.commitment;
                Ok((
                    version,
                    Lookup {
                        vrf_output,
                        commitment,
                    },
                ))
            })
            .collect()
    }

    /// Verifies a value (section "Update Format") and computes its commitment.
    pub(crate) fn commitment(
        &self,
        label: &[u8],
        version: u32,
        opening: &Opening,
        update: &UpdateValue,
    ) -> Result<HashValue, VerifyError> {
        if let Some(key) = &self.leaf_key {
            let tbs = UpdateTbs {
                config: &self.config,
                label,
                version,
                value: &update.value,
            };
            let signature = update.signature.as_deref().unwrap_or_default();
            key.verify(&tbs.to_bytes()?, signature)
                .map_err(|error| VerifyError::LeafSignature { version, error })?;
        }
        let value = CommitmentValue {
            opening,
            label,
            version,
            update,
        };
        Ok(suite::commitment(&[&value.to_bytes()?]))
    }
}
