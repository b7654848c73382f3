//! Properties of the two trees, against models that are naive on purpose.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::BTreeSet;

use overt_protocol::log_tree::{
    BatchProof, BatchProofError, Subtree, full_subtrees, leaf_value, root_of_full_subtrees,
};
use overt_protocol::prefix_tree::{
    self, Lookup, Node, STAND_IN, evaluate, evaluate_changes, modify, prove,
};
use overt_protocol::provider::{Tip, append};
use overt_protocol::suite::sha256;
use overt_protocol::wire::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use rs_merkle::{Hasher, MerkleTree};
use support::MemoryPages;

/// The draft's log tree for `rs_merkle`: a node's value behind the tag that its parent hashes.
#[derive(Clone)]
struct Tagged;

impl Hasher for Tagged {
    type Hash = [u8; 33];

    fn hash(leaf: &[u8]) -> [u8; 33] {
        tagged(0, sha256(&[leaf]))
    }

    fn concat_and_hash(left: &[u8; 33], right: Option<&[u8; 33]>) -> [u8; 33] {
        // Without a right sibling a node moves up as it is: that makes the tree left-balanced.
        right.map_or(*left, |right| tagged(1, sha256(&[left, right])))
    }
}

fn tagged(tag: u8, value: HashValue) -> [u8; 33] {
    let mut out = [tag; 33];
    out[1..].copy_from_slice(&value);
    out
}

fn entry(n: u64) -> LogEntry {
    LogEntry {
        timestamp: n,
        prefix_tree: sha256(&[&n.to_be_bytes()]),
    }
}

/// The draft's definition, followed literally.
fn naive_root(leaves: &[HashValue]) -> HashValue {
    if let [leaf] = leaves {
        return *leaf;
    }
    let split = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(split);
    let tag = |half: &[HashValue]| [u8::from(half.len() > 1)];
    sha256(&[
        &tag(left),
        &naive_root(left),
        &tag(right),
        &naive_root(right),
    ])
}

fn head(leaves: &[HashValue], subtree: Subtree) -> HashValue {
    let start = subtree.start() as usize;
    naive_root(&leaves[start..start + subtree.size() as usize])
}

/// A prefix tree as one would draw it.
#[derive(Debug, Clone, Default)]
enum Trie {
    #[default]
    Vacant,
    Leaf(HashValue),
    Parent(Box<[Self; 2]>),
}

impl Trie {
    fn side(key: &HashValue, depth: usize) -> usize {
        usize::from(key[depth / 8] >> (7 - depth % 8) & 1)
    }

    fn add(&mut self, key: HashValue, depth: usize) {
        match self {
            Self::Vacant => *self = Self::Leaf(key),
            Self::Leaf(old) => {
                let old = *old;
                *self = Self::Parent(Box::default());
                self.add(old, depth);
                self.add(key, depth);
            }
            Self::Parent(children) => children[Self::side(&key, depth)].add(key, depth + 1),
        }
    }

    fn remove(&mut self, key: &HashValue, depth: usize) {
        match self {
            Self::Parent(children) => children[Self::side(key, depth)].remove(key, depth + 1),
            _ => *self = Self::Vacant,
        }
    }

    /// A parent without children is not one.
    fn tidy(&mut self) {
        if let Self::Parent(children) = self {
            children.iter_mut().for_each(Self::tidy);
            if matches!(**children, [Self::Vacant, Self::Vacant]) {
                *self = Self::Vacant;
            }
        }
    }

    fn holds(&self, key: &HashValue, depth: usize) -> bool {
        match self {
            Self::Vacant => false,
            Self::Leaf(leaf) => leaf == key,
            Self::Parent(children) => children[Self::side(key, depth)].holds(key, depth + 1),
        }
    }

    fn keys(&self) -> BTreeSet<HashValue> {
        match self {
            Self::Vacant => BTreeSet::new(),
            Self::Leaf(key) => BTreeSet::from([*key]),
            Self::Parent(children) => children.iter().flat_map(Self::keys).collect(),
        }
    }

