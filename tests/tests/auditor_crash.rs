//! `kill -9` of the auditor at random moments under load: everything that it ever signed is collected
//! from outside, and never are there two roots for one size, nor does it go back.
//! `OVERT_CRASHES` sets how often.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use overt_protocol::head_log::checkpoint::{Checkpoint, SignedCheckpoint};
use overt_protocol::head_log::key::{SignatureType, SignerKey, VerifierKey};
use overt_protocol::head_log::tile::Tile;
use overt_protocol::head_log::tiled_tree::{TileHashes, append_to_tiles};
use overt_protocol::head_log::tree::{SizedRoot, leaf_hash, prove_consistency};
use overt_protocol::head_log::witness::{
    AddCheckpoint, monitoring_path, parse_response, parse_size,
};
use overt_protocol::wire::HashValue;
use overt_tests::{Auditor, AuditorPlace, Server, User, get, published_keys};
use rand::RngExt;

const TOKEN: &str = "a token for the auditor's crash test";
/// Logs in each round whose key two people use for two trees at once.
const LOGS: usize = 4;
/// How far such a log grows.
const LEAVES: u64 = 24;

fn log_key(number: usize) -> SignerKey {
    let origin = format!("log.example/{number}");
    SignerKey::from_seed(&origin, SignatureType::Ed25519, &[9; 32]).unwrap()
}

/// One of two trees with the same key.
struct Tree {
    key: SignerKey,
    leaves: Vec<HashValue>,
}

impl Tree {
    fn new(number: usize, side: u8) -> Self {
        let leaf = |n: u64| leaf_hash(&[&n.to_be_bytes()[..], &[side]].concat());
        Self {
            key: log_key(number),
            leaves: (0..LEAVES).map(leaf).collect(),
        }
    }

    fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        let count = usize::try_from(size).unwrap();
        let mut range = overt_protocol::head_log::tree::CompactRange::default();
        for leaf in &self.leaves[..count] {
            range.push(*leaf);
        }
        let checkpoint = Checkpoint::new(self.key.verifier().name(), range.sized_root());
        SignedCheckpoint::sign(checkpoint.unwrap(), std::slice::from_ref(&self.key)).unwrap()
    }

    fn request(&self, old: u64, new: u64) -> String {
        let count = usize::try_from(new).unwrap();
        let mut none = BTreeMap::<Tile, Vec<HashValue>>::new();
        let tiles = append_to_tiles(&mut none, 0, &self.leaves[..count]).unwrap();
        let tiles: BTreeMap<_, _> = tiles
            .into_iter()
            .map(|tile| (tile.at, tile.hashes))
            .collect();
        let request = AddCheckpoint {
            old_size: old,
            consistency: prove_consistency(&mut TileHashes::new(tiles, new), old, new).unwrap(),
            checkpoint: self.checkpoint(new),
        };
        request.to_string()
    }
}

/// Everything that was signed, as it was seen from outside.
#[derive(Default)]
struct Signed {
    /// By role and origin.
    roots: BTreeMap<(String, String), BTreeMap<u64, HashValue>>,
    count: usize,
}

impl Signed {
    /// Notes what a key of `role` signed.
    fn note(&mut self, role: &str, checkpoint: &Checkpoint) {
        let SizedRoot { size, root } = checkpoint.tree();
        let log = (role.to_owned(), checkpoint.origin().to_owned());
        let known = *self
            .roots
            .entry(log)
            .or_default()
            .entry(size)
            .or_insert(root);
        assert_eq!(known, root, "{role} signed two roots of size {size}");
        self.count += 1;
    }

    fn greatest(&self, role: &str, origin: &str) -> u64 {
        let log = (role.to_owned(), origin.to_owned());
        let sizes = self.roots.get(&log).and_then(BTreeMap::last_key_value);
        sizes.map_or(0, |(size, _)| *size)
    }
}

/// What all tasks share.
struct World {
    auditor: String,
    directory: String,
    origin: String,
    keys: Vec<VerifierKey>,
    http: reqwest::Client,
    signed: Mutex<Signed>,
}

impl World {
    /// What the auditor says that it cosigned last; none if it is not reached, or nothing.
    async fn latest(&self, role: &str, origin: &str) -> Option<Checkpoint> {
        let path = format!("/{role}/{}", monitoring_path(origin));
        let (status, note) = get(&self.auditor, &path).await.ok()?;
        let signed = (status == 200).then(|| SignedCheckpoint::parse(&note).unwrap())?;
        let suffix = format!("/{role}");
        let keys = self.keys.iter().filter(|key| key.name().ends_with(&suffix));
        assert_eq!(
            signed.verify(keys).unwrap().len(),
            2,
            "one of each algorithm"
        );
        Some(signed.checkpoint().clone())
    }

    /// Nothing that was signed before is taken back.
    async fn check(&self, role: &str, origin: &str) {
        let greatest = self.signed.lock().unwrap().greatest(role, origin);
        let latest = self.latest(role, origin).await;
        let size = latest.as_ref().map_or(0, |latest| latest.tree().size);
        assert!(
            size >= greatest,
            "{role} of {origin}: {size} after {greatest}"
        );
        if let Some(latest) = latest {
            self.signed.lock().unwrap().note(role, &latest);
        }
    }
}

