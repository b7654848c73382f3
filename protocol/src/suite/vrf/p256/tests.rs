//! Known answers of RFC 9381 and each refusal.

use p256::elliptic_curve::sec1::FromSec1Point;
use proptest::prelude::*;

use super::*;
use crate::suite::{CipherSuite, VrfPublicKey, VrfSecretKey};

const SUITE_1: CipherSuite = CipherSuite::Kt128Sha256P256;
/// The group order and the field's prime, big endian (SEC 2, section 2.4.2).
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const PRIME: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";

/// RFC 9381, appendix B.1, examples 10 to 12: SK, PK, alpha, pi and beta.
const RFC_EXAMPLES: [[&str; 5]; 3] = [
    [
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "sample",
        "035b5c726e8c0e2c488a107c600578ee75cb702343c153cb1eb8dec77f4b5071b4\
         a53f0a46f018bc2c56e58d383f2305e0\
         975972c26feea0eb122fe7893c15af376b33edf7de17c6ea056d4d82de6bc02f",
        "a3ad7b0ef73d8fc6655053ea22f9bede8c743f08bbed3d38821f0e16474b505e",
    ],
    [
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "test",
        "034dac60aba508ba0c01aa9be80377ebd7562c4a52d74722e0abae7dc3080ddb56\
         c19e067b15a8a8174905b13617804534\
         214f935b94c2287f797e393eb0816969d864f37625b443f30f1a5a33f2b3c854",
        "a284f94ceec2ff4b3794629da7cbafa49121972671b466cab4ce170aa365f26d",
    ],
    [
        "2ca1411a41b17b24cc8c3b089cfd033f1920202a6c0de8abb97df1498d50d2c8",
        "03596375e6ce57e0f20294fc46bdfcfd19a39f8161b58695b3ec5b3d16427c274d",
        "Example using ECDSA key from Appendix L.4.2 of ANSI.X9-62-2005",
        "03d03398bf53aa23831d7d1b2937e005fb0062cbefa06796579f2a1fc7e7b8c667\
         d091c00b0f5c3619d10ecea44363b5a5\
         99cadc5b2957e223fec62e81f7b4825fc799a771a3d7334b9186bdbee87316b1",
        "90871e06da5caa39a3c61578ebb844de8635e27ac0b13e829997d0d95dd98c19",
    ],
];

#[test]
fn rfc_9381_examples() {
    for [secret, public, alpha, pi, beta] in RFC_EXAMPLES {
        let alpha = alpha.as_bytes();
        let secret = VrfSecretKey::from_bytes(SUITE_1, &unhex(secret)).unwrap();
        assert_eq!(hex::encode(secret.public_key()), public);
        assert_eq!(hex::encode(secret.output(alpha)), beta);
        let (output, proof) = secret.prove(alpha);
        assert_eq!(
            (hex::encode(output), hex::encode(&proof)),
            (beta.into(), pi.into())
        );
        let public = VrfPublicKey::from_bytes(SUITE_1, &secret.public_key()).unwrap();
        assert_eq!(public.verify(alpha, &proof), Ok(output));
    }
}

