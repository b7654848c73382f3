//! The directory as its operator meets it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::os::unix::fs::PermissionsExt;

use overt_protocol::codec::Encode;
use overt_protocol::wire::{SearchRequest, UpdateRequest};
use overt_tests::{Server, User};
use serde_json::Value;

const TOKEN: &str = "a token for these tests";
const ARGUMENTS: [&str; 4] = ["--access", "token", "--batch-interval", "10ms"];
const ENVIRONMENT: [(&str, &str); 1] = [("OVERT_SERVER_TOKEN", TOKEN)];

fn start(folder: &std::path::Path) -> anyhow::Result<Server> {
    Server::start(folder, &ARGUMENTS, &ENVIRONMENT)
}

fn problem(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn updates_survive_a_restart_and_old_states_verify_forward() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    user.update(&server.url, "alice", b"first").await.unwrap();
    server.stop().unwrap();
    let server = start(folder.path()).unwrap();
    user.update(&server.url, "alice", b"second").await.unwrap();
    assert_eq!(
        user.search(&server.url, "alice", None)
            .await
            .unwrap()
            .value(),
        b"second"
    );
    assert_eq!(
        user.search(&server.url, "alice", Some(0))
            .await
            .unwrap()
            .value(),
        b"first"
    );
}

#[tokio::test]
async fn a_second_server_on_the_same_data_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let _server = start(folder.path()).unwrap();
    let error = start(folder.path()).unwrap_err().to_string();
    assert!(error.contains("in use by another server"), "{error}");
}

#[tokio::test]
async fn refuses_what_it_should_with_stable_codes() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let url = &server.url;
    let user = User::new(url, None).await.unwrap();
    let request = |label: &str, greatest, values| {
        UpdateRequest {
            last: None,
            label: label.into(),
            greatest_version: greatest,
            values,
        }
        .to_bytes()
        .unwrap()
    };
    let search = SearchRequest {
        last: None,
        label: b"nobody".to_vec(),
        version: None,
    };
    let ahead = SearchRequest {
        last: Some(1000),
        ..search.clone()
    };
    let cases = [
        ("search", search.to_bytes().unwrap(), 404, "not-found"),
        ("search", b"nonsense".to_vec(), 400, "malformed-request"),
        ("search", Vec::new(), 400, "malformed-request"),
        (
            "distinguished",
            vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            400,
            "malformed-request",
        ),
        (
            "distinguished",
            ahead.to_bytes().unwrap()[..9]
                .iter()
                .copied()
                .chain([0])
                .collect(),
            409,
            "last-ahead",
        ),
        (
            "update",
            request("a", None, vec![b"x".to_vec()]),
            401,
            "unauthorized",
        ),
        (
            "update",
            request("a", Some(3), vec![b"x".to_vec()]),
            409,
            "version-conflict",
        ),
        (
            "update",
            request("a", None, vec![]),
            409,
            "version-conflict",
        ),
        (
            "update",
            request("a", None, vec![vec![0; 2 << 20]]),
            413,
            "too-large",
        ),
        ("nonsense", Vec::new(), 404, "no-such-path"),
    ];
    for (operation, body, status, code) in cases {
        let answer = user.post(url, operation, body).await.unwrap();
        let problem = problem(&answer.body);
        assert_eq!(
            (answer.status, problem["code"].as_str()),
            (status, Some(code)),
            "{operation} {problem}"
        );
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()));
    }
}

#[tokio::test]
async fn a_repeat_of_the_current_value_makes_no_new_version() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    user.update(&server.url, "alice", b"same").await.unwrap();
    let error = user
        .update(&server.url, "alice", b"same")
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("unchanged"), "{error}");
    assert_eq!(
        user.search(&server.url, "alice", None)
            .await
            .unwrap()
            .version(),
        0
    );
}

