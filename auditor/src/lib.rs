//! The independent auditor (section "Auditing"): follows directories, replays every log entry, and
//! signs only heads whose whole content it has seen to be correct.
//!
//! It keeps a few hundred bytes for each directory, however large that is. A directory that gives
//! it an entry or a head that no honest log produces is *refused* from then on: its bytes are kept
//! as evidence, and nothing more of it is signed.

pub mod config;
pub mod follow;
pub mod keys;
pub mod status;
pub mod store;
