//! A log with a maximum lifetime gives up what nobody needs any more, while updates, an auditor and
//! `kill -9` go on.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use overt_tests::{Auditor, Server, User};
use rand::RngExt;
use rusqlite::{Connection, OpenFlags};

const TOKEN: &str = "a token for these tests";
const LABELS: usize = 4;
const ROUNDS: usize = 8;

fn server(address: &str, folder: &Path, key: &str) -> Server {
    let arguments = ["--access", "token", "--batch-interval", "5ms"];
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_MODE", "third-party-auditing"),
        ("OVERT_SERVER_AUDITOR_PUBLIC_KEY", key),
        ("OVERT_SERVER_MAX_AUDITOR_LAG", "20s"),
        ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "300ms"),
        ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.2"),
        ("OVERT_SERVER_MAX_AHEAD", "100ms"),
        ("OVERT_SERVER_MAX_BEHIND", "1500ms"),
        ("OVERT_SERVER_MAXIMUM_LIFETIME", "2s"),
        ("OVERT_SERVER_REQUEST_TIMEOUT", "500ms"),
        ("OVERT_SERVER_PRUNE_GRACE", "600ms"),
        ("OVERT_SERVER_PRUNE_INTERVAL", "20ms"),
    ];
    Server::start_at(address, &folder.join("server"), &arguments, &environment).unwrap()
}

/// Updates labels until the server is gone. Returns how many versions were acknowledged.
async fn load(url: String, mut user: User, label: String) -> (User, u64) {
    let mut done = 0;
    for n in 0.. {
        // Whoever was away for too long begins again, and so does whoever lost an answer.
        let value = format!("{label} {n} {}", rand::rng().random::<u64>());
        let result = match user.owned.contains_key(&label) {
            true => user
                .update(&url, &label, value.as_bytes())
                .await
                .map(|_| ()),
            false => user.own(&url, &label).await,
        };
        match result {
            Ok(()) => done += 1,
            Err(error) if format!("{error:#}").contains("error sending request") => break,
            Err(_) => {
                user.owned.remove(&label);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    (user, done)
}

/// Leaves, values, and rows of pages.
const KEPT: [&str; 3] = ["leaf", "leaf WHERE opening IS NOT NULL", "page"];

fn count(folder: &Path, table: &str) -> u32 {
    let path = folder.join("server/overt.sqlite3");
    let store = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = format!("SELECT count(*) FROM {table}");
    store.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_goes_under_load_and_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = Auditor::public_key(folder).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    let first = server(&address, folder, &key);
    let auditor = Auditor::start(folder, &first.url).unwrap();
    let mut users = Vec::new();
    for _ in 0..LABELS {
        users.push(User::new(&first.url, Some(TOKEN)).await.unwrap());
    }
    first.stop().unwrap();
    let mut updates = 0;
    for _ in 0..ROUNDS {
        let server = server(&address, folder, &key);
        let tasks: Vec<_> = users
            .drain(..)
            .enumerate()
            .map(|(n, user)| tokio::spawn(load(server.url.clone(), user, format!("label {n}"))))
            .collect();
        let pause = rand::rng().random_range(500..1500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.kill().unwrap();
        for task in tasks {
            let (user, done) = task.await.unwrap();
            users.push(user);
            updates += done;
        }
    }
    let server = server(&address, folder, &key);
    // What was overtaken is removed after the lifetime and a window, and gone after as long again:
    // what is left are a handful of versions on the ladders of each label, and the places that
    // others left vacant beside them.
    let labels = LABELS as u32;
    let each = u32::try_from(updates).unwrap() / labels;
    let ladders = labels * (2 * each.ilog2() + 4);
    let is_small = || {
        let [leaves, values, pages] = KEPT.map(|table| count(folder, table));
        leaves < ladders && values == labels && pages < 5 * ladders
    };
    for _ in 0..120 {
        match is_small() {
            true => break,
            false => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
    let url = server.url.clone();
    let status = auditor
        .status(|s| s["tree_size"].as_u64() > Some(300))
        .await
        .unwrap();
    assert!(status["refused"].is_null(), "{status}");
    let mut heads = BTreeMap::new();
    for (n, user) in users.iter_mut().enumerate() {
        let label = format!("label {n}");
        user.search(&url, &label, None).await.unwrap();
        let error = user.search(&url, &label, Some(2)).await.unwrap_err();
        assert!(format!("{error:#}").contains("expired"), "{error:#}");
        for (size, root) in &user.heads {
            assert_eq!(heads.entry(*size).or_insert(*root), root);
        }
    }
    server.stop().unwrap();
    let (kept, entries) = (
        KEPT.map(|table| count(folder, table)),
        count(folder, "log_entry"),
    );
    println!(
        "{updates} updates; leaves, values, segments of pages kept: {kept:?} of {entries} entries"
    );
    assert!(updates > 300 && entries > 300, "the load did nothing");
    assert!(is_small());
}
