//! Answering Contact Monitoring, Owner Initialization, Owner Monitoring and Distinguished requests.

use crate::distinguished::{Recent, walk};
use crate::implicit_tree::right_direct_path;
use crate::monitor::{self, MonitorMap, OwnerProgress, owner_init_entries, owner_init_versions};
use crate::provider::record::{record, record_at};
use crate::provider::update::groups_after;
use crate::provider::{Directory, Refusal, Retention};
use crate::wire::{
    ContactMonitorRequest, CredentialUpdate, CredentialUpdateRequest, DistinguishedRequest,
    MonitorMapEntry, MonitorResponse, OwnerInitRequest, OwnerInitResponse, OwnerMonitorRequest,
};

/// Answers contact monitoring.
pub fn contact_monitor<D: Directory>(
    directory: &D,
    request: &ContactMonitorRequest,
) -> Result<MonitorResponse, D::Error> {
    let map = check_entries(directory, &request.label, &request.entries)?;
    let (full_tree_head, _, proof) = record(directory, request.last, &request.label, |view| {
        monitor::contact_monitor(view, &map, None)
    })?;
    Ok(MonitorResponse {
        full_tree_head,
        proof,
    })
}

/// Answers with what finally verifies a provisional credential: monitoring its version from its
/// terminal log entry, in the tree that a distinguished log entry was the rightmost of.
pub fn credential_update<D: Directory>(
    directory: &D,
    request: &CredentialUpdateRequest,
) -> Result<CredentialUpdate, D::Error> {
    let CredentialUpdateRequest {
        label,
        entry,
        tree_size,
        distinguished,
    } = request;
    let published = directory.tree_head().tree_size;
    if *distinguished >= published {
        return Err(Refusal::Invalid("`distinguished` is not in the log").into());
    }
    if *tree_size == 0 || tree_size > distinguished || entry.position >= *tree_size {
        return Err(
            Refusal::Invalid("`entry`, `tree_size` and `distinguished` must ascend").into(),
        );
    }
    let map = check_entries(directory, label, std::slice::from_ref(entry))?;
    let size = distinguished.saturating_add(1);
    let is_monitored = directory.config().is_contact_monitoring();
    let ((), monitor) = record_at(directory, (size, None), Some(*tree_size), label, |view| {
        if is_monitored {
            monitor::contact_monitor(view, &map, None)?;
        }
        Ok(())
    })?;
    Ok(CredentialUpdate { monitor })
}

/// Answers owner initialization.
pub fn owner_init<D: Directory>(
    directory: &D,
    request: &OwnerInitRequest,
) -> Result<OwnerInitResponse, D::Error> {
    if request.start >= directory.tree_head().tree_size {
        return Err(Refusal::Invalid("`start` is not in the log").into());
    }
    let greatest = directory.greatest_version(&request.label)?;
    let (full_tree_head, (greatest_versions, binary_ladder), init) =
        record(directory, request.last, &request.label, |view| {
            let entries = owner_init_entries(view, request.start)?;
            let mut versions = Vec::new();
            for position in &entries {
                match view.source.greatest_at(greatest, *position)? {
                    Some(version) => versions.push(version),
                    None => break,
                }
            }
            monitor::owner_init(view, &entries, &versions)?;
            let newest = versions.first().copied();
            let steps = view
                .source
                .ladder_steps(&owner_init_versions(&versions), |v| newest >= Some(v))?;
            Ok((versions, steps))
        })?;
    Ok(OwnerInitResponse {
        full_tree_head,
        greatest_versions,
        binary_ladder,
        init,
    })
}

/// Answers owner monitoring with at most `max_ladders` distinguished entries.
pub fn owner_monitor<D: Directory>(
    directory: &D,
    request: &OwnerMonitorRequest,
    max_ladders: usize,
) -> Result<MonitorResponse, D::Error> {
    let label = &request.label;
    let map = check_entries(directory, label, &request.entries)?;
    if request.start >= directory.tree_head().tree_size {
        return Err(Refusal::Invalid("`start` is not in the log").into());
    }
    let started = directory.log_entry(request.start)?.timestamp;
    let rightmost = directory.log_entry(directory.tree_head().tree_size.saturating_sub(1))?;
    if Retention::of(directory.config())
        .is_some_and(|retention| retention.is_overtaken(started, rightmost.timestamp))
    {
        return Err(Refusal::Expired.into());
    }
    let greatest = directory.greatest_version(label)?;
    if request.greatest_version > greatest {
        return Err(Refusal::VersionConflict.into());
    }
    let (full_tree_head, _, proof) = record(directory, request.last, label, |view| {
        view.source
            .limit_owner(max_ladders, request.greatest_version);
        let version_at_start = view.source.greatest_at(greatest, request.start)?;
        if version_at_start > request.greatest_version {
            return Err(Refusal::VersionConflict.into());
        }
        let groups = groups_after(directory, label, version_at_start, greatest)?;
        let progress = OwnerProgress {
            start: request.start,
            version_at_start,
            upcoming: groups.iter().map(|g| (g.position, g.greatest)).collect(),
        };
        monitor::contact_monitor(view, &map, Some(request.start))?;
        monitor::owner_monitor(view, &progress)
    })?;
    Ok(MonitorResponse {
        full_tree_head,
        proof,
    })
}

/// Answers with the recent distinguished log entries.
pub fn distinguished<D: Directory>(
    directory: &D,
    request: &DistinguishedRequest,
    recent: Recent,
) -> Result<MonitorResponse, D::Error> {
    let (full_tree_head, _, proof) = record(directory, request.last, &[], |view| {
        walk(view, recent, request.stop)
    })?;
    Ok(MonitorResponse {
        full_tree_head,
        proof,
    })
}

/// Checks a request's monitoring map (section "Contact Monitor" of "User Operations").
fn check_entries<D: Directory>(
    directory: &D,
    label: &[u8],
    entries: &[MonitorMapEntry],
) -> Result<MonitorMap, D::Error> {
    let neighbours = || entries.iter().zip(entries.iter().skip(1));
    if neighbours().any(|(a, b)| a.position >= b.position) {
        return Err(Refusal::Invalid("`entries` is not in ascending order of position").into());
    }
    let mut versions: Vec<u32> = entries.iter().map(|e| e.version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() != entries.len() {
        return Err(Refusal::Invalid("`entries` names a version twice").into());
    }
    let size = directory.tree_head().tree_size;
    let greatest = directory.greatest_version(label)?;
    for entry in entries {
        if Some(entry.version) > greatest {
            return Err(Refusal::Invalid("`entries` names an unknown version").into());
        }
        let stored = directory.version(label, entry.version)?;
        let kept = stored.filter(|stored| stored.removed.is_none());
        let first = kept.ok_or(Refusal::Expired)?.position;
        let on_path =
            entry.position == first || right_direct_path(first, size).contains(&entry.position);
        if !on_path {
            return Err(Refusal::Invalid("`entries` has a position off the version's path").into());
        }
    }
    Ok(entries.iter().map(|e| (e.position, e.version)).collect())
}
