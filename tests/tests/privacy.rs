//! Deletion, padding, and labels that do not exist.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use overt_tests::{Server, User, binary};
use serde_json::Value;

const TOKEN: &str = "a token for these tests";

fn start(folder: &Path, more: &[(&str, &str)]) -> Server {
    let arguments = ["--access", "token", "--batch-interval", "10ms"];
    let mut environment = vec![("OVERT_SERVER_TOKEN", TOKEN)];
    environment.extend(more);
    Server::start(folder, &arguments, &environment).unwrap()
}

fn overt(home: &Path, url: &str, arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(binary("overt").unwrap())
        .env_clear()
        .env("HOME", home)
        .args(["--json", "--quiet", "--directory", url])
        .args(arguments)
        .output()
        .unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), json)
}

fn delete(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary("overt-server").unwrap())
        .arg("--data-dir")
        .arg(folder)
        .args(["label", "delete"])
        .args(arguments)
        .output()
        .unwrap()
}

/// Whether any file of the directory holds these bytes.
fn holds(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        path.is_file()
            && std::fs::read(path)
                .unwrap()
                .windows(needle.len())
                .any(|window| window == needle)
    })
}

#[tokio::test]
async fn deleted_values_are_gone_and_everybody_elses_proofs_verify() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let url = server.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    for label in ["alice", "bob"] {
        user.own(&url, label).await.unwrap();
        for n in 0..3 {
            let value = format!("what {label} published as number {n}");
            user.update(&url, label, value.as_bytes()).await.unwrap();
        }
    }
    let home = tempfile::tempdir().unwrap();
    assert_eq!(overt(home.path(), &url, &["lookup", "alice"]).0, 0);
    assert!(holds(folder.path(), b"what alice published as number 0"));

    let shown = delete(folder.path(), &["alice"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("3 values would be deleted"));
    assert!(user.search(&url, "alice", Some(0)).await.is_ok());
    let one = delete(folder.path(), &["alice", "--version", "0", "--yes"]);
    assert!(one.status.success(), "{one:?}");
    assert!(!holds(folder.path(), b"what alice published as number 0"));
    assert!(user.search(&url, "alice", Some(1)).await.is_ok());
    let rest = delete(folder.path(), &["alice", "--yes"]);
    assert!(rest.status.success(), "{rest:?}");
    assert!(!holds(folder.path(), b"what alice published"));
    assert!(holds(folder.path(), b"what bob published as number 2"));

    // The server went on running.
    for version in [None, Some(0), Some(2)] {
        let error = user.search(&url, "alice", version).await.unwrap_err();
        assert!(error.to_string().contains("deleted"), "{error}");
    }
    assert_eq!(overt(home.path(), &url, &["lookup", "alice"]).0, 3);
    for version in [None, Some(0), Some(1)] {
        user.search(&url, "bob", version).await.unwrap();
    }
    user.update(&url, "bob", b"more of bob").await.unwrap();
    // Nor can anyone begin anew with version 0, or go on.
    let mut stranger = User::new(&url, Some(TOKEN)).await.unwrap();
    stranger.own(&url, "alice").await.unwrap();
    let error = stranger
        .update(&url, "alice", b"not alice")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("deleted"), "{error}");
    server.stop().unwrap();
    let server = start(folder.path(), &[]);
    user.search(&server.url, "bob", None).await.unwrap();
}

#[tokio::test]
async fn what_does_not_exist_is_proved_not_to_or_only_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[]);
    let home = tempfile::tempdir().unwrap();
    let (code, report) = overt(home.path(), &server.url, &["lookup", "nobody"]);
    assert_eq!(code, 3);
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("that is proved"), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[("OVERT_SERVER_PROVE_ABSENCE", "false")]);
    let (code, report) = overt(home.path(), &server.url, &["lookup", "nobody"]);
    assert_eq!(code, 3);
    let message = report["message"].as_str().unwrap();
    assert!(message.contains("not proved"), "{message}");
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/absence", server.url))
        .body(vec![0, 1, b'x'])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 404);
}

#[tokio::test]
async fn padding_grows_the_log_by_itself_and_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[("OVERT_SERVER_PADDING", "20ms")]);
    let url = server.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    for n in 0..10u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(user.search(&url, "alice", None).await.unwrap().value(), [9]);
    let size = user.tree.as_ref().unwrap().tree_size();
    assert!(
        size > 15,
        "one entry for each update, the first, and padding: {size}"
    );
    server.stop().unwrap();
    let server = start(folder.path(), &[("OVERT_SERVER_PADDING", "20ms")]);
    assert_eq!(
        user.search(&server.url, "alice", Some(3))
            .await
            .unwrap()
            .value(),
        [3]
    );
}

#[tokio::test]
async fn signatures_that_deleted_values_held_are_said_to_be_unchecked() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--batch-interval", "10ms"];
    let server = Server::start(folder.path(), &arguments, &[]).unwrap();
    let (alice, bob) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = alice.path().join("key");
    for (n, command) in ["register", "update", "update"].into_iter().enumerate() {
        std::fs::write(&file, format!("alice's key {n}")).unwrap();
        let arguments = [command, "alice", file.to_str().unwrap()];
        assert_eq!(overt(alice.path(), &server.url, &arguments).0, 0);
    }
    let removed = delete(folder.path(), &["alice", "--version", "0", "--yes"]);
    assert!(removed.status.success(), "{removed:?}");
    let (code, found) = overt(bob.path(), &server.url, &["lookup", "alice"]);
    assert_eq!((code, &found["version"]), (0, &2.into()), "{found}");
    assert_eq!(found["unchecked_below"], 1);

    // Whoever knew an earlier version is told that nobody vouches for the newer one.
    for number in 3..5 {
        std::fs::write(&file, format!("alice's key {number}")).unwrap();
        let arguments = ["update", "alice", file.to_str().unwrap()];
        assert_eq!(overt(alice.path(), &server.url, &arguments).0, 0);
    }
    let removed = delete(folder.path(), &["alice", "--version", "3", "--yes"]);
    assert!(removed.status.success(), "{removed:?}");
    for _ in 0..2 {
        let (code, found) = overt(bob.path(), &server.url, &["lookup", "alice"]);
        assert_eq!(found["standing"], "unchecked", "{found}");
        let changed = found["seen_before"].as_u64() < Some(4);
        assert_eq!(code, if changed { 9 } else { 0 });
    }
}
