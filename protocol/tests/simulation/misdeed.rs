//! What a dishonest log does. `docs/attacks.md` names these.

/// One misdeed, done to the label that user 0 owns, or to the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// A version that its owner did not make; the owner is told of it.
    GhostTold,
    /// The same, but the owner is told nothing.
    GhostDenied,
    /// A version that all but the owner are shown for a while, in a fork that is then given up.
    GhostHidden,
    /// A version that stands in the log for a while and is then taken out of it again.
    GhostRemoved,
    /// A second version beside one that the owner's device makes, in the same log entry.
    GhostBeside,
    /// A version that the owner did not make, and one after it with the value from before.
    Reverted,
    /// A commitment overwritten, and restored some log entries later.
    ValueReplaced,
    /// A commitment overwritten for good.
    ValueDuplicated,
    /// Version numbers skipped.
    VersionSkipped,
    /// A searcher who must know better gets an older version as the greatest.
    GreatestWithheld,
    /// The proof for another label.
    LabelConfused,
    /// Another value or opening beside the right proof.
    ValueSwapped,
    /// Half of the users are shown a fork, for ever.
    TwoViews,
    /// The same, and the fork has more log entries.
    TwoSizes,
    /// One user is shown a fork, for ever; whoever asks without a name is not.
    ForkByAddress,
    /// One user is shown a fork, for ever, and compares with others late.
    ForkForOne,
    /// A user of one half sends a credential to one of the other.
    CredentialFromFork,
    /// A distinguished entry with another content, and all after it rebuilt.
    DistinguishedRewritten,
    /// The last log entries lost, and others made in their place.
    RolledBack,
    /// New users meet another log.
    Decoy,
    /// An older head.
    HeadReplayed,
    /// Nothing new is shown any more.
    Stalled,
    /// The log grows, but its time stands still.
    TimeStopped,
    /// A head dated so far ahead that older entries are expired.
    ExpiredByDate,
    /// A log entry dated before those to its left.
    TimestampsBent,
    /// A new value of an old version, all of whose log entries have expired.
    ExpiredVersionReplaced,
    /// The auditor gets nothing any more; its last head is served on.
    AuditorStarved,
    /// What the owner's device made is dropped, or something else stands in its place.
    UpdateDropped,
    /// A receipt is given for what the owner's device made, and it is never there.
    PromiseBroken,
    /// Another VRF key.
    VrfKeyChanged,
    /// Another signature key.
    SignatureKeyChanged,
    /// Third-Party Auditing is given up.
    ModeDowngraded,
    /// Looser times.
    ParametersLoosened,
    /// The other cipher suite.
    SuiteChanged,
    /// Another auditor.
    AuditorSwapped,
    /// The heads of another log of the same keys.
    OtherLogReplayed,
    /// An answer that no encoder and no honest log makes.
    Malformed,
}

impl Misdeed {
    pub(crate) const ALL: [Self; 37] = [
        Self::GhostTold,
        Self::GhostDenied,
        Self::GhostHidden,
        Self::GhostRemoved,
        Self::GhostBeside,
        Self::Reverted,
        Self::ValueReplaced,
        Self::ValueDuplicated,
        Self::VersionSkipped,
        Self::GreatestWithheld,
        Self::LabelConfused,
        Self::ValueSwapped,
        Self::TwoViews,
        Self::TwoSizes,
        Self::ForkByAddress,
        Self::ForkForOne,
        Self::CredentialFromFork,
        Self::DistinguishedRewritten,
        Self::RolledBack,
        Self::Decoy,
        Self::HeadReplayed,
        Self::Stalled,
        Self::TimeStopped,
        Self::ExpiredByDate,
        Self::TimestampsBent,
        Self::ExpiredVersionReplaced,
        Self::AuditorStarved,
        Self::UpdateDropped,
        Self::PromiseBroken,
        Self::VrfKeyChanged,
        Self::SignatureKeyChanged,
        Self::ModeDowngraded,
        Self::ParametersLoosened,
        Self::SuiteChanged,
        Self::AuditorSwapped,
        Self::OtherLogReplayed,
        Self::Malformed,
    ];

    /// Whether a log of another configuration, or with other keys, takes the place of the log.
    pub(crate) fn is_impostor(self) -> bool {
        matches!(
            self,
            Self::Decoy
                | Self::VrfKeyChanged
                | Self::SignatureKeyChanged
                | Self::ModeDowngraded
                | Self::ParametersLoosened
                | Self::SuiteChanged
                | Self::AuditorSwapped
                | Self::OtherLogReplayed
        )
    }

    /// Whether it is done when the owner's device makes a version.
    pub(crate) fn is_about_an_update(self) -> bool {
        matches!(self, Self::GhostBeside | Self::UpdateDropped)
    }

    /// Whether it harms nobody who does not happen to look.
    pub(crate) fn may_pass(self) -> bool {
        matches!(
            self,
            Self::GhostHidden | Self::GhostRemoved | Self::ValueReplaced | Self::CredentialFromFork
        )
    }
}
