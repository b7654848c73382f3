//! `overt-server replay`: the logs of the vectors, rebuilt in SQLite, answer byte for byte.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use overt_tests::binary;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The lines that the command answers to these, and whether it succeeded.
fn replay(file: &Path, lines: Vec<String>) -> (bool, Vec<String>) {
    let mut child = Command::new(binary("overt-server").unwrap())
        .arg("replay")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that refuses the file reads nothing.
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(lines.concat().as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(str::to_owned).collect();
    (output.status.success(), lines)
}

/// Every answer of the file's sessions that was honest: but for credentials, which users make.
fn honest_steps(vectors: &Value) -> Vec<Value> {
    let sessions = vectors["sessions"].as_array().unwrap();
    let steps = sessions
        .iter()
        .flat_map(|session| session["steps"].as_array().unwrap());
    let is_honest = |step: &&Value| {
        step["expect"] == "accept" && step["op"] != "credential" && step["honest"] != false
    };
    steps.filter(is_honest).cloned().collect()
}

/// Compares the answers of one file, and returns how many there are.
fn compare(file: &Path) -> usize {
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let steps = honest_steps(&vectors);
    let line = |step: &Value| {
        let (op, request) = (step["op"].as_str().unwrap(), step["request"].as_str());
        let limit = step["ladders"].as_u64().map(|limit| format!(" {limit}"));
        let (size, limit) = (&step["tree_size"], limit.unwrap_or_default());
        format!("{op} {} {size}{limit}\n", request.unwrap())
    };
    let (success, answers) = replay(file, steps.iter().map(line).collect());
    assert!(success);
    assert_eq!(answers.len(), steps.len());
    for (step, answer) in steps.iter().zip(answers) {
        let responses = step["responses"].as_array().unwrap().iter();
        let responses: Vec<&str> = responses.map(|r| r.as_str().unwrap()).collect();
        assert!(
            answer == responses.join(" "),
            "{}: {}: {}",
            file.display(),
            step["name"],
            answer.get(..80).unwrap_or(&answer)
        );
    }
    steps.len()
}

#[test]
fn their_log_answers_byte_for_byte() {
    assert_eq!(compare(&folder().join("suite2-mode1.json")), 72);
}

/// Both suites, the three modes, with a lifetime and without.
#[test]
fn our_logs_answer_byte_for_byte() {
    let files = std::fs::read_dir(folder().join("overt")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| path.to_string_lossy().contains("-mode");
    let answers: Vec<usize> = files.filter(is_log).map(|file| compare(&file)).collect();
    assert_eq!(answers.len(), 12);
    assert!(answers.iter().all(|count| *count > 40), "{answers:?}");
}

/// Changes what a file says of its first log entry and replays it.
fn changed(name: &str, change: impl FnOnce(&mut Value)) -> bool {
    let file = folder().join("overt").join(name);
    let mut vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut vectors["log"][0]);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("changed.json");
    std::fs::write(&file, vectors.to_string()).unwrap();
    replay(&file, Vec::new()).0
}

#[test]
fn what_others_sign_must_be_in_the_file() {
    assert!(changed("suite2-mode2.json", |_| {}));
    let remove = |value: &mut Value, member: &str| value.as_object_mut().unwrap().remove(member);
    assert!(!changed("suite2-mode2.json", |entry| {
        remove(&mut entry["added"][0], "signature").unwrap();
    }));
    assert!(!changed("suite2-mode3.json", |entry| {
        remove(entry, "auditor_tree_head").unwrap();
    }));
    assert!(!changed("suite2-mode1.json", |entry| {
        entry["added"][0]["value"] = Value::from("00");
    }));
}
