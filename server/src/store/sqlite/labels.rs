//! The leaves of every label.
//!
//! A table in the order of labels would be written to at a random place for every update, a page of the
//! database each time. So new rows wait in memory, sorted, and move into the table a stretch at a
//! time: many rows to a page. The rows themselves are safe: they follow from the leaves, and those that
//! may be missing in the table are read again when the database is opened.

use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use imbl::OrdSet;
use overt_protocol::provider::LeafId;
use overt_protocol::suite::sha256;
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use crate::store::rows::integer;
use crate::store::{NewLeaf, StoreError};

/// A label is known by 12 bytes of a hash with a random key: the table is small, and nobody can make
/// two labels that share a hash. (Every use compares the label itself.)
type Hash = [u8; 12];
type Row = (Hash, LeafId);

/// Rows wait until there is one for so many leaves, so that several go to each page of the table …
const LEAVES_PER_WAITING: u64 = 12;
/// … but so many wait at least, and so many at most.
const WAITING: std::ops::Range<u64> = 4_096..1_000_000;

/// Rows that are sorted at once where there are many.
const AT_ONCE: usize = 1_000_000;

/// Rows that wait, for the writer and for whoever opens the database.
#[derive(Debug)]
pub(super) struct Labels {
    key: Zeroizing<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    waiting: OrdSet<Row>,
    /// The last row that moved.
    last: Option<Row>,
    /// The first leaf that may not have had its turn when the rows began to move from the front.
    turn: LeafId,
}

/// What a transaction does to the rows.
pub(super) struct Moving(State);

impl Labels {
    /// Makes the key, in a new database.
    pub(super) fn create(connection: &Connection) -> Result<(), StoreError> {
        let mut key = Zeroizing::new([0u8; 32]);
        let no_random = |_| StoreError::Damaged("no randomness for the key of labels".to_owned());
        getrandom::fill(&mut *key).map_err(no_random)?;
        connection.execute("INSERT INTO meta VALUES ('label_key', ?1)", [&key[..]])?;
        Ok(())
    }

