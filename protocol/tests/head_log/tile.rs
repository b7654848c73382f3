//! Tiles against tlog-tiles, and the tree computed from them against the model.

use std::collections::BTreeMap;

use overt_protocol::head_log::tile::*;
use overt_protocol::head_log::tiled_tree::*;
use overt_protocol::head_log::tree::*;
use overt_protocol::log_tree::Subtree;
use overt_protocol::wire::HashValue;
use proptest::collection::vec;
use proptest::prelude::*;
use rs_merkle::{Hasher, MerkleTree};

use crate::model::Log;

type Tiles = BTreeMap<Tile, Vec<HashValue>>;

/// All tiles that a log had while it grew to these sizes, one after the other.
fn grown(log: &Log, sizes: impl IntoIterator<Item = u64>) -> Tiles {
    let mut tiles = Tiles::new();
    let mut old = 0;
    for new in sizes {
        let leaves = &log.0[old as usize..new as usize];
        let changed = append_to_tiles(&mut tiles, old, leaves).unwrap();
        let places: Vec<_> = changed.iter().map(|tile| tile.at).collect();
        assert_eq!(places, changed_tiles(old, new).collect::<Vec<_>>());
        tiles.extend(changed.into_iter().map(|tile| (tile.at, tile.hashes)));
        old = new;
    }
    tiles
}

fn tile(level: u8, index: u64, width: u16) -> Tile {
    Tile::new(level, index, width).unwrap()
}

/// The examples of tlog-tiles, "Merkle Tree" and "Partial Tiles".
#[test]
fn examples_of_the_specification() {
    let path = TilePath::Hashes(tile(0, 1_234_067, 256));
    assert_eq!(path.to_string(), "tile/0/x001/x234/067");

    let mut expected: Vec<_> = (0..273).map(|n| tile(0, n, 256)).collect();
    expected.extend([
        tile(0, 273, 112),
        tile(1, 0, 256),
        tile(1, 1, 17),
        tile(2, 0, 1),
    ]);
    assert_eq!(changed_tiles(0, 70_000).collect::<Vec<_>>(), expected);
    let of_256: Vec<_> = changed_tiles(0, 256).collect();
    assert_eq!(of_256, [tile(0, 0, 256), tile(1, 0, 1)]);
}

#[test]
fn paths() {
    let entries = |index, width| TilePath::Entries(tile(0, index, width));
    let hashes = |level, index, width| TilePath::Hashes(tile(level, index, width));
    for (path, parsed) in [
        ("tile/0/000", hashes(0, 0, 256)),
        ("tile/0/000.p/1", hashes(0, 0, 1)),
        ("tile/2/x001/000.p/255", hashes(2, 1000, 255)),
        ("tile/7/000.p/255", hashes(7, 0, 255)),
        ("tile/entries/999", entries(999, 256)),
        ("tile/entries/x123/x456/789.p/17", entries(123_456_789, 17)),
        (
            "tile/0/x072/x057/x594/x037/x927/934",
            hashes(0, 72_057_594_037_927_934, 256),
        ),
    ] {
        assert_eq!(path.parse(), Ok(parsed));
        assert_eq!(parsed.to_string(), path);
    }
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/x00/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x001x000",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/0/+00",
        "tile/256/000",
        "tile/entry/000",
        "tile/Entries/000",
        "tile/0/000.p/",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/256",
        "tile/0/000.p/65537",
        "tile/0/000.p/1.p/1",
        "tile/0/000p/1",
        "tile/0/000.p",
        "tile/0/ 00",
        "tile/0/00\u{661}",
        "tile/0/x001/234.P/5",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/000",
    ] {
        assert_eq!(path.parse::<TilePath>(), Err(TileError::Path), "{path}");
    }
    // Well written, but in no log of less than 2^64 entries, or of no width.
    for path in [
        "tile/8/000",
        "tile/63/000.p/1",
        "tile/7/000",
        "tile/7/001.p/1",
        "tile/0/000.p/0",
        "tile/0/x072/x057/x594/x037/x927/935",
        "tile/entries/x072/x057/x594/x037/x927/936.p/1",
    ] {
        let refused = path.parse::<TilePath>().unwrap_err();
        assert_eq!(refused.check(), "tile-range", "{path}");
    }
}

