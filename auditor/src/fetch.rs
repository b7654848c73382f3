//! Getting things from strangers: bounded in bytes.

use std::sync::Arc;

use anyhow::{Context, ensure};
use axum::http::{Request, StatusCode, Uri};
use futures_util::StreamExt;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::note::MAX_NOTE_LEN;
use overt_protocol::head_log::proof::{MAX_PROOF_LEN, TlogProof};
use overt_protocol::head_log::tile::{FULL_WIDTH, Tile, TilePath, parse_bundle};
use thiserror::Error;

use crate::transport::{Pieces, Transport};

/// Bytes of a tile or a bundle of entries at most.
pub(crate) const MAX_TILE: usize = 1 << 20;

/// An answer that is no success.
#[derive(Debug, Error)]
#[error("{uri} answered {status}")]
pub struct Declined {
    /// What was asked for.
    pub uri: Uri,
    /// The answer.
    pub status: StatusCode,
}

/// Asks others.
#[derive(Clone)]
pub struct Fetch(pub Arc<dyn Transport>);

impl Fetch {
    /// Gets at most `limit` bytes.
    pub async fn get(&self, url: &str, path: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
        let mut pieces = self.pieces(url, path).await?;
        let mut out = Vec::new();
        while let Some(piece) = pieces.next().await {
            out.extend(piece?);
            ensure!(out.len() <= limit, "{path}: more than {limit} bytes");
        }
        Ok(out)
    }

    /// Gets the pieces of an answer as they come, without end if the other side so wants.
    pub async fn pieces(&self, url: &str, path: &str) -> anyhow::Result<Pieces> {
        let request = Request::get(address(url, path)).body(Vec::new())?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Vec<u8>>) -> anyhow::Result<Pieces> {
        let uri = request.uri().clone();
        let answer = self.0.send(request).await?;
        let status = answer.status();
        match status.is_success() {
            true => Ok(answer.into_body()),
            false => Err(Declined { uri, status }.into()),
        }
    }

    /// Posts a body; the answer must be a success.
    pub async fn post(&self, url: &str, path: &str, body: Vec<u8>) -> anyhow::Result<()> {
        let request = Request::post(address(url, path)).body(body)?;
        self.send(request).await.map(drop)
    }

    /// Posts a JSON document.
    pub async fn post_json(&self, url: &str, body: String) -> anyhow::Result<()> {
        let request = Request::post(url).header("content-type", "application/json");
        self.send(request.body(body.into_bytes())?).await.map(drop)
    }

    /// A checkpoint; nothing is verified.
    pub async fn checkpoint(&self, url: &str, path: &str) -> anyhow::Result<SignedCheckpoint> {
        Ok(SignedCheckpoint::parse(
            &self.get(url, path, MAX_NOTE_LEN).await?,
        )?)
    }

    /// The log's proof of the head of a size; nothing is verified.
    pub async fn proof(&self, url: &str, size: u64) -> anyhow::Result<TlogProof> {
        let path = format!("/tlog-proof/{size}");
        Ok(TlogProof::parse(
            &self.get(url, &path, MAX_PROOF_LEN).await?,
        )?)
    }

    /// A proof and the encoded record that it is about; nothing is verified.
    pub async fn proven_record(
        &self,
        url: &str,
        size: u64,
    ) -> anyhow::Result<(TlogProof, Vec<u8>)> {
        let proof = self.proof(url, size).await?;
        let width = u64::from(FULL_WIDTH);
        let (number, place) = (proof.index() / width, proof.index() % width);
        let within = proof.checkpoint().checkpoint().tree().size;
        let rest = within.saturating_sub(number.saturating_mul(width));
        let at = Tile::new(0, number, u16::try_from(rest.min(width))?)?;
        let path = format!("/{}", TilePath::Entries(at));
        let bundle = parse_bundle(at, &self.get(url, &path, MAX_TILE).await?)?;
        let record = bundle.into_iter().nth(usize::try_from(place)?);
        Ok((proof, record.context("the bundle has no such entry")?))
    }
}

fn address(url: &str, path: &str) -> String {
    format!("{}{path}", url.trim_end_matches('/'))
}
