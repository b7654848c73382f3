//! `FullTreeHead` and `AuditorTreeHead` (sections "Full Tree Head Verification" and "Auditor Tree
//! Head Signature"), and what is common to every response.

use crate::codec::Encode;
use crate::combined::{Inspected, View};
use crate::error::VerifyError;
use crate::implicit_tree::frontier;
use crate::log_tree::{
    BatchProof, BatchProofError, Evaluated, full_subtrees, leaf_value, root_of_full_subtrees,
};
use crate::user::consume::{Consumer, Known};
use crate::user::state::{TreeState, TreeView};
use crate::user::{Verifier, check_last};
use crate::wire::{
    AuditorTreeHead, AuditorTreeHeadTbs, CombinedTreeProof, DeploymentMode, FullTreeHead,
    HashValue, LogEntry, TreeHead, TreeHeadTbs,
};

/// A verified head with what the proof showed on the way.
pub(crate) struct Verified {
    pub(crate) state: TreeState,
    pub(crate) inspected: Inspected,
    pub(crate) evaluated: Evaluated,
}

/// The head that a proof has to lead to.
enum Head<'a> {
    Same(&'a TreeState),
    Updated(&'a TreeHead),
}

impl Head<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Same(state) => state.tree_size(),
            Self::Updated(head) => head.tree_size,
        }
    }
}

impl Verified {
    /// What to retain of a log entry that was inspected, as the rightmost of its time.
    pub(crate) fn view_at(&self, position: u64) -> Result<TreeView, VerifyError> {
        view(position.saturating_add(1), &self.inspected, &self.evaluated)
    }
}

impl Verifier {
    /// Verifies the part that all responses have: updates the view, runs `algorithm`, and checks
    /// that the proof is used up exactly and leads to the head.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn run<'a, T>(
        &'a self,
        state: Option<&TreeState>,
        last: Option<u64>,
        head: &FullTreeHead,
        proof: &'a CombinedTreeProof,
        known: &'a Known,
        now: u64,
        algorithm: impl FnOnce(&mut View<'a, Consumer<'a>>) -> Result<T, VerifyError>,
    ) -> Result<(T, Verified), VerifyError> {
        check_last(state, last)?;
        let from = state.map(|state| &state.view);
        let (head, auditor) = match (head, state) {
            (FullTreeHead::Same, None) => return Err(VerifyError::SameWithoutLast),
            (FullTreeHead::Same, Some(state)) => (Head::Same(state), None),
            (
                FullTreeHead::Updated {
                    tree_head,
                    auditor_tree_head,
                },
                _,
            ) => {
                check_size(tree_head.tree_size, from)?;
                (Head::Updated(tree_head), auditor_tree_head.as_ref())
            }
        };
        let (result, mut inspected) = self.inspect(from, head.size(), proof, known, algorithm)?;
        if let Some(auditor) = auditor {
            self.check_auditor_view(auditor, state, &inspected)?;
        }
        let evaluated = evaluate(&mut inspected, proof, from, auditor.map(|a| a.tree_size))?;
        let (tree_head, auditor_tree_head) = match head {
            Head::Same(state) => (state.tree_head.clone(), state.auditor_tree_head.clone()),
            Head::Updated(tree_head) => {
                self.check_signature(tree_head, evaluated.root)?;
                if let (Some(auditor), Some(root)) = (auditor, evaluated.auditor_root) {
                    self.check_auditor_signature(auditor, root)?;
                }
                (tree_head.clone(), auditor.cloned())
            }
        };
        self.check_clock(inspected.rightmost, now)?;
        let state = TreeState {
            tree_head,
            auditor_tree_head,
            view: view(inspected.size, &inspected, &evaluated)?,
        };
        let verified = Verified {
            state,
            inspected,
            evaluated,
        };
        Ok((result, verified))
    }

    /// Updates the view `from` to `size` and runs `algorithm`, with what `proof` provides: all of
    /// its timestamps and prefix proofs.
    pub(crate) fn inspect<'a, T>(
        &'a self,
        from: Option<&TreeView>,
        size: u64,
        proof: &'a CombinedTreeProof,
        known: &'a Known,
        algorithm: impl FnOnce(&mut View<'a, Consumer<'a>>) -> Result<T, VerifyError>,
    ) -> Result<(T, Inspected), VerifyError> {
        let retained = from.map(|view| view.frontier.as_slice());
        let last = from.map(|view| view.size);
        let consumer = Consumer::new(proof, known);
        let mut view = View::update(
            &self.config,
            consumer,
            size,
            last,
            retained.unwrap_or_default(),
        )?;
        let result = algorithm(&mut view)?;
        let (inspected, consumer) = view.finish();
        consumer.finish()?;
        Ok((result, inspected))
    }

    pub(crate) fn check_signature(
        &self,
        head: &TreeHead,
        root: HashValue,
    ) -> Result<(), VerifyError> {
        let tbs = TreeHeadTbs {
            config: &self.config,
            tree_size: head.tree_size,
            root,
        };
        self.signature_key
            .verify(&tbs.to_bytes()?, &head.signature)
            .map_err(VerifyError::TreeHeadSignature)
    }

    /// Bounds on the rightmost timestamp against the user's clock, in milliseconds.
    pub(crate) fn check_clock(&self, rightmost: u64, now: u64) -> Result<(), VerifyError> {
        if !self.has_clock {
            return Ok(());
        }
        let limit = self.config.max_ahead;
        let by = rightmost.saturating_sub(now);
        if by > limit {
            return Err(VerifyError::ClockAhead { by, limit });
        }
        let limit = self.config.max_behind;
        let by = now.saturating_sub(rightmost);
        if by > limit {
            return Err(VerifyError::ClockBehind { by, limit });
        }
        Ok(())
    }

    /// Steps 1 to 3 for an `AuditorTreeHead`.
    fn check_auditor_view(
        &self,
        auditor: &AuditorTreeHead,
        state: Option<&TreeState>,
        inspected: &Inspected,
    ) -> Result<(), VerifyError> {
        let DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag,
            auditor_start_pos,
            ..
        } = self.config.mode
        else {
            return Ok(());
        };
        let seen = state
            .and_then(|s| s.auditor_tree_head.as_ref())
            .map(|a| a.tree_size);
        if let Some(seen) = seen.filter(|seen| *seen < auditor_start_pos) {
            let start = auditor_start_pos;
            return Err(VerifyError::AuditorStart { start, seen });
        }
        let lag = inspected.rightmost.checked_sub(auditor.timestamp);
        if lag.is_none_or(|lag| lag > max_auditor_lag) {
            return Err(VerifyError::AuditorLag {
                auditor: auditor.timestamp,
                rightmost: inspected.rightmost,
                limit: max_auditor_lag,
            });
        }
        if auditor.tree_size == 0 || auditor.tree_size > inspected.size {
            return Err(VerifyError::AuditorTreeSize {
                auditor: auditor.tree_size,
                size: inspected.size,
            });
        }
        Ok(())
    }

    /// Step 4 for an `AuditorTreeHead`.
    fn check_auditor_signature(
        &self,
        auditor: &AuditorTreeHead,
        root: HashValue,
    ) -> Result<(), VerifyError> {
        let tbs = AuditorTreeHeadTbs {
            config: &self.config,
            timestamp: auditor.timestamp,
            tree_size: auditor.tree_size,
            root,
        };
        match &self.auditor_key {
            None => Ok(()),
            Some(key) => key
                .verify(&tbs.to_bytes()?, &auditor.signature)
                .map_err(VerifyError::AuditorSignature),
        }
    }
}

