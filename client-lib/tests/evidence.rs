//! `overt evidence verify`.

use assert_cmd::Command;
use serde_json::Value;

const FILES: &str = "../protocol/tests/evidence/vectors";

/// Runs with no home and nothing to write to: exit code, standard output.
fn verify(args: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let mut command = Command::cargo_bin("overt").unwrap();
    let output = command
        .env_clear()
        .args(["evidence", "verify"])
        .args(args)
        .write_stdin(input)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text)
}

#[test]
fn every_kind_of_evidence_is_explained() {
    let mut codes = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(FILES).unwrap() {
        let path = entry.unwrap().path();
        let file = path.to_str().unwrap();
        let (code, json) = verify(&["--json", file], b"");
        assert_eq!(code, Some(0), "{file}: {json}");
        let report: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["result"], "verified");
        let accused = report["accused"].as_array().unwrap();
        let (code, text) = verify(&[file], b"");
        assert_eq!(code, Some(0));
        for party in accused {
            assert!(text.contains(party["key"].as_str().unwrap()), "{text}");
        }
        let warns = text.contains("whoever holds all of these keys");
        assert_eq!(warns, accused.len() > 1, "{text}");
        codes.insert(report["code"].as_str().unwrap().to_owned());
        let (code, again) = verify(&["--json", "-"], &std::fs::read(&path).unwrap());
        assert_eq!((code, again), (Some(0), json));
    }
    let expected = [
        "broken-promise",
        "head-and-record",
        "leaf-altered",
        "root-not-following",
        "time-backwards",
        "two-checkpoints",
        "two-leaves",
        "two-tree-heads",
        "two-values",
        "version-altered",
    ];
    assert!(codes.iter().eq(expected), "{codes:?}");
}

#[test]
fn what_proves_nothing_exits_with_5_and_names_the_check() {
    let honest = std::fs::read_to_string(format!("{FILES}/tree-heads.json")).unwrap();
    for (file, check) in [
        (
            honest.replacen("size\":2", "size\":3", 1),
            "evidence-head-signature",
        ),
        (honest.replacen("v1", "v9", 1), "evidence-format"),
        (String::new(), "evidence-format"),
    ] {
        let (code, json) = verify(&["--json", "-"], file.as_bytes());
        assert_eq!(code, Some(5), "{json}");
        let report: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["result"], "not-verified");
        assert_eq!(report["check"], check);
        let (code, text) = verify(&["-"], file.as_bytes());
        assert_eq!(code, Some(5));
        assert!(
            text.starts_with(&format!("PROVES NOTHING: {check}")),
            "{text}"
        );
    }
    assert_eq!(verify(&["no such file"], b"").0, Some(2));
    assert_eq!(verify(&[], b"").0, Some(2));
}
