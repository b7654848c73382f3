//! Policies: their text, their quorums, and what they make of checkpoints.

use std::collections::BTreeSet;

use overt_protocol::head_log::checkpoint::*;
use overt_protocol::head_log::cosignature::MAX_TIMESTAMP;
use overt_protocol::head_log::key::{SignatureType::*, SignerKey};
use overt_protocol::head_log::policy::*;
use overt_protocol::head_log::tree::SizedRoot;
use proptest::prelude::*;

use crate::signed::{ORIGIN, checkpoint, log_keys, typed_key};

/// The key of witness `n`: even ones sign with Ed25519, odd ones with ML-DSA-44.
pub(crate) fn witness(n: u8) -> SignerKey {
    let kind = [Ed25519Cosignature, MlDsa44Cosignature][usize::from(n % 2)];
    typed_key(&format!("witness.example/{n}"), kind, 100 + n)
}

/// Lines that define the log and witnesses `w0` up to, not including, `wN`.
pub(crate) fn parties(n: u8) -> String {
    let [ed25519, ml_dsa] = log_keys();
    let mut text = format!("log {}\nlog {}\n", ed25519.verifier(), ml_dsa.verifier());
    for n in 0..n {
        text += &format!("witness w{n} {}\n", witness(n).verifier());
    }
    text
}

pub(crate) fn policy(text: &str) -> Policy {
    Policy::parse(text.as_bytes()).unwrap()
}

fn refused(text: &[u8]) -> (usize, &'static str) {
    let error = Policy::parse(text).unwrap_err();
    (error.line, error.problem.check())
}

/// The example of tlog-policy, with keys in the place of those left out.
fn example() -> String {
    let vkey = |n| witness(n).verifier().to_string();
    let [x1, x2, x3, y1, y2, y3] = [0, 2, 4, 6, 8, 10].map(vkey);
    let log = log_keys()[0].verifier().to_string();
    format!(
        "log {log}\n\nwitness X1 {x1}\nwitness X2 {x2}\nwitness X3 {x3}\n\
         group X-witnesses 2 X1 X2 X3\n\nwitness Y1 {y1}\nwitness Y2 {y2}\nwitness Y3 {y3}\n\
         group Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\n\
         quorum X-and-Y\n"
    )
}

#[test]
fn example_of_the_specification() {
    let policy = policy(&example());
    assert_eq!((policy.logs().len(), policy.witnesses().len()), (1, 6));
    let quorum = |witnesses: &[usize]| policy.is_quorum(&witnesses.iter().copied().collect());
    assert!(quorum(&[0, 1, 3]) && quorum(&[1, 2, 5]) && quorum(&[0, 1, 2, 3, 4, 5]));
    assert!(!quorum(&[]) && !quorum(&[0, 3]) && !quorum(&[0, 1, 2]) && !quorum(&[0, 3, 4, 5]));
    // Two choices of two X share one; two Y need not be the same.
    assert_eq!(policy.fork_needs(), 1);
    assert!(policy.excludes_fork(0) && !policy.excludes_fork(1));
}

#[test]
fn the_text_is_read_as_it_may_be_written() {
    let keys = log_keys();
    let w = witness(0);
    let text = format!(
        "# comment \u{e9}\n \t# indented\n\n \t \n\tlog\t{}   https://log.example/\u{e9} \n\
         witness \u{e9} {}\t \nquorum \u{e9}\n# end\n",
        keys[0].verifier(),
        w.verifier()
    );
    let policy = policy(&text);
    assert_eq!(policy.logs()[0].key, *keys[0].verifier());
    let url = "https://log.example/\u{e9}".as_bytes();
    assert_eq!(policy.logs()[0].url.as_deref(), Some(url));
    assert_eq!(policy.witnesses()[0].url, None);
    assert!(!policy.is_quorum(&BTreeSet::new()));
    assert!(policy.is_quorum(&BTreeSet::from([0])));

    // Neither UTF-8 nor equal to another name that differs in one byte.
    let text = [
        b"witness \xff ",
        w.verifier().to_string().as_bytes(),
        b"\nquorum \xff\n",
    ]
    .concat();
    assert!(Policy::parse(&text).is_ok());
    let other = [&text[..text.len() - 2], b"\xfe\n"].concat();
    assert_eq!(refused(&other), (2, "policy-unknown-name"));

    let nobody = Policy::parse(b"quorum none\n").unwrap();
    assert!(nobody.is_quorum(&BTreeSet::new()));
    assert_eq!(nobody.fork_needs(), 0);
    assert!(!nobody.excludes_fork(0));
}

