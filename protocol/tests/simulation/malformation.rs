//! Answers that no encoder and no honest log makes, otherwise as they should be.

use overt_protocol::codec::Encode;
use overt_protocol::wire::*;

use crate::deed::Deed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformation {
    NoEntries,
    TooManyEntries,
    GreatestPossibleVersion,
    TimestampSurplus,
    TimestampMissing,
    PrefixProofSurplus,
    PrefixProofMissing,
    PrefixRootSurplus,
    ElementSurplus,
    ElementMissing,
    StepSurplus,
    StepMissing,
    ByteSurplus,
    ByteMissing,
    Presence,
    HeadType,
}

impl Malformation {
    const ALL: [Self; 16] = [
        Self::NoEntries,
        Self::TooManyEntries,
        Self::GreatestPossibleVersion,
        Self::TimestampSurplus,
        Self::TimestampMissing,
        Self::PrefixProofSurplus,
        Self::PrefixProofMissing,
        Self::PrefixRootSurplus,
        Self::ElementSurplus,
        Self::ElementMissing,
        Self::StepSurplus,
        Self::StepMissing,
        Self::ByteSurplus,
        Self::ByteMissing,
        Self::Presence,
        Self::HeadType,
    ];

    pub(crate) fn of(deed: &Deed) -> Self {
        Self::ALL[deed.way(Self::ALL.len() as u64) as usize]
    }

    /// The checks that may find it.
    pub(crate) fn checks(self) -> &'static [&'static str] {
        match self {
            Self::NoEntries => &["head-tree-size-range", "head-tree-size"],
            Self::TooManyEntries => &["head-tree-size-range"],
            Self::GreatestPossibleVersion => &["commitment-missing"],
            Self::TimestampSurplus => &["timestamps-surplus"],
            Self::TimestampMissing => &["timestamps-missing"],
            Self::PrefixProofSurplus => &["prefix-proofs-surplus"],
            Self::PrefixProofMissing => &["prefix-proofs-missing"],
            Self::PrefixRootSurplus => &["prefix-roots"],
            Self::ElementSurplus | Self::ElementMissing => &["inclusion"],
            Self::StepSurplus | Self::StepMissing => &["binary-ladder-steps"],
            Self::ByteSurplus | Self::ByteMissing | Self::Presence | Self::HeadType => {
                &["encoding"]
            }
        }
    }

    /// None if the answer has nothing to be spoilt.
    pub(crate) fn apply(self, answer: SearchResponse) -> Option<Vec<u8>> {
        let before = answer.to_bytes().unwrap();
        let bytes = self.spoil(answer);
        (bytes != before || self == Self::GreatestPossibleVersion).then_some(bytes)
    }

    fn spoil(self, mut answer: SearchResponse) -> Vec<u8> {
        let proof = &mut answer.search;
        match self {
            Self::NoEntries => set_size(&mut answer.full_tree_head, 0),
            Self::TooManyEntries => set_size(&mut answer.full_tree_head, u64::MAX),
            // It is one already.
            Self::GreatestPossibleVersion => {}
            Self::TimestampSurplus => proof.timestamps.extend(proof.timestamps.last().copied()),
            Self::TimestampMissing => drop(proof.timestamps.pop()),
            Self::PrefixProofSurplus => proof
                .prefix_proofs
                .extend(proof.prefix_proofs.last().cloned()),
            Self::PrefixProofMissing => drop(proof.prefix_proofs.pop()),
            Self::PrefixRootSurplus => proof.prefix_roots.push([7; 32]),
            Self::ElementSurplus => proof.inclusion.elements.push([7; 32]),
            Self::ElementMissing => drop(proof.inclusion.elements.pop()),
            Self::StepSurplus => answer
                .binary_ladder
                .extend(answer.binary_ladder.last().cloned()),
            Self::StepMissing => drop(answer.binary_ladder.pop()),
            Self::ByteSurplus | Self::ByteMissing | Self::Presence | Self::HeadType => {}
        }
        let mut bytes = answer.to_bytes().unwrap();
        match self {
            Self::ByteSurplus => bytes.push(0),
            Self::ByteMissing => drop(bytes.pop()),
            Self::Presence => bytes[first_presence(&answer)] = 2,
            Self::HeadType => bytes[0] = 3,
            _ => {}
        }
        bytes
    }
}

/// Where the first ladder step says whether it has a commitment.
fn first_presence(answer: &SearchResponse) -> usize {
    let head = answer.full_tree_head.to_bytes().unwrap().len();
    let value = answer.value.to_bytes().unwrap().len();
    let version = answer.version.map_or(0, |_| 4);
    let count = 1;
    head + version + answer.opening.len() + value + count + answer.binary_ladder[0].proof.len()
}

fn set_size(head: &mut FullTreeHead, size: u64) {
    if let FullTreeHead::Updated { tree_head, .. } = head {
        tree_head.tree_size = size;
    }
}
