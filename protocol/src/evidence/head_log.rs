//! Contradictions that show in the head log alone, or in any log that signs checkpoints.

use serde::{Deserialize, Serialize};

use crate::codec::Decode;
use crate::evidence::{Accused, Evidence, EvidenceError, Finding, Hex};
use crate::head_log::checkpoint::SignedCheckpoint;
use crate::head_log::key::{SignatureType, VerifierKey};
use crate::head_log::proof::TlogProof;
use crate::head_log::record::HeadRecord;
use crate::head_log::tree;
use crate::wire::HashValue;

/// A checkpoint that the holder of a key signed or cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedNote {
    /// The verifier key of who is accused.
    pub key: String,
    /// The signed note, byte for byte.
    pub note: String,
}

/// A leaf in a tree that the holder of a key signed or cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenLeaf {
    /// The verifier key of who is accused.
    pub key: String,
    /// The hash of the leaf (RFC 6962), 32 bytes.
    pub leaf_hash: Hex<HashValue>,
    /// The tlog-proof, byte for byte.
    pub proof: String,
}

/// A [`HeadRecord`] in a tree that the holder of a key signed or cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenRecord {
    /// The verifier key of who is accused.
    pub key: String,
    /// The encoded record.
    pub record: Hex<Vec<u8>>,
    /// The tlog-proof, byte for byte.
    pub proof: String,
}

/// Two checkpoints of one origin and size, with different roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoints {
    /// One.
    pub first: SignedNote,
    /// The other.
    pub second: SignedNote,
}

/// Two leaves at one index of one log, in trees of any size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaves {
    /// One.
    pub first: ProvenLeaf,
    /// The other.
    pub second: ProvenLeaf,
}

/// Who signed a checkpoint of which log.
pub(super) struct Signer {
    key: VerifierKey,
    origin: String,
}

impl Signer {
    fn verify(key: &str, checkpoint: &SignedCheckpoint) -> Result<Self, EvidenceError> {
        let key: VerifierKey = key.parse()?;
        checkpoint.verify([&key])?;
        let origin = checkpoint.checkpoint().origin().to_owned();
        let signer = Self { key, origin };
        match signer.is_log() || signer.key.kind().is_cosignature() {
            true => Ok(signer),
            false => Err(EvidenceError::Parties("a log's key has its origin as name")),
        }
    }

    pub(super) fn is_log(&self) -> bool {
        self.key.name() == self.origin && self.key.kind() != SignatureType::Ed25519Cosignature
    }

    /// As one who answers for the log's growth.
    fn accused(&self) -> Accused {
        match self.is_log() {
            true => Accused::Log(self.key.to_string()),
            false => Accused::Cosigner(self.key.to_string()),
        }
    }

    /// As one who answers for what the leaves say, too.
    pub(super) fn accused_of_content(&self) -> Accused {
        match self.is_log() {
            true => Accused::HeadLog(self.key.to_string()),
            false => Accused::ReplayingCosigner(self.key.to_string()),
        }
    }

    /// Keys of one party have one name; it may have an Ed25519 and an ML-DSA-44 key.
    pub(super) fn check_same(&self, other: &Self) -> Result<(), EvidenceError> {
        match () {
            () if self.origin != other.origin => Err(EvidenceError::Subject("two origins")),
            () if self.key.name() != other.key.name() || self.is_log() != other.is_log() => {
                Err(EvidenceError::Parties("the names of the keys differ"))
            }
            () => Ok(()),
        }
    }

    /// The party, the log in question, and what it did, in a sentence.
    fn says(&self, what: &str) -> String {
        let party = match self.is_log() {
            true => format!("The log {} signed", self.origin),
            false => format!("{} cosigned, of the log {},", self.key.name(), self.origin),
        };
        format!("{party} {what}")
    }
}

impl SignedNote {
    fn new(key: &VerifierKey, checkpoint: &SignedCheckpoint) -> Self {
        Self {
            key: key.to_string(),
            note: checkpoint.to_string(),
        }
    }

    fn verify(&self) -> Result<(Signer, tree::SizedRoot), EvidenceError> {
        let checkpoint = SignedCheckpoint::parse(self.note.as_bytes())?;
        let signer = Signer::verify(&self.key, &checkpoint)?;
        Ok((signer, checkpoint.checkpoint().tree()))
    }
}

/// Verifies that a leaf of this hash is in a tree that the holder of the key signed. Gives its index.
fn verify_leaf(
    key: &str,
    leaf: &HashValue,
    proof: &str,
) -> Result<(Signer, TlogProof), EvidenceError> {
    let proof = TlogProof::parse(proof.as_bytes())?;
    let signer = Signer::verify(key, proof.checkpoint())?;
    proof.check_inclusion(leaf)?;
    Ok((signer, proof))
}

impl ProvenRecord {
    pub(super) fn new(key: &VerifierKey, (proof, record): (&TlogProof, &[u8])) -> Self {
        Self {
            key: key.to_string(),
            record: Hex(record.to_vec()),
            proof: proof.to_string(),
        }
    }

