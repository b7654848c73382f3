//! A directory in five processes on one PostgreSQL database: two that may be elected to write and
//! three that only read. Whatever is killed, paused or restarted: nothing acknowledged is lost, there
//! is one head of each size, and service resumes by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::tree::SizedRoot;
use overt_tests::{HeadLog, Server, User, database, get, restart_database};
use rand::RngExt;

const TOKEN: &str = "a token for the fleet test";
const WORKERS: usize = 3;
const LEASE: Duration = Duration::from_secs(2);
const ROLES: [&str; 5] = ["sequencer", "sequencer", "reader", "reader", "reader"];

/// The processes, each with its own data folder, and their common keys.
struct Fleet {
    folder: tempfile::TempDir,
    url: String,
    addresses: Vec<String>,
    processes: Vec<Option<Server>>,
}

impl Fleet {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets: Vec<_> = ROLES.iter().map(|_| free()).collect();
        let address = |socket: &std::net::TcpListener| socket.local_addr().unwrap().to_string();
        let mut fleet = Self {
            url: database(folder.path()).unwrap(),
            addresses: sockets.iter().map(address).collect(),
            processes: ROLES.iter().map(|_| None).collect(),
            folder,
        };
        drop(sockets);
        for n in 0..ROLES.len() {
            fleet.start(n);
        }
        fleet
    }

    fn key(&self, name: &str) -> String {
        self.folder
            .path()
            .join("keys")
            .join(name)
            .display()
            .to_string()
    }

    fn start(&mut self, n: usize) {
        let keys = ["signature", "vrf", "head-log", "head-log-ml-dsa"].map(|name| self.key(name));
        let [signature, vrf, head_log, ml_dsa] = &keys;
        let lease = format!("{}s", LEASE.as_secs());
        // A reader has no key but that of the VRF.
        let nowhere = self.key("nowhere");
        let of = |key| if ROLES[n] == "reader" { &nowhere } else { key };
        let environment = [
            ("OVERT_SERVER_DATABASE_URL", self.url.as_str()),
            ("OVERT_SERVER_ROLE", ROLES[n]),
            ("OVERT_SERVER_LEASE", &lease),
            ("OVERT_SERVER_TOKEN", TOKEN),
            ("OVERT_SERVER_VRF_KEY_FILE", vrf),
            ("OVERT_SERVER_SIGNATURE_KEY_FILE", of(signature)),
            ("OVERT_SERVER_HEAD_LOG_KEY_FILE", of(head_log)),
            ("OVERT_SERVER_HEAD_LOG_ML_DSA_KEY_FILE", of(ml_dsa)),
        ];
        let arguments = ["--access", "token", "--batch-interval", "10ms"];
        let data: PathBuf = self.folder.path().join(format!("process-{n}"));
        let server = Server::start_at(&self.addresses[n], &data, &arguments, &environment);
        self.processes[n] = Some(server.unwrap());
    }

    fn urls(&self) -> Vec<String> {
        let urls = self
            .addresses
            .iter()
            .map(|address| format!("http://{address}"));
        urls.collect()
    }
}

/// What the load and the watchers share.
struct World {
    urls: Vec<String>,
    is_over: AtomicBool,
    acknowledged: Mutex<Vec<(String, u32, Vec<u8>)>>,
    /// The last update that was acknowledged, and the longest time without one.
    gap: Mutex<(Instant, Duration)>,
}

impl World {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn acknowledge(&self, label: &str, version: u32, value: &[u8]) {
        let mut gap = self.gap.lock().unwrap();
        let (last, longest) = *gap;
        *gap = (Instant::now(), longest.max(last.elapsed()));
        let entry = (label.to_owned(), version, value.to_vec());
        self.acknowledged.lock().unwrap().push(entry);
    }

    /// The process that takes updates, as a load balancer finds it.
    async fn sequencer(&self) -> Option<&String> {
        for url in &self.urls {
            let asked = get(url, "/readyz/updates");
            if let Ok(Ok((200, _))) = tokio::time::timeout(Duration::from_secs(1), asked).await {
                return Some(url);
            }
        }
        None
    }
}

