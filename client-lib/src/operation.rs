//! The draft's user operations, by the names that endpoints, files and people use.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An operation of section "User Operations", or of section "Credentials".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// "Search".
    Search,
    /// "Updating a Label".
    Update,
    /// "Owner Initialization".
    OwnerInit,
    /// "Owner Monitoring".
    OwnerMonitor,
    /// "Contact Monitoring".
    ContactMonitor,
    /// "Walking Distinguished Heads".
    Distinguished,
    /// Proof that a label has no version, which some directories offer besides the draft.
    Absence,
    /// "Credentials": a credential that another user sent. Nothing is asked of the log.
    Credential,
    /// "Credentials": what finally verifies a provisional one.
    CredentialUpdate,
}

/// No operation has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown operation; one of search, update, owner-init, owner-monitor, contact-monitor, \
     distinguished, absence, credential, credential-update"
)]
pub struct UnknownOperation;

impl Operation {
    const ALL: [Self; 9] = [
        Self::Search,
        Self::Update,
        Self::OwnerInit,
        Self::OwnerMonitor,
        Self::ContactMonitor,
        Self::Distinguished,
        Self::Absence,
        Self::Credential,
        Self::CredentialUpdate,
    ];

    /// The name of its endpoint in a directory's descriptor.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Update => "update",
            Self::OwnerInit => "owner_init",
            Self::OwnerMonitor => "owner_monitor",
            Self::ContactMonitor => "contact_monitor",
            Self::Distinguished => "distinguished",
            Self::Absence => "absence",
            Self::Credential => "credential",
            Self::CredentialUpdate => "credential_update",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint().replace('_', "-"))
    }
}

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(name: &str) -> Result<Self, UnknownOperation> {
        let name = name.replace('-', "_");
        Self::ALL
            .into_iter()
            .find(|operation| operation.endpoint() == name)
            .ok_or(UnknownOperation)
    }
}
