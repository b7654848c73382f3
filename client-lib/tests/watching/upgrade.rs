//! What an earlier format kept is still there.

use overt_client::kept::Contact;
use overt_client::store::Change;
use overt_client::{Store, Vault};
use rusqlite::Connection;

use crate::directory::{URL, World};
use crate::vault::Safe;

/// A contact that must be monitored, looked up when no openings were kept.
fn contact() -> Contact {
    Contact {
        map: [(5, 3)].into(),
        greatest: Some(3),
        ..Contact::default()
    }
}

/// Pins the directory and keeps the contact.
fn fill(store: &Store) {
    store.pin(&World::new(false).directory()).unwrap();
    let change = Change {
        contacts: vec![(b"alice".to_vec(), contact())],
        ..Change::default()
    };
    store.commit(URL, &change).unwrap();
}

/// Makes what is kept what format 5 kept.
fn downgrade(connection: &Connection) {
    let sql = "ALTER TABLE directory DROP COLUMN policy;
        ALTER TABLE directory DROP COLUMN witnessed;
        UPDATE contact SET state = substr(state, 1, length(state) - 4);
        PRAGMA user_version = 5;";
    connection.execute_batch(sql).unwrap();
}

#[test]
fn contacts_of_format_5_are_kept() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("overt.sqlite");
    fill(&Store::open(&path).unwrap());
    downgrade(&Connection::open(&path).unwrap());
    let store = Store::open(&path).unwrap();
    assert_eq!(store.contact(URL, b"alice").unwrap(), Some(contact()));
}

#[test]
fn an_upgrade_in_a_vault_outlives_a_save_that_fails() {
    let safe = Safe::default();
    fill(&Store::in_vault(safe.clone()).unwrap());
    let mut connection = Connection::open_in_memory().unwrap();
    let image = safe.load().unwrap().unwrap();
    let size = image.len();
    connection
        .deserialize_read_exact("main", image.as_slice(), size, false)
        .unwrap();
    downgrade(&connection);
    safe.save(&connection.serialize("main").unwrap()).unwrap();

    let store = Store::in_vault(safe.clone()).unwrap();
    safe.set_broken();
    assert!(store.set_monitored_at(URL, 1).is_err());
    assert!(store.policy(URL).unwrap().is_none());
    assert_eq!(store.contact(URL, b"alice").unwrap(), Some(contact()));
}
