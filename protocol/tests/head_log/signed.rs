//! Checkpoints and cosignatures.

use overt_protocol::head_log::checkpoint::*;
use overt_protocol::head_log::cosignature::*;
use overt_protocol::head_log::key::{SignatureType, SignatureType::*, SignerKey, VerifierKey};
use overt_protocol::head_log::note::{Note, NoteError, NoteSignature};
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::suite::sha256;
use proptest::prelude::*;

pub(crate) const ORIGIN: &str = "keys.example.org/overt";

pub(crate) fn typed_key(name: &str, kind: SignatureType, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
}

/// An Ed25519 cosigner's key.
pub(crate) fn key(name: &str, seed: u8) -> SignerKey {
    typed_key(name, Ed25519Cosignature, seed)
}

pub(crate) fn tree() -> SizedRoot {
    SizedRoot {
        size: 20_852_163,
        root: sha256(&[b"a root"]),
    }
}

/// The log's two keys.
pub(crate) fn log_keys() -> [SignerKey; 2] {
    [
        typed_key(ORIGIN, Ed25519, 1),
        typed_key(ORIGIN, MlDsa44Cosignature, 2),
    ]
}

/// A checkpoint as the log signs it.
pub(crate) fn checkpoint() -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(ORIGIN, tree()).unwrap();
    SignedCheckpoint::sign(checkpoint, &log_keys()).unwrap()
}

/// The text of that checkpoint with cosignatures only.
pub(crate) fn cosigned(keys: &[&SignerKey]) -> Result<Note, NoteError> {
    let signed = checkpoint();
    let lines = keys.iter().map(|key| signed.cosign(key, 7).unwrap());
    Note::new(signed.note().text().to_owned(), lines.collect())
}

/// Signatures of all types against an implementation of others: see `vectors/cosigned.py`.
#[test]
fn the_same_bytes_as_other_implementations() {
    let note = include_str!("vectors/cosigned.note");
    let vkeys = include_str!("vectors/cosigned.vkeys");
    let vkeys: Vec<VerifierKey> = vkeys.lines().map(|vkey| vkey.parse().unwrap()).collect();

    let witness = "witness.example.com/w1";
    let cosigners = [
        typed_key(witness, Ed25519Cosignature, 3),
        typed_key(witness, MlDsa44Cosignature, 4),
    ];
    let signed = checkpoint();
    let lines = cosigners
        .each_ref()
        .map(|key| signed.cosign(key, 1_679_315_147).unwrap());
    assert_eq!(signed.with(&lines).unwrap().to_string(), note);
    let own: Vec<_> = log_keys()
        .iter()
        .chain(&cosigners)
        .map(|k| k.verifier().clone())
        .collect();
    assert_eq!(own, vkeys);

    let parsed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed, signed.with(&lines).unwrap());
    let verified = parsed.verify(&vkeys).unwrap();
    let times: Vec<_> = verified.iter().map(|v| v.timestamp).collect();
    assert_eq!(times, [0, 0, 1_679_315_147, 1_679_315_147]);
}

/// The examples of tlog-checkpoint, tlog-cosignature and tlog-witness: their keys are not given.
#[test]
fn examples_of_the_specifications() {
    let note = "example.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    assert_eq!(signed.to_string(), note);
    assert_eq!(signed.checkpoint().origin(), "example.com/behind-the-sofa");
    assert_eq!(signed.checkpoint().tree().size, 20_852_163);
    let message = ed25519_message(signed.note().text(), 1_679_315_147);
    let expected = "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    assert_eq!(message, expected.as_bytes());
}

