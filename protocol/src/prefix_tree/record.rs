//! What is written of a page.

use crate::codec::{Decode, DecodeError, Encode, Reader, Writer};
use crate::prefix_tree::modify::Change;
use crate::prefix_tree::page::{Child, Node, PageId};
use crate::wire::PrefixLeaf;

/// A version of a page as it is written: whole, or what differs from another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRecord {
    pub(crate) depth: u8,
    /// The version that this one differs from as the content says.
    pub base: Option<PageId>,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// All leaves, and where they stand.
    Leaves(Vec<(PrefixLeaf, u8)>),
    /// Leaves that were added and removed.
    Changes(Vec<Change>),
    /// Subtrees at the bottom: all, or those that changed.
    Slots(Vec<(u8, Option<Child>)>),
}

const LEAVES: u8 = 0;
const CHANGES: u8 = 1;
const SLOTS: u8 = 2;
/// Set beside the kind of content if there is a base.
const BASED: u8 = 1 << 7;

fn put_id(w: &mut Writer, id: PageId) {
    match id.to_be_bytes() {
        [0, 0, low @ ..] => w.bytes(&low),
        _ => w.fail("PageId"),
    }
}

fn id(r: &mut Reader<'_>) -> Result<PageId, DecodeError> {
    let [a, b, c, d, e, f] = r.array("PageId")?;
    Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

impl Encode for PageRecord {
    fn encode(&self, w: &mut Writer) {
        let kind = match self.content {
            Content::Leaves(_) => LEAVES,
            Content::Changes(_) => CHANGES,
            Content::Slots(_) => SLOTS,
        };
        w.u8(kind | if self.base.is_some() { BASED } else { 0 });
        w.u8(self.depth);
        if let Some(base) = self.base {
            put_id(w, base);
        }
        match &self.content {
            Content::Leaves(leaves) => leaves.iter().for_each(|(leaf, depth)| {
                w.u8(*depth);
                leaf.encode(w);
            }),
            Content::Changes(changes) => changes.iter().for_each(|change| {
                w.u8(u8::from(change.removed));
                change.leaf.encode(w);
            }),
            // The slot in the high half of a byte, and in the low one the rise plus one, or nothing.
            Content::Slots(slots) => slots.iter().for_each(|(slot, child)| {
                let low = child.map_or(0, |child| child.rise.saturating_add(1));
                w.u8(slot << 4 | low);
                if let Some(Child { node, .. }) = child {
                    put_id(w, node.id);
                    w.bytes(&node.value);
                }
            }),
        }
    }
}

impl Decode<()> for PageRecord {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let (kind, depth) = (r.u8("kind")?, r.u8("depth")?);
        let base = (kind & BASED != 0).then(|| id(r)).transpose()?;
        let content = match kind & !BASED {
            LEAVES => Content::Leaves(rest(r, |r| {
                let depth = r.u8("depth")?;
                Ok((PrefixLeaf::decode(r, &())?, depth))
            })?),
            CHANGES => Content::Changes(rest(r, |r| {
                let removed = match r.u8("removed")? {
                    0 => false,
                    1 => true,
                    other => return Err(DecodeError::Presence(other)),
                };
                let leaf = PrefixLeaf::decode(r, &())?;
                Ok(Change { leaf, removed })
            })?),
            SLOTS => Content::Slots(rest(r, |r| {
                let byte = r.u8("slot")?;
                let child = |rise| {
                    let (id, value) = (id(r)?, r.array("value")?);
                    let node = Node { id, value };
                    Ok(Child { node, rise })
                };
                let child = (byte & 0x0f).checked_sub(1).map(child).transpose()?;
                Ok((byte >> 4, child))
            })?),
            value => {
                return Err(DecodeError::Enumeration {
                    what: "page record",
                    value: value.into(),
                });
            }
        };
        Ok(Self {
            depth,
            base,
            content,
        })
    }
}

fn rest<T>(
    r: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        out.push(item(r)?);
    }
    Ok(out)
}
