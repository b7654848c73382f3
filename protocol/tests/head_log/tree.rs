//! Hashes, roots and proofs of RFC 6962.

use overt_protocol::head_log::tree::*;
use overt_protocol::wire::HashValue;

use crate::model::{self, Log, Refused};

/// Sizes up to which every proof is made and checked: past one tile of 256 leaves.
const SIZES: u64 = 300;

fn hashes(hex: &[&str]) -> Vec<HashValue> {
    let decode = |h: &&str| hex::decode(h).unwrap().try_into().unwrap();
    hex.iter().map(decode).collect()
}

/// The tree of Certificate Transparency's own tests: eight leaves and the root at every size.
#[test]
fn roots_of_the_known_tree() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = hashes(&[
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]);
    let mut range = CompactRange::default();
    assert_eq!(range.sized_root(), SizedRoot::empty());
    for (size, root) in (0..).zip(&roots) {
        assert_eq!(range.sized_root(), SizedRoot { size, root: *root });
        if let Some(leaf) = leaves.get(size as usize) {
            range.push(leaf_hash(&hex::decode(leaf).unwrap()));
        }
    }
}

/// The example of RFC 6962, section 2.1.3, with the letters that it gives to nodes.
#[test]
fn proofs_of_the_worked_example() {
    let mut log = Log::numbers(7);
    let [a, b, c, d, e, f, j] = log.0.clone().try_into().unwrap();
    let (g, h, i) = (node_hash(&a, &b), node_hash(&c, &d), node_hash(&e, &f));
    let (k, l) = (node_hash(&g, &h), node_hash(&i, &j));
    let paths = [
        (0, vec![b, h, l]),
        (3, vec![c, g, l]),
        (4, vec![f, j, k]),
        (6, vec![i, k]),
    ];
    for (leaf, path) in paths {
        assert_eq!(prove_inclusion(&mut log, leaf, 7), Ok(path));
    }
    let proofs = [(3, vec![c, d, g, l]), (4, vec![l]), (6, vec![i, j, k])];
    for (old, proof) in proofs {
        assert_eq!(prove_consistency(&mut log, old, 7), Ok(proof));
    }
}

#[test]
fn compact_ranges_grow_and_are_read_alike() {
    let mut log = Log::numbers(SIZES);
    let mut range = CompactRange::default();
    for size in 0..=SIZES {
        assert_eq!(range.size(), size);
        assert_eq!(range.sized_root(), log.at(size));
        assert_eq!(CompactRange::read(&mut log, size), Ok(range.clone()));
        let mut kept = range.hashes().to_vec();
        assert_eq!(CompactRange::new(size, kept.clone()), Ok(range.clone()));
        kept.push([0; 32]);
        let found = kept.len();
        assert_eq!(
            CompactRange::new(size, kept),
            Err(TreeError::CompactRange { size, found })
        );
        if let Some(leaf) = log.0.get(size as usize) {
            range.push(*leaf);
        }
    }
}

/// Every way to spoil a proof that differs from it in one place.
fn spoilt(proof: &[HashValue]) -> impl Iterator<Item = Vec<HashValue>> {
    let changed = (0..proof.len()).map(|i| {
        let mut proof = proof.to_vec();
        proof[i][i % 32] ^= 1 << (i % 8);
        proof
    });
    let surplus = (0..=proof.len()).map(|i| {
        let mut proof = proof.to_vec();
        proof.insert(i, *proof.get(i).unwrap_or(&[7; 32]));
        proof
    });
    let missing = (0..proof.len()).map(|i| {
        let mut proof = proof.to_vec();
        proof.remove(i);
        proof
    });
    let swapped = (1..proof.len()).map(|i| {
        let mut proof = proof.to_vec();
        proof.swap(i - 1, i);
        proof
    });
    changed.chain(surplus).chain(missing).chain(swapped)
}

