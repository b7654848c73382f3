//! How the log keeps every version of the prefix tree: in pages, whose versions are written once.
//!
//! A page is the part of the tree from one depth, a multiple of [`LEVELS`], to the next. Where a
//! subtree has few leaves the page is all of it: the leaves, and how deep they stand. Everywhere else
//! it holds the up to 16 subtrees below, each by its value and the version of the page that continues
//! there. Any version of the tree is then named by its root [`Node`]. What lies between is computed,
//! not stored.
//!
//! A change makes new versions of the pages on its path, and only those. A version is written as a
//! [`PageRecord`], most of the time as nothing but the difference from the version before.

use std::ops::Deref;

use thiserror::Error;

use crate::prefix_tree::modify::{Change, ModifyError, modify_leaves};
use crate::prefix_tree::record::{Content, PageRecord};
use crate::prefix_tree::{STAND_IN, bit, leaf_value, parent_value};
use crate::wire::{HashValue, PrefixLeaf};

/// Levels of the tree in a page.
pub(crate) const LEVELS: usize = 4;
/// Subtrees at the bottom of a page.
pub(crate) const SLOTS: usize = 1 << LEVELS;
/// A page that is a whole subtree has at most so many leaves.
pub(crate) const MAX_LEAVES: usize = 32;

/// Names a version of a page for ever; assigned in the order of writing, from 1.
pub type PageId = u64;

/// The top of a subtree in some version of the tree. Its depth is known to whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// The page that holds the subtree.
    pub id: PageId,
    /// The value of its highest node.
    pub value: HashValue,
}

/// Where pages come from.
pub trait Pages {
    /// Why a page cannot be had.
    type Error: From<PageError>;
    /// A page, owned, borrowed or shared.
    type Page<'a>: Deref<Target = Page>
    where
        Self: 'a;
    /// A version of a page.
    fn page(&self, id: PageId) -> Result<Self::Page<'_>, Self::Error>;
}

/// The pages contradict each other: the store is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("page {id} {wrong}")]
pub struct PageError {
    /// The page.
    pub id: PageId,
    /// What is wrong with it.
    pub wrong: &'static str,
}

/// A leaf of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) leaf: PrefixLeaf,
    pub(crate) value: HashValue,
    /// Where it stands.
    pub(crate) depth: u8,
}

impl Leaf {
    pub(crate) fn new(leaf: PrefixLeaf, depth: u8) -> Self {
        let value = leaf_value(&leaf);
        Self { leaf, value, depth }
    }

    pub(crate) fn bit(&self, depth: usize) -> bool {
        bit(&self.leaf.vrf_output, depth)
    }
}

/// The leaf that stands at `depth` or above, if these are all leaves of the subtree there.
pub(crate) fn lone(leaves: &[Leaf], depth: usize) -> Option<&Leaf> {
    match leaves {
        [leaf] if usize::from(leaf.depth) <= depth => Some(leaf),
        _ => None,
    }
}

/// The leaves to the left and to the right below the node at `depth`.
pub(crate) fn split(leaves: &[Leaf], depth: usize) -> (&[Leaf], &[Leaf]) {
    leaves.split_at(leaves.partition_point(|leaf| !leaf.bit(depth)))
}

/// The value of the node at `depth` above these leaves, which are all there are below it.
pub(crate) fn value_of(leaves: &[Leaf], depth: usize) -> HashValue {
    if leaves.is_empty() {
        return STAND_IN;
    }
    if let Some(leaf) = lone(leaves, depth) {
        return leaf.value;
    }
    let (left, right) = split(leaves, depth);
    let below = depth.saturating_add(1);
    parent_value(&value_of(left, below), &value_of(right, below))
}

/// A subtree at the bottom of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Child {
    pub(crate) node: Node,
    /// How many levels above the bottom the subtree's highest node stands: more than none for a
    /// leaf that has a part of the page to itself.
    pub(crate) rise: u8,
}

