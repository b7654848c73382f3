//! What auditors refuse.

use overt_protocol::prefix_tree::prove;
use overt_protocol::wire::*;
use serde_json::Value;

use super::super::script::{Ask, Audit, Audited, Script};
use super::super::world::World;

/// Has the log entry at `position` remove a leaf, with an honest proof.
fn remove(w: &World, position: usize, update: &mut AuditorUpdate, leaf: PrefixLeaf) {
    update.removed = vec![leaf];
    let leaves = update.added.iter().chain(&update.removed);
    let keys: Vec<HashValue> = leaves.map(|leaf| leaf.vrf_output).collect();
    update.proof = prove(&w.log.pages, w.log.roots[position - 1], &keys).unwrap();
}

/// Leaves that may not be removed yet, with a maximum lifetime. The auditor has replayed the log up
/// to the entry at `position`, which removes some.
pub(in super::super) fn removals(w: &World, s: &mut Script<'_>, position: u64) {
    let (size, request) = (position + 1, Audit(position));
    let honest = request.answer(&w.at(size)).unwrap();
    let newest = Audit(position - 1).answer(&w.at(position)).unwrap();
    let newest = newest.update.added[0];
    let why = "a leaf is removed that was in no distinguished entry yet";
    s.tampered((why, "audit-removed"), size, (&request, &honest), |a| {
        remove(w, position as usize, &mut a.update, newest);
    });
    let why = "a leaf is removed that is not in the tree";
    s.tampered((why, "audit-proof"), size, (&request, &honest), |a| {
        let mut absent = a.update.removed[0];
        absent.vrf_output[0] ^= 0x80;
        remove(w, position as usize, &mut a.update, absent);
    });
}

pub(super) fn replay(w: &World) -> Value {
    let mut s = Script::new(w, "wrong log entries to replay");
    for position in 0..4 {
        s.honest(position + 1, &Audit(position));
    }
    let request = Audit(4);
    let honest = request.answer(&w.at(5)).unwrap();
    let earlier = Audit(2).answer(&w.at(3)).unwrap();
    let leaf = earlier.update.added[0];
    let mut overwritten = leaf;
    overwritten.commitment = [7; 32];
    let included = prove(&w.log.pages, w.log.roots[3], &[leaf.vrf_output]).unwrap();
    let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut Audited)| {
        s.tampered((why, check), 5, (&request, &honest), change);
    };
    wrong("older than the entry before", "audit-timestamp", &|a| {
        a.update.timestamp = w.log.entries[3].timestamp - 1;
    });
    wrong("leaves that do not ascend", "audit-order", &|a| {
        a.update.added.swap(0, 1)
    });
    wrong("a leaf twice", "audit-order", &|a| {
        a.update.added[1] = a.update.added[0]
    });
    let why = "a leaf is removed, though the log has no maximum lifetime";
    wrong(why, "audit-removed", &|a| remove(w, 4, &mut a.update, leaf));
    wrong("a result is missing", "audit-proof", &|a| {
        a.update.proof.results.pop();
    });
    let why = "a leaf that is in the tree already, with another commitment";
    wrong(why, "audit-proof", &|a| {
        a.update.added = vec![overwritten];
        a.update.proof = included.clone();
    });
    wrong(
        "another prefix tree than that of the entry before",
        "audit-prefix-root",
        &|a| {
            a.update.proof.elements[0][0] ^= 1;
        },
    );
    wrong("another commitment", "audit-tree-head", &|a| {
        a.update.added[0].commitment[0] ^= 1;
    });
    wrong(
        "a bit of the head's signature is flipped",
        "audit-tree-head",
        &|a| {
            a.head.signature[0] ^= 1;
        },
    );
    wrong("the head of another size", "audit-tree-size", &|a| {
        a.head.tree_size = 6
    });
    s.accept(5, &request, &honest);
    s.finish()
}
