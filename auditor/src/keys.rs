//! The auditor's private key: 32 bytes in hexadecimal, in a file that only its owner can read.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use zeroize::Zeroizing;

/// Loads the key, or makes it on the first use of the data directory.
pub fn load(data_dir: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let path = data_dir.join("auditor-key");
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
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), key.as_mut_slice())
        .with_context(|| format!("{} does not hold 64 hexadecimal digits", path.display()))?;
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
