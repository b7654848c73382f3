//! Checkpoints: those that were cosigned, and those that were seen.

use std::ops::RangeInclusive;

use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::tree::SizedRoot;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, integer};

/// Checkpoints of each log that are remembered.
const REMEMBERED_CHECKPOINTS: u32 = 1_024;
impl Store {
    /// Cosigns in one step: `decide` is given what `role` cosigned last of the log, and gives what is
    /// stored in its place, durably, before it is returned.
    pub fn cosign<T, E: From<anyhow::Error>>(
        &self,
        role: &str,
        origin: &str,
        decide: impl FnOnce(&Transaction<'_>, SizedRoot) -> Result<(SignedCheckpoint, T), E>,
    ) -> Result<T, E> {
        let mut connection = self.lock();
        let wrong = |error: rusqlite::Error| E::from(error.into());
        let tx = connection.transaction().map_err(wrong)?;
        let latest = tx
            .query_row(
                "SELECT size, root FROM cosigned WHERE role = ?1 AND origin = ?2",
                [role, origin],
                |row| {
                    let size = row.get::<_, i64>(0)?.unsigned_abs();
                    Ok(SizedRoot {
                        size,
                        root: row.get(1)?,
                    })
                },
            )
            .optional()
            .map_err(wrong)?;
        let (signed, answer) = decide(&tx, latest.unwrap_or(SizedRoot::empty()))?;
        let tree = signed.checkpoint().tree();
        let size = integer(tree.size)?;
        tx.execute(
            "INSERT OR REPLACE INTO cosigned VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                role,
                origin,
                size,
                tree.root,
                signed.to_string().into_bytes()
            ],
        )
        .map_err(wrong)?;
        tx.commit().map_err(wrong)?;
        Ok(answer)
    }

    /// The checkpoint of a log that `role` cosigned last.
    pub fn cosigned(&self, role: &str, origin: &str) -> anyhow::Result<Option<SignedCheckpoint>> {
        let note: Option<Vec<u8>> = self
            .lock()
            .query_row(
                "SELECT note FROM cosigned WHERE role = ?1 AND origin = ?2",
                [role, origin],
                |row| row.get(0),
            )
            .optional()?;
        Ok(note
            .map(|note| SignedCheckpoint::parse(&note))
            .transpose()?)
    }

    /// Remembers a checkpoint that its log signed. Returns whether it is new, and those of the same
    /// size with other roots.
    pub fn remember(
        &self,
        signed: &SignedCheckpoint,
    ) -> anyhow::Result<(bool, Vec<SignedCheckpoint>)> {
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        let origin = signed.checkpoint().origin();
        let SizedRoot { size, root } = signed.checkpoint().tree();
        let others = {
            let mut statement = tx.prepare_cached(
                "SELECT note FROM seen WHERE origin = ?1 AND size = ?2 AND root <> ?3",
            )?;
            let notes = statement.query_map(params![origin, integer(size)?, root], |row| {
                row.get::<_, Vec<u8>>(0)
            })?;
            notes
                .map(|note| Ok(SignedCheckpoint::parse(&note?)?))
                .collect::<anyhow::Result<Vec<_>>>()?
        };
        let is_new = tx.execute(
            "INSERT OR IGNORE INTO seen VALUES (NULL, ?1, ?2, ?3, ?4)",
            params![
                origin,
                integer(size)?,
                root,
                signed.to_string().into_bytes()
            ],
        )? == 1;
        tx.execute(
            "DELETE FROM seen WHERE origin = ?1 AND number <= (SELECT number FROM seen
             WHERE origin = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            params![origin, REMEMBERED_CHECKPOINTS],
        )?;
        tx.commit()?;
        Ok((is_new, others))
    }

    /// Checkpoints that are remembered, of sizes in this range that are replayed meanwhile and came to
    /// other roots.
    pub fn differing(
        &self,
        fingerprint: &str,
        origin: &str,
        sizes: RangeInclusive<u64>,
    ) -> anyhow::Result<Vec<SignedCheckpoint>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT note FROM seen s JOIN replayed r ON r.size = s.size AND r.fingerprint = ?1
             WHERE s.origin = ?2 AND s.size BETWEEN ?3 AND ?4 AND s.root <> r.root",
        )?;
        let (first, last) = (integer(*sizes.start())?, integer(*sizes.end())?);
        let params = params![fingerprint, origin, first, last];
        let notes = statement.query_map(params, |row| row.get::<_, Vec<u8>>(0))?;
        notes
            .map(|note| Ok(SignedCheckpoint::parse(&note?)?))
            .collect()
    }

    /// Forgets a checkpoint.
    pub fn forget(&self, signed: &SignedCheckpoint) -> anyhow::Result<()> {
        let SizedRoot { size, root } = signed.checkpoint().tree();
        self.lock().execute(
            "DELETE FROM seen WHERE origin = ?1 AND size = ?2 AND root = ?3",
            params![signed.checkpoint().origin(), integer(size)?, root],
        )?;
        Ok(())
    }
}
