//! A second verifier of `AuditorUpdate`s, written from the draft's text alone and as simple as can
//! be, agrees with `overt_protocol::auditor` on everything that logs give, rightly or not.
//!
//! An auditor in use once accepted proofs that rewrote a leaf whose label was a prefix of one that was
//! inserted: one verifier alone does not notice what its author did not think of.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs
)]

mod corpus;
mod verifier;

use std::collections::HashMap;

use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::prefix_tree::evaluate_changes;
use overt_protocol::wire::{AuditorUpdate, Configuration, HashValue};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use corpus::{Shape, mutate};
use verifier::{SecondAuditor, shown_root};

/// Both auditors, at one place in a log.
#[derive(Clone)]
struct Both {
    config: Configuration,
    first: AuditorState,
    second: SecondAuditor,
    /// Where keys were added: what the first auditor's store remembers.
    added: HashMap<HashValue, u64>,
}

impl Both {
    fn new(config: &Configuration) -> Self {
        Self {
            config: config.clone(),
            first: AuditorState::empty(),
            second: SecondAuditor::new(
                config.reasonable_monitoring_window,
                config.maximum_lifetime.is_some(),
            ),
            added: HashMap::new(),
        }
    }

    /// What both say of an update: whether it is accepted, which must be the same, and with the same
    /// trees.
    fn judge(&self, update: &AuditorUpdate) -> Option<(AuditorState, SecondAuditor)> {
        let first = self.first.apply(&self.config, update, |key, position| {
            let added = self.added.get(key).copied();
            Ok::<_, AuditError>(added.is_none_or(|added| Some(added) > position))
        });
        match (first, self.second.apply(update)) {
            (Ok(first), Some(second)) => {
                assert_eq!(first.prefix_root, second.prefix_root, "{update:?}");
                assert_eq!(first.root(), Some(second.log_root()), "{update:?}");
                Some((first, second))
            }
            (Err(_), None) => None,
            (first, second) => panic!(
                "the first says {first:?}, the second {}: {update:?}",
                second.is_some()
            ),
        }
    }

    /// The same, if the tree before had been what either auditor takes it for. So whatever is wrong
    /// with the rest is not hidden by a root that differs.
    fn judge_after_any_tree(&self, update: &AuditorUpdate) -> bool {
        let by_first = evaluate_changes(&update.added, &update.removed, &update.proof);
        let roots = [by_first.ok().map(|(before, _)| before), shown_root(update)];
        let mut accepted = false;
        for root in roots.into_iter().flatten() {
            let mut elsewhere = self.clone();
            elsewhere.first.prefix_root = root;
            elsewhere.second.prefix_root = root;
            accepted |= elsewhere.judge(update).is_some();
        }
        accepted
    }

    fn follow(&mut self, update: &AuditorUpdate) {
        (self.first, self.second) = self.judge(update).expect("an honest update");
        let position = self.first.size - 1;
        self.added
            .extend(update.added.iter().map(|leaf| (leaf.vrf_output, position)));
    }
}

/// Judges every update of logs of a shape, and many that are nearly so. Returns how many of these
/// were accepted, and refused.
fn compare(shape: Shape, logs: u64) -> [usize; 2] {
    let mut counts = [0; 2];
    for seed in 0..logs {
        let mut random = StdRng::seed_from_u64(seed);
        let (config, updates) = shape.log(&mut random);
        let mut both = Both::new(&config);
        for (position, update) in updates.iter().enumerate() {
            for _ in 0..40 {
                let other = &updates[random.random_range(0..=position)];
                let mutated = mutate(update, other, &mut random);
                both.judge(&mutated);
                let refused = !both.judge_after_any_tree(&mutated);
                counts[usize::from(refused)] += 1;
            }
            both.follow(update);
        }
    }
    println!("{shape:?}: {} accepted, {} refused", counts[0], counts[1]);
    counts
}

#[test]
fn of_real_logs() {
    let [accepted, refused] = compare(Shape::Log, 12);
    assert!(accepted > 100 && refused > 1_000);
}

#[test]
fn of_logs_that_remove_leaves() {
    let [accepted, refused] = compare(Shape::Removing, 12);
    assert!(accepted > 100 && refused > 1_000);
}

/// Keys that are prefixes of one another as far as keys can be: VRF outputs never are.
#[test]
fn of_crowded_trees() {
    let [accepted, refused] = compare(Shape::Crowded, 120);
    assert!(accepted > 1_000 && refused > 10_000);
}

/// Removal at any time, which only some of these logs may do.
#[test]
fn of_trees_that_shrink() {
    let [accepted, refused] = compare(Shape::Shrinking, 120);
    assert!(accepted > 1_000 && refused > 10_000);
}
