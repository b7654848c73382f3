//! What an operation can fail with, one variant for each thing a caller can do about it.

use overt_protocol::codec::EncodeError;
use overt_protocol::error::VerifyError;
use overt_protocol::head_log::proof::TlogProofError;
use overt_protocol::receipt::ReceiptError;
use overt_protocol::signed_value::{SignedValueError, Signer};
use overt_protocol::wire::ConfigurationError;
use thiserror::Error;

use crate::failure::Kept;
use crate::keys::KeysError;
use crate::store::StoreError;
use crate::transport::{Problem, TransportError};
use crate::trust::TrustError;

/// Why an operation gave no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The directory's answer does not hold. Nothing was learnt and no state changed.
    #[error("NOT VERIFIED, check {}: {reason}", reason.check())]
    NotVerified {
        /// Which check failed.
        reason: Reason,
        /// Where the exchange was kept for others to look at.
        kept: Kept,
    },
    /// The directory says that there is none; nothing proves it.
    #[error("the directory says that it has none (not proved): {0}")]
    NotFound(Problem),
    /// There is none, and that is proved.
    #[error("there is no such label; that is proved, in a log of {tree_size} entries")]
    Absent {
        /// Number of log entries.
        tree_size: u64,
    },
    /// No answer.
    #[error(transparent)]
    Unreachable(TransportError),
    /// The directory declined for another reason.
    #[error(transparent)]
    Refused(Problem),
    /// Somebody owns the label already, and no key of it is here.
    #[error(
        "the label is taken: it has {} already and this device holds no key of it",
        versions_up_to(*version)
    )]
    Taken {
        /// The greatest version that was seen.
        version: u32,
    },
    /// The label is registered from here, with another value.
    #[error(
        "the label is registered already, at version {version}, with another value; use update"
    )]
    Registered {
        /// The greatest version.
        version: u32,
    },
    /// What was sent from here earlier, without an answer, is published; this is not.
    #[error(
        "version {version} of this label is an earlier update that was sent from here; this one is \
         not published: send it again"
    )]
    Earlier {
        /// The greatest version.
        version: u32,
    },
    /// The label has no version that could be updated.
    #[error("the label is not registered")]
    NotRegistered,
    /// Versions of an owned label appeared that this device did not make. They are part of the
    /// owner state now; if another device of the owner did not make them, the directory or a thief
    /// did.
    #[error(
        "versions of this label were NOT MADE BY THIS DEVICE: {}",
        list(versions)
    )]
    Foreign {
        /// Version numbers, and which key signed each, if the directory requires signatures.
        versions: Vec<(u32, Option<Signer>)>,
    },
    /// The private key that must sign is not here.
    #[error("the private key of the published {0} is not on this device")]
    NoKey(&'static str),
    /// The published value has no recovery key.
    #[error("the label has no recovery key")]
    NoRecoveryKey,
    /// The log has no distinguished entry that an owner could start from.
    #[error("the directory's log has no distinguished entry yet; try again later")]
    NoDistinguished,
    /// A credential rests on a log entry that is no longer recent.
    #[error("the credential has expired; ask its sender for a new one")]
    CredentialExpired,
    /// A credential rests on a log entry that is not known here yet.
    #[error("the credential is newer than what is known here; try again after the next monitoring")]
    CredentialTooNew,
    /// The client was built without a place for private keys.
    #[error("no place for private keys was given")]
    NoKeyRing,
    /// Not in the log yet: the directory promised it. Monitoring holds it to that.
    #[error("version {version} is promised, not in the log yet")]
    Promised {
        /// The version.
        version: u32,
        /// When it has to be in the log, in milliseconds since the Unix epoch.
        deadline: u64,
    },
    /// A label is at most 255 bytes.
    #[error("a label is at most 255 bytes long")]
    LabelLength,
    /// The head is not fixed in front of the user's witnesses, or not yet.
    #[error(
        "the head of the log is cosigned by {}, which is not enough for your policy; missing: {}",
        words(cosigned),
        words(missing)
    )]
    NotWitnessed {
        /// Who cosigned in time.
        cosigned: Vec<String>,
        /// Who did not.
        missing: Vec<String>,
    },
    /// The directory's log moves so fast that two views of it could not be brought to one size.
    #[error("the views of the log could not be compared, because it changes too fast; try again")]
    Unsettled,
    /// What strangers are shown and what is known here have no recent log entry in common.
    #[error(
        "what the directory shows to strangers is too old, or too new, to be compared with what is \
         known here"
    )]
    Apart,
    /// Kept state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Private keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The directory is not the pinned one.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The pinned configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A value or label that does not fit the wire format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A value that cannot be signed.
    #[error(transparent)]
    Sign(SignedValueError),
}

