//! A head log that tells its readers something else than the directory has: `rewriting-log
//! URL-OF-THE-DIRECTORY SEED WHAT [AUDITOR]`. It signs with the log's keys, which are made of the
//! seed (see `log_keys`), and has every checkpoint cosigned by the auditor below that URL, if given.
//!
//! It rewrites its last record: `time` dates it before all others, `root` gives it another root,
//! `leaf` adds an update that replaces a value.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use overt_protocol::codec::{Decode, Encode, Reader};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::note::{Note, NoteSignature};
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tree::prove_inclusion;
use overt_protocol::head_log::witness::AddCheckpoint;
use overt_protocol::prefix_tree::evaluate_changes;
use overt_protocol::wire::{AuditorUpdate, PrefixLeaf, PrefixProof, PrefixSearchResult};
use overt_tests::{HeadLog, log_keys};

struct Rewriting {
    log: HeadLog,
    update: Vec<u8>,
    checkpoint: SignedCheckpoint,
}

async fn fetch(url: String) -> anyhow::Result<Vec<u8>> {
    let answer = reqwest::get(url).await?.error_for_status()?;
    Ok(answer.bytes().await?.to_vec())
}

/// Changes the last record, or adds one. Returns the update that leads there.
fn rewrite(log: &mut HeadLog, what: &str, leaf: Option<PrefixLeaf>) -> anyhow::Result<Vec<u8>> {
    let last = log.entries.last_mut().context("an empty log")?;
    let mut record = HeadRecord::from_bytes(last, &())?;
    let mut update = Vec::new();
    match what {
        "time" => record.entry.timestamp = 1,
        "root" => record.root = [7; 32],
        "leaf" => {
            // The only leaf of the prefix tree is its root.
            let old = leaf.context("nothing was published")?;
            let mut new = old;
            new.commitment = [7; 32];
            let proof = PrefixProof {
                results: vec![PrefixSearchResult::Inclusion { depth: 0 }; 2],
                elements: Vec::new(),
            };
            let (timestamp, added, removed) = (record.entry.timestamp, vec![new], vec![old]);
            record.entry.prefix_tree = evaluate_changes(&added, &removed, &proof)?.1;
            record.tree_size += 1;
            update = AuditorUpdate {
                timestamp,
                added,
                removed,
                proof,
            }
            .to_bytes()?;
        }
        _ => bail!("no such thing to rewrite"),
    }
    match update.is_empty() {
        true => *last = record.to_bytes()?,
        false => log.entries.push(record.to_bytes()?),
    }
    Ok(update)
}

/// The leaf that the directory published first.
async fn first_leaf(directory: &str) -> anyhow::Result<Option<PrefixLeaf>> {
    let updates = fetch(format!("{directory}/v1/auditor-updates?from=0")).await?;
    let mut reader = Reader::new(&updates);
    while !reader.is_empty() {
        let update = AuditorUpdate::decode(&mut reader, &())?;
        if let Some(leaf) = update.added.first() {
            return Ok(Some(*leaf));
        }
    }
    Ok(None)
}

/// The checkpoint with whatever the auditor answers.
async fn cosigned(checkpoint: SignedCheckpoint, auditor: &str) -> anyhow::Result<SignedCheckpoint> {
    let request = AddCheckpoint {
        old_size: 0,
        consistency: Vec::new(),
        checkpoint: checkpoint.clone(),
    };
    let answer = reqwest::Client::new()
        .post(format!("{auditor}/add-checkpoint"))
        .body(request.to_string());
    let answer = answer.send().await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let lines = NoteSignature::parse_lines(&answer.text().await?)?;
    let note: Note = checkpoint.note().with(&lines)?;
    Ok(SignedCheckpoint::try_from(note)?)
}

async fn proof(
    State(log): State<Arc<Rewriting>>,
    Path(tree_size): Path<u64>,
) -> Result<String, StatusCode> {
    let size = log.checkpoint.checkpoint().tree().size;
    let index = tree_size.checked_sub(1).ok_or(StatusCode::NOT_FOUND)?;
    let hashes = prove_inclusion(&mut log.log.clone(), index, size);
    let hashes = hashes.map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(TlogProof::new(index, hashes, log.checkpoint.clone()).to_string())
}

/// A record, encoded: where tiles have it is of no interest here.
async fn record(
    State(log): State<Arc<Rewriting>>,
    Path(tree_size): Path<usize>,
) -> Result<Vec<u8>, StatusCode> {
    let index = tree_size.checked_sub(1).ok_or(StatusCode::NOT_FOUND)?;
    let entry = log.log.entries.get(index).ok_or(StatusCode::NOT_FOUND)?;
    Ok(entry.clone())
}

/// The `AuditorUpdate` of the last record, if that was added.
async fn update_to_last(State(log): State<Arc<Rewriting>>) -> Vec<u8> {
    log.update.clone()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seed, what, auditor @ ..] = arguments.as_slice() else {
        bail!("expected the directory, a seed and what to rewrite");
    };
    let (descriptor, _) = Descriptor::parse(&fetch(format!("{directory}/v1/descriptor")).await?)?;
    let checkpoint = SignedCheckpoint::parse(&fetch(format!("{directory}/checkpoint")).await?)?;
    let size = checkpoint.checkpoint().tree().size;
    let mut log = HeadLog::read(&reqwest::Client::new(), directory, size).await?;
    let leaf = first_leaf(directory).await?;
    let update = rewrite(&mut log, what, leaf)?;
    let keys = log_keys(&descriptor.origin, seed.parse()?)?;
    let mut checkpoint = log.checkpoint(&descriptor.origin, log.entries.len(), &keys)?;
    if let [auditor, ..] = auditor {
        checkpoint = cosigned(checkpoint, auditor).await?;
    }
    let app = Router::new()
        .route("/tlog-proof/{tree_size}", get(proof))
        .route("/record/{tree_size}", get(record))
        .route("/update", get(update_to_last))
        .with_state(Arc::new(Rewriting {
            log,
            update,
            checkpoint,
        }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await.context("serving")
}
