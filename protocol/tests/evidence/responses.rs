//! Broken promises, and versions that change or go.

use overt_protocol::evidence::{Accused, Evidence, EvidenceError, Exchange, Operation};
use overt_protocol::suite::CipherSuite;

use crate::file::check;
use crate::world::*;

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;

fn versions(first: Exchange, second: Exchange) -> Result<Evidence, EvidenceError> {
    Evidence::versions(History::of(&["a"]).config(), first, second)
}

#[test]
fn a_version_changes_or_goes() {
    let (one, other) = (History::of(&["a", "b"]), History::of(&["a", "x", "c"]));
    let mut short = empty(SUITE, None);
    short.push(START, alice("a"));
    short.push(START + 10, Vec::new());
    let short = History::from(short);
    let accused = [Accused::Directory(hex::encode(
        one.config().hash().unwrap(),
    ))];
    for (first, second) in [
        // Another value, in a log of any size.
        (one.search("alice", None), other.search("alice", Some(1))),
        (other.search("alice", Some(1)), one.search("alice", None)),
        // An older one, or none, in a log that is no smaller.
        (one.search("alice", None), short.search("alice", None)),
        (one.search("alice", Some(1)), short.search("alice", None)),
    ] {
        let file = versions(first, second).unwrap();
        assert_eq!(file.verify().unwrap().accused, accused);
    }
    let mut nobody = empty(SUITE, None);
    nobody.push(START, Vec::new());
    nobody.push(START + 10, Vec::new());
    let nobody = History::from(nobody);
    assert!(versions(one.search("alice", None), nobody.absence("alice")).is_ok());

    let nothing = "evidence-no-contradiction";
    for (first, second, expected) in [
        (
            one.search("alice", None),
            one.search("alice", None),
            nothing,
        ),
        (
            one.search("alice", Some(0)),
            other.search("alice", None),
            nothing,
        ),
        (
            other.search("alice", None),
            one.search("alice", None),
            nothing,
        ),
        (
            one.search("alice", Some(1)),
            one.search("alice", Some(0)),
            nothing,
        ),
        (nobody.absence("alice"), one.search("alice", None), nothing),
        (
            one.search("alice", None),
            nobody.absence("bob"),
            "evidence-subject",
        ),
    ] {
        assert_eq!(check(versions(first, second)), expected);
    }
    // It was not there yet.
    let mut smaller = empty(SUITE, None);
    smaller.push(START, Vec::new());
    let smaller = History::from(smaller);
    let early = versions(one.search("alice", None), smaller.absence("alice"));
    assert_eq!(check(early), nothing);
    let mut forged = other.search("alice", Some(1));
    forged.response.0[20] ^= 1;
    let forged = versions(one.search("alice", None), forged);
    assert_eq!(check(forged), "head-signature");
    let mut told = other.search("alice", None);
    told.operation = Operation::Absence;
    let told = versions(one.search("alice", None), told);
    assert_eq!(check(told), "evidence-encoding");
}

#[test]
fn what_expires_proves_nothing() {
    let of = |values: &[&str]| History::with(SUITE, Some(1_000_000), values);
    let (one, other) = (of(&["a", "b"]), of(&["a", "x"]));
    let (a, b) = (one.search("alice", None), other.search("alice", None));
    let expired = Evidence::versions(one.config(), a, b);
    assert_eq!(check(expired), "evidence-no-contradiction");
}

#[test]
fn promises() {
    let kept = History::of(&["a", "b"]);
    let other = History::of(&["a", "x"]);
    let judge = |history: &History, deadline, answer| {
        let receipt = kept.receipt("alice", "b", deadline);
        check(Evidence::broken_promise(history.config(), &receipt, answer))
    };
    let answer = other.search("alice", None);
    assert_eq!(judge(&other, START + 5, answer.clone()), "proves");
    assert_eq!(judge(&other, START + 10, answer), "receipt-early");
    let answer = kept.search("alice", None);
    assert_eq!(judge(&kept, START + 5, answer), "receipt-not-broken");
    let mut nobody = empty(SUITE, None);
    nobody.push(START + 10, Vec::new());
    let nobody = History::from(nobody);
    assert_eq!(judge(&nobody, START + 5, nobody.absence("alice")), "proves");
    let bob = nobody.absence("bob");
    assert_eq!(judge(&nobody, START + 5, bob), "receipt-about");
    let mut receipt = kept.receipt("alice", "b", START + 5);
    receipt.deadline -= 1;
    let forged = Evidence::broken_promise(other.config(), &receipt, other.search("alice", None));
    assert_eq!(check(forged), "receipt-signature");
}

pub(crate) fn samples() -> Vec<(&'static str, Evidence)> {
    let (one, other) = (History::of(&["a", "b"]), History::of(&["a", "x"]));
    let mut nobody = empty(SUITE, None);
    nobody.push(START + 10, Vec::new());
    let nobody = History::from(nobody);
    let receipt = one.receipt("alice", "b", START + 5);
    let promise = |answer| Evidence::broken_promise(one.config(), &receipt, answer).unwrap();
    vec![
        (
            "versions",
            versions(one.search("alice", None), other.search("alice", None)).unwrap(),
        ),
        ("promise", promise(other.search("alice", None))),
        ("promise to nobody", promise(nobody.absence("alice"))),
    ]
}
