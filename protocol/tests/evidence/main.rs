//! Evidence: each kind made and verified, and everything that is nearly evidence refused.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod file;
mod head_log;
mod heads;
mod honest;
#[allow(dead_code)]
#[path = "../head_log/model.rs"]
mod model;
mod replay;
mod responses;
#[path = "../support/mod.rs"]
mod support;
mod values;
mod world;
