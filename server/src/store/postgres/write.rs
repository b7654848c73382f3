//! What a transaction of the sequencer writes.

use deadpool_postgres::{GenericClient, Transaction};
use futures_util::pin_mut;
use overt_protocol::prefix_tree::{LeafId, LeafPath};
use overt_protocol::provider::Tip;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::version;
use crate::head_log::HeadNode;
use crate::store::rows::{damaged, encode_tip, encoded, integer};
use crate::store::{Batch, Promise, Retired, StoreError};

/// Appends log entries, and moves the head from `before`.
pub(super) async fn commit(
    tx: &Transaction<'_>,
    before: &Tip,
    batch: &Batch,
) -> Result<(), StoreError> {
    let mut entries = Copy::new(
        "log_entry",
        &[Type::INT8, Type::BYTEA, Type::INT8, Type::INT8],
    );
    for (position, entry, root, next_leaf) in &batch.entries {
        let root = root.map(|root| integer(root.id)).transpose()?;
        let (position, next_leaf) = (integer(*position)?, integer(*next_leaf)?);
        entries.row([
            Box::new(position),
            Box::new(encoded(entry)?),
            Box::new(root),
            Box::new(next_leaf),
        ]);
    }
    entries.run(tx).await?;
    let mut nodes = Copy::new("log_node", &[Type::INT8, Type::BYTEA]);
    for (subtree, value) in &batch.subtrees {
        let number = integer(subtree.node_number())?;
        nodes.row([Box::new(number), Box::new(value.to_vec())]);
    }
    nodes.run(tx).await?;
    let mut leaves = Copy::new("leaf", &[Type::INT8, Type::BYTEA]);
    for (id, path) in &batch.paths {
        leaves.row([Box::new(integer(*id)?), Box::new(encoded(path)?)]);
    }
    leaves.run(tx).await?;
    let bytes = [Type::INT8, Type::BYTEA, Type::BYTEA, Type::BYTEA];
    let mut openings = Copy::new("opening", &bytes);
    let numbers = [Type::BYTEA, Type::INT8, Type::INT8, Type::INT8, Type::INT8];
    let mut versions = Copy::new("version", &numbers);
    for new in &batch.versions {
        let leaf = integer(new.row.leaf)?;
        if let Some((opening, update)) = &new.opened {
            openings.row([
                Box::new(leaf),
                Box::new(opening.to_vec()),
                Box::new(update.value.clone()),
                Box::new(update.signature.clone()),
            ]);
        }
        versions.row([
            Box::new(new.label.clone()),
            Box::new(i64::from(new.version)),
            Box::new(integer(new.row.position)?),
            Box::new(leaf),
            Box::new(None::<i64>),
        ]);
    }
    openings.run(tx).await?;
    versions.run(tx).await?;
    put_head_nodes(tx, &batch.head_nodes).await?;
    retire(tx, &batch.retired).await?;
    let fulfil = "DELETE FROM promise WHERE label = ANY($1)";
    tx.execute(fulfil, &[&batch.fulfilled]).await?;
    move_head(tx, before, &batch.tip).await
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

/// Records which versions left the prefix tree, and forgets what can no longer be proved.
async fn retire(tx: &Transaction<'_>, retired: &Retired) -> Result<(), StoreError> {
    let (mut leaves, mut positions) = (Vec::new(), Vec::new());
    for (leaf, position) in &retired.removed {
        leaves.push(integer(*leaf)?);
        positions.push(integer(*position)?);
    }
    let sql = "UPDATE version SET removed = r.position
         FROM unnest($1::bigint[], $2::bigint[]) AS r (leaf, position)
         WHERE version.leaf = r.leaf";
    tx.execute(sql, &[&leaves, &positions]).await?;
    let unprovable = ids(retired.unprovable.iter().copied())?;
    tx.execute("DELETE FROM opening WHERE leaf = ANY($1)", &[&unprovable])
        .await?;
    match retired.swept {
        Some(swept) => put_number(tx, "swept", swept).await,
        None => Ok(()),
    }
}

pub(super) async fn drop_versions(
    tx: &Transaction<'_>,
    dropped: u64,
    records: &[(LeafId, Option<LeafPath>)],
) -> Result<(), StoreError> {
    let (mut short, mut paths) = (Vec::new(), Vec::new());
    for (id, record) in records {
        if let Some(record) = record {
            short.push(integer(*id)?);
            paths.push(encoded(record)?);
        }
    }
    let sql = "UPDATE leaf SET path = r.path FROM unnest($1::bigint[], $2::bytea[]) AS r (id, path)
         WHERE leaf.id = r.id";
    tx.execute(sql, &[&short, &paths]).await?;
    let gone = records.iter().filter(|(_, record)| record.is_none());
    let gone = ids(gone.map(|(id, _)| *id))?;
    tx.execute("DELETE FROM leaf WHERE id = ANY($1)", &[&gone])
        .await?;
    tx.execute("DELETE FROM version WHERE leaf = ANY($1)", &[&gone])
        .await?;
    put_number(tx, "dropped", dropped).await
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
    tx.execute("DELETE FROM opening WHERE leaf = ANY($1)", &[&leaves])
        .await?;
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
            "SELECT v.version, v.leaf FROM version v JOIN opening o ON o.leaf = v.leaf
             WHERE v.label = $1 AND ($2::bigint IS NULL OR v.version = $2) ORDER BY v.version",
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

fn ids(leaves: impl Iterator<Item = LeafId>) -> Result<Vec<i64>, StoreError> {
    leaves.map(integer).collect()
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