/// What is at a place in a page.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Vacant,
    /// A subtree at the bottom, or a leaf that stands here or above.
    Child(Child),
    Parent,
}

/// The subtrees at the bottom of a page, and the values of the nodes above. Places are numbered as
/// in a heap: 1 is the top, the children of `n` are `2n` and `2n + 1`, the bottom begins at 16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) slots: [Option<Child>; SLOTS],
    values: [HashValue; SLOTS],
}

impl Inner {
    pub(crate) fn empty() -> Self {
        Self {
            slots: [None; SLOTS],
            values: [STAND_IN; SLOTS],
        }
    }

    /// The slots below a place, and how many levels it is above the bottom.
    pub(crate) fn below(place: usize) -> (std::ops::Range<usize>, usize) {
        let levels = place.checked_ilog2().map_or(0, |level| level as usize);
        let up = LEVELS.saturating_sub(levels);
        let first = (place << up).saturating_sub(SLOTS);
        (first..first.saturating_add(1 << up), up)
    }

    pub(crate) fn at(&self, place: usize) -> Place {
        let (slots, up) = Self::below(place);
        let mut occupied = self.slots.get(slots).into_iter().flatten().flatten();
        match (occupied.next(), occupied.next()) {
            (None, _) => Place::Vacant,
            (Some(child), None) if usize::from(child.rise) >= up => Place::Child(*child),
            _ => Place::Parent,
        }
    }

    pub(crate) fn value(&self, place: usize) -> HashValue {
        match self.at(place) {
            Place::Vacant => STAND_IN,
            Place::Child(child) => child.node.value,
            Place::Parent => self.values.get(place).copied().unwrap_or(STAND_IN),
        }
    }

    /// Computes the values above the slots in `changed`, the first of which is bit 0.
    pub(crate) fn compute(&mut self, changed: u16) {
        for place in (1..SLOTS).rev() {
            let (mut slots, _) = Self::below(place);
            if !slots.any(|slot| changed >> slot & 1 == 1) {
                continue;
            }
            let left = place.saturating_mul(2);
            let value = match self.at(place) {
                Place::Parent => {
                    parent_value(&self.value(left), &self.value(left.saturating_add(1)))
                }
                _ => STAND_IN,
            };
            if let Some(slot) = self.values.get_mut(place) {
                *slot = value;
            }
        }
    }
}

/// A version of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub(crate) depth: usize,
    /// Records that have to be read for it.
    pub(crate) records: u8,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// All leaves of the subtree, ascending by key.
    Leaves(Vec<Leaf>),
    Inner(Box<Inner>),
}

impl Page {
    /// The page that the last record describes: the first is based on `base`, or on no other, and each
    /// of the others on the one before.
    pub fn restore(
        base: Option<&Self>,
        records: &[(PageId, PageRecord)],
    ) -> Result<Self, PageError> {
        let mut page: Option<Self> = base.cloned();
        let mut changed = 0u16;
        let mut last = 0;
        for (id, record) in records {
            let next = page.filter(|_| record.base.is_some());
            page = Some(Self::after(*id, record, next, &mut changed)?);
            last = *id;
        }
        let mut page = page.ok_or(PageError {
            id: last,
            wrong: "has no record",
        })?;
        if let Body::Inner(inner) = &mut page.body {
            inner.compute(changed);
        }
        Ok(page)
    }

