//! Answering a `SearchRequest`.

use crate::error::VerifyError;
use crate::provider::record::{record, search_steps};
use crate::provider::{Directory, Refusal};
use crate::search::{self, fixed_version, greatest_version};
use crate::wire::{AbsenceRequest, AbsenceResponse, SearchRequest, SearchResponse};

/// Answers a search.
pub fn search<D: Directory>(
    directory: &D,
    request: &SearchRequest,
) -> Result<SearchResponse, D::Error> {
    let greatest = directory.greatest_version(&request.label)?;
    let greatest = greatest.ok_or(Refusal::NotFound)?;
    let version = request.version.unwrap_or(greatest);
    if version > greatest {
        return Err(Refusal::NotFound.into());
    }
    let stored = directory.version(&request.label, version)?;
    if stored.ok_or(Refusal::Expired)?.is_skipped() {
        return Err(Refusal::NotFound.into());
    }
    let (full_tree_head, binary_ladder, search) =
        record(directory, request.last, &request.label, |view| {
            let steps = search_steps(&mut view.source, version)?;
            match request.version {
                None => greatest_version(view, version)?,
                Some(_) => fixed_version(view, version)?,
            };
            Ok(steps)
        })?;
    let (opening, value) = directory.value(&request.label, version)?;
    Ok(SearchResponse {
        full_tree_head,
        version: request.version.is_none().then_some(version),
        opening,
        value,
        binary_ladder,
        search,
    })
}

/// Answers with proof that a label has no version.
pub fn absence<D: Directory>(
    directory: &D,
    request: &AbsenceRequest,
) -> Result<AbsenceResponse, D::Error> {
    if directory.greatest_version(&request.label)?.is_some() {
        return Err(Refusal::Invalid("the label exists").into());
    }
    let (full_tree_head, binary_ladder, proof) =
        record(directory, request.last, &request.label, |view| {
            let steps = view.source.ladder_steps(&[0], |_| false)?;
            search::absence(view)?;
            Ok(steps)
        })?;
    Ok(AbsenceResponse {
        full_tree_head,
        binary_ladder,
        absence: proof,
    })
}

impl From<&VerifyError> for Refusal {
    /// What an algorithm's failure means when it is the log that runs it.
    fn from(error: &VerifyError) -> Self {
        match error {
            VerifyError::VersionNotFound => Self::NotFound,
            VerifyError::VersionExpired => Self::Expired,
            VerifyError::StartPosition(_) => {
                Self::Invalid("`start` is not an unexpired distinguished log entry")
            }
            VerifyError::Request(_) => Self::Invalid("`entries` is not in the log"),
            VerifyError::MonitorOrder(_) => Self::Invalid("`entries` is not a monitoring map"),
            VerifyError::UpdatePosition { .. } => {
                Self::Invalid("versions in the first log entry cannot be proved by an update")
            }
            _ => Self::Damaged("an algorithm failed on stored data"),
        }
    }
}
