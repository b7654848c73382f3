//! Known answers of both RFC 9381 and another implementation, and each refusal.

use curve25519_dalek::constants::EIGHT_TORSION;
use proptest::prelude::*;

use super::*;
use crate::suite::{CipherSuite, VrfPublicKey, VrfSecretKey};

const SUITE_2: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
/// The order of the prime group, little endian (RFC 8032, section 5.1).
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// RFC 9381, appendix B.3, examples 16 to 18: SK, PK, alpha, pi and beta, whose first 32
/// bytes are the output of the suite.
const RFC_EXAMPLES: [[&str; 5]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f\
         26f8a57ccaed74ee1b190bed1f479d97\
         27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed593\
         3bf0864a62558b3ed7f2fea45c92a465\
         301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf80\
         96bb474e53895c362d8628ee9f9ea3c0\
         e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45",
    ],
];

/// Inputs, outputs and proofs of another implementation, under the seed of 32 bytes 0x22.
const OTHERS_PUBLIC: &str = "a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f864127ff9383455a4f0";
const OTHERS: [[&str; 3]; 3] = [
    [
        "05616c69636500000000",
        "8e7da19c1d91ba41ab655330d4224a86a43f9aa3eb5d00e71460300037eea867",
        "12a7af7cbc5dc9f3565dfe7fd870230bb24f6a393357f6d94a993af5b830fb17\
         96b8be2616efd7de0bb4e154ef481927\
         4c2d6a7ada9d01ad43544d0ea390407906ed37155a09c7bb8de923d271cc6904",
    ],
    [
        "03626f6200000000",
        "997e619eb7fce8f064037e3b729bf910abf5524aa900e97da354901c1d99b79f",
        "65f5128dc46a66d5815cdf4a95f02c3f15a9e7aa5faaf7e414cdc60928a2975a\
         009e1d029e32f95d2138117c208dff13\
         34321a5c0814aa287db505a259c70bf74d006c4895e481b896dbdabc8f248a0e",
    ],
    [
        "096c6162656c2d30313100000000",
        "0892e891060e85454cae295e1eb62944c17016086f5fe21697aa4ca7d02fa3dc",
        "96b3b8b08ed230930492ba30aec54138b33ec83ab6fb6a8dba0f1b7d6cb19e32\
         1e495237e40666ce8d44ce76c5d9a584\
         a49f6a717fc6e2bf56151b5c1034af6d6de6038d005f07b21ed9c00ddc19d204",
    ],
];

#[test]
fn rfc_9381_examples() {
    for [seed, public, alpha, pi, beta] in RFC_EXAMPLES {
        assert_known(&unhex(seed), public, alpha, pi, beta);
    }
}

#[test]
fn another_implementation_agrees() {
    for [alpha, beta, pi] in OTHERS {
        assert_known(&[0x22; 32], OTHERS_PUBLIC, alpha, pi, beta);
    }
}

fn assert_known(seed: &[u8; 32], public: &str, alpha: &str, pi: &str, beta: &str) {
    let alpha = hex::decode(alpha).unwrap();
    let secret = VrfSecretKey::from_bytes(SUITE_2, seed).unwrap();
    assert_eq!(hex::encode(secret.public_key()), public);
    assert_eq!(hex::encode(secret.output(&alpha)), beta);
    let (output, proof) = secret.prove(&alpha);
    assert_eq!(
        (hex::encode(output), hex::encode(&proof)),
        (beta.into(), pi.into())
    );
    let public = VrfPublicKey::from_bytes(SUITE_2, &secret.public_key()).unwrap();
    assert_eq!(public.verify(&alpha, &proof), Ok(output));
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
    fn what_is_proved_verifies(seed: [u8; 32], alpha in prop::collection::vec(any::<u8>(), 0..300)) {
        let secret = SecretKey::from_seed(&seed);
        let public = PublicKey::from_bytes(secret.public_key()).unwrap();
        let (output, proof) = secret.prove(&alpha);
        prop_assert_eq!(secret.output(&alpha), output);
        prop_assert_eq!(public.verify(&alpha, &proof), Ok(output));
    }

    /// The byte comparisons of `decode_point` against the costly definition of "canonical".
    #[test]
    fn a_point_has_one_encoding(bytes: [u8; 32]) {
        prop_assert_eq!(decode_point(&bytes), decode_by_encoding_again(&bytes));
    }
}

#[test]
fn a_point_has_one_encoding_at_the_edges() {
    let mut lenient = 0;
    for low in 0..=u8::MAX {
        for middle in [0x00, 0x01, 0xfe, 0xff] {
            for high in [0x00, 0x01, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff] {
                let mut bytes = [middle; 32];
                (bytes[0], bytes[31]) = (low, high);
                let decoded = decode_point(&bytes);
                assert_eq!(decoded, decode_by_encoding_again(&bytes), "{bytes:02x?}");
                lenient += usize::from(decoded != CompressedEdwardsY(bytes).decompress());
            }
        }
    }
    // y = p + i decodes leniently for those i below 19 that are y of a point, with either
    // sign; the negative zeros are y = 1 and y = p - 1.
    let y_of_a_point = |y: &u8| {
        let mut bytes = [0; 32];
        bytes[0] = *y;
        CompressedEdwardsY(bytes).decompress().is_some()
    };
    assert_eq!(lenient, 2 * (0..19).filter(y_of_a_point).count() + 2);
}

fn decode_by_encoding_again(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(*bytes).decompress()?;
    (point.compress().as_bytes() == bytes).then_some(point)
}

