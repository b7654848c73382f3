//! Two people keep watch, and the directory slips in a key.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine;
use overt_tests::{Person, Server, User, binary};
use serde_json::Value;

const TOKEN: &str = "a token for these tests";

/// Ends with the test.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn watch(person: &Person, webhook: &str) -> Watch {
    let child = person
        .command()
        .args(["monitor", "--watch", "--every", "1s", "--webhook", webhook])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Watch(child)
}

/// Takes what is posted to it.
fn webhook() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            reader.get_mut().write_all(answer).unwrap();
            if send.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, receive)
}

/// Replays the evidence in an alarm, with no network.
fn replay(alarm: &Value, folder: &Path) -> Output {
    for (name, text) in alarm["evidence_files"].as_object().unwrap() {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text.as_str().unwrap())
            .unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let report: Value =
        serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    Command::new(binary("overt").unwrap())
        .args(["--json", "exchange", "verify"])
        .args(["--op", report["operation"].as_str().unwrap()])
        .args(["--config", &file("configuration.bin")])
        .args(["--request", &file("request.bin")])
        .args(["--response", &file("response.bin")])
        .args(["--state", &file("state.bin")])
        .args(["--now", &report["now_ms"].to_string()])
        .output()
        .unwrap()
}

fn start(folder: &Path) -> Server {
    let arguments = ["--access", "token", "--batch-interval", "10ms"];
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "2s"),
        ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.2"),
    ];
    Server::start(folder, &arguments, &environment).unwrap()
}

#[tokio::test]
async fn a_slipped_in_key_reaches_its_owner_with_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (alice, bob) = (
        Person::new(&server.url, TOKEN),
        Person::new(&server.url, TOKEN),
    );
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);
    assert_eq!(bob.verified(&["lookup", "alice"])["version"], 0);

    let (hook, alarms) = webhook();
    let (bobs_hook, bobs_alarms) = webhook();
    let _watching = (watch(&alice, &hook), watch(&bob, &bobs_hook));
    let quiet = alarms.recv_timeout(Duration::from_secs(3));
    assert!(quiet.is_err(), "an alarm without a reason: {quiet:?}");

    // The operator has the token and needs nobody's key.
    let mut operator = User::new(&server.url, Some(TOKEN)).await.unwrap();
    operator.own(&server.url, "alice").await.unwrap();
    operator
        .update(&server.url, "alice", b"the operator's key")
        .await
        .unwrap();

    let alarm = alarms.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(alarm["code"], "own-key-changed/foreign-version");
    assert_eq!(alarm["label"], "alice");
    let evidence = tempfile::tempdir().unwrap();
    let replayed = replay(&alarm, evidence.path());
    assert!(replayed.status.success(), "{replayed:?}");
    // One changed byte and it is evidence of nothing.
    let response = evidence.path().join("response.bin");
    let mut bytes = std::fs::read(&response).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut forged = alarm.clone();
    forged["evidence_files"]["response.bin"] = base64::engine::general_purpose::STANDARD
        .encode(&bytes)
        .into();
    assert_eq!(replay(&forged, evidence.path()).status.code(), Some(5));

    // The alarm stays until its owner accepts it.
    let (code, report) = alice.run(&["monitor"]);
    assert_eq!(
        (code, report["result"].as_str()),
        (8, Some("own-key-changed"))
    );
    let id = alarm["id"].to_string();
    let listed = alice.verified(&["alarms", "list"]);
    assert_eq!(listed[0]["id"], alarm["id"]);
    alice.verified(&["alarms", "accept", &id]);
    alice.verified(&["monitor"]);
    assert!(alarms.try_recv().is_err(), "one alarm is raised once");
    assert!(bobs_alarms.try_recv().is_err(), "nothing is wrong for bob");
    assert_eq!(bob.verified(&["lookup", "alice"])["seen_before"], 0);
}