#[test]
fn every_inclusion_proof_verifies_and_nothing_like_it() {
    let mut log = Log::numbers(SIZES);
    for size in 1..=SIZES {
        let tree = log.at(size);
        for index in 0..size {
            let leaf = log.0[index as usize];
            let proof = prove_inclusion(&mut log, index, size).unwrap();
            assert_eq!(verify_inclusion(&leaf, index, &tree, &proof), Ok(()));
            for bad in spoilt(&proof) {
                assert!(verify_inclusion(&leaf, index, &tree, &bad).is_err());
            }
        }
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_rfc() {
    let mut log = Log::numbers(70);
    for size in 1..=70 {
        for index in 0..size {
            let proof = prove_inclusion(&mut log, index, size);
            let expected = model::inclusion(index as usize, &log.0[..size as usize]);
            assert_eq!(proof, Ok(expected));
        }
    }
}

#[test]
fn an_inclusion_proof_holds_for_one_leaf_index_and_tree() {
    let mut log = Log::numbers(40);
    let (index, size) = (11, 37);
    let (leaf, tree) = (log.0[11], log.at(37));
    let proof = prove_inclusion(&mut log, index, size).unwrap();
    for other in (0..100).chain([u64::MAX]).filter(|i| *i != index) {
        assert!(verify_inclusion(&leaf, other, &tree, &proof).is_err());
    }
    for other in (0..100).chain([u64::MAX]).filter(|n| *n != size) {
        // A size with the same path to the leaf gives the same root: the head states both.
        let tree = SizedRoot {
            size: other,
            ..tree
        };
        let same_path = (33..=64).contains(&other);
        assert_eq!(
            verify_inclusion(&leaf, index, &tree, &proof).is_ok(),
            same_path,
            "{other}"
        );
    }
    assert_eq!(
        verify_inclusion(&log.0[12], index, &tree, &proof),
        Err(TreeError::Inclusion)
    );
    assert_eq!(
        verify_inclusion(&leaf, 37, &tree, &proof),
        Err(TreeError::Index { index: 37, size })
    );
    assert_eq!(
        prove_inclusion(&mut log, 37, 37),
        Err(Refused(TreeError::Index { index: 37, size }))
    );
}

#[test]
fn every_consistency_proof_verifies_and_nothing_like_it() {
    let mut log = Log::numbers(SIZES);
    let trees: Vec<_> = (0..=SIZES).map(|size| log.at(size)).collect();
    for new in &trees {
        for old in &trees[..=new.size as usize] {
            let proof = prove_consistency(&mut log, old.size, new.size).unwrap();
            assert_eq!(verify_consistency(old, new, &proof), Ok(()));
            for bad in spoilt(&proof) {
                assert!(verify_consistency(old, new, &bad).is_err());
            }
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_the_rfc() {
    let mut log = Log::numbers(70);
    for new in 1..=70 {
        for old in 1..=new {
            let proof = prove_consistency(&mut log, old, new);
            let leaves = &log.0[..new as usize];
            assert_eq!(proof, Ok(model::consistency(old as usize, leaves, true)));
        }
    }
}

#[test]
fn another_root_is_never_consistent() {
    let mut log = Log::numbers(70);
    for new in 1..=70 {
        for old in 1..=new {
            let proof = prove_consistency(&mut log, old, new).unwrap();
            let (old, new) = (log.at(old), log.at(new));
            let forged = |tree: SizedRoot| SizedRoot {
                root: [1; 32],
                ..tree
            };
            let refused = Err(TreeError::Consistency);
            assert_eq!(verify_consistency(&forged(old), &new, &proof), refused);
            assert_eq!(verify_consistency(&old, &forged(new), &proof), refused);
        }
    }
}

#[test]
fn empty_and_shrinking_trees() {
    let mut log = Log::numbers(9);
    let (empty, nine) = (log.at(0), log.at(9));
    assert_eq!(verify_consistency(&empty, &empty, &[]), Ok(()));
    assert_eq!(verify_consistency(&empty, &nine, &[]), Ok(()));
    let no_root = SizedRoot { size: 0, ..nine };
    let refused = Err(TreeError::EmptyRoot);
    assert_eq!(verify_consistency(&no_root, &nine, &[]), refused);
    assert_eq!(verify_consistency(&empty, &no_root, &[]), refused);
    assert_eq!(
        verify_consistency(&empty, &nine, &[nine.root]),
        Err(TreeError::Length {
            found: 1,
            expected: 0
        })
    );
    let shrinks = TreeError::Shrinks { old: 9, new: 8 };
    assert_eq!(verify_consistency(&nine, &log.at(8), &[]), Err(shrinks));
    assert_eq!(prove_consistency(&mut log, 9, 8), Err(Refused(shrinks)));
}

/// Sizes near the end of the range: arithmetic must neither overflow nor ask for surplus hashes.
#[test]
fn the_largest_trees() {
    for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
        let tree = SizedRoot {
            size,
            root: [0; 32],
        };
        for index in [0, 1, size / 2, size - 2, size - 1] {
            let refused = verify_inclusion(&[0; 32], index, &tree, &[]);
            let Err(TreeError::Length { expected, .. }) = refused else {
                panic!("{refused:?}");
            };
            assert!((1..=64).contains(&expected), "{expected}");
            let proof = vec![[0; 32]; expected];
            let refused = verify_inclusion(&[0; 32], index, &tree, &proof);
            assert_eq!(refused, Err(TreeError::Inclusion));
            if index == 0 {
                continue;
            }
            let old = SizedRoot {
                size: index,
                root: [0; 32],
            };
            let refused = verify_consistency(&old, &tree, &[]);
            let Err(TreeError::Length { expected, .. }) = refused else {
                panic!("{refused:?}");
            };
            let proof = vec![[0; 32]; expected];
            let refused = verify_consistency(&old, &tree, &proof);
            assert_eq!(refused, Err(TreeError::Consistency));
        }
    }
}
