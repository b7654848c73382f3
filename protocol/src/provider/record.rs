//! The prover's source of timestamps and lookups: the log itself. What is asked for is written
//! down as a `CombinedTreeProof`.

use std::collections::BTreeMap;

use crate::combined::{Lookups, Source, View};
use crate::implicit_tree::frontier;
use crate::ladder::base_ladder;
use crate::log_tree::BatchProof;
use crate::prefix_tree::{STAND_IN, prove};
use crate::provider::{Directory, Refusal, StoredVersion};
use crate::wire::{BinaryLadderStep, CombinedTreeProof, FullTreeHead, HashValue, InclusionProof};

/// Answers about one label, as of the directory's published head.
pub(crate) struct Recorder<'d, D: Directory> {
    directory: &'d D,
    label: &'d [u8],
    versions: BTreeMap<u32, Option<StoredVersion>>,
    outputs: BTreeMap<u32, HashValue>,
    proof: CombinedTreeProof,
    /// Ladders that owner monitoring may still provide.
    ladders_left: usize,
    /// The greatest version that the owner advertised.
    advertised: Option<u32>,
}

impl<'d, D: Directory> Recorder<'d, D> {
    fn version(&mut self, version: u32) -> Result<Option<StoredVersion>, D::Error> {
        if let Some(known) = self.versions.get(&version) {
            return Ok(*known);
        }
        let found = self.directory.version(self.label, version)?;
        self.versions.insert(version, found);
        if let Some(found) = found {
            self.outputs.insert(version, found.leaf.vrf_output);
        }
        Ok(found)
    }

    fn output(&mut self, version: u32) -> Result<HashValue, D::Error> {
        if let Some(known) = self.outputs.get(&version) {
            return Ok(*known);
        }
        let output = self.directory.vrf_output(self.label, version)?;
        self.outputs.insert(version, output);
        Ok(output)
    }

    /// VRF proofs for `versions`, with the commitment of those that exist and that
    /// `with_commitment` picks.
    pub(crate) fn ladder_steps(
        &mut self,
        versions: &[u32],
        with_commitment: impl Fn(u32) -> bool,
    ) -> Result<Vec<BinaryLadderStep>, D::Error> {
        versions
            .iter()
            .map(|version| {
                let (output, proof) = self.directory.vrf_proof(self.label, *version)?;
                self.outputs.insert(*version, output);
                let stored = self.version(*version)?;
                Ok(BinaryLadderStep {
                    proof,
                    commitment: stored
                        .filter(|_| with_commitment(*version))
                        .map(|stored| stored.leaf.commitment),
                })
            })
            .collect()
    }

    /// The greatest version at a log entry. Versions up to `greatest` that are not known any more
    /// are older than all that are.
    pub(crate) fn greatest_at(
        &mut self,
        greatest: Option<u32>,
        position: u64,
    ) -> Result<Option<u32>, D::Error> {
        // Versions grow along the log: binary search for the last created by then.
        let (mut known, mut unknown) =
            (0u64, greatest.map_or(0, |v| u64::from(v).saturating_add(1)));
        while known < unknown {
            let middle = known.saturating_add(unknown) / 2;
            let version = u32::try_from(middle).unwrap_or(u32::MAX);
            if self
                .version(version)?
                .is_none_or(|stored| stored.position <= position)
            {
                known = middle.saturating_add(1);
            } else {
                unknown = middle;
            }
        }
        Ok(known
            .checked_sub(1)
            .and_then(|version| u32::try_from(version).ok()))
    }

    /// Limits what owner monitoring provides.
    pub(crate) fn limit_owner(&mut self, ladders: usize, advertised: Option<u32>) {
        self.ladders_left = ladders;
        self.advertised = advertised;
    }
}

