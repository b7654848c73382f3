//! A memory of the last signed head outside the database.
//!
//! A database restored from a backup is consistent with itself, yet signing on from it would make a
//! second head for sizes that were signed before. The guard is a small file, by default beside the
//! keys, that is made durable before a head is published and compared at start. Put it on another
//! disk than the database, and never restore it.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use overt_protocol::wire::HashValue;

/// The guard file.
#[derive(Debug, Clone)]
pub struct Guard {
    path: PathBuf,
}

impl Guard {
    /// The guard kept at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes the folder of a new log's guard. That of an old one must be there: it may be on a disk
    /// that is missing.
    pub fn prepare(&self) -> std::io::Result<()> {
        match self.path.parent() {
            Some(folder) => fs::create_dir_all(folder),
            None => Ok(()),
        }
    }

    /// The last head that was about to be published: size and root.
    pub fn read(&self) -> std::io::Result<Option<(u64, HashValue)>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let parse = || {
            let (size, root) = text.trim_end().split_once(' ')?;
            let mut value = HashValue::default();
            hex::decode_to_slice(root, &mut value).ok()?;
            Some((size.parse().ok()?, value))
        };
        let wrong = || std::io::Error::other(format!("{} is damaged", self.path.display()));
        parse().map(Some).ok_or_else(wrong)
    }

    /// Records a head, durably, before it is published.
    pub fn write(&self, size: u64, root: &HashValue) -> std::io::Result<()> {
        let next = self.path.with_extension("next");
        let mut file = File::create(&next)?;
        writeln!(file, "{size} {}", hex::encode(root))?;
        file.sync_data()?;
        fs::rename(&next, &self.path)?;
        // The rename itself must survive power loss too.
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}
