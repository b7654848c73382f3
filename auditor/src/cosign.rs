//! Cosigning checkpoints (tlog-witness): as an auditor, who has replayed what is in them, and as a
//! witness, who has not.

use std::sync::Arc;
use std::time::Duration;

use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::SignerKey;
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::head_log::witness::{AddCheckpoint, Refusal};
use thiserror::Error;
use tokio::time::Instant;

use crate::follow::Progress;
use crate::gossip::{Gossip, Log, Verdict};
use crate::store::{Record, Store, refused, replayed};

/// What a cosignature states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The log is consistent, and every entry of the directory behind it was replayed.
    Auditor,
    /// The log is consistent.
    Witness,
}

impl Role {
    /// The path below which it answers, and the last part of the name of its keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auditor => "auditor",
            Self::Witness => "witness",
        }
    }
}

/// Why there is no cosignature.
#[derive(Debug, Error)]
pub enum Denied {
    /// As the specification has it.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The log is proved to be dishonest.
    #[error("this log is refused: {0}")]
    Refused(String),
    /// The entries are not replayed yet, or so long ago that their root is forgotten.
    #[error("log entries up to size {size} are not replayed ({replayed} are): ask again")]
    NotReplayed {
        /// Of the checkpoint.
        size: u64,
        /// So far.
        replayed: u64,
    },
    /// The checkpoint is not of the log that the directory gave its auditors.
    #[error("the checkpoint is not that of the log entries that the directory gave at size {0}")]
    OtherLog(u64),
    /// The store failed.
    #[error("internal error")]
    Failed(#[from] anyhow::Error),
}

impl Denied {
    /// The HTTP status code.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refusal(refusal) => refusal.status(),
            Self::Refused(_) => 403,
            Self::NotReplayed { .. } => 503,
            Self::OtherLog(_) => 422,
            Self::Failed(_) => 500,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> String {
        let refusal = match self {
            Self::Refusal(refusal) => refusal.body(),
            _ => None,
        };
        refusal.unwrap_or_else(|| format!("{self}\n"))
    }
}

/// Cosigns in one role.
pub struct Cosigner {
    /// The role.
    pub role: Role,
    /// Its keys.
    pub keys: Vec<SignerKey>,
    /// How long to wait for entries to be replayed.
    pub catch_up: Duration,
    /// The memory.
    pub store: Arc<Store>,
    /// Knows what to do with a contradiction.
    pub gossip: Arc<Gossip>,
    /// Wakes followers.
    pub progress: Arc<Progress>,
}

impl Cosigner {
    /// Answers `add-checkpoint`: the lines of the cosignatures.
    pub async fn add_checkpoint(&self, body: &[u8]) -> Result<String, Denied> {
        let request = AddCheckpoint::parse(body)?;
        let checkpoint = request.checkpoint.checkpoint();
        let origin = checkpoint.origin();
        let record = self.store.by_origin(origin)?;
        let known = record.is_some() || self.role == Role::Witness;
        let log = self.gossip.log(origin)?.filter(|_| known);
        let log = log.ok_or(Refusal::UnknownLog)?;
        let verified = request.checkpoint.note().verify(&log.keys);
        verified.map_err(Refusal::Signature)?;
        if let Some(reason) = self.store.refused(&log.subject)? {
            return Err(Denied::Refused(reason));
        }
        // What would be refused anyway does not wait.
        let latest = self.store.cosigned(self.role.name(), origin)?;
        let latest = latest.map_or(SizedRoot::empty(), |signed| signed.checkpoint().tree());
        let decided = request.decide(&log.keys, &latest);
        if let (Role::Auditor, Some(record), Ok(_)) = (self.role, &record, &decided) {
            self.catch_up(record, checkpoint.tree().size).await?;
        }
        // The log signed it: it may contradict another checkpoint that it signed.
        let compared = match &record {
            Some(record) => {
                let gossip = &self.gossip;
                gossip
                    .compare(record, &request.checkpoint, "log", None)
                    .await?
            }
            None => self.compare_witnessed(&log, &request)?,
        };
        if let Verdict::Contradicts { .. } = compared {
            return Err(match decided {
                Err(Refusal::Inconsistent(error)) => Refusal::Inconsistent(error).into(),
                _ => Denied::Refused(self.store.refused(&log.subject)?.unwrap_or_default()),
            });
        }
        self.cosign(&request, &log, record.as_ref())
    }

    /// Its growth is proved in the request, or not at all.
    fn compare_witnessed(&self, log: &Log, request: &AddCheckpoint) -> anyhow::Result<Verdict> {
        let seen = self.gossip.see(log, &request.checkpoint)?;
        match seen.evidence.is_empty() {
            true => Ok(Verdict::Later),
            false => self.gossip.accuse(log, &seen.evidence, "log"),
        }
    }

    /// Waits until the entries of the directory are replayed up to a size.
    async fn catch_up(&self, record: &Record, size: u64) -> Result<(), Denied> {
        let deadline = Instant::now() + self.catch_up;
        let mut moved = self.progress.moved();
        self.progress.wake();
        loop {
            moved.mark_unchanged();
            if self.store.replayed(&record.fingerprint, size)?.is_some() {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, moved.changed())
                .await
                .is_err()
            {
                let now = self.store.by_origin(&record.descriptor.origin)?;
                let replayed = now.map_or(0, |record| record.replay.size());
                return Err(Denied::NotReplayed { size, replayed });
            }
        }
    }

    /// Decides and signs, in one step with what is remembered of it.
    fn cosign(
        &self,
        request: &AddCheckpoint,
        log: &Log,
        record: Option<&Record>,
    ) -> Result<String, Denied> {
        let origin = request.checkpoint.checkpoint().origin();
        self.store.cosign(self.role.name(), origin, |tx, latest| {
            let accepted = request.decide(&log.keys, &latest)?;
            let tree = accepted.tree();
            if let Some(reason) = refused(tx, &log.subject)? {
                return Err(Denied::Refused(reason));
            }
            if let (Role::Auditor, Some(record)) = (self.role, record)
                && tree.size > 0
            {
                match replayed(tx, &record.fingerprint, tree.size)? {
                    Some(known) if known.tree == tree => {}
                    Some(_) => return Err(Denied::OtherLog(tree.size)),
                    None => {
                        let (size, replayed) = (tree.size, record.replay.size());
                        return Err(Denied::NotReplayed { size, replayed });
                    }
                }
            }
            let signed = accepted.cosign(&self.keys, self.gossip.clock.now() / 1000);
            let (lines, signed): (String, SignedCheckpoint) =
                signed.map_err(|error| Denied::Failed(error.into()))?;
            Ok((signed, lines))
        })
    }
}
