//! The private keys of owned labels: one file a label, readable by its owner alone.
//!
//! A file holds every update and recovery key that this device ever made for the label, newest
//! last. Which one is in force is what the published value says; so a key that is on disk before
//! its public half is published is enough to survive a crash at any moment.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use overt_protocol::descriptor::Fingerprint;
use overt_protocol::suite::{CipherSuite, SigningKey, sha256};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

const FORMAT: &str = "overt.keys/v1";

/// An Ed25519 seed.
pub type Seed = Zeroizing<[u8; 32]>;

/// Why keys cannot be read or kept.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The file system's.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Others than the owner may read the file.
    #[error("{0} can be read by others; it must have mode 0600")]
    Exposed(PathBuf),
    /// Not a key file of this program, or of another label or directory.
    #[error("{path} is not a key file of this label: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// In what respect.
        reason: String,
    },
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// Not a recovery phrase: unknown words, or a checksum that does not fit.
    #[error("not a recovery phrase: {0}")]
    Phrase(String),
}

/// The keys of one label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelKeys {
    /// Update keys, newest last.
    pub update: Vec<Seed>,
    /// Recovery keys, newest last.
    pub recovery: Vec<Seed>,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    format: String,
    directory: String,
    label: String,
    /// For people who look into the file.
    name: String,
    update: Vec<String>,
    recovery: Vec<String>,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.update.zeroize();
        self.recovery.zeroize();
    }
}

/// A new random seed.
pub fn generate() -> Result<Seed, KeysError> {
    let mut seed = Seed::default();
    getrandom::fill(&mut *seed)?;
    Ok(seed)
}

/// The signing key of a seed.
pub fn signing_key(seed: &Seed) -> Option<SigningKey> {
    SigningKey::from_bytes(CipherSuite::Kt128Sha256Ed25519, seed).ok()
}

/// The public key of a seed.
pub fn public_key(seed: &Seed) -> [u8; 32] {
    signing_key(seed)
        .and_then(|key| key.public_key().try_into().ok())
        .unwrap_or_default()
}

/// A recovery key as twenty-four words (BIP 39, English; the seed is the entropy).
pub fn to_phrase(seed: &Seed) -> Result<Zeroizing<String>, KeysError> {
    let words = bip39::Mnemonic::from_entropy(&seed[..]);
    let words = words.map_err(|e| KeysError::Phrase(e.to_string()))?;
    Ok(Zeroizing::new(words.to_string()))
}

/// Reads what [`to_phrase`] wrote, in any case and spacing.
pub fn from_phrase(text: &str) -> Result<Seed, KeysError> {
    let text = Zeroizing::new(text.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = Zeroizing::new(text.to_lowercase());
    let bad = |reason: String| KeysError::Phrase(reason);
    let words = bip39::Mnemonic::parse_in(bip39::Language::English, text.as_str());
    let entropy = Zeroizing::new(words.map_err(|e| bad(e.to_string()))?.to_entropy());
    let seed: [u8; 32] = entropy
        .as_slice()
        .try_into()
        .map_err(|_| bad("it must have 24 words".to_owned()))?;
    Ok(Zeroizing::new(seed))
}

impl LabelKeys {
    /// An update key and a recovery key.
    pub fn generate() -> Result<Self, KeysError> {
        Ok(Self {
            update: vec![generate()?],
            recovery: vec![generate()?],
        })
    }

    /// The update key with this public half.
    pub fn update_with(&self, public: &[u8; 32]) -> Option<&Seed> {
        self.update.iter().find(|seed| public_key(seed) == *public)
    }

    /// The recovery key with this public half.
    pub fn recovery_with(&self, public: &[u8; 32]) -> Option<&Seed> {
        self.recovery
            .iter()
            .find(|seed| public_key(seed) == *public)
    }

    /// Adds the keys of `other` that are not here yet.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.update, &other.update),
            (&mut self.recovery, &other.recovery),
        ] {
            for seed in theirs {
                if !mine.contains(seed) {
                    mine.push(seed.clone());
                }
            }
        }
    }
}

