//! What the client makes of a directory that lies (`docs/attacks.md`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod configuration;
#[allow(dead_code)]
#[path = "../watching/directory.rs"]
mod directory;
mod kept;
#[path = "../../../protocol/tests/support/mod.rs"]
mod memory;
mod owner;
mod signed_value;

use std::fmt::Debug;

use overt_client::{ClientError, Event, Monitoring, State};
use overt_protocol::suite::CipherSuite;

use crate::directory::{Person, RMW, World};
use crate::memory::MemoryLog;

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// A log that has nothing in it yet.
fn empty_log(lifetime: Option<u64>) -> MemoryLog {
    MemoryLog::new(SUITE, KEYS[0], KEYS[1], RMW, lifetime)
}

/// People who all trust one directory.
fn people<const N: usize>(world: &World) -> [Person; N] {
    [(); N].map(|()| Person::new(&[world]))
}

/// The check that failed, and what it means to a person.
fn judged<T: Debug>(result: Result<T, ClientError>) -> (&'static str, State) {
    let error = result.unwrap_err();
    (error.check().unwrap_or("none"), State::of(&error))
}

/// What a monitoring pass found about a label.
fn about<'m>(done: &'m Monitoring, label: &str) -> Vec<&'m Event> {
    let events = done.events.iter();
    events.filter(|e| e.label() == label.as_bytes()).collect()
}

/// All that is remembered, byte for byte.
fn remembered(person: &Person) -> Vec<u8> {
    let kept = std::fs::read(person.home.path().join("state.sqlite")).unwrap();
    // No client runs, so nothing waits beside it.
    assert!(!person.home.path().join("state.sqlite-wal").exists());
    kept
}