/// A new head must be of a larger tree than the one that was advertised.
pub(crate) fn check_size(size: u64, from: Option<&TreeView>) -> Result<(), VerifyError> {
    match from.map(|view| view.size).filter(|last| size <= *last) {
        Some(last) => Err(VerifyError::TreeSize { size, last }),
        None => Ok(()),
    }
}

/// Consumes `prefix_roots` and `inclusion`: the candidate root of the log tree.
pub(crate) fn evaluate(
    inspected: &mut Inspected,
    proof: &CombinedTreeProof,
    from: Option<&TreeView>,
    auditor_size: Option<u64>,
) -> Result<Evaluated, VerifyError> {
    let without_root = inspected.without_root();
    if without_root.len() != proof.prefix_roots.len() {
        return Err(VerifyError::PrefixRoots {
            found: proof.prefix_roots.len(),
            expected: without_root.len(),
        });
    }
    let roots = proof.prefix_roots.iter().copied();
    inspected
        .prefix_roots
        .extend(without_root.into_iter().zip(roots));

    let plan = BatchProof::plan(
        inspected.size,
        &inspected.proved,
        inspected.last,
        auditor_size,
    );
    let retained_trees = inspected.last.map(full_subtrees).unwrap_or_default();
    let retained_values = from
        .map(|view| view.full_subtrees.as_slice())
        .unwrap_or_default();
    let evaluated = plan.evaluate(
        &proof.inclusion.elements,
        |position| {
            inspected
                .log_entry(position)
                .map(|entry| leaf_value(&entry))
        },
        |subtree| {
            let index = retained_trees.iter().position(|t| *t == subtree)?;
            retained_values.get(index).copied()
        },
    )?;
    Ok(evaluated)
}

/// What to retain of the log tree at `size`: the new size, or that at which an inspected entry was
/// the rightmost. The heads to the left of a leaf that was proved are part of its proof.
pub(crate) fn view(
    size: u64,
    inspected: &Inspected,
    evaluated: &Evaluated,
) -> Result<TreeView, VerifyError> {
    let missing = VerifyError::Inclusion(BatchProofError::Missing);
    let full_subtrees: Option<Vec<HashValue>> = full_subtrees(size)
        .iter()
        .map(|subtree| evaluated.heads.get(subtree).copied())
        .collect();
    let full_subtrees = full_subtrees.ok_or(missing.clone())?;
    let frontier: Option<Vec<(u64, LogEntry)>> = frontier(size)
        .map(|position| Some((position, inspected.log_entry(position)?)))
        .collect();
    Ok(TreeView {
        size,
        root: root_of_full_subtrees(size, &full_subtrees).ok_or(missing.clone())?,
        full_subtrees,
        frontier: frontier.ok_or(missing)?,
    })
}
