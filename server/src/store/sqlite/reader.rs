//! Reads, on connections of their own.

use std::ops::Deref;
use std::sync::MutexGuard;

use imbl::OrdSet;
use overt_protocol::codec::Decode;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{Node, PageId, PageRecord};
use overt_protocol::provider::LeafId;
use overt_protocol::wire::{HashValue, LogEntry, PrefixLeaf, UpdateValue};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteStore;
use crate::store::rows::{damaged, decode_leaves, integer, record_in};
use crate::store::{Changed, Created, LeafRow, Reader, StoreError};

/// A connection in a transaction: all reads see one state, and the locks are taken once. When it is
/// dropped, one from the pool goes back there.
#[derive(Debug)]
pub struct SqliteReader<'s> {
    store: &'s SqliteStore,
    waiting: OrdSet<([u8; 12], LeafId)>,
    connection: Option<Held<'s>>,
}

#[derive(Debug)]
pub(super) enum Held<'s> {
    Pooled(Connection),
    /// The writer's, which nobody can write with meanwhile.
    Writer(MutexGuard<'s, Connection>),
}

impl Deref for SqliteReader<'_> {
    type Target = Connection;

    #[allow(clippy::expect_used)]
    fn deref(&self) -> &Connection {
        match self.connection.as_ref() {
            Some(Held::Pooled(connection)) => Some(connection),
            Some(Held::Writer(connection)) => Some(&**connection),
            None => None,
        }
        .expect("a reader has its connection until it is dropped")
    }
}

impl Drop for SqliteReader<'_> {
    fn drop(&mut self) {
        let ended = self
            .prepare_cached("COMMIT")
            .and_then(|mut end| end.execute([]));
        // One that is still in a transaction would see the past for ever.
        if let (Some(Held::Pooled(connection)), Ok(_)) = (self.connection.take(), ended) {
            self.store.keep(connection);
        }
    }
}

impl<'s> SqliteReader<'s> {
    pub(super) fn begin(
        store: &'s SqliteStore,
        waiting: OrdSet<([u8; 12], LeafId)>,
        connection: Held<'s>,
    ) -> Result<Self, StoreError> {
        let reader = Self {
            store,
            waiting,
            connection: Some(connection),
        };
        reader.prepare_cached("BEGIN")?.execute([])?;
        Ok(reader)
    }

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

    fn changes(&self, position: u64) -> Result<Changed, StoreError> {
        let sql = "SELECT next_leaf, removed FROM log_entry WHERE position = ?1";
        let next = |position: u64| -> Result<_, StoreError> {
            let row: Option<(i64, Option<Vec<u8>>)> =
                self.one(sql, [integer(position)?], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            let missing = || StoreError::Damaged(format!("log entry {position} is missing"));
            let (leaf, removed) = row.ok_or_else(missing)?;
            Ok((leaf.unsigned_abs(), removed))
        };
        let first = match position.checked_sub(1) {
            None => 1,
            Some(before) => next(before)?.0,
        };
        let (end, removed) = next(position)?;
        Ok(Changed {
            added: first..end,
            removed: decode_leaves(removed.as_deref())?,
        })
    }

    fn log_subtree(&self, subtree: Subtree) -> Result<Option<HashValue>, StoreError> {
        self.one(
            "SELECT value FROM log_node WHERE number = ?1",
            [integer(subtree.node_number())?],
            |row| row.get(0),
        )
    }

    fn page(&self, id: PageId) -> Result<Option<PageRecord>, StoreError> {
        let mut statement = self.prepare_cached(
            "SELECT first, records FROM page WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
        )?;
        let mut rows = statement.query([integer(id)?])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let first = row.get::<_, i64>(0)?.unsigned_abs();
        let records = row.get_ref(1)?.as_blob();
        record_in(first, records.map_err(damaged("page"))?, id)
    }

    fn versions(&self, label: &[u8]) -> Result<Vec<LeafId>, StoreError> {
        self.store.0.labels.leaves(&self.waiting, self, label)
    }

    fn leaf(&self, id: LeafId) -> Result<Option<LeafRow>, StoreError> {
        self.one(LEAF, [integer(id)?], |row| Ok(leaf_row(row)?.1))
    }

    fn leaves_from(&self, leaf: LeafId, max: usize) -> Result<Vec<(LeafId, LeafRow)>, StoreError> {
        let mut statement = self.prepare_cached(LEAVES)?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = statement.query_map([integer(leaf)?, max], leaf_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
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

const LEAF: &str = "SELECT id, position, leaf, label, version, removed, opening, value, signature
     FROM leaf WHERE id = ?1";
const LEAVES: &str = "SELECT id, position, leaf, label, version, removed, opening, value, signature
     FROM leaf WHERE id >= ?1 ORDER BY id LIMIT ?2";

fn leaf_row(row: &Row<'_>) -> rusqlite::Result<(LeafId, LeafRow)> {
    let leaf = row.get_ref(2)?.as_blob()?;
    let wrong = |error| rusqlite::Error::FromSqlConversionFailure(2, Type::Blob, Box::new(error));
    let label: Option<Vec<u8>> = row.get(3)?;
    let opening: Option<_> = row.get(6)?;
    let opened = match opening {
        None => None,
        Some(opening) => {
            let (value, signature) = (row.get(7)?, row.get(8)?);
            Some((opening, UpdateValue { value, signature }))
        }
    };
    let created = match label {
        None => None,
        Some(label) => Some(Created {
            label,
            version: row.get(4)?,
            opened,
        }),
    };
    let found = LeafRow {
        position: row.get::<_, i64>(1)?.unsigned_abs(),
        leaf: PrefixLeaf::from_bytes(leaf, &()).map_err(wrong)?,
        created,
        removed: row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
    };
    Ok((row.get::<_, i64>(0)?.unsigned_abs(), found))
}
