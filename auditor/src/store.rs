//! What the auditor remembers, in SQLite: for each directory its fingerprint, the replayed state,
//! the last head that was signed, and why it is refused, if it is.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use overt_protocol::auditor::AuditorState;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::wire::{AuditorTreeHead, HashValue};
use rusqlite::{Connection, OptionalExtension, params};

const SCHEMA_VERSION: i64 = 2;
const SCHEMA: &str = "
    CREATE TABLE directory (
        url TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        state BLOB NOT NULL,
        head BLOB,
        refused TEXT,
        seen_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE recent (
        url TEXT NOT NULL,
        position INTEGER NOT NULL,
        vrf_output BLOB NOT NULL,
        PRIMARY KEY (url, vrf_output)
    ) WITHOUT ROWID;
    CREATE INDEX recent_position ON recent (url, position);
";

/// Keys that were added to a prefix tree since the rightmost distinguished log entry. Only logs
/// with a maximum lifetime may remove leaves, and not these.
#[derive(Debug, Default)]
pub struct Recent {
    /// New ones, and the log entries that added them.
    pub added: HashMap<HashValue, u64>,
    /// The rightmost distinguished log entry: older keys need not be remembered.
    pub distinguished: Option<u64>,
}

/// What is remembered of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its fingerprint.
    pub fingerprint: String,
    /// What was replayed.
    pub state: AuditorState,
    /// The last head that was signed.
    pub head: Option<AuditorTreeHead>,
    /// Why nothing more is signed.
    pub refused: Option<String>,
    /// When it last answered, in milliseconds since the Unix epoch.
    pub seen_at: u64,
}

/// The auditor's memory.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    evidence: PathBuf,
}

impl Store {
    /// Opens or creates it below the data directory.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("auditor.sqlite3");
        let mut connection =
            Connection::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // One auditor on one data directory: two could sign two heads of one size.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let tx = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)
            .context("another auditor uses this data directory")?;
        match tx.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                tx.execute_batch(SCHEMA)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            other => anyhow::bail!("the data directory has format {other}, not {SCHEMA_VERSION}"),
        }
        tx.commit()?;
        Ok(Self {
            connection: Mutex::new(connection),
            evidence: data_dir.join("evidence"),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a directory.
    pub fn record(&self, url: &str) -> anyhow::Result<Option<Record>> {
        type Row = (String, Vec<u8>, Option<Vec<u8>>, Option<String>, i64);
        let row: Option<Row> = self
            .lock()
            .query_row(
                "SELECT fingerprint, state, head, refused, seen_at FROM directory WHERE url = ?1",
                [url],
                |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                    ))
                },
            )
            .optional()?;
        row.map(|(fingerprint, state, head, refused, seen_at)| {
            Ok(Record {
                fingerprint,
                state: AuditorState::from_bytes(&state, &()).context("the state is damaged")?,
                head: head
                    .map(|head| AuditorTreeHead::from_bytes(&head, &()))
                    .transpose()
                    .context("the signed head is damaged")?,
                refused,
                seen_at: seen_at.unsigned_abs(),
            })
        })
        .transpose()
    }

    /// The log entry that added a key, if it is to the right of the rightmost distinguished one.
    pub fn added(&self, url: &str, key: &HashValue) -> anyhow::Result<Option<u64>> {
        let position: Option<i64> = self
            .lock()
            .query_row(
                "SELECT position FROM recent WHERE url = ?1 AND vrf_output = ?2",
                params![url, key],
                |row| row.get(0),
            )
            .optional()?;
        Ok(position.map(i64::unsigned_abs))
    }

    /// Remembers what was replayed, durably.
    pub fn put_replayed(&self, url: &str, record: &Record, recent: &Recent) -> anyhow::Result<()> {
        self.check_head_stays(url, record)?;
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        {
            let mut add = tx.prepare_cached("INSERT OR REPLACE INTO recent VALUES (?1, ?2, ?3)")?;
            let distinguished = recent.distinguished;
            for (key, position) in &recent.added {
                if Some(*position) > distinguished {
                    add.execute(params![url, i64::try_from(*position)?, key])?;
                }
            }
            if let Some(distinguished) = distinguished {
                tx.execute(
                    "DELETE FROM recent WHERE url = ?1 AND position <= ?2",
                    params![url, i64::try_from(distinguished)?],
                )?;
            }
        }
        put(&tx, url, record)?;
        Ok(tx.commit()?)
    }

    /// Remembers, durably. A signed head never goes back, nor gives way to another of its size.
    pub fn put(&self, url: &str, record: &Record) -> anyhow::Result<()> {
        self.check_head_stays(url, record)?;
        put(&self.lock(), url, record)
    }

    fn check_head_stays(&self, url: &str, record: &Record) -> anyhow::Result<()> {
        let before = self.record(url)?;
        if let Some(Record {
            head: Some(old), ..
        }) = &before
        {
            let new = record.head.as_ref();
            let follows = new.is_some_and(|new| new == old || new.tree_size > old.tree_size);
            ensure!(follows, "a signed head would be taken back");
        }
        Ok(())
    }

    /// Keeps the bytes that show what a directory did. Returns the folder.
    pub fn keep_evidence(&self, name: &str, files: &[(&str, Vec<u8>)]) -> anyhow::Result<PathBuf> {
        let folder = self.evidence.join(name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        for (name, bytes) in files {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(folder.join(name))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        Ok(folder)
    }
}

fn put(connection: &Connection, url: &str, record: &Record) -> anyhow::Result<()> {
    let head = record.head.as_ref().map(Encode::to_bytes).transpose()?;
    connection.execute(
        "INSERT INTO directory VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (url) DO UPDATE SET fingerprint = excluded.fingerprint,
         state = excluded.state, head = excluded.head, refused = excluded.refused,
         seen_at = excluded.seen_at",
        params![
            url,
            record.fingerprint,
            record.state.to_bytes()?,
            head,
            record.refused,
            i64::try_from(record.seen_at).unwrap_or(i64::MAX),
        ],
    )?;
    Ok(())
}
