//! The log's private keys: 32 bytes each, in hexadecimal, in files that only their owner can read,
//! or in the environment.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// A private key as bytes, wiped when dropped.
pub type Secret = Zeroizing<[u8; 32]>;

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// The file cannot be read or made.
    #[error("key file {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others can read the file.
    #[error(
        "key file {path} has mode {mode:03o}; it must not be accessible to others: chmod 600 {path}"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is not a key.
    #[error("{0} does not hold 64 hexadecimal digits")]
    Format(String),
}

/// The key in the environment variable `variable`, else the one in the file. A file that does not
/// exist is made with a random key if `may_create`, which only a new log's start allows.
pub fn load(variable: &str, path: &Path, may_create: bool) -> Result<Secret, KeyFileError> {
    if let Ok(text) = std::env::var(variable) {
        return parse(&Zeroizing::new(text), || {
            format!("environment variable {variable}")
        });
    }
    let io = |error| KeyFileError::Io {
        path: path.to_owned(),
        error,
    };
    match fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.mode() & 0o777;
            if mode & 0o077 != 0 {
                let path = path.to_owned();
                return Err(KeyFileError::Mode { path, mode });
            }
            let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
            parse(&text, || path.display().to_string())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_create => {
            create(path).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

fn parse(text: &str, source: impl FnOnce() -> String) -> Result<Secret, KeyFileError> {
    let mut key = Secret::default();
    hex::decode_to_slice(text.trim(), key.as_mut_slice())
        .map_err(|_| KeyFileError::Format(source()))?;
    Ok(key)
}

/// Makes a random key durable before anything is signed with it.
fn create(path: &Path) -> std::io::Result<Secret> {
    let mut key = Secret::default();
    getrandom::fill(key.as_mut_slice()).map_err(|e| std::io::Error::other(e.to_string()))?;
    let text = Zeroizing::new(hex::encode(key.as_slice()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        fs::File::open(folder)?.sync_all()?;
    }
    tracing::info!(path = %path.display(), "made a new private key; keep a copy of it in a safe place");
    Ok(key)
}
