//! The head log as tlog-tiles has it: everything but the checkpoint never changes. And proofs that a
//! head is in it.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::head_log::tile::TilePath;
use overt_protocol::head_log::tiled_tree::TileHashes;
use overt_protocol::head_log::tree::prove_inclusion;

use crate::error::DirectoryError;
use crate::head_log::HeadLog;
use crate::http::problem::join_error;
use crate::http::{Api, Code, Problem};
use crate::store::Store;

/// Content-Type and Cache-Control of tiles and entries.
pub(crate) const TILE_HEADERS: [&str; 2] = [
    "application/octet-stream",
    "public, max-age=31536000, immutable",
];
/// Those of the checkpoint.
pub(crate) const CHECKPOINT_HEADERS: [&str; 2] = ["text/plain; charset=utf-8", "no-cache"];
const PROOF_HEADERS: [&str; 2] = ["text/plain; charset=utf-8", "public, max-age=1"];

fn headers([content_type, cache_control]: [&str; 2]) -> [(header::HeaderName, &str); 2] {
    [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, cache_control),
    ]
}

/// A tile, or a bundle of entries.
pub(super) async fn tile<S: Store>(
    State(api): State<Arc<Api<S>>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let path: Option<TilePath> = uri.path().trim_start_matches('/').parse().ok();
    let checkpoint = api.shared.checkpoint();
    let size = checkpoint.map_or(0, |signed| signed.checkpoint().tree().size);
    let Some(path) = path.filter(|path| path.tile().is_in(size)) else {
        return Err(crate::http::problem::not_found().await);
    };
    let made = tokio::task::spawn_blocking(move || {
        let config_hash = api.shared.config.hash()?;
        let mut log = HeadLog::new(api.shared.store.reader()?, config_hash);
        Ok::<_, DirectoryError>(log.bytes(path)?)
    });
    let bytes = made.await.map_err(join_error)??;
    Ok((headers(TILE_HEADERS), bytes).into_response())
}

/// The published checkpoint.
pub(super) async fn checkpoint<S: Store>(
    State(api): State<Arc<Api<S>>>,
) -> Result<Response, Problem> {
    let checkpoint = api.shared.checkpoint().ok_or(DirectoryError::Unpublished)?;
    Ok((headers(CHECKPOINT_HEADERS), checkpoint.to_string()).into_response())
}

/// The tlog-proof that the head of some size is in the published checkpoint. It depends on nothing
/// else, so that it can be cached, and fetched by whoever does not want to be known. Not for long: a
/// later checkpoint may have more cosignatures.
pub(super) async fn proof<S: Store>(
    State(api): State<Arc<Api<S>>>,
    size: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let checkpoint = api.shared.checkpoint().ok_or(DirectoryError::Unpublished)?;
    let within = checkpoint.checkpoint().tree().size;
    let index = size.ok().and_then(|Path(size)| size.checked_sub(1));
    let Some(index) = index.filter(|index| *index < within) else {
        let detail = format!("expected a size from 1 to {within}, which is published");
        return Err(Problem::new(Code::NotFound, detail));
    };
    let made = tokio::task::spawn_blocking(move || {
        let log = HeadLog::new(api.shared.store.reader()?, api.shared.config.hash()?);
        let hashes = prove_inclusion(&mut TileHashes::new(log, within), index, within)?;
        Ok::<_, DirectoryError>(TlogProof::new(index, hashes, (*checkpoint).clone()))
    });
    let proof = made.await.map_err(join_error)??;
    Ok((headers(PROOF_HEADERS), proof.to_string()).into_response())
}
