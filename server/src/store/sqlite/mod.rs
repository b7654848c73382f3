//! The embedded engine: SQLite in WAL mode with `synchronous=FULL`, one writing connection and a
//! pool of reading ones.

mod labels;
mod reader;
mod retention;

pub use reader::SqliteReader;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use overt_protocol::prefix_tree::Dropped;
use overt_protocol::provider::{LeafId, Tip};
use overt_protocol::wire::TreeHead;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use super::rows::{Segment, damaged, decode_tip, encode_leaves, encode_tip, encoded, integer};
use crate::head_log::HeadNode;
use crate::store::{Batch, Promise, Published, Retained, Store, StoreError};
use labels::Labels;
use reader::Held;

/// The tables. `leaf`, `page`, `log_entry` and `log_node` are only ever appended to, and pruned from
/// the old end; `label` is in the order of labels' hashes.
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
        next_leaf INTEGER NOT NULL, removed BLOB);
    CREATE TABLE IF NOT EXISTS auditor_head (
        one INTEGER PRIMARY KEY CHECK (one = 1), head BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS log_node (number INTEGER PRIMARY KEY, value BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS page (first INTEGER PRIMARY KEY, records BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS leaf (
        id INTEGER PRIMARY KEY, position INTEGER NOT NULL, leaf BLOB NOT NULL,
        label BLOB, version INTEGER, removed INTEGER,
        opening BLOB, value BLOB, signature BLOB);
    CREATE TABLE IF NOT EXISTS label (
        hash BLOB NOT NULL, leaf INTEGER NOT NULL, PRIMARY KEY (hash, leaf)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS head_node (
        level INTEGER NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (level, number)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS promise (
        number INTEGER PRIMARY KEY, label BLOB NOT NULL, version INTEGER NOT NULL,
        opening BLOB NOT NULL, value BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS deleted (leaf INTEGER PRIMARY KEY, at INTEGER NOT NULL);
";

/// Marks a database file as ours ("Ovrt"); `user_version` is that of the schema.
const APPLICATION_ID: i32 = 0x4f76_7274;
const SCHEMA_VERSION: i32 = 5;

/// The embedded store. Clones share everything.
#[derive(Debug, Clone)]
pub struct SqliteStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    labels: Labels,
    // Dropped before the writer: the last connection to close moves the WAL into the database,
    // which one that only reads cannot.
    idle: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens or creates the database file.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = Connection::open(path)?;
        configure(&writer, WRITER_CACHE)?;
        writer.pragma_update(None, "journal_mode", "WAL")?;
        writer.pragma_update(None, "synchronous", "FULL")?;
        let id: i32 = writer.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i32 = writer.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match (id, version) {
            (0, 0) => {
                let tx = writer.unchecked_transaction()?;
                tx.execute_batch(SCHEMA)?;
                Labels::create(&tx)?;
                tx.pragma_update(None, "application_id", APPLICATION_ID)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                tx.commit()?;
            }
            (APPLICATION_ID, SCHEMA_VERSION) => {}
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
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            labels: Labels::open(path, &writer)?,
            idle: Mutex::new(Vec::new()),
            writer: Mutex::new(writer),
        })))
    }

    /// The versions of a label whose values are there, or whether one is.
    pub fn values_of(&self, label: &[u8], version: Option<u32>) -> Result<Vec<u32>, StoreError> {
        let found = self.openings(&self.writer(), label, version)?;
        Ok(found.into_iter().map(|(version, _)| version).collect())
    }

    /// These, and their leaves.
    fn openings(
        &self,
        connection: &Connection,
        label: &[u8],
        version: Option<u32>,
    ) -> Result<Vec<(u32, LeafId)>, StoreError> {
        let labels = &self.0.labels;
        let mut statement = connection.prepare_cached(
            "SELECT version FROM leaf
             WHERE id = ?1 AND opening IS NOT NULL AND (?2 IS NULL OR version = ?2)",
        )?;
        let mut found = Vec::new();
        for leaf in labels.leaves(&labels.waiting(), connection, label)? {
            let row = statement.query_row(params![integer(leaf)?, version], |row| row.get(0));
            found.extend(row.optional()?.map(|version| (version, leaf)));
        }
        Ok(found)
    }

    /// Finds the labels of all leaves anew, which were written in some other way.
    pub(super) fn index_labels(&self, tx: &Connection) -> Result<(), StoreError> {
        self.0.labels.restore(tx)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Connection> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection for later, unless there are enough.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory for pages of the database, in KiB: of the writer, which alone keeps them from one transaction
/// to the next; and of a reader. What is read again and again is cached elsewhere, decoded.
const WRITER_CACHE: i64 = 32 << 10;
const READER_CACHE: i64 = 1 << 10;
/// Readers that are kept for later.
const MAX_IDLE: usize = 64;

fn configure(connection: &Connection, cache: i64) -> Result<(), StoreError> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(32);
    // Plans do not depend on what is bound: statements would be prepared anew for every value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -cache)?;
    Ok(())
}

impl Store for SqliteStore {
    type Reader<'s> = SqliteReader<'s>;

    fn reader(&self) -> Result<SqliteReader<'_>, StoreError> {
        // Before the first read: see `Labels::waiting`.
        let waiting = self.0.labels.waiting();
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.0.path, flags)?;
                configure(&connection, READER_CACHE)?;
                connection
            }
        };
        SqliteReader::begin(self, waiting, Held::Pooled(connection))
    }

    fn writing_reader(&self) -> Result<SqliteReader<'_>, StoreError> {
        let waiting = self.0.labels.waiting();
        SqliteReader::begin(self, waiting, Held::Writer(self.writer()))
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
        append(&tx, batch)?;
        move_head(&tx, before, &batch.tip)?;
        let labels = &self.0.labels;
        let moving = labels.add(&tx, &batch.leaves, batch.tip.next_leaf)?;
        tx.commit()?;
        labels.moved(moving);
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
        let found = self.openings(&tx, label, version)?;
        for (_, leaf) in &found {
            let leaf = integer(*leaf)?;
            tx.execute(retention::FORGET, [leaf])?;
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

    fn retention(&self) -> Result<Retained, StoreError> {
        retention::progress(&self.writer())
    }

    fn drop_versions(
        &self,
        dropped: u64,
        pages: &Dropped,
        leaves: &[LeafId],
    ) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let labels = retention::drop_versions(&tx, dropped, pages, leaves)?;
        let moving = self.0.labels.forget(&tx, &labels)?;
        tx.commit()?;
        self.0.labels.moved(moving);
        Ok(())
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

/// Writes everything but the head.
fn append(tx: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let mut entry = tx.prepare_cached("INSERT INTO log_entry VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut remove = tx.prepare_cached("UPDATE leaf SET removed = ?2 WHERE id = ?1")?;
    for new in &batch.entries {
        let position = integer(new.position)?;
        entry.execute(params![
            position,
            encoded(&new.entry)?,
            new.prefix_root.map(|r| integer(r.id)).transpose()?,
            integer(new.next_leaf)?,
            encode_leaves(&new.removed)
        ])?;
        for leaf in &new.removed {
            remove.execute([integer(*leaf)?, position])?;
        }
    }
    let mut node = tx.prepare_cached("INSERT INTO log_node VALUES (?1, ?2)")?;
    for (subtree, value) in &batch.subtrees {
        node.execute(params![integer(subtree.node_number())?, value])?;
    }
    let mut page = tx.prepare_cached("INSERT INTO page VALUES (?1, ?2)")?;
    for segment in Segment::of(&batch.pages)? {
        page.execute(params![integer(segment.first)?, segment.bytes])?;
    }
    let mut leaf =
        tx.prepare_cached("INSERT INTO leaf VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for new in &batch.leaves {
        let row = &new.row;
        let created = row.created.as_ref();
        let opened = created.and_then(|created| created.opened.as_ref());
        leaf.execute(params![
            integer(new.id)?,
            integer(row.position)?,
            encoded(&row.leaf)?,
            created.map(|created| &created.label),
            created.map(|created| created.version),
            row.removed.map(integer).transpose()?,
            opened.map(|(opening, _)| opening),
            opened.map(|(_, update)| &update.value),
            opened.and_then(|(_, update)| update.signature.as_ref()),
        ])?;
    }
    put_head_nodes(tx, &batch.head_nodes)?;
    retention::retire(tx, &batch.retired)?;
    let mut fulfil = tx.prepare_cached("DELETE FROM promise WHERE label = ?1")?;
    for label in &batch.fulfilled {
        fulfil.execute([label])?;
    }
    Ok(())
}

/// Moves the head, if it is where the writer believes.
fn move_head(tx: &Transaction<'_>, before: &Tip, after: &Tip) -> Result<(), StoreError> {
    let encode = |tip: &Tip| encode_tip(tip).map_err(damaged("head"));
    let (size, tip) = (integer(after.size)?, encode(after)?);
    let moved = match before.size {
        0 => tx.execute(
            "INSERT OR IGNORE INTO head VALUES (1, ?1, ?2)",
            params![size, tip],
        )?,
        known => tx.execute(
            "UPDATE head SET tree_size = ?1, tip = ?2 WHERE tree_size = ?3 AND tip = ?4",
            params![size, tip, integer(known)?, encode(before)?],
        )?,
    };
    match moved {
        1 => Ok(()),
        _ => Err(StoreError::HeadMoved),
    }
}
