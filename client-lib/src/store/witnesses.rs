//! The user's tlog-policy for a directory, and who vouched for the head that is kept.

use overt_protocol::head_log::policy::{Party, Policy};
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::json;

use crate::client::Witnessed;
use crate::store::{Store, StoreError};

impl Store {
    /// Keeps a policy for a directory, which must be one; none ends it.
    pub fn set_policy(&self, url: &str, policy: Option<&[u8]>) -> Result<(), StoreError> {
        let changed = self.execute(
            "UPDATE directory SET policy = ?2, witnessed = NULL WHERE url = ?1",
            params![url, policy],
        )?;
        match changed {
            0 => Err(StoreError::NotPinned(url.to_owned())),
            _ => Ok(()),
        }
    }

    /// The policy for a directory, which knows the log's pinned keys.
    pub fn policy(&self, url: &str) -> Result<Option<Policy>, StoreError> {
        let sql = "SELECT policy FROM directory WHERE url = ?1";
        let stored: Option<Option<Vec<u8>>> = self
            .lock()
            .query_row(sql, [url], |row| row.get(0))
            .optional()?;
        let Some(stored) = stored.flatten() else {
            return Ok(None);
        };
        let damaged = |error: String| StoreError::Damaged(format!("the policy: {error}"));
        let mut policy = Policy::parse(&stored).map_err(|e| damaged(e.to_string()))?;
        let directory = self.directory(url)?;
        let directory = directory.ok_or_else(|| StoreError::NotPinned(url.to_owned()))?;
        for key in directory.descriptor.verifier_keys()? {
            if !policy.logs().iter().any(|log| log.key == key) {
                let added = policy.add_log(Party { key, url: None });
                added.map_err(|e| damaged(e.to_string()))?;
            }
        }
        Ok(Some(policy))
    }

    /// Who vouched for the head that is kept.
    pub fn witnessed(&self, url: &str) -> Result<Option<Witnessed>, StoreError> {
        let sql = "SELECT witnessed FROM directory WHERE url = ?1";
        let stored: Option<Option<String>> = self
            .lock()
            .query_row(sql, [url], |row| row.get(0))
            .optional()?;
        let Some(stored) = stored.flatten() else {
            return Ok(None);
        };
        let damaged = |_| StoreError::Damaged("who vouched for the head".into());
        let (tree_size, cosigned, missing) = serde_json::from_str(&stored).map_err(damaged)?;
        Ok(Some(Witnessed {
            tree_size,
            cosigned,
            missing,
        }))
    }
}

pub(super) fn put(
    tx: &Transaction<'_>,
    directory: i64,
    witnessed: &Witnessed,
) -> Result<(), StoreError> {
    let Witnessed {
        tree_size,
        cosigned,
        missing,
    } = witnessed;
    tx.execute(
        "UPDATE directory SET witnessed = ?2 WHERE id = ?1",
        params![directory, json!([tree_size, cosigned, missing]).to_string()],
    )?;
    Ok(())
}
