//! Wrong heads, and wrong proofs of whatever leads to them.

use overt_protocol::wire::*;
use serde_json::Value;

use super::super::script::{Ask, Script};
use super::super::world::World;
use super::{auditor, head, timestamp};

/// Signatures and times.
pub(super) fn signatures(w: &World) -> Value {
    let mut s = Script::new(w, "wrong heads");
    let request = s.distinguished_request(None);
    let honest = request.answer(&w.at(10)).unwrap();
    let exchange = (&request, &honest);
    let why = "a bit of TreeHead.signature is flipped";
    s.tampered((why, "head-signature"), 10, exchange, |r| {
        head(&mut r.full_tree_head).signature[9] ^= 1;
    });
    let why = "TreeHead.signature is of the tree of nine entries";
    s.tampered((why, "head-signature"), 10, exchange, |r| {
        let earlier = w.log.heads[8].signature.clone();
        head(&mut r.full_tree_head).signature = earlier;
    });
    s.tampered(
        ("TreeHead.signature is empty", "head-signature"),
        10,
        exchange,
        |r| {
            head(&mut r.full_tree_head).signature.clear();
        },
    );
    let rightmost = w.log.entries[9].timestamp;
    let responses = DistinguishedRequest::responses(&honest);
    for (why, check, now) in [
        (
            "the head is a millisecond too far ahead of the user's clock",
            "head-max-ahead",
            rightmost - w.log.config.max_ahead - 1,
        ),
        (
            "the head is a millisecond too far behind the user's clock",
            "head-max-behind",
            rightmost + w.log.config.max_behind + 1,
        ),
    ] {
        s.reject_bytes((why, check), (10, now), &request, &responses);
    }
    s.accept(10, &request, &honest);
    s.finish()
}

/// Proofs that do not lead to the head.
pub(super) fn proofs(w: &World) -> Value {
    let mut s = Script::new(w, "wrong proofs of a head");
    let request = s.distinguished_request(None);
    let honest = request.answer(&w.at(10)).unwrap();
    let now = w.now(10);
    let whole = DistinguishedRequest::responses(&honest).concat();
    let cut = whole[..whole.len() - 1].to_vec();
    s.reject_bytes(("one byte short", "encoding"), (10, now), &request, &[cut]);
    let long = [whole.as_slice(), &[0]].concat();
    s.reject_bytes(
        ("one byte too many", "encoding"),
        (10, now),
        &request,
        &[long],
    );
    let ahead = DistinguishedRequest {
        last: Some(9),
        stop: None,
    };
    let answer = ahead.answer(&w.at(10)).unwrap();
    let why = "the request advertises a tree that the user never saw";
    s.reject((why, "request"), 10, &ahead, &answer);

    let exchange = (&request, &honest);
    let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut CombinedTreeProof)| {
        s.tampered((why, check), 10, exchange, |r| change(&mut r.proof));
    };
    wrong("a timestamp is missing", "timestamps-missing", &|p| {
        p.timestamps.pop();
    });
    wrong("a timestamp too many", "timestamps-surplus", &|p| {
        p.timestamps.push(now)
    });
    wrong(
        "an entry is younger than the one to its right",
        "timestamps-monotonic",
        &|p| *timestamp(w, p, 7) = w.log.entries[9].timestamp + 1,
    );
    wrong("a prefix proof too many", "prefix-proofs-surplus", &|p| {
        p.prefix_proofs.push(PrefixProof::default());
    });
    wrong("a prefix tree root is missing", "prefix-roots", &|p| {
        p.prefix_roots.pop();
    });
    wrong("a prefix tree root too many", "prefix-roots", &|p| {
        p.prefix_roots.push([0; 32]);
    });
    wrong("another prefix tree root", "head-signature", &|p| {
        p.prefix_roots[0][0] ^= 1
    });
    wrong("another timestamp", "head-signature", &|p| {
        *timestamp(w, p, 9) += 1
    });
    wrong("a node is missing", "inclusion", &|p| {
        p.inclusion.elements.pop();
    });
    wrong("a node too many", "inclusion", &|p| {
        p.inclusion.elements.push([0; 32])
    });
    wrong("another node", "head-signature", &|p| {
        p.inclusion.elements[0][0] ^= 1
    });

    s.tampered(
        ("the same head as none before", "head-same-without-last"),
        10,
        exchange,
        |r| r.full_tree_head = FullTreeHead::Same,
    );
    for (why, size) in [
        ("an empty tree", 0),
        ("a tree larger than any can be", (1 << 62) + 1),
    ] {
        s.tampered((why, "head-tree-size-range"), 10, exchange, |r| {
            head(&mut r.full_tree_head).tree_size = size;
        });
    }
    s.accept(10, &request, &honest);
    let request = s.distinguished_request(Some(7));
    let honest = request.answer(&w.at(12)).unwrap();
    for (why, size) in [("a smaller tree", 9), ("a new head of the same size", 10)] {
        s.tampered((why, "head-tree-size"), 12, (&request, &honest), |r| {
            head(&mut r.full_tree_head).tree_size = size;
        });
    }
    s.accept(12, &request, &honest);
    s.finish()
}

/// The heads of auditors, in Third-Party Auditing mode.
pub(super) fn auditors(w: &World) -> Value {
    let mut s = Script::new(w, "wrong auditor heads");
    let request = s.distinguished_request(None);
    let honest = request.answer(&w.at(10)).unwrap();
    let exchange = (&request, &honest);
    let rightmost = w.log.entries[9].timestamp;
    let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut AuditorTreeHead)| {
        s.tampered((why, check), 10, exchange, |r| {
            change(auditor(&mut r.full_tree_head));
        });
    };
    wrong("newer than the log", "auditor-lag", &|a| {
        a.timestamp = rightmost + 1
    });
    wrong(
        "a millisecond more than max_auditor_lag behind",
        "auditor-lag",
        &|a| {
            a.timestamp = rightmost - 60_001;
        },
    );
    wrong("of an empty tree", "auditor-tree-size", &|a| {
        a.tree_size = 0
    });
    wrong("of a tree larger than the log", "auditor-tree-size", &|a| {
        a.tree_size = 11
    });
    wrong(
        "a bit of its signature is flipped",
        "auditor-signature",
        &|a| {
            a.signature[9] ^= 1;
        },
    );
    wrong(
        "another timestamp than it signed",
        "auditor-signature",
        &|a| a.timestamp += 1,
    );
    s.accept(10, &request, &honest);
    s.finish()
}

/// Section "Auditor Tree Head Signature", step 1.
pub(super) fn late_auditor(w: &World) -> Value {
    let mut s = Script::new(w, "an auditor who began after what the one before had seen");
    let request = s.distinguished_request(None);
    let answer = request.answer(&w.audited(5, 1)).unwrap();
    s.deceived(5, &request, &answer);
    let request = s.distinguished_request(None);
    let answer = request.answer(&w.at(9)).unwrap();
    let why = "auditor_start_pos is 2, and the tree seen before ends at 1";
    s.reject((why, "auditor-start"), 9, &request, &answer);
    s.finish()
}
