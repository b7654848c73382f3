//! Adding and removing a batch of leaves: the next version of the tree.

use thiserror::Error;

use crate::prefix_tree::page::{
    Body, Child, Inner, LEVELS, Leaf, MAX_LEAVES, Node, Page, PageId, Pages, Place, SLOTS, lone,
    split,
};
use crate::prefix_tree::record::{Content, PageRecord};
use crate::wire::PrefixLeaf;

/// At most so many records are read for a page of leaves.
const MAX_LEAF_RECORDS: u8 = 8;
/// At most so many are read for any other page.
const MAX_INNER_RECORDS: u8 = 32;

/// The new version of the tree.
#[derive(Debug)]
pub struct Modified {
    /// Its root; none if the tree is empty.
    pub root: Option<Node>,
    /// The pages that are new, ascending by id without gaps.
    pub pages: Vec<NewPage>,
}

/// A version of a page that is to be written.
#[derive(Debug, Clone)]
pub struct NewPage {
    /// Its name.
    pub id: PageId,
    /// The version before, if there is one.
    pub replaces: Option<PageId>,
    /// What is written.
    pub record: PageRecord,
    /// The page.
    pub page: Page,
}

/// Why a batch cannot be applied. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ModifyError {
    /// A key is already in the tree, or twice in the batch.
    #[error("the VRF output is already in the prefix tree")]
    Duplicate,
    /// A leaf that is to be removed is not in the tree.
    #[error("the leaf to be removed is not in the prefix tree")]
    Missing,
    /// Two keys agree in their first 255 bits: a proof could not name the depth of their leaves.
    #[error("two VRF outputs share a prefix longer than a proof can express")]
    TooDeep,
}

/// A leaf to be added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) leaf: PrefixLeaf,
    pub(crate) removed: bool,
}

impl Change {
    fn is_of(&self, leaf: &PrefixLeaf) -> bool {
        self.leaf.vrf_output == leaf.vrf_output
    }
}

/// Adds the leaves of `added` to the version whose root is `root`, and removes those of `removed`
/// from it; no key may be in both. New pages get the ids from `next_id` on.
pub fn modify<P>(
    pages: &P,
    root: Option<Node>,
    added: &[PrefixLeaf],
    removed: &[PrefixLeaf],
    next_id: PageId,
) -> Result<Modified, P::Error>
where
    P: Pages,
    P::Error: From<ModifyError>,
{
    let added = added.iter().map(|leaf| (*leaf, false));
    let changes = added.chain(removed.iter().map(|leaf| (*leaf, true)));
    let mut batch: Vec<Change> = changes
        .map(|(leaf, removed)| Change { leaf, removed })
        .collect();
    batch.sort_unstable_by_key(|change| change.leaf.vrf_output);
    let mut modifier = Modifier {
        pages,
        next_id,
        new: Vec::new(),
    };
    let root = match batch.is_empty() {
        true => root,
        false => modifier.modify(root, 0, &batch)?.map(|child| child.node),
    };
    let pages = modifier.new;
    Ok(Modified { root, pages })
}

struct Modifier<'p, P> {
    pages: &'p P,
    next_id: PageId,
    new: Vec<NewPage>,
}

