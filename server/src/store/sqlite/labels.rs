//! The leaves of every label.
//!
//! A table in the order of labels would be written to at a random place for every update, a page of the
//! database each time. So new rows wait in memory, sorted, and move into the table a stretch at a
//! time: many rows to a page. The rows themselves are safe: they follow from the leaves, and those that
//! may be missing in the table are read again when the database is opened.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use fastbloom::AtomicBloomFilter;
use imbl::OrdSet;
use overt_protocol::provider::LeafId;
use overt_protocol::suite::sha256;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
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

/// Bits of the filter, 16 MiB: of 10 million labels it takes one in 500 that is new for a known one.
const FILTER: usize = 1 << 27;
/// Labels that are put into the filter at once; a larger table is read in the background.
const FEW: i64 = 200_000;

/// Rows that are sorted at once where there are many.
const AT_ONCE: usize = 1_000_000;

/// Rows that wait, for the writer and for whoever opens the database.
#[derive(Debug)]
pub(super) struct Labels {
    key: Zeroizing<Vec<u8>>,
    known: Arc<Known>,
    state: Mutex<State>,
}

/// Which labels there may be.
#[derive(Debug)]
struct Known {
    filter: AtomicBloomFilter,
    /// Whether it has all of them.
    is_complete: AtomicBool,
}

