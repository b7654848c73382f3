//! Comparing what a log shows different people: its own checkpoint, those of peers, and those that
//! anyone brings. Contradictions become evidence; all else is a suspicion at most.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use overt_protocol::clock::Clock;
use overt_protocol::evidence::{Accused, Evidence, EvidenceError, Finding, Head, MAX_EVIDENCE_LEN};
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::proof::{MAX_PROOF_LEN, TlogProof};
use overt_protocol::head_log::witness::monitoring_path;
use overt_protocol::wire::HashValue;
use serde::{Deserialize, Serialize};

use crate::config::Peer;
use crate::fetch::Fetch;
use crate::store::{Record, Store};

/// Files fetched from a peer at one look.
const MAX_FETCHED: usize = 8;
/// IDs of files that proved nothing.
const MAX_REJECTED: usize = 1_024;
/// What anyone may bring, in a second.
const RATE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// What a checkpoint comes to beside one's own view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is of the log that was replayed here.
    Agrees,
    /// It is of entries that are not replayed yet.
    Later,
    /// It is of entries that were replayed too long ago to tell.
    TooOld,
    /// It proves that the log is dishonest.
    Contradicts {
        /// The evidence.
        evidence: Vec<String>,
    },
    /// It is of another log, and what would prove that is not to be had.
    Differs,
}

/// How a peer compares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// The size of the peer's checkpoint.
    pub tree_size: Option<u64>,
    /// What it came to; none if the peer cannot be reached or does not know the log.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// A leaf as a peer gives it.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeafProof {
    /// In hexadecimal.
    pub leaf_hash: String,
    /// The tlog-proof that the directory gave.
    pub proof: String,
}

/// What became of evidence that someone brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brought {
    /// It is kept.
    Kept(String),
    /// It was known, or there is more than enough.
    Known(String),
    /// It is about nobody that is followed here.
    Unrelated,
}

/// Compares.
pub struct Gossip {
    /// The memory.
    pub store: Arc<Store>,
    /// Refuses what comes too fast.
    pub limit: DefaultDirectRateLimiter,
    /// How others are asked.
    pub fetch: Fetch,
    /// The time.
    pub clock: Arc<dyn Clock>,
    peers: Vec<Peer>,
    agreements: Mutex<BTreeMap<(String, String), Agreement>>,
    rejected: Mutex<BTreeSet<String>>,
    /// By origin, the size up to which early checkpoints were compared with the replay.
    compared: Mutex<BTreeMap<String, u64>>,
}

impl Gossip {
    /// Compares with these peers.
    pub fn new(store: Arc<Store>, fetch: Fetch, clock: Arc<dyn Clock>, peers: Vec<Peer>) -> Self {
        Self {
            store,
            limit: RateLimiter::direct(Quota::per_second(RATE)),
            fetch,
            clock,
            peers,
            agreements: Mutex::default(),
            rejected: Mutex::default(),
            compared: Mutex::default(),
        }
    }

    /// How each peer compares, by peer and origin.
    pub fn agreements(&self) -> BTreeMap<(String, String), Agreement> {
        lock(&self.agreements).clone()
    }

    /// Compares a checkpoint, which `source` brought, with what was replayed. `peer` is where its log
    /// can be asked for as others see it.
    ///
    /// # Errors
    /// If the log did not sign it, or this machine fails.
    pub async fn compare(
        &self,
        record: &Record,
        signed: &SignedCheckpoint,
        source: &str,
        peer: Option<&str>,
    ) -> anyhow::Result<Verdict> {
        signed.verify(&record.log_keys)?;
        let tree = signed.checkpoint().tree();
        let mut evidence = Vec::new();
        let (is_new, others) = self.store.remember(signed)?;
        for other in others {
            evidence.extend(Evidence::checkpoints(&other, signed, &record.log_keys)?);
        }
        let known = self.store.replayed(&record.fingerprint, tree.size)?;
        if evidence.is_empty() {
            match known {
                Some(known) if known.tree == tree => return Ok(Verdict::Agrees),
                None if tree.size > record.replay.size() => return Ok(Verdict::Later),
                None => return Ok(Verdict::TooOld),
                Some(known) => {
                    // Somebody was shown another log than this auditor.
                    let mine = self.fetch.proof(&record.url, tree.size).await.ok();
                    let mine = mine.map(|proof| (proof, known.leaf));
                    evidence = self.prove(record, tree.size, mine, peer).await;
                }
            }
        }
        let mut ids = Vec::new();
        for one in &evidence {
            self.keep(record, one, source)?;
            ids.push(one.id());
        }
        if !ids.is_empty() {
            return Ok(Verdict::Contradicts { evidence: ids });
        }
        if !is_new {
            return Ok(Verdict::Differs);
        }
        let text = format!(
            "A checkpoint of size {} that the log signed ({source}) is not of the log that the \
             directory gave this auditor. The proofs that would show it to others are not to be had.",
            tree.size
        );
        tracing::error!(url = record.url, "SUSPICION: {text}");
        self.store.say(
            &record.fingerprint,
            "checkpoint-differs",
            &text,
            self.clock.now(),
        )?;
        Ok(Verdict::Differs)
    }