    /// Reads what may be missing in the table.
    pub(super) fn open(connection: &Connection) -> Result<Self, StoreError> {
        let key: Vec<u8> = connection.query_row(
            "SELECT value FROM meta WHERE key = 'label_key'",
            [],
            |row| row.get(0),
        )?;
        let key = Zeroizing::new(key);
        let first: Option<[u8; 8]> = connection
            .query_row(
                "SELECT value FROM meta WHERE key = 'label_turn'",
                [],
                |row| row.get(0),
            )
            .optional()?;
        let first = first.map_or(1, u64::from_be_bytes);
        let mut statement = connection
            .prepare("SELECT id, label FROM leaf WHERE id >= ?1 AND label IS NOT NULL")?;
        let mut rows = statement.query([integer(first)?])?;
        let mut waiting = OrdSet::new();
        let mut turn = first;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)?.unsigned_abs();
            let label = row.get_ref(1)?.as_blob().unwrap_or_default();
            waiting.insert((hash(&key, label), id));
            turn = id.saturating_add(1);
        }
        let state = State {
            waiting,
            last: None,
            turn,
        };
        let state = Mutex::new(state);
        Ok(Self { key, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows that wait now. They are to be taken before the table is read.
    pub(super) fn waiting(&self) -> OrdSet<Row> {
        self.state().waiting.clone()
    }

    /// The leaves of a label, ascending: those that waited, and those in the table.
    pub(super) fn leaves(
        &self,
        waiting: &OrdSet<Row>,
        connection: &Connection,
        label: &[u8],
    ) -> Result<Vec<LeafId>, StoreError> {
        let hash = hash(&self.key, label);
        let mut statement =
            connection.prepare_cached("SELECT leaf FROM label WHERE hash = ?1 ORDER BY leaf")?;
        let mut rows = statement.query([hash])?;
        let mut leaves = Vec::new();
        while let Some(row) = rows.next()? {
            leaves.push(row.get::<_, i64>(0)?.unsigned_abs());
        }
        let stored = leaves.len();
        let all = (hash, LeafId::MIN)..=(hash, LeafId::MAX);
        leaves.extend(waiting.range(all).map(|(_, leaf)| *leaf));
        if stored > 0 && leaves.len() > stored {
            leaves.sort_unstable();
            leaves.dedup();
        }
        Ok(leaves)
    }

    /// Adds the rows of new leaves, and moves some into the table.
    pub(super) fn add(
        &self,
        tx: &Connection,
        new: &[NewLeaf],
        next_leaf: LeafId,
    ) -> Result<Moving, StoreError> {
        let mut state = self.state().clone();
        for NewLeaf { id, row } in new {
            if let Some(created) = &row.created {
                state.waiting.insert((hash(&self.key, &created.label), *id));
            }
        }
        let enough = (next_leaf / LEAVES_PER_WAITING).clamp(WAITING.start, WAITING.end);
        if u64::try_from(state.waiting.len()).unwrap_or(u64::MAX) > enough {
            // Twice as many as came: the number that wait stays about the same.
            let count = new.len().saturating_mul(2).max(64);
            move_some(tx, &mut state, count, next_leaf)?;
        }
        Ok(Moving(state))
    }

    /// What was done is committed.
    pub(super) fn moved(&self, Moving(state): Moving) {
        *self.state() = state;
    }

    /// Fills the table from all leaves.
    pub(super) fn restore(&self, tx: &Connection) -> Result<(), StoreError> {
        let mut select =
            tx.prepare("SELECT id, label FROM leaf WHERE label IS NOT NULL ORDER BY id")?;
        let mut rows = select.query([])?;
        let mut state = State {
            waiting: OrdSet::new(),
            last: None,
            turn: 1,
        };
        let mut next = 1;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)?.unsigned_abs();
            let label = row.get_ref(1)?.as_blob().unwrap_or_default();
            state.waiting.insert((hash(&self.key, label), id));
            next = id.saturating_add(1);
            if state.waiting.len() >= AT_ONCE {
                move_some(tx, &mut state, usize::MAX, next)?;
            }
        }
        // What was there when the last round began is that: nothing waits after this one.
        state.turn = next;
        move_some(tx, &mut state, usize::MAX, next)
    }

    /// Forgets leaves, whose labels are given with them.
    pub(super) fn forget(
        &self,
        tx: &Connection,
        leaves: &[(Vec<u8>, LeafId)],
    ) -> Result<Moving, StoreError> {
        let mut state = self.state().clone();
        let mut delete = tx.prepare_cached("DELETE FROM label WHERE hash = ?1 AND leaf = ?2")?;
        for (label, leaf) in leaves {
            let hash = hash(&self.key, label);
            delete.execute(params![hash, integer(*leaf)?])?;
            state.waiting.remove(&(hash, *leaf));
        }
        Ok(Moving(state))
    }
}

fn hash(key: &[u8], label: &[u8]) -> Hash {
    let mut hash = Hash::default();
    let bytes = hash.iter_mut().zip(sha256(&[key, label]));
    bytes.for_each(|(to, from)| *to = from);
    hash
}

/// Moves the next `count` rows, going round and round in their order.
fn move_some(
    tx: &Connection,
    state: &mut State,
    count: usize,
    next_leaf: LeafId,
) -> Result<(), StoreError> {
    let after = state.last.map_or(Bound::Unbounded, Bound::Excluded);
    let rest = (after, Bound::<Row>::Unbounded);
    let rows: Vec<Row> = state.waiting.range(rest).take(count).copied().collect();
    let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO label VALUES (?1, ?2)")?;
    for row in &rows {
        insert.execute(params![row.0, integer(row.1)?])?;
        state.waiting.remove(row);
    }
    state.last = rows.last().copied();
    if rows.len() < count {
        // All that was there at the beginning of this round has moved.
        tx.prepare_cached(
            "INSERT INTO meta VALUES ('label_turn', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )?
        .execute([state.turn.to_be_bytes()])?;
        state.turn = next_leaf;
        state.last = None;
    }
    Ok(())
}