#[test]
fn tiles_hold_what_the_specification_says() {
    let mut log = Log::numbers(70_000);
    let tiles = grown(&log, [70_000]);
    assert_eq!(tiles.len(), 277);
    for (at, hashes) in tiles {
        let first = at.index() * 256;
        for (i, hash) in (first..).zip(&hashes) {
            let level = 8 * u32::from(at.level());
            assert_eq!(log.hash(Subtree { level, index: i }), Ok(*hash));
        }
        let tile = HashTile { at, hashes };
        let bytes = tile.to_bytes();
        assert_eq!(bytes.len(), usize::from(at.width()) * 32);
        assert_eq!(HashTile::from_bytes(at, &bytes), Ok(tile));
        for bad in [&bytes[1..], &bytes[32..], &[&bytes[..], &[0; 32]].concat()] {
            let refused = HashTile::from_bytes(at, bad).unwrap_err();
            assert_eq!(refused.check(), "tile-length");
        }
    }
}

#[test]
fn changes_are_none_without_growth() {
    for size in [0, 1, 255, 256, 257, 70_000, u64::MAX] {
        assert_eq!(changed_tiles(size, size).next(), None);
        assert_eq!(changed_tiles(size, size / 2).next(), None);
    }
    assert_eq!(append_to_tiles(&mut Tiles::new(), 300, &[]), Ok(Vec::new()));
    let full = append_to_tiles(&mut Tiles::new(), u64::MAX, &[[0; 32]]);
    assert_eq!(full.unwrap_err().check(), "head-log-index");
}

/// Proofs from tiles are those of the model at every size, whatever steps the log grew in.
#[test]
fn proofs_from_tiles() {
    let mut log = Log::numbers(520);
    let tiles = grown(&log, 1..=520);
    for size in (1..=520).step_by(7).chain(250..260).chain(510..=520) {
        let mut hashes = TileHashes::new(tiles.clone(), size);
        let range = CompactRange::read(&mut hashes, size).unwrap();
        assert_eq!(range.sized_root(), log.at(size));
        for index in 0..size {
            let proof = prove_inclusion(&mut hashes, index, size).unwrap();
            assert_eq!(Ok(proof), prove_inclusion(&mut log, index, size));
        }
        for old in 0..=size {
            let proof = prove_consistency(&mut hashes, old, size).unwrap();
            assert_eq!(Ok(proof), prove_consistency(&mut log, old, size));
        }
    }
}

#[test]
fn the_wanted_tiles_suffice_and_are_few() {
    let log = Log::numbers(70_000);
    let tiles = grown(&log, [69_000, 70_000]);
    let mut wanted = WantedTiles::default();
    let zeroes = prove_consistency(&mut TileHashes::new(&mut wanted, 70_000), 68_999, 70_000);
    let fetched: Tiles = wanted.0.iter().map(|at| (*at, tiles[at].clone())).collect();
    assert_eq!(fetched.len(), 4);
    let mut hashes = TileHashes::new(fetched, 70_000);
    let proof = prove_consistency(&mut hashes, 68_999, 70_000).unwrap();
    assert_eq!(proof.len(), zeroes.unwrap().len());
    let (old, new) = (log.at(68_999), log.at(70_000));
    assert_eq!(verify_consistency(&old, &new, &proof), Ok(()));
}

