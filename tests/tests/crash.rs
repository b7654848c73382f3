//! `kill -9` at random moments under load: nothing acknowledged is lost, no two heads of one size,
//! and old states verify forward.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use overt_protocol::codec::Decode;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tree::SizedRoot;
use overt_tests::{HeadLog, Server, User, Witness, get, published_keys, wait_for};
use rand::RngExt;

const TOKEN: &str = "a token for the crash test";
const WORKERS: usize = 4;

/// What a worker knows to be acknowledged: the value of each version of each label.
type Acknowledged = Vec<(String, u32, Vec<u8>)>;

/// Registers and updates labels until the server is gone.
async fn load(worker: usize, round: usize, url: String, mut user: User) -> (User, Acknowledged) {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let label = format!("worker-{worker}-round-{round}-{n}");
        if user.own(&url, &label).await.is_err() {
            break;
        }
        let mut lost = false;
        for version in 0..2u32 {
            let value = format!("{label} version {version}").into_bytes();
            match user.update(&url, &label, &value).await {
                Ok(values) => {
                    assert_eq!(values.last().unwrap().value(), value);
                    acknowledged.push((label.clone(), version, value));
                }
                Err(_) => {
                    lost = true;
                    break;
                }
            }
        }
        if lost {
            break;
        }
    }
    (user, acknowledged)
}

/// Every checkpoint that is served until the server is gone.
async fn collect(url: String) -> Vec<SizedRoot> {
    let mut seen = Vec::new();
    while let Ok((status, text)) = get(&url, "/checkpoint").await {
        if status == 200 {
            let checkpoint = SignedCheckpoint::parse(&text).unwrap();
            seen.push(checkpoint.checkpoint().tree());
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments() {
    let crashes: usize = std::env::var("OVERT_CRASHES").map_or(20, |n| n.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--access", "token", "--batch-interval", "5ms"];
    let witness = Witness::start("one").await.unwrap();
    let policy = folder.path().join("policy");
    std::fs::write(&policy, format!("{}quorum one-0\n", witness.policy_lines())).unwrap();
    let policy = policy.display().to_string();
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_WITNESS_POLICY", policy.as_str()),
    ];
    let data_dir = folder.path().join("data");
    let start = || Server::start(&data_dir, &arguments, &environment).unwrap();

    let mut users: Vec<User> = Vec::new();
    let server = start();
    witness.trust(published_keys(&server.url).await.unwrap());
    wait_for(&server.url, "/readyz").await.unwrap();
    for _ in 0..WORKERS {
        users.push(User::new(&server.url, Some(TOKEN)).await.unwrap());
    }
    server.stop().unwrap();

    let mut all: Acknowledged = Vec::new();
    let mut checkpoints = Vec::new();
    let mut longest_start = Duration::ZERO;
    for round in 0..crashes {
        let started = Instant::now();
        let server = start();
        longest_start = longest_start.max(started.elapsed());
        let url = server.url.clone();
        let tasks: Vec<_> = users
            .drain(..)
            .enumerate()
            .map(|(worker, user)| tokio::spawn(load(worker, round, url.clone(), user)))
            .collect();
        let collected = tokio::spawn(collect(url.clone()));
        let pause = rand::rng().random_range(20..400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.kill().unwrap();

        checkpoints.extend(collected.await.unwrap());
        let mut new = Vec::new();
        for task in tasks {
            let (user, acknowledged) = task.await.unwrap();
            users.push(user);
            new.extend(acknowledged);
        }
        // The states from before the crash verify everything that was acknowledged.
        let server = start();
        for (i, (label, version, value)) in new.iter().enumerate() {
            let user = &mut users[i % WORKERS];
            let found = user
                .search(&server.url, label, Some(*version))
                .await
                .unwrap();
            assert_eq!(found.value(), value);
        }
        all.extend(new);
        server.stop().unwrap();
    }

    let mut heads = BTreeMap::new();
    for user in &users {
        for (size, root) in &user.heads {
            assert_eq!(
                heads.entry(*size).or_insert(*root),
                root,
                "two heads of size {size}"
            );
        }
    }
    let server = start();
    let mut stranger = User::new(&server.url, None).await.unwrap();
    for (label, version, value) in &all {
        let found = stranger
            .search(&server.url, label, Some(*version))
            .await
            .unwrap();
        assert_eq!(found.value(), value);
    }
    // All checkpoints, also those that only the witness saw, are of one log, and so are all heads.
    let (_, last) = get(&server.url, "/checkpoint").await.unwrap();
    let last = SignedCheckpoint::parse(&last).unwrap().checkpoint().tree();
    let log = HeadLog::read(&reqwest::Client::new(), &server.url, last.size)
        .await
        .unwrap();
    let witnessed = witness.signed();
    checkpoints.extend(witnessed.iter().map(|signed| signed.checkpoint().tree()));
    checkpoints.push(last);
    checkpoints.sort_by_key(|tree| tree.size);
    checkpoints.dedup();
    for tree in &checkpoints {
        assert_eq!(log.at(tree.size.try_into().unwrap()), *tree);
    }
    for (size, root) in &heads {
        let entry = &log.entries[usize::try_from(size - 1).unwrap()];
        assert_eq!(HeadRecord::from_bytes(entry, &()).unwrap().root, *root);
    }
    println!(
        "{crashes} crashes, {} acknowledged updates all there, {} heads and {} checkpoints seen, longest restart {longest_start:?}",
        all.len(),
        heads.len(),
        checkpoints.len()
    );
    assert!(
        all.len() >= crashes,
        "the load did nothing: {} updates",
        all.len()
    );
}
