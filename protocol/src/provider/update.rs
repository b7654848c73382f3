//! Answering an `UpdateRequest`, once its versions are in the log or because others are.

use crate::monitor::OwnerProgress;
use crate::provider::record::record;
use crate::provider::{Directory, Refusal};
use crate::update::{NewVersions, update_label};
use crate::wire::{UpdateInfo, UpdateRequest, UpdateResponse};

/// At most so many responses stand in one answer; the owner asks again for the rest.
const MAX_RESPONSES: usize = 64;

/// The versions of a label from after `previous` up to `greatest`, by the log entry that created
/// them. All of them must still be there.
pub fn groups_after<D: Directory>(
    directory: &D,
    label: &[u8],
    previous: Option<u32>,
    greatest: Option<u32>,
) -> Result<Vec<NewVersions>, D::Error> {
    let mut groups: Vec<NewVersions> = Vec::new();
    let first = previous.map_or(Some(0), |v| v.checked_add(1));
    let (Some(first), Some(greatest)) = (first, greatest) else {
        return Ok(groups);
    };
    for version in first..=greatest {
        let stored = directory.version(label, version)?;
        let stored = stored.ok_or(Refusal::Expired)?;
        match groups.last_mut().filter(|g| g.position == stored.position) {
            Some(group) => group.greatest = version,
            None => groups.push(NewVersions {
                position: stored.position,
                first: version,
                greatest: version,
            }),
        }
    }
    Ok(groups)
}

/// The versions of a label up to `greatest`, as far back as none of them is missing; at least that
/// one must be there.
fn groups_until<D: Directory>(
    directory: &D,
    label: &[u8],
    greatest: Option<u32>,
) -> Result<Vec<NewVersions>, D::Error> {
    let mut groups: Vec<NewVersions> = Vec::new();
    let mut next = greatest;
    while let Some(version) = next
        && let Some(stored) = directory.version(label, version)?
    {
        match groups.last_mut().filter(|g| g.position == stored.position) {
            Some(group) => group.first = version,
            None => groups.push(NewVersions {
                position: stored.position,
                first: version,
                greatest: version,
            }),
        }
        next = version.checked_sub(1);
    }
    if groups.is_empty() && greatest.is_some() {
        return Err(Refusal::Expired.into());
    }
    groups.reverse();
    Ok(groups)
}

/// Tells the owner of the versions after `request.greatest_version`. `created` is the log entry
/// that holds the request's own values, if they were created.
pub fn update<D: Directory>(
    directory: &D,
    request: &UpdateRequest,
    created: Option<u64>,
) -> Result<Vec<UpdateResponse>, D::Error> {
    let label = &request.label;
    let greatest = directory.greatest_version(label)?;
    if request.greatest_version >= greatest {
        return Err(Refusal::VersionConflict.into());
    }
    let known = groups_until(directory, label, request.greatest_version)?;
    let mut progress = OwnerProgress {
        start: 0,
        version_at_start: None,
        upcoming: known.iter().map(|g| (g.position, g.greatest)).collect(),
    };
    let mut last = request.last;
    let mut out = Vec::new();
    let news = groups_after(directory, label, request.greatest_version, greatest)?;
    for new in news.into_iter().take(MAX_RESPONSES) {
        let is_requested = created == Some(new.position);
        out.push(one(directory, label, last, &progress, new, is_requested)?);
        last = Some(directory.tree_head().tree_size);
        progress.upcoming.push((new.position, new.greatest));
    }
    Ok(out)
}

fn one<D: Directory>(
    directory: &D,
    label: &[u8],
    last: Option<u64>,
    progress: &OwnerProgress,
    new: NewVersions,
    is_requested: bool,
) -> Result<UpdateResponse, D::Error> {
    let previous = progress.greatest_version();
    let (full_tree_head, binary_ladder, update) = record(directory, last, label, |view| {
        let steps = view
            .source
            .ladder_steps(&new.ladder_versions(previous), |_| false)?;
        update_label(view, progress, new)?;
        Ok(steps)
    })?;
    let mut values = Vec::new();
    let mut info = Vec::new();
    let mut skipped_versions: u32 = 0;
    for version in new.first..=new.greatest {
        let stored = directory.version(label, version)?;
        if stored.is_some_and(|stored| stored.is_skipped()) {
            skipped_versions = skipped_versions.saturating_add(1);
            continue;
        }
        let (opening, update) = directory.value(label, version)?;
        info.push(UpdateInfo {
            opening,
            signature: update.signature,
        });
        if !is_requested {
            values.push(update.value);
        }
    }
    Ok(UpdateResponse {
        full_tree_head,
        position: new.position,
        skipped_versions: directory
            .config()
            .is_third_party_management()
            .then_some(skipped_versions),
        values,
        info,
        binary_ladder,
        update,
    })
}
