//! The verifier's source of timestamps and lookups: a `CombinedTreeProof`, used up in order.

use std::collections::BTreeMap;

use crate::combined::{Lookups, Source};
use crate::error::VerifyError;
use crate::prefix_tree::{Lookup, evaluate};
use crate::wire::{CombinedTreeProof, HashValue, PrefixProof};

/// VRF outputs and commitments of the versions that a response may look up.
pub(crate) type Known = BTreeMap<u32, Lookup>;

pub(crate) struct Consumer<'a> {
    timestamps: std::slice::Iter<'a, u64>,
    prefix_proofs: std::slice::Iter<'a, PrefixProof>,
    known: &'a Known,
}

impl<'a> Consumer<'a> {
    pub(crate) fn new(proof: &'a CombinedTreeProof, known: &'a Known) -> Self {
        Self {
            timestamps: proof.timestamps.iter(),
            prefix_proofs: proof.prefix_proofs.iter(),
            known,
        }
    }

    /// Checks that everything was used.
    pub(crate) fn finish(self) -> Result<(), VerifyError> {
        match (self.timestamps.len(), self.prefix_proofs.len()) {
            (0, 0) => Ok(()),
            (0, n) => Err(VerifyError::PrefixProofSurplus(n)),
            (n, _) => Err(VerifyError::TimestampSurplus(n)),
        }
    }
}

impl Source for Consumer<'_> {
    type Error = VerifyError;

    fn timestamp(&mut self, position: u64) -> Result<u64, VerifyError> {
        self.timestamps
            .next()
            .copied()
            .ok_or(VerifyError::TimestampMissing(position))
    }

    fn lookups(
        &mut self,
        position: u64,
        lookups: &mut dyn Lookups,
    ) -> Result<HashValue, VerifyError> {
        let proof = self
            .prefix_proofs
            .next()
            .ok_or(VerifyError::PrefixProofMissing(position))?;
        evaluate_lookups(position, proof, self.known, lookups)
    }

    fn stops_before(&mut self, _: u64, _: Option<u32>) -> Result<bool, VerifyError> {
        Ok(self.prefix_proofs.len() == 0)
    }
}

/// The root of the prefix tree that one proof shows, if its results answer `lookups`.
pub(crate) fn evaluate_lookups(
    position: u64,
    proof: &PrefixProof,
    known: &Known,
    lookups: &mut dyn Lookups,
) -> Result<HashValue, VerifyError> {
    let mut made = Vec::with_capacity(proof.results.len());
    while let Some(version) = lookups.probe() {
        made.push(
            *known
                .get(&version)
                .ok_or(VerifyError::VrfOutputMissing(version))?,
        );
        match proof.results.get(made.len().saturating_sub(1)) {
            Some(result) => lookups.record(version, result.is_inclusion())?,
            // Too few results; `evaluate` says so.
            None => break,
        }
    }
    evaluate(&made, proof).map_err(|error| VerifyError::PrefixProof { position, error })
}