impl<D: Directory> Source for Recorder<'_, D> {
    type Error = D::Error;

    fn timestamp(&mut self, position: u64) -> Result<u64, D::Error> {
        let timestamp = self.directory.log_entry(position)?.timestamp;
        self.proof.timestamps.push(timestamp);
        Ok(timestamp)
    }

    fn lookups(&mut self, position: u64, lookups: &mut dyn Lookups) -> Result<HashValue, D::Error> {
        let mut keys = Vec::new();
        let mut outcomes = Vec::new();
        while let Some(version) = lookups.probe() {
            let stored = self.version(version)?;
            let included = stored.is_some_and(|stored| stored.is_in(position));
            keys.push(self.output(version)?);
            outcomes.push(included);
            lookups.record(version, included)?;
        }
        let root = self.directory.prefix_root(position)?;
        let proof = prove(self.directory.pages(), root, &keys)?;
        if !proof.results.iter().map(|r| r.is_inclusion()).eq(outcomes) {
            return Err(Refusal::Damaged("prefix tree and label index disagree").into());
        }
        self.proof.prefix_proofs.push(proof);
        Ok(root.map_or(STAND_IN, |node| node.value))
    }

    fn stops_before(&mut self, _: u64, expected: Option<u32>) -> Result<bool, D::Error> {
        // The owner is told of versions that it does not know by an update, not by monitoring.
        if self.ladders_left == 0 || expected > self.advertised {
            return Ok(true);
        }
        self.ladders_left = self.ladders_left.saturating_sub(1);
        Ok(false)
    }
}

/// Runs `algorithm` for a user who advertised `last`, and completes the proof.
pub(crate) fn record<'d, D: Directory, T>(
    directory: &'d D,
    last: Option<u64>,
    label: &'d [u8],
    algorithm: impl FnOnce(&mut View<'d, Recorder<'d, D>>) -> Result<T, D::Error>,
) -> Result<(FullTreeHead, T, CombinedTreeProof), D::Error> {
    let size = directory.tree_head().tree_size;
    if let Some(last) = last.filter(|last| *last > size || *last == 0) {
        return Err(match last {
            0 => Refusal::Invalid("`last` must not be zero"),
            _ => Refusal::LastAhead { last, size },
        }
        .into());
    }
    let head = if last == Some(size) {
        FullTreeHead::Same
    } else {
        FullTreeHead::Updated {
            tree_head: directory.tree_head().clone(),
            auditor_tree_head: directory.auditor_tree_head().cloned(),
        }
    };
    let auditor_size = match &head {
        FullTreeHead::Updated {
            auditor_tree_head: Some(auditor),
            ..
        } => Some(auditor.tree_size),
        _ => None,
    };
    let (result, proof) = record_at(directory, (size, auditor_size), last, label, algorithm)?;
    Ok((head, result, proof))
}

/// Runs `algorithm` in the tree of `size` entries, which may be an earlier one, for a user who
/// retained the tree of `last` entries. The proof allows for the root at the auditor's size too.
pub(crate) fn record_at<'d, D: Directory, T>(
    directory: &'d D,
    (size, auditor_size): (u64, Option<u64>),
    last: Option<u64>,
    label: &'d [u8],
    algorithm: impl FnOnce(&mut View<'d, Recorder<'d, D>>) -> Result<T, D::Error>,
) -> Result<(T, CombinedTreeProof), D::Error> {
    let retained = match last {
        None => Vec::new(),
        Some(last) => frontier(last)
            .map(|position| Ok((position, directory.log_entry(position)?)))
            .collect::<Result<Vec<_>, D::Error>>()?,
    };
    let recorder = Recorder {
        directory,
        label,
        versions: BTreeMap::new(),
        outputs: BTreeMap::new(),
        proof: CombinedTreeProof::default(),
        ladders_left: usize::MAX,
        advertised: None,
    };
    let mut view = View::update(directory.config(), recorder, size, last, &retained)?;
    let result = algorithm(&mut view)?;
    let (inspected, recorder) = view.finish();
    let mut proof = recorder.proof;
    proof.prefix_roots = inspected
        .without_root()
        .into_iter()
        .map(|position| Ok(directory.log_entry(position)?.prefix_tree))
        .collect::<Result<_, D::Error>>()?;
    proof.inclusion = InclusionProof {
        elements: BatchProof::plan(size, &inspected.proved, last, auditor_size)
            .elements()
            .map(|subtree| directory.log_subtree(subtree))
            .collect::<Result<_, D::Error>>()?,
    };
    Ok((result, proof))
}

/// The steps of the base binary ladder of a search for `version`: commitments of every version
/// that exists but the target's.
pub(crate) fn search_steps<D: Directory>(
    recorder: &mut Recorder<'_, D>,
    version: u32,
) -> Result<Vec<BinaryLadderStep>, D::Error> {
    recorder.ladder_steps(&base_ladder(version), |v| v != version)
}
