//! Wrong credentials.

use overt_protocol::search::greatest_version;
use overt_protocol::wire::*;
use serde_json::Value;

use super::super::script::{Ask, Received, Script};
use super::super::world::World;
use crate::truth::truth;

fn search(credential: &mut Credential) -> (&mut TreeHead, &mut CombinedTreeProof) {
    match &mut credential.proof {
        CredentialProof::Provisional { tree_head, search } => (tree_head, search),
        CredentialProof::Standard(_) => panic!("not provisional"),
    }
}

/// Makes a credential of a label that somebody receives later.
fn made(s: &mut Script<'_>, size: u64, label: &str) -> Credential {
    let newest = s.user.recent.len() - 1;
    let request = s.credential_request(label, newest);
    s.honest(size, &request);
    s.user.made.clone().unwrap()
}

pub(super) fn credentials(w: &World) -> Value {
    let mut s = Script::new(w, "wrong credentials");
    s.honest(20, &s.distinguished_request(None));
    let standard = made(&mut s, 20, "bob");
    let provisional = made(&mut s, 22, "dave");
    let (bob, dave) = (Received(b"bob".to_vec()), Received(b"dave".to_vec()));
    {
        let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut Credential)| {
            s.tampered((why, check), 20, (&bob, &standard), change);
        };
        let why = "of an entry that is not a recent distinguished one";
        wrong(why, "unknown-distinguished", &|c| c.position = 18);
        wrong("of another entry than its proof", "credential-fork", &|c| {
            c.position = 17
        });
        wrong("another opening", "credential-fork", &|c| c.opening[0] ^= 1);
        wrong(
            "a step of the ladder is missing",
            "binary-ladder-steps",
            &|c| {
                c.binary_ladder.pop();
            },
        );
        wrong(
            "no commitment of a lesser version",
            "commitment-missing",
            &|c| {
                c.binary_ladder[0].commitment = None;
            },
        );
        wrong("a lookup is missing", "prefix-proof", &|c| {
            if let CredentialProof::Standard(proof) = &mut c.proof {
                proof.results.pop();
            }
        });
    }
    s.accept(20, &bob, &standard);
    {
        let mut wrong = |why: &str, check: &str, change: &dyn Fn(&mut Credential)| {
            s.tampered((why, check), 22, (&dave, &provisional), change);
        };
        wrong(
            "a head of the entry that it rests on",
            "head-tree-size",
            &|c| {
                search(c).0.tree_size = 20;
            },
        );
        wrong(
            "a bit of the head's signature is flipped",
            "head-signature",
            &|c| {
                search(c).0.signature[0] ^= 1;
            },
        );
        wrong("a timestamp is missing", "timestamps-missing", &|c| {
            search(c).1.timestamps.pop();
        });
    }
    let at = w.log.at(22);
    let (head, search) = truth(&at, Some(20), b"bob", |view| {
        greatest_version(view, standard.version)
    });
    let FullTreeHead::Updated { tree_head, .. } = head else {
        panic!("there are new entries");
    };
    let mut needless = standard.clone();
    needless.proof = CredentialProof::Provisional { tree_head, search };
    let why = "provisional, of a version in the very entry that it rests on";
    s.reject((why, "not-provisional"), 22, &bob, &needless);
    s.accept(22, &dave, &provisional);
    s.finish()
}

/// What verifies provisional credentials finally.
pub(super) fn updates(w: &World) -> Value {
    let mut s = Script::new(w, "wrong final verification of credentials");
    s.honest(20, &s.distinguished_request(None));
    let alice = made(&mut s, 21, "alice");
    s.accept(21, &Received(b"alice".to_vec()), &alice);
    let request = s.user.credential(b"alice").unwrap().request(21);
    let honest = request.answer(&w.at(24)).unwrap();
    let why = "the entry that it leads to is not known yet";
    s.reject((why, "unknown-distinguished"), 24, &request, &honest);
    s.honest(24, &s.distinguished_request(Some(19)));
    let why = "it leads to another root than the one retained";
    s.tampered((why, "credential-fork"), 24, (&request, &honest), |u| {
        u.monitor.timestamps[0] += 1;
    });
    let why = "a timestamp too many";
    s.tampered((why, "timestamps-surplus"), 24, (&request, &honest), |u| {
        u.monitor.timestamps.push(0);
    });
    let mut other = request.clone();
    other.entry.position = 19;
    let why = "there is no such credential";
    s.reject((why, "request"), 24, &other, &honest);
    s.accept(24, &request, &honest);
    s.finish()
}
