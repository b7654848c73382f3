//! What rows hold, whatever the engine.

use overt_protocol::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use overt_protocol::prefix_tree::{NewPage, Node, PageId, PageRecord};
use overt_protocol::provider::{LeafId, Tip};

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
    w.u64(tip.next_page);
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
    let (size, timestamp) = (r.u64("size")?, r.u64("timestamp")?);
    let (next_page, next_leaf) = (r.u64("next_page")?, r.u64("next_leaf")?);
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
        next_page,
        next_leaf,
    })
}

/// The leaves that a log entry removed, if any, as a column holds them.
pub(super) fn encode_leaves(leaves: &[LeafId]) -> Option<Vec<u8>> {
    (!leaves.is_empty()).then(|| leaves.iter().flat_map(|id| id.to_be_bytes()).collect())
}

pub(super) fn decode_leaves(bytes: Option<&[u8]>) -> Result<Vec<LeafId>, StoreError> {
    let (ids, rest) = bytes.unwrap_or_default().as_chunks();
    match rest {
        [] => Ok(ids.iter().map(|id| u64::from_be_bytes(*id)).collect()),
        _ => Err(StoreError::Damaged("removed leaves".to_owned())),
    }
}

/// Bytes of a segment, at most: a row that fills a page of SQLite and does not overflow.
const SEGMENT: usize = 4_000;

/// Records of pages whose ids follow each other, in one row: the first id, and for each record its
/// length in two bytes and its bytes. A record that is gone has length 0.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub(super) first: PageId,
    pub(super) bytes: Vec<u8>,
}

impl Segment {
    fn push(&mut self, record: &[u8]) -> Result<(), StoreError> {
        let length = u16::try_from(record.len()).map_err(damaged("page record"))?;
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(record);
        Ok(())
    }

    /// The segments of new pages.
    pub(super) fn of(pages: &[NewPage]) -> Result<Vec<Self>, StoreError> {
        let mut segments: Vec<Self> = Vec::new();
        for NewPage { id, record, .. } in pages {
            let record = encoded(record)?;
            match segments.last_mut() {
                Some(last) if last.bytes.len().saturating_add(record.len()) < SEGMENT => {
                    last.push(&record)?;
                }
                _ => {
                    let (first, bytes) = (*id, Vec::with_capacity(SEGMENT));
                    let mut segment = Self { first, bytes };
                    segment.push(&record)?;
                    segments.push(segment);
                }
            }
        }
        Ok(segments)
    }

    /// The segment with other records in place of some of its own, none for those that are gone;
    /// none if nothing is left.
    pub(super) fn replaced(
        &self,
        mut with: impl FnMut(PageId) -> Option<Option<PageRecord>>,
    ) -> Result<Option<Self>, StoreError> {
        let mut out = Self {
            first: self.first,
            bytes: Vec::with_capacity(self.bytes.len()),
        };
        let mut is_left = false;
        for (id, old) in (self.first..).zip(records(&self.bytes)) {
            let new = match with(id) {
                None => old?.to_vec(),
                Some(None) => Vec::new(),
                Some(Some(record)) => encoded(&record)?,
            };
            is_left |= !new.is_empty();
            out.push(&new)?;
        }
        Ok(is_left.then_some(out))
    }
}

/// The record of a page, from the segment that begins at `first`, if it is there.
pub(super) fn record_in(
    first: PageId,
    segment: &[u8],
    id: PageId,
) -> Result<Option<PageRecord>, StoreError> {
    let index = id.checked_sub(first).map(usize::try_from);
    let Some(Ok(index)) = index else {
        return Ok(None);
    };
    let record = records(segment).nth(index).transpose()?;
    let record = record.filter(|record| !record.is_empty());
    let decode = |bytes| PageRecord::from_bytes(bytes, &()).map_err(damaged("page"));
    record.map(decode).transpose()
}

fn records(mut rest: &[u8]) -> impl Iterator<Item = Result<&[u8], StoreError>> {
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((record, after)) = after.split_at_checked(length) else {
            rest = &[];
            return Some(Err(StoreError::Damaged("a segment of pages".to_owned())));
        };
        rest = after;
        Some(Ok(record))
    })
}
