//! The copy of the head log: whole at any moment, never ahead of what is published, and the same
//! bytes as over HTTP.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use overt_protocol::codec::Decode;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::tile::{HashTile, TilePath, changed_tiles, parse_bundle};
use overt_protocol::head_log::tiled_tree::TileHashes;
use overt_protocol::head_log::tree::{CompactRange, SizedRoot, leaf_hash};
use overt_protocol::wire::TreeHead;
use overt_tests::{Mood, Server, Witness, get, published_keys, wait_for};
use rand::RngExt;

const PADDING: (&str, &str) = ("OVERT_SERVER_PADDING", "10ms");

/// A directory and its mirror, in one folder.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn mirror(&self) -> std::path::PathBuf {
        self.0.path().join("mirror/overt")
    }

    /// Starts a directory that is mirrored there.
    fn start(&self, data_dir: &str, more: &[(&str, &str)]) -> Server {
        let mirror = self.mirror().display().to_string();
        let environment = [&[("OVERT_SERVER_MIRROR", mirror.as_str())], more].concat();
        Server::start(&self.0.path().join(data_dir), &[], &environment).unwrap()
    }

    fn checkpoint(&self) -> Vec<u8> {
        std::fs::read(self.mirror().join("checkpoint")).unwrap_or_default()
    }

    fn size(&self) -> u64 {
        let checkpoint = self.checkpoint();
        match checkpoint.is_empty() {
            true => 0,
            false => tree(&checkpoint).size,
        }
    }

    /// Tiles and bundles that are there, in whatever state.
    fn files(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.mirror()];
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(folder).unwrap() {
                let file = file.unwrap();
                match file.file_type().unwrap().is_dir() {
                    true => folders.push(file.path()),
                    false => {
                        let path = file.path();
                        let path = path.strip_prefix(self.mirror()).unwrap();
                        found.insert(path.display().to_string());
                    }
                }
            }
        }
        found
    }

    fn tiles(&self) -> Vec<TilePath> {
        let files = self.files();
        files.iter().filter_map(|path| path.parse().ok()).collect()
    }

    /// Checks that everything is there that the checkpoint needs, and agrees with it.
    fn check(&self) {
        let size = self.size();
        let mut tiles = BTreeMap::new();
        let mut range = CompactRange::default();
        for at in changed_tiles(0, size) {
            let read = |path: TilePath| std::fs::read(self.mirror().join(path.to_string()));
            let tile = HashTile::from_bytes(at, &read(TilePath::Hashes(at)).unwrap()).unwrap();
            if at.level() == 0 {
                let entries = parse_bundle(at, &read(TilePath::Entries(at)).unwrap()).unwrap();
                let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
                assert_eq!(leaves, tile.hashes);
                leaves.into_iter().for_each(|leaf| range.push(leaf));
            }
            tiles.insert(at, tile.hashes);
        }
        if size > 0 {
            let whole = tree(&self.checkpoint());
            assert_eq!(range.sized_root(), whole);
            let mut hashes = TileHashes::new(&mut tiles, size);
            let from_tiles = CompactRange::read(&mut hashes, size).unwrap();
            assert_eq!(from_tiles.sized_root(), whole);
        }
    }

    /// Waits until the mirror has the published checkpoint.
    async fn wait(&self, server: &Server) {
        until("the mirror follows", async || {
            let (status, published) = get(&server.url, "/checkpoint").await.unwrap();
            status == 200 && self.checkpoint() == published
        })
        .await;
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("in vain: {what}");
}

async fn is_refused(server: &Server) -> bool {
    let (_, metrics) = get(&server.url, "/metrics").await.unwrap();
    String::from_utf8_lossy(&metrics).contains("overt_mirror_failures_total")
}

fn tree(checkpoint: &[u8]) -> SizedRoot {
    let checkpoint = SignedCheckpoint::parse(checkpoint).unwrap();
    checkpoint.checkpoint().tree()
}