#[test]
fn a_batch_gives_the_single_outputs_in_order() {
    let key = secret();
    let alphas: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; usize::from(n)]).collect();
    let slices: Vec<&[u8]> = alphas.iter().map(Vec::as_slice).collect();
    let singly: Vec<_> = slices.iter().map(|alpha| key.output(alpha)).collect();
    assert_eq!(key.outputs(&slices), singly);
    assert!(key.outputs(&[]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_proved_verifies(key: [u8; 32], alpha in prop::collection::vec(any::<u8>(), 0..300)) {
        let Ok(secret) = SecretKey::from_bytes(&key) else { return Ok(()) };
        let public = PublicKey::from_bytes(secret.public_key()).unwrap();
        let (output, proof) = secret.prove(&alpha);
        prop_assert_eq!(secret.output(&alpha), output);
        prop_assert_eq!(public.verify(&alpha, &proof), Ok(output));
    }
}

#[test]
fn a_proof_has_its_length() {
    let (public, proof) = (public(), secret().prove(b"alice").1);
    let surplus = [proof.as_slice(), &[0]].concat();
    for wrong in [&[][..], &proof[..80], &surplus] {
        let expected = VrfError::Length {
            expected: 81,
            actual: wrong.len(),
        };
        assert_eq!(public.verify(b"alice", wrong), Err(expected));
    }
}

#[test]
fn no_bit_of_a_proof_may_change() {
    let (public, proof) = (public(), secret().prove(b"alice").1);
    for bit in 0..proof.len() * 8 {
        let mut changed = proof.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(public.verify(b"alice", &changed).is_err(), "bit {bit}");
    }
}

#[test]
fn a_proof_is_for_one_input_and_one_key() {
    let proof = secret().prove(b"alice").1;
    assert_eq!(public().verify(b"alicf", &proof), Err(VrfError::Rejected));
    let other = SecretKey::from_bytes(&[0x23; 32]).unwrap();
    let other = PublicKey::from_bytes(other.public_key()).unwrap();
    assert_eq!(other.verify(b"alice", &proof), Err(VrfError::Rejected));
}

#[test]
fn s_ends_below_the_order() {
    let (public, mut proof) = (public(), secret().prove(b"alice").1);
    for (s, expected) in [
        (unhex(ORDER), VrfError::ScalarRange),
        ([0xff; 32], VrfError::ScalarRange),
        (minus_one(unhex(ORDER)), VrfError::Rejected),
    ] {
        proof[49..].copy_from_slice(&s);
        assert_eq!(public.verify(b"alice", &proof), Err(expected));
    }
}

/// SEC 1 readers know more forms of 33 bytes than the compressed one, and a field element
/// has a second representative where it is small: p + 5 for 5, an x of the curve.
#[test]
fn a_point_has_one_encoding() {
    let mut encoded = [0; 33];
    encoded[32] = 5;
    for tag in 0..=u8::MAX {
        encoded[0] = tag;
        assert_eq!(decode_point(&encoded).is_some(), tag == 2 || tag == 3);
    }
    let mut x: [u8; 32] = unhex(PRIME);
    // The last twelve bytes of p are 0xff: adding 5 carries to the byte before them.
    x[20..].fill(0);
    (x[19], x[31]) = (1, 4);
    encoded[1..].copy_from_slice(&x);
    encoded[0] = 2;
    assert_eq!(decode_point(&encoded), None);
    // All zeros: what the `group` crates write for the identity.
    assert_eq!(decode_point(&[0; 33]), None);
    // The compact form is why `decode_point` does not leave the tag to a general reader.
    encoded = [0; 33];
    (encoded[0], encoded[32]) = (5, 5);
    let lenient = p256::Sec1Point::from_bytes(encoded).unwrap();
    assert!(bool::from(AffinePoint::from_sec1_point(&lenient).is_some()));
}

#[test]
fn gamma_must_be_a_compressed_point() {
    let (public, mut proof) = (public(), secret().prove(b"alice").1);
    for tag in [0x00, 0x04, 0x05, 0x06, 0x07] {
        proof[0] = tag;
        assert_eq!(
            public.verify(b"alice", &proof),
            Err(VrfError::PointEncoding)
        );
    }
}

/// A nonce of zero makes `U` and `V` the identity, encoded as one zero byte. The owner of
/// the key may do so; the output stays the same and nothing else breaks.
#[test]
fn the_identity_among_the_hashed_points_is_one_byte() {
    let secret = secret();
    let (h, h_string) = encode_to_curve(&secret.public, b"alice");
    let gamma = encode_point(&(h * *secret.x).to_affine());
    let hash = sha256(&[&[1, 2], &secret.public, &h_string, &gamma, &[0], &[0], &[0]]);
    let c: [u8; 16] = hash[..16].try_into().unwrap();
    let s = challenge_scalar(&c) * *secret.x;
    let proof = [gamma.as_slice(), &c, &s.to_repr()].concat();
    assert_eq!(
        public().verify(b"alice", &proof),
        Ok(secret.output(b"alice"))
    );
}

#[test]
fn public_keys_must_be_compressed_points() {
    let valid = secret().public;
    for tag in [0x00, 0x01, 0x04, 0x05, 0x06] {
        let mut changed = valid;
        changed[0] = tag;
        let refused = VrfPublicKey::from_bytes(SUITE_1, &changed);
        assert_eq!(refused, Err(KeyError::PointEncoding));
    }
    // The identity is one byte long in SEC 1, an uncompressed point 65.
    for actual in [0, 1, 32, 65] {
        let refused = VrfPublicKey::from_bytes(SUITE_1, &vec![0; actual]);
        let expected = 33;
        assert_eq!(refused, Err(KeyError::Length { expected, actual }));
    }
}

#[test]
fn secret_keys_are_scalars_between_1_and_the_order() {
    for (bytes, valid) in [
        ([0; 32], false),
        (unhex(ORDER), false),
        ([0xff; 32], false),
        (minus_one(unhex(ORDER)), true),
    ] {
        let key = VrfSecretKey::from_bytes(SUITE_1, &bytes);
        assert_eq!(key.is_ok(), valid);
        assert!(valid || matches!(key, Err(KeyError::SecretRange)));
    }
}

#[test]
fn secrets_are_wiped_and_never_printed() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SecretKey>();
    let key = VrfSecretKey::from_bytes(SUITE_1, &[0x22; 32]).unwrap();
    assert_eq!(format!("{key:?}"), "VrfSecretKey(KT_128_SHA256_P256)");
}

fn secret() -> SecretKey {
    SecretKey::from_bytes(&[0x22; 32]).unwrap()
}

fn public() -> PublicKey {
    PublicKey::from_bytes(secret().public_key()).unwrap()
}

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn minus_one(mut odd: [u8; 32]) -> [u8; 32] {
    odd[31] -= 1;
    odd
}
