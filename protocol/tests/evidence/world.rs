//! A directory with a head log, an auditor and a witness, whose histories can be told in two ways.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use overt_protocol::codec::Encode;
use overt_protocol::evidence::{Evidence, Exchange, Head, Operation};
use overt_protocol::head_log::checkpoint::{Checkpoint, SignedCheckpoint};
use overt_protocol::head_log::key::{SignatureType, SignatureType::*, SignerKey, VerifierKey};
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tree::prove_inclusion;
use overt_protocol::provider;
use overt_protocol::receipt::{Receipt, commitment};
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::*;

use crate::model::Log;
use crate::support::{MemoryLog, NewVersion};

pub const ORIGIN: &str = "keys.example.org/overt";
pub const START: u64 = 1_000;

pub fn note_key(name: &str, kind: SignatureType, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
}

/// The log's Ed25519 key.
pub fn log_key() -> SignerKey {
    note_key(ORIGIN, Ed25519, 1)
}

/// The log's other key.
pub fn log_key_2() -> SignerKey {
    note_key(ORIGIN, MlDsa44Cosignature, 2)
}

/// The auditor's cosigner key.
pub fn auditor() -> SignerKey {
    note_key("auditor.example", Ed25519Cosignature, 3)
}

/// The auditor's other key.
pub fn auditor_2() -> SignerKey {
    note_key("auditor.example", MlDsa44Cosignature, 4)
}

pub fn public(keys: &[SignerKey]) -> Vec<VerifierKey> {
    keys.iter().map(|key| key.verifier().clone()).collect()
}

/// One history of the directory.
pub struct History {
    pub log: MemoryLog,
    pub records: Vec<HeadRecord>,
}

pub fn auditor_head_key(suite: CipherSuite) -> SigningKey {
    SigningKey::from_bytes(suite, &[7; 32]).unwrap()
}

/// An empty log that an auditor looks after.
pub fn empty(suite: CipherSuite, lifetime: Option<u64>) -> MemoryLog {
    let signing = SigningKey::from_bytes(suite, &[1; 32]).unwrap();
    let vrf = VrfSecretKey::from_bytes(suite, &[2; 32]).unwrap();
    let config = Configuration {
        ciphersuite: suite,
        mode: DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag: 3_153_600_000_000,
            auditor_start_pos: 0,
            auditor_public_key: auditor_head_key(suite).public_key(),
        },
        signature_public_key: signing.public_key(),
        vrf_public_key: vrf.public_key(),
        max_ahead: 60_000,
        max_behind: 3_153_600_000_000,
        reasonable_monitoring_window: 1_000,
        maximum_lifetime: lifetime,
    };
    MemoryLog::with_config(config, signing, vrf)
}

pub fn alice(value: &str) -> Vec<NewVersion> {
    vec![NewVersion {
        label: b"alice".to_vec(),
        value: value.as_bytes().to_vec(),
        opening: [3; 16],
    }]
}

impl History {
    /// A log in which Alice had these values, one after the other.
    pub fn of(values: &[&str]) -> Self {
        Self::with(CipherSuite::Kt128Sha256Ed25519, None, values)
    }

    pub fn with(suite: CipherSuite, lifetime: Option<u64>, values: &[&str]) -> Self {
        let mut log = empty(suite, lifetime);
        for (value, n) in values.iter().zip(0..) {
            log.push(START + 10 * n, alice(value));
        }
        Self::from(log)
    }

    pub fn config(&self) -> &Configuration {
        &self.log.config
    }

    pub fn size(&self) -> u64 {
        self.records.len() as u64
    }

    pub fn head_log(&self) -> Log {
        Log::of(self.records.iter().map(|r| r.leaf_hash().unwrap()))
    }

    /// The head log's checkpoint of a size, signed by these keys and no others.
    pub fn checkpoint(&self, size: u64, keys: &[SignerKey]) -> SignedCheckpoint {
        signed(
            Checkpoint::new(ORIGIN, self.head_log().at(size)).unwrap(),
            keys,
        )
    }

    /// The leaf of a tree size, proved in the tree of another.
    pub fn proof(&self, tree_size: u64, size: u64, keys: &[SignerKey]) -> (TlogProof, Vec<u8>) {
        let hashes = prove_inclusion(&mut self.head_log(), tree_size - 1, size).unwrap();
        let proof = TlogProof::new(tree_size - 1, hashes, self.checkpoint(size, keys));
        let record = &self.records[tree_size as usize - 1];
        (proof, record.to_bytes().unwrap())
    }

    pub fn head(&self, tree_size: u64) -> Head {
        let at = tree_size as usize - 1;
        Head::of_directory(&self.log.heads[at], self.log.log_roots[at])
    }

    pub fn auditor_head(&self, tree_size: u64, timestamp: u64) -> Head {
        let root = self.log.log_roots[tree_size as usize - 1];
        let tbs = AuditorTreeHeadTbs {
            config: self.config(),
            timestamp,
            tree_size,
            root,
        };
        let key = auditor_head_key(self.config().ciphersuite);
        let signature = key.sign(&tbs.to_bytes().unwrap());
        let head = AuditorTreeHead {
            timestamp,
            tree_size,
            signature,
        };
        Head::of_auditor(&head, root)
    }

    pub fn search(&self, label: &str, version: Option<u32>) -> Exchange {
        self.search_at(self.size(), label, version)
    }

    /// A search in the log when it had so many entries.
    pub fn search_at(&self, size: u64, label: &str, version: Option<u32>) -> Exchange {
        let request = SearchRequest {
            last: None,
            label: label.as_bytes().to_vec(),
            version,
        };
        let response = provider::search(&self.at(size), &request).unwrap();
        exchange(Operation::Search, &request, &response)
    }

