//! Directories: what was replayed of them, and what of that was signed.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use overt_protocol::auditor::AuditorState;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::tree::{CompactRange, SizedRoot};
use overt_protocol::wire::{AuditorTreeHead, Configuration, HashValue, TreeHead};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::evidence::raise;
use super::{Store, integer};

const SELECT: &str = "SELECT fingerprint, url, descriptor, state, head_log, confirmed,
    confirmed_head_log, head, tree_head, refused, suspicion, seen_at FROM directory";

/// Sizes of a head log whose roots are remembered: so far behind may a log or a peer be.
const REMEMBERED_SIZES: u64 = 65_536;
/// Samples of the lag, one a minute at most.
const REMEMBERED_LAGS: u32 = 1_440;
/// Keys that were added to a prefix tree since the rightmost distinguished log entry. Only logs
/// with a maximum lifetime may remove leaves, and not these.
#[derive(Debug, Default)]
pub struct Recent {
    /// New ones, and the log entries that added them.
    pub added: HashMap<HashValue, u64>,
    /// The rightmost distinguished log entry: older keys need not be remembered.
    pub distinguished: Option<u64>,
}

/// A leaf of a head log, and the tree that it completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayedHead {
    /// Size and root of the head log.
    pub tree: SizedRoot,
    /// The hash of its last leaf.
    pub leaf: HashValue,
}

/// Where a replay has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The directory.
    pub state: AuditorState,
    /// The head log that follows from it.
    pub head_log: CompactRange,
}

impl Replay {
    /// Before the first entry.
    pub fn empty() -> Self {
        Self {
            state: AuditorState::empty(),
            head_log: CompactRange::default(),
        }
    }

    /// Log entries replayed.
    pub fn size(&self) -> u64 {
        self.state.size
    }

    fn read(state: &[u8], hashes: &[u8]) -> anyhow::Result<Self> {
        let state = AuditorState::from_bytes(state, &()).context("the state is damaged")?;
        let (hashes, _) = hashes.as_chunks::<32>();
        let head_log = CompactRange::new(state.size, hashes.to_vec())?;
        Ok(Self { state, head_log })
    }
}

/// What is remembered of one directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Where it is.
    pub url: String,
    /// Its descriptor, when it was first seen.
    pub descriptor: Descriptor,
    /// Its configuration.
    pub config: Configuration,
    /// The keys of its head log.
    pub log_keys: Vec<VerifierKey>,
    /// What was replayed.
    pub replay: Replay,
    /// What was replayed when it last agreed with a head that the directory signed. Entries come
    /// unsigned: what follows may have been altered on the way.
    pub confirmed: Replay,
    /// The last head that was signed.
    pub head: Option<AuditorTreeHead>,
    /// The last head of the directory that agreed with the replay.
    pub tree_head: Option<TreeHead>,
    /// What was proved against it: nothing more is signed.
    pub refused: Option<String>,
    /// What is wrong with it now, and is no proof.
    pub suspicion: Option<String>,
    /// When it last answered, in milliseconds since the Unix epoch.
    pub seen_at: u64,
}

impl Store {
    /// What is remembered of the directory with this fingerprint, or else of the one at this address.
    pub fn record(&self, fingerprint: Option<&str>, url: &str) -> anyhow::Result<Option<Record>> {
        match fingerprint {
            Some(fingerprint) => self.find("fingerprint", fingerprint),
            None => self.find("url", url),
        }
    }

    /// What is remembered of the directory whose head log has this origin.
    pub fn by_origin(&self, origin: &str) -> anyhow::Result<Option<Record>> {
        self.find("origin", origin)
    }

    fn find(&self, column: &str, value: &str) -> anyhow::Result<Option<Record>> {
        let sql = format!("{SELECT} WHERE {column} = ?1");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([value])?;
        rows.next()?.map(record).transpose()
    }

