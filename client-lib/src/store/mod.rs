//! What is remembered between runs, in SQLite.
//!
//! One file holds every pinned directory with the last verified view of its log, the labels owned
//! there and the labels looked up there. Nothing is written before a response has verified whole,
//! and then all that follows from it is written in one transaction. Several processes may use one
//! file: the view of the log moves by compare-and-set.

mod alarms;
mod commit;
mod credentials;
mod pending;
mod proved;
mod receipts;
mod vault;
mod witnesses;

use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use overt_protocol::codec::{Decode, DecodeError, EncodeError};
use overt_protocol::descriptor::DescriptorError;
use overt_protocol::user::{OwnerState, TreeState, TreeView};
use rusqlite::{Connection, OptionalExtension, Params, Transaction, TransactionBehavior, params};
use thiserror::Error;

use crate::kept::Contact;
use crate::trust::{Directory, PinnedBy, TrustError};

pub use alarms::{Alarm, StoredAlarm};
pub use commit::{Change, Committed, Monitored, OwnerChange};
pub use credentials::Received;
pub use pending::Pending;
pub use vault::{Vault, VaultError};

const SCHEMA_VERSION: i64 = 6;
const SCHEMA: &str = "
    CREATE TABLE directory (
        id INTEGER PRIMARY KEY,
        url TEXT NOT NULL UNIQUE,
        descriptor BLOB NOT NULL,
        fingerprint BLOB NOT NULL,
        pinned_by TEXT NOT NULL,
        pinned_at INTEGER NOT NULL,
        tree BLOB,
        recent BLOB,
        monitored_at INTEGER,
        compared_at INTEGER,
        policy BLOB,
        witnessed TEXT
    );
    CREATE TABLE owned (
        directory INTEGER NOT NULL REFERENCES directory (id) ON DELETE CASCADE,
        label BLOB NOT NULL,
        state BLOB NOT NULL,
        value BLOB,
        proved_at INTEGER NOT NULL,
        PRIMARY KEY (directory, label)
    ) WITHOUT ROWID;
    CREATE TABLE pending (
        directory INTEGER NOT NULL REFERENCES directory (id) ON DELETE CASCADE,
        label BLOB NOT NULL,
        version INTEGER NOT NULL,
        value BLOB NOT NULL,
        owner BLOB NOT NULL,
        PRIMARY KEY (directory, label, version, value)
    ) WITHOUT ROWID;
    CREATE TABLE receipt (
        directory INTEGER NOT NULL REFERENCES directory (id) ON DELETE CASCADE,
        label BLOB NOT NULL,
        version INTEGER NOT NULL,
        receipt BLOB NOT NULL,
        PRIMARY KEY (directory, label, version)
    ) WITHOUT ROWID;
    CREATE TABLE contact (
        directory INTEGER NOT NULL REFERENCES directory (id) ON DELETE CASCADE,
        label BLOB NOT NULL,
        state BLOB NOT NULL,
        proved_at INTEGER,
        PRIMARY KEY (directory, label)
    ) WITHOUT ROWID;
    CREATE TABLE credential (
        directory INTEGER NOT NULL REFERENCES directory (id) ON DELETE CASCADE,
        credential BLOB NOT NULL,
        provisional BLOB NOT NULL,
        credential_update BLOB,
        PRIMARY KEY (directory, credential)
    ) WITHOUT ROWID;
    CREATE TABLE alarm (
        id INTEGER PRIMARY KEY,
        directory INTEGER NOT NULL REFERENCES directory (id) ON DELETE CASCADE,
        code TEXT NOT NULL,
        label BLOB NOT NULL,
        detail TEXT NOT NULL,
        evidence TEXT,
        raised_at INTEGER NOT NULL,
        delivered_at INTEGER,
        accepted_at INTEGER
    );
    CREATE UNIQUE INDEX open_alarm ON alarm (directory, code, label, detail)
        WHERE accepted_at IS NULL;
";
const BUSY: Duration = Duration::from_secs(15);

