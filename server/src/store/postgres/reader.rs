//! Reads, on a connection of their own.

use std::ops::Range;

use deadpool_postgres::Object;
use overt_protocol::codec::Decode;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{LeafId, LeafPath, Node};
use overt_protocol::wire::{HashValue, LogEntry, Opening, UpdateValue};
use tokio_postgres::Row;

use super::{Params, PostgresStore, array, version};
use crate::store::rows::{damaged, integer};
use crate::store::{Created, Reader, StoreError, VersionRow};

/// A connection from the pool; goes back when dropped.
pub struct PostgresReader<'s> {
    store: &'s PostgresStore,
    client: Object,
}

impl<'s> PostgresReader<'s> {
    pub(super) fn new(store: &'s PostgresStore, client: Object) -> Self {
        Self { store, client }
    }

    fn one(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, StoreError> {
        self.store.wait(async {
            let statement = self.client.prepare_cached(sql).await?;
            Ok(self.client.query_opt(&statement, params).await?)
        })
    }

    fn all(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        self.store.wait(async {
            let statement = self.client.prepare_cached(sql).await?;
            Ok(self.client.query(&statement, params).await?)
        })
    }
}

fn id(row: &Row, column: usize) -> u64 {
    row.get::<_, i64>(column).unsigned_abs()
}

impl Reader for PostgresReader<'_> {
    fn log_entry(&self, position: u64) -> Result<Option<(LogEntry, Option<Node>)>, StoreError> {
        let sql = "SELECT entry, prefix_root FROM log_entry WHERE position = $1";
        let Some(row) = self.one(sql, &[&integer(position)?])? else {
            return Ok(None);
        };
        let entry = LogEntry::from_bytes(row.get(0), &()).map_err(damaged("log_entry"))?;
        let value = entry.prefix_tree;
        let root = row.get::<_, Option<i64>>(1).map(|id| Node {
            id: id.unsigned_abs(),
            value,
        });
        Ok(Some((entry, root)))
    }

    fn changes(&self, position: u64) -> Result<Range<LeafId>, StoreError> {
        let next = |position: u64| {
            let sql = "SELECT next_leaf FROM log_entry WHERE position = $1";
            let row = self.one(sql, &[&integer(position)?])?;
            let missing = || StoreError::Damaged(format!("log entry {position} is missing"));
            row.map(|row| id(&row, 0)).ok_or_else(missing)
        };
        let first = position.checked_sub(1).map_or(Ok(1), next)?;
        Ok(first..next(position)?)
    }

    fn log_subtree(&self, subtree: Subtree) -> Result<Option<HashValue>, StoreError> {
        let sql = "SELECT value FROM log_node WHERE number = $1";
        let row = self.one(sql, &[&integer(subtree.node_number())?])?;
        row.map(|row| array(row.get(0))).transpose()
    }

    fn leaf_path(&self, leaf: LeafId) -> Result<Option<LeafPath>, StoreError> {
        let row = self.one("SELECT path FROM leaf WHERE id = $1", &[&integer(leaf)?])?;
        row.map(|row| LeafPath::from_bytes(row.get(0), &()).map_err(damaged("leaf")))
            .transpose()
    }

    fn greatest_version(&self, label: &[u8], size: u64) -> Result<Option<u32>, StoreError> {
        let row = self.one(
            "SELECT version FROM version WHERE label = $1 AND position < $2
             ORDER BY version DESC LIMIT 1",
            &[&label, &integer(size)?],
        )?;
        row.map(|row| version(row.get(0))).transpose()
    }

    fn version(&self, label: &[u8], number: u32) -> Result<Option<VersionRow>, StoreError> {
        let row = self.one(
            "SELECT position, leaf, removed FROM version WHERE label = $1 AND version = $2",
            &[&label, &i64::from(number)],
        )?;
        Ok(row.map(|row| VersionRow {
            position: id(&row, 0),
            leaf: id(&row, 1),
            removed: row.get::<_, Option<i64>>(2).map(i64::unsigned_abs),
        }))
    }

    fn versions_from(&self, leaf: LeafId, max: usize) -> Result<Vec<Created>, StoreError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = self.all(
            "SELECT label, version, position, leaf FROM version WHERE leaf >= $1
             ORDER BY leaf LIMIT $2",
            &[&integer(leaf)?, &max],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Created {
                    label: row.get(0),
                    version: version(row.get(1))?,
                    position: id(row, 2),
                    leaf: id(row, 3),
                })
            })
            .collect()
    }

    fn value(&self, leaf: LeafId) -> Result<Option<(Opening, UpdateValue)>, StoreError> {
        let sql = "SELECT opening, value, signature FROM opening WHERE leaf = $1";
        let Some(row) = self.one(sql, &[&integer(leaf)?])? else {
            return Ok(None);
        };
        let (value, signature) = (row.get(1), row.get(2));
        Ok(Some((array(row.get(0))?, UpdateValue { value, signature })))
    }

    fn is_deleted(&self, leaf: LeafId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM deleted WHERE leaf = $1";
        Ok(self.one(sql, &[&integer(leaf)?])?.is_some())
    }

    fn head_nodes(&self, level: u8, first: u64, count: u16) -> Result<Vec<HashValue>, StoreError> {
        let rows = self.all(
            "SELECT hash FROM head_node WHERE level = $1 AND number >= $2 ORDER BY number LIMIT $3",
            &[&i64::from(level), &integer(first)?, &i64::from(count)],
        )?;
        rows.iter().map(|row| array(row.get(0))).collect()
    }

    fn head_node_count(&self, level: u8) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM head_node WHERE level = $1";
        let row = self.one(sql, &[&i64::from(level)])?;
        Ok(row.map_or(0, |row| id(&row, 0)))
    }

    fn last_leaf(&self) -> Result<LeafId, StoreError> {
        let row = self.one("SELECT coalesce(max(id), 0) FROM leaf", &[])?;
        Ok(row.map_or(0, |row| id(&row, 0)))
    }
}