#[test]
fn what_is_not_a_policy() {
    let three = parties(3);
    let [log, _] = log_keys().map(|key| key.verifier().to_string());
    let as_cosigner = typed_key("w", Ed25519Cosignature, 1).verifier().to_string();
    let plain = typed_key("w", Ed25519, 9).verifier().to_string();
    let [w0, w3] = [0, 3].map(|n| witness(n).verifier().to_string());
    let renamed = typed_key("renamed", Ed25519Cosignature, 100)
        .verifier()
        .to_string();
    for (lines, line, check) in [
        ("", 6, "policy-no-quorum"),
        ("quorum none", 6, "policy-cut"),
        ("# comment\n\n", 8, "policy-no-quorum"),
        ("quorum none\nquorum none\n", 7, "policy-second-quorum"),
        ("quorum none\r\n", 6, "policy-character"),
        ("# \u{7f}\nquorum none\n", 6, "policy-character"),
        ("# \0\nquorum none\n", 6, "policy-character"),
        ("# \u{b}\nquorum none\n", 6, "policy-character"),
        ("quorum\n", 6, "policy-syntax"),
        ("quorum w0 w1\n", 6, "policy-syntax"),
        ("Quorum none\n", 6, "policy-syntax"),
        ("quorum\u{a0}none\n", 6, "policy-syntax"),
        ("policy\nquorum none\n", 6, "policy-syntax"),
        ("quorum w3\n", 6, "policy-unknown-name"),
        ("quorum W0\n", 6, "policy-unknown-name"),
        ("log\n", 6, "policy-syntax"),
        (&format!("log {log} u v\n"), 6, "policy-syntax"),
        ("log x\n", 6, "note-key-format"),
        ("log x+y\n", 6, "note-key-format"),
        (&format!("log {log}\n"), 6, "policy-duplicate-key"),
        ("witness\n", 6, "policy-syntax"),
        ("witness w3\n", 6, "policy-syntax"),
        (&format!("witness w3 {w3} u v\n"), 6, "policy-syntax"),
        (&format!("witness w3 {w0}\n"), 6, "policy-duplicate-key"),
        (
            &format!("witness w3 {renamed}\n"),
            6,
            "policy-duplicate-key",
        ),
        (&format!("witness w0 {w3}\n"), 6, "policy-name-taken"),
        (&format!("witness none {w3}\n"), 6, "policy-name-taken"),
        (&format!("witness w3 {plain}\n"), 6, "policy-key-type"),
        (
            &format!("witness w3 {as_cosigner}\ngroup w3 1 w0\n"),
            7,
            "policy-name-taken",
        ),
        ("group\n", 6, "policy-syntax"),
        ("group g\n", 6, "policy-syntax"),
        ("group g any\n", 6, "policy-threshold"),
        ("group g all\n", 6, "policy-threshold"),
        ("group g 0 w0\n", 6, "policy-threshold"),
        ("group g 2 w0\n", 6, "policy-threshold"),
        ("group g 01 w0\n", 6, "policy-threshold"),
        ("group g +1 w0\n", 6, "policy-threshold"),
        ("group g ANY w0\n", 6, "policy-threshold"),
        ("group g w0 w1\n", 6, "policy-threshold"),
        ("group g 18446744073709551616 w0\n", 6, "policy-threshold"),
        ("group g any w0 w0\n", 6, "policy-member-twice"),
        ("group g any w0\ngroup h any w0\n", 7, "policy-member-twice"),
        (
            "group g any w0\ngroup h any g w1\ngroup i all g\n",
            8,
            "policy-member-twice",
        ),
        ("group g any w9\n", 6, "policy-unknown-name"),
        ("group g any g\n", 6, "policy-unknown-name"),
        ("group g any none\n", 6, "policy-unknown-name"),
        ("group none any w0\n", 6, "policy-name-taken"),
        ("group w1 any w0\n", 6, "policy-name-taken"),
        ("quorum g\ngroup g any w0\n", 6, "policy-unknown-name"),
    ] {
        let text = format!("{three}{lines}");
        assert_eq!(refused(text.as_bytes()), (line, check), "{lines}");
    }
    assert_eq!(refused(b""), (1, "policy-no-quorum"));
    // A key may be a log's and a witness's.
    assert!(
        Policy::parse(
            format!("{three}witness w3 {as_cosigner}\nquorum g0\n")
                .replace("g0", "w3")
                .as_bytes()
        )
        .is_ok()
    );
    let error = Policy::parse(format!("{three}quorum w9\n").as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "policy, line 6: the name w9 is not defined above"
    );
}

