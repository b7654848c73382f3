//! The Key Transparency protocol of `draft-ietf-keytrans-protocol` (commit 526cc8a).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod auditor;
pub mod clock;
pub mod codec;
pub mod combined;
pub mod descriptor;
pub mod distinguished;
pub mod error;
pub mod evidence;
pub mod head_log;
pub mod implicit_tree;
pub mod ladder;
pub mod log_tree;
pub mod monitor;
pub mod prefix_tree;
pub mod provider;
pub mod receipt;
pub mod search;
pub mod signed_value;
pub mod suite;
pub mod update;
pub mod user;
pub mod wire;
