//! The messages that cosigners sign (tlog-cosignature), without the keys.
//!
//! Only whole trees are cosigned here (`start` is 0): the subtree calls of tlog-witness are optional
//! and nothing in the project needs them.

use crate::codec::{EncodeError, Width, Writer};
use crate::head_log::checkpoint::Checkpoint;

/// The greatest timestamp of a cosignature, in seconds since the Unix epoch: 2^63 - 1.
pub const MAX_TIMESTAMP: u64 = u64::MAX >> 1;

/// What an Ed25519 cosigner signs about the text of a checkpoint, extension lines included
/// ("Ed25519 signed message").
pub fn ed25519_message(text: &str, timestamp: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {timestamp}\n{text}").into_bytes()
}

/// What an ML-DSA-44 cosigner signs about a checkpoint: a `cosigned_message`, which covers the
/// cosigner's name but no extension lines ("ML-DSA-44 signed message").
///
/// # Errors
/// If the cosigner's name or the origin is longer than 255 bytes.
pub fn ml_dsa_44_message(
    cosigner_name: &str,
    timestamp: u64,
    checkpoint: &Checkpoint,
) -> Result<Vec<u8>, EncodeError> {
    let tree = checkpoint.tree();
    let mut w = Writer::default();
    w.bytes(b"subtree/v1\n\0");
    w.opaque(Width::One, cosigner_name.as_bytes(), "cosigner_name");
    w.u64(timestamp);
    w.opaque(Width::One, checkpoint.origin().as_bytes(), "log_origin");
    w.u64(0);
    w.u64(tree.size);
    w.bytes(&tree.root);
    w.finish()
}

/// A `timestamped_signature`: the timestamp, then the signature proper.
pub(super) fn join(timestamp: u64, signature: &[u8]) -> Vec<u8> {
    [&timestamp.to_be_bytes(), signature].concat()
}

/// The parts of a `timestamped_signature`; none if it is too short or the timestamp too great.
pub(super) fn split(timestamped: &[u8]) -> Option<(u64, &[u8])> {
    let (timestamp, signature) = timestamped.split_first_chunk()?;
    let timestamp = u64::from_be_bytes(*timestamp);
    (timestamp <= MAX_TIMESTAMP).then_some((timestamp, signature))
}
