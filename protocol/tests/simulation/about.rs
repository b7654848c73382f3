//! Who has to notice a misdeed, by which check, and by when.

use crate::misdeed::Misdeed;

/// When the draft promises that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// By whoever gets the first lying answer.
    AtOnce,
    /// By the monitoring that follows the next distinguished entry.
    NextMonitoring,
    /// With the first comparison after the next distinguished entry.
    Comparison,
    /// As soon as the head is older than `max_behind`.
    MaxBehind,
    /// As soon as the log is past the deadline of the receipt.
    Deadline,
    /// As soon as the auditor is further behind than `max_auditor_lag`.
    AuditorLag,
}

/// What is left when it has been noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aftermath {
    /// The log itself is as it should be: nobody learnt anything from the lie.
    Intact,
    /// Whoever saw the fork can never be brought back.
    Forked,
    /// The log itself is spoilt.
    Spoilt,
}

/// Who finds something, by which checks.
pub(crate) type Detection = (&'static str, &'static [&'static str]);

/// What there is to say about a misdeed.
pub(crate) struct About {
    /// Its row in `docs/attacks.md`.
    pub(crate) row: &'static str,
    pub(crate) name: &'static str,
    pub(crate) promise: Promise,
    pub(crate) aftermath: Aftermath,
    pub(crate) detections: &'static [Detection],
}

/// Roots decide most: where a proof contradicts what is retained openly the check is "consistency"
/// or "prefix-root-conflict", where it does not the signature is over another root.
const ROOT: &[&str] = &["consistency", "head-signature", "prefix-root-conflict"];
/// The same, where the whole proof is as another log would have it.
pub(crate) const FORKED: &[&str] = &[
    "consistency",
    "head-signature",
    "prefix-root-conflict",
    "timestamps-monotonic",
    "timestamps-missing",
    "timestamps-surplus",
    "prefix-proofs-missing",
    "prefix-proofs-surplus",
];
/// What is there is shown: a version that nobody has the commitment of, or a ladder that ends
/// elsewhere.
const LADDER: &[&str] = &["binary-ladder", "prefix-proof"];
const SIGNATURE: &[&str] = &["head-signature"];
const COMPARED: Detection = ("comparing users", &["compare-roots"]);
const SIGNED: &[Detection] = &[("user walking", SIGNATURE), ("searcher", SIGNATURE)];
const FORK: &[Detection] = &[("user walking", ROOT), ("searcher", ROOT), COMPARED];
const REPLACED: &[Detection] = &[
    ("owner", ROOT),
    ("contact", ROOT),
    ("searcher", ROOT),
    // The leaf also stands where a proof shows that other versions are absent.
    ("owner", &["foreign version", "prefix-proof"]),
    ("searcher", &["commitment-changed", "prefix-proof"]),
];
const STALE: &[Detection] = &[
    ("user walking", &["head-max-behind"]),
    ("searcher", &["head-max-behind"]),
];

impl Misdeed {
    pub(crate) fn about(self) -> About {
        use Aftermath::{Forked, Intact, Spoilt};
        use Promise::{AtOnce, AuditorLag, Comparison, Deadline, MaxBehind, NextMonitoring};
        let (row, name, promise, aftermath, detections): (_, _, _, _, &[Detection]) = match self {
            Self::GhostTold => (
                "A1",
                "ghost version, the owner is told",
                NextMonitoring,
                Spoilt,
                &[("owner", &["foreign version"])],
            ),
            Self::GhostDenied => (
                "A1",
                "ghost version, the owner is not told",
                NextMonitoring,
                Spoilt,
                &[("owner", LADDER), ("owner", &["unproved"])],
            ),
            Self::GhostHidden => (
                "A1",
                "ghost version in a fork, then given up",
                NextMonitoring,
                Spoilt,
                FORK,
            ),
            Self::GhostRemoved => (
                "E6",
                "ghost version, removed before the owner looks",
                NextMonitoring,
                Spoilt,
                &[("owner", LADDER), ("contact", LADDER), ("searcher", LADDER)],
            ),
            Self::GhostBeside => (
                "A1",
                "ghost version in the entry of the owner's own",
                AtOnce,
                Spoilt,
                &[("owner", LADDER)],
            ),
            Self::Reverted => (
                "A2",
                "ghost version, and the old value again",
                NextMonitoring,
                Spoilt,
                &[("owner", &["foreign version"]), ("owner", LADDER)],
            ),
            Self::ValueReplaced => (
                "A3",
                "value replaced in place, then restored",
                NextMonitoring,
                Spoilt,
                REPLACED,
            ),
            Self::ValueDuplicated => (
                "A7",
                "value replaced in place, for good",
                NextMonitoring,
                Spoilt,
                REPLACED,
            ),
            Self::VersionSkipped => (
                "A6",
                "versions skipped",
                NextMonitoring,
                Spoilt,
                &[("owner", LADDER), ("searcher", LADDER)],
            ),
            Self::GreatestWithheld => (
                "A5",
                "greatest version withheld",
                AtOnce,
                Intact,
                &[("searcher", ROOT), ("searcher", LADDER)],
            ),
            Self::LabelConfused => (
                "A9",
                "proof for another label",
                AtOnce,
                Intact,
                &[
                    ("searcher", &["vrf-proof", "prefix-proof"]),
                    ("searcher", ROOT),
                ],
            ),
            Self::ValueSwapped => (
                "A10",
                "another value or opening",
                AtOnce,
                Intact,
                &[
                    ("searcher", ROOT),
                    ("searcher", &["prefix-proof", "commitment-changed"]),
                ],
            ),
            Self::TwoViews => (
                "B1",
                "two views for two groups",
                NextMonitoring,
                Forked,
                &[COMPARED],
            ),
            Self::TwoSizes => (
                "B2",
                "two views of different sizes",
                NextMonitoring,
                Forked,
                &[COMPARED],
            ),
            Self::ForkByAddress => (
                "B3",
                "a fork for one address",
                NextMonitoring,
                Forked,
                &[("asking anonymously", &["compare-roots"])],
            ),
            Self::ForkForOne => (
                "B4",
                "a fork for one, who compares late",
                Comparison,
                Forked,
                &[COMPARED],
            ),
            Self::CredentialFromFork => (
                "B1",
                "credential from a fork",
                NextMonitoring,
                Spoilt,
                &[(
                    "credential receiver",
                    &["credential-fork", "prefix-root-conflict", "head-signature"],
                )],
            ),
            Self::DistinguishedRewritten => {
                ("B8", "distinguished entry rewritten", AtOnce, Spoilt, FORK)
            }
            Self::RolledBack => (
                "B8",
                "old backup, then new entries",
                AtOnce,
                Spoilt,
                &[
                    ("user walking", FORKED),
                    ("searcher", FORKED),
                    ("owner", FORKED),
                    ("owner", &["no answer"]),
                    ("user walking", &["last-ahead", "head-max-behind"]),
                    ("searcher", &["last-ahead", "head-max-behind"]),
                    COMPARED,
                ],
            ),
            Self::Decoy => (
                "B10",
                "another log for new users",
                AtOnce,
                Intact,
                &[("searcher", &["head-signature", "vrf-proof"])],
            ),
            Self::HeadReplayed => (
                "C1",
                "older head replayed",
                AtOnce,
                Intact,
                &[("searcher", &["head-tree-size", "head-max-behind"])],
            ),
            Self::Stalled => ("C1", "nothing new is shown", MaxBehind, Intact, STALE),
            Self::TimeStopped => (
                "C5",
                "time stands still, nothing gets distinguished",
                MaxBehind,
                Spoilt,
                STALE,
            ),
            Self::ExpiredByDate => (
                "C2",
                "head dated ahead to expire entries",
                AtOnce,
                Spoilt,
                &[
                    ("user walking", &["head-max-ahead"]),
                    ("searcher", &["head-max-ahead"]),
                ],
            ),
            Self::TimestampsBent => (
                "C3",
                "timestamps bent backwards",
                AtOnce,
                Spoilt,
                &[
                    ("user walking", &["timestamps-monotonic"]),
                    ("searcher", &["timestamps-monotonic"]),
                ],
            ),
            Self::ExpiredVersionReplaced => (
                "C10",
                "expired version replaced",
                AtOnce,
                Spoilt,
                &[("searcher", ROOT), ("searcher", &["version-expired"])],
            ),
            Self::AuditorStarved => (
                "C9",
                "auditor starved",
                AuditorLag,
                Spoilt,
                &[
                    ("user walking", &["auditor-lag"]),
                    ("searcher", &["auditor-lag"]),
                ],
            ),
            Self::UpdateDropped => (
                "C12",
                "the owner's update dropped",
                AtOnce,
                Spoilt,
                &[
                    ("owner", ROOT),
                    ("owner", LADDER),
                    ("owner", &["foreign version"]),
                ],
            ),
            Self::PromiseBroken => (
                "C11",
                "a receipt, and no version",
                Deadline,
                Spoilt,
                &[("owner", &["promise broken", "foreign version"])],
            ),
            Self::VrfKeyChanged => (
                "D1",
                "another VRF key",
                AtOnce,
                Intact,
                &[("user walking", ROOT), ("searcher", &["vrf-proof"])],
            ),
            Self::SignatureKeyChanged => ("D2", "another signature key", AtOnce, Intact, SIGNED),
            Self::ModeDowngraded => (
                "D3",
                "auditing given up",
                AtOnce,
                Intact,
                &[
                    (
                        "user walking",
                        &["head-signature", "encoding", "auditor-lag"],
                    ),
                    ("searcher", &["head-signature", "encoding", "auditor-lag"]),
                ],
            ),
            Self::ParametersLoosened => ("D4", "looser times", AtOnce, Intact, SIGNED),
            Self::SuiteChanged => (
                "D5",
                "the other cipher suite",
                AtOnce,
                Intact,
                &[("user walking", ROOT), ("searcher", &["encoding"])],
            ),
            Self::AuditorSwapped => (
                "D7",
                "another auditor",
                AtOnce,
                Intact,
                &[
                    ("user walking", &["head-signature", "auditor-signature"]),
                    ("searcher", &["head-signature", "auditor-signature"]),
                ],
            ),
            Self::OtherLogReplayed => ("D11", "heads of another log", AtOnce, Intact, SIGNED),
            // By the checks of each malformation.
            Self::Malformed => ("F1-F3", "malformed answer", AtOnce, Intact, &[]),
        };
        About {
            row,
            name,
            promise,
            aftermath,
            detections,
        }
    }
}
