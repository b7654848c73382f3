use super::*;

const CONFIG: HashValue = [7; 32];
const LABEL: &[u8] = b"alice@example.org";

fn signing(seed: u8) -> SigningKey {
    SigningKey::from_bytes(KEYS, &[seed; 32]).unwrap()
}

fn public(seed: u8) -> [u8; 32] {
    signing(seed).public_key().try_into().unwrap()
}

fn first() -> Vec<u8> {
    let value = SignedValue::new(b"one".to_vec(), public(1), Some(public(2)));
    value.verify_first().unwrap();
    value.encode().unwrap()
}

fn second(signer: Signer, seed: u8) -> SignedValue {
    let mut value = SignedValue::new(b"two".to_vec(), public(3), Some(public(4)));
    value
        .sign(&CONFIG, LABEL, 1, &first(), signer, &signing(seed))
        .unwrap();
    value
}

#[test]
fn either_key_of_the_previous_version_may_sign_and_is_named() {
    for (signer, seed) in [(Signer::UpdateKey, 1), (Signer::RecoveryKey, 2)] {
        let value = second(signer, seed);
        assert_eq!(
            SignedValue::decode(&value.encode().unwrap()).unwrap(),
            value
        );
        let verified = value.verify_successor(&CONFIG, LABEL, 1, &first());
        assert_eq!(verified, Ok(signer));
    }
}

#[test]
fn the_encoding_is_as_documented() {
    let bytes = first();
    assert_eq!(&bytes[..15], b"\x0eovert.value/v1");
    assert_eq!(&bytes[15..22], b"\0\0\0\x03one");
    assert_eq!(bytes[22..54], public(1));
    assert_eq!(bytes[54], 1);
    assert_eq!(bytes[55..87], public(2));
    assert_eq!(&bytes[87..], b"\0");
}

#[test]
fn the_signature_covers_everything_around_it() {
    let value = second(Signer::UpdateKey, 1);
    let verify = |value: &SignedValue, config, label, version, previous: &[u8]| {
        value.verify_successor(config, label, version, previous)
    };
    let rejected = Err(SignedValueError::Signature(SignatureError::Rejected));
    assert_eq!(verify(&value, &[8; 32], LABEL, 1, &first()), rejected);
    assert_eq!(verify(&value, &CONFIG, b"bob", 1, &first()), rejected);
    assert_eq!(verify(&value, &CONFIG, LABEL, 2, &first()), rejected);
    let other = SignedValue::new(b"other".to_vec(), public(1), Some(public(2)));
    let other = other.encode().unwrap();
    assert_eq!(verify(&value, &CONFIG, LABEL, 1, &other), rejected);

    let mut changed = value.clone();
    changed.value.push(0);
    assert_eq!(verify(&changed, &CONFIG, LABEL, 1, &first()), rejected);
    let mut changed = value.clone();
    changed.update_key = public(9);
    assert_eq!(verify(&changed, &CONFIG, LABEL, 1, &first()), rejected);
    let mut changed = value.clone();
    changed.recovery_key = None;
    assert_eq!(verify(&changed, &CONFIG, LABEL, 1, &first()), rejected);
    let mut changed = value.clone();
    if let Some(s) = &mut changed.signature {
        s.signer = Signer::RecoveryKey;
    }
    assert_eq!(verify(&changed, &CONFIG, LABEL, 1, &first()), rejected);
    let mut changed = value;
    if let Some(s) = &mut changed.signature {
        s.signature[0] ^= 1;
    }
    assert_eq!(verify(&changed, &CONFIG, LABEL, 1, &first()), rejected);
}

#[test]
fn an_owner_may_keep_the_keys() {
    let mut value = SignedValue::new(b"two".to_vec(), public(1), Some(public(2)));
    let key = signing(1);
    value
        .sign(&CONFIG, LABEL, 1, &first(), Signer::UpdateKey, &key)
        .unwrap();
    assert!(value.verify_successor(&CONFIG, LABEL, 1, &first()).is_ok());
}

