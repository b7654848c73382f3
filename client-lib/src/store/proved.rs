//! When what must be monitored was last proved.

use rusqlite::{OptionalExtension, params};

use crate::store::{Store, StoreError};

impl Store {
    /// When a label of one's own was last monitored whole, or else became one's own; in
    /// milliseconds since the Unix epoch.
    pub fn owned_proved_at(&self, url: &str, label: &[u8]) -> Result<Option<u64>, StoreError> {
        self.proved_at("owned", url, label)
    }

    /// When a label that was looked up and must be monitored was last monitored, or else looked up.
    pub fn contact_proved_at(&self, url: &str, label: &[u8]) -> Result<Option<u64>, StoreError> {
        self.proved_at("contact", url, label)
    }

    fn proved_at(
        &self,
        table: &'static str,
        url: &str,
        label: &[u8],
    ) -> Result<Option<u64>, StoreError> {
        let at: Option<Option<i64>> = self
            .lock()
            .query_row(
                &format!(
                    "SELECT t.proved_at FROM {table} t JOIN directory d ON d.id = t.directory
                     WHERE d.url = ?1 AND t.label = ?2"
                ),
                params![url, label],
                |row| row.get(0),
            )
            .optional()?;
        Ok(at.flatten().map(i64::unsigned_abs))
    }

    /// The least of those times, for everything that must be monitored.
    pub fn oldest_proof(&self, url: &str) -> Result<Option<u64>, StoreError> {
        let at: Option<i64> = self.lock().query_row(
            "SELECT min(t.proved_at) FROM directory d
             JOIN (SELECT directory, proved_at FROM owned
                   UNION ALL SELECT directory, proved_at FROM contact) t ON t.directory = d.id
             WHERE d.url = ?1",
            [url],
            |row| row.get(0),
        )?;
        Ok(at.map(i64::unsigned_abs))
    }

    /// When monitoring last went through, in milliseconds since the Unix epoch.
    pub fn monitored_at(&self, url: &str) -> Result<Option<u64>, StoreError> {
        let at: Option<Option<i64>> = self
            .lock()
            .query_row(
                "SELECT monitored_at FROM directory WHERE url = ?1",
                [url],
                |row| row.get(0),
            )
            .optional()?;
        let at = at.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?;
        Ok(at.map(i64::unsigned_abs))
    }

    /// Remembers that monitoring went through.
    pub fn set_monitored_at(&self, url: &str, now: u64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET monitored_at = ?2 WHERE url = ?1",
            params![url, i64::try_from(now).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }

    /// When the log was last compared with what strangers are shown, or else first to be: then that
    /// is `now`. In milliseconds since the Unix epoch.
    pub fn uncompared_since(&self, url: &str, now: u64) -> Result<u64, StoreError> {
        let sql = "UPDATE directory SET compared_at = coalesce(compared_at, ?2) WHERE url = ?1
             RETURNING compared_at";
        let params = params![url, i64::try_from(now).unwrap_or(i64::MAX)];
        let at: Option<i64> =
            self.write(|tx| Ok(tx.query_row(sql, params, |row| row.get(0)).optional()?))?;
        let at = at.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?;
        Ok(at.unsigned_abs())
    }

    /// Remembers that the log was compared with what strangers are shown.
    pub fn set_compared_at(&self, url: &str, now: u64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE directory SET compared_at = ?2 WHERE url = ?1",
            params![url, i64::try_from(now).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }
}