#[test]
fn missing_and_damaged_tiles_are_errors() {
    let log = Log::numbers(600);
    let tiles = grown(&log, [600]);
    for at in tiles.keys().filter(|at| at.level() == 0) {
        let mut missing = tiles.clone();
        missing.remove(at);
        let mut short = tiles.clone();
        short.get_mut(at).unwrap().pop();
        for damaged in [missing, short] {
            let mut hashes = TileHashes::new(damaged, 600);
            let refused = prove_inclusion(&mut hashes, at.index() * 256, 600);
            assert_eq!(refused, Err(TileError::Missing(*at)));
        }
    }
    let begun = tile(0, 2, 88);
    let mut short = tiles.clone();
    short.get_mut(&begun).unwrap().pop();
    for mut damaged in [short, Tiles::new()] {
        let refused = append_to_tiles(&mut damaged, 600, &[[0; 32]]);
        assert_eq!(refused, Err(TileError::Missing(begun)));
    }
    // Not within the log.
    let mut hashes = TileHashes::new(tiles, 600);
    for (level, index) in [
        (0, 600),
        (1, 300),
        (8, 2),
        (9, 1),
        (10, 0),
        (64, 0),
        (200, 0),
    ] {
        let refused = hashes.hash(Subtree { level, index });
        assert_eq!(
            refused.unwrap_err().check(),
            "head-log-index",
            "{level} {index}"
        );
    }
}

#[test]
fn bundles() {
    let entries = [&b""[..], b"a", &[7; 0xffff]];
    let bytes = write_bundle(&entries).unwrap();
    assert_eq!(bytes[..5], [0, 0, 0, 1, b'a']);
    assert_eq!(parse_bundle(tile(0, 9, 3), &bytes).unwrap(), entries);
    for (width, bytes) in [
        (2, &bytes[..]),
        (4, &bytes[..]),
        (3, &bytes[..bytes.len() - 1]),
        (3, &[&bytes[..], &[0]].concat()),
        (1, &[]),
        (1, &[0]),
    ] {
        let refused = parse_bundle(tile(0, 9, width), bytes).unwrap_err();
        assert_eq!(refused.check(), "entry-bundle");
    }
    let refused = write_bundle(&[vec![0; 0x1_0000]]).unwrap_err();
    assert_eq!(refused.check(), "entry-bundle-limits");
    let largest = write_bundle(&vec![vec![0; 0xffff]; 256]).unwrap();
    assert_eq!(largest.len(), MAX_BUNDLE_LEN);
}

#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = HashValue;

    fn hash(data: &[u8]) -> HashValue {
        leaf_hash(data)
    }

    fn concat_and_hash(left: &HashValue, right: Option<&HashValue>) -> HashValue {
        right.map_or(*left, |right| node_hash(left, right))
    }
}

/// What others wrote agrees about roots and about paths.
#[test]
fn a_second_opinion() {
    let mut log = Log::numbers(257);
    for size in 1..=257 {
        let theirs = MerkleTree::<Rfc6962>::from_leaves(&log.0[..size]);
        let mut range = CompactRange::default();
        log.0[..size].iter().for_each(|leaf| range.push(*leaf));
        assert_eq!(theirs.root(), Some(range.sized_root().root));
        for index in [0, size / 2, size - 1] {
            let path = theirs.proof(&[index]).proof_hashes().to_vec();
            assert_eq!(
                prove_inclusion(&mut log, index as u64, size as u64),
                Ok(path)
            );
        }
    }
}

fn places() -> impl Strategy<Value = Tile> {
    let place = (0u8..8, any::<u64>(), 0u32..64, 1u16..=256);
    place.prop_filter_map("in a log", |(level, index, shift, width)| {
        Tile::new(level, index >> shift, width).ok()
    })
}

proptest! {
    #[test]
    fn paths_are_read_back(at in places()) {
        for path in [TilePath::Hashes(at), TilePath::Entries(tile(0, at.index(), at.width()))] {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn bundles_are_read_back(entries in vec(vec(any::<u8>(), 0..50), 1..=256)) {
        let at = tile(0, 0, entries.len() as u16);
        let bytes = write_bundle(&entries).unwrap();
        prop_assert_eq!(parse_bundle(at, &bytes), Ok(entries));
    }

    #[test]
    fn steps_do_not_matter(steps in vec(1u64..400, 1..6)) {
        let sizes: Vec<_> = steps.iter().scan(0, |sum, n| { *sum += n; Some(*sum) }).collect();
        let end = *sizes.last().unwrap();
        let log = Log::numbers(end);
        let (stepwise, at_once) = (grown(&log, sizes), grown(&log, [end]));
        for (at, hashes) in at_once {
            prop_assert_eq!(&stepwise[&at], &hashes);
        }
    }
}
