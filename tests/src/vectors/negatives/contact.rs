//! Wrong answers to contact monitoring.

use overt_protocol::monitor::{MonitorMap, contact_monitor};
use overt_protocol::wire::*;
use serde_json::Value;

use super::super::script::{Ask, Script, entries};
use super::super::world::World;
use crate::support::Published;
use crate::truth::truth;

fn request(s: &Script<'_>, map: &[(u64, u32)]) -> ContactMonitorRequest {
    ContactMonitorRequest {
        last: s.last(),
        label: b"alice".to_vec(),
        entries: entries(&map.iter().copied().collect()),
    }
}

/// What the trees show of a map.
fn shown(at: &Published<'_>, request: &ContactMonitorRequest) -> MonitorResponse {
    let map = request.entries.iter().map(|e| (e.position, e.version));
    let map: MonitorMap = map.collect();
    let (full_tree_head, proof) = truth(at, request.last, &request.label, |view| {
        contact_monitor(view, &map, None)
    });
    MonitorResponse {
        full_tree_head,
        proof,
    }
}

pub(super) fn monitoring(w: &World) -> Value {
    let mut s = Script::new(w, "wrong answers to contact monitoring");
    let unknown = request(&s, &[(20, 7)]);
    let answer = unknown.answer(&w.at(22)).unwrap();
    let why = "the user never looked the label up";
    s.reject((why, "vrf-output"), 22, &unknown, &answer);

    s.honest(21, &s.search_request("alice", None));
    s.honest(25, &s.search_request("alice", None));
    let forgetful = World::forgetful(w.setting, 25);
    let honest = s.contact_request("alice");
    let answer = shown(&forgetful.at(26), &honest);
    let why = "the version that was shown is gone";
    s.reject((why, "binary-ladder"), 26, &honest, &answer);

    let ahead = request(&s, &[(26, 8)]);
    let answer = MonitorResponse {
        full_tree_head: FullTreeHead::Same,
        proof: CombinedTreeProof::default(),
    };
    let why = "the map is ahead of the log";
    s.reject((why, "request"), 25, &ahead, &answer);

    let disordered = request(&s, &[(24, 8), (26, 7)]);
    let answer = shown(&w.at(28), &disordered);
    let why = "a lesser version to the right of a greater one";
    s.reject((why, "monitor-order"), 28, &disordered, &answer);

    let answer = honest.answer(&w.at(28)).unwrap();
    let why = "a prefix proof is missing";
    s.tampered(
        (why, "prefix-proofs-missing"),
        28,
        (&honest, &answer),
        |r| {
            r.proof.prefix_proofs.pop();
        },
    );
    s.accept(28, &honest, &answer);
    s.finish()
}
