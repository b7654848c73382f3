//! What a transaction of the sequencer writes.

use deadpool_postgres::{GenericClient, Transaction};
use futures_util::pin_mut;
use overt_protocol::prefix_tree::{Dropped, PageId};
use overt_protocol::provider::{LeafId, Tip};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::version;
use crate::head_log::HeadNode;
use crate::store::rows::{Segment, damaged, encode_leaves, encode_tip, encoded, integer};
use crate::store::{Batch, Promise, Retired, StoreError};

/// Appends log entries, and moves the head from `before`.
pub(super) async fn commit(
    tx: &Transaction<'_>,
    before: &Tip,
    batch: &Batch,
) -> Result<(), StoreError> {
    let kinds = [Type::INT8, Type::BYTEA, Type::INT8, Type::INT8, Type::BYTEA];
    let mut entries = Copy::new("log_entry", &kinds);
    for new in &batch.entries {
        let root = new.prefix_root.map(|root| integer(root.id)).transpose()?;
        entries.row([
            Box::new(integer(new.position)?),
            Box::new(encoded(&new.entry)?),
            Box::new(root),
            Box::new(integer(new.next_leaf)?),
            Box::new(encode_leaves(&new.removed)),
        ]);
    }
    entries.run(tx).await?;
    let mut nodes = Copy::new("log_node", &[Type::INT8, Type::BYTEA]);
    for (subtree, value) in &batch.subtrees {
        let number = integer(subtree.node_number())?;
        nodes.row([Box::new(number), Box::new(value.to_vec())]);
    }
    nodes.run(tx).await?;
    let mut pages = Copy::new("page", &[Type::INT8, Type::BYTEA]);
    for segment in Segment::of(&batch.pages)? {
        pages.row([Box::new(integer(segment.first)?), Box::new(segment.bytes)]);
    }
    pages.run(tx).await?;
    leaves(tx, batch).await?;
    remove(tx, batch).await?;
    put_head_nodes(tx, &batch.head_nodes).await?;
    retire(tx, &batch.retired).await?;
    let fulfil = "DELETE FROM promise WHERE label = ANY($1)";
    tx.execute(fulfil, &[&batch.fulfilled]).await?;
    move_head(tx, before, &batch.tip).await
}

async fn leaves(tx: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let (number, bytes) = (Type::INT8, Type::BYTEA);
    let kinds = [
        number.clone(),
        number.clone(),
        bytes.clone(),
        bytes.clone(),
        number.clone(),
        number,
        bytes.clone(),
        bytes.clone(),
        bytes,
    ];
    let mut leaves = Copy::new("leaf", &kinds);
    for new in &batch.leaves {
        let row = &new.row;
        let created = row.created.as_ref();
        let opened = created.and_then(|created| created.opened.as_ref());
        leaves.row([
            Box::new(integer(new.id)?),
            Box::new(integer(row.position)?),
            Box::new(encoded(&row.leaf)?),
            Box::new(created.map(|created| created.label.clone())),
            Box::new(created.map(|created| i64::from(created.version))),
            Box::new(row.removed.map(integer).transpose()?),
            Box::new(opened.map(|(opening, _)| opening.to_vec())),
            Box::new(opened.map(|(_, update)| update.value.clone())),
            Box::new(opened.and_then(|(_, update)| update.signature.clone())),
        ]);
    }
    leaves.run(tx).await
}

/// Records which leaves left the prefix tree.
async fn remove(tx: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let (mut leaves, mut positions) = (Vec::new(), Vec::new());
    for new in &batch.entries {
        for leaf in &new.removed {
            leaves.push(integer(*leaf)?);
            positions.push(integer(new.position)?);
        }
    }
    if leaves.is_empty() {
        return Ok(());
    }
    let sql = "UPDATE leaf SET removed = r.position
         FROM unnest($1::bigint[], $2::bigint[]) AS r (id, position) WHERE leaf.id = r.id";
    tx.execute(sql, &[&leaves, &positions]).await?;
    Ok(())
}

async fn move_head(tx: &Transaction<'_>, before: &Tip, after: &Tip) -> Result<(), StoreError> {
    let encode = |tip: &Tip| encode_tip(tip).map_err(damaged("head"));
    let (size, tip) = (integer(after.size)?, encode(after)?);
    let moved = match before.size {
        0 => {
            let first = "INSERT INTO head VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
            tx.execute(first, &[&size, &tip]).await?
        }
        known => {
            let next = "UPDATE head SET tree_size = $1, tip = $2 WHERE tree_size = $3 AND tip = $4";
            let (known, before) = (integer(known)?, encode(before)?);
            tx.execute(next, &[&size, &tip, &known, &before]).await?
        }
    };
    match moved {
        1 => Ok(()),
        _ => Err(StoreError::HeadMoved),
    }
}

