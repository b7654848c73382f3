//! Keeping what did not verify, so that others can look at it: bytes as they came, the kept state
//! that they were checked against, and the name of the check.
//!
//! `request.bin`, `response.bin`, `configuration.bin` and `state.bin` of such a directory are what
//! `overt exchange verify` takes.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Reason;
use crate::operation::Operation;

/// An exchange that did not verify.
#[derive(Debug, Default)]
pub struct Exchange<'a> {
    /// The directory's address.
    pub directory: &'a str,
    /// What was asked; none if the failure is about several answers together.
    pub operation: Option<Operation>,
    /// The label in question.
    pub label: &'a [u8],
    /// The clock, in milliseconds since the Unix epoch.
    pub now: u64,
    /// The files to keep, by name.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// Where an exchange was kept, or why it could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// In this directory.
    At(PathBuf),
    /// The application did not say where to.
    Nowhere,
    /// The file system would not have it.
    Failed(String),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(path) => write!(
                f,
                "request, response and report are kept in {}",
                path.display()
            ),
            Self::Nowhere => f.write_str("request and response are not kept"),
            Self::Failed(error) => write!(f, "request and response could not be kept: {error}"),
        }
    }
}

/// Keeps an exchange in a new directory below `dir`.
pub fn keep(dir: Option<&Path>, exchange: &Exchange<'_>, reason: &Reason) -> Kept {
    let Some(dir) = dir else { return Kept::Nowhere };
    match write(dir, exchange, reason) {
        Ok(path) => Kept::At(path),
        Err(error) => Kept::Failed(error.to_string()),
    }
}

fn write(dir: &Path, exchange: &Exchange<'_>, reason: &Reason) -> std::io::Result<PathBuf> {
    let random = getrandom::u32().unwrap_or(0);
    let name = format!("{}-{}-{random:08x}", exchange.now, reason.check());
    let path = dir.join(name);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)?;
    let report = serde_json::json!({
        "format": "overt.failure/v1",
        "check": reason.check(),
        "reason": reason.to_string(),
        "directory": exchange.directory,
        "operation": exchange.operation.map(|operation| operation.to_string()),
        "label": String::from_utf8_lossy(exchange.label),
        "label_hex": hex::encode(exchange.label),
        "now_ms": exchange.now,
        "client": concat!("overt/", env!("CARGO_PKG_VERSION")),
    });
    let report = serde_json::to_vec_pretty(&report)?;
    let files = exchange.files.iter().map(|(name, bytes)| (*name, bytes));
    for (name, bytes) in files.chain([("report.json", &report)]) {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    Ok(path)
}
