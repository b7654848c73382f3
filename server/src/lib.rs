//! The directory of a Key Transparency log: `overt-server`.
//!
//! Updates go through the [`sequencer`], the one writer, into the [`store`]; lookups are proved by
//! `overt-protocol` over the [`directory`] at its published head and served by [`http`].
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod access;
mod backoff;
pub mod config;
pub mod directory;
pub mod error;
mod fleet;
pub mod follow;
pub mod guard;
pub mod head_log;
pub mod http;
pub mod import;
pub mod keys;
pub mod mirror;
pub mod open;
pub mod operator;
pub mod prune;
pub mod publish;
pub mod replay;
pub mod run;
pub mod sequencer;
pub mod startup;
pub mod store;