    fn value(&self) -> HashValue {
        match self {
            Self::Vacant => STAND_IN,
            Self::Leaf(key) => sha256(&[&[2], key, &sha256(&[key])]),
            Self::Parent(children) => sha256(&[&[3], &children[0].value(), &children[1].value()]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn log_tree_roots(size in 1u64..200) {
        let mut tip = Tip::empty();
        let pages = MemoryPages::default();
        let mut theirs = MerkleTree::<Tagged>::new();
        let mut leaves = Vec::new();
        for n in 0..size {
            // An empty batch: the entry's content is its timestamp and an empty prefix tree.
            let appended = append(&pages, &tip, n, &[], &[]).unwrap();
            leaves.push(leaf_value(&appended.entry));
            theirs.insert(tagged(0, leaf_value(&appended.entry)));
            tip = appended.tip;
        }
        theirs.commit();
        prop_assert_eq!(tip.root().unwrap(), naive_root(&leaves));
        prop_assert_eq!(tagged(u8::from(size > 1), tip.root().unwrap()), theirs.root().unwrap());
    }

    #[test]
    fn batch_proofs(
        size in 1u64..130,
        picked in btree_set(0u64..130, 0..6),
        last in proptest::option::of(1u64..130),
        auditor in proptest::option::of(1u64..130),
        spoil in any::<prop::sample::Index>(),
    ) {
        let leaves: Vec<HashValue> = (0..size).map(|n| leaf_value(&entry(n))).collect();
        let picked: Vec<u64> = picked.into_iter().filter(|p| *p < size).collect();
        let (last, auditor) = (last.filter(|n| *n <= size), auditor.filter(|n| *n <= size));
        // The prover always proves at least what the verifier does not retain of a new tree.
        let plan = BatchProof::plan(size, &picked, last, auditor);
        let elements: Vec<HashValue> = plan.elements().map(|s| head(&leaves, s)).collect();
        let leaf = |p: u64| leaves.get(p as usize).copied();
        let retained = |s: Subtree| Some(head(&leaves, s));
        let done = plan.evaluate(&elements, leaf, retained).unwrap();
        prop_assert_eq!(done.root, naive_root(&leaves));
        let full: Vec<HashValue> = full_subtrees(size).into_iter().map(|s| head(&leaves, s)).collect();
        prop_assert_eq!(&done.full_subtrees, &full);
        prop_assert_eq!(root_of_full_subtrees(size, &full).unwrap(), done.root);
        prop_assert_eq!(done.auditor_root, auditor.map(|n| naive_root(&leaves[..n as usize])));

        // Nothing in the proof can be computed from the rest of it.
        let given: Vec<Subtree> = plan.elements().collect();
        for subtree in &given {
            let inside = |p: &u64| (subtree.start()..subtree.start() + subtree.size()).contains(p);
            prop_assert!(!picked.iter().any(inside));
            prop_assert!(!last.map(full_subtrees).unwrap_or_default().contains(subtree)
                || auditor.is_some() || picked.iter().any(inside));
        }
        // Too many, too few, another value, another leaf, another retained head.
        let mut longer = elements.clone();
        longer.push([0; 32]);
        let wrong_count = |e: &[HashValue]| matches!(plan.evaluate(e, leaf, retained), Err(BatchProofError::Elements { .. }));
        prop_assert!(wrong_count(&longer));
        if !elements.is_empty() {
            prop_assert!(wrong_count(&elements[1..]));
            let mut spoiled = elements.clone();
            spoil.get_mut(&mut spoiled)[7] ^= 1;
            let result = plan.evaluate(&spoiled, leaf, retained);
            prop_assert!(result.is_err() || result.unwrap().root != done.root);
        }
        if !picked.is_empty() {
            let wrong = *spoil.get(&picked);
            let result = plan.evaluate(&elements, |p| leaf(p).map(|v| if p == wrong { [9; 32] } else { v }), retained);
            // A leaf under a retained head: the recomputed head must be compared with the retained one.
            match result {
                Ok(other) => prop_assert!(wrong >= last.unwrap_or(0) && other.root != done.root),
                Err(error) => {
                    let is_retained = matches!(error, BatchProofError::Retained { .. });
                    prop_assert!(is_retained && wrong < last.unwrap_or(0));
                }
            }
        }
    }

    #[test]
    fn prefix_trees(
        // Few distinct keys, so that they come and go, and that paths share long prefixes.
        batches in vec(vec((0u8..4, [0u8..2, 0u8..6]), 0..8), 1..12),
        probes in vec((0u8..5, [0u8..2, 0u8..6]), 1..6),
        spoil in any::<prop::sample::Index>(),
    ) {
        check_prefix_trees(batches, &probes, spoil)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn prefix_trees_of_several_pages(
        batches in vec(vec((0u8..8, [0u8..12, 0u8..6]), 0..90), 1..10),
        probes in vec((0u8..8, [0u8..13, 0u8..6]), 1..6),
        spoil in any::<prop::sample::Index>(),
    ) {
        check_prefix_trees(batches, &probes, spoil)?;
    }
}

type Key = (u8, [u8; 2]);

fn check_prefix_trees(
    batches: Vec<Vec<Key>>,
    probes: &[Key],
    spoil: prop::sample::Index,
) -> Result<(), TestCaseError> {
    let key = |(high, low): (u8, [u8; 2])| {
        let mut key = [0; 32];
        key[0] = high << 5;
        key[30..].copy_from_slice(&low);
        // Leaves that differ in the last bit only are deeper than a proof can say.
        key[31] &= !1;
        key
    };
    let mut pages = MemoryPages::default();
    let mut root: Option<Node> = None;
    let mut next = 1;
    let mut trie = Trie::default();
    let mut versions = Vec::new();
    for batch in batches {
        // A key that is there goes, one that is not comes; the former first, so that the
        // places are free.
        let keys: BTreeSet<HashValue> = batch.into_iter().map(key).collect();
        let (gone, new): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| trie.holds(key, 0));
        let leaves = |keys: &[HashValue]| -> Vec<PrefixLeaf> {
            keys.iter()
                .map(|key| PrefixLeaf {
                    vrf_output: *key,
                    commitment: sha256(&[key]),
                })
                .collect()
        };
        let (added, removed) = (leaves(&new), leaves(&gone));
        let before = trie.value();
        gone.iter().for_each(|key| trie.remove(key, 0));
        new.iter().for_each(|key| trie.add(*key, 0));
        trie.tidy();
        let old = root;
        let done = modify(&pages, root, &added, &removed, next).unwrap();
        if let Some(leaf) = added.first() {
            let mut after = pages.clone();
            after.extend(done.pages.clone());
            prop_assert!(
                modify(&after, done.root, &[*leaf], &[], 1_000).is_err(),
                "a key comes once"
            );
            prop_assert!(
                modify(&pages, root, &[], &[*leaf], next).is_err(),
                "what is not there cannot go"
            );
            prop_assert!(modify(&pages, root, &[*leaf, *leaf], &[], next).is_err());
        }
        let changed: Vec<_> = new.iter().chain(&gone).copied().collect();
        let proof = prove(&pages, old, &changed).unwrap();
        let ids = next..next + done.pages.len() as u64;
        prop_assert!(done.pages.iter().map(|page| page.id).eq(ids.clone()));
        pages.extend(done.pages);
        next = ids.end;
        root = done.root;
        // The auditor arrives at the same tree.
        let roots = (before, trie.value());
        prop_assert_eq!(evaluate_changes(&added, &removed, &proof).unwrap(), roots);
        versions.push((root, trie.clone()));
    }
    for from in 0..versions.len() {
        if from > 0 {
            pages.drop(&[versions[from - 1].0, versions[from].0]);
        }
        // Every version that is left.
        for (root, trie) in &versions[from..] {
            let expected = trie.value();
            prop_assert_eq!(root.map_or(STAND_IN, |r| r.value), expected);
            let mut keys: Vec<HashValue> = probes.iter().copied().map(key).collect();
            let there = trie.keys();
            keys.extend(there.iter().take(2));
            let mut seen = BTreeSet::new();
            keys.retain(|key| seen.insert(*key));
            let proof = prove(&pages, *root, &keys).unwrap();
            let lookups: Vec<Lookup> = keys
                .iter()
                .map(|k| Lookup {
                    vrf_output: *k,
                    commitment: Some(sha256(&[k])),
                })
                .collect();
            prop_assert_eq!(evaluate(&lookups, &proof).unwrap(), expected);
            for (key, result) in keys.iter().zip(&proof.results) {
                prop_assert_eq!(result.is_inclusion(), there.contains(key));
            }
            // No other answer leads to the same root.
            let index = spoil.index(keys.len());
            let depth = proof.results[index].depth();
            let other = PrefixLeaf {
                vrf_output: keys[index],
                commitment: [5; 32],
            };
            let lies = [
                PrefixSearchResult::Inclusion { depth },
                PrefixSearchResult::NonInclusionParent { depth },
                PrefixSearchResult::NonInclusionLeaf { leaf: other, depth },
                PrefixSearchResult::Inclusion {
                    depth: depth.wrapping_add(1),
                },
                PrefixSearchResult::NonInclusionParent {
                    depth: depth.wrapping_sub(1),
                },
                PrefixSearchResult::NonInclusionParent { depth: 255 },
            ];
            for lie in lies {
                if lie == proof.results[index] {
                    continue;
                }
                let mut lying = proof.clone();
                lying.results[index] = lie;
                prop_assert_ne!(evaluate(&lookups, &lying).ok(), Some(expected));
            }
            let mut duplicate = lookups.clone();
            duplicate.push(lookups[0]);
            let mut twice = proof.clone();
            twice.results.push(proof.results[0]);
            prop_assert!(evaluate(&duplicate, &twice).is_err());
            let mut longer = proof.clone();
            longer.elements.push(STAND_IN);
            prop_assert!(evaluate(&lookups, &longer).is_err());
            let unknown: Vec<Lookup> = lookups
                .iter()
                .map(|l| Lookup {
                    commitment: None,
                    ..*l
                })
                .collect();
            prop_assert_eq!(
                evaluate(&unknown, &proof).is_err(),
                proof.results.iter().any(|r| r.is_inclusion())
            );
        }
    }
    // Nothing is kept in vain.
    pages.drop(&[root, None]);
    prop_assert!(pages.0.is_empty());
    Ok(())
}

#[test]
fn canonical_shapes() {
    let leaf = PrefixLeaf {
        vrf_output: [1; 32],
        commitment: [2; 32],
    };
    let pages = MemoryPages::default();
    let proof = prove(&pages, None, &[[1; 32]]).unwrap();
    assert_eq!(
        proof.results,
        [PrefixSearchResult::NonInclusionParent { depth: 0 }]
    );
    let one = modify(&pages, None, &[leaf], &[], 1).unwrap();
    assert_eq!(one.root.unwrap().value, prefix_tree::leaf_value(&leaf));
    let close = PrefixLeaf {
        vrf_output: {
            let mut k = [1; 32];
            k[31] = 0;
            k
        },
        ..leaf
    };
    let full = MemoryPages::of(one.pages);
    assert!(
        modify(&full, one.root, &[close], &[], 2).is_err(),
        "deeper than a proof can say"
    );
}
