//! Reads, on connections of their own.

use std::ops::Deref;
use std::sync::PoisonError;

use overt_protocol::codec::Decode;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{LeafId, LeafPath, Node};
use overt_protocol::wire::{HashValue, LogEntry, Opening, UpdateValue};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use crate::store::rows::{damaged, integer};
use crate::store::{Created, Reader, StoreError, VersionRow};

/// A connection from the pool; goes back when dropped.
#[derive(Debug)]
pub struct SqliteReader<'s> {
    pub(super) store: &'s SqliteStore,
    pub(super) connection: Option<Connection>,
}

impl Deref for SqliteReader<'_> {
    type Target = Connection;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("a reader has its connection until it is dropped")
    }
}

impl Drop for SqliteReader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let mut idle = self
                .store
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            idle.push(connection);
        }
    }
}

impl SqliteReader<'_> {
    fn one<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self
            .prepare_cached(sql)?
            .query_row(params, read)
            .optional()?)
    }
}

impl Reader for SqliteReader<'_> {
    fn log_entry(&self, position: u64) -> Result<Option<(LogEntry, Option<Node>)>, StoreError> {
        let row: Option<(Vec<u8>, Option<i64>)> = self.one(
            "SELECT entry, prefix_root FROM log_entry WHERE position = ?1",
            [integer(position)?],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        row.map(|(bytes, root)| {
            let entry = LogEntry::from_bytes(&bytes, &()).map_err(damaged("log_entry"))?;
            let value = entry.prefix_tree;
            let root = root.map(|id| Node {
                id: id.unsigned_abs(),
                value,
            });
            Ok((entry, root))
        })
        .transpose()
    }

    fn changes(&self, position: u64) -> Result<std::ops::Range<LeafId>, StoreError> {
        let next = |position: u64| {
            let next: Option<i64> = self.one(
                "SELECT next_leaf FROM log_entry WHERE position = ?1",
                [integer(position)?],
                |row| row.get(0),
            )?;
            let missing = || StoreError::Damaged(format!("log entry {position} is missing"));
            next.map(i64::unsigned_abs).ok_or_else(missing)
        };
        let first = position.checked_sub(1).map_or(Ok(1), next)?;
        Ok(first..next(position)?)
    }

    fn log_subtree(&self, subtree: Subtree) -> Result<Option<HashValue>, StoreError> {
        self.one(
            "SELECT value FROM log_node WHERE number = ?1",
            [integer(subtree.node_number())?],
            |row| row.get(0),
        )
    }

    fn leaf_path(&self, id: LeafId) -> Result<Option<LeafPath>, StoreError> {
        let mut statement = self.prepare_cached("SELECT path FROM leaf WHERE id = ?1")?;
        let mut rows = statement.query([integer(id)?])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let bytes = row
            .get_ref(0)?
            .as_blob()
            .map_err(|e| StoreError::Damaged(e.to_string()))?;
        LeafPath::from_bytes(bytes, &())
            .map(Some)
            .map_err(damaged("leaf"))
    }

    fn greatest_version(&self, label: &[u8], size: u64) -> Result<Option<u32>, StoreError> {
        // Versions that were created after `size` are few: those of the batch being published.
        self.one(
            "SELECT version FROM version WHERE label = ?1 AND position < ?2
             ORDER BY version DESC LIMIT 1",
            params![label, integer(size)?],
            |row| row.get(0),
        )
    }

    fn version(&self, label: &[u8], version: u32) -> Result<Option<VersionRow>, StoreError> {
        self.one(
            "SELECT position, leaf, removed FROM version WHERE label = ?1 AND version = ?2",
            params![label, version],
            |row| {
                Ok(VersionRow {
                    position: row.get::<_, i64>(0)?.unsigned_abs(),
                    leaf: row.get::<_, i64>(1)?.unsigned_abs(),
                    removed: row.get::<_, Option<i64>>(2)?.map(i64::unsigned_abs),
                })
            },
        )
    }

    fn versions_from(&self, leaf: LeafId, max: usize) -> Result<Vec<Created>, StoreError> {
        let mut statement = self.prepare_cached(
            "SELECT label, version, position, leaf FROM version INDEXED BY version_leaf
             WHERE leaf >= ?1 ORDER BY leaf LIMIT ?2",
        )?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![integer(leaf)?, max], |row| {
            Ok(Created {
                label: row.get(0)?,
                version: row.get(1)?,
                position: row.get::<_, i64>(2)?.unsigned_abs(),
                leaf: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn value(&self, leaf: LeafId) -> Result<Option<(Opening, UpdateValue)>, StoreError> {
        self.one(
            "SELECT opening, value, signature FROM opening WHERE leaf = ?1",
            [integer(leaf)?],
            |row| {
                let (value, signature) = (row.get(1)?, row.get(2)?);
                Ok((row.get(0)?, UpdateValue { value, signature }))
            },
        )
    }

    fn is_deleted(&self, leaf: LeafId) -> Result<bool, StoreError> {
        let found: Option<i64> = self.one(
            "SELECT 1 FROM deleted WHERE leaf = ?1",
            [integer(leaf)?],
            |row| row.get(0),
        )?;
        Ok(found.is_some())
    }

    fn head_nodes(&self, level: u8, first: u64, count: u16) -> Result<Vec<HashValue>, StoreError> {
        let mut statement = self.prepare_cached(
            "SELECT hash FROM head_node WHERE level = ?1 AND number >= ?2 ORDER BY number LIMIT ?3",
        )?;
        let rows = statement.query_map(params![level, integer(first)?, count], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn head_node_count(&self, level: u8) -> Result<u64, StoreError> {
        let count: Option<i64> = self.one(
            "SELECT count(*) FROM head_node WHERE level = ?1",
            [level],
            |row| row.get(0),
        )?;
        Ok(count.map_or(0, i64::unsigned_abs))
    }

    fn last_leaf(&self) -> Result<LeafId, StoreError> {
        let last: Option<i64> = self.query_row("SELECT max(id) FROM leaf", [], |row| row.get(0))?;
        Ok(last.map_or(0, i64::unsigned_abs))
    }
}