impl Known {
    fn add(&self, [a, b, c, d, e, f, g, h, ..]: Hash) {
        self.filter
            .insert_hash(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }

    fn may_have(&self, [a, b, c, d, e, f, g, h, ..]: Hash) -> bool {
        let hash = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        !self.is_complete.load(Ordering::Acquire) || self.filter.contains_hash(hash)
    }

    /// Adds all rows of the table, unless nobody needs that any more.
    fn complete(this: &Weak<Self>, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare("SELECT hash FROM label")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let Some(known) = this.upgrade() else {
                return Ok(());
            };
            known.add(row.get(0)?);
        }
        if let Some(known) = this.upgrade() {
            known.is_complete.store(true, Ordering::Release);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct State {
    waiting: OrdSet<Row>,
    /// The last row that moved.
    last: Option<Row>,
    /// The first leaf that may not have had its turn when the rows began to move from the front.
    turn: LeafId,
}

/// What a transaction does to the rows.
#[derive(Debug, Default)]
pub(super) struct Moving {
    added: Vec<Row>,
    removed: Vec<Row>,
    /// The last row that moved, and the next `turn`.
    reached: Option<(Option<Row>, LeafId)>,
}

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
    pub(super) fn open(path: &Path, connection: &Connection) -> Result<Self, StoreError> {
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
        let known = Arc::new(Known {
            filter: AtomicBloomFilter::with_num_bits(FILTER).hashes(5),
            is_complete: AtomicBool::new(false),
        });
        let mut waiting = OrdSet::new();
        let mut turn = first;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)?.unsigned_abs();
            let label = row.get_ref(1)?.as_blob().unwrap_or_default();
            let hash = hash(&key, label);
            known.add(hash);
            waiting.insert((hash, id));
            turn = id.saturating_add(1);
        }
        let leaves: Option<i64> =
            connection.query_row("SELECT max(id) FROM leaf", [], |row| row.get(0))?;
        let weak = Arc::downgrade(&known);
        if leaves.unwrap_or(0) <= FEW {
            Known::complete(&weak, connection)?;
        } else {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            std::thread::spawn(move || {
                if let Err(error) = Known::complete(&weak, &connection) {
                    tracing::warn!(%error, "labels are looked up on disk, even new ones");
                }
            });
        }
        let state = State {
            waiting,
            last: None,
            turn,
        };
        let state = Mutex::new(state);
        Ok(Self { key, known, state })
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
        if !self.known.may_have(hash) {
            return Ok(Vec::new());
        }
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

    /// Moves some of the rows that wait into the table, while leaves are added.
    pub(super) fn add(
        &self,
        tx: &Connection,
        new: &[NewLeaf],
        next_leaf: LeafId,
    ) -> Result<Moving, StoreError> {
        let rows = new.iter().filter_map(|NewLeaf { id, row }| {
            let created = row.created.as_ref()?;
            Some((hash(&self.key, &created.label), *id))
        });
        let mut moving = Moving {
            added: rows.collect(),
            ..Moving::default()
        };
        let state = self.state();
        let enough = (next_leaf / LEAVES_PER_WAITING).clamp(WAITING.start, WAITING.end);
        if u64::try_from(state.waiting.len()).unwrap_or(u64::MAX) > enough {
            // Twice as many as came: the number that wait stays about the same.
            let count = new.len().saturating_mul(2).max(64);
            move_some(tx, &state, count, next_leaf, &mut moving)?;
        }
        Ok(moving)
    }

    /// What was done is committed.
    pub(super) fn moved(&self, moving: Moving) {
        let mut state = self.state();
        for row in moving.removed {
            state.waiting.remove(&row);
        }
        for row in moving.added {
            self.known.add(row.0);
            state.waiting.insert(row);
        }
        if let Some((last, turn)) = moving.reached {
            state.last = last;
            state.turn = turn;
        }
    }

    /// Fills the table from all leaves.
    pub(super) fn restore(&self, tx: &Connection) -> Result<(), StoreError> {
        let mut select =
            tx.prepare("SELECT id, label FROM leaf WHERE label IS NOT NULL ORDER BY id")?;
        let mut rows = select.query([])?;
        let mut batch = Vec::new();
        let mut insert = tx.prepare(INSERT)?;
        let mut next = 1;
        loop {
            let row = rows.next()?;
            if let Some(row) = row {
                let id = row.get::<_, i64>(0)?.unsigned_abs();
                let label = row.get_ref(1)?.as_blob().unwrap_or_default();
                batch.push((hash(&self.key, label), id));
                next = id.saturating_add(1);
            }
            if batch.len() >= AT_ONCE || row.is_none() {
                batch.sort_unstable();
                for (hash, id) in batch.drain(..) {
                    self.known.add(hash);
                    insert.execute(params![hash, integer(id)?])?;
                }
            }
            if row.is_none() {
                return put_turn(tx, next);
            }
        }
    }

    /// Forgets leaves, whose labels are given with them.
    pub(super) fn forget(
        &self,
        tx: &Connection,
        leaves: &[(Vec<u8>, LeafId)],
    ) -> Result<Moving, StoreError> {
        let mut delete = tx.prepare_cached("DELETE FROM label WHERE hash = ?1 AND leaf = ?2")?;
        let mut moving = Moving::default();
        for (label, leaf) in leaves {
            let hash = hash(&self.key, label);
            delete.execute(params![hash, integer(*leaf)?])?;
            moving.removed.push((hash, *leaf));
        }
        Ok(moving)
    }
}

fn hash(key: &[u8], label: &[u8]) -> Hash {
    let mut hash = Hash::default();
    let bytes = hash.iter_mut().zip(sha256(&[key, label]));
    bytes.for_each(|(to, from)| *to = from);
    hash
}

const INSERT: &str = "INSERT OR IGNORE INTO label VALUES (?1, ?2)";

/// Moves the next `count` rows, going round and round in their order.
fn move_some(
    tx: &Connection,
    state: &State,
    count: usize,
    next_leaf: LeafId,
    moving: &mut Moving,
) -> Result<(), StoreError> {
    let after = state.last.map_or(Bound::Unbounded, Bound::Excluded);
    let rest = (after, Bound::<Row>::Unbounded);
    moving.removed = state.waiting.range(rest).take(count).copied().collect();
    let mut insert = tx.prepare_cached(INSERT)?;
    for (hash, leaf) in &moving.removed {
        insert.execute(params![hash, integer(*leaf)?])?;
    }
    moving.reached = Some((moving.removed.last().copied(), state.turn));
    if moving.removed.len() < count {
        // All that was there at the beginning of this round has moved.
        put_turn(tx, state.turn)?;
        moving.reached = Some((None, next_leaf));
    }
    Ok(())
}

/// The rows of all leaves before this one are in the table.
fn put_turn(tx: &Connection, turn: LeafId) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO meta VALUES ('label_turn', ?1)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute([turn.to_be_bytes()])?;
    Ok(())
}