#[test]
fn signatures_stand_exactly_from_version_1_on() {
    let signed = second(Signer::UpdateKey, 1);
    assert_eq!(
        signed.verify_first(),
        Err(SignedValueError::SignatureSurplus)
    );
    let unsigned = SignedValue::decode(&first()).unwrap();
    assert_eq!(
        unsigned.verify_successor(&CONFIG, LABEL, 1, &first()),
        Err(SignedValueError::SignatureMissing)
    );
    assert_eq!(
        signed.verify_successor(&CONFIG, LABEL, 0, &first()),
        Err(SignedValueError::NoPrevious)
    );
}

#[test]
fn recovery_needs_a_recovery_key() {
    let previous = SignedValue::new(vec![], public(1), None).encode().unwrap();
    assert_eq!(
        second(Signer::RecoveryKey, 2).verify_successor(&CONFIG, LABEL, 1, &previous),
        Err(SignedValueError::NoRecoveryKey)
    );
    let mut value = SignedValue::new(vec![], public(1), None);
    assert_eq!(
        value.sign(
            &CONFIG,
            LABEL,
            1,
            &previous,
            Signer::RecoveryKey,
            &signing(2)
        ),
        Err(SignedValueError::NoRecoveryKey)
    );
}

#[test]
fn signing_refuses_what_could_not_be_verified() {
    let mut value = SignedValue::new(vec![], public(3), None);
    let sign = |value: &mut SignedValue, version, key: &SigningKey| {
        value.sign(&CONFIG, LABEL, version, &first(), Signer::UpdateKey, key)
    };
    assert_eq!(
        sign(&mut value, 1, &signing(2)),
        Err(SignedValueError::WrongSigner)
    );
    let p256 = SigningKey::from_bytes(CipherSuite::Kt128Sha256P256, &[1; 32]).unwrap();
    assert_eq!(
        sign(&mut value, 1, &p256),
        Err(SignedValueError::WrongSigner)
    );
    assert_eq!(
        sign(&mut value, 0, &signing(1)),
        Err(SignedValueError::NoPrevious)
    );
    assert!(value.signature.is_none());
}

#[test]
fn unusable_keys_are_refused() {
    let small_order = {
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    };
    for (update, recovery, role) in [
        (small_order, None, "update key"),
        (public(1), Some(small_order), "recovery key"),
    ] {
        let error = KeyError::SmallOrder;
        assert_eq!(
            SignedValue::new(vec![], update, recovery).verify_first(),
            Err(SignedValueError::Key { role, error })
        );
    }
    let same = SignedValue::new(vec![], public(1), Some(public(1)));
    assert_eq!(same.verify_first(), Err(SignedValueError::SameKeys));

    let previous = SignedValue::new(vec![], small_order, None);
    assert!(matches!(
        second(Signer::UpdateKey, 1).verify_successor(
            &CONFIG,
            LABEL,
            1,
            &previous.encode().unwrap()
        ),
        Err(SignedValueError::Key {
            role: "previous update key",
            ..
        })
    ));
}

#[test]
fn decoding_is_strict() {
    let good = second(Signer::UpdateKey, 1).encode().unwrap();
    assert!(SignedValue::decode(&good).is_ok());
    for n in 0..good.len() {
        assert!(SignedValue::decode(&good[..n]).is_err(), "cut at {n}");
    }
    let mut long = good.clone();
    long.push(0);
    assert_eq!(
        SignedValue::decode(&long),
        Err(DecodeError::TrailingBytes(1).into())
    );
    let mut other_type = good.clone();
    other_type[14] = b'2';
    let mut presence = good.clone();
    presence[54] = 2;
    let mut signer = good;
    let at = signer.len() - 65;
    signer[at] = 3;
    for bad in [other_type, presence, signer] {
        assert!(matches!(
            SignedValue::decode(&bad),
            Err(SignedValueError::Decode(_))
        ));
    }
    assert!(SignedValue::decode(b"hello").is_err());
    assert!(matches!(
        second(Signer::UpdateKey, 1).verify_successor(&CONFIG, LABEL, 1, b"hello"),
        Err(SignedValueError::Decode(_))
    ));
}
