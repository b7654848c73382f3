//! Provisional credentials, retained until they are finally verified.

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::user::ProvisionalCredential;
use rusqlite::params;

use crate::store::{Store, StoreError};

/// A provisional credential as it is kept.
#[derive(Debug, Clone)]
pub struct Received {
    /// The encoded credential.
    pub credential: Vec<u8>,
    /// What final verification needs.
    pub provisional: ProvisionalCredential,
    /// A `CredentialUpdate` that came too early.
    pub update: Option<Vec<u8>>,
}

impl Store {
    /// Retains a provisional credential. Once is enough.
    pub fn add_credential(&self, url: &str, received: &Received) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO credential (directory, credential, provisional, credential_update)
             SELECT id, ?2, ?3, ?4 FROM directory WHERE url = ?1
             ON CONFLICT DO UPDATE
             SET credential_update = coalesce(excluded.credential_update, credential_update)",
            params![
                url,
                received.credential,
                received.provisional.to_bytes()?,
                received.update
            ],
        )?;
        Ok(())
    }

    /// The provisional credentials that are retained.
    pub fn credentials(&self, url: &str) -> Result<Vec<Received>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT c.credential, c.provisional, c.credential_update
             FROM credential c JOIN directory d ON d.id = c.directory
             WHERE d.url = ?1 ORDER BY c.credential",
        )?;
        let rows = statement.query_map([url], |row| {
            Ok((
                row.get(0)?,
                row.get::<_, Vec<u8>>(1)?,
                row.get::<_, Option<Vec<u8>>>(2)?,
            ))
        })?;
        rows.map(|row| {
            let (credential, provisional, update) = row?;
            Ok(Received {
                credential,
                provisional: ProvisionalCredential::from_bytes(&provisional, &())?,
                update,
            })
        })
        .collect()
    }

    /// Forgets a credential that is finally verified, or known to be false.
    pub fn remove_credential(&self, url: &str, credential: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM credential WHERE credential = ?2
             AND directory = (SELECT id FROM directory WHERE url = ?1)",
            params![url, credential],
        )?;
        Ok(())
    }
}
