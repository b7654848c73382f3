//! A directory and its auditor, as processes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use overt_tests::{Auditor, AuditorPlace, Server, User};

const TOKEN: &str = "a token for these tests";

fn server(folder: &Path, key: &str, lag: &str) -> Server {
    let arguments = ["--access", "token", "--batch-interval", "10ms"];
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_MODE", "third-party-auditing"),
        ("OVERT_SERVER_AUDITOR_PUBLIC_KEY", key),
        ("OVERT_SERVER_MAX_AUDITOR_LAG", lag),
        ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "10s"),
        ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.02"),
    ];
    Server::start(&folder.join("server"), &arguments, &environment).unwrap()
}

/// Tries until the directory answers.
async fn audited<T>(mut ask: impl AsyncFnMut() -> anyhow::Result<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if Instant::now() > deadline => panic!("{error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test]
async fn users_are_served_what_the_auditor_signed() {
    let folder = tempfile::tempdir().unwrap();
    let key = Auditor::public_key(folder.path()).unwrap();
    let server = server(folder.path(), &key, "2s");
    let url = server.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    let error = user.own(&url, "alice").await.unwrap_err().to_string();
    assert!(error.contains("not-audited"), "{error}");

    let auditor = Auditor::start(folder.path(), &url).unwrap();
    audited(async || user.own(&url, "alice").await).await;
    for n in 0..20u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
    }
    let found = user.search(&url, "alice", None).await.unwrap();
    assert_eq!(found.value(), [19]);
    let tree = user.tree.as_ref().unwrap();
    let head = tree.auditor_tree_head.as_ref().unwrap();
    assert!(head.tree_size <= tree.tree_size());
    let size = tree.tree_size();
    auditor
        .status(|s| s["state"] == "followed" && s["signed_size"].as_u64() >= Some(size))
        .await
        .unwrap();

    // Without its auditor the directory soon has nothing that users would accept.
    drop(auditor);
    let mut waited = 0;
    let error = loop {
        match user.search(&url, "alice", None).await {
            Err(error) => break error.to_string(),
            Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        waited += 1;
        assert!(waited < 200, "served without an auditor");
    };
    assert!(error.contains("not-audited"), "{error}");
    let _auditor = Auditor::start(folder.path(), &url).unwrap();
    audited(async || user.search(&url, "alice", None).await).await;
}

#[tokio::test]
async fn an_auditor_can_begin_at_a_position() {
    let folder = tempfile::tempdir().unwrap();
    let key = Auditor::public_key(folder.path()).unwrap();
    let server = server(folder.path(), &key, "1h");
    let _auditor = Auditor::start(folder.path(), &server.url).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    audited(async || user.own(&server.url, "alice").await).await;
    for n in 0..12u8 {
        user.update(&server.url, "alice", &[n]).await.unwrap();
    }
    let size = user.tree.as_ref().unwrap().tree_size();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut late = AuditorPlace::new("late.example.org", elsewhere.path()).unwrap();
    late.of_directory = "start = 7\n".to_owned();
    let late = late.start(&server.url).unwrap();
    let replayed =
        late.status(|s| s["tree_size"].as_u64() >= Some(size) && s["state"] == "followed");
    let replayed = replayed.await.unwrap();
    assert_eq!(replayed["suspicion"], serde_json::Value::Null);
}

/// Stands between auditor and directory; changes a byte of the entries once it is told to.
fn meddler(upstream: &str) -> (String, Arc<AtomicBool>) {
    let upstream = upstream.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let meddles = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&meddles);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut client), Ok(mut server)) = (stream, TcpStream::connect(&upstream)) else {
                continue;
            };
            let mut request = Vec::new();
            let mut chunk = [0; 4096];
            let (mut head, mut length) = (None, 0);
            while head.is_none_or(|head: usize| request.len() < head + length) {
                let n = client.read(&mut chunk).unwrap_or(0);
                if n == 0 {
                    break;
                }
                request.extend_from_slice(&chunk[..n]);
                if let Some(end) = request.windows(4).position(|w| w == b"\r\n\r\n") {
                    head = Some(end + 4);
                    let text = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                    let line = text.lines().find_map(|l| l.strip_prefix("content-length:"));
                    length = line.map_or(0, |value| value.trim().parse().unwrap());
                }
            }
            let Some(head) = head else { continue };
            let text = String::from_utf8_lossy(&request[..head]).into_owned();
            let closing = text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            let mut sent = closing.into_bytes();
            sent.extend_from_slice(&request[head..]);
            if server.write_all(&sent).is_err() {
                continue;
            }
            let mut answer = Vec::new();
            let _ = server.read_to_end(&mut answer);
            let body = answer.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(body) = body.map(|at| at + 4)
                && text.contains("auditor-updates")
                && told.load(Ordering::SeqCst)
                && answer.len() > body + 60
            {
                // Inside the first leaf that is added.
                answer[body + 50] ^= 1;
            }
            let _ = client.write_all(&answer);
        }
    });
    (url, meddles)
}

#[tokio::test]
async fn what_is_altered_on_the_way_is_suspicious_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let key = Auditor::public_key(folder.path()).unwrap();
    let server = server(folder.path(), &key, "1h");
    let url = server.url.clone();
    let (between, meddles) = meddler(&url);
    let auditor = Auditor::start(folder.path(), &between).unwrap();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    audited(async || user.own(&url, "alice").await).await;
    auditor
        .status(|s| s["signed_size"].as_u64() > Some(0))
        .await
        .unwrap();

    meddles.store(true, Ordering::SeqCst);
    user.update(&url, "alice", b"value").await.unwrap();
    let status = auditor
        .status(|s| s["state"] == "suspicious")
        .await
        .unwrap();
    let said = status["suspicion"].as_str().unwrap();
    assert!(said.contains("altered on the way"), "{said}");
    let signed = status["signed_size"].as_u64().unwrap();
    let page = reqwest::get(&auditor.status).await.unwrap();
    assert!(page.text().await.unwrap().contains("This is no proof"));
    let feed = reqwest::get(format!("{}/feed.atom", auditor.status)).await;
    assert!(feed.unwrap().text().await.unwrap().contains("audit-"));

    // Once it is told the truth it goes on, after a restart too.
    drop(auditor);
    meddles.store(false, Ordering::SeqCst);
    user.update(&url, "alice", b"another").await.unwrap();
    let auditor = Auditor::start(folder.path(), &between).unwrap();
    let status = auditor
        .status(|s| s["state"] == "followed" && s["signed_size"].as_u64() > Some(signed))
        .await
        .unwrap();
    assert_eq!(status["evidence"], serde_json::json!([]));
}
