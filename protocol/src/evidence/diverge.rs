//! Where two versions of one log part.

use crate::head_log::checkpoint::SignedCheckpoint;
use crate::head_log::proof::TlogProof;
use crate::head_log::tree::{HashReader, prove_inclusion};
use crate::log_tree::{Subtree, full_subtrees};
use crate::wire::HashValue;

/// The first leaf that differs among the first `size` of two trees, each of at least as many leaves;
/// none if the trees begin alike. Reads two hashes of each tree for every level, or a few more.
pub fn first_difference<A, B>(
    first: &mut A,
    second: &mut B,
    size: u64,
) -> Result<Option<u64>, A::Error>
where
    A: HashReader,
    B: HashReader<Error = A::Error>,
{
    let mut differs = |at: Subtree| Ok::<_, A::Error>(first.hash(at)? != second.hash(at)?);
    for mut at in full_subtrees(size) {
        if !differs(at)? {
            continue;
        }
        while let Some((left, right)) = at.children() {
            at = match differs(left)? {
                true => left,
                false => right,
            };
        }
        return Ok(Some(at.index));
    }
    Ok(None)
}

/// Proofs of the first leaves that differ in the trees of two checkpoints, with their hashes: what
/// [`Evidence::leaves`](super::Evidence::leaves) takes. There are such leaves for any two trees of
/// which the smaller is not the beginning of the larger; none if it is.
///
/// The hashes are whatever is read: only verification tells whether they are those of the trees.
pub fn prove_difference<A, B>(
    (first, of_first): (&mut A, &SignedCheckpoint),
    (second, of_second): (&mut B, &SignedCheckpoint),
) -> Result<Option<[(TlogProof, HashValue); 2]>, A::Error>
where
    A: HashReader,
    B: HashReader<Error = A::Error>,
{
    let size = |of: &SignedCheckpoint| of.checkpoint().tree().size;
    let common = size(of_first).min(size(of_second));
    let Some(index) = first_difference(first, second, common)? else {
        return Ok(None);
    };
    Ok(Some([
        prove_leaf(first, index, of_first)?,
        prove_leaf(second, index, of_second)?,
    ]))
}

fn prove_leaf<R: HashReader>(
    reader: &mut R,
    index: u64,
    of: &SignedCheckpoint,
) -> Result<(TlogProof, HashValue), R::Error> {
    let leaf = reader.hash(Subtree::leaf(index))?;
    let hashes = prove_inclusion(reader, index, of.checkpoint().tree().size)?;
    Ok((TlogProof::new(index, hashes, of.clone()), leaf))
}
