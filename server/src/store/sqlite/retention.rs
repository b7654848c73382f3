//! Giving up what a log with a maximum lifetime no longer needs.

use overt_protocol::prefix_tree::{LeafId, LeafPath};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::store::rows::{encoded, integer};
use crate::store::{Retained, Retired, StoreError};

/// Versions by leaf, in the order of creation. Logs whose entries never expire do without.
pub(super) fn prepare(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.execute_batch("CREATE INDEX IF NOT EXISTS version_leaf ON version (leaf)")?)
}

pub(super) fn progress(connection: &Connection) -> Result<Retained, StoreError> {
    Ok(Retained {
        swept: number(connection, "swept")?,
        dropped: number(connection, "dropped")?,
    })
}

/// Records which versions left the prefix tree, and forgets what can no longer be proved.
pub(super) fn retire(tx: &Transaction<'_>, retired: &Retired) -> Result<(), StoreError> {
    let mut removed = tx.prepare_cached("UPDATE version SET removed = ?2 WHERE leaf = ?1")?;
    for (leaf, position) in &retired.removed {
        removed.execute([integer(*leaf)?, integer(*position)?])?;
    }
    let mut forget = tx.prepare_cached("DELETE FROM opening WHERE leaf = ?1")?;
    for leaf in &retired.unprovable {
        forget.execute([integer(*leaf)?])?;
    }
    match retired.swept {
        Some(swept) => put_number(tx, "swept", swept),
        None => Ok(()),
    }
}

pub(super) fn drop_versions(
    connection: &mut Connection,
    dropped: u64,
    records: &[(LeafId, Option<LeafPath>)],
) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut shorten = tx.prepare_cached("UPDATE leaf SET path = ?2 WHERE id = ?1")?;
        let mut delete = tx.prepare_cached("DELETE FROM leaf WHERE id = ?1")?;
        let mut forget = tx.prepare_cached("DELETE FROM version WHERE leaf = ?1")?;
        for (id, record) in records {
            let id = integer(*id)?;
            match record {
                Some(record) => {
                    shorten.execute(params![id, encoded(record)?])?;
                }
                None => {
                    delete.execute([id])?;
                    forget.execute([id])?;
                }
            }
        }
    }
    put_number(&tx, "dropped", dropped)?;
    Ok(tx.commit()?)
}

fn number(connection: &Connection, key: &str) -> Result<u64, StoreError> {
    let stored: Option<[u8; 8]> = connection
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(stored.map_or(0, u64::from_be_bytes))
}

fn put_number(tx: &Transaction<'_>, key: &str, value: u64) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value.to_be_bytes()],
    )?;
    Ok(())
}