#[test]
fn sizes_are_bounded() {
    let mut text = String::new();
    for n in 0..=MAX_DEFINITIONS {
        let name = format!("w{n}");
        let seed = [u8::try_from(n).unwrap(); 32];
        let key = SignerKey::from_seed(&name, Ed25519Cosignature, &seed).unwrap();
        text += &format!("witness {name} {}\n", key.verifier());
    }
    let most = text
        .lines()
        .take(MAX_DEFINITIONS)
        .fold(String::new(), |t, l| t + l + "\n");
    assert!(Policy::parse(format!("{most}quorum w0\n").as_bytes()).is_ok());
    assert_eq!(
        refused(text.as_bytes()),
        (MAX_DEFINITIONS + 1, "policy-definitions")
    );
    let logs = text.replace("witness ", "log ");
    let logs: String = logs
        .lines()
        .map(|line| format!("log {}\n", line.rsplit(' ').next().unwrap()))
        .collect();
    assert_eq!(
        refused(logs.as_bytes()),
        (MAX_DEFINITIONS + 1, "policy-definitions")
    );

    // As deep as groups can be.
    let mut deep = most + "group g1 any w0\n";
    for n in 1..MAX_DEFINITIONS {
        deep += &format!("group g{} any g{n}\n", n + 1);
    }
    let policy = policy(&format!("{deep}quorum g{MAX_DEFINITIONS}\n"));
    assert!(policy.is_quorum(&BTreeSet::from([0])));
    assert_eq!(policy.fork_needs(), 1);
    let lines = deep.lines().count();
    deep += &format!("group g{} any w1\n", MAX_DEFINITIONS + 1);
    assert_eq!(refused(deep.as_bytes()), (lines + 1, "policy-definitions"));

    let long = "#".repeat(MAX_POLICY_LEN - 13) + "\nquorum none\n";
    assert!(Policy::parse(long.as_bytes()).is_ok());
    assert_eq!(
        refused(("#".to_owned() + &long).as_bytes()),
        (1, "policy-length")
    );
}

#[test]
fn logs_known_from_elsewhere_are_added() {
    let mut policy = policy("quorum none\n");
    let always = 0..=MAX_TIMESTAMP;
    let unknown = policy.verify(&checkpoint(), &always).unwrap_err();
    assert_eq!(unknown, TrustError::UnknownLog(ORIGIN.to_owned()));
    let log = |key: &SignerKey| Party {
        key: key.verifier().clone(),
        url: None,
    };
    let [ed25519, ml_dsa] = log_keys();
    policy.add_log(log(&ml_dsa)).unwrap();
    assert_eq!(policy.verify(&checkpoint(), &always).unwrap().log.len(), 1);
    policy.add_log(log(&ed25519)).unwrap();
    let trusted = policy.verify(&checkpoint(), &always).unwrap();
    assert_eq!(trusted.log.len(), 2);
    assert_eq!(&trusted.checkpoint, checkpoint().checkpoint());
    let again = policy.add_log(log(&ed25519));
    assert_eq!(again, Err(PolicyProblem::DuplicateKey));
}

/// The checkpoint with cosignatures of these witnesses, each at its own time.
pub(crate) fn cosigned_by(times: &[(u8, u64)]) -> SignedCheckpoint {
    let signed = checkpoint();
    let lines = times
        .iter()
        .map(|(n, time)| signed.cosign(&witness(*n), *time).unwrap());
    signed.with(&lines.collect::<Vec<_>>()).unwrap()
}

#[test]
fn checkpoints_need_a_quorum_in_time() {
    let policy = policy(&(parties(3) + "group g 2 w0 w1 w2\nquorum g\n"));
    let verify = |times: &[(u8, u64)], in_time| {
        let trusted = policy.verify(&cosigned_by(times), &in_time);
        trusted.map(|trusted| {
            let of = |n| witness(n).verifier().clone();
            let all = trusted.cosignatures.iter();
            (0..3)
                .filter(|n| all.clone().any(|c| *c.key == of(*n)))
                .collect::<Vec<_>>()
        })
    };
    let quorum = |cosigned| Err(TrustError::Quorum { cosigned });
    assert_eq!(verify(&[(0, 5), (1, 5)], 0..=9), Ok(vec![0, 1]));
    assert_eq!(verify(&[(0, 5), (1, 5), (2, 5)], 5..=5), Ok(vec![0, 1, 2]));
    assert_eq!(verify(&[(0, 5), (1, 4), (2, 5)], 5..=5), Ok(vec![0, 2]));
    assert_eq!(verify(&[(0, 5), (1, 6), (2, 5)], 5..=5), Ok(vec![0, 2]));
    assert_eq!(verify(&[(0, 5), (1, 4)], 5..=9), quorum(1));
    assert_eq!(verify(&[(0, 5), (1, 10)], 5..=9), quorum(1));
    assert_eq!(verify(&[(1, 5)], 0..=9), quorum(1));
    assert_eq!(verify(&[], 0..=9), quorum(0));
    // Twice the same witness is one; a witness that nobody knows is none.
    assert_eq!(verify(&[(0, 5), (0, 6)], 0..=9), quorum(1));
    assert_eq!(verify(&[(0, 1), (0, 6), (1, 6)], 5..=9), Ok(vec![0, 1]));
    assert_eq!(verify(&[(0, 5), (3, 5), (4, 5)], 0..=9), quorum(1));
}

