//! `overt exchange verify` on another implementation's sessions, and what it is made of on ours:
//! every step, with the state carried from step to step in files.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use overt_client::exchange::{self, ExchangeError};
use overt_client::kept::KeptState;
use overt_protocol::codec::Decode;
use overt_protocol::user::Verifier;
use overt_protocol::wire::Configuration;
use serde_json::Value;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn vectors() -> Value {
    read(&Path::new(VECTORS).join("suite2-mode1.json"))
}

fn put(dir: &Path, name: &str, hex_text: &Value) -> String {
    let path = dir.join(name);
    fs::write(&path, hex::decode(hex_text.as_str().unwrap()).unwrap()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn overt() -> Command {
    Command::cargo_bin("overt").unwrap()
}

#[test]
fn every_session_step_is_judged_as_expected() {
    let vectors = vectors();
    let mut steps = 0;
    for session in vectors["sessions"].as_array().unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let config = put(dir.path(), "config", &vectors["configuration"]);
        let state = dir.path().join("state");
        let new_state = dir.path().join("new-state");
        for step in session["steps"].as_array().unwrap() {
            let name = format!("{}: {}", session["name"], step["name"]);
            let mut command = overt();
            command.args(["exchange", "verify", "--json", "--config", &config]);
            // Either spelling of an operation's name.
            command.args(["--op", step["op"].as_str().unwrap()]);
            command.args(["--request", &put(dir.path(), "request", &step["request"])]);
            for (i, response) in step["responses"].as_array().unwrap().iter().enumerate() {
                let path = put(dir.path(), &format!("response-{i}"), response);
                command.args(["--response", &path]);
            }
            command.args(["--now", &step["now_ms"].to_string()]);
            command.arg("--new-state").arg(&new_state);
            if state.exists() {
                command.arg("--state").arg(&state);
            }
            let output = command.output().unwrap();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            if step["expect"] == "accept" {
                assert_eq!(output.status.code(), Some(0), "{name}: {report}");
                fs::rename(&new_state, &state).unwrap();
            } else {
                assert_eq!(output.status.code(), Some(5), "{name}: {report}");
                assert!(!report["check"].as_str().unwrap().is_empty(), "{name}");
                assert!(!new_state.exists(), "{name}: nothing is learnt");
            }
            steps += 1;
        }
    }
    assert_eq!(steps, 80);
}

/// Our own sessions: both suites, all modes, with a lifetime and without.
#[test]
fn our_own_sessions_are_judged_as_expected() {
    let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let mut steps = 0;
    for entry in fs::read_dir(Path::new(VECTORS).join("overt")).unwrap() {
        let vectors = read(&entry.unwrap().path());
        let Some(sessions) = vectors["sessions"].as_array() else {
            continue;
        };
        let config = Configuration::from_bytes(&bytes(&vectors["configuration"]), &()).unwrap();
        let verifier = Verifier::new(config).unwrap();
        for session in sessions {
            let mut state = KeptState::default().to_bytes().unwrap();
            for step in session["steps"].as_array().unwrap() {
                // Not every step is an exchange: to make a credential, and to replay the log.
                let Ok(operation) = step["op"].as_str().unwrap().parse() else {
                    continue;
                };
                let kept = KeptState::from_bytes(&state).unwrap();
                let responses = step["responses"].as_array().unwrap();
                let response: Vec<u8> = responses.iter().flat_map(bytes).collect();
                let (request, now) = (bytes(&step["request"]), step["now_ms"].as_u64().unwrap());
                let new = exchange::verify(&verifier, &kept, operation, &request, &response, now);
                let name = format!("{}: {}", session["name"], step["name"]);
                match (step["check"].as_str(), new) {
                    (None, Ok(new)) => state = new.to_bytes().unwrap(),
                    (Some(check), Err(ExchangeError::Response(error))) => {
                        assert_eq!(error.check(), check, "{name}");
                    }
                    (expected, result) => panic!("{name}: {expected:?}, {:?}", result.err()),
                }
                steps += 1;
            }
        }
    }
    assert!(steps > 500, "{steps}");
}

/// The first step of a session, as files in `dir`.
fn first_step(dir: &Path, session: &str) -> (Command, Value) {
    let vectors = vectors();
    let sessions = vectors["sessions"].as_array().unwrap();
    let session = sessions.iter().find(|s| s["name"] == session).unwrap();
    let step = session["steps"][0].clone();
    let mut command = overt();
    command.args(["exchange", "verify", "--op", "search"]);
    command.args(["--config", &put(dir, "config", &vectors["configuration"])]);
    command.args(["--request", &put(dir, "request", &step["request"])]);
    command.args(["--response", &put(dir, "response", &step["responses"][0])]);
    (command, step)
}

#[test]
fn the_failed_check_is_named_to_people_too() {
    let dir = tempfile::tempdir().unwrap();
    let (mut command, step) = first_step(dir.path(), "negative: tree head signature");
    let output = command
        .args(["--now", &step["now_ms"].to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("NOT VERIFIED: head-signature"), "{text}");
}

#[test]
fn the_clock_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut command, _) = first_step(dir.path(), "fixed-version, fresh client");
    let output = command.args(["--now", "1000", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["check"], "head-max-ahead");
}

#[test]
fn what_is_wrong_with_our_own_files_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for broken in ["config", "request"] {
        let (mut command, step) = first_step(dir.path(), "fixed-version, fresh client");
        fs::write(dir.path().join(broken), b"\xff").unwrap();
        let output = command
            .args(["--now", &step["now_ms"].to_string()])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{broken}");
    }
    let (mut command, _) = first_step(dir.path(), "fixed-version, fresh client");
    fs::write(dir.path().join("state"), b"\x01x").unwrap();
    let state = dir.path().join("state");
    command.arg("--state").arg(state).assert().code(2);
    let (mut command, _) = first_step(dir.path(), "fixed-version, fresh client");
    command.args(["--state", "no-such-file"]).assert().code(2);
}

#[test]
fn an_update_needs_an_owner() {
    let vectors = vectors();
    let dir = tempfile::tempdir().unwrap();
    let sessions = vectors["sessions"].as_array().unwrap();
    let steps = sessions
        .iter()
        .flat_map(|session| session["steps"].as_array().unwrap());
    let step = steps
        .into_iter()
        .find(|step| step["op"] == "update")
        .unwrap();
    let output = overt()
        .args(["exchange", "verify", "--json", "--op", "update"])
        .args(["--config", &put(dir.path(), "c", &vectors["configuration"])])
        .args(["--request", &put(dir.path(), "q", &step["request"])])
        .args(["--response", &put(dir.path(), "r", &step["responses"][0])])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["check"], "not-owner");
}
