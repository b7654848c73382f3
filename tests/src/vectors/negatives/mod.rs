//! Sessions of users to whom the log answers wrongly, and who notice. Each wrong answer names the
//! check that it does not pass; in between the log is honest.

mod contact;
mod credentials;
mod heads;
mod owner;
mod replay;
mod search;

pub(super) use replay::removals;

use overt_protocol::search::{fixed_version, greatest_version};
use overt_protocol::wire::*;
use serde_json::Value;

use super::world::World;
use crate::support::Published;
use crate::truth::{steps, truth};

/// What depends on the cipher suite for each suite and mode, what depends on the mode or a lifetime
/// wherever there is one, and the rest once.
pub(super) fn sessions(w: &World) -> Vec<Value> {
    let setting = w.setting;
    let mut out = Vec::new();
    if setting.lifetime {
        out.extend([search::expired(w), owner::expired(w)]);
    } else {
        out.extend([heads::signatures(w), search::values(w)]);
    }
    match setting.mode {
        2 => out.push(owner::managed(w)),
        3 => out.extend([heads::auditors(w), heads::late_auditor(w)]),
        _ => {}
    }
    match setting.mode {
        1 if setting.is_plain() => out.extend([
            heads::proofs(w),
            search::searches(w),
            search::returning(w),
            search::commitments(w),
            search::absence(w),
            contact::monitoring(w),
            owner::initialization(w),
            owner::updates(w),
            owner::monitoring(w),
            credentials::credentials(w),
            credentials::updates(w),
        ]),
        3 if setting.is_plain() => out.push(replay::replay(w)),
        _ => {}
    }
    out
}

/// Claims that `version` is the answer to a search, with the proof that the trees allow.
fn claim(w: &World, at: &Published<'_>, request: &SearchRequest, version: u32) -> SearchResponse {
    let label = request.label.as_slice();
    let is_greatest = request.version.is_none();
    let (full_tree_head, search) = truth(at, request.last, label, |view| match is_greatest {
        true => greatest_version(view, version),
        false => fixed_version(view, version),
    });
    let existing = at.log.labels[label].get(version as usize);
    let name = String::from_utf8_lossy(label);
    let (opening, value) = match existing {
        Some((_, opening, value)) => (*opening, value.clone()),
        None => w.invented(&name, version),
    };
    SearchResponse {
        full_tree_head,
        version: is_greatest.then_some(version),
        opening,
        value,
        binary_ladder: steps(at.log, label, (version, is_greatest)),
        search,
    }
}

/// The log's head, if there is a new one.
fn head(full: &mut FullTreeHead) -> &mut TreeHead {
    match full {
        FullTreeHead::Updated { tree_head, .. } => tree_head,
        FullTreeHead::Same => panic!("the head is the same"),
    }
}

fn auditor(full: &mut FullTreeHead) -> &mut AuditorTreeHead {
    match full {
        FullTreeHead::Updated {
            auditor_tree_head: Some(head),
            ..
        } => head,
        _ => panic!("no head of an auditor"),
    }
}

/// The timestamp of a log entry, wherever it stands in a proof.
fn timestamp<'p>(w: &World, proof: &'p mut CombinedTreeProof, position: usize) -> &'p mut u64 {
    let timestamp = w.log.entries[position].timestamp;
    let mut found = proof.timestamps.iter_mut().filter(|t| **t == timestamp);
    found.next().unwrap()
}
