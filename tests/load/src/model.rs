//! What a directory should take, computed from its shape alone: random keys in a prefix tree, leaves on
//! pages, log entries on a frontier. Nothing in here was fitted; what is measured stands beside it.
//!
//! Keys are VRF outputs, so how many leaves lie below a node of a given depth follows a Poisson
//! distribution. Sizes in bytes are those of the wire and of the store's rows.

/// A directory, and how it is used.
#[derive(Debug, Clone, Copy)]
pub struct Directory {
    /// Label-versions in the newest prefix tree.
    pub leaves: f64,
    /// Changes that a log entry has.
    pub per_entry: f64,
    /// Log entries in a Reasonable Monitoring Window.
    pub entries_per_window: f64,
    /// Bytes of a label and of a value.
    pub label: f64,
    /// Bytes of a value.
    pub value: f64,
}

const HASH: f64 = 32.0;
/// Deeper than any node is in practice.
const DEPTHS: i32 = 64;
/// Leaves that fit a page, levels of a page, and records that a page is made of at most.
const MAX_LEAVES: u32 = 32;
const LEVELS: i32 = 4;
const MAX_LEAF_RECORDS: f64 = 8.0;
const MAX_INNER_RECORDS: f64 = 32.0;

/// That a Poisson variable is greater than `k`.
fn more_than(k: u32, mean: f64) -> f64 {
    let mut term = (-mean).exp();
    let mut sum = term;
    for i in 1..=k {
        term *= mean / f64::from(i);
        sum += term;
    }
    (1.0 - sum).max(0.0)
}

fn below(leaves: f64, depth: i32) -> f64 {
    leaves / 2f64.powi(depth)
}

impl Directory {
    /// Parents above a leaf.
    fn above_leaf(&self) -> f64 {
        let parents = (0..DEPTHS).map(|depth| more_than(0, below(self.leaves, depth)));
        parents.sum()
    }

    /// Parents above the place where the search for a key ends that is not there.
    fn above_vacancy(&self) -> f64 {
        let parents = (0..DEPTHS).map(|depth| more_than(1, below(self.leaves, depth)));
        parents.sum()
    }

    /// That such a search ends at another leaf.
    fn ends_at_leaf(&self) -> f64 {
        let at = (1..DEPTHS).map(|depth| {
            let mean = below(self.leaves, depth);
            mean * (-mean).exp() * more_than(0, mean)
        });
        at.sum()
    }

    /// Log entries that a search for the greatest version goes through: those of the frontier from the
    /// rightmost distinguished one on. The mean over the sizes that a tree has in the course of a window.
    pub fn searched(&self) -> f64 {
        let window = self.entries_per_window;
        let first = (200.0 * window) as u64;
        let last = (260.0 * window) as u64 + 1;
        let step = ((last - first) / 4_096).max(1);
        let sizes = (first..last).step_by(usize::try_from(step).unwrap_or(1));
        let (mut sum, mut count) = (0usize, 0usize);
        for size in sizes {
            sum += searched_at(size, window);
            count += 1;
        }
        sum as f64 / count as f64
    }

    /// The response to a search for the greatest version of a label with one version, for a user who
    /// knows the head.
    pub fn lookup(&self) -> f64 {
        let missing = self.above_vacancy();
        let result = 2.0 + 2.0 * HASH * self.ends_at_leaf();
        let present = self.above_leaf();
        // The paths of two keys part after two parents on average.
        let first = 2.0 + result + HASH * (present + missing - 3.0);
        let others = (self.searched() - 1.0) * (result + HASH * missing);
        // Vectors' lengths; then opening, value, version, and two steps of the ladder.
        let counts = 3.0 * self.searched() + 8.0;
        let rest = 1.0 + 5.0 + 16.0 + 4.0 + self.value + 1.0 + 2.0 * 81.0;
        first + others + counts + rest
    }

    /// An `AuditorUpdate`, for each of its changes.
    pub fn audited(&self) -> f64 {
        let keys = self.per_entry;
        let elements: f64 = (1..DEPTHS)
            .map(|depth| {
                let (below_key, leaves) = (below(keys, depth), below(self.leaves, depth - 1));
                let beside = (-below_key).exp() * more_than(0, below_key);
                2f64.powi(depth) * beside * more_than(1, leaves)
            })
            .sum();
        2.0 * HASH + 2.0 + 2.0 * HASH * self.ends_at_leaf() + HASH * elements / keys
    }

    /// That the page at a depth has more leaves than a page of leaves may have.
    fn is_inner(&self, page: i32) -> f64 {
        more_than(MAX_LEAVES, below(self.leaves, LEVELS * page))
    }