impl<P> Modifier<'_, P>
where
    P: Pages,
    P::Error: From<ModifyError>,
{
    /// What is left of the subtree at `depth`, where a page begins, after `batch` went into it.
    fn modify(
        &mut self,
        old: Option<Node>,
        depth: usize,
        batch: &[Change],
    ) -> Result<Option<Child>, P::Error> {
        let Some(node) = old else {
            return self.leaves(None, depth, &[], batch);
        };
        let page = self.pages.page(node.id)?;
        page.enter(node.id, depth)?;
        match &page.body {
            Body::Leaves(leaves) => {
                let base = (node.id, page.records);
                self.leaves(Some(base), depth, leaves, batch)
            }
            Body::Inner(inner) => {
                let mut next = Draft::new(inner.clone(), depth);
                self.inner(&mut next, 1, depth, batch)?;
                Ok(self.finish(Some((node.id, page.records)), next))
            }
        }
    }

    /// The same for a page of leaves.
    fn leaves(
        &mut self,
        base: Option<(PageId, u8)>,
        depth: usize,
        leaves: &[Leaf],
        batch: &[Change],
    ) -> Result<Option<Child>, P::Error> {
        let mut out = Vec::with_capacity(leaves.len().saturating_add(batch.len()));
        modify_leaves(leaves, depth, batch, &mut out)?;
        Ok(self.page_of(base.map(|base| (base, batch)), depth, out))
    }

    /// A page, or several, of these leaves, which are `batch` away from another version.
    fn page_of(
        &mut self,
        base: Option<((PageId, u8), &[Change])>,
        depth: usize,
        leaves: Vec<Leaf>,
    ) -> Option<Child> {
        if leaves.len() > MAX_LEAVES {
            let mut next = Draft::new(Box::new(Inner::empty()), depth);
            self.place(&mut next, &leaves);
            next.changed = u16::MAX;
            return self.finish(base.map(|(base, _)| base), next);
        }
        let rise = match leaves.as_slice() {
            [] => return None,
            [leaf] => depth.saturating_sub(usize::from(leaf.depth)),
            _ => 0,
        };
        let based = base.filter(|((_, records), batch)| {
            *records < MAX_LEAF_RECORDS && batch.len().saturating_mul(2) < leaves.len()
        });
        let page = Page {
            depth,
            records: based.map_or(1, |((_, records), _)| records.saturating_add(1)),
            body: Body::Leaves(leaves),
        };
        let record = match based {
            None => page.whole(),
            Some(((base, _), batch)) => page.based(base, Content::Changes(batch.to_vec())),
        };
        let replaces = base.map(|((id, _), _)| id);
        Some(self.write(replaces, page, record, rise))
    }

    fn write(
        &mut self,
        replaces: Option<PageId>,
        page: Page,
        record: PageRecord,
        rise: usize,
    ) -> Child {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        let value = page.value();
        self.new.push(NewPage {
            id,
            replaces,
            record,
            page,
        });
        Child {
            node: Node { id, value },
            rise: u8::try_from(rise).unwrap_or(u8::MAX),
        }
    }

    /// Changes what is below a place of a page, which is at `depth`.
    fn inner(
        &mut self,
        next: &mut Draft,
        place: usize,
        depth: usize,
        batch: &[Change],
    ) -> Result<(), P::Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let is_bottom = place >= SLOTS;
        match next.inner.at(place) {
            Place::Child(child) if is_bottom => {
                let child = self.modify(Some(child.node), depth, batch)?;
                next.set(place.saturating_sub(SLOTS), child);
            }
            Place::Child(child) => {
                let page = self.pages.page(child.node.id)?;
                let leaf = page.lone(child.node.id)?;
                let mut leaves = Vec::new();
                modify_leaves(leaf, depth, batch, &mut leaves)?;
                next.clear(place);
                self.place(next, &leaves);
            }
            Place::Vacant => {
                let mut leaves = Vec::new();
                modify_leaves(&[], depth, batch, &mut leaves)?;
                self.place(next, &leaves);
            }
            Place::Parent => {
                let (left, right) = batch.split_at(batch.partition_point(|c| !c.bit(depth)));
                let (below, first) = (depth.saturating_add(1), place.saturating_mul(2));
                self.inner(next, first, below, left)?;
                self.inner(next, first.saturating_add(1), below, right)?;
            }
        }
        Ok(())
    }

    /// Puts leaves into slots where nothing is.
    fn place(&mut self, next: &mut Draft, leaves: &[Leaf]) {
        let bottom = next.depth.saturating_add(LEVELS);
        let slot = |leaf: &Leaf| {
            (next.depth..bottom).fold(0usize, |slot, depth| {
                slot << 1 | usize::from(leaf.bit(depth))
            })
        };
        let slots: Vec<_> = leaves
            .chunk_by(|a, b| slot(a) == slot(b))
            .filter_map(|group| Some((slot(group.first()?), group.to_vec())))
            .collect();
        for (slot, group) in slots {
            let child = self.page_of(None, bottom, group);
            next.set(slot, child);
        }
    }

    /// Makes a page of a draft, unless nothing is left in it.
    fn finish(&mut self, base: Option<(PageId, u8)>, next: Draft) -> Option<Child> {
        let Draft {
            mut inner,
            depth,
            changed,
        } = next;
        if inner.slots.iter().all(Option::is_none) {
            return None;
        }
        inner.compute(changed);
        let replaces = base.map(|(id, _)| id);
        let few = changed.count_ones() < (SLOTS as u32) / 2;
        let base = base.filter(|(_, records)| few && *records < MAX_INNER_RECORDS);
        let is_changed = |slot: u8| changed.checked_shr(slot.into()).is_some_and(|m| m & 1 == 1);
        let differing = (0u8..)
            .zip(inner.slots)
            .filter(|(slot, _)| is_changed(*slot))
            .collect();
        let page = Page {
            depth,
            records: base.map_or(1, |(_, records)| records.saturating_add(1)),
            body: Body::Inner(inner),
        };
        let record = match base {
            None => page.whole(),
            Some((base, _)) => page.based(base, Content::Slots(differing)),
        };
        Some(self.write(replaces, page, record, 0))
    }
}

