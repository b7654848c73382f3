//! RFC 6962, section 2.1, followed literally: slow, and in no way like the code under test.

use std::collections::HashMap;

use overt_protocol::head_log::tree::{HashReader, SizedRoot, TreeError, leaf_hash};
use overt_protocol::log_tree::Subtree;
use overt_protocol::suite::sha256;
use overt_protocol::wire::HashValue;

/// A log that keeps every leaf hash, and every other hash once it was asked for.
pub(crate) struct Log(pub(crate) Vec<HashValue>, HashMap<Subtree, HashValue>);

#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub(crate) TreeError);

impl From<TreeError> for Refused {
    fn from(error: TreeError) -> Self {
        Self(error)
    }
}

impl Log {
    /// Leaf `i` is the number `i`.
    pub(crate) fn numbers(size: u64) -> Self {
        Self::of((0..size).map(|i| leaf_hash(&i.to_be_bytes())))
    }

    pub(crate) fn of(leaves: impl Iterator<Item = HashValue>) -> Self {
        Self(leaves.collect(), HashMap::new())
    }

    pub(crate) fn at(&self, size: u64) -> SizedRoot {
        SizedRoot {
            size,
            root: mth(&self.0[..size as usize]),
        }
    }
}

impl HashReader for Log {
    type Error = Refused;

    fn hash(&mut self, subtree: Subtree) -> Result<HashValue, Refused> {
        let leaves = subtree.start() as usize..(subtree.start() + subtree.size()) as usize;
        let hash = self.1.entry(subtree);
        Ok(*hash.or_insert_with(|| mth(&self.0[leaves])))
    }
}

fn halves(leaves: &[HashValue]) -> (&[HashValue], &[HashValue]) {
    let mut k = 1;
    while k * 2 < leaves.len() {
        k *= 2;
    }
    leaves.split_at(k)
}

pub(crate) fn mth(leaves: &[HashValue]) -> HashValue {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        more => {
            let (left, right) = halves(more);
            sha256(&[&[1], &mth(left), &mth(right)])
        }
    }
}

/// `PATH(m, D[n])`.
pub(crate) fn inclusion(m: usize, leaves: &[HashValue]) -> Vec<HashValue> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = halves(leaves);
    let (mut path, sibling) = match m.checked_sub(left.len()) {
        None => (inclusion(m, left), right),
        Some(m) => (inclusion(m, right), left),
    };
    path.push(mth(sibling));
    path
}

/// `SUBPROOF(m, D[n], b)`; `PROOF(m, D[n])` is it with `b` true.
pub(crate) fn consistency(m: usize, leaves: &[HashValue], complete: bool) -> Vec<HashValue> {
    if m == leaves.len() {
        return match complete {
            true => Vec::new(),
            false => vec![mth(leaves)],
        };
    }
    let (left, right) = halves(leaves);
    let (mut proof, sibling) = match m <= left.len() {
        true => (consistency(m, left, complete), right),
        false => (consistency(m - left.len(), right, false), left),
    };
    proof.push(mth(sibling));
    proof
}
