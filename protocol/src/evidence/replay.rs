//! Leaves of the head log that contradict each other: no directory has both.

use serde::{Deserialize, Serialize};

use crate::codec::{Decode, Encode};
use crate::evidence::head_log::{ProvenRecord, Signer, against_all};
use crate::evidence::heads::configuration;
use crate::evidence::{Evidence, EvidenceError, Finding, Hex};
use crate::head_log::key::VerifierKey;
use crate::head_log::proof::TlogProof;
use crate::head_log::record::HeadRecord;
use crate::log_tree::{append_leaf, leaf_value, root_of_full_subtrees};
use crate::prefix_tree::evaluate_changes;
use crate::wire::{AuditorUpdate, Configuration, HashValue};

/// Two leaves, of which the second does not follow from the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The earlier.
    pub first: ProvenRecord,
    /// The later: the next one, unless it is of an earlier time.
    pub second: ProvenRecord,
    /// Heads of the full subtrees of the first's log tree, left to right, 32 bytes each; none where
    /// the times suffice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full_subtrees: Vec<Hex<HashValue>>,
}

/// Two adjacent leaves between which the prefix tree of a log without maximum lifetime lost a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The encoded `Configuration`.
    pub configuration: Hex<Vec<u8>>,
    /// The one before the update.
    pub first: ProvenRecord,
    /// The one after.
    pub second: ProvenRecord,
    /// The encoded `AuditorUpdate`.
    pub update: Hex<Vec<u8>>,
}

/// Verifies two leaves of one directory by one party.
fn verify_both(
    first: &ProvenRecord,
    second: &ProvenRecord,
) -> Result<([Signer; 2], [HeadRecord; 2]), EvidenceError> {
    let ((by_first, before), (by_second, after)) = (first.verify()?, second.verify()?);
    by_first.check_same(&by_second)?;
    match before.config_hash == after.config_hash {
        true => Ok(([by_first, by_second], [before, after])),
        false => Err(EvidenceError::Subject("two configurations")),
    }
}

fn check_adjacent(before: &HeadRecord, after: &HeadRecord) -> Result<(), EvidenceError> {
    match before.tree_size.checked_add(1) == Some(after.tree_size) {
        true => Ok(()),
        false => Err(EvidenceError::Subject("the leaves are not adjacent")),
    }
}

fn finding(code: &'static str, signers: &[Signer], explanation: String) -> Finding {
    let accused = signers.iter().map(Signer::accused_of_content).collect();
    Finding::new(code, accused, explanation)
}

impl Records {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let (signers, [before, after]) = verify_both(&self.first, &self.second)?;
        if before.tree_size >= after.tree_size {
            return Err(EvidenceError::Subject("the second is not later"));
        }
        if after.entry.timestamp < before.entry.timestamp {
            let explanation = format!(
                "Log entry {} of the directory is dated before log entry {}, which is to its left. \
                 Entries are added in the order of time: one of the dates is false.",
                after.index()?,
                before.index()?,
            );
            return Ok(finding("time-backwards", &signers, explanation));
        }
        check_adjacent(&before, &after)?;
        let heads: Vec<HashValue> = self.full_subtrees.iter().map(|head| head.0).collect();
        if root_of_full_subtrees(before.tree_size, &heads) != Some(before.root) {
            return Err(EvidenceError::Subject("the subtrees are of another tree"));
        }
        let (next, _) = append_leaf(before.tree_size, &heads, leaf_value(&after.entry));
        if root_of_full_subtrees(after.tree_size, &next) == Some(after.root) {
            return Err(EvidenceError::NoContradiction("the roots follow"));
        }
        let explanation = format!(
            "The directory's log of {} entries is not what one gets by adding the last of them to \
             its log of {} entries: what came before was rewritten.",
            after.tree_size, before.tree_size,
        );
        Ok(finding("root-not-following", &signers, explanation))
    }
}

impl Update {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let config = configuration(&self.configuration)?;
        let (signers, [before, after]) = verify_both(&self.first, &self.second)?;
        if config.hash()? != before.config_hash {
            return Err(EvidenceError::Subject("two configurations"));
        }
        check_adjacent(&before, &after)?;
        let update = AuditorUpdate::from_bytes(&self.update.0, &());
        let update = update.map_err(|error| EvidenceError::Decode {
            what: "AuditorUpdate",
            error,
        })?;
        let trees = evaluate_changes(&update.added, &update.removed, &update.proof)
            .map_err(EvidenceError::Update)?;
        let is_theirs = trees == (before.entry.prefix_tree, after.entry.prefix_tree);
        if !is_theirs || update.timestamp != after.entry.timestamp {
            return Err(EvidenceError::Subject("the update is of other entries"));
        }
        if config.maximum_lifetime.is_some() {
            return Err(EvidenceError::NoContradiction("leaves may expire"));
        }
        let is_gone = |leaf| !update.added.contains(leaf);
        let gone = update.removed.iter().filter(|leaf| is_gone(leaf)).count();
        if gone == 0 {
            return Err(EvidenceError::NoContradiction("no leaf is gone"));
        }
        let explanation = format!(
            "Between log entries {} and {} of the directory, {gone} published values were taken \
             away or replaced. What is published in this log stays as it is for ever.",
            before.index()?,
            after.index()?,
        );
        Ok(finding("leaf-altered", &signers, explanation))
    }
}

impl Evidence {
    /// Two leaves, each proved in a tree, of which the later does not follow from the earlier:
    /// evidence against the log, and against every auditor among the holders of `keys` who signed
    /// both trees. Keys of witnesses do not belong here, since they do not look at leaves.
    ///
    /// `full_subtrees` are those of the log tree of the earlier; none if the later is of an earlier
    /// time.
    pub fn records(
        first: (&TlogProof, &[u8]),
        second: (&TlogProof, &[u8]),
        full_subtrees: &[HashValue],
        keys: &[VerifierKey],
    ) -> Result<Vec<Self>, EvidenceError> {
        against_all(first.0.checkpoint(), second.0.checkpoint(), keys, |a, b| {
            Self::Records(Records {
                first: ProvenRecord::new(a, first),
                second: ProvenRecord::new(b, second),
                full_subtrees: full_subtrees.iter().copied().map(Hex).collect(),
            })
        })
    }

    /// An update that takes a leaf away, and the leaves of the head log before and after it:
    /// evidence as with [`Evidence::records`].
    pub fn update(
        config: &Configuration,
        first: (&TlogProof, &[u8]),
        second: (&TlogProof, &[u8]),
        update: &AuditorUpdate,
        keys: &[VerifierKey],
    ) -> Result<Vec<Self>, EvidenceError> {
        let (config, update) = (config.to_bytes()?, update.to_bytes()?);
        against_all(first.0.checkpoint(), second.0.checkpoint(), keys, |a, b| {
            Self::Update(Update {
                configuration: Hex(config.clone()),
                first: ProvenRecord::new(a, first),
                second: ProvenRecord::new(b, second),
                update: Hex(update.clone()),
            })
        })
    }
}
