//! State that an application keeps in a place of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use overt_client::store::StoreError;
use overt_client::{Client, ClientError, KeyRing, State, Store, Vault, VaultError};

use crate::directory::{At, RMW, World};

/// Keeps the state encrypted, after a fashion; out of order when told to be.
#[derive(Clone, Default)]
pub(crate) struct Safe {
    row: Arc<Mutex<Option<Vec<u8>>>>,
    is_broken: Arc<AtomicBool>,
}

fn cipher(bytes: &[u8]) -> Vec<u8> {
    let key = (0..=255u8).cycle().map(|n| n.wrapping_mul(167) ^ 0x5a);
    bytes.iter().zip(key).map(|(b, k)| b ^ k).collect()
}

impl Safe {
    fn encrypted(&self) -> Vec<u8> {
        self.row.lock().unwrap().clone().unwrap()
    }

    pub(crate) fn set_broken(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
    }
}

impl Vault for Safe {
    fn load(&self) -> Result<Option<Vec<u8>>, VaultError> {
        Ok(self.row.lock().unwrap().as_deref().map(cipher))
    }

    fn save(&self, image: &[u8]) -> Result<(), VaultError> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err("the safe is locked".into());
        }
        *self.row.lock().unwrap() = Some(cipher(image));
        Ok(())
    }
}

/// A client as it is after a start of the application.
fn client(world: &World, safe: &Safe, keys: &tempfile::TempDir) -> Client<World> {
    let store = Store::in_vault(safe.clone()).unwrap();
    let directory = world.directory();
    if store.directory(&world.url).unwrap().is_none() {
        store.pin(&directory).unwrap();
    }
    let keys = KeyRing::open(keys.path(), directory.fingerprint).unwrap();
    let clock = At(world.now.clone());
    let client = Client::new(world.clone(), store, directory, clock).unwrap();
    client.with_keys(keys)
}

#[tokio::test]
async fn everything_is_kept_in_the_vault_and_nowhere_else() {
    let world = World::new(true);
    let (alice, bob) = (Safe::default(), Safe::default());
    let keys = tempfile::tempdir().unwrap();
    let first = client(&world, &alice, &keys);
    first.register("alice", b"a key").await.unwrap();
    world.grow(RMW);
    assert_eq!(first.monitor().await.state(), State::Verified);
    let tree = first.store().tree(&world.url).unwrap().unwrap();
    drop(first);
    assert!(!alice.encrypted().starts_with(b"SQLite format 3"));

    let friend = client(&world, &bob, &keys);
    assert_eq!(friend.lookup("alice").await.unwrap().value(), b"a key");
    drop(friend);
    let friend = client(&world, &bob, &keys);
    assert_eq!(friend.lookup("alice").await.unwrap().seen_before(), Some(0));

    let again = client(&world, &alice, &keys);
    assert_eq!(again.store().tree(&world.url).unwrap(), Some(tree));
    again.update("alice", b"another key").await.unwrap();
    world.grow(RMW);
    assert_eq!(again.monitor().await.state(), State::Verified);
}

#[tokio::test]
async fn what_the_vault_does_not_take_did_not_happen() {
    let world = World::new(true);
    let safe = Safe::default();
    let keys = tempfile::tempdir().unwrap();
    let alice = client(&world, &safe, &keys);
    alice.register("alice", b"a key").await.unwrap();
    let (kept, tree) = (safe.encrypted(), alice.store().tree(&world.url).unwrap());
    world.grow(RMW);
    safe.set_broken();
    let error = alice.lookup("alice").await.unwrap_err();
    assert!(
        matches!(error, ClientError::Store(StoreError::Vault(_))),
        "{error}"
    );
    assert_eq!(alice.store().tree(&world.url).unwrap(), tree);
    assert_eq!(safe.encrypted(), kept);

    // What it takes again goes on from there.
    safe.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(alice.lookup("alice").await.unwrap().value(), b"a key");
    assert_ne!(safe.encrypted(), kept);
}

#[test]
fn a_damaged_image_is_said_to_be_damaged() {
    let safe = Safe::default();
    drop(Store::in_vault(safe.clone()).unwrap());
    *safe.row.lock().unwrap() = Some(cipher(&[7; 8192]));
    let error = Store::in_vault(safe).unwrap_err();
    assert!(error.is_lost(), "{error}");
}
