//! Writing what a verified response taught, in one transaction.

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::user::{OwnerState, TreeState};
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use crate::kept::Contact;
use crate::store::{Owned, Store, StoreError};

/// What one or more verified responses, all to the same kept view, lead to.
#[derive(Debug, Default)]
pub struct Change {
    /// The view of the log that the requests advertised.
    pub from: Option<TreeState>,
    /// The view that the responses lead to.
    pub to: Option<TreeState>,
    /// Owned labels.
    pub owned: Vec<OwnerChange>,
    /// Labels looked up; merged with what is there.
    pub contacts: Vec<(Vec<u8>, Contact)>,
}

/// A new state of an owned label.
#[derive(Debug)]
pub struct OwnerChange {
    /// The label.
    pub label: Vec<u8>,
    /// The state that the request was made from.
    pub from: Option<OwnerState>,
    /// The new one.
    pub to: Owned,
}

/// Whether a change was written.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed {
    /// All of it.
    Done,
    /// Nothing: another process moved the view of the log, which is now this.
    Overtaken(Option<TreeState>),
}

impl Store {
    /// Writes a change if the kept view of the log is still the one it started from.
    pub fn commit(&self, url: &str, change: &Change) -> Result<Committed, StoreError> {
        let mut connection = self.lock();
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let row: Option<(i64, Option<Vec<u8>>)> = tx
            .query_row(
                "SELECT id, tree FROM directory WHERE url = ?1",
                [url],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let (id, tree) = row.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?;
        let tree = tree.map(|b| TreeState::from_bytes(&b, &())).transpose()?;
        if tree != change.from {
            return Ok(Committed::Overtaken(tree));
        }
        if let Some(to) = &change.to {
            tx.execute(
                "UPDATE directory SET tree = ?2 WHERE id = ?1",
                params![id, to.to_bytes()?],
            )?;
        }
        for owned in &change.owned {
            write_owned(&tx, id, owned)?;
        }
        for (label, contact) in &change.contacts {
            write_contact(&tx, id, label, contact)?;
        }
        tx.commit()?;
        Ok(Committed::Done)
    }
}

fn write_owned(tx: &Transaction<'_>, id: i64, change: &OwnerChange) -> Result<(), StoreError> {
    let stored: Option<Vec<u8>> = tx
        .query_row(
            "SELECT state FROM owned WHERE directory = ?1 AND label = ?2",
            params![id, change.label],
            |row| row.get(0),
        )
        .optional()?;
    let expected = change.from.as_ref().map(Encode::to_bytes).transpose()?;
    if stored != expected {
        return Err(StoreError::Conflict);
    }
    tx.execute(
        "INSERT INTO owned (directory, label, state, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (directory, label)
         DO UPDATE SET state = excluded.state, value = excluded.value",
        params![
            id,
            change.label,
            change.to.state.to_bytes()?,
            change.to.value
        ],
    )?;
    Ok(())
}

fn write_contact(
    tx: &Transaction<'_>,
    id: i64,
    label: &[u8],
    contact: &Contact,
) -> Result<(), StoreError> {
    let stored: Option<Vec<u8>> = tx
        .query_row(
            "SELECT state FROM contact WHERE directory = ?1 AND label = ?2",
            params![id, label],
            |row| row.get(0),
        )
        .optional()?;
    let mut merged = match stored {
        Some(stored) => Contact::from_bytes(&stored, &())?,
        None => Contact::default(),
    };
    merged.merge(contact);
    tx.execute(
        "INSERT INTO contact (directory, label, state) VALUES (?1, ?2, ?3)
         ON CONFLICT (directory, label) DO UPDATE SET state = excluded.state",
        params![id, label, merged.to_bytes()?],
    )?;
    Ok(())
}
