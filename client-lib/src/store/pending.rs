//! Versions that were sent, until it is known what became of them.

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::provider::SKIPPED;
use overt_protocol::user::{OwnerState, VerifiedValue};
use rusqlite::params;

use crate::store::{Store, StoreError};

/// A version that was sent to the directory. It is kept from before the request until the version,
/// or a later one, is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The label.
    pub label: Vec<u8>,
    /// The version that it should become.
    pub version: u32,
    /// The value as sent: in its envelope, if it has one.
    pub value: Vec<u8>,
    /// What was known of the label.
    pub owner: OwnerState,
}

impl Pending {
    /// Whether a proved value is what was sent. Where versions can be skipped it may have become a
    /// later one, with none but skipped ones before it; `owner` knows of all of them.
    pub fn became(&self, proved: &VerifiedValue, owner: &OwnerState) -> bool {
        let is_skipped = |version| owner.commitments.get(&version) == Some(&SKIPPED);
        self.value == proved.value()
            && self.version <= proved.version()
            && (self.version..proved.version()).all(is_skipped)
    }
}

impl Store {
    /// Remembers what is about to be sent; durable on return.
    pub fn add_pending(&self, url: &str, sent: &[Pending]) -> Result<(), StoreError> {
        self.write(|tx| {
            for one in sent {
                tx.execute(
                    "INSERT INTO pending (directory, label, version, value, owner)
                 SELECT id, ?2, ?3, ?4, ?5 FROM directory WHERE url = ?1 ON CONFLICT DO NOTHING",
                    params![
                        url,
                        one.label,
                        one.version,
                        one.value,
                        one.owner.to_bytes()?
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// What was sent for a label.
    pub fn pending(&self, url: &str, label: &[u8]) -> Result<Vec<Pending>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT p.version, p.value, p.owner FROM pending p JOIN directory d ON d.id = p.directory
             WHERE d.url = ?1 AND p.label = ?2 ORDER BY p.version",
        )?;
        let rows = statement.query_map(params![url, label], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?))
        })?;
        rows.map(|row| {
            let (version, value, owner) = row?;
            Ok(Pending {
                label: label.to_vec(),
                version,
                value,
                owner: OwnerState::from_bytes(&owner, &())?,
            })
        })
        .collect()
    }

    /// Labels whose registration was sent, and that are not owned yet.
    pub fn pending_labels(&self, url: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT DISTINCT p.label FROM pending p JOIN directory d ON d.id = p.directory
             WHERE d.url = ?1 AND NOT EXISTS
               (SELECT 1 FROM owned o WHERE o.directory = p.directory AND o.label = p.label)
             ORDER BY p.label",
        )?;
        let rows = statement.query_map([url], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets what will not become a version any more.
    pub fn remove_pending(&self, url: &str, sent: &[Pending]) -> Result<(), StoreError> {
        self.write(|tx| {
            for one in sent {
                tx.execute(
                    "DELETE FROM pending WHERE label = ?2 AND version = ?3 AND value = ?4
                 AND directory = (SELECT id FROM directory WHERE url = ?1)",
                    params![url, one.label, one.version, one.value],
                )?;
            }
            Ok(())
        })
    }
}
