//! Somebody with a client.

use std::collections::BTreeMap;
use std::path::Path;

use overt_client::{
    Client, ClientError, Directory as Pinned, Event, KeyRing, Monitoring, PinnedBy,
};
use overt_client::{State, Store};

use crate::directory::Directory;

pub(crate) const URL: &str = "https://keys.example.org";

pub(crate) struct Person {
    home: tempfile::TempDir,
    pub(crate) client: Client<Directory>,
}

impl Person {
    /// Somebody who trusts what the directory says about itself now.
    pub(crate) fn new(directory: &Directory) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path());
        let json = directory.descriptor();
        let pinned = Pinned::from_descriptor(URL, &json, PinnedBy::Fingerprint, 0).unwrap();
        store.pin(&pinned).unwrap();
        let keys = KeyRing::open(&home.path().join("keys"), pinned.fingerprint).unwrap();
        let client = Client::new(directory.clone(), store, pinned, directory.clone());
        let failures = home.path().join("failures");
        let client = client.unwrap().with_keys(keys).with_failures(failures);
        Self { home, client }
    }

    /// Everything that is kept, as it is on disk.
    pub(crate) fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(self.home.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let is_store = |path: &std::path::PathBuf| path.is_file();
        files
            .filter(is_store)
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, std::fs::read(path).unwrap())
            })
            .filter(|(name, _)| !name.ends_with("-shm"))
            .collect()
    }
}

fn open(home: &Path) -> Store {
    Store::open(&home.join("state.sqlite")).unwrap()
}

/// The check that failed, and what it means to a person.
pub(crate) fn judged<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (&'static str, State) {
    let error = result.unwrap_err();
    (error.check().unwrap_or("none"), State::of(&error))
}

/// The one thing that a monitoring pass found about a label.
pub(crate) fn about<'m>(done: &'m Monitoring, label: &str) -> Vec<&'m Event> {
    let events = done.events.iter();
    events.filter(|e| e.label() == label.as_bytes()).collect()
}