#[tokio::test]
async fn friends_compare_roots_and_send_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (alice, bob) = (
        Person::new(&server.url, TOKEN),
        Person::new(&server.url, TOKEN),
    );
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);

    let roots = bob.path("roots");
    let shown = alice.verified(&["gossip", "show"]);
    std::fs::write(&roots, shown["text"].as_str().unwrap()).unwrap();
    bob.verified(&["gossip", "compare", roots.to_str().unwrap()]);
    let mut forged = shown["text"].as_str().unwrap().to_owned();
    let last = forged.pop().unwrap();
    forged.push(if last == '0' { '1' } else { '0' });
    std::fs::write(&roots, forged).unwrap();
    assert_eq!(
        bob.run(&["gossip", "compare", roots.to_str().unwrap()]).0,
        5
    );

    let compared = &bob.verified(&["gossip", "stranger"])["compared"];
    assert!(compared.as_u64() > Some(0), "{compared}");

    // Bob checks what Alice sends, and asks nobody.
    let file = bob.path("credential");
    let file = file.to_str().unwrap();
    let made = alice.verified(&["credential", "make", "alice"]);
    std::fs::write(file, made["text"].as_str().unwrap()).unwrap();
    bob.verified(&["monitor"]);
    server.stop().unwrap();
    let checked = bob.verified(&["credential", "check", file]);
    assert_eq!(
        (&checked["label"], &checked["version"]),
        (&"alice".into(), &0.into())
    );
    assert_eq!(checked["code"], {
        let server = Server::start_at(
            server_address(&alice.url),
            folder.path(),
            &["--access", "token"],
            &[
                ("OVERT_SERVER_TOKEN", TOKEN),
                ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "2s"),
                ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.2"),
            ],
        )
        .unwrap();
        let found = bob.verified(&["lookup", "alice"]);
        let finished = bob.verified(&["monitor"]);
        assert_eq!(finished["result"], "verified");
        drop(server);
        found["code"].clone()
    });
    // What is only the network is no alarm.
    let (code, report) = bob.run(&["monitor"]);
    assert_eq!(
        (code, report["result"].as_str()),
        (4, Some("not-checkable"))
    );
    assert_eq!(bob.verified(&["alarms", "list"]), Value::Array(Vec::new()));
}

/// Waits until a command's answer is as wanted.
fn until(person: &Person, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let (_, json) = person.run(arguments);
        if wanted(&json) {
            return json;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{arguments:?}: {json}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn event<'j>(report: &'j Value, kind: &str) -> Option<&'j Value> {
    let events = report["events"].as_array()?;
    events.iter().find(|event| event["event"] == kind)
}

#[tokio::test]
async fn contacts_monitor_until_a_distinguished_entry_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (alice, bob) = (
        Person::new(&server.url, TOKEN),
        Person::new(&server.url, TOKEN),
    );
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);
    // A new version is to be monitored unless its entry is distinguished at once.
    let mut number = 0;
    loop {
        number += 1;
        std::fs::write(&key, format!("alice's key {number}")).unwrap();
        alice.verified(&["update", "alice", key.to_str().unwrap()]);
        // Seen in logs of several sizes, which may name different entries.
        for _ in 0..2 {
            bob.verified(&["lookup", "alice"]);
            std::thread::sleep(Duration::from_millis(300));
        }
        if bob.verified(&["status"])["contacts"][0]["to_monitor"] != 0 {
            break;
        }
        assert!(number < 20);
    }
    until(&bob, &["monitor"], |report| {
        assert_eq!(report["result"], "verified", "{report}");
        event(report, "contact").is_none_or(|event| event["remaining"] == 0)
    });
    let report = bob.verified(&["monitor"]);
    assert!(
        event(&report, "contact").is_none(),
        "nothing is left to do: {report}"
    );
}