/// A page that is being changed.
struct Draft {
    inner: Box<Inner>,
    depth: usize,
    /// The slots that changed, the first of which is bit 0.
    changed: u16,
}

impl Draft {
    fn new(inner: Box<Inner>, depth: usize) -> Self {
        let changed = 0;
        Self {
            inner,
            depth,
            changed,
        }
    }

    fn set(&mut self, slot: usize, child: Option<Child>) {
        if let Some(place) = self.inner.slots.get_mut(slot) {
            *place = child;
            self.changed |= 1 << slot;
        }
    }

    fn clear(&mut self, place: usize) {
        let (slots, _) = Inner::below(place);
        for slot in slots {
            if self.inner.slots.get(slot).is_some_and(Option::is_some) {
                self.set(slot, None);
            }
        }
    }
}

/// Appends to `out` what is left of the subtree at `depth`, which has these leaves and no others,
/// after `batch` went into it. Both are sorted by key.
pub(crate) fn modify_leaves(
    leaves: &[Leaf],
    depth: usize,
    batch: &[Change],
    out: &mut Vec<Leaf>,
) -> Result<(), ModifyError> {
    let standing = lone(leaves, depth);
    if batch.is_empty() {
        match standing {
            Some(leaf) => out.push(Leaf {
                depth: stands(depth)?,
                ..*leaf
            }),
            None => out.extend_from_slice(leaves),
        }
        return Ok(());
    }
    if let Some(leaf) = standing
        && let Some(at) = batch.iter().position(|change| change.is_of(&leaf.leaf))
    {
        return replace(at, depth, batch, out);
    }
    if let ([], [change]) = (leaves, batch) {
        if change.removed {
            return Err(ModifyError::Missing);
        }
        out.push(Leaf::new(change.leaf, stands(depth)?));
        return Ok(());
    }
    let below = depth.saturating_add(1);
    if below > usize::from(u8::MAX) {
        let mut neighbours = batch.iter().zip(batch.iter().skip(1));
        return Err(match neighbours.any(|(a, b)| a.is_of(&b.leaf)) {
            true => ModifyError::Duplicate,
            false => ModifyError::TooDeep,
        });
    }
    let (left, right) = batch.split_at(batch.partition_point(|change| !change.bit(depth)));
    let (old_left, old_right) = split(leaves, depth);
    modify_leaves(old_left, below, left, out)?;
    modify_leaves(old_right, below, right, out)
}

/// The same where there was the leaf that the change at `at` is about.
fn replace(
    at: usize,
    depth: usize,
    batch: &[Change],
    out: &mut Vec<Leaf>,
) -> Result<(), ModifyError> {
    let mut rest = batch.to_vec();
    let change = rest.remove(at);
    if !change.removed || rest.iter().any(|other| other.is_of(&change.leaf)) {
        return Err(ModifyError::Duplicate);
    }
    match rest.is_empty() {
        true => Ok(()),
        false => modify_leaves(&[], depth, &rest, out),
    }
}

fn stands(depth: usize) -> Result<u8, ModifyError> {
    u8::try_from(depth).map_err(|_| ModifyError::TooDeep)
}
