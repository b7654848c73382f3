//! Contradictions between tree heads that the directory, or its Third-Party Auditor, signed.

use serde::{Deserialize, Serialize};

use crate::codec::{Decode, Encode};
use crate::evidence::head_log::ProvenRecord;
use crate::evidence::{Accused, Evidence, EvidenceError, Finding, Hex};
use crate::head_log::key::VerifierKey;
use crate::head_log::proof::TlogProof;
use crate::suite::VerifyingKey;
use crate::wire::{
    AuditorTreeHead, AuditorTreeHeadTbs, Configuration, DeploymentMode, HashValue, TreeHead,
    TreeHeadTbs,
};

/// A `TreeHead`, or an `AuditorTreeHead` if it has a timestamp, with the root that it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of log entries.
    pub tree_size: u64,
    /// Of an `AuditorTreeHead`, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Root of the log tree, 32 bytes.
    pub root: Hex<HashValue>,
    /// The signature.
    pub signature: Hex<Vec<u8>>,
}

/// Two tree heads of one configuration and size over different trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// The encoded `Configuration`.
    pub configuration: Hex<Vec<u8>>,
    /// One.
    pub first: Head,
    /// The other, by the same signer.
    pub second: Head,
}

/// A tree head, and a leaf of the head log that says otherwise: of the directory with a tree that its
/// log signed, or of the configuration's auditor with a tree that it cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadAndRecord {
    /// The encoded `Configuration`.
    pub configuration: Hex<Vec<u8>>,
    /// The head.
    pub head: Head,
    /// The leaf.
    pub leaf: ProvenRecord,
}

impl Head {
    /// The directory's head, over a root that was computed from its proof.
    pub fn of_directory(head: &TreeHead, root: HashValue) -> Self {
        Self {
            tree_size: head.tree_size,
            timestamp: None,
            root: Hex(root),
            signature: Hex(head.signature.clone()),
        }
    }

    /// The Third-Party Auditor's.
    pub fn of_auditor(head: &AuditorTreeHead, root: HashValue) -> Self {
        Self {
            tree_size: head.tree_size,
            timestamp: Some(head.timestamp),
            root: Hex(root),
            signature: Hex(head.signature.clone()),
        }
    }

    /// Verifies the signature. Gives who is accused.
    fn verify(&self, config: &Configuration) -> Result<Accused, EvidenceError> {
        let (tree_size, root, hash) = (self.tree_size, self.root.0, config.hash()?);
        let (accused, key, tbs) = match (self.timestamp, &config.mode) {
            (None, _) => {
                let tbs = TreeHeadTbs {
                    config,
                    tree_size,
                    root,
                };
                let key = &config.signature_public_key;
                (Accused::directory(&hash), key, tbs.to_bytes()?)
            }
            (
                Some(timestamp),
                DeploymentMode::ThirdPartyAuditing {
                    auditor_public_key, ..
                },
            ) => {
                let tbs = AuditorTreeHeadTbs {
                    config,
                    timestamp,
                    tree_size,
                    root,
                };
                (Accused::auditor(&hash), auditor_public_key, tbs.to_bytes()?)
            }
            (Some(_), _) => return Err(EvidenceError::Parties("the log has no auditor")),
        };
        let key = VerifyingKey::from_bytes(config.ciphersuite, key)?;
        key.verify(&tbs, &self.signature.0)
            .map_err(EvidenceError::Head)?;
        Ok(accused)
    }

    fn signer(&self) -> &'static str {
        match self.timestamp {
            None => "The directory",
            Some(_) => "The auditor of the directory",
        }
    }
}

/// Reads an encoded configuration.
pub(super) fn configuration(bytes: &Hex<Vec<u8>>) -> Result<Configuration, EvidenceError> {
    Configuration::from_bytes(&bytes.0, &()).map_err(|error| EvidenceError::Decode {
        what: "Configuration",
        error,
    })
}

impl Heads {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let config = configuration(&self.configuration)?;
        let (first, second) = (&self.first, &self.second);
        let accused = first.verify(&config)?;
        if second.verify(&config)? != accused {
            return Err(EvidenceError::Parties("a directory's and an auditor's"));
        }
        if first.tree_size != second.tree_size {
            return Err(EvidenceError::Subject("two sizes"));
        }
        if first.root == second.root && first.timestamp == second.timestamp {
            return Err(EvidenceError::NoContradiction("the trees are the same"));
        }
        let explanation = format!(
            "{} signed two different logs of {} entries. A log only grows, so there is one of every \
             size: some were shown one and others another.",
            first.signer(),
            first.tree_size,
        );
        Ok(Finding::new("two-tree-heads", vec![accused], explanation))
    }
}

impl HeadAndRecord {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let config = configuration(&self.configuration)?;
        let of_head = self.head.verify(&config)?;
        let (signer, record) = self.leaf.verify()?;
        if signer.is_log() != self.head.timestamp.is_none() {
            return Err(EvidenceError::Parties("a directory's and an auditor's"));
        }
        if record.config_hash != config.hash()? {
            return Err(EvidenceError::Subject("two configurations"));
        }
        if record.tree_size != self.head.tree_size {
            return Err(EvidenceError::Subject("two sizes"));
        }
        let same_time = |timestamp| timestamp == record.entry.timestamp;
        if record.root == self.head.root.0 && self.head.timestamp.is_none_or(same_time) {
            return Err(EvidenceError::NoContradiction("the trees are the same"));
        }
        let explanation = format!(
            "{} signed a log of {} entries, and the head log, signed by whoever is accused, has \
             another in its place. If both keys belong to one party, it showed some people one log \
             and others another.",
            self.head.signer(),
            record.tree_size,
        );
        let accused = vec![of_head, signer.accused_of_content()];
        Ok(Finding::new("head-and-record", accused, explanation))
    }
}

impl Evidence {
    /// Two heads of one size by one signer, over different trees.
    pub fn heads(config: &Configuration, first: Head, second: Head) -> Result<Self, EvidenceError> {
        let configuration = Hex(config.to_bytes()?);
        Self::Heads(Heads {
            configuration,
            first,
            second,
        })
        .verified()
    }

    /// A head, and an encoded [`HeadRecord`](crate::head_log::record::HeadRecord) of the same size
    /// that says otherwise, in a tree that the holder of `key` signed: a log's key for the
    /// directory's head, the auditor's cosigner key for the auditor's.
    pub fn head_and_record(
        config: &Configuration,
        head: Head,
        leaf: (&TlogProof, &[u8]),
        key: &VerifierKey,
    ) -> Result<Self, EvidenceError> {
        Self::HeadAndRecord(HeadAndRecord {
            configuration: Hex(config.to_bytes()?),
            head,
            leaf: ProvenRecord::new(key, leaf),
        })
        .verified()
    }
}
