//! What witnesses accept, and what they answer.

use overt_protocol::head_log::checkpoint::*;
use overt_protocol::head_log::key::{SignatureType::*, SignerKey, VerifierKey};
use overt_protocol::head_log::note::{MAX_NOTE_LEN, MAX_SIGNATURES, Note, NoteError};
use overt_protocol::head_log::tree::*;
use overt_protocol::head_log::witness::*;
use proptest::prelude::*;

use crate::model::Log;
use crate::policy::witness;
use crate::signed::{ORIGIN, checkpoint, log_keys, typed_key};

fn keys() -> [VerifierKey; 2] {
    log_keys().map(|key| key.verifier().clone())
}

fn signed(tree: SizedRoot) -> SignedCheckpoint {
    SignedCheckpoint::sign(Checkpoint::new(ORIGIN, tree).unwrap(), &log_keys()).unwrap()
}

fn request(log: &mut Log, old: u64, new: u64) -> AddCheckpoint {
    AddCheckpoint {
        old_size: old,
        consistency: prove_consistency(log, old, new).unwrap(),
        checkpoint: signed(log.at(new)),
    }
}

/// The example of tlog-witness, "add-checkpoint".
#[test]
fn example_of_the_specification() {
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n\
        example.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    let parsed = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!((parsed.old_size, parsed.consistency.len()), (20_852_014, 4));
    assert_eq!(parsed.checkpoint.note().signatures().len(), 2);
    assert_eq!(parsed.to_string(), body);
}

#[test]
fn a_log_that_grows_is_cosigned() {
    let mut log = Log::numbers(40);
    let mut latest = SizedRoot::empty();
    for size in [0, 0, 1, 1, 2, 7, 8, 40, 40] {
        let request = request(&mut log, latest.size, size);
        let body = request.to_string();
        let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
        assert_eq!(request.to_string(), body);
        let accepted = request.decide(&keys(), &latest).unwrap();
        assert_eq!(accepted.tree(), log.at(size));
        latest = accepted.tree();
    }
}

#[test]
fn refusals_have_the_status_of_the_specification() {
    let mut log = Log::numbers(12);
    let good = request(&mut log, 5, 9);
    let latest = log.at(5);
    let refused = |request: &AddCheckpoint, keys: &[VerifierKey], latest: &SizedRoot| {
        let refusal = request.decide(keys, latest).map(drop).unwrap_err();
        (refusal.status(), refusal.check(), refusal.body())
    };
    assert!(good.decide(&keys(), &latest).is_ok());

    assert_eq!(
        refused(&good, &[], &latest),
        (404, "witness-unknown-log", None)
    );
    let others = [typed_key(ORIGIN, Ed25519, 9).verifier().clone()];
    assert_eq!(
        refused(&good, &others, &latest),
        (403, "note-unsigned", None)
    );

    // The signatures of another checkpoint.
    let note = signed(log.at(8)).note().signatures().to_vec();
    let note = Note::new(good.checkpoint.note().text().to_owned(), note).unwrap();
    let forged = AddCheckpoint {
        checkpoint: note.try_into().unwrap(),
        ..good.clone()
    };
    assert_eq!(
        refused(&forged, &keys(), &latest),
        (403, "note-signature", None)
    );
    assert_eq!(
        refused(&forged, &others, &latest),
        (403, "note-unsigned", None)
    );

    let smaller = AddCheckpoint {
        old_size: 10,
        ..good.clone()
    };
    assert_eq!(
        refused(&smaller, &keys(), &latest),
        (400, "witness-old-size", None)
    );
    assert_eq!(
        refused(&smaller, &keys(), &log.at(10)),
        (400, "witness-old-size", None)
    );

    let conflict = |n: u64| (409, "witness-conflict", Some(format!("{n}\n")));
    for n in [0, 4, 6, 9, 12] {
        assert_eq!(refused(&good, &keys(), &log.at(n)), conflict(n));
    }
    let first = request(&mut log, 0, 9);
    assert_eq!(refused(&first, &keys(), &latest), conflict(5));
    // Also if what follows is wrong: who does not know the size cannot know the proof.
    let no_proof = AddCheckpoint {
        consistency: vec![],
        ..good.clone()
    };
    assert_eq!(refused(&no_proof, &keys(), &log.at(4)), conflict(4));

    let inconsistent = |check| (422, check, None);
    let length = inconsistent("head-log-proof-length");
    assert_eq!(refused(&no_proof, &keys(), &latest), length);
    let mut other = good.clone();
    other.consistency[0][0] ^= 1;
    assert_eq!(
        refused(&other, &keys(), &latest),
        inconsistent("head-log-consistency")
    );
    let surplus = AddCheckpoint {
        consistency: vec![[0; 32]],
        ..first
    };
    assert_eq!(refused(&surplus, &keys(), &SizedRoot::empty()), length);
    // Of the same size: the same root, and no proof.
    let mut same = request(&mut log, 9, 9);
    let fork = SizedRoot {
        root: [7; 32],
        ..log.at(9)
    };
    assert_eq!(
        refused(&same, &keys(), &fork),
        inconsistent("head-log-consistency")
    );
    same.consistency = vec![[0; 32]];
    assert_eq!(refused(&same, &keys(), &log.at(9)), length);
    // Of size zero: the root of the empty tree.
    let nothing = SizedRoot {
        size: 0,
        root: [7; 32],
    };
    let nothing = AddCheckpoint {
        old_size: 0,
        consistency: vec![],
        checkpoint: signed(nothing),
    };
    let empty_root = inconsistent("head-log-empty-root");
    assert_eq!(refused(&nothing, &keys(), &SizedRoot::empty()), empty_root);
}

