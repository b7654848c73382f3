//! The auditor's private keys: 32 bytes in hexadecimal each, in files that only their owner can read,
//! in the environment, or from a secret manager.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use overt_protocol::head_log::key::{SignatureType, SignerKey};
use overt_protocol::suite::{CipherSuite, SigningKey, sha256};
use zeroize::Zeroizing;

use crate::config::Settings;
use crate::cosign::Role;

/// The key of `AuditorTreeHead`s.
pub const AUDITOR: &str = "auditor-key";

/// The cosigner's keys of a role: one Ed25519 and one ML-DSA-44 key of the name `<name>/<role>`.
pub fn cosigner(settings: &Settings, role: Role) -> anyhow::Result<Vec<SignerKey>> {
    let name = name(settings)?;
    let kinds = [
        (SignatureType::Ed25519Cosignature, "ed25519"),
        (SignatureType::MlDsa44Cosignature, "ml-dsa"),
    ];
    let role = role.name();
    let keys = kinds.into_iter().map(|(kind, algorithm)| {
        let seed = load(settings, &format!("{role}-cosigner-{algorithm}"))?;
        let key = SignerKey::from_seed(&format!("{name}/{role}"), kind, &seed);
        key.with_context(|| format!("name = {name:?}"))
    });
    keys.collect()
}

/// The name of the keys: as the settings say, else one that no other auditor has.
pub fn name(settings: &Settings) -> anyhow::Result<String> {
    if let Some(name) = &settings.name {
        return Ok(name.clone());
    }
    let seed = load(settings, AUDITOR)?;
    let key = SigningKey::from_bytes(CipherSuite::Kt128Sha256Ed25519, &seed)?;
    let hash = sha256(&[&key.public_key()]);
    let (short, _) = hash.split_at(8);
    Ok(format!("auditor-{}", hex::encode(short)))
}

/// Loads the key of this name: from the environment variable `OVERT_AUDITOR_` and the name in
/// capitals if there is one, else from the settings' command if they have one, else from the file of
/// this name in the data directory, which is made on first use.
pub fn load(settings: &Settings, name: &str) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let variable = format!(
        "OVERT_AUDITOR_{}",
        name.to_ascii_uppercase().replace('-', "_")
    );
    if let Ok(text) = std::env::var(&variable) {
        return parse(&Zeroizing::new(text)).with_context(|| variable);
    }
    match &settings.key_command {
        Some(command) => {
            run(command, name).with_context(|| format!("key_command {command:?} for {name}"))
        }
        None => read(&settings.data_dir, name),
    }
}

fn run(command: &[String], name: &str) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let (program, arguments) = command.split_first().context("no program")?;
    let output = Command::new(program)
        .args(arguments)
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let printed = Zeroizing::new(output.stdout);
    ensure!(output.status.success(), "{}", output.status);
    parse(str::from_utf8(&printed).context("it printed no text")?)
}

fn read(data_dir: &Path, name: &str) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let path = data_dir.join(name);
    if !path.exists() {
        make_private(data_dir)?;
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

/// Makes a folder that only its owner can look into, if there is none.
pub(crate) fn make_private(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
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
