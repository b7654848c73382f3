//! The tree of a log that is kept as tiles: hashes for proofs, and what to store when it grows.
//!
//! Within a tile the tree has at most 256 leaves, and `rs_merkle` computes it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::head_log::tile::{HEIGHT, HashTile, LEVELS, Tile, TileError, changed_at};
use crate::head_log::tree::{
    HashReader, SizedRoot, TreeError, leaf_hash, node_hash, prove_consistency, verify_consistency,
};
use crate::log_tree::Subtree;
use crate::wire::HashValue;

/// Where tiles come from.
pub trait TileReader {
    /// Why a tile cannot be had, or cannot exist.
    type Error: From<TileError> + From<TreeError>;

    /// The hashes of a tile, as many as its width says.
    fn tile(&mut self, at: Tile) -> Result<Vec<HashValue>, Self::Error>;
}

impl<R: TileReader + ?Sized> TileReader for &mut R {
    type Error = R::Error;

    fn tile(&mut self, at: Tile) -> Result<Vec<HashValue>, R::Error> {
        (**self).tile(at)
    }
}

/// Tiles that were fetched or built before.
impl TileReader for BTreeMap<Tile, Vec<HashValue>> {
    type Error = TileError;

    fn tile(&mut self, at: Tile) -> Result<Vec<HashValue>, TileError> {
        self.get(&at).cloned().ok_or(TileError::Missing(at))
    }
}

/// Notes which tiles a computation reads, and answers with zeroes: for callers that must fetch all
/// tiles first.
#[derive(Debug, Clone, Default)]
pub struct WantedTiles(pub BTreeSet<Tile>);

impl TileReader for WantedTiles {
    type Error = TileError;

    fn tile(&mut self, at: Tile) -> Result<Vec<HashValue>, TileError> {
        self.0.insert(at);
        Ok(vec![HashValue::default(); at.width().into()])
    }
}

/// The hashes of all balanced subtrees of a log, from its tiles. Each tile is read once.
#[derive(Debug)]
pub struct TileHashes<R> {
    reader: R,
    size: u64,
    read: BTreeMap<Tile, Vec<HashValue>>,
}

impl<R: TileReader> TileHashes<R> {
    /// Reads the tiles of the log as they are when it has `size` leaves.
    pub fn new(reader: R, size: u64) -> Self {
        Self {
            reader,
            size,
            read: BTreeMap::new(),
        }
    }
}

impl<R: TileReader> HashReader for TileHashes<R> {
    type Error = R::Error;

    fn hash(&mut self, subtree: Subtree) -> Result<HashValue, R::Error> {
        let (at, hashes) = tile_of(subtree, self.size).ok_or(TreeError::Index {
            index: subtree.start(),
            size: self.size,
        })?;
        let tile = match self.read.entry(at) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => unread.insert(read_tile(&mut self.reader, at)?),
        };
        let root = tile.get(hashes).and_then(root_in_tile);
        root.ok_or_else(|| TileError::Missing(at).into())
    }
}

/// The tile that holds a subtree, and which of its hashes the subtree is made of.
fn tile_of(subtree: Subtree, size: u64) -> Option<(Tile, Range<usize>)> {
    let level = u8::try_from(subtree.level / HEIGHT).ok()?;
    let hashes = 1u64.checked_shl(subtree.level % HEIGHT)?;
    let first = subtree.index.checked_mul(hashes)?;
    let at = Tile::in_log(level, first / 256, size)?;
    let start = usize::try_from(first % 256).ok()?;
    let end = start.checked_add(usize::try_from(hashes).ok()?)?;
    (end <= usize::from(at.width())).then_some((at, start..end))
}

/// The tiles of a log of `new` leaves from which [`is_grown`] tells whether it begins with the one of
/// `old` leaves.
pub fn tiles_between(old: u64, new: u64) -> Result<BTreeSet<Tile>, TileError> {
    let mut wanted = WantedTiles::default();
    prove_consistency(&mut TileHashes::new(&mut wanted, new), old, new)?;
    Ok(wanted.0)
}

/// Whether the tree `new`, of which these are tiles, begins with the tree `old`.
///
/// # Errors
/// If the tiles are not those of [`tiles_between`].
pub fn is_grown(
    old: &SizedRoot,
    new: &SizedRoot,
    tiles: BTreeMap<Tile, Vec<HashValue>>,
) -> Result<bool, TileError> {
    let mut hashes = TileHashes::new(tiles, new.size);
    let proof = prove_consistency(&mut hashes, old.size, new.size)?;
    Ok(verify_consistency(old, new, &proof).is_ok())
}

/// The tiles that change when leaves of these hashes are appended to a log of `size` leaves, in the
/// order of [`changed_tiles`](crate::head_log::tile::changed_tiles).
pub fn append_to_tiles<R: TileReader>(
    reader: &mut R,
    size: u64,
    leaves: &[HashValue],
) -> Result<Vec<HashTile>, R::Error> {
    let grown = u64::try_from(leaves.len())
        .ok()
        .and_then(|leaves| size.checked_add(leaves))
        .ok_or(TreeError::Index {
            index: u64::MAX,
            size,
        })?;
    let mut out = Vec::new();
    let mut fresh = leaves.to_vec();
    for level in 0..LEVELS {
        let mut appended = fresh.into_iter();
        fresh = Vec::new();
        for at in changed_at(level, size, grown) {
            let mut hashes = match Tile::in_log(level, at.index(), size) {
                Some(begun) => read_tile(reader, begun)?,
                None => Vec::new(),
            };
            let lacking = usize::from(at.width()).saturating_sub(hashes.len());
            hashes.extend(appended.by_ref().take(lacking));
            if at.is_full() {
                fresh.extend(root_in_tile(&hashes));
            }
            out.push(HashTile { at, hashes });
        }
    }
    Ok(out)
}

fn read_tile<R: TileReader>(reader: &mut R, at: Tile) -> Result<Vec<HashValue>, R::Error> {
    let hashes = reader.tile(at)?;
    match hashes.len() == usize::from(at.width()) {
        true => Ok(hashes),
        false => Err(TileError::Missing(at).into()),
    }
}

/// The root of the tree whose leaves are these hashes, at most 256 of one tile; none without any.
fn root_in_tile(hashes: &[HashValue]) -> Option<HashValue> {
    rs_merkle::MerkleTree::<Rfc6962>::from_leaves(hashes).root()
}

/// The hashing of RFC 6962 for `rs_merkle`.
#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = HashValue;

    fn hash(data: &[u8]) -> HashValue {
        leaf_hash(data)
    }

    fn concat_and_hash(left: &HashValue, right: Option<&HashValue>) -> HashValue {
        // Without a right sibling a node moves up as it is: that makes the tree left-balanced.
        right.map_or(*left, |right| node_hash(left, right))
    }
}
