//! What a log with a maximum lifetime no longer needs (section "Maximum Lifetime"; draft-arch,
//! section "Pruning").
//!
//! Prefix trees of expired log entries are never asked for. Of a label's versions the newest prefix
//! tree needs those that can still be searched for or monitored, and the older ones on their binary
//! ladders: a number that is logarithmic in the version. The others are removed from it, as the
//! draft allows after they were published in a distinguished log entry. The log tree is kept whole,
//! so that a user who comes back after any time can tell whether the log is still the same.

use crate::ladder::monitoring_ladder;
use crate::wire::Configuration;

/// The times after which a log does without parts of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    lifetime: u64,
    window: u64,
}

impl Retention {
    /// None if log entries never expire.
    pub fn of(config: &Configuration) -> Option<Self> {
        config.maximum_lifetime.map(|lifetime| Self {
            lifetime,
            window: config.reasonable_monitoring_window,
        })
    }

    /// Whether versions that were overtaken by a log entry of `timestamp` may be removed from the
    /// prefix tree by one of `now`. All log entries at which they were the greatest have expired
    /// then, for as long as a contact may take to get from one of these to a distinguished one.
    pub fn is_overtaken(&self, timestamp: u64, now: u64) -> bool {
        now.saturating_sub(timestamp) >= self.lifetime.saturating_add(self.window)
    }

    /// Whether the prefix tree of a log entry of `timestamp` may be dropped in a log whose rightmost
    /// log entry is of `now`. `grace`, in milliseconds, is how long an answer may take that was
    /// begun under an older head.
    pub fn is_dropped(&self, timestamp: u64, now: u64, grace: u64) -> bool {
        now.saturating_sub(timestamp) >= self.lifetime.saturating_add(grace)
    }
}

/// The versions of a label that are not needed any more once no version before `version` is: what
/// was kept for the version before, and is not on the ladder of this one. What is not on its ladder
/// is not on the ladder of any later version either: the ladders of two versions are the same up to
/// a lookup of a version between the two.
pub fn superseded_by(version: u32) -> Vec<u32> {
    let Some(previous) = version.checked_sub(1) else {
        return Vec::new();
    };
    let kept = monitoring_ladder(version);
    let mut out = monitoring_ladder(previous);
    out.retain(|version| !kept.contains(version));
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ladder::base_ladder;

    #[test]
    fn what_is_kept_is_on_some_ladder() {
        let mut kept = BTreeSet::new();
        for version in 0..300 {
            kept.insert(version);
            for gone in superseded_by(version) {
                assert!(kept.remove(&gone), "{gone} goes once");
            }
            assert_eq!(kept, monitoring_ladder(version).into_iter().collect());
            // No later version needs what is gone.
            for later in version..600 {
                let below = base_ladder(later).into_iter().filter(|v| *v < version);
                assert!(below.into_iter().all(|v| kept.contains(&v)));
            }
        }
    }
}