#[tokio::test]
async fn an_update_that_comes_too_early_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path());
    let (alice, bob) = (
        Person::new(&server.url, TOKEN),
        Person::new(&server.url, TOKEN),
    );
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);
    bob.verified(&["monitor"]);
    let (file, update) = (bob.path("credential"), bob.path("update"));
    let (file, update) = (file.to_str().unwrap(), update.to_str().unwrap());
    // A new version is right of every distinguished entry, unless one was just due.
    let mut number = 0;
    let checked = loop {
        number += 1;
        std::fs::write(&key, format!("alice's key {number}")).unwrap();
        alice.verified(&["update", "alice", key.to_str().unwrap()]);
        let made = alice.verified(&["credential", "make", "alice"]);
        std::fs::write(file, made["text"].as_str().unwrap()).unwrap();
        bob.verified(&["monitor"]);
        let checked = bob.verified(&["credential", "check", file]);
        if checked["finality"] == "awaits-distinguished" {
            break checked;
        }
        assert!(number < 20, "{checked}");
    };
    assert_eq!(checked["version"], number);
    let made = until(&alice, &["credential", "update", file], |made| {
        made["update"].is_string()
    });
    std::fs::write(update, made["update"].as_str().unwrap()).unwrap();
    // Bob has not seen that entry yet.
    let early = bob.verified(&["credential", "check", file, "--update", update]);
    assert_eq!(early["finality"], "awaits-distinguished");
    let report = bob.verified(&["monitor"]);
    let finished = event(&report, "credential").unwrap()["message"].clone();
    assert!(finished.as_str().unwrap().ends_with("is final"), "{report}");
    let report = bob.verified(&["monitor"]);
    assert!(event(&report, "credential").is_none(), "{report}");

    // It stays true, and shows an old key from the day that Bob sees a newer one.
    bob.verified(&["credential", "check", file]);
    std::fs::write(&key, "alice's newest key").unwrap();
    alice.verified(&["update", "alice", key.to_str().unwrap()]);
    bob.verified(&["lookup", "alice"]);
    let (code, checked) = bob.run(&["credential", "check", file]);
    assert_eq!((code, checked["result"].as_str()), (9, Some("old")));
}

#[tokio::test]
async fn silence_is_overdue() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--batch-interval", "10ms"];
    let environment = [
        ("OVERT_SERVER_MAX_BEHIND", "2s"),
        ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "2s"),
        ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.2"),
    ];
    let server = Server::start(folder.path(), &arguments, &environment).unwrap();
    let alice = Person::new(&server.url, TOKEN);
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);
    alice.verified(&["monitor"]);
    server.stop().unwrap();
    until(&alice, &["monitor"], |report| {
        let result = report["result"].as_str().unwrap();
        assert!(["not-checkable", "overdue"].contains(&result), "{report}");
        result == "overdue"
    });
    let alarms = alice.verified(&["alarms", "list"]);
    assert_eq!(alarms[0]["code"], "overdue/unreachable", "{alarms}");
    assert_eq!(alice.run(&["monitor"]).0, 6);
    // Silence is no proof of anything: it ends when the directory answers again.
    let address = server_address(&alice.url);
    let _server = Server::start_at(address, folder.path(), &arguments, &environment).unwrap();
    alice.verified(&["alarms", "accept", &alarms[0]["id"].to_string()]);
    alice.verified(&["monitor"]);
}

fn server_address(url: &str) -> &str {
    url.strip_prefix("http://").unwrap()
}

#[tokio::test]
async fn lost_memory_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--batch-interval", "10ms"];
    let server = Server::start(folder.path(), &arguments, &[]).unwrap();
    let alice = Person::new(&server.url, TOKEN);
    let key = alice.path("key");
    std::fs::write(&key, "alice's key").unwrap();
    alice.verified(&["register", "alice", key.to_str().unwrap()]);
    alice.verified(&["monitor"]);
    let state = alice.path(".local/state/overt/state.sqlite");
    std::fs::rename(&state, alice.path("away")).unwrap();
    let commands: [&[&str]; 9] = [
        &["monitor"],
        &["status"],
        &["lookup", "alice"],
        &["alarms", "list"],
        &["keys", "list"],
        &["trust", "list"],
        &["trust", "add", &server.url],
        &["trust", "remove", &server.url],
        &["credential", "check", key.to_str().unwrap()],
    ];
    let is_said = || {
        for command in commands {
            let (code, report) = alice.run(command);
            let result = report["result"].as_str();
            assert_eq!((code, result), (11, Some("state-lost")), "{command:?}");
        }
    };
    is_said();
    assert!(!state.exists());
    std::fs::write(&state, b"").unwrap();
    is_said();
    assert_eq!(std::fs::read(&state).unwrap(), b"");
    let damaged = b"not a database at all, but long enough to be looked at";
    std::fs::write(&state, damaged).unwrap();
    is_said();
    assert_eq!(std::fs::read(&state).unwrap(), damaged);
    std::fs::rename(alice.path("away"), &state).unwrap();
    let fingerprint = alice.verified(&["status"])["directory"]["fingerprint"].clone();

    // Beginning anew takes a person who says what to trust.
    std::fs::remove_file(&state).unwrap();
    is_said();
    let fingerprint = fingerprint.as_str().unwrap();
    alice.verified(&["trust", "add", &server.url, "--fingerprint", fingerprint]);
    alice.verified(&["monitor"]);
}