#[test]
fn texts_of_checkpoints() {
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let tree = SizedRoot::empty();
    assert_eq!(
        Checkpoint::new("o", tree).unwrap().to_string(),
        format!("o\n0\n{root}\n")
    );
    for text in [
        format!("o\n0\n{root}\n"),
        format!("an origin with spaces+\n18446744073709551615\n{root}\n"),
        format!("o\n1\n{root}\nextension\n \n"),
    ] {
        let parsed = Checkpoint::parse(&text).unwrap();
        assert_eq!(parsed.to_string(), text);
        let plain = parsed.check_no_extensions();
        assert_eq!(plain.is_ok(), !text.contains("extension"));
    }
    let with = Checkpoint::parse(&format!("o\n1\n{root}\na\nb\n")).unwrap();
    assert_eq!(
        with.check_no_extensions(),
        Err(CheckpointError::Extensions(2))
    );

    for (text, error) in [
        (String::new(), CheckpointError::Lines),
        ("\n".to_owned(), CheckpointError::Lines),
        ("o\n0\n".to_owned(), CheckpointError::Lines),
        (format!("o\n0\n{root}"), CheckpointError::Lines),
        (format!("\n0\n{root}\n"), CheckpointError::Lines),
        (format!("o\n\n{root}\n"), CheckpointError::Lines),
        (format!("o\n0\n{root}\n\n"), CheckpointError::Lines),
        (
            format!("o\n0\n{root}\n\nextension\n"),
            CheckpointError::Lines,
        ),
        (format!("o\n00\n{root}\n"), CheckpointError::Size),
        (format!("o\n01\n{root}\n"), CheckpointError::Size),
        (format!("o\n+1\n{root}\n"), CheckpointError::Size),
        (format!("o\n-1\n{root}\n"), CheckpointError::Size),
        (format!("o\n 1\n{root}\n"), CheckpointError::Size),
        (format!("o\n0x1\n{root}\n"), CheckpointError::Size),
        (
            format!("o\n18446744073709551616\n{root}\n"),
            CheckpointError::Size,
        ),
        (
            format!("o\n0\n{}\n", root.replace("U=", "V=")),
            CheckpointError::Root,
        ),
        (
            format!("o\n0\n{}\n", root.replace('=', "")),
            CheckpointError::Root,
        ),
        (format!("o\n0\n{root} \n"), CheckpointError::Root),
        ("o\n0\nAAAA\n".to_owned(), CheckpointError::Root),
        ("o\n0\nextension\n".to_owned(), CheckpointError::Root),
    ] {
        assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
    }
    assert!(Checkpoint::new(&"a".repeat(MAX_ORIGIN_LEN), tree).is_ok());
    for origin in ["", "a\nb", "a\tb", "a\u{7f}", &"a".repeat(256)] {
        assert_eq!(Checkpoint::new(origin, tree), Err(CheckpointError::Origin));
    }
}

#[test]
fn a_log_signs_the_same_bytes_again() {
    assert_eq!(checkpoint().to_string(), checkpoint().to_string());
    let keys = log_keys();
    let verifiers = keys.each_ref().map(SignerKey::verifier);
    assert_eq!(checkpoint().verify(verifiers).unwrap().len(), 2);
}

