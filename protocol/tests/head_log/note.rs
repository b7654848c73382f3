//! Signed notes and their keys.

use overt_protocol::head_log::key::*;
use overt_protocol::head_log::note::*;
use proptest::prelude::*;

use crate::signed::{cosigned, key};

const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.\n\n\
    \u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The example of signed-note, "Verifier keys".
#[test]
fn example_of_the_specification() {
    let key: VerifierKey = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(key.name(), "example.com/foo");
    assert_eq!(key.id(), 0x530d_903a);
    assert_eq!(key.kind(), SignatureType::Ed25519);
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note = Note::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.to_string(), EXAMPLE);
    let verified = note.verify([&key]).unwrap();
    assert_eq!(verified.len(), 1);
    assert_eq!((verified[0].key, verified[0].timestamp), (&key, 0));

    let changed = EXAMPLE.replace("message", "Message");
    let changed = Note::parse(changed.as_bytes()).unwrap();
    let refused = changed.verify([&key]).unwrap_err();
    let (name, id) = ("example.com/foo".to_owned(), 0x530d_903a);
    assert_eq!(refused, NoteError::Signature { name, id });
}

/// The last empty line ends the text (signed-note, "Format").
#[test]
fn the_text_may_have_empty_lines() {
    let note = "one\n\n\ntwo\n\n\u{2014} n AAAAAAA=\n";
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.text(), "one\n\n\ntwo\n");
    assert_eq!(parsed.to_string(), note);
    let note = "\n\n\u{2014} n AAAAAAA=\n";
    assert_eq!(Note::parse(note.as_bytes()).unwrap().text(), "\n");
}

#[test]
fn what_is_not_a_note() {
    let line = "\u{2014} n AAAAAAA=\n";
    for (note, check) in [
        ("".to_owned(), "note-format"),
        ("\n".to_owned(), "note-format"),
        ("text\n".to_owned(), "note-format"),
        ("text\n\n".to_owned(), "note-format"),
        (format!("text\n{line}"), "note-format"),
        (format!("\n{line}"), "note-format"),
        (line.to_owned(), "note-format"),
        (format!("text\n\n{}", line.trim_end()), "note-format"),
        (format!("text\n\n{line}more"), "note-format"),
        (format!("text\n\n{line}more\n"), "note-signature-line"),
        (format!("text\n\n{line}\n"), "note-format"),
        (format!("text\r\n\n{line}"), "note-characters"),
        (format!("te\txt\n\n{line}"), "note-characters"),
        (format!("te\0xt\n\n{line}"), "note-characters"),
        (
            format!("text\n\n{}", line.replace('\u{2014}', "-")),
            "note-signature-line",
        ),
        (format!("text\n\n {line}"), "note-signature-line"),
        (
            format!("text\n\n{}", line.replace('n', "")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace('n', "a+b")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace('n', "a\u{a0}b")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace('n', "a\u{2003}b")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace('n', "a b")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace("AAAAAAA=", "")),
            "note-signature-line",
        ),
        // An ID without a signature, too short for an ID, no padding, surplus bits, URL alphabet.
        (
            format!("text\n\n{}", line.replace("AAAAAAA=", "AAAAAA==")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace("AAAAAAA=", "AAAA")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace('=', "")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace("A=", "B=")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace("A=", "-=")),
            "note-signature-line",
        ),
        (
            format!("text\n\n{}", line.replace('=', "= ")),
            "note-signature-line",
        ),
    ] {
        assert_eq!(
            Note::parse(note.as_bytes()).unwrap_err().check(),
            check,
            "{note:?}"
        );
    }
    let latin = b"te\xe9t\n\n\xe2\x80\x94 n AAAAAAA=\n";
    assert_eq!(Note::parse(latin), Err(NoteError::Characters));
}

#[test]
fn sizes_are_bounded() {
    let line = "\u{2014} n AAAAAAA=\n";
    let most = format!("text\n\n{}", line.repeat(MAX_SIGNATURES));
    let note = Note::parse(most.as_bytes()).unwrap();
    assert_eq!(note.signatures().len(), MAX_SIGNATURES);
    let refused = Err(NoteError::TooManySignatures);
    assert_eq!(Note::parse(format!("{most}{line}").as_bytes()), refused);
    assert_eq!(note.with(&note.signatures()[..1]), refused);
    assert_eq!(
        NoteSignature::parse_lines(&line.repeat(MAX_SIGNATURES + 1)),
        Err(NoteError::TooManySignatures)
    );

    let rest = format!("\n\n{line}");
    let text = |n: usize| "a".repeat(n - rest.len()) + &rest;
    assert!(Note::parse(text(MAX_NOTE_LEN).as_bytes()).is_ok());
    let long = Note::parse(text(MAX_NOTE_LEN + 1).as_bytes());
    assert_eq!(long, Err(NoteError::TooLong(MAX_NOTE_LEN + 1)));
    assert_eq!(cosigned(&[]), Err(NoteError::Unsigned));
    let lines = note.signatures()[..1].to_vec();
    for (text, error) in [
        ("", NoteError::Format),
        ("a", NoteError::Format),
        ("\u{1}\n", NoteError::Characters),
    ] {
        assert_eq!(Note::new(text.to_owned(), lines.clone()), Err(error));
    }
}

