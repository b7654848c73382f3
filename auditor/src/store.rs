//! What the auditor remembers, in SQLite: for each directory what it replayed and signed, for each log
//! what it cosigned, and evidence for ever.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use overt_protocol::auditor::AuditorState;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::evidence::{Evidence, Finding};
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::tree::{CompactRange, SizedRoot};
use overt_protocol::wire::{AuditorTreeHead, Configuration, HashValue, TreeHead};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

const SCHEMA_VERSION: i64 = 3;
const SCHEMA: &str = "
    CREATE TABLE directory (
        fingerprint TEXT PRIMARY KEY,
        url TEXT NOT NULL,
        origin TEXT NOT NULL UNIQUE,
        descriptor BLOB NOT NULL,
        state BLOB NOT NULL,
        head_log BLOB NOT NULL,
        confirmed BLOB NOT NULL,
        confirmed_head_log BLOB NOT NULL,
        head BLOB,
        tree_head BLOB,
        refused TEXT,
        suspicion TEXT,
        seen_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE recent (
        fingerprint TEXT NOT NULL,
        position INTEGER NOT NULL,
        vrf_output BLOB NOT NULL,
        PRIMARY KEY (fingerprint, vrf_output)
    ) WITHOUT ROWID;
    CREATE INDEX recent_position ON recent (fingerprint, position);
    CREATE TABLE replayed (
        fingerprint TEXT NOT NULL,
        size INTEGER NOT NULL,
        leaf BLOB NOT NULL,
        root BLOB NOT NULL,
        PRIMARY KEY (fingerprint, size)
    ) WITHOUT ROWID;
    CREATE TABLE cosigned (
        role TEXT NOT NULL,
        origin TEXT NOT NULL,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note BLOB NOT NULL,
        PRIMARY KEY (role, origin)
    ) WITHOUT ROWID;
    CREATE TABLE seen (
        number INTEGER PRIMARY KEY,
        origin TEXT NOT NULL,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note BLOB NOT NULL,
        UNIQUE (origin, size, root)
    );
    CREATE TABLE evidence (
        id TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        json TEXT NOT NULL,
        source TEXT NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE alarm (
        number INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        at INTEGER NOT NULL,
        code TEXT NOT NULL,
        text TEXT NOT NULL,
        delivered INTEGER NOT NULL
    );
    CREATE TABLE lag (
        fingerprint TEXT NOT NULL,
        at INTEGER NOT NULL,
        milliseconds INTEGER NOT NULL,
        PRIMARY KEY (fingerprint, at)
    ) WITHOUT ROWID;
";

const SELECT: &str = "SELECT fingerprint, url, descriptor, state, head_log, confirmed,
    confirmed_head_log, head, tree_head, refused, suspicion, seen_at FROM directory";

/// Sizes of a head log whose roots are remembered: so far behind may a log or a peer be.
const REMEMBERED_SIZES: u64 = 65_536;
/// Checkpoints of each log that are remembered.
const REMEMBERED_CHECKPOINTS: u32 = 1_024;
/// Alarms that are remembered.
const REMEMBERED_ALARMS: u32 = 1_000;
/// Samples of the lag, one a minute at most.
const REMEMBERED_LAGS: u32 = 1_440;
/// Evidence files against one directory; one is enough to refuse it.
const MAX_EVIDENCE: u32 = 64;

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

/// Evidence that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Its ID.
    pub id: String,
    /// Whom it is against.
    pub fingerprint: String,
    /// The file.
    pub json: String,
    /// Who found it.
    pub source: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// In the order in which they came up.
    pub number: i64,
    /// Whom it is about.
    pub fingerprint: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// A stable code.
    pub code: String,
    /// What it means.
    pub text: String,
}

/// The auditor's memory.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or creates it below the data directory.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join("auditor.sqlite3");
        let mut connection =
            Connection::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(32);
        // One auditor on one data directory: two could sign two heads of one size.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Exclusive)
            .context("another auditor uses this data directory")?;
        match tx.pragma_query_value(None, "user_version", |row| row.get(0))? {
            0 => {
                tx.execute_batch(SCHEMA)?;
                tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            }
            SCHEMA_VERSION => {}
            other => anyhow::bail!(
                "{} has format {other}, not {SCHEMA_VERSION}: move it away, keep the keys, and \
                 everything is replayed",
                path.display()
            ),
        }
        tx.commit()?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

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

    /// What was proved against a log, by what evidence is filed under: the fingerprint of a directory,
    /// the origin of another log.
    pub fn refused(&self, subject: &str) -> anyhow::Result<Option<String>> {
        refused(&self.lock(), subject)
    }

    /// Keeps evidence against a log, and refuses it from now on. Returns whether it is new.
    pub fn keep_evidence(
        &self,
        fingerprint: &str,
        evidence: &Evidence,
        finding: &Finding,
        source: &str,
        now: u64,
    ) -> anyhow::Result<bool> {
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        let count: u32 = tx.query_row(
            "SELECT count(*) FROM evidence WHERE fingerprint = ?1",
            [fingerprint],
            |row| row.get(0),
        )?;
        let id = evidence.id();
        let is_new = count < MAX_EVIDENCE
            && tx.execute(
                "INSERT OR IGNORE INTO evidence VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id, fingerprint, evidence.to_json(), source, integer(now)?],
            )? == 1;
        if is_new {
            let text = format!("{} Evidence {id}.", finding.explanation);
            tx.execute(
                "UPDATE directory SET refused = coalesce(refused, ?2) WHERE fingerprint = ?1",
                [fingerprint, &text],
            )?;
            raise(&tx, fingerprint, finding.code, &text, now)?;
        }
        tx.commit()?;
        Ok(is_new)
    }

    /// All evidence, the newest first.
    pub fn evidence(&self) -> anyhow::Result<Vec<Kept>> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT id, fingerprint, json, source, at FROM evidence ORDER BY at DESC, id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Kept {
                id: row.get(0)?,
                fingerprint: row.get(1)?,
                json: row.get(2)?,
                source: row.get(3)?,
                at: row.get::<_, i64>(4)?.unsigned_abs(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
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

    /// Says something once.
    pub fn say(&self, fingerprint: &str, code: &str, text: &str, now: u64) -> anyhow::Result<()> {
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        raise(&tx, fingerprint, code, text, now)?;
        Ok(tx.commit()?)
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

    /// Alarms, the newest first.
    pub fn alarms(&self, only_undelivered: bool) -> anyhow::Result<Vec<Alarm>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT number, fingerprint, at, code, text FROM alarm WHERE delivered = 0 OR NOT ?1
             ORDER BY number DESC LIMIT 100",
        )?;
        let rows = statement.query_map([only_undelivered], |row| {
            Ok(Alarm {
                number: row.get(0)?,
                fingerprint: row.get(1)?,
                at: row.get::<_, i64>(2)?.unsigned_abs(),
                code: row.get(3)?,
                text: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An alarm arrived where it should.
    pub fn delivered(&self, number: i64) -> anyhow::Result<()> {
        let sql = "UPDATE alarm SET delivered = 1 WHERE number = ?1";
        self.lock().execute(sql, [number])?;
        Ok(())
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

/// What was proved against a log, within a transaction.
pub fn refused(connection: &Connection, subject: &str) -> anyhow::Result<Option<String>> {
    let sql = "SELECT id FROM evidence WHERE fingerprint = ?1 ORDER BY at, id LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let id: Option<String> = statement
        .query_row([subject], |row| row.get(0))
        .optional()?;
    Ok(id.map(|id| format!("it signed statements that cannot all be true. Evidence {id}.")))
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

fn raise(
    tx: &Transaction<'_>,
    fingerprint: &str,
    code: &str,
    text: &str,
    now: u64,
) -> anyhow::Result<()> {
    tx.execute(
        "INSERT INTO alarm VALUES (NULL, ?1, ?2, ?3, ?4, 0)",
        params![fingerprint, integer(now)?, code, text],
    )?;
    tx.execute(
        "DELETE FROM alarm WHERE number <= (SELECT number FROM alarm
         ORDER BY number DESC LIMIT 1 OFFSET ?1)",
        [REMEMBERED_ALARMS],
    )?;
    Ok(())
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

fn integer(value: u64) -> anyhow::Result<i64> {
    i64::try_from(value).context("a number is out of range")
}