/// Why kept state cannot be used. It is never reset in silence: a client that forgot what it saw
/// can be shown another history.
#[derive(Debug, Error)]
pub enum StoreError {
    /// SQLite's.
    #[error("kept state: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system's.
    #[error("kept state at {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// There is none, or nothing in it.
    #[error("there is no kept state at {0}")]
    Missing(PathBuf),
    /// Written by another version of this program.
    #[error("kept state has format {0}, expected {SCHEMA_VERSION}")]
    Format(i64),
    /// What was written is not what is there.
    #[error("kept state is damaged: {0}")]
    Damaged(String),
    /// State that has no encoding.
    #[error("kept state: {0}")]
    Encode(#[from] EncodeError),
    /// The application's vault failed; what was to be kept is not, and nothing changed.
    #[error("the vault of the application: {0}")]
    Vault(#[source] VaultError),
    /// No such directory is pinned.
    #[error("{0} is not a trusted directory")]
    NotPinned(String),
    /// The address is already pinned.
    #[error("{0} is trusted already")]
    AlreadyPinned(String),
    /// Another process changed what is kept about an owned label.
    #[error("another process changed this label at the same time; try again")]
    Conflict,
}

impl StoreError {
    /// Whether what was remembered is damaged or gone. Everything else passes: another process was
    /// faster, or the disk is full.
    pub fn is_lost(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Damaged(_) | Self::Format(_) | Self::Missing(_) => true,
            Self::Sqlite(error) => {
                matches!(
                    error.sqlite_error_code(),
                    Some(DatabaseCorrupt | NotADatabase)
                )
            }
            _ => false,
        }
    }
}

impl From<DecodeError> for StoreError {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<DescriptorError> for StoreError {
    fn from(error: DescriptorError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<TrustError> for StoreError {
    fn from(error: TrustError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// An owned label as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// What monitoring needs.
    pub state: OwnerState,
    /// The greatest version's value as published, if it was seen whole.
    pub value: Option<Vec<u8>>,
}

/// The kept state of one person on one machine.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    vault: Option<Kept>,
}

/// A vault, and what it took last.
struct Kept {
    vault: Box<dyn Vault>,
    image: Mutex<Vec<u8>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// Brings a database in memory back to an image of it.
fn restore(connection: &mut Connection, image: &[u8]) -> Result<(), StoreError> {
    let size = image.len();
    connection.deserialize_read_exact("main", image, size, false)?;
    Ok(connection.pragma_update(None, "foreign_keys", true)?)
}

impl Store {
    /// Opens the file at `path`, which [`Store::open`] made. That it is gone is an error.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let missing = || StoreError::Missing(path.to_owned());
        if !path.try_exists().is_ok_and(|exists| exists) {
            return Err(missing());
        }
        let connection = Connection::open(path)?;
        match stored_format(&connection)? {
            0 => Err(missing()),
            _ => Self::prepare(connection),
        }
    }

    /// Opens or creates the file at `path`, for its owner alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let io = |error| StoreError::Io {
            path: path.to_owned(),
            error,
        };
        if let Some(dir) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(dir).map_err(io)?;
        }
        // SQLite gives its side files the mode of this one.
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        options.open(path).map_err(io)?;
        Self::prepare(Connection::open(path)?)
    }

    /// A store that is forgotten when it is dropped.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    /// A store that an application keeps, such as in its own encrypted database. Nothing is written
    /// to disk by this library.
    pub fn in_vault(vault: impl Vault + 'static) -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory()?;
        let loaded = vault.load().map_err(StoreError::Vault)?;
        if let Some(loaded) = &loaded {
            restore(&mut connection, loaded)?;
        }
        let mut store = Self::prepare(connection)?;
        let image = store.image()?;
        // It is new, or of an older format.
        if loaded.as_ref() != Some(&image) {
            vault.save(&image).map_err(StoreError::Vault)?;
        }
        store.vault = Some(Kept {
            vault: Box::new(vault),
            image: Mutex::new(image),
        });
        Ok(store)
    }

