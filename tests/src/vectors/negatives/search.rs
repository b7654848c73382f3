//! Wrong answers to searches.

use overt_protocol::search::absence as absent;
use overt_protocol::wire::*;
use serde_json::Value;

use super::super::script::{Ask, Script};
use super::super::world::{SIZE, World};
use super::{claim, timestamp};
use crate::truth::truth;

/// Values, and proofs of the VRF.
pub(super) fn values(w: &World) -> Value {
    let mut s = Script::new(w, "wrong values");
    let request = s.search_request("zoe", None);
    let honest = request.answer(&w.at(13)).unwrap();
    let exchange = (&request, &honest);
    let why = "a bit of a VRF proof is flipped";
    s.tampered((why, "vrf-proof"), 13, exchange, |r| {
        r.binary_ladder[0].proof[40] ^= 1
    });
    let why = "the VRF proofs of two versions are exchanged";
    s.tampered((why, "vrf-proof"), 13, exchange, |r| {
        r.binary_ladder.swap(0, 1)
    });
    // In Third-Party Management mode the operator's signature comes first.
    let value = match w.setting.mode {
        2 => "leaf-signature",
        _ => "head-signature",
    };
    s.tampered(("another value", value), 13, exchange, |r| {
        r.value.value.push(b'!')
    });
    let why = "another opening";
    s.tampered((why, "head-signature"), 13, exchange, |r| r.opening[0] ^= 1);
    s.accept(13, &request, &honest);
    s.finish()
}

/// Proofs that do not show what is claimed.
pub(super) fn searches(w: &World) -> Value {
    let mut s = Script::new(w, "wrong answers to searches");
    let request = s.search_request("zoe", None);
    let honest = request.answer(&w.at(13)).unwrap();
    let exchange = (&request, &honest);
    let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut SearchResponse)| {
        s.tampered((why, check), 13, exchange, change);
    };
    wrong(
        "a step of the ladder is missing",
        "binary-ladder-steps",
        &|r| {
            r.binary_ladder.pop();
        },
    );
    wrong(
        "a commitment of the target version",
        "commitment-surplus",
        &|r| {
            r.binary_ladder[0].commitment = Some([0; 32]);
        },
    );
    wrong(
        "a commitment of a version that does not exist",
        "commitment-surplus",
        &|r| {
            r.binary_ladder[1].commitment = Some([0; 32]);
        },
    );
    wrong("a prefix proof is missing", "prefix-proofs-missing", &|r| {
        r.search.prefix_proofs.pop();
    });
    wrong("a prefix proof too many", "prefix-proofs-surplus", &|r| {
        let first = r.search.prefix_proofs[0].clone();
        r.search.prefix_proofs.push(first);
    });
    wrong(
        "a result of a prefix proof is missing",
        "prefix-proof",
        &|r| {
            r.search.prefix_proofs[0].results.pop();
        },
    );
    wrong(
        "an element of a prefix proof is missing",
        "prefix-proof",
        &|r| {
            r.search.prefix_proofs[0].elements.pop();
        },
    );
    wrong(
        "another element of a prefix proof",
        "head-signature",
        &|r| {
            r.search.prefix_proofs[0].elements[0][0] ^= 1;
        },
    );
    s.accept(13, &request, &honest);

    let request = s.search_request("bob", None);
    let honest = request.answer(&w.at(13)).unwrap();
    let why = "no commitment of a lesser version";
    s.tampered((why, "commitment-missing"), 13, (&request, &honest), |r| {
        r.binary_ladder[0].commitment = None;
    });
    let why = "another prefix tree for an entry that the user retained";
    s.tampered(
        (why, "prefix-root-conflict"),
        13,
        (&request, &honest),
        |r| {
            r.search.prefix_proofs[0].elements[0][0] ^= 1;
        },
    );
    // Of a version beyond the greatest there is no commitment, so it cannot be shown to exist.
    for (why, check, version) in [
        (
            "version 0 as the greatest, where version 1 is",
            "prefix-proof",
            0,
        ),
        (
            "version 2 as the greatest, where version 1 is",
            "binary-ladder",
            2,
        ),
    ] {
        let answer = claim(w, &w.at(13), &request, version);
        s.reject((why, check), 13, &request, &answer);
    }
    let request = s.search_request("bob", Some(2));
    let answer = claim(w, &w.at(13), &request, 2);
    let why = "version 2 by name, which does not exist";
    s.reject((why, "version-not-found"), 13, &request, &answer);
    s.finish()
}

