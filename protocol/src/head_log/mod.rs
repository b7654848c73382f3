//! The head log: a C2SP tiled log with one leaf for every size that the directory has had.
//!
//! The draft's log tree is hashed in a way that public witnesses cannot check. The head log says
//! the same in a form that they can: RFC 6962 hashing, checkpoints, tiles, cosignatures. This
//! module holds what server, auditor and client must agree on. Specifications are those of C2SP at
//! commit 5ba5ee8; "tlog-tiles" and its like stand for `c2sp.org/tlog-tiles`.

pub mod checkpoint;
pub mod cosignature;
pub mod key;
pub mod note;
pub mod policy;
pub mod proof;
pub mod record;
mod text;
pub mod tile;
pub mod tiled_tree;
pub mod tree;
pub mod witness;
