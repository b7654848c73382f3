//! The independent auditor (section "Auditing"): follows directories, replays every log entry, and
//! signs only heads whose whole content it has seen to be correct.
//!
//! It keeps little for each directory, however large that is. It compares what it was given with what
//! others were shown. A directory that signed two statements which cannot both be true is *refused*
//! from then on: the statements are kept as evidence, and nothing more of it is signed. What is wrong
//! and proves nothing is a suspicion: it is said, and ends when all is in order again.

mod auditor;
pub mod config;
pub mod cosign;
pub mod fetch;
pub mod follow;
pub mod gossip;
pub mod http;
pub mod keys;
mod replay;
pub mod status;
pub mod store;
pub mod transport;
pub mod updates;

pub use auditor::{Auditor, World};