async fn published(server: &Server) -> u64 {
    let (_, checkpoint) = get(&server.url, "/checkpoint").await.unwrap();
    tree(&checkpoint).size
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments() {
    let world = World::new();
    let mut crashes = 0;
    while world.size() < 300 || crashes < 8 {
        let server = world.start("data", &[PADDING]);
        let lifetime = Duration::from_millis(rand::rng().random_range(50..500));
        let end = tokio::time::Instant::now() + lifetime;
        while tokio::time::Instant::now() < end {
            let copied = world.size();
            assert!(copied <= published(&server).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill().unwrap();
        world.check();
        crashes += 1;
        assert!(crashes < 400, "the log does not grow");
    }
    let server = world.start("data", &[]);
    world.wait(&server).await;
    world.check();
    let size = world.size();
    for at in changed_tiles(0, size) {
        let entries = (at.level() == 0).then_some(TilePath::Entries(at));
        for path in entries.into_iter().chain([TilePath::Hashes(at)]) {
            let path = path.to_string();
            let (status, served) = get(&server.url, &format!("/{path}")).await.unwrap();
            assert_eq!(status, 200, "{path}");
            assert_eq!(std::fs::read(world.mirror().join(&path)).unwrap(), served);
        }
    }
    // What led to full tiles does not pile up.
    for path in world.tiles() {
        let is_needed = path.tile().is_full() || !path.tile().full().unwrap().is_in(size);
        assert!(is_needed, "{path}");
    }
    // An emptied mirror is filled again.
    server.stop().unwrap();
    std::fs::remove_dir_all(world.mirror()).unwrap();
    let server = world.start("data", &[]);
    world.wait(&server).await;
    world.check();
    assert!(world.size() >= size);
}

#[tokio::test(flavor = "multi_thread")]
async fn never_ahead_of_the_witnesses() {
    let world = World::new();
    let witness = Witness::start("one").await.unwrap();
    let policy = world.0.path().join("policy");
    std::fs::write(&policy, format!("{}quorum one-0\n", witness.policy_lines())).unwrap();
    let policy = policy.display().to_string();
    let environment = [
        PADDING,
        ("OVERT_SERVER_WITNESS_POLICY", policy.as_str()),
        ("OVERT_SERVER_WITNESS_TIMEOUT", "200ms"),
        ("OVERT_SERVER_QUORUM_TIMEOUT", "200ms"),
    ];
    let server = world.start("data", &environment);
    witness.trust(published_keys(&server.url).await.unwrap());
    wait_for(&server.url, "/checkpoint").await.unwrap();
    witness.set_mood(Mood::Broken);
    // Until those that were cosigned before are published.
    let mut held = 0;
    while published(&server).await > held {
        held = published(&server).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    until("auditors see more", async || {
        let (_, head) = get(&server.url, "/v1/tree-head").await.unwrap();
        TreeHead::from_bytes(&head, &()).unwrap().tree_size > held + 10
    })
    .await;
    world.wait(&server).await;
    world.check();
    assert_eq!(world.size(), held);
    assert!(world.tiles().iter().all(|path| path.tile().is_in(held)));
    witness.set_mood(Mood::Honest);
    until("the mirror goes on", async || world.size() > held).await;
    server.kill().unwrap();
    world.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_of_another_log_is_left_alone() {
    let world = World::new();
    let server = world.start("data", &[]);
    world.wait(&server).await;
    server.stop().unwrap();
    let (files, checkpoint) = (world.files(), world.checkpoint());
    // One with the same name and more entries.
    let server = world.start("other", &[PADDING]);
    until("it grows", async || published(&server).await >= 20).await;
    until("it is said", async || is_refused(&server).await).await;
    server.stop().unwrap();
    assert_eq!((world.files(), world.checkpoint()), (files, checkpoint));
    // And an older copy of this log.
    let ahead = world.0.path().join("ahead");
    copy(&world.0.path().join("data"), &ahead);
    let server = world.start("data", &[PADDING]);
    until("it is mirrored", async || world.size() >= 20).await;
    server.stop().unwrap();
    let checkpoint = world.checkpoint();
    let server = world.start("ahead", &[]);
    until("it is said", async || is_refused(&server).await).await;
    server.stop().unwrap();
    assert_eq!(world.checkpoint(), checkpoint);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy(&file.path(), &to),
            false => drop(std::fs::copy(file.path(), to).unwrap()),
        }
    }
}
