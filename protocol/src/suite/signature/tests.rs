//! Known answers of RFC 8032, RFC 6979 and another implementation, and each refusal.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest, Sha512};

use super::*;
use crate::suite::CipherSuite::{Kt128Sha256Ed25519 as SUITE_2, Kt128Sha256P256 as SUITE_1};

/// Suite, private key, public key, message and signature, as hex.
const KNOWN: [(CipherSuite, [&str; 4]); 5] = [
    // RFC 8032, section 7.1, TEST 1 and TEST 3.
    (
        SUITE_2,
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
    ),
    (
        SUITE_2,
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ),
    // The first `TreeHeadTBS` of a log written by another implementation.
    (
        SUITE_2,
        [
            "1111111111111111111111111111111111111111111111111111111111111111",
            "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737",
            "0002010020d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a3\
             32c97787370020a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f86412\
             7ff9383455a4f0000000000000ea60000002de41353000000000000000177000\
             0000000000000001a83cf1bb59f22481b2ad2c6972d199fce3e2bfa7ccf145c7\
             355c35989984ccf2",
            "385076518cbd3ba4dba4e36aa77e7120b2e79f924d4c137798120d1137d47d82\
             e9be1e4517bc0fc395066ed57a1e995147b711e5b6b687716f75186f64250800",
        ],
    ),
    // RFC 6979, appendix A.2.5, SHA-256: "sample" and "test".
    (
        SUITE_1,
        [
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
             7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
            "73616d706c65",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ],
    ),
    (
        SUITE_1,
        [
            "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
            "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
             7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
            "74657374",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
             019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ],
    ),
];

#[test]
fn known_answers() {
    for (suite, fields) in KNOWN {
        let [secret, public, message, signature] = fields.map(|text| hex::decode(text).unwrap());
        let signing = SigningKey::from_bytes(suite, &secret.try_into().unwrap()).unwrap();
        assert_eq!(signing.public_key(), public);
        assert_eq!(signing.sign(&message), signature);
        let verifying = VerifyingKey::from_bytes(suite, &public).unwrap();
        assert_eq!(verifying.verify(&message, &signature), Ok(()));
    }
}

#[test]
fn no_bit_of_a_signature_or_its_message_may_change() {
    for suite in CipherSuite::ALL {
        let (signing, verifying) = pair(suite);
        let signature = signing.sign(b"head");
        for bit in 0..signature.len() * 8 {
            let mut changed = signature.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = verifying.verify(b"head", &changed);
            assert_eq!(refused, Err(SignatureError::Rejected), "{suite}, bit {bit}");
        }
        let refused = verifying.verify(b"heaD", &signature);
        assert_eq!(refused, Err(SignatureError::Rejected));
    }
}

#[test]
fn a_signature_has_64_bytes() {
    for suite in CipherSuite::ALL {
        let (signing, verifying) = pair(suite);
        let surplus = [signing.sign(b"head").as_slice(), &[0]].concat();
        for wrong in [&[][..], &surplus[..63], &surplus] {
            let actual = wrong.len();
            let refused = verifying.verify(b"head", wrong);
            assert_eq!(refused, Err(SignatureError::Length { actual }));
        }
    }
}

/// Of the bytes of `s`, one integer below the order counts: without the check, s + L would
/// be a second signature of the same message.
#[test]
fn s_of_ed25519_has_no_twins() {
    let order =
        hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let (signing, verifying) = pair(SUITE_2);
    let mut signature = signing.sign(b"head");
    let mut carry = 0;
    for (digit, order) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        (*digit, carry) = (sum as u8, sum >> 8);
    }
    let refused = verifying.verify(b"head", &signature);
    assert_eq!(refused, Err(SignatureError::Rejected));
}

/// The equation of RFC 8032 holds for R = 0 and s = k*a; libraries differ on whether to
/// accept it, so a log could show its users different answers.
#[test]
fn a_commitment_of_small_order_is_refused() {
    let seed = [0x11; 32];
    let (signing, verifying) = pair(SUITE_2);
    let r = EIGHT_TORSION[0].compress();
    let k = Scalar::from_bytes_mod_order_wide(
        &Sha512::new()
            .chain_update(r.as_bytes())
            .chain_update(signing.public_key())
            .chain_update(b"head")
            .finalize()
            .into(),
    );
    let s = k * ed25519_dalek::SigningKey::from_bytes(&seed).to_scalar();
    let signature = [r.to_bytes(), s.to_bytes()].concat();

    let plain = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    let parsed = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    assert!(ed25519_dalek::Verifier::verify(&plain, b"head", &parsed).is_ok());
    let refused = verifying.verify(b"head", &signature);
    assert_eq!(refused, Err(SignatureError::Rejected));
}