#[test]
fn what_is_not_a_request() {
    let mut log = Log::numbers(12);
    let good = request(&mut log, 5, 9).to_string();
    let check = |body: &str| {
        let refused = AddCheckpoint::parse(body.as_bytes()).unwrap_err();
        assert_eq!((refused.status(), refused.body()), (400, None));
        refused.check()
    };
    for old in [
        "",
        "old",
        "old ",
        "old 05",
        "old -5",
        "old +5",
        "old  5",
        "Old 5",
        "old 5 ",
        "old 18446744073709551616",
        "new 5",
    ] {
        assert_eq!(
            check(&good.replacen("old 5", old, 1)),
            "witness-request",
            "{old}"
        );
    }
    let hash = good.lines().nth(1).unwrap();
    for bad in [
        "x",
        &hash[4..],
        hash.trim_end_matches('='),
        &format!(" {hash}"),
    ] {
        assert_eq!(
            check(&good.replacen(hash, bad, 1)),
            "witness-request",
            "{bad}"
        );
    }
    assert_eq!(check(""), "witness-request");
    assert_eq!(check("old 5\n"), "witness-request");
    assert_eq!(check(&good.replace("\n\n", "\n")), "witness-request");
    assert_eq!(
        check(&good.replacen("\n\n", "\n\n\n", 1)),
        "checkpoint-lines"
    );
    assert_eq!(check(good.trim_end()), "note-format");
    assert_eq!(
        check(&good.replacen("\n9\n", "\n09\n", 1)),
        "checkpoint-size"
    );

    let hashes = |n: usize| {
        let proof = format!("{hash}\n").repeat(n);
        format!("old 5\n{proof}\n{}", signed(log.at(9)))
    };
    assert_eq!(
        AddCheckpoint::parse(hashes(MAX_HASHES).as_bytes())
            .unwrap()
            .consistency
            .len(),
        63
    );
    assert_eq!(check(&hashes(MAX_HASHES + 1)), "witness-request");

    // As long as a request can be, and one byte more than is ever read.
    let note = signed(log.at(9)).to_string();
    let origin = ORIGIN.to_owned() + &"a".repeat(MAX_NOTE_LEN - note.len());
    let longest = hashes(MAX_HASHES).replacen(ORIGIN, &origin, 1).replacen(
        "old 5",
        "old 18446744073709551615",
        1,
    );
    assert!(AddCheckpoint::parse(longest.as_bytes()).is_ok());
    assert!(longest.len() <= MAX_REQUEST_LEN);
    assert_eq!(check(&"a".repeat(MAX_REQUEST_LEN + 1)), "witness-request");
}