#[test]
fn a_proof_has_its_length() {
    let (public, proof) = (public(), secret().prove(b"alice").1);
    let surplus = [proof.as_slice(), &[0]].concat();
    for wrong in [&[][..], &proof[..79], &surplus] {
        let expected = VrfError::Length {
            expected: 80,
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
    let other = SecretKey::from_seed(&[0x23; 32]);
    let other = PublicKey::from_bytes(other.public_key()).unwrap();
    assert_eq!(other.verify(b"alice", &proof), Err(VrfError::Rejected));
}

/// Adding the group order to `s` changes no product: only the range check refuses the twin.
#[test]
fn s_has_no_twins() {
    let (public, mut proof) = (public(), secret().prove(b"alice").1);
    let order: [u8; 32] = unhex(ORDER);
    for _ in 0..14 {
        add_little_endian(&mut proof[48..], &order);
        assert_eq!(public.verify(b"alice", &proof), Err(VrfError::ScalarRange));
    }
}

#[test]
fn s_ends_below_the_order() {
    let (public, mut proof) = (public(), secret().prove(b"alice").1);
    proof[48..].copy_from_slice(&unhex::<32>(ORDER));
    assert_eq!(public.verify(b"alice", &proof), Err(VrfError::ScalarRange));
    proof[48] -= 1;
    assert_eq!(public.verify(b"alice", &proof), Err(VrfError::Rejected));
}

#[test]
fn gamma_must_be_canonical() {
    let (public, mut proof) = (public(), secret().prove(b"alice").1);
    for encoding in NON_CANONICAL {
        let encoding: [u8; 32] = unhex(encoding);
        assert!(CompressedEdwardsY(encoding).decompress().is_some());
        proof[..32].copy_from_slice(&encoding);
        assert_eq!(
            public.verify(b"alice", &proof),
            Err(VrfError::PointEncoding)
        );
    }
}

/// The RFC lets `Gamma` carry a component of small order where `c` cancels it, and the
/// cofactor then removes it from the output: a proof has twins, an input has one output.
#[test]
fn a_small_order_component_of_gamma_leaves_the_output_alone() {
    let (secret, public) = (secret(), public());
    let torsion = EIGHT_TORSION[1];
    let (mut accepted, mut rejected) = (0, 0);
    for k in 1..40u64 {
        let proof = forge(&secret, b"alice", Scalar::from(k), torsion);
        let expected = if proof[32].is_multiple_of(8) {
            accepted += 1;
            Ok(secret.output(b"alice"))
        } else {
            rejected += 1;
            Err(VrfError::Rejected)
        };
        assert_eq!(public.verify(b"alice", &proof), expected);
    }
    assert!(accepted > 0 && rejected > 0);
}

/// Proves honestly but for `Gamma`, to which the owner of the key adds a point, and the
/// nonce, which it chooses.
fn forge(secret: &SecretKey, alpha: &[u8], k: Scalar, added: EdwardsPoint) -> Vec<u8> {
    let h = encode_to_curve(&secret.public, alpha);
    let gamma = (secret.x * h + added).compress();
    let (u, v) = (EdwardsPoint::mul_base(&k).compress(), (k * h).compress());
    let c = challenge(&secret.public, [&h.compress(), &gamma, &u, &v]);
    let s = k + challenge_scalar(&c) * secret.x;
    [gamma.as_bytes().as_slice(), &c, s.as_bytes()].concat()
}

#[test]
fn public_keys_of_small_order_are_refused() {
    for point in EIGHT_TORSION {
        let encoded = point.compress();
        assert_eq!(
            VrfPublicKey::from_bytes(SUITE_2, encoded.as_bytes()),
            Err(KeyError::SmallOrder)
        );
    }
    // Section 5.4.5 asks for no more: a component of small order beside another is allowed.
    let mixed = EdwardsPoint::mul_base(&Scalar::from(7u8)) + EIGHT_TORSION[1];
    assert!(VrfPublicKey::from_bytes(SUITE_2, mixed.compress().as_bytes()).is_ok());
}

#[test]
fn public_keys_must_be_canonical_points_of_32_bytes() {
    for encoding in NON_CANONICAL {
        let encoding: [u8; 32] = unhex(encoding);
        let refused = VrfPublicKey::from_bytes(SUITE_2, &encoding);
        assert_eq!(refused, Err(KeyError::PointEncoding));
    }
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    let refused = VrfPublicKey::from_bytes(SUITE_2, &off_curve);
    assert_eq!(refused, Err(KeyError::PointEncoding));
    for actual in [0, 31, 33] {
        let refused = VrfPublicKey::from_bytes(SUITE_2, &vec![1; actual]);
        let expected = 32;
        assert_eq!(refused, Err(KeyError::Length { expected, actual }));
    }
}

#[test]
fn secrets_are_wiped_and_never_printed() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SecretKey>();
    let key = VrfSecretKey::from_bytes(SUITE_2, &[0x22; 32]).unwrap();
    assert_eq!(format!("{key:?}"), "VrfSecretKey(KT_128_SHA256_Ed25519)");
}

/// Encodings that curve25519-dalek decodes and RFC 8032 refuses.
const NON_CANONICAL: [&str; 6] = [
    // y = p and y = p + 1, that is 0 and 1, with either sign.
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    // x = 0 with the sign of a negative number: y = 1 and y = p - 1.
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn secret() -> SecretKey {
    SecretKey::from_seed(&[0x22; 32])
}

fn public() -> PublicKey {
    PublicKey::from_bytes(secret().public_key()).unwrap()
}

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn add_little_endian(number: &mut [u8], summand: &[u8; 32]) {
    let mut carry = 0;
    for (digit, summand) in number.iter_mut().zip(summand) {
        let sum = u16::from(*digit) + u16::from(*summand) + carry;
        (*digit, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0, "the sum must fit");
}
