//! What the auditor remembers, in SQLite: for each directory what it replayed and signed, for each log
//! what it cosigned, and evidence for ever.

mod cosigned;
mod directory;
mod evidence;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use rusqlite::{Connection, TransactionBehavior};

use crate::keys::make_private;

pub use directory::{Recent, Record, Replay, ReplayedHead, replayed};
pub use evidence::{Alarm, Kept, refused};

const SCHEMA_VERSION: i64 = 3;
const SCHEMA: &str = include_str!("schema.sql");

/// The auditor's memory.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or creates it below the data directory.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        make_private(data_dir)?;
        let path = data_dir.join("auditor.sqlite3");
        let mut connection =
            Connection::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(32);
        // One auditor on one data directory: two could sign two heads of one size.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Exclusive)
            .context("another auditor uses this data directory")?;
        match tx.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                tx.execute_batch(SCHEMA)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            other => anyhow::bail!(
                "{} has format {other}, not {SCHEMA_VERSION}: move it away, keep the keys, and \
                 everything is replayed",
                path.display()
            ),
        }
        tx.commit()?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn integer(value: u64) -> anyhow::Result<i64> {
    i64::try_from(value).context("a number is out of range")
}
