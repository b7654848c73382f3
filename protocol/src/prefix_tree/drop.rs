//! Dropping a version of the tree that nobody will ask for again.

use std::collections::BTreeMap;

use crate::prefix_tree::page::{Body, Node, Page, PageId, Pages};
use crate::prefix_tree::record::PageRecord;

/// What becomes of pages: written anew, or gone.
pub type Dropped = BTreeMap<PageId, Option<PageRecord>>;

/// Adds to `dropped` what has to be done before the version whose root is `root` can go, `next` being
/// the root of the version after it. Versions are dropped in their order, the oldest first.
///
/// A page that is not in the next version goes. The page that takes its place was based on no other
/// but this one, and stands alone from now on.
pub fn drop_version<P: Pages>(
    pages: &P,
    root: Option<Node>,
    next: Option<Node>,
    dropped: &mut Dropped,
) -> Result<(), P::Error> {
    let (Some(old), next) = (root, next) else {
        return Ok(());
    };
    if next.is_some_and(|next| next.id == old.id) {
        return Ok(());
    }
    dropped.insert(old.id, None);
    let old = pages.page(old.id)?;
    let Some(next) = next else {
        return children(&old)
            .try_for_each(|(_, child)| drop_version(pages, Some(child), None, dropped));
    };
    let new = pages.page(next.id)?;
    if new.records > 1 {
        dropped.insert(next.id, Some(new.whole()));
    }
    let other = |slot| children(&new).find(|(other, _)| *other == slot);
    children(&old).try_for_each(|(slot, child)| {
        drop_version(
            pages,
            Some(child),
            other(slot).map(|(_, child)| child),
            dropped,
        )
    })
}

/// The pages below a page, by slot.
fn children(page: &Page) -> impl Iterator<Item = (usize, Node)> + '_ {
    let slots = match &page.body {
        Body::Leaves(_) => None,
        Body::Inner(inner) => Some(inner.slots.iter().enumerate()),
    };
    let occupied = slots.into_iter().flatten();
    occupied.filter_map(|(slot, child)| Some((slot, (*child)?.node)))
}
