//! Policies: which logs to believe, and which witnesses must have seen what they say (tlog-policy).

mod parse;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use thiserror::Error;

pub use parse::{MAX_DEFINITIONS, MAX_POLICY_LEN, PolicyError, PolicyProblem};

use crate::head_log::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::head_log::key::VerifierKey;
use crate::head_log::note::VerifiedSignature;

/// A log or witness.
#[derive(Debug, Clone, PartialEq)]
pub struct Party {
    /// The public key. A log's has its origin as name.
    pub key: VerifierKey,
    /// Where to reach the party; bytes, because the policy says nothing of their encoding.
    pub url: Option<Vec<u8>>,
}

/// A set of logs and witnesses, and the quorum of witnesses that a checkpoint needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    /// None needs no cosignature.
    quorum: Option<Quorum>,
}

/// Who must have cosigned. Groups are nested at most [`MAX_DEFINITIONS`] deep.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Quorum {
    /// By place in the list.
    Witness(usize),
    Group {
        threshold: usize,
        members: Vec<Quorum>,
    },
}

/// Why a checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrustError {
    /// The policy lists no log of this origin.
    #[error("the log {0} is not one of the policy")]
    UnknownLog(String),
    /// The log did not sign, or a signature by the log or a witness does not verify.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Too few witnesses cosigned in time.
    #[error("{cosigned} of the witnesses cosigned in time, which is no quorum")]
    Quorum {
        /// How many did.
        cosigned: usize,
    },
}

impl TrustError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::UnknownLog(_) => "policy-unknown-log",
            Self::Checkpoint(error) => error.check(),
            Self::Quorum { .. } => "policy-quorum",
        }
    }
}

/// A checkpoint that satisfies a policy.
#[derive(Debug, Clone)]
pub struct TrustedCheckpoint<'p> {
    /// What the log states.
    pub checkpoint: Checkpoint,
    /// By which keys of the log.
    pub log: Vec<VerifiedSignature<'p>>,
    /// All cosignatures by witnesses of the policy that are in time.
    pub cosignatures: Vec<VerifiedSignature<'p>>,
}

impl Policy {
    /// The logs.
    pub fn logs(&self) -> &[Party] {
        &self.logs
    }

    /// The witnesses, whether or not the quorum can need them.
    pub fn witnesses(&self) -> &[Party] {
        &self.witnesses
    }

    /// Checks that a log of the policy signed the checkpoint, with any one of its keys, and a quorum
    /// of the witnesses cosigned it at a time, in seconds since the Unix epoch, that is `in_time`.
    ///
    /// Cosignatures of ML-DSA-44 may have the time 0: these say that the checkpoint is consistent with
    /// others, but not that it is the newest. Whoever wants that starts `in_time` later.
    pub fn verify(
        &self,
        signed: &SignedCheckpoint,
        in_time: &RangeInclusive<u64>,
    ) -> Result<TrustedCheckpoint<'_>, TrustError> {
        let checkpoint = signed.checkpoint();
        let origin = checkpoint.origin();
        let log_keys: Vec<_> = keys(&self.logs).filter(|k| k.name() == origin).collect();
        if log_keys.is_empty() {
            return Err(TrustError::UnknownLog(origin.chars().take(80).collect()));
        }
        let log = signed.verify(log_keys)?;
        let cosignatures = signed.note().verify_known(keys(&self.witnesses));
        let mut cosignatures = cosignatures.map_err(CheckpointError::from)?;
        cosignatures.retain(|cosignature| in_time.contains(&cosignature.timestamp));
        let cosigned = self.cosigned(&cosignatures);
        match self.is_quorum(&cosigned) {
            true => Ok(TrustedCheckpoint {
                checkpoint: checkpoint.clone(),
                log,
                cosignatures,
            }),
            false => Err(TrustError::Quorum {
                cosigned: cosigned.len(),
            }),
        }
    }

    /// Which witnesses made these; one that signed twice counts once.
    fn cosigned(&self, cosignatures: &[VerifiedSignature<'_>]) -> BTreeSet<usize> {
        let by = |key: &VerifierKey| cosignatures.iter().any(|c| c.key.public() == key.public());
        let witnesses = keys(&self.witnesses).enumerate();
        witnesses.filter(|(_, key)| by(key)).map(|w| w.0).collect()
    }

    /// Whether these witnesses, by place in [`Policy::witnesses`], are a quorum.
    pub fn is_quorum(&self, cosigned: &BTreeSet<usize>) -> bool {
        let quorum = self.quorum.as_ref();
        quorum.is_none_or(|quorum| quorum.is_satisfied(cosigned))
    }

    /// Whether the policy prevents a fork although the log and this many witnesses are dishonest:
    /// every two quorums must have an honest witness in common. For k of n witnesses of which f are
    /// dishonest that is 2k - n > f.
    ///
    /// Keys count, not operators: two keys of one operator are two witnesses.
    pub fn excludes_fork(&self, dishonest: usize) -> bool {
        self.fork_needs() > dishonest
    }

    /// How few witnesses can, with the log, show two people two logs: the least number that two
    /// quorums have in common. 0 if the log needs nobody for it.
    pub fn fork_needs(&self) -> usize {
        self.quorum.as_ref().map_or(0, Quorum::overlap)
    }
}

impl Quorum {
    fn is_satisfied(&self, cosigned: &BTreeSet<usize>) -> bool {
        match self {
            Self::Witness(place) => cosigned.contains(place),
            Self::Group { threshold, members } => {
                let satisfied = members.iter().filter(|m| m.is_satisfied(cosigned));
                satisfied.count() >= *threshold
            }
        }
    }

    /// The least number of witnesses in both of two sets that satisfy this.
    fn overlap(&self) -> usize {
        match self {
            Self::Witness(_) => 1,
            Self::Group { threshold, members } => {
                // Of n members, two choices of k have 2k - n in common, and at least that many must.
                // Members share no witnesses, since every name is a member once only.
                let common = threshold.saturating_mul(2).saturating_sub(members.len());
                let mut overlaps: Vec<_> = members.iter().map(Self::overlap).collect();
                overlaps.sort_unstable();
                overlaps.iter().take(common).sum()
            }
        }
    }
}

fn keys(parties: &[Party]) -> impl Iterator<Item = &VerifierKey> {
    parties.iter().map(|party| &party.key)
}
