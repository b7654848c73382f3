//! The command's edges that need no directory.

use assert_cmd::Command;

fn overt(home: &tempfile::TempDir) -> Command {
    let mut command = Command::cargo_bin("overt").unwrap();
    command
        .env_clear()
        .env("HOME", home.path())
        .arg("--state-dir")
        .arg(home.path().join("state"));
    command
}

#[test]
fn usage_errors_exit_with_2() {
    let home = tempfile::tempdir().unwrap();
    let value = home.path().join("value");
    std::fs::write(&value, "key").unwrap();
    let value = value.to_str().unwrap();
    let missing = home.path().join("missing");
    let missing = missing.to_str().unwrap();
    let bad_batch = home.path().join("batch");
    std::fs::write(&bad_batch, "{\"label\":\"a\",\"value\":\"!\"}\n").unwrap();
    let bad_batch = bad_batch.to_str().unwrap();
    let double = home.path().join("double");
    std::fs::write(&double, "a\nb\na\n").unwrap();
    let double = double.to_str().unwrap();
    let cases: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["register", "alice"],
        &["register", "--batch", bad_batch, "alice", value],
        &["register", "--batch", bad_batch],
        &["register", "alice", missing],
        &["lookup"],
        &["lookup", "--batch", double],
        &["verify", "alice"],
        &["verify", "alice", "--code", "12"],
        &["verify", "alice", "--code", "12", "--key", value],
        // No directory is trusted.
        &["lookup", "alice"],
        &["status"],
        &["keys", "list"],
        &["--directory", "ftp://x", "status"],
        &["trust", "add", "http://[", "--fingerprint", "x"],
        &[
            "trust",
            "add",
            "http://127.0.0.1:1",
            "--fingerprint",
            "short",
        ],
        &["trust", "remove", "http://127.0.0.1:1"],
        &["exchange", "verify", "--op", "search"],
    ];
    for case in cases {
        let output = overt(&home).args(*case).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{case:?}: {error}");
    }
}

#[test]
fn an_unreachable_directory_exits_with_4_and_is_not_trusted() {
    let home = tempfile::tempdir().unwrap();
    // Nothing listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let output = overt(&home)
        .args(["--json", "trust", "add", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["result"], "unreachable");
    let output = overt(&home)
        .args(["--json", "trust", "list"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"[]\n");
}
