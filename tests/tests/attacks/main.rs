//! Attacks by real processes over HTTP, each up to a file that proves it to anyone: `--nocapture`
//! prints the table. What they are is in `docs/threat-model.md`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod auditors;
mod clients;
mod contradictions;
mod fork;
mod forks;
mod gossip;
mod quorum;
mod rewriting;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use overt_protocol::evidence::Evidence;
use overt_tests::binary;

/// An attack that was noticed.
struct Noticed {
    /// The row of `docs/attacks.md`.
    row: &'static str,
    attack: &'static str,
    by: &'static str,
    /// When it began to be visible.
    since: Instant,
    files: Vec<Evidence>,
}

/// What `overt evidence verify`, which has nothing but the file, says: the code, and the roles of the
/// accused.
fn verify(folder: &Path, json: &str) -> (Option<i32>, serde_json::Value) {
    let path = folder.join("evidence.json");
    std::fs::write(&path, json).unwrap();
    let output = Command::new(binary("overt").unwrap())
        .env_clear()
        .args(["--json", "evidence", "verify"])
        .arg(&path)
        .output()
        .unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), said)
}

/// Verifies the files, and that no change to them accuses anybody else. Prints a line of the table.
fn prove(noticed: &Noticed) {
    let seconds = noticed.since.elapsed().as_secs_f64();
    let folder = tempfile::tempdir().unwrap();
    let mut proved = Vec::new();
    for file in &noticed.files {
        let json = file.to_json();
        let (code, said) = verify(folder.path(), &json);
        assert_eq!(code, Some(0), "{}: {said}", noticed.row);
        let accused = said["accused"].as_array().unwrap();
        let roles: Vec<&str> = accused.iter().filter_map(|a| a["role"].as_str()).collect();
        proved.push(format!(
            "{} ({})",
            said["code"].as_str().unwrap(),
            roles.join("+")
        ));
        // Signatures by others on the same note may change; who is accused may not.
        let accused = file.verify().unwrap().accused;
        for at in (0..json.len()).step_by(json.len() / 40) {
            let mut forged = json.clone().into_bytes();
            forged[at] ^= 1;
            if let Ok(finding) = Evidence::parse(&forged).and_then(|forged| forged.verify()) {
                assert_eq!(finding.accused, accused);
            }
        }
        let (code, _) = verify(folder.path(), &json.replacen("/v1", "/v0", 1));
        assert_eq!(code, Some(5));
    }
    assert!(!proved.is_empty(), "{}", noticed.row);
    println!(
        "| {} | {} | {} | {seconds:.1} s | {} | yes |",
        noticed.row,
        noticed.attack,
        noticed.by,
        proved.join(", ")
    );
}
