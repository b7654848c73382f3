//! The auditor's private keys: 32 bytes in hexadecimal each, in files that only their owner can read,
//! or in the environment.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use overt_protocol::head_log::key::{SignatureType, SignerKey};
use zeroize::Zeroizing;

/// The key of `AuditorTreeHead`s.
pub const AUDITOR: &str = "auditor-key";

/// The cosigner's keys of a role, `auditor` or `witness`: one Ed25519 and one ML-DSA-44 key of the
/// name `<name>/<role>`.
pub fn cosigner(data_dir: &Path, name: &str, role: &str) -> anyhow::Result<Vec<SignerKey>> {
    let kinds = [
        (SignatureType::Ed25519Cosignature, "ed25519"),
        (SignatureType::MlDsa44Cosignature, "ml-dsa"),
    ];
    let keys = kinds.into_iter().map(|(kind, algorithm)| {
        let seed = load(data_dir, &format!("{role}-cosigner-{algorithm}"))?;
        let key = SignerKey::from_seed(&format!("{name}/{role}"), kind, &seed);
        key.with_context(|| format!("name = {name:?}"))
    });
    keys.collect()
}

/// Loads the key of this file name, from the environment variable `OVERT_AUDITOR_` and the name in
/// capitals if there is one, or makes it on the first use of the data directory.
pub fn load(data_dir: &Path, name: &str) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let variable = format!(
        "OVERT_AUDITOR_{}",
        name.to_ascii_uppercase().replace('-', "_")
    );
    if let Ok(text) = std::env::var(&variable) {
        return parse(&Zeroizing::new(text)).with_context(|| variable);
    }
    let path = data_dir.join(name);
    if !path.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data_dir)
            .with_context(|| format!("cannot make {}", data_dir.display()))?;
        create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let mode = fs::metadata(&path)?.mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{0} has mode {mode:03o} and must not be accessible to others: chmod 600 {0}",
        path.display()
    );
    let text = Zeroizing::new(fs::read_to_string(&path)?);
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), key.as_mut_slice())
        .context("expected 64 hexadecimal digits")?;
    Ok(key)
}

fn create(path: &Path) -> anyhow::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice())?;
    let text = Zeroizing::new(hex::encode(key.as_slice()));
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{}", text.as_str())?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
