//! A copy of the head log in a folder or an object store, for a web server or CDN to serve.
//!
//! The copy follows the published checkpoint and is never ahead of it. Tiles and entries are there
//! before the checkpoint that needs them, so that the copy is whole at any moment, also when this
//! process dies. At the start, what the copy lacks is read from the copy itself.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions, PutPayload};
use overt_protocol::head_log::checkpoint::{CheckpointError, SignedCheckpoint};
use overt_protocol::head_log::note::MAX_NOTE_LEN;
use overt_protocol::head_log::tile::{FULL_WIDTH, Tile, TilePath, changed_tiles};
use overt_protocol::provider::Refusal;
use reqwest::Url;
use thiserror::Error;

use crate::backoff::Backoff;
use crate::directory::Shared;
use crate::error::DirectoryError;
use crate::head_log::{HeadLog, HeadLogError};
use crate::http::{CHECKPOINT_HEADERS, TILE_HEADERS};
use crate::store::Store;

/// Files that are written at a time.
const PARALLEL: usize = 8;
const CHECKPOINT: &str = "checkpoint";

/// Why the copy cannot be opened, or is not what it should be.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// The folder or object store.
    #[error(transparent)]
    Objects(#[from] object_store::Error),
    /// The folder cannot be made.
    #[error("{0}")]
    Folder(#[from] std::io::Error),
    /// Not a URL.
    #[error("not the URL of an object store: {0}")]
    Url(String),
    /// The head log cannot be read.
    #[error(transparent)]
    Log(#[from] DirectoryError),
    /// There is a file that is no checkpoint.
    #[error("the checkpoint there: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Another log's copy, or a later one of this log.
    #[error(
        "the checkpoint there, of {origin} at size {size}, is not one of this log up to now: the log \
         was rolled back, or another one has its copy there"
    )]
    Foreign {
        /// Its origin.
        origin: String,
        /// Its size.
        size: u64,
    },
}

/// A copy of the head log.
#[derive(Debug)]
pub struct Mirror {
    objects: Box<dyn ObjectStore>,
    folder: Path,
    /// Files of a folder have no HTTP headers.
    has_headers: bool,
}