/// Answers to a user who has seen the log before.
pub(super) fn returning(w: &World) -> Value {
    let mut s = Script::new(w, "another log than the one seen before");
    s.honest(13, &s.distinguished_request(None));
    let fork = World::forked(w.setting, 9);
    let request = s.search_request("zoe", None);
    let answer = request.answer(&fork.at(20)).unwrap();
    let why = "a fork: other values from entry 9 on";
    s.reject((why, "head-signature"), 20, &request, &answer);
    let request = s.search_request("carol", Some(1));
    let answer = request.answer(&fork.at(20)).unwrap();
    let why = "the same fork, asked for an entry that the user retained";
    s.reject((why, "prefix-root-conflict"), 20, &request, &answer);
    let request = s.search_request("carol", Some(1));
    let honest = request.answer(&w.at(20)).unwrap();
    let why = "another timestamp of an entry below a retained subtree head";
    s.tampered((why, "consistency"), 20, (&request, &honest), |r| {
        *timestamp(w, &mut r.search, 9) += 1;
    });
    s.accept(20, &request, &honest);
    s.finish()
}

/// The ladder of a fixed-version search holds commitments that its proof may leave open.
pub(super) fn commitments(w: &World) -> Value {
    let mut s = Script::new(w, "a commitment that changes");
    let request = s.search_request("alice", Some(4));
    let honest = request.answer(&w.at(13)).unwrap();
    let open = (0..honest.binary_ladder.len()).find_map(|at| {
        let mut answer = honest.clone();
        answer.binary_ladder[at].commitment.as_mut()?[0] ^= 1;
        s.would_accept(13, &request, &answer).then_some(answer)
    });
    s.deceived(13, &request, &open.expect("no commitment is left open"));
    let request = s.search_request("alice", Some(4));
    let honest = request.answer(&w.at(13)).unwrap();
    let why = "a commitment is another than in the answer before";
    s.reject((why, "commitment-changed"), 13, &request, &honest);
    s.finish()
}

/// Answers that a label does not exist.
pub(super) fn absence(w: &World) -> Value {
    let mut s = Script::new(w, "wrong proofs of absence");
    let request = s.absence_request("nobody");
    let honest = request.answer(&w.at(10)).unwrap();
    let why = "a commitment of a version that does not exist";
    s.tampered((why, "commitment-surplus"), 10, (&request, &honest), |r| {
        r.binary_ladder[0].commitment = Some([0; 32]);
    });
    let zoe = s.absence_request("zoe");
    let why = "the proof that another label does not exist";
    s.reject((why, "vrf-proof"), 10, &zoe, &honest);
    let at = w.at(10);
    let (full_tree_head, proof) = truth(&at, None, b"zoe", |view| absent(view));
    let version_0 = s
        .search_request("zoe", None)
        .answer(&at)
        .unwrap()
        .binary_ladder[0]
        .clone();
    let exists = AbsenceResponse {
        full_tree_head,
        binary_ladder: vec![version_0],
        absence: proof,
    };
    s.reject(("a label that exists", "vrf-output"), 10, &zoe, &exists);
    s.accept(10, &request, &honest);
    s.finish()
}

/// Versions that only expired log entries show, with a maximum lifetime.
pub(super) fn expired(w: &World) -> Value {
    let mut s = Script::new(w, "expired versions");
    let newest = w.log.labels[&b"alice"[..]].len() as u32 - 1;
    let request = s.search_request("alice", Some(newest));
    let honest = request.answer(&w.at(SIZE)).unwrap();
    s.accept(SIZE, &request, &honest);
    for version in [0, 3] {
        let request = s.search_request("alice", Some(version));
        let answer = claim(w, &w.at(SIZE), &request, version);
        let why = "the entries that show it to be the greatest have expired";
        s.reject((why, "version-expired"), SIZE, &request, &answer);
    }
    s.finish()
}
