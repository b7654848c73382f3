//! Tiles: the form in which a log stores and serves its tree and its entries (tlog-tiles).
//!
//! A tile holds up to 256 consecutive hashes of one level; the root of a full tile is one hash of
//! the level above. This file knows their places, paths and bytes; [`tiled_tree`] computes them.
//!
//! [`tiled_tree`]: crate::head_log::tiled_tree

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::codec::{DecodeError, EncodeError, Reader, Width, Writer};
use crate::head_log::tree::TreeError;
use crate::suite::NH;
use crate::wire::HashValue;

/// Hashes in a full tile, and entries in a full bundle.
pub const FULL_WIDTH: u16 = 256;
/// Bytes of a full tile.
pub const MAX_TILE_LEN: usize = 256 * NH;
/// Bytes of the largest entry bundle: 256 entries of 65,535 bytes behind their lengths.
pub const MAX_BUNDLE_LEN: usize = 256 * (2 + 0xffff);
/// Levels of the tree that one level of tiles holds.
pub(super) const HEIGHT: u32 = 8;
/// More characters than the longest path has.
const MAX_PATH_LEN: usize = 64;

/// Why a tile or entry bundle is refused, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TileError {
    /// Not a path of tlog-tiles, or not the one way to write it.
    #[error("not the path of a tile or entry bundle")]
    Path,
    /// A tile that no log of less than 2^64 entries has, or whose width is not 1 to 256.
    #[error("no log has a tile {index} of width {width} at level {level}")]
    Range {
        /// Level of tiles, from 0.
        level: u8,
        /// Index within the level.
        index: u64,
        /// Number of hashes.
        width: u16,
    },
    /// The bytes are not the hashes of this tile.
    #[error("the tile at {at} has {found} bytes")]
    Length {
        /// The tile.
        at: Tile,
        /// Bytes in it.
        found: usize,
    },
    /// A tile that is needed is not there.
    #[error("the tile at {0} is missing")]
    Missing(Tile),
    /// The bytes are not an entry bundle of the expected width.
    #[error("entry bundle: {0}")]
    Bundle(#[from] DecodeError),
    /// An entry is longer than 65,535 bytes.
    #[error("entry bundle: {0}")]
    Entry(#[from] EncodeError),
    /// The tree lacks what is asked for.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl TileError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Path => "tile-path",
            Self::Range { .. } => "tile-range",
            Self::Length { .. } => "tile-length",
            Self::Missing(_) => "tile-missing",
            Self::Bundle(_) => "entry-bundle",
            Self::Entry(_) => "entry-bundle-limits",
            Self::Tree(error) => error.check(),
        }
    }
}

/// Which tile: its place in the tree, and how many hashes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    index: u64,
    width: u16,
}

impl Tile {
    /// The tile with hashes `256 * index` up to, not including, `256 * index + width` of a level,
    /// where 0 is the level of leaf hashes.
    pub fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        let tile = Self {
            level,
            index,
            width,
        };
        match (1..=FULL_WIDTH).contains(&width) && tile.end().is_some() {
            true => Ok(tile),
            false => Err(TileError::Range {
                level,
                index,
                width,
            }),
        }
    }

    /// The number of leaves that the log must have for the tile to exist.
    fn end(self) -> Option<u64> {
        let hashes = self
            .index
            .checked_mul(256)?
            .checked_add(self.width.into())?;
        hashes.checked_mul(256u64.checked_pow(self.level.into())?)
    }

    /// Tile `index` of a level in a log of `size` leaves, as wide as it can be; none if it is empty.
    pub fn in_log(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = hashes_at(level, size).checked_sub(index.checked_mul(256)?)?;
        let width = u16::try_from(hashes.min(FULL_WIDTH.into())).ok()?;
        Self::new(level, index, width).ok()
    }

    /// Whether a log of `size` leaves has this tile.
    pub fn is_in(self, size: u64) -> bool {
        self.end().is_some_and(|end| end <= size)
    }

    /// Level of tiles, from 0.
    pub fn level(self) -> u8 {
        self.level
    }

    /// Index within the level.
    pub fn index(self) -> u64 {
        self.index
    }

    /// Number of hashes, 1 to 256.
    pub fn width(self) -> u16 {
        self.width
    }

    /// Whether the tile has all of its 256 hashes and never changes again.
    pub fn is_full(self) -> bool {
        self.width == FULL_WIDTH
    }

    /// The full tile in the same place, which may be all that a log still has of a partial one.
    pub fn full(self) -> Result<Self, TileError> {
        Self::new(self.level, self.index, FULL_WIDTH)
    }
}