    /// The record, which is where it belongs.
    pub(super) fn verify(&self) -> Result<(Signer, HeadRecord), EvidenceError> {
        let leaf = tree::leaf_hash(&self.record.0);
        let (signer, proof) = verify_leaf(&self.key, &leaf, &self.proof)?;
        let error = |error| EvidenceError::Decode {
            what: "HeadRecord",
            error,
        };
        let record = HeadRecord::from_bytes(&self.record.0, &()).map_err(error)?;
        match record.index()? == proof.index() {
            true => Ok((signer, record)),
            false => Err(EvidenceError::Subject("the record is not of its index")),
        }
    }
}

impl Checkpoints {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let ((first, a), (second, b)) = (self.first.verify()?, self.second.verify()?);
        first.check_same(&second)?;
        if a.size != b.size {
            return Err(EvidenceError::Subject("two sizes"));
        }
        if a.root == b.root {
            return Err(EvidenceError::NoContradiction("the roots are the same"));
        }
        let size = a.size;
        let explanation = first.says(&format!(
            "two different trees of {size} leaves. A log only grows, so there is one tree of every \
             size: it was shown to some in one way and to others in another."
        ));
        let accused = vec![first.accused(), second.accused()];
        Ok(Finding::new("two-checkpoints", accused, explanation))
    }
}

impl Leaves {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let verify = |leaf: &ProvenLeaf| verify_leaf(&leaf.key, &leaf.leaf_hash.0, &leaf.proof);
        let ((first, a), (second, b)) = (verify(&self.first)?, verify(&self.second)?);
        first.check_same(&second)?;
        if a.index() != b.index() {
            return Err(EvidenceError::Subject("two indices"));
        }
        if self.first.leaf_hash == self.second.leaf_hash {
            return Err(EvidenceError::NoContradiction("the leaves are the same"));
        }
        let explanation = first.says(&format!(
            "two trees, of {} and {} leaves, that differ in leaf {}. A log only grows, so what a \
             leaf says never changes: it was shown to some in one way and to others in another.",
            a.checkpoint().checkpoint().tree().size,
            b.checkpoint().checkpoint().tree().size,
            a.index(),
        ));
        let accused = vec![first.accused(), second.accused()];
        Ok(Finding::new("two-leaves", accused, explanation))
    }
}

impl Evidence {
    /// Two checkpoints of one origin and size with different roots: evidence against everybody among
    /// the holders of `keys` who signed both.
    pub fn checkpoints(
        first: &SignedCheckpoint,
        second: &SignedCheckpoint,
        keys: &[VerifierKey],
    ) -> Result<Vec<Self>, EvidenceError> {
        against_all(first, second, keys, |a, b| {
            Self::Checkpoints(Checkpoints {
                first: SignedNote::new(a, first),
                second: SignedNote::new(b, second),
            })
        })
    }

    /// Two leaves with one index, with their hashes: evidence against everybody among the holders of
    /// `keys` who signed both trees. [`prove_difference`](super::prove_difference) finds such leaves.
    pub fn leaves(
        first: &(TlogProof, HashValue),
        second: &(TlogProof, HashValue),
        keys: &[VerifierKey],
    ) -> Result<Vec<Self>, EvidenceError> {
        let side = |key: &VerifierKey, (proof, leaf): &(TlogProof, HashValue)| ProvenLeaf {
            key: key.to_string(),
            leaf_hash: Hex(*leaf),
            proof: proof.to_string(),
        };
        against_all(first.0.checkpoint(), second.0.checkpoint(), keys, |a, b| {
            Self::Leaves(Leaves {
                first: side(a, first),
                second: side(b, second),
            })
        })
    }
}

/// Makes evidence against everybody who signed both checkpoints, one file for each name.
///
/// # Errors
/// If nobody did, or nothing is proved.
pub(super) fn against_all(
    first: &SignedCheckpoint,
    second: &SignedCheckpoint,
    keys: &[VerifierKey],
    make: impl Fn(&VerifierKey, &VerifierKey) -> Evidence,
) -> Result<Vec<Evidence>, EvidenceError> {
    let mut pairs: Vec<(&VerifierKey, &VerifierKey)> = Vec::new();
    let signed = |of: &SignedCheckpoint, key: &VerifierKey| of.verify([key]).is_ok();
    for a in keys.iter().filter(|key| signed(first, key)) {
        let same_name = keys.iter().filter(|b| b.name() == a.name());
        // Best the same key; else another of the same party.
        let b = same_name
            .filter(|b| signed(second, b))
            .max_by_key(|b| *b == a);
        match pairs.iter_mut().find(|(known, _)| known.name() == a.name()) {
            None => pairs.extend(b.map(|b| (a, b))),
            Some(pair) if b == Some(a) && pair.0 != pair.1 => *pair = (a, a),
            Some(_) => {}
        }
    }
    if pairs.is_empty() {
        return Err(EvidenceError::Parties("no known key signed both"));
    }
    pairs
        .into_iter()
        .map(|(a, b)| make(a, b).verified())
        .collect()
}
