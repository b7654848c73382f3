//! The head log, as anyone sees it over HTTP.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use overt_protocol::codec::Decode;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tile::{HashTile, Tile, TilePath, changed_tiles, parse_bundle};
use overt_protocol::head_log::tiled_tree::TileHashes;
use overt_protocol::head_log::tree::{
    CompactRange, leaf_hash, prove_consistency, prove_inclusion, verify_consistency,
    verify_inclusion,
};
use overt_tests::{Server, User};

const TOKEN: &str = "a token for these tests";
const UPDATES: u32 = 300;

async fn get(url: &str, path: &str) -> (u16, Vec<u8>) {
    let answer = reqwest::get(format!("{url}/{path}")).await.unwrap();
    let status = answer.status().as_u16();
    if status == 200 {
        let cached = answer.headers().get("cache-control").unwrap();
        assert!(cached.to_str().unwrap().contains("immutable"));
    }
    (status, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn every_head_is_a_leaf() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--access", "token", "--batch-interval", "1ms"];
    let environment = [("OVERT_SERVER_TOKEN", TOKEN)];
    let server = Server::start(folder.path(), &arguments, &environment).unwrap();
    let url = server.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    for n in 0..UPDATES {
        user.update(&url, "alice", &n.to_be_bytes()).await.unwrap();
    }
    let tree = user.tree.as_ref().unwrap();
    let size = tree.tree_size();
    assert!(size > 256);

    let mut tiles = BTreeMap::new();
    let mut range = CompactRange::default();
    let config_hash = user.verifier.config().hash().unwrap();
    for at in changed_tiles(0, size) {
        let (status, bytes) = get(&url, &TilePath::Hashes(at).to_string()).await;
        assert_eq!(status, 200, "{at}");
        let tile = HashTile::from_bytes(at, &bytes).unwrap();
        if at.level() == 0 {
            let (_, bundle) = get(&url, &TilePath::Entries(at).to_string()).await;
            let entries = parse_bundle(at, &bundle).unwrap();
            let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
            assert_eq!(leaves, tile.hashes);
            for (index, entry) in (256 * at.index()..).zip(&entries) {
                let record = HeadRecord::from_bytes(entry, &()).unwrap();
                assert_eq!(record.config_hash, config_hash);
                assert_eq!(record.index(), Ok(index));
                if let Some(root) = user.heads.get(&record.tree_size) {
                    assert_eq!(record.root, *root);
                }
                range.push(leaf_hash(entry));
            }
        }
        tiles.insert(at, tile.hashes);
    }
    // The tiles above agree with the leaves.
    let whole = range.sized_root();
    let mut hashes = TileHashes::new(&mut tiles, size);
    let proof = prove_inclusion(&mut hashes, size - 2, size).unwrap();
    let entry = get(&url, &format!("tile/entries/001.p/{}", size - 256))
        .await
        .1;
    let entries = parse_bundle(Tile::new(0, 1, (size - 256) as u16).unwrap(), &entry).unwrap();
    let leaf = leaf_hash(&entries[entries.len() - 2]);
    verify_inclusion(&leaf, size - 2, &whole, &proof).unwrap();
    let mut first = CompactRange::default();
    for hash in &tiles[&Tile::new(0, 0, 256).unwrap()][..100] {
        first.push(*hash);
    }
    let mut hashes = TileHashes::new(&mut tiles, size);
    let proof = prove_consistency(&mut hashes, 100, size).unwrap();
    verify_consistency(&first.sized_root(), &whole, &proof).unwrap();

    for path in [
        "tile/0/002",
        "tile/0/001",
        "tile/1/000",
        "tile/0/0",
        "tile/entries/9",
        "tile/x",
    ] {
        assert_eq!(get(&url, path).await.0, 404, "{path}");
    }
    // After a restart, the same.
    let before = get(&url, "tile/1/000.p/1").await;
    server.kill().unwrap();
    let server = Server::start(folder.path(), &arguments, &environment).unwrap();
    assert_eq!(get(&server.url, "tile/1/000.p/1").await, before);
}
