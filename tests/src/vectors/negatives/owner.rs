//! Wrong answers to owners.

use overt_protocol::monitor::{
    contact_monitor, owner_init, owner_init_entries, owner_init_versions, owner_monitor,
};
use overt_protocol::update::{NewVersions, update_label};
use overt_protocol::wire::*;
use serde_json::Value;

use super::super::script::{Ask, Script};
use super::super::world::{SIZE, World};
use super::{head, timestamp};
use crate::support::Published;
use crate::truth::truth;

/// Owner initialization that claims these greatest versions, with the proof that the trees allow.
fn initialized(
    at: &Published<'_>,
    request: &OwnerInitRequest,
    greatest_versions: &[u32],
) -> OwnerInitResponse {
    let label = request.label.as_slice();
    let (full_tree_head, init) = truth(at, request.last, label, |view| {
        let entries = owner_init_entries(view, request.start)?;
        owner_init(view, &entries, greatest_versions)?;
        Ok(())
    });
    let newest = greatest_versions.first().copied();
    let versions = owner_init_versions(greatest_versions);
    OwnerInitResponse {
        full_tree_head,
        greatest_versions: greatest_versions.to_vec(),
        binary_ladder: steps(at, label, &versions, |version| Some(version) <= newest),
        init,
    }
}

/// VRF proofs of these versions, with the commitment of those that exist and that are `wanted`.
fn steps(
    at: &Published<'_>,
    label: &[u8],
    versions: &[u32],
    wanted: impl Fn(u32) -> bool,
) -> Vec<BinaryLadderStep> {
    use overt_protocol::provider::Directory;
    let step = |version: &u32| {
        let stored = at.version(label, *version).unwrap();
        BinaryLadderStep {
            proof: at.vrf_proof(label, *version).unwrap().1,
            commitment: stored
                .filter(|_| wanted(*version))
                .map(|stored| stored.leaf.commitment),
        }
    };
    versions.iter().map(step).collect()
}

/// The answers to an owner who begins.
pub(super) fn initialization(w: &World) -> Value {
    let mut s = Script::new(w, "wrong answers to owner initialization");
    let request = s.owner_init_request("bob", 13);
    let honest = request.answer(&w.at(16)).unwrap();
    let greatest = honest.greatest_versions.clone();
    let versions = owner_init_versions(&greatest);
    let place = |version| versions.iter().position(|v| *v == version).unwrap();
    let newest = place(greatest[0]);
    let exchange = (&request, &honest);
    let why = "no commitment of the greatest version";
    s.tampered((why, "commitment-missing"), 16, exchange, |r| {
        r.binary_ladder[newest].commitment = None;
    });
    let why = "a commitment of a version beyond the greatest";
    s.tampered((why, "commitment-surplus"), 16, exchange, |r| {
        r.binary_ladder.last_mut().unwrap().commitment = Some([0; 32]);
    });
    let why = "a step of the ladder is missing";
    s.tampered((why, "binary-ladder-steps"), 16, exchange, |r| {
        r.binary_ladder.pop();
    });
    let why = "the versions do not descend";
    s.tampered((why, "greatest-versions"), 16, exchange, |r| {
        r.greatest_versions[1] = 0;
    });
    let answer = initialized(&w.at(16), &request, &[1, 0, 0]);
    let why = "a lesser version at the second entry than there is";
    s.reject((why, "binary-ladder"), 16, &request, &answer);
    let early = s.owner_init_request("bob", 14);
    let answer = initialized(&w.at(16), &early, &greatest);
    let why = "ownership starts at an entry that is not distinguished";
    s.reject((why, "start-position"), 16, &early, &answer);
    s.accept(16, &request, &honest);
    s.finish()
}

/// Ownership of dave's label, who then has two versions.
fn owned<'w>(w: &'w World, name: &'static str) -> Script<'w> {
    let mut s = Script::new(w, name);
    s.honest(16, &s.owner_init_request("dave", 15));
    s
}

fn created(w: &World, position: u64) -> Vec<Vec<u8>> {
    let versions = w.log.labels[&b"dave"[..]].iter();
    let new = versions.filter(|(stored, ..)| stored.position == position && !stored.is_skipped());
    new.map(|(_, _, update)| update.value.clone()).collect()
}