/// The key files of one directory's labels.
#[derive(Debug, Clone)]
pub struct KeyRing {
    dir: PathBuf,
    directory: Fingerprint,
}

impl KeyRing {
    /// The ring of `directory` below `dir`.
    pub fn open(dir: &Path, directory: Fingerprint) -> Result<Self, KeysError> {
        let name: String = directory.to_string().chars().take(19).collect();
        let dir = dir.join(name);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&dir).map_err(|e| io_error(&dir, e))?;
        Ok(Self { dir, directory })
    }

    /// Where the keys of `label` are kept, if they are.
    pub fn path(&self, label: &[u8]) -> PathBuf {
        let name = hex::encode(&sha256(&[label])[..16]);
        self.dir.join(name + ".json")
    }

    /// The keys of a label, if there are any.
    pub fn load(&self, label: &[u8]) -> Result<Option<LabelKeys>, KeysError> {
        let path = self.path(label);
        match read_private(&path) {
            Err(KeysError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(json) => self.parse(&json, label, &path).map(Some),
        }
    }

    /// Changes the keys of a label: durable on return, and safe beside other processes.
    pub fn change<E: From<KeysError>>(
        &self,
        label: &[u8],
        change: impl FnOnce(&mut LabelKeys) -> Result<(), E>,
    ) -> Result<LabelKeys, E> {
        let lock_path = self.dir.join(".lock");
        let lock = open_private(&lock_path, false)?;
        lock.lock().map_err(|e| io_error(&lock_path, e))?;
        let mut keys = self.load(label)?.unwrap_or_default();
        let before = keys.clone();
        change(&mut keys)?;
        if keys != before {
            let json = self.export(label, &keys);
            self.write(&self.path(label), json.as_bytes())?;
        }
        Ok(keys)
    }

    /// The labels that keys are kept for.
    pub fn labels(&self) -> Result<Vec<Vec<u8>>, KeysError> {
        let mut out = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|e| io_error(&self.dir, e))? {
            let path = entry.map_err(|e| io_error(&self.dir, e))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let file = parse_file(&read_private(&path)?, &path)?;
                let label = hex::decode(&file.label);
                out.push(label.map_err(|e| malformed(&path, e.to_string()))?);
            }
        }
        out.sort();
        Ok(out)
    }

    /// The contents of the label's key file.
    pub fn export(&self, label: &[u8], keys: &LabelKeys) -> Zeroizing<String> {
        let list = |seeds: &[Seed]| seeds.iter().map(|seed| hex::encode(&seed[..])).collect();
        let file = KeyFile {
            format: FORMAT.to_owned(),
            directory: self.directory.to_string(),
            label: hex::encode(label),
            name: String::from_utf8_lossy(label).into_owned(),
            update: list(&keys.update),
            recovery: list(&keys.recovery),
        };
        // A structure of strings always has a JSON form.
        Zeroizing::new(serde_json::to_string_pretty(&file).unwrap_or_default() + "\n")
    }

    /// Takes in an exported key file of this directory. Returns the label.
    pub fn import(&self, path: &Path) -> Result<Vec<u8>, KeysError> {
        let json = fs::read(path).map_err(|e| io_error(path, e))?;
        let json = Zeroizing::new(json);
        let file = parse_file(&json, path)?;
        let label = hex::decode(&file.label).map_err(|e| malformed(path, e.to_string()))?;
        let keys = self.parse(&json, &label, path)?;
        self.change(&label, |mine| {
            mine.merge(&keys);
            Ok::<_, KeysError>(())
        })?;
        Ok(label)
    }

    fn parse(&self, json: &[u8], label: &[u8], path: &Path) -> Result<LabelKeys, KeysError> {
        let file = parse_file(json, path)?;
        if file.directory != self.directory.to_string() {
            return Err(malformed(path, "it belongs to another directory".into()));
        }
        if file.label != hex::encode(label) {
            return Err(malformed(path, "it belongs to another label".into()));
        }
        let list = |seeds: &[String]| {
            seeds
                .iter()
                .map(|text| {
                    let mut seed = Seed::default();
                    hex::decode_to_slice(text, &mut *seed)
                        .map_err(|e| malformed(path, e.to_string()))?;
                    Ok(seed)
                })
                .collect::<Result<Vec<_>, KeysError>>()
        };
        Ok(LabelKeys {
            update: list(&file.update)?,
            recovery: list(&file.recovery)?,
        })
    }

    /// Writes beside, syncs, renames over.
    fn write(&self, path: &Path, contents: &[u8]) -> Result<(), KeysError> {
        let temporary = path.with_extension("new");
        let mut file = open_private(&temporary, true)?;
        let written = file.write_all(contents).and_then(|()| file.sync_all());
        written.map_err(|e| io_error(&temporary, e))?;
        fs::rename(&temporary, path).map_err(|e| io_error(path, e))?;
        let dir = File::open(&self.dir).and_then(|dir| dir.sync_all());
        dir.map_err(|e| io_error(&self.dir, e))
    }
}

