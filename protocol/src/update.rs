//! The update algorithm (section "Updating a Label").

use crate::combined::{Source, View};
use crate::error::VerifyError;
use crate::implicit_tree::frontier;
use crate::ladder::{base_ladder, search_ladder};
use crate::monitor::OwnerProgress;

/// New versions of a label, all created by one log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewVersions {
    /// The log entry.
    pub position: u64,
    /// The first new version.
    pub first: u32,
    /// The last, which is the new greatest.
    pub greatest: u32,
}

impl NewVersions {
    /// `count` versions after `previous`, or an error if there are not so many version numbers, or
    /// more than an `UpdateResponse` could hold VRF proofs of.
    pub fn after(previous: Option<u32>, count: u64, position: u64) -> Result<Self, VerifyError> {
        // At most 255 steps fit a `binary_ladder`, beside the fewer than 70 of the previous ladder.
        if count > 325 {
            return Err(VerifyError::VersionRange);
        }
        let first = previous.map_or(Some(0), |v| v.checked_add(1));
        let first = first.ok_or(VerifyError::VersionRange)?;
        let greatest = u64::from(first)
            .checked_add(count)
            .and_then(|end| end.checked_sub(1))
            .filter(|greatest| *greatest >= u64::from(first))
            .and_then(|greatest| u32::try_from(greatest).ok())
            .ok_or(VerifyError::VersionRange)?;
        Ok(Self {
            position,
            first,
            greatest,
        })
    }

    /// The versions whose VRF proofs an `UpdateResponse` provides, ascending: those of the new
    /// search ladder and the new ones, without those that the owner knows from before. None of them
    /// existed before: the ladders of two versions part at a version between them, and all that
    /// come before are the same.
    pub fn ladder_versions(&self, previous: Option<u32>) -> Vec<u32> {
        let mut out = search_ladder(self.greatest, Some(self.greatest));
        out.extend(self.first..=self.greatest);
        let known = previous.map_or(vec![0], |v| search_ladder(v, Some(v)));
        out.retain(|version| !known.contains(version));
        out.sort_unstable();
        out.dedup();
        out
    }

    /// The new versions that a search ladder for the new greatest does not look up, ascending.
    fn outside_ladder(&self) -> Vec<u32> {
        let ladder = base_ladder(self.greatest);
        (self.first..=self.greatest)
            .filter(|version| !ladder.contains(version))
            .collect()
    }
}

/// Verifies how new versions were created. Returns whether the log entry that created them is
/// distinguished; if it is not, the owner also monitors it as a contact does.
pub fn update_label<S: Source>(
    view: &mut View<'_, S>,
    progress: &OwnerProgress,
    new: NewVersions,
) -> Result<bool, S::Error> {
    let after = progress.last_update();
    if new.position <= after || new.position >= view.size() {
        let position = new.position;
        return Err(VerifyError::UpdatePosition { position, after }.into());
    }
    search_previous_tree(view, progress, new.position)?;

    let outside = new.outside_ladder();
    // Step 3.
    let distinguished = view.is_distinguished(new.position)?;
    // Step 4.
    if !distinguished {
        view.expect_greatest(new.position, Some(new.greatest), true)?;
    }
    if !outside.is_empty() {
        view.expect_included(new.position, &outside, new.greatest)?;
    }
    Ok(distinguished)
}

/// Steps 1 and 2: a greatest-version search in the tree before the log entry at `position`.
fn search_previous_tree<S: Source>(
    view: &mut View<'_, S>,
    progress: &OwnerProgress,
    position: u64,
) -> Result<(), S::Error> {
    let previous = progress.greatest_version();
    let last_update = progress.last_update();
    // Step 1. The distinguished entries of a frontier come first.
    let distinguished = view.distinguished_path(position.saturating_sub(1))?;
    let is_distinguished = |p: &u64| distinguished.contains(p);
    let inspected: Vec<u64> = frontier(position)
        .filter(|p| !is_distinguished(p))
        .collect();
    let search_start = frontier(position).filter(is_distinguished).last();

    // A greatest-version search would begin at the rightmost distinguished entry. What it would
    // show there and at skipped entries counts as shown.
    let ladder = previous.map(base_ladder).unwrap_or_default();
    let assume = |view: &mut View<'_, S>, position: u64| {
        let greatest = progress.greatest_version_at(position);
        for version in &ladder {
            if greatest.is_some_and(|greatest| *version <= greatest) {
                view.assume_looked_up(position, *version, true);
            }
        }
    };
    if let Some(start) = search_start.filter(|_| !inspected.is_empty()) {
        assume(view, start);
    }
    // Step 2.
    for entry in inspected {
        if previous.is_some() && entry <= last_update {
            assume(view, entry);
        } else {
            view.expect_greatest(entry, previous, true)?;
        }
    }
    Ok(())
}