    /// The page of a record, without the values above slots, which it adds to `changed`.
    fn after(
        id: PageId,
        record: &PageRecord,
        base: Option<Self>,
        changed: &mut u16,
    ) -> Result<Self, PageError> {
        let wrong = |wrong| PageError { id, wrong };
        let depth = usize::from(record.depth);
        if record.base.is_some() && base.as_ref().is_none_or(|base| base.depth != depth) {
            return Err(wrong("is not based on another version of itself"));
        }
        let records = base
            .as_ref()
            .map_or(1, |base| base.records.saturating_add(1));
        let body = match (&record.content, base.map(|page| page.body)) {
            (Content::Leaves(leaves), None) => {
                if !leaves.is_sorted_by(|(a, _), (b, _)| a.vrf_output < b.vrf_output) {
                    return Err(wrong("has leaves that are not in order"));
                }
                let leaves = leaves.iter();
                Body::Leaves(
                    leaves
                        .map(|(leaf, depth)| Leaf::new(*leaf, *depth))
                        .collect(),
                )
            }
            (Content::Changes(changes), Some(Body::Leaves(leaves))) => {
                let mut out = Vec::with_capacity(leaves.len().saturating_add(changes.len()));
                let done = modify_leaves(&leaves, depth, changes, &mut out);
                done.map_err(|_: ModifyError| wrong("has changes that cannot have been made"))?;
                Body::Leaves(out)
            }
            (Content::Slots(slots), base) => {
                let mut inner = match base {
                    None => Box::new(Inner::empty()),
                    Some(Body::Inner(inner)) => inner,
                    Some(Body::Leaves(_)) => return Err(wrong("has subtrees in place of leaves")),
                };
                for (slot, child) in slots {
                    let place = inner.slots.get_mut(usize::from(*slot));
                    *place.ok_or(wrong("has a subtree outside of it"))? = *child;
                    *changed |= 1u16.checked_shl(u32::from(*slot)).unwrap_or(0);
                }
                Body::Inner(inner)
            }
            _ => return Err(wrong("has leaves in place of subtrees")),
        };
        Ok(Self {
            depth,
            records,
            body,
        })
    }

    /// Where the page begins.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The value of the page's highest node.
    pub fn value(&self) -> HashValue {
        match &self.body {
            Body::Leaves(leaves) => value_of(leaves, self.depth),
            Body::Inner(inner) => inner.value(1),
        }
    }

    /// The record of this page that is based on no other.
    pub fn whole(&self) -> PageRecord {
        let content = match &self.body {
            Body::Leaves(leaves) => {
                Content::Leaves(leaves.iter().map(|leaf| (leaf.leaf, leaf.depth)).collect())
            }
            Body::Inner(inner) => {
                let occupied = (0u8..)
                    .zip(&inner.slots)
                    .filter(|(_, child)| child.is_some());
                Content::Slots(occupied.map(|(slot, child)| (slot, *child)).collect())
            }
        };
        PageRecord {
            depth: self.record_depth(),
            base: None,
            content,
        }
    }

    /// The record of this page that says how it differs from another one.
    pub(crate) fn based(&self, base: PageId, content: Content) -> PageRecord {
        PageRecord {
            depth: self.record_depth(),
            base: Some(base),
            content,
        }
    }

    fn record_depth(&self) -> u8 {
        u8::try_from(self.depth).unwrap_or(u8::MAX)
    }

    /// Memory that it takes, in bytes, about.
    pub fn size(&self) -> usize {
        size_of::<Self>().saturating_add(match &self.body {
            Body::Leaves(leaves) => leaves.len().saturating_mul(size_of::<Leaf>()),
            Body::Inner(_) => size_of::<Inner>(),
        })
    }

    /// That a page which continues the tree at `depth` begins there.
    pub(crate) fn enter(&self, id: PageId, depth: usize) -> Result<&Self, PageError> {
        match self.depth == depth {
            true => Ok(self),
            false => Err(PageError {
                id,
                wrong: "is of another depth than where it is referred to",
            }),
        }
    }

    /// The one leaf of a page that is nothing else.
    pub(crate) fn lone(&self, id: PageId) -> Result<&[Leaf], PageError> {
        match &self.body {
            Body::Leaves(leaves) if leaves.len() == 1 => Ok(leaves),
            _ => Err(PageError {
                id,
                wrong: "should be a single leaf",
            }),
        }
    }
}

impl Change {
    pub(crate) fn bit(&self, depth: usize) -> bool {
        bit(&self.leaf.vrf_output, depth)
    }
}