    /// Looks for two signed statements about one head.
    async fn prove(
        &self,
        record: &Record,
        size: u64,
        mine: Option<(TlogProof, HashValue)>,
        peer: Option<&str>,
    ) -> Vec<Evidence> {
        let keys = &record.log_keys;
        let theirs = match peer {
            Some(peer) => self.leaf_of(peer, record, size).await.ok(),
            None => None,
        };
        if let (Some(mine), Some(theirs)) = (&mine, &theirs)
            && let Ok(evidence) = Evidence::leaves(mine, theirs, keys)
        {
            return evidence;
        }
        // The directory's own signature on what it gave, and what its head log says of that.
        let (Some(head), Some(root)) = (&record.tree_head, record.confirmed.state.root()) else {
            return Vec::new();
        };
        let leaf = self.fetch.proven_record(&record.url, head.tree_size).await;
        let Ok((proof, leaf)) = leaf else {
            return Vec::new();
        };
        let head = Head::of_directory(head, root);
        let proved = keys.iter().map(|key| {
            Evidence::head_and_record(&record.config, head.clone(), (&proof, &leaf), key)
        });
        proved.filter_map(Result::ok).take(1).collect()
    }

    /// The leaf of a size as a peer sees it.
    async fn leaf_of(
        &self,
        peer: &str,
        record: &Record,
        size: u64,
    ) -> anyhow::Result<(TlogProof, HashValue)> {
        let hash = monitoring_path(&record.descriptor.origin).replace("/checkpoint", "");
        let path = format!("/gossip/leaf/{hash}/{size}");
        let limit = MAX_PROOF_LEN.saturating_mul(2);
        let leaf: LeafProof = serde_json::from_slice(&self.fetch.get(peer, &path, limit).await?)?;
        let mut hash = HashValue::default();
        hex::decode_to_slice(&leaf.leaf_hash, &mut hash)?;
        Ok((TlogProof::parse(leaf.proof.as_bytes())?, hash))
    }

    /// The leaf of a size as it was replayed here, with the directory's proof of it.
    pub async fn own_leaf(&self, record: &Record, size: u64) -> anyhow::Result<Option<LeafProof>> {
        let Some(known) = self.store.replayed(&record.fingerprint, size)? else {
            return Ok(None);
        };
        let proof = self.fetch.proof(&record.url, size).await?;
        Ok(Some(LeafProof {
            leaf_hash: hex::encode(known.leaf),
            proof: proof.to_string(),
        }))
    }

    /// Keeps evidence against a directory.
    pub fn keep(&self, record: &Record, evidence: &Evidence, source: &str) -> anyhow::Result<bool> {
        let finding = evidence.verify()?;
        let fingerprint = &record.fingerprint;
        let is_new =
            self.store
                .keep_evidence(fingerprint, evidence, &finding, source, self.clock.now())?;
        if is_new {
            tracing::error!(
                url = record.url,
                code = finding.code,
                evidence = evidence.id(),
                "REFUSED: {}",
                finding.explanation
            );
        }
        Ok(is_new)
    }

    /// Takes evidence from anyone.
    pub fn take(
        &self,
        records: &[Record],
        file: &[u8],
        source: &str,
    ) -> anyhow::Result<Result<Brought, EvidenceError>> {
        let read = Evidence::parse(file).and_then(|evidence| Ok((evidence.verify()?, evidence)));
        let (finding, evidence) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        for record in records {
            if is_against(&finding, record) {
                let id = evidence.id();
                return Ok(Ok(match self.keep(record, &evidence, source)? {
                    true => Brought::Kept(id),
                    false => Brought::Known(id),
                }));
            }
        }
        Ok(Ok(Brought::Unrelated))
    }

