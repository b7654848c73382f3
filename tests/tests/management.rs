//! A Service Operator in front of a Third-Party Manager, as two processes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;

use overt_protocol::codec::Encode;
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::wire::*;
use overt_tests::{Person, Server, User, binary};

const TOKEN: &str = "a token for these tests";

fn leaf_key(folder: &Path) -> String {
    let output = Command::new(binary("overt-server").unwrap())
        .args(["--data-dir", &folder.join("operator").display().to_string()])
        .arg("leaf-key")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn manager(folder: &Path, leaf_public_key: &str) -> Server {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    drop(port);
    manager_at(&address, &folder.join("manager"), leaf_public_key)
}

fn manager_at(address: &str, folder: &Path, leaf_public_key: &str) -> Server {
    let environment = [
        ("OVERT_SERVER_MODE", "third-party-management"),
        ("OVERT_SERVER_LEAF_PUBLIC_KEY", leaf_public_key),
    ];
    let arguments = ["--role", "manager", "--batch-interval", "10ms"];
    Server::start_at(address, folder, &arguments, &environment).unwrap()
}

fn operator(folder: &Path, manager: &str) -> anyhow::Result<Server> {
    let environment = [
        ("OVERT_SERVER_MANAGER_URL", manager),
        ("OVERT_SERVER_TOKEN", TOKEN),
        // How often it looks at the manager's log.
        ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "10s"),
        ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.01"),
    ];
    let arguments = ["--role", "operator", "--access", "token"];
    Server::start(&folder.join("operator"), &arguments, &environment)
}

#[tokio::test]
async fn values_are_signed_by_the_operator_and_kept_by_the_manager() {
    let folder = tempfile::tempdir().unwrap();
    let key = leaf_key(folder.path());
    let managed = manager(folder.path(), &key);
    let front = operator(folder.path(), &managed.url).unwrap();
    let url = front.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    for n in 0..5u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
    }
    assert_eq!(user.search(&url, "alice", None).await.unwrap().value(), [4]);
    assert_eq!(
        user.search(&url, "alice", Some(2)).await.unwrap().value(),
        [2]
    );
    let error = user
        .update(&url, "alice", &[4])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("unchanged"), "{error}");
    let mut stranger = User::new(&url, None).await.unwrap();
    stranger.own(&url, "alice").await.unwrap();
    // Told of what there is, in place of what was asked for; then there is nothing more to tell.
    stranger.update(&url, "alice", &[9]).await.unwrap();
    let error = stranger
        .update(&url, "alice", &[9])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("unauthorized"), "{error}");

    // Neither process forgets.
    front.stop().unwrap();
    managed.stop().unwrap();
    let managed = manager(folder.path(), &key);
    let front = operator(folder.path(), &managed.url).unwrap();
    let url = front.url.clone();
    user.update(&url, "alice", &[5]).await.unwrap();
    assert_eq!(user.search(&url, "alice", None).await.unwrap().version(), 5);
}

