//! Where keys come from.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use overt_auditor::config::Settings;
use overt_auditor::cosign::Role;
use overt_auditor::keys;

fn settings(folder: &Path, more: &str) -> Settings {
    Settings::parse(&format!("data_dir = {folder:?}\n{more}")).unwrap()
}

fn vkeys(settings: &Settings) -> Vec<String> {
    let roles = [Role::Auditor, Role::Witness];
    let keys = roles.map(|role| keys::cosigner(settings, role).unwrap());
    let all = keys.iter().flatten();
    all.map(|key| key.verifier().to_string()).collect()
}

#[test]
fn keys_are_made_once_and_all_differ() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (settings(one.path(), ""), settings(other.path(), ""));
    assert_eq!(vkeys(&one), vkeys(&one));
    assert_ne!(keys::name(&one).unwrap(), keys::name(&other).unwrap());
    let names = [
        "auditor-key",
        "witness-cosigner-ed25519",
        "auditor-cosigner-ml-dsa",
    ];
    let mut all: Vec<_> = names.map(|name| *keys::load(&one, name).unwrap()).to_vec();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3);
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path(), "");
    vkeys(&settings);
    let path = folder.path().join("witness-cosigner-ed25519");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = keys::cosigner(&settings, Role::Witness).unwrap_err();
    assert!(format!("{error:#}").contains("chmod 600"), "{error:#}");
}

#[test]
fn keys_come_from_a_secret_manager() {
    let folder = tempfile::tempdir().unwrap();
    let script = "case $1 in auditor-key) printf %064d 7;; *) printf %064d 8;; esac";
    let more = format!("key_command = [\"sh\", \"-c\", {script:?}, \"manager\"]");
    let with_command = settings(folder.path(), &more);
    let last = |name| keys::load(&with_command, name).unwrap()[31];
    assert_eq!((last(keys::AUDITOR), last("other")), (7, 8));
    assert_eq!(vkeys(&with_command).len(), 4);
    assert_eq!(
        folder.path().read_dir().unwrap().count(),
        0,
        "no key on the disk"
    );
    for wrong in [
        "[]",
        "[\"false\"]",
        "[\"echo\", \"no key\"]",
        "[\"no-such-program\"]",
    ] {
        let wrong = settings(folder.path(), &format!("key_command = {wrong}"));
        let error = keys::load(&wrong, keys::AUDITOR).unwrap_err();
        assert!(format!("{error:#}").contains("key_command"), "{error:#}");
    }
}