#[test]
fn responses_hold_the_cosignatures_of_the_witness() {
    let mut log = Log::numbers(9);
    let mut request = request(&mut log, 5, 9);
    // Whoever asks may have added lines; they are not passed on.
    let stranger = request.checkpoint.cosign(&witness(7), 1).unwrap();
    request.checkpoint = request.checkpoint.with(&[stranger]).unwrap();
    let accepted = request.decide(&keys(), &log.at(5)).unwrap();
    let own = [witness(0), witness(1)];
    let (body, kept) = accepted.cosign(&own, 1_679_315_147).unwrap();
    assert_eq!(body.lines().count(), 2);
    let expected = format!("{}{body}", signed(log.at(9)));
    assert_eq!(kept.to_string(), expected);
    assert!(accepted.cosign(&own, 0).is_err());

    let known = own.each_ref().map(SignerKey::verifier);
    let verified = parse_response(body.as_bytes(), &request.checkpoint, known).unwrap();
    let lines: Vec<_> = verified.iter().map(|v| v.line.clone()).collect();
    assert_eq!(signed(log.at(9)).with(&lines).unwrap(), kept);
    assert!(verified.iter().all(|v| v.timestamp == 1_679_315_147));
    // Unknown keys are ignored, but somebody must be known.
    let one = parse_response(
        body.as_bytes(),
        &request.checkpoint,
        known[..1].iter().copied(),
    );
    assert_eq!(one.unwrap().len(), 1);
    let error =
        |body: &str, checkpoint| parse_response(body.as_bytes(), checkpoint, known).unwrap_err();
    let by_stranger = request.checkpoint.note().signatures()[2].to_string();
    assert_eq!(
        error(&by_stranger, &request.checkpoint),
        NoteError::Unsigned
    );
    let other = checkpoint();
    let (name, id) = (known[0].name().to_owned(), known[0].id());
    assert_eq!(error(&body, &other), NoteError::Signature { name, id });
    for (bad, check) in [
        (String::new(), "note-format"),
        ("\n".to_owned(), "note-signature-line"),
        (body.trim_end().to_owned(), "note-format"),
        (format!("{body}\n"), "note-signature-line"),
        (format!("\n{body}"), "note-signature-line"),
        (kept.to_string(), "note-signature-line"),
        (body.repeat(MAX_SIGNATURES), "note-signatures"),
        ("a".repeat(MAX_NOTE_LEN + 1), "note-length"),
    ] {
        assert_eq!(error(&bad, &request.checkpoint).check(), check);
    }
    let latin = parse_response(b"\xe9\n", &request.checkpoint, known).unwrap_err();
    assert_eq!(latin, NoteError::Characters);
}

/// An ML-DSA-44 key that signs as a log does, without a time, has not answered as a witness.
#[test]
fn a_witness_states_a_time() {
    let checkpoint = checkpoint();
    let [_, ml_dsa] = log_keys();
    let line = checkpoint.note().signatures()[1].to_string();
    let refused = parse_response(line.as_bytes(), &checkpoint, [ml_dsa.verifier()]).unwrap_err();
    let (name, id) = (ORIGIN.to_owned(), ml_dsa.verifier().id());
    assert_eq!(refused, NoteError::Signature { name, id });
}

#[test]
fn sizes_in_conflicts() {
    for size in [0, 20_852_014, u64::MAX] {
        let body = Refusal::Conflict { latest: size }.body().unwrap();
        assert_eq!(parse_size(body.as_bytes()), Some(size));
    }
    assert_eq!(SIZE_CONTENT_TYPE, "text/x.tlog.size");
    for body in [
        "",
        "\n",
        "5",
        "05\n",
        "5\n\n",
        " 5\n",
        "5\r\n",
        "18446744073709551616\n",
    ] {
        assert_eq!(parse_size(body.as_bytes()), None, "{body:?}");
    }
    assert_eq!(parse_size(b"5\xff\n"), None);
}

#[test]
fn where_monitors_look() {
    // SHA-256 of "abc" (FIPS 180-4).
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(monitoring_path("abc"), format!("{hash}/checkpoint"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is asked, what a witness cosigns is one growing log.
    #[test]
    fn a_witness_never_cosigns_a_fork(steps in proptest::collection::vec((0u64..20, 0u64..20, any::<bool>()), 1..12)) {
        let mut logs = [Log::numbers(20), Log::of((20..40u64).map(|i| leaf_hash(&i.to_be_bytes())))];
        let mut latest = SizedRoot::empty();
        let mut chosen = None;
        for (old, new, second) in steps {
            let log = &mut logs[usize::from(second)];
            let request = AddCheckpoint {
                old_size: old,
                consistency: prove_consistency(log, old, new).unwrap_or_default(),
                checkpoint: signed(log.at(new)),
            };
            let size_fits = old == latest.size && old <= new;
            let log_fits = latest.size == 0 || chosen == Some(second);
            match request.decide(&keys(), &latest) {
                Ok(accepted) => {
                    prop_assert!(size_fits && log_fits);
                    latest = accepted.tree();
                    prop_assert_eq!(latest, log.at(new));
                    chosen = Some(second);
                }
                Err(refusal) => prop_assert!(!(size_fits && log_fits), "{refusal}"),
            }
        }
    }
}
