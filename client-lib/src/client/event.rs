//! What a monitoring pass finds, and which of it is an alarm.

use overt_protocol::signed_value::Signer;
use overt_protocol::user::TreeState;

use crate::alarm::State;
use crate::client::{Finality, Standing};
use crate::error::{ClientError, Reason};
use crate::failure::Kept;
use crate::store::Alarm;

/// Something that a monitoring pass found.
#[derive(Debug)]
pub enum Event {
    /// Monitoring did not run for longer than the reasonable monitoring window, in milliseconds.
    Missed {
        /// Time since it last went through.
        gap: u64,
    },
    /// A label of one's own was proved at every distinguished log entry.
    Owned {
        /// The label.
        label: Vec<u8>,
        /// Its greatest version.
        version: Option<u32>,
    },
    /// Versions of a label of one's own that were sent from here, and whose answer got lost, are in
    /// the log.
    Adopted {
        /// The label.
        label: Vec<u8>,
        /// Versions.
        versions: Vec<u32>,
    },
    /// A version of a label that was sent from here is not in the log, or not yet.
    Pending {
        /// The label.
        label: Vec<u8>,
        /// The version that it should become.
        version: u32,
    },
    /// Versions of a label of one's own that this device did not make. They are in the log.
    Foreign {
        /// The label.
        label: Vec<u8>,
        /// Versions, and which key signed each, if the directory requires signatures.
        versions: Vec<(u32, Option<Signer>)>,
        /// The exchange that proves them.
        evidence: Kept,
    },
    /// What was looked up is in the log still.
    Contact {
        /// The label.
        label: Vec<u8>,
        /// Versions that are to be monitored further.
        remaining: usize,
    },
    /// A label that was looked up has a newer version than any that was seen here.
    ContactChanged {
        /// The label.
        label: Vec<u8>,
        /// The greatest version that was seen before.
        from: u32,
        /// The greatest version now.
        version: u32,
        /// By whose authority it stands.
        standing: Standing,
        /// Whether it, or one between, was signed with a recovery key.
        is_recovered: bool,
    },
    /// A credential was finally verified, or is waiting for that.
    Credential {
        /// The label.
        label: Vec<u8>,
        /// Its version.
        version: u32,
        /// Whether it is final.
        finality: Finality,
    },
    /// The directory shows strangers the same log.
    Compared {
        /// Roots in common.
        roots: usize,
    },
    /// Auditors and witnesses of the user's policy were shown the same log.
    Audited {
        /// Where those answer that agreed.
        agreed: Vec<String>,
        /// Where the others would.
        silent: Vec<String>,
    },
    /// What the directory shows to strangers could not be compared for longer than it should be.
    Uncompared {
        /// When it was last compared, or else first tried; in milliseconds since the Unix epoch.
        since: u64,
        /// What came instead.
        error: ClientError,
    },
    /// What must be monitored was not proved for longer than it should be.
    Overdue {
        /// The label; empty if it is all of them.
        label: Vec<u8>,
        /// When it was last proved, or else came to be kept; in milliseconds since the Unix epoch.
        since: u64,
        /// What came instead of proof.
        error: ClientError,
    },
    /// Something could not be checked, or does not hold.
    Failed {
        /// The label; empty if it is about the directory.
        label: Vec<u8>,
        /// Why.
        error: ClientError,
    },
}

impl Event {
    /// What it means for the person.
    pub fn state(&self) -> State {
        match self {
            Self::Missed { .. }
            | Self::Owned { .. }
            | Self::Adopted { .. }
            | Self::Pending { .. }
            | Self::Contact { .. }
            | Self::Credential { .. }
            | Self::Compared { .. }
            | Self::Audited { .. } => State::Verified,
            Self::ContactChanged { .. } => State::ContactKeyChanged,
            Self::Foreign { .. } => State::OwnKeyChanged,
            Self::Overdue { .. } | Self::Uncompared { .. } => State::Overdue,
            Self::Failed { error, .. } => State::of(error),
        }
    }

    /// The alarm that this is, if it is one. What is only a network fault is none. `now` is in
    /// milliseconds since the Unix epoch.
    pub fn alarm(&self, now: u64) -> Option<Alarm> {
        let state = self.state();
        let (detail, check, evidence) = match self {
            Self::Foreign {
                versions, evidence, ..
            } => {
                let reason = Reason::Foreign(versions.clone());
                (reason.to_string(), reason.check(), Some(evidence))
            }
            Self::Failed { error, .. } if state > State::NotCheckable => {
                let kept = match error {
                    ClientError::NotVerified { kept, .. } => Some(kept),
                    _ => None,
                };
                (error.to_string(), error.check().unwrap_or("state"), kept)
            }
            Self::ContactChanged {
                from,
                version,
                standing,
                is_recovered,
                ..
            } => {
                let how = match standing {
                    _ if *is_recovered => "RECOVERED with the recovery key",
                    Standing::Signed => "signed with the key of the version before",
                    _ => "on the directory's word alone",
                };
                let detail = format!("version {from} was the newest; now it is {version}, {how}");
                (detail, "new-version", None)
            }
            Self::Overdue { since, error, .. } => {
                // The same from pass to pass, whatever the words of the directory or the network.
                let (check, how) = match error.is_answer() {
                    true => ("refused", "the directory answers, and does not prove it"),
                    false => ("unreachable", "the directory cannot be reached"),
                };
                let detail = format!("not proved since {since} (milliseconds since 1970): {how}");
                (detail, check, None)
            }
            Self::Uncompared { since, .. } => {
                let detail = format!(
                    "not compared with what strangers are shown since {since} (milliseconds since \
                     1970): it could show other people another log"
                );
                (detail, "not-compared", None)
            }
            _ => return None,
        };
        Some(Alarm {
            code: format!("{}/{check}", state.name()),
            label: self.label().to_vec(),
            detail,
            evidence: evidence.and_then(|kept| match kept {
                Kept::At(path) => Some(path.display().to_string()),
                _ => None,
            }),
            raised_at: now,
        })
    }

    /// The label in question; empty if it is about the directory.
    pub fn label(&self) -> &[u8] {
        match self {
            Self::Missed { .. }
            | Self::Compared { .. }
            | Self::Audited { .. }
            | Self::Uncompared { .. } => &[],
            Self::Owned { label, .. }
            | Self::Adopted { label, .. }
            | Self::Pending { label, .. }
            | Self::Foreign { label, .. }
            | Self::Contact { label, .. }
            | Self::ContactChanged { label, .. }
            | Self::Credential { label, .. }
            | Self::Overdue { label, .. }
            | Self::Failed { label, .. } => label,
        }
    }
}

/// A monitoring pass.
#[derive(Debug, Default)]
pub struct Monitoring {
    /// What it found.
    pub events: Vec<Event>,
    /// The view of the log afterwards, if the directory could be reached and its head verified.
    pub tree: Option<TreeState>,
}

impl Monitoring {
    /// The gravest state among the events.
    pub fn state(&self) -> State {
        let states = self.events.iter().map(Event::state);
        states.max().unwrap_or(State::Verified)
    }
}
