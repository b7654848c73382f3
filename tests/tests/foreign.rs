//! Programs that are not ours agree with the head log: its tiles, trees, proofs, checkpoints and
//! cosignatures. `--nocapture` prints which ones were used.
//!
//! Two crates are linked in. Two programs come from PyPI, by one separate author: a witness cosigns
//! the log over loopback, and a verifier checks what comes out. They need Python with `venv` and the
//! network, or a folder of wheels in `OVERT_TEST_WHEELS`; without Python that part is left out, and
//! says so.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs
)]

use std::collections::HashMap;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof};
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::{SignatureType, SignerKey, VerifierKey};
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::head_log::tree::{
    leaf_hash, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use overt_protocol::head_log::witness::{
    AddCheckpoint, Refusal, monitoring_path, parse_response, parse_size,
};
use overt_tests::{HeadLog, Server, User, log_keys, log_settings};
use sha2::Sha256;
use tlog_tiles::{Hash, TileHashReader, TileReader, check_record, check_tree, tree_hash};

const TOKEN: &str = "a token for these tests";
const ORIGIN: &str = "keys.example.org/foreign";

/// A running directory, and its head log of more than one tile.
struct Log {
    server: Server,
    log: HeadLog,
    checkpoint: SignedCheckpoint,
    _folder: tempfile::TempDir,
}

/// Starts a directory. Its last heads are published once this policy is met, if there is one.
async fn log(policy: Option<&str>) -> Log {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--access", "token", "--batch-interval", "1ms"];
    let settings = log_settings(ORIGIN, 1);
    let mut environment = vec![("OVERT_SERVER_TOKEN", TOKEN)];
    environment.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let mut server = Server::start(folder.path(), &arguments, &environment).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    for n in 0..290u32 {
        if n == 270 && policy.is_some() {
            environment.extend(policy.map(|policy| ("OVERT_SERVER_WITNESS_POLICY", policy)));
            server.stop().unwrap();
            server = Server::start(folder.path(), &arguments, &environment).unwrap();
        }
        let value = n.to_be_bytes();
        user.update(&server.url, "alice", &value).await.unwrap();
    }
    let checkpoint = format!("{}/checkpoint", server.url);
    let checkpoint = SignedCheckpoint::parse(&get(&checkpoint).await).unwrap();
    let tree = checkpoint.checkpoint().tree();
    assert_eq!(tree.size, user.tree.as_ref().unwrap().tree_size());
    let log = HeadLog::read(&reqwest::Client::new(), &server.url, tree.size)
        .await
        .unwrap();
    assert_eq!(log.at(log.entries.len()), tree);
    Log {
        server,
        log,
        checkpoint,
        _folder: folder,
    }
}

async fn get(url: &str) -> Vec<u8> {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.bytes().await.unwrap().to_vec()
}

/// The tiles of a log, as `tlog_tiles` asks for them.
struct Tiles(HashMap<String, Vec<u8>>);

/// Its paths have the height of tiles in them, as those of Go's module mirror.
fn c2sp_path(tile: &tlog_tiles::Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}

impl TileReader for Tiles {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile| self.0.get(&c2sp_path(tile)).cloned();
        let found = tiles.iter().map(read).collect::<Option<_>>();
        found.ok_or(tlog_tiles::Error::InvalidTile)
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[tokio::test]
async fn tlog_tiles_reads_our_tiles_and_proofs() {
    let Log {
        server,
        mut log,
        checkpoint,
        ..
    } = log(None).await;
    let size = log.entries.len() as u64;
    let mut tiles = HashMap::new();
    for tile in tlog_tiles::Tile::new_tiles(8, 0, size) {
        let path = c2sp_path(&tile);
        let bytes = get(&format!("{}/{path}", server.url)).await;
        tiles.insert(path, bytes);
    }
    let tiles = Tiles(tiles);
    let text = checkpoint.note().text();
    let read = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(
        (read.origin(), read.size(), read.extension()),
        (ORIGIN, size, "")
    );
    assert_eq!(read.to_bytes(), text.as_bytes());
    // The tiles lead to the checkpoint's root: its reader authenticates each.
    let root = *read.hash();
    let reader = TileHashReader::new(size, root, &tiles);
    assert_eq!(tree_hash(size, &reader).unwrap(), root);
    let foreign = |hashes: Vec<[u8; 32]>| hashes.into_iter().map(Hash).collect::<Vec<_>>();
    for index in [0, 1, 255, 256, size - 2, size - 1] {
        let leaf = leaf_hash(&log.entries[index as usize]);
        let ours = foreign(prove_inclusion(&mut log, index, size).unwrap());
        assert_eq!(
            tlog_tiles::prove_record(size, index, &reader).unwrap(),
            ours
        );
        check_record(&ours, size, root, index, Hash(leaf)).unwrap();
        check_record(&ours, size, root, index, Hash([9; 32])).unwrap_err();
    }
    for old in [1, 2, 255, 256, 257, size - 1] {
        let ours = foreign(prove_consistency(&mut log, old, size).unwrap());
        assert_eq!(tlog_tiles::prove_tree(size, old, &reader).unwrap(), ours);
        let before = Hash(log.at(old as usize).root);
        check_tree(&ours, size, root, old, before).unwrap();
        check_tree(&ours, size, root, old, Hash([9; 32])).unwrap_err();
    }
    println!("used: crate tlog_tiles 0.2: checkpoint, tiles, inclusion and consistency proofs");
}

#[tokio::test]
async fn ct_merkle_has_the_same_tree() {
    let Log { mut log, .. } = log(None).await;
    let size = log.entries.len() as u64;
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut roots = Vec::new();
    for (n, entry) in log.entries.iter().enumerate() {
        theirs.push(entry.clone());
        roots.push(theirs.root());
        assert_eq!(theirs.root().as_bytes()[..], log.at(n + 1).root);
    }
    let (root, tree) = (theirs.root(), log.at(log.entries.len()));
    for index in [0, 1, 255, 256, size - 1] {
        let entry = log.entries[index as usize].clone();
        let ours = prove_inclusion(&mut log, index, size).unwrap();
        let proof = InclusionProof::try_from_bytes(ours.concat()).unwrap();
        root.verify_inclusion(&entry, index, &proof).unwrap();
        root.verify_inclusion(&b"another", index, &proof)
            .unwrap_err();
        let proof = theirs.prove_inclusion(index as usize);
        let hashes: Vec<[u8; 32]> = proof.as_bytes().as_chunks().0.to_vec();
        verify_inclusion(&leaf_hash(&entry), index, &tree, &hashes).unwrap();
    }
    for old in [1, 2, 255, 256, 257, size - 1] {
        let ours = prove_consistency(&mut log, old, size).unwrap();
        let proof = ConsistencyProof::try_from_bytes(ours.concat()).unwrap();
        let before = &roots[old as usize - 1];
        root.verify_consistency(before, &proof).unwrap();
        let proof = theirs.prove_consistency((size - old) as usize);
        let hashes: Vec<[u8; 32]> = proof.as_bytes().as_chunks().0.to_vec();
        verify_consistency(&log.at(old as usize), &tree, &hashes).unwrap();
    }
    println!("used: crate ct-merkle 0.3: roots, inclusion and consistency proofs");
}

/// A Python environment with the foreign programs.
struct Foreign {
    folder: tempfile::TempDir,
}

impl Foreign {
    /// None if there is no Python, which is printed.
    fn install() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(folder.path())
            .output();
        match made {
            Ok(made) if made.status.success() => {}
            Ok(made) => {
                let why = String::from_utf8_lossy(&made.stderr);
                println!("SKIPPED: python3 makes no environment: {why}");
                return None;
            }
            Err(error) => {
                println!("SKIPPED: no python3: {error}");
                return None;
            }
        }
        let foreign = Self { folder };
        let mut pip = Command::new(foreign.program("pip"));
        // They ask for a newer Python than they need.
        pip.args(["install", "--quiet", "--ignore-requires-python"]);
        if let Some(wheels) = std::env::var_os("OVERT_TEST_WHEELS") {
            pip.arg("--no-index").arg("--find-links").arg(wheels);
        }
        let installed = pip
            .args(["aics-witness==0.1.0", "aics-tlog==0.2.1"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "{errors}");
        Some(foreign)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.path().join("bin").join(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn witness(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program("aics-witness"));
        let config = self.path("witness.json");
        command.args(arguments).arg("--config").arg(config);
        command
    }

    /// Runs the foreign verifier; whether it agrees, and what it says.
    fn verify(&self, what: &str, key: &VerifierKey, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(self.program("aics-tlog"))
            .args([what, "--log-key", &key.to_string(), "--origin", ORIGIN])
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.success(), said)
    }

    fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

/// The foreign witness as a process.
struct Witness {
    child: Child,
    url: String,
    key: VerifierKey,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Witness {
    fn start(foreign: &Foreign, log: &VerifierKey) -> Self {
        let init = foreign
            .witness(&["init", "--name", "witness.example/foreign"])
            .output()
            .unwrap();
        assert!(init.status.success(), "{init:?}");
        let said = String::from_utf8(init.stdout).unwrap();
        let key = said.split_whitespace().find_map(|word| word.parse().ok());
        let key: VerifierKey = key.expect("init prints the witness's key");
        let added = foreign
            .witness(&["add-log", "--origin", ORIGIN, "--vkey", &log.to_string()])
            .output()
            .unwrap();
        assert!(added.status.success(), "{added:?}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        let child = foreign
            .witness(&["serve", "--listen", &address])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut witness = Self {
            child,
            url: format!("http://{address}"),
            key,
        };
        for _ in 0..1_000 {
            if std::net::TcpStream::connect(&address).is_ok() {
                return witness;
            }
            assert!(
                witness.child.try_wait().unwrap().is_none(),
                "{}",
                witness.errors()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the witness does not listen");
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Submits a checkpoint: the status, and the body.
    async fn add(&self, request: &AddCheckpoint) -> (u16, Vec<u8>) {
        let answer = reqwest::Client::new()
            .post(format!("{}/add-checkpoint", self.url))
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    }
}

fn request(log: &mut HeadLog, old: u64, size: u64, keys: &[SignerKey]) -> AddCheckpoint {
    AddCheckpoint {
        old_size: old,
        consistency: prove_consistency(log, old, size).unwrap(),
        checkpoint: log.checkpoint(ORIGIN, size as usize, keys).unwrap(),
    }
}

/// A witness of a separate author cosigns what the directory publishes, and no fork of it; a verifier
/// of the same accepts what comes out.
#[tokio::test]
async fn a_foreign_witness_cosigns_our_log() {
    let Some(foreign) = Foreign::install() else {
        return;
    };
    let keys = log_keys(ORIGIN, 1).unwrap();
    let witness = Witness::start(&foreign, keys[0].verifier());
    let policy = format!("witness w {} {}\nquorum w\n", witness.key, witness.url);
    let policy = foreign.write("policy", policy.as_bytes());
    let directory = log(Some(&policy)).await;
    let mut log = directory.log.clone();
    let size = log.entries.len() as u64;
    // The directory published nothing that the witness did not cosign.
    directory.checkpoint.verify([&witness.key]).unwrap();
    let proof = get(&format!("{}/tlog-proof/7", directory.server.url)).await;
    let proof = TlogProof::parse(&proof).unwrap();
    proof.check_inclusion(&leaf_hash(&log.entries[6])).unwrap();
    proof.checkpoint().verify([&witness.key]).unwrap();

    // What it refuses, as our own witness would.
    let again = request(&mut log, size, size, &keys);
    let (status, body) = witness.add(&again).await;
    assert_eq!(status, 200);
    parse_response(&body, &again.checkpoint, [&witness.key]).unwrap();
    let (status, body) = witness.add(&request(&mut log, 0, size, &keys)).await;
    let behind = Refusal::Conflict { latest: size };
    assert_eq!((status, parse_size(&body)), (behind.status(), Some(size)));
    let mut fork = log.clone();
    fork.entries[7][40] ^= 1;
    let (status, _) = witness.add(&request(&mut fork, size, size, &keys)).await;
    assert_eq!(status, 422);
    let stranger = SignerKey::from_seed(ORIGIN, SignatureType::Ed25519, &[9; 32]).unwrap();
    let (status, _) = witness
        .add(&request(&mut log, size, size, &[stranger]))
        .await;
    assert_eq!(status, 403);

    // Where monitors look.
    let served = get(&format!("{}/{}", witness.url, monitoring_path(ORIGIN))).await;
    let served = SignedCheckpoint::parse(&served).unwrap();
    assert_eq!(served.checkpoint(), directory.checkpoint.checkpoint());
    served.verify([&witness.key]).unwrap();

    verified(&foreign, &directory, &witness);
    println!("used: aics-witness 0.1.0 (PyPI): add-checkpoint from overt-server, monitoring");
    println!("used: aics-tlog 0.2.1 (PyPI): checkpoint, cosignature, tiles, inclusion, growth");
}

/// What the foreign verifier accepts, and what it does not.
fn verified(foreign: &Foreign, directory: &Log, witness: &Witness) {
    let (log, keys) = (&directory.log, log_keys(ORIGIN, 1).unwrap());
    let note = |name: &str, checkpoint: &SignedCheckpoint| {
        foreign.write(name, checkpoint.to_string().as_bytes())
    };
    let witness_key = witness.key.to_string();
    let quorum = ["--witness-key", &witness_key, "--quorum", "1"];
    let judge = |what: &str, arguments: &[&str]| {
        let (agrees, said) = foreign.verify(what, keys[0].verifier(), arguments);
        assert!(said.contains("\"cmd\""), "{said}");
        agrees
    };
    let agrees = |what: &str, arguments: &[&str]| judge(what, &[arguments, &quorum].concat());
    // Checkpoint and tiles as they are served.
    let tiles = ["--tiles", &directory.server.url];
    assert!(agrees("verify-checkpoint", &tiles));
    for index in [0, 255, 256, log.entries.len() - 1] {
        let leaf = foreign.write("leaf", &log.entries[index]);
        let index = index.to_string();
        let about = [&["--index", &index, "--leaf", &leaf], &tiles[..]].concat();
        assert!(agrees("verify-inclusion", &about));
        let other = foreign.write("other", b"another leaf");
        let about = [&["--index", &index, "--leaf", &other], &tiles[..]].concat();
        assert!(!agrees("verify-inclusion", &about));
    }
    let smaller = log.checkpoint(ORIGIN, 200, &keys).unwrap();
    let old = note("old", &smaller);
    let grown = [&["--old-checkpoint", &old], &tiles[..]].concat();
    assert!(judge("verify-consistency", &grown));
    let mut fork = log.clone();
    fork.entries[7][40] ^= 1;
    let old = note("fork", &fork.checkpoint(ORIGIN, 200, &keys).unwrap());
    let forked = [&["--old-checkpoint", &old], &tiles[..]].concat();
    assert!(!judge("verify-consistency", &forked));
    let alone = ["--note", &note("alone", &smaller)];
    assert!(judge("verify-checkpoint", &alone));
    assert!(!agrees("verify-checkpoint", &alone));
}
