//! Giving up what a log with a maximum lifetime no longer needs.

use overt_protocol::prefix_tree::Dropped;
use overt_protocol::provider::LeafId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::store::rows::{Segment, integer};
use crate::store::{Retained, Retired, StoreError};

/// Forgets the opening and value of a leaf.
pub(super) const FORGET: &str =
    "UPDATE leaf SET opening = NULL, value = NULL, signature = NULL WHERE id = ?1";

pub(super) fn progress(connection: &Connection) -> Result<Retained, StoreError> {
    Ok(Retained {
        swept: number(connection, "swept")?,
        dropped: number(connection, "dropped")?,
    })
}

/// Forgets what can no longer be proved.
pub(super) fn retire(tx: &Transaction<'_>, retired: &Retired) -> Result<(), StoreError> {
    let mut forget = tx.prepare_cached(FORGET)?;
    for leaf in &retired.unprovable {
        forget.execute([integer(*leaf)?])?;
    }
    match retired.swept {
        Some(swept) => put_number(tx, "swept", swept),
        None => Ok(()),
    }
}

/// Returns the labels of the leaves that are gone.
pub(super) fn drop_versions(
    tx: &Transaction<'_>,
    dropped: u64,
    pages: &Dropped,
    leaves: &[LeafId],
) -> Result<Vec<(Vec<u8>, LeafId)>, StoreError> {
    drop_pages(tx, pages)?;
    let mut delete = tx.prepare_cached("DELETE FROM leaf WHERE id = ?1 RETURNING label")?;
    let mut labels = Vec::new();
    for leaf in leaves {
        let label = delete.query_row([integer(*leaf)?], |row| row.get(0));
        let label: Option<Option<Vec<u8>>> = label.optional()?;
        labels.extend(label.flatten().map(|label| (label, *leaf)));
    }
    put_number(tx, "dropped", dropped)?;
    Ok(labels)
}

/// Writes the segments anew that pages are dropped from.
fn drop_pages(tx: &Transaction<'_>, pages: &Dropped) -> Result<(), StoreError> {
    let mut find = tx.prepare_cached(
        "SELECT first, records FROM page WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
    )?;
    let mut write = tx.prepare_cached("UPDATE page SET records = ?2 WHERE first = ?1")?;
    let mut delete = tx.prepare_cached("DELETE FROM page WHERE first = ?1")?;
    let mut rest = pages.range(..);
    // The last page that is dropped is in some segment; go on with the last one before that.
    while let Some((last, _)) = rest.next_back() {
        let (first, bytes) = find.query_row([integer(*last)?], |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
        })?;
        let replaced = Segment { first, bytes }.replaced(|id| pages.get(&id).cloned())?;
        let first_id = integer(first)?;
        match replaced {
            Some(segment) => write.execute(params![first_id, segment.bytes])?,
            None => delete.execute([first_id])?,
        };
        rest = pages.range(..first);
    }
    Ok(())
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
