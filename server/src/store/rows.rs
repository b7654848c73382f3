//! What rows hold, whatever the engine.

use overt_protocol::codec::{DecodeError, Encode, EncodeError, Reader, Writer};
use overt_protocol::prefix_tree::Node;
use overt_protocol::provider::Tip;

use crate::store::StoreError;

/// Integers of databases are signed.
pub(super) fn integer(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Damaged(format!("{value} is out of range")))
}

pub(super) fn encoded(value: &impl Encode) -> Result<Vec<u8>, StoreError> {
    value.to_bytes().map_err(damaged("row"))
}

pub(super) fn damaged<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> StoreError {
    move |error| StoreError::Damaged(format!("{what}: {error}"))
}

pub(super) fn encode_tip(tip: &Tip) -> Result<Vec<u8>, EncodeError> {
    let mut w = Writer::default();
    w.u64(tip.size);
    w.u64(tip.timestamp);
    w.u64(tip.next_leaf);
    w.optional(tip.prefix_root.as_ref(), |w, root| {
        w.u64(root.id);
        w.bytes(&root.value);
    });
    for value in &tip.full_subtrees {
        w.bytes(value);
    }
    w.finish()
}

pub(super) fn decode_tip(bytes: &[u8]) -> Result<Tip, DecodeError> {
    let mut r = Reader::new(bytes);
    let (size, timestamp, next_leaf) = (r.u64("size")?, r.u64("timestamp")?, r.u64("next_leaf")?);
    let prefix_root = r.optional("prefix_root", |r| {
        Ok(Node {
            id: r.u64("id")?,
            value: r.array("value")?,
        })
    })?;
    let mut full_subtrees = Vec::new();
    while !r.is_empty() {
        full_subtrees.push(r.array("full_subtrees")?);
    }
    Ok(Tip {
        size,
        timestamp,
        full_subtrees,
        prefix_root,
        next_leaf,
    })
}