#[test]
fn ecdsa_takes_both_signs_of_s_and_nothing_out_of_range() {
    let (signing, verifying) = pair(SUITE_1);
    let signature = signing.sign(b"head");
    let parsed = p256::ecdsa::Signature::from_slice(&signature).unwrap();
    let (r, s) = parsed.split_scalars();
    let negated = p256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    assert_eq!(verifying.verify(b"head", &negated.to_bytes()), Ok(()));

    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    for out_of_range in [order.unwrap(), vec![0; 32]] {
        for half in [0..32, 32..64] {
            let mut changed = signature.clone();
            changed[half].copy_from_slice(&out_of_range);
            let refused = verifying.verify(b"head", &changed);
            assert_eq!(refused, Err(SignatureError::Rejected));
        }
    }
}

#[test]
fn ed25519_keys_of_small_order_are_refused() {
    for point in EIGHT_TORSION {
        let refused = VerifyingKey::from_bytes(SUITE_2, point.compress().as_bytes());
        assert_eq!(refused, Err(KeyError::SmallOrder));
    }
    let mixed = EdwardsPoint::mul_base(&Scalar::from(7u8)) + EIGHT_TORSION[1];
    assert!(VerifyingKey::from_bytes(SUITE_2, mixed.compress().as_bytes()).is_ok());
}

#[test]
fn ed25519_keys_have_one_encoding() {
    // y = p + 3, which ed25519-dalek takes for y = 3, a point of large order.
    let mut encoded = [0xff; 32];
    (encoded[0], encoded[31]) = (0xf0, 0x7f);
    assert!(
        !ed25519_dalek::VerifyingKey::from_bytes(&encoded)
            .unwrap()
            .is_weak()
    );
    let refused = VerifyingKey::from_bytes(SUITE_2, &encoded);
    assert_eq!(refused, Err(KeyError::PointEncoding));
}

#[test]
fn p256_keys_are_uncompressed_points_of_the_curve() {
    let valid = pair(SUITE_1).0.public_key();
    for tag in [0x00, 0x02, 0x05, 0x06, 0x07] {
        let mut changed = valid.clone();
        changed[0] = tag;
        let refused = VerifyingKey::from_bytes(SUITE_1, &changed);
        assert_eq!(refused, Err(KeyError::PointEncoding));
    }
    let mut off_curve = valid.clone();
    off_curve[64] ^= 1;
    let refused = VerifyingKey::from_bytes(SUITE_1, &off_curve);
    assert_eq!(refused, Err(KeyError::PointEncoding));

    // The compressed form is the same key, and still not the draft's encoding of it.
    let compressed = [&[0x02 + (valid[64] & 1)], &valid[1..33]].concat();
    let refused = VerifyingKey::from_bytes(SUITE_1, &compressed);
    let length = KeyError::Length {
        expected: 65,
        actual: 33,
    };
    assert_eq!(refused, Err(length));
}

#[test]
fn keys_of_the_other_suite_are_refused() {
    for (suite, other, expected, actual) in [(SUITE_1, SUITE_2, 65, 32), (SUITE_2, SUITE_1, 32, 65)]
    {
        let refused = VerifyingKey::from_bytes(suite, &pair(other).0.public_key());
        assert_eq!(refused, Err(KeyError::Length { expected, actual }));
    }
}

#[test]
fn p256_private_keys_are_scalars_between_1_and_the_order() {
    for secret in [[0; 32], [0xff; 32]] {
        let refused = SigningKey::from_bytes(SUITE_1, &secret);
        assert!(matches!(refused, Err(KeyError::SecretRange)));
    }
}

#[test]
fn private_keys_are_wiped_and_never_printed() {
    fn wiped<T: zeroize::ZeroizeOnDrop>() {}
    wiped::<ed25519_dalek::SigningKey>();
    wiped::<p256::ecdsa::SigningKey>();
    for suite in CipherSuite::ALL {
        let shown = format!("{:?}", pair(suite).0);
        assert_eq!(shown, format!("SigningKey({suite})"));
    }
}

fn pair(suite: CipherSuite) -> (SigningKey, VerifyingKey) {
    let signing = SigningKey::from_bytes(suite, &[0x11; 32]).unwrap();
    let verifying = VerifyingKey::from_bytes(suite, &signing.public_key()).unwrap();
    (signing, verifying)
}
