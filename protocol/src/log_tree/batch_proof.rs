//! The batch proof that merges inclusion and consistency (section "Log Tree" of "Tree Proofs").
//!
//! [`BatchProof::plan`] decides, from sizes and positions alone, which nodes a proof holds and how
//! the root is computed from them. The prover looks up the nodes of the plan; the verifier
//! executes the same plan.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::log_tree::{Subtree, full_subtrees, parent_value};
use crate::wire::HashValue;

/// One step of computing a root, for a stack of (value, size).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Push the next element of the proof.
    Element(Subtree),
    /// Push a value that the user retained.
    Retained(Subtree),
    /// Push the value of a leaf that the proof is about.
    Leaf(u64),
    /// Replace the two topmost values by their parent, which heads this subtree if it is balanced.
    Parent(Option<Subtree>),
    /// The topmost value must be the one retained for this subtree, which the proof recomputes.
    Check(Subtree),
}

/// What a batch proof is made of, and how it is evaluated.
#[derive(Debug, Clone)]
pub struct BatchProof {
    steps: Vec<Step>,
    size: u64,
    auditor_size: Option<u64>,
}

/// Why a batch proof is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchProofError {
    /// `elements` has too few or too many values.
    #[error("the inclusion proof has {found} elements, expected {expected}")]
    Elements {
        /// In the proof.
        found: usize,
        /// By the plan.
        expected: usize,
    },
    /// A subtree that the user retained now has another value: the log is not an extension of what
    /// was seen before.
    #[error(
        "the retained head of the subtree at leaves {start}..{end} is not the one that the proof computes"
    )]
    Retained {
        /// First leaf.
        start: u64,
        /// One past the last leaf.
        end: u64,
    },
    /// The caller did not provide a value that the plan needs.
    #[error("a leaf or retained value is missing")]
    Missing,
}

/// What evaluating a batch proof shows.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// Root of the log tree.
    pub root: HashValue,
    /// Heads of its full subtrees, left to right.
    pub full_subtrees: Vec<HashValue>,
    /// Root of the log tree at the auditor's size.
    pub auditor_root: Option<HashValue>,
    /// Every balanced subtree whose head the evaluation computed or was given.
    pub heads: BTreeMap<Subtree, HashValue>,
}

impl BatchProof {
    /// Plans the proof of `leaves` (ascending) in a log of `size` leaves, for a user who retained
    /// the full subtrees at `last`, so that the root at `auditor_size` can be computed too.
    pub fn plan(size: u64, leaves: &[u64], last: Option<u64>, auditor_size: Option<u64>) -> Self {
        let retained = last.map(full_subtrees).unwrap_or_default();
        let mut planner = Planner {
            leaves,
            retained: &retained,
            last,
            auditor_size,
            steps: Vec::new(),
        };
        // The root is what remains of the full subtrees, folded from the right.
        let trees = full_subtrees(size);
        for tree in &trees {
            planner.visit(*tree);
        }
        for _ in 1..trees.len() {
            planner.steps.push(Step::Parent(None));
        }
        Self {
            steps: planner.steps,
            size,
            auditor_size,
        }
    }

