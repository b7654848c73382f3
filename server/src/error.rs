//! Why the directory does not answer.

use overt_protocol::codec::EncodeError;
use overt_protocol::error::VerifyError;
use overt_protocol::prefix_tree::{ModifyError, PageError};
use overt_protocol::provider::Refusal;
use thiserror::Error;

use crate::head_log::HeadLogError;
use crate::store::StoreError;

/// What reading or appending can fail with.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The request is refused.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// Looking labels up needs a token here, monitoring the openings of what was looked up before.
    #[error(
        "looking labels up takes a valid bearer token here; monitoring takes one too, or the \
         commitment openings of the versions that are monitored (Overt-Openings)"
    )]
    NotAllowed,
    /// Third-Party Auditing: no head of the auditor that users would accept is here.
    #[error("the auditor has not signed recently enough; no answer would verify")]
    NotAudited,
    /// The log's first head waits for its witnesses.
    #[error("no head is published yet")]
    Unpublished,
    /// Newer heads wait for witnesses, and users would refuse the last one.
    #[error(
        "too few witnesses have cosigned for so long that no answer would verify; try again later"
    )]
    Held,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<VerifyError> for DirectoryError {
    fn from(error: VerifyError) -> Self {
        Self::Refusal(Refusal::from(&error))
    }
}

impl From<HeadLogError> for DirectoryError {
    fn from(error: HeadLogError) -> Self {
        match error {
            HeadLogError::Store(error) => Self::Store(error),
            other => Self::Store(StoreError::Damaged(other.to_string())),
        }
    }
}

impl From<PageError> for DirectoryError {
    fn from(error: PageError) -> Self {
        Self::Store(StoreError::Damaged(error.to_string()))
    }
}

impl From<ModifyError> for DirectoryError {
    fn from(error: ModifyError) -> Self {
        Self::Store(StoreError::Damaged(error.to_string()))
    }
}

impl From<EncodeError> for DirectoryError {
    fn from(_: EncodeError) -> Self {
        Self::Refusal(Refusal::Invalid("the answer does not fit its wire format"))
    }
}
