//! A prover that writes down what the trees show, whatever that is. The provider's own refuses to
//! go on where the outcome is not the one that was claimed; a liar hopes that nobody looks.

use overt_protocol::codec::Encode;
use overt_protocol::combined::{Lookups, Source, View};
use overt_protocol::implicit_tree::frontier;
use overt_protocol::ladder::base_ladder;
use overt_protocol::log_tree::BatchProof;
use overt_protocol::prefix_tree::{STAND_IN, prove};
use overt_protocol::wire::*;

use crate::support::{MemoryError, MemoryLog, Published};

pub(crate) struct Truth<'l> {
    log: &'l MemoryLog,
    label: &'l [u8],
    proof: CombinedTreeProof,
}

impl Source for Truth<'_> {
    type Error = MemoryError;

    fn timestamp(&mut self, position: u64) -> Result<u64, MemoryError> {
        let timestamp = self.log.entries[position as usize].timestamp;
        self.proof.timestamps.push(timestamp);
        Ok(timestamp)
    }

    fn lookups(
        &mut self,
        position: u64,
        lookups: &mut dyn Lookups,
    ) -> Result<HashValue, MemoryError> {
        let root = self.log.roots[position as usize];
        let mut keys = Vec::new();
        let mut outcome = Ok(());
        while let (Ok(()), Some(version)) = (&outcome, lookups.probe()) {
            let label = self.label;
            let key = self
                .log
                .vrf
                .output(&VrfInput { label, version }.to_bytes()?);
            let shown = prove(&self.log.pages, root, &[key])?;
            keys.push(key);
            outcome = lookups.record(version, shown.results[0].is_inclusion());
        }
        let proof = prove(&self.log.pages, root, &keys)?;
        self.proof.prefix_proofs.push(proof);
        outcome?;
        Ok(root.map_or(STAND_IN, |node| node.value))
    }

    fn stops_before(&mut self, _: u64, _: Option<u32>) -> Result<bool, MemoryError> {
        Ok(false)
    }
}

/// Runs an algorithm for a user who advertised `last`, as far as it gets, and completes the proof.
pub(crate) fn truth<'l, T>(
    at: &Published<'l>,
    last: Option<u64>,
    label: &'l [u8],
    algorithm: impl FnOnce(&mut View<'l, Truth<'l>>) -> Result<T, MemoryError>,
) -> (FullTreeHead, CombinedTreeProof) {
    let (log, size) = (at.log, at.size);
    let entry = |position: u64| log.entries[position as usize];
    let retained: Vec<_> = last.into_iter().flat_map(frontier).collect();
    let retained: Vec<_> = retained.into_iter().map(|p| (p, entry(p))).collect();
    let source = Truth {
        log,
        label,
        proof: CombinedTreeProof::default(),
    };
    let mut view = View::update(&log.config, source, size, last, &retained).unwrap();
    // How it ends is for the verifier to find out.
    let _ = algorithm(&mut view);
    let (inspected, source) = view.finish();
    let mut proof = source.proof;
    let without_root = inspected.without_root().into_iter();
    proof.prefix_roots = without_root.map(|p| entry(p).prefix_tree).collect();
    let head = match last == Some(size) {
        true => FullTreeHead::Same,
        false => FullTreeHead::Updated {
            tree_head: log.heads[size as usize - 1].clone(),
            auditor_tree_head: at.auditor.clone(),
        },
    };
    let auditor = at.auditor.as_ref().filter(|_| last != Some(size));
    let auditor_size = auditor.map(|auditor| auditor.tree_size);
    let plan = BatchProof::plan(size, &inspected.proved, last, auditor_size);
    proof.inclusion.elements = plan
        .elements()
        .map(|subtree| log.subtrees[&subtree])
        .collect();
    (head, proof)
}

/// The steps of a search's ladder: commitments of all that exist but the target, as it is claimed.
pub(crate) fn steps(
    log: &MemoryLog,
    label: &[u8],
    (target, is_greatest): (u32, bool),
) -> Vec<BinaryLadderStep> {
    let step = |version: u32| {
        let input = VrfInput { label, version }.to_bytes().unwrap();
        let stored = log.labels[label].get(version as usize);
        let has_commitment = version < target || (version > target && !is_greatest);
        BinaryLadderStep {
            proof: log.vrf.prove(&input).1,
            commitment: stored
                .filter(|_| has_commitment)
                .map(|(stored, ..)| stored.leaf.commitment),
        }
    };
    base_ladder(target).into_iter().map(step).collect()
}
