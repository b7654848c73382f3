//! The head log: a C2SP tiled log with one leaf for each log entry of the directory.
//!
//! Leaves are not stored: each follows from the directory's own log tree. Stored are the hashes of
//! the levels above the lowest tiles, in the transaction of the log entry that completes a tile; so
//! the head log is as durable as the directory, and never ahead of it.

use overt_protocol::codec::{Encode, EncodeError};
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tile::{
    FULL_WIDTH, HashTile, Tile, TileError, TilePath, write_bundle,
};
use overt_protocol::head_log::tiled_tree::{TileHashes, TileReader, append_to_tiles};
use overt_protocol::head_log::tree::{CompactRange, TreeError};
use overt_protocol::log_tree::{append_leaf, full_subtrees, leaf_value, root_of_full_subtrees};
use overt_protocol::wire::HashValue;
use thiserror::Error;

use crate::store::{Reader, Store, StoreError};

/// A hash of the head log's tree above its lowest tiles: level of tiles (from 1), number in that
/// level, hash.
pub type HeadNode = (u8, u64, HashValue);

/// Why a part of the head log cannot be had.
#[derive(Debug, Error)]
pub enum HeadLogError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such tile.
    #[error(transparent)]
    Tile(#[from] TileError),
    /// There is no such leaf.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Something is too large for its encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Reads of the head log.
#[derive(Debug)]
pub struct HeadLog<R> {
    reader: R,
    config_hash: HashValue,
}

impl<R: Reader> HeadLog<R> {
    /// The head log of the directory whose encoded configuration has this SHA-256 hash.
    pub fn new(reader: R, config_hash: HashValue) -> Self {
        Self {
            reader,
            config_hash,
        }
    }

    /// The leaves from `first` on, `count` of them.
    pub fn records(&self, first: u64, count: u64) -> Result<Vec<HeadRecord>, HeadLogError> {
        let mut heads = full_subtrees(first)
            .into_iter()
            .map(|subtree| {
                let missing = || damaged("log node", subtree.node_number());
                self.reader.log_subtree(subtree)?.ok_or_else(missing)
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        (first..first.saturating_add(count))
            .map(|position| {
                let entry = self.reader.log_entry(position)?;
                let (entry, _) = entry.ok_or_else(|| damaged("log entry", position))?;
                (heads, _) = append_leaf(position, &heads, leaf_value(&entry));
                let tree_size = position.saturating_add(1);
                let root = root_of_full_subtrees(tree_size, &heads);
                Ok(HeadRecord {
                    config_hash: self.config_hash,
                    tree_size,
                    entry,
                    root: root.ok_or_else(|| damaged("log entry", position))?,
                })
            })
            .collect()
    }

    /// A tile or entry bundle, as it is served.
    pub fn bytes(&mut self, path: TilePath) -> Result<Vec<u8>, HeadLogError> {
        match path {
            TilePath::Entries(at) => self.bundle(at),
            TilePath::Hashes(at) => {
                let hashes = self.tile(at)?;
                Ok(HashTile { at, hashes }.to_bytes())
            }
        }
    }

    fn bundle(&self, at: Tile) -> Result<Vec<u8>, HeadLogError> {
        let entries = self
            .tile_records(at)?
            .iter()
            .map(Encode::to_bytes)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(write_bundle(&entries)?)
    }

    /// The tree of the first `size` leaves.
    pub fn tree(self, size: u64) -> Result<CompactRange, HeadLogError> {
        CompactRange::read(&mut TileHashes::new(self, size), size)
    }

    fn tile_records(&self, at: Tile) -> Result<Vec<HeadRecord>, HeadLogError> {
        self.records(
            at.index().saturating_mul(FULL_WIDTH.into()),
            at.width().into(),
        )
    }

    /// The hashes that are to be stored once leaves of these hashes are appended to a head log of
    /// `size` leaves.
    pub fn grown(
        &mut self,
        size: u64,
        leaves: &[HashValue],
    ) -> Result<Vec<HeadNode>, HeadLogError> {
        let added = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
        let width = u64::from(FULL_WIDTH);
        if size / width == size.saturating_add(added) / width {
            return Ok(Vec::new());
        }
        let tiles = append_to_tiles(self, size, leaves)?;
        let above = tiles.into_iter().filter(|tile| tile.at.level() > 0);
        Ok(above.flat_map(nodes).collect())
    }
}

fn nodes(tile: HashTile) -> impl Iterator<Item = HeadNode> {
    let first = tile.at.index().saturating_mul(FULL_WIDTH.into());
    (first..)
        .zip(tile.hashes)
        .map(move |(number, hash)| (tile.at.level(), number, hash))
}

impl<R: Reader> TileReader for HeadLog<R> {
    type Error = HeadLogError;

    fn tile(&mut self, at: Tile) -> Result<Vec<HashValue>, HeadLogError> {
        if at.level() == 0 {
            let records = self.tile_records(at)?;
            let hashes = records.iter().map(HeadRecord::leaf_hash);
            return Ok(hashes.collect::<Result<_, _>>()?);
        }
        let first = at.index().saturating_mul(FULL_WIDTH.into());
        let hashes = self.reader.head_nodes(at.level(), first, at.width())?;
        match hashes.len() == usize::from(at.width()) {
            true => Ok(hashes),
            false => Err(damaged("head log tile", first).into()),
        }
    }
}

fn damaged(what: &str, number: u64) -> StoreError {
    StoreError::Damaged(format!("{what} {number} is missing"))
}

/// Completes the head log of a log that was begun by a program without one. Returns how many hashes
/// were missing.
pub fn catch_up<S: Store>(
    store: &S,
    config_hash: HashValue,
    size: u64,
) -> Result<usize, HeadLogError> {
    let width = u64::from(FULL_WIDTH);
    let stored = store.reader()?.head_node_count(1)?;
    let mut done = 0;
    for number in stored..size / width {
        let first = number.saturating_mul(width);
        let mut log = HeadLog::new(store.reader()?, config_hash);
        let leaves = log.records(first, width)?;
        let leaves = leaves.iter().map(HeadRecord::leaf_hash);
        let nodes = log.grown(first, &leaves.collect::<Result<Vec<_>, _>>()?)?;
        store.put_head_nodes(&nodes)?;
        done = nodes.len().saturating_add(done);
    }
    Ok(done)
}