/// Registers and updates labels wherever updates are taken, until it is over.
async fn load(world: Arc<World>, worker: usize, mut user: User) -> User {
    for n in 0.. {
        if world.is_over() {
            break;
        }
        let Some(url) = world.sequencer().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let label = format!("worker-{worker}-{n}");
        if user.own(url, &label).await.is_err() {
            continue;
        }
        for version in 0..3u32 {
            let value = format!("{label} version {version}").into_bytes();
            // What is lost in a failure may have happened: the label is left alone.
            let Ok(values) = user.update(url, &label, &value).await else {
                break;
            };
            assert_eq!(values.last().unwrap().value(), value);
            world.acknowledge(&label, version, &value);
            // Read at once from any process, whichever published it.
            let reader = &world.urls[rand::rng().random_range(0..world.urls.len())];
            if let Ok(found) = user.search(reader, &label, None).await {
                assert_eq!(found.value(), value);
            }
        }
    }
    user
}

/// Every checkpoint that any process serves, until it is over.
async fn collect(world: Arc<World>) -> Vec<SizedRoot> {
    let mut seen = Vec::new();
    while !world.is_over() {
        for url in &world.urls {
            let asked = get(url, "/checkpoint");
            let asked = tokio::time::timeout(Duration::from_millis(300), asked).await;
            if let Ok(Ok((200, text))) = asked {
                seen.push(SignedCheckpoint::parse(&text).unwrap().checkpoint().tree());
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen.sort_by_key(|tree| tree.size);
    seen.dedup();
    seen
}

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    let sent = std::process::Command::new("kill")
        .args([name, &pid])
        .status();
    assert!(sent.unwrap().success());
}

/// Gives the fleet a rough time.
async fn trouble(world: &World, fleet: &mut Fleet, rounds: usize) -> [usize; 3] {
    let mut counts = [0; 3];
    for round in 1..=rounds {
        let pause = rand::rng().random_range(200..2_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if round % 10 == 0 {
            restart_database().unwrap();
            counts[2] += 1;
            continue;
        }
        let leader = loop {
            match world.sequencer().await {
                Some(leader) => break leader,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let n = world.urls.iter().position(|url| url == leader).unwrap();
        if round % 2 == 0 {
            let server = fleet.processes[n].as_ref().unwrap();
            signal(server, "-STOP");
            tokio::time::sleep(LEASE * 2).await;
            signal(server, "-CONT");
            counts[1] += 1;
        } else {
            fleet.processes[n].take().unwrap().kill().unwrap();
            fleet.start(n);
            counts[0] += 1;
        }
    }
    counts
}

async fn first_user(urls: &[String]) -> User {
    for _ in 0..200 {
        if let Ok(user) = User::new(&urls[0], Some(TOKEN)).await {
            return user;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the directory does not come up");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_come_and_go() {
    let rounds = std::env::var("OVERT_CRASHES").map_or(10, |n| n.parse().unwrap());
    let mut fleet = tokio::task::block_in_place(Fleet::new);
    let world = Arc::new(World {
        urls: fleet.urls(),
        is_over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
        gap: Mutex::new((Instant::now(), Duration::ZERO)),
    });
    first_user(&world.urls).await;
    let mut tasks = Vec::new();
    for worker in 0..WORKERS {
        let user = first_user(&world.urls).await;
        tasks.push(tokio::spawn(load(Arc::clone(&world), worker, user)));
    }
    let collected = tokio::spawn(collect(Arc::clone(&world)));
    let [kills, pauses, restarts] = trouble(&world, &mut fleet, rounds).await;
    tokio::time::sleep(LEASE * 2).await;
    world.is_over.store(true, Ordering::SeqCst);

    let mut heads = BTreeMap::new();
    for task in tasks {
        for (size, root) in task.await.unwrap().heads {
            let known = heads.entry(size).or_insert(root);
            assert_eq!(*known, root, "two heads of size {size}");
        }
    }
    let acknowledged = world.acknowledged.lock().unwrap().clone();
    // Everything that was acknowledged is there, for anybody, from any process.
    let mut stranger = User::new(&world.urls[0], None).await.unwrap();
    for (n, (label, version, value)) in acknowledged.iter().enumerate() {
        let url = &world.urls[n % world.urls.len()];
        let found = stranger.search(url, label, Some(*version)).await.unwrap();
        assert_eq!(found.value(), value);
    }
    // All that was ever shown is of one log.
    let checkpoints = collected.await.unwrap();
    let last = checkpoints.last().unwrap().size;
    let http = reqwest::Client::new();
    let log = HeadLog::read(&http, &world.urls[2], last).await.unwrap();
    for tree in &checkpoints {
        assert_eq!(log.at(tree.size.try_into().unwrap()), *tree);
    }
    let (_, longest) = *world.gap.lock().unwrap();
    println!(
        "{kills} kills and {pauses} pauses of the leader, {restarts} restarts of the database: {} \
         acknowledged updates all there, {} checkpoints of one log, longest time without an \
         acknowledged update {longest:?}",
        acknowledged.len(),
        checkpoints.len(),
    );
    assert!(acknowledged.len() >= rounds * 3, "the load did nothing");
    assert!(kills > 0 && pauses > 0);
}

/// A process that only reads says so, and has none of the keys that sign.
#[tokio::test(flavor = "multi_thread")]
async fn readers_take_no_updates() {
    let fleet = tokio::task::block_in_place(Fleet::new);
    let urls = fleet.urls();
    let mut user = first_user(&urls).await;
    let (writer, reader) = (&urls[0], &urls[2]);
    assert_eq!(get(reader, "/readyz").await.unwrap().0, 200);
    assert_eq!(get(reader, "/readyz/updates").await.unwrap().0, 503);
    let writer = match get(writer, "/readyz/updates").await.unwrap().0 {
        200 => writer,
        _ => &urls[1],
    };
    user.own(reader, "alice").await.unwrap();
    let refused = user.update(reader, "alice", b"one").await.unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    user.update(writer, "alice", b"one").await.unwrap();
    // At once, from every process: who is asked does not matter.
    for url in &urls {
        let found = user.search(url, "alice", None).await.unwrap();
        assert_eq!(found.value(), b"one");
    }
    assert!(!Path::new(&fleet.key("nowhere")).exists());
}

/// From SQLite to PostgreSQL and back: clients go on as if nothing had happened, and what was left
/// behind does not start again.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_moves_and_clients_notice_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let database = tokio::task::block_in_place(|| database(&data)).unwrap();
    let token = ("OVERT_SERVER_TOKEN", TOKEN);
    let shared = [
        token,
        ("OVERT_SERVER_DATABASE_URL", database.as_str()),
        ("OVERT_SERVER_LEASE", "1s"),
    ];
    let arguments = ["--access", "token", "--batch-interval", "10ms"];
    let relocate = |to: &str| {
        std::process::Command::new(overt_tests::binary("overt-server").unwrap())
            .args(["move", "--to", to, "--data-dir"])
            .arg(&data)
            .envs(shared)
            .output()
            .unwrap()
    };
    let address = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    };
    let start = |environment: &[(&str, &str)]| {
        tokio::task::block_in_place(|| Server::start_at(&address, &data, &arguments, environment))
    };

    let server = start(&[token]).unwrap();
    let url = server.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    for n in 0..5u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
    }
    // Not while it runs.
    assert!(!relocate("postgres").status.success());
    server.stop().unwrap();

    let moved = relocate("postgres");
    assert!(moved.status.success(), "{moved:?}");
    assert!(String::from_utf8_lossy(&moved.stdout).contains("the same in both places"));
    let left = start(&[token]).unwrap_err().to_string();
    assert!(left.contains("moved to a database"), "{left}");
    let again = relocate("postgres");
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("a directory already"),
        "{again:?}"
    );
    let server = start(&shared).unwrap();
    first_user(std::slice::from_ref(&url)).await;
    user.update(&url, "alice", b"in the database")
        .await
        .unwrap();
    let found = user.search(&url, "alice", Some(3)).await.unwrap();
    assert_eq!(found.value(), [3]);
    server.stop().unwrap();

    // Back, into a new file.
    for file in ["overt.sqlite3", "overt.sqlite3-wal", "overt.sqlite3-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    let moved = relocate("sqlite");
    assert!(moved.status.success(), "{moved:?}");
    let server = start(&[token]).unwrap();
    user.update(&url, "alice", b"in a file").await.unwrap();
    for (version, value) in [(0, &[0][..]), (5, b"in the database"), (6, b"in a file")] {
        let found = user.search(&url, "alice", Some(version)).await.unwrap();
        assert_eq!(found.value(), value);
    }
    server.stop().unwrap();
}
