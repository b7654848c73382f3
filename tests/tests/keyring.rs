//! The main job on real keys: every OpenPGP certificate of the distribution's keyrings is
//! registered, updated, looked up and verified through the programs that people use.
//!
//! The keyrings are read at run time and never become part of the project; `tests/run` fetches
//! them and names their folder in `OVERT_TEST_KEYRINGS`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use overt_tests::{Server, binary};
use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::ser::Serialize;
use serde_json::Value;

const UPDATED: usize = 50;

/// One certificate for each e-mail address of a user id.
fn certificates(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for name in ["debian-keyring.gpg", "debian-maintainers.gpg"] {
        let file = std::fs::File::open(folder.join(name)).unwrap();
        let certificates = SignedPublicKey::from_bytes_many(std::io::BufReader::new(file)).unwrap();
        for certificate in certificates.flatten() {
            let ids = certificate
                .details
                .users
                .iter()
                .filter_map(|user| user.id.as_str());
            let address = |id: &str| Some(id.rsplit_once('<')?.1.split_once('>')?.0.to_lowercase());
            if let Some(address) = ids
                .filter_map(address)
                .find(|a| a.contains('@') && a.len() < 255)
            {
                found
                    .entry(address)
                    .or_insert_with(|| certificate.to_bytes().unwrap());
            }
        }
    }
    found
}

struct Overt {
    folder: PathBuf,
    url: String,
}

impl Overt {
    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = Command::new(binary("overt").unwrap())
            .args(["--json", "--directory", &self.url])
            .arg("--state-dir")
            .arg(self.folder.join("state"))
            .arg("--keys-dir")
            .arg(self.folder.join("keys"))
            .args(arguments)
            .output()
            .unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!(
                "{arguments:?}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (output.status.code().unwrap(), value)
    }
}

fn batch(folder: &Path, name: &str, items: &[(&String, &Vec<u8>)]) -> String {
    let mut text = String::new();
    for (label, value) in items {
        let line = serde_json::json!({"label": label, "value": BASE64_STANDARD.encode(value)});
        writeln!(text, "{line}").unwrap();
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn real_keys_from_registration_to_verification() {
    let keyrings = std::env::var_os("OVERT_TEST_KEYRINGS")
        .expect("OVERT_TEST_KEYRINGS is not set: run `tests/run`, which fetches the keyrings");
    let certificates = certificates(Path::new(&keyrings));
    assert!(
        certificates.len() > 800,
        "only {} certificates",
        certificates.len()
    );
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("directory");
    let server = Server::start(&data, &[], &[]).unwrap();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let overt = Overt {
        folder: folder.path().join("user"),
        url: server.url.clone(),
    };

    let all: Vec<_> = certificates.iter().collect();
    let (code, registered) =
        overt.run(&["register", "--batch", &batch(folder.path(), "all", &all)]);
    assert_eq!(
        (code, &registered["registered"]),
        (0, &Value::from(all.len())),
        "{registered}"
    );

    server.stop().unwrap();
    let restart = || Server::start_at(&address, &data, &[], &[]);
    let server = restart().unwrap();

    // The other half of a key's life: another value for some of the labels.
    let changed: Vec<(&String, Vec<u8>)> = all
        .iter()
        .step_by(all.len() / UPDATED)
        .take(UPDATED)
        .map(|(label, value)| (*label, [value.as_slice(), b"\n"].concat()))
        .collect();
    let changes: Vec<_> = changed
        .iter()
        .map(|(label, value)| (*label, value))
        .collect();
    let (code, updated) = overt.run(&[
        "update",
        "--batch",
        &batch(folder.path(), "changed", &changes),
    ]);
    assert_eq!(
        (code, &updated["updated"]),
        (0, &Value::from(UPDATED)),
        "{updated}"
    );

    server.stop().unwrap();
    let server = restart().unwrap();

    // Someone else, who never saw the directory before, looks everyone up.
    let stranger = Overt {
        folder: folder.path().join("stranger"),
        url: overt.url.clone(),
    };
    let (code, lookups) =
        stranger.run(&["lookup", "--batch", &batch(folder.path(), "labels", &all)]);
    assert_eq!(
        (code, &lookups["verified"]),
        (0, &Value::from(all.len())),
        "{lookups}"
    );

    let mut failures = 0;
    for (label, value) in &changed {
        let expect = |version: Option<&str>, value: &[u8]| {
            let mut arguments = vec!["lookup", label.as_str()];
            arguments.extend(version.iter().flat_map(|v| ["--version", v]));
            let (code, found) = stranger.run(&arguments);
            code == 0 && found["value"] == BASE64_STANDARD.encode(value)
        };
        let first = expect(Some("0"), &certificates[*label]);
        let greatest = expect(None, value);
        failures += usize::from(!first) + usize::from(!greatest);
    }
    println!(
        "registered {}, updated {UPDATED}, verified {} (and versions 0 and 1 of {UPDATED}), failures {failures}; \
         bytes per response {} ({} of value on average); client verification {:.2} ms per label",
        all.len(),
        lookups["verified"],
        lookups["response_bytes_per_label"],
        certificates.values().map(Vec::len).sum::<usize>() / all.len(),
        lookups["verify_ms_per_label"].as_f64().unwrap(),
    );
    assert_eq!(failures, 0);
    server.stop().unwrap();
}
