//! Alarms, kept until a person has accepted them.

use rusqlite::{OptionalExtension, params};

use crate::store::{Store, StoreError};

/// Something that a person must hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// A stable code.
    pub code: String,
    /// The label in question; empty if it is about the directory.
    pub label: Vec<u8>,
    /// What happened. An alarm with the same code, label and detail is the same alarm,
    /// until it is accepted.
    pub detail: String,
    /// The folder with the evidence.
    pub evidence: Option<String>,
    /// In milliseconds since the Unix epoch.
    pub raised_at: u64,
}

/// An alarm as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAlarm {
    /// What people call it by.
    pub id: i64,
    /// The alarm.
    pub alarm: Alarm,
    /// When it was delivered in every way that was asked for.
    pub delivered_at: Option<u64>,
    /// When a person accepted it.
    pub accepted_at: Option<u64>,
}

impl Store {
    /// Keeps an alarm. Returns its number if it is new; the same alarm is raised once.
    pub fn raise(&self, url: &str, alarm: &Alarm) -> Result<Option<i64>, StoreError> {
        let sql = "INSERT INTO alarm (directory, code, label, detail, evidence, raised_at)
             SELECT id, ?2, ?3, ?4, ?5, ?6 FROM directory WHERE url = ?1
             ON CONFLICT DO NOTHING RETURNING id";
        let params = params![
            url,
            alarm.code,
            alarm.label,
            alarm.detail,
            alarm.evidence,
            i64::try_from(alarm.raised_at).unwrap_or(i64::MAX),
        ];
        self.write(|tx| Ok(tx.query_row(sql, params, |row| row.get(0)).optional()?))
    }

    /// Every alarm, oldest first.
    pub fn alarms(&self, url: &str) -> Result<Vec<StoredAlarm>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT a.id, a.code, a.label, a.detail, a.evidence, a.raised_at,
                    a.accepted_at, a.delivered_at
             FROM alarm a JOIN directory d ON d.id = a.directory WHERE d.url = ?1 ORDER BY a.id",
        )?;
        let rows = statement.query_map([url], |row| {
            Ok(StoredAlarm {
                id: row.get(0)?,
                alarm: Alarm {
                    code: row.get(1)?,
                    label: row.get(2)?,
                    detail: row.get(3)?,
                    evidence: row.get(4)?,
                    raised_at: row.get::<_, i64>(5)?.unsigned_abs(),
                },
                accepted_at: row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs),
                delivered_at: row.get::<_, Option<i64>>(7)?.map(i64::unsigned_abs),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Remembers that an alarm was delivered.
    pub fn set_delivered(&self, id: i64, now: u64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE alarm SET delivered_at = ?2 WHERE id = ?1",
            params![id, i64::try_from(now).unwrap_or(i64::MAX)],
        )?;
        Ok(())
    }

    /// Marks an alarm as accepted: a person knows the reason. Says whether there was one.
    pub fn accept(&self, url: &str, id: i64, now: u64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE alarm SET accepted_at = ?3 WHERE id = ?2 AND accepted_at IS NULL
             AND directory = (SELECT id FROM directory WHERE url = ?1)",
            params![url, id, i64::try_from(now).unwrap_or(i64::MAX)],
        )?;
        Ok(changed > 0)
    }
}