impl Mirror {
    /// Opens a folder, which is made if need be, or an object store by its URL.
    pub fn open(place: &str) -> Result<Self, MirrorError> {
        match place.split_once("://") {
            None => Self::in_folder(place),
            Some(("file", path)) => Self::in_folder(path),
            Some(_) => {
                let url = Url::parse(place).map_err(|_| MirrorError::Url(place.to_owned()))?;
                let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                };
                let environment = std::env::vars_os().filter_map(text);
                let (objects, folder) = object_store::parse_url_opts(&url, environment)?;
                Ok(Self {
                    objects,
                    folder,
                    has_headers: true,
                })
            }
        }
    }

    fn in_folder(path: &str) -> Result<Self, MirrorError> {
        std::fs::create_dir_all(path)?;
        let files = LocalFileSystem::new_with_prefix(path)?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            objects: Box::new(files),
            folder: Path::default(),
            has_headers: false,
        })
    }

    /// Follows what is published, for ever.
    pub async fn run<S: Store>(self, shared: Arc<Shared<S>>) {
        let mut checkpoints = shared.checkpoints();
        let mut backoff = Backoff::default();
        let mut known = None;
        loop {
            let newest = checkpoints.borrow_and_update().clone();
            if let Some(newest) = newest {
                match self.catch_up(&shared, known, &newest).await {
                    Ok(size) => {
                        metrics::gauge!("overt_mirror_tree_size").set(size as f64);
                        backoff = Backoff::default();
                        known = Some(size);
                    }
                    Err(error) => {
                        metrics::counter!("overt_mirror_failures_total").increment(1);
                        tracing::error!(%error, "the mirror is not up to date");
                        known = None;
                        backoff.wait().await;
                        continue;
                    }
                }
            }
            if checkpoints.changed().await.is_err() {
                return;
            }
        }
    }

    /// Brings the copy from a size, if that is known, to that of a checkpoint. Returns the latter.
    async fn catch_up<S: Store>(
        &self,
        shared: &Arc<Shared<S>>,
        known: Option<u64>,
        newest: &SignedCheckpoint,
    ) -> Result<u64, MirrorError> {
        let old = match known {
            Some(size) => size,
            // The last run may have ended before it had cleared up.
            None => self
                .size(shared, newest)
                .await?
                .saturating_sub(FULL_WIDTH.into()),
        };
        let new = newest.checkpoint().tree().size;
        let changed = || stream::iter(changed_tiles(old, new).flat_map(paths).map(Ok));
        changed()
            .try_for_each_concurrent(PARALLEL, |path| self.copy(shared, path))
            .await?;
        self.put(
            CHECKPOINT,
            newest.to_string().into_bytes(),
            CHECKPOINT_HEADERS,
        )
        .await?;
        changed()
            .try_for_each_concurrent(PARALLEL, |path| self.clear_up(path))
            .await?;
        Ok(new)
    }

    /// The size of the copy, if it is one of this log that is not ahead.
    async fn size<S: Store>(
        &self,
        shared: &Arc<Shared<S>>,
        newest: &SignedCheckpoint,
    ) -> Result<u64, MirrorError> {
        let at = self.folder.clone().join(CHECKPOINT);
        let length = u64::try_from(MAX_NOTE_LEN).unwrap_or(u64::MAX);
        let bytes = match self.objects.get_range(&at, 0..length).await {
            Ok(bytes) => bytes,
            Err(object_store::Error::NotFound { .. }) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let copied = SignedCheckpoint::parse(&bytes)?;
        let (origin, tree) = (copied.checkpoint().origin(), copied.checkpoint().tree());
        let newest = newest.checkpoint();
        let is_ours = origin == newest.origin()
            && tree.size <= newest.tree().size
            && read(shared, move |log| Ok(log.tree(tree.size)?.sized_root())).await? == tree;
        match is_ours {
            true => Ok(tree.size),
            false => Err(MirrorError::Foreign {
                origin: origin.to_owned(),
                size: tree.size,
            }),
        }
    }

    async fn copy<S: Store>(
        &self,
        shared: &Arc<Shared<S>>,
        path: TilePath,
    ) -> Result<(), MirrorError> {
        let bytes = read(shared, move |mut log| log.bytes(path)).await?;
        self.put(&path.to_string(), bytes, TILE_HEADERS).await
    }

    /// Once a full tile is there, those that led to it go.
    async fn clear_up(&self, path: TilePath) -> Result<(), MirrorError> {
        if path.tile().is_full() {
            let partial = self.below(&format!("{path}.p"));
            let partial = self.objects.list(Some(&partial));
            let partial = partial.map_ok(|file| file.location).boxed();
            let deleted = self.objects.delete_stream(partial);
            deleted.try_for_each(async |_| Ok(())).await?;
        }
        Ok(())
    }

    async fn put(
        &self,
        path: &str,
        bytes: Vec<u8>,
        [content_type, cache_control]: [&'static str; 2],
    ) -> Result<(), MirrorError> {
        let mut attributes = Attributes::new();
        if self.has_headers {
            attributes.insert(Attribute::ContentType, content_type.into());
            attributes.insert(Attribute::CacheControl, cache_control.into());
        }
        let options = PutOptions::from(attributes);
        let payload = PutPayload::from(bytes);
        self.objects
            .put_opts(&self.below(path), payload, options)
            .await?;
        Ok(())
    }

    fn below(&self, path: &str) -> Path {
        path.split('/')
            .fold(self.folder.clone(), |folder, part| folder.join(part))
    }
}

/// The files of a tile.
fn paths(at: Tile) -> impl Iterator<Item = TilePath> {
    let entries = (at.level() == 0).then_some(TilePath::Entries(at));
    entries.into_iter().chain([TilePath::Hashes(at)])
}

/// Reads the head log off the async threads.
async fn read<S: Store, T: Send + 'static>(
    shared: &Arc<Shared<S>>,
    what: impl FnOnce(HeadLog<S::Reader<'_>>) -> Result<T, HeadLogError> + Send + 'static,
) -> Result<T, DirectoryError> {
    let shared = Arc::clone(shared);
    let read = tokio::task::spawn_blocking(move || {
        let log = HeadLog::new(shared.store.reader()?, shared.config.hash()?);
        Ok(what(log)?)
    });
    let panicked = Refusal::Damaged("reading the head log panicked");
    read.await.unwrap_or_else(|_| Err(panicked.into()))
}