#[tokio::test]
async fn a_version_that_the_manager_lost_is_skipped_and_never_signed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let key = leaf_key(folder.path());
    let managed = manager(folder.path(), &key);
    let front = operator(folder.path(), &managed.url).unwrap();
    let (url, at) = (front.url.clone(), managed.url.clone());
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    user.update(&url, "alice", b"zero").await.unwrap();
    // The operator signs version 1, and the manager is not there to take it.
    managed.stop().unwrap();
    user.update(&url, "alice", b"lost").await.unwrap_err();
    let address = at.trim_start_matches("http://");
    let environment = [
        ("OVERT_SERVER_MODE", "third-party-management"),
        ("OVERT_SERVER_LEAF_PUBLIC_KEY", key.as_str()),
    ];
    let arguments = ["--role", "manager", "--batch-interval", "10ms"];
    let data = folder.path().join("manager");
    let managed = Server::start_at(address, &data, &arguments, &environment).unwrap();
    user.update(&url, "alice", b"two").await.unwrap();
    let found = user.search(&url, "alice", None).await.unwrap();
    assert_eq!((found.version(), found.value()), (2, &b"two"[..]));
    let error = user
        .search(&url, "alice", Some(1))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("not-found"), "{error}");

    // People are told so, and that nothing is wrong.
    let history = Person::new(&url, TOKEN).verified(&["history", "alice"]);
    assert_eq!(history["skipped"], serde_json::json!([1]));
    assert_eq!(history["versions"].as_array().unwrap().len(), 2);

    // What the manager must reject: an old version, a stranger's signature, too many skipped.
    let suite = CipherSuite::Kt128Sha256Ed25519;
    let seed = std::fs::read_to_string(folder.path().join("operator/keys/leaf")).unwrap();
    let seed: [u8; 32] = hex::decode(seed.trim()).unwrap().try_into().unwrap();
    let keys = [seed, [7; 32]].map(|seed| SigningKey::from_bytes(suite, &seed).unwrap());
    let config = user.verifier.config().clone();
    let submit = async |key: &SigningKey, version: u32| {
        let value = b"three".to_vec();
        let tbs = UpdateTbs {
            config: &config,
            label: b"alice",
            version,
            value: &value,
        };
        let signature = Some(key.sign(&tbs.to_bytes().unwrap()));
        let request = ManagerUpdateRequest {
            last: None,
            label: b"alice".to_vec(),
            greatest_version: Some(2),
            values: vec![UpdateValue { value, signature }],
            signed_version: version,
        };
        let body = request.to_bytes().unwrap();
        let answer = user.post(&managed.url, "update", body).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (
            answer.status,
            json["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        submit(&keys[0], 2).await,
        (409, "signed-version".to_owned())
    );
    assert_eq!(submit(&keys[1], 3).await, (403, "forbidden".to_owned()));
    assert_eq!(
        submit(&keys[0], 3 + 129).await,
        (409, "signed-version".to_owned())
    );
    assert_eq!(submit(&keys[0], 3 + 128).await.0, 200);
}

#[tokio::test]
async fn an_operator_refuses_a_manager_that_names_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let other = SigningKey::from_bytes(CipherSuite::Kt128Sha256Ed25519, &[7; 32]).unwrap();
    let managed = manager(folder.path(), &hex::encode(other.public_key()));
    let error = operator(folder.path(), &managed.url)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not name this operator's key"),
        "{error}"
    );
}

/// Tries until an update is refused because of a fork.
async fn until_forked(url: &str) {
    for n in 0..200u8 {
        let mut user = User::new(url, Some(TOKEN)).await.unwrap();
        let tried = match user.own(url, "bob").await {
            Ok(()) => user.update(url, "bob", &[n]).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if tried.is_err_and(|error| error.to_string().contains("forked")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("updates still go to a manager that forked the log");
}

#[tokio::test]
async fn an_operator_gives_nothing_to_a_manager_that_forks_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = leaf_key(folder);
    let managed = manager(folder, &key);
    let address = managed.url.trim_start_matches("http://").to_owned();
    let front = operator(folder, &managed.url).unwrap();
    let url = front.url.clone();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    managed.stop().unwrap();
    // The manager keeps a copy, goes on, and then goes on from the copy.
    let (one, other) = (folder.join("manager"), folder.join("other"));
    let copied = Command::new("cp").arg("-a").args([&one, &other]).status();
    assert!(copied.unwrap().success());
    let managed = manager_at(&address, &one, &key);
    for n in 0..3u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
    }
    // The operator has looked since.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    managed.stop().unwrap();
    let managed = manager_at(&address, &other, &key);
    until_forked(&url).await;
    // Not after a restart either, and not once the other log is as large.
    front.stop().unwrap();
    let front = operator(folder, &managed.url).unwrap();
    until_forked(&front.url).await;
    // The log that it knows is welcome.
    managed.stop().unwrap();
    let _managed = manager_at(&address, &one, &key);
    let url = front.url.clone();
    for n in 0..200 {
        let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
        let owned = user.own(&url, "carol").await;
        if owned.is_ok() && user.update(&url, "carol", b"value").await.is_ok() {
            return;
        }
        assert!(n < 199, "updates stay refused");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
