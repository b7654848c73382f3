//! The file: its form, and that no other bytes prove anything.

use overt_protocol::evidence::{Accused, Evidence, EvidenceError, MAX_EVIDENCE_LEN};

use crate::world::samples;

/// The check that refused, or that something is proved.
pub(crate) fn check<T>(result: Result<T, EvidenceError>) -> &'static str {
    result.err().map_or("proves", |error| error.check())
}

pub(crate) fn accused(files: &[Evidence]) -> Vec<Vec<Accused>> {
    let accused = |file: &Evidence| file.verify().unwrap().accused;
    files.iter().map(accused).collect()
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let mut ids = std::collections::BTreeSet::new();
    for (name, evidence) in samples() {
        let finding = evidence.verify().unwrap();
        assert!(!finding.accused.is_empty() && !finding.explanation.is_empty());
        let json = evidence.to_json();
        let read = Evidence::parse(json.as_bytes()).unwrap();
        assert_eq!(read, evidence, "{name}");
        assert_eq!(read.to_json(), json);
        assert_eq!(read.verify(), Ok(finding));
        assert_eq!(
            read.id(),
            hex::encode(overt_protocol::suite::sha256(&[json.as_bytes()]))
        );
        assert!(ids.insert(read.id()), "{name}");
        // However it is laid out.
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        let read = Evidence::parse(&pretty).unwrap();
        assert_eq!(read.id(), evidence.id());
    }
}

/// Files of this version are in `vectors/`, and go on proving what they prove. They are written anew
/// with `OVERT_WRITE_VECTORS=1`.
#[test]
fn stored_files() {
    let folder = std::path::Path::new("tests/evidence/vectors");
    for (name, evidence) in samples() {
        let path = folder.join(name.replace(", ", "-").replace(" ", "-") + ".json");
        if std::env::var_os("OVERT_WRITE_VECTORS").is_some() {
            std::fs::write(&path, evidence.to_json()).unwrap();
        }
        let stored = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(Evidence::parse(&stored), Ok(evidence), "{name}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let (_, evidence) = samples().remove(0);
    let json = evidence.to_json();
    let judge = |json: &str| check(Evidence::parse(json.as_bytes()));
    assert_eq!(judge(&json), "proves");
    for (from, to) in [
        ("overt.checkpoints/v1", "overt.checkpoints/v2"),
        ("\"evidence\":", "\"Evidence\":"),
        ("\"first\":", "\"third\":"),
        ("\"first\":", "\"more\":1,\"first\":"),
        ("\"key\":", "\"more\":1,\"key\":"),
        ("\"second\":", "\"first\":"),
        ("}}", "}"),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        assert_eq!(judge(&changed), "evidence-format", "{to}");
    }
    let long = vec![b' '; MAX_EVIDENCE_LEN + 1];
    assert_eq!(check(Evidence::parse(&long)), "evidence-length");
    assert_eq!(check(Evidence::parse(&long[1..])), "evidence-format");
    let upper = samples();
    let (_, heads) = upper
        .iter()
        .find(|(name, _)| *name == "tree heads")
        .unwrap();
    let json = heads.to_json();
    let root = json.find("\"root\":\"").unwrap() + 8;
    let (before, rest) = json.split_at(root);
    let shouted = format!("{before}{}{}", rest[..64].to_uppercase(), &rest[64..]);
    assert_eq!(judge(&shouted), "evidence-format");
    let shorter = format!("{before}{}", &rest[2..]);
    assert_eq!(judge(&shorter), "evidence-format");
}

/// One bit of a byte, at many places of each file.
#[test]
fn no_other_bytes_prove_anything() {
    for (name, evidence) in samples() {
        let json = evidence.to_json().into_bytes();
        let step = json.len().div_ceil(600) | 1;
        for at in (0..json.len()).step_by(step) {
            let mut flipped = json.clone();
            flipped[at] ^= 1 << (at % 8);
            let proved = Evidence::parse(&flipped).and_then(|file| file.verify());
            assert!(proved.is_err(), "{name}, byte {at}");
        }
        for cut in [0, 1, json.len() / 2, json.len() - 1] {
            assert_eq!(check(Evidence::parse(&json[..cut])), "evidence-format");
        }
    }
}

/// A file whose sides are exchanged proves the same, or nothing.
#[test]
fn the_order_of_the_sides() {
    for (name, evidence) in samples() {
        let mut value: serde_json::Value = serde_json::from_str(&evidence.to_json()).unwrap();
        let Some(first) = value.get("first").cloned() else {
            continue;
        };
        value["first"] = std::mem::replace(&mut value["second"], first);
        let swapped = Evidence::parse(value.to_string().as_bytes()).unwrap();
        match swapped.verify() {
            Ok(finding) => assert_eq!(finding.accused, evidence.verify().unwrap().accused),
            Err(error) => assert_eq!(error.check(), "evidence-subject", "{name}"),
        }
    }
}

/// The same statement twice.
#[test]
fn a_statement_does_not_contradict_itself() {
    for (name, evidence) in samples() {
        let mut value: serde_json::Value = serde_json::from_str(&evidence.to_json()).unwrap();
        let Some(first) = value.get("first").cloned() else {
            continue;
        };
        value["second"] = first;
        let twice = Evidence::parse(value.to_string().as_bytes()).unwrap();
        let refused = check(twice.verify());
        assert!(
            ["evidence-no-contradiction", "evidence-subject"].contains(&refused),
            "{name}: {refused}"
        );
    }
}