#[test]
fn unknown_keys_are_ignored_and_known_ones_must_verify() {
    let (a, b, c) = (key("a", 1), key("b", 2), key("c", 3));
    let note = cosigned(&[&a, &b]).unwrap();
    let names = |keys: &[&SignerKey]| {
        let verified = note.verify(keys.iter().map(|key| key.verifier()));
        verified.map(|all| {
            all.iter()
                .map(|v| v.key.name().to_owned())
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(names(&[&a]), Ok(vec!["a".into()]));
    assert_eq!(names(&[&b, &c, &a]), Ok(vec!["b".into(), "a".into()]));
    assert_eq!(names(&[&c]), Err(NoteError::Unsigned));
    assert_eq!(names(&[]), Err(NoteError::Unsigned));
    // The same name with another key, and the same key with another name: other IDs, other keys.
    assert_eq!(
        names(&[&key("a", 2), &key("c", 1)]),
        Err(NoteError::Unsigned)
    );

    // One forged line among good ones spoils the note for whoever knows the key, and only for them.
    let forged = note.to_string().replace("20852163", "20852164");
    let by_b = Note::parse(forged.as_bytes()).unwrap().signatures()[1].clone();
    let text = cosigned(&[&a]).unwrap();
    let mut bytes = text.with(std::slice::from_ref(&by_b)).unwrap().to_string();
    let parsed = Note::parse(bytes.as_bytes()).unwrap();
    assert_eq!(
        parsed.verify([a.verifier(), b.verifier()]).unwrap().len(),
        2
    );
    let end = bytes.len() - 10;
    let other = if bytes.as_bytes()[end] == b'A' {
        "B"
    } else {
        "A"
    };
    bytes.replace_range(end..end + 1, other);
    let parsed = Note::parse(bytes.as_bytes()).unwrap();
    let refused = parsed.verify([a.verifier(), b.verifier()]).unwrap_err();
    let (name, id) = ("b".to_owned(), b.verifier().id());
    assert_eq!(refused, NoteError::Signature { name, id });
    assert_eq!(parsed.verify([a.verifier()]).unwrap().len(), 1);
}

#[test]
fn what_is_not_a_verifier_key() {
    let bad = |vkey: &str, check: &str| {
        assert_eq!(
            vkey.parse::<VerifierKey>().unwrap_err().check(),
            check,
            "{vkey}"
        );
    };
    for vkey in [
        "",
        "n",
        "n+530d903a",
        "n+530d903a+",
        "n+530d903a+====",
        "n+530d903a+AQ",
    ] {
        bad(vkey, "note-key-format");
    }
    bad(&format!("{EXAMPLE_KEY} "), "note-key-format");
    bad(&"a".repeat(MAX_VKEY_LEN + 1), "note-key-format");
    for name in [
        "",
        "a b",
        "a\u{2003}b",
        "a\tb",
        "a\u{1}b",
        "\n",
        &"a".repeat(256),
    ] {
        bad(
            &EXAMPLE_KEY.replace("example.com/foo", name),
            "note-key-name",
        );
    }
    for id in ["530d903b", "530D903A", "530d903", "0530d903a", ""] {
        bad(&EXAMPLE_KEY.replace("530d903a", id), "note-key-id");
    }
    bad(&EXAMPLE_KEY.replace("foo", "fob"), "note-key-id");
    // Types 2 (ECDSA), 5 (RFC 6962), 0 and 255.
    for base64 in ["Auky", "BQky", "AAAA", "/wAA"] {
        bad(&format!("n+530d903a+{base64}"), "note-key-type");
    }
    // Of a wrong length, not a point, of small order.
    bad(
        "n+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3Q==",
        "note-key",
    );
    bad(
        "n+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "note-key",
    );
    let public = |bytes: [u8; 32]| VerifierKey::new("n", SignatureType::Ed25519, &bytes);
    assert_eq!(public([0; 32]).unwrap_err().check(), "note-key");
    assert_eq!(public([0xff; 32]).unwrap_err().check(), "note-key");
}

#[test]
fn keys_are_told_apart_by_name_type_and_key() {
    use SignatureType::*;
    let id = |name, kind, seed| {
        let key = SignerKey::from_seed(name, kind, &[seed; 32]).unwrap();
        let vkey = key.verifier().to_string();
        assert_eq!(vkey.parse(), Ok(key.verifier().clone()));
        assert!(vkey.len() <= MAX_VKEY_LEN);
        key.verifier().id()
    };
    let ids = [
        id("a", Ed25519, 1),
        id("a", Ed25519Cosignature, 1),
        id("a", MlDsa44Cosignature, 1),
        id("b", Ed25519, 1),
        id("a", Ed25519, 2),
        id(&"n".repeat(MAX_NAME_LEN), MlDsa44Cosignature, 1),
    ];
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    let refused = SignerKey::from_seed("a b", Ed25519, &[1; 32]).unwrap_err();
    assert_eq!(refused, NoteKeyError::Name);
}

#[test]
fn private_keys_are_not_shown() {
    for kind in [SignatureType::Ed25519, SignatureType::MlDsa44Cosignature] {
        let key = SignerKey::from_seed("a", kind, &[0x5e; 32]).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.starts_with("SignerKey(a+"));
        assert!(!shown.contains("5e5e") && !shown.contains("94, 94"));
    }
}

proptest! {
    #[test]
    fn notes_are_read_back(text in "([^\\p{Cc}]|\n){0,40}", seeds in proptest::collection::vec(1u8..9, 1..4)) {
        let text = text + "\n";
        let lines: Vec<_> = seeds.iter().map(|seed| cosigned(&[&key("n\u{e9}", *seed)]).unwrap().signatures()[0].clone()).collect();
        let note = Note::new(text.clone(), lines).unwrap();
        let parsed = Note::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&parsed, &note);
        prop_assert_eq!(parsed.text(), text);
    }

    #[test]
    fn anything_is_read_without_panic_and_written_back(bytes in "(\u{2014} |n|\n| |[A-Za-z0-9+/=]{1,9}){0,20}") {
        if let Ok(note) = Note::parse(bytes.as_bytes()) {
            prop_assert_eq!(note.to_string(), bytes);
        }
    }
}