/// Hashes that are there already stay: they are the same.
pub(super) async fn put_head_nodes(
    tx: &Transaction<'_>,
    nodes: &[HeadNode],
) -> Result<(), StoreError> {
    let (mut levels, mut numbers, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for (level, number, hash) in nodes {
        levels.push(i64::from(*level));
        numbers.push(integer(*number)?);
        hashes.push(hash.to_vec());
    }
    let sql = "INSERT INTO head_node SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
         ON CONFLICT DO NOTHING";
    let statement = tx.prepare_cached(sql).await?;
    tx.execute(&statement, &[&levels, &numbers, &hashes])
        .await?;
    Ok(())
}

/// Forgets the openings and values of leaves.
async fn forget(tx: &Transaction<'_>, leaves: &[i64]) -> Result<(), StoreError> {
    let sql = "UPDATE leaf SET opening = NULL, value = NULL, signature = NULL WHERE id = ANY($1)";
    tx.execute(sql, &[&leaves]).await?;
    Ok(())
}

/// Forgets what can no longer be proved.
async fn retire(tx: &Transaction<'_>, retired: &Retired) -> Result<(), StoreError> {
    if !retired.unprovable.is_empty() {
        forget(tx, &ids(&retired.unprovable)?).await?;
    }
    match retired.swept {
        Some(swept) => put_number(tx, "swept", swept).await,
        None => Ok(()),
    }
}

pub(super) async fn drop_versions(
    tx: &Transaction<'_>,
    dropped: u64,
    pages: &Dropped,
    leaves: &[LeafId],
) -> Result<(), StoreError> {
    drop_pages(tx, pages).await?;
    let sql = "DELETE FROM leaf WHERE id = ANY($1)";
    tx.execute(sql, &[&ids(leaves)?]).await?;
    put_number(tx, "dropped", dropped).await
}

/// Writes the segments anew that pages are dropped from.
async fn drop_pages(tx: &Transaction<'_>, pages: &Dropped) -> Result<(), StoreError> {
    let touched: Vec<PageId> = pages.keys().copied().collect();
    let rows = tx
        .query(
            "SELECT first, records FROM page WHERE first IN (
                 SELECT (SELECT max(first) FROM page WHERE first <= id)
                 FROM unnest($1::bigint[]) AS p (id))",
            &[&ids(&touched)?],
        )
        .await?;
    let (mut firsts, mut segments, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let first: i64 = row.get(0);
        let segment = Segment {
            first: first.unsigned_abs(),
            bytes: row.get(1),
        };
        match segment.replaced(|id| pages.get(&id).cloned())? {
            None => gone.push(first),
            Some(segment) => {
                firsts.push(first);
                segments.push(segment.bytes);
            }
        }
    }
    let sql = "UPDATE page SET records = r.records
         FROM unnest($1::bigint[], $2::bytea[]) AS r (first, records) WHERE page.first = r.first";
    tx.execute(sql, &[&firsts, &segments]).await?;
    tx.execute("DELETE FROM page WHERE first = ANY($1)", &[&gone])
        .await?;
    Ok(())
}

/// Deletes openings and values. Returns the versions.
pub(super) async fn delete(
    tx: &Transaction<'_>,
    label: &[u8],
    only: Option<u32>,
    now: i64,
) -> Result<Vec<u32>, StoreError> {
    let found = values_of(tx, label, only).await?;
    let leaves: Vec<i64> = found.iter().map(|(_, leaf)| *leaf).collect();
    forget(tx, &leaves).await?;
    let keep = "INSERT INTO deleted SELECT leaf, $2 FROM unnest($1::bigint[]) AS d (leaf)
         ON CONFLICT DO NOTHING";
    tx.execute(keep, &[&leaves, &now]).await?;
    Ok(found.into_iter().map(|(version, _)| version).collect())
}

/// Versions and leaves of a label whose values are there.
pub(super) async fn values_of(
    client: &impl GenericClient,
    label: &[u8],
    only: Option<u32>,
) -> Result<Vec<(u32, i64)>, StoreError> {
    let rows = client
        .query(
            "SELECT version, id FROM leaf
             WHERE label = $1 AND opening IS NOT NULL AND ($2::bigint IS NULL OR version = $2)
             ORDER BY version",
            &[&label, &only.map(i64::from)],
        )
        .await?;
    let found = rows.iter();
    found
        .map(|row| Ok((version(row.get(0))?, row.get(1))))
        .collect()
}

pub(super) async fn promise(tx: &Transaction<'_>, promises: &[Promise]) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO promise SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4 FROM promise";
    let keep = tx.prepare_cached(sql).await?;
    for p in promises {
        let (version, opening) = (i64::from(p.version), p.opening.to_vec());
        tx.execute(&keep, &[&p.label, &version, &opening, &p.value])
            .await?;
    }
    Ok(())
}

async fn put_number(tx: &Transaction<'_>, key: &str, value: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, &[&key, &value.to_be_bytes().to_vec()])
        .await?;
    Ok(())
}

fn ids(ids: &[u64]) -> Result<Vec<i64>, StoreError> {
    ids.iter().copied().map(integer).collect()
}

/// Rows for `COPY`, which is many times as fast as single insertions.
struct Copy<'t> {
    table: &'static str,
    types: &'t [Type],
    rows: Vec<Vec<Box<dyn ToSql + Sync + Send>>>,
}

impl<'t> Copy<'t> {
    fn new(table: &'static str, types: &'t [Type]) -> Self {
        let rows = Vec::new();
        Self { table, types, rows }
    }

    fn row<const N: usize>(&mut self, row: [Box<dyn ToSql + Sync + Send>; N]) {
        self.rows.push(row.into());
    }

    async fn run(self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let sql = format!("COPY {} FROM STDIN BINARY", self.table);
        let writer = BinaryCopyInWriter::new(tx.copy_in(&sql).await?, self.types);
        pin_mut!(writer);
        for row in &self.rows {
            writer
                .as_mut()
                .write_raw(row.iter().map(|value| &**value as &(dyn ToSql + Sync)))
                .await?;
        }
        writer.finish().await?;
        Ok(())
    }
}
