//! What monitoring means for a person: states that can be told apart, and what to do about each.

use overt_protocol::error::VerifyError;

use crate::error::{ClientError, Reason};
use crate::trust::TrustError;

/// The states, from the best to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Everything was checked and holds.
    Verified,
    /// Nothing wrong was seen, but the directory did not answer or declined.
    NotCheckable,
    /// The directory answers, and does not prove what it should be able to prove by now.
    Overdue,
    /// The directory's time and this device's are too far apart.
    Clock,
    /// A contact's key is not the one that was seen before.
    ContactKeyChanged,
    /// A label of one's own has a version that this device did not make.
    OwnKeyChanged,
    /// An answer does not verify.
    InvalidProof,
    /// Signed statements of the directory that cannot all be true.
    Lied,
    /// What is remembered here is damaged or gone.
    StateLost,
}

impl State {
    /// What an error means.
    pub fn of(error: &ClientError) -> Self {
        match error {
            ClientError::NotVerified { reason, .. } => Self::of_reason(reason),
            ClientError::Foreign { .. } => Self::OwnKeyChanged,
            ClientError::Trust(TrustError::Changed { .. } | TrustError::Fingerprint { .. }) => {
                Self::InvalidProof
            }
            ClientError::Store(error) if error.is_lost() => Self::StateLost,
            _ => Self::NotCheckable,
        }
    }

    fn of_reason(reason: &Reason) -> Self {
        match reason {
            Reason::Protocol(VerifyError::ClockAhead { .. } | VerifyError::ClockBehind { .. }) => {
                Self::Clock
            }
            Reason::Unproved(_) | Reason::CredentialUnproved { .. } => Self::Overdue,
            Reason::Foreign(_) => Self::OwnKeyChanged,
            // Proved to be in the log, and not what the log may hold.
            Reason::Forked { .. }
            | Reason::Split
            | Reason::Evidence(_)
            | Reason::SignedValue { .. }
            | Reason::PromiseBroken { .. } => Self::Lied,
            _ => Self::InvalidProof,
        }
    }

    /// A stable name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::NotCheckable => "not-checkable",
            Self::Overdue => "overdue",
            Self::Clock => "clock",
            Self::ContactKeyChanged => "contact-key-changed",
            Self::OwnKeyChanged => "own-key-changed",
            Self::InvalidProof => "invalid-proof",
            Self::Lied => "lied",
            Self::StateLost => "state-lost",
        }
    }

    /// What it means and what to do now, in one paragraph.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Verified => "Everything was checked and holds.",
            Self::NotCheckable => {
                "The directory could not be reached or declined, so nothing could be checked now. \
                 This is usually the network. Nothing is wrong with what was checked before; it will \
                 be checked when the directory answers again."
            }
            Self::Overdue => {
                "The directory answers but does not prove what it should be able to prove by now. \
                 A fault is possible; so is that it hides a change of your key. Do not rely on keys \
                 from it until this is resolved, and ask its operator, with the kept evidence."
            }
            Self::Clock => {
                "The directory's time and this device's are too far apart. Check this device's clock. \
                 If it is right, the directory shows an old or a made-up state: keep the evidence and \
                 ask its operator."
            }
            Self::ContactKeyChanged => {
                "A contact's key is not the one that you saw before. People get new devices; compare \
                 the verification code with your contact over another channel before you rely on it."
            }
            Self::OwnKeyChanged => {
                "Your label has a key that this device did not publish. If you did this on another \
                 device, accept it (overt alarms accept). If not, somebody else can read what is sent \
                 to you: warn your contacts over another channel, recover the label with its recovery \
                 phrase (overt keys recover), and keep the evidence."
            }
            Self::InvalidProof => {
                "An answer of the directory does not verify. This may be a fault, or an attack by the \
                 directory or on the way to it. Nothing was learnt from it. Do not rely on keys that \
                 you cannot verify, and keep the evidence."
            }
            Self::Lied => {
                "The directory signed statements that cannot all be true. This is proof of \
                 misbehaviour that anybody can check. Stop relying on it, warn your contacts, and give \
                 the evidence to an auditor of your choice."
            }
            Self::StateLost => {
                "What was remembered here of the directory is damaged or gone. It is not started anew \
                 in silence, because a client that forgot what it saw can be shown another history. \
                 Restore it from a backup, or remove it yourself and compare the codes of your \
                 contacts again."
            }
        }
    }
}