/// The check that an answer did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The draft's verification.
    #[error(transparent)]
    Protocol(#[from] VerifyError),
    /// A published value is not its predecessor's to allow.
    #[error("version {version}: {error}")]
    SignedValue {
        /// The version.
        version: u32,
        /// What is wrong.
        error: SignedValueError,
    },
    /// The label is shown not to exist, but a version of it was seen earlier.
    #[error("the label is shown not to exist, but version {0} of it was seen before")]
    Vanished(u32),
    /// A greater version was seen earlier.
    #[error("the greatest version is said to be {now}, but version {seen} was seen before")]
    Regressed {
        /// The greatest ever seen.
        seen: u32,
        /// What the directory says now.
        now: u32,
    },
    /// A version has another value than before.
    #[error("version {0} has another value than before")]
    ValueChanged(u32),
    /// A version that must exist is not shown.
    #[error("the directory does not show version {version}, which must exist: {says}")]
    Withheld {
        /// The version.
        version: u32,
        /// The directory's words.
        says: String,
    },
    /// The directory says that its log is smaller than what it showed here before.
    #[error(
        "the directory says that its log is smaller than the {last} entries that it showed before: \
         it was rolled back, or shows different logs to different people"
    )]
    RolledBack {
        /// The size that was verified here.
        last: u64,
    },
    /// Versions of an owned label that this device did not make.
    #[error("versions that this device did not make: {}", list(.0))]
    Foreign(Vec<(u32, Option<Signer>)>),
    /// The log did not provide what would finally verify a credential before that expired.
    #[error(
        "the directory does not prove what the credential for version {version} shows, and that has \
         expired meanwhile: {says}"
    )]
    CredentialUnproved {
        /// The version.
        version: u32,
        /// The directory's words.
        says: String,
    },
    /// The log does not prove an owned label at distinguished entries that it has.
    #[error("the directory does not prove this label beyond log entry {0}")]
    Unproved(u64),
    /// A receipt that does not verify.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// A receipt, and a later log without what it promises.
    #[error("version {version} was promised and is not in the log: the promise is BROKEN")]
    PromiseBroken {
        /// The version.
        version: u32,
    },
    /// Two verified heads of one size have different roots: the log is forked.
    #[error("two signed heads of size {size} have different contents: the log is FORKED")]
    Forked {
        /// The tree size.
        size: u64,
    },
    /// Signed statements that cannot all be true, which an auditor had or completed.
    #[error("the log is FORKED, which evidence {0} proves to anybody")]
    Evidence(String),
    /// An auditor cosigned another log than is shown here, and what would prove that is not to be had.
    #[error(
        "an auditor was shown another log than this one, and the proofs that would tell who lies are \
         not to be had"
    )]
    AuditorDiffers,
    /// The head is not in the head log, or that is signed by others than its own keys.
    #[error("the head log: {0}")]
    HeadLog(#[from] TlogProofError),
    /// Strangers are shown another log.
    #[error(
        "what the directory shows to strangers is not the log that it shows here: the log is FORKED"
    )]
    Split,
}

impl Reason {
    /// A stable name of the check.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Protocol(error) => error.check(),
            Self::SignedValue { error, .. } => error.check(),
            Self::Vanished(_) => "version-vanished",
            Self::Regressed { .. } => "version-regressed",
            Self::ValueChanged(_) => "value-changed",
            Self::Withheld { .. } => "version-withheld",
            Self::RolledBack { .. } => "last-ahead",
            Self::Foreign(_) => "foreign-version",
            Self::Unproved(_) => "owner-unproved",
            Self::CredentialUnproved { .. } => "credential-unproved",
            Self::Receipt(error) => error.check(),
            Self::PromiseBroken { .. } => "promise-broken",
            Self::Forked { .. } => "forked",
            Self::Evidence(_) => "evidence",
            Self::AuditorDiffers => "auditor-differs",
            Self::HeadLog(error) => error.check(),
            Self::Split => "split-view",
        }
    }
}

impl ClientError {
    /// Whether the directory, or somebody in its place, did what it must not do.
    pub fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            Self::NotVerified { .. }
                | Self::Foreign { .. }
                | Self::Trust(TrustError::Changed { .. } | TrustError::Fingerprint { .. })
        )
    }

    /// Whether the directory answered, though not with proof. Otherwise nothing came back from it.
    pub fn is_answer(&self) -> bool {
        let is_answer = |error: &TransportError| {
            matches!(
                error,
                TransportError::Problem(_) | TransportError::TooLarge(_)
            )
        };
        match self {
            Self::NotFound(_)
            | Self::Refused(_)
            | Self::Unsettled
            | Self::Apart
            | Self::NotWitnessed { .. } => true,
            Self::Unreachable(error) | Self::Trust(TrustError::Transport(error)) => {
                is_answer(error)
            }
            error => error.is_misbehaviour(),
        }
    }

    /// A stable name of the failed check, if one failed.
    pub fn check(&self) -> Option<&'static str> {
        match self {
            Self::NotVerified { reason, .. } => Some(reason.check()),
            Self::Foreign { .. } => Some("foreign-version"),
            Self::Trust(TrustError::Changed { .. }) => Some("directory-changed"),
            Self::Trust(TrustError::Fingerprint { .. }) => Some("directory-fingerprint"),
            _ => None,
        }
    }
}

impl From<TransportError> for ClientError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Problem(problem) => match problem.status {
                404 => Self::NotFound(problem),
                500.. => Self::Unreachable(problem.into()),
                _ => Self::Refused(problem),
            },
            other => Self::Unreachable(other),
        }
    }
}

fn versions_up_to(version: u32) -> String {
    match version {
        0 => "a first version".to_owned(),
        n => format!("versions up to {n}"),
    }
}

fn words(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    }
}

fn list(versions: &[(u32, Option<Signer>)]) -> String {
    let one = |(version, signer): &(u32, Option<Signer>)| match signer {
        None => version.to_string(),
        Some(Signer::UpdateKey) => format!("{version} (signed with the update key)"),
        Some(Signer::RecoveryKey) => format!("{version} (signed with the RECOVERY key)"),
    };
    versions.iter().map(one).collect::<Vec<_>>().join(", ")
}
