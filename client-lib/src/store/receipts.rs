//! Promises of the directory, until it is known whether it kept them.

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::receipt::Receipt;
use rusqlite::params;

use crate::store::{Store, StoreError};

impl Store {
    /// Remembers promises.
    pub fn add_receipts(&self, url: &str, receipts: &[Receipt]) -> Result<(), StoreError> {
        self.write(|tx| {
            for receipt in receipts {
                tx.execute(
                    "INSERT OR IGNORE INTO receipt
                     SELECT id, ?2, ?3, ?4 FROM directory WHERE url = ?1",
                    params![url, receipt.label, receipt.version, receipt.to_bytes()?],
                )?;
            }
            Ok(())
        })
    }

    /// Promises that were not looked into yet.
    pub fn receipts(&self, url: &str) -> Result<Vec<Receipt>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT r.receipt FROM receipt r JOIN directory d ON d.id = r.directory
             WHERE d.url = ?1 ORDER BY r.label, r.version",
        )?;
        let rows = statement.query_map([url], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|row| Ok(Receipt::from_bytes(&row?, &())?))
            .collect()
    }

    /// Forgets a promise: it was kept, or the evidence that it was not is.
    pub fn remove_receipt(&self, url: &str, receipt: &Receipt) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM receipt WHERE label = ?2 AND version = ?3
             AND directory = (SELECT id FROM directory WHERE url = ?1)",
            params![url, receipt.label, receipt.version],
        )?;
        Ok(())
    }
}
