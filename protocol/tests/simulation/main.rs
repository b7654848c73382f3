//! Simulated histories of a log and its users.
//!
//! With an honest log, nothing ever gives an alarm. With a log that does one misdeed, the users who
//! should notice do, by the check and within the time that the draft promises.
//!
//! `OVERT_HISTORIES` sets how many histories run, `OVERT_SEED` replays one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod about;
mod auditor;
mod contact;
mod credential;
mod deed;
mod dishonest;
mod honest;
mod impostor;
mod liar;
mod lies;
mod malformation;
mod maps;
mod misdeed;
mod owner;
mod random;
mod server;
mod settings;
mod shown;
#[path = "../support/mod.rs"]
mod support;
mod tamper;
mod truth;
mod user;
mod world;

/// The seeds to run: one that is to be replayed, or as many as wanted.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let variable = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    match variable("OVERT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("OVERT_HISTORIES").unwrap_or(default),
    }
}
