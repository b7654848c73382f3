//! What the client makes of a directory that lies (`docs/attacks.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod configuration;
mod directory;
mod kept;
mod owner;
mod person;
mod signed_value;
#[path = "../../../protocol/tests/support/mod.rs"]
mod support;