    /// What is written of pages, for each change.
    pub fn pages(&self) -> f64 {
        let keys = self.per_entry;
        let mut bytes = 0.0;
        let mut reached = 1.0;
        for page in 0..DEPTHS / LEVELS {
            let (places, slots) = (16f64.powi(page), 16f64.powi(page + 1));
            let changed = places * -(-keys / places).exp_m1();
            let inner = reached * self.is_inner(page);
            let children = slots * -(-keys / slots).exp_m1() / changed;
            let leaves = below(self.leaves, LEVELS * page);
            let whole = 4.0 + 39.0 * 16.0 * -(-leaves / 16.0).exp_m1();
            let part = match children < 8.0 {
                true => 10.0 + 39.0 * children + whole / MAX_INNER_RECORDS,
                false => whole,
            };
            bytes += changed * inner * part;
            let here = (reached - inner).max(0.0);
            let whole = 4.0 + 65.0 * (leaves + 1.0);
            let part = match leaves > 2.0 {
                true => 10.0 + 65.0 + whole / MAX_LEAF_RECORDS,
                false => whole,
            };
            bytes += changed * here * part;
            reached = inner;
        }
        bytes / keys
    }

    /// What is stored of a version besides: the leaf's row, the label's, and its share of a log entry.
    pub fn row(&self) -> f64 {
        let leaf = 4.0 + 10.0 + 4.0 + 2.0 * HASH + self.label + 1.0 + 16.0 + self.value;
        // A tree that is filled at random is 69 % full.
        let label = (12.0 + 4.0 + 6.0) / 0.69;
        leaf + label + 320.0 / self.per_entry
    }

    /// All that is stored for each label-version of a directory that grew to this size, every version of
    /// the prefix tree kept.
    pub fn stored(&self) -> f64 {
        let steps = 64;
        let pages = (0..steps).map(|step| {
            let leaves = self.leaves * (f64::from(step) + 0.5) / f64::from(steps);
            Self { leaves, ..*self }.pages()
        });
        self.row() + pages.sum::<f64>() / f64::from(steps)
    }
}

/// The same at one size of the tree.
fn searched_at(size: u64, window: f64) -> usize {
    let time = |position: u64| position as f64 / window;
    let mut left = f64::NEG_INFINITY;
    let (mut first, mut rest) = (0u64, size);
    let (mut count, mut since) = (0usize, 0usize);
    while rest > 0 {
        let half = 1u64 << rest.ilog2();
        count += 1;
        if time(size - 1) - left >= 1.0 {
            since = count;
        }
        left = time(first + half - 1);
        first += half;
        rest -= half;
    }
    count - since + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(leaves: f64) -> Directory {
        Directory {
            leaves,
            per_entry: 255.0,
            entries_per_window: 40.0,
            label: 35.0,
            value: 32.0,
        }
    }

    /// A tree of the real thing: parents above leaves and vacancies, counted in a random sample.
    #[test]
    fn paths_are_as_long_as_those_of_random_keys() {
        let mut rng = rand::rng();
        let mut keys: Vec<u64> = (0..20_000).map(|_| rand::Rng::next_u64(&mut rng)).collect();
        keys.sort_unstable();
        let shared = |a: u64, b: u64| f64::from((a ^ b).leading_zeros());
        let above: Vec<f64> = keys
            .windows(3)
            .map(|k| shared(k[0], k[1]).max(shared(k[1], k[2])) + 1.0)
            .collect();
        let mean = above.iter().sum::<f64>() / above.len() as f64;
        let model = directory(20_000.0).above_leaf();
        assert!((mean / model - 1.0).abs() < 0.02, "{mean} {model}");
    }

    #[test]
    fn few_entries_are_searched_and_more_in_a_busy_log() {
        let at = |entries_per_window| {
            Directory {
                entries_per_window,
                ..directory(1e6)
            }
            .searched()
        };
        assert_eq!(searched_at(1 << 20, 1e9), 1);
        assert_eq!(searched_at((1 << 20) - 1, 1e9), 20);
        assert!(at(4.0) < at(40.0) && at(40.0) < at(4_000.0));
    }

    #[test]
    fn size_costs_a_logarithm() {
        let [small, large] = [1e5, 1e7].map(directory);
        for bytes in [Directory::lookup, Directory::audited, Directory::pages] {
            let (small, large) = (bytes(&small), bytes(&large));
            assert!(small < large && large < 2.0 * small, "{small} {large}");
        }
    }
}
