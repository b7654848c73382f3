//! Asking one witness (tlog-witness, "add-checkpoint").

use std::sync::Arc;

use axum::http::StatusCode;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::note::{NoteError, NoteSignature};
use overt_protocol::head_log::tiled_tree::TileHashes;
use overt_protocol::head_log::tree::{SizedRoot, prove_consistency};
use overt_protocol::head_log::witness::{AddCheckpoint, parse_response, parse_size};
use overt_protocol::provider::Refusal;
use overt_protocol::wire::HashValue;
use reqwest::Url;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::backoff::Backoff;
use crate::directory::Shared;
use crate::error::DirectoryError;
use crate::head_log::HeadLog;
use crate::publish::transport::{Transport, TransportError};
use crate::store::Store;

/// Verified cosignatures of a tree.
#[derive(Debug)]
pub(super) struct Cosigned {
    pub(super) tree: SizedRoot,
    pub(super) lines: Vec<NoteSignature>,
}

/// A witness.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) url: Url,
    pub(super) keys: Vec<VerifierKey>,
    /// The size that it cosigned last, as far as is known.
    latest: u64,
}

/// Why there is no cosignature.
#[derive(Debug, Error)]
enum AskError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered 409 (Conflict) without the size that it cosigned last")]
    ConflictWithoutSize,
    #[error(
        "it cosigned this log at size {latest} already, which the log has not reached ({size}): the \
         log was rolled back, or another log uses its key"
    )]
    Ahead { latest: u64, size: u64 },
    #[error("it names another size each time it is asked")]
    Fickle,
    #[error("its answer: {0}")]
    Note(#[from] NoteError),
    #[error(transparent)]
    Log(#[from] DirectoryError),
}

impl Witness {
    pub(super) fn new(url: Url, key: VerifierKey) -> Self {
        let (keys, latest) = (vec![key], 0);
        Self { url, keys, latest }
    }

    fn name(&self) -> String {
        self.keys.first().map_or("", VerifierKey::name).to_owned()
    }

    /// Asks for cosignatures of the newest checkpoint that is wanted, for ever.
    pub(super) async fn run<S: Store>(
        mut self,
        transport: Arc<dyn Transport>,
        shared: Arc<Shared<S>>,
        mut wanted: watch::Receiver<Option<Arc<SignedCheckpoint>>>,
        cosigned: mpsc::Sender<Cosigned>,
    ) {
        let mut backoff = Backoff::default();
        loop {
            let checkpoint = wanted.borrow_and_update().clone();
            let Some(checkpoint) = checkpoint else {
                if wanted.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match self.ask(&*transport, &shared, &checkpoint).await {
                Ok(lines) => {
                    metrics::counter!("overt_witness_cosignatures_total", "witness" => self.name())
                        .increment(1);
                    backoff = Backoff::default();
                    let tree = checkpoint.checkpoint().tree();
                    let gone = cosigned.send(Cosigned { tree, lines }).await.is_err();
                    if gone || wanted.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    metrics::counter!("overt_witness_failures_total", "witness" => self.name())
                        .increment(1);
                    tracing::warn!(witness = self.name(), %error, "did not cosign");
                    backoff.wait().await;
                }
            }
        }
    }

    /// Asks for cosignatures of one checkpoint; again, if the witness knows another size.
    async fn ask<S: Store>(
        &mut self,
        transport: &dyn Transport,
        shared: &Arc<Shared<S>>,
        checkpoint: &SignedCheckpoint,
    ) -> Result<Vec<NoteSignature>, AskError> {
        let size = checkpoint.checkpoint().tree().size;
        for _ in 0..3 {
            let request = AddCheckpoint {
                old_size: self.latest,
                consistency: consistency(shared, self.latest, size).await?,
                checkpoint: checkpoint.clone(),
            };
            let asked = transport.post(&self.url, request.to_string());
            let (status, body) = asked.await?;
            match status {
                StatusCode::OK => {
                    let verified = parse_response(&body, checkpoint, &self.keys)?;
                    self.latest = size;
                    return Ok(verified.into_iter().map(|one| one.line).collect());
                }
                StatusCode::CONFLICT => {
                    let latest = parse_size(&body).ok_or(AskError::ConflictWithoutSize)?;
                    if latest > size {
                        return Err(AskError::Ahead { latest, size });
                    }
                    self.latest = latest;
                }
                other => return Err(AskError::Status(other)),
            }
        }
        Err(AskError::Fickle)
    }
}

async fn consistency<S: Store>(
    shared: &Arc<Shared<S>>,
    old: u64,
    new: u64,
) -> Result<Vec<HashValue>, DirectoryError> {
    let shared = Arc::clone(shared);
    let proof = tokio::task::spawn_blocking(move || {
        let log = HeadLog::new(shared.store.reader()?, shared.config.hash()?);
        Ok(prove_consistency(&mut TileHashes::new(log, new), old, new)?)
    });
    let panicked = Refusal::Damaged("a proof panicked");
    proof.await.unwrap_or_else(|_| Err(panicked.into()))
}