/// Has a tree cosigned, further and further, until the auditor is gone or refuses.
async fn race(world: Arc<World>, tree: Tree) {
    let url = format!("{}/witness/add-checkpoint", world.auditor);
    let (mut old, mut new) = (0, 1);
    while new <= LEAVES {
        let answer = world
            .http
            .post(&url)
            .body(tree.request(old, new))
            .send()
            .await;
        let Ok(answer) = answer else { return };
        let status = answer.status().as_u16();
        let Ok(body) = answer.bytes().await else {
            return;
        };
        match status {
            200 => {
                let checkpoint = tree.checkpoint(new);
                let lines = parse_response(&body, &checkpoint, &world.keys).unwrap();
                assert_eq!(lines.len(), 2);
                let mut signed = world.signed.lock().unwrap();
                signed.note("witness", checkpoint.checkpoint());
                old = new;
                new += 1;
            }
            409 => {
                old = parse_size(&body).unwrap();
                new = new.max(old + 1);
            }
            // The other tree was first.
            403 | 422 => return,
            other => panic!("{other}"),
        }
    }
}

/// Collects what the auditor cosigned of the directory, wherever it shows, until it is gone.
async fn collect(world: Arc<World>) {
    loop {
        for role in ["auditor", "witness"] {
            if let Some(latest) = world.latest(role, &world.origin).await {
                world.signed.lock().unwrap().note(role, &latest);
            }
        }
        if let Ok((200, note)) = get(&world.directory, "/checkpoint").await {
            let shown = SignedCheckpoint::parse(&note).unwrap();
            if shown.verify(&world.keys).is_ok() {
                let mut signed = world.signed.lock().unwrap();
                signed.note("auditor", shown.checkpoint());
            }
        }
        if get(&world.auditor, "/healthz").await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn until_up(world: &World) {
    for _ in 0..500 {
        if get(&world.auditor, "/healthz").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the auditor does not come up");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments() {
    let crashes: usize = std::env::var("OVERT_CRASHES").map_or(10, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut place = AuditorPlace::new("auditor.example.org", &folder.path().join("a")).unwrap();
    for number in 0..crashes * LOGS {
        let key = log_key(number).verifier().to_string();
        place.more += &format!("[[log]]\nkeys = [{key:?}]\n");
    }
    let public = Auditor::public_key(&place.folder).unwrap();
    let lines = place.policy_lines().unwrap();
    let policy = folder.path().join("policy");
    std::fs::write(&policy, format!("{lines}quorum auditor.example.org\n")).unwrap();
    let policy = policy.display().to_string();
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_WITNESS_POLICY", &policy),
        ("OVERT_SERVER_MODE", "third-party-auditing"),
        ("OVERT_SERVER_AUDITOR_PUBLIC_KEY", &public),
    ];
    let arguments = ["--access", "token", "--batch-interval", "5ms"];
    let server = Server::start(&folder.path().join("d"), &arguments, &environment).unwrap();

    let auditor = place.start(&server.url).unwrap();
    let keys = {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok((200, lines)) = get(&place.url(), "/keys").await {
                let lines = String::from_utf8(lines).unwrap();
                break lines.lines().map(|line| line.parse().unwrap()).collect();
            }
            assert!(Instant::now() < deadline, "the auditor does not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let log_keys = published_keys(&server.url).await.unwrap();
    let world = Arc::new(World {
        auditor: place.url(),
        directory: server.url.clone(),
        origin: log_keys[0].name().to_owned(),
        keys,
        http: reqwest::Client::new(),
        signed: Mutex::default(),
    });
    overt_tests::wait_for(&server.url, "/readyz").await.unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    auditor.kill().unwrap();

    let mut longest = Duration::ZERO;
    let mut updates = 0;
    for round in 0..crashes {
        let auditor = place.start(&server.url).unwrap();
        until_up(&world).await;
        for role in ["auditor", "witness"] {
            world.check(role, &world.origin).await;
        }
        let first = round.saturating_sub(1) * LOGS;
        for number in first..round * LOGS {
            world
                .check("witness", log_key(number).verifier().name())
                .await;
        }
        // Published only once the auditor has cosigned again.
        let started = Instant::now();
        let value = format!("round {round}");
        while let Err(error) = user.update(&server.url, "alice", value.as_bytes()).await {
            assert!(started.elapsed() < Duration::from_secs(30), "{error:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            // Whether it was made after all is not known here.
            user.own(&server.url, "alice").await.ok();
        }
        updates += 1;
        longest = longest.max(started.elapsed());
        let mut tasks = vec![tokio::spawn(collect(Arc::clone(&world)))];
        for number in round * LOGS..(round + 1) * LOGS {
            for side in 0..2 {
                let tree = Tree::new(number, side);
                tasks.push(tokio::spawn(race(Arc::clone(&world), tree)));
            }
        }
        let pause = rand::rng().random_range(0..60);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        auditor.kill().unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    }

    let auditor = place.start(&server.url).unwrap();
    until_up(&world).await;
    for role in ["auditor", "witness"] {
        world.check(role, &world.origin).await;
    }
    let fine = |said: &serde_json::Value| said["state"] == "followed";
    auditor.status(fine).await.unwrap();
    let signed = world.signed.lock().unwrap();
    let logs = signed.roots.len();
    println!(
        "{crashes} kills: {} cosignatures of {logs} logs, one root for each size, none taken back; \
         {updates} updates, the longest {longest:?} after a start",
        signed.count
    );
    assert!(signed.count > crashes && logs > crashes * LOGS / 2);
}
