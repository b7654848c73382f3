//! Reads, on a connection of their own.

use deadpool_postgres::Object;
use overt_protocol::codec::Decode;
use overt_protocol::log_tree::Subtree;
use overt_protocol::prefix_tree::{Node, PageId, PageRecord};
use overt_protocol::provider::LeafId;
use overt_protocol::wire::{HashValue, LogEntry, PrefixLeaf, UpdateValue};
use tokio_postgres::Row;

use super::{Params, PostgresStore, array, version};
use crate::store::rows::{damaged, decode_leaves, integer, record_in};
use crate::store::{Changed, Created, LeafRow, Reader, StoreError};

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

    fn changes(&self, position: u64) -> Result<Changed, StoreError> {
        let first = position.saturating_sub(1);
        let rows = self.all(
            "SELECT next_leaf, removed FROM log_entry WHERE position BETWEEN $1 AND $2
             ORDER BY position",
            &[&integer(first)?, &integer(position)?],
        )?;
        let (first, last) = match (position, rows.as_slice()) {
            (0, [row]) => (1, row),
            (1.., [before, row]) => (id(before, 0), row),
            _ => {
                return Err(StoreError::Damaged(format!(
                    "log entry {position} is missing"
                )));
            }
        };
        Ok(Changed {
            added: first..id(last, 0),
            removed: decode_leaves(last.get(1))?,
        })
    }

    fn log_subtree(&self, subtree: Subtree) -> Result<Option<HashValue>, StoreError> {
        let sql = "SELECT value FROM log_node WHERE number = $1";
        let row = self.one(sql, &[&integer(subtree.node_number())?])?;
        row.map(|row| array(row.get(0))).transpose()
    }

    fn page(&self, page: PageId) -> Result<Option<PageRecord>, StoreError> {
        let row = self.one(
            "SELECT first, records FROM page WHERE first <= $1 ORDER BY first DESC LIMIT 1",
            &[&integer(page)?],
        )?;
        row.map_or(Ok(None), |row| record_in(id(&row, 0), row.get(1), page))
    }

    fn versions(&self, label: &[u8]) -> Result<Vec<LeafId>, StoreError> {
        let rows = self.all(
            "SELECT id FROM leaf WHERE label = $1 ORDER BY id",
            &[&label],
        )?;
        Ok(rows.iter().map(|row| id(row, 0)).collect())
    }

    fn leaf(&self, leaf: LeafId) -> Result<Option<LeafRow>, StoreError> {
        let row = self.one(LEAF, &[&integer(leaf)?])?;
        row.map(|row| leaf_row(&row)).transpose()
    }

    fn leaves_from(&self, leaf: LeafId, max: usize) -> Result<Vec<(LeafId, LeafRow)>, StoreError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = self.all(LEAVES, &[&integer(leaf)?, &max])?;
        rows.iter()
            .map(|row| Ok((id(row, 8), leaf_row(row)?)))
            .collect()
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

const LEAF: &str = "SELECT position, leaf, label, version, removed, opening, value, signature
     FROM leaf WHERE id = $1";
const LEAVES: &str = "SELECT position, leaf, label, version, removed, opening, value, signature, id
     FROM leaf WHERE id >= $1 ORDER BY id LIMIT $2";

fn leaf_row(row: &Row) -> Result<LeafRow, StoreError> {
    let opening: Option<&[u8]> = row.get(5);
    let opened = opening.map(|opening| {
        let value = row.get::<_, Option<Vec<u8>>>(6).unwrap_or_default();
        let signature = row.get(7);
        Ok::<_, StoreError>((array(opening)?, UpdateValue { value, signature }))
    });
    let created = match row.get::<_, Option<Vec<u8>>>(2) {
        None => None,
        Some(label) => Some(Created {
            label,
            version: version(row.get::<_, Option<i64>>(3).unwrap_or_default())?,
            opened: opened.transpose()?,
        }),
    };
    Ok(LeafRow {
        position: id(row, 0),
        leaf: PrefixLeaf::from_bytes(row.get(1), &()).map_err(damaged("leaf"))?,
        created,
        removed: row.get::<_, Option<i64>>(4).map(i64::unsigned_abs),
    })
}