fn open_private(path: &Path, truncate: bool) -> Result<File, KeysError> {
    fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(truncate)
        .mode(0o600)
        .open(path)
        .map_err(|e| io_error(path, e))
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let mode = fs::metadata(path).map_err(|e| io_error(path, e))?;
    if mode.permissions().mode() & 0o077 != 0 {
        return Err(KeysError::Exposed(path.to_owned()));
    }
    let contents = fs::read(path).map_err(|e| io_error(path, e))?;
    Ok(Zeroizing::new(contents))
}

fn parse_file(json: &[u8], path: &Path) -> Result<KeyFile, KeysError> {
    // The parser's own message could quote a key.
    let file: KeyFile =
        serde_json::from_slice(json).map_err(|_| malformed(path, "not the format".into()))?;
    match file.format == FORMAT {
        true => Ok(file),
        false => Err(malformed(path, "another format".into())),
    }
}

fn malformed(path: &Path, reason: String) -> KeysError {
    KeysError::Malformed {
        path: path.to_owned(),
        reason,
    }
}

fn io_error(path: &Path, error: io::Error) -> KeysError {
    KeysError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(dir: &Path) -> KeyRing {
        KeyRing::open(dir, Fingerprint::from([1; 32])).unwrap()
    }

    #[test]
    fn keys_are_kept_private_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let ring = ring(dir.path());
        assert_eq!(ring.load(b"alice").unwrap(), None);
        let made = ring.change(b"alice", |keys| {
            *keys = LabelKeys::generate()?;
            Ok::<_, KeysError>(())
        });
        let made = made.unwrap();
        assert_eq!(ring.load(b"alice").unwrap().unwrap(), made);
        assert_eq!(ring.labels().unwrap(), [b"alice".to_vec()]);
        let path = ring.path(b"alice");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ring.load(b"alice"), Err(KeysError::Exposed(_))));
    }

    #[test]
    fn another_directorys_or_labels_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ring = ring(dir.path());
        let keys = LabelKeys::generate().unwrap();
        let exported = dir.path().join("exported");
        fs::write(&exported, ring.export(b"alice", &keys).as_bytes()).unwrap();
        assert_eq!(ring.import(&exported).unwrap(), b"alice");
        let other = KeyRing::open(dir.path(), Fingerprint::from([2; 32])).unwrap();
        assert!(matches!(
            other.import(&exported),
            Err(KeysError::Malformed { .. })
        ));
        fs::copy(ring.path(b"alice"), ring.path(b"bob")).unwrap();
        assert!(matches!(
            ring.load(b"bob"),
            Err(KeysError::Malformed { .. })
        ));
    }

    #[test]
    fn a_recovery_phrase_reads_back_and_notices_errors() {
        let seed = generate().unwrap();
        let phrase = to_phrase(&seed).unwrap();
        assert_eq!(phrase.split(' ').count(), 24);
        let typed = phrase.to_uppercase().replace(' ', "\n  ");
        assert_eq!(from_phrase(&typed).unwrap(), seed);
        let words: Vec<_> = phrase.split(' ').collect();
        assert!(from_phrase(&words[..12].join(" ")).is_err());
        assert!(from_phrase("correct horse battery staple").is_err());
    }
}
