//! What a dishonest log does, and by when somebody has to notice.

/// One misdeed, done to the label that user 0 owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// A version that its owner did not make; the owner is told of it.
    GhostTold,
    /// The same, but the owner is told nothing.
    GhostDenied,
    /// A version that all but the owner are shown for a while, in a fork that is then given up.
    GhostHidden,
    /// A commitment overwritten, and restored some log entries later.
    ValueReplaced,
    /// A version number skipped.
    VersionSkipped,
    /// A searcher who must know better gets an older version as the greatest.
    GreatestWithheld,
    /// An older head.
    HeadReplayed,
    /// A log entry dated before those to its left.
    TimestampsBent,
    /// A distinguished entry with another content, and all after it rebuilt.
    DistinguishedRewritten,
    /// Half of the users are shown a fork, for ever.
    TwoViews,
    /// A user of one half sends a credential to one of the other.
    CredentialFromFork,
    /// A new value of an old version, all of whose log entries have expired.
    ExpiredVersionReplaced,
    /// A head dated so far ahead that older entries are expired.
    ExpiredByDate,
}

/// When the draft promises that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// By whoever gets the first lying answer.
    AtOnce,
    /// By the monitoring that follows the next distinguished entry.
    NextMonitoring,
}

impl Misdeed {
    pub(crate) const ALL: [Self; 13] = [
        Self::GhostTold,
        Self::GhostDenied,
        Self::GhostHidden,
        Self::ValueReplaced,
        Self::VersionSkipped,
        Self::GreatestWithheld,
        Self::HeadReplayed,
        Self::TimestampsBent,
        Self::DistinguishedRewritten,
        Self::TwoViews,
        Self::CredentialFromFork,
        Self::ExpiredVersionReplaced,
        Self::ExpiredByDate,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GhostTold => "ghost version added, the owner is told",
            Self::GhostDenied => "ghost version added, the owner is not told",
            Self::GhostHidden => "ghost version in a fork, then given up",
            Self::ValueReplaced => "value replaced in place, then restored",
            Self::VersionSkipped => "version skipped",
            Self::GreatestWithheld => "greatest version withheld",
            Self::HeadReplayed => "older head replayed",
            Self::TimestampsBent => "timestamps bent backwards",
            Self::DistinguishedRewritten => "distinguished entry rewritten",
            Self::TwoViews => "two views for two groups",
            Self::CredentialFromFork => "credential from a fork",
            Self::ExpiredVersionReplaced => "expired version replaced",
            Self::ExpiredByDate => "head dated ahead to expire entries",
        }
    }

    pub(crate) fn promise(self) -> Promise {
        match self {
            Self::GreatestWithheld
            | Self::HeadReplayed
            | Self::TimestampsBent
            | Self::DistinguishedRewritten
            | Self::ExpiredVersionReplaced
            | Self::ExpiredByDate => Promise::AtOnce,
            _ => Promise::NextMonitoring,
        }
    }

    /// Who finds it, by which check. Roots decide most: where a proof contradicts what is retained
    /// openly the check is "consistency" or "prefix-root-conflict", where it does not the signature
    /// is over another root, and "head-signature" fails.
    pub(crate) fn detections(self) -> &'static [(&'static str, &'static [&'static str])] {
        const ROOT: &[&str] = &["consistency", "head-signature", "prefix-root-conflict"];
        // What is there is shown: a version that nobody has the commitment of.
        const LADDER: &[&str] = &["binary-ladder", "prefix-proof"];
        match self {
            Self::GhostTold => &[("owner", &["foreign version"])],
            Self::GhostDenied => &[("owner", LADDER), ("owner", &["unproved"])],
            Self::GhostHidden => &[
                ("user walking", ROOT),
                ("searcher", ROOT),
                ("comparing users", &["compare-roots"]),
            ],
            Self::ValueReplaced => &[
                ("owner", ROOT),
                ("contact", ROOT),
                ("searcher", ROOT),
                // The leaf also stands where a proof shows that other versions are absent.
                ("owner", &["foreign version", "prefix-proof"]),
                ("searcher", &["commitment-changed", "prefix-proof"]),
            ],
            Self::VersionSkipped => &[("owner", LADDER), ("searcher", LADDER)],
            Self::GreatestWithheld => &[("searcher", ROOT), ("searcher", LADDER)],
            Self::HeadReplayed => &[("searcher", &["head-tree-size", "head-max-behind"])],
            Self::TimestampsBent => &[
                ("user walking", &["timestamps-monotonic"]),
                ("searcher", &["timestamps-monotonic"]),
            ],
            Self::DistinguishedRewritten => &[
                ("user walking", ROOT),
                ("searcher", ROOT),
                ("comparing users", &["compare-roots"]),
            ],
            Self::TwoViews => &[("comparing users", &["compare-roots"])],
            Self::CredentialFromFork => &[(
                "credential receiver",
                &["credential-fork", "prefix-root-conflict", "head-signature"],
            )],
            Self::ExpiredVersionReplaced => {
                &[("searcher", ROOT), ("searcher", &["version-expired"])]
            }
            Self::ExpiredByDate => &[
                ("user walking", &["head-max-ahead"]),
                ("searcher", &["head-max-ahead"]),
            ],
        }
    }

    pub(crate) fn needs_lifetime(self) -> bool {
        matches!(self, Self::ExpiredVersionReplaced | Self::ExpiredByDate)
    }
}
