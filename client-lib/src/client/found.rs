//! What a lookup finds.

use overt_protocol::signed_value::{SignedValue, Signer};
use overt_protocol::user::VerifiedValue;

use crate::client::Cost;
use crate::code::VerificationCode;

/// A value that was proved. Only a verified search makes one.
#[derive(Debug, Clone)]
pub struct Lookup {
    pub(super) proved: VerifiedValue,
    pub(super) content: Vec<u8>,
    pub(super) standing: Standing,
    pub(super) unchecked_below: Option<u32>,
    pub(super) recoveries: Vec<u32>,
    pub(super) seen_before: Option<u32>,
    pub(super) tree_size: u64,
    pub(super) timestamp: u64,
    pub(super) cost: Cost,
    pub(super) code: VerificationCode,
}

/// Every version of a label.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Those that were proved, ascending. Expired ones are left out.
    pub versions: Vec<Lookup>,
    /// Version counters that the Service Operator used up and the Third-Party Manager never got,
    /// ascending: so the directory says, and nothing that it showed contradicts it.
    pub skipped: Vec<u32>,
}

/// By whose authority a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The directory does not require signed values: by the directory's alone.
    Unsigned,
    /// Version 0: nobody could sign it. Compare it with its owner.
    FirstRegistration,
    /// The previous version's update key signed it.
    Signed,
    /// The previous version's recovery key signed it.
    Recovered,
    /// The previous version has expired or was deleted, so the directory says, and with it what
    /// could show who signed this one: by the directory's authority alone.
    Unchecked,
}

impl Standing {
    pub(super) fn of(value: &SignedValue) -> Self {
        match value.signature.as_ref().map(|s| s.signer) {
            None => Self::FirstRegistration,
            Some(Signer::UpdateKey) => Self::Signed,
            Some(Signer::RecoveryKey) => Self::Recovered,
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::FirstRegistration => "first-registration",
            Self::Signed => "signed",
            Self::Recovered => "recovered",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Lookup {
    /// The label.
    pub fn label(&self) -> &[u8] {
        self.proved.label()
    }

    /// The version.
    pub fn version(&self) -> u32 {
        self.proved.version()
    }

    /// The application's bytes.
    pub fn value(&self) -> &[u8] {
        &self.content
    }

    /// The value as published: in its envelope, if it has one.
    pub fn published(&self) -> &[u8] {
        self.proved.value()
    }

    /// By whose authority this version stands.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Who signed this version and older ones was not checked: older ones have expired or were
    /// deleted, so the directory says.
    /// None if they were checked down to the first version, or to one that was checked earlier.
    pub fn unchecked_below(&self) -> Option<u32> {
        self.unchecked_below
    }

    /// Versions checked now that were signed with a recovery key.
    pub fn recoveries(&self) -> &[u32] {
        &self.recoveries
    }

    /// The greatest version that was seen here earlier.
    pub fn seen_before(&self) -> Option<u32> {
        self.seen_before
    }

    /// Number of entries of the log in which this was found.
    pub fn tree_size(&self) -> u64 {
        self.tree_size
    }

    /// When that log last changed, in milliseconds since the Unix epoch.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// What the proof cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// What two people compare.
    pub fn code(&self) -> VerificationCode {
        self.code
    }
}