    fn image(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.lock().serialize("main")?.to_vec())
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match stored_format(&tx)? {
            0 => {
                tx.execute_batch(SCHEMA)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            5 => {
                tx.execute_batch(
                    "ALTER TABLE directory ADD COLUMN policy BLOB;
                     ALTER TABLE directory ADD COLUMN witnessed TEXT;
                     -- No openings of what was looked up so far.
                     UPDATE contact SET state = CAST(state || x'00000000' AS BLOB);",
                )?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            other => return Err(StoreError::Format(other)),
        }
        tx.commit()?;
        Ok(Self {
            connection: Mutex::new(connection),
            vault: None,
        })
    }

    /// Runs all that is written in one transaction, which is durable on return. What a vault does
    /// not take is as if it had not been done.
    fn write<R>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut connection = self.lock();
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = change(&tx)?;
        tx.commit()?;
        let Some(kept) = &self.vault else {
            return Ok(done);
        };
        let next = connection.serialize("main")?.to_vec();
        let mut image = kept.image.lock().unwrap_or_else(PoisonError::into_inner);
        if *image == next {
            return Ok(done);
        }
        match kept.vault.save(&next) {
            Ok(()) => {
                *image = next;
                Ok(done)
            }
            Err(error) => {
                restore(&mut connection, &image)?;
                Err(StoreError::Vault(error))
            }
        }
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.write(|tx| Ok(tx.execute(sql, params)?))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere cannot leave a transaction half done: they roll back on drop.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Every pinned directory, by address.
    pub fn directories(&self) -> Result<Vec<Directory>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT url, descriptor, fingerprint, pinned_by, pinned_at FROM directory ORDER BY url",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, Vec<u8>>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, i64>(4)?,
            ))
        })?;
        rows.map(|row| {
            let (url, descriptor, fingerprint, pinned_by, pinned_at) = row?;
            let pinned_by = match pinned_by.as_str() {
                "fingerprint" => PinnedBy::Fingerprint,
                _ => PinnedBy::FirstUse,
            };
            let pinned_at = pinned_at.unsigned_abs();
            let directory = Directory::from_descriptor(&url, &descriptor, pinned_by, pinned_at)?;
            if directory.fingerprint.as_bytes().as_slice() != fingerprint {
                return Err(StoreError::Damaged("fingerprint of a directory".into()));
            }
            Ok(directory)
        })
        .collect()
    }

    /// The pinned directory at this address.
    pub fn directory(&self, url: &str) -> Result<Option<Directory>, StoreError> {
        let all = self.directories()?;
        Ok(all.into_iter().find(|directory| directory.url == url))
    }

    /// Pins a directory.
    pub fn pin(&self, directory: &Directory) -> Result<(), StoreError> {
        let json = directory.descriptor.to_json()?;
        let added = self.execute(
            "INSERT INTO directory (url, descriptor, fingerprint, pinned_by, pinned_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (url) DO NOTHING",
            params![
                directory.url,
                json,
                directory.fingerprint.as_bytes().as_slice(),
                directory.pinned_by.name(),
                i64::try_from(directory.pinned_at).unwrap_or(i64::MAX),
            ],
        )?;
        match added {
            0 => Err(StoreError::AlreadyPinned(directory.url.clone())),
            _ => Ok(()),
        }
    }

    /// Marks a pinned directory as one whose fingerprint a person confirmed.
    pub fn confirm(&self, url: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET pinned_by = 'fingerprint' WHERE url = ?1",
            [url],
        )?;
        Ok(())
    }

    /// Forgets a directory and everything that was verified about it.
    pub fn unpin(&self, url: &str) -> Result<(), StoreError> {
        let removed = self.execute("DELETE FROM directory WHERE url = ?1", [url])?;
        match removed {
            0 => Err(StoreError::NotPinned(url.to_owned())),
            _ => Ok(()),
        }
    }

    /// The last verified view of the directory's log.
    pub fn tree(&self, url: &str) -> Result<Option<TreeState>, StoreError> {
        let blob: Option<Option<Vec<u8>>> = self
            .lock()
            .query_row("SELECT tree FROM directory WHERE url = ?1", [url], |row| {
                row.get(0)
            })
            .optional()?;
        let blob = blob.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?;
        Ok(blob.map(|b| TreeState::from_bytes(&b, &())).transpose()?)
    }

    /// The recent distinguished log entries, left to right.
    pub fn recent(&self, url: &str) -> Result<Vec<TreeView>, StoreError> {
        let blob: Option<Option<Vec<u8>>> = self
            .lock()
            .query_row(
                "SELECT recent FROM directory WHERE url = ?1",
                [url],
                |row| row.get(0),
            )
            .optional()?;
        commit::decode_recent(blob.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?)
    }

    /// An owned label.
    pub fn owned(&self, url: &str, label: &[u8]) -> Result<Option<Owned>, StoreError> {
        let row: Option<(Vec<u8>, Option<Vec<u8>>)> = self
            .lock()
            .query_row(
                "SELECT o.state, o.value FROM owned o JOIN directory d ON d.id = o.directory
                 WHERE d.url = ?1 AND o.label = ?2",
                params![url, label],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        row.map(|(state, value)| {
            let state = OwnerState::from_bytes(&state, &())?;
            Ok(Owned { state, value })
        })
        .transpose()
    }

    /// A label that was looked up.
    pub fn contact(&self, url: &str, label: &[u8]) -> Result<Option<Contact>, StoreError> {
        let blob: Option<Vec<u8>> = self
            .lock()
            .query_row(
                "SELECT c.state FROM contact c JOIN directory d ON d.id = c.directory
                 WHERE d.url = ?1 AND c.label = ?2",
                params![url, label],
                |row| row.get(0),
            )
            .optional()?;
        Ok(blob.map(|b| Contact::from_bytes(&b, &())).transpose()?)
    }

    /// The labels owned at a directory.
    pub fn owned_labels(&self, url: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        self.labels("owned", url)
    }

    /// The labels looked up at a directory.
    pub fn contact_labels(&self, url: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        self.labels("contact", url)
    }

    fn labels(&self, table: &'static str, url: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(&format!(
            "SELECT t.label FROM {table} t JOIN directory d ON d.id = t.directory
             WHERE d.url = ?1 ORDER BY t.label"
        ))?;
        let rows = statement.query_map([url], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The format of what is kept; zero if nothing is.
fn stored_format(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