#[test]
fn the_log_itself_must_have_signed() {
    let policy = policy(&(parties(2) + "quorum w0\n"));
    let always = 0..=MAX_TIMESTAMP;
    let note = cosigned_by(&[(0, 5)]).to_string();
    let verify = |note: &str| {
        let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
        policy
            .verify(&signed, &always)
            .map(drop)
            .map_err(|e| e.check())
    };
    assert_eq!(verify(&note), Ok(()));
    let lines: Vec<&str> = note.lines().collect();
    let without = |dropped: &[usize]| {
        let kept = lines
            .iter()
            .enumerate()
            .filter(|(n, _)| !dropped.contains(n));
        kept.map(|(_, line)| format!("{line}\n"))
            .collect::<String>()
    };
    // Lines 4 and 5 are the log's, 6 is the witness's.
    assert_eq!(verify(&without(&[4])), Ok(()));
    assert_eq!(verify(&without(&[5])), Ok(()));
    assert_eq!(verify(&without(&[4, 5])), Err("note-unsigned"));
    assert_eq!(verify(&without(&[6])), Err("policy-quorum"));
    // One false signature of log or witness spoils all.
    let other = Checkpoint::new(ORIGIN, SizedRoot::empty()).unwrap();
    let other = SignedCheckpoint::sign(other, &log_keys()).unwrap();
    let cosignature = other.cosign(&witness(0), 5).unwrap();
    let other = other.with(&[cosignature]).unwrap().to_string();
    for (line, forged) in lines.iter().zip(other.lines()).skip(4) {
        let bad = note.replace(line, forged);
        assert_eq!(verify(&bad), Err("note-signature"), "{line}");
    }
    // Another origin than the key's name, although the key signed.
    let other = typed_key("other.example", Ed25519, 1);
    let tree = checkpoint().checkpoint().tree();
    let signed =
        SignedCheckpoint::sign(Checkpoint::new("other.example", tree).unwrap(), &[other]).unwrap();
    assert_eq!(verify(&signed.to_string()), Err("policy-unknown-log"));
}

/// k of n against the formula, and against counting.
#[test]
fn a_quorum_excludes_forks_if_two_k_less_n_exceeds_the_dishonest() {
    for n in 1..=7u8 {
        for k in 1..=n {
            let names: String = (0..n).map(|n| format!(" w{n}")).collect();
            let policy = policy(&format!("{}group g {k}{names}\nquorum g\n", parties(n)));
            for f in 0..=n {
                let excluded = 2 * i32::from(k) - i32::from(n) > i32::from(f);
                assert_eq!(policy.excludes_fork(f.into()), excluded, "{k} of {n}, {f}");
            }
            assert_eq!(policy.fork_needs(), by_counting(&policy), "{k} of {n}");
        }
    }
}

/// The least number of witnesses in both of two quorums.
fn by_counting(policy: &Policy) -> usize {
    let all = policy.witnesses().len();
    let quorums: Vec<u32> = (0..1u32 << all)
        .filter(|set| policy.is_quorum(&(0..all).filter(|n| set & 1 << n != 0).collect()))
        .collect();
    let pairs = quorums
        .iter()
        .flat_map(|a| quorums.iter().map(move |b| a & b));
    pairs.map(u32::count_ones).min().unwrap() as usize
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Groups of groups: the margin is what counting gives.
    #[test]
    fn nested_quorums(split in 1u8..6, k in [1usize..9, 1usize..9, 1usize..9], top_witness: bool) {
        let names = |of: std::ops::Range<u8>| of.map(|n| format!(" w{n}")).collect::<String>();
        let (a, b) = (names(0..split), names(split..6));
        let k_a = k[0].min(split.into());
        let k_b = k[1].min(usize::from(6 - split));
        let (third, members) = if top_witness { (" w6", 3) } else { ("", 2) };
        let k_top = k[2].min(members);
        let text = format!("{}group a {k_a}{a}\ngroup b {k_b}{b}\ngroup top {k_top} a b{third}\nquorum top\n", parties(7));
        let policy = policy(&text);
        prop_assert_eq!(policy.fork_needs(), by_counting(&policy), "{}", text);
    }

    #[test]
    fn anything_is_read_without_panic(text in "(log|witness|group|quorum|none|any|all|[0-3]|a|b| |\t|\n|#|\\+){0,40}") {
        let _ = Policy::parse(text.as_bytes());
    }
}
