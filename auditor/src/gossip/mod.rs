//! Comparing what a log shows different people: its own checkpoint, those of peers, and those that
//! anyone brings. Contradictions become evidence; all else is a suspicion at most.

mod evidence;
mod peers;
mod proofs;

pub use evidence::Brought;
pub use proofs::LeafProof;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use overt_protocol::clock::Clock;
use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use serde::Serialize;

use crate::config::{Peer, Witnessed};
use crate::cosign::Role;
use crate::fetch::Fetch;
use crate::store::{Record, Store};

/// What anyone may bring, in a second.
const RATE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// What a checkpoint comes to beside one's own view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is of the log that is known here.
    Agrees,
    /// It is of entries that are not known here yet.
    Later,
    /// It is of entries that were seen too long ago to tell, and the log does not.
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

/// A log whose checkpoints are compared.
#[derive(Debug, Clone)]
pub struct Log {
    /// What evidence against it and alarms about it are filed under: the fingerprint of a directory,
    /// else the origin.
    pub subject: String,
    /// Its origin.
    pub origin: String,
    /// Its keys.
    pub keys: Vec<VerifierKey>,
    /// Where its tiles are.
    pub url: Option<String>,
}

impl Log {
    /// The head log of a directory.
    pub fn of(record: &Record) -> Self {
        Self {
            subject: record.fingerprint.clone(),
            origin: record.descriptor.origin.clone(),
            keys: record.log_keys.clone(),
            url: Some(record.url.clone()),
        }
    }

    /// A log whose content nobody here looks at.
    pub fn witnessed(settings: &Witnessed) -> anyhow::Result<Self> {
        let keys = settings.verifier_keys()?;
        let origin = keys.first().map_or("", |key| key.name()).to_owned();
        Ok(Self {
            subject: origin.clone(),
            origin,
            keys,
            url: settings.url.clone(),
        })
    }
}

/// A checkpoint beside those that were seen before.
#[derive(Debug)]
pub struct Seen {
    /// Whether it is the first of its tree.
    pub is_new: bool,
    /// What it proves together with one of the others.
    pub evidence: Vec<Evidence>,
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
    /// Logs that are witnessed besides the directories.
    pub logs: Vec<Log>,
    peers: Vec<Peer>,
    agreements: Mutex<BTreeMap<(String, String), Agreement>>,
    rejected: Mutex<BTreeSet<String>>,
    /// By origin, the size up to which early checkpoints were compared with the replay.
    compared: Mutex<BTreeMap<String, u64>>,
}

impl Gossip {
    /// Compares with these peers.
    pub fn new(
        store: Arc<Store>,
        fetch: Fetch,
        clock: Arc<dyn Clock>,
        logs: Vec<Log>,
        peers: Vec<Peer>,
    ) -> Self {
        Self {
            store,
            limit: RateLimiter::direct(Quota::per_second(RATE)),
            fetch,
            clock,
            logs,
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

    /// The log of an origin, if it is known here.
    pub fn log(&self, origin: &str) -> anyhow::Result<Option<Log>> {
        if let Some(record) = self.store.by_origin(origin)? {
            return Ok(Some(Log::of(&record)));
        }
        let mut logs = self.logs.iter();
        Ok(logs.find(|log| log.origin == origin).cloned())
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
        let log = Log::of(record);
        let seen = self.see(&log, signed)?;
        if !seen.evidence.is_empty() {
            return self.accuse(&log, &seen.evidence, source);
        }
        let tree = signed.checkpoint().tree();
        let own = record.replay.head_log.sized_root();
        let is_same = match self.store.replayed(&record.fingerprint, tree.size)? {
            Some(known) if known.tree == tree => true,
            Some(known) => {
                // Somebody was shown another log than this auditor.
                let mine = self.fetch.proof(&record.url, tree.size).await.ok();
                let mine = mine.map(|proof| (proof, known.leaf));
                let evidence = self.prove(record, tree.size, mine, peer).await;
                if !evidence.is_empty() {
                    return self.accuse(&log, &evidence, source);
                }
                false
            }
            None if tree.size > own.size => return Ok(Verdict::Later),
            None => match self.is_grown(&log, &tree, &own).await {
                Some(is_grown) => is_grown,
                None => return Ok(Verdict::TooOld),
            },
        };
        self.conclude(&log, &seen, is_same, signed, source)
    }

    /// Compares a checkpoint of a log that is witnessed only with what was cosigned last.
    ///
    /// # Errors
    /// If the log did not sign it, or this machine fails.
    pub async fn compare_witnessed(
        &self,
        log: &Log,
        signed: &SignedCheckpoint,
        source: &str,
    ) -> anyhow::Result<Verdict> {
        let seen = self.see(log, signed)?;
        if !seen.evidence.is_empty() {
            return self.accuse(log, &seen.evidence, source);
        }
        let Some(own) = self.store.cosigned(Role::Witness.name(), &log.origin)? else {
            return Ok(Verdict::Later);
        };
        let (own, tree) = (own.checkpoint().tree(), signed.checkpoint().tree());
        let (old, new) = match tree.size < own.size {
            true => (tree, own),
            false => (own, tree),
        };
        match self.is_grown(log, &old, &new).await {
            Some(is_grown) => self.conclude(log, &seen, is_grown, signed, source),
            None if new == tree => Ok(Verdict::Later),
            None => Ok(Verdict::TooOld),
        }
    }

    /// Remembers a checkpoint, and looks for others that it contradicts.
    ///
    /// # Errors
    /// If the log did not sign it, or this machine fails.
    pub fn see(&self, log: &Log, signed: &SignedCheckpoint) -> anyhow::Result<Seen> {
        signed.verify(&log.keys)?;
        let (is_new, mut others) = self.store.remember(signed)?;
        // What was cosigned last is never forgotten, however many come.
        for role in [Role::Auditor, Role::Witness] {
            others.extend(self.store.cosigned(role.name(), &log.origin)?);
        }
        let tree = signed.checkpoint().tree();
        let mut evidence: Vec<Evidence> = Vec::new();
        for other in others {
            let known = other.checkpoint().tree();
            if known.size == tree.size && known.root != tree.root && evidence.is_empty() {
                evidence = Evidence::checkpoints(&other, signed, &log.keys)?;
            }
        }
        Ok(Seen { is_new, evidence })
    }

    /// Keeps evidence.
    pub fn accuse(
        &self,
        log: &Log,
        evidence: &[Evidence],
        source: &str,
    ) -> anyhow::Result<Verdict> {
        let mut ids = Vec::new();
        for one in evidence {
            self.keep(&log.subject, one, source)?;
            ids.push(one.id());
        }
        Ok(Verdict::Contradicts { evidence: ids })
    }

    fn conclude(
        &self,
        log: &Log,
        seen: &Seen,
        is_same: bool,
        signed: &SignedCheckpoint,
        source: &str,
    ) -> anyhow::Result<Verdict> {
        if is_same {
            return Ok(Verdict::Agrees);
        }
        if seen.is_new {
            let text = format!(
                "A checkpoint of size {} that the log signed ({source}) is not of the log that this \
                 auditor was shown. The proofs that would show it to others are not to be had.",
                signed.checkpoint().tree().size
            );
            tracing::error!(origin = log.origin, "SUSPICION: {text}");
            let now = self.clock.now();
            self.store
                .say(&log.subject, "checkpoint-differs", &text, now)?;
        }
        Ok(Verdict::Differs)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