#[test]
fn who_may_sign_what() {
    let reason = |refused: Result<_, CheckpointError>| match refused {
        Err(CheckpointError::Signer { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let unsigned = || Checkpoint::new(ORIGIN, tree()).unwrap();
    let sign = |key| SignedCheckpoint::sign(unsigned(), &[key]).map(drop);
    assert_eq!(
        reason(sign(typed_key("other", Ed25519, 1))),
        "its name is not the origin"
    );
    let cosigner = typed_key(ORIGIN, Ed25519Cosignature, 1);
    assert_eq!(reason(sign(cosigner)), "it is a cosigner's");
    let nobody = SignedCheckpoint::sign(unsigned(), &[]);
    assert_eq!(nobody, Err(CheckpointError::Note(NoteError::Unsigned)));

    let signed = checkpoint();
    let cosign = |key: &SignerKey, time| signed.cosign(key, time).map(drop);
    assert_eq!(
        reason(cosign(&typed_key("w", Ed25519, 1), 1)),
        "it is not a cosigner's"
    );
    for kind in [Ed25519Cosignature, MlDsa44Cosignature] {
        let key = typed_key("w", kind, 1);
        for time in [0, MAX_TIMESTAMP + 1] {
            let refused = reason(cosign(&key, time));
            assert_eq!(refused, "the timestamp is 0 or above 2^63 - 1");
        }
        assert_eq!(cosign(&key, 1), Ok(()));
        assert_eq!(cosign(&key, MAX_TIMESTAMP), Ok(()));
    }

    // Of another log: an origin of any length, but ML-DSA-44 cosignatures have room for 255 bytes.
    let long = signed.to_string().replacen(ORIGIN, &"o".repeat(256), 1);
    let long = SignedCheckpoint::parse(long.as_bytes()).unwrap();
    let refused = long
        .cosign(&typed_key("w", MlDsa44Cosignature, 1), 1)
        .map(drop);
    assert_eq!(reason(refused), "origin too long for its type");
    assert!(
        long.cosign(&typed_key("w", Ed25519Cosignature, 1), 1)
            .is_ok()
    );
}

/// Both types cover origin, size, root and time; ML-DSA-44 the cosigner's name too, Ed25519 the
/// extension lines.
#[test]
fn what_cosignatures_cover() {
    let signed = checkpoint();
    let text = signed.note().text().to_owned();
    let base = format!("{text}extension\n");
    let (size, root) = ("20852163", text.lines().nth(2).unwrap());
    let variants = [
        base.replace("extension", "another"),
        base.replace(ORIGIN, "keys.example.org/other"),
        base.replace(size, "20852164"),
        base.replace(root, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ];
    let lines = signed.note().signatures().to_vec();
    let under = |text: &str| {
        let note = Note::new(text.to_owned(), lines.clone()).unwrap();
        SignedCheckpoint::try_from(note).unwrap()
    };
    for (kind, extensions_covered) in [(Ed25519Cosignature, true), (MlDsa44Cosignature, false)] {
        let key = typed_key("w", kind, 9);
        let line = under(&base).cosign(&key, 5).unwrap();
        let verify = |text: &str, line| {
            under(text)
                .with(&[line])
                .unwrap()
                .verify([key.verifier()])
                .is_ok()
        };
        assert!(verify(&base, line.clone()));
        for (i, variant) in variants.iter().enumerate() {
            let covered = i > 0 || extensions_covered;
            assert_eq!(
                verify(variant, line.clone()),
                !covered,
                "{kind:?} {variant}"
            );
        }
        let other_time = under(&base).cosign(&key, 6).unwrap();
        assert_ne!(line, other_time);
        assert!(verify(&base, other_time));

        // A key of another name, in whose name the same signature is then presented.
        let renamed = typed_key("x", kind, 9);
        let mut bytes = under(&base).cosign(&renamed, 5).unwrap().to_string();
        bytes = bytes.replace("\u{2014} x", "\u{2014} w");
        let mut raw = base64_of(&bytes);
        raw[..4].copy_from_slice(&key.verifier().id().to_be_bytes());
        let presented = line_of("w", &raw);
        let name_covered = kind == MlDsa44Cosignature;
        assert_eq!(verify(&base, presented), !name_covered, "{kind:?}");
    }
}

/// What follows the name on a signature line.
fn base64_of(line: &str) -> Vec<u8> {
    use base64::Engine;
    let base64 = line.trim_end().rsplit(' ').next().unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(base64)
        .unwrap()
}

fn line_of(name: &str, bytes: &[u8]) -> NoteSignature {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    NoteSignature::parse_lines(&format!("\u{2014} {name} {base64}\n")).unwrap()[0].clone()
}

#[test]
fn spoilt_cosignatures() {
    let signed = checkpoint();
    for kind in [Ed25519Cosignature, MlDsa44Cosignature] {
        let key = typed_key("w", kind, 9);
        let line = base64_of(&signed.cosign(&key, 5).unwrap().to_string());
        let verify = |raw: &[u8]| {
            signed
                .with(&[line_of("w", raw)])
                .unwrap()
                .verify([key.verifier()])
                .map(drop)
        };
        assert_eq!(verify(&line), Ok(()));
        let refused = Err(CheckpointError::Note(NoteError::Signature {
            name: "w".into(),
            id: key.verifier().id(),
        }));
        for bit in (32..line.len() * 8)
            .step_by(101)
            .chain([line.len() * 8 - 1])
        {
            let mut raw = line.clone();
            raw[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verify(&raw), refused, "{kind:?} bit {bit}");
        }
        for raw in [
            &line[..5],
            &line[..12],
            &line[..13],
            &line[..line.len() - 1],
            &[&line[..], &[0]].concat(),
        ] {
            assert_eq!(verify(raw), refused);
        }
    }
}

/// A timestamp above 2^63 - 1 is refused although its signature is right.
#[test]
fn timestamps_have_a_limit() {
    let signed = checkpoint();
    let cosigner = key("w", 9);
    let suite = overt_protocol::suite::CipherSuite::Kt128Sha256Ed25519;
    let raw = overt_protocol::suite::SigningKey::from_bytes(suite, &[9; 32]).unwrap();
    for (timestamp, accepted) in [(MAX_TIMESTAMP, true), (MAX_TIMESTAMP + 1, false)] {
        let signature = raw.sign(&ed25519_message(signed.note().text(), timestamp));
        let id = cosigner.verifier().id().to_be_bytes();
        let line = [&id[..], &timestamp.to_be_bytes(), &signature].concat();
        let signed = signed.with(&[line_of("w", &line)]).unwrap();
        assert_eq!(signed.verify([cosigner.verifier()]).is_ok(), accepted);
    }
}

proptest! {
    #[test]
    fn checkpoints_are_read_back(
        origin in "[^\\p{Cc}]{1,40}", size: u64, root: [u8; 32], extensions in "([^\\p{Cc}]{1,20}\n){0,3}",
    ) {
        let plain = Checkpoint::new(&origin, SizedRoot { size, root }).unwrap();
        let text = format!("{plain}{extensions}");
        let parsed = Checkpoint::parse(&text).unwrap();
        prop_assert_eq!(parsed.to_string(), text);
        prop_assert_eq!(parsed.tree(), plain.tree());
        prop_assert_eq!(parsed == plain, extensions.is_empty());
    }
}
