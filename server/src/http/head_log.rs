//! The head log as tlog-tiles has it: everything but the checkpoint never changes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use overt_protocol::head_log::tile::{HashTile, Tile, TilePath};
use overt_protocol::head_log::tiled_tree::TileReader;

use crate::error::DirectoryError;
use crate::head_log::HeadLog;
use crate::http::problem::join_error;
use crate::http::{Api, Problem};
use crate::store::Store;

/// A tile, or a bundle of entries.
pub(super) async fn tile<S: Store>(
    State(api): State<Arc<Api<S>>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let path: Option<TilePath> = uri.path().trim_start_matches('/').parse().ok();
    let size = api.shared.published().map_or(0, |head| head.tree_size);
    let Some(path) = path.filter(|path| place(path).is_in(size)) else {
        return Err(crate::http::problem::not_found().await);
    };
    let made = tokio::task::spawn_blocking(move || {
        let config_hash = api.shared.config.hash()?;
        let mut log = HeadLog::new(api.shared.store.reader()?, config_hash);
        Ok::<_, DirectoryError>(match path {
            TilePath::Entries(at) => log.bundle(at)?,
            TilePath::Hashes(at) => {
                let hashes = log.tile(at)?;
                HashTile { at, hashes }.to_bytes()
            }
        })
    });
    let bytes = made.await.map_err(join_error)??;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}

fn place(path: &TilePath) -> Tile {
    match path {
        TilePath::Hashes(at) | TilePath::Entries(at) => *at,
    }
}