/// The answers to an owner who writes.
pub(super) fn updates(w: &World) -> Value {
    let mut s = owned(w, "wrong answers to updates");
    let foreign = UpdateRequest {
        last: s.last(),
        label: b"zoe".to_vec(),
        greatest_version: None,
        values: Vec::new(),
    };
    let request = s.update_request("dave", created(w, 17));
    let honest = request.answer(&w.at(18)).unwrap();
    let why = "the label is not owned";
    s.reject((why, "not-owner"), 18, &foreign, &honest);
    let mut older = request.clone();
    older.greatest_version = Some(0);
    let why = "the request names another greatest version than is kept";
    s.reject((why, "request"), 18, &older, &honest);
    let now = w.now(18);
    s.reject_bytes(("no response at all", "encoding"), (18, now), &request, &[]);
    let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut UpdateResponse)| {
        s.tampered((why, check), 18, (&request, &honest), |r| change(&mut r[0]));
    };
    wrong(
        "information about one version of two",
        "update-info",
        &|r| {
            r.info.pop();
        },
    );
    wrong("a response about no version", "update-info", &|r| {
        r.values = Vec::new();
        r.info.clear();
    });
    wrong("created where ownership began", "update-position", &|r| {
        r.position = 15
    });
    wrong(
        "created beyond the end of the log",
        "update-position",
        &|r| r.position = 18,
    );
    wrong("a commitment in the ladder", "commitment-surplus", &|r| {
        r.binary_ladder[0].commitment = Some([0; 32]);
    });
    wrong(
        "a step of the ladder is missing",
        "binary-ladder-steps",
        &|r| {
            r.binary_ladder.pop();
        },
    );
    s.accept(18, &request, &honest);

    // Version 2 is somebody else's; the log hides it, and shows the owner's own in its place.
    let request = s.update_request("dave", created(w, 25));
    let progress = s.user.owners[&b"dave"[..]].progress.clone();
    let previous = progress.greatest_version();
    let new = NewVersions::after(previous, 1, 25).unwrap();
    let at = w.at(26);
    let (full_tree_head, update) = truth(&at, request.last, b"dave", |view| {
        update_label(view, &progress, new)
    });
    let mut hidden = Vec::from_iter(request.answer(&at).unwrap().pop());
    hidden[0].full_tree_head = full_tree_head;
    hidden[0].update = update;
    hidden[0].binary_ladder = steps(&at, b"dave", &new.ladder_versions(previous), |_| false);
    let why = "a version that somebody else created is hidden";
    s.reject((why, "binary-ladder"), 26, &request, &hidden);
    s.finish()
}

/// The answers to an owner who monitors.
pub(super) fn monitoring(w: &World) -> Value {
    let mut s = owned(w, "wrong answers to owner monitoring");
    s.honest(18, &s.update_request("dave", created(w, 17)));
    let request = s.owner_request("dave");
    let honest = request.answer(&w.at(20)).unwrap();
    let mut other = request.clone();
    other.start = 13;
    let why = "the request begins elsewhere than where the owner is";
    s.reject((why, "request"), 20, &other, &honest);
    let why = "another timestamp";
    s.tampered((why, "head-signature"), 20, (&request, &honest), |r| {
        *timestamp(w, &mut r.proof, 19) += 1;
    });
    let why = "a bit of TreeHead.signature is flipped";
    s.tampered((why, "head-signature"), 20, (&request, &honest), |r| {
        head(&mut r.full_tree_head).signature[0] ^= 1;
    });
    s.accept(20, &request, &honest);

    let request = s.owner_request("dave");
    let progress = s.user.owners[&b"dave"[..]].progress.clone();
    let map = request
        .entries
        .iter()
        .map(|e| (e.position, e.version))
        .collect();
    let (full_tree_head, proof) = truth(&w.at(24), request.last, b"dave", |view| {
        contact_monitor(view, &map, Some(request.start))?;
        owner_monitor(view, &progress)
    });
    let response = MonitorResponse {
        full_tree_head,
        proof,
    };
    let why = "a version that the owner was not told of";
    s.reject((why, "prefix-proof"), 24, &request, &response);
    s.finish()
}

/// The Service Operator's signatures, in Third-Party Management mode.
pub(super) fn managed(w: &World) -> Value {
    let mut s = owned(w, "wrong signatures of the Service Operator");
    let request = s.update_request("dave", created(w, 17));
    let honest = request.answer(&w.at(18)).unwrap();
    let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut UpdateResponse)| {
        s.tampered((why, check), 18, (&request, &honest), |r| change(&mut r[0]));
    };
    wrong("a bit of a signature is flipped", "leaf-signature", &|r| {
        r.info[1].signature.as_mut().unwrap()[9] ^= 1;
    });
    wrong(
        "the signatures of two versions are exchanged",
        "leaf-signature",
        &|r| {
            r.info.swap(0, 1);
        },
    );
    wrong(
        "more versions are skipped than there can be",
        "version-range",
        &|r| {
            r.skipped_versions = Some(u32::MAX);
        },
    );
    wrong(
        "more versions are skipped than a response can prove",
        "version-range",
        &|r| {
            r.skipped_versions = Some(324);
        },
    );
    wrong(
        "a version is said to be skipped, so that the signatures are of others",
        "leaf-signature",
        &|r| {
            r.skipped_versions = Some(1);
        },
    );
    s.accept(18, &request, &honest);
    let request = s.search_request("zoe", None);
    let honest = request.answer(&w.at(18)).unwrap();
    let why = "a bit of the signature is flipped";
    s.tampered((why, "leaf-signature"), 18, (&request, &honest), |r| {
        r.value.signature.as_mut().unwrap()[9] ^= 1;
    });
    s.tampered(
        ("no signature", "leaf-signature"),
        18,
        (&request, &honest),
        |r| {
            r.value.signature = Some(Vec::new());
        },
    );
    s.accept(18, &request, &honest);
    s.finish()
}

/// Ownership may not start at an expired entry, with a maximum lifetime.
pub(super) fn expired(w: &World) -> Value {
    let mut s = Script::new(w, "ownership from an expired entry");
    let request = s.owner_init_request("zoe", 7);
    let answer = initialized(&w.at(SIZE), &request, &[0]);
    let why = "ownership starts at an expired entry";
    s.reject((why, "start-position"), SIZE, &request, &answer);
    let request = s.owner_init_request("zoe", 15);
    s.honest(SIZE, &request);
    s.finish()
}
