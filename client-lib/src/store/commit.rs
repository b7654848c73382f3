//! Writing what a verified response taught, in one transaction.

use overt_protocol::codec::{Decode, Encode, Reader, Writer};
use overt_protocol::monitor::MonitorMap;
use overt_protocol::user::{OwnerState, TreeState, TreeView};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::client::Witnessed;
use crate::kept::{Contact, decode_all, encode_all, merge_recent};
use crate::store::{Owned, Store, StoreError, witnesses};

/// What one or more verified responses, all to the same kept view, lead to.
#[derive(Debug, Default)]
pub struct Change {
    /// When, in milliseconds since the Unix epoch.
    pub now: u64,
    /// The view of the log that the requests advertised.
    pub from: Option<TreeState>,
    /// The view that the responses lead to.
    pub to: Option<TreeState>,
    /// Who vouches for that.
    pub witnessed: Option<Witnessed>,
    /// Owned labels.
    pub owned: Vec<OwnerChange>,
    /// Labels looked up; merged with what is there.
    pub contacts: Vec<(Vec<u8>, Contact)>,
    /// Labels whose monitoring maps are now these, unless they changed meanwhile.
    pub monitored: Vec<Monitored>,
    /// Distinguished log entries: all of those to the right of a position, or all recent ones.
    pub recent: Vec<(Option<u64>, Vec<TreeView>)>,
}

/// A contact monitoring run.
#[derive(Debug)]
pub struct Monitored {
    /// The label.
    pub label: Vec<u8>,
    /// The map that the request advertised.
    pub from: MonitorMap,
    /// The map to keep.
    pub to: MonitorMap,
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
    /// Whether the label was monitored whole.
    pub is_proved: bool,
}

/// Number, view of the log, recent distinguished entries.
type DirectoryRow = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

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
        self.write(|tx| commit(tx, url, change))
    }
}

fn commit(tx: &Transaction<'_>, url: &str, change: &Change) -> Result<Committed, StoreError> {
    let row: Option<DirectoryRow> = tx
        .query_row(
            "SELECT id, tree, recent FROM directory WHERE url = ?1",
            [url],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let (id, tree, recent) = row.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?;
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
    if let Some(witnessed) = &change.witnessed {
        witnesses::put(tx, id, witnessed)?;
    }
    if !change.recent.is_empty() {
        let mut kept = decode_recent(recent)?;
        for (since, found) in &change.recent {
            merge_recent(&mut kept, found.clone(), *since);
        }
        let mut w = Writer::default();
        encode_all(&mut w, &kept, "recent");
        tx.execute(
            "UPDATE directory SET recent = ?2 WHERE id = ?1",
            params![id, w.finish()?],
        )?;
    }
    let now = i64::try_from(change.now).unwrap_or(i64::MAX);
    for owned in &change.owned {
        write_owned(tx, id, owned, now)?;
    }
    for (label, contact) in &change.contacts {
        change_contact(tx, id, label, |kept, proved_at| {
            kept.merge(contact);
            proved_at.unwrap_or(now)
        })?;
    }
    for Monitored { label, from, to } in &change.monitored {
        change_contact(tx, id, label, |kept, _| {
            kept.monitored(from, to);
            now
        })?;
    }
    Ok(Committed::Done)
}

fn write_owned(
    tx: &Transaction<'_>,
    id: i64,
    change: &OwnerChange,
    now: i64,
) -> Result<(), StoreError> {
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
        "INSERT INTO owned (directory, label, state, value, proved_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (directory, label)
         DO UPDATE SET state = excluded.state, value = excluded.value,
                       proved_at = iif(?6, excluded.proved_at, proved_at)",
        params![
            id,
            change.label,
            change.to.state.to_bytes()?,
            change.to.value,
            now,
            change.is_proved
        ],
    )?;
    // What was sent has become one of these versions, or cannot any more.
    tx.execute(
        "DELETE FROM pending WHERE directory = ?1 AND label = ?2 AND version <= ?3",
        params![
            id,
            change.label,
            change.to.state.progress.greatest_version()
        ],
    )?;
    Ok(())
}

pub(super) fn decode_recent(blob: Option<Vec<u8>>) -> Result<Vec<TreeView>, StoreError> {
    let Some(blob) = blob else {
        return Ok(Vec::new());
    };
    let mut r = Reader::new(&blob);
    let kept = decode_all(&mut r, "recent")?;
    match r.is_empty() {
        true => Ok(kept),
        false => Err(StoreError::Damaged("recent".into())),
    }
}

/// `change` returns when the contact was last proved, given when it was before. That counts as long
/// as there is something to be monitored.
fn change_contact(
    tx: &Transaction<'_>,
    id: i64,
    label: &[u8],
    change: impl FnOnce(&mut Contact, Option<i64>) -> i64,
) -> Result<(), StoreError> {
    let stored: Option<(Vec<u8>, Option<i64>)> = tx
        .query_row(
            "SELECT state, proved_at FROM contact WHERE directory = ?1 AND label = ?2",
            params![id, label],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let (mut kept, proved_at) = match stored {
        Some((stored, proved_at)) => (Contact::from_bytes(&stored, &())?, proved_at),
        None => (Contact::default(), None),
    };
    let proved_at = Some(change(&mut kept, proved_at)).filter(|_| !kept.map.is_empty());
    tx.execute(
        "INSERT INTO contact (directory, label, state, proved_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (directory, label)
         DO UPDATE SET state = excluded.state, proved_at = excluded.proved_at",
        params![id, label, kept.to_bytes()?, proved_at],
    )?;
    Ok(())
}