    /// Compares checkpoints that were brought before their entries were replayed.
    pub async fn compare_early(&self, record: &Record) -> anyhow::Result<()> {
        let origin = &record.descriptor.origin;
        let from = lock(&self.compared).get(origin).copied().unwrap_or(0);
        let to = record.replay.size();
        let sizes = from.saturating_add(1)..=to;
        for signed in self.store.differing(&record.fingerprint, origin, sizes)? {
            // It is news now.
            self.store.forget(&signed)?;
            let compared = self.compare(record, &signed, "earlier", None).await;
            if compared.is_err() {
                self.store.remember(&signed)?;
            }
            compared?;
        }
        lock(&self.compared).insert(origin.clone(), to);
        Ok(())
    }

    /// Compares with every log's own checkpoint and with all peers, once.
    pub async fn look(&self, records: &[Record]) {
        for record in records.iter().filter(|record| record.refused.is_none()) {
            if let Err(error) = self.compare_early(record).await {
                tracing::warn!(url = record.url, "not compared: {error:#}");
            }
            let compared = match self.fetch.checkpoint(&record.url, "/checkpoint").await {
                Ok(signed) => self.compare(record, &signed, "log", None).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = compared {
                tracing::debug!(
                    url = record.url,
                    error = format!("{error:#}"),
                    "no checkpoint"
                );
            }
        }
        for peer in &self.peers {
            for record in records {
                self.compare_with(peer, record).await;
            }
            if let Err(error) = self.collect(peer, records).await {
                tracing::debug!(
                    peer = peer.url,
                    error = format!("{error:#}"),
                    "no evidence list"
                );
            }
        }
    }

    async fn compare_with(&self, peer: &Peer, record: &Record) {
        let origin = &record.descriptor.origin;
        let path = format!("/auditor/{}", monitoring_path(origin));
        let mut agreement = Agreement {
            tree_size: None,
            verdict: None,
            at: self.clock.now(),
        };
        match self.fetch.checkpoint(&peer.url, &path).await {
            Ok(signed) => {
                agreement.tree_size = Some(signed.checkpoint().tree().size);
                let compared = self
                    .compare(record, &signed, &peer.url, Some(&peer.url))
                    .await;
                agreement.verdict = compared
                    .inspect_err(|e| tracing::warn!(peer = peer.url, "its checkpoint: {e:#}"))
                    .ok();
            }
            Err(error) => tracing::debug!(peer = peer.url, "no checkpoint: {error:#}"),
        }
        lock(&self.agreements).insert((peer.url.clone(), origin.clone()), agreement);
    }

    /// Fetches evidence that a peer has.
    async fn collect(&self, peer: &Peer, records: &[Record]) -> anyhow::Result<()> {
        let list = self
            .fetch
            .get(&peer.url, "/gossip/evidence", 1 << 20)
            .await?;
        let list: Vec<String> = serde_json::from_slice(&list)?;
        let known: BTreeSet<String> = self.store.evidence()?.into_iter().map(|e| e.id).collect();
        let is_id = |id: &String| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let wanted = list
            .into_iter()
            .filter(|id| is_id(id) && !known.contains(id) && !lock(&self.rejected).contains(id));
        for id in wanted.take(MAX_FETCHED) {
            let path = format!("/gossip/evidence/{id}");
            let file = self.fetch.get(&peer.url, &path, MAX_EVIDENCE_LEN).await?;
            let kept = matches!(self.take(records, &file, &peer.url)?, Ok(Brought::Kept(_)));
            if !kept {
                let mut rejected = lock(&self.rejected);
                if rejected.len() >= MAX_REJECTED {
                    rejected.pop_first();
                }
                rejected.insert(id);
            }
        }
        Ok(())
    }
}

/// Whether a directory holds all keys that are accused.
fn is_against(finding: &Finding, record: &Record) -> bool {
    let config_hash = record.config.hash().map(hex::encode).unwrap_or_default();
    finding.is_against(|accused| match accused {
        Accused::Log(vkey) | Accused::HeadLog(vkey) => record.descriptor.log_keys.contains(vkey),
        Accused::Directory(hash) => *hash == config_hash,
        _ => false,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