#[tokio::test]
async fn a_damaged_or_older_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("overt.sqlite3");
    let server = start(folder.path()).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    server.stop().unwrap();
    let backup = std::fs::read(&database).unwrap();
    assert!(
        !folder.path().join("overt.sqlite3-wal").exists(),
        "a clean stop leaves one file"
    );
    let server = start(folder.path()).unwrap();
    user.update(&server.url, "alice", b"value").await.unwrap();
    server.stop().unwrap();
    let good = std::fs::read(&database).unwrap();

    // An older copy of the database is consistent with itself, and refused all the same.
    std::fs::write(&database, &backup).unwrap();
    let error = start(folder.path()).unwrap_err().to_string();
    assert!(error.contains("older copy"), "{error}");

    // A changed log entry.
    let mut bad = good.clone();
    let entry = user
        .tree
        .as_ref()
        .unwrap()
        .rightmost()
        .unwrap()
        .to_bytes()
        .unwrap();
    let at = bad.windows(entry.len()).position(|w| w == entry).unwrap();
    bad[at + 20] ^= 1;
    std::fs::write(&database, &bad).unwrap();
    let error = start(folder.path()).unwrap_err().to_string();
    assert!(error.contains("refusing to start"), "{error}");

    std::fs::write(&database, &good).unwrap();
    start(folder.path()).unwrap();
}

#[tokio::test]
async fn keys_are_private_and_settings_do_not_change_under_a_log() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).unwrap().stop().unwrap();
    let key = folder.path().join("keys/signature");
    assert_eq!(
        std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = start(folder.path()).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    let mut arguments = ARGUMENTS.to_vec();
    arguments.extend(["--max-behind", "2days"]);
    let error = Server::start(folder.path(), &arguments, &ENVIRONMENT)
        .unwrap_err()
        .to_string();
    assert!(error.contains("max_behind"), "{error}");

    std::fs::remove_file(&key).unwrap();
    let error = start(folder.path()).unwrap_err().to_string();
    assert!(error.contains("keys/signature"), "{error}");
}

#[tokio::test]
async fn an_idle_log_gets_heartbeats() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = ARGUMENTS.to_vec();
    arguments.extend(["--reasonable-monitoring-window", "1s"]);
    let server = Server::start(folder.path(), &arguments, &ENVIRONMENT).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    let before = user.tree.as_ref().unwrap().tree_size();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    user.own(&server.url, "bob").await.unwrap();
    assert!(user.tree.as_ref().unwrap().tree_size() > before);

    let metrics = reqwest::get(format!("{}/metrics", server.url))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    for name in [
        "overt_tree_size ",
        "overt_heartbeats_total ",
        "overt_request_seconds_bucket{operation=\"owner-init\"",
    ] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    assert!(!metrics.contains("alice"), "labels stay out of metrics");
}

#[tokio::test]
async fn no_more_versions_at_once_than_one_response_can_prove() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    let request = |greatest_version, count: usize| {
        UpdateRequest {
            last: None,
            label: b"alice".to_vec(),
            greatest_version,
            values: (0..count).map(|n| n.to_string().into_bytes()).collect(),
        }
        .to_bytes()
        .unwrap()
    };
    let one = user.post(&server.url, "update", request(None, 1)).await;
    assert_eq!(one.unwrap().status, 200);
    let many = user
        .post(&server.url, "update", request(Some(0), 255))
        .await;
    assert_eq!(many.unwrap().status, 400);
    let fewer = user
        .post(&server.url, "update", request(Some(0), 240))
        .await;
    assert_eq!(fewer.unwrap().status, 200);
}

#[tokio::test]
async fn long_responses_are_compressed_for_those_who_accept_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    user.update(&server.url, "alice", &[7; 5_000])
        .await
        .unwrap();
    let ask = async |encoding: &str| {
        let request = SearchRequest {
            last: None,
            label: b"alice".to_vec(),
            version: None,
        };
        let http = reqwest::Client::builder().no_zstd().build().unwrap();
        let answer = http
            .post(format!("{}/v1/search", server.url))
            .header("accept-encoding", encoding)
            .body(request.to_bytes().unwrap())
            .send()
            .await
            .unwrap();
        answer.bytes().await.unwrap()
    };
    let (plain, zstd) = (ask("identity").await, ask("zstd").await);
    assert!(plain.len() > 5_000 && zstd.len() < 1_500);
    assert!(zstd.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]), "RFC 8878");
    // The client of these tests accepts it, and gets what was meant.
    let found = user.search(&server.url, "alice", None).await.unwrap();
    assert_eq!(found.value(), [7; 5_000]);
}