    /// What is remembered of every directory.
    pub fn records(&self) -> anyhow::Result<Vec<Record>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY origin"))?;
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            out.push(record(row)?);
        }
        Ok(out)
    }

    /// The log entry that added a key, if it is to the right of the rightmost distinguished one.
    pub fn added(&self, fingerprint: &str, key: &HashValue) -> anyhow::Result<Option<u64>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT position FROM recent WHERE fingerprint = ?1 AND vrf_output = ?2",
        )?;
        let position: Option<i64> = statement
            .query_row(params![fingerprint, key], |row| row.get(0))
            .optional()?;
        Ok(position.map(i64::unsigned_abs))
    }

    /// Remembers what was replayed, durably.
    pub fn put_replayed(
        &self,
        record: &Record,
        recent: &Recent,
        heads: &[ReplayedHead],
    ) -> anyhow::Result<()> {
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        let fingerprint = &record.fingerprint;
        {
            let mut add = tx.prepare_cached("INSERT OR REPLACE INTO recent VALUES (?1, ?2, ?3)")?;
            for (key, position) in &recent.added {
                if Some(*position) > recent.distinguished {
                    add.execute(params![fingerprint, integer(*position)?, key])?;
                }
            }
            let mut keep = tx.prepare_cached("INSERT INTO replayed VALUES (?1, ?2, ?3, ?4)")?;
            for head in heads {
                let SizedRoot { size, root } = head.tree;
                keep.execute(params![fingerprint, integer(size)?, head.leaf, root])?;
            }
        }
        if let Some(distinguished) = recent.distinguished {
            tx.execute(
                "DELETE FROM recent WHERE fingerprint = ?1 AND position <= ?2",
                params![fingerprint, integer(distinguished)?],
            )?;
        }
        tx.execute(
            "DELETE FROM replayed WHERE fingerprint = ?1 AND size <= ?2",
            params![
                fingerprint,
                integer(record.replay.size().saturating_sub(REMEMBERED_SIZES))?
            ],
        )?;
        put(&tx, record)?;
        Ok(tx.commit()?)
    }

    /// Remembers, durably. A signed head never goes back, nor gives way to another of its size.
    pub fn put(&self, record: &Record) -> anyhow::Result<()> {
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        put(&tx, record)?;
        Ok(tx.commit()?)
    }

    /// The head log of a directory at a size, if that was replayed and is not too long ago.
    pub fn replayed(&self, fingerprint: &str, size: u64) -> anyhow::Result<Option<ReplayedHead>> {
        replayed(&self.lock(), fingerprint, size)
    }

    /// Goes back to what was confirmed, and says that something is wrong which is no proof: once until
    /// it is right again.
    pub fn suspect(
        &self,
        record: &mut Record,
        code: &str,
        text: &str,
        now: u64,
    ) -> anyhow::Result<()> {
        let is_new = record.suspicion.replace(text.to_owned()).is_none();
        record.replay = record.confirmed.clone();
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        let size = integer(record.replay.size())?;
        for sql in [
            "DELETE FROM replayed WHERE fingerprint = ?1 AND size > ?2",
            "DELETE FROM recent WHERE fingerprint = ?1 AND position >= ?2",
        ] {
            tx.execute(sql, params![record.fingerprint, size])?;
        }
        put(&tx, record)?;
        if is_new {
            tracing::warn!(url = record.url, code, "SUSPICION: {text}");
            raise(&tx, &record.fingerprint, code, text, now)?;
        }
        Ok(tx.commit()?)
    }

    /// Notes how old the newest log entry was when it was replayed; the worst in each minute stays.
    pub fn note_lag(&self, fingerprint: &str, at: u64, milliseconds: u64) -> anyhow::Result<()> {
        let connection = self.lock();
        connection.execute(
            "INSERT INTO lag VALUES (?1, ?2, ?3) ON CONFLICT (fingerprint, at) DO UPDATE
             SET milliseconds = max(milliseconds, excluded.milliseconds)",
            params![
                fingerprint,
                integer(at / 60_000 * 60_000)?,
                integer(milliseconds)?
            ],
        )?;
        connection.execute(
            "DELETE FROM lag WHERE fingerprint = ?1 AND at <= (SELECT at FROM lag
             WHERE fingerprint = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)",
            params![fingerprint, REMEMBERED_LAGS],
        )?;
        Ok(())
    }

    /// The lag over time, the oldest first: when, and how long, in milliseconds.
    pub fn lags(&self, fingerprint: &str) -> anyhow::Result<Vec<(u64, u64)>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT at, milliseconds FROM lag WHERE fingerprint = ?1 ORDER BY at",
        )?;
        let rows = statement.query_map([fingerprint], |row| {
            let at: i64 = row.get(0)?;
            let milliseconds: i64 = row.get(1)?;
            Ok((at.unsigned_abs(), milliseconds.unsigned_abs()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The head log of a directory at a size, within a transaction.
pub fn replayed(
    connection: &Connection,
    fingerprint: &str,
    size: u64,
) -> anyhow::Result<Option<ReplayedHead>> {
    let mut statement = connection
        .prepare_cached("SELECT leaf, root FROM replayed WHERE fingerprint = ?1 AND size = ?2")?;
    let found = statement.query_row(params![fingerprint, integer(size)?], |row| {
        let (leaf, root) = (row.get(0)?, row.get(1)?);
        let tree = SizedRoot { size, root };
        Ok(ReplayedHead { tree, leaf })
    });
    Ok(found.optional()?)
}

fn record(row: &Row<'_>) -> anyhow::Result<Record> {
    let descriptor: Vec<u8> = row.get(2)?;
    let (descriptor, config) = Descriptor::parse(&descriptor).context("the stored descriptor")?;
    let bytes = |column| row.get::<_, Vec<u8>>(column);
    let head: Option<Vec<u8>> = row.get(7)?;
    let tree_head: Option<Vec<u8>> = row.get(8)?;
    Ok(Record {
        fingerprint: row.get(0)?,
        url: row.get(1)?,
        log_keys: descriptor.verifier_keys()?,
        descriptor,
        config,
        replay: Replay::read(&bytes(3)?, &bytes(4)?)?,
        confirmed: Replay::read(&bytes(5)?, &bytes(6)?)?,
        head: head
            .map(|head| AuditorTreeHead::from_bytes(&head, &()))
            .transpose()
            .context("the signed head is damaged")?,
        tree_head: tree_head
            .map(|head| TreeHead::from_bytes(&head, &()))
            .transpose()
            .context("the directory's head is damaged")?,
        refused: row.get(9)?,
        suspicion: row.get(10)?,
        seen_at: row.get::<_, i64>(11)?.unsigned_abs(),
    })
}

fn put(tx: &Transaction<'_>, record: &Record) -> anyhow::Result<()> {
    let head = record.head.as_ref().map(Encode::to_bytes).transpose()?;
    let row: Option<(Option<Vec<u8>>, bool)> = tx
        .query_row(
            "SELECT head, refused IS NOT NULL FROM directory WHERE fingerprint = ?1",
            [&record.fingerprint],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some((old, is_refused)) = row
        && old != head
    {
        ensure!(
            !is_refused,
            "the directory is refused: nothing more of it is signed"
        );
        if let Some(old) = old {
            let old = AuditorTreeHead::from_bytes(&old, &());
            let old = old.context("the signed head is damaged")?;
            let new = record.head.as_ref();
            let follows = new.is_some_and(|new| new.tree_size > old.tree_size);
            ensure!(follows, "a signed head would be taken back");
        }
    }
    let tree_head = record
        .tree_head
        .as_ref()
        .map(Encode::to_bytes)
        .transpose()?;
    // What was proved once stays, whoever writes.
    tx.execute(
        "INSERT INTO directory VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (fingerprint) DO UPDATE SET url = excluded.url, state = excluded.state,
         head_log = excluded.head_log, confirmed = excluded.confirmed,
         confirmed_head_log = excluded.confirmed_head_log, head = excluded.head, tree_head = excluded.tree_head,
         refused = coalesce(refused, excluded.refused), suspicion = excluded.suspicion,
         seen_at = excluded.seen_at",
        params![
            record.fingerprint,
            record.url,
            record.descriptor.origin,
            record.descriptor.to_json()?,
            record.replay.state.to_bytes()?,
            record.replay.head_log.hashes().concat(),
            record.confirmed.state.to_bytes()?,
            record.confirmed.head_log.hashes().concat(),
            head,
            tree_head,
            record.refused,
            record.suspicion,
            integer(record.seen_at)?,
        ],
    )?;
    Ok(())
}
