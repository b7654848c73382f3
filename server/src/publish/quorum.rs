//! The operator's tlog-policy, and the witnesses that it names.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::policy::{Party, Policy, PolicyError, PolicyProblem};
use reqwest::Url;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::directory::Shared;
use crate::publish::transport::Transport;
use crate::publish::witness::{Cosigned, Witness};
use crate::run::AbortOnDrop;
use crate::store::Store;

/// Why a policy cannot be used.
#[derive(Debug, Error)]
pub enum QuorumError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// It is no policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The log's own keys contradict it.
    #[error("the log's own key: {0}")]
    Log(#[from] PolicyProblem),
    /// A witness that cannot be asked.
    #[error("witness {0}: expected the URL below which it has `add-checkpoint`, http or https")]
    Url(String),
}

/// What a head needs before users see it.
pub struct Quorum {
    policy: Policy,
    witnesses: Vec<Witness>,
    transport: Arc<dyn Transport>,
    patience: Duration,
    degrades: bool,
}

impl Quorum {
    /// Reads a policy for a log with these keys. A head waits for `patience`, and is then published
    /// without its quorum if the log `degrades`.
    pub fn load<'k>(
        path: &Path,
        log_keys: impl IntoIterator<Item = &'k VerifierKey>,
        transport: Arc<dyn Transport>,
        patience: Duration,
        degrades: bool,
    ) -> Result<Self, QuorumError> {
        let mut policy = Policy::parse(&std::fs::read(path)?)?;
        for key in log_keys {
            if !policy.logs().iter().any(|log| log.key == *key) {
                let (key, url) = (key.clone(), None);
                policy.add_log(Party { key, url })?;
            }
        }
        Ok(Self {
            witnesses: witnesses(&policy)?,
            policy,
            transport,
            patience,
            degrades,
        })
    }

    /// Starts to ask.
    pub(super) fn start<S: Store>(self, shared: Arc<Shared<S>>) -> Running {
        let (ask, asked) = watch::channel(None);
        // Each witness has at most one answer under way, so the channel never fills.
        let (sender, cosigned) = mpsc::channel(self.witnesses.len().max(1));
        let workers = self
            .witnesses
            .into_iter()
            .map(|witness| {
                let (transport, shared) = (Arc::clone(&self.transport), Arc::clone(&shared));
                AbortOnDrop(tokio::spawn(witness.run(
                    transport,
                    shared,
                    asked.clone(),
                    sender.clone(),
                )))
            })
            .collect();
        Running {
            policy: self.policy,
            patience: self.patience,
            degrades: self.degrades,
            ask,
            cosigned,
            _sender: sender,
            _workers: workers,
        }
    }
}

/// One for each address: a witness may sign with several keys.
fn witnesses(policy: &Policy) -> Result<Vec<Witness>, QuorumError> {
    let mut out: Vec<Witness> = Vec::new();
    for party in policy.witnesses() {
        let wrong = || QuorumError::Url(party.key.name().to_owned());
        let url = party
            .url
            .as_deref()
            .and_then(|url| str::from_utf8(url).ok());
        let url = url.ok_or_else(wrong)?.trim_end_matches('/');
        let url = Url::parse(&format!("{url}/add-checkpoint")).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        match out.iter_mut().find(|witness| witness.url == url) {
            Some(witness) => witness.keys.push(party.key.clone()),
            None => out.push(Witness::new(url, party.key.clone())),
        }
    }
    Ok(out)
}

/// A quorum whose witnesses are being asked.
pub(super) struct Running {
    policy: Policy,
    patience: Duration,
    degrades: bool,
    ask: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    cosigned: mpsc::Receiver<Cosigned>,
    /// Keeps the channel open if there are no witnesses.
    _sender: mpsc::Sender<Cosigned>,
    _workers: Vec<AbortOnDrop>,
}

impl Running {
    /// Asks all witnesses for cosignatures of this checkpoint from now on.
    pub(super) fn ask(&self, checkpoint: &SignedCheckpoint) {
        self.ask.send_replace(Some(Arc::new(checkpoint.clone())));
    }

    /// The next cosignatures; never, if no witness answers.
    pub(super) async fn cosigned(&mut self) -> Cosigned {
        match self.cosigned.recv().await {
            Some(cosigned) => cosigned,
            None => std::future::pending().await,
        }
    }

    /// Whether the policy holds for the checkpoint, at a time in seconds since the Unix epoch.
    pub(super) fn is_reached(&self, checkpoint: &SignedCheckpoint, now: u64) -> bool {
        // A clock may be somewhat ahead of ours. ML-DSA cosignatures may say nothing about time.
        let in_time = 0..=now.saturating_add(300);
        self.policy.verify(checkpoint, &in_time).is_ok()
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn degrades(&self) -> bool {
        self.degrades
    }
}
