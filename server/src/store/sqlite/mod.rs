//! The embedded engine: SQLite in WAL mode with `synchronous=FULL`, one writing connection and a
//! pool of reading ones.

mod reader;
mod retention;

pub use reader::SqliteReader;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use overt_protocol::prefix_tree::{LeafId, LeafPath};
use overt_protocol::provider::Tip;
use overt_protocol::wire::TreeHead;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::rows::{damaged, decode_tip, encode_tip, encoded, integer};
use crate::head_log::HeadNode;
use crate::store::{Batch, Promise, Published, Retained, Store, StoreError};

/// The tables. `leaf`, `opening`, `log_entry` and `log_node` are only ever appended to, and pruned
/// from the old end; `version` is in the order of labels.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        tree_size INTEGER NOT NULL, tip BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS signed_head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        tree_size INTEGER NOT NULL, signature BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS published (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        tree_size INTEGER NOT NULL, signature BLOB NOT NULL, checkpoint BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS log_entry (
        position INTEGER PRIMARY KEY, entry BLOB NOT NULL, prefix_root INTEGER,
        next_leaf INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS auditor_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), head BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS log_node (number INTEGER PRIMARY KEY, value BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS leaf (id INTEGER PRIMARY KEY, path BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS opening (
        leaf INTEGER PRIMARY KEY, opening BLOB NOT NULL, value BLOB NOT NULL, signature BLOB);
    CREATE TABLE IF NOT EXISTS head_node (
        level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (level, number)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS promise (
        number INTEGER PRIMARY KEY, label BLOB NOT NULL, version INTEGER NOT NULL,
        opening BLOB NOT NULL, value BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS deleted (leaf INTEGER PRIMARY KEY, at INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS version (
        label BLOB NOT NULL, version INTEGER NOT NULL,
        position INTEGER NOT NULL, leaf INTEGER NOT NULL, removed INTEGER,
        PRIMARY KEY (label, version)) WITHOUT ROWID;
";

/// Marks a database file as ours ("Ovrt"); `user_version` is that of the schema.
const APPLICATION_ID: i32 = 0x4f76_7274;
const SCHEMA_VERSION: i32 = 4;

/// The embedded store.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    // Dropped before the writer: the last connection to close moves the WAL into the database,
    // which one that only reads cannot.
    idle: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens or creates the database file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = Connection::open(path)?;
        configure(&writer)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        let id: i32 = writer.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i32 = writer.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match (id, version) {
            (0, 0) => {
                writer.execute_batch(SCHEMA)?;
                writer.pragma_update(None, "application_id", APPLICATION_ID)?;
                writer.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            (APPLICATION_ID, SCHEMA_VERSION) => {}
            (APPLICATION_ID, 2 | 3) => {
                let tx = writer.unchecked_transaction()?;
                if version == 2 {
                    tx.execute_batch("ALTER TABLE version ADD COLUMN removed INTEGER")?;
                }
                tx.execute_batch(SCHEMA)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                tx.commit()?;
            }
            (APPLICATION_ID, other) => {
                return Err(StoreError::Damaged(format!(
                    "{} has schema version {other}, this program knows version {SCHEMA_VERSION}",
                    path.display()
                )));
            }
            _ => {
                return Err(StoreError::Damaged(format!(
                    "{} is a database of another program",
                    path.display()
                )));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            writer: Mutex::new(writer),
        })
    }

    /// The versions of a label whose values are there, or whether one is.
    pub fn values_of(&self, label: &[u8], version: Option<u32>) -> Result<Vec<u32>, StoreError> {
        let found = values_of(&self.writer(), label, version)?;
        Ok(found.into_iter().map(|(version, _)| version).collect())
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "cache_size", -16_384)?;
    Ok(())
}

impl Store for SqliteStore {
    type Reader<'s> = SqliteReader<'s>;

    fn reader(&self) -> Result<SqliteReader<'_>, StoreError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                configure(&connection)?;
                connection
            }
        };
        Ok(SqliteReader {
            store: self,
            connection: Some(connection),
        })
    }

    fn tip(&self) -> Result<Option<Tip>, StoreError> {
        let writer = self.writer();
        let bytes: Option<Vec<u8>> = writer
            .query_row("SELECT tip FROM head", [], |row| row.get(0))
            .optional()?;
        bytes
            .map(|bytes| decode_tip(&bytes).map_err(damaged("head")))
            .transpose()
    }

    fn commit(&self, before: &Tip, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut entry = tx.prepare_cached("INSERT INTO log_entry VALUES (?1, ?2, ?3, ?4)")?;
            for (position, log_entry, root, next_leaf) in &batch.entries {
                entry.execute(params![
                    integer(*position)?,
                    encoded(log_entry)?,
                    root.map(|r| integer(r.id)).transpose()?,
                    integer(*next_leaf)?
                ])?;
            }
            let mut node = tx.prepare_cached("INSERT INTO log_node VALUES (?1, ?2)")?;
            for (subtree, value) in &batch.subtrees {
                node.execute(params![integer(subtree.node_number())?, value])?;
            }
            let mut leaf = tx.prepare_cached("INSERT INTO leaf VALUES (?1, ?2)")?;
            for (id, path) in &batch.paths {
                leaf.execute(params![integer(*id)?, encoded(path)?])?;
            }
            let mut opening = tx.prepare_cached("INSERT INTO opening VALUES (?1, ?2, ?3, ?4)")?;
            let mut version =
                tx.prepare_cached("INSERT INTO version VALUES (?1, ?2, ?3, ?4, NULL)")?;
            for new in &batch.versions {
                let leaf = integer(new.row.leaf)?;
                if let Some((bytes, update)) = &new.opened {
                    opening.execute(params![leaf, bytes, update.value, update.signature])?;
                }
                version.execute(params![
                    new.label,
                    new.version,
                    integer(new.row.position)?,
                    leaf
                ])?;
            }
            put_head_nodes(&tx, &batch.head_nodes)?;
            retention::retire(&tx, &batch.retired)?;
            let mut fulfil = tx.prepare_cached("DELETE FROM promise WHERE label = ?1")?;
            for label in &batch.fulfilled {
                fulfil.execute([label])?;
            }
            let tip = encode_tip(&batch.tip).map_err(damaged("head"))?;
            let size = integer(batch.tip.size)?;
            let moved = if before.size == 0 {
                tx.execute(
                    "INSERT OR IGNORE INTO head VALUES (1, ?1, ?2)",
                    params![size, tip],
                )?
            } else {
                let before = (
                    integer(before.size)?,
                    encode_tip(before).map_err(damaged("head"))?,
                );
                tx.execute(
                    "UPDATE head SET tree_size = ?1, tip = ?2 WHERE tree_size = ?3 AND tip = ?4",
                    params![size, tip, before.0, before.1],
                )?
            };
            if moved != 1 {
                return Err(StoreError::HeadMoved);
            }
        }
        tx.commit()?;
        Ok(())
    }

    fn signed_head(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let writer = self.writer();
        let row: Option<(i64, Vec<u8>)> = writer
            .query_row("SELECT tree_size, signature FROM signed_head", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        Ok(row.map(|(size, signature)| (size.unsigned_abs(), signature)))
    }

    fn put_signed_head(&self, size: u64, signature: &[u8]) -> Result<(), StoreError> {
        self.writer().execute(
            "INSERT INTO signed_head VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE
             SET tree_size = excluded.tree_size, signature = excluded.signature
             WHERE excluded.tree_size > signed_head.tree_size",
            params![integer(size)?, signature],
        )?;
        Ok(())
    }

    fn published(&self) -> Result<Option<Published>, StoreError> {
        let sql = "SELECT tree_size, signature, checkpoint FROM published";
        let published = self.writer().query_row(sql, [], |row| {
            let head = TreeHead {
                tree_size: row.get::<_, i64>(0)?.unsigned_abs(),
                signature: row.get(1)?,
            };
            let checkpoint = row.get(2)?;
            Ok(Published { head, checkpoint })
        });
        Ok(published.optional()?)
    }

    fn put_published(&self, published: Option<&Published>) -> Result<(), StoreError> {
        let writer = self.writer();
        match published {
            None => writer.execute("DELETE FROM published", [])?,
            Some(Published { head, checkpoint }) => writer.execute(
                "INSERT INTO published VALUES (1, ?1, ?2, ?3) ON CONFLICT (one) DO UPDATE
                 SET tree_size = excluded.tree_size, signature = excluded.signature,
                     checkpoint = excluded.checkpoint
                 WHERE excluded.tree_size > published.tree_size",
                params![integer(head.tree_size)?, head.signature, checkpoint],
            )?,
        };
        Ok(())
    }

    fn delete(&self, label: &[u8], version: Option<u32>, now: u64) -> Result<Vec<u32>, StoreError> {
        let mut writer = self.writer();
        // Freed pages are overwritten, and no copy stays behind in the write-ahead log.
        writer.pragma_update(None, "secure_delete", true)?;
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found = values_of(&tx, label, version)?;
        for (_, leaf) in &found {
            tx.execute("DELETE FROM opening WHERE leaf = ?1", [leaf])?;
            tx.execute(
                "INSERT INTO deleted VALUES (?1, ?2)",
                params![leaf, integer(now)?],
            )?;
        }
        tx.commit()?;
        let busy: i64 =
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(StoreError::Damaged(
                "the values are deleted, but the write-ahead log could not be emptied because the \
                 database is in use; run this again"
                    .to_owned(),
            ));
        }
        Ok(found.into_iter().map(|(version, _)| version).collect())
    }

    fn auditor_head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let writer = self.writer();
        Ok(writer
            .query_row("SELECT head FROM auditor_head", [], |row| row.get(0))
            .optional()?)
    }

    fn put_auditor_head(&self, head: &[u8]) -> Result<(), StoreError> {
        self.writer().execute(
            "INSERT INTO auditor_head VALUES (1, ?1)
             ON CONFLICT (one) DO UPDATE SET head = excluded.head",
            [head],
        )?;
        Ok(())
    }

    fn put_head_nodes(&self, nodes: &[HeadNode]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        put_head_nodes(&tx, nodes)?;
        Ok(tx.commit()?)
    }

    fn promise(&self, promises: &[Promise]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut keep =
                tx.prepare_cached("INSERT INTO promise VALUES (NULL, ?1, ?2, ?3, ?4)")?;
            for p in promises {
                keep.execute(params![p.label, p.version, p.opening, p.value])?;
            }
        }
        Ok(tx.commit()?)
    }

    fn promises(&self) -> Result<Vec<Promise>, StoreError> {
        let writer = self.writer();
        let mut statement =
            writer.prepare("SELECT label, version, opening, value FROM promise ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            Ok(Promise {
                label: row.get(0)?,
                version: row.get(1)?,
                opening: row.get(2)?,
                value: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn prepare_retention(&self) -> Result<(), StoreError> {
        retention::prepare(&self.writer())
    }

    fn retention(&self) -> Result<Retained, StoreError> {
        retention::progress(&self.writer())
    }

    fn drop_versions(
        &self,
        dropped: u64,
        records: &[(LeafId, Option<LeafPath>)],
    ) -> Result<(), StoreError> {
        retention::drop_versions(&mut self.writer(), dropped, records)
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let writer = self.writer();
        Ok(writer
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
                row.get(0)
            })
            .optional()?)
    }

    fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.writer().execute(
            "INSERT OR IGNORE INTO meta VALUES (?1, ?2)",
            params![key, value],
        )?;
        Ok(())
    }
}

/// Hashes that are there already stay: they are the same.
fn put_head_nodes(connection: &Connection, nodes: &[HeadNode]) -> Result<(), StoreError> {
    let mut put =
        connection.prepare_cached("INSERT OR IGNORE INTO head_node VALUES (?1, ?2, ?3)")?;
    for (level, number, hash) in nodes {
        put.execute(params![level, integer(*number)?, hash])?;
    }
    Ok(())
}

/// Versions and leaves of a label whose values are there.
fn values_of(
    connection: &Connection,
    label: &[u8],
    version: Option<u32>,
) -> Result<Vec<(u32, i64)>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT v.version, v.leaf FROM version v JOIN opening o ON o.leaf = v.leaf
         WHERE v.label = ?1 AND (?2 IS NULL OR v.version = ?2) ORDER BY v.version",
    )?;
    let rows = statement.query_map(params![label, version], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