/// Its path.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TilePath::Hashes(*self).fmt(f)
    }
}

/// What a log serves below its prefix, besides the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TilePath {
    /// `tile/<L>/<N>[.p/<W>]`: hashes.
    Hashes(Tile),
    /// `tile/entries/<N>[.p/<W>]`: the entries whose hashes are in this tile of level 0.
    Entries(Tile),
}

impl TilePath {
    /// The tile that this is, or whose entries these are.
    pub fn tile(self) -> Tile {
        match self {
            Self::Hashes(at) | Self::Entries(at) => at,
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tile = match self {
            Self::Hashes(tile) => {
                write!(f, "tile/{}/", tile.level)?;
                tile
            }
            Self::Entries(tile) => {
                f.write_str("tile/entries/")?;
                tile
            }
        };
        let mut path = format!("{:03}", tile.index % 1000);
        let mut rest = tile.index / 1000;
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        f.write_str(&path)?;
        match tile.is_full() {
            true => Ok(()),
            false => write!(f, ".p/{}", tile.width),
        }
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    /// Reads a path without a leading slash. There is one way only to write it. Levels 8 to 63, which
    /// the specification has room for, are refused as well: no log is that large.
    fn from_str(path: &str) -> Result<Self, TileError> {
        let parsed = parse_path(path).ok_or(TileError::Path)??;
        match parsed.to_string() == path {
            true => Ok(parsed),
            false => Err(TileError::Path),
        }
    }
}

/// Accepts every path and more: what is written differently is for the caller to refuse.
fn parse_path(path: &str) -> Option<Result<TilePath, TileError>> {
    if path.len() > MAX_PATH_LEN {
        return None;
    }
    let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
    let (digits, width) = match place.split_once(".p/") {
        Some((digits, width)) => (digits, width.parse().ok()?),
        None => (place, FULL_WIDTH),
    };
    let index: u64 = digits.replace(['x', '/'], "").parse().ok()?;
    Some(match level {
        "entries" => Tile::new(0, index, width).map(TilePath::Entries),
        level => Tile::new(level.parse().ok()?, index, width).map(TilePath::Hashes),
    })
}

/// Number of hashes that the tiles of a level have together.
fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(HEIGHT.saturating_mul(level.into()))
        .unwrap_or(0)
}

/// Levels of tiles in the largest log.
pub(super) const LEVELS: u8 = 8;

/// The tiles that are new or wider once a log of `old` leaves has `new`: by level, then by index.
/// Those of level 0 are also the entry bundles that change.
pub fn changed_tiles(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    (0..LEVELS).flat_map(move |level| changed_at(level, old, new))
}

pub(super) fn changed_at(level: u8, old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let (from, to) = (hashes_at(level, old), hashes_at(level, new));
    let indices = match from < to {
        true => from / 256..to.div_ceil(256),
        false => 0..0,
    };
    indices.filter_map(move |index| Tile::in_log(level, index, new))
}

/// A tile with its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTile {
    /// Where it is.
    pub at: Tile,
    /// As many as its width says.
    pub hashes: Vec<HashValue>,
}

impl HashTile {
    /// Reads the hashes of the tile `at`, which must be exactly as many as its width.
    pub fn from_bytes(at: Tile, bytes: &[u8]) -> Result<Self, TileError> {
        let (hashes, rest) = bytes.as_chunks::<NH>();
        match rest.is_empty() && hashes.len() == usize::from(at.width) {
            true => Ok(Self {
                at,
                hashes: hashes.to_vec(),
            }),
            false => Err(TileError::Length {
                at,
                found: bytes.len(),
            }),
        }
    }

    /// The tile as it is stored and served.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }
}

/// Encodes up to 256 entries as a bundle: each behind its length in two bytes.
pub fn write_bundle<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, TileError> {
    let mut w = Writer::default();
    for entry in entries {
        w.opaque(Width::Two, entry.as_ref(), "entry");
    }
    Ok(w.finish()?)
}

/// Reads a bundle of exactly as many entries as the tile of level 0 has hashes. That they are the
/// entries of those hashes is left to check.
pub fn parse_bundle(at: Tile, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TileError> {
    let mut r = Reader::new(bytes);
    let entries = (0..at.width)
        .map(|_| r.opaque(Width::Two, "entry"))
        .collect::<Result<_, _>>()?;
    r.finish()?;
    Ok(entries)
}
