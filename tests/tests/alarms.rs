//! Alarms reach people: a program that hangs does not hold them up, and what was not delivered is
//! tried again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use overt_tests::{Person, Server, User};
use serde_json::Value;

const TOKEN: &str = "a token for these tests";

fn program(person: &Person, name: &str, text: &str) -> String {
    let path = person.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

/// A label's owner, and a key that the directory slipped in.
async fn wronged(folder: &Path) -> (Server, Person) {
    let arguments = ["--access", "token", "--batch-interval", "10ms"];
    let environment = [("OVERT_SERVER_TOKEN", TOKEN)];
    let server = Server::start(folder, &arguments, &environment).unwrap();
    let alice = Person::new(&server.url, TOKEN);
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);
    let mut operator = User::new(&server.url, Some(TOKEN)).await.unwrap();
    operator.own(&server.url, "alice").await.unwrap();
    let url = &server.url;
    operator
        .update(url, "alice", b"the operator's key")
        .await
        .unwrap();
    (server, alice)
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_and_the_alarm_waits_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, alice) = wronged(folder.path()).await;
    let hangs = program(&alice, "hangs", "exec sleep 3600");
    let arguments = ["monitor", "--exec", &hangs, "--exec-timeout", "1s"];
    let Output { status, stderr, .. } = alice.command().args(arguments).output().unwrap();
    assert_eq!(status.code(), Some(8));
    let error = String::from_utf8(stderr).unwrap();
    assert!(
        error.contains("hangs: killed, because it took longer than 1s"),
        "{error}"
    );

    let told = alice.path("told");
    let tells = program(&alice, "tells", &format!("cat >> {}", told.display()));
    for _ in 0..2 {
        alice.run(&["monitor", "--exec", &tells]);
    }
    let told = std::fs::read(told).unwrap();
    let alarm: Value = serde_json::from_slice(&told).expect("exactly one");
    assert_eq!(alarm["code"], "own-key-changed/foreign-version");
}

/// Ends with the test.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn what_was_not_delivered_is_tried_again_before_the_next_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, alice) = wronged(folder.path()).await;
    let (tried, told) = (alice.path("tried"), alice.path("told"));
    let text = format!(
        "test -e {tried} || {{ touch {tried}; exit 1; }}\ncat > {told}.new && mv {told}.new {told}",
        tried = tried.display(),
        told = told.display()
    );
    let fails_once = program(&alice, "fails-once", &text);
    let watching = alice
        .command()
        .args(["monitor", "--watch", "--every", "1h", "--exec", &fails_once])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _watching = Watch(watching.unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !told.exists() {
        assert!(Instant::now() < deadline, "tried: {}", tried.exists());
        std::thread::sleep(Duration::from_millis(50));
    }
}
