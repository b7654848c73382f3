//! Keeping watch, against a directory in memory that loses answers, refuses and lies, under a clock
//! that the tests set.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod contacts;
mod credentials;
mod directory;
mod history;
#[path = "../../../protocol/tests/support/mod.rs"]
mod memory;
mod overdue;
mod pending;
mod strangers;
mod two_logs;
mod upgrade;
mod vault;