    pub fn absence(&self, label: &str) -> Exchange {
        self.absence_at(self.size(), label)
    }

    /// A proof of absence from the log when it had so many entries.
    pub fn absence_at(&self, size: u64, label: &str) -> Exchange {
        let request = AbsenceRequest {
            last: None,
            label: label.as_bytes().to_vec(),
        };
        let response = provider::absence(&self.at(size), &request).unwrap();
        exchange(Operation::Absence, &request, &response)
    }

    /// The log when it had so many entries, with its auditor's head.
    fn at(&self, size: u64) -> crate::support::Published<'_> {
        let head = self.auditor_head(size, self.records[size as usize - 1].entry.timestamp);
        let auditor = AuditorTreeHead {
            timestamp: head.timestamp.unwrap(),
            tree_size: head.tree_size,
            signature: head.signature.0,
        };
        crate::support::Published {
            auditor: Some(auditor),
            ..self.log.at(size)
        }
    }

    /// A promise that Alice has this value as version 1 in every log after the deadline.
    pub fn receipt(&self, label: &str, value: &str, deadline: u64) -> Receipt {
        let label = label.as_bytes();
        let receipt = Receipt {
            config_hash: self.config().hash().unwrap(),
            label: label.to_vec(),
            version: 1,
            commitment: commitment(label, 1, &[3; 16], value.as_bytes()).unwrap(),
            timestamp: START,
            deadline,
            signature: Vec::new(),
        };
        receipt.sign(&self.log.signing).unwrap()
    }
}

impl From<MemoryLog> for History {
    fn from(log: MemoryLog) -> Self {
        let config_hash = log.config.hash().unwrap();
        let all = log.entries.iter().zip(&log.log_roots).zip(1..);
        let records = all.map(|((entry, root), tree_size)| HeadRecord {
            config_hash,
            tree_size,
            entry: *entry,
            root: *root,
        });
        let records = records.collect();
        Self { log, records }
    }
}

fn exchange(operation: Operation, request: &impl Encode, response: &impl Encode) -> Exchange {
    Exchange::new(
        operation,
        request.to_bytes().unwrap(),
        response.to_bytes().unwrap(),
    )
}

/// A checkpoint with the signatures of these keys, and no others.
pub fn signed(checkpoint: Checkpoint, keys: &[SignerKey]) -> SignedCheckpoint {
    let is_log = |key: &&SignerKey| key.verifier().name() == ORIGIN;
    let log: Vec<SignerKey> = keys.iter().filter(is_log).cloned().collect();
    let cosigners: Vec<&SignerKey> = keys.iter().filter(|key| !is_log(key)).collect();
    // A note has at least one signature: without one of the log, its line is taken off again.
    let by_log = match log.as_slice() {
        [] => SignedCheckpoint::sign(checkpoint, &[log_key()]).unwrap(),
        log => SignedCheckpoint::sign(checkpoint, log).unwrap(),
    };
    let lines: Vec<_> = cosigners
        .iter()
        .map(|key| by_log.cosign(key, 7).unwrap())
        .collect();
    match log.is_empty() {
        false => by_log.with(&lines).unwrap(),
        true => {
            let lines: String = lines.iter().map(ToString::to_string).collect();
            let note = format!("{}\n{lines}", by_log.note().text());
            SignedCheckpoint::parse(note.as_bytes()).unwrap()
        }
    }
}

/// One file of every kind, each with one signature on each note.
pub fn samples() -> Vec<(&'static str, Evidence)> {
    let (one, other) = (
        History::of(&["a", "b", "c", "d", "e"]),
        History::of(&["a", "b", "x", "d", "e", "f"]),
    );
    let key = [log_key()];
    let of_log = public(&key);
    let mut out = Vec::new();
    let mut add = |name, evidence: Vec<Evidence>| out.push((name, evidence[0].clone()));
    for (name, keys) in [
        ("checkpoints", [log_key()]),
        ("checkpoints, ML-DSA", [log_key_2()]),
        ("cosigned checkpoints", [auditor()]),
    ] {
        let (a, b) = (one.checkpoint(4, &keys), other.checkpoint(4, &keys));
        add(name, Evidence::checkpoints(&a, &b, &public(&keys)).unwrap());
    }
    let leaf = |history: &History, size| {
        let (proof, record) = history.proof(3, size, &key);
        (proof, overt_protocol::head_log::tree::leaf_hash(&record))
    };
    add(
        "leaves",
        Evidence::leaves(&leaf(&one, 5), &leaf(&other, 6), &of_log).unwrap(),
    );
    let config = one.config();
    for suite in CipherSuite::ALL {
        let (one, other) = (
            History::with(suite, None, &["a", "b"]),
            History::with(suite, None, &["a", "c"]),
        );
        let name = match suite {
            CipherSuite::Kt128Sha256P256 => "tree heads, P-256",
            CipherSuite::Kt128Sha256Ed25519 => "tree heads",
        };
        add(
            name,
            vec![Evidence::heads(one.config(), one.head(2), other.head(2)).unwrap()],
        );
    }
    let (a, b) = (one.auditor_head(3, 5), other.auditor_head(3, 5));
    add(
        "auditor heads",
        vec![Evidence::heads(config, a, b).unwrap()],
    );
    let (proof, record) = other.proof(3, 6, &key);
    let contradicted =
        Evidence::head_and_record(config, one.head(3), (&proof, &record), &of_log[0]);
    add("head and record", vec![contradicted.unwrap()]);

    out.extend(crate::replay::samples());
    out.extend(crate::responses::samples());
    out.extend(crate::values::samples());
    out
}
