//! Evidence, which is kept for ever, and alarms, which are not.

use overt_protocol::evidence::{Evidence, Finding};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{Store, integer};

/// Alarms that are remembered.
const REMEMBERED_ALARMS: u32 = 1_000;
/// Evidence files against one directory; one is enough to refuse it.
const MAX_EVIDENCE: u32 = 64;

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

impl Store {
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

    /// Says something once.
    pub fn say(&self, fingerprint: &str, code: &str, text: &str, now: u64) -> anyhow::Result<()> {
        let mut connection = self.lock();
        let tx = connection.transaction()?;
        raise(&tx, fingerprint, code, text, now)?;
        Ok(tx.commit()?)
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

pub(super) fn raise(
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