    /// The nodes whose values are the proof's elements, in order.
    pub fn elements(&self) -> impl Iterator<Item = Subtree> + '_ {
        self.steps.iter().filter_map(|step| match step {
            Step::Element(subtree) => Some(*subtree),
            _ => None,
        })
    }

    /// Evaluates a proof. `leaf` gives the value of each leaf that the proof is about, `retained`
    /// that of each full subtree of the previously seen tree.
    pub fn evaluate(
        &self,
        elements: &[HashValue],
        leaf: impl Fn(u64) -> Option<HashValue>,
        retained: impl Fn(Subtree) -> Option<HashValue>,
    ) -> Result<Evaluated, BatchProofError> {
        let expected = self.elements().count();
        if elements.len() != expected {
            return Err(BatchProofError::Elements {
                found: elements.len(),
                expected,
            });
        }
        let mut elements = elements.iter();
        let mut heads = BTreeMap::new();
        let mut stack: Vec<(HashValue, u64)> = Vec::new();
        for step in &self.steps {
            let missing = BatchProofError::Missing;
            match *step {
                Step::Element(subtree) => {
                    let value = *elements.next().ok_or(missing)?;
                    heads.insert(subtree, value);
                    stack.push((value, subtree.size()));
                }
                Step::Retained(subtree) => {
                    let value = retained(subtree).ok_or(missing)?;
                    heads.insert(subtree, value);
                    stack.push((value, subtree.size()));
                }
                Step::Leaf(position) => {
                    let value = leaf(position).ok_or(missing)?;
                    heads.insert(Subtree::leaf(position), value);
                    stack.push((value, 1));
                }
                Step::Parent(subtree) => {
                    let (right, right_size) = stack.pop().ok_or(missing)?;
                    let (left, left_size) = stack.pop().ok_or(missing)?;
                    let value = parent_value(&left, left_size, &right, right_size);
                    if let Some(subtree) = subtree {
                        heads.insert(subtree, value);
                    }
                    stack.push((value, left_size.saturating_add(right_size)));
                }
                Step::Check(subtree) => {
                    let (value, _) = stack.last().ok_or(missing)?;
                    if retained(subtree).ok_or(missing)? != *value {
                        return Err(BatchProofError::Retained {
                            start: subtree.start(),
                            end: subtree.start().saturating_add(subtree.size()),
                        });
                    }
                }
            }
        }
        let pick = |size: u64| -> Option<Vec<HashValue>> {
            full_subtrees(size)
                .iter()
                .map(|t| heads.get(t).copied())
                .collect()
        };
        let full = pick(self.size).ok_or(BatchProofError::Missing)?;
        let auditor_root = self
            .auditor_size
            .map(|size| {
                pick(size)
                    .and_then(|values| root_of_full_subtrees(size, &values))
                    .ok_or(BatchProofError::Missing)
            })
            .transpose()?;
        Ok(Evaluated {
            root: stack.pop().ok_or(BatchProofError::Missing)?.0,
            full_subtrees: full,
            auditor_root,
            heads,
        })
    }
}

/// The root of a log of `size` leaves from the heads of its full subtrees, left to right. None if
/// their number is wrong or the log is empty.
pub fn root_of_full_subtrees(size: u64, values: &[HashValue]) -> Option<HashValue> {
    let trees = full_subtrees(size);
    if trees.len() != values.len() {
        return None;
    }
    let mut from_right = trees.iter().zip(values).rev();
    let (tree, value) = from_right.next()?;
    let folded = from_right.fold(
        (*value, tree.size()),
        |(right, right_size), (tree, left)| {
            (
                parent_value(left, tree.size(), &right, right_size),
                tree.size().saturating_add(right_size),
            )
        },
    );
    Some(folded.0)
}

struct Planner<'a> {
    leaves: &'a [u64],
    retained: &'a [Subtree],
    last: Option<u64>,
    auditor_size: Option<u64>,
    steps: Vec<Step>,
}

impl Planner<'_> {
    fn visit(&mut self, node: Subtree) {
        let start = node.start();
        let end = start.saturating_add(node.size());
        let first = self.leaves.partition_point(|x| *x < start);
        let has_leaves = self.leaves.get(first).is_some_and(|x| *x < end);
        let cut = |size: Option<u64>| size.is_some_and(|n| start < n && n < end);
        let is_retained = self.retained.contains(&node);

        if has_leaves && node.level == 0 {
            self.steps.push(Step::Leaf(start));
        } else if !has_leaves && !cut(self.auditor_size) && is_retained {
            self.steps.push(Step::Retained(node));
            return;
        } else if !has_leaves && !cut(self.auditor_size) && !cut(self.last) {
            self.steps.push(Step::Element(node));
            return;
        } else if let Some((left, right)) = node.children() {
            self.visit(left);
            self.visit(right);
            self.steps.push(Step::Parent(Some(node)));
        }
        if is_retained {
            self.steps.push(Step::Check(node));
        }
    }
}
